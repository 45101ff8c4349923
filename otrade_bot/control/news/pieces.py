"""Reads the data of events for people. What is missing or of another type is left out: a notice never fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otrade_bot.control.words import percent
from otrade_bot.core.lang import t
from otrade_bot.core.money import group_indian, rupees_text, to_paise

__all__ = [
    "Data", "amount", "average", "by", "commas", "join", "mapping", "number", "objects", "paise", "prefixed", "real",
    "rung", "rupees", "share", "word",
]  # fmt: skip

Data = Mapping[str, Any]


def word(data: Data, key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def number(data: Data, key: str) -> int | None:
    value = data.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def real(data: Data, key: str) -> float | None:
    """Of a ``*_price`` or ``average`` key, which hold rupees."""
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e12:
        return None
    return float(value)


def mapping(data: Data, key: str) -> Data:
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def objects(data: Data, key: str) -> list[Data]:
    """The objects of a list; whatever else stands in it counts as an empty one."""
    value = data.get(key)
    if not isinstance(value, (list, tuple)):
        return []
    return [one if isinstance(one, Mapping) else {} for one in value]


def paise(data: Data, key: str, *, sign: bool = False) -> str:
    value = number(data, key)
    return "" if value is None else rupees_text(value, sign=sign)


def rupees(data: Data, key: str) -> str:
    value = real(data, key)
    return "" if value is None else rupees_text(to_paise(value))


def average(data: Data) -> str:
    """'@ ₹2,140.00'."""
    return prefixed("@", rupees(data, "average"))


def rung(data: Data) -> str:
    value = number(data, "rung")
    return f"P{value}" if value else ""


def amount(data: Data, key: str = "quantity") -> str:
    value = number(data, key)
    return "" if value is None else group_indian(value)


def share(part: float | None, whole: float | None) -> str:
    """'(+4.44 %)' of the whole; empty where there is no whole."""
    if part is None or not whole or whole < 0 or abs(part) > 1e15:
        return ""
    return f"({percent(100 * part / whole, sign=True)})"


def by(data: Data) -> str:
    """Who did it, where a person did."""
    who = word(data, "by")
    return t("by {who}", who=who) if who else ""


def join(*pieces: str) -> str:
    return " ".join(piece for piece in pieces if piece)


def prefixed(name: str, value: str) -> str:
    return f"{name} {value}" if value else ""


def commas(*pieces: str) -> str:
    return ", ".join(piece for piece in pieces if piece)
