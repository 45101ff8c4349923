"""Rows of the table of faults: positions that were sold first."""

from __future__ import annotations

from tests.acceptance.fault_table import row
from tests.acceptance.live_room import LiveRoom
from tests.acceptance.live_venues import Fine, First, Hang, Reset

STOP = 102_000
IN = {"sent": 2, "orders": 2, "position": -30, "stop": STOP}
CLOSED = {"position": 0, "told": ("Closed",)}


@row("short: no fault at all", **IN)
async def no_fault(room: LiveRoom) -> None:
    await room.buy(up=False)
    await room.pass_time(130)


@row("short: entry and stop stand, both answers lost", **IN)
async def answers_lost(room: LiveRoom) -> None:
    room.fail("place", Reset(after=True), Reset(after=True))
    await room.buy(up=False)
    await room.pass_time(130)


@row("short: killed before the stop arrived", **{**IN, "sent": 3}, told=("Recovered",))
async def killed(room: LiveRoom) -> None:
    room.fail("place", Fine(), Hang())
    await room.buy(up=False)
    await room.restart()
    await room.pass_time(130)


@row("short: the stop triggers unheard", sent=2, orders=2, **CLOSED)
async def stopped_unheard(room: LiveRoom) -> None:
    await room.buy(up=False)
    room.venue.updates.lose()
    await room.prices(102_500, 102_500)
    await room.pass_time(130)


@row("short: the stop fills before the exit at the target arrives", orders=2, **CLOSED)
async def stop_was_faster(room: LiveRoom) -> None:
    await room.buy(up=False)
    room.fail("modify", First(lambda: room.venue.trade(room.symbol, 102_500)))
    await room.prices(96_000, 96_000)
    await room.pass_time(130)


@row("short: bought back by hand", position=0, orders=3)
async def bought_back_by_hand(room: LiveRoom) -> None:
    await room.buy(up=False)
    await room.pass_time(5)
    room.venue.by_hand(room.symbol, 1, 30, room.product)
    await room.pass_time(200)
