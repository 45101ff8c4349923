"""A broker that does as the test says: each write can take effect, be answered, or be lost, when told.

What the exchange has done and what we have been told are kept apart: reports wait in ``outbox`` until
they are delivered, in any order, as often as one likes.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from otrade_bot.brokers.base import BrokerInterface, Done, Write
from otrade_bot.core.clock import Clock
from otrade_bot.core.model import (
    Accepted,
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    Funds,
    Gtt,
    GttRequest,
    GttStatus,
    Holding,
    OrderRequest,
    OrderStatus,
    OrderType,
    Outcome,
    Product,
    Refused,
    Unknown,
)

STOPS = (OrderType.SL, OrderType.SL_M)


@dataclass(eq=False)
class Call:
    """One write on its way. ``natural`` is what the exchange answered when the write arrived."""

    what: str
    order_id: str
    request: Any
    sent_ns: int
    natural: Outcome | None = None
    answered: bool = False
    lost: bool = False  #: will never arrive
    done: Done = field(default=lambda outcome: None)
    write: Any = None


@types.coroutine
def _wait(call: Call) -> Generator[Call, Outcome, Outcome]:
    return (yield call)


class FakeVenue(BrokerInterface):
    """``on_send`` looks at each write before it leaves."""

    name = "venue"

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.calls: list[Call] = []
        self.orders: dict[str, BrokerOrder] = {}
        self.fills: list[BrokerFill] = []
        self.gtts: dict[str, Gtt] = {}
        self.outbox: list[BrokerOrder] = []
        self.told: list[BrokerOrder] = []
        self.external: list[BrokerPosition] = []
        self.held: list[Holding] = []
        self.on_send: Callable[[Call], None] = lambda call: None
        #: Answers at once where it gives an outcome, or acts at once where it gives True.
        self.script: Callable[[Call], Outcome | bool | None] = lambda call: None
        self.funds = Funds(10**12, 0)
        self._tick = 0

    # --- writes wait ---
    def dispatch(self, write: Write, done: Done) -> None:
        call = write.send(None)
        call.write, call.done = write, done
        self.on_send(call)
        self.calls.append(call)
        told = self.script(call)
        if told is True:
            self.act(call)
            self.answer(call)
        elif told:
            self.answer(call, told)

    def _send(self, what: str, order_id: str, request: Any) -> Call:
        return Call(what, order_id, request, self.clock.now_ns())

    async def place(self, request: OrderRequest) -> Outcome:
        return await _wait(self._send("place", "", request))

    async def modify(self, order_id: str, **changes: Any) -> Outcome:
        return await _wait(self._send("modify", order_id, changes))

    async def cancel(self, order_id: str) -> Outcome:
        return await _wait(self._send("cancel", order_id, None))

    async def place_gtt(self, request: GttRequest) -> Outcome:
        return await _wait(self._send("place_gtt", "", request))

    async def modify_gtt(self, gtt_id: str, request: GttRequest) -> Outcome:
        return await _wait(self._send("modify_gtt", gtt_id, request))

    async def cancel_gtt(self, gtt_id: str) -> Outcome:
        return await _wait(self._send("cancel_gtt", gtt_id, None))

    # --- what the test decides ---
    def open_calls(self) -> list[Call]:
        return [call for call in self.calls if not call.answered]

    def unacted(self) -> list[Call]:
        return [call for call in self.calls if call.natural is None and not call.lost]

    def act(self, call: Call, *, loses: bool = False) -> Outcome:
        """The write reaches the exchange. ``loses``: the order fills before the cancel gets there."""
        assert call.natural is None
        assert not call.lost
        call.natural = getattr(self, f"_{call.what}")(call, loses)
        return call.natural

    def answer(self, call: Call, outcome: Outcome | None = None) -> None:
        """Our side hears how the write ended: as it did, or as ``outcome`` says."""
        assert not call.answered
        call.answered = True
        try:
            call.write.send(outcome or call.natural)
        except StopIteration as end:
            call.done(end.value)

    def last(self, what: str = "") -> Call:
        return next(call for call in reversed(self.calls) if what in ("", call.what))

    def accept(self, call: Call | None = None) -> str:
        """Act and answer; the order's id."""
        call = call or self.open_calls()[0]
        outcome = self.act(call) if call.natural is None else call.natural
        self.answer(call)
        assert isinstance(outcome, Accepted), outcome
        return outcome.order_id

    def refuse(self, call: Call | None = None, why: str = "no") -> None:
        call = call or self.open_calls()[0]
        call.lost = True
        self.answer(call, Refused(why))

    def doubt(self, call: Call | None = None, *, lost: bool = False) -> None:
        """The answer is a timeout."""
        call = call or self.open_calls()[0]
        call.lost = lost
        self.answer(call, Unknown("timeout"))

    def change(self, order_id: str, *, say: bool = True, **fields: Any) -> None:
        """Something happens to an order at the exchange; its report waits in the outbox (or is delivered)."""
        self._tick += 1
        stamp = self.clock.now_ns() + self._tick
        order = replace(self.orders[order_id], updated_ns=stamp, **fields)
        self.orders[order_id] = replace(order, status_word=order.status.value)
        self.outbox.append(self.orders[order_id])
        if say:
            self.deliver(len(self.outbox) - 1)

    def fill(self, order_id: str, quantity: int = 0, price: int = 10_000, *, say: bool = True) -> None:
        """Fill ``quantity`` more (0: all that is left)."""
        order = self.orders[order_id]
        assert not order.status.final, order
        quantity = min(quantity or order.quantity, order.quantity - order.filled)
        filled = order.filled + quantity
        done = OrderStatus.COMPLETE if filled == order.quantity else OrderStatus.OPEN
        now = self.clock.now_ns()
        self.fills.append(
            BrokerFill(f"F{len(self.fills)}", order_id, order.symbol, order.side, quantity, price, now)
        )
        self.change(order_id, say=say, filled=filled, value=order.value + quantity * price, status=done)

    def deliver(self, which: int = 0) -> None:
        """One waiting report arrives; it may be delivered again from ``told``."""
        told = self.outbox.pop(which)
        self.told.append(told)
        self.report(told)

    def deliver_all(self) -> None:
        while self.outbox:
            self.deliver()

    def working(self) -> list[BrokerOrder]:
        return [order for order in self.orders.values() if not order.status.final]

    # --- the exchange ---
    def _place(self, call: Call, loses: bool) -> Outcome:
        r, now = call.request, self.clock.now_ns()
        status = OrderStatus.TRIGGER_PENDING if r.order_type in STOPS else OrderStatus.OPEN
        order_id = f"V{len(self.orders) + 1:03d}"
        self.orders[order_id] = BrokerOrder(
            order_id, r.instrument.symbol, r.side, r.quantity, r.product, r.order_type, status, status.value,
            price=r.price, trigger=r.trigger, tag=r.tag, placed_ns=now,
        )  # fmt: skip
        self.change(order_id, say=False)
        return Accepted(order_id)

    def _modify(self, call: Call, loses: bool) -> Outcome:
        order = self.orders.get(call.order_id)
        if order is None or order.status.final:
            return Refused("the order is not working")
        new = {key: value for key, value in call.request.items() if value is not None}
        kind = new.get("order_type", order.order_type)
        if new.get("quantity", order.quantity) < order.filled:
            return Refused("below what has filled")
        if order.status is OrderStatus.OPEN and kind in STOPS:
            return Refused("it has triggered")
        new["status"] = OrderStatus.TRIGGER_PENDING if kind in STOPS else OrderStatus.OPEN
        if new.get("quantity", order.quantity) == order.filled:
            new["status"] = OrderStatus.COMPLETE
        self.change(call.order_id, say=False, modifications=order.modifications + 1, **new)
        return Accepted(call.order_id)

    def _cancel(self, call: Call, loses: bool) -> Outcome:
        order = self.orders.get(call.order_id)
        if order is None or order.status.final:
            return Refused("the order is not working")
        if loses:
            self.fill(call.order_id, say=False)
        else:
            self.change(call.order_id, say=False, status=OrderStatus.CANCELLED)
        return Accepted(call.order_id)

    def _place_gtt(self, call: Call, loses: bool) -> Outcome:
        r = call.request
        gtt_id = f"G{len(self.gtts) + 1}"
        self.gtts[gtt_id] = Gtt(
            gtt_id, r.instrument.symbol, r.side, r.quantity, r.product, r.legs, GttStatus.ACTIVE, self.clock.now_ns()
        )
        return Accepted(gtt_id)

    def _modify_gtt(self, call: Call, loses: bool) -> Outcome:
        gtt = self.gtts[call.order_id]
        if gtt.status is not GttStatus.ACTIVE:
            return Refused("the GTT is not active")
        self.gtts[call.order_id] = replace(gtt, quantity=call.request.quantity, legs=call.request.legs)
        return Accepted(call.order_id)

    def _cancel_gtt(self, call: Call, loses: bool) -> Outcome:
        gtt = self.gtts[call.order_id]
        if gtt.status is not GttStatus.ACTIVE:
            return Refused("the GTT is not active")
        self.gtts[call.order_id] = replace(gtt, status=GttStatus.DELETED)
        return Accepted(call.order_id)

    def trigger_gtt(self, gtt_id: str, leg: int = 0) -> str:
        """A leg goes off: its limit order, without a tag, begins to work."""
        gtt = self.gtts[gtt_id]
        order_id = f"V{len(self.orders) + 1:03d}"
        self.orders[order_id] = BrokerOrder(
            order_id, gtt.symbol, gtt.side, gtt.quantity, gtt.product, OrderType.LIMIT, OrderStatus.OPEN, "open",
            price=gtt.legs[leg].price, placed_ns=self.clock.now_ns(),
        )  # fmt: skip
        legs = list(gtt.legs)
        legs[leg] = replace(legs[leg], order_id=order_id)
        self.gtts[gtt_id] = replace(gtt, status=GttStatus.TRIGGERED, legs=tuple(legs))
        self.change(order_id)
        return order_id

    # --- reads ---
    async def get_orderbook(self) -> Sequence[BrokerOrder]:
        return list(self.orders.values())

    async def get_trades(self) -> Sequence[BrokerFill]:
        return list(self.fills)

    async def get_positions(self) -> Sequence[BrokerPosition]:
        net: dict[tuple[str, Product], int] = {}
        for order in self.orders.values():
            key = (order.symbol, order.product)
            net[key] = net.get(key, 0) + int(order.side) * order.filled
        ours = [BrokerPosition(symbol, product, q, 0) for (symbol, product), q in net.items() if q]
        return [*ours, *self.external]

    async def get_holdings(self) -> Sequence[Holding]:
        return list(self.held)

    async def get_funds(self) -> Funds:
        return self.funds

    async def get_gtts(self) -> Sequence[Gtt]:
        return list(self.gtts.values())
