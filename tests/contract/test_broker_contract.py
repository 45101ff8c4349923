"""What every broker promises, whatever its wire. A broker joins by one entry in ``VENUES``.

A venue is an open market with one share at ₹1,000.00, a fresh account with plenty of money, and a hand on
the price. Writes and reads go through the interface alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import pytest

from otrade_bot.brokers.base import BrokerInterface
from otrade_bot.brokers.kite import KiteBroker, KiteSettings
from otrade_bot.brokers.paper import PaperBroker, PaperSettings
from otrade_bot.brokers.upstox import UpstoxBroker, UpstoxSettings
from otrade_bot.core.clock import SECOND, ManualClock, at_ist
from otrade_bot.core.model import (
    Accepted,
    BrokerOrder,
    GttLeg,
    GttRequest,
    GttStatus,
    Instrument,
    OrderRequest,
    OrderStatus,
    OrderType,
    Outcome,
    Product,
    Refused,
    Side,
)
from tests.venues.kite import Kite
from tests.venues.upstox import RELIANCE, UpstoxApi
from tests.venues.upstox_shapes import update

LIMIT, MARKET, SL, SL_M = OrderType.LIMIT, OrderType.MARKET, OrderType.SL, OrderType.SL_M
BUY, SELL = Side.BUY, Side.SELL
SHARE = Instrument("NSE:RELIANCE", 738561)


class Venue(Protocol):
    """What a factory makes."""

    broker: BrokerInterface

    async def price(self, paise: int) -> None:
        """The share trades at this price in any quantity; returns when the broker has acted on it."""

    async def close(self) -> None: ...


class PaperVenue:
    def __init__(self, folder: Path) -> None:
        day = date(2026, 11, 20)
        self.clock = ManualClock(at_ist(day, 10))
        self.paper = PaperBroker(
            folder / "paper.jsonl", self.clock, {SHARE.symbol: SHARE}.__getitem__, lambda *_: "", PaperSettings()
        )
        self.broker: BrokerInterface = self.paper
        self.paper.start_day(day)

    async def price(self, paise: int) -> None:
        self.clock.advance_to(self.clock.now_ns() + SECOND)
        self.paper.on_price(SHARE.symbol, self.clock.now_ns(), paise, 0)

    async def close(self) -> None:
        self.paper.close()


async def paper(folder: Path) -> Venue:
    return PaperVenue(folder)


class KiteVenue:
    """REST over the real client; order updates come in as its stream will bring them."""

    def __init__(self) -> None:
        self.kite = Kite()
        self.kite.open()
        self.live = KiteBroker(KiteSettings(Kite.API_KEY, Kite.TOKEN, self.kite.root))
        self.kite.exchange.on_update = self.live.on_order_update
        self.broker: BrokerInterface = self.live

    async def price(self, paise: int) -> None:
        self.kite.price(paise)

    async def close(self) -> None:
        await self.live.aclose()
        await self.kite.close()


async def kite(folder: Path) -> Venue:
    return KiteVenue()


class UpstoxVenue:
    """REST over the real client; order updates come in as its stream will bring them."""

    def __init__(self) -> None:
        self.api = UpstoxApi()
        self.api.up()
        settings = UpstoxSettings(self.api.root, self.api.root)
        self.live = UpstoxBroker({SHARE.symbol: RELIANCE}, settings, self.api.token)
        self.api.exchange.on_update = lambda order: self.live.on_order_update(update(order))
        self.broker: BrokerInterface = self.live

    async def price(self, paise: int) -> None:
        self.api.exchange.price(RELIANCE, paise)

    async def close(self) -> None:
        await self.live.aclose()
        assert await self.api.close() == []


async def upstox(folder: Path) -> Venue:
    return UpstoxVenue()


VENUES: dict[str, Callable[[Path], Awaitable[Venue]]] = {"kite": kite, "paper": paper, "upstox": upstox}


@pytest.fixture(params=sorted(VENUES))
async def venue(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Venue]:
    made = await VENUES[request.param](tmp_path)
    await made.price(100_000)
    yield made
    await made.close()


@pytest.fixture
def reports(venue: Venue) -> list[BrokerOrder]:
    seen: list[BrokerOrder] = []
    venue.broker.report = seen.append
    return seen


async def sent(broker: BrokerInterface, write: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Through ``dispatch``, as the order manager does it."""
    import asyncio

    answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    broker.dispatch(write, answer.set_result)
    return await asyncio.wait_for(answer, 30)


async def placed(venue: Venue, order_type: OrderType, side: Side, tag: str = "tag1", **fields: Any) -> str:
    quantity, product = fields.pop("quantity", 10), fields.pop("product", Product.MIS)
    request = OrderRequest(tag, SHARE, side, quantity, product, order_type, **fields)
    outcome = await sent(venue.broker, venue.broker.place(request))
    assert isinstance(outcome, Accepted), outcome
    return outcome.order_id


async def row(venue: Venue, order_id: str) -> BrokerOrder:
    return next(o for o in await venue.broker.get_orderbook() if o.order_id == order_id)


async def net(venue: Venue, product: Product = Product.MIS) -> int:
    rows = await venue.broker.get_positions()
    return sum(p.quantity for p in rows if (p.symbol, p.product) == (SHARE.symbol, product))


async def test_the_account_starts_empty_with_money(venue: Venue) -> None:
    broker = venue.broker
    assert list(await broker.get_orderbook()) == []
    assert list(await broker.get_trades()) == []
    assert list(await broker.get_gtts()) == []
    assert await net(venue) == 0
    funds = await broker.get_funds()
    assert funds.available > 0
    assert funds.used == 0
    assert broker.name
    assert broker.modification_limit > 0


@pytest.mark.parametrize("side", [BUY, SELL])
async def test_a_market_order_is_filled_and_booked_everywhere(
    venue: Venue, reports: list[BrokerOrder], side: Side
) -> None:
    order_id = await placed(venue, MARKET, side, tag="OT1entry")
    found = await row(venue, order_id)
    assert (found.status, found.filled, found.tag, found.side) == (OrderStatus.COMPLETE, 10, "OT1entry", side)
    trades = [t for t in await venue.broker.get_trades() if t.order_id == order_id]
    assert sum(t.quantity for t in trades) == 10
    assert sum(t.quantity * t.price for t in trades) == found.value
    assert await net(venue) == side * 10
    assert reports[-1].status is OrderStatus.COMPLETE


@pytest.mark.parametrize(("side", "price", "beyond"), [(BUY, 99_000, 98_900), (SELL, 101_000, 101_100)])
async def test_a_limit_rests_until_the_price_reaches_it(
    venue: Venue, side: Side, price: int, beyond: int
) -> None:
    order_id = await placed(venue, LIMIT, side, price=price)
    assert (await row(venue, order_id)).status is OrderStatus.OPEN
    await venue.price(beyond)
    found = await row(venue, order_id)
    assert found.status is OrderStatus.COMPLETE
    assert side * found.value <= side * price * 10


@pytest.mark.parametrize("kind", [SL, SL_M])
@pytest.mark.parametrize(
    ("side", "trigger", "price", "hit"), [(SELL, 99_000, 98_500, 98_900), (BUY, 101_000, 101_500, 101_100)]
)
async def test_a_stop_waits_for_its_trigger(
    venue: Venue, kind: OrderType, side: Side, trigger: int, price: int, hit: int
) -> None:
    order_id = await placed(venue, kind, side, trigger=trigger, price=price if kind is SL else 0)
    assert (await row(venue, order_id)).status is OrderStatus.TRIGGER_PENDING
    await venue.price(trigger + side * -100)
    assert (await row(venue, order_id)).filled == 0
    await venue.price(hit)
    assert (await row(venue, order_id)).status is OrderStatus.COMPLETE
    assert await net(venue) == side * 10


async def test_a_resting_stop_becomes_a_marketable_limit_where_the_broker_converts(venue: Venue) -> None:
    if not venue.broker.converts_stops:
        pytest.skip("this broker does not convert stops")
    await placed(venue, MARKET, BUY)
    stop = await placed(venue, SL_M, SELL, trigger=99_000)
    change = venue.broker.modify(stop, order_type=LIMIT, price=99_500)
    assert isinstance(await sent(venue.broker, change), Accepted)
    await venue.price(100_000)
    assert (await row(venue, stop)).status is OrderStatus.COMPLETE
    assert await net(venue) == 0


async def test_a_modification_shows_in_book_and_reports(venue: Venue, reports: list[BrokerOrder]) -> None:
    order_id = await placed(venue, LIMIT, BUY, price=99_000)
    change = venue.broker.modify(order_id, price=98_000, quantity=12)
    assert isinstance(await sent(venue.broker, change), Accepted)
    found = await row(venue, order_id)
    assert (found.price, found.quantity, found.status) == (98_000, 12, OrderStatus.OPEN)
    assert reports[-1].price == 98_000


async def test_a_cancelled_order_is_final(venue: Venue, reports: list[BrokerOrder]) -> None:
    order_id = await placed(venue, LIMIT, BUY, price=99_000)
    assert isinstance(await sent(venue.broker, venue.broker.cancel(order_id)), Accepted)
    assert (await row(venue, order_id)).status is OrderStatus.CANCELLED
    await venue.price(98_000)
    assert (await row(venue, order_id)).filled == 0
    assert isinstance(await sent(venue.broker, venue.broker.cancel(order_id)), Refused)
    assert isinstance(await sent(venue.broker, venue.broker.modify(order_id, price=97_000)), Refused)
    assert reports[-1].status is OrderStatus.CANCELLED


async def test_an_order_that_nobody_knows_can_be_neither_changed_nor_cancelled(venue: Venue) -> None:
    for write in (venue.broker.modify("999999999", price=97_000), venue.broker.cancel("999999999")):
        assert isinstance(await sent(venue.broker, write), Refused)


@pytest.mark.parametrize(
    "fields",
    [{"quantity": 0}, {"order_type": LIMIT}, {"order_type": LIMIT, "price": 99_001}, {"protection": 0.0},
     {"order_type": SL_M, "side": SELL, "trigger": 101_000}],
)  # fmt: skip
async def test_what_a_broker_must_refuse_is_refused_and_leaves_no_position(
    venue: Venue, fields: dict[str, Any]
) -> None:
    values = {"side": BUY, "quantity": 10, "product": Product.MIS, "order_type": MARKET, **fields}
    request = OrderRequest(tag="bad", instrument=SHARE, **values)
    assert isinstance(await sent(venue.broker, venue.broker.place(request)), Refused)
    assert await net(venue) == 0


async def test_more_than_the_account_bears_ends_rejected_or_refused(venue: Venue) -> None:
    request = OrderRequest("big", SHARE, BUY, 50_000_000, Product.CNC, MARKET)
    outcome = await sent(venue.broker, venue.broker.place(request))
    if isinstance(outcome, Accepted):
        found = await row(venue, outcome.order_id)
        assert found.status is OrderStatus.REJECTED
        assert found.reason
    else:
        assert isinstance(outcome, Refused)
    assert await net(venue, Product.CNC) == 0


async def test_a_reducing_order_closes_the_position(venue: Venue) -> None:
    await placed(venue, MARKET, BUY)
    await placed(venue, MARKET, SELL, tag="tag2", quantity=4)
    assert await net(venue) == 6
    await placed(venue, MARKET, SELL, tag="tag3", quantity=6)
    assert await net(venue) == 0


async def test_reports_are_cumulative_and_end_where_the_book_ends(
    venue: Venue, reports: list[BrokerOrder]
) -> None:
    order_id = await placed(venue, SL_M, SELL, trigger=99_000)
    await venue.price(98_900)
    mine = [r for r in reports if r.order_id == order_id]
    assert [r.filled for r in mine] == sorted(r.filled for r in mine)
    assert [r.updated_ns for r in mine] == sorted(r.updated_ns for r in mine)
    assert mine[-1] == await row(venue, order_id)


async def test_an_oco_places_one_leg_and_voids_the_other(venue: Venue) -> None:
    if not venue.broker.two_leg_gtt:
        pytest.skip("this broker has no OCO over a holding")
    await placed(venue, MARKET, BUY, product=Product.CNC)
    legs = (GttLeg(97_500, 96_500), GttLeg(105_000, 104_500))
    request = GttRequest(SHARE, SELL, 10, Product.CNC, legs, 100_000)
    outcome = await sent(venue.broker, venue.broker.place_gtt(request))
    assert isinstance(outcome, Accepted)
    (gtt,) = await venue.broker.get_gtts()
    assert (gtt.gtt_id, gtt.status, [x.trigger for x in gtt.legs]) == (
        outcome.order_id, GttStatus.ACTIVE, [97_500, 105_000],
    )  # fmt: skip
    await venue.price(97_000)
    (gtt,) = await venue.broker.get_gtts()
    assert gtt.status is GttStatus.TRIGGERED
    assert (await row(venue, gtt.legs[0].order_id)).status is OrderStatus.COMPLETE
    assert gtt.legs[1].order_id == ""
    assert await net(venue, Product.CNC) == 0


async def test_of_two_legs_the_first_guards_what_is_held_at_every_broker(venue: Venue) -> None:
    await placed(venue, MARKET, BUY, product=Product.CNC)
    legs = (GttLeg(97_500, 96_500), GttLeg(105_000, 104_500))
    request = GttRequest(SHARE, SELL, 10, Product.CNC, legs, 100_000)
    assert isinstance(await sent(venue.broker, venue.broker.place_gtt(request)), Accepted)
    await venue.price(97_600)
    assert await net(venue, Product.CNC) == 10
    await venue.price(97_400)
    (gtt,) = await venue.broker.get_gtts()
    assert (gtt.status, gtt.legs[0].trigger) == (GttStatus.TRIGGERED, 97_500)
    assert (await row(venue, gtt.legs[0].order_id)).status is OrderStatus.COMPLETE
    assert await net(venue, Product.CNC) == 0


async def test_a_gtt_can_be_moved_and_deleted(venue: Venue) -> None:
    await placed(venue, MARKET, BUY, product=Product.CNC)
    request = GttRequest(SHARE, SELL, 10, Product.CNC, (GttLeg(97_500, 97_000),), 100_000)
    outcome = await sent(venue.broker, venue.broker.place_gtt(request))
    assert isinstance(outcome, Accepted)
    moved = GttRequest(SHARE, SELL, 10, Product.CNC, (GttLeg(98_500, 98_000),), 100_000)
    change = venue.broker.modify_gtt(outcome.order_id, moved)
    assert isinstance(await sent(venue.broker, change), Accepted)
    (gtt,) = await venue.broker.get_gtts()
    assert gtt.legs[0].trigger == 98_500
    assert isinstance(await sent(venue.broker, venue.broker.cancel_gtt(outcome.order_id)), Accepted)
    active = [g for g in await venue.broker.get_gtts() if g.status is GttStatus.ACTIVE]
    assert active == []
    await venue.price(97_000)
    assert await net(venue, Product.CNC) == 10
