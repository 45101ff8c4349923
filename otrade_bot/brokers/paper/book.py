"""The account as a fold over the lines of ``paper.jsonl``: nothing changes but by ``apply``.

A running broker appends a line, durable, and applies it; a restarted one applies the same lines. So both
hold the same account by construction, and a kill at any instant loses nothing that was told to anyone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from otrade_bot.brokers.paper.records import Desk, Lot, PaperGtt, PaperOrder
from otrade_bot.core.clock import DAY
from otrade_bot.core.errors import JournalException
from otrade_bot.core.jsonlines import LineLog
from otrade_bot.core.model import (
    BrokerFill,
    GttLeg,
    GttStatus,
    OrderStatus,
    OrderType,
    Product,
)
from otrade_bot.core.money import Paise

__all__ = ["Book", "Line"]

Line = dict[str, Any]
VERSION = 1
_GTT_KEPT = 7 * DAY  # a list shows ended GTTs for a week


class Book:
    """Cash in paise, positions by (symbol, product), holdings by symbol, today's orders and fills, GTTs.

    ``cash`` moves by every fill's full value, whatever the margin; what may be spent is ``account``'s.
    Always: cash + signed cost of positions + cost of holdings = opening + realised - charges.
    """

    def __init__(self) -> None:
        self.opening: Paise = 0
        self.cash: Paise = 0
        self.realised: Paise = 0
        self.charges: Paise = 0
        self.day: date | None = None
        self.first_day: date | None = None  #: on which the account began
        self.order_count = self.trade_count = self.gtt_count = 0
        self.orders: dict[str, PaperOrder] = {}
        self.working: dict[str, PaperOrder] = {}
        self.fills: list[BrokerFill] = []
        self.positions: dict[tuple[str, Product], Lot] = {}
        self.holdings: dict[str, Lot] = {}
        self.gtts: dict[str, PaperGtt] = {}
        self.desks: dict[str, Desk] = {}
        self.lines = 0
        self.fresh: Callable[[str, Desk], None] | None = None  #: brings a desk up to the newest price
        self._kinds: dict[str, Callable[[Line], None]] = {
            "open": self._open, "day": self._day, "order": self._order, "modify": self._modify,
            "cancel": self._cancel, "trigger": self._trigger, "met": self._met, "fill": self._fill,
            "gtt": self._gtt, "gtt_modify": self._gtt_modify, "gtt_cancel": self._gtt_cancel,
            "gtt_trigger": self._gtt_trigger,
        }  # fmt: skip

    @classmethod
    def read(cls, path: Path) -> Book:
        """Rebuild from a file; it is neither locked nor changed. Raises JournalException with file:line."""
        book = cls()
        for number, line in enumerate(LineLog.read(path), start=1):
            try:
                book.apply(line)
            except (KeyError, ValueError, TypeError) as error:
                raise JournalException(f"{path}:{number}: not a line of a paper book: {error!r}") from error
        return book

    def apply(self, line: Line) -> None:
        """Take one line in."""
        self._kinds[line["k"]](line)
        self.lines += 1

    def desk(self, symbol: str) -> Desk:
        """The symbol's desk, made at first use."""
        desk = self.desks.get(symbol)
        if desk is None:
            desk = self.desks[symbol] = Desk()
        if self.fresh is not None:
            self.fresh(symbol, desk)
        return desk

    def net(self, symbol: str, product: Product) -> int:
        """Signed quantity of a position."""
        lot = self.positions.get((symbol, product))
        return lot.quantity if lot else 0

    def holding(self, symbol: str) -> int:
        """Delivered quantity."""
        lot = self.holdings.get(symbol)
        return lot.quantity if lot else 0

    def state(self) -> dict[str, Any]:
        """All that a restart must find again: everything but the market's last words."""
        return {
            "money": (self.opening, self.cash, self.realised, self.charges),
            "day": self.day,
            "counts": (self.order_count, self.trade_count, self.gtt_count, self.lines),
            "orders": {key: replace(order) for key, order in self.orders.items()},
            "working": list(self.working),
            "queues": {s: [o.order_id for o in d.orders] for s, d in self.desks.items() if d.orders},
            "alerts": {s: [g.gtt_id for g in d.gtts] for s, d in self.desks.items() if d.gtts},
            "fills": list(self.fills),
            "positions": {key: (lot.quantity, lot.cost) for key, lot in self.positions.items()},
            "holdings": {key: (lot.quantity, lot.cost) for key, lot in self.holdings.items()},
            "gtts": {key: replace(gtt) for key, gtt in self.gtts.items()},
        }

    # --- one method a kind of line ---
    def _open(self, line: Line) -> None:
        if line["version"] != VERSION:
            raise ValueError(f"version {line['version']}, this program writes {VERSION}")
        self.opening = self.cash = line["cash"]

    def _order(self, line: Line) -> None:
        order = PaperOrder.parse(line["order"])
        desk = self.desk(order.symbol)
        self.order_count += 1
        self.orders[order.order_id] = order
        desk.restore(line["mark"])
        if not order.status.final:
            self.working[order.order_id] = order
            desk.orders.append(order)

    def _modify(self, line: Line) -> None:
        order = self.orders[line["id"]]
        for name in ("quantity", "price", "trigger", "opening", "reference", "ready_ns"):
            setattr(order, name, line[name])
        order.order_type = OrderType(line["order_type"])
        order.taker = None
        order.modifications += 1
        self._status(order, OrderStatus(line["status"]), line["ts"])

    def _cancel(self, line: Line) -> None:
        order = self.orders[line["id"]]
        order.reason = line["reason"]
        self._status(order, OrderStatus.CANCELLED, line["ts"])

    def _trigger(self, line: Line) -> None:
        """A stop goes off: from now on a limit order."""
        order = self.orders[line["id"]]
        order.order_type, order.price, order.taker = OrderType.LIMIT, line["price"], line["taker"]
        order.triggered = True
        self._status(order, OrderStatus.OPEN, line["ts"])

    def _met(self, line: Line) -> None:
        """An order has met its first price: taker or not; a market order has got its limit."""
        order = self.orders[line["id"]]
        order.order_type, order.price, order.taker = OrderType.LIMIT, line["price"], line["taker"]
        self._status(order, order.status, line["ts"])

    def _fill(self, line: Line) -> None:
        order = self.orders[line["id"]]
        quantity, price, charge = line["quantity"], line["price"], line["charge"]
        value = quantity * price
        order.filled += quantity
        order.value += value
        order.charged += charge
        self.trade_count += 1
        self.charges += charge
        self.cash -= order.side * value + charge
        lot = self.positions.setdefault((order.symbol, order.product), Lot())
        self.realised += lot.trade(order.side, quantity, value)
        self.fills.append(
            BrokerFill(line["trade"], order.order_id, order.symbol, order.side, quantity, price, line["ts"])
        )
        self.desk(order.symbol).restore(line["mark"])
        self._status(order, OrderStatus.COMPLETE if order.left == 0 else order.status, line["ts"])

    def _status(self, order: PaperOrder, status: OrderStatus, ts: int) -> None:
        order.status = status
        order.updated_ns = max(order.updated_ns, ts)
        if status.final and self.working.pop(order.order_id, None) is not None:
            self.desk(order.symbol).orders.remove(order)

    def _gtt(self, line: Line) -> None:
        gtt = PaperGtt.parse(line["gtt"])
        self.gtt_count += 1
        self.gtts[gtt.gtt_id] = gtt
        self.desk(gtt.symbol).gtts.append(gtt)

    def _gtt_modify(self, line: Line) -> None:
        new = PaperGtt.parse(line["gtt"])
        gtt = self.gtts[new.gtt_id]
        gtt.side, gtt.quantity, gtt.product = new.side, new.quantity, new.product
        gtt.legs, gtt.last, gtt.ready_ns = new.legs, new.last, new.ready_ns

    def _gtt_cancel(self, line: Line) -> None:
        self._gtt_end(self.gtts[line["id"]], GttStatus.DELETED, line["ts"])

    def _gtt_trigger(self, line: Line) -> None:
        """The leg and the order that it places stand in one line: neither can exist without the other."""
        gtt = self.gtts[line["id"]]
        order = line.get("order")
        k = line["leg"]
        leg = gtt.legs[k]
        done = GttLeg(leg.trigger, leg.price, order["order_id"] if order else "", line["reason"])
        gtt.legs = (*gtt.legs[:k], done, *gtt.legs[k + 1 :])
        self._gtt_end(gtt, GttStatus.TRIGGERED, line["ts"])
        if order:
            self._order(line)

    def _gtt_end(self, gtt: PaperGtt, status: GttStatus, ts: int) -> None:
        gtt.status, gtt.ended_ns = status, ts
        self.desk(gtt.symbol).gtts.remove(gtt)

    def _day(self, line: Line) -> None:
        """A new day: yesterday's orders are forgotten, delivery becomes holdings, closes become bases."""
        self.day = date.fromisoformat(line["day"])
        self.first_day = self.first_day or self.day
        self.orders, self.working, self.fills = {}, {}, []
        for desk in self.desks.values():
            desk.orders.clear()
            desk.restore([0, 0, 0, 0, 0])
            desk.live = False
        for symbol, close in line["closes"].items():
            self.desk(symbol).restore([0, close, 0, 0, close])
        for (symbol, product), lot in list(self.positions.items()):
            if product is Product.CNC:
                self._deliver(symbol, lot)
            if product is Product.CNC or lot.quantity == 0:
                del self.positions[symbol, product]
        self.gtts = {key: gtt for key, gtt in self.gtts.items() if not _old(gtt, line["ts"])}

    def _deliver(self, symbol: str, lot: Lot) -> None:
        """Move a delivery position of the day into the holdings."""
        if lot.quantity == 0:
            return
        held = self.holdings.setdefault(symbol, Lot())
        self.realised += held.trade(1 if lot.quantity > 0 else -1, abs(lot.quantity), lot.cost)
        if held.quantity == 0:
            del self.holdings[symbol]


def _old(gtt: PaperGtt, ts: int) -> bool:
    return gtt.status is not GttStatus.ACTIVE and ts - gtt.ended_ns > _GTT_KEPT
