"""A recorded day through the compiled replay: the same kernel, limits, fills and charges, no service.

``tests`` hold it against the paper broker; ``bench`` measures it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from otrade_bot.brokers.feeds import BarFile, TickFile, merge
from otrade_bot.config.models import Config
from otrade_bot.core.clock import MINUTE, ist_date
from otrade_bot.core.model import ExitReason, Side
from otrade_bot.core.session import Calendar, DaySession
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.candles import Candle
from otrade_bot.kernel.compile import Kernel
from otrade_bot.strategies.loader import TradingStrategy
from otrade_bot.trading import setup
from otrade_bot.trading.engine import REASONS
from otrade_bot.trading.snapshot import Trade
from otrade_bot.trading.table import Row

__all__ = ["Replay", "bar_events", "tick_events"]

Array = npt.NDArray[Any]


def tick_events(files: Sequence[TickFile], rows: Sequence[int]) -> Array:
    """The files' ticks as TICK events, merged in time; ``rows`` gives each file's row."""
    ts, index, price, volume = merge(files)
    events = np.zeros(len(ts), abi.EVENT)
    events["kind"], events["ts"], events["price"], events["qty"] = abi.TICK, ts, price, volume
    events["row"] = np.asarray(rows, np.int64)[index]
    return events


def bar_events(file: BarFile, row: int) -> Array:
    """A file's bars as BAR events of ``replay_bars``: ``ts`` the start, ``cycle`` the length."""
    events = np.zeros(len(file.ts_end), abi.EVENT)
    events["kind"], events["row"], events["cycle"] = abi.BAR, row, file.length
    events["ts"] = file.ts_end - file.length
    events["value"], events["high"], events["low"], events["price"] = file.open, file.high, file.low, file.close
    events["qty"] = file.volume
    return events


@dataclass(slots=True)
class Replay:
    """Arrays of one run; call ``run`` once a day, in order of the days."""

    config: Config
    kernel: Kernel
    rows: list[Row]
    strategies: dict[str, TradingStrategy]
    calendar: Calendar
    latency_ns: int = 0
    slip_ppm: int = 0
    participation_ppm: int = 1_000_000

    def start(self, max_trades: int = 100_000) -> _Run:
        """Fresh state for a run."""
        return _Run(self, max_trades)


class _Run:
    def __init__(self, replay: Replay, max_trades: int) -> None:
        kernel, n = replay.kernel, len(replay.rows)
        self.replay = replay
        self.state, self.account, self.params = kernel.new_rows(n), kernel.new_account(), kernel.new_params(n)
        self.work, self.venue = kernel.new(abi.WORK, n), kernel.new(abi.VENUE, 1)
        self.event, self.out = kernel.new_event(2), kernel.new_intents(n)
        self.trades, self.tally = kernel.new(abi.TRADE, max_trades), kernel.new(abi.TALLY, 1)
        self.venue["latency"], self.venue["slip_ppm"] = replay.latency_ns, replay.slip_ppm
        self.venue["participation_ppm"] = replay.participation_ppm
        gate = setup.gate_limits(replay.config)
        self.venue["max_qty"], self.venue["max_value"] = gate.max_quantity, gate.max_value
        setup.account_limits(self.account, replay.config)

    def day(self, day: date, events: Array) -> None:
        """One day's events through every row. Raises ValueError on a day without a session."""
        r = self.replay
        sessions = self.prepare(day)
        for row in r.rows:
            self._event(abi.PHASE, row.index, code=abi.PHASE_DAY, value=day.toordinal())
        timers = setup.timer_events(r.kernel, setup.day_timers(sessions))
        r.kernel.replay_day(
            self.state, self.account, self.params, self.work, events, timers, self.venue, self.event, self.out,
            self.trades, self.tally,
        )  # fmt: skip

    def prepare(self, day: date) -> list[DaySession]:
        """Every row's numbers for a day; its hours. Raises ValueError on a day without a session."""
        r = self.replay
        sessions = []
        for row in r.rows:
            session = setup.row_session(row, day, r.calendar)
            if session is None:
                raise ValueError(f"{day} is not a trading day")
            sessions.append(session)
            setup.row_params(self.params, row, r.kernel, r.config, r.strategies.get(row.strategy), session, day)
        return sessions

    def warm(self, row: int, bars: Sequence[Candle]) -> None:
        """Closed bars of earlier days, for the indicators alone; after ``prepare``."""
        events = self.replay.kernel.new_event(len(bars))
        if len(bars):
            columns = np.array(bars, np.int64).T
            for name, column in zip(("ts", "value", "high", "low", "price", "qty"), columns, strict=True):
                events[name] = column
        events["kind"], events["row"], events["code"] = abi.BAR, row, abi.WARM
        self.replay.kernel.run(self.state, self.account, self.params, events, self.out)

    def left_over(self, ts: int) -> int:
        """What intraday rows still hold at the day's end, the broker squares off at the last price; returns how many
        rungs. Their trades have the reason of the exit that was being tried; 0, by the broker, where there was none."""
        count = 0
        for row in self.replay.rows:
            if not row.product.intraday:
                continue
            s, w = self.state[row.index], self.work[row.index]
            for rung in np.flatnonzero(s["side"]).tolist():
                count += self._square_off(row.index, s, w, rung, ts)
        return count

    def _square_off(self, row: int, s: Any, w: Any, rung: int, ts: int) -> int:
        cycle, side = int(s["cycle"][rung]), int(s["side"][rung])
        filled, entered, entry_ts = (int(s[name][rung]) for name in ("filled", "entry_value", "entry_ts"))
        left = filled - int(s["exited"][rung])
        value = int(s["exit_value"][rung]) + left * int(s["price"])
        reason = int(s["exit_pending"][rung])
        w["entry_left"][rung] = w["exit_kind"][rung] = w["stopped"][rung] = 0
        self._event(abi.DONE, row, ts=ts, rung=rung, cycle=cycle, leg=abi.ENTRY)
        if not left:
            return 0
        self._event(abi.FILL, row, ts=ts, rung=rung, cycle=cycle, leg=abi.EXIT_LEG, qty=filled, value=value)
        self.tally[0]["fills"] += 1
        charged = self.replay.kernel.charge_one(self.params, row, side, entered)
        charged += self.replay.kernel.charge_one(self.params, row, -side, value)
        at = int(self.tally[0]["trades"])
        if at >= len(self.trades):
            self.tally[0]["overflow"] += 1
            return 1
        self.trades[at] = (
            row, rung, cycle, side, filled, entry_ts, entered, ts, value, reason, side * (value - entered), charged,
        )  # fmt: skip
        self.tally[0]["trades"] = at + 1
        return 1

    def _event(self, kind: int, row: int, **fields: int) -> None:
        """One event to one row."""
        e = self.event[0]
        for name in abi.EVENT.names or ():
            e[name] = fields.get(name, 0)
        e["kind"], e["row"] = kind, row
        self.replay.kernel.run(self.state, self.account, self.params, self.event[:1], self.out)

    def booked(self) -> list[Trade]:
        """The trades so far."""
        return [self._trade(t) for t in self.trades[: int(self.tally[0]["trades"])]]

    def _trade(self, t: Any) -> Trade:
        row = self.replay.rows[int(t["row"])]
        day = ist_date(int(t["entry_ts"]))
        rung, cycle, quantity = int(t["rung"]) + 1, int(t["cycle"]), int(t["qty"])
        reason: ExitReason = REASONS.get(int(t["reason"]), ExitReason.OUTSIDE)
        return Trade(
            f"{day}-{row.instrument.symbol}-{row.strategy}-{rung}-{cycle}", row.instrument.symbol, row.strategy,
            Side(int(t["side"])), rung, quantity, int(t["entry_ts"]), int(t["entry_value"]), int(t["exit_ts"]),
            int(t["exit_value"]), reason, int(t["gross"]), int(t["charges"]),
        )  # fmt: skip


def days_of(file: BarFile) -> list[tuple[date, Array]]:
    """The indices of a bar file's bars, by day."""
    midnight = (file.ts_end - 1 + 5 * 60 * MINUTE + 30 * MINUTE) // (1440 * MINUTE)
    return [
        (ist_date(int(file.ts_end[np.argmax(midnight == d)]) - 1), np.flatnonzero(midnight == d))
        for d in np.unique(midnight)
    ]
