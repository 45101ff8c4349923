"""One path for start, reconnect and crash: the broker's books and our tags become our state again.

The day's prices are played through the kernel once more (it intends nothing while they are warm), and the
fills of the broker's trade book go in at their own times, so that indicators, rungs, trailing levels,
cooldowns and the day's result are what they were. Then the broker is compared with what came out.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.model import (
    Block,
    BrokerFill,
    BrokerOrder,
    ExitReason,
    Gtt,
    Leg,
    OrderRequest,
    OrderStatus,
    OrderType,
    Side,
)
from otrade_bot.core.money import Paise
from otrade_bot.kernel import state as abi
from otrade_bot.trading.adopt import NumbersThen, Tables, end_again, entry_labels
from otrade_bot.trading.carry import Carried
from otrade_bot.trading.compare import compare
from otrade_bot.trading.decided import Decided
from otrade_bot.trading.guards import adopt_guards
from otrade_bot.trading.hands import owned
from otrade_bot.trading.later import hold_square_off
from otrade_bot.trading.orders import Order, TagParts, strategy_code
from otrade_bot.trading.recall import foreign_triggers, hold_levels, past_events, resume_closing
from otrade_bot.trading.rungs import RungLife
from otrade_bot.trading.tagless import Tagless, known_again
from otrade_bot.trading.unanswered import doubt, doubted
from otrade_bot.trading.unheard import Written

if TYPE_CHECKING:
    from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["HistoryTick", "Recovery"]

CODES = {
    ExitReason.STOP: abi.R_STOP,
    ExitReason.TARGET: abi.R_TARGET,
    ExitReason.SIGNAL: abi.R_SIGNAL,
    ExitReason.SQUARE_OFF: abi.R_SQUARE_OFF,
    ExitReason.DAILY_LOSS: abi.R_DAILY_LOSS,
    ExitReason.FLATTEN: abi.R_FLATTEN,
    ExitReason.COMMAND: abi.R_COMMAND,
}

#: A step that is no event of the kernel's, other numbers for the rungs; and its rank.
NUMBERS, AFTER = 0, 9
NOTHING_DECIDED = Decided()

#: (ts ns, row, price paise, day's volume); row -1: a minute timer.
HistoryTick = tuple[int, int, Paise, int]


@dataclass(slots=True)
class _Found:
    """A rung's cycle as the broker's book tells it."""

    life: RungLife
    orders: list[tuple[BrokerOrder, TagParts]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, order=True)
class _Step:
    """One kernel event of the past. ``rank`` orders equal times: resting fills, timers, prices, then what
    those prices caused."""

    ts: int
    rank: int
    sequence: int
    row: int
    kind: int
    fields: tuple[tuple[str, int], ...] = ()


class Recovery:
    """Works on the engine's own objects; made for one use."""

    def __init__(self, engine: LiveTradingEngine) -> None:
        self.engine = engine
        self._sequence = 0
        self._written: Written | None = None
        self._decided = NOTHING_DECIDED
        self._legs: dict[str, TagParts] = {}  #: whose an exit without a tag of ours is
        self._older: list[RungLife] = []  #: cycles that a newer one of their rung has followed
        self._numbers: list[Tables] = []
        self._levels: dict[tuple[int, int, int], tuple[int, int]] = {}  #: target and stop when a cycle was left

    async def run(
        self,
        history: Iterable[HistoryTick] = (),
        known_trades: Collection[str] | Mapping[str, str] = (),
        pending: Sequence[Mapping[str, Any]] = (),
        claims: Sequence[Carried] = (),
        sent: Iterable[str] = (),
        exits: Iterable[Tagless] = (),
        known: Written | None = None,
        numbers: Sequence[NumbersThen] = (),
        decided: Decided = NOTHING_DECIDED,
    ) -> None:
        """Rebuild. ``history``: today's prices so far, in order, with the minute timers among them.

        ``known_trades``: ids of trades that the journal has already, and why they ended;
        ``pending``: its lines of recent orders, which
        the book may not show yet; ``claims``: positions that a human made ours today; ``sent``: tags used today, for
        not all of them are in the book; ``exits``: those of today that bear none; ``known``: what the journal has of
        orders and fills, the rest is said; ``numbers``: of the strategies' rungs, as they were; ``decided``: levels and
        closings by hand. Raises BrokerException if a book cannot be read: then nothing may be traded.
        """
        engine = self.engine
        self._written, self._decided = known, decided
        engine.known_trades |= set(known_trades)
        engine.known_reasons = known_trades if isinstance(known_trades, Mapping) else {}
        engine.blocks.add(Block.RECOVERY)
        engine._apply_blocks()
        if decided.square_off:
            hold_square_off(engine, decided.square_off)
        broker = engine.broker
        shown, fills, gtts = await broker.get_orderbook(), await broker.get_trades(), await broker.get_gtts()
        book: Sequence[BrokerOrder] = engine.todays(shown)
        products = {row.instrument.symbol: row.product for row in engine.table if row.strategy}
        book, self._legs = known_again(book, exits, products)
        claims = [one for one in claims if self._claim(one)]
        late = doubted(pending, book, products)
        found = self._group([*book, *late])
        engine.manager.tags.resume([*(order.tag for order in (*shown, *late)), *sent])
        own = [*self._claim_steps(claims), *self._order_steps(found, fills)]
        own += self._number_steps(numbers)
        own += [self._step(ts, 3, row, abi.PHASE, fields) for ts, row, fields in past_events(engine, decided)]
        steps = heapq.merge(sorted(own), self._price_steps(history))
        for step in steps:
            self._replay(step)
        self._numbers_now()
        engine.deck.dropped()
        for item in found:
            self._take(item, fills)
        self._closings(found)
        self._doubt(late)
        self._orphans()
        self._guards(gtts, book)
        self._align()
        engine.counters.signals = len({(i.life.row, i.life.rung, i.life.cycle) for i in found})
        end_again(engine, decided.ended_at)
        engine.blocks.discard(Block.RECOVERY)
        engine._apply_blocks()
        differences = await compare(engine, first=True)
        self._report(found, differences)
        for life in list(engine.manager.lives.values()):
            engine.post(lambda life=life: engine.manager.converge(life))  # type: ignore[misc]

    # --- reading the book -----------------------------------------------------------------------------

    def _group(self, book: Sequence[BrokerOrder]) -> list[_Found]:
        """Our orders by rung and cycle, oldest first. Tags of strategies that no longer trade the symbol
        stay at the broker as external, and are said."""
        engine, groups = self.engine, {}
        for order in book:
            parts = self._legs.get(order.tag) or engine.manager.tags.read(order.tag)
            index = engine.by_symbol.get(order.symbol)
            if parts is None:
                continue
            row = engine.table[index] if index is not None else None
            if row is None or not row.strategy or strategy_code(row.strategy) != parts.code:
                engine.alert(f"{order.symbol}: order {order.order_id} is ours, but nothing configured trades it")
                engine.known_tags.add(order.tag)
                continue
            key = (row.index, parts.rung, parts.cycle)
            if key not in groups:
                side = order.side if parts.leg is Leg.ENTRY else order.side.opposite
                kept = engine.manager.lives.get(key[:2])  # of an earlier day, whose entry the book has forgotten
                if kept is None or kept.cycle != parts.cycle:
                    kept = RungLife(row.index, parts.rung, parts.cycle, side, row.strategy, order.product, 0)
                groups[key] = _Found(kept)
            groups[key].orders.append((order, parts))
            if parts.leg is Leg.ENTRY:
                groups[key].life.ordered += order.quantity
        return list(groups.values())

    def _order_steps(self, found: list[_Found], fills: Sequence[BrokerFill]) -> Iterator[_Step]:
        by_order: dict[str, list[BrokerFill]] = defaultdict(list)
        for fill in fills:
            by_order[fill.order_id].append(fill)
        for item in found:
            yield self._adopt_step(item)
            for leg in (Leg.ENTRY, Leg.EXIT):
                yield from self._fill_steps(item, leg, by_order)

    def _claim(self, one: Carried) -> bool:
        """Its rung as it was when it was claimed; what the broker no longer holds of it the comparison says."""
        index = self.engine.by_symbol.get(one.symbol, -1)
        if index < 0 or self.engine.table[index].strategy != one.strategy:
            self.engine.alert(f"{one.symbol} P{one.rung}: claimed today, but nothing configured trades it now")
            return False
        owned(self.engine, one)
        return True

    def _claim_steps(self, claims: Iterable[Carried]) -> Iterator[_Step]:
        for one in claims:
            index, ts = self.engine.by_symbol[one.symbol], one.entry_ns
            rung = {"rung": one.rung - 1, "cycle": one.cycle, "qty": one.quantity}
            yield self._step(ts, 3, index, abi.ADOPT, {
                **rung, "code": int(Side[one.side]), "price": one.value // one.quantity,
            })  # fmt: skip
            yield self._step(ts, 3, index, abi.FILL, {**rung, "leg": abi.ENTRY, "value": one.value})

    def _adopt_step(self, item: _Found) -> _Step:
        life = item.life
        first = min((order for order, _ in item.orders), key=lambda order: order.placed_ns)
        reference = first.value // first.filled if first.filled else first.price or first.trigger
        fields = {"rung": life.rung, "cycle": life.cycle, "code": int(life.side), "qty": life.ordered}
        return self._step(first.placed_ns, 3, life.row, abi.ADOPT, {**fields, "price": reference})

    def _fill_steps(self, item: _Found, leg: Leg, by_order: dict[str, list[BrokerFill]]) -> Iterator[_Step]:
        """Cumulative FILLs of one leg at their own times, and DONE where the rest will not come."""
        life, quantity, value = item.life, 0, 0
        orders = {order.order_id: order for order, parts in item.orders if parts.leg is leg}
        pieces = sorted(
            (fill.ts_ns, order.placed_ns, fill.quantity, fill.quantity * fill.price)
            for order in orders.values()
            for fill in _complete(order, by_order[order.order_id])
        )
        common = {"rung": life.rung, "cycle": life.cycle, "leg": abi.ENTRY if leg is Leg.ENTRY else abi.EXIT_LEG}
        for ts, placed, more, paid in pieces:
            quantity, value = quantity + more, value + paid
            rank = 0 if placed < ts else 3
            yield self._step(ts, rank, life.row, abi.FILL, {**common, "qty": quantity, "value": value})
        ended = all(order.status.final for order in orders.values())
        if leg is Leg.ENTRY and ended and quantity < life.ordered:
            last = max(order.updated_ns for order in orders.values()) if orders else 0
            rejected = quantity == 0 and any(o.status is OrderStatus.REJECTED for o in orders.values())
            yield self._step(last, 3, life.row, abi.REJECT if rejected else abi.DONE, common)

    def _step(self, ts: int, rank: int, row: int, kind: int, fields: dict[str, int]) -> _Step:
        self._sequence += 1
        return _Step(ts, rank, self._sequence, row, kind, tuple(fields.items()))

    def _price_steps(self, history: Iterable[HistoryTick]) -> Iterator[_Step]:
        for ts, row, price, volume in history:
            kind = abi.TIMER if row < 0 else abi.TICK
            yield _Step(ts, 1 if row < 0 else 2, 0, row, kind, (("price", price), ("qty", volume)))

    def _number_steps(self, numbers: Sequence[NumbersThen]) -> Iterator[_Step]:
        """The first ones held from the day's beginning; each later change at its moment, after what was then."""
        self._numbers = [tables for _, tables in numbers]
        if numbers:
            self.engine.numbers.put_all(self._numbers[0], entry_labels(self.engine.config), at_once=True)
        for place, (ts, _) in enumerate(numbers[1:], start=1):
            yield self._step(ts, AFTER, 0, NUMBERS, {"place": place})

    def _numbers_now(self) -> None:
        """What the settings say today; where something is held, once it is not any more."""
        known = self.engine.numbers.carried
        for row in self.engine.table:
            if row.entry >= 0 and (self._numbers or row.index in known):
                self.engine.numbers.put(row.index, row.params.rung_table())

    # --- playing it ------------------------------------------------------------------------------------

    def _replay(self, step: _Step) -> None:
        """One event through the kernel; what it intends is the past and is dropped."""
        engine, deck = self.engine, self.engine.deck
        fields = dict(step.fields)
        if step.kind == NUMBERS:
            engine.numbers.put_all(self._numbers[fields["place"]], entry_labels(engine.config))
            return
        if step.kind == abi.TIMER:
            engine.numbers.settle_all()
            deck.timer(step.ts, 1, abi.WARM)
            self._passed(step.ts)
            return
        if step.kind == abi.TICK:
            if not deck.accept(step.row, step.ts, fields["price"], fields["qty"]):
                return
            self._passed(step.ts)
            engine._mark(step.row, step.ts, fields["price"], fields["qty"])
            for listener in engine.past_listeners:
                listener(engine.table[step.row].instrument.symbol, step.ts, fields["price"], fields["qty"])
            fields["code"] = abi.WARM
        if step.kind == abi.ADOPT:  # the price at which it was wanted, where the prices reach back to it
            fields["price"] = int(deck.state[step.row]["price"]) or fields["price"]
        if step.kind == abi.FILL and fields["leg"] == abi.EXIT_LEG:
            s, r = deck.state[step.row], fields["rung"]
            self._levels[step.row, r, fields["cycle"]] = int(s["target"][r]), int(s["stop"][r])
        deck.event(step.kind, step.row, ts=step.ts, **fields)

    def _passed(self, ts: int) -> None:
        """Boundaries of the past were said when they came."""
        boundaries = self.engine._boundaries
        while boundaries and boundaries[0][0] <= ts:
            boundaries.popleft()

    def _take(self, item: _Found, fills: Sequence[BrokerFill]) -> None:
        """The book's orders become ours; a rung that has ended is booked, if the journal lacks it."""
        engine, life = self.engine, item.life
        for told, parts in item.orders:
            order = _order_of(told, parts, engine.table[life.row].index, engine.table[life.row].instrument)
            engine.manager.orders.add(order)
            (life.entries if parts.leg is Leg.ENTRY else life.exits).append(order)
        times = {fill.order_id: fill.ts_ns for fill in reversed(fills)}
        last = {fill.order_id: fill.ts_ns for fill in fills}
        life.first_fill_ns = min((times.get(o.order_id, o.updated_ns) for o in life.entries if o.filled), default=0)
        life.last_exit_ns = max((last.get(o.order_id, o.updated_ns) for o in life.exits if o.filled), default=0)
        life.told_entry, life.told_exit = life.entered, life.exited
        life.told_end = not life.entering
        life.wanted = self._reason(life, fills)
        resume_closing(engine, life, self._decided)
        life.stopped = life.wanted is None and life.exited > life.parted
        if self._written is not None:
            self._written.complete(engine.manager, life, fills)
        for order in life.exits:
            if order.part and order.filled and order.status.final:
                engine.book_part(life, order)
        ended = life.held <= 0 and not life.entering and not any(order.live for order in life.exits)
        if ended:
            life.closed = True
            if life.exited > life.booked.exited:
                engine.book_trade(life)
        slot = (life.row, life.rung)
        other = engine.manager.lives.get(slot)
        if other is None or other.cycle <= life.cycle:
            engine.manager.lives[slot] = life
        older = life if other is not None and other.cycle > life.cycle else other
        if older is not None and older is not engine.manager.lives[slot]:
            self._older.append(older)

    def _closings(self, found: list[_Found]) -> None:
        """Of rungs that have no order of today too."""
        known = {id(item.life) for item in found}
        for life in list(self.engine.manager.lives.values()):
            if id(life) not in known and not life.closed:
                resume_closing(self.engine, life, self._decided)

    def _doubt(self, late: Sequence[BrokerOrder]) -> None:
        """What the book does not show yet may still come: nothing else is bought of it, and a human is told."""
        manager = self.engine.manager
        for told in late:
            order = manager.orders.by_tag.get(told.tag)
            if order is not None:
                doubt(order, told.status_word)
                manager.frozen.add(told.symbol)
                what = f"{told.symbol} {order.leg} order {told.tag}"
                left = f"taken as {told.order_id}, but not in the broker's book" if told.order_id else \
                    "nobody knows whether it left before the program ended"  # fmt: skip
                self.engine.alert(f"{what}: {left}; asking the broker")

    def _orphans(self) -> None:
        """Orders of a cycle that another one has followed: what they protected is gone, or is nobody's now."""
        manager = self.engine.manager
        for life in self._older:
            alive = [order for order in (*life.entries, *life.exits) if order.live]
            if life.held > 0:
                self.engine.critical(f"{manager.symbol(life)} P{life.rung + 1}: {life.held} of an earlier cycle are "
                                     "still held beside the newer one; compare with the broker")  # fmt: skip
                alive = [order for order in alive if order.leg is Leg.ENTRY]
            for order in alive:
                manager._alert_order(order, "is left over from a rung that has ended: cancelled")
                manager.left_over(order)

    def _reason(self, life: RungLife, fills: Sequence[BrokerFill]) -> ExitReason | None:
        """Why a converted exit was sent, as far as price and time tell; None for a stop."""
        # A triggered stop shows as a limit too, but keeps its trigger.
        converted = [
            o for o in life.exits
            if o.order_type is OrderType.LIMIT and not o.trigger and (o.filled or o.live) and not o.part
        ]  # fmt: skip
        if not converted:
            return None
        s, side = self.engine.state[life.row], int(life.side)
        now = int(s["target"][life.rung]), int(s["stop"][life.rung])
        target, stop = self._levels.get((life.row, life.rung, life.cycle), now)
        # Its limit lies beyond the market: the price that caused it is that of its first fill, or the last one.
        known = (fill.price for fill in fills if fill.order_id == converted[-1].order_id)
        price = next(known, self.engine.table[life.row].ltp)
        square_off = int(self.engine.params[life.row]["square_off"])
        when = life.last_exit_ns or self.engine.clock.now_ns()
        if target and (price - target) * side >= 0:
            return ExitReason.TARGET
        if square_off and when >= square_off:
            return ExitReason.SQUARE_OFF
        if stop and (price - stop) * side <= 0:
            return ExitReason.STOP  # a runner's, that had not been moved at the exchange yet
        return ExitReason.SIGNAL

    def _guards(self, gtts: Sequence[Gtt], book: Sequence[BrokerOrder]) -> None:
        """GTTs carry no tag: each open rung takes the one that fits it best."""
        state = self.engine.state

        def level(life: RungLife) -> Paise:
            return int(state[life.row]["sent_stop"][life.rung]) or int(state[life.row]["stop"][life.rung])

        adopt_guards(self.engine.manager, gtts, book, level)

    def _align(self) -> None:
        """Levels: the tighter of the kernel's and the resting one, so that a stop never loosens; by hand as decided."""
        engine = self.engine
        for life in engine.manager.lives.values():
            if life.closed:
                continue
            s, r = engine.state[life.row], life.rung
            resting = [o.trigger for o in life.exits if not o.status.final and o.trigger]
            if life.gtt:
                resting.append(life.gtt.level)
            hold_levels(engine, life, self._decided)
            level = int(s["sent_stop"][r])
            for trigger in [] if life.hand else foreign_triggers(engine, life, self._decided, resting):
                level = max(level, trigger) if life.side > 0 else min(level or trigger, trigger)
            stop = level if life.hand else int(s["stop"][r])
            s["stop"][r] = max(stop, level) if life.side > 0 else min(stop or level, level or stop)
            s["sent_stop"][r] = level
            life.level, life.target = level, int(s["target"][r])
            if life.wanted is not None:
                s["exit_pending"][r] = CODES.get(life.wanted, abi.R_SIGNAL)
            self._no_doubles(life)
        engine.deck.changed()

    def _no_doubles(self, life: RungLife) -> None:
        """Of reducing orders that together exceed what is held, the later ones are cancelled."""
        room = life.held
        for order in life.exits:
            if order.status.final:
                continue
            if order.left > room and order.idle and room <= 0:
                self.engine.manager._cancel(order)
            room -= order.left

    def _report(self, found: list[_Found], differences: list[str]) -> None:
        engine = self.engine
        open_lives = [life for life in engine.manager.lives.values() if not life.closed]
        if not found and not differences:
            return
        names = ", ".join(f"{engine.manager.symbol(life)} P{life.rung + 1} {life.held}" for life in open_lives)
        today = f"{len(found)} rung{'s' if len(found) != 1 else ''} today"
        text = f"recovered: {len(open_lives)} open ({names}), {today}" if names else f"recovered: nothing open, {today}"
        if differences:
            text += "; " + "; ".join(differences)
        data = {"open": len(open_lives), "cycles": len(found), "differences": differences}
        engine.emit(Event(EventKind.RECOVERY, engine.clock.now_ns(), text=text, severity=Severity.WARNING, data=data))


def _complete(order: BrokerOrder, fills: list[BrokerFill]) -> list[BrokerFill]:
    """The order's fills; where the trade book lags, one more that makes up for what the order says."""
    seen = sum(fill.quantity for fill in fills)
    if seen >= order.filled:
        return fills
    paid = sum(fill.quantity * fill.price for fill in fills)
    rest = order.filled - seen
    price = (order.value - paid) // rest
    return [*fills, BrokerFill("", order.order_id, order.symbol, order.side, rest, price, order.updated_ns)]


def _order_of(told: BrokerOrder, parts: TagParts, row: int, instrument: object) -> Order:
    """Our record of an order that the broker remembers."""
    request = OrderRequest(
        told.tag, instrument, told.side, told.quantity, told.product, told.order_type, told.price, told.trigger  # type: ignore[arg-type]
    )
    return Order(
        told.tag, row, parts.leg, parts.rung, parts.cycle, request, told.quantity, told.order_type, told.price,
        told.trigger, told.placed_ns, told.order_id, told.status, told.filled, told.value, told.updated_ns,
        told.updated_ns, told.modifications, reason=told.reason, part=parts.part,
    )  # fmt: skip
