"""CONDITIONS of a strategy: checked with file and line, the same question as should_buy, told in words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from otrade_bot.config.models import (
    BrokerConfig,
    ChargesConfig,
    Config,
    MarketConfig,
    RiskConfig,
    TelegramConfig,
    TradingConfig,
)
from otrade_bot.core.errors import StrategyException
from otrade_bot.core.model import Instrument
from otrade_bot.strategies.loader import SHIPPED, TradingStrategy, build_kernel, load_strategy
from otrade_bot.trading.setup import dry_run
from otrade_bot.trading.table import Row

CONFIG = Config(TradingConfig(), RiskConfig(), BrokerConfig(), MarketConfig(), ChargesConfig(), TelegramConfig())
SOURCE = '''\
from pydantic import Field
from otrade_bot.kernel.calculations import back, sma
from otrade_bot.strategies.base import StrategyParams

class PARAMS(StrategyParams):
    n: int = Field(20, ge=2, le=60)
    low: float = Field(30.0, ge=5, le=50)

STATE = {"level": float, "rsi": float, "seen": int, "window": (float, 8)}

CONDITIONS = {
    "close above the mean of {n} bars": "s.close > s.level",
    "RSI is below {low}": "s.rsi < p.low",
    "seen twice": "s.seen >= 2",
    "up since the bar before": "s.close > back(s.closes, s.bars, 1)",
}

def update(s, p):
    s.level = sma(s.closes, s.bars, p.n) if s.bars >= p.n else s.close
    s.rsi = 20.0 + (s.bars % 3) * 5.0
    s.seen += 1

def should_buy(s, p):
    rising = s.close > s.level and s.close > back(s.closes, s.bars, 1)
    return rising and s.rsi < p.low and s.seen >= 2

def should_sell(s, p):
    return False
'''


def load(folder: Path, *pairs: tuple[str, str]) -> TradingStrategy:
    source = SOURCE
    for old, new in pairs:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    (folder / "mine.py").write_text(source)
    return load_strategy("mine", folder)


def refused(folder: Path, *pairs: tuple[str, str]) -> StrategyException:
    with pytest.raises(StrategyException) as caught:
        load(folder, *pairs)
    return caught.value


def line_of(folder: Path, words: str) -> int:
    line, = (n for n, row in enumerate((folder / "mine.py").read_text().splitlines(), 1) if words in row)
    return line


class Record(dict[str, Any]):
    """Like a row of the kernel, as far as conditions read it."""

    def __init__(self, **values: float) -> None:
        super().__init__({name: np.array(value)[()] for name, value in values.items()})


def test_a_strategy_without_conditions_loads_as_ever(tmp_path: Path) -> None:
    source = SOURCE[: SOURCE.index("CONDITIONS")] + SOURCE[SOURCE.index("def update") :]
    (tmp_path / "mine.py").write_text(source)
    assert load_strategy("mine", tmp_path).conditions is None


def test_conditions_are_told_in_words_with_the_numbers_of_the_parameters(tmp_path: Path) -> None:
    strategy = load(tmp_path)
    assert strategy.conditions is not None
    params = strategy.params.model_validate({"n": 5, "low": 25.0})
    assert strategy.conditions.words(params) == (
        "close above the mean of 5 bars", "RSI is below 25.0", "seen twice", "up since the bar before",
    )  # fmt: skip
    assert strategy.conditions.words(strategy.params())[0] == "close above the mean of 20 bars"


@pytest.mark.parametrize("name", ["momentum_ladder", "ema_crossover"])
def test_the_shipped_strategies_say_what_they_wait_for(name: str) -> None:
    strategy = load_strategy(name)
    assert strategy.conditions is not None
    assert not any("{" in words for words in strategy.conditions.words(strategy.params()))


def test_each_condition_of_momentum_is_judged_for_itself() -> None:
    strategy = load_strategy("momentum_ladder")
    assert strategy.conditions is not None
    row = Record(ema9=103.0, ema21=102.0, ema50=102.0, ema200=99.0, close=100.0, breakout=100.0, bars=300)
    assert strategy.conditions.judge(row, strategy.params()) == {
        "EMA 9 is above EMA 21": True, "EMA 21 is above EMA 50": False, "the close is above EMA 200": True,
        "more than 20 bars are known": True, "the close is above the high of 20 bars": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"s.close > s.level",', '"s.close > s.levle",', "did you mean 'level'?"),
        ('"s.rsi < p.low"', '"s.rsi < p.lwo"', "'lwo' is not in PARAMS; did you mean 'low'?"),
        ('"s.seen >= 2"', '"s.filled[0] >= 2"', "'filled' is not in STATE"),
        ('"s.seen >= 2"', '"seen >= 2"', "read as s.seen"),
        ('"s.seen >= 2"', '"s.seen >= "', "invalid syntax"),
        ('"s.seen >= 2"', '"[s.seen]"', "List has no place in a condition"),
        ('"s.seen >= 2"', '"(lambda: 1)()"', "has no place in a condition"),
        ('"s.seen >= 2"', '"s.close.real > 2"', "fields are those of s and p"),
        ('"s.seen >= 2"', "20 + 2", "no text with an expression"),
        ('"RSI is below {low}"', '"RSI is below {lwo}"', "{lwo} is not in PARAMS"),
        ('"RSI is below {low}"', '"RSI is below {low"', "expected '}'"),
    ],
)
def test_what_is_wrong_in_a_condition_is_named_with_its_line(old: str, new: str, says: str, tmp_path: Path) -> None:
    error = refused(tmp_path, (old, new))
    assert says in str(error)
    assert error.line == line_of(tmp_path, new)
    assert str(error).startswith(f"{tmp_path / 'mine.py'}:{error.line}: ")


@pytest.mark.parametrize("given", ["7", "{}", '("s.close > 1",)', "{1: 's.close > 1'}", "{'': 's.close > 1'}"])
def test_conditions_map_words_to_expressions(given: str, tmp_path: Path) -> None:
    whole = SOURCE[SOURCE.index("CONDITIONS") : SOURCE.index("def update")]
    error = refused(tmp_path, (whole, f"CONDITIONS = {given}\n"))
    assert "CONDITIONS" in str(error)
    assert error.line == line_of(tmp_path, "CONDITIONS")


MISSED = [
    ('    "seen twice": "s.seen >= 2",\n', "", "should_buy says no where every one of them is met"),
    ('"s.seen >= 2"', '"s.seen > 2"', "says yes where 'seen twice' is not met"),
    ('"s.close > s.level"', '"s.close >= s.level"', "says no where every one"),
    ('"s.rsi < p.low"', '"s.rsi <= p.low"', "says no where every one"),
    ('"s.rsi < p.low"', '"s.rsi > p.low"', "CONDITIONS: should_buy says"),
    ('"s.close > back(s.closes, s.bars, 1)"', '"s.close > back(s.closes, s.bars, 2)"', "CONDITIONS: should_buy says"),
]


@pytest.mark.parametrize(("old", "new", "says"), MISSED)
def test_conditions_that_ask_another_question_than_should_buy_are_refused(
    old: str, new: str, says: str, tmp_path: Path
) -> None:
    error = refused(tmp_path, (old, new))
    assert says in str(error)
    assert "close=" in str(error)
    assert error.line >= line_of(tmp_path, "close above the mean")


def test_each_clause_that_is_left_out_of_momentum_is_noticed(tmp_path: Path) -> None:
    source = (SHIPPED / "momentum_ladder.py").read_text()
    start, end = source.index("CONDITIONS = {\n") + 15, source.index("}\n\n\ndef update")
    clauses = source[start:end].splitlines(keepends=True)
    assert len(clauses) == 5
    for left_out in clauses:
        (tmp_path / "mine.py").write_text(source[:start] + "".join(set(clauses) - {left_out}) + source[end:])
        with pytest.raises(StrategyException, match="says no where every one of them is met"):
            load_strategy("mine", tmp_path)


def test_a_number_written_out_that_is_a_parameter_is_refused_where_the_parameter_is_another(tmp_path: Path) -> None:
    strategy = load(tmp_path, ('"s.rsi < p.low"', '"s.rsi < 30.0"'))  # by default it is the same
    kernel = build_kernel([strategy], interpreted=True)
    share = Instrument("NSE:ACME", 1)
    dry_run(kernel, [Row(0, share, "mine", strategy.params())], {"mine": strategy}, CONFIG)
    other = Row(0, share, "mine", strategy.params.model_validate({"low": 25.0}))
    with pytest.raises(StrategyException, match=r"mine\.py:\d+: CONDITIONS: should_buy says"):
        dry_run(kernel, [other], {"mine": strategy}, CONFIG)


def test_the_page_about_strategies_shows_what_works_and_what_is_said_where_it_does_not(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text(encoding="utf-8")
    whole, shown, refusal = (re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)[0] for kind in
                             ("python", "py", "console"))  # fmt: skip
    (tmp_path / "rebound.py").write_text(f"{whole}\n{shown}")
    strategy = load_strategy("rebound", tmp_path)
    assert strategy.conditions is not None
    assert strategy.conditions.words(strategy.params())[0] == "the RSI was not above 30.0 before"
    wrong = shown.replace("s.now > p.low", "s.now >= p.low").replace("s.before <= p.low", "s.before <= p.low + 9")
    (tmp_path / "rebound.py").write_text(f"{whole}\n{wrong}")
    with pytest.raises(StrategyException) as caught:
        load_strategy("rebound", tmp_path)
    assert refusal.partition(", with")[0].partition(": ")[2] in str(caught.value)


def test_the_dry_run_compares_them_with_what_the_kernel_decides(tmp_path: Path) -> None:
    strategy = load(tmp_path)
    assert strategy.conditions is not None
    other = load(tmp_path, ("and s.seen >= 2", "and s.seen >= 40"), ('"s.seen >= 2"', '"s.seen >= 40"'))
    mixed = TradingStrategy(
        strategy.name, strategy.path, strategy.params, strategy.source, strategy.drawn, other.conditions
    )
    rows = [Row(0, Instrument("NSE:ACME", 1), "mine", strategy.params())]
    dry_run(build_kernel([strategy], interpreted=True), rows, {"mine": strategy}, CONFIG)
    with pytest.raises(StrategyException, match="should_buy says yes where 'seen twice' is not met"):
        dry_run(build_kernel([strategy], interpreted=True), rows, {"mine": mixed}, CONFIG)


def test_a_condition_that_cannot_be_computed_is_not_met(tmp_path: Path) -> None:
    strategy = load(
        tmp_path,
        ('"seen twice": "s.seen >= 2"', '"seen": "s.seen > 0", "seen twice": "2 / s.seen <= 1"'),
        ("and s.seen >= 2", "and s.seen > 0 and 2 / s.seen <= 1"),
        ('    "up since the bar before": "s.close > back(s.closes, s.bars, 1)",\n', ""),
        (" and s.close > back(s.closes, s.bars, 1)", ""),
    )
    assert strategy.conditions is not None
    for seen, met in ((0, False), (1, False), (2, True)):
        row = Record(close=1.0, level=2.0, rsi=20.0, seen=seen)
        assert strategy.conditions.judge(row, strategy.params())["seen twice"] is met
