"""``otrade-bot run`` live on a loopback broker, killed ten times at the steps of an order's life, started again.

The process is the real one, its clients are the brokers' own, the clock is the machine's, moved to the day where it is
night in India. What counts is the broker's own book: nothing twice, nothing forgotten, nothing without its stop when
the process is back.
"""

from __future__ import annotations

import asyncio
import random
import re
import signal
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from otrade_bot.core.clock import to_ist
from otrade_bot.core.model import Leg, Product
from otrade_bot.kernel.compile import Kernel
from otrade_bot.trading.orders import Tags
from tests.acceptance.daytime import DayTime
from tests.acceptance.live_venues import FINAL, VENUES, Seen, Venue
from tests.acceptance.service_room import OWNER, ServiceRoom
from tests.venues.faults import Accept, Fault
from tests.venues.loopback import Answer, Drop
from tests.venues.shares import listed
from tests.venues.telegram import BotApi

#: So many that some trade while others wait for what a kill has left in doubt.
SHARES = listed(18, 9)
READS = ("book", "trades")
#: What is hit, and whether the broker had done it: the process is dead when the answer would come.
STEPS = (
    ("place", True), ("modify", True), ("time", False), ("place", True), ("book", False), ("modify", False),
    ("place", True), ("time", False), ("place", False), ("trades", False),
)  # fmt: skip


@dataclass
class Deadly(Fault):
    """The process that asks is killed, before or after what it asks for is done."""

    kill: Callable[[], None]
    after: bool

    async def strike(self, accept: Accept) -> Answer | Drop:
        if self.after:
            await accept()
        self.kill()
        return Drop()


@dataclass
class LiveDay:
    """One broker's venue, one service, and the prices between them."""

    venue: Venue
    room: ServiceRoom
    phone: BotApi
    rng: random.Random = field(default_factory=lambda: random.Random(7))
    prices: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)  #: of the book, as it was seen to be wrong
    kills: list[str] = field(default_factory=list)

    async def walk(self) -> None:
        """Prices for ever; after each step the book must be in order."""
        while True:
            for one in SHARES:
                last = self.prices.get(one.symbol, one.base)
                step = max(one.tick, last // 1000 // one.tick * one.tick)
                self.prices[one.symbol] = max(100 * one.tick, last + self.rng.choice((-2, -1, -1, 0, 1, 1, 2)) * step)
                self.venue.trade(one.symbol, self.prices[one.symbol])
            self.venue.tick(*(one.symbol for one in SHARES))
            self.look()
            await asyncio.sleep(0.1)

    def look(self) -> None:
        """No more is on its way out than is held."""
        orders = self.venue.orders()
        for one in SHARES:
            net = self.venue.net(one.symbol, Product.MIS)
            leaving = sum(o.quantity - o.filled for o in orders if o.symbol == one.symbol and o.works and exit_of(o))
            if leaving > abs(net):
                self.faults.append(f"{one.symbol}: {leaving} on its way out of {net}")

    def naked(self) -> list[str]:
        """Open at the broker without as much working on the other side."""
        found = []
        for one in SHARES:
            net = self.venue.net(one.symbol, Product.MIS)
            side = -1 if net > 0 else 1
            cover = sum(o.quantity - o.filled for o in self.venue.orders()
                        if o.symbol == one.symbol and o.works and o.side == side)  # fmt: skip
            if cover < abs(net):
                found.append(one.symbol)
        return found

    async def begin(self, killed_in: str = "") -> None:
        """Up and recovered, or (``killed_in``: a read of the recovery) dead before that."""
        before = len(self.started())
        if killed_in:
            self.venue.fail(killed_in, Deadly(self._kill, False))
        await self.room.start(
            OTRADE_LIVE="yes", OTRADE_SECRET_KEY="a key of the test", **self.venue.api.environment(),
            **CLOCK.environment(),
        )  # fmt: skip
        if killed_in:
            await self._dead(killed_in, False)
        else:
            await self.room.until(lambda: len(self.started()) > before)

    async def guarded(self) -> None:
        """Until all that is open has its stop, but for what was announced as not known."""
        await self.room.until(lambda: not set(self.naked()) - self.doubted(), 60)

    def doubted(self) -> set[str]:
        alerts = self.room.journal(today(), "alert")
        return {line["text"].split()[0] for line in alerts if "nobody knows" in line["text"]}

    def _kill(self) -> None:
        assert self.room.process is not None
        with suppress(ProcessLookupError):
            self.room.process.kill()

    async def _dead(self, step: str, after: bool) -> None:
        assert await self.room.ended(90) == -signal.SIGKILL
        self.kills.append(f"{step} {'done' if after else 'not done'}")

    def started(self) -> list[dict[str, Any]]:
        return [line for line in self.room.journal(today(), "run") if line["state"] == "started"]

    async def killed_at(self, step: str, after: bool) -> None:
        """Dead at the next such step, however long it takes to come."""
        if step == "time":
            enough = len(self.venue.orders()) + self.rng.randrange(3, 9)
            await self.room.until(lambda: len(self.venue.orders()) >= enough)
            self._kill()
        else:
            self.venue.fail(step, Deadly(self._kill, after))
        await self._dead(step, after)

    async def flat(self) -> None:
        """By the phone, as a person would: what a kill has left in doubt is forced."""
        for _ in range(8):
            await self._asked("/flatten", r"/flatten yes|Nothing to close")
            said = await self._asked("/flatten yes", r"Flat: the broker's book|NOT FLAT:|/flatten yes|had reached you")
            if "/flatten yes" in said or "had reached you" in said:
                continue  # something was bought between question and yes, or the yes was faster than the question
            if all("an entry's outcome is unknown" in one for one in left_of(said)):
                return  # flat as far as anybody can know for two minutes more
            for symbol in sorted(set(re.findall(r"/force (\S+) leaves", said))):
                await self._asked(f"/force {symbol}", rf"/force \S*{re.escape(symbol.split(':')[-1])} yes|No exit of")
                await self._asked(f"/force {symbol} yes", r"was sent|is working|No exit of|no question|reached you")
        raise AssertionError(f"not flat: {said}")

    async def _asked(self, line: str, answer: str) -> str:
        """What the phone answered."""
        before = len(self.phone.to(OWNER))
        self.phone.say(OWNER, line)

        def found() -> str:
            new = (sent.text for sent in self.phone.to(OWNER)[before:])
            return next((text for text in new if re.search(answer, text)), "")

        return await self.phone.until(found, 60)


def exit_of(order: Seen) -> bool:
    parts = Tags("A1").read(order.tag)
    return parts is not None and parts.leg is Leg.EXIT


def left_of(said: str) -> list[str]:
    """What a flatten's verdict names as not flat."""
    verdict = next((line for line in said.splitlines() if line.startswith("NOT FLAT: ")), "")
    return re.findall(r"[^;(]+\([^)]*\)", verdict.removeprefix("NOT FLAT: "))


CLOCK = DayTime()


def today() -> date:
    return to_ist(CLOCK.now_ns()).date()


def settings(name: str) -> dict[str, Any]:
    now = to_ist(CLOCK.now_ns())
    opens, closes = now - timedelta(minutes=3), now + timedelta(minutes=40)
    hours = {"name": "now", "open": f"{opens:%H:%M}", "close": f"{closes:%H:%M}"}
    crossover = {
        "name": "ema_crossover", "instruments": [one.symbol for one in SHARES], "timeframe": "tick",
        "params": {"fast": 2, "slow": 4, "stop_percent": 0.3, "target_percent": 0.4},
    }  # fmt: skip
    return {
        "trading.json": {"mode": "live", "capital_per_position": 20_000, "strategies": [crossover]},
        "brokers.json": {"primary": name, "feed": name},
        "risk.json": {"cooldown_seconds": 0, "duplicate_window_seconds": 0, "daily_loss_limit": 0},
        "market.json": {"special_days": {now.date().isoformat(): hours}},
    }


async def play(name: str, folder: Path) -> LiveDay:
    """Ten lives, and one that is brought to a flat end."""
    venue: Any = VENUES[name](SHARES, CLOCK)
    venue.open()
    async with BotApi([7, 8, 9]) as phone:
        day = LiveDay(venue, ServiceRoom(folder, phone, settings=settings(name)), phone)
        walk = asyncio.create_task(day.walk())
        beat = asyncio.create_task(heart(venue))
        try:
            for step, after in STEPS:
                await day.begin(killed_in=step if step in READS else "")
                if step not in READS:
                    await day.guarded()
                    await day.killed_at(step, after)
            await day.begin()
            await day.guarded()
            await day.flat()
            assert await day.room.stop() == 0, day.room.said()
        finally:
            walk.cancel()
            beat.cancel()
            await asyncio.gather(walk, beat, return_exceptions=True)
            if day.room.process is not None and day.room.process.returncode is None:
                day.room.process.kill()
                await day.room.process.wait()
            await venue.close()
    return day


async def heart(venue: Venue) -> None:
    while True:
        venue.heartbeat()
        await asyncio.sleep(1)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory, kernel: Kernel) -> dict[str, LiveDay]:
    """Both brokers at once. ``kernel``: compiled by now, so that no start has to."""
    CLOCK.environment()  # or skip
    folder = tmp_path_factory.mktemp("live")

    async def both() -> dict[str, LiveDay]:
        done = await asyncio.gather(*(play(name, folder / name) for name in VENUES))
        return dict(zip(VENUES, done, strict=True))

    return asyncio.run(both())


@pytest.fixture(params=list(VENUES))
def day(request: pytest.FixtureRequest, days: dict[str, LiveDay]) -> LiveDay:
    return days[request.param]


def test_it_died_ten_times_and_ended_flat(day: LiveDay) -> None:
    assert len(day.kills) == len(STEPS)
    assert [day.venue.net(one.symbol, Product.MIS) for one in SHARES] == [0] * len(SHARES)
    assert [order for order in day.venue.orders() if order.works] == []


def test_never_more_was_on_its_way_out_than_was_held(day: LiveDay) -> None:
    assert day.faults == []


def test_no_order_was_sent_twice_and_none_was_nobodys(day: LiveDay) -> None:
    orders = day.venue.orders()
    assert len(orders) >= 20
    tags = Counter(order.tag for order in orders)
    assert [tag for tag, often in tags.items() if often > 1] == []
    entries: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for order in orders:
        parts = Tags("A1").read(order.tag)
        assert parts is not None, order
        if parts.leg is Leg.ENTRY:
            entries[order.symbol, parts.rung, parts.cycle].append(order.tag)
    assert [found for found in entries.values() if len(found) > 1] == []


def test_the_journal_tells_what_the_broker_did_to_the_paisa(day: LiveDay) -> None:
    trades = {line["trade_id"]: line for line in day.room.journal(today(), "trade")}
    bought: Counter[str] = Counter()
    for line in trades.values():
        bought[line["symbol"]] += line["quantity"]
    filled: Counter[str] = Counter()
    for order in day.venue.orders():
        if order.filled and not exit_of(order):
            filled[order.symbol] += order.filled
    assert bought == filled
    assert sum(line["gross_paise"] for line in trades.values()) == earned(day.venue)


def earned(venue: Venue) -> int:
    """Of the account that is flat: what was sold for less what was bought for, paise."""
    found: int = -sum((1 if order.side > 0 else -1) * order.value for order in venue.api.exchange.orders.values())
    return found


def test_the_phone_heard_of_every_start_and_of_every_order_in_doubt(day: LiveDay) -> None:
    heard = "\n".join(sent.text for sent in day.phone.to(OWNER))
    assert heard.count("Started") >= len(STEPS) + 1 - len(READS)
    doubts = [line for line in day.room.journal(today(), "alert") if "nobody knows" in line["text"]]
    for line in doubts:
        assert line["text"].split(":")[-1].strip()[:40] in heard


def test_no_order_is_final_at_the_broker_and_open_in_the_journal(day: LiveDay) -> None:
    ended = {order.tag: order.status for order in day.venue.orders() if order.status in FINAL and not order.filled}
    newest = {line["tag"]: line for line in day.room.journal(today(), "order")}
    assert {tag for tag in ended if tag in newest and newest[tag]["filled"]} == set()
