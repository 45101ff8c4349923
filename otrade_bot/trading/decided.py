"""What humans have decided about open rungs, as the journal keeps it: levels put by hand, rungs and parts closed.

A line is on the disk before anything is done, so a start does what a killed process had begun. Decisions belong to
one cycle of a rung; the newest of a kind counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from otrade_bot.core.events import EventKind
from otrade_bot.core.money import Paise

__all__ = ["Closing", "Decided", "Key", "LevelSet", "decided"]

#: (symbol, strategy, rung from 1, cycle)
Key = tuple[str, str, int, int]


@dataclass(frozen=True, slots=True)
class LevelSet:
    """A stop or target that a human put (``hand``) or gave back. ``level`` 0: no target."""

    key: Key
    what: str  #: "stop" or "target"
    level: Paise
    hand: bool
    ns: int


@dataclass(frozen=True, slots=True)
class Closing:
    """``part``: quantity of all parts of the cycle together; ``whole``: all of it was to go."""

    key: Key
    whole: bool
    part: int
    ns: int


@dataclass(frozen=True, slots=True)
class Decided:
    """Of one day. ``levels`` oldest first; ``square_off``: by symbol when it was moved to (ns UTC); ``ended_at``: the
    day's result when its loss limit ended it."""

    levels: tuple[LevelSet, ...] = ()
    closings: Mapping[Key, Closing] = field(default_factory=dict)
    square_off: Mapping[str, int] = field(default_factory=dict)
    ended_at: Paise = 0

    def last(self, key: Key, what: str) -> LevelSet | None:
        """The newest word about a rung's stop or target."""
        return next((one for one in reversed(self.levels) if (one.key, one.what) == (key, what)), None)


def decided(lines: Iterable[Mapping[str, Any]]) -> Decided:
    """Of a day's journal; lines that say something else than expected are passed over."""
    levels: list[LevelSet] = []
    closings: dict[Key, Closing] = {}
    square_off: dict[str, int] = {}
    ended_at = 0
    for line in lines:
        try:
            if line.get("kind") == EventKind.LEVEL and line["what"] == "square_off":
                square_off |= {str(symbol): int(line["until_ns"]) for symbol in line["symbols"]}
            elif line.get("kind") == EventKind.LEVEL:
                levels.append(
                    LevelSet(_key(line), line["what"], int(line["level_paise"]), bool(line["hand"]), int(line["ns"]))
                )
            elif line.get("kind") == EventKind.ALERT and "ended_paise" in line:
                ended_at = int(line["ended_paise"])
            elif line.get("kind") == EventKind.CLOSE:
                key, before = _key(line), closings.get(_key(line))
                whole = bool(line["whole"]) or bool(before and before.whole)
                closings[key] = Closing(key, whole, int(line["part"]), int(line["ns"]))
        except (KeyError, TypeError, ValueError):
            continue
    return Decided(tuple(levels), closings, square_off, ended_at)


def _key(line: Mapping[str, Any]) -> Key:
    return str(line["symbol"]), str(line["strategy"]), int(line["rung"]), int(line["cycle"])
