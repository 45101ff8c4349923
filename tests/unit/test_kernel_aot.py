"""Modules compiled ahead of time: by one child at a time, whole or not at all, and without a compiler in here."""

from __future__ import annotations

import errno
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from otrade_bot.control.news.summaries import run_lines
from otrade_bot.core.errors import StrategyException
from otrade_bot.kernel import aot_module, cache
from otrade_bot.kernel import compile as build
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import AHEAD, IN_PROCESS, Kernel, Unavailable, source_key
from otrade_bot.service.child import environment
from otrade_bot.service.run_command import _say_kernel
from otrade_bot.strategies.loader import build_kernel, load_strategy

#: The smallest entry: it is compiled in a moment, and what takes long is LLVM.
SMALL = ("charge_one",)


def small(folder: Path, say: Callable[[str, float], None] | None = None, key: str = "") -> tuple[Any, bool]:
    return aot_module.module((), key or source_key(()), folder, "live", SMALL, say)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name.split(".")[0] for path in folder.iterdir())


# --- what the process that trades holds ---------------------------------------------------------------


def test_the_process_that_trades_never_imports_a_compiler_not_even_when_a_strategy_fails(kernel: Kernel) -> None:
    assert kernel.executor == AHEAD, kernel.why
    code = (
        "import sys\n"
        "from otrade_bot.strategies.loader import build_kernel, load_strategy\n"
        "k = build_kernel([load_strategy(n) for n in ('ema_crossover', 'momentum_ladder')])\n"
        "a = [k.new_rows(1), k.new_account(), k.new_params(1)]\n"
        "k.tick_one(*a, 0, 1, 2, 3, k.new_event(), k.new_intents(1))\n"
        "try:\n    k.tick_one(*a, 1, 1, 2, 3, k.new_event(), k.new_intents(1))\n"
        "except IndexError as error:\n    print(error, '|', k.executor, '|', k.was_cached)\n"
        "print({'numba', 'llvmlite', 'setuptools', 'subprocess'} & set(sys.modules))\n"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.splitlines() == ["index is out of bounds | ahead of time | True", "set()"]


def test_a_row_that_is_not_there_is_an_index_error_in_each_executor(kernel: Kernel, twin: Kernel) -> None:
    for one in (kernel, twin):
        arrays = one.new_rows(1), one.new_account(), one.new_params(1)
        with pytest.raises(IndexError):
            one.tick_one(*arrays, 1, 1, 2, 3, one.new_event(), one.new_intents(1))
        with pytest.raises(IndexError):
            one.charge_one(arrays[2], 1, 1, 100)


# --- building -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[Any, bool]], list[str]]:
    """Two builders at once in one folder; what they came to and what they told."""
    folder, told = tmp_path_factory.mktemp("made"), []
    with ThreadPoolExecutor(2) as both:
        found = list(both.map(lambda _: small(folder, lambda what, _: told.append(what)), range(2)))
    return folder, found, told


def test_of_two_that_build_at_once_one_does_and_the_other_one_waits_for_it(made: Any) -> None:
    folder, found, told = made
    assert sorted(was_there for _, was_there in found) == [False, True]
    assert told == [*SMALL, "done"]
    assert left_in(folder) == ["live", "lock"]


def test_what_was_built_is_found_again_and_is_for_its_owner_alone(made: Any) -> None:
    path = cache.find(made[0], "live")
    assert path is not None
    assert path.stat().st_mode & 0o777 == 0o600
    assert cache.find(made[0], "replay") is None


def test_a_module_computes_what_plain_python_does(made: Any, twin: Kernel) -> None:
    params, plain = build.load((), interpreted=True).new_params(1), twin.new_params(1)
    for name in ("ch_rate", "ch_cap", "ch_stt_sell", "ch_gst"):
        params[name] = plain[name] = 12_345
    bare = params.view(abi.BASE_PARAMS)
    for side, value in ((1, 1), (-1, 9_999_999), (-1, 123_456_789_012)):
        assert made[1][0][0].charge_one(bare, 0, side, value) == twin.charge_one(plain, 0, side, value)


@pytest.mark.parametrize("harm", ["truncated", "one byte", "empty", "others may write", "a link"])
def test_a_file_that_is_not_what_was_built_is_thrown_away_and_never_loaded(
    harm: str, made: Any, tmp_path: Path
) -> None:
    good = cache.find(made[0], "live")
    assert good is not None
    data, path = good.read_bytes(), tmp_path / good.name
    harmed = {"truncated": data[:-1], "one byte": data[:999] + bytes([data[999] ^ 1]) + data[1000:], "empty": b""}
    if harm == "a link":
        path.symlink_to(good)
    else:
        path.write_bytes(harmed.get(harm, data))
        path.chmod(0o622 if harm == "others may write" else 0o600)
    assert cache.find(tmp_path, "live") is None
    assert left_in(tmp_path) == []


def test_a_damaged_module_is_built_anew(made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = cache.find(made[0], "live")
    assert good is not None
    (tmp_path / good.name).write_bytes(good.read_bytes()[:5000])

    def build_again(*_: Any) -> Path:
        (tmp_path / "new").write_bytes(good.read_bytes())
        return cache.keep(tmp_path / "new", tmp_path, "live")

    monkeypatch.setattr(aot_module, "_built", build_again)
    assert small(tmp_path)[1] is False
    assert (tmp_path / good.name).read_bytes() == good.read_bytes()


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Those that were started."""
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def popen(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(real(*args, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", popen)
    yield started
    assert all(child.poll() is not None for child in started)


def test_a_builder_that_is_killed_leaves_nothing_half(tmp_path: Path, children: list[subprocess.Popen[bytes]]) -> None:
    with pytest.raises(Unavailable, match="ended with -9"):
        small(tmp_path, lambda what, _: children[0].kill())
    assert left_in(tmp_path) == ["lock"]


def test_who_interrupts_a_build_ends_the_builder(tmp_path: Path, children: list[subprocess.Popen[bytes]]) -> None:
    def interrupt(what: str, _: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small(tmp_path, interrupt)
    assert children[0].poll() == -signal.SIGKILL
    assert left_in(tmp_path) == ["lock"]


def test_a_builder_that_hangs_is_ended_with_the_compiler_that_it_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import json, subprocess, time\n"
        "waits = subprocess.Popen(['sleep', '600'], stdout=subprocess.DEVNULL)\n"
        "print(json.dumps({'at': waits.pid, 'of': 0}), flush=True)\ntime.sleep(600)\n"
    )
    monkeypatch.setattr(aot_module, "PROGRAM", (sys.executable, "-c", code))
    monkeypatch.setattr(aot_module, "LIFE", 2.0)
    compilers: list[Any] = []
    with pytest.raises(Unavailable, match="ended with -9"):
        small(tmp_path, lambda pid, _: compilers.append(pid))
    until = time.monotonic() + 20
    while any(alive(pid) for pid in compilers):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert len(compilers) == 1


def test_a_builder_ends_with_its_parent_and_what_is_left_of_both_is_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import os, subprocess, sys, time\nfrom pathlib import Path\nfrom otrade_bot.kernel import aot_module\n"
        "from otrade_bot.kernel.compile import source_key\n"
        "real = subprocess.Popen\n"
        "def popen(*args, **options):\n"
        "    child = real(*args, **options)\n    print(child.pid, flush=True)\n    return child\n"
        "subprocess.Popen = popen\n"
        f"aot_module.module((), source_key(()), Path({str(tmp_path)!r}), 'live', ('run',), lambda *_: time.sleep(60))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        builder = int(parent.stdout.readline())
        parent.kill()
    until = time.monotonic() + 60
    while alive(builder):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert left_in(tmp_path)[0].startswith("build-")
    monkeypatch.setattr(aot_module, "PROGRAM", ("false",))
    with pytest.raises(Unavailable, match="ended with 1"):
        small(tmp_path)
    assert left_in(tmp_path) == ["lock"]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_other_sources_than_those_of_the_key_are_not_built(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="were changed while this process runs"):
        small(tmp_path, key="0123")
    assert left_in(tmp_path) == ["lock"]


def test_a_builder_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTRADE_TELEGRAM_TOKEN", "secret")
    assert not any(name.startswith("OTRADE") for name in aot_module._environment("/nowhere"))
    assert aot_module._environment("/nowhere")["PYTHONPATH"] == environment()["PYTHONPATH"]


WRONG = """\
from otrade_bot.strategies.base import StrategyParams

class PARAMS(StrategyParams):
    pass

STATE = ("level",)

def update(s, p):
    s.level = s.close

def should_buy(s, p):
    return len(s.level) > 3

def should_sell(s, p):
    return False
"""


def test_what_the_compiler_says_in_the_child_comes_back_with_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTRADE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "ENTRIES", ("run",))
    (tmp_path / "wrong.py").write_text(WRONG)
    with pytest.raises(StrategyException, match="cannot be compiled: No implementation of function") as caught:
        build_kernel([load_strategy("wrong", tmp_path)])
    assert (caught.value.file, caught.value.line) == (str(tmp_path / "wrong.py"), 12)


# --- where nothing can be built -------------------------------------------------------------------------


def test_what_is_missing_is_named_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sysconfig

    assert aot_module.missing(tmp_path) is None
    with monkeypatch.context() as patch:
        patch.setenv("CC", "no-such-compiler -m64")
        assert aot_module.missing(tmp_path) == (
            "no C compiler (no-such-compiler)",
            "install no-such-compiler: apt install gcc python3-dev, or your system's like",
        )
    with monkeypatch.context() as patch:
        patch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
        found = aot_module.missing(tmp_path)
        assert found is not None
        assert found[0] == f"no headers of Python ({tmp_path / 'Python.h'})"
    with monkeypatch.context() as patch:
        patch.setattr(aot_module, "find_spec", lambda name: None)
        assert aot_module.missing(tmp_path) == ("setuptools is not installed", "pip install setuptools")


def test_a_module_that_the_system_will_not_load_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"no machine's code")
    path = cache.keep(tmp_path / "new", tmp_path, "live")
    assert cache.find(tmp_path, "live") == path
    with pytest.raises(Unavailable, match="cannot be loaded"):
        small(tmp_path)


def test_a_start_says_what_a_kernel_in_process_costs(kernel: Kernel, capsys: pytest.CaptureFixture[str]) -> None:
    _say_kernel(kernel)
    assert capsys.readouterr().err == ""
    _say_kernel(replace(kernel, executor=IN_PROCESS, why="no C compiler (gcc)"))
    assert capsys.readouterr().err == (
        "otrade-bot: kernel compiled in process, about 120 MB more memory: no C compiler (gcc); "
        "otrade-bot doctor has the cure\n"
    )
    said = list(run_lines({"state": "started", "mode": "paper", "in_process": "no C compiler (gcc)"}))
    assert "Kernel compiled in process, which costs memory: no C compiler (gcc). otrade-bot doctor has the cure" in said


# --- the folder -----------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and a temporary folder beside it."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("OTRADE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    return tmp_path / "cache"


def test_the_folder_is_made_for_us_alone_whatever_the_umask(home: Path) -> None:
    before = os.umask(0)
    try:
        found = cache.place()
        inner = cache.subfolder(found.path, "key")
    finally:
        os.umask(before)
    assert (found.path, found.why) == (home / "otrade-bot" / "kernel", "")
    assert {path.stat().st_mode & 0o777 for path in (found.path, inner)} == {0o700}


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o720])
def test_a_folder_that_others_may_write_to_is_not_used_and_that_is_said(mode: int, home: Path, tmp_path: Path) -> None:
    folder = cache.place().path
    folder.chmod(mode)
    found = cache.place()
    assert found.path.parent == tmp_path / "tmp"
    assert found.path.stat().st_mode & 0o777 == 0o700
    assert found.why == f"{folder} can be written by others; {found.path} is used"


def test_a_folder_that_others_could_put_another_one_in_place_of_is_not_used(home: Path) -> None:
    cache.place()
    home.chmod(0o777)
    assert cache.place().why.startswith(f"{home} can be written by others; ")
    home.chmod(0o1777)  # as /tmp is
    assert cache.place().why == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_not_used_nor_a_temporary_one_that_waits_for_us(
    home: Path, tmp_path: Path
) -> None:
    folder = cache.place().path
    os.chown(folder, 65534, 65534)
    found = cache.place()
    assert found.why.startswith(f"{folder} belongs to another user; ")
    os.chown(found.path, 65534, 65534)
    last = cache.place()
    assert last.path not in (folder, found.path)
    assert last.why.endswith("is used until the end of this process")
    assert last.path.stat().st_mode & 0o777 == 0o700


def test_a_link_that_waits_for_us_in_the_temporary_folder_is_not_followed(home: Path, tmp_path: Path) -> None:
    home.write_text("no folder")
    (tmp_path / "private").mkdir(mode=0o700)
    (tmp_path / "tmp" / f"otrade-bot-{os.getuid()}").symlink_to(tmp_path / "private")
    assert cache.place().why.endswith("is used until the end of this process")
    assert left_in(tmp_path / "private") == []


def test_a_key_that_others_may_write_to_is_thrown_away(home: Path) -> None:
    root = cache.place().path
    folder = cache.subfolder(root, "key")
    (folder / "live.0.so").write_bytes(b"planted")
    folder.chmod(0o777)
    assert list(cache.subfolder(root, "key").iterdir()) == []
    assert folder.stat().st_mode & 0o777 == 0o700


def test_without_locks_builders_go_on_and_the_last_one_wins(tmp_path: Path) -> None:
    with cache.turn(tmp_path) as first, cache.turn(tmp_path, patience=0) as second:
        assert (first, second) == (True, False)
    with cache.turn(tmp_path / "missing") as alone:
        assert not alone


# --- where nothing can be kept ----------------------------------------------------------------------------


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file can be made any more."""

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    cache._passing.cache_clear()
    for name in ("TemporaryFile", "TemporaryDirectory", "mkstemp", "mkdtemp"):
        monkeypatch.setattr(tempfile, name, full)


def kept_kernel(root: Path, made: Any, key: str) -> Path:
    """As if it had been compiled there before."""
    good, folder = cache.find(made[0], "live"), cache.subfolder(root, key)
    assert good is not None
    (folder / good.name).write_bytes(good.read_bytes())
    (folder / good.name).chmod(0o600)
    return folder


def test_what_was_compiled_is_used_from_a_full_or_readonly_disk(home: Path, made: Any, request: Any) -> None:
    key = source_key(())
    folder = kept_kernel(cache.place().path, made, key)
    request.getfixturevalue("no_room")
    found = cache.place(key)
    assert cache.subfolder(found.path, key) == folder
    assert found.why.endswith("; what was compiled before is used")
    assert small(folder)[1] is True
    folder.chmod(0o777)
    assert cache.place(key).path == cache.NOWHERE


def in_process(folder: Path) -> int:
    """Charges of a small order, by an entry that is compiled here."""
    row, params = abi.row_dtype({}), abi.params_dtype({})
    entries, _ = build._in_process((), row, params, source_key(()), folder, None, SMALL)
    return entries["charge_one"](np.zeros(1, params), 0, 1, 100)


def test_where_nothing_can_be_written_it_is_compiled_all_the_same(home: Path, no_room: None) -> None:
    found = cache.place(source_key(()))
    assert found.why.endswith("; nothing is kept, each start compiles")
    folder = cache.subfolder(found.path, source_key(()))
    with pytest.raises(Unavailable, match="no folder for what is compiled"):
        small(folder)
    assert in_process(folder) == 0
    assert not build.outlook(()).ready


def test_a_disk_that_fills_up_meanwhile_costs_what_is_kept_and_not_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from numba.core.caching import IndexDataCacheFile

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(IndexDataCacheFile, "_save_data", full)
    assert in_process(tmp_path) == 0
    monkeypatch.setattr(aot_module, "keep", full)
    monkeypatch.setattr(aot_module, "_ask", lambda *_: {"built": "it"})
    with pytest.raises(Unavailable, match="No space left on device"):
        small(tmp_path)


def test_a_user_without_a_home_has_a_place_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTRADE_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: {}[0])
    found = cache.place()
    assert found.why.startswith("Could not determine home directory")
    assert cache.doubt(found.path) == ""


def test_keys_that_nobody_has_started_with_for_long_go_and_nothing_else_does(home: Path) -> None:
    root, now = cache.place().path, time.time()
    old, used, mine, building = (f"{i:024x}" for i in range(4))
    folders = {name: cache.subfolder(root, name) for name in (old, used, mine, building, "a folder of somebody's")}
    (root / "note").write_text("a file")
    for folder in folders.values():
        os.utime(folder, (now - cache.FORGOTTEN - 60,) * 2)
    cache.subfolder(root, used)  # a start with it
    with cache.turn(folders[building]):
        os.utime(folders[building], (now - cache.FORGOTTEN - 60,) * 2)
        cache.forget_unused(root, mine)
    assert sorted(os.listdir(root)) == sorted([used, mine, building, "a folder of somebody's", "note"])


def test_a_key_that_is_gone_is_built_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aot_module, "PROGRAM", ("false",))
    with pytest.raises(Unavailable, match="ended with 1"):
        small(tmp_path / "gone")
    assert left_in(tmp_path / "gone") == ["lock"]
