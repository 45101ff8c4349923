"""One sweep as plain arrays: the days, what holds for every parameter set, and the scratch that a worker needs.

A ``Job`` holds nothing of this process, so that it can be sent to another machine; a ``Sweeper`` is one thread's room
for it. What a set comes to is integers, and depends on nothing but the job and the set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from otrade_bot.config.models import Config
from otrade_bot.core.errors import DataException
from otrade_bot.core.session import Calendar
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.candles import Candle
from otrade_bot.kernel.compile import Kernel, StrategySource
from otrade_bot.research.backtest import Backtest
from otrade_bot.strategies.base import StrategyParams
from otrade_bot.strategies.loader import TradingStrategy
from otrade_bot.trading import setup
from otrade_bot.trading.table import Row

__all__ = ["Job", "Outcome", "Sweeper", "job_of", "job_of_backtest", "set_records"]

Array = npt.NDArray[Any]
#: Sets that go through a day together: their rows and the day's prices fit into a core's cache.
BLOCK = 16
MOST_TRADES = 1_000_000


@dataclass(frozen=True, slots=True)
class Job:
    """Arrays as ``kernel.sweep`` takes them; ``trades`` is the most that a day can hold."""

    strategies: tuple[StrategySource, ...]
    days: tuple[date, ...]
    plan: Array
    account: Array
    past: Array
    feed: Array
    feed_at: Array
    timers: Array
    timer_at: Array
    dates: Array
    venue: Array
    trades: int

    @property
    def rows(self) -> int:
        return len(self.plan) // len(self.days)

    def until(self, count: int) -> Job:
        """The first ``count`` days alone."""
        return replace(
            self, days=self.days[:count], plan=self.plan[: count * self.rows], feed=self.feed[: self.feed_at[count]],
            feed_at=self.feed_at[: count + 1].copy(), timers=self.timers[: self.timer_at[count]],
            timer_at=self.timer_at[: count + 1].copy(), dates=self.dates[:count],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of ``n`` sets: DAYSUM, n x days, and SCORE, n. ``faults``: sets that failed, by index, and why."""

    days: Array
    scores: Array
    faults: dict[int, str]


def job_of(
    config: Config, kernel: Kernel, rows: Sequence[Row], strategies: dict[str, TradingStrategy], calendar: Calendar,
    days: Sequence[tuple[date, Array]], *, latency_ns: int = 0, slip_ppm: int = 0,
    participation_ppm: int = 1_000_000, history: Mapping[int, Sequence[Candle]] | None = None,
    morning: Callable[[date], None] | None = None,
) -> Job:  # fmt: skip
    """The job over these days' events, in order. ``history``: closed bars of earlier days by row, which warm the
    indicators up; ``morning`` is called before each day and may change the rows' instruments. Raises DataException on a
    day without a session."""
    if not days:
        raise DataException("there is no day of prices to try parameters on")
    plan, account = kernel.new_params(len(days) * len(rows)), kernel.new_account()
    setup.account_limits(account, config)
    timers: list[Array] = []
    for d, (day, _) in enumerate(days):
        if morning is not None:
            morning(day)
        part = plan[d * len(rows) : (d + 1) * len(rows)]
        sessions = []
        for row in rows:
            session = setup.row_session(row, day, calendar)
            if session is None:
                raise DataException(f"{day} is not a trading day")
            sessions.append(session)
            setup.row_params(part, row, kernel, config, strategies.get(row.strategy), session, day)
        timers.append(setup.timer_events(kernel, setup.day_timers(sessions)))
    venue = kernel.new(abi.VENUE, 1)
    venue["latency"], venue["slip_ppm"], venue["participation_ppm"] = latency_ns, slip_ppm, participation_ppm
    gate = setup.gate_limits(config)
    venue["max_qty"], venue["max_value"] = gate.max_quantity, gate.max_value
    feeds = [events for _, events in days]
    return Job(
        strategies=tuple(strategies[name].source for name in kernel.sids),
        days=tuple(day for day, _ in days), plan=plan, account=account, past=_past(kernel, history or {}),
        feed=_joined(kernel, feeds), feed_at=_offsets(feeds), timers=_joined(kernel, timers), timer_at=_offsets(timers),
        dates=np.array([day.toordinal() for day, _ in days], np.int64), venue=venue,
        trades=_room(config, len(rows), feeds),
    )  # fmt: skip


def job_of_backtest(test: Backtest, strategies: dict[str, TradingStrategy]) -> Job:
    """The job over a backtest's days, rows, frictions and history, so that a set comes to what that would.
    ``strategies``: all that its kernel was made of."""
    past: dict[int, list[Candle]] = {}
    for row, bars in test.past():
        past.setdefault(row, []).extend(bars)
    friction = test.friction
    return job_of(
        test.config, test.kernel, test.rows, strategies, test.config.calendar,
        [(day, test.market.events(day)) for day in test.market.days], latency_ns=friction.latency_ns,
        slip_ppm=friction.slip_ppm, participation_ppm=friction.participation_ppm, history=past, morning=test.morning,
    )  # fmt: skip


def _past(kernel: Kernel, history: Mapping[int, Sequence[Candle]]) -> Array:
    """Closed bars as WARM events, row after row."""
    events = kernel.new_event(sum(map(len, history.values())))
    events["kind"], events["code"] = abi.BAR, abi.WARM
    names, at = ("ts", "value", "high", "low", "price", "qty"), 0
    for row, bars in history.items():
        part = events[at : at + len(bars)]
        part["row"] = row
        for name, column in zip(names, np.array(bars, np.int64).reshape(-1, len(names)).T, strict=True):
            part[name] = column
        at += len(bars)
    return events


def _joined(kernel: Kernel, parts: Sequence[Array]) -> Array:
    whole = kernel.new_event(sum(map(len, parts)))
    np.concatenate([np.asarray(part).view(abi.EVENT) for part in parts], out=np.asarray(whole).view(abi.EVENT))
    return whole


def _offsets(parts: Sequence[Array]) -> Array:
    return np.cumsum([0, *map(len, parts)], dtype=np.int64)


def _room(config: Config, rows: int, feeds: Sequence[Array]) -> int:
    """Most trades of a day: what may be entered and what was carried in, else as many as there are prices."""
    carried = abi.RUNGS * rows
    limit = config.risk.max_trades_per_day
    if limit > 0:
        return limit + carried
    return min(MOST_TRADES, 4 * abi.RUNGS * max(map(len, feeds)) + carried)


def set_records(kernel: Kernel, strategy: TradingStrategy, sets: Sequence[StrategyParams]) -> Array:
    """PARAMS records of these sets: what the strategy looks at, and its rungs."""
    records = kernel.new_params(len(sets))
    for i, given in enumerate(sets):
        setup.row_rules(records[i], given, strategy)
        setup.rung_numbers(records[i], given.rung_table())
    return records


class Sweeper:
    """Scratch arrays for one thread. Not to be shared between threads."""

    def __init__(self, job: Job, kernel: Kernel, block: int = BLOCK) -> None:
        rows = job.rows
        self.job, self.kernel = job, kernel
        self._params, self._state = kernel.new_params(block * rows), kernel.new_rows(block * rows + 1)
        self._work, self._acct = kernel.new(abi.WORK, block * rows + 1), kernel.new(abi.ACCOUNT, block)
        self._tally, self._trades = kernel.new(abi.TALLY, block + 1), kernel.new(abi.TRADE, job.trades)
        self._event, self._out = kernel.new_event(2), kernel.new_intents(rows)

    def run(self, sets: Array) -> Outcome:
        """Every set from a fresh state. One that makes the strategy fail is named in ``faults``, the others are
        not touched by it. Raises DataException where a day has more trades than can be counted."""
        outcome = self._outcome(len(sets))
        try:
            self._sweep(sets, outcome)
        except Exception as error:  # whatever a strategy's arithmetic raises: a window beyond its ring, a zero division
            if len(sets) == 1:
                return Outcome(*self._outcome(1), {0: f"{type(error).__name__}: {error}"})
            return self._one_by_one(sets)
        if outcome[1]["overflow"].any():
            raise DataException(f"a day has more than {len(self._trades):,} trades; set risk.max_trades_per_day")
        return Outcome(*outcome, {})

    def _one_by_one(self, sets: Array) -> Outcome:
        days, scores = self._outcome(len(sets))
        faults: dict[int, str] = {}
        for i in range(len(sets)):
            one = self.run(sets[i : i + 1])
            days[i], scores[i] = one.days[0], one.scores[0]
            faults.update((i, why) for why in one.faults.values())
        return Outcome(days, scores, faults)

    def _outcome(self, n: int) -> tuple[Array, Array]:
        n_days = len(self.job.days)
        return self.kernel.new(abi.DAYSUM, n * n_days).reshape(n, n_days), self.kernel.new(abi.SCORE, n)

    def _sweep(self, sets: Array, outcome: tuple[Array, Array]) -> None:
        job = self.job
        days, scores = outcome
        self.kernel.sweep_sets(
            sets, job.plan, job.account, self._params, self._state, self._acct, self._work, job.past, job.feed,
            job.feed_at, job.timers, job.timer_at, job.dates, job.venue, self._event, self._out, self._trades,
            self._tally, days.reshape(-1), scores,
        )  # fmt: skip
