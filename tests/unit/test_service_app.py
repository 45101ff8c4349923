"""The composition: what only tells may fail, what trades ends the process, and every opening is the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest
from harness.bench import DAY, OPEN, config, kernel
from stream_room import until

from otrade_bot.config.models import BrokerConfig, Config
from otrade_bot.control.auth import Role
from otrade_bot.control.phone.gate import Caller
from otrade_bot.control.reply import Reply, Told, worded
from otrade_bot.core.clock import SECOND, at_ist, ist_date
from otrade_bot.core.errors import TradingException
from otrade_bot.core.events import Event, Observer
from otrade_bot.core.model import Block, Product
from otrade_bot.service import app
from otrade_bot.service.app import Service, Setting, trading_day
from otrade_bot.service.clockwatch import ClockWatch, Reading, read_clocks
from otrade_bot.service.journal import day_path, read_day
from otrade_bot.service.mouths import Answers
from otrade_bot.service.prices import Simulated
from otrade_bot.service.rehearsal import Rehearsal, drive
from otrade_bot.trading import setup

SYMBOLS = ("NSE:RELIANCE", "NSE:SBIN")
SETTINGS = config("ema_crossover", SYMBOLS, "1m")


class Room:
    """Mouths that remember. ``failing`` raises so many times before it talks."""

    def __init__(self, failing: int = 0) -> None:
        self.told: list[Reply] = []
        self.events: list[Event] = []
        self.starts = 0
        self.left_in_time = False
        self._failing = failing

    def tasks(self) -> list[tuple[str, Callable[[], Any]]]:
        return [("talker", self._talk)]

    async def _talk(self) -> None:
        self.starts += 1
        if self.starts <= self._failing:
            raise ConnectionError("no line")
        await asyncio.Event().wait()

    def observers(self) -> list[Observer]:
        return [self.events.append]

    def catch_up(self, diary: Iterable[Event]) -> None:
        self.diary = list(diary)

    def queue(self) -> None:
        return None

    def line(self) -> None:
        return None

    def tell(self, reply: Told) -> None:
        self.told.append(worded(reply))

    async def farewell(self, seconds: float) -> None:
        self.left_in_time = True

    def close(self) -> None:
        return None

    def texts(self, kind: str) -> list[str]:
        return [event.text for event in self.events if event.kind == kind]


def service_at(folder: Path, room: Room, start: int | None = OPEN, speed: float = 2000.0) -> Service:
    """``start`` None: under the machine's own clock."""
    strategies = setup.load_strategies(SETTINGS, None)
    plan = None if start is None else Rehearsal(start, speed, "simulated, seed 1")
    setting = Setting(SETTINGS, strategies, kernel(), Simulated(1, SETTINGS.market), folder, plan, start or 0)
    return Service(setting, lambda service: room)


async def running(service: Service, until: Callable[[], bool]) -> None:
    """Run it until the condition holds, then stop it in good order. The market of a rehearsal stands still at that very
    moment, however busy the machine is."""
    reached = asyncio.Event()

    async def halting(*given: Any, stop: Callable[[], bool], **named: Any) -> bool:
        def halt() -> bool:
            if until():
                reached.set()
            return stop() or reached.is_set()

        over = await drive(*given, stop=halt, **named)
        if reached.is_set():
            await asyncio.Event().wait()
        return over

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "drive", halting)
        task = asyncio.create_task(service.run())
        async with asyncio.timeout(30):
            while not until():
                await asyncio.sleep(0.01)
                if reached.is_set() or task.done():
                    break
        reached.set()
        service.stop("enough")
        await task


async def test_a_rehearsed_day_ends_by_itself_with_its_report(tmp_path: Path) -> None:
    room = Room()
    await asyncio.wait_for(service_at(tmp_path, room, at_ist(DAY, 15, 34, 50), 5000).run(), 30)
    assert [event.data["state"] for event in room.events if event.kind == "run"] == ["started", "stopped"]
    assert len([event for event in room.events if event.kind == "day"]) == 1
    assert room.left_in_time


async def test_the_report_comes_once_however_often_the_process_comes_back_after_the_close(tmp_path: Path) -> None:
    room = Room()
    await asyncio.wait_for(service_at(tmp_path, room, at_ist(DAY, 15, 20), 5000).run(), 30)
    again = Room()
    await asyncio.wait_for(service_at(tmp_path, again, at_ist(DAY, 15, 50), 5000).run(), 30)
    assert [len([e for e in one.events if e.kind == "day"]) for one in (room, again)] == [1, 0]
    late = Room()
    await asyncio.wait_for(service_at(tmp_path, late, at_ist(DAY, 16, 10), 5000).run(), 30)
    assert not [e for e in late.events if e.data.get("boundary") == "next"]  # said at 16:05 by the one before


async def test_a_report_that_the_dead_process_owed_is_made_up_for(tmp_path: Path) -> None:
    early = Room()
    await running(service_at(tmp_path, early, OPEN, 60), lambda: bool(early.texts("run")))
    late = Room()
    await asyncio.wait_for(service_at(tmp_path, late, at_ist(DAY, 15, 50), 5000).run(), 30)
    assert len([e for e in late.events if e.kind == "day"]) == 1


async def test_a_trading_task_that_fails_ends_the_process_and_leaves_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room()
    service = service_at(tmp_path, room)

    async def broken(*given: Any, **named: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(app, "drive", broken)
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(service.run(), 30)
    assert isinstance(app.first_cause(caught.value), ZeroDivisionError)
    assert "ZeroDivisionError: a bug" in room.told[-1].to_plain()
    assert "Stops stay at the broker" in room.told[-1].to_plain()


@pytest.mark.parametrize("damage", [b"\x00 no line\n{}\n", b'{"kind":"trade"}\n', b'{"ns":"x","kind":5}\n', None])
async def test_a_diary_that_cannot_be_read_stops_no_trading(tmp_path: Path, damage: bytes | None) -> None:
    await running(service_at(tmp_path, first := Room()), lambda: bool(first.texts("fill")))
    path = day_path(tmp_path, DAY)
    whole = path.read_bytes()
    if damage is None:
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(whole + damage + b"{}\n")
    again = Room()
    await running(service_at(tmp_path, again, OPEN, 60), lambda: bool(again.texts("run")))
    assert again.texts("run")
    if damage is None or damage.startswith(b"\x00"):
        assert any("set aside as 2026-09-16.jsonl.corrupt" in text for text in again.texts("alert"))
        kept = read_day(tmp_path, DAY)
        assert damage is None or len(kept) >= whole.count(b"\n")


async def held_before(folder: Path) -> tuple[str, int]:
    """A position that a stopped service left, its symbol and the market time."""
    first = service_at(folder, Room())
    await running(first, lambda: bool(first.desk and first.engine.positions()))
    return first.engine.positions()[0].symbol, first.clock.now_ns()


def service_with(folder: Path, room: Room, settings: Config, start: int) -> Service:
    plan = Rehearsal(OPEN, 100_000.0, "simulated, seed 1")
    strategies = setup.load_strategies(settings, None)
    setting = Setting(settings, strategies, kernel(), Simulated(1, settings.market), folder, plan, start, True)
    return Service(setting, lambda service: room)


async def flattened(service: Service, room: Room) -> str:
    """What /flatten says that comes before the first price; then its day to the end."""
    asked: list[asyncio.Task[str]] = []

    async def after_that(*given: Any, **named: Any) -> bool:
        assert room.texts("run")
        asked.append(asyncio.create_task(service.engine.flatten("owner")))
        await asyncio.sleep(0)
        return await drive(*given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "drive", after_that)
        await asyncio.wait_for(service.run(), 60)
    assert not [text for text in room.texts("alert") if "failed" in text]
    assert len([event for event in room.events if event.kind == "day"]) == 1
    return await asked[0]


async def test_a_position_whose_instrument_was_taken_out_of_the_settings_is_still_ours_to_leave(
    tmp_path: Path,
) -> None:
    held, now = await held_before(tmp_path)
    rest = config("ema_crossover", tuple(one for one in SYMBOLS if one != held), "1m")
    room = Room()
    said = await flattened(service_with(tmp_path, room, rest, now), room)
    assert any(f"not in the settings any more: {held}" in text for text in room.texts("alert"))
    started = next(event for event in room.events if event.kind == "run")
    assert [(p["symbol"], p["stop_resting"], p["external"]) for p in started.data["positions"]] == [(held, True, False)]
    assert f"{held} P1" in said
    assert "Flat: the broker's book shows no position of ours." in said


async def test_a_row_that_is_left_over_squares_off_and_buys_nothing_more(tmp_path: Path) -> None:
    held, now = await held_before(tmp_path)
    room = Room()
    service = service_with(tmp_path, room, config("momentum_ladder", ("NSE:TCS",), "1m"), now)
    await asyncio.wait_for(service.run(), 30)
    assert [event.data["exit_reason"] for event in room.events if event.kind == "trade"] != []
    assert not [event for event in room.events if event.kind == "signal" and event.symbol == held]
    (day,) = (event for event in room.events if event.kind == "day")
    assert day.data["open_positions"] == []


async def test_a_position_that_is_not_known_to_be_ours_is_named_as_left_alone(tmp_path: Path) -> None:
    held, now = await held_before(tmp_path)
    rest = config("ema_crossover", tuple(one for one in SYMBOLS if one != held), "1m")
    room = Room()
    other = replace(rest, brokers=BrokerConfig(instance="B2"))
    said = await flattened(service_with(tmp_path, room, other, now), room)
    assert f"Left alone, not ours or no longer in the settings: {held}" in said


async def test_an_account_that_was_lost_while_the_journal_knows_of_fills_is_said(tmp_path: Path) -> None:
    _, now = await held_before(tmp_path)
    (tmp_path / "paper.jsonl").unlink()
    room = Room()
    service = service_with(tmp_path, room, SETTINGS, now)
    await running(service, lambda: bool(room.texts("run")))
    assert any("paper account is empty" in text for text in room.texts("alert"))


async def test_a_start_that_fails_is_told_once_however_often_a_supervisor_tries(tmp_path: Path) -> None:
    (tmp_path / "paper.jsonl").write_bytes(b"no book\n{}\n")
    rooms = [Room(), Room(), Room()]
    for room in rooms:
        service = service_at(tmp_path, room)
        with pytest.raises(TradingException):
            await asyncio.wait_for(service.run(), 30)
    assert ["paper.jsonl:1: corrupt line" in "".join(said.to_plain() for said in room.told) for room in rooms] == [
        True, False, False,
    ]  # fmt: skip
    assert rooms[0].left_in_time
    (tmp_path / "paper.jsonl").unlink()
    await running(service_at(tmp_path, well := Room()), lambda: bool(well.texts("run")))
    (tmp_path / "paper.jsonl").write_bytes(b"no book\n{}\n")
    with pytest.raises(TradingException):
        await asyncio.wait_for(service_at(tmp_path, last := Room()).run(), 30)
    assert last.told


async def test_a_talker_that_fails_is_started_again_and_trading_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(failing=3)
    service = service_at(tmp_path, room, OPEN, 600)
    real = asyncio.sleep
    monkeypatch.setattr(app.asyncio, "sleep", lambda seconds: real(min(seconds, 0.01)))
    await running(service, lambda: room.starts == 4 and service.engine.counters.ticks > 100)
    assert [t for t in room.texts("alert") if t == "talker failed and is started again: ConnectionError: no line"]
    assert not room.told


async def test_a_job_that_fails_is_said_and_stops_entries_not_the_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room()
    service = service_at(tmp_path, room, at_ist(DAY, 8, 44, 50), 5000)

    async def broken() -> None:
        raise ValueError("no card today")

    monkeypatch.setattr(service.jobs, "_card", broken)
    await running(service, lambda: service.clock.now_ns() > at_ist(DAY, 9, 16))
    assert any("card failed: ValueError: no card today" in text for text in room.texts("alert"))
    assert service.last_job is not None
    assert "a critical error" in service.engine.status().blocks


async def test_a_stop_says_what_stays_open_and_lets_nothing_in(tmp_path: Path) -> None:
    room = Room()
    service = service_at(tmp_path, room, OPEN, 2000)
    await running(service, lambda: bool(service.desk and service.engine.positions()))
    last = room.events[-1]
    assert (last.kind, last.data["state"], last.text) == ("run", "stopped", "enough")
    assert last.data["positions"][0]["stop_resting"]
    assert room.left_in_time


class Steps:
    """Clocks of which the wall's is set forward once."""

    def __init__(self, seconds: float) -> None:
        self._ahead = int(seconds * SECOND)
        self.reads = 0

    def __call__(self) -> Reading:
        self.reads += 1
        real, mono, boot = read_clocks()
        return Reading(real + (self._ahead if self.reads > 2 else 0), mono, boot)


@pytest.mark.parametrize(("seconds", "reopened"), [(600.0, True), (3.0, False)])
async def test_a_clock_that_was_set_is_said_and_a_long_absence_opens_the_day_again(
    tmp_path: Path, seconds: float, reopened: bool
) -> None:
    room = Room()
    service = service_at(tmp_path, room, None)
    service.watch = ClockWatch(Steps(seconds))
    first: list[Any] = []

    def done() -> bool:
        if service.desk is not None and not first:
            first.append(service.engine)
        states = [e.data["state"] for e in room.events if e.kind == "run"]
        return any("clock was set forward" in text for text in room.texts("alert")) and (
            "reopened" in states or not reopened
        )

    await running(service, done)
    assert (service.engine is not first[0]) is reopened


async def test_a_desk_that_takes_long_to_open_is_not_opened_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otrade_bot.service.app.STOOD_STILL", 0.2)
    room = Room()
    service = service_at(tmp_path, room, None)
    clocks = Steps(600.0)
    service.watch = ClockWatch(clocks, stall=SECOND // 10)
    quick = service.open

    async def slow() -> Any:
        time.sleep(0.5)  # noqa: ASYNC251  # a recovery holds the loop
        return await quick()

    monkeypatch.setattr(service, "open", slow)
    await running(service, lambda: clocks.reads >= 6)
    assert [e.data["state"] for e in room.events if e.kind == "run"] == ["started", "reopened", "stopped"]


async def test_a_clock_that_is_set_during_the_start_is_noticed(tmp_path: Path) -> None:
    room = Room()
    service = service_at(tmp_path, room, None)

    def clocks() -> Reading:
        real, mono, boot = read_clocks()
        return Reading(real + (600 * SECOND if service.desk is not None else 0), mono, boot)

    service.watch = ClockWatch(clocks)
    await running(service, lambda: bool(room.texts("alert")))
    assert any("clock was set forward by 600.0 s" in text for text in room.texts("alert"))


@pytest.mark.parametrize(("day", "closed"), [(date(2026, 10, 1), False), (date(2026, 10, 2), True)])
async def test_only_a_day_without_a_session_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, day: date, closed: bool
) -> None:
    """Also where midnight comes between opening the last day's desk and saying it: that is a day with a session."""
    room = Room()
    service = service_at(tmp_path, room, None)
    now = [at_ist(date(2026, 9, 30), 23, 59, 59) if not closed else at_ist(day, 10)]
    monkeypatch.setattr(service.clock, "now_ns", lambda: now[0], raising=False)
    quick = service.open

    async def over_midnight() -> Any:
        jobs = await quick()
        now[0] = max(now[0], at_ist(day, 0))
        return jobs

    monkeypatch.setattr(service, "open", over_midnight)
    await running(service, lambda: bool(room.texts("run")))
    assert ("No session today. Next session: Mon 5 Oct 2026" in room.texts("run")[0]) is closed
    assert ("No session" in room.texts("run")[0]) is closed


async def test_a_new_trading_day_opens_a_new_desk_and_plans_its_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room()
    service = service_at(tmp_path, room, None)
    before = trading_day(service.calendar, service.clock.now_ns())
    following = service.calendar.next_trading_day(ist_date(service.clock.now_ns()))
    task = asyncio.create_task(service.run())
    async with asyncio.timeout(30):
        while not room.texts("run"):
            assert not task.done()
            await asyncio.sleep(0.01)
        assert service.today.day == before
        morning = at_ist(following, 0, 0, 5)
        monkeypatch.setattr(service.clock, "now_ns", lambda: morning, raising=False)
        while service.today.day != following or "a new trading day" not in room.texts("run"):
            assert not task.done()
            await asyncio.sleep(0.01)
    names = [job.name for job in service._planned if not job.quiet]
    assert names[:3] == ["token_check", "card", "open"]
    assert {"square_off", "report"} <= set(names)
    service.stop("enough")
    await asyncio.wait_for(task, 30)


async def test_a_command_that_comes_while_it_stops_is_not_half_done(tmp_path: Path) -> None:
    service = service_at(tmp_path, Room(), OPEN, 60)
    answers = Answers(service, travels=True)
    owner = Caller(7, 7, "owner", Role.ADMIN)
    said: list[str] = []

    async def ask(seconds: float) -> None:
        said.append((await answers.by_phone(owner, "/pause")).to_plain())

    service.mouths.farewell = ask  # type: ignore[method-assign]
    await running(service, lambda: service.desk is not None)
    assert "The service is stopping: nothing was done." in said[0]
    assert not service.control.paused


async def test_a_command_that_comes_while_the_day_is_opened_again_is_meant_for_the_new_desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = service_at(tmp_path, Room(), None)
    answers = Answers(service, travels=True)
    owner = Caller(7, 7, "owner", Role.ADMIN)
    opening, quick, asked, before = asyncio.Event(), service.open, [], []

    async def slow() -> Any:
        if before:
            asked.append(asyncio.create_task(answers.by_phone(owner, "/pause")))
            await opening.wait()
        return await quick()

    monkeypatch.setattr(service, "open", slow)
    task = asyncio.create_task(service.run())
    await until(lambda: service._opened.is_set())
    before.append(service.engine)
    service.want_again("a test")
    await until(lambda: bool(asked))
    await asyncio.sleep(0)
    assert not asked[0].done()
    opening.set()
    assert "paused" in (await asked[0]).to_plain().lower()
    assert service.engine is not before[0]
    assert Block.PAUSED in service.engine.blocks
    assert service.control.paused
    service.stop("enough")
    await asyncio.wait_for(task, 30)


async def test_nothing_is_done_where_the_day_does_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otrade_bot.service.mouths.OPENS", 0.01)
    service = service_at(tmp_path, Room(), OPEN, 60)
    answers = Answers(service, travels=True)
    await service.open()
    said = await answers.by_phone(Caller(7, 7, "owner", Role.ADMIN), "/pause")
    assert "The day is being opened again: nothing was done." in said.to_plain()
    assert not service.control.paused
    service.close()


async def test_the_books_of_a_stopped_service_are_those_it_opens_again(tmp_path: Path) -> None:
    room = Room()
    service = service_at(tmp_path, room, OPEN, 2000)
    await running(service, lambda: bool(service.desk and service.engine.positions()))
    held = [(p.symbol, p.rung, p.quantity, p.stop) for p in service.engine.positions()]
    again = service_at(tmp_path, Room(), service.clock.now_ns(), 60)
    jobs = await again.open()
    assert [(p.symbol, p.rung, p.quantity, p.stop) for p in again.engine.positions()] == held
    assert jobs
    again.close()
    assert read_day(tmp_path, DAY)


async def test_an_older_diary_that_cannot_be_read_stops_no_trading(tmp_path: Path) -> None:
    """Also one behind the newest: a closed day has a diary too, which keeps nothing."""
    overnight = config("ema_crossover", SYMBOLS, "1m", product=Product.CNC)
    (tmp_path / "journal").mkdir()
    day_path(tmp_path, date(2026, 9, 16)).write_bytes(b"\x00 no line\n{}\n")
    day_path(tmp_path, date(2026, 9, 17)).write_bytes(b"")
    room = Room()
    service = service_at(tmp_path, room, None)
    service.opener = replace(service.opener, config=overnight)
    friday = at_ist(date(2026, 9, 18), 8)
    service.clock.now_ns = lambda: friday  # type: ignore[method-assign]
    await service.open()
    service.close()
    assert any("set aside as 2026-09-16.jsonl.corrupt" in text for text in room.texts("alert"))


async def test_a_rehearsal_asks_no_diary_of_another_for_what_is_kept(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    rung = {"symbol": SYMBOLS[0], "strategy": "ema_crossover", "rung": 1, "cycle": 1, "side": "BUY", "quantity": 5,
            "value": 500, "level": 90, "entry_ns": OPEN}  # fmt: skip
    day_path(tmp_path, date(2026, 9, 15)).write_bytes(orjson.dumps({"kind": "carry", "ns": 1, "rungs": [rung]}) + b"\n")
    room = Room()
    service = service_at(tmp_path, room)
    overnight = config("ema_crossover", SYMBOLS, "1m", product=Product.CNC)
    service.opener = replace(service.opener, config=overnight)
    await service.open()
    service.close()
    assert room.texts("alert") == []


@pytest.mark.parametrize(
    ("strategy", "product"),
    [("momentum_ladder", Product.MIS), ("ema_crossover", Product.CNC), ("momentum_ladder", Product.CNC)],
)
async def test_a_position_whose_instrument_moved_to_another_strategy_or_product_is_still_ours_to_leave(
    tmp_path: Path, strategy: str, product: Product
) -> None:
    held, now = await held_before(tmp_path)
    room = Room()
    service = service_with(tmp_path, room, config(strategy, SYMBOLS, "1m", product=product), now)
    said = await flattened(service, room)
    assert any(f"held for another strategy or product than the settings name: {held}" in t for t in room.texts("alert"))
    started = next(event for event in room.events if event.kind == "run")
    assert [(p["symbol"], p["stop_resting"], p["external"]) for p in started.data["positions"]] == [(held, True, False)]
    assert f"{held} P1" in said
    assert "Left alone" not in said
    rows = {row.instrument.symbol: (row.strategy, row.product) for row in service.engine.table}
    assert rows[held] == ("ema_crossover", Product.MIS)
    assert {rows[one] for one in SYMBOLS if one != held} == {(strategy, product)}


async def test_what_the_strategy_before_has_closed_leaves_the_instrument_to_the_next(tmp_path: Path) -> None:
    held, now = await held_before(tmp_path)
    service = service_with(tmp_path, Room(), SETTINGS, now)
    service.desk = None
    await service.open()
    service.engine.pause("owner")
    service.engine.exit_row(service.engine.by_symbol[held])
    service.clock.advance_to(now + SECOND)  # type: ignore[attr-defined]
    row = service.engine.by_symbol[held]
    for step in range(1, 4):
        service.clock.advance_to(now + step * SECOND)  # type: ignore[attr-defined]
        service.engine.on_price(row, now + step * SECOND, service.engine.table[row].ltp, 10**9 + step * 1000)
    assert not service.engine.positions()
    service.close()
    room = Room()
    later = service_with(tmp_path, room, config("momentum_ladder", SYMBOLS, "1m"), now + 5 * SECOND)
    await later.open()
    later.close()
    assert later.engine.table[later.engine.by_symbol[held]].strategy == "momentum_ladder"
    assert not [text for text in room.texts("alert") if "held" in text]


async def test_a_day_that_nobody_saw_to_its_end_is_lived_through_before_the_next_begins(tmp_path: Path) -> None:
    """Dead over the close and over midnight: the stop, or the close, took the position at the prices of its own day."""
    held, _ = await held_before(tmp_path)
    following = date(2026, 9, 17)
    room = Room()
    service = service_with(tmp_path, room, SETTINGS, at_ist(following, 8))
    await service.open()
    service.close()
    (ticks,) = Simulated(1, SETTINGS.market).ticks(DAY, [held])
    lines = [orjson.loads(line) for line in (tmp_path / "paper.jsonl").read_bytes().splitlines()]
    fills = [line for line in lines if line["k"] == "fill"]
    closes = next(line for line in lines if line["k"] == "day" and line["day"] == "2026-09-17")["closes"]
    assert sum(fill["quantity"] * (1 if n == 0 else -1) for n, fill in enumerate(fills)) == 0
    continuous = [p for ts, p in zip(ticks.ts.tolist(), ticks.price.tolist(), strict=True) if ts < at_ist(DAY, 15, 15)]
    assert closes[held] == continuous[-1]
    assert fills[-1]["mark"][0] > fills[0]["mark"][0] + 60 * SECOND, "a price that came after the death"
    (said,) = (text for text in room.texts("alert") if "was not seen to its end" in text)
    assert held in said
    assert not any("not ours" in text for text in room.texts("alert"))
    assert not service.engine.positions()


async def test_an_unseen_day_of_an_instrument_that_has_left_the_settings_ends_at_its_last_price_and_says_so(
    tmp_path: Path,
) -> None:
    held, _ = await held_before(tmp_path)
    rest = config("ema_crossover", tuple(one for one in SYMBOLS if one != held), "1m")
    room = Room()
    service = service_with(tmp_path, room, rest, at_ist(date(2026, 9, 17), 8))
    await service.open()
    service.close()
    (said,) = (text for text in room.texts("alert") if "was not seen to its end" in text)
    assert held in said
    assert "so the last one seen was taken" in said
    assert not service.engine.positions()
