"""Rows of the table of faults: a human closes a part, or puts a level, and something goes wrong on the way. The part is
sold once or not at all, and what is left keeps its stop."""

from __future__ import annotations

from typing import Any

from otrade_bot.core.model import ExitReason, Product
from tests.acceptance.fault_table import row
from tests.acceptance.live_room import LiveRoom
from tests.acceptance.live_venues import First, Hang, Reset

STOP, BY_HAND = 98_000, 99_000
HALF: dict[str, Any] = {"position": 15, "stop": STOP}
ALL: dict[str, Any] = {"position": 30, "stop": STOP}
CNC: dict[str, Any] = {"options": {"product": Product.CNC}}


async def bought(room: LiveRoom) -> None:
    """30, with the stop that rests."""
    await room.buy()
    await room.pass_time(2)


async def half(room: LiveRoom, seconds: float = 6) -> None:
    room.engine.close(room.symbol, 0, "half", "owner")
    await room.settle()
    await room.pass_time(seconds)


def blocked(room: LiveRoom) -> None:
    """Whatever sells is rejected in the book."""
    room.venue.api.exchange.refuse = lambda order: "RMS: blocked" if order.side < 0 else ""


# --- intraday: a stop order at the exchange ------------------------------------------------------------------------


@row("close half: no fault at all", sent=3, orders=3, **HALF, told=("15 of 30 closed by owner", "command"))
async def no_fault(room: LiveRoom) -> None:
    await bought(room)
    await half(room, 130)
    assert [(t.quantity, t.reason) for t in room.engine.trades()] == [(15, ExitReason.COMMAND)]


@row("close half: the stop's reduction is made, its answer lost", sent=3, orders=3, **HALF, told=("nobody knows",))
async def reduction_unanswered(room: LiveRoom) -> None:
    await bought(room)
    room.venue.updates.lose()
    room.fail("modify", Reset(after=True))
    await half(room)
    room.venue.updates.well()
    await room.pass_time(130)


@row("close half: the stop's reduction never arrives", sent=3, orders=3, **HALF, told=("nobody knows",))
async def reduction_lost(room: LiveRoom) -> None:
    await bought(room)
    room.fail("modify", Reset())
    await half(room, 130)


@row("close half: the part is sold, its answer lost, the stream tells", sent=3, orders=3, **HALF, told=("command",))
async def part_unanswered(room: LiveRoom) -> None:
    await bought(room)
    room.fail("place", Reset(after=True))
    await half(room, 130)


@row("close half: every update of the part is lost", sent=3, orders=3, **HALF, told=("command",))
async def part_unheard(room: LiveRoom) -> None:
    await bought(room)
    room.fail("place", First(room.venue.updates.lose))
    await half(room, 130)


@row("close half: the part's order never arrives", sent=3, orders=2, **ALL, told=("nobody knows", "is given up"))
async def part_lost(room: LiveRoom) -> None:
    await bought(room)
    room.fail("place", Reset())
    await half(room, 200)


@row("close half: the part is rejected at the exchange", sent=3, orders=3, **ALL, told=("is given up",))
async def part_rejected(room: LiveRoom) -> None:
    await bought(room)
    blocked(room)
    await half(room, 70)


@row("close half: the price falls through the stop before it gave way", sent=2, orders=2, position=0, stop=None,
     told=("Closed",))  # fmt: skip
async def stopped_first(room: LiveRoom) -> None:
    await bought(room)
    room.fail("modify", hang := Hang())
    room.engine.close(room.symbol, 0, "half", "owner")
    await room.settle()
    await room.prices(97_900, 97_800)
    hang.release()
    await room.pass_time(130)
    assert sum(trade.quantity for trade in room.engine.trades()) == 30


@row("close half: killed before the stop gave way", sent=3, orders=3, **HALF, told=("Recovered",))
async def killed_first(room: LiveRoom) -> None:
    await bought(room)
    room.fail("modify", Hang())
    room.engine.close(room.symbol, 0, "half", "owner")
    await room.settle()
    await room.restart()
    await room.pass_time(130)


@row("close half: killed when the stop had given way", orders=3, **HALF, told=("Recovered",), sent=3)
async def killed_between(room: LiveRoom) -> None:
    await bought(room)
    room.venue.updates.lose()
    room.engine.close(room.symbol, 0, "half", "owner")
    await room.settle()
    assert room.venue.hits("place") == 2, "nothing is sold before the exchange has told of the reduction"
    room.venue.updates.well()
    await room.restart()
    await room.pass_time(130)


@row("close half: killed while the part was on its way", sent=3, orders=2, **ALL, told=("Recovered", "is given up"))
async def killed_sending(room: LiveRoom) -> None:
    await bought(room)
    room.fail("place", Hang())
    await half(room, 2)
    await room.restart()
    await room.pass_time(200)


@row("close half: killed when the part was sold, before anybody heard", sent=3, orders=3, **HALF, told=("Recovered",))
async def killed_unheard(room: LiveRoom) -> None:
    await bought(room)
    room.fail("place", Reset(after=True))
    await half(room, 1)
    await room.restart()
    await room.pass_time(130)
    assert [trade.quantity for trade in room.engine.trades()] == [15]


@row("close half: flattened in the same moment", position=0, stop=None, orders=None)
async def flattened(room: LiveRoom) -> None:
    await bought(room)
    room.engine.close(room.symbol, 0, "half", "owner")
    assert "Flat: the broker's book" in await room.flatten()
    assert sum(trade.quantity for trade in room.engine.trades()) == 30


@row("close: killed before the exit was sent", sent=2, orders=2, position=0, stop=None, told=("Recovered", "command"))
async def whole_killed(room: LiveRoom) -> None:
    await bought(room)
    room.fail("modify", Hang())
    room.engine.close(room.symbol, 0, "all", "owner")
    await room.settle()
    await room.restart()
    await room.pass_time(130)


@row("stop by hand: looser, killed before the broker has it", sent=2, orders=2, position=30, stop=97_000,
     told=("Recovered",))  # fmt: skip
async def looser_killed(room: LiveRoom) -> None:
    await bought(room)
    room.fail("modify", Hang())
    room.engine.set_level(room.symbol, 0, "stop", 97_000, "owner")
    await room.settle()
    await room.restart()
    await room.pass_time(130)
    await room.prices(101_000, 97_500)
    await room.pass_time(70)


@row("stop by hand: its move is refused, then the price comes there", position=0, stop=None, orders=2,
     told=("is watched here", "leaving at market"))  # fmt: skip
async def refused_then_reached(room: LiveRoom) -> None:
    await bought(room)
    room.fail("modify", *(room.venue.no("not now") for _ in range(3)))
    room.engine.set_level(room.symbol, 0, "stop", BY_HAND, "owner")
    await room.pass_time(2)
    await room.price(98_900)
    await room.pass_time(30)


@row("stop by hand: beyond the circuit, so that the exchange never takes it", position=30, stop=STOP, orders=2,
     told=("it stays at", "is watched here"))  # fmt: skip
async def beyond_the_circuit(room: LiveRoom) -> None:
    await bought(room)
    no = room.venue.no("Trigger price is lower than the current lower circuit limit of 900.00")
    room.fail("modify", *(no for _ in range(100)))
    room.engine.set_level(room.symbol, 0, "stop", 85_000, "owner")
    await room.pass_time(400)
    assert room.venue.hits("modify") < 5, "nor is it asked each quarter of a minute"
    assert room.life().level == 85_000  # type: ignore[union-attr]


@row("stop by hand: its move is refused again and again, for no reason of the market's", position=30, stop=STOP,
     orders=2, told=("it stays at", "is watched here"))  # fmt: skip
async def never_moved(room: LiveRoom) -> None:
    await bought(room)
    room.fail("modify", *(room.venue.no("trigger not allowed") for _ in range(100)))
    room.engine.set_level(room.symbol, 0, "stop", BY_HAND, "owner")
    await room.pass_time(600)
    assert room.venue.hits("modify") < 10


# --- delivery: a GTT ---------------------------------------------------------------------------------------------


@row("close half, delivery: no fault at all", sent=2, orders=2, **CNC, **HALF, told=("command",))
async def gtt_no_fault(room: LiveRoom) -> None:
    await bought(room)
    await half(room, 130)
    assert [(t.quantity, t.reason) for t in room.engine.trades()] == [(15, ExitReason.COMMAND)]


@row("close half, delivery: the GTT's reduction is made, its answer lost", sent=2, orders=2, **CNC, **HALF,
     told=("nobody knows",))  # fmt: skip
async def gtt_unanswered(room: LiveRoom) -> None:
    await bought(room)
    room.fail("modify_gtt", Reset(after=True))
    await half(room, 130)


@row("close half, delivery: killed before the GTT gave way", sent=2, orders=2, **CNC, **HALF, told=("Recovered",))
async def gtt_killed_first(room: LiveRoom) -> None:
    await bought(room)
    room.fail("modify_gtt", Hang())
    room.engine.close(room.symbol, 0, "half", "owner")
    await room.settle()
    await room.restart()
    await room.pass_time(130)


@row("close half, delivery: killed while the part was on its way", sent=2, orders=1, **CNC, **ALL,
     told=("Recovered", "is given up"))  # fmt: skip
async def gtt_killed_sending(room: LiveRoom) -> None:
    await bought(room)
    room.fail("place", Hang())
    await half(room, 2)
    await room.restart()
    await room.pass_time(200)


@row("close half, delivery: the part is refused for want of an authorisation", sent=2, **CNC, **ALL,
     told=("is given up",))  # fmt: skip
async def gtt_part_refused(room: LiveRoom) -> None:
    await bought(room)
    blocked(room)
    await half(room, 70)


@row("close half, delivery: the GTT goes off beside the part", position=0, stop=None, **CNC, told=("Closed",))
async def gtt_goes_off(room: LiveRoom) -> None:
    await bought(room)
    room.engine.close(room.symbol, 0, "half", "owner")
    await room.settle()
    await room.prices(97_900, 97_800)
    await room.pass_time(130)
    assert sum(trade.quantity for trade in room.engine.trades()) == 30


@row("stop by hand, delivery: the broker never takes it", position=30, stop=STOP, orders=1, sent=1, **CNC,
     told=("is watched here",))  # fmt: skip
async def gtt_never_moved(room: LiveRoom) -> None:
    await bought(room)
    no = room.venue.no("not in the allowed band")
    room.fail("modify_gtt", *(no for _ in range(100)))
    room.fail("place_gtt", no)
    room.engine.set_level(room.symbol, 0, "stop", 70_000, "owner")
    await room.pass_time(300)
    assert room.venue.hits("modify_gtt") < 10
    assert room.life().level == 70_000  # type: ignore[union-attr]


@row("close half, delivery: its stop by hand rests elsewhere, as the broker never took it", sent=2, orders=2, **CNC,
     **HALF, told=("is watched here", "command"))  # fmt: skip
async def gtt_half_of_never_moved(room: LiveRoom) -> None:
    await bought(room)
    room.fail("modify_gtt", *(room.venue.no("not in the allowed band") for _ in range(5)))
    room.engine.set_level(room.symbol, 0, "stop", 70_000, "owner")
    await room.pass_time(60)
    await half(room, 130)
