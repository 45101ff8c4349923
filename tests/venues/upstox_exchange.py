"""A small exchange and account behind the loopback Upstox: orders, fills, positions, GTTs. Paise inside.

Every share trades in any quantity at its last price, unless ``price`` says how much. Nothing happens by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from otrade_bot.core.clock import SECOND, Clock, to_ist

IST = timezone(timedelta(hours=5, minutes=30))
STOPS = ("SL", "SL-M")
CODES = {"input": "UDAPI100036", "order": "UDAPI100010"}


class Refusal(Exception):  # noqa: N818 - the venue's word
    """What Upstox answers with a 4xx."""

    def __init__(self, message: str, code: str = CODES["input"], status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


@dataclass(eq=False)
class Share:
    """What can be traded, by its instrument key."""

    key: str
    trading_symbol: str
    exchange: str = "NSE"
    tick: int = 5
    price: int = 0
    token: int = 0  #: as Kite numbers it; the exchange's own number is in it
    cas_eligible: bool = False
    candles: list[list[Any]] = field(default_factory=list)  #: newest first: time, o, h, l, c, volume, oi

    @property
    def symbol(self) -> str:
        return f"{self.exchange}:{self.trading_symbol}"


@dataclass(eq=False)
class Order:
    order_id: str
    share: Share
    side: int
    quantity: int
    product: str
    order_type: str
    price: int
    trigger: int
    tag: str
    placed: datetime
    updated: datetime
    status: str = "open"
    reason: str = ""
    filled: int = 0
    value: int = 0
    protection: float = 0.0
    history: list[tuple[str, datetime]] = field(default_factory=list)

    @property
    def final(self) -> bool:
        return self.status in ("complete", "cancelled", "rejected")

    @property
    def left(self) -> int:
        return self.quantity - self.filled


@dataclass(eq=False)
class Fill:
    trade_id: str
    order: Order
    quantity: int
    price: int
    at: datetime


@dataclass(eq=False)
class Rule:
    strategy: str
    trigger_type: str
    trigger: int
    protection: float
    status: str
    order_id: str = ""
    message: str = ""


@dataclass(eq=False)
class Gtt:
    gtt_id: str
    share: Share
    side: int
    quantity: int
    product: str
    kind: str
    rules: list[Rule]
    created: datetime

    @property
    def entry(self) -> Rule:
        return next(rule for rule in self.rules if rule.strategy == "ENTRY")


class Exchange:
    """Money in paise. Without a clock it is 10:00 IST at first, and every act takes a second."""

    def __init__(self, shares: list[Share], cash: int = 1_000_000_000, clock: Clock | None = None) -> None:
        self.clock = clock
        self.shares = {share.key: share for share in shares}
        self.cash = cash
        self._moment = datetime(2026, 11, 20, 10, tzinfo=IST)
        self._ids = 0
        self.orders: dict[str, Order] = {}
        self._live: dict[str, dict[str, Order]] = {}  #: by share, those that have not ended
        self._net: dict[tuple[str, str], int] = {}  #: by share and product, of today's fills
        self.fills: list[Fill] = []
        self.gtts: dict[str, Gtt] = {}
        self.holdings: dict[str, tuple[int, int]] = {}  #: key: quantity, average
        self.on_update: Callable[[Order], None] = lambda order: None
        self.late = False  #: new orders stay out of the books until ``reveal``
        self.hidden: set[str] = set()
        self.late_s = 0  #: new orders stay out of the books for so long, by the clock
        self.due: dict[str, int] = {}  #: order id -> ns UTC from which the books show it
        self.coming: dict[str, int] = {}  #: of the holdings: not delivered yet (T1)
        self.thin: int | None = None  #: what the next new order finds at the price; None: all that it wants
        self.refuse: Callable[[Order], str] = lambda order: ""  #: why a new order ends rejected, '' where it does not

    @property
    def now(self) -> datetime:
        """In India, to the second."""
        if self.clock is not None:
            return to_ist(self.clock.now_ns()).replace(microsecond=0)
        return self._moment

    # What the test does.

    def price(self, key: str, paise: int, quantity: int = 1 << 40) -> None:
        """A share trades at this price, ``quantity`` of it against each order."""
        self._tick()
        share = self.shares[key]
        share.price = paise
        for order in list(self._live.get(key, {}).values()):
            self._meet(order, quantity)
        for gtt in list(self.gtts.values()):
            if gtt.share is share:
                self._watch(gtt)

    def hold(self, key: str, quantity: int, average: int) -> None:
        """Shares delivered on an earlier day."""
        self.holdings[key] = (quantity, average)

    def reveal(self) -> None:
        """Orders that were late are in the books from now on."""
        self.late, self.late_s = False, 0
        self.hidden.clear()
        self.due.clear()

    def overnight(self) -> None:
        """The next day: the book is empty, delivery that was bought is on its way, what was sold of it is gone.

        Intraday positions are gone: the broker has squared them off.
        """
        self.coming.clear()
        for share, product in self.positions:
            change = self.net(share.key, product) if product == "D" else 0
            held, paid = self.holdings.get(share.key, (0, 0))
            if change > 0:
                bought = [f for f in self.fills if (f.order.share, f.order.product, f.order.side) == (share, "D", 1)]
                mean = sum(f.quantity * f.price for f in bought) // sum(f.quantity for f in bought)
                paid, self.coming[share.key] = (held * paid + change * mean) // (held + change), change
            self.holdings[share.key] = (held + change, paid)
        self.holdings = {key: lot for key, lot in self.holdings.items() if lot[0]}
        self.orders.clear()
        self._live.clear()
        self._net.clear()
        self.fills.clear()

    def _tick(self) -> datetime:
        self._moment += timedelta(seconds=1)
        return self.now

    def _new_id(self) -> str:
        self._ids += 1
        return f"{self.now:%y%m%d}0000{self._ids:05d}"

    def _shown(self, order_id: str) -> bool:
        now = self.clock.now_ns() if self.clock else 0
        return order_id not in self.hidden and self.due.get(order_id, 0) <= now

    # Orders.

    def place(self, fields: dict[str, Any]) -> Order:
        share = self.shares.get(fields.get("instrument_token", ""))
        if share is None:
            raise Refusal("Invalid instrument key")
        now = self._tick()
        order = Order(
            self._new_id(), share, _side(fields["transaction_type"]), fields["quantity"],
            fields["product"], fields["order_type"], paise(fields["price"]), paise(fields["trigger_price"]),
            fields.get("tag") or "", now, now, protection=fields.get("market_protection") or 0.0,
        )  # fmt: skip
        self._check(order)
        self._add(order)
        return order

    def modify(self, fields: dict[str, Any]) -> Order:
        order = self._working(fields["order_id"])
        new_type, quantity = fields["order_type"], fields.get("quantity", order.quantity)
        trial = Order(**{**order.__dict__, "order_type": new_type, "quantity": quantity,
                         "price": paise(fields["price"]), "trigger": paise(fields["trigger_price"]),
                         "protection": fields.get("market_protection") or 0.0})  # fmt: skip
        if order.order_type in STOPS and order.status == "open" and new_type in STOPS:
            raise Refusal("The order has triggered")
        self._check(trial)
        order.order_type, order.quantity, order.protection = new_type, quantity, trial.protection
        order.price, order.trigger = trial.price, trial.trigger
        self._turn(order, "trigger pending" if new_type in STOPS else "open")
        self._meet(order)
        return order

    def cancel(self, order_id: str) -> Order:
        order = self._working(order_id)
        self._turn(order, "cancelled")
        return order

    def find(self, order_id: str) -> Order:
        if order_id not in self.orders or not self._shown(order_id):
            raise Refusal("Unknown order id", CODES["order"])
        return self.orders[order_id]

    def book(self) -> list[Order]:
        return [order for order in self.orders.values() if self._shown(order.order_id)]

    def _working(self, order_id: str) -> Order:
        order = self.orders.get(order_id)
        if order is None:
            raise Refusal("Unknown order id", CODES["order"])
        if order.final:
            raise Refusal(f"The order is already {order.status}", CODES["order"])
        self._tick()
        return order

    def _check(self, order: Order) -> None:
        if order.quantity <= 0 or order.quantity < order.filled:
            raise Refusal("Invalid quantity")
        priced, stop = order.order_type in ("LIMIT", "SL"), order.order_type in STOPS
        for word, value, wanted in (("price", order.price, priced), ("trigger price", order.trigger, stop)):
            if wanted and (value <= 0 or value % order.share.tick):
                raise Refusal(f"The {word} is not a multiple of the tick size")
        if order.order_type in ("MARKET", "SL-M") and not (order.protection == -1 or order.protection > 0):
            raise Refusal("Market orders need market protection")
        if stop and order.side * (order.trigger - order.share.price) <= 0:
            raise Refusal("The trigger price is beyond the last price")

    def _add(self, order: Order) -> None:
        self.orders[order.order_id] = order
        self._live.setdefault(order.share.key, {})[order.order_id] = order
        if self.late:
            self.hidden.add(order.order_id)
        if self.clock is not None and self.late_s:
            self.due[order.order_id] = self.clock.now_ns() + self.late_s * SECOND
        if why := self.refuse(order) or self._cannot_bear(order):
            order.reason = why
            self._turn(order, "rejected")
            return
        self._turn(order, "trigger pending" if order.order_type in STOPS else "open")
        thin, self.thin = self.thin, None
        self._meet(order, 1 << 40 if thin is None else thin)

    def _cannot_bear(self, order: Order) -> str:
        share, net = order.share, self.net(order.share.key, order.product)
        if order.product == "D" and order.side < 0:
            owned = net + self.holdings.get(share.key, (0, 0))[0]
            return "" if order.quantity <= owned else "Insufficient holdings"
        opening = order.quantity if net * order.side >= 0 else max(0, order.quantity - abs(net))
        need = opening * (order.price or share.price) // (5 if order.product == "I" else 1)
        return "" if need <= self.cash - self.used else "Insufficient funds"

    def _turn(self, order: Order, status: str) -> None:
        order.status, order.updated = status, self.now
        if order.final:
            self._live.get(order.share.key, {}).pop(order.order_id, None)
        order.history.append((status, self.now))
        self.on_update(order)

    def _meet(self, order: Order, quantity: int = 1 << 40) -> None:
        price = order.share.price
        if order.status == "trigger pending" and order.side * (price - order.trigger) >= 0:
            self._turn(order, "open")
        if order.status != "open" or price == 0:
            return
        if order.order_type in ("MARKET", "SL-M") or order.side * (order.price - price) >= 0:
            self._fill(order, min(order.left, quantity), price)

    def _fill(self, order: Order, quantity: int, price: int) -> None:
        if quantity <= 0:
            return
        order.filled, order.value = order.filled + quantity, order.value + quantity * price
        self.fills.append(Fill(f"T{len(self.fills) + 1:07d}", order, quantity, price, self.now))
        place = order.share.key, order.product
        self._net[place] = self._net.get(place, 0) + order.side * quantity
        self._turn(order, "complete" if order.left == 0 else "open")

    # The account.

    def net(self, key: str, product: str) -> int:
        return self._net.get((key, product), 0)

    @property
    def positions(self) -> list[tuple[Share, str]]:
        """Everything traded today, flat or not, as Upstox lists it."""
        return [(self.shares[key], product) for key, product in self._net]

    @property
    def used(self) -> int:
        return sum(
            abs(self.net(share.key, product)) * share.price // (5 if product == "I" else 1)
            for share, product in self.positions
        )

    # GTTs.

    def place_gtt(self, fields: dict[str, Any]) -> Gtt:
        share = self.shares.get(fields["instrument_token"])
        if share is None:
            raise Refusal("Invalid instrument key")
        rules = self._rules(fields["type"], fields["rules"], share)
        if fields["quantity"] <= 0:
            raise Refusal("Invalid quantity")
        gtt = Gtt(
            f"GTT-C26{len(self.gtts) + 1:08d}", share, _side(fields["transaction_type"]), fields["quantity"],
            fields["product"], fields["type"], rules, self._tick(),
        )  # fmt: skip
        self.gtts[gtt.gtt_id] = gtt
        self._watch(gtt, at_once=True)
        return gtt

    def modify_gtt(self, fields: dict[str, Any]) -> Gtt:
        gtt = self._scheduled(fields["gtt_order_id"])
        gtt.rules, gtt.quantity = self._rules(fields["type"], fields["rules"], gtt.share), fields["quantity"]
        gtt.kind = fields["type"]
        self._tick()
        return gtt

    def cancel_gtt(self, gtt_id: str) -> Gtt:
        gtt = self._scheduled(gtt_id)
        for rule in gtt.rules:
            rule.status = "CANCELLED"
        self._tick()
        return gtt

    def _scheduled(self, gtt_id: str) -> Gtt:
        gtt = self.gtts.get(gtt_id)
        if gtt is None:
            raise Refusal("Unknown GTT order id", CODES["order"])
        if gtt.entry.status != "SCHEDULED":
            raise Refusal(f"The GTT order is {gtt.entry.status}", CODES["order"])
        return gtt

    def _rules(self, kind: str, given: list[dict[str, Any]], share: Share) -> list[Rule]:
        names = [rule["strategy"] for rule in given]
        if names.count("ENTRY") != 1:
            raise Refusal("The ENTRY rule is required")
        if len(set(names)) != len(names) or (kind == "SINGLE") != (len(names) == 1):
            raise Refusal("The rules do not fit the type of the GTT order")
        rules = []
        for rule in given:
            trigger = paise(rule["trigger_price"])
            if trigger <= 0 or trigger % share.tick:
                raise Refusal("The trigger price is not a multiple of the tick size")
            waits = "SCHEDULED" if rule["strategy"] == "ENTRY" else "PENDING"
            protection = rule.get("market_protection") or 0.0
            rules.append(Rule(rule["strategy"], rule["trigger_type"], trigger, protection, waits))
        return rules

    def _watch(self, gtt: Gtt, at_once: bool = False) -> None:
        for rule in gtt.rules:
            due = rule.trigger_type == "IMMEDIATE" if at_once else _reached(rule, gtt.share.price)
            if rule.status == "SCHEDULED" and due:
                self._go_off(gtt, rule)
                return

    def _go_off(self, gtt: Gtt, rule: Rule) -> None:
        """The leg's LIMIT order; what follows the entry wakes up, of the others one is left."""
        side = gtt.side if rule.strategy == "ENTRY" else -gtt.side
        now = self._tick()
        order = Order(
            self._new_id(), gtt.share, side, gtt.quantity, gtt.product, "LIMIT",
            _limit(rule, side, gtt.share.tick), 0, "", now, now,
        )  # fmt: skip
        rule.order_id = order.order_id
        self._add(order)
        rule.status = {"complete": "COMPLETED", "rejected": "FAILED"}.get(order.status, "OPEN")
        rule.message = order.reason
        for other in gtt.rules:
            if other is not rule and other.status in ("PENDING", "SCHEDULED"):
                woken = rule.strategy == "ENTRY" and rule.status != "FAILED"
                other.status = "SCHEDULED" if woken else "CANCELLED"


def _reached(rule: Rule, price: int) -> bool:
    return price >= rule.trigger if rule.trigger_type == "ABOVE" else 0 < price <= rule.trigger


def _limit(rule: Rule, side: int, tick: int) -> int:
    """Where market protection puts the limit: 1 % from the trigger unless the rule says another share."""
    percent = rule.protection if rule.protection > 0 else 1.0
    return int(rule.trigger * (1 + side * percent / 100)) // tick * tick


def _side(word: str) -> int:
    return {"BUY": 1, "SELL": -1}[word]


def paise(rupees: float) -> int:
    return round(rupees * 100)
