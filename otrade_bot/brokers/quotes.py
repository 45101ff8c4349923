"""What a broker tells of prices when it is asked. Prices in paise, times in ns UTC."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import overload

import numpy as np
from numpy.typing import NDArray

from otrade_bot.core.clock import ist_date
from otrade_bot.core.money import Paise

__all__ = ["Candle", "Candles", "MarketQuote"]

COLUMNS = 6  #: of a candle


@dataclass(frozen=True, slots=True)
class MarketQuote:
    """The day of one instrument so far. 0 where the broker does not say."""

    symbol: str
    ltp: Paise
    open: Paise = 0
    high: Paise = 0
    low: Paise = 0
    close: Paise = 0  #: of the day before
    volume: int = 0  #: of the day
    bid: Paise = 0
    ask: Paise = 0
    lower_circuit: Paise = 0
    upper_circuit: Paise = 0
    ts_ns: int = 0  #: of the last trade


@dataclass(frozen=True, slots=True)
class Candle:
    """One candle; ``ts_ns`` is where it begins."""

    ts_ns: int
    open: Paise
    high: Paise
    low: Paise
    close: Paise
    volume: int


class Candles(Sequence[Candle]):
    """Candles in the order of time, each start once, as one table: 48 bytes each instead of 300. Columns are those of
    ``Candle``; a ``Candle`` is made of a row when one is asked for."""

    __slots__ = ("table",)

    def __init__(self, table: NDArray[np.int64] | Sequence[Sequence[int]] = ()) -> None:
        """Rows in any order; of several that begin together the last one counts. Raises ValueError, OverflowError."""
        rows = np.asarray(table, np.int64).reshape(-1, COLUMNS)
        if len(rows) > 1 and not (np.diff(rows[:, 0]) > 0).all():
            rows = rows[np.argsort(rows[:, 0], kind="stable")]
            rows = rows[np.append(np.diff(rows[:, 0]) > 0, True)]
        self.table = rows

    @classmethod
    def made(cls, candles: Iterable[Candle]) -> Candles:
        """Of candles one by one."""
        return cls([(one.ts_ns, one.open, one.high, one.low, one.close, one.volume) for one in candles])

    @classmethod
    def of(cls, parts: Iterable[Candles]) -> Candles:
        """All of them; what a later part tells again is taken from there."""
        tables = [part.table for part in parts]
        return cls(np.concatenate(tables) if tables else ())

    @classmethod
    def unpacked(cls, packed: bytes) -> Candles:
        """What ``packed`` made; b"" holds none."""
        steps = np.frombuffer(zlib.decompress(packed) if packed else b"", np.int64)
        return cls(np.cumsum(steps.reshape(-1, COLUMNS), axis=0))

    def packed(self) -> bytes:
        """To be kept all day: a few bytes each."""
        return zlib.compress(np.diff(self.table, axis=0, prepend=0).tobytes(), 1)

    @property
    def starts(self) -> NDArray[np.int64]:
        """ns UTC."""
        return self.table[:, 0]

    def days(self) -> list[date]:
        """In India, on which any of them begins."""
        return sorted({ist_date(ts) for ts in self.starts.tolist()})

    def between(self, first: int, end: int) -> Candles:
        """Those that begin within [first, end), a copy of their own."""
        low, high = np.searchsorted(self.starts, (first, end)).tolist()
        return Candles(self.table[low:high].copy())

    def __len__(self) -> int:
        return len(self.table)

    @overload
    def __getitem__(self, place: int) -> Candle: ...
    @overload
    def __getitem__(self, place: slice) -> Candles: ...
    def __getitem__(self, place: int | slice) -> Candle | Candles:
        return Candles(self.table[place]) if isinstance(place, slice) else Candle(*self.table[place].tolist())

    def __iter__(self) -> Iterator[Candle]:
        return (Candle(*row.tolist()) for row in self.table)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Candles):
            return np.array_equal(self.table, other.table)
        return list(self) == other if isinstance(other, list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]
