"""A desk that trades on paper, its settings on disk, and an admin at the terminal: the room of /set and /strategies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from control_fakes import Wall, context
from harness.bench import DAY, RISK, SHARE, Bench, kernel, shipped

from otrade_bot.config import ConfigManager
from otrade_bot.config.models import Config
from otrade_bot.control.auth import Role
from otrade_bot.control.commands import answer
from otrade_bot.control.confirm import Confirmations
from otrade_bot.control.reply import Reply, text
from otrade_bot.core.events import Event, EventKind
from otrade_bot.core.model import Instrument
from otrade_bot.service.settings import Settings

TRADING = b"""{
    "capital_per_position":   3000,
    "strategies": [
        {"name": "ema_crossover", "instruments": ["NSE:ALPHA"], "timeframe" : "tick",
         "params": {"fast": 2, "slow": 3,  "stop_percent": 2.0, "target_percent": 4.0, "short": false}}
    ]
}
"""


@dataclass(frozen=True, slots=True)
class Asks:
    """Who wants a code for everything; ``proven`` are the lines that need none."""

    proven: frozenset[str] = frozenset()

    def demand(self, session: str, user_id: int, user: str, line: str, what: str) -> Reply | None:
        return None if line in self.proven else text(f"CODE for {line}")


class Room:
    """``said`` by the admin at the terminal unless a session is named; ``again``: why the desk is to be opened."""

    def __init__(self, folder: Path, *, rehearsal: bool = False, instruments: Iterable[Instrument] = (SHARE,),
                 trading: bytes = TRADING) -> None:  # fmt: skip
        self.folder = folder / "config"
        self.folder.mkdir()
        self.trading, self.risk = self.folder / "trading.json", self.folder / "risk.json"
        self.trading.write_bytes(trading)
        self.risk.write_text(json.dumps(RISK, indent=2))
        self.bench = Bench.paper(folder / "paper.jsonl", self.filed, instruments=instruments)
        self.config = self.filed
        self.wall, self.again = Wall(), ""
        self.confirmations = Confirmations(self.wall)
        self.asks: Any = Asks()
        self.opener = SimpleNamespace(strategies=shipped(("ema_crossover", "momentum_ladder")), kernel=kernel())
        self.setting = SimpleNamespace(rehearsal=object() if rehearsal else None)
        self.desk = Settings(self, lambda: ConfigManager(self.folder, "dev"))  # type: ignore[arg-type]

    # --- what Settings asks of a service ---
    @property
    def engine(self) -> Any:
        return self.bench.engine

    @property
    def clock(self) -> Any:
        return self.bench.clock

    def take(self, config: Config) -> None:
        self.config = config

    def want_again(self, why: str) -> None:
        self.again = why

    # --- a person ---
    def ask(self, line: str, role: Role = Role.ADMIN, session: str = "terminal", user: str = "owner") -> Reply:
        made = context(self.engine, role, session=session, confirmations=self.confirmations)
        number = 0 if session == "terminal" else int(session.split(":")[1])
        return asyncio.run(
            answer(replace(made, settings=self.desk, user=user, user_id=number, stepup=self.asks), line)
        )

    def say(self, line: str, **more: Any) -> str:
        return self.ask(line, **more).to_plain()

    def do(self, line: str, **more: Any) -> str:
        """The question and its yes."""
        self.say(line, **more)
        return self.say(f"{line} yes", **more)

    # --- what came of it ---
    @property
    def filed(self) -> Config:
        """As the next start would read it."""
        return ConfigManager(self.folder, "dev").load(create=False)

    @property
    def told(self) -> list[Event]:
        return self.bench.events(EventKind.SETTING)

    @property
    def untouched(self) -> bool:
        return self.trading.read_bytes() == TRADING and self.config == self.filed and not self.told

    def bought(self) -> None:
        self.bench.signal()
        self.bench.price(10_000)
        assert [one.quantity for one in self.engine.positions()] == [30]


__all__ = ["DAY", "TRADING", "Asks", "Room"]
