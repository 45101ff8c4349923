"""What a backtest makes of bars: nothing that a day would not have given, whatever the bars' length and company."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from backtest_room import DAYS, after, market_of, minutes, outcome_of, settings

from otrade_bot.core.clock import at_ist
from otrade_bot.core.model import Product
from otrade_bot.kernel.compile import Kernel
from otrade_bot.research.backtest import Friction
from otrade_bot.strategies.loader import TradingStrategy

Shipped = tuple[TradingStrategy, ...]
HEADER = "datetime,open,high,low,close,volume"
QUICK = {"fast": 2, "slow": 3, "stop_percent": 1.0, "target_percent": 1.0}


def flat(day: date, count: int, price: float, first: int = 0) -> list[str]:
    """Minutes in which nothing moves."""
    return [bar(day, first + m, price, price, price, price) for m in range(count)]


def bar(day: date, minute: int, o: float, h: float, low: float, c: float) -> str:
    return f"{day} {(555 + minute) // 60:02d}:{(555 + minute) % 60:02d}:00,{o:.2f},{h:.2f},{low:.2f},{c:.2f},0"


def turn(day: date, side: int) -> list[str]:
    """Six minutes at the end of which the averages cross, up (1) or down (-1), at 100 + side."""
    return [*flat(day, 5, 100.0), bar(day, 5, 100, max(100, 100 + side), min(100, 100 + side), 100 + side)]


@pytest.mark.parametrize("side", [1, -1])
def test_the_bar_after_an_entry_is_walked_against_it(
    kernel: Kernel, shipped: Shipped, tmp_path: Path, side: int
) -> None:
    price = 100.0 + side
    lines = [HEADER, *turn(DAYS[0], side), bar(DAYS[0], 6, price, price * 1.02, price * 0.98, price)]
    found = outcome_of(market_of(tmp_path, ("ABC", lines)), kernel, shipped, params=QUICK)
    assert [(int(t.side), str(t.reason)) for t in found.trades] == [(side, "stop")]


@pytest.mark.parametrize("side", [1, -1])
def test_a_target_within_a_bar_brings_its_own_price_and_one_jumped_over_the_opens(
    kernel: Kernel, shipped: Shipped, tmp_path: Path, side: int
) -> None:
    price = 100.0 + side
    far, jump = price * (1 + 0.04 * side), price * (1 + 0.02 * side)
    ends = {"ABC": bar(DAYS[0], 6, price, max(price, far), min(price, far), far),
            "XYZ": bar(DAYS[0], 6, jump, max(jump, far), min(jump, far), far)}  # fmt: skip
    files = [(name, [HEADER, *turn(DAYS[0], side), last]) for name, last in ends.items()]
    found = outcome_of(market_of(tmp_path, *files), kernel, shipped, params=QUICK)
    assert {t.symbol: str(t.reason) for t in found.trades} == {"NSE:ABC": "target", "NSE:XYZ": "target"}
    at = {t.symbol: t.exit_value / t.quantity / 100 for t in found.trades}
    assert at["NSE:ABC"] == pytest.approx(price * (1 + 0.01 * side), abs=0.05)
    assert at["NSE:XYZ"] == pytest.approx(jump, abs=0.01)
    assert found.counts["ticks"] == 4 * found.market.lines


def test_a_gap_or_a_crash_beyond_the_spike_filter_is_paid_for_in_bars(
    kernel: Kernel, shipped: Shipped, tmp_path: Path
) -> None:
    night = [*turn(DAYS[0], 1), *flat(DAYS[0], 300, 101.0, 6), bar(DAYS[1], 0, 90, 96, 88, 91)]
    crash = [*turn(DAYS[0], 1), bar(DAYS[0], 6, 101, 101, 91, 101), *flat(DAYS[0], 20, 101.0, 7)]
    market = market_of(tmp_path, ("NIGHT", [HEADER, *night]), ("CRASH", [HEADER, *crash]))
    found = outcome_of(market, kernel, shipped, params=QUICK, product=Product.CNC)
    exits = {t.symbol: (str(t.reason), t.exit_value / t.quantity / 100) for t in found.trades}
    assert exits == {"NSE:NIGHT": ("stop", 90.0), "NSE:CRASH": ("stop", 91.0)}
    assert "spike" not in found.dropped


@pytest.mark.parametrize("side", [1, -1])
def test_latency_in_bars_is_no_look_at_the_bar_to_come(
    kernel: Kernel, shipped: Shipped, tmp_path: Path, side: int
) -> None:
    price = 100.0 + side
    wide = bar(DAYS[0], 6, price, price + 0.4, price - 0.4, price)
    lines = [HEADER, *turn(DAYS[0], side), wide, *flat(DAYS[0], 20, price, 7)]
    found = outcome_of(
        market_of(tmp_path, ("ABC", lines)), kernel, shipped, params=QUICK, friction=Friction(latency_ns=500_000_000)
    )
    assert [(int(t.side), t.entry_value / t.quantity / 100) for t in found.trades] == [(side, price)]
    assert found.trades[0].entry_ns == at_ist(DAYS[0], 9, 21) + 500_000_000


@pytest.mark.parametrize("length", [1, 5, 15, 30, 60])
@pytest.mark.parametrize("strategy", ["ema_crossover", "momentum_ladder"])
def test_a_symbol_trades_alike_alone_and_in_company(
    kernel: Kernel, shipped: Shipped, tmp_path: Path, length: int, strategy: str
) -> None:
    """Where no limit spans them: no symbol's time runs ahead of another's, however long the bars are."""
    days = after(date(2026, 6, 1), 1 if length == 1 else 2 * length)
    files = [(name, longer(minutes(seed, days, 360), length)) for seed, name in enumerate(("ABC", "KLM", "XYZ"))]
    params = {"ema_trend": 20, "ema_slow": 12, "ema_mid": 8, "ema_fast": 3, "lookback": 5}
    given = {"strategy": strategy, "timeframe": f"{length}m",
             "params": QUICK if strategy == "ema_crossover" else params}  # fmt: skip
    config = settings(total_capital=100_000_000, daily_loss_limit=0)
    together = outcome_of(market_of(tmp_path, *files), kernel, shipped, config, **given)  # type: ignore[arg-type]
    apart = [
        outcome_of(market_of(tmp_path, file), kernel, shipped, config, **given).trades  # type: ignore[arg-type]
        for file in files
    ]
    assert all(apart)
    for alone in apart:
        assert [t for t in together.trades if t.symbol == alone[0].symbol] == alone


def longer(lines: list[str], length: int) -> list[str]:
    """Bars of so many minutes, from those of one; a day has 360 of them."""
    cells = [line.split(",") for line in lines[1:]]
    groups = [cells[at : at + length] for at in range(0, len(cells), length)]
    return [HEADER, *(
        ",".join([g[0][0], g[0][1], f"{max(float(c[2]) for c in g):.2f}", f"{min(float(c[3]) for c in g):.2f}",
                  g[-1][4], "0"])
        for g in groups
    )]  # fmt: skip
