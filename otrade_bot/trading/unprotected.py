"""What stands between a position and its stop at this moment, in words: nothing is called protected that is not.

A GTT goes off in continuous trading alone, and the exchange cancels stop orders when that ends: from then to the next
open a position falls with its price, whatever rests at the broker.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from otrade_bot.core.model import OrderStatus, Product
from otrade_bot.core.money import rupees_text
from otrade_bot.core.session import Phase

if TYPE_CHECKING:
    from otrade_bot.trading.rungs import RungLife
    from otrade_bot.trading.snapshot import Position

__all__ = ["bare_lines", "unprotected", "watched"]

HOURS_GTT = "its GTT goes off in market hours only"
HOURS_STOP = "no stop order stands outside market hours"


def unprotected(life: RungLife, phase: Phase) -> str:
    """Why nothing at the broker would take this rung out at its stop now; '' where something would."""
    if life.held <= 0:
        return ""
    if life.wanted is not None and any(o.status is OrderStatus.OPEN and not o.unknown for o in life.exits):
        return "" if phase.continuous or phase.closing_auction else "its exit waits for the market"
    why = _missing(life)
    if why or phase.continuous:
        return why
    return HOURS_STOP if life.product is Product.MIS else HOURS_GTT


def _missing(life: RungLife) -> str:
    """Where the broker has not confirmed enough, whatever the hour."""
    if life.protected:
        return ""
    if life.product is Product.MIS:
        return "stop not resting at the broker"
    gtt = life.gtt
    if gtt is None or gtt.order_id:
        return life.bare or "no GTT at the broker"
    if gtt.unknown:
        return "nobody knows whether its GTT stands"
    if gtt.writing == "cancel":
        return "its GTT is being taken back"
    return f"GTT for {gtt.quantity} of {life.held}" if gtt.gtt_id else "its GTT is being placed"


def watched(life: RungLife) -> str:
    """What of the rung's levels rests nowhere and is watched here, as long as this program runs and prices come."""
    gtt = life.gtt
    if life.product is Product.MIS or life.held <= 0 or life.wanted is not None:
        return ""
    parts = []
    if life.level and (gtt is None or gtt.order_id or gtt.level != life.level):
        rests = f", GTT at {rupees_text(gtt.level)}" if gtt and not gtt.order_id else ""
        parts.append(f"stop watched here{rests}")
    if life.target and (gtt is None or gtt.target != life.target):
        parts.append("target watched here")
    return " · ".join(parts)


def bare_lines(held: Iterable[Position]) -> list[str]:
    """'its GTT goes off in market hours only: NSE:ALPHA P1, NSE:BRAVO P2', a line a reason."""
    found: dict[str, list[str]] = {}
    for one in held:
        if one.unprotected and not one.external:
            found.setdefault(one.unprotected, []).append(f"{one.symbol} P{one.rung}")
    return [f"{why}: {', '.join(names)}" for why, names in found.items()]
