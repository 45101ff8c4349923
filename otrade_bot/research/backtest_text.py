"""A backtest's report as plain text, and its trades as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from typing import Any

from otrade_bot.core.money import group_indian, rupees_text, to_paise
from otrade_bot.research.report import trade_table

__all__ = ["money", "percent", "rows_of", "summary", "text", "trades_csv"]

Report = Mapping[str, Any]
#: More than these are for ``--trades`` and ``--json``.
SHOWN = 40
_SPLITS = (("by_symbol", "symbol"), ("by_exit_reason", "exit"), ("by_hour", "hour of entry"),
           ("by_weekday", "weekday"), ("by_month", "month"), ("by_side", "side"), ("by_rung", "rung"))  # fmt: skip


def text(report: Report) -> str:
    """Heading, trades where they are few, result, groups, notes."""
    parts = [*heading(report), "", *_trades(report["trades"])]
    for title, value in summary(report):
        parts.append(f"  {title:<22}{value}")
    for key, name in _SPLITS:
        if len(report[key]) > 1 or key in ("by_symbol", "by_exit_reason"):
            parts += ["", *table(name, report[key])]
    charges = ", ".join(f"{name} {money(value)}" for name, value in report["charges_by_part"].items() if value)
    parts += ["", f"Charges: {charges or 'none'}"]
    for title, key in (("Refused", "refusals"), ("Dropped", "dropped")):
        if report[key]:
            parts.append(f"{title}: " + ", ".join(f"{name} {count}" for name, count in report[key].items()))
    parts += _open(report["open_positions"])
    parts += ["", *(f"- {note}" for note in report["notes"])]
    return "\n".join(parts) + "\n"


def heading(report: Report) -> list[str]:
    """What was tried on what."""
    span = report["day"] if report["sessions"] == 1 else f"{report['day']} to {report['last_day']}"
    sessions = f"{report['sessions']} session{'s' if report['sessions'] != 1 else ''}"
    names = [symbol.removeprefix("NSE:") for symbol in report["symbols"]]
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    costs = [f"latency {report['latency_ms']:g} ms", f"slippage {report['slippage_bps']:g} bps"]
    if report["participation"] < 1:
        costs.append(f"participation {100 * report['participation']:g} %")
    params = ", ".join(f"{name} {value}" for name, value in report["params"].items())
    return [
        f"Backtest {report['strategy']} {report['timeframe']} · {shown} · {span} ({sessions})",
        f"{report['prices']} · {report['product']} · capital {whole(report['capital'])}, "
        f"{whole(report['capital_per_position'])} a position · {', '.join(costs)}",
        params,
    ]


def summary(report: Report) -> list[tuple[str, str]]:
    """The numbers that come first, each with its name."""
    fall = report["max_drawdown"]
    back = "" if not fall["amount"] else f", {_length(fall)}{'' if fall['recovered'] else ', not yet recovered'}"
    return [
        ("net", f"{money(report['net'], sign=True)} = gross {money(report['gross'], sign=True)} - charges "
                f"{money(report['charges'])}"),
        ("equity at the end", f"{money(report['final_equity'])} ({percent(report['return_percent'], sign=True)})"),
        ("trades", f"{len(report['trades'])}, won {report['won']}, lost {report['lost']}; signals {report['signals']}, "
                   f"orders {report['orders']}"),
        ("win rate", percent(report["win_rate"])),
        ("profit factor", "no loss" if report["won"] and report["profit_factor"] is None else
            ratio(report["profit_factor"])),
        ("expectancy", f"{money(report['expectancy'], sign=True)} a trade; wins {money(report['average_win'])}, "
                       f"losses {money(report['average_loss'])}"),
        ("CAGR", percent(report["cagr"], sign=True)),
        ("Sharpe, Sortino", f"{ratio(report['sharpe'])}, {ratio(report['sortino'])} (daily, a year of 252)"),
        ("max drawdown", f"{money(fall['amount'])} ({percent(fall['percent'])}){back}"),
        ("best, worst day", f"{money(report['best_day']['net'], sign=True)} ({report['best_day']['day']}), "
                            f"{money(report['worst_day']['net'], sign=True)} ({report['worst_day']['day']})"),
        ("exposure", f"{percent(report['exposure'])} of the session time"),
        ("turnover", f"{money(report['turnover'])}, {ratio(report['turnover_of_capital'])} × capital"),
    ]  # fmt: skip


def _length(fall: Mapping[str, Any]) -> str:
    days = fall["days"]
    return f"{days} day{'s' if days != 1 else ''}" if days else f"{fall['minutes']} min"


def table(name: str, groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """One split of the trades."""
    head = (name, "trades", "win rate", "gross", "charges", "net", "factor")
    rows = [head, *rows_of(groups)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
    return [
        "  ".join(cell.rjust(width) if at else cell.ljust(width)
                  for at, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]  # fmt: skip


def rows_of(groups: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Groups as cells: name, trades, win rate, gross, charges, net, profit factor."""
    return [
        (
            one["name"], group_indian(one["trades"]), percent(one["win_rate"]), money(one["gross"], sign=True),
            money(one["charges"]), money(one["net"], sign=True), ratio(one["profit_factor"]),
        )
        for one in groups
    ]  # fmt: skip


def _trades(trades: list[dict[str, Any]]) -> list[str]:
    if len(trades) <= SHOWN:
        return [*trade_table(trades), ""]
    return []


def _open(positions: Sequence[Mapping[str, Any]]) -> list[str]:
    if not positions:
        return ["Nothing left open."]
    return [
        f"STILL OPEN: {len(positions)}",
        *(
            f"  {one['symbol']} P{one['rung']} {one['side']} {one['quantity']} at {one['average']:.2f}, last "
            f"{one['ltp']:.2f}: {money(one['unrealised'], sign=True)}" for one in positions
        ),
    ]  # fmt: skip


def trades_csv(report: Report) -> str:
    """All trades, a line each, with the names of ``--json``."""
    names = ("symbol", "side", "rung", "quantity", "entry_time", "entry_price", "exit_time", "exit_price",
             "exit_reason", "gross", "charges", "net", "strategy", "trade_id")  # fmt: skip
    out = StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(report["trades"])
    return out.getvalue()


def money(amount: float | None, *, sign: bool = False) -> str:
    return "-" if amount is None else rupees_text(to_paise(amount), sign=sign)


def whole(amount: int) -> str:
    return f"₹{group_indian(amount)}"


def percent(value: float | None, *, sign: bool = False) -> str:
    return "-" if value is None else f"{value:{'+' if sign else ''}.2f} %"


def ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
