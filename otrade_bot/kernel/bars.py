"""Bars from ticks, inside a row: ``bar_*`` is the one being built, open/high/low/close the last closed.

Bars are counted from the day's open, so a 60-minute bar is 9:15-10:15. A bar is labelled by its end.
"""

from __future__ import annotations

from typing import Any

from otrade_bot.kernel.calculations import push


def bar_due(s: Any, p: Any, ts: int) -> bool:
    """The bar being built ends at or before ``ts``."""
    return p.tf > 0 and s.bar_ticks > 0 and ts >= s.bar_end


def add_tick(s: Any, p: Any, ts: int, ltp: float, traded: int) -> None:
    """Put a tick into the bar being built. ``traded`` is the volume since the last tick."""
    if s.bar_ticks == 0:
        begin_bar(s, p, ts, ltp)
    s.bar_high = max(s.bar_high, ltp)
    s.bar_low = min(s.bar_low, ltp)
    s.bar_close = ltp
    s.bar_volume += traded
    s.bar_ticks += 1


def begin_bar(s: Any, p: Any, ts: int, ltp: float) -> None:
    """The first tick of a bar."""
    s.bar_open = ltp
    s.bar_high = ltp
    s.bar_low = ltp
    s.bar_volume = 0.0
    s.bar_from = bar_start(s, p, ts)
    s.bar_end = s.bar_from + p.tf


def bar_start(s: Any, p: Any, ts: int) -> int:
    """Where the bar that begins with a tick of ``ts`` starts.

    A timer may have closed the bar before its last tick came: that tick belongs to the next one.
    """
    if ts <= s.bar_end:
        return s.bar_end
    return max(s.bar_end, p.day_open + (ts - p.day_open) // p.tf * p.tf)


def close_bar(s: Any) -> None:
    """The bar being built becomes the last closed one."""
    remember(s, s.bar_open, s.bar_high, s.bar_low, s.bar_close, s.bar_volume)
    s.bar_ticks = 0


def remember(s: Any, o: float, h: float, low: float, c: float, volume: float) -> None:
    """A closed bar: into the row, the rings and the day's VWAP sums."""
    s.open = o
    s.high = h
    s.low = low
    s.close = c
    s.volume_bar = volume
    push(s.opens, s.bars, o)
    push(s.highs, s.bars, h)
    push(s.lows, s.bars, low)
    push(s.volumes, s.bars, volume)
    s.bars = push(s.closes, s.bars, c)
    s.day_bars += 1
    s.day_pv += (h + low + c) / 3.0 * volume
    s.day_v += volume


def moment(length: int, k: int) -> int:
    """When the k-th of a bar's four prices comes, ns after its start: the last one just before its end, so
    that what happens at the bar's close finds a fresh price."""
    return (length - 1) * k // 3


def walk(side: int, o: int, h: int, low: int, c: int, k: int) -> int:
    """The k-th of the four prices that stand for a bar, worst first for a position of that side.

    Stop before target: a long position sees the low first, a short one the high.
    """
    if k == 0:
        return o
    if k == 3:
        return c
    if side < 0:
        return h if k == 1 else low
    return low if k == 1 else h
