"""Made-up files of prices, and backtests of them in this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from otrade_bot.config.models import (
    BrokerConfig,
    ChargesConfig,
    Config,
    MarketConfig,
    RiskConfig,
    TelegramConfig,
    TradingConfig,
)
from otrade_bot.core.model import Product
from otrade_bot.kernel.compile import Kernel
from otrade_bot.research.backtest import Backtest, Friction, Outcome, adapted
from otrade_bot.research.data import Market, load_files
from otrade_bot.strategies.loader import TradingStrategy

DAYS = tuple(date(2026, 9, day) for day in (15, 16, 17, 18))  # a Tuesday to a Friday


def settings(**risk: Any) -> Config:
    """The defaults, with these risk numbers."""
    rest = BrokerConfig(), MarketConfig(), ChargesConfig(), TelegramConfig()
    return Config(TradingConfig(), RiskConfig(**risk), *rest)


def minutes(seed: int, days: Sequence[date] = DAYS, count: int = 330, price: float = 500.0) -> list[str]:
    """Lines of 1-minute bars, named by their start: a walk with trends in it."""
    rng = np.random.default_rng(seed)
    lines = ["datetime,open,high,low,close,volume"]
    for day in days:
        steps = rng.normal(0, 0.0012, count * 4) + np.repeat(rng.normal(0, 0.0006, count // 30 + 1), 120)[: count * 4]
        walk = price * np.exp(np.cumsum(steps))
        for m, four in enumerate(walk.reshape(-1, 4)):
            clock = f"{(555 + m) // 60:02d}:{(555 + m) % 60:02d}:00"
            o, h, low, c = four[0], four.max(), four.min(), four[-1]
            lines.append(f"{day} {clock},{o:.2f},{h:.2f},{low:.2f},{c:.2f},{rng.integers(1, 400)}")
        price = float(walk[-1])
    return lines


def saved(folder: Path, name: str, lines: Iterable[str]) -> Path:
    path = folder / f"{name}.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def outcome_of(
    market: Market, kernel: Kernel, shipped: Iterable[TradingStrategy], config: Config | None = None, *,
    strategy: str = "ema_crossover", timeframe: str = "1m", params: Mapping[str, Any] | None = None,
    friction: Friction | None = None, product: Product | None = None, per_position: int | None = None,
) -> Outcome:  # fmt: skip
    """What a backtest finds."""
    adapt = adapted(
        config or settings(), market, strategy=strategy, timeframe=timeframe, params=params, product=product,
        per_position=per_position,
    )  # fmt: skip
    chosen = {s.name: s for s in shipped if s.name == strategy}
    return Backtest(adapt, market, chosen, kernel, friction).run()


def market_of(folder: Path, *files: tuple[str, Iterable[str]]) -> Market:
    return load_files([saved(folder, name, lines) for name, lines in files])


def after(day: date, count: int) -> list[date]:
    """Week days from ``day`` on."""
    found: list[date] = []
    while len(found) < count:
        found += [day] if day.weekday() < 5 else []
        day += timedelta(1)
    return found
