"""A strategy that cannot run with its parameters is refused before it meets the market."""

from __future__ import annotations

from pathlib import Path

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
from otrade_bot.strategies.loader import TradingStrategy, build_kernel, load_strategy
from otrade_bot.trading.setup import dry_run
from otrade_bot.trading.table import Row

CONFIG = Config(TradingConfig(), RiskConfig(), BrokerConfig(), MarketConfig(), ChargesConfig(), TelegramConfig())
WIDE = """
from pydantic import Field
from otrade_bot.kernel.calculations import sma
from otrade_bot.strategies.base import StrategyParams


class PARAMS(StrategyParams):
    n: int = Field(20, ge=2, le=100)


STATE = ("average",)


def update(s, p):
    s.average = sma(s.closes, s.bars, p.n)


def should_buy(s, p):
    return s.close > s.average


def should_sell(s, p):
    return False
"""


@pytest.fixture
def wide(tmp_path: Path) -> TradingStrategy:
    (tmp_path / "wide.py").write_text(WIDE)
    return load_strategy("wide", tmp_path)


def row(strategy: TradingStrategy, **params: int) -> Row:
    return Row(3, Instrument("NSE:ACME", 1), "wide", strategy.params.model_validate(params))


def test_a_window_that_fits_the_rings_is_taken(wide: TradingStrategy) -> None:
    dry_run(build_kernel([wide], interpreted=True), [row(wide, n=64)], {"wide": wide}, CONFIG)


def test_a_window_longer_than_the_rings_is_refused_with_the_file(wide: TradingStrategy) -> None:
    with pytest.raises(StrategyException, match=r"wide\.py: fails with these parameters: ValueError: a window"):
        dry_run(build_kernel([wide], interpreted=True), [row(wide, n=65)], {"wide": wide}, CONFIG)


@pytest.mark.parametrize(("old", "new"), [('"average"', '"mean"'), ("n: int", "std: int")])
def test_a_name_that_records_have_already_is_refused(tmp_path: Path, old: str, new: str) -> None:
    text = WIDE.replace(old, new).replace("s.average", "s.mean" if "mean" in new else "s.average")
    (tmp_path / "wide.py").write_text(text.replace("p.n", "p.std") if "std" in new else text)
    with pytest.raises(StrategyException, match="take another"):
        load_strategy("wide", tmp_path)
