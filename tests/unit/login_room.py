"""Logins at both brokers on 127.0.0.1, for tests: the real clients, a browser, and a store on disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from otrade_bot.brokers.logins import login_for
from otrade_bot.brokers.tokens import FILE, Token, TokenStore
from otrade_bot.config.secrets import Secrets
from otrade_bot.control.reply import Reply, worded
from otrade_bot.core.clock import ManualClock, at_ist
from otrade_bot.service.login_desk import ServiceLogins
from tests.venues.kite import Kite
from tests.venues.upstox import UpstoxApi

EIGHT = at_ist(date(2026, 11, 23), 8)
ASHA, RAVI = "telegram:7:7", "telegram:8:8"
GROUP = "telegram:7:-1001234567890"
#: Account ids as the venues' profiles have them.
KITE_USER, UPSTOX_USER = "AB1234", "2ABCDE"


@dataclass
class LoginRoom:
    """``steady`` is the desk's clock; ``tokens`` what the service was given, ``told`` what the admins were."""

    kite: Kite
    upstox: UpstoxApi
    folder: Path
    listening: bool = False
    now: float = 1000.0
    tokens: list[tuple[str, Token]] = field(default_factory=list)
    told: list[Reply] = field(default_factory=list)
    clock: ManualClock = field(default_factory=lambda: ManualClock(EIGHT))

    def __post_init__(self) -> None:
        self.secrets = secrets_of(self.kite, self.upstox)
        self.store = TokenStore(self.folder / FILE, "a key for tests")
        self.desk = ServiceLogins(
            ["kite", "upstox"], lambda name: login_for(name, self.secrets, self.clock), self.store,
            on_token=self._taken, tell=lambda said: self.told.append(worded(said)), listening=self.listening,
            steady=lambda: self.now,
        )  # fmt: skip

    def _taken(self, broker: str, token: Token) -> None:
        self.tokens.append((broker, token))

    def browse(self, broker: str, url: str) -> str:
        """The person logs in at the broker's page; where the browser ends up."""
        return self.kite.log_in(url) if broker == "kite" else self.upstox.log_in(url)

    async def log_in(self, broker: str, session: str = ASHA) -> str:
        """All of it, from the button to the answer."""
        page = await self.desk.begin(session, broker)
        return (await self.desk.finish(self.browse(broker, page.url), session)).said

    def said(self) -> str:
        return "\n".join(reply.to_plain() for reply in self.told)


def secrets_of(kite: Kite, upstox: UpstoxApi, **more: Any) -> Secrets:
    given = {
        "kite_api_key": Kite.API_KEY, "kite_api_secret": Kite.SECRET, "kite_root": kite.root,
        "kite_login_root": kite.root, "upstox_api_key": UpstoxApi.API_KEY, "upstox_api_secret": UpstoxApi.SECRET,
        "upstox_redirect_uri": UpstoxApi.REDIRECT, "upstox_root": upstox.root,
    }  # fmt: skip
    return Secrets(_env_file=None, **(given | more))


@asynccontextmanager
async def login_room(folder: Path, **options: Any) -> AsyncIterator[LoginRoom]:
    kite = Kite()
    kite.open()
    async with UpstoxApi() as upstox:
        try:
            yield LoginRoom(kite, upstox, folder, **options)
        finally:
            await kite.close()
