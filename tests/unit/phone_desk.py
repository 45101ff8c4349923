"""A desk with a phone: the real library, command table and outbox, against a Bot API on 127.0.0.1."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from control_fakes import FakeEngine, Wall, context

from otrade_bot.config.models import User
from otrade_bot.control import commands
from otrade_bot.control.commands import Heard, parse
from otrade_bot.control.confirm import Confirmations
from otrade_bot.control.handlers import COMMANDS
from otrade_bot.control.news.outbox import Outbox
from otrade_bot.control.phone.gate import Caller, Gate
from otrade_bot.control.phone.phone import Phone
from otrade_bot.control.pictures import PictureDesk
from otrade_bot.control.reply import Reply
from otrade_bot.core.ports import LoginDesk
from tests.venues.telegram import BotApi, Sent

OWNER, CLERK, GUEST, STRANGER = 7, 8, 9, 666
DESK = -1001234567890
USERS = (
    User(user_id=OWNER, chat_id=OWNER, role="admin", name="owner"),
    User(user_id=CLERK, chat_id=CLERK, role="operator", name="clerk"),
    User(user_id=GUEST, chat_id=GUEST, role="viewer", name="guest"),
    User(user_id=OWNER, chat_id=DESK, role="admin", name="owner"),
    User(user_id=CLERK, chat_id=DESK, role="operator", name="clerk"),
)
TOP = "PAPER · simulated prices"


class Desk:
    """``held``: commands that wait for their event before they answer. ``broken``: those that raise."""

    def __init__(self, api: BotApi, folder: Path, users: Sequence[User] = USERS, **options: Any) -> None:
        self.api, self.engine, self.steady = api, FakeEngine(6), Wall()
        self.held: dict[str, asyncio.Event] = {}
        self.broken: set[str] = set()
        self.lines: list[tuple[str, str]] = []  #: session and line, as the command table hears them
        self.heard: list[Heard] = []
        self.logged: list[str] = []
        self.errors: list[tuple[str, Exception]] = []
        self.slept: list[float] = []
        self.late_s = 0.0
        self.script: Callable[[Caller, str], Awaitable[Reply]] | None = None  #: answers instead of the command table
        self.login: LoginDesk | None = None
        self.pictures: PictureDesk | None = None
        self._confirmations = Confirmations(self.steady)
        self.outbox = Outbox(folder / "outbox.jsonl", log_error=self.logged.append, spread=lambda: 0.0)
        self.gate = Gate(
            users,
            tell=self.outbox.put,
            log=self.logged.append,
            audit=self.heard.append,
            label=lambda: TOP,
            wall=self.steady,
        )
        fixed: dict[str, Any] = {
            "base_url": api.base_url, "base_file_url": api.base_file_url,
            "label": lambda: TOP, "audit": self.heard.append,
            "log": self.logged.append, "log_error": lambda what, error: self.errors.append((what, error)),
            "acts": COMMANDS.acts, "symbols": lambda: [one.symbol for one in self.engine.followed],
            "steady": self.steady, "sleep": self.sleep, "wall": lambda: time.time() + self.late_s,
        }  # fmt: skip
        token = options.pop("token", api.token)
        self.phone = Phone(token, self.gate, self.answer, self.outbox, **(fixed | options))

    async def answer(self, caller: Caller, line: str) -> Reply:
        if self.script is not None:
            return await self.script(caller, line)
        self.lines.append((caller.session, line))
        name = parse(line)[0]
        if name in self.held:
            await self.held[name].wait()
        if name in self.broken:
            raise ZeroDivisionError("the answer itself is broken")
        made = context(
            self.engine, caller.role, session=caller.session, confirmations=self._confirmations, heard=self.heard,
            errors=self.errors,
        )  # fmt: skip
        return await commands.answer(replace(made, user=caller.name, login=self.login, pictures=self.pictures), line)

    async def sleep(self, seconds: float) -> None:
        """Noted, and over at once."""
        self.slept.append(seconds)
        await asyncio.sleep(0)

    async def said(self, number: int, chat_id: int = OWNER) -> list[Sent]:
        """The chat's messages, once there are so many."""
        return (await self.api.until(lambda: len(self.api.to(chat_id)) >= number and self.api.to(chat_id)))[:number]

    async def quiet(self) -> None:
        """Everything that was said is confirmed, and the phone waits for more."""
        await self.api.until(lambda: self.api.polling and not self.api.waiting)


@asynccontextmanager
async def desk(
    folder: Path, *, listening: bool = True, api: BotApi | None = None, **options: Any
) -> AsyncIterator[Desk]:
    """A running phone and outbox; ``api`` is one that stays when the phone goes."""
    if api is None:
        async with (
            BotApi([OWNER, CLERK, GUEST, STRANGER, DESK]) as own,
            desk(folder, listening=listening, api=own, **options) as made,
        ):
            yield made
        return
    made = Desk(api, folder, **options)
    tasks = [asyncio.create_task(made.phone.run()), asyncio.create_task(made.outbox.run(made.phone))]
    try:
        if listening:
            await api.until(lambda: api.polling)
        yield made
        assert not [task for task in tasks if task.done()], "phone and outbox run for ever"
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        made.outbox.close()
