"""Brokers' loopback venues on a clock of the market's own, and our accounts at them, for the tests of live prices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

from otrade_bot.brokers.factory import BrokerFactory
from otrade_bot.brokers.middleware import UnifiedBrokerMiddleware
from otrade_bot.brokers.stream import StreamSettings
from otrade_bot.config.secrets import Secrets
from otrade_bot.core.clock import ManualClock, at_ist
from tests.venues.kite import Kite
from tests.venues.upstox import UpstoxApi

#: A regular Friday under the rules of today.
DAY = date(2026, 11, 20)
BEFORE = date(2026, 11, 19)
RELIANCE, INFY = "NSE:RELIANCE", "NSE:INFY"
ENVIRONMENT = {"kite_api_key": Kite.API_KEY, "upstox_api_key": UpstoxApi.API_KEY}
#: Reads that fail are asked again at once; a lost stream is back at once.
QUICK = {"kite": {"backoff": 0.001, "retries": 1}, "upstox": {"backoff_s": 0.001, "retries": 1}}
STREAM = StreamSettings(silence=0, first_pause=0.005, longest_pause=0.02)


@dataclass
class Room:
    """Both venues and an account at each, on one clock."""

    clock: ManualClock
    kite_venue: Kite
    upstox_venue: UpstoxApi
    kite: UnifiedBrokerMiddleware
    upstox: UnifiedBrokerMiddleware

    def at(self, hour: int, minute: int, second: int = 0, day: date = DAY) -> int:
        self.clock.advance_to(at_ist(day, hour, minute, second))
        return self.clock.now_ns()

    def broker(self, name: str) -> UnifiedBrokerMiddleware:
        return {"kite": self.kite, "upstox": self.upstox}[name]

    def trade(self, symbol: str, paise: int, quantity: int = 10, *, tell: bool = True) -> None:
        """Somebody trades, at one price everywhere; ``tell``: the streams say so."""
        for venue, key in ((self.kite_venue, symbol), (self.upstox_venue, self.key(symbol))):
            venue.tape.trade(symbol, paise, quantity)
            venue.exchange.price(key, paise)
            if tell:
                venue.stream.ticks([key])

    def key(self, symbol: str) -> str:
        return next(key for key, share in self.upstox_venue.exchange.shares.items() if share.symbol == symbol)


@asynccontextmanager
async def room(
    hour: int = 9, minute: int = 0, day: date = DAY, *, paced: bool = False, silence: float = 7.0
) -> AsyncIterator[Room]:
    """``paced``: requests keep to the brokers' rates by the room's clock, which moves while they wait. ``silence``:
    seconds that Kite may take to answer."""
    clock = ManualClock(at_ist(day, hour, minute))
    kite, upstox = Kite(clock=clock), UpstoxApi(clock=clock)
    kite.open()
    upstox.up()
    accounts = {
        name: _account(name, venue, clock, settings, paced=paced)
        for name, venue, settings in (
            ("kite", kite, {**QUICK["kite"], "silence": silence}), ("upstox", upstox, QUICK["upstox"])
        )
    }  # fmt: skip
    made = Room(clock, kite, upstox, **accounts)
    try:
        yield made
    finally:
        await made.kite.aclose()
        await made.upstox.aclose()
        await kite.close()
        assert not await upstox.close()


def _account(
    name: str, venue: Any, clock: ManualClock, settings: dict[str, Any], *, paced: bool
) -> UnifiedBrokerMiddleware:
    async def pass_time(seconds: float) -> None:
        clock.advance_to(clock.now_ns() + round(seconds * 1e9))

    roots = {"root": venue.root, "ws_root": venue.ws_root}
    given = {f"{name}_{key}": value for key, value in roots.items()}
    if name == "upstox":
        given |= {"upstox_order_root": venue.root}
    secrets = Secrets(_env_file=None, **ENVIRONMENT, **given)  # type: ignore[arg-type]
    account = BrokerFactory.create_broker(
        name, secrets, access_token=venue.token, clock=clock, sleep=pass_time if paced else asyncio.sleep,
        settings=settings, stream=STREAM,
    )  # fmt: skip
    if not paced:
        account.inner.pace = None
    return account


__all__ = ["BEFORE", "DAY", "INFY", "RELIANCE", "Room", "room"]
