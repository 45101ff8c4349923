"""A backtest's report as one page that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from matplotlib.figure import Figure

from otrade_bot.core.money import group_indian
from otrade_bot.research.backtest import Outcome
from otrade_bot.research.backtest_plot import equity_picture, months_picture, png, price_picture
from otrade_bot.research.backtest_text import heading, money, rows_of, summary

__all__ = ["page"]

#: Pictures of prices, and rows of trades, that a page holds at most: it must open on a phone.
MOST_PRICES, MOST_TRADES = 6, 2000
_STYLE = """
:root { color-scheme: light; --ink: #17212b; --faint: #5b6b7a; --grid: #e3e8ed; --up: #0b8a5f; --down: #d0342c; }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); margin: 1.5rem auto; max-width: 1180px;
  padding: 0 1rem }
h1 { font-size: 1.45rem; margin: 0 0 .2rem } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem } p { margin: .2rem 0 }
.faint { color: var(--faint) } img { width: 100%; height: auto }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr)); gap: .6rem; margin: 1rem 0 }
.cards div { border: 1px solid var(--grid); border-radius: 8px; padding: .5rem .7rem }
.cards span { display: block; color: var(--faint); font-size: .8rem }
.splits { display: grid; grid-template-columns: repeat(auto-fit, minmax(430px, 1fr)); gap: 0 2rem }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .22rem .5rem; border-bottom: 1px solid var(--grid); white-space: nowrap }
th { color: var(--faint); font-weight: 600 } th:first-child, td:first-child { text-align: left }
.up { color: var(--up) } .down { color: var(--down) }
"""
_SPLITS = (("by_symbol", "Symbols", "symbol"), ("by_exit_reason", "Exits", "exit"),
           ("by_hour", "Hours of entry", "hour"), ("by_weekday", "Weekdays", "weekday"),
           ("by_month", "Months", "month"), ("by_side", "Sides", "side"), ("by_rung", "Rungs", "rung"))  # fmt: skip
_TRADE = ("symbol", "side", "rung", "quantity", "entry_time", "entry_price", "exit_time", "exit_price", "exit_reason",
          "gross", "charges", "net")  # fmt: skip


def page(found: Outcome, report: Mapping[str, Any]) -> str:
    """The whole document."""
    title, prices, params = heading(report)
    counts = Counter(trade.symbol for trade in found.trades)
    shown = [symbol for symbol, _ in counts.most_common(MOST_PRICES)]
    parts = [
        f"<h1>{escape(title)}</h1><p class=faint>{escape(prices)}</p><p class=faint>{escape(params)}</p>",
        _cards(report),
        _picture(equity_picture(found), "equity and drawdown"),
        _picture(months_picture(found), "net by day, week or month") if len(found.days) > 1 else "",
        *(_picture(price_picture(found, symbol), f"entries and exits of {symbol}") for symbol in shown),
        f"<div class=splits>{''.join(_split(report[key], title, name) for key, title, name in _SPLITS)}</div>",
        _lists(report),
        _open(report["open_positions"]),
        "<h2>To know</h2><ul>" + "".join(f"<li>{escape(note)}</li>" for note in report["notes"]) + "</ul>",
        _trades(report["trades"]),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _cards(report: Mapping[str, Any]) -> str:
    cells = (f"<div><span>{escape(name)}</span>{escape(value)}</div>" for name, value in summary(report))
    return f"<div class=cards>{''.join(cells)}</div>"


def _picture(figure: Figure, words: str) -> str:
    return f'<p><img alt="{escape(words)}" src="data:image/png;base64,{b64encode(png(figure)).decode()}"></p>'


def _split(groups: Sequence[Mapping[str, Any]], title: str, name: str) -> str:
    if not groups:
        return ""
    head = (name, "trades", "win rate", "gross", "charges", "net", "factor")
    return f"<section><h2>{title}</h2><div class=wide>{_table(head, rows_of(groups))}</div></section>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = ("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _cell(text: str) -> str:
    tone = " class=up" if text.startswith("+₹") else " class=down" if text.startswith("-₹") else ""
    return f"<td{tone}>{escape(text)}</td>"


def _lists(report: Mapping[str, Any]) -> str:
    charges = {name: money(value) for name, value in report["charges_by_part"].items() if value}
    told = (("Charges", charges), ("Entries refused", report["refusals"]), ("Not used", report["dropped"]))
    return "".join(
        f"<h2>{title}</h2><p>{escape(', '.join(f'{name} {count}' for name, count in values.items()))}</p>"
        for title, values in told if values
    )  # fmt: skip


def _open(positions: Sequence[Mapping[str, Any]]) -> str:
    if not positions:
        return ""
    head = ("symbol", "side", "rung", "quantity", "average", "last", "unrealised")
    rows = [(p["symbol"], p["side"], f"P{p['rung']}", str(p["quantity"]), money(p["average"]), money(p["ltp"]),
             money(p["unrealised"], sign=True)) for p in positions]  # fmt: skip
    return f"<h2>Still open</h2><div class=wide>{_table(head, rows)}</div>"


def _trades(trades: Sequence[Mapping[str, Any]]) -> str:
    if not trades:
        return "<h2>No trades</h2>"
    last = trades[-MOST_TRADES:]
    more = "" if len(last) == len(trades) else f"; the last {group_indian(len(last))} of them, --trades writes all"
    rows = (
        (one["symbol"], one["side"], f"P{one['rung']}", group_indian(one["quantity"]), _moment(one["entry_time"]),
         money(one["entry_price"]), _moment(one["exit_time"]), money(one["exit_price"]), one["exit_reason"],
         money(one["gross"], sign=True), money(one["charges"]), money(one["net"], sign=True))
        for one in last
    )  # fmt: skip
    names = [name.replace("_", " ") for name in _TRADE]
    return f"<h2>{group_indian(len(trades))} trades{more}</h2><div class=wide>{_table(names, rows)}</div>"


def _moment(text: str) -> str:
    return text[:19].replace("T", " ")
