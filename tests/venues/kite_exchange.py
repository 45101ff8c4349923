"""A small exchange in Kite's words: one price a share, any quantity or a bounded one, rows as Kite writes them.

Money in paise inside. Every change of an order goes to ``on_update`` as the body that Kite's order stream and
postbacks carry. Raises ``Rejection`` for what Kite refuses outright.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from otrade_bot.core.clock import SECOND, Clock, from_iso, to_ist

Row = dict[str, Any]
FINAL = ("COMPLETE", "CANCELLED", "REJECTED")
ARRIVAL = ("PUT ORDER REQ RECEIVED", "VALIDATION PENDING", "OPEN PENDING")
STOPS = ("SL", "SL-M")
PRICED = ("LIMIT", "SL")
USER = "AB1234"


class Rejection(Exception):  # noqa: N818
    """What Kite answers in its form of a no."""

    def __init__(self, error_type: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.error_type, self.message, self.status = error_type, message, status


@dataclass(frozen=True)
class Share:
    """One instrument."""

    exchange: str
    tradingsymbol: str
    token: int
    tick: int = 5
    lot: int = 1
    kind: str = "EQ"
    segment: str = "NSE"
    name: str = ""

    @cached_property
    def key(self) -> str:
        return f"{self.exchange}:{self.tradingsymbol}"


@dataclass(eq=False)
class Order:
    """One order and every state it was in."""

    order_id: str
    share: Share
    side: int
    quantity: int
    product: str
    order_type: str
    price: int
    trigger: int
    protection: float
    tag: str
    variety: str
    placed: str
    status: str = ARRIVAL[0]
    updated: str = ""
    message: str = ""
    fills: list[tuple[str, int, int, str]] = field(default_factory=list)  #: trade id, quantity, price, time
    modifications: int = 0
    limit: int = 0  #: where a market order may not go beyond; 0 before it has met a price
    cancelled: int = 0
    meta: Row = field(default_factory=dict)
    history: list[Row] = field(default_factory=list)
    hidden: bool = False
    due: int = 0  #: ns UTC from which the book shows it

    @property
    def filled(self) -> int:
        return sum(quantity for _, quantity, _, _ in self.fills)

    @property
    def value(self) -> int:
        return sum(quantity * price for _, quantity, price, _ in self.fills)

    @property
    def left(self) -> int:
        return self.quantity - self.filled

    @property
    def works(self) -> bool:
        return self.status in ("OPEN", "TRIGGER PENDING")

    def row(self) -> Row:
        """As the order book has it."""
        number = int(self.order_id)
        final = self.status in FINAL
        row: Row = {
            "placed_by": USER, "order_id": self.order_id,
            "exchange_order_id": None if self.status in ("REJECTED", *ARRIVAL) else str(1_100_000_000_000_000 + number),
            "parent_order_id": None, "status": self.status,
            "status_message": self.message or None, "status_message_raw": self.message or None,
            "order_timestamp": self.updated, "exchange_update_timestamp": self.updated,
            "exchange_timestamp": self.placed, "variety": self.variety, "modified": self.modifications > 0,
            "exchange": self.share.exchange, "tradingsymbol": self.share.tradingsymbol,
            "instrument_token": self.share.token, "order_type": self.order_type,
            "transaction_type": "BUY" if self.side > 0 else "SELL", "validity": "DAY", "product": self.product,
            "quantity": self.quantity, "disclosed_quantity": 0, "price": rupees(self.price),
            "trigger_price": rupees(self.trigger),
            "average_price": round(self.value / self.filled / 100, 4) if self.filled else 0,
            "filled_quantity": self.filled, "pending_quantity": 0 if final else self.left,
            "cancelled_quantity": self.cancelled, "market_protection": self.protection, "meta": self.meta,
            "tag": self.tag or None, "guid": "XXXXXX",
        }  # fmt: skip
        return {**row, "tags": [self.tag]} if self.tag else row

    def update(self, status: str = "") -> Row:
        """As the order stream and postbacks tell it."""
        row = self.row()
        del row["modified"]
        row.pop("tags", None)
        extra = {"user_id": USER, "unfilled_quantity": row["pending_quantity"], "app_id": 1234, "checksum": ""}
        return {**extra, **row, "status": status or self.status}

    def trades(self) -> list[Row]:
        row = self.row()
        same = ("order_id", "exchange", "tradingsymbol", "instrument_token", "product", "exchange_order_id")
        return [
            {
                "trade_id": trade, **{key: row[key] for key in same}, "average_price": rupees(price),
                "quantity": quantity, "transaction_type": row["transaction_type"], "fill_timestamp": at,
                "order_timestamp": at[11:], "exchange_timestamp": at,
            }
            for trade, quantity, price, at in self.fills
        ]  # fmt: skip


def rupees(paise: int) -> int | float:
    """JSON as Kite writes it: whole rupees without a fraction."""
    return paise // 100 if paise % 100 == 0 else paise / 100


class Exchange:
    """The book of one account. Without a clock it is 10:00 IST, a second later at each look."""

    modification_limit = 25

    def __init__(self, shares: list[Share], cash: int = 10_000_000_00, clock: Clock | None = None) -> None:
        self.clock = clock
        self.shares = {share.key: share for share in shares}
        self.cash = cash
        self.prices: dict[str, int] = {}
        self.orders: dict[str, Order] = {}
        self._live: dict[str, dict[str, Order]] = {}  #: by share, those that have not ended
        self.holdings: dict[str, tuple[int, int]] = {}  #: symbol -> quantity, average
        self.coming: dict[str, int] = {}  #: of the holdings: not delivered yet (T1)
        self.on_update: Callable[[Row], None] = lambda row: None
        self.hold = ""  #: new orders stop at this interim word until ``release``
        self.late = False  #: new orders are missing in the book until ``reveal``
        self.late_s = 0  #: new orders are missing in the book for so long, by the clock
        self.thin: int | None = None  #: what the next new order finds at the price; None: all that it wants
        self.refuse: Callable[[Order], str] = lambda order: ""  #: why a new order ends rejected, '' where it does not
        self._moment = datetime(2026, 11, 20, 10)  # noqa: DTZ001 - India's wall clock, as Kite writes it
        self._trades = self._ids = 0

    def now(self) -> str:
        """India's wall clock."""
        if self.clock is not None:
            return to_ist(self.clock.now_ns()).strftime("%Y-%m-%d %H:%M:%S")
        self._moment += timedelta(seconds=1)
        return self._moment.isoformat(" ")

    def seconds(self) -> int:
        """UNIX time."""
        return from_iso(self.now()) // SECOND

    # --- writes ---
    def place(self, order: Order) -> str:
        """Take an order in; what the account cannot bear ends rejected in the book."""
        self.check(order)
        self.orders[order.order_id] = order
        self._live.setdefault(order.share.key, {})[order.order_id] = order
        order.hidden = self.late
        if self.clock is not None and self.late_s:
            order.due = self.clock.now_ns() + self.late_s * SECOND
        for word in ARRIVAL:
            self._turn(order, word, tell=False)
            if word == self.hold:
                return order.order_id
        self._arrive(order)
        return order.order_id

    def new_id(self) -> str:
        self._ids += 1
        day = self.now()[2:10].replace("-", "") if self.clock else "261120"
        return f"{day}{self._ids:09d}"

    def release(self) -> None:
        """Orders that were held at an interim word go on."""
        self.hold = ""
        for order in list(self.orders.values()):
            if order.status in ARRIVAL:
                self._arrive(order)

    def reveal(self) -> None:
        """Orders that the book did not show yet appear."""
        self.late, self.late_s = False, 0
        for order in self.orders.values():
            order.hidden, order.due = False, 0

    def shown(self) -> list[Order]:
        """What the book shows now."""
        now = self.clock.now_ns() if self.clock else 0
        return [order for order in self.orders.values() if not order.hidden and order.due <= now]

    def overnight(self) -> None:
        """The next day: the book is empty, delivery that was bought is on its way, what was sold of it is gone.

        Intraday positions are gone: the broker has squared them off.
        """
        self.arrived()
        for (key, product), (quantity, average) in self.positions().items():
            held, paid = self.holdings.get(key, (0, 0))
            if product == "CNC" and quantity:
                total = held + quantity
                value = held * paid + quantity * average
                self.holdings[key] = (total, value // total if quantity > 0 else paid)
                self.coming[key] = max(0, quantity)
                if total <= 0:
                    del self.holdings[key]
        self.orders.clear()
        self._live.clear()

    def arrived(self) -> None:
        """What was on its way is delivered."""
        self.coming.clear()

    def _arrive(self, order: Order) -> None:
        need, free = self._margin(order), self.free()
        if why := self.refuse(order):
            order.message = why
            self._turn(order, "REJECTED")
            return
        if need > free:
            order.message = (
                f"Insufficient funds. Required margin is {need / 100:.2f} but available margin is {free / 100:.2f}. "
                "Check the orderbook for open orders."
            )
            self._turn(order, "REJECTED")
            return
        self._turn(order, "TRIGGER PENDING" if order.order_type in STOPS else "OPEN", tell=False)
        thin, self.thin = self.thin, None
        self._meet(order, resting=False, available=thin)

    def modify(self, order_id: str, changes: dict[str, Any], protection: float | None) -> None:
        """Change a working order. Kite's stops keep their type once they have triggered."""
        order = self._working(order_id)
        if order.modifications >= self.modification_limit:
            raise Rejection("OrderException", "Maximum allowed order modifications exceeded.")
        wanted = {name: value for name, value in changes.items() if value is not None}
        triggered = order.status == "OPEN" and order.order_type in STOPS
        kind = wanted.setdefault("order_type", "LIMIT" if triggered else order.order_type)
        if kind in STOPS and order.status == "OPEN":
            raise Rejection("OrderException", "Order cannot be modified as it has been triggered.")
        changed = Order(**{**_terms(order), **wanted, "protection": protection or 0})
        if changed.quantity < order.filled:
            raise Rejection("InputException", "Quantity is below the filled quantity.")
        self.check(changed)
        order.quantity, order.order_type, order.price = changed.quantity, changed.order_type, changed.price
        order.trigger = changed.trigger if kind in STOPS else 0
        order.protection = changed.protection
        order.modifications += 1
        order.limit = 0
        for word in ("MODIFY VALIDATION PENDING", "MODIFY PENDING"):
            self._turn(order, word, tell=False)
        self._turn(order, "TRIGGER PENDING" if kind in STOPS else "OPEN", told="UPDATE")
        self._meet(order, resting=False)

    def cancel(self, order_id: str) -> None:
        order = self._working(order_id)
        order.cancelled = order.left
        self._turn(order, "CANCEL PENDING", tell=False)
        self._turn(order, "CANCELLED")

    def _working(self, order_id: str) -> Order:
        order = self.orders.get(order_id)
        if order is None:
            raise Rejection("OrderException", "Couldn't find that `order_id`.")
        if not order.works:
            raise Rejection("OrderException", f"Order cannot be changed as it is {order.status}.")
        return order

    # --- rules ---
    def check(self, order: Order) -> None:
        """Raises Rejection for the first thing wrong with an order, new or changed."""
        share, last = order.share, self.prices.get(order.share.key, 0)
        if order.quantity <= 0 or order.quantity % share.lot:
            raise Rejection("InputException", "Invalid `quantity`.")
        for word, value, needed in (
            ("price", order.price, order.order_type in PRICED),
            ("trigger_price", order.trigger, order.order_type in STOPS),
        ):
            if needed and (value <= 0 or value % share.tick):
                raise Rejection("InputException", f"Invalid `{word}`: tick size for this script is {share.tick / 100}.")
        if order.order_type in ("MARKET", "SL-M") and not (order.protection == -1 or 0 < order.protection <= 100):
            raise Rejection("InputException", "Market orders without market protection are not allowed via API.")
        if order.order_type in STOPS and last and order.side * (order.trigger - last) <= 0:
            side, where = ("buy", "higher") if order.side > 0 else ("sell", "lower")
            text = f"Trigger price for stoploss {side} orders should be {where} than the last traded price."
            raise Rejection("OrderException", text)
        if order.product == "CNC" and order.side < 0 and order.left > self._deliverable(order):
            raise Rejection("HoldingException", "Insufficient stock holding.")

    def _deliverable(self, order: Order) -> int:
        others = (
            other for other in self.orders.values()
            if other.order_id != order.order_id and other.works and (other.side, other.product) == (-1, "CNC")
            and other.share == order.share
        )  # fmt: skip
        held = self.holdings.get(order.share.key, (0, 0))[0]
        return held + self.net(order.share.key, "CNC")[0] - sum(other.left for other in others)

    def _margin(self, order: Order) -> int:
        have = self.net(order.share.key, order.product)[0] * order.side
        opening = max(0, order.left - max(0, -have))
        price = order.price or order.trigger or self.prices.get(order.share.key, 0)
        return 0 if order.product == "CNC" and order.side < 0 else opening * price // _leverage(order.product)

    def used(self) -> int:
        """What the positions block."""
        return sum(abs(q) * avg // _leverage(product) for (_, product), (q, avg) in self.positions().items())

    def free(self) -> int:
        return self.cash - self.used()

    # --- positions ---
    def net(self, key: str, product: str) -> tuple[int, int]:
        return self.positions().get((key, product), (0, 0))

    def positions(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Today's, flat ones as well: (symbol, product) -> signed quantity, average in paise."""
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for order in self.orders.values():
            if order.fills:
                key = (order.share.key, order.product)
                quantity, value = found.get(key, (0, 0))
                found[key] = (quantity + order.side * order.filled, value + order.side * order.value)
        return {key: (q, abs(value) // abs(q) if q else 0) for key, (q, value) in found.items()}

    # --- the market ---
    def price(self, key: str, paise: int, available: int | None = None) -> None:
        """The share trades at this price, ``available`` of it (None: any quantity)."""
        self.prices[key] = paise
        left = available
        for order in list(self._live.get(key, {}).values()):
            if order.works:
                left = self._meet(order, resting=True, available=left)

    def _meet(self, order: Order, *, resting: bool, available: int | None = None) -> int | None:
        last = self.prices.get(order.share.key, 0)
        if not last:
            return available
        if order.status == "TRIGGER PENDING":
            if order.side * (last - order.trigger) < 0:
                return available
            self._turn(order, "OPEN")
            resting = False
        if order.order_type in ("MARKET", "SL-M") and not order.limit:
            order.limit = last + order.side * max(order.share.tick, int(last * _band(order, last)))
            resting = False
        limit = order.limit or order.price
        quantity = order.left if available is None else min(order.left, available)
        if quantity and order.side * (limit - last) >= 0:
            self._fill(order, quantity, limit if resting and not order.limit else last)
            return None if available is None else available - quantity
        return available

    def _fill(self, order: Order, quantity: int, price: int) -> None:
        self._trades += 1
        order.fills.append((f"{10_000_000 + self._trades}", quantity, price, self.now()))
        if order.left:
            if order.limit:  # the rest of a market order is a limit order at its protection
                order.order_type, order.price = "LIMIT", order.limit - order.limit % order.share.tick
            self._turn(order, "OPEN", told="UPDATE")
        else:
            self._turn(order, "COMPLETE")

    def _turn(self, order: Order, status: str, *, tell: bool = True, told: str = "") -> None:
        order.status = status
        if status in FINAL:
            self._live.get(order.share.key, {}).pop(order.order_id, None)
        order.updated = self.now()
        order.history.append(order.row())
        if tell:
            self.on_update(order.update(told))


def _terms(order: Order) -> dict[str, Any]:
    names = ("order_id", "share", "side", "quantity", "product", "order_type", "price", "trigger", "tag", "variety")
    return {**{name: getattr(order, name) for name in names}, "placed": order.placed, "fills": order.fills}


def _leverage(product: str) -> int:
    return 5 if product == "MIS" else 1


def _band(order: Order, last: int) -> float:
    if order.protection > 0:
        return order.protection / 100
    return 0.02 if last < 10_000 else 0.01 if last <= 50_000 else 0.005
