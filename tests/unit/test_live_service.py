"""The service on paper with a broker's prices: a start in the middle of a day, and a day opened anew, lose no price."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from harness.bench import config, kernel
from price_room import INFY, RELIANCE
from stream_room import until
from test_service_app import Room

from otrade_bot.config.models import BrokerConfig
from otrade_bot.config.secrets import Secrets
from otrade_bot.core.clock import MINUTE, SECOND, at_ist, ist_date, to_ist
from otrade_bot.core.model import Block
from otrade_bot.service import app, brokerside
from otrade_bot.service.app import Service, Setting
from otrade_bot.service.broker_setup import broker_parts
from otrade_bot.trading import setup
from tests.venues.kite import Kite
from tests.venues.kite_faults import html

SETTINGS = replace(config("ema_crossover", (RELIANCE, INFY), "1m"), brokers=BrokerConfig(feed="kite"))


class Elsewhen:
    """The machine's clock, moved to ten past ten of a trading day to come: no job of that day is due yet."""

    def __init__(self) -> None:
        day = ist_date(time.time_ns())
        for _ in range(2):
            day = SETTINGS.calendar.next_trading_day(day)
        self._shift = at_ist(day, 10, 10, 5) - time.time_ns()

    def now_ns(self) -> int:
        return time.time_ns() + self._shift


@dataclass
class Live:
    service: Service
    venue: Kite
    clock: Elsewhen
    room: Room
    price: int = 100_000

    def trade(self, symbol: str = RELIANCE) -> None:
        """Somewhere up or down from the last one."""
        self.price += (7, -3, 12, -9, 4)[self.price % 5] * 5 + 1
        self.venue.price(self.price // 5 * 5, symbol)

    def bars(self) -> tuple[list[list[int]], list[list[int]]]:
        """Of the engine and of the exchange: open, high, low, close, the one under way among them."""
        tape, row = self.venue.tape, self.service.engine.state[0]
        assert tape is not None
        start = at_ist(ist_date(self.clock.now_ns()), 9, 15)
        wanted = [list(candle[1:5]) for candle in tape.candles(RELIANCE, 1, start, self.clock.now_ns())]
        closed = [
            [paise(row[name][(int(row["bars"]) - back) % 64]) for name in ("opens", "highs", "lows", "closes")]
            for back in range(int(row["day_bars"]), 0, -1)
        ]
        if row["bar_ticks"]:
            closed.append([paise(row[name]) for name in ("bar_open", "bar_high", "bar_low", "bar_close")])
        return closed, wanted


def paise(rupees: float) -> int:
    return round(float(rupees) * 100)


@asynccontextmanager
async def live(folder: Path, monkeypatch: pytest.MonkeyPatch, *, unlisted: int = 0) -> AsyncIterator[Live]:
    """Started on a day of which an hour is over. ``unlisted``: so often the list of instruments is a page for people.
    """
    clock = Elsewhen()
    monkeypatch.setattr(app, "SystemClock", lambda: clock)
    venue = Kite(clock=clock)
    venue.open(beat_s=0.2)
    assert venue.tape is not None
    now = clock.now_ns()
    for symbol in (RELIANCE, INFY):  # its morning, as the tape has it
        bars = venue.tape._lived.setdefault(symbol, {})
        bars |= {now - now % MINUTE - k * MINUTE: [100_000 + k * 5] * 4 + [100] for k in range(40, 0, -1)}
        venue.exchange.price(symbol, 100_005)
    if unlisted:
        venue.fail("instruments", *[html(503)] * unlisted)
    secrets = Secrets(
        _env_file=None, kite_api_key=Kite.API_KEY, kite_access_token=venue.token, kite_root=venue.root,
        kite_ws_root=venue.ws_root,
    )  # type: ignore[call-arg, arg-type]  # fmt: skip
    parts = broker_parts(SETTINGS, secrets, folder, clock)
    strategies = setup.load_strategies(SETTINGS, None)
    setting = Setting(SETTINGS, strategies, kernel(), parts.source, folder, brokers=parts.side)
    room = Room()
    service = Service(setting, lambda made: room)  # type: ignore[arg-type, return-value]
    running = asyncio.create_task(service.run())
    try:
        await until(lambda: service._opened.is_set() or running.done())
        assert not running.done(), running
        yield Live(service, venue, clock, room)
    finally:
        service.stop("the test is over")
        await running
        await venue.close()


async def told(at: Live) -> None:
    """The engine has the exchange's last price."""
    await until(lambda: at.service.engine.table[0].ltp == at.venue.exchange.prices[RELIANCE])


@pytest.mark.parametrize("again", [False, True])
async def test_bars_are_the_exchanges_whatever_moment_the_day_is_opened_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    async with live(tmp_path, monkeypatch) as at:
        first = at.service.engine
        for _ in range(5):
            at.trade()
            await asyncio.sleep(0)
        await told(at)
        if again:
            assert at.service.brokers is not None
            at.service.brokers.again("the test")

            def relieved() -> bool:
                at.trade()  # prices come all the time
                return at.service.engine is not first and at.service._opened.is_set()

            await until(relieved)
            assert Block.RECOVERY in first.blocks
            at.trade()
            await told(at)
        found, wanted = at.bars()
        assert len(found) > 40
        assert found == wanted, to_ist(at.clock.now_ns())
        assert at.service.engine.blocks == set()
        assert at.service.engine.status().feed == "kite"


async def test_a_start_that_goes_on_failing_is_told_once_and_so_is_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that says who we are and not what it lists: asked again and again, and not told each time."""
    monkeypatch.setattr(brokerside, "ASK_AGAIN", SECOND // 100)
    async with live(tmp_path, monkeypatch, unlisted=9) as at:
        assert "HTTP 503" in at.service.fault
        first, asked = at.service.engine, at.venue.hits("instruments")
        await until(lambda: at.venue.hits("instruments") > asked + 3)
        assert at.service.engine is first
        assert [text.partition(" (")[0] for text in at.room.texts("alert")].count(
            f"{first.broker.name} tells nothing of orders and positions"
        ) == 1
        assert len([event for event in at.room.events if event.kind == "session"]) <= 1  # the open, once
        await until(lambda: at.service.fault == "" and at.service._opened.is_set())
        await until(lambda: [e.data["state"] for e in at.room.events if e.kind == "run"] == ["started", "reopened"])
        assert next(e for e in reversed(at.room.events) if e.kind == "run").data["known_again"] is True
