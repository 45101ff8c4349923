"""Turns the sources of the kernel and of the strategies into one set of callable entries.

Every source file is executed in a fresh module whose names from other kernel files are injected, and
every function in it is wrapped: by numba for the compiled kernel, by nothing for the interpreted twin,
which has the same API and must give the same bits. One kernel holds all strategies; a switch on the
row's ``sid`` chooses.

Compiled code is kept on disk in a folder named by a hash over every source and every version that goes
into it, so a start does not compile and an edit is never ignored. numba alone would miss edits in
imported files.
"""

from __future__ import annotations

import ast
import os
import sys
import tempfile
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from otrade_bot.kernel import state as abi

HERE = Path(__file__).parent
#: Execution order: each file may use names of those before it.
SOURCES = (
    "calculations", "charges", "fills", "hooks", "bars", "limits", "step", "frames", "replay", "sweep", "retrace",
    "entries",
)  # fmt: skip
ENTRIES = (
    "accept_one",
    "tick_one",
    "timer_all",
    "run",
    "charge_one",
    "kite_frame",
    "heard_batch",
    "replay_day",
    "sweep_sets",
    "replay_tape",
)
#: Compiled when first called: a day that is traded needs no replay, and it is a third of the compiling.
LATER = frozenset({"replay_day", "sweep_sets", "replay_tape"})
PACKAGE = "otrade_bot.kernel."
#: Files whose functions LLVM may inline but need not: forcing it there multiplies the code.
LARGE = (".step", ".replay")
#: Functions in those files that every tick passes through: inlined all the same. A call that is not carries
#: each array as seven words, which costs more than most ticks' work; measured, this doubles a replay's speed.
EVERY_TICK = frozenset(
    "price_comes stirred working on_tick on_price mark revalue flat held cost_left tend target_hit trail add_rung "
    "next_rung evaluate pass_time next_time on_timer lean quiet_bar plain fits calm trails see_bar".split()
)

Array = npt.NDArray[Any]
Progress = Callable[[str, float], None]


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
    """Entries with the dtypes they were built for. Arrays must come from the ``new_*`` functions:
    compiled code does not check what it is given."""

    row: np.dtype[Any]
    params: np.dtype[Any]
    sids: Mapping[str, int]
    key: str
    compiled: bool
    was_cached: bool
    accept_one: Callable[..., int]
    tick_one: Callable[..., int]
    timer_all: Callable[..., int]
    run: Callable[..., int]
    charge_one: Callable[..., int]
    kite_frame: Callable[..., int]
    heard_batch: Callable[..., int]
    replay_day: Callable[..., int]
    sweep_sets: Callable[..., int]
    replay_tape: Callable[..., int]

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
    import llvmlite
    import numba

    digest = blake2b(digest_size=12)
    versions = (sys.version, np.__version__, numba.__version__, llvmlite.__version__)
    boundscheck = os.environ.get("NUMBA_BOUNDSCHECK", "")
    for text in (*versions, boundscheck, (HERE / "state.py").read_text(), Path(__file__).read_text()):
        digest.update(text.encode() + b"\0")
    for name in SOURCES:
        digest.update((HERE / f"{name}.py").read_bytes() + b"\0")
    for strategy in strategies:
        fields = (sorted(strategy.state.items(), key=str), sorted(strategy.params.items(), key=str))
        described = f"{strategy.name}|{strategy.path}|{fields}"
        digest.update(described.encode() + b"\0" + strategy.source.encode() + b"\0")
    return digest.hexdigest()


def cache_root() -> Path:
    """``$OTRADE_CACHE_DIR``, else the user's cache folder, else a private temporary one."""
    chosen = os.environ.get("OTRADE_CACHE_DIR")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    root = base / "otrade-bot" / "kernel"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            return root
    except OSError:
        fallback = Path(tempfile.gettempdir()) / f"otrade-bot-{os.getuid() if hasattr(os, 'getuid') else 0}"
        fallback.mkdir(mode=0o700, parents=True, exist_ok=True)
        return fallback


def load(
    strategies: Iterable[StrategySource] = (), *, interpreted: bool = False, progress: Progress | None = None
) -> Kernel:
    """Build the kernel for these strategies (sid 1, 2, … in their order; 0 is a row that is only watched).

    ``progress(what, fraction)`` is called only when something has to be compiled. Raises ValueError on
    clashing names, and lets numba's own errors through: the strategy loader gives them a file and line.
    """
    sources = tuple(strategies)
    row = abi.row_dtype(union_fields(sources, "state"))
    params = abi.params_dtype(union_fields(sources, "params"))
    sids = {strategy.name: i for i, strategy in enumerate(sources, start=1)}
    if interpreted:
        entries = _link(sources, _plain, "interpreted", _hooks_file("interpreted", sources))
        return Kernel(row, params, sids, "interpreted", False, False, **{n: entries[n] for n in ENTRIES})
    key = source_key(sources)
    folder = cache_root() / key
    folder.mkdir(parents=True, exist_ok=True)
    hooks = folder / "hooks.py"
    _write_once(hooks, _hooks_source(sources))
    done = folder / "complete"
    was_cached = done.exists()
    compiled = _compile(sources, row, params, key, hooks, None if was_cached else progress)
    if not was_cached:
        _write_once(done, "")
    return Kernel(row, params, sids, key, True, was_cached, **compiled)


def _compile(
    sources: tuple[StrategySource, ...],
    row: np.dtype[Any],
    params: np.dtype[Any],
    key: str,
    hooks: Path,
    progress: Progress | None,
) -> dict[str, Callable[..., int]]:
    import numba
    from numba.core import config

    say = progress or (lambda what, fraction: None)
    namespace = _link(sources, _wrapped(numba), key, hooks)
    signatures = _signatures(numba, row, params)

    def make(name: str) -> Callable[..., int]:
        config.CACHE_DIR = str(hooks.parent)
        wrap = numba.njit(
            signatures[name], error_model="numpy", cache=True, boundscheck=True, nogil=True, _nrt=False
        )
        entry: Callable[..., int] = wrap(namespace[name])
        return entry

    now = [name for name in ENTRIES if name not in LATER]
    entries: dict[str, Callable[..., int]] = {}
    for i, name in enumerate(now):
        say(name, i / len(now))
        entries[name] = make(name)
    say("done", 1.0)
    return entries | {name: _Later(make, name) for name in ENTRIES if name in LATER}


class _Later:
    """An entry that is compiled, or read from disk, at its first call."""

    def __init__(self, make: Callable[[str], Callable[..., int]], name: str) -> None:
        self._make, self._name = make, name
        self._lock = Lock()
        self._entry: Callable[..., int] | None = None

    def __call__(self, *args: Any) -> int:
        with self._lock:
            if self._entry is None:
                self._entry = self._make(self._name)
        return self._entry(*args)


def _wrapped(numba: Any) -> Callable[[str, Any], Any]:
    def wrap(name: str, function: Any) -> Any:
        if name in ENTRIES:
            return function
        inline = name in EVERY_TICK or not function.__module__.endswith(LARGE)
        return numba.njit(
            error_model="numpy",
            boundscheck=True,
            forceinline=inline,
            no_cpython_wrapper=True,
            no_cfunc_wrapper=True,
            _nrt=False,
        )(function)

    return wrap


def _plain(name: str, function: Any) -> Any:
    return function


def _signatures(numba: Any, row: np.dtype[Any], params: np.dtype[Any]) -> dict[str, Any]:
    def array(dtype: np.dtype[Any]) -> Any:
        return numba.types.Array(numba.from_dtype(dtype), 1, "C")

    i8 = numba.int64
    s, a, p = array(row), array(abi.ACCOUNT), array(params)
    ev, out = array(abi.EVENT), array(abi.INTENT)
    work, venue, trades, tally = array(abi.WORK), array(abi.VENUE), array(abi.TRADE), array(abi.TALLY)
    at = numba.types.Array(i8, 1, "C")
    days, scores = array(abi.DAYSUM), array(abi.SCORE)
    quotes, feed, tape = array(abi.QUOTE), array(abi.FEED), array(abi.TAPED)
    frame = numba.types.Bytes(numba.uint8, 1, "C")
    return {
        "accept_one": i8(s, a, p, i8, i8, i8, i8),
        "tick_one": i8(s, a, p, i8, i8, i8, i8, ev, out),
        "timer_all": i8(s, a, p, i8, i8, i8, out),
        "run": i8(s, a, p, ev, out),
        "charge_one": i8(p, i8, i8, i8),
        "kite_frame": i8(s, a, p, quotes, array(abi.DEPTH), array(abi.SLOT), feed, frame, ev, out, tape),
        "heard_batch": i8(s, a, p, quotes, feed, array(abi.HEARD), ev, out, tape),
        "replay_day": i8(s, a, p, work, ev, ev, venue, ev, out, trades, tally),
        "sweep_sets": i8(
            p, p, a, p, s, a, work, ev, at, ev, at, at, venue, ev, out, trades, tally, days, scores
        ),
        "replay_tape": i8(s, a, p, array(abi.TAPED), ev, at, array(abi.WALK), ev, out, at),
    }


# --- linking --------------------------------------------------------------------------------------


def _link(
    strategies: tuple[StrategySource, ...], wrap: Callable[[str, Any], Any], key: str, hooks: Path
) -> dict[str, Any]:
    """Execute every source in order and return the last one's namespace."""
    known: dict[str, dict[str, Any]] = {}
    for name in SOURCES:
        if name == "hooks":
            injected: dict[str, Any] = {}
            for sid, strategy in enumerate(strategies, start=1):
                functions = _execute(f"strategy_{sid}", str(strategy.path), strategy.source, known, {}, wrap, key)
                for role in ("update", "should_buy", "should_sell"):
                    injected[f"{role}_{sid}"] = functions[role]
            known[name] = _execute(name, str(hooks), _hooks_source(strategies), known, injected, wrap, key)
            continue
        path = HERE / f"{name}.py"
        known[name] = _execute(name, str(path), path.read_text(), known, {}, wrap, key)
    return known["entries"]


def _execute(
    name: str,
    filename: str,
    source: str,
    known: Mapping[str, Mapping[str, Any]],
    injected: Mapping[str, Any],
    wrap: Callable[[str, Any], Any],
    key: str,
) -> dict[str, Any]:
    """Run one source in a fresh module: kernel imports replaced by what was already linked."""
    tree = ast.parse(source, filename)
    names = dict(injected)
    body: list[ast.stmt] = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            origin = (node.module or "")[len(PACKAGE) :]
            if origin in known:
                names.update({a.asname or a.name: known[origin][a.name] for a in node.names})
                continue
        if _compilable(node, strategy=name.startswith("strategy_")):
            body.append(node)
    tree.body = body
    module = types.ModuleType(f"_otrade_kernel_{key}.{name}")
    module.__file__ = filename
    sys.modules[module.__name__] = module  # numba's cache looks the defining module up
    module.__dict__.update(names)
    exec(compile(tree, filename, "exec"), module.__dict__)  # noqa: S102 - our own sources and the user's strategies
    for node in body:
        if isinstance(node, ast.FunctionDef):
            module.__dict__[node.name] = wrap(node.name, module.__dict__[node.name])
    return module.__dict__


def _compilable(node: ast.stmt, *, strategy: bool) -> bool:
    """Of a strategy file only functions, constants and plain imports matter here; not its PARAMS model."""
    if not strategy:
        return True
    if isinstance(node, ast.ImportFrom):
        return node.module in ("__future__", "typing", "math")
    if isinstance(node, ast.Assign):
        return not any(isinstance(t, ast.Name) and t.id in ("STATE", "PARAMS") for t in node.targets)
    if isinstance(node, ast.AnnAssign):
        return node.value is not None and getattr(node.target, "id", "") not in ("STATE", "PARAMS")
    return isinstance(node, ast.FunctionDef | ast.Import)


def _hooks_source(strategies: tuple[StrategySource, ...]) -> str:
    """The switch over all strategies."""
    lines = ["from __future__ import annotations", ""]
    for role, otherwise in (("update", "return"), ("should_buy", "return False"), ("should_sell", "return False")):
        lines += ["", f"def {role}(s, p):"]
        for sid, _ in enumerate(strategies, start=1):
            call = f"{role}_{sid}(s, p)"
            lines += [f"    if p.sid == {sid}:"]
            lines += ["        " + (call if role == "update" else f"return bool({call})")]
            lines += ["        return"] if role == "update" else []
        lines += [f"    {otherwise}", ""]
    return "\n".join(lines)


def _hooks_file(key: str, strategies: tuple[StrategySource, ...]) -> Path:
    return Path(f"<{key} strategy switch>")


def _write_once(path: Path, text: str) -> None:
    """Atomic, so that two processes that build the same kernel do not see half a file."""
    if path.exists():
        return
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    os.replace(temporary, path)
