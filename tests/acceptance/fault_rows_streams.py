"""Rows of the table of faults: the connections over which prices and order updates come."""

from __future__ import annotations

from http import HTTPStatus

from otrade_bot.core.model import Block
from tests.acceptance.fault_table import row
from tests.acceptance.live_room import LiveRoom

STOP = 98_000
IN = {"sent": 2, "orders": 2, "position": 30, "stop": STOP}
OUT = {"sent": 0, "orders": 0, "position": 0}


@row("streams: cut, and back at once", **IN)
async def cut(room: LiveRoom) -> None:
    await room.buy()
    room.venue.sockets.hang_up()
    await room.pass_time(60)
    await room.price(101_000)
    assert room.engine.table[room.engine.by_symbol[room.symbol]].ltp == 101_000


@row("streams: cut while the order fills", **IN)
async def cut_while_it_fills(room: LiveRoom) -> None:
    room.venue.thin(10)
    await room.buy()
    room.venue.sockets.down()
    await room.trade(100_000)
    await room.pass_time(5)
    room.venue.sockets.up()
    await room.pass_time(130)


@row("streams: one falls silent without an end, the next one speaks", **IN)
async def silent_once(room: LiveRoom) -> None:
    await room.pass_time(10)
    before = len(room.venue.sockets.links)
    room.venue.sockets.silence()
    await room.pass_time(60)
    assert len(room.venue.sockets.links) > before
    assert Block.STALE not in room.engine.blocks
    await room.buy()
    await room.pass_time(5)


@row("streams: away for two minutes, no entry on old prices", **OUT, told=("prices are stale",))
async def away(room: LiveRoom) -> None:
    await room.prices(100_000)
    room.venue.sockets.down()
    await room.pass_time(120)
    assert Block.STALE in room.engine.blocks
    room.venue.sockets.up()
    await room.pass_time(60)
    await room.prices(100_000)
    assert Block.STALE not in room.engine.blocks


@row("streams: open, but silent", **OUT, told=("prices are stale",))
async def silent(room: LiveRoom) -> None:
    await room.prices(100_000)
    room.venue.sockets.silence(new=True)
    await room.pass_time(60)
    assert Block.STALE in room.engine.blocks
    room.venue.sockets.silence(False)
    await room.pass_time(60)
    await room.prices(100_000)
    assert Block.STALE not in room.engine.blocks


@row("streams: the handshake is refused for the token, then a login", **IN, once=("wants a new login",))
async def handshake_refused(room: LiveRoom) -> None:
    room.venue.api.expire()
    await room.pass_time(20)
    assert Block.TOKEN in room.engine.blocks
    await room.log_in()
    await room.pass_time(5)
    await room.buy()
    await room.pass_time(5)


@row("streams: every handshake is answered with 503 for a while", **IN)
async def handshake_503(room: LiveRoom) -> None:
    await room.buy()
    room.venue.sockets.refusing = HTTPStatus.SERVICE_UNAVAILABLE
    room.venue.sockets.hang_up()
    await room.pass_time(60)
    room.venue.sockets.refusing = None
    await room.pass_time(60)


@row("streams: torn and unreadable frames", **IN)
async def poison(room: LiveRoom) -> None:
    for frame in (b"\x00\x01\x00\xb8" + bytes(20), b"\xff\xff\xff", b"\x00\x01\x00\x05abcde", b""):
        room.venue.sockets.send(frame)
    for text in ("", "[1]", "{", '{"type":"order","data":{"order_id":1}}', '{"update_type":"order"}', "<html>"):
        room.venue.sockets.send(text)
    await room.settle()
    await room.buy()
    await room.pass_time(5)


@row("streams: an update in words that nobody knows", **IN)
async def unknown_words(room: LiveRoom) -> None:
    await room.buy()
    told = dict(room.venue.updates.told[-1])
    room.venue.updates({**told, "status": "HALF EATEN"})
    room.venue.updates({**told, "order_type": "SIDEWAYS"})
    room.venue.updates({**told, "filled_quantity": "ten"})
    await room.pass_time(130)


@row("streams: old updates come again after the end", sent=2, orders=2, position=0, told=("Closed",))
async def old_news(room: LiveRoom) -> None:
    await room.buy()
    await room.prices(97_500, 97_500)
    old = list(room.venue.updates.told)
    for update in old:
        room.venue.updates(update)
    await room.pass_time(130)
    assert len(room.engine.trades()) == 1


@row("streams: open and silent for long, made anew ever more rarely, said once", **OUT, once=("prices are stale",))
async def silent_for_long(room: LiveRoom) -> None:
    await room.prices(100_000)
    before = len(room.venue.sockets.links)
    room.venue.sockets.silence(new=True)
    await room.pass_time(600)
    assert Block.STALE in room.engine.blocks
    assert len(room.venue.sockets.links) - before < (30 if room.venue.name == "kite" else 8)
