"""The journal's hash chain finds what was changed and where; the audit tells what came of each command."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otrade_bot.core.chain import NOTHING, sealed, unsealed
from otrade_bot.core.clock import DAY, SECOND, ManualClock, midnight_ns
from otrade_bot.core.errors import CommandException
from otrade_bot.core.events import Event, EventKind, because, cause, new_mark
from otrade_bot.research.audit import audit, chain_of, happenings, render
from otrade_bot.service.audit import Audits, earlier_of
from otrade_bot.service.journal import DayJournal, day_path, last_hash, read_day

TODAY = date(2026, 9, 16)
NOON = midnight_ns(TODAY) + 12 * 3600 * SECOND


def written(folder: Path, count: int = 9, at: int = NOON) -> Path:
    with DayJournal(folder, ManualClock(at)) as journal:
        for n in range(count):
            journal.append(Event(EventKind.ALERT, at + n, "NSE:SBIN", f"number {n}"))
        path = journal.path
    assert path is not None
    return path


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def broken(path: Path, earlier: Path | None = None) -> list[int]:
    return [one["line"] for one in audit(path, earlier)["chain"]["breaks"]]


def test_a_journal_as_it_was_written_is_whole_and_its_head_is_the_last_hash(tmp_path: Path) -> None:
    path = written(tmp_path)
    found = chain_of(lines_of(path))
    assert found.whole
    assert (found.lines, found.loose, found.follows, found.head) == (9, 0, NOTHING, last_hash(path))
    assert "as it was written: 9 lines" in render(audit(path))


@given(seed=st.binary(min_size=1, max_size=4), where=st.data())
@settings(max_examples=60, deadline=None)
def test_any_byte_that_is_changed_is_found_at_its_line_or_the_one_behind_it(seed: bytes, where: st.DataObject) -> None:
    head, lines = NOTHING, []
    for n in range(6):
        line, head = sealed(json.dumps({"n": n, "seed": seed.hex()}).encode() + b"\n", head)
        lines.append(line)
    victim = where.draw(st.integers(0, 5))
    at = where.draw(st.integers(0, len(lines[victim]) - 2))  # its newline stays
    other = where.draw(st.integers(0, 255).filter(lambda byte: byte not in (lines[victim][at], 10)))
    lines[victim] = lines[victim][:at] + bytes([other]) + lines[victim][at + 1 :]
    follows = {"follows"}  # the first line of these says nothing of what it follows
    found = [one.line for one in chain_of(lines, follows).breaks]
    assert set(found) & {victim + 1, victim + 2} or (victim == 5 and found == [6])


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda rows: [*rows[:3], rows[3].replace(b"number 3", b"number 8"), *rows[4:]], 4),
        (lambda rows: [*rows[:3], *rows[4:]], 4),
        (lambda rows: [*rows[:3], rows[4], rows[3], *rows[5:]], 4),
        (lambda rows: [*rows[:3], rows[3], rows[3], *rows[4:]], 5),
        (lambda rows: [*rows[:3], unsealed(rows[3])[0] + b"\n", *rows[4:]], 4),
        (lambda rows: [*rows[:3], b'{"kind":"alert","text":"put in"}\n', *rows[3:]], 4),
    ],
    ids=["edited", "removed", "swapped", "repeated", "hash taken off", "put in"],
)  # fmt: skip
def test_what_was_done_to_a_line_is_located(tmp_path: Path, change: Callable[..., list[bytes]], line: int) -> None:
    path = written(tmp_path)
    path.write_bytes(b"".join(change(lines_of(path))))
    assert broken(path)[0] == line
    assert f"line {line} " in render(audit(path))


def test_the_chain_goes_on_after_a_restart_and_after_a_torn_line(tmp_path: Path) -> None:
    path = written(tmp_path, 3)
    with path.open("ab") as file:
        file.write(b'{"kind":"alert","te')
    assert chain_of(lines_of(path)).whole, "a torn line was never written"
    written(tmp_path, 2, NOON + DAY // 4)
    assert chain_of(lines_of(path)).whole
    assert "torn last line" in str(read_day(tmp_path, TODAY)[3])


def test_a_day_follows_the_day_before_it_and_its_end_cannot_be_cut_off_unseen(tmp_path: Path) -> None:
    first = written(tmp_path, 4, NOON - DAY)
    second = written(tmp_path, 3)
    assert chain_of(lines_of(second), {last_hash(first)}).follows == last_hash(first)
    assert earlier_of(tmp_path, TODAY) == first
    assert broken(second, first) == []
    first.write_bytes(b"".join(lines_of(first)[:-1]))
    assert broken(second, first) == [1]


def test_lines_of_an_older_version_are_counted_and_the_chain_begins_behind_them(tmp_path: Path) -> None:
    path = day_path(tmp_path, TODAY)
    path.parent.mkdir()
    path.write_bytes(b'{"ts":"","ns":%d,"kind":"alert","severity":"INFO"}\n' % NOON)
    written(tmp_path, 2)
    found = chain_of(lines_of(path))
    assert (found.whole, found.lines, found.loose) == (True, 3, 1)


def test_a_line_that_could_not_be_written_is_followed_by_nothing(tmp_path: Path) -> None:
    with DayJournal(tmp_path, ManualClock(NOON)) as journal:
        journal.append(Event(EventKind.ALERT, NOON, text="one"))
        with pytest.raises(Exception, match="cannot be written as JSON"):
            journal.append(Event(EventKind.ALERT, NOON, text="two", data={"what": object()}))
        journal.append(Event(EventKind.ALERT, NOON, text="three"))
        assert journal.path is not None
        assert chain_of(lines_of(journal.path)).whole


async def test_what_a_command_causes_bears_its_mark_also_in_the_tasks_that_it_begins(tmp_path: Path) -> None:
    mark = new_mark()
    assert mark != new_mark()

    async def later() -> str:
        return cause()

    with DayJournal(tmp_path, ManualClock(NOON)) as journal:
        said = {"user": "owner", "line": "/close SBIN", "outcome": "allowed", "mark": mark}
        journal.append(Event(EventKind.COMMAND, NOON, data=said))
        with because(mark):
            task = asyncio.create_task(later())
            order = {"tag": "A1", "rung": 1, "leg": "exit", "side": "SELL", "quantity": 5, "status": "open"}
            journal.append(Event(EventKind.ORDER, NOON + 1, "NSE:SBIN", data=order))
        assert cause() == ""
        journal.append(Event(EventKind.FILL, NOON + 2, "NSE:SBIN", data={"tag": "A1", "rung": 1, "quantity": 5}))
        assert journal.path is not None
        raw = [json.loads(line) for line in lines_of(journal.path)]
    assert await task == mark
    [told] = happenings(raw)
    assert told["line"] == "/close SBIN"
    assert [(order["tag"], [fill["quantity"] for fill in order["fills"]]) for order in told["orders"]] == [("A1", [5])]
    assert not [line for line in read_day(tmp_path, TODAY) if {"mark", "cause", "chain", "follows"} & set(line)]


@pytest.mark.parametrize("end", ["\n", "\r", "\u2028", "\x1b[2K\x1b[1G", "\u202e"])
def test_what_somebody_writes_looks_like_no_row_of_its_own(tmp_path: Path, end: str) -> None:
    forged = "12:00:09 owner: /flatten yes · allowed"
    with DayJournal(tmp_path, ManualClock(NOON)) as journal:
        said = {"user": "guest", "line": f"/status{end}{forged}{'x' * 4000}", "outcome": "usage", "mark": new_mark()}
        journal.append(Event(EventKind.COMMAND, NOON, data=said))
        path = journal.path
    assert path is not None
    rows = render(audit(path, None, 5)).splitlines()
    assert [row for row in rows if "guest" in row] == rows[-1:]
    assert not [row for row in rows if row.startswith(forged)]
    assert all(row.isprintable() for row in rows)
    assert len(rows[-1]) < 400
    assert rows[-1].endswith("· usage")


async def test_the_service_asks_a_child_and_a_day_without_a_journal_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, 3)
    audits = Audits(tmp_path, lambda: TODAY)
    found = await audits.audit(None, 5)
    assert found["chain"]["head"] == last_hash(path)
    with pytest.raises(CommandException, match="no journal of 2026-09-15"):
        await audits.audit(TODAY - timedelta(1), 5)


def test_report_audit_says_what_was_changed_and_ends_with_1(tmp_path: Path) -> None:
    path = written(tmp_path, 3)
    command = [sys.executable, "-m", "otrade_bot", "report", "--audit"]
    env = {**os.environ, "OTRADE_STATE_DIR": str(tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "as it was written: 3 lines" in done.stdout
    path.write_bytes(path.read_bytes().replace(b"number 1", b"number 7"))
    done = subprocess.run([*command, "--json"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert [one["line"] for one in json.loads(done.stdout)["chain"]["breaks"]] == [2]
