"""10,000 sets of parameters over a year of minute bars: each set a replay of its own with limits, fills and charges."""

from __future__ import annotations

import numpy as np

from otrade_bot.research import bench, bench_growth
from otrade_bot.research.optimize_job import job_of, set_records
from otrade_bot.research.optimize_run import Local, cores
from otrade_bot.research.search import random_sets, space_of
from otrade_bot.strategies.loader import build_kernel

__all__ = ["optimize"]

SETS = 10_000
#: Narrower than the bounds that PARAMS has, so that the sets trade: one that never does costs little.
WANTED = {
    "ema_crossover": ["fast=2:40", "slow=10:120", "stop_percent=0.1:2", "target_percent=0.1:4"],
    "momentum_ladder": ["ema_fast=3:20", "ema_mid=10:40", "ema_slow=20:80", "lookback=5:40"],
}


def optimize(*, sets: int = SETS, runs: int = 1) -> list[bench.Row]:
    """Seconds on all cores, the strategy's own timeframe, one share."""
    return [
        _sweep("optimize_10000x1y", "ema_crossover", "1m", sets, runs),
        _sweep("optimize_10000x1y_momentum_ladder", "momentum_ladder", "15m", sets, runs),
    ]


def _sweep(row: str, name: str, timeframe: str, sets: int, runs: int) -> bench.Row:
    _, shipped = bench.kernel_of()
    kernel = build_kernel(shipped.values(), in_process=True)
    made = bench.replay_of(name, kernel, shipped, timeframe)
    days = list(bench_growth.days(1))
    job = job_of(made.config, kernel, made.rows, shipped, made.calendar, days)
    space = space_of(shipped[name], WANTED[name], {})
    records = set_records(kernel, shipped[name], list(random_sets(space, sets, 1)))
    with Local(kernel, cores()) as local:
        list(local.sweep(job, records[:64], _go_on))  # compiles, if it is not on disk
        found: list[float] = []
        trades = 0
        for _ in range(runs):
            parts: list[int] = []
            found.append(bench.seconds(
                lambda parts=parts: parts.extend(  # type: ignore[misc]
                    int(outcome.days["trades"].sum()) for _, outcome in local.sweep(job, records, _go_on)
                )
            ))  # fmt: skip
            trades = sum(parts)
    bars = sum(len(events) for _, events in days)
    each = 1e9 * float(np.median(found)) * local.workers / (bars * len(records))
    note = (
        f"{len(records):,} sets of {name}, {bars:,} bars, {local.workers} cores; {trades / len(records):.0f} trades a "
        f"set, {each:.3g} ns a bar and core"
    )
    return bench.Row.of(row, "s", found, note)


def _go_on() -> bool:
    return False
