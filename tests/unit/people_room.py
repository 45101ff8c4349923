"""A house with people in it: real settings files, state, authenticators and command table; a clock to turn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyotp
from control_fakes import FakeEngine, Wall, context

from otrade_bot.brokers import vault
from otrade_bot.config import ConfigManager
from otrade_bot.config.models import User
from otrade_bot.control import commands
from otrade_bot.control.auth import Role
from otrade_bot.control.commands import Heard
from otrade_bot.control.confirm import Confirmations
from otrade_bot.control.phone.gate import Caller, Gate, Knock
from otrade_bot.control.reply import Reply, Told, worded
from otrade_bot.control.stepup import StepUp
from otrade_bot.service.authenticators import FILE, Authenticators
from otrade_bot.service.control_state import ControlState
from otrade_bot.service.people import People, active

OWNER, SECOND, CLERK, GUEST, NEW = 7, 70, 8, 9, 4242
GROUP = -1001234567890
ROWS: list[dict[str, Any]] = [
    {"user_id": OWNER, "chat_id": OWNER, "role": "admin", "name": "owner"},
    {"user_id": OWNER, "chat_id": GROUP, "role": "admin", "name": "owner"},
    {"user_id": SECOND, "chat_id": SECOND, "role": "admin", "name": "second"},
    {"user_id": CLERK, "chat_id": CLERK, "role": "operator", "name": "clerk"},
    {"user_id": GUEST, "chat_id": GUEST, "role": "viewer", "name": "guest"},
]
SECRETS = {OWNER: pyotp.random_base32(32), SECOND: pyotp.random_base32(32)}
NOW = 1_790_000_000.0


class House:
    """One process of it; ``again`` is the next one, on the same disk."""

    def __init__(self, folder: Path, rows: Sequence[dict[str, Any]] | None = ROWS, *, now: float = NOW) -> None:
        vault.COST = 2**4  # of attackers, not of tests
        self.folder, self.now, self.steady = folder, now, Wall()
        self.file = folder / "config" / "telegram.json"
        if rows is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text(json.dumps({"users": list(rows)}, indent=1))
        self.seeds = Authenticators(folder / "state" / FILE, "a long enough passphrase")
        if rows is not None:
            for user_id, secret in SECRETS.items():
                self.seeds.save(user_id, secret, 0)
        self.control = ControlState.load(folder / "state" / "control.json")
        self.told: list[Reply] = []
        self.heard: list[Heard] = []
        self.logged: list[str] = []
        self.engine = FakeEngine(2)
        users = self.manager().load(create=False).telegram.users
        self.people = People(
            users, self.seeds, self.control, log=self.logged.append, manager=self.manager, wall=lambda: self.now
        )
        self.people.stepup = StepUp(
            self.seeds, self.control, tell=self._tell, wall=lambda: self.now, steady=self.steady
        )
        self.people.username = lambda: "otrade_test_bot"
        self.people.tell, self.people.audit = self._tell, self.heard.append
        self.gate = Gate(
            (), tell=lambda reply, chats: self.told.append(reply), log=self.logged.append, audit=self.heard.append,
            welcome=self.people.welcome, wall=self.steady,
        )  # fmt: skip
        self.chats: set[int] = set()
        self.people.follow(self._changed)
        self.people.finish()
        self.confirmations = Confirmations(self.steady)

    def _tell(self, said: Told) -> None:
        self.told.append(worded(said))

    def again(self) -> House:
        return House(self.folder, None, now=self.now)

    def manager(self) -> ConfigManager:
        return ConfigManager(self.file.parent, "dev")

    def _changed(self, users: tuple[User, ...]) -> None:
        self.gate.reload(users)
        self.chats = {user.chat_id for user in active(users)}

    @property
    def rows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.file.read_text())["users"]
        return found

    async def ask(self, line: str, user_id: int = OWNER, chat_id: int | None = None) -> Reply:
        """As the phone does it: whoever is not let in gets nothing."""
        caller = self.gate.passes(Knock(user_id, chat_id or user_id, "Somebody", line))
        return await self.answer(caller, line) if caller is not None else Reply()

    async def answer(self, caller: Caller, line: str) -> Reply:
        made = context(
            self.engine, caller.role, session=caller.session, confirmations=self.confirmations, heard=self.heard
        )
        made = replace(
            made, user=caller.name, user_id=caller.user_id, people=self.people, stepup=self.people.stepup
        )
        return await commands.answer(made, line)

    def say(self, line: str, user_id: int = OWNER, chat_id: int | None = None) -> str:
        return asyncio.run(self.ask(line, user_id, chat_id)).to_plain()

    def terminal(self, line: str) -> str:
        made = replace(context(self.engine, Role.ADMIN, heard=self.heard), people=self.people)
        return asyncio.run(commands.answer(made, line)).to_plain()

    def code(self, user_id: int = OWNER, steps: int = 0) -> str:
        """What the authenticator shows, ``steps`` half minutes from now."""
        return pyotp.TOTP(SECRETS[user_id]).generate_otp(int(self.now // 30) + steps)

    def wrong(self, user_id: int = OWNER) -> str:
        """Six digits that are none of the codes around now."""
        near = {self.code(user_id, step) for step in range(-3, 4)}
        return next(one for one in (f"{number:06d}" for number in range(100)) if one not in near)

    def prove(self, line: str, user_id: int = OWNER, chat_id: int | None = None) -> str:
        """The line, then the right code; half a minute later, for each code counts once."""
        self.now += 30
        asked = self.say(line, user_id, chat_id)
        assert "six digits" in asked, asked
        return self.say(self.code(user_id), user_id, chat_id)

    def comes(self, code: str, user_id: int = NEW, name: str = "Ravi @ravi", **more: Any) -> Caller | None:
        return self.gate.passes(
            Knock(user_id, more.pop("chat_id", user_id), name, "/start (an invitation, not kept)", code=code, **more)
        )

    def invited(self, role: str = "operator", name: str = "Ravi") -> str:
        """The code of a fresh link."""
        said = self.prove(f"/users invite {role} {name}")
        return said.partition("?start=")[2].split()[0]
