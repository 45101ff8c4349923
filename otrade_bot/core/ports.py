"""Protocols by which the middle talks to the rim."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from otrade_bot.core.events import Event

__all__ = ["Journal", "ModeDesk", "NullJournal"]


class Journal(Protocol):
    """The append-only diary of a day."""

    def append(self, event: Event, *, durable: bool = False) -> None:
        """Write one line. ``durable`` returns only after fsync. Raises JournalException."""
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
        """Set it for the next start; the file it stands in. Raises ConfigException, and nothing has changed."""
        ...
