"""What a strategy must see before it buys, one condition at a time, in a trader's words.

``CONDITIONS`` of a strategy file maps words to an expression over ``s`` and ``p``, written as in ``should_buy``. All of
them together must ask what ``should_buy`` asks; both are tried on made-up numbers when the file is loaded.
"""

from __future__ import annotations

import ast
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from types import CodeType, SimpleNamespace
from typing import Any

import numpy as np

from otrade_bot.core.errors import StrategyException
from otrade_bot.kernel.state import RING
from otrade_bot.strategies.base import StrategyParams

__all__ = ["Condition", "Conditions", "conditions_of"]

#: Made-up moments on which conditions and should_buy must agree.
TRIALS = 1500
#: Conditions of one strategy, and characters of the words of one, so that an answer fits a phone.
MOST, LONGEST = 20, 80


@dataclass(frozen=True, slots=True)
class Condition:
    """``words`` may hold ``{name}`` of PARAMS."""

    words: str
    code: CodeType = field(repr=False)
    line: int


@dataclass(frozen=True)
class Conditions:
    """``reads``: the fields of ``s`` that they look at. ``names``: what the strategy's file defines. ``fields``: what a
    row has to read, and its dtypes."""

    path: Path
    each: tuple[Condition, ...]
    reads: tuple[str, ...]
    names: dict[str, Any] = field(repr=False)
    fields: Mapping[str, Any] = field(repr=False, compare=False)
    _said: dict[int, tuple[StrategyParams, tuple[str, ...]]] = field(default_factory=dict, repr=False, compare=False)

    def judge(self, record: Any, params: StrategyParams) -> dict[str, bool]:
        """Each condition's words and whether a row's ``record`` meets it, in the order they are written. One that
        cannot be computed (a division by zero) is not met."""
        s = self.row(record)
        return {words: self.met(one, s, params) for words, one in zip(self.words(params), self.each, strict=True)}

    def words(self, params: StrategyParams) -> tuple[str, ...]:
        """With the numbers of ``params`` in them."""
        known = self._said.get(id(params))
        if known is None or known[0] is not params:
            values = params.model_dump()
            known = self._said[id(params)] = params, tuple(one.words.format_map(values) for one in self.each)
        return known[1]

    def met(self, one: Condition, s: Any, p: Any) -> bool:
        """Whether it holds of a row ``s`` and its parameters ``p``, which are read as attributes."""
        try:
            return bool(eval(one.code, self.names, {"s": s, "p": p}))  # noqa: S307 - the strategy's own file
        except (ArithmeticError, ValueError, IndexError):
            return False

    def agree(self, params: StrategyParams) -> None:
        """They say the same as ``should_buy`` of made-up moments. Raises StrategyException with one of which they do
        not."""
        should_buy = self.names["should_buy"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # made-up numbers overflow here and there
            for s in _moments(self.fields, params):
                try:
                    buys = bool(should_buy(s, params))
                except (ArithmeticError, ValueError, IndexError):
                    continue  # of such numbers it says nothing
                self.compare(buys, s, params)

    def compare(self, buys: bool, s: Any, params: StrategyParams) -> None:
        """Raises StrategyException where ``should_buy`` has said something else of the row ``s``."""
        missing = [one for one in self.each if not self.met(one, s, params)]
        if buys is not bool(missing):
            return
        if missing:
            words = missing[0].words.format_map(params.model_dump())
            line, what = missing[0].line, f"should_buy says yes where {words!r} is not met"
        else:
            line, what = self.each[0].line, "should_buy says no where every one of them is met"
        read = ((name, getattr(s, name)) for name in self.reads)
        numbers = ", ".join(f"{name}={value:g}" for name, value in read if np.ndim(value) == 0)
        raise StrategyException(f"CONDITIONS: {what}{f', with {numbers}' if numbers else ''}", file=str(self.path),
                                line=line)  # fmt: skip

    def row(self, record: Any) -> SimpleNamespace:
        """What they read of a row's ``record``, as attributes."""
        return SimpleNamespace(**{name: _plain(record[name]) for name in self.reads})


def _plain(value: Any) -> Any:
    return value.item() if value.ndim == 0 else value


def conditions_of(
    module: Any, tree: ast.Module, path: Path, fields: Mapping[str, Any], check: Callable[[ast.Attribute, str], None]
) -> Conditions | None:
    """What the file says, None where it says nothing. ``fields``: of a row, with their dtypes; ``check(node, owner)``
    judges one of ``s`` or ``p``. Raises StrategyException with file and line."""
    if not hasattr(module, "CONDITIONS"):
        return None
    line, places = _where(tree)
    given = module.CONDITIONS
    if not isinstance(given, Mapping) or not 1 <= len(given) <= MOST:
        raise StrategyException(f"CONDITIONS must map words to expressions, 1 to {MOST}", file=str(path), line=line)
    each, reads = [], set()
    for at, (words, expression) in enumerate(given.items()):
        here = places[at] if at < len(places) else line
        _check_words(words, module.PARAMS, path, here)
        parsed = _parsed(expression, path, here)
        reads |= _check_names(parsed, module, path, here, check)
        each.append(Condition(words, compile(parsed, str(path), "eval"), here))
    used = reads | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    known = {name: kind for name, kind in fields.items() if name in used}
    return Conditions(path, tuple(each), tuple(sorted(reads)), vars(module), known)


def _where(tree: ast.Module) -> tuple[int, list[int]]:
    """The line of CONDITIONS and of each of its expressions."""
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(one, ast.Name) and one.id == "CONDITIONS" for one in targets):
            return node.lineno, [one.lineno for one in node.value.values] if isinstance(node.value, ast.Dict) else []
    return 0, []


def _check_words(words: Any, params: type[StrategyParams], path: Path, line: int) -> None:
    if not isinstance(words, str) or not words.strip() or len(words) > LONGEST or "\n" in words:
        what = f"CONDITIONS: {words!r} are no words; one line of 1 to {LONGEST} characters"
        raise StrategyException(what, file=str(path), line=line)
    try:
        named = [name for _, name, _, _ in Formatter().parse(words) if name is not None]
    except ValueError as error:
        raise StrategyException(f"CONDITIONS: {words!r}: {error}", file=str(path), line=line) from error
    unknown = [name for name in named if name not in params.model_fields]
    if unknown:
        raise StrategyException(f"CONDITIONS: {{{unknown[0]}}} is not in PARAMS", file=str(path), line=line)


def _parsed(expression: Any, path: Path, line: int) -> ast.Expression:
    if not isinstance(expression, str):
        what = f"CONDITIONS: {expression!r} is no text with an expression, like 's.close > s.open'"
        raise StrategyException(what, file=str(path), line=line)
    try:
        parsed = ast.parse(expression.strip(), str(path), "eval")
    except SyntaxError as error:
        raise StrategyException(f"CONDITIONS: {expression!r}: {error.msg}", file=str(path), line=line) from error
    ast.increment_lineno(parsed, max(0, line - 1))
    return parsed


_SIMPLE = (
    ast.Expression, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.Attribute, ast.Name, ast.Constant,
    ast.Subscript, ast.IfExp, ast.boolop, ast.operator, ast.unaryop, ast.cmpop, ast.expr_context,
)  # fmt: skip


def _check_names(
    parsed: ast.Expression, module: Any, path: Path, line: int, check: Callable[[ast.Attribute, str], None]
) -> set[str]:
    """Every name in it is known; the fields of ``s`` that it reads."""
    reads = set()
    for node in ast.walk(parsed):
        if not isinstance(node, _SIMPLE):
            what = f"CONDITIONS: {type(node).__name__} has no place in a condition; compare numbers"
            raise StrategyException(what, file=str(path), line=line)
        if isinstance(node, ast.Attribute):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("s", "p")):
                raise StrategyException("CONDITIONS: fields are those of s and p", file=str(path), line=line)
            check(node, node.value.id)
            if node.value.id == "s":
                reads.add(node.attr)
        elif isinstance(node, ast.Name) and node.id not in ("s", "p") and not _known(node.id, module):
            what = f"CONDITIONS: {node.id!r} is not defined; a row's fields are read as s.{node.id}"
            raise StrategyException(what, file=str(path), line=line)
    return reads


def _known(name: str, module: Any) -> bool:
    return hasattr(module, name) or name in ("abs", "min", "max", "round")


# --- moments to try them on -----------------------------------------------------------------------------------


def _moments(fields: Mapping[str, Any], params: StrategyParams) -> Iterator[SimpleNamespace]:
    """Rows of numbers near each other and near the parameters, so that every comparison goes both ways; the same at
    each start."""
    chance = random.Random(20210601)  # noqa: S311 - nothing secret
    marks = [float(v) for v in params.model_dump().values() if isinstance(v, (int, float))]
    for _ in range(TRIALS):
        near = chance.choice((100.0, 100.0, *marks, 0.0))
        pool = (near, near, near - 1, near + 1, near + chance.uniform(-5, 5), chance.choice((*marks, 0.0, 100.0)))
        yield SimpleNamespace(**{name: _made_up(name, kind, pool, chance) for name, kind in fields.items()})


def _made_up(name: str, kind: Any, pool: tuple[float, ...], chance: random.Random) -> Any:
    dtype = np.dtype(kind)
    if dtype.shape:
        return np.array(chance.choices(pool, k=dtype.shape[0]), dtype.base)
    if name == "bars":
        return chance.choice((1, 2, RING - 1, RING, RING + 1, 1000, *(max(1, round(one)) for one in pool)))
    value = chance.choice(pool)
    return round(value) if dtype.kind == "i" else value
