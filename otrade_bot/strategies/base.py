"""What every strategy's PARAMS has: the numbers by which the kernel protects and sizes its positions."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Rung", "StrategyParams"]


class Rung(NamedTuple):
    """One rung's numbers, in percent: stop below entry, target above (0 = none), trailing or fixed, and
    the gain of the rungs before it at which it is added (0 for the first)."""

    stop: float
    target: float
    trail: bool
    add: float


class StrategyParams(BaseModel):
    """Base of every strategy's PARAMS. A strategy adds its own fields and may change the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    stop_percent: float = Field(1.0, ge=0.1, le=50, description="Stop below the entry price, percent.")
    target_percent: float = Field(2.0, ge=0, le=500, description="Target above the entry price, percent; 0 = none.")
    trail: bool = Field(False, description="The stop follows the best price since entry.")
    short: bool = Field(False, description="A sell signal may open a short position (intraday products only).")
    exit_on_signal: bool = Field(False, description="The opposite signal closes the position.")
    scan: bool = Field(False, description="The entry is looked at every 60 seconds too, not only at a bar's close.")

    def rung_table(self) -> tuple[Rung, ...]:
        """The rungs of a position, first to last; at most three."""
        return (Rung(self.stop_percent, self.target_percent, self.trail, 0.0),)

    def warmup(self) -> int:
        """Closed bars that must be seen before the first entry."""
        return 1
