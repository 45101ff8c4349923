"""Our words to Kite's and back: nothing is rounded on the way, no time depends on where the machine stands."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.brokers.kite.history import SPANS, chunks, kite_interval
from otrade_bot.brokers.kite.wire import (
    amount,
    gtt_fields,
    gtt_of,
    holding_of,
    instruments_of,
    ns_of,
    order_of,
    place_fields,
    position_of,
)
from otrade_bot.core.clock import DAY, SECOND, at_ist, from_iso
from otrade_bot.core.model import (
    GttStatus,
    InstrumentKind,
    OrderStatus,
    OrderType,
    Product,
    Side,
)
from otrade_bot.core.money import to_paise
from tests.unit.kite_room import gtt, order

PAISE = st.integers(1, 10**10)
ROW: dict[str, Any] = {
    "order_id": "1", "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "product": "MIS",
    "order_type": "LIMIT", "status": "OPEN", "quantity": 10, "filled_quantity": 0, "average_price": 0,
    "price": 1500.05, "trigger_price": 0, "order_timestamp": "2026-11-20 10:00:03",
    "exchange_timestamp": "2026-11-20 10:00:01", "exchange_update_timestamp": "2026-11-20 10:00:02", "tag": "OT1",
}  # fmt: skip
GTT: dict[str, Any] = {
    "id": 7, "status": "active", "created_at": "2026-11-20 10:00:00",
    "condition": {"exchange": "NSE", "tradingsymbol": "INFY", "trigger_values": [97.5, 105]},
    "orders": [{"transaction_type": "SELL", "quantity": 3, "product": "CNC", "price": 97, "result": None},
               {"transaction_type": "SELL", "quantity": 3, "product": "CNC", "price": 104.5, "result": None}],
}  # fmt: skip


@pytest.fixture(params=["UTC", "Asia/Kolkata", "America/New_York"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


# --- to Kite ---
@given(PAISE)
def test_rupees_on_the_wire_are_the_very_paise(paise: int) -> None:
    assert Decimal(amount(paise)) * 100 == paise
    assert to_paise(float(amount(paise))) == paise


@given(PAISE)
def test_a_gtts_json_prints_the_very_paise(paise: int) -> None:
    fields = gtt_fields(gtt(paise))
    (value,) = json.loads(json.dumps(fields["trigger_values"]), parse_float=Decimal, parse_int=Decimal)
    assert value * 100 == paise


@pytest.mark.parametrize("kind", OrderType)
def test_an_order_carries_the_prices_of_its_type_and_protection_where_kite_wants_it(kind: OrderType) -> None:
    fields = place_fields(order(kind, price=98_005, trigger=98_110, protection=2.5))
    assert fields["price"] == ("980.05" if kind in ("LIMIT", "SL") else None)
    assert fields["trigger_price"] == ("981.10" if kind in ("SL", "SL-M") else None)
    assert fields["market_protection"] == (2.5 if kind in ("MARKET", "SL-M") else None)
    assert (fields["exchange"], fields["tradingsymbol"]) == ("NSE", "RELIANCE")
    assert (fields["transaction_type"], fields["order_type"], fields["tag"]) == ("BUY", kind.value, "OT1")


def test_automatic_protection_is_the_number_that_kite_documents() -> None:
    assert repr(place_fields(order())["market_protection"]) == "-1"


@pytest.mark.parametrize("side", Side)
def test_the_lower_trigger_of_an_oco_goes_first_and_the_stop_leg_comes_back_first(side: Side) -> None:
    stop, target = (97_000, 105_000) if side is Side.SELL else (105_000, 97_000)
    fields = gtt_fields(gtt(stop, target, side=side))
    assert fields["trigger_type"] == "two-leg"
    assert fields["trigger_values"] == [970.0, 1050.0]
    assert [o["price"] for o in fields["orders"]] == [965.0, 1045.0]
    orders = [{**o, "result": None} for o in fields["orders"]]
    found = gtt_of({**GTT, "condition": {**GTT["condition"], **fields}, "orders": orders})
    assert found is not None
    assert [leg.trigger for leg in found.legs] == [stop, target]


# --- from Kite ---
@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("moment", ["2026-11-20 10:00:00", datetime(2026, 11, 20, 10)])  # noqa: DTZ001
def test_kites_wall_clock_is_indias_wherever_the_machine_stands(moment: object) -> None:
    assert ns_of(moment) == at_ist(date(2026, 11, 20), 10)


@pytest.mark.parametrize("none", [None, "", "0001-01-01 00:00:00"])
def test_no_time_is_zero(none: object) -> None:
    assert ns_of(none) == 0


def test_a_row_is_placed_at_its_first_time_and_updated_at_its_last() -> None:
    found = order_of(ROW)
    assert found is not None
    assert (found.placed_ns, found.updated_ns) == (
        at_ist(date(2026, 11, 20), 10, 0, 1),
        at_ist(date(2026, 11, 20), 10, 0, 3),
    )
    assert (found.symbol, found.price, found.side) == ("NSE:INFY", 150_005, Side.BUY)


@pytest.mark.parametrize(
    ("word", "status"),
    [("COMPLETE", "complete"), ("CANCELLED", "cancelled"), ("REJECTED", "rejected"), ("OPEN", "open"),
     ("TRIGGER PENDING", "trigger_pending"), ("PUT ORDER REQ RECEIVED", "open"), ("VALIDATION PENDING", "open"),
     ("OPEN PENDING", "open"), ("MODIFY VALIDATION PENDING", "open"), ("MODIFY PENDING", "open"),
     ("CANCEL PENDING", "open"), ("AMO REQ RECEIVED", "open"), ("UPDATE", "open"), ("NOT HEARD BEFORE", "open"),
     ("", "open"), ("complete", "open")],
)  # fmt: skip
def test_every_word_for_a_state_has_one_and_a_strange_one_means_open(word: str, status: str) -> None:
    found = order_of({**ROW, "status": word})
    assert found is not None
    assert (found.status, found.status_word) == (OrderStatus(status), word)
    assert found.strange is (word in ("NOT HEARD BEFORE", "", "complete"))


@pytest.mark.parametrize("word", ["MODIFY PENDING", "CANCEL PENDING", "UPDATE", "NOT HEARD BEFORE", ""])
def test_a_stop_without_a_fill_has_gone_off_by_the_word_open_alone(word: str) -> None:
    stop = {**ROW, "order_type": "SL-M", "trigger_price": 1490, "filled_quantity": 0}
    for said, status in ((word, OrderStatus.TRIGGER_PENDING), ("OPEN", OrderStatus.OPEN)):
        found = order_of({**stop, "status": said})
        assert found is not None
        assert found.status is status


@pytest.mark.parametrize(
    "word", ["PUT ORDER REQ RECEIVED", "OPEN PENDING", "MODIFY PENDING", "CANCEL PENDING", "UPDATE"]
)
@pytest.mark.parametrize("kind", ["SL", "SL-M"])
def test_a_stop_on_its_way_has_not_triggered_unless_some_of_it_has_filled(word: str, kind: str) -> None:
    waits = order_of({**ROW, "status": word, "order_type": kind})
    fills = order_of({**ROW, "status": word, "order_type": kind, "filled_quantity": 1, "average_price": 1})
    open_ = order_of({**ROW, "status": "OPEN", "order_type": kind})
    assert waits is not None
    assert fills is not None
    assert open_ is not None
    assert [o.status for o in (waits, fills, open_)] == [
        OrderStatus.TRIGGER_PENDING, OrderStatus.OPEN, OrderStatus.OPEN,
    ]  # fmt: skip


@given(st.integers(1, 1000), st.integers(1, 10**7))
def test_the_value_of_the_fills_is_exact_where_kites_mean_is(filled: int, paise: int) -> None:
    found = order_of({**ROW, "filled_quantity": filled, "average_price": paise / 100})
    assert found is not None
    assert found.value == filled * paise


@pytest.mark.parametrize("tags", [{"tag": "OT1"}, {"tag": None, "tags": ["OT1"]}, {"tags": ["OT1", "autoslice"]}])
def test_the_tag_is_found_wherever_the_row_has_it(tags: dict[str, Any]) -> None:
    row = {key: value for key, value in ROW.items() if key != "tag"}
    found = order_of({**row, **tags})
    assert found is not None
    assert found.tag == "OT1"


@pytest.mark.parametrize("strange", [{"product": "CO"}, {"order_type": "SL-L"}, {"transaction_type": "HOLD"}])
def test_a_row_that_we_have_no_words_for_is_none(strange: dict[str, str]) -> None:
    assert order_of({**ROW, **strange}) is None


@pytest.mark.parametrize(
    "bad",
    [{"order_id": None}, {"order_id": ""}, {"quantity": "many"}, {"price": "NaN"}, {"order_timestamp": "noon"},
     {"average_price": "x", "filled_quantity": 1}],
)  # fmt: skip
def test_a_row_that_cannot_be_read_raises(bad: dict[str, Any]) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        order_of({**ROW, **bad})


@pytest.mark.parametrize(
    ("word", "status"),
    [*((s.value, s) for s in GttStatus), ("disabled", GttStatus.CANCELLED), ("not heard before", GttStatus.ACTIVE)],
)
def test_every_word_for_a_gtts_state_has_one(word: str, status: GttStatus) -> None:
    found = gtt_of({**GTT, "status": word})
    assert found is not None
    assert found.status is status


def test_a_gtt_whose_legs_differ_is_none_of_ours() -> None:
    assert gtt_of({**GTT, "orders": [GTT["orders"][0], {**GTT["orders"][1], "quantity": 4}]}) is None


def test_a_position_of_a_product_we_do_not_trade_is_none() -> None:
    row = {"exchange": "NSE", "tradingsymbol": "INFY", "product": "MTF", "quantity": 1, "average_price": 1}
    assert position_of(row) is None
    assert position_of({**row, "product": Product.CNC.value}) is not None


@pytest.mark.parametrize(
    ("numbers", "held"),
    [({"quantity": 5, "opening_quantity": 8}, 8), ({"quantity": 5}, 5),
     ({"quantity": 0, "opening_quantity": 0, "realised_quantity": 0, "t1_quantity": 4}, 4),
     ({"quantity": 9, "opening_quantity": 9, "realised_quantity": 5, "t1_quantity": 4}, 9)],
)  # fmt: skip
def test_a_holding_is_what_was_held_when_the_day_began(numbers: dict[str, int], held: int) -> None:
    row = {"exchange": "NSE", "tradingsymbol": "INFY", "average_price": 801.78125, **numbers}
    found = holding_of(row)
    assert (found.quantity, found.average) == (held, 80_178)


def test_instruments_know_kind_tick_lot_and_closing_auction() -> None:
    def row(symbol: str, kind: str, segment: str, tick: float, **more: Any) -> dict[str, Any]:
        same = {"instrument_token": 1, "lot_size": 1, "exchange": segment[:3], "name": symbol}
        return {**same, "tradingsymbol": symbol, "instrument_type": kind, "segment": segment, "tick_size": tick, **more}

    found = instruments_of([
        row("INFY", "EQ", "NSE", 0.1), row("IDLE", "EQ", "NSE", 0.01),
        row("NIFTY 50", "EQ", "INDICES", 0, exchange="NSE"),
        row("INFY26NOVFUT", "FUT", "NFO-FUT", 0.1, name="INFY", lot_size=400),
        row("NIFTY26N2426000CE", "CE", "NFO-OPT", 0.05), row("USDINR26NOVFUT", "FUT", "CDS-FUT", 0.0025),
    ])  # fmt: skip
    assert [(i.symbol, i.kind, i.tick, i.lot, i.closing_auction) for i in found] == [
        ("NSE:INFY", InstrumentKind.EQUITY, 10, 1, True),
        ("NSE:IDLE", InstrumentKind.EQUITY, 1, 1, False),
        ("NSE:NIFTY 50", InstrumentKind.INDEX, 5, 1, False),
        ("NFO:INFY26NOVFUT", InstrumentKind.FUTURE, 10, 400, False),
        ("NFO:NIFTY26N2426000CE", InstrumentKind.OPTION, 5, 1, False),
    ]


# --- candles ---
@given(st.sampled_from(sorted(SPANS)), st.integers(0, 3000 * 86_400))
def test_requests_for_candles_keep_within_kites_span_and_leave_no_second_out(interval: str, seconds: int) -> None:
    start = at_ist(date(2020, 1, 1), 9, 15)
    asked = [(from_iso(a), from_iso(b)) for a, b in chunks(interval, start, start + seconds * SECOND)]
    assert (asked[0][0], asked[-1][1]) == (start, start + seconds * SECOND)
    assert all(end - begin < SPANS[interval][1] * DAY for begin, end in asked)
    assert all(following[0] - before[1] == SECOND for before, following in pairwise(asked))


def test_an_empty_range_asks_for_nothing_and_a_strange_interval_is_named() -> None:
    assert list(chunks("1m", 2 * SECOND, SECOND)) == []
    with pytest.raises(ValueError, match=r"'2m'; allowed: 1m, .*day"):
        kite_interval("2m")
