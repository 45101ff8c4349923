"""The Bot API on 127.0.0.1, through the real client: pictures, pins, menus by scope, replies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from telegram import Bot, BotCommandScopeChat, BotCommandScopeChatMember, InputMediaPhoto
from telegram.error import BadRequest
from telegram_room import client, keys
from venues.photos import png
from venues.telegram import BotApi


@pytest_asyncio.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi([7, -55]) as made:
        yield made


@pytest_asyncio.fixture
async def bot(api: BotApi) -> AsyncIterator[Bot]:
    async with client(api) as made:
        yield made


async def test_a_picture_comes_with_its_caption_and_buttons(api: BotApi, bot: Bot) -> None:
    drawn = png(40, 30)
    message = await bot.send_photo(
        7, drawn, "<b>Day</b> &amp; more", parse_mode="HTML", filename="day.png", reply_markup=keys("more")
    )
    sent = api.sent[0]
    assert sent.photo is not None
    assert (sent.photo.name, sent.photo.content, sent.photo.width) == ("day.png", drawn, 40)
    assert (sent.text, [button.label for button in sent.buttons]) == ("Day & more", ["more"])
    assert (message.caption, message.photo[0].height, message.text) == ("Day & more", 30, None)


async def test_a_picture_is_replaced_in_its_message_and_its_text_is_none(api: BotApi, bot: Bot) -> None:
    sent = await bot.send_photo(7, png(40, 30))
    await bot.edit_message_media(InputMediaPhoto(png(50, 30), caption="new"), 7, sent.message_id)
    assert [version.photo and version.photo.width for version in api.sent[0].versions] == [40, 50]
    assert api.sent[0].text == "new"
    with pytest.raises(BadRequest, match="no text in the message"):
        await bot.edit_message_text("words", 7, sent.message_id)


@pytest.mark.parametrize(
    ("content", "caption", "words"),
    [
        (b"GIF89a", "", "Image_process_failed"),
        (png()[:-4], "", "Image_process_failed"),
        (png(1000, 10), "", "Photo_invalid_dimensions"),
        (png(), "x" * 1025, "caption is too long"),
    ],
    ids=["no png", "cut off", "too long a strip", "long caption"],
)
async def test_what_is_no_picture_is_refused(api: BotApi, bot: Bot, content: bytes, caption: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        await bot.send_photo(7, content, caption)
    assert api.sent == []


async def test_a_message_is_pinned_seen_and_unpinned(api: BotApi, bot: Bot) -> None:
    first, second = await bot.send_message(7, "one"), await bot.send_message(7, "two")
    await bot.pin_chat_message(7, first.message_id, disable_notification=True)
    await bot.pin_chat_message(7, second.message_id)
    seen = (await bot.get_chat(7)).pinned_message
    assert seen is not None
    assert seen.message_id == second.message_id
    api.unpin(7, second.message_id)
    assert api.pinned(7) == [first.message_id]
    api.remove(7, first.message_id)
    assert (await bot.get_chat(7)).pinned_message is None
    with pytest.raises(BadRequest, match="Message to edit not found"):
        await bot.edit_message_text("three", 7, first.message_id)
    with pytest.raises(BadRequest, match="Message to pin not found"):
        await bot.pin_chat_message(7, first.message_id)


async def test_the_menu_of_the_nearest_scope_is_offered(api: BotApi, bot: Bot) -> None:
    await bot.set_my_commands([("start", "greeting")])
    await bot.set_my_commands([("status", "state")], scope=BotCommandScopeChat(7))
    await bot.set_my_commands([("pause", "stop entries")], scope=BotCommandScopeChatMember(-55, 7))
    assert (api.menu(7), api.menu(7, -55), api.menu(8, -55)) == (["status"], ["pause"], ["start"])
    await bot.delete_my_commands(scope=BotCommandScopeChat(7))
    assert api.menu(7) == ["start"]
    with pytest.raises(BadRequest, match="Chat not found"):
        await bot.set_my_commands([("status", "state")], scope=BotCommandScopeChat(12345))


async def test_a_reply_carries_the_message_it_answers(api: BotApi, bot: Bot) -> None:
    sent = await bot.send_message(7, "Filled <code>SBIN</code>", parse_mode="HTML")
    api.answer_to(7, sent.message_id, "sl 245")
    message = (await bot.get_updates())[0].message
    assert message is not None
    assert message.reply_to_message is not None
    assert message.reply_to_message.parse_entities(["code"]).popitem()[1] == "SBIN"
    assert json.loads(message.to_json())["reply_to_message"]["from"]["is_bot"] is True
