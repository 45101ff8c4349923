"""KiteBroker over the wire: what it sends, what it reads, and what it does when a read goes wrong."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import pytest

from otrade_bot.brokers.kite import KiteBroker, KiteSettings
from otrade_bot.brokers.quotes import Candle
from otrade_bot.core.clock import MINUTE, at_ist
from otrade_bot.core.errors import BrokerException, TokenException
from otrade_bot.core.model import (
    Accepted,
    BrokerOrder,
    GttStatus,
    Instrument,
    InstrumentKind,
    OrderStatus,
    OrderType,
    Product,
    Side,
    Unknown,
)
from tests.unit.kite_room import SHARE, gtt, order, room, sample
from tests.venues.kite import Kite
from tests.venues.kite_faults import BadGateway, Broken, Fault, Hang, Reset, Says, html, refuses, too_many

LIMIT, MARKET, SL, SL_M = OrderType.LIMIT, OrderType.MARKET, OrderType.SL, OrderType.SL_M
READS = {
    "orders": lambda b: b.get_orderbook(), "trades": lambda b: b.get_trades(),
    "positions": lambda b: b.get_positions(), "holdings": lambda b: b.get_holdings(),
    "margins": lambda b: b.get_funds(), "gtts": lambda b: b.get_gtts(), "quote": lambda b: b.quotes(["NSE:INFY"]),
    "historical": lambda b: b.candles(SHARE, "1m", 0, MINUTE), "instruments": lambda b: b.instruments("NSE"),
    "order_history": lambda b: b.order_history("261120000000001"), "profile": lambda b: b.session_fault(),
}  # fmt: skip


async def accepted(broker: KiteBroker, *args: Any, **fields: Any) -> str:
    outcome = await broker.place(order(*args, **fields))
    assert isinstance(outcome, Accepted), outcome
    return outcome.order_id


async def book(broker: KiteBroker) -> dict[str, BrokerOrder]:
    return {row.order_id: row for row in await broker.get_orderbook()}


# --- what is sent ---
async def test_an_order_on_the_wire_is_a_form_with_exact_rupees_a_tag_and_protection() -> None:
    async with room() as (kite, broker):
        await accepted(broker, LIMIT, price=98_005, tag="OT1e")
        await accepted(broker, SL_M, Side.SELL, trigger=97_010, tag="OT1x")
        first, second = (call.form for call in kite.calls)
    same = {"variety": "regular", "exchange": "NSE", "tradingsymbol": "RELIANCE", "quantity": "10", "product": "MIS",
            "validity": "DAY"}  # fmt: skip
    assert first == {**same, "transaction_type": "BUY", "order_type": "LIMIT", "price": "980.05", "tag": "OT1e"}
    stop = {"transaction_type": "SELL", "order_type": "SL-M", "trigger_price": "970.10", "market_protection": "-1"}
    assert second == {**same, **stop, "tag": "OT1x"}


@pytest.mark.parametrize(
    ("kind", "change", "protection"),
    [(SL_M, {"trigger": 98_000}, "-1"), (SL_M, {"quantity": 12}, "-1"),
     (SL_M, {"order_type": LIMIT, "price": 99_900}, None), (SL, {"trigger": 98_000}, None),
     (SL, {"order_type": MARKET}, "-1"), (LIMIT, {"price": 99_900}, None)],
)  # fmt: skip
async def test_a_modification_says_what_changes_and_protection_wherever_kite_wants_it(
    kind: OrderType, change: dict[str, Any], protection: str | None
) -> None:
    async with room() as (kite, broker):
        side = Side.BUY if kind is LIMIT else Side.SELL
        order_id = await accepted(broker, kind, side, price=96_000, trigger=97_000)
        assert isinstance(await broker.modify(order_id, **change), Accepted)
        sent = kite.calls[-1].form
        names = {"trigger": "trigger_price"}
        assert sent.keys() - {"market_protection"} == {"variety", "order_id", *(names.get(n, n) for n in change)}
        assert sent.get("market_protection") == protection


@pytest.mark.parametrize("seen", [False, True])
async def test_a_stop_of_an_earlier_start_keeps_its_protection_when_it_moves(seen: bool) -> None:
    async with room() as (kite, broker):
        order_id = await accepted(broker, SL_M, Side.SELL, trigger=97_000)
        again = KiteBroker(KiteSettings(Kite.API_KEY, Kite.TOKEN, kite.root))
        if seen:
            await again.get_orderbook()
        assert isinstance(await again.modify(order_id, trigger=98_000), Accepted)
        assert kite.calls[-1].form["market_protection"] == "-1"
        await again.aclose()


async def test_a_stops_own_protection_goes_along_after_the_book_was_read() -> None:
    async with room() as (kite, broker):
        order_id = await accepted(broker, SL_M, Side.SELL, trigger=97_000, protection=2.5)
        await broker.get_orderbook()
        assert isinstance(await broker.modify(order_id, trigger=98_000), Accepted)
        assert kite.calls[-1].form["market_protection"] == "2.5"


async def test_modifications_are_counted_to_kites_limit_and_a_refused_one_is_not() -> None:
    async with room() as (_, broker):
        order_id = await accepted(broker, LIMIT, price=98_000)
        for number in range(broker.modification_limit):
            assert isinstance(await broker.modify(order_id, price=98_005 + 5 * number), Accepted)
        refused = await broker.modify(order_id, price=97_000)
        assert not isinstance(refused, (Accepted, Unknown))
        assert (await book(broker))[order_id].modifications == broker.modification_limit


# --- what is read ---
async def test_a_stops_life_is_told_in_the_book_in_updates_and_in_its_history() -> None:
    async with room() as (kite, broker):
        told: list[BrokerOrder] = []
        broker.report = told.append
        order_id = await accepted(broker, SL_M, Side.SELL, trigger=97_000)
        kite.price(96_900)
        row = (await book(broker))[order_id]
        assert told[-1] == row
        assert (row.status, row.filled, row.value) == (OrderStatus.COMPLETE, 10, 969_000)
        words = [state.status_word for state in await broker.order_history(order_id)]
    assert words == [
        "PUT ORDER REQ RECEIVED",
        "VALIDATION PENDING",
        "OPEN PENDING",
        "TRIGGER PENDING",
        "OPEN",
        "COMPLETE",
    ]


async def test_a_market_order_that_outruns_its_protection_rests_as_a_limit_order() -> None:
    async with room() as (kite, broker):
        kite.exchange.hold = "VALIDATION PENDING"
        order_id = await accepted(broker, MARKET)
        assert (await book(broker))[order_id].status is OrderStatus.OPEN
        kite.exchange.hold = ""
        kite.exchange.orders[order_id].status = "OPEN"
        kite.price(100_000, available=4)
        row = (await book(broker))[order_id]
    assert (row.status, row.filled, row.order_type, row.price) == (OrderStatus.OPEN, 4, LIMIT, 100_500)


async def test_an_order_may_be_late_in_the_book() -> None:
    async with room() as (kite, broker):
        kite.exchange.late = True
        order_id = await accepted(broker, MARKET)
        assert await book(broker) == {}
        assert await broker.get_trades() == []
        kite.exchange.reveal()
        assert (await book(broker))[order_id].tag == "OT1"


async def test_positions_holdings_and_funds_are_in_paise_and_flat_positions_are_left_out() -> None:
    async with room() as (kite, broker):
        kite.exchange.holdings["NSE:INFY"] = (7, 150_055)
        await accepted(broker, MARKET)
        (position,) = await broker.get_positions()
        assert (position.symbol, position.product, position.quantity, position.average, position.ltp) == (
            "NSE:RELIANCE", Product.MIS, 10, 100_000, 100_000,
        )  # fmt: skip
        (holding,) = await broker.get_holdings()
        assert (holding.symbol, holding.quantity, holding.average) == ("NSE:INFY", 7, 150_055)
        funds = await broker.get_funds()
        assert (funds.available + funds.used, funds.used) == (kite.exchange.cash, 200_000)
        await accepted(broker, MARKET, Side.SELL)
        assert await broker.get_positions() == []


async def test_a_leg_that_triggered_and_was_rejected_says_so() -> None:
    async with room() as (kite, broker):
        assert isinstance(await broker.place_gtt(gtt(97_000, 105_000)), Accepted)
        kite.price(96_000)  # nothing is held: the sell is refused
        (found,) = await broker.get_gtts()
    assert found.status is GttStatus.TRIGGERED
    assert [(leg.order_id, leg.reason) for leg in found.legs] == [("", "Insufficient stock holding."), ("", "")]


async def test_a_gtt_that_the_system_ends_is_seen() -> None:
    async with room() as (kite, broker):
        outcome = await broker.place_gtt(gtt(97_000))
        assert isinstance(outcome, Accepted)
        kite.gtts.end(kite.gtts.known(outcome.order_id), "cancelled")
        (found,) = await broker.get_gtts()
    assert found.status is GttStatus.CANCELLED


async def test_quotes_come_by_symbol_and_what_kite_does_not_know_is_missing() -> None:
    async with room() as (kite, broker):
        kite.price(150_005, "NSE:INFY")
        names = ["NSE:INFY", "NSE:NOBODY", "NSE:RELIANCE", *(f"NSE:X{n}" for n in range(600))]
        found = await broker.quotes(names)
        assert {symbol: quote.ltp for symbol, quote in found.items()} == {"NSE:INFY": 150_005, "NSE:RELIANCE": 100_000}
        assert found["NSE:INFY"].ask == 150_005
        assert [len(call.request.pairs) for call in kite.calls] == [500, 103]


async def test_candles_of_many_days_come_in_one_piece_each_once() -> None:
    start, end = at_ist(date(2026, 9, 14), 9, 15), at_ist(date(2026, 11, 20), 15, 15)
    async with room() as (kite, broker):
        whole = await broker.candles(SHARE, "15m", start, end)
        assert kite.hits("historical") == 1
        found = await broker.candles(SHARE, "1m", start, end)
        assert kite.hits("historical") == 1 + 2  # 67 days, 60 a request
    assert len(whole) == 50 * 25  # weekdays
    assert len(found) == 50 * 375 - 14
    assert [candle.ts_ns for candle in found] == sorted({candle.ts_ns for candle in found})
    assert (found[0].ts_ns, found[-1].ts_ns) == (start, end)


async def test_instruments_are_those_of_the_exchanges_asked_for() -> None:
    async with room() as (_, broker):
        shares = await broker.instruments("NSE", "NFO")
        assert [(i.symbol, i.kind, i.lot, i.closing_auction) for i in shares[:1] + shares[-2:]] == [
            ("NSE:RELIANCE", InstrumentKind.EQUITY, 1, True),
            ("NFO:RELIANCE26NOVFUT", InstrumentKind.FUTURE, 500, False),
            ("NFO:NIFTY26N2426000CE", InstrumentKind.OPTION, 65, False),
        ]
        assert await broker.instruments() == shares


# --- the session ---
async def test_the_session_is_judged_by_the_profile() -> None:
    async with room() as (kite, broker):
        assert await broker.session_fault() == ""
        kite.token = "another"
        assert "TokenException: Incorrect `api_key` or `access_token`." in await broker.session_fault()
        assert kite.hits("profile") == 2  # a dead token is not asked about twice
        broker.set_access_token("another")
        assert await broker.session_fault() == ""
        broker.set_access_token("")
        assert "log in" in await broker.session_fault()
        kite.fail("profile", BadGateway(), BadGateway(), BadGateway())
        broker.set_access_token("another")
        with pytest.raises(BrokerException, match="profile"):
            await broker.session_fault()


async def test_wrong_credentials_that_kite_calls_a_wrong_input_are_a_matter_of_the_token() -> None:
    async with room() as (kite, broker):
        kite.fail("orders", refuses("InputException", "Invalid `api_key` or `access_token`."))
        with pytest.raises(TokenException):
            await broker.get_orderbook()


async def test_neither_the_settings_nor_an_error_shows_the_token() -> None:
    async with room(retries=0) as (kite, broker):
        assert Kite.TOKEN not in repr(KiteSettings(Kite.API_KEY, Kite.TOKEN))
        kite.fail("orders", Says(500, f"<p>{Kite.TOKEN}</p>", "text/html"))
        with pytest.raises(BrokerException) as caught:
            await broker.get_orderbook()
        assert Kite.TOKEN not in str(caught.value)
        kite.fail("orders", refuses("GeneralException", f"no {Kite.TOKEN}"))
        with pytest.raises(BrokerException) as caught:
            await broker.get_orderbook()
        assert Kite.TOKEN not in str(caught.value)
        assert "no ***" in str(caught.value)


# --- reads that go wrong ---
PASSING: dict[str, Fault] = {
    "429": too_many(), "429 page": html(429), "502 page": BadGateway(), "503": refuses("NetworkException"),
    "reset": Reset(), "broken off": Broken(), "no content type, 500": Says(500, "", ""),
}  # fmt: skip
LASTING: dict[str, Fault] = {
    "a refusal": refuses("InputException"), "no type": Says(403, {"status": "error", "message": "No."}),
    "torn JSON": Says(200, '{"status"'), "a page": html(200), "no content type": Says(200, "{}", ""),
    "null": Says(200, {"status": "success", "data": None}), "a text": Says(200, {"status": "success", "data": "x"}),
    "nulls": Says(200, {"status": "success", "data": [None]}), "moved": Says(302, "", headers=(("Location", "/"),)),
    "good data under 404": Says(404, {"status": "success", "data": []}),
}  # fmt: skip


@pytest.mark.parametrize("row", PASSING)
@pytest.mark.parametrize("name", READS)
async def test_a_read_survives_what_passes_and_gives_up_after_a_bounded_number_of_times(name: str, row: str) -> None:
    async with room() as (kite, broker):
        await accepted(broker, MARKET)
        kite.fail(name, *[PASSING[row]] * 2)
        await READS[name](broker)
        assert kite.hits(name) == 3
        kite.fail(name, *[PASSING[row]] * 3)
        with pytest.raises(BrokerException):
            await READS[name](broker)
        assert kite.hits(name) == 6


@pytest.mark.parametrize("row", LASTING)
@pytest.mark.parametrize("name", sorted(READS.keys() - {"profile"}))
async def test_a_read_that_cannot_be_understood_raises_and_is_never_an_empty_answer(name: str, row: str) -> None:
    async with room() as (kite, broker):
        kite.fail(name, LASTING[row])
        with pytest.raises(BrokerException, match="kite "):
            await READS[name](broker)
        assert kite.hits(name) == 1


@pytest.mark.parametrize("name", ["orders", "trades", "holdings", "gtts"])
async def test_an_empty_object_is_not_an_empty_book(name: str) -> None:
    async with room() as (kite, broker):
        kite.fail(name, Says(200, {"status": "success", "data": {}}))
        with pytest.raises(BrokerException, match="a list belongs here"):
            await READS[name](broker)


async def test_silence_ends_a_read_within_its_deadline() -> None:
    async with room(silence=30.0, deadline=0.1, retries=1) as (kite, broker):
        hangs = [Hang(), Hang()]
        kite.fail("orders", *hangs)
        with pytest.raises(BrokerException, match=r"no answer within 0\.1 s"):
            await broker.get_orderbook()
        for hang in hangs:
            hang.release()


async def test_reads_that_hang_hold_up_no_order() -> None:
    async with room(readers=1) as (kite, broker):
        hang = Hang()
        kite.fail("orders", hang)
        reading = asyncio.create_task(broker.get_orderbook())
        assert await accepted(broker, MARKET)
        hang.release()
        assert len(await reading) == 1


@pytest.mark.parametrize(("tag", "product"), [("", "MTF"), ("OTHER1", "MTF"), ("", "NEW")])
async def test_rows_that_cannot_be_ours_are_set_aside_and_shown(tag: str, product: str) -> None:
    async with room() as (kite, broker):
        order_id = await accepted(broker, LIMIT, price=98_000, tag=tag)
        kite.exchange.orders[order_id].product = product
        assert await book(broker) == {}
        assert broker.set_aside["orders"] == (f"{order_id} NSE RELIANCE BUY {product} LIMIT 10",)


async def test_a_book_with_a_tagged_row_in_words_nobody_knows_is_not_read_as_if_it_were_absent() -> None:
    async with room() as (kite, broker):
        order_id = await accepted(broker, LIMIT, price=98_000)
        for strange in ({"product": "NEW"}, {"product": "MIS", "order_type": "SL-L"}):
            for name, word in strange.items():
                setattr(kite.exchange.orders[order_id], name, word)
            with pytest.raises(BrokerException, match="bears a tag"):
                await broker.get_orderbook()


async def test_an_instruments_file_that_ends_in_the_middle_is_not_taken() -> None:
    async with room() as (kite, broker):
        text = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
        text += "instrument_type,segment,exchange\n738561,2885,RELIANCE,RELIANCE INDUSTRIES,0.0,,0.0,0.05"
        kite.fail("instruments", Says(200, text, "text/csv"), Says(200, text.split("\n")[0], "text/csv"))
        for _ in range(2):
            with pytest.raises(BrokerException, match="instruments"):
                await broker.instruments("NSE")


@pytest.mark.parametrize("row", [{}, {"order_id": "1"}, {"order_id": None}, []])
async def test_an_update_that_cannot_be_read_raises_and_is_not_reported(row: Any) -> None:
    async with room() as (_, broker):
        told: list[BrokerOrder] = []
        broker.report = told.append
        with pytest.raises(BrokerException, match="order update"):
            broker.on_order_update(row)
        assert told == []


# --- official samples ---
async def served(name: str, route: str, broker: KiteBroker, kite: Kite) -> Any:
    kite.fail(route, Says(200, sample(name), "text/csv" if name.endswith("csv") else "application/json"))
    return await READS[route](broker)


async def test_the_official_order_book_is_read() -> None:
    async with room() as (kite, broker):
        found = {row.order_id: row for row in await served("orders.json", "orders", broker, kite)}
    sbin = found["220524001859672"]
    assert (sbin.status, sbin.price, sbin.tag, sbin.symbol) == (OrderStatus.REJECTED, 46_300, "icebergord", "NSE:SBIN")
    assert sbin.reason.startswith("Insufficient funds.")
    option = found["1953367517686685697"]
    assert (option.filled, option.value, option.product) == (150, 150 * 1230, Product.NRML)
    ioc = found["300000000000000"]
    assert (ioc.value, ioc.placed_ns) == (10_940, at_ist(date(2021, 5, 31), 15, 20, 28))
    assert any("MTF" in line for line in broker.set_aside["orders"])


async def test_the_official_trades_positions_holdings_and_margins_are_read() -> None:
    async with room() as (kite, broker):
        trades = await served("trades.json", "trades", broker, kite)
        assert (trades[0].symbol, trades[0].price, trades[0].ts_ns) == (
            "NSE:SBIN", 42_065, at_ist(date(2021, 5, 31), 9, 16, 39),
        )  # fmt: skip
        positions = await served("positions.json", "positions", broker, kite)
        assert [(p.symbol, p.quantity, p.average) for p in positions] == [("MCX:LEADMINI17DECFUT", 1, 16_105)]
        assert "CO" in broker.set_aside["positions"][0]
        holdings = await served("holdings.json", "holdings", broker, kite)
        assert [(h.symbol, h.quantity, h.average) for h in holdings] == [
            ("NSE:AARON", 1, 16_100),
            ("BSE:SBIN", 16, 80_178),
        ]
        funds = await served("margins_equity.json", "margins", broker, kite)
        assert (funds.available, funds.used) == (9_972_505, 14_570_655)


async def test_the_official_gtts_are_read() -> None:
    async with room() as (kite, broker):
        single, oco = await served("gtt_get_orders.json", "gtts", broker, kite)
    assert (single.gtt_id, single.side, single.status, single.legs[0].price) == (
        "112127",
        Side.BUY,
        GttStatus.ACTIVE,
        70_250,
    )
    assert [leg.trigger for leg in oco.legs] == [10_200, 10_370]
    assert (oco.status, oco.legs[1].order_id, oco.legs[1].reason[:21]) == (
        GttStatus.TRIGGERED,
        "",
        "Your order price is l",
    )


async def test_the_official_quote_candles_and_instruments_are_read() -> None:
    async with room() as (kite, broker):
        quote = (await served("quote.json", "quote", broker, kite))["NSE:INFY"]
        assert (quote.ltp, quote.close, quote.volume, quote.ask, quote.bid) == (141_295, 138_965, 7_360_198, 141_295, 0)
        assert (quote.lower_circuit, quote.ts_ns) == (125_070, at_ist(date(2021, 6, 8), 15, 45, 52))
        candles = await served("historical_minute.json", "historical", broker, kite)
        assert candles[0] == Candle(at_ist(date(2017, 12, 15), 9, 15), 170_450, 170_500, 169_925, 170_280, 2499)
        assert await served("historical_oi.json", "historical", broker, kite)
        listed = {i.symbol: i for i in await served("instruments_all.csv", "instruments", broker, kite)}
    assert listed["NSE:ADANIPORTS"] == Instrument("NSE:ADANIPORTS", 3861249, tick=5, name="ADANI PORT & SEZ")
    assert listed["NFO:BANKNIFTY18JAN23500CE"].kind is InstrumentKind.OPTION
    assert listed["NFO:BANKNIFTY18JAN23500CE"].lot == 40


@pytest.mark.parametrize(
    ("name", "write", "answer"),
    [("place", lambda b: b.place(order()), "order_response.json"),
     ("modify", lambda b: b.modify("151220000000000", price=1), "order_modify.json"),
     ("cancel", lambda b: b.cancel("151220000000000"), "order_cancel.json"),
     ("place_gtt", lambda b: b.place_gtt(gtt(97_000)), "gtt_place_order.json"),
     ("modify_gtt", lambda b: b.modify_gtt("123", gtt(97_000)), "gtt_modify_order.json"),
     ("cancel_gtt", lambda b: b.cancel_gtt("123"), "gtt_delete_order.json")],
)  # fmt: skip
async def test_the_official_answers_to_writes_are_accepted(name: str, write: Any, answer: str) -> None:
    async with room() as (kite, broker):
        kite.fail(name, Says(200, sample(answer)))
        assert await write(broker) == Accepted("123" if "gtt" in name else "151220000000000")


async def test_the_official_postback_is_reported() -> None:
    async with room() as (_, broker):
        told: list[BrokerOrder] = []
        broker.report = told.append
        broker.on_order_update(sample("postback.json"))
    (row,) = told
    assert (row.status, row.filled, row.value, row.symbol) == (OrderStatus.COMPLETE, 1, 47_000, "NSE:SBIN")
    assert row.updated_ns == at_ist(date(2022, 3, 3), 9, 24, 25)
