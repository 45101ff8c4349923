"""The opening of a day: from what the account holds and the diaries tell to a desk that trades.

The first start, a restart after a crash, a machine that slept, a new day and a login all come through here.
Where a live broker cannot be asked (no token yet, no answer) the desk is opened all the same, so that the
phone has somebody to talk to: without entries, and without a word about positions that nobody has read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from otrade_bot.config.models import Config
from otrade_bot.core.clock import Clock, ist_date
from otrade_bot.core.errors import BrokerException, JournalException, TokenException
from otrade_bot.core.events import Observer
from otrade_bot.core.model import Block
from otrade_bot.kernel.compile import Kernel
from otrade_bot.service.accounts import Account, Books
from otrade_bot.service.control_state import ControlState
from otrade_bot.service.day import Past, Stream, stream_of
from otrade_bot.service.desk import Desk, Roster, Strategies, decided_after, kept_before, open_desk, with_shipped
from otrade_bot.service.journal import DayJournal, days, events_of, mended, read_day
from otrade_bot.service.leftover import LeftOver, left_over
from otrade_bot.service.prices import PriceSource
from otrade_bot.service.switch import another_user, own, set_aside
from otrade_bot.service.unseen import live_through
from otrade_bot.trading.carry import Carried, remembered
from otrade_bot.trading.engine import LiveTradingEngine
from otrade_bot.trading.signals import KINDS

__all__ = ["Opened", "Opener"]

Lines = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Opened:
    """``fault``: why the broker's books could not be read; '' = they were, and the desk has recovered."""

    desk: Desk
    stream: Stream
    before: Lines
    restored: list[str]
    now: int  #: up to when prices and minutes came with the recovery
    fault: str = ""


@dataclass(slots=True)
class _Known:
    """What is there before the desk is."""

    books: Books = field(default_factory=Books)
    kept: list[Carried] | None = None
    over: bool = False  #: it is the day itself that has left what is kept
    left: list[LeftOver] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    error: BrokerException | None = None


@dataclass(frozen=True, slots=True)
class Opener:
    """Everything that outlives a day. ``fresh``: what diaries of earlier days keep may be another account's."""

    config: Config
    strategies: Strategies
    kernel: Kernel
    source: PriceSource
    account: Account
    state_dir: Path
    clock: Clock
    journal: DayJournal
    control: ControlState
    rehearsed: bool = False
    note: str = ""

    async def open(self, day: date, begin: Callable[[Desk, Lines], Sequence[Observer]]) -> Opened:
        """The desk of ``day`` as it is now. ``begin`` is given the desk before its first word, and names who hears it.
        Raises JournalException, ConfigException, and BrokerException for a paper account."""
        now = self.clock.now_ns()
        torn = [*self._whose(), *self._mend(day, now)]
        if day == ist_date(now) and (said := set_aside(self.state_dir, day, self.account.name)):
            self.journal.close()
            torn.append(said)
        before = own(read_day(self.state_dir, day), self.account.name)
        known = await self._ask(day, now)
        now = self.clock.now_ns()  # a broker's candles may have taken minutes
        desk, stream = await self._build(day, known, before, torn, begin)
        desk.engine.remember(events_of(line for line in before if line.get("kind") in KINDS))
        restored = self.control.restore(desk.engine)
        fault = await self._recover(desk, stream, known, before, now)
        return Opened(desk, stream, before, restored, now, fault)

    async def fault(self, day: date) -> BrokerException | None:
        """What would still keep that day's books and prices from being known."""
        return (await self._ask(day, self.clock.now_ns())).error

    async def ahead(self, day: date, symbols: Iterable[str]) -> None:
        """Fetch most of what the next ``open`` asks for while another desk still trades."""
        with contextlib.suppress(BrokerException):  # it will meet the same, and say so
            await self.source.prepare(day, list(symbols))

    def _whose(self) -> list[str]:
        """The diaries are of the account that is traded now; what to tell where they were not. Raises
        JournalException."""
        user = self.account.user()
        if not user:
            return []
        self.journal.close()
        try:
            said = another_user(self.state_dir, self.account.name, user)
        except OSError as error:
            raise JournalException(f"{self.state_dir}: the diaries of another account stay: {error}") from error
        return [said] if said else []

    def _mend(self, day: date, now: int) -> list[str]:
        """The diaries that this day is opened with, and today's, must be readable; what had to be set aside."""
        earlier = [one for one in days(self.state_dir) if one < day][-1:]
        later = [one for one in days(self.state_dir) if day < one <= ist_date(now)]
        written = sorted({*earlier, day, *later, ist_date(now)})
        torn = [fault for one in written if (fault := mended(self.state_dir, one))]
        if torn:
            self.journal.close()  # it may be the file that was set aside
        return torn

    @property
    def _symbols(self) -> list[str]:
        return [symbol for strategy in self.config.trading.strategies for symbol in strategy.instruments]

    async def _ask(self, day: date, now: int) -> _Known:
        """The account's books and the prices so far; what a live broker does not answer is kept as the error."""
        known = _Known()
        try:
            known.books = books = await self.account.books(day)
            first = books.first_day
            if self.rehearsed and (first is None or first >= day):
                known.kept = []  # it began with an empty account: what earlier diaries keep was another one's
            else:
                # A broker clears a day's orders over night: at the week-end the day's own diary knows whose they were.
                gone = self.account.shows_late and not books.orders and ist_date(now) > day
                until = day + timedelta(days=1) if gone else day
                known.over = gone and remembered(read_day(self.state_dir, day), self.account.name) is not None
                known.kept, known.said = kept_before(self.state_dir, until, self.config, books, self.account.name)
            known.left = left_over(books, self.config, known.kept)
        except BrokerException as error:
            known.error = error
        try:
            await self.source.prepare(day, [*self._symbols, *(one.symbol for one in known.left)])
        except BrokerException as error:
            known.error = known.error or error
        known.said += self.source.said
        return known

    async def _build(
        self, day: date, known: _Known, before: Lines, torn: list[str],
        begin: Callable[[Desk, Lines], Sequence[Observer]],
    ) -> tuple[Desk, Stream]:  # fmt: skip
        left = known.left
        strategies = with_shipped(self.strategies) if left else self.strategies
        symbols = [*self._symbols, *(one.symbol for one in left)]
        files = self.source.ticks(day, symbols)
        first = {f.symbol: int(f.price[0]) for f in files if len(f)}
        roster = Roster.call(
            self.config, strategies, self.kernel, day, first, [f.symbol for f in files], left,
            self.source.instruments(day),
        )  # fmt: skip
        desk = open_desk(
            self.config, strategies, self.kernel, roster, self.account, clock=self.clock, journal=self.journal,
            feed=self.source.name,
        )  # fmt: skip
        desk.engine.note = self.note
        for observer in begin(desk, before):
            desk.engine.add_observer(observer)
        self._say(desk.engine, [*torn, *known.said], left, before)
        if unseen := live_through(desk, self.source):
            desk.engine.alert(unseen)
        await desk.start(self.source.history(day, symbols), known.kept if known.error is None else None,
                         over=known.over)
        stream, _, unread = stream_of(files, day, desk.engine)
        desk.engine.counters.dropped = dict(unread)
        return desk, stream

    def _say(
        self, engine: LiveTradingEngine, torn: Iterable[str], left: Sequence[LeftOver], before: Lines
    ) -> None:
        for fault in torn:
            engine.alert(fault)
        traded = set(self._symbols)
        gone = ", ".join(one.symbol for one in left if one.symbol not in traded)
        moved = ", ".join(one.symbol for one in left if one.symbol in traded)
        if gone:
            engine.alert(f"held, but not in the settings any more: {gone}; it gets its exits, and no new entries")
        if moved:
            engine.alert(
                f"held for another strategy or product than the settings name: {moved}; it gets its exits, and no new "
                "entries before the next day or start without it"
            )
        if doubt := self.account.suspicion(before):
            engine.alert(doubt)

    async def _recover(self, desk: Desk, stream: Stream, known: _Known, before: Lines, now: int) -> str:
        """Rebuild from the books, or say that nobody could. A paper book that cannot be read ends the start."""
        engine = desk.engine
        if known.error is None:
            past = Past(stream, list(engine.timers), now)
            try:
                after = decided_after(self.state_dir, desk.day, ist_date(now), self.account.name)
                await desk.recover(past, before, now, after, over=known.over)
                return ""
            except BrokerException as error:
                if self.account.name == "paper":
                    raise
                known.error = error
        engine.unread = str(known.error)
        engine.restore({Block.RECOVERY, *([Block.TOKEN] if isinstance(known.error, TokenException) else [])})
        return engine.unread
