"""The barrier between market time, which stands, and real sockets: when is nothing on its way any more?

Frames are counted where they are sent and where they are taken, writes and comparisons are known as tasks, requests
as those that the venue has not answered. Nothing here sleeps for a time and hopes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from otrade_bot.brokers.middleware import UnifiedBrokerMiddleware
from otrade_bot.brokers.stream import Stream, StreamState
from otrade_bot.core.clock import SECOND, ManualClock
from otrade_bot.trading.engine import LiveTradingEngine
from tests.acceptance.live_venues import Hang, Venue
from tests.venues.sockets import Link

__all__ = ["Barrier", "Flights", "Sleeper", "Wire"]

T = TypeVar("T")
PATIENCE = 20.0  #: seconds of the machine's clock after which a barrier that does not come is an error


class Sleeper:
    """Sleep by the room's clock: who sleeps wakes when it has got there."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._asleep: list[tuple[int, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        waking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asleep.append((self._clock.now_ns() + round(seconds * SECOND), waking))
        await waking

    @property
    def asleep(self) -> int:
        self._asleep = [(due, waking) for due, waking in self._asleep if not waking.done()]
        return len(self._asleep)

    def wake(self) -> None:
        """Those that are due by now."""
        now = self._clock.now_ns()
        for due, waking in self._asleep:
            if due <= now and not waking.done():
                waking.set_result(None)
        self._asleep = [one for one in self._asleep if not one[1].done()]


@dataclass(eq=False)
class Wire:
    """One connection of the client's, its naps apart from those of others, and what it had heard before this link."""

    stream: Stream
    path: str
    naps: Sleeper
    heard: int = 0


class Flights:
    """Writes that have been let go and are not answered."""

    def __init__(self, client: UnifiedBrokerMiddleware) -> None:
        self.count = 0
        line: Any = client._line
        turn, ended = line.turn, line.ended

        async def let_go(**what: bool) -> int | str:
            answer: int | str = await turn(**what)
            self.count += not isinstance(answer, str)
            return answer

        def answered(taken: int) -> None:
            self.count -= 1
            ended(taken)

        line.turn, line.ended = let_go, answered


class Barrier:
    """What a room waits for. ``client`` and ``engine`` are those of the process that is there now."""

    client: UnifiedBrokerMiddleware
    engine: LiveTradingEngine
    _flights: Flights

    def __init__(self, clock: ManualClock, venue: Venue) -> None:
        self.clock, self.venue = clock, venue
        self._hangs: list[Hang] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._streams: asyncio.Task[None] | None = None
        self._naps = Sleeper(clock)
        self._wires: list[Wire] = []

    def wake(self) -> None:
        """Whoever sleeps by the clock and is due."""
        for naps in (self._naps, *(wire.naps for wire in self._wires)):
            naps.wake()

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """In the background; ``settle`` waits for it."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Its result, everything settled."""
        task = self.spawn(work)
        await self.settle()
        return await task

    async def settle(self) -> None:
        """Until nothing is on its way. AssertionError names what has not come to rest."""
        deadline, calm = time.monotonic() + PATIENCE, 0
        while calm < 3:
            busy = self.unsettled()
            calm = 0 if busy else calm + 1
            if busy and time.monotonic() > deadline:
                raise AssertionError(f"{self.venue.name}: not settled: {', '.join(busy)}")
            await asyncio.sleep(0.0005 if busy else 0)
        if self.client._error is not None:  # a listener's
            raise self.client._error

    def unsettled(self) -> list[str]:
        """What is still on its way."""
        found = [f"task {task.get_name()} {task.get_coro()}" for task in self._tasks]
        hanging = sum(hang.holding for hang in self._hangs)
        if self._flights.count > hanging:
            found.append(f"{self._flights.count - hanging} writes")
        elif any(task._fut_waiter is None for task in self.client._tasks):  # else it waits for its turn by the clock
            found.append("writes about to go")
        if self.engine.asking is not None and not self.engine.asking.done():
            found.append("a look at the orders")
        if self.engine.manager.guards.tasks:
            found.append("a look at the GTTs")
        if self.venue.api.working > hanging:
            found.append("requests at the venue")
        return found + [f"stream {wire.path}" for wire in self._wires if self._streams and not self._rests(wire)]

    def _rests(self, wire: Wire) -> bool:
        """Everything sent was taken, everything wanted was asked for; or it pauses before it tries again."""
        stream = wire.stream
        link = self.link(wire.path)
        if stream._renewed.is_set():
            return False
        if link is None:
            return stream.state is not StreamState.LIVE and wire.naps.asleep > 0
        if stream._changed.is_set():
            return False
        taken = stream.frames - wire.heard == link.sent
        live = stream.state is StreamState.LIVE or (link.sent == 0 and stream.state is StreamState.CONNECTING)
        return taken and (live or link.silent) and self.venue.wants(link, stream)

    def link(self, path: str = "") -> Link | None:
        """The newest one that is open, of this path."""
        return next((one for one in reversed(self.venue.sockets.live) if path in ("", one.path)), None)

    def _linked(self, link: Link) -> None:
        for wire in self._wires:
            if wire.path == link.path:
                wire.heard = wire.stream.frames
