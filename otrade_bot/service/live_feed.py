"""From the brokers' streams to the engine: one price at a time, at its own moment, from the broker that has prices.

The backup listens all the time and says nothing, until the primary falls silent or goes away in market hours; it
gives way again when the primary has been steady for a while. Orders have nothing to do with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

from otrade_bot.brokers.feeds.minutes import Heard
from otrade_bot.brokers.ltp import LTPStore
from otrade_bot.brokers.middleware import UnifiedBrokerMiddleware
from otrade_bot.brokers.stream import StreamState
from otrade_bot.brokers.streams import LivePrice, Wanted
from otrade_bot.control.views_checks import Check
from otrade_bot.core.clock import MINUTE, SECOND, Clock, ist_date
from otrade_bot.core.lang import t
from otrade_bot.core.session import Calendar, Segment, day_session
from otrade_bot.service.heard import HeardTape, Told
from otrade_bot.trading.deck import SPARE
from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["FeedAge", "LiveFeed"]

#: An exchange's stamp that is older than this tells when the price was; a younger one is rounded to the second.
SNAPSHOT = 5 * SECOND
GLANCE = SECOND // 4
#: A day's prices are moved apart by less than this: what has come within it is of the desk's own time already.
INSTANT = 10_000
#: Prices that are kept for a day that is being opened, at most: a quarter of an hour of 200 instruments.
HELD = 200_000


@dataclass(frozen=True, slots=True)
class FeedAge:
    """One broker's prices, for /status and doctor."""

    broker: str
    active: bool
    state: StreamState
    why: str  #: of the state
    age_s: float | None  #: of the last price; None where none has come
    prices: int  #: that have come


class _Line:
    """One broker's stream as it is heard here."""

    def __init__(self, broker: UnifiedBrokerMiddleware) -> None:
        self.broker = broker
        self.state, self.why = broker.streams.prices, ""
        self.live_ns = 0  #: since when it is live
        self.heard_ns = 0
        self.steady_ns = 0  #: since when nothing is wrong with it; 0 = something is
        self.renewals = 0  #: connections made anew since its last price
        self.renewed_ns = 0
        self.prices = 0

    @property
    def name(self) -> str:
        return self.broker.name


class LiveFeed:
    """Takes over ``on_prices`` and ``on_state`` of both brokers, which are run by somebody else. What the engine raises
    over a price comes out there.

    ``alert`` (None: the engine's) is told when prices come from somewhere else. ``on_state`` (broker, stream, state,
    why) passes on what the brokers tell of their streams. Prices wait while no engine is bound.
    """

    def __init__(
        self,
        primary: UnifiedBrokerMiddleware,
        backup: UnifiedBrokerMiddleware | None = None,
        *,
        clock: Clock,
        calendar: Calendar,
        alert: Callable[[str], None] | None = None,
        silent_s: float = 15.0,
        steady_s: float = 30.0,
    ) -> None:
        self.ltp = LTPStore()
        self._alert = alert
        self.on_state: Callable[[str, str, StreamState, str], None] = lambda broker, stream, state, why: None
        self._clock, self._calendar = clock, calendar
        self._silent, self._steady = round(silent_s * SECOND), round(steady_s * SECOND)
        self._lines = [_Line(broker) for broker in (primary, backup) if broker is not None]
        self._active = self._lines[0]
        self._engine: LiveTradingEngine | None = None
        self._rows: dict[str, int] = {}
        self._seats: tuple[Wanted, int] | None = None  #: whose tokens the engine's deck knows, and their turn
        self._whole = False  #: frames can be taken whole
        self._keyed = False  #: they are Upstox's, by key
        self._tape = HeardTape()  #: what has come while a day is being opened
        self._taken = 0  #: so many of it are in that day already
        self._recording = True
        self._whole_ns = 0  #: since when nothing is missing on the tape; 0 = the stream is down
        self._looked = 0
        self._untold: list[str] = []
        for line in self._lines:
            line.broker.on_prices = partial(self._prices, line)
            line.broker.on_frame = partial(self._frame, line)
            line.broker.on_state = partial(self._state, line)

    @property
    def brokers(self) -> list[UnifiedBrokerMiddleware]:
        """The primary, then the backup where there is one."""
        return [line.broker for line in self._lines]

    @property
    def name(self) -> str:
        """The primary's: said in every message."""
        return self._lines[0].name

    @property
    def active(self) -> str:
        """Whose prices count now."""
        return self._active.name

    # --- the engine ---

    def record(self) -> None:
        """A day is about to be opened: what comes from now on is kept for it, also while another desk trades."""
        if not self._recording:
            self._recording, self._taken = True, 0
            self._tape.clear()
            self.ltp.forget_moments()  # the clock may have been set back
            self._begin()

    def release(self) -> None:
        """The desk is closed: prices wait for the next one."""
        self._engine, self._seats = None, None
        self.ltp.leave()
        self.record()

    def take(self, day: date) -> Told:
        """What has come of ``day`` since ``whole_ns``, by symbol in order; ``bind`` gives what is not among it."""
        self._taken = self._tape.before(self._clock.now_ns() - INSTANT)
        return self._tape.told(self._taken if self._whole_ns > 0 else 0, self._whole_ns, day)

    @property
    def whole_ns(self) -> int:
        """Since when every price is kept for the day that is being opened; 0 = none is."""
        return self._whole_ns if self._recording else 0

    def bind(self, engine: LiveTradingEngine) -> None:
        """The recovered engine of the desk that is open: first of all it gets what has come since ``take``."""
        self._rows, self._seats = dict(engine.by_symbol), None
        self.ltp.leave()
        for row in engine.table:
            self.ltp.seat(row.instrument.symbol, row.quote)
            row.quote.ts = max(row.quote.ts, row.ts_ns)
        self.ltp.count_anew()
        engine.deck.head.snapshot = SNAPSHOT
        self._engine, waiting = engine, self._tape.rest(self._taken)
        self._recording, self._taken = False, 0
        self._tape.clear()
        untold, self._untold = self._untold, []
        for text in untold:
            self._tell(text)
        for symbol, heard in waiting:
            self._give(symbol, heard)

    # --- what comes ---

    def _frame(self, line: _Line, frame: bytes) -> bool:
        """A frame of prices, all at once, where nothing else than the engine wants them. A torn one is left to the
        decoder, which says what is wrong with it."""
        engine = self._quick(line)
        if engine is None:
            return False
        now, before = self._clock.now_ns(), engine.deck.head.told
        try:
            return engine.on_frame(frame, now, upstox=self._keyed)
        finally:
            self._heard(line, now, engine.deck.head.told - before)

    def _heard(self, line: _Line, now: int, prices: int) -> None:
        if prices:
            line.heard_ns, line.renewals = now, 0
            line.prices += prices

    def _quick(self, line: _Line) -> LiveTradingEngine | None:
        """The engine, where frames may go to it as they are."""
        engine = self._engine
        if engine is None or engine.retired or self._recording or line is not self._active:
            return None
        wanted = line.broker.streams.wanted
        if self._seats != (wanted, wanted.turn):
            self._seats = wanted, wanted.turn
            rows = self._seated(engine, wanted.symbols)
            engine.deck.listen(rows)
            self._whole, self._keyed = bool(rows), isinstance(next(iter(rows), 0), str)
        return engine if self._whole else None

    def _seated(self, engine: LiveTradingEngine, symbols: Mapping[Any, tuple[str, ...]]) -> dict[Any, int]:
        """A row of the quotes for each token or key; none at all where one stands for two names, or there are too
        many that are not traded."""
        others = sorted({name for names in symbols.values() for name in names} - self._rows.keys())
        if any(len(names) > 1 for names in symbols.values()) or len(others) > SPARE:
            return {}
        places = {name: place for place, name in enumerate(others, start=len(engine.table))}
        for name in others:
            self.ltp.quote(name).leave()
        for name, place in places.items():
            engine.deck.seat(self.ltp.quote(name), place)
        rows = self._rows | places
        return {key: rows[name] for key, (name,) in symbols.items()}

    def _prices(self, line: _Line, prices: list[LivePrice]) -> None:
        now = self._clock.now_ns()
        line.heard_ns, line.renewals = now, 0
        line.prices += len(prices)
        if line is not self._active:
            if now - self._looked >= GLANCE:
                self.look()
            if line is not self._active:
                return
        self.ltp.take(prices, now)
        for told in prices:
            if told.ltp > 0:
                self._price(told, now)

    def _price(self, told: LivePrice, now: int) -> None:
        stamp = told.exchange_ts_ns
        moment = stamp if stamp and now - stamp > SNAPSHOT else now
        quote = self.ltp.quote(told.symbol)
        quote.ts = moment = max(moment, quote.ts + 1)
        heard = Heard(moment, told.ltp, told.volume)
        if self._recording:
            self._keep(now, told.symbol, heard)
        self._give(told.symbol, heard)

    def _keep(self, now: int, symbol: str, heard: Heard) -> None:
        if len(self._tape) >= HELD:
            self._tape.clear()
            self._taken, self._whole_ns = 0, now
        self._tape.keep(now, symbol, heard)

    def _begin(self) -> None:
        """Nothing is missing from here on."""
        self._whole_ns = self._clock.now_ns() if self._active.state is StreamState.LIVE else 0

    def _give(self, symbol: str, heard: Heard) -> None:
        engine, row = self._engine, self._rows.get(symbol)
        if engine is not None and row is not None and not self._no_trade(engine, row, heard):
            engine.on_price(row, heard.ts, heard.price, self._volume(engine, row, heard.volume))

    def _no_trade(self, engine: LiveTradingEngine, row: int, heard: Heard) -> bool:
        """Yesterday's price, before anything is traded; or a change of the order book at the last price, where that
        would begin a bar: an exchange's candle begins with a trade."""
        known = engine.table[row]
        before = known.quote.told
        if heard.volume:
            known.quote.told = heard.volume
        if not known.instrument.tradable:
            return False  # an index has no volume
        if not heard.volume:
            return not before and not known.volume
        if heard.price != known.ltp or before not in (0, heard.volume) or not known.timeframe_ns:
            return False
        state = engine.state[row]
        return not state["bar_ticks"] or heard.ts >= int(state["bar_end"])

    def _volume(self, engine: LiveTradingEngine, row: int, told: int) -> int:
        """The day's, going on from what the engine has: candles and the other broker count a little differently."""
        quote = engine.table[row].quote
        if not told:
            return quote.volume
        if not quote.has_more:
            early = self._clock.now_ns() < engine.sessions[row].open + MINUTE  # then all of it is the first bar's
            quote.has_more, quote.more = 1, 0 if early and not quote.volume else quote.volume - told
        return max(0, told + quote.more)

    def _state(self, line: _Line, stream: str, state: StreamState, why: str) -> None:
        if stream == "prices":
            line.state, line.why = state, why
            line.live_ns = self._clock.now_ns() if state is StreamState.LIVE else 0
            if line is self._active:
                self._begin()  # after a gap candles know better than the tape
            self.look()
        self.on_state(line.name, stream, state, why)

    # --- which broker ---

    def look(self) -> None:
        """Whose prices count now? Asked where a stream changes, and while the broker that stands by has prices."""
        now = self._looked = self._clock.now_ns()
        opened = self._opened(now)
        faults = [self._fault(line, now, opened) for line in self._lines]
        for line, fault in zip(self._lines, faults, strict=True):
            line.steady_ns = 0 if fault else line.steady_ns or now
            if opened and fault and line.state is StreamState.LIVE:
                self._renew(line, now)
        if opened:
            self._choose(faults, now)

    def _renew(self, line: _Line, now: int) -> None:
        """A connection that is up and tells nothing is made anew, ever more rarely: it may be forgotten there."""
        if now - line.renewed_ns >= self._silent << min(line.renewals, 6):
            line.renewals, line.renewed_ns = line.renewals + 1, now
            line.broker.streams.renew_prices()

    def _choose(self, faults: list[str], now: int) -> None:
        first = self._lines[0]
        if self._active is not first and not faults[0] and now - first.steady_ns >= self._steady:
            self._turn_to(first, f"prices come from {first.name} again")
        elif faults[self._lines.index(self._active)]:
            why = faults[self._lines.index(self._active)]
            for line, fault in zip(self._lines, faults, strict=True):
                if line is not self._active and not fault and line.heard_ns >= now - self._silent:
                    self._turn_to(line, f"prices come from {line.name} now: {why}")
                    return

    def _turn_to(self, line: _Line, text: str) -> None:
        self._active = line
        self.ltp.count_anew()
        self._begin()
        self._tell(text)

    def _tell(self, text: str) -> None:
        if self._alert is not None:
            self._alert(text)
        elif self._engine is not None:
            self._engine.alert(text)
        else:
            self._untold.append(text)

    def _fault(self, line: _Line, now: int, opened: int) -> str:
        """Why a broker's prices cannot be relied on; '' where they can."""
        if line.state is not StreamState.LIVE:
            return f"{line.name}'s stream is {line.state}" + (f" ({line.why})" if line.why else "")
        since = max(line.heard_ns, 0 if line.renewals else line.live_ns, opened)
        if opened and now - since >= self._silent:
            return f"{line.name} has told no price for {(now - since) // SECOND} s"
        return ""

    def _opened(self, now: int) -> int:
        """Since when somebody trades; 0 where nobody does now."""
        if self._engine is not None and self._engine.sessions:
            sessions = list(self._engine.sessions.values())
        else:
            session = day_session(ist_date(now), Segment.EQUITY, False, self._calendar)
            sessions = [session] if session else []
        return max((one.open for one in sessions if one.open <= now < one.continuous_end), default=0)

    # --- for those who ask ---

    def fault(self) -> str:
        """Why there are no fresh prices in market hours; '' where there are, and outside of them."""
        now = self._clock.now_ns()
        opened = self._opened(now)
        return self._fault(self._active, now, opened) if opened else ""

    def said(self) -> str:
        """Both brokers in a line: "kite is offline (HTTP 502), last price 21 s ago; upstox ..."."""
        return "; ".join(_words(age) for age in self.ages())

    def ages(self) -> list[FeedAge]:
        """The primary's, then the backup's."""
        now = self._clock.now_ns()
        return [
            FeedAge(
                line.name, line is self._active, line.state, line.why,
                max(0, now - line.heard_ns) / SECOND if line.heard_ns else None, line.prices,
            )
            for line in self._lines
        ]  # fmt: skip

    def checks(self) -> list[Check]:
        """For /health: one line a broker."""
        now = self._clock.now_ns()
        opened = self._opened(now)
        return [self._check(line, age, now, opened) for line, age in zip(self._lines, self.ages(), strict=True)]

    def _check(self, line: _Line, age: FeedAge, now: int, opened: int) -> Check:
        fault = self._fault(line, now, opened)
        heard = t("no price yet") if age.age_s is None else t("last price {age} s ago", age=f"{age.age_s:.0f}")
        role = t("in use") if age.active else t("standing by")
        return Check(t("Prices {broker}", broker=line.name), not fault, f"{role}; {fault or heard}")


def _words(age: FeedAge) -> str:
    why = f" ({age.why})" if age.why else ""
    heard = "no price yet" if age.age_s is None else f"last price {age.age_s:.0f} s ago"
    return f"{age.broker} is {age.state}{why}, {heard}"
