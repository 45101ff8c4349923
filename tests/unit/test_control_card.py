"""The pinned card: one message a private chat, edited silently, only when something has changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from control_fakes import NOON, FakeEngine, context, position
from phone_desk import CLERK, DESK, GUEST, OWNER, STRANGER, Desk, desk
from shelves import Shelf

from otrade_bot.control.auth import Role
from otrade_bot.control.commands import answer
from otrade_bot.control.phone.card import KEY, Cards
from otrade_bot.control.phone.gate import Caller
from otrade_bot.control.reply import Reply
from otrade_bot.control.views_card import card, ended
from otrade_bot.core.clock import MINUTE, SECOND
from otrade_bot.core.lang import speaking
from tests.venues.telegram import BotApi, Forbidden, Hang, Reset, TooMany


@asynccontextmanager
async def pinned(folder: Path, **options: Any) -> AsyncIterator[tuple[Desk, Cards]]:
    """A desk whose cards are brought up to date by ``look``."""
    shelf = options.pop("shelf", None) or Shelf()
    async with desk(folder, shelf=shelf, **options) as at:

        def show(caller: Caller) -> Reply:
            return card(at.engine.state, at.engine.held, caller.role, NOON)

        yield at, Cards(
            at.phone.bot, at.phone.offers, shelf, lambda: at.gate.callers, show, log=at.logged.append,
            every_s=2.0, steady=at.steady,
        )  # fmt: skip


def labels(at: Desk, chat: int) -> list[str]:
    return [one.label for one in at.api.to(chat)[0].buttons]


async def test_each_private_chat_has_one_silent_pinned_card_with_the_buttons_of_the_role(tmp_path: Path) -> None:
    async with pinned(tmp_path) as (at, cards):
        await cards.look()
        for chat in (OWNER, CLERK, GUEST):
            assert len(at.api.to(chat)) == 1
            assert at.api.to(chat)[0].silent
            assert at.api.pinned(chat) == [at.api.to(chat)[0].message_id]
        assert at.api.to(DESK) == at.api.to(STRANGER) == []
        assert [labels(at, chat) for chat in (OWNER, GUEST)] == [["Pause", "Refresh", "Flatten"], ["Refresh"]]
        assert all(call.params["disable_notification"] == "true" for call in at.api.called("pinChatMessage"))


async def test_it_is_edited_when_something_has_changed_and_not_otherwise(tmp_path: Path) -> None:
    async with pinned(tmp_path) as (at, cards):
        for _ in range(3):
            await cards.look()
        assert at.api.called("editMessageText") == []
        at.engine.state = replace(at.engine.state, paused=True)
        await cards.look()
        assert len(at.api.to(OWNER)) == 1
        assert "entries PAUSED" in at.api.to(OWNER)[0].text
        assert labels(at, OWNER) == ["Resume", "Refresh", "Flatten"]


async def test_its_buttons_work_and_refresh_stays_in_place(tmp_path: Path) -> None:
    async with pinned(tmp_path) as (at, cards):
        await cards.look()
        shown = at.api.to(OWNER)[0].message_id
        press = at.api.press(OWNER, shown, "Pause")
        await at.api.until(lambda: press in at.api.answers)
        assert at.engine.calls == ["pause by owner"]
        await cards.look()
        assert labels(at, OWNER) == ["Resume", "Refresh", "Flatten"]
        press = at.api.press(OWNER, shown, "Refresh")
        await at.api.until(lambda: press in at.api.answers)
        assert at.api.answers[press].text == ""
        assert len(at.api.to(OWNER)) == 2, "the card and the answer to Pause"


async def test_it_survives_a_restart_in_the_same_message(tmp_path: Path) -> None:
    shelf = Shelf()
    async with BotApi([OWNER, CLERK, GUEST]) as api:
        async with pinned(tmp_path, api=api, shelf=shelf) as (at, cards):
            await cards.look()
            shown = api.to(OWNER)[0].message_id
        assert shelf.kept[KEY][str(OWNER)] == shown
        async with pinned(tmp_path, api=api, shelf=shelf) as (at, cards):
            at.engine.state = replace(at.engine.state, paused=True)
            await cards.look()
            assert len(api.to(OWNER)) == 1
            assert "PAUSED" in api.to(OWNER)[0].text
            await api.until(lambda: at.phone.state.word == "polling")
            press = api.press(OWNER, shown, "Resume")
            await api.until(lambda: press in api.answers)
            assert at.engine.calls == ["resume by owner"]


async def test_a_card_that_was_deleted_or_unpinned_is_made_anew(tmp_path: Path) -> None:
    async with pinned(tmp_path) as (at, cards):
        await cards.look()
        first = at.api.to(OWNER)[0].message_id
        at.api.remove(OWNER, first)
        at.engine.state = replace(at.engine.state, paused=True)
        await cards.look()
        second = at.api.to(OWNER)[1].message_id
        assert at.api.pinned(OWNER) == [second]
        at.api.unpin(OWNER, second)
        at.steady.now += 59
        await cards.look()
        assert len(at.api.to(OWNER)) == 2, "it is not asked all the time"
        at.steady.now += 2
        await cards.look()
        assert at.api.pinned(OWNER) == [at.api.to(OWNER)[2].message_id]


async def test_what_a_person_pins_above_it_stays_above_it(tmp_path: Path) -> None:
    async with pinned(tmp_path) as (at, cards):
        await cards.look()
        await at.phone.bot.send_message(OWNER, "note")
        await at.phone.bot.pin_chat_message(OWNER, at.api.to(OWNER)[1].message_id)
        at.steady.now += 61
        await cards.look()
        assert len(at.api.to(OWNER)) == 2


async def test_a_chat_that_is_closed_or_hangs_or_throttles_costs_no_other_one(tmp_path: Path) -> None:
    async with pinned(tmp_path) as (at, cards):
        at.api.fail("sendMessage", Forbidden("bot was blocked by the user"), None, chat_id=CLERK)
        at.api.fail("sendMessage", TooMany(7), chat_id=GUEST)
        await cards.look()
        assert len(at.api.to(OWNER)) == 1
        assert [at.api.to(chat) for chat in (CLERK, GUEST)] == [[], []]
        at.steady.now += 6.9
        await cards.look()
        assert at.api.to(GUEST) == []
        at.steady.now += 0.2
        await cards.look()
        assert len(at.api.to(GUEST)) == 1
        assert len([call for call in at.api.called("sendMessage") if call.chat_id == CLERK]) == 1
        assert sum(f"card of chat {CLERK}" in line for line in at.logged) == 1
        hang = Hang()
        at.api.fail("editMessageText", hang, None, chat_id=GUEST)
        at.engine.state = replace(at.engine.state, paused=True)
        await cards.look()
        assert "PAUSED" in at.api.to(OWNER)[0].text
        hang.release()


async def test_who_is_not_heard_any_more_keeps_no_card(tmp_path: Path) -> None:
    async with pinned(tmp_path) as (at, cards):
        await cards.look()
        at.gate.reload([])
        await cards.look()
        await at.api.until(lambda: not at.api.pinned(GUEST))
        with pytest.raises(Exception, match="not found"):
            await at.phone.bot.edit_message_text("x", GUEST, at.api.to(GUEST)[0].message_id)


async def test_where_cards_are_not_wanted_any_more_those_of_before_go(tmp_path: Path) -> None:
    shelf = Shelf()
    async with pinned(tmp_path, shelf=shelf) as (at, cards):
        await cards.look()
        without = Cards(at.phone.bot, at.phone.offers, shelf, tuple, lambda caller: None)
        await without.look()
        assert [at.api.pinned(chat) for chat in (OWNER, CLERK, GUEST)] == [[], [], []]
        assert shelf.kept[KEY] == {}
        asked = len(at.api.calls)
        await without.look()
        assert [call for call in at.api.calls[asked:] if call.method != "getUpdates"] == []


async def test_at_the_end_it_says_that_nobody_watches_any_more(tmp_path: Path) -> None:
    async with pinned(tmp_path) as (at, cards):
        await cards.look()
        await cards.end(lambda caller: ended("the day is over", NOON), 2.0)
        assert "Stopped at 12:00:00" in at.api.to(OWNER)[0].text
        assert at.api.to(OWNER)[0].buttons == []
        await cards.look()
        assert "Stopped" in at.api.to(OWNER)[0].text


async def test_a_lost_answer_to_an_edit_is_not_taken_for_a_card_that_is_gone(tmp_path: Path) -> None:
    async with pinned(tmp_path) as (at, cards):
        await cards.look()
        at.api.fail("editMessageText", Reset(after=True), chat_id=OWNER)
        at.engine.state = replace(at.engine.state, paused=True)
        await cards.look()
        at.steady.now += 31
        await cards.look()
        assert len(at.api.to(OWNER)) == 1


# What it says.


def said(engine: FakeEngine, role: Role = Role.ADMIN, now: int = NOON) -> str:
    return card(engine.state, engine.held, role, now).to_plain()


def test_a_second_and_a_paisa_change_nothing_on_it() -> None:
    engine = FakeEngine(6)
    first = said(engine)
    engine.state = replace(engine.state, feed_age_ns=3 * SECOND, realised=engine.state.realised + 1)
    assert said(engine, now=NOON + 59 * SECOND) == first
    assert said(engine, now=NOON + 61 * SECOND) != first


def test_what_is_dangerous_is_said() -> None:
    engine = FakeEngine(3)
    engine.held = [position(stop_resting=False), position("NSE:SBIN")]
    engine.state = replace(
        engine.state, phase="open", feed_age_ns=3 * MINUTE, halted=True, loss_limit=100_00, unread=""
    )
    shown = said(engine)
    assert "1 WITHOUT a resting stop" in shown
    assert "NO PRICES for 3 min" in shown
    assert "loss limit REACHED" in shown
    engine.state = replace(engine.state, unread="no token")
    assert "NOT KNOWN: no token" in said(engine)
    assert "SBIN" not in said(engine)


def test_of_a_closed_market_it_says_no_prices_and_a_time_that_is_true() -> None:
    engine = FakeEngine()
    for phase in ("closed", "holiday"):
        engine.state = replace(engine.state, phase=phase, feed_age_ns=35 * 60 * MINUTE)
        shown = said(engine, now=NOON + 6 * MINUTE)
        assert "rices" not in shown
        assert "Alive at 12:00-12:15" in shown
        assert said(engine, now=NOON + 14 * MINUTE) == shown


def test_many_positions_are_counted_and_it_stays_one_screen() -> None:
    engine = FakeEngine(90)
    shown = said(engine)
    assert "and 22 more" in shown
    assert len(shown) < 900


async def test_it_is_a_command_too_and_speaks_the_readers_language() -> None:
    shown = await answer(context(FakeEngine(3), Role.VIEWER, session="telegram:7:7"), "/card")
    assert "Alive at 12:00" in shown.to_plain()
    assert [one.line for one in shown.actions] == ["/card"]
    with speaking("hi"):
        assert card(FakeEngine(3).state, [], Role.ADMIN, NOON).actions
