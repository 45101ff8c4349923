"""Where order writes stand and wait for their turn: exits first, then stops that are only moved, then entries.

An entry waits for a moment only (a bar's close may bring more signals than a second has room for), then it is not sent.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Literal

from otrade_bot.brokers.budget import Budget
from otrade_bot.core.clock import SECOND, Clock

__all__ = ["Line"]

Place = tuple[int, int]
#: The longest wait of an entry, and how often it looks.
PATIENCE, GLANCE = 3 * SECOND, SECOND // 10


class Line:
    """One queue a budget. While anybody else waits, no entry goes."""

    def __init__(self, budget: Budget, clock: Clock, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._budget, self._clock, self._sleep = budget, clock, sleep
        self._waiting: list[Place] = []
        self._numbers = count()
        self._moved = asyncio.Event()
        self._entries = asyncio.Lock()  #: the first one looks, the others stand behind it

    def __len__(self) -> int:
        return len(self._waiting)

    async def turn(self, *, reduces: bool, counts: bool, urgent: bool = True) -> int | str:
        """When it was let go (ns), which ``ended`` wants to hear again, or why it may not go."""
        if not reduces:
            return await self._entry(counts=counts)
        if not self._waiting:
            now = self._clock.now_ns()
            answer = self._budget.take(now, reduces=True, counts=counts, urgent=urgent)
            if answer == 0 or isinstance(answer, str):
                return answer or now
        place = (0 if urgent else 1, next(self._numbers))
        heapq.heappush(self._waiting, place)
        try:
            return await self._wait(place, counts=counts, urgent=urgent)
        finally:
            self._waiting.remove(place)
            heapq.heapify(self._waiting)
            self._moved.set()
            self._moved = asyncio.Event()

    async def _entry(self, *, counts: bool) -> int | str:
        """Its turn, where that comes soon. However the clock goes, it looks a bounded number of times."""
        until, looks = self._clock.now_ns() + PATIENCE, PATIENCE // GLANCE
        async with self._entries:
            while True:
                now, answer = self._clock.now_ns(), self._try_entry(counts=counts)
                if answer == 0:
                    return now
                if now >= until or looks <= 0 or self._budget.spent(now, counts=counts):
                    return answer
                looks -= 1
                await self._sleep(GLANCE / SECOND)

    def _try_entry(self, *, counts: bool) -> str | Literal[0]:
        if self._waiting:
            return "not sent: exits wait for their turn at the broker"
        answer = self._budget.take(self._clock.now_ns(), reduces=False, counts=counts)
        return "not sent: the broker takes no more just now" if isinstance(answer, int) and answer else answer or 0

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
