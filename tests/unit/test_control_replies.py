"""Answers that Telegram does not take at once: tried again, marked, handed to the outbox, never lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from phone_desk import CLERK, GUEST, OWNER, TOP, desk
from telegram import error

from otrade_bot.control.reply import Action, Reply, bold, code, text
from tests.venues.telegram import BadGateway, BadRequest, BotApi, Forbidden, Hang, Reset, TooMany


@pytest.mark.parametrize(
    ("fault", "repeat"),
    [(TooMany(3), False), (Reset(after=False), True), (Reset(after=True), True), (BadGateway(), True)],
)
async def test_an_answer_is_tried_again_with_its_buttons_and_marked_where_it_may_be_there(
    tmp_path: Path, fault: Any, repeat: bool
) -> None:
    async with desk(tmp_path) as at:
        at.api.fail("sendMessage", fault)
        at.api.say(OWNER, "/flatten")
        last = (await at.said(2 if getattr(fault, "after", False) and isinstance(fault, Reset) else 1))[-1]
        assert last.text.startswith("(repeat: Telegram's answer was lost)") == repeat
        assert len(last.buttons) == 2
        assert at.slept == ([3.0] if isinstance(fault, TooMany) else [0.5])
        press = at.api.press(OWNER, at.api.sent[0].message_id, "Close everything")
        await at.api.until(lambda: press in at.api.answers)
        assert at.engine.calls == ["flatten by owner"], "also the message whose id was lost has working buttons"


async def test_a_long_flood_control_is_left_to_the_outbox_at_once(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.api.fail("sendMessage", TooMany(60))
        at.api.say(OWNER, "/flatten")
        said = (await at.said(1))[0]
        assert "Close 6 positions?" in said.text
        assert said.buttons == [], "through the outbox"
        assert any("goes through the outbox" in line for line in at.logged)


async def test_an_answer_that_a_few_attempts_do_not_deliver_goes_through_the_outbox(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.api.fail("sendMessage", BadGateway(), times=3)
        at.api.say(OWNER, "/status")
        said = (await at.said(1))[0]
        assert "Status" in said.text
        assert "(repeat: Telegram's answer was lost)" in said.text
        assert at.slept[:2] == [0.5, 1.5]


async def test_markup_that_telegram_refuses_is_sent_as_plain_text_with_its_buttons(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.api.fail("sendMessage", BadRequest("can't parse entities: unsupported start tag"))
        at.api.say(OWNER, "/flatten")
        said = (await at.said(1))[0]
        assert said.entities == ()
        assert said.text.startswith(TOP)
        assert len(said.buttons) == 2


async def test_a_long_answer_comes_in_parts_with_the_buttons_on_the_last(tmp_path: Path) -> None:
    long = text(*(code(f"NSE:M&M{number} <x>\n") for number in range(600)))

    async def answer(_: object, __: str) -> Reply:
        return Reply(long.runs, (Action("Again", "/orders"), Action("Longer than data may be", "/x" * 40)))

    async with desk(tmp_path) as at:
        at.script = answer
        at.api.say(OWNER, "/orders")
        parts = await at.api.until(lambda: at.api.sent and at.api.sent[-1].buttons and at.api.sent)
        assert len(parts) > 2
        assert [len(part.buttons) for part in parts] == [0] * (len(parts) - 1) + [2]
        for number in range(600):
            assert sum(f"NSE:M&M{number} <x>" in part.text for part in parts) == 1


async def test_a_later_part_that_fails_repeats_no_earlier_one(tmp_path: Path) -> None:
    async def answer(_: object, __: str) -> Reply:
        return text("\n".join(f"line {number:04}" for number in range(1600)))

    async with desk(tmp_path) as at:
        at.script = answer
        hang = Hang()
        at.api.fail("sendMessage", hang)
        at.api.say(OWNER, "/orders")
        await at.api.until(lambda: hang.holding)
        at.api.fail("sendMessage", Forbidden())
        hang.release()
        await at.api.until(lambda: any("line 1599" in sent.text for sent in at.api.sent))
        everything = "\n".join(sent.text for sent in at.api.sent)
        assert all(everything.count(f"line {number:04}") == 1 for number in range(1600))


async def test_a_chat_that_hangs_holds_up_no_other_one_and_not_the_listening(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        hang = Hang()
        at.api.fail("sendMessage", hang, times=None, chat_id=CLERK)
        for _ in range(10):
            at.api.say(CLERK, "/orders")
        at.outbox.put(bold("news"), [CLERK])
        await at.api.until(lambda: hang.holding == 11)
        for number in range(1, 4):
            at.api.say(OWNER, "/status")
            await at.said(number)
        at.api.say(CLERK, "/pause")
        await at.api.until(lambda: at.engine.calls)
        hang.release()
        await at.said(12, CLERK)


async def test_send_gives_the_outbox_one_attempt_and_the_error_as_it_is(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.phone.send(GUEST, bold("a & b"), silent=True)
        assert at.api.sent[0].html == "<b>a &amp; b</b>"
        assert at.api.sent[0].silent
        kinds = {error.Forbidden: Forbidden(), error.RetryAfter: TooMany(9), error.NetworkError: Reset()}
        for kind, fault in kinds.items():
            at.api.fail("sendMessage", fault)
            with pytest.raises(kind):
                await at.phone.send(GUEST, text("x"), silent=False)
        assert len(at.api.sent) == 1


async def test_a_secret_in_an_answer_does_not_reach_the_chat(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:

        async def answer(_: object, __: str) -> Reply:
            return text(f"request to {at.api.base_url}{at.api.token}/getMe failed, also {at.api.token.split(':')[1]}")

        at.script = answer
        at.api.say(OWNER, "/status")
        assert at.api.token.split(":")[1] not in (await at.said(1))[0].text


async def test_an_end_in_the_middle_of_an_answer_leaves_it_in_the_outbox(tmp_path: Path) -> None:
    async with BotApi([OWNER]) as api:
        hang = Hang()
        api.fail("sendMessage", hang, times=None)
        async with desk(tmp_path, api=api, grace_s=0.05) as at:
            api.say(OWNER, "/status")
            await api.until(lambda: hang.holding)
        assert at.outbox.waiting == 1
        api.heal()
        async with desk(tmp_path, api=api) as at:
            await api.until(lambda: any("Status" in sent.text and "repeat" in sent.text for sent in api.sent))
