"""One trading day's engine with its broker, built and recovered the same way at every start.

The morning, a restart after a crash and a machine that slept all come through here: a fresh
engine, warmed up on earlier days, the exchange brought up to now, then rebuilt from the broker's books.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otrade_bot.brokers.base import BrokerInterface
from otrade_bot.brokers.instruments import InstrumentStore
from otrade_bot.config.models import Config
from otrade_bot.core.clock import Clock
from otrade_bot.core.events import EventKind
from otrade_bot.core.model import Block, Instrument
from otrade_bot.core.money import Paise
from otrade_bot.core.ports import Journal
from otrade_bot.kernel.compile import Kernel
from otrade_bot.service.accounts import Account, Books
from otrade_bot.service.journal import days, mended, read_day
from otrade_bot.service.leftover import SHIPPED, LeftOver, exit_rows
from otrade_bot.service.switch import own
from otrade_bot.service.warm import warm_up
from otrade_bot.strategies.loader import TradingStrategy, build_kernel, load_strategy
from otrade_bot.trading import setup
from otrade_bot.trading.adopt import numbers_then
from otrade_bot.trading.carry import Carried, carry_in, remembered
from otrade_bot.trading.decided import decided
from otrade_bot.trading.engine import LiveTradingEngine
from otrade_bot.trading.hands import claimed
from otrade_bot.trading.recover import HistoryTick
from otrade_bot.trading.table import Row
from otrade_bot.trading.tagless import tagless_exits
from otrade_bot.trading.unanswered import sent_tags, unanswered
from otrade_bot.trading.unheard import written

if TYPE_CHECKING:
    from otrade_bot.brokers.feeds import BarFile, TickFile

__all__ = [
    "Desk", "InstrumentOf", "Roster", "Strategies", "decided_after", "kept_before", "kernel_for", "open_desk",
    "with_shipped",
]  # fmt: skip

InstrumentOf = Callable[[str, Paise], Instrument]
Strategies = dict[str, TradingStrategy]
#: Of a day without a session what may have changed of a rung.
_KEPT = (EventKind.FILL, EventKind.STOP, EventKind.LEVEL, EventKind.CLOSE)


@dataclass(slots=True)
class Desk:
    """The day's engine and the account it trades on."""

    day: date
    engine: LiveTradingEngine
    account: Account

    @property
    def broker(self) -> BrokerInterface:
        return self.engine.broker

    async def start(
        self, history: Sequence[TickFile | BarFile], kept: Iterable[Carried] | None = None, *, over: bool = False
    ) -> None:
        """Warm indicators, then positions ``kept`` from earlier days (None: nobody knows), then the day's hours and
        numbers for engine and exchange. ``over``: it is this day that has left them. Raises BrokerException."""
        warm_up(self.engine, history, self.day)
        self.account.start_day(self.day)
        if kept is not None and any(row.strategy and not row.product.intraday for row in self.engine.table):
            await carry_in(self.engine, kept, say=not over)
        self.engine.start_day(self.day)

    async def recover(
        self, past: Iterable[HistoryTick], before: Sequence[Mapping[str, Any]], now: int,
        after: Sequence[Mapping[str, Any]] = (), *, over: bool = False,
    ) -> None:  # fmt: skip
        """Bring the exchange up to the newest of ``past``, then rebuild the engine from its books and from what the
        day's journal has ``before``, and later ones ``after``. ``over``: what is kept is what the day has left, so that
        all it had decided has been done, or is in that. Raises BrokerException."""
        inputs = list(past) if isinstance(past, Iterator) else past  # asked for twice
        people = [*([] if over else before), *after]
        self.account.catch_up(self.accepted(inputs))
        await self.engine.recover(
            history=inputs,
            known_trades={
                str(line.get("trade_id")): str(line.get("exit_reason"))
                for line in before if line.get("kind") == "trade"
            },
            pending=unanswered(before, now) if self.account.shows_late else (),
            claims=claimed(people),
            sent=sent_tags(before),
            exits=tagless_exits(before, self.engine.config.brokers.instance),
            known=written(before),
            decided=decided(people),
            numbers=numbers_then(before),
        )

    def end(self) -> None:
        """The close, where the exchange does not come to it by itself."""
        self.account.end_day()

    def close(self) -> None:
        """Release the account: this engine does nothing any more."""
        self.engine.retire()
        self.account.close()

    def accepted(self, inputs: Iterable[HistoryTick]) -> Iterator[tuple[str, int, Paise, int]]:
        """The prices that the engine will take, seen by rows of their own: its own see them at recovery."""
        engine = self.engine
        state, account = engine.state.copy(), engine.account.copy()
        for ts, row, price, volume in inputs:
            if row >= 0 and not engine.kernel.accept_one(state, account, engine.params, row, ts, price, volume):
                yield engine.table[row].instrument.symbol, ts, price, volume


def kept_before(
    state_dir: Path, day: date, config: Config, books: Books, account: str
) -> tuple[list[Carried], list[str]]:
    """What the newest earlier day of the account that carried positions left open, by its journal; and which journals
    on the way had to be set aside. Where nothing is kept over night, now or by the settings, none is read."""
    if config.trading.product.intraday and not books.overnight:
        return [], []
    torn: list[str] = []
    since: list[dict[str, Any]] = []
    for earlier in sorted(days(state_dir), reverse=True):
        if earlier < day:
            torn += [fault] if (fault := mended(state_dir, earlier)) else []
            lines = read_day(state_dir, earlier)
            found = remembered([*lines, *since], account)
            if found is not None:
                return found, torn
            if not config.calendar.is_trading_day(earlier):
                since = [*(line for line in own(lines, account) if line.get("kind") in _KEPT), *since]
    return [], torn


def decided_after(state_dir: Path, day: date, until: date, account: str) -> list[dict[str, Any]]:
    """What humans have decided about the rungs of a day when it was over, at the week-end or after midnight: the lines
    of the days since, whose diaries are whole."""
    later = (read_day(state_dir, one) for one in days(state_dir) if day < one <= until)
    return [
        line for lines in later for line in own(lines, account)
        if line.get("kind") in (EventKind.LEVEL, EventKind.CLOSE) or "claimed" in line
    ]  # fmt: skip


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
        known: InstrumentOf | None = None,
    ) -> Roster:
        """``first_prices``: a price of each symbol, which some tick sizes need; ``watched``: what is followed
        besides; ``left``: what is held without being in the settings like that; ``known``: a broker's own list.
        Raises ConfigException, StrategyException."""
        store = InstrumentStore(day, config.market.instrument_overrides())
        build = known or (lambda symbol, price: store.build(symbol, day, price))

        def instrument(symbol: str) -> Instrument:
            return build(symbol, first_prices.get(symbol, 0))

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
    account: Account,
    *,
    clock: Clock,
    journal: Journal,
    feed: str,
) -> Desk:
    """Connect a day's parts around an account. Raises JournalException."""
    engine = LiveTradingEngine(
        config=config, kernel=kernel, rows=roster.rows, strategies=strategies,
        broker=account.open(roster.instrument), clock=clock, calendar=config.calendar, journal=journal, feed=feed,
    )  # fmt: skip
    engine.blocks.add(Block.RECOVERY)  # until the books have been read: reports may come before
    for index in roster.exits_only:
        engine.exits_only(index)
    account.bind(engine)
    return Desk(roster.day, engine, account)


def kernel_for(strategies: Strategies, progress: Callable[[str, float], None] | None = None) -> Kernel:
    """Both shipped strategies go into every kernel, so that one compiled kernel serves most runs."""
    return build_kernel(list(with_shipped(strategies).values()), progress=progress)


def with_shipped(strategies: Strategies) -> Strategies:
    """The shipped ones first, then those of the settings."""
    return {**{name: load_strategy(name) for name in SHIPPED}, **strategies}
