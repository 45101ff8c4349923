"""Rows of the table of faults: answers that are no answers, words that nobody knows, clocks that differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from otrade_bot.core.clock import SECOND
from tests.acceptance.fault_table import row
from tests.acceptance.live_room import LiveRoom
from tests.venues.faults import Accept, Fault
from tests.venues.loopback import Answer, Drop

STOP = 98_000
IN = {"sent": 2, "orders": 2, "position": 30, "stop": STOP}
OUT = {"sent": 1, "orders": 0, "position": 0}


@dataclass
class Instead(Fault):
    """Another body under the same status; ``done``: what was asked for was done all the same."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    done: bool = True

    async def strike(self, accept: Accept) -> Answer | Drop:
        if self.done:
            await accept()
        return Answer(self.status, self.body, self.content_type)


@dataclass
class Reworded(Fault):
    """The answer with something changed in its rows."""

    change: Callable[[list[dict[str, Any]]], None]

    async def strike(self, accept: Accept) -> Answer | Drop:
        answer = await accept()
        assert isinstance(answer, Answer)
        body = json.loads(answer.body)
        self.change(body["data"])
        return replace(answer, body=json.dumps(body).encode())


@row("entry: done, 200 with a page", **IN)
async def page_under_200(room: LiveRoom) -> None:
    room.fail("place", Instead(b"<html><body>Please wait</body></html>", content_type="text/html"))
    await room.buy()
    await room.pass_time(130)


@row("entry: done, the answer is no JSON", **IN)
async def no_json(room: LiveRoom) -> None:
    room.fail("place", Instead(b'{"status":"success","data":{"order_id":'))
    await room.buy()
    await room.pass_time(130)


@row("entry: done, the answer names no order", **IN)
async def no_order_named(room: LiveRoom) -> None:
    room.fail("place", Instead(b'{"status":"success","data":{}}'))
    await room.buy()
    await room.pass_time(130)


@row("entry: 429 as a page, never arrived", **OUT, told=("nobody knows",))
async def too_many_page(room: LiveRoom) -> None:
    room.fail("place", Instead(b"<html>429</html>", 429, "text/html", done=False))
    await room.buy()
    await room.pass_time(190)


@row("books: a status that nobody knows", **IN, once=("which nobody here knows",))
async def new_status(room: LiveRoom) -> None:
    await room.buy()
    room.fail("book", *(Reworded(lambda rows: rows[-1].update(status="NEWLY INVENTED")) for _ in range(6)))
    await room.pass_time(130)


@row("books: an order type that nobody knows, in a row of somebody else's", **IN)
async def new_type(room: LiveRoom) -> None:
    await room.buy()
    other = next(symbol for symbol in room.instruments if symbol not in room.symbols)
    room.venue.by_hand(other, 1, 7, room.product)
    room.fail("book", *(Reworded(lambda rows: rows[-1].update(order_type="NEWLY INVENTED")) for _ in range(6)))
    await room.pass_time(130)
    assert room.position(room.symbol) == 30


@dataclass
class Off:
    """A clock that differs from the room's."""

    room: LiveRoom
    seconds: int

    def now_ns(self) -> int:
        return self.room.clock.now_ns() + self.seconds * SECOND


def _skewed(room: LiveRoom, seconds: int) -> None:
    room.venue.api.clock = room.venue.api.exchange.clock = room.venue.tape.clock = Off(room, seconds)


@row("clock: the broker's is 5 s behind ours", **IN)
async def five_seconds_behind(room: LiveRoom) -> None:
    _skewed(room, -5)
    await room.buy()
    await room.pass_time(130)


@row("clock: the broker's is 5 min ahead of ours", **IN)
async def five_minutes_ahead(room: LiveRoom) -> None:
    _skewed(room, 300)
    await room.buy()
    await room.pass_time(130)


@row("clock: the broker's is 5 min behind ours", **IN)
async def five_minutes_behind(room: LiveRoom) -> None:
    _skewed(room, -300)
    await room.pass_time(30)
    await room.buy()
    await room.pass_time(130)
