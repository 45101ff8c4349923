"""The way of an answer into a chat: split, as HTML, else as plain text, a few attempts, then the outbox."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from telegram import (
    Bot,
    InlineKeyboardMarkup,
    InputMediaPhoto,
    LinkPreviewOptions,
    Message,
    ReplyKeyboardMarkup,
    ReplyKeyboardRemove,
)
from telegram.constants import ParseMode

from otrade_bot.control.phone.buttons import Deck, Offers
from otrade_bot.control.phone.errors import Verdict, judge
from otrade_bot.control.reply import LIMIT, Reply, Run, italic, lines, text
from otrade_bot.core.lang import phrase, t
from otrade_bot.core.masking import mask_text
from otrade_bot.core.onetime import unlinked

__all__ = ["CAPTION", "Parcels", "Place", "Replies"]

#: Longest text under a picture, counted as LIMIT is: Telegram's 1024, less room for a mark.
CAPTION = 1024 - 60

#: Pauses between the attempts to send an answer, s; then it is the outbox's.
RETRIES = (0.5, 1.5)

#: The longest a 429 may hold up an answer, s; a longer one is the outbox's to wait for.
MOST_PATIENCE_S = 5.0

#: Answers to one person in a chat that are being sent at a time: more would keep the connections from others.
MOST_AT_ONCE = 12

#: Keys in a row of the phone's keyboard.
KEYS_A_ROW = 3

REPEAT = phrase("(repeat: Telegram's answer was lost)")
#: Room for that mark and for the mode.
_PART = LIMIT - 240
_NO_PREVIEW = LinkPreviewOptions(is_disabled=True)


class Parcels(Protocol):
    """What the phone needs of the outbox."""

    def put(self, reply: Reply, chats: Sequence[int], *, silent: bool = False) -> None: ...

    def wake(self, chat_id: int | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer goes, and who may press its buttons."""

    chat_id: int
    thread_id: int | None
    owner: int


class Replies:
    """``sleep`` takes seconds; ``log`` gets masked lines."""

    def __init__(
        self,
        bot: Bot,
        outbox: Parcels,
        offers: Offers,
        log: Callable[[str], None],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._bot, self._outbox, self._offers, self._log, self._sleep = bot, outbox, offers, log, sleep
        self._lines: defaultdict[tuple[int, int], asyncio.Semaphore]
        self._lines = defaultdict(lambda: asyncio.Semaphore(MOST_AT_ONCE))

    async def send(self, chat_id: int, reply: Reply, *, silent: bool, thread: int | None = None) -> int:
        """One attempt, in as many messages as it needs; the last one's id, 0 where there was nothing to send. Its
        buttons are anybody's who is heard there. Raises telegram.error.TelegramError as it comes."""
        deck = self._offers.deck(chat_id, reply.actions, None)
        last = 0
        for part in _parts(reply, LIMIT):
            last = await self._post(chat_id, part, deck, silent=silent, thread=thread) or last
        return last

    async def reply(self, place: Place, said: Reply) -> bool:
        """Straight to the chat: True where all of it is there. What Telegram does not take goes on through the
        outbox, without buttons."""
        deck = self._offers.deck(place.chat_id, said.actions, place.owner)
        parts = _labelled(_parts(said, _PART))
        line = self._lines[place.chat_id, place.owner]
        while parts:
            begun = False
            try:
                async with line:
                    begun = True
                    left = await self._insist(place, parts[0], deck)
            except asyncio.CancelledError:
                first = _marked(parts[0]) if begun else parts[0]
                self._outbox.put(_joined([first, *parts[1:]]), [place.chat_id])
                raise
            if left is not None:
                self._outbox.put(_joined([left, *parts[1:]]), [place.chat_id])
                return False
            del parts[0]
        return True

    async def edit(self, place: Place, message_id: int, said: Reply, *, photo: bool) -> bool:
        """The answer in the place of a message that shows a picture or none (``photo``). False where that cannot be or
        does not work: it is to be sent then. Editing twice does no harm, so it is tried again."""
        parts = _parts(said, LIMIT)
        if len(parts) != 1 or (said.picture is not None) != photo or said.keys is not None:
            return False
        deck = self._offers.deck(place.chat_id, said.actions, place.owner)
        deck.sending()
        deck.shown(message_id)
        html, pauses = True, list(RETRIES)
        while True:
            try:
                async with self._lines[place.chat_id, place.owner]:
                    await self._change(place.chat_id, message_id, parts[0], deck, html=html)
                return True
            except Exception as problem:
                verdict = judge(problem)
            if "not modified" in verdict.error.lower():
                return True
            if verdict.word == "unshowable" and html and "parse" in verdict.error.lower():
                html = False
            elif pauses and verdict.word in ("wait", "unsent", "lost") and verdict.seconds <= MOST_PATIENCE_S:
                pause = pauses.pop(0)
                await self._sleep(verdict.seconds if verdict.word == "wait" else pause)
            else:
                self._log(f"phone: a message in chat {place.chat_id} could not be edited: {verdict.error}")
                return False

    async def _change(self, chat_id: int, message_id: int, part: Reply, deck: Deck, *, html: bool) -> None:
        said, markup = _written(part, html), deck.markup()
        mode = ParseMode.HTML if html else None
        if part.picture is not None:
            media = InputMediaPhoto(part.picture.png, caption=said, parse_mode=mode, filename=part.picture.name)
            await self._bot.edit_message_media(media, chat_id, message_id, reply_markup=markup)
        else:
            await self._bot.edit_message_text(
                said, chat_id, message_id, parse_mode=mode, reply_markup=markup, link_preview_options=_NO_PREVIEW
            )

    async def _insist(self, place: Place, part: Reply, deck: Deck) -> Reply | None:
        """A few attempts. None: it is in the chat; else what is left to say, marked where it may be there already."""
        thread, html = place.thread_id, True
        pauses = list(RETRIES)
        while True:
            try:
                await self._post(place.chat_id, part, deck, thread=thread, html=html)
                return None
            except Exception as problem:
                verdict = judge(problem)
            if verdict.word in ("lost", "broken"):
                part = _marked(part)
            about_topic = thread is not None and any(word in verdict.error.lower() for word in ("thread", "topic"))
            if about_topic:
                thread = None
            elif verdict.word == "unshowable" and part.picture is not None and not _about_words(verdict):
                part = replace(lines(part, italic(t("(Telegram did not take the picture.)"))), picture=None)
            elif verdict.word == "unshowable" and html:
                html = False
            elif pauses and verdict.word in ("wait", "unsent", "lost") and verdict.seconds <= MOST_PATIENCE_S:
                pause = pauses.pop(0)
                await self._sleep(verdict.seconds if verdict.word == "wait" else pause)
            else:
                self._log(f"phone: an answer to chat {place.chat_id} goes through the outbox: {verdict.error}")
                return part

    async def _post(
        self,
        chat_id: int,
        part: Reply,
        deck: Deck,
        *,
        silent: bool = False,
        thread: int | None = None,
        html: bool = True,
    ) -> int:
        """One message, whoever made it without secrets; its id, 0 where there is nothing to show."""
        said = _written(part, html)
        if part.picture is None and not said.strip():
            return 0
        counts = bool(part.actions)
        if counts:
            deck.sending()
        try:
            message = await self._bring(chat_id, part, said, _keys(part, deck), silent, thread, html)
        except Exception as problem:
            if counts and judge(problem).word not in ("lost", "broken"):
                deck.unsent()
            raise
        if counts:
            deck.shown(message.message_id)
        return message.message_id

    async def _bring(
        self, chat_id: int, part: Reply, said: str, markup: Any, silent: bool, thread: int | None, html: bool
    ) -> Message:
        mode = ParseMode.HTML if html else None
        if part.picture is not None:
            return await self._bot.send_photo(
                chat_id, part.picture.png, caption=said, filename=part.picture.name, parse_mode=mode,
                disable_notification=silent, message_thread_id=thread, reply_markup=markup,
            )  # fmt: skip
        return await self._bot.send_message(
            chat_id, said, parse_mode=mode, disable_notification=silent, message_thread_id=thread,
            reply_markup=markup, link_preview_options=_NO_PREVIEW,
        )  # fmt: skip


def _written(part: Reply, html: bool) -> str:
    clean = Reply(tuple(Run(mask_text(run.text), run.tags) for run in part.runs))
    return clean.to_html() if html else clean.to_plain()


def _about_words(verdict: Verdict) -> bool:
    return any(word in verdict.error.lower() for word in ("parse", "entities", "caption"))


def _keys(part: Reply, deck: Deck) -> InlineKeyboardMarkup | ReplyKeyboardMarkup | ReplyKeyboardRemove | None:
    """A message has buttons, or changes the phone's keyboard."""
    if part.actions and (markup := deck.markup()) is not None:
        return markup
    if part.keys is None:
        return None
    rows = [part.keys[at : at + KEYS_A_ROW] for at in range(0, len(part.keys), KEYS_A_ROW)]
    return ReplyKeyboardMarkup(rows, resize_keyboard=True, is_persistent=True) if rows else ReplyKeyboardRemove()


def _parts(said: Reply, limit: int) -> list[Reply]:
    """As many messages as it needs, the buttons on the last. A picture has all the text under it; where that is too
    long, its heading, and the whole text follows."""
    if said.picture is None:
        found = said.split(limit)
    elif len(whole := said.split(CAPTION)) <= 1:
        found = whole or [Reply((), said.actions)]
    else:
        found = [*(_heading(said).split(CAPTION)[:1] or [Reply()]), *said.split(limit)]
    if found:
        found[0] = replace(found[0], picture=said.picture)
        found[-1] = replace(found[-1], keys=said.keys)
    return found


def _heading(said: Reply) -> Reply:
    """The first two lines: the mode, and what it is about."""
    runs: list[Run] = []
    left = 2
    for run in said.runs:
        kept = run.text.split("\n", left)
        left -= len(kept) - 1
        runs.append(Run("\n".join(kept[:-1] if left <= 0 else kept)[:300], run.tags))
        if left <= 0:
            break
    return text(Reply(tuple(runs)))


def _labelled(parts: list[Reply]) -> list[Reply]:
    """The mode on top of the first part stands on every one: each is a message of its own."""
    first = parts[0].runs[0] if parts and parts[0].runs else Run("")
    if first.tags != ("i",):
        return parts
    head = first.text.partition("\n")[0]
    top = Reply((Run(head, first.tags),))
    return [
        parts[0],
        *(
            part if part.to_plain().startswith(head) else lines(top, part)
            for part in parts[1:]
            if part.to_plain().strip()
        ),
    ]


def _marked(part: Reply) -> Reply:
    mark = t(REPEAT)
    return part if part.to_plain().startswith(mark) else lines(italic(mark), part)


def _joined(parts: Sequence[Reply]) -> Reply:
    """For the outbox. Without buttons: they count for a moment, and it may take its time. Without a link that lets
    somebody in: what waits is on the disk."""
    gone = t("(the link was lost on its way and is kept nowhere: take the invitation back, and invite again)")
    return Reply(tuple(Run(unlinked(run.text, gone), run.tags) for run in text(*parts).runs))
