"""The append-only file: real kills, real full files, real locks."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from otrade_bot.core.errors import JournalException
from otrade_bot.core.jsonlines import LineLog

GOOD = b'{"n":1}\n{"n":2}\n'


def numbers(path: Path) -> list[int]:
    return [line["n"] for line in LineLog.read(path)]


def run_child(code: str, *args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, timeout=60, check=False
    )


def test_what_is_appended_is_read_back_in_order_across_openings(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "book.jsonl"
    with LineLog(path) as log:
        log.append({"n": 1, "text": "two\nlines ₹"}, durable=False)
        log.append_many([{"n": 2}, {"n": 3}], durable=True)
    with LineLog(path) as log:
        assert log.repaired is None
        log.append({"n": 4}, durable=True)
    assert numbers(path) == [1, 2, 3, 4]
    assert next(LineLog.read(path))["text"] == "two\nlines ₹"
    assert path.read_bytes().count(b"\n") == 4


def test_a_new_file_is_private(tmp_path: Path) -> None:
    with LineLog(tmp_path / "state" / "a.jsonl") as log:
        assert stat.S_IMODE(log.path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_missing_file_reads_as_empty_and_is_not_created(tmp_path: Path) -> None:
    assert numbers(tmp_path / "none.jsonl") == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "torn", [b"{", b'{"n":3}', b'{"n":3', b"\xff\xfe", b"\0" * 4096, b'{"n":\n', b"12\n", b"\n"]
)
def test_a_torn_last_line_is_cut_away_and_the_rest_untouched(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD + torn)
    assert numbers(path) == [1, 2]
    assert path.read_bytes() == GOOD + torn, "reading must not repair"
    with LineLog(path) as log:
        assert log.repaired == torn
        assert path.read_bytes() == GOOD
        log.append({"n": 3}, durable=True)
    assert numbers(path) == [1, 2, 3]


def test_a_file_of_nothing_but_a_torn_line_becomes_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n"')
    with LineLog(path) as log:
        assert log.repaired == b'{"n"'
    assert path.read_bytes() == b""


@pytest.mark.parametrize("bad", [b'{"n":\n', b"[1]\n", b"\n", b"\xff\n", b"\0\0\0\n"])
def test_corruption_in_the_middle_is_named_and_never_repaired(tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "a.jsonl"
    whole = b'{"n":1}\n' + bad + b'{"n":3}\n'
    path.write_bytes(whole)
    with pytest.raises(JournalException, match=r"a\.jsonl:2: corrupt"):
        LineLog(path)
    with pytest.raises(JournalException, match=r"a\.jsonl:2: corrupt"):
        list(LineLog.read(path))
    assert path.read_bytes() == whole


_APPEND_FOREVER = """
import sys
from otrade_bot.core.jsonlines import LineLog
log = LineLog(sys.argv[1])
n = 0
while True:
    n += 1
    log.append({"n": n, "padding": "x" * 3000}, durable=n % 50 == 0)
    if n % 50 == 0:
        print(n, flush=True)
"""


def test_kill_9_of_a_writer_loses_no_line_it_was_told_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with subprocess.Popen([sys.executable, "-c", _APPEND_FOREVER, path], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        told = [int(child.stdout.readline()) for _ in range(4)][-1]
        child.kill()
    assert child.returncode == -signal.SIGKILL
    readable = numbers(path)
    with LineLog(path) as log:
        assert numbers(path) == readable
        log.append({"n": len(readable) + 1}, durable=True)
    assert numbers(path) == list(range(1, len(readable) + 2))
    assert len(readable) >= told


_DIE_IN_THE_MIDDLE = """
import os, resource, signal, sys
from otrade_bot.core.jsonlines import LineLog
log = LineLog(sys.argv[1])
log.append_many([{"n": 1}, {"n": 2}], durable=True)
# The kernel takes only part of the next write, and kills the process for the rest of it.
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (20, resource.RLIM_INFINITY))
os.write(log._fd, b'{"n":3}\\n')
os.write(log._fd, b'{"n":4}\\n')
"""


def test_a_line_torn_by_the_death_of_its_writer_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    child = run_child(_DIE_IN_THE_MIDDLE, path)
    assert child.returncode == -signal.SIGXFSZ, child.stderr
    assert path.read_bytes() == GOOD + b'{"n"'
    with LineLog(path) as log:
        assert log.repaired == b'{"n"'
        log.append({"n": 3}, durable=True)
    assert numbers(path) == [1, 2, 3]


_FULL_DISK = """
import resource, sys
from otrade_bot.core.errors import JournalException
from otrade_bot.core.jsonlines import LineLog
log = LineLog(sys.argv[1])
log.append({"n": 1}, durable=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (12, resource.RLIM_INFINITY))
for durable in (False, True):
    try:
        log.append_many([{"n": 98}, {"n": 99}], durable=durable)
    except JournalException as error:
        print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.append({"n": 2}, durable=True)
"""


def test_a_short_write_is_undone_and_told_and_writing_resumes_when_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    child = run_child(_FULL_DISK, path)
    assert child.returncode == 0, child.stderr
    told = child.stdout.splitlines()
    assert len(told) == 2
    assert all("a.jsonl: cannot be written: only 4 of 18 bytes were taken" in line for line in told)
    assert path.read_bytes() == GOOD


def test_a_folder_a_device_and_an_impossible_path_are_told_clearly(tmp_path: Path) -> None:
    with pytest.raises(JournalException, match="Is a directory"):
        LineLog(tmp_path)
    with pytest.raises(JournalException, match="not a regular file"):
        LineLog("/dev/null")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(JournalException, match=r"b\.jsonl: cannot be opened for writing"):
        LineLog(tmp_path / "file" / "b.jsonl")
    with pytest.raises(JournalException, match="Is a directory"):
        list(LineLog.read(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_a_read_only_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD)
    path.chmod(0o400)
    with pytest.raises(JournalException, match="Permission denied"):
        LineLog(path)


def test_a_second_writer_is_refused_until_the_first_has_gone(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD + b"{")
    first = LineLog(path)
    with pytest.raises(JournalException, match="another writer"):
        LineLog(path)
    code = "import sys; from otrade_bot.core.jsonlines import LineLog; LineLog(sys.argv[1])"
    assert "another writer" in run_child(code, path).stderr
    first.close()
    first.close()
    with LineLog(path) as second:
        second.append({"n": 3}, durable=False)
    with pytest.raises(JournalException, match="closed"):
        first.append({"n": 4}, durable=False)
    assert numbers(path) == [1, 2, 3]


_FORK = """
import os, sys
from otrade_bot.core.errors import JournalException
from otrade_bot.core.jsonlines import LineLog
log = LineLog(sys.argv[1])
child = os.fork()
if child == 0:
    try:
        log.append({"n": 99}, durable=False)
    except JournalException as error:
        os._exit(7 if "not by this one" in str(error) else 8)
    os._exit(9)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
log.append({"n": 1}, durable=True)
"""


def test_a_forked_child_cannot_write_into_its_parents_file(tmp_path: Path) -> None:
    child = run_child(_FORK, tmp_path / "a.jsonl")
    assert child.stdout == "7\n", child.stderr
    assert numbers(tmp_path / "a.jsonl") == [1]


def test_a_deleted_file_is_noticed(tmp_path: Path) -> None:
    with LineLog(tmp_path / "a.jsonl") as log:
        log.append({"n": 1}, durable=False)
        log.path.unlink()
        with pytest.raises(JournalException, match="deleted"):
            log.append({"n": 2}, durable=False)


def test_a_new_file_takes_the_place_of_an_old_one_and_stays_locked_and_writable(tmp_path: Path) -> None:
    path, other = tmp_path / "book.jsonl", tmp_path / "book.new"
    with LineLog(path) as old, LineLog(other) as new:
        old.append({"n": 1}, durable=False)
        new.append({"n": 2}, durable=True)
        new.rename(path)
        old.close()
        new.append({"n": 3}, durable=False)
        assert numbers(path) == [2, 3]
        assert new.path == path
        assert not other.exists()
        with pytest.raises(JournalException, match="another writer"):
            LineLog(path)
        with pytest.raises(JournalException, match=r"nowhere.*cannot be replaced"):
            new.rename(tmp_path / "nowhere" / "book.jsonl")
        new.append({"n": 4}, durable=False)
    assert numbers(path) == [2, 3, 4]


def test_what_is_not_json_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with LineLog(tmp_path / "a.jsonl") as log:
        for bad in ({"n": object()}, {"n": {1, 2}}, {1: 2}, {"n": "\ud800"}, {"n": 2**70}):
            with pytest.raises(JournalException, match="cannot be written as JSON"):
                log.append_many([{"n": 1}, bad], durable=True)  # type: ignore[list-item]
        assert log.path.read_bytes() == b""
        log.append_many([], durable=True)
        log.append({"n": float("nan"), "m": float("-inf")}, durable=True)
        log.sync()
    assert orjson.loads(log.path.read_bytes()) == {"n": None, "m": None}


def test_after_a_failed_flush_nothing_more_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with LineLog(tmp_path / "a.jsonl") as log:
        monkeypatch.setattr(os, "fdatasync", fail)
        with pytest.raises(JournalException, match="Input/output error"):
            log.append({"n": 1}, durable=True)
        monkeypatch.undo()
        with pytest.raises(JournalException, match="not written any more"):
            log.append({"n": 2}, durable=False)


def test_half_a_line_that_cannot_be_removed_stops_all_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def short(fd: int, block: bytes) -> int:
        return real(fd, block[:3])

    def fail(fd: int, length: int) -> None:
        raise OSError(5, "Input/output error")

    path = tmp_path / "a.jsonl"
    with LineLog(path) as log:
        monkeypatch.setattr(os, "write", short)
        monkeypatch.setattr(os, "ftruncate", fail)
        with pytest.raises(JournalException, match="only 3 of 8"):
            log.append({"n": 1}, durable=False)
        monkeypatch.undo()
        with pytest.raises(JournalException, match="half a line"):
            log.append({"n": 2}, durable=False)
    assert path.read_bytes() == b'{"n'
    with LineLog(path) as log:
        assert log.repaired == b'{"n'


def test_a_signal_handler_that_raises_leaves_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def interrupted(fd: int, block: bytes) -> int:
        real(fd, block[:5])
        raise KeyboardInterrupt

    with LineLog(tmp_path / "a.jsonl") as log:
        monkeypatch.setattr(os, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            log.append({"n": 1}, durable=False)
        monkeypatch.undo()
        log.append({"n": 2}, durable=False)
    assert numbers(tmp_path / "a.jsonl") == [2]


def test_the_limit_used_above_really_is_inherited_per_process() -> None:
    """Guards the tests with RLIMIT_FSIZE: this process must never be limited by them."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] in (resource.RLIM_INFINITY, -1)
