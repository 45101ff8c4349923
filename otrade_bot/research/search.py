"""Which parameters are tried: dimensions from a strategy's own PARAMS, and three ways through them.

Grid and random say at once what they want to see. TPE (Optuna) asks in batches of a fixed size and is told the answers
in its own order, so that what it finds depends on the seed and not on how many cores looked. A combination that PARAMS
refuses (fast above slow) is skipped and counted.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from otrade_bot.core.errors import ConfigException
from otrade_bot.strategies.base import StrategyParams
from otrade_bot.strategies.loader import TradingStrategy

__all__ = ["BATCH", "Dimension", "Space", "Tpe", "example", "grid", "grid_size", "random_sets", "space_of"]

Kind = Literal["int", "float", "bool"]
Value = int | float | bool
#: Sets that TPE asks for before it is told what they came to.
BATCH = 32
#: A range over so many times its lower end is searched by ratios: 0.1 to 1 is as wide as 1 to 10.
_WIDE = 100
_DRAWS = 50  # draws a wanted set, before a random search gives up on finding new ones


@dataclass(frozen=True, slots=True)
class Dimension:
    """One parameter: from ``low`` to ``high``, both allowed, in ``step`` (0 = any value), or the listed ``values``."""

    name: str
    kind: Kind
    low: float = 0
    high: float = 0
    step: float = 0
    values: tuple[Value, ...] = ()

    @property
    def log(self) -> bool:
        """Searched by ratios."""
        return not self.values and self.step == 0 and self.low > 0 and self.high >= _WIDE * self.low

    @property
    def given(self) -> tuple[Value, ...]:
        """All its values, where it has steps or a list; empty where it has not."""
        if self.values:
            return self.values
        if self.step == 0:
            return ()
        n = math.floor((self.high - self.low) / self.step + 1e-9)
        return tuple(self.value(round(self.low + i * self.step, 10)) for i in range(n + 1))

    def value(self, x: float) -> Value:
        """As PARAMS takes it; a float in six figures."""
        if self.kind == "int":
            return round(x)
        return min(self.high, max(self.low, float(f"{x:.6g}")))

    def spread(self, n: int) -> tuple[Value, ...]:
        """``n`` values from end to end, equal ones once."""
        if self.given:
            return self.given
        if n < 2:
            return (self.value((self.low + self.high) / 2),)
        at = [i / (n - 1) for i in range(n)]
        return tuple(dict.fromkeys(self._between(x) for x in at))

    def _between(self, share: float) -> Value:
        if self.log:
            return self.value(self.low * (self.high / self.low) ** share)
        return self.value(self.low + (self.high - self.low) * share)

    def draw(self, rng: np.random.Generator) -> Value:
        """One by chance."""
        known = self.given
        if known:
            return known[int(rng.integers(len(known)))]
        if self.kind == "int" and not self.log:
            return int(rng.integers(int(self.low), int(self.high) + 1))
        return self._between(float(rng.random()))

    def words(self) -> str:
        """'fast 2 to 200' or 'fast 5, 10, 15'."""
        if self.values:
            return f"{self.name} {', '.join(map(_shown, self.values))}"
        step = f" by {self.step:g}" if self.step else ""
        return f"{self.name} {self.low:g} to {self.high:g}{step}"


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}"


@dataclass(slots=True)
class Space:
    """The dimensions of a search, the parameters that stay as they are, and the combinations that were refused."""

    strategy: TradingStrategy
    dimensions: tuple[Dimension, ...]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)

    def params(self, values: Sequence[Value]) -> StrategyParams | None:
        """PARAMS with these values of the dimensions; None (and counted) where it refuses them."""
        given = {**self.fixed, **{d.name: v for d, v in zip(self.dimensions, values, strict=True)}}
        try:
            return self.strategy.params.model_validate(given)
        except ValidationError as error:
            self.refused[error.errors()[0]["msg"].removeprefix("Value error, ")] += 1
            return None

    def values(self, params: StrategyParams) -> tuple[Value, ...]:
        """The dimensions' values of a set."""
        return tuple(getattr(params, d.name) for d in self.dimensions)

    def words(self) -> list[str]:
        return [d.words() for d in self.dimensions]


# --- what is searched -------------------------------------------------------------------------------


def space_of(strategy: TradingStrategy, wanted: Sequence[str], fixed: Mapping[str, Any]) -> Space:
    """The space of ``--grid`` words (``fast=5:50:5``, ``fast=5:50``, ``fast=5,9,12``), or without any of all parameters
    that PARAMS bounds on both sides and ``fixed`` does not set. Raises ConfigException."""
    fields = strategy.params.model_fields
    if unknown := [name for name in fixed if name not in fields]:
        raise ConfigException("no such parameter", key=unknown[0], allowed=", ".join(fields))
    if wanted:
        dimensions = [_dimension(strategy, word) for word in wanted]
    else:
        dimensions = [_bounded(strategy, name) for name in fields if _kind(strategy, name) and name not in fixed]
    twice = [name for name, n in Counter(d.name for d in dimensions).items() if n > 1 or name in fixed]
    if twice:
        raise ConfigException("given twice", key=twice[0])
    if not dimensions:
        raise ConfigException(f"strategy {strategy.name} has no parameter left to search", key="--grid")
    return Space(strategy, tuple(dimensions), dict(fixed))


def _kind(strategy: TradingStrategy, name: str) -> Kind | None:
    annotation = strategy.params.model_fields[name].annotation
    kinds: dict[Any, Kind] = {int: "int", float: "float", bool: "bool"}
    return kinds.get(annotation)


def _ends(strategy: TradingStrategy, name: str) -> tuple[float | None, float | None]:
    """Lowest and highest value that PARAMS allows; None where it names no bound. A float's open bound is moved by a
    millionth."""
    low = high = None
    whole = _kind(strategy, name) == "int"
    for rule in strategy.params.model_fields[name].metadata:
        if (at := getattr(rule, "ge", None)) is not None:
            low = float(at)
        elif (at := getattr(rule, "gt", None)) is not None:
            low = float(math.floor(at) + 1) if whole else float(at) + max(abs(float(at)), 1.0) * 1e-6
        if (at := getattr(rule, "le", None)) is not None:
            high = float(at)
        elif (at := getattr(rule, "lt", None)) is not None:
            high = float(math.ceil(at) - 1) if whole else float(at) - max(abs(float(at)), 1.0) * 1e-6
    return low, high


def _bounded(strategy: TradingStrategy, name: str) -> Dimension:
    """A parameter from end to end. Raises ConfigException where PARAMS leaves an end open."""
    kind = _kind(strategy, name)
    assert kind is not None
    if kind == "bool":
        return Dimension(name, kind, values=(False, True))
    low, high = _ends(strategy, name)
    if low is None or high is None:
        missing = " and ".join(word for word, end in (("lower", low), ("upper", high)) if end is None)
        raise ConfigException(
            f"PARAMS of {strategy.name} has no {missing} bound for it", key=name,
            allowed=f"name what to search, --grid {name}=FROM:TO:STEP, or leave it out by --param {name}=VALUE",
        )  # fmt: skip
    return Dimension(name, kind, low, high)


def _dimension(strategy: TradingStrategy, word: str) -> Dimension:
    """One --grid word."""
    name, sep, text = word.partition("=")
    name = name.strip()
    if not sep or not text.strip():
        raise ConfigException("not understood", key="--grid", value=word, allowed="NAME=FROM:TO:STEP or NAME=A,B,C")
    if name not in strategy.params.model_fields:
        raise ConfigException("no such parameter", key="--grid", value=name,
                              allowed=", ".join(strategy.params.model_fields))  # fmt: skip
    kind = _kind(strategy, name)
    if kind is None:
        raise ConfigException("not a number and not yes or no: it cannot be searched", key="--grid", value=name)
    if ":" not in text:
        return Dimension(name, kind, values=tuple(dict.fromkeys(_read(word, kind, part) for part in text.split(","))))
    if kind == "bool":
        raise ConfigException("is yes or no", key="--grid", value=word, allowed=f"{name}=yes,no")
    parts = [float(_read(word, kind, part)) for part in text.split(":")]
    if len(parts) not in (2, 3) or parts[0] > parts[1] or (len(parts) == 3 and not parts[2] > 0):
        raise ConfigException("not a range", key="--grid", value=word, allowed="NAME=FROM:TO:STEP, upward")
    low, high = _ends(strategy, name)
    if (low is not None and parts[0] < low) or (high is not None and parts[1] > high):
        allowed = " and ".join(
            f"{w} {end:g}" for w, end in (("not below", low), ("not above", high)) if end is not None
        )
        raise ConfigException("beyond the bounds of PARAMS", key="--grid", value=word, allowed=allowed)
    return Dimension(name, kind, parts[0], parts[1], parts[2] if len(parts) == 3 else 0)


def _read(word: str, kind: Kind, text: str) -> Value:
    text = text.strip().lower()
    try:
        if kind == "bool":
            return {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}[text]
        if kind == "int":
            return int(text)
        value = float(text)
    except (ValueError, KeyError):
        value = math.nan
    if not math.isfinite(value):
        kinds = {"int": "whole numbers", "float": "numbers", "bool": "yes or no"}
        raise ConfigException("not understood", key="--grid", value=word, allowed=kinds[kind])
    return value


def example(space: Space) -> StrategyParams:
    """One set that PARAMS allows. Raises ConfigException where none is found."""
    blank = Space(space.strategy, space.dimensions, space.fixed)
    found = next(random_sets(blank, 20, 1), None) or next(grid(blank, 10_000), None)
    if found is None:
        why = ", ".join(blank.refused) or "no value"
        raise ConfigException(f"no combination is allowed: {why}", key="--grid", value="; ".join(space.words()))
    return found


# --- the ways through it ----------------------------------------------------------------------------


def grid_size(space: Space, most: int) -> int:
    """How many values a dimension without steps gets, so that the grid has at most ``most`` points; 0 where there is
    none. Raises ConfigException where even two are too many."""
    open_ended = [d for d in space.dimensions if not d.given]
    sure = math.prod(len(d.given) for d in space.dimensions if d.given)
    if not open_ended:
        return 0
    each: int = math.floor((most / sure) ** (1 / len(open_ended)) + 1e-9)
    if each < 2:
        raise ConfigException(
            f"a grid over {len(space.dimensions)} parameters has more than {most:,} points", key="--search grid",
            allowed="fewer of them by --grid, more --trials, or --search random or tpe",
        )  # fmt: skip
    return each


def grid(space: Space, most: int) -> Iterator[StrategyParams]:
    """Every combination that PARAMS allows, the last dimension changing fastest."""
    each = grid_size(space, most)
    for values in itertools.product(*(d.spread(each) for d in space.dimensions)):
        if (params := space.params(values)) is not None:
            yield params


def random_sets(space: Space, count: int, seed: int) -> Iterator[StrategyParams]:
    """``count`` different sets by chance; fewer where the space has no more."""
    rng = np.random.Generator(np.random.PCG64(seed))
    seen: set[tuple[Value, ...]] = set()
    found = 0
    for _ in range(_DRAWS * count):
        if found == count:
            return
        values = tuple(d.draw(rng) for d in space.dimensions)
        if values in seen:
            continue
        seen.add(values)
        if (params := space.params(values)) is not None:
            found += 1
            yield params


class Tpe:
    """Optuna's tree-structured Parzen estimator, asked and told in batches. Needs the extra ``research``."""

    def __init__(self, space: Space, count: int, seed: int) -> None:
        try:
            import optuna
        except ImportError:
            raise ConfigException(
                "needs Optuna", key="--search tpe", allowed="pip install 'otrade-bot[research]', or grid or random"
            ) from None
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space, self._left = space, count
        self._study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
        self._asked: list[Any] = []
        self._pruned = optuna.trial.TrialState.PRUNED
        self._axes = {d.name: _axis(optuna.distributions, d) for d in space.dimensions}

    def ask(self) -> list[StrategyParams]:
        """The next batch; empty when all trials are used up. Refused combinations count as trials."""
        batch: list[StrategyParams] = []
        self._asked = []
        while not batch and self._left > 0:
            for _ in range(min(BATCH, self._left)):
                self._left -= 1
                trial = self._study.ask(self._axes)
                params = self._space.params([self._value(d, trial.params[d.name]) for d in self._space.dimensions])
                if params is None:
                    self._study.tell(trial, state=self._pruned)
                else:
                    self._asked.append(trial)
                    batch.append(params)
        return batch

    def tell(self, values: Sequence[float]) -> None:
        """What the batch came to, in its order; not a number where a set failed."""
        for trial, value in zip(self._asked, values, strict=True):
            if math.isfinite(value):
                self._study.tell(trial, value)
            else:
                self._study.tell(trial, state=self._pruned)

    @staticmethod
    def _value(dimension: Dimension, x: Any) -> Value:
        known = dimension.given
        if known:
            value: Value = known[x]
            return value
        return dimension.value(x)


def _axis(made: Any, d: Dimension) -> Any:
    """A dimension in Optuna's words. Steps and lists by their number, so that the values are exactly those given."""
    if d.kind == "bool" or (d.values and list(d.values) != sorted(d.values)):
        return made.CategoricalDistribution(list(range(len(d.given))))
    if d.given:
        return made.IntDistribution(0, len(d.given) - 1)
    if d.kind == "int":
        return made.IntDistribution(int(d.low), int(d.high), log=d.log)
    return made.FloatDistribution(d.low, d.high, log=d.log)
