"""Upstox on 127.0.0.1: its REST and streams with a small exchange behind them, a hand on the price, faults to inject.

    async with UpstoxApi() as api:
        broker = UpstoxBroker(KEYS, UpstoxSettings(host=api.root, order_host=api.root), api.token)
        api.exchange.price(RELIANCE, 100_000)
        api.fail("place", Reset(after=True))

With a clock given every time that it tells is that clock's, and candles are what was traded; the streams are at
``ws_root``, for a process of its own ``environment()`` has the addresses.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from otrade_bot.core.clock import Clock

from . import upstox_shapes as shapes
from .faults import Accept, BadGateway, Closed, Fault, Hang, Reset
from .loopback import Answer, Drop, Loopback, Request, dated
from .tape import Tape
from .upstox_exchange import Exchange, Refusal, Share
from .upstox_market import listing, taped
from .upstox_stream import UpstoxStream

__all__ = [
    "INFY",
    "RELIANCE",
    "BadGateway",
    "Call",
    "Closed",
    "Edit",
    "Hang",
    "Reset",
    "Says",
    "Torn",
    "UpstoxApi",
    "error",
    "html",
    "too_many",
]

RELIANCE, INFY = "NSE_EQ|INE002A01018", "NSE_EQ|INE009A01021"
PAGE = b"<html><body><h1>Please wait</h1></body></html>"

ROUTES = {
    ("GET", "/"): "nothing",
    ("GET", "/v2/login/authorization/dialog"): "login",
    ("POST", "/v2/login/authorization/token"): "token",
    ("POST", "/v3/order/place"): "place",
    ("PUT", "/v3/order/modify"): "modify",
    ("DELETE", "/v3/order/cancel"): "cancel",
    ("GET", "/v2/order/retrieve-all"): "book",
    ("GET", "/v2/order/details"): "details",
    ("GET", "/v2/order/history"): "history",
    ("GET", "/v2/order/trades/get-trades-for-day"): "trades",
    ("GET", "/v2/order/trades"): "order_trades",
    ("GET", "/v2/portfolio/short-term-positions"): "positions",
    ("GET", "/v2/portfolio/long-term-holdings"): "holdings",
    ("GET", "/v2/user/get-funds-and-margin"): "funds",
    ("GET", "/v2/user/profile"): "profile",
    ("POST", "/v3/order/gtt/place"): "gtt_place",
    ("PUT", "/v3/order/gtt/modify"): "gtt_modify",
    ("DELETE", "/v3/order/gtt/cancel"): "gtt_cancel",
    ("GET", "/v3/order/gtt"): "gtts",
    ("GET", "/v3/market-quote/ltp"): "ltp",
    ("GET", "/v3/market-quote/quotes"): "quotes",
}
#: For everybody, without a token.
OPEN = frozenset({"candles", "login", "token", "approval", "listing"})


@dataclass
class Says(Fault):
    """Any answer at all. ``after``: what was asked for was done."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    after: bool = False

    async def strike(self, accept: Accept) -> Answer:
        if self.after:
            await accept()
        return Answer(self.status, self.body, self.content_type, self.headers)


@dataclass
class Edit(Fault):
    """It was done, and the answer's JSON is not quite what it should be."""

    change: Callable[[Any], object]

    async def strike(self, accept: Accept) -> Answer | Drop:
        answer = await accept()
        assert isinstance(answer, Answer)
        body = json.loads(answer.body)
        self.change(body)
        return Answer(answer.status, json.dumps(body).encode(), answer.content_type, answer.headers)


class Torn(Fault):
    """It was done, and the answer breaks off in its middle."""

    async def strike(self, accept: Accept) -> Drop:
        answer = await accept()
        assert isinstance(answer, Answer)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer.body)}\r\n\r\n"
        return Drop(reset=False, sent=head.encode() + answer.body[: len(answer.body) // 2])


def error(status: int, code: str, message: str = "no", *, after: bool = False) -> Says:
    """Upstox's form of a no; both spellings of the code are sent."""
    told = {"errorCode": code, "error_code": code, "message": message, "propertyPath": None, "invalidValue": None}
    return Says(status, json.dumps({"status": "error", "errors": [told]}).encode(), after=after)


def too_many(retry_after: int | None = None, page: bool = False) -> Says:
    """429, as Upstox's own JSON or as the page of something in front of it."""
    said = error(429, "UDAPI10005", "Too Many Request Sent")
    if page:
        said.body, said.content_type = PAGE, "text/html"
    if retry_after is not None:
        said.headers = (("Retry-After", str(retry_after)),)
    return said


def html(status: int = 200, *, after: bool = True) -> Says:
    """A page where JSON was to be."""
    return Says(status, PAGE, "text/html", after=after)


@dataclass
class Call:
    """One request."""

    name: str
    fields: dict[str, Any]  #: its JSON body and its query
    headers: dict[str, str] = field(default_factory=dict)


class UpstoxApi:
    """One account at Upstox. Both hosts are this server; ``call.headers["host"]`` tells which one was meant."""

    API_KEY = "upstox-api-key"
    SECRET = "upstox-api-secret"
    REDIRECT = "https://127.0.0.1/otrade"

    def __init__(
        self, token: str = "upstox-token-for-tests", shares: list[Share] | None = None, clock: Clock | None = None
    ) -> None:
        self.token = self._first = token
        self.clock = clock
        self.exchange = Exchange(shares or [Share(RELIANCE, "RELIANCE"), Share(INFY, "INFY")], clock=clock)
        self.tape = Tape(clock) if clock else None
        self.stream = UpstoxStream(
            self.exchange, lambda: self.token,
            lambda key: self.tape.volume(self.exchange.shares[key].symbol) if self.tape else 0,
        )  # fmt: skip
        self.exchange.on_update = self.stream.tell
        self.unlisted: set[str] = set()  #: keys that the instruments file leaves out
        self.skew_s = 0.0  #: of the Date in its answers
        self.code = ""  #: of the last login, good once
        self.approvals: list[dict[str, Any]] = []  #: logins asked for in the app
        self._logins = 0
        self.calls: list[Call] = []
        self.violations: list[str] = []
        self._faults: list[tuple[str, Fault]] = []
        self._loopback = Loopback(self._handle, self.violations.append)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._loopback.port}"

    @property
    def ws_root(self) -> str:
        return self.stream.sockets.root

    def environment(self) -> dict[str, str]:
        """For a process of its own."""
        roots = ("ROOT", "ORDER_ROOT", "LOGIN_ROOT", "ASSETS_ROOT")
        return {
            **{f"OTRADE_UPSTOX_{name}": self.root for name in roots}, "OTRADE_UPSTOX_WS_ROOT": self.ws_root,
            "OTRADE_UPSTOX_API_KEY": self.API_KEY, "OTRADE_UPSTOX_API_SECRET": self.SECRET,
            "OTRADE_UPSTOX_REDIRECT_URI": self.REDIRECT, "OTRADE_UPSTOX_ACCESS_TOKEN": self.token,
        }  # fmt: skip

    async def __aenter__(self) -> UpstoxApi:
        self.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, _: TracebackType | None
    ) -> None:
        violations = await self.close()
        if violations and fault is None:
            raise AssertionError("\n".join(violations))

    async def close(self) -> list[str]:
        """End every connection. What was asked that is not of Upstox's API."""
        await self._loopback.close()
        await self.stream.sockets.close()
        return [*self.violations, *self.stream.faults]

    def down(self) -> None:
        """Reset every connection, streams too, and refuse new ones."""
        self._loopback.down()
        self.stream.sockets.down()

    def up(self) -> None:
        self._loopback.up()
        self.stream.sockets.up()

    def price(self, paise: int, key: str = "", available: int | None = None) -> None:
        """A share (the first unless named) trades at this price; orders and GTTs have met it on return."""
        key = key or next(iter(self.exchange.shares))
        self.trade(key, paise, available)
        self.stream.ticks([key])

    def trade(self, key: str, paise: int, available: int | None = None) -> None:
        """The same, and the stream says nothing of it yet: ``stream.ticks`` does."""
        self.exchange.price(key, paise, 1 << 40 if available is None else available)
        if self.tape is not None:
            self.tape.trade(self.exchange.shares[key].symbol, paise)

    @property
    def working(self) -> int:
        """Requests that have come and have no answer yet."""
        return self._loopback.busy

    def expire(self, *, cut: bool = True) -> None:
        """The token is worth nothing from now on; ``token`` is the next one, for who logs in. ``cut``: streams end."""
        self._logins += 1
        self.token = f"{self._first}-{self._logins}"
        if cut:
            self.stream.sockets.hang_up()

    def log_in(self, url: str) -> str:
        """What the trader does at the login page: where the browser is sent to. Raises Refusal."""
        asked = dict(parse_qsl(urlsplit(url).query))
        if (asked.get("client_id"), asked.get("response_type")) != (self.API_KEY, "code"):
            raise Refusal("Invalid client_id", "UDAPI100016", 401)
        self._logins += 1
        self.code = f"code{self._logins}"
        state = f"&state={quote(asked['state'])}" if "state" in asked else ""
        return f"{asked['redirect_uri']}?code={self.code}{state}"

    def fail(self, name: str, fault: Fault, times: int = 1) -> None:
        """Let the next calls of that name fail."""
        self._faults += [(name, fault)] * times

    def called(self, name: str) -> list[Call]:
        return [call for call in self.calls if call.name == name]

    async def _handle(self, request: Request) -> Answer | Drop:
        name = ROUTES.get((request.verb, request.path)) or _by_prefix(request)
        if name is None:
            self.violations.append(f"{request.verb} {request.path}: not a path of this venue")
            return await error(404, "UDAPI10000", "Bad URL").strike(_nothing)
        call = Call(name, _fields(request), request.headers)
        self.calls.append(call)

        async def accept() -> Answer:
            return await self._accept(call, request)

        struck = next((k for k, (wanted, _) in enumerate(self._faults) if wanted == name), None)
        answer = await (accept() if struck is None else self._faults.pop(struck)[1].strike(accept))
        return dated(answer, self.clock.now_ns(), self.skew_s) if self.clock else answer

    async def _accept(self, call: Call, request: Request) -> Answer:
        if call.name == "nothing":
            return await error(404, "UDAPI10000", "Bad URL").strike(_nothing)
        if call.name not in OPEN and call.headers.get("authorization") != f"Bearer {self.token}":
            return await error(401, "UDAPI100050", "Invalid token used to access API").strike(_nothing)
        try:
            data = await self._work(call, request)
        except Refusal as no:
            return await error(no.status, no.code, str(no)).strike(_nothing)
        if isinstance(data, Answer):
            return data
        body: dict[str, Any] = {"status": "success", "data": data}
        if request.path.startswith("/v3/order"):
            body["metadata"] = {"latency": 3}
        return Answer(200, json.dumps(body).encode())

    async def _work(self, call: Call, request: Request) -> Any:
        exchange, given = self.exchange, call.fields
        match call.name:
            case "place":
                return {"order_ids": [exchange.place(given).order_id]}
            case "modify":
                return {"order_id": exchange.modify(given).order_id}
            case "cancel":
                return {"order_id": exchange.cancel(given["order_id"]).order_id}
            case "gtt_place":
                return {"gtt_order_ids": [exchange.place_gtt(given).gtt_id]}
            case "gtt_modify":
                return {"gtt_order_ids": [exchange.modify_gtt(given).gtt_id]}
            case "gtt_cancel":
                return {"gtt_order_ids": [exchange.cancel_gtt(given["gtt_order_id"]).gtt_id]}
            case "candles":
                return {"candles": self._candles(unquote(request.path).split("/")[3:])}
            case "login":
                words = "&".join(f"{name}={quote(value, safe='')}" for name, value in given.items())
                return Answer(302, b"", "", (("Location", self.log_in(f"?{words}")),))
            case "token":
                return Answer(200, json.dumps(self._session(request.form())).encode())
            case "approval":
                return self._approval(request.path.rpartition("/")[2], given)
            case "listing":
                name = request.path.rpartition("/")[2].partition(".")[0]
                shares = [s for key, s in exchange.shares.items() if s.exchange == name and key not in self.unlisted]
                return Answer(200, listing(shares), "application/gzip")
            case _:
                return self._told(call.name, given)

    def _session(self, form: dict[str, str]) -> dict[str, Any]:
        """A code is good once, also where the rest is wrong."""
        code, self.code = self.code, ""
        wanted = (code, self.API_KEY, self.SECRET, "authorization_code")
        given = tuple(form.get(name) for name in ("code", "client_id", "client_secret", "grant_type"))
        if not code or given != wanted:
            raise Refusal("Invalid Auth code", "UDAPI100057", 401)
        return {**shapes.PROFILE, "access_token": self.token, "extended_token": ""}

    def _approval(self, client: str, given: dict[str, Any]) -> dict[str, Any]:
        if (client, given.get("client_secret")) != (self.API_KEY, self.SECRET):
            raise Refusal("Invalid credentials", "UDAPI100016", 401)
        self.approvals.append(given)
        expiry = int(self.exchange.now.timestamp() * 1000) + 600_000
        return {"authorization_expiry": str(expiry), "notifier_url": self.REDIRECT}

    def _told(self, name: str, given: dict[str, Any]) -> Any:
        exchange = self.exchange
        match name:
            case "book":
                return [shapes.order(row) for row in reversed(exchange.book())]
            case "details":
                return shapes.order(exchange.find(given["order_id"]))
            case "history":
                row = exchange.find(given["order_id"])
                return [shapes.state(row, status, at) for status, at in row.history]
            case "trades" | "order_trades":
                wanted = given.get("order_id")
                return [shapes.trade(f) for f in exchange.fills if wanted in (None, f.order.order_id)]
            case "positions":
                return [shapes.position(exchange, share, product) for share, product in exchange.positions]
            case "holdings":
                rows = exchange.holdings.items()
                coming = exchange.coming
                return [shapes.holding(exchange.shares[key], *held, coming.get(key, 0)) for key, held in rows]
            case "funds":
                return shapes.funds(exchange)
            case "gtts":
                wanted = given.get("gtt_order_id")
                return [shapes.gtt(g) for g in exchange.gtts.values() if wanted in (None, g.gtt_id)]
            case "ltp" | "quotes":
                shares = [self._share(key) for key in given["instrument_key"].split(",")]
                told = shapes.ltp if name == "ltp" else partial(shapes.quote, now=exchange.now)
                return {f"NSE_EQ:{share.trading_symbol}": told(share) for share in shares}
            case _:
                return shapes.PROFILE

    def _candles(self, words: list[str]) -> list[list[Any]]:
        """Newest first: of past days by date, of today by ``intraday`` alone."""
        if self.tape is not None:
            return taped(self.tape, self._share(words[words[0] == "intraday"]), words)
        today = self.exchange.now.date().isoformat()
        if words[0] == "intraday":
            return [row for row in self._share(words[1]).candles if row[0][:10] == today]
        last, first = words[3], words[4] if len(words) > 4 else ""
        return [row for row in self._share(words[0]).candles if first <= row[0][:10] <= last and row[0][:10] < today]

    def _share(self, key: str) -> Share:
        if key not in self.exchange.shares:
            raise Refusal("Invalid instrument key", "UDAPI100011")
        return self.exchange.shares[key]


def _fields(request: Request) -> dict[str, Any]:
    if request.content_type == "application/x-www-form-urlencoded":
        return {**request.form(), **request.query}
    return {**(json.loads(request.body) if request.body else {}), **request.query}


def _by_prefix(request: Request) -> str | None:
    """Names of paths that have something in them."""
    starts = {
        ("GET", "/v3/historical-candle/"): "candles", ("POST", "/v3/login/auth/token/request/"): "approval",
        ("GET", "/market-quote/instruments/exchange/"): "listing",
    }  # fmt: skip
    found = (name for (verb, start), name in starts.items() if request.verb == verb and request.path.startswith(start))
    return next(found, None)


async def _nothing() -> Answer:
    await asyncio.sleep(0)
    return Answer(204, b"")
