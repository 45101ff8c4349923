"""One average, value by value or in one go, by us and by the libraries that a trader would take; equal
answers first."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from otrade_bot.kernel import calculations
from otrade_bot.research import bench
from otrade_bot.research.bench_peers import SKIP, installed

__all__ = ["ema_update"]

LENGTH = 21
COUNT = 200_000
Values = npt.NDArray[np.float64]


def ema_update() -> bench.Row:
    """ns a value of a 21-value exponential average."""
    values = _values()
    mine = _ours()
    reference = np.asarray(mine(values))
    peers: dict[str, float] = {}
    for name, (module, average) in _PEERS.items():
        if not installed(module):
            continue
        found = np.asarray(average(values), np.float64)
        if not np.allclose(found[-1000:], reference[-1000:], rtol=1e-9):
            raise ValueError(f"{name}'s average is another one: {found[-1]} against {reference[-1]}")
        peers[name] = statistics.median(_per_value(average, values) for _ in range(5))
    samples = [_per_value(mine, values) for _ in range(9)]
    row = bench.Row.of("ema_update", "ns", samples, "one value of an exponential average of 21")
    return bench.with_peers(row, peers)


def _per_value(average: Callable[[Values], Any], values: Values) -> float:
    return 1e9 * bench.seconds(lambda: average(values)) / len(values)


@cache
def _values() -> Values:
    rng = np.random.Generator(np.random.PCG64(11))
    return np.asarray(1000.0 + 0.05 * np.cumsum(rng.integers(-4, 5, COUNT + SKIP)), np.float64)


@cache
def _ours() -> Callable[[Values], Values]:
    """The kernel's own function, called value by value from a compiled loop, as a strategy calls it."""
    import numba

    one = numba.njit(calculations.ema, error_model="numpy")

    def over(values: Values) -> Values:
        found, now = np.empty(len(values)), 0.0
        for i in range(len(values)):
            now = one(now, values[i], LENGTH, i)
            found[i] = now
        return found

    compiled: Callable[[Values], Values] = numba.njit(over)
    compiled(np.zeros(3))
    return compiled


def _talib(values: Values) -> Any:
    import talib

    return talib.EMA(values, LENGTH)


def _talipp(values: Values) -> Any:
    from talipp.indicators import EMA

    average = EMA(LENGTH)
    for value in values.tolist():
        average.add(value)
    return [np.nan if one is None else one for one in average]


def _nautilus(values: Values) -> Any:
    from nautilus_trader.indicators import ExponentialMovingAverage

    average, found = ExponentialMovingAverage(LENGTH), []
    for value in values.tolist():
        average.update_raw(value)
        found.append(average.value)
    return found


_PEERS: dict[str, tuple[str, Callable[[Values], Any]]] = {
    "TA-Lib": ("talib", _talib), "talipp": ("talipp", _talipp), "nautilus_trader": ("nautilus_trader", _nautilus),
}  # fmt: skip
