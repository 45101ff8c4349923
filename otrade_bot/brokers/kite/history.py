"""Candles: Kite's words for intervals, the span that one request may cover, what an answer holds.

An answer of two thousand candles goes from Kite's rows into one table. The client would make a dict with a parsed time
of each: a start of the day reads hundreds of answers, and what that leaves lying about is memory for good.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from otrade_bot.brokers.quotes import Candles
from otrade_bot.core.clock import DAY, SECOND, from_iso, to_ist
from otrade_bot.core.money import to_paise

__all__ = ["SPANS", "candles_of", "chunks", "history", "kite_interval"]

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


def history(token: int, start: str, end: str, word: str, kite: Any) -> Candles:
    """One answer, asked for by the client and read by us. Raises what the client raises, and as ``candles_of``."""
    kite._format_historical = candles_of
    found: Candles = kite.historical_data(token, start, end, word)
    return found


def candles_of(data: Mapping[str, Sequence[Sequence[Any]]]) -> Candles:
    """Kite's ``data``: rows of time, open, high, low, close, volume. Raises ValueError, LookupError, TypeError,
    ArithmeticError."""
    rows = data["candles"]
    table = np.empty((len(rows), 6), np.int64)
    table[:, 0] = [max(0, from_iso(row[0])) for row in rows]
    for column in (1, 2, 3, 4):
        table[:, column] = [_paise(row[column]) for row in rows]
    table[:, 5] = [int(row[5]) for row in rows]
    return Candles(table)


def _paise(rupees: Any) -> int:
    """As ``to_paise``, which is only needed near the half of a paisa, and for what is no usual number."""
    if type(rupees) is float and abs(rupees) < 1e12:
        whole = round(rupees * 100)
        if abs(rupees * 100 - whole) < 0.25:
            return whole
    return to_paise(rupees)
