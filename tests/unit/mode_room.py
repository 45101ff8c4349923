"""Settings on disk, a clean engine and an admin: the room of /mode."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from control_fakes import FakeEngine, Wall, context

from otrade_bot.config import ConfigManager
from otrade_bot.config.secrets import Secrets, load_secrets
from otrade_bot.control.auth import Role
from otrade_bot.control.commands import answer
from otrade_bot.control.confirm import Confirmations
from otrade_bot.control.reply import Reply
from otrade_bot.service.mode import ModeSwitch

TRADING = b"""{
    "capital_per_position":   5000,
    "mode" :"paper"  ,
    "strategies": [ {"name": "ema_crossover", "instruments": ["NSE:SBIN"], "params": {"mode": 1}} ]
}
"""
BROKERS = {"primary": "kite", "feed": "kite", "backup": None}
LIVE = {
    "OTRADE_LIVE": "yes", "OTRADE_KITE_API_KEY": "k" * 16, "OTRADE_KITE_API_SECRET": "s" * 32,
    "OTRADE_SECRET_KEY": "a long enough passphrase",
}  # fmt: skip


def environment(patch: pytest.MonkeyPatch) -> None:
    """Nothing but what live needs."""
    for name in Secrets.model_fields:
        patch.delenv(f"OTRADE_{name.upper()}", raising=False)
    for name, value in LIVE.items():
        patch.setenv(name, value)


class Proven:
    """Everybody has just entered the right code; codes have tests of their own."""

    def demand(self, *_: object) -> None:
        return None


class Room:
    """``told``: what those in charge hear."""

    def __init__(self, folder: Path, env: str = "dev") -> None:
        self.folder, self.env = folder, env
        self.trading, self.overlay = folder / "trading.json", folder / env / "trading.json"
        (folder / env).mkdir(parents=True)
        self.trading.write_bytes(TRADING)
        (folder / "brokers.json").write_text(json.dumps(BROKERS))
        self.engine, self.wall = FakeEngine(), Wall()
        self.confirmations = Confirmations(self.wall)
        self.told: list[str] = []
        self.stepup: Any = Proven()

    def switch(self, **more: Any) -> ModeSwitch:
        return ModeSwitch(
            self.told.append, secrets=lambda: load_secrets(None), manager=lambda: ConfigManager(self.folder, self.env),
            **more,
        )  # fmt: skip

    async def answer(self, line: str, role: Role = Role.ADMIN, session: str = "telegram:7:7", **more: Any) -> Reply:
        made = context(self.engine, role, session=session, confirmations=self.confirmations)
        return await answer(replace(made, mode=self.switch(**more), stepup=self.stepup), line)

    def ask(self, line: str, role: Role = Role.ADMIN, session: str = "telegram:7:7", **more: Any) -> Reply:
        return asyncio.run(self.answer(line, role, session, **more))

    def say(self, line: str, role: Role = Role.ADMIN, session: str = "telegram:7:7", **more: Any) -> str:
        return self.ask(line, role, session, **more).to_plain()

    @property
    def mode(self) -> str:
        """As the next start would read it."""
        return ConfigManager(self.folder, self.env).load(create=False).trading.mode

    @property
    def untouched(self) -> bool:
        return self.trading.read_bytes() == TRADING
