"""Records of prices as Python reads and writes them: by name, in plain integers, at about the cost of an attribute.

What compiled code keeps of a row while nothing happens there (QUOTE), and the head of a call over a frame (FEED).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from otrade_bot.kernel.state import FEED, QUOTE

__all__ = ["FeedHead", "Quote", "cells"]


def cells(array: npt.NDArray[Any]) -> memoryview:
    """The int64 fields of all records, one behind the other: what is written there is in the array."""
    return memoryview(array.view(np.int64).data).cast("B").cast("q")


class _Cell:
    """One field of a record."""

    __slots__ = ("at",)

    def __init__(self, at: int) -> None:
        self.at = at

    def __get__(self, record: _Record, owner: type[_Record]) -> int:
        found: int = record.cells[record.at + self.at]
        return found

    def __set__(self, record: _Record, value: int) -> None:
        record.cells[record.at + self.at] = value


class _Record:
    """In a list of its own, until it is moved into an array."""

    __slots__ = ("at", "cells")
    size = 0

    def __init__(self) -> None:
        self.cells: Any = [0] * self.size
        self.at = 0

    def move(self, to: memoryview, number: int) -> None:
        """It lives in that record of an array from now on, with what it holds."""
        held, at = self.values(), number * self.size
        for i, value in enumerate(held):
            to[at + i] = value
        self.cells, self.at = to, at

    def leave(self) -> None:
        """It lives by itself from now on, with what it holds."""
        self.cells, self.at = self.values(), 0

    def values(self) -> list[int]:
        """In the dtype's order."""
        return list(self.cells[self.at : self.at + self.size])


def _at(dtype: np.dtype[Any]) -> dict[str, _Cell]:
    return {name: _Cell(i) for i, name in enumerate(dtype.names or ())}


_QUOTE, _FEED = _at(QUOTE), _at(FEED)
_LAST, _LAST_TS, _VOLUME, _BEFORE, _BEFORE_TS, _TICKS, _FIRST = (
    _QUOTE[name].at for name in "last last_ts volume before before_ts ticks first".split()
)


class Quote(_Record):
    """Of one instrument; see ``state.QUOTE``."""

    __slots__ = ()
    size = len(_QUOTE)

    token, ltp, ts, exchange_ts, heard = (_QUOTE[name] for name in "token ltp ts exchange_ts heard".split())
    last, last_ts, volume = (_QUOTE[name] for name in "last last_ts volume".split())
    before, before_ts = (_QUOTE[name] for name in "before before_ts".split())
    told, more, has_more, first, ticks = (_QUOTE[name] for name in "told more has_more first ticks".split())
    attend, until, depth = (_QUOTE[name] for name in "attend until depth".split())
    minute_high, minute_low, minute_close, minute_volume = (
        _QUOTE[f"minute_{name}"] for name in "high low close volume".split()
    )

    def mark(self, ts: int, price: int, volume: int) -> None:
        """A price is acted on, as ``frames.used`` has it; by places, since every price of a paper day comes here."""
        c, at = self.cells, self.at
        c[at + _BEFORE], c[at + _BEFORE_TS] = c[at + _VOLUME], c[at + _LAST_TS]
        c[at + _LAST], c[at + _LAST_TS], c[at + _VOLUME] = price, ts, volume
        c[at + _TICKS] += 1
        if not c[at + _FIRST]:
            c[at + _FIRST] = price

    def start_day(self) -> None:
        """Nothing of the day before counts; its last price stays."""
        self.volume = self.before = self.ticks = self.first = 0

    def copy(self) -> Quote:
        """One that lives by itself."""
        other = Quote()
        other.cells = self.values()
        return other


class FeedHead(_Record):
    """What a call over a frame is told, and tells; see ``state.FEED``."""

    __slots__ = ()
    size = len(_FEED)

    now, snapshot, record, until, at_byte, stop = (
        _FEED[name] for name in "now snapshot record until at stop".split()
    )
    row, ts, price, volume, taped = (_FEED[name] for name in "row ts price volume taped".split())
    frames, packets, unknown, misshapen, torn, told, used = (
        _FEED[name] for name in "frames packets unknown misshapen torn told used".split()
    )
