"""A WebSocket server on a port of its own, and a clock that moves when told: for the tests of the streams."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response


async def until(condition: Callable[[], Any]) -> None:
    """Wait for it; ten seconds at most."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


class Peer:
    """What a broker's end sees: requests, and by connection the frames that came."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.links: list[ServerConnection] = []
        self.came: list[list[str | bytes]] = []
        self.gone = 0
        self.status = HTTPStatus.SWITCHING_PROTOCOLS  #: anything else refuses
        self.moved = ""  #: where requests are sent on to
        self.hangs_up = False
        self.port = 0

    @property
    def root(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def send(self, frame: str | bytes | list[bytes], *, text: bool | None = None) -> None:
        await self.links[-1].send(frame, text=text)

    def hang_up(self) -> None:
        """The newest connection ends as by a cut cable."""
        self.links[-1].transport.abort()

    def judge(self, link: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        if self.moved:
            answer = link.respond(HTTPStatus.FOUND, "")
            answer.headers["Location"] = self.moved
            return answer
        if self.status is HTTPStatus.SWITCHING_PROTOCOLS:
            return None
        return link.respond(self.status, "no\n")

    async def listen(self, link: ServerConnection) -> None:
        frames: list[str | bytes] = []
        self.links.append(link)
        self.came.append(frames)
        if self.hangs_up:
            return
        with contextlib.suppress(ConnectionClosed):
            while True:
                frames.append(await link.recv())
        self.gone += 1


@asynccontextmanager
async def peer(**options: Any) -> AsyncIterator[Peer]:
    """Listening, for as long as the block runs."""
    one = Peer()
    server: Server = await serve(
        one.listen, "127.0.0.1", 0, process_request=one.judge, close_timeout=0.2, compression=None, **options
    )
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """The stream, cancelled at the end; it must not have ended before, nor end otherwise."""
    task = asyncio.create_task(work)
    try:
        yield task
        assert not task.done(), task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Hand:
    """A clock that stands until moved; who sleeps by it wakes when it has got there."""

    def __init__(self) -> None:
        self.now = 0.0
        self._asleep: list[tuple[float, asyncio.Future[None]]] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        waking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asleep.append((self.now + seconds, waking))
        await waking

    @property
    def asleep(self) -> int:
        return sum(not waking.done() for _, waking in self._asleep)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for due, waking in self._asleep:
            if due <= self.now and not waking.done():
                waking.set_result(None)


class Nap:
    """Sleeps no time, and keeps how long it should have been. ``before`` runs first, with that."""

    def __init__(self, before: Callable[[float], None] = lambda seconds: None) -> None:
        self.asked: list[float] = []
        self._before = before

    async def sleep(self, seconds: float) -> None:
        self._before(seconds)
        self.asked.append(seconds)
        await asyncio.sleep(0)
