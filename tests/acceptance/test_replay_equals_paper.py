"""Paper at zero latency and the compiled replay give the same trades, to the paisa and the nanosecond."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest
from two_runs import Bench, Case, Facts, Paper, both_on_bars, both_on_ticks

from otrade_bot.brokers.feeds import Profile, TickFile, read_bars, read_ticks, synthetic_day
from otrade_bot.core.events import EventKind
from otrade_bot.kernel.compile import Kernel
from otrade_bot.strategies.loader import TradingStrategy
from otrade_bot.trading.engine import LIMIT_WORDS

DATA = Path(__file__).parents[3] / "shared" / "data"
SYNTHETIC = date(2026, 9, 16)
Shipped = tuple[TradingStrategy, ...]
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the recorded prices are not beside the project")


def differences(paper: Sequence[Facts], replay: Sequence[Facts]) -> str:
    """The first trades that only one of them made; empty where they agree."""
    if paper == replay:
        return ""
    only = sorted(set(paper) ^ set(replay), key=lambda fact: fact[4])[:4]
    return f"{len(paper)} on paper, {len(replay)} in replay; " + "; ".join(
        f"{'paper' if fact in paper else 'replay'} only: {fact}" for fact in only
    )


def on_ticks(case: Case, kernel: Kernel, shipped: Shipped, files: Sequence[TickFile], book: Path) -> Paper:
    """Both runs, compared; the paper one for further questions."""
    day = files[0].day
    bench = Bench(case, kernel, shipped, day, {f.symbol: int(f.price[0]) for f in files})
    paper, replay, engine, run = both_on_ticks(bench, day, files, book)
    assert not differences(paper, replay)
    assert engine.engine.counters.signals == run.tally[0]["signals"]
    assert engine.engine.counters.ticks == run.tally[0]["ticks"]
    assert int(engine.engine.account[0]["realised"]) == int(run.account[0]["realised"])
    return engine


@needs_data
@pytest.mark.parametrize("capital", [3000, 300_000])
@pytest.mark.parametrize(
    ("strategy", "timeframe"), [("ema_crossover", "tick"), ("ema_crossover", "1m"), ("momentum_ladder", "1m")]
)
def test_a_recorded_day_of_ticks(
    strategy: str, timeframe: str, capital: int, kernel: Kernel, shipped: Shipped, tmp_path: Path
) -> None:
    files = [read_ticks(DATA / "ticks_2021-06-01" / f"{name}.csv") for name in ("RELIANCE", "NIFTY50")]
    case = Case(strategy, timeframe, (files[0].symbol,), capital, watched=(files[1].symbol,))
    paper = on_ticks(case, kernel, shipped, files, tmp_path / "paper.jsonl")
    assert paper.engine.trade_log


@needs_data
@pytest.mark.parametrize(("strategy", "timeframe"), [("ema_crossover", "5m"), ("momentum_ladder", "15m")])
@pytest.mark.parametrize("name", ["NIFTY_2016Q2_1min", "WIPRO_2015-06_1min"])
def test_weeks_of_recorded_bars(
    name: str, strategy: str, timeframe: str, kernel: Kernel, shipped: Shipped, tmp_path: Path
) -> None:
    """Indicators carry over from day to day; the index is traded as if it were its future."""
    file = read_bars(DATA / "ohlc_1min" / f"{name}.csv")
    futures = (file.symbol,) if "NIFTY" in file.symbol else ()
    case = Case(strategy, timeframe, (file.symbol,), 30_000, futures=futures)
    bench = Bench(case, kernel, shipped, file.day, {file.symbol: int(file.open[0])})
    paper, replay, engine, _ = both_on_bars(bench, file, tmp_path / "paper.jsonl")
    assert not differences(paper, replay)
    assert len(paper) > 5
    # A signal at the close of a bar finds the bar's last price fresh: nothing is refused as stale.
    refused = [e.data["code"] for e in engine.diary.events if e.kind is EventKind.REFUSAL]
    assert "stale" not in refused


@pytest.mark.parametrize("capital", [3000, 300_000])
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("strategy", "timeframe"), [("ema_crossover", "tick"), ("ema_crossover", "1m"), ("momentum_ladder", "1m")]
)
def test_a_made_up_day_of_ticks(
    strategy: str, timeframe: str, seed: int, capital: int, kernel: Kernel, shipped: Shipped, tmp_path: Path
) -> None:
    files = synthetic_day(SYNTHETIC, seed)
    case = Case(strategy, timeframe, tuple(f.symbol for f in files), capital)
    paper = on_ticks(case, kernel, shipped, files, tmp_path / "paper.jsonl")
    assert len(paper.engine.trade_log) > 10
    if capital > 3000:
        parts = Counter(fill.order_id for fill in paper.broker.book.fills)
        assert max(parts.values()) > 1, "the traded volume should have cut some fills into parts"


@pytest.mark.parametrize("seed", [4, 5])
def test_prices_that_come_seldom_are_not_acted_on_when_they_are_old(
    seed: int, kernel: Kernel, shipped: Shipped, tmp_path: Path
) -> None:
    """Half a minute between two prices: the scan at a full minute meets old ones, in both runs alike."""
    files = synthetic_day(SYNTHETIC, seed, Profile(gap=30.0, dirt=False))
    case = Case("momentum_ladder", "1m", tuple(f.symbol for f in files), 3000)
    paper = on_ticks(case, kernel, shipped, files, tmp_path / "paper.jsonl")
    refused = Counter(e.data["code"] for e in paper.diary.events if e.kind is EventKind.REFUSAL)
    assert refused["stale"] > 0


@pytest.mark.parametrize(
    ("params", "risk"),
    [
        ({"fast": 3, "slow": 8, "stop_percent": 0.1, "target_percent": 0.1}, {"cooldown_seconds": 2}),
        ({"fast": 3, "slow": 8, "exit_on_signal": True}, {"cooldown_seconds": 2}),
        ({"fast": 5, "slow": 13, "trail": True, "stop_percent": 0.2}, {"cooldown_seconds": 30}),
        ({"fast": 3, "slow": 8}, {"cooldown_seconds": 5, "daily_loss_limit": 3000, "daily_loss_flatten": True}),
        ({"fast": 3, "slow": 8}, {"cooldown_seconds": 5, "total_capital": 700_000, "max_trades_per_day": 40}),
    ],
    ids=["tight", "signal", "trailing", "loss", "limits"],
)
@pytest.mark.parametrize("seed", [1, 11])
def test_orders_far_above_the_traded_volume(
    params: dict[str, object], risk: dict[str, int], seed: int, kernel: Kernel, shipped: Shipped, tmp_path: Path
) -> None:
    """Entries and exits that need many prices to fill, chased and cancelled meanwhile; a stop that goes off
    while its entry is still being filled."""
    files = [first_part(f, 3000) for f in synthetic_day(SYNTHETIC, seed)]
    case = Case("ema_crossover", "tick", tuple(f.symbol for f in files), 600_000, params, risk)
    paper = on_ticks(case, kernel, shipped, files, tmp_path / "paper.jsonl")
    parts = Counter(fill.order_id for fill in paper.broker.book.fills)
    assert max(parts.values()) > 5


@pytest.mark.parametrize("participation", [0.29, 0.013])
def test_orders_that_may_take_a_part_of_the_traded_volume_only(
    participation: float, kernel: Kernel, shipped: Shipped, tmp_path: Path
) -> None:
    files = [first_part(f, 3000) for f in synthetic_day(SYNTHETIC, 1)]
    symbols, params = tuple(f.symbol for f in files), {"fast": 3, "slow": 8}
    case = Case("ema_crossover", "tick", symbols, 30_000, params, {"cooldown_seconds": 2}, participation=participation)
    paper = on_ticks(case, kernel, shipped, files, tmp_path / "paper.jsonl")
    parts = Counter(fill.order_id for fill in paper.broker.book.fills)
    assert max(parts.values()) > 1


@pytest.mark.parametrize("limit", [{"max_order_quantity": 6}, {"max_order_value": 2900}], ids=["quantity", "value"])
def test_orders_that_the_gate_finds_too_large(
    limit: dict[str, int], kernel: Kernel, shipped: Shipped, tmp_path: Path
) -> None:
    """A no before the broker: the rung is free again, the instrument pauses, both count it."""
    files = synthetic_day(SYNTHETIC, 1)
    case = Case("ema_crossover", "tick", tuple(f.symbol for f in files), 3000, risk=limit)
    bench = Bench(case, kernel, shipped, SYNTHETIC, {f.symbol: int(f.price[0]) for f in files})
    paper, replay, engine, run = both_on_ticks(bench, SYNTHETIC, files, tmp_path / "paper.jsonl")
    assert not differences(paper, replay)
    refused = Counter(e.data["code"] for e in engine.diary.events if e.kind is EventKind.REFUSAL)
    gate = dict(zip(("", "quantity", "value"), run.tally[0]["refused"].tolist(), strict=True))
    code = str(*limit).removeprefix("max_order_")
    assert gate == {"": 0, "quantity": 0, "value": 0, code: refused[code]}
    assert refused[code]
    limited = run.tally[0]["limited"]
    assert {LIMIT_WORDS[code][0]: int(n) for code, n in enumerate(limited) if n} == {
        code: n for code, n in refused.items() if code in {word for word, _ in LIMIT_WORDS.values()}
    }
    assert paper


def first_part(file: TickFile, ticks: int) -> TickFile:
    """The beginning of a file."""
    return TickFile(file.symbol, file.source, file.ts[:ticks], file.price[:ticks], file.volume[:ticks], ticks)
