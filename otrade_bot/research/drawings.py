"""What a picture is to show, as plain values: made by the service, sent to the child that draws it.

Money and prices in paise, times in ns UTC; a picture says them in rupees and IST. Nothing here draws.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import orjson

__all__ = [
    "Average", "Candle", "DayCard", "DayChart", "Drawing", "Level", "Mark", "MoneyBar", "MoneyBars", "MoneyCurve",
    "Score", "ScoreCard", "decoded", "encoded",
]  # fmt: skip

Candle = tuple[int, int, int, int, int, int]
"""End (ns UTC), open, high, low, close (paise), volume; as ``kernel.candles`` makes them."""


@dataclass(frozen=True, slots=True)
class Average:
    """A line of the strategy on the price: what it held from each moment on, in rupees."""

    name: str
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Level:
    """A stop or target of one rung: each step holds until the next one, the last until ``until`` (0: it still does)."""

    rung: int
    kind: Literal["stop", "target"]
    steps: tuple[tuple[int, int], ...]
    until: int = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """An entry or an exit. ``side``: +1 bought, -1 sold; ``note``: why it was left."""

    ns: int
    price: int
    rung: int
    side: int
    entry: bool
    quantity: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class DayChart:
    """A day of one symbol, in candles of ``minutes``. ``note`` stands under the heading."""

    head: str
    note: str
    minutes: int
    candles: tuple[Candle, ...]
    averages: tuple[Average, ...] = ()
    levels: tuple[Level, ...] = ()
    marks: tuple[Mark, ...] = ()
    dark: bool = False


@dataclass(frozen=True, slots=True)
class MoneyCurve:
    """The net of a day, moment by moment; ``booked`` are the round trips that ended: when and their net."""

    head: str
    note: str
    points: tuple[tuple[int, int], ...]
    booked: tuple[tuple[int, int], ...] = ()
    dark: bool = False


@dataclass(frozen=True, slots=True)
class MoneyBar:
    """One day, week or month: its net and its charges."""

    label: str
    net: int
    charges: int = 0


@dataclass(frozen=True, slots=True)
class MoneyBars:
    """Bars of net, the oldest first, with their running sum."""

    head: str
    note: str
    bars: tuple[MoneyBar, ...]
    dark: bool = False


@dataclass(frozen=True, slots=True)
class Score:
    """One row of a performance table. ``factor``: gains by losses, 0 for none, -1 where nothing was lost."""

    name: str
    trades: int
    won: int
    net: int
    factor: float
    drawdown: int
    charges: int


@dataclass(frozen=True, slots=True)
class ScoreCard:
    """How strategies and symbols did; ``curve``: label and running net of each day."""

    head: str
    note: str
    strategies: tuple[Score, ...]
    symbols: tuple[Score, ...]
    curve: tuple[tuple[str, int], ...] = ()
    dark: bool = False


@dataclass(frozen=True, slots=True)
class DayCard:
    """A day at a glance: cells of (label, value, tone -1, 0 or 1), net by symbol, and the day's curve."""

    head: str
    note: str
    net: int
    cells: tuple[tuple[str, str, int], ...]
    symbols: tuple[MoneyBar, ...]
    points: tuple[tuple[int, int], ...] = ()
    dark: bool = False


Drawing = DayChart | MoneyCurve | MoneyBars | ScoreCard | DayCard

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (DayChart, MoneyCurve, MoneyBars, ScoreCard, DayCard)}
_NESTED: dict[str, type[Any]] = {
    "averages": Average, "levels": Level, "marks": Mark, "bars": MoneyBar, "strategies": Score, "symbols": Score,
}  # fmt: skip


def encoded(drawing: Drawing) -> bytes:
    """As JSON, for the child."""
    return orjson.dumps({"kind": type(drawing).__name__, "values": drawing})


def decoded(raw: bytes) -> Drawing:
    """The drawing again. Raises ValueError for what ``encoded`` never made."""
    found = orjson.loads(raw)
    try:
        kind, values = _KINDS[found["kind"]], found["values"]
        inner = _NESTED if kind is not DayCard else {**_NESTED, "symbols": MoneyBar}
        made = {name: _value(inner.get(name), values[name]) for name in (field.name for field in fields(kind))}
        drawing: Drawing = kind(**made)
        return drawing
    except (KeyError, TypeError) as error:
        raise ValueError(f"no drawing: {type(error).__name__}: {error}") from error


def _value(inner: type[Any] | None, value: Any) -> Any:
    """Lists were tuples."""
    if not isinstance(value, list):
        return value
    if inner is not None:
        return tuple(inner(**{name: _value(None, one) for name, one in item.items()}) for item in value)
    return tuple(_value(None, one) for one in value)
