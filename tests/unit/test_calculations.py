"""Edges of the formulas: rings that are not full, flat markets, ticks, percentages, nothing to divide by."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import pytest

from otrade_bot.kernel import calculations as calc

Ring = npt.NDArray[np.float64]
Windowed = Callable[[Ring, int, int], float]
WINDOWED: list[Windowed] = [calc.sma, calc.wma, calc.deviation]


def filled(values: Iterable[float], capacity: int = 64) -> tuple[Ring, int]:
    ring, count = np.zeros(capacity), 0
    for x in values:
        count = calc.push(ring, count, x)
    return ring, count


# --- rings ----------------------------------------------------------------------------------------


def test_back_counts_from_the_newest_and_survives_wrapping() -> None:
    ring, count = filled(range(1, 101))
    assert count == 100
    assert [calc.back(ring, count, k) for k in (0, 1, 35, 36, 63)] == [100.0, 99.0, 65.0, 64.0, 37.0]


def test_back_is_zero_where_so_many_values_have_not_come() -> None:
    ring, count = filled([7.0, 8.0])
    assert [calc.back(ring, count, k) for k in (0, 1, 2, 63)] == [8.0, 7.0, 0.0, 0.0]
    assert calc.back(np.full(64, 5.0), 0, 0) == 0.0


@pytest.mark.parametrize("k", [-1, 64, 1000])
def test_back_refuses_what_a_ring_can_never_hold(k: int) -> None:
    ring, count = filled(range(200))
    with pytest.raises(ValueError, match="within the ring"):
        calc.back(ring, count, k)


@pytest.mark.parametrize("n", [0, -1, 65])
@pytest.mark.parametrize("formula", WINDOWED)
def test_a_window_longer_than_the_ring_or_empty_is_refused(formula: Windowed, n: int) -> None:
    ring, count = filled(range(1, 200))
    with pytest.raises(ValueError, match="within the ring"):
        formula(ring, count, n)


@pytest.mark.parametrize(("n", "skip"), [(64, 1), (60, 5), (1, 64), (5, -1), (0, 0)])
def test_a_skipped_window_must_lie_within_the_ring_too(n: int, skip: int) -> None:
    ring, count = filled(range(1, 200))
    for formula in (calc.highest, calc.lowest):
        with pytest.raises(ValueError, match="within the ring"):
            formula(ring, count, n, skip)


def test_the_longest_windows_reach_the_oldest_value_and_not_further() -> None:
    ring, count = filled([1000.0, *range(1, 65)])
    assert calc.sma(ring, count, 64) == 32.5
    assert calc.highest(ring, count, 64, 0) == 64.0
    assert calc.highest(ring, count, 63, 1) == 63.0
    assert calc.lowest(ring, count, 63, 1) == 1.0
    assert calc.lowest(ring, count, 63, 0) == 2.0
    assert calc.lowest(ring, count, 1, 63) == 1.0


def test_the_ring_need_not_be_64_long() -> None:
    ring, count = filled([9.0, 1.0, 2.0, 6.0], capacity=3)
    assert calc.sma(ring, count, 3) == 3.0
    with pytest.raises(ValueError, match="within the ring"):
        calc.sma(ring, count, 4)


def test_before_a_window_is_full_the_formula_covers_what_has_come() -> None:
    ring, count = filled([3.0, 6.0, 12.0])
    assert calc.sma(ring, count, 20) == 7.0
    assert calc.wma(ring, count, 20) == pytest.approx((3 + 12 + 36) / 6)
    assert calc.deviation(ring, count, 20) == pytest.approx(math.sqrt(14.0))
    assert (calc.highest(ring, count, 20, 0), calc.highest(ring, count, 20, 1)) == (12.0, 6.0)
    assert (calc.lowest(ring, count, 20, 0), calc.lowest(ring, count, 20, 1)) == (3.0, 3.0)
    assert calc.highest(ring, count, 20, 3) == calc.lowest(ring, count, 20, 9) == 0.0


@pytest.mark.parametrize("formula", [*WINDOWED, calc.volatility])
def test_without_any_value_every_window_answers_zero(formula: Windowed) -> None:
    assert formula(np.full(64, 5.0), 0, 20) == 0.0


def test_extremes_of_values_below_zero_are_not_zero() -> None:
    ring, count = filled([-5.0, -2.0, -9.0])
    assert (calc.highest(ring, count, 3, 0), calc.lowest(ring, count, 3, 0)) == (-2.0, -9.0)


# --- averages and indicators ----------------------------------------------------------------------


def test_one_period_is_the_value_itself() -> None:
    ring, count = filled([100.05, 0.1, 1234.35])
    assert calc.sma(ring, count, 1) == calc.wma(ring, count, 1) == 1234.35
    assert calc.deviation(ring, count, 1) == 0.0
    assert calc.highest(ring, count, 1, 0) == calc.lowest(ring, count, 1, 0) == 1234.35
    assert calc.highest(ring, count, 1, 1) == 0.1
    for average in (calc.ema, calc.wilder):
        assert average(1e17, 1234.35, 1, 5) == 1234.35, "not by way of the difference, which would round"


@pytest.mark.parametrize("price", [100.05, 0.1, 7708.35, 1e-3])
@pytest.mark.parametrize("n", [3, 20, 49])
def test_a_price_that_stands_still_is_its_own_average_exactly(price: float, n: int) -> None:
    ring, count = filled([price] * 150)
    assert calc.sma(ring, count, n) == calc.wma(ring, count, n) == price
    assert calc.deviation(ring, count, n) == calc.volatility(ring, count, n) == 0.0
    fast = slow = 0.0
    for i in range(150):
        fast, slow = calc.ema(fast, price, n, i), calc.wilder(slow, price, n, i)
    assert fast == slow == price


def test_the_first_value_starts_an_average_whatever_came_before() -> None:
    for average in (calc.ema, calc.wilder):
        assert average(math.nan, 5.0, 9, 0) == average(1e300, 5.0, 9, 0) == 5.0


@pytest.mark.parametrize("average", [calc.ema, calc.wilder])
def test_an_average_is_the_mean_up_to_its_nth_value_and_smooths_from_there(
    average: Callable[[float, float, int, int], float],
) -> None:
    value, seen = 0.0, []
    for i, x in enumerate([10.0, 20.0, 60.0, 50.0]):
        value = average(value, x, 4, i)
        seen.append(value)
    assert seen == [10.0, 15.0, 30.0, 35.0]
    assert average(value, 75.0, 4, 4) == (51.0 if average is calc.ema else 45.0)


def test_rsi_of_one_direction_and_of_none() -> None:
    assert calc.rsi(2.0, 0.0) == 100.0
    assert calc.rsi(0.0, 2.0) == 0.0
    assert calc.rsi(0.0, 0.0) == 50.0
    assert calc.rsi(3.0, 1.0) == 75.0


def test_a_change_is_a_rise_or_a_fall_never_both() -> None:
    assert (calc.rise(10.0, 12.5), calc.fall(10.0, 12.5)) == (2.5, 0.0)
    assert (calc.rise(12.5, 10.0), calc.fall(12.5, 10.0)) == (0.0, 2.5)
    assert (calc.rise(10.0, 10.0), calc.fall(10.0, 10.0)) == (0.0, 0.0)


def test_true_range_covers_the_gap_from_the_close_before() -> None:
    assert calc.true_range(12.0, 10.0, 11.0) == 2.0
    assert calc.true_range(12.0, 10.0, 9.0) == 3.0
    assert calc.true_range(12.0, 10.0, 15.0) == 5.0
    assert calc.true_range(12.0, 10.0, 0.0) == 2.0


def test_vwap_weighs_by_volume_and_falls_back_without_any() -> None:
    sums = calc.typical(12.0, 9.0, 9.0) * 100.0 + calc.typical(24.0, 18.0, 18.0) * 300.0
    assert calc.vwap(sums, 400.0, 7.0) == 17.5
    assert calc.vwap(17.5, 1.0, 7.0) == 17.5
    assert calc.vwap(0.0, 0.0, 7.0) == 7.0


def test_bands_lie_k_deviations_to_either_side() -> None:
    assert calc.bollinger_upper(100.0, 2.0, 2.5) == 105.0
    assert calc.bollinger_lower(100.0, 2.0, 2.5) == 95.0


def test_volatility_of_two_returns_by_hand() -> None:
    ring, count = filled([50.0, 100.0, 110.0, 99.0])
    a, b = math.log(1.1), math.log(0.9)
    assert calc.volatility(ring, count, 2) == pytest.approx(abs(a - b) / math.sqrt(2.0), rel=1e-12)


def test_volatility_needs_two_returns_and_prices_above_zero() -> None:
    ring, count = filled([100.0, 110.0])
    assert calc.volatility(ring, count, 20) == 0.0
    assert calc.volatility(*filled([1.0, 2.0, 9.0]), 1) == 0.0
    assert calc.volatility(*filled([1.0, 2.0, 9.0]), 20) > 0.0
    assert math.isnan(calc.volatility(*filled([0.0, 2.0, 9.0]), 2))
    assert math.isnan(calc.volatility(*filled([3.0, -2.0, 9.0, 9.0]), 3))
    assert calc.volatility(*filled([-1.0, 2.0, 4.0, 8.0]), 2) == 0.0, "the bad price lies outside the window"


def test_volatility_takes_one_price_more_than_its_window() -> None:
    ring, count = filled(range(1, 101))
    assert calc.volatility(ring, count, 63) > 0.0
    with pytest.raises(ValueError, match="within the ring"):
        calc.volatility(ring, count, 64)


@pytest.mark.parametrize(
    ("before", "now", "answer"),
    [
        ((9.0, 10.0), (11.0, 10.0), 1),
        ((10.0, 10.0), (11.0, 10.0), 1),
        ((11.0, 10.0), (9.0, 10.0), -1),
        ((10.0, 10.0), (9.0, 10.0), -1),
        ((9.0, 10.0), (10.0, 10.0), 0),
        ((11.0, 10.0), (10.0, 10.0), 0),
        ((11.0, 10.0), (12.0, 10.0), 0),
        ((9.0, 10.0), (8.0, 10.0), 0),
        ((10.0, 10.0), (10.0, 10.0), 0),
    ],
)
def test_crossover_is_leaving_to_the_other_side(
    before: tuple[float, float], now: tuple[float, float], answer: int
) -> None:
    assert calc.crossover(*before, *now) == answer


# --- levels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paise", "tick", "floor", "nearest", "ceil"),
    [
        (10002, 5, 10000, 10000, 10005),
        (10003, 5, 10000, 10005, 10005),
        (10005, 5, 10005, 10005, 10005),
        (10005, 10, 10000, 10010, 10010),
        (10004, 10, 10000, 10000, 10010),
        (0, 5, 0, 0, 0),
        (-3, 5, -5, -5, 0),
        (7, 1, 7, 7, 7),
        (7, 0, 7, 7, 7),
    ],
)
def test_rounding_to_ticks(paise: int, tick: int, floor: int, nearest: int, ceil: int) -> None:
    assert calc.floor_tick(paise, tick) == floor
    assert calc.round_tick(paise, tick) == nearest
    assert calc.ceil_tick(paise, tick) == ceil


@pytest.mark.parametrize(
    ("price", "percent", "tick", "below", "above"),
    [
        (100_000, 2.5, 5, 97_500, 102_500),
        (215_500, 0.25, 5, 214_960, 216_040),  # 214961.25 and 216038.75
        (10_050, 1.0, 5, 9_950, 10_150),  # 9949.5 and 10150.5
        (10_000, 0.025, 5, 9_995, 10_005),  # 9997.5 is half-way and would round up to the price
        (30_000, 0.025, 5, 29_995, 30_010),  # 29992.5 and 30007.5: half-way rounds up
        (100, 1.0, 5, 95, 105),  # nearer than a tick
        (103, 1.0, 5, 100, 105),
        (10_000, 150.0, 5, 5, 25_000),
        (5, 50.0, 5, 5, 10),  # nothing is below one tick
        (3, 50.0, 5, 5, 5),
        (10_000, 1.0, 0, 9_900, 10_100),
        (10_000, 1e-9, 1, 9_999, 10_001),
    ],
)
def test_stops_and_targets(price: int, percent: float, tick: int, below: int, above: int) -> None:
    assert calc.stop_level(price, percent, 1, tick) == calc.target_level(price, percent, -1, tick) == below
    assert calc.target_level(price, percent, 1, tick) == calc.stop_level(price, percent, -1, tick) == above


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("price", "percent"), [(10_000, 0.0), (0, 1.0), (-5, 1.0), (10_000, -1.0), (10_000, math.nan)]
)
def test_no_percentage_or_no_price_is_no_level(price: int, percent: float, side: int) -> None:
    assert calc.stop_level(price, percent, side, 5) == calc.target_level(price, percent, side, 5) == 0
    assert calc.trailing_stop(price, percent, side, 5, 0) == 0
    assert calc.trailing_stop(price, percent, side, 5, 9_000) == 9_000


def test_percentages_count_to_four_decimals_and_smaller_ones_as_the_smallest() -> None:
    assert calc.moved(1_000_000, 1.00005, 1) == 1_000_000 * 1_010_001
    assert calc.moved(1_000_000, 1.00004, -1) == 1_000_000 * 990_000
    assert calc.moved(1_000_000, 1e-9, 1) == 1_000_000 * 1_000_001


@pytest.mark.parametrize("percent", [0.7, 1.1, 2.3, 2.5, 4.35, 5.0])
def test_a_level_that_is_a_tick_is_met_exactly(percent: float) -> None:
    # In floats 100000 * (1 - 4.35 / 100) is 95649.99999999999, a tick too low when rounded down.
    away = round(percent * 1_000)
    for side in (1, -1):
        exact = 100_000 - side * away
        assert calc.trailing_stop(100_000, percent, side, 5, 0) == exact
        assert calc.stop_level(100_000, percent, side, 5) == exact


def test_a_trailing_stop_follows_and_stays() -> None:
    assert calc.trailing_stop(10_003, 5.0, 1, 5, 0) == 9_500  # 9502.85 down
    assert calc.trailing_stop(10_003, 5.0, 1, 5, 9_400) == 9_500
    assert calc.trailing_stop(10_003, 5.0, 1, 5, 9_600) == 9_600
    assert calc.trailing_stop(10_003, 5.0, -1, 5, 0) == 10_505  # 10503.15 up
    assert calc.trailing_stop(10_003, 5.0, -1, 5, 10_600) == 10_505
    assert calc.trailing_stop(10_003, 5.0, -1, 5, 10_400) == 10_400
    assert calc.trailing_stop(10, 99.0, 1, 5, 0) == 5
    assert calc.trailing_stop(1_000, 0.1, 1, 0, 0) == 999


def test_a_long_trailing_stop_is_never_below_one_tick() -> None:
    assert calc.trailing_stop(10_000, 200.0, 1, 5, 0) == 5
    assert calc.trailing_stop(3, 10.0, 1, 0, 0) == 2


# --- money ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capital", "price", "lot", "quantity"),
    [
        (300_000, 215_500, 1, 1),
        (300_000, 100_000, 1, 3),
        (299_999, 100_000, 1, 2),
        (300_000, 300_001, 1, 0),
        (5_000_000, 15_000, 75, 300),
        (1_124_999, 15_000, 75, 0),
        (1_125_000, 15_000, 75, 75),
        (300_000, 0, 1, 0),
        (300_000, -5, 1, 0),
        (0, 100, 1, 0),
        (-300_000, 100, 1, 0),
        (300_000, 100_000, 0, 3),
    ],
)
def test_position_size(capital: int, price: int, lot: int, quantity: int) -> None:
    assert calc.position_size(capital, price, lot) == quantity


def test_ladder_average_weighs_by_quantity() -> None:
    assert calc.ladder_average(3, 30_000, 1, 20_000) == 12_500.0
    assert calc.ladder_average(3, 30_000, 0, 0) == 10_000.0
    assert calc.ladder_average(0, 0, 2, 30_001) == 15_000.5
    assert calc.ladder_average(1, 10_000, 0, 0) == 10_000.0
    assert calc.ladder_average(0, 0, 0, 0) == 0.0


def test_gain_percent_of_either_side() -> None:
    assert calc.gain_percent(10_000.0, 10_025.0, 1) == 0.25
    assert calc.gain_percent(10_000.0, 10_025.0, -1) == -0.25
    assert calc.gain_percent(10_000.0, 9_900.0, -1) == 1.0
    assert calc.gain_percent(1.0, 2.0, 1) == 100.0
    assert calc.gain_percent(0.0, 9_900.0, 1) == 0.0
    assert calc.gain_percent(-1.0, 9_900.0, 1) == 0.0


@pytest.mark.parametrize("hundredths", range(1, 300, 7))
def test_a_gain_of_just_the_threshold_reaches_it(hundredths: int) -> None:
    for base in (10_000, 70_000, 130_000):
        price = base + base * hundredths // 10_000
        assert calc.gain_percent(float(base), float(price), 1) == hundredths / 100


def test_profit_of_either_side() -> None:
    assert calc.profit(1, 1_000, 1_200) == 200
    assert calc.profit(-1, 1_000, 1_200) == -200
    assert calc.open_profit(1, 3, 30_000, 10_100) == 300
    assert calc.open_profit(-1, 3, 30_000, 10_100) == -300
    assert calc.open_profit(1, 0, 0, 10_100) == 0


def test_drawdown_is_the_way_down_from_the_peak() -> None:
    assert calc.drawdown(700, 1_000) == 300
    assert calc.drawdown(-200, 0) == 200
    assert calc.drawdown(1_000, 1_000) == calc.drawdown(1_100, 1_000) == 0
