"""The ``optimize`` command: files, settings and terminal around ``research.optimize``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event
from typing import Any

from otrade_bot.brokers.feeds import read_any
from otrade_bot.config import ConfigManager, config_dir, environment
from otrade_bot.core.errors import ConfigException
from otrade_bot.research.backtest import Backtest
from otrade_bot.research.data import load_files
from otrade_bot.research.optimize import Found, Request, Search
from otrade_bot.research.optimize_job import job_of_backtest
from otrade_bot.research.optimize_report import render, report, trials_csv
from otrade_bot.research.optimize_run import Local, cores
from otrade_bot.research.optimize_windows import windows_of
from otrade_bot.research.search import example, space_of
from otrade_bot.service.backtest_command import bar, friction_of, settings_of, writable, write
from otrade_bot.service.demo_command import progress as compiling
from otrade_bot.service.desk import with_shipped
from otrade_bot.strategies.loader import build_kernel
from otrade_bot.trading.setup import load_strategies, user_strategies

__all__ = ["run_optimize"]

INTERRUPTED = 130


def run_optimize(args: argparse.Namespace) -> int:
    """0 after a whole search, 130 after one that was interrupted: what is known by then is told all the same."""
    began = time.monotonic()
    writable([args.heatmap, args.csv])
    search, runner = _prepared(args)
    started = time.monotonic()
    with runner, _interruptible() as stop, bar("Searching") as show:
        found = search(runner).run(stop, lambda at, of: show(at, of, ""))
    result = report(found)
    result["wall"] = {"seconds": round(time.monotonic() - began, 3),
                      "search_seconds": round(time.monotonic() - started, 3), "workers": runner.workers}  # fmt: skip
    _outputs(found, args)
    if args.json:
        json.dump(result, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        print(render(found), end="")
    return 0 if found.complete else INTERRUPTED


def _prepared(args: argparse.Namespace) -> tuple[Any, Any]:
    """Everything that can be wrong is found here, before minutes of work: a maker of the search, and who computes."""
    manager = ConfigManager(config_dir(), environment())
    config = manager.load(create=False)
    folder = args.strategies or user_strategies(config, manager.config_dir)
    if folder is not None and not folder.is_dir():
        raise ConfigException("no such folder", key="--strategies", value=str(folder))
    with bar("Reading") as show:
        market = load_files(
            args.files, calendar=config.calendar, label=args.label, all_days=args.all_days,
            progress=lambda what, at, of: show(at, of, what),
        ).between(args.start, args.end)  # fmt: skip
    adapted = settings_of(config, market, args)
    strategies = load_strategies(adapted, folder)
    given = adapted.trading.strategies[0]
    space = space_of(strategies[given.name], args.grid, _fixed(args, given.params))
    request = Request(
        method=args.search, trials=args.trials, objective=args.objective, seed=args.seed, min_trades=args.min_trades,
        windows=windows_of(len(market.days), args.walk_forward, args.train, args.test, anchored=args.anchored),
    )  # fmt: skip
    if args.heatmap is not None:
        from otrade_bot.research.optimize_heatmap import axes_of

        axes_of([d.name for d in space.dimensions], args.heatmap_axes)
    args.param = list(example(space).model_dump().items())
    config = settings_of(config, market, args)
    known = with_shipped(strategies)
    kernel = build_kernel(known.values(), progress=compiling, in_process=True)
    test = Backtest(
        config, market, strategies, kernel, friction_of(config, args), [read_any(path) for path in args.history]
    )  # fmt: skip
    job = job_of_backtest(test, dict(known))
    capital = config.risk.total_capital * 100
    return lambda runner: Search(job, kernel, space, request, capital, runner), _runner(args, kernel)


def _fixed(args: argparse.Namespace, given: Mapping[str, Any]) -> dict[str, Any]:
    """What is not searched: --param, and of the settings what --grid does not name. Without --grid all is searched
    that --param does not fix."""
    asked = dict(args.param)
    if not args.grid:
        return asked
    named = {word.partition("=")[0].strip() for word in args.grid}
    return {name: value for name, value in given.items() if name in asked or name not in named}


def _runner(args: argparse.Namespace, kernel: Any) -> Any:
    if args.cluster is None:
        return Local(kernel, args.jobs or cores())
    from otrade_bot.research.cluster import Cluster

    return Cluster(args.cluster)


@contextmanager
def _interruptible() -> Iterator[Any]:
    """Ctrl-C asks the search to stop and tell what it knows; a second one ends the process."""
    asked = Event()

    def ask(*_: object) -> None:
        asked.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("\nstopping; Ctrl-C again ends at once", file=sys.stderr)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _outputs(found: Found, args: argparse.Namespace) -> None:
    """The files that were asked for. Raises DataException where one cannot be written."""
    if args.csv is not None:
        write(args.csv, trials_csv(found).encode())
    if args.heatmap is not None:
        from otrade_bot.research.optimize_heatmap import axes_of, heatmap

        across, up = axes_of([d.name for d in found.space.dimensions], args.heatmap_axes)
        write(args.heatmap, heatmap(found, across, up, args.heatmap_others))
