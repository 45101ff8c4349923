"""The real ``otrade-bot run`` as a process of its own, with a phone on 127.0.0.1 that outlives it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from otrade_bot.service.journal import read_day
from tests.venues.telegram import BotApi

ROOT = Path(__file__).parents[2]
#: user = chat; name by role.
OWNER, OPERATOR, VIEWER, STRANGER = 7, 8, 9, 666
USERS = [
    {"user_id": OWNER, "chat_id": OWNER, "role": "admin", "name": "owner"},
    {"user_id": OPERATOR, "chat_id": OPERATOR, "role": "operator", "name": "partner"},
    {"user_id": VIEWER, "chat_id": VIEWER, "role": "viewer", "name": "friend"},
]


class ServiceRoom:
    """Settings and state in ``folder``; ``start`` and ``stop`` as often as wanted.

    ``api`` None: no bot token, commands come by standard input. ``settings`` by file name, as a user would write it.
    """

    def __init__(
        self, folder: Path, api: BotApi | None, *, rehearse: str = "", speed: float = 600, more: tuple[str, ...] = (),
        settings: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.folder, self.api = folder, api
        self.arguments = (*(("--rehearse", rehearse, "--speed", str(speed)) if rehearse else ()), *more)
        self.state, self.config = folder / "state", folder / "config"
        self.config.mkdir(parents=True, exist_ok=True)
        documents = {"telegram.json": {"users": USERS}, **(settings or {})}
        usual = {"card": False, "commands_per_minute": 1000}  # a card is no answer and no push; days here are fast
        documents["telegram.json"] = usual | documents["telegram.json"]
        for name, document in documents.items():
            (self.config / name).write_text(json.dumps(document))
        self.process: asyncio.subprocess.Process | None = None
        self.starts = 0

    def environment(self) -> dict[str, str]:
        own = {
            "OTRADE_CONFIG_DIR": str(self.config), "OTRADE_STATE_DIR": str(self.state), "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        if self.api is not None:
            own |= {
                "OTRADE_TELEGRAM_TOKEN": self.api.token, "OTRADE_TELEGRAM_BASE_URL": self.api.base_url,
                "OTRADE_TELEGRAM_BASE_FILE_URL": self.api.base_file_url,
            }  # fmt: skip
        return {**{k: v for k, v in os.environ.items() if not k.startswith("OTRADE_TELEGRAM")}, **own}

    async def start(self, *prefix: str, **environment: str) -> None:
        """``prefix``: a command in front, such as faketime's."""
        self.starts += 1
        out = self.folder / f"out-{self.starts}.txt"
        with out.open("wb") as file:
            self.process = await asyncio.create_subprocess_exec(
                *prefix, sys.executable, "-m", "otrade_bot", "run", *self.arguments,
                stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=asyncio.subprocess.STDOUT, cwd=self.folder,
                env={**self.environment(), **environment},
            )  # fmt: skip

    async def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 60) -> int:
        """The exit code; a killed one's is negative."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.ended(seconds)

    async def ended(self, seconds: float = 120) -> int:
        """Wait until it ends by itself."""
        assert self.process is not None
        return await asyncio.wait_for(self.process.wait(), seconds)

    async def until(self, condition: Callable[[], bool], seconds: float = 150, what: str = "") -> None:
        """Look again and again; a process that dies meanwhile is an error with its last words."""
        async with asyncio.timeout(seconds):
            while not condition():
                if self.process is not None and self.process.returncode is not None:
                    raise AssertionError(f"the service ended with {self.process.returncode}: {self.said()[-2000:]}")
                await asyncio.sleep(0.02)

    def said(self) -> str:
        """What the newest process printed."""
        return (self.folder / f"out-{self.starts}.txt").read_text(errors="replace")

    def journal(self, day: date, kind: str = "") -> list[dict[str, Any]]:
        """The journal's lines so far, of one kind where given."""
        return [line for line in read_day(self.state, day) if not kind or line["kind"] == kind]

    async def report(self, day: date) -> dict[str, Any]:
        """What ``otrade-bot report --json`` says."""
        done = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "otrade_bot", "report", "--day", day.isoformat(), "--json",
            stdout=asyncio.subprocess.PIPE, cwd=self.folder, env=self.environment(),
        )  # fmt: skip
        text, _ = await done.communicate()
        assert done.returncode == 0
        found: dict[str, Any] = json.loads(text)
        return found
