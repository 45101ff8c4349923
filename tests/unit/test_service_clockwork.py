"""APScheduler itself fires the jobs; the metronome and the feed keep to the clock they are given."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from otrade_bot.core.clock import MINUTE, SECOND, ManualClock, SystemClock
from otrade_bot.core.errors import BrokerException
from otrade_bot.service.clockwork import Clockwork, feed, metronome
from otrade_bot.service.plan import Job
from tests.harness.bench import OPEN, SHARE, Bench


class Fired:
    """Jobs as they come."""

    def __init__(self) -> None:
        self.jobs: asyncio.Queue[Job] = asyncio.Queue()

    async def run(self, job: Job) -> None:
        self.jobs.put_nowait(job)

    async def next(self) -> Job:
        return await asyncio.wait_for(self.jobs.get(), 10)


@pytest.fixture
async def fired():  # type: ignore[no-untyped-def]
    heard = Fired()
    works = Clockwork(heard.run)
    works.start()
    yield works, heard
    works.stop()


def job(name: str, at: int) -> Job:
    return Job(at, name, at + 3600 * SECOND)


async def test_a_job_fires_at_its_time_and_not_before(fired: tuple[Clockwork, Fired]) -> None:
    works, heard = fired
    due = job("open", time.time_ns() + SECOND // 5)
    works.plan([due, job("close", due.at + MINUTE)])
    assert await heard.next() == due
    assert time.time_ns() >= due.at
    name, at = works.next_job() or ("", None)
    assert name == "close"
    assert at is not None


async def test_a_job_that_is_late_runs_once_when_it_is_planned(fired: tuple[Clockwork, Fired]) -> None:
    works, heard = fired
    late = job("report", time.time_ns() - 3600 * SECOND)
    soon = job("next_session", time.time_ns() + SECOND // 10)
    works.plan([late, soon])
    assert [await heard.next(), await heard.next()] == [late, soon]
    assert heard.jobs.empty()


async def test_a_new_plan_takes_the_place_of_the_old_one(fired: tuple[Clockwork, Fired]) -> None:
    works, heard = fired
    now = time.time_ns()
    works.plan([job("open", now + SECOND // 5)])
    works.plan([job("close", now + SECOND // 4)])
    assert (await heard.next()).name == "close"
    assert heard.jobs.empty()


async def test_the_clockwork_takes_up_a_clock_that_was_set_forward_when_it_is_told(
    fired: tuple[Clockwork, Fired], monkeypatch: pytest.MonkeyPatch
) -> None:
    import apscheduler.schedulers.base as base

    works, heard = fired
    due = job("square_off", time.time_ns() + 3600 * SECOND)
    works.plan([due])
    real = base.datetime

    class Ahead(real):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, tz=None):  # type: ignore[no-untyped-def]
            return real.fromtimestamp(time.time() + 3601, tz)

    monkeypatch.setattr(base, "datetime", Ahead)
    works.wake()
    assert await heard.next() == due


async def until(task: asyncio.Task[None], done) -> None:  # type: ignore[no-untyped-def]
    """Give the loop turns until ``done``; the task must not have failed."""
    async with asyncio.timeout(10):
        while not done():
            await asyncio.sleep(0)
            if task.done():
                task.result()
                break
    assert done()


async def test_the_metronome_pulses_and_gives_each_minute_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench.paper(tmp_path / "paper.jsonl")
    bench.clock.advance_to(OPEN + MINUTE - SECOND // 2)
    minutes, pulses, compared = [], [], []
    monkeypatch.setattr(bench.engine, "on_time", minutes.append)
    monkeypatch.setattr(bench.engine, "pulse", pulses.append)

    async def reconcile() -> list[str]:
        compared.append(bench.clock.now_ns())
        raise BrokerException("no answer")

    monkeypatch.setattr(bench.engine, "reconcile", reconcile)

    async def tick() -> None:
        if pulses:
            bench.clock.advance_to(bench.clock.now_ns() + 50 * SECOND)

    task = asyncio.create_task(metronome(lambda: bench.engine, bench.clock, tick, lambda: OPEN))
    monkeypatch.setattr(asyncio, "sleep", turns(asyncio.sleep))
    await until(task, lambda: len(pulses) >= 5 and len(compared) == len(minutes))
    task.cancel()
    assert minutes[:3] == [OPEN + MINUTE, OPEN + 2 * MINUTE, OPEN + 3 * MINUTE]
    assert minutes == [ts for ts in bench.engine.timers if ts <= pulses[-1]]
    assert [event.text for event in bench.diary.events if "cannot be read" in event.text]  # told, and gone on


def turns(real):  # type: ignore[no-untyped-def]
    """A sleep that only gives the others a turn: the clock of the test is moved by hand."""
    return lambda seconds, *given: real(0)


async def test_a_feed_pushes_each_price_at_its_own_time(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "paper.jsonl")
    clock, pushed = SystemClock(), []
    bench.engine.on_price = lambda *given: pushed.append((time.time_ns(), given))  # type: ignore[method-assign, assignment, return-value]
    now = time.time_ns()
    steps = [(now - SECOND, 0, 100, 1), (now + SECOND // 10, 0, 101, 2)]
    await feed(bench.engine, clock, steps)
    assert [given[1:] for _, given in pushed] == [(now - SECOND, 100, 1), (now + SECOND // 10, 101, 2)]
    assert pushed[1][0] >= now + SECOND // 10 - SECOND // 1000


async def test_a_feed_that_is_far_behind_lets_the_others_have_their_turn(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "paper.jsonl")
    clock = ManualClock(OPEN + MINUTE)
    steps = [(OPEN + i, 0, 100_00, i) for i in range(200)]
    task = asyncio.create_task(feed(bench.engine, clock, steps))
    turns_taken = 0
    while not task.done():
        await asyncio.sleep(0)
        turns_taken += 1
    assert turns_taken >= 4
    assert SHARE.symbol in bench.engine.by_symbol
