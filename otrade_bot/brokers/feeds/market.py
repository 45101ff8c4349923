"""Made-up prices of any symbol on any trading day, and bars of the days before it.

Every share and index lives through one of the five stories of ``regimes``, each day another variation of
it, loud and quiet by turns, from where it opens to where the next day opens. Futures and options follow
what they are derived from.
All of it depends on seed, day and symbol alone, not on what else is asked for.

The five DEMO stocks have the days and the history of ``synthetic``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np

from otrade_bot.brokers.feeds.history import demo_history
from otrade_bot.brokers.feeds.regimes import STOCKS, Stock
from otrade_bot.brokers.feeds.synthetic import (
    DAY_SECONDS,
    Floats,
    Hours,
    Profile,
    Value,
    demo_day,
    levels,
    make,
    second_of,
)
from otrade_bot.brokers.feeds.ticks import BarFile, Ints, TickFile
from otrade_bot.brokers.feeds.worth import chance, opening, option_price, story_of, strike_of, underlying
from otrade_bot.brokers.instruments import InstrumentStore, classify
from otrade_bot.core.clock import MINUTE, SECOND
from otrade_bot.core.errors import DataException
from otrade_bot.core.model import InstrumentKind
from otrade_bot.core.session import Calendar, DaySession, day_session, segment_of

__all__ = ["Market"]

_DEMO = {f"NSE:{stock.name}": number for number, stock in enumerate(STOCKS)}
_CALM = 0.3  #: how far an index goes where a share goes by 1
_QUIET = 0.3  #: how far a story goes on its quiet days
_CARRY = 1.0035  #: a future over what it is derived from
_FINE_DAYS = 2  #: so many of the last days of a history are minutes, those before pieces of five
_FINE, _COARSE = MINUTE, 5 * MINUTE
_WITHIN = np.array([0.05, 0.35, 0.65, 0.95])  # where a bar of the past looks at its story


@dataclass(frozen=True, slots=True)
class _Scene:
    """One symbol on one day."""

    symbol: str
    day: date
    session: DaySession
    hours: Hours
    stock: Stock
    name: str  #: of the share or index that moves it
    tick: int
    lot: int
    untraded: bool
    calm: float  #: how far prices go, a share's 1
    size: float  #: how far the story goes
    net: float  #: percent from the open to the close, of what moves it
    value: Value


class Market:
    """``calendar`` says which days and hours there are, ``overrides`` are those of ``market.json``."""

    def __init__(
        self, seed: int, calendar: Calendar | None = None, overrides: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        self.seed = seed
        self.calendar = calendar or Calendar()
        self._overrides = overrides or {}

    def day(self, symbol: str, day: date, profile: Profile | None = None) -> TickFile:
        """Ticks from the open to the end of the session; on regular days to 15:30 at least, also where
        continuous trading stops earlier. Raises DataException on a day without a session."""
        profile = profile or Profile()
        scene = self._scene(symbol, day)
        if symbol in _DEMO:
            return demo_day(_DEMO[symbol], day, self.seed, profile, scene.hours)
        story = self._story(scene, np.arange(DAY_SECONDS + 1, dtype=np.float64))
        rng = self._generator("ticks", symbol, day)
        calm = replace(profile, noise=profile.noise * scene.calm)
        ts, price, volume = make(scene.stock, story, rng, calm, scene.hours, scene.value, scene.tick)
        traded = np.zeros_like(volume) if scene.untraded else volume // scene.lot * scene.lot
        return TickFile(symbol, f"simulated, seed {self.seed}", ts, price, traded, len(ts))

    def before(self, symbol: str, day: date, days: int) -> list[BarFile]:
        """Bars of the ``days`` trading days before ``day``: of five minutes, the last days' of one. Where a
        day ends the next one, and at last ``day`` itself, goes on."""
        if symbol in _DEMO:
            minutes = demo_history(_DEMO[symbol], day, self.seed, days)
            return _thinned(minutes, _FINE_DAYS * DAY_SECONDS // 60)
        past: list[date] = []
        while len(past) < days:
            past.append(self.calendar.previous_trading_day(past[-1] if past else day))
        fine, coarse = past[:_FINE_DAYS][::-1], past[_FINE_DAYS:][::-1]
        found = [self._bars(symbol, some, length) for some, length in ((coarse, _COARSE), (fine, _FINE))]
        return [file for file in found if file is not None]

    def _scene(self, symbol: str, day: date) -> _Scene:
        kind, name = underlying(symbol)
        spot, coming = (opening(kind, name, self.seed, date.fromordinal(day.toordinal() + k)) for k in (0, 1))
        value = _value(symbol, kind, spot, day)
        start = float(value(np.zeros(1), np.zeros(1))[0])
        store = InstrumentStore(day, self._overrides)
        instrument = store.build(symbol, day, round(start))
        # Where the bands of tick sizes meet, the coarser one, whichever way the first price falls.
        tick = max(store.build(symbol, day, round(start * near)).tick for near in (0.99, 1.01))
        session = day_session(day, segment_of(instrument.kind), instrument.closing_auction, self.calendar)
        if session is None:
            raise DataException(f"{symbol}: no session on {day}: {self.calendar.holiday_name(day)}")
        length = (session.continuous_end - session.open) // SECOND
        regular = Hours(session.open, max(length, DAY_SECONDS))
        hours = Hours.short(session.open, length) if session.special else regular
        stock = STOCKS[story_of(name)]
        calm = _CALM if kind is InstrumentKind.INDEX else 1.0
        loud = session.special or (day.toordinal() + story_of(name)) % 2
        share = instrument.kind is InstrumentKind.EQUITY
        traded = round(stock.shares * stock.price / start) if share else 60_000 * instrument.lot
        if not share:  # these neither halt nor are they misprinted
            stock = replace(stock, halt=None, bad_print=None)
        return _Scene(
            symbol=symbol, day=day, session=session, hours=hours, name=name, tick=tick, lot=instrument.lot,
            stock=replace(stock, shares=min(max(traded, 30_000), 10**9)),
            untraded=instrument.kind is InstrumentKind.INDEX, calm=calm, size=calm if loud else calm * _QUIET,
            net=100 * (coming * (1 + 0.003 * (2 * chance("gap", self.seed, name, day) - 1)) / spot - 1), value=value,
        )  # fmt: skip

    def _story(self, scene: _Scene, seconds: Floats) -> Floats:
        """Percent from the open at ``seconds`` of the story's day. It ends near where tomorrow begins."""
        rng = self._generator("story", scene.name, scene.day)
        told = scene.size * levels(scene.stock, rng, np.append(seconds, DAY_SECONDS))
        drift: Floats = told[:-1] + (scene.net - told[-1]) * seconds / DAY_SECONDS
        return drift

    def _generator(self, purpose: str, name: str, day: date) -> np.random.Generator:
        key = int(chance(purpose, name) * 2**53)
        return np.random.Generator(np.random.PCG64([self.seed % 2**64, key, day.toordinal()]))

    def _bars(self, symbol: str, days: Sequence[date], length: int) -> BarFile | None:
        """Bars of ``length`` ns; an index has no volume."""
        made = [self._day_bars(self._scene(symbol, day), length) for day in days]
        if not made:
            return None
        ends, points, volume = (np.concatenate(parts) for parts in zip(*made, strict=True))
        return BarFile(
            symbol, f"simulated, seed {self.seed}", ends, points[:, 0].copy(), points.max(axis=1),
            points.min(axis=1), points[:, -1].copy(), volume, len(ends), length,
        )  # fmt: skip

    def _day_bars(self, scene: _Scene, length: int) -> tuple[Ints, Ints, Ints]:
        """Ends, some prices within each bar, volumes of one past day: its story as told, with less noise."""
        session, stock = scene.session, scene.stock
        number = np.arange(-(-(session.continuous_end - session.open) // length))
        elapsed = (number[:, None] + _WITHIN).ravel() * (length / SECOND)
        seconds = scene.hours.story_second(elapsed)
        rng = self._generator("bars", scene.symbol, scene.day)
        path = self._story(scene, seconds) + rng.normal(0.0, 0.05 * scene.calm, len(seconds))
        worth = scene.value(path, elapsed / scene.hours.seconds)
        points = np.maximum(np.rint(worth / scene.tick).astype(np.int64), 1) * scene.tick
        ends = np.minimum(session.open + (number + 1) * length, session.continuous_end)
        volume = rng.poisson(stock.shares / len(number), len(number)) // scene.lot * scene.lot
        first, last = (second_of(clock) for clock in stock.halt) if stock.halt else (0, 0)
        keep = ((seconds < first) | (seconds >= last)).reshape(-1, len(_WITHIN)).any(axis=1)
        return ends[keep], points.reshape(-1, len(_WITHIN))[keep], (volume * (not scene.untraded))[keep]


def _value(symbol: str, kind: InstrumentKind, spot: float, day: date) -> Value:
    """How the symbol follows what moves it."""
    own, strike = classify(symbol)[0], strike_of(symbol)
    if own is InstrumentKind.OPTION and strike is not None:
        return lambda path, gone: option_price(strike, spot * (1 + path / 100), kind, day, gone)
    level = spot * (_CARRY if own is InstrumentKind.FUTURE else 1.0)
    return lambda path, _: level * (1 + path / 100)


def _thinned(minutes: BarFile, fine: int) -> list[BarFile]:
    """All but the last ``fine`` minutes in pieces of five; no day ends within one."""
    old, whole = slice(0, len(minutes) - fine), slice(len(minutes) - fine, None)
    pieces = {
        "ts_end": minutes.ts_end[old][4::5], "open": minutes.open[old][::5], "close": minutes.close[old][4::5],
        "high": minutes.high[old].reshape(-1, 5).max(axis=1), "low": minutes.low[old].reshape(-1, 5).min(axis=1),
        "volume": minutes.volume[old].reshape(-1, 5).sum(axis=1),
    }  # fmt: skip
    last = {name: getattr(minutes, name)[whole] for name in pieces}
    files = [
        BarFile(minutes.symbol, minutes.source, lines=len(part["ts_end"]), length=length, **part)
        for part, length in ((pieces, _COARSE), (last, _FINE))
    ]
    return [file for file in files if len(file)]
