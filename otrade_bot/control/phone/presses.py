"""What becomes of a press: judged, done, told; the buttons vanish, or the message becomes the answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

from telegram import Bot, CallbackQuery, InlineKeyboardMarkup, Message

from otrade_bot.control.commands import parse
from otrade_bot.control.phone.buttons import Offers, Press, flattens
from otrade_bot.control.phone.gate import Caller
from otrade_bot.control.phone.inbox import carried, thread_of
from otrade_bot.control.phone.replies import Place, Replies
from otrade_bot.control.reply import Action, Reply, text
from otrade_bot.control.words import short
from otrade_bot.core.lang import t

__all__ = ["Desk", "Presses"]

#: Strangers' presses whose spinners are being stopped at a time.
MOST_HUSHES = 4
#: One person's spinners that are being stopped and buttons that are being taken away, at a time: more would keep the
#: connections from others.
MOST_SMALL = 8
#: Lines that may be done however long ago the button was pressed: what they lower is risk, or they ask first.
ALWAYS = frozenset({"pause", "flatten"})


class Desk(Protocol):
    """What a press needs of the phone."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]: ...
    def work(self, caller: Caller, line: str) -> asyncio.Task[Reply]: ...
    def begin(self, caller: Caller, line: str, place: Place, note: str = "") -> asyncio.Task[Reply]: ...
    async def deliver(self, work: asyncio.Task[Reply], place: Place, line: str) -> None: ...
    def delivered(self, said: Reply) -> None: ...
    def heard(self, caller: Caller, line: str, outcome: str) -> None: ...
    def minds(self, caller: Caller) -> bool: ...
    def own(self, said: Reply) -> Reply: ...


@dataclass
class Presses:
    """``acts`` says of a line whether it may change something, ``may`` whether that person may say it: who may not
    takes the buttons from nobody. ``deaf_s``: for how long nobody listened before the updates that are handed over now,
    seconds; a press has no date, so it may be as old as that."""

    bot: Bot
    offers: Offers
    replies: Replies
    desk: Desk
    acts: Callable[[str], bool]
    deaf_s: Callable[[], float]
    stale_s: float
    toast_s: float
    may: Callable[[Caller, str], bool] = lambda caller, line: True
    hushes: int = 0
    small: Counter[int] = field(default_factory=Counter)  #: under way, by person

    def take(self, caller: Caller, query: CallbackQuery) -> asyncio.Task[Reply] | None:
        """From here to the task that answers nothing waits."""
        word, message_id = query.data or "", query.message.message_id if query.message is not None else None
        place = Place(caller.chat_id, thread_of(query.message), caller.user_id)
        found = self.offers.press(
            caller.chat_id, caller.user_id, message_id, word, lambda line: self.may(caller, line)
        )
        genuine, action = carried(query), found.action
        if found.press is Press.GOOD and action is not None and not self._stale(action):
            work = self.desk.work(caller, action.line)
            edits = action.edit and isinstance(query.message, Message) and self.may(caller, action.line)
            if not (edits or action.again) and genuine and self.may(caller, action.line):
                self.desk.spawn(self.strip(query))
            answered = self._edited(query, place, work, action) if edits else self._pressed(query, place, work, action)
            self.desk.spawn(answered)
            return work
        self._refuse(caller, query, place, Press.OLD if found.press is Press.GOOD else found.press, action)
        if genuine and found.press is not Press.FOREIGN:  # what is forged takes nobody's buttons away
            self.desk.spawn(self.strip(query))
        again = genuine and action is None and flattens(word)
        return self.desk.begin(caller, "/flatten", place, Press.OLD.words) if again else None

    def hush(self, query: CallbackQuery | None) -> None:
        """Stop a stranger's spinner, with nothing said; a flood of them is left spinning."""
        if query is not None and self.hushes < MOST_HUSHES:
            self.hushes += 1
            self.desk.spawn(self.toast(query, None)).add_done_callback(self._hushed)

    async def toast(self, query: CallbackQuery, said: str | None) -> bool:
        """False where Telegram does not show it any more."""
        return await self._sparing(query, lambda: self.bot.answer_callback_query(query.id, said))

    async def strip(self, query: CallbackQuery) -> None:
        """The buttons vanish, but for those that last. Where that fails they stay, and do nothing."""
        message = query.message
        if message is None:
            return
        shown = getattr(message, "reply_markup", None)
        rows = shown.inline_keyboard if shown is not None else ()
        kept = [[one for one in row if one.url or self.offers.stays(one.callback_data)] for row in rows]
        left = InlineKeyboardMarkup([row for row in kept if row]) if any(kept) else None
        if left != shown:
            where = message.chat.id, message.message_id
            await self._sparing(query, lambda: self.bot.edit_message_reply_markup(*where, reply_markup=left))

    async def _sparing(self, query: CallbackQuery, call: Callable[[], Awaitable[object]]) -> bool:
        """Whether it worked. Where too much of that person is under way nothing is asked, and that is all right."""
        person = query.from_user.id
        if self.small[person] >= MOST_SMALL:
            return True
        self.small[person] += 1
        try:
            await call()
            return True
        except Exception:
            return False
        finally:
            self.small[person] -= 1
            if not self.small[person]:
                del self.small[person]

    def _stale(self, action: Action) -> bool:
        """Pressed while nobody listened: like a message that is too old."""
        late = self.deaf_s() > self.stale_s
        return late and self.acts(action.line) and parse(action.line)[0] not in ALWAYS

    def _refuse(
        self, caller: Caller, query: CallbackQuery, place: Place, why: Press, action: Action | None
    ) -> None:
        if not self.desk.minds(caller):
            self.hush(query)
            return
        self.desk.heard(caller, action.line if action is not None else query.data or "", "refused")
        instead = action is None and carried(query) and flattens(query.data or "")
        self.desk.spawn(self._refused(query, place, why.words, instead=instead))

    async def _refused(self, query: CallbackQuery, place: Place, why: str, *, instead: bool) -> None:
        """A toast; as a message where Telegram shows no toast any more and no other message says it."""
        if not await self.toast(query, why) and not instead:
            await self.replies.reply(place, self.desk.own(text(why)))

    async def _pressed(
        self, query: CallbackQuery, place: Place, work: asyncio.Task[Reply], action: Action
    ) -> None:
        """The verdict as a toast where it comes at once, and the whole answer as a message."""
        toast = self.desk.spawn(self.toast(query, await self._word(work)))
        await self.desk.deliver(work, place, action.line)
        await toast

    async def _edited(
        self, query: CallbackQuery, place: Place, work: asyncio.Task[Reply], action: Action
    ) -> None:
        """The answer takes the place of the message; where it cannot, it comes as a message of its own."""
        await asyncio.wait({work}, timeout=self.toast_s)
        toast = self.desk.spawn(self.toast(query, None if work.done() else t("Working on it.")))
        message = query.message
        assert isinstance(message, Message)
        await asyncio.wait({work})
        done = not work.cancelled() and await self.replies.edit(
            place, message.message_id, work.result(), photo=bool(message.photo)
        )
        if done:
            self.desk.delivered(work.result())
        else:  # also where there is nothing to show: what was pressed is used up
            await self.strip(query)
            await self.desk.deliver(work, place, action.line)
        await toast

    async def _word(self, work: asyncio.Task[Reply]) -> str:
        await asyncio.wait({work}, timeout=self.toast_s)
        if work.done() and not work.cancelled():
            return short(work.result().to_plain(), 190)
        return t("Working on it: the answer comes as a message.")

    def _hushed(self, _: asyncio.Task[bool]) -> None:
        self.hushes -= 1
