"""How much of a search's best result is luck: the deflated Sharpe ratio.

The best of many strategies without any edge looks good. D. H. Bailey and M. López de Prado, "The Deflated Sharpe Ratio:
Correcting for Selection Bias, Backtest Overfitting, and Non-Normality", Journal of Portfolio Management 40 (2014), say
how good: the expected highest Sharpe ratio of N tries without edge, whose ratios vary with variance V, is

    SR0 = √V ((1 - γ) Z⁻¹[1 - 1/N] + γ Z⁻¹[1 - 1/(N e)])        γ = 0.5772…, Z the normal distribution

and the chance that the true ratio of the one that was picked lies above that, given its own T returns with skewness γ3
and kurtosis γ4, is

    DSR = Z[(SR - SR0) √(T - 1) / √(1 - γ3 SR + (γ4 - 1)/4 SR²)]

All ratios here are of one period (a day), not of a year. Tries that resemble each other, as neighbours in a grid do,
count as independent ones, so that the answer errs on the side of doubt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import e, fsum, sqrt
from statistics import NormalDist

__all__ = ["EULER", "Moments", "Verdict", "deflated_sharpe", "judge", "luck", "moments", "probabilistic_sharpe"]

EULER = 0.5772156649015329
#: From here on the authors call a result significant.
CONFIDENT = 0.95
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Moments:
    """Of returns: how many, the ratio of mean to standard deviation (n - 1), skewness, and kurtosis (3 = normal)."""

    count: int
    sharpe: float
    skew: float
    kurtosis: float


def moments(returns: Sequence[float]) -> Moments | None:
    """None for fewer than three returns, or all alike."""
    n = len(returns)
    if n < 3:
        return None
    mean = fsum(returns) / n
    second, third, fourth = (fsum((r - mean) ** k for r in returns) / n for k in (2, 3, 4))
    if second <= 1e-30:
        return None
    return Moments(n, mean / sqrt(second * n / (n - 1)), third / second**1.5, fourth / second**2)


def luck(tries: int, variance: float) -> float:
    """SR0, the highest ratio that so many tries without edge are expected to show. 0 for a single one."""
    if tries < 2 or variance <= 0:
        return 0.0
    first, second = _NORMAL.inv_cdf(1 - 1 / tries), _NORMAL.inv_cdf(1 - 1 / (tries * e))
    return sqrt(variance) * ((1 - EULER) * first + EULER * second)


def probabilistic_sharpe(found: Moments, benchmark: float) -> float | None:
    """The chance that the true ratio exceeds ``benchmark``; None where the formula has no answer (a ratio beyond what
    returns of such a shape can show)."""
    sr = found.sharpe
    spread = 1 - found.skew * sr + (found.kurtosis - 1) / 4 * sr * sr
    if spread <= 0 or found.count < 2:
        return None
    return _NORMAL.cdf((sr - benchmark) * sqrt(found.count - 1) / sqrt(spread))


def deflated_sharpe(found: Moments, tries: int, variance: float) -> float | None:
    """DSR of the one that was picked among ``tries``, whose ratios have this variance."""
    return probabilistic_sharpe(found, luck(tries, variance))


@dataclass(frozen=True, slots=True)
class Verdict:
    """``sharpe`` and ``luck`` of a year; ``chance``: the DSR, None where it has no answer."""

    tries: int
    days: int
    sharpe: float
    luck: float
    chance: float | None

    @property
    def convincing(self) -> bool:
        return self.chance is not None and self.chance >= CONFIDENT

    def words(self) -> str:
        """For somebody who is about to trade it."""
        told = (
            f"{self.tries:,} combinations were tried on {self.days:,} days. The best of as many strategies without any "
            f"edge would show a Sharpe ratio of about {self.luck:.2f} by luck alone; the best here shows "
            f"{self.sharpe:.2f}."
        )
        if self.chance is None:
            return f"{told} Whether that is more than luck cannot be told from returns of this shape."
        odds = f"The chance that there is an edge at all is {self.chance:.0%} (deflated Sharpe ratio)."
        if self.convincing:
            return f"{told} {odds} That speaks for it on these days; it says nothing of days that are different."
        return f"{told} {odds} Below {CONFIDENT:.0%} take it for luck: do not trade these parameters on this evidence."


def judge(picked: Sequence[float], ratios: Sequence[float], year: int) -> Verdict | None:
    """``picked``: the daily returns of the best set; ``ratios``: the daily Sharpe ratios of all that were tried. None
    where the best has none."""
    found = moments(picked)
    if found is None:
        return None
    variance = _variance(ratios)
    bar = luck(len(ratios), variance)
    chance = probabilistic_sharpe(found, bar)
    return Verdict(len(ratios), found.count, found.sharpe * sqrt(year), bar * sqrt(year), chance)


def _variance(values: Sequence[float]) -> float:
    """Sample variance; 0 for fewer than two."""
    if len(values) < 2:
        return 0.0
    mean = fsum(values) / len(values)
    return fsum((v - mean) ** 2 for v in values) / (len(values) - 1)
