"""What holds of charges and fills for any order."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import assume, given
from hypothesis import strategies as st

from otrade_bot.config.models import ChargesConfig
from otrade_bot.kernel.charges import charge
from otrade_bot.kernel.fills import fill_price, protected, protection_ppm, slipped, triggered

SEGMENTS = ("delivery", "intraday", "futures", "options")
sides = st.sampled_from([1, -1])
values = st.integers(1, 10**12)
prices = st.integers(5, 20_000_000)
ticks = st.sampled_from([1, 5, 10, 25, 100, 500])
rates = st.builds(
    lambda broker, segment: SimpleNamespace(
        **ChargesConfig.model_validate({"broker": broker}).profiles[broker][0].kernel_rates(segment)
    ),
    st.sampled_from(["zerodha", "upstox"]),
    st.sampled_from(SEGMENTS),
)


def on_grid(price: int, tick: int) -> int:
    return max(1, price // tick) * tick


@given(rates, sides, values, values)
def test_more_value_never_costs_less(rate: SimpleNamespace, side: int, a: int, b: int) -> None:
    assert charge(rate, side, min(a, b)) <= charge(rate, side, max(a, b))


@given(rates, values)
def test_a_sale_and_a_purchase_differ_by_their_taxes_alone(rate: SimpleNamespace, value: int) -> None:
    def tax(*ppb: int) -> int:
        return sum((value * one + 500_000_000) // 10**9 for one in ppb)

    bought = tax(rate.ch_stt_buy, rate.ch_stamp_buy)
    sold = tax(rate.ch_stt_sell) + rate.ch_dp_sell
    assert charge(rate, 1, value) - bought == charge(rate, -1, value) - sold


@given(rates, sides, st.integers(1, 10**9), st.integers(1, 10**9))
def test_one_order_in_parts_never_costs_more_than_two_orders(
    rate: SimpleNamespace, side: int, a: int, b: int
) -> None:
    """Six components, each rounded to a paisa, may differ by the rounding."""
    assert charge(rate, side, a + b) <= charge(rate, side, a) + charge(rate, side, b) + 8


@given(rates, sides, values)
def test_charges_are_never_negative_and_whole_paise(rate: SimpleNamespace, side: int, value: int) -> None:
    cost = charge(rate, side, value)
    assert isinstance(cost, int)
    assert cost >= 0


# --- fills ----------------------------------------------------------------------------------------


@given(sides, prices, prices, st.sampled_from([0, 1]), st.integers(0, 50_000), ticks)
def test_a_fill_is_never_worse_than_its_limit_nor_better_than_the_price_that_made_it(
    side: int, limit: int, ltp: int, taker: int, slip: int, tick: int
) -> None:
    limit, ltp = on_grid(limit, tick), on_grid(ltp, tick)
    price = fill_price(side, limit, taker, ltp, slip, tick)
    reachable = ltp <= limit if side > 0 else ltp >= limit
    assert (price > 0) == reachable
    assume(reachable)
    assert side * (limit - price) >= 0
    assert side * (price - ltp) >= 0
    assert price % tick == 0
    if not taker:
        assert price == limit


@given(sides, prices, st.integers(0, 50_000), ticks)
def test_slippage_only_hurts_and_by_no_more_than_its_rate_and_a_tick(
    side: int, ltp: int, slip: int, tick: int
) -> None:
    ltp = on_grid(ltp, tick)
    worse = side * (slipped(side, ltp, slip, tick) - ltp)
    assert 0 <= worse <= ltp * slip // 1_000_000 + 1 + tick


@given(sides, prices, st.sampled_from([0, 1]), ticks)
def test_a_protected_market_order_is_marketable_on_the_grid_and_inside_its_band(
    side: int, ltp: int, option: int, tick: int
) -> None:
    ltp = on_grid(ltp, tick)
    ppm = protection_ppm(ltp, option)
    limit = protected(side, ltp, ppm, tick)
    assert limit % tick == 0
    assert 0 <= side * (limit - ltp) <= ltp * ppm // 1_000_000
    assert fill_price(side, limit, 1, ltp, 0, tick) == ltp


@given(prices, st.sampled_from([0, 1]))
def test_the_protection_band_is_that_of_its_price(ltp: int, option: int) -> None:
    rupees = ltp / 100
    percent = (
        (5 if rupees < 10 else 3 if rupees < 100 else 2 if rupees <= 500 else 1)
        if option
        else (2 if rupees < 100 else 1 if rupees <= 500 else 0.5)
    )
    assert protection_ppm(ltp, option) == percent * 10_000


@given(sides, prices, prices)
def test_a_stop_goes_off_at_its_trigger_and_beyond(side: int, trigger: int, ltp: int) -> None:
    assert triggered(side, trigger, trigger)
    assert triggered(side, trigger, ltp) == (side * (ltp - trigger) >= 0)
