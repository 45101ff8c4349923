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
from otrade_bot.kernel.quotes import Quote
from otrade_bot.research.drawings import Average
from otrade_bot.service.logs import get_logger
from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["DayTape"]


class _Track:
    """One symbol: its minutes, and what its strategy held at the end of each of its own bars. ``end`` to ``volume`` are
    of the minute that is being built; ``volume`` is the day's, ``before`` what of it earlier minutes had."""

    __slots__ = (
        "_columns", "before", "close", "day_open", "end", "high", "lines", "low", "moments", "names", "open", "quote",
        "row", "volume",
    )  # fmt: skip

    def __init__(self, row: int, day_open: int, names: Sequence[str], quote: Quote) -> None:
        self.row, self.day_open, self.names, self.quote = row, day_open, names, quote
        self._columns = tuple(array("q") for _ in range(6))
        self.end = self.open = self.high = self.low = self.close = self.volume = self.before = 0
        self.moments, self.lines = array("q"), tuple(array("d") for _ in names)

    def turn(self, ts: int, price: Paise, volume: int) -> None:
        """The minute ends, and another one begins with this price; bounded as ``CandleAgg`` does it."""
        self.gather()
        for candle in self._standing():
            for column, value in zip(self._columns, candle, strict=True):
                column.append(value)
        self.before, self.volume = self.volume, max(self.volume, volume)
        self.end = max(self.end, self.day_open + (ts - self.day_open) // MINUTE * MINUTE) + MINUTE
        self.open = self.high = self.low = self.close = price
        self.quote.until = self.end

    def gather(self) -> None:
        """What has passed unheard since the minute began, or since this was asked last."""
        q = self.quote
        if q.minute_close:
            self.high, self.low = max(self.high, q.minute_high), min(self.low, q.minute_low)
            self.close, self.volume = q.minute_close, max(self.volume, q.minute_volume)
            q.minute_high = q.minute_low = q.minute_close = q.minute_volume = 0

    def minutes(self) -> Iterator[Candle]:
        """All of them, the last as far as it has come."""
        self.gather()
        yield from zip(*self._columns, strict=True)
        yield from self._standing()

    def _standing(self) -> Iterator[Candle]:
        if self.end:
            yield self.end, self.open, self.high, self.low, self.close, self.volume - self.before


class DayTape:
    """Of one engine's day; listens from its making."""

    def __init__(self, engine: LiveTradingEngine) -> None:
        self._engine = engine
        self._tracks: dict[str, _Track] = {}
        self._moments, self._nets = array("q"), array("q")
        self._due = 0  #: when the net is to be noted next
        self._broken = False
        for row in engine.table:
            row.quote.until = 1
        engine.add_price_listener(self.price, past=self.price, restless=tuple)

    def price(self, symbol: str, ts: int, price: Paise, volume: int) -> None:
        """Never raises: a price listener that does stops entries. Most prices change one bar, and cost nearly
        nothing; those within a minute may pass unheard."""
        track = self._tracks.get(symbol)
        if track is None or ts >= track.end or ts >= self._due:
            self._slowly(symbol, ts, price, volume)
            return
        if track.quote.minute_close:
            track.gather()
        if price > track.high:
            track.high = price
        elif price < track.low:
            track.low = price
        track.close = price
        if volume > track.volume:
            track.volume = volume

    def _slowly(self, symbol: str, ts: int, price: Paise, volume: int) -> None:
        """The first price of a symbol, of a minute, or of the whole table in a minute."""
        if self._broken:
            return
        try:
            if ts >= self._due:
                self._note(ts)
            track = self._tracks.get(symbol) or self._new(symbol)
            if ts < track.end:
                self.price(symbol, ts, price, volume)
                return
            track.turn(ts, price, volume)
            self._look(track, ts - 1)  # the strategy has not seen this price yet
        except Exception as error:
            self._broken = True
            for row in self._engine.table:
                row.quote.until = 0
            get_logger("error").error("there are no more charts today", error=repr(error))

    def candles(self, symbol: str, minutes: int) -> tuple[Candle, ...]:
        """Today's, counted from the day's open; the last one as far as it has come."""
        track = self._tracks.get(symbol)
        if track is None or self._broken:
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
        drawn = strategy.drawn if strategy else ()
        track = _Track(row, engine.sessions[row].open, drawn, engine.table[row].quote)
        self._tracks[symbol] = track
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
