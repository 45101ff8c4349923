"""What holds of every series of trades and days."""

from __future__ import annotations

from itertools import accumulate
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.config.models import ChargesConfig
from otrade_bot.core.model import ExitReason, Side
from otrade_bot.kernel.charges import charge
from otrade_bot.research import stats
from otrade_bot.research.costs import PARTS, charge_parts
from otrade_bot.trading.snapshot import Trade

money = st.integers(-10_000_000, 10_000_000)
nets = st.lists(money, max_size=40)


@given(st.integers(1, 10**10), nets)
def test_a_drawdown_is_the_deepest_of_all_falls(start: int, changes: list[int]) -> None:
    curve = list(enumerate(accumulate(changes, initial=start)))
    fall = stats.drawdown(curve)
    assert fall.amount == max(a - b for i, (_, a) in enumerate(curve) for _, b in curve[i:]) >= 0
    if fall.amount:
        assert fall.peak is not None
        assert fall.bottom is not None
        high, low = dict(curve)[fall.peak], dict(curve)[fall.bottom]
        assert high - low == fall.amount
        assert fall.peak < fall.bottom
        assert high == max(equity for at, equity in curve if at <= fall.bottom)
        if fall.end is None:
            assert all(equity < high for at, equity in curve if at > fall.bottom)
        else:
            assert dict(curve)[fall.end] >= high
            assert all(equity < high for at, equity in curve if fall.bottom < at < fall.end)


@given(nets)
def test_a_curve_that_only_rises_has_no_drawdown_and_its_mirror_falls_by_all_of_it(changes: list[int]) -> None:
    rising = list(enumerate(accumulate(map(abs, changes), initial=1000)))
    assert stats.drawdown(rising).amount == 0
    falling = [(at, -value) for at, value in rising]
    assert stats.drawdown(falling).amount == rising[-1][1] - rising[0][1]


@given(nets)
def test_the_factor_is_above_one_exactly_when_there_is_a_profit(values: list[int]) -> None:
    factor = stats.profit_factor(values)
    if factor is None:
        assert all(net >= 0 for net in values)
    else:
        assert factor >= 0
        assert (factor > 1) == (sum(values) > 0)
        assert (factor < 1) == (sum(values) < 0)


@given(st.lists(st.floats(-0.2, 0.2), min_size=2, max_size=60), st.floats(0.5, 20))
def test_ratios_do_not_depend_on_the_scale_and_have_the_sign_of_the_mean(returns: list[float], scale: float) -> None:
    for ratio in (stats.sharpe, stats.sortino):
        value, scaled = ratio(returns), ratio([r * scale for r in returns])
        if value is not None and scaled is not None and abs(value) < 1e6:
            assert isfinite(value)
            assert scaled == pytest.approx(value, rel=1e-6, abs=1e-6)
            assert value * sum(returns) >= -1e-9


trades = st.lists(
    st.builds(
        lambda symbol, reason, side, entry, change, charges: Trade(
            "id", symbol, "s", side, 1, 1, 0, entry, 1, entry + change, reason, int(side) * change, charges
        ),
        st.sampled_from(["NSE:A", "NSE:B", "NSE:C"]), st.sampled_from(list(ExitReason)), st.sampled_from(list(Side)),
        st.integers(1, 10**9), money, st.integers(0, 10**6),
    ),
    max_size=40,
)  # fmt: skip


@given(trades)
def test_groups_add_up_to_the_whole_to_the_paisa(given_: list[Trade]) -> None:
    for key in (lambda t: t.symbol, lambda t: str(t.reason), lambda t: t.side.name):
        groups = stats.grouped(given_, key)
        assert sum(one.trades for one in groups) == len(given_)
        assert sum(one.won for one in groups) == sum(t.net > 0 for t in given_)
        for name in ("gross", "charges", "net"):
            assert sum(getattr(one, name) for one in groups) == sum(getattr(t, name) for t in given_)


spans = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=20)


@given(spans, st.lists(st.integers(0, 300), min_size=2, max_size=8, unique=True))
def test_covered_time_is_that_of_every_moment_counted_once(given_: list[tuple[int, int]], edges: list[int]) -> None:
    edges = sorted(edges)
    windows = list(zip(edges[::2], edges[1::2], strict=False))
    held = [any(a <= at < b for a, b in given_) for at in range(300)]
    assert stats.covered(given_, windows) == sum(held[at] for a, b in windows for at in range(a, min(b, 300)))


RATES = [
    rows[0].kernel_rates(segment)
    for rows in ChargesConfig().profiles.values()
    for segment in ("delivery", "intraday", "futures", "options")
]


class Params:
    """The kernel's record, by attribute."""

    def __init__(self, rates: dict[str, int]) -> None:
        self.__dict__.update(rates)


@given(st.sampled_from(RATES), st.sampled_from([1, -1]), st.integers(-5, 10**12))
def test_the_parts_of_a_charge_add_up_to_what_is_booked(rates: dict[str, int], side: int, value: int) -> None:
    parts = charge_parts(rates, side, value)
    assert set(parts) <= set(PARTS)
    assert sum(parts.values()) == charge(Params(rates), side, value)
