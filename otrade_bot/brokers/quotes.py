"""What a broker tells of prices when it is asked. Prices in paise, times in ns UTC."""

from __future__ import annotations

from dataclasses import dataclass

from otrade_bot.core.money import Paise

__all__ = ["Candle", "MarketQuote"]


@dataclass(frozen=True, slots=True)
class MarketQuote:
    """The day of one instrument so far. 0 where the broker does not say."""

    symbol: str
    ltp: Paise
    open: Paise = 0
    high: Paise = 0
    low: Paise = 0
    close: Paise = 0  #: of the day before
    volume: int = 0  #: of the day
    bid: Paise = 0
    ask: Paise = 0
    lower_circuit: Paise = 0
    upper_circuit: Paise = 0
    ts_ns: int = 0  #: of the last trade


@dataclass(frozen=True, slots=True)
class Candle:
    """One candle; ``ts_ns`` is where it begins."""

    ts_ns: int
    open: Paise
    high: Paise
    low: Paise
    close: Paise
    volume: int
