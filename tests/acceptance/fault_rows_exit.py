"""Rows of the table of faults: exits. The target is 4 % above what was paid; the resting stop becomes the exit."""

from __future__ import annotations

from tests.acceptance.fault_table import row
from tests.acceptance.live_room import LiveRoom
from tests.acceptance.live_venues import First, Hang, Reset

TARGET = 104_000
STOP = 98_000
CLOSED = {"position": 0, "stop": None, "told": ("Closed",)}


async def _to_target(room: LiveRoom, seconds: float = 130) -> None:
    await room.prices(TARGET, TARGET)
    await room.pass_time(seconds)


@row("exit: no fault at all", sent=2, orders=2, **CLOSED)
async def no_fault(room: LiveRoom) -> None:
    await room.buy()
    await _to_target(room)


@row("exit: the change of the stop is done, its answer lost", sent=2, orders=2, **CLOSED)
async def change_answer_lost(room: LiveRoom) -> None:
    await room.buy()
    room.fail("modify", Reset(after=True))
    await _to_target(room)


@row("exit: the change of the stop never arrived", sent=2, orders=2, **CLOSED)
async def change_lost(room: LiveRoom) -> None:
    await room.buy()
    room.fail("modify", Reset())
    await _to_target(room, 200)


@row("exit: the change's answer never comes", sent=2, orders=2, **CLOSED)
async def change_hangs(room: LiveRoom) -> None:
    await room.buy()
    room.fail("modify", Hang(after=True))
    await room.prices(TARGET)
    await room.give_up()
    await room.pass_time(130)


@row("exit: the change is refused, then taken", sent=2, orders=2, **CLOSED)
async def change_refused(room: LiveRoom) -> None:
    await room.buy()
    room.fail("modify", room.venue.no("Try again."))
    await _to_target(room)


@row("exit: no more changes are allowed to the order", sent=3, orders=3, **CLOSED)
async def change_limit(room: LiveRoom) -> None:
    await room.buy()
    for _ in range(6):
        room.fail("modify", room.venue.no("Maximum allowed order modifications exceeded."))
    await _to_target(room)


@row("exit: the stop triggers just before its change arrives", orders=2, **CLOSED)
async def stop_was_faster(room: LiveRoom) -> None:
    await room.buy()
    room.fail("modify", First(lambda: room.venue.trade(room.symbol, 97_500)))
    await _to_target(room)


@row("exit: 429 for a while", sent=2, orders=2, **CLOSED)
async def too_many(room: LiveRoom) -> None:
    await room.buy()
    for _ in range(4):
        room.fail("modify", room.venue.too_many())
    await _to_target(room)


@row("exit: fills in part, then the rest", sent=2, orders=2, **CLOSED)
async def in_parts(room: LiveRoom) -> None:
    await room.buy()
    hang = Hang()
    room.fail("modify", hang)
    await room.price(TARGET)
    room.venue.thin(10)
    hang.release()
    await room.settle()
    await room.price(TARGET)
    await room.pass_time(60)


@row("exit: no token for it, then a login", orders=2, **CLOSED, once=("wants a new login",))
async def no_token(room: LiveRoom) -> None:
    await room.buy()
    room.venue.api.expire(cut=False)
    await _to_target(room, 30)
    assert room.position() == 30
    assert len(room.stops()) == 1
    await room.log_in()
    await room.pass_time(30)


@row("exit: killed while the change's answer is on its way", orders=2, position=0)
async def killed(room: LiveRoom) -> None:
    await room.buy()
    room.fail("modify", Hang(after=True))
    await room.prices(TARGET)
    await room.restart()
    await room.pass_time(130)


@row("exit: killed before the change arrived", orders=2, position=0)
async def killed_before(room: LiveRoom) -> None:
    await room.buy()
    room.fail("modify", Hang())
    await room.prices(TARGET)
    await room.restart()
    await room.prices(TARGET)
    await room.pass_time(130)


@row("square-off: refused three times, then taken", orders=2, **CLOSED, options={"start": (14, 30)})
async def square_off_refused(room: LiveRoom) -> None:
    room.lively = False
    await room.buy()
    for _ in range(3):
        room.fail("modify", room.venue.no("Busy."))
    await room.at(14, 54, 55, step=5)
    room.lively = True
    await room.price(100_500)
    await room.pass_time(90)


@row("square-off: the order stream is away", orders=2, **CLOSED, options={"start": (14, 30)})
async def square_off_deaf(room: LiveRoom) -> None:
    await room.buy()
    await room.at(14, 54, 50, step=2)
    room.venue.updates.lose()
    await room.price(100_500)
    await room.pass_time(130)


@row("flatten: with an entry that nobody knows of", position=0, told=("Flatten",))
async def flatten_in_doubt(room: LiveRoom) -> None:
    room.venue.updates.lose()
    room.venue.api.exchange.late_s = 30
    room.fail("place", Reset(after=True))
    await room.buy()
    room.venue.updates.well()
    room.venue.api.exchange.late_s = 0
    assert room.position() == 30
    said = await room.flatten()
    await room.pass_time(130)
    assert "flat" in said.lower()


@row("flatten: the exit's answer is lost", orders=2, position=0, told=("Flatten",))
async def flatten_answer_lost(room: LiveRoom) -> None:
    await room.buy()
    room.fail("modify", Reset(after=True))
    said = await room.flatten()
    assert "flat" in said.lower()
    await room.pass_time(60)
