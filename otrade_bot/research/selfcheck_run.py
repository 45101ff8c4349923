"""The self-check as a child process: the question is a folder, a day and strategy files, the answer is the verdict.

A tape names its strategies; where their files are is known by whoever asks, and what a tape says is never run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from otrade_bot.core.errors import DataException, StrategyException, TradingException
from otrade_bot.kernel.compile import Kernel, source_key
from otrade_bot.research.selfcheck import Verdict, check_day
from otrade_bot.research.tape import Header, tapes
from otrade_bot.strategies.loader import TradingStrategy, build_kernel, load_strategy

__all__ = ["MODULE", "kernels", "question_of", "run_check"]

MODULE = "otrade_bot.research.selfcheck_run"
#: Of a day with several million prices; whoever asks waits no longer than this.
CPU_SECONDS, ADDRESS_SPACE = 900, 6_000_000_000


def kernels(files: Mapping[str, Path]) -> Callable[[Header], Kernel | str]:
    """Of a segment's strategies, by name from these files; in words why the one that recorded it is not to be had."""
    built: dict[str, Kernel] = {}

    def kernel_for(header: Header) -> Kernel | str:
        try:
            chosen = [_load(name, files) for name in header.sids]
        except StrategyException as error:
            return str(error)
        key = source_key(one.source for one in chosen)
        if key != header.kernel:
            return f"{header.kernel[:8]}, this is {key[:8]}: a strategy or the program has been changed since"
        if key not in built:
            built[key] = build_kernel(chosen)
        return built[key]

    return kernel_for


def _load(name: str, files: Mapping[str, Path]) -> TradingStrategy:
    if name not in files:
        raise StrategyException("its file is not known here", file=f"strategy {name}")
    return load_strategy(name, files[name].parent)


def run_check(folder: Path, day: date, files: Mapping[str, Path]) -> Verdict:
    """All tapes of a day. Raises DataException."""
    return check_day((path for _, _, path in tapes(folder, day)), kernels(files), day)


def question_of(folder: Path, day: date, files: Mapping[str, Path], cache: str) -> bytes:
    """``cache``: where compiled kernels are kept (OTRADE_CACHE_DIR), '' = the usual place."""
    return orjson.dumps({
        "folder": str(folder.absolute()), "day": day.isoformat(), "cache": cache,
        "files": {name: str(path.absolute()) for name, path in files.items()},
    })  # fmt: skip


def answer(asked: Mapping[str, Any]) -> dict[str, Any]:
    """``words`` besides the verdict's own; ``error`` where there is none."""
    try:
        files = {name: Path(path) for name, path in asked["files"].items()}
        verdict = run_check(Path(asked["folder"]), date.fromisoformat(asked["day"]), files)
    except DataException as error:
        return {"error": f"the tape cannot be read: {error}"}
    except TradingException as error:
        return {"error": str(error)}
    return {**verdict.data(), "words": verdict.words()}


def main() -> None:
    """One question from standard input."""
    asked = orjson.loads(sys.stdin.buffer.read())
    if asked["cache"]:
        os.environ["OTRADE_CACHE_DIR"] = asked["cache"]
    sys.stdout.buffer.write(orjson.dumps(answer(asked)))


if __name__ == "__main__":
    from otrade_bot.research.limits import confine

    confine(CPU_SECONDS, ADDRESS_SPACE)
    main()
