"""Buys a breakout in a rising market and adds to what works: up to three rungs a position.

Entry on the closed bar when EMA9 > EMA21 > EMA50, the close is above EMA200 and above the highest high
of the 20 bars before it. P1 has a stop and a target; P2 joins when P1 is up a little, P3 when the average
of both is up more; P2 and P3 are runners: no target, their stops follow the highest price since entry.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from otrade_bot.kernel.calculations import ema, highest
from otrade_bot.strategies.base import Rung, StrategyParams


class PARAMS(StrategyParams):
    ema_fast: int = Field(9, ge=2, le=100, description="Bars of the fastest average.")
    ema_mid: int = Field(21, ge=3, le=200, description="Bars of the middle average.")
    ema_slow: int = Field(50, ge=4, le=400, description="Bars of the slow average.")
    ema_trend: int = Field(200, ge=5, le=1000, description="Bars of the trend average.")
    lookback: int = Field(20, ge=2, le=63, description="Bars whose highest high must be exceeded.")
    stop_percent: float = Field(2.5, ge=0.1, le=50, description="P1: stop below entry, percent.")
    target_percent: float = Field(5.0, ge=0.1, le=500, description="P1: target above entry, percent.")
    add2_percent: float = Field(0.25, ge=0.01, le=50, description="P2 joins when P1 is up this much.")
    stop2_percent: float = Field(2.5, ge=0.1, le=50, description="P2: trailing stop, percent.")
    add3_percent: float = Field(1.0, ge=0.01, le=50, description="P3 joins when P1 and P2 together are up this.")
    stop3_percent: float = Field(5.0, ge=0.1, le=50, description="P3: trailing stop, percent.")
    scan: bool = Field(True, description="The entry is looked at every 60 seconds too.")

    def rung_table(self) -> tuple[Rung, ...]:
        return (
            Rung(self.stop_percent, self.target_percent, False, 0.0),
            Rung(self.stop2_percent, 0.0, True, self.add2_percent),
            Rung(self.stop3_percent, 0.0, True, self.add3_percent),
        )

    def warmup(self) -> int:
        return max(self.ema_trend, self.ema_slow, self.lookback + 1)


STATE = ("ema9", "ema21", "ema50", "ema200", "breakout")
CHART = ("ema9", "ema21", "ema50", "ema200")

CONDITIONS = {
    "EMA {ema_fast} is above EMA {ema_mid}": "s.ema9 > s.ema21",
    "EMA {ema_mid} is above EMA {ema_slow}": "s.ema21 > s.ema50",
    "the close is above EMA {ema_trend}": "s.close > s.ema200",
    "more than {lookback} bars are known": "s.bars > p.lookback",
    "the close is above the high of {lookback} bars": "s.close > s.breakout",
}


def update(s: Any, p: Any) -> None:
    s.ema9 = ema(s.ema9, s.close, p.ema_fast, s.bars - 1)
    s.ema21 = ema(s.ema21, s.close, p.ema_mid, s.bars - 1)
    s.ema50 = ema(s.ema50, s.close, p.ema_slow, s.bars - 1)
    s.ema200 = ema(s.ema200, s.close, p.ema_trend, s.bars - 1)
    if s.bars > p.lookback:
        s.breakout = highest(s.highs, s.bars, p.lookback, 1)


def should_buy(s: Any, p: Any) -> bool:
    rising = s.ema9 > s.ema21 and s.ema21 > s.ema50 and s.close > s.ema200
    return bool(rising and s.bars > p.lookback and s.close > s.breakout)


def should_sell(s: Any, p: Any) -> bool:
    return False
