"""Protection of delivery and carried-forward rungs: a GTT at the broker from the first fill on.

Single for a runner, OCO (stop and target) for a rung with a target. An exit cancels the GTT first and
sells only after the broker has confirmed that: two selling orders are never alive at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from otrade_bot.core.clock import SECOND
from otrade_bot.core.model import (
    Accepted,
    ExitReason,
    Gtt,
    GttLeg,
    GttRequest,
    GttStatus,
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

__all__ = ["cancel_gtt", "converge_gtt", "settle_gtts"]

RETRY = 1 * SECOND
#: The broker's clock may be behind ours by this much.
SKEW = 5 * SECOND


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
    elif gtt.ready and (gtt.quantity != life.held or gtt.level != life.level):
        _modify(manager, life, gtt)


def _leave(manager: OrderManager, life: RungLife, now: int) -> None:
    if life.gtt_alive:
        if life.gtt and life.gtt.ready and manager.can_leave(life):
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
    if manager.beyond(life):  # a trigger on that side would wait for a better price, not guard
        life.wanted = ExitReason.STOP
        manager._alert(life, "the price is beyond the stop: leaving at market")
        manager.converge(life)
        return
    gtt = GuardGtt(quantity=life.held, level=life.level, target=life.target, writing="place")
    gtt.placed_ns = manager.clock.now_ns()
    life.gtt = gtt
    manager.broker.dispatch(
        manager.broker.place_gtt(_request(manager, life)),
        lambda outcome: manager.post(lambda: _placed(manager, life, gtt, outcome)),
    )


def _placed(manager: OrderManager, life: RungLife, gtt: GuardGtt, outcome: Outcome) -> None:
    gtt.writing = ""
    if isinstance(outcome, Accepted):
        gtt.gtt_id = outcome.order_id
        manager.converge(life)
    elif isinstance(outcome, Refused):
        life.gtt = None
        life.wanted = ExitReason.STOP
        manager._alert(life, f"GTT stop refused ({outcome.reason}): leaving at market")
        manager.converge(life)
    else:
        _doubt(manager, life, gtt, outcome)


def _doubt(manager: OrderManager, life: RungLife, gtt: GuardGtt, outcome: Unknown) -> None:
    gtt.unknown, gtt.unknown_ns, gtt.absent_reads = outcome.cause, manager.clock.now_ns(), 0
    manager._alert(life, f"nobody knows how a write of the GTT stop ended ({outcome.cause}); asking the broker")


def settle_gtts(manager: OrderManager, gtts: Sequence[Gtt], now: int) -> None:
    """Compare our GTTs with one complete read of the broker's list.

    One in doubt is known by symbol, side, product, quantity, first trigger and time; its absence counts
    like that of an order. One that has ended without an order of its own guards nothing any more.
    """
    by_id = {gtt.gtt_id: gtt for gtt in gtts}
    for life in [life for life in manager.lives.values() if life.gtt and not life.closed]:
        gtt = life.gtt
        if gtt is None or gtt.writing or gtt.order_id:
            continue
        if gtt.unknown and not gtt.gtt_id:
            _settle_place(manager, life, gtt, gtts, now)
        elif gtt.gtt_id in by_id:
            _settle_known(manager, life, gtt, by_id[gtt.gtt_id])


def _settle_place(manager: OrderManager, life: RungLife, gtt: GuardGtt, gtts: Sequence[Gtt], now: int) -> None:
    taken = {other.gtt.gtt_id for other in manager.lives.values() if other.gtt}
    for found in gtts:
        same = found.symbol == manager.symbol(life) and found.side is life.side.opposite
        same = same and found.product is life.product and found.quantity == gtt.quantity
        same = same and found.legs[0].trigger == gtt.level and found.created_ns >= gtt.placed_ns - SKEW
        if same and found.gtt_id not in taken:
            gtt.gtt_id, gtt.unknown = found.gtt_id, ""
            manager._alert(life, f"the GTT stop was found at the broker: {found.status}")
            _settle_known(manager, life, gtt, found)
            return
    if gtt.absent_reads == 0 or now - gtt.absent_ns >= 30 * SECOND:
        gtt.absent_reads, gtt.absent_ns = gtt.absent_reads + 1, now
    if now - gtt.unknown_ns >= 120 * SECOND and gtt.absent_reads >= 2:
        life.gtt = None
        manager._alert(life, "the GTT stop never reached the broker")
        manager.converge(life)


def _settle_known(manager: OrderManager, life: RungLife, gtt: GuardGtt, found: Gtt) -> None:
    gtt.unknown = ""
    if found.status is GttStatus.ACTIVE:
        gtt.take(found)
    elif not any(leg.order_id for leg in found.legs):  # a leg's own order reports for itself
        why = next((leg.reason for leg in found.legs if leg.reason), "")
        life.gtt = None
        manager._alert(life, f"the GTT stop has ended ({found.status} {why}".rstrip() + ") without an order")
    manager.converge(life)


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
    if isinstance(outcome, Unknown):
        _doubt(manager, life, gtt, outcome)
    else:
        manager._say_refused(life, f"GTT stop not moved ({outcome.reason})")


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
        _doubt(manager, life, gtt, outcome)
    else:
        manager._say_refused(life, f"GTT stop not cancelled ({outcome.reason})")
