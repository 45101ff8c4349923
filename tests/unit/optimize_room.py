"""Days of made-up bars of two shares, and settings to sweep them under."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from otrade_bot.config.models import (
    BrokerConfig,
    ChargesConfig,
    Config,
    MarketConfig,
    RiskConfig,
    TelegramConfig,
    TradingConfig,
)
from otrade_bot.core.clock import MINUTE
from otrade_bot.core.model import Instrument, Product
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Kernel
from otrade_bot.research.optimize_job import Job, job_of
from otrade_bot.research.replay import Replay, _Run
from otrade_bot.strategies.base import StrategyParams
from otrade_bot.strategies.loader import TradingStrategy
from otrade_bot.trading import setup
from otrade_bot.trading.table import Row

Days = list[tuple[date, npt.NDArray[Any]]]
SYMBOLS = ("NSE:ONE", "NSE:TWO")
#: Across a change of hours and, for shares, of charges: what a day brings must not leak into the next one.
FIRST = date(2026, 7, 28)


def config_for(strategy: str, timeframe: str, symbols: Sequence[str] = SYMBOLS, **risk: Any) -> Config:
    given = {"name": strategy, "instruments": tuple(symbols), "timeframe": timeframe}
    product = Product(risk.pop("product", "MIS"))
    trading = TradingConfig.model_validate({"strategies": (given,), "capital_per_position": 30_000, "product": product})
    limits = RiskConfig.model_validate({"total_capital": 50_000, "cooldown_seconds": 60, **risk})
    return Config(trading, limits, BrokerConfig(), MarketConfig(), ChargesConfig(), TelegramConfig())


def rows_for(config: Config, strategies: dict[str, TradingStrategy]) -> list[Row]:
    return setup.build_rows(config, strategies, lambda symbol: Instrument(symbol, 0, closing_auction=True))


def made_up_days(config: Config, rows: Sequence[Row], count: int, seed: int = 1) -> Days:
    """Minute bars of every row, in time order; prices wander, with a wave that crossings live on."""
    rng = np.random.default_rng(seed)
    level = {row.index: 100_000.0 + 20_000 * row.index for row in rows}
    days: Days = []
    day = FIRST
    while len(days) < count:
        sessions = [setup.row_session(row, day, config.calendar) for row in rows]
        if all(sessions):
            days.append((day, _bars(rng, rows, [s for s in sessions if s], level)))
        day += timedelta(days=1)
    return days


def _bars(rng: np.random.Generator, rows: Sequence[Row], sessions: Sequence[Any], level: dict[int, float]) -> Any:
    parts = []
    for row, session in zip(rows, sessions, strict=True):
        n = (session.continuous_end - session.open) // MINUTE
        steps = rng.normal(0, 0.0005, 4 * n) + 0.0004 * np.sin(np.arange(4 * n) / rng.uniform(40, 120))
        paise = np.rint(level[row.index] * np.exp(np.cumsum(steps)) / 5).astype(np.int64).reshape(n, 4) * 5
        level[row.index] = float(paise[-1, -1])
        e = np.zeros(n, abi.EVENT)
        e["kind"], e["row"], e["cycle"] = abi.BAR, row.index, MINUTE
        e["ts"] = session.open + np.arange(n) * MINUTE
        e["value"], e["price"], e["high"], e["low"] = paise[:, 0], paise[:, 3], paise.max(1), paise.min(1)
        e["qty"] = rng.integers(0, 5_000, n)
        e["leg"] = np.cumsum(e["qty"]) - e["qty"]
        parts.append(e)
    merged = np.concatenate(parts)
    return merged[np.argsort(merged["ts"], kind="stable")]


def made_up_job(
    kernel: Kernel, shipped: Sequence[TradingStrategy], name: str, timeframe: str, count: int, *, latency_ns: int = 0,
    slip_ppm: int = 0, symbols: Sequence[str] = SYMBOLS, **risk: Any,
) -> tuple[Job, Config, list[Row], Days]:  # fmt: skip
    """``shipped`` are all that the kernel was made of, ``name`` the one that trades."""
    config = config_for(name, timeframe, symbols, **risk)
    known = {strategy.name: strategy for strategy in shipped}
    rows = rows_for(config, known)
    days = made_up_days(config, rows, count)
    job = job_of(config, kernel, rows, known, config.calendar, days, latency_ns=latency_ns, slip_ppm=slip_ppm)
    return job, config, rows, days


def replayed(
    kernel: Kernel, config: Config, rows: Sequence[Row], strategy: TradingStrategy, days: Days, given: StrategyParams,
    latency_ns: int = 0, slip_ppm: int = 0,
) -> tuple[_Run, list[int]]:  # fmt: skip
    """The same days by the ordinary replay under one set, and where each day's trades begin and end."""
    mine = [replace(row, params=given) for row in rows]
    run = Replay(config, kernel, mine, {strategy.name: strategy}, config.calendar, latency_ns, slip_ppm).start()
    marks = [0]
    for day, events in days:
        run.day(day, events if kernel.compiled else events.view((np.record, abi.EVENT)))
        marks.append(int(run.tally[0]["trades"]))
    return run, marks
