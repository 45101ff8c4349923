"""Market data as Kite writes it: quotes, the instruments file, candles made up from the minute they begin in."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from otrade_bot.core.clock import iso

from .kite_exchange import Exchange, Rejection, Row, Share, rupees
from .tape import Tape

#: Interval -> minutes of a candle, days that one request may span.
SPANS = {
    "minute": (1, 60), "3minute": (3, 100), "5minute": (5, 100), "10minute": (10, 100), "15minute": (15, 200),
    "30minute": (30, 200), "60minute": (60, 400), "day": (1440, 2000),
}  # fmt: skip


def quotes(exchange: Exchange, keys: list[str], kind: str, most: int) -> Row:
    """What is not known is simply missing."""
    if len(keys) > most:
        raise Rejection("InputException", f"Too many instruments: at most {most}.")
    return {key: _quote(exchange, key, kind) for key in keys if key in exchange.shares and key in exchange.prices}


def _quote(exchange: Exchange, key: str, kind: str) -> Row:
    last = rupees(exchange.prices[key])
    row: Row = {"instrument_token": exchange.shares[key].token, "last_price": last}
    if kind != "ltp":
        row["ohlc"] = {"open": last, "high": last, "low": last, "close": last}
    if kind != "quote":
        return row
    nothing = {"price": 0, "quantity": 0, "orders": 0}
    now = exchange.now()
    return {
        **row, "timestamp": now, "last_trade_time": now, "last_quantity": 5, "buy_quantity": 0, "sell_quantity": 5191,
        "volume": 7360198, "average_price": last, "oi": 0, "oi_day_high": 0, "oi_day_low": 0, "net_change": 0,
        "lower_circuit_limit": round(last * 0.9, 2), "upper_circuit_limit": round(last * 1.1, 2),
        "depth": {"buy": [nothing] * 5, "sell": [{"price": last, "quantity": 5191, "orders": 13}, *[nothing] * 4]},
    }  # fmt: skip


def csv(shares: list[Share]) -> str:
    names = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
    lines = [names + "instrument_type,segment,exchange"]
    for share in shares:
        expiry = "2026-11-24" if share.kind != "EQ" else ""
        numbers = f"0.0,{expiry},0.0,{share.tick / 100},{share.lot}"
        lines.append(
            f"{share.token},{share.token >> 8},{share.tradingsymbol},{share.name},{numbers},"
            f"{share.kind},{share.segment},{share.exchange}"
        )
    return "\n".join(lines) + "\n"


def candles(token: int, interval: str, start: str, end: str, oi: bool) -> list[list[Any]]:
    """One from each interval in [start, end] between 9:15 and 15:30 on weekdays; the price tells the minute."""
    minutes, most = SPANS.get(interval, (0, 0))
    first, last = datetime.fromisoformat(start), datetime.fromisoformat(end)
    if not minutes:
        raise Rejection("InputException", "invalid interval")
    if last - first > timedelta(days=most):
        raise Rejection("InputException", f"interval exceeds max limit: {most} days")
    found: list[list[Any]] = []
    day = first.replace(hour=0, minute=0, second=0)
    while day <= last:
        if day.weekday() < 5:
            found += [_candle(token, at, oi) for at in _starts(day, minutes) if first <= at <= last]
        day += timedelta(days=1)
    return found


def taped(tape: Tape, share: Share, interval: str, first: int, last: int) -> list[list[Any]]:
    """What was traded, within [first, last] (ns UTC)."""
    minutes, most = SPANS.get(interval, (0, 0))
    if not minutes:
        raise Rejection("InputException", "invalid interval")
    if last - first > most * 86_400 * 1_000_000_000:
        raise Rejection("InputException", f"interval exceeds max limit: {most} days")
    found = tape.candles(share.key, minutes, first, last, share.tick)
    return [[iso(at)[:19] + "+0530", *(rupees(paise) for paise in prices), volume] for at, *prices, volume in found]


def _starts(day: datetime, minutes: int) -> list[datetime]:
    if minutes == 1440:
        return [day]
    return [day.replace(hour=9, minute=15) + timedelta(minutes=m) for m in range(0, 375, minutes)]


def _candle(token: int, at: datetime, oi: bool) -> list[Any]:
    price = 1000 + (at.toordinal() * 7 + at.hour * 60 + at.minute) % 500 / 20
    row: list[Any] = [at.isoformat() + "+0530", price, price + 1.05, price - 1, price + 0.05, 1000 + at.minute]
    return [*row, 13667775] if oi else row
