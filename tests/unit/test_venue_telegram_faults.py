"""The Bot API on 127.0.0.1: what fails shows as in a real outage, and what is not the Bot API fails the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from telegram import Bot
from telegram.error import (
    BadRequest,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
    TimedOut,
)
from telegram_room import client, dial, texts
from venues import telegram as venue
from venues.schema import API, Schema, published
from venues.telegram import BotApi

needs_schema = pytest.mark.skipif(not API.is_file(), reason="the published Bot API is not here")


@pytest.fixture(autouse=True)
def _time_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "1")  # else RetryAfter comes with a deprecation warning


@pytest.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi(chats=[7, 8]) as api:
        yield api


@pytest.fixture
async def bot(api: BotApi) -> AsyncIterator[Bot]:
    async with client(api) as bot:
        yield bot


# --- what goes wrong --------------------------------------------------------------------------------

FAULTS: dict[str, tuple[Callable[[], venue.Fault], type[TelegramError], str, bool]] = {
    "429": (lambda: venue.TooMany(3), RetryAfter, "Flood control exceeded", False),
    "502": (venue.BadGateway, NetworkError, r"Bad Gateway \(502\)", False),
    "502, done": (lambda: venue.BadGateway(after=True), NetworkError, r"Bad Gateway \(502\)", True),
    "reset": (venue.Reset, NetworkError, "httpx.ReadError", False),
    "reset, done": (lambda: venue.Reset(after=True), NetworkError, "httpx.ReadError", True),
    "closed": (venue.Closed, NetworkError, "Server disconnected", False),
    "closed, done": (lambda: venue.Closed(after=True), NetworkError, "Server disconnected", True),
    "401": (venue.Unauthorized, InvalidToken, "Unauthorized", False),
    "404": (venue.NotFound, InvalidToken, "Not Found", False),
    "409": (venue.Conflict, Conflict, "terminated by other getUpdates", False),
    "403": (venue.Forbidden, Forbidden, "bot was blocked by the user", False),
    "400": (lambda: venue.BadRequest("can't parse entities"), BadRequest, "Can't parse entities", False),
}


@pytest.mark.parametrize("case", FAULTS)
async def test_a_fault_shows_as_the_error_of_a_real_outage_and_once_only(api: BotApi, bot: Bot, case: str) -> None:
    fault, error, words, done = FAULTS[case]
    api.fail("sendMessage", fault())
    with pytest.raises(TelegramError, match=words) as told:
        await bot.send_message(7, "first")
    assert type(told.value) is error
    await bot.send_message(7, "second")
    assert [sent.text for sent in api.sent] == (["first", "second"] if done else ["second"])
    assert api.calls[-1].outcome == "ok"


async def test_flood_control_says_how_long(api: BotApi, bot: Bot) -> None:
    api.fail("sendMessage", venue.TooMany(17))
    with pytest.raises(RetryAfter) as told:
        await bot.send_message(7, "x")
    assert told.value.retry_after == timedelta(seconds=17)


async def test_silence_before_the_message_was_read_loses_it(api: BotApi, bot: Bot) -> None:
    hang = venue.Hang()
    api.fail("sendMessage", hang)
    with pytest.raises(TimedOut):
        await bot.send_message(7, "x", read_timeout=0.05)
    await api.until(lambda: not hang.holding)
    hang.release()
    await bot.send_message(7, "y")
    assert [sent.text for sent in api.sent] == ["y"]


async def test_silence_after_the_message_was_read_keeps_it(api: BotApi, bot: Bot) -> None:
    api.fail("sendMessage", venue.Hang(after=True))
    with pytest.raises(TimedOut):
        await bot.send_message(7, "x", read_timeout=0.05)
    assert [sent.text for sent in api.sent] == ["x"]


async def test_silence_that_ends_in_time_is_only_slow(api: BotApi, bot: Bot) -> None:
    hang = venue.Hang()
    api.fail("sendMessage", hang)
    sending = asyncio.create_task(bot.send_message(7, "x"))
    await api.until(lambda: hang.holding)
    assert api.sent == []
    hang.release()
    assert (await sending).text == "x"


async def test_an_outage_refuses_and_ends_on_the_same_port(api: BotApi, bot: Bot) -> None:
    address = api.base_url
    poll = asyncio.create_task(bot.get_updates(timeout=50))
    await api.until(lambda: api.polling)
    api.down()
    with pytest.raises(NetworkError, match=r"httpx\.ReadError"):
        await poll
    for _ in range(2):
        with pytest.raises(NetworkError, match=r"httpx\.ConnectError"):
            await bot.send_message(7, "lost")
    api.say(7, "meanwhile")
    api.up()
    assert api.base_url == address
    assert texts(await bot.get_updates(timeout=50)) == ["meanwhile"]
    await bot.send_message(7, "back")
    assert [sent.text for sent in api.sent] == ["back"]
    api.down()  # nobody gets as far as using an idle connection
    with pytest.raises(NetworkError, match=r"httpx\.ConnectError"):
        await bot.send_message(7, "lost")


async def test_a_fault_may_concern_one_chat_and_last_until_it_is_healed(api: BotApi, bot: Bot) -> None:
    api.fail("*", venue.Forbidden(), times=None, chat_id=8)
    for _ in range(3):
        with pytest.raises(Forbidden):
            await bot.send_message(8, "x")
    await bot.send_message(7, "y")
    api.heal()
    await bot.send_message(8, "z")
    assert [(sent.chat_id, sent.text) for sent in api.sent] == [(7, "y"), (8, "z")]


@pytest.mark.parametrize(("token", "words"), [(f"123456:{'x' * 35}", "Unauthorized"), ("no-token", "Not Found")])
async def test_only_the_right_token_is_let_in(api: BotApi, token: str, words: str) -> None:
    bot = client(api, token)
    with pytest.raises(InvalidToken, match=words):
        await bot.get_updates()
    with pytest.raises(InvalidToken, match="rejected by the server"):
        await bot.initialize()
    await bot.shutdown()
    assert api.calls == []


async def test_waiting_in_vain_tells_what_was_there(api: BotApi, bot: Bot) -> None:
    await bot.send_message(7, "here I am")
    api.fail("getUpdates", venue.BadGateway())
    with pytest.raises(TimeoutError, match=r"1 sent, the last .*here I am.*getUpdates: BadGateway"):
        await api.until(lambda: len(api.sent) > 1, timeout=0.01)


# --- what is not the Bot API ------------------------------------------------------------------------


@needs_schema
async def test_a_parameter_that_telegram_does_not_know_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="sendMessage: unknown parameter 'colour'"):
        async with BotApi() as api, client(api) as bot:
            await bot.send_message(7, "x", api_kwargs={"colour": "red"})


@needs_schema
async def test_a_parameter_of_the_wrong_type_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="sendMessage: disable_notification = 'maybe' is no Boolean"):
        async with BotApi() as api, client(api) as bot:
            await bot.send_message(7, "x", api_kwargs={"disable_notification": "maybe"})


@needs_schema
async def test_an_update_that_telegram_would_not_send_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="Message has no field 'colour'"):
        async with BotApi() as api:
            api.say(7, "x", extra={"colour": "red"})


async def test_a_method_that_is_not_here_is_told_beside_the_error_it_caused() -> None:
    with pytest.raises(InvalidToken, match="Not Found") as told:
        async with BotApi() as api, client(api) as bot:
            await bot.unpin_chat_message(7, 1)
    assert told.value.__notes__ == ["not the Bot API:\nunpinChatMessage: not among the methods of this venue"]


@needs_schema
@pytest.mark.parametrize(
    ("result", "fault"),
    [
        ({"message_id": 1, "date": 1}, "Message needs 'chat'"),
        ({"message_id": "1", "date": 1, "chat": {"id": 7, "type": "private"}}, "message_id = '1' is no Integer"),
        ({"message_id": 1, "date": 1, "chat": {"id": 7, "type": "private"}, "text": None}, "text = None is no String"),
        (True, "is no Message"),
    ],
)
def test_an_answer_is_held_against_the_description(result: Any, fault: str) -> None:
    schema = published()
    assert isinstance(schema, Schema)
    assert [wrong for wrong in schema.result("sendMessage", result) if fault in wrong]


async def test_a_connection_serves_many_requests(api: BotApi) -> None:
    reader, writer = await dial(api)
    for _ in range(3):
        writer.write(f"GET /bot{api.token}/getMe HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length:")[1].split()[0])
        assert head.startswith(b"HTTP/1.1 200")
        assert b'"ok": true' in await reader.readexactly(size)
    writer.close()
    await writer.wait_closed()
    assert [call.outcome for call in api.calls] == ["ok"] * 3


async def test_a_client_killed_in_the_middle_of_a_request_is_no_violation(api: BotApi, bot: Bot) -> None:
    head = f"POST /bot{api.token}/sendMessage HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n"
    for part in ("POST /bot", head, f"{head}chat_id=7"):
        _, writer = await dial(api)
        writer.write(part.encode())
        await writer.drain()
        writer.transport.abort()
    await bot.get_me()
    assert (api.sent, api.violations) == ([], [])


async def test_a_connection_that_comes_with_the_outage_is_ended_too(api: BotApi) -> None:
    reader, writer = await dial(api)
    api.down()
    with suppress(ConnectionResetError):  # it may not have been picked up yet
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        await dial(api)
    api.down()
    api.up()
    api.up()
    _, writer = await dial(api)
    writer.close()
