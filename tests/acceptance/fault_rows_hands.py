"""Rows of the table of faults: somebody else closes what is ours, and our own order must not sell it again."""

from __future__ import annotations

from tests.acceptance.fault_table import row
from tests.acceptance.live_room import LiveRoom
from tests.acceptance.live_venues import Reset


@row("by hand: sold at the broker, then the price falls through the stop", sent=2, position=0, stop=None,
     told=("closed outside", "outside of this program, BUY"), untold=(", stop, BUY",))  # fmt: skip
async def sold_then_fall(room: LiveRoom) -> None:
    await room.buy()
    room.venue.by_hand(room.symbol, -1, 30, room.product)
    await room.pass_time(3)
    await room.prices(97_500, 97_400)
    await room.pass_time(70)


@row("by hand: the broker squares off while nobody knows how our conversion ended", sent=2, position=0, stop=None,
     told=("closed outside", "nobody knows"))  # fmt: skip
async def squared_off_in_doubt(room: LiveRoom) -> None:
    await room.buy()
    room.fail("modify", Reset())
    room.engine.exit_row(room.engine.by_symbol[room.symbol])
    await room.pass_time(1)
    room.venue.by_hand(room.symbol, -1, 30, room.product)
    await room.pass_time(130)


@row("by hand: sold at the broker, and flattened in the same moment", sent=2, position=0, stop=None,
     told=("10 closed outside",))  # fmt: skip
async def sold_and_flattened(room: LiveRoom) -> None:
    await room.buy()
    room.venue.by_hand(room.symbol, -1, 10, room.product)
    await room.settle()
    assert "Flat: the broker's book" in await room.flatten()


@row("by hand: sold while the stream was away, and flattened before anybody heard of it", sent=2, position=0, stop=None,
     told=("10 closed outside",))  # fmt: skip
async def sold_unheard(room: LiveRoom) -> None:
    await room.buy()
    room.venue.updates.lose()
    room.venue.by_hand(room.symbol, -1, 10, room.product)
    await room.settle()
    room.venue.updates.well()
    assert "Flat: the broker's book" in await room.flatten()


@row("by hand: sold, heard, and not in the book yet when it is flattened", sent=2, position=0, stop=None,
     told=("30 closed outside",))  # fmt: skip
async def heard_before_the_book(room: LiveRoom) -> None:
    await room.buy()
    await room.pass_time(70)
    room.venue.api.exchange.late_s = 60
    room.venue.by_hand(room.symbol, -1, 30, room.product)
    await room.settle()
    assert "Flat: the broker's book" in await room.flatten()


@row("by hand: part of it sold at the broker, the stop keeps the rest", sent=2, position=20, stop=98_000,
     told=("10 closed outside",))  # fmt: skip
async def sold_in_part(room: LiveRoom) -> None:
    await room.buy()
    room.venue.by_hand(room.symbol, -1, 10, room.product)
    await room.pass_time(5)
