"""How late the event loop is: one small task that sleeps, and looks by how much it overslept."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from math import ceil

__all__ = ["LoopWatch"]


class LoopWatch:
    """Lag of the newest ``window_s`` seconds, measured every ``period_s``. ``steady`` gives seconds."""

    def __init__(
        self, period_s: float = 0.25, window_s: float = 60.0, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._period, self._window, self._steady = period_s, window_s, steady
        self._seen: deque[tuple[float, float]] = deque(maxlen=max(1, round(window_s / period_s)))

    async def run(self) -> None:
        """For ever."""
        while True:
            due = self._steady() + self._period
            await asyncio.sleep(self._period)
            self.woke(due)

    def woke(self, due: float) -> None:
        """It is now, and should have been ``due``."""
        now = self._steady()
        self._seen.append((now, max(0.0, now - due)))

    @property
    def max_ms(self) -> float:
        """The worst of the window; 0 before the first measure."""
        return self._at(1.0)

    @property
    def p99_ms(self) -> float:
        """What 99 of 100 did not exceed."""
        return self._at(0.99)

    def _at(self, share: float) -> float:
        start = self._steady() - self._window
        lags = sorted(lag for at, lag in self._seen if at >= start)
        return round(1000 * lags[ceil(share * len(lags)) - 1], 1) if lags else 0.0
