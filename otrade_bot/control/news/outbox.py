"""Messages for chats, kept on disk from before they are sent until Telegram has taken them.

``put`` is called from the trading path: one append, no flush, no network, and it never raises. Each chat has its own
sender with two lanes (``control/news/lanes.py``); what is on disk is in ``control/news/file.py``.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from otrade_bot.control.news.entry import NOTHING, Entry, LaneName, What, html_units
from otrade_bot.control.news.file import OutboxFile, Waiting
from otrade_bot.control.news.lanes import ROOM, Lane, LaneState, Sender, Surroundings
from otrade_bot.control.news.pace import Pace
from otrade_bot.control.reply import Reply, Run, text
from otrade_bot.core.lang import Language, language, speaking, t
from otrade_bot.core.masking import mask_text

__all__ = ["LaneState", "Outbox", "Parcel", "Sender"]

_log = logging.getLogger("otrade.system")


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message to several chats. ``lane``: "first" (risk, fills, answers) or "news"; ``what``: the event it tells;
    ``language``: of what the outbox may add to it."""

    reply: Reply
    chats: Sequence[int]
    silent: bool = False
    lane: LaneName = "first"
    what: What = NOTHING
    language: Language = "en"


class Outbox:
    """``admins``: the chats that are told when a message could not be shown. ``sleep``, ``spread`` (0 to 1,
    the jitter of back-offs) and the paces (of a chat, of its news, of all) are for tests.

    Raises JournalException where ``path`` cannot be opened or another process has it.
    """

    def __init__(
        self,
        path: Path,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        log_error: Callable[[str], None] = _log.error,
        admins: Callable[[], Sequence[int]] = tuple,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        spread: Callable[[], float] = random.random,
        pace: Callable[[int], Pace] = Pace.of_chat,
        news: Callable[[], Pace] = Pace.of_news,
        overall: Callable[[], Pace] = Pace.overall,
    ) -> None:
        self._file = OutboxFile(path, log_error)
        self._wall_ns, self._log_error, self._admins = wall_ns, log_error, admins
        self._around = Surroundings(
            self._file, wall_ns, sleep, spread, log_error, self._given_up, self._moved_on, overall(), pace, news
        )
        waiting, highest = self._file.load()
        self._numbers = count(highest + 1)
        self._lanes = {chat: Lane(chat, self._around, items) for chat, items in waiting.items()}
        self._opened, self._moved = asyncio.Event(), asyncio.Event()
        self._file.rewrite(self._waiting())

    def put(self, reply: Reply, chats: Sequence[int], *, silent: bool = False, of: str = "") -> None:
        """A message to each of these chats, once each, before all news; in the language that is spoken.

        Longer ones become several. A disk that fails keeps them in memory, and is told once. ``of`` names the event
        that it tells. Buttons are sent while they are fresh, lasting ones always.
        """
        self.put_all([Parcel(reply, chats, silent, language=language())], of=of)

    def put_all(self, parcels: Sequence[Parcel], *, of: str = "") -> None:
        """Several at once, in one write: what one event means to different people. ``of`` stands with the last, so
        that after a kill in the middle of the write the event counts as untold."""
        entries = [entry for parcel in parcels for entry in self._entries(parcel)]
        if not entries:
            return
        self._enter([*entries[:-1], replace(entries[-1], of=of)])

    @property
    def newest(self) -> str:
        """The last event that was put, also by a process before this one; '' where there was none."""
        return self._file.newest

    @property
    def waiting(self) -> int:
        """Messages not taken yet; one to two chats counts twice."""
        return sum(map(len, self._lanes.values()))

    def lag_s(self) -> float:
        """Age of the oldest unsent one, wall; 0 where none waits."""
        return max((lane.lag_s() for lane in self._lanes.values()), default=0.0)

    def lanes(self) -> tuple[LaneState, ...]:
        """How each chat is doing."""
        return tuple(lane.state() for lane in self._lanes.values())

    async def run(self, sender: Sender) -> None:
        """Send for ever; only cancellation ends it. What was under way then is in doubt, as after a kill."""
        started: set[int] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                self._opened.clear()
                for chat, lane in self._lanes.items():
                    if chat not in started:
                        started.add(chat)
                        group.create_task(lane.run(sender), name=f"outbox {chat}")
                await self._opened.wait()

    def wake(self, chat_id: int | None = None) -> None:
        """Telegram is there again, or this person wrote: try now. A 429's time is waited for all the same."""
        for chat, lane in self._lanes.items():
            if chat_id is None or chat == chat_id:
                lane.wake()

    def restrict(self, chats: Collection[int]) -> int:
        """Drop what waits for every other chat, of people who may not read it any more. How many that were."""
        dropped = sum(lane.clear() for chat, lane in self._lanes.items() if chat not in chats)
        if dropped:
            self._log_error(f"outbox: {dropped} messages to chats that are not in telegram.json were dropped")
        return dropped

    async def flush(self, seconds: float) -> int:
        """Wait until nothing can be sent any more, at most so long; how many are left. They stay on disk."""
        for lane in self._lanes.values():
            lane.hasten()
            if lane.word == "offline":
                lane.wake()
        try:
            async with asyncio.timeout(seconds):
                while any(len(lane) and lane.word not in ("blocked", "refused") for lane in self._lanes.values()):
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            pass
        for lane in self._lanes.values():
            lane.hurry = False
        return self.waiting

    def close(self) -> None:
        """Release the file. What waits is in it."""
        self._file.close()

    def _entries(self, parcel: Parcel) -> Iterator[Entry]:
        chats = tuple(dict.fromkeys(parcel.chats))
        now, clean = self._wall_ns(), _masked(parcel.reply)
        parts = [clean] if html_units(clean) <= ROOM else clean.split(ROOM)
        shown = [part for part in parts if part.to_plain().strip()] if chats else []
        for place, part in enumerate(shown):
            whole = replace(part, picture=clean.picture if place == 0 else None)
            yield Entry(
                next(self._numbers), chats, whole, parcel.silent, now, html_units(part), lane=parcel.lane,
                what=parcel.what, language=parcel.language,
            )  # fmt: skip

    def _enter(self, entries: Sequence[Entry]) -> None:
        self._file.add(entries)
        for entry in entries:
            for chat in entry.chats:
                self._lane(chat).put(entry)

    def _lane(self, chat: int) -> Lane:
        lane = self._lanes.get(chat)
        if lane is None:
            lane = self._lanes[chat] = Lane(chat, self._around)
            self._opened.set()
        return lane

    def _waiting(self) -> Waiting:
        return {chat: lane.items for chat, lane in self._lanes.items()}

    def _moved_on(self) -> None:
        self._moved.set()
        self._file.tidy(self.waiting, self._waiting, self._wall_ns())

    def _given_up(self, chat: int, entry: Entry, error: str) -> None:
        """Say it where it can be read; once, lest one fault becomes a flood."""
        head = entry.reply.to_plain()[:200]
        self._log_error(f"outbox, chat {chat}: a message could not be shown ({error}): {head!r}")
        if not entry.about:
            others = [admin for admin in self._admins() if admin != chat] or [chat]
            with speaking(entry.language):
                said = t("A message to chat {chat} could not be shown and was given up: {error}. The log has its text.",
                         chat=chat, error=error)  # fmt: skip
            self._enter([replace(one, about=True) for one in self._entries(Parcel(text(said), others))])


def _masked(reply: Reply) -> Reply:
    runs = tuple(Run(mask_text(run.text), run.tags) for run in reply.runs)
    actions = (replace(one, label=mask_text(one.label), line=mask_text(one.line)) for one in reply.actions)
    return Reply(runs, tuple(actions), reply.picture)
