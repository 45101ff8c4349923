"""What was traded today, for charts: entries, exits, and how stops and targets moved. Out of events, and of the day's
journal for what was before this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from otrade_bot.core.clock import SECOND, from_iso
from otrade_bot.core.events import Event, EventKind
from otrade_bot.research.drawings import Level, Mark
from otrade_bot.service.journal import events_of
from otrade_bot.service.logs import get_logger

__all__ = ["DayMarks"]

#: Steps of one stop that are kept: a day of trailing has fewer, a runaway does not fill the memory.
MOST_STEPS = 2_000
_TOGETHER = 30 * SECOND
_KINDS = frozenset({EventKind.CARRY, EventKind.FILL, EventKind.STOP, EventKind.TRADE, EventKind.LEVEL})
_Steps = list[tuple[int, int]]


@dataclass(slots=True)
class _Exit:
    """What went out at about one time."""

    ns: int
    quantity: int
    value: int
    why: str = ""


@dataclass(slots=True)
class _Cycle:
    """One rung from flat to flat. Values in paise, cumulative as the journal has them."""

    rung: int
    cycle: int
    side: int = 1
    first: int = 0  #: entered (ns)
    entered: int = 0
    entry_value: int = 0
    exited: int = 0
    exit_value: int = 0
    exits: list[_Exit] = field(default_factory=list)  #: parts that a person closed, and the rest
    stops: _Steps = field(default_factory=list)
    targets: _Steps = field(default_factory=list)

    @property
    def over(self) -> bool:
        return self.exited >= self.entered > 0


class DayMarks:
    """An observer of one engine's day; ``before`` are the lines of its journal so far."""

    def __init__(self, before: Iterable[Mapping[str, Any]] = ()) -> None:
        self._rungs: dict[str, dict[tuple[str, int], list[_Cycle]]] = {}
        wanted = (line for line in before if line.get("kind") in _KINDS)
        for event in events_of(wanted):
            self.on_event(event)

    def on_event(self, event: Event) -> None:
        """A line that says something else than expected is passed over."""
        if event.kind not in _KINDS:
            return
        try:
            if event.kind is EventKind.CARRY:
                for rung in event.data["rungs"]:
                    self._carried(event.ts_ns, rung)
            elif event.symbol:
                self._take(event)
        except (KeyError, TypeError, ValueError) as error:
            get_logger("error").error("a chart will lack something", kind=str(event.kind), error=repr(error))

    def levels(self, symbol: str) -> tuple[Level, ...]:
        """Stops and targets as steps; those of a rung that was left end there."""
        found = []
        for one in self._cycles(symbol):
            until = one.exits[-1].ns if one.over and one.exits else 0
            found += [Level(one.rung, "stop", tuple(one.stops), until)] if one.stops else []
            found += [Level(one.rung, "target", tuple(one.targets), until)] if one.targets else []
        return tuple(found)

    def marks(self, symbol: str) -> tuple[Mark, ...]:
        """Entries and exits at their average prices, in order."""
        found = []
        for one in self._cycles(symbol):
            if one.entered:
                price = round(one.entry_value / one.entered)
                found.append(Mark(one.first, price, one.rung, one.side, True, one.entered))
            for left in one.exits:
                price = round(left.value / left.quantity)
                found.append(Mark(left.ns, price, one.rung, one.side, False, left.quantity, left.why))
        return tuple(sorted(found, key=lambda mark: (mark.ns, mark.rung)))

    def _cycles(self, symbol: str) -> list[_Cycle]:
        return [one for cycles in self._rungs.get(symbol, {}).values() for one in cycles]

    def _take(self, event: Event) -> None:
        data = event.data
        key = (str(data.get("strategy", "")), int(data.get("rung", 1)))
        cycles = self._rungs.setdefault(event.symbol, {}).setdefault(key, [])
        if event.kind is EventKind.FILL:
            self._fill(_at(cycles, key[1], int(data["cycle"])), event)
        elif not cycles:
            return
        elif event.kind is EventKind.TRADE:
            _why(cycles, str(data["exit_reason"]), from_iso(data["exit_time"]))
        elif event.kind is EventKind.STOP:
            _step(cycles[-1].stops, event.ts_ns, int(data["level_paise"]))
            if "target_paise" in data:
                _step(cycles[-1].targets, event.ts_ns, int(data["target_paise"]))
        elif data.get("what") in ("stop", "target"):
            steps = cycles[-1].stops if data["what"] == "stop" else cycles[-1].targets
            _step(steps, event.ts_ns, int(data["level_paise"]))

    def _carried(self, ts: int, rung: Mapping[str, Any]) -> None:
        """What was held over night: entered on an earlier day, its stop as the day began with it."""
        key = (str(rung["strategy"]), int(rung["rung"]))
        one = _at(self._rungs.setdefault(str(rung["symbol"]), {}).setdefault(key, []), key[1], int(rung["cycle"]))
        if not one.entered:
            one.side = 1 if rung["side"] == "BUY" else -1
            one.first, one.entered, one.entry_value = int(rung["entry_ns"]), int(rung["quantity"]), int(rung["value"])
            _step(one.stops, ts, int(rung["level"]))

    def _fill(self, one: _Cycle, event: Event) -> None:
        """Cumulative numbers only grow."""
        quantity, value = int(event.data["quantity"]), int(event.data["value_paise"])
        bought = event.data["side"] == "BUY"
        if event.data["leg"] == "entry" and quantity > one.entered:
            one.first = one.first or event.ts_ns
            one.entered, one.entry_value, one.side = quantity, value, 1 if bought else -1
        elif event.data["leg"] == "exit" and quantity > one.exited:
            _left(one.exits, event.ts_ns, quantity - one.exited, value - one.exit_value)
            one.exited, one.exit_value, one.side = quantity, value, -1 if bought else 1


def _at(cycles: list[_Cycle], rung: int, cycle: int) -> _Cycle:
    """That cycle of a rung; a new one is the newest."""
    found = next((one for one in cycles if one.cycle == cycle), None)
    if found is None:
        found = _Cycle(rung, cycle)
        cycles.append(found)
    return found


def _left(exits: list[_Exit], ns: int, quantity: int, value: int) -> None:
    """Fills of one order come within moments of each other, and are one exit."""
    if exits and ns - exits[-1].ns <= _TOGETHER:
        last = exits[-1]
        last.ns, last.quantity, last.value = ns, last.quantity + quantity, last.value + value
    else:
        exits.append(_Exit(ns, quantity, value))


def _why(cycles: list[_Cycle], reason: str, left: int) -> None:
    """A trade's reason belongs to what went out then."""
    exits = [exit_ for one in cycles for exit_ in one.exits]
    nearest = min(exits, key=lambda one: abs(one.ns - left), default=None)
    if nearest is not None:
        nearest.why = reason.replace("_", " ")


def _step(steps: _Steps, ts: int, paise: int) -> None:
    """Where it stands from now on; 0 is none."""
    if paise <= 0 or (steps and steps[-1][1] == paise) or len(steps) >= MOST_STEPS:
        return
    steps.append((ts, paise))
