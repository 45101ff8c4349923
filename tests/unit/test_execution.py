"""How a day's signals were carried out: each number by hand."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.core.errors import DataException
from otrade_bot.research.report import day_report, render
from tests.unit.test_report import fill, trade

DAY = date(2021, 6, 1)
LADDER = {"symbol": "NSE:RELIANCE", "strategy": "momentum_ladder"}


def signal(price: int, *, rung: int = 1, **more: Any) -> dict[str, Any]:
    return {"kind": "signal", **LADDER, "rung": rung, "side": "BUY", "price_paise": price, **more}


def refusal(code: str, reason: str, **more: Any) -> dict[str, Any]:
    return {"kind": "refusal", **LADDER, "rung": 1, "code": code, "reason": reason, **more}


def order(tag: str, status: str = "open", **more: Any) -> dict[str, Any]:
    return {"kind": "order", **LADDER, "tag": tag, "order_id": "7", "status": status, "leg": "entry", **more}


def test_slippage_is_the_average_fill_less_the_signals_price_times_the_shares() -> None:
    lines = [signal(10_000), fill("entry", 2, 20_030), fill("entry", 5, 50_090), fill("exit", 5, 50_500)]
    report = day_report(lines, DAY)
    assert report["slippage"] == {"entries": 1, "shares": 5, "paise_per_share": 18.0, "rupees": 0.9}
    assert "Slippage +18.00 paise a share, +₹0.90 on 5 shares in 1 entries" in render(report)


def test_a_short_sale_above_its_signal_is_better_than_it() -> None:
    lines = [signal(10_000, side="SELL"), {**fill("entry", 4, 40_080), "side": "SELL"}]
    assert day_report(lines, DAY)["slippage"]["rupees"] == -0.8


def test_each_cycle_is_held_against_its_own_signal() -> None:
    lines = [
        signal(10_000), fill("entry", 1, 10_010), fill("exit", 1, 10_050), signal(20_000), signal(30_000, rung=2),
        fill("entry", 1, 20_020, cycle=2), fill("entry", 1, 30_040, rung=2),
        fill("entry", 1, 10_010),  # a late line of the first
    ]  # fmt: skip
    found = day_report(lines, DAY)["slippage"]
    assert (found["entries"], found["rupees"]) == (3, 0.7)


def test_what_was_not_bought_on_a_signal_has_none() -> None:
    """Adopted after a restart, or bought after a refusal by another way."""
    lines = [fill("entry", 3, 30_000), signal(10_000), refusal("blocked", "paused"), fill("entry", 3, 36_000, cycle=2)]
    assert day_report(lines, DAY)["slippage"]["entries"] == 0


@given(st.lists(st.tuples(st.integers(1, 10**7), st.integers(1, 500), st.integers(-500, 500)), max_size=20))
def test_the_strategies_slippages_add_up_to_the_days(entries: list[tuple[int, int, int]]) -> None:
    lines: list[dict[str, Any]] = []
    for cycle, (price, shares, slip) in enumerate(entries, start=1):
        name = {"strategy": f"s{cycle % 3}"}
        lines += [signal(price, **name), {**fill("entry", shares, max(0, shares * price + slip), cycle=cycle), **name}]
    report = day_report(lines, DAY)
    parts = [one["slippage"] for one in report["by_strategy"].values()]
    assert sum(part["entries"] for part in parts) == report["slippage"]["entries"] == len(entries)
    assert round(100 * sum(part["rupees"] for part in parts)) == round(100 * report["slippage"]["rupees"])


def test_latency_is_told_by_median_and_worst_of_accepted_entries() -> None:
    lines = [
        order("A", sent_us=1_000, accepted_us=40_000), order("A", "complete", sent_us=1_000, accepted_us=40_000),
        order("B", sent_us=3_000, accepted_us=60_000), order("C", sent_us=2_000, accepted_us=500_000),
        order("D"), order("E", leg="exit", sent_us=9, accepted_us=9), order("", sent_us=9, accepted_us=9),
    ]  # fmt: skip
    report = day_report(lines, DAY)
    assert report["latency"] == {
        "orders": 3, "signal_to_sent_ms": {"median": 2.0, "worst": 3.0},
        "sent_to_accepted_ms": {"median": 60.0, "worst": 500.0},
    }  # fmt: skip
    assert "signal to sent 2.0 ms (worst 3.0), sent to accepted 60.0 ms (worst 500.0)" in render(report)


def test_an_account_that_answers_at_once_has_no_latency_to_show() -> None:
    report = day_report([order("A", sent_us=0, accepted_us=0)], DAY)
    assert report["latency"]["orders"] == 1
    assert "Latency" not in render(report)


def test_refusals_say_why_and_so_does_what_the_broker_rejected() -> None:
    lines = [
        refusal("cooldown", "wait"), refusal("cooldown", "the pause is not over"), refusal("window", "too late"),
        order("A", "rejected", reason="margin"), order("A", "rejected", reason="margin"),
        order("B", "rejected", reason="margin"), order("C", "rejected"), order("D", "rejected", leg="exit", reason="x"),
    ]  # fmt: skip
    report = day_report(lines, DAY)
    assert report["refusal_reasons"] == {"cooldown": "the pause is not over", "window": "too late"}
    assert report["rejected"] == {"margin": 2, "no reason": 1}
    text = render(report)
    assert "  cooldown 2: the pause is not over" in text
    assert "Rejected by the broker: margin 2, no reason 1" in text


def test_strategies_stand_beside_each_other() -> None:
    other = {"strategy": "ema_crossover"}
    lines = [
        signal(10_000), fill("entry", 3, 30_030), trade("a"), trade("b", gross=-1000), refusal("cooldown", "wait"),
        signal(500, **other), trade("c", gross=412, **other),
    ]  # fmt: skip
    report = day_report(lines, DAY)
    assert list(report["by_strategy"]) == ["ema_crossover", "momentum_ladder"]
    assert report["by_strategy"]["momentum_ladder"] == {
        "trades": 2, "wins": 1, "losses": 1, "gross": 5.0, "charges": 8.24, "net": -3.24, "signals": 1, "refusals": 1,
        "slippage": {"entries": 1, "shares": 3, "paise_per_share": 10.0, "rupees": 0.3},
    }  # fmt: skip
    text = render(report)
    assert "momentum_ladder: 2 trades (1 won, 1 lost), net -₹3.24, signals 1, refused 1, slippage +₹0.30" in text
    assert "ema_crossover: 1 trades (0 won, 0 lost), net ₹0.00, signals 1, refused 0" in text
    assert sum(one["net"] for one in report["by_strategy"].values()) == pytest.approx(report["net"])


@pytest.mark.parametrize("line", [
    signal(-5), signal(True), {**signal(5), "price_paise": "5"}, refusal("x", 5), order("A", sent_us=-1, accepted_us=1),
    order("A", accepted_us=1), order("A", sent_us=1, accepted_us=1.5), order("A", 5), order("A", "rejected", reason=5),
    signal(5, strategy=5),
])  # fmt: skip
def test_what_is_of_a_wrong_type_is_named_with_its_line(line: dict[str, Any]) -> None:
    with pytest.raises(DataException, match="journal line 2 "):
        day_report([{"kind": "evaluation"}, line], DAY)


def test_lines_of_before_these_keys_are_read_as_ever() -> None:
    report = day_report([{"kind": "signal"}, {"kind": "refusal", "code": "x"}, order("A")], DAY)
    assert (report["signals"], report["slippage"]["entries"], report["latency"]["orders"]) == (1, 0, 0)
