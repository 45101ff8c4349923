"""Rows of the table of faults: entries. Stops are 2 % below, targets 4 % above what was paid."""

from __future__ import annotations

from tests.acceptance.fault_table import row
from tests.acceptance.live_room import LiveRoom
from tests.acceptance.live_venues import Closed, Fine, Hang, Reset

STOP = 98_000
IN = {"sent": 2, "orders": 2, "position": 30, "stop": STOP}  #: bought once, and protected
OUT = {"sent": 1, "orders": 0, "position": 0}  #: sent once, and nothing came of it


@row("no fault at all", **IN, told=("Filled",), untold=("ALERT",))
async def no_fault(room: LiveRoom) -> None:
    await room.buy()
    await room.pass_time(130)


@row("entry: done, the answer lost by a reset", **IN)
async def answer_reset(room: LiveRoom) -> None:
    room.fail("place", Reset(after=True))
    await room.buy()
    await room.pass_time(130)


@row("entry: done, the connection closed without an answer", **IN)
async def answer_closed(room: LiveRoom) -> None:
    room.fail("place", Closed(after=True))
    await room.buy()
    await room.pass_time(130)


@row("entry: done, a page for people instead of the answer", **IN)
async def answer_page(room: LiveRoom) -> None:
    room.fail("place", room.venue.page(502, after=True))
    await room.buy()
    await room.pass_time(130)


@row("entry: done, the answer breaks off", **IN)
async def answer_torn(room: LiveRoom) -> None:
    room.fail("place", room.venue.torn())
    await room.buy()
    await room.pass_time(130)


@row("entry: done, the answer never comes", **IN)
async def answer_hangs(room: LiveRoom) -> None:
    room.fail("place", Hang(after=True))
    await room.buy()
    await room.give_up()
    await room.pass_time(130)


@row("entry: done, answer and updates lost, the book 90 s late", **IN, told=("nobody knows",))
async def answer_lost_and_book_late(room: LiveRoom) -> None:
    room.venue.api.exchange.late_s = 90
    room.venue.updates.lose()
    room.fail("place", Reset(after=True))
    await room.buy()
    await room.pass_time(80)
    assert room.held() == 0
    room.venue.api.exchange.late_s = 0
    await room.pass_time(120)


@row("entry: never arrived, the connection reset", **OUT, told=("nobody knows",))
async def lost_reset(room: LiveRoom) -> None:
    room.fail("place", Reset())
    await room.buy()
    await room.pass_time(300)
    assert not room.engine.manager.frozen


@row("entry: never arrived, 502 from what stands before the broker", **OUT, told=("nobody knows",))
async def lost_page(room: LiveRoom) -> None:
    room.fail("place", room.venue.page(502))
    await room.buy()
    await room.pass_time(300)
    assert not room.engine.manager.frozen


@row("entry: a definite no", **OUT, told=("Order REFUSED",))
async def refused(room: LiveRoom) -> None:
    room.fail("place", room.venue.no("Trading in this share is restricted."))
    await room.buy()
    await room.pass_time(130)


@row("entry: too many requests", **OUT, told=("Order REFUSED",))
async def too_many(room: LiveRoom) -> None:
    room.fail("place", room.venue.too_many())
    await room.buy()
    await room.pass_time(130)


@row("entry: rejected in the book for want of margin", sent=1, orders=1, position=0, told=("REFUSED",))
async def no_margin(room: LiveRoom) -> None:
    room.venue.api.exchange.cash = 100_00
    await room.buy()
    await room.pass_time(130)


@row("entry: fills in part, then the rest", **IN)
async def in_parts(room: LiveRoom) -> None:
    await _partly(room, 10)
    assert [stop.quantity for stop in room.stops()] == [10]
    await room.price(100_000)
    await room.pass_time(5)


@row("entry: fills in part, its rest is cancelled by the exchange", sent=2, orders=2, position=10, stop=STOP)
async def in_part_and_cancelled(room: LiveRoom) -> None:
    await _partly(room, 10)
    room.venue.api.exchange.cancel(room.orders()[0].order_id)
    await room.pass_time(130)


@row("entry: fills in part, then silence of the order stream", **IN)
async def in_part_and_silence(room: LiveRoom) -> None:
    await _partly(room, 10)
    room.venue.updates.lose()
    await room.trade(100_000)
    await room.pass_time(130)


async def _partly(room: LiveRoom, quantity: int) -> None:
    """The market order meets so many shares at the price, the rest of it waits as a limit order."""
    room.venue.thin(quantity)
    await room.buy()
    assert room.held() == room.position() == quantity


@row("entry: every update comes twice", **IN)
async def twice(room: LiveRoom) -> None:
    room.venue.updates.repeat(2)
    await room.buy()
    await room.pass_time(130)


@row("entry: updates come newest first", **IN)
async def reordered(room: LiveRoom) -> None:
    room.venue.updates.hold()
    await room.buy()
    room.venue.updates.release(newest_first=True)
    await room.settle()
    await room.pass_time(130)


@row("entry: every update is lost", **IN)
async def updates_lost(room: LiveRoom) -> None:
    room.venue.updates.lose()
    await room.buy()
    await room.pass_time(130)


@row("entry: its update comes before its answer", **IN, untold=("not ours",))
async def update_before_answer(room: LiveRoom) -> None:
    hang = Hang(after=True)
    room.fail("place", hang)
    await room.buy()
    assert room.position() == 30
    hang.release()
    await room.settle()
    await room.pass_time(130)


@row("entry: the token is worth nothing any more", **OUT, once=("wants a new login",))
async def token_expired(room: LiveRoom) -> None:
    room.venue.api.expire(cut=False)
    await room.buy()
    await room.pass_time(30)


@row("entries: five refused in a row", sent=5, orders=0, position=0, options={"shares": 8, "traded": 6},
     told=("5 entries in a row were refused",))  # fmt: skip
async def storm(room: LiveRoom) -> None:
    room.fail("place", *(room.venue.no("RMS: your account is blocked.") for _ in range(6)))
    for symbol in room.symbols:
        await room.buy(symbol=symbol)
    await room.pass_time(5)


@row("entry: killed while its answer is on its way, the order stands", **IN, told=("Recovered",))
async def killed_with_order(room: LiveRoom) -> None:
    room.fail("place", Hang(after=True))
    await room.buy()
    await room.restart()
    await room.pass_time(130)


@row("entry: killed before it arrived", **OUT)
async def killed_without_order(room: LiveRoom) -> None:
    room.fail("place", Hang())
    await room.buy()
    await room.restart()
    await room.pass_time(300)


@row("entry: killed between the fill and its stop", **{**IN, "sent": 3}, told=("Recovered",))
async def killed_before_the_stop(room: LiveRoom) -> None:
    room.fail("place", Fine(), Hang())
    await room.buy()
    await room.restart()
    await room.pass_time(130)
