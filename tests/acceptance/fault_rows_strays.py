"""Rows of the table of faults: GTTs that nobody here remembers to have placed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from otrade_bot.core.model import GttLeg, GttRequest, Product, Side
from tests.acceptance.fault_table import row
from tests.acceptance.live_room import LiveRoom
from tests.acceptance.live_venues import Hang
from tests.venues.faults import Accept, Fault
from tests.venues.loopback import Answer, Drop

STOP = 98_000
HELD: dict[str, Any] = {"options": {"product": Product.CNC}, "position": 30, "stop": STOP}


@dataclass
class Underway(Fault):
    """The connection ends, and what was asked for is done when ``land`` is awaited."""

    _accept: list[Accept] = field(default_factory=list)

    async def strike(self, accept: Accept) -> Answer | Drop:
        self._accept.append(accept)
        return Drop(reset=True)

    async def land(self) -> None:
        await self._accept.pop()()


@row("GTT: in doubt when the process is killed, it arrives after the next one has placed its own", sent=1, orders=1,
     **HELD, told=("turned up after all",))  # fmt: skip
async def arrives_late(room: LiveRoom) -> None:
    late = Underway()
    room.fail("place_gtt", late)
    await room.buy()
    await room.restart()
    assert len(room.stops()) == 1
    await late.land()
    assert len(room.stops()) == 2
    await room.pass_time(130)


@row("GTT: its first answer is late while the list is read after a restart", sent=1, orders=1, **HELD,
     untold=("turned up after all", "guards no rung"))  # fmt: skip
async def listed_before_answered(room: LiveRoom) -> None:
    late, slow = Underway(), Hang(after=True)
    room.fail("place_gtt", late, slow)
    await room.buy()
    await room.restart()
    await room.compare()
    await room.settle()
    slow.release()
    await room.pass_time(10)


@row("GTT: another hand places one beside ours", sent=1, orders=1, options={"product": Product.CNC}, position=None,
     once=("guards no rung of ours",))  # fmt: skip
async def beside_ours(room: LiveRoom) -> None:
    await room.buy()
    hand = GttRequest(room.instruments[room.symbol], Side.SELL, 10, Product.CNC, (GttLeg(95_000, 94_500),), room.base)
    placed = await room.finish(room.client.inner.place_gtt(hand))
    await room.pass_time(200)
    await room.finish(room.client.inner.cancel_gtt(placed.order_id))
