"""Exits of ours whose orders bear no tag: the leg of a GTT, and what was closed outside of this program.

The broker's book does not say whose they were; the day's journal does. Without it a restart would take the rungs
that they have closed for open ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from otrade_bot.core.model import BrokerOrder, Leg, OrderStatus, OrderType, Product, Side
from otrade_bot.core.money import Paise
from otrade_bot.trading.orders import OUTSIDE, TagParts, Tags, strategy_code

__all__ = ["Tagless", "known_again", "tagless_exits"]


@dataclass(frozen=True, slots=True)
class Tagless:
    """``tag``: the name in our own book; ``order_id``: the leg's order, '' for what was closed outside."""

    tag: str
    symbol: str
    parts: TagParts
    side: Side
    quantity: int
    value: Paise
    ns: int
    order_id: str = ""


def tagless_exits(lines: Iterable[Mapping[str, Any]], instance: str) -> list[Tagless]:
    """Of a day's journal, in its order. A fill line tells the sums of its rung, so what it adds is the exit's."""
    tags = Tags(instance)
    orders: dict[str, Mapping[str, Any]] = {}
    ids: dict[str, str] = {}
    told: dict[tuple[str, str, int, int], tuple[int, Paise]] = defaultdict(lambda: (0, 0))
    found: dict[str, Tagless] = {}
    for line in lines:
        kind, tag = line.get("kind"), str(line.get("tag", ""))
        if kind == "order" and tags.read(tag) is None:
            orders.setdefault(tag, line)
            ids[tag] = line["order_id"] or ids.get(tag, "")
        elif kind == "fill" and line["leg"] == Leg.EXIT:
            key = (line["symbol"], line["strategy"], line["rung"], line["cycle"])
            (before, paid), told[key] = told[key], (line["quantity"], line["value_paise"])
            order = orders.get(tag)
            if order is None:
                continue
            parts = TagParts("", strategy_code(line["strategy"]), line["rung"] - 1, Leg.EXIT, line["cycle"], 0)
            more, cost = max(0, line["quantity"] - before), max(0, line["value_paise"] - paid)
            old = found.get(tag)
            found[tag] = Tagless(
                tag, line["symbol"], parts, Side[order["side"]], more + (old.quantity if old else 0),
                cost + (old.value if old else 0), line["ns"], ids.get(tag, ""),
            )  # fmt: skip
    return list(found.values())


def known_again(
    book: Sequence[BrokerOrder], exits: Iterable[Tagless], product: Mapping[str, Product]
) -> tuple[list[BrokerOrder], dict[str, TagParts]]:
    """The broker's book with our own names on the legs of GTTs, and a row for each exit outside; and whose they are,
    by name. ``product`` by symbol: an exit of what is traded no more is left to the comparison."""
    mine = [one for one in exits if one.symbol in product]
    legs = {one.order_id: one for one in mine if one.order_id and not one.tag.startswith(OUTSIDE)}
    rows = [replace(row, tag=legs[row.order_id].tag) if row.order_id in legs else row for row in book]
    rows += [
        BrokerOrder(
            one.tag, one.symbol, one.side, one.quantity, product[one.symbol], OrderType.MARKET, OrderStatus.COMPLETE,
            "", one.quantity, one.value, tag=one.tag, placed_ns=one.ns, updated_ns=one.ns,
        )
        for one in mine
        if one.tag.startswith(OUTSIDE) and one.quantity
    ]  # fmt: skip
    return rows, {one.tag: one.parts for one in mine}
