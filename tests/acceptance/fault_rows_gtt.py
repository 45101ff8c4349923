"""Rows of the table of faults: delivery, guarded by a GTT. Kite takes stop and target in one, Upstox the stop alone."""

from __future__ import annotations

from typing import Any

from otrade_bot.core.model import Product
from tests.acceptance.fault_table import row
from tests.acceptance.live_room import LiveRoom
from tests.acceptance.live_venues import First, Hang, Reset

STOP, TARGET = 98_000, 104_000
CNC: dict[str, Any] = {"options": {"product": Product.CNC}}
HELD: dict[str, Any] = {**CNC, "position": 30, "stop": STOP}
GONE: dict[str, Any] = {**CNC, "position": 0, "stop": None, "told": ("Closed",)}


def _legs_blocked(room: LiveRoom) -> None:
    """Whatever sells is rejected in the book."""
    room.venue.api.exchange.refuse = lambda order: "RMS: blocked" if order.side < 0 else ""


def _let_through(room: LiveRoom) -> None:
    room.venue.api.exchange.refuse = lambda order: ""


async def _end_gtt(room: LiveRoom) -> None:
    """The broker ends it, as at a corporate action."""
    api, gtt_id = room.venue.api, room.venue.guards()[0].gtt_id
    if room.venue.name == "kite":
        api.gtts.end(api.gtts.known(gtt_id), "disabled")
    else:
        api.exchange.cancel_gtt(gtt_id)


@row("GTT: no fault at all", sent=1, orders=1, **HELD)
async def no_fault(room: LiveRoom) -> None:
    await room.buy()
    await room.pass_time(130)
    assert room.venue.hits("place_gtt") == 1


@row("GTT: its order sells, the trade is booked as a stop", sent=1, orders=2, **GONE)
async def stopped(room: LiveRoom) -> None:
    await room.buy()
    await room.prices(97_900, 97_900)
    await room.pass_time(70)
    assert room.told("Closed", "stop")


@row("GTT: the target is reached", orders=2, **GONE, kite={"sent": 1}, upstox={"sent": 2})
async def target(room: LiveRoom) -> None:
    await room.buy()
    await room.prices(TARGET, TARGET)
    await room.pass_time(70)
    assert room.told("Closed", "target")


@row("GTT: stands, its answer lost", sent=1, orders=1, **HELD, told=("nobody knows",))
async def answer_lost(room: LiveRoom) -> None:
    room.fail("place_gtt", Reset(after=True))
    await room.buy()
    await room.pass_time(10)
    assert room.venue.hits("place_gtt") == 1


@row("GTT: its answer never comes", sent=1, orders=1, **HELD)
async def answer_hangs(room: LiveRoom) -> None:
    room.fail("place_gtt", Hang(after=True))
    await room.buy()
    await room.give_up()
    await room.pass_time(10)
    assert room.venue.hits("place_gtt") == 1


@row("GTT: never arrived", sent=1, orders=1, **HELD, told=("nobody knows", "never reached the broker"))
async def lost(room: LiveRoom) -> None:
    room.fail("place_gtt", Reset())
    await room.buy()
    await room.pass_time(160)
    assert room.venue.hits("place_gtt") == 2


@row("GTT: a definite no", sent=2, orders=2, **{**GONE, "told": ("leaving at market",)})
async def refused(room: LiveRoom) -> None:
    room.fail("place_gtt", room.venue.no("Maximum number of active GTTs reached."))
    await room.buy()
    await room.pass_time(10)


@row("GTT: no DDPI or TPIN, then cured", sent=1, orders=1, **HELD, told=("activate DDPI",))
async def authorise(room: LiveRoom) -> None:
    room.fail("place_gtt", room.venue.no("Authorise the sale with CDSL TPIN"))
    await room.buy()
    await room.pass_time(10)
    assert room.stops() == []
    assert room.told("watched here")
    await room.pass_time(60)


@row("GTT: no DDPI or TPIN, and the price falls through the stop", sent=2, orders=2, **GONE)
async def authorise_falls(room: LiveRoom) -> None:
    room.fail("place_gtt", room.venue.no("Authorise the sale with CDSL TPIN"))
    await room.buy()
    await room.prices(97_900, 97_900)
    await room.pass_time(30)


@row("GTT: too many requests, then taken", sent=1, orders=1, **HELD)
async def too_many(room: LiveRoom) -> None:
    room.fail("place_gtt", room.venue.too_many())
    await room.buy()
    await room.pass_time(30)


@row("GTT: no token for it, then a login", sent=1, orders=1, **HELD, once=("wants a new login",))
async def no_token(room: LiveRoom) -> None:
    room.fail("place_gtt", First(lambda: room.venue.api.expire(cut=False)))
    await room.buy()
    await room.pass_time(20)
    assert room.stops() == []
    await room.log_in()
    await room.pass_time(20)


@row("GTT: the entry fills in parts, one GTT grows", sent=1, orders=1, **HELD)
async def grows(room: LiveRoom) -> None:
    room.venue.thin(10)
    await room.buy()
    assert [guard.quantity for guard in room.venue.guards()] == [10]
    await room.price(100_000)
    await room.pass_time(10)
    assert room.venue.hits("place_gtt") == 1


@row("GTT: the entry grows, the change is done, its answer lost", sent=1, orders=1, **HELD)
async def growth_in_doubt(room: LiveRoom) -> None:
    room.venue.thin(10)
    room.fail("modify_gtt", Reset(after=True))
    await room.buy()
    await room.price(100_000)
    await room.pass_time(20)


@row("GTT: the entry grows, the change never arrives", sent=1, orders=1, **HELD)
async def growth_lost(room: LiveRoom) -> None:
    room.venue.thin(10)
    room.fail("modify_gtt", Reset())
    await room.buy()
    await room.price(100_000)
    await room.pass_time(20)


@row("GTT: the entry grows while the price is near the stop", sent=1, orders=1, **HELD)
async def grows_near(room: LiveRoom) -> None:
    """Kite takes no trigger nearer than 0.25 %: the GTT moves to the true stop when the price has left it."""
    room.venue.thin(10)
    await room.buy()
    await room.price(98_100)
    await room.pass_time(3)
    assert sum(guard.quantity for guard in room.venue.guards()) == 30
    assert room.venue.name == "upstox" or room.told("watched here")
    await room.price(99_500)
    await room.pass_time(40)


@row("GTT: triggered, every update of it lost", sent=1, orders=2, **GONE)
async def triggered_unheard(room: LiveRoom) -> None:
    await room.buy()
    room.venue.updates.lose()
    await room.prices(97_900, 97_900)
    await room.pass_time(130)


@row("GTT: triggered, its order rejected, the price stays", **{**GONE, "told": ("RMS: blocked",)})
async def leg_rejected(room: LiveRoom) -> None:
    await room.buy()
    _legs_blocked(room)
    await room.prices(97_900, 97_900)
    await room.pass_time(5)
    assert room.position() == 30
    _let_through(room)
    await room.pass_time(30)


@row("GTT: triggered, its order rejected, the price returns", sent=1, orders=2, **HELD, told=("RMS: blocked",))
async def leg_rejected_returns(room: LiveRoom) -> None:
    await room.buy()
    _legs_blocked(room)
    await room.trade(97_900)
    _let_through(room)
    await room.trade(100_000)
    await room.pass_time(130)


@row("GTT: triggered, its order fills in parts", sent=1, orders=2, **GONE)
async def leg_in_parts(room: LiveRoom) -> None:
    await room.buy()
    room.venue.thin(10)
    await room.price(97_900)
    assert room.position() == room.held() == 20
    await room.price(97_950)
    await room.pass_time(30)


@row("GTT: ended by the broker", sent=1, orders=1, **HELD, told=("has ended",))
async def ended(room: LiveRoom) -> None:
    await room.buy()
    await _end_gtt(room)
    await room.pass_time(70)
    assert room.venue.hits("place_gtt") == 2


@row("GTT exit: the cancel is done, its answer lost", sent=2, orders=2, **{**GONE, "told": ("Flat",)})
async def cancel_in_doubt(room: LiveRoom) -> None:
    await room.buy()
    room.fail("cancel_gtt", Reset(after=True))
    room.phone.append(await room.flatten())


@row("GTT exit: the cancel never arrives", sent=2, orders=2, **{**GONE, "told": ("Flat",)})
async def cancel_lost(room: LiveRoom) -> None:
    await room.buy()
    room.fail("cancel_gtt", Reset())
    room.phone.append(await room.flatten())


@row("GTT exit: the cancel is refused once", sent=2, orders=2, **{**GONE, "told": ("Flat",)})
async def cancel_refused(room: LiveRoom) -> None:
    await room.buy()
    room.fail("cancel_gtt", room.venue.no("Try again."))
    room.phone.append(await room.flatten())


@row("GTT exit: it goes off before the cancel arrives", sent=1, orders=2, **{**GONE, "told": ("Flat",)})
async def cancel_loses(room: LiveRoom) -> None:
    await room.buy()
    room.venue.trade(room.symbol, 97_900)
    room.phone.append(await room.flatten())


@row("GTT exit: it goes off before the cancel, and nobody hears it", sent=1, orders=2, **{**GONE, "told": ("Flat",)})
async def cancel_loses_unheard(room: LiveRoom) -> None:
    await room.buy()
    room.venue.updates.lose()
    room.venue.trade(room.symbol, 97_900)
    room.phone.append(await room.flatten())


@row("GTT: killed after the entry, before its answer", sent=1, orders=1, **HELD)
async def killed_placing(room: LiveRoom) -> None:
    room.fail("place_gtt", Hang(after=True))
    await room.buy()
    await room.restart()
    await room.pass_time(70)
    assert room.venue.hits("place_gtt") == 1


@row("GTT: killed before it was placed", sent=1, orders=1, **HELD)
async def killed_before(room: LiveRoom) -> None:
    room.fail("place", Hang(after=True))
    await room.buy()
    await room.restart()
    await room.pass_time(70)


@row("GTT: it goes off while nobody is there", sent=1, orders=2, **CNC, position=0, stop=None)
async def off_alone(room: LiveRoom) -> None:
    await room.buy()
    await room.kill()
    room.venue.trade(room.symbol, 97_900)
    await room.start()
    await room.pass_time(70)


@row("GTT: all is sold by hand, it is taken back", sent=1, orders=2, **GONE)
async def sold_by_hand(room: LiveRoom) -> None:
    await room.buy()
    await room.pass_time(5)
    room.venue.by_hand(room.symbol, -1, 30, Product.CNC)
    await room.pass_time(140)


@row("GTT: another hand deletes it", sent=1, orders=1, **HELD, told=("has ended",))
async def deleted_by_hand(room: LiveRoom) -> None:
    await room.buy()
    api, gtt_id = room.venue.api, room.venue.guards()[0].gtt_id
    if room.venue.name == "kite":
        api.gtts.delete(gtt_id)
    else:
        api.exchange.cancel_gtt(gtt_id)
    await room.pass_time(70)




@row("GTT exit: killed between its cancel and the sale", **CNC, position=0, stop=None)
async def killed_between(room: LiveRoom) -> None:
    """The order that was registered is in doubt after the start; what was asked for is done when it is not found."""
    await room.buy()
    room.fail("place", Hang())
    room.engine.exit_row(0)
    await room.settle()
    await room.restart()
    await room.pass_time(200)


@row(
    "GTT exit: asked for at 15:16, it stays until orders are taken", sent=2, orders=2, position=0, stop=None,
    options={"product": Product.CNC, "start": (15, 5)}, told=("UNPROTECTED until the next open", "exit waits"),
)  # fmt: skip
async def closing_auction(room: LiveRoom) -> None:
    assert room.instruments[room.symbol].closing_auction
    await room.buy()
    await room.at(15, 16, step=10)
    room.engine.exit_row(0)
    await room.pass_time(30)
    assert len(room.stops()) == 1
    await room.at(15, 21, step=10)
