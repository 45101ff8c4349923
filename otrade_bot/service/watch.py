"""Does the service still live? What a second process concludes from ``heartbeat.json`` alone.

Silence is what was watched, not what two clocks say of each other: a heartbeat counts as new when it differs from
the one before, and only seconds in which this process itself looked are counted. So neither a clock that is set, nor
that of another machine, nor a machine that slept makes an alarm. Where the watch begins in the middle of a silence,
the age by the clock counts as well, once it has been seen that nothing moves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from otrade_bot.core.clock import MINUTE, SECOND, iso, ist_date
from otrade_bot.core.errors import DataException
from otrade_bot.service.heart import Heart, lives

__all__ = ["AHEAD", "LOOK_S", "REPEAT", "SILENT_S", "Finding", "Hours", "Kind", "Told", "Watch"]

#: How often is looked, and after how much silence an alarm is due: with both, the message leaves within 60 s.
LOOK_S, SILENT_S = 5.0, 40.0
#: One that was stopped in good order, or has yet to start, may need so long.
PATIENT_S = 90.0
#: A watch that has just begun waits so long for a first move.
FIRST_S = 20.0
#: From so long before the open the service should be there.
AHEAD = 10 * MINUTE
#: While something is held, or nobody knows, the alarm comes again.
REPEAT = 15 * MINUTE
#: A rehearsal that fell silent earlier than this before the watch began is of no interest.
REHEARSED = 15 * MINUTE

_CLOSED = ("", "closed", "holiday", "post_close")

#: (open, close) in ns UTC of the sessions that are known, by day.
Hours = Mapping[date, tuple[int, int]]


class Kind(StrEnum):
    SILENT = "silent"  #: it ran, and gives no sign any more
    ABSENT = "absent"  #: the session is near or there, and nothing has run today
    STOPPED = "stopped"  #: ended in good order while the market is open, and something is held
    BACK = "back"  #: after one of these it runs, or has ended in good order


@dataclass(frozen=True, slots=True)
class Told:
    """What was said last and is not over. ``about``: the last sign of life, or the day; ``at`` wall ns."""

    kind: Kind
    about: str
    at: int

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind.value, "about": self.about, "at": self.at}

    @classmethod
    def read(cls, found: object) -> Told | None:
        """None for what is none."""
        try:
            assert isinstance(found, Mapping)
            return cls(Kind(found["kind"]), str(found["about"]), int(found["at"]))
        except (AssertionError, KeyError, TypeError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to be told. ``heart``: the last sign of life, None where there is none. ``silent_s``: for how long
    nothing was heard. ``process``: whether its process is there, None where that cannot be seen. ``opens``: of the
    session that it is about, 0 of a rehearsal's. ``before``: what BACK ends. ``again``: it was told before."""

    kind: Kind
    at: int
    heart: Heart | None
    silent_s: float = 0.0
    process: bool | None = None
    opens: int = 0
    closes: int = 0
    before: Told | None = None
    again: bool = False
    fault: str = ""  #: why the heartbeat cannot be read


@dataclass(slots=True)
class Watch:
    """One heartbeat. ``guest``: a rehearsal's beside the service, which nobody expects to be there."""

    hours: Hours
    told: Told | None = None
    guest: bool = False
    process: Callable[[Heart], bool | None] = lives
    heart: Heart | None = None  #: the last that could be read
    moved: bool = False  #: a beat came while we looked
    waited_s: float = 0.0  #: watched without a new one
    fault: str = ""
    _steady: float | None = field(default=None, repr=False)

    def look(self, read: Callable[[], Heart | None], now: int, steady: float) -> Finding | None:
        """What is to be told now, if anything. ``now`` wall ns, ``steady`` seconds that only advance."""
        self._count(steady)
        try:
            seen, self.fault = read(), ""
        except DataException as error:
            seen, self.fault = None, str(error)
        if seen is not None and (self.heart is None or seen.beat != self.heart.beat):
            self.moved = self.heart is not None
            self.heart, self.waited_s = seen, 0.0
        kind = self._kind(now)
        if kind is None:
            return self._back(now)
        about = ist_date(now).isoformat() if kind is Kind.ABSENT or self.heart is None else iso(self.heart.at)
        return self._due(kind, about, now)

    @property
    def alive(self) -> bool:
        """It beats, as far as was seen."""
        return self.heart is not None and self.heart.running and self.moved and self.waited_s < SILENT_S

    def silent_s(self, now: int) -> float:
        """For how long nothing was heard, s. Until a first move has been waited for, the clock tells nothing."""
        if self.heart is None or self.moved or self.waited_s < FIRST_S:
            return self.waited_s
        return max(self.waited_s, (now - self.heart.at) / SECOND)

    def _count(self, steady: float) -> None:
        """A machine that slept, or a sender that hung, is no silence."""
        passed = 0.0 if self._steady is None else steady - self._steady
        self.waited_s += min(max(passed, 0.0), 2 * LOOK_S)
        self._steady = steady

    def _kind(self, now: int) -> Kind | None:
        """What is wrong now; None where nothing is, or nobody can say yet."""
        heart = self.heart
        todays = heart is not None and ist_date(heart.at) == ist_date(now)
        if heart is not None and (self.guest or (heart.rehearsal and todays)):
            return self._rehearsal(heart, now)
        session = self.session(now)
        if self.guest or session is None:
            return None
        if heart is None or not todays:
            return Kind.ABSENT if self.silent_s(now) >= PATIENT_S else None
        return self._quiet(heart, now) if now >= session[0] or heart.running else None

    def _quiet(self, heart: Heart, now: int) -> Kind | None:
        """It has run today, and may not any more."""
        if heart.running:
            return Kind.SILENT if self.silent_s(now) >= SILENT_S else None
        return Kind.STOPPED if _concerns(heart) and self.silent_s(now) >= PATIENT_S else None

    def _rehearsal(self, heart: Heart, now: int) -> Kind | None:
        """By its own market's phase: the market waits for the service."""
        if heart.phase in _CLOSED or (not self.moved and abs(now - heart.at) > REHEARSED):
            return None
        return self._quiet(heart, now)

    def session(self, now: int) -> tuple[int, int] | None:
        """(open, close) of the session that is on, or about to be; None else."""
        found = self.hours.get(ist_date(now))
        return found if found is not None and found[0] - AHEAD <= now < found[1] else None

    def _due(self, kind: Kind, about: str, now: int) -> Finding | None:
        """Once; again after a while where something is held, and at the open where it was told before it."""
        before, session = self.told, self.session(now)
        same = before is not None and (before.kind, before.about) == (kind, about)
        if same and before is not None and not self._again(before, now, session):
            return None
        self.told = Told(kind, about, now)
        process = self.process(self.heart) if self.heart is not None else None
        opens, closes = session or (0, 0)
        return Finding(
            kind, now, self.heart, self.silent_s(now), process, opens, closes, again=same, fault=self.fault
        )  # fmt: skip

    def _again(self, before: Told, now: int, session: tuple[int, int] | None) -> bool:
        if session is not None and before.at < session[0] <= now:
            return True
        return abs(now - before.at) >= REPEAT and self.heart is not None and _concerns(self.heart)

    def _back(self, now: int) -> Finding | None:
        """Only a move says it; that the market has closed meanwhile does not."""
        heart, told = self.heart, self.told
        if told is None or heart is None or not self.moved or self.waited_s >= SILENT_S:
            return None
        self.told = None
        return Finding(Kind.BACK, now, heart, before=told)


def _concerns(heart: Heart) -> bool:
    """Something is held, or nobody knows."""
    return bool(heart.held or heart.unread)
