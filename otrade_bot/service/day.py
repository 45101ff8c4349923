"""A day from recorded or simulated prices, driven through the engine by its own clock.

Prices and minutes come in the order of market time whatever the speed, so that a day at any speed, and a
day that is resumed after a crash, trades alike. Speed only decides how long we sleep between them.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import takewhile

import numpy as np
import numpy.typing as npt

from otrade_bot.brokers.feeds import TickFile, merge
from otrade_bot.core.clock import DAY, SECOND, ManualClock, midnight_ns
from otrade_bot.trading.engine import LiveTradingEngine
from otrade_bot.trading.recover import HistoryTick

__all__ = ["NOTHING", "DayDriver", "Pace", "Past", "Stream", "inputs", "outliers", "prices", "stream_of"]

#: At full speed the event loop gets a turn this often, in seconds of wall time.
BREATH = 0.02
#: Prices made into Python numbers at a time.
PIECE = 4096


@dataclass(frozen=True, slots=True)
class Stream:
    """Prices of a day in the order they are fed: ns UTC, row of the engine, paise, the day's volume."""

    ts: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    price: npt.NDArray[np.int64]
    volume: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ts)


NOTHING = Stream(*(np.empty(0, np.int64) for _ in range(4)))


def stream_of(
    files: Sequence[TickFile], day: date, engine: LiveTradingEngine
) -> tuple[Stream, int, Counter[str]]:
    """The day's prices in order, the number of lines behind them, and why lines are not among them.

    Every symbol has a row of the engine. What cannot be used at all is counted by reason: the files' own,
    ``other_day``, and ``out_of_order`` for a stamp that lies far ahead of what follows it.
    """
    unread: Counter[str] = Counter()
    kept = [_of_day(f, day, unread) for f in files]
    ts, index, price, volume = merge(kept)
    # A moment of its own for every price, so that a killed day is resumed behind the last one.
    ts = ts + _again(ts, index) * len(kept) + index + 1
    rows = np.array([engine.by_symbol[f.symbol] for f in kept], np.int64)
    return Stream(ts, rows[index], price, volume), sum(f.lines for f in files), +unread


def _again(ts: npt.NDArray[np.int64], index: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many lines before it have the same file and stamp."""
    order = np.lexsort((ts, index))
    first = np.append(True, (np.diff(ts[order]) != 0) | (np.diff(index[order]) != 0))
    place = np.arange(len(ts))
    again = np.empty(len(ts), np.int64)
    again[order] = place - np.maximum.accumulate(np.where(first, place, 0))
    return again


def _of_day(file: TickFile, day: date, unread: Counter[str]) -> TickFile:
    """The file's lines of ``day`` without misread clocks; what is left out is added to ``unread``."""
    unread.update(file.dropped)
    start = midnight_ns(day)
    other = (file.ts < start) | (file.ts >= start + DAY)
    ahead = np.zeros(len(file), bool)
    ahead[~other] = outliers(file.ts[~other])
    unread["other_day"] += int(other.sum())
    unread["out_of_order"] += int(ahead.sum())
    use = ~(other | ahead)
    return TickFile(
        file.symbol, file.source, file.ts[use], file.price[use], file.volume[use], file.lines, file.dropped
    )


def inputs(stream: Stream, timers: Iterable[int]) -> Iterator[HistoryTick]:
    """Every input of a day in order: prices, and minute timers (row -1) before what is at or after them."""
    waiting = iter(timers)
    timer = next(waiting, None)
    for step in prices(stream):
        while timer is not None and timer <= step[0]:
            yield timer, -1, 0, 1
            timer = next(waiting, None)
        yield step
    while timer is not None:
        yield timer, -1, 0, 1
        timer = next(waiting, None)


@dataclass(frozen=True, slots=True)
class Past:
    """The inputs of a day up to and with ``until``, made anew each time one goes through them: of two hundred shares at
    the end of a day it would be fifty megabytes."""

    stream: Stream
    timers: Sequence[int]
    until: int

    def __iter__(self) -> Iterator[HistoryTick]:
        return takewhile(lambda step: step[0] <= self.until, inputs(self.stream, self.timers))


def prices(stream: Stream, after: int = 0) -> Iterator[HistoryTick]:
    """Those later than ``after``, in order; made piece by piece, since a day of Python tuples is large."""
    first = int(np.searchsorted(np.maximum.accumulate(stream.ts), after, side="right"))  # a late line goes back
    for start in range(first, len(stream), PIECE):
        part = slice(start, start + PIECE)
        columns = (stream.ts, stream.row, stream.price, stream.volume)
        yield from zip(*(column[part].tolist() for column in columns), strict=True)


@dataclass(slots=True)
class Pace:
    """``speed`` times faster than the market; 0 = as fast as it goes.

    ``behind``: how many seconds too late the last moment came.
    """

    speed: float
    behind: float = 0.0
    _market: int = 0
    _wall: float = 0.0
    _breath: float = field(default=0.0)

    async def until(self, ts: int) -> None:
        """Sleep until it is market time ``ts`` at this speed."""
        now = time.monotonic()
        if self.speed <= 0:
            if now - self._breath > BREATH:
                await asyncio.sleep(0)
                self._breath = time.monotonic()
            return
        if self._market == 0:
            self._market, self._wall = ts, now
        wait = self._wall + (ts - self._market) / SECOND / self.speed - now
        self.behind = max(0.0, -wait)
        if wait > 0.001:
            await asyncio.sleep(wait)
        elif now - self._breath > BREATH:
            await asyncio.sleep(0)
            self._breath = time.monotonic()


class DayDriver:
    """Feeds one day. ``stop`` ends it early, between two inputs."""

    def __init__(self, engine: LiveTradingEngine, clock: ManualClock, stream: Stream) -> None:
        self.engine, self.clock, self.stream = engine, clock, stream
        self.stopped = False

    def steps(self) -> Iterator[HistoryTick]:
        """Every input of the day in order."""
        return inputs(self.stream, self.engine.timers)

    def past(self, until: int) -> Iterator[HistoryTick]:
        """The inputs up to and with ``until``."""
        for step in self.steps():
            if step[0] > until:
                return
            yield step

    async def run(self, pace: Pace, after: int = 0) -> None:
        """Feed what comes later than ``after``."""
        engine, clock = self.engine, self.clock
        for ts, row, price, volume in self.steps():
            if ts <= after:
                continue
            if self.stopped:
                return
            await pace.until(ts)
            clock.advance_to(ts)
            if row >= 0:
                engine.on_price(row, ts, price, volume)
            else:
                engine.on_time(ts)
                await engine.reconcile()

    def stop(self) -> None:
        self.stopped = True


def outliers(ts: npt.NDArray[np.int64], window: int = 9, gap: int = 60 * SECOND) -> npt.NDArray[np.bool_]:
    """Stamps that lie more than ``gap`` ahead of most of what follows them: a misread clock, not a later
    time. A single line that comes late makes no outliers of those before it.

    Without this one such stamp would make everything after it look out of order.
    """
    behind = np.zeros(len(ts), np.int64)
    for k in range(1, min(window, len(ts) - 1) + 1):
        behind[:-k] += ts[:-k] - ts[k:] > gap
    followers = np.minimum(window, np.arange(len(ts))[::-1])
    return behind * 2 > followers
