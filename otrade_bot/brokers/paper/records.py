"""What the paper book holds: orders, GTTs, positions, and what is known of each symbol's market."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from otrade_bot.core.model import (
    BrokerOrder,
    Gtt,
    GttLeg,
    GttStatus,
    OrderStatus,
    OrderType,
    Product,
    Side,
)
from otrade_bot.core.money import Paise

__all__ = ["STOPS", "WORDS", "Desk", "Lot", "PaperGtt", "PaperOrder"]

STOPS = frozenset({OrderType.SL, OrderType.SL_M})

#: Kite's words for the states that an order can have here.
WORDS = {
    OrderStatus.OPEN: "OPEN",
    OrderStatus.TRIGGER_PENDING: "TRIGGER PENDING",
    OrderStatus.COMPLETE: "COMPLETE",
    OrderStatus.CANCELLED: "CANCELLED",
    OrderStatus.REJECTED: "REJECTED",
}


@dataclass(slots=True)
class PaperOrder:
    """One order of the day. ``taker`` is None until the order first meets a price."""

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
    status: OrderStatus
    reason: str
    placed_ns: int
    ready_ns: int  #: meets no price before this moment
    updated_ns: int
    opening: int  #: the part of the quantity that opens exposure, hence needs margin
    reference: Paise  #: the price at which that margin is reckoned
    filled: int = 0
    value: Paise = 0
    charged: Paise = 0
    modifications: int = 0
    triggered: bool = False
    taker: bool | None = None

    @classmethod
    def parse(cls, line: dict[str, Any]) -> Self:
        """From the fields of a book line."""
        return cls(
            **{
                **line,
                "side": Side(line["side"]),
                "product": Product(line["product"]),
                "order_type": OrderType(line["order_type"]),
                "status": OrderStatus(line["status"]),
            }
        )

    @property
    def left(self) -> int:
        return self.quantity - self.filled

    @property
    def waits(self) -> bool:
        """A stop that has not gone off."""
        return self.order_type in STOPS

    @property
    def reserved(self) -> Paise:
        """Value for which margin is held, before leverage."""
        return min(self.opening, self.left) * self.reference

    def row(self) -> BrokerOrder:
        """As the order book shows it."""
        return BrokerOrder(
            order_id=self.order_id, symbol=self.symbol, side=self.side, quantity=self.quantity,
            product=self.product, order_type=self.order_type, status=self.status,
            status_word=WORDS[self.status], filled=self.filled, value=self.value, price=self.price,
            trigger=self.trigger, tag=self.tag, placed_ns=self.placed_ns, updated_ns=self.updated_ns,
            reason=self.reason, modifications=self.modifications,
        )  # fmt: skip


@dataclass(slots=True)
class PaperGtt:
    """A good-till-triggered order. ``last`` is the price at which it was set: it tells each leg's way."""

    gtt_id: str
    symbol: str
    side: Side
    quantity: int
    product: Product
    legs: tuple[GttLeg, ...]
    last: Paise
    created_ns: int
    ready_ns: int
    status: GttStatus = GttStatus.ACTIVE
    ended_ns: int = 0

    @classmethod
    def parse(cls, line: dict[str, Any]) -> Self:
        """From the fields of a book line; legs are [trigger, price] pairs."""
        return cls(
            **{
                **line,
                "side": Side(line["side"]),
                "product": Product(line["product"]),
                "legs": tuple(GttLeg(trigger, price) for trigger, price in line["legs"]),
            }
        )

    def reached(self, ltp: Paise) -> int:
        """Index of the leg whose trigger the LTP has reached or crossed, -1 for none."""
        for k, leg in enumerate(self.legs):
            if ltp >= leg.trigger if leg.trigger > self.last else ltp <= leg.trigger:
                return k
        return -1

    def row(self) -> Gtt:
        """As the list of GTTs shows it."""
        return Gtt(
            self.gtt_id, self.symbol, self.side, self.quantity, self.product, self.legs, self.status,
            self.created_ns,
        )  # fmt: skip


@dataclass(slots=True)
class Lot:
    """A net quantity, signed, and what its open side cost: whole paise, never negative."""

    quantity: int = 0
    cost: Paise = 0

    @property
    def signed_cost(self) -> Paise:
        return self.cost if self.quantity > 0 else -self.cost

    @property
    def average(self) -> Paise:
        """Of the open side, half up to a paisa."""
        size = abs(self.quantity)
        return (2 * self.cost + size) // (2 * size) if size else 0

    def trade(self, side: int, quantity: int, value: Paise) -> Paise:
        """Take in a trade of ``value`` paise; what it closes realises this gain (average cost)."""
        size = abs(self.quantity)
        closing = min(quantity, size) if self.quantity * side < 0 else 0
        released = self.cost * closing // size if closing else 0
        proceeds = value * closing // quantity
        gain = (proceeds - released) * (1 if self.quantity > 0 else -1)
        self.cost += value - proceeds - released
        self.quantity += side * quantity
        return gain


@dataclass(slots=True)
class Desk:
    """One symbol: the market as last seen, and the orders that wait for its next price."""

    ts: int = 0
    price: Paise = 0
    volume: int = 0  #: of the day so far
    available: int = 0  #: what of the traded volume our orders may still take
    base: Paise = 0  #: previous close, else the day's first price
    live: bool = False  #: a price has come today, in this process
    seen: int = 0  #: moment of the newest price in the engine's table that is known here
    orders: list[PaperOrder] = field(default_factory=list)
    gtts: list[PaperGtt] = field(default_factory=list)

    def mark(self) -> list[int]:
        """For a book line."""
        return [self.ts, self.price, self.volume, self.available, self.base]

    def restore(self, mark: list[int]) -> None:
        """From a book line."""
        self.ts, self.price, self.volume, self.available, self.base = mark
