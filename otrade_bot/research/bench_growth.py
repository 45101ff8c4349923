"""How the cost of a price grows with what is traded, and that of a backtest with its years."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import cache

import numpy as np

from otrade_bot.brokers.instruments import InstrumentStore
from otrade_bot.config import StrategyConfig
from otrade_bot.config.models import Config
from otrade_bot.core.clock import MINUTE, at_ist
from otrade_bot.kernel import state as abi
from otrade_bot.research import bench
from otrade_bot.research.replay import Array, Replay
from otrade_bot.trading import setup

__all__ = ["INSTRUMENTS", "YEARS", "days", "instruments", "market_of", "years"]

INSTRUMENTS = (1, 10, 100, 1000, 3000)
YEARS = (1, 2, 5, 10)
TICKS = 2_000_000
BARS = 375  #: minutes of a regular day
FIRST = date(2012, 1, 2)


def market_of(count: int) -> Replay:
    """``count`` instruments, half of them with each shipped strategy; limits as they are shipped."""
    kernel, shipped = bench.kernel_of()
    names = [f"NSE:X{i:04d}" for i in range(count)]
    half = (count + 1) // 2
    plans = (("ema_crossover", names[:half], "1m"), ("momentum_ladder", names[half:], "15m"))
    strategies = tuple(
        StrategyConfig.model_validate({"name": name, "instruments": tuple(some), "timeframe": timeframe})
        for name, some, timeframe in plans
        if some
    )
    base: Config = bench.config_of("ema_crossover", "1m")
    config = replace(base, trading=base.trading.model_copy(update={"strategies": strategies}))
    return Replay(config, kernel, setup.build_rows(config, shipped, InstrumentStore(bench.DAY).get), shipped,
                  config.calendar)  # fmt: skip


def instruments(count: int, runs: int = 5) -> bench.Row:
    """ns a price, with ``count`` instruments that take turns."""
    made, events = market_of(count), _turns(count)
    samples, trades = [], 0
    made.start().day(bench.DAY, events[:1000])  # loads what is on disk
    for _ in range(runs):
        run = made.start()
        samples.append(1e9 * bench.seconds(lambda run=run: run.day(bench.DAY, events)) / len(events))  # type: ignore[misc]
        trades = int(run.tally[0]["trades"])
    return bench.Row.of(f"growth_instruments_{count}", "ns", samples, f"a price, in turns; {trades} trades")


def _turns(count: int) -> Array:
    events: Array = bench.ticks(TICKS)
    place = np.arange(TICKS)
    rng = np.random.Generator(np.random.PCG64(13))
    walks = 100_000 + 5 * np.cumsum(rng.integers(-4, 5, (TICKS // count, count)), axis=0)
    events = events[: walks.size]
    events["row"], events["price"] = place[: walks.size] % count, np.maximum(walks, 10_000).ravel()
    events["qty"] = 10_000 * (1 + place[: walks.size] // count)
    return np.ascontiguousarray(events)


def years(count: int, runs: int = 3) -> bench.Row:
    """Seconds of a backtest over so many years of minute bars, one share, day after day."""
    made, found = market_of(1), list(days(count))
    samples = []
    for _ in range(runs):
        run = made.start()
        samples.append(bench.seconds(lambda run=run: [run.day(day, events) for day, events in found]))  # type: ignore[misc]
    bars = BARS * len(found)
    each = 1e9 * sorted(samples)[len(samples) // 2] / bars
    return bench.Row.of(f"growth_years_{count}", "s", samples, f"{bars:,} bars of a minute; {each:.3g} ns a bar")


@cache
def _calendar_days(count: int) -> tuple[date, ...]:
    calendar, day, found = bench.config_of("ema_crossover").calendar, FIRST, []
    while day < FIRST.replace(year=FIRST.year + count):
        if calendar.is_trading_day(day) and day.weekday() < 5:
            found.append(day)
        day += timedelta(days=1)
    return tuple(found)


def days(count: int) -> Iterator[tuple[date, Array]]:
    rng, price = np.random.Generator(np.random.PCG64(17)), 100_000
    for day in _calendar_days(count):
        steps = 5 * rng.integers(-9, 10, BARS)
        close = np.maximum(20_000, price + np.cumsum(steps))
        opened = np.concatenate(([price], close[:-1]))
        price = int(close[-1])
        events = np.zeros(BARS, abi.EVENT)
        events["kind"], events["cycle"], events["qty"] = abi.BAR, MINUTE, 1_000_000
        events["ts"] = at_ist(day, 9, 15) + MINUTE * np.arange(BARS)
        events["leg"] = 1_000_000 * np.arange(BARS)
        events["value"], events["price"] = opened, close
        events["high"], events["low"] = np.maximum(opened, close) + 20, np.minimum(opened, close) - 20
        yield day, events
