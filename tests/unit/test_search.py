"""What a search tries: the strategy's own bounds, the grid words, and the combinations that PARAMS refuses."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from otrade_bot.core.errors import ConfigException
from otrade_bot.research.search import BATCH, Space, Tpe, grid, random_sets, space_of
from otrade_bot.strategies.loader import TradingStrategy, load_strategy

UNBOUNDED = """
from pydantic import Field
from otrade_bot.strategies.base import StrategyParams

class PARAMS(StrategyParams):
    near: float = Field(1.0, gt=0, lt=2)
    far: int = Field(5, ge=1)

STATE = ()

def update(s, p):
    pass

def should_buy(s, p):
    return s.close > p.near * p.far

def should_sell(s, p):
    return False
"""


@pytest.fixture(scope="module")
def crossing() -> TradingStrategy:
    return load_strategy("ema_crossover")


def pairs(space: Space, *names: str) -> list[tuple[object, ...]]:
    return [tuple(getattr(p, n) for n in names) for p in grid(space, 10_000)]


def test_a_grid_is_every_combination_that_params_allows(crossing: TradingStrategy) -> None:
    space = space_of(crossing, ["fast=5:15:5", "slow=10,15,20"], {"stop_percent": 0.7})
    assert pairs(space, "fast", "slow") == [(5, 10), (5, 15), (5, 20), (10, 15), (10, 20), (15, 20)]
    assert dict(space.refused) == {"fast must be smaller than slow": 3}
    assert {p.stop_percent for p in grid(space, 100)} == {0.7}


def test_steps_of_a_tenth_are_exact_tenths(crossing: TradingStrategy) -> None:
    space = space_of(crossing, ["stop_percent=0.1:0.7:0.1"], {})
    assert [p.stop_percent for p in grid(space, 100)] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]


def test_without_words_all_bounded_parameters_are_searched(crossing: TradingStrategy) -> None:
    space = space_of(crossing, [], {"trail": False})
    words = dict(zip([d.name for d in space.dimensions], space.words(), strict=True))
    assert words["fast"] == "fast 2 to 200"
    assert words["target_percent"] == "target_percent 0.1 to 100"
    assert words["short"] == "short no, yes"
    assert "trail" not in words
    assert set(words) == set(crossing.params.model_fields) - {"trail"}


def test_a_missing_bound_is_named_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "loose.py").write_text(UNBOUNDED, encoding="utf-8")
    loose = load_strategy("loose", tmp_path)
    with pytest.raises(ConfigException, match=r"far: PARAMS of loose has no upper bound .*--grid far=FROM:TO:STEP"):
        space_of(loose, [], {})
    space = space_of(loose, [], {"far": 7})
    near = next(d for d in space.dimensions if d.name == "near")
    assert 0 < near.low < 1e-5
    assert 2 - 1e-5 < near.high < 2
    assert all(p.far == 7 for p in random_sets(space, 20, 1))


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("fast", "NAME=FROM:TO:STEP"), ("fastest=1:2", "no such parameter"), ("fast=1:20", "not below 2"),
        ("fast=5:300:5", "not above 200"), ("fast=9:5:1", "upward"), ("fast=2:9:0", "upward"),
        ("fast=2:3:1:1", "upward"), ("fast=a:b", "whole numbers"), ("fast=2.5:3", "whole numbers"),
        ("stop_percent=nan:2", "numbers"),
        ("trail=0:1", "trail=yes,no"), ("trail=maybe", "yes or no"), ("fast=", "NAME=FROM:TO:STEP"),
    ],
)  # fmt: skip
def test_a_word_that_is_wrong_is_answered_with_what_is_allowed(
    crossing: TradingStrategy, word: str, why: str
) -> None:
    with pytest.raises(ConfigException, match=why):
        space_of(crossing, [word], {})


def test_a_parameter_cannot_be_both_searched_and_set(crossing: TradingStrategy) -> None:
    for words, fixed in ((["fast=5:9", "fast=2:4"], {}), (["fast=5:9"], {"fast": 3})):
        with pytest.raises(ConfigException, match="fast: given twice"):
            space_of(crossing, words, fixed)
    with pytest.raises(ConfigException, match="speed: no such parameter"):
        space_of(crossing, [], {"speed": 1})


def test_a_grid_without_steps_keeps_within_the_number_of_trials(crossing: TradingStrategy) -> None:
    space = space_of(crossing, ["fast=2:50", "slow=60:500", "trail=yes,no"], {})
    sets = list(grid(space, 100))
    assert len(sets) == 2 * 7 * 7
    assert {p.fast for p in sets} >= {2, 50}
    with pytest.raises(ConfigException, match="more than 50 points"):
        list(grid(space_of(crossing, [], {}), 50))


def test_random_sets_are_different_valid_and_the_seeds_own(crossing: TradingStrategy) -> None:
    space = space_of(crossing, [], {})
    one, two, other = (list(random_sets(space_of(crossing, [], {}), 200, seed)) for seed in (1, 1, 2))
    assert one == two != other
    assert len(set(map(space.values, one))) == 200
    assert all(p.fast < p.slow for p in one)
    wide = [p.target_percent for p in one]
    assert 40 < sum(x < 1 for x in wide) < 100, "by ratios: as many below 1 as between 1 and 10"


def test_a_small_space_gives_what_it_has(crossing: TradingStrategy) -> None:
    space = space_of(crossing, ["fast=2,3", "slow=3,4"], {})
    assert sorted(space.values(p) for p in random_sets(space, 50, 1)) == [(2, 3), (2, 4), (3, 4)]
    assert dict(space.refused) == {"fast must be smaller than slow": 1}


def hill(space: Space, p: object) -> float:
    """Highest at fast 20, slow 90."""
    return -abs(getattr(p, "fast") - 20) - abs(getattr(p, "slow") - 90) / 5  # noqa: B009


def climbed(space: Space, count: int, seed: int) -> list[tuple[tuple[object, ...], float]]:
    tpe = Tpe(space, count, seed)
    seen = []
    while batch := tpe.ask():
        assert len(batch) <= BATCH
        answers = [hill(space, p) for p in batch]
        tpe.tell(answers)
        seen += [(space.values(p), a) for p, a in zip(batch, answers, strict=True)]
    return seen


def test_tpe_climbs_keeps_its_seed_and_says_nothing(
    crossing: TradingStrategy, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["fast=2:200", "slow=3:500", "trail=yes,no", "stop_percent=0.5:2:0.5"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runs = [climbed(space_of(crossing, words, {}), 160, seed) for seed in (3, 3, 4)]
    assert runs[0] == runs[1] != runs[2]
    assert max(a for _, a in runs[0][-64:]) > max(a for _, a in runs[0][:32])
    assert {v[3] for v, _ in runs[0]} <= {0.5, 1.0, 1.5, 2.0}
    assert {v[2] for v, _ in runs[0]} == {True, False}
    assert capfd.readouterr() == ("", "")


def test_tpe_counts_refused_combinations_as_trials(crossing: TradingStrategy) -> None:
    space = space_of(crossing, ["fast=2:200", "slow=3:500"], {})
    seen = climbed(space, 100, 1)
    assert len(seen) + sum(space.refused.values()) == 100
    assert sum(space.refused.values()) > 0
