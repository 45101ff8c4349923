"""The watchdog's messages leave by its own connection, at least once, in order, late where they must be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from venues.faults import BadGateway, BadRequest, Fault, Forbidden, Reset, TooMany, Unauthorized, refusal
from venues.telegram import BotApi

from otrade_bot.control.reply import Reply, bold, text
from otrade_bot.core.clock import SECOND, at_ist
from otrade_bot.core.lang import t
from otrade_bot.service.watch_mail import MOST, Letter, Mail
from otrade_bot.service.watch_settings import Chat, Settings
from tests.unit.test_watch import TODAY

NOW = at_ist(TODAY, 11)


class Post:
    """Mail whose seconds move by hand, and what it logged."""

    def __init__(self, api: BotApi, *, token: str | None = None) -> None:
        self.log: list[str] = []
        self.seconds, self.now = 100.0, NOW
        settings = Settings(Path(), token=api.token if token is None else token, base_url=api.base_url)
        self.mail = Mail(settings, self.log.append, steady=lambda: self.seconds)

    def put(self, words: str, *chats: Chat) -> None:
        self.mail.put(lambda: text(bold("A & B "), words), chats or (Chat(7),), self.now)

    async def send(self, after: float = 0.0) -> bool:
        self.seconds += after
        self.now += round(after * SECOND)
        return await asyncio.to_thread(self.mail.send, self.now)


@pytest.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi(chats=(7, 8)) as made:
        yield made


@pytest.fixture
def post(api: BotApi) -> AsyncIterator[Post]:
    made = Post(api)
    yield made  # type: ignore[misc]
    made.mail.close()


def shown(api: BotApi, chat: int = 7) -> list[str]:
    return [sent.versions[0].text for sent in api.to(chat)]


async def test_each_chat_is_told_once_and_in_order(api: BotApi, post: Post) -> None:
    post.put("one", Chat(7), Chat(8), Chat(7))
    post.put("two")
    assert await post.send()
    assert (shown(api), shown(api, 8)) == (["A & B one", "A & B two"], ["A & B one"])
    assert api.to(7)[0].versions[0].html == "<b>A &amp; B </b>one"
    assert not await post.send()
    assert not any(sent.silent for sent in api.sent)


@pytest.mark.parametrize("fault", [BadGateway(), Reset(), Unauthorized()])
async def test_it_tries_until_telegram_takes_it(api: BotApi, post: Post, fault: Fault) -> None:
    api.fail("sendMessage", fault, times=3)
    post.put("one")
    assert not await post.send()
    assert not await post.send(1.0)  # not at once again
    assert len(api.called("sendMessage")) == 1
    for seconds in (2.0, 5.0):
        assert not await post.send(seconds)
    assert await post.send(10.0)
    assert shown(api) == ["A & B one"]
    assert len(post.log) == 1
    assert post.mail.settings.token not in post.log[0]


async def test_where_telegram_is_away_one_pass_asks_it_once(api: BotApi, post: Post) -> None:
    """Ten chats that time out one after the other would be minutes."""
    api.down()
    for chat in (7, 8):
        post.put("one", Chat(chat))
    assert not await post.send()
    assert len(post.log) == 1
    api.up()
    assert await post.send(2.0)
    assert (len(api.to(7)), len(api.to(8))) == (1, 1)


async def test_what_comes_late_says_so(api: BotApi, post: Post) -> None:
    api.fail("sendMessage", BadGateway())
    post.put("one")
    await post.send()
    await post.send(200.0)
    assert shown(api) == ["A & B one\ndelivered 3 min 20 s late"]


async def test_peace_is_kept_with_the_chat_that_wants_it_alone(api: BotApi, post: Post) -> None:
    api.fail("sendMessage", TooMany(20), chat_id=7)
    post.put("one", Chat(7), Chat(8))
    post.put("two", Chat(7), Chat(8))
    assert await post.send()
    assert (shown(api), shown(api, 8)) == ([], ["A & B one", "A & B two"])
    assert not await post.send(19.0)
    assert await post.send(2.0)
    assert shown(api) == ["A & B one", "A & B two"]


async def test_who_blocked_the_bot_holds_up_nobody(api: BotApi, post: Post) -> None:
    api.fail("sendMessage", Forbidden(), chat_id=7)
    post.put("one", Chat(7), Chat(8))
    assert await post.send()
    assert post.mail.waiting == []
    assert len(shown(api, 8)) == 1
    assert "chat 7 takes no message" in post.log[0]


async def test_what_telegram_does_not_like_comes_in_plain_words(api: BotApi, post: Post) -> None:
    api.fail("sendMessage", BadRequest("can't parse entities"))
    post.put("one")
    assert await post.send()
    assert shown(api) == ["A & B one"]
    assert api.to(7)[0].versions[0].entities == ()


async def test_a_topic_that_is_gone_loses_no_alarm(api: BotApi, post: Post) -> None:
    api.fail("sendMessage", BadRequest("message thread not found"), times=2)
    post.put("one", Chat(7, topic=44))
    assert await post.send()
    assert [call.params.get("message_thread_id") for call in api.called("sendMessage")] == ["44", "44", None]
    assert shown(api) == ["A & B one"]


class Moved(Fault):
    async def strike(self, accept: Callable[..., object]) -> object:  # type: ignore[override]
        return refusal(400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=8)


async def test_a_group_that_has_moved_is_told_where_it_is(api: BotApi, post: Post) -> None:
    api.fail("sendMessage", Moved(), chat_id=7)
    post.put("one")
    assert await post.send()
    assert shown(api, 8) == ["A & B one"]


async def test_without_a_token_it_waits_for_one(api: BotApi) -> None:
    post = Post(api, token="")
    post.put("one")
    assert not await post.send()
    post.mail.settings = replace(post.mail.settings, token=api.token)
    assert await post.send()
    post.mail.close()


async def test_each_person_is_told_in_their_own_language(
    api: BotApi, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otrade_bot.core.lang.catalogue", lambda spoken: {"gone": "गया"})
    post.mail.put(lambda: Reply() + t("gone"), (Chat(7), Chat(8, language="hi")), NOW)
    assert await post.send()
    assert (shown(api), shown(api, 8)) == (["gone"], ["गया"])


def test_what_waits_outlives_the_watchdog() -> None:
    letter = Letter(-7, 5, "hi", "<b>x</b>", "x", NOW)
    settings = Settings(Path())
    kept = Mail(settings, str, [letter]).as_json()
    assert [Letter.read(one) for one in json.loads(json.dumps(kept))] == [letter]
    assert [Letter.read(one) for one in (None, 5, {}, {**kept[0], "chat_id": "x"})] == [None] * 4


def test_no_flood_fills_the_memory() -> None:
    mail = Mail(Settings(Path()), str)
    for number in range(MOST + 5):
        mail.put(lambda number=number: text(f"{number}"), (Chat(7),), NOW)  # type: ignore[misc]
    assert [len(mail.waiting), mail.waiting[-1].plain] == [MOST, f"{MOST + 4}"]
