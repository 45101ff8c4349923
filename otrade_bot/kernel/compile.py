"""The one door to the kernel: sources in, a set of callable entries out.

Three executors with one API that give the same bits (``Kernel.executor`` says which it is):
``ahead of time``, an extension module that a child process has built, so that the process that trades holds no
compiler; ``in process``, numba's, for research and where there is no C compiler; ``interpreted``, the twin for tests.
One kernel holds all strategies; a switch on the row's ``sid`` chooses.

Compiled code is kept on disk in a folder named by a hash over every source and every version that goes
into it, so a start does not compile and an edit is never ignored. numba alone would miss edits in
imported files.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from otrade_bot.kernel import state as abi
from otrade_bot.kernel.cache import cache_root, find, forget_unused, place, subfolder, turn, writable, write_once
from otrade_bot.kernel.check import checked
from otrade_bot.kernel.link import SOURCES, helpers, hooks_source, link, plain

__all__ = [
    "AHEAD", "COSTS_MB", "ENTRIES", "INTERPRETED", "IN_PROCESS", "LATER", "SOURCES", "Complaint", "Kernel", "Outlook",
    "StrategySource", "Unavailable", "arguments", "cache_root", "load", "outlook", "source_key", "union_fields",
]  # fmt: skip

HERE = Path(__file__).parent
ENTRIES = (
    "accept_one",
    "tick_one",
    "timer_all",
    "run",
    "charge_one",
    "kite_frame",
    "heard_batch",
    "upstox_frame",
    "replay_day",
    "sweep_sets",
    "replay_tape",
)
#: Compiled when one of them is first called: a day that is traded needs no replay, and it takes longer than the rest.
LATER = frozenset({"replay_day", "sweep_sets"})
#: Of these, what threads run side by side: always in process, since code that was compiled ahead of time keeps Python's
#: lock. Who calls it is never what trades.
BESIDE = frozenset({"sweep_sets"})
AHEAD, IN_PROCESS, INTERPRETED = "ahead of time", "in process", "interpreted"
#: MB that a process with the compiler in it holds more: numba and LLVM, and what they have read back.
COSTS_MB = 120

Array = npt.NDArray[Any]
Progress = Callable[[str, float], None]
Entry = Callable[..., int]


def arguments(row: np.dtype[Any], params: np.dtype[Any]) -> dict[str, np.dtype[Any] | None]:
    """What the arguments of entries are, by their names: arrays of that dtype, or bytes (None). Any other name is
    an int64."""
    i8 = np.dtype(np.int64)
    return {
        "state": row,
        "acct": abi.ACCOUNT,
        "params": params,
        "ev": abi.EVENT,
        "events": abi.EVENT,
        "ticks": abi.EVENT,
        "timers": abi.EVENT,
        "out": abi.INTENT,
        "work": abi.WORK,
        "venue": abi.VENUE,
        "trades": abi.TRADE,
        "tally": abi.TALLY,
        "sets": params,
        "plan": params,
        "past": abi.EVENT,
        "account": abi.ACCOUNT,
        "ticks_at": i8,
        "timer_at": i8,
        "dates": i8,
        "days": abi.DAYSUM,
        "scores": abi.SCORE,
        "quotes": abi.QUOTE,
        "depth": abi.DEPTH,
        "slots": abi.SLOT,
        "feed": abi.FEED,
        "frame": None,
        "names": None,
        "keys": abi.KEY,
        "part": abi.PART,
        "heard": abi.HEARD,
        "tape": abi.TAPED,
        "offered": abi.TAPED,
        "event_at": i8,
        "walk": abi.WALK,
        "out_at": i8,
    }


class Complaint(Exception):  # noqa: N818 - a word of the compiler, not an error of the tree
    """What the compiler says of the sources; it names files and lines."""


class Unavailable(Exception):  # noqa: N818 - a reason, not an error: the kernel is compiled in process then
    """Why nothing can be compiled ahead of time here, in words."""


@dataclass(frozen=True)
class StrategySource:
    """What the kernel needs of a strategy: its file, and the names it adds to rows and params."""

    name: str
    path: Path
    source: str
    state: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Kernel:
    """Entries with the dtypes they were built for. Arrays must come from the ``new_*`` functions, or pass ``check``:
    compiled code does not check what it is given, and kills the process where it is wrong.

    ``executor`` is one of ``AHEAD``, ``IN_PROCESS``, ``INTERPRETED``; ``why`` says why it is not the one that was
    asked for, or why the code is kept elsewhere."""

    row: np.dtype[Any]
    params: np.dtype[Any]
    sids: Mapping[str, int]
    key: str
    compiled: bool
    was_cached: bool
    accept_one: Entry
    tick_one: Entry
    timer_all: Entry
    run: Entry
    charge_one: Entry
    kite_frame: Entry
    heard_batch: Entry
    upstox_frame: Entry
    replay_day: Entry
    sweep_sets: Entry
    replay_tape: Entry
    executor: str = IN_PROCESS
    why: str = ""

    def new(self, dtype: np.dtype[Any], n: int) -> Array:
        """``n`` zeroed records; as records with attributes where Python itself must read them."""
        array = np.zeros(n, dtype)
        return array if self.compiled else array.view((np.record, dtype))

    def new_rows(self, n: int) -> Array:
        return self.new(self.row, n)

    def new_params(self, n: int) -> Array:
        return self.new(self.params, n)

    def new_account(self) -> Array:
        return self.new(abi.ACCOUNT, 1)

    def new_event(self, n: int = 1) -> Array:
        return self.new(abi.EVENT, n)

    def new_intents(self, rows: int) -> Array:
        """Room for what one call over ``rows`` rows can intend."""
        return self.new(abi.INTENT, 12 * rows + 64)

    def check(self, **arrays: Any) -> None:
        """Whether entries may be called with these arguments of theirs, by name. TypeError where they may not.

        Once for arrays that stay: it costs more than a call."""
        dtypes = arguments(self.row, self.params)
        for name, array in arrays.items():
            dtype = dtypes.get(name)
            if dtype is None:
                raise TypeError(f"{name}: no entry takes an array of that name")
            checked(name, array, dtype)


def union_fields(strategies: Iterable[StrategySource], which: str) -> dict[str, Any]:
    """All strategies' fields together; ValueError where two give one name different types."""
    fields: dict[str, Any] = {}
    owner: dict[str, str] = {}
    for strategy in strategies:
        for name, spec in getattr(strategy, which).items():
            if name in fields and fields[name] != spec:
                raise ValueError(
                    f"{which.upper()} {name!r} has one type in {owner[name]} and another in {strategy.name}"
                )
            fields[name], owner[name] = spec, strategy.name
    return fields


def source_key(strategies: Iterable[StrategySource]) -> str:
    """Hash over everything that decides what the machine code is."""
    digest = blake2b(digest_size=12)
    boundscheck = os.environ.get("NUMBA_BOUNDSCHECK", "")
    for text in (sys.version, EXTENSION_SUFFIXES[0], np.__version__, boundscheck):
        digest.update(text.encode() + b"\0")
    for package in ("numba", "llvmlite"):
        digest.update(_version(package) + b"\0")
    for name in (*SOURCES, "state", "compile", "link", "aot"):
        digest.update((HERE / f"{name}.py").read_bytes() + b"\0")
    for strategy in strategies:
        text = f"{strategy.name}|{strategy.path}|{described(strategy.state)}|{described(strategy.params)}"
        digest.update(text.encode() + b"\0" + strategy.source.encode() + b"\0")
    return digest.hexdigest()


def described(fields: Mapping[str, Any]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Types of fields in words and numbers alone: kind and shape."""
    kinds = {name: np.dtype(kind) for name, kind in fields.items()}
    return {name: (kind.base.str, kind.shape) for name, kind in kinds.items()}


def _version(package: str) -> bytes:
    """What names the version of a package, without importing it: that would be the compiler."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return b"none"
    try:
        return Path(spec.origin).with_name("_version.py").read_bytes()
    except OSError:
        from importlib.metadata import version

        return version(package).encode()


def load(
    strategies: Iterable[StrategySource] = (),
    *,
    interpreted: bool = False,
    progress: Progress | None = None,
    in_process: bool = False,
) -> Kernel:
    """The kernel for these strategies (sid 1, 2, … in their order; 0 is a row that is only watched).

    Ahead of time where this machine can, else in process; ``in_process`` asks for that: its entries let other
    threads run beside them. ``progress(what, fraction)`` is called only when something has to be compiled. Raises
    ValueError on clashing names, Complaint or KeyError on what cannot be compiled: the strategy loader gives them
    a file and line.
    """
    sources = tuple(strategies)
    row = abi.row_dtype(union_fields(sources, "state"))
    params = abi.params_dtype(union_fields(sources, "params"))
    sids = {strategy.name: i for i, strategy in enumerate(sources, start=1)}
    if interpreted:
        entries = link(sources, plain, "interpreted")
        given = {name: entries[name] for name in ENTRIES}
        return Kernel(row, params, sids, "interpreted", False, False, **given, executor=INTERPRETED)
    key = source_key(sources)
    kept = place(key)
    folder = subfolder(kept.path, key)
    forget_unused(kept.path, key)
    why = kept.why
    now: tuple[str, ...] = ("run",)  # calls everything that a strategy may have got wrong
    if not in_process:
        try:
            given, was_cached = _ahead(sources, row, params, key, folder, progress)
            return Kernel(row, params, sids, key, True, was_cached, **given, executor=AHEAD, why=why)
        except Unavailable as reason:
            # What trades does not stop to compile at the first price.
            why, now = str(reason), tuple(name for name in ENTRIES if name not in LATER)
    given, was_cached = _in_process(sources, row, params, key, folder, progress, now)
    return Kernel(row, params, sids, key, True, was_cached, **given, executor=IN_PROCESS, why=why)


@dataclass(frozen=True)
class Outlook:
    """What a start would do. ``ready``: it is compiled already. ``why``, ``cure``: as of ``Kernel``, and what helps."""

    executor: str
    ready: bool
    folder: Path
    why: str = ""
    cure: str = ""


def outlook(strategies: Iterable[StrategySource]) -> Outlook:
    """Which kernel ``load`` would give; nothing is compiled."""
    from otrade_bot.kernel.aot_module import missing

    key = source_key(tuple(strategies))
    kept = place(key)
    cure = "make it a folder that the service's user owns and alone may write to" if kept.why else ""
    if find(kept.path / key, "live") is not None:
        return Outlook(AHEAD, True, kept.path, kept.why, cure)
    if lack := missing(kept.path):
        return Outlook(IN_PROCESS, False, kept.path, *lack)
    return Outlook(AHEAD, False, kept.path, kept.why, cure)


def _ahead(
    sources: tuple[StrategySource, ...],
    row: np.dtype[Any],
    params: np.dtype[Any],
    key: str,
    folder: Path,
    progress: Progress | None,
) -> tuple[dict[str, Entry], bool]:
    """Entries from extension modules, and whether the live ones were there already. Raises Unavailable."""
    from otrade_bot.kernel.aot_module import module

    now = tuple(name for name in ENTRIES if name not in LATER)
    then = tuple(name for name in ENTRIES if name in LATER - BESIDE)
    live, was_cached = module(sources, key, folder, "live", now, progress)

    def later(name: str) -> Entry:
        if name in BESIDE:
            return _in_process(sources, row, params, key, folder, None, ())[0][name]
        try:
            entry: Entry = getattr(module(sources, key, folder, "replay", then)[0], name)
        except Unavailable:
            return _in_process(sources, row, params, key, folder, None, ())[0][name]
        return entry

    given = {name: _Later(later, name) if name in LATER else getattr(live, name) for name in ENTRIES}
    return given, was_cached


def _in_process(
    sources: tuple[StrategySource, ...],
    row: np.dtype[Any],
    params: np.dtype[Any],
    key: str,
    folder: Path,
    progress: Progress | None,
    now: tuple[str, ...],
) -> tuple[dict[str, Entry], bool]:
    """Entries that numba compiles here, or reads from the folder, and whether they were there already: those of
    ``now`` at once, the others when they are first called. Where nothing can be written nothing is kept."""
    hooks, done = folder / "hooks.py", folder / f"complete-{len(now)}"
    with turn(folder):
        was_cached = done.exists()
        keep = False
        with suppress(OSError):
            write_once(hooks, hooks_source(sources))
            keep = True
        said = None if was_cached else progress
        entries = _compile(sources, row, params, key, hooks if keep else None, said, now)
        with suppress(OSError):
            write_once(done, "")
    return entries, was_cached


def _compile(
    sources: tuple[StrategySource, ...],
    row: np.dtype[Any],
    params: np.dtype[Any],
    key: str,
    hooks: Path | None,
    progress: Progress | None,
    now: tuple[str, ...],
) -> dict[str, Entry]:
    import numba
    from numba.core import config

    say = progress or (lambda what, fraction: None)
    namespace = link(sources, helpers(numba), key, hooks)

    def compiled(name: str, *, keep: bool) -> Entry:
        function = namespace[name]
        kind = signature(numba, function, row, params)
        wrap = numba.njit(kind, error_model="numpy", cache=keep, boundscheck=True, nogil=True, _nrt=False)
        try:
            entry: Entry = wrap(function)
        except numba.core.errors.NumbaError as error:
            raise Complaint(with_paths(str(error), sources)) from error
        return entry

    full = False

    def make(name: str) -> Entry:
        nonlocal full
        # Where it may not write there numba would keep code beside our sources, and miss edits.
        if hooks is not None and not full and writable(hooks.parent):
            config.CACHE_DIR = str(hooks.parent)
            try:
                return compiled(name, keep=True)
            except OSError:
                full = True
        return compiled(name, keep=False)

    entries: dict[str, Entry] = {}
    for i, name in enumerate(now):
        say(name, i / len(now))
        entries[name] = make(name)
    if now:
        say("done", 1.0)
    return {name: entries.get(name) or _Later(make, name) for name in ENTRIES}


def signature(numba: Any, function: Any, row: np.dtype[Any], params: np.dtype[Any]) -> Any:
    """An entry's types, read off the names of its arguments."""
    dtypes = arguments(row, params)
    code = function.__code__

    def kind(name: str) -> Any:
        if name not in dtypes:
            return numba.int64
        dtype = dtypes[name]
        return numba.types.Bytes(numba.uint8, 1, "C") if dtype is None else array(numba, dtype)

    return numba.int64(*(kind(name) for name in code.co_varnames[: code.co_argcount]))


def array(numba: Any, dtype: np.dtype[Any]) -> Any:
    return numba.types.Array(numba.from_dtype(dtype), 1, "C")


def with_paths(text: str, strategies: Iterable[StrategySource]) -> str:
    """The compiler names files as seen from where it runs; here as the strategies do."""
    for one in strategies:
        text = text.replace(f'File "{os.path.relpath(one.path)}"', f'File "{one.path}"')
    return text


class _Later:
    """An entry that is compiled, or read from disk, at its first call."""

    def __init__(self, make: Callable[[str], Entry], name: str) -> None:
        self._make, self._name = make, name
        self._lock = Lock()
        self._entry: Entry | None = None

    def __call__(self, *args: Any) -> int:
        with self._lock:
            if self._entry is None:
                self._entry = self._make(self._name)
        return self._entry(*args)
