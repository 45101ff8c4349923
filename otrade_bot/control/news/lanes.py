"""One way a chat, two lanes on it: each lane's messages in order, one at a time, until Telegram has taken each.

Risk, fills and answers go before news. A message whose answer was lost is sent again and says so; one that
surely did not leave is sent again as it was. A chat that waits stops no other one. Times to wait are given to
``sleep``, so tests need none.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from otrade_bot.control.news.batch import REPEAT, ROOM, Echoes, is_digest, picked, rendered
from otrade_bot.control.news.entry import LANES, Entry, Item, LaneName
from otrade_bot.control.news.file import OutboxFile
from otrade_bot.control.news.pace import Pace
from otrade_bot.control.reply import Reply, text
from otrade_bot.core.clock import SECOND

if TYPE_CHECKING:
    from otrade_bot.control.phone.errors import Verdict

__all__ = ["REPEAT", "ROOM", "Lane", "LaneState", "Sender", "Surroundings"]

#: A lane lags, and packs, when so many wait or the oldest one waits so long.
_CROWD, _OLD = 4, 5 * SECOND
#: Seconds: the first wait after an error and the longest one; a chat that is closed, a token that is refused.
_FIRST, _LONGEST, _BLOCKED, _REFUSED = 1.0, 30.0, 600.0, 60.0
#: Messages that may go beyond the pace of a chat when the service ends: Telegram bears a burst.
_FAREWELL = 10
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
    overall: Pace  #: of all chats together
    pace: Callable[[int], Pace]  #: of one chat
    news: Callable[[], Pace]  #: of its news


class Lane:
    """The messages of one chat. ``run`` for ever, at most once at a time."""

    def __init__(self, chat_id: int, around: Surroundings, items: Iterable[Item] = ()) -> None:
        self.chat_id, self._around = chat_id, around
        self._queues: dict[LaneName, deque[Item]] = {name: deque() for name in LANES}
        for item in items:
            self._queues[item.entry.lane].append(item)
        self.word: LaneWord = "idle"
        self.hurry = False  #: the service ends: news are not held back any more
        self._error, self._again_ns = "", 0
        self._news, self._wake = asyncio.Event(), asyncio.Event()
        self._target = chat_id  #: Telegram may have moved a group
        self._failures = self._breaks = 0
        self._plain = False  #: the message at the head was refused with its styles
        self._singly = 0  #: so many come one by one: together they were refused
        self._whole = 0  #: so many are not put together: their digest was refused
        self._trouble: LaneName | None = None  #: the lane of which this is true
        self._pace, self._news_pace = around.pace(chat_id), around.news()
        self._echoes = Echoes()
        self._paced = False  #: it had to wait its turn, so what came meanwhile goes along

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    @property
    def items(self) -> list[Item]:
        """What waits, lane by lane."""
        return [item for queue in self._queues.values() for item in queue]

    def put(self, entry: Entry) -> None:
        self._queues[entry.lane].append(Item(entry))
        self._news.set()

    def clear(self) -> int:
        """Forget what waits; how many that were."""
        dropped = self.items
        if dropped:
            self._around.file.note("done", self.chat_id, dropped)
        for queue in self._queues.values():
            queue.clear()
        return len(dropped)

    def wake(self) -> None:
        """Try again now, unless Telegram named a time."""
        self._wake.set()

    def hasten(self) -> None:
        """From now on hold nothing back but for Telegram's limits."""
        self.hurry = True
        self._news.set()

    def lag_s(self) -> float:
        oldest = min((queue[0].entry.put_ns for queue in self._queues.values() if queue), default=None)
        return 0.0 if oldest is None else max(0, self._around.wall_ns() - oldest) / SECOND

    def state(self) -> LaneState:
        return LaneState(self.chat_id, self.word, len(self), self.lag_s(), self._error, self._again_ns)

    async def run(self, sender: Sender) -> None:
        """Send what comes, for ever. Nothing but cancellation ends it."""
        while True:
            try:
                await self._step(sender)
            except Exception as error:
                self._around.log_error(f"outbox, chat {self.chat_id}: {type(error).__name__}: {error}")
                await self._rest("offline", _LONGEST)

    async def _step(self, sender: Sender) -> None:
        self._news.clear()
        lane = next((name for name, queue in self._queues.items() if queue), None)
        if lane is None:
            self.word, self._paced = "idle", False
            self._around.moved_on()
            await self._news.wait()
            return
        if (pause := self._pause(lane)) > 0:
            self._paced = True
            await self._until_its_turn(pause)
            return
        await self._send(sender, lane)
        self._around.moved_on()

    async def _send(self, sender: Sender, lane: LaneName) -> None:
        batch = self._batch(lane)
        self.word, self._paced = "sending", False
        now = self._around.wall_ns()
        for pace in (self._around.overall, self._pace, *([self._news_pace] if lane == "news" else [])):
            pace.take(now)
        verdict = await self._attempt(sender, lane, batch)
        if verdict is None:
            self._done(lane, batch)
        else:
            await self._failed(lane, batch, verdict)

    def _pause(self, lane: LaneName) -> float:
        """Seconds until the limits allow the next message."""
        now = self._around.wall_ns()
        beyond = _FAREWELL if self.hurry else 0
        pause = max(self._around.overall.wait_s(now), self._pace.wait_s(now, beyond))
        if lane != "news" or self.hurry:
            return pause
        waiting = self._queues["news"]
        return max(pause, self._news_pace.wait_s(now), self._gather_s(waiting, now), self._echoes.hold_s(waiting, now))

    def _gather_s(self, waiting: deque[Item], now_ns: int) -> float:
        """Seconds until the oldest has waited for its like; 0 where one has sound, or is in doubt."""
        if any(item.doubtful or not item.entry.silent for item in waiting):
            return 0.0
        age = (now_ns - waiting[0].entry.put_ns) / SECOND
        return max(0.0, self._news_pace.gather_s - age) if age >= 0 else 0.0

    async def _until_its_turn(self, seconds: float) -> None:
        """Or until something comes, which may go before what is held."""
        self.word = "sending"
        self._around.moved_on()
        await self._either(self._around.sleep(seconds), self._news.wait())

    def _batch(self, lane: LaneName) -> list[Item]:
        """What goes next: one, or several of a lane that lags."""
        queue = self._queues[lane]
        if self._trouble == lane and self._singly:
            return [queue[0]]
        now = self._around.wall_ns()
        whole = self._trouble == lane and self._whole > 0
        return picked(queue, lane, now, lagging=self._paced or self._lags(queue, now), whole=whole)

    @staticmethod
    def _lags(queue: deque[Item], now_ns: int) -> bool:
        return len(queue) >= _CROWD or now_ns - queue[0].entry.put_ns > _OLD

    async def _attempt(self, sender: Sender, lane: LaneName, batch: list[Item]) -> Verdict | None:
        """None when Telegram has taken it."""
        from otrade_bot.control.phone.errors import judge  # the library: only where something is sent

        message = rendered([item.entry for item in batch], self._around.wall_ns(), repeat=batch[0].doubtful)
        if self._plain and self._trouble == lane:
            message = text(message.to_plain())
        self._around.file.note("try", self.chat_id, batch)
        for item in batch:
            item.lost, item.trying = item.doubtful, True
        try:
            await sender.send(self._target, message, silent=all(item.entry.silent for item in batch))
        except Exception as error:
            return judge(error)
        return None

    def _done(self, lane: LaneName, batch: list[Item]) -> None:
        self._around.file.note("done", self.chat_id, batch)
        self._drop(lane, batch)
        self._echoes.note((item.entry for item in batch), self._around.wall_ns())
        self._failures, self._error = 0, ""

    def _drop(self, lane: LaneName, batch: list[Item]) -> None:
        queue = self._queues[lane]
        for item in batch:
            if queue and queue[0] is item:  # cleared meanwhile
                queue.popleft()
        if self._trouble != lane:
            return
        self._plain, self._breaks = False, 0
        self._singly, self._whole = max(0, self._singly - len(batch)), max(0, self._whole - len(batch))

    async def _failed(self, lane: LaneName, batch: list[Item], verdict: Verdict) -> None:
        if verdict.error != self._error:
            self._error = verdict.error
            self._around.log_error(f"outbox, chat {self.chat_id}: {verdict.word}: {verdict.error}")
        if verdict.word not in ("lost", "broken"):
            self._around.file.note("back", self.chat_id, batch)
            for item in batch:
                item.trying = False
        match verdict.word:
            case "wait":
                self._pace.drain(self._around.wall_ns())
                await self._rest("waiting", verdict.seconds, wakeable=False)
            case "blocked":
                await self._rest("blocked", _BLOCKED)
            case "refused":
                await self._rest("refused", _REFUSED)
            case "unshowable":
                self._unshowable(lane, batch, verdict.error)
            case "broken":
                await self._broken(lane, batch, verdict.error)
            case _:
                self._target = verdict.chat_id or self._target
                await self._rest("offline", self._back_off())

    async def _broken(self, lane: LaneName, batch: list[Item], error: str) -> None:
        self._about(lane)
        self._breaks += 1
        if self._breaks >= _BREAKS:
            self._plain = True
            self._unshowable(lane, batch, error)
        else:
            await self._rest("offline", self._back_off())

    def _about(self, lane: LaneName) -> None:
        """What is remembered of refusals is about one lane: another one's begins anew."""
        if self._trouble != lane:
            self._trouble = lane
            self._plain, self._breaks, self._singly, self._whole = False, 0, 0, 0

    def _unshowable(self, lane: LaneName, batch: list[Item], error: str) -> None:
        """First without styles, then a digest as packs and a pack one by one, then not at all."""
        self._about(lane)
        if not self._plain:
            self._plain = True
            return
        if len(batch) > 1:
            self._plain, self._breaks = False, 0
            if is_digest([item.entry for item in batch]):
                self._whole = len(batch)
            else:
                self._singly = len(batch)
            return
        self._around.file.note("done", self.chat_id, batch)
        self._drop(lane, batch)
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
        try:
            await self._either(self._around.sleep(seconds), self._wake.wait() if wakeable else asyncio.Event().wait())
        finally:
            self._again_ns = 0

    @staticmethod
    async def _either(nap: Awaitable[object], event: Awaitable[object]) -> None:
        waits = [asyncio.ensure_future(nap), asyncio.ensure_future(event)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
