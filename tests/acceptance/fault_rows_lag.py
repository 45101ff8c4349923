"""Rows of the table of faults: the broker's positions are behind its own order book."""

from __future__ import annotations

from dataclasses import dataclass

from otrade_bot.core.model import Product
from tests.acceptance.fault_table import row
from tests.acceptance.live_room import LiveRoom
from tests.venues.faults import Accept, Fault
from tests.venues.loopback import Answer, Drop

STOP = 98_000


@dataclass
class Old(Fault):
    """The answer is that of the first time, which was right then."""

    first: Answer | Drop | None = None

    async def strike(self, accept: Accept) -> Answer | Drop:
        now = await accept()
        self.first = self.first or now
        return self.first


@row("positions: behind the fill of a moment ago when the program starts again", sent=2, orders=2, position=30,
     stop=STOP, untold=("closed outside", "not ours"))  # fmt: skip
async def behind_an_entry(room: LiveRoom) -> None:
    old = Old()
    room.fail("positions", old)
    await room.compare()
    await room.buy()
    room.fail("positions", old)
    await room.restart()
    await room.pass_time(130)


@row("positions: behind the exit of a moment ago when the program starts again", sent=2, orders=2, position=0,
     untold=("closed outside", "not ours"))  # fmt: skip
async def behind_an_exit(room: LiveRoom) -> None:
    await room.buy()
    old = Old()
    room.fail("positions", old)
    await room.compare()
    await room.prices(97_500, 97_500)
    room.fail("positions", old)
    await room.restart()
    await room.pass_time(130)


@row("positions: all was sold by hand a moment before the program starts again", sent=2, orders=3, position=0,
     stop=None, told=("closed outside",))  # fmt: skip
async def sold_by_hand(room: LiveRoom) -> None:
    await room.buy()
    room.venue.by_hand(room.symbol, -1, 30, room.product)
    await room.restart()
    assert room.stops() == [], "a difference that an order explains waits for nothing"


@row("positions: ahead of the exit's order, which nobody hears of and the book shows late", orders=2, position=0,
     options={"product": Product.CNC}, untold=("closed outside", "not ours"))  # fmt: skip
async def ahead_of_the_book(room: LiveRoom) -> None:
    await room.buy()
    await room.at(9, 30, 55)  # two comparisons come while the book lacks it
    room.venue.updates.lose()
    room.venue.api.exchange.late_s = 45
    room.engine.exit_row(room.engine.by_symbol[room.symbol])
    await room.pass_time(200)
