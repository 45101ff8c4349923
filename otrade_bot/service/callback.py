"""Where a browser comes back after a login, and where Upstox posts a token: a very small HTTP server.

It speaks plain HTTP on 127.0.0.1; from outside only behind a proxy with TLS. It answers two things, repeats nothing it
was given, writes no address into any log, and a crowd of strangers costs it neither memory nor time.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from contextlib import suppress
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol

from otrade_bot.core.errors import ConfigException
from otrade_bot.service.logs import get_logger

__all__ = ["Callback", "CallbackDesk", "listen_address", "notify_path"]

MOST_HEAD, MOST_BODY, MOST_CONNECTIONS = 16 * 1024, 16 * 1024, 16
#: For a whole request to arrive, s.
PATIENCE_S = 10.0

_HEAD = (
    "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n"
    "X-Content-Type-Options: nosniff\r\nContent-Security-Policy: default-src 'none'\r\nConnection: close\r\n"
)
_NOTHING = "There is nothing here."


class CallbackDesk(Protocol):
    """What a ``Callback`` hands over; neither raises."""

    async def came_back(self, query: str) -> str:
        """A browser is here; what its page says."""
        ...

    async def delivered(self, told: Any) -> None:
        """A broker's notifier posted this JSON to the secret path."""
        ...


class _Request(NamedTuple):
    verb: str
    path: str
    query: str
    body: bytes


def notify_path(secret_key: str) -> str:
    """The path that is registered with Upstox as notifier: nobody can guess it, and it stays the same."""
    digest = hmac.new(secret_key.strip().encode(), b"otrade-bot notifier of Upstox", hashlib.sha256).hexdigest()
    return f"/notify/{digest[:40]}"


def listen_address(listen: str) -> tuple[str, int]:
    """'127.0.0.1:8085' or '[::1]:8085' as host and port. Raises ConfigException."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigException(
            "is no address to listen at", file="brokers.json", key="login.listen", value=listen,
            allowed="host:port, such as 127.0.0.1:8085",
        )  # fmt: skip
    return host.strip("[]"), int(port)


class Callback:
    """``notify``: the secret path, '' for none. ``port`` 0 takes a free one; ``ready`` is set once it listens."""

    def __init__(
        self, desk: CallbackDesk, host: str, port: int, *, notify: str = "", patience_s: float = PATIENCE_S
    ) -> None:
        self._desk, self._host, self.port = desk, host, port
        self._notify, self._patience_s = notify, patience_s
        self._open = 0
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled. Raises OSError where the address is not free."""
        server = await asyncio.start_server(self._serve, self._host, self.port, limit=MOST_HEAD)
        self.port = server.sockets[0].getsockname()[1]
        get_logger().info("logins come back here", host=self._host, port=self.port)
        self.ready.set()
        try:
            await server.serve_forever()
        finally:
            self.ready.clear()
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= MOST_CONNECTIONS:
            writer.transport.abort()
            return
        self._open += 1
        try:
            await self._answer(reader, writer)
        except Exception as error:  # a stranger's request must never reach the trading loop
            get_logger("error").error("a request to the login's address failed", error=type(error).__name__)
        finally:
            self._open -= 1
            with suppress(Exception):
                writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                request = await _read(reader)
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            return
        except (ValueError, asyncio.LimitOverrunError):
            status, said = HTTPStatus.BAD_REQUEST, "That is no request."
        else:
            status, said = await self._said(request)
        body = said.encode() + b"\n"
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\n{_HEAD}Content-Length: {len(body)}\r\n\r\n"
        with suppress(OSError, TimeoutError):
            writer.write(head.encode() + body)
            async with asyncio.timeout(self._patience_s):
                await writer.drain()

    async def _said(self, request: _Request) -> tuple[HTTPStatus, str]:
        if request.verb == "POST":
            return await self._posted(request)
        if request.verb != "GET":
            return HTTPStatus.METHOD_NOT_ALLOWED, _NOTHING
        if not request.query:
            return HTTPStatus.NOT_FOUND, _NOTHING
        return HTTPStatus.OK, await self._desk.came_back(request.query)

    async def _posted(self, request: _Request) -> tuple[HTTPStatus, str]:
        if not self._notify or not hmac.compare_digest(request.path.encode(), self._notify.encode()):
            return HTTPStatus.NOT_FOUND, _NOTHING
        try:
            told = json.loads(request.body)
        except (ValueError, RecursionError):
            return HTTPStatus.BAD_REQUEST, "That is no JSON."
        await self._desk.delivered(told)
        return HTTPStatus.OK, "Taken."


async def _read(reader: asyncio.StreamReader) -> _Request:
    """Raises ValueError for what is no request, IncompleteReadError, LimitOverrunError."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *rest = head.split("\r\n")
    verb, target, version = first.split(" ")
    if not version.startswith("HTTP/1.") or not target.startswith("/"):
        raise ValueError("no request line")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    length = fields.get("content-length", "0")
    if "transfer-encoding" in fields or not (length.isascii() and length.isdigit()) or int(length) > MOST_BODY:
        raise ValueError("no body of ours")
    path, _, query = target.partition("?")
    return _Request(verb, path, query, await reader.readexactly(int(length)))
