"""Where time comes from. Inside: integer nanoseconds since the epoch, UTC. At the rim: Asia/Kolkata.

Market time is an injected clock, so that a rehearsed day and a live day run the same code.
"""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta, timezone
from typing import Protocol

__all__ = [
    "IST",
    "MINUTE",
    "SECOND",
    "Clock",
    "ManualClock",
    "SystemClock",
    "at_ist",
    "from_iso",
    "iso",
    "ist_date",
    "midnight_ns",
    "to_ist",
]

#: India has had one offset and no daylight saving since 1945, so a fixed offset is exact
#: for every date this system can meet, and needs no zone database.
IST = timezone(timedelta(hours=5, minutes=30), "IST")

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND
_OFFSET = 19_800 * SECOND
_EPOCH = date(1970, 1, 1)


class Clock(Protocol):
    """Market time."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        return time.time_ns()


class ManualClock:
    """A clock that stands still until told; a rehearsal and the tests drive it. Never goes back."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now = start_ns

    def now_ns(self) -> int:
        return self._now

    def advance_to(self, ns: int) -> None:
        """Move to ``ns``; an earlier moment leaves the clock where it is."""
        self._now = max(self._now, ns)


def midnight_ns(day: date) -> int:
    """00:00 IST of ``day`` as ns UTC."""
    return (day - _EPOCH).days * DAY - _OFFSET


def ist_date(ns: int) -> date:
    """The calendar day in India at ``ns`` (UTC)."""
    return _EPOCH + timedelta(days=(ns + _OFFSET) // DAY)


def at_ist(day: date, hour: int, minute: int = 0, second: int = 0) -> int:
    """A wall time in India as ns UTC."""
    return midnight_ns(day) + (hour * 3600 + minute * 60 + second) * SECOND


def to_ist(ns: int) -> datetime:
    """Aware datetime in IST, to the microsecond."""
    return datetime.fromtimestamp(ns // SECOND, IST).replace(microsecond=ns % SECOND // 1000)


def iso(ns: int) -> str:
    """ISO-8601 with +05:30, to the second, or to the microsecond where there is a fraction."""
    return to_ist(ns).isoformat()


def from_iso(text: str) -> int:
    """ns UTC of an ISO-8601 text; without an offset it is read as IST. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=IST)
    delta = moment - datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds * 1000
