"""A day in one compiled loop: its totals add up, and plain Python comes to the same trades."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from kernel_desk import DAY

from otrade_bot.brokers.feeds import TickFile, read_ticks, synthetic_day
from otrade_bot.config.models import (
    BrokerConfig,
    ChargesConfig,
    Config,
    MarketConfig,
    RiskConfig,
    TelegramConfig,
    TradingConfig,
)
from otrade_bot.core.model import Instrument, Side
from otrade_bot.core.money import to_paise
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Kernel
from otrade_bot.research.replay import Replay, _Run, tick_events
from otrade_bot.strategies.loader import TradingStrategy
from otrade_bot.trading import setup

TICKS = Path(__file__).parents[2].parent / "shared/data/ticks_2021-06-01"
recorded = pytest.mark.skipif(not TICKS.is_dir(), reason="no recorded ticks here")


def config_for(symbols: Sequence[str], strategy: str, timeframe: str, **risk: int) -> Config:
    given = {"name": strategy, "instruments": tuple(symbols), "timeframe": timeframe}
    trading = TradingConfig.model_validate({"strategies": (given,), "capital_per_position": 30_000})
    risk_config = RiskConfig.model_validate({"total_capital": 1_000_000, **risk})
    return Config(trading, risk_config, BrokerConfig(), MarketConfig(), ChargesConfig(), TelegramConfig())


def replay(
    kernel: Kernel, strategies: Sequence[TradingStrategy], files: Sequence[TickFile], strategy: str, timeframe: str,
    latency_ns: int = 0, slip_ppm: int = 0, day: date = DAY, **risk: int,
) -> _Run:  # fmt: skip
    """One day of these files under one strategy."""
    config = config_for([f.symbol for f in files], strategy, timeframe, **risk)
    known = {s.name: s for s in strategies}
    rows = setup.build_rows(config, known, lambda symbol: Instrument(symbol, 0))
    run = Replay(config, kernel, rows, known, config.calendar, latency_ns, slip_ppm).start()
    events = tick_events(files, range(len(files)))
    run.day(day, events if kernel.compiled else events.view((np.record, abi.EVENT)))
    return run


def check_books(run: _Run, kernel: Kernel) -> None:
    """Every trade and every sum, from first principles; nothing is left open."""
    account, state, tally = run.account[0], run.state, run.tally[0]
    trades = run.trades[: int(tally["trades"])]
    assert tally["overflow"] == 0
    for t in trades:
        assert t["gross"] == t["side"] * (t["exit_value"] - t["entry_value"])
        cost = [kernel.charge_one(run.params, int(t["row"]), s, int(v)) for s, v in
                ((t["side"], t["entry_value"]), (-t["side"], t["exit_value"]))]  # fmt: skip
        assert t["charges"] == sum(cost)
        assert t["qty"] > 0
        assert t["exit_ts"] >= t["entry_ts"]
        p = run.params[int(t["row"])]
        assert p["entry_from"] <= t["entry_ts"]
        assert t["exit_ts"] <= p["day_close"]
    assert account["realised"] == trades["gross"].sum()
    assert account["charges"] == trades["charges"].sum()
    assert (account["rungs"], account["used"], account["unrealised"]) == (0, 0, 0)
    assert not state["side"].any()
    assert not run.work["exit_kind"].any()
    assert not run.work["entry_left"].any()
    assert tally["signals"] >= len(trades) == account["trades"]


@recorded
@pytest.mark.parametrize("strategy", ["ema_crossover", "momentum_ladder"])
@pytest.mark.parametrize("timeframe", ["tick", "1m", "15m"])
@pytest.mark.parametrize(("latency_ns", "slip_ppm"), [(0, 0), (300_000_000, 200)])
def test_a_recorded_day_adds_up(
    strategy: str, timeframe: str, latency_ns: int, slip_ppm: int, kernel: Kernel, shipped: tuple[TradingStrategy, ...]
) -> None:
    file = read_ticks(TICKS / "RELIANCE.csv")
    run = replay(kernel, shipped, [file], strategy, timeframe, latency_ns, slip_ppm)
    check_books(run, kernel)
    drops = run.state[0]["drops"]
    assert run.tally[0]["ticks"] == drops[abi.T_OK]
    assert drops.sum() == len(file)
    assert len(file) + sum(file.dropped.values()) == file.lines
    if strategy == "ema_crossover" and timeframe != "15m":
        assert run.tally[0]["trades"] > 0


@pytest.fixture(scope="module")
def made_up() -> list[TickFile]:
    return synthetic_day(DAY, seed=5)


def first(files: Sequence[TickFile], lines: int) -> list[TickFile]:
    """The first ``lines`` ticks of all files together."""
    end = np.sort(np.concatenate([f.ts for f in files]))[lines - 1]
    return [
        TickFile(f.symbol, f.source, f.ts[f.ts <= end], f.price[f.ts <= end], f.volume[f.ts <= end],
                 int((f.ts <= end).sum()))
        for f in files
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("strategy", "timeframe", "latency_ns", "slip_ppm"),
    [("ema_crossover", "tick", 0, 0), ("ema_crossover", "tick", 500_000_000, 300), ("momentum_ladder", "tick", 0, 0)],
)
def test_plain_python_comes_to_the_same_trades(
    strategy: str, timeframe: str, latency_ns: int, slip_ppm: int, kernel: Kernel, twin: Kernel,
    shipped: tuple[TradingStrategy, ...], made_up: list[TickFile],
) -> None:  # fmt: skip
    files = first(made_up, 3_000)
    runs = [replay(k, shipped, files, strategy, timeframe, latency_ns, slip_ppm) for k in (kernel, twin)]
    assert runs[0].booked() == runs[1].booked()
    assert len(runs[0].booked()) > 0
    for name in ("state", "account", "work", "tally", "trades"):
        assert getattr(runs[0], name).tobytes() == getattr(runs[1], name).tobytes(), name


@pytest.mark.parametrize("strategy", ["ema_crossover", "momentum_ladder"])
def test_a_made_up_day_of_five_stocks_adds_up(
    strategy: str, kernel: Kernel, shipped: tuple[TradingStrategy, ...], made_up: list[TickFile]
) -> None:
    run = replay(kernel, shipped, made_up, strategy, "tick", slip_ppm=100)
    check_books(run, kernel)
    assert run.tally[0]["trades"] > 0
    assert run.tally[0]["ticks"] == run.state["drops"][:, abi.T_OK].sum()
    assert run.state["drops"].sum() == sum(len(f) for f in made_up)


def test_the_trades_of_a_day_respect_its_limits(
    kernel: Kernel, shipped: tuple[TradingStrategy, ...], made_up: list[TickFile]
) -> None:
    run = replay(kernel, shipped, made_up, "ema_crossover", "tick", max_trades_per_day=7, total_capital=60_000)
    check_books(run, kernel)
    trades = run.booked()
    assert len(trades) == 7
    for t in trades:
        bound = sum(o.entry_value for o in trades if o.entry_ns <= t.entry_ns < o.exit_ns or o is t)
        assert bound <= to_paise(60_000)


def test_trades_are_handed_over_in_the_words_of_the_house(
    kernel: Kernel, shipped: tuple[TradingStrategy, ...], made_up: list[TickFile]
) -> None:
    trades = replay(kernel, shipped, made_up, "ema_crossover", "tick").booked()
    assert {t.symbol for t in trades} <= {f.symbol for f in made_up}
    assert {t.side for t in trades} == {Side.BUY, Side.SELL}
    assert {t.rung for t in trades} == {1}
    assert len({t.trade_id for t in trades}) == len(trades)


def test_a_day_without_a_session_is_refused(
    kernel: Kernel, shipped: tuple[TradingStrategy, ...], made_up: list[TickFile]
) -> None:
    with pytest.raises(ValueError, match="2021-06-05 is not a trading day"):
        replay(kernel, shipped, made_up, "ema_crossover", "tick", day=date(2021, 6, 5))
