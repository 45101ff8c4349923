"""The phone: Telegram as a mouth of the command table.

Every update passes the gate before anything else happens. Emergency commands run at once, in the order in which
they came; others one at a time for each person, so that a slow one delays neither them nor anybody else. Sending
has its own connections: a chat that hangs holds up no other one, and never the listening.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

from telegram import Message, Update
from telegram.error import BadRequest, InvalidToken
from telegram.request import HTTPXRequest

from otrade_bot.control.commands import Heard, parse
from otrade_bot.control.phone.buttons import Offers, Shelf
from otrade_bot.control.phone.erase import erase
from otrade_bot.control.phone.gate import Caller, Gate, headed
from otrade_bot.control.phone.inbox import addressed, knock_of, line_of, secondhand, thread_of
from otrade_bot.control.phone.menus import Menu, Menus
from otrade_bot.control.phone.pace import Pace
from otrade_bot.control.phone.poller import Line, Patience, PhoneState, Poller
from otrade_bot.control.phone.presses import Presses
from otrade_bot.control.phone.replies import Parcels, Place, Replies
from otrade_bot.control.phone.replyact import answers_us, deed
from otrade_bot.control.phone.turns import QUICK, Answer, Turns
from otrade_bot.control.reply import Reply, bold, code, italic, lines, text
from otrade_bot.control.words import ago, short
from otrade_bot.core.clock import SECOND
from otrade_bot.core.lang import t
from otrade_bot.core.masking import mask_text, register_secret
from otrade_bot.core.onetime import invitation, six_digits
from otrade_bot.core.redirects import concealed, secret

__all__ = ["QUICK", "Parcels", "Phone"]

#: What a person may send in a minute that is no command (forwarded, too late, made up); more is not even told.
MOST_ASIDES = 60
#: One person's messages that are being removed at a time: more would keep the connections from others.
MOST_ERASED = 4

_TOKEN = re.compile(r"\d+:[A-Za-z0-9_-]+")


class Phone:
    """``run`` listens and answers, ``send`` is the outbox's way out.

    ``answer`` turns a caller's line into a reply; it must reach the command without an ``await`` of its own, or the
    order of /pause and /resume is lost. ``label`` is the mode that stands on top of every message. ``audit`` hears of
    what was refused here and never reached ``answer``, ``delivered`` of answers that are in their chat. ``menu`` gives
    the commands that a person's phone offers, ``acts`` says of a line whether it may change something, ``may`` whether
    that caller may say it, ``awaits`` of a caller whether six digits are a code, ``speaking`` his language, ``symbols``
    what may be named. ``shelf`` keeps lasting buttons. ``log`` takes masked lines. ``wall`` gives seconds since the
    epoch: the age of a message is judged by it. ``steady`` gives seconds that always advance.
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
        menu: Menu | None = None,
        acts: Callable[[str], bool] = lambda line: True,
        may: Callable[[Caller, str], bool] = lambda caller, line: True,
        symbols: Callable[[], Sequence[str]] = tuple,
        shelf: Shelf | None = None,
        awaits: Callable[[Caller], bool] = lambda caller: False,
        speaking: Callable[[Caller], AbstractContextManager[None]] = lambda caller: nullcontext(),
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
        self._gate, self._outbox, self._symbols, self._speaking = gate, outbox, symbols, speaking
        self._label, self.delivered, self._awaits = label, delivered, awaits
        self._log, self._log_error, self._audit = log, log_error, audit
        self._stale_s, self._settle_s = stale_s, settle_s
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
        self.offers = Offers(steady, acts=acts, shelf=shelf)
        self._replies = Replies(self._bot, outbox, self.offers, log, sleep)
        self._turns = Turns(answer, self.own, self._sorry)
        self._presses = Presses(
            self._bot, self.offers, self._replies, self, acts, lambda: self._poller.deaf_s, stale_s, toast_s,
            may,
        )  # fmt: skip
        self._asides = Pace(lambda: MOST_ASIDES, steady)
        self._erasing: defaultdict[int, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(MOST_ERASED))
        self._menus = Menus(self._bot, lambda: gate.callers, menu, log) if menu is not None else None
        self._begun: list[asyncio.Task[Reply]] = []
        self._expired: dict[Place, tuple[Caller, list[str]]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._warned: float | None = None

    @property
    def bot(self) -> Line:
        """For what edits messages of its own."""
        return self._bot

    @property
    def username(self) -> str:
        """The bot's name at Telegram; '' until Telegram has said it."""
        return self._username

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
        topic = self._gate.topic_of(chat_id)
        try:
            await self._replies.send(chat_id, reply, silent=silent, thread=topic)
        except BadRequest as error:
            if topic is None or "thread" not in str(error).lower():
                raise
            await self._replies.send(chat_id, reply, silent=silent)  # the topic is gone: better there than nowhere

    def _check_token(self) -> None:
        """Raises InvalidToken, without asking Telegram, for what cannot be a token."""
        if not self._valid:
            raise InvalidToken("the token is not of the form 123456:ABC-def")

    async def _greet(self) -> None:
        self._check_token()
        self._username = (await self._bot.get_me()).username or ""
        self.show_menus()

    def show_menus(self) -> None:
        """Each person's commands, as they are now: after a start, and after a change of people or roles."""
        if self._menus is not None:
            self.spawn(self._menus.show())

    def _changed(self, state: PhoneState) -> None:
        """Back again: let the outbox try. Somebody else polls: sending still works, so say it; at most every ten
        minutes, since two pollers alternate."""
        if state.word == "polling":
            self._outbox.wake()
            if self._menus is not None and self._menus.due:
                self.show_menus()
        # After a kill Telegram may hold the poll of before for a moment: the first conflict of all proves nothing.
        if state.word != "conflict" or (state.last_ok == 0 and state.times < 2):
            return
        now = self._steady()
        if self._warned is not None and now - self._warned < 600:
            return
        self._warned = now
        self._gate.tell_admins(
            lambda: lines(
                bold(t("Commands may not reach this bot")),
                t("Telegram says that another program asks for its messages, or that a webhook is set."),
                t(state.cure),
                text("Telegram: ", code(state.error)),
            )
        )

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
        for place, (caller, said) in expired.items():
            with self._speaking(caller):
                self.spawn(self._replies.reply(place, self.own(_expired(said))))
        if begun:
            await asyncio.wait(begun, timeout=self._settle_s)

    def _admit(self, update: Update) -> asyncio.Task[Reply] | None:
        """The gate, then what was said. An update that cannot be handled costs itself alone."""
        knock = knock_of(update, self._username)
        if knock is None:
            return None
        caller = self._gate.passes(knock)
        if caller is None:
            self._presses.hush(update.callback_query)
            return None
        try:
            self._outbox.wake(caller.chat_id)  # who writes has not blocked us, or no more
            with self._speaking(caller):  # so do the tasks that begin here
                if update.callback_query is not None:
                    return self._presses.take(caller, update.callback_query)
                return self._message(caller, update.message) if update.message is not None else None
        except Exception as problem:
            place = Place(caller.chat_id, None, caller.user_id)
            self.spawn(self._replies.reply(place, self._sorry("update", problem)))
            return None

    def _message(self, caller: Caller, message: Message) -> asyncio.Task[Reply] | None:
        line = line_of(message).strip()
        if not addressed(message, self._username) and not (six_digits(line) and self._awaits(caller)):
            return None
        place = Place(caller.chat_id, thread_of(message), caller.user_id)
        if secret(line):
            self.spawn(self._erase(message, place))
        if secondhand(message):
            if not self.minds(caller):
                return None
            self.heard(caller, line, "refused")
            said = self.own(text(t("A forwarded message is no command: nothing was done.")))
            self.spawn(self._replies.reply(place, said))
            return None
        age = self._wall() - message.date.timestamp()  # below 0: a clock is slow, so it is of now
        if age > self._stale_s:
            return self._late(caller, line, place, age)
        if answers_us(message, self._username):
            return self._act(caller, message, line, place)
        return self.begin(caller, line, place)

    def _act(self, caller: Caller, message: Message, line: str, place: Place) -> asyncio.Task[Reply] | None:
        """An answer to a message of ours: about the symbol that is named there."""
        found = deed(message, self._symbols())
        if isinstance(found, str):
            return self.begin(caller, found, place)
        if not self.minds(caller):
            return None
        self.heard(caller, line, "usage" if found.actions else "refused")
        self.spawn(self._replies.reply(place, self.own(found)))
        return None

    def _late(self, caller: Caller, line: str, place: Place, age: float) -> asyncio.Task[Reply] | None:
        """Sent while nobody listened: a pause still holds, a flatten asks first, for the rest its moment is over."""
        name, since = parse(line)[0], ago(int(age * SECOND))
        if name == "pause":
            return self.begin(caller, line, place, t("Sent {since} ago, done now.", since=since))
        if invitation(line):  # it opened a door, and says itself for how long it does
            return self.begin(caller, line, place)
        if name == "flatten":
            return self.begin(caller, "/flatten", place, t("Sent {since} ago, so it is asked again.", since=since))
        if not self.minds(caller):
            return None
        self.heard(caller, line, "expired")
        said = short(concealed(line), 40) or t("(no text)")
        late = t("{line} · {since} ago", line=said, since=since)
        self._expired.setdefault(place, (caller, []))[1].append(late)
        return None

    def begin(self, caller: Caller, line: str, place: Place, note: str = "") -> asyncio.Task[Reply]:
        """Do it, and bring the answer."""
        work = self.work(caller, line)
        self.spawn(self.deliver(work, place, concealed(line), note))
        return work

    def work(self, caller: Caller, line: str) -> asyncio.Task[Reply]:
        """Do it; whoever asks for it brings the answer."""
        return self.spawn(self._answered(caller, line))

    async def _answered(self, caller: Caller, line: str) -> Reply:
        """Who is not heard any more when his answer is ready is told nothing."""
        said = await self._turns.answered(caller, line)
        return said if self._gate.current(caller) is not None else Reply()

    async def deliver(self, work: asyncio.Task[Reply], place: Place, line: str, note: str = "") -> None:
        """What the end of the service cut off is told after the next start."""
        try:
            said = await work
        except asyncio.CancelledError:
            was = t("was cut off by the end of the service. Look at the state.")
            cut = text(code(short(line, 40)), " ", was)
            self._outbox.put(self.own(cut), [place.chat_id])
            raise
        if await self._replies.reply(place, lines(italic(note), said) if note else said):
            self.delivered(said)

    async def _erase(self, message: Message, place: Place) -> None:
        async with self._erasing[place.owner]:
            said = await erase(self._bot, message, self._sleep, self._log)
        if said is not None:
            await self._replies.reply(place, self.own(said))

    # Small things.

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
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

    def heard(self, caller: Caller, line: str, outcome: str) -> None:
        try:
            self._audit(Heard(caller.name, caller.role, caller.session, *_record(line), outcome))
        except Exception as problem:
            self._problem("audit", problem)

    def minds(self, caller: Caller) -> bool:
        """Whether one more thing of his that is no command is told and recorded."""
        return self._asides.passes(caller.user_id, "")

    def own(self, said: Reply) -> Reply:
        return headed(self._label, said)

    def _sorry(self, what: str, problem: Exception) -> Reply:
        self._problem(what, problem)
        return self.own(
            lines(
                text(bold(t("Sorry, that went wrong")), f" ({type(problem).__name__})."),
                t("Trading goes on without this answer. Look at the state before you repeat."),
            )
        )


def _record(line: str) -> tuple[str, str]:
    """Line and command of a record: of a login address or a code neither."""
    return (concealed(line), "") if secret(line) else (mask_text(concealed(line)), parse(line)[0])


def _expired(said: list[str]) -> Reply:
    more = len(said) - 20
    return lines(
        text(bold(t("Expired, not done:")), " ", t("messages that came too late: {n}.", n=len(said))),
        *(code(one) for one in said[-20:]),
        t("and older ones: {n}.", n=more) if more > 0 else "",
        t("Send again what you still want. Sent just now? Then the clock of the bot's machine is fast."),
    )
