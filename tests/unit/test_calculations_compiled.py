"""The file that is compiled is the file that is interpreted: same bits, and no allocation in it."""

from __future__ import annotations

import ast
import inspect
import math
import operator
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numba
import numpy as np
import pytest

from otrade_bot.kernel import calculations
from otrade_bot.kernel.calculations import (
    back,
    bollinger_lower,
    bollinger_upper,
    ceil_tick,
    crossover,
    deviation,
    drawdown,
    ema,
    fall,
    floor_tick,
    gain_percent,
    highest,
    ladder_average,
    lowest,
    open_profit,
    position_size,
    profit,
    push,
    rise,
    round_tick,
    rsi,
    sma,
    stop_level,
    target_level,
    trailing_stop,
    true_range,
    typical,
    volatility,
    vwap,
    wilder,
    wma,
)

SOURCE = inspect.getsource(calculations)
FUNCTIONS = [node.name for node in ast.parse(SOURCE).body if isinstance(node, ast.FunctionDef)]
PERIODS = (1, 2, 20, 50, 64)
WINDOWS = 5
COLUMNS = 64
OPTIONS: dict[str, Any] = {"error_model": "numpy", "boundscheck": True, "_nrt": False}


def trace(series: Any, state: Any, ring: Any, out: Any) -> int:
    """Every indicator over a series of prices: what they answer goes into ``out``.

    Never called as it stands: ``_run`` gives it the functions under test in place of those imported above.
    """
    count = 0
    for i in range(len(series)):
        x = series[i]
        before = series[i - 1] if i > 0 else x
        high = max(x, before) + 0.05
        low = min(x, before) - 0.05
        count = push(ring, count, x)
        o = out[i]
        k = 0
        for n in PERIODS:
            o[k] = sma(ring, count, n)
            o[k + 1] = wma(ring, count, n)
            o[k + 2] = deviation(ring, count, n)
            o[k + 3] = highest(ring, count, n, 0)
            o[k + 4] = lowest(ring, count, n, 0)
            k += WINDOWS
        for n in PERIODS[:4]:
            o[k] = volatility(ring, count, n)
            o[k + 1] = highest(ring, count, n, 1)
            o[k + 2] = lowest(ring, count, n, 1)
            o[k + 3] = back(ring, count, n)
            k += 4
        fast_before, slow_before = state[0], state[1]
        state[0] = ema(state[0], x, 9, i)
        state[1] = ema(state[1], x, 21, i)
        state[2] = wilder(state[2], rise(before, x), 14, i)
        state[3] = wilder(state[3], fall(before, x), 14, i)
        state[4] = wilder(state[4], true_range(high, low, before), 14, i)
        state[5] += typical(high, low, x) * i
        state[6] += i
        for j in range(7):
            o[k + j] = state[j]
        k += 7
        o[k] = rsi(state[2], state[3])
        o[k + 1] = vwap(state[5], state[6], x)
        o[k + 2] = bollinger_upper(o[0], o[2], 2.1)
        o[k + 3] = bollinger_lower(o[0], o[2], 2.1)
        o[k + 4] = crossover(fast_before, slow_before, state[0], state[1])
        o[k + 5] = gain_percent(before * 100.0, x * 100.0, 1)
    return count


def trace_levels(prices: Any, percents: Any, levels: Any, out: Any) -> int:
    """The same for the functions in paise."""
    for i in range(len(prices)):
        side = 1 if i % 2 == 0 else -1
        price = prices[i]
        o = out[i]
        k = 0
        for tick in (0, 1, 5, 10):
            o[k] = round_tick(price, tick)
            o[k + 1] = floor_tick(price, tick)
            o[k + 2] = ceil_tick(price, tick)
            o[k + 3] = stop_level(price, percents[i], side, tick)
            o[k + 4] = target_level(price, percents[i], side, tick)
            levels[k] = trailing_stop(price, percents[i], side, tick, levels[k])
            o[k + 5] = levels[k]
            k += 6
        o[k] = position_size(300_000, price, i % 76)
        o[k + 1] = profit(side, price * 3, price * 4 - 17)
        o[k + 2] = open_profit(side, i, price * i - 100, price)
        o[k + 3] = drawdown(price, 120_000)
        o[k + 4] = math.floor(1000.0 * ladder_average(i, price * i, i % 3, price))
        o[k + 5] = math.floor(1e9 * gain_percent(ladder_average(3, price * 3 + 1, 0, 0), price, side))
    return len(prices)


def _namespace(wrap: Callable[[Any], Any]) -> dict[str, Any]:
    """The file's functions, each wrapped, seeing each other wrapped: as the loader links them."""
    names: dict[str, Any] = {"__name__": "calculations_under_test"}
    exec(compile(SOURCE, calculations.__file__, "exec"), names)
    for name in FUNCTIONS:
        names[name] = wrap(names[name])
    return names


def _run(wrap: Callable[[Any], Any], driver: Any, *arrays: Any) -> tuple[int, list[bytes]]:
    names = _namespace(wrap) | {"PERIODS": PERIODS, "WINDOWS": WINDOWS}
    copies = [array.copy() for array in arrays]
    count = wrap(FunctionType(driver.__code__, names))(*copies)
    return int(count), [copy.tobytes() for copy in copies]


def _compiled(function: Any) -> Any:
    return numba.njit(function, **OPTIONS)


def _plain(function: Any) -> Any:
    return function


def test_indicators_give_the_same_bits_compiled_and_interpreted() -> None:
    rng = np.random.default_rng(7)
    series = np.round(np.abs(1_500.0 + np.cumsum(rng.normal(0.0, 4.0, 260))) / 0.05) * 0.05
    series[100:140] = series[99]  # a market that stands still
    arrays = (series, np.zeros(7), np.zeros(64), np.full((len(series), COLUMNS), -1.0))
    ours, theirs = (_run(wrap, trace, *arrays) for wrap in (_plain, _compiled))
    assert ours == theirs
    assert ours[0] == len(series)
    assert not np.isnan(np.frombuffer(ours[1][3])).any()


def test_levels_give_the_same_bits_compiled_and_interpreted() -> None:
    rng = np.random.default_rng(8)
    prices = rng.integers(-10, 400_000, 400)
    prices[:20] = np.arange(-5, 15)
    percents = np.round(rng.random(400) * 6.0 - 0.5, 3)
    arrays = (prices, percents, np.zeros(32, np.int64), np.full((400, 32), -1))
    ours, theirs = (_run(wrap, trace_levels, *arrays) for wrap in (_plain, _compiled))
    assert ours == theirs
    assert ours[0] == 400


@pytest.mark.parametrize("wrap", [_plain, _compiled])
def test_of_equal_values_the_newest_is_the_highest_and_the_lowest(wrap: Callable[[Any], Any]) -> None:
    """Zeros have signs, and a newest value that is not a number stays one: to the bit as one looks back from now."""
    names, rng = _namespace(wrap), np.random.default_rng(9)
    for _ in range(300):
        ring = rng.choice([0.0, -0.0, 1.0, -1.0, math.nan], 8, p=[0.4, 0.4, 0.08, 0.08, 0.04])
        count, n, skip = int(rng.integers(1, 20)), int(rng.integers(1, 7)), int(rng.integers(0, 2))
        seen = [float(ring[(count - 1 - skip - k) % 8]) for k in range(min(n, count - skip))]
        for name, better in (("highest", operator.gt), ("lowest", operator.lt)):
            best = seen[0] if seen else 0.0
            for x in seen:
                best = x if better(x, best) else best
            found = names[name](ring, count, n, skip)
            assert np.float64(found).tobytes() == np.float64(best).tobytes()


@pytest.mark.parametrize("wrap", [_plain, _compiled])
def test_an_average_smooths_by_two_of_its_values_and_one(wrap: Callable[[Any], Any]) -> None:
    """Whether its factor comes out of the table or not, and where its length is no whole number."""
    average = _namespace(wrap)["ema"]
    for n in (*range(2, 1_100, 7), 1_022, 1_023, 1_024, 2.5, 20.0, 1_023.5):
        assert average(0.1, 0.7, n, 5_000) == 0.1 + 2.0 / (n + 1) * (0.7 - 0.1)


def test_the_drivers_use_every_function_of_the_file() -> None:
    used = {*trace.__code__.co_names, *trace_levels.__code__.co_names}
    inner = {"window", "slot", "older", "_offset", "moved", "level"}
    assert set(FUNCTIONS) <= used | inner
    assert inner <= set(FUNCTIONS)


def test_a_window_beyond_the_ring_is_refused_by_compiled_code_too() -> None:
    names = _namespace(_compiled)
    with pytest.raises(ValueError, match="within the ring"):
        names["window"](np.zeros(64), 100, 65, 0)


def test_the_file_imports_nothing_but_math_and_numpy() -> None:
    imported = {
        node.module if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(ast.parse(SOURCE))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported == {"__future__", "math", "numpy", "numpy.typing"}


def test_no_power_no_default_and_no_decorator_is_in_the_file() -> None:
    """``x**2`` rounds differently in the two; defaults and decorators the loader does not know."""
    for node in ast.walk(ast.parse(SOURCE)):
        assert not isinstance(node, ast.Pow | ast.JoinedStr | ast.Lambda | ast.List | ast.ListComp)
        if isinstance(node, ast.FunctionDef):
            assert not node.decorator_list
            assert not node.args.defaults
