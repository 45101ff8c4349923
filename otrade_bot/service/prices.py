"""Where prices come from without a broker's account: made up for any day, or recorded in files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from otrade_bot.brokers.feeds import BarFile, Market, TickFile, read_any
from otrade_bot.brokers.feeds.ticks import Ints
from otrade_bot.brokers.instruments import classify
from otrade_bot.config.models import MarketConfig
from otrade_bot.core.clock import DAY, ist_date, midnight_ns
from otrade_bot.core.errors import DataException
from otrade_bot.core.model import Instrument, InstrumentKind
from otrade_bot.core.money import Paise
from otrade_bot.service.day import outliers

__all__ = ["PriceSource", "Replay", "Simulated"]

#: Warm a 200-bar average on hourly bars, of which a day has six or seven.
HISTORY_DAYS = 40
#: A day counts where a file has this part of its fullest day's lines; less is a misread date.
LEAST = 0.01
_EPOCH = midnight_ns(date(1970, 1, 1))
F = TypeVar("F", TickFile, BarFile)


class PriceSource(Protocol):
    """Prices by day and symbol, the same at every asking."""

    @property
    def name(self) -> str:
        """``simulated`` or ``replay``: said in every message."""
        ...

    @property
    def identity(self) -> str:
        """Equal where the prices are the same."""
        ...

    @property
    def said(self) -> Sequence[str]:
        """What the last ``prepare`` could not get, for humans."""
        ...

    def days(self) -> Sequence[date]:
        """The days there are, oldest first; none where any day will do."""
        ...

    async def prepare(self, day: date, symbols: Sequence[str]) -> None:
        """Fetch what ``ticks``, ``history`` and ``instruments`` of that day will tell. Raises BrokerException."""
        ...

    def instruments(self, day: date) -> Callable[[str, Paise], Instrument] | None:
        """The day's own list: (symbol, a price of it in paise, 0 = none known) to instrument, raising
        ConfigException; None where nobody keeps one."""
        ...

    def ticks(self, day: date, symbols: Sequence[str]) -> list[TickFile]:
        """That day's prices, a file a symbol, under the symbols' own names. Raises DataException."""
        ...

    def history(self, day: date, symbols: Sequence[str]) -> list[TickFile | BarFile]:
        """What is known of earlier days, oldest first for each symbol: warms indicators up."""
        ...


class Simulated:
    """Made-up prices of any symbol on any trading day, in that day's own hours; see ``brokers.feeds.market``.

    ``market`` holds the calendar and the corrections of instruments. The same seed gives the same prices.
    """

    name = "simulated"
    said = ()

    def __init__(self, seed: int = 1, market: MarketConfig | None = None, history_days: int = HISTORY_DAYS) -> None:
        market = market or MarketConfig()
        self._market = Market(seed, market.calendar(), market.instrument_overrides())
        self._history_days = history_days

    @property
    def identity(self) -> str:
        return f"simulated, seed {self._market.seed}"

    def days(self) -> Sequence[date]:
        return ()

    async def prepare(self, day: date, symbols: Sequence[str]) -> None:
        """Nothing to fetch."""

    def instruments(self, day: date) -> None:
        """Nobody keeps a list."""

    def ticks(self, day: date, symbols: Sequence[str]) -> list[TickFile]:
        """Raises DataException on a day without a session."""
        return [self._market.day(symbol, day) for symbol in dict.fromkeys(symbols)]

    def history(self, day: date, symbols: Sequence[str]) -> list[TickFile | BarFile]:
        found: list[TickFile | BarFile] = []
        for symbol in dict.fromkeys(symbols):
            found += self._market.before(symbol, day, self._history_days)
        return found


class Replay:
    """Recorded ticks (CSV, the symbol is the file's stem, of one day or several), and bars beside them.

    A name in a file's stem has no exchange: ``NIFTY26NOVFUT.csv`` serves NFO:NIFTY26NOVFUT, and an index is
    known by any of its spellings. Raises DataException: a file that cannot be read or is no price file,
    no ticks at all, a symbol's day in two files.
    """

    name = "replay"
    said = ()

    def __init__(self, files: Sequence[Path]) -> None:
        if not files:
            raise DataException("replay: no files are named (brokers.json: replay.files)")
        self._files = list(files)
        self._ticks: dict[str, dict[date, TickFile]] = defaultdict(dict)
        self._bars: dict[str, dict[date, BarFile]] = defaultdict(dict)
        for path in self._files:
            self._take(read_any(path))
        if not self._ticks:
            raise DataException(f"replay: only bars in {self._names()}; a day is played from timestamp,ltp,volume")

    @property
    def identity(self) -> str:
        return "replay of " + ", ".join(str(path.resolve()) for path in self._files)

    def days(self) -> list[date]:
        """Those of which there are ticks."""
        return sorted({day for days in self._ticks.values() for day in days})

    async def prepare(self, day: date, symbols: Sequence[str]) -> None:
        """Read already."""

    def instruments(self, day: date) -> None:
        """Files hold prices alone."""

    def ticks(self, day: date, symbols: Sequence[str]) -> list[TickFile]:
        """Those of the symbols that have any. Raises DataException where none has."""
        wanted = {symbol: self._ticks.get(_key(symbol), {}) for symbol in symbols}
        if day not in self.days():
            raise DataException(f"replay: no prices on {day}; {self._names()} hold {_listed(self.days())}")
        found = [_part(days[day], symbol, day, days) for symbol, days in wanted.items() if day in days]
        if not found:
            known = sorted(days[day].symbol for days in self._ticks.values() if day in days)
            raise DataException(
                f"replay: none of {_listed(symbols)} has prices on {day}; {self._names()} hold {_listed(known)}"
            )
        return found

    def history(self, day: date, symbols: Sequence[str]) -> list[TickFile | BarFile]:
        """The last days before ``day``: of each its ticks, or else its bars."""
        found: list[TickFile | BarFile] = []
        for symbol in dict.fromkeys(symbols):
            ticks, bars = self._ticks.get(_key(symbol), {}), self._bars.get(_key(symbol), {})
            past = sorted(d for d in {*ticks, *bars} if d < day)[-HISTORY_DAYS:]
            found += [_clean(ticks[d], symbol, d) if d in ticks else _bars_of(bars[d], symbol, d) for d in past]
        return found

    def _take(self, file: TickFile | BarFile) -> None:
        """Enter a file under each of its days."""
        if isinstance(file, TickFile):
            _enter(self._ticks[_key(file.symbol)], file, file.ts)
        else:
            _enter(self._bars[_key(file.symbol)], file, file.ts_end - 1)

    def _names(self) -> str:
        return _listed([path.name for path in self._files])


def _enter(known: dict[date, F], file: F, ts: Ints) -> None:
    days, counts = np.unique((ts - _EPOCH) // DAY, return_counts=True)
    for number in days[counts >= LEAST * counts.max()].tolist():
        day = ist_date(_EPOCH + number * DAY)
        if day in known:
            raise DataException(f"replay: two files hold {file.symbol} on {day}: {known[day].source}, {file.source}")
        known[day] = file


def _key(symbol: str) -> str:
    """The name without its exchange, an index by its official one."""
    kind, root = classify(symbol)
    return root if kind is InstrumentKind.INDEX else symbol.partition(":")[2].upper()


def _on(ts: Ints, day: date) -> npt.NDArray[np.bool_]:
    start = midnight_ns(day)
    on: npt.NDArray[np.bool_] = (ts >= start) & (ts < start + DAY)
    return on


def _part(file: TickFile, symbol: str, day: date, days: Iterable[date]) -> TickFile:
    """The file less its other days; misread dates stay in it, to be counted where the stream is made."""
    use = np.ones(len(file), bool)
    for other in days:
        if other != day:
            use &= ~_on(file.ts, other)
    kept = int(use.sum())
    lines = kept + sum(file.dropped.values())
    return TickFile(symbol, file.source, file.ts[use], file.price[use], file.volume[use], lines, file.dropped)


def _clean(file: TickFile, symbol: str, day: date) -> TickFile:
    """One past day without misread clocks, in the order of time."""
    on = np.flatnonzero(_on(file.ts, day))
    on = on[~outliers(file.ts[on])]
    on = on[np.argsort(file.ts[on], kind="stable")]
    return TickFile(symbol, file.source, file.ts[on], file.price[on], file.volume[on], len(on))


def _bars_of(file: BarFile, symbol: str, day: date) -> BarFile:
    on = np.flatnonzero(_on(file.ts_end - 1, day))
    on = on[np.argsort(file.ts_end[on], kind="stable")]
    return BarFile(
        symbol, file.source, file.ts_end[on], file.open[on], file.high[on], file.low[on], file.close[on],
        file.volume[on], len(on), file.length,
    )  # fmt: skip


def _listed(names: Iterable[object]) -> str:
    """The first few, and how many more."""
    known = [str(name) for name in names]
    more = f" and {len(known) - 6} more" if len(known) > 6 else ""
    return ", ".join(known[:6]) + more
