"""Rows of the table of faults: a broker that says no to a change of the stop, again and again."""

from __future__ import annotations

from typing import Any

from tests.acceptance.fault_table import row
from tests.acceptance.live_room import LiveRoom

GONE: dict[str, Any] = {"position": 0, "stop": None}


def _move(room: LiveRoom, level: int) -> None:
    """As a trailing stop wants it."""
    manager, life = room.engine.manager, room.life()
    assert life is not None
    room.engine.post(lambda: manager.set_stop(life.row, life.rung, life.cycle, level, life.target))


@row("exit: the stop may not be changed at all, so it is taken back and an exit sent", sent=3, orders=3, **GONE,
     told=("cannot be modified",))  # fmt: skip
async def never_changed(room: LiveRoom) -> None:
    await room.buy()
    room.fail("modify", *[room.venue.no("The order cannot be modified.")] * 40)
    assert "Flat: the broker's book" in await room.flatten()


@row("exit: no price beyond the circuit is taken, the last one is", sent=2, orders=2, **GONE)
async def circuit(room: LiveRoom) -> None:
    await room.buy()
    room.fail("modify", room.venue.no("Your order price is lower than the current lower circuit limit of 1000."))
    assert "Flat: the broker's book" in await room.flatten()
    assert room.orders()[-1].price == room.base


@row("stop: its move is refused, and the price comes back through it", sent=2, orders=2, **GONE,
     told=("stays at ₹980.00",), once=("leaving at market",))  # fmt: skip
async def passed(room: LiveRoom) -> None:
    await room.buy()
    await room.price(103_000)
    room.fail("modify", room.venue.no("The order cannot be modified."))
    _move(room, 101_000)
    await room.settle()
    await room.price(100_500, seconds=0.5)
    await room.price(100_500)
    await room.pass_time(5)


@row("stop: its move is refused once, then taken", sent=2, orders=2, position=30, stop=101_000,
     untold=("leaving at market",))  # fmt: skip
async def moved_after_all(room: LiveRoom) -> None:
    await room.buy()
    await room.price(103_000)
    room.fail("modify", room.venue.no("The order cannot be modified."))
    _move(room, 101_000)
    await room.settle()
    await room.price(102_000)
    await room.pass_time(5)
