"""The heartbeat tells those outside the last known truth; /health names what needs a look, and never fails."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from harness.bench import DAY, OPEN, SHARE, Bench
from harness.venue import FakeVenue

from otrade_bot import __version__
from otrade_bot.control.news.outbox import Outbox
from otrade_bot.control.phone.poller import PhoneState
from otrade_bot.control.reply import text
from otrade_bot.control.views_checks import Check
from otrade_bot.core.clock import IST, SECOND, at_ist
from otrade_bot.core.masking import register_secret
from otrade_bot.core.model import Block
from otrade_bot.service import health, statefile
from otrade_bot.service.clockwatch import ClockWatch, Reading
from otrade_bot.service.control_state import ControlState
from otrade_bot.service.health import Health, Sources, memory_mb
from otrade_bot.service.loopwatch import LoopWatch

WALL = at_ist(DAY, 10)


@dataclass
class Wall:
    """Wall time in ns, as far as somebody moved it."""

    now: int = WALL

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def bench() -> Bench:
    return Bench(lambda b: FakeVenue(b.clock))


@pytest.fixture
def sources(tmp_path: Path, bench: Bench, wall: Wall) -> Sources:
    job = ("next_session", datetime(2026, 9, 16, 16, 30, tzinfo=IST))
    return Sources(tmp_path, bench.clock, lambda: bench.engine, wall_ns=wall, next_job=lambda: job)


def heart(made: Health) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(made.path.read_bytes())
    return found


def check(made: Health, name: str) -> Check:
    (found,) = [one for one in made.checks() if one.name == name]
    return found


def waiting(tmp_path: Path, wall: Wall, number: int) -> Outbox:
    """A real outbox that nobody empties."""
    outbox = Outbox(tmp_path / "outbox.jsonl", wall_ns=wall, log_error=lambda *_: None)
    for at in range(number):
        outbox.put(text(f"message {at}"), [7])
    return outbox


# --- the heartbeat ---------------------------------------------------------------------------------


def test_the_heartbeat_holds_what_a_watchdog_must_know(sources: Sources, bench: Bench) -> None:
    bench.signal()
    bench.broker.fill(bench.broker.accept(), say=False)
    bench.broker.deliver_all()
    bench.broker.accept()
    bench.broker.deliver_all()
    bench.clock.advance_to(bench.now + 2 * SECOND)
    bench.engine.pause("owner")
    made = Health(replace(sources, last_job=lambda: ("card", at_ist(DAY, 8, 45), 12.34, True),
                          phone=lambda: PhoneState("offline", WALL / SECOND, 0.0, "no route")))  # fmt: skip
    assert made.beat()
    found = heart(made)
    assert found.pop("rss_mb") > 10
    assert found == {
        "running": True, "pid": os.getpid(), "version": __version__, "host": socket.gethostname(), "rehearsal": False,
        "at": "2026-09-16T10:00:00+05:30", "market": "2026-09-16T09:15:08+05:30",
        "mode": "paper", "broker": "venue", "feed": "simulated", "phase": "open", "paused": True,
        "blocks": [Block.PAUSED.value], "feed_age_s": 2.0,
        "unknown": [], "unread": "",
        "positions": [{"symbol": SHARE.symbol, "rung": 1, "side": "BUY", "quantity": 30, "stop": 98.0,
                       "stop_resting": True, "external": False}],
        "loop_lag_ms": {"max": 0.0, "p99": 0.0}, "outbox": None,
        "telegram": {"state": "offline", "since": "2026-09-16T10:00:00+05:30", "error": "no route"},
        "last_job": {"name": "card", "at": "2026-09-16T08:45:00+05:30", "late_s": 12.3, "ok": True},
        "next_job": {"name": "next_session", "at": "2026-09-16T16:30:00+05:30"},
        "unsaved": "",
    }  # fmt: skip


def test_it_is_replaced_whole_private_and_without_waiting_for_the_disk(
    sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    def waited(fd: int) -> None:
        raise AssertionError("the heartbeat waited for the disk")

    monkeypatch.setattr(statefile.os, "fsync", waited)
    made = Health(sources)
    assert made.beat()
    first = made.path.stat()
    with made.path.open("rb") as reader:  # somebody who reads it while it is replaced
        assert made.beat()
        assert json.loads(reader.read())["running"] is True
    assert made.path.stat().st_ino != first.st_ino
    assert first.st_mode & 0o777 == 0o600
    assert [p.name for p in sources.state_dir.iterdir()] == ["heartbeat.json"]


def test_before_the_first_day_is_open_there_is_a_heartbeat_already(sources: Sources) -> None:
    made = Health(replace(sources, engine=lambda: None, next_job=lambda: None))
    assert made.beat()
    assert heart(made)["positions"] == []
    assert heart(made)["next_job"] is None


def test_a_service_that_ends_in_good_order_says_so(sources: Sources) -> None:
    made = Health(sources)
    made.beat(running=False)
    assert heart(made)["running"] is False


def test_no_secret_gets_into_the_heartbeat_or_the_checks(sources: Sources) -> None:
    register_secret("health-secret-token-77")
    made = Health(replace(sources, phone=lambda: PhoneState("offline", 1.0, 0.0, "bothealth-secret-token-77/get")))
    made.beat()
    assert "health-secret-token-77" not in made.path.read_text()
    assert "health-secret-token-77" not in check(made, "Telegram").said


def test_a_heartbeat_that_cannot_be_written_is_told_and_ends_nothing(tmp_path: Path, sources: Sources) -> None:
    made = Health(replace(sources, state_dir=tmp_path / "file" / "below"))
    (tmp_path / "file").write_text("")
    assert made.beat() is False
    assert not check(made, "Heartbeat").well
    assert "cannot be written" in check(made, "Heartbeat").said
    assert not check(made, "Disk").well


def test_an_engine_that_cannot_be_looked_at_does_not_break_the_heartbeat(sources: Sources) -> None:
    def broken() -> Any:
        raise RuntimeError("no day is open")

    made = Health(replace(sources, engine=broken))
    assert made.beat() is False
    assert "no day is open" in check(made, "Heartbeat").said


def test_the_age_of_the_heartbeat_is_watched(sources: Sources, wall: Wall) -> None:
    made = Health(sources)
    assert check(made, "Heartbeat") == Check("Heartbeat", False, "none written yet")
    made.beat()
    wall.now += 6 * SECOND
    assert check(made, "Heartbeat") == Check("Heartbeat", True, "6.0 s old")
    wall.now += 30 * SECOND
    assert not check(made, "Heartbeat").well


async def test_run_beats_again_and_again(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "EVERY_S", 0.001)
    made = Health(sources)
    seen: set[int] = set()
    tasks = [asyncio.create_task(make()) for _, make in made.tasks()]
    async with asyncio.timeout(10):
        while len(seen) < 3:
            await asyncio.sleep(0.001)
            if made.beat_ns:
                seen.add(made.path.stat().st_mtime_ns)
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_decision_that_the_disk_refused_is_written_when_it_can_be_and_that_is_told(
    sources: Sources, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    control, told = ControlState.load(sources.state_dir / "control.json"), asyncio.Queue[str]()
    control.restore(bench.engine)
    made = Health(replace(sources, control=control, tell=told.put_nowait))

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(statefile.os, "fsync", full)
        bench.engine.pause("owner")
        made.beat()
        assert "may not survive" in heart(made)["unsaved"]
        assert not check(made, "Decisions").well
    task = asyncio.create_task(made.run())
    async with asyncio.timeout(10):
        assert "is written again" in await told.get()
    task.cancel()
    assert json.loads(control.path.read_bytes())["paused"] is True
    assert check(made, "Decisions").well


# --- the checks --------------------------------------------------------------------------------------


def test_a_service_in_order_is_all_well(
    sources: Sources, tmp_path: Path, wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "MEMORY_MB", 1e12)  # other tests have filled this process
    monkeypatch.setattr(health, "DISK_MB", 0)
    outbox = waiting(tmp_path, wall, 0)
    made = Health(replace(
        sources, outbox=lambda: outbox, phone=lambda: PhoneState("polling", WALL / SECOND), clocks=ClockWatch(),
        control=ControlState.load(tmp_path / "control.json"), last_job=lambda: ("card", OPEN, 0.1, True),
    ))  # fmt: skip
    made.beat()
    checks = made.checks()
    assert [one.name for one in checks if not one.well] == []
    assert [one.name for one in checks] == [
        "Event loop", "Memory", "Messages", "Telegram", "Scheduler", "Heartbeat", "Disk", "Clock", "Decisions"
    ]  # fmt: skip
    outbox.close()


@pytest.mark.parametrize(("last", "hour", "well", "said"), [
    (None, 9, True, "next: next session Wed 16 Sep 16:30:00"),
    (("card", at_ist(DAY, 8, 45), 0.2, True), 9, True, "card of 08:45:00 ran in time; next"),
    (("square_off", at_ist(DAY, 15, 10), 95.0, True), 16, True, "square off of 15:10:00 ran 1 min 35 s late; next"),
    (("report", at_ist(DAY, 16, 1), 0.0, False), 16, False, "report of 16:01:00 ran in time and FAILED; next"),
    (None, 17, False, "OVERDUE"),
])  # fmt: skip
def test_the_scheduler_tells_its_last_and_its_next_job(
    sources: Sources, bench: Bench, last: Any, hour: int, well: bool, said: str
) -> None:
    bench.clock.advance_to(at_ist(DAY, hour, 20))
    found = check(Health(replace(sources, last_job=lambda: last)), "Scheduler")
    assert found.well is well
    assert said in found.said


def test_a_scheduler_without_a_next_job_is_ill_but_a_rehearsal_has_none(sources: Sources) -> None:
    assert not check(Health(replace(sources, next_job=lambda: None)), "Scheduler").well
    assert check(Health(replace(sources, next_job=lambda: None, scheduled=False)), "Scheduler").well


def test_messages_that_wait_are_told_with_their_age_and_the_reason(
    sources: Sources, tmp_path: Path, wall: Wall
) -> None:
    outbox = waiting(tmp_path, wall, 3)
    link = SimpleNamespace(word="polling", since=WALL / SECOND, error="")
    made = Health(replace(sources, outbox=lambda: outbox, phone=lambda: link))
    assert made.delivery() == "", "they are on their way"
    wall.now += 30 * SECOND
    assert made.delivery() == "3 messages wait, the oldest for 30.0 s"
    assert check(made, "Messages").well
    wall.now += 95 * SECOND
    link.word = "offline"
    assert made.delivery() == "3 messages wait, the oldest for 2 min 5 s; Telegram is offline since 10:00:00"
    assert not check(made, "Messages").well
    assert not check(made, "Telegram").well
    made.beat()
    assert heart(made)["outbox"] == {"waiting": 3, "oldest_s": 125.0}
    outbox.close()


def test_where_nothing_waits_or_there_is_no_phone_status_says_nothing(
    sources: Sources, tmp_path: Path, wall: Wall
) -> None:
    assert Health(sources).delivery() == ""
    outbox = waiting(tmp_path, wall, 0)
    assert Health(replace(sources, outbox=lambda: outbox)).delivery() == ""
    outbox.close()


@pytest.mark.parametrize(("name", "limit", "plenty", "scarce"), [
    ("Memory", "MEMORY_MB", 1e12, 1), ("Disk", "DISK_MB", 0, 1e12),
])  # fmt: skip
def test_scarce_memory_and_disk_are_told(
    sources: Sources, monkeypatch: pytest.MonkeyPatch, name: str, limit: str, plenty: float, scarce: float
) -> None:
    monkeypatch.setattr(health, limit, plenty)
    assert check(Health(sources), name).well
    monkeypatch.setattr(health, limit, scarce)
    assert not check(Health(sources), name).well


def test_memory_is_what_the_system_counts() -> None:
    before = memory_mb()
    ballast = bytearray(os.urandom(64)) * 1_000_000
    assert memory_mb() - before > len(ballast) / 2e6


def test_a_clock_that_jumped_is_told_for_an_hour(sources: Sources, wall: Wall) -> None:
    readings = iter([Reading(WALL, 0, 0), Reading(WALL + 66 * SECOND, SECOND, SECOND)])
    clocks = ClockWatch(lambda: next(readings))
    made = Health(replace(sources, clocks=clocks))
    clocks.observe()
    assert check(made, "Clock") == Check("Clock", True, "10:00:00 IST on the wall, no jump seen")
    clocks.observe()
    assert not check(made, "Clock").well
    assert "set forward by 65.0 s, seen at 10:01:06" in check(made, "Clock").said
    wall.now += 2 * 3600 * SECOND
    assert check(made, "Clock").well


# --- the event loop's lag ---------------------------------------------------------------------------


def test_lag_is_the_worst_of_the_window_and_what_nearly_all_kept() -> None:
    at = [0.0]
    watch = LoopWatch(0.25, 60, lambda: at[0])
    assert (watch.max_ms, watch.p99_ms) == (0.0, 0.0)
    for number in range(200):
        at[0] += 0.25
        watch.woke(at[0] - (1.5 if number == 50 else 0.002))
    assert (watch.max_ms, watch.p99_ms) == (1500.0, 2.0)
    at[0] += 30
    assert watch.max_ms == 2.0  # the bad one has left the window
    at[0] += 60
    assert watch.max_ms == 0.0


async def test_a_loop_that_is_held_up_shows(sources: Sources) -> None:
    at = [0.0]
    watch = LoopWatch(0.001, 60, lambda: at[0])
    task = asyncio.create_task(watch.run())
    await asyncio.sleep(0)
    at[0] += 2.5  # somebody computes for so long
    for _ in range(5_000):
        await asyncio.sleep(0.001)
        if watch.max_ms:
            break
    task.cancel()
    made = Health(sources, watch)
    assert check(made, "Event loop") == Check(
        "Event loop", False, "late by 2499 ms at most, 2499 ms in 99 of 100 cases"
    )
