"""What the paper broker is told at the start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from otrade_bot.core.errors import ConfigException
from otrade_bot.core.model import Instrument, OrderType, Product, Side
from otrade_bot.core.money import Paise

__all__ = ["CanPlace", "ChargeOf", "InstrumentOf", "PaperSettings"]

#: (instrument, order type, ns) -> '' or why the exchange takes no such order now.
CanPlace = Callable[[Instrument, OrderType, int], str]
#: (symbol, product, side, value in paise of the whole order so far) -> all its charges in paise.
ChargeOf = Callable[[str, Product, Side, Paise], Paise]
#: Symbol -> instrument. Raises a TradingException or a LookupError where it is not known.
InstrumentOf = Callable[[str], Instrument]


@dataclass(frozen=True, slots=True)
class PaperSettings:
    """``cash`` opens a new book only; an existing one keeps its own. Raises ConfigException.

    ``participation``: the part of the traded volume that our orders may take. ``circuit_percent``: daily
    price band around the previous close, 0 switches it off. ``mis_leverage``: value over margin.
    """

    cash: Paise = 100_000_000
    latency_ns: int = 0
    slip_ppm: int = 0
    participation: float = 1.0
    circuit_percent: float = 20.0
    mis_leverage: int = 5

    def __post_init__(self) -> None:
        _check("cash", self.cash, self.cash >= 0, "0 or more paise")
        _check("latency_ns", self.latency_ns, self.latency_ns >= 0, "0 or more")
        _check("slip_ppm", self.slip_ppm, 0 <= self.slip_ppm < 1_000_000, "0 to 999999")
        _check("participation", self.participation, 0 < self.participation <= 1, "above 0, at most 1")
        _check("circuit_percent", self.circuit_percent, 0 <= self.circuit_percent < 100, "0 to below 100")
        _check("mis_leverage", self.mis_leverage, self.mis_leverage >= 1, "1 or more")


def _check(key: str, value: float, good: bool, allowed: str) -> None:
    if not good:
        raise ConfigException("out of range", key=f"paper.{key}", value=value, allowed=allowed)
