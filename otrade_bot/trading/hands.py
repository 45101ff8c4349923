"""What a human may decide and the program never does by itself: an exit beside one in doubt, a foreign position
taken as ours. Each is asked back first, with what it may cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from otrade_bot.core.clock import to_ist
from otrade_bot.core.errors import CommandException
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.model import Block, ExitReason, Leg, OrderRequest, OrderStatus, OrderType, Product, Refused, Side
from otrade_bot.core.money import Paise, rupees_text
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.calculations import stop_level
from otrade_bot.trading.carry import Carried
from otrade_bot.trading.doubt import clear
from otrade_bot.trading.orders import Order
from otrade_bot.trading.risk import slices
from otrade_bot.trading.rungs import RungLife
from otrade_bot.trading.snapshot import Wish

if TYPE_CHECKING:
    from otrade_bot.trading.engine import LiveTradingEngine
    from otrade_bot.trading.manager import OrderManager
    from otrade_bot.trading.table import Row

__all__ = ["claim", "claim_wish", "claimed", "force", "force_wish", "owned"]


# --- an exit beside one in doubt ----------------------------------------------------------------------------


def force_wish(engine: LiveTradingEngine, symbol: str) -> Wish:
    """What /force would do, and what it may cost. Raises CommandException where no exit is in doubt."""
    lives = _doubtful(engine, symbol)
    if not lives:
        raise CommandException(
            f"No exit of {symbol} is in doubt: its stop, the square-off or /flatten leaves it in the ordinary way."
        )
    shown = tuple((life.row, life.rung, life.cycle, life.held, tuple(_tags(life))) for life in lives)
    return Wish(symbol, "\n".join(_risk(engine.manager, life) for life in lives), shown)


def _doubtful(engine: LiveTradingEngine, symbol: str) -> list[RungLife]:
    return [
        life
        for life in engine.manager.lives.values()
        if engine.manager.symbol(life) == symbol and life.held > 0 and not life.closed and _tags(life)
    ]


def _tags(life: RungLife) -> list[str]:
    """Of reducing orders in doubt."""
    gtt = [f"GTT {life.gtt.gtt_id}".strip()] if life.gtt and life.gtt.unknown else []
    return [order.tag for order in life.exits if order.unknown] + gtt


def _risk(manager: OrderManager, life: RungLife) -> str:
    head = f"{manager.symbol(life)} P{life.rung + 1}: {life.held} held, in doubt: {', '.join(_told(life))}."
    again = _again_quantity(life)
    if not again and any(order.unknown and order.order_id for order in life.exits):
        return f"{head} Its order is known: the exit is sent to it again, nothing can be sold twice."
    if not again:
        return f"{head} An exit is working beside it already: nothing more is sent."
    does, undo = ("sells", "buy back") if life.side is Side.BUY else ("buys", "sell")
    head = f"{head} The part that is in doubt is forced together with all that is left." if life.parting else head
    return (
        f"{head} Another exit {does} {again}. RISK: if what is in doubt is at the exchange as well, both may fill: "
        f"{again} too many, which you would have to {undo} yourself."
    )


def _told(life: RungLife) -> list[str]:
    found = [(f"{o.order_type} {o.tag}", o.unknown_ns, o.unknown) for o in life.exits if o.unknown]
    if life.gtt and life.gtt.unknown:
        found.append(("GTT stop", life.gtt.unknown_ns, life.gtt.unknown))
    return [f"{what} since {to_ist(ns):%H:%M:%S} ({why})" for what, ns, why in found]


def _again_quantity(life: RungLife) -> int:
    """What a further order would take: all that is held and not on its way out by an order that is known."""
    lost = sum(o.left for o in life.exits if o.unknown and not o.order_id)
    known = sum(o.left for o in life.exits if not o.unknown or o.order_id)
    if life.gtt and life.gtt.unknown:
        lost += life.gtt.covers
    return max(0, min(lost, life.held - known))


def force(engine: LiveTradingEngine, symbol: str, by: str) -> str:
    """Do it. Raises CommandException where nothing is in doubt any more or no order can be sent."""
    wish = force_wish(engine, symbol)
    alert(engine, symbol, f"exit forced by {by}: {wish.text}", {"forced": symbol, "by": by})
    return "\n".join(_force(engine, life) for life in _doubtful(engine, symbol))


def _force(engine: LiveTradingEngine, life: RungLife) -> str:
    manager, name = engine.manager, f"{engine.manager.symbol(life)} P{life.rung + 1}"
    quantity = _again_quantity(life)
    known = [order for order in life.exits if order.unknown and order.order_id]
    for order in known:
        clear(manager, order)
        order.cancelling = False
    engine.exit_row(life.row, life.rung)
    life.wanted = life.wanted or ExitReason.FLATTEN
    manager.converge(life)
    sent = _place(manager, life, quantity) if quantity else ""
    if known:
        sent = f"the exit was sent to its order again. {sent}".strip()
    return f"{name}: {sent or 'an exit is working already'}"


def _place(manager: OrderManager, life: RungLife, quantity: int) -> str:
    """Marketable limits beside what is in doubt; they go before it from now on."""
    instrument, now = manager.rows[life.row].instrument, manager.clock.now_ns()
    for part in slices(quantity, instrument):
        request = manager.exit_request(life, part)
        approved = manager.gate.exit(request, life.held, now) if request.price > 0 else Refused("no price is known")
        if isinstance(approved, Refused):
            raise CommandException(f"No exit could be sent: {approved.reason}.")
        order = manager._register(life, request, Leg.EXIT)
        order.forced = True
        manager._place(order, approved)
    return f"an exit for {quantity} was sent beside the one in doubt; /orders shows it"


# --- a position that is not ours -------------------------------------------------------------------------------


def claim_wish(engine: LiveTradingEngine, symbol: str) -> Wish:
    """What /claim would do. Raises CommandException where it cannot be done."""
    row, quantity, rung = _claimable(engine, symbol)
    side = Side.BUY if quantity > 0 else Side.SELL
    percent = float(engine.params[row.index]["stop_pct"][rung])
    text = (
        f"{symbol}: {quantity:+d} at the broker becomes P{rung + 1} of {row.strategy} ({row.product}), with a stop "
        f"{percent:g} % {'below' if side > 0 else 'above'} what it cost, or {percent:g} % from the last price where "
        "that stop has been passed. From then on it is ours: stop, target, square-off and /flatten close it."
    )
    return Wish(symbol, text, (symbol, str(row.product), quantity, rung))


def _claimable(engine: LiveTradingEngine, symbol: str) -> tuple[Row, int, int]:
    """(row, signed quantity, free rung)."""
    row = engine.table[engine.by_symbol[symbol]] if symbol in engine.by_symbol else None
    if row is None or not row.strategy or row.index in engine._exits_only:
        raise CommandException(f"No strategy trades {symbol}: only a configured instrument can be claimed.")
    if engine.unread or Block.RECOVERY in engine.blocks:
        raise CommandException("The broker's books have not been read yet: nothing can be claimed.")
    quantity = engine.external.get((symbol, str(row.product)), 0)
    if not quantity:
        others = [product for (name, product), left in engine.external.items() if name == symbol and left]
        held = f"it is held as {', '.join(others)}, and traded as {row.product}" if others else "the broker shows none"
        raise CommandException(f"No position of {symbol} can be claimed: {held}.")
    if quantity % row.instrument.lot:
        raise CommandException(f"{symbol}: {quantity:+d} is no multiple of the lot size {row.instrument.lot}.")
    if symbol in engine.manager.frozen:
        raise CommandException(f"An order of {symbol} is in doubt: ask again once it is settled.")
    return row, quantity, _free_rung(engine, row)


def _free_rung(engine: LiveTradingEngine, row: Row) -> int:
    for rung in range(int(engine.params[row.index]["rungs"])):
        life = engine.manager.lives.get((row.index, rung))
        if (life is None or life.closed) and not engine.state[row.index]["side"][rung]:
            return rung
    raise CommandException(f"Every rung of {row.instrument.symbol} is taken: close one first.")


async def claim(engine: LiveTradingEngine, symbol: str, by: str) -> str:
    """Take the position as ours, as the broker has it now. Raises CommandException, BrokerException."""
    row, quantity, rung = _claimable(engine, symbol)
    key = (symbol, str(row.product))
    net = await engine.broker.get_net()
    cost = await _cost(engine, symbol, row.product)
    if _claimable(engine, symbol) != (row, quantity, rung) or net.get(key, 0) - _ours(engine, key) != quantity:
        raise CommandException(f"The position of {symbol} has changed meanwhile: ask again.")
    average = _basis(engine, row, rung, quantity, cost)
    if average <= 0:
        raise CommandException(f"{symbol}: neither its cost nor a price is known.")
    found = Carried(
        symbol, row.strategy, rung + 1, int(engine.state[row.index]["next_cycle"]) + 1,
        Side(1 if quantity > 0 else -1).name, abs(quantity), abs(quantity) * average, 0, engine.clock.now_ns(),
    )  # fmt: skip
    engine.post(lambda: _adopt(engine, found, by))
    life = engine.manager.lives[row.index, rung]
    counted = "at its cost" if average == cost else "at the last price (by its cost the stop would have been passed)"
    return f"{symbol} P{rung + 1}: {quantity:+d} taken over, counted {counted}, {rupees_text(average)}; stop at " \
           f"{rupees_text(life.level)}"  # fmt: skip


def _ours(engine: LiveTradingEngine, key: tuple[str, str]) -> int:
    lives = engine.manager.lives.values()
    return sum(int(v.side) * v.held for v in lives if (engine.manager.symbol(v), str(v.product)) == key)


async def _cost(engine: LiveTradingEngine, symbol: str, product: Product) -> Paise:
    """The broker's average price over today's position and what was delivered; 0 where it has none."""
    held = [
        (abs(one.quantity), one.average)
        for one in await engine.broker.get_positions()
        if (one.symbol, one.product) == (symbol, product)
    ]
    if product is Product.CNC:
        held += [(one.quantity, one.average) for one in await engine.broker.get_holdings() if one.symbol == symbol]
    known = [(quantity, average) for quantity, average in held if quantity > 0 and average > 0]
    total = sum(quantity for quantity, _ in known)
    return sum(quantity * average for quantity, average in known) // total if total else 0


def _basis(engine: LiveTradingEngine, row: Row, rung: int, quantity: int, cost: Paise) -> Paise:
    """The price that the stop is counted from: the cost, unless the market is beyond its stop already."""
    side = 1 if quantity > 0 else -1
    stop = stop_level(cost, float(engine.params[row.index]["stop_pct"][rung]), side, row.instrument.tick) if cost else 0
    passed = row.ltp > 0 and (row.ltp - stop) * side <= 0
    return row.ltp if passed or not cost else cost


def _adopt(engine: LiveTradingEngine, found: Carried, by: str) -> None:
    """Into the manager and the kernel; the stop follows by itself."""
    row = engine.table[engine.by_symbol[found.symbol]]
    life = owned(engine, found)
    engine.external.pop((found.symbol, str(row.product)), None)
    many = f"{found.quantity} {'bought' if life.side > 0 else 'sold'} outside this program"
    text = f"{found.symbol} P{found.rung}: {many}, claimed by {by}"
    alert(engine, found.symbol, text, {"claimed": asdict(found), "by": by})
    rung = {"ts": found.entry_ns, "rung": life.rung, "cycle": life.cycle, "qty": found.quantity}
    engine._kernel(abi.ADOPT, row.index, **rung, code=int(life.side), price=found.value // found.quantity)
    engine.manager._say_fill(life, life.entries[0], found.entry_ns)
    engine._kernel(abi.FILL, row.index, **rung, leg=abi.ENTRY, value=found.value)
    engine.manager.converge(life)


def owned(engine: LiveTradingEngine, found: Carried) -> RungLife:
    """A rung whose entry was not ours, as the manager keeps it."""
    index = engine.by_symbol[found.symbol]
    row, side = engine.table[index], Side[found.side]
    life = RungLife(index, found.rung - 1, found.cycle, side, found.strategy, row.product, found.quantity)
    request = OrderRequest("", row.instrument, side, found.quantity, row.product, OrderType.MARKET)
    life.entries.append(Order(
        "", index, Leg.ENTRY, life.rung, life.cycle, request, found.quantity, OrderType.MARKET, 0, 0, found.entry_ns,
        "", OrderStatus.COMPLETE, found.quantity, found.value, found.entry_ns, found.entry_ns,
    ))  # fmt: skip
    life.told_entry, life.told_end, life.first_fill_ns = found.quantity, True, found.entry_ns
    engine.manager.lives[index, life.rung] = life
    return life


def claimed(lines: Iterable[Mapping[str, Any]]) -> list[Carried]:
    """What a day's journal says was claimed on it, oldest first."""
    return [Carried(**line["claimed"]) for line in lines if line.get("kind") == EventKind.ALERT and "claimed" in line]


def alert(engine: LiveTradingEngine, symbol: str, text: str, data: Mapping[str, Any]) -> None:
    engine.emit(Event(EventKind.ALERT, engine.clock.now_ns(), symbol, text, Severity.RISK, data))
