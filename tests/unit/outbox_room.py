"""For the tests of the outbox: time that stands still until it is moved, and two ways to Telegram.

``Wire`` is the real library against a Bot API on 127.0.0.1; ``Bench`` raises the library's own errors.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import telegram
from telegram.error import BadRequest, Forbidden, InvalidToken, NetworkError, RetryAfter, TimedOut

from otrade_bot.control.news.outbox import Outbox
from otrade_bot.control.news.pace import Pace
from otrade_bot.control.reply import Reply
from otrade_bot.core.clock import SECOND
from tests.venues import telegram as venue

#: The faults both ways know: "unsent" never left, "lost" was shown and its answer was lost.
FAULTS = ("unsent", "lost", "gateway", "too_many", "blocked", "token", "unshowable")


async def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0)


class Hours:
    """Wall time and sleep that move by ``advance`` alone."""

    def __init__(self) -> None:
        self.ns = 1_622_518_000 * SECOND
        self.asleep: list[tuple[int, float, asyncio.Future[None]]] = []

    def wall_ns(self) -> int:
        return self.ns

    async def sleep(self, seconds: float) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.asleep.append((self.ns + round(seconds * SECOND), seconds, done))
        try:
            await done
        finally:
            self.asleep = [nap for nap in self.asleep if nap[2] is not done]

    @property
    def naps(self) -> list[float]:
        """How long those who sleep now want to."""
        return [seconds for _, seconds, done in self.asleep if not done.done()]

    def advance(self, seconds: float) -> None:
        self.ns += round(seconds * SECOND)
        for due, _, done in self.asleep:
            if due <= self.ns and not done.done():
                done.set_result(None)

    async def pass_by(self, seconds: float) -> None:
        """The same once somebody sleeps."""
        await until(lambda: self.naps)
        self.advance(seconds)


def error_of(fault: str) -> Exception:
    """As the library makes it."""
    causes = {"unsent": httpx.ConnectError("All connection attempts failed"), "lost": httpx.ReadError("")}
    made: dict[str, Callable[[], Exception]] = {
        "unsent": lambda: NetworkError("httpx.ConnectError: All connection attempts failed"),
        "lost": lambda: NetworkError("httpx.ReadError: "),
        "timed_out": TimedOut,
        "gateway": lambda: NetworkError("Bad Gateway"),
        "too_many": lambda: RetryAfter(7),
        "blocked": lambda: Forbidden("Forbidden: bot was blocked by the user"),
        "token": lambda: InvalidToken("Unauthorized"),
        "unshowable": lambda: BadRequest("Bad Request: can't parse entities: unsupported start tag"),
    }
    error = made[fault]()
    error.__cause__ = causes.get(fault)
    return error


class Way:
    """A Sender with faults, and what the phone shows."""

    def fail(self, fault: str, times: int = 1, chat_id: int | None = None) -> None:
        raise NotImplementedError

    def heal(self) -> None:
        raise NotImplementedError

    def shown(self, chat_id: int) -> list[str]:
        raise NotImplementedError

    def silent(self, chat_id: int) -> list[bool]:
        raise NotImplementedError

    async def send(self, chat_id: int, reply: Reply, *, silent: bool) -> None:
        raise NotImplementedError


class Bench(Way):
    def __init__(self) -> None:
        self.faults: list[tuple[str, int | None]] = []
        self.sent: list[tuple[int, Reply, bool]] = []
        self.tried: list[tuple[int, Reply]] = []

    async def __aenter__(self) -> Bench:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def fail(self, fault: str, times: int = 1, chat_id: int | None = None) -> None:
        self.faults += [(fault, chat_id)] * times

    def heal(self) -> None:
        self.faults.clear()

    def shown(self, chat_id: int) -> list[str]:
        return [reply.to_plain() for chat, reply, _ in self.sent if chat == chat_id]

    def silent(self, chat_id: int) -> list[bool]:
        return [silent for chat, _, silent in self.sent if chat == chat_id]

    async def send(self, chat_id: int, reply: Reply, *, silent: bool) -> None:
        await asyncio.sleep(0)
        self.tried.append((chat_id, reply))
        fault = next((one for one in self.faults if one[1] in (None, chat_id)), None)
        if fault is not None:
            self.faults.remove(fault)
        if fault is None or fault[0] in ("lost", "gateway", "timed_out"):
            self.sent.append((chat_id, reply, silent))
        if fault is not None:
            raise error_of(fault[0])


class Wire(Way):
    def __init__(self) -> None:
        self.api = venue.BotApi(chats=[7, 8, -9])
        self._refused = 0

    async def __aenter__(self) -> Wire:
        await self.api.__aenter__()
        self.bot = telegram.Bot(self.api.token, base_url=self.api.base_url, base_file_url=self.api.base_file_url)
        await self.bot.initialize()
        return self

    async def __aexit__(self, *about: Any) -> None:
        with suppress(Exception):
            await self.bot.shutdown()
        await self.api.__aexit__(*about)

    def fail(self, fault: str, times: int = 1, chat_id: int | None = None) -> None:
        made: dict[str, Callable[[], venue.Fault]] = {
            "lost": lambda: venue.Reset(after=True),
            "gateway": lambda: venue.BadGateway(after=True),
            "too_many": lambda: venue.TooMany(7),
            "blocked": venue.Forbidden,
            "token": venue.Unauthorized,
            "unshowable": lambda: venue.BadRequest("can't parse entities: unsupported start tag"),
        }
        if fault == "unsent":
            self._refused = times
            return
        self.api.fail("sendMessage", made[fault](), times, chat_id=chat_id)

    def heal(self) -> None:
        self.api.heal()

    def shown(self, chat_id: int) -> list[str]:
        return [sent.text for sent in self.api.to(chat_id)]

    def silent(self, chat_id: int) -> list[bool]:
        return [sent.silent for sent in self.api.to(chat_id)]

    async def send(self, chat_id: int, reply: Reply, *, silent: bool) -> None:
        if self._refused:
            self._refused -= 1
            self.api.down()
        try:
            await self.bot.send_message(chat_id, reply.to_html(), parse_mode="HTML", disable_notification=silent)
        finally:
            self.api.up()


def unpaced(_: int = 0) -> Pace:
    """For tests in which nobody moves the time while messages go out."""
    return Pace(1, 0.0)


def opened(path: Any, hours: Hours, told: list[str], **others: Any) -> Outbox:
    """An outbox in these hours, its jitter at the middle."""
    others = {"pace": unpaced, "news": unpaced, "overall": unpaced} | others
    return Outbox(path, wall_ns=hours.wall_ns, log_error=told.append, sleep=hours.sleep, spread=lambda: 0.5, **others)
