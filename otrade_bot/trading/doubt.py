"""Writes of which nobody knows how they ended, and orders of which too little is heard: the broker's books tell.

A placement is looked for by its tag. It counts as never made only after 120 s and two complete reads at least 30 s
apart, because brokers show orders tens of seconds late. A modification or cancel is looked for in the order's
history. Until the end of a doubt its quantity stays reserved and the symbol's entries wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from otrade_bot.core.clock import SECOND
from otrade_bot.core.model import BrokerOrder, Leg, OrderStatus, Refused, Unknown
from otrade_bot.trading.orders import Order, fits

if TYPE_CHECKING:
    from otrade_bot.trading.manager import OrderManager

__all__ = [
    "begin", "clear", "force_hint", "in_doubt", "overdue", "settle_book", "settle_history", "took_effect", "unsettled",
]  # fmt: skip

NEVER = 120 * SECOND
APART = 30 * SECOND
#: A change that the order's history does not show this long after its answer was missed has not been made.
GRACE = 3 * SECOND
#: Where the history cannot be read, the book's own row counts after this.
LONG = 30 * SECOND
#: An accepted write should have been reported by then.
REPORTED = 1 * SECOND
_UNDER_WAY = ("PENDING", "REQ", "VALIDATION")


def begin(manager: OrderManager, order: Order, what: str, outcome: Unknown) -> None:
    """Reserve it, freeze the symbol's entries, tell the human; the books will say."""
    order.unknown = f"{what}: {outcome.cause}"
    order.doubt = what
    order.unknown_ns = manager.clock.now_ns()
    order.absent_reads = 0
    order.absent_ns = 0
    manager.frozen.add(order.instrument.symbol)
    text = f"nobody knows whether the {what} took effect ({outcome.cause}); asking the broker"
    if order.leg is Leg.EXIT:
        text += f". Until that is known no more of it is sold; {force_hint(order)}"
    manager._alert_order(order, text)


def force_hint(order: Order) -> str:
    """What a human may do meanwhile, and what that may cost."""
    symbol = order.instrument.symbol
    if order.order_id:
        return f"/force {symbol} sends the exit again (to the same order: nothing is sold twice)"
    return f"/force {symbol} places another exit, at the risk of selling twice"


def clear(manager: OrderManager, order: Order) -> None:
    """The doubt has ended."""
    order.unknown = order.doubt = ""
    order.asked = 0
    order.change = None
    order.over = False
    symbol = order.instrument.symbol
    if not any(o.unknown for o in manager.orders if o.instrument.symbol == symbol):
        manager.frozen.discard(symbol)


def took_effect(order: Order, told: BrokerOrder) -> bool:
    """The report shows what the doubtful (or unanswered) write wanted."""
    if told.status.final or order.doubt == "place":
        return True
    return order.doubt != "cancel" and order.change is not None and fits(order.change, told)


def settle_book(manager: OrderManager, book: Sequence[BrokerOrder], began: int) -> None:
    """Compare doubtful orders with one complete read of the broker's book, asked for at ``began``."""
    by_id = {report.order_id: report for report in book}
    by_tag = {report.tag: report for report in book if report.tag}
    for order in [o for o in manager.orders if o.unknown]:
        told = by_id.get(order.order_id) or by_tag.get(order.tag)
        if told is None:
            _absent(manager, order, began)
        elif took_effect(order, told) or began - order.unknown_ns >= LONG:
            _found(manager, order, told)


def settle_history(manager: OrderManager, order: Order, states: Sequence[BrokerOrder], began: int) -> None:
    """What the order's history, asked for at ``began``, says of a doubtful modification or cancel."""
    if not order.unknown or not states:
        return
    told = states[-1]
    if took_effect(order, told):
        _found(manager, order, told)
    elif _under_way(told):
        manager.on_report(told)  # on its way
    elif began - order.unknown_ns >= GRACE:
        _found(manager, order, told, f"the {order.doubt} did not take effect")


def _under_way(told: BrokerOrder) -> bool:
    waits = told.status is OrderStatus.TRIGGER_PENDING and "MODIF" not in told.status_word.upper()
    return not waits and any(word in told.status_word.upper() for word in _UNDER_WAY)


def _found(manager: OrderManager, order: Order, told: BrokerOrder, words: str = "") -> None:
    if took_effect(order, told) and not told.status.final:
        order.take_change()
    if order.doubt == "cancel" and not told.status.final:
        order.cancelling = False
    clear(manager, order)
    manager._alert_order(order, words or f"found at the broker: {told.status_word}")
    manager.on_report(told)
    manager._again(order)


def _absent(manager: OrderManager, order: Order, began: int) -> None:
    """A read that was under way when the doubt began says nothing."""
    if began < order.unknown_ns or order.order_id:
        return  # an order with an id exists, whatever one read says
    if order.absent_reads == 0 or began - order.absent_ns >= APART:
        order.absent_reads += 1
        order.absent_ns = began
    if began - order.unknown_ns < NEVER or order.absent_reads < 2:
        return
    clear(manager, order)
    manager._refused(order, "place", Refused("never reached the broker", "absent"))
    manager._again(order)


def unsettled(manager: OrderManager) -> list[Order]:
    """Orders whose history is wanted."""
    return [order for order in manager.orders if order.unknown and order.order_id and order.doubt != "place"]


def in_doubt(manager: OrderManager) -> list[Order]:
    """Reducing orders in doubt, of rungs that hold something."""
    return [
        order
        for life in manager.lives.values()
        if life.held > 0 and not life.closed
        for order in life.exits
        if order.unknown
    ]


def overdue(manager: OrderManager, now: int) -> bool:
    """Something should have been heard by now: the books are worth a read before their minute comes."""
    return any(_silent(order, now) for order in manager.orders)


def _silent(order: Order, now: int) -> bool:
    if order.unknown:
        return now - order.unknown_ns >= REPORTED
    if order.status.final or not order.order_id:
        return False
    waits = not order.writing and (order.status is OrderStatus.PENDING or order.cancelling)
    return (waits or order.contradicted or bool(order.was)) and now - order.answered_ns >= REPORTED

