"""/close, /sl and /target as they are typed: which rung, what of it, asked back where that is due."""

from __future__ import annotations

import asyncio

import pytest
from control_fakes import FakeEngine, Wall, context, position

from otrade_bot.control.auth import Role
from otrade_bot.control.commands import answer
from otrade_bot.control.confirm import Confirmations
from otrade_bot.control.reply import Reply

NAME = "NSE:RELIANCE"


class Room:
    """One person at one chat."""

    def __init__(self, rungs: int = 1, role: Role = Role.OPERATOR) -> None:
        self.engine, self.role = FakeEngine(), role
        self.engine.held = [position(NAME, at + 1) for at in range(rungs)]
        self.confirmations = Confirmations(Wall())

    def reply(self, line: str) -> Reply:
        ctx = context(self.engine, self.role, session="telegram:7:7", confirmations=self.confirmations)
        return asyncio.run(answer(ctx, line))

    def say(self, line: str) -> str:
        return self.reply(line).to_plain()

    @property
    def calls(self) -> list[str]:
        return [call.removesuffix(" by owner <o>") for call in self.engine.calls]


@pytest.mark.parametrize(
    ("typed", "done"),
    [
        ("/close reliance", f"close {NAME} P0 all"),
        ("/close RELIANCE P1", f"close {NAME} P1 all"),
        ("/Close reliance p1 HALF", f"close {NAME} P1 half"),
        ("/close NSE:RELIANCE half", f"close {NAME} P0 half"),
        ("/close reliance 5", f"close {NAME} P0 5"),
    ],
)
def test_a_close_is_asked_back_and_done_once(typed: str, done: str) -> None:
    room = Room()
    yes, no = room.reply(typed).actions
    assert room.calls == []
    assert max(len(action.line) for action in (yes, no)) <= 64
    room.say(yes.line)
    assert room.calls == [done]
    room.say(yes.line)
    assert len(room.calls) == 1


def test_a_typed_yes_closes_what_was_asked_and_a_no_nothing() -> None:
    room = Room()
    room.say("/close reliance half")
    assert "no question" in room.say("/close reliance yes")
    room.confirmations.seen(room.reply("/close reliance half").actions[0].line.split()[-1])
    room.say("/close reliance half no")
    assert "Nothing was asked" in room.say("/close reliance half no")
    room.say("/close reliance half")
    room.say("/close reliance half Yes")
    assert room.calls == [f"close {NAME} P0 half"]


@pytest.mark.parametrize(
    ("typed", "done"),
    [
        ("/sl reliance 2100", f"stop {NAME} P0 210000"),
        ("/sl reliance p1 ₹2,100.55", f"stop {NAME} P1 210055"),
        ("/sl reliance auto", f"stop {NAME} P0 auto"),
        ("/target reliance 2300.5", f"target {NAME} P0 230050"),
        ("/target reliance P1 AUTO", f"target {NAME} P1 auto"),
    ],
)
def test_what_lowers_the_risk_is_done_at_once(typed: str, done: str) -> None:
    room = Room()
    room.say(typed)
    assert room.calls == [done]


@pytest.mark.parametrize(
    ("typed", "done"),
    [("/sl reliance 2000", f"stop {NAME} P0 200000"), ("/target reliance P1 off", f"target {NAME} P1 off")],
)
def test_what_raises_the_risk_waits_for_a_yes(typed: str, done: str) -> None:
    room = Room()
    yes, no = room.reply(typed).actions
    assert room.calls == []
    room.say(no.line)
    assert "no question" in room.say(yes.line)
    room.say(room.reply(typed).actions[0].line)
    assert room.calls == [done]


@pytest.mark.parametrize("command", ["/sl reliance 2100", "/target reliance 2300", "/close reliance 5"])
def test_of_several_rungs_the_one_that_is_meant_is_asked_for_by_buttons(command: str) -> None:
    room = Room(rungs=3)
    reply = room.reply(command)
    assert [action.label for action in reply.actions] == ["P1", "P2", "P3"]
    assert room.calls == []
    again = room.reply(reply.actions[1].line)
    if again.actions:
        room.say(again.actions[0].line)
    assert [call.split()[2] for call in room.calls] == ["P2"]


def test_without_a_price_it_tells_where_the_levels_are() -> None:
    room = Room(rungs=2)
    said = room.say("/sl reliance")
    assert "P1: 12 held, price ₹2,155.05, stop ₹2,086.50, target ₹2,247.00" in said
    assert "/sl RELIANCE P1 PRICE|auto" in said
    assert "PRICE|off|auto" in room.say("/target reliance p2")
    assert room.calls == []


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("/sl reliance cheap", "A price in rupees is wanted, not 'cheap'"),
        ("/sl reliance -5", "A price in rupees"),
        ("/sl reliance 0", "A price in rupees"),
        ("/sl reliance nan", "A price in rupees"),
        ("/sl reliance 1e99", "A price in rupees"),
        ("/sl reliance off", "never left without a stop"),
        ("/sl reliance P1 2100 2200", "Too much was said"),
        ("/sl reliance 2100 yes a b", "Too much was said"),
        ("/close reliance most", "half or a number of shares"),
        ("/close reliance 0", "half or a number of shares"),
        ("/close reliance ５", "half or a number of shares"),
        ("/close nowhere", "is not followed"),
        ("/close", "Which one? /close SYMBOL [P1|P2|P3] [half|QUANTITY]"),
    ],
)
def test_what_cannot_be_meant_is_said_and_nothing_is_done(typed: str, words: str) -> None:
    room = Room()
    assert words in room.say(typed)
    assert room.calls == []


def test_a_viewer_moves_and_closes_nothing() -> None:
    room = Room(role=Role.VIEWER)
    for line in ("/sl reliance 2100", "/target reliance off", "/close reliance yes"):
        assert "needs the role operator" in room.say(line)
    assert room.calls == []


def test_positions_show_what_was_put_by_hand_and_what_is_on_its_way_out() -> None:
    room = Room()
    room.engine.held = [position(NAME, 1, hand_stop=True, hand_target=True, parting=6)]
    said = room.say("/positions")
    assert "by hand: stop, target" in said
    assert "6 on their way out" in said


def test_the_message_that_shows_a_stop_can_be_answered_with_a_new_one() -> None:
    engine = FakeEngine()
    engine.held = [position("NSE:SBIN")]
    shown = asyncio.run(answer(context(engine, session="telegram:7:7"), "/sl SBIN"))
    assert "SBIN" in [run.text for run in shown.runs if run.tags == ("code",)]
    assert "Or answer this message: sl 245" in shown.to_plain()
