"""What a parameter set came to over some days, and which number a search looks at.

The days are a sweep's DAYSUM records. Ratios are those of ``stats``, from each day's result over the total capital, as
``backtest`` has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from otrade_bot.research import stats

__all__ = ["OBJECTIVES", "Figures"]


class Figures:
    """Money in paise. A ratio is None where it has no answer. What nobody asks for is not computed."""

    def __init__(self, days: npt.NDArray[Any], capital: int) -> None:
        self._days, self._capital = days, capital

    @classmethod
    def joined(cls, parts: Sequence[Figures]) -> Figures:
        """Several stretches of days as one."""
        return cls(np.concatenate([part._days for part in parts]), parts[0]._capital)

    def _sum(self, name: str) -> int:
        return int(self._days[name].sum())

    @property
    def days(self) -> int:
        return len(self._days)

    @cached_property
    def trades(self) -> int:
        return self._sum("trades")

    @cached_property
    def net(self) -> int:
        """After charges; what is open at the last price of the last day."""
        return self._sum("net")

    @property
    def charges(self) -> int:
        """Of the trades that ended."""
        return self._sum("charges")

    @property
    def gross(self) -> int:
        """Of the trades that ended."""
        return self._sum("gross")

    @property
    def wins(self) -> int:
        return self._sum("wins")

    @cached_property
    def returns(self) -> list[float]:
        return stats.daily_returns(self._days["net"].tolist(), self._capital)

    @cached_property
    def sharpe(self) -> float | None:
        return stats.sharpe(self.returns)

    @property
    def daily_sharpe(self) -> float | None:
        return None if self.sharpe is None else self.sharpe / sqrt(stats.YEAR)

    @cached_property
    def sortino(self) -> float | None:
        return stats.sortino(self.returns)

    @cached_property
    def drawdown(self) -> int:
        """The deepest fall of the result, seen at the ends of days."""
        curve = np.concatenate(([0], np.cumsum(self._days["net"])))
        return int((np.maximum.accumulate(curve) - curve).max())

    @property
    def calmar(self) -> float | None:
        """A year's average result over the deepest fall; None where it never fell. Positions are sized by fixed
        amounts, so the year is not compounded."""
        if not self.drawdown or not self.days:
            return None
        return self.net / self.days * stats.YEAR / self.drawdown

    @property
    def profit_factor(self) -> float | None:
        """Gains over losses of the trades that ended; None where nothing was lost."""
        lost = self._sum("lost")
        return self._sum("won") / lost if lost else None

    @property
    def win_rate(self) -> float | None:
        """Percent of the trades."""
        return 100 * self.wins / self.trades if self.trades else None

    @property
    def expectancy(self) -> float | None:
        """Paise that a trade brings on average."""
        return (self._sum("won") - self._sum("lost")) / self.trades if self.trades else None

    def numbers(self) -> dict[str, float | None]:
        """All of them; money in rupees."""
        money = {name: getattr(self, name) / 100 for name in ("gross", "charges", "net", "drawdown")}
        ratios = {name: getattr(self, name) for name in ("sharpe", "sortino", "calmar", "profit_factor", "win_rate")}
        each = self.expectancy
        return {"trades": self.trades, **money, **ratios, "expectancy": None if each is None else each / 100}


#: What a search can look at, and in words. All of them: more is better.
OBJECTIVES: Mapping[str, str] = {
    "net": "net result",
    "sharpe": "Sharpe ratio",
    "sortino": "Sortino ratio",
    "calmar": "a year's result over the deepest fall",
    "profit_factor": "gains over losses",
    "win_rate": "share of trades won",
    "expectancy": "result of a trade",
}
