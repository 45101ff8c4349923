"""What charts need of the day: candles of each symbol, averages of its strategy, the net of each minute.

Fed by the engine's prices, also those that a recovery plays again, so a restart loses nothing. Small: a minute of one
symbol takes about 60 bytes. Nothing here may hold up or stop trading: what fails is logged once, and there are no more
charts today.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

from otrade_bot.core.clock import MINUTE
from otrade_bot.core.money import Paise
from otrade_bot.kernel.candles import Candle, CandleAgg
from otrade_bot.research.drawings import Average
from otrade_bot.service.logs import get_logger
from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["DayTape"]


class _Track:
    """One symbol: its minutes, and what its strategy held at the end of each of its own bars."""

    __slots__ = ("_agg", "_columns", "_volume", "day_open", "lines", "moments", "names", "row")

    def __init__(self, row: int, day_open: int, names: Sequence[str]) -> None:
        self.row, self.day_open, self.names = row, day_open, names
        self._agg = CandleAgg(MINUTE, day_open)
        self._columns = tuple(array("q") for _ in range(6))
        self._volume = 0
        self.moments, self.lines = array("q"), tuple(array("d") for _ in names)

    def price(self, ts: int, price: Paise, volume: int) -> bool:
        """True where a minute has ended."""
        traded, self._volume = max(0, volume - self._volume), max(volume, self._volume)
        closed = self._agg.tick(ts, price, traded)
        for candle in closed:
            for column, value in zip(self._columns, candle, strict=True):
                column.append(value)
        return bool(closed)

    def minutes(self) -> Iterator[Candle]:
        """All of them, the last as far as it has come."""
        yield from zip(*self._columns, strict=True)
        yield from self._agg.standing()


class DayTape:
    """Of one engine's day; listens from its making."""

    def __init__(self, engine: LiveTradingEngine) -> None:
        self._engine = engine
        self._tracks: dict[str, _Track] = {}
        self._moments, self._nets = array("q"), array("q")
        self._due = 0  #: when the net is to be noted next
        self._broken = False
        engine.add_price_listener(self.price, past=self.price)

    def price(self, symbol: str, ts: int, price: Paise, volume: int) -> None:
        """Never raises: a price listener that does stops entries."""
        if self._broken:
            return
        try:
            track = self._tracks.get(symbol) or self._new(symbol)
            if track.price(ts, price, volume):
                self._look(track, ts - 1)  # the strategy has not seen this price yet
            if ts >= self._due:
                self._note(ts)
        except Exception as error:
            self._broken = True
            get_logger("error").error("there are no more charts today", error=repr(error))

    def candles(self, symbol: str, minutes: int) -> tuple[Candle, ...]:
        """Today's, counted from the day's open; the last one as far as it has come."""
        track = self._tracks.get(symbol)
        if track is None:
            return ()
        aggregate, found = CandleAgg(minutes * MINUTE, track.day_open), []
        for end, *prices, volume in track.minutes():
            o, h, low, c = prices
            found += aggregate.add(end - MINUTE, o, h, low, c, volume)
        return (*found, *aggregate.standing())

    def averages(self, symbol: str) -> tuple[Average, ...]:
        """What its strategy wants to be drawn, from bar to bar."""
        track = self._tracks.get(symbol)
        if track is None or self._broken:
            return ()
        self._look(track, self._engine.clock.now_ns())
        lines = (tuple(zip(track.moments, line, strict=True)) for line in track.lines)
        return tuple(Average(name, points) for name, points in zip(track.names, lines, strict=True) if points)

    def curve(self) -> list[tuple[int, int]]:
        """The net after charges: (ns, paise), one a minute, and now."""
        if self._moments and not self._broken:
            return [*zip(self._moments, self._nets, strict=True), (self._engine.clock.now_ns(), self._net)]
        return []

    def _new(self, symbol: str) -> _Track:
        engine = self._engine
        row = engine.by_symbol[symbol]
        strategy = engine.strategies.get(engine.table[row].strategy)
        track = _Track(row, engine.sessions[row].open, strategy.drawn if strategy else ())
        self._tracks[symbol] = track
        self._look(track, 0)
        return track

    def _look(self, track: _Track, now: int) -> None:
        """Note the averages as they have been since the last bar ended. What was held before the open is of then."""
        s, timeframe = self._engine.state[track.row], self._engine.table[track.row].timeframe_ns
        if not track.names or not int(s["bars"]):
            return
        ended = int(s["bar_from"] if s["bar_ticks"] else s["bar_end"]) if timeframe else now
        moment = max(ended, track.day_open)
        if track.moments and moment <= track.moments[-1]:
            return
        track.moments.append(moment)
        for line, name in zip(track.lines, track.names, strict=True):
            line.append(float(s[name]))

    def _note(self, ts: int) -> None:
        self._due = (ts // MINUTE + 1) * MINUTE
        self._moments.append(ts)
        self._nets.append(self._net)

    @property
    def _net(self) -> Paise:
        account = self._engine.account[0]
        return int(account["realised"] + account["unrealised"] - account["charges"])
