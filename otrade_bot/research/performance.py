"""How well trading went: sums of booked round trips, by strategy, symbol, day, week or month. Money in paise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from otrade_bot.research.drawings import Score

__all__ = ["Booked", "by_name", "drawdown", "score"]


class Booked(NamedTuple):
    """One round trip of a past day; ``ended`` is ISO-8601 +05:30, so that texts sort as times do."""

    symbol: str
    strategy: str
    ended: str
    gross: int
    charges: int
    net: int


def score(name: str, booked: Sequence[Booked]) -> Score:
    """The row of a table, all after charges. A round trip that ends at 0 is not won."""
    nets = [one.net for one in sorted(booked, key=lambda one: one.ended)]
    gains, losses = sum(net for net in nets if net > 0), -sum(net for net in nets if net < 0)
    factor = gains / losses if losses else -1.0 if gains else 0.0
    won = sum(net > 0 for net in nets)
    charges = sum(one.charges for one in booked)
    return Score(name, len(nets), won, sum(nets), round(factor, 2), drawdown(nets), charges)


def drawdown(nets: Iterable[int]) -> int:
    """The deepest fall of the running sum below what it had been at most, 0 or more; it starts at 0."""
    total = peak = deepest = 0
    for net in nets:
        total += net
        peak = max(peak, total)
        deepest = max(deepest, peak - total)
    return deepest


def by_name(booked: Iterable[Booked], name: Callable[[Booked], str]) -> tuple[Score, ...]:
    """A row for each name, the best first."""
    groups: dict[str, list[Booked]] = {}
    for one in booked:
        groups.setdefault(name(one), []).append(one)
    rows = (score(key, group) for key, group in groups.items())
    return tuple(sorted(rows, key=lambda row: (-row.net, row.name)))
