"""What the broker's list says of our GTTs, and the orders that their triggers have placed.

Neither a GTT nor the order of its leg bears a tag. A GTT is known by its id, one in doubt by what it is; a leg's
order by its id where the list has told it, else by what it is until the list confirms it. While anything of a GTT
is unknown the books are asked at once, then ever more slowly, besides the comparison of each minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from otrade_bot.core.clock import SECOND
from otrade_bot.core.errors import BrokerException
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.model import (
    Accepted,
    BrokerOrder,
    ExitReason,
    Gtt,
    GttStatus,
    InstrumentKind,
    Leg,
    OrderRequest,
    OrderStatus,
    OrderType,
    Outcome,
    Product,
    Side,
)
from otrade_bot.core.money import Paise, rupees_text
from otrade_bot.kernel.fills import protected, protection_ppm
from otrade_bot.trading.rungs import GuardGtt, RungLife

if TYPE_CHECKING:
    from otrade_bot.trading.manager import OrderManager

__all__ = ["SKEW", "GuardDesk", "adopt_guards", "ask", "gtt_leg", "leg_price", "settle_gtts", "wants_gtts"]

#: The broker's clock may be behind ours by this much.
SKEW = 5 * SECOND
ASK_FIRST, ASK_MOST = 1 * SECOND, 16 * SECOND
#: Something missing, or contradicting us, is believed when it is seen again after this.
AGAIN, AGAIN_LEAVING, AGAIN_LEG = 30 * SECOND, 2 * SECOND, 5 * SECOND
NEVER = 120 * SECOND


@dataclass(slots=True)
class Ghost:
    """A GTT that was given up for lost, or that a process before this one may have sent. Should it turn up after all,
    it is taken back."""

    gtt_id: str
    symbol: str
    side: Side
    product: Product
    quantity: int
    level: Paise
    placed_ns: int
    writing: bool = False
    until_ns: int = 0  #: no longer looked for after this; 0 = for ever

    def is_it(self, found: Gtt) -> bool:
        if self.gtt_id:
            return found.gtt_id == self.gtt_id
        same = (found.symbol, found.side, found.product) == (self.symbol, self.side, self.product)
        return (
            same and found.quantity == self.quantity and found.legs[0].trigger == self.level
            and found.created_ns >= self.placed_ns - SKEW
        )  # fmt: skip


@dataclass(slots=True)
class Guess:
    """An order that was taken for a GTT's leg by what it is; the list has not confirmed it yet."""

    life: RungLife
    gtt: GuardGtt
    order_id: str
    active_ns: int = 0  #: when the list first showed the GTT as waiting still


@dataclass(slots=True)
class GuardDesk:
    """What is remembered beside the rungs."""

    ghosts: list[Ghost] = field(default_factory=list)
    guesses: list[Guess] = field(default_factory=list)
    known: set[str] = field(default_factory=set)  #: every GTT that was ever a rung's
    looked_at: set[str] = field(default_factory=set)  #: orders that might be a leg; the list is being asked
    strangers: set[str] = field(default_factory=set)  #: orders that are none
    strays: set[str] = field(default_factory=set)  #: GTTs that guard no rung of ours; said already
    asking: bool = False
    asked_ns: int = 0
    wait_ns: int = ASK_FIRST
    tasks: set[Any] = field(default_factory=set)


def wants_gtts(manager: OrderManager) -> bool:
    """The list is worth reading."""
    desk = manager.guards
    return bool(desk.ghosts or desk.guesses) or any(life.gtt for life in manager.lives.values())


def leg_price(manager: OrderManager, life: RungLife, trigger: Paise) -> Paise:
    """The leg is a LIMIT order: priced inside the protection band of its trigger, so that it is taken."""
    instrument = manager.rows[life.row].instrument
    option = int(instrument.kind is InstrumentKind.OPTION)
    return protected(life.side.opposite, trigger, protection_ppm(trigger, option), instrument.tick)


# --- asking ---------------------------------------------------------------------------------------------


def ask(manager: OrderManager, now: int) -> None:
    """Read list and book beside what goes on, unless that was done a moment ago."""
    desk = manager.guards
    if desk.asking or now - desk.asked_ns < desk.wait_ns:
        return
    desk.asking, desk.asked_ns, desk.wait_ns = True, now, min(2 * desk.wait_ns, ASK_MOST)
    _start(desk, _read(manager))


def _start(desk: GuardDesk, read: Coroutine[Any, Any, None]) -> None:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # a day without a loop: its books answer at once
        try:
            read.send(None)
        except StopIteration:
            return
        read.close()
        return
    task = loop.create_task(read)
    desk.tasks.add(task)
    task.add_done_callback(desk.tasks.discard)


async def _read(manager: OrderManager) -> None:
    """A book that cannot be read is asked again; the comparison says so."""
    try:
        gtts = await manager.broker.get_gtts()
        book = await manager.broker.get_orderbook()
    except BrokerException:
        return
    finally:
        manager.guards.asking = False
    manager.post(lambda: _take(manager, gtts, book))


def _take(manager: OrderManager, gtts: Sequence[Gtt], book: Sequence[BrokerOrder]) -> None:
    """The list first: it tells whose the orders without a tag are."""
    desk = manager.guards
    _note_legs(manager, {gtt.gtt_id: gtt for gtt in gtts})
    for told in book:
        if told.tag:
            continue
        ours, looked_at = manager.orders.find(told) is not None, told.order_id in desk.looked_at
        if not ours and looked_at and _by_id(manager, told) is None:
            if any(life.gtt and not life.gtt.gtt_id and _alike(manager, life, told) for life in _waiting(manager)):
                continue  # it may be of one whose id we have not heard
            desk.looked_at.discard(told.order_id)
            desk.strangers.add(told.order_id)
            if told.filled:
                text = f"{told.symbol}: an order that is not ours filled ({told.side.name} {told.filled})"
                _say(manager, told.symbol, text)
        elif ours or told.order_id not in desk.strangers:
            manager.on_report(told)
    settle_gtts(manager, gtts, manager.clock.now_ns())


def _note_legs(manager: OrderManager, by_id: dict[str, Gtt]) -> None:
    for life in manager.lives.values():
        found = by_id.get(life.gtt.gtt_id) if life.gtt else None
        if life.gtt and found:
            life.gtt.leg_ids = tuple(leg.order_id for leg in found.legs if leg.order_id)


# --- the order of a leg -----------------------------------------------------------------------------------


def gtt_leg(manager: OrderManager, told: BrokerOrder) -> bool:
    """An order without a tag: is it the leg of a GTT of ours? One that might be is looked up, unless there is but one
    that it can be of."""
    if told.tag:
        return False
    life = _by_id(manager, told)
    if life is not None:
        _adopt_leg(manager, life, told)
        return True
    alike = [life for life in _waiting(manager) if _alike(manager, life, told)]
    if not alike or told.order_id in manager.guards.strangers:
        return False
    fitting = [life for life in alike if _off(manager, life, told) <= _slack(manager, life, told)]
    gtt = fitting[0].gtt if len(fitting) == 1 else None
    if gtt is None or not gtt.gtt_id:
        manager.guards.looked_at.add(told.order_id)
        ask(manager, manager.clock.now_ns())
        return True
    manager.guards.guesses.append(Guess(fitting[0], gtt, told.order_id))
    _adopt_leg(manager, fitting[0], told)
    return True


def _waiting(manager: OrderManager) -> Iterable[RungLife]:
    """Rungs whose GTT may have gone off, also one whose place has not been answered yet."""
    for life in manager.lives.values():
        if life.gtt and not life.gtt.order_id and not life.closed:
            yield life


def _by_id(manager: OrderManager, told: BrokerOrder) -> RungLife | None:
    return next((life for life in _waiting(manager) if life.gtt and told.order_id in life.gtt.leg_ids), None)


def _alike(manager: OrderManager, life: RungLife, told: BrokerOrder) -> bool:
    """Legs are LIMIT orders: a market order is a human's."""
    gtt = life.gtt
    same = gtt is not None and manager.symbol(life) == told.symbol and told.side is life.side.opposite
    same = same and told.product is life.product and told.order_type is OrderType.LIMIT
    since = gtt.placed_ns - SKEW if gtt and told.placed_ns else 0
    return same and gtt is not None and told.quantity in (gtt.quantity, gtt.asked) and told.placed_ns >= since


def _off(manager: OrderManager, life: RungLife, told: BrokerOrder) -> Paise:
    """From the order's limit to the nearest one that a leg would have."""
    gtt = life.gtt
    assert gtt is not None
    triggers = (gtt.level, gtt.target)
    known = gtt.prices or tuple(leg_price(manager, life, trigger) for trigger in triggers if trigger)
    return min((abs(told.price - price) for price in known), default=told.price)


def _slack(manager: OrderManager, life: RungLife, told: BrokerOrder) -> Paise:
    """Brokers round what they are told in percent."""
    return max(2 * manager.rows[life.row].instrument.tick, told.price // 2000)


def _adopt_leg(manager: OrderManager, life: RungLife, told: BrokerOrder) -> None:
    """The leg's order is the rung's exit from now on; the one of the target is no stop."""
    gtt = life.gtt
    assert gtt is not None
    manager.guards.looked_at.discard(told.order_id)
    gtt.settled()
    gtt.order_id = told.order_id
    if life.wanted is None and gtt.target and abs(told.price - gtt.target) < abs(told.price - gtt.level):
        life.wanted = ExitReason.TARGET
    request = OrderRequest(
        f"GTT{gtt.gtt_id}", manager.rows[life.row].instrument, told.side, told.quantity,
        life.product, told.order_type, told.price, told.trigger, reduces=True,
    )  # fmt: skip
    order = manager._register(life, request, Leg.EXIT)
    order.status, order.order_id = OrderStatus.OPEN, told.order_id
    manager.orders.by_id[told.order_id] = order
    manager.on_report(told)


# --- comparing --------------------------------------------------------------------------------------------


def settle_gtts(manager: OrderManager, gtts: Sequence[Gtt], now: int) -> None:
    """Compare our GTTs with one complete read of the broker's list.

    One in doubt is known by symbol, side, product, quantity, first trigger and time; its absence counts
    like that of an order. One that has ended without an order of its own guards nothing any more.
    """
    by_id = {gtt.gtt_id: gtt for gtt in gtts}
    for life in list(manager.lives.values()):
        gtt = life.gtt
        if gtt is None or gtt.writing or gtt.order_id:
            continue
        if not gtt.gtt_id:
            _settle_place(manager, life, gtt, gtts, now)
        elif gtt.gtt_id in by_id:
            _settle_known(manager, life, gtt, by_id[gtt.gtt_id], now)
        else:
            _missing(manager, life, gtt, now)
    _confirm(manager, by_id, now)
    _lay_ghosts(manager, gtts, now)
    _say_left(manager, gtts)
    if not any(life.gtt and life.gtt.unknown for life in manager.lives.values()):
        manager.guards.wait_ns = ASK_FIRST


def _settle_place(manager: OrderManager, life: RungLife, gtt: GuardGtt, gtts: Sequence[Gtt], now: int) -> None:
    known, ghost = manager.guards.known, _ghost(manager, life, gtt)
    for found in gtts:
        if found.gtt_id not in known and ghost.is_it(found):
            gtt.gtt_id = found.gtt_id
            known.add(found.gtt_id)
            manager._alert(life, f"the GTT stop was found at the broker: {found.status}")
            _settle_known(manager, life, gtt, found, now)
            return
    _count(gtt, now, AGAIN)
    if now - gtt.unknown_ns >= NEVER and gtt.absent_reads >= 2:
        life.gtt = None
        manager.guards.ghosts.append(ghost)
        manager._alert(life, "the GTT stop never reached the broker")
        manager.converge(life)


def _settle_known(manager: OrderManager, life: RungLife, gtt: GuardGtt, found: Gtt, now: int) -> None:
    orders = [leg.order_id for leg in found.legs if leg.order_id]
    if found.status is GttStatus.ACTIVE:
        gtt.settled()
        gtt.take(found)
    elif orders:
        _gone_off(manager, life, gtt, orders, now)
    else:
        why = next((leg.reason for leg in found.legs if leg.reason), "")
        _ended(manager, life, f"{found.status} {why}".rstrip())
    manager.converge(life)


def _gone_off(manager: OrderManager, life: RungLife, gtt: GuardGtt, orders: list[str], now: int) -> None:
    """Its order reports for itself, as soon as the book has it."""
    gtt.leg_ids = tuple(orders)
    known = next((order_id for order_id in orders if order_id in manager.orders.by_id), "")
    if known:
        gtt.settled()
        gtt.order_id = known
        return
    if gtt.doubt != "leg":
        gtt.settled()
        gtt.unknown, gtt.doubt, gtt.unknown_ns = f"has gone off, order {orders[0]} not seen yet", "leg", now
        manager._alert(life, f"the GTT has gone off; its order {orders[0]} is looked for")
        return
    _count(gtt, now, AGAIN)
    if now - gtt.unknown_ns >= NEVER and gtt.absent_reads >= 2:
        _ended(manager, life, f"gone off, but its order {orders[0]} is not in today's book")


def _missing(manager: OrderManager, life: RungLife, gtt: GuardGtt, now: int) -> None:
    """Not in a list that should have it. Brokers also leave out what was taken back."""
    _count(gtt, now, AGAIN_LEAVING if gtt.doubt == "cancel" else AGAIN)
    if gtt.absent_reads >= 2:
        manager.guards.ghosts.append(_ghost(manager, life, gtt))
        _ended(manager, life, "no longer in the broker's list")
        manager.converge(life)


def _ended(manager: OrderManager, life: RungLife, how: str) -> None:
    """It guards nothing any more. No news where we have taken it back."""
    gtt, life.gtt = life.gtt, None
    manager.stirred[manager.symbol(life)] += 1
    if gtt is None or gtt.doubt != "cancel":
        manager._alert(life, f"the GTT stop has ended ({how}) without an order")


def _count(gtt: GuardGtt, now: int, apart: int) -> None:
    if gtt.absent_reads == 0 or now - gtt.absent_ns >= apart:
        gtt.absent_reads, gtt.absent_ns = gtt.absent_reads + 1, now


def _confirm(manager: OrderManager, by_id: dict[str, Gtt], now: int) -> None:
    """A GTT that waits still has placed no order: what was taken for its leg was somebody else's sale."""
    desk = manager.guards
    for guess in list(desk.guesses):
        found = by_id.get(guess.gtt.gtt_id)
        if found is None or found.status is not GttStatus.ACTIVE:
            desk.guesses.remove(guess)
        elif not guess.active_ns:
            guess.active_ns = now
        elif now - guess.active_ns >= AGAIN_LEG:
            desk.guesses.remove(guess)
            _wrong(manager, guess, found)


def _wrong(manager: OrderManager, guess: Guess, found: Gtt) -> None:
    life, gtt = guess.life, guess.gtt
    manager._alert(life, f"order {guess.order_id} was not placed by the GTT, which stands still: brought into line")
    if life.gtt is not gtt:
        ghost = _ghost(manager, life, gtt)
        manager.guards.ghosts.append(ghost)
        return
    gtt.order_id = ""
    gtt.take(found)
    manager.converge(life)


def _ghost(manager: OrderManager, life: RungLife, gtt: GuardGtt) -> Ghost:
    return Ghost(
        gtt.gtt_id, manager.symbol(life), life.side.opposite, life.product, gtt.quantity, gtt.level, gtt.placed_ns
    )


def _placing(manager: OrderManager, symbol: str) -> bool:
    """One of ours may be in the list before we know its id."""
    lives = (life for life in manager.lives.values() if manager.symbol(life) == symbol)
    return any(life.gtt and not life.gtt.gtt_id for life in lives)


def _lay_ghosts(manager: OrderManager, gtts: Sequence[Gtt], now: int) -> None:
    desk, known = manager.guards, manager.guards.known
    desk.ghosts = [ghost for ghost in desk.ghosts if not ghost.until_ns or now < ghost.until_ns]
    taken = {life.gtt.gtt_id for life in manager.lives.values() if life.gtt}
    standing = [gtt for gtt in gtts if gtt.status is GttStatus.ACTIVE and gtt.gtt_id not in taken]
    for ghost in desk.ghosts:
        if not ghost.gtt_id and _placing(manager, ghost.symbol):
            continue
        mine = (gtt for gtt in standing if ghost.is_it(gtt) and (ghost.gtt_id or gtt.gtt_id not in known))
        found = next(mine, None)
        if found and not ghost.writing:
            ghost.gtt_id = found.gtt_id
            known.add(found.gtt_id)
            _lay(manager, ghost, found)


def _lay(manager: OrderManager, ghost: Ghost, found: Gtt) -> None:
    ghost.writing = True
    _say(manager, ghost.symbol, f"{ghost.symbol}: GTT {found.gtt_id} turned up after all: taking it back")

    def answered(outcome: Outcome) -> None:
        ghost.writing = False
        if isinstance(outcome, Accepted) and ghost in manager.guards.ghosts:
            manager.guards.ghosts.remove(ghost)

    manager.broker.dispatch(
        manager.broker.cancel_gtt(found.gtt_id), lambda outcome: manager.post(lambda: answered(outcome))
    )


def _say(manager: OrderManager, symbol: str, text: str) -> None:
    manager.emit(Event(EventKind.ALERT, manager.clock.now_ns(), symbol, text, Severity.RISK))


# --- after a start ----------------------------------------------------------------------------------------


def adopt_guards(
    manager: OrderManager, gtts: Sequence[Gtt], book: Sequence[BrokerOrder], level: Callable[[RungLife], Paise]
) -> None:
    """Each open rung gets the GTT that fits it best, by quantity, then by the stop's ``level``. One that went off
    counts while today's book has its order, which the comparison then finds by it. What is left over is said; and one
    that is still on its way from before the start may come beside the one that is placed now."""
    known = {order.order_id for order in book}
    there = [
        g for g in gtts
        if g.status is GttStatus.ACTIVE
        or (g.status is GttStatus.TRIGGERED and any(leg.order_id in known for leg in g.legs))
    ]  # fmt: skip
    # What has ended before this start is none that is placed after it.
    manager.guards.known |= {gtt.gtt_id for gtt in gtts if gtt.status is not GttStatus.ACTIVE}
    lives = [life for life in manager.lives.values() if _unguarded(life)]
    pairs = [
        (_misfit(life, gtt, level(life)), i, life, gtt)
        for life in lives
        for i, gtt in enumerate(there)
        if _could_be(manager, life, gtt)
    ]
    for _, _, life, gtt in sorted(pairs, key=lambda pair: pair[:2]):
        if life.gtt is None and gtt in there:
            life.gtt = GuardGtt()
            life.gtt.take(gtt)
            manager.guards.known.add(gtt.gtt_id)
            there.remove(gtt)
    now = manager.clock.now_ns()
    manager.guards.ghosts += [
        Ghost("", manager.symbol(life), life.side.opposite, life.product, life.held, level(life), now - NEVER,
              until_ns=now + NEVER)
        for life in lives
        if life.gtt is None
    ]  # fmt: skip
    _say_left(manager, there)


def _unguarded(life: RungLife) -> bool:
    return not life.closed and life.product is not Product.MIS and life.held > 0 and life.gtt is None


def _could_be(manager: OrderManager, life: RungLife, gtt: Gtt) -> bool:
    same = (gtt.symbol, gtt.side, gtt.product) == (manager.symbol(life), life.side.opposite, life.product)
    return same and (gtt.status is GttStatus.ACTIVE or gtt.created_ns >= life.first_fill_ns - SKEW)


def _misfit(life: RungLife, gtt: Gtt, level: Paise) -> tuple[bool, int, Paise]:
    trigger = gtt.legs[0].trigger
    return gtt.status is not GttStatus.ACTIVE, abs(gtt.quantity - life.held), abs(trigger - (level or trigger))


def _say_left(manager: OrderManager, gtts: Sequence[Gtt]) -> None:
    """One of an instrument that we trade, once: nobody here will take it back, and it may sell what ours sells."""
    desk = manager.guards
    ours = {row.instrument.symbol for row in manager.rows if row.strategy and not row.product.intraday}
    for gtt in gtts:
        if gtt.status is not GttStatus.ACTIVE or gtt.symbol not in ours or gtt.gtt_id in desk.known | desk.strays:
            continue
        if _placing(manager, gtt.symbol):
            continue
        desk.strays.add(gtt.gtt_id)
        at = rupees_text(gtt.legs[0].trigger)
        what = f"{gtt.symbol}: GTT {gtt.gtt_id} ({gtt.side.name} {gtt.quantity} at {at}) guards no rung of ours"
        _say(manager, gtt.symbol, f"{what}; it is not touched: delete it at the broker if you did not place it")
