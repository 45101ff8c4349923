"""A broker's prices as a source of days: its list of instruments, its candles, and what its stream has told since.

A day that is opened at noon has lived through its morning by the broker's one-minute candles; the prices that come
while they are fetched are kept by the feed and follow them. Candles are read from the primary, else the backup.

Known to fall short: a minute that ended seconds before the stream began is believed as the broker's candle has it
then; of the prices of a minute four are known; tick strategies are warmed up by minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial

from otrade_bot.brokers.feeds import BarFile, TickFile
from otrade_bot.brokers.feeds.minutes import Believed, Heard, bar_file, tick_file
from otrade_bot.brokers.instruments import InstrumentStore
from otrade_bot.brokers.listing import MADE, Listing, Listings
from otrade_bot.brokers.middleware import UnifiedBrokerMiddleware
from otrade_bot.brokers.quotes import Candles
from otrade_bot.config.models import Config
from otrade_bot.core.clock import MINUTE, Clock, at_ist, ist_date, midnight_ns
from otrade_bot.core.errors import BrokerException, ConfigException, DataException
from otrade_bot.core.model import Instrument
from otrade_bot.core.money import Paise
from otrade_bot.core.session import Calendar, DaySession, day_session, segment_of
from otrade_bot.service.live_feed import FeedAge, LiveFeed
from otrade_bot.service.past_bars import PastBars
from otrade_bot.service.reader import Job, Reader

__all__ = ["FeedAge", "LiveFeed", "LiveSource"]

#: By timeframe: candles asked for, their length, and trading days of them: a thousand bars where that is possible.
HISTORY = {
    "tick": ("1m", 1, 5), "1m": ("1m", 1, 5), "3m": ("3m", 3, 10), "5m": ("5m", 5, 15),
    "15m": ("15m", 15, 40), "30m": ("30m", 30, 40), "60m": ("60m", 60, 40),
}  # fmt: skip
#: After the lists are made they are looked at again for so long: later, the market is open.
LATE = 30 * MINUTE
#: Candles of today that are asked for again when a day is opened anew: the last ones were not final.
AGAIN = 3 * MINUTE


@dataclass(slots=True)
class _Known:
    """What was fetched for one day."""

    day: date
    candles: dict[str, bytes] = field(default_factory=dict)  #: of the day, by symbol, packed
    known_ns: dict[str, int] = field(default_factory=dict)  #: up to when
    past: dict[str, BarFile] = field(default_factory=dict)
    kept: int = 0  #: so many of them are on the disk
    closes: dict[str, Paise] = field(default_factory=dict)  #: the last ones of a past that is on the disk alone
    tape: Mapping[str, Sequence[Heard]] = field(default_factory=dict)

    def today(self, symbol: str) -> Candles:
        return Candles.unpacked(self.candles.get(symbol, b""))


class LiveSource:
    """See the module and ``PriceSource``. ``said``: what the last ``prepare`` could not get, for humans."""

    def __init__(
        self, feed: LiveFeed, listings: Listings, config: Config, clock: Clock, *, past: PastBars | None = None,
        traders: Sequence[UnifiedBrokerMiddleware] = (), patience_s: float = 300.0,
    ) -> None:  # fmt: skip
        """``past`` None: a restart fetches all of the history again. ``traders``: accounts that take orders and give no
        prices; they learn the day's instruments all the same."""
        self.feed = feed
        self.said: list[str] = []
        self._listings, self._clock, self._patience = listings, clock, patience_s
        self._calendar: Calendar = config.calendar
        self._believed = Believed(round(config.risk.spike_percent * 10_000), config.risk.spike_confirmations)
        self._overrides = config.market.instrument_overrides()
        self._timeframes = {s: one.timeframe for one in config.trading.strategies for s in one.instruments}
        self._past, self._traders = past, list(traders)
        self._learned: tuple[date, int, list[str]] | None = None  #: for which day, when, which symbols
        self._lists: dict[str, Listing] = {}  #: by broker
        self._days: dict[date, _Known] = {}

    @property
    def name(self) -> str:
        return self.feed.name

    @property
    def identity(self) -> str:
        return self.feed.name

    def days(self) -> Sequence[date]:
        return ()

    @property
    def listing(self) -> Listing | None:
        """The primary's newest list; None before the first one."""
        return self._lists.get(self.feed.name)

    # --- fetching ---

    async def learn(self, day: date, symbols: Sequence[str]) -> None:
        """The day's instruments, for both brokers, and prices of these symbols from now on.

        Raises BrokerException where the primary's list cannot be had, or a trader's. What is wrong with the backup's is
        only said, and so is an instrument that nobody lists: others' positions must be looked after all the same.
        """
        wanted = list(dict.fromkeys(symbols))
        self._learned = day, self._clock.now_ns(), wanted
        for trader in self._traders:
            listing = await self._listings.today(trader, day, wanted)
            self.said += [listing.said] if listing.said else []
            trader.learn(listing)
        for place, broker in enumerate(self.feed.brokers):
            try:
                await self._introduce(broker, day, wanted, backup=place > 0)
            except BrokerException as error:
                if place == 0:
                    raise
                self.said.append(f"no backup prices from {broker.name}: {error}")

    @property
    def outdated(self) -> bool:
        """The day's instruments were learned before the brokers had made their lists of it, and now they have."""
        if self._learned is None:
            return False
        day, at, _ = self._learned
        made = at_ist(day, *MADE)
        return at < made <= self._clock.now_ns() < made + LATE

    async def refresh(self) -> bool:
        """Learn them anew; whether one of those in use has changed, so that the day must be opened again."""
        if self._learned is None:
            return False
        day, _, symbols = self._learned
        before, said, self.said = self._in_use(symbols), self.said, []
        with contextlib.suppress(BrokerException):  # those of before serve
            await self.learn(day, symbols)
        self.said = said
        self._narrow()
        return self._in_use(symbols) != before

    def _in_use(self, symbols: Iterable[str]) -> list[Instrument | None]:
        listing = self.listing
        return [listing.instruments.get(symbol) if listing else None for symbol in symbols]

    async def _introduce(
        self, broker: UnifiedBrokerMiddleware, day: date, wanted: Sequence[str], *, backup: bool
    ) -> None:
        listing = await self._listings.today(broker, day, wanted)
        self.said += [listing.said] if listing.said else []
        self._lists[broker.name] = listing
        broker.learn(listing)
        broker.subscribe(self._known_to(listing, wanted, backup=backup))

    def _known_to(self, listing: Listing, symbols: Iterable[str], *, backup: bool) -> list[str]:
        known, missing = [], []
        for symbol in symbols:
            try:
                listing.resolve(symbol)
                known.append(symbol)
            except ConfigException as error:
                missing.append(symbol)
                if not backup:
                    self.said.append(f"{error}; it has no prices and is not traded")
        if missing and backup:
            self.said.append(f"no backup prices from {listing.broker} of {_listed(missing)}")
        return known

    async def prepare(self, day: date, symbols: Sequence[str]) -> None:
        """Instruments, the day's candles so far, and what warms indicators up. Raises BrokerException where nothing
        can be known at all; what else is missing is ``said``.

        Called ahead, while another desk still trades, it leaves little to do for the opening that follows: prices are
        kept from then on, and a candle that was fetched since is not asked for again.
        """
        self.said = []
        self.feed.record()
        known = self._days.get(day) or _Known(day)
        others = sorted(self._days.keys() - {day})[-1:]
        self._days = {**{one: self._days[one] for one in others}, day: known}
        await self.learn(day, symbols)
        await self._remember(known)
        missing, why = await self._read([*self._of_today(known, symbols), *self._of_past(known, symbols)])
        await self._keep(known)
        if not missing and self.feed.whole_ns:  # the stream may have come up while they were read
            missing, why = await self._read(self._of_today(known, symbols))
        self._say_missing(missing, why)
        if day == ist_date(self._clock.now_ns()):
            known.tape = self.feed.take(day)

    async def _remember(self, known: _Known) -> None:
        """The history that an earlier process has fetched for this day."""
        if self._past is not None and not known.past:
            wanted = {symbol: HISTORY[timeframe][0] for symbol, timeframe in self._timeframes.items()}
            known.past = await asyncio.to_thread(self._past.read, known.day, wanted)
            known.kept = len(known.past)

    async def _keep(self, known: _Known) -> None:
        if self._past is not None and len(known.past) > known.kept:
            bars = {symbol: (HISTORY[self._timeframes[symbol]][0], file) for symbol, file in known.past.items()}
            known.kept = len(bars) if await asyncio.to_thread(self._past.keep, known.day, bars) else 0

    def spare(self, *, lived: bool = False) -> None:
        """A day is open: the history that is on the disk goes out of memory until the day is opened again, and so do
        the instruments that nobody asked for. ``lived``: so does what the stream told before, since the exchange lives
        through its days by itself."""
        self._narrow()
        for known in self._days.values():
            known.tape = {} if lived else known.tape
            if known.past and known.kept == len(known.past):
                known.closes |= {symbol: int(file.close[-1]) for symbol, file in known.past.items()}
                known.past, known.kept = {}, 0

    def _narrow(self) -> None:
        _, _, symbols = self._learned or (None, 0, [])
        self._lists = {name: listing.only(symbols) for name, listing in self._lists.items()}
        for broker in self.feed.brokers:
            broker.spare()

    def _say_missing(self, missing: Sequence[Job], why: str) -> None:
        today = [job.symbol for job in missing if job.today]
        past = [job.symbol for job in missing if not job.today]
        if today:
            self.said.append(f"today's prices so far are not known of {_listed(today)}: {why}")
        if past:
            self.said.append(f"no history of {_listed(past)}, so no entries before their indicators are warm: {why}")

    def _of_today(self, known: _Known, symbols: Sequence[str]) -> list[Job]:
        jobs, now = [], self._clock.now_ns()
        for symbol in dict.fromkeys(symbols):
            session = self._session(symbol, known.day)
            if session is not None and now > session.open and not self._complete(known, symbol, session):
                jobs.append(Job(symbol, True, partial(self._ask_today, known, session)))
        return jobs

    def _complete(self, known: _Known, symbol: str, session: DaySession) -> bool:
        """Nothing is missing between its candles and what the feed keeps; or the day is over."""
        at = known.known_ns.get(symbol, 0)
        return at > session.close or at >= self.feed.whole_ns > 0

    async def _ask_today(
        self, known: _Known, session: DaySession, broker: UnifiedBrokerMiddleware, instrument: Instrument
    ) -> None:
        symbol, now = instrument.symbol, self._clock.now_ns()
        mine = known.today(symbol)
        start = max(session.open, int(mine.starts[-1]) - AGAIN) if mine else session.open
        found = await broker.candles(instrument, "1m", start, min(now, session.continuous_end - 1))
        fresh = found.between(session.open, session.continuous_end)
        known.candles[symbol] = Candles.of((mine.between(0, start), fresh)).packed()
        known.known_ns[symbol] = now

    def _of_past(self, known: _Known, symbols: Sequence[str]) -> list[Job]:
        return [
            Job(symbol, False, partial(self._ask_past, known, self._timeframes[symbol]))
            for symbol in dict.fromkeys(symbols)
            if symbol in self._timeframes and symbol not in known.past and self._session(symbol, known.day)
        ]

    async def _ask_past(
        self, known: _Known, timeframe: str, broker: UnifiedBrokerMiddleware, instrument: Instrument
    ) -> None:
        word, minutes, days = HISTORY[timeframe]
        first = known.day
        for _ in range(days):
            first = self._calendar.previous_trading_day(first)
        start, end = midnight_ns(first), midnight_ns(known.day) - MINUTE
        found = await broker.candles(instrument, word, start, end)
        use = self._within(instrument, found.between(0, end + 1))
        if use:  # one that has just been listed has no past
            known.past[instrument.symbol] = bar_file(instrument.symbol, broker.name, use, minutes * MINUTE)

    def _within(self, instrument: Instrument, candles: Candles) -> Candles:
        """Those of the hours in which our own bars are built: no pre-open, no closing auction."""
        sessions = (self._hours(instrument, day) for day in candles.days())
        return Candles.of(candles.between(one.open, one.continuous_end) for one in sessions if one is not None)

    async def _read(self, jobs: Sequence[Job]) -> tuple[list[Job], str]:
        """All of it from the primary, what it has not from the backup; what nobody had, and why."""
        missing, why = list(jobs), ""
        for broker in self.feed.brokers:
            listing = self._lists.get(broker.name)
            if missing and listing is not None:
                missing, told = await Reader(broker, listing, self._patience).read(missing)
                why = told or why
        return missing, why

    # --- telling ---

    def _session(self, symbol: str, day: date) -> DaySession | None:
        listing = self.listing
        instrument = listing.instruments.get(symbol) if listing else None
        return None if instrument is None else self._hours(instrument, day)

    def _hours(self, instrument: Instrument, day: date) -> DaySession | None:
        return day_session(day, segment_of(instrument.kind), instrument.closing_auction, self._calendar)

    def instruments(self, day: date) -> Callable[[str, Paise], Instrument] | None:
        """The broker's list, and for what it lacks what is known without one; None where there is none yet."""
        listing, store = self.listing, InstrumentStore(day, self._overrides)

        def instrument(symbol: str, price: Paise) -> Instrument:
            assert listing is not None
            known = listing.instruments.get(symbol)
            return store.build(symbol, day, price) if known is None else known

        return None if listing is None else instrument

    def ticks(self, day: date, symbols: Sequence[str]) -> list[TickFile]:
        """The day's prices as they were when ``prepare`` returned; empty files where nothing is known. Raises
        DataException for a day that nobody has prepared."""
        if day not in self._days:
            raise DataException(f"{self.name}: the prices of {day} were not fetched")
        known = self._days[day]
        return [
            tick_file(
                symbol, self.name, known.today(symbol), known.known_ns.get(symbol, 0),
                known.tape.get(symbol, ()), self._believed, traded=self._traded(symbol),
            )
            for symbol in dict.fromkeys(symbols)
        ]  # fmt: skip

    def _traded(self, symbol: str) -> bool:
        instrument = self.listing.instruments.get(symbol) if self.listing else None
        return instrument is None or instrument.tradable

    def history(self, day: date, symbols: Sequence[str]) -> list[TickFile | BarFile]:
        """Bars of the days before, of each symbol's own timeframe where the broker has it."""
        known = self._days.get(day, _Known(day))
        return [known.past[symbol] for symbol in dict.fromkeys(symbols) if symbol in known.past]

    def first_price(self, symbol: str) -> Paise:
        """The newest day's first price, else the last close before it, else the last price heard; 0 = none known."""
        for _, known in sorted(self._days.items(), reverse=True):
            if candles := known.today(symbol):
                return candles[0].open
            if (past := known.past.get(symbol)) is not None:
                return int(past.close[-1])
            if close := known.closes.get(symbol):
                return close
        return self.feed.ltp.price(symbol)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more
