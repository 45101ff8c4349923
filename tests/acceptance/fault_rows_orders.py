"""Rows of the table of faults: doubts about changes and cancels, the address, our mark in another's hand, /force and
/claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from otrade_bot.core.model import Block, Leg, Product
from otrade_bot.trading.orders import Tags
from tests.acceptance.fault_table import row
from tests.acceptance.live_room import LiveRoom
from tests.acceptance.live_venues import Fine, First, Reset
from tests.venues.faults import Accept
from tests.venues.loopback import Answer, Drop

STOP = 98_000
TARGET = 104_000
IP = "Order placement from an unregistered IP address (203.0.113.7) is not allowed."


async def _partly(room: LiveRoom) -> None:
    """Ten of the thirty have filled; nothing more comes."""
    room.venue.thin(10)
    await room.buy()
    await room.pass_time(2)
    assert room.position() == 10


@row("cancel of an entry: done, the answer lost", sent=2, orders=2, position=10, stop=STOP)
async def cancel_answer_lost(room: LiveRoom) -> None:
    await _partly(room)
    room.fail("cancel", Reset(after=True))
    await room.pass_time(60)
    assert room.venue.hits("cancel") == 1


@row("cancel of an entry: never arrived", sent=2, orders=2, position=10, stop=STOP)
async def cancel_lost(room: LiveRoom) -> None:
    await _partly(room)
    room.fail("cancel", Reset())
    await room.pass_time(90)
    assert room.venue.hits("cancel") == 2


@row("cancel of an entry: loses to the fill", sent=2, orders=2, position=30, stop=STOP)
async def cancel_loses(room: LiveRoom) -> None:
    await _partly(room)
    room.fail("cancel", First(lambda: room.venue.trade(room.symbol, 100_000)))
    await room.pass_time(90)


@row("cancel of an entry: accepted, and its end never told", sent=2, orders=2, position=10, stop=STOP)
async def cancel_unheard(room: LiveRoom) -> None:
    await _partly(room)
    room.fail("cancel", First(room.venue.updates.lose))
    await room.pass_time(40)
    assert room.life() is not None
    assert not room.life().entering  # type: ignore[union-attr]


@row("address: an entry from one that is not registered", sent=1, orders=0, position=0, once=("takes no orders from",))
async def address_of_entry(room: LiveRoom) -> None:
    room.fail("place", room.venue.no(IP))
    await room.buy()
    await room.pass_time(30)
    assert Block.ERROR in room.engine.blocks


@row("address: exits go on ever more slowly, then one is taken", sent=2, orders=2, position=0,
     once=("takes no orders from",), told=("Closed",))  # fmt: skip
async def address_of_exit(room: LiveRoom) -> None:
    await room.buy()
    room.fail("modify", *(room.venue.no(IP) for _ in range(5)))
    await room.prices(TARGET, TARGET)
    await room.pass_time(40)
    assert room.venue.hits("modify") == 6
    await room.price(TARGET)
    await room.pass_time(10)


@row("address: the stop of a filled entry is refused, then taken", sent=4, orders=2, position=30, stop=STOP,
     once=("takes no orders from",))  # fmt: skip
async def address_of_stop(room: LiveRoom) -> None:
    room.fail("place", Fine(), room.venue.no(IP), room.venue.no(IP))
    await room.buy()
    await room.pass_time(10)


@row("our mark: a second program trades on the account", sent=2, orders=3, position=31, stop=STOP,
     once=("does a second one run",))  # fmt: skip
async def second_program(room: LiveRoom) -> None:
    await room.buy()
    theirs = room.venue.by_hand(room.symbol, 1, 1, Product.MIS)
    tag = Tags("A1", 900).make("ema_crossover", 0, Leg.ENTRY, 77)
    room.venue.api.exchange.orders[theirs].tag = tag
    await room.pass_time(130)
    assert Block.ERROR in room.engine.blocks


@row("/force: the stop never arrived, the exit goes beside it", sent=3, orders=2, position=0,
     told=("forced by owner",))  # fmt: skip
async def forced(room: LiveRoom) -> None:
    room.fail("place", Fine(), Reset())
    await room.buy()
    assert "RISK" in room.engine.force_wish(room.symbol).text
    room.engine.force(room.symbol, "owner")
    await room.pass_time(200)


@dataclass(eq=False)
class Unseen(Reset):
    """It is done, and nobody is told: neither by the answer nor by an update, and the book shows it a minute late."""

    room: Any = None

    async def strike(self, accept: Accept) -> Answer | Drop:
        exchange, updates = self.room.venue.api.exchange, self.room.venue.updates
        exchange.late_s = 60
        updates.lose()
        await accept()
        exchange.late_s = 0
        updates.well()
        return Drop(reset=True)


@row("/force: the stop was there, it is taken back once it is seen", sent=3, orders=3, position=0,
     told=("forced by owner",))  # fmt: skip
async def forced_beside(room: LiveRoom) -> None:
    room.fail("place", Fine(), Unseen(room=room))
    await room.buy()
    assert room.engine.in_doubt
    room.engine.force(room.symbol, "owner")
    await room.pass_time(200)
    assert room.venue.hits("cancel") == 1


@row("/claim: a position by hand becomes ours, with a stop", sent=1, orders=2, position=7, stop=STOP,
     told=("claimed by owner",))  # fmt: skip
async def claimed(room: LiveRoom) -> None:
    await room.prices(100_000)
    room.venue.by_hand(room.symbol, 1, 7, Product.MIS)
    await room.pass_time(130)
    assert (room.held(), room.external()) == (0, 7)
    await room.finish(room.engine.claim(room.symbol, "owner"))
    await room.pass_time(130)
    assert (room.held(), room.external()) == (7, 0)
