"""One lane a chat: its messages in order, one at a time, until Telegram has said ok to each.

A message whose answer was lost is sent again and says so; one that surely did not leave is sent again as it
was. A lane that waits stops no other one. Times to wait are given to ``sleep``, so tests need none.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import TYPE_CHECKING, Literal, Protocol

from otrade_bot.control.news.file import Entry, Item, OutboxFile
from otrade_bot.control.reply import LIMIT, Reply, Run, italic, lines, text
from otrade_bot.core.clock import MINUTE, SECOND

if TYPE_CHECKING:
    from otrade_bot.control.phone.errors import Verdict

__all__ = ["ROOM", "Lane", "LaneState", "Sender", "Surroundings"]

#: Longest message before what a lane may add to it (late, repeat).
ROOM = LIMIT - 160

REPEAT = "(repeat: Telegram's answer was lost)"

#: Delivered later than this says so.
_LATE = 60 * SECOND
#: A lane lags, and packs, when so many wait or the oldest one waits so long.
_CROWD, _OLD = 4, 5 * SECOND
#: Most in one pack; Telegram shows the styles of the first 100 pieces of a message only.
_PACK = 30
#: Seconds: the first wait after an error and the longest one; a chat that is closed, a token that is refused.
_FIRST, _LONGEST, _BLOCKED, _REFUSED = 1.0, 30.0, 600.0, 60.0
#: A message on which the sender itself breaks is given up after so many attempts.
_BREAKS = 5

LaneWord = Literal["idle", "sending", "waiting", "offline", "blocked", "refused"]


class Sender(Protocol):
    """What carries one message. Raises ``telegram.error.*`` as they come."""

    async def send(self, chat_id: int, reply: Reply, *, silent: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class LaneState:
    """How one chat is doing. ``word``: idle, sending, waiting (a 429), offline, blocked (by the person), refused
    (the token)."""

    chat_id: int
    word: LaneWord
    waiting: int
    lag_s: float  #: age of the oldest unsent, wall
    error: str  #: the last one, empty after a success
    again_ns: int  #: wall time of the next attempt, 0 where none is put off


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What lanes share."""

    file: OutboxFile
    wall_ns: Callable[[], int]
    sleep: Callable[[float], Awaitable[None]]
    spread: Callable[[], float]  #: 0 to 1, for the jitter of back-offs
    log_error: Callable[[str], None]
    give_up: Callable[[int, Entry, str], None]  #: chat, message, error
    moved_on: Callable[[], None]  #: after every step


class Lane:
    """The messages of one chat. ``run`` for ever, at most once at a time."""

    def __init__(self, chat_id: int, around: Surroundings, items: deque[Item] | None = None) -> None:
        self.chat_id, self._around = chat_id, around
        self.items: deque[Item] = items if items is not None else deque()
        self.word: LaneWord = "idle"
        self._error, self._again_ns = "", 0
        self._news, self._wake = asyncio.Event(), asyncio.Event()
        self._target = chat_id  #: Telegram may have moved a group
        self._failures = self._breaks = 0
        self._plain = False  #: the message at the head was refused with its styles
        self._singly = 0  #: so many come one by one: together they were refused

    def put(self, entry: Entry) -> None:
        self.items.append(Item(entry))
        self._news.set()

    def clear(self) -> int:
        """Forget what waits; how many that were."""
        dropped = list(self.items)
        if dropped:
            self._around.file.note("done", self.chat_id, dropped)
        self.items.clear()
        return len(dropped)

    def wake(self) -> None:
        """Try again now, unless Telegram named a time."""
        self._wake.set()

    def lag_s(self) -> float:
        return max(0, self._around.wall_ns() - self.items[0].entry.put_ns) / SECOND if self.items else 0.0

    def state(self) -> LaneState:
        return LaneState(self.chat_id, self.word, len(self.items), self.lag_s(), self._error, self._again_ns)

    async def run(self, sender: Sender) -> None:
        """Send what comes, for ever. Nothing but cancellation ends it."""
        while True:
            try:
                await self._step(sender)
            except Exception as error:
                self._around.log_error(f"outbox, chat {self.chat_id}: {type(error).__name__}: {error}")
                await self._rest("offline", _LONGEST)

    async def _step(self, sender: Sender) -> None:
        if not self.items:
            self.word = "idle"
            self._around.moved_on()
            self._news.clear()
            await self._news.wait()
            return
        batch = self._batch()
        self.word = "sending"
        verdict = await self._attempt(sender, batch)
        if verdict is None:
            self._done(batch)
        else:
            await self._failed(batch, verdict)
        self._around.moved_on()

    def _batch(self) -> list[Item]:
        """What goes next: one, or several of a lane that lags; a doubtful pack again as it was."""
        head = self.items[0]
        batch, room = [head], ROOM - head.entry.units
        if self._singly or not (head.doubtful or self._lags(head)):
            return batch
        for item in islice(self.items, 1, _PACK):
            room -= item.entry.units + 2
            if room < 0 or item.doubtful is not head.doubtful:
                break
            batch.append(item)
        return batch

    def _lags(self, head: Item) -> bool:
        return len(self.items) >= _CROWD or self._around.wall_ns() - head.entry.put_ns > _OLD

    async def _attempt(self, sender: Sender, batch: list[Item]) -> Verdict | None:
        """None when Telegram has taken it."""
        from otrade_bot.control.phone.errors import judge  # the library: only where something is sent

        message = rendered([item.entry for item in batch], self._around.wall_ns(), repeat=batch[0].doubtful)
        if self._plain:
            message = text(message.to_plain())
        self._around.file.note("try", self.chat_id, batch)
        for item in batch:
            item.lost, item.trying = item.doubtful, True
        try:
            await sender.send(self._target, message, silent=all(item.entry.silent for item in batch))
        except Exception as error:
            return judge(error)
        return None

    def _done(self, batch: list[Item]) -> None:
        self._around.file.note("done", self.chat_id, batch)
        self._drop(batch)
        self._failures, self._error = 0, ""

    def _drop(self, batch: list[Item]) -> None:
        for item in batch:
            if self.items and self.items[0] is item:  # cleared meanwhile
                self.items.popleft()
        self._plain, self._breaks = False, 0
        self._singly = max(0, self._singly - len(batch))

    async def _failed(self, batch: list[Item], verdict: Verdict) -> None:
        if verdict.error != self._error:
            self._error = verdict.error
            self._around.log_error(f"outbox, chat {self.chat_id}: {verdict.word}: {verdict.error}")
        if verdict.word not in ("lost", "broken"):
            self._around.file.note("back", self.chat_id, batch)
            for item in batch:
                item.trying = False
        match verdict.word:
            case "wait":
                await self._rest("waiting", verdict.seconds, wakeable=False)
            case "blocked":
                await self._rest("blocked", _BLOCKED)
            case "refused":
                await self._rest("refused", _REFUSED)
            case "unshowable":
                self._unshowable(batch, verdict.error)
            case "broken" if self._breaks + 1 >= _BREAKS:
                self._plain = True
                self._unshowable(batch, verdict.error)
            case _:
                self._breaks += verdict.word == "broken"
                self._target = verdict.chat_id or self._target
                await self._rest("offline", self._back_off())

    def _unshowable(self, batch: list[Item], error: str) -> None:
        """First without styles, then a pack one by one, then not at all."""
        if not self._plain:
            self._plain = True
            return
        if len(batch) > 1:
            self._plain, self._breaks, self._singly = False, 0, len(batch)
            return
        self._around.file.note("done", self.chat_id, batch)
        self._drop(batch)
        self._around.give_up(self.chat_id, batch[0].entry, error)

    def _back_off(self) -> float:
        longest = min(_FIRST * 2.0 ** min(self._failures, 10), _LONGEST)
        self._failures += 1
        return longest * (0.5 + 0.5 * self._around.spread())

    async def _rest(self, word: LaneWord, seconds: float, *, wakeable: bool = True) -> None:
        self.word = word
        self._again_ns = self._around.wall_ns() + round(seconds * SECOND)
        self._around.moved_on()
        self._wake.clear()
        nap = asyncio.ensure_future(self._around.sleep(seconds))
        woken = asyncio.ensure_future(self._wake.wait() if wakeable else asyncio.Event().wait())
        try:
            await asyncio.wait((nap, woken), return_when=asyncio.FIRST_COMPLETED)
        finally:
            nap.cancel()
            woken.cancel()
            self._again_ns = 0


def rendered(entries: Sequence[Entry], now_ns: int, *, repeat: bool) -> Reply:
    """One message of several: a last line that neighbours share (the label) once, then how late they are."""
    groups = [
        lines(_paragraphs([_divided(entry.reply)[0] for entry in group]), tail)
        for tail, group in groupby(entries, key=lambda entry: _divided(entry.reply)[1])
    ]
    late = late_text([now_ns - entry.put_ns for entry in entries])
    return lines(_paragraphs(groups), italic(late) if late else "", italic(REPEAT) if repeat else "")


def late_text(ages: Sequence[int]) -> str:
    """'delivered 12 min late'; of several '3 to 12 min late'. Empty where none is late."""
    if max(ages) <= _LATE:
        return ""
    first, last = (max(0, age) // MINUTE for age in (min(ages), max(ages)))
    span = f"{last}" if first == last else f"{first} to {last}"
    return f"delivered {span} min late"


def _paragraphs(parts: Sequence[Reply]) -> Reply:
    if len(parts) == 1:
        return parts[0]
    return text(*(piece for part in parts[:-1] for piece in (part, "\n\n")), parts[-1])


def _divided(reply: Reply) -> tuple[Reply, Reply]:
    """The message without its last line and that line, where the whole line is italic."""
    runs = reply.runs
    if len(runs) < 2 or runs[-1].tags != ("i",) or "\n" in runs[-1].text or not runs[-2].text.endswith("\n"):
        return reply, Reply()
    before = Run(runs[-2].text[:-1], runs[-2].tags)
    return Reply((*runs[:-2], *([before] if before.text else []))), Reply(runs[-1:])
