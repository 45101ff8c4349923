"""A supervisor that restarts the killed service, and what a paper book must hold whenever it is looked at."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from otrade_bot.brokers.paper.book import Book
from otrade_bot.brokers.paper.records import PaperOrder
from otrade_bot.core.clock import SECOND
from otrade_bot.core.jsonlines import LineLog
from otrade_bot.core.model import Leg
from otrade_bot.service.journal import day_path
from otrade_bot.trading.orders import TagParts, Tags
from tests.acceptance.service_room import ServiceRoom

Rung = tuple[str, int, int]  #: symbol, rung, cycle
#: Asked again and again while the service runs; true: now.
When = Callable[["Life"], bool]


@dataclass
class Life:
    """One process: when it was started, and what it has written since."""

    room: ServiceRoom
    day: date
    since: float = field(default_factory=time.monotonic)
    market: int = 0  #: newest market time in the journal, ns
    kinds: list[str] = field(default_factory=list)  #: of the journal's lines since the start
    _book: int = 0
    _read: int = -1
    _rest: bytes = b""

    def __post_init__(self) -> None:
        self._read, self._book = size(self._path), self._book_size

    @property
    def caught_up(self) -> bool:
        """It has begun to write into the book."""
        return self._book_size > self._book

    @property
    def _book_size(self) -> int:
        return size(self.room.state / "paper.jsonl")

    @property
    def _path(self) -> Path:
        return day_path(self.room.state, self.day)

    @property
    def age(self) -> float:
        """Seconds."""
        return time.monotonic() - self.since

    @property
    def up(self) -> bool:
        """It has said that it runs."""
        return "run" in self.kinds

    def look(self) -> None:
        """Read what is new in the journal."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        *whole, self._rest = (self._rest + new).split(b"\n")
        for line in map(orjson.loads, filter(None, whole)):
            self.market = max(self.market, line["ns"])
            self.kinds.append(line["kind"] if line["kind"] != "run" or line["state"] == "started" else "stopped")


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@dataclass
class Supervisor:
    """Kills at each of the moments in turn, starts again, and lets the last process end by itself."""

    room: ServiceRoom
    day: date
    killed_at: list[int] = field(default_factory=list)  #: market time of the last line before each kill
    lives: list[Life] = field(default_factory=list)

    async def run(self, kills: Sequence[When], end: When | None = None) -> int:
        """The exit code of the last process; ``end``: when it is told to stop."""
        for kill in kills:
            await self._live(kill)
            code = await self.room.stop(signal.SIGKILL)
            assert code == -signal.SIGKILL, f"it died of {code} before it was killed: {self.room.said()[-2000:]}"
            self.killed_at.append(last_moment(self.room.state, self.day))
        if end is None:
            await self._live(lambda life: False)
            return await self.room.ended()
        await self._live(end)
        return await self.room.stop()

    async def _live(self, until: When) -> None:
        """Start, and watch until the moment has come or it has ended."""
        life = Life(self.room, self.day)
        self.lives.append(life)
        await self.room.start()
        process = self.room.process
        assert process is not None
        while process.returncode is None:
            life.look()
            if until(life):
                return
            await asyncio.sleep(0.004)


def last_moment(state: Path, day: date) -> int:
    """Market time of the newest line in book or journal."""
    found = 0
    for path in (state / "paper.jsonl", day_path(state, day)):
        for line in LineLog.read(path):
            found = max(found, line.get("ns") or line.get("ts") or 0) if line.get("kind") != "run" else found
    return found


# --- the book ---------------------------------------------------------------------------------------


def tag_of(order: PaperOrder, instance: str) -> TagParts:
    parts = Tags(instance).read(order.tag)
    assert parts is not None, f"an order without a tag of ours: {order.tag!r}"
    return parts


def rungs_of(book: Book, instance: str) -> dict[Rung, dict[Leg, list[PaperOrder]]]:
    """Today's orders by rung and leg."""
    found: dict[Rung, dict[Leg, list[PaperOrder]]] = defaultdict(lambda: defaultdict(list))
    for order in book.orders.values():
        parts = tag_of(order, instance)
        found[order.symbol, parts.rung, parts.cycle][parts.leg].append(order)
    return found


def held_and_covered(legs: dict[Leg, list[PaperOrder]]) -> tuple[int, int, int]:
    """(quantity held, quantity that working exits would sell, number of those)."""
    held = sum(o.filled for o in legs[Leg.ENTRY]) - sum(o.filled for o in legs[Leg.EXIT])
    working = [o.left for o in legs[Leg.EXIT] if not o.status.final]
    return held, sum(working), len(working)


@dataclass
class Walk:
    """A book line by line: no tag twice, one entry a cycle, never more for sale than is held."""

    state: Path
    instance: str
    checked: int = 0

    def run(self, starts: Sequence[int]) -> None:
        """``starts``: market time of each process's start; right after each everything held is protected."""
        tags: Counter[str] = Counter()
        entries: Counter[Rung] = Counter()
        book, waiting = Book(), sorted(starts)
        for line in LineLog.read(self.state / "paper.jsonl"):
            while waiting and line.get("ts", 0) > waiting[0]:
                self._protected(book, waiting.pop(0))
            book.apply(line)
            if line["k"] == "order":
                order = book.orders[line["order"]["order_id"]]
                parts = tag_of(order, self.instance)
                tags[order.tag] += 1
                entries[order.symbol, parts.rung, parts.cycle] += parts.leg is Leg.ENTRY
                assert tags[order.tag] == 1, f"the same order twice: {line}"
                assert entries[order.symbol, parts.rung, parts.cycle] <= 1, f"two entries for one signal: {line}"
            if line["k"] in ("order", "fill", "modify"):
                self._not_oversold(book, line)
        for start in waiting:
            self._protected(book, start)

    def _not_oversold(self, book: Book, line: dict[str, Any]) -> None:
        for rung, legs in rungs_of(book, self.instance).items():
            held, covered, _ = held_and_covered(legs)
            assert covered <= held, f"{rung}: {covered} for sale, {held} held, after {line}"

    def _protected(self, book: Book, start: int) -> None:
        """One working exit for all of it; growth of the last second may be on its way."""
        for rung, legs in rungs_of(book, self.instance).items():
            held, covered, count = held_and_covered(legs)
            if held == 0:
                continue
            self.checked += 1
            assert count == 1, f"{rung}: {held} held at the start of {start}, covered by {count} orders"
            grown = sum(f.quantity for o in legs[Leg.ENTRY] for f in book.fills
                        if f.order_id == o.order_id and f.ts_ns > start - SECOND)  # fmt: skip
            assert held - grown <= covered <= held, f"{rung}: {held} held at the start of {start}, {covered} covered"
