"""Rows of the table of faults: a process that comes (again) while things are not as it left them."""

from __future__ import annotations

from otrade_bot.core.model import Product
from tests.acceptance.fault_table import row
from tests.acceptance.live_room import LiveRoom
from tests.acceptance.live_venues import Fine, Hang

STOP = 98_000
IN = {"sent": 2, "orders": 2, "position": 30, "stop": STOP}
GONE = {"position": 0, "stop": None}


@row("start: killed and back, nothing has changed", **IN, told=("Recovered",))
async def nothing_changed(room: LiveRoom) -> None:
    await room.buy()
    await room.restart()
    await room.pass_time(130)


@row("start: killed five times in a minute", **IN, told=("Recovered",))
async def five_times(room: LiveRoom) -> None:
    await room.buy()
    for _ in range(5):
        await room.restart()
        await room.pass_time(10)


@row("start: the stop has filled while nobody was there", sent=2, orders=2, **GONE, told=("Recovered",))
async def stopped_out_meanwhile(room: LiveRoom) -> None:
    await room.buy()
    await room.kill()
    room.clock.advance_to(room.now + 60_000_000_000)
    room.venue.trade(room.symbol, 97_500)
    await room.start()
    await room.pass_time(130)
    assert len(room.engine.trades()) == 1


@row("start: the entry has filled while nobody was there", **{**IN, "sent": 3}, told=("Recovered",))
async def filled_meanwhile(room: LiveRoom) -> None:
    room.venue.thin(10)
    room.fail("place", Fine(), Hang())
    await room.buy()
    await room.kill()
    room.venue.trade(room.symbol, 100_000)
    await room.start()
    await room.pass_time(130)


@row("start: the stop was cancelled while nobody was there", orders=3, position=30, stop=STOP, told=("Recovered",))
async def stop_cancelled_meanwhile(room: LiveRoom) -> None:
    await room.buy()
    await room.kill()
    room.venue.api.exchange.cancel(room.stops()[0].order_id)
    await room.start()
    await room.pass_time(130)


@row("start: all was sold by hand while nobody was there", position=0, stop=None, told=("Recovered",))
async def sold_meanwhile(room: LiveRoom) -> None:
    await room.buy()
    await room.kill()
    room.venue.by_hand(room.symbol, -1, 30, Product.MIS)
    await room.start()
    await room.pass_time(200)


@row("start: another program has bought the same share meanwhile", orders=3, position=35, stop=STOP,
     told=("Recovered",))  # fmt: skip
async def more_meanwhile(room: LiveRoom) -> None:
    await room.buy()
    await room.kill()
    room.venue.by_hand(room.symbol, 1, 5, Product.MIS)
    await room.start()
    await room.pass_time(200)


@row("start: through the stop while nobody was there and its order cancelled", position=0, stop=None,
     told=("Recovered",))  # fmt: skip
async def through_without_a_stop(room: LiveRoom) -> None:
    await room.buy()
    await room.kill()
    room.venue.api.exchange.cancel(room.stops()[0].order_id)
    room.venue.trade(room.symbol, 97_000)
    await room.start()
    await room.price(97_000)
    await room.pass_time(130)


@row("start: the streams are away for a minute after it", **IN, told=("Recovered",))
async def deaf_at_first(room: LiveRoom) -> None:
    await room.buy()
    await room.kill()
    room.venue.sockets.down()
    await room.start()
    await room.pass_time(60)
    room.venue.sockets.up()
    await room.pass_time(60)


@row("start: the order book shows the entry a minute late", sent=None, orders=2, position=30, stop=STOP)
async def book_late_at_start(room: LiveRoom) -> None:
    room.venue.api.exchange.late_s = 60
    room.fail("place", Hang(after=True))
    await room.buy()
    await room.kill()
    room.venue.api.exchange.late_s = 0
    await room.start()
    await room.pass_time(300)
    assert room.position() == 30
