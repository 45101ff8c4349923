"""Bars count from the day's open, close by price or by time, and are the same inside and outside the kernel."""

from __future__ import annotations

import pytest
from kernel_desk import CLOSE, DAY, MINUTE, OPEN, SECOND, Desk
from kernel_desk import np as numpy

from otrade_bot.core.clock import at_ist
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.bars import walk
from otrade_bot.kernel.candles import CandleAgg
from otrade_bot.kernel.compile import Kernel


@pytest.mark.parametrize("minutes", [1, 3, 5, 15, 30, 60])
def test_boundaries_count_from_the_open(minutes: int, twin: Kernel) -> None:
    desk = Desk(twin, tf=minutes * MINUTE)
    end = OPEN + minutes * MINUTE
    desk.tick(OPEN, 10_000, 5)
    desk.tick(end - 1, 10_100, 7)
    assert desk.get("bars") == 0
    assert (desk.get("bar_from"), desk.get("bar_end")) == (OPEN, end)
    desk.tick(end, 10_200, 9)
    assert desk.get("bars") == 1
    assert [desk.get(n) for n in ("open", "high", "low", "close", "volume_bar")] == [100.0, 101.0, 100.0, 101.0, 7.0]
    assert (desk.get("bar_from"), desk.get("bar_end")) == (end, end + minutes * MINUTE)


def test_an_hour_starts_at_a_quarter_past(twin: Kernel) -> None:
    desk = Desk(twin, tf=60 * MINUTE)
    desk.tick(at_ist(DAY, 14, 5), 10_000)
    assert (desk.get("bar_from"), desk.get("bar_end")) == (at_ist(DAY, 13, 15), at_ist(DAY, 14, 15))


def test_a_timer_closes_a_bar_that_no_tick_follows(twin: Kernel) -> None:
    desk = Desk(twin, tf=MINUTE)
    desk.tick(OPEN, 10_000)
    desk.timer(OPEN + MINUTE - 1)
    assert desk.get("bars") == 0
    desk.timer(OPEN + MINUTE)
    assert desk.get("bars") == 1
    desk.timer(OPEN + 2 * MINUTE)
    assert desk.get("bars") == 1, "a minute without a tick has no bar"


def test_a_tick_that_comes_after_the_timer_closed_its_bar_belongs_to_the_next_one(twin: Kernel) -> None:
    desk = Desk(twin, tf=MINUTE)
    desk.tick(OPEN, 10_000, 5)
    desk.timer(OPEN + MINUTE)
    desk.tick(OPEN + MINUTE - SECOND, 10_100, 8)
    desk.tick(OPEN + MINUTE + SECOND, 10_050, 9)
    assert desk.get("bars") == 1, "no second bar of the same minute"
    desk.timer(OPEN + 2 * MINUTE)
    assert desk.get("bars") == 2
    assert [desk.get(n) for n in ("open", "high", "low", "close", "volume_bar")] == [101.0, 101.0, 100.5, 100.5, 4.0]


def test_a_new_day_closes_the_bar_that_was_left_and_starts_its_sums_anew(twin: Kernel) -> None:
    desk = Desk(twin, tf=MINUTE)
    desk.tick(CLOSE - 1, 10_000, 5)
    desk.send(abi.PHASE, ts=OPEN, code=abi.PHASE_DAY, value=DAY.toordinal() + 1)
    assert (desk.get("bars"), desk.get("bar_ticks"), desk.get("volume")) == (1, 0, 0)
    assert (desk.get("day_pv"), desk.get("day_v")) == (0.0, 0.0)


def test_on_the_tick_timeframe_every_price_is_a_bar(twin: Kernel) -> None:
    desk = Desk(twin)
    for i, price in enumerate((10_000, 10_010, 9_990)):
        desk.tick(OPEN + i, price, i)
    assert desk.get("bars") == 3
    assert desk.state[0]["closes"][:3].tolist() == [100.0, 100.1, 99.9]


@pytest.mark.parametrize("minutes", [1, 3, 5, 15, 30, 60])
def test_candles_outside_equal_the_bars_inside(minutes: int, kernel: Kernel) -> None:
    """Random ticks, with timers each minute that close bars without ticks, and ticks late by up to 2 s."""
    rng = numpy.random.default_rng(minutes)
    tf = minutes * MINUTE
    desk, agg = Desk(kernel, tf=tf), CandleAgg(tf, OPEN)
    inside: list[tuple[float, ...]] = []
    outside: list[tuple[float, ...]] = []
    volume, at = 0, OPEN
    end = OPEN

    def note(closed: list[tuple[int, int, int, int, int, int]]) -> None:
        outside.extend((o / 100, h / 100, low / 100, c / 100, float(v)) for _, o, h, low, c, v in closed)
        if desk.get("bars") > len(inside):
            inside.append(tuple(desk.get(n) for n in ("open", "high", "low", "close", "volume_bar")))

    for minute in range(1, 375):
        for _ in range(int(rng.integers(0, 4))):
            at = max(at, OPEN + (minute - 1) * MINUTE + int(rng.integers(-2, 60)) * SECOND)
            price, traded = 10_000 + int(rng.integers(-200, 200)), int(rng.integers(0, 50))
            volume += traded
            closed = agg.tick(at, price, traded)
            desk.tick(at, price, volume)
            note(closed)
        end = OPEN + minute * MINUTE
        before = desk.get("bars")
        desk.timer(end)
        note(agg.flush() if desk.get("bars") > before else [])
    assert len(inside) > 370 // minutes - 2 - 100 // minutes
    assert inside == outside


def test_candles_are_labelled_by_their_end() -> None:
    agg = CandleAgg(15 * MINUTE, OPEN)
    assert agg.tick(OPEN + 20 * MINUTE, 100, 1) == []
    assert agg.add(OPEN + 29 * MINUTE, 101, 105, 95, 102, 2) == []
    assert agg.tick(OPEN + 30 * MINUTE, 103, 1) == [(OPEN + 30 * MINUTE, 100, 105, 95, 102, 3)]
    assert agg.flush() == [(OPEN + 45 * MINUTE, 103, 103, 103, 103, 1)]
    assert agg.flush() == []


def test_a_timeframe_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        CandleAgg(0, OPEN)


@pytest.mark.parametrize(("side", "path"), [(1, [10, 8, 12, 11]), (-1, [10, 12, 8, 11])])
def test_a_bar_is_walked_worst_price_first(side: int, path: list[int]) -> None:
    assert [walk(side, 10, 12, 8, 11, k) for k in range(4)] == path
