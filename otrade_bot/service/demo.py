"""A whole trading day on paper, without any account: the composition of the ``demo`` command."""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from otrade_bot import __version__
from otrade_bot.brokers.feeds import BarFile, TickFile, read_any, read_ticks, synthetic_day
from otrade_bot.brokers.paper import PaperBroker
from otrade_bot.config.models import Approval, Config, MarketConfig, SpecialDay, StrategyConfig
from otrade_bot.core.clock import ManualClock, at_ist, ist_date
from otrade_bot.core.errors import ConfigException, DataException
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.jsonlines import LineLog
from otrade_bot.research.report import day_report
from otrade_bot.service.accounts import PaperAccount
from otrade_bot.service.day import DayDriver, Pace, stream_of
from otrade_bot.service.desk import Roster, kernel_for, open_desk
from otrade_bot.service.journal import DayJournal, day_path, events_of, read_day
from otrade_bot.service.logs import timed
from otrade_bot.service.warm import warm_up
from otrade_bot.trading import setup
from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["DEMO_DAY", "Demo", "DemoOptions"]

#: A regular Wednesday under the rules in force since September 2026.
DEMO_DAY = date(2026, 9, 16)
#: Which strategy runs on which synthetic stock, and how fast its bars are: one day cannot warm a
#: 200-bar average on 15-minute bars.
SYNTHETIC = {
    "momentum_ladder": ("NSE:DEMOALPHA", "NSE:DEMOBRAVO", "NSE:DEMODELTA"),
    "ema_crossover": ("NSE:DEMOCHARLIE", "NSE:DEMOECHO"),
}
#: As in the settings; a file's stem becomes one.
SYMBOL = re.compile(r"NSE:[A-Z0-9][A-Z0-9&_. -]{0,39}")
TIMEFRAMES = {"momentum_ladder": "1m", "ema_crossover": "tick"}
#: Small enough that the synthetic afternoon's losses reach it.
SYNTHETIC_LOSS_LIMIT = 130


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line said. ``speed`` 0 = as fast as it goes."""

    state_dir: Path
    ticks: tuple[Path, ...] = ()
    history: tuple[Path, ...] = ()
    strategy: str | None = None
    timeframe: str | None = None
    strategies_dir: Path | None = None
    seed: int = 1
    speed: float = 60.0
    resume: bool = False


@dataclass(slots=True)
class Demo:
    """Built by ``prepare``; then ``run`` once, ``report`` after it."""

    options: DemoOptions
    engine: LiveTradingEngine
    broker: PaperBroker
    clock: ManualClock
    driver: DayDriver
    journal: DayJournal
    day: date
    lines: int
    unread: Counter[str]
    history: list[TickFile | BarFile]
    source: str
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def prepare(
        cls, config: Config, options: DemoOptions, progress: Callable[[str, float], None] | None = None
    ) -> Demo:
        """Read, check and connect everything. Raises ConfigException, StrategyException, DataException."""
        files, history = _files(options), [read_any(path) for path in options.history]
        day = _day_of(files)
        config = _adapt(config, options, files, day)
        strategies = setup.load_strategies(config, options.strategies_dir)
        with timed("kernel"):
            kernel = kernel_for(strategies, progress)
        first = {f.symbol: int(f.price[0]) for f in files if len(f)}
        roster = Roster.call(config, strategies, kernel, day, first, [f.symbol for f in files])
        clock = ManualClock(at_ist(day, 9))
        _fresh_state(options, day)
        _same_day(config, options, day)
        journal = DayJournal(options.state_dir, clock)
        account = PaperAccount(options.state_dir, clock, config.brokers)
        desk = open_desk(
            config, strategies, kernel, roster, account, clock=clock, journal=journal,
            feed="replay" if options.ticks else "simulated",
        )  # fmt: skip
        engine, broker = desk.engine, account.broker
        stream, lines, unread = stream_of(files, day, engine)
        demo = cls(
            options, engine, broker, clock, DayDriver(engine, clock, stream), journal, day, lines, unread,
            history, "recorded" if options.ticks else "synthetic",
        )  # fmt: skip
        engine.counters.dropped = dict(unread)
        return demo

    async def run(self) -> None:
        """The day, from where the paper book and the journal ended (or from its start) to the close."""
        engine, options = self.engine, self.options
        resumed = self._last_moment() if options.resume else 0
        self._say_run(resumed)
        warm_up(engine, self.history, self.day)
        self.broker.start_day(self.day)
        engine.start_day(self.day)
        engine.counters.dropped = dict(self.unread)
        if resumed:
            self.clock.advance_to(resumed)
        lines = self._lines()
        known = {line["trade_id"] for line in lines if line.get("kind") == "trade"}
        engine.remember(events_of(lines))
        await engine.recover(history=self.driver.past(resumed) if resumed else (), known_trades=known)
        with timed("day", speed=options.speed, inputs=len(self.driver.stream)):
            await self.driver.run(Pace(options.speed), after=resumed)
        self.clock.advance_to(max((s.close for s in engine.sessions.values()), default=0))
        if not self.driver.stopped:
            self.broker.end_day()
        for _ in range(2):  # a difference, such as the broker's own square-off, is believed when seen twice
            await engine.reconcile()
        self._say_day()

    def report(self) -> dict[str, Any]:
        """What ``--json`` prints: the journal's own report, and what only this run knows under ``wall``."""
        found = day_report(self._lines(), self.day)
        found["lines"] = self.lines
        found["source"] = self.source
        found["journal"] = str(day_path(self.options.state_dir, self.day))
        if self.engine.journal_fault:
            found["incomplete"] = self.engine.journal_fault
        found["wall"] = {"seconds": round(time.monotonic() - self.started, 3)}
        return found

    def close(self) -> None:
        """Close the files."""
        self.journal.close()
        self.broker.close()

    def _lines(self) -> list[dict[str, Any]]:
        return read_day(self.options.state_dir, self.day)

    def _last_moment(self) -> int:
        """How far the day had come when the process died: the newest stamp in the book and the journal."""
        book = (int(line.get("ts", 0)) for line in LineLog.read(self.options.state_dir / "paper.jsonl"))
        diary = (int(line["ns"]) for line in self._lines() if line.get("kind") != "run")
        return max((*book, *diary), default=0)

    def _say_run(self, resumed: int) -> None:
        config = self.engine.config
        self.engine.emit(Event(EventKind.RUN, self.clock.now_ns(), data={
            "mode": config.trading.mode, "broker": self.broker.name, "feed": self.engine.feed,
            "version": __version__, "seed": self.options.seed, "resumed": bool(resumed), "demo": True,
            "strategies": {s.name: list(s.instruments) for s in config.trading.strategies},
        }))  # fmt: skip

    def _say_day(self) -> None:
        status = self.engine.status()
        held = [
            {
                "symbol": p.symbol, "side": p.side.name, "rung": p.rung, "quantity": p.quantity,
                "average": round(p.average / 100, 4), "strategy": p.strategy,
            }
            for p in self.engine.positions()
        ]  # fmt: skip
        severity = Severity.RISK if held else Severity.INFO
        trades = self.engine.trades()
        gross, charges = sum(t.gross for t in trades), sum(t.charges for t in trades)
        self.engine.emit(Event(EventKind.DAY, self.clock.now_ns(), severity=severity, data={
            "ticks": status.ticks, "dropped": status.dropped, "open_positions": held, "lines": self.lines,
            "trades": len(trades), "gross_paise": gross, "charges_paise": charges, "net_paise": gross - charges,
        }))  # fmt: skip


# --- preparing ------------------------------------------------------------------------------------


def _files(options: DemoOptions) -> list[TickFile]:
    if not options.ticks:
        return synthetic_day(DEMO_DAY, options.seed)
    files = [read_ticks(path) for path in options.ticks]
    for f in files:
        if not SYMBOL.fullmatch(f.symbol):
            raise DataException(
                f"{f.source}: {f.symbol.partition(':')[2]!r} is no symbol; allowed as a file's stem: a letter or "
                "digit, then letters, digits, space and & _ . - up to 40 in all"
            )
    names = Counter(f.symbol for f in files)
    twice = [name for name, n in names.items() if n > 1]
    if twice:
        raise DataException(f"two files give prices of {', '.join(twice)}")
    return files


def _day_of(files: Sequence[TickFile]) -> date:
    """The day that most lines belong to."""
    counts: Counter[date] = Counter()
    for f in files:
        days, n = np.unique((f.ts + 19_800 * 10**9) // (86_400 * 10**9), return_counts=True)
        counts.update({ist_date(int(d) * 86_400 * 10**9): int(k) for d, k in zip(days, n, strict=True)})
    return max(counts, key=lambda d: (counts[d], d))


def _adapt(config: Config, options: DemoOptions, files: Sequence[TickFile], day: date) -> Config:
    """The user's settings with the demo's strategies on the demo's instruments, always on paper; nobody is asked before
    an entry, as nobody may be there."""
    trading = {"strategies": _assign(config, options, files), "strategies_dir": None, "approval": Approval()}
    changes: dict[str, Any] = {
        "trading": config.trading.model_copy(update={"mode": "paper", **trading}),
        "market": _open_on(config.market, day),
    }
    if not options.ticks:
        changes["risk"] = config.risk.model_copy(update={"daily_loss_limit": SYNTHETIC_LOSS_LIMIT})
    return replace(config, **changes)


def _assign(config: Config, options: DemoOptions, files: Sequence[TickFile]) -> tuple[StrategyConfig, ...]:
    """Which strategy trades what. The user's own parameters of a strategy hold here too."""
    params = {s.name: s.params for s in config.trading.strategies}
    if options.ticks or options.strategy:
        name = options.strategy or "ema_crossover"
        wanted = {name: tuple(f.symbol for f in files)}
    else:
        wanted = SYNTHETIC
    return tuple(
        StrategyConfig.model_validate(
            {
                "name": name,
                "instruments": instruments,
                "timeframe": options.timeframe or TIMEFRAMES.get(name, "1m"),
                "params": dict(params.get(name, {})),
            }
        )
        for name, instruments in wanted.items()
    )


def _open_on(market: MarketConfig, day: date) -> MarketConfig:
    """Prices were recorded that day, so there was a session, whatever the calendar says."""
    if market.calendar().is_trading_day(day):
        return market
    special = {**market.special_days, day: SpecialDay(name="recorded session", full=True)}
    return market.model_copy(update={"special_days": special})


def _fresh_state(options: DemoOptions, day: date) -> None:
    """A demo begins with an empty account and an empty journal of its day, unless it is resumed."""
    options.state_dir.mkdir(parents=True, exist_ok=True)
    if options.resume:
        return
    for path in (options.state_dir / "paper.jsonl", day_path(options.state_dir, day)):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _same_day(config: Config, options: DemoOptions, day: date) -> None:
    """A day is resumed with what it was begun with. Raises ConfigException."""
    if not options.resume:
        return
    runs = [line for line in read_day(options.state_dir, day) if line.get("kind") == "run"]
    now = {s.name: list(s.instruments) for s in config.trading.strategies}
    for key, value in (("strategies", now), ("seed", options.seed)):
        if runs and runs[-1].get(key) != value:
            raise ConfigException(
                "the interrupted day was begun with something else", key=f"--resume: {key}", value=value,
                allowed=str(runs[-1].get(key)),
            )  # fmt: skip
