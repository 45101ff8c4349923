"""The real ``otrade-bot run``, live, at brokers and a Telegram that repeat in their errors whatever they were told.

Tokens, headers, forms and addresses come back in refusals, pages, order messages and stream messages. Of no secret is
anything left: in no file of the state folder, nothing printed, nothing sent to anybody.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import pytest

from otrade_bot.brokers.tokens import FILE
from otrade_bot.core.clock import to_ist
from otrade_bot.kernel.compile import Kernel
from otrade_bot.service.callback import notify_path
from tests.acceptance.daytime import DayTime
from tests.acceptance.live_venues import VENUES, Venue
from tests.acceptance.service_room import OPERATOR, OWNER, ServiceRoom
from tests.venues.loopback import Answer, Drop, Request
from tests.venues.shares import listed
from tests.venues.telegram import BadRequest, BotApi, Refused, Sent

SHARES = listed(4, 2)
CLOCK = DayTime()
KEY = "Zr4-key-of-the-vault_91x"
APP_KEY, APP_SECRET = "appkey7Q2w8E", "appsecret-9rT4yU1iO3p"
#: Worth repeating: each is another way into the words of a client.
STATUSES = (400, 401, 403, 429, 500, 502)
Handler = Callable[[Request], Awaitable[Answer | Drop]]


def echo(request: Request) -> str:
    """All that the client has said, as careless servers repeat it."""
    query = "&".join(f"{name}={quote(value)}" for name, value in request.query.items())
    said = request.body.decode(errors="replace")
    bare = request.headers.get("authorization", "").rpartition(":")[2].rpartition(" ")[2]
    return (
        f"denied {bare} for {request.verb} http://u:{bare}@host{request.path}?{query} body {said} "
        f"headers {request.headers!r} {json.dumps(request.headers)} token {bare}"
    )


@dataclass
class Echoing:
    """In the place of a venue's handler: with ``share`` of the requests something goes wrong, in the caller's words."""

    inner: Handler
    broker: str
    rng: random.Random = field(default_factory=lambda: random.Random(11))
    share: float = 0.0
    paths: tuple[str, ...] = ()  #: nothing else is touched, where given
    struck: int = 0

    async def __call__(self, request: Request) -> Answer | Drop:
        if self.rng.random() >= self.share or (self.paths and not request.path.startswith(self.paths)):
            return await self.inner(request)
        self.struck += 1
        kind, status = self.struck % 4, STATUSES[self.struck % len(STATUSES)]
        text = echo(request)
        if kind == 0:
            return Answer(status, f"<html><body>{text}</body></html>".encode(), "text/html")
        if kind == 1:
            return Answer(302, b"", headers=(("Location", f"http://127.0.0.1:9/?echo={quote(text[:300])}"),))
        return Answer(200 if kind == 2 and self.struck % 8 == 2 else status, json.dumps(self._body(text)).encode())

    def _body(self, text: str) -> dict[str, Any]:
        if self.broker == "kite":
            types = ("InputException", "OrderException", "TokenException", "GeneralException", "NetworkException")
            return {"status": "error", "message": text, "data": None, "error_type": self.rng.choice(types)}
        code = self.rng.choice(("UDAPI100050", "UDAPI100036", "UDAPI10005", "UDAPI100072"))
        return {"status": "error", "errors": [{"errorCode": code, "error_code": code, "message": text}]}


@dataclass
class Stage:
    venue: Any
    room: ServiceRoom
    phone: BotApi
    echoing: Echoing
    listen: str
    secrets: dict[str, str] = field(default_factory=dict)
    printed: list[str] = field(default_factory=list)

    async def begin(self) -> None:
        name = self.venue.name.upper()
        await self.room.start(
            **{**self.venue.api.environment(), f"OTRADE_{name}_ACCESS_TOKEN": "", "OTRADE_LIVE": "yes",
               "OTRADE_SECRET_KEY": KEY, **CLOCK.environment()},
        )  # fmt: skip
        await self.room.until(lambda: self.phone.polling, 90)

    async def answer(self, line: str, words: str = "") -> Sent:
        """The next message to the owner after the line, with these words."""
        before = len(self.phone.sent)
        self.phone.say(OWNER, line)

        def there() -> list[Sent]:
            return [one for one in self.phone.sent[before:] if one.chat_id == OWNER and words in one.text]

        await self.room.until(lambda: bool(there()), 60, f"{words!r} after {line[:20]!r}")
        return there()[0]

    async def page(self) -> str:
        [address] = [button.url for button in (await self.answer("/login", "Log in to")).buttons if button.url]
        self.noted(address)
        return address

    def noted(self, address: str) -> None:
        """What of an address is secret."""
        query = dict(parse_qsl(urlsplit(address).query))
        query |= dict(parse_qsl(query.get("redirect_params", "")))
        for name in ("state", "request_token", "code"):
            if name in query:
                self.secrets[f"{name} {len(self.secrets)}"] = query[name]

    async def log_in(self) -> None:
        back = self.venue.api.log_in(await self.page())
        self.noted(back)
        await self.answer(back, "Logged in to")
        self.secrets[f"token {len(self.secrets)}"] = self.venue.api.token

    async def strikes(self, more: int) -> None:
        """Until so many more requests went wrong. A service that believes its token lost asks little: then somebody
        logs in again, which may go wrong, too."""
        enough = self.echoing.struck + more
        async with asyncio.timeout(180):
            while self.echoing.struck < enough:
                with suppress(TimeoutError):
                    await self.room.until(lambda: self.echoing.struck >= enough, 5)
                    return
                back = self.venue.api.log_in(await self.page())
                self.noted(back)
                await self.answer(back)
                self.secrets[f"token {len(self.secrets)}"] = self.venue.api.token

    async def talk(self) -> None:
        for line in ("/status", "/positions", "/orders", "/health", "/logs", "/why RELIANCE", "/config"):
            await self.answer(line)

    async def command(self, *arguments: str, given: str = "") -> None:
        """Another process; what it prints is kept."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "otrade_bot", *arguments, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT,
            cwd=self.room.folder,
            env={**os.environ, **self.room.environment(), **self.venue.api.environment(), "OTRADE_SECRET_KEY": KEY,
                 "OTRADE_LIVE": "yes", f"OTRADE_{self.venue.name.upper()}_ACCESS_TOKEN": "", **CLOCK.environment()},
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(given.encode()), 90)
        self.printed.append(out.decode(errors="replace"))

    def everything(self) -> dict[str, str]:
        files = [one for one in self.room.folder.rglob("*") if one.is_file()]
        found = {str(one.relative_to(self.room.folder)): one.read_bytes().decode(errors="replace") for one in files}
        calls = [json.dumps(without_addresses(call.params), ensure_ascii=False) for call in self.phone.calls]
        return found | {"Telegram": "\n".join(calls), "commands": "\n".join(self.printed)}


def without_addresses(params: dict[str, str]) -> dict[str, str]:
    """A button may lead to the login's page: nothing else has a state in it."""
    markup = json.loads(params.get("reply_markup", "{}"))
    for row in markup.get("inline_keyboard", []):
        for button in row:
            button.pop("url", None)
    return {**params, "reply_markup": json.dumps(markup)}


@asynccontextmanager
async def stage(name: str, folder: Path) -> AsyncIterator[Stage]:
    venue: Venue = VENUES[name](SHARES, CLOCK)
    venue.api.API_KEY, venue.api.SECRET = APP_KEY, APP_SECRET
    server = venue.api._server if name == "kite" else venue.api._loopback
    echoing = Echoing(server._handler, name)
    server._handler = echoing
    venue.open()
    listen = f"127.0.0.1:{free_port()}"
    async with BotApi([OWNER, OPERATOR]) as phone:
        room = ServiceRoom(folder, phone, settings=settings(name, listen))
        made = Stage(venue, room, phone, echoing, listen)
        made.secrets |= {
            "bot": phone.token, "bot's half": phone.token.partition(":")[2], "key": KEY, "app": APP_SECRET,
            "notifier": notify_path(KEY),
        }  # fmt: skip
        walk = asyncio.create_task(walking(venue))
        try:
            yield made
        finally:
            walk.cancel()
            await asyncio.gather(walk, return_exceptions=True)
            if room.process is not None and room.process.returncode is None:
                room.process.kill()
                await room.process.wait()
            if name == "kite":
                venue.api.errors.clear()
            with suppress(AssertionError):
                await venue.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


async def walking(venue: Venue) -> None:
    rng, prices = random.Random(5), {one.symbol: one.base for one in SHARES}
    while True:
        for one in SHARES:
            step = max(one.tick, prices[one.symbol] // 1000 // one.tick * one.tick)
            prices[one.symbol] += rng.choice((-2, -1, 1, 2)) * step
            venue.trade(one.symbol, prices[one.symbol])
        venue.tick(*prices)
        venue.heartbeat()
        await asyncio.sleep(0.1)


def settings(name: str, listen: str) -> dict[str, Any]:
    now = to_ist(CLOCK.now_ns())
    opens, closes = now - timedelta(minutes=3), now + timedelta(minutes=25)
    hours = {"name": "now", "open": f"{opens:%H:%M}", "close": f"{closes:%H:%M}"}
    crossover = {
        "name": "ema_crossover", "instruments": [one.symbol for one in SHARES], "timeframe": "tick",
        "params": {"fast": 2, "slow": 4, "stop_percent": 0.3, "target_percent": 0.4},
    }  # fmt: skip
    return {
        "trading.json": {"mode": "live", "capital_per_position": 20_000, "strategies": [crossover]},
        "brokers.json": {"primary": name, "feed": name, "ip_echo": None, "login": {"listen": listen}},
        "risk.json": {"cooldown_seconds": 0, "duplicate_window_seconds": 0, "daily_loss_limit": 0},
        "market.json": {"special_days": {now.date().isoformat(): hours}},
    }


async def careless_stream(at: Stage) -> None:
    """Messages of the stream that repeat the handshake's address."""
    token = at.venue.api.token
    said = f"denied wss://host/?api_key={APP_KEY}&access_token={token} token {token}"
    for text in (
        json.dumps({"type": "error", "data": said}), json.dumps({"type": "message", "data": said}), said,
        json.dumps({"type": said, "data": {"status_message": said}}),
        json.dumps({"type": "order", "data": {"order_id": said, "status": said, "status_message": said}}),
        json.dumps({"update_type": "order", "order_id": said, "status": said, "status_message": said}),
    ):  # fmt: skip
        for link in list(at.venue.sockets.live):
            link.send(text, text=True)


async def played(at: Stage) -> None:
    await at.begin()
    await at.log_in()
    await at.room.until(lambda: len(at.venue.orders()) > 4, 90)
    # A refusal of each order repeats the token.
    at.echoing.share, at.echoing.paths = 1.0, ("/orders", "/v2/order", "/v3/order")
    await at.strikes(7)
    await at.talk()
    at.echoing.share, at.echoing.paths = 0.5, ()
    await careless_stream(at)
    await at.strikes(7)
    await at.talk()
    # Telegram repeats its address.
    token = at.phone.token
    for fault in (BadRequest(f"https://api.telegram.org/bot{token}/sendMessage {KEY}"), Refused(500, f"bot{token}")):
        at.phone.fail("sendMessage", fault, times=2)
        at.phone.fail("getUpdates", fault, times=2)
    await at.answer("/status")
    await at.room.until(lambda: len([one for one in at.phone.calls if one.outcome.startswith(("400", "500"))]) >= 6)
    # Wrong token, wrong addresses, a torn login.
    at.echoing.share = 0.0
    refused = at.venue.sockets.refused
    at.venue.api.expire()
    at.secrets[f"token {len(at.secrets)}"] = at.venue.api.token
    await at.room.until(lambda: at.venue.sockets.refused > refused)
    at.echoing.share = 1.0
    page = await at.page()
    back = at.venue.api.log_in(page)
    at.noted(back)
    await at.answer(back, "/login")
    await at.answer(back.replace("state=", "state=x"), "/login")
    await at.answer("eyJ0eXAiOiJKV1Qi.eyJzdWIiOiI3RkFBIn0x9.abcDEF123", "")
    at.secrets["pasted"] = "eyJzdWIiOiI3RkFBIn0x9"
    async with httpx.AsyncClient(trust_env=False) as browser:
        page = await at.page()
        back = at.venue.api.log_in(page)
        at.noted(back)
        said = await browser.get(f"http://{at.listen}/?{urlsplit(back).query}", headers={"Host": "evil.example"})
        at.printed.append(said.text)
        said = await browser.post(f"http://{at.listen}{notify_path(KEY)}", json={"access_token": "planted-4711-token"})
        at.printed.append(said.text)
    at.secrets["planted"] = "planted-4711-token"
    await at.command("doctor")
    await at.command("doctor", "--json")
    await at.command("login", given=f"{at.venue.api.log_in(page)}\n")
    at.noted(at.venue.api.log_in(page))
    at.printed[-1] = "\n".join(one for one in at.printed[-1].splitlines() if "://" not in one)  # the page's address
    # A crash, and a start in the middle of it all.
    assert at.room.process is not None
    at.room.process.send_signal(signal.SIGABRT)
    await at.room.ended(30)
    at.echoing.share = 0.5
    await at.begin()
    await at.talk()
    at.echoing.share = 0.0
    await at.log_in()
    await at.talk()
    assert await at.room.stop() == 0


@pytest.mark.parametrize("name", list(VENUES))
async def test_no_secret_is_left_anywhere(name: str, tmp_path: Path, kernel: Kernel) -> None:
    CLOCK.environment()  # or skip
    async with stage(name, tmp_path) as at:
        await played(at)
        written = at.everything()
        assert "denied ***" in written["Telegram"]  # it did come so far
        found = [
            f"{what} in {where}: ...{text[max(0, text.find(secret) - 200):text.find(secret) + 80]!r}"
            for where, text in written.items() for what, secret in at.secrets.items() if secret in text
        ]  # fmt: skip
        assert not found, "\n".join(found)
        assert (at.room.state / FILE).stat().st_mode & 0o077 == 0
