"""A question under an entry, on the phone: whose press counts, and what everybody else is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from phone_desk import CLERK, DESK, GUEST, OWNER, USERS, Desk, desk
from test_control_signals import ASKED, signal

from otrade_bot.config.models import Notifications, User
from otrade_bot.control.handlers import COMMANDS
from otrade_bot.control.news.pushes import Pushes
from tests.venues.telegram import Sent

PEOPLE = (*USERS, User(user_id=GUEST, chat_id=DESK, role="viewer", name="guest"))


def phone(folder: Path) -> object:
    return desk(folder, users=PEOPLE, may=lambda caller, line: COMMANDS.may(caller.role, line))


async def asked(made: Desk, chat_id: int = DESK) -> Sent:
    """The question, as the service pushes it to everybody."""
    made.engine.asked = [replace(ASKED, symbol=made.engine.followed[0].symbol)]
    pushes = Pushes(made.outbox, PEOPLE, Notifications(), lambda: "PAPER")
    pushes.on_event(signal(ref="ab12cd", seconds=20, unanswered="skip"))
    said = await made.said(1, chat_id)
    return said[0]


async def toast(made: Desk, query: str) -> str:
    answer = await made.api.until(lambda: made.api.answers.get(query))
    return answer.text or ""


async def test_a_viewers_press_is_refused_and_takes_the_buttons_from_nobody(tmp_path: Path) -> None:
    async with phone(tmp_path) as made:  # type: ignore[attr-defined]
        question = await asked(made)
        assert [button.label for button in question.buttons] == ["Approve", "Skip"]
        refused = made.api.press(GUEST, question.message_id, "Approve", DESK)
        assert "needs the role operator" in await toast(made, refused)
        assert made.engine.calls == []
        taken = made.api.press(CLERK, question.message_id, "Approve", DESK)
        assert "is sent" in await toast(made, taken)
        assert made.engine.calls == ["approve ab12cd by clerk"]
        assert [one.outcome for one in made.heard] == ["denied", "allowed"]


async def test_two_people_press_at_once_and_one_of_them_enters(tmp_path: Path) -> None:
    async with phone(tmp_path) as made:  # type: ignore[attr-defined]
        question = await asked(made)
        own = (await made.said(1, OWNER))[0]
        presses = [
            made.api.press(CLERK, question.message_id, "Approve", DESK),
            made.api.press(OWNER, question.message_id, "Approve", DESK),
            made.api.press(OWNER, own.message_id, "Skip", OWNER),
        ]
        said = [await toast(made, press) for press in presses]
        assert "is sent" in said[0]
        assert "Answered already" in said[1]
        assert "this question is over" in said[2]
        assert made.engine.calls[0] == "approve ab12cd by clerk"
        assert not any(call.startswith("approve") for call in made.engine.calls[1:])


async def test_buttons_count_as_long_as_the_answer_and_no_longer(tmp_path: Path) -> None:
    async with phone(tmp_path) as made:  # type: ignore[attr-defined]
        question = await asked(made)
        made.steady.now += 21
        late = made.api.press(CLERK, question.message_id, "Approve", DESK)
        assert "nothing was done" in (await toast(made, late)).lower()
        assert made.engine.calls == []
