"""A part of a rung goes out by command: first its stop gives way, then the part is sold, never both for one share.

The quantity of the resting order (or GTT) is reduced, and only when the broker has confirmed that does an order for
the part leave, with a mark of its own in its tag. What comes of it is the broker's word. A part that is not taken is
given up, and the stop grows back; it is never sent a second time by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otrade_bot.core.clock import SECOND
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.model import Leg, OrderRequest, OrderStatus, OrderType, Refused
from otrade_bot.trading.orders import Order
from otrade_bot.trading.risk import slices
from otrade_bot.trading.rungs import RungLife

if TYPE_CHECKING:
    from otrade_bot.trading.manager import OrderManager

__all__ = ["close_data", "ended", "give_up", "recall", "send", "stop_refused"]

#: A price that a human saw so long ago is none to sell at.
PATIENCE = 60 * SECOND


def send(manager: OrderManager, life: RungLife, now: int) -> None:
    """Place what was commanded, once nothing else may sell it."""
    waits = life.awaited
    if waits > 0 and life.held - life.covered < waits and now - life.part_ns >= PATIENCE:
        give_up(manager, life, f"its stop has not given way within {PATIENCE // SECOND} s")
    if waits <= 0 or life.held - life.covered < waits:
        return
    instrument = manager.rows[life.row].instrument
    for quantity in slices(waits, instrument):
        request = _request(manager, life, quantity)
        room = life.held - life.covered
        approved = manager.gate.exit(request, room, now) if request.price > 0 else Refused("no price is known")
        if isinstance(approved, Refused):
            give_up(manager, life, approved.reason)
            return
        order = manager._register(life, request, Leg.EXIT)
        order.part = True
        manager._place(order, approved)


def _request(manager: OrderManager, life: RungLife, quantity: int) -> OrderRequest:
    """A marketable limit under a tag that a restart knows it by."""
    tag = manager.tags.make(life.strategy, life.rung, Leg.EXIT, life.cycle, part=True)
    instrument = manager.rows[life.row].instrument
    price = manager._exit_price(life)
    return OrderRequest(
        tag, instrument, life.side.opposite, quantity, life.product, OrderType.LIMIT, price, reduces=True
    )


def ended(manager: OrderManager, life: RungLife, order: Order) -> None:
    """Its last word: what was sold is booked; a rest that the broker did not sell is given up. One that we took back
    ourselves, as it had been changed too often, is followed by another."""
    if order.filled > order.booked:
        manager.parted(life, order)
    if order.filled < order.quantity and not order.cancelling:
        give_up(manager, life, order.reason or "cancelled at the exchange")


def stop_refused(manager: OrderManager, life: RungLife, reason: str) -> None:
    """The stop does not give way: nothing of what waits for it is sold."""
    if life.awaited:
        give_up(manager, life, f"its stop could not be reduced: {reason}")


def give_up(manager: OrderManager, life: RungLife, why: str) -> None:
    """What no order is at the broker for is not sold; whoever wants it still has to ask again. Said once."""
    if not life.drop_awaited():
        return
    for order in life.exits:  # it grows back at once
        order.changed_ns = order.changed_ns if order.part or order.status is OrderStatus.OPEN else 0
    left = f"{life.parting} of it are on their way" if life.parting else "nothing of it is on its way"
    name = f"{manager.symbol(life)} P{life.rung + 1}"
    manager.emit(Event(
        EventKind.CLOSE, manager.clock.now_ns(), manager.symbol(life),
        f"{name}: the part that was to be closed is given up ({why}); {left}, its stop is brought back",
        Severity.RISK, close_data(life),
    ))  # fmt: skip


def recall(manager: OrderManager, life: RungLife, why: str) -> None:
    """Nothing would be left for the stop: a part is fewer than all, so it is not wanted like that. Said once."""
    coming = [order for order in life.exits if order.part and order.live and not order.recalled]
    if not coming and not life.awaited:
        return
    for order in coming:
        order.recalled = True
    life.part = life.parted
    name = f"{manager.symbol(life)} P{life.rung + 1}"
    manager.emit(Event(
        EventKind.CLOSE, manager.clock.now_ns(), manager.symbol(life),
        f"{name}: the part that was to be closed is taken back ({why}); the stop is for all that is held",
        Severity.RISK, close_data(life),
    ))  # fmt: skip


def close_data(life: RungLife, *, whole: bool = False) -> dict[str, object]:
    """For the journal: how much of the rung's cycle was to go out by command, altogether. Recovery reads it."""
    return {
        "rung": life.rung + 1, "strategy": life.strategy, "cycle": life.cycle, "side": life.side.name,
        "held": life.held, "whole": whole, "part": life.part,
    }  # fmt: skip
