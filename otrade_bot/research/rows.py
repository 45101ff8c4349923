"""A line of the journal with typed access to its keys: what is of another type is named with its line, not guessed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, NoReturn

from otrade_bot.core.clock import from_iso, iso, ist_date
from otrade_bot.core.errors import DataException

__all__ = ["MOST", "Line", "Rung", "rung_of"]

MOST = 2**63 - 1  #: what a line of the journal can hold as a whole number


class Line:
    """Every reader raises DataException that names line, key and what is allowed."""

    def __init__(self, number: int, line: object) -> None:
        self.number = number
        if not isinstance(line, Mapping):
            raise DataException(f"journal line {number}: expected an object, got {line!r:.60}")
        self._line = line
        self.kind = self.text("kind")

    def on(self, day: date) -> bool:
        try:
            return "ns" not in self._line or ist_date(self.whole("ns")) == day
        except OverflowError:
            self._wrong("ns", "a moment of this era in nanoseconds")

    def has(self, key: str) -> bool:
        return key in self._line

    def text(self, key: str, default: str | None = None) -> str:
        value = self._line.get(key, default)
        if not isinstance(value, str):
            self._wrong(key, "text")
        return value

    def word(self, key: str, *allowed: str) -> str:
        value = self.text(key)
        if value not in allowed:
            self._wrong(key, " or ".join(allowed))
        return value

    def whole(self, key: str, low: int | None = None, *, default: int | None = None) -> int:
        value = self._line.get(key, default)
        least = -MOST if low is None else low
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
            self._wrong(key, "a whole number" + ("" if low is None else f" of at least {low}"))
        return value

    def price(self, key: str) -> float:
        value = self._line.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= MOST:
            self._wrong(key, "a price in rupees above 0")
        return float(value)

    def moment(self, key: str) -> str:
        try:
            return iso(from_iso(self.text(key)))
        except (ValueError, OverflowError):
            self._wrong(key, "an ISO-8601 time")

    def counts(self, key: str) -> dict[str, int]:
        value = self._line.get(key, {})
        if not isinstance(value, Mapping) or not all(_is_count(item) for item in value.values()):
            self._wrong(key, "an object of counts")
        return {str(name): int(item) for name, item in value.items()}

    def objects(self, key: str) -> list[dict[str, Any]]:
        value = self._line.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            self._wrong(key, "a list of objects")
        return [dict(item) for item in value]

    def _wrong(self, key: str, allowed: str) -> NoReturn:
        got = f"got {self._line[key]!r:.60}" if key in self._line else "it is missing"
        kind = "" if key == "kind" else f" ({self._line.get('kind')})"
        raise DataException(f"journal line {self.number}{kind}: {key}: expected {allowed}, {got}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


Rung = tuple[str, str, int]  #: symbol, strategy, rung


def rung_of(row: Line) -> Rung:
    """Whose line it is. Raises DataException."""
    return row.text("symbol"), row.text("strategy", ""), row.whole("rung", 1, default=1)
