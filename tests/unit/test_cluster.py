"""The same sweep on a real Dask cluster: the local result bit for bit, also where a worker dies in the middle."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from optimize_room import made_up_job

from otrade_bot.core.errors import ConfigException, KernelException
from otrade_bot.kernel.compile import Kernel
from otrade_bot.research import cluster
from otrade_bot.research.cluster import Cluster, difference, fingerprint
from otrade_bot.research.optimize import Found, Request, Search
from otrade_bot.research.optimize_job import Job
from otrade_bot.research.optimize_run import Local
from otrade_bot.research.optimize_windows import windows_of
from otrade_bot.research.search import space_of
from otrade_bot.strategies.loader import TradingStrategy

WORDS = ["fast=2:21:1", "slow=22:41:1"]


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory, kernel: Kernel) -> Iterator[Any]:
    """Two worker processes on this machine; none of them is left afterwards."""
    from distributed import LocalCluster

    before = set(psutil.Process().children(recursive=True))
    make: Any = LocalCluster
    with make(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0",
        worker_dashboard_address=None, local_directory=str(tmp_path_factory.mktemp("dask")), silence_logs=50,
    ) as made:  # fmt: skip
        yield made
    left = set(psutil.Process().children(recursive=True)) - before
    _gone, alive = psutil.wait_procs([p for p in left if "resource_tracker" not in " ".join(_line(p))], timeout=10)
    assert not alive


def _line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


@pytest.fixture(scope="module")
def job(kernel: Kernel, shipped: tuple[TradingStrategy, ...]) -> Job:
    return made_up_job(kernel, shipped, "ema_crossover", "1m", 6)[0]


def never() -> bool:
    return False


def searched(job: Job, kernel: Kernel, strategy: TradingStrategy, runner: Any, tell: Any = None, **asked: Any) -> Found:
    request = Request(windows=windows_of(6, 1), min_trades=1, **asked)
    return Search(job, kernel, space_of(strategy, WORDS, {}), request, 50_000_00, runner).run(never, tell)


def told(found: Found) -> Any:
    return found.trials, found.ranked, [(p.values, p.test and p.test.numbers()) for p in found.picked], found.verdict


def test_a_cluster_comes_to_the_local_result_though_a_worker_is_killed(
    workers: Any, job: Job, kernel: Kernel, shipped: tuple[TradingStrategy, ...]
) -> None:
    with Local(kernel, 2) as runner:
        here = searched(job, kernel, shipped[0], runner)
    killed: list[int] = []

    def tell(done: int, wanted: int) -> None:
        if done and not killed:
            victim = next(iter(workers.workers.values())).pid
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

    with Cluster(workers.scheduler_address) as runner:
        assert runner.workers == 2
        there = searched(job, kernel, shipped[0], runner, tell)
    assert killed
    assert len(here.trials) == 400
    assert there.complete
    assert told(there) == told(here)
    assert here.ranked


def test_tpe_asks_a_cluster_for_the_same_sets(
    workers: Any, job: Job, kernel: Kernel, shipped: tuple[TradingStrategy, ...]
) -> None:
    asked = {"method": "tpe", "trials": 40}
    with Local(kernel, 1) as runner:
        here = searched(job, kernel, shipped[0], runner, **asked)
    with Cluster(workers.scheduler_address) as runner:
        there = searched(job, kernel, shipped[0], runner, **asked)
    assert told(there) == told(here)


def test_a_worker_that_runs_something_else_is_an_error_that_names_it(
    workers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = {**fingerprint(), "numba": "0.1"}
    monkeypatch.setattr(cluster, "fingerprint", lambda: ours)
    with pytest.raises(KernelException, match=r"worker tcp://127\.0\.0\.1:\d+ .* numba [\d.]+ instead of 0\.1"):
        Cluster(workers.scheduler_address)


def test_a_worker_that_came_later_checks_itself(
    workers: Any, job: Job, kernel: Kernel, shipped: tuple[TradingStrategy, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Cluster(workers.scheduler_address) as runner:
        monkeypatch.setattr(cluster, "fingerprint", lambda: {**fingerprint(), "kernel": "another"})
        with pytest.raises(KernelException, match="instead of another: install the same there"):
            searched(job, kernel, shipped[0], runner)


def test_a_strategys_own_failure_comes_back_with_its_set(
    workers: Any, kernel: Kernel, shipped: tuple[TradingStrategy, ...]
) -> None:
    from otrade_bot.research.optimize_job import set_records

    ladder = made_up_job(kernel, shipped, "momentum_ladder", "1m", 2)[0]
    records = set_records(kernel, shipped[1], [shipped[1].params()] * 3)
    records["lookback"][1] = 74
    with Cluster(workers.scheduler_address) as runner:
        answers = list(runner.sweep(ladder, records, never))
    assert [why for _, outcome in answers for why in outcome.faults.values()]


def test_no_cluster_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT", 0.3)
    for address in ("tcp://127.0.0.1:1", "nonsense:::"):
        with pytest.raises(ConfigException, match=r"no scheduler answers.*allowed: tcp://HOST:PORT"):
            Cluster(address)


def test_the_difference_is_told_by_name() -> None:
    assert difference(fingerprint(), fingerprint()) == ""
    assert difference({}, {"kernel": "a"}) == "kernel unknown instead of a"
