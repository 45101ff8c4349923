"""The Bot API on 127.0.0.1, asked by the real telegram.Bot: what people say and press, and what bots write."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from telegram import Bot, BotCommand, InlineKeyboardButton, InlineKeyboardMarkup, ReplyParameters
from telegram.error import BadRequest, Conflict
from telegram_room import client, keys, texts
from venues import telegram as venue
from venues.chat import HELP, Screen, obey
from venues.markup import units
from venues.telegram import BotApi

ROOT = Path(__file__).resolve().parents[2]
BUTTONS = ["message", "callback_query"]


@pytest.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi(chats=[7, 8]) as api:
        yield api


@pytest.fixture
async def bot(api: BotApi) -> AsyncIterator[Bot]:
    async with client(api) as bot:
        yield bot


# --- what people say --------------------------------------------------------------------------------


async def test_a_bot_learns_who_it_is(bot: Bot) -> None:
    assert (bot.bot.is_bot, bot.bot.username) == (True, "otrade_loopback_bot")


async def test_what_somebody_says_arrives_with_its_command_marked(api: BotApi, bot: Bot) -> None:
    update_id = api.say(7, "/status now", name="Ravi")
    (update,) = await bot.get_updates()
    message = update.message
    assert message is not None
    assert message.from_user is not None
    assert (update.update_id, message.text, message.chat.type) == (update_id, "/status now", "private")
    assert (message.from_user.id, message.from_user.first_name, message.from_user.is_bot) == (7, "Ravi", False)
    assert [message.parse_entity(entity) for entity in message.entities] == ["/status"]


async def test_a_message_may_be_late(api: BotApi, bot: Bot) -> None:
    api.say(7, "/flatten", date=1_622_519_100)
    (update,) = await bot.get_updates()
    assert update.message is not None
    assert update.message.date.timestamp() == 1_622_519_100


async def test_a_group_has_its_own_id_and_every_speaker_his(api: BotApi, bot: Bot) -> None:
    api.say(7, "/pause", chat_id=-55)
    api.say(9, "/resume", chat_id=-100_123_456_789_0)
    first, second = (update.message for update in await bot.get_updates())
    assert first is not None
    assert second is not None
    assert (first.chat.id, first.chat.type, second.chat.type) == (-55, "group", "supergroup")
    assert [m.from_user.id for m in (first, second) if m.from_user] == [7, 9]
    assert (await bot.send_message(-55, "heard")).chat.title == "Desk"


async def test_only_an_offset_confirms(api: BotApi, bot: Bot) -> None:
    first = api.say(7, "one")
    api.say(7, "two")
    assert texts(await bot.get_updates()) == texts(await bot.get_updates()) == ["one", "two"]
    assert texts(await bot.get_updates(limit=1)) == ["one"]
    assert texts(await bot.get_updates(offset=first + 1)) == ["two"]
    assert texts(await bot.get_updates()) == ["two"]


async def test_a_negative_offset_keeps_the_newest_only(api: BotApi, bot: Bot) -> None:
    for text in ("one", "two", "three"):
        api.say(7, text)
    assert texts(await bot.get_updates(offset=-2)) == ["two", "three"]
    assert len(api.waiting) == 2


async def test_an_offset_from_nowhere_confirms_nothing(api: BotApi, bot: Bot) -> None:
    update_id = api.say(7, "one")
    assert texts(await bot.get_updates(offset=update_id + 1000)) == ["one"]


async def test_kinds_that_were_not_asked_for_are_dropped_from_then_on(api: BotApi, bot: Bot) -> None:
    api.say(7, "before", kind="edited_message", extra={"edit_date": 1_700_000_000})
    assert len(await bot.get_updates(allowed_updates=BUTTONS)) == 1
    assert api.say(7, "after", kind="edited_message", extra={"edit_date": 1_700_000_000}) == 0
    await bot.get_updates()  # says nothing about kinds: the setting stays
    assert api.say(7, "after", kind="edited_message", extra={"edit_date": 1_700_000_000}) == 0
    await bot.get_updates(allowed_updates=[])
    assert api.say(7, "again", kind="edited_message", extra={"edit_date": 1_700_000_000}) > 0


async def test_a_long_poll_answers_as_soon_as_something_is_said(api: BotApi, bot: Bot) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=50))
    await api.until(lambda: api.polling)
    api.say(7, "/status")
    assert texts(await asyncio.wait_for(poll, 10)) == ["/status"]
    assert not api.polling


async def test_a_long_poll_ends_empty(bot: Bot) -> None:
    assert await bot.get_updates(timeout=1) == ()


async def test_the_older_of_two_pollers_is_thrown_out(api: BotApi, bot: Bot) -> None:
    older = asyncio.create_task(bot.get_updates(timeout=50))
    await api.until(lambda: api.polling)
    async with client(api) as other:
        newer = asyncio.create_task(other.get_updates(timeout=50))
        with pytest.raises(Conflict, match="terminated by other getUpdates request"):
            await older
        await api.until(lambda: api.polling)
        api.say(7, "hello")
        assert texts(await newer) == ["hello"]


async def test_a_client_that_dies_while_polling_costs_nothing(api: BotApi, bot: Bot) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=50))
    await api.until(lambda: api.polling)
    poll.cancel()
    await api.until(lambda: not api.polling)
    assert api.calls[-1].outcome == "gone"
    api.say(7, "/flatten")
    async with client(api) as reborn:
        assert texts(await reborn.get_updates(timeout=50)) == ["/flatten"]


async def test_a_webhook_ends_polling_until_it_is_deleted(api: BotApi, bot: Bot) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=50))
    await api.until(lambda: api.polling)
    api.set_webhook("https://example.org/hook")
    with pytest.raises(Conflict, match="terminated by setWebhook"):
        await poll
    with pytest.raises(Conflict, match="while webhook is active"):
        await bot.get_updates()
    api.say(7, "kept")
    await bot.delete_webhook()
    assert texts(await bot.get_updates()) == ["kept"]
    await bot.delete_webhook(drop_pending_updates=True)
    assert await bot.get_updates() == ()


# --- what bots write --------------------------------------------------------------------------------


async def test_a_message_is_kept_as_people_read_it(api: BotApi, bot: Bot) -> None:
    message = await bot.send_message(
        7, "<b>P&amp;L</b> ₹500 ", parse_mode="HTML", reply_markup=keys("yes", "no"), disable_notification=True
    )
    (sent,) = api.sent
    assert (sent.text, sent.html, sent.silent) == ("P&L ₹500", "<b>P&amp;L</b> ₹500 ", True)
    assert [button.data for button in sent.buttons] == ["/yes", "/no"]
    assert (message.message_id, message.text_html) == (sent.message_id, "<b>P&amp;L</b> ₹500")
    assert message.reply_markup == keys("yes", "no")
    assert api.to(7) == [sent]
    assert api.to(8) == []


async def test_a_message_becomes_what_it_is_edited_to(api: BotApi, bot: Bot) -> None:
    message = await bot.send_message(7, "one", reply_markup=keys("go"))
    await bot.edit_message_text("two", 7, message.message_id, reply_markup=keys("go"))
    changed = await bot.edit_message_reply_markup(7, message.message_id)
    (sent,) = api.sent
    assert (sent.text, sent.buttons) == ("two", [])
    assert [(v.text, len(v.rows)) for v in sent.edits] == [("two", 1), ("two", 0)]
    assert not isinstance(changed, bool)
    assert changed.edit_date is not None
    assert changed.reply_markup is None


async def test_a_reply_names_what_it_answers(api: BotApi, bot: Bot) -> None:
    api.say(7, "/status")
    (update,) = await bot.get_updates()
    assert update.message is not None
    await bot.send_message(7, "fine", reply_parameters=ReplyParameters(update.message.message_id))
    assert api.sent[0].reply_to == update.message.message_id
    with pytest.raises(BadRequest, match="Message to be replied not found"):
        await bot.send_message(7, "fine", reply_parameters=ReplyParameters(99))


Ask = Callable[[Bot], Any]
REFUSED: dict[str, tuple[Ask, str]] = {
    "no text": (lambda bot: bot.send_message(7, ""), "Message text is empty"),
    "white space": (lambda bot: bot.send_message(7, "<b> </b>\n", parse_mode="HTML"), "Text must be non-empty"),
    "a character too many": (lambda bot: bot.send_message(7, "x" * 4097), "Message is too long"),
    "a surrogate too many": (lambda bot: bot.send_message(7, "x" * 4095 + "😀"), "Message is too long"),
    "a stranger": (lambda bot: bot.send_message(99, "x"), "Chat not found"),
    "another dialect": (lambda bot: bot.send_message(7, "x", parse_mode="Markdown"), "Unsupported parse_mode"),
    "broken HTML": (
        lambda bot: bot.send_message(7, "<b>x", parse_mode="HTML"),
        "Can't parse entities: can't find end tag corresponding to start tag \"b\"",
    ),
    "data of 65 bytes": (
        lambda bot: bot.send_message(7, "x", reply_markup=keys("₹" * 21 + "x")),
        "Button_data_invalid",
    ),
    "a button without use": (
        lambda bot: bot.send_message(7, "x", reply_markup=InlineKeyboardMarkup([[InlineKeyboardButton("x")]])),
        "Text buttons are unallowed in the inline keyboard",
    ),
    "an edit of nothing": (lambda bot: bot.edit_message_text("x", 7, 99), "Message to edit not found"),
    "a query of nobody": (lambda bot: bot.answer_callback_query("12"), "Query is too old and response timeout"),
    "a command in capitals": (lambda bot: bot.set_my_commands([("Status", "x")]), "Bot_command_invalid"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_telegram_does_not_take_is_refused_in_its_words(api: BotApi, bot: Bot, case: str) -> None:
    ask, words = REFUSED[case]
    with pytest.raises(BadRequest) as told:
        await ask(bot)
    assert str(told.value).lower().startswith(words.lower())
    assert api.sent == []
    assert api.calls[-1].outcome.startswith("400 Bad Request: ")


async def test_the_longest_that_telegram_takes(api: BotApi, bot: Bot) -> None:
    await bot.send_message(7, "<i>" + "&lt;" * 4094 + "😀</i>", parse_mode="HTML", reply_markup=keys("₹" * 21))
    assert units(api.sent[0].text) == 4096
    assert [len(button.data.encode()) for button in api.sent[0].buttons if button.data] == [64]


async def test_nothing_is_edited_into_itself_nor_what_others_wrote(api: BotApi, bot: Bot) -> None:
    message = await bot.send_message(7, "same", reply_markup=keys("go"))
    with pytest.raises(BadRequest, match="Message is not modified"):
        await bot.edit_message_text("same ", 7, message.message_id, reply_markup=keys("go"))
    api.say(7, "mine")
    (update,) = await bot.get_updates()
    assert update.message is not None
    with pytest.raises(BadRequest, match="Message can't be edited"):
        await bot.edit_message_text("yours", 7, update.message.message_id)


async def test_the_menu_of_commands_is_kept(api: BotApi, bot: Bot) -> None:
    await bot.set_my_commands([BotCommand("status", "what is going on")])
    assert api.commands == [{"command": "status", "description": "what is going on"}]


# --- buttons ----------------------------------------------------------------------------------------


async def test_a_press_reaches_the_bot_and_its_answer_the_person(api: BotApi, bot: Bot) -> None:
    message = await bot.send_message(7, "sure?", reply_markup=keys("yes", "no"))
    query_id = api.press(7, message.message_id, "yes")
    (update,) = await bot.get_updates(allowed_updates=BUTTONS)
    query = update.callback_query
    assert query is not None
    assert query.message is not None
    assert (query.id, query.data, query.from_user.id) == (query_id, "/yes", 7)
    assert (query.message.message_id, query.message.chat.id) == (message.message_id, 7)
    await bot.answer_callback_query(query_id, "done", show_alert=True)
    assert api.answers == {query_id: venue.CallbackAnswer("done", show_alert=True)}
    with pytest.raises(BadRequest, match="Query is too old"):
        await bot.answer_callback_query(query_id)


async def test_a_button_that_has_gone_can_be_pressed_and_any_data_forged(api: BotApi, bot: Bot) -> None:
    message = await bot.send_message(7, "sure?", reply_markup=keys("yes"))
    await bot.edit_message_reply_markup(7, message.message_id)
    api.press(7, message.message_id, "/yes")
    api.press(66, message.message_id, "/flatten", forged=True)
    queries = [update.callback_query for update in await bot.get_updates()]
    assert [(q.from_user.id, q.data) for q in queries if q] == [(7, "/yes"), (66, "/flatten")]


async def test_a_test_cannot_press_what_was_never_there(api: BotApi, bot: Bot) -> None:
    message = await bot.send_message(7, "sure?", reply_markup=keys("yes"))
    with pytest.raises(LookupError, match="no button 'maybe'"):
        api.press(7, message.message_id, "maybe")
    with pytest.raises(LookupError, match="no message 99"):
        api.press(7, 99, "yes")
    assert api.waiting == []


# --- by hand ----------------------------------------------------------------------------------------


async def test_the_bot_can_be_tried_by_typing(api: BotApi, bot: Bot) -> None:
    screen = Screen(api)
    assert [obey(api, line) for line in ("7: /status", "7@-55: /pause", "")] == ["", "", ""]
    assert texts(await bot.get_updates()) == ["/status", "/pause"]
    sent = await bot.send_message(7, "<b>Close</b>\nall?", parse_mode="HTML", reply_markup=keys("yes", "no"))
    assert screen.news() == [f"{sent.message_id} to 7: Close\n    all?\n    [yes]  [no]"]
    assert obey(api, f"7 presses {sent.message_id} yes") == ""
    assert obey(api, f"7 presses {sent.message_id} maybe").startswith("no button 'maybe'")
    await bot.edit_message_reply_markup(7, sent.message_id)
    query = (await bot.get_updates())[-1].callback_query
    assert query is not None
    await bot.answer_callback_query(query.id, "done")
    assert screen.news() == [f"{sent.message_id} edited to 7: Close\n    all?", "(toast) done"]
    assert screen.news() == []
    assert obey(api, "hello") == HELP


def test_the_terminal_form_says_where_it_is_and_ends_with_its_input() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.venues.telegram"], input="down\nup\n", capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"OTRADE_TELEGRAM_BASE_URL=http://127\.0\.0\.1:\d+/bot$", done.stdout, re.MULTILINE)
    assert done.stdout.endswith("Telegram is down\nTelegram is up\n")
