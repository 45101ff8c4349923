"""A broker's list of instruments of the day: fetched once, kept on the disk, doubted where it is short.

Kept files are an aid: without one the list is fetched, without an answer the newest kept one serves, and that
is said. Of derivatives only those of the underlyings that are asked for are kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import gzip
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from otrade_bot.brokers.base import BrokerInterface
from otrade_bot.brokers.instruments import checked, classify, completed
from otrade_bot.brokers.upstox.assets import ROOT, Found, UpstoxAssets
from otrade_bot.core.clock import Clock, at_ist, ist_date
from otrade_bot.core.errors import BrokerException, ConfigException
from otrade_bot.core.model import Instrument, InstrumentKind

__all__ = ["FOLDER", "Listing", "Listings"]

FOLDER = "instruments"  #: in the state folder
#: Brokers make the day's list before this (IST): one that was fetched earlier may be yesterday's.
MADE = (8, 35)
#: Days (a long weekend) for which a kept list is a yardstick, and serves where there is no newer one.
USABLE = 5
CASH = frozenset({"NSE", "BSE"})
_NAME = re.compile(r"(?P<broker>[a-z]+)-(?P<day>\d{4}-\d{2}-\d{2})\.json\.gz")


@dataclass(frozen=True)
class Listing:
    """A broker's instruments of ``day``. ``keys``: Upstox's instrument key by symbol, '' at Kite. ``said``: what is
    wrong with it, for humans; '' where nothing is."""

    day: date
    instruments: Mapping[str, Instrument]
    keys: Mapping[str, str]
    broker: str = ""
    said: str = ""

    def resolve(self, symbol: str) -> Instrument:
        """Under the symbol that was asked for. Raises ConfigException, with the names that come near."""
        found = self.instruments.get(symbol)
        if found is None and (other := _alias(symbol)) in self.instruments:
            found = replace(self.instruments[other], symbol=symbol)
        if found is None:
            raise ConfigException(
                f"is not in {self.broker or 'the broker'}'s list of instruments of {self.day}", file="trading.json",
                key="instruments", value=symbol, allowed=self._near(symbol),
            )  # fmt: skip
        return found

    def only(self, symbols: Iterable[str]) -> Listing:
        """These alone: all of an exchange is thousands."""
        wanted = [symbol for symbol in dict.fromkeys(symbols) if symbol in self.instruments]
        known = {symbol: self.instruments[symbol] for symbol in wanted}
        return replace(self, instruments=known, keys={s: self.keys[s] for s in wanted if s in self.keys})

    def _near(self, symbol: str) -> str:
        exchange, _, name = symbol.rpartition(":")
        same = [known for known in self.instruments if known.startswith(f"{exchange}:")]
        near = difflib.get_close_matches(symbol, same, 3, 0.7)
        near += [f"{other}:{name}" for other in ("NSE", "BSE") if f"{other}:{name}" in self.instruments]
        return f"did you mean {', '.join(dict.fromkeys(near))}?" if near else "an instrument that is traded there"


@dataclass(frozen=True, slots=True)
class _Scope:
    """What of a broker's list is kept: whole exchanges, of those of derivatives these underlyings."""

    exchanges: frozenset[str]
    roots: frozenset[str]

    @classmethod
    def of(cls, symbols: Iterable[str]) -> _Scope:
        exchanges, roots = {"NSE"}, set()
        for symbol in symbols:
            exchange = symbol.partition(":")[0]
            exchanges.add(exchange)
            if exchange not in CASH:
                roots.add(classify(symbol)[1])
        return cls(frozenset(exchanges), frozenset(roots))

    def takes(self, exchange: str, root: str) -> bool:
        return exchange in CASH or root in self.roots

    def covers(self, other: _Scope) -> bool:
        return self.exchanges >= other.exchanges and self.roots >= other.roots


@dataclass(slots=True)
class _Kept:
    """A list as it stands on the disk."""

    broker: str
    day: date
    fetched_ns: int
    scope: _Scope
    counts: dict[str, int]  #: rows that the broker told of each exchange
    instruments: dict[str, Instrument] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    auction_told: bool = False

    def packed(self) -> bytes:
        rows = [[*astuple(one), self.keys.get(symbol, "")] for symbol, one in self.instruments.items()]
        document = {
            "broker": self.broker, "day": self.day.isoformat(), "fetched_ns": self.fetched_ns,
            "exchanges": sorted(self.scope.exchanges), "roots": sorted(self.scope.roots), "counts": self.counts,
            "auction_told": self.auction_told, "rows": rows,
        }  # fmt: skip
        return gzip.compress(orjson.dumps(document), 6, mtime=0)

    @classmethod
    def read(cls, path: Path) -> _Kept:
        """Raises whatever is wrong with the file."""
        told = orjson.loads(gzip.decompress(path.read_bytes()))
        found = cls(
            told["broker"], date.fromisoformat(told["day"]), int(told["fetched_ns"]),
            _Scope(frozenset(told["exchanges"]), frozenset(told["roots"])), dict(told["counts"]),
            auction_told=bool(told["auction_told"]),
        )  # fmt: skip
        for symbol, token, kind, *rest, key in told["rows"]:
            found.instruments[symbol] = Instrument(symbol, token, InstrumentKind(kind), *rest)
            found.keys[symbol] = key
        return found


class Listings:
    """``folder`` is made where it is missing. ``overrides``: the ``instruments`` of ``market.json``."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        overrides: Mapping[str, Mapping[str, Any]] | None = None,
        assets_root: str = ROOT,
        assets: UpstoxAssets | None = None,
    ) -> None:
        """Raises ConfigException for a wrong override."""
        self._folder, self._clock = folder, clock
        self._overrides = checked(overrides or {})
        self._assets = assets or UpstoxAssets(assets_root)

    async def today(self, broker: BrokerInterface, day: date, symbols: Iterable[str] = ()) -> Listing:
        """The list of ``day`` with these symbols in it as far as the broker knows them.

        One that is short (less than half of the one before, or without a symbol that was there) is not taken: the one
        before serves, for some days. Raises BrokerException where there is neither a fresh nor a kept one.
        """
        wanted = list(dict.fromkeys(symbols))
        scope = _Scope.of(wanted)
        kept = await asyncio.to_thread(self._newest, broker.name, day)
        if kept is not None and kept.scope.covers(scope) and self._fresh(kept, day):
            return self._listing(kept, wanted)
        try:
            fetched = await self._fetch(broker, day, scope)
        except BrokerException as error:
            # Where it covers what is asked for, a name that is not in it is no name.
            if kept is None or not (kept.scope.covers(scope) or all(_find(kept, symbol) for symbol in wanted)):
                raise
            return self._listing(kept, wanted, str(error))
        if kept is not None and (fault := _short(fetched, kept, wanted)):
            return self._listing(kept, wanted, fault)
        fault = await asyncio.to_thread(self._keep, fetched)
        return replace(self._listing(fetched, wanted), said=fault)

    def _fresh(self, kept: _Kept, day: date) -> bool:
        made = at_ist(day, *MADE)
        return kept.day == day and (kept.fetched_ns >= made or self._clock.now_ns() < made)

    # --- from the broker ---
    async def _fetch(self, broker: BrokerInterface, day: date, scope: _Scope) -> _Kept:
        now = self._clock.now_ns()
        if broker.name == "upstox":
            found = await self._assets.read(scope.exchanges, scope.takes)
        else:
            rows = await broker.instruments(*sorted(scope.exchanges))
            found = await asyncio.to_thread(_sorted, rows, scope)
        if not found.instruments:
            raise BrokerException(f"{broker.name}: the list of instruments is empty")
        return _Kept(
            broker.name, day, now, scope, dict(found.counts), found.instruments, found.keys, found.auction_told
        )

    # --- on the disk ---
    def _newest(self, broker: str, day: date) -> _Kept | None:
        """The newest that can be read, of ``day`` or shortly before."""
        for path, of in sorted(self._files(broker), key=lambda one: one[1], reverse=True):
            if 0 <= (day - of).days <= USABLE:
                with contextlib.suppress(Exception):  # a torn file is none
                    return _Kept.read(path)
        return None

    def _files(self, broker: str) -> Iterator[tuple[Path, date]]:
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                name = _NAME.fullmatch(path.name)
                if name is not None and name["broker"] == broker:
                    with contextlib.suppress(ValueError):
                        yield path, date.fromisoformat(name["day"])

    def _keep(self, fetched: _Kept) -> str:
        """Replace the day's file, delete those that are of no use any more. '' or why it is not kept."""
        path = self._folder / f"{fetched.broker}-{fetched.day}.json.gz"
        beside = path.with_name(f"{path.name}.tmp")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(fetched.packed())
            os.replace(beside, path)
            for other, of in list(self._files(fetched.broker)):
                if abs((fetched.day - of).days) > USABLE:
                    other.unlink(missing_ok=True)
        except OSError as error:
            return f"the list of instruments is not kept: {path}: {error.strerror}"
        return ""

    # --- to those who ask ---
    def _listing(self, kept: _Kept, wanted: Iterable[str], fault: str = "") -> Listing:
        known = {
            symbol: self._overridden(completed(one, auction_told=kept.auction_told))
            for symbol, one in kept.instruments.items()
        }
        keys = dict(kept.keys)
        for symbol in wanted:
            if symbol not in known and (other := _alias(symbol)) in known:
                known[symbol], keys[symbol] = self._overridden(replace(known[other], symbol=symbol)), keys[other]
        when = "an earlier one of today" if kept.day == ist_date(self._clock.now_ns()) else f"that of {kept.day:%d %b}"
        text = f"{kept.broker}'s list of instruments is not today's newest: {fault}; {when} is used" if fault else ""
        return Listing(kept.day, known, keys, kept.broker, text)

    def _overridden(self, one: Instrument) -> Instrument:
        fields = self._overrides.get(one.symbol)
        return replace(one, **fields) if fields else one


def _sorted(rows: Iterable[Instrument], scope: _Scope) -> Found:
    """Kite's rows by symbol; of derivatives those of the underlyings wanted."""
    found, counts = Found(), Counter[str]()
    for one in rows:
        counts[one.exchange] += 1
        if one.exchange in scope.exchanges and scope.takes(one.exchange, one.name or classify(one.symbol)[1]):
            found.instruments[one.symbol], found.keys[one.symbol] = one, ""
    found.counts = dict(counts)
    return found


def _short(fetched: _Kept, kept: _Kept, wanted: Iterable[str]) -> str:
    """'' where the new list may be believed, measured by the one before, else why not."""
    for exchange in sorted(fetched.scope.exchanges & kept.scope.exchanges):
        now, then = fetched.counts.get(exchange, 0), kept.counts.get(exchange, 0)
        if now * 2 < then:
            return f"it has {now} rows of {exchange}, {then} on {kept.day:%d %b}"
    gone = [symbol for symbol in wanted if _find(kept, symbol) is not None and _find(fetched, symbol) is None]
    return f"{', '.join(gone[:6])} {'is' if len(gone) == 1 else 'are'} missing in it" if gone else ""


def _find(kept: _Kept, symbol: str) -> Instrument | None:
    return kept.instruments.get(symbol) or kept.instruments.get(_alias(symbol))


def _alias(symbol: str) -> str:
    """The name that a list has for it: an index by its official one, a share without ``-EQ``."""
    exchange, _, name = symbol.partition(":")
    kind, root = classify(symbol)
    return f"{exchange}:{root}" if kind is InstrumentKind.INDEX else f"{exchange}:{name.removesuffix('-EQ')}"
