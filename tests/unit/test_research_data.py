"""Price files of strangers: what is read, how days are told apart, what is refused in one line."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from otrade_bot.brokers.feeds import read_bars, read_ticks
from otrade_bot.core.clock import MINUTE, SECOND, at_ist
from otrade_bot.core.errors import DataException
from otrade_bot.kernel import state as abi
from otrade_bot.research.data import load_files
from otrade_bot.research.replay import bar_events, tick_events
from tests.harness.bench import Bench
from tests.unit.tape_room import ended, record

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the recorded prices are not beside the project")
DAY = date(2021, 6, 1)


def written(folder: Path, *lines: str, name: str = "ABC.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def clock(minute: int) -> str:
    """'09:16' of the first minute."""
    return f"{9 + (15 + minute) // 60:02d}:{(15 + minute) % 60:02d}"


def bars(
    folder: Path, first: int, count: int, *, step: int = 1, day: str = "2021-06-01", name: str = "ABC.csv"
) -> Path:
    lines = [f"{day} {clock(first + step * i)}:00,10,11,9,10.5,7" for i in range(count)]
    return written(folder, "timestamp,open,high,low,close,volume", *lines, name=name)


# --- the recorded files ---


@needs_data
def test_recorded_ticks_are_the_events_that_the_feed_reads() -> None:
    paths = [DATA / "ticks_2021-06-01" / f"{name}.csv" for name in ("RELIANCE", "NIFTY50")]
    market = load_files(paths)
    assert (market.symbols, market.days, market.length) == (("NSE:RELIANCE", "NSE:NIFTY50"), (DAY,), 0)
    np.testing.assert_array_equal(market.events(DAY), tick_events([read_ticks(path) for path in paths], [0, 1]))


@needs_data
@pytest.mark.parametrize(("name", "days"), [("NIFTY_2016Q2_1min", 62), ("WIPRO_2015-06_1min", 22)])
def test_recorded_bars_are_the_events_that_the_feed_reads(name: str, days: int) -> None:
    path = DATA / "ohlc_1min" / f"{name}.csv"
    market = load_files([path])
    assert (len(market.days), market.length, market.dropped) == (days, MINUTE, {})
    events = np.concatenate([market.events(day) for day in market.days])
    np.testing.assert_array_equal(events, bar_events(read_bars(path), 0))


@needs_data
def test_a_folder_is_its_price_files_and_other_files_in_it_are_left_alone() -> None:
    assert load_files([DATA / "ticks_2021-06-01"]).symbols == ("NSE:NIFTY50", "NSE:RELIANCE")


# --- times and columns ---


@pytest.mark.parametrize(
    ("header", "stamp"),
    [
        ("timestamp", "2021-06-01 09:15:01"), ("Timestamp", "2021-06-01T09:15:01+05:30"),
        ("datetime", "2021-06-01T03:45:01Z"), ("Date Time", "2021-05-31T23:45:01-04:00"),
        ("date", "01-06-2021 09:15:01"), ("Date", "01/06/2021 09:15:01 AM"), ("ts", "1622519101"),
        ("exchange_timestamp", "1622519101000"), ("epoch", "1622519101.0"), ("time", "1622519101000000000"),
        ("date,time", "20210601,09:15:01"), ("Date,Time", "2021-06-01,091501"), ("date,time", "01-Jun-2021,9:15:01"),
        ("<DATE>,<TIME>", "2021/06/01,09:15:01.000"), ("date,time", "2021-06-01 00:00:00,09:15:01"),
    ],
)  # fmt: skip
def test_times_may_be_written_in_these_ways(tmp_path: Path, header: str, stamp: str) -> None:
    market = load_files([written(tmp_path, f"{header},ltp,volume", f"{stamp},2155.05,7")])
    events = market.events(DAY)
    assert (events["ts"].tolist(), events["price"].tolist(), events["qty"].tolist()) == (
        [at_ist(DAY, 9, 15, 1)], [215_505], [7],
    )  # fmt: skip


@pytest.mark.parametrize("stamp", ["yesterday", "32-06-2021 09:15", "2021-06-01 25:00", "123", "99999999999"])
def test_a_line_without_a_usable_time_is_counted(tmp_path: Path, stamp: str) -> None:
    market = load_files([written(tmp_path, "timestamp,ltp", "2021-06-01 09:15:00,5", f"{stamp},5")])
    assert (market.lines, market.dropped) == (2, {"bad_timestamp": 1})


@pytest.mark.parametrize("header", ["timestamp,ltp", "Timestamp,Last Price,Note", "time,PRICE,oi"])
def test_ticks_without_a_volume_have_none(tmp_path: Path, header: str) -> None:
    tail = "," * (header.count(",") - 1)
    market = load_files([written(tmp_path, header, f"2021-06-01 09:15:00,5{tail}", f"2021-06-01 09:15:00,6{tail}")])
    events = market.events(DAY)
    assert events["qty"].tolist() == [0, 0]
    assert (events["ts"] - at_ist(DAY, 9, 15)).tolist() == [0, 1000]


def test_volumes_of_single_ticks_are_added_up_by_day(tmp_path: Path) -> None:
    lines = [f"2021-06-0{d} 09:15:0{s},5,{q}" for d in (1, 2) for s, q in enumerate((3, 4, 1))]
    market = load_files([written(tmp_path, "timestamp,ltp,last_qty", *lines)])
    assert [market.events(day)["qty"].tolist() for day in market.days] == [[3, 7, 8]] * 2
    assert "what each tick traded" in market.notes[0]


def test_a_volume_that_keeps_falling_is_that_of_single_ticks(tmp_path: Path) -> None:
    lines = [f"2021-06-01 09:15:{s:02d},5,{5 + s % 2}" for s in range(40)]
    market = load_files([written(tmp_path, "timestamp,ltp,volume", *lines)])
    assert market.events(DAY)["qty"][-1] == 20 * 5 + 20 * 6
    assert market.notes


def test_a_volume_that_falls_now_and_then_is_the_days_so_far(tmp_path: Path) -> None:
    lines = [f"2021-06-01 09:15:{s:02d},5,{100 + 10 * s - (35 if s % 10 == 9 else 0)}" for s in range(40)]
    market = load_files([written(tmp_path, "timestamp,ltp,volume", *lines)])
    assert market.events(DAY)["qty"].tolist() == [100 + 10 * s - (35 if s % 10 == 9 else 0) for s in range(40)]
    assert not market.notes


def test_several_symbols_may_share_a_file_and_each_keeps_its_own_seconds(tmp_path: Path) -> None:
    rows = ("2021-06-01 09:15:00,TCS,5,1", "2021-06-01 09:15:00,infy.NS,7,1", "2021-06-01 09:15:00,TCS,6,2",
            "2021-06-01 09:15:00,?!,6,2")  # fmt: skip
    market = load_files([written(tmp_path, "timestamp,symbol,ltp,volume", *rows)])
    assert (market.symbols, market.dropped) == (("NSE:TCS", "NSE:INFY"), {"bad_symbol": 1})
    events = market.events(DAY)
    assert [(e["row"], e["price"], e["ts"] - at_ist(DAY, 9, 15)) for e in events] == [
        (0, 500, 0), (1, 700, 0), (0, 600, 1000),
    ]  # fmt: skip


# --- bars ---


@pytest.mark.parametrize(("first", "named"), [(0, "start"), (1, "end")])
@pytest.mark.parametrize("count", [1, 3, 375])
def test_which_end_of_a_bar_is_named_is_seen_from_the_first_of_a_day(
    tmp_path: Path, first: int, named: str, count: int
) -> None:
    market = load_files([bars(tmp_path, first, count)])
    events = market.events(DAY)
    assert events["ts"][0] == at_ist(DAY, 9, 15)
    assert set(events["cycle"].tolist()) == {MINUTE}
    told = load_files([bars(tmp_path, first, count)], label="start" if named == "end" else "end")
    assert told.events(DAY)["ts"][0] != at_ist(DAY, 9, 15)


@pytest.mark.parametrize(("first", "start"), [(5, 5), (6, 5)])
def test_a_day_without_its_first_bars_is_judged_by_its_last(tmp_path: Path, first: int, start: int) -> None:
    market = load_files([bars(tmp_path, first, 370)])
    assert market.events(DAY)["ts"][0] == at_ist(DAY, 9, 15) + start * MINUTE


def test_volumes_of_bars_add_up_over_the_day(tmp_path: Path) -> None:
    events = load_files([bars(tmp_path, 1, 4)]).events(DAY)
    assert (events["kind"].tolist(), events["qty"].tolist()) == ([abi.BAR] * 4, [7] * 4)
    assert events["leg"].tolist() == [0, 7, 14, 21]


def test_the_last_bar_of_a_day_ends_with_the_day(tmp_path: Path) -> None:
    """60-minute bars named by their start: the one of 15:15 lasts a quarter of an hour."""
    events = load_files([bars(tmp_path, 0, 7, step=60)]).events(DAY)
    assert (events["cycle"] // MINUTE).tolist() == [60] * 6 + [15]


def test_bars_out_of_order_are_put_in_order_and_the_same_bar_twice_counts_once(tmp_path: Path) -> None:
    lines = [f"2021-06-01 {clock(m)}:00,1{m},11{m},1,10{m}" for m in (3, 1, 2, 3)]
    market = load_files([written(tmp_path, "timestamp,open,high,low,close", *lines)])
    assert market.events(DAY)["value"].tolist() == [1100, 1200, 1300]
    assert market.dropped == {"repeated_bar": 1}


def test_files_of_one_symbol_are_joined(tmp_path: Path) -> None:
    paths = [bars(tmp_path, 1, 3, day=f"2021-06-0{d}", name=f"ABC_2021-06-0{d}.csv") for d in (2, 1)]
    market = load_files(paths)
    assert (market.symbols, market.days) == (("NSE:ABC",), (date(2021, 6, 1), date(2021, 6, 2)))
    assert market.size(market.days[0]) == 3


def test_a_volume_column_without_a_number_is_no_volume(tmp_path: Path) -> None:
    lines = [f"2021-06-01 {clock(m)}:00,1,2,1,2," for m in (1, 2)]
    market = load_files([written(tmp_path, "timestamp,open,high,low,close,volume", *lines)])
    assert market.events(DAY)["qty"].tolist() == [0, 0]


# --- days ---


def test_days_without_a_session_are_left_out_with_the_reason(tmp_path: Path) -> None:
    days = ("2021-06-04", "2021-06-05", "2021-07-21", "2021-07-22")
    lines = [f"{day} 09:15:00,5,1" for day in days]
    path = written(tmp_path, "timestamp,ltp,volume", *lines)
    market = load_files([path])
    assert [str(day) for day in market.days] == ["2021-06-04", "2021-07-22"]
    assert [str(day) for day in market.closed] == ["2021-06-05", "2021-07-21"]
    assert market.closed[date(2021, 6, 5)] == "Saturday"
    assert len(load_files([path], all_days=True).days) == 4


def test_closed_days_at_either_end_are_told_unless_other_days_were_asked_for(tmp_path: Path) -> None:
    lines = [f"2021-06-{day:02d} 09:15:00,5,1" for day in (5, 7, 12)]  # a Saturday, a Monday, a Saturday
    market = load_files([written(tmp_path, "timestamp,ltp,volume", *lines)])
    assert [day.day for day in market.between(None, None).closed] == [5, 12]
    assert [day.day for day in market.between(date(2021, 6, 6), None).closed] == [12]
    assert [day.day for day in market.between(None, date(2021, 6, 7)).closed] == [5]


def test_days_may_be_chosen_and_those_before_are_kept_for_the_indicators(tmp_path: Path) -> None:
    lines = [f"2021-06-0{d} 09:15:00,5,1" for d in (1, 2, 3, 4)]
    market = load_files([written(tmp_path, "timestamp,ltp,volume", *lines)])
    part = market.between(date(2021, 6, 2), date(2021, 6, 3))
    assert ([d.day for d in part.days], [d.day for d in part.before]) == ([2, 3], [1])
    with pytest.raises(DataException, match=r"no trading day from 2022-01-01 to the last; there is: 2021-06-01 to"):
        market.between(date(2022, 1, 1), None)


def test_a_year_of_days_is_told_apart(tmp_path: Path) -> None:
    start, lines = datetime(2021, 1, 1, 9, 16), []  # noqa: DTZ001
    for n in range(365):
        stamp = start + timedelta(days=n)
        lines += [f"{stamp:%Y-%m-%d},{stamp:%H:%M},10,11,9,10", f"{stamp:%Y-%m-%d},15:30,10,11,9,10",
                  f"{stamp:%Y-%m-%d},15:29,10,11,9,10"]  # fmt: skip
    market = load_files([written(tmp_path, "date,time,open,high,low,close", *lines)])
    assert len(market.days) + len(market.closed) == 365
    assert all(market.size(day) == 3 for day in market.days)
    assert all(market.events(day)["ts"][0] == at_ist(day, 9, 15) for day in market.days)


# --- refusals ---


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["2021-06-01 09:15:00,5,1"], "no header line"),
        (["timestamp,ltp", "x,1"], "no usable line .1 bad_timestamp"),
        (["timestamp,ltp"], "only a header"),
        (["timestamp,open,high,low", "2021-06-01 09:15,1,1,1"], "column close is missing"),
        (["ltp,volume", "1,1"], "no time column"),
        (["timestamp,volume", "2021-06-01 09:15,1"], "neither ltp nor open,high,low,close"),
        (["date,open,high,low,close", "2021-06-01,1,1,1,1"], "without a time of day"),
        (["timestamp,ltp", "2021-06-05 09:15:00,1"], r"no price on a trading day: 2021-06-05 \(Saturday\)"),
        (["timestamp,open,high,low,close", "2021-06-01 09:15,1,1,1,1", "2021-06-01 12:15,1,1,1,1"], "180 minutes"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_by_name_in_one_line(tmp_path: Path, lines: list[str], told: str) -> None:
    path = written(tmp_path, *lines)
    with pytest.raises(DataException, match=told) as refused:
        load_files([path])
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_ticks_and_bars_of_one_symbol_are_refused(tmp_path: Path) -> None:
    ticks = written(tmp_path, "timestamp,ltp", "2021-06-01 09:15:00,1", name="ABC_ticks.csv")
    with pytest.raises(DataException, match="both ticks and bars of NSE:ABC"):
        load_files([bars(tmp_path, 1, 2), ticks])


def test_an_empty_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataException, match="no price file in this folder"):
        load_files([tmp_path])
    with pytest.raises(DataException, match="no such file"):
        load_files([tmp_path / "none.csv"])


# --- tapes ---


def test_a_tape_is_the_prices_that_were_offered_and_parts_of_a_day_follow_each_other(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "paper.jsonl")
    prices = [100, 101, 102, 103]
    for part, price in enumerate(prices):
        recorder = record(bench, tmp_path / "tape")
        bench.price(price * 100)
        path = ended(recorder)
        path.rename(path.with_name(f"{bench.day}.{(2, 9, 10, 11)[part]}.tape"))
    market = load_files([tmp_path / "tape"])
    assert (market.days, market.lines) == ((bench.day,), 4)
    assert market.symbols == (bench.engine.table[0].instrument.symbol,)
    assert market.events(bench.day)["price"].tolist() == [price * 100 for price in prices]


# --- Parquet ---


@pytest.mark.parametrize("zone", [None, "Asia/Kolkata", "UTC"])
def test_parquet_holds_the_same_as_csv(tmp_path: Path, zone: str | None) -> None:
    pl = pytest.importorskip("polars")
    path = bars(tmp_path, 1, 20)
    frame = pl.read_csv(path).with_columns(pl.col("timestamp").str.to_datetime("%Y-%m-%d %H:%M:%S"))
    if zone is not None:
        local = pl.col("timestamp").dt.replace_time_zone("Asia/Kolkata").dt.convert_time_zone(zone)
        frame = frame.with_columns(local)
    frame.write_parquet(tmp_path / "ABC.parquet")
    market = load_files([tmp_path / "ABC.parquet"])
    np.testing.assert_array_equal(market.events(DAY), load_files([path]).events(DAY))


def test_parquet_ticks_of_one_second_are_told_apart_too(tmp_path: Path) -> None:
    pl = pytest.importorskip("polars")
    stamps = [datetime(2021, 6, 1, 9, 15, s) for s in (1, 1, 2)]  # noqa: DTZ001
    pl.DataFrame({"timestamp": stamps, "ltp": [5.05, 5.1, None], "volume": [1, 2, 3]}).write_parquet(
        tmp_path / "ABC.parquet"
    )
    market = load_files([tmp_path / "ABC.parquet"])
    events = market.events(DAY)
    assert (events["ts"] - at_ist(DAY, 9, 15)).tolist() == [SECOND, SECOND + 1000]
    assert (events["price"].tolist(), market.dropped) == ([505, 510], {"bad_price": 1})


def test_a_torn_parquet_file_is_refused_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("polars")
    path = tmp_path / "ABC.parquet"
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(DataException, match="cannot be read") as refused:
        load_files([path])
    assert "\n" not in str(refused.value)
