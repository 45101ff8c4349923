"""What a series of trades and days amounts to: pure functions over numbers.

Money is integer paise, booked and exact; ratios are floats, None where they have no answer (too little data, a
division by nothing). A year has 252 trading days, the days on which NSE trades in most years. The rate without risk is
taken as 0: what is not bound by a position earns nothing here.

Sources: W. F. Sharpe, "The Sharpe Ratio", J. of Portfolio Management 21 (1994), formula (3) to (6), scaled to a year by
the root of 252; F. A. Sortino and L. N. Price, "Performance Measurement in a Downside Risk Framework", J. of Investing
3 (1994); drawdown as in M. Magdon-Ismail and A. Atiya, "Maximum Drawdown", Risk 17 (2004).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import fsum, sqrt
from typing import TypeVar

from otrade_bot.trading.snapshot import Trade

__all__ = [
    "YEAR", "Drawdown", "Group", "cagr", "covered", "daily_returns", "drawdown", "expectancy", "grouped",
    "longest_run", "profit_factor", "sharpe", "sortino", "turnover", "win_rate",
]  # fmt: skip

#: Trading days of a year.
YEAR = 252
#: Fewer days than these say nothing of a year.
LEAST_DAYS = 20

_K = TypeVar("_K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall of a curve below what it had been at most. Moments are those of the curve's points; ``end``: the
    curve is back where it fell from, None where it never is. All None where it never falls."""

    amount: int = 0  #: paise, 0 or more
    percent: float = 0.0  #: of the peak that it fell from
    peak: int | None = None
    bottom: int | None = None
    end: int | None = None


def drawdown(points: Sequence[tuple[int, int]]) -> Drawdown:
    """``points``: (moment, equity in paise) in order of time, the first one the start. The most, over all t, of the
    highest E(s) with s <= t, less E(t). Of several falls as deep the first."""
    if not points:
        return Drawdown()
    found, level = Drawdown(), 0
    top_at, top = points[0]
    for at, equity in points:
        if equity >= top:
            top_at, top = at, equity
        elif top - equity > found.amount:
            percent = (top - equity) / top * 100 if top > 0 else 100.0
            found, level = Drawdown(top - equity, percent, top_at, at), top
    later = (at for at, equity in points if found.bottom is not None and at > found.bottom and equity >= level)
    return replace(found, end=next(later, None))


def daily_returns(nets: Iterable[int], capital: int) -> list[float]:
    """Each day's net result over the total capital that was there at the start: positions are sized by fixed amounts,
    so gains are not put back to work. Raises ZeroDivisionError without a capital."""
    return [net / capital for net in nets]


def sharpe(returns: Sequence[float], periods: int = YEAR) -> float | None:
    """mean / standard deviation (n - 1) × √periods; None for fewer than two days or days all alike."""
    if len(returns) < 2:
        return None
    mean = fsum(returns) / len(returns)
    deviation = sqrt(fsum((r - mean) ** 2 for r in returns) / (len(returns) - 1))
    return mean / deviation * sqrt(periods) if deviation > 1e-15 else None


def sortino(returns: Sequence[float], periods: int = YEAR) -> float | None:
    """mean / downside deviation × √periods, where the downside deviation is √(mean of min(r, 0)²) over all days: the
    target is 0. None for fewer than two days or no day below 0."""
    if len(returns) < 2:
        return None
    downside = sqrt(fsum(min(r, 0.0) ** 2 for r in returns) / len(returns))
    return fsum(returns) / len(returns) / downside * sqrt(periods) if downside > 1e-15 else None


def cagr(start: int, end: int, days: int) -> float | None:
    """Growth a year in percent: (end / start) ^ (252 / days) - 1. None for fewer than 20 trading days, which say
    nothing of a year; -100 where nothing is left."""
    if days < LEAST_DAYS or start <= 0:
        return None
    return -100.0 if end <= 0 else ((end / start) ** (YEAR / days) - 1) * 100


def win_rate(nets: Sequence[int]) -> float | None:
    """Percent of the trades with a net above 0; None without trades."""
    return 100 * sum(net > 0 for net in nets) / len(nets) if nets else None


def profit_factor(nets: Iterable[int]) -> float | None:
    """Sum of the gains over the sum of the losses, after charges; None where nothing was lost."""
    gains = losses = 0
    for net in nets:
        gains, losses = gains + max(net, 0), losses + max(-net, 0)
    return gains / losses if losses else None


def expectancy(nets: Sequence[int]) -> float | None:
    """Paise that a trade brings on average, after charges; None without trades."""
    return sum(nets) / len(nets) if nets else None


def longest_run(nets: Iterable[int], *, won: bool) -> int:
    """Most trades in a row that won (or did not)."""
    longest = run = 0
    for net in nets:
        run = run + 1 if (net > 0) == won else 0
        longest = max(longest, run)
    return longest


def covered(spans: Iterable[tuple[int, int]], windows: Iterable[tuple[int, int]]) -> int:
    """ns of the windows (which do not overlap) in which at least one of the spans lies."""
    merged: list[list[int]] = []
    for start, end in sorted(span for span in spans if span[1] > span[0]):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    total = at = 0
    for start, end in sorted(windows):
        while at < len(merged) and merged[at][1] <= start:
            at += 1
        spot = at
        while spot < len(merged) and merged[spot][0] < end:
            total += min(end, merged[spot][1]) - max(start, merged[spot][0])
            spot += 1
    return total


def turnover(trades: Iterable[Trade]) -> int:
    """Paise bought and sold."""
    return sum(trade.entry_value + trade.exit_value for trade in trades)


@dataclass(frozen=True, slots=True)
class Group:
    """Trades that have something in common. Money in paise; the groups of a split add up to the whole."""

    name: str
    trades: int
    won: int
    gross: int
    charges: int
    net: int
    factor: float | None  #: profit factor

    @property
    def win_rate(self) -> float:
        return 100 * self.won / self.trades


def grouped(trades: Iterable[Trade], key: Callable[[Trade], _K], name: Callable[[_K], str] = str) -> list[Group]:
    """A group for each value of ``key``, in the order of the keys."""
    groups: dict[_K, list[Trade]] = {}
    for trade in trades:
        groups.setdefault(key(trade), []).append(trade)
    return [_group(name(one), groups[one]) for one in sorted(groups)]  # type: ignore[type-var]


def _group(name: str, trades: Sequence[Trade]) -> Group:
    nets = [trade.net for trade in trades]
    gross, charges = sum(trade.gross for trade in trades), sum(trade.charges for trade in trades)
    return Group(name, len(trades), sum(net > 0 for net in nets), gross, charges, gross - charges, profit_factor(nets))
