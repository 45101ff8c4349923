"""Finds, checks and links strategies.

A strategy is a Python file with ``PARAMS`` (a subclass of ``StrategyParams``), ``STATE`` (the names it
remembers an instrument) and the functions ``update``, ``should_buy`` and ``should_sell``. It is checked
before it is compiled, because the compiler's own complaint about a misspelt name has no line.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from otrade_bot.core.errors import ConfigException, StrategyException
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Complaint, Kernel, Progress, StrategySource, load
from otrade_bot.strategies.base import StrategyParams
from otrade_bot.strategies.conditions import Conditions, conditions_of

__all__ = ["SHIPPED", "TradingStrategy", "build_kernel", "load_strategy", "parse_params"]

SHIPPED = Path(__file__).parent
_ROLES = ("update", "should_buy", "should_sell")
_IMPORTS = {"otrade_bot.kernel.calculations", "otrade_bot.strategies.base", "math", "typing", "pydantic", "__future__"}
_NOT_STRATEGIES = {"__init__", "base", "conditions", "loader", "shaping"}
#: Row fields that a strategy may read: prices and closed bars, nothing of the kernel's book-keeping.
_READABLE = {
    *"ltp open high low close volume_bar bars day_pv day_v opens highs lows closes volumes ts".split(),
}


@dataclass(frozen=True)
class TradingStrategy:
    """A checked strategy. ``state`` and ``fields`` map names to the dtypes of its columns."""

    name: str
    path: Path
    params: type[StrategyParams]
    source: StrategySource
    drawn: tuple[str, ...] = ()  #: of its STATE, what charts show on the price
    conditions: Conditions | None = None  #: what it must see to buy, in words, where the file says so


def load_strategy(name: str, folder: Path | None = None) -> TradingStrategy:
    """The strategy ``name`` from the user's folder, else a shipped one. Raises StrategyException."""
    path = find(name, folder)
    try:
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source, str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise StrategyException(f"cannot be read: {error}", file=str(path)) from error
    except SyntaxError as error:
        raise StrategyException(error.msg, file=str(path), line=error.lineno or 0) from error
    module = _run(path, name)
    params = _params_of(module, path)
    state = _state_of(module, path)
    fields = _columns(params)
    taken = sorted(name for name in fields if hasattr(np.record, name))
    if taken:
        what = f"PARAMS: {taken[0]!r} is a name that NumPy's records use; take another"
        raise StrategyException(what, file=str(path))
    _check(tree, path, set(state), set(fields))
    drawn = _drawn(module, path, state)
    conditions = _conditions_of(module, tree, path, state, set(fields))
    return TradingStrategy(name, path, params, StrategySource(name, path, source, state, fields), drawn, conditions)


def find(name: str, folder: Path | None) -> Path:
    """The file of a strategy. Raises ConfigException with what there is."""
    places = [place for place in (folder, SHIPPED) if place is not None]
    for place in places:
        path = place / f"{name}.py"
        if name.isidentifier() and name not in _NOT_STRATEGIES and path.is_file():
            return path
    known = sorted(
        {p.stem for place in places if place.is_dir() for p in place.glob("*.py")} - _NOT_STRATEGIES
    )
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ConfigException(
        "no such strategy", key="strategies.name", value=name, allowed=f"{hint}{', '.join(known)}"
    )


def parse_params(
    strategy: TradingStrategy, values: Mapping[str, Any], *, where: str = "trading.json"
) -> StrategyParams:
    """The strategy's PARAMS with these values. Raises ConfigException with key, value and bounds."""
    try:
        return strategy.params.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigException(
            f"strategy {strategy.name}: {first['msg']}",
            file=where,
            key=f"strategies.params.{key}" if key else "strategies.params",
            value=first.get("input") if key else dict(values),
            allowed=_allowed(strategy.params, key),
        ) from error


def build_kernel(
    strategies: Iterable[TradingStrategy],
    *,
    interpreted: bool = False,
    progress: Progress | None = None,
    in_process: bool = False,
) -> Kernel:
    """One kernel for all of them; ``kernel.compile.load`` says which. Raises StrategyException naming file and line
    where it can."""
    chosen = tuple(strategies)
    try:
        return load((s.source for s in chosen), interpreted=interpreted, progress=progress, in_process=in_process)
    except ValueError as error:
        raise StrategyException(str(error), file=", ".join(str(s.path) for s in chosen)) from error
    except KeyError as error:  # the compiler's whole answer to a field that a record does not have
        raise StrategyException(
            f"cannot be compiled: nothing is called {error}", file=", ".join(str(s.path) for s in chosen)
        ) from error
    except Complaint as error:
        raise _explained(error, chosen) from error


# --- reading a strategy file ----------------------------------------------------------------------


def _run(path: Path, name: str) -> Any:
    """Execute the file as an ordinary module: that is how PARAMS and STATE are read."""
    spec = importlib.util.spec_from_file_location(f"_otrade_strategy_{name}", path)
    if spec is None or spec.loader is None:
        raise StrategyException("cannot be loaded", file=str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # pydantic resolves annotations there
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        line = _line_in(error, path)
        raise StrategyException(f"{type(error).__name__}: {error}", file=str(path), line=line) from error
    finally:
        sys.dont_write_bytecode = written
    return module


def _line_in(error: BaseException, path: Path) -> int:
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _params_of(module: Any, path: Path) -> type[StrategyParams]:
    params = getattr(module, "PARAMS", None)
    if not (isinstance(params, type) and issubclass(params, StrategyParams)):
        raise StrategyException("PARAMS must be a class derived from StrategyParams", file=str(path))
    try:
        params()
    except ValidationError as error:
        raise StrategyException(f"PARAMS has no valid defaults: {error.errors()[0]['msg']}", file=str(path)) from error
    return params


def _state_of(module: Any, path: Path) -> dict[str, Any]:
    """STATE as columns: a tuple of names (float64 each), or a mapping name -> float, int or (float, n)."""
    state = getattr(module, "STATE", None)
    if isinstance(state, tuple | list):
        state = dict.fromkeys(state, float)
    if not isinstance(state, Mapping):
        raise StrategyException("STATE must be a tuple of names, or a mapping of name to type", file=str(path))
    return {_identifier(name, path): _column(name, kind, path) for name, kind in state.items()}


def _drawn(module: Any, path: Path, state: Mapping[str, Any]) -> tuple[str, ...]:
    """CHART, where there is one: names of STATE that charts show on the price."""
    names = getattr(module, "CHART", ())
    if not isinstance(names, tuple | list):
        raise StrategyException("CHART must be a tuple of names", file=str(path))
    if strange := [name for name in names if name not in state or state[name] is not np.float64]:
        raise StrategyException(f"CHART: {strange[0]!r} is no number of STATE", file=str(path))
    return tuple(names)


def _conditions_of(
    module: Any, tree: ast.Module, path: Path, state: dict[str, Any], params: set[str]
) -> Conditions | None:
    """What must be seen to buy, in words; tried against ``should_buy`` with the default parameters."""

    def check(node: ast.Attribute, owner: str) -> None:
        known, where = (set(state) | _READABLE, "STATE") if owner == "s" else (params, "PARAMS")
        _check_attribute(node, path, known, set(), where)

    fields = {name: abi.BASE_ROW[name] for name in sorted(_READABLE)} | state
    found = conditions_of(module, tree, path, fields, check)
    if found is not None:
        found.agree(module.PARAMS())
    return found


def _identifier(name: Any, path: Path) -> str:
    if not (isinstance(name, str) and name.isidentifier()):
        raise StrategyException(f"STATE: {name!r} is not a name", file=str(path))
    if name in (abi.BASE_ROW.names or ()):
        raise StrategyException(f"STATE: {name!r} is a name of the kernel itself", file=str(path))
    if hasattr(np.record, name):
        raise StrategyException(f"STATE: {name!r} is a name that NumPy's records use; take another", file=str(path))
    return name


def _column(name: str, kind: Any, path: Path) -> Any:
    simple = {float: np.float64, int: np.int64}
    if kind in (float, int):
        return simple[kind]
    if (
        isinstance(kind, tuple)
        and len(kind) == 2
        and kind[0] in (float, int)
        and isinstance(kind[1], int)
        and 1 <= kind[1] <= 4096
    ):
        return (simple[kind[0]], (kind[1],))
    raise StrategyException(f"STATE: {name} must be float, int or (float, size up to 4096)", file=str(path))


def _columns(params: type[StrategyParams]) -> dict[str, Any]:
    """The numeric fields of PARAMS, which compiled code reads as ``p.name``."""
    columns: dict[str, Any] = {}
    for name, info in params.model_fields.items():
        if name in (abi.BASE_PARAMS.names or ()):
            continue
        if info.annotation in (int, bool):
            columns[name] = np.int64
        elif info.annotation is float:
            columns[name] = np.float64
    return columns


def _allowed(params: type[StrategyParams], key: str) -> str:
    """The bounds of a field in words, or the names of all fields."""
    info = params.model_fields.get(key)
    if info is None:
        near = difflib.get_close_matches(key, params.model_fields, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return hint + ", ".join(params.model_fields)
    words = {"Ge": ">=", "Gt": ">", "Le": "<=", "Lt": "<"}
    bounds = [
        f"{words[type(m).__name__]} {next(iter(vars(m).values()), getattr(m, 'ge', None))}"
        if hasattr(m, "__dict__")
        else f"{words[type(m).__name__]} {getattr(m, type(m).__name__.lower())}"
        for m in info.metadata
        if type(m).__name__ in words
    ]
    kind = getattr(info.annotation, "__name__", str(info.annotation))
    return " ".join([kind, *bounds])


def _explained(error: Exception, strategies: tuple[TradingStrategy, ...]) -> StrategyException:
    """The compiler's complaint, with the last line of a strategy file that it names."""
    text = str(error)
    for strategy in strategies:
        marker = f'File "{strategy.path}", line '
        where = text.rfind(marker)
        if where >= 0:
            digits = text[where + len(marker) :].split(":")[0].split("\n")[0].strip().rstrip(",")
            line = int(digits) if digits.isdigit() else 0
            return StrategyException(f"cannot be compiled: {_gist(text)}", file=str(strategy.path), line=line)
    names = ", ".join(str(s.path) for s in strategies) or "kernel"
    return StrategyException(f"cannot be compiled: {_gist(text)}", file=names)


def _gist(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Failed in", "During:", "File ", "<", "-"))]
    return (telling or lines or ["no reason given"])[0]


# --- checking it ----------------------------------------------------------------------------------


def _check(tree: ast.Module, path: Path, state: set[str], params: set[str]) -> None:
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for role in _ROLES:
        if role not in functions:
            raise StrategyException(f"has no function {role}(s, p)", file=str(path))
        _check_signature(functions[role], path)
    _check_imports(tree, path)
    for name, function in functions.items():
        if function.decorator_list:
            raise StrategyException("functions take no decorators", file=str(path), line=function.lineno)
        if name in _ROLES and name != "update" and not _always_returns(function.body):
            raise StrategyException(f"{name} must return on every path", file=str(path), line=function.lineno)
        _check_names(function, functions["update"], path, state, params)


def _check_imports(tree: ast.Module, path: Path) -> None:
    for node in tree.body:
        names = []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name not in _IMPORTS:
                raise StrategyException(
                    f"import of {name!r}; allowed: {', '.join(sorted(_IMPORTS))}", file=str(path), line=node.lineno
                )


def _check_signature(function: ast.FunctionDef, path: Path) -> None:
    a = function.args
    if len(a.args) != 2 or a.vararg or a.kwarg or a.kwonlyargs or a.posonlyargs or a.defaults:
        raise StrategyException(f"{function.name} takes exactly (s, p)", file=str(path), line=function.lineno)


def _check_names(
    function: ast.FunctionDef, update: ast.FunctionDef, path: Path, state: set[str], params: set[str]
) -> None:
    """Every ``s.name`` and ``p.name``; in a helper, of the arguments that are called what ``update`` calls them."""
    row, settings = (a.arg for a in (function if function.name in _ROLES else update).args.args)
    given = {a.arg for a in function.args.args}
    for node in ast.walk(function):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            _check_element(node, path, row, state)
        if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
            continue
        if node.value.id not in given:
            continue
        if node.value.id == row:
            _check_attribute(node, path, state | _READABLE, state, "STATE")
        elif node.value.id == settings:
            _check_attribute(node, path, params, set(), "PARAMS")


def _check_element(node: ast.Subscript, path: Path, row: str, writable: set[str]) -> None:
    """``s.name[i] = …`` only into the strategy's own arrays."""
    owner = node.value
    if not (isinstance(owner, ast.Attribute) and isinstance(owner.value, ast.Name)):
        return
    if owner.value.id == row and owner.attr in _READABLE - writable:
        raise StrategyException(f"{owner.attr!r} may not be assigned here", file=str(path), line=node.lineno)


def _check_attribute(node: ast.Attribute, path: Path, readable: set[str], writable: set[str], where: str) -> None:
    if node.attr not in readable:
        near = difflib.get_close_matches(node.attr, readable, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise StrategyException(f"{node.attr!r} is not in {where}{hint}", file=str(path), line=node.lineno)
    if isinstance(node.ctx, ast.Store | ast.Del) and node.attr not in writable:
        raise StrategyException(f"{node.attr!r} may not be assigned here", file=str(path), line=node.lineno)


def _always_returns(body: list[ast.stmt]) -> bool:
    last = body[-1]
    if isinstance(last, ast.Return):
        return last.value is not None
    if isinstance(last, ast.If):
        return bool(last.orelse) and _always_returns(last.body) and _always_returns(last.orelse)
    return isinstance(last, ast.Raise)
