"""Every statistic against numbers worked out by hand."""

from __future__ import annotations

from math import sqrt

import pytest

from otrade_bot.core.model import ExitReason, Side
from otrade_bot.research import stats
from otrade_bot.research.stats import Drawdown
from otrade_bot.trading.snapshot import Trade


def trade(net: int, symbol: str = "NSE:A") -> Trade:
    """One that cost 10 in charges."""
    return Trade("id", symbol, "s", Side.BUY, 1, 1, 0, 1000, 1, 1010 + net, ExitReason.STOP, net + 10, 10)


def test_a_drawdown_runs_from_the_highest_point_before_to_where_the_curve_is_back() -> None:
    points = [(0, 1000), (1, 1100), (2, 880), (3, 990), (4, 825), (5, 1099), (6, 1100), (7, 1050)]
    assert stats.drawdown(points) == Drawdown(275, 25.0, 1, 4, 6)


def test_a_fall_that_is_never_made_good_has_no_end() -> None:
    assert stats.drawdown([(0, 1000), (5, 900), (9, 999)]) == Drawdown(100, 10.0, 0, 5, None)


def test_of_equal_peaks_the_fall_counts_from_the_last_and_of_equal_falls_the_first_counts() -> None:
    assert stats.drawdown([(0, 100), (1, 100), (2, 90), (3, 100), (4, 90)]) == Drawdown(10, 10.0, 1, 2, 3)


@pytest.mark.parametrize("points", [[], [(0, 5)], [(0, 5), (1, 5), (2, 6)]])
def test_a_curve_that_never_falls_has_no_drawdown(points: list[tuple[int, int]]) -> None:
    assert stats.drawdown(points) == Drawdown()


def test_sharpe_is_mean_over_deviation_by_the_root_of_252() -> None:
    # mean 0.01, deviations 0, 0.01, -0.01: variance 0.0002 / 2, deviation 0.01
    assert stats.sharpe([0.01, 0.02, 0.0]) == pytest.approx(sqrt(252))


def test_sortino_counts_days_below_zero_alone() -> None:
    # mean 0.01; downside: sqrt((0.02² + 0 + 0 + 0) / 4) = 0.01
    assert stats.sortino([-0.02, 0.02, 0.03, 0.01]) == pytest.approx(sqrt(252))


@pytest.mark.parametrize("returns", [[], [0.01], [0.01, 0.01, 0.01]])
def test_too_little_for_a_ratio_is_none(returns: list[float]) -> None:
    assert stats.sharpe(returns) is None
    assert stats.sortino(returns) is None


def test_growth_a_year_compounds_over_252_days() -> None:
    assert stats.cagr(100, 121, 504) == pytest.approx(10.0)
    assert stats.cagr(100, 50, 252) == pytest.approx(-50.0)
    assert stats.cagr(100, 110, 126) == pytest.approx(21.0)
    assert stats.cagr(100, 0, 252) == -100.0
    assert stats.cagr(100, 110, 19) is None


def test_a_day_is_measured_by_the_capital_at_the_start() -> None:
    assert stats.daily_returns([500, -250], 100_000) == [0.005, -0.0025]


def test_factor_rate_and_expectancy_of_trades() -> None:
    nets = [300, -100, 0, -50, 150]
    assert stats.profit_factor(nets) == 3.0
    assert stats.win_rate(nets) == 40.0
    assert stats.expectancy(nets) == 60.0
    assert (stats.longest_run(nets, won=True), stats.longest_run(nets, won=False)) == (1, 3)


def test_without_losses_or_trades_there_is_no_factor() -> None:
    assert stats.profit_factor([5, 0]) is None
    assert (stats.profit_factor([]), stats.win_rate([]), stats.expectancy([])) == (None, None, None)
    assert stats.profit_factor([-5]) == 0.0


def test_time_in_the_market_counts_overlaps_once_and_nights_not_at_all() -> None:
    windows = [(100, 200), (300, 400)]
    spans = [(110, 120), (115, 130), (190, 310), (395, 500), (50, 60), (7, 7)]
    assert stats.covered(spans, windows) == 20 + 10 + 10 + 5
    assert stats.covered([(0, 1000)], windows) == 200
    assert stats.covered([], windows) == 0


def test_turnover_is_what_was_bought_and_sold() -> None:
    assert stats.turnover([trade(5), trade(-20)]) == 1000 + 1015 + 1000 + 990


def test_groups_come_in_the_order_of_their_keys_and_add_up() -> None:
    trades = [trade(100, "NSE:B"), trade(-40, "NSE:A"), trade(60, "NSE:B"), trade(-10, "NSE:B")]
    a, b = stats.grouped(trades, lambda t: t.symbol)
    assert (a.name, a.trades, a.won, a.gross, a.charges, a.net, a.factor) == ("NSE:A", 1, 0, -30, 10, -40, 0.0)
    assert (b.name, b.trades, b.won, b.gross, b.charges, b.net, b.factor) == ("NSE:B", 3, 2, 180, 30, 150, 16.0)
    assert b.win_rate == pytest.approx(200 / 3)
