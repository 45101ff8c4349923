"""/mode over the phone: the real library, buttons and all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from control_fakes import position
from mode_room import Room, environment
from phone_desk import CLERK, DESK, OWNER, STRANGER, Desk, desk

from otrade_bot.control.phone.gate import Caller
from otrade_bot.control.reply import Reply

YES = "Live at the next start"


@asynccontextmanager
async def office(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Desk, Room]]:
    """The phone's desk, with settings to change."""
    environment(patch)
    room = Room(folder / "config")

    async def answer(caller: Caller, line: str) -> Reply:
        return await room.answer(line, caller.role, caller.session)

    async with desk(folder) as at:
        at.script = answer
        yield at, room


async def asked(at: Desk, chat: int = OWNER) -> int:
    """The message id of a fresh question."""
    before = len(at.api.to(chat))
    at.api.say(OWNER, "/mode live", chat)
    return (await at.said(before + 1, chat))[-1].message_id


async def pressed(at: Desk, query: str) -> str:
    await at.api.until(lambda: query in at.api.answers)
    return at.api.answers[query].text


async def test_the_owners_press_sets_the_next_start_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with office(tmp_path, monkeypatch) as (at, room):
        question = await asked(at)
        first, second = at.api.press(OWNER, question, YES), at.api.press(OWNER, question, YES)
        assert "The next start is LIVE" in await pressed(at, first)
        assert "Answered already" in await pressed(at, second)
        assert room.mode == "live"
        assert len(room.told) == 1


async def test_an_operators_press_on_the_owners_button_sets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(tmp_path, monkeypatch) as (at, room):
        question = await asked(at, DESK)
        assert "another person's" in await pressed(at, at.api.press(CLERK, question, YES, DESK))
        assert room.untouched
        assert "The next start is LIVE" in await pressed(at, at.api.press(OWNER, question, YES, DESK))


@pytest.mark.parametrize("data", ["/mode live yes", "/mode live yes 00000000", "/mode live yes {}", "{}"])
async def test_forged_button_data_sets_nothing(data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even with the very word that the button carries, for it was another person's or never on a button."""
    async with office(tmp_path, monkeypatch) as (at, room):
        question = await asked(at, DESK)
        sent = at.api.to(DESK)[-1]
        button = sent.button(YES)
        assert button is not None
        assert button.data is not None
        line = data.format(button.data.split()[-1])
        assert await pressed(at, at.api.press(CLERK, question, line, DESK, forged=True))
        assert room.untouched


async def test_a_stranger_gets_no_answer_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with office(tmp_path, monkeypatch) as (at, room):
        await asked(at)
        at.api.say(STRANGER, "/mode live yes")
        await at.quiet()
        assert at.api.to(STRANGER) == []
        assert room.untouched


async def test_a_position_that_opens_between_question_and_press_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(tmp_path, monkeypatch) as (at, room):
        question = await asked(at)
        room.engine.held = [position("NSE:SBIN")]
        assert "Nothing was changed" in await pressed(at, at.api.press(OWNER, question, YES))
        assert "SBIN" in (await at.said(2))[1].text
        assert room.untouched
