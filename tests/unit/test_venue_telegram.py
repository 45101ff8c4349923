"""The Bot API on 127.0.0.1, asked by the real telegram.Bot: what works, and that what fails does so as in life."""

from __future__ import annotations

import asyncio
import html
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram import Bot, BotCommand, InlineKeyboardButton, InlineKeyboardMarkup, ReplyParameters, Update
from telegram.error import (
    BadRequest,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
    TimedOut,
)
from venues import telegram as venue
from venues.markup import MarkupError, cut, parse_html, units
from venues.schema import API, Schema, published
from venues.telegram import BotApi

BUTTONS = ["message", "callback_query"]
needs_schema = pytest.mark.skipif(not API.is_file(), reason="the published Bot API is not here")


@pytest.fixture(autouse=True)
def _time_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "1")  # else RetryAfter comes with a deprecation warning


@pytest.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi(chats=[7, 8]) as api:
        yield api


def client(api: BotApi, token: str | None = None) -> Bot:
    return Bot(token or api.token, base_url=api.base_url, base_file_url=api.base_file_url)


@pytest.fixture
async def bot(api: BotApi) -> AsyncIterator[Bot]:
    async with client(api) as bot:
        yield bot


def keys(*labels: str) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([[InlineKeyboardButton(label, callback_data=f"/{label}") for label in labels]])


def texts(updates: tuple[Update, ...]) -> list[str]:
    return [update.message.text or "" for update in updates if update.message]


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


# --- what goes wrong --------------------------------------------------------------------------------

FAULTS: dict[str, tuple[Callable[[], venue.Fault], type[TelegramError], str, bool]] = {
    "429": (lambda: venue.TooMany(3), RetryAfter, "Flood control exceeded", False),
    "502": (venue.BadGateway, NetworkError, r"Bad Gateway \(502\)", False),
    "502, done": (lambda: venue.BadGateway(after=True), NetworkError, r"Bad Gateway \(502\)", True),
    "reset": (venue.Reset, NetworkError, "httpx.ReadError", False),
    "reset, done": (lambda: venue.Reset(after=True), NetworkError, "httpx.ReadError", True),
    "closed": (venue.Closed, NetworkError, "Server disconnected", False),
    "closed, done": (lambda: venue.Closed(after=True), NetworkError, "Server disconnected", True),
    "401": (venue.Unauthorized, InvalidToken, "Unauthorized", False),
    "404": (venue.NotFound, InvalidToken, "Not Found", False),
    "409": (venue.Conflict, Conflict, "terminated by other getUpdates", False),
    "403": (venue.Forbidden, Forbidden, "bot was blocked by the user", False),
    "400": (lambda: venue.BadRequest("can't parse entities"), BadRequest, "Can't parse entities", False),
}


@pytest.mark.parametrize("case", FAULTS)
async def test_a_fault_shows_as_the_error_of_a_real_outage_and_once_only(api: BotApi, bot: Bot, case: str) -> None:
    fault, error, words, done = FAULTS[case]
    api.fail("sendMessage", fault())
    with pytest.raises(TelegramError, match=words) as told:
        await bot.send_message(7, "first")
    assert type(told.value) is error
    await bot.send_message(7, "second")
    assert [sent.text for sent in api.sent] == (["first", "second"] if done else ["second"])
    assert api.calls[-1].outcome == "ok"


async def test_flood_control_says_how_long(api: BotApi, bot: Bot) -> None:
    api.fail("sendMessage", venue.TooMany(17))
    with pytest.raises(RetryAfter) as told:
        await bot.send_message(7, "x")
    assert told.value.retry_after == timedelta(seconds=17)


async def test_silence_before_the_message_was_read_loses_it(api: BotApi, bot: Bot) -> None:
    hang = venue.Hang()
    api.fail("sendMessage", hang)
    with pytest.raises(TimedOut):
        await bot.send_message(7, "x", read_timeout=0.05)
    await api.until(lambda: not hang.holding)
    hang.release()
    await bot.send_message(7, "y")
    assert [sent.text for sent in api.sent] == ["y"]


async def test_silence_after_the_message_was_read_keeps_it(api: BotApi, bot: Bot) -> None:
    api.fail("sendMessage", venue.Hang(after=True))
    with pytest.raises(TimedOut):
        await bot.send_message(7, "x", read_timeout=0.05)
    assert [sent.text for sent in api.sent] == ["x"]


async def test_silence_that_ends_in_time_is_only_slow(api: BotApi, bot: Bot) -> None:
    hang = venue.Hang()
    api.fail("sendMessage", hang)
    sending = asyncio.create_task(bot.send_message(7, "x"))
    await api.until(lambda: hang.holding)
    assert api.sent == []
    hang.release()
    assert (await sending).text == "x"


async def test_an_outage_refuses_and_ends_on_the_same_port(api: BotApi, bot: Bot) -> None:
    address = api.base_url
    poll = asyncio.create_task(bot.get_updates(timeout=50))
    await api.until(lambda: api.polling)
    api.down()
    with pytest.raises(NetworkError, match=r"httpx\.ReadError"):
        await poll
    for _ in range(2):
        with pytest.raises(NetworkError, match=r"httpx\.ConnectError"):
            await bot.send_message(7, "lost")
    api.say(7, "meanwhile")
    api.up()
    assert api.base_url == address
    assert texts(await bot.get_updates(timeout=50)) == ["meanwhile"]
    await bot.send_message(7, "back")
    assert [sent.text for sent in api.sent] == ["back"]


async def test_a_fault_may_concern_one_chat_and_last_until_it_is_healed(api: BotApi, bot: Bot) -> None:
    api.fail("*", venue.Forbidden(), times=None, chat_id=8)
    for _ in range(3):
        with pytest.raises(Forbidden):
            await bot.send_message(8, "x")
    await bot.send_message(7, "y")
    api.heal()
    await bot.send_message(8, "z")
    assert [(sent.chat_id, sent.text) for sent in api.sent] == [(7, "y"), (8, "z")]


@pytest.mark.parametrize(("token", "words"), [(f"123456:{'x' * 35}", "Unauthorized"), ("no-token", "Not Found")])
async def test_only_the_right_token_is_let_in(api: BotApi, token: str, words: str) -> None:
    bot = client(api, token)
    with pytest.raises(InvalidToken, match=words):
        await bot.get_updates()
    with pytest.raises(InvalidToken, match="rejected by the server"):
        await bot.initialize()
    await bot.shutdown()
    assert api.calls == []


async def test_waiting_in_vain_tells_what_was_there(api: BotApi, bot: Bot) -> None:
    await bot.send_message(7, "here I am")
    api.fail("getUpdates", venue.BadGateway())
    with pytest.raises(TimeoutError, match=r"1 sent, the last .*here I am.*getUpdates: BadGateway"):
        await api.until(lambda: len(api.sent) > 1, timeout=0.01)


# --- what is not the Bot API ------------------------------------------------------------------------


@needs_schema
async def test_a_parameter_that_telegram_does_not_know_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="sendMessage: unknown parameter 'colour'"):
        async with BotApi() as api, client(api) as bot:
            await bot.send_message(7, "x", api_kwargs={"colour": "red"})


@needs_schema
async def test_a_parameter_of_the_wrong_type_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="sendMessage: disable_notification = 'maybe' is no Boolean"):
        async with BotApi() as api, client(api) as bot:
            await bot.send_message(7, "x", api_kwargs={"disable_notification": "maybe"})


@needs_schema
async def test_an_update_that_telegram_would_not_send_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="Message has no field 'colour'"):
        async with BotApi() as api:
            api.say(7, "x", extra={"colour": "red"})


async def test_a_method_that_is_not_here_is_told_beside_the_error_it_caused() -> None:
    with pytest.raises(InvalidToken, match="Not Found") as told:
        async with BotApi() as api, client(api) as bot:
            await bot.pin_chat_message(7, 1)
    assert told.value.__notes__ == ["not the Bot API:\npinChatMessage: not among the methods of this venue"]


@needs_schema
@pytest.mark.parametrize(
    ("result", "fault"),
    [
        ({"message_id": 1, "date": 1}, "Message needs 'chat'"),
        ({"message_id": "1", "date": 1, "chat": {"id": 7, "type": "private"}}, "message_id = '1' is no Integer"),
        ({"message_id": 1, "date": 1, "chat": {"id": 7, "type": "private"}, "text": None}, "text = None is no String"),
        (True, "is no Message"),
    ],
)
def test_an_answer_is_held_against_the_description(result: Any, fault: str) -> None:
    schema = published()
    assert isinstance(schema, Schema)
    assert [wrong for wrong in schema.result("sendMessage", result) if fault in wrong]


async def test_a_connection_serves_many_requests(api: BotApi) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api.base_url.split(":")[2].split("/")[0]))
    for _ in range(3):
        writer.write(f"GET /bot{api.token}/getMe HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length:")[1].split()[0])
        assert head.startswith(b"HTTP/1.1 200")
        assert b'"ok": true' in await reader.readexactly(size)
    writer.close()
    await writer.wait_closed()
    assert [call.outcome for call in api.calls] == ["ok"] * 3


# --- HTML -------------------------------------------------------------------------------------------


def shown(source: str) -> list[tuple[str, str]]:
    text, entities = parse_html(source)
    return [(entity["type"], cut(text, entity)) for entity in entities]


@pytest.mark.parametrize(
    ("source", "text", "entities"),
    [
        ("plain", "plain", []),
        ("<B>x</b> <strong>y</STRONG>", "x y", [("bold", "x"), ("bold", "y")]),
        ("😀<i>ok</i>", "😀ok", [("italic", "ok")]),
        ("<b>a<i>b</i></b>", "ab", [("bold", "ab"), ("italic", "b")]),
        ("<u>a</><s>b</s>", "ab", [("underline", "a"), ("strikethrough", "b")]),
        ("<b></b>x", "x", []),
        ("a &lt;b&gt; &amp;&quot;&#8377;&#x20b9;", 'a <b> &"₹₹', []),
        ("&nbsp;&copy &LT; &", "&nbsp;&copy &LT; &", []),
        ("a > b", "a > b", []),
        ('<a href="https://x.in/?a=1&amp;b=2">go</a>', "go", [("text_link", "go")]),
        ("<a href='nowhere'>go</a>", "go", []),
        ('<pre><code class="language-py">x</code></pre>', "x", [("pre", "x")]),
        ("<code>x</code>", "x", [("code", "x")]),
        ('<span class="tg-spoiler">x</span>', "x", [("spoiler", "x")]),
        ("<blockquote expandable>x</blockquote>", "x", [("expandable_blockquote", "x")]),
    ],
)
def test_html_is_read_as_telegram_reads_it(source: str, text: str, entities: list[tuple[str, str]]) -> None:
    assert parse_html(source)[0] == text
    assert shown(source) == entities


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("<b>x", 'Can\'t find end tag corresponding to start tag "b"'),
        ("₹<b>x</i>", 'Unmatched end tag at byte offset 7, expected "</b>", found "</i>"'),
        ("x</b>", "Unexpected end tag at byte offset 1"),
        ("<br>", 'Unsupported start tag "br" at byte offset 0'),
        ("a < b", 'Unclosed start tag|Unsupported start tag "" at byte offset 2'),
        ("a <5%", "Unclosed start tag at byte offset 2"),
        ("<b/>x", 'Unsupported start tag "b/"'),
        ("<b>x</b", "Unclosed end tag at byte offset 4"),
        ("<span>x</span>", 'Tag "span" must have class "tg-spoiler"'),
        ('<a href="x>go</a>', "Empty attribute name|Unclosed start tag"),
        ("<p>x</p>", 'Unsupported start tag "p"'),
        ("<!-- x -->", 'Unsupported start tag "!--"'),
    ],
)
def test_html_that_telegram_refuses_is_refused(source: str, words: str) -> None:
    with pytest.raises(MarkupError, match=words):
        parse_html(source)


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r")))
def test_escaped_text_is_shown_as_it_was_written(text: str) -> None:
    assert parse_html(html.escape(text)) == (text, [])
    assert shown(f"<b>{html.escape(text)}</b>") == ([("bold", text)] if text else [])


@given(st.text("<>/&;abipre= \"'x#1", max_size=30))
def test_any_text_is_read_or_refused_and_entities_lie_within_it(source: str) -> None:
    try:
        text, entities = parse_html(source)
    except MarkupError:
        return
    assert all(0 <= e["offset"] < e["offset"] + e["length"] <= units(text) for e in entities)
