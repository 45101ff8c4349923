"""HTTP/1.1 on 127.0.0.1 that can also fail the way a network does: refuse, reset, fall silent, come back.

Connections are kept alive. A client that goes away while its request is being worked on cancels that work.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import h11

RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST instead of FIN


@dataclass(frozen=True)
class Request:
    """One HTTP request, body complete."""

    verb: str
    path: str
    query: dict[str, str]
    content_type: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)  #: names in lower case
    pairs: tuple[tuple[str, str], ...] = ()  #: the query, each name as often as it was sent

    def form(self) -> dict[str, str]:
        """Its urlencoded body."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=bool(self.body)))


@dataclass(frozen=True)
class Answer:
    """What goes back. An empty content type is not sent."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()  #: besides type and length


@dataclass(frozen=True)
class Drop:
    """No answer, or no whole one: the connection ends, by reset (RST) or in order (FIN)."""

    reset: bool = True
    sent: bytes = b""  #: what leaves before that, as it stands


def dated(answer: Answer | Drop, now_ns: int, skew_s: float = 0) -> Answer | Drop:
    """With a Date, that clock's."""
    if isinstance(answer, Drop):
        return answer
    stamp = formatdate(now_ns / 1_000_000_000 + skew_s, usegmt=True)
    return replace(answer, headers=(*answer.headers, ("Date", stamp)))


Handler = Callable[[Request], Coroutine[Any, Any, Answer | Drop]]


class Loopback:
    """A server on a port of its own that it keeps while it is down."""

    def __init__(self, handler: Handler, on_error: Callable[[str], None]) -> None:
        self._handler = handler
        self._on_error = on_error
        self._socket: socket.socket | None = None
        self._listening = False
        self._connections: dict[asyncio.Task[None], socket.socket] = {}
        self._busy: set[socket.socket] = set()
        self.port = 0
        self.accepted = 0  #: connections so far

    @property
    def busy(self) -> int:
        """Requests without an answer so far."""
        return len(self._busy)

    def up(self) -> None:
        """Listen, on the port of before. Needs a running loop."""
        if self._listening:
            return
        self._socket = self._socket or self._bound()
        self._socket.listen(64)
        asyncio.get_running_loop().add_reader(self._socket, self._accept, self._socket)
        self._listening = True

    def down(self) -> None:
        """Refuse connections, reset those that wait for an answer, end the idle ones at once (so that nobody tries to
        use them again). The port stays ours: bound, but deaf."""
        self._stop_listening()
        for task, connection in list(self._connections.items()):
            if connection in self._busy:
                _reset_on_close(connection)
            else:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            task.cancel()
        self._socket = self._bound()

    async def close(self) -> None:
        """End every connection and give the port back."""
        self._stop_listening()
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports close their sockets one turn later

    def _bound(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        return listener

    def _stop_listening(self) -> None:
        if self._socket is None:
            return
        if self._listening:
            asyncio.get_running_loop().remove_reader(self._socket)
        self._listening = False
        self._socket.close()
        self._socket = None

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        connection.setblocking(False)
        self.accepted += 1
        task = asyncio.create_task(self._serve(connection))
        self._connections[task] = connection
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        connection = self._connections.pop(task)
        if task.cancelled():  # before there was a transport to close it
            connection.close()

    async def _serve(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            await self._keep_alive(h11.Connection(h11.SERVER), reader, writer, connection)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client has gone, or we go
        except Exception:
            self._on_error(traceback.format_exc())
        finally:
            writer.transport.abort()

    async def _keep_alive(
        self, http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sock: socket.socket
    ) -> None:
        while (request := await _read(http, reader)) is not None:
            self._busy.add(sock)
            try:
                answer = await self._work(http, reader, request)
            finally:
                self._busy.discard(sock)
            if isinstance(answer, Drop) and answer.sent:
                writer.write(answer.sent)
                await writer.drain()
            if isinstance(answer, Drop) and answer.reset:
                _reset_on_close(sock)
            if not isinstance(answer, Answer):
                return
            writer.write(_wire(http, answer))
            await writer.drain()
            if http.our_state is h11.MUST_CLOSE:
                writer.close()
                await writer.wait_closed()
                return
            http.start_next_cycle()

    async def _work(self, http: h11.Connection, reader: asyncio.StreamReader, request: Request) -> Answer | Drop | None:
        """The handler's answer; None when the client did not wait for it."""
        work = asyncio.create_task(self._handler(request))
        listening: asyncio.Task[bytes] | None = None
        try:
            while not work.done():
                listening = listening or asyncio.create_task(reader.read(65536))
                await asyncio.wait({work, listening}, return_when=asyncio.FIRST_COMPLETED)
                if listening.done():
                    if listening.exception() is not None or not listening.result():
                        return None
                    http.receive_data(listening.result())
                    listening = None
            return work.result()
        finally:
            for future in (work, listening):
                if future is not None and not future.done():
                    future.cancel()
                    await asyncio.wait({future})


def _reset_on_close(connection: socket.socket) -> None:
    if connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)


async def _read(http: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    """The next request; None at the end of the connection."""
    head: h11.Request | None = None
    body = b""
    while True:
        event: Any = http.next_event()
        if event is h11.NEED_DATA:
            if not (data := await reader.read(65536)):
                return None
            http.receive_data(data)
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            return _request(head, body)
        elif isinstance(event, h11.ConnectionClosed):
            return None


def _request(head: h11.Request, body: bytes) -> Request:
    target = urlsplit(head.target.decode())
    headers = {name.decode().lower(): value.decode() for name, value in head.headers}
    pairs = tuple(parse_qsl(target.query, keep_blank_values=True))
    kind = headers.get("content-type", "").split(";")[0].strip()
    return Request(head.method.decode(), target.path, dict(pairs), kind, body, headers, pairs)


def _wire(http: h11.Connection, answer: Answer) -> bytes:
    kind = [("Content-Type", answer.content_type)] if answer.content_type else []
    headers = [*kind, ("Content-Length", str(len(answer.body))), *answer.headers]
    events = (h11.Response(status_code=answer.status, headers=headers), h11.Data(data=answer.body), h11.EndOfMessage())
    return b"".join(http.send(event) or b"" for event in events)
