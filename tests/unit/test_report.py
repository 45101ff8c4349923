"""The report says what the journal says, to the paisa."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otrade_bot.core.clock import ManualClock, at_ist, iso
from otrade_bot.core.errors import DataException
from otrade_bot.core.events import Event, EventKind
from otrade_bot.research.report import day_report, render
from otrade_bot.service.journal import DayJournal, read_day

DAY = date(2021, 6, 1)
NOON = at_ist(DAY, 12)


def trade(trade_id: str = "t1", *, gross: int = 1500, charges: int = 412, **more: Any) -> dict[str, Any]:
    return {
        "kind": "trade",
        "symbol": "NSE:RELIANCE",
        "side": "BUY",
        "rung": 1,
        "quantity": 3,
        "entry_time": "2021-06-01T09:31:00+05:30",
        "entry_price": 2155.05,
        "exit_time": "2021-06-01T10:02:03+05:30",
        "exit_price": 2160.05,
        "exit_reason": "target",
        "gross_paise": gross,
        "charges_paise": charges,
        "net_paise": gross - charges,
        "strategy": "momentum_ladder",
        "trade_id": trade_id,
        **more,
    }


def fill(leg: str, quantity: int, value: int = 0, *, cycle: int = 1, rung: int = 1) -> dict[str, Any]:
    return {
        "kind": "fill",
        "symbol": "NSE:RELIANCE",
        "strategy": "momentum_ladder",
        "rung": rung,
        "cycle": cycle,
        "leg": leg,
        "side": "BUY" if leg == "entry" else "SELL",
        "quantity": quantity,
        "value_paise": value,
    }


def order(tag: str, order_id: str) -> dict[str, Any]:
    return {"kind": "order", "symbol": "NSE:RELIANCE", "tag": tag, "order_id": order_id, "status": "open"}


def test_an_empty_journal_is_a_day_on_which_nothing_happened() -> None:
    report = day_report([], DAY)
    assert report == {
        "day": "2021-06-01",
        "mode": "",
        "feed": "",
        "broker": "",
        "runs": [],
        "trades": [],
        "gross": 0.0,
        "charges": 0.0,
        "net": 0.0,
        "signals": 0,
        "orders": 0,
        "refusals": {},
        "ticks": 0,
        "dropped": {},
        "open_positions": [],
        "slippage": {"entries": 0, "shares": 0, "paise_per_share": None, "rupees": 0.0},
        "latency": {"orders": 0, "signal_to_sent_ms": None, "sent_to_accepted_ms": None},
        "refusal_reasons": {},
        "rejected": {},
        "by_strategy": {},
    }
    assert "No trades." in render(report)
    assert "Nothing left open." in render(report)


def test_a_trade_has_all_promised_keys_in_rupees() -> None:
    (row,) = day_report([trade()], DAY)["trades"]
    assert row == {
        "symbol": "NSE:RELIANCE",
        "side": "BUY",
        "rung": 1,
        "quantity": 3,
        "entry_time": "2021-06-01T09:31:00+05:30",
        "entry_price": 2155.05,
        "exit_time": "2021-06-01T10:02:03+05:30",
        "exit_price": 2160.05,
        "exit_reason": "target",
        "gross": 15.0,
        "charges": 4.12,
        "net": 10.88,
        "strategy": "momentum_ladder",
        "trade_id": "t1",
    }


def test_a_trade_told_again_after_a_restart_counts_once_as_last_told() -> None:
    report = day_report([trade("a"), trade("b"), trade("a", gross=2000)], DAY)
    assert len(report["trades"]) == 2
    assert report["gross"] == 35.0


def test_trades_stand_in_the_order_they_were_closed() -> None:
    late, early = trade("a"), trade("b", exit_time="2021-06-01T04:31:00+00:00")
    rows = day_report([late, early], DAY)["trades"]
    assert [row["trade_id"] for row in rows] == ["b", "a"]
    assert rows[0]["exit_time"] == "2021-06-01T10:01:00+05:30"


money = st.integers(-(10**9), 10**9)


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), money, st.integers(0, 10**7)), max_size=20))
def test_the_totals_are_the_sum_of_the_journal_to_the_paisa(booked: list[tuple[str, int, int]]) -> None:
    report = day_report([trade(name, gross=gross, charges=charges) for name, gross, charges in booked], DAY)
    last = {name: (gross, charges) for name, gross, charges in booked}
    gross, charges = (sum(pair[i] for pair in last.values()) for i in (0, 1))
    assert (report["gross"], report["charges"], report["net"]) == (
        *(gross / 100, charges / 100, (gross - charges) / 100),
    )
    assert len(report["trades"]) == len(last)


def test_what_the_journal_wrote_is_what_the_report_adds_up(tmp_path: Path) -> None:
    with DayJournal(tmp_path, ManualClock(NOON)) as journal:
        for n in range(5):
            data = {
                key: value
                for key, value in trade(f"t{n}", gross=n * 101).items()
                if key not in ("kind", "symbol")
            }
            journal.append(Event(EventKind.TRADE, NOON + n, symbol="NSE:RELIANCE", data=data), durable=True)
        journal.append(
            Event(EventKind.DAY, NOON + 9, data={"ticks": 7, "dropped": {"stale": 2}, "open_positions": []})
        )
    lines = read_day(tmp_path, DAY)
    report = day_report(lines, DAY)
    assert report["net"] == sum(line["net_paise"] for line in lines if line["kind"] == "trade") / 100
    assert (len(report["trades"]), report["ticks"], report["dropped"]) == (5, 7, {"stale": 2})


def test_orders_are_distinct_tags_that_a_broker_accepted() -> None:
    lines = [order("A1", ""), order("A1", "77"), order("A1", "77"), order("A2", ""), order("A3", "78")]
    assert day_report([*lines, order("", "79"), {"kind": "order", "tag": "A4"}], DAY)["orders"] == 2


def test_signals_and_refusals_are_counted() -> None:
    lines = [{"kind": "signal"}, {"kind": "signal"}]
    lines += [{"kind": "refusal", "code": code} for code in ("MARGIN", "BAND", "MARGIN")]
    lines += [{"kind": "refusal", "code": "skipped", "again": True}] * 9  # somebody has said no to it once
    report = day_report(lines, DAY)
    assert report["signals"] == 2
    assert report["refusals"] == {"BAND": 1, "MARGIN": 2}


def test_a_paper_day_says_so_and_a_mixed_day_too() -> None:
    paper = {"kind": "run", "ts": iso(NOON), "mode": "paper", "feed": "simulated", "broker": "paper"}
    report = day_report([paper], DAY)
    assert (report["mode"], report["feed"], report["broker"]) == ("paper", "simulated", "paper")
    assert "mode paper, feed simulated, broker paper" in render(report)
    mixed = day_report([paper, {**paper, "mode": "live", "broker": "kite", "feed": "kite"}], DAY)
    assert mixed["mode"] == "live"
    assert [run["mode"] for run in mixed["runs"]] == ["paper", "live"]
    assert "earlier runs of this day differ" in render(mixed)


def test_the_last_day_line_wins() -> None:
    held = {"symbol": "NSE:X", "side": "BUY", "rung": 1, "quantity": 2, "average": 10.5}
    lines = [
        {"kind": "day", "ticks": 5},
        {"kind": "day", "ticks": 9, "dropped": {"late": 1}, "open_positions": [held]},
    ]
    report = day_report(lines, DAY)
    assert (report["ticks"], report["dropped"], report["open_positions"]) == (9, {"late": 1}, [held])
    assert "STILL OPEN: 1\n  NSE:X P1 BUY 2 at ₹10.50" in render(report)


def test_without_a_day_line_open_positions_are_entries_less_exits() -> None:
    lines = [fill("entry", 2, 431010), fill("entry", 3, 646515), fill("entry", 2, 431010), fill("exit", 1)]
    assert day_report(lines, DAY)["open_positions"] == [
        {
            "symbol": "NSE:RELIANCE",
            "side": "BUY",
            "rung": 1,
            "quantity": 2,
            "average": 2155.05,
            "strategy": "momentum_ladder",
        }
    ]
    assert day_report([*lines, fill("exit", 3), trade()], DAY)["open_positions"] == []


def test_a_new_cycle_of_a_rung_is_open_though_the_last_one_was_closed() -> None:
    lines = [fill("entry", 3, 30000), fill("exit", 3), trade(), fill("entry", 4, 48000, cycle=2)]
    (row,) = day_report(lines, DAY)["open_positions"]
    assert (row["quantity"], row["average"]) == (4, 120.0)


def test_a_booked_trade_closes_its_rung_even_where_the_exit_fill_was_not_written() -> None:
    lines = [fill("entry", 3, 30000), fill("entry", 5, 50000, rung=2), trade()]
    (row,) = day_report(lines, DAY)["open_positions"]
    assert (row["rung"], row["quantity"]) == (2, 5)


def test_a_position_of_yesterday_that_was_sold_today_hides_nothing() -> None:
    lines = [fill("exit", 3), trade(), fill("entry", 2, 20000, cycle=2)]
    (row,) = day_report(lines, DAY)["open_positions"]
    assert row["quantity"] == 2


def test_fills_after_the_day_line_outdate_its_open_positions_but_not_its_counts() -> None:
    lines = [{"kind": "day", "ticks": 5, "open_positions": []}, fill("entry", 3, 30000)]
    report = day_report(lines, DAY)
    assert report["ticks"] == 5
    assert len(report["open_positions"]) == 1


def test_lines_of_another_day_are_left_out() -> None:
    other = at_ist(date(2021, 5, 31), 12)
    assert day_report([{"kind": "signal", "ns": other}, {"kind": "signal", "ns": NOON}], DAY)["signals"] == 1


def test_unknown_kinds_and_keys_are_ignored() -> None:
    lines = [{"kind": "novelty", "quantity": "many"}, {"kind": "stop"}, {"kind": "signal", "what": object()}]
    assert day_report(lines, DAY)["signals"] == 1


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (trade(quantity="3"), r"line 2 \(trade\): quantity: expected a whole number of at least 1, got '3'"),
        (trade(quantity=0), "quantity"),
        (trade(quantity=True), "quantity"),
        (trade(gross_paise=1.5), "gross_paise"),
        (trade(charges_paise=-1, net_paise=1501), "charges_paise"),
        (trade(net_paise=1), "net_paise 1 is not 1500 - 412"),
        (trade(entry_price=None), "entry_price: expected a price in rupees above 0, got None"),
        (trade(entry_price=float("nan")), "entry_price"),
        (trade(exit_time="noon"), "exit_time: expected an ISO-8601 time, got 'noon'"),
        (trade(exit_time=12), "exit_time"),
        (trade(side="LONG"), "side: expected BUY or SELL"),
        (trade(rung=0), "rung"),
        (trade(trade_id=None), "trade_id"),
        ({"kind": "trade"}, "it is missing"),
        ({"kind": "order", "tag": "A", "order_id": 7}, "order_id"),
        ({"kind": "refusal"}, "code"),
        ({"kind": "fill"}, "symbol"),
        ({**fill("entry", 1), "leg": "middle"}, "leg: expected entry or exit"),
        ({**fill("entry", 1), "quantity": -1}, "quantity"),
        ({"kind": "day", "ticks": -1}, "ticks"),
        ({"kind": "day", "dropped": {"a": "b"}}, "dropped: expected an object of counts"),
        ({"kind": "day", "dropped": []}, "dropped"),
        ({"kind": "day", "open_positions": {}}, "open_positions"),
        ({"kind": "run", "mode": 1}, "mode"),
        ({"kind": 5}, "line 2: kind: expected text, got 5"),
        ({}, "kind"),
        ({"kind": "signal", "ns": "x"}, "ns"),
        ([], "line 2: expected an object"),
    ],
)
def test_a_value_of_a_wrong_type_is_an_error_that_names_the_line(line: Any, told: str) -> None:
    with pytest.raises(DataException, match="journal line 2.*" + told.removeprefix("line 2")):
        day_report([{"kind": "signal"}, line], DAY)


WHOLE = [
    trade(),
    fill("entry", 1, 5),
    order("A", "7"),
    {"kind": "day", "ticks": 1, "dropped": {}, "open_positions": [{"average": 1.5}], "ns": NOON},
    {"kind": "run", "mode": "paper", "ns": NOON},
]
junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(10**30), 2**63]),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2021-06-01"]),
    st.lists(
        st.dictionaries(st.sampled_from(["average", "rung", "symbol"]), st.floats() | st.text(), max_size=2)
    ),
)


@settings(max_examples=400)
@given(st.sampled_from(WHOLE), st.data())
def test_a_line_with_any_one_value_replaced_is_reported_or_refused_by_number(
    line: dict[str, Any], data: st.DataObject
) -> None:
    key = data.draw(st.sampled_from([*line, "ns", "symbol"]))
    outcome = ""
    try:
        outcome = render(day_report([{**line, key: data.draw(junk)}], DAY))
    except DataException as error:
        outcome = str(error)
    assert outcome.startswith(("Day 2021-06-01", "journal line 1"))


def test_the_text_aligns_its_columns_and_groups_as_in_india() -> None:
    lines = [trade("a"), trade("b", gross=-12345678, charges=5, symbol="NSE:M&M", quantity=100000, rung=3)]
    text = render(day_report(lines, DAY)).splitlines()
    table = text[2:5]
    assert table[1].split() == [
        *("NSE:RELIANCE", "BUY", "P1", "3", "09:31:00", "₹2,155.05", "10:02:03", "₹2,160.05", "target"),
        *("+₹15.00", "₹4.12", "+₹10.88"),
    ]
    assert len({len(row) for row in table}) == 1
    assert "Gross -₹1,23,441.78, charges ₹4.17, net -₹1,23,445.95" in text
    assert "1,00,000" in table[2]
