"""After a start: what humans had decided about open rungs holds again. The journal knows what was decided, the
broker's book what has been done of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from otrade_bot.core.model import ExitReason
from otrade_bot.core.money import Paise
from otrade_bot.kernel import state as abi
from otrade_bot.trading.decided import Decided, Key
from otrade_bot.trading.guards import SKEW
from otrade_bot.trading.part import give_up
from otrade_bot.trading.rungs import RungLife

if TYPE_CHECKING:
    from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["foreign_triggers", "hold_levels", "past_events", "resume_closing"]

#: (ts ns, row, fields of the PHASE event)
PastEvent = tuple[int, int, dict[str, int]]


def _key(engine: LiveTradingEngine, life: RungLife) -> Key:
    return engine.manager.symbol(life), life.strategy, life.rung + 1, life.cycle


def past_events(engine: LiveTradingEngine, decided: Decided) -> Iterator[PastEvent]:
    """Levels as they were put, and rungs that were to go from then on, for the day that is played again."""
    for one in decided.levels:
        code = abi.PHASE_STOP if one.what == "stop" else abi.PHASE_TARGET
        fields = {"code": code, "value": one.level, "qty": int(one.hand), "rung": one.key[2] - 1, "cycle": one.key[3]}
        yield from _of_row(engine, one.key, one.ns, fields)
    for closing in decided.closings.values():
        if closing.whole:
            fields = {"code": abi.PHASE_EXIT, "value": abi.R_COMMAND, "rung": closing.key[2] - 1}
            yield from _of_row(engine, closing.key, closing.ns, fields)


def _of_row(engine: LiveTradingEngine, key: Key, ns: int, fields: dict[str, int]) -> Iterator[PastEvent]:
    index = engine.by_symbol.get(key[0], -1)
    if index >= 0 and engine.table[index].strategy == key[1]:
        yield ns, index, fields


def resume_closing(engine: LiveTradingEngine, life: RungLife, decided: Decided) -> None:
    """What was to be closed still is; a part of which an order has ended unfilled meanwhile is given up."""
    closing = decided.closings.get(_key(engine, life))
    parts = [order for order in life.exits if order.part]
    under_way = life.parted + sum(order.left for order in parts)
    life.part_ns = engine.clock.now_ns()
    life.part = max(closing.part if closing else 0, under_way)
    if life.closing or (closing is not None and closing.whole):
        life.wanted = ExitReason.COMMAND
        return
    if closing is None:
        return
    since = closing.ns - SKEW  # brokers tell whole seconds, by a clock of their own
    late = [order for order in parts if order.placed_ns >= since and order.status.final and not order.unknown]
    if any(order.filled < order.quantity for order in late):
        give_up(engine.manager, life, "its order ended while nobody was here")


def hold_levels(engine: LiveTradingEngine, life: RungLife, decided: Decided) -> None:
    """The newest word counts, whatever the prices of the day have made of it."""
    s, r = engine.state[life.row], life.rung
    stop, target = (decided.last(_key(engine, life), what) for what in ("stop", "target"))
    if stop is not None and stop.hand:
        s["stop"][r] = s["sent_stop"][r] = stop.level
        s["hand_stop"][r] = 1
    if target is not None and target.hand:
        s["target"][r] = target.level
        s["hand_target"][r] = 1
    engine.deck.changed()
    life.hand = bool(s["hand_stop"][r])


def foreign_triggers(
    engine: LiveTradingEngine, life: RungLife, decided: Decided, resting: list[Paise]
) -> list[Paise]:
    """Of levels that rest at the broker those that no human has put there: they are the strategy's own."""
    key = _key(engine, life)
    put = {one.level for one in decided.levels if one.key == key and one.what == "stop" and one.hand}
    return [level for level in resting if level not in put]
