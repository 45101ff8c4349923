"""The days before a synthetic day, as 1-minute bars: what warms indicators up."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import numpy as np

from otrade_bot.brokers.feeds.regimes import STOCKS
from otrade_bot.brokers.feeds.synthetic import Floats, generator, opening_price
from otrade_bot.brokers.feeds.ticks import BarFile, Ints
from otrade_bot.core.clock import MINUTE, at_ist

__all__ = ["demo_history", "synthetic_history"]

_BARS = 375  # minutes from 9:15 to 15:30
_STEPS = 4  # prices within a bar
_FARTHEST = 0.08  # no day of the past is further than this from the opening price


def synthetic_history(day: date, seed: int, days: int = 12) -> list[BarFile]:
    """1-minute bars of the ``days`` weekdays before ``day``, one file a stock, oldest first.

    Plain days, by turns trending and returning to their mean; the last one closes near the price at
    which ``synthetic_day`` of the same day and seed opens. Raises ValueError for ``days < 1``.
    """
    if days < 1:
        raise ValueError(f"days must be at least 1, not {days}")
    return [demo_history(number, day, seed, days) for number in range(len(STOCKS))]


def demo_history(number: int, day: date, seed: int, days: int) -> BarFile:
    """The same of one stock, by its number."""
    rng = generator(seed, 2000 + number)
    start, tick = opening_price(seed, number, day)
    closes = _closes(rng, days)
    prices = np.concatenate([_one_day(rng, a, b) for a, b in pairwise(closes)])
    paise = np.rint(start * (1 + prices) / tick).astype(np.int64).reshape(-1, _STEPS) * tick
    ends = np.concatenate([_ends(past) for past in _weekdays_before(day, days)])
    volume = 1 + rng.poisson(STOCKS[number].shares / _BARS, len(ends))
    return BarFile(
        symbol=f"NSE:{STOCKS[number].name}",
        source=f"synthetic history, seed {seed}",
        ts_end=ends,
        open=paise[:, 0].copy(),
        high=paise.max(axis=1),
        low=paise.min(axis=1),
        close=paise[:, -1].copy(),
        volume=volume.astype(np.int64),
        lines=len(ends),
    )


def _closes(rng: np.random.Generator, days: int) -> list[float]:
    """Where each day ends, as a share of the coming opening price; one more than there are days.

    Made backwards from a last close within 0.2 % of that price.
    """
    levels = [float(rng.uniform(-0.002, 0.002))]
    for move in rng.normal(0.0, 0.01, days):
        step = float(np.clip(move, -0.02, 0.02))
        levels.append(levels[-1] + (step if abs(levels[-1] + step) < _FARTHEST else -step))
    return levels[::-1]


def _one_day(rng: np.random.Generator, first: float, last: float) -> Floats:
    """Prices of one day from one close to the next, by chance straight or by way of a wave."""
    at = np.linspace(0.0, 1.0, _BARS * _STEPS)
    wave = rng.uniform(0.002, 0.008) * np.sin(2 * np.pi * at * int(rng.integers(2, 6)))
    walk = np.cumsum(rng.normal(0.0, 0.00025, len(at)))
    bridge = walk - walk[0] - at * (walk[-1] - walk[0])
    prices: Floats = first + (last - first) * at + bridge + (wave if rng.random() < 0.5 else 0.0)
    return prices


def _ends(day: date) -> Ints:
    return at_ist(day, 9, 15) + np.arange(1, _BARS + 1, dtype=np.int64) * MINUTE


def _weekdays_before(day: date, days: int) -> list[date]:
    """Monday to Friday, oldest first. Holidays are not left out: these days never were."""
    found: list[date] = []
    while len(found) < days:
        day -= timedelta(days=1)
        if day.weekday() < 5:
            found.append(day)
    return found[::-1]
