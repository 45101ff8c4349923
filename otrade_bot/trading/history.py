"""Closed bars of earlier days from recorded prices: what warms indicators up, live and in research."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from otrade_bot.brokers.feeds import BarFile, TickFile
from otrade_bot.core.clock import ist_date
from otrade_bot.kernel.candles import Candle, CandleAgg

__all__ = ["closed_bars"]


def closed_bars(
    file: TickFile | BarFile, timeframe: int, opens: Callable[[date], int], today: date
) -> list[Candle]:
    """The bars of ``timeframe`` ns (0: every price, or every bar's close, is one) of the days before ``today``.
    ``opens``: when a day's bars begin to count, ns UTC."""
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
            current, aggregate = day, CandleAgg(timeframe, opens(day))
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
