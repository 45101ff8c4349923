"""Links the sources of the kernel and of the strategies into one namespace, compiled or not.

Every source file is executed in a fresh module whose names from other kernel files are injected, and
every function in it is wrapped: by numba for the compiled kernel, by nothing for the interpreted twin.
"""

from __future__ import annotations

import ast
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

HERE = Path(__file__).parent
#: Execution order: each file may use names of those before it.
SOURCES = (
    "calculations", "charges", "fills", "hooks", "bars", "limits", "step", "frames", "wire", "replay", "sweep",
    "retrace", "entries",
)  # fmt: skip
PACKAGE = "otrade_bot.kernel."
#: Files whose functions LLVM may inline but need not: forcing it there multiplies the code.
LARGE = (".step", ".replay", ".wire")
#: Functions in those files that every tick passes through: inlined all the same. A call that is not carries
#: each array as seven words, which costs more than most ticks' work; measured, this doubles a replay's speed.
EVERY_TICK = frozenset(
    "price_comes within look stirred working on_tick on_price see decide mark guard revalue appraise flat held "
    "cost_left tend target_hit trail add_rung next_rung rung_to_add average_before evaluate pass_time next_time "
    "on_timer time_tells lean quiet_bar plain fits see_bar".split()
)

Wrap = Callable[[str, Any], Any]


class Linked(Protocol):
    """What is linked of a strategy."""

    @property
    def path(self) -> Path: ...
    @property
    def source(self) -> str: ...


def plain(name: str, function: Any) -> Any:
    """The wrapper of the interpreted twin."""
    return function


def helpers(numba: Any) -> Wrap:
    """Compile what entries call. The entries themselves stay as they are."""

    def wrap(name: str, function: Any) -> Any:
        if is_entry(function):
            return function
        return numba.njit(
            error_model="numpy",
            boundscheck=True,
            forceinline=name in EVERY_TICK or not function.__module__.endswith(LARGE),
            no_cpython_wrapper=True,
            no_cfunc_wrapper=True,
            _nrt=False,
        )(function)

    return wrap


def is_entry(function: Any) -> bool:
    return bool(function.__module__.endswith(".entries"))


def link(strategies: Sequence[Linked], wrap: Wrap, key: str, hooks: Path | None = None) -> dict[str, Any]:
    """Execute every source in order and return the last one's namespace: the entries.

    ``hooks``: the file that holds ``hooks_source``, where numba is to keep what it compiles.
    """
    switch = hooks or Path(f"<{key} strategy switch>")
    known: dict[str, dict[str, Any]] = {}
    for name in SOURCES:
        if name == "hooks":
            injected: dict[str, Any] = {}
            for sid, strategy in enumerate(strategies, start=1):
                functions = _execute(f"strategy_{sid}", str(strategy.path), strategy.source, known, {}, wrap, key)
                for role in ("update", "should_buy", "should_sell"):
                    injected[f"{role}_{sid}"] = functions[role]
            known[name] = _execute(name, str(switch), hooks_source(strategies), known, injected, wrap, key)
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
    wrap: Wrap,
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


def hooks_source(strategies: Sequence[Linked]) -> str:
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
