"""Protection of delivery and carried-forward rungs: a GTT at the broker from the first fill on.

Single for a runner, OCO (stop and target) for a rung with a target. An exit cancels the GTT first and
sells only after the broker has confirmed that: two selling orders are never alive at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otrade_bot.core.clock import SECOND
from otrade_bot.core.model import (
    Accepted,
    ExitReason,
    GttLeg,
    GttRequest,
    InstrumentKind,
    Outcome,
    Refused,
    Unknown,
)
from otrade_bot.core.money import Paise
from otrade_bot.kernel.fills import protected, protection_ppm
from otrade_bot.trading.rungs import GuardGtt, RungLife

if TYPE_CHECKING:
    from otrade_bot.trading.manager import OrderManager

__all__ = ["cancel_gtt", "converge_gtt"]

RETRY = 1 * SECOND


def converge_gtt(manager: OrderManager, life: RungLife, now: int) -> None:
    """Bring a delivery rung's GTT, or its exit, to what it should be."""
    if life.wanted is not None:
        _leave(manager, life, now)
        return
    if any(order.live for order in life.exits):
        return  # a leg has triggered: its order is the exit
    gtt = life.gtt
    if gtt is None or gtt.order_id:
        _place(manager, life)
    elif gtt.gtt_id and not gtt.writing and (gtt.quantity != life.held or gtt.level != life.level):
        _modify(manager, life, gtt)


def _leave(manager: OrderManager, life: RungLife, now: int) -> None:
    if life.gtt_alive:
        if life.gtt and life.gtt.gtt_id and not life.gtt.writing:
            cancel_gtt(manager, life)
        return
    gap = life.held - life.covered
    if gap > 0 and not any(order.live for order in life.exits):
        manager._place_exits(life, gap, now)


def _request(manager: OrderManager, life: RungLife) -> GttRequest:
    instrument = manager.rows[life.row].instrument
    legs = [GttLeg(life.level, _leg_price(manager, life, life.level))]
    if life.target:
        legs.append(GttLeg(life.target, _leg_price(manager, life, life.target)))
    return GttRequest(
        instrument, life.side.opposite, life.held, life.product, tuple(legs), manager.rows[life.row].ltp
    )


def _leg_price(manager: OrderManager, life: RungLife, trigger: Paise) -> Paise:
    """The leg is a LIMIT order: priced inside the protection band of its trigger, so that it is taken."""
    instrument = manager.rows[life.row].instrument
    option = int(instrument.kind is InstrumentKind.OPTION)
    return protected(life.side.opposite, trigger, protection_ppm(trigger, option), instrument.tick)


def _place(manager: OrderManager, life: RungLife) -> None:
    if life.level == 0:
        return
    gtt = GuardGtt(quantity=life.held, level=life.level, target=life.target, writing="place")
    life.gtt = gtt
    manager.broker.dispatch(
        manager.broker.place_gtt(_request(manager, life)),
        lambda outcome: manager.post(lambda: _placed(manager, life, gtt, outcome)),
    )


def _placed(manager: OrderManager, life: RungLife, gtt: GuardGtt, outcome: Outcome) -> None:
    if isinstance(outcome, Accepted):
        gtt.writing, gtt.gtt_id = "", outcome.order_id
        manager.converge(life)
    elif isinstance(outcome, Refused):
        life.gtt = None
        life.wanted = ExitReason.STOP
        manager._alert(life, f"GTT stop refused ({outcome.reason}): leaving at market")
        manager.converge(life)
    else:
        gtt.unknown = outcome.cause
        manager._alert(life, f"nobody knows whether the GTT stop stands ({outcome.cause}); asking the broker")


def _modify(manager: OrderManager, life: RungLife, gtt: GuardGtt) -> None:
    request = _request(manager, life)
    gtt.writing = "modify"
    manager.broker.dispatch(
        manager.broker.modify_gtt(gtt.gtt_id, request),
        lambda outcome: manager.post(lambda: _modified(manager, life, gtt, request, outcome)),
    )


def _modified(manager: OrderManager, life: RungLife, gtt: GuardGtt, request: GttRequest, outcome: Outcome) -> None:
    gtt.writing = ""
    if isinstance(outcome, Accepted):
        gtt.quantity, gtt.level = request.quantity, request.legs[0].trigger
        manager.converge(life)
        return
    life.retry_ns = manager.clock.now_ns() + RETRY
    why = outcome.reason if isinstance(outcome, Refused) else outcome.cause
    if isinstance(outcome, Unknown):
        gtt.unknown = why
    manager._alert(life, f"GTT stop not moved ({why})")


def cancel_gtt(manager: OrderManager, life: RungLife) -> None:
    """Take the GTT back; what follows waits for the broker's word."""
    gtt = life.gtt
    if gtt is None:
        return
    gtt.writing = "cancel"
    manager.broker.dispatch(
        manager.broker.cancel_gtt(gtt.gtt_id),
        lambda outcome: manager.post(lambda: _cancelled(manager, life, gtt, outcome)),
    )


def _cancelled(manager: OrderManager, life: RungLife, gtt: GuardGtt, outcome: Outcome) -> None:
    gtt.writing = ""
    if isinstance(outcome, Accepted):
        life.gtt = None
        manager.converge(life)
        return
    life.retry_ns = manager.clock.now_ns() + RETRY
    if isinstance(outcome, Unknown):
        gtt.unknown = outcome.cause
    why = outcome.reason if isinstance(outcome, Refused) else outcome.cause
    manager._alert(life, f"GTT stop not cancelled ({why})")
