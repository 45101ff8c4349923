"""The place where a browser comes back after a login: two things are answered, and nobody costs it anything."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from login_room import ASHA, UPSTOX_USER, LoginRoom, login_room

from otrade_bot.brokers import vault
from otrade_bot.brokers.tokens import Token
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.masking import forget_secrets
from otrade_bot.service import callback as callback_module
from otrade_bot.service.callback import MOST_BODY, MOST_CONNECTIONS, MOST_HEAD, Callback, listen_address, notify_path
from tests.venues.upstox import UpstoxApi

PATH = notify_path("a key for tests")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(vault, "COST", 2**4)
    yield
    forget_secrets()


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The listener names no address, no code and no path in any log; the test's own client is another matter."""
    for name in ("httpx", "httpcore"):
        caplog.set_level(logging.CRITICAL, logger=name)
    caplog.set_level(logging.DEBUG)
    yield caplog
    for secret in ("request_token", "state=", PATH, "loopbacktoken", "upstox-token"):
        assert secret not in caplog.text


class Desk:
    """Notes what comes; ``broken`` raises."""

    def __init__(self) -> None:
        self.queries: list[str] = []
        self.told: list[Any] = []
        self.broken = False

    async def came_back(self, query: str) -> str:
        if self.broken:
            raise ZeroDivisionError(f"with {query}")
        self.queries.append(query)
        return "Done."

    async def delivered(self, told: Any) -> None:
        self.told.append(told)


@asynccontextmanager
async def running(desk: Any, **options: Any) -> AsyncIterator[Callback]:
    made = Callback(desk, "127.0.0.1", 0, notify=PATH, **options)
    task = asyncio.create_task(made.run())
    try:
        await asyncio.wait_for(made.ready.wait(), 10)
        yield made
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def raw(made: Callback, sent: bytes, *, end: bool = True) -> bytes:
    """What comes back for these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
    with suppress(OSError):
        writer.write(sent)
        if end:
            writer.write_eof()
    try:
        with suppress(ConnectionResetError):
            return await asyncio.wait_for(reader.read(), 10)
        return b""
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def ask(made: Callback, verb: str, target: str, **more: Any) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.request(verb, f"http://127.0.0.1:{made.port}{target}", **more)


async def browser(room: LoginRoom, made: Callback, broker: str) -> httpx.Response:
    page = await room.desk.begin(ASHA, broker)
    return await ask(made, "GET", f"/?{urlsplit(room.browse(broker, page.url)).query}")


@pytest.mark.parametrize("broker", ["kite", "upstox"])
async def test_a_browser_that_comes_back_is_logged_in_and_may_be_closed(tmp_path: Path, broker: str) -> None:
    async with login_room(tmp_path, listening=True) as room, running(room.desk) as made:
        answer = await browser(room, made, broker)
        assert answer.status_code == 200
        assert answer.text.startswith(f"Logged in to {broker.capitalize()} as")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-type"].startswith("text/plain")
        assert len(room.tokens) == 1


async def test_consent_in_upstoxs_app_comes_in_by_the_secret_path_alone(tmp_path: Path) -> None:
    async with login_room(tmp_path, listening=True) as room, running(room.desk) as made:
        room.store.save("upstox", Token("yesterdays-token", UPSTOX_USER, 1, 2))
        await room.desk.approve(ASHA, "upstox")
        told = {"client_id": UpstoxApi.API_KEY, "access_token": room.upstox.token, "message_type": "access_token"}
        for path in ("/", "/notify", "/notify/", PATH + "x", PATH[:-1], notify_path("another key")):
            assert (await ask(made, "POST", path, json=told)).status_code == 404
        assert room.tokens == []
        assert (await ask(made, "POST", PATH, json=told)).status_code == 200
        assert [token.user for _, token in room.tokens] == [UPSTOX_USER]


async def test_without_a_secret_path_nothing_can_be_posted() -> None:
    desk = Desk()
    made = Callback(desk, "127.0.0.1", 0)
    task = asyncio.create_task(made.run())
    await made.ready.wait()
    for path in ("/", "/notify/"):
        assert (await ask(made, "POST", path, json={})).status_code == 404
    assert desk.told == []
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("verb", "target", "status"),
    [("GET", "/", 404), ("GET", "/favicon.ico", 404), ("HEAD", "/?code=1", 405), ("DELETE", "/?code=1", 405),
     ("OPTIONS", "/?code=1", 405), ("POST", "/?code=1", 404)],
)  # fmt: skip
async def test_whatever_else_is_asked_leads_nowhere(verb: str, target: str, status: int) -> None:
    desk = Desk()
    async with running(desk) as made:
        answer = await ask(made, verb, target)
        assert answer.status_code == status
        assert "code" not in answer.text
        assert desk.queries == []


@pytest.mark.parametrize(
    "sent",
    [
        b"", b"\r\n\r\n", b"GET\r\n\r\n", b"GET /?code=1\r\n\r\n", b"GET /?code=1 HTTP/2\r\n\r\n",
        b"GET http://x/?code=1 HTTP/1.1\r\n\r\n", b"\xff\x00\xfe /?code=1 HTTP/1.1\r\n\r\n"[:2],
        b"GET /?code=1 HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"GET /?code=1 HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"GET /?code=1 HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MOST_BODY + 1),
        b"GET /?" + b"x" * (MOST_HEAD + 1),
        b"GET /?" + b"x" * (MOST_HEAD * 4) + b" HTTP/1.1\r\n\r\n",
    ],
)  # fmt: skip
async def test_what_is_no_whole_request_of_ours_reaches_nobody_and_the_next_one_is_answered(sent: bytes) -> None:
    desk = Desk()
    async with running(desk) as made:
        answer = await raw(made, sent)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
        assert desk.queries == []
        assert (await ask(made, "GET", "/?code=2")).status_code == 200
        assert desk.queries == ["code=2"]


@settings(max_examples=40)
@given(st.binary(max_size=200))
def test_no_bytes_at_all_bring_it_down(sent: bytes) -> None:
    async def story() -> None:
        desk = Desk()
        async with running(desk) as made:
            await raw(made, sent + b"\r\n\r\n")
            assert (await ask(made, "GET", "/?code=2")).text == "Done.\n"

    asyncio.run(story())


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 10_000])
async def test_a_post_that_is_no_json_is_refused(body: bytes) -> None:
    desk = Desk()
    async with running(desk) as made:
        assert (await ask(made, "POST", PATH, content=body)).status_code == 400
        assert (await ask(made, "POST", PATH, content=json.dumps({"a": 1}))).status_code == 200
        assert desk.told == [{"a": 1}]


async def test_who_opens_a_connection_and_says_nothing_is_left_standing_no_longer_than_the_patience() -> None:
    async with running(Desk(), patience_s=0.05) as made:
        assert await raw(made, b"GET /?co", end=False) == b""


async def test_a_crowd_that_holds_connections_keeps_only_itself_out() -> None:
    async with running(Desk(), patience_s=0.2) as made:
        crowd = [await asyncio.open_connection("127.0.0.1", made.port) for _ in range(MOST_CONNECTIONS)]
        while made._open < MOST_CONNECTIONS:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert await raw(made, b"GET /?code=1 HTTP/1.1\r\n\r\n") == b""
        for reader, _ in crowd:
            await reader.read()
        assert (await ask(made, "GET", "/?code=2")).status_code == 200
        for _, writer in crowd:
            writer.close()


async def test_an_error_behind_it_is_logged_by_its_kind_alone(logged: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    async with running(desk) as made:
        desk.broken = True
        assert await raw(made, b"GET /?code=hidden-one HTTP/1.1\r\n\r\n") == b""
        assert "ZeroDivisionError" in logged.text
        assert "hidden-one" not in logged.text
        desk.broken = False
        assert (await ask(made, "GET", "/?code=2")).status_code == 200


async def test_an_address_in_use_is_an_error_and_no_silence() -> None:
    async with running(Desk()) as made:
        with pytest.raises(OSError, match="address already in use"):
            await Callback(Desk(), "127.0.0.1", made.port).run()


def test_the_secret_path_stays_the_same_and_follows_from_the_key() -> None:
    assert notify_path("one") == notify_path(" one ")
    assert notify_path("one") != notify_path("two")
    assert len(PATH) == len("/notify/") + 40


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:8085", ("127.0.0.1", 8085)), ("[::1]:8085", ("::1", 8085)), ("localhost:0", ("localhost", 0))],
)
def test_addresses_to_listen_at(text: str, address: tuple[str, int]) -> None:
    assert listen_address(text) == address


@pytest.mark.parametrize("text", ["", "8085", ":8085", "x:", "x:-1", "x:70000", "x:٣"])
def test_what_is_no_address_is_refused_by_its_key(text: str) -> None:
    with pytest.raises(ConfigException, match=r"brokers\.json: login\.listen"):
        listen_address(text)


def test_the_module_writes_no_page_that_could_run_a_script() -> None:
    assert "text/plain" in callback_module._HEAD
    assert "default-src 'none'" in callback_module._HEAD
