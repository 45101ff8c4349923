"""Settings changed under a running service: the desk is opened again, in a rehearsal too, and nothing is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import test_live_service
from harness.bench import DAY, OPEN, config, kernel
from stream_room import until
from test_live_service import SETTINGS as LIVE_SETTINGS
from test_live_service import live, told
from test_service_app import Room

from otrade_bot.config import ConfigManager
from otrade_bot.config.files import pretty
from otrade_bot.config.manager import as_documents
from otrade_bot.config.models import Config
from otrade_bot.core.clock import at_ist
from otrade_bot.service.app import Service, Setting
from otrade_bot.service.journal import read_day
from otrade_bot.service.prices import Simulated
from otrade_bot.service.rehearsal import Rehearsal
from otrade_bot.trading import setup

SYMBOLS = ("NSE:RELIANCE", "NSE:SBIN")
SETTINGS = config("ema_crossover", SYMBOLS, "1m")
CHANGED = at_ist(DAY, 9, 20)


def files(folder: Path, settings: Config, monkeypatch: pytest.MonkeyPatch) -> ConfigManager:
    place = folder / "config"
    place.mkdir()
    for name, values in as_documents(settings).items():
        (place / name).write_bytes(pretty(values))
    monkeypatch.setenv("OTRADE_CONFIG_DIR", str(place))
    return ConfigManager(place, "dev")


def service_at(folder: Path, room: Room, start: int = OPEN, speed: float = 4000.0, settings: Config = SETTINGS,
               resumed: bool = False) -> Service:  # fmt: skip
    strategies = setup.load_strategies(settings, None)
    plan = Rehearsal(OPEN, speed, "simulated, seed 1")
    source = Simulated(1, settings.market, history_days=2)
    return Service(
        Setting(settings, strategies, kernel(), source, folder, plan, start, resumed), lambda service: room
    )  # type: ignore[arg-type, return-value]


async def when(task: asyncio.Task[None], condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            assert not task.done(), task
            await asyncio.sleep(0.005)


def change(service: Service, key: str, value: str) -> None:
    proposal = service.settings.parameter("ema_crossover", key, value)
    assert not proposal.against
    service.settings.apply(proposal, "owner")


def in_force(room: Room) -> list[str]:
    return [e.text for e in room.events if e.kind == "setting" and e.data.get("state") == "in_force"]


def looks(room: Room) -> dict[tuple[int, str], object]:
    """What the strategy saw at the close of each bar."""
    return {(e.ts_ns, e.symbol): (e.data["bars"], e.data["values"]) for e in room.events if e.kind == "evaluation"}


async def test_indicators_after_a_change_are_those_of_a_run_that_had_it_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = files(tmp_path, SETTINGS, monkeypatch)
    room, whole = Room(), Room()
    service = service_at(tmp_path / "a", room)
    task = asyncio.create_task(service.run())
    await when(task, lambda: service.clock.now_ns() > CHANGED)
    change(service, "slow", "7")
    await when(task, lambda: bool(in_force(room)))
    again = service.clock.now_ns()
    await when(task, lambda: sum(ts > again for ts, _ in looks(room)) > 10)
    service.stop("enough")
    await task
    last = max(ts for ts, _ in looks(room))
    filed = manager.load(create=False)
    assert filed.trading.strategies[0].params["slow"] == 7
    other = service_at(tmp_path / "b", whole, settings=filed)
    task = asyncio.create_task(other.run())
    await when(task, lambda: other.clock.now_ns() > last)
    other.stop("enough")
    await task
    wanted = looks(whole)
    assert all(values == wanted[moment] for moment, values in looks(room).items() if moment[0] > again)
    assert [e.data["state"] for e in room.events if e.kind == "run"] == ["started", "reopened", "stopped"]


async def test_a_rehearsal_goes_on_to_its_report_after_its_desk_was_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files(tmp_path, SETTINGS, monkeypatch)
    room = Room()
    service = service_at(tmp_path, room, at_ist(DAY, 15, 34, 30))
    task = asyncio.create_task(service.run())
    await when(task, service._opened.is_set)
    change(service, "slow", "7")
    await task
    assert in_force(room)
    assert len([e for e in room.events if e.kind == "day"]) == 1
    assert not [text for text in room.texts("alert") if "failed" in text or "not done" in text]


async def test_a_desk_that_is_opened_again_has_its_positions_stops_and_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brisk = config("ema_crossover", SYMBOLS, "tick", params={"stop_percent": 0.1, "target_percent": 0.1})
    files(tmp_path, brisk, monkeypatch)
    room = Room()
    service = service_at(tmp_path, room, speed=600.0, settings=brisk)
    task = asyncio.create_task(service.run())
    await when(task, lambda: bool(service.desk and service.engine.positions() and service.engine.trades()))
    before = service.engine
    change(service, "stop_percent", "0.3")
    change(service, "slow", "9")
    await when(task, lambda: bool(in_force(room)))
    assert service.engine is not before
    opened = next(e for e in room.events if e.kind == "run" and e.data["state"] == "reopened")
    kept = [(p.symbol, p.rung, p.quantity, p.stop) for p in before.positions()]  # the old desk stands still
    assert kept
    assert [(p["symbol"], p["rung"], p["quantity"], p["stop_paise"]) for p in opened.data["positions"]] == kept
    trades = {trade.trade_id: (trade.reason, trade.net) for trade in before.trades()}
    assert trades.items() <= {one.trade_id: (one.reason, one.net) for one in service.engine.trades()}.items()
    service.stop("enough")
    await task


async def test_a_service_that_was_killed_starts_with_what_was_written_and_open_stops_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = files(tmp_path, SETTINGS, monkeypatch)
    service = service_at(tmp_path, Room(), speed=600.0)
    task = asyncio.create_task(service.run())
    await when(task, lambda: bool(service.desk and service.engine.positions()))
    change(service, "stop_percent", "0.5")
    switch = service.settings.switched("ema_crossover", False)
    service.settings.apply(switch, "owner")
    service.stop("enough")
    await task
    held, now = service.engine.positions(), service.clock.now_ns()
    assert held
    again = service_at(tmp_path, Room(), now, 600.0, manager.load(create=False), resumed=True)
    task = asyncio.create_task(again.run())
    await when(task, lambda: again._opened.is_set())
    found = again.engine.positions()
    assert [(p.symbol, p.quantity, p.stop, p.target) for p in found] == [
        (p.symbol, p.quantity, p.stop, p.target) for p in held
    ]
    assert not again.engine.params["enabled"].any()
    again.stop("enough")
    await task
    kinds = [line["kind"] for line in read_day(tmp_path, DAY)]
    assert kinds.count("setting") == 2


async def test_a_parameter_that_wants_more_history_than_there_is_says_who_is_cold_and_enters_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = replace(SETTINGS, trading=SETTINGS.trading.model_copy(update={"strategies": (
        SETTINGS.trading.strategies[0].model_copy(update={"timeframe": "60m"}),
    )}))  # fmt: skip
    files(tmp_path, short, monkeypatch)
    room = Room()
    service = service_at(tmp_path, room, speed=60.0, settings=short)
    task = asyncio.create_task(service.run())
    await when(task, lambda: service._opened.is_set())
    change(service, "slow", "500")
    await when(task, lambda: bool(in_force(room)))
    assert "not warm yet, so no entries: RELIANCE" in in_force(room)[0]
    assert "of 501 bars" in in_force(room)[0]
    service.stop("enough")
    await task


async def test_with_a_brokers_prices_the_desk_is_opened_again_and_no_bar_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files(tmp_path, LIVE_SETTINGS, monkeypatch)
    async with live(tmp_path / "state", monkeypatch) as at:
        at.trade()
        await told(at)
        before = at.service.engine
        change(at.service, "slow", "9")
        async with asyncio.timeout(20):
            while not in_force(at.room):
                at.trade()
                await asyncio.sleep(0.05)
        assert at.service.engine is not before
        assert int(at.service.engine.params[0]["slow"]) == 9
        at.trade()
        await told(at)
        closed, wanted = at.bars()
        assert closed == wanted


async def test_while_a_brokers_candles_are_fetched_for_it_a_stop_still_sells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticking = replace(config("ema_crossover", LIVE_SETTINGS.trading.strategies[0].instruments, "tick",
                             params={"short": False}), brokers=LIVE_SETTINGS.brokers)  # fmt: skip
    monkeypatch.setattr(test_live_service, "SETTINGS", ticking)
    files(tmp_path, ticking, monkeypatch)
    async with live(tmp_path / "state", monkeypatch) as at:
        service = at.service
        for price in (99_900, 99_500, 99_000, 98_500, 99_600):
            at.venue.price(price)
            await told(at)
        await until(lambda: bool(service.engine.positions()))
        before, fetch, fetched = service.engine, service.opener.source.prepare, asyncio.Event()

        async def slow(day: date, symbols: Sequence[str]) -> None:
            await fetched.wait()
            await fetch(day, symbols)

        monkeypatch.setattr(service.opener.source, "prepare", slow)
        change(service, "slow", "9")
        await until(lambda: before.leaving)
        at.venue.price(96_500)  # beyond the stop, within what is believed at once
        await until(lambda: bool(before.trades()))
        assert service.engine is before
        fetched.set()
        await until(lambda: bool(in_force(at.room)))
        assert service.engine is not before
        assert [trade.reason for trade in service.engine.trades()] == ["stop"]
        assert service.engine.positions() == []
