"""Many things to ask one broker for, some at once; given up where it will not answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from otrade_bot.brokers.listing import Listing
from otrade_bot.brokers.middleware import UnifiedBrokerMiddleware
from otrade_bot.core.errors import BrokerException, TokenException
from otrade_bot.core.model import Instrument

__all__ = ["AT_ONCE", "IN_ROW", "Job", "Reader"]

#: Requests at once, so that somebody who reads the books is not kept waiting by candles that hang; how fast they may
#: follow each other is the broker's own matter.
AT_ONCE = 3
#: Instruments in a row that could not be read: then the broker is not asked any more.
IN_ROW = 5


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to ask a broker for, about one instrument; ``today``: it is of the day itself."""

    symbol: str
    today: bool
    ask: Callable[[UnifiedBrokerMiddleware, Instrument], Awaitable[None]]


class Reader:
    """Asks one broker for many things, some at once; gives up where it will not answer."""

    def __init__(self, broker: UnifiedBrokerMiddleware, listing: Listing, patience_s: float) -> None:
        self._broker, self._listing, self._patience = broker, listing, patience_s
        self._failed: list[Job] = []
        self._in_row = 0
        self._why, self._over = "", False

    async def read(self, jobs: Sequence[Job]) -> tuple[list[Job], str]:
        """What could not be had, and why; what is of today is asked for first."""
        waiting = deque(jobs)
        under_way: dict[Job, None] = {}
        try:
            async with asyncio.timeout(self._patience):
                await asyncio.gather(*(self._work(waiting, under_way) for _ in range(AT_ONCE)))
        except TimeoutError:
            self._why = self._why or f"{self._broker.name} has not answered all of it in {self._patience:g} s"
        left = {*self._failed, *under_way, *waiting}
        return [job for job in jobs if job in left], self._why

    async def _work(self, waiting: deque[Job], under_way: dict[Job, None]) -> None:
        while waiting and not self._over:
            job = waiting.popleft()
            under_way[job] = None
            await self._one(job)
            del under_way[job]

    async def _one(self, job: Job) -> None:
        try:
            instrument = self._listing.instruments.get(job.symbol)
            if instrument is None:
                raise BrokerException(f"{self._broker.name} does not list {job.symbol}")
            await job.ask(self._broker, instrument)
            self._in_row = 0
        except BrokerException as error:
            self._failed.append(job)
            self._why = self._why or str(error)
            self._in_row += 1
            self._over = isinstance(error, TokenException) or self._in_row >= IN_ROW
