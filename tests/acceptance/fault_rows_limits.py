"""Rows of the table of faults: too much at once, and noes that are not about the order."""

from __future__ import annotations

from tests.acceptance.fault_table import row
from tests.acceptance.live_room import LiveRoom
from tests.acceptance.live_venues import Fine, First

STOP = 98_000
MANY = {"shares": 13, "traded": 12, "writers": 1}


async def _all_buy(room: LiveRoom) -> None:
    """Every share turns in the same second."""
    bases = {one.symbol: one.base for one in room.shares if one.symbol in room.symbols}
    for step in (5, 10, 20, 30, 40, 0):
        await room.pass_time(1)
        await room.market({symbol: base - step * _unit(room, symbol, base) for symbol, base in bases.items()})


def _unit(room: LiveRoom, symbol: str, base: int) -> int:
    tick = room.instruments[symbol].tick
    return base // 10_000 // tick * tick or tick


def _protected(room: LiveRoom) -> int:
    """How many shares are held; each of them has its stop, and its whole quantity is covered."""
    held = [symbol for symbol in room.symbols if room.position(symbol)]
    for symbol in held:
        assert sum(stop.quantity for stop in room.stops(symbol)) == room.position(symbol), symbol
    return len(held)


@row("limits: twelve entries in one second, some wait, all that fill have their stops", sent=None, position=None,
     options=MANY)  # fmt: skip
async def twelve_at_once(room: LiveRoom) -> None:
    await _all_buy(room)
    await room.pass_time(3, 0.1)
    await room.pass_time(27)
    assert _protected(room) > 6


@row("limits: everything is flattened at once", position=0, options=MANY, told=("Flat",))
async def flatten_at_once(room: LiveRoom) -> None:
    await _all_buy(room)
    await room.pass_time(3, 0.1)
    await room.pass_time(27)
    assert _protected(room) > 6
    said = await room.flatten()
    await room.pass_time(30)
    assert "flat" in said.lower()
    assert not any(room.position(symbol) for symbol in room.symbols)


@row("entry: the token dies between entry and stop, the stop rests after the login", position=30, stop=STOP,
     once=("wants a new login",))  # fmt: skip
async def token_dies(room: LiveRoom) -> None:
    room.fail("place", Fine(), First(lambda: room.venue.api.expire()))
    await room.buy()
    await room.pass_time(40)
    assert room.stops() == []
    await room.log_in()
    await room.pass_time(10)


@row("paused by a human: stop and target go on", sent=2, orders=2, position=0, told=("Closed",))
async def paused(room: LiveRoom) -> None:
    await room.buy()
    room.engine.pause("owner")
    await room.prices(104_000, 104_000)
    await room.pass_time(10)
