"""Candles as a table: what Kite's client would have made of an answer, what is told twice, what is kept packed."""

from __future__ import annotations

import gc
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.brokers.feeds.minutes import Heard
from otrade_bot.brokers.kite.history import candles_of
from otrade_bot.brokers.kite.wire import ns_of
from otrade_bot.brokers.quotes import Candle, Candles
from otrade_bot.core.clock import DAY, MINUTE, at_ist, to_ist
from otrade_bot.core.imports import kite_sdk
from otrade_bot.core.money import to_paise
from otrade_bot.service.heard import HeardTape

TODAY = date(2026, 9, 16)
OPEN = at_ist(TODAY, 9, 15)
PRICES = st.one_of(
    st.floats(0, 1e9, allow_nan=False), st.integers(0, 10**9), st.integers(0, 10**9).map(lambda n: n / 100),
    st.integers(0, 10**8).map(lambda n: n / 1000),
)  # fmt: skip
STARTS = st.integers(0, 10_000).map(lambda n: (to_ist(OPEN) + timedelta(minutes=n)).strftime("%Y-%m-%dT%H:%M:%S+0530"))
ROWS = st.lists(st.tuples(STARTS, PRICES, PRICES, PRICES, PRICES, st.integers(0, 2**40)).map(list), max_size=12)
TABLES = st.lists(st.tuples(*[st.integers(-(2**40), 2**40)] * 6), max_size=12)


@given(ROWS)
def test_an_answer_is_what_the_clients_own_reading_makes_of_it(rows: list[list[Any]]) -> None:
    """Prices half up to the paisa, later rows of the same minute instead of earlier ones."""
    client = kite_sdk().KiteConnect("key")
    wanted = {}
    for row in client._format_historical({"candles": rows}):
        prices = [to_paise(row[name]) for name in ("open", "high", "low", "close")]
        wanted[ns_of(row["date"])] = Candle(ns_of(row["date"]), *prices, int(row["volume"]))
    assert candles_of({"candles": rows}) == [wanted[ts] for ts in sorted(wanted)]


@pytest.mark.parametrize(
    "data", [{}, {"candles": None}, {"candles": [["2026-09-16T09:15:00+0530", 1.0]]}, {"candles": [[None] * 6]},
             {"candles": [["2026-09-16T09:15:00+0530", None, 1, 1, 1, 1]]}, {"candles": [["soon", 1, 1, 1, 1, 1]]},
             {"candles": [["2026-09-16T09:15:00+0530", float("nan"), 1, 1, 1, 1]]},
             {"candles": [["2026-09-16T09:15:00+0530", 1, 1, 1, 1, 2**64]]}],
)  # fmt: skip
def test_what_is_no_answer_is_an_error_and_no_candle(data: dict[str, Any]) -> None:
    with pytest.raises((ValueError, LookupError, TypeError, ArithmeticError)):
        candles_of(data)


@given(TABLES, TABLES)
def test_candles_are_in_order_once_each_and_the_last_word_counts(first: list[Any], second: list[Any]) -> None:
    wanted = {row[0]: row for row in [*first, *second]}
    found = Candles.of([Candles(first), Candles(second)])
    assert found == [Candle(*wanted[ts]) for ts in sorted(wanted)]
    assert Candles.unpacked(found.packed()) == found
    assert Candles.made(list(found)) == found


def test_a_span_of_them_is_a_copy() -> None:
    whole = Candles([(OPEN + n * MINUTE, 1, 2, 0, 1, 5) for n in range(4)])
    part = whole.between(OPEN + MINUTE, OPEN + 3 * MINUTE)
    assert part == whole[1:3] == [whole[1], whole[2]]
    assert part.table.base is None or part.table.base.shape == part.table.shape
    assert not whole.between(0, OPEN)
    assert whole.days() == [TODAY]
    assert Candles().days() == []
    assert Candles.unpacked(b"") == []
    assert whole != [whole[0]]


def test_a_candle_of_a_table_is_made_of_python_numbers() -> None:
    for candle in (Candles([(OPEN, 1, 2, 0, 1, 5)])[0], next(iter(Candles([(OPEN, 1, 2, 0, 1, 5)])))):
        assert {type(getattr(candle, name)) for name in Candle.__slots__} == {int}


HEARD = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from("ABC"), st.integers(-2, 2), st.integers(1, 9), st.integers(0, 9)),
    max_size=20,
)


@given(HEARD, st.integers(0, 20), st.integers(0, 60))
def test_what_was_heard_comes_back_as_a_list_of_it_would(
    steps: list[tuple[int, str, int, int, int]], count: int, since: int
) -> None:
    tape, plain, now = HeardTape(), [], 0
    for step, symbol, days, price, volume in steps:
        now += step
        heard = Heard(OPEN + days * DAY, price, volume)
        tape.keep(now, symbol, heard)
        plain.append((now, symbol, heard))
    wanted: dict[str, list[Heard]] = {}
    for came, symbol, heard in plain[:count]:
        if came >= since and heard.ts == OPEN:
            wanted.setdefault(symbol, []).append(heard)
    assert dict(tape.told(count, since, TODAY)) == wanted
    assert tape.rest(count) == [(symbol, heard) for _, symbol, heard in plain[count:]]
    assert (len(tape), tape.before(since)) == (len(plain), sum(came < since for came, _, _ in plain))
    tape.clear()
    assert (len(tape), tape.rest(0), dict(tape.told(0, 0, TODAY))) == (0, [], {})


def test_what_is_heard_makes_no_objects() -> None:
    tape = HeardTape()
    gc.collect()
    before = len(gc.get_objects())
    for place in range(5_000):
        tape.keep(place, "NSE:RELIANCE", Heard(OPEN + place, 100, place))
    assert len(gc.get_objects()) - before < 100
    assert np.array([one.ts for one in tape.told(5_000, 0, TODAY)["NSE:RELIANCE"]]).tolist()[-1] == OPEN + 4_999
