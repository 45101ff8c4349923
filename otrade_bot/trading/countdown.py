"""What is about to be squared off, when, and what it would bring: for the warnings before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otrade_bot.core.clock import MINUTE, iso
from otrade_bot.trading.later import latest
from otrade_bot.trading.snapshot import Position

if TYPE_CHECKING:
    from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["LATER", "countdown", "leaving"]

#: Minutes that the button puts the square-off off.
LATER = 5


def leaving(engine: LiveTradingEngine, first: int, last: int) -> list[Position]:
    """Ours whose square-off lies within [first, last], ns UTC."""
    found = [one for one in engine.positions() if not one.external and one.exiting is None]
    return [one for one in found if first <= _at(engine, one) <= last]


def countdown(engine: LiveTradingEngine, held: list[Position]) -> dict[str, Any]:
    """For the data of an event: each position with its result so far, the first time, and by how many minutes it can
    still be put off (0: not)."""
    times = [_at(engine, one) for one in held]
    room = [latest(engine, engine.by_symbol[one.symbol]) - _at(engine, one) for one in held]
    return {
        "held": [
            {
                "symbol": one.symbol, "rung": one.rung, "side": one.side.name, "quantity": one.quantity,
                "pnl_paise": one.unrealised if one.ltp else None, "at": iso(_at(engine, one)),
            }
            for one in held
        ],
        "square_off": iso(min(times)), "later": min(LATER, max(0, max(room)) // MINUTE),
        "only": all(one in held for one in engine.positions() if not one.external),
    }  # fmt: skip


def _at(engine: LiveTradingEngine, one: Position) -> int:
    """0: it is kept, or nobody knows its row."""
    row = engine.by_symbol.get(one.symbol, -1)
    return int(engine.params[row]["square_off"]) if row >= 0 else 0
