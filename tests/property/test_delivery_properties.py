"""A delivery rung at a venue whose GTTs are refused, lost, late, silent, ended by the broker or gone off unsold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.bench import SHARE, Bench, config, run
from harness.gtt_venues import Apart, Single
from harness.venue import Call, FakeVenue
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from otrade_bot.core.clock import MINUTE, SECOND
from otrade_bot.core.events import EventKind
from otrade_bot.core.model import (
    BrokerOrder,
    GttStatus,
    Holding,
    OrderStatus,
    OrderType,
    Product,
    Refused,
    Side,
    Unknown,
)
from otrade_bot.trading.carry import Carried, carry_in

DAY = 24 * 60 * MINUTE
DELIVERY = config(params={"target_percent": 4.0, "short": False}, product=Product.CNC)
NO = [
    Refused("no"),
    Refused("Authorise the sale using CDSL TPIN"),
    Refused("Too many requests", "NetworkException"),
    Refused("Incorrect `api_key` or `access_token`.", "TokenException"),
    Refused("Trigger price is too close to the last traded price."),
]


class Guarded(RuleBasedStateMachine):
    """What the exchange does and what we are told of it are apart, as in life."""

    make: Any = staticmethod(lambda bench: FakeVenue(bench.clock))
    pace = 0.0
    rungs = 1
    kept = 0  #: shares of earlier days

    def __init__(self) -> None:
        super().__init__()
        self.bench = self._bench()
        self.venue: FakeVenue = self.bench.broker
        self.venue.gtt_pace_seconds = self.pace
        self.venue.on_send = self._leaves
        self.price = 10_000

    def _bench(self) -> Bench:
        return Bench(self.make, DELIVERY)

    def _leaves(self, call: Call) -> None:
        """Looked at before each write leaves: none about what is in doubt, none beside an open one."""
        if call.what in ("modify_gtt", "cancel_gtt"):
            lives = self.bench.manager.lives.values()
            for gtt in (life.gtt for life in lives if life.gtt and life.gtt.gtt_id == call.order_id):
                assert not gtt.unknown
                assert not gtt.order_id
        if call.order_id:
            assert not any(not c.answered and c.order_id == call.order_id for c in self.venue.calls)
        if call.what == "place" and call.request.side is Side.SELL:
            assert len(self._reducing()) < self.rungs, "nothing is sold while the rung's GTT stands"

    def _reducing(self) -> list[Any]:
        """Everything at the venue, or on its way there, that makes a position smaller."""
        working = [o for o in self.venue.working() if o.side is Side.SELL]
        flying = [
            c for c in self.venue.unacted()
            if c.what == "place_gtt" or (c.what == "place" and c.request.side is Side.SELL)
        ]  # fmt: skip
        return [*working, *flying, *self._active()]

    def _active(self) -> list[str]:
        return [gtt.gtt_id for gtt in self.venue.gtts.values() if gtt.status is GttStatus.ACTIVE]

    # --- what happens ---
    @precondition(lambda self: all(life.closed for life in self.bench.manager.lives.values()))
    @rule()
    def signal(self) -> None:
        self.price = 10_000
        self.bench.signal(self.price)

    @rule(move=st.integers(-60, 60), tenths=st.sampled_from([2, 11, 61]), how=st.sampled_from("SSSRXN"))
    def trade(self, move: int, tenths: int, how: str) -> None:
        """What the price reaches goes off: and is Said, seen later (R), rejected (X) or never (N)."""
        self.price = max(8_000, self.price + 5 * move)
        for gtt_id in self._active():
            self._reach(gtt_id, how)
        self._pass(tenths / 10)
        self.bench.price(self.price, seconds=0)

    def _pass(self, seconds: float) -> None:
        self.bench.clock.advance_to(self.bench.now + int(seconds * SECOND))
        self._late_writes_arrive()

    def _reach(self, gtt_id: str, how: str) -> None:
        legs = self.venue.gtts[gtt_id].legs
        hit = [i for i, leg in enumerate(legs) if (self.price <= leg.trigger if i == 0 else self.price >= leg.trigger)]
        if hit and how != "N":
            self._go_off(gtt_id, hit[0], how)

    def _go_off(self, gtt_id: str, leg: int, how: str) -> None:
        gtt, now = self.venue.gtts[gtt_id], self.bench.now
        order_id = f"V{len(self.venue.orders) + 1:03d}"
        price = gtt.legs[leg].price
        self.venue.orders[order_id] = BrokerOrder(
            order_id, gtt.symbol, gtt.side, gtt.quantity, gtt.product, OrderType.LIMIT, OrderStatus.OPEN, "open",
            price=price, placed_ns=now,
        )  # fmt: skip
        legs = tuple(replace(one, order_id=order_id) if i == leg else one for i, one in enumerate(gtt.legs))
        self.venue.gtts[gtt_id] = replace(gtt, status=GttStatus.TRIGGERED, legs=legs)
        status = OrderStatus.REJECTED if how == "X" else OrderStatus.OPEN
        self.venue.change(order_id, say=how == "S", status=status, reason="circuit" if how == "X" else "")

    @rule(seconds=st.sampled_from([0.5, 1.1, 4.0, 31.0]))
    def wait(self, seconds: float) -> None:
        self._pass(seconds)
        self.bench.pulse(0)

    @rule()
    def leave(self) -> None:
        self.bench.engine.exit_row(0)

    @precondition(lambda self: self.venue.unacted())
    @rule(data=st.data(), loses=st.booleans())
    def arrive(self, data: Any, loses: bool) -> None:
        self.venue.act(data.draw(st.sampled_from(self.venue.unacted())), loses=loses)

    @precondition(lambda self: self.venue.open_calls())
    @rule(data=st.data(), how=st.sampled_from(["well", "well", "well", "refuse", "timeout", "lost"]))
    def answer(self, data: Any, how: str) -> None:
        call = data.draw(st.sampled_from(self.venue.open_calls()))
        if how == "timeout":
            self.venue.answer(call, Unknown("timeout"))
        elif call.natural is not None:
            self.venue.answer(call)
        elif how == "refuse":
            call.lost = True
            self.venue.answer(call, data.draw(st.sampled_from(NO)))
        elif how == "lost":
            self.venue.doubt(call, lost=True)
        else:
            self.venue.act(call)
            self.venue.answer(call)

    @precondition(lambda self: self.venue.working())
    @rule(data=st.data(), quantity=st.sampled_from([0, 1, 7]), say=st.booleans())
    def fill(self, data: Any, quantity: int, say: bool) -> None:
        order = data.draw(st.sampled_from(self.venue.working()))
        self.venue.fill(order.order_id, quantity, self.price, say=say)

    @precondition(lambda self: self.venue.working())
    @rule(data=st.data())
    def exchange_cancels(self, data: Any) -> None:
        order = data.draw(st.sampled_from(self.venue.working()))
        self.venue.change(order.order_id, status=OrderStatus.CANCELLED, reason="by the exchange")

    @precondition(lambda self: self._active())
    @rule(status=st.sampled_from([GttStatus.CANCELLED, GttStatus.EXPIRED, GttStatus.REJECTED, GttStatus.DELETED]))
    def broker_ends_the_gtt(self, status: GttStatus) -> None:
        gtt_id = self._active()[0]
        self.venue.gtts[gtt_id] = replace(self.venue.gtts[gtt_id], status=status)

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
        """A write takes effect within a minute, or never."""
        for call in self.venue.unacted():
            if self.bench.now - call.sent_ns > 60 * SECOND:
                if call.answered:
                    self.venue.act(call)
                else:
                    self.venue.doubt(call, lost=True)

    # --- what holds ---
    @invariant()
    def never_two_that_reduce(self) -> None:
        assert len(self._reducing()) <= self.rungs

    @invariant()
    def never_more_on_sale_than_is_held(self) -> None:
        """At the venue itself, whatever we have been told of it."""
        held = self.kept + sum(int(o.side) * o.filled for o in self.venue.orders.values())
        assert held >= 0
        on_sale = sum(o.quantity - o.filled for o in self.venue.working() if o.side is Side.SELL)
        standing = sum(self.venue.gtts[gtt_id].quantity for gtt_id in self._active())
        assert on_sale + standing <= held
        for life in self.bench.manager.lives.values():
            assert life.covered <= max(life.held, 0)

    @invariant()
    def what_is_held_is_guarded_or_said_not_to_be(self) -> None:
        """Whatever nobody has confirmed has been told; and the view never calls more protected than was confirmed."""
        for life in self.bench.manager.lives.values():
            if life.held <= 0:
                continue
            assert not life.closed
            if not life.gtt_alive and not any(o.live for o in life.exits):
                assert self.bench.alerts
                waits = max(life.retry_ns, life.gtt_retry_ns) > self.bench.now or not self.bench.rows[0].ltp
                assert waits or life.wanted is not None
            if life.gtt is not None and life.gtt.unknown:
                assert self.bench.alerts
        for position in self.bench.engine.positions():
            if position.stop_resting and not position.external:
                assert position.unprotected == ""

    def teardown(self) -> None:
        """Everything is answered, told and filled: nothing is held, nothing stands, each rung is booked."""
        self.bench.price(self.price)
        self.bench.engine.exit_row(0)
        for _ in range(60):
            for call in self.venue.open_calls():
                if call.natural is None and not call.lost:
                    self.venue.act(call)
                self.venue.answer(call, None if call.natural else Unknown("timeout"))
            for call in self.venue.unacted():
                self.venue.act(call)
            self.venue.deliver_all()
            for order in self.venue.working():
                self.venue.fill(order.order_id, price=self.price)
            self.bench.pulse(31)
            run(self.bench.engine.reconcile())
            self.never_two_that_reduce()
            self.never_more_on_sale_than_is_held()
        assert not self.venue.working()
        assert self._active() == []
        assert all(life.closed for life in self.bench.manager.lives.values())
        bought = sum(o.filled for o in self.venue.orders.values() if o.side is Side.BUY)
        trades = self.bench.engine.trades()
        assert sum(t.quantity for t in trades) == bought + self.kept
        assert len({t.trade_id for t in trades}) == len(trades) == len(self.bench.events(EventKind.TRADE))
        assert not self.bench.engine.external.get((SHARE.symbol, "CNC"))
        assert [self.bench.rung("side", rung) for rung in range(3)] == [0, 0, 0]


class GuardedAlone(Guarded):
    """One leg; a pace; the broker prices it in its own way."""

    make = staticmethod(lambda bench: Single(bench.clock))
    pace = 30.0


class GuardedApart(Guarded):
    """A least distance."""

    make = staticmethod(Apart)


class GuardedLadder(Guarded):
    """Three rungs of one share and one size, kept over night: whose GTT, and whose order, is which?"""

    rungs = 3
    kept = 90

    def _bench(self) -> Bench:
        bench = Bench(self.make, config("momentum_ladder", timeframe="15m", product=Product.CNC), start=False)
        bench.broker.held = [Holding(SHARE.symbol, 90, 10_000)]
        bench.engine.prepare(bench.day)
        told = [
            Carried(SHARE.symbol, "momentum_ladder", rung, 1, "BUY", 30, 300_000, level, bench.now - DAY)
            for rung, level in ((1, 9_750), (2, 9_755), (3, 9_500))
        ]
        assert len(run(carry_in(bench.engine, told))) == 3
        bench.engine.start_day(bench.day)
        run(bench.engine.recover())
        return bench


OFTEN = settings(max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
TestGuarded = Guarded.TestCase
TestGuarded.settings = OFTEN
TestGuardedAlone = GuardedAlone.TestCase
TestGuardedAlone.settings = OFTEN
TestGuardedApart = GuardedApart.TestCase
TestGuardedApart.settings = OFTEN
TestGuardedLadder = GuardedLadder.TestCase
TestGuardedLadder.settings = OFTEN
