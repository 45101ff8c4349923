"""Orders meet prices. Every change is a durable line in the book before anybody hears of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from otrade_bot.brokers.paper.book import VERSION, Book, Line
from otrade_bot.brokers.paper.records import STOPS, Desk, PaperGtt, PaperOrder
from otrade_bot.brokers.paper.settings import ChargeOf, InstrumentOf, PaperSettings
from otrade_bot.core.jsonlines import LineLog
from otrade_bot.core.model import BrokerOrder, Instrument, InstrumentKind, OrderStatus, OrderType
from otrade_bot.core.money import Paise
from otrade_bot.kernel.fills import fill_price, protected, protection_ppm, takeable, triggered
from otrade_bot.kernel.quotes import Quote

__all__ = ["Exchange", "QuoteOf"]

UNBOUNDED = 1 << 60
PlaceLeg = Callable[[PaperGtt, int, int], None]
QuoteOf = Callable[[str], Quote | None]


class Exchange:
    """The book, its file, and the matching that ``kernel.replay`` does in compiled code.

    ``tell`` hears of every change of an order. It may place, modify and cancel in turn: each step of the
    matching reads the order anew.
    """

    def __init__(
        self,
        path: Path,
        instruments: InstrumentOf,
        settings: PaperSettings,
        charge: ChargeOf | None,
        tell: Callable[[BrokerOrder], None],
    ) -> None:
        self.log = LineLog(path)
        try:
            self.book = Book.read(path)
            if self.book.lines == 0:
                self.commit({"k": "open", "version": VERSION, "cash": settings.cash})
        except BaseException:
            self.log.close()
            raise
        self.settings = settings
        self._participation = round(settings.participation * 1_000_000)
        self._of = instruments
        self._known: dict[str, Instrument] = {}
        self._charge = charge
        self._tell = tell
        self._desks = self.book.desks
        self._quote_of: QuoteOf = lambda symbol: None

    def instrument(self, symbol: str) -> Instrument:
        """Looked up once. Raises what the given look-up raises."""
        found = self._known.get(symbol)
        if found is None:
            found = self._known[symbol] = self._of(symbol)
        return found

    def commit(self, line: Line, order_id: str = "", *, durable: bool = True) -> None:
        """Write, apply, report the order it is about. Raises JournalException with nothing changed."""
        self.log.append(line, durable=durable)
        self.book.apply(line)
        if order_id:
            self._tell(self.book.orders[order_id].row())

    def follow(self, quote_of: QuoteOf) -> None:
        """Prices that meet no order here need not be told: they are read there, where somebody asks."""
        self._quote_of, self.book.fresh = quote_of, self._look

    def _look(self, symbol: str, desk: Desk) -> None:
        """What has passed unheard since, if anything has."""
        q = self._quote_of(symbol)
        if q is None or q.last_ts == desk.seen:
            return
        if q.before_ts != desk.seen:  # more than one
            desk.volume = q.before
            desk.base = desk.base or q.first
        desk.seen = q.last_ts
        self._see(desk, q.last_ts, q.last, q.volume)

    def _know(self, symbol: str, desk: Desk) -> None:
        """The price that is told now is in the table already; what was there before it may have passed unheard."""
        q = self._quote_of(symbol)
        if q is None:
            return
        if q.before_ts != desk.seen:
            desk.volume = q.before
            if not desk.live:
                desk.live, desk.base = True, desk.base or q.first
        desk.seen = q.last_ts

    def on_price(self, symbol: str, ts: int, price: Paise, volume: int, trigger: PlaceLeg) -> None:
        """One accepted tick; ``volume`` is the day's so far, 0 where the day has none."""
        desk = self._desks.get(symbol)
        if desk is None:
            desk = self.book.desks[symbol] = Desk()
        self._know(symbol, desk)
        self._see(desk, ts, price, volume)
        if desk.orders or desk.gtts:
            self._work(desk, ts, price, trigger)

    def resume(self, symbol: str, ts: int, price: Paise, volume: int) -> None:
        """A price of the past that this book has lived through already: known again, met by nothing."""
        desk = self.book.desks.setdefault(symbol, Desk())
        self._know(symbol, desk)
        if ts > desk.ts:  # else the book itself tells what was left of that moment's volume
            self._see(desk, ts, price, volume)
        desk.live = True

    def catch_up(self, symbol: str, ts: int, price: Paise, volume: int, trigger: PlaceLeg) -> None:
        """A price of which it is not known whether this book has lived through it.

        Up to the symbol's mark it has. Later ones are met, perhaps once more: that changes nothing, since
        what a price causes is a line, and an order meets no price before its own last line. The mark's own
        moment is met again with what the book says was left of its volume: a kill may have parted its lines.
        """
        desk = self.book.desk(symbol)
        if ts > desk.ts:
            self.on_price(symbol, ts, price, volume, trigger)
            return
        desk.live = True
        if (ts, price, volume) == (desk.ts, desk.price, desk.volume):
            self._work(desk, ts, price, trigger)

    def _see(self, desk: Desk, ts: int, price: Paise, volume: int) -> None:
        if volume:
            desk.available = takeable(volume - desk.volume, self._participation)
        else:
            desk.available = UNBOUNDED
        desk.ts = ts
        desk.price = price
        desk.volume = volume
        if not desk.live:
            desk.live = True
            desk.base = desk.base or price

    def _work(self, desk: Desk, ts: int, price: Paise, trigger: PlaceLeg) -> None:
        """Over copies: what is placed meanwhile has met this price already, what has ended is skipped."""
        for order in tuple(desk.orders):
            self.meet(desk, order, ts)
        for gtt in tuple(desk.gtts):
            if gtt in desk.gtts and self._later(gtt, ts):
                leg = gtt.reached(price)
                if leg >= 0:
                    trigger(gtt, leg, ts)

    def _later(self, gtt: PaperGtt, ts: int) -> bool:
        """A GTT goes off at a price that comes later than the moment at which it was set."""
        return ts >= gtt.ready_ns and ts > gtt.ready_ns - self.settings.latency_ns

    def meet(self, desk: Desk, order: PaperOrder, ts: int) -> None:
        """Let an order meet the desk's price: go off, get its limit, fill. None from before its last change."""
        while not order.status.final and ts >= order.ready_ns and ts >= order.updated_ns:
            if order.waits:
                if not triggered(order.side, order.trigger, desk.price):
                    return
                self._go_off(desk, order, ts)
            elif order.taker is None:
                self._first_meeting(desk, order, ts)
            else:
                self._fill(desk, order, ts)
                return

    def _go_off(self, desk: Desk, order: PaperOrder, ts: int) -> None:
        line: Line = {"k": "trigger", "id": order.order_id, "ts": ts, "price": order.price, "taker": None}
        if order.order_type is OrderType.SL_M:
            line.update(price=self._limit(desk, order), taker=True)
        self.commit(line, order.order_id)

    def _first_meeting(self, desk: Desk, order: PaperOrder, ts: int) -> None:
        """A limit that the price does not meet yet rests from now on and will fill at its own price."""
        line: Line = {"k": "met", "id": order.order_id, "ts": ts, "price": order.price, "taker": True}
        if order.order_type is OrderType.MARKET:
            line.update(price=self._limit(desk, order))
            self.commit(line, order.order_id)
            return
        line.update(taker=fill_price(order.side, order.price, 1, desk.price, 0, 1) > 0)
        self.commit(line, durable=False)  # invisible outside, so nobody is told

    def _limit(self, desk: Desk, order: PaperOrder) -> Paise:
        """Where market protection puts the limit."""
        instrument = self.instrument(order.symbol)
        if order.protection > 0:
            ppm = round(order.protection * 10_000)
        else:
            ppm = protection_ppm(desk.price, instrument.kind is InstrumentKind.OPTION)
        return protected(order.side, desk.price, ppm, instrument.tick)

    def _fill(self, desk: Desk, order: PaperOrder, ts: int) -> None:
        """As far as price and traded volume allow, in whole lots."""
        instrument = self.instrument(order.symbol)
        taker = 1 if order.taker else 0
        price = fill_price(
            order.side, order.price, taker, desk.price, self.settings.slip_ppm, instrument.tick
        )
        quantity = min(order.left, desk.available // instrument.lot * instrument.lot)
        if price > 0 and quantity > 0:
            self.fill(desk, order, ts, quantity, price, desk.available - quantity)

    def fill(
        self, desk: Desk, order: PaperOrder, ts: int, quantity: int, price: Paise, available: int
    ) -> None:
        """Book a fill; ``available`` is the volume that it leaves to others."""
        mark = desk.mark()
        mark[3] = available
        charge = 0
        if self._charge is not None:
            value = order.value + quantity * price
            charge = self._charge(order.symbol, order.product, order.side, value) - order.charged
        line: Line = {
            "k": "fill", "id": order.order_id, "trade": f"T{self.book.trade_count + 1:06d}", "ts": ts,
            "quantity": quantity, "price": price, "charge": charge, "mark": mark,
        }  # fmt: skip
        self.commit(line, order.order_id)

    def order_line(self, order: PaperOrder) -> Line:
        """The line of a new order."""
        mark = self.book.desk(order.symbol).mark()
        return {"k": "order", "ts": order.placed_ns, "order": asdict(order), "mark": mark}

    def next_order_id(self) -> str:
        return f"P{self.book.order_count + 1:06d}"

    def cancel(self, order: PaperOrder, ts: int, reason: str) -> None:
        """End a working order."""
        self.commit({"k": "cancel", "id": order.order_id, "ts": ts, "reason": reason}, order.order_id)


def resting_status(order_type: OrderType) -> OrderStatus:
    """The state in which an order of this type begins."""
    return OrderStatus.TRIGGER_PENDING if order_type in STOPS else OrderStatus.OPEN
