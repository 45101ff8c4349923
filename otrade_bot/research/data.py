"""Recorded prices of many symbols and days, as the compiled replay takes them.

``load_files`` reads ticks and bars, CSV, Parquet and tapes, files and folders; ``Market.events(day)`` gives a day's
EVENT records over the rows of its symbols, in the order in which a live feed would have told them.

A bar is known by its start here, whichever end the file names: ``label`` says it, or it is seen from the data (bars
that begin the day at 9:15 are named by their start, at 9:15 and one length by their end). Days on which the exchange
was closed are left out and counted, unless they are asked for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from otrade_bot.brokers.feeds import BarFile, TickFile
from otrade_bot.brokers.feeds.ticks import Ints
from otrade_bot.core.clock import DAY, MINUTE, midnight_ns
from otrade_bot.core.errors import DataException
from otrade_bot.core.session import Calendar
from otrade_bot.kernel import state as abi
from otrade_bot.research.stamps import day_numbers
from otrade_bot.research.tables import Part, read_parts

__all__ = ["Label", "Market", "Prices", "files_of", "load_files"]

Array = npt.NDArray[Any]
Label = Literal["auto", "end", "start"]
Progress = Callable[[str, int, int], None]  #: what, how many of, how many

_OPEN, _CLOSE = 555 * MINUTE, 930 * MINUTE  # 9:15 and 15:30 from midnight
_EPOCH = date(1970, 1, 1)
_SUFFIXES = (".csv", ".parquet", ".pq", ".tape")
#: A cumulative volume falls now and then where a feed is dirty; one that falls this often counts each tick's own.
_FALLS = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Prices:
    """One symbol's prices, day after day. ``ts``: a tick's moment (within a day in the order recorded, which is not
    always that of time), or a bar's start (in order). ``length``: ns of a bar, 0 of ticks; ``span``: of each bar, which
    may be shorter at the end of a day. ``volume``: of a tick the day's so far, of a bar its own."""

    symbol: str
    length: int
    ts: Ints
    span: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    sources: tuple[str, ...]
    spots: Mapping[int, slice]  #: by the day's number since 1970

    @property
    def bars(self) -> bool:
        return self.length > 0

    def __len__(self) -> int:
        return len(self.ts)

    def on(self, day: date) -> slice:
        """Where a day's prices are; an empty slice on a day without any."""
        return self.spots.get(_number(day), slice(0, 0))

    def file(self, days: Iterable[date]) -> TickFile | BarFile:
        """These days alone, in the words of the feeds."""
        keep = np.concatenate([np.arange(len(self))[self.on(day)] for day in days] or [np.zeros(0, np.int64)])
        ts, source = self.ts[keep], ", ".join(self.sources)
        if not self.bars:
            return TickFile(self.symbol, source, ts, self.close[keep], self.volume[keep], len(keep))
        o, h, low, c, v = (column[keep] for column in (self.open, self.high, self.low, self.close, self.volume))
        return BarFile(self.symbol, source, ts + self.span[keep], o, h, low, c, v, len(keep), self.length)


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """``prices`` in the order of the rows. ``days``: those with a session, in order; ``closed``: the others that have
    prices, with the reason; ``dropped``: unusable lines and prices by reason; ``notes``: what a reader should know."""

    prices: tuple[Prices, ...]
    days: tuple[date, ...]
    closed: Mapping[date, str]
    lines: int
    dropped: Mapping[str, int]
    notes: tuple[str, ...] = ()
    before: tuple[date, ...] = field(default=())  #: sessions before the first of ``days``: they warm indicators up

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(one.symbol for one in self.prices)

    @property
    def bars(self) -> bool:
        return any(one.bars for one in self.prices)

    @property
    def length(self) -> int:
        """The longest bar, ns; 0 where all are ticks."""
        return max((one.length for one in self.prices), default=0)

    def first(self, day: date) -> dict[str, int]:
        """The first price of each symbol on a day, paise; symbols without any are left out."""
        spots = ((one, one.on(day)) for one in self.prices)
        return {one.symbol: int(one.open[spot][0]) for one, spot in spots if spot.stop > spot.start}

    def size(self, day: date) -> int:
        """How many ticks and bars a day has."""
        return sum(spot.stop - spot.start for spot in (one.on(day) for one in self.prices))

    def events(self, day: date, rows: Sequence[int] | None = None) -> Array:
        """A day's TICK and BAR events, merged in time; ``rows``: the row of each of ``prices``, if not its place.

        A tick is due at the latest time that its symbol has shown so far, so that a symbol keeps its own order even
        where its stamps go back; ties go by the order of the symbols.
        """
        parts = [_events(one, one.on(day), at if rows is None else rows[at]) for at, one in enumerate(self.prices)]
        events = np.concatenate(parts) if parts else np.zeros(0, abi.EVENT)
        due = np.concatenate([np.maximum.accumulate(part["ts"]) for part in parts]) if parts else events["ts"]
        return events[np.argsort(due, kind="stable")] if len(parts) > 1 else events

    def between(self, start: date | None, end: date | None) -> Market:
        """The same prices, traded on these days alone (both included). Raises DataException where none is left."""
        days = tuple(d for d in self.days if (start is None or d >= start) and (end is None or d <= end))
        if not days:
            have = f"{self.days[0]} to {self.days[-1]}" if self.days else "none"
            raise DataException(f"no trading day from {start or 'the first'} to {end or 'the last'}; there is: {have}")
        closed = {d: why for d, why in self.closed.items() if (start or d) <= d <= (end or d)}
        before = tuple(d for d in self.days if d < days[0])
        return Market(self.prices, days, closed, self.lines, self.dropped, self.notes, before)


def load_files(
    paths: Sequence[str | Path],
    *,
    calendar: Calendar | None = None,
    label: Label = "auto",
    all_days: bool = False,
    progress: Progress | None = None,
) -> Market:
    """Read files and folders of them. ``calendar``: what knows the trading days (default: the exchange's own);
    ``all_days``: days on which it has none count as regular sessions. Raises DataException."""
    if label not in ("auto", "end", "start"):
        raise ValueError(f"label must be auto, end or start, not {label!r}")
    files, parts = files_of(paths), []
    lines, dropped = 0, Counter[str]()
    for at, path in enumerate(files):
        if progress is not None:
            progress(path.name, at, len(files))
        found, table = read_parts(path)
        parts += found
        lines += table.lines
        dropped.update(table.dropped)
    if progress is not None:
        progress("", len(files), len(files))
    notes: list[str] = []
    prices = tuple(_joined(symbol, group, label, dropped, notes) for symbol, group in _by_symbol(parts).items())
    if not prices:
        raise DataException(f"{files[0]}: no price in {'it' if len(files) == 1 else 'these files'}")
    days, closed = _sessions(prices, calendar or Calendar(), all_days)
    if not days:
        told = ", ".join(f"{day} ({why})" for day, why in list(closed.items())[:3])
        raise DataException(
            f"{prices[0].sources[0]}: no price on a trading day: {told}; allowed: trading days, special_days of "
            "market.json, or --all-days"
        )
    return Market(prices, tuple(days), closed, lines, dict(sorted(dropped.items())), tuple(notes))


def files_of(paths: Sequence[str | Path]) -> list[Path]:
    """Files as they are, folders as the price files in them by name. Raises DataException."""
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = [one for one in path.rglob("*") if one.suffix.lower() in _SUFFIXES and one.is_file()]
            if not inside:
                raise DataException(f"{path}: no price file in this folder; allowed: *{', *'.join(_SUFFIXES)}")
            found += sorted(inside, key=_in_order)
        else:
            found.append(path)
    if not found:
        raise DataException("no price file given")
    return list(dict.fromkeys(found))


def _in_order(path: Path) -> tuple[list[str], list[int]]:
    """By name; numbers in it by their size, so that the tenth part of a day comes after the second."""
    return re.split(r"\d+", str(path)), [int(number) for number in re.findall(r"\d+", str(path))]


# --- one symbol ---


def _by_symbol(parts: Iterable[Part]) -> dict[str, list[Part]]:
    groups: dict[str, list[Part]] = {}
    for part in parts:
        groups.setdefault(part.symbol, []).append(part)
    return groups


def _joined(symbol: str, parts: list[Part], label: Label, dropped: Counter[str], notes: list[str]) -> Prices:
    """All files of a symbol as one. Raises DataException where some are ticks and some bars."""
    kinds = {part.bars for part in parts}
    if len(kinds) > 1:
        odd = next(part for part in parts if part.bars != parts[0].bars)
        raise DataException(f"{odd.source}: both ticks and bars of {symbol}; allowed: one of them")
    names = ("ts", "open", "high", "low", "close", "volume")
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    make = _bars if parts[0].bars else _ticks
    return make(symbol, columns, tuple(dict.fromkeys(part.source for part in parts)), parts, label, dropped, notes)


def _ticks(symbol: str, columns: dict[str, Ints], sources: tuple[str, ...], parts: list[Part], label: Label,
           dropped: Counter[str], notes: list[str]) -> Prices:  # fmt: skip
    days = day_numbers(columns["ts"])
    order = np.argsort(days, kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    spots = _spots(days[order])
    if _own_volumes(columns["volume"], spots, all(part.per_tick for part in parts)):
        for spot in spots.values():
            columns["volume"][spot] = np.cumsum(columns["volume"][spot])
        notes.append(f"{symbol}: the volume is taken as what each tick traded, not as the day's so far")
    return Prices(symbol, 0, span=np.zeros_like(columns["ts"]), sources=sources, spots=spots, **columns)


def _own_volumes(volume: Ints, spots: Mapping[int, slice], told: bool) -> bool:
    """The volume is each tick's own: the column's name says so, or it falls too often for the day's so far."""
    if told:
        return True
    steps = np.concatenate([np.diff(volume[spot]) for spot in spots.values()])
    steps = steps[steps != 0]
    return len(steps) >= 20 and bool((steps < 0).mean() > _FALLS)


def _bars(symbol: str, columns: dict[str, Ints], sources: tuple[str, ...], parts: list[Part], label: Label,
          dropped: Counter[str], notes: list[str]) -> Prices:  # fmt: skip
    length = _length(symbol, parts)
    start = columns["ts"] if _named_by(columns["ts"], length, label) == "start" else columns["ts"] - length
    _, first = np.unique(start, return_index=True)  # in order of time, of the same bar twice the first
    if len(first) < len(start):
        dropped["repeated_bar"] += len(start) - len(first)
    columns = {name: column[first] for name, column in (columns | {"ts": start}).items()}
    ts = columns["ts"]
    days = day_numbers(ts)
    # A day's last bar may be cut short, by its end or by the next one's beginning.
    follows = np.append(np.where(days[1:] == days[:-1], ts[1:], ts[:-1] + length), ts[-1] + length)
    close = midnight(days) + _CLOSE
    ends = np.minimum(ts + length, follows)
    ends = np.where((ts < close) & (ends > close) & (length > MINUTE), close, ends)
    return Prices(symbol, length, span=ends - ts, sources=sources, spots=_spots(days), **columns)


def midnight(days: Ints) -> Ints:
    """00:00 in India of days' numbers, ns UTC."""
    return days * DAY + midnight_ns(_EPOCH)


def _length(symbol: str, parts: Sequence[Part]) -> int:
    """Of the bars: the distance that most neighbours of a day have. Raises DataException for other than 1 to 60
    minutes, and where files differ."""
    lengths = {}
    for part in parts:
        ts = np.sort(part.ts)
        steps = np.diff(ts)[np.diff(day_numbers(ts)) == 0]
        steps = steps[steps > 0]
        if len(steps):
            values, counts = np.unique(steps, return_counts=True)
            lengths[part.source] = int(values[np.argmax(counts)])
        elif len(ts) > 1:
            raise DataException(f"{part.source}: one bar a day of {symbol}; allowed: bars of 1 to 60 minutes, or ticks")
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{source} {ns // MINUTE} min" for source, ns in lengths.items())
        raise DataException(f"bars of {symbol} are of different lengths: {told}")
    length = next(iter(lengths.values()), MINUTE)
    if length % MINUTE or not MINUTE <= length <= 60 * MINUTE:
        raise DataException(
            f"{parts[0].source}: bars of {length / MINUTE:g} minutes; allowed: 1 to 60 minutes, or ticks"
        )
    return length


def _named_by(ts: Ints, length: int, label: Label) -> str:
    """Which end of a bar its time names: what most days' first bars say, else their last ones."""
    if label != "auto":
        return label
    days = day_numbers(ts)
    clock = ts - midnight(days)
    inside = (clock >= _OPEN) & (clock <= _CLOSE)
    if not inside.any():
        return "end"
    days, clock = days[inside], clock[inside]
    order = np.lexsort((clock, days))
    days, clock = days[order], clock[order]
    edge = np.flatnonzero(np.diff(days))
    first, last = clock[np.append(0, edge + 1)], clock[np.append(edge, len(clock) - 1)]
    by_start, by_end = int((first == _OPEN).sum()), int((first == _OPEN + length).sum())
    if by_start == by_end:
        by_start, by_end = int((last == _CLOSE - length).sum()), int((last == _CLOSE).sum())
    return "start" if by_start > by_end else "end"


def _spots(days: Ints) -> dict[int, slice]:
    """Where each day is; ``days`` is in order."""
    edges = np.concatenate(([0], np.flatnonzero(np.diff(days)) + 1, [len(days)])).tolist()
    return {int(days[a]): slice(a, b) for a, b in pairwise(edges)}


# --- days ---


def _number(day: date) -> int:
    return (day - _EPOCH).days


def _sessions(prices: Sequence[Prices], calendar: Calendar, all_days: bool) -> tuple[list[date], dict[date, str]]:
    """Days with a session, and those that have prices and none, with the reason."""
    days: list[date] = []
    closed: dict[date, str] = {}
    for number in sorted({number for one in prices for number in one.spots}):
        day = _EPOCH + timedelta(days=number)
        why = "" if all_days else calendar.holiday_name(day)
        if why:
            closed[day] = why
        else:
            days.append(day)
    return days, closed


def _events(one: Prices, spot: slice, row: int) -> Array:
    """A symbol's day. A bar's ``leg`` is the day's volume before it."""
    events = np.zeros(spot.stop - spot.start, abi.EVENT)
    events["row"], events["ts"], events["price"] = row, one.ts[spot], one.close[spot]
    volume = one.volume[spot]
    events["qty"] = volume
    events["kind"] = abi.TICK
    if one.bars:
        events["kind"], events["cycle"] = abi.BAR, one.span[spot]
        events["value"], events["high"], events["low"] = one.open[spot], one.high[spot], one.low[spot]
        events["leg"] = np.cumsum(volume) - volume
    return events
