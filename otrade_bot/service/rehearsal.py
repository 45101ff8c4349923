"""A day under an injected clock: the same service, jobs and prices, in the order of market time.

Everything that happens on the day (prices, minutes, the second's pulse, the jobs) is one merged sequence, so
a rehearsal trades alike at any speed. Killed and started again it goes on where it was: the market waits
for the service. With ``keep_time`` it does not, and what happened meanwhile is caught up like after a crash.
"""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import orjson

from otrade_bot.core.clock import DAY, SECOND, ManualClock, from_iso, iso, ist_date, midnight_ns
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.jsonlines import LineLog
from otrade_bot.research.tape import tape_folder
from otrade_bot.service.control_state import FILE as CONTROL
from otrade_bot.service.day import Pace
from otrade_bot.service.folder import mark_of
from otrade_bot.service.journal import day_path, mended, read_day
from otrade_bot.service.plan import Job
from otrade_bot.service.recorder import forget_day
from otrade_bot.service.statefile import write_state
from otrade_bot.trading.engine import LiveTradingEngine
from otrade_bot.trading.recover import HistoryTick

__all__ = ["Played", "Rehearsal", "drive", "start_text"]

#: Years with room around them for calendars and earlier days.
_FIRST, _LAST = 1950, 2199
_MINUTE, _PULSE, _JOB, _PRICE = range(4)  # the order of equal moments


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What is rehearsed. ``start`` ns UTC; ``source`` names the prices."""

    start: int
    speed: float
    source: str
    keep_time: bool = False

    @property
    def day(self) -> date:
        return ist_date(self.start)

    def begin(self, state_dir: Path, wall_ns: int) -> tuple[int, bool]:
        """(market time to start from, whether an interrupted rehearsal goes on).

        A new rehearsal empties the paper account and the journal of its day in ``state_dir``. Raises ConfigException
        where that cannot be done.
        """
        mark = state_dir / mark_of("rehearsal")
        before = _read(mark)
        same = before.get("start") == iso(self.start) and before.get("source") == self.source
        if same and not before.get("ended") and "wall" in before:
            return max(self.start, self._reached(state_dir, before, wall_ns)), True
        try:
            self._empty(state_dir)
            self._note(mark, wall_ns, ended=False)
        except OSError as error:
            raise ConfigException(
                f"cannot be prepared: {error.filename}: {error.strerror}", key="OTRADE_STATE_DIR", value=str(state_dir)
            ) from error
        return self.start, False

    def _empty(self, state_dir: Path) -> None:
        """A new account has no diary and no flatten that waits; a pause is a person's, and stays."""
        for path in (state_dir / "paper.jsonl", day_path(state_dir, self.day)):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        forget_day(tape_folder(state_dir), self.day)
        decided = _read(state_dir / CONTROL)
        if decided.pop("flatten", None) is not None:
            write_state(state_dir / CONTROL, decided, durable=True)

    def end(self, state_dir: Path, wall_ns: int) -> None:
        """The day is over: the next start begins anew."""
        self._note(state_dir / mark_of("rehearsal"), wall_ns, ended=True)

    def _note(self, mark: Path, wall_ns: int, *, ended: bool) -> None:
        noted = {"start": iso(self.start), "source": self.source, "wall": wall_ns, "ended": ended}
        mark.write_bytes(orjson.dumps(noted) + b"\n")

    def _reached(self, state_dir: Path, before: dict[str, Any], wall_ns: int) -> int:
        """How far the market is: what book and journal have seen, or where it would be by now."""
        mended(state_dir, self.day)
        book = (line.get("ts") for line in LineLog.read(state_dir / "paper.jsonl"))
        diary = (line.get("ns") for line in read_day(state_dir, self.day) if line.get("kind") != "run")
        seen = max((ns for ns in (*book, *diary) if isinstance(ns, int)), default=0)
        if not self.keep_time:
            return seen
        last = midnight_ns(self.day) + DAY - SECOND  # a rehearsal is one day: it ends with that day's report
        return max(seen, min(last, self.start + int((wall_ns - int(before["wall"])) * self.speed)))


def _read(mark: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(mark.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def start_text(text: str) -> int:
    """'2021-06-01T09:14:50' (IST) -> ns UTC. Raises ConfigException."""
    try:
        moment = datetime.fromisoformat(text)
        if not _FIRST <= moment.year <= _LAST:
            raise ValueError("a year without prices")
        return from_iso(moment.isoformat())
    except (ValueError, OverflowError):
        raise ConfigException(
            "is no moment", key="--rehearse", value=text,
            allowed=f"YYYY-MM-DDTHH:MM:SS, Indian time, {_FIRST} to {_LAST}",
        ) from None


@dataclass(slots=True)
class Played:
    """How the driving went: the furthest that an input came behind its due time, wall seconds."""

    worst_late_s: float = 0.0
    inputs: int = 0


async def drive(
    engine: LiveTradingEngine,
    clock: ManualClock,
    steps: Iterable[HistoryTick],
    jobs: Sequence[Job],
    run_job: Callable[[Job], Awaitable[None]],
    *,
    after: int,
    speed: float,
    played: Played,
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """The jobs that are due already, then everything later than ``after`` to the last job, ``speed`` times
    faster than the market. True at the end; False where ``stop`` told to leave off, between two moments: what comes
    later than the clock says has not been done."""
    for job in jobs:
        if job.at <= after:
            await run_job(job)
    pace = Pace(speed)
    await pace.until(after)
    end = max((job.at for job in jobs), default=after)
    for ts, rank, what in _merged(steps, jobs, after, end):
        await pace.until(ts)
        if stop() and ts > clock.now_ns():
            return False
        played.worst_late_s = max(played.worst_late_s, pace.behind)
        played.inputs += 1
        clock.advance_to(ts)
        if rank == _PRICE:
            engine.on_price(what[1], ts, what[2], what[3])
        elif rank == _PULSE:
            engine.pulse(ts)
        elif rank == _MINUTE:
            engine.on_time(ts)
            await engine.reconcile()
        else:
            await run_job(what)
    return True


def _merged(
    steps: Iterable[HistoryTick], jobs: Sequence[Job], after: int, end: int
) -> Iterator[tuple[int, int, Any]]:
    prices = ((step[0], _MINUTE if step[1] < 0 else _PRICE, step) for step in steps if step[0] > after)
    pulses = ((ts, _PULSE, None) for ts in range((after // SECOND + 1) * SECOND, end + 1, SECOND))
    due = ((job.at, _JOB, job) for job in sorted(jobs) if job.at > after)
    return heapq.merge(prices, pulses, due, key=lambda item: item[:2])


