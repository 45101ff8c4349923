"""A strategy file that cannot be used is refused with file, line and what to write instead."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from kernel_desk import OPEN, Desk

from otrade_bot.core.errors import ConfigException, StrategyException
from otrade_bot.strategies.loader import build_kernel, load_strategy, parse_params

GOOD = '''\
from __future__ import annotations
from typing import Any
from pydantic import Field
from otrade_bot.kernel.calculations import highest, sma as mean
from otrade_bot.strategies.base import StrategyParams

class PARAMS(StrategyParams):
    window: int = Field(5, ge=2, le=200)
    factor: float = Field(1.5, gt=0, lt=9)

STATE = ("level", "other")

def update(s: Any, p: Any) -> None:
    s.level = highest(s.highs, s.bars, p.window, 0)

def should_buy(s: Any, p: Any) -> bool:
    return s.close >= s.level

def should_sell(s: Any, p: Any) -> bool:
    return False
'''


def write(folder: Path, source: str, name: str = "mine") -> Path:
    path = folder / f"{name}.py"
    path.write_text(textwrap.dedent(source), encoding="utf-8")
    return path


def changed(*pairs: tuple[str, str]) -> str:
    source = GOOD
    for old, new in pairs:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    return source


def line_of(source: str, text: str) -> int:
    (line,) = [i for i, row in enumerate(source.splitlines(), 1) if text in row]
    return line


def test_a_good_file_loads(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    strategy = load_strategy("mine", tmp_path)
    assert set(strategy.source.state) == {"level", "other"}
    assert {"window", "factor"} <= set(strategy.source.params)


BAD = [
    ("a syntax error", "    return False", "    return False)", "    return False)", "unmatched"),
    ("a decorator", "def update", "@staticmethod\ndef update", "def update", "no decorators"),
    ("a bad import", "from typing import Any", "import os\nfrom typing import Any", "import os", "'os'"),
    ("a bad from", "from typing import Any", "from os import path\nfrom typing import Any", "from os", "allowed: "),
    ("three arguments", "update(s: Any, p: Any)", "update(s: Any, p: Any, q: Any)", "def update", "exactly (s, p)"),
    ("a default", "update(s: Any, p: Any)", "update(s: Any, p: Any = 1)", "def update", "exactly (s, p)"),
    ("a misspelt state", "s.close >= s.level", "s.close >= s.levle", "s.levle", "did you mean 'level'?"),
    ("a misspelt field", "s.close >= s.level", "s.clsoe >= s.level", "s.clsoe", "did you mean 'close'?"),
    ("a misspelt parameter", "p.window", "p.widnow", "p.widnow", "did you mean 'window'?"),
    ("book-keeping", "s.close >= s.level", "s.filled[0] > 0", "s.filled", "'filled' is not in STATE"),
    ("an assigned base field", "s.level = highest", "s.close = highest", "s.close = ", "may not be assigned"),
    ("an added base field", "s.level = highest", "s.bars += highest", "s.bars +=", "may not be assigned"),
    ("an assigned ring", "s.level = highest", "s.highs[0] = highest", "s.highs[0]", "may not be assigned"),
    ("an assigned parameter", "s.level = highest", "p.window = highest", "p.window = ", "may not be assigned"),
    ("a path without return", "    return False", "    if s.close > 1:\n        return False", "def should_sell",
     "every path"),
    ("an empty return", "    return False", "    return", "def should_sell", "every path"),
    ("an error while read", "STATE = ", "1 / 0\nSTATE = ", "1 / 0", "ZeroDivisionError"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "marker", "says"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_what_is_wrong_is_named_with_its_line(old: str, new: str, marker: str, says: str, tmp_path: Path) -> None:
    source = changed((old, new))
    path = write(tmp_path, source)
    with pytest.raises(StrategyException) as caught:
        load_strategy("mine", tmp_path)
    assert caught.value.line == line_of(source, marker)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{path}:{caught.value.line}: ")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("def should_sell", "def should_sel", "has no function should_sell(s, p)"),
        ("class PARAMS", "class Params", "PARAMS must be a class derived from StrategyParams"),
        ("Field(5, ge=2, le=200)", "Field(ge=2, le=200)", "PARAMS has no valid defaults: Field required"),
        ('STATE = ("level", "other")', "", "STATE must be a tuple of names"),
        ('STATE = ("level", "other")', "STATE = 7", "STATE must be a tuple of names"),
        ('("level", "other")', '("level", "not a name")', "'not a name' is not a name"),
        ('("level", "other")', '("level", "close")', "'close' is a name of the kernel itself"),
        ('("level", "other")', '{"level": float, "other": str}', "other must be float, int or"),
        ('("level", "other")', '{"level": float, "other": (float, 5000)}', "other must be float, int or"),
    ],
)
def test_what_is_missing_is_named_with_its_file(old: str, new: str, says: str, tmp_path: Path) -> None:
    path = write(tmp_path, changed((old, new)))
    with pytest.raises(StrategyException) as caught:
        load_strategy("mine", tmp_path)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


def test_charts_show_what_the_file_names(tmp_path: Path) -> None:
    write(tmp_path, GOOD + '\nCHART = ("level",)\n')
    assert load_strategy("mine", tmp_path).drawn == ("level",)
    assert load_strategy("momentum_ladder").drawn == ("ema9", "ema21", "ema50", "ema200")


@pytest.mark.parametrize(("chart", "says"), [('("nothing",)', "'nothing' is no number of STATE"), ('"level"', "tuple")])
def test_charts_show_numbers_of_the_state_alone(chart: str, says: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"{GOOD}\nCHART = {chart}\n")
    with pytest.raises(StrategyException, match=says) as caught:
        load_strategy("mine", tmp_path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StrategyException, match=r"mine\.py: cannot be read"):
        load_strategy("mine", tmp_path)


def test_two_strategies_may_not_give_one_state_name_two_types(tmp_path: Path) -> None:
    write(tmp_path, GOOD, "one")
    write(tmp_path, changed(('("level", "other")', '{"level": int, "other": float}')), "two")
    with pytest.raises(StrategyException, match="'level' has one type in one and another in two"):
        build_kernel([load_strategy(name, tmp_path) for name in ("one", "two")], interpreted=True)


def test_two_strategies_may_share_a_state_name_of_one_type(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path, GOOD, name)
    kernel = build_kernel([load_strategy(name, tmp_path) for name in ("one", "two")], interpreted=True)
    assert dict(kernel.sids) == {"one": 1, "two": 2}


def test_a_users_file_comes_before_a_shipped_one_of_the_same_name(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, "ema_crossover")
    assert load_strategy("ema_crossover", tmp_path).path == path


@pytest.mark.parametrize("name", ["ema_crosover", "nothing_like_it", "base", "loader", "../ema_crossover", "", "a b"])
def test_an_unknown_strategy_is_refused_with_what_there_is(name: str) -> None:
    with pytest.raises(ConfigException) as caught:
        load_strategy(name)
    assert caught.value.key == "strategies.name"
    assert caught.value.allowed.endswith("ema_crossover, momentum_ladder")
    if name == "ema_crosover":
        assert caught.value.allowed.startswith("did you mean 'ema_crossover'?")


# --- parameters -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "key", "allowed"),
    [
        ({"fast": 1}, "strategies.params.fast", "int >= 2 <= 200"),
        ({"fast": "9"}, "strategies.params.fast", "int >= 2 <= 200"),
        ({"fast": 9.0}, "strategies.params.fast", "int >= 2 <= 200"),
        ({"stop_percent": 0}, "strategies.params.stop_percent", "float >= 0.1 <= 20"),
        ({"stop_percent": float("nan")}, "strategies.params.stop_percent", "float >= 0.1 <= 20"),
        ({"short": 1}, "strategies.params.short", "bool"),
    ],
)
def test_a_bad_parameter_is_refused_with_key_value_and_bounds(
    values: dict[str, object], key: str, allowed: str
) -> None:
    with pytest.raises(ConfigException) as caught:
        parse_params(load_strategy("ema_crossover"), values)
    assert (caught.value.file, caught.value.key, caught.value.allowed) == ("trading.json", key, allowed)
    assert repr(next(iter(values.values()))) in str(caught.value)


def test_exclusive_bounds_read_well(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    with pytest.raises(ConfigException) as caught:
        parse_params(load_strategy("mine", tmp_path), {"factor": 0.0})
    assert caught.value.allowed == "float > 0 < 9"


def test_an_unknown_parameter_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigException) as caught:
        parse_params(load_strategy("ema_crossover"), {"fats": 9})
    assert caught.value.allowed.startswith("did you mean 'fast'?")
    assert "slow" in caught.value.allowed


def test_what_spans_parameters_is_checked_too() -> None:
    with pytest.raises(ConfigException, match="fast must be smaller than slow") as caught:
        parse_params(load_strategy("ema_crossover"), {"fast": 21})
    assert caught.value.key == "strategies.params"


def test_good_values_are_taken() -> None:
    params = parse_params(load_strategy("ema_crossover"), {"fast": 5, "stop_percent": 1})
    assert (params.model_dump()["fast"], params.stop_percent) == (5, 1.0)


# --- what a strategy may use ------------------------------------------------------------------------


def test_constants_helpers_and_renamed_imports_work(tmp_path: Path) -> None:
    source = changed(
        ("def update", "TIMES: float = 2.0\nPLUS = 1.0\n\ndef helper(s: Any) -> float:\n"
         "    return s.close * TIMES + PLUS\n\ndef update"),
        ("highest(s.highs, s.bars, p.window, 0)", "helper(s) + mean(s.closes, s.bars, p.window)"),
    )  # fmt: skip
    write(tmp_path, source)
    kernel = build_kernel([load_strategy("mine", tmp_path)], interpreted=True)
    desk = Desk(kernel, "")
    desk.put(sid=1, window=5)
    desk.tick(OPEN, 10_000)
    assert desk.get("level") == 100.0 * 2 + 1 + 100


def test_a_misspelt_name_in_a_helper_is_refused_too(tmp_path: Path) -> None:
    source = changed(
        ("def update", "def helper(s: Any, p: Any) -> float:\n    return s.clsoe * p.window\n\ndef update"),
        ("highest(s.highs, s.bars, p.window, 0)", "helper(s, p)"),
    )
    write(tmp_path, source)
    with pytest.raises(StrategyException, match="did you mean 'close'") as caught:
        load_strategy("mine", tmp_path)
    assert caught.value.line == line_of(source, "s.clsoe")
