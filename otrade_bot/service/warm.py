"""Indicators from earlier days, so that a 200-bar average knows its trend at the open."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from otrade_bot.brokers.feeds import BarFile, TickFile
from otrade_bot.core.clock import at_ist, ist_date
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.candles import CandleAgg
from otrade_bot.trading.engine import LiveTradingEngine
from otrade_bot.trading.setup import row_session

__all__ = ["warm_up"]


def warm_up(engine: LiveTradingEngine, history: Sequence[TickFile | BarFile], today: date) -> int:
    """Feed the closed bars of days before ``today`` to the rows they belong to; returns how many.

    On the tick timeframe every price (or every bar's close) is a bar. Symbols that are not traded are left
    out, and so is everything of today and later.
    """
    engine.prepare(today)
    bars = 0
    for file in history:
        row = engine.by_symbol.get(file.symbol)
        if row is None or not engine.table[row].strategy:
            continue
        for candle in _candles(engine, row, file, today):
            _feed(engine, row, candle)
            bars += 1
    return bars


Candle = tuple[int, int, int, int, int, int]  # end ns, open, high, low, close in paise, volume


def _candles(engine: LiveTradingEngine, row: int, file: TickFile | BarFile, today: date) -> list[Candle]:
    timeframe = engine.table[row].timeframe_ns
    found: list[Candle] = []
    aggregate: CandleAgg | None = None
    current: date | None = None
    for end, o, h, low, c, volume in _pieces(file):
        day = ist_date(end - 1)
        if day >= today:
            break
        if timeframe == 0:
            found.append((end, o, h, low, c, volume))
            continue
        if day != current:
            found += aggregate.flush() if aggregate else []
            session = row_session(engine.table[row], day, engine.calendar)
            current, aggregate = day, CandleAgg(timeframe, session.open if session else at_ist(day, 9, 15))
        if aggregate is not None:
            found += aggregate.add(end - 1, o, h, low, c, volume)
    return found + (aggregate.flush() if aggregate else [])


def _pieces(file: TickFile | BarFile) -> list[Candle]:
    """A tick is a bar of one price; volume is what was traded since the last one."""
    if isinstance(file, BarFile):
        columns = (file.ts_end, file.open, file.high, file.low, file.close, file.volume)
        return list(zip(*(column.tolist() for column in columns), strict=True))
    volumes = file.volume.tolist()
    traded = [max(0, now - before) for before, now in zip([0, *volumes], volumes, strict=False)]
    return [(ts + 1, p, p, p, p, v) for ts, p, v in zip(file.ts.tolist(), file.price.tolist(), traded, strict=True)]


def _feed(engine: LiveTradingEngine, row: int, candle: Candle) -> None:
    end, o, h, low, c, volume = candle
    engine.deck.event(abi.BAR, row, ts=end, code=abi.WARM, value=o, high=h, low=low, price=c, qty=volume)
