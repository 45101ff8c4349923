"""A parameter set of a sweep comes to what a replay with those parameters comes to, whatever it is swept with."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from optimize_room import Days, made_up_job, replayed

from otrade_bot.config.models import Config
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Kernel
from otrade_bot.research.optimize_job import Job, Outcome, Sweeper, set_records
from otrade_bot.strategies.base import StrategyParams
from otrade_bot.strategies.loader import TradingStrategy
from otrade_bot.trading.table import Row

Shipped = tuple[TradingStrategy, ...]
CROSSINGS = [
    {"fast": 3, "slow": 8}, {"fast": 5, "slow": 13, "stop_percent": 0.2},
    {"fast": 9, "slow": 40, "exit_on_signal": True},
    {"fast": 2, "slow": 3, "target_percent": 0.3, "short": False}, {"fast": 4, "slow": 9, "trail": True, "scan": True},
]  # fmt: skip
LADDERS = [
    {"ema_fast": 3, "ema_mid": 5, "ema_slow": 8, "ema_trend": 13, "lookback": 3, "stop_percent": 0.3},
    {"ema_fast": 2, "ema_mid": 6, "ema_slow": 9, "ema_trend": 30, "lookback": 5, "add2_percent": 0.05, "scan": False},
]


def sums_of(run: Any, marks: list[int]) -> list[tuple[int, ...]]:
    """DAYSUM by hand, from the replay's list of trades."""
    found = []
    for first, last in pairwise(marks):
        trades = run.trades[first:last]
        net = [int(t["gross"]) - int(t["charges"]) for t in trades]
        won, lost = sum(x for x in net if x > 0), -sum(x for x in net if x <= 0)
        gross, charges = int(trades["gross"].sum()), int(trades["charges"].sum())
        found.append((len(net), sum(x > 0 for x in net), gross, charges, won, lost))
    return found


def agree(outcome: Outcome, i: int, run: Any, marks: list[int]) -> None:
    names = ["trades", "wins", "gross", "charges", "won", "lost"]
    assert [tuple(int(day[n]) for n in names) for day in outcome.days[i]] == sums_of(run, marks)
    account, tally, score = run.account[0], run.tally[0], outcome.scores[i]
    assert [int(score[n]) for n in ("ticks", "signals", "orders", "overflow")] == [
        int(tally[n]) for n in ("ticks", "signals", "orders", "overflow")
    ]
    assert (int(score["open"]), int(score["unrealised"])) == (int(account["rungs"]), int(account["unrealised"]))


def sets_of(strategy: TradingStrategy, given: list[dict[str, Any]]) -> list[StrategyParams]:
    return [strategy.params.model_validate(values) for values in given]


@pytest.mark.parametrize(
    ("name", "timeframe", "latency_ns", "slip_ppm", "risk"),
    [
        ("ema_crossover", "1m", 0, 0, {}),
        ("ema_crossover", "5m", 700_000_000, 300, {"daily_loss_limit": 60, "daily_loss_flatten": True}),
        ("ema_crossover", "1m", 0, 0, {"max_trades_per_day": 5}),
        ("momentum_ladder", "5m", 0, 100, {"total_capital": 70_000}),
        ("momentum_ladder", "1m", 0, 0, {"product": "CNC"}),
    ],
)
def test_each_set_is_a_replay_of_its_own(
    name: str, timeframe: str, latency_ns: int, slip_ppm: int, risk: dict[str, Any], kernel: Kernel, shipped: Shipped
) -> None:
    """Two shares under one account, over the change of the exchange's hours in August 2026."""
    strategy = next(s for s in shipped if s.name == name)
    job, config, rows, days = made_up_job(
        kernel, shipped, name, timeframe, 8, latency_ns=latency_ns, slip_ppm=slip_ppm, **risk
    )
    sets = sets_of(strategy, CROSSINGS if name == "ema_crossover" else LADDERS)
    outcome = Sweeper(job, kernel, block=2).run(set_records(kernel, strategy, sets))
    total = 0
    for i, given in enumerate(sets):
        run, marks = replayed(kernel, config, rows, strategy, days, given, latency_ns, slip_ppm)
        agree(outcome, i, run, marks)
        total += marks[-1]
    assert total > 20
    assert not outcome.faults


def test_plain_python_comes_to_the_same_sums(kernel: Kernel, twin: Kernel, shipped: Shipped) -> None:
    strategy = shipped[0]
    sets = sets_of(strategy, CROSSINGS[:2])
    found = []
    for executor in (kernel, twin):
        job, *_ = made_up_job(executor, shipped, strategy.name, "1m", 1, symbols=("NSE:ONE",))
        outcome = Sweeper(job, executor, block=2).run(set_records(executor, strategy, sets))
        found.append((outcome.days.tobytes(), outcome.scores.tobytes()))
    assert found[0] == found[1]


@pytest.fixture(scope="module")
def crossing(kernel: Kernel, shipped: Shipped) -> tuple[Job, Config, list[Row], Days]:
    return made_up_job(kernel, shipped, "ema_crossover", "1m", 3)


def test_a_set_does_not_depend_on_its_company_nor_on_what_ran_before(
    crossing: tuple[Job, Config, list[Row], Days], kernel: Kernel, shipped: Shipped
) -> None:
    strategy, job = shipped[0], crossing[0]
    records = set_records(kernel, strategy, sets_of(strategy, CROSSINGS))
    whole = Sweeper(job, kernel).run(records)
    for block in (1, 3):
        sweeper = Sweeper(job, kernel, block=block)
        sweeper.run(records[::-1].copy())
        again = sweeper.run(records)
        assert again.days.tobytes() == whole.days.tobytes()
        assert again.scores.tobytes() == whole.scores.tobytes()
    assert whole.days["trades"].sum() > 20


def test_a_set_that_makes_the_strategy_fail_is_named_and_spoils_no_other(kernel: Kernel, shipped: Shipped) -> None:
    """A look-back beyond the 64 bars that a row remembers."""
    ladder = shipped[1]
    job, *_ = made_up_job(kernel, shipped, ladder.name, "1m", 2)
    good = sets_of(ladder, LADDERS)
    records = set_records(kernel, ladder, [good[0], good[1], good[0]])
    records["lookback"][1] = abi.RING + 10
    outcome = Sweeper(job, kernel).run(records)
    assert list(outcome.faults) == [1]
    assert "ring" in outcome.faults[1]
    alone = Sweeper(job, kernel).run(records[[0]])
    assert outcome.days[0].tobytes() == outcome.days[2].tobytes() == alone.days[0].tobytes()
    assert not np.any(outcome.days[1]["trades"])
