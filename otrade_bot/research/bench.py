"""What this machine does with this code: each figure a median with its spread, over several runs.

The measuring functions are shared with ``tests/benchmarks``. Nothing here asserts a time.
"""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
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
from otrade_bot.core.clock import SECOND, Clock, ManualClock, at_ist
from otrade_bot.core.ports import Journal
from otrade_bot.kernel.compile import Kernel
from otrade_bot.research.replay import Replay, tick_events
from otrade_bot.strategies.loader import TradingStrategy, build_kernel, load_strategy
from otrade_bot.trading import setup
from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["JournalOf", "Row", "machine", "measure", "render"]

DAY = date(2021, 6, 1)
SYMBOL = "NSE:BENCH"
TICKS = 1_000_000
#: Opens a journal in a folder. Given by the caller: the real one belongs to the service, which is above us.
JournalOf = Callable[[Path, Clock], Journal]
#: The shipped averages with brackets narrow enough for one to two trades per 1,000 ticks of ``ticks``.
STEADY = {
    "ema_crossover": {"stop_percent": 0.3, "target_percent": 0.3},
    "momentum_ladder": {
        "stop_percent": 0.4, "target_percent": 0.4, "stop2_percent": 0.4, "stop3_percent": 0.4,
        "add2_percent": 0.08, "add3_percent": 0.16,
    },
}  # fmt: skip
#: Short averages and narrow brackets, for ten times as many: how cost grows with trades.
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
    peers: Mapping[str, float] = field(default_factory=dict)  #: the same work by others, medians in the same unit

    @classmethod
    def of(cls, name: str, unit: str, samples: Iterable[float], note: str = "") -> Row:
        found = sorted(samples)
        return cls(name, unit, statistics.median(found), found[0], found[-1], note)

    def as_json(self) -> dict[str, Any]:
        numbers = {key: float(f"{getattr(self, key):.4g}") for key in ("median", "low", "high")}
        peers = {name: float(f"{value:.4g}") for name, value in self.peers.items()}
        return {"name": self.name, "unit": self.unit, **numbers, "peers": peers, "note": self.note}


def with_peers(row: Row, peers: Mapping[str, float]) -> Row:
    """The row beside what others need for the same work."""
    return replace(row, peers=dict(peers))


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpu": _cpu(), "cores": os.cpu_count(), "memory_gb": _memory(), "system": platform.platform(),
        "python": platform.python_version(), "numba": version("numba"), "numpy": version("numpy"),
        "load": round(os.getloadavg()[0], 2),
    }  # fmt: skip


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _memory() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)


def measure(journal: JournalOf, say: Callable[[str], None] = lambda name: None) -> list[Row]:
    """Every figure, in well under a minute where the kernel is on disk already."""
    rows: list[Row] = []
    for name, job in _jobs(journal).items():
        say(name)
        rows += job()
    return rows


def render(rows: Iterable[Row]) -> str:
    """The table for a terminal, each peer in a line below the row it is compared with."""
    lines = [f"{'what':<28} {'unit':<8} {'median':>12} {'low':>12} {'high':>12}  note"]
    for r in rows:
        lines.append(f"{r.name:<28} {r.unit:<8} {r.median:>12,.4g} {r.low:>12,.4g} {r.high:>12,.4g}  {r.note}")
        lines += [f"  {name:<26} {r.unit:<8} {value:>12,.4g}   {_against(r, value)}" for name, value in r.peers.items()]
    return "\n".join(lines)


def _against(row: Row, peer: float) -> str:
    """How much better or worse a peer is: of rates more is better, of all else less."""
    ratio = row.median / peer if row.unit.endswith("/s") else peer / row.median
    return f"we are {ratio:,.3g} times better" if ratio >= 1 else f"it is {1 / ratio:,.3g} times better"


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


def replay(name: str, timeframe: str = "tick", *, busy: bool = False) -> Row:
    """A random walk through kernel, limits, fills and charges in one compiled call, one core."""
    kernel, shipped = kernel_of(in_process=True)  # as backtests and sweeps load it
    params = (BUSY if busy else STEADY)[name]
    made, events = replay_of(name, kernel, shipped, timeframe, params), ticks(TICKS)
    made.start().day(DAY, events[:1000])
    samples, trades = [], 0
    for _ in range(9):
        run = made.start()
        samples.append(len(events) / seconds(lambda run=run: run.day(DAY, events)))  # type: ignore[misc]
        trades = int(run.tally[0]["trades"])
    label = "_".join(["replay", name, *(["busy"] if busy else []), *([timeframe] if timeframe != "tick" else [])])
    return Row.of(label, "ticks/s", samples, f"{1000 * trades / len(events):.2f} trades per 1,000 ticks")


def _replays(name: str, timeframe: str) -> list[Row]:
    """One strategy: on ticks with few and with many trades, and on bars of ticks, where there are hardly any."""
    return [replay(name), replay(name, busy=True), replay(name, timeframe, busy=True)]


def signal_to_paper_order(journal: JournalOf) -> list[Row]:
    """From the price that signals to the order accepted in the paper book, and how much of it is the disk.

    The exchange answers half a second later, so neither the fill nor the stop is in the figure.
    """
    samples, disk, syncs = [], [], []
    with tempfile.TemporaryDirectory() as folder, disk_time() as spent:
        engine, clock, broker = paper_engine(Path(folder), journal)
        events = ticks(40_000)
        for ts, price, volume in zip(*(events[n].tolist() for n in ("ts", "price", "qty")), strict=True):
            clock.advance_to(ts)
            before = engine.counters.signals, len(broker.book.orders)
            spent.clear()
            took = seconds(lambda: engine.on_price(0, ts, price, volume))  # noqa: B023 - called at once
            if engine.counters.signals > before[0] and len(broker.book.orders) > before[1]:
                samples.append(1e6 * took)
                disk.append(1e6 * sum(spent))
                syncs.append(len(spent))
            if len(samples) == 200:
                break
        broker.close()
    return [
        Row.of("signal_to_paper_order", "µs", samples, f"{statistics.median(syncs):g} waits for the disk"),
        Row.of("signal_to_paper_order_disk", "µs", disk, "of it, waiting for the disk"),
        Row.of("signal_to_paper_order_own", "µs", map(float.__sub__, samples, disk), "of it, our own work"),
    ]


def signal_to_socket(journal: JournalOf) -> list[Row]:
    """The same on live: to the first byte of the order at the broker's end, through the broker's own client."""
    from otrade_bot.research import bench_socket  # brings the brokers in

    return bench_socket.signal_to_socket(journal)


def frames() -> list[Row]:
    """Kite's frames from bytes to decisions."""
    from otrade_bot.research import bench_frames

    return bench_frames.frames()


def growth() -> list[Row]:
    """How cost grows with instruments and with years."""
    from otrade_bot.research import bench_growth

    by_number = [bench_growth.instruments(count) for count in bench_growth.INSTRUMENTS]
    return [*by_number, *(bench_growth.years(count) for count in bench_growth.YEARS)]


def optimize() -> list[Row]:
    """A search over a year."""
    from otrade_bot.research import bench_optimize

    return bench_optimize.optimize()


def rss_live() -> list[Row]:
    """A live service at Kite, with a phone, all day's machinery and 200 shares."""
    from otrade_bot.research import bench_live

    return bench_live.rss_run_live()


def equal_work() -> list[Row]:
    """The same trades on the same prices, by us and by the libraries that are installed."""
    from otrade_bot.research import bench_imports, bench_indicators, bench_peers

    return [bench_peers.equal_work(), bench_indicators.ema_update(), *bench_imports.imports()]


def command_to_answer(journal: JournalOf) -> list[Row]:
    """From a command on the phone to its answer, with the engine at work."""
    from otrade_bot.research import bench_phone  # brings the phone in

    return bench_phone.command_to_answer(journal)


@contextlib.contextmanager
def disk_time() -> Iterator[list[float]]:
    """The seconds of every wait for the disk, while this lasts."""
    spent: list[float] = []
    real = os.fdatasync

    def timed(fd: int) -> None:
        spent.append(seconds(lambda: real(fd)))

    os.fdatasync = timed  # type: ignore[assignment]
    try:
        yield spent
    finally:
        os.fdatasync = real


def version_command() -> Row:
    """The smallest command, as a process."""
    return Row.of("version_command", "s", [seconds(lambda: child(_MAIN, "version")) for _ in range(7)], "a process")


def import_time() -> Row:
    """Everything that a paper day imports, the interpreter's own start taken off."""
    samples = [float(child(_IMPORT)) for _ in range(5)]
    return Row.of("import", "s", samples, "all that a paper day needs")


def start_to_first_decision() -> list[Row]:
    """From the start of the process to its first price decided, the kernel read from disk: the service with
    a phone that cannot be reached, warmed up on its days of history, and the demo."""
    kernel_of()

    def once(*command: str) -> float:
        began = time.monotonic_ns()
        return (int(child(_FIRST, *command)) - began) / SECOND

    run = ("run", "--rehearse", "2026-09-16T09:20:00", "--speed", "60")  # the market's own pause is not ours
    once(*run), once("demo", "--speed", "60", "--no-input")  # what is compiled once, by Python too, is on disk now
    return [
        Row.of("start_to_first_decision", "s", [once(*run) for _ in range(5)], "run, kernel on disk"),
        Row.of("start_demo", "s", [once("demo", "--speed", "60", "--no-input") for _ in range(5)], "demo, the same"),
    ]


def rss() -> list[Row]:
    """Resident memory at the end of a day, and the most it ever was: the service with a phone, and the demo."""
    run = ("run", "--rehearse", "2026-09-16T14:30:00", "--speed", "3000")
    rows: list[Row] = []
    for name, command in (("rss_run_paper", run), ("rss_demo", ("demo", "--speed", "max", "--no-input"))):
        found = [child(_WHOLE, *command).split() for _ in range(3)]
        end, peak = ([int(pair[i]) / 1024 for pair in found] for i in (0, 1))
        rows += [
            Row.of(name, "MB", end, "after the day"),
            Row.of(f"{name}_peak", "MB", peak, "the most it was"),
        ]
    return rows


def rss_parts() -> list[Row]:
    """What the service's memory goes to: what each part adds, loaded one after the other in one process."""
    runs = [[float(part) for part in child(_PARTS, *_LOADED.values()).split()] for _ in range(3)]
    return [
        Row.of(f"rss_part_{name}", "MB", [run[i] for run in runs], "added by it")
        for i, name in enumerate(("interpreter", *_LOADED))
    ]


def _jobs(journal: JournalOf) -> dict[str, Callable[[], list[Row]]]:
    return {
        "config_load": lambda: [config_load()],
        "step": lambda: [step()],
        "replay_ema_crossover": lambda: _replays("ema_crossover", "1m"),
        "replay_momentum_ladder": lambda: _replays("momentum_ladder", "15m"),
        "frames": frames,
        "growth": growth,
        "optimize_10000x1y": optimize,
        "equal_work": equal_work,
        "signal_to_paper_order": lambda: signal_to_paper_order(journal),
        "signal_to_socket": lambda: signal_to_socket(journal),
        "command_to_answer": lambda: command_to_answer(journal),
        "version_command": lambda: [version_command()],
        "import": lambda: [import_time()],
        "start_to_first_decision": start_to_first_decision,
        "rss": rss,
        "rss_run_live": rss_live,
        "rss_parts": rss_parts,
    }


# What a child runs: the whole command as a user starts it. Figures go to standard error.
_MAIN = """
import runpy
runpy.run_module("otrade_bot", run_name="__main__", alter_sys=True)
"""
_IMPORT = """
import sys, time
began = time.perf_counter()
import otrade_bot.service.demo_command
print(time.perf_counter() - began, file=sys.stderr)
"""
_FIRST = """
import os, sys, time
from otrade_bot.trading.engine import LiveTradingEngine
decide = LiveTradingEngine.on_price
def first(*args):
    if decide(*args):
        print(time.monotonic_ns(), file=sys.stderr, flush=True)
        os._exit(0)
LiveTradingEngine.on_price = first
""" + _MAIN
_WHOLE = """
import atexit, re, sys
def told():
    status = open("/proc/self/status").read()
    print(*(re.search(name + r":\\s+(\\d+)", status)[1] for name in ("VmRSS", "VmHWM")), file=sys.stderr)
atexit.register(told)
""" + _MAIN
#: Parts of the service in the order of loading, so that each is charged with what it brings.
_LOADED = {
    "numpy": "import numpy",
    "settings": "import otrade_bot.config, otrade_bot.config.secrets",
    "calendar": "from datetime import date; from otrade_bot.core.session import Calendar;"
                "Calendar().holiday_name(date(2026, 1, 26))",
    "telegram": "from otrade_bot.core.imports import telegram_library; telegram_library()",
    "scheduler": "import apscheduler.schedulers.asyncio",
    "service": "import otrade_bot.service.run_command",
    "kernel": "from otrade_bot.service.desk import kernel_for; kernel = kernel_for({})",
}
_PARTS = """
import sys
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1048576
before, found = 0.0, []
for statement in ["", *sys.argv[1:]]:
    exec(statement)
    found.append(resident() - before)
    before += found[-1]
print(*found, file=sys.stderr)
"""


# --- what it is measured on ---------------------------------------------------------------------------


def seconds(job: Callable[[], object]) -> float:
    began = time.perf_counter()
    job()
    return time.perf_counter() - began


def child(code: str, *arguments: str) -> str:
    """Run code in a process of its own, on default settings, an empty state and a phone that nobody answers;
    its last line of standard error. Raises CalledProcessError where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        moved = {
            "OTRADE_STATE_DIR": f"{folder}/state", "OTRADE_CONFIG_DIR": f"{folder}/config",
            "OTRADE_TELEGRAM_TOKEN": "1:nobody", "OTRADE_TELEGRAM_BASE_URL": "http://127.0.0.1:9/bot",
        }  # fmt: skip
        usual = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        done = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, env={**usual, **moved},
        )  # fmt: skip
    return (done.stderr.splitlines() or [""])[-1]


def kernel_of(*, in_process: bool = False) -> tuple[Kernel, dict[str, TradingStrategy]]:
    """The kernel of both shipped strategies, as the demo loads it; ``in_process``: as research does."""
    shipped = {name: load_strategy(name) for name in ("ema_crossover", "momentum_ladder")}
    return build_kernel(shipped.values(), in_process=in_process), shipped


def ticks(count: int) -> Any:
    """A random walk of ``count`` prices over a trading day, with a volume that never binds."""
    rng = np.random.Generator(np.random.PCG64(7))
    price = 100_000 + 5 * np.cumsum(rng.integers(-4, 5, count))
    start, end = at_ist(DAY, 9, 15), at_ist(DAY, 15, 0)
    ts = start + np.arange(count, dtype=np.int64) * ((end - start) // count)
    volume = 10_000 * np.arange(1, count + 1, dtype=np.int64)
    file = TickFile(SYMBOL, "a random walk", ts, np.maximum(price, 10_000), volume, count, {})
    return tick_events([file], [0])


def config_of(name: str, timeframe: str = "tick", params: Mapping[str, Any] | None = None) -> Config:
    """Limits wide open: what is measured is the work, not the waiting."""
    trading = TradingConfig(
        strategies=(
            StrategyConfig.model_validate(
                {"name": name, "instruments": (SYMBOL,), "timeframe": timeframe, "params": {**(params or BUSY[name])}}
            ),
        )
    )
    risk = RiskConfig(
        cooldown_seconds=0, max_trades_per_day=0, daily_loss_limit=0, spike_percent=0, reject_cooldown_seconds=1
    )
    return Config(trading, risk, BrokerConfig(), MarketConfig(), ChargesConfig(), TelegramConfig())


def replay_of(
    name: str, kernel: Kernel, shipped: dict[str, TradingStrategy], timeframe: str = "tick",
    params: Mapping[str, Any] | None = None,
) -> Replay:  # fmt: skip
    config = config_of(name, timeframe, params)
    rows = setup.build_rows(config, shipped, InstrumentStore(DAY).get)
    return Replay(config, kernel, rows, shipped, config.calendar)


def paper_engine(folder: Path, journal: JournalOf) -> tuple[LiveTradingEngine, ManualClock, PaperBroker]:
    """An engine on the paper broker, at the open of the day."""
    kernel, shipped = kernel_of()
    config, store = config_of("ema_crossover"), InstrumentStore(DAY)
    clock = ManualClock(at_ist(DAY, 9))
    holder: list[LiveTradingEngine] = []
    broker = PaperBroker(
        folder / "paper.jsonl", clock, store.get,
        lambda known, kind, ns: holder[0].market_fault(known, kind, ns), PaperSettings(latency_ns=SECOND // 2),
    )  # fmt: skip
    engine = LiveTradingEngine(
        config=config, kernel=kernel, rows=setup.build_rows(config, shipped, store.get), strategies=shipped,
        broker=broker, clock=clock, calendar=config.calendar, journal=journal(folder, clock),
    )  # fmt: skip
    holder.append(engine)
    engine.add_price_listener(broker.on_price)
    broker.start_day(DAY)
    engine.start_day(DAY)
    return engine, clock, broker
