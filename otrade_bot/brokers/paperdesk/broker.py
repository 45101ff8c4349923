"""The paper broker: accepts, matches, reports; everything through its book on disk.

Prices come by ``on_price``; what they may fill is bounded by the volume traded since the last one. It
works inline and never suspends, so that a day on paper is the same at every speed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from otrade_bot.brokers.base import BrokerInterface, Done, Write
from otrade_bot.brokers.paperdesk.account import Account, PaperOrder, PaperSettings
from otrade_bot.brokers.paperdesk.rules import margin_rate, order_fault
from otrade_bot.core.clock import Clock
from otrade_bot.core.jsonlines import LineLog
from otrade_bot.core.model import (
    Accepted,
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    Funds,
    Gtt,
    GttLeg,
    GttRequest,
    GttStatus,
    Holding,
    Instrument,
    InstrumentKind,
    OrderRequest,
    OrderStatus,
    OrderType,
    Outcome,
    Product,
    Refused,
    Side,
)
from otrade_bot.core.money import Paise
from otrade_bot.kernel.fills import fill_price, protected, protection_ppm, triggered

__all__ = ["PaperBroker"]

#: A day whose volume column is all zero: nothing is known, so nothing is bounded.
UNBOUNDED = 1 << 60
_STOPS = (OrderType.SL, OrderType.SL_M)

Market = Callable[[Instrument, OrderType, int], str]
Charge = Callable[[str, Product, Side, Paise], Paise]


@dataclass(slots=True)
class _Quote:
    """The last price of a symbol and what of its traded volume is still to be had."""

    ltp: Paise
    volume: int
    available: int
    first: Paise


class PaperBroker(BrokerInterface):
    """``market`` says why the exchange takes no such order now ('' = it does); ``charge`` what an order of
    this value costs, in paise. The book at ``path`` is read on construction."""

    name = "paper"

    def __init__(
        self,
        path: Path,
        clock: Clock,
        instrument: Callable[[str], Instrument],
        market: Market,
        settings: PaperSettings | None = None,
        charge: Charge | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings or PaperSettings()
        self.clock, self.instrument, self.market = clock, instrument, market
        self.charge: Charge = charge or (lambda symbol, product, side, value: 0)
        self.account = Account(self.settings.cash)
        self._log = LineLog(path)
        for line in LineLog.read(path):
            self.account.apply(line)
        self._quotes: dict[str, _Quote] = {}

    def close(self) -> None:
        """Close the book."""
        self._log.close()

    def dispatch(self, write: Write, done: Done) -> None:
        """Inline: the outcome is known before this returns."""
        try:
            write.send(None)
        except StopIteration as ended:
            done(ended.value)
        else:
            raise RuntimeError("a paper write must not wait for anything")

    # --- the day ------------------------------------------------------------------------------------

    def start_day(self, day: date) -> None:
        """Roll the book to ``day``; the same day again changes nothing."""
        if self.account.day != day:
            self._record({"op": "day", "ts": self.clock.now_ns(), "day": day.isoformat()})
            self._quotes.clear()

    def end_day(self) -> None:
        """The close: what still works is cancelled; an intraday position left open is closed by the broker."""
        for orders in list(self.account.working.values()):
            for order in list(orders):
                self._end(order, OrderStatus.CANCELLED, "the market has closed")
        for (symbol, product), held in list(self.account.positions.items()):
            if product is Product.MIS and held.quantity:
                self._square_off(symbol, held.quantity)

    def _square_off(self, symbol: str, quantity: int) -> None:
        quote = self._quotes.get(symbol)
        if quote is None:
            return
        side = Side.SELL if quantity > 0 else Side.BUY
        order = self._add(symbol, side, abs(quantity), Product.MIS, OrderType.MARKET, 0, 0, -1.0, "")
        self._take(order, [self._fill_line(order, abs(quantity), quote.ltp)])

    # --- prices -------------------------------------------------------------------------------------

    def on_price(self, symbol: str, ts: int, price: Paise, volume: int) -> None:
        """A price and the day's volume so far. Resting orders meet it in the order of their placing."""
        quote = self._quotes.get(symbol)
        if quote is None:
            quote = self._quotes[symbol] = _Quote(price, 0, 0, price)
        fresh = UNBOUNDED if volume == 0 else int((volume - quote.volume) * self.settings.participation)
        quote.ltp, quote.volume, quote.available = price, volume, max(0, fresh)
        for order in list(self.account.working.get(symbol, ())):
            self._meet(order, quote)
        if self.account.gtts:
            self._check_gtts(symbol, quote)

    def _meet(self, order: PaperOrder, quote: _Quote) -> None:
        """Trigger it, price it, fill it: as far as this price allows."""
        now = self.clock.now_ns()
        if now < order.active_ns or order.status.final:
            return
        instrument = self.instrument(order.symbol)
        lines: list[dict[str, Any]] = []
        limit, taker = order.limit, order.taker
        if order.status is OrderStatus.TRIGGER_PENDING:
            if not triggered(order.side, order.trigger, quote.ltp):
                return
            limit, taker = self._working_limit(order, instrument, quote.ltp), True
            lines.append({"op": "work", "ts": now, "id": order.order_id, "limit": limit})
        elif limit == 0 and order.order_type is OrderType.MARKET:
            limit, taker = self._working_limit(order, instrument, quote.ltp), True
            lines.append({"op": "work", "ts": now, "id": order.order_id, "limit": limit})
        elif limit == 0:
            limit = order.price
            if not order.met:
                order.met, order.taker = True, self._fits(order, limit, True, quote, instrument) > 0
            taker = order.taker
        lines += self._fill_lines(order, limit, taker, quote, instrument)
        if lines:
            self._take(order, lines)

    def _working_limit(self, order: PaperOrder, instrument: Instrument, ltp: Paise) -> Paise:
        """The limit of a market order or of a triggered stop."""
        if order.order_type is OrderType.SL:
            return order.price
        option = int(instrument.kind is InstrumentKind.OPTION)
        auto = order.protection < 0
        ppm = protection_ppm(ltp, option) if auto else round(order.protection * 10_000)
        return protected(order.side, ltp, ppm, instrument.tick)

    def _fits(self, order: PaperOrder, limit: Paise, taker: bool, quote: _Quote, instrument: Instrument) -> Paise:
        low, high = self._circuit(order.symbol)
        if high and not low <= quote.ltp <= high:
            return 0
        return fill_price(order.side, limit, int(taker), quote.ltp, self.settings.slip_ppm, instrument.tick)

    def _fill_lines(
        self, order: PaperOrder, limit: Paise, taker: bool, quote: _Quote, instrument: Instrument
    ) -> list[dict[str, Any]]:
        price = self._fits(order, limit, taker, quote, instrument)
        quantity = min(order.left, quote.available // instrument.lot * instrument.lot)
        if price == 0 or quantity <= 0:
            return []
        quote.available -= quantity
        return [self._fill_line(order, quantity, price)]

    def _fill_line(self, order: PaperOrder, quantity: int, price: Paise) -> dict[str, Any]:
        cost = self.charge(order.symbol, order.product, order.side, order.value + quantity * price)
        return {
            "op": "fill", "ts": self.clock.now_ns(), "id": order.order_id,
            "trade": f"T{self.account.fill_count + 1:06d}", "quantity": quantity, "price": price,
            "charge": cost - order.charged,
        }  # fmt: skip

    # --- writes -------------------------------------------------------------------------------------

    async def place(self, request: OrderRequest) -> Outcome:
        instrument = request.instrument
        fault = self.market(instrument, request.order_type, self.clock.now_ns()) or self._fault(
            instrument, request.side, request.quantity, request.order_type, request.price, request.trigger,
            request.protection,
        )  # fmt: skip
        if not fault and request.product is Product.CNC and request.side is Side.SELL:
            free = self.account.free_quantity(instrument.symbol, Product.CNC, Side.SELL)
            fault = "" if request.quantity <= free else f"only {free} held: delivery shares cannot be sold short"
        if fault:
            return Refused(fault, "InputException")
        order = self._add(
            instrument.symbol, request.side, request.quantity, request.product, request.order_type, request.price,
            request.trigger, request.protection, request.tag, self._margin_fault(request),
        )  # fmt: skip
        self._say(order)
        quote = self._quotes.get(order.symbol)
        if quote is not None and not order.status.final:
            self._meet(order, quote)
        return Accepted(order.order_id)

    async def modify(
        self,
        order_id: str,
        *,
        quantity: int | None = None,
        order_type: OrderType | None = None,
        price: Paise | None = None,
        trigger: Paise | None = None,
    ) -> Outcome:
        order = self.account.orders.get(order_id)
        fault = self._modify_fault(order, order_type, trigger)
        if order is None or fault:
            return Refused(fault, "OrderException")
        kind = order_type or order.order_type
        kept_price = order.limit or order.price
        new_price = price if price is not None else kept_price if kind not in _STOPS else order.price
        new_trigger = (trigger if trigger is not None else order.trigger) if kind in _STOPS else 0
        total = quantity if quantity is not None else order.quantity
        working = order.limit > 0 and kind in _STOPS  # it has triggered and stays what it is
        instrument = self.instrument(order.symbol)
        fault = "" if total > order.filled else "quantity must be above what has filled"
        fault = fault or self.market(instrument, kind, self.clock.now_ns())
        fault = fault or self._fault(
            instrument, order.side, total, OrderType.LIMIT if working else kind, new_price,
            0 if working else new_trigger, order.protection,
        )  # fmt: skip
        if fault:
            return Refused(fault, "InputException")
        status = OrderStatus.TRIGGER_PENDING if kind in _STOPS and not working else OrderStatus.OPEN
        now = self.clock.now_ns()
        self._record({
            "op": "change", "ts": now, "active": now + self.settings.latency_ns, "id": order_id, "quantity": total,
            "type": str(OrderType.LIMIT if working else kind), "price": kept_price if working else new_price,
            "trigger": new_trigger, "status": str(status),
        })  # fmt: skip
        self._say(order)
        quote = self._quotes.get(order.symbol)
        if quote is not None:
            self._meet(order, quote)
        return Accepted(order_id)

    async def cancel(self, order_id: str) -> Outcome:
        order = self.account.orders.get(order_id)
        if order is None:
            return Refused("no such order", "OrderException")
        if order.status.final:
            return Refused(f"the order is {order.word} already", "OrderException")
        self._end(order, OrderStatus.CANCELLED, "cancelled by the client")
        return Accepted(order_id)

    def _modify_fault(self, order: PaperOrder | None, kind: OrderType | None, trigger: Paise | None) -> str:
        if order is None:
            return "no such order"
        if order.status.final:
            return f"the order is {order.word} already"
        if order.modifications >= self.settings.modification_limit:
            return "maximum allowed order modifications exceeded"
        has_triggered = order.order_type in _STOPS and order.status is OrderStatus.OPEN
        if has_triggered and (trigger or kind in _STOPS):
            return "the order has triggered already"
        return ""

    def _fault(
        self, instrument: Instrument, side: Side, quantity: int, kind: OrderType, price: Paise, trigger: Paise,
        protection: float,
    ) -> str:  # fmt: skip
        quote = self._quotes.get(instrument.symbol)
        return order_fault(
            instrument, side, quantity, kind, price, trigger, protection, quote.ltp if quote else 0,
            self._circuit(instrument.symbol),
        )  # fmt: skip

    def _circuit(self, symbol: str) -> tuple[Paise, Paise]:
        quote = self._quotes.get(symbol)
        if quote is None:
            return 0, 0
        room = int(quote.first * self.settings.circuit_percent / 100)
        return quote.first - room, quote.first + room

    def _margin_fault(self, request: OrderRequest) -> str:
        """The risk desk's rejection; what reduces needs no money."""
        symbol = request.instrument.symbol
        opening = request.quantity - self.account.free_quantity(symbol, request.product, request.side)
        quote = self._quotes.get(symbol)
        price = request.price or request.trigger or (quote.ltp if quote else 0)
        if opening <= 0:
            return ""
        part, whole = margin_rate(request.instrument, request.product, request.side, self.settings.mis_leverage)
        need, have = opening * price * part // whole, self._available()
        return f"insufficient funds: {need / 100:.2f} needed, {have / 100:.2f} available" if need > have else ""

    def _used(self) -> Paise:
        used = 0
        for (symbol, product), held in self.account.positions.items():
            side = Side.BUY if held.quantity >= 0 else Side.SELL
            part, whole = margin_rate(self.instrument(symbol), product, side, self.settings.mis_leverage)
            used += abs(held.value) * part // whole
        return used

    def _available(self) -> Paise:
        """Cash, plus what the open positions are worth, less the margin that they bind."""
        worth = 0
        for (symbol, _), held in self.account.positions.items():
            quote = self._quotes.get(symbol)
            worth += held.quantity * quote.ltp if quote else held.value
        return self.account.cash + worth - self._used()

    # --- GTT ------------------------------------------------------------------------------------------

    async def place_gtt(self, request: GttRequest) -> Outcome:
        fault = self._gtt_fault(request)
        if fault:
            return Refused(fault, "InputException")
        gtt_id = f"G{self.account.gtt_count + 1:06d}"
        self._record(self._gtt_line(gtt_id, request, self.clock.now_ns(), new=1))
        return Accepted(gtt_id)

    async def modify_gtt(self, gtt_id: str, request: GttRequest) -> Outcome:
        gtt = self.account.gtts.get(gtt_id)
        if gtt is None or gtt.status is not GttStatus.ACTIVE:
            return Refused("no such active trigger", "InputException")
        fault = self._gtt_fault(request)
        if fault:
            return Refused(fault, "InputException")
        self._record(self._gtt_line(gtt_id, request, gtt.created_ns, new=0))
        return Accepted(gtt_id)

    async def cancel_gtt(self, gtt_id: str) -> Outcome:
        gtt = self.account.gtts.get(gtt_id)
        if gtt is None or gtt.status is not GttStatus.ACTIVE:
            return Refused("no such active trigger", "InputException")
        self._record(_gtt_state(replace(gtt, status=GttStatus.DELETED), self.clock.now_ns()))
        return Accepted(gtt_id)

    def _gtt_fault(self, request: GttRequest) -> str:
        if request.product is Product.MIS:
            return "GTT is for CNC and NRML"
        if len(request.legs) not in (1, 2):
            return "a GTT has one leg, or two for OCO"
        triggers = [leg.trigger for leg in request.legs]
        if len(triggers) == 2 and not min(triggers) < request.last_price < max(triggers):
            return "the last price must lie between the two triggers"
        for leg in request.legs:
            fault = self._fault(
                request.instrument, request.side, request.quantity, OrderType.LIMIT, leg.price, leg.trigger, -1.0
            )
            if fault:
                return fault
        return ""

    def _gtt_line(self, gtt_id: str, request: GttRequest, created: int, *, new: int) -> dict[str, Any]:
        gtt = Gtt(
            gtt_id, request.instrument.symbol, request.side, request.quantity, request.product, request.legs,
            GttStatus.ACTIVE, created,
        )  # fmt: skip
        return {**_gtt_state(gtt, self.clock.now_ns()), "new": new}

    def _check_gtts(self, symbol: str, quote: _Quote) -> None:
        for gtt in [g for g in self.account.gtts.values() if g.symbol == symbol and g.status is GttStatus.ACTIVE]:
            for leg in gtt.legs:
                # a single leg is a stop: a sale below the price, a purchase above it
                below = leg is min(gtt.legs, key=_trigger) if len(gtt.legs) == 2 else gtt.side is Side.SELL
                if quote.ltp <= leg.trigger if below else quote.ltp >= leg.trigger:
                    self._fire(gtt, leg, quote)
                    break

    def _fire(self, gtt: Gtt, leg: GttLeg, quote: _Quote) -> None:
        """The trigger places the leg's LIMIT order, once; the other leg is void."""
        instrument, now = self.instrument(gtt.symbol), self.clock.now_ns()
        fault = self.market(instrument, OrderType.LIMIT, now)
        if fault:
            return
        order_id = f"P{self.account.order_count + 1:06d}"
        legs = tuple(replace(one, order_id=order_id) if one is leg else one for one in gtt.legs)
        self._record(_gtt_state(replace(gtt, legs=legs, status=GttStatus.TRIGGERED), now))
        order = self._add(gtt.symbol, gtt.side, gtt.quantity, gtt.product, OrderType.LIMIT, leg.price, 0, -1.0, "")
        self._say(order)
        self._meet(order, quote)

    # --- the book -------------------------------------------------------------------------------------

    def _add(
        self, symbol: str, side: Side, quantity: int, product: Product, kind: OrderType, price: Paise,
        trigger: Paise, protection: float, tag: str, fault: str = "",
    ) -> PaperOrder:  # fmt: skip
        now = self.clock.now_ns()
        order_id = f"P{self.account.order_count + 1:06d}"
        status = OrderStatus.TRIGGER_PENDING if kind in _STOPS else OrderStatus.OPEN
        self._record({
            "op": "order", "ts": now, "id": order_id, "symbol": symbol, "side": int(side), "quantity": quantity,
            "product": str(product), "type": str(kind), "price": price, "trigger": trigger, "protection": protection,
            "tag": tag, "active": now + self.settings.latency_ns,
            "status": str(OrderStatus.REJECTED if fault else status), "reason": fault,
        })  # fmt: skip
        return self.account.orders[order_id]

    def _take(self, order: PaperOrder, lines: list[dict[str, Any]]) -> None:
        self._record(*lines)
        self._say(order)

    def _end(self, order: PaperOrder, status: OrderStatus, reason: str) -> None:
        self._record({
            "op": "end", "ts": self.clock.now_ns(), "id": order.order_id, "status": str(status), "reason": reason,
        })  # fmt: skip
        self._say(order)

    def _record(self, *lines: dict[str, Any]) -> None:
        """On disk first, then true."""
        self._log.append_many(lines, durable=True)
        for line in lines:
            self.account.apply(line)

    def _say(self, order: PaperOrder) -> None:
        self.report(order.seen())

    # --- reads ------------------------------------------------------------------------------------------

    async def get_orderbook(self) -> Sequence[BrokerOrder]:
        return [order.seen() for order in self.account.orders.values()]

    async def get_trades(self) -> Sequence[BrokerFill]:
        return list(self.account.fills)

    async def get_positions(self) -> Sequence[BrokerPosition]:
        quotes = self._quotes
        return [replace(p, ltp=quotes[p.symbol].ltp if p.symbol in quotes else 0) for p in self.account.net()]

    async def get_holdings(self) -> Sequence[Holding]:
        return self.account.held()

    async def get_funds(self) -> Funds:
        return Funds(self._available(), self._used())

    async def get_gtts(self) -> Sequence[Gtt]:
        return list(self.account.gtts.values())


def _trigger(leg: GttLeg) -> Paise:
    return leg.trigger


def _gtt_state(gtt: Gtt, now: int) -> dict[str, Any]:
    return {
        "op": "gtt", "ts": now, "id": gtt.gtt_id, "symbol": gtt.symbol, "side": int(gtt.side),
        "quantity": gtt.quantity, "product": str(gtt.product), "status": str(gtt.status), "created": gtt.created_ns,
        "new": 0,
        "legs": [{"trigger": g.trigger, "price": g.price, "order": g.order_id, "reason": g.reason} for g in gtt.legs],
    }  # fmt: skip
