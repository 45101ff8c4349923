"""A rehearsal waits for its service, keeps its own books, and plays everything in the order of market time."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from otrade_bot.core.clock import MINUTE, SECOND, at_ist, iso, ist_date
from otrade_bot.core.errors import ConfigException
from otrade_bot.service.control_state import ControlState
from otrade_bot.service.plan import Job
from otrade_bot.service.rehearsal import Played, Rehearsal, drive, start_text
from tests.harness.bench import DAY, OPEN, Bench

START = at_ist(DAY, 9, 14, 50)
PLAN = Rehearsal(START, 60.0, "simulated, seed 1")


def noted(folder: Path, *moments: int) -> None:
    (folder / "journal").mkdir(exist_ok=True)
    lines = b"".join(orjson.dumps({"ns": ns, "kind": "signal", "ts": iso(ns)}) + b"\n" for ns in moments)
    (folder / "journal" / f"{DAY}.jsonl").write_bytes(lines)


def test_a_new_rehearsal_begins_at_its_start_with_empty_books(tmp_path: Path) -> None:
    (tmp_path / "paper.jsonl").write_text("old\n")
    noted(tmp_path, OPEN)
    assert PLAN.begin(tmp_path, 10**18) == (START, False)
    assert not (tmp_path / "paper.jsonl").exists()
    assert not (tmp_path / "journal" / f"{DAY}.jsonl").exists()


def test_a_flatten_of_the_account_that_is_emptied_is_forgotten_and_a_pause_is_not(tmp_path: Path) -> None:
    decided = {"paused": True, "paused_by": "owner", "flatten": {"queued": True, "by": "owner", "at": iso(OPEN)}}
    path = tmp_path / "control.json"
    path.write_bytes(orjson.dumps(decided))
    PLAN.begin(tmp_path, 10**18)
    assert ControlState(path).paused
    assert not ControlState(path).flatten["queued"]
    path.write_bytes(orjson.dumps(decided))
    PLAN.begin(tmp_path, 10**18)
    assert ControlState(path).flatten["queued"], "one that goes on keeps it"


@pytest.mark.parametrize("name", ["rehearsal.json", "paper.jsonl"])
def test_a_folder_that_cannot_be_prepared_is_said_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(ConfigException, match=f"{name}.*directory"):
        PLAN.begin(tmp_path, 10**18)


def test_an_interrupted_one_goes_on_where_its_books_end_however_long_it_was_away(tmp_path: Path) -> None:
    PLAN.begin(tmp_path, 10**18)
    noted(tmp_path, OPEN, OPEN + 5 * MINUTE)
    assert PLAN.begin(tmp_path, 2 * 10**18) == (OPEN + 5 * MINUTE, True)


def test_one_that_keeps_time_goes_on_where_the_market_would_be(tmp_path: Path) -> None:
    plan = Rehearsal(START, 60.0, "simulated, seed 1", keep_time=True)
    plan.begin(tmp_path, 10**18)
    noted(tmp_path, OPEN)
    assert plan.begin(tmp_path, 10**18 + 10 * SECOND) == (START + 10 * MINUTE, True)


@pytest.mark.parametrize(
    "other", [Rehearsal(START + SECOND, 60.0, PLAN.source), Rehearsal(START, 60.0, "another seed")]
)
def test_another_rehearsal_begins_anew(tmp_path: Path, other: Rehearsal) -> None:
    PLAN.begin(tmp_path, 10**18)
    noted(tmp_path, OPEN)
    assert other.begin(tmp_path, 10**18) == (other.start, False)


def test_one_that_was_played_to_its_end_begins_anew(tmp_path: Path) -> None:
    PLAN.begin(tmp_path, 10**18)
    noted(tmp_path, OPEN)
    PLAN.end(tmp_path, 10**18)
    assert PLAN.begin(tmp_path, 10**18) == (START, False)


@pytest.mark.parametrize("text", [
    "", "tomorrow", "2021-06-31T09:15:00", "09:15", "99999-01-01", "0001-01-01T00:00:00", "9999-12-31T09:14:50",
])  # fmt: skip
def test_a_start_that_is_no_moment_is_named(text: str) -> None:
    with pytest.raises(ConfigException, match="--rehearse"):
        start_text(text)


def test_a_start_is_indian_time() -> None:
    assert start_text("2026-09-16T09:14:50") == START


async def test_prices_minutes_pulses_and_jobs_come_in_the_order_of_market_time(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "paper.jsonl")
    seen: list[tuple[int, str]] = []

    def note(what: str):
        return lambda *given: seen.append((bench.clock.now_ns(), what))

    engine = bench.engine
    engine.on_price = note("price")  # type: ignore[method-assign]
    engine.on_time = note("minute")  # type: ignore[method-assign]
    engine.pulse = note("pulse")  # type: ignore[method-assign]

    async def job(due: Job) -> None:
        seen.append((bench.clock.now_ns(), due.name))

    minute = OPEN + MINUTE
    steps = [(minute - SECOND // 2, 0, 100, 1), (minute, -1, 0, 1), (minute, 0, 101, 2), (minute + 1, 0, 102, 3)]
    jobs = [Job(minute, "open", minute), Job(minute + 2 * SECOND, "report", minute * 2), Job(OPEN, "card", minute)]
    bench.clock.advance_to(minute - SECOND)
    played = Played()
    await drive(engine, bench.clock, steps, jobs, job, after=minute - SECOND, speed=1e6, played=played)
    assert seen == [
        (minute - SECOND, "card"),  # due before the start: caught up first
        (minute - SECOND // 2, "price"),
        (minute, "minute"), (minute, "pulse"), (minute, "open"), (minute, "price"),
        (minute + 1, "price"), (minute + SECOND, "pulse"),
        (minute + 2 * SECOND, "pulse"), (minute + 2 * SECOND, "report"),
    ]  # fmt: skip
    assert played.inputs == 9


def test_one_that_keeps_time_ends_with_its_own_day_however_long_it_was_away(tmp_path: Path) -> None:
    plan = Rehearsal(START, 60.0, "simulated, seed 1", keep_time=True)
    plan.begin(tmp_path, 10**18)
    noted(tmp_path, OPEN)
    begins, resumed = plan.begin(tmp_path, 10**18 + 3600 * SECOND)
    assert resumed
    assert ist_date(begins) == DAY
    assert begins > at_ist(DAY, 16, 5)
