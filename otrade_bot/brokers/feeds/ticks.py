"""Ticks and bars as columns, and several instruments' ticks as one stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray

from otrade_bot.core.clock import MINUTE, ist_date

__all__ = ["BarFile", "Ints", "TickFile", "merge"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TickFile:
    """One instrument's ticks, in the order in which they were recorded (not always that of time).

    ``ts`` is ns UTC, ``price`` paise, ``volume`` the day's cumulative volume (0 for an index); all
    int64 of the same length, at least 1. ``lines == len(ts) + sum(dropped.values())``.
    """

    symbol: str
    source: str  #: the file's path, or what made the ticks
    ts: Ints
    price: Ints
    volume: Ints
    lines: int
    dropped: Mapping[str, int] = field(default_factory=dict)  #: unusable lines by reason, never a zero

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def day(self) -> date:
        """The first tick's day in India."""
        return ist_date(int(self.ts[0]))


@dataclass(frozen=True, slots=True, eq=False)
class BarFile:
    """One instrument's bars in file order. ``ts_end`` (ns UTC) is a bar's end, prices are paise and
    ``volume`` is that of the bar alone (0 where the file has none); all int64 of the same length."""

    symbol: str
    source: str
    ts_end: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    lines: int
    length: int = MINUTE  #: of one bar, ns
    dropped: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ts_end)

    @property
    def day(self) -> date:
        """The day in India on which the first bar began."""
        return ist_date(int(self.ts_end[0]) - self.length)


def merge(files: Sequence[TickFile]) -> tuple[Ints, Ints, Ints, Ints]:
    """All ticks of ``files`` as one stream: ``(ts, file_index, price, volume)``, each int64.

    A tick is due at the latest time its file has shown so far, so that a file keeps its own order even
    where its stamps go back (the kernel judges those). Ties go by the order of ``files``.
    """
    if not files:
        return tuple(np.empty(0, np.int64) for _ in range(4))  # type: ignore[return-value]
    due = np.concatenate([np.maximum.accumulate(f.ts) for f in files])
    index = np.repeat(np.arange(len(files), dtype=np.int64), [len(f) for f in files])
    order = np.argsort(due, kind="stable")
    columns = (np.concatenate([getattr(f, name) for f in files]) for name in ("ts", "price", "volume"))
    ts, price, volume = (column[order] for column in columns)
    return ts, index[order], price, volume
