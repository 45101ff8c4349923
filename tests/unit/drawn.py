"""Drawings as a day, a month and a hostile name make them."""

from __future__ import annotations

from datetime import date
from random import Random

from otrade_bot.core.clock import MINUTE, at_ist
from otrade_bot.research.drawings import (
    Average,
    Candle,
    DayCard,
    DayChart,
    Drawing,
    Level,
    Mark,
    MoneyBar,
    MoneyBars,
    MoneyCurve,
    Score,
    ScoreCard,
)

DAY = date(2026, 9, 16)
OPEN = at_ist(DAY, 9, 15)
NOTE = "Wed 16 Sep 2026 · 5 min · PAPER · simulated prices"
HOSTILE = ("M&M", "BAJAJ-AUTO", "NIFTY 50", "$x_{2}$ <b>", "NFO:NIFTY26SEP25000CE" * 3)


def candles(number: int, minutes: int = 5, price: int = 215_000, seed: int = 1) -> tuple[Candle, ...]:
    random, found = Random(seed), []
    for at in range(number):
        close = price + random.randint(-300, 310) * price // 200_000
        high, low = max(price, close) + random.randint(0, 150), min(price, close) - random.randint(0, 150)
        found.append((OPEN + (at + 1) * minutes * MINUTE, price, high, low, close, random.randint(0, 90_000)))
        price = close
    return tuple(found)


def traded(rows: tuple[Candle, ...], rungs: int = 3) -> tuple[tuple[Level, ...], tuple[Mark, ...]]:
    """Three rungs entered one after the other, P1 left at its target; with more, as many again and again."""
    levels: list[Level] = []
    marks: list[Mark] = []
    for at in range(rungs):
        begin = rows[(at * 7 + len(rows) // 5) % len(rows)]
        rung, price = at % 3 + 1, begin[4]
        marks.append(Mark(begin[0] - MINUTE, price, rung, 1, True, 12))
        steps = tuple((one[0], price * 98 // 100 + 90 * step) for step, one in enumerate(rows[-6:]))
        first = (begin[0], price * 975 // 1000)
        levels.append(Level(rung, "stop", (first, *steps) if rung > 1 else (first,)))
        if rung == 1:
            levels.append(Level(1, "target", ((begin[0], price * 1003 // 1000),), rows[-1][0]))
            marks.append(Mark(rows[-1][0] - 1, price * 1003 // 1000, 1, 1, False, 12, "target"))
    return tuple(levels), tuple(marks)


def chart(number: int, minutes: int = 5, name: str = "RELIANCE", rungs: int = 3, dark: bool = False) -> DayChart:
    rows = candles(number, minutes)
    levels, marks = traded(rows, rungs) if number > 10 else ((), ())
    averages = tuple(
        Average(f"ema{n}", tuple((one[0], one[4] / 100 + n / 20) for one in rows)) for n in (9, 21, 50, 200)
    )
    return DayChart(name, NOTE, minutes, rows, averages if rows else (), levels, marks, dark)


def points(number: int, seed: int = 4) -> tuple[tuple[int, int], ...]:
    random, net, found = Random(seed), 0, []
    for at in range(number):
        net += random.randint(-40_000, 41_000)
        found.append((OPEN + at * MINUTE, net))
    return tuple(found)


def score(name: str, at: int = 0) -> Score:
    return Score(name, at * 3 + 1, at, (-1) ** at * 123_456_78, -1.0 if at == 0 else at / 7, 50_000, 1_234)


def bars(number: int, dark: bool = False) -> MoneyBars:
    random = Random(7)
    rows = tuple(MoneyBar(f"{at % 28 + 1} Sep", random.randint(-50_000_000, 70_000_000)) for at in range(number))
    return MoneyBars("Net −₹12,34,567.89", "1 Jul to 16 Sep 2026 · PAPER", rows, dark)


def card(symbols: int, number: int, dark: bool = False) -> DayCard:
    cells = (("Round trips", "42 · 25 won", 0), ("Gross", "+₹1,34,567.00", 1), ("Charges", "₹1,234.56", 0),
             ("Best", "BAJAJ-AUTO +12,345", 1), ("Worst", "M&M -2,345", -1))  # fmt: skip
    rows = tuple(MoneyBar(f"NSE:{(*HOSTILE, *'abcdefgh')[at % 13]}", 90_000 - at * 20_000) for at in range(symbols))
    return DayCard("Day report", NOTE, -12_345_678, cells, rows, points(number), dark)


def every(dark: bool) -> dict[str, Drawing]:
    """By a name for the test."""
    return {
        "no candle": chart(0, dark=dark), "one candle": chart(1, dark=dark), "two candles": chart(2, dark=dark),
        "a day of 15 min": chart(25, 15, "M&M", dark=dark), "a day of 5 min": chart(75, 5, dark=dark),
        "a day of 1 min": chart(375, 1, "BAJAJ-AUTO", dark=dark), "90 rungs": chart(375, 1, rungs=90, dark=dark),
        **{f"named {name[:12]}": chart(40, name=name, dark=dark) for name in HOSTILE},
        "no curve": MoneyCurve("Net ₹0.00", NOTE, (), (), dark),
        "one point": MoneyCurve("Net ₹0.00", NOTE, points(1), (), dark),
        "a day's curve": MoneyCurve("Net +₹1,23,456.78", NOTE, points(375), ((OPEN + 90 * MINUTE, -5),), dark),
        "no bars": bars(0, dark), "one bar": bars(1, dark), "six bars": bars(6, dark), "60 bars": bars(60, dark),
        "no scores": ScoreCard("Net ₹0.00", NOTE, (), (), (), dark),
        "90 scores": ScoreCard(
            "Net +₹1,23,456.78", NOTE, (score("momentum_ladder"), score("ema_crossover", 3)),
            tuple(score(f"NSE:{(*HOSTILE, 'SBIN')[at % 6]}", at) for at in range(90)),
            tuple((f"{at % 28 + 1} Aug", (-1) ** at * 90_000_00) for at in range(30)), dark,
        ),
        "no day": card(0, 0, dark), "a day": card(13, 375, dark),
    }  # fmt: skip
