"""The diary: one file a day, every line complete, nothing secret."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from otrade_bot.core.clock import ManualClock, at_ist
from otrade_bot.core.errors import JournalException
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.masking import forget_secrets, register_secret
from otrade_bot.core.ports import Journal
from otrade_bot.service.journal import DayJournal, day_path, days, read_day

DAY = date(2021, 6, 1)
NOON = at_ist(DAY, 12)


@pytest.fixture(autouse=True)
def _no_secrets() -> Iterator[None]:
    forget_secrets()
    yield
    forget_secrets()


def test_a_line_holds_time_kind_symbol_text_severity_and_data(tmp_path: Path) -> None:
    with DayJournal(tmp_path, ManualClock(NOON)) as journal:
        port: Journal = journal
        port.append(
            Event(EventKind.SIGNAL, NOON, symbol="NSE:X", data={"rung": 2, "why": ["a", {"b": None}]})
        )
        port.append(Event(EventKind.ALERT, NOON, text="hot", severity=Severity.RISK), durable=True)
    assert read_day(tmp_path, DAY) == [
        {
            "ts": "2021-06-01T12:00:00+05:30",
            "ns": NOON,
            "kind": "signal",
            "symbol": "NSE:X",
            "severity": "INFO",
            "rung": 2,
            "why": ["a", {"b": None}],
        },
        {"ts": "2021-06-01T12:00:00+05:30", "ns": NOON, "kind": "alert", "text": "hot", "severity": "RISK"},
    ]


def test_an_event_goes_to_the_file_of_its_own_indian_day(tmp_path: Path) -> None:
    midnight = at_ist(date(2021, 6, 2), 0)
    with DayJournal(tmp_path, ManualClock(NOON)) as journal:
        for n, moment in enumerate((midnight - 1, midnight, midnight - 2, midnight + 1)):
            journal.append(Event(EventKind.SIGNAL, moment, data={"n": n}))
    assert [line["n"] for line in read_day(tmp_path, DAY)] == [0, 2]
    assert [line["n"] for line in read_day(tmp_path, date(2021, 6, 2))] == [1, 3]
    (tmp_path / "journal" / "notes.jsonl").write_bytes(b"")
    assert days(tmp_path) == [DAY, date(2021, 6, 2)]


def test_a_day_without_journal_is_empty(tmp_path: Path) -> None:
    assert read_day(tmp_path, DAY) == []
    assert days(tmp_path) == []


@pytest.mark.parametrize("key", ["ts", "ns", "kind", "symbol", "text", "severity"])
def test_data_may_not_overwrite_the_lines_own_keys(tmp_path: Path, key: str) -> None:
    with DayJournal(tmp_path, ManualClock(NOON)) as journal:
        with pytest.raises(JournalException, match=f"keys: {key}"):
            journal.append(Event(EventKind.ORDER, NOON, data={key: 1, "n": 1}))
        journal.append(Event(EventKind.ORDER, NOON, data={"n": 2}))
    assert [line["n"] for line in read_day(tmp_path, DAY)] == [2]


def test_numbers_that_json_has_not_become_null(tmp_path: Path) -> None:
    with DayJournal(tmp_path, ManualClock(NOON)) as journal:
        journal.append(Event(EventKind.EVALUATION, NOON, data={"a": float("nan"), "b": [float("inf"), 1.5]}))
    (line,) = read_day(tmp_path, DAY)
    assert (line["a"], line["b"]) == (None, [None, 1.5])


def test_secrets_do_not_reach_the_diary_but_counts_and_setting_names_do(tmp_path: Path) -> None:
    register_secret("s3cretValue")
    data = {
        "args": ["login", "https://x/?request_token=abcdef123&status=ok", "is s3cretValue"],
        "access_token": "zzz9",
        "tokens": {"kite": "zzz9"},
        "key": "max_positions",
        "dropped": {"unknown_token": 3},
    }
    with DayJournal(tmp_path, ManualClock(NOON)) as journal:
        journal.append(Event(EventKind.COMMAND, NOON, text="/login s3cretValue", data=data))
    written = day_path(tmp_path, DAY).read_text()
    assert not [word for word in ("s3cretValue", "abcdef123", "zzz9") if word in written]
    (line,) = read_day(tmp_path, DAY)
    assert line["key"] == "max_positions"
    assert line["dropped"] == {"unknown_token": 3}
    assert line["args"][1].endswith("&status=ok")


def test_a_torn_line_is_removed_and_the_removal_is_told(tmp_path: Path) -> None:
    with DayJournal(tmp_path, ManualClock(NOON)) as journal:
        journal.append(Event(EventKind.SIGNAL, NOON, data={"n": 1}))
    with day_path(tmp_path, DAY).open("ab") as handle:
        handle.write(b'{"ts": "2021')
    with DayJournal(tmp_path, ManualClock(NOON + 5)) as journal:
        journal.append(Event(EventKind.SIGNAL, NOON + 9, data={"n": 2}))
    first, told, last = read_day(tmp_path, DAY)
    assert (first["n"], last["n"]) == (1, 2)
    assert (told["kind"], told["what"], told["bytes"], told["ns"]) == ("recovery", "torn_line", 12, NOON + 5)


def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(JournalException, match="cannot be created"):
        DayJournal(tmp_path / "file", ManualClock())


def test_a_corrupt_diary_stops_the_writer_with_file_and_line(tmp_path: Path) -> None:
    path = day_path(tmp_path, DAY)
    journal = DayJournal(tmp_path, ManualClock(NOON))
    path.write_bytes(b'{"n":\n{"n":2}\n')
    with pytest.raises(JournalException, match=r"2021-06-01\.jsonl:1: corrupt"):
        journal.append(Event(EventKind.SIGNAL, NOON))


_WRITER = """
import sys
from otrade_bot.core.clock import ManualClock
from otrade_bot.core.events import Event, EventKind
from otrade_bot.service.journal import DayJournal
noon, journal, n = int(sys.argv[2]), DayJournal(sys.argv[1], ManualClock()), 0
while True:
    n += 1
    journal.append(Event(EventKind.ORDER, noon, text="x" * 2000, data={"n": n}), durable=n % 20 == 0)
    if n % 20 == 0:
        print(n, flush=True)
"""


def test_kill_9_keeps_every_line_that_was_acknowledged(tmp_path: Path) -> None:
    total = 0
    for _ in range(3):
        command = [sys.executable, "-c", _WRITER, str(tmp_path), str(NOON)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            told = [int(child.stdout.readline()) for _ in range(3)][-1]
            child.kill()
        assert child.returncode == -signal.SIGKILL
        seen = [line["n"] for line in read_day(tmp_path, DAY) if line["kind"] == "order"][total:]
        assert seen == list(range(1, len(seen) + 1))
        assert len(seen) >= told
        total += len(seen)


def test_every_kind_of_line_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "journal.md").read_text(encoding="utf-8")
    assert [
        kind.value
        for kind in EventKind
        if f"### `{kind.value}`" not in text and f"| `{kind.value}` |" not in text
    ] == []
