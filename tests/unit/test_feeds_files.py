"""Files of ticks and bars: what is read, what is counted and left out, what is refused."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from otrade_bot.brokers.feeds import (
    BarFile,
    TickFile,
    read_any,
    read_bars,
    read_ticks,
    symbol_of,
    synthetic_day,
    write_ticks,
)
from otrade_bot.core.clock import MINUTE, SECOND, at_ist
from otrade_bot.core.errors import DataException

DATA = Path(__file__).parents[2].parent / "shared" / "data"
real = pytest.mark.skipif(not DATA.exists(), reason="recorded market data are not beside the project")
DAY = date(2021, 6, 1)


def tick_file(folder: Path, *lines: str, header: str = "timestamp,ltp,volume", name: str = "ABC.csv") -> Path:
    path = folder / name
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    return path


@real
@pytest.mark.parametrize(
    ("name", "first_second", "lines", "after_close"),
    [("RELIANCE", 49, 18_760, 339), ("NIFTY50", 50, 19_365, 1_622)],
)
def test_a_recorded_day_is_read_whole(name: str, first_second: int, lines: int, after_close: int) -> None:
    ticks = read_ticks(DATA / "ticks_2021-06-01" / f"{name}.csv")
    assert ticks.symbol == f"NSE:{name}"
    assert (len(ticks), ticks.lines, ticks.dropped) == (lines, lines, {})
    assert ticks.ts[0] == at_ist(DAY, 9, 15, first_second)
    assert int((ticks.ts >= at_ist(DAY, 15, 30)).sum()) == after_close
    assert len(np.unique(ticks.ts)) == lines
    assert not (ticks.price % 5).any()
    assert ticks.day == DAY


@real
def test_a_recorded_day_keeps_its_disorder_for_the_kernel_to_judge() -> None:
    ticks = read_ticks(DATA / "ticks_2021-06-01" / "RELIANCE.csv")
    assert int((np.diff(ticks.ts) < 0).sum()) == 96
    assert int((np.diff(ticks.volume) < 0).sum()) == 282


@real
@pytest.mark.parametrize(
    ("name", "symbol", "bars", "days"),
    [("NIFTY_2016Q2_1min", "NSE:NIFTY", 23_250, 62), ("WIPRO_2015-06_1min", "NSE:WIPRO", 8_244, 22)],
)
def test_recorded_bars_are_read_whole(name: str, symbol: str, bars: int, days: int) -> None:
    file = read_any(DATA / "ohlc_1min" / f"{name}.csv")
    assert isinstance(file, BarFile)
    assert (file.symbol, len(file), file.dropped, file.length) == (symbol, bars, {}, MINUTE)
    assert len(np.unique((file.ts_end + 19_800 * SECOND) // (86_400 * SECOND))) == days
    assert file.ts_end[0] == at_ist(file.day, 9, 16)
    assert not file.volume.any()


def test_columns_may_come_in_any_order_and_further_ones_are_ignored(tmp_path: Path) -> None:
    path = tick_file(
        tmp_path,
        "7,x,2155.05,2021-06-01 09:15:00",
        header="\ufeffVolume, note ,LTP,Timestamp",
        name="abc.csv",
    )
    ticks = read_ticks(path)
    assert ticks.symbol == "NSE:ABC"
    assert (ticks.ts.tolist(), ticks.price.tolist(), ticks.volume.tolist()) == (
        [at_ist(DAY, 9, 15)],
        [215_505],
        [7],
    )


@pytest.mark.parametrize(
    "text",
    [
        "2021-06-01 09:15:01",
        "2021-06-01T09:15:01",
        "2021-06-01 09:15:01.000",
        "2021-06-01T09:15:01+05:30",
        "2021-06-01T09:15:01+0530",
        "2021-06-01T03:45:01Z",
        "2021-06-01T03:45:01.000000+00:00",
        "2021-05-31T23:45:01-04:00",
        "20210601 09:15:01",
        '"2021-06-01 09:15:01"',
    ],
)
def test_a_moment_may_be_written_in_these_ways(tmp_path: Path, text: str) -> None:
    assert read_ticks(tick_file(tmp_path, f"{text},1,0")).ts.tolist() == [at_ist(DAY, 9, 15, 1)]


def test_fractions_of_a_second_are_kept_to_the_nanosecond(tmp_path: Path) -> None:
    lines = [f"2021-06-01 09:15:00.{f},1,0" for f in ("5", "123456", "123456789")]
    ticks = read_ticks(tick_file(tmp_path, *lines))
    assert (ticks.ts - at_ist(DAY, 9, 15)).tolist() == [500_000_000, 123_456_000, 123_456_789]


def test_lines_of_one_second_get_a_microsecond_each_also_where_time_went_back(tmp_path: Path) -> None:
    seconds = (1, 1, 2, 1, 2, 3)
    ticks = read_ticks(tick_file(tmp_path, *(f"2021-06-01 09:15:0{s},1,0" for s in seconds)))
    expected = [SECOND, SECOND + 1000, 2 * SECOND, SECOND + 2000, 2 * SECOND + 1000, 3 * SECOND]
    assert (ticks.ts - at_ist(DAY, 9, 15)).tolist() == expected


@pytest.mark.parametrize(
    ("text", "paise"),
    [("2155.05", 215_505), ("0.01", 1), ("1.005", 101), ("1.0049999", 100), ("2155", 215_500), (".5", 50),
     ("5.", 500), ("1e3", 100_000), ("+7", 700), (" 12.3 ", 1230), ("143950.9500000001", 14_395_095)],
)  # fmt: skip
def test_rupees_become_paise_exactly_half_up(tmp_path: Path, text: str, paise: int) -> None:
    assert read_ticks(tick_file(tmp_path, f"2021-06-01 09:15:00,{text},0")).price.tolist() == [paise]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("yesterday,1,0", "bad_timestamp"),
        ("2021-06-01,1,0", "bad_timestamp"),
        ("2021-02-30 09:15:00,1,0", "bad_timestamp"),
        ("2021-06-01 24:00:00,1,0", "bad_timestamp"),
        ("2021-06-01 09:15:60,1,0", "bad_timestamp"),
        ("0001-01-01 09:15:00,1,0", "bad_timestamp"),
        ("9999-06-01 09:15:00,1,0", "bad_timestamp"),
        ("2021-06-01T09:15:00+99:00,1,0", "bad_timestamp"),
        *((f"2021-06-01 09:15:00,{price},0", "bad_price")
          for price in ("", "x", "nan", "NaN", "inf", "-inf", "0", "0.00", "-5", "0.004", "1_000", "1e99",
                        "٣",
                        "9" * 30, '"1,000.00"')),
        *((f"2021-06-01 09:15:00,1,{volume}", "bad_volume")
          for volume in ("", "x", "-1", "1.5", "nan", "inf", "1e50", "9" * 30)),
        ("2021-06-01 09:15:00,1", "bad_columns"),
        ("2021-06-01 09:15:00", "bad_columns"),
        ('2021-06-01 09:15:00,"1,0', "bad_columns"),
        ("2021-06-01 09:15:00,1\0,0", "not_text"),
    ],
)  # fmt: skip
def test_a_bad_line_is_counted_by_its_reason_and_left_out(tmp_path: Path, line: str, reason: str) -> None:
    good = ["2021-06-01 09:15:00,1,0"] * 200
    ticks = read_ticks(tick_file(tmp_path, *good, line, *good))
    assert (len(ticks), ticks.lines, ticks.dropped) == (400, 401, {reason: 1})


def test_a_line_that_is_not_utf8_is_counted_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "X.csv"
    path.write_bytes(b"timestamp,ltp,volume\r\n2021-06-01 09:15:00,1,0\r\n\xff\xfe,1,0\r\n\r\n")
    ticks = read_ticks(path)
    assert (len(ticks), ticks.lines, ticks.dropped) == (1, 2, {"not_text": 1})


@pytest.mark.parametrize("volume", ["1200", "1200.0", "1.2e3"])
def test_a_whole_volume_may_be_written_as_a_decimal(tmp_path: Path, volume: str) -> None:
    assert read_ticks(tick_file(tmp_path, f"2021-06-01 09:15:00,1,{volume}")).volume.tolist() == [1200]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"\n\r\n  \n", "empty"),
        (b"timestamp,ltp,volume\n", "only a header"),
        (b"2021-06-01 09:15:00,1,0\n", "no header line"),
        (
            b"timestamp,ltp\n2021-06-01 09:15:00,1\n",
            "column volume is missing; columns found: timestamp, ltp",
        ),
        (b"timestamp;ltp;volume\n2021-06-01 09:15:00;1;0\n", "columns found|no header"),
        (b"timestamp,ltp,volume\nx,1,0\n2021-06-01 09:15:00,0,0\n", "1 bad_price, 1 bad_timestamp"),
        (b"\x00\x01\x02\x03", "binary"),
        (gzip.compress(b"timestamp,ltp,volume\n", mtime=0), "gzip"),
        ("timestamp,ltp,volume\n".encode("utf-16"), "UTF-16"),
        (b"\xe9\xe9,ltp,volume\n", "not text"),
    ],
)
def test_a_file_that_holds_no_ticks_is_refused_by_name(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "BAD.csv"
    path.write_bytes(content)
    with pytest.raises(DataException, match=told) as refused:
        read_ticks(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("read", [read_ticks, read_bars, read_any])
def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path, read: object) -> None:
    assert callable(read)
    with pytest.raises(DataException, match="no such file"):
        read(tmp_path / "none.csv")
    with pytest.raises(DataException, match="directory"):
        read(tmp_path)
    with pytest.raises(DataException, match="cannot be read"):
        read("a\0b.csv")


@pytest.mark.parametrize(
    ("header", "stamp"),
    [
        ("date,time,open,high,low,close", "20160401,09:16"),
        ("date,time,open,high,low,close", "2016-04-01,09:16:00"),
        ("timestamp,open,high,low,close", "2016-04-01 09:16:00"),
        ("datetime,open,high,low,close", "2016-04-01T09:16:00+05:30"),
        ("date,open,high,low,close", "2016-04-01 09:16:00+05:30"),
    ],
)
def test_a_bar_s_time_may_be_written_in_these_ways(tmp_path: Path, header: str, stamp: str) -> None:
    bars = read_bars(tick_file(tmp_path, f"{stamp},10,11.05,9,10.5", header=header))
    assert bars.ts_end.tolist() == [at_ist(date(2016, 4, 1), 9, 16)]
    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    assert [int(column[0]) for column in columns] == [1000, 1105, 900, 1050, 0]


def test_bars_labelled_by_their_start_end_one_length_later(tmp_path: Path) -> None:
    lines = [f"2016-04-01 09:{m}:00,10,11,9,10,5" for m in (15, 20, 25, 35)]
    path = tick_file(tmp_path, *lines, header="timestamp,open,high,low,close,volume")
    by_start, by_end = read_bars(path, label="start"), read_bars(path)
    assert by_start.length == 5 * MINUTE
    assert (by_start.ts_end - by_end.ts_end).tolist() == [5 * MINUTE] * 4
    with pytest.raises(ValueError, match="label"):
        read_bars(path, label="middle")


def test_a_bar_whose_high_or_low_lies_inside_its_body_is_left_out(tmp_path: Path) -> None:
    header = "timestamp,open,high,low,close,volume"
    stamp = "2016-04-01 09:16:00"
    lines = ("10,11,9,10,5", "10,9.9,9,9,5", "10,11,10.5,11,5", "10,11,x,10,5", "10,11,9,10,-1", "10,11,9")
    bars = read_bars(tick_file(tmp_path, *(f"{stamp},{line}" for line in lines), header=header))
    assert (len(bars), bars.lines) == (1, 6)
    assert bars.dropped == {"bad_columns": 1, "bad_ohlc": 2, "bad_price": 1, "bad_volume": 1}


def test_bars_without_a_time_or_a_price_column_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataException, match="no time column"):
        read_bars(tick_file(tmp_path, "1,1,1,1", header="open,high,low,close"))
    with pytest.raises(DataException, match="column close is missing"):
        read_bars(tick_file(tmp_path, "20160401,09:16,1,1,1", header="date,time,open,high,low"))


def test_the_header_decides_between_ticks_and_bars(tmp_path: Path) -> None:
    assert isinstance(read_any(tick_file(tmp_path, "2021-06-01 09:15:00,1,0")), TickFile)
    bars = tick_file(tmp_path, "2021-06-01 09:16:00,1,1,1,1", header="timestamp,open,high,low,close")
    assert isinstance(read_any(bars), BarFile)
    with pytest.raises(DataException, match=r"neither ticks .* nor bars"):
        read_any(tick_file(tmp_path, "1,2", header="a,b"))


@pytest.mark.parametrize(
    ("stem", "symbol"),
    [
        ("RELIANCE", "RELIANCE"), ("nifty50", "NIFTY50"), ("M&M", "M&M"), ("BAJAJ-AUTO", "BAJAJ-AUTO"),
        ("NIFTY_50", "NIFTY_50"), ("NIFTY_BANK", "NIFTY_BANK"), ("360ONE", "360ONE"), ("NIFTY_M", "NIFTY_M"),
        ("WIPRO_2015-06_1min", "WIPRO"), ("NIFTY_2016Q2_1min", "NIFTY"), ("NIFTY_100_2021", "NIFTY_100"),
        ("NIFTY_AUTO2021-06-01_", "NIFTY_AUTO"), ("BAJAJ_AUTO_15_April", "BAJAJ_AUTO"), ("TCS_15m", "TCS"),
        ("TCS_20210601_ticks", "TCS"), ("NIFTY21JUNFUT", "NIFTY21JUNFUT"),
        ("NIFTY_MIDCAP_100", "NIFTY_MIDCAP_100"),
    ],
)  # fmt: skip
def test_the_symbol_is_the_stem_without_its_date_and_bar_length(stem: str, symbol: str) -> None:
    assert symbol_of(Path("some") / f"{stem}.csv") == f"NSE:{symbol}"


def test_a_name_without_a_letter_or_digit_is_no_symbol() -> None:
    with pytest.raises(DataException, match="holds no symbol"):
        symbol_of("__.csv")


def test_written_ticks_are_read_back_unchanged(tmp_path: Path) -> None:
    for ticks in synthetic_day(DAY, 3):
        path = tmp_path / f"{ticks.symbol[4:]}.csv"
        write_ticks(ticks, path)
        back = read_ticks(path)
        assert (back.symbol, back.lines, back.dropped) == (ticks.symbol, ticks.lines, {})
        np.testing.assert_array_equal(back.ts, ticks.ts)
        np.testing.assert_array_equal(back.price, ticks.price)
        np.testing.assert_array_equal(back.volume, ticks.volume)
