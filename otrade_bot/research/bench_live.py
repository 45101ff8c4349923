"""The memory of a real ``run``: mode live at Kite, Telegram beside it, prices streaming; everything on 127.0.0.1.

The process is the one a user starts; its clock is put on to shortly before ten, when the session opens. What is left
out of it is TLS, and people.

    python -m otrade_bot.research.bench_live --shares 200 --rate 200 --minutes 5
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from otrade_bot.core.clock import IST
from otrade_bot.core.errors import BrokerException
from otrade_bot.research.bench import Row
from otrade_bot.research.bench_venue import symbols

__all__ = ["Memory", "Run", "live_run", "morning", "rss_run_live"]

EARLY = 25  #: s before the session opens that the process starts
PATIENCE = 400.0  #: s until the first price is decided
STARTED = "first"
#: Tells (ns, monotonic) of the first price that the engine has decided on, then runs on as the command would.
_RUN = """
import os, runpy, sys, time
ahead, time_ns, now = int(sys.argv[1]), time.time_ns, time.time
if ahead:
    time.time_ns, time.time = lambda: time_ns() + ahead * 10**9, lambda: now() + ahead
def watch():
    from otrade_bot.trading.engine import LiveTradingEngine
    taken = {name: getattr(LiveTradingEngine, name) for name in ("on_price", "on_frame")}
    def first(name):
        def took(self, *args, **named):
            done = taken[name](self, *args, **named)
            if self.counters.ticks:
                for each, real in taken.items():
                    setattr(LiveTradingEngine, each, real)
                print("first", time.monotonic_ns(), file=sys.stderr, flush=True)
            return done
        return took
    for name in taken:
        setattr(LiveTradingEngine, name, first(name))
watch()
sys.argv = ["otrade-bot", "run"]
runpy.run_module("otrade_bot", run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True, slots=True)
class Memory:
    """MB of a process at a moment; ``seconds`` since its start."""

    seconds: float
    resident: float
    private: float
    peak: float
    threads: int

    @classmethod
    def of(cls, pid: int, began: float) -> Memory:
        """Raises OSError where there is no such process any more."""
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        private = sum(int(kb) for kb in re.findall(r"Private_\w+:\s+(\d+)", rollup)) / 1024
        rss, peak, threads = (int(re.findall(rf"{name}:\s+(\d+)", status)[0])
                              for name in ("VmRSS", "VmHWM", "Threads"))  # fmt: skip
        return cls(time.monotonic() - began, rss / 1024, private, peak / 1024, threads)


@dataclass(slots=True)
class Run:
    """A service that trades. ``first_s``: from the start of its process to its first price decided."""

    pid: int
    began: float
    first_s: float
    state: Path
    quiet: Callable[[], int]  #: no more prices; how many were sent

    def memory(self) -> Memory:
        return Memory.of(self.pid, self.began)

    def feed_age(self) -> float:
        """Seconds since the newest price, by its own heartbeat; infinite where that does not say."""
        try:
            beat = json.loads((self.state / "heartbeat.json").read_bytes())
        except (OSError, ValueError):
            return math.inf
        age = beat.get("feed_age_s")
        return math.inf if age is None else float(age)


@contextlib.contextmanager
def live_run(
    *, shares: int = 200, rate: int = 200, listed: int = 0, past: int = 0, state: Path | None = None,
    before: str = "",
) -> Iterator[Run]:  # fmt: skip
    """A ``run`` in mode live that has just decided its first price. Raises BrokerException where it never does.

    It starts just before the session, or so many minutes into it (``past``). ``state``: of a run before, which spares
    asking for the days before at the broker's pace, a minute for 200 shares. ``before``: Python that it runs first.
    """
    opens = morning(datetime.now(IST))
    ahead = round((opens - datetime.now(IST)).total_seconds()) + 60 * past - EARLY
    with tempfile.TemporaryDirectory() as name, _venue(shares, rate, listed, ahead) as (where, quiet):
        folder = Path(name)
        _settings(folder / "config", shares, opens)
        began = time.monotonic()
        with (folder / "said").open("wb") as said:
            child = subprocess.Popen(  # noqa: S603 - our own code
                [sys.executable, "-c", before + _RUN, str(ahead)], stdout=subprocess.DEVNULL, stderr=said,
                env={**os.environ, **_environment(folder, state or folder / "state", where)}, cwd=folder,
            )  # fmt: skip
        try:
            first = _first(child, folder / "said", began)
            yield Run(child.pid, began, first, state or folder / "state", quiet)
        finally:
            child.terminate()
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


@contextlib.contextmanager
def _venue(*given: int) -> Iterator[tuple[dict[str, str], Callable[[], int]]]:
    """Where it is, and what makes it stop its prices."""
    command = [sys.executable, "-m", "otrade_bot.research.bench_venue", *map(str, given)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603
        told, asked = child.stdout, child.stdin
        assert told is not None
        assert asked is not None

        def quiet() -> int:
            print("quiet", file=asked, flush=True)
            return int(json.loads(told.readline())["sent"])

        try:
            yield json.loads(told.readline()), quiet
        finally:
            child.kill()


def _first(child: subprocess.Popen[bytes], said: Path, began: float) -> float:
    while time.monotonic() < began + PATIENCE and child.poll() is None:
        found = re.search(r"^first (\d+)$", said.read_text(errors="replace"), re.MULTILINE)
        if found:
            return int(found[1]) / 1e9 - began
        time.sleep(0.02)
    raise BrokerException(f"no price was decided within {PATIENCE:g} s: {said.read_text(errors='replace')[-2000:]}")


def morning(now: datetime) -> datetime:
    """The next ten o'clock that is at least an hour away."""
    day = now + timedelta(hours=15)
    return day.replace(hour=10, minute=0, second=0, microsecond=0)


def _settings(folder: Path, shares: int, opens: datetime) -> None:
    """Half of the shares to each shipped strategy, in a session that lasts until midnight."""
    folder.mkdir()
    names = symbols(shares)
    hours = {"name": "measured", "open": f"{opens:%H:%M}", "close": "23:59"}
    strategies = [
        {"name": "ema_crossover", "instruments": names[::2], "timeframe": "1m"},
        {"name": "momentum_ladder", "instruments": names[1::2], "timeframe": "15m"},
    ]
    documents: dict[str, dict[str, Any]] = {
        "trading.json": {"mode": "live", "strategies": [one for one in strategies if one["instruments"]]},
        "brokers.json": {"primary": "kite", "feed": "kite"},
        "market.json": {"special_days": {str(opens.date()): hours}},
        "telegram.json": {"users": [{"user_id": 7, "chat_id": 7, "role": "admin", "name": "owner"}]},
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document), encoding="utf-8")


def _environment(folder: Path, state: Path, where: dict[str, str]) -> dict[str, str]:
    return {
        "OTRADE_CONFIG_DIR": str(folder / "config"), "OTRADE_STATE_DIR": str(state), "OTRADE_LIVE": "yes",
        "OTRADE_KITE_API_KEY": "benchmark", "OTRADE_KITE_API_SECRET": "benchmark-secret",
        "OTRADE_KITE_ACCESS_TOKEN": "benchmark-token", "OTRADE_KITE_ROOT": where["rest"],
        "OTRADE_KITE_WS_ROOT": where["stream"], "OTRADE_KITE_LOGIN_ROOT": where["rest"],
        "OTRADE_TELEGRAM_TOKEN": "1:nobody", "OTRADE_TELEGRAM_BASE_URL": f"{where['rest']}/bot",
        "OTRADE_TELEGRAM_BASE_FILE_URL": f"{where['rest']}/file/bot",
    }  # fmt: skip


def rss_run_live(*, runs: int = 3, minutes: float = 0.5, shares: int = 200, rate: int = 200) -> list[Row]:
    """Resident memory after so many minutes of prices, and the most it ever was."""
    found = []
    with tempfile.TemporaryDirectory() as state:
        for _ in range(runs):
            with live_run(shares=shares, rate=rate, state=Path(state)) as run:
                time.sleep(60 * minutes)
                found.append(run.memory())
    note = f"mode live, Kite and Telegram on 127.0.0.1, {shares} shares, {rate} prices/s, after {minutes:g} min"
    return [
        Row.of("rss_run_live", "MB", [one.resident for one in found], note),
        Row.of("rss_run_live_peak", "MB", [one.peak for one in found], "the most it was"),
    ]


def main() -> None:
    """One run, told as it goes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    for name, default in (("shares", 200), ("rate", 200), ("listed", 0), ("past", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--state", type=Path, help="folder of a run before")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two lines")
    args = parser.parse_args()
    given = {name: getattr(args, name) for name in ("shares", "rate", "listed", "past", "state")}
    with live_run(**given) as run:
        print(f"first price decided after {run.first_s:.2f} s")
        end = time.monotonic() + 60 * args.minutes
        while time.monotonic() < end:
            time.sleep(min(args.every, max(0.1, end - time.monotonic())))
            now = run.memory()
            print(f"{now.seconds:7.1f} s  resident {now.resident:6.1f}  private {now.private:6.1f}  "
                  f"peak {now.peak:6.1f} MB  {now.threads} threads  newest price {run.feed_age():.1f} s ago",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
