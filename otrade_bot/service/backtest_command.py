"""The ``backtest`` command: files, settings and terminal around ``research.backtest``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from otrade_bot.brokers.feeds import read_any
from otrade_bot.config import Config, ConfigManager, config_dir, environment
from otrade_bot.core.errors import ConfigException, DataException
from otrade_bot.core.model import Product
from otrade_bot.research.backtest import Backtest, Friction, adapted
from otrade_bot.research.backtest_report import report
from otrade_bot.research.backtest_text import text, trades_csv
from otrade_bot.research.data import Market, load_files
from otrade_bot.service.demo_command import progress as compiling
from otrade_bot.service.desk import with_shipped
from otrade_bot.strategies.loader import build_kernel
from otrade_bot.trading.setup import load_strategies, user_strategies

__all__ = ["bar", "friction_of", "run_backtest", "settings_of", "writable", "write"]


def run_backtest(args: argparse.Namespace) -> int:
    """0 after a report, whatever it says."""
    began = time.monotonic()
    writable([args.plot, args.html, args.trades])
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
    config = settings_of(config, market, args)
    strategies = load_strategies(config, folder)
    kernel = build_kernel(with_shipped(strategies).values(), progress=compiling, in_process=True)
    test = Backtest(
        config, market, strategies, kernel, friction_of(config, args),
        [read_any(path) for path in args.history],
    )  # fmt: skip
    started = time.monotonic()
    with bar("Replaying") as show:
        found = test.run(lambda at, of: show(at, of, str(market.days[at - 1])))
    ended = time.monotonic()
    result = report(found)
    _outputs(found, result, args)
    result["wall"] = {
        "seconds": round(time.monotonic() - began, 3), "replay_seconds": round(ended - started, 3),
        "ticks_per_second": round(found.counts["ticks"] / max(ended - started, 1e-9)),
    }  # fmt: skip
    if args.json:
        json.dump(result, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        print(text(result), end="")
    return 0


def settings_of(config: Config, market: Market, args: argparse.Namespace) -> Config:
    return adapted(
        config, market, strategy=args.strategy, timeframe=args.timeframe, params=dict(args.param),
        product=Product(args.product) if args.product else None, capital=args.capital,
        per_position=args.per_position, as_future=args.as_future,
    )  # fmt: skip


def friction_of(config: Config, args: argparse.Namespace) -> Friction:
    """The paper broker's numbers, where the command line has no others."""
    paper = config.brokers.paper
    latency = paper.latency_ms if args.latency_ms is None else args.latency_ms
    slippage = paper.slippage_bps if args.slippage_bps is None else args.slippage_bps
    part = paper.participation if args.participation is None else args.participation
    return Friction(round(latency * 1_000_000), round(slippage * 100), round(part * 1_000_000))


def _outputs(found: Any, result: dict[str, Any], args: argparse.Namespace) -> None:
    """The files that were asked for. Raises DataException where one cannot be written."""
    if args.plot is not None:
        from otrade_bot.research.backtest_plot import picture, png

        write(args.plot, png(picture(found, result)))
    if args.html is not None:
        from otrade_bot.research.backtest_html import page

        write(args.html, page(found, result).encode())
    if args.trades is not None:
        write(args.trades, trades_csv(result).encode())


def writable(paths: list[Path | None]) -> None:
    """Before minutes of work, not after. Raises ConfigException."""
    for path in paths:
        if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
            raise ConfigException("cannot be written", key=str(path), allowed="a file in a folder that exists")


def write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise DataException(f"{path}: cannot be written: {error.strerror}") from None


@contextmanager
def bar(what: str) -> Iterator[Any]:
    """A progress bar on standard error, where that is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda at, of, told: None
        return
    left, told = TimeRemainingColumn(), TextColumn("{task.description}")
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), left, told)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("")
        yield lambda at, of, told: progress.update(task, completed=at, total=of, description=told)
