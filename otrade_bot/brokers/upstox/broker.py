"""Upstox behind the one interface: REST. Writes end as outcomes, reads are whole or raise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import ROUND_UP, Decimal
from typing import Any

from otrade_bot.brokers.base import BrokerInterface
from otrade_bot.brokers.pace import Pace
from otrade_bot.brokers.quotes import Candles, MarketQuote
from otrade_bot.brokers.upstox import market, rows
from otrade_bot.brokers.upstox.wire import UpstoxSettings, Wire
from otrade_bot.core.clock import DAY, ist_date, midnight_ns
from otrade_bot.core.errors import BrokerException, TokenException
from otrade_bot.core.model import (
    Accepted,
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    Funds,
    Gtt,
    GttLeg,
    GttRequest,
    Holding,
    Instrument,
    OrderRequest,
    OrderType,
    Outcome,
    Product,
    Refused,
    Side,
    Unknown,
)
from otrade_bot.core.money import Paise, rupees

__all__ = ["UpstoxBroker"]

VERSION = "2.0"
QUOTES_AT_ONCE = 500
PRODUCTS = {Product.MIS: "I", Product.CNC: "D", Product.NRML: "D"}
_PROTECTED = frozenset({OrderType.MARKET, OrderType.SL_M})
_PRICED = frozenset({OrderType.LIMIT, OrderType.SL})
_STOPS = frozenset({OrderType.SL, OrderType.SL_M})


class UpstoxBroker(BrokerInterface):
    """One account. ``keys``: instrument key by symbol, from Upstox's instruments file.

    Order updates come in by ``on_order_update``, from whoever hears them. Nothing is sent twice; nothing
    blocks the loop. Raises ConfigException where Upstox's client does not take its settings.
    """

    name = "upstox"
    two_leg_gtt = False
    gtt_pace_seconds = 30.0

    def __init__(self, keys: Mapping[str, str], settings: UpstoxSettings, token: str) -> None:
        super().__init__()
        self._settings = settings
        self._names = rows.Names(keys)
        self._wire = Wire(settings, token)
        self._algo = {"algo_name": settings.algo_name} if settings.algo_name else {}

    async def aclose(self) -> None:
        """Wait for what is under way, then close the connections. Writes after that are Unknown."""
        await self._wire.close()

    @property
    def pace(self) -> Pace | None:
        """Of reads, where somebody counts them."""
        return self._wire.pace

    @pace.setter
    def pace(self, pace: Pace | None) -> None:
        self._wire.pace = pace

    def learn(self, keys: Mapping[str, str]) -> None:
        """Today's instrument keys by symbol."""
        self._names = rows.Names(keys)

    def set_access_token(self, token: str) -> None:
        """The day's token; the next request bears it."""
        self._wire.set_access_token(token)

    def on_order_update(self, row: rows.Row) -> None:
        """One update as Upstox's portfolio stream carries it: told to ``report``.

        Raises BrokerException for one that cannot be read.
        """
        self.report(rows.order(row, self._names))

    async def keep_warm(self) -> None:
        """A harmless request to the order host, so that the next order finds a connection. Raises BrokerException."""
        await self._wire.keep_warm()

    async def session_fault(self) -> str:
        """Asks for the profile. Raises BrokerException where that brings no answer."""
        if not self._wire.token:
            return "no access token: log in to Upstox"
        try:
            profile = await self._wire.read("profile", self._wire.user.get_profile, VERSION)
        except TokenException as error:
            return str(error)
        active = not isinstance(profile, dict) or profile.get("is_active") is not False
        return "" if active else "Upstox says that the account is not active"

    # --- writes ---
    async def place(self, request: OrderRequest) -> Outcome:
        """MARKET and SL-M carry market protection; without any they are refused here."""
        key = self._names.key(request.instrument.symbol)
        if key is None:
            return _unlisted(request.instrument.symbol)
        kind = request.order_type
        if kind in _PROTECTED and request.protection == 0:
            return Refused("Market orders without market protection are not allowed.")
        body = self._wire.sdk.PlaceOrderV3Request(
            quantity=request.quantity, product=PRODUCTS[request.product], validity="DAY",
            price=rupees(request.price) if kind in _PRICED else 0.0, tag=request.tag, slice=False,
            instrument_token=key, order_type=kind.value, transaction_type=request.side.name, disclosed_quantity=0,
            trigger_price=rupees(request.trigger) if kind in _STOPS else 0.0, is_amo=False,
            market_protection=request.protection if kind in _PROTECTED else None,
        )  # fmt: skip
        return await self._wire.write(self._wire.orders.place_order, body, **self._algo)

    async def modify(
        self,
        order_id: str,
        *,
        quantity: int | None = None,
        order_type: OrderType | None = None,
        price: Paise | None = None,
        trigger: Paise | None = None,
    ) -> Outcome:
        """Upstox wants type, price and trigger in every change: what is not given is read from the order first.

        Where that reading fails nothing was sent, yet the outcome is Unknown unless Upstox said no.
        """
        if not _complete(order_type, price, trigger):
            order = await self._now(order_id)
            if not isinstance(order, BrokerOrder):
                return order
            order_type = order_type or order.order_type
            price = order.price if price is None else price
            trigger = order.trigger if trigger is None else trigger
        assert order_type is not None
        body = self._wire.sdk.ModifyOrderRequest(
            quantity=quantity, validity="DAY", order_id=order_id, order_type=order_type.value,
            price=rupees(price or 0) if order_type in _PRICED else 0.0,
            trigger_price=rupees(trigger or 0) if order_type in _STOPS else 0.0,
            market_protection=self._settings.protection if order_type in _PROTECTED else None,
        )  # fmt: skip
        return await self._wire.write(self._wire.orders.modify_order, body, **self._algo)

    async def cancel(self, order_id: str) -> Outcome:
        return await self._wire.write(self._wire.orders.cancel_order, order_id, **self._algo)

    async def place_gtt(self, request: GttRequest) -> Outcome:
        """A SINGLE GTT whose ENTRY rule is the leg: SELL BELOW guards shares that are held.

        Upstox's TARGET and STOPLOSS rules only follow an ENTRY of the same GTT, so two legs over a holding do not
        exist there: of two the first, the stop, is placed and the second is left to whoever watches the price
        (``two_leg_gtt`` is False). The leg is a LIMIT order; its price goes as market protection in percent.
        """
        key = self._names.key(request.instrument.symbol)
        if key is None:
            return _unlisted(request.instrument.symbol)
        body = self._wire.sdk.GttPlaceOrderRequest(
            type="SINGLE", quantity=request.quantity, product=PRODUCTS[request.product], rules=[self._rule(request)],
            instrument_token=key, transaction_type=request.side.name,
        )  # fmt: skip
        return await self._wire.write(self._wire.orders.place_gtt_order, body, **self._algo)

    async def modify_gtt(self, gtt_id: str, request: GttRequest) -> Outcome:
        """Quantity and trigger; instrument, side and product stay."""
        body = self._wire.sdk.GttModifyOrderRequest(
            type="SINGLE", quantity=request.quantity, rules=[self._rule(request)], gtt_order_id=gtt_id
        )
        return await self._wire.write(self._wire.orders.modify_gtt_order, body, **self._algo)

    async def cancel_gtt(self, gtt_id: str) -> Outcome:
        body = self._wire.sdk.GttCancelOrderRequest(gtt_order_id=gtt_id)
        return await self._wire.write(self._wire.orders.cancel_gtt_order, body, **self._algo)

    def _rule(self, request: GttRequest) -> Any:
        leg = request.legs[0]
        return self._wire.sdk.GttRule(
            strategy="ENTRY", trigger_type="BELOW" if leg.trigger < request.last_price else "ABOVE",
            trigger_price=rupees(leg.trigger), market_protection=_room(leg, request.side, self._settings.protection),
        )  # fmt: skip

    async def _now(self, order_id: str) -> BrokerOrder | Outcome:
        """The order as it stands. Of a failed reading: how the change ends that needed it."""
        found = await self._wire.look("order", self._wire.books.get_order_status, order_id=order_id)
        if isinstance(found, Accepted | Refused | Unknown):
            return found
        try:
            return rows.order(found if isinstance(found, dict) else {}, self._names)
        except BrokerException as error:
            return Unknown(str(error))

    # --- reads ---
    async def get_orderbook(self) -> Sequence[BrokerOrder]:
        """Each ``value`` is the average price × quantity; Upstox does not count modifications."""
        found = await self._list("order book", self._wire.books.get_order_book, VERSION)
        return sorted((rows.order(row, self._names) for row in found), key=lambda o: (o.placed_ns, o.order_id))

    async def order_history(self, order_id: str) -> Sequence[BrokerOrder]:
        """Every state that the order was in, oldest first. Raises BrokerException, also for an unknown order."""
        call = self._wire.books.get_order_details
        found = await self._wire.read("order history", call, VERSION, order_id=order_id)
        states = [rows.order(row, self._names) for row in rows.rows("order history", found)]
        return sorted(states, key=lambda o: o.updated_ns)

    async def get_trades(self) -> Sequence[BrokerFill]:
        found = await self._list("trades", self._wire.books.get_trade_history, VERSION)
        return sorted((rows.fill(row, self._names) for row in found), key=lambda f: (f.ts_ns, f.trade_id))

    async def get_positions(self) -> Sequence[BrokerPosition]:
        """Those that are not flat."""
        found = await self._list("positions", self._wire.portfolio.get_positions, VERSION)
        return [p for p in (rows.position(row, self._names) for row in found) if p.quantity]

    async def get_holdings(self) -> Sequence[Holding]:
        found = await self._list("holdings", self._wire.portfolio.get_holdings, VERSION)
        return [rows.holding(row, self._names, self._settings.t1_apart) for row in found]

    async def get_funds(self) -> Funds:
        return rows.funds(await self._wire.read("funds", self._wire.user.get_user_fund_margin, VERSION))

    async def get_gtts(self) -> Sequence[Gtt]:
        found = await self._list("GTTs", self._wire.orders.get_gtt_order_details)
        return [rows.gtt(row, self._names) for row in found]

    async def quotes(self, symbols: Iterable[str]) -> dict[str, MarketQuote]:
        """By symbol; one that Upstox does not know is missing. Raises BrokerException. 500 a request."""
        keys = {key: symbol for symbol in symbols if (key := self._names.key(symbol))}
        wanted, found = list(keys), dict[str, MarketQuote]()
        for at in range(0, len(wanted), QUOTES_AT_ONCE):
            part = ",".join(wanted[at : at + QUOTES_AT_ONCE])
            call = self._wire.quotes.get_full_market_quote_v3
            data = await self._wire.read("quotes", call, instrument_key=part)
            for row in rows.rows("quotes", list(data.values()) if isinstance(data, dict) else [data]):
                symbol = keys.get(str(row.get("instrument_token")))
                if symbol:
                    found[symbol] = market.quote(symbol, row)
        return found

    async def candles(self, instrument: Instrument, interval: str, from_ns: int, to_ns: int) -> Candles:
        """Candles that begin within [from, to] (ns UTC), oldest first, in as many requests as it takes.

        Upstox's history ends yesterday: where the last day has no candle, those of today are asked for, too.
        ``interval``: 1m, 3m, 5m, 10m, 15m, 30m, 60m, day. Raises ValueError for another, BrokerException.
        """
        unit, every, days = market.interval_words(interval)
        key, history = self._names.key(instrument.symbol), self._wire.history
        if key is None:
            raise BrokerException(_unlisted(instrument.symbol).reason)
        parts = []
        for start, end in market.spans(days, from_ns, to_ns):
            call = history.get_historical_candle_data1
            parts.append(market.candles(await self._wire.read("candles", call, key, unit, every, end, start)))
        today = ist_date(to_ns)
        if from_ns <= to_ns and not any(len(p.between(midnight_ns(today), midnight_ns(today) + DAY)) for p in parts):
            data = await self._wire.read("candles", history.get_intra_day_candle_data, key, unit, every)
            parts.append(market.candles(data))
        return Candles.of(parts).between(from_ns, to_ns + 1)

    async def _list(self, what: str, call: Callable[..., Any], *args: Any) -> list[rows.Row]:
        return rows.rows(what, await self._wire.read(what, call, *args))


def _unlisted(symbol: str) -> Refused:
    return Refused(f"{symbol} is not in Upstox's list of instruments.")


def _complete(kind: OrderType | None, price: Paise | None, trigger: Paise | None) -> bool:
    """Whether a change says all that its type needs."""
    priced = price is not None or kind not in _PRICED
    return kind is not None and priced and (trigger is not None or kind not in _STOPS)


def _room(leg: GttLeg, side: Side, otherwise: float) -> float:
    """From trigger to limit in percent, rounded up to the hundredth; ``otherwise`` where there is no room."""
    room = Decimal(side * (leg.price - leg.trigger) * 100)
    if leg.price <= 0 or room <= 0:
        return otherwise
    return float((room / leg.trigger).quantize(Decimal("0.01"), ROUND_UP))
