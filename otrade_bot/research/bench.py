"""What this machine does with this code: each figure a median with its spread, over several runs.

The measuring functions are shared with ``tests/benchmarks``. Nothing here asserts a time.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from otrade_bot.brokers.feeds import TickFile
from otrade_bot.brokers.instruments import InstrumentStore
from otrade_bot.brokers.paper import PaperBroker, PaperSettings
from otrade_bot.config import Config, ConfigManager, RiskConfig, StrategyConfig, TradingConfig
from otrade_bot.config.models import BrokerConfig, ChargesConfig, MarketConfig, TelegramConfig
from otrade_bot.core.clock import ManualClock, at_ist
from otrade_bot.core.ports import NullJournal
from otrade_bot.kernel.compile import Kernel
from otrade_bot.research.replay import Replay, tick_events
from otrade_bot.strategies.loader import TradingStrategy, build_kernel, load_strategy
from otrade_bot.trading import setup
from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["Row", "machine", "measure", "render"]

DAY = date(2021, 6, 1)
SYMBOL = "NSE:BENCH"
TICKS = 400_000
#: Narrow brackets, so that there is at least one trade per 1,000 ticks.
BUSY = {
    "ema_crossover": {"fast": 3, "slow": 8, "stop_percent": 0.1, "target_percent": 0.1},
    "momentum_ladder": {
        "ema_fast": 2, "ema_mid": 3, "ema_slow": 4, "ema_trend": 5, "lookback": 2,
        "stop_percent": 0.1, "target_percent": 0.1, "stop2_percent": 0.1, "stop3_percent": 0.1,
        "add2_percent": 0.01, "add3_percent": 0.02,
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    unit: str
    median: float
    low: float
    high: float
    note: str = ""

    @classmethod
    def of(cls, name: str, unit: str, samples: Iterable[float], note: str = "") -> Row:
        found = sorted(samples)
        return cls(name, unit, statistics.median(found), found[0], found[-1], note)

    def as_json(self) -> dict[str, Any]:
        numbers = {key: float(f"{getattr(self, key):.4g}") for key in ("median", "low", "high")}
        return {"name": self.name, "unit": self.unit, **numbers, "peers": {}, "note": self.note}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpu": _cpu(), "cores": os.cpu_count(), "memory_gb": _memory(), "system": platform.platform(),
        "python": platform.python_version(), "numba": version("numba"), "numpy": version("numpy"),
    }  # fmt: skip


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _memory() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)


def measure(say: Callable[[str], None] = lambda name: None) -> list[Row]:
    """Every figure, in well under a minute."""
    rows: list[Row] = []
    for name, job in _JOBS.items():
        say(name)
        rows.append(job())
    return rows


def render(rows: Iterable[Row]) -> str:
    """The table for a terminal."""
    lines = [f"{'what':<26} {'unit':<8} {'median':>12} {'low':>12} {'high':>12}  note"]
    lines += [f"{r.name:<26} {r.unit:<8} {r.median:>12,.4g} {r.low:>12,.4g} {r.high:>12,.4g}  {r.note}" for r in rows]
    return "\n".join(lines)


# --- what is measured -------------------------------------------------------------------------------


def config_load() -> Row:
    """All six settings files, read and validated."""
    with tempfile.TemporaryDirectory() as folder:
        manager = ConfigManager(folder)
        manager.load()
        return Row.of("config_load", "ms", (1e3 * seconds(manager.reload) for _ in range(100)), "six files")


def step() -> Row:
    """One accepted tick through the compiled kernel, called from Python."""
    kernel, shipped = kernel_of()
    run = replay_of("ema_crossover", kernel, shipped).start()
    events = ticks(2_000)
    run.day(DAY, events)
    args = (run.state, run.account, run.params, 0)
    last, volume = int(events["ts"][-1]), int(events["qty"][-1])
    count = 20_000

    def calls() -> None:
        one = kernel.tick_one
        for i in range(count):
            one(*args, last + i, 100_000, volume + i, run.event, run.out)

    return Row.of("step", "ns", (1e9 * seconds(calls) / count for _ in range(9)), "one tick, call included")


def replay(name: str) -> Row:
    """A recorded walk through kernel, limits, fills and charges in one compiled call."""
    kernel, shipped = kernel_of()
    made, events = replay_of(name, kernel, shipped), ticks(TICKS)
    made.start().day(DAY, events[:1000])
    samples, trades = [], 0
    for _ in range(7):
        run = made.start()
        samples.append(len(events) / seconds(lambda run=run: run.day(DAY, events)))  # type: ignore[misc]
        trades = int(run.tally[0]["trades"])
    return Row.of(f"replay_{name}", "ticks/s", samples, f"{1000 * trades / len(events):.2f} trades per 1,000 ticks")


def signal_to_paper_order() -> Row:
    """From the price that signals to the entry filled and its stop in the paper book, on disk."""
    samples: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        engine, clock, broker = paper_engine(Path(folder))
        events = ticks(40_000)
        columns = (events[name].tolist() for name in ("ts", "price", "qty"))
        for ts, price, volume in zip(*columns, strict=True):
            clock.advance_to(ts)
            signals = engine.counters.signals
            began = time.perf_counter()
            engine.on_price(0, ts, price, volume)
            if engine.counters.signals > signals:
                samples.append(1e6 * (time.perf_counter() - began))
            if len(samples) == 40:
                break
        broker.close()
    return Row.of("signal_to_paper_order", "µs", samples, "entry, fill and stop; every line synced to disk")


def version_command() -> Row:
    """The smallest command, as a process."""
    return Row.of("version_command", "s", (_process("-m", "otrade_bot", "version") for _ in range(5)))


def import_time() -> Row:
    """Everything that a paper day imports."""
    return Row.of("import", "s", (_process("-c", "import otrade_bot.service.demo") for _ in range(3)))


def start_to_first_decision() -> Row:
    """From the start of the process to the first price decided, the kernel read from disk."""
    kernel_of()
    return Row.of("start_to_first_decision", "s", (_process("-c", _FIRST) for _ in range(3)), "warm")


def rss_demo() -> Row:
    """Resident memory of a process at the end of a day on paper (compiled in process: numba stays in it)."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", _WHOLE], check=True, capture_output=True, text=True,
            env={**os.environ, "OTRADE_STATE_DIR": folder},
        )  # fmt: skip
    return Row.of("rss_demo", "MB", [float(done.stdout.split()[-1])], "peak, whole synthetic day")


_JOBS: dict[str, Callable[[], Row]] = {
    "config_load": config_load,
    "step": step,
    "replay_ema_crossover": lambda: replay("ema_crossover"),
    "replay_momentum_ladder": lambda: replay("momentum_ladder"),
    "signal_to_paper_order": signal_to_paper_order,
    "version_command": version_command,
    "import": import_time,
    "start_to_first_decision": start_to_first_decision,
    "rss_demo": rss_demo,
}

_FIRST = """
import tempfile
from pathlib import Path
from otrade_bot.research.bench import paper_engine, ticks
with tempfile.TemporaryDirectory() as folder:
    engine, clock, broker = paper_engine(Path(folder))
    first = ticks(1)[0]
    clock.advance_to(int(first["ts"]))
    assert engine.on_price(0, int(first["ts"]), int(first["price"]), int(first["qty"]))
    broker.close()
"""
_WHOLE = """
import contextlib, io, resource
from otrade_bot.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    assert main(["demo", "--speed", "max", "--no-input"]) == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


# --- what it is measured on ---------------------------------------------------------------------------


def seconds(job: Callable[[], object]) -> float:
    began = time.perf_counter()
    job()
    return time.perf_counter() - began


def _process(*arguments: str) -> float:
    def run() -> None:
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own code

    return seconds(run)


def kernel_of() -> tuple[Kernel, dict[str, TradingStrategy]]:
    """The kernel of both shipped strategies, as the demo loads it."""
    shipped = {name: load_strategy(name) for name in ("ema_crossover", "momentum_ladder")}
    return build_kernel(shipped.values()), shipped


def ticks(count: int) -> Any:
    """A random walk of ``count`` prices over a trading day, with a volume that never binds."""
    rng = np.random.Generator(np.random.PCG64(7))
    price = 100_000 + 5 * np.cumsum(rng.integers(-4, 5, count))
    start, end = at_ist(DAY, 9, 15), at_ist(DAY, 15, 0)
    ts = start + np.arange(count, dtype=np.int64) * ((end - start) // count)
    volume = 10_000 * np.arange(1, count + 1, dtype=np.int64)
    file = TickFile(SYMBOL, "a random walk", ts, np.maximum(price, 10_000), volume, count, {})
    return tick_events([file], [0])


def config_of(name: str) -> Config:
    """Limits wide open: what is measured is the work, not the waiting."""
    trading = TradingConfig(
        strategies=(
            StrategyConfig(name=name, instruments=(SYMBOL,), timeframe="tick", params={**BUSY[name]}),
        )
    )
    risk = RiskConfig(
        cooldown_seconds=0, max_trades_per_day=0, daily_loss_limit=0, spike_percent=0, reject_cooldown_seconds=1
    )
    return Config(trading, risk, BrokerConfig(), MarketConfig(), ChargesConfig(), TelegramConfig())


def replay_of(name: str, kernel: Kernel, shipped: dict[str, TradingStrategy]) -> Replay:
    config = config_of(name)
    rows = setup.build_rows(config, shipped, InstrumentStore(DAY).get)
    return Replay(config, kernel, rows, shipped, config.calendar)


def paper_engine(folder: Path) -> tuple[LiveTradingEngine, ManualClock, PaperBroker]:
    """An engine on the paper broker, at the open of the day."""
    kernel, shipped = kernel_of()
    config, store = config_of("ema_crossover"), InstrumentStore(DAY)
    clock = ManualClock(at_ist(DAY, 9))
    holder: list[LiveTradingEngine] = []
    broker = PaperBroker(
        folder / "paper.jsonl", clock, store.get,
        lambda known, kind, ns: holder[0].market_fault(known, kind, ns), PaperSettings(),
    )  # fmt: skip
    engine = LiveTradingEngine(
        config=config, kernel=kernel, rows=setup.build_rows(config, shipped, store.get), strategies=shipped,
        broker=broker, clock=clock, calendar=config.calendar, journal=NullJournal(),
    )  # fmt: skip
    holder.append(engine)
    engine.add_price_listener(broker.on_price)
    broker.start_day(DAY)
    engine.start_day(DAY)
    return engine, clock, broker
