"""Where order writes stand and wait for their turn: exits first, then stops that are only moved; entries never wait."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from itertools import count

from otrade_bot.brokers.budget import Budget
from otrade_bot.core.clock import SECOND, Clock

__all__ = ["Line"]

Place = tuple[int, int]


class Line:
    """One queue a budget. While anybody waits, no entry goes."""

    def __init__(self, budget: Budget, clock: Clock, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._budget, self._clock, self._sleep = budget, clock, sleep
        self._waiting: list[Place] = []
        self._numbers = count()
        self._moved = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    async def turn(self, *, reduces: bool, counts: bool, urgent: bool = True) -> int | str:
        """When it was let go (ns), which ``ended`` wants to hear again, or why it may not go."""
        if not self._waiting:
            now = self._clock.now_ns()
            answer = self._budget.take(now, reduces=reduces, counts=counts, urgent=urgent)
            if answer == 0 or isinstance(answer, str):
                return answer or now
        if not reduces:
            return "not sent: exits wait for their turn at the broker"
        place = (0 if urgent else 1, next(self._numbers))
        heapq.heappush(self._waiting, place)
        try:
            return await self._wait(place, counts=counts, urgent=urgent)
        finally:
            self._waiting.remove(place)
            heapq.heapify(self._waiting)
            self._moved.set()
            self._moved = asyncio.Event()

    def ended(self, taken_ns: int) -> None:
        """The write that was let go then has been answered."""
        self._budget.ended(taken_ns, self._clock.now_ns())

    async def _wait(self, place: Place, *, counts: bool, urgent: bool) -> int | str:
        while True:
            if self._waiting[0] != place:
                await self._moved.wait()
                continue
            now = self._clock.now_ns()
            answer = self._budget.take(now, reduces=True, counts=counts, urgent=urgent)
            if answer == 0 or isinstance(answer, str):
                return answer or now
            await self._sleep(answer / SECOND)
