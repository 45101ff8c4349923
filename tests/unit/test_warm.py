"""Connections that somebody on the way forgets while they are idle: kept warm, the first order finds a live one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from otrade_bot.core.model import Accepted, Unknown
from tests.unit.account_room import Account, account, wanted
from tests.unit.stream_room import running, until

FORGETS_S = 15.0
BROKERS = pytest.mark.parametrize("name", ["kite", "upstox"])


class Forgetful:
    """A box between a client and its server: what comes over a connection that has been idle is answered by a reset,
    and the client had no sign of it before. Time is ``now`` (s)."""

    def __init__(self, port: int, now: Callable[[], float]) -> None:
        self._port, self._now = port, now
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.resets = 0
        self.connections = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports close their sockets one turn later

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        answers = asyncio.create_task(_copy(there, writer))
        try:
            await self._requests(reader, writer, back)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            answers.cancel()
            await asyncio.gather(answers, return_exceptions=True)
            for end in (back, writer):
                end.transport.abort()
                with contextlib.suppress(ConnectionError):
                    await end.wait_closed()

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        used = self._now()
        while data := await reader.read(65536):
            if self._now() - used > FORGETS_S:
                self.resets += 1
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            used = self._now()
            back.write(data)
            await back.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def behind_a_box(name: str) -> AsyncIterator[tuple[Account, Forgetful]]:
    """The account, its REST connections through the box. Time stands until moved."""
    async with account(name, manual=True) as first:  # its venue serves
        box = Forgetful(urlsplit(first.venue.api.root).port or 0, lambda: first.watch.now_ns() / 1e9)
        await box.open()
        root = f"http://127.0.0.1:{box.port}"
        fields = {"root": root} if name == "kite" else {"host": root, "order_host": root}
        try:
            async with account(name, manual=True, settings=fields, at=first) as room:
                yield room, box
        finally:
            await box.close()


@BROKERS
async def test_an_order_on_a_forgotten_connection_ends_in_doubt(name: str) -> None:
    async with behind_a_box(name) as (room, box):
        assert isinstance(await room.account.place(wanted("A")), Accepted)
        room.watch.turn(60)
        assert isinstance(await room.account.place(wanted("B")), Unknown)
        assert box.resets == 1
        assert [order.tag for order in room.venue.orders()] == ["A"]


@BROKERS
async def test_kept_warm_the_first_order_after_an_idle_hour_is_taken_on_the_connection_of_before(name: str) -> None:
    async with behind_a_box(name) as (room, box):
        assert isinstance(await room.account.place(wanted("A")), Accepted)
        asked = "profile" if name == "kite" else "nothing"
        async with running(room.account.run()):
            await room.connected()
            for _ in range(360):
                before = room.venue.hits(asked)
                await until(lambda: room.watch.asleep)
                room.watch.turn(10)
                await until(lambda before=before: room.venue.hits(asked) > before)
            await until(lambda: room.watch.asleep)  # the last of them has its answer
            assert isinstance(await room.account.place(wanted("B")), Accepted)
        assert (box.resets, box.connections) == (0, 1)


@BROKERS
async def test_a_connection_that_was_idle_for_too_long_is_not_trusted_with_an_order(name: str) -> None:
    """``fresh`` of 0: every connection has been idle for too long."""
    async with account(name, settings={"fresh" if name == "kite" else "fresh_s": 0.0}) as room:
        outcomes = [await room.account.place(wanted(f"E{k}")) for k in range(3)]
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        assert room.connections == 3
