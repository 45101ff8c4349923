"""Whatever the network does and whenever the process dies: every message arrives, each lane in order, and what may
be shown twice says so. Floods of news come as digests, which here name all that they stand for."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from telegram.error import BadRequest, Forbidden, InvalidToken, NetworkError, RetryAfter, TimedOut

from otrade_bot.control.news import batch, digest
from otrade_bot.control.news import file as outbox_file
from otrade_bot.control.news.entry import LANES, NOTHING, LaneName, What
from otrade_bot.control.news.lanes import REPEAT
from otrade_bot.control.news.outbox import Outbox, Parcel
from otrade_bot.control.reply import LIMIT, Reply, bold, italic, lines, text
from otrade_bot.core.clock import SECOND

CHATS = (7, 8, -9)


def _caused(error: Exception, cause: Exception | None) -> Exception:
    error.__cause__ = cause
    return error


#: How an attempt ends: was it shown, is it known that it was not, the error.
ENDS = {
    "ok": (True, None),
    "lost before": (False, lambda: _caused(NetworkError("httpx.ReadError"), httpx.ReadError(""))),
    "lost after": (True, lambda: _caused(TimedOut(), httpx.ReadTimeout(""))),
    "502 after": (True, lambda: NetworkError("Bad Gateway")),
    "unsent": (False, lambda: _caused(NetworkError("httpx.ConnectError"), httpx.ConnectError(""))),
    "429": (False, lambda: RetryAfter(9)),
    "blocked": (False, lambda: Forbidden("Forbidden: bot was blocked by the user")),
    "token": (False, lambda: InvalidToken("Unauthorized")),
    "markup": (False, lambda: BadRequest("Bad Request: can't parse entities")),
}
KILLS = {"killed before": False, "killed after": True}
AMBIGUOUS = {"lost before", "lost after", "502 after"}

PUT = st.tuples(
    st.just("put"), st.sets(st.sampled_from(CHATS), min_size=1), st.booleans(), st.sampled_from([1, 40, 1000]),
    st.sampled_from(LANES),
)  # fmt: skip
FLOOD = st.tuples(st.just("flood"), st.sets(st.sampled_from(CHATS), min_size=1), st.integers(1, 9))
STEP = st.one_of(
    PUT,
    PUT,
    FLOOD,
    st.tuples(st.just("end"), st.sampled_from([*ENDS, *KILLS])),
    st.tuples(st.just("end"), st.sampled_from([*ENDS, *KILLS])),
    st.just(("settle",)),
    st.just(("restart",)),
)


class World:
    """One outbox after another over the same file, a network that does as it is told, and what the chats show."""

    def __init__(self, path: Path) -> None:
        self.path, self.now = path, 1_622_518_000 * SECOND
        self.ends: list[str] = []
        self.at_kill: bytes | None = None
        self.shown: dict[int, list[tuple[list[str], bool]]] = {chat: [] for chat in CHATS}
        self.put_in: dict[tuple[int, str], list[str]] = {(chat, lane): [] for chat in CHATS for lane in LANES}
        self.lane_of: dict[str, str] = {}
        self.digests = 0
        self.doubts: Counter[tuple[int, str]] = Counter()  #: attempts whose end nobody learned
        self.taken: set[tuple[int, str]] = set()  #: whose ok was noted
        self.flying: dict[int, list[str]] = {}
        self.wrong: list[str] = []
        self.number = 0
        self.sleepers: list[asyncio.Future[None]] = []
        self.start()

    def start(self) -> None:
        self.outbox = Outbox(
            self.path, wall_ns=lambda: self.now, log_error=lambda _: None, sleep=self.sleep, spread=lambda: 1.0
        )
        self.task = asyncio.create_task(self.outbox.run(self))

    async def sleep(self, seconds: float) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sleepers.append(done)
        await done

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        self.doubt_what_flies()
        self.outbox.close()

    async def send(self, chat_id: int, reply: Reply, *, silent: bool) -> None:
        said = reply.to_plain()
        names = list(dict.fromkeys(re.findall(r"m\d+", said)))
        self.digests += "messages in one" in said
        if self.at_kill is None:  # else dead already, and not even the attempt is on the disk
            self.flying[chat_id] = names
        await asyncio.sleep(0)
        if self.at_kill is not None:
            await asyncio.Event().wait()
        end = self.ends.pop(0) if self.ends else "ok"
        seen, error = ENDS[end] if end in ENDS else (KILLS[end], None)
        if seen:
            self.shown[chat_id].append((names, REPEAT in said))
        self.judge(chat_id, reply, names, marked=REPEAT in said)
        if end in KILLS:
            self.at_kill = self.path.read_bytes()
            self.doubt_what_flies()
            await asyncio.Event().wait()
        del self.flying[chat_id]
        for name in names:
            self.doubts[chat_id, name] += end in AMBIGUOUS
        if error is not None:
            raise error()
        self.taken.update((chat_id, name) for name in names)

    def judge(self, chat_id: int, reply: Reply, names: list[str], *, marked: bool) -> None:
        """An assertion raised in here would be an error of the sender, and be survived."""
        if len(reply.to_html().encode("utf-16-le")) // 2 > LIMIT:
            self.wrong.append(f"too long: {names}")
        for name in names:
            if (chat_id, name) in self.taken:
                self.wrong.append(f"{name} was sent to {chat_id} again although its ok was noted")
            if marked != (self.doubts[chat_id, name] > 0):
                self.wrong.append(f"{name} to {chat_id}: marked {marked}, in doubt {not marked}")

    def doubt_what_flies(self) -> None:
        """The file says that it was tried and not how that ended."""
        for chat, names in self.flying.items():
            for name in names:
                self.doubts[chat, name] += 1
        self.flying.clear()

    def put(self, chats: set[int], silent: bool, length: int, lane: LaneName = "first") -> None:
        self.number += 1
        name = f"m{self.number}"
        said = lines(text(bold(name), " <&x" * (length // 4)), italic("PAPER"))
        what = What("order", name, self.now) if lane == "news" else NOTHING
        self.outbox.put_all([Parcel(said, sorted(chats), silent, lane, what)])
        self.lane_of[name] = lane
        for chat in chats:
            self.put_in[chat, lane].append(name)

    async def settle(self) -> None:
        """Until nobody moves; then everybody who waits has waited long enough."""
        for _ in range(12):
            for _ in range(8):
                await asyncio.sleep(0)
        if self.at_kill is not None:
            await self.die()
            return
        self.now += 700 * SECOND
        sleepers, self.sleepers = self.sleepers, []
        for done in sleepers:
            if not done.done():
                done.set_result(None)

    async def die(self) -> None:
        """As kill -9 leaves it: the file of that moment, with the torn line of a write that had begun."""
        assert self.at_kill is not None
        await self.stop()
        torn = b'{"done":[1' if len(self.at_kill) % 2 else b""
        self.path.write_bytes(self.at_kill + torn)
        self.path.with_name("outbox.jsonl.new").write_bytes(b'{"add":1,"ch')
        self.at_kill = None
        self.start()

    async def finish(self) -> None:
        self.ends.clear()
        for _ in range(90):
            await self.settle()
            if not self.outbox.waiting:
                break
        await self.stop()


async def live(steps: list[tuple[object, ...]], path: Path) -> World:
    world = World(path)
    for step in steps:
        match step:
            case ("put", set() as chats, bool() as silent, int() as length, ("first" | "news") as lane):
                if world.at_kill is None:
                    world.put(chats, silent, length, lane)
            case ("flood", set() as chats, int() as many):
                for _ in range(many if world.at_kill is None else 0):
                    world.put(chats, False, 1, "news")  # with sound: nothing waits for its like
            case ("end", str() as end):
                world.ends.append(end)
            case ("restart",):
                if world.at_kill is None:
                    await world.stop()
                    world.start()
                else:
                    await world.die()
            case _:
                await world.settle()
    await world.finish()
    return world


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEP, max_size=40))
def test_every_message_arrives_in_the_order_of_its_lane_and_once_or_marked(steps: list[tuple[object, ...]]) -> None:
    world = lived(steps)
    for (chat, lane), put_in in world.put_in.items():
        shown = [one for one in world.shown[chat] if world.lane_of[one[0][0]] == lane]
        first = list(dict.fromkeys(name for names, _ in shown for name in names))
        assert first == put_in, "each at least once, in order"
        unmarked = Counter(name for names, marked in shown if not marked for name in names)
        assert max(unmarked.values(), default=0) <= 1, "unmarked at most once"
        newest = -1
        for names, marked in shown:
            places = [put_in.index(name) for name in names]
            assert places == list(range(places[0], places[-1] + 1)), "a pack leaves nothing out"
            assert marked or places[0] == newest + 1, "nothing new before its turn"
            newest = max(newest, places[-1])


def lived(steps: list[tuple[object, ...]]) -> World:
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(outbox_file, "_DEAD", 4),
        patch.object(outbox_file, "_DEAD_EACH", 0),
        patch.object(batch, "_FLOOD", 5),
        patch.object(batch, "_PACK", 3),
        patch.multiple(digest, _SORTS=99, _SYMBOLS=99),
    ):
        world = asyncio.run(live(steps, Path(folder) / "outbox.jsonl"))
        assert world.outbox.waiting == 0
    assert world.wrong == []
    for shown in world.shown.values():
        assert all(len({world.lane_of[name] for name in names}) == 1 for names, _ in shown), "a message is of one lane"
    return world


@pytest.mark.parametrize("end", [*ENDS, *KILLS])
def test_a_digest_is_made_and_survives_whatever_happens_to_it(end: str) -> None:
    put = ("put", {7}, False, 1, "first")
    world = lived([("flood", {7}, 9), ("end", end), ("settle",), put, ("end", end), ("settle",), ("flood", {7}, 9)])
    assert world.digests >= 2
    news = [names for names, _ in world.shown[7] if world.lane_of[names[0]] == "news"]
    assert len(news[0]) in (9, 18), "what surely never left is told together with what came since"
