"""Kite behind the one interface: REST. Writes end as outcomes, reads are whole or raise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from otrade_bot.brokers.base import BrokerInterface
from otrade_bot.brokers.kite.calls import Failed, failed, judged, tried
from otrade_bot.brokers.kite.client import KiteSettings, Lanes, Token
from otrade_bot.brokers.kite.history import chunks, history, kite_interval
from otrade_bot.brokers.kite.wire import (
    FOREIGN,
    PROTECTED,
    fill_of,
    funds_of,
    gtt_fields,
    gtt_of,
    holding_of,
    instruments_of,
    modify_fields,
    order_of,
    place_fields,
    position_of,
    quote_of,
    request_fault,
    tag_of,
)
from otrade_bot.brokers.outcomes import doubtful, said
from otrade_bot.brokers.pace import Pace, rest, tries
from otrade_bot.brokers.quotes import Candles, MarketQuote
from otrade_bot.core.errors import BrokerException, TokenException
from otrade_bot.core.model import (
    Accepted,
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    Funds,
    Gtt,
    GttRequest,
    Holding,
    Instrument,
    OrderRequest,
    OrderType,
    Outcome,
    Refused,
    Unknown,
)
from otrade_bot.core.money import Paise

__all__ = ["KiteBroker"]

T = TypeVar("T")
Row = Mapping[str, Any]
QUOTES_AT_ONCE = 500
#: Code of a refusal of our own: nothing was sent.
NOT_SENT = "not_sent"


class KiteBroker(BrokerInterface):
    """One Kite account over REST. Order updates come in by ``on_order_update``, from whoever hears them.

    ``set_aside`` keeps, by kind of read, the rows that our model has no words for (cover orders, MTF), as
    lines for humans: they are nobody's of ours.
    """

    name = "kite"
    gtt_distance_percent = 0.25
    gtt_pace_seconds = 30.0

    def __init__(self, settings: KiteSettings) -> None:
        super().__init__()
        self._settings = settings
        self._token = Token(settings.access_token)
        self._algo = {"algo_id": settings.algo_id} if settings.algo_id else {}
        self._orders = Lanes(settings, self._token, settings.writers, "kite-orders")
        self._reads = Lanes(settings, self._token, settings.readers, "kite-reads")
        self._kinds: dict[str, tuple[OrderType, float]] = {}  #: type and protection of the orders we know
        self._changes: dict[str, int] = {}  #: modifications that we have sent
        self.set_aside: dict[str, tuple[str, ...]] = {}
        self.pace: Pace | None = None  #: of reads, where somebody counts them

    def set_access_token(self, token: str) -> None:
        """The day's token; the next request bears it."""
        self._token.set(token)

    async def aclose(self) -> None:
        """Wait for what is under way, then close the connections. Writes after that are Unknown."""
        await asyncio.gather(self._orders.close(), self._reads.close())

    async def keep_warm(self) -> None:
        """A harmless request on the connection that the next order takes. Raises BrokerException.

        Called more often than ``fresh`` seconds, it spares that order a handshake.
        """
        await self._once(self._orders, "profile", lambda kite: kite.profile())

    async def session_fault(self) -> str:
        """Why Kite would take no order of ours now; '' where it would. Raises BrokerException."""
        if not self._token.value:
            return "no access token: log in"
        try:
            await self._read("profile", lambda kite: kite.profile())
        except TokenException as error:
            return str(error)
        return ""

    # --- writes ---
    async def place(self, request: OrderRequest) -> Outcome:
        """A regular day order. Refused here, unsent, where Kite has no words for it."""
        fault = request_fault(request)
        if fault:
            return Refused(fault, NOT_SENT)
        fields = place_fields(request) | self._algo
        outcome = await self._write(lambda kite: kite.place_order(**fields))
        if isinstance(outcome, Accepted):
            self._kinds[outcome.order_id] = (request.order_type, request.protection)
        return outcome

    async def modify(
        self,
        order_id: str,
        *,
        quantity: int | None = None,
        order_type: OrderType | None = None,
        price: Paise | None = None,
        trigger: Paise | None = None,
    ) -> Outcome:
        """Change a working order; what is None stays. Market protection goes along wherever Kite wants it."""
        protection = self._protection(order_id, order_type, price, trigger)
        fields = modify_fields(order_id, quantity, order_type, price, trigger, protection)
        before = self._changes.get(order_id, 0)
        self._changes[order_id] = before + 1
        outcome = await self._write(lambda kite: kite.modify_order(**fields))
        if isinstance(outcome, Refused):
            self._changes[order_id] -= 1
        elif order_type is not None and isinstance(outcome, Accepted):
            self._kinds[order_id] = (order_type, protection or -1.0)
        return outcome

    def _protection(
        self, order_id: str, order_type: OrderType | None, price: Paise | None, trigger: Paise | None
    ) -> float | None:
        """What a modification must say of it; an order we have never seen is judged by what changes."""
        kind, percent = self._kinds.get(order_id, (None, -1.0))
        kind = order_type or kind
        if kind is None:
            return percent if trigger is not None and price is None else None
        return percent if kind in PROTECTED else None

    async def cancel(self, order_id: str) -> Outcome:
        """Cancel a working order."""
        return await self._write(lambda kite: kite.cancel_order("regular", order_id))

    async def place_gtt(self, request: GttRequest) -> Outcome:
        """One leg or two (OCO)."""
        return await self._gtt(request, lambda kite, fields: kite.place_gtt(**fields))

    async def modify_gtt(self, gtt_id: str, request: GttRequest) -> Outcome:
        """Replace all of an active GTT."""
        return await self._gtt(request, lambda kite, fields: kite.modify_gtt(gtt_id, **fields))

    async def _gtt(self, request: GttRequest, call: Callable[[Any, dict[str, Any]], object]) -> Outcome:
        try:
            fields = gtt_fields(request)
        except ValueError as error:
            return Refused(str(error), NOT_SENT)
        return await self._write(lambda kite: call(kite, fields))

    async def cancel_gtt(self, gtt_id: str) -> Outcome:
        """Delete an active GTT."""
        return await self._write(lambda kite: kite.delete_gtt(gtt_id))

    async def _write(self, call: Callable[[Any], object]) -> Outcome:
        """Sent once at most, and answered within the deadline: by Kite or with Unknown."""
        try:
            work = self._orders.run(partial(judged, call))
        except RuntimeError as error:  # closed
            return Unknown(said(str(error)))
        try:
            done, _ = await asyncio.wait({work}, timeout=self._settings.deadline)
        finally:
            work.cancel()  # what has not begun is not sent any more, and what nobody waits for is printed by nobody
        if not done:
            return Unknown(f"no answer within {self._settings.deadline:g} s")
        if work.cancelled():
            return Unknown("the broker was closed before it was sent")
        wrong = work.exception()
        return work.result() if wrong is None else doubtful(wrong)

    # --- reads ---
    async def get_orderbook(self) -> Sequence[BrokerOrder]:
        """Today's orders, oldest first. Raises BrokerException also for one tagged row it cannot read."""
        found = await self._read("order book", lambda kite: self._rows("orders", kite.orders(), self._order))
        for order in found:
            self._kinds[order.order_id] = (order.order_type, self._kinds.get(order.order_id, (None, -1.0))[1])
        return sorted(found, key=lambda order: order.placed_ns)

    async def order_history(self, order_id: str) -> Sequence[BrokerOrder]:
        """Every state the order was in, oldest first. Raises BrokerException, also for an unknown order."""
        return await self._read(
            "order history", lambda kite: self._rows("history", kite.order_history(order_id), self._order)
        )

    async def get_trades(self) -> Sequence[BrokerFill]:
        """Today's fills, oldest first."""
        found = await self._read("trades", lambda kite: self._rows("trades", kite.trades(), fill_of))
        return sorted(found, key=lambda fill: fill.ts_ns)

    async def get_positions(self) -> Sequence[BrokerPosition]:
        """Net positions that are not flat."""
        found = await self._read(
            "positions", lambda kite: self._rows("positions", kite.positions()["net"], position_of)
        )
        return [position for position in found if position.quantity]

    async def get_holdings(self) -> Sequence[Holding]:
        """Shares of earlier days, on their way or delivered."""
        return await self._read("holdings", lambda kite: self._rows("holdings", kite.holdings(), holding_of))

    async def get_funds(self) -> Funds:
        """Of the equity segment, derivatives of shares included."""
        return await self._read("funds", lambda kite: funds_of(kite.margins("equity")))

    async def get_gtts(self) -> Sequence[Gtt]:
        """Active ones, and those that ended within a week."""
        return await self._read("GTTs", lambda kite: self._rows("gtts", kite.get_gtts(), gtt_of))

    async def quotes(self, symbols: Iterable[str]) -> dict[str, MarketQuote]:
        """By symbol; one that Kite does not know is missing. Raises BrokerException. 500 a request."""
        wanted, found = list(dict.fromkeys(symbols)), dict[str, MarketQuote]()
        for at in range(0, len(wanted), QUOTES_AT_ONCE):
            part = wanted[at : at + QUOTES_AT_ONCE]
            found |= await self._read("quotes", partial(_quotes, part))
        return found

    async def candles(self, instrument: Instrument, interval: str, from_ns: int, to_ns: int) -> Candles:
        """Candles that begin within [from, to] (ns UTC), oldest first, in as many requests as Kite's spans ask for.

        ``interval``: 1m, 3m, 5m, 10m, 15m, 30m, 60m, day. Raises ValueError for another, BrokerException.
        """
        word, parts = kite_interval(interval), []
        for start, end in chunks(interval, from_ns, to_ns):
            ask = partial(history, instrument.token, start, end, word)
            parts.append(await self._read("candles", ask))
        return Candles.of(parts)

    async def instruments(self, *exchanges: str) -> list[Instrument]:
        """The day's instruments of these exchanges, of all where none is named. Raises BrokerException.

        Shares are known to trade in the closing auction only where NFO is among them.
        """
        return await self._read("instruments", partial(_instruments, exchanges or (None,)))

    async def _read(self, what: str, call: Callable[[Any], T]) -> T:
        """Asked again a bounded number of times where that may help; more often where Kite is only busy."""
        attempt = 0
        while isinstance(found := await self._paced(what, call), Failed):
            if not found.passing or attempt >= tries(self._settings.retries, self.pace, busy=found.busy):
                raise found.error
            await rest(attempt, self._settings.backoff)
            attempt += 1
        return found

    async def _paced(self, what: str, call: Callable[[Any], T]) -> T | Failed:
        if self.pace is not None:
            await self.pace.turn(what)
        return await self._asked(self._reads, what, call)

    async def _once(self, lanes: Lanes, what: str, call: Callable[[Any], T]) -> T:
        found = await self._asked(lanes, what, call)
        if isinstance(found, Failed):
            raise found.error
        return found

    async def _asked(self, lanes: Lanes, what: str, call: Callable[[Any], T]) -> T | Failed:
        try:
            work = lanes.run(partial(tried, what, call))
        except RuntimeError as error:  # closed
            return Failed(BrokerException(said(f"kite {what}: {error}")), passing=False)
        try:
            done, _ = await asyncio.wait({work}, timeout=self._settings.deadline)
        finally:
            work.cancel()
        if not done:
            late = f"kite {what}: no answer within {self._settings.deadline:g} s"
            return Failed(BrokerException(late), passing=True)
        if work.cancelled():
            return Failed(BrokerException(f"kite {what}: the broker was closed"), passing=False)
        wrong = work.exception()
        return work.result() if wrong is None else failed(what, wrong, None)

    # --- rows ---
    def on_order_update(self, row: Row) -> None:
        """One update as Kite's order stream or a postback carries it: told to ``report``.

        Raises BrokerException for one that cannot be read.
        """
        try:
            order = self._order(row)
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
            raise BrokerException(said(f"kite order update: {type(error).__name__}: {error}")) from None
        if order is not None:
            self.report(order)

    def _order(self, row: Row) -> BrokerOrder | None:
        found = order_of(row, self._changes.get(str(row["order_id"]), 0))
        if found is None and tag_of(row) and row["product"] not in FOREIGN:  # it might be ours
            raise ValueError(f"order {row['order_id']} bears a tag and words nobody knows")
        return found

    def _rows(self, kind: str, rows: object, read: Callable[[Row], T | None]) -> list[T]:
        if not isinstance(rows, list):  # an empty object must not pass for an empty book
            raise TypeError(f"a list belongs here, not {type(rows).__name__}")
        found, aside = [], []
        for row in rows:
            one = read(row)
            if one is not None:
                found.append(one)
            else:
                aside.append(_words(row))
        self.set_aside[kind] = tuple(aside)
        return found


def _quotes(symbols: list[str], kite: Any) -> dict[str, MarketQuote]:
    return {symbol: quote_of(symbol, row) for symbol, row in kite.quote(*symbols).items()}


def _instruments(exchanges: Sequence[str | None], kite: Any) -> list[Instrument]:
    found = instruments_of(row for exchange in exchanges for row in kite.instruments(exchange))
    if not found:
        raise ValueError("the list is empty")
    return found


def _words(row: Row) -> str:
    names = ("order_id", "id", "exchange", "tradingsymbol", "transaction_type", "product", "order_type", "quantity")
    return said(" ".join(str(row[name]) for name in names if row.get(name)))
