"""A search finds what a replay of each set finds, whoever computes it and however many of them there are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from optimize_room import Days, made_up_job, replayed

from otrade_bot.config.models import Config
from otrade_bot.core.errors import ConfigException
from otrade_bot.kernel.compile import Kernel
from otrade_bot.research import stats
from otrade_bot.research.optimize import Found, Request, Search
from otrade_bot.research.optimize_figures import Figures
from otrade_bot.research.optimize_job import Job, Outcome, Sweeper, set_records
from otrade_bot.research.optimize_run import Local, chunks
from otrade_bot.research.optimize_windows import Window, windows_of
from otrade_bot.research.search import space_of
from otrade_bot.strategies.loader import TradingStrategy
from otrade_bot.trading.table import Row

CAPITAL = 50_000_00
WORDS = ["fast=2:8:2", "slow=4:16:4", "stop_percent=0.2,0.6"]
Made = tuple[Job, Config, list[Row], Days]


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def made(kernel: Kernel, shipped: tuple[TradingStrategy, ...]) -> Made:
    return made_up_job(kernel, shipped, "ema_crossover", "1m", 12, slip_ppm=50)


def search(
    made: Made, kernel: Kernel, strategy: TradingStrategy, workers: int = 2, words: list[str] = WORDS, **asked: Any
) -> Found:  # fmt: skip
    with Local(kernel, workers) as runner:
        space = space_of(strategy, words, {})
        return Search(made[0], kernel, space, Request(**asked), CAPITAL, runner).run(never)


def told(found: Found) -> Any:
    return found.trials, found.ranked, [(p.values, p.test and p.test.numbers()) for p in found.picked], found.verdict


def test_every_trial_is_what_a_replay_comes_to(
    made: Made, kernel: Kernel, shipped: tuple[TradingStrategy, ...]
) -> None:
    _, config, rows, days = made
    found = search(made, kernel, shipped[0])
    assert (found.computed, found.wanted, len(found.trials)) == (24, 24, 24)
    assert dict(found.refused) == {"fast must be smaller than slow": 8}
    for trial in found.trials:
        params = found.space.params(trial.values)
        assert params is not None
        run, marks = replayed(kernel, config, rows, shipped[0], days, params, slip_ppm=50)
        trades = run.trades[: marks[-1]]
        assert trial.net == int((trades["gross"] - trades["charges"]).sum())
        by_day = [int((trades["gross"] - trades["charges"])[a:b].sum()) for a, b in pairwise(marks)]
        assert trial.numbers["sharpe"] == stats.sharpe(stats.daily_returns(by_day, CAPITAL))
        assert trial.numbers["profit_factor"] == stats.profit_factor((trades["gross"] - trades["charges"]).tolist())
    scores = [found.trials[i].score for i in found.ranked]
    assert scores == sorted(scores, reverse=True)  # type: ignore[type-var]
    assert len(scores) > 10


@pytest.mark.parametrize("method", ["grid", "random", "tpe"])
def test_the_number_of_workers_changes_nothing(
    method: str, made: Made, kernel: Kernel, shipped: tuple[TradingStrategy, ...]
) -> None:
    asked = {"method": method, "trials": 40, "windows": windows_of(12, 2, 4, 2), "min_trades": 3}
    one, three = (search(made, kernel, shipped[0], workers, ["fast=2:40", "slow=3:80"], **asked) for workers in (1, 3))
    assert told(one) == told(three)
    assert one.ranked
    assert one.complete


def test_another_seed_is_another_search(made: Made, kernel: Kernel, shipped: tuple[TradingStrategy, ...]) -> None:
    one, two = (
        search(made, kernel, shipped[0], method="random", trials=20, seed=seed, words=["fast=2:40", "slow=41:80"])
        for seed in (1, 2)
    )
    assert {t.values for t in one.trials} != {t.values for t in two.trials}


@pytest.mark.parametrize("method", ["grid", "random", "tpe"])
def test_a_window_picks_by_its_training_days_and_is_judged_by_the_days_after(
    method: str, made: Made, kernel: Kernel, shipped: tuple[TradingStrategy, ...]
) -> None:
    """What comes after the training cannot have had a say: with other prices there the pick is the same."""
    strategy = shipped[0]
    windows = windows_of(12, 2, 4, 3, anchored=False)
    asked = {"method": method, "trials": 40, "windows": windows[:1], "min_trades": 1, "objective": "net"}
    words = ["fast=2:8:2", "slow=10:16:2"]
    found = search(made, kernel, strategy, words=words, **asked)
    cut = (made[0].until(windows[0].split), *made[1:])
    blind = search(cut, kernel, strategy, words=words, method=method, trials=40, min_trades=1, objective="net",
                   windows=(Window(windows[0].start, windows[0].split, windows[0].split),))  # fmt: skip
    picked = found.picked[0]
    assert picked.values == blind.picked[0].values
    assert picked.params is not None
    assert picked.train is not None
    assert picked.test is not None
    days = Sweeper(made[0], kernel).run(set_records(kernel, strategy, [picked.params])).days[0]
    assert picked.train.net == int(days["net"][windows[0].train].sum())
    assert picked.test.net == int(days["net"][windows[0].test].sum())
    if method == "grid":
        sets = [found.space.params(trial.values) for trial in found.trials]
        every = Sweeper(made[0], kernel).run(set_records(kernel, strategy, [s for s in sets if s])).days
        assert picked.train.net == max(int(d["net"][windows[0].train].sum()) for d in every)


def test_windows_tile_the_end_of_the_days() -> None:
    assert windows_of(100, 3, 40, 20) == (Window(0, 40, 60), Window(20, 60, 80), Window(40, 80, 100))
    assert windows_of(100, 3, 40, 20, anchored=True) == (Window(0, 40, 60), Window(0, 60, 80), Window(0, 80, 100))
    assert windows_of(90, 5) == tuple(Window(10 * k, 10 * k + 40, 10 * k + 50) for k in range(5))
    assert windows_of(90, 0) == ()
    for count, train, test in ((3, 50, 20), (50, None, None), (2, 99, None), (1, 0, 10), (1, 10, 0)):
        with pytest.raises(ConfigException, match="trading days"):
            windows_of(100, count, train, test)


def test_sets_with_too_few_trades_are_shown_and_not_picked(
    made: Made, kernel: Kernel, shipped: tuple[TradingStrategy, ...]
) -> None:
    found = search(made, kernel, shipped[0], min_trades=10**6, windows=windows_of(12, 1))
    assert len(found.trials) == 24
    assert (found.ranked, found.best, found.verdict, found.top) == ([], None, None, None)
    assert found.picked[0].params is None


class Interrupted(Local):
    """Asks to stop after its first part."""

    def sweep(self, job: Job, records: Any, stop: Any) -> Iterator[tuple[int, Outcome]]:
        for at, answer in super().sweep(job, records, lambda: stop() or self.enough.is_set()):
            self.enough.set()
            yield at, answer

    enough = threading.Event()


@pytest.mark.parametrize("method", ["grid", "tpe"])
def test_a_search_that_is_stopped_tells_what_it_knows_and_that_it_is_not_all(
    method: Any, made: Made, kernel: Kernel, shipped: tuple[TradingStrategy, ...]
) -> None:
    with Interrupted(kernel, 1) as runner:
        runner.enough = threading.Event()
        space = space_of(shipped[0], ["fast=2:30:1", "slow=31:60:1"], {})
        request = Request(method=method, trials=600)
        found = Search(made[0], kernel, space, request, CAPITAL, runner).run(runner.enough.is_set)
    assert 0 < len(found.trials) == found.computed < found.wanted
    assert not found.complete
    assert found.top is not None
    whole = search(made, kernel, shipped[0], words=["fast=2:30:1", "slow=31:60:1"], method=method, trials=600)
    assert found.trials == whole.trials[: len(found.trials)]


def test_parts_cover_every_set_once() -> None:
    for sets in (1, 7, 64, 10_000):
        for workers in (1, 2, 48):
            parts = chunks(sets, workers)
            assert [i for part in parts for i in range(part.start, part.stop)] == list(range(sets))


def test_stretches_of_days_joined_are_their_days(made: Made, kernel: Kernel, shipped: Any) -> None:
    days = Sweeper(made[0], kernel).run(set_records(kernel, shipped[0], [shipped[0].params()])).days[0]
    whole, parts = Figures(days, CAPITAL), [Figures(days[:5], CAPITAL), Figures(days[5:], CAPITAL)]
    assert Figures.joined(parts).numbers() == whole.numbers()
    assert whole.trades > 0


def test_an_unknown_objective_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigException, match="profit_factor"):
        Request(objective="luck")
