"""Other channels: what is grave arrives by the real library, what fails is said once, no address is ever shown."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import date
from typing import Any

import apprise
import pytest
from outbox_room import Hours, until

from otrade_bot.control.news.deaf import Deaf
from otrade_bot.control.news.extra import Extra, addresses, channels
from otrade_bot.control.phone.poller import PhoneState
from otrade_bot.control.reply import Told, worded
from otrade_bot.core.clock import SECOND, at_ist
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.masking import forget_secrets, mask_text

NOON = at_ist(date(2021, 6, 1), 12)
LABEL = "PAPER · simulated prices"
SECRET = "hunter2-hunter2"


class Hook:
    """What takes apprise's json:// messages on 127.0.0.1."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.status = 200

    async def __aenter__(self) -> Hook:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"json://bot:{SECRET}@127.0.0.1:{self.port}/hook-of-the-owner"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        body = await reader.readexactly(length)
        if self.status == 200:
            self.told.append(json.loads(body))
        writer.write(f"HTTP/1.1 {self.status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@pytest.fixture(autouse=True)
def _no_secrets() -> Any:
    yield
    forget_secrets()


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """Some of the library's many plugins import what Python gives up; nobody but a test is strict about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        apprise.Apprise().add("json://localhost")


class Desk:
    """An Extra that runs, and what it said."""

    def __init__(self, urls: str, level: str = "risk") -> None:
        self.level, self.hours = level, Hours()
        self.logged: list[str] = []
        self.phone: list[str] = []
        found = addresses(urls)
        self.extra = Extra(
            lambda: channels(found), lambda: self.level, lambda: LABEL, self._tell, log_error=self.logged.append,
            sleep=self.hours.sleep,
        )  # fmt: skip

    def _tell(self, said: Told) -> None:
        self.phone.append(worded(said).to_plain())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Extra]:
        task = asyncio.create_task(self.extra.run())
        try:
            yield self.extra
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def soon(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def event(severity: Severity, kind: EventKind = EventKind.ALERT, **data: object) -> Event:
    return Event(kind, NOON, "NSE:TCS", f"{severity.name.lower()} words", severity, data)


@pytest.mark.parametrize(("level", "heard"), [
    ("risk", ["ALERT TCS risk words", "STOP MISSING TCS info words"]),
    ("warning", ["Alert TCS warning words", "ALERT TCS risk words", "STOP MISSING TCS info words"]),
    ("info", ["Alert TCS info words", "Alert TCS warning words", "ALERT TCS risk words",
              "STOP MISSING TCS info words"]),
    ("off", []),
])  # fmt: skip
async def test_from_its_own_severity_on_events_arrive_with_time_and_mode(level: str, heard: list[str]) -> None:
    async with Hook() as hook:
        desk = Desk(hook.url, level)
        for severity in (Severity.DEBUG, Severity.INFO, Severity.WARNING, Severity.RISK):
            desk.extra.on_event(event(severity))
            desk.extra.on_event(event(severity, EventKind.EVALUATION))
            desk.extra.on_event(event(severity, EventKind.COMMAND))
        desk.extra.on_event(event(Severity.INFO, EventKind.STOP, state="missing"))
        async with desk.running() as extra:
            await extra.flush(20)
        said = [one for told in hook.told for one in told["message"].split("\n\n")]
        assert said == [f"12:00:00 {words}\n{LABEL}" for words in heard]
        assert {told["title"] for told in hook.told} <= {"OTrade Bot"}
        assert desk.logged == desk.phone == []


async def test_a_flood_comes_together_and_the_oldest_give_way(caplog: pytest.LogCaptureFixture) -> None:
    async with Hook() as hook:
        desk = Desk(hook.url)
        for number in range(300):
            desk.extra.say(f"word {number}")
        async with desk.running() as extra:
            await extra.flush(20)
        assert len(hook.told) == 10
        said = [one for told in hook.told for one in told["message"].split("\n\n")]
        assert said == [f"word {number}" for number in range(100, 300)]


async def test_what_fails_is_tried_once_more_and_said_once_until_it_works_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with Hook() as hook:
        desk = Desk(f"{hook.url}, json://bot:{SECRET}@127.0.0.1:1/nobody-listens-here")
        hook.status = 500
        desk.extra.say("one")
        async with desk.running() as extra:
            await soon(lambda: desk.hours.naps)
            assert [said.split("\n")[0] for said in desk.phone] == ["The extra channels do not take messages"]
            assert extra.fault == "not taken by JSON, JSON"
            desk.hours.advance(15)
            await soon(lambda: not desk.hours.naps)
            desk.extra.say("two")
            await soon(lambda: desk.hours.naps)
            assert len(desk.phone) == 1
            hook.status = 200
            desk.hours.advance(15)
            await soon(lambda: hook.told)
        assert [told["message"] for told in hook.told] == ["two"]
    everything = "\n".join([caplog.text, *desk.logged, *desk.phone])
    assert SECRET not in everything
    assert "hook-of-the-owner" not in everything
    assert len(desk.logged) == 1


async def test_when_they_work_again_the_phone_is_told_so() -> None:
    async with Hook() as hook:
        desk = Desk(hook.url)
        hook.status = 503
        desk.extra.say("one")
        async with desk.running():
            await soon(lambda: desk.hours.naps)
            hook.status = 200
            desk.hours.advance(15)
            await soon(lambda: len(desk.phone) == 2)
        assert desk.phone[1] == "The extra channels take messages again."
        assert [told["message"] for told in hook.told] == ["one"]


@pytest.mark.parametrize("url", ["nonsense://x", "json://", "just words"])
async def test_an_address_that_is_none_is_said_by_its_number_and_stops_nothing(url: str) -> None:
    desk = Desk(url)
    desk.extra.on_event(event(Severity.RISK))
    async with desk.running():
        await soon(lambda: desk.phone)
    assert "address 1 of OTRADE_APPRISE_URLS is none that apprise knows" in desk.phone[0]


async def test_without_apprise_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    desk = Desk(f"json://127.0.0.1/{SECRET}")
    desk.extra.say("one")
    async with desk.running():
        await soon(lambda: desk.phone)
    assert "pip install 'otrade-bot[extra]'" in desk.phone[0]


HANGING = """
import asyncio, threading
from otrade_bot.control.news.extra import Extra

def make():
    hung.set()
    threading.Event().wait()

async def main():
    extra = Extra(make, lambda: "risk", str, print)
    extra.say("one")
    task = asyncio.create_task(extra.run())
    await asyncio.to_thread(hung.wait)
    await extra.flush(0.05)
    task.cancel()
    print("over")

hung = threading.Event()
asyncio.run(main())
"""


def test_a_channel_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, check=True, timeout=60, text=True)
    assert ended.stdout == "over\n"


async def test_an_event_that_cannot_be_put_into_words_stops_no_observer() -> None:
    def no_label() -> str:
        raise RuntimeError("no status")

    logged: list[str] = []
    extra = Extra(lambda: lambda title, body: "", lambda: "info", no_label, lambda said: None, log_error=logged.append)
    extra.on_event(event(Severity.RISK))
    assert "no status" in logged[0]


def test_addresses_and_their_parts_are_blotted_out() -> None:
    found = addresses(
        " tgram://123456789:AAE-token-of-a-bot/987654321,  mailto://someone:passw0rd-x@gmail.com?to=a@b.in\n"
        "slack://TokenAAAA/TokenBBBB/TokenCCCC/#alerts "
    )
    assert [one.partition(":")[0] for one in found] == ["tgram", "mailto", "slack"]
    said = mask_text("https://hooks.slack.com/services/TokenAAAA/TokenBBBB failed; passw0rd-x; gmail.com")
    assert said == "https://hooks.slack.com/services/***/*** failed; ***; gmail.com"


def test_the_library_is_not_loaded_before_it_is_needed() -> None:
    code = "import sys, otrade_bot.service.extras; sys.exit('apprise' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# A bot that does not hear.


class Ear:
    """A Deaf with the phone's state and the time in hand."""

    def __init__(self, *, market: bool = True) -> None:
        self.now, self.market, self.said = 1_000_000.0, market, list[str]()
        self.state = PhoneState()
        self.deaf = Deaf(lambda: self.state, lambda: self.market, self.said.append, wall=lambda: self.now)

    def becomes(self, word: str, **more: Any) -> list[str]:
        """Looked at so; what was said of it."""
        last = more.pop("last_ok", self.now if word == "polling" else self.state.last_ok)
        self.state = PhoneState(word, self.now, last, more.get("error", ""), more.get("cure", ""), more.get("times", 0))
        before = len(self.said)
        self.deaf.look()
        return [said.split("\n")[0] for said in self.said[before:]]


DEAF, HEARS = "The bot does not hear commands from Telegram", "The bot hears commands from Telegram again."


@pytest.mark.parametrize("market", [True, False])
def test_a_token_that_is_refused_is_told_at_any_hour_once_and_its_end_too(market: bool) -> None:
    ear = Ear(market=market)
    assert ear.becomes("polling") == []
    assert ear.becomes("refused", error="InvalidToken: Unauthorized", cure="Compare it.") == [DEAF]
    assert "Telegram refuses the token: InvalidToken: Unauthorized. Compare it." in ear.said[0]
    assert "/flatten and /pause" in ear.said[0]
    assert ear.becomes("refused", error="InvalidToken: Unauthorized") == []
    assert ear.becomes("offline") == []
    assert ear.becomes("polling") == [HEARS]
    assert ear.becomes("polling") == []


def test_another_poller_is_told_but_not_the_ghost_of_a_killed_one() -> None:
    ear = Ear()
    assert ear.becomes("conflict", times=1) == []
    assert ear.becomes("conflict", times=2, error="Conflict: x") == [DEAF]
    again = Ear()
    again.becomes("polling")
    assert again.becomes("conflict", times=1) == [DEAF]


def test_a_minute_without_an_answer_is_told_in_market_hours_alone() -> None:
    ear = Ear()
    ear.becomes("polling")
    ear.now += 60
    assert ear.becomes("offline", error="NetworkError: down") == []
    ear.now += 1
    ear.market = False
    assert ear.becomes("offline", error="NetworkError: down") == []
    ear.market = True
    assert ear.becomes("offline", error="NetworkError: down") == [DEAF]
    assert "has not answered for 1 min 1 s. NetworkError: down" in ear.said[0]
    ear.now += 3600
    assert ear.becomes("offline") == []
    assert ear.becomes("polling") == [HEARS]
    ear.now += 61
    assert ear.becomes("polling", last_ok=ear.now - 61) == [DEAF], "a poll that hangs"


def test_from_the_start_there_is_a_minute_too() -> None:
    ear = Ear()
    ear.now += 59
    assert ear.becomes("starting") == []
    ear.now += 2
    assert ear.becomes("starting") == [DEAF]


async def test_it_looks_every_few_seconds() -> None:
    hours, said = Hours(), list[str]()
    state = PhoneState("polling", last_ok=hours.ns / SECOND)
    deaf = Deaf(lambda: state, lambda: True, said.append, wall=lambda: hours.ns / SECOND, sleep=hours.sleep)
    task = asyncio.create_task(deaf.run())
    for _ in range(13):
        await hours.pass_by(5)
    await until(lambda: said)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert len(said) == 1
