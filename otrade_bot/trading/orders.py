"""Orders as we know them, and the table of what may become of one.

A report from the broker may come twice, late, out of order or before the answer to the place request.
So quantities merge as a maximum, a final state is never left for a working one, and a fill is always
believed: "cancelled, then filled" happens at real exchanges.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from functools import lru_cache

from otrade_bot.core.errors import ConfigException
from otrade_bot.core.model import BrokerOrder, Instrument, Leg, OrderRequest, OrderStatus, OrderType, Side
from otrade_bot.core.money import Paise

__all__ = ["OUTSIDE", "TAG_LIMIT", "TRANSITIONS", "Order", "OrderBook", "TagParts", "Tags", "fits", "merge"]

#: Begins the name that an exit of somebody else's gets in our own book.
OUTSIDE = "OUT"
S = OrderStatus
_WORKING = (S.PENDING, S.OPEN, S.TRIGGER_PENDING)
_FINAL = (S.COMPLETE, S.CANCELLED, S.REJECTED)
#: Among reports of one moment, the later one.
_PROGRESS = {S.PENDING: 0, S.TRIGGER_PENDING: 1, S.OPEN: 2, S.REJECTED: 3, S.CANCELLED: 4, S.COMPLETE: 5}

NOTHING_HEARD = (0, 0, 0, 0)
#: What a modification asks for: quantity, type, price, trigger; None: as it was.
Change = tuple[int, OrderType | None, Paise | None, Paise | None]

#: (what we have, what the broker reports) -> what we have then. Total over every pair.
TRANSITIONS: dict[tuple[OrderStatus, OrderStatus], OrderStatus] = {
    **{(have, told): told for have in _WORKING for told in (*_FINAL, S.OPEN, S.TRIGGER_PENDING)},
    **{(have, S.PENDING): have for have in (*_WORKING, *_FINAL)},
    **{(have, told): have for have in _FINAL for told in (S.OPEN, S.TRIGGER_PENDING)},
    **{(S.COMPLETE, told): S.COMPLETE for told in _FINAL},
    (S.CANCELLED, S.COMPLETE): S.COMPLETE,  # the fill won the race against the cancel
    (S.CANCELLED, S.CANCELLED): S.CANCELLED,
    (S.CANCELLED, S.REJECTED): S.CANCELLED,
    (S.REJECTED, S.COMPLETE): S.COMPLETE,
    (S.REJECTED, S.CANCELLED): S.CANCELLED,
    (S.REJECTED, S.REJECTED): S.REJECTED,
}


@dataclass(slots=True)
class Order:
    """One order of ours, from registration to its last report."""

    tag: str
    row: int
    leg: Leg
    rung: int  #: 0, 1, 2
    cycle: int
    request: OrderRequest
    quantity: int
    order_type: OrderType
    price: Paise
    trigger: Paise
    placed_ns: int
    order_id: str = ""
    status: OrderStatus = S.PENDING
    filled: int = 0
    value: Paise = 0
    updated_ns: int = 0
    changed_ns: int = 0  #: when we last changed it
    modifications: int = 0
    writing: str = ""  #: "place", "modify" or "cancel" while that write is unanswered
    asked: int = 0  #: total quantity that an unanswered (or doubtful) modification asks for
    change: Change | None = None  #: what it asks for
    was: int = 0  #: quantity before a reduction that was accepted, until a report shows that it is there
    was_stamp: tuple[int, int, int, int] = NOTHING_HEARD  #: of the newest report when it was accepted
    cancelling: bool = False  #: we have asked for its end
    retry_ns: int = 0  #: no further write about it before this moment
    answered_ns: int = 0  #: when the last write about it was answered
    contradicted: bool = False  #: a change was refused because the order is not as we think
    refusals: int = 0  #: of changing it, in a row
    barred: Paise = 0  #: a trigger that the broker does not take, and since when: it stays where it rests
    barred_ns: int = 0
    over: bool = False  #: it has ended, though the broker's book does not show it yet
    forced: bool = False  #: a human demanded it beside one in doubt
    part: bool = False  #: it takes a part of the rung out by command; the stop beside it is for the rest
    recalled: bool = False  #: such a part is not wanted any more: it is taken back
    booked: int = 0  #: of such a part: what of it is in a trade already
    booked_value: Paise = 0
    unknown: str = ""  #: cause, while nobody knows how the last write ended
    doubt: str = ""  #: which write that was: "place", "modify" or "cancel"
    unknown_ns: int = 0
    absent_reads: int = 0  #: complete reads of the book in which an unknown placement was missing
    absent_ns: int = 0  #: the first of them
    reason: str = ""
    decided_ns: int = 0  #: when it was begun to send it
    left_ns: int = 0  #: when its request left
    accepted_ns: int = 0  #: when the broker's yes was here
    stamp: tuple[int, int, int, int] = NOTHING_HEARD  #: of the newest report: several may bear one time

    @property
    def instrument(self) -> Instrument:
        return self.request.instrument

    @property
    def side(self) -> Side:
        return self.request.side

    @property
    def outside(self) -> bool:
        """Somebody else's exit, taken into our book: its name is longer than any tag that leaves."""
        return self.tag.startswith(OUTSIDE) and len(self.tag) > TAG_LIMIT

    @property
    def took_us(self) -> tuple[int, int] | None:
        """Microseconds from the decision to the request's leaving, and from there to the yes; None before it."""
        if not self.accepted_ns or not self.decided_ns:
            return None
        left = self.left_ns or self.decided_ns
        return max(0, left - self.decided_ns) // 1000, max(0, self.accepted_ns - left) // 1000

    @property
    def live(self) -> bool:
        """It may still fill: not final, or nobody knows."""
        return not self.status.final or bool(self.unknown)

    @property
    def presumed(self) -> bool:
        """Its end is our own conclusion: the broker has said nothing of it yet, and is believed when it does."""
        return self.status is S.REJECTED and self.stamp == NOTHING_HEARD

    @property
    def idle(self) -> bool:
        """It may be modified or cancelled now: the broker has it and no write about it is open."""
        return not self.status.final and bool(self.order_id) and not self.writing and not self.unknown

    def ready(self, now: int) -> bool:
        """Idle, and no write about it was refused or accepted a moment ago."""
        return self.idle and now >= self.retry_ns

    @property
    def changed(self) -> bool:
        """It is as the unanswered modification wants it."""
        return self.change is not None and fits(self.change, self)

    def take_change(self, *, unseen: bool = False) -> None:
        """The broker has accepted the last modification. ``unseen``: it has answered so, and reported nothing yet; the
        exchange may still keep the order as it was."""
        if self.change is None:
            return
        quantity, kind, price, trigger = self.change
        if unseen and quantity < self.quantity:
            self.was, self.was_stamp = max(self.was, self.quantity), self.stamp
        self.quantity = max(quantity, self.filled)
        self.order_type = kind or self.order_type
        self.price = self.price if price is None else price
        self.trigger = self.trigger if trigger is None else trigger
        self.change = None

    @property
    def left(self) -> int:
        """What may still fill, counting an unanswered growth as granted, and a reduction when it has been seen."""
        return max(self.quantity, self.asked, self.was) - self.filled if self.live and not self.over else 0


def fits(change: Change, state: Order | BrokerOrder) -> bool:
    """The state is what the change asks for. A limit order may go on showing the trigger it once had."""
    quantity, kind, price, trigger = change
    stop = state.order_type in (OrderType.SL, OrderType.SL_M)
    return (
        state.quantity == quantity
        and kind in (None, state.order_type)
        and price in (None, state.price)
        and (trigger in (None, state.trigger) or not (trigger or stop))
    )


def merge(order: Order, told: BrokerOrder) -> bool:
    """Take a report in. True if anything changed. Idempotent, and any order of reports ends the same."""
    before = _facts(order)
    order.order_id = order.order_id or told.order_id
    if told.filled > order.filled:
        order.filled, order.value = told.filled, told.value
    stamp = (told.updated_ns, told.modifications, told.filled, _PROGRESS[told.status])
    newest = stamp >= order.stamp
    if order.presumed and told.status is not S.PENDING:
        order.status = told.status
    elif newest or told.status.final:
        order.status = TRANSITIONS[order.status, told.status]
    if newest:
        order.stamp, order.updated_ns = stamp, told.updated_ns
        if not _outdated(order, told, stamp):
            order.quantity, order.price, order.trigger = told.quantity, told.price, told.trigger
            order.order_type, order.was = told.order_type, 0
        order.modifications = max(order.modifications, told.modifications)
        order.reason = told.reason or order.reason
    if order.filled >= order.quantity > 0:
        order.status = S.COMPLETE
    return before != _facts(order)


def _facts(order: Order) -> tuple[object, ...]:
    return (
        order.status, order.filled, order.value, order.quantity, order.trigger, order.price, order.order_id, order.was
    )  # fmt: skip


def _outdated(order: Order, told: BrokerOrder, stamp: tuple[int, int, int, int]) -> bool:
    """It is how the order was before a reduction that has been accepted since."""
    waits = told.status in (S.PENDING, S.TRIGGER_PENDING) and not told.filled
    before = stamp <= order.was_stamp or told.updated_ns < order.changed_ns
    return bool(order.was) and waits and told.quantity == order.was and before


# --- tags -----------------------------------------------------------------------------------------

TAG_LIMIT = 20
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def base36(number: int, width: int) -> str:
    """Fixed width, so that the parts of a tag can be told apart. ValueError if it does not fit."""
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    if len(text) > width:
        raise ValueError(f"{text} does not fit {width} digits")
    return text.rjust(width, "0")


@lru_cache(maxsize=64)
def strategy_code(name: str) -> str:
    """Three characters that stand for a strategy in a tag."""
    return base36(zlib.crc32(name.encode()) % 36**3, 3)


@dataclass(frozen=True, slots=True)
class TagParts:
    instance: str
    code: str
    rung: int
    leg: Leg
    cycle: int
    sequence: int
    part: bool = False  #: a part that goes out by command


@dataclass(slots=True)
class Tags:
    """Makes and reads order tags: instance (3), strategy (3), rung (1), leg (1: E, X, or P for a part), cycle (4),
    sequence (4).

    Alphanumeric, 16 of the 20 characters that Kite allows. The sequence resumes from today's book.
    """

    instance: str
    sequence: int = 0

    def __post_init__(self) -> None:
        if not (1 <= len(self.instance) <= 3 and self.instance.isascii() and self.instance.isalnum()):
            raise ConfigException(
                "instance marks our orders", key="instance", value=self.instance, allowed="1 to 3 letters or digits"
            )
        self.instance = self.instance.upper().rjust(3, "0")

    def make(self, strategy: str, rung: int, leg: Leg, cycle: int, *, part: bool = False) -> str:
        self.sequence += 1
        mark = "E" if leg is Leg.ENTRY else "P" if part else "X"
        parts = (strategy_code(strategy), str(rung + 1), mark, base36(cycle, 4), base36(self.sequence, 4))
        return self.instance + "".join(parts)

    def read(self, tag: str) -> TagParts | None:
        """The parts of a tag of ours; None for anybody else's."""
        if len(tag) != 16 or not tag.isalnum() or tag[:3] != self.instance or tag[6] not in "123":
            return None
        leg = {"E": Leg.ENTRY, "X": Leg.EXIT, "P": Leg.EXIT}.get(tag[7])
        if leg is None:
            return None
        cycle, sequence = int(tag[8:12], 36), int(tag[12:], 36)
        return TagParts(tag[:3], tag[3:6], int(tag[6]) - 1, leg, cycle, sequence, tag[7] == "P")

    def resume(self, tags: list[str]) -> None:
        """Continue behind the highest sequence among these tags of today."""
        parts = (self.read(tag) for tag in tags)
        self.sequence = max((p.sequence for p in parts if p), default=self.sequence)


@dataclass(slots=True)
class OrderBook:
    """Every order of ours of today, by tag and by the broker's id."""

    by_tag: dict[str, Order] = field(default_factory=dict)
    by_id: dict[str, Order] = field(default_factory=dict)

    def add(self, order: Order) -> None:
        """Register before the request leaves. A tag is used once: KeyError otherwise."""
        if order.tag in self.by_tag:
            raise KeyError(f"tag {order.tag} is already in use")
        self.by_tag[order.tag] = order
        if order.order_id:
            self.by_id[order.order_id] = order

    def find(self, told: BrokerOrder) -> Order | None:
        order = self.by_id.get(told.order_id) or self.by_tag.get(told.tag)
        if order is not None and told.order_id:
            self.by_id.setdefault(told.order_id, order)
        return order

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self.by_tag.values())

    def __len__(self) -> int:
        return len(self.by_tag)
