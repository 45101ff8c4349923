"""Buys when the fast average crosses above the slow one, sells short when it crosses below.

Each position has a stop and a target from its entry price. Short only with an intraday product.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from otrade_bot.kernel.calculations import crossover, ema
from otrade_bot.strategies.base import StrategyParams


class PARAMS(StrategyParams):
    fast: int = Field(9, ge=2, le=200, description="Bars (or ticks) of the fast average.")
    slow: int = Field(21, ge=3, le=500, description="Bars (or ticks) of the slow average.")
    stop_percent: float = Field(0.5, ge=0.1, le=20, description="Stop below the entry price, percent.")
    target_percent: float = Field(1.0, ge=0.1, le=100, description="Target above the entry price, percent.")
    short: bool = Field(True, description="Sell short on a downward cross (intraday products only).")

    @model_validator(mode="after")
    def _fast_below_slow(self) -> PARAMS:
        if self.fast >= self.slow:
            raise ValueError("fast must be smaller than slow")
        return self

    def warmup(self) -> int:
        return self.slow + 1


STATE = ("fast", "slow", "fast_before", "slow_before")
CHART = ("fast", "slow")

CONDITIONS = {
    "EMA {fast} was at or below EMA {slow} before": "s.fast_before <= s.slow_before",
    "EMA {fast} is above EMA {slow} now": "s.fast > s.slow",
}


def update(s: Any, p: Any) -> None:
    s.fast_before = s.fast
    s.slow_before = s.slow
    s.fast = ema(s.fast, s.close, p.fast, s.bars - 1)
    s.slow = ema(s.slow, s.close, p.slow, s.bars - 1)


def should_buy(s: Any, p: Any) -> bool:
    return crossover(s.fast_before, s.slow_before, s.fast, s.slow) > 0


def should_sell(s: Any, p: Any) -> bool:
    return crossover(s.fast_before, s.slow_before, s.fast, s.slow) < 0
