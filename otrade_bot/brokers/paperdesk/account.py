"""The paper account: orders, fills, positions and cash as the sum of its book's lines.

Nothing changes but by ``apply``-ing a line, and every line is on disk before it is applied: reading the
book again gives the same account.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from otrade_bot.core.model import (
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    Gtt,
    GttLeg,
    GttStatus,
    Holding,
    OrderStatus,
    OrderType,
    Product,
    Side,
)
from otrade_bot.core.money import Paise

__all__ = ["Account", "PaperOrder", "PaperSettings"]

Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PaperSettings:
    """``cash`` in paise, ``slip_ppm`` parts per million of the price, ``participation`` the share of the
    traded volume that we may take, ``circuit_percent`` around the day's first price."""

    cash: Paise = 100_000_000
    latency_ns: int = 0
    slip_ppm: int = 0
    participation: float = 1.0
    circuit_percent: float = 20.0
    mis_leverage: int = 5
    modification_limit: int = 25


@dataclass(slots=True)
class PaperOrder:
    """An order in the paper exchange. ``limit`` is the price it may fill at once it works, 0 = not yet."""

    order_id: str
    symbol: str
    side: Side
    quantity: int
    product: Product
    order_type: OrderType
    price: Paise
    trigger: Paise
    protection: float
    tag: str
    placed_ns: int
    active_ns: int
    status: OrderStatus
    filled: int = 0
    value: Paise = 0
    charged: Paise = 0
    limit: Paise = 0
    met: bool = False  #: it has seen a price since it was placed or changed
    taker: bool = False
    updated_ns: int = 0
    reason: str = ""
    modifications: int = 0

    @property
    def left(self) -> int:
        return self.quantity - self.filled

    @property
    def word(self) -> str:
        """As Kite writes it."""
        return self.status.value.upper().replace("_", " ")

    def seen(self) -> BrokerOrder:
        """As the order book shows it."""
        return BrokerOrder(
            self.order_id, self.symbol, self.side, self.quantity, self.product, self.order_type, self.status,
            self.word, self.filled, self.value, self.limit or self.price, self.trigger, self.tag, self.placed_ns,
            self.updated_ns, self.reason, self.modifications,
        )  # fmt: skip


@dataclass(slots=True)
class _Held:
    """Signed quantity and the signed value it was opened for."""

    quantity: int = 0
    value: Paise = 0

    def trade(self, side: int, quantity: int, price: Paise) -> None:
        """Average cost; what crosses zero opens anew at the trade's price."""
        if self.quantity * side < 0:
            closing = min(quantity, abs(self.quantity))
            self.value -= self.value * closing // abs(self.quantity)
            self.quantity += side * closing
            quantity -= closing
        self.quantity += side * quantity
        self.value += side * quantity * price

    @property
    def average(self) -> Paise:
        return self.value // self.quantity if self.quantity else 0


@dataclass(slots=True)
class Account:
    """``cash`` moves with every fill; the rest is derived."""

    cash: Paise
    day: date | None = None
    orders: dict[str, PaperOrder] = field(default_factory=dict)
    working: dict[str, list[PaperOrder]] = field(default_factory=dict)
    fills: list[BrokerFill] = field(default_factory=list)
    positions: dict[tuple[str, Product], _Held] = field(default_factory=dict)
    holdings: dict[str, _Held] = field(default_factory=dict)
    gtts: dict[str, Gtt] = field(default_factory=dict)
    order_count: int = 0
    fill_count: int = 0
    gtt_count: int = 0

    def apply(self, line: Line) -> None:
        """Take one line of the book in."""
        _APPLY[line["op"]](self, line)

    # --- lines ----------------------------------------------------------------------------------------

    def _day(self, line: Line) -> None:
        """Yesterday's book is forgotten; delivery positions become holdings."""
        self.day = date.fromisoformat(line["day"])
        self.orders, self.working, self.fills = {}, {}, []
        for (symbol, product), held in list(self.positions.items()):
            if product is Product.CNC:
                kept = self.holdings.setdefault(symbol, _Held())
                if held.quantity > 0:
                    kept.quantity, kept.value = kept.quantity + held.quantity, kept.value + held.value
                elif held.quantity < 0:
                    kept.trade(-1, -held.quantity, 0)
                if kept.quantity == 0:
                    del self.holdings[symbol]
                del self.positions[symbol, product]
            elif held.quantity == 0:
                del self.positions[symbol, product]

    def _order(self, line: Line) -> None:
        self.order_count += 1
        order = PaperOrder(
            line["id"], line["symbol"], Side(line["side"]), line["quantity"], Product(line["product"]),
            OrderType(line["type"]), line["price"], line["trigger"], line["protection"], line["tag"], line["ts"],
            line["active"], OrderStatus(line["status"]), updated_ns=line["ts"], reason=line.get("reason", ""),
        )  # fmt: skip
        self.orders[order.order_id] = order
        if not order.status.final:
            self.working.setdefault(order.symbol, []).append(order)

    def _change(self, line: Line) -> None:
        order = self.orders[line["id"]]
        order.quantity, order.order_type = line["quantity"], OrderType(line["type"])
        order.price, order.trigger = line["price"], line["trigger"]
        order.limit, order.met, order.taker = 0, False, False
        order.active_ns = line["active"]
        order.modifications += 1
        order.updated_ns = line["ts"]
        self._set(order, OrderStatus(line["status"]))

    def _work(self, line: Line) -> None:
        """A market order met its first price, or a stop was triggered: a limit from here on."""
        order = self.orders[line["id"]]
        order.limit, order.met, order.taker = line["limit"], True, True
        order.updated_ns = line["ts"]
        self._set(order, OrderStatus.OPEN)

    def _end(self, line: Line) -> None:
        order = self.orders[line["id"]]
        order.reason, order.updated_ns = line["reason"], line["ts"]
        self._set(order, OrderStatus(line["status"]))

    def _fill(self, line: Line) -> None:
        order = self.orders[line["id"]]
        quantity, price = line["quantity"], line["price"]
        self.fill_count += 1
        self.fills.append(
            BrokerFill(line["trade"], order.order_id, order.symbol, order.side, quantity, price, line["ts"])
        )
        order.filled += quantity
        order.value += quantity * price
        order.charged += line["charge"]
        order.updated_ns = line["ts"]
        self.cash -= int(order.side) * quantity * price + line["charge"]
        self.positions.setdefault((order.symbol, order.product), _Held()).trade(int(order.side), quantity, price)
        if order.left == 0:
            self._set(order, OrderStatus.COMPLETE)

    def _gtt(self, line: Line) -> None:
        self.gtt_count += line["new"]
        legs = tuple(GttLeg(leg["trigger"], leg["price"], leg["order"], leg["reason"]) for leg in line["legs"])
        self.gtts[line["id"]] = Gtt(
            line["id"], line["symbol"], Side(line["side"]), line["quantity"], Product(line["product"]), legs,
            GttStatus(line["status"]), line["created"],
        )  # fmt: skip

    def _set(self, order: PaperOrder, status: OrderStatus) -> None:
        order.status = status
        if status.final:
            self.working[order.symbol].remove(order)

    # --- sums -----------------------------------------------------------------------------------------

    def net(self) -> list[BrokerPosition]:
        """Positions as the broker shows them, also those that are flat again."""
        return [
            BrokerPosition(symbol, product, held.quantity, held.average)
            for (symbol, product), held in sorted(self.positions.items())
        ]

    def held(self) -> list[Holding]:
        return [Holding(s, h.quantity, h.average) for s, h in sorted(self.holdings.items()) if h.quantity]

    def free_quantity(self, symbol: str, product: Product, side: Side) -> int:
        """What an order of this side would close: open quantity of the other side."""
        held = self.positions.get((symbol, product))
        quantity = held.quantity if held else 0
        if product is Product.CNC and symbol in self.holdings:
            quantity += self.holdings[symbol].quantity
        return max(0, -int(side) * quantity)


_APPLY = {
    "day": Account._day,
    "order": Account._order,
    "change": Account._change,
    "work": Account._work,
    "end": Account._end,
    "fill": Account._fill,
    "gtt": Account._gtt,
}
