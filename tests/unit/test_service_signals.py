"""Entries that wait for a person, in the service: reopened desks, new processes, and days on which nobody answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from harness.bench import OPEN, config, kernel
from stream_room import until
from test_service_app import SYMBOLS, Room

from otrade_bot.config.models import Approval
from otrade_bot.core.clock import MINUTE
from otrade_bot.core.errors import CommandException
from otrade_bot.core.events import EventKind
from otrade_bot.service.app import Service, Setting
from otrade_bot.service.demo import Demo, DemoOptions
from otrade_bot.service.prices import Simulated
from otrade_bot.service.rehearsal import Rehearsal
from otrade_bot.trading import setup
from otrade_bot.trading.snapshot import SignalView

PLAIN = config("ema_crossover", SYMBOLS, "1m")


def service_at(folder: Path, room: Room, speed: float, start: int = OPEN, **wish: object) -> Service:
    approval = Approval.model_validate({"ask": True, **wish})
    settings = replace(PLAIN, trading=PLAIN.trading.model_copy(update={"approval": approval}))
    setting = Setting(
        settings, setup.load_strategies(settings, None), kernel(), Simulated(1, settings.market), folder,
        Rehearsal(OPEN, speed, "simulated, seed 1"), start,
    )  # fmt: skip
    return Service(setting, lambda service: room)  # type: ignore[arg-type, return-value]


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[Service]:
    task = asyncio.create_task(service.run())
    try:
        yield service
    finally:
        service.stop("enough")
        await asyncio.wait_for(task, 30)


async def standing(service: Service, states: set[str]) -> str:
    """A question stands like that; its name."""

    def found() -> list[SignalView]:
        return [one for one in service.engine.signals() if one.state in states and one.ref] if service.desk else []

    await until(found)
    return found()[-1].ref


def kinds(room: Room, kind: EventKind) -> list[dict[str, object]]:
    return [dict(event.data) for event in room.events if event.kind is kind]


async def test_a_desk_that_is_opened_again_knows_the_question_and_takes_no_answer_to_it(tmp_path: Path) -> None:
    room = Room()
    async with running(service_at(tmp_path, room, 600)) as service:
        ref = await standing(service, {"waiting"})
        before = service.engine
        service.want_again("settings were changed")
        await until(lambda: service.engine is not before)
        assert await service.ready(30)
        with pytest.raises(CommandException, match="over"):
            service.engine.approve(ref, "owner")
        with pytest.raises(CommandException, match="over"):
            before.approve(ref, "owner")
        found = next(one for one in service.engine.signals() if one.ref == ref)
        assert (found.state, found.reason.partition(":")[0]) == ("refused", "not asked any more")
        assert service.engine.orders() == []
    assert not kinds(room, EventKind.ORDER)


async def test_a_stop_takes_every_question_back(tmp_path: Path) -> None:
    room = Room()
    async with running(service_at(tmp_path, room, 600)) as service:
        await standing(service, {"waiting"})
    assert kinds(room, EventKind.REFUSAL)[-1]["code"] == "blocked"
    assert not kinds(room, EventKind.ORDER)


async def test_a_new_process_shows_the_signals_and_looks_of_the_one_before(tmp_path: Path) -> None:
    first, second = Room(), Room()
    async with running(service_at(tmp_path, first, 600)) as service:
        ref = await standing(service, {"waiting"})
        service.engine.approve(ref, "owner")
        await standing(service, {"bought", "closed"})
        now = service.clock.now_ns()
        signals = service.engine.signals()
        looks = {symbol: service.engine.evaluations(symbol) for symbol in SYMBOLS}
    async with running(service_at(tmp_path, second, 60, now)) as service:
        await service.ready(30)
        again = service.engine.signals()
        assert [(one.ts_ns, one.by) for one in again][: len(signals)] == [(one.ts_ns, one.by) for one in signals]
        for symbol in SYMBOLS:
            assert looks[symbol][-1] in service.engine.evaluations(symbol)
            assert looks[symbol][-1].conditions
        assert [p.symbol for p in service.engine.positions()] or again[0].state == "closed"


async def test_on_a_day_without_anybody_nothing_is_entered_and_the_questions_end_by_the_wall(tmp_path: Path) -> None:
    room = Room()
    async with running(service_at(tmp_path, room, 0, seconds=5)) as service:  # as fast as it goes
        await standing(service, {"waiting"})
        asked = service.clock.now_ns()
        await until(lambda: service.clock.now_ns() >= asked + 60 * MINUTE or bool(service.reason))
    assert not kinds(room, EventKind.ORDER)
    assert kinds(room, EventKind.SIGNAL)
    assert {str(refusal["code"]) for refusal in kinds(room, EventKind.REFUSAL)} <= {
        "withdrawn", "window", "blocked", "unanswered", "stale",
    }  # fmt: skip


def test_the_demo_asks_nobody_whatever_the_settings_say(tmp_path: Path) -> None:
    settings = replace(PLAIN, trading=PLAIN.trading.model_copy(update={"approval": Approval(ask=True)}))
    demo = Demo.prepare(settings, DemoOptions(tmp_path, strategy="ema_crossover", speed=0.0))
    assert not demo.engine.config.trading.approval.ask
    demo.close()
