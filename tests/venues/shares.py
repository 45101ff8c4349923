"""One list of shares for both brokers' venues: known names first, then made-up ones; prices and ticks of their own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

from .kite_exchange import Share as KiteShare
from .upstox_exchange import Share as UpstoxShare

_FIRST = ("RELIANCE", "INFY", "TCS", "SBIN", "ITC")


@dataclass(frozen=True)
class Listed:
    """A share of NSE. Money in paise. ``auctioned``: it has futures, so its day ends in the closing auction."""

    name: str
    token: int
    isin: str
    base: int
    tick: int
    auctioned: bool

    @property
    def symbol(self) -> str:
        return f"NSE:{self.name}"

    @property
    def upstox_key(self) -> str:
        return f"NSE_EQ|{self.isin}"


@cache
def listed(count: int = 200, auctioned: int = 100) -> tuple[Listed, ...]:
    """So many of the shares that have derivatives, then such as have none."""
    text = resources.files("otrade_bot.brokers").joinpath("instruments.json").read_text(encoding="utf-8")
    known = [name for name in json.loads(text)["derivative_stocks"] if name not in _FIRST]
    names = [*_FIRST, *known][: min(auctioned, count)]
    plain = [f"PLAINCO{k}" for k in range(1, count - len(names) + 1)]
    return tuple(_listed(k, name, k < len(names)) for k, name in enumerate([*names, *plain]))


def _listed(k: int, name: str, auctioned: bool) -> Listed:
    base = 100_000 if k == 0 else 10_000 + k * 37_000 % 300_000
    tick = 1 if base < 25_000 else 5 if base <= 100_000 else 10
    return Listed(name, (2_000 + k) * 256 + 1, f"INE{k:03d}A01018", base - base % tick, tick, auctioned)


def kite_shares(shares: tuple[Listed, ...]) -> list[KiteShare]:
    """With the month's future of each that has one: that is how Kite tells which close by auction."""
    found = [KiteShare("NSE", one.name, one.token, one.tick, name=one.name) for one in shares]
    for one in shares:
        if one.auctioned:
            name, token = f"{one.name}26NOVFUT", (one.token >> 8) * 256 + 2
            found.append(KiteShare("NFO", name, token, one.tick, 500, "FUT", "NFO-FUT", one.name))
    return found


def upstox_shares(shares: tuple[Listed, ...]) -> list[UpstoxShare]:
    return [
        UpstoxShare(one.upstox_key, one.name, tick=one.tick, token=one.token, cas_eligible=one.auctioned)
        for one in shares
    ]
