"""Prices when they are asked for: Upstox's quotes and candles in our words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from otrade_bot.brokers.quotes import Candles, MarketQuote
from otrade_bot.brokers.upstox.rows import amount, rows, whole
from otrade_bot.core.clock import from_iso, ist_date
from otrade_bot.core.errors import BrokerException
from otrade_bot.core.money import to_paise

__all__ = ["INTERVALS", "candles", "interval_words", "quote", "spans"]

#: Our word -> Upstox's unit and interval, and the days of one request. The days are cautious, not verified.
INTERVALS = {
    "1m": ("minutes", 1, 28), "3m": ("minutes", 3, 28), "5m": ("minutes", 5, 28), "10m": ("minutes", 10, 28),
    "15m": ("minutes", 15, 28), "30m": ("minutes", 30, 84), "60m": ("minutes", 60, 84), "day": ("days", 1, 3000),
}  # fmt: skip


def interval_words(interval: str) -> tuple[str, int, int]:
    """Unit, interval, days a request. Raises ValueError."""
    if interval not in INTERVALS:
        raise ValueError(f"candles of {interval!r}; allowed: {', '.join(INTERVALS)}")
    return INTERVALS[interval]


def spans(days: int, from_ns: int, to_ns: int) -> Iterator[tuple[str, str]]:
    """First and last dates in India, both included, that together cover [from, to]."""
    start, last = ist_date(from_ns), ist_date(to_ns)
    while from_ns <= to_ns and start <= last:
        end = min(last, start + timedelta(days=days - 1))
        yield start.isoformat(), end.isoformat()
        start = end + timedelta(days=1)


def candles(data: Any) -> Candles:
    """Of one answer. Raises BrokerException."""
    found = data.get("candles") if isinstance(data, dict) else None
    if not isinstance(found, list):
        raise BrokerException("Upstox: candles: no list of candles in the answer")
    try:
        return Candles([_candle(row) for row in found])
    except (ValueError, TypeError, IndexError, ArithmeticError, AttributeError) as error:
        raise BrokerException(f"Upstox: candles: {type(error).__name__}") from None


def _candle(row: list[Any]) -> tuple[int, ...]:
    return from_iso(row[0]), *(to_paise(row[k]) for k in (1, 2, 3, 4)), int(row[5])


def quote(symbol: str, row: Mapping[str, Any]) -> MarketQuote:
    """Of the full quote. Raises BrokerException."""
    day = row.get("ohlc") or {}
    depth = row.get("depth") or {}
    if not isinstance(day, dict) or not isinstance(depth, dict):
        raise BrokerException(f"Upstox: quotes: {symbol}: no such form is known")

    def paise(name: str, where: Mapping[str, Any] = row) -> int:
        return to_paise(amount(where, name))

    best = [next(iter(rows("depth", depth.get(side))), {}) for side in ("buy", "sell")]
    return MarketQuote(
        symbol, paise("last_price"), paise("open", day), paise("high", day), paise("low", day),
        paise("prev_close_price"), whole(row, "volume"), paise("price", best[0]), paise("price", best[1]),
        paise("lower_circuit_limit"), paise("upper_circuit_limit"), whole(row, "last_trade_time") * 1_000_000,
    )  # fmt: skip
