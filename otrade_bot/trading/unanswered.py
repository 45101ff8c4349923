"""Orders that a killed process had registered, and of which it never heard: nobody knows whether they left.

The journal has them from before they were sent. A broker may show one in its book a minute and a half later, also
when it has given it an id. So after a restart each that is not there yet is Unknown: reserved, its symbol frozen,
and asked for, until it turns up or its absence counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from otrade_bot.core.clock import SECOND
from otrade_bot.core.model import BrokerOrder, OrderStatus, OrderType, Product, Side
from otrade_bot.trading.orders import Order

__all__ = ["WHY", "doubt", "doubted", "sent_tags", "unanswered"]

WHY = "place: the program ended before the broker had answered"
#: A book shows an order within this, by far.
SHOWN = 600 * SECOND

Line = Mapping[str, Any]


def unanswered(lines: Iterable[Line], now: int) -> list[Line]:
    """Of a day's journal: the first line of each order that was registered a moment before ``now``, with its last
    status and the id that the broker gave it, where it did. What was refused without one never was an order."""
    first: dict[str, Line] = {}
    ids: dict[str, str] = {}
    last: dict[str, str] = {}
    refused: set[str] = set()
    for line in lines:
        if line.get("kind") != "order" or not line.get("tag"):
            continue
        tag = line["tag"]
        first.setdefault(tag, line)
        ids[tag] = ids.get(tag) or line["order_id"]
        last[tag] = line["status"]
        if OrderStatus(line["status"]).final and not ids[tag]:
            refused.add(tag)
    return [
        {**line, "order_id": ids[tag], "status": last[tag]}
        for tag, line in first.items()
        if tag not in refused and now - line["ns"] < SHOWN
    ]


def sent_tags(lines: Iterable[Line]) -> list[str]:
    """Every tag that a day's journal knows: also of orders that never came into the broker's book."""
    return [line["tag"] for line in lines if line.get("kind") == "order" and line.get("tag")]


def doubted(lines: Iterable[Line], book: Sequence[BrokerOrder], product: Mapping[str, Product]) -> list[BrokerOrder]:
    """Those that the broker's ``book`` does not show, as rows of it. ``product`` by symbol: an order of
    what is traded no more is left to the comparison."""
    shown = {order.tag for order in book}
    return [
        BrokerOrder(
            line["order_id"], line["symbol"], Side[line["side"]], line["quantity"], product[line["symbol"]],
            OrderType(line["type"]), OrderStatus.PENDING, line["status"], price=line["price_paise"],
            trigger=line["trigger_paise"], tag=line["tag"], placed_ns=line["ns"], updated_ns=line["ns"],
        )
        for line in lines
        if line["tag"] not in shown and line["symbol"] in product
    ]  # fmt: skip


def doubt(order: Order, last: str) -> None:
    """From now on nobody knows; one complete read has not shown it. ``last``: its status as the journal has it; what
    had ended can fill no more, and only what it did is not known."""
    order.unknown, order.doubt, order.unknown_ns = WHY, "place", order.placed_ns
    order.over = OrderStatus(last).final
