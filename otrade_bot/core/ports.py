"""Protocols by which the middle talks to the rim."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

from otrade_bot.core.events import Event

__all__ = ["AuditDesk", "Journal", "LoginDesk", "LoginEnd", "LoginPage", "ModeDesk", "NullJournal"]


class Journal(Protocol):
    """The append-only diary of a day."""

    def append(self, event: Event, *, durable: bool = False) -> None:
        """Write one line. ``durable`` returns only after fsync. Raises JournalException."""
        ...


class AuditDesk(Protocol):
    """Reads journals aside, so that nothing waits for it."""

    async def audit(self, day: date | None, newest: int) -> Mapping[str, Any]:
        """As ``research.audit.audit`` says it; None is the day that is open. Raises CommandException."""
        ...


class NullJournal:
    """For research, where no diary is wanted."""

    def append(self, event: Event, *, durable: bool = False) -> None:
        """Drop the event."""


class ModeDesk(Protocol):
    """Paper or live at the next start, as the settings say it."""

    def following(self) -> str:
        """The mode of the next start: paper or live. Raises ConfigException."""
        ...

    def objections(self, wanted: str) -> list[str]:
        """Why the settings and the environment do not allow that mode, each with its cure; empty where they do."""
        ...

    def stamp(self) -> Hashable:
        """Something that changes with the settings on which the mode depends. Raises ConfigException."""
        ...

    def write(self, wanted: str, by: str) -> str:
        """Set it for the next start; the file it stands in. Raises ConfigException, and nothing has changed;
        CommandException where it was written in vain."""
        ...


@dataclass(frozen=True, slots=True)
class LoginPage:
    """Where a person logs in to a broker. The address holds a one-time state: it is shown to that person alone."""

    broker: str
    url: str = field(repr=False)
    seconds: float  #: how long it counts
    comes_back: bool  #: the browser is expected here, so that nothing needs to be pasted


@dataclass(frozen=True, slots=True)
class LoginEnd:
    """How a login ended. ``account``: nothing was changed, for this is another account than before; a yes takes it."""

    said: str
    account: str = ""


class LoginDesk(Protocol):
    """Daily logins at the brokers. ``session`` names person and place, as in a command's context.

    Whatever does not work raises CommandException, in words for that person and without anything secret.
    """

    async def begin(self, session: str, broker: str = "") -> LoginPage:
        """An address for this session alone, once; an older one of it does not count any more. '' is the broker that
        takes the orders."""
        ...

    async def approve(self, session: str, broker: str) -> str:
        """Ask the broker to ask for consent in its own app; the token comes by itself. Returns what to do now."""
        ...

    async def finish(self, text: str, session: str) -> LoginEnd:
        """The address to which the broker sent the browser back."""
        ...

    def waiting(self, session: str) -> str:
        """The other account that waits for this session's yes; '' for none."""
        ...

    async def accept(self, session: str) -> str:
        """That yes."""
        ...

    def drop(self, session: str) -> bool:
        """That no. False where nothing waited."""
        ...
