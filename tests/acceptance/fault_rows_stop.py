"""Rows of the table of faults: the protective stop of an intraday position."""

from __future__ import annotations

from tests.acceptance.fault_table import row
from tests.acceptance.live_room import LiveRoom
from tests.acceptance.live_venues import Fine, First, Hang, Reset

STOP = 98_000
GONE = {"position": 0, "stop": None}


def _stop_blocked(order: object) -> str:
    return "RMS: blocked" if getattr(order, "order_type", "") == "SL-M" else ""


@row("stop: rejected in the book after the entry has filled", sent=3, orders=3, **GONE, told=("leaving at market",))
async def rejected(room: LiveRoom) -> None:
    room.venue.api.exchange.refuse = _stop_blocked
    await room.buy()
    await room.pass_time(10)


@row("stop: a definite no", sent=3, orders=2, **GONE, told=("leaving at market",))
async def refused(room: LiveRoom) -> None:
    room.fail("place", Fine(), room.venue.no("Stop orders are not taken now."))
    await room.buy()
    await room.pass_time(10)


@row("stop: stands, its answer lost", sent=2, orders=2, position=30, stop=STOP)
async def answer_lost(room: LiveRoom) -> None:
    room.fail("place", Fine(), Reset(after=True))
    await room.buy()
    await room.pass_time(130)


@row("stop: stands, its answer never comes", sent=2, orders=2, position=30, stop=STOP)
async def answer_hangs(room: LiveRoom) -> None:
    room.fail("place", Fine(), Hang(after=True))
    await room.buy()
    await room.give_up()
    await room.pass_time(130)


@row("stop: stands, answer and updates lost, the book 60 s late", sent=2, orders=2, position=30, stop=STOP)
async def answer_lost_and_late(room: LiveRoom) -> None:
    def late() -> None:
        room.venue.api.exchange.late_s = 60
        room.venue.updates.lose()

    room.fail("place", Fine(), First(late), )
    room.fail("place", Reset(after=True))
    await room.buy()
    await room.pass_time(200)


@row("stop: never arrived", sent=3, orders=2, position=30, stop=STOP, told=("nobody knows",))
async def lost(room: LiveRoom) -> None:
    room.fail("place", Fine(), Reset())
    await room.buy()
    await room.pass_time(300)


@row("stop: too many requests, then taken", sent=3, orders=2, position=30, stop=STOP)
async def too_many(room: LiveRoom) -> None:
    room.fail("place", Fine(), room.venue.too_many())
    await room.buy()
    await room.pass_time(30)


@row("stop: no token for it, then a login", orders=2, position=30, stop=STOP, once=("wants a new login",))
async def no_token(room: LiveRoom) -> None:
    room.fail("place", Fine(), First(lambda: room.venue.api.expire(cut=False)))
    await room.buy()
    await room.pass_time(20)
    assert room.stops() == []
    await room.log_in()
    await room.pass_time(20)


@row("stop: triggered, every update of it lost", sent=2, orders=2, **GONE)
async def triggered_unheard(room: LiveRoom) -> None:
    await room.buy()
    room.venue.updates.lose()
    await room.prices(97_500, 97_500)
    await room.pass_time(130)


@row("stop: triggered while the connection was away", sent=2, orders=2, **GONE, told=("Closed",))
async def triggered_away(room: LiveRoom) -> None:
    await room.buy()
    room.venue.sockets.down()
    await room.pass_time(5)
    await room.trade(97_500)
    await room.pass_time(20)
    room.venue.sockets.up()
    await room.pass_time(60)


@row("stop: triggered, fills in parts", sent=2, orders=2, **GONE, told=("Closed",))
async def triggered_in_parts(room: LiveRoom) -> None:
    await room.buy()
    await room.price(97_900, available=10)
    assert room.position() == room.held() == 20
    await room.price(97_950)
    await room.pass_time(30)


@row("stop: cancelled by the broker without being asked", orders=3, position=30, stop=STOP)
async def cancelled(room: LiveRoom) -> None:
    await room.buy()
    await room.pass_time(5)
    room.venue.api.exchange.cancel(room.stops()[0].order_id)
    await room.pass_time(130)


@row("stop: cancelled by the broker, and nobody heard it", orders=3, position=30, stop=STOP)
async def cancelled_unheard(room: LiveRoom) -> None:
    await room.buy()
    room.venue.updates.lose()
    room.venue.api.exchange.cancel(room.stops()[0].order_id)
    room.venue.updates.well()
    await room.pass_time(130)


@row("stop: the entry grows, the change of the stop is in doubt", orders=2, position=30, stop=STOP)
async def growth_in_doubt(room: LiveRoom) -> None:
    room.venue.thin(10)
    room.fail("modify", Reset(after=True))
    await room.buy()
    await room.pass_time(5)
    await room.price(100_000)
    await room.pass_time(200)


@row("stop: the entry grows, the change of the stop never arrives", orders=2, position=30, stop=STOP)
async def growth_lost(room: LiveRoom) -> None:
    room.venue.thin(10)
    room.fail("modify", Reset())
    await room.buy()
    await room.pass_time(5)
    await room.price(100_000)
    await room.pass_time(200)
