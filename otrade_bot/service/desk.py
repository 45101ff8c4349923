"""One trading day's engine with its broker, built and recovered the same way at every start.

The morning, a restart after a crash and a machine that slept all come through here: a fresh
engine, warmed up on earlier days, the exchange brought up to now, then rebuilt from the broker's books.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from otrade_bot.brokers.instruments import InstrumentStore
from otrade_bot.brokers.paper import PaperBroker, PaperSettings
from otrade_bot.brokers.paper.book import Book
from otrade_bot.config.models import BrokerConfig, Config
from otrade_bot.core.clock import Clock
from otrade_bot.core.model import Instrument
from otrade_bot.core.money import Paise, to_paise
from otrade_bot.core.ports import Journal
from otrade_bot.kernel.compile import Kernel
from otrade_bot.service.journal import days, mended, read_day
from otrade_bot.service.leftover import SHIPPED, LeftOver, exit_rows
from otrade_bot.service.warm import warm_up
from otrade_bot.strategies.loader import TradingStrategy, build_kernel, load_strategy
from otrade_bot.trading import setup
from otrade_bot.trading.carry import Carried, carry_in, remembered
from otrade_bot.trading.engine import LiveTradingEngine
from otrade_bot.trading.recover import HistoryTick
from otrade_bot.trading.table import Row

if TYPE_CHECKING:
    from otrade_bot.brokers.feeds import BarFile, TickFile

__all__ = [
    "Desk",
    "Roster",
    "Strategies",
    "charge_of",
    "kept_before",
    "kernel_for",
    "lived_before",
    "open_desk",
    "paper_settings",
    "with_shipped",
]  # fmt: skip

Strategies = dict[str, TradingStrategy]


@dataclass(slots=True)
class Desk:
    """The day's engine and the exchange it trades at."""

    day: date
    engine: LiveTradingEngine
    broker: PaperBroker

    async def start(self, history: Sequence[TickFile | BarFile], kept: Iterable[Carried] | None = None) -> None:
        """Warm indicators, then positions ``kept`` from earlier days, then the day's hours and numbers for
        engine and exchange. Raises BrokerException."""
        warm_up(self.engine, history, self.day)
        self.broker.start_day(self.day)
        if any(row.strategy and not row.product.intraday for row in self.engine.table):
            await carry_in(self.engine, kept or ())
        self.engine.start_day(self.day)

    async def recover(self, past: Iterable[HistoryTick], known_trades: Iterable[str]) -> None:
        """Bring the exchange up to the newest of ``past``, then rebuild the engine from its books."""
        inputs = list(past)
        self.broker.catch_up(self.accepted(inputs))
        await self.engine.recover(history=inputs, known_trades=set(known_trades))

    def end(self) -> None:
        """The exchange's close: what intraday is still open is squared off by it, day orders end."""
        self.broker.end_day()

    def close(self) -> None:
        """Release the book."""
        self.broker.close()

    def accepted(self, inputs: Iterable[HistoryTick]) -> Iterator[tuple[str, int, Paise, int]]:
        """The prices that the engine will take, seen by rows of their own: its own see them at recovery."""
        engine = self.engine
        state, account = engine.state.copy(), engine.account.copy()
        for ts, row, price, volume in inputs:
            if row >= 0 and not engine.kernel.accept_one(state, account, engine.params, row, ts, price, volume):
                yield engine.table[row].instrument.symbol, ts, price, volume


def lived_before(state_dir: Path, day: date) -> bool:
    """The account was there before ``day``. Raises JournalException."""
    first = Book.read(state_dir / "paper.jsonl").first_day
    return first is not None and first < day


def kept_before(state_dir: Path, day: date, config: Config) -> tuple[list[Carried], list[str]]:
    """What the newest earlier day that carried positions left open, by its journal; and which journals on the way
    had to be set aside. Where nothing is kept over night, now or by the settings, none is read. Raises
    JournalException."""
    if config.trading.product.intraday and not _overnight(Book.read(state_dir / "paper.jsonl")):
        return [], []
    torn = []
    for earlier in sorted(days(state_dir), reverse=True):
        if earlier < day:
            torn += [fault] if (fault := mended(state_dir, earlier)) else []
            found = remembered(read_day(state_dir, earlier))
            if found is not None:
                return found, torn
    return [], torn


def _overnight(book: Book) -> bool:
    """The account holds something that no close squares off."""
    return bool(book.holdings) or any(lot.quantity for (_, p), lot in book.positions.items() if not p.intraday)


@dataclass(frozen=True, slots=True)
class Roster:
    """Who trades what on a day, checked and shown a made-up market, before any book is opened."""

    day: date
    rows: list[Row]
    instrument: Callable[[str], Instrument]
    exits_only: list[int]  #: rows that are held, but not in the settings like that

    @classmethod
    def call(
        cls,
        config: Config,
        strategies: Strategies,
        kernel: Kernel,
        day: date,
        first_prices: Mapping[str, Paise],
        watched: Iterable[str] = (),
        left: Sequence[LeftOver] = (),
    ) -> Roster:
        """``first_prices``: a price of each symbol, which some tick sizes need; ``watched``: what is followed
        besides; ``left``: what is held without being in the settings like that. Raises ConfigException,
        StrategyException."""
        store = InstrumentStore(day, config.market.instrument_overrides())

        def instrument(symbol: str) -> Instrument:
            return store.build(symbol, day, first_prices.get(symbol, 0))

        held = {one.symbol for one in left}
        free = _without(config, held)  # a symbol has one row: what is held is left by it first
        rows = setup.build_rows(free, strategies, instrument, (symbol for symbol in watched if symbol not in held))
        setup.dry_run(kernel, rows, strategies, config)
        leaving = exit_rows(left, config, strategies, instrument, len(rows))
        return cls(day, [*rows, *leaving], instrument, [row.index for row in leaving])


def _without(config: Config, held: set[str]) -> Config:
    """The settings less these symbols."""
    less = tuple(
        one.model_copy(update={"instruments": tuple(symbol for symbol in one.instruments if symbol not in held)})
        for one in config.trading.strategies
    )
    return replace(config, trading=config.trading.model_copy(update={"strategies": less})) if held else config


def open_desk(
    config: Config,
    strategies: Strategies,
    kernel: Kernel,
    roster: Roster,
    *,
    clock: Clock,
    state_dir: Path,
    journal: Journal,
    feed: str,
) -> Desk:
    """Connect a day's parts around the account in ``state_dir``. Raises JournalException."""
    holder: list[LiveTradingEngine] = []
    broker = PaperBroker(
        state_dir / "paper.jsonl",
        clock,
        roster.instrument,
        lambda known, kind, ns: holder[0].market_fault(known, kind, ns),
        paper_settings(config.brokers),
        lambda symbol, product, side, value: charge_of(holder[0], symbol, side, value),
    )
    engine = LiveTradingEngine(
        config=config, kernel=kernel, rows=roster.rows, strategies=strategies, broker=broker, clock=clock,
        calendar=config.calendar, journal=journal, feed=feed,
    )  # fmt: skip
    holder.append(engine)
    for index in roster.exits_only:
        engine.exits_only(index)
    engine.add_price_listener(broker.on_price, broker.resume)
    return Desk(roster.day, engine, broker)


def kernel_for(strategies: Strategies, progress: Callable[[str, float], None] | None = None) -> Kernel:
    """Both shipped strategies go into every kernel, so that one compiled kernel serves most runs."""
    return build_kernel(list(with_shipped(strategies).values()), progress=progress)


def with_shipped(strategies: Strategies) -> Strategies:
    """The shipped ones first, then those of the settings."""
    return {**{name: load_strategy(name) for name in SHIPPED}, **strategies}


def paper_settings(brokers: BrokerConfig) -> PaperSettings:
    """The paper broker's numbers in its own units."""
    paper = brokers.paper
    return PaperSettings(
        cash=to_paise(paper.cash),
        latency_ns=paper.latency_ms * 1_000_000,
        slip_ppm=round(paper.slippage_bps * 100),
        participation=paper.participation,
        circuit_percent=paper.circuit_percent,
    )


def charge_of(engine: LiveTradingEngine, symbol: str, side: int, value: Paise) -> Paise:
    """An order's charges by the one function that books them everywhere.

    What was taken out of the settings while it was held has no rates any more: those of the first row stand in."""
    return engine.kernel.charge_one(engine.params, engine.by_symbol.get(symbol, 0), int(side), value)
