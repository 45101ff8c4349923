"""Compiled code on disk is found again, and never used for other sources than its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kernel_desk import OPEN, Desk

from otrade_bot.kernel import compile as build
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import SOURCES, Kernel, StrategySource, source_key

USER = '''\
from __future__ import annotations
from typing import Any
from otrade_bot.kernel.calculations import highest, sma
from otrade_bot.strategies.base import StrategyParams

class PARAMS(StrategyParams):
    window: int = 5

STATE = {"level": float, "count": int, "past": (float, 3)}
MARGIN: float = 1.5

def above(s: Any, k: int) -> bool:
    return bool(s.past[k] > 0 and s.close > s.past[k] + MARGIN)

def update(s: Any, p: Any) -> None:
    s.past[s.count % 3] = s.level
    s.count += 1
    s.level = (highest(s.highs, s.bars, p.window, 0) + sma(s.closes, s.bars, p.window)) / 2

def should_buy(s: Any, p: Any) -> bool:
    return above(s, 0) and above(s, 1)

def should_sell(s: Any, p: Any) -> bool:
    return s.close < s.level
'''
STATE = {"level": "f8", "count": "i8", "past": ("f8", (3,))}


def user(source: str = USER, path: str = "mine.py") -> StrategySource:
    return StrategySource("mine", Path(path), source, STATE, {"window": "i8"})


# --- the key --------------------------------------------------------------------------------------


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's sources in another folder, where they may be edited."""
    folder = tmp_path / "kernel"
    folder.mkdir()
    for name in (*SOURCES, "state", "compile", "link", "aot"):
        shutil.copy(build.HERE / f"{name}.py", folder)
    monkeypatch.setattr(build, "HERE", folder)
    return folder


@pytest.mark.parametrize("name", [*SOURCES, "state", "compile", "link", "aot"])
def test_an_edit_of_any_kernel_source_changes_the_key(name: str, copied: Path) -> None:
    before = source_key([user()])
    assert source_key([user()]) == before
    path = copied / f"{name}.py"
    path.write_text(path.read_text() + "\n# edited\n")
    assert source_key([user()]) != before


@pytest.mark.parametrize(
    "other",
    [
        [],
        [user(USER + "#")],
        [user(path="other.py")],
        [StrategySource("yours", Path("mine.py"), USER, STATE, {"window": "i8"})],
        [StrategySource("mine", Path("mine.py"), USER, STATE, {"window": "f8"})],
        [StrategySource("mine", Path("mine.py"), USER, {**STATE, "level": "i8"}, {"window": "i8"})],
        [user(), user()],
    ],
)
def test_anything_else_about_the_strategies_changes_the_key(other: list[StrategySource]) -> None:
    assert source_key(other) != source_key([user()])


def test_the_order_of_strategies_changes_the_key(shipped: Any) -> None:
    sources = [s.source for s in shipped]
    assert source_key(sources) != source_key(sources[::-1])


def test_bounds_checking_has_code_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = set()
    for value in ("", "0", "1"):
        monkeypatch.setenv("NUMBA_BOUNDSCHECK", value)
        keys.add(source_key([]))
    assert len(keys) == 3


def test_kernel_names_are_refused_as_state() -> None:
    with pytest.raises(ValueError, match="names of the kernel itself: close"):
        build.load([StrategySource("mine", Path("mine.py"), USER, {"close": "f8"})], interpreted=True)


# --- building -------------------------------------------------------------------------------------


def lean(*args: Any, **entries: Any) -> Kernel:
    """A kernel that can only ``run``: the other entries would take as long again to compile."""
    missing = (
        "accept_one", "tick_one", "timer_all", "charge_one", "kite_frame", "heard_batch", "upstox_frame",
        "replay_day", "sweep_sets", "replay_tape",
    )  # fmt: skip
    entries.update(dict.fromkeys(missing, _absent))
    return Kernel(*args, **entries)


def _absent(*args: Any) -> int:
    raise NotImplementedError


Built = tuple[Kernel, Kernel, Kernel, Kernel, list[list[str]]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """A strategy on an empty disk, the same again, the same without a C compiler, and the same file edited; what each
    one told of progress."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTRADE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(build, "ENTRIES", ("run",))
        patch.setattr(build, "Kernel", lean)
        kernels, told = [], []
        for source in (USER, USER, USER.replace("MARGIN: float = 1.5", "MARGIN: float = 50.0")):
            said: list[str] = []
            kernels.append(build.load([user(source)], progress=lambda what, _, said=said: said.append(what)))  # type: ignore[misc]
            told.append(said)
        patch.setenv("OTRADE_CACHE_DIR", str(tmp_path_factory.mktemp("bare")))
        patch.setenv("CC", "no-such-compiler")
        kernels.append(build.load([user()]))
        yield kernels[0], kernels[1], kernels[3], kernels[2], told


def test_the_second_start_compiles_nothing_and_says_so(built: Built) -> None:
    first, second, _, _, told = built
    assert (first.was_cached, second.was_cached) == (False, True)
    assert (told[0], told[1]) == (["run", "done"], [])
    assert first.key == second.key
    assert first.compiled
    assert (first.executor, first.why) == (build.AHEAD, "")


def test_without_a_c_compiler_it_is_compiled_in_process_and_says_why(built: Built) -> None:
    assert (built[2].executor, built[2].why) == (build.IN_PROCESS, "no C compiler (no-such-compiler)")
    assert built[2].compiled
    assert built[2].key == built[0].key


def desk_of(kernel: Kernel, window: int = 5) -> Desk:
    desk = Desk(kernel, "")
    desk.put(sid=1, window=window, rungs=1, warm=1)
    desk.params[0]["stop_pct"][0] = 1.0
    return desk


def play(desk: Desk) -> list[Any]:
    desk.limits(cooldown=0)
    said = [desk.tick(OPEN + i, 10_000 + (37 * i * i) % 997) for i in range(60)]
    return [*said, desk.bytes()]


def test_an_edited_strategy_is_not_taken_from_disk(built: Built) -> None:
    first, _, _, edited, told = built
    assert not edited.was_cached
    assert told[2] == ["run", "done"]
    entries = [sum(i.kind == abi.ENTER for said in play(desk_of(k))[:-1] for i in said) for k in (first, edited)]
    assert entries[0] > 0
    assert entries[1] == 0


def test_a_users_strategy_is_the_same_ahead_of_time_from_disk_in_process_and_interpreted(built: Built) -> None:
    twin = build.load([user()], interpreted=True)
    expected = play(desk_of(twin))
    for kernel in built[:3]:
        assert play(desk_of(kernel)) == expected


@pytest.mark.parametrize("which", ["ahead", "in process", "interpreted"])
def test_a_window_longer_than_the_ring_raises_and_reads_nothing_beyond_it(which: str, built: Built) -> None:
    """A window that only PARAMS decides cannot be checked before: it surfaces as ValueError at the first bar."""
    compiled = {"ahead": built[0], "in process": built[2]}
    kernel = compiled[which] if which in compiled else build.load([user()], interpreted=True)
    play(desk_of(kernel, window=64))
    with pytest.raises(ValueError, match="a window must"):
        desk_of(kernel, window=65).tick(OPEN, 10_000)


def test_without_a_cache_folder_that_can_be_written_a_private_one_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OTRADE_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    root = build.cache_root()
    assert root.parent == tmp_path
    assert root.stat().st_mode & 0o777 == 0o700
