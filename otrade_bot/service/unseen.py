"""A day that nobody saw to its end: it is lived through at the exchange before the next one begins."""

from __future__ import annotations

from otrade_bot.core.errors import DataException
from otrade_bot.core.money import rupees_text
from otrade_bot.service.accounts import PaperAccount
from otrade_bot.service.day import prices, stream_of
from otrade_bot.service.desk import Desk
from otrade_bot.service.prices import PriceSource

__all__ = ["live_through"]


def live_through(desk: Desk, source: PriceSource) -> str:
    """Where the book's day lies before the desk's and orders or intraday positions are still open on it: the rest of
    its prices meet them, then its close. What to tell, '' where nothing was open. Raises BrokerException,
    JournalException. A real exchange needs nobody to live through its days.
    """
    if not isinstance(desk.account, PaperAccount):
        return ""
    engine, broker, book = desk.engine, desk.account.broker, desk.account.broker.book
    day = book.day
    held = {symbol for (symbol, product), lot in book.positions.items() if product.intraday and lot.quantity}
    symbols = held | {order.symbol for order in book.working.values()}
    if day is None or day >= desk.day or not symbols:
        return ""
    seen, known = len(book.fills), ""
    try:
        engine.prepare(day)
        files = source.ticks(day, sorted(symbols & set(engine.by_symbol)))
        if not files:
            raise DataException("no longer in the settings")
        broker.catch_up(desk.accepted(prices(stream_of(files, day, engine)[0])))
    except (DataException, ValueError) as error:
        known = f" Its prices are not known ({error}), so the last one seen was taken."
    report, broker.report = broker.report, lambda told: None  # of a day that this engine never traded
    try:
        broker.end_day()
    finally:
        broker.report = report
    done = ", ".join(
        f"{fill.side.name} {fill.quantity} {fill.symbol} at {rupees_text(fill.price)}" for fill in book.fills[seen:]
    )
    return f"{day:%d %b %Y} was not seen to its end, and has no report. At the exchange meanwhile: " \
           f"{done or 'its orders ended'}.{known}"  # fmt: skip
