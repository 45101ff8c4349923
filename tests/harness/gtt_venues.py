"""Venues that keep GTTs as real brokers do: one leg alone, at a distance from the price, forgotten once they end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from harness.bench import Bench
from harness.venue import Call, FakeVenue
from otrade_bot.core.model import BrokerOrder, Gtt, GttStatus, OrderStatus, OrderType, Outcome, Product, Refused, Side


class Single(FakeVenue):
    """Takes the first leg of a GTT alone, as Upstox does over a holding, and prices it itself."""

    two_leg_gtt = False

    def _place_gtt(self, call: Call, loses: bool) -> Outcome:
        call.request = replace(call.request, legs=call.request.legs[:1])
        return super()._place_gtt(call, loses)

    async def get_gtts(self) -> Sequence[Gtt]:
        return [replace(g, legs=tuple(replace(leg, price=0) for leg in g.legs)) for g in self.gtts.values()]


class Apart(FakeVenue):
    """Refuses triggers that are nearer to its last price than 0.25 %, and a stop on the wrong side of it."""

    gtt_distance_percent = 0.25

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.clock)
        self.bench = bench
        self.off = 0  #: paise by which its last price differs from ours

    def _near(self, call: Call) -> Refused | None:
        last = self.bench.rows[0].ltp + self.off
        triggers = [leg.trigger for leg in call.request.legs]
        near = any(abs(t - last) * 10_000 < 25 * last for t in triggers)
        between = len(triggers) < 2 or min(triggers) < last < max(triggers)
        return Refused("Trigger price is too close to the last traded price.", "InputException") if (
            near or not between
        ) else None  # fmt: skip

    def _place_gtt(self, call: Call, loses: bool) -> Outcome:
        return self._near(call) or super()._place_gtt(call, loses)

    def _modify_gtt(self, call: Call, loses: bool) -> Outcome:
        return self._near(call) or super()._modify_gtt(call, loses)


class Forgetful(FakeVenue):
    """Its list has those alone that wait or have gone off."""

    async def get_gtts(self) -> Sequence[Gtt]:
        return [g for g in self.gtts.values() if g.status in (GttStatus.ACTIVE, GttStatus.TRIGGERED)]


def end(venue: FakeVenue, gtt_id: str, status: GttStatus, reason: str = "") -> None:
    """The broker ends a GTT by itself."""
    gtt = venue.gtts[gtt_id]
    legs = tuple(replace(leg, reason=reason) for leg in gtt.legs)
    venue.gtts[gtt_id] = replace(gtt, status=status, legs=legs)


def foreign_sale(
    venue: FakeVenue, quantity: int, *, price: int = 10_000, kind: OrderType = OrderType.LIMIT,
    product: Product = Product.CNC, **fields: Any,
) -> str:  # fmt: skip
    """A human sells with the broker's own app: no tag."""
    order_id = f"V{len(venue.orders) + 1:03d}"
    venue.orders[order_id] = BrokerOrder(
        order_id, next(iter(venue.orders.values())).symbol, Side.SELL, quantity, product, kind, OrderStatus.OPEN,
        "open", price=price, placed_ns=venue.clock.now_ns(), **fields,
    )  # fmt: skip
    venue.change(order_id)
    return order_id
