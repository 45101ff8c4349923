"""The table of what is traded: one row an instrument, the Python side of the kernel's arrays."""

from __future__ import annotations

from dataclasses import dataclass, field

from otrade_bot.core.model import Instrument, Product
from otrade_bot.core.money import Paise
from otrade_bot.strategies.base import StrategyParams

__all__ = ["Row"]


@dataclass(slots=True)
class Row:
    """``strategy`` is empty for an instrument that is only watched. ``timeframe_ns`` 0 means every tick."""

    index: int
    instrument: Instrument
    strategy: str = ""
    params: StrategyParams = field(default_factory=StrategyParams)
    timeframe_ns: int = 0
    product: Product = Product.MIS
    ltp: Paise = 0
    first: Paise = 0  #: the day's first accepted price
    ts_ns: int = 0
    volume: int = 0
    ticks: int = 0
    entry: int = -1  #: which of the settings' strategies it is of; -1 = of none
