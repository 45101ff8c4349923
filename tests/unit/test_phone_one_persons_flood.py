"""One person's flood: it costs nobody else a connection, and the machine next to nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from phone_desk import GUEST, OWNER, STRANGER, desk

from otrade_bot.control.phone.presses import MOST_SMALL
from tests.venues.telegram import Hang

ORIGIN = {
    "forward_origin": {
        "type": "user", "date": int(time.time()), "sender_user": {"id": STRANGER, "is_bot": False, "first_name": "A"},
    }
}  # fmt: skip


@pytest.mark.parametrize("forged", [True, False])
async def test_presses_that_hang_hold_up_nobody_elses_question(tmp_path: Path, forged: bool) -> None:
    """200 of a viewer at once: made up ones, or the card's own Refresh."""
    async with desk(tmp_path) as at:
        at.api.say(GUEST, "/card")
        card = (await at.said(1, GUEST))[0]
        hang = Hang()
        for method in ("answerCallbackQuery", "editMessageText", "editMessageReplyMarkup"):
            at.api.fail(method, hang, None)
        for _ in range(200):
            at.api.press(GUEST, card.message_id, "made up" if forged else "Refresh", forged=forged)
        at.api.say(OWNER, "/flatten")
        assert (await at.said(1, OWNER))[0].buttons
        at.api.heal()
        hang.release()


async def test_codes_that_cannot_be_removed_hold_up_nobody_elses_question(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        hang = Hang()
        at.api.fail("deleteMessage", hang, None)
        for _ in range(200):
            at.api.say(GUEST, "123456")
        at.api.say(OWNER, "/flatten")
        assert (await at.said(1, OWNER))[0].buttons
        at.api.heal()
        hang.release()


async def test_the_buttons_of_who_has_pressed_too_often_work_again_in_a_moment(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.api.say(GUEST, "/card")
        card = (await at.said(1, GUEST))[0].message_id
        hang = Hang()
        at.api.fail("answerCallbackQuery", hang, None)
        for _ in range(30):
            at.api.press(GUEST, card, "made up", forged=True)
        await at.api.until(lambda: hang.holding == MOST_SMALL)
        await at.quiet()
        at.api.heal()
        hang.release()
        await at.api.until(lambda: len(at.api.answers) == MOST_SMALL)
        last = at.api.press(GUEST, card, "made up", forged=True)
        await at.api.until(lambda: last in at.api.answers)
        assert "nothing was done" in at.api.answers[last].text


@pytest.mark.parametrize("kind", ["press", "forwarded", "late"])
async def test_what_is_no_command_is_told_and_kept_sixty_times_a_minute_at_most(tmp_path: Path, kind: str) -> None:
    async with desk(tmp_path) as at:
        at.api.say(GUEST, "/status")
        shown = (await at.said(1, GUEST))[0].message_id
        before = len(at.heard)
        more: dict[str, Any] = {"forwarded": {"extra": ORIGIN}, "late": {"date": time.time() - 1000}}.get(kind, {})
        for _ in range(100):
            if kind == "press":
                at.api.press(GUEST, shown, "made up", forged=True)
            else:
                at.api.say(GUEST, "/status", **more)
        await at.quiet()
        assert len(at.heard) - before == 60
        at.api.say(GUEST, "/status")
        await at.api.until(lambda: len(at.heard) - before == 61)
        assert at.heard[-1].outcome == "allowed"
        at.steady.now += 60
        at.api.press(GUEST, shown, "made up", forged=True)
        await at.api.until(lambda: at.heard[-1].outcome == "refused")
