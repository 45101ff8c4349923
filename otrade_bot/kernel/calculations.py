"""Indicators, price levels and sums of money, as small functions without state of their own.

This file is compiled as it stands and is also run as plain Python, with bit-identical results. It
therefore keeps to floats, integers and one-dimensional float64 arrays, allocates nothing, and uses only
``+ - * / // %``, comparisons and ``math.sqrt``/``math.log`` (``x**2`` and the sums of numpy round
differently in the two).

*Rings.* ``ring`` is a float64 array of fixed length, 64 in a kernel row; ``count`` is how many values were
ever pushed. A window is at most as long as the ring; one that is not, or is empty, raises ValueError.
While fewer values have come than a window asks for, the answer is the formula over those that have, and
0.0 where there is none. Windows are summed anew at each call, relative to their newest value: nothing
drifts over a long day, and the average of equal prices is exactly that price.

*Averages* (``ema``, ``wilder``) need no ring. Their first n answers are the mean of what has come, so the
n-th is the seed that TA-Lib uses, and from there on both agree.

*Levels and money* are integer paise on the tick grid; a tick or lot below 1 is taken as 1. Percentages
count to four decimals (parts per million) and are applied in integers, so no level lands a tick away
because of a binary fraction. ``side`` is +1 long, -1 short. 0 means "no level".
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

MILLION = 1_000_000
#: 2 / (n + 1) by n: a division is what an average costs most.
SMOOTHING = 2.0 / np.arange(1.0, 1025.0)


# --- rings ----------------------------------------------------------------------------------------


def push(ring: npt.NDArray[np.float64], count: int, x: float) -> int:
    """Put ``x`` into the ring, over its oldest value where it is full. Returns the new count."""
    ring[count % len(ring)] = x
    return count + 1


def back(ring: npt.NDArray[np.float64], count: int, k: int) -> float:
    """The value k back, 0 = the newest; 0.0 where so many have not come yet.

    Raises ValueError for a k that the ring can never hold.
    """
    if window(ring, count, 1, k) == 0:
        return 0.0
    return float(ring[slot(ring, count, k)])


def window(ring: npt.NDArray[np.float64], count: int, n: int, skip: int) -> int:
    """How many of the n values that start ``skip`` back have come. Raises ValueError, see the module."""
    if n < 1 or skip < 0 or n + skip > len(ring):
        raise ValueError("a window must have at least one value and lie within the ring")
    return max(0, min(n, count - skip))


def slot(ring: npt.NDArray[np.float64], count: int, k: int) -> int:
    """Index of the value k back."""
    return (count - 1 - k) % len(ring)


def older(ring: npt.NDArray[np.float64], i: int) -> int:
    """Index of the value before the one at ``i``."""
    return i - 1 if i > 0 else len(ring) - 1


# --- averages -------------------------------------------------------------------------------------


def sma(ring: npt.NDArray[np.float64], count: int, n: int) -> float:
    """Simple moving average of the newest n values."""
    m = window(ring, count, n, 0)
    if m == 0:
        return 0.0
    newest = float(ring[slot(ring, count, 0)])
    return newest + _offset(ring, count, m, newest) / m


def _offset(ring: npt.NDArray[np.float64], count: int, m: int, base: float) -> float:
    """Sum of the newest m values' distances from ``base``."""
    i = slot(ring, count, 0)
    total = 0.0
    for _ in range(m):
        total += ring[i] - base
        i = older(ring, i)
    return total


def wma(ring: npt.NDArray[np.float64], count: int, n: int) -> float:
    """Linearly weighted average: the newest value counts n times, each older one once less."""
    m = window(ring, count, n, 0)
    if m == 0:
        return 0.0
    i = slot(ring, count, 0)
    newest = float(ring[i])
    total = 0.0
    for k in range(m):
        total += (ring[i] - newest) * (m - k)
        i = older(ring, i)
    return newest + total / (m * (m + 1) // 2)


def ema(prev: float, x: float, n: int, count: int) -> float:
    """The next exponential average, smoothing 2 / (n + 1). ``count``: values seen before ``x``.

    ``prev`` is the answer before; it is not looked at for the first value.
    """
    if count >= n > 1:
        if n < 1024 and n == int(n):
            return prev + float(SMOOTHING[int(n)]) * (x - prev)
        return prev + 2.0 / (n + 1) * (x - prev)
    if count <= 0 or n <= 1:
        return x
    return prev + (x - prev) / (count + 1)


def wilder(prev: float, x: float, n: int, count: int) -> float:
    """The next of Wilder's averages, smoothing 1 / n (RSI, ATR). Arguments as of ``ema``."""
    if count <= 0 or n <= 1:
        return x
    return prev + (x - prev) / min(n, count + 1)


# --- indicators -----------------------------------------------------------------------------------


def rise(before: float, now: float) -> float:
    """The upward part of a change: what RSI's average gain is fed with."""
    return now - before if now > before else 0.0


def fall(before: float, now: float) -> float:
    """The downward part of a change, as a positive number: what RSI's average loss is fed with."""
    return before - now if now < before else 0.0


def rsi(avg_gain: float, avg_loss: float) -> float:
    """Wilder's relative strength index, 0 to 100, from the two ``wilder`` averages of rises and falls.

    50 where nothing has moved. TA-Lib says 0 there, which reads as a market that has only fallen.
    """
    total = avg_gain + avg_loss
    if total <= 0.0:
        return 50.0
    return 100.0 * (avg_gain / total)


def true_range(high: float, low: float, prev_close: float) -> float:
    """Wilder's true range. ``prev_close`` 0 = none: the bar's own range. ATR is its ``wilder`` average.

    TA-Lib's ATR leaves the first bar, which has no close before it, out of the average.
    """
    if prev_close == 0.0:
        return high - low
    return max(high, prev_close) - min(low, prev_close)


def typical(high: float, low: float, close: float) -> float:
    """Typical price of a bar."""
    return (high + low + close) / 3.0


def vwap(pv_sum: float, v_sum: float, last: float) -> float:
    """Volume-weighted average price from the sums of typical price × volume and of volume.

    Without volume (an index has none) ``last``, which a caller sets to the last typical price.
    """
    return pv_sum / v_sum if v_sum > 0.0 else last


def deviation(ring: npt.NDArray[np.float64], count: int, n: int) -> float:
    """Population standard deviation of the newest n values, as Bollinger's bands use it."""
    m = window(ring, count, n, 0)
    if m == 0:
        return 0.0
    i = slot(ring, count, 0)
    newest = float(ring[i])
    mean = _offset(ring, count, m, newest) / m
    total = 0.0
    for _ in range(m):
        d = ring[i] - newest - mean
        total += d * d
        i = older(ring, i)
    return math.sqrt(total / m)


def bollinger_upper(mean: float, dev: float, k: float) -> float:
    """Upper band: ``k`` deviations above the mean."""
    return mean + k * dev


def bollinger_lower(mean: float, dev: float, k: float) -> float:
    """Lower band: ``k`` deviations below the mean."""
    return mean - k * dev


def highest(ring: npt.NDArray[np.float64], count: int, n: int, skip: int) -> float:
    """Highest of n values, the newest of them ``skip`` back: 1 leaves the newest value out."""
    m = window(ring, count, n, skip)
    if m == 0:
        return 0.0
    end = slot(ring, count, skip) + 1
    best = float(ring[end - 1])
    for x in ring[max(0, end - m) : end][::-1]:
        best = max(best, float(x))
    if m > end:
        for x in ring[len(ring) + end - m :][::-1]:
            best = max(best, float(x))
    return best


def lowest(ring: npt.NDArray[np.float64], count: int, n: int, skip: int) -> float:
    """Lowest of n values, the newest of them ``skip`` back: 1 leaves the newest value out."""
    m = window(ring, count, n, skip)
    if m == 0:
        return 0.0
    end = slot(ring, count, skip) + 1
    best = float(ring[end - 1])
    for x in ring[max(0, end - m) : end][::-1]:
        best = min(best, float(x))
    if m > end:
        for x in ring[len(ring) + end - m :][::-1]:
            best = min(best, float(x))
    return best


def volatility(ring: npt.NDArray[np.float64], count: int, n: int) -> float:
    """Sample standard deviation (n - 1) of the n log returns that end at the newest price.

    A value a bar: multiplying by the root of the bars a year is the caller's. Needs n + 1 prices, so n
    is at most the ring's length - 1. 0.0 for fewer than two returns, NaN where a price is not above 0.
    """
    m = window(ring, count, n + 1, 0) - 1
    if m < 2:
        return 0.0
    if lowest(ring, count, m + 1, 0) <= 0.0:
        return math.nan
    mean = math.log(back(ring, count, 0) / back(ring, count, m)) / m
    i = slot(ring, count, 0)
    total = 0.0
    for _ in range(m):
        j = older(ring, i)
        d = math.log(ring[i] / ring[j]) - mean
        total += d * d
        i = j
    return math.sqrt(total / (m - 1))


def crossover(fast_before: float, slow_before: float, fast_now: float, slow_now: float) -> int:
    """+1 if fast went from not above slow to above it, -1 if from not below to below, else 0."""
    if fast_before <= slow_before and fast_now > slow_now:
        return 1
    if fast_before >= slow_before and fast_now < slow_now:
        return -1
    return 0


# --- levels ---------------------------------------------------------------------------------------


def floor_tick(paise: int, tick: int) -> int:
    """The tick at or below."""
    step = max(1, tick)
    return paise // step * step


def ceil_tick(paise: int, tick: int) -> int:
    """The tick at or above."""
    step = max(1, tick)
    return -(-paise // step) * step


def round_tick(paise: int, tick: int) -> int:
    """The nearest tick; the upper one from half-way between two."""
    step = max(1, tick)
    return (2 * paise + step) // (2 * step) * step


def moved(paise: int, percent: float, direction: int) -> int:
    """``paise`` moved by ``percent`` up (+1) or down (-1), in millionths of a paisa, exactly.

    Percent counts to four decimals; a smaller one above 0 counts as 0.0001.
    """
    ppm = max(1, math.floor(percent * 10_000.0 + 0.5))
    return paise * (MILLION + direction * ppm)


def level(price_paise: int, percent: float, direction: int, tick: int) -> int:
    """The tick nearest to ``percent`` above (+1) or below (-1) the price; where that is the price itself,
    or lies on its other side, the next tick beyond the price.

    Never below one tick, the lowest price there is. 0 where percent or price is not above 0.
    """
    if not percent > 0.0 or price_paise <= 0:
        return 0
    step = max(1, tick)
    nearest = round_tick(moved(price_paise, percent, direction), step * MILLION) // MILLION
    if direction > 0:
        return max(nearest, floor_tick(price_paise, step) + step)
    return max(step, min(nearest, ceil_tick(price_paise, step) - step))


def stop_level(price_paise: int, percent: float, side: int, tick: int) -> int:
    """Stop of a position: the tick nearest to ``percent`` against it. 0 = none (percent 0).

    To the nearest tick, so the risk differs from ``percent`` by at most half a tick; only where no tick
    lies that near, the next one beyond the price is taken: a stop at the price would go off at once.
    """
    return level(price_paise, percent, -1 if side > 0 else 1, tick)


def target_level(price_paise: int, percent: float, side: int, tick: int) -> int:
    """Target of a position: the tick nearest to ``percent`` in its favour. 0 = none (percent 0)."""
    return level(price_paise, percent, 1 if side > 0 else -1, tick)


def trailing_stop(extreme_paise: int, percent: float, side: int, tick: int, current: int) -> int:
    """The stop of a runner: ``percent`` behind the best price since entry, and never looser than ``current``.

    Rounded away from the price (down for a long position, up for a short one). ``current`` 0 = no stop
    yet. Percent 0, or no price, leaves ``current``.
    """
    if not percent > 0.0 or extreme_paise <= 0:
        return current
    step = max(1, tick)
    if side > 0:
        below = moved(extreme_paise, percent, -1) // (step * MILLION) * step
        return max(current, step, below)
    above = -(-moved(extreme_paise, percent, 1) // (step * MILLION)) * step
    return min(current, above) if current > 0 else above


# --- money ----------------------------------------------------------------------------------------


def position_size(capital_paise: int, price_paise: int, lot: int) -> int:
    """Quantity in whole lots that the capital buys; 0 where it buys none or there is no price."""
    if price_paise <= 0 or capital_paise <= 0:
        return 0
    size = max(1, lot)
    return capital_paise // (price_paise * size) * size


def ladder_average(qty1: int, value1: int, qty2: int, value2: int) -> float:
    """Average price of two rungs in paise, from quantities and traded values; 0.0 without quantity."""
    quantity = qty1 + qty2
    if quantity <= 0:
        return 0.0
    return float(value1 + value2) / float(quantity)


def gain_percent(entry_avg_paise: float, price_paise: float, side: int) -> float:
    """Gain in percent of the average entry price; a loss is negative. 0.0 without an entry price.

    The hundred is applied before the division, so a gain of exactly 0.25 % equals 0.25.
    """
    if entry_avg_paise <= 0.0:
        return 0.0
    return side * (price_paise - entry_avg_paise) * 100.0 / entry_avg_paise


def profit(side: int, entry_value: int, exit_value: int) -> int:
    """Gross profit of a closed quantity in paise, from its traded values at entry and exit."""
    return side * (exit_value - entry_value)


def open_profit(side: int, quantity: int, entry_value: int, price_paise: int) -> int:
    """Profit in paise of an open quantity that was entered for ``entry_value``, at this price."""
    return side * (quantity * price_paise - entry_value)


def drawdown(equity: int, peak: int) -> int:
    """Paise that equity lies below its peak; 0 at or above it."""
    return max(0, peak - equity)
