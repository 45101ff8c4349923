"""How often a broker may be asked for what, and for how long it is left in peace after it said "too many"."""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping

from otrade_bot.core.clock import SECOND, Clock

__all__ = ["KITE", "UPSTOX", "Pace", "Steady", "rest", "tries"]

#: Requests a second by kind of read; what is not named is "other".
KITE = {"quotes": 1, "candles": 3, "other": 8}
UPSTOX = {"other": 20}
LONGEST_S = 8.0  #: between two attempts of a read
PATIENCE = 5  #: further attempts of a read that the broker was too busy for


class Steady:
    """The machine's clock that nobody sets, told as ns UTC: for counting what leaves the machine."""

    def __init__(self) -> None:
        self._start = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        return self._start + time.monotonic_ns()


class Pace:
    """Each kind of read in its own line, in the order of asking."""

    def __init__(
        self, rates: Mapping[str, int], clock: Clock, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._rates, self._clock, self._sleep = rates, clock, sleep
        self._left: dict[str, deque[int]] = defaultdict(deque)
        self._lines: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @classmethod
    def of(cls, broker: str, clock: Clock, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> Pace:
        """As the broker of this name wants it."""
        return cls({"kite": KITE, "upstox": UPSTOX}[broker], clock, sleep)

    async def turn(self, what: str) -> None:
        """Wait until one more request of this kind may leave."""
        kind = what if what in self._rates else "other"
        async with self._lines[kind]:
            left, most = self._left[kind], self._rates[kind]
            while (wait := self._wait(left, most)) > 0:
                await self._sleep(wait / SECOND)
            left.append(self._clock.now_ns())
            while len(left) > most:
                left.popleft()

    def _wait(self, left: deque[int], most: int) -> int:
        """ns; a clock set back makes nobody wait longer than a second."""
        if len(left) < most:
            return 0
        return min(SECOND, left[0] + SECOND - self._clock.now_ns())


def tries(otherwise: int, pace: Pace | None, *, busy: bool) -> int:
    """Further attempts of a read: more where the broker is only busy, and somebody keeps the pace."""
    return max(otherwise, PATIENCE) if busy and pace is not None else otherwise


async def rest(attempt: int, first_s: float) -> None:
    """Before a read is tried again, ``attempt`` from 0: twice as long each time up to LONGEST_S, with jitter."""
    pause = min(LONGEST_S, first_s * 2**attempt)
    await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
