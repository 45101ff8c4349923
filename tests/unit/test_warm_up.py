"""Earlier days warm the indicators up, and are not mistaken for today."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from otrade_bot.brokers.feeds import synthetic_history
from otrade_bot.config.models import (
    BrokerConfig,
    ChargesConfig,
    Config,
    MarketConfig,
    RiskConfig,
    TelegramConfig,
    TradingConfig,
)
from otrade_bot.core.clock import MINUTE, at_ist, ist_date
from otrade_bot.kernel.calculations import ema
from otrade_bot.kernel.candles import CandleAgg
from otrade_bot.service.demo import DEMO_DAY, Demo, DemoOptions
from otrade_bot.service.journal import read_day
from otrade_bot.service.warm import warm_up

CONFIG = Config(
    TradingConfig(), RiskConfig(), BrokerConfig(), MarketConfig(), ChargesConfig(), TelegramConfig()
)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    made = Demo.prepare(CONFIG, DemoOptions(tmp_path, strategy="momentum_ladder", timeframe="15m", speed=0.0))
    yield made
    made.close()


def test_averages_over_earlier_days_equal_those_computed_bar_by_bar(demo: Demo) -> None:
    files = synthetic_history(DEMO_DAY, 1, days=12)
    assert warm_up(demo.engine, files, DEMO_DAY) > 200
    file = next(f for f in files if f.symbol == "NSE:DEMOALPHA")
    closes: list[float] = []
    for day in sorted({ist_date(int(ts) - 1) for ts in file.ts_end}):
        bars = CandleAgg(15 * MINUTE, at_ist(day, 9, 15))
        columns = (file.ts_end, file.open, file.high, file.low, file.close, file.volume)
        for ts, o, h, low, c, v in zip(*columns, strict=True):
            if ist_date(int(ts) - 1) == day:
                closes += [bar[4] / 100 for bar in bars.add(int(ts) - 1, int(o), int(h), int(low), int(c), int(v))]
        closes += [bar[4] / 100 for bar in bars.flush()]
    expected = 0.0
    for i, close in enumerate(closes):
        expected = ema(expected, close, 200, i)
    row = demo.engine.state[demo.engine.by_symbol["NSE:DEMOALPHA"]]
    assert int(row["bars"]) == len(closes) > 200
    assert float(row["ema200"]) == expected


def test_history_of_today_and_later_is_left_out(demo: Demo) -> None:
    files = synthetic_history(DEMO_DAY, 1, days=3)
    assert warm_up(demo.engine, files, date(2026, 9, 1)) == 0


def test_the_first_entry_waits_for_a_bar_of_today(tmp_path: Path) -> None:
    demo = Demo.prepare(CONFIG, DemoOptions(tmp_path, strategy="momentum_ladder", timeframe="15m", speed=0.0))
    demo.history = list(synthetic_history(DEMO_DAY, 1, days=12))
    try:
        asyncio.run(demo.run())
    finally:
        demo.close()
    looks = [line["ns"] for line in read_day(tmp_path, DEMO_DAY) if line["kind"] == "evaluation"]
    assert looks
    assert min(looks) >= at_ist(DEMO_DAY, 9, 30)
