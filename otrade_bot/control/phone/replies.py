"""The way of an answer into a chat: split, as HTML, else as plain text, a few attempts, then the outbox."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from telegram import Bot, LinkPreviewOptions
from telegram.constants import ParseMode

from otrade_bot.control.phone.buttons import Offers, keyboard
from otrade_bot.control.phone.errors import judge
from otrade_bot.control.reply import LIMIT, Reply, Run, italic, lines, text
from otrade_bot.core.masking import mask_text

__all__ = ["Parcels", "Place", "Replies"]

#: Pauses between the attempts to send an answer, s; then it is the outbox's.
RETRIES = (0.5, 1.5)

#: The longest a 429 may hold up an answer, s; a longer one is the outbox's to wait for.
MOST_PATIENCE_S = 5.0

#: Answers to one person in a chat that are being sent at a time: more would keep the connections from others.
MOST_AT_ONCE = 12

REPEAT = "(repeat: Telegram's answer was lost)"
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

    async def send(self, chat_id: int, reply: Reply, *, silent: bool) -> None:
        """One attempt, in as many messages as it needs. Raises telegram.error.TelegramError as it comes."""
        self._offers.add(chat_id, reply.actions, None)
        for part in reply.split():
            await self._post(chat_id, part, silent=silent)

    async def reply(self, place: Place, said: Reply) -> bool:
        """Straight to the chat: True where all of it is there. What Telegram does not take goes on through the
        outbox, without buttons."""
        self._offers.add(place.chat_id, said.actions, place.owner)
        parts = _labelled(said.split(_PART))
        line = self._lines[place.chat_id, place.owner]
        while parts:
            begun = False
            try:
                async with line:
                    begun = True
                    left = await self._insist(place, parts[0])
            except asyncio.CancelledError:
                first = _marked(parts[0]) if begun else parts[0]
                self._outbox.put(_joined([first, *parts[1:]]), [place.chat_id])
                raise
            if left is not None:
                self._outbox.put(_joined([left, *parts[1:]]), [place.chat_id])
                return False
            del parts[0]
        return True

    async def _insist(self, place: Place, part: Reply) -> Reply | None:
        """A few attempts. None: it is in the chat; else what is left to say, marked where it may be there already."""
        thread, html = place.thread_id, True
        pauses = list(RETRIES)
        while True:
            try:
                await self._post(place.chat_id, part, thread=thread, html=html)
                return None
            except Exception as problem:
                verdict = judge(problem)
            if verdict.word in ("lost", "broken"):
                part = _marked(part)
            about_topic = thread is not None and any(word in verdict.error.lower() for word in ("thread", "topic"))
            if about_topic:
                thread = None
            elif verdict.word == "unshowable" and html:
                html = False
            elif pauses and verdict.word in ("wait", "unsent", "lost") and verdict.seconds <= MOST_PATIENCE_S:
                pause = pauses.pop(0)
                await self._sleep(verdict.seconds if verdict.word == "wait" else pause)
            else:
                self._log(f"phone: an answer to chat {place.chat_id} goes through the outbox: {verdict.error}")
                return part

    async def _post(
        self, chat_id: int, part: Reply, *, silent: bool = False, thread: int | None = None, html: bool = True
    ) -> None:
        """One message, whoever made it without secrets."""
        clean = Reply(tuple(Run(mask_text(run.text), run.tags) for run in part.runs))
        if not clean.to_plain().strip():
            return
        await self._bot.send_message(
            chat_id,
            clean.to_html() if html else clean.to_plain(),
            parse_mode=ParseMode.HTML if html else None,
            disable_notification=silent,
            message_thread_id=thread,
            reply_markup=keyboard(part.actions),
            link_preview_options=_NO_PREVIEW,
        )


def _labelled(parts: list[Reply]) -> list[Reply]:
    """The mode on top of the first part stands on every one: each is a message of its own."""
    first = parts[0].runs[0] if parts else Run("")
    if first.tags != ("i",):
        return parts
    top = Reply((Run(first.text.partition("\n")[0], first.tags),))
    return [parts[0], *(Reply(lines(top, part).runs, part.actions) for part in parts[1:] if part.to_plain().strip())]


def _marked(part: Reply) -> Reply:
    return part if part.to_plain().startswith(REPEAT) else Reply(lines(italic(REPEAT), part).runs, part.actions)


def _joined(parts: Sequence[Reply]) -> Reply:
    """Without buttons: they count for a moment, and the outbox may take its time."""
    return Reply(text(*parts).runs)
