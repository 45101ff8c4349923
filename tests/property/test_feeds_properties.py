"""No file, however broken, is more than a DataException; nothing is lost uncounted; merging is stable."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from otrade_bot.brokers.feeds import BarFile, TickFile, merge, read_any, read_bars, read_ticks
from otrade_bot.brokers.feeds.cells import moment, price, volume
from otrade_bot.core.errors import DataException

REASONS = {"not_text", "bad_columns", "bad_timestamp", "bad_price", "bad_volume", "bad_ohlc"}
GOOD = (
    b"timestamp,ltp,volume\n2021-06-01 09:15:49,2155.0,225316\n2021-06-01 09:15:50,2154.5,227850\n"
    b"2021-06-01 09:15:50,2155.25,227834\n2021-06-01 09:15:51.25,2155.3,227900\n"
)
BARS = b"date,time,open,high,low,close\n20160401,09:16,10,11,9,10.5\n20160401,09:17:00,10.5,11,9,10\n"
CELLS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "",
            "nan",
            "inf",
            "-1",
            "0",
            "1e308",
            "1e-99",
            '"',
            '""',
            "2021-06-01 09:15:00",
            "٣",
            "1.5",
            "7",
            "\0",
        ]
    ),
)
MUTATIONS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), st.binary(max_size=4)), max_size=8)


def mutated(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for spot, length, put in changes:
        at = spot % (len(data) + 1)
        data = data[:at] + put + data[at + length :]
    return data


def check_file(content: bytes) -> None:
    """Every reader either refuses with a DataException or accounts for each line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "X.csv"
        path.write_bytes(content)
        for read in (read_ticks, read_bars, read_any):
            with suppress(DataException):
                check_accounts(read(path))


def check_accounts(file: TickFile | BarFile) -> None:
    assert file.lines == len(file) + sum(file.dropped.values())
    assert len(file) > 0
    assert set(file.dropped) <= REASONS
    assert all(count > 0 for count in file.dropped.values())
    columns = (file.ts, file.price) if isinstance(file, TickFile) else (file.ts_end, file.low)
    for column in (*columns, file.volume):
        assert column.dtype == np.int64
        assert column.flags.c_contiguous
        assert len(column) == len(file)
    assert (columns[1] > 0).all()
    assert (file.volume >= 0).all()


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_never_a_traceback(content: bytes) -> None:
    check_file(content)
    check_file(b"timestamp,ltp,volume\n" + content)


@settings(max_examples=250, deadline=None)
@given(st.sampled_from([GOOD, BARS]), MUTATIONS)
def test_a_mutated_file_is_never_a_traceback_and_every_line_is_accounted_for(
    data: bytes, changes: list[tuple[int, int, bytes]]
) -> None:
    check_file(mutated(data, changes))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([GOOD, BARS]), st.lists(st.lists(CELLS, max_size=7), min_size=1, max_size=6))
def test_random_cells_are_never_a_traceback_and_every_line_is_accounted_for(
    data: bytes, rows: list[list[str]]
) -> None:
    check_file(data + "\n".join(",".join(row) for row in rows).encode("utf-8", "surrogatepass"))


@given(st.text(max_size=45) | CELLS)
def test_a_cell_is_an_integer_in_bounds_or_nothing(text: str) -> None:
    paise, shares, at = price(text), volume(text), moment(text)
    assert paise is None or 0 < paise <= 10**12
    assert shares is None or 0 <= shares <= 10**15
    assert at is None or 0 < at[0] < 2**63


@given(st.decimals("0.01", "99999999", places=4))
def test_a_price_is_rounded_half_up_to_the_paisa(amount: Decimal) -> None:
    assert price(str(amount)) == int((amount * 100).to_integral_value(ROUND_HALF_UP))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_whole_seconds_that_repeat_get_unique_times_in_their_order(seconds: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "X.csv"
        path.write_text(
            "timestamp,ltp,volume\n" + "".join(f"2021-06-01 09:15:0{s},1,0\n" for s in seconds),
            encoding="utf-8",
        )
        ts = read_ticks(path).ts
    assert len(set(ts.tolist())) == len(seconds)
    for second in set(seconds):
        own = ts[np.array(seconds) == second]
        assert (np.diff(own) == 1000).all()
        assert own[0] % 1_000_000_000 == 0


def made(number: int, stamps: list[int]) -> TickFile:
    ts = np.array(stamps, dtype=np.int64)
    serial = np.arange(len(ts), dtype=np.int64)
    return TickFile(f"NSE:F{number}", "made", ts, serial + 1, serial + 1000 * number, len(ts))


STAMPS = st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=15), max_size=5)


@given(STAMPS)
def test_merging_is_complete_and_keeps_each_file_s_own_order(files: list[list[int]]) -> None:
    ts, index, price_column, volume_column = merge([made(n, stamps) for n, stamps in enumerate(files)])
    assert len(ts) == sum(map(len, files))
    for n, stamps in enumerate(files):
        own = index == n
        assert ts[own].tolist() == stamps
        assert price_column[own].tolist() == list(range(1, len(stamps) + 1))
        assert volume_column[own].tolist() == [1000 * n + k for k in range(len(stamps))]


@given(STAMPS)
def test_merging_follows_the_time_a_file_has_reached_and_then_the_order_of_files(
    files: list[list[int]],
) -> None:
    _, index, serial, _ = merge([made(n, stamps) for n, stamps in enumerate(files)])
    due = [(max(files[n][:k]), n, k) for n, k in zip(index.tolist(), serial.tolist(), strict=True)]
    assert due == sorted(due)
