"""Indicators from earlier days, so that a 200-bar average knows its trend at the open."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import partial

from otrade_bot.brokers.feeds import BarFile, TickFile
from otrade_bot.core.clock import at_ist
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.candles import Candle
from otrade_bot.trading.engine import LiveTradingEngine
from otrade_bot.trading.history import closed_bars
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
        for candle in closed_bars(file, engine.table[row].timeframe_ns, partial(_opens, engine, row), today):
            _feed(engine, row, candle)
            bars += 1
    return bars


def _opens(engine: LiveTradingEngine, row: int, day: date) -> int:
    session = row_session(engine.table[row], day, engine.calendar)
    return session.open if session else at_ist(day, 9, 15)


def _feed(engine: LiveTradingEngine, row: int, candle: Candle) -> None:
    end, o, h, low, c, volume = candle
    engine.deck.event(abi.BAR, row, ts=end, code=abi.WARM, value=o, high=h, low=low, price=c, qty=volume)
