"""From settings to the kernel's inputs: rows, params and account, for one day."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy.typing as npt

from otrade_bot.config.models import ChargeSegment, Config
from otrade_bot.core.clock import MINUTE, SECOND
from otrade_bot.core.errors import StrategyException
from otrade_bot.core.model import Instrument, InstrumentKind, Product
from otrade_bot.core.money import to_paise
from otrade_bot.core.session import Calendar, DaySession, day_session, intraday_times, segment_of
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Kernel
from otrade_bot.strategies.base import Rung, StrategyParams
from otrade_bot.strategies.loader import TradingStrategy, load_strategy, parse_params
from otrade_bot.trading.risk import RiskLimits
from otrade_bot.trading.table import Row

__all__ = [
    "account_limits", "build_rows", "day_timers", "gate_limits", "load_strategies", "row_params", "row_rules",
    "row_session", "row_size", "rung_numbers", "timeframe_ns",
]  # fmt: skip

_TIMEFRAMES = {"tick": 0, "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "60m": 60}


def timeframe_ns(name: str) -> int:
    """'15m' -> 900e9; 'tick' -> 0."""
    return _TIMEFRAMES[name] * MINUTE


def load_strategies(config: Config, folder: Path | None) -> dict[str, TradingStrategy]:
    """Every strategy that the settings name, checked, by name."""
    return {s.name: load_strategy(s.name, folder) for s in config.trading.strategies}


def build_rows(
    config: Config,
    strategies: Mapping[str, TradingStrategy],
    instrument: Callable[[str], Instrument],
    watched: Iterable[str] = (),
) -> list[Row]:
    """One row an instrument: those of the strategies in their order, then the merely watched ones."""
    rows: list[Row] = []
    for entry, given in enumerate(config.trading.strategies):
        params = parse_params(strategies[given.name], given.params)
        for symbol in given.instruments:
            known = instrument(symbol)
            strategy = given.name if known.tradable else ""
            rows.append(
                Row(
                    len(rows), known, strategy, params, timeframe_ns(given.timeframe), config.trading.product,
                    entry=entry,
                )
            )
    have = {row.instrument.symbol for row in rows}
    rows += [Row(len(rows) + i, instrument(s)) for i, s in enumerate(s for s in watched if s not in have)]
    return rows


def row_session(row: Row, day: date, calendar: Calendar) -> DaySession | None:
    """The exchange's hours for this row's instrument."""
    return day_session(day, segment_of(row.instrument.kind), row.instrument.closing_auction, calendar)


def account_limits(account: npt.NDArray[Any], config: Config) -> None:
    """The limits that span instruments, into the ACCOUNT record."""
    a, risk = account[0], config.risk
    a["max_rungs"] = config.trading.max_positions
    a["total_capital"] = to_paise(risk.total_capital)
    a["max_trades"] = risk.max_trades_per_day
    a["loss_limit"] = to_paise(risk.daily_loss_limit)
    a["loss_flatten"] = int(risk.daily_loss_flatten)
    a["cooldown"] = risk.cooldown_seconds * SECOND
    a["reject_cooldown"] = risk.reject_cooldown_seconds * SECOND
    a["spike_ppm"] = round(risk.spike_percent * 10_000)
    a["spike_confirm"] = risk.spike_confirmations
    a["trail_step_ppm"] = round(risk.trail_step_percent * 10_000)
    a["trail_interval"] = risk.trail_interval_seconds * SECOND
    a["stale"] = risk.stale_price_seconds * SECOND


def row_params(
    params: npt.NDArray[Any], row: Row, kernel: Kernel, config: Config, strategy: TradingStrategy | None,
    session: DaySession, day: date,
) -> None:  # fmt: skip
    """One row's PARAMS for a day."""
    p = params[row.index]
    instrument = row.instrument
    p["lot"], p["tick"] = instrument.lot, instrument.tick
    p["tradable"] = int(instrument.tradable)
    p["option"] = int(instrument.kind is InstrumentKind.OPTION)
    p["intraday"] = int(row.product.intraday)
    p["tf"] = row.timeframe_ns
    _times(p, row, config, session)
    for name, value in charge_rates(config, row, day).items():
        p[name] = value
    p["sid"] = kernel.sids[row.strategy] if row.strategy else 0
    row_size(p, row, config)
    if strategy is None:
        return
    row_rules(p, row.params, strategy)
    rung_numbers(p, row.params.rung_table())


def row_size(p: Any, row: Row, config: Config) -> None:
    """With how much a row enters, and whether at all."""
    given = config.trading.strategies[row.entry] if row.entry >= 0 else None
    own = given.capital_per_position if given is not None else None
    p["capital"] = to_paise(config.trading.capital_per_position if own is None else own)
    p["enabled"] = int(bool(row.strategy) and (given is None or given.enabled))


def row_rules(p: Any, settings: StrategyParams, strategy: TradingStrategy) -> None:
    """What a strategy looks at and how it enters and leaves, less the numbers of its rungs."""
    p["short"], p["exit_on_signal"], p["scan"] = settings.short, settings.exit_on_signal, settings.scan
    p["warm"] = settings.warmup()
    for name in strategy.source.params:
        p[name] = getattr(settings, name)


def rung_numbers(p: Any, table: Sequence[Rung]) -> None:
    """Stops, targets and additions of a position's rungs."""
    p["rungs"] = len(table)
    for i, rung in enumerate(table):
        p["stop_pct"][i], p["target_pct"][i] = rung.stop, rung.target
        p["trail"][i], p["add_pct"][i] = int(rung.trail), rung.add


def gate_limits(config: Config) -> RiskLimits:
    """What the gate before the broker checks of each order."""
    risk = config.risk
    return RiskLimits(
        risk.max_order_quantity, to_paise(risk.max_order_value), risk.price_band_percent,
        risk.stale_price_seconds * SECOND, risk.duplicate_window_seconds * SECOND,
    )  # fmt: skip


def _times(p: Any, row: Row, config: Config, session: DaySession) -> None:
    rule = config.market.square_off_rule(session.kind) if row.product.intraday else None
    times = intraday_times(session, rule)
    p["day_open"], p["day_close"] = session.open, session.continuous_end
    p["entry_from"], p["entry_until"], p["square_off"] = times


def charge_rates(config: Config, row: Row, day: date) -> dict[str, int]:
    """The ``ch_*`` rates of a row on a day."""
    rates, _ = config.charges.row_for(day)
    return rates.kernel_rates(charge_segment(row.instrument, row.product))


def charge_segment(instrument: Instrument, product: Product) -> ChargeSegment:
    if instrument.kind is InstrumentKind.FUTURE:
        return "futures"
    if instrument.kind is InstrumentKind.OPTION:
        return "options"
    return "intraday" if product.intraday else "delivery"


def day_timers(sessions: Iterable[DaySession]) -> list[int]:
    """The minutes of a day at which every row's timer fires: after the first open, to the last end."""
    known = list(sessions)
    start = min(s.open for s in known)
    end = max(s.continuous_end for s in known)
    return list(range(start + MINUTE, end + 1, MINUTE))


def timer_events(kernel: Kernel, times: list[int]) -> npt.NDArray[Any]:
    """The same minutes as TIMER events for a replay."""
    events = kernel.new_event(len(times))
    events["kind"], events["ts"], events["qty"] = abi.TIMER, times, 1
    return events


def user_strategies(config: Config, config_dir: Path) -> Path | None:
    """The folder of the user's own strategies; a relative one starts beside the config folder."""
    given = config.trading.strategies_dir
    return None if given is None else config_dir.resolve().parent / given


def check_strategies(config: Config, config_dir: Path) -> None:
    """Every strategy exists and takes the parameters it is given. Raises ConfigException."""
    folder = user_strategies(config, config_dir)
    for given in config.trading.strategies:
        parse_params(load_strategy(given.name, folder), given.params)


def dry_run(kernel: Kernel, rows: Iterable[Row], strategies: Mapping[str, TradingStrategy], config: Config) -> None:
    """Show every strategy a made-up market with the parameters it will have, before it sees the real one.

    Raises StrategyException where it fails (a window longer than the rings, an index beyond an array), and where its
    CONDITIONS do not say what it does.
    """
    tried = set()
    for row in rows:
        strategy = strategies.get(row.strategy)
        if strategy is None or (row.strategy, row.params) in tried:
            continue
        tried.add((row.strategy, row.params))
        try:
            if strategy.conditions is not None:
                strategy.conditions.agree(row.params)
            _show_market(kernel, row, strategy, config)
        except StrategyException:
            raise
        except Exception as error:
            what = f"fails with these parameters: {type(error).__name__}: {error}"
            raise StrategyException(what, file=str(strategy.path)) from error


def _show_market(kernel: Kernel, row: Row, strategy: TradingStrategy, config: Config) -> None:
    """More bars than the warm-up and the rings need; a walk up and down on a day that is long over."""
    state, account, params = kernel.new_rows(1), kernel.new_account(), kernel.new_params(1)
    day = date(2021, 6, 1)
    session = day_session(day, segment_of(row.instrument.kind), False, Calendar())
    assert session is not None
    row_params(params, replace(row, index=0), kernel, config, strategy, session, day)
    event, out = kernel.new_event(), kernel.new_intents(1)
    price = 100_000
    for i in range(row.params.warmup() + 2 * abi.RING):
        price += (i * 7919 % 401) - 200
        e = event[0]
        e["kind"], e["ts"], e["code"] = abi.BAR, session.open + i, abi.LIVE
        e["value"], e["high"], e["low"], e["price"], e["qty"] = price, price + 50, price - 50, price, 100
        n = kernel.run(state, account, params, event, out)
        if strategy.conditions is not None and (said := out[:n][out["kind"][:n] == abi.EVALUATED]).size:
            strategy.conditions.compare(bool(said["code"][0] & 1), strategy.conditions.row(state[0]), row.params)
