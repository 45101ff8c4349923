"""``otrade-bot report --tape``: a recorded day once more, by hand."""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path

import orjson

from otrade_bot.config import ConfigManager, config_dir, environment, state_dir
from otrade_bot.core.errors import DataException
from otrade_bot.research.selfcheck import Verdict
from otrade_bot.research.selfcheck_run import run_check
from otrade_bot.research.tape import tape_folder, tapes
from otrade_bot.service.desk import with_shipped
from otrade_bot.service.tapes import strategy_files
from otrade_bot.trading.setup import load_strategies, user_strategies

__all__ = ["run_selfcheck"]


def run_selfcheck(args: argparse.Namespace) -> int:
    """0 where everything came out the same, 1 where something differs or nothing could be compared. Raises
    DataException and ConfigException."""
    folder, day = _which(args.day)
    manager = ConfigManager(config_dir(), environment())
    config = manager.load()
    files = strategy_files(with_shipped(load_strategies(config, user_strategies(config, manager.config_dir))))
    verdict = run_check(folder, day, files)
    if args.json:
        sys.stdout.write(orjson.dumps({**verdict.data(), "words": verdict.words()}).decode() + "\n")
    else:
        print(_told(verdict))
    return 0 if verdict.well else 1


def _which(day: date | None) -> tuple[Path, date]:
    """The folder that has tapes of that day; the newest day where none is named."""
    for state in (state_dir(), state_dir() / "rehearsal"):
        known = [of for of, _, _ in tapes(tape_folder(state))]
        if known and (day is None or day in known):
            return tape_folder(state), day or known[-1]
    raise DataException(f"no tape{f' of {day}' if day else ''} in {tape_folder(state_dir())}")


def _told(verdict: Verdict) -> str:
    lines = [
        f"{verdict.day}: {verdict.compared} of {verdict.segments} segments replayed, {verdict.ticks:,} prices, "
        f"{verdict.intents:,} intents and {verdict.marks:,} marks compared",
        verdict.words(),
    ]
    if verdict.dropped:
        lines.append(f"a flush that was cut off was left out: {verdict.dropped} bytes")
    return "\n".join(lines)
