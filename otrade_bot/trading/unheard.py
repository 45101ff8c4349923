"""What became of our orders while nobody listened, or what a killed process had heard and not written: said after a
recovery, so that the journal ends as the broker's book does. A rung that the journal knows nothing of stays unsaid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from otrade_bot.core.model import BrokerFill, Leg, OrderStatus
from otrade_bot.trading.rungs import RungLife

if TYPE_CHECKING:
    from otrade_bot.trading.manager import OrderManager
    from otrade_bot.trading.orders import Order

__all__ = ["Written", "written"]

#: (symbol, strategy, rung from 1, cycle, leg)
Slot = tuple[str, str, int, int, str]


@dataclass(frozen=True, slots=True)
class Written:
    """What a day's journal has last of each order (quantity, filled, status), and of each leg (quantity)."""

    orders: Mapping[str, tuple[int, int, str]] = field(default_factory=dict)
    filled: Mapping[Slot, int] = field(default_factory=dict)

    def complete(self, manager: OrderManager, life: RungLife, fills: Iterable[BrokerFill]) -> None:
        """Say what of this rung is missing, each thing as it is now."""
        if not any(order.tag in self.orders for order in (*life.entries, *life.exits)):
            return
        for order in (*life.entries, *life.exits):
            self._complete_order(manager, order)
        times = {fill.order_id: fill.ts_ns for fill in fills}
        for leg, orders in ((Leg.ENTRY, life.entries), (Leg.EXIT, life.exits)):
            slot = (manager.symbol(life), life.strategy, life.rung + 1, life.cycle, str(leg))
            done = [order for order in orders if order.filled]
            if sum(order.filled for order in done) > self.filled.get(slot, 0):
                manager._say_fill(life, done[-1], max(times.get(o.order_id, o.updated_ns) for o in done))

    def _complete_order(self, manager: OrderManager, order: Order) -> None:
        """What the book does not show yet is said by whoever asks for it."""
        quantity, filled, status = self.orders.get(order.tag, (0, 0, str(OrderStatus.PENDING)))
        if order.status is OrderStatus.PENDING or (quantity, filled, status) == _last(order):
            return
        manager._say_order(order, OrderStatus(status))


def _last(order: Order) -> tuple[int, int, str]:
    return order.quantity, order.filled, str(order.status)


def written(lines: Iterable[Mapping[str, Any]]) -> Written:
    """Of a day's journal."""
    orders: dict[str, tuple[int, int, str]] = {}
    filled: dict[Slot, int] = {}
    for line in lines:
        if line.get("kind") == "order":
            orders[line["tag"]] = line["quantity"], line["filled"], line["status"]
        elif line.get("kind") == "fill":
            slot = (line["symbol"], line["strategy"], line["rung"], line["cycle"], line["leg"])
            filled[slot] = max(filled.get(slot, 0), line["quantity"])
    return Written(orders, filled)
