"""The incremental indicators against TA-Lib, on seeded walks and on real prices where they are at hand."""

from __future__ import annotations

import csv
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from otrade_bot.kernel import calculations as calc

talib = pytest.importorskip("talib")

Floats = npt.NDArray[np.float64]
DATA = Path(__file__).parents[2].parent / "shared" / "data"
PERIODS = (2, 3, 14, 20, 50, 63, 64)
REAL_BARS = 1_200


class Series(NamedTuple):
    high: Floats
    low: Floats
    close: Floats


def _walk(seed: int, start: float, step: float, n: int = 700) -> Series:
    """Prices on the 0.05 grid, with runs of equal closes in between."""
    rng = np.random.default_rng(seed)
    moves = rng.normal(0.0, step, n) * (rng.random(n) > 0.2)
    close = np.round((start + np.cumsum(moves)) / 0.05) * 0.05
    reach = np.round(np.abs(rng.normal(0.0, step, (2, n))) / 0.05) * 0.05
    return Series(close + reach[0], close - reach[1], close)


def _bars(name: str) -> Callable[[], Series]:
    def read() -> Series:
        rows = _rows(DATA / "ohlc_1min" / name)
        return Series(*(np.array([float(row[key]) for row in rows[-REAL_BARS:]]) for key in Series._fields))

    return read


def _ticks(name: str) -> Callable[[], Series]:
    def read() -> Series:
        rows = _rows(DATA / "ticks_2021-06-01" / name)
        ltp = np.array([float(row["ltp"]) for row in rows[:REAL_BARS]])
        return Series(ltp, ltp, ltp)

    return read


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        pytest.skip(f"no {path.name} beside the project")
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


SOURCES: dict[str, Callable[[], Series]] = {
    "walk": lambda: _walk(1, 1_500.0, 3.0),
    "penny": lambda: _walk(2, 90.0, 0.2),
    "index": lambda: _walk(3, 24_000.0, 15.0),
    "nifty_bars": _bars("NIFTY_2016Q2_1min.csv"),
    "wipro_bars": _bars("WIPRO_2015-06_1min.csv"),
    "reliance_ticks": _ticks("RELIANCE.csv"),
    "nifty_ticks": _ticks("NIFTY50.csv"),
}


@pytest.fixture(params=SOURCES, scope="module")
def series(request: pytest.FixtureRequest) -> Series:
    return SOURCES[request.param]()


def over_ring(values: Floats, answer: Callable[[Floats, int], float]) -> Floats:
    """Push a series through a ring and ask after each value."""
    ring, count, out = np.zeros(64), 0, np.empty(len(values))
    for i, x in enumerate(values):
        count = calc.push(ring, count, float(x))
        out[i] = answer(ring, count)
    return out


def over_average(values: Floats, n: int, average: Callable[[float, float, int, int], float]) -> Floats:
    """Carry an average through a series. The first ``prev`` is nonsense and must not matter."""
    prev, out = 1e300, np.empty(len(values))
    for i, x in enumerate(values):
        prev = out[i] = average(prev, float(x), n, i)
    return out


def assert_agrees(ours: Floats, theirs: Floats, *, rtol: float = 1e-9, atol: float = 0.0) -> None:
    """Equal wherever TA-Lib has an answer, and TA-Lib has many."""
    known = ~np.isnan(theirs)
    assert known.sum() > 100
    np.testing.assert_allclose(ours[known], theirs[known], rtol=rtol, atol=atol)


@pytest.mark.parametrize("n", PERIODS)
def test_sma(series: Series, n: int) -> None:
    assert_agrees(over_ring(series.close, lambda r, c: calc.sma(r, c, n)), talib.SMA(series.close, n))


@pytest.mark.parametrize("n", PERIODS)
def test_wma(series: Series, n: int) -> None:
    assert_agrees(over_ring(series.close, lambda r, c: calc.wma(r, c, n)), talib.WMA(series.close, n))


@pytest.mark.parametrize("n", [*PERIODS, 200])
def test_ema_from_its_first_value_on(series: Series, n: int) -> None:
    assert_agrees(over_average(series.close, n, calc.ema), talib.EMA(series.close, n))


def _rsi(close: Floats, n: int) -> Floats:
    gains = np.array([calc.rise(float(a), float(b)) for a, b in pairwise(close)])
    losses = np.array([calc.fall(float(a), float(b)) for a, b in pairwise(close)])
    pairs = zip(over_average(gains, n, calc.wilder), over_average(losses, n, calc.wilder), strict=True)
    return np.array([np.nan, *(calc.rsi(float(gain), float(loss)) for gain, loss in pairs)])


@pytest.mark.parametrize("n", [2, 14, 20, 50, 200])
def test_rsi_wherever_something_moved(series: Series, n: int) -> None:
    ours, theirs = _rsi(series.close, n), talib.RSI(series.close, n)
    still = np.array([i >= n and np.ptp(series.close[: i + 1]) == 0.0 for i in range(len(ours))])
    # TA-Lib takes averages below 1e-14 for no movement at all, and answers 0.
    still |= (theirs == 0.0) & (over_ring(series.close, lambda r, c: calc.deviation(r, c, 40)) == 0.0)
    theirs[still] = np.nan
    assert_agrees(ours, theirs)


@pytest.mark.parametrize("n", [2, 14, 20, 50, 200])
def test_atr_when_fed_from_the_second_bar(series: Series, n: int) -> None:
    high, low, close = (column.tolist() for column in series)
    ranges = [calc.true_range(high[i], low[i], close[i - 1]) for i in range(1, len(close))]
    ours = np.array([np.nan, *over_average(np.array(ranges), n, calc.wilder)])
    assert_agrees(ours, talib.ATR(*series, n))


def test_true_range_bar_by_bar(series: Series) -> None:
    high, low, close = (column.tolist() for column in series)
    ours = [np.nan, *(calc.true_range(high[i], low[i], close[i - 1]) for i in range(1, len(close)))]
    np.testing.assert_allclose(ours, talib.TRANGE(*series), rtol=0, atol=0)


@pytest.mark.parametrize("k", [1.0, 2.0, 2.5])
@pytest.mark.parametrize("n", PERIODS)
def test_bollinger_bands(series: Series, n: int, k: float) -> None:
    upper, middle, lower = talib.BBANDS(series.close, n, k, k)

    def band(edge: Callable[[float, float, float], float]) -> Floats:
        return over_ring(series.close, lambda r, c: edge(calc.sma(r, c, n), calc.deviation(r, c, n), k))

    assert_agrees(band(calc.bollinger_upper), upper)
    assert_agrees(band(calc.bollinger_lower), lower)
    assert_agrees(over_ring(series.close, lambda r, c: calc.sma(r, c, n)), middle)


@pytest.mark.parametrize("n", PERIODS)
def test_deviation(series: Series, n: int) -> None:
    # Prices relative to their first one: TA-Lib subtracts mean squares, which costs digits at high levels.
    near = series.close - series.close[0]
    theirs = talib.STDDEV(near, n)
    theirs[theirs < 1e-6] = np.nan  # standing still: its answer is rounding error
    assert_agrees(over_ring(near, lambda r, c: calc.deviation(r, c, n)), theirs)


@pytest.mark.parametrize("n", PERIODS)
def test_highest_and_lowest_are_exactly_talibs(series: Series, n: int) -> None:
    highs = over_ring(series.high, lambda r, c: calc.highest(r, c, n, 0))
    lows = over_ring(series.low, lambda r, c: calc.lowest(r, c, n, 0))
    np.testing.assert_array_equal(highs[n - 1 :], talib.MAX(series.high, n)[n - 1 :])
    np.testing.assert_array_equal(lows[n - 1 :], talib.MIN(series.low, n)[n - 1 :])


@pytest.mark.parametrize("skip", [1, 5])
def test_a_window_that_leaves_the_newest_out_is_the_window_of_before(series: Series, skip: int) -> None:
    ours = over_ring(series.high, lambda r, c: calc.highest(r, c, 20, skip))
    np.testing.assert_array_equal(ours[20 + skip :], talib.MAX(series.high, 20)[20 : len(ours) - skip])
    ours = over_ring(series.low, lambda r, c: calc.lowest(r, c, 20, skip))
    np.testing.assert_array_equal(ours[20 + skip :], talib.MIN(series.low, 20)[20 : len(ours) - skip])


@pytest.mark.parametrize("n", [2, 20, 63])
def test_volatility_is_the_sample_deviation_of_log_returns(series: Series, n: int) -> None:
    returns = np.log(series.close[1:] / series.close[:-1])
    windows: Any = np.lib.stride_tricks.sliding_window_view(returns, n)
    ours = over_ring(series.close, lambda r, c: calc.volatility(r, c, n))
    np.testing.assert_allclose(ours[n:], windows.std(axis=1, ddof=1), rtol=1e-9, atol=1e-15)
