"""Rows of the table of faults: the ones that every other builds on."""

from __future__ import annotations

from tests.acceptance.fault_table import row
from tests.acceptance.live_room import LiveRoom
from tests.acceptance.live_venues import Fine, Hang, Reset

STOP = 98_000  #: 2 % below what was paid


@row("no fault at all", sent=2, orders=2, position=30, stop=STOP, told=("Filled",), untold=("ALERT",))
async def no_fault(room: LiveRoom) -> None:
    await room.buy()
    await room.pass_time(130)


@row("entry: the order stands, its answer is lost", sent=2, orders=2, position=30, stop=STOP)
async def entry_answer_lost(room: LiveRoom) -> None:
    room.fail("place", Reset(after=True))
    await room.buy()
    await room.pass_time(130)


@row("entry: it never arrived, nobody knows", sent=1, orders=0, position=0, told=("ALERT",))
async def entry_lost(room: LiveRoom) -> None:
    room.fail("place", Reset(after=False))
    await room.buy()
    await room.pass_time(200)


@row("stop: rejected by the exchange after the entry has filled", sent=3, orders=3, position=0,
     told=("leaving at market",))  # fmt: skip
async def stop_rejected(room: LiveRoom) -> None:
    room.venue.api.exchange.refuse = lambda order: "RMS: blocked" if order.order_type == "SL-M" else ""
    await room.buy()
    await room.pass_time(10)


@row("order stream: every update is lost", sent=2, orders=2, position=30, stop=STOP)
async def updates_lost(room: LiveRoom) -> None:
    room.venue.updates.lose()
    await room.buy()
    await room.pass_time(130)


@row("stop: killed while its answer is on its way", sent=2, orders=2, position=30, stop=STOP, told=("Recovered",))
async def killed_before_the_stop_is_known(room: LiveRoom) -> None:
    room.fail("place", Fine(), Hang(after=True))
    await room.buy()
    await room.restart()
    await room.pass_time(130)
