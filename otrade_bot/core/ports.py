"""Protocols by which the middle talks to the rim."""

from __future__ import annotations

from typing import Protocol

from otrade_bot.core.events import Event

__all__ = ["Journal", "NullJournal"]


class Journal(Protocol):
    """The append-only diary of a day."""

    def append(self, event: Event, *, durable: bool = False) -> None:
        """Write one line. ``durable`` returns only after fsync. Raises JournalException."""
        ...


class NullJournal:
    """For research, where no diary is wanted."""

    def append(self, event: Event, *, durable: bool = False) -> None:
        """Drop the event."""
