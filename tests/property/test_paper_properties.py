"""Whatever is done to the paper broker: money and volume are conserved, and every prefix of its file is
the account at that moment."""

from __future__ import annotations

import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from otrade_bot.brokers.paper import PaperBroker, PaperSettings
from otrade_bot.brokers.paper.book import Book
from otrade_bot.core.clock import SECOND, ManualClock, at_ist
from otrade_bot.core.model import (
    Accepted,
    BrokerOrder,
    GttLeg,
    GttRequest,
    GttStatus,
    Instrument,
    InstrumentKind,
    OrderRequest,
    OrderStatus,
    OrderType,
    Product,
    Refused,
    Side,
)
from otrade_bot.kernel.fills import fill_price, protected, protection_ppm

DAY = date(2026, 11, 20)
KNOWN = {
    i.symbol: i
    for i in (
        Instrument("NSE:A", 1),
        Instrument("NFO:B26NOVFUT", 2, InstrumentKind.FUTURE, lot=3),
    )
}
CASH = 20_000_000


def fee(symbol: str, product: Product, side: Side, value: int) -> int:
    return min(value // 777, 2_000) + (value // 1_000 if side is Side.SELL else 0)


def run(write: Coroutine[Any, Any, Any]) -> Any:
    try:
        write.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("suspended")


@dataclass
class World:
    """The broker, and what an onlooker can add up by himself."""

    path: Path
    settings: PaperSettings
    day: date = DAY
    volume: dict[str, int] = field(default_factory=dict)
    pool: dict[str, int] = field(default_factory=dict)
    told: dict[str, BrokerOrder] = field(default_factory=dict)
    limits: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock = ManualClock(at_ist(DAY, 9, 15))
        self.open()
        self.broker.start_day(DAY)

    def open(self) -> None:
        self.broker = PaperBroker(
            self.path, self.clock, KNOWN.__getitem__, lambda *_: "", self.settings, fee
        )
        self.broker.report = self.hear

    def hear(self, row: BrokerOrder) -> None:
        before = self.told.get(row.order_id)
        if before is not None:
            assert row.filled >= before.filled
            assert not before.status.final
            assert row.updated_ns >= before.updated_ns
        # Durable before it is told: the file holds what we are hearing.
        assert Book.read(self.path).orders[row.order_id].row() == row
        self.told[row.order_id] = row

    def orders(self) -> list[str]:
        return list(self.broker.book.orders)


prices = st.integers(180, 220).map(lambda n: n * 500)
symbols = st.sampled_from(sorted(KNOWN))
op = st.one_of(
    st.tuples(st.just("tick"), symbols, prices, st.integers(0, 40)),
    st.tuples(st.just("tick"), symbols, prices, st.integers(0, 40)),
    st.tuples(
        st.just("place"), symbols, prices, prices, st.integers(1, 30), st.sampled_from(list(Side)),
        st.sampled_from(list(Product)), st.sampled_from(list(OrderType)),
    ),
    st.tuples(
        st.just("place"), symbols, prices, prices, st.integers(1, 30), st.sampled_from(list(Side)),
        st.just(Product.MIS), st.sampled_from(list(OrderType)),
    ),
    st.tuples(
        st.just("modify"), st.integers(0, 9), st.none() | prices, st.none() | prices,
        st.none() | st.integers(1, 30), st.none() | st.sampled_from(list(OrderType)),
    ),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("gtt"), symbols, prices, prices, st.sampled_from(list(Side)), st.booleans()),
    st.tuples(st.just("ungtt"), st.integers(0, 3)),
    st.tuples(st.just("restart")),
    st.tuples(st.just("square_off"), symbols),
    st.tuples(st.just("end_day")),
    st.tuples(st.just("next_day")),
)  # fmt: skip
plans = st.lists(op, min_size=1, max_size=40)
venues = st.builds(
    PaperSettings,
    cash=st.just(CASH),
    latency_ns=st.sampled_from([0, 0, 2 * SECOND]),
    slip_ppm=st.sampled_from([0, 300, 20_000]),
    participation=st.sampled_from([1.0, 0.5, 0.3]),
)


def act(world: World, step: tuple[Any, ...]) -> None:
    kind, rest = step[0], step[1:]
    {
        "tick": tick, "place": place, "modify": modify, "cancel": cancel, "gtt": gtt, "ungtt": ungtt,
        "restart": restart, "square_off": square_off, "end_day": end_day, "next_day": next_day,
    }[kind](world, *rest)  # fmt: skip


def tick(world: World, symbol: str, price: int, traded: int) -> None:
    world.clock.advance_to(world.clock.now_ns() + SECOND)
    before = world.volume.get(symbol, 0)
    now = before + traded
    world.pool[symbol] = traded * round(world.settings.participation * 10) // 10 if now else 1 << 60
    world.volume[symbol] = now
    with counted(world):
        world.broker.on_price(symbol, world.clock.now_ns(), price, now)


class counted:  # noqa: N801 - reads as a word
    """What fills inside takes from the volume on offer, never more than there is."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __enter__(self) -> None:
        self.seen = len(self.world.broker.book.fills)

    def __exit__(self, *_: object) -> None:
        for fill in self.world.broker.book.fills[self.seen :]:
            self.world.pool[fill.symbol] -= fill.quantity
            assert self.world.pool[fill.symbol] >= 0
            assert fill.quantity % KNOWN[fill.symbol].lot == 0
            order = self.world.broker.book.orders[fill.order_id]
            assert order.side * fill.price <= order.side * order.price


def place(
    world: World, symbol: str, price: int, trigger: int, quantity: int, side: Side, product: Product,
    kind: OrderType,
) -> None:  # fmt: skip
    request = OrderRequest("tag", KNOWN[symbol], side, quantity, product, kind, price, trigger)
    with counted(world):
        outcome = run(world.broker.place(request))
    if isinstance(outcome, Accepted):
        assert world.told[outcome.order_id] == world.broker.book.orders[outcome.order_id].row()


def modify(
    world: World, which: int, price: int | None, trigger: int | None, quantity: int | None,
    kind: OrderType | None,
) -> None:  # fmt: skip
    if which < len(world.orders()):
        before = world.broker.book.state()
        with counted(world):
            write = world.broker.modify(
                world.orders()[which], price=price, trigger=trigger, quantity=quantity, order_type=kind
            )
            outcome = run(write)
        if isinstance(outcome, Refused):
            assert world.broker.book.state() == before


def cancel(world: World, which: int) -> None:
    if which < len(world.orders()):
        order_id = world.orders()[which]
        done = world.broker.book.orders[order_id].status.final
        assert isinstance(run(world.broker.cancel(order_id)), Refused if done else Accepted)


def gtt(world: World, symbol: str, low: int, high: int, side: Side, both: bool) -> None:
    legs = (GttLeg(low, low), GttLeg(high, high)) if both else (GttLeg(low, low),)
    product = Product.NRML if KNOWN[symbol].kind is InstrumentKind.FUTURE else Product.CNC
    run(world.broker.place_gtt(GttRequest(KNOWN[symbol], side, 3, product, legs, 100_000)))


def ungtt(world: World, which: int) -> None:
    ids = list(world.broker.book.gtts)
    if which < len(ids):
        run(world.broker.cancel_gtt(ids[which]))


def restart(world: World) -> None:
    before = world.broker.book.state()
    world.broker.close()
    world.open()
    assert world.broker.book.state() == before
    for symbol in KNOWN:  # an onlooker cannot know what of the volume was left; nothing fills before a tick
        world.pool[symbol] = 0
        world.volume[symbol] = world.broker.book.desk(symbol).volume


def square_off(world: World, symbol: str) -> None:
    world.broker.auto_square_off([symbol])
    assert world.broker.book.net(symbol, Product.MIS) == 0


def end_day(world: World) -> None:
    world.broker.end_day()
    assert not world.broker.book.working
    assert not any(lot.quantity for (_, p), lot in world.broker.book.positions.items() if p.intraday)


def next_day(world: World) -> None:
    world.day += timedelta(days=1)
    world.clock.advance_to(at_ist(world.day, 9, 15))
    world.broker.start_day(world.day)
    world.volume.clear()
    world.pool.clear()
    world.told.clear()
    assert world.orders() == []


def check(world: World) -> None:
    book = world.broker.book
    costs = sum(lot.signed_cost for lot in book.positions.values())
    costs += sum(lot.signed_cost for lot in book.holdings.values())
    assert book.cash + costs == CASH + book.realised - book.charges
    assert all(lot.quantity > 0 for lot in book.holdings.values())
    assert all(lot.cost >= 0 for lot in book.positions.values())
    for (symbol, product), lot in book.positions.items():
        if product is Product.CNC:
            assert lot.quantity + book.holding(symbol) >= 0
    for order in book.orders.values():
        mine = [f for f in book.fills if f.order_id == order.order_id]
        assert order.filled == sum(f.quantity for f in mine) <= order.quantity
        assert order.value == sum(f.quantity * f.price for f in mine)
        assert order.charged == (fee(order.symbol, order.product, order.side, order.value) if mine else 0)
        assert (order.status is OrderStatus.COMPLETE) == (order.left == 0)
        assert (order.order_id in book.working) == (not order.status.final)
    for symbol, desk in book.desks.items():
        assert [o.order_id for o in desk.orders] == [k for k, o in book.working.items() if o.symbol == symbol]
        active = [g for g in book.gtts.values() if g.symbol == symbol and g.status is GttStatus.ACTIVE]
        assert sorted(g.gtt_id for g in desk.gtts) == sorted(g.gtt_id for g in active)
    assert Book.read(world.path).state() == book.state()


@settings(max_examples=150, deadline=None)
@given(plan=plans, venue=venues)
def test_money_volume_and_the_file_agree_after_every_operation(
    plan: list[tuple[Any, ...]], venue: PaperSettings
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "paper.jsonl", venue)
        try:
            for step in plan:
                act(world, step)
                check(world)
        finally:
            world.broker.close()


@settings(max_examples=60, deadline=None)
@given(plan=plans, data=st.data())
def test_a_file_torn_anywhere_opens_as_the_account_of_its_whole_lines(
    plan: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "paper.jsonl"
        world = World(path, PaperSettings(cash=CASH))
        states = {world.broker.book.lines: world.broker.book.state()}
        for step in plan:
            act(world, step)
            states[world.broker.book.lines] = world.broker.book.state()
        world.broker.close()
        whole = path.read_bytes()
        cut = data.draw(st.integers(1, len(whole)))
        path.write_bytes(whole[:cut])
        lines = whole[:cut].count(b"\n")
        world.open()
        assert world.broker.book.lines == max(1, lines)  # a new book is begun where not one line is whole
        if lines in states:
            assert world.broker.book.state() == states[lines]
        world.broker.start_day(world.day)
        check(world)
        world.broker.close()


def twin(ticks: list[tuple[int, int]], side: int, quantity: int, slip: int) -> list[tuple[int, int, int]]:
    """A market order placed before the first tick, as the compiled replay meets it: (tick, qty, price)."""
    limit, left, out, before = 0, quantity, [], 0
    for k, (price, volume) in enumerate(ticks):
        free = 1 << 60 if volume == 0 else volume - before
        before = volume
        limit = limit or protected(side, price, protection_ppm(price, 0), 5)
        paid = fill_price(side, limit, 1, price, slip, 5)
        take = min(left, free)
        if paid and take > 0:
            left -= take
            out.append((k, take, paid))
    return out


@settings(max_examples=100, deadline=None)
@given(
    moves=st.lists(st.tuples(st.integers(-40, 40), st.integers(0, 9)), min_size=1, max_size=30),
    side=st.sampled_from(list(Side)),
    quantity=st.integers(1, 40),
    slip=st.sampled_from([0, 300, 4_000]),
)
def test_a_market_order_fills_as_the_compiled_replay_fills_it(
    moves: list[tuple[int, int]], side: Side, quantity: int, slip: int
) -> None:
    price, volume, ticks = 100_000, 0, []
    for move, traded in moves:
        price, volume = price + 5 * move, volume + traded
        ticks.append((price, volume))
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "paper.jsonl", PaperSettings(cash=10 * CASH, slip_ppm=slip))
        place(world, "NSE:A", 0, 0, quantity, side, Product.MIS, OrderType.MARKET)
        start = world.clock.now_ns()
        for k, (at, total) in enumerate(ticks):
            world.broker.on_price("NSE:A", start + k * SECOND, at, total)
        got = [((f.ts_ns - start) // SECOND, f.quantity, f.price) for f in world.broker.book.fills]
        world.broker.close()
    assert got == twin(ticks, side, quantity, slip)
