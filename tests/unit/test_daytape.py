"""What charts show of the day is what was, also after a restart; and listening to it can stop nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from harness.bench import DAY, OPEN, SHARE, Bench
from hypothesis import given, settings
from hypothesis import strategies as st
from test_service_app import Room, service_at

from otrade_bot.core.clock import MINUTE, SECOND, at_ist, iso
from otrade_bot.core.events import Event, EventKind
from otrade_bot.kernel.candles import Candle, CandleAgg
from otrade_bot.research.drawings import Level, Mark
from otrade_bot.service.app import Service
from otrade_bot.service.daymarks import DayMarks
from otrade_bot.service.daytape import DayTape
from otrade_bot.service.pictures import Pictures
from otrade_bot.trading.engine import LiveTradingEngine


def bench(folder: Path) -> tuple[Bench, DayTape]:
    made = Bench.paper(folder / "paper.jsonl")
    return made, DayTape(made.engine)


def test_candles_are_those_of_the_prices_and_the_last_one_is_not_finished(tmp_path: Path) -> None:
    made, tape = bench(tmp_path)
    told = ((10, 10_000, 5), (20, 10_050, 9), (40, 9_990, 9), (20, 10_010, 12), (200, 10_020, 20))
    for seconds, price, volume in told:
        assert made.price(price, seconds, volume=volume)
    end = OPEN + MINUTE
    assert tape.candles(SHARE.symbol, 1) == (
        (end, 10_000, 10_050, 10_000, 10_050, 9), (end + MINUTE, 9_990, 10_010, 9_990, 10_010, 3),
        (end + 4 * MINUTE, 10_020, 10_020, 10_020, 10_020, 8),
    )  # fmt: skip
    assert tape.candles(SHARE.symbol, 5) == ((OPEN + 5 * MINUTE, 10_000, 10_050, 9_990, 10_020, 20),)
    assert tape.candles("NSE:NOBODY", 1) == ()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> LiveTradingEngine:
    return bench(tmp_path_factory.mktemp("bench"))[0].engine


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(9_000, 11_000), st.integers(-5, 50)), max_size=60))
@settings(max_examples=60, deadline=None)
def test_minutes_are_bounded_as_everywhere_else(engine: LiveTradingEngine, steps: list[tuple[int, int, int]]) -> None:
    tape, aggregate, found = DayTape(engine), CandleAgg(MINUTE, OPEN), list[Candle]()
    ts, volume, most = OPEN, 100, 0
    for seconds, price, more in steps:
        ts, volume = ts + seconds * SECOND, volume + more
        tape.price(SHARE.symbol, ts, price, volume)
        found += aggregate.tick(ts, price, max(0, volume - most))
        most = max(most, volume)
    assert tape.candles(SHARE.symbol, 1) == (*found, *aggregate.standing())


def test_the_net_is_noted_once_a_minute_and_now(tmp_path: Path) -> None:
    made, tape = bench(tmp_path)
    assert tape.curve() == []
    for step in range(5):
        made.price(10_000 + step, 25)  # it only rises: no crossing, no trade
    moments = [ns for ns, _ in tape.curve()]
    assert [(ns - OPEN) // SECOND for ns in moments] == [25, 75, 125, 125]
    assert {net for _, net in tape.curve()} == {0}


def test_averages_are_what_the_strategy_held(tmp_path: Path) -> None:
    made, tape = bench(tmp_path)
    for step in range(8):
        made.price(10_000 + 37 * step, 61)
    fast, slow = tape.averages(SHARE.symbol)
    assert (fast.name, slow.name) == ("fast", "slow")
    assert fast.points[-1] == (made.now, float(made.engine.state[0]["fast"]))
    assert [ns for ns, _ in fast.points] == sorted({ns for ns, _ in fast.points})


def test_what_fails_while_listening_ends_the_charts_and_nothing_else(tmp_path: Path, monkeypatch: Any) -> None:
    made, tape = bench(tmp_path)
    made.price(10_000)
    monkeypatch.setattr(tape, "_new", None)
    monkeypatch.setattr(tape, "_tracks", {})
    made.signal()
    assert made.events(EventKind.SIGNAL), "it trades on"
    assert not made.alerts
    assert not made.engine.blocks
    assert tape.curve() == []
    assert tape.candles(SHARE.symbol, 1) == ()


# --- what was traded ---------------------------------------------------------------------------------------


def fill(at: int, leg: str, quantity: int, value: int, side: str = "BUY", cycle: int = 1, rung: int = 1) -> Event:
    return Event(EventKind.FILL, OPEN + at, SHARE.symbol, data={
        "leg": leg, "side": side, "rung": rung, "cycle": cycle, "strategy": "s", "quantity": quantity,
        "value_paise": value,
    })  # fmt: skip


def stop(at: int, level: int, target: int = 0, rung: int = 1) -> Event:
    return Event(EventKind.STOP, OPEN + at, SHARE.symbol, data={
        "rung": rung, "strategy": "s", "level_paise": level, "target_paise": target, "state": "moved",
    })  # fmt: skip


def shown(*events: Event) -> DayMarks:
    marks = DayMarks()
    for event in events:
        marks.on_event(event)
    return marks


STORY = (
    fill(1, "entry", 4, 40_000), stop(1, 9_800, 10_500), fill(2, "entry", 10, 100_500), stop(2, 9_800, 10_500),
    stop(5, 9_900, 10_500), fill(7, "exit", 10, 99_000, "SELL"),
    Event(EventKind.TRADE, OPEN + 7, SHARE.symbol, data={
        "strategy": "s", "rung": 1, "exit_reason": "square_off", "exit_time": iso(OPEN + 7),
    }),
)  # fmt: skip


def test_a_rung_is_an_entry_an_exit_and_the_steps_of_its_stop_between_them() -> None:
    marks = shown(*STORY)
    assert marks.marks(SHARE.symbol) == (
        Mark(OPEN + 1, 10_050, 1, 1, True, 10), Mark(OPEN + 7, 9_900, 1, 1, False, 10, "square off"),
    )  # fmt: skip
    assert marks.levels(SHARE.symbol) == (
        Level(1, "stop", ((OPEN + 1, 9_800), (OPEN + 5, 9_900)), OPEN + 7),
        Level(1, "target", ((OPEN + 1, 10_500),), OPEN + 7),
    )


def test_late_and_repeated_lines_change_nothing() -> None:
    assert shown(*STORY, *STORY[:3]).marks(SHARE.symbol) == shown(*STORY).marks(SHARE.symbol)


def test_a_new_cycle_has_levels_of_its_own_and_a_short_sale_is_one() -> None:
    marks = shown(*STORY, fill(9, "entry", 3, 30_000, "SELL", cycle=2), stop(9, 10_200))
    assert marks.marks(SHARE.symbol)[-1] == Mark(OPEN + 9, 10_000, 1, -1, True, 3)
    assert marks.levels(SHARE.symbol)[-1] == Level(1, "stop", ((OPEN + 9, 10_200),), 0)


def test_a_part_that_was_closed_leaves_the_stop_of_the_rest() -> None:
    marks = shown(*STORY[:5], fill(6, "exit", 4, 40_000, "SELL"))
    assert [level.until for level in marks.levels(SHARE.symbol)] == [0, 0]


def test_a_part_and_the_rest_are_exits_of_their_own_at_their_own_prices() -> None:
    later = 600 * SECOND
    marks = shown(*STORY[:5], fill(6, "exit", 2, 20_000, "SELL"), fill(8, "exit", 4, 40_200, "SELL"),
                  fill(later, "exit", 10, 99_600, "SELL"))  # fmt: skip
    assert marks.marks(SHARE.symbol)[1:] == (
        Mark(OPEN + 8, 10_050, 1, 1, False, 4), Mark(OPEN + later, 9_900, 1, 1, False, 6),
    )  # fmt: skip
    assert {level.until for level in marks.levels(SHARE.symbol)} == {OPEN + later}


def test_what_was_held_over_night_shows_its_stop_and_no_entry_of_today(tmp_path: Path) -> None:
    rung = {"symbol": SHARE.symbol, "strategy": "s", "rung": 2, "cycle": 5, "side": "BUY", "quantity": 3,
            "value": 29_000, "level": 9_500, "entry_ns": OPEN - 86_400 * SECOND}  # fmt: skip
    made, _ = bench(tmp_path)
    desk = Pictures(tmp_path)
    desk.begin(made.engine, [])
    desk.on_event(Event(EventKind.CARRY, OPEN, data={"rungs": [rung]}))
    made.price(10_000)
    day = desk.symbol_day(SHARE.symbol, 5)
    assert day.levels == (Level(2, "stop", ((OPEN, 9_500),), 0),)
    assert day.marks == ()


def test_a_strange_line_is_passed_over() -> None:
    strange = Event(EventKind.FILL, OPEN, SHARE.symbol, data={"leg": "entry"})
    assert shown(strange, *STORY).marks(SHARE.symbol) == shown(*STORY).marks(SHARE.symbol)


# --- a restart -----------------------------------------------------------------------------------------------


async def until(service: Service, moment: int) -> dict[str, Any]:
    """Run to that time of the market, note what charts would show, stop."""
    task = asyncio.create_task(service.run())
    async with asyncio.timeout(60):
        await service.ready(30)
        while service.clock.now_ns() < moment:
            await asyncio.sleep(0)
            assert not task.done()
    found = {
        "curve": dict(service.pictures.curve()[:-1]),
        "days": {symbol: service.pictures.symbol_day(symbol, 1) for symbol in ("NSE:RELIANCE", "NSE:SBIN")},
        "now": service.clock.now_ns(),
    }
    service.stop("enough")
    await task
    return found


async def test_a_restart_shows_the_same_day(tmp_path: Path) -> None:
    before = await until(service_at(tmp_path, Room(), speed=20_000), at_ist(DAY, 10, 30))
    after = await until(service_at(tmp_path, Room(), before["now"], speed=1), before["now"])
    assert any(day.marks for day in before["days"].values()), "it has traded"
    for symbol, day in before["days"].items():
        again = after["days"][symbol]
        assert day.candles[:-1] == again.candles[: len(day.candles) - 1]
        assert len(day.candles) > 60
        assert day.marks == again.marks
        assert day.levels == again.levels
        for one, other in zip(day.averages, again.averages, strict=True):
            assert dict(other.points[:-1]).items() <= dict(one.points).items()
            assert len(other.points) >= len(one.points) - 1
    assert before["curve"].items() <= after["curve"].items()
