"""The card nags until it is green and then says so once; what is squared off is counted down; /later puts it off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from control_fakes import FakeEngine, context, position
from harness.bench import DAY, SHARE, Bench, run

from otrade_bot.control.auth import Role
from otrade_bot.control.commands import answer
from otrade_bot.control.views_checks import Check
from otrade_bot.core.clock import MINUTE, at_ist, to_ist
from otrade_bot.core.errors import BrokerException
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.model import Block
from otrade_bot.service import jobs as jobs_module
from otrade_bot.service.jobs import DayJobs
from otrade_bot.service.plan import day_jobs

WELL, DISK = Check("Disk", True, "fine"), Check("Disk", False, "90 MB free")
CLOCK = Check("Clock", False, "set back by 7 s")


class Side:
    """What the jobs ask of a broker's side; ``faults`` by broker, an exception where it cannot be asked."""

    def __init__(self, trading: str = "", **faults: str | Exception) -> None:
        self.trading, self.faults = trading, faults
        self.connections = {name: SimpleNamespace(session_fault=self._asked(name)) for name in faults}
        self.ends: list[dict[str, str]] = []

    def _asked(self, name: str) -> Callable[[], Any]:
        async def ask() -> str:
            fault = self.faults[name]
            if isinstance(fault, Exception):
                raise fault
            return str(fault)

        return ask

    def wanting(self, blocks: set[Block]) -> list[str]:
        return [name for name, fault in self.faults.items() if fault]

    def endings(self) -> list[dict[str, str]]:
        return self.ends


class Room:
    """Jobs over a real engine on paper."""

    def __init__(self, tmp_path: Path, side: Side | None = None) -> None:
        self.bench = Bench.paper(tmp_path / "paper.jsonl")
        self.found = [WELL]
        self.before: list[dict[str, Any]] = []
        self.jobs = self.fresh(tmp_path, side)

    def fresh(self, tmp_path: Path, side: Any = None) -> DayJobs:
        desk: Any = SimpleNamespace(engine=self.bench.engine, day=DAY)
        return DayJobs(lambda: desk, self.bench.clock, self.bench.config.calendar, tmp_path, lambda: self.found, side)

    def at(self, hour: int, minute: int, until: tuple[int, int] | None = None) -> list[Event]:
        """The day's jobs of these minutes, each at its time; what was said."""
        first = at_ist(DAY, hour, minute)
        last = at_ist(DAY, *until) if until else first
        before = len(self.bench.diary.events)
        for job in day_jobs(self.bench.engine.sessions.values(), self.bench.engine.boundaries):
            if first <= job.at <= last and job.name in ("card", "card_again", "countdown"):
                self.bench.clock.advance_to(job.at)
                self.bench.clock._now = job.at
                run(self.jobs.run(job))
        return [event for event in self.bench.diary.events[before:] if event.kind is EventKind.SESSION]


@pytest.fixture
def room(tmp_path: Path) -> Room:
    made = Room(tmp_path)
    made.bench.clock._now = at_ist(DAY, 8)
    return made


@pytest.fixture(autouse=True)
def journal(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a process before this one has written."""
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(jobs_module, "read_day", lambda folder, day: lines)
    return lines


def times(events: list[Event]) -> list[str]:
    return [f"{to_ist(event.ts_ns):%H:%M} {event.text.splitlines()[0]}" for event in events]


# --- the card ----------------------------------------------------------------------------------------------


def green(room: Room) -> None:
    """The engine's own checks on a bench that has seen no price are no matter here."""
    room.jobs._bad = lambda: _only(room)  # type: ignore[method-assign]


def _only(room: Room) -> list[Check]:
    room.jobs._checked = list(room.found)
    return [check for check in room.found if not check.well]


def test_a_green_card_is_said_once(room: Room) -> None:
    green(room)
    assert times(room.at(8, 45, (9, 14))) == ["08:45 ready, 1 check passed"]


def test_a_card_that_is_not_green_comes_again_every_ten_minutes_until_the_open(room: Room) -> None:
    green(room)
    room.found = [DISK]
    said = room.at(8, 45, (9, 14))
    assert times(said) == [f"{at} NOT READY, 1 point" for at in ("08:45", "08:55", "09:05")]
    assert {event.severity for event in said} == {Severity.WARNING}


def test_a_change_is_told_within_a_minute_and_green_once(room: Room) -> None:
    green(room)
    room.found = [DISK]
    assert len(room.at(8, 45, (8, 47))) == 1
    room.found = [DISK, CLOCK]
    assert times(room.at(8, 48, (8, 50))) == ["08:48 NOT READY, 2 points"]
    room.found = [Check("Disk", False, "89 MB free"), CLOCK]  # a number that moves is no change
    assert room.at(8, 51, (8, 53)) == []
    room.found = [WELL]
    assert times(room.at(8, 54, (9, 10))) == ["08:54 ready, 1 check passed"]
    room.found = [DISK]
    assert times(room.at(9, 11, (9, 14))) == ["09:11 NOT READY, 1 point"]


def test_a_restart_knows_what_was_told_before_it(room: Room, journal: list[dict[str, Any]]) -> None:
    green(room)
    journal += [
        {"kind": "session", "boundary": "card", "ns": at_ist(DAY, 8, 45), "ready": False, "points": ["!! Disk: full"]},
        {"kind": "signal", "ns": 5},
    ]
    room.found = [DISK]
    assert times(room.at(8, 50, (8, 56))) == ["08:55 NOT READY, 1 point"]
    room.jobs._card_told = None
    journal[0] |= {"ready": True, "points": []}
    assert times(room.at(8, 57, (8, 57))) == ["08:57 NOT READY, 1 point"]


def test_yesterdays_card_is_not_todays(room: Room) -> None:
    green(room)
    room.jobs._card_told = (at_ist(DAY, 8, 45) - 24 * 60 * MINUTE, True, frozenset())
    room.found = [DISK]
    assert room.at(8, 46, (8, 50)) == []  # the first one of today was never due here
    assert len(room.at(8, 45)) == 1


def test_a_card_that_wants_a_login_says_at_which_broker(tmp_path: Path) -> None:
    room = Room(tmp_path, Side("kite", kite="dead", upstox=""))
    room.bench.clock._now = at_ist(DAY, 8)
    green(room)
    room.found = [DISK]
    (event,) = room.at(8, 45)
    assert event.data["login"] == ["kite"]


def test_a_look_that_was_missed_is_not_told(room: Room) -> None:
    (job,) = (one for one in day_jobs(room.bench.engine.sessions.values(), []) if one.name == "card_again"
              and one.at == at_ist(DAY, 8, 50))  # fmt: skip
    room.bench.clock._now = job.until + MINUTE
    run(room.jobs.run(job, late=job.late(room.bench.now)))
    assert room.bench.events(EventKind.ALERT) == []


# --- logins ------------------------------------------------------------------------------------------------


def test_a_broker_that_only_gives_prices_is_asked_for_its_login_too(tmp_path: Path) -> None:
    room = Room(tmp_path, Side("", kite="the token is dead", upstox=BrokerException("no way there")))
    run(room.jobs._token_check())
    (event,) = room.bench.events(EventKind.ALERT)
    assert (event.text, event.data) == ("no prices from kite: the token is dead. Send /login", {"login": ["kite"]})


def test_the_evening_tells_of_the_next_session_over_a_weekend(tmp_path: Path) -> None:
    side = Side("kite", kite="")
    room = Room(tmp_path, side)
    run(room.jobs._evening())
    assert room.bench.events(EventKind.SESSION) == []  # no broker that is logged in to
    side.ends = [{"broker": "kite", "user": "AB1234", "until": "2026-09-17T06:00:00+05:30"}]
    run(room.jobs._evening())
    (event,) = room.bench.events(EventKind.SESSION)
    assert event.data == {"boundary": "evening", "tokens": side.ends, "opens": "2026-09-17T09:15:00+05:30"}


# --- the countdown ------------------------------------------------------------------------------------------


def held(room: Room) -> None:
    room.bench.clock._now = at_ist(DAY, 9, 16)
    room.bench.signal()
    room.bench.price(10_100)
    assert [one.quantity for one in room.bench.engine.positions()] == [30]


def square_off(room: Room) -> int:
    return int(room.bench.engine.params[0]["square_off"])


def test_what_is_held_is_counted_down_with_its_result(room: Room) -> None:
    held(room)
    due = to_ist(square_off(room))
    said = room.at(due.hour - 1, due.minute, (due.hour, due.minute + 4))
    found = [(event.data["minutes"], event.ts_ns) for event in said]
    assert found == [(5, square_off(room) - 5 * MINUTE), (1, square_off(room) - MINUTE)]
    data = said[0].data
    (one,) = data["held"]
    position = room.bench.engine.positions()[0]
    assert (one["symbol"], one["quantity"], one["pnl_paise"]) == (SHARE.symbol, 30, position.unrealised)
    assert (data["later"], data["only"]) == (5, True)


def test_nothing_held_is_not_counted_down(room: Room) -> None:
    due = to_ist(square_off(room))
    assert room.at(due.hour - 1, due.minute, (due.hour, due.minute + 4)) == []


def test_a_square_off_that_was_put_off_is_counted_down_again_to_its_new_time(room: Room) -> None:
    held(room)
    before = square_off(room)
    room.bench.clock._now = before - 4 * MINUTE
    said = room.bench.engine.extend_square_off([SHARE.symbol], 5, "owner")
    assert square_off(room) == before + 5 * MINUTE
    assert f"{to_ist(square_off(room)):%H:%M}" in said
    due = to_ist(before)
    told = room.at(due.hour, due.minute - 3, (due.hour, due.minute + 9))
    assert [event.data["minutes"] for event in told] == [5, 1]
    assert [event.ts_ns for event in told] == [before, before + 4 * MINUTE]
    assert told[0].data["later"] <= 5


def test_the_markets_own_warning_has_the_same_data(room: Room) -> None:
    held(room)
    at = to_ist(square_off(room) - room.bench.config.market.warning_minutes * MINUTE)
    room.bench.at(at.hour, at.minute)
    (event,) = [one for one in room.bench.events(EventKind.SESSION) if one.data["boundary"] == "square_off_warning"]
    assert event.data["held"][0]["symbol"] == SHARE.symbol
    assert event.text == f"square-off in {room.bench.config.market.warning_minutes} minutes: {SHARE.symbol}"


# --- /later -------------------------------------------------------------------------------------------------


def later(engine: FakeEngine, line: str, role: Role = Role.OPERATOR) -> str:
    return asyncio.run(answer(context(engine, role), line)).to_plain()


def test_later_puts_off_everything_that_is_held_or_what_is_named() -> None:
    engine = FakeEngine()
    engine.held = [position("NSE:TCS", 1), position("NSE:INFY", 1), position("NSE:TCS", 2)]
    assert "Square-off 5 minutes later." in later(engine, "/later")
    later(engine, "/later 10 tcs")
    assert [call.removesuffix(" by owner <o>") for call in engine.calls] == [
        "extend NSE:INFY, NSE:TCS 5", "extend NSE:TCS 10"
    ]  # fmt: skip


@pytest.mark.parametrize("line", ["/later 0", "/later 61", "/later soon", "/later 5 TATA"])
def test_later_takes_minutes_and_what_is_held_alone(line: str) -> None:
    engine = FakeEngine()
    engine.held = [position("NSE:TCS", 1)]
    assert later(engine, line)
    assert engine.calls == []


def test_with_nothing_open_there_is_nothing_to_put_off_and_a_viewer_may_not() -> None:
    engine = FakeEngine()
    assert "nothing to put off" in later(engine, "/later")
    engine.held = [position("NSE:TCS", 1)]
    assert "needs the role operator" in later(engine, "/later", Role.VIEWER)
    assert engine.calls == []
