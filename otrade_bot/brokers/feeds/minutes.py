"""A day's candles as prices: bars that are built from them are the candles again.

Each candle becomes four prices: open, then high and low in the likelier order, then close. A price far from the one
before it comes as often as the filter of bad prints wants to hear it; what it takes once it lets pass again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from otrade_bot.brokers.feeds.ticks import BarFile, TickFile
from otrade_bot.brokers.quotes import Candle, Candles
from otrade_bot.core.clock import MINUTE
from otrade_bot.core.money import Paise

__all__ = ["Believed", "Heard", "bar_file", "tick_file"]

#: The close comes so long before its minute ends that no rounding carries it into the next one.
MARGIN = 1_000_000
#: Between the repeats of a price that waits to be believed.
REPEAT = 1_000


@dataclass(frozen=True, slots=True)
class Heard:
    """A price of a stream: when (ns UTC), what, and the day's volume as the stream has it (0: not told)."""

    ts: int
    price: Paise
    volume: int


@dataclass(frozen=True, slots=True)
class Believed:
    """The filter of bad prints: further than ``ppm`` from the last price, only after ``times`` in a row."""

    ppm: int = 0
    times: int = 1

    def repeats(self, before: Paise, price: Paise) -> int:
        """How often the price must come. The first one of a day may be far from yesterday's."""
        near = before and (not self.ppm or abs(price - before) * 1_000_000 <= self.ppm * before)
        return 1 if near else max(1, self.times)


class _Prices:
    """Columns that grow, in the order of time; volumes never fall."""

    def __init__(self, believed: Believed, traded: bool) -> None:
        self.ts: list[int] = []
        self.price: list[int] = []
        self.volume: list[int] = []
        self.traded = 0
        self._believed, self._traded = believed, traded
        self._heard: int | None = None  #: the stream's volume at its last price

    def _put(self, ts: int, price: Paise) -> None:
        self.ts.append(max(ts, self.ts[-1] + 1) if self.ts else ts)
        self.price.append(price)
        self.volume.append(self.traded)

    def candle(self, candle: Candle, end: int) -> None:
        """Within [its start, ``end``)."""
        rising = candle.close >= candle.open
        prices = (candle.open, *((candle.low, candle.high) if rising else (candle.high, candle.low)), candle.close)
        span, before = max(0, end - MARGIN - candle.ts_ns), self.traded
        for k, price in enumerate(prices):
            self.traded = before + candle.volume * (k + 1) // 4
            for again in range(self._believed.repeats(self.price[-1] if self.price else 0, price)):
                self._put(candle.ts_ns + span * k // 3 + again * REPEAT, price)
        self._heard = None

    def heard(self, told: Heard) -> None:
        """A stream's volume counts from its first price on: what was traded before it is in the candles."""
        if self._traded and self._no_trade(told):
            return
        if told.volume:
            self.traded += max(0, told.volume - self._heard) if self._heard is not None else 0
            self._heard = told.volume
        self._put(told.ts, told.price)

    def _no_trade(self, told: Heard) -> bool:
        """Yesterday's price, or a change of the order book at the last one, where it would begin a minute."""
        if not self.ts:
            return not told.volume
        same = told.price == self.price[-1] and self._heard in (None, told.volume)
        return same and told.ts // MINUTE > self.ts[-1] // MINUTE


def tick_file(
    symbol: str, source: str, candles: Iterable[Candle], known_ns: int, tape: Sequence[Heard] = (),
    believed: Believed | None = None, *, traded: bool = True,
) -> TickFile:  # fmt: skip
    """The prices of one-minute ``candles`` as they were known at ``known_ns``, then of ``tape``, what a stream has told
    since it began: a minute after the tape's first one that the tape has prices of is the tape's. May be empty.

    The minute that is under way ends with the last moment that the candle can know of. ``traded`` False: an index,
    whose prices come without trades.
    """
    prices = _Prices(believed or Believed(), traded)
    began = tape[0].ts if tape else 0
    taped = {one.ts // MINUTE for one in tape if one.ts // MINUTE > began // MINUTE}
    waiting = list(tape)
    for candle in candles:
        if candle.ts_ns // MINUTE in taped:
            continue
        while waiting and waiting[0].ts < candle.ts_ns:
            prices.heard(waiting.pop(0))
        ends = [candle.ts_ns + MINUTE, known_ns]
        if began // MINUTE == candle.ts_ns // MINUTE:
            ends.append(began)
        prices.candle(candle, min(ends))
    for one in waiting:
        prices.heard(one)
    ts, price, volume = (np.array(column, np.int64) for column in (prices.ts, prices.price, prices.volume))
    return TickFile(symbol, source, ts, price, volume, len(ts))


def bar_file(symbol: str, source: str, candles: Candles | Sequence[Candle], length: int) -> BarFile:
    """The same as bars of ``length`` ns."""
    table = (candles if isinstance(candles, Candles) else Candles.made(candles)).table
    starts, o, h, low, c, v = np.ascontiguousarray(table.T)
    return BarFile(symbol, source, starts + length, o, h, low, c, v, len(candles), length)
