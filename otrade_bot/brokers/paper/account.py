"""What an order needs and what the account has left. Simplified margins, stated below; all in paise."""

from __future__ import annotations

from otrade_bot.brokers.paper.book import Book
from otrade_bot.brokers.paper.records import PaperOrder
from otrade_bot.brokers.paper.settings import InstrumentOf, PaperSettings
from otrade_bot.core.model import Funds, Instrument, InstrumentKind, Product, Side
from otrade_bot.core.money import Paise

__all__ = ["funds", "margin", "opening", "sellable"]

_NRML_FUTURE = 5  # 20 % of the value


def margin(settings: PaperSettings, instrument: Instrument, product: Product, value: Paise) -> Paise:
    """Options: the whole premium. Intraday: value over the leverage. NRML futures: 20 %. Delivery: all."""
    if instrument.kind is InstrumentKind.OPTION:
        return value
    if product.intraday:
        return -(-value // settings.mis_leverage)
    if product is Product.NRML and instrument.kind is InstrumentKind.FUTURE:
        return -(-value // _NRML_FUTURE)
    return value


def opening(
    book: Book, symbol: str, product: Product, side: Side, quantity: int, but: PaperOrder | None = None
) -> int:
    """The part of a new (or changed, ``but``) order that is not covered by an open position against it."""
    if product is Product.CNC and side is Side.SELL:
        return 0  # only what is owned can be sold
    against = max(0, -side * book.net(symbol, product))
    taken = _working(book, symbol, product, side, but)
    return max(0, quantity - max(0, against - taken))


def sellable(book: Book, symbol: str, but: PaperOrder | None = None) -> int:
    """Delivery shares that can be sold: position and holding, less what is on sale already."""
    owned = book.net(symbol, Product.CNC) + book.holding(symbol)
    return owned - _working(book, symbol, Product.CNC, Side.SELL, but)


def funds(book: Book, settings: PaperSettings, of: InstrumentOf, but: PaperOrder | None = None) -> Funds:
    """Available and used. Leaves out the reservation of ``but``, an order about to be changed.

    Delivery moves its full value; elsewhere the value is given back and margin held instead.
    """
    available, used = book.cash, 0
    for (symbol, product), lot in book.positions.items():
        if product is Product.CNC:
            used += max(0, lot.signed_cost)
            continue
        held = margin(settings, of(symbol), product, lot.cost)
        available += lot.signed_cost - held
        used += held
    for order in book.working.values():
        if order is not but:
            held = margin(settings, of(order.symbol), order.product, order.reserved)
            available -= held
            used += held
    return Funds(available, used)


def _working(book: Book, symbol: str, product: Product, side: Side, but: PaperOrder | None) -> int:
    orders = book.desk(symbol).orders
    return sum(o.left for o in orders if o is not but and o.product is product and o.side is side)
