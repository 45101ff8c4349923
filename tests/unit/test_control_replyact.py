"""Answering a message of the bot's with a few words: the line that is made of it, and when none is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from control_fakes import position
from phone_desk import CLERK, DESK, OWNER, STRANGER, Desk, desk

from otrade_bot.control.phone.gate import Caller
from otrade_bot.control.phone.replyact import wanted
from otrade_bot.control.reply import Reply, code, lines, pre, text
from otrade_bot.control.views import positions

FILL = text("09:15:07 Filled ", code("SBIN"), " P2 entry BUY 3 @ ₹823.00")
BOTH = lines(FILL, text("09:15:08 Filled ", code("M&M"), " P1 entry BUY 3 @ ₹82.00"))
KNOWN = ("NSE:SBIN", "NSE:M&M", "BSE:SBIN2", "NSE:INFY")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("sl 245", "/sl X 245"), ("SL ₹1,245.50", "/sl X 1245.50"), ("stop auto", "/sl X auto"),
        ("/sl 245", "/sl X 245"), ("sl p3 245", "/sl X P3 245"), ("target 260", "/target X 260"),
        ("tgt off", "/target X off"),
        ("Half", "/close X half"), ("p1 half", "/close X P1 half"), ("exit", "/close X"), ("Exit p2", "/close X P2"),
        ("sl", "/sl X"), ("Stop p2", "/sl X P2"), ("target", "/target X"), ("why?", "/why X"), ("Why", "/why X"),
        ("chart 15m", "/chart X 15m"),
        ("close 10", "/close X 10"), ("close half", "/close X half"), ("/exit", "/close X"), ("  exit \n", "/close X"),
    ],
)  # fmt: skip
def test_the_words_become_a_line(words: str, line: str) -> None:
    found = wanted(words)
    assert found is not None
    assert found.line("X") == line


@pytest.mark.parametrize(
    "words",
    ["", "ok", "sl 245 yes", "exit now", "exit yes", "sl SBIN 245", "/close SBIN", "flatten", "sl 2 4", "half 3",
     "sl -5", "exit 1.5", "target 1e9", "sl 245; /flatten yes"],
)  # fmt: skip
def test_other_words_are_none_of_these(words: str) -> None:
    assert wanted(words) is None


async def lines_of(
    at: Desk, message: Reply, words: str, *, user: int = OWNER, chat: int = OWNER, **more: Any
) -> list[str]:
    """What the command table hears of an answer to this message."""
    heard: list[str] = []

    async def script(_: Caller, line: str) -> Reply:
        heard.append(line)
        return text("done")

    at.script = script
    await at.phone.send(chat, message, silent=False)
    shown = at.api.to(chat)[-1].message_id
    at.api.answer_to(user, shown, words, chat, **more)
    await at.quiet()
    return heard


def office(folder: Path) -> Any:
    return desk(folder, symbols=lambda: KNOWN)


async def test_the_symbol_and_the_rung_are_those_of_the_message(tmp_path: Path) -> None:
    async with office(tmp_path) as at:
        assert await lines_of(at, FILL, "sl 810") == ["/sl NSE:SBIN P2 810"]
        assert await lines_of(at, FILL, "sl p1 810") == ["/sl NSE:SBIN P1 810"]
        assert await lines_of(at, text("Held ", code("M&M")), "half") == ["/close NSE:M&M half"]
        assert await lines_of(at, text("Held ", code("NSE:INFY")), "exit") == ["/close NSE:INFY"]


async def test_the_list_of_positions_can_be_answered(tmp_path: Path) -> None:
    one, two = position("NSE:SBIN"), position("NSE:INFY")
    async with office(tmp_path) as at:
        assert await lines_of(at, positions([one]), "sl 810") == ["/sl NSE:SBIN P1 810"]
        before = len(at.api.to(OWNER))
        assert await lines_of(at, positions([one, two]), "exit") == []
        question = (await at.said(before + 2))[-1]
        assert [button.label for button in question.buttons] == ["INFY", "SBIN"]


async def test_several_symbols_or_rungs_are_asked_by_buttons_and_nothing_is_done_before(tmp_path: Path) -> None:
    async with office(tmp_path) as at:
        assert await lines_of(at, BOTH, "sl 80") == []
        question = (await at.said(2))[-1]
        assert [one.label for one in question.buttons] == ["SBIN", "M&M"]
        heard: list[str] = []

        async def script(_: Caller, line: str) -> Reply:
            heard.append(line)
            return text("done")

        at.script = script
        press = at.api.press(OWNER, question.message_id, "M&M")
        await at.api.until(lambda: press in at.api.answers)
        assert heard == ["/sl NSE:M&M 80"]
        await at.said(3)
        rungs = lines(FILL, text("09:16 Filled ", code("SBIN"), " P1 entry"))
        before = len(at.api.to(OWNER))
        assert await lines_of(at, rungs, "exit") == []
        assert [one.label for one in (await at.said(before + 2))[-1].buttons] == ["P1", "P2", "All of it"]


@pytest.mark.parametrize("message", [text("SBIN is up"), pre("SBIN 3"), text("Say ", code("/help")), text(code("TCS"))])
async def test_a_message_without_a_known_symbol_as_code_moves_nothing(tmp_path: Path, message: Reply) -> None:
    async with office(tmp_path) as at:
        assert await lines_of(at, message, "sl 810") == []
        said = (await at.said(2))[-1].text
        assert "names no symbol" in said
        assert "/sl SYMBOL 810" in said


async def test_other_words_under_a_message_are_commands_as_ever(tmp_path: Path) -> None:
    async with office(tmp_path) as at:
        assert await lines_of(at, FILL, "/status") == ["/status"]
        assert await lines_of(at, FILL, "/sl INFY 5") == ["/sl INFY 5"]
        at.api.say(OWNER, "sl 245")
        await at.quiet()


async def test_in_a_group_it_is_heard_from_who_is_heard_and_under_our_messages_alone(tmp_path: Path) -> None:
    async with office(tmp_path) as at:
        assert await lines_of(at, FILL, "exit", user=CLERK, chat=DESK) == ["/close NSE:SBIN P2"]
        assert await lines_of(at, FILL, "nice", user=CLERK, chat=DESK) == []
        assert await lines_of(at, FILL, "exit", user=STRANGER, chat=DESK) == []
        other = {"from": {"id": 5, "is_bot": True, "first_name": "x", "username": "another_bot"}}
        forged = at.api._chats.shown(at.api.to(DESK)[-1]) | other
        assert await lines_of(at, FILL, "exit", user=CLERK, chat=DESK, extra={"reply_to_message": forged}) == []


async def test_late_it_is_expired_and_with_a_clock_that_is_slow_it_is_done(tmp_path: Path) -> None:
    async with office(tmp_path) as at:
        assert await lines_of(at, FILL, "exit", date=time.time() - 120) == []
        assert "Expired, not done" in (await at.api.until(lambda: at.api.to(OWNER)[1:]))[0].text
        assert await lines_of(at, FILL, "exit", date=time.time() + 3600) == ["/close NSE:SBIN P2"]


async def test_forwarded_words_under_a_message_do_nothing(tmp_path: Path) -> None:
    async with office(tmp_path) as at:
        origin = {"forward_origin": {"type": "hidden_user", "date": 1, "sender_user_name": "x"}}
        assert await lines_of(at, FILL, "exit", extra=origin) == []
