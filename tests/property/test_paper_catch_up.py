"""However often the process dies and is started again, the exchange's day is the one it would have been."""

from __future__ import annotations

import tempfile
from collections.abc import Coroutine
from datetime import date
from pathlib import Path
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from otrade_bot.brokers.paper import PaperBroker, PaperSettings
from otrade_bot.core.clock import SECOND, ManualClock, at_ist
from otrade_bot.core.model import (
    BrokerOrder,
    GttLeg,
    GttRequest,
    Instrument,
    InstrumentKind,
    OrderRequest,
    OrderType,
    Product,
    Side,
)

DAY = date(2026, 11, 20)
OPEN = at_ist(DAY, 9, 15)
HOUR = 3600 * SECOND
KNOWN = {
    i.symbol: i
    for i in (Instrument("NSE:A", 1), Instrument("NFO:B26NOVFUT", 2, InstrumentKind.FUTURE, lot=3))
}
Price = tuple[str, int, int, int]


def fee(symbol: str, product: Product, side: Side, value: int) -> int:
    return min(value // 777, 2_000)


def run(write: Coroutine[Any, Any, Any]) -> Any:
    try:
        write.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("suspended")


class Process:
    """The paper broker from one start to one kill."""

    def __init__(self, path: Path, venue: PaperSettings, now: int = OPEN) -> None:
        self.clock = ManualClock(now)
        self.told: list[BrokerOrder] = []
        self.broker = PaperBroker(path, self.clock, KNOWN.__getitem__, lambda *_: "", venue, fee)
        self.broker.report = self.told.append
        self.broker.start_day(DAY)

    def live(self, price: Price) -> None:
        self.clock.advance_to(price[1])
        self.broker.on_price(*price)


symbols = st.sampled_from(sorted(KNOWN))
levels = st.integers(190, 210).map(lambda n: n * 500)
sides = st.sampled_from(list(Side))
products = st.sampled_from([Product.MIS, Product.MIS, Product.CNC, Product.NRML])
#: How much later (two prices of different symbols may share a moment), whose, where, how much was traded.
ticks = st.tuples(st.just("tick"), st.sampled_from([0, 1, 1, 2]), symbols, levels, st.integers(0, 12))
orders = st.tuples(
    st.just("order"), symbols, sides, levels, levels, st.integers(1, 30), products, st.sampled_from(list(OrderType))
)
gtts = st.tuples(st.just("gtt"), symbols, sides, levels, levels, st.booleans())
changes = st.tuples(st.just("modify"), st.integers(0, 9), levels, levels)
mornings = st.lists(st.one_of(ticks, ticks, orders, orders, gtts, changes), min_size=2, max_size=20)
afternoons = st.lists(ticks, min_size=1, max_size=25)
venues = st.builds(
    PaperSettings,
    cash=st.sampled_from([1_000_000, 100_000_000]),
    latency_ns=st.sampled_from([0, 0, SECOND, 5 * SECOND // 2]),
    slip_ppm=st.sampled_from([0, 300]),
    participation=st.sampled_from([1.0, 0.5, 0.3]),
)


class Tape:
    """Prices as they are drawn: the volume grows, and no symbol has two at one moment."""

    def __init__(self) -> None:
        self.prices: list[Price] = []
        self.volume = dict.fromkeys(KNOWN, 0)
        self.last = dict.fromkeys(KNOWN, OPEN)
        self.now = OPEN

    def add(self, later: int, symbol: str, price: int, traded: int) -> Price:
        self.now += SECOND * (later or self.last[symbol] == self.now)
        self.last[symbol] = self.now
        self.volume[symbol] += traded
        self.prices.append((symbol, self.now, price, self.volume[symbol]))
        return self.prices[-1]


def act(process: Process, tape: Tape, step: tuple[Any, ...]) -> None:
    """What the market or its user did while the process still ran."""
    kind, rest = step[0], step[1:]
    broker = process.broker
    if kind == "tick":
        process.live(tape.add(*rest))
    elif kind == "order":
        symbol, side, price, trigger, quantity, product, order_type = rest
        lot = KNOWN[symbol].lot
        request = OrderRequest("tag", KNOWN[symbol], side, quantity * lot, product, order_type, price, trigger)
        run(broker.place(request))
    elif kind == "modify" and rest[0] < len(broker.book.orders):
        run(broker.modify(list(broker.book.orders)[rest[0]], price=rest[1], trigger=rest[2]))
    elif kind == "gtt":
        symbol, side, low, high, both = rest
        legs = (GttLeg(low, low), GttLeg(high, high)) if both else (GttLeg(low, low),)
        product = Product.NRML if KNOWN[symbol].lot > 1 else Product.CNC
        run(broker.place_gtt(GttRequest(KNOWN[symbol], side, 3, product, legs, 100_000)))


def whole_day(path: Path, venue: PaperSettings, morning: Any, afternoon: Any) -> tuple[Tape, int, int, Any]:
    """The day without a kill: its prices, how many of them and how many bytes of the book were the morning's,
    and its end."""
    process, tape = Process(path, venue), Tape()
    for step in morning:
        act(process, tape, step)
    prices, written = len(tape.prices), path.stat().st_size
    for step in afternoon:
        act(process, tape, step)
    process.broker.close()
    return tape, prices, written, process.broker.book.state()


@settings(max_examples=200, deadline=None)
@given(morning=mornings, afternoon=afternoons, venue=venues, data=st.data())
def test_any_number_of_restarts_gives_the_book_of_an_uninterrupted_day(
    morning: Any, afternoon: Any, venue: PaperSettings, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole, broken = Path(folder) / "whole.jsonl", Path(folder) / "broken.jsonl"
        tape, at, written, end = whole_day(whole, venue, morning, afternoon)
        broken.write_bytes(whole.read_bytes()[:written])
        if whole.stat().st_size > written:
            event("something happened at the exchange")
        while at < len(tape.prices):
            away = data.draw(st.integers(0, len(tape.prices) - at), label="prices while away")
            awake = data.draw(st.integers(0 if away else 1, len(tape.prices) - at - away), label="prices while up")
            process = Process(broken, venue, tape.prices[at + away - 1][1] + HOUR * bool(away))
            before = len(process.broker.book.fills)
            fills = process.broker.catch_up(tape.prices[: at + away])
            assert fills == process.broker.book.fills[before:]
            assert process.told == []
            process.clock = process.broker._clock = ManualClock(OPEN)
            at += away + awake
            for price in tape.prices[at - awake : at]:
                process.live(price)
            process.broker.close()
        assert broken.read_bytes() == whole.read_bytes()
        assert process.broker.book.state() == end


@settings(max_examples=200, deadline=None)
@given(morning=mornings, afternoon=afternoons, venue=venues, data=st.data())
def test_killed_between_or_within_any_two_lines_the_day_ends_as_it_would_have(
    morning: Any, afternoon: Any, venue: PaperSettings, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "paper.jsonl"
        tape, _, written, end = whole_day(path, venue, morning, afternoon)
        lines = path.read_bytes()
        for _ in range(3):
            path.write_bytes(path.read_bytes()[: data.draw(st.integers(written, path.stat().st_size), label="cut")])
            process = Process(path, venue, tape.now + HOUR)
            process.broker.catch_up(tape.prices)
            process.broker.close()
            assert path.read_bytes() == lines
        assert process.broker.book.state() == end


@settings(max_examples=100, deadline=None)
@given(morning=mornings, afternoon=afternoons, venue=venues)
def test_what_the_book_has_lived_through_changes_nothing(
    morning: Any, afternoon: Any, venue: PaperSettings
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "paper.jsonl"
        tape, _, _, end = whole_day(path, venue, morning, afternoon)
        for _ in range(2):
            process = Process(path, venue, tape.now)
            assert process.broker.catch_up(tape.prices) == []
            assert process.broker.catch_up(tape.prices) == []
            process.broker.close()
            assert process.broker.book.state() == end
