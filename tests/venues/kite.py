"""Kite Connect v3 on 127.0.0.1: REST and stream with an exchange behind them, for the real clients.

    kite = Kite()
    kite.open()
    kite.price(100_000)                          # the first share trades at ₹1,000.00
    kite.fail("place", Reset(after=True))        # the next order is taken, its answer lost
    client = KiteConnect(Kite.API_KEY, Kite.TOKEN, root=kite.root)
    ...
    await kite.close()

Every request is kept in ``calls``. An error of this module's own is kept in ``errors`` and raised by ``close``.
With a clock given (``Kite(shares, clock)``) every time that it tells is that clock's, and candles are what was
traded; the stream is at ``ws_root``, for a process of its own ``environment()`` has the addresses.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from otrade_bot.core.clock import Clock, from_iso

from .faults import Fault
from .kite_exchange import USER, Exchange, Order, Rejection, Row, Share
from .kite_faults import error_body
from .kite_gtt import Gtts
from .kite_market import candles, csv, quotes, taped
from .kite_portfolio import holdings, margins, positions
from .kite_stream import HEARTBEAT, KiteStream
from .loopback import Answer, Drop, Loopback, Request, dated
from .tape import Tape

PROFILE: Row = {
    "user_id": USER, "user_type": "individual", "email": "a@example.com", "user_name": "A B", "user_shortname": "A",
    "broker": "ZERODHA", "exchanges": ["NSE", "BSE", "NFO"], "products": ["CNC", "NRML", "MIS"],
    "order_types": ["MARKET", "LIMIT", "SL", "SL-M"], "avatar_url": None, "meta": {"demat_consent": "physical"},
}  # fmt: skip
FORM = "application/x-www-form-urlencoded"
SHARES = [
    Share("NSE", "RELIANCE", 738561, name="RELIANCE INDUSTRIES"),
    Share("NSE", "INFY", 408065, name="INFOSYS"),
    Share("NSE", "IDLECO", 1234561, tick=1, name="NO DERIVATIVES CO"),
    Share("NSE", "NIFTY 50", 256265, tick=0, lot=1, segment="INDICES", name="NIFTY 50"),
    Share("NFO", "RELIANCE26NOVFUT", 12345602, tick=10, lot=500, kind="FUT", segment="NFO-FUT", name="RELIANCE"),
    Share("NFO", "NIFTY26N2426000CE", 12345858, lot=65, kind="CE", segment="NFO-OPT", name="NIFTY"),
]


@dataclass(frozen=True)
class Call:
    """One request that arrived."""

    name: str
    request: Request
    form: dict[str, str]


class Kite:
    """One account, its exchange, and what goes wrong on the way to it."""

    API_KEY = "loopbackkey"
    SECRET = "loopbacksecret"
    TOKEN = "loopbacktoken"
    REDIRECT = "https://127.0.0.1/otrade"

    def __init__(self, shares: list[Share] | None = None, clock: Clock | None = None) -> None:
        self.clock = clock
        self.exchange = Exchange(shares or SHARES, clock=clock)
        self.tape = Tape(clock) if clock else None
        self.stream = KiteStream(self.exchange, self._knows, lambda key: self.tape.volume(key) if self.tape else 0)
        self.exchange.on_update = self.stream.updates
        self.unlisted: set[str] = set()  #: keys that the instruments file leaves out
        self.skew_s = 0.0  #: of the Date in its answers
        self._logins = 0
        self.gtts = Gtts(self.exchange, self._order)
        self.token = self.TOKEN
        self.request_token = "loopbackrequest"
        self.profile = dict(PROFILE)
        self.calls: list[Call] = []
        self.errors: list[str] = []
        self._faults: dict[str, list[Fault]] = {}
        self._server = Loopback(self._handle, self.errors.append)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def ws_root(self) -> str:
        return self.stream.sockets.root

    def environment(self) -> dict[str, str]:
        """For a process of its own."""
        return {
            "OTRADE_KITE_ROOT": self.root, "OTRADE_KITE_WS_ROOT": self.ws_root, "OTRADE_KITE_LOGIN_ROOT": self.root,
            "OTRADE_KITE_API_KEY": self.API_KEY, "OTRADE_KITE_API_SECRET": self.SECRET,
            "OTRADE_KITE_ACCESS_TOKEN": self.token,
        }  # fmt: skip

    @property
    def connections(self) -> int:
        """How many were opened so far."""
        return self._server.accepted

    def open(self, beat_s: float = 0) -> None:
        """``beat_s``: between heartbeats by the machine's clock, for a process of its own; 0 = none."""
        self._server.up()
        self.stream.sockets.up()
        if beat_s:
            self.stream.sockets.beat(HEARTBEAT, beat_s)

    def down(self) -> None:
        """Refuse connections until ``open``; idle ones and streams end."""
        self._server.down()
        self.stream.sockets.down()

    async def close(self) -> None:
        await self._server.close()
        await self.stream.sockets.close()
        assert not self.stream.faults, self.stream.faults[0]
        assert not self.errors, self.errors[0]

    def fail(self, name: str, *faults: Fault) -> None:
        """The next requests of this name ('place', 'orders', ... see ROUTES) meet these faults, one each."""
        self._faults.setdefault(name, []).extend(faults)

    def hits(self, name: str) -> int:
        """How many requests of this name have arrived."""
        return sum(call.name == name for call in self.calls)

    def price(self, paise: int, key: str = "", available: int | None = None) -> None:
        """A share (the first unless named) trades at this price; orders and GTTs have met it on return."""
        key = key or next(iter(self.exchange.shares))
        self.trade(key, paise, available)
        self.stream.ticks([key])

    def trade(self, key: str, paise: int, available: int | None = None) -> None:
        """The same, and the stream says nothing of it yet: ``stream.ticks`` does."""
        self.exchange.price(key, paise, available)
        self.gtts.price(key, paise)
        if self.tape is not None:
            self.tape.trade(key, paise)

    @property
    def working(self) -> int:
        """Requests that have come and have no answer yet."""
        return self._server.busy

    def expire(self, *, cut: bool = True) -> None:
        """The token is worth nothing from now on; ``token`` is the next one, for who logs in. ``cut``: streams end."""
        self._logins += 1
        self.token = f"{self.TOKEN}{self._logins}"
        if cut:
            self.stream.sockets.hang_up()

    def log_in(self, url: str) -> str:
        """What the trader does at the login page: where the browser is sent to. Raises Rejection."""
        asked = dict(parse_qsl(urlsplit(url).query))
        if asked.get("api_key") != self.API_KEY or asked.get("v") != "3":
            raise Rejection("InputException", "Invalid `api_key`.")
        self._logins += 1
        self.request_token = f"loopbackrequest{self._logins}"
        more = asked.get("redirect_params", "")
        told = f"action=login&type=login&status=success&request_token={quote(self.request_token)}"
        return f"{self.REDIRECT}?{told}" + (f"&{more}" if more else "")

    def _knows(self, query: dict[str, str] | Any) -> bool:
        return bool(query.get("api_key") == self.API_KEY and query.get("access_token") == self.token)

    # --- requests ---
    async def _handle(self, request: Request) -> Answer | Drop:
        name, groups = _route(request)
        form = request.form() if request.content_type == FORM else {}
        self.calls.append(Call(name, request, form))

        async def accept() -> Answer:
            return self._answer(name, request, groups, form)

        waiting = self._faults.get(name)
        answer = await (waiting.pop(0).strike(accept) if waiting else accept())
        return dated(answer, self.clock.now_ns(), self.skew_s) if self.clock else answer

    def _answer(self, name: str, request: Request, groups: tuple[str, ...], form: dict[str, str]) -> Answer:
        try:
            self._admit(name, request)
            data = getattr(self, f"_do_{name}")(*groups, **_asked(name, request, form))
        except Rejection as no:
            return Answer(no.status, json.dumps(error_body(no.error_type, no.message)).encode())
        except KeyError as missing:
            text = f"Missing or empty field `{missing.args[0]}`"
            return Answer(400, json.dumps(error_body("InputException", text)).encode())
        if isinstance(data, Answer):
            return data
        if isinstance(data, str):
            return Answer(200, data.encode(), "text/csv")
        return Answer(200, json.dumps({"status": "success", "data": data}).encode())

    def _admit(self, name: str, request: Request) -> None:
        """Raises Rejection for wrong headers."""
        if not name:
            raise Rejection("GeneralException", "Route not found", 404)
        if name == "login":  # a browser's
            return
        if request.headers.get("x-kite-version") != "3":
            raise Rejection("InputException", "Invalid or missing `X-Kite-Version`.")
        if request.verb in ("POST", "PUT") and request.content_type != FORM:
            raise Rejection("InputException", f"Unexpected content type {request.content_type!r}.")
        wanted = f"token {self.API_KEY}:{self.token}"
        if name != "session" and request.headers.get("authorization") != wanted:
            raise Rejection("TokenException", "Incorrect `api_key` or `access_token`.", 403)

    # --- user ---
    def _do_login(self, query: dict[str, str]) -> Answer:
        words = "&".join(f"{name}={quote(value)}" for name, value in query.items())
        return Answer(302, b"", "", (("Location", self.log_in(f"?{words}")),))

    def _do_session(self, form: dict[str, str]) -> Row:
        text = f"{form['api_key']}{form['request_token']}{self.SECRET}"
        right = hashlib.sha256(text.encode()).hexdigest()
        if form["request_token"] != self.request_token or form["checksum"] != right:
            raise Rejection("TokenException", "Token is invalid or has expired.", 403)
        self.request_token = ""
        tokens = {"access_token": self.token, "public_token": "p", "enctoken": "e", "refresh_token": "", "silo": ""}
        return {**self.profile, "api_key": form["api_key"], **tokens, "avatar_url": "",
                "login_time": self.exchange.now()}  # fmt: skip

    def _do_logout(self) -> bool:
        self.token = "expired"
        return True

    def _do_profile(self) -> Row:
        return self.profile

    def _do_margins(self, segment: str) -> Row:
        return margins(self.exchange, segment)

    def _do_all_margins(self) -> Row:
        return {segment: self._do_margins(segment) for segment in ("equity", "commodity")}

    # --- orders ---
    def _order(self, form: dict[str, Any], variety: str = "regular") -> Order:
        share = self.exchange.shares.get(f"{form['exchange']}:{form['tradingsymbol']}")
        if share is None or share.segment == "INDICES":
            raise Rejection("InputException", "The instrument you are placing an order for has either expired or does "
                            "not exist.")  # fmt: skip
        for field, allowed in (
            ("transaction_type", ("BUY", "SELL")), ("product", ("MIS", "CNC", "NRML", "MTF")),
            ("order_type", ("MARKET", "LIMIT", "SL", "SL-M")),
        ):  # fmt: skip
            if form[field] not in allowed:
                raise Rejection("InputException", f"Invalid `{field}`.")
        tag = form.get("tag", "")
        if len(tag) > 20:
            raise Rejection("InputException", "Invalid `tag`. It must be at most 20 characters.")
        return Order(
            self.exchange.new_id(), share, 1 if form["transaction_type"] == "BUY" else -1, _int(form, "quantity"),
            form["product"], form["order_type"], _paise(form, "price") or 0, _paise(form, "trigger_price") or 0,
            float(form.get("market_protection", 0)), tag, variety, self.exchange.now(),
        )  # fmt: skip

    def _do_place(self, variety: str, form: dict[str, str]) -> Row:
        if variety != "regular":
            raise Rejection("InputException", "Invalid `variety`.")
        return {"order_id": self.exchange.place(self._order(form, variety))}

    def _do_modify(self, variety: str, order_id: str, form: dict[str, str]) -> Row:
        changes = {
            "quantity": _int(form, "quantity") if "quantity" in form else None,
            "order_type": form.get("order_type"), "price": _paise(form, "price"),
            "trigger": _paise(form, "trigger_price"),
        }  # fmt: skip
        protection = form.get("market_protection")
        self.exchange.modify(order_id, changes, None if protection is None else float(protection))
        return {"order_id": order_id}

    def _do_cancel(self, variety: str, order_id: str) -> Row:
        self.exchange.cancel(order_id)
        return {"order_id": order_id}

    def _shown(self) -> list[Order]:
        return self.exchange.shown()

    def _do_orders(self) -> list[Row]:
        return [order.row() for order in self._shown()]

    def _do_order_history(self, order_id: str) -> list[Row]:
        return self._known(order_id).history

    def _do_order_trades(self, order_id: str) -> list[Row]:
        return self._known(order_id).trades()

    def _known(self, order_id: str) -> Order:
        for order in self._shown():
            if order.order_id == order_id:
                return order
        raise Rejection("OrderException", "Couldn't find that `order_id`.")

    def _do_trades(self) -> list[Row]:
        return sorted((row for order in self._shown() for row in order.trades()), key=lambda row: row["trade_id"])

    # --- portfolio ---
    def _do_positions(self) -> Row:
        return positions(self.exchange)

    def _do_holdings(self) -> list[Row]:
        return holdings(self.exchange)

    # --- the market ---
    def _do_quote(self, keys: list[str]) -> Row:
        return quotes(self.exchange, keys, "quote", 500)

    def _do_ohlc(self, keys: list[str]) -> Row:
        return quotes(self.exchange, keys, "ohlc", 1000)

    def _do_ltp(self, keys: list[str]) -> Row:
        return quotes(self.exchange, keys, "ltp", 1000)

    def _do_instruments(self, exchange: str = "") -> str:
        listed = [share for key, share in self.exchange.shares.items() if key not in self.unlisted]
        return csv([share for share in listed if exchange in ("", share.exchange)])

    def _do_historical(self, token: str, interval: str, query: dict[str, str]) -> Row:
        if self.tape is not None:
            share = next(share for share in self.exchange.shares.values() if share.token == int(token))
            return {"candles": taped(self.tape, share, interval, from_iso(query["from"]), from_iso(query["to"]))}
        return {"candles": candles(int(token), interval, query["from"], query["to"], query.get("oi") == "1")}

    # --- GTT ---
    def _do_gtts(self) -> list[Row]:
        return [gtt.row() for gtt in self.gtts.all.values()]

    def _do_gtt(self, number: str) -> Row:
        return self.gtts.known(number).row()

    def _do_place_gtt(self, form: dict[str, str]) -> Row:
        return {"trigger_id": self.gtts.place(form)}

    def _do_modify_gtt(self, number: str, form: dict[str, str]) -> Row:
        return {"trigger_id": self.gtts.modify(number, form)}

    def _do_cancel_gtt(self, number: str) -> Row:
        return {"trigger_id": self.gtts.delete(number)}


ROUTES: list[tuple[str, str, str]] = [
    ("login", "GET", "/connect/login"),
    ("session", "POST", "/session/token"),
    ("logout", "DELETE", "/session/token"),
    ("profile", "GET", "/user/profile"),
    ("all_margins", "GET", "/user/margins"),
    ("margins", "GET", "/user/margins/([a-z]+)"),
    ("orders", "GET", "/orders"),
    ("trades", "GET", "/trades"),
    ("order_history", "GET", "/orders/([0-9]+)"),
    ("order_trades", "GET", "/orders/([0-9]+)/trades"),
    ("place", "POST", "/orders/([a-z]+)"),
    ("modify", "PUT", "/orders/([a-z]+)/([0-9]+)"),
    ("cancel", "DELETE", "/orders/([a-z]+)/([0-9]+)"),
    ("positions", "GET", "/portfolio/positions"),
    ("holdings", "GET", "/portfolio/holdings"),
    ("quote", "GET", "/quote"),
    ("ohlc", "GET", "/quote/ohlc"),
    ("ltp", "GET", "/quote/ltp"),
    ("instruments", "GET", "/instruments"),
    ("instruments", "GET", "/instruments/([A-Z]+)"),
    ("historical", "GET", "/instruments/historical/([0-9]+)/([0-9a-z]+)"),
    ("gtts", "GET", "/gtt/triggers"),
    ("gtt", "GET", "/gtt/triggers/([0-9]+)"),
    ("place_gtt", "POST", "/gtt/triggers"),
    ("modify_gtt", "PUT", "/gtt/triggers/([0-9]+)"),
    ("cancel_gtt", "DELETE", "/gtt/triggers/([0-9]+)"),
]
_COMPILED: list[tuple[str, str, Callable[[str], re.Match[str] | None]]] = [
    (name, verb, re.compile(path).fullmatch) for name, verb, path in ROUTES
]


def _route(request: Request) -> tuple[str, tuple[str, ...]]:
    for name, verb, match in _COMPILED:
        found = match(request.path) if verb == request.verb else None
        if found:
            return name, found.groups()
    return "", ()


def _asked(name: str, request: Request, form: dict[str, str]) -> dict[str, Any]:
    if request.verb in ("POST", "PUT"):
        return {"form": form}
    if name in ("quote", "ohlc", "ltp"):
        return {"keys": [value for key, value in request.pairs if key == "i"]}
    return {"query": request.query} if name in ("historical", "login") else {}


def _int(form: dict[str, Any], name: str) -> int:
    try:
        return int(form[name])
    except ValueError:
        raise Rejection("InputException", f"Invalid `{name}`.") from None


def _paise(form: dict[str, Any], name: str) -> int | None:
    """Rupees with at most two decimals, exactly."""
    if name not in form:
        return None
    found = re.fullmatch(r"(\d+)(?:\.(\d{1,2}))?", str(form[name]))
    if not found:
        raise Rejection("InputException", f"Invalid `{name}`.")
    return int(found[1]) * 100 + int((found[2] or "0").ljust(2, "0"))
