"""Candles: Kite's words for intervals, the span that one request may cover."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from otrade_bot.brokers.kite.wire import ns_of
from otrade_bot.brokers.quotes import Candle
from otrade_bot.core.clock import DAY, SECOND, to_ist
from otrade_bot.core.money import to_paise

__all__ = ["SPANS", "candle_of", "chunks", "kite_interval"]

#: Our word -> Kite's, and the days that one request may span.
SPANS = {
    "1m": ("minute", 60), "3m": ("3minute", 100), "5m": ("5minute", 100), "10m": ("10minute", 100),
    "15m": ("15minute", 200), "30m": ("30minute", 200), "60m": ("60minute", 400), "day": ("day", 2000),
}  # fmt: skip


def kite_interval(interval: str) -> str:
    """Kite's word. Raises ValueError."""
    if interval not in SPANS:
        raise ValueError(f"candles of {interval!r}; allowed: {', '.join(SPANS)}")
    return SPANS[interval][0]


def chunks(interval: str, from_ns: int, to_ns: int) -> Iterator[tuple[str, str]]:
    """[from, to] cut into spans that Kite answers, as India's wall clock to the second; none where it is empty."""
    span = SPANS[interval][1] * DAY
    while from_ns <= to_ns:
        end = min(to_ns, from_ns + span - SECOND)
        yield _wall(from_ns), _wall(end)
        from_ns += span


def _wall(ns: int) -> str:
    return to_ist(ns).strftime("%Y-%m-%d %H:%M:%S")


def candle_of(row: Mapping[str, Any]) -> Candle:
    """One candle as the client has parsed it. Raises ValueError, KeyError, TypeError."""
    first, high, low, last = (to_paise(row[name]) for name in ("open", "high", "low", "close"))
    return Candle(ns_of(row["date"]), first, high, low, last, int(row["volume"]))
