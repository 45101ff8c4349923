"""Upstox's books in our words: whole or not at all, and no word that nobody knows hides an order."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.brokers.quotes import Candle
from otrade_bot.brokers.upstox import UpstoxBroker, rows
from otrade_bot.brokers.upstox.market import INTERVALS, spans
from otrade_bot.brokers.upstox.rows import GTT_WORDS, STATUS_WORDS, Names
from otrade_bot.core.clock import DAY, SECOND, at_ist, from_iso, ist_date
from otrade_bot.core.errors import BrokerException, TokenException
from otrade_bot.core.model import (
    Accepted,
    BrokerOrder,
    GttLeg,
    GttRequest,
    GttStatus,
    Instrument,
    OrderStatus,
    OrderType,
    Outcome,
    Product,
    Side,
)
from tests.unit.upstox_room import KEYS, SHARE, upstox, wanted
from tests.venues.faults import Fault
from tests.venues.upstox import (
    INFY,
    RELIANCE,
    BadGateway,
    Closed,
    Edit,
    Hang,
    Reset,
    Says,
    Torn,
    error,
    html,
    too_many,
)

LIMIT, MARKET, SL, SL_M = OrderType.LIMIT, OrderType.MARKET, OrderType.SL, OrderType.SL_M
READS: dict[str, Callable[[UpstoxBroker], Any]] = {
    "book": lambda b: b.get_orderbook(),
    "trades": lambda b: b.get_trades(),
    "positions": lambda b: b.get_positions(),
    "holdings": lambda b: b.get_holdings(),
    "funds": lambda b: b.get_funds(),
    "gtts": lambda b: b.get_gtts(),
    "history": lambda b: b.order_history("1"),
    "quotes": lambda b: b.quotes([SHARE.symbol]),
    "candles": lambda b: b.candles(SHARE, "1m", 0, DAY),
}
BROKEN: dict[str, Callable[[], Fault]] = {
    "a page": lambda: html(200),
    "no body": lambda: Says(200, b""),
    "half a JSON": lambda: Says(200, b'{"status": "success", "data": ['),
    "a list": lambda: Says(200, b"[]"),
    "no data": lambda: Says(200, b'{"status": "success"}'),
    "an error with 200": lambda: Says(200, b'{"status": "error", "data": []}'),
    "data in a text": lambda: Says(200, b'{"status": "success", "data": "none"}'),
    "rows that are numbers": lambda: Says(200, b'{"status": "success", "data": [1]}'),
    "a row without anything": lambda: Says(200, b'{"status": "success", "data": [{"rules": 1, "price": "x"}]}'),
    "400": lambda: error(400, "UDAPI100036"),
    "500": lambda: error(500, "UDAPI100500"),
    "502": BadGateway,
    "429": too_many,
    "reset": Reset,
    "closed": Closed,
    "torn": Torn,
}


def ours(outcome: Outcome) -> str:
    assert isinstance(outcome, Accepted), outcome
    return outcome.order_id


def with_row(**fields: Any) -> Edit:
    """The last row of a list says this."""
    return Edit(lambda body: body["data"][-1].update(fields))


@pytest.mark.parametrize("row", BROKEN)
@pytest.mark.parametrize("name", READS)
async def test_a_read_is_whole_or_raises(name: str, row: str) -> None:
    async with upstox(retries=0) as (api, broker):
        api.fail(name, BROKEN[row]())
        with pytest.raises(BrokerException, match="Upstox: ") as caught:
            await READS[name](broker)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in READS if name != "candles"])  # those are for everybody
async def test_a_dead_token_is_named_as_such(name: str) -> None:
    async with upstox() as (api, broker):
        api.token = "another"
        with pytest.raises(TokenException, match="UDAPI100050"):
            await READS[name](broker)
        assert len(api.called(name)) == 1


@pytest.mark.parametrize("fault", [BadGateway, too_many, Reset, Closed, lambda: error(500, "UDAPI100500")])
async def test_a_read_is_asked_again_where_that_may_help(fault: Callable[[], Fault]) -> None:
    async with upstox(backoff_s=0.001) as (api, broker):
        await broker.place(wanted())
        api.fail("book", fault(), times=2)
        assert len(await broker.get_orderbook()) == 1
        assert len(api.called("book")) == 3


async def test_a_read_that_was_refused_is_not_asked_again() -> None:
    async with upstox(backoff_s=0.001) as (api, broker):
        api.fail("book", error(400, "UDAPI100036"))
        with pytest.raises(BrokerException, match="UDAPI100036"):
            await broker.get_orderbook()
        assert len(api.called("book")) == 1


async def test_a_read_that_brings_no_answer_raises_in_time() -> None:
    async with upstox(read_s=0.2, retries=0) as (api, broker):
        api.fail("book", Hang())
        with pytest.raises(BrokerException, match="Timeout"):
            await broker.get_orderbook()


# --- the order book ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"order_type": "ICEBERG"}, "ICEBERG"),
        ({"transaction_type": "B"}, "transaction type B"),
        ({"status": "frozen by the moon"}, "frozen by the moon"),
        ({"validity": "GTC"}, "open"),
        ({"product": "XYZ"}, "open"),
        ({"variety": "NEW"}, "open"),
    ],
)
async def test_one_word_that_nobody_knows_hides_no_order(fields: dict[str, str], told: str) -> None:
    async with upstox() as (api, broker):
        second = ours(await broker.place(wanted(LIMIT, tag="b", price=99_000)))
        await broker.place(wanted(LIMIT, tag="a", price=98_000))
        api.fail("book", with_row(**fields))  # newest first on the wire: the last one is the first placed
        book = await broker.get_orderbook()
        assert [(o.tag, o.status) for o in book] == [("b", OrderStatus.OPEN), ("a", OrderStatus.OPEN)]
        assert book[0].order_id == second
        assert told in book[0].status_word
        assert (book[0].side, book[0].price) == (Side.BUY, 99_000)


@pytest.mark.parametrize("word", ["modify pending", "cancel pending", "validation pending", "not modified", "moonlit"])
async def test_a_stop_on_its_way_has_not_gone_off(word: str) -> None:
    async with upstox() as (api, broker):
        await broker.place(wanted(SL_M, Side.SELL, trigger=99_000))
        for status, filled in ((OrderStatus.TRIGGER_PENDING, 0), (OrderStatus.OPEN, 4)):
            api.fail("book", with_row(status=word, filled_quantity=filled))
            (order,) = await broker.get_orderbook()
            assert (order.status, order.status_word) == (status, word)
            assert order.strange is (word == "moonlit")


@pytest.mark.parametrize("word", STATUS_WORDS)
async def test_words_that_are_known_mean_what_they_say_in_any_case(word: str) -> None:
    async with upstox() as (api, broker):
        await broker.place(wanted(SL_M, Side.SELL, trigger=99_000))
        api.fail("book", with_row(status=word.upper(), status_message="RMS: no"))
        (order,) = await broker.get_orderbook()
        assert (order.status, order.reason) == (STATUS_WORDS[word], "RMS: no")


async def test_a_part_that_has_filled_is_counted_with_its_value() -> None:
    async with upstox() as (api, broker):
        await broker.place(wanted(LIMIT, price=99_000))
        api.exchange.price(RELIANCE, 98_990, quantity=3)
        api.exchange.price(RELIANCE, 98_950, quantity=4)
        (order,) = await broker.get_orderbook()
        trades = await broker.get_trades()
        assert (order.status, order.filled, order.quantity) == (OrderStatus.OPEN, 7, 10)
        assert order.value == sum(t.quantity * t.price for t in trades) == 3 * 98_990 + 4 * 98_950
        assert {t.order_id for t in trades} == {order.order_id}


async def test_an_order_that_comes_late_into_the_book_is_found_by_its_tag() -> None:
    async with upstox() as (api, broker):
        api.exchange.late = True
        api.fail("place", Reset(after=True))
        await broker.place(wanted(LIMIT, tag="OTlate", price=99_000))
        assert list(await broker.get_orderbook()) == []
        api.exchange.reveal()
        assert [order.tag for order in await broker.get_orderbook()] == ["OTlate"]


async def test_the_history_of_an_order_is_each_state_oldest_first() -> None:
    async with upstox() as (api, broker):
        order = ours(await broker.place(wanted(SL_M, Side.SELL, trigger=99_000)))
        api.exchange.price(RELIANCE, 98_900)
        states = [state.status for state in await broker.order_history(order)]
        assert states == [OrderStatus.TRIGGER_PENDING, OrderStatus.OPEN, OrderStatus.COMPLETE]
        with pytest.raises(BrokerException, match="UDAPI100010"):
            await broker.order_history("99")


async def test_an_update_that_comes_in_is_reported_in_our_words() -> None:
    async with upstox() as (api, broker):
        seen: list[BrokerOrder] = []
        broker.report = seen.append
        ours(await broker.place(wanted(LIMIT, price=99_000)))
        (row,) = await broker.get_orderbook()
        from tests.venues.upstox_shapes import update

        told = update(next(iter(api.exchange.orders.values())))
        del told["instrument_token"]  # the stream's own name for it is instrument_key
        broker.on_order_update(told)
        assert seen == [row]
        with pytest.raises(BrokerException):
            broker.on_order_update({"update_type": "order"})


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2026-11-20 10:00:01", at_ist(ist_date(from_iso("2026-11-20")), 10) + SECOND),
        ("20-Nov-2026 10:00:01", at_ist(ist_date(from_iso("2026-11-20")), 10) + SECOND),
        ("2026-11-20T04:30:01+00:00", at_ist(ist_date(from_iso("2026-11-20")), 10) + SECOND),
        ("", 0),
        (None, 0),
        ("soon", 0),
    ],
)
async def test_times_are_indian_unless_they_say_otherwise(text: str | None, ns: int) -> None:
    async with upstox() as (api, broker):
        await broker.place(wanted())
        api.fail("book", with_row(order_timestamp=text, exchange_timestamp=None))
        (order,) = await broker.get_orderbook()
        assert (order.placed_ns, order.updated_ns) == (ns, ns)


# --- what is held -----------------------------------------------------------------------------------


async def test_positions_and_holdings_are_counted_in_rupees_and_paise() -> None:
    async with upstox() as (api, broker):
        api.exchange.hold(RELIANCE, 25, 215_505)
        api.exchange.price(INFY, 150_005)
        await broker.place(wanted(side=Side.SELL))
        request = wanted(quantity=3, product=Product.CNC)
        await broker.place(type(request)("t", Instrument("NSE:INFY", 1), Side.BUY, 3, Product.CNC, MARKET))
        positions = {(p.symbol, p.product): (p.quantity, p.average) for p in await broker.get_positions()}
        assert positions == {
            ("NSE:RELIANCE", Product.MIS): (-10, 100_000), ("NSE:INFY", Product.CNC): (3, 150_005),
        }  # fmt: skip
        (held,) = await broker.get_holdings()
        assert (held.symbol, held.quantity, held.average) == ("NSE:RELIANCE", 25, 215_505)


async def test_what_was_bought_yesterday_is_added_only_where_upstox_counts_it_apart() -> None:
    for apart, quantity in ((False, 25), (True, 29)):
        async with upstox(t1_apart=apart) as (api, broker):
            api.exchange.hold(RELIANCE, 25, 100_000)
            api.fail("holdings", with_row(t1_quantity=4))
            (held,) = await broker.get_holdings()
            assert held.quantity == quantity


@pytest.mark.parametrize(
    ("row", "symbol", "product"),
    [
        ({"instrument_token": RELIANCE, "product": "I"}, "NSE:RELIANCE", Product.MIS),
        ({"instrument_token": RELIANCE, "product": "MTF"}, "NSE:RELIANCE", Product.CNC),
        ({"instrument_key": RELIANCE, "product": "D"}, "NSE:RELIANCE", Product.CNC),
        (
            {"instrument_token": "NSE_FO|54321", "exchange": "NFO", "trading_symbol": "NIFTY26DECFUT", "product": "D"},
            "NFO:NIFTY26DECFUT",
            Product.NRML,
        ),
        ({"instrument_token": "BSE_EQ|X", "exchange": "BSE", "tradingsymbol": "A"}, "BSE:A", Product.CNC),
        ({"instrument_token": "MCX_FO|1", "exchange": "MCX", "product": "CO"}, "MCX:MCX_FO|1", Product.MIS),
    ],
)
def test_what_is_not_ours_is_named_as_upstox_names_it(row: dict[str, str], symbol: str, product: Product) -> None:
    names = Names(KEYS)
    assert (names.symbol(row), names.product(row)) == (symbol, product)


async def test_an_instrument_that_is_not_listed_is_refused_without_asking() -> None:
    async with upstox() as (api, broker):
        request = wanted()
        strange = type(request)("t", Instrument("NSE:NOSUCH", 1), Side.BUY, 1, Product.MIS, MARKET)
        assert "NSE:NOSUCH" in str(await broker.place(strange))
        assert await broker.quotes(["NSE:NOSUCH"]) == {}
        with pytest.raises(BrokerException, match="NSE:NOSUCH"):
            await broker.candles(strange.instrument, "1m", 0, DAY)
        assert api.calls == []


# --- GTT --------------------------------------------------------------------------------------------


def gtt(*legs: GttLeg, side: Side = Side.SELL, last: int = 100_000) -> GttRequest:
    return GttRequest(SHARE, side, 10, Product.CNC, legs, last)


async def test_a_holding_is_guarded_by_one_entry_rule_below_the_price() -> None:
    async with upstox() as (api, broker):
        api.exchange.hold(RELIANCE, 10, 90_000)
        await broker.place_gtt(gtt(GttLeg(97_500, 96_500), GttLeg(105_000, 104_500)))
        sent = api.called("gtt_place")[0].fields
        assert (sent["type"], sent["transaction_type"], sent["product"]) == ("SINGLE", "SELL", "D")
        (rule,) = sent["rules"]
        assert (rule["strategy"], rule["trigger_type"], rule["trigger_price"]) == ("ENTRY", "BELOW", 975.0)
        assert rule["market_protection"] == 1.03  # 965 of 975 is 1.0256 % away: never less room than was asked for
        (found,) = await broker.get_gtts()
        assert [leg.trigger for leg in found.legs] == [97_500]
        assert not broker.two_leg_gtt


@pytest.mark.parametrize(
    ("side", "leg", "word", "room"),
    [
        (Side.SELL, GttLeg(105_000, 104_500), "ABOVE", 0.48),
        (Side.BUY, GttLeg(105_000, 106_000), "ABOVE", 0.96),
        (Side.BUY, GttLeg(95_000, 95_000), "BELOW", -1.0),
        (Side.SELL, GttLeg(95_000, 0), "BELOW", -1.0),
        (Side.SELL, GttLeg(95_000, 96_000), "BELOW", -1.0),
    ],
)
async def test_a_rule_looks_to_the_side_of_the_price_where_its_trigger_is(
    side: Side, leg: GttLeg, word: str, room: float
) -> None:
    async with upstox() as (api, broker):
        await broker.place_gtt(gtt(leg, side=side))
        (rule,) = api.called("gtt_place")[0].fields["rules"]
        assert (rule["trigger_type"], rule["market_protection"]) == (word, room)


@pytest.mark.parametrize("word", [*GTT_WORDS, "INACTIVE", "moonlit"])
async def test_every_word_of_a_rule_is_a_status_and_an_unknown_one_is_active(word: str) -> None:
    async with upstox() as (api, broker):
        ours(await broker.place_gtt(gtt(GttLeg(97_500, 97_000))))
        api.fail("gtts", Edit(lambda body: body["data"][0]["rules"][0].update(status=word, message="why")))
        (found,) = await broker.get_gtts()
        assert found.status is GTT_WORDS.get(word, GttStatus.ACTIVE)
        assert found.legs[0].reason == ("why" if word in GTT_WORDS else f"{word} why")


async def test_triggered_is_not_filled_the_legs_order_tells() -> None:
    async with upstox() as (api, broker):
        ours(await broker.place_gtt(gtt(GttLeg(97_500, 97_000))))  # nothing is held that could be sold
        api.exchange.price(RELIANCE, 97_400)
        (found,) = await broker.get_gtts()
        assert (found.status, found.legs[0].reason) == (GttStatus.REJECTED, "Insufficient holdings")
        (order,) = await broker.get_orderbook()
        assert (order.order_id, order.status) == (found.legs[0].order_id, OrderStatus.REJECTED)


async def test_a_gtt_that_somebody_entered_with_shows_what_guards_it_now() -> None:
    async with upstox() as (api, broker):
        rules = [
            {"strategy": name, "trigger_type": where, "trigger_price": price}
            for name, where, price in (
                ("ENTRY", "ABOVE", 1010.0), ("TARGET", "ABOVE", 1050.0), ("STOPLOSS", "BELOW", 975.0)
            )
        ]
        fields = {"type": "MULTIPLE", "quantity": 10, "product": "D", "rules": rules, "instrument_token": RELIANCE}
        api.exchange.place_gtt({**fields, "transaction_type": "BUY"})
        (found,) = await broker.get_gtts()
        assert (found.side, [leg.trigger for leg in found.legs]) == (Side.BUY, [101_000])
        assert found.status is GttStatus.ACTIVE
        api.exchange.price(RELIANCE, 101_000)
        (found,) = await broker.get_gtts()
        assert (found.side, [leg.trigger for leg in found.legs]) == (Side.SELL, [97_500, 105_000])
        assert found.status is GttStatus.ACTIVE
        api.exchange.price(RELIANCE, 97_400)
        (found,) = await broker.get_gtts()
        assert found.status is GttStatus.TRIGGERED
        assert [bool(leg.order_id) for leg in found.legs] == [True, False]


# --- prices -----------------------------------------------------------------------------------------


async def test_quotes_come_by_our_symbols() -> None:
    async with upstox() as (api, broker):
        api.exchange.price(INFY, 150_005)
        found = await broker.quotes(["NSE:RELIANCE", "NSE:INFY", "NSE:NOSUCH"])
        assert {symbol: quote.ltp for symbol, quote in found.items()} == {"NSE:RELIANCE": 100_000, "NSE:INFY": 150_005}
        one = found["NSE:RELIANCE"]
        assert (one.lower_circuit, one.upper_circuit, one.bid, one.volume) == (90_000, 110_000, 100_000, 100)
        assert one.ts_ns == int(api.exchange.now.timestamp()) * SECOND
        assert len(api.called("quotes")) == 1


def minute(text: str, price: float) -> list[Any]:
    return [f"{text}+05:30", price, price + 1, price - 1, price + 0.05, 500, 0]


async def test_candles_of_past_days_and_of_today_make_one_row() -> None:
    async with upstox() as (api, broker):
        share = api.exchange.shares[RELIANCE]
        share.candles = [minute("2026-11-20T09:16:00", 1002), minute("2026-11-20T09:15:00", 1001)]
        share.candles += [minute("2026-11-19T15:29:00", 999), minute("2026-11-19T15:28:00", 998)]
        begin, end = from_iso("2026-11-19T15:29:00"), from_iso("2026-11-20T09:15:00")
        found = await broker.candles(SHARE, "1m", begin, end)
        assert found == [
            Candle(begin, 99_900, 100_000, 99_800, 99_905, 500), Candle(end, 100_100, 100_200, 100_000, 100_105, 500),
        ]  # fmt: skip
        assert await broker.candles(SHARE, "1m", end, begin) == []
        with pytest.raises(ValueError, match="allowed: 1m"):
            await broker.candles(SHARE, "7m", begin, end)


@given(st.integers(0, 10**9), st.integers(0, 4000 * DAY // SECOND), st.sampled_from(sorted(INTERVALS)))
def test_requests_for_candles_cover_every_day_once_and_none_is_too_long(start: int, length: int, interval: str) -> None:
    begin, end = start * SECOND, (start + length) * SECOND
    days = INTERVALS[interval][2]
    expected = ist_date(begin)
    for first, last in spans(days, begin, end):
        assert first == expected.isoformat()
        told = ist_date(from_iso(last))
        assert 0 <= (told - expected).days < days
        expected = ist_date(from_iso(last) + DAY)
    assert expected == ist_date(end + DAY)


# --- rows that nobody has seen ----------------------------------------------------------------------

values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just([]) | st.just({})
names = st.sampled_from(
    ["order_id", "status", "order_type", "transaction_type", "price", "average_price", "filled_quantity", "quantity",
     "order_timestamp", "instrument_token", "product", "tag", "trade_id", "gtt_order_id", "rules", "created_at"]
)  # fmt: skip


@given(st.dictionaries(names, values))
def test_any_row_is_read_or_raises_our_error(row: dict[str, Any]) -> None:
    for read in (rows.order, rows.fill, rows.position, rows.gtt):
        with contextlib.suppress(BrokerException):
            assert read(row, Names(KEYS)) is not None
