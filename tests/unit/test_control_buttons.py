"""Buttons: once, by the person who was asked, in time, for what was shown."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from control_fakes import position
from phone_desk import CLERK, DESK, OWNER, TOP, Desk, desk

from otrade_bot.control.reply import Action, Reply, text
from tests.venues.telegram import BadRequest, BotApi


async def asked(at: Desk, user: int = OWNER, chat: int = OWNER) -> int:
    """The message id of a fresh flatten question."""
    before = len(at.api.to(chat))
    at.api.say(user, "/flatten", chat)
    return (await at.said(before + 1, chat))[-1].message_id


async def test_a_press_flattens_once_and_the_buttons_vanish(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        question = await asked(at)
        first = at.api.press(OWNER, question, "Close everything")
        second = at.api.press(OWNER, question, "Close everything")
        third = at.api.press(OWNER, question, "Leave it")
        await at.api.until(lambda: {first, second, third} <= at.api.answers.keys())
        assert "Flat: the broker's book shows nothing." in at.api.answers[first].text
        assert len(at.api.answers[first].text) <= 200
        assert "Answered already" in at.api.answers[second].text
        assert "Answered already" in at.api.answers[third].text
        assert (await at.said(2))[1].text.startswith(f"{TOP}\nFlatten")
        await at.api.until(lambda: not at.api.sent[0].buttons)
        assert at.engine.calls == ["flatten by owner"]
        assert [one.outcome for one in at.heard][-2:] == ["refused", "refused"]


async def test_a_no_leaves_everything(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        press = at.api.press(OWNER, await asked(at), "Leave it")
        await at.api.until(lambda: press in at.api.answers)
        assert "Nothing was closed." in at.api.answers[press].text
        assert at.engine.calls == []


async def test_a_yes_after_thirty_seconds_is_too_late_and_the_buttons_vanish(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        question = await asked(at)
        at.steady.now += 30.1
        press = at.api.press(OWNER, question, "Close everything")
        await at.api.until(lambda: press in at.api.answers and not at.api.sent[0].buttons)
        assert "Too late" in at.api.answers[press].text
        assert at.engine.calls == []


async def test_buttons_count_for_a_quarter_of_an_hour(tmp_path: Path) -> None:
    async def answer(_: object, line: str) -> Reply:
        at.lines.append(("", line))
        return Reply(text("look").runs, (Action("Again", "/status"),))

    async with desk(tmp_path) as at:
        at.script = answer
        at.api.say(OWNER, "/status")
        first = (await at.said(1))[0].message_id
        at.steady.now += 899
        fresh = at.api.press(OWNER, first, "Again")
        await at.api.until(lambda: fresh in at.api.answers)
        second = (await at.said(2))[1].message_id
        at.steady.now += 901
        old = at.api.press(OWNER, second, "Again")
        await at.api.until(lambda: old in at.api.answers)
        assert "too old" in at.api.answers[old].text
        assert len(at.lines) == 2


async def test_the_button_of_an_older_question_closes_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        older, newer = await asked(at), await asked(at)
        press = at.api.press(OWNER, older, "Close everything")
        await at.api.until(lambda: press in at.api.answers)
        assert "Nothing was closed" in at.api.answers[press].text
        assert at.engine.calls == []
        press = at.api.press(OWNER, newer, "Close everything")
        await at.api.until(lambda: press in at.api.answers)
        assert at.engine.calls == ["flatten by owner"]


async def test_a_yes_to_a_list_that_has_grown_meanwhile_asks_again(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        question = await asked(at)
        at.engine.held.append(position("NSE:NEWCOMER"))
        at.api.press(OWNER, question, "Close everything")
        again = (await at.said(2))[1]
        assert "The positions have changed. Look again." in again.text
        assert "NEWCOMER" in again.text
        assert at.engine.calls == []
        yes = at.api.press(OWNER, again.message_id, "Close everything")
        await at.api.until(lambda: yes in at.api.answers)
        assert at.engine.calls == ["flatten by owner"]


async def test_another_persons_press_is_refused_and_takes_nothing_from_the_owner(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        question = await asked(at, OWNER, DESK)
        foreign = at.api.press(CLERK, question, "Close everything")
        await at.api.until(lambda: foreign in at.api.answers)
        assert "another person's" in at.api.answers[foreign].text
        assert at.engine.calls == []
        assert at.api.sent[0].buttons
        assert (at.heard[-1].user, at.heard[-1].outcome) == ("clerk", "refused")
        own = at.api.press(OWNER, question, "Close everything")
        await at.api.until(lambda: own in at.api.answers)
        assert at.engine.calls == ["flatten by owner"]


@pytest.mark.parametrize("data", ["/flatten yes 00000000", "/flatten yes", "/pause", "junk", "/mode live", "f0000"])
async def test_forged_button_data_does_nothing(tmp_path: Path, data: str) -> None:
    async with desk(tmp_path) as at:
        question = await asked(at)
        press = at.api.press(OWNER, question, data, forged=True)
        await at.api.until(lambda: press in at.api.answers)
        await at.quiet()
        assert "nothing was done" in at.api.answers[press].text
        assert at.engine.calls == []
        assert [one.line for one in at.heard if one.outcome == "refused"] == [data]
        assert len(at.api.sent) == 1, "not even a question"


async def test_forged_data_takes_no_buttons_from_another_persons_question(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        question = await asked(at, OWNER, DESK)
        for data in ("/flatten yes 00000000", "/flatten no", "x"):
            forged = at.api.press(CLERK, question, data, DESK, forged=True)
            await at.api.until(lambda forged=forged: forged in at.api.answers)  # type: ignore[misc]
        await at.quiet()
        assert [len(sent.versions) for sent in at.api.sent if sent.message_id == question] == [1]


async def test_buttons_from_before_a_restart_are_old_and_a_flatten_is_asked_again(tmp_path: Path) -> None:
    async with BotApi([OWNER]) as api:
        async with desk(tmp_path, api=api) as at:
            question = await asked(at)
        async with desk(tmp_path, api=api) as at:
            press = api.press(OWNER, question, "Close everything")
            await api.until(lambda: press in api.answers and not api.sent[0].buttons)
            assert "too old" in api.answers[press].text
            again = (await at.said(2))[1]
            assert "too old" in again.text
            assert "Close 6 positions?" in again.text
            assert at.engine.calls == []
            yes = api.press(OWNER, again.message_id, "Close everything")
            await api.until(lambda: yes in api.answers)
            assert at.engine.calls == ["flatten by owner"]


async def test_a_slow_verdict_gets_a_first_word_and_the_answer_as_a_message(tmp_path: Path) -> None:
    async with desk(tmp_path, toast_s=0.01) as at:
        question = await asked(at)
        at.held["flatten"] = asyncio.Event()
        press = at.api.press(OWNER, question, "Close everything")
        await at.api.until(lambda: press in at.api.answers)
        assert "Working on it" in at.api.answers[press].text
        at.held["flatten"].set()
        assert "Flat:" in (await at.said(2))[1].text


async def test_a_refusal_whose_toast_telegram_does_not_show_any_more_comes_as_a_message(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.api.fail("answerCallbackQuery", BadRequest("query is too old and response timeout expired"))
        at.api.press(OWNER, await asked(at), "/pause", forged=True)
        said = (await at.said(2))[1]
        assert said.text.startswith(TOP)
        assert "too old" in said.text
