"""Sends what the gate approved, and keeps every rung protected by one reducing order at the broker.

The stop rests at the exchange from the first fill on. Target, square-off and flatten turn that same order
into a marketable limit; nothing is ever cancelled in the hope that the next order will be taken. A write
is sent once; when nobody knows how it ended, the order stays reserved until the broker's book tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from otrade_bot.brokers.base import BrokerInterface, Write
from otrade_bot.core.clock import SECOND, Clock
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.model import (
    Accepted,
    BrokerOrder,
    ExitReason,
    InstrumentKind,
    Leg,
    OrderRequest,
    OrderStatus,
    OrderType,
    Outcome,
    Product,
    Refused,
    Side,
    Unknown,
)
from otrade_bot.core.money import Paise, rupees_text
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.fills import fill_price, protected, protection_ppm
from otrade_bot.trading import doubt, part
from otrade_bot.trading.delivery import cancel_gtt, converge_gtt, cure_of
from otrade_bot.trading.guards import GuardDesk, gtt_leg
from otrade_bot.trading.orders import OUTSIDE, Order, OrderBook, Tags, merge
from otrade_bot.trading.refusals import OWN, Pauses, Storm, Trouble, beyond_circuit, trouble_of
from otrade_bot.trading.risk import Approved, Quote, RiskManager, freeze_lots, slices
from otrade_bot.trading.rungs import RungLife
from otrade_bot.trading.table import Row

__all__ = ["OrderManager"]

REPRICE = 3 * SECOND
PATIENCE = 30 * SECOND
GROW_EVERY = 1 * SECOND
RETRY = 1 * SECOND
#: So long, and no more often, exits of what somebody else has sold wait for the broker's net.
NET, NET_AGAIN = 2 * SECOND, 30 * SECOND
#: An accepted cancel whose end nobody reports is asked for again after this.
CANCEL_AGAIN = 10 * SECOND
#: The same refusal is said again after this.
SAY_AGAIN = 60 * SECOND
NO_PRICE = "no price has been seen yet"
#: A stop that may not be turned into the exit so often in a row is taken back, and the exit placed.
ANEW_AFTER = 5
#: A trigger that the broker does not take is tried again after this.
BARRED = 900 * SECOND
#: Modifications after which a fresh order is cheaper than the risk of meeting the broker's limit of 25.
FRESH_AFTER = 20
_STOPS = (OrderType.SL_M, OrderType.SL)

#: (kind, life, leg, cumulative quantity, cumulative value, ts) -> the kernel
Tell = Callable[[int, RungLife, int, int, Paise, int], None]


@dataclass(slots=True)
class OrderManager:
    """Synchronous: called by the engine alone, one input at a time."""

    broker: BrokerInterface
    gate: RiskManager
    tags: Tags
    clock: Clock
    rows: list[Row]
    tell: Tell
    emit: Callable[[Event], None]
    post: Callable[[Callable[[], None]], None]  #: queue a call behind what is being done now
    finished: Callable[[RungLife], None]
    critical: Callable[[str], None]
    orders: OrderBook = field(default_factory=OrderBook)
    lives: dict[tuple[int, int], RungLife] = field(default_factory=dict)
    frozen: set[str] = field(default_factory=set)  #: symbols whose entries wait for an Unknown
    storm: Storm = field(default_factory=Storm)
    troubled: Callable[[Trouble, str], None] = lambda kind, why: None  #: a no that is not about the order
    pauses: Pauses = field(default_factory=Pauses)
    parted: Callable[[RungLife, Order], None] = lambda life, order: None  #: a part that went out by command: book it
    guards: GuardDesk = field(default_factory=GuardDesk)
    leftovers: list[Order] = field(default_factory=list)  #: working orders that serve no rung of ours
    strange: set[str] = field(default_factory=set)  #: words for a status that nobody knows, once said
    stirred: Counter[str] = field(default_factory=Counter)  #: by symbol: writes, answers and news so far

    # --- what the kernel intends -----------------------------------------------------------------

    def enter(self, intent: Any) -> Refused | None:
        """Send an entry. A refusal by the gate goes back to the kernel as REJECT."""
        began = self.clock.now_ns()
        row = self.rows[intent.row]
        side = Side(int(intent.side))
        life = RungLife(
            intent.row, intent.rung, intent.cycle, side, row.strategy, row.product, int(intent.qty)
        )
        refused = self._gate_entry(life, row)
        if isinstance(refused, Refused):
            self.tell(abi.REJECT, life, abi.ENTRY, 0, 0, self.clock.now_ns())
            return refused
        self.lives[life.row, life.rung] = life
        for approved in refused:
            order = self._register(life, approved.request, Leg.ENTRY)
            order.decided_ns = began
            self._place(order, approved)
        return None

    def objection(self, intent: Any) -> Refused | None:
        """Why an entry would be refused, were it sent now; nothing is sent and nothing changes."""
        row = self.rows[intent.row]
        request = OrderRequest(
            "", row.instrument, Side(int(intent.side)), int(intent.qty), row.product, OrderType.MARKET
        )
        quote = Quote(row.ltp, row.ts_ns)
        return self._unready(row, intent.rung) or self.gate.objection(request, quote, self.clock.now_ns(), intent.rung)

    def _unready(self, row: Row, rung: int) -> Refused | None:
        last = self.lives.get((row.index, rung))
        if last is not None and not last.closed:
            return Refused("the last orders of this rung are not settled yet", "unsettled")
        if row.instrument.symbol in self.frozen:
            return Refused("an earlier order of this symbol is not accounted for yet", "unknown_order")
        return None

    def _gate_entry(self, life: RungLife, row: Row) -> list[Approved] | Refused:
        if unready := self._unready(row, life.rung):
            return unready
        request = OrderRequest(
            "", row.instrument, life.side, life.ordered, row.product, OrderType.MARKET
        )
        quote = Quote(row.ltp, row.ts_ns)
        return self.gate.entry(
            request,
            quote,
            self.clock.now_ns(),
            life.rung,
            lambda: self.tags.make(life.strategy, life.rung, Leg.ENTRY, life.cycle),
        )

    def set_stop(self, row: int, rung: int, cycle: int, level: Paise, target: Paise) -> None:
        """Where the kernel wants the stop to rest."""
        life = self.lives.get((row, rung))
        if life is None or life.cycle != cycle or life.closed:
            return
        life.target = target
        if life.level != level:
            state = "armed" if life.level == 0 else "moved"
            life.level = level
            self._say_stop(life, state, Severity.DEBUG if level == life.told_level else Severity.INFO)
            life.told_level = 0
        self.converge(life)

    def exit(self, row: int, rung: int, cycle: int, reason: ExitReason) -> None:
        """Leave a rung: what is still to be bought is cancelled, what is held is sold."""
        life = self.lives.get((row, rung))
        if life is None or life.cycle != cycle or life.closed:
            return
        if life.wanted is None:
            self._leave(life, reason)
        self._cancel_entries(life)
        self.converge(life)

    def _leave(self, life: RungLife, reason: ExitReason) -> None:
        """What was refused was another wish: the exit waits for no pause of it."""
        life.wanted = reason
        for order in life.exits:
            if not order.cancelling:
                order.retry_ns = 0

    # --- what the broker says --------------------------------------------------------------------

    def on_report(self, told: BrokerOrder) -> bool:
        """Take in an order update. False if the order is not ours."""
        order = self.orders.find(told)
        if order is None:
            return gtt_leg(self, told)
        if told.strange and told.status_word not in self.strange:
            self.strange.add(told.status_word)
            what = f"the broker says {told.status_word!r} of it, which nobody here knows; it is taken for working"
            self._alert_order(order, f"{what}: compare with the broker's app")
        before, shown, filled, was = order.status, _telling(order), order.filled, order.was
        presumed, order.contradicted = order.presumed, False
        if merge(order, told):
            self.stirred[told.symbol] += 1
            if presumed and order.status is not OrderStatus.REJECTED:
                self._revived(order)
            if before is OrderStatus.TRIGGER_PENDING and order.status is OrderStatus.OPEN:
                order.changed_ns = told.updated_ns
                self._went_off(order)
            self._settled_by_report(order, told)
            if was and not order.was and order.quantity >= was and (life := self._life(order)) is not None:
                part.stop_refused(self, life, "the exchange kept its quantity")
            if order.writing == "modify" or _telling(order) != shown:
                self._say_order(order, before)
            if order.status.final and not before.final:
                if order.leg is Leg.EXIT:
                    self._exit_ended(order)
                elif order.status is OrderStatus.REJECTED and not order.filled:
                    self._entry_rejected(order)
            self._follow(order, told.updated_ns, order.filled > filled)
        return True

    def _revived(self, order: Order) -> None:
        """It was taken for never placed, and is there: what stands in its stead may be one too many."""
        if order.status.final and not order.filled:
            return  # nothing came of it after all
        order.reason = ""
        self.critical(f"{order.instrument.symbol}: order {order.order_id} was taken for never placed, but is at the "
                      f"broker ({order.status}); it is taken back as far as it has not filled")  # fmt: skip
        if order.leg is Leg.ENTRY or self._life(order) is None:
            self.left_over(order)

    def left_over(self, order: Order) -> None:
        """It serves nothing any more: it is cancelled, and again until that is taken."""
        self.leftovers.append(order)
        if order.ready(self.clock.now_ns()):
            self._cancel(order)

    def _went_off(self, order: Order) -> None:
        """A stop has triggered: it is the exit, filled or not, so nothing more is bought."""
        life = self.lives.get((order.row, order.rung))
        if life is not None and life.cycle == order.cycle and not life.closed:
            self._stopping(life)

    def _stopping(self, life: RungLife) -> None:
        """Unless an exit was asked for, the rung is being left by its stop."""
        if life.wanted is None and not life.stopped:
            life.stopped = True
            self._cancel_entries(life)

    def _settled_by_report(self, order: Order, told: BrokerOrder) -> None:
        """A report that shows what a write in doubt wanted ends the doubt."""
        if order.unknown and order.order_id and doubt.took_effect(order, told):
            if not told.status.final:
                order.take_change()
            doubt.clear(self, order)

    def _exit_ended(self, order: Order) -> None:
        """The broker has ended a reducing order that still protected something, without being asked."""
        life = self._life(order)
        if life is None or order.cancelling or life.held <= 0 or order.status is OrderStatus.COMPLETE or order.part:
            return
        if order.status is OrderStatus.REJECTED:
            why = Refused(order.reason)
            if trouble_of(why).passing:
                self.troubled(trouble_of(why), order.reason)
            self._protection_refused(life, order, why)
        elif self.clock.now_ns() - order.placed_ns < RETRY:
            self._exit_refused(life, Refused(order.reason or "cancelled by the exchange"))
        else:
            self._alert(life, f"the exchange cancelled the {order.order_type} order ({order.reason}); placing anew")

    def _life(self, order: Order) -> RungLife | None:
        """The open cycle that the order serves."""
        life = self.lives.get((order.row, order.rung))
        return None if life is None or life.cycle != order.cycle or life.closed else life

    def _follow(self, order: Order, ts: int, grew: bool) -> None:
        """Tell the kernel what grew, then bring the rung's protection up to it."""
        life = self._life(order) or (self._late_fill(order, ts) if grew else None)
        if life is None:
            return
        self._overfill(life)
        if life.entered > life.told_entry:
            self.storm.calm()
            life.first_fill_ns = life.first_fill_ns or ts
            life.told_entry = life.entered
            self._say_fill(life, order, ts)
            before = life.before
            self.tell(
                abi.FILL, life, abi.ENTRY, life.entered - before.entered, life.entry_value - before.entry_value, ts
            )
        if life.exited > life.told_exit:
            life.last_exit_ns = ts
            life.told_exit = life.exited
            if not order.part:
                self._stopping(life)
            self._say_fill(life, order, ts)
            before = life.before
            self.tell(
                abi.FILL, life, abi.EXIT_LEG, life.exited - before.exited, life.exit_value - before.exit_value, ts
            )
        if order.part and order.status.final:
            part.ended(self, life, order)
        if life.wanted is not None or life.stopped:
            self._cancel_entries(life)
        self._entry_ended(life, ts)
        self.converge(life)

    def _entry_ended(self, life: RungLife, ts: int) -> None:
        if life.entering or life.told_end:
            return
        life.told_end = True
        if life.entered < life.ordered:
            rejected = life.entered == 0 and any(o.status is OrderStatus.REJECTED for o in life.entries)
            self.tell(abi.REJECT if rejected else abi.DONE, life, abi.ENTRY, life.entered, 0, ts)

    def _overfill(self, life: RungLife) -> None:
        """More filled than was ordered is accepted, because it is there; and said aloud."""
        for order in (*life.entries, *life.exits):
            if order.filled > order.request.quantity and order.leg is Leg.ENTRY:
                self.critical(f"{order.instrument.symbol}: {order.filled} filled, {order.request.quantity} ordered")
        if life.exited > life.entered:
            self.critical(f"{self.symbol(life)}: {life.exited} sold, {life.entered} held")

    def _late_fill(self, order: Order, ts: int) -> RungLife | None:
        """A fill after the end: the rung is opened again for it, unless another cycle has begun."""
        text = f"{order.instrument.symbol}: order {order.order_id} filled after its rung had ended"
        life = self.lives.get((order.row, order.rung))
        if life is None or life.cycle != order.cycle or life.held <= 0:
            self.critical(f"{text}; compare with the broker")
            return None
        life.reopen()
        self.critical(f"{text}; protecting it again")
        self.tell(abi.ADOPT, life, abi.ENTRY, life.held, life.entry_value * life.held // life.entered, ts)
        return life

    def foreign_exit(self, told: BrokerOrder) -> None:
        """Somebody else has sold (bought back) what may be ours: until the net is known the stop stays as it rests,
        and nothing is sold beside it."""
        now = self.clock.now_ns()
        for life in self.lives.values():
            same = (self.symbol(life), life.product, life.side.opposite) == (told.symbol, told.product, told.side)
            if same and life.held > 0 and now - life.foreign_ns >= NET_AGAIN:
                life.foreign_ns, life.retry_ns = now, max(life.retry_ns, now + NET)

    def taken_outside(self, life: RungLife, quantity: int, price: Paise) -> None:
        """The broker or a human has closed ``quantity`` of the rung: its exit, as if it had been ours."""
        now = self.clock.now_ns()
        request = OrderRequest(
            f"{OUTSIDE}{now}N{len(self.orders)}", self.rows[life.row].instrument, life.side.opposite, quantity,
            life.product, OrderType.MARKET,
        )  # fmt: skip
        order = self._register(life, request, Leg.EXIT)
        order.status, order.filled, order.value = OrderStatus.COMPLETE, quantity, quantity * price
        life.retry_ns = 0
        part.give_up(self, life, "somebody else has closed some of it")
        self._alert(life, f"{quantity} closed outside this program, taken as closed at {rupees_text(price)}")
        self._follow(order, now, True)

    # --- one reducing order a rung -----------------------------------------------------------------

    def converge(self, life: RungLife) -> None:
        """Bring the rung's reducing orders to what they should be. Safe to call at any time."""
        now = self.clock.now_ns()
        if life.held <= 0:
            self._finish(life)
            return
        if now < life.retry_ns:
            return
        if life.product is not Product.MIS:
            converge_gtt(self, life, now)
            return
        self._passed(life)
        surplus = self.surplus(life)
        if any(order.part for order in surplus):
            part.recall(self, life, "less is held than was")
        for order in life.exits:
            if order.ready(now) and (order in surplus or order.recalled):
                self._cancel(order)
            elif order.ready(now) and not order.part:
                self._adjust(life, order, now)
        part.send(self, life, now)
        gap = life.held - life.awaited - life.covered
        if gap > 0 and all(_full(order) for order in life.exits if order.live and not order.part):
            self._place_exits(life, gap, now)

    def _finish(self, life: RungLife) -> None:
        """Nothing is held: what still rests is cancelled; when all is final the rung is closed."""
        if life.held < 0:
            return
        if life.entered == 0 and life.entering:
            return
        now = self.clock.now_ns()
        for order in life.exits:
            if order.ready(now):
                self._cancel(order)
        if life.gtt and life.gtt.ready:
            cancel_gtt(self, life)
        if life.entering or any(order.live for order in life.exits) or life.gtt_alive:
            return
        if not life.closed:
            life.closed = True
            self.finished(life)

    def _passed(self, life: RungLife) -> None:
        """The price is beyond a stop that the exchange still has further away, as its move was not taken."""
        if life.wanted is not None or life.stopped or not life.level or not self.beyond(life):
            return
        waits = (o for o in life.exits if o.idle and o.status is OrderStatus.TRIGGER_PENDING and not o.cancelling)
        behind = next((o for o in waits if (life.level - o.trigger) * int(life.side) > 0), None)
        if behind is not None:
            at = f"at {rupees_text(life.level)}, the order at the exchange waits at {rupees_text(behind.trigger)}"
            self._alert(life, f"the price is beyond the stop {at}: leaving at market")
            self._leave(life, ExitReason.STOP)
            self._cancel_entries(life)

    def _adjust(self, life: RungLife, order: Order, now: int) -> None:
        """Change a working reducing order where it differs from what is wanted."""
        if order.status is OrderStatus.OPEN and order.order_type in _STOPS:
            return  # it has triggered: the stop is the exit
        leaving = life.wanted is not None
        if leaving and order.order_type in _STOPS and order.status is not OrderStatus.PENDING:
            if self.can_leave(life):
                price = self._exit_price(life)
                self._modify(order, now, self._total(life, order), OrderType.LIMIT, price, 0)
            return
        if leaving or order.order_type not in _STOPS:
            self._grow(life, order, now)
            return
        barred = order.barred == life.level and now - order.barred_ns < BARRED
        if order.trigger != life.level and not barred:
            limit = self._stop_limit(life) if order.order_type is OrderType.SL else None
            self._modify(order, now, self._total(life, order), None, limit, life.level)
            return
        self._grow(life, order, now)

    def surplus(self, life: RungLife) -> list[Order]:
        """Reducing orders for which nothing is left to sell: those before them take it all. What a human forced
        goes first, then the oldest, then parts."""
        room, found = life.held - life.awaited, []
        for order in sorted(life.exits, key=lambda order: (not order.forced, order.part)):
            if order.live and room <= 0:
                found.append(order)
            room -= order.left
        return found

    def _total(self, life: RungLife, order: Order) -> int:
        """Quantity this order should have, what has filled included: all that no other one covers."""
        spare = self.surplus(life)
        others = sum(o.left for o in life.exits if o is not order and not o.cancelling and o not in spare)
        want = max(order.filled + life.held - life.awaited - others, order.filled + 1)
        most = freeze_lots(order.instrument)
        return min(want, most) if most else want

    def _grow(self, life: RungLife, order: Order, now: int) -> None:
        want = self._total(life, order)
        if want != order.quantity and (now - order.changed_ns >= GROW_EVERY or want < order.quantity):
            self._modify(order, now, want, None, None, None)

    def _place_exits(self, life: RungLife, gap: int, now: int) -> None:
        instrument = self.rows[life.row].instrument
        for quantity in slices(gap, instrument):
            request = self.exit_request(life, quantity)
            if request.order_type is OrderType.LIMIT and request.price <= 0:
                self._exit_refused(life, Refused(NO_PRICE, "no_price"))
                return
            approved = self.gate.exit(request, life.held - life.covered, now)
            if isinstance(approved, Refused):
                self._exit_refused(life, approved)
                return
            order = self._register(life, request, Leg.EXIT)
            self._place(order, approved)

    def exit_request(self, life: RungLife, quantity: int) -> OrderRequest:
        """A stop at its level; a marketable limit where an exit is wanted or the price is beyond the stop."""
        row = self.rows[life.row]
        tag = self.tags.make(life.strategy, life.rung, Leg.EXIT, life.cycle)
        side = life.side.opposite
        if life.wanted is not None or life.level == 0 or self.beyond(life):
            kind, price, trigger = OrderType.LIMIT, self._exit_price(life), 0
        elif row.instrument.kind is InstrumentKind.OPTION:  # exchanges take no SL-M in options
            kind, price, trigger = OrderType.SL, self._stop_limit(life), life.level
        else:
            kind, price, trigger = OrderType.SL_M, 0, life.level
        return OrderRequest(tag, row.instrument, side, quantity, life.product, kind, price, trigger, reduces=True)

    def _stop_limit(self, life: RungLife) -> Paise:
        """Of an option's stop: inside the protection band of its level."""
        tick = self.rows[life.row].instrument.tick
        return protected(life.side.opposite, life.level, protection_ppm(life.level, 1), tick)

    def beyond(self, life: RungLife) -> bool:
        """The last price has passed the stop; False while none is known."""
        ltp = self.rows[life.row].ltp
        if ltp <= 0:
            return False
        return ltp <= life.level if life.side is Side.BUY else ltp >= life.level

    def _exit_price(self, life: RungLife) -> Paise:
        """A limit inside the market-protection band of the LTP, or at it; 0 where none is known."""
        row = self.rows[life.row]
        if row.ltp <= 0 or life.tight:
            return max(0, row.ltp)
        option = int(row.instrument.kind is InstrumentKind.OPTION)
        return protected(life.side.opposite, row.ltp, protection_ppm(row.ltp, option), row.instrument.tick)

    def _exit_refused(self, life: RungLife, refused: Refused) -> None:
        """An exit that cannot be sent is tried again: every second where the no is ours, else ever more slowly."""
        now = self.clock.now_ns()
        ours = refused.code in OWN
        life.tight = life.tight or (not ours and beyond_circuit(refused.reason))
        life.retry_ns = now + (RETRY if ours else self.pauses.next((life.row, life.rung, life.cycle), now))
        if refused.code != "no_price" or not self._price_may_come(life):
            cure = cure_of(refused.reason)
            self._say_refused(life, f"exit refused: {refused.reason}; trying again{f'; {cure}' if cure else ''}")

    def can_leave(self, life: RungLife) -> bool:
        """An exit has a price: until it has, the stop stays where it rests."""
        if self._exit_price(life) > 0:
            return True
        if not self._price_may_come(life):
            self._say_refused(life, f"exit waits: {NO_PRICE}")
        return False

    def _price_may_come(self, life: RungLife) -> bool:
        """At the open the day's first price is a moment away: no alarm before that moment is over."""
        if self.rows[life.row].ticks:
            return False
        now = self.clock.now_ns()
        life.blind_ns = life.blind_ns or now
        return now - life.blind_ns < REPRICE

    def _say_refused(self, life: RungLife, text: str, *, again: int = SAY_AGAIN) -> None:
        """Once, and again after a minute if it goes on."""
        now = self.clock.now_ns()
        if text != life.said or now - life.said_ns >= again:
            life.said, life.said_ns = text, now
            self._alert(life, text)

    @property
    def unanswered(self) -> list[str]:
        """Writes that are on their way to the broker now: tags of orders, and GTTs by their symbol."""
        gtts = [f"GTT of {self.symbol(life)}" for life in self.lives.values() if life.gtt and life.gtt.writing]
        return [order.tag for order in self.orders if order.writing] + gtts

    # --- time ---------------------------------------------------------------------------------------

    def try_now(self) -> None:
        """Whatever kept writes from being taken is over: nothing waits any more."""
        self.pauses.clear()
        for life in list(self.lives.values()):
            life.retry_ns = life.gtt_retry_ns = 0
            for order in (*life.entries, *life.exits):
                if not order.cancelling:
                    order.retry_ns = 0
            if not life.closed:
                self.converge(life)

    def chase(self, now: int, row: int | None = None) -> None:
        """Re-price exits that the market ran away from, cancel entries that do not fill, grow stops."""
        self.leftovers = [order for order in self.leftovers if order.live]
        for order in self.leftovers:
            if order.ready(now):
                self._cancel(order)
        for life in list(self.lives.values()):
            if life.closed or (row is not None and life.row != row):
                continue
            leaving = life.wanted is not None or life.stopped
            for order in life.entries:
                if order.ready(now) and (leaving or now - order.placed_ns >= PATIENCE):
                    self._cancel(order)
            self._reprice(life, now)
            self.converge(life)

    def _reprice(self, life: RungLife, now: int) -> None:
        row = self.rows[life.row]
        for order in life.exits:
            if not order.ready(now) or order.status is not OrderStatus.OPEN or now - order.changed_ns < REPRICE:
                continue
            if order.price and fill_price(order.side, order.price, 1, row.ltp, 0, row.instrument.tick):
                continue
            price = self._exit_price(life)
            if price > 0 and price != order.price:
                self._modify(order, now, order.quantity, OrderType.LIMIT, price, 0)
                self._alert(life, f"exit unfilled for {REPRICE // SECOND} s: now at {rupees_text(price)}")

    # --- writes ---------------------------------------------------------------------------------------

    def _register(self, life: RungLife, request: OrderRequest, leg: Leg) -> Order:
        """Our record exists, in memory and in the journal, before the request leaves."""
        now = self.clock.now_ns()
        order = Order(
            request.tag, life.row, leg, life.rung, life.cycle, request, request.quantity, request.order_type,
            request.price, request.trigger, now, changed_ns=now,
        )  # fmt: skip
        self.orders.add(order)
        (life.entries if leg is Leg.ENTRY else life.exits).append(order)
        self._say_order(order)
        return order

    def _place(self, order: Order, approved: Approved) -> None:
        self._write(order, "place", self.broker.place(approved.request))

    def _modify(
        self, order: Order, now: int, quantity: int, kind: OrderType | None, price: Paise | None, trigger: Paise | None
    ) -> None:
        if order.modifications >= self._most_changes:
            self._cancel(order)  # its final report places a fresh one
            return
        order.asked = quantity
        order.change = (quantity, kind, price, trigger)
        order.changed_ns = now
        order.modifications += 1
        write = self.broker.modify(
            order.order_id,
            quantity=quantity if quantity != order.quantity else None,
            order_type=kind,
            price=price,
            trigger=trigger,
        )
        self._write(order, "modify", write)

    def _cancel(self, order: Order) -> None:
        order.cancelling = True
        self._write(order, "cancel", self.broker.cancel(order.order_id))

    def _cancel_entries(self, life: RungLife) -> None:
        now = self.clock.now_ns()
        for order in life.entries:
            if order.ready(now):
                self._cancel(order)

    def _write(self, order: Order, what: str, write: Write) -> None:
        order.writing = what
        self.stirred[order.instrument.symbol] += 1
        self.broker.dispatch(write, lambda outcome: self.post(lambda: self._answered(order, what, outcome)))

    def _answered(self, order: Order, what: str, outcome: Outcome) -> None:
        """The write has ended, one way or another."""
        order.writing = ""
        self.stirred[order.instrument.symbol] += 1
        order.answered_ns = self.clock.now_ns()
        # A report may have said meanwhile what the answer does not know.
        told = order.status.final or (what == "place" and bool(order.order_id)) or (what == "modify" and order.changed)
        if isinstance(outcome, Unknown) and not told:
            doubt.begin(self, order, what, outcome)
            return
        order.asked = 0
        if isinstance(outcome, Refused):
            self._refused(order, what, outcome)
        elif isinstance(outcome, Accepted):
            self._accepted(order, what, outcome)
        self._again(order)

    def _again(self, order: Order) -> None:
        """What was wanted meanwhile is done now."""
        life = self._life(order)
        if life is None:
            return
        if life.wanted is not None or life.stopped:
            self._cancel_entries(life)
        self.converge(life)

    def _accepted(self, order: Order, what: str, outcome: Accepted) -> None:
        """The broker has it. Its report may come much later, so a change counts from here on."""
        self.pauses.forget(order.tag)
        order.refusals = 0
        if what == "place":
            order.accepted_ns = self.clock.now_ns()
        if not order.order_id:
            order.order_id = outcome.order_id
            self.orders.by_id[outcome.order_id] = order
            self._say_order(order)
        elif what == "place" and order.took_us is not None:  # a report came first: no news, but how long it took
            self._say_order(order, order.status, Severity.DEBUG)
        if what == "cancel":
            order.retry_ns = self.clock.now_ns() + CANCEL_AGAIN
        elif what == "modify" and not order.status.final:
            order.take_change(unseen=True)

    def _refused(self, order: Order, what: str, outcome: Refused) -> None:
        trouble = trouble_of(outcome)
        if trouble.passing:
            self.troubled(trouble, outcome.reason)
        if what != "place":
            self._change_refused(order, what, outcome, trouble)
            return
        order.reason = outcome.reason
        order.status = OrderStatus.REJECTED
        self._say_order(order)
        if order.leg is Leg.ENTRY and not trouble.passing and outcome.code not in OWN:
            self._entry_rejected(order)
        life = self._life(order)
        if life is None:
            return
        if order.leg is Leg.ENTRY:
            self._entry_ended(life, self.clock.now_ns())
        elif order.part:
            part.give_up(self, life, outcome.reason)
        elif outcome.code != "absent":  # what never arrived is simply placed anew
            self._protection_refused(life, order, outcome)

    def _change_refused(self, order: Order, what: str, outcome: Refused, trouble: Trouble) -> None:
        """A modification or cancel that was not taken."""
        now = self.clock.now_ns()
        order.cancelling = order.cancelling and what != "cancel"
        life = self._life(order)
        if life is not None and not order.status.final:
            self._say_refused(life, f"{what} of the {order.leg} order refused: {outcome.reason}{_stays(life, order)}")
            if what == "modify" and not trouble.passing and self._other_way(life, order, outcome.reason):
                return
            if what == "modify" and not order.part and trouble is not Trouble.MODIFICATIONS:
                part.stop_refused(self, life, outcome.reason)
                if not trouble.passing:
                    _bar(life, order, outcome.reason, now)
        if trouble is Trouble.MODIFICATIONS and what == "modify" and not order.status.final:
            order.modifications = max(order.modifications, self._most_changes)
            self._cancel(order)  # its final report places a fresh one
            return
        order.contradicted = order.contradicted or not trouble.passing
        order.retry_ns = now + self.pauses.next(order.tag, now)

    def _other_way(self, life: RungLife, order: Order, reason: str) -> bool:
        """An exit that the broker does not take like this: at the last price, or by a fresh order once the old one has
        ended. False where it is only tried again later."""
        order.refusals += 1
        if life.wanted is None and not order.part:
            return False
        if beyond_circuit(reason) and not life.tight:
            life.tight = True
            return True
        if beyond_circuit(reason) or order.refusals < ANEW_AFTER:
            return False
        order.refusals = 0
        self._alert(life, f"the {order.order_type} order cannot be changed: it is cancelled, then the exit is sent")
        self._cancel(order)
        return True

    @property
    def _most_changes(self) -> int:
        return min(FRESH_AFTER, max(1, self.broker.modification_limit - 5))

    def _entry_rejected(self, order: Order) -> None:
        """Several in a row: something is wrong with all of them."""
        if self.storm.refused(self.clock.now_ns()):
            self.critical(f"{self.storm.most} entries in a row were refused, the last of {order.instrument.symbol} "
                          f"({order.reason})")  # fmt: skip

    def _protection_refused(self, life: RungLife, order: Order, why: Refused) -> None:
        """No stop can rest: the position is left at once rather than held unprotected. Where the no is not about
        the stop, the exit would be refused like it: the stop is tried again."""
        if order.order_type in _STOPS and life.wanted is None and not trouble_of(why).passing:
            life.wanted = ExitReason.STOP
            self._alert(life, f"stop refused ({order.reason}): leaving at market")
            return
        self._exit_refused(life, why)

    # --- words ----------------------------------------------------------------------------------------------

    def symbol(self, life: RungLife) -> str:
        return self.rows[life.row].instrument.symbol

    def _alert(self, life: RungLife, text: str) -> None:
        self.emit(Event(
            EventKind.ALERT, self.clock.now_ns(), self.symbol(life), f"{self.symbol(life)} P{life.rung + 1}: {text}",
            Severity.RISK, {"rung": life.rung + 1, "strategy": life.strategy},
        ))  # fmt: skip

    def _alert_order(self, order: Order, text: str) -> None:
        symbol = order.instrument.symbol
        self.emit(Event(
            EventKind.ALERT, self.clock.now_ns(), symbol, f"{symbol} {order.leg} order {order.tag}: {text}",
            Severity.RISK, {"tag": order.tag, "order_id": order.order_id},
        ))  # fmt: skip

    def leaving(self, request: OrderRequest) -> None:
        """Its place request leaves now: until here it has waited for its turn."""
        if (order := self.orders.by_tag.get(request.tag)) is not None:
            order.left_ns = self.clock.now_ns()

    def _say_order(
        self, order: Order, before: OrderStatus = OrderStatus.PENDING, severity: Severity | None = None
    ) -> None:
        """``before``: what it was until now; an order that was open already is not accepted again."""
        rejected, took = order.status is OrderStatus.REJECTED, order.took_us
        self.emit(Event(
            EventKind.ORDER, self.clock.now_ns(), order.instrument.symbol,
            severity=severity or (Severity.WARNING if rejected else Severity.INFO),
            data={
                "tag": order.tag, "order_id": order.order_id, "leg": str(order.leg), "side": order.side.name,
                "quantity": order.quantity, "filled": order.filled, "status": str(order.status), "before": str(before),
                "type": str(order.order_type), "price_paise": order.price, "trigger_paise": order.trigger,
                "reason": order.reason, "rung": order.rung + 1, "strategy": self.rows[order.row].strategy,
                **({"sent_us": took[0], "accepted_us": took[1]} if took else {}),
            },
        ))  # fmt: skip

    def _say_fill(self, life: RungLife, order: Order, ts: int) -> None:
        entry = order.leg is Leg.ENTRY
        gone = 0 if entry else life.before.exited + life.booked.exited  # in trades that were told already
        told = {"booked": gone, "booked_paise": life.before.exit_value + life.booked.exit_value} if gone else {}
        self.emit(Event(
            EventKind.FILL, ts, self.symbol(life),
            data={
                "tag": order.tag, "leg": str(order.leg), "side": order.side.name, "rung": life.rung + 1,
                "cycle": life.cycle, "strategy": life.strategy,
                "quantity": life.entered if entry else life.exited,
                "value_paise": life.entry_value if entry else life.exit_value,
                "ordered": life.ordered if entry else life.entered, **told,
            },
        ))  # fmt: skip

    def _say_stop(self, life: RungLife, state: str, severity: Severity) -> None:
        self.emit(Event(
            EventKind.STOP, self.clock.now_ns(), self.symbol(life), severity=severity,
            data={
                "rung": life.rung + 1, "strategy": life.strategy, "level_paise": life.level,
                "target_paise": life.target, "quantity": life.held, "state": state,
            },
        ))  # fmt: skip


def _stays(life: RungLife, order: Order) -> str:
    """Where a stop rests that should have been moved."""
    if order.leg is Leg.ENTRY or life.wanted is not None or order.order_type not in _STOPS:
        return ""
    if order.trigger == life.level:
        return ""
    stays, wanted = rupees_text(order.trigger), rupees_text(life.level)
    return f"; it stays at {stays}, the stop at {wanted} is watched here meanwhile"


def _bar(life: RungLife, order: Order, reason: str, now: int) -> None:
    """A stop that may not be moved there stays where it rests: it is never taken back for a place that is not taken.
    The stop itself is watched here."""
    trigger = order.change[3] if order.change else None
    if life.wanted is not None or order.order_type not in _STOPS or trigger in (None, 0, order.trigger):
        return
    order.modifications -= 1
    if beyond_circuit(reason) or order.refusals >= ANEW_AFTER:
        order.barred, order.barred_ns = trigger or 0, now


def _telling(order: Order) -> tuple[object, ...]:
    """What a human is told of an order; that a market order now rests as a limit is not among it."""
    return order.status, order.filled, order.quantity, order.order_id


def _full(order: Order) -> bool:
    """It has the largest quantity that one order may have."""
    most = freeze_lots(order.instrument)
    return 0 < most <= max(order.quantity, order.asked)
