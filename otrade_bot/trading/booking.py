"""Trades: what a rung, or a part of it that went out by command, has brought. Their sums are the day's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otrade_bot.core.model import ExitReason, Side
from otrade_bot.trading.orders import Order
from otrade_bot.trading.rungs import RungLife, Told
from otrade_bot.trading.snapshot import Trade

if TYPE_CHECKING:
    from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["bill_parts", "part_trade", "rung_trade"]


def rung_trade(engine: LiveTradingEngine, life: RungLife) -> Trade:
    """Charges an order, as the broker bills them. A rung that was opened again after its end is booked a second time,
    with what came later; parts that were booked are not in it."""
    before, parts = life.before, life.booked
    entry_value = life.entry_value - before.entry_value - parts.entry_value
    exit_value = life.exit_value - before.exit_value - parts.exit_value
    charges = _charges(engine, life, (*life.entries, *life.exits))
    trade = Trade(
        _name(engine, life, f"-{before.exited}" if before.exited else ""), engine.manager.symbol(life), life.strategy,
        life.side, life.rung + 1, life.exited - before.exited - parts.exited, life.first_fill_ns, entry_value,
        life.last_exit_ns, exit_value, life.reason, int(life.side) * (exit_value - entry_value),
        charges - life.charged,
    )  # fmt: skip
    life.charged = charges
    return trade


def part_trade(engine: LiveTradingEngine, life: RungLife, order: Order) -> Trade:
    """What an order for a part has sold since it was last booked, with its share of the cost and its charges."""
    before, parts = life.before, life.booked
    more, value = order.filled - order.booked, order.value - order.booked_value
    open_quantity = life.entered - before.entered - parts.entered
    cost = (life.entry_value - before.entry_value - parts.entry_value) * more // open_quantity
    charges = _charges(engine, life, life.entries) * more // life.entered
    charges += _charge(engine, life, order, order.value) - _charge(engine, life, order, order.booked_value)
    charges -= _dp(engine, order) if parts.exited and not order.booked else 0
    again = f"+{order.booked}" if order.booked else ""
    trade = Trade(
        _name(engine, life, f"-{order.tag[-4:]}{again}"), engine.manager.symbol(life), life.strategy, life.side,
        life.rung + 1, more, life.first_fill_ns, cost, order.updated_ns, value, ExitReason.COMMAND,
        int(life.side) * (value - cost), charges,
    )  # fmt: skip
    life.charged += charges
    order.booked, order.booked_value = order.filled, order.value
    exited = parts.exited + more
    life.booked = Told(exited, parts.entry_value + cost, exited, parts.exit_value + value)
    return trade


def bill_parts(engine: LiveTradingEngine, life: RungLife) -> None:
    """The account takes what leaves a rung for one order; parts are billed as orders of their own, and the day's
    charges, which its loss limit counts, are the sum of those."""
    if not life.booked.exited:
        return
    sides = (life.side, life.entry_value), (life.side.opposite, life.exit_value)
    known = sum(int(engine.kernel.charge_one(engine.params, life.row, int(side), value)) for side, value in sides)
    apart = _charges(engine, life, (*life.entries, *life.exits)) - known
    if apart != life.apart:
        engine.account[0]["charges"] += apart - life.apart
        engine.deck.changed()
    life.apart = apart


def _name(engine: LiveTradingEngine, life: RungLife, more: str) -> str:
    """The same after a restart: what is booked already is known by it."""
    return f"{engine.day}-{engine.manager.symbol(life)}-{life.strategy}-{life.rung + 1}-{life.cycle}{more}"


def _charges(engine: LiveTradingEngine, life: RungLife, orders: tuple[Order, ...] | list[Order]) -> int:
    """An order each; what the depository takes of a sale it takes once."""
    sales = [_dp(engine, order) for order in orders if order.value > 0 and _dp(engine, order)]
    return sum(_charge(engine, life, order, order.value) for order in orders) - sum(sales[1:])


def _dp(engine: LiveTradingEngine, order: Order) -> int:
    return int(engine.params[order.row]["ch_dp_sell"]) if order.side is Side.SELL else 0


def _charge(engine: LiveTradingEngine, life: RungLife, order: Order, value: int) -> int:
    return int(engine.kernel.charge_one(engine.params, life.row, int(order.side), value))
