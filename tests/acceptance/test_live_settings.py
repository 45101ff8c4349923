"""Percentages that are changed while a broker holds the stop: it stays where it rests, over a kill too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from otrade_bot.config.models import Config
from otrade_bot.core.events import Event, EventKind
from otrade_bot.trading.adopt import adopt, tables_of
from tests.acceptance.live_room import LiveRoom, live_room
from tests.acceptance.live_venues import Seen
from tests.harness.bench import config as bench_config


def settings(symbols: tuple[str, ...]) -> Config:
    return bench_config(symbols=symbols, capital=30_150, params={"short": False}, risk={"total_capital": 100_000_000})


def say(room: LiveRoom, kind: EventKind) -> None:
    room.engine.emit(Event(kind, room.now, data={"rungs": tables_of(room.engine)}))


def change(room: LiveRoom, percent: float) -> None:
    given = room.config.trading.strategies[0]
    one = given.model_copy(update={"params": {**given.params, "stop_percent": percent}})
    room.config = replace(room.config, trading=room.config.trading.model_copy(update={"strategies": (one,)}))
    adopt(room.engine, room.config)
    say(room, EventKind.SETTING)


def rests_at(room: LiveRoom) -> int:
    """The one stop at the exchange, paise."""
    (stop,) = room.stops()
    assert isinstance(stop, Seen)
    return stop.trigger


@pytest.mark.parametrize("percent", [0.5, 5.0])
@pytest.mark.parametrize("broker", ["kite", "upstox"])
async def test_a_stop_at_the_broker_stays_where_it_is_and_the_next_position_has_the_new_one(
    broker: str, percent: float, tmp_path: Path
) -> None:
    async with live_room(broker, tmp_path, settings=settings) as room:
        say(room, EventKind.RUN)
        await room.buy()
        before, placed = rests_at(room), len(room.orders())
        assert before == 98_000
        change(room, percent)
        await room.price(room.base + 100)
        await room.restart()
        await room.pass_time(70)
        assert (rests_at(room), len(room.orders())) == (before, placed)
        await room.price(room.base * 97 // 100)
        assert room.position() == 0
        await room.pass_time(70)
        await room.buy()
        bought = room.engine.positions()[0].average
        assert rests_at(room) == pytest.approx(bought * (1 - percent / 100), abs=room.instruments[room.symbol].tick)
        assert room.faults() == []
