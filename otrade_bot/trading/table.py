"""The table of what is traded: one row an instrument, the Python side of the kernel's arrays."""

from __future__ import annotations

from dataclasses import dataclass, field

from otrade_bot.core.model import Instrument, Product
from otrade_bot.core.money import Paise
from otrade_bot.kernel.quotes import Quote
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
    entry: int = -1  #: which of the settings' strategies it is of; -1 = of none
    quote: Quote = field(default_factory=Quote, repr=False, compare=False)  #: compiled code writes there too

    @property
    def ltp(self) -> Paise:
        """The last accepted price."""
        return self.quote.last

    @ltp.setter
    def ltp(self, price: Paise) -> None:
        self.quote.last = price

    @property
    def volume(self) -> int:
        """The day's."""
        return self.quote.volume

    @volume.setter
    def volume(self, volume: int) -> None:
        self.quote.volume = volume

    @property
    def first(self) -> Paise:
        """The day's first accepted price."""
        return self.quote.first

    @property
    def ts_ns(self) -> int:
        return self.quote.last_ts

    @property
    def ticks(self) -> int:
        """Accepted prices of the day."""
        return self.quote.ticks
