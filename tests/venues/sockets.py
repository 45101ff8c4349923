"""A broker's end of WebSockets on 127.0.0.1: what each connection wants is known, what was sent to it is counted.

It can refuse handshakes, fall silent with the connection open, hang up as a cut cable does, and be unreachable.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Frame = str | bytes


class Link:
    """One connection. ``wanted``: what it has subscribed to, by mode."""

    def __init__(self, connection: ServerConnection, request: Request) -> None:
        target = urlsplit(request.path)
        self.path, self.query = target.path, dict(parse_qsl(target.query))
        self.headers = request.headers
        self.wanted: dict[Any, str] = {}
        self.came: list[Frame] = []  #: frames of the client, oldest first
        self.sent = 0  #: frames given to it, those still on their way included
        self.silent = False  #: what is sent is lost
        self.open = True
        self._connection = connection
        self._out: asyncio.Queue[tuple[Frame, bool | None]] = asyncio.Queue()

    def send(self, frame: Frame, *, text: bool | None = None) -> None:
        """In order, after what was sent before; lost where the link is silent or gone. ``text``: as which kind."""
        if self.open and not self.silent:
            self.sent += 1
            self._out.put_nowait((frame, text))

    def hang_up(self) -> None:
        """As by a cut cable; what was on its way is lost."""
        self.open = False
        self._connection.transport.abort()

    async def pump(self) -> None:
        while True:
            frame, text = await self._out.get()
            await self._connection.send(frame, text=text)


class Sockets:
    """A server on a port of its own. ``admit`` judges handshakes, ``on_link`` and ``on_frame`` hear what happens."""

    def __init__(
        self,
        admit: Callable[[Link], HTTPStatus | None],
        on_link: Callable[[Link], None],
        on_frame: Callable[[Link, Frame], None],
    ) -> None:
        self._admit, self._on_link, self._on_frame = admit, on_link, on_frame
        self.links: list[Link] = []  #: of all time
        self.refused = 0  #: handshakes
        self.refusing: HTTPStatus | None = None  #: every handshake, with this
        self.away = False  #: nobody gets through
        self.mute = False  #: new links hear nothing, for as long as they live
        self.opened: list[Callable[[Link], None]] = []  #: told of each link before anything is sent to it
        self.port = 0
        self._coming: dict[ServerConnection, Link] = {}
        self._task: asyncio.Task[None] | None = None
        self._listener: socket.socket | None = None
        self._beating: asyncio.Task[None] | None = None

    @property
    def root(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def live(self) -> list[Link]:
        return [link for link in self.links if link.open]

    def up(self) -> None:
        """Listen, on the port of before. Needs a running loop."""
        self.away = False
        if self._task is None:
            listener = socket.create_server(("127.0.0.1", self.port))
            self.port = listener.getsockname()[1]
            self._listener = listener
            self._task = asyncio.create_task(self._serve(listener))

    def down(self) -> None:
        """Cut every link and let nobody in until ``up``."""
        self.away = True
        self.hang_up()

    def hang_up(self) -> None:
        """Cut every link; who comes again is let in."""
        for link in self.live:
            link.hang_up()

    def silence(self, on: bool = True, *, new: bool = False) -> None:
        """Links stay open, but nothing comes through; ``False``: those that are open speak again. ``new``: so it is
        with links to come."""
        self.mute = on and new
        for link in self.live:
            link.silent = on

    def send(self, frame: Frame, *, text: bool | None = None) -> None:
        """The same frame to every link."""
        for link in self.live:
            link.send(frame, text=text)

    def beat(self, frame: Frame, seconds: float) -> None:
        """From now on, by the machine's clock: for clients that are processes of their own."""
        self._beating = self._beating or asyncio.create_task(self._beat(frame, seconds))

    async def close(self) -> None:
        tasks = [task for task in (self._beating, self._task) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._listener is not None:  # nobody else does where the task had not begun
            self._listener.close()
        self._task = self._beating = None

    async def _beat(self, frame: Frame, seconds: float) -> None:
        while True:
            self.send(frame)
            await asyncio.sleep(seconds)

    async def _serve(self, listener: socket.socket) -> None:
        server = await serve(
            self._listen, sock=listener, process_request=self._judge, close_timeout=0.2, compression=None,
            ping_interval=None,
        )  # fmt: skip
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.hang_up()
            server.close()
            await server.wait_closed()

    def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        link = Link(connection, request)
        if self.away:
            connection.transport.abort()
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "")
        status = self.refusing or self._admit(link)
        if status is not None:
            self.refused += 1
            return connection.respond(status, "no\n")
        self._coming[connection] = link
        return None

    async def _listen(self, connection: ServerConnection) -> None:
        link = self._coming.pop(connection)
        link.silent = self.mute
        self.links.append(link)
        for told in self.opened:
            told(link)
        pump = asyncio.create_task(link.pump())
        self._on_link(link)
        try:
            with contextlib.suppress(ConnectionClosed):
                while True:
                    frame = await connection.recv()
                    link.came.append(frame)
                    self._on_frame(link, frame)
        finally:
            link.open = False
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
