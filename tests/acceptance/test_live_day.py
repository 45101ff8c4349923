"""A whole live day of 60 shares at each broker, from before the open to after the close, with faults all along.

Answers are lost, streams are cut and fall silent, books cannot be read, the process is killed: whatever happened,
the day ends flat at the exchange, each order was placed once, and the trades add up to the exchange's own sums.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from otrade_bot.config.models import Config
from otrade_bot.core.clock import SECOND, to_ist
from otrade_bot.core.money import rupees_text
from otrade_bot.service.journal import read_day
from tests.acceptance.live_room import DAY, LiveRoom, live_room
from tests.acceptance.live_venues import Closed, Reset
from tests.harness.bench import config as bench_config

SHARES = 60
STEP = 5  #: market seconds between two looks
PRICES = 30  #: ... and between two prices of every share


class Walk:
    """Prices of all shares, the same at every run: small steps, and a trend that turns now and then."""

    def __init__(self, room: LiveRoom) -> None:
        self._dice = random.Random("live day")
        self._ticks = {one.symbol: one.tick for one in room.shares}
        self._price = {one.symbol: one.base for one in room.shares}
        self._drift = dict.fromkeys(self._price, 0.0)

    def next(self) -> dict[str, int]:
        for symbol, price in self._price.items():
            if self._dice.random() < 0.01:
                self._drift[symbol] = self._dice.uniform(-4e-4, 4e-4)
            tick = self._ticks[symbol]
            moved = price * (1 + self._drift[symbol] + self._dice.gauss(0, 4e-4))
            self._price[symbol] = max(tick * 100, round(moved / tick) * tick)
        return dict(self._price)


def _settings(symbols: tuple[str, ...]) -> Config:
    return bench_config(
        symbols=symbols, timeframe="5m", capital=5_000, max_positions=90,
        params={"fast": 3, "slow": 9, "stop_percent": 1.0, "target_percent": 2.0},
        risk={"cooldown_seconds": 3_600},
    )  # fmt: skip


def _mischief(room: LiveRoom) -> dict[str, Callable[[], object]]:
    """What goes wrong, by name."""
    venue = room.venue
    return {
        "answer lost": lambda: room.fail("place", Reset(after=True)),
        "order lost": lambda: room.fail("place", Reset()),
        "connection closed": lambda: room.fail("place", Closed(after=True)),
        "page": lambda: room.fail("place", venue.page(502, after=True)),
        "refused": lambda: room.fail("place", venue.no("RMS: not this one.")),
        "too many": lambda: room.fail("place", venue.too_many()),
        "change lost": lambda: room.fail("modify", Reset()),
        "change's answer lost": lambda: room.fail("modify", Reset(after=True)),
        "book away": lambda: room.fail("book", *(venue.page(502) for _ in range(4))),
        "cut": venue.sockets.hang_up,
        "silent": venue.sockets.silence,
        "deaf": venue.updates.lose,
        "heard again": lambda: (venue.updates.well(), venue.sockets.silence(False)),
        "twice": venue.updates.repeat,
        "thin": lambda: venue.thin(3),
    }


@pytest.mark.timeout(900)
@pytest.mark.parametrize("broker", ["kite", "upstox"])
async def test_a_day_full_of_mischief_ends_flat_with_every_order_placed_once(broker: str, tmp_path: Path) -> None:
    options = {"shares": SHARES + 1, "traded": SHARES, "settings": _settings, "start": (9, 14), "writers": 1}
    async with live_room(broker, tmp_path, **options) as room:
        struck = await _live(room)
        assert room.faults() == []
        assert all(room.position(symbol) == 0 for symbol in room.symbols)
        assert not [one for one in room.venue.orders() if one.works]
        assert not room.engine.positions()
        lines = read_day(room.folder, DAY)
        trades = [line for line in lines if line["kind"] == "trade"]
        assert len(trades) == len({line["trade_id"] for line in trades}) > 40
        assert sum(line["gross_paise"] for line in trades) == _earned(room)
        assert sum(said.count(" Closed ") for said in room.phone) >= len(trades)
        print(_summary(room, struck, len(trades)))


async def _live(room: LiveRoom) -> Counter[str]:
    """From 9:14 to 15:40. What went wrong, how often."""
    dice, walk, mischief = random.Random(room.venue.name), Walk(room), _mischief(room)
    struck: Counter[str] = Counter()
    kills = {(10, 3), (12, 17)}
    while (to_ist(room.now).hour, to_ist(room.now).minute) < (15, 40):
        await room.pass_time(STEP - room.now / SECOND % STEP, STEP)
        at = to_ist(room.now)
        open_now = (9, 15) <= (at.hour, at.minute) < (15, 30)
        if open_now and at.second % PRICES == 0:
            await room.market(walk.next())
        if open_now and (at.hour, at.minute) < (14, 30) and dice.random() < 0.01:
            name = dice.choice(sorted(mischief))
            struck[name] += 1
            mischief[name]()
        if (at.hour, at.minute) == (14, 30):
            mischief["heard again"]()
        if (at.hour, at.minute) in kills:
            kills.discard((at.hour, at.minute))
            struck["killed"] += 1
            await room.restart()
    return struck


def _earned(room: LiveRoom) -> int:
    """By the exchange: what was sold for less what was bought for, paise."""
    return sum(-order.side * order.value for order in room.venue.api.exchange.orders.values())


def _summary(room: LiveRoom, struck: Counter[str], trades: int) -> str:
    words = ", ".join(f"{name} {count}" for name, count in sorted(struck.items()))
    return (
        f"\n{room.venue.name}: {trades} trades, {room.venue.hits('place')} orders sent, {len(room.venue.orders())} at "
        f"the broker, gross {rupees_text(_earned(room))}, {len(room.phone)} messages\n  {words}"
    )
