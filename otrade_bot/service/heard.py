"""What a stream tells while a day is being opened: columns, since that may be two hundred thousand prices."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from datetime import date

import numpy as np
from numpy.typing import NDArray

from otrade_bot.brokers.feeds.minutes import Heard
from otrade_bot.core.clock import DAY, midnight_ns

__all__ = ["HeardTape", "Told"]


class Told(Mapping[str, list[Heard]]):
    """Prices by symbol, each symbol's in the order they came; made into ``Heard`` where one asks for them."""

    def __init__(self, places: Mapping[str, int], rows: NDArray[np.int64]) -> None:
        """``rows``: place of the symbol, moment, price, volume."""
        self._rows = rows[np.argsort(rows[:, 0], kind="stable")]
        edges = {symbol: np.searchsorted(self._rows[:, 0], (place, place + 1)) for symbol, place in places.items()}
        self._parts = {symbol: slice(*edge.tolist()) for symbol, edge in edges.items() if edge[0] < edge[1]}

    def __getitem__(self, symbol: str) -> list[Heard]:
        return [Heard(*told) for told in self._rows[self._parts[symbol], 1:].tolist()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


class HeardTape:
    """Prices in the order they came, which is that of the moments at which they came."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all of it."""
        self._places: dict[str, int] = {}
        self._came, self._place, self._ts, self._price, self._volume = (array("q") for _ in range(5))

    def __len__(self) -> int:
        return len(self._came)

    def keep(self, came_ns: int, symbol: str, heard: Heard) -> None:
        """One more."""
        self._came.append(came_ns)
        self._place.append(self._places.setdefault(symbol, len(self._places)))
        self._ts.append(heard.ts)
        self._price.append(heard.price)
        self._volume.append(heard.volume)

    def before(self, ns: int) -> int:
        """How many came before this moment."""
        return bisect_left(self._came, ns)

    def told(self, count: int, since_ns: int, day: date) -> Told:
        """Of the first ``count`` those that came at ``since_ns`` or later and are of ``day``."""
        columns = (self._place, self._ts, self._price, self._volume)
        rows = np.stack([np.array(column[:count], np.int64) for column in columns], axis=1)
        start = midnight_ns(day)
        of_day = (rows[:, 1] >= start) & (rows[:, 1] < start + DAY)
        return Told(self._places, rows[of_day & (np.array(self._came[:count], np.int64) >= since_ns)])

    def rest(self, first: int) -> list[tuple[str, Heard]]:
        """All from the ``first`` on (0: the oldest)."""
        names = list(self._places)
        columns = (self._place, self._ts, self._price, self._volume)
        return [(names[place], Heard(*told)) for place, *told in zip(*(c[first:] for c in columns), strict=True)]
