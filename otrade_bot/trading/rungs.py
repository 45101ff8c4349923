"""One rung's life at the broker: its entry orders, its reducing orders, and what has come of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from otrade_bot.core.model import ExitReason, Gtt, OrderStatus, Product, Side
from otrade_bot.core.money import Paise
from otrade_bot.trading.orders import Order

__all__ = ["GuardGtt", "RungLife"]


@dataclass(slots=True)
class GuardGtt:
    """The GTT that protects a delivery rung. ``level`` and ``target`` are where its legs rest at the broker, which
    may be further from the price than what is wanted; ``target`` 0: no leg of it waits there."""

    gtt_id: str = ""
    quantity: int = 0
    level: Paise = 0
    target: Paise = 0
    writing: str = ""
    unknown: str = ""
    doubt: str = ""  #: what of it is unknown: "place", "modify", "cancel", or "leg" of one that has gone off
    order_id: str = ""  #: the order that its trigger has placed
    leg_ids: tuple[str, ...] = ()  #: the orders that the broker says its legs have placed
    prices: tuple[Paise, ...] = ()  #: limits of its legs, where we know them
    asked: int = 0  #: quantity that an unanswered (or doubtful) modification asks for
    barred: Paise = 0  #: a stop that the broker does not take: this one stays where it rests
    touched: bool = False  #: the price has been where it goes off
    crossed_ns: int = 0  #: since when it should have gone off
    retry_ns: int = 0  #: not taken back before this moment
    refusals: int = 0  #: of taking it back, in a row
    placed_ns: int = 0
    changed_ns: int = 0  #: when it was last placed or moved
    unknown_ns: int = 0
    absent_reads: int = 0  #: complete lists in which a doubtful one was missing
    absent_ns: int = 0

    @property
    def ready(self) -> bool:
        """It may be changed or taken back now."""
        return bool(self.gtt_id) and not (self.writing or self.unknown or self.order_id)

    @property
    def covers(self) -> int:
        """What it may sell (buy back) at most."""
        return 0 if self.order_id else max(self.quantity, self.asked)

    @property
    def sure(self) -> bool:
        """The broker has confirmed that it stands, and nobody has asked for its end."""
        leaving = self.writing == "cancel" or self.doubt in ("cancel", "leg")
        return bool(self.gtt_id) and not self.order_id and not leaving

    def take(self, gtt: Gtt) -> None:
        """Adopt what the broker says."""
        self.gtt_id, self.quantity, self.asked = gtt.gtt_id, gtt.quantity, 0
        self.level = gtt.legs[0].trigger
        self.target = gtt.legs[1].trigger if len(gtt.legs) > 1 else 0
        self.prices = tuple(leg.price for leg in gtt.legs if leg.price) or self.prices
        self.leg_ids = tuple(leg.order_id for leg in gtt.legs if leg.order_id)

    def settled(self) -> None:
        """The doubt has ended."""
        self.unknown = self.doubt = ""
        self.asked = self.absent_reads = self.absent_ns = 0


class Told(NamedTuple):
    """Sums of a rung that belong to an earlier opening of it, already booked."""

    entered: int = 0
    entry_value: Paise = 0
    exited: int = 0
    exit_value: Paise = 0


NOTHING = Told()


@dataclass(slots=True)
class RungLife:
    """One cycle of one rung. Everything derived is computed from its orders, so it cannot disagree."""

    row: int
    rung: int
    cycle: int
    side: Side
    strategy: str
    product: Product
    ordered: int
    entries: list[Order] = field(default_factory=list)
    exits: list[Order] = field(default_factory=list)
    gtt: GuardGtt | None = None
    bare: str = ""  #: why no GTT can rest, in words
    gtt_retry_ns: int = 0  #: no write about a GTT before this moment
    gtt_refusals: int = 0  #: in a row
    room: int = 1  #: times the broker's least distance that a GTT keeps from the price
    level: Paise = 0
    target: Paise = 0
    hand: bool = False  #: a human has put the stop where it is
    told_level: Paise = 0  #: a level that people have been told of before it is moved there
    part: int = 0  #: quantity that humans have closed as parts, all together
    part_ns: int = 0  #: when the newest of them was asked for, or taken up again after a start
    booked: Told = NOTHING  #: of those parts what trades hold already, since ``before``
    wanted: ExitReason | None = None  #: the exit that was asked for
    closing: bool = False  #: by a human, on an earlier day
    stopped: bool = False  #: the stop has triggered (or filled) without an exit having been asked for
    told_entry: int = 0
    told_exit: int = 0
    told_end: bool = False
    closed: bool = False
    retry_ns: int = 0  #: not before this moment, after a refusal
    foreign_ns: int = 0  #: when exits last waited because somebody else had closed some of it
    said: str = ""  #: the last refusal that was said, and when
    said_ns: int = 0
    tight: bool = False  #: the broker takes no price beyond the day's circuit: exits are priced at the last price
    blind_ns: int = 0  #: since when an exit waits for the first price
    before: Told = NOTHING
    charged: Paise = 0  #: booked with what is ``before``
    apart: Paise = 0  #: charges of its orders beyond those of one order a leg, in the account already
    first_fill_ns: int = 0
    last_exit_ns: int = 0

    def reopen(self) -> None:
        """More has filled after the end: what was booked stays booked, the rest begins anew."""
        held, exited = self.held, self.exited
        cost = self.entry_value * held // self.entered
        self.before = Told(exited, self.entry_value - cost, exited, self.exit_value)
        self.closed = self.told_end = self.stopped = self.closing = False
        self.wanted = None
        self.hand, self.part, self.booked = False, self.parted, NOTHING
        self.level = self.target = self.first_fill_ns = 0
        self.told_entry, self.told_exit = exited, exited

    @property
    def entered(self) -> int:
        return sum(order.filled for order in self.entries)

    @property
    def entry_value(self) -> Paise:
        return sum(order.value for order in self.entries)

    @property
    def exited(self) -> int:
        return sum(order.filled for order in self.exits)

    @property
    def exit_value(self) -> Paise:
        return sum(order.value for order in self.exits)

    @property
    def held(self) -> int:
        """Open quantity that the broker has confirmed."""
        return self.entered - self.exited

    @property
    def covered(self) -> int:
        """Quantity that working, unanswered or unknown reducing orders may still take."""
        standing = self.gtt.covers if self.gtt else 0
        return sum(order.left for order in self.exits) + standing

    @property
    def parted(self) -> int:
        """Sold (bought back) by orders for a part."""
        return sum(order.filled for order in self.exits if order.part)

    @property
    def parting(self) -> int:
        """What is still to go out as a part; nothing where all of it is being left."""
        return max(0, min(self.held, self.part - self.parted)) if self.wanted is None else 0

    @property
    def awaited(self) -> int:
        """Of that, what no order is at the broker for: it waits until the stop has given way."""
        return max(0, self.parting - sum(order.left for order in self.exits if order.part))

    @property
    def kept(self) -> int:
        """What stays when the parts have gone: the stop is for it."""
        leaving = sum(order.left for order in self.exits if order.part and not order.recalled)
        return max(0, self.held - max(self.parting, leaving))

    def drop_awaited(self) -> bool:
        """No further order for a part. False where none was to come."""
        waited, self.part = self.awaited, self.parted + sum(order.left for order in self.exits if order.part)
        return waited > 0

    @property
    def entering(self) -> bool:
        """More may still be bought."""
        return any(order.live for order in self.entries)

    @property
    def protected(self) -> bool:
        """The broker has confirmed reducing orders for all that is held."""
        sure = sum(
            order.quantity - order.filled
            for order in self.exits
            if not order.status.final and order.status is not OrderStatus.PENDING and not order.unknown
        )
        if self.gtt and self.gtt.sure:
            sure += self.gtt.quantity
        return self.held > 0 and sure >= self.held

    @property
    def gtt_alive(self) -> bool:
        """The GTT stands at the broker, or may."""
        gtt = self.gtt
        return gtt is not None and not gtt.order_id and bool(gtt.gtt_id or gtt.writing or gtt.unknown)

    @property
    def reason(self) -> ExitReason:
        """Why the rung was left."""
        if any(order.outside for order in self.exits) and self.wanted is None:
            return ExitReason.OUTSIDE
        if self.stopped or self.wanted is None:
            return ExitReason.STOP
        return self.wanted
