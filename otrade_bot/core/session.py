"""What the exchange does at a moment: a pure function of (ns UTC, segment, closing auction) and a calendar.

The timetables below are effective-dated, so that a day of 2021 is judged by the hours of 2021. Sources:
NSE FAQ of 1 Jul 2026 (pre-open from 7 Sep 2026), NSE/CMTR/74466 and 73362 (closing auction from 3 Aug
2026), NSE/FAOP/74467 (derivatives to 15:40). Holidays come from the ``holidays`` library, corrected by
the calendar's own entries (``market.json``).

Known to fall short: before 18 Oct 2010 the exchange opened at 9:00; the futures' own pre-open is not
modelled (no order of ours leaves before 9:15 anyway); random closes count at their latest moment.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from functools import cache, lru_cache
from types import MappingProxyType
from typing import NamedTuple

from otrade_bot.core.clock import DAY, MINUTE, SECOND, ist_date, midnight_ns
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.imports import sparse
from otrade_bot.core.model import InstrumentKind, OrderType

__all__ = [
    "AUCTION_FROM",
    "Calendar",
    "DaySession",
    "EntryTimes",
    "Phase",
    "Segment",
    "SessionKind",
    "SpecialSession",
    "SquareOffRule",
    "day_session",
    "intraday_times",
    "order_fault",
    "phase_at",
    "segment_of",
    "session_kind",
]


class Segment(StrEnum):
    EQUITY = "equity"
    FNO = "fno"


class Phase(StrEnum):
    """CLOSED: outside the hours of a trading day. HOLIDAY: no session at all that day (weekends too)."""

    CLOSED = "closed"
    HOLIDAY = "holiday"
    PRE_OPEN_ENTRY = "pre_open_entry"  #: limit and market orders are collected
    PRE_OPEN_LIMIT = "pre_open_limit"  #: limit orders only
    PRE_OPEN_MATCH = "pre_open_match"
    PRE_OPEN_BUFFER = "pre_open_buffer"  #: no orders; opens at 9:15
    OPEN = "open"
    CAS_REFERENCE = "cas_reference"  #: the reference price is computed: no orders
    CAS_ENTRY = "cas_entry"  #: limit and market orders are collected
    CAS_LIMIT = "cas_limit"  #: limit orders only
    CAS_MATCH = "cas_match"
    POST_CLOSE = "post_close"  #: trades at the closing price

    @property
    def continuous(self) -> bool:
        """Orders of every type trade normally."""
        return self is Phase.OPEN

    @property
    def pre_open(self) -> bool:
        """Before the open of a trading day, with the open less than 15 minutes away."""
        return self.value.startswith("pre_open")

    @property
    def closing_auction(self) -> bool:
        """Between the end of continuous trading and the end of the closing auction."""
        return self.value.startswith("cas_")

    @property
    def shut(self) -> bool:
        """Nothing happens, and nothing is about to."""
        return self in (Phase.CLOSED, Phase.HOLIDAY)

    @property
    def words(self) -> str:
        """As a trader says it."""
        return _WORDS.get(self, self.value)


_WORDS: Mapping[Phase, str] = {
    Phase.PRE_OPEN_ENTRY: "pre-open",
    Phase.PRE_OPEN_LIMIT: "pre-open, limit orders",
    Phase.PRE_OPEN_MATCH: "pre-open, matching",
    Phase.PRE_OPEN_BUFFER: "pre-open, just before the open",
    Phase.CAS_REFERENCE: "closing auction, reference price",
    Phase.CAS_ENTRY: "closing auction, order entry",
    Phase.CAS_LIMIT: "closing auction, limit orders",
    Phase.CAS_MATCH: "closing auction, matching",
    Phase.POST_CLOSE: "post-close",
}


class SessionKind(StrEnum):
    """Which timetable, and so which square-off rule, holds for an instrument on a day."""

    AUCTION = "auction"
    EQUITY = "equity"
    FNO = "fno"


#: First day of the closing auction.
AUCTION_FROM = date(2026, 8, 3)
_PRE_OPEN_FROM = date(2026, 9, 7)


def _at(text: str) -> int:
    """'09:15' -> minute of the day."""
    return int(text[:2]) * 60 + int(text[3:])


Steps = tuple[tuple[int, Phase], ...]


def _steps(*pairs: tuple[str, Phase]) -> Steps:
    return tuple((_at(text), phase) for text, phase in pairs)


_OLD_PRE_OPEN = _steps(
    ("09:00", Phase.PRE_OPEN_ENTRY), ("09:08", Phase.PRE_OPEN_MATCH), ("09:12", Phase.PRE_OPEN_BUFFER)
)
_NEW_PRE_OPEN = _steps(
    ("09:00", Phase.PRE_OPEN_ENTRY),
    ("09:05", Phase.PRE_OPEN_LIMIT),
    ("09:10", Phase.PRE_OPEN_MATCH),
    ("09:12", Phase.PRE_OPEN_BUFFER),
)
_FNO_PRE_OPEN = _steps(("09:00", Phase.PRE_OPEN_BUFFER))
_OLD_EQUITY = _steps(
    ("09:15", Phase.OPEN), ("15:30", Phase.CLOSED), ("15:40", Phase.POST_CLOSE), ("16:00", Phase.CLOSED)
)
_NEW_EQUITY = _steps(
    ("09:15", Phase.OPEN), ("15:30", Phase.CLOSED), ("15:50", Phase.POST_CLOSE), ("16:00", Phase.CLOSED)
)
_AUCTION = _steps(
    ("09:15", Phase.OPEN),
    ("15:15", Phase.CAS_REFERENCE),
    ("15:20", Phase.CAS_ENTRY),
    ("15:25", Phase.CAS_LIMIT),
    ("15:30", Phase.CAS_MATCH),
    ("15:35", Phase.CLOSED),
    ("15:50", Phase.POST_CLOSE),
    ("16:00", Phase.CLOSED),
)
_OLD_FNO = _steps(("09:15", Phase.OPEN), ("15:30", Phase.CLOSED))
_NEW_FNO = _steps(("09:15", Phase.OPEN), ("15:40", Phase.CLOSED))

#: The system's own outer window for entries on a regular day.
_WINDOW = (_at("09:15"), _at("15:30"))


def segment_of(kind: InstrumentKind) -> Segment:
    """Futures and options are FNO; shares and indices keep the hours of the cash market."""
    return Segment.FNO if kind in (InstrumentKind.FUTURE, InstrumentKind.OPTION) else Segment.EQUITY


def session_kind(day: date, segment: Segment, closing_auction: bool) -> SessionKind:
    """The timetable of that day: an eligible share had ordinary hours before the auction began."""
    if segment is Segment.FNO:
        return SessionKind.FNO
    return SessionKind.AUCTION if closing_auction and day >= AUCTION_FROM else SessionKind.EQUITY


@lru_cache(maxsize=64)
def _timetable(day: date, kind: SessionKind) -> Steps:
    """(minute, phase from then on) of a regular day, from midnight."""
    newer = day >= AUCTION_FROM
    if kind is SessionKind.FNO:
        before, main = _FNO_PRE_OPEN, _NEW_FNO if newer else _OLD_FNO
    else:
        before = _NEW_PRE_OPEN if day >= _PRE_OPEN_FROM else _OLD_PRE_OPEN
        main = _AUCTION if kind is SessionKind.AUCTION else _NEW_EQUITY if newer else _OLD_EQUITY
    return ((0, Phase.CLOSED), *before, *main)


# --- the calendar -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SpecialSession:
    """Trading on a day, or at hours, out of the ordinary.

    ``full``: the regular timetable. Else ``open`` and ``close`` are minutes of the day (18:00 = 1080);
    both None means the exchange has announced the session but not its hours: closed until they are known.
    """

    name: str
    full: bool = False
    open: int | None = None
    close: int | None = None

    def __post_init__(self) -> None:
        hours = (self.open, self.close)
        if self.full and hours != (None, None):
            raise ConfigException("a full session has no hours of its own", key=self.name)
        if (self.open is None) != (self.close is None):
            raise ConfigException("a session needs both open and close", key=self.name)
        if self.open is not None and self.close is not None and not 0 <= self.open <= self.close - 5 < 1435:
            raise ConfigException("a session opens at least 5 minutes before it closes", key=self.name)

    @property
    def trades(self) -> bool:
        return self.full or self.open is not None


@cache
def _library(year: int) -> Mapping[date, str]:
    """The library's holidays of a year, empty where it knows none. Costs 30 ms once, 0.5 ms a year."""
    with sparse("holidays.financial", "holidays.countries"):  # the other 270 places of the world: 8 MB
        import holidays  # only where a calendar is asked

        return MappingProxyType(dict(holidays.financial_holidays("XNSE", years=year).items()))


@dataclass(frozen=True, slots=True, eq=False)
class Calendar:
    """Trading days of NSE. ``closed`` and ``regular`` correct the library; ``special`` goes before all."""

    closed: Mapping[date, str] = field(default_factory=dict)
    regular: frozenset[date] = frozenset()
    special: Mapping[date, SpecialSession] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        holidays_off: Mapping[date, str | None] | None = None,
        special_open: Mapping[date, SpecialSession] | None = None,
    ) -> Calendar:
        """``holidays_off``: further holidays by name; None says that the library's holiday is none."""
        off = holidays_off or {}
        return cls(
            MappingProxyType({day: name for day, name in off.items() if name is not None}),
            frozenset(day for day, name in off.items() if name is None),
            MappingProxyType(dict(special_open or {})),
        )

    def holiday_name(self, day: date) -> str:
        """Why there is no session on ``day``; '' on a trading day."""
        special = self.special.get(day)
        if special is not None:
            return "" if special.trades else f"{special.name} (hours not known)"
        if day in self.closed:
            return self.closed[day]
        if day.weekday() >= 5:
            return day.strftime("%A")
        return "" if day in self.regular else _library(day.year).get(day, "")

    def is_trading_day(self, day: date) -> bool:
        return not self.holiday_name(day)

    def next_trading_day(self, day: date) -> date:
        """The first trading day after ``day``. Raises ConfigException where there is none for 60 days."""
        return self._search(day, 1)

    def previous_trading_day(self, day: date) -> date:
        """The last trading day before ``day``. Raises ConfigException where there is none for 60 days."""
        return self._search(day, -1)

    def _search(self, day: date, step: int) -> date:
        for count in range(1, 61):
            found = day + timedelta(days=step * count)
            if self.is_trading_day(found):
                return found
        raise ConfigException("no trading day within 60 days", key="holidays", value=day.isoformat())


# --- a day, a moment --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DaySession:
    """One day of one kind of instrument. Times in ns UTC.

    ``pre_open`` <= ``open`` < ``continuous_end`` <= ``close`` (end of the closing auction, where there is
    one; the post-close session comes later). ``phases``: (start, end, phase), which tile the whole day
    from midnight to midnight IST. ``regular_end``: where continuous trading ends on a regular day then.
    """

    day: date
    kind: SessionKind
    special: bool
    pre_open: int
    open: int
    continuous_end: int
    close: int
    regular_end: int
    phases: tuple[tuple[int, int, Phase], ...]

    def phase(self, ns: int) -> Phase:
        """The phase at a moment of this day; CLOSED at any other moment."""
        spot = bisect_right(self.phases, ns, key=lambda part: part[0]) - 1
        if spot < 0 or ns >= self.phases[spot][1]:
            return Phase.CLOSED
        return self.phases[spot][2]


@lru_cache(maxsize=128)  # asked at every order; a calendar never changes and is its own key
def day_session(day: date, segment: Segment, closing_auction: bool, calendar: Calendar) -> DaySession | None:
    """The session of ``day``; None where there is none."""
    if not calendar.is_trading_day(day):
        return None
    kind = session_kind(day, segment, closing_auction)
    regular = _timetable(day, kind)
    special = calendar.special.get(day)
    if special is None or special.open is None or special.close is None:
        return _session(day, kind, regular, regular, special=False)
    short = ((0, Phase.CLOSED), (special.open, Phase.OPEN), (special.close, Phase.CLOSED))
    return _session(day, kind, short if special.open else short[1:], regular, special=True)


def _session(day: date, kind: SessionKind, steps: Steps, regular: Steps, *, special: bool) -> DaySession:
    midnight = midnight_ns(day)
    starts = [midnight + minute * MINUTE for minute, _ in steps]
    ends = [*starts[1:], midnight + DAY]
    phases = tuple((start, end, step[1]) for start, end, step in zip(starts, ends, steps, strict=True))
    opens = next(start for start, _, phase in phases if phase is Phase.OPEN)
    return DaySession(
        day=day,
        kind=kind,
        special=special,
        pre_open=min(start for start, _, phase in phases if phase.pre_open or phase is Phase.OPEN),
        open=opens,
        continuous_end=next(end for _, end, phase in phases if phase is Phase.OPEN),
        close=max(end for _, end, phase in phases if phase is Phase.OPEN or phase.closing_auction),
        regular_end=midnight + _open_until(regular) * MINUTE,
        phases=phases,
    )


def _open_until(steps: Steps) -> int:
    spot = next(index for index, step in enumerate(steps) if step[1] is Phase.OPEN)
    return steps[spot + 1][0]


def phase_at(ns: int, segment: Segment, closing_auction: bool, calendar: Calendar) -> Phase:
    """What the exchange does at ``ns`` (UTC) for such an instrument."""
    session = day_session(ist_date(ns), segment, closing_auction, calendar)
    return Phase.HOLIDAY if session is None else session.phase(ns)


def order_fault(phase: Phase, order_type: OrderType) -> str:
    """'' where the system may send an order of this type in this phase, else why not.

    The closing auction takes limit and market orders, then limit orders; no stop orders. The system
    sends nothing before 9:15 and nothing into the post-close session.
    """
    if phase is Phase.OPEN:
        return ""
    if phase is Phase.CAS_ENTRY and order_type in (OrderType.MARKET, OrderType.LIMIT):
        return ""
    if phase is Phase.CAS_LIMIT and order_type is OrderType.LIMIT:
        return ""
    if phase.closing_auction:
        return f"the closing auction ({phase.value}) takes no {order_type.value} order"
    return f"the market is not open ({phase.value})"


# --- when to enter, when to leave -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SquareOffRule:
    """Minutes of a regular day: no entries from ``entries_stop``, out at ``exit`` (14:55 = 895)."""

    entries_stop: int
    exit: int

    def __post_init__(self) -> None:
        if not _WINDOW[0] < self.entries_stop < self.exit < 1440:
            raise ConfigException(
                "entries must stop before the square-off",
                key="square_off",
                allowed="09:15 < entries_stop < exit",
            )


class EntryTimes(NamedTuple):
    """ns UTC. Entries from <= t < stop; ``square_off`` 0 = positions are kept overnight."""

    entries_from: int
    entries_stop: int
    square_off: int


def intraday_times(session: DaySession, rule: SquareOffRule | None) -> EntryTimes:
    """When to enter and when to leave; ``rule`` None is for products that are kept overnight.

    A rule counts as a distance from the regular end of continuous trading of that day, so that a session
    at other hours keeps the same distance from its own end: at most a third (exit) and two thirds
    (entries) of its length. On regular days entries keep to the system's own window 9:15-15:30.
    """
    start, stop = _entry_window(session)
    if rule is None:
        return EntryTimes(start, stop, 0)
    midnight, length = midnight_ns(session.day), session.continuous_end - session.open
    most = (length // 3, 2 * length // 3) if session.special else (length - 2 * SECOND, length - SECOND)
    leave = _between(session.regular_end - midnight - rule.exit * MINUTE, SECOND, most[0])
    last = _between(session.regular_end - midnight - rule.entries_stop * MINUTE, leave + SECOND, most[1])
    end = session.continuous_end
    return EntryTimes(start, min(end - last, stop), end - leave)


def _entry_window(session: DaySession) -> tuple[int, int]:
    if session.special:
        return session.open, session.continuous_end
    midnight = midnight_ns(session.day)
    start, stop = (midnight + minute * MINUTE for minute in _WINDOW)
    return max(start, session.open), min(stop, session.continuous_end)


def _between(value: int, least: int, most: int) -> int:
    return max(least, min(value, most))
