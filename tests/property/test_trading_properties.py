"""Reports in any order, and a venue that answers, forgets and races: what holds after every step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.bench import OPEN, SHARE, Bench, config, run
from harness.venue import Call, FakeVenue
from hypothesis import HealthCheck, settings
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from otrade_bot.core.clock import SECOND
from otrade_bot.core.events import EventKind
from otrade_bot.core.model import BrokerOrder, Leg, OrderRequest, OrderStatus, OrderType, Product, Side, Unknown
from otrade_bot.trading.orders import Order, merge

QUICKLY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


# --- reports in any order -----------------------------------------------------------------------------


@st.composite
def histories(draw: st.DrawFn) -> list[BrokerOrder]:
    """What an exchange says of one order, in the order in which it happened."""
    told = BrokerOrder(
        "V1", SHARE.symbol, Side.SELL, 20, Product.MIS, OrderType.SL_M, OrderStatus.TRIGGER_PENDING, "w", trigger=9_800,
        tag="T", updated_ns=OPEN,
    )  # fmt: skip
    history = [told]
    for step in draw(st.lists(st.integers(0, 9), max_size=8)):
        stamp = told.updated_ns + (1 if step == 6 else draw(st.sampled_from([0, 1])))
        if step < 3:
            more = min(told.quantity - told.filled, 1 + step)
            told = replace(
                told, filled=told.filled + more, value=told.value + more * (9_800 - step), status=OrderStatus.OPEN
            )
        elif step < 6:
            told = replace(told, quantity=told.quantity + step, modifications=told.modifications + 1)
        elif step == 6:
            told = replace(told, order_type=OrderType.LIMIT, price=9_700, status=OrderStatus.OPEN)
        told = replace(told, updated_ns=stamp)
        if told.filled == told.quantity:
            told = replace(told, status=OrderStatus.COMPLETE)
        history.append(told)
        if told.status.final:
            return history
    end = draw(st.sampled_from([None, OrderStatus.CANCELLED, OrderStatus.REJECTED]))
    if end:
        history.append(replace(told, status=end, updated_ns=told.updated_ns + 1))
    return history


def fresh() -> Order:
    request = OrderRequest("T", SHARE, Side.SELL, 20, Product.MIS, OrderType.SL_M, trigger=9_800)
    return Order("T", 0, Leg.EXIT, 0, 1, request, 20, OrderType.SL_M, 0, 9_800, OPEN)


def facts(order: Order) -> tuple[Any, ...]:
    return order.status, order.filled, order.value, order.quantity, order.trigger, order.price, order.order_type


@QUICKLY
@hypothesis_given(histories(), st.randoms(use_true_random=False), st.data())
def test_reports_shuffled_doubled_and_late_end_in_the_same_order(
    history: list[BrokerOrder], luck: Any, data: Any
) -> None:
    straight, crooked = fresh(), fresh()
    for told in history:
        merge(straight, told)
    mixed = history + data.draw(st.lists(st.sampled_from(history), max_size=6))
    luck.shuffle(mixed)
    filled = 0
    for told in mixed:
        merge(crooked, told)
        assert crooked.filled >= filled
        filled = crooked.filled
    assert facts(crooked) == facts(straight)
    assert not merge(crooked, history[-1])


def recorded() -> list[BrokerOrder]:
    """Every report of a rung: bought in parts, stopped out in parts."""
    bench = Bench(lambda b: FakeVenue(b.clock))
    venue = bench.broker
    bench.signal()
    entry = venue.accept()
    for quantity in (7, 13, 10):
        venue.fill(entry, quantity, say=False)
        venue.deliver_all()
    for call in venue.open_calls():
        venue.accept(call)
    venue.deliver_all()
    bench.pulse(1.1)
    venue.accept()
    venue.deliver_all()
    stop = venue.working()[0].order_id
    venue.change(stop, order_type=OrderType.LIMIT, price=9_700, status=OrderStatus.OPEN)
    venue.fill(stop, 12, 9_795)
    venue.fill(stop, 0, 9_790)
    assert bench.life().closed
    return list(venue.told)


@QUICKLY
@hypothesis_given(st.randoms(use_true_random=False), st.integers(0, 10))
def test_a_recorded_rung_told_in_any_order_ends_in_the_same_trade(luck: Any, doubles: int) -> None:
    reports = recorded()
    bench = Bench(lambda b: FakeVenue(b.clock))
    venue = bench.broker
    bench.signal()
    entries = [told for told in reports if told.side is Side.BUY]
    exits = [told for told in reports if told.side is Side.SELL]
    luck.shuffle(entries)
    for told in entries + luck.choices(entries, k=doubles):
        bench.engine.on_report(told)
    assert bench.life().held == 30
    assert bench.rung("filled") == 30
    told_exits = exits + luck.choices(exits, k=doubles)
    luck.shuffle(told_exits)
    for told in told_exits:
        bench.engine.on_report(replace(told, tag=bench.life().exits[0].tag))
    for call in venue.open_calls():
        venue.refuse(call)
    trades = bench.engine.trades()
    assert [(t.quantity, t.entry_value, t.exit_value) for t in trades] == [(30, 300_000, 12 * 9_795 + 18 * 9_790)]
    assert bench.rung("side") == 0
    assert not bench.engine.blocks


# --- a venue that does anything -------------------------------------------------------------------------


class Rung(RuleBasedStateMachine):
    """One rung's lives at a venue whose every write may be slow, refused, lost or raced by a fill."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(lambda b: FakeVenue(b.clock), config(params={"target_percent": 50.0, "short": False}))
        self.venue: FakeVenue = self.bench.broker
        self.venue.on_send = self._leaves
        self.price = 10_000

    def _orders(self) -> list[Order]:
        return list(self.bench.manager.orders)

    def _leaves(self, call: Call) -> None:
        """Looked at before each write leaves."""
        orders = self._orders()
        if call.what == "place":
            tag = call.request.tag
            assert tag not in {c.request.tag for c in self.venue.calls if c.what == "place"}
            assert tag in self.bench.manager.orders.by_tag, "registered before it leaves"
            if call.request.side is Side.BUY:
                assert not any(o.unknown for o in orders), "an Unknown freezes entries"
        else:
            order = self.bench.manager.orders.by_id[call.order_id]
            assert not order.unknown, "no write about an order in doubt"
            assert not any(not c.answered and c.order_id == call.order_id for c in self.venue.calls)

    # --- what happens ---
    @precondition(lambda self: all(life.closed for life in self.bench.manager.lives.values()))
    @rule()
    def signal(self) -> None:
        self.bench.signal(self.price)

    @rule(move=st.integers(-40, 40), tenths=st.sampled_from([2, 11, 31]))
    def trade(self, move: int, tenths: int) -> None:
        self.price = max(5_000, self.price + 5 * move)
        self.bench.price(self.price, seconds=tenths / 10)

    @rule(seconds=st.sampled_from([0.5, 1.1, 4.0, 31.0]))
    def wait(self, seconds: float) -> None:
        self.bench.pulse(seconds)

    @rule()
    def leave(self) -> None:
        self.bench.engine.exit_row(0)

    @precondition(lambda self: self.venue.unacted())
    @rule(data=st.data(), loses=st.booleans())
    def arrive(self, data: Any, loses: bool) -> None:
        call = data.draw(st.sampled_from(self.venue.unacted()))
        self.venue.act(call, loses=loses)

    @precondition(lambda self: self.venue.open_calls())
    @rule(data=st.data(), how=st.sampled_from(["well", "well", "refuse", "timeout", "lost"]))
    def answer(self, data: Any, how: str) -> None:
        call = data.draw(st.sampled_from(self.venue.open_calls()))
        if how == "timeout":
            self.venue.answer(call, Unknown("timeout"))
        elif call.natural is not None:
            self.venue.answer(call)
        elif how == "refuse":
            self.venue.refuse(call)
        elif how == "lost":
            self.venue.doubt(call, lost=True)
        else:
            self.venue.act(call)
            self.venue.answer(call)

    @precondition(lambda self: self.venue.working())
    @rule(data=st.data(), quantity=st.sampled_from([0, 1, 7]), say=st.booleans())
    def fill(self, data: Any, quantity: int, say: bool) -> None:
        order = data.draw(st.sampled_from(self.venue.working()))
        if order.status is OrderStatus.TRIGGER_PENDING:
            self.venue.change(order.order_id, say=say, status=OrderStatus.OPEN, order_type=OrderType.LIMIT, price=5_000)
        else:
            self.venue.fill(order.order_id, quantity, self.price, say=say)

    @precondition(lambda self: self.venue.working())
    @rule(data=st.data())
    def exchange_cancels(self, data: Any) -> None:
        order = data.draw(st.sampled_from(self.venue.working()))
        self.venue.change(order.order_id, status=OrderStatus.CANCELLED, reason="by the exchange")

    @precondition(lambda self: self.venue.outbox)
    @rule(data=st.data())
    def deliver(self, data: Any) -> None:
        self.venue.deliver(data.draw(st.integers(0, len(self.venue.outbox) - 1)))

    @precondition(lambda self: self.venue.told)
    @rule(data=st.data())
    def say_again(self, data: Any) -> None:
        self.venue.report(data.draw(st.sampled_from(self.venue.told)))

    @rule()
    def compare(self) -> None:
        self._late_writes_arrive()
        run(self.bench.engine.reconcile())

    def _late_writes_arrive(self) -> None:
        """A write is in the book a minute after it was sent, or never."""
        for call in self.venue.unacted():
            if self.bench.now - call.sent_ns > 60 * SECOND:
                if call.answered:
                    self.venue.act(call)
                else:
                    self.venue.doubt(call, lost=True)

    # --- what holds ---
    @invariant()
    def never_two_reducing_orders(self) -> None:
        working = [o for o in self.venue.working() if o.side is Side.SELL]
        flying = [c for c in self.venue.unacted() if c.what == "place" and c.request.side is Side.SELL]
        assert len(working) + len(flying) <= 1

    @invariant()
    def never_more_on_sale_than_was_bought(self) -> None:
        """At the venue itself, whatever we have been told of it."""
        orders = self.venue.orders.values()
        held = sum(int(o.side) * o.filled for o in orders)
        on_sale = sum(o.quantity - o.filled for o in orders if o.side is Side.SELL and not o.status.final)
        assert 0 <= on_sale <= max(held, 0)
        for life in self.bench.manager.lives.values():
            assert life.covered <= max(life.held, 0)

    @invariant()
    def what_is_held_is_protected_or_about_to_be(self) -> None:
        for life in self.bench.manager.lives.values():
            if life.held > 0:
                assert not life.closed
                assert any(o.live for o in life.exits) or life.retry_ns > self.bench.now
                if life.retry_ns > self.bench.now and not any(o.live for o in life.exits):
                    assert self.bench.alerts

    @invariant()
    def doubt_freezes_the_symbol(self) -> None:
        assert (SHARE.symbol in self.bench.manager.frozen) == any(o.unknown for o in self._orders())

    def teardown(self) -> None:
        """Everything is answered, told and filled: nothing is held, and each rung is one trade or two."""
        self.bench.engine.exit_row(0)
        for _ in range(40):
            for call in self.venue.open_calls():
                if call.natural is None and not call.lost:
                    self.venue.act(call)
                self.venue.answer(call, None if call.natural else Unknown("timeout"))
            for call in self.venue.unacted():
                self.venue.act(call)
            self.venue.deliver_all()
            for order in self.venue.working():
                if order.status is OrderStatus.OPEN:
                    self.venue.fill(order.order_id, price=self.price)
            self.bench.pulse(31)
            run(self.bench.engine.reconcile())
            self.never_two_reducing_orders()
            self.never_more_on_sale_than_was_bought()
        assert not self.venue.working()
        assert all(life.closed for life in self.bench.manager.lives.values())
        bought = sum(o.filled for o in self.venue.orders.values() if o.side is Side.BUY)
        trades = self.bench.engine.trades()
        assert sum(t.quantity for t in trades) == bought
        assert sum(t.entry_value for t in trades) == sum(
            o.value for o in self.venue.orders.values() if o.side is Side.BUY
        )
        assert len({t.trade_id for t in trades}) == len(trades) == len(self.bench.events(EventKind.TRADE))
        assert self.bench.engine.external.get((SHARE.symbol, "MIS"), 0) == 0
        assert self.bench.rung("side") == 0


TestRung = Rung.TestCase
TestRung.settings = settings(
    max_examples=80, stateful_step_count=35, deadline=None, suppress_health_check=list(HealthCheck)
)
