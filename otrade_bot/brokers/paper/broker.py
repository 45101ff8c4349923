"""The paper broker behind the one interface: synchronous, deterministic, and as strict as a real one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from otrade_bot.brokers.base import BrokerInterface, Done, Write
from otrade_bot.brokers.paper.account import funds, margin, opening, sellable
from otrade_bot.brokers.paper.book import Line
from otrade_bot.brokers.paper.exchange import Exchange, QuoteOf, resting_status
from otrade_bot.brokers.paper.records import STOPS, PaperGtt, PaperOrder
from otrade_bot.brokers.paper.rules import Terms, fault, gtt_fault
from otrade_bot.brokers.paper.settings import CanPlace, ChargeOf, InstrumentOf, PaperSettings
from otrade_bot.core.clock import DAY, Clock, ist_date, midnight_ns
from otrade_bot.core.errors import JournalException, TradingException
from otrade_bot.core.model import (
    Accepted,
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    Funds,
    Gtt,
    GttRequest,
    GttStatus,
    Holding,
    Instrument,
    OrderRequest,
    OrderStatus,
    OrderType,
    Outcome,
    Product,
    Refused,
    Side,
    Unknown,
)
from otrade_bot.core.money import Paise, rupees_text

__all__ = ["PaperBroker"]

GTT_LIMIT = 500
SQUARE_OFF = "auto square-off"


class PaperBroker(BrokerInterface):
    """An account in ``path``. Opening an existing file finds the account as it was left.

    Not modelled: queue position, pledges and eDIS, expiry of derivatives, interest, payout delays. One
    process, one thread. Raises JournalException where the file cannot be opened or is not such a book.
    """

    name = "paper"

    def __init__(
        self,
        path: Path,
        clock: Clock,
        instruments: InstrumentOf,
        can_place: CanPlace,
        settings: PaperSettings,
        charge: ChargeOf | None = None,
    ) -> None:
        super().__init__()
        self._clock = clock
        self._can_place = can_place
        self._settings = settings
        self._away = False  #: what happens now has happened before this start
        self._exchange = Exchange(path, instruments, settings, charge, self._tell)
        self.book = self._exchange.book

    def close(self) -> None:
        """Release the file."""
        self._exchange.log.close()

    def dispatch(self, write: Write, done: Done) -> None:
        """Carry the write out now. Raises RuntimeError for a write that waits: ours never do."""
        try:
            write.send(None)
        except StopIteration as end:
            done(end.value)
            return
        write.close()
        raise RuntimeError("a write to the paper broker must not suspend")

    # --- the market and the day ---
    def on_price(self, symbol: str, ts: int, price: Paise, volume: int = 0) -> None:
        """An accepted tick: ``price`` paise, ``volume`` of the day so far (0: none known, no bound).

        Raises JournalException: the book cannot be written, trading must not go on.
        """
        self._exchange.on_price(symbol, ts, price, volume, self._place_leg)

    def follow(self, quote_of: QuoteOf) -> None:
        """From now on ``on_price`` may leave out prices of symbols that are not ``restless``."""
        self._exchange.follow(quote_of)

    def restless(self) -> set[str]:
        """Symbols of which every price may set something off."""
        book = self.book
        waiting = {gtt.symbol for gtt in book.gtts.values() if gtt.status is GttStatus.ACTIVE}
        return waiting | {order.symbol for order in book.working.values()}

    def resume(self, symbol: str, ts: int, price: Paise, volume: int = 0) -> None:
        """After a restart: a price that came before it. It fills nothing; the volume counts from there."""
        self._exchange.resume(symbol, ts, price, volume)

    def catch_up(self, prices: Iterable[tuple[str, int, Paise, int]]) -> list[BrokerFill]:
        """After a restart, before recovery: what the exchange did while nobody was looking; the fills of it.

        ``prices``: (symbol, ts, paise, day's volume), the accepted ones of the book's day from its first on,
        in order. What the book has lived through is only known again; later ones meet orders, stops and
        GTTs as if they came now, all stamped with the price's time, and no report is made. Asked again, or
        killed on the way and asked again, it does nothing twice. Raises ValueError for a price of another
        day, JournalException where the book cannot be written.
        """
        if self.book.day is None:
            raise ValueError("the book has no day yet: start_day comes first")
        start, seen = midnight_ns(self.book.day), len(self.book.fills)
        self._away = True
        try:
            for symbol, ts, price, volume in prices:
                if not start <= ts < start + DAY:
                    raise ValueError(f"a price of {ist_date(ts)}, the book is in {self.book.day}")
                self._exchange.catch_up(symbol, ts, price, volume, self._place_leg)
        finally:
            self._away = False
        return self.book.fills[seen:]

    def _tell(self, row: BrokerOrder) -> None:
        if not self._away:
            self.report(row)

    def start_day(self, day: date) -> None:
        """Roll to ``day``; the day that the book is in already changes nothing. Ends an open day first."""
        if self.book.day == day:
            return
        if self.book.day is not None or self.book.orders:
            self.end_day()
        desks = {symbol: self.book.desk(symbol) for symbol in self.book.desks}
        closes = {symbol: desk.price for symbol, desk in desks.items() if desk.price > 0}
        line: Line = {"k": "day", "day": day.isoformat(), "ts": self._clock.now_ns(), "closes": closes}
        self._exchange.commit(line)

    def end_day(self) -> None:
        """At the close: intraday positions are squared off, what still works is cancelled, GTTs stay."""
        self.auto_square_off([symbol for symbol, product in self.book.positions if product.intraday])
        now = self._clock.now_ns()
        for order in tuple(self.book.working.values()):
            if not order.status.final:
                self._exchange.cancel(order, now, "day order, not filled by the close")

    def auto_square_off(self, symbols: Iterable[str]) -> None:
        """What a broker does on its own before the close: cancel MIS orders of these symbols, then close
        their MIS positions at the last price by an order without a tag."""
        for symbol in dict.fromkeys(symbols):
            for order in tuple(self.book.desk(symbol).orders):
                if order.product.intraday and not order.status.final:
                    self._exchange.cancel(order, self._clock.now_ns(), SQUARE_OFF)
            if self.book.net(symbol, Product.MIS):
                self._square_off(symbol)

    def _square_off(self, symbol: str) -> None:
        now = self._clock.now_ns()
        net = self.book.net(symbol, Product.MIS)
        side = Side.SELL if net > 0 else Side.BUY
        desk = self.book.desk(symbol)
        terms = Terms(side, abs(net), Product.MIS, OrderType.MARKET, 0, 0, -1.0)
        order_id = self._add(self._order(symbol, terms, "", now, 0, 0))
        order = self.book.orders[order_id]
        if not order.status.final:
            self._exchange.fill(desk, order, now, order.left, desk.price, desk.available)

    # --- writes ---
    async def place(self, request: OrderRequest) -> Outcome:
        """Accepted also where the risk check rejects it at once; the order book says so then."""
        terms = Terms(
            request.side, request.quantity, request.product, request.order_type, request.price,
            request.trigger, request.protection,
        )  # fmt: skip
        return self._guarded(lambda: self._place(request.instrument.symbol, terms, request.tag))

    async def modify(
        self,
        order_id: str,
        *,
        quantity: int | None = None,
        order_type: OrderType | None = None,
        price: Paise | None = None,
        trigger: Paise | None = None,
    ) -> Outcome:
        """Every modification is judged like a new order. A triggered stop stays a limit order."""
        return self._guarded(lambda: self._modify(order_id, quantity, order_type, price, trigger))

    async def cancel(self, order_id: str) -> Outcome:
        """Taken at any hour."""
        return self._guarded(lambda: self._cancel(order_id))

    async def place_gtt(self, request: GttRequest) -> Outcome:
        """Taken at any hour; triggers at a later price only."""
        return self._guarded(lambda: self._place_gtt(request))

    async def modify_gtt(self, gtt_id: str, request: GttRequest) -> Outcome:
        """Replace all but the symbol of an active GTT."""
        return self._guarded(lambda: self._modify_gtt(gtt_id, request))

    async def cancel_gtt(self, gtt_id: str) -> Outcome:
        """Delete an active GTT."""
        return self._guarded(lambda: self._cancel_gtt(gtt_id))

    def _guarded(self, write: Callable[[], Outcome]) -> Outcome:
        """Where the file fails nobody knows what it holds: Unknown, and it takes no further line."""
        try:
            return write()
        except JournalException as error:
            return Unknown(str(error))

    # --- reads ---
    async def get_orderbook(self) -> Sequence[BrokerOrder]:
        return [order.row() for order in self.book.orders.values()]

    async def get_trades(self) -> Sequence[BrokerFill]:
        return list(self.book.fills)

    async def get_positions(self) -> Sequence[BrokerPosition]:
        """Those that are not flat."""
        return [
            BrokerPosition(symbol, product, lot.quantity, lot.average, self.book.desk(symbol).price)
            for (symbol, product), lot in self.book.positions.items()
            if lot.quantity
        ]

    async def get_holdings(self) -> Sequence[Holding]:
        """Of earlier days: what is bought or sold for delivery today stands in the positions."""
        return [Holding(symbol, lot.quantity, lot.average) for symbol, lot in self.book.holdings.items()]

    async def get_funds(self) -> Funds:
        return self._funds()

    async def get_gtts(self) -> Sequence[Gtt]:
        """Active ones, and those that ended within a week."""
        return [gtt.row() for gtt in self.book.gtts.values()]

    # --- orders ---
    def _funds(self, but: PaperOrder | None = None) -> Funds:
        return funds(self.book, self._settings, self._exchange.instrument, but)

    def _known(self, symbol: str) -> Instrument | None:
        try:
            return self._exchange.instrument(symbol)
        except (TradingException, LookupError):
            return None

    def _objection(
        self, symbol: str, terms: Terms, now: int, but: PaperOrder | None = None
    ) -> Refused | None:
        """Why an order is refused outright, None if it is not."""
        instrument = self._known(symbol)
        if instrument is None:
            return Refused(f"{symbol} is not a known instrument.", "InputException")
        closed = self._can_place(instrument, terms.order_type, now)
        if closed:
            return Refused(closed, "OrderException")
        wrong = fault(terms, instrument, self.book.desk(symbol), self._settings)
        if wrong:
            return Refused(wrong, "InputException")
        if terms.product is Product.CNC and terms.side is Side.SELL:
            done = but.filled if but else 0
            owned = sellable(self.book, symbol, but)
            if terms.quantity - done > owned:
                text = f"Insufficient holdings of {symbol}: {max(0, owned)} can be sold."
                return Refused(text, "HoldingException")
        return None

    def _need(self, symbol: str, terms: Terms, but: PaperOrder | None = None) -> tuple[int, Paise, str]:
        """Opening quantity, price of reckoning, and '' or why the account cannot bear it."""
        left = terms.quantity - (but.filled if but else 0)
        extra = opening(self.book, symbol, terms.product, terms.side, left, but)
        desk = self.book.desk(symbol)
        reference = terms.price or terms.trigger or desk.price or desk.base
        need = margin(self._settings, self._exchange.instrument(symbol), terms.product, extra * reference)
        free = self._funds(but).available
        if need > max(0, free):
            text = f"Required margin is {rupees_text(need)}, available {rupees_text(free)}."
            return extra, reference, f"Insufficient funds. {text}"
        return extra, reference, ""

    def _order(
        self, symbol: str, terms: Terms, tag: str, now: int, extra: int, reference: Paise, why: str = ""
    ) -> PaperOrder:
        priced = terms.order_type in (OrderType.LIMIT, OrderType.SL)
        return PaperOrder(
            order_id=self._exchange.next_order_id(), symbol=symbol, side=terms.side,
            quantity=terms.quantity, product=terms.product, order_type=terms.order_type,
            price=terms.price if priced else 0, trigger=terms.trigger if terms.order_type in STOPS else 0,
            protection=float(terms.protection), tag=tag,
            status=OrderStatus.REJECTED if why else resting_status(terms.order_type), reason=why,
            placed_ns=now, ready_ns=now + self._settings.latency_ns, updated_ns=now, opening=extra,
            reference=reference,
        )  # fmt: skip

    def _add(self, order: PaperOrder) -> str:
        self._exchange.commit(self._exchange.order_line(order), order.order_id)
        return order.order_id

    def _place(self, symbol: str, terms: Terms, tag: str) -> Outcome:
        now = self._clock.now_ns()
        objection = self._objection(symbol, terms, now)
        if objection is not None:
            return objection
        order_id = self._add(self._order(symbol, terms, tag, now, *self._need(symbol, terms)))
        self._meet_now(order_id, now)
        return Accepted(order_id)

    def _meet_now(self, order_id: str, now: int) -> None:
        """Without latency an order meets the last price at once, if there has been one."""
        order = self.book.orders[order_id]
        desk = self.book.desk(order.symbol)
        if desk.live:
            self._exchange.meet(desk, order, now)

    def _modify(
        self,
        order_id: str,
        quantity: int | None,
        order_type: OrderType | None,
        price: Paise | None,
        trigger: Paise | None,
    ) -> Outcome:
        order = self.book.working.get(order_id)
        if order is None:
            return self._not_working(order_id)
        if order.modifications >= self.modification_limit:
            return Refused("Maximum allowed order modifications exceeded.", "OrderException")
        new_type = order_type or order.order_type
        if order.triggered and (new_type in STOPS or trigger not in (None, 0, order.trigger)):
            return Refused("The order has already triggered.", "OrderException")
        terms = self._changed(order, quantity, new_type, price, trigger)
        if terms.quantity < order.filled:
            text = f"Quantity {terms.quantity} is below the {order.filled} filled already."
            return Refused(text, "InputException")
        now = self._clock.now_ns()
        objection = self._objection(order.symbol, terms, now, order)
        if objection is not None:
            return objection
        extra, reference, why = self._need(order.symbol, terms, order)
        if why:
            return Refused(why, "MarginException")
        self._change(order, terms, extra, reference, now)
        return Accepted(order_id)

    def _changed(
        self,
        order: PaperOrder,
        quantity: int | None,
        order_type: OrderType,
        price: Paise | None,
        trigger: Paise | None,
    ) -> Terms:
        """The order as the modification would leave it; prices that the new type has not are dropped."""
        new_price = order.price if price is None else price
        new_trigger = order.trigger if trigger is None else trigger
        return Terms(
            order.side, order.quantity if quantity is None else quantity, order.product, order_type,
            new_price if order_type in (OrderType.LIMIT, OrderType.SL) else 0,
            new_trigger if order_type in STOPS else 0, order.protection,
        )  # fmt: skip

    def _change(self, order: PaperOrder, terms: Terms, extra: int, reference: Paise, now: int) -> None:
        status = OrderStatus.COMPLETE if terms.quantity == order.filled else resting_status(terms.order_type)
        line: Line = {
            "k": "modify", "id": order.order_id, "ts": now, "quantity": terms.quantity,
            "order_type": terms.order_type, "price": terms.price,
            "trigger": order.trigger if order.triggered else terms.trigger, "opening": extra,
            "reference": reference, "ready_ns": now + self._settings.latency_ns, "status": status,
        }  # fmt: skip
        self._exchange.commit(line, order.order_id)
        self._meet_now(order.order_id, now)

    def _cancel(self, order_id: str) -> Outcome:
        order = self.book.working.get(order_id)
        if order is None:
            return self._not_working(order_id)
        self._exchange.cancel(order, self._clock.now_ns(), "cancelled by user")
        return Accepted(order_id)

    def _not_working(self, order_id: str) -> Refused:
        order = self.book.orders.get(order_id)
        if order is None:
            return Refused(f"Order {order_id} does not exist.", "OrderException")
        return Refused(f"Order {order_id} cannot be changed, it is {order.status}.", "OrderException")

    # --- GTT ---
    def _place_gtt(self, request: GttRequest) -> Outcome:
        refused = self._gtt_objection(request)
        if refused is not None:
            return refused
        if sum(gtt.status is GttStatus.ACTIVE for gtt in self.book.gtts.values()) >= GTT_LIMIT:
            return Refused(f"At most {GTT_LIMIT} GTTs can be active.", "OrderException")
        gtt_id = f"G{self.book.gtt_count + 1:06d}"
        fields = self._gtt_fields(gtt_id, request)
        self._exchange.commit({"k": "gtt", "ts": fields["created_ns"], "gtt": fields})
        return Accepted(gtt_id)

    def _gtt_objection(self, request: GttRequest) -> Refused | None:
        symbol = request.instrument.symbol
        instrument = self._known(symbol)
        if instrument is None:
            return Refused(f"{symbol} is not a known instrument.", "InputException")
        wrong = gtt_fault(request, instrument)
        return Refused(wrong, "InputException") if wrong else None

    def _gtt_fields(self, gtt_id: str, request: GttRequest) -> Line:
        now = self._clock.now_ns()
        return {
            "gtt_id": gtt_id, "symbol": request.instrument.symbol, "side": request.side,
            "quantity": request.quantity, "product": request.product,
            "legs": [[leg.trigger, leg.price] for leg in request.legs], "last": request.last_price,
            "created_ns": now, "ready_ns": now + self._settings.latency_ns,
        }  # fmt: skip

    def _active(self, gtt_id: str) -> PaperGtt | Refused:
        gtt = self.book.gtts.get(gtt_id)
        if gtt is None:
            return Refused(f"GTT {gtt_id} does not exist.", "OrderException")
        if gtt.status is not GttStatus.ACTIVE:
            return Refused(f"GTT {gtt_id} cannot be changed, it is {gtt.status}.", "OrderException")
        return gtt

    def _modify_gtt(self, gtt_id: str, request: GttRequest) -> Outcome:
        gtt = self._active(gtt_id)
        if isinstance(gtt, Refused):
            return gtt
        if gtt.symbol != request.instrument.symbol:
            return Refused("The instrument of a GTT cannot be changed.", "InputException")
        refused = self._gtt_objection(request)
        if refused is not None:
            return refused
        fields = self._gtt_fields(gtt_id, request)
        self._exchange.commit({"k": "gtt_modify", "ts": fields["created_ns"], "gtt": fields})
        return Accepted(gtt_id)

    def _cancel_gtt(self, gtt_id: str) -> Outcome:
        gtt = self._active(gtt_id)
        if isinstance(gtt, Refused):
            return gtt
        self._exchange.commit({"k": "gtt_cancel", "id": gtt_id, "ts": self._clock.now_ns()})
        return Accepted(gtt_id)

    def _place_leg(self, gtt: PaperGtt, k: int, ts: int) -> None:
        """A leg's trigger was reached: its limit order, or why there is none; the other leg is void."""
        now = ts if self._away else max(ts, self._clock.now_ns())
        price = gtt.legs[k].price
        terms = Terms(gtt.side, gtt.quantity, gtt.product, OrderType.LIMIT, price, 0, -1.0)
        line: Line = {"k": "gtt_trigger", "id": gtt.gtt_id, "leg": k, "ts": now, "reason": ""}
        objection = self._objection(gtt.symbol, terms, now)
        if objection is not None:
            self._exchange.commit({**line, "reason": objection.reason})
            return
        extra, reference, why = self._need(gtt.symbol, terms)
        # Placed by the broker on this very tick, so it may meet this tick, whatever the wall clock says.
        order = replace(
            self._order(gtt.symbol, terms, "", now, extra, reference, why),
            ready_ns=ts + self._settings.latency_ns,
        )
        line = {**self._exchange.order_line(order), **line, "reason": why}
        self._exchange.commit(line, order.order_id)
        self._meet_now(order.order_id, ts)
