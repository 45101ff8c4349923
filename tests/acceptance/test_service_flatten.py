"""/flatten in every phase of a day, over the real service: what is told, and what the exchange's book holds after it.

A morning's work is done once: three delivery positions, bought before the closing auction, with stops that
rest at the exchange. Each test goes on from a copy of that folder.
"""

from __future__ import annotations

import json
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from otrade_bot.brokers.paper.book import Book
from otrade_bot.control.news.entry import LANES
from otrade_bot.core.model import GttStatus
from otrade_bot.core.money import rupees_text
from tests.acceptance.phone import Hand, Push, buttons, lane_of, pushes
from tests.acceptance.service_room import OPERATOR, OWNER, VIEWER, ServiceRoom
from tests.venues.telegram import BotApi, Sent

pytestmark = pytest.mark.asyncio(loop_scope="module")

START, MORNING = "2026-09-16T15:12:00", "2026-09-17T08:52:00"
LABEL = "PAPER · simulated prices · rehearsal of {:%d %b %Y}"
FLAT = "Flat: the broker's book shows no position of ours."
#: Delivery, so that they are kept to the auction and over night; all three close by auction.
SETTINGS = {
    "trading.json": {
        "product": "CNC",
        "strategies": [
            {
                "name": "ema_crossover", "instruments": ["NSE:SBIN", "NSE:RELIANCE", "NSE:INFY"], "timeframe": "tick",
                "params": {"fast": 2, "slow": 3, "stop_percent": 5.0, "target_percent": 20.0},
            }
        ],
    }
}  # fmt: skip
NAMES = {"SBIN", "RELIANCE", "INFY"}


@dataclass
class Scene:
    """One service and its owner at the phone."""

    api: BotApi
    room: ServiceRoom
    owner: Hand
    day: date

    @property
    def book(self) -> Book:
        return Book.read(self.room.state / "paper.jsonl")

    @property
    def decided(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.room.state / "control.json").read_text())
        return found

    def told(self) -> list[Push]:
        return pushes(self.api.to(OWNER), LABEL.format(self.day))

    def flattens(self) -> list[str]:
        return [line["state"] for line in self.room.journal(self.day, "flatten")]

    async def started(self) -> Sent:
        before = self.owner.newest
        await self.room.start()
        return await self.owner.hears("Started", before)

    async def phase(self, words: str) -> None:
        """Ask for the phase until it is that one."""
        while True:
            said = await self.owner.ask("/status", "Phase ")
            if f"Phase {words}" in said.text:
                return

    async def flatten(self, asked: str = "Close 3 positions?") -> tuple[Sent, str]:
        """The question, and the answer to its button."""
        question = await self.owner.ask("/flatten", asked)
        await self.owner.press(question, "Close everything")
        answer = await self.owner.hears("\nFlatten\n", question.message_id)
        return question, answer.text

    def held(self) -> dict[str, int]:
        """Net of what was delivered and what the day did: a sold holding is a negative position until it settles."""
        book, net = self.book, Counter[str]()
        for symbol, lot in (*((key[0], lot) for key, lot in book.positions.items()), *book.holdings.items()):
            net[symbol] += lot.quantity
        return {symbol: quantity for symbol, quantity in net.items() if quantity}

    def is_flat(self) -> None:
        book = self.book
        assert not self.held()
        assert not book.working
        assert not [gtt for gtt in book.gtts.values() if gtt.status is GttStatus.ACTIVE]

    def is_held(self) -> None:
        """All three, each with its stop."""
        held = self.held()
        resting = [gtt for gtt in self.book.gtts.values() if gtt.status is GttStatus.ACTIVE]
        assert {symbol.removeprefix("NSE:") for symbol in held} == NAMES
        assert {gtt.symbol: gtt.quantity for gtt in resting} == held
        assert len(resting) == len(held)


@asynccontextmanager
async def service(folder: Path, speed: float, start: str = START) -> AsyncIterator[Scene]:
    async with BotApi((OWNER, OPERATOR, VIEWER)) as api:
        room = ServiceRoom(folder, api, rehearse=start, speed=speed, settings=SETTINGS)
        try:
            yield Scene(api, room, Hand(api, OWNER), date.fromisoformat(start[:10]))
        finally:
            if room.process is not None and room.process.returncode is None:
                await room.stop(signal.SIGKILL)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def bought(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a service that was stopped with three positions, shortly before 15:15."""
    folder = tmp_path_factory.mktemp("bought")
    async with service(folder, 10) as scene:
        await scene.started()
        await scene.api.until(lambda: sum(sent.text.count("Stop level set") for sent in scene.api.to(OWNER)) == 3, 60)
        assert await scene.room.stop() == 0
        stopped = next(push for push in scene.told() if push.head == "Stopped")
        assert stopped.time < "15:15:00"
        scene.is_held()
        rows = {row.split()[0]: row for row in stopped.rest.splitlines() if "stop rests" in row}
        for gtt in scene.book.gtts.values():
            row = rows.pop(gtt.symbol.removeprefix("NSE:"))
            assert f"BUY {gtt.quantity}" in row
            assert row.endswith(f"stop rests at {rupees_text(gtt.legs[0].trigger)}")
        assert not rows
        assert "3 positions open" in stopped.rest
    return folder


@pytest.fixture
def folder(bought: Path, tmp_path: Path) -> Path:
    return shutil.copytree(bought, tmp_path / "room")


async def test_in_open_trading_each_position_is_named_then_closed_also_while_paused_and_only_once(folder: Path) -> None:
    async with service(folder, 1) as scene:
        started = await scene.started()
        assert "3 positions open" in started.text
        await scene.owner.ask("/pause", "Entries are paused.")
        question, answer = await scene.flatten()
        assert set(question.text.split()) >= NAMES
        assert "3 resting stops" in question.text
        assert [button.label for button in buttons(question)] == ["Close everything", "Leave it"]
        _closed_each(answer, scene.book)
        scene.is_flat()
        orders, cash = set(scene.book.orders), scene.book.cash
        _, again = await scene.flatten("No open position is known here.")
        assert f"Nothing to close. {FLAT}" in again
        assert (set(scene.book.orders), scene.book.cash) == (orders, cash)
        assert scene.flattens() == ["started", "flat", "flat"]
        assert "entries PAUSED" in (await scene.owner.ask("/status", "Phase ")).text
        closed = [push for push in scene.told() if push.head == "Closed"]
        assert {push.symbol for push in closed} == NAMES
        assert all("flatten" in push.rest and push.time < "15:15:00" for push in closed)


async def test_in_the_reference_period_it_is_queued_and_done_in_order_entry_though_the_process_was_killed(
    folder: Path,
) -> None:
    async with service(folder, 60) as scene:
        await scene.started()
        await scene.phase("closing auction, reference price")
        _, answer = await scene.flatten()
        assert "The market takes no orders yet (closing auction, reference price)." in answer
        assert "everything is closed once it does, at 15:20." in answer
        scene.is_held()
        assert await scene.room.stop(signal.SIGKILL) == -signal.SIGKILL
        assert scene.decided["flatten"]["queued"] is True
        scene.room.arguments = ("--rehearse", START, "--speed", "200")
        started = await scene.started()
        assert "the flatten by owner" in started.text
        assert "had not ended: it goes on as soon as orders are taken" in started.text
        done = await scene.owner.hears("Flatten done", started.message_id)
        scene.is_flat()
        assert scene.flattens() == ["queued", "started", "flat"]
        assert scene.decided["flatten"]["queued"] is False
        _closed_each(done.text, scene.book)
        exits = [push for push in scene.told() if push.head in ("Flatten started", "Closed", "Flatten done")]
        assert [push.head for push in exits] == ["Flatten started", "Closed", "Closed", "Closed", "Flatten done"]
        *acted, verdict = exits
        assert {push.time for push in acted} == {"15:20:00"}
        assert verdict.time < "15:21:00"  # the book is read a moment of the wall later: some market seconds at 200x
        assert await scene.room.stop() == 0


@pytest.mark.parametrize("phase", ["order entry", "limit orders"])
async def test_in_the_closing_auction_it_happens_while_orders_are_taken(folder: Path, phase: str) -> None:
    async with service(folder, 150) as scene:
        await scene.started()
        await scene.phase(f"closing auction, {phase}")
        _, answer = await scene.flatten()
        _closed_each(answer, scene.book)
        scene.is_flat()
        assert scene.flattens() == ["started", "flat"]
        first, last = ("15:20:00", "15:25:00") if phase == "order entry" else ("15:25:00", "15:30:00")
        assert all(first <= push.time < last for push in scene.told() if push.head == "Closed")


async def test_after_the_close_it_is_remembered_and_the_stops_stay(folder: Path) -> None:
    async with service(folder, 500) as scene:
        await scene.started()
        await scene.owner.hears("Day ended")
        _, answer = await scene.flatten()
        assert "The market is closed. Entries are paused; at the next open you will be asked again." in answer
        scene.is_held()
        assert await scene.room.stop() == 0
        assert scene.flattens() == ["remembered"]
        assert scene.decided["flatten"] | {"at": ""} == {"queued": False, "ask_again": True, "by": "owner", "at": ""}
        ended = next(push for push in scene.told() if push.head == "Day ended")
        assert "3 STILL OPEN" in ended.rest
        scene.is_held()


async def test_the_next_morning_it_asks_before_nine_and_from_the_pre_open_on_waits_for_the_open(folder: Path) -> None:
    _sleep_over(folder)
    async with service(folder, 160, MORNING) as scene:
        started = await scene.started()
        assert "3 positions open" in started.text
        assert started.text.count("stop rests at") == 3
        await scene.phase("closed")
        _, answer = await scene.flatten()
        assert "The market is closed. Entries are paused; at the next open you will be asked again." in answer
        scene.is_held()
        await scene.phase("pre-open")
        _, answer = await scene.flatten()
        assert "The market takes no orders yet (pre-open" in answer
        assert "everything is closed once it does, at 09:15." in answer
        scene.is_held()
        done = await scene.owner.hears("Flatten done")
        scene.is_flat()
        assert scene.flattens() == ["remembered", "queued", "started", "flat"]
        _closed_each(done.text, scene.book)
        assert await scene.room.stop() == 0
        told = scene.told()
        first = [push for push in told if lane_of(push.head) == "first"]
        assert first[-1].head == "Stopped", "the last word, but for news that waited"
        assert {push.time[:5] for push in told if push.head == "Closed"} == {"09:15"}
        assert not [push for push in told if push.head in ("ALERT", "Alert")], "the first price is a moment away"
        for one in LANES:
            times = [push.time for push in told if lane_of(push.head) == one]
            assert times == sorted(times)


def _closed_each(answer: str, book: Book) -> None:
    """The verdict, and a line a position with its quantity; as the exchange's book has it."""
    assert FLAT in answer
    for order in book.orders.values():
        if order.side < 0:
            assert f"{order.symbol.removeprefix('NSE:')} P1: {order.filled} of {order.quantity} closed, " in answer
    assert answer.count(" closed, ") == 3
    assert "Entries are paused until /resume." in answer


def _sleep_over(folder: Path) -> None:
    """Let the same rehearsal go on with the next morning: its mark is all that names the day."""
    mark = folder / "state" / "rehearsal.json"
    noted = json.loads(mark.read_text())
    mark.write_text(json.dumps(noted | {"start": f"{MORNING}+05:30"}))
