"""A flood of alerts over the real library, at a Telegram with its limits: all of it told, readable, risk first."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import date
from pathlib import Path

import pytest
from outbox_room import Hours

from otrade_bot.config.models import Notifications, User
from otrade_bot.control.commands import answer
from otrade_bot.control.news.outbox import Outbox
from otrade_bot.control.news.pushes import Pushes
from otrade_bot.control.phone.gate import Caller, Gate
from otrade_bot.control.phone.phone import Phone
from otrade_bot.control.reply import LIMIT, Reply
from otrade_bot.core.clock import SECOND, at_ist
from otrade_bot.core.events import Event, EventKind, Severity
from tests.unit.control_fakes import FakeEngine, context
from tests.venues.limits import Limits
from tests.venues.messages import units
from tests.venues.telegram import BotApi, Sent

OWNER, GROUP = 7, -1001234567890
PEOPLE = (
    User(user_id=OWNER, chat_id=OWNER, role="admin", name="owner"),
    User(user_id=8, chat_id=GROUP, role="operator", name="clerk"),
)
LABEL = "PAPER · simulated prices"
NOON = at_ist(date(2021, 6, 1), 12)
STOCKS = "RELIANCE TCS SBIN INFY M&M ITC LT".split()
WORDS = ("no price for 60 s", "the candle came late: <gap> of 3 min & more", "spread of 2.5 % is too wide")
ALERTS = 2000


class Flood:
    """Time moves only when nobody sends: what is measured is what the service asks of Telegram, not of this machine."""

    def __init__(self, api: BotApi, folder: Path, burst: int) -> None:
        self.api, self.hours, self._underway, self._idle = api, Hours(), 0, asyncio.Event()
        self._idle.set()
        self.told: list[str] = []
        api.limits = Limits(lambda: self.hours.ns / SECOND, burst)
        self.outbox = Outbox(
            folder / "outbox.jsonl", wall_ns=self.hours.wall_ns, log_error=self.told.append, sleep=self.hours.sleep,
            spread=lambda: 0.5,
        )  # fmt: skip
        gate = Gate(PEOPLE, tell=self.outbox.put, label=lambda: LABEL)
        self.phone = Phone(
            api.token, gate, self.answer, self.outbox, base_url=api.base_url, base_file_url=api.base_file_url,
            label=lambda: LABEL,
        )  # fmt: skip
        self.pushes = Pushes(self.outbox, PEOPLE, Notifications(), lambda: LABEL)
        self.at: dict[tuple[int, int], int] = {}  #: when each message was taken, s since the beginning
        self._begin = self.hours.ns

    async def answer(self, caller: Caller, line: str) -> Reply:
        return await answer(context(FakeEngine(), caller.role, session=caller.session), line)

    async def send(self, chat_id: int, reply: Reply, *, silent: bool) -> None:
        """The outbox's way: the phone's own."""
        self._underway += 1
        self._idle.clear()
        try:
            await self.phone.send(chat_id, reply, silent=silent)
            self.at[chat_id, self.api.to(chat_id)[-1].message_id] = self.second
        finally:
            self._underway -= 1
            if not self._underway:
                self._idle.set()

    @property
    def second(self) -> int:
        return (self.hours.ns - self._begin) // SECOND

    async def settle(self) -> None:
        """Until whoever wants to send has sent."""
        for _ in range(30):
            await asyncio.sleep(0)
            await self._idle.wait()

    async def until_all_is_sent(self, most: int) -> None:
        while self.outbox.waiting:
            await self.settle()
            if self.hours.naps and self.outbox.waiting:
                self.hours.advance(min(self.hours.naps))
            assert self.second < most, f"{self.outbox.waiting} wait"

    def within(self, chat_id: int, seconds: int) -> int:
        """The most messages that were taken in any span so long."""
        times = [at for (chat, _), at in self.at.items() if chat == chat_id]
        return max(sum(start <= at < start + seconds for at in times) for start in times)


@asynccontextmanager
async def flood(folder: Path, burst: int) -> AsyncIterator[Flood]:
    async with BotApi([OWNER, GROUP]) as api:
        made = Flood(api, folder, burst)
        tasks = [asyncio.create_task(made.outbox.run(made)), asyncio.create_task(made.phone.run())]
        try:
            await api.until(lambda: api.polling)
            yield made
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            made.outbox.close()


def alert(number: int) -> Event:
    said = f"{WORDS[number % 3]} ({number})"
    return Event(EventKind.ALERT, NOON + number * SECOND // 4, f"NSE:{STOCKS[number % 7]}", said, Severity.WARNING)


def missing_stop(number: int) -> Event:
    said = f"its stop was rejected, {number}"
    return Event(EventKind.ALERT, NOON + number * SECOND, "NSE:TCS", said, Severity.RISK)


def counted(chat: list[Sent]) -> int:
    """Of how many alerts the messages tell: one by one, or by a digest's count."""
    total = 0
    for sent in chat:
        found = re.search(r"([\d,]+) messages in one, ", sent.text)
        total += int(found[1].replace(",", "")) if found else len(re.findall(r"\d\d:\d\d:\d\d Alert ", sent.text))
    return total


def readable(chat: list[Sent]) -> None:
    for sent in chat:
        assert LABEL in sent.text
        assert units(sent.text) <= LIMIT
        assert len(sent.text.splitlines()) <= 100, "some screens of a phone at most"
        assert not re.search(r"&(lt|gt|amp);|</?(b|i|code|pre)>", sent.text), "markup that shows"


@pytest.mark.parametrize("burst", [1, 10], ids=["not one more than one a second", "as Telegram bears it"])
async def test_two_thousand_alerts_at_once_become_a_digest_within_the_limits(tmp_path: Path, burst: int) -> None:
    async with flood(tmp_path, burst) as at:
        for number in range(ALERTS):
            at.pushes.on_event(alert(number))
        at.pushes.on_event(missing_stop(1))
        await at.until_all_is_sent(60)
        assert at.api.limits is not None
        assert at.api.limits.refused <= 2 * (burst == 1), "asked for too much"
        for chat_id in (OWNER, GROUP):
            chat = at.api.to(chat_id)
            readable(chat)
            assert "ALERT TCS its stop was rejected, 1" in chat[0].text, "before 2,000 others"
            assert not chat[0].silent
            assert len(chat) <= 3
            assert counted(chat) == ALERTS
            [digest] = [sent.text for sent in chat if "messages in one" in sent.text]
            assert digest.startswith("2,000 messages in one, 12:00:00 to 12:08:19\n")
            assert [words for words in WORDS if re.sub(r"[\d.]+", "…", words) not in digest] == []
            assert "M&M" in digest or "and 4 more" in digest


@pytest.mark.parametrize("burst", [1, 10], ids=["not one more than one a second", "as Telegram bears it"])
async def test_two_thousand_alerts_over_minutes_keep_the_limits_and_hold_up_no_risk(tmp_path: Path, burst: int) -> None:
    async with flood(tmp_path, burst) as at:
        told: dict[int, int] = {}
        for number in range(ALERTS):
            at.pushes.on_event(alert(number))
            if number % 500 == 250:
                at.pushes.on_event(missing_stop(number))
                told[number] = at.second
            if number % 20 == 19:
                await at.settle()
                at.hours.advance(2)
        await at.until_all_is_sent(400)
        for chat_id in (OWNER, GROUP):
            chat = at.api.to(chat_id)
            readable(chat)
            assert counted(chat) == ALERTS
            for number, since in told.items():
                [found] = [sent for sent in chat if f"its stop was rejected, {number}\n" in f"{sent.text}\n"]
                assert at.at[chat_id, found.message_id] - since <= 6, "the next message that Telegram takes"
        assert at.within(GROUP, 60) <= 20
        assert at.within(OWNER, 60) <= 60 + burst
        refused = at.api.limits.refused if at.api.limits else 0
        assert refused == 0 or burst == 1
        assert len(at.api.to(OWNER)) < 150
