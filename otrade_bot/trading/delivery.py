"""Protection of delivery and carried-forward rungs: a GTT at the broker from the first fill on.

Single for a runner, OCO (stop and target) for a rung with a target where the broker has that; else the target is
watched here. An exit cancels the GTT first and sells only after the broker has confirmed that: two selling orders
are never alive at once. Nothing is cancelled while the market would not take the exit.

Where the GTT cannot rest at the stop (too near to the price, held back between two steps of a trailing stop, or
refused), the true stop is watched here, and left by at market. "Gone off" is not "sold": see ``trading.guards``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from otrade_bot.core.clock import SECOND
from otrade_bot.core.model import Accepted, ExitReason, GttLeg, GttRequest, OrderType, Outcome, Refused, Unknown
from otrade_bot.core.money import Paise, rupees_text
from otrade_bot.trading import part
from otrade_bot.trading.guards import SKEW, ask, leg_price, settle_gtts
from otrade_bot.trading.refusals import beyond_circuit, trouble_of
from otrade_bot.trading.rungs import GuardGtt, RungLife

if TYPE_CHECKING:
    from otrade_bot.trading.manager import OrderManager

__all__ = ["SKEW", "cancel_gtt", "converge_gtt", "cure_of", "settle_gtts"]

RETRY, RETRY_MOST = 1 * SECOND, 15 * SECOND
#: What a human has to cure first is tried again after this, then ever more slowly.
CURED = 60 * SECOND
#: So slowly at most, and while the market is closed.
SLOWLY = 900 * SECOND
#: That the market has to open first is no news for so long.
NIGHT = 24 * 3_600 * SECOND
#: A GTT whose price has come, and whose order nobody has seen since, is taken back after this.
SILENT = 5 * SECOND
#: The leg of a target is given this long before we leave ourselves.
TARGET_PATIENCE = 3 * SECOND
#: Moves of a trailing stop that are smaller than this share wait ten times as long.
STEP_PPM = 2_500
#: Refused so often in a row, a changed GTT is placed anew instead.
ANEW_AFTER = 5
#: A price this far beyond a stop that was kept over night looks like a split, not like a fall.
JUMP_PERCENT = 20

FIRST_PRICE = "its GTT waits for the first price"
_AUTHORISE = re.compile(r"\b(ddpi|poa|tpin|e-?dis|cdsl|nsdl|authori[sz]\w*)\b", re.IGNORECASE)
_NEAR = re.compile(r"\b(close|near|trigger|distance)\b", re.IGNORECASE)


def cure_of(reason: str) -> str:
    """What a human can do about a refused sale; '' where nothing is known."""
    if _AUTHORISE.search(reason):
        return (
            "authorise the sale at the broker (CDSL TPIN / eDIS, valid for the day) or activate DDPI; until then "
            "shares of earlier days can be sold by no order, those bought today can"
        )
    return ""


def converge_gtt(manager: OrderManager, life: RungLife, now: int) -> None:
    """Bring a delivery rung's GTT, or its exit, to what it should be."""
    gtt = life.gtt if life.gtt and not life.gtt.order_id else None
    if gtt is not None:
        gtt.touched = gtt.touched or _touches(manager, life, gtt)
        if gtt.unknown:
            ask(manager, now)
    for order in life.exits:
        if order.recalled and order.ready(now):
            manager._cancel(order)
    if any(order.live and not order.part for order in life.exits):
        if gtt is not None:
            cancel_gtt(manager, life)  # beside a forced exit, or one that a restart has found
        return  # a leg has triggered, or we are leaving: that order is the exit
    if life.wanted is None:
        _watch(manager, life, gtt, now)
    if life.wanted is not None:
        _leave(manager, life, now)
        return
    if now >= life.gtt_retry_ns:
        _guard(manager, life, now)
    part.send(manager, life, now)


# --- leaving ------------------------------------------------------------------------------------------------


def _watch(manager: OrderManager, life: RungLife, gtt: GuardGtt | None, now: int) -> None:
    """The true stop, where no GTT rests at it, and a GTT that does not go off."""
    if life.level == 0 or not manager.beyond(life):
        if gtt is not None:
            gtt.crossed_ns = 0
        return
    if _market_fault(manager, life, now) or _looks_split(manager, life, gtt, now):
        return
    if gtt is None:
        _stop_out(manager, life, "the price is beyond the stop: leaving at market")
    elif not _past(manager, life, gtt.level):
        at = f"at {rupees_text(life.level)}, the GTT rests at {rupees_text(gtt.level)}"
        _stop_out(manager, life, f"the price is beyond the stop {at}: leaving at market")
    else:
        gtt.crossed_ns = gtt.crossed_ns or now
        if now - gtt.crossed_ns >= SILENT:
            late = f"the GTT stop at {rupees_text(gtt.level)} has not gone off for {SILENT // SECOND} s"
            _stop_out(manager, life, f"{late}: leaving at market")


def _stop_out(manager: OrderManager, life: RungLife, text: str) -> None:
    life.wanted = ExitReason.STOP
    manager._alert(life, text)
    manager._cancel_entries(life)


def _touches(manager: OrderManager, life: RungLife, gtt: GuardGtt) -> bool:
    """The last price is where one of its legs goes off."""
    ltp, side = manager.rows[life.row].ltp, int(life.side)
    return ltp > 0 and (_past(manager, life, gtt.level) or bool(gtt.target and (ltp - gtt.target) * side >= 0))


def _past(manager: OrderManager, life: RungLife, level: Paise) -> bool:
    ltp = manager.rows[life.row].ltp
    return ltp > 0 and (ltp - level) * int(life.side) <= 0


def _looks_split(manager: OrderManager, life: RungLife, gtt: GuardGtt | None, now: int) -> bool:
    """A rung of an earlier day far beyond its stop, and no GTT that has gone off: brokers cancel GTTs at a split or a
    bonus, which looks like a fall. Nothing is sold for it before a human has looked."""
    ltp = manager.rows[life.row].ltp
    away = abs(ltp - life.level) * 100 // life.level
    if away < JUMP_PERCENT or any(order.tag for order in life.entries):
        return False
    if gtt is not None:
        ask(manager, now)  # still there? Then it sells by itself
        gtt.crossed_ns = gtt.crossed_ns or now
        if now - gtt.crossed_ns < SILENT:
            return True
    life.bare = "far beyond its stop: a split or bonus?"
    far = f"the price {rupees_text(ltp)} is {away} % beyond the stop {rupees_text(life.level)} and no GTT has gone off"
    cure = "compare with the broker, then close it or set its stop"
    manager._say_refused(life, f"{far}: a split, a bonus? NOT sold and NOT protected: {cure}")
    return True


def _market_fault(manager: OrderManager, life: RungLife, now: int) -> str:
    return manager.gate.market(manager.rows[life.row].instrument, OrderType.LIMIT, now)


def _leave(manager: OrderManager, life: RungLife, now: int) -> None:
    if life.gtt_alive:
        if life.gtt and life.gtt.ready and _may_leave(manager, life, life.gtt, now):
            cancel_gtt(manager, life)
        return
    gap = life.held - life.covered
    if gap > 0:
        manager._place_exits(life, gap, now)


def _may_leave(manager: OrderManager, life: RungLife, gtt: GuardGtt, now: int) -> bool:
    """While the exit could not be sent, the GTT stays. A target's own leg is given a moment to report."""
    fault = _market_fault(manager, life, now)
    if fault:
        manager._say_refused(life, f"exit waits ({fault}); the GTT stays where it is", again=NIGHT)
        return False
    if _touches(manager, life, gtt):
        gtt.crossed_ns = gtt.crossed_ns or now
    if life.wanted is ExitReason.TARGET and gtt.target and now - (gtt.crossed_ns or 0) < TARGET_PATIENCE:
        return False
    return manager.can_leave(life)


# --- guarding -----------------------------------------------------------------------------------------------


def _guard(manager: OrderManager, life: RungLife, now: int) -> None:
    gtt = life.gtt
    if life.kept <= 0:  # it stands, and parts would take all that is left
        if gtt is not None and not gtt.order_id:
            part.recall(manager, life, "less is held than was")
        return
    if life.level == 0 or manager.beyond(life):
        return  # a trigger on that side would wait for a better price, not guard
    if manager.rows[life.row].ltp <= 0:
        if (gtt is None or gtt.order_id) and life.bare != FIRST_PRICE:
            life.bare = FIRST_PRICE
            manager._alert(life, "no GTT stop stands at the broker; one is placed at the first price")
    elif gtt is None or gtt.order_id:
        _place(manager, life, now)
    elif gtt.ready and _due(manager, life, gtt, now):
        _modify(manager, life, gtt)


def _due(manager: OrderManager, life: RungLife, gtt: GuardGtt, now: int) -> bool:
    """A wrong quantity at once; levels in steps."""
    if gtt.quantity != life.kept:
        return True
    level, target = _resting(manager, life)
    return _stop_moves(manager, life, gtt, level, now) or _target_moves(life, gtt, target)


def _stop_moves(manager: OrderManager, life: RungLife, gtt: GuardGtt, level: Paise, now: int) -> bool:
    gain = (level - gtt.level) * int(life.side)
    if gtt.level == life.level or gain == 0 or gtt.barred == life.level:
        return False
    if level == life.level and (gain < 0 or life.hand):
        return True  # somebody wants it there
    pace, since = round(manager.broker.gtt_pace_seconds * SECOND), now - gtt.changed_ns
    if gain < 0 or since < pace:
        return False
    small = gain * 1_000_000 < STEP_PPM * gtt.level
    return since >= 10 * pace and level == life.level if small else True


def _target_moves(life: RungLife, gtt: GuardGtt, target: Paise) -> bool:
    """``target``: where it may rest. One that rests nearer than is wanted would sell too early."""
    if target == 0 or gtt.target == 0:
        return target != gtt.target
    early = (life.target - gtt.target) * int(life.side) > 0
    return gtt.target != life.target and (early or target == life.target)


def _resting(manager: OrderManager, life: RungLife) -> tuple[Paise, Paise]:
    """Where stop and target may rest now: at their levels, or as near to the price as the broker allows. Target 0:
    it has none, or the broker does not take two legs and it is watched here."""
    row, side = manager.rows[life.row], int(life.side)
    tick, target = row.instrument.tick, life.target if manager.broker.two_leg_gtt else 0
    ppm = round(manager.broker.gtt_distance_percent * 10_000) * life.room
    if life.gtt is not None and life.gtt.barred == life.level and life.gtt.level:
        return life.gtt.level, target
    if ppm == 0 or row.ltp <= 0:
        return life.level, target
    room = row.ltp * ppm // 1_000_000 + 2 * tick  # the broker's last price may differ from ours
    low, high = (row.ltp - room) // tick * tick, -(-(row.ltp + room) // tick) * tick
    if side > 0:
        return max(tick, min(life.level, low)), max(target, high) if target else 0
    return max(life.level, high), min(target, low) if target else 0


def _request(manager: OrderManager, life: RungLife) -> GttRequest:
    row = manager.rows[life.row]
    legs = tuple(GttLeg(at, leg_price(manager, life, at)) for at in _resting(manager, life) if at)
    return GttRequest(row.instrument, life.side.opposite, life.kept, life.product, legs, row.ltp)


def _place(manager: OrderManager, life: RungLife, now: int) -> None:
    if life.gtt is None and life.gtt_refusals == 0 and not any(order.tag for order in life.entries):
        manager._say_refused(life, "no GTT stop stands at the broker: placing one")
    request = _request(manager, life)
    gtt = GuardGtt(quantity=request.quantity, level=request.legs[0].trigger, target=_second(request), writing="place")
    gtt.prices = tuple(leg.price for leg in request.legs)
    gtt.placed_ns = gtt.changed_ns = now
    life.gtt = gtt
    manager.stirred[manager.symbol(life)] += 1
    manager.broker.dispatch(
        manager.broker.place_gtt(request),
        lambda outcome: manager.post(lambda: _placed(manager, life, gtt, outcome)),
    )


def _second(request: GttRequest) -> Paise:
    return request.legs[1].trigger if len(request.legs) > 1 else 0


def _placed(manager: OrderManager, life: RungLife, gtt: GuardGtt, outcome: Outcome) -> None:
    gtt.writing = ""
    manager.stirred[manager.symbol(life)] += 1
    if isinstance(outcome, Accepted):
        gtt.gtt_id = outcome.order_id
        manager.guards.known.add(gtt.gtt_id)
        _well(manager, life, gtt)
        manager.converge(life)
    elif isinstance(outcome, Refused):
        life.gtt = None
        _not_placed(manager, life, outcome)
        manager.converge(life)
    else:
        _doubt(manager, life, gtt, "place", outcome)


def _well(manager: OrderManager, life: RungLife, gtt: GuardGtt) -> None:
    """Placed or moved. That it rests elsewhere than the stop is said."""
    level, _ = _resting(manager, life)
    life.bare, life.gtt_refusals, life.room = "", 0, 1
    gtt.touched, gtt.crossed_ns = False, 0
    if gtt.level != life.level and level != life.level:
        at = f"the GTT stop rests at {rupees_text(gtt.level)}, the nearest that the broker allows now"
        manager._say_refused(life, f"{at}; the stop at {rupees_text(life.level)} is watched here meanwhile")


def _not_placed(manager: OrderManager, life: RungLife, refused: Refused) -> None:
    """Left at market where the broker takes no GTT of it; not where a sale would end alike, or was not judged."""
    now, reason = manager.clock.now_ns(), refused.reason
    life.gtt_refusals += 1
    watched = f"unprotected at the broker, the stop at {rupees_text(life.level)} is watched here"
    if cure := cure_of(reason):
        pause = min(CURED << min(life.gtt_refusals - 1, 5), SLOWLY)
        life.bare, life.gtt_retry_ns = f"GTT refused: {reason}", now + pause
        manager._say_refused(life, f"GTT stop refused ({reason}): {cure}. It is {watched}")
    elif _passes(manager, refused):
        life.bare, life.gtt_retry_ns = f"GTT refused: {reason}", now + _pause(life.gtt_refusals)
        manager._say_refused(life, f"GTT stop refused ({reason}): {watched}; trying again")
    elif _room_helps(manager, life, reason):
        life.bare, life.gtt_retry_ns = f"GTT refused: {reason}", now
        manager._say_refused(life, f"GTT stop refused ({reason}): trying further from the price")
    elif closed := _market_fault(manager, life, now):  # no exit could be sent; it may be taken in the morning
        life.bare, life.gtt_retry_ns = f"GTT refused: {reason}", now + SLOWLY
        manager._say_refused(life, f"GTT stop refused ({reason}): unprotected, and {closed}; trying again")
    else:
        life.wanted = ExitReason.STOP
        manager._alert(life, f"GTT stop refused ({reason}): leaving at market")
        manager._cancel_entries(life)


def _passes(manager: OrderManager, refused: Refused) -> bool:
    """It says nothing of the GTT, but of the login, the address or the traffic: whom that concerns is told."""
    trouble = trouble_of(refused)
    if trouble.passing:
        manager.troubled(trouble, refused.reason)
    return trouble.passing


def _room_helps(manager: OrderManager, life: RungLife, reason: str) -> bool:
    """The broker has seen another last price than we have: twice the distance, three times at most."""
    if not manager.broker.gtt_distance_percent or life.room >= 8 or not _NEAR.search(reason):
        return False
    life.room *= 2
    return True


def _pause(refusals: int) -> int:
    return min(RETRY << min(max(refusals - 1, 0), 5), RETRY_MOST)


def _doubt(manager: OrderManager, life: RungLife, gtt: GuardGtt, what: str, outcome: Unknown) -> None:
    _open_doubt(manager, gtt, what, outcome.cause)
    manager._alert(
        life, f"nobody knows how a write of the GTT stop ended ({what}: {outcome.cause}); asking the broker"
    )
    ask(manager, manager.clock.now_ns())


def _open_doubt(manager: OrderManager, gtt: GuardGtt, what: str, cause: str) -> None:
    gtt.unknown, gtt.doubt, gtt.unknown_ns = cause, what, manager.clock.now_ns()
    gtt.absent_reads = gtt.absent_ns = 0


def _modify(manager: OrderManager, life: RungLife, gtt: GuardGtt) -> None:
    request = _request(manager, life)
    gtt.writing, gtt.asked = "modify", request.quantity
    manager.stirred[manager.symbol(life)] += 1
    manager.broker.dispatch(
        manager.broker.modify_gtt(gtt.gtt_id, request),
        lambda outcome: manager.post(lambda: _modified(manager, life, gtt, request, outcome)),
    )


def _modified(manager: OrderManager, life: RungLife, gtt: GuardGtt, request: GttRequest, outcome: Outcome) -> None:
    gtt.writing = ""
    now = manager.clock.now_ns()
    if isinstance(outcome, Unknown) and not gtt.order_id:
        _doubt(manager, life, gtt, "modify", outcome)
        return
    gtt.asked = 0
    if isinstance(outcome, Accepted):
        gtt.quantity, gtt.level, gtt.target = request.quantity, request.legs[0].trigger, _second(request)
        gtt.prices, gtt.changed_ns = tuple(leg.price for leg in request.legs), now
        _well(manager, life, gtt)
        manager.converge(life)
    elif isinstance(outcome, Refused) and not gtt.order_id:  # else it went off meanwhile: its order is heard
        _not_modified(manager, life, outcome, now)
        if life.hand and request.legs[0].trigger != gtt.level:
            _bar(life, gtt, outcome)


def _not_modified(manager: OrderManager, life: RungLife, refused: Refused, now: int) -> None:
    """It stands as it was, or has gone off or away meanwhile: the list tells."""
    life.gtt_refusals += 1
    part.stop_refused(manager, life, refused.reason)
    passes = _passes(manager, refused)
    if not passes:
        _room_helps(manager, life, refused.reason)
    life.gtt_retry_ns = now + _pause(life.gtt_refusals)
    manager._say_refused(life, f"GTT stop not moved ({refused.reason}); the stop is watched here meanwhile")
    ask(manager, now)
    if life.gtt_refusals >= ANEW_AFTER and not (passes or cure_of(refused.reason) or life.hand):
        life.gtt_refusals = 0
        cancel_gtt(manager, life)


def _bar(life: RungLife, gtt: GuardGtt, refused: Refused) -> None:
    """A GTT is not taken back because the broker does not take the level that a human wants: it stays where it rests,
    and the stop is watched here."""
    if trouble_of(refused).passing or cure_of(refused.reason):
        return
    if beyond_circuit(refused.reason) or life.gtt_refusals >= ANEW_AFTER:
        gtt.barred, life.gtt_refusals = life.level, 0


def cancel_gtt(manager: OrderManager, life: RungLife) -> None:
    """Take the GTT back; what follows waits for the broker's word."""
    gtt = life.gtt
    if gtt is None or not gtt.ready or manager.clock.now_ns() < gtt.retry_ns:
        return
    gtt.writing = "cancel"
    manager.stirred[manager.symbol(life)] += 1
    manager.broker.dispatch(
        manager.broker.cancel_gtt(gtt.gtt_id),
        lambda outcome: manager.post(lambda: _cancelled(manager, life, gtt, outcome)),
    )


def _cancelled(manager: OrderManager, life: RungLife, gtt: GuardGtt, outcome: Outcome) -> None:
    """One whose price has come may have gone off before it was taken back: then the list is believed, not the
    answer."""
    gtt.writing = ""
    now = manager.clock.now_ns()
    manager.stirred[manager.symbol(life)] += 1
    if gtt.order_id:  # it went off meanwhile: its order is heard
        manager.converge(life)
    elif isinstance(outcome, Unknown):
        _doubt(manager, life, gtt, "cancel", outcome)
    elif isinstance(outcome, Refused):
        gtt.refusals += 1
        _passes(manager, outcome)
        gtt.retry_ns = now + _pause(gtt.refusals)
        manager._say_refused(life, f"GTT stop not cancelled ({outcome.reason})")
        ask(manager, now)
    elif gtt.touched:
        _open_doubt(manager, gtt, "cancel", "taken back after its price had come")
        ask(manager, now)
    else:
        life.gtt = None
        manager.converge(life)
