"""The deflated Sharpe ratio, by numbers that others computed."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.research.overfit import Moments, deflated_sharpe, judge, luck, moments, probabilistic_sharpe

#: The authors' own example: five years of days, a Sharpe ratio of 2.5 a year, ratios that vary with 1/2 a year.
DAY = 1 / sqrt(250)
FOUND = Moments(1250, 2.5 * DAY, -3, 10)


def test_the_papers_example() -> None:
    assert luck(100, 0.5 / 250) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(FOUND, 100, 0.5 / 250) == pytest.approx(0.9004, abs=5e-5)


def test_the_papers_tries_at_which_the_example_is_just_significant() -> None:
    assert deflated_sharpe(FOUND, 46, 0.5 / 250) == pytest.approx(0.9505, abs=5e-5)
    assert deflated_sharpe(Moments(1250, 2.5 * DAY, 0, 3), 88, 0.5 / 250) == pytest.approx(0.9505, abs=5e-5)


def test_without_selection_it_is_the_probabilistic_ratio() -> None:
    """Worked by hand: SR 0.1 over 100 normal returns is Z(0.1 x sqrt 99 / sqrt 1.005) = Z(0.99251)."""
    found = Moments(100, 0.1, 0, 3)
    assert deflated_sharpe(found, 1, 1.0) == probabilistic_sharpe(found, 0.0)
    assert probabilistic_sharpe(found, 0.0) == pytest.approx(0.83953, abs=1e-5)


def test_expected_luck_is_what_drawing_shows() -> None:
    """The highest of N normal numbers, drawn rather than derived."""
    rng = np.random.default_rng(3)
    for tries in (10, 100, 1000):
        drawn = rng.normal(0, 0.05, (4000, tries)).max(axis=1).mean()
        assert luck(tries, 0.05**2) == pytest.approx(drawn, rel=0.04)  # the formula is of large N


def test_moments_of_a_small_sample() -> None:
    """1, 2, 3, 4, 10: mean 4, squares 50, cubes 180, fourth powers 1394."""
    found = moments([1.0, 2.0, 3.0, 4.0, 10.0])
    assert found is not None
    assert found.count == 5
    assert found.sharpe == pytest.approx(4 / sqrt(50 / 4))
    assert found.skew == pytest.approx(36 / 10**1.5)
    assert found.kurtosis == pytest.approx(278.8 / 100)


def test_what_cannot_be_judged_is_not_judged() -> None:
    assert moments([0.1, 0.2]) is None
    assert moments([0.0] * 50) is None
    assert judge([0.0] * 50, [0.1, 0.2], 252) is None
    # A ratio of 1 a day with skewness 10: no distribution of returns looks like this.
    assert probabilistic_sharpe(Moments(50, 1.0, 10, 3), 0.0) is None


def test_noise_is_called_luck_and_an_edge_is_not() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.01, (500, 250))
    ratios = (noise.mean(axis=1) / noise.std(axis=1, ddof=1)).tolist()
    best = noise[int(np.argmax(ratios))].tolist()
    verdict = judge(best, ratios, 252)
    assert verdict is not None
    assert verdict.chance is not None
    assert verdict.chance < 0.9
    assert not verdict.convincing
    assert "500 combinations were tried on 250 days" in verdict.words()
    assert "take it for luck" in verdict.words()
    edge = (rng.normal(0.004, 0.01, 250)).tolist()
    strong = judge(edge, ratios, 252)
    assert strong is not None
    assert strong.convincing
    assert "take it for luck" not in strong.words()


@given(st.integers(2, 10**6), st.floats(1e-8, 1), st.integers(2, 5000), st.floats(-0.5, 0.5))
def test_more_tries_never_make_a_result_more_credible(tries: int, variance: float, days: int, ratio: float) -> None:
    found = Moments(days, ratio, 0, 3)
    few, many = deflated_sharpe(found, tries, variance), deflated_sharpe(found, tries * 2, variance)
    assert few is not None
    assert many is not None
    assert 0 <= many <= few <= 1
