"""Recorded prices through the compiled kernel, day after day: what ``otrade-bot backtest`` does.

The replay is the one that gives the same trades as the paper broker; the hours, limits, sizes and charges are those of
the settings that live trading obeys. Nothing here decides anything: it feeds days in order and keeps what came of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Any

import numpy as np

from otrade_bot.brokers.feeds import BarFile, TickFile
from otrade_bot.brokers.instruments import InstrumentStore
from otrade_bot.config.models import Approval, Config, InstrumentOverride, SpecialDay, StrategyConfig
from otrade_bot.core.clock import MINUTE, at_ist
from otrade_bot.core.errors import ConfigException, DataException
from otrade_bot.core.model import Instrument, InstrumentKind, Product, Side
from otrade_bot.core.session import day_session, segment_of
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.candles import Candle
from otrade_bot.kernel.compile import Kernel
from otrade_bot.research.data import Market
from otrade_bot.research.replay import Replay
from otrade_bot.strategies.loader import TradingStrategy
from otrade_bot.trading import setup
from otrade_bot.trading.engine import LIMIT_WORDS
from otrade_bot.trading.history import closed_bars
from otrade_bot.trading.snapshot import Trade
from otrade_bot.trading.table import Row

__all__ = ["Backtest", "Day", "Friction", "Held", "Outcome", "adapted"]

TIMEFRAMES = ("tick", "1m", "3m", "5m", "15m", "30m", "60m")
#: Which bars a strategy runs on where nobody says: as the demo has it.
ON_TICKS = {"momentum_ladder": "1m", "ema_crossover": "tick"}
MOST_TRADES = 2_000_000
Progress = Callable[[int, int], None]  #: days done, days in all


@dataclass(frozen=True, slots=True)
class Friction:
    """What lies between an order and its fill. ``participation_ppm``: what of the traded volume our orders may take."""

    latency_ns: int = 0
    slip_ppm: int = 0
    participation_ppm: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Day:
    """What a day added, in paise: ``net`` is booked and marked, after charges; ``marked`` what of it is only on paper,
    since open positions are valued at the last price of each day."""

    day: date
    start: int  #: ns UTC, the earliest open
    end: int  #: ns UTC, the latest end of continuous trading
    inputs: int  #: ticks and bars
    trades: int
    realised: int
    charges: int
    marked: int

    @property
    def net(self) -> int:
        return self.realised + self.marked - self.charges


@dataclass(frozen=True, slots=True)
class Held:
    """A rung that is open at the end, at the last price of its instrument. ``net``: what it would add, after the
    charges of its entry (those of an exit are not booked)."""

    symbol: str
    strategy: str
    side: Side
    rung: int
    quantity: int
    value: int
    ltp: int
    stop: int
    entry_ns: int
    charges: int
    realised: int  #: of the part that has left already

    @property
    def unrealised(self) -> int:
        return int(self.side) * (self.quantity * self.ltp - self.value)

    @property
    def net(self) -> int:
        return self.unrealised + self.realised - self.charges


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """All that a backtest found."""

    config: Config
    market: Market
    rows: list[Row]
    friction: Friction
    trades: list[Trade]
    days: list[Day]
    held: list[Held]
    counts: Mapping[str, int]  #: ticks, signals, orders, fills, overflow
    limited: Mapping[str, int]  #: entries that a limit or the gate forbade, by its name
    dropped: Mapping[str, int]  #: lines and prices by reason
    warmed: int  #: closed bars of earlier days

    @property
    def capital(self) -> int:
        """Total capital, paise."""
        return self.config.risk.total_capital * 100


def adapted(
    config: Config, market: Market, *, strategy: str | None = None, timeframe: str | None = None,
    params: Mapping[str, Any] | None = None, product: Product | None = None, capital: int | None = None,
    per_position: int | None = None, as_future: bool = False,
) -> Config:  # fmt: skip
    """The settings with one strategy on every symbol of the files, on paper. What is not given is as the settings have
    it for that strategy; ``params`` go on top. Raises ConfigException."""
    name = strategy or "ema_crossover"
    own = next((one for one in config.trading.strategies if one.name == name), None)
    chosen = StrategyConfig.model_validate({
        "name": name, "instruments": market.symbols, "timeframe": _timeframe(market, name, own, timeframe),
        "params": {**(own.params if own else {}), **(params or {})},
        "capital_per_position": None if per_position or own is None else own.capital_per_position,
    })  # fmt: skip
    trading: dict[str, Any] = {"mode": "paper", "strategies": (chosen,), "strategies_dir": None, "approval": Approval()}
    if per_position is not None:
        trading["capital_per_position"] = per_position
    if product is not None:
        trading["product"] = product
    risk = config.risk if capital is None else config.risk.model_copy(update={"total_capital": capital})
    known = config.market.special_days
    special = {day: SpecialDay(name="recorded session", full=True)
               for day in (*market.before, *market.days) if not config.calendar.is_trading_day(day)}  # fmt: skip
    update: dict[str, Any] = {"special_days": {**known, **special}}
    if as_future:
        update["instruments"] = {**config.market.instruments, **_futures(config, market)}
    return replace(
        config, trading=config.trading.model_copy(update=trading), risk=risk,
        market=config.market.model_copy(update=update),
    )  # fmt: skip


def _timeframe(market: Market, name: str, own: StrategyConfig | None, asked: str | None) -> str:
    """The bars that the strategy sees: never shorter than those of the files. Raises ConfigException."""
    least = market.length // MINUTE
    possible = [one for one in TIMEFRAMES if not least or (_minutes(one) and _minutes(one) >= least)]
    fits = [one for one in possible if not least or _minutes(one) % least == 0]
    if asked is None:
        asked = (own.timeframe if own else "1m") if least else ON_TICKS.get(name, "1m")
        return asked if asked in fits else fits[0]
    if asked not in fits:
        raise ConfigException(
            f"the files hold bars of {least} min", key="--timeframe", value=asked, allowed=", ".join(fits)
        )
    return asked


def _minutes(timeframe: str) -> int:
    return setup.timeframe_ns(timeframe) // MINUTE


def _futures(config: Config, market: Market) -> dict[str, InstrumentOverride]:
    """Indices as if they were their futures: a lot of 1, the charges and hours of derivatives."""
    store = InstrumentStore(market.days[0])
    known = config.market.instruments
    return {
        symbol: (known.get(symbol) or InstrumentOverride()).model_copy(update={"kind": InstrumentKind.FUTURE})
        for symbol in market.symbols if store.build(symbol).kind is InstrumentKind.INDEX
    }  # fmt: skip


class Backtest:
    """Ready to run: everything that can be wrong has been checked. Raises ConfigException, StrategyException."""

    def __init__(
        self, config: Config, market: Market, strategies: Mapping[str, TradingStrategy], kernel: Kernel,
        friction: Friction | None = None, history: Sequence[TickFile | BarFile] = (),
    ) -> None:  # fmt: skip
        self.config, self.market, self.kernel, self.friction = config, market, kernel, friction or Friction()
        self.strategies = dict(strategies)
        self.history = history
        self._store = InstrumentStore(market.days[0], config.market.instrument_overrides())
        self._seen: dict[str, int] = {}  #: each symbol's newest first price of a day
        self.rows = setup.build_rows(config, self.strategies, self._instruments(market.days[0]).__getitem__)
        setup.dry_run(kernel, self.rows, self.strategies, config)
        self._replay = Replay(
            config, kernel, self.rows, self.strategies, config.calendar, self.friction.latency_ns,
            self.friction.slip_ppm, self.friction.participation_ppm,
        )  # fmt: skip

    def run(self, progress: Progress | None = None) -> Outcome:
        """All days in order. Raises DataException where a strategy's prices break the kernel's bounds."""
        run = self._replay.start(MOST_TRADES)
        warmed = self._warm(run)
        days: list[Day] = []
        for at, day in enumerate(self.market.days):
            days.append(self._day(run, day))
            if progress is not None:
                progress(at + 1, len(self.market.days))
        booked = sorted(run.booked(), key=lambda trade: (trade.exit_ns, trade.trade_id))
        tally = run.tally[0]
        counts = {name: int(tally[name]) for name in ("ticks", "signals", "orders", "fills", "overflow")}
        limited = {LIMIT_WORDS[code][0]: int(n) for code, n in enumerate(tally["limited"]) if n}
        gate = {name: int(n) for name, n in zip(("", "quantity", "value"), tally["refused"], strict=True) if n}
        return Outcome(
            self.config, self.market, self.rows, self.friction, booked, days, self._held(run), counts, limited | gate,
            self._dropped(run), warmed,
        )  # fmt: skip

    def _day(self, run: Any, day: date) -> Day:
        self.morning(day)
        before, trades = int(run.account[0]["unrealised"]), int(run.tally[0]["trades"])
        events = self.market.events(day)
        try:
            run.day(day, events)
        except IndexError as error:
            raise DataException(f"{day}: a strategy left the bounds of its arrays: {error}") from error
        sessions = [setup.row_session(row, day, self.config.calendar) for row in self.rows]
        known_hours = [session for session in sessions if session is not None]
        end = max(session.continuous_end for session in known_hours)
        run.left_over(end)
        a = run.account[0]
        return Day(
            day, min(session.open for session in known_hours), end, len(events),
            int(run.tally[0]["trades"]) - trades, int(a["realised"]), int(a["charges"]), int(a["unrealised"]) - before,
        )  # fmt: skip

    def _instruments(self, day: date) -> dict[str, Instrument]:
        """As they are on a day: tick sizes follow the price."""
        self._seen.update(self.market.first(day))
        return {
            symbol: self._store.build(symbol, day, self._seen.get(symbol, 0)) for symbol in self.market.symbols
        }

    def morning(self, day: date) -> None:
        """The rows' instruments as they are on a day; days in order."""
        known = self._instruments(day)
        for row in self.rows:
            row.instrument = known[row.instrument.symbol]

    def past(self) -> Iterator[tuple[int, list[Candle]]]:
        """Closed bars of the days before, by row: of those given as history, and of the files themselves."""
        first, before = self.market.days[0], self.market.before
        by_symbol = {row.instrument.symbol: row for row in self.rows if row.strategy}
        earlier = [one.file(before) for one in self.market.prices if any(_length(one.on(day)) for day in before)]
        for file in (*self.history, *earlier):
            row = by_symbol.get(file.symbol)
            if row is not None:
                yield row.index, closed_bars(file, row.timeframe_ns, partial(self._opens, row), first)

    def _warm(self, run: Any) -> int:
        run.prepare(self.market.days[0])
        count = 0
        for row, bars in self.past():
            run.warm(row, bars)
            count += len(bars)
        return count

    def _opens(self, row: Row, day: date) -> int:
        kind = row.instrument.kind
        session = day_session(day, segment_of(kind), row.instrument.closing_auction, self.config.calendar)
        return session.open if session else at_ist(day, 9, 15)

    def _dropped(self, run: Any) -> dict[str, int]:
        found = Counter(self.market.dropped)
        for name, count in zip(abi.TICK_REASONS[1:], run.state["drops"].sum(axis=0)[1:].tolist(), strict=True):
            found[name] += count
        closed = sum(self.market.size(day) for day in self.market.closed)
        found["no_session"] += closed
        return {reason: count for reason, count in sorted(found.items()) if count}

    def _held(self, run: Any) -> list[Held]:
        found = []
        for row in self.rows:
            s = run.state[row.index]
            for rung in np.flatnonzero(s["side"]).tolist():
                filled, left = int(s["filled"][rung]), int(s["filled"][rung] - s["exited"][rung])
                if left <= 0:
                    continue
                entered = int(s["entry_value"][rung])
                value = entered - entered * int(s["exited"][rung]) // filled
                found.append(Held(
                    row.instrument.symbol, row.strategy, Side(int(s["side"][rung])), rung + 1, left, value,
                    int(s["price"]), int(s["sent_stop"][rung]), int(s["entry_ts"][rung]), int(s["charged"][rung]),
                    int(s["realised"][rung]),
                ))  # fmt: skip
        return found


def _length(spot: slice) -> int:
    return int(spot.stop - spot.start)
