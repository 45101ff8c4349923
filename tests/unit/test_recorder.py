"""The recorder holds up nothing: what it cannot write ends the recording, told once, and the day goes on."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from otrade_bot.config import ConfigManager, environment
from otrade_bot.config.models import TapeConfig
from otrade_bot.core.errors import ConfigException
from otrade_bot.research.tape import Begin, Change, Inputs, Mark, read_segment, tapes
from otrade_bot.service import recorder as recording
from otrade_bot.service.recorder import forget_day, forget_old
from otrade_bot.service.tapes import Tapes
from otrade_bot.strategies.loader import load_strategy
from tests.harness.bench import Bench, config
from tests.unit.tape_room import SECONDS, checked, ended, record

DAY = date(2026, 9, 16)


def quick(bench: Bench, minutes: int = 3) -> None:
    for minute in range(minutes):
        bench.signal(10_000 + 100 * minute)
        bench.at(9, 20 + minute)


def test_a_disk_that_fills_up_ends_the_recording_with_one_word_and_not_the_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, told = Bench.paper(tmp_path / "p.jsonl"), list[str]()
    recorder = record(bench, tmp_path / "tape", told)
    quick(bench, 1)
    assert recorder.flush().wait(SECONDS)

    def full(fd: int, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(recording.os, "write", full)
    for minute in range(3):
        bench.at(9, 30 + minute)
        recorder.flush().wait(SECONDS)
    monkeypatch.undo()
    quick(bench, 1)
    assert told == ["the tape: No space left on device"]
    assert bench.engine.deck.tape is None
    assert bench.engine.trades() or bench.engine.positions()
    assert recorder.end().wait(SECONDS)
    assert checked(tmp_path / "tape", bench).difference is None


def test_what_is_left_on_the_disk_is_the_journals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, told = Bench.paper(tmp_path / "p.jsonl"), list[str]()
    recorder = record(bench, tmp_path / "tape", told)
    quick(bench, 1)
    assert recorder.flush().wait(SECONDS)
    assert told == []
    monkeypatch.setattr(recording, "ROOM", 1 << 60)
    written = recorder.written
    bench.at(9, 30)
    assert recorder.flush().wait(SECONDS)
    bench.at(9, 31)
    assert told == ["the tape: less than 1,152,921,504,606 MB are left on the disk, for the journal"]
    assert recorder.written == written
    assert recorder.end().wait(SECONDS)


def test_a_folder_that_cannot_be_made_ends_the_recording(tmp_path: Path) -> None:
    (tmp_path / "tape").write_text("a file")
    bench, told = Bench.paper(tmp_path / "p.jsonl"), list[str]()
    recorder = record(bench, tmp_path / "tape", told)
    assert recorder.flush().wait(SECONDS)
    quick(bench)
    assert len(told) == 1
    assert "tape" in told[0]
    assert bench.engine.deck.tape is None


def test_a_disk_that_does_not_keep_up_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "_BACKLOG", -1)
    bench, told = Bench.paper(tmp_path / "p.jsonl"), list[str]()
    record(bench, tmp_path / "tape", told)
    quick(bench)
    assert told == ["the disk does not keep up"]


def test_what_is_flushed_is_there_for_a_reader_before_the_end(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "p.jsonl")
    recorder = record(bench, tmp_path / "tape")
    quick(bench)
    assert recorder.flush(mark=True).wait(SECONDS)
    assert recorder.path is not None
    parts = list(read_segment(recorder.path).parts())
    assert isinstance(parts[0], Begin)
    assert isinstance(parts[-1], Mark)
    assert not parts[-1].last
    assert sum(len(part) for part in parts if isinstance(part, Inputs)) == recorder.inputs
    verdict = checked(tmp_path / "tape", bench)
    assert verdict.well, verdict.words()
    ended(recorder)
    last = list(read_segment(recorder.path).parts())[-1]
    assert isinstance(last, Mark)
    assert last.last


def test_of_a_swarm_of_writes_one_change_is_kept(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "p.jsonl")
    recorder = record(bench, tmp_path / "tape")
    for capital in range(400_000, 400_050):
        bench.engine.params["capital"] = capital
        bench.engine.deck.changed()
    quick(bench)
    found = [part for part in read_segment(ended(recorder)).parts() if isinstance(part, Change)]
    assert len(found) == 1
    assert checked(tmp_path / "tape", bench).well


def test_old_tapes_go_and_nothing_else_does(tmp_path: Path) -> None:
    kept = ["2026-09-01.001.tape", "2026-08-17.001.tape", "2026-09-17.001.tape", "notes.txt", "2026-01-01.tape",
            "2026-01-01.1.tape.bak", "x2026-01-01.1.tape", "2026-13-01.1.tape"]  # fmt: skip
    gone = ["2026-08-16.001.tape", "2025-01-01.12.tape"]
    for name in (*kept, *gone):
        (tmp_path / name).write_text("")
    (tmp_path / "2020-01-01.1.tape").symlink_to(tmp_path / "notes.txt")
    forget_old(tmp_path, DAY, 30)
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "2020-01-01.1.tape"}
    forget_day(tmp_path, date(2026, 9, 1))
    assert "2026-09-01.001.tape" not in os.listdir(tmp_path)
    assert [path.name for _, _, path in tapes(tmp_path)] == ["2026-08-17.001.tape", "2026-09-17.001.tape"]


@pytest.mark.parametrize("given", [{"keep_days": 0}, {"keep_days": 4_000}, {"enabled": "yes"}, {"more": 1}])
def test_settings_of_the_tape_have_bounds(given: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "trading.json").write_text(json.dumps({"tape": given}))
    with pytest.raises(ConfigException, match=r"trading\.json: tape"):
        ConfigManager(tmp_path, environment()).load()
    assert TapeConfig() == TapeConfig(enabled=True, keep_days=30)


# --- in the service ---


def tapes_of(bench: Bench, folder: Path) -> Tapes:
    bench.clock.advance_to(bench.now)
    return Tapes(folder, bench.clock)


def test_health_tells_what_is_recorded_and_why_nothing_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench.paper(tmp_path / "p.jsonl")
    found = tapes_of(bench, tmp_path)
    found.begin(bench.engine, bench.config)
    quick(bench)
    (check,) = found.checks()
    assert check.well
    assert "inputs recorded" in check.said
    found._recorder._writer.fault = "no space"  # type: ignore[union-attr]
    quick(bench)
    (check,) = found.checks()
    assert not check.well
    assert check.said == "not recorded any more: no space"
    assert bench.alerts == ["the day's tape is not recorded any more (no space); trading goes on"]
    found.close()


def test_switched_off_nothing_is_written(tmp_path: Path) -> None:
    settings = config()
    off = settings.trading.model_copy(update={"tape": TapeConfig(enabled=False)})
    bench = Bench.paper(tmp_path / "p.jsonl")
    found = tapes_of(bench, tmp_path)
    found.begin(bench.engine, replace(settings, trading=off))
    assert bench.engine.deck.tape is None
    assert not (tmp_path / "tape").exists()
    assert [(check.well, check.said) for check in found.checks()] == [(True, "switched off in trading.json")]
    found.close()


def test_a_desk_that_is_opened_again_begins_the_next_segment(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "p.jsonl")
    found = tapes_of(bench, tmp_path)
    for _ in range(2):
        found.begin(bench.engine, bench.config)
        quick(bench)
        found.end()
    found.close()
    assert [number for _, number, _ in tapes(tmp_path / "tape", bench.day)] == [1, 2]
    verdict = checked(tmp_path / "tape", bench)
    assert verdict.compared == 2
    assert verdict.well, verdict.words()


async def test_the_check_in_a_child_says_the_same_as_here(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "p.jsonl")
    found = tapes_of(bench, tmp_path)
    found.begin(bench.engine, bench.config)
    quick(bench)
    files = {name: bench.engine.strategies[name].path for name in bench.engine.strategies}
    said = await found.check(bench.day, files)
    assert said["notes"][0].endswith("(strategy momentum_ladder: its file is not known here)")
    files["momentum_ladder"] = load_strategy("momentum_ladder").path
    said = await found.check(bench.day, files)
    assert said["well"], said
    assert said["inputs"] == found._recorder.inputs  # type: ignore[union-attr]
    path = next(path for _, _, path in tapes(tmp_path / "tape"))
    found.close()
    path.write_bytes(path.read_bytes()[:-9] + b"123456789")
    said = await found.check(bench.day, files)
    assert "damaged at byte" in said["error"]
    assert not found.checks()[0].well
