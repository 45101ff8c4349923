"""Candles outside the kernel: for history, charts and warm-up. Same boundaries as the bars inside it."""

from __future__ import annotations

__all__ = ["Candle", "CandleAgg"]

Candle = tuple[int, int, int, int, int, int]
"""End (ns UTC), open, high, low, close (paise), volume."""


class CandleAgg:
    """Ticks or shorter bars into bars of ``timeframe`` ns, counted from the day's ``open`` (ns UTC)."""

    def __init__(self, timeframe: int, day_open: int) -> None:
        if timeframe <= 0:
            raise ValueError("timeframe must be positive")
        self.timeframe, self.day_open = timeframe, day_open
        self._end = 0
        self._bar: list[int] = []

    def tick(self, ts: int, price: int, traded: int) -> list[Candle]:
        """A price at ``ts`` with the volume since the last one; returns the bars that it closes."""
        return self.add(ts, price, price, price, price, traded)

    def add(self, ts: int, o: int, h: int, low: int, c: int, volume: int) -> list[Candle]:
        """A shorter bar, ``ts`` within it."""
        closed = self.flush() if self._bar and ts >= self._end else []
        if not self._bar:
            start = self.day_open + (ts - self.day_open) // self.timeframe * self.timeframe
            self._end = max(self._end, start) + self.timeframe  # late for a flushed bar: into the next one
            self._bar = [o, h, low, c, volume]
            return closed
        bar = self._bar
        bar[1], bar[2], bar[3], bar[4] = max(bar[1], h), min(bar[2], low), c, bar[4] + volume
        return closed

    def standing(self) -> list[Candle]:
        """The bar being built as it is now, left open; none where there is none."""
        if not self._bar:
            return []
        o, h, low, c, volume = self._bar
        return [(self._end, o, h, low, c, volume)]

    def flush(self) -> list[Candle]:
        """The bar being built, closed now; none where there is none."""
        found, self._bar = self.standing(), []
        return found
