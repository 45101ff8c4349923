"""Rows of the table of faults: the broker's books, and hands other than ours."""

from __future__ import annotations

from otrade_bot.core.model import Product
from tests.acceptance.fault_table import row
from tests.acceptance.live_room import LiveRoom

STOP = 98_000
IN = {"sent": 2, "orders": 2, "position": 30, "stop": STOP}


@row("books: unreadable for three minutes", **IN, told=("cannot be read",))
async def unreadable(room: LiveRoom) -> None:
    await room.buy()
    for what in ("book", "positions", "funds", "gtts"):
        room.fail(what, *(room.venue.page(502) for _ in range(40)))
    await room.pass_time(190)


@row("books: the order book is there, the positions are not", **IN)
async def half(room: LiveRoom) -> None:
    await room.buy()
    room.fail("positions", *(room.venue.page(502) for _ in range(20)))
    await room.pass_time(130)


@row("books: another order book than ours for one read (empty)", **IN)
async def empty_once(room: LiveRoom) -> None:
    await room.buy()
    orders = room.venue.api.exchange.orders
    hidden = dict(orders)
    orders.clear()
    await room.finish(room.compare())
    orders.update(hidden)
    await room.pass_time(130)


@row("by hand: a share that is not ours is bought at the broker", sent=0, orders=1, position=7,
     told=("not ours",))  # fmt: skip
async def bought_by_hand(room: LiveRoom) -> None:
    await room.prices(100_000)
    room.venue.by_hand(room.symbol, 1, 7, Product.MIS)
    await room.pass_time(130)


@row("by hand: our position is sold at the broker", position=0, orders=None, told=("RELIANCE",))
async def sold_by_hand(room: LiveRoom) -> None:
    await room.buy()
    await room.pass_time(5)
    room.venue.by_hand(room.symbol, -1, 30, Product.MIS)
    await room.pass_time(200)


@row("by hand: more is bought beside our position", sent=2, orders=3, position=40, stop=STOP, told=("not ours",))
async def more_by_hand(room: LiveRoom) -> None:
    await room.buy()
    room.venue.by_hand(room.symbol, 1, 10, Product.MIS)
    await room.pass_time(130)
