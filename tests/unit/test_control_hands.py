"""/force and /claim: asked back, for one symbol, one person and what was shown."""

from __future__ import annotations

import asyncio

import pytest
from control_fakes import FakeEngine, Wall, context

from otrade_bot.control.auth import Role
from otrade_bot.control.commands import answer
from otrade_bot.control.confirm import Confirmations
from otrade_bot.control.reply import Reply

NAME = "NSE:RELIANCE"


@pytest.fixture
def engine() -> FakeEngine:
    found = FakeEngine()
    found.doubts = {NAME: 30}
    return found


class Room:
    """One person at one chat; ``wall`` moves."""

    def __init__(self, engine: FakeEngine, role: Role = Role.OPERATOR) -> None:
        self.engine, self.role, self.wall = engine, role, Wall()
        self.confirmations = Confirmations(self.wall)

    def reply(self, line: str, session: str = "telegram:7:7") -> Reply:
        ctx = context(self.engine, self.role, session=session, confirmations=self.confirmations)
        return asyncio.run(answer(ctx, line))

    def say(self, line: str, session: str = "telegram:7:7") -> str:
        return self.reply(line, session).to_plain()


@pytest.mark.parametrize("name", ["force", "claim"])
def test_nothing_is_done_before_a_yes_and_then_once(engine: FakeEngine, name: str) -> None:
    room = Room(engine)
    assert "RISK" in room.say(f"/{name} reliance")
    assert engine.calls == []
    room.say(f"/{name} reliance yes")
    assert engine.calls == [f"{name} {NAME} by owner <o>"]
    assert "no question of yours" in room.say(f"/{name} reliance yes")
    assert len(engine.calls) == 1


@pytest.mark.parametrize("name", ["force", "claim"])
def test_the_buttons_carry_the_answer(engine: FakeEngine, name: str) -> None:
    room = Room(engine)
    yes, no = room.reply(f"/{name} RELIANCE").actions
    assert max(len(action.line) for action in (yes, no)) <= 64
    room.say(no.line)
    assert engine.calls == []
    assert "no question" in room.say(yes.line)
    yes, _ = room.reply(f"/{name} RELIANCE").actions
    room.say(yes.line)
    assert engine.calls == [f"{name} {NAME} by owner <o>"]


def test_a_yes_counts_for_the_person_the_symbol_the_command_and_half_a_minute(engine: FakeEngine) -> None:
    engine.doubts["NSE:M&M"] = 5
    engine.followed = [*engine.followed, *FakeEngine(3).followed]
    room = Room(engine)
    room.say("/force RELIANCE")
    room.say("/force RELIANCE yes", session="telegram:8:8")
    room.say("/force M&M yes")
    room.say("/claim RELIANCE yes")
    assert engine.calls == []
    room.wall.now += 31
    assert "Too late" in room.say("/force RELIANCE yes")
    assert engine.calls == []


def test_what_has_changed_since_is_asked_again(engine: FakeEngine) -> None:
    room = Room(engine)
    room.say("/force RELIANCE")
    engine.doubts[NAME] = 60
    said = room.say("/force RELIANCE yes")
    assert "changed" in said
    assert "60 twice" in said
    assert engine.calls == []
    room.say("/force RELIANCE yes")
    assert len(engine.calls) == 1


def test_what_is_over_meanwhile_is_said(engine: FakeEngine) -> None:
    room = Room(engine)
    room.say("/force RELIANCE")
    engine.doubts.clear()
    assert "No exit of" in room.say("/force RELIANCE yes")
    assert engine.calls == []


def test_a_broker_that_cannot_be_asked_is_said(engine: FakeEngine) -> None:
    room = Room(engine)
    room.say("/claim RELIANCE")
    original = engine.positions
    engine.broken = True
    engine.positions = list  # type: ignore[method-assign]
    assert "the broker cannot be asked (down)" in room.say("/claim RELIANCE yes")
    engine.positions = original  # type: ignore[method-assign]


@pytest.mark.parametrize("name", ["force", "claim"])
def test_a_viewer_may_not(engine: FakeEngine, name: str) -> None:
    room = Room(engine, Role.VIEWER)
    assert "needs the role operator" in room.say(f"/{name} RELIANCE")
    assert "needs the role operator" in room.say(f"/{name} RELIANCE yes")
    assert engine.calls == []


def test_a_symbol_that_is_not_followed_gets_the_nearest(engine: FakeEngine) -> None:
    assert "Did you mean NSE:RELIANCE" in Room(engine).say("/force RELANCE")
