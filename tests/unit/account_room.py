"""One live account, Kite's or Upstox's, between its loopback venue and whoever listens: for the tests of both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from types import SimpleNamespace
from typing import Any

from otrade_bot.brokers.factory import BrokerFactory
from otrade_bot.brokers.middleware import UnifiedBrokerMiddleware
from otrade_bot.brokers.stream import StreamSettings, StreamState
from otrade_bot.brokers.streams import LivePrice
from otrade_bot.config.secrets import Secrets
from otrade_bot.core.clock import SECOND, ManualClock, at_ist
from otrade_bot.core.model import (
    BrokerOrder,
    GttLeg,
    GttRequest,
    Instrument,
    OrderRequest,
    OrderType,
    Product,
    Side,
)
from tests.acceptance.live_venues import VENUES, Venue
from tests.unit.stream_room import running, until
from tests.venues.shares import listed

DAY = date(2026, 11, 20)
SHARES = listed(3)
FIRST, SECOND_SHARE = SHARES[0].symbol, SHARES[1].symbol
ITEMS = {one.symbol: Instrument(one.symbol, one.token) for one in SHARES}
LISTING = SimpleNamespace(instruments=ITEMS, keys={one.symbol: one.upstox_key for one in SHARES})
FAST = {"kite": {"backoff": 0.001}, "upstox": {"backoff_s": 0.001}}
OTHER_TOKEN = "the-token-of-another-day"


class Watch(ManualClock):
    """A clock that stands until moved; who sleeps by it wakes when it has got there."""

    def __init__(self, start_ns: int) -> None:
        super().__init__(start_ns)
        self._asleep: list[tuple[int, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        waking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asleep.append((self.now_ns() + round(seconds * SECOND), waking))
        await waking

    @property
    def asleep(self) -> int:
        return sum(not waking.done() for _, waking in self._asleep)

    def turn(self, seconds: float) -> None:
        self.advance_to(self.now_ns() + round(seconds * SECOND))
        for due, waking in self._asleep:
            if due <= self.now_ns() and not waking.done():
                waking.set_result(None)


class Account:
    """The account, its venue, and what was heard of it."""

    def __init__(self, venue: Venue, account: UnifiedBrokerMiddleware, watch: Watch) -> None:
        self.venue, self.account, self.watch = venue, account, watch
        self.reports: list[BrokerOrder] = []
        self.prices: list[LivePrice] = []
        self.states: list[tuple[str, StreamState, str]] = []
        self.books_due = 0
        self.faults: list[str] = []
        self.backs = 0
        account.report = self.reports.append
        account.on_prices = self.prices.extend
        account.on_state = lambda *told: self.states.append(told)
        account.on_books_due = self._books
        account.on_token_fault = self.faults.append
        account.on_token_back = self._back

    def _books(self) -> None:
        self.books_due += 1

    def _back(self) -> None:
        self.backs += 1

    @asynccontextmanager
    async def live(self) -> AsyncIterator[None]:
        """Its streams run, and each has been heard."""
        async with running(self.account.run()):
            await self.connected()
            yield

    async def connected(self) -> None:
        links = len(self.account_wires)
        await until(lambda: len(self.venue.sockets.live) >= links)
        self.venue.heartbeat()
        await until(lambda: self.account.streams.orders is self.account.streams.prices is StreamState.LIVE)

    @property
    def connections(self) -> int:
        """To the venue's REST end, so far."""
        api = self.venue.api
        return int((api._server if self.venue.name == "kite" else api._loopback).accepted)

    @property
    def account_wires(self) -> list[Any]:
        return self.venue.wires(self.account)


@asynccontextmanager
async def account(
    name: str, *, manual: bool = False, at: Account | None = None, **options: Any
) -> AsyncIterator[Account]:
    """Open market, the first share at ₹1,000.00. ``manual``: pauses go by ``watch``, else by the machine's clock.
    ``at``: another client of the venue of this one."""
    watch = at.watch if at else Watch(at_ist(DAY, 10))
    venue: Venue = at.venue if at else VENUES[name](SHARES, watch)
    venue.open()
    venue.trade(FIRST, 100_000)
    settings = {**FAST[name], **options.pop("settings", {})}
    pauses: dict[str, Any] = {"sleep": watch.sleep} if manual else {}
    made = BrokerFactory.create_broker(
        name, secrets(venue, live=options.pop("live", "yes")), clock=watch, settings=settings,
        stream=StreamSettings(silence=0, ping=None), **pauses, **options,
    )  # fmt: skip
    made.learn(LISTING)
    found = Account(venue, made, watch)
    try:
        yield found
    finally:
        await made.aclose()
        if at is None:
            await venue.close()


def secrets(venue: Venue, **fields: Any) -> Secrets:
    """As the environment has them."""
    told = {key.removeprefix("OTRADE_").lower(): value for key, value in venue.api.environment().items()}
    return Secrets(_env_file=None, **(told | fields))


def wanted(tag: str = "T1", *, reduces: bool = False, **fields: Any) -> OrderRequest:
    """Ten of the first share; an exit is a sale far above the market, which rests."""
    values: dict[str, Any] = {"side": Side.BUY, "order_type": OrderType.LIMIT, "price": 95_000, "quantity": 10}
    if reduces:
        values |= {"side": Side.SELL, "price": 104_000}
    values |= {"product": Product.MIS, **fields}
    return OrderRequest(tag, ITEMS[FIRST], reduces=reduces, **values)


def guard(trigger: int = 97_000) -> GttRequest:
    return GttRequest(ITEMS[FIRST], Side.SELL, 10, Product.CNC, (GttLeg(trigger, trigger - 500),), 100_000)
