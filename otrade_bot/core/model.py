"""Instruments, orders and what brokers say of them. Immutable; prices in paise, times in ns UTC."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum

from otrade_bot.core.money import Paise

__all__ = [
    "Accepted",
    "Block",
    "BrokerFill",
    "BrokerOrder",
    "BrokerPosition",
    "ExitReason",
    "Funds",
    "Gtt",
    "GttLeg",
    "GttRequest",
    "GttStatus",
    "Holding",
    "Instrument",
    "InstrumentKind",
    "Leg",
    "OrderRequest",
    "OrderStatus",
    "OrderType",
    "Outcome",
    "Product",
    "Refused",
    "Side",
    "Unknown",
]


class Side(IntEnum):
    """+1 and -1, so that ``side * quantity`` is the signed change of a position."""

    BUY = 1
    SELL = -1

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class Product(StrEnum):
    MIS = "MIS"  #: intraday, squared off the same day
    CNC = "CNC"  #: delivery
    NRML = "NRML"  #: carried-forward derivatives

    @property
    def intraday(self) -> bool:
        return self is Product.MIS


class OrderType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    SL = "SL"
    SL_M = "SL-M"


class InstrumentKind(StrEnum):
    EQUITY = "equity"
    FUTURE = "future"
    OPTION = "option"
    INDEX = "index"


class Leg(StrEnum):
    """Which side of a rung an order serves."""

    ENTRY = "entry"
    EXIT = "exit"


class ExitReason(StrEnum):
    STOP = "stop"
    TARGET = "target"
    SIGNAL = "signal"
    SQUARE_OFF = "square_off"
    DAILY_LOSS = "daily_loss"
    FLATTEN = "flatten"
    COMMAND = "command"  #: a human closed it, or this part of it
    OUTSIDE = "outside"  #: not by this program: by hand, or by the broker


@dataclass(frozen=True, slots=True)
class Instrument:
    """What is traded. ``symbol`` is ``EXCHANGE:TRADINGSYMBOL`` and the name everywhere outside brokers."""

    symbol: str
    token: int
    kind: InstrumentKind = InstrumentKind.EQUITY
    tick: Paise = 5  #: tick size in paise
    lot: int = 1
    freeze: int = 0  #: largest quantity of one order, 0 = no limit known
    closing_auction: bool = False  #: continuous trading stops at 15:15 since 3 Aug 2026
    name: str = ""

    @property
    def exchange(self) -> str:
        return self.symbol.partition(":")[0]

    @property
    def tradingsymbol(self) -> str:
        return self.symbol.partition(":")[2]

    @property
    def tradable(self) -> bool:
        return self.kind is not InstrumentKind.INDEX


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """One write. ``tag`` is ours, unique for the day, registered before the request leaves."""

    tag: str
    instrument: Instrument
    side: Side
    quantity: int
    product: Product
    order_type: OrderType
    price: Paise = 0  #: limit price; 0 where the type has none
    trigger: Paise = 0  #: trigger price; 0 where the type has none
    protection: float = -1.0  #: market protection in percent, -1 = automatic; MARKET and SL-M only
    reduces: bool = False  #: it can only make a position smaller: budgets keep room for it


class OrderStatus(StrEnum):
    """Our words for an order's life. See ``trading.orders`` for the table of legal changes."""

    PENDING = "pending"  #: registered with us, the write has not been answered
    OPEN = "open"  #: the broker has it, on its way to or resting in the book
    TRIGGER_PENDING = "trigger_pending"  #: a stop that waits for its trigger
    COMPLETE = "complete"
    CANCELLED = "cancelled"  #: final; may hold a partial fill
    REJECTED = "rejected"  #: final; may hold a partial fill

    @property
    def final(self) -> bool:
        return self in _FINAL


_FINAL = frozenset({OrderStatus.COMPLETE, OrderStatus.CANCELLED, OrderStatus.REJECTED})


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """One row of the broker's order book, or one update about it. Quantities are cumulative."""

    order_id: str
    symbol: str
    side: Side
    quantity: int
    product: Product
    order_type: OrderType
    status: OrderStatus
    status_word: str  #: the broker's own word, kept for humans
    filled: int = 0
    value: Paise = 0  #: sum of quantity × price over the fills
    price: Paise = 0
    trigger: Paise = 0
    tag: str = ""
    placed_ns: int = 0
    updated_ns: int = 0
    reason: str = ""  #: why it was rejected or cancelled, in the broker's words
    modifications: int = 0
    strange: bool = False  #: nobody knows its word: it counts as working, and a human is told


@dataclass(frozen=True, slots=True)
class BrokerFill:
    """One trade in the broker's trade book."""

    trade_id: str
    order_id: str
    symbol: str
    side: Side
    quantity: int
    price: Paise
    ts_ns: int


@dataclass(frozen=True, slots=True)
class BrokerPosition:
    """Net position by symbol and product, as the broker has it. ``quantity`` is signed."""

    symbol: str
    product: Product
    quantity: int
    average: Paise
    ltp: Paise = 0


@dataclass(frozen=True, slots=True)
class Holding:
    """Delivered shares."""

    symbol: str
    quantity: int
    average: Paise


@dataclass(frozen=True, slots=True)
class Funds:
    available: Paise
    used: Paise


class GttStatus(StrEnum):
    ACTIVE = "active"
    TRIGGERED = "triggered"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class GttLeg:
    """One leg: when the LTP reaches ``trigger`` a LIMIT order at ``price`` is placed."""

    trigger: Paise
    price: Paise
    order_id: str = ""  #: the order that the trigger placed, once it has
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GttRequest:
    """A good-till-triggered order: one leg (single) or two (OCO: stop first, target second)."""

    instrument: Instrument
    side: Side
    quantity: int
    product: Product
    legs: tuple[GttLeg, ...]
    last_price: Paise


@dataclass(frozen=True, slots=True)
class Gtt:
    gtt_id: str
    symbol: str
    side: Side
    quantity: int
    product: Product
    legs: tuple[GttLeg, ...]
    status: GttStatus
    created_ns: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """The broker has taken the write."""

    order_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker (or the gate) will certainly not act on the write."""

    reason: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows yet whether the write took effect. Never re-sent; the book is asked."""

    cause: str


Outcome = Accepted | Refused | Unknown


class Block(Enum):
    """Why entries are blocked. Exits never are."""

    PAUSED = "paused by command"
    ERROR = "a critical error"
    RECOVERY = "comparison with the broker not clean yet"
    FLATTEN = "flatten in progress"
    STALE = "prices are stale"
    TOKEN = "broker token missing or expired"  # noqa: S105
    STOPPING = "the service is stopping"
