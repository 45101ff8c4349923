"""The phone: Telegram as a mouth of the command table.

Every update passes the gate before anything else happens. Emergency commands run at once, in the order in which
they came; others one at a time for each person, so that a slow one delays neither them nor anybody else. Sending
has its own connections: a chat that hangs holds up no other one, and never the listening.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from telegram import CallbackQuery, Message, Update
from telegram.error import InvalidToken
from telegram.request import HTTPXRequest

from otrade_bot.control.commands import Heard, parse
from otrade_bot.control.phone.buttons import Offers, Press
from otrade_bot.control.phone.errors import judge
from otrade_bot.control.phone.gate import Caller, Gate, headed
from otrade_bot.control.phone.inbox import addressed, carried, knock_of, line_of, secondhand, thread_of
from otrade_bot.control.phone.poller import Line, Patience, PhoneState, Poller
from otrade_bot.control.phone.replies import Parcels, Place, Replies
from otrade_bot.control.reply import Reply, bold, code, italic, lines, text
from otrade_bot.control.words import ago, count, short
from otrade_bot.core.clock import SECOND
from otrade_bot.core.masking import mask_text, register_secret
from otrade_bot.core.redirects import concealed, holds_code

__all__ = ["QUICK", "Parcels", "Phone"]

Answer = Callable[[Caller, str], Awaitable[Reply]]

#: These wait for nothing: they run up to their first await in the order in which they came.
QUICK = frozenset({"pause", "resume", "flatten", "status"})

#: Other commands of one person that may wait their turn.
MOST_WAITING = 20
#: Pauses between the attempts to remove a message, s.
ERASE_PAUSES = (0.5, 2.0, 5.0)
#: Strangers' presses whose spinners are being stopped at a time.
MOST_HUSHES = 4

_TOKEN = re.compile(r"\d+:[A-Za-z0-9_-]+")


class Phone:
    """``run`` listens and answers, ``send`` is the outbox's way out.

    ``answer`` turns a caller's line into a reply; it must reach the command without an ``await`` of its own, or the
    order of /pause and /resume is lost. ``label`` is the mode that stands on top of every message. ``audit`` hears of
    what was refused here and never reached ``answer``, ``delivered`` of answers that are in their chat. ``log`` takes
    masked lines. ``wall`` gives seconds since the epoch: the age of a message is judged by it. ``steady`` gives seconds
    that always advance.
    """

    def __init__(
        self,
        token: str,
        gate: Gate,
        answer: Answer,
        outbox: Parcels,
        *,
        base_url: str | None = None,
        base_file_url: str | None = None,
        bot_commands: Sequence[tuple[str, str]] = (),
        label: Callable[[], str] = str,
        log: Callable[[str], None] = lambda line: None,
        log_error: Callable[[str, Exception], None] = lambda what, error: None,
        audit: Callable[[Heard], None] = lambda heard: None,
        delivered: Callable[[Reply], None] = lambda said: None,
        patience: Patience | None = None,
        poll_s: int = 25,
        poll_margin_s: float = 10.0,
        stale_s: float = 60.0,
        settle_s: float = 0.25,
        toast_s: float = 2.0,
        read_s: float = 15.0,
        grace_s: float = 3.0,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        token = token.strip()
        register_secret(token)
        register_secret(token.partition(":")[2])
        self._valid = _TOKEN.fullmatch(token) is not None
        self._gate, self._answer, self._outbox = gate, answer, outbox
        self._commands, self._label, self._delivered = tuple(bot_commands), label, delivered
        self._log, self._log_error, self._audit = log, log_error, audit
        self._stale_s, self._settle_s, self._toast_s = stale_s, settle_s, toast_s
        self._wall, self._steady, self._sleep, self._grace_s = wall, steady, sleep, grace_s
        self._requests = (
            HTTPXRequest(1, read_timeout=10, write_timeout=10, connect_timeout=10, pool_timeout=10),
            HTTPXRequest(64, read_timeout=read_s, write_timeout=10, connect_timeout=10, pool_timeout=10),
        )
        self._bot = Line(
            token if self._valid else "0:malformed",
            base_url or "https://api.telegram.org/bot",
            base_file_url or "https://api.telegram.org/file/bot",
            request=self._requests[1],
            get_updates_request=self._requests[0],
        )
        self._poller = Poller(
            self._bot, self._take, settle=self._settle, greet=self._greet, changed=self._changed, log=log,
            patience=patience, poll_s=poll_s, margin_s=poll_margin_s, wall=wall, sleep=sleep,
        )  # fmt: skip
        self._username = ""
        self._offers = Offers(steady)
        self._replies = Replies(self._bot, outbox, self._offers, log, sleep)
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiting: Counter[int] = Counter()
        self._begun: list[asyncio.Task[Reply]] = []
        self._expired: dict[Place, list[str]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._hushes = 0
        self._warned: float | None = None

    @property
    def state(self) -> PhoneState:
        """How it stands with Telegram now."""
        return self._poller.state

    async def run(self) -> None:
        """Until cancelled. Then answers under way get ``grace_s`` seconds; what is left of them goes to the outbox."""
        try:
            await self._poller.run()
        finally:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=self._grace_s)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._poller.confirm(2)
            for request in self._requests:
                await request.shutdown()

    async def send(self, chat_id: int, reply: Reply, *, silent: bool) -> None:
        """The Sender of the outbox: one attempt. Raises telegram.error.TelegramError as it comes."""
        self._check_token()
        await self._replies.send(chat_id, reply, silent=silent)

    def _check_token(self) -> None:
        """Raises InvalidToken, without asking Telegram, for what cannot be a token."""
        if not self._valid:
            raise InvalidToken("the token is not of the form 123456:ABC-def")

    async def _greet(self) -> None:
        self._check_token()
        self._username = (await self._bot.get_me()).username or ""
        if self._commands:
            self._spawn(self._show_menu())

    async def _show_menu(self) -> None:
        try:
            await self._bot.set_my_commands(self._commands)
        except Exception as problem:
            self._log(f"phone: the command menu was not taken: {judge(problem).error}")

    def _changed(self, state: PhoneState) -> None:
        """Back again: let the outbox try. Somebody else polls: sending still works, so say it; at most every ten
        minutes, since two pollers alternate."""
        if state.word == "polling":
            self._outbox.wake()
        # After a kill Telegram may hold the poll of before for a moment: the first conflict of all proves nothing.
        if state.word != "conflict" or (state.last_ok == 0 and state.times < 2):
            return
        now = self._steady()
        if self._warned is not None and now - self._warned < 600:
            return
        self._warned = now
        said = lines(
            bold("Commands may not reach this bot"),
            "Telegram says that another program asks for its messages, or that a webhook is set.",
            state.cure,
            text("Telegram: ", code(state.error)),
        )
        self._outbox.put(headed(self._label, said), self._gate.admin_chats)

    # Updates: from here to the task that answers nothing waits, so order is kept.

    async def _take(self, update: Update) -> None:
        work = self._admit(update)
        if work is not None:
            self._begun.append(work)
            await asyncio.sleep(0)  # its first step, before the next one's

    async def _settle(self) -> None:
        """Of what takes no longer than a moment, the effect is there when this returns."""
        begun, self._begun = self._begun, []
        expired, self._expired = self._expired, {}
        for place, said in expired.items():
            self._spawn(self._replies.reply(place, self._own(_expired(said))))
        if begun:
            await asyncio.wait(begun, timeout=self._settle_s)

    def _admit(self, update: Update) -> asyncio.Task[Reply] | None:
        """The gate, then what was said. An update that cannot be handled costs itself alone."""
        knock = knock_of(update, self._username)
        if knock is None:
            return None
        caller = self._gate.passes(knock)
        if caller is None:
            self._hush(update.callback_query)
            return None
        try:
            self._outbox.wake(caller.chat_id)  # who writes has not blocked us, or no more
            if update.callback_query is not None:
                return self._press(caller, update.callback_query)
            return self._message(caller, update.message) if update.message is not None else None
        except Exception as problem:
            self._problem("update", problem)
            self._spawn(self._replies.reply(Place(caller.chat_id, None, caller.user_id), self._sorry(problem)))
            return None

    def _message(self, caller: Caller, message: Message) -> asyncio.Task[Reply] | None:
        if not addressed(message, self._username):
            return None
        place = Place(caller.chat_id, thread_of(message), caller.user_id)
        line = line_of(message).strip()
        if holds_code(line):
            self._spawn(self._erase(message, place))
        if secondhand(message):
            self._heard(caller, line, "refused")
            said = self._own(text("A forwarded message is no command: nothing was done."))
            self._spawn(self._replies.reply(place, said))
            return None
        age = self._wall() - message.date.timestamp()
        if age <= self._stale_s:
            return self._begin(caller, line, place)
        return self._late(caller, line, place, age)

    def _late(self, caller: Caller, line: str, place: Place, age: float) -> asyncio.Task[Reply] | None:
        """Sent while nobody listened: a pause still holds, a flatten asks first, for the rest its moment is over."""
        name, since = parse(line)[0], ago(int(age * SECOND))
        if name == "pause":
            return self._begin(caller, line, place, f"Sent {since} ago, done now.")
        if name == "flatten":
            return self._begin(caller, "/flatten", place, f"Sent {since} ago, so it is asked again.")
        self._heard(caller, line, "expired")
        self._expired.setdefault(place, []).append(f"{short(concealed(line), 40) or '(no text)'} · {since} ago")
        return None

    def _press(self, caller: Caller, query: CallbackQuery) -> asyncio.Task[Reply] | None:
        line, place = query.data or "", Place(caller.chat_id, thread_of(query.message), caller.user_id)
        verdict = self._offers.press(caller.chat_id, caller.user_id, line)
        work = self._work(caller, line) if verdict is Press.GOOD else None
        if verdict is not Press.FOREIGN and carried(query):  # what is forged takes nobody's buttons away
            self._spawn(self._strip(query))
        if work is not None:
            self._spawn(self._pressed(query, place, work))
            return work
        self._heard(caller, line, "refused")
        again = verdict is Press.OLD and line.startswith("/flatten yes")
        self._spawn(self._refused(query, place, verdict.value, instead=again))
        return self._begin(caller, "/flatten", place, Press.OLD.value) if again else None

    def _begin(self, caller: Caller, line: str, place: Place, note: str = "") -> asyncio.Task[Reply]:
        work = self._work(caller, line)
        self._spawn(self._deliver(work, place, concealed(line), note))
        return work

    def _work(self, caller: Caller, line: str) -> asyncio.Task[Reply]:
        return self._spawn(self._answered(caller, line))

    async def _answered(self, caller: Caller, line: str) -> Reply:
        """Never raises an Exception."""
        user = caller.user_id
        try:
            if parse(line)[0] in QUICK:
                return await self._answer(caller, line)
            if self._waiting[user] >= MOST_WAITING:
                what = code(short(concealed(line), 40))
                return self._own(text(what, " was not done: too many of your commands wait."))
            self._waiting[user] += 1
            try:
                async with self._turns[user]:
                    return await self._answer(caller, line)
            finally:
                self._waiting[user] -= 1
        except Exception as problem:
            self._problem(f"command {short(concealed(line), 80)!r} of {caller.name}", problem)
            return self._sorry(problem)

    # Answers.

    async def _deliver(self, work: asyncio.Task[Reply], place: Place, line: str, note: str = "") -> None:
        """What the end of the service cut off is told after the next start."""
        try:
            said = await work
        except asyncio.CancelledError:
            cut = text(code(short(line, 40)), " was cut off by the end of the service. Look at the state.")
            self._outbox.put(self._own(cut), [place.chat_id])
            raise
        if await self._replies.reply(place, lines(italic(note), said) if note else said):
            self._delivered(said)

    # Presses.

    async def _pressed(self, query: CallbackQuery, place: Place, work: asyncio.Task[Reply]) -> None:
        """The verdict as a toast where it comes at once, and the whole answer as a message."""
        await asyncio.wait({work}, timeout=self._toast_s)
        ready = work.done() and not work.cancelled()
        said = short(work.result().to_plain(), 190) if ready else "Working on it: the answer comes as a message."
        toast = self._spawn(self._toast(query, said))
        await self._deliver(work, place, query.data or "")
        await toast

    async def _refused(self, query: CallbackQuery, place: Place, why: str, *, instead: bool) -> None:
        """A toast; as a message where Telegram shows no toast any more and no other message says it."""
        if not await self._toast(query, why) and not instead:
            await self._replies.reply(place, self._own(text(why)))

    async def _toast(self, query: CallbackQuery, said: str | None) -> bool:
        with suppress(Exception):
            return await self._bot.answer_callback_query(query.id, said)
        return False

    async def _strip(self, query: CallbackQuery) -> None:
        """The buttons vanish. Where that fails they stay, and do nothing."""
        if query.message is not None:
            with suppress(Exception):
                await self._bot.edit_message_reply_markup(query.message.chat.id, query.message.message_id)

    def _hush(self, query: CallbackQuery | None) -> None:
        """Stop a stranger's spinner, with nothing said; a flood of them is left spinning."""
        if query is not None and self._hushes < MOST_HUSHES:
            self._hushes += 1
            self._spawn(self._toast(query, None)).add_done_callback(self._hushed)

    def _hushed(self, _: asyncio.Task[bool]) -> None:
        self._hushes -= 1

    # What must not stay in a chat.

    async def _erase(self, message: Message, place: Place) -> None:
        """A pasted login address goes from the chat, whatever becomes of the login. Where Telegram does not let us, its
        writer is told."""
        for pause in (*ERASE_PAUSES, None):
            try:
                await self._bot.delete_message(message.chat_id, message.message_id)
                return
            except Exception as problem:
                verdict = judge(problem)
            if "not found" in verdict.error.lower():
                return
            if pause is None or verdict.word not in ("wait", "unsent", "lost"):
                break
            await self._sleep(max(pause, min(verdict.seconds, 30.0)))
        self._log(f"phone: a login address in chat {message.chat_id} could not be removed: {verdict.error}")
        said = text(bold("Delete your message yourself:"), " the login address in it could not be removed.")
        await self._replies.reply(place, self._own(said))

    # Small things.

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(problem := task.exception(), Exception):
            self._problem("answer", problem)

    def _problem(self, what: str, problem: Exception) -> None:
        with suppress(Exception):
            self._log_error(mask_text(what), problem)

    def _heard(self, caller: Caller, line: str, outcome: str) -> None:
        try:
            self._audit(Heard(caller.name, caller.role, caller.session, *_record(line), outcome))
        except Exception as problem:
            self._problem("audit", problem)

    def _own(self, said: Reply) -> Reply:
        return headed(self._label, said)

    def _sorry(self, problem: Exception) -> Reply:
        return self._own(
            lines(
                text(bold("Sorry, that went wrong"), f" ({type(problem).__name__})."),
                "Trading goes on without this answer. Look at the state before you repeat.",
            )
        )


def _record(line: str) -> tuple[str, str]:
    """Line and command of a record: of a login address neither."""
    return (concealed(line), "") if holds_code(line) else (mask_text(line), parse(line)[0])


def _expired(said: list[str]) -> Reply:
    more = len(said) - 20
    return lines(
        text(bold("Expired, not done:"), f" {count(len(said), 'message')} came too late."),
        *(code(one) for one in said[-20:]),
        f"and {count(more, 'older one')}." if more > 0 else "",
        "Send again what you still want. Sent just now? Then the clock of the bot's machine is fast.",
    )
