"""What was traded, minute by minute: days that it has seen as they were, earlier ones made up.

Prices in paise, times in ns UTC. The same symbol and day always give the same candles.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta

from otrade_bot.core.clock import MINUTE, Clock, at_ist, ist_date

#: ns UTC of its beginning, open, high, low, close, volume.
Candle = tuple[int, int, int, int, int, int]

#: Weekdays of the autumn of 2026 without a session.
CLOSED = frozenset({date(2026, 9, 14), date(2026, 10, 2), date(2026, 10, 20), date(2026, 11, 10), date(2026, 11, 24)})


class Tape:
    """Of one market. ``base``: what a symbol cost in past days, by symbol; an amount of its own where not given."""

    def __init__(self, clock: Clock, closed: frozenset[date] = CLOSED) -> None:
        self.clock, self.closed = clock, closed
        self.base: dict[str, int] = {}
        self._lived: dict[str, dict[int, list[int]]] = {}
        self._volume: dict[str, int] = {}

    def trade(self, key: str, paise: int, quantity: int = 10) -> None:
        """A trade, now."""
        now = self.clock.now_ns()
        minute = now - now % MINUTE
        self._volume[key] = self.volume(key) + quantity
        bars = self._lived.setdefault(key, {})
        bar = bars.setdefault(minute, [paise, paise, paise, paise, 0])
        bar[1], bar[2], bar[3], bar[4] = max(bar[1], paise), min(bar[2], paise), paise, bar[4] + quantity

    def volume(self, key: str) -> int:
        """Of today, by India's date."""
        start = at_ist(ist_date(self.clock.now_ns()), 0)
        bars = self._lived.get(key, {})
        if bars and next(reversed(bars)) < start:
            self._volume[key] = 0
        return self._volume.get(key, 0)

    def candles(self, key: str, minutes: int, first: int, last: int, tick: int = 5) -> list[Candle]:
        """Those that begin within [first, last], oldest first; none of the future. ``minutes`` 1440: days."""
        found: list[Candle] = []
        day, until = ist_date(first), min(last, self.clock.now_ns())
        while day <= ist_date(until):
            if day.weekday() < 5 and day not in self.closed:
                found += [c for c in _joined(self._minutes(key, day, tick), minutes, day) if first <= c[0] <= until]
            day += timedelta(days=1)
        return found

    def _minutes(self, key: str, day: date, tick: int) -> list[Candle]:
        start, end = at_ist(day, 0), at_ist(day, 23, 59)
        lived = [(at, *bar) for at, bar in self._lived.get(key, {}).items() if start <= at <= end]
        if lived or day >= ist_date(self.clock.now_ns()):
            return lived  # type: ignore[return-value]
        return list(_made_up(key, day, self.base.get(key, 0), tick))


def _made_up(key: str, day: date, base: int, tick: int) -> Iterator[Candle]:
    """A walk about the base, back to it in the end: 375 minutes."""
    dice = random.Random(f"{key} {day}")
    base = base or 50_000 + random.Random(key).randrange(200_000)
    step, opened = max(tick, base // 2000 // tick * tick), at_ist(day, 9, 15)
    price = base - base % tick
    for minute in range(375):
        close = max(tick, price + dice.randint(-3, 3) * step - (price - base) // 20 // tick * tick)
        high, low = max(price, close) + dice.randint(0, 1) * step, min(price, close) - dice.randint(0, 1) * step
        yield opened + minute * MINUTE, price, high, max(tick, low), close, dice.randrange(100, 5_000)
        price = close


def _joined(bars: list[Candle], minutes: int, day: date) -> list[Candle]:
    """One-minute candles as longer ones that begin at 09:15 and whole steps from there; days at midnight."""
    if minutes == 1:
        return bars
    opened, groups = at_ist(day, 9, 15), dict[int, list[Candle]]()
    for bar in bars:
        passed = (bar[0] - opened) // MINUTE
        start = at_ist(day, 0) if minutes == 1440 else opened + passed // minutes * minutes * MINUTE
        groups.setdefault(start, []).append(bar)
    return [
        (at, g[0][1], max(b[2] for b in g), min(b[3] for b in g), g[-1][4], sum(b[5] for b in g))
        for at, g in groups.items()
    ]
