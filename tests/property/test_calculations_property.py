"""What holds of the formulas for any prices, percentages and ticks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.kernel import calculations as calc

rupees = st.integers(1, 20_000_000).map(lambda paise: paise / 100.0)
paise = st.integers(1, 20_000_000)
percents = st.floats(0.0001, 99.0)
ticks = st.sampled_from([1, 5, 10, 25, 100])
sides = st.sampled_from([1, -1])
series = st.lists(rupees, min_size=1, max_size=150)
periods = st.integers(1, 64)


def filled(values: list[float]) -> tuple[npt.NDArray[np.float64], int]:
    ring, count = np.zeros(64), 0
    for x in values:
        count = calc.push(ring, count, x)
    return ring, count


def newest(values: list[float], n: int, skip: int = 0) -> list[float]:
    """The window that a formula should see, newest first; only what a ring of 64 still holds."""
    return values[::-1][skip : skip + n]


@given(series)
def test_a_ring_gives_back_what_was_pushed(values: list[float]) -> None:
    ring, count = filled(values)
    held = newest(values, 64)
    assert count == len(values)
    assert [calc.back(ring, count, k) for k in range(len(held))] == held


@given(series, periods, st.integers(0, 63))
def test_highest_and_lowest_bound_their_window_and_are_in_it(values: list[float], n: int, skip: int) -> None:
    ring, count = filled(values)
    n = min(n, 64 - skip)
    seen = newest(values, n, skip)
    high, low = calc.highest(ring, count, n, skip), calc.lowest(ring, count, n, skip)
    assert (high, low) == ((max(seen), min(seen)) if seen else (0.0, 0.0))


@given(series, periods)
def test_averages_lie_within_their_window(values: list[float], n: int) -> None:
    ring, count = filled(values)
    seen = newest(values, n)
    slack = 1e-12 * max(seen)
    for mean in (calc.sma(ring, count, n), calc.wma(ring, count, n)):
        assert min(seen) - slack <= mean <= max(seen) + slack


@given(series, periods)
def test_smoothed_averages_lie_within_all_that_came(values: list[float], n: int) -> None:
    fast = slow = 0.0
    for i, x in enumerate(values):
        fast, slow = calc.ema(fast, x, n, i), calc.wilder(slow, x, n, i)
        slack = 1e-12 * max(values)
        assert min(values[: i + 1]) - slack <= min(fast, slow)
        assert max(fast, slow) <= max(values[: i + 1]) + slack


@given(series, periods)
def test_deviation_is_at_most_half_the_range(values: list[float], n: int) -> None:
    ring, count = filled(values)
    seen = newest(values, n)
    dev = calc.deviation(ring, count, n)
    assert 0.0 <= dev <= (max(seen) - min(seen)) / 2.0 * (1.0 + 1e-12)
    assert (dev == 0.0) == (max(seen) == min(seen))


@given(series, st.integers(2, 63))
def test_volatility_does_not_depend_on_the_price_level(values: list[float], n: int) -> None:
    there = calc.volatility(*filled(values), n)
    doubled = calc.volatility(*filled([2.0 * x for x in values]), n)
    assert there >= 0.0
    assert there == doubled


@given(st.floats(0.0, 1e6), st.floats(0.0, 1e6))
def test_rsi_stays_on_its_scale_and_mirrors(gain: float, loss: float) -> None:
    assert 0.0 <= calc.rsi(gain, loss) <= 100.0
    assert abs(calc.rsi(gain, loss) + calc.rsi(loss, gain) - 100.0) < 1e-9


@given(rupees, rupees, rupees)
def test_true_range_is_never_less_than_the_bars_own(a: float, b: float, prev: float) -> None:
    high, low = max(a, b), min(a, b)
    answer = calc.true_range(high, low, prev)
    assert answer >= high - low
    assert answer >= abs(prev - high)
    assert answer >= abs(prev - low)


@given(st.lists(st.tuples(rupees, st.integers(0, 10**9)), min_size=1, max_size=80), rupees)
def test_vwap_lies_among_the_prices_that_traded(bars: list[tuple[float, int]], last: float) -> None:
    pv = v = 0.0
    for price, volume in bars:
        pv += price * volume
        v += volume
    traded = [price for price, volume in bars if volume] or [last]
    answer = calc.vwap(pv, v, last)
    assert min(traded) * (1.0 - 1e-12) <= answer <= max(traded) * (1.0 + 1e-12)


@given(st.lists(st.tuples(rupees, rupees), min_size=2, max_size=60))
def test_crossovers_alternate_where_the_averages_never_touch(pairs: list[tuple[float, float]]) -> None:
    apart = [(fast, slow) for fast, slow in pairs if fast != slow]
    answers = [calc.crossover(*a, *b) for a, b in pairwise(apart)]
    crossings = [answer for answer in answers if answer != 0]
    assert all(a == -b for a, b in pairwise(crossings))
    if crossings:
        assert (apart[0][0] < apart[0][1]) == (crossings[0] == 1)


@given(st.integers(-20_000_000, 20_000_000), ticks)
def test_rounding_lands_on_the_grid_beside_the_price(price: int, tick: int) -> None:
    low, near, high = calc.floor_tick(price, tick), calc.round_tick(price, tick), calc.ceil_tick(price, tick)
    assert low % tick == near % tick == high % tick == 0
    assert price - tick < low <= price <= high < price + tick
    assert 2 * abs(near - price) <= tick
    assert near in (low, high)


@given(paise, percents, sides, ticks)
def test_a_stop_lies_against_the_position_and_a_target_for_it(
    price: int, percent: float, side: int, tick: int
) -> None:
    stop, target = calc.stop_level(price, percent, side, tick), calc.target_level(price, percent, side, tick)
    assert stop % tick == target % tick == 0
    assert min(stop, target) >= tick
    lowest_price = price <= tick
    assert side * (price - stop) > 0 or (lowest_price and side > 0)
    assert side * (target - price) > 0 or (lowest_price and side < 0)


@given(paise, percents, ticks)
def test_the_short_side_is_the_long_side_seen_from_below(price: int, percent: float, tick: int) -> None:
    assert calc.stop_level(price, percent, 1, tick) == calc.target_level(price, percent, -1, tick)
    assert calc.stop_level(price, percent, -1, tick) == calc.target_level(price, percent, 1, tick)


@given(st.integers(2_000, 20_000_000), st.floats(1.0, 50.0), sides, st.sampled_from([1, 5, 10]))
def test_a_stop_is_within_half_a_tick_of_its_percentage(
    price: int, percent: float, side: int, tick: int
) -> None:
    exact = price * (1.0 - side * percent / 100.0)
    # 0.00005 %: percentages count to four decimals.
    assert abs(calc.stop_level(price, percent, side, tick) - exact) <= tick / 2.0 + price * 5.1e-7


@given(st.lists(paise, min_size=1, max_size=60), percents, sides, ticks)
def test_a_trailing_stop_never_loosens_and_stays_behind_the_best_price(
    prices: list[int], percent: float, side: int, tick: int
) -> None:
    stop, best = 0, prices[0]
    for price in prices:
        best = max(best, price) if side > 0 else min(best, price)
        moved = calc.trailing_stop(best, percent, side, tick, stop)
        assert moved > 0
        assert moved % tick == 0
        assert stop == 0 or side * (moved - stop) >= 0
        assert side * (best - moved) > 0 or (side > 0 and best <= tick)
        assert moved == calc.trailing_stop(best, percent, side, tick, 0), "the best price alone decides"
        stop = moved


@given(paise, percents, sides, ticks, paise)
def test_a_trailing_stop_keeps_a_tighter_one(
    extreme: int, percent: float, side: int, tick: int, current: int
) -> None:
    moved = calc.trailing_stop(extreme, percent, side, tick, current)
    assert side * (moved - current) >= 0
    assert moved in (current, calc.trailing_stop(extreme, percent, side, tick, 0))


@given(st.integers(-1_000, 10**12), paise, st.integers(1, 2_000))
def test_a_position_is_whole_lots_that_the_capital_pays_for_and_not_one_fewer(
    capital: int, price: int, lot: int
) -> None:
    quantity = calc.position_size(capital, price, lot)
    assert quantity >= 0
    assert quantity % lot == 0
    assert quantity * price <= max(0, capital)
    assert (quantity + lot) * price > capital


@given(st.integers(1, 10_000), paise, st.integers(1, 10_000), paise)
def test_the_average_of_two_rungs_lies_between_them(q1: int, p1: int, q2: int, p2: int) -> None:
    average = calc.ladder_average(q1, q1 * p1, q2, q2 * p2)
    assert min(p1, p2) <= average <= max(p1, p2)


@given(paise, paise, sides)
def test_gain_and_profit_have_the_same_sign(entry: int, price: int, side: int) -> None:
    gain, made = calc.gain_percent(float(entry), float(price), side), calc.open_profit(side, 1, entry, price)
    assert (gain > 0.0, gain < 0.0) == (made > 0, made < 0)
    assert made == calc.profit(side, entry, price)


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1))
def test_drawdown_from_a_running_peak_is_never_negative(equities: list[int]) -> None:
    peak = 0
    for equity in equities:
        peak = max(peak, equity)
        assert calc.drawdown(equity, peak) == peak - equity >= 0
