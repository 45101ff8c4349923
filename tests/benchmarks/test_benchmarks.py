"""The figures of ``otrade-bot bench`` under pytest-benchmark: ``pytest tests/benchmarks``. No time is asserted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otrade_bot.config import ConfigManager
from otrade_bot.research import bench
from otrade_bot.service.journal import DayJournal

Benchmark = Callable[..., Any]


def test_configuration_load(benchmark: Benchmark, tmp_path: Path) -> None:
    manager = ConfigManager(tmp_path)
    manager.load()
    benchmark(manager.reload)


def test_one_step_from_python(benchmark: Benchmark) -> None:
    kernel, shipped = bench.kernel_of()
    run = bench.replay_of("ema_crossover", kernel, shipped).start()
    run.day(bench.DAY, bench.ticks(2_000))
    ts, volume = 10**18 * 2, 10**15

    def one() -> None:
        kernel.tick_one(run.state, run.account, run.params, 0, ts, 100_000, volume, run.event, run.out)

    benchmark(one)


@pytest.mark.parametrize("name", ["ema_crossover", "momentum_ladder"])
def test_replay_with_limits_and_charges(benchmark: Any, name: str) -> None:
    kernel, shipped = bench.kernel_of()
    made, events = bench.replay_of(name, kernel, shipped), bench.ticks(bench.TICKS)
    runs: list[Any] = []

    def day() -> None:
        runs.append(made.start())
        runs[-1].day(bench.DAY, events)

    benchmark.pedantic(day, rounds=7, warmup_rounds=1)
    trades = int(runs[-1].tally[0]["trades"])
    benchmark.extra_info["trades per 1,000 ticks"] = 1000 * trades / len(events)
    assert trades >= len(events) / 1000


@pytest.mark.parametrize(
    "figure",
    [
        lambda: bench.signal_to_paper_order(DayJournal),
        lambda: bench.signal_to_socket(DayJournal),
        lambda: [bench.import_time()],
        bench.start_to_first_decision,
        lambda: [bench.version_command()],
        bench.rss,
        bench.rss_parts,
    ],
    ids=[
        "signal_to_paper_order", "signal_to_socket", "import", "start_to_first_decision", "version_command", "rss",
        "rss_parts",
    ],
)  # fmt: skip
def test_whole_figures(benchmark: Any, figure: Callable[[], list[bench.Row]]) -> None:
    """These take their own samples: the table's time is that of the whole measurement, the figure is printed."""
    rows = benchmark.pedantic(figure, rounds=1)
    for row in rows:
        benchmark.extra_info[row.name] = row.as_json()
    print("\n" + bench.render(rows))
