"""The same prices through the paper engine and through the compiled replay, under the same settings."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from otrade_bot.brokers.feeds import BarFile, TickFile, merge
from otrade_bot.brokers.instruments import InstrumentStore
from otrade_bot.brokers.paper import PaperBroker, PaperSettings
from otrade_bot.config.models import (
    BrokerConfig,
    ChargesConfig,
    Config,
    InstrumentOverride,
    MarketConfig,
    RiskConfig,
    StrategyConfig,
    TelegramConfig,
    TradingConfig,
)
from otrade_bot.core.clock import ManualClock, at_ist
from otrade_bot.core.events import Event
from otrade_bot.core.model import Instrument, InstrumentKind
from otrade_bot.kernel.bars import moment, walk
from otrade_bot.kernel.compile import Kernel
from otrade_bot.kernel.replay import lean
from otrade_bot.research.replay import Replay, bar_events, days_of, tick_events
from otrade_bot.service.accounts import charge_of
from otrade_bot.service.day import DayDriver, Pace, Stream
from otrade_bot.strategies.loader import TradingStrategy
from otrade_bot.trading import setup
from otrade_bot.trading.engine import LiveTradingEngine
from otrade_bot.trading.snapshot import Trade
from otrade_bot.trading.table import Row

AMPLE = 1_000_000_000_000_00  #: paise: money is never what stops a trade here


@dataclass(frozen=True)
class Case:
    """One strategy on some instruments; ``risk`` and ``params`` over the defaults."""

    strategy: str
    timeframe: str
    symbols: tuple[str, ...]
    capital: int = 3000
    params: Mapping[str, Any] = field(default_factory=dict)
    risk: Mapping[str, Any] = field(default_factory=dict)
    futures: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()
    latency_ms: int = 0
    participation: float = 1.0

    def config(self) -> Config:
        future = InstrumentOverride(kind=InstrumentKind.FUTURE)
        wide = {
            "max_order_quantity": 0, "max_order_value": 0, "total_capital": 10_000_000_000, "daily_loss_limit": 0,
            **self.risk,
        }  # fmt: skip
        given = StrategyConfig(
            name=self.strategy, instruments=self.symbols, timeframe=self.timeframe, params=dict(self.params)
        )
        return Config(
            TradingConfig(capital_per_position=self.capital, strategies=(given,)),
            RiskConfig(**wide),
            BrokerConfig(),
            MarketConfig(instruments=dict.fromkeys(self.futures, future)),
            ChargesConfig(),
            TelegramConfig(),
        )


class Diary:
    """A journal in memory."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def append(self, event: Event, *, durable: bool = False) -> None:
        self.events.append(event)

    def close(self) -> None:
        """Nothing to release."""


class Bench:
    """Everything that both runs of a case are made from."""

    def __init__(self, case: Case, kernel: Kernel, strategies: Sequence[TradingStrategy], day: date,
                 first: Mapping[str, int]) -> None:  # fmt: skip
        self.case, self.kernel, self.config = case, kernel, case.config()
        self.strategies = {s.name: s for s in strategies if s.name == case.strategy}
        self.store = InstrumentStore(day, self.config.market.instrument_overrides())
        self.first = first
        self.calendar = self.config.market.calendar()

    def instrument(self, symbol: str) -> Instrument:
        return self.store.build(symbol, None, self.first.get(symbol, 0))

    def rows(self) -> list[Row]:
        return setup.build_rows(self.config, self.strategies, self.instrument, self.case.watched)

    def replay(self) -> Any:
        made = Replay(
            self.config, self.kernel, self.rows(), self.strategies, self.calendar,
            latency_ns=self.case.latency_ms * 1_000_000, participation_ppm=round(self.case.participation * 1_000_000),
        )  # fmt: skip
        return made.start()

    def paper(self, book: Path) -> Paper:
        return Paper(self, book)


class Paper:
    """The engine over the paper broker, in this process."""

    def __init__(self, bench: Bench, book: Path) -> None:
        self.clock = ManualClock()
        self.diary = Diary()
        holder: list[LiveTradingEngine] = []
        self.broker = PaperBroker(
            book, self.clock, bench.instrument,
            lambda known, kind, ns: holder[0].market_fault(known, kind, ns),
            PaperSettings(
                cash=AMPLE, latency_ns=bench.case.latency_ms * 1_000_000, participation=bench.case.participation
            ),
            lambda symbol, product, side, value: charge_of(holder[0], symbol, side, value),
        )  # fmt: skip
        self.engine = LiveTradingEngine(
            config=bench.config, kernel=bench.kernel, rows=bench.rows(), strategies=bench.strategies,
            broker=self.broker, clock=self.clock, calendar=bench.calendar, journal=self.diary,
        )  # fmt: skip
        holder.append(self.engine)
        self.engine.add_price_listener(self.broker.on_price)

    def open(self, day: date) -> None:
        self.clock.advance_to(at_ist(day, 9))
        self.broker.start_day(day)
        self.engine.start_day(day)

    def close(self) -> None:
        self.clock.advance_to(max(s.close for s in self.engine.sessions.values()))
        self.broker.end_day()

    def ticks(self, day: date, files: Sequence[TickFile]) -> None:
        """A day as the demo drives it."""
        self.open(day)
        ts, index, price, volume = merge(files)
        rows = np.array([self.engine.by_symbol[f.symbol] for f in files], np.int64)
        driver = DayDriver(self.engine, self.clock, Stream(ts, rows[index], price, volume))
        asyncio.run(driver.run(Pace(0)))
        self.close()

    def bars(self, day: date, events: Any) -> None:
        """A day of bars, each walked as four prices, the worst for what the engine holds first."""
        self.open(day)
        timers = iter(self.engine.timers)
        timer = next(timers, None)
        for event in events:
            row, start = int(event["row"]), int(event["ts"])
            while timer is not None and timer <= start:
                self._minute(timer)
                timer = next(timers, None)
            side = lean(self.engine.state.view(np.recarray)[row])
            for ts, price, volume in walked(event, side):
                while timer is not None and timer <= ts:
                    self._minute(timer)
                    timer = next(timers, None)
                self.clock.advance_to(ts)
                while ts > start and (target := self._passed(row, price)):
                    self.engine.on_price(row, ts, target, volume)
                self.engine.on_price(row, ts, price, volume)
        while timer is not None:
            self._minute(timer)
            timer = next(timers, None)
        self.close()

    def _passed(self, row: int, price: int) -> int:
        """The next target between the last price and this one, 0 where there is none."""
        s = self.engine.state[row]
        on = (s["side"] != 0) & (s["filled"] > s["exited"]) & (s["exit_pending"] == 0) & (s["target"] > 0)
        last = int(s["price"])
        found = [int(t) for t in s["target"][on] if min(last, price) < t < max(last, price)]
        return min(found, key=lambda target: abs(target - last), default=0)

    def _minute(self, ts: int) -> None:
        self.clock.advance_to(ts)
        self.engine.on_time(ts)


def walked(event: Any, side: int) -> Iterator[tuple[int, int, int]]:
    """A bar's four prices with their times and the day's volume at each."""
    o, h, low, c = (int(event[name]) for name in ("value", "high", "low", "price"))
    for k in range(4):
        ts = int(event["ts"]) + moment(int(event["cycle"]), k)
        yield ts, walk(side, o, h, low, c, k), int(event["leg"]) + int(event["qty"]) * (k + 1) // 4


Facts = tuple[Any, ...]


def facts(trade: Trade) -> Facts:
    """All that the two runs must agree on."""
    return (
        trade.symbol, int(trade.side), trade.rung, trade.quantity, trade.entry_ns, trade.exit_ns, trade.entry_value,
        trade.exit_value, str(trade.reason), trade.gross, trade.charges, trade.trade_id,
    )  # fmt: skip


def both_on_ticks(
    bench: Bench, day: date, files: Sequence[TickFile], book: Path
) -> tuple[list[Facts], list[Facts], Paper, Any]:
    paper, replay = bench.paper(book), bench.replay()
    paper.ticks(day, files)
    replay.day(day, tick_events(files, [paper.engine.by_symbol[f.symbol] for f in files]))
    return *_both(paper, replay), paper, replay


def both_on_bars(bench: Bench, file: BarFile, book: Path) -> tuple[list[Facts], list[Facts], Paper, Any]:
    paper, replay = bench.paper(book), bench.replay()
    events = bar_events(file, paper.engine.by_symbol[file.symbol])
    for day, index in days_of(file):
        paper.bars(day, events[index])
        replay.day(day, events[index])
    return *_both(paper, replay), paper, replay


def _both(paper: Paper, replay: Any) -> tuple[list[Facts], list[Facts]]:
    paper.broker.close()
    return sorted(map(facts, paper.engine.trade_log)), sorted(map(facts, replay.booked()))
