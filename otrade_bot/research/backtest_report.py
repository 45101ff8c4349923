"""A backtest's outcome as one JSON object. Every number of the text and of the page comes from here.

Money is added as integer paise and converted once. Groups of trades add up to the total, days to the equity at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from otrade_bot.core.clock import MINUTE, iso, ist_date, to_ist
from otrade_bot.core.model import InstrumentKind
from otrade_bot.core.money import rupees
from otrade_bot.research import stats
from otrade_bot.research.backtest import Held, Outcome
from otrade_bot.research.costs import PARTS, charge_parts
from otrade_bot.trading import setup
from otrade_bot.trading.engine import average
from otrade_bot.trading.snapshot import Trade

__all__ = ["equity_by_day", "equity_by_trade", "report"]

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def report(found: Outcome) -> dict[str, Any]:
    """INTERFACE's keys (``day`` is the first one) and more; percentages as numbers, ratios null where they have no
    answer."""
    trades, days = found.trades, found.days
    gross, charges = sum(t.gross for t in trades), sum(t.charges for t in trades)
    return {
        "day": days[0].day.isoformat(),
        "last_day": days[-1].day.isoformat(),
        "sessions": len(days),
        **_settings(found),
        "trades": [_cells(trade) for trade in trades],
        "gross": rupees(gross), "charges": rupees(charges), "net": rupees(gross - charges),
        "signals": found.counts["signals"], "orders": found.counts["orders"], "fills": found.counts["fills"],
        "refusals": _refusals(found),
        "ticks": found.counts["ticks"],
        "bars": sum(day.inputs for day in days) if found.market.bars else 0,
        "lines": found.market.lines,
        "dropped": dict(found.dropped),
        "closed_days": {day.isoformat(): why for day, why in found.market.closed.items()},
        "warmed_bars": found.warmed,
        "open_positions": [_position(one) for one in found.held],
        **_performance(found),
        "charges_by_part": _charges(found),
        **{f"by_{name}": rows for name, rows in _groups(trades).items()},
        "by_day": _by_day(found),
        "notes": notes(found),
    }  # fmt: skip


def _settings(found: Outcome) -> dict[str, Any]:
    config, market = found.config, found.market
    (chosen,) = config.trading.strategies
    row = next((row for row in found.rows if row.strategy), found.rows[0])
    per = chosen.capital_per_position or config.trading.capital_per_position
    return {
        "strategy": chosen.name, "timeframe": chosen.timeframe, "params": row.params.model_dump(),
        "prices": f"{market.length // MINUTE}m bars" if market.bars else "ticks",
        "symbols": list(market.symbols), "product": str(config.trading.product),
        "capital": config.risk.total_capital, "capital_per_position": per,
        "latency_ms": found.friction.latency_ns / 1e6, "slippage_bps": found.friction.slip_ppm / 100,
        "participation": found.friction.participation_ppm / 1e6,
    }  # fmt: skip


def _cells(trade: Trade) -> dict[str, Any]:
    """As the day's report has them."""
    return {
        "symbol": trade.symbol, "side": trade.side.name, "rung": trade.rung, "quantity": trade.quantity,
        "entry_time": iso(trade.entry_ns), "entry_price": average(trade.entry_value, trade.quantity),
        "exit_time": iso(trade.exit_ns), "exit_price": average(trade.exit_value, trade.quantity),
        "exit_reason": str(trade.reason), "gross": rupees(trade.gross), "charges": rupees(trade.charges),
        "net": rupees(trade.net), "strategy": trade.strategy, "trade_id": trade.trade_id,
    }  # fmt: skip


def _position(one: Held) -> dict[str, Any]:
    """The first six as the day's report has them; then what it is worth at the last price."""
    return {
        "symbol": one.symbol, "side": one.side.name, "rung": one.rung, "quantity": one.quantity,
        "average": round(one.value / one.quantity / 100, 4), "strategy": one.strategy, "ltp": rupees(one.ltp),
        "unrealised": rupees(one.unrealised), "charges": rupees(one.charges), "stop": rupees(one.stop),
        "entry_time": iso(one.entry_ns),
    }  # fmt: skip


def _refusals(found: Outcome) -> dict[str, int]:
    """Entries that did not come to be, by the limit that forbade them."""
    return dict(sorted(found.limited.items()))


def equity_by_trade(found: Outcome) -> list[tuple[int, int]]:
    """Equity after each closed trade, paise, from the total capital on."""
    total = found.capital
    points = [(found.days[0].start, total)]
    for trade in found.trades:
        total += trade.net
        points.append((trade.exit_ns, total))
    return points


def equity_by_day(found: Outcome) -> list[tuple[int, int]]:
    """Equity at the end of each day, open positions at their last prices, from the total capital on."""
    total = found.capital
    points = [(found.days[0].start, total)]
    for day in found.days:
        total += day.net
        points.append((day.end, total))
    return points


def _performance(found: Outcome) -> dict[str, Any]:
    """All after charges. The drawdown is that of the curve by trades for intraday products, which hold nothing over
    night, else of the curve by days, which has open positions in it."""
    trades, days, capital = found.trades, found.days, found.capital
    nets = [trade.net for trade in trades]
    end = capital + sum(day.net for day in days)
    returns = stats.daily_returns((day.net for day in days), capital)
    curve = equity_by_trade(found) if found.config.trading.product.intraday else equity_by_day(found)
    spans = [(t.entry_ns, t.exit_ns) for t in trades] + [(h.entry_ns, days[-1].end) for h in found.held]
    windows = [(day.start, day.end) for day in days]
    best, worst = max(days, key=lambda day: day.net), min(days, key=lambda day: day.net)
    wins, losses = [net for net in nets if net > 0], [net for net in nets if net <= 0]
    return {
        "final_equity": rupees(end),
        "return_percent": _round((end - capital) / capital * 100, 4),
        "cagr": _round(stats.cagr(capital, end, len(days)), 4),
        "sharpe": _round(stats.sharpe(returns), 4),
        "sortino": _round(stats.sortino(returns), 4),
        "max_drawdown": _drawdown(stats.drawdown(curve), days[-1].end),
        "won": len(wins), "lost": len(losses),
        "win_rate": _round(stats.win_rate(nets), 4),
        "profit_factor": _round(stats.profit_factor(nets), 4),
        "expectancy": _money(stats.expectancy(nets)),
        "average_win": _money(stats.expectancy(wins)), "average_loss": _money(stats.expectancy(losses)),
        "best_trade": rupees(max(nets)) if nets else None, "worst_trade": rupees(min(nets)) if nets else None,
        "longest_winning": stats.longest_run(nets, won=True), "longest_losing": stats.longest_run(nets, won=False),
        "exposure": _round(100 * stats.covered(spans, windows) / max(1, sum(e - s for s, e in windows)), 4),
        "turnover": rupees(stats.turnover(trades)),
        "turnover_of_capital": _round(stats.turnover(trades) / capital, 4),
        "average_minutes_held": _round(sum(t.exit_ns - t.entry_ns for t in trades) / max(1, len(trades)) / MINUTE, 2),
        "best_day": {"day": best.day.isoformat(), "net": rupees(best.net)},
        "worst_day": {"day": worst.day.isoformat(), "net": rupees(worst.net)},
        "winning_days": sum(day.net > 0 for day in days), "losing_days": sum(day.net < 0 for day in days),
    }  # fmt: skip


def _drawdown(fall: stats.Drawdown, end: int) -> dict[str, Any]:
    """``days``: calendar days from the peak until the curve was back there, or to the end."""
    until = fall.end or end
    return {
        "amount": rupees(fall.amount), "percent": _round(fall.percent, 4),
        "from": None if fall.peak is None else iso(fall.peak),
        "lowest": None if fall.bottom is None else iso(fall.bottom),
        "recovered": None if fall.end is None else iso(fall.end),
        "days": 0 if fall.peak is None else (ist_date(until) - ist_date(fall.peak)).days,
        "minutes": 0 if fall.peak is None else (until - fall.peak) // MINUTE,
    }  # fmt: skip


def _charges(found: Outcome) -> dict[str, float]:
    """Of the closed trades, by what they are: together ``charges``."""
    total: Counter[str] = Counter()
    rows = {row.instrument.symbol: row for row in found.rows}
    known: dict[tuple[str, Any], Mapping[str, int]] = {}
    for trade in found.trades:
        key = trade.symbol, ist_date(trade.exit_ns)
        if key not in known:
            known[key] = setup.charge_rates(found.config, rows[trade.symbol], key[1])
        total.update(charge_parts(known[key], int(trade.side), trade.entry_value))
        total.update(charge_parts(known[key], -int(trade.side), trade.exit_value))
    return {name: rupees(total[name]) for name in PARTS}


def _groups(trades: Sequence[Trade]) -> dict[str, list[dict[str, Any]]]:
    """By what traders ask about; hours, weekdays and months are those of the entry, in India."""
    split = {
        "symbol": stats.grouped(trades, lambda t: t.symbol),
        "exit_reason": stats.grouped(trades, lambda t: str(t.reason)),
        "hour": stats.grouped(trades, lambda t: to_ist(t.entry_ns).hour, lambda hour: f"{hour:02d}:00"),
        "weekday": stats.grouped(trades, lambda t: to_ist(t.entry_ns).weekday(), _WEEKDAYS.__getitem__),
        "month": stats.grouped(trades, lambda t: f"{to_ist(t.entry_ns):%Y-%m}"),
        "side": stats.grouped(trades, lambda t: t.side.name),
        "rung": stats.grouped(trades, lambda t: f"P{t.rung}"),
    }
    return {name: [_group(one) for one in groups] for name, groups in split.items()}


def _group(one: stats.Group) -> dict[str, Any]:
    money = {key: rupees(value) for key, value in asdict(one).items() if key in ("gross", "charges", "net")}
    return {
        "name": one.name, "trades": one.trades, "won": one.won, "win_rate": _round(one.win_rate, 4), **money,
        "profit_factor": _round(one.factor, 4),
    }  # fmt: skip


def _by_day(found: Outcome) -> list[dict[str, Any]]:
    total, rows = found.capital, []
    for day in found.days:
        total += day.net
        rows.append({
            "day": day.day.isoformat(), "trades": day.trades, "gross": rupees(day.realised + day.marked),
            "charges": rupees(day.charges), "net": rupees(day.net), "equity": rupees(total),
        })  # fmt: skip
    return rows


def notes(found: Outcome) -> list[str]:
    """What a reader must know to believe the numbers."""
    return [*_about_prices(found), *_about_rules(found), *_about_trades(found)]


def _about_prices(found: Outcome) -> Iterable[str]:
    market = found.market
    if market.bars:
        yield (
            "Bars are walked as four prices, the worst for the open position first: open, low, high, close for a long "
            "one (a stop goes off before a target of the same bar), open, high, low, close for a short one. A stop "
            "fills at the one that reaches it, a target within a bar at the target. What the price did between them, "
            "and in which order, a bar does not tell. Without latency an order meets the price "
            "that caused it, at a bar's close its close; with latency an entry meets the price that stands when it "
            "arrives."
        )
        yield "Symbols take turns within a minute, in the order of the files; limits that span them see that order."
    if not any(one.volume.any() for one in market.prices):
        yield "The files have no volume: every order fills whole."
    elif found.friction.participation_ppm < 1_000_000:
        yield f"Orders take at most {found.friction.participation_ppm / 10_000:g} % of the traded volume."
    if market.closed:
        shown = ", ".join(f"{day} ({why})" for day, why in list(market.closed.items())[:3])
        more = ", ..." if len(market.closed) > 3 else ""
        count = len(market.closed)
        are = "1 day with prices is no trading day and was" if count == 1 else (
            f"{count} days with prices are no trading days and were"
        )
        yield (
            f"{are} left out: {shown}{more}; "
            "special_days of market.json, or --all-days, opens them."
        )
    yield from market.notes


def _about_rules(found: Outcome) -> Iterable[str]:
    config = found.config
    early = [day.day for day in found.days if config.charges.row_for(day.day)[1]]
    if early:
        first = config.charges.profiles[config.charges.broker][0].from_day
        told = "all days are" if len(early) == len(found.days) else f"{len(early)} of the days are"
        yield f"Charges are those of {first}: {told} before it, and their own rates are not known."
    indices = [row.instrument.symbol for row in found.rows if not row.instrument.tradable]
    if indices:
        yield f"{', '.join(indices)}: an index, only watched; --as-future trades it as if it were its future."
    futures = [r.instrument.symbol for r in found.rows if r.instrument.kind is InstrumentKind.FUTURE]
    if futures:
        yield f"{', '.join(futures)}: traded as a future; expiry and rollover are not modelled."
    yield "No dividend, split or bonus is known: adjust prices of days before one, or its gap counts as a loss or gain."


def _about_trades(found: Outcome) -> Iterable[str]:
    if found.counts["overflow"]:
        yield f"{found.counts['overflow']} trades after the first {len(found.trades)} were not kept: choose fewer days."
    if not found.trades and found.limited:
        name, count = max(found.limited.items(), key=lambda item: item[1])
        yield f"No trade: most entries ({count}) met the limit {name!r}; see refusals."
    if len(found.days) < stats.LEAST_DAYS:
        yield f"Days are few ({len(found.days)}): CAGR wants {stats.LEAST_DAYS}, Sharpe and Sortino at least 2."
    if found.held:
        yield f"{len(found.held)} positions are open at the end, valued at their last prices; they are no trades yet."


def _round(value: float | None, places: int) -> float | None:
    return None if value is None else round(value, places)


def _money(paise: float | None) -> float | None:
    return None if paise is None else round(paise / 100, 4)
