"""One pinned message in each private chat, edited as things change: never louder than a look at it.

A chat that does not take it costs nobody else anything. Which message it is survives a restart; one that was deleted or
unpinned is made anew. Whatever fails here is logged once and tried again later: it only tells.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from telegram import Bot, InlineKeyboardMarkup, LinkPreviewOptions
from telegram.constants import ParseMode

from otrade_bot.control.phone.buttons import Offers, Shelf
from otrade_bot.control.phone.errors import judge
from otrade_bot.control.phone.gate import Caller
from otrade_bot.control.reply import LIMIT, Reply, Run
from otrade_bot.core.masking import mask_text

__all__ = ["KEY", "Cards"]

#: Key of control.json: message ids by chat.
KEY = "cards"
#: Seconds after which a chat is tried again: that is closed to us; where something else went wrong.
_CLOSED, _AGAIN = 600.0, 30.0
_NO_PREVIEW = LinkPreviewOptions(is_disabled=True)


@dataclass(slots=True)
class _Card:
    message_id: int = 0  #: 0: there is none
    shown: tuple[str, object] | None = None  #: as it stands there; None: not known
    again: float = 0.0  #: not before
    looked: float = 0.0  #: when it was last seen to be pinned
    pinned: bool = True  #: False: Telegram did not let us


class Cards:
    """``people`` who may see one: of others what is known is deleted. ``show``: what stands on it now (None: nothing
    yet), ``listening``: whether Telegram is there. Edited at most every ``every_s`` seconds; every ``look_s`` it is
    looked whether it is still pinned."""

    def __init__(
        self,
        bot: Bot,
        offers: Offers,
        shelf: Shelf,
        people: Callable[[], Sequence[Caller]],
        show: Callable[[Caller], Reply | None],
        *,
        listening: Callable[[], bool] = lambda: True,
        log: Callable[[str], None] = lambda line: None,
        every_s: float = 5.0,
        look_s: float = 60.0,
        steady: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._bot, self._offers, self._shelf, self._people, self._show = bot, offers, shelf, people, show
        self._listening, self._log, self._every_s, self._look_s = listening, log, every_s, look_s
        self._steady, self._sleep = steady, sleep
        self._cards = {chat: _Card(number) for chat, number in _read(shelf.part(KEY)).items()}
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._faults: dict[int, str] = {}
        self._over = False

    async def run(self) -> None:
        """For ever."""
        try:
            while True:
                there = self._listening()
                if there and not self._over:
                    await self.look()
                await self._sleep(self._every_s if there else 1.0)
        finally:
            for task in self._busy.values():
                task.cancel()

    async def look(self) -> None:
        """Bring every card up to date; a chat that hangs is left to itself."""
        callers = {one.chat_id: one for one in self._people() if one.chat_id == one.user_id}
        for chat in [chat for chat in self._cards if chat not in callers and chat not in self._busy]:
            self._begin(chat, self._drop(chat))
        for chat, caller in callers.items():
            if chat not in self._busy:
                self._begin(chat, self._one(caller))
        if self._busy:
            await asyncio.wait(self._busy.values(), timeout=self._every_s)

    async def end(self, said: Callable[[Caller], Reply], seconds: float) -> None:
        """The last word on every card: nothing alive is shown of what has ended."""
        self._over = True
        if not self._listening():
            return
        callers = [one for one in self._people() if one.chat_id in self._cards and one.chat_id == one.user_id]
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*self._busy.values(), return_exceptions=True)
                await asyncio.gather(*(self._last(one, said) for one in callers), return_exceptions=True)

    def _begin(self, chat: int, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._busy[chat] = task
        task.add_done_callback(lambda _: self._busy.pop(chat, None))

    async def _one(self, caller: Caller) -> None:
        """Never raises an Exception."""
        card = self._cards.setdefault(caller.chat_id, _Card())
        if self._steady() < card.again or self._over:
            return
        try:
            await self._update(caller, card)
            self._faults.pop(caller.chat_id, None)
        except Exception as problem:
            verdict = judge(problem)
            rest = verdict.seconds if verdict.word == "wait" else _CLOSED if verdict.word == "blocked" else _AGAIN
            card.again = self._steady() + rest
            self._fault(caller.chat_id, verdict.error)

    async def _update(self, caller: Caller, card: _Card) -> None:
        said = self._show(caller)
        if said is None:
            return
        markup = self._offers.deck(caller.chat_id, said.actions, None).markup()
        html, face = _html(said), (_html(said), markup)
        if not card.message_id:
            await self._make(caller.chat_id, card, html, markup)
        elif face != card.shown:
            if not await self._edit(caller.chat_id, card, html, markup):
                await self._make(caller.chat_id, card, html, markup)
        elif await self._unpinned(caller.chat_id, card):
            await self._delete(caller.chat_id, card)
            await self._make(caller.chat_id, card, html, markup)
        card.shown = face

    async def _make(self, chat: int, card: _Card, html: str, markup: InlineKeyboardMarkup | None) -> None:
        message = await self._bot.send_message(
            chat, html, parse_mode=ParseMode.HTML, reply_markup=markup, disable_notification=True,
            link_preview_options=_NO_PREVIEW,
        )  # fmt: skip
        card.message_id, card.shown, card.looked = message.message_id, (html, markup), self._steady()
        self._keep()
        try:
            await self._bot.pin_chat_message(chat, message.message_id, disable_notification=True)
            card.pinned = True
        except Exception as problem:
            card.pinned = False
            self._fault(chat, f"not pinned: {judge(problem).error}")

    async def _edit(self, chat: int, card: _Card, html: str, markup: InlineKeyboardMarkup | None) -> bool:
        """False: that message is not there any more."""
        try:
            await self._bot.edit_message_text(
                html, chat, card.message_id, parse_mode=ParseMode.HTML, reply_markup=markup,
                link_preview_options=_NO_PREVIEW,
            )  # fmt: skip
        except Exception as problem:
            said = str(problem).lower()
            if "not modified" in said:
                return True
            if "message to edit not found" in said or "message can't be edited" in said or "message_id_invalid" in said:
                return False
            raise
        return True

    async def _unpinned(self, chat: int, card: _Card) -> bool:
        """Whether nothing is pinned any more, looked at now and then. Another message on top is a person's: ours is
        below it."""
        if not card.pinned or self._steady() - card.looked < self._look_s:
            return False
        card.looked = self._steady()
        return (await self._bot.get_chat(chat)).pinned_message is None

    async def _delete(self, chat: int, card: _Card) -> None:
        with suppress(Exception):
            await self._bot.delete_message(chat, card.message_id)

    async def _drop(self, chat: int) -> None:
        """Of somebody who is not heard any more: nothing of it stays with him, where Telegram lets us."""
        await self._delete(chat, self._cards[chat])
        self._cards.pop(chat, None)
        self._keep()

    async def _last(self, caller: Caller, said: Callable[[Caller], Reply]) -> None:
        card = self._cards[caller.chat_id]
        if card.message_id:
            card.shown = None
            await self._edit(caller.chat_id, card, _html(said(caller)), None)

    def _keep(self) -> None:
        known = {str(chat): one.message_id for chat, one in self._cards.items() if one.message_id}
        with suppress(Exception):  # a restart makes new ones then
            self._shelf.keep_part(KEY, known)

    def _fault(self, chat: int, error: str) -> None:
        if self._faults.get(chat) != error:
            self._faults[chat] = error
            self._log(f"phone: the card of chat {chat}: {error}")


def _html(said: Reply) -> str:
    clean = Reply(tuple(Run(mask_text(run.text), run.tags) for run in said.runs))
    parts = clean.split(LIMIT)
    return parts[0].to_html() if parts else ""


def _read(part: Mapping[str, Any]) -> dict[int, int]:
    """What is not of our form is none of ours."""
    return {
        int(chat): number
        for chat, number in part.items()
        if chat.isdecimal() and isinstance(number, int) and not isinstance(number, bool) and number > 0
    }
