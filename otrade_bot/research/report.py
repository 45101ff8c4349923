"""What the journal says of a day, as data for ``report --json`` and as text for a human.

The lines are those of ``docs/journal.md``. Unknown kinds and unknown keys are ignored; a known key of the
wrong type is a DataException that names the line: a report never guesses about money.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from otrade_bot.core.clock import from_iso
from otrade_bot.core.errors import DataException
from otrade_bot.core.money import group_indian, rupees, rupees_text, to_paise
from otrade_bot.research.execution import Execution, execution_lines
from otrade_bot.research.rows import MOST, Line, Rung, rung_of

__all__ = ["day_report", "render", "trade_table"]


def day_report(lines: Iterable[Mapping[str, Any]], day: date) -> dict[str, Any]:
    """The report of ``day`` from its journal lines, in the order written. Money in rupees.

    Keys: day, mode, feed, broker (of the last run; empty where no run line is), runs, trades, gross,
    charges, net, signals, orders, refusals, ticks, dropped, open_positions, and those of ``Execution.report``.
    Totals are added as integer paise and converted once. A trade written twice (restarts) counts once,
    as it was last written. Lines whose ``ns`` lies on another day are left out.
    Raises DataException, naming the line (from 1), for values of a wrong type.
    """
    tally = _Tally()
    for number, line in enumerate(lines, start=1):
        row = Line(number, line)
        reader = _READERS.get(row.kind)
        if reader is not None and row.on(day):
            reader(tally, row)
    return tally.report(day)


@dataclass(frozen=True, slots=True)
class _Booked:
    """A trade's row of the report, with its money in paise."""

    row: dict[str, Any]
    gross: int
    charges: int
    net: int


@dataclass(slots=True)
class _Cycle:
    """What was filled of one rung between flat and flat. Quantities in shares, value in paise."""

    side: str = ""
    entered: int = 0
    value: int = 0
    left: int = 0  #: exited

    @property
    def held(self) -> int:
        return max(0, self.entered - self.left)


@dataclass(slots=True)
class _Tally:
    trades: dict[str, _Booked] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    refusals: Counter[str] = field(default_factory=Counter)
    runs: list[dict[str, str]] = field(default_factory=list)
    cycles: dict[tuple[Rung, str], _Cycle] = field(default_factory=dict)
    signals: int = 0
    ticks: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    execution: Execution = field(default_factory=Execution)
    self_check: str = ""  #: what the replay of the day's tape came to
    told_open: list[dict[str, Any]] | None = None  #: by the day line, until something is filled after it

    def run(self, row: Line) -> None:
        """A process began; that one ended says nothing of the day."""
        if row.text("state", "") == "stopped":
            return
        words = {key: row.text(key, "") for key in ("mode", "feed", "broker")}
        self.runs.append({"ts": row.text("ts", ""), **words})

    def session(self, row: Line) -> None:
        if row.text("boundary", "") == "self_check":
            self.self_check = row.text("text", "")

    def signal(self, row: Line) -> None:
        self.signals += 1
        self.execution.signal(row)

    def order(self, row: Line) -> None:
        tag, order_id = row.text("tag"), row.text("order_id", "")
        if tag and order_id:
            self.tags.add(tag)
        self.execution.order(row)

    def refusal(self, row: Line) -> None:
        if row.has("again"):
            return  # of a signal that was skipped already
        self.refusals[row.text("code")] += 1
        self.execution.refusal(row)

    def day(self, row: Line) -> None:
        self.ticks = row.whole("ticks", 0, default=0)
        self.dropped = row.counts("dropped")
        self.told_open = row.objects("open_positions")

    def fill(self, row: Line) -> None:
        """Cumulative numbers only grow; a late line with a smaller one changes nothing."""
        self.told_open = None
        key = (rung_of(row), str(row.whole("cycle", 0)))
        cycle = self.cycles.setdefault(key, _Cycle())
        quantity, value = row.whole("quantity", 0), row.whole("value_paise", 0)
        side = row.word("side", "BUY", "SELL")
        if row.word("leg", "entry", "exit") == "exit":
            cycle.left = max(cycle.left, quantity)
        elif quantity >= cycle.entered:
            cycle.side, cycle.entered, cycle.value = side, quantity, value
        self.execution.fill(row)

    def trade(self, row: Line) -> None:
        self.told_open = None
        booked = _booked(row)
        self.trades[row.text("trade_id")] = booked

    def report(self, day: date) -> dict[str, Any]:
        booked = sorted(self.trades.values(), key=_closing_order)
        last = self.runs[-1] if self.runs else {"mode": "", "feed": "", "broker": ""}
        return {
            "day": day.isoformat(),
            **{key: last[key] for key in ("mode", "feed", "broker")},
            "runs": self.runs,
            "trades": [trade.row for trade in booked],
            "gross": rupees(sum(trade.gross for trade in booked)),
            "charges": rupees(sum(trade.charges for trade in booked)),
            "net": rupees(sum(trade.net for trade in booked)),
            "signals": self.signals,
            "orders": len(self.tags),
            "refusals": dict(sorted(self.refusals.items())),
            "ticks": self.ticks,
            "dropped": self.dropped,
            "open_positions": self._open() if self.told_open is None else self.told_open,
            **self.execution.report(trade.row for trade in booked),
            **({"self_check": self.self_check} if self.self_check else {}),
        }

    def _open(self) -> list[dict[str, Any]]:
        """Positions by the fills. A booked trade counts even where the fill line of its exit is missing."""
        unmatched = self._unmatched()
        rows = []
        for (rung, _), cycle in self.cycles.items():
            closed = min(cycle.held, max(0, unmatched[rung]))
            unmatched[rung] -= closed
            if cycle.held > closed:
                rows.append(_position(rung, cycle, cycle.held - closed))
        return rows

    def _unmatched(self) -> Counter[Rung]:
        """By rung: quantity of the trades less quantity of the exit fills."""
        rest: Counter[Rung] = Counter()
        for trade in self.trades.values():
            rest[trade.row["symbol"], trade.row["strategy"], trade.row["rung"]] += trade.row["quantity"]
        for (rung, _), cycle in self.cycles.items():
            rest[rung] -= cycle.left
        return rest


def _position(rung: Rung, cycle: _Cycle, quantity: int) -> dict[str, Any]:
    """``average``: rupees, of everything that was entered."""
    symbol, strategy, number = rung
    return {
        "symbol": symbol,
        "side": cycle.side,
        "rung": number,
        "quantity": quantity,
        "average": round(cycle.value / cycle.entered / 100, 4),
        "strategy": strategy,
    }


def _booked(row: Line) -> _Booked:
    gross, charges, net = row.whole("gross_paise"), row.whole("charges_paise", 0), row.whole("net_paise")
    if net != gross - charges:
        raise DataException(f"journal line {row.number} (trade): net_paise {net} is not {gross} - {charges}")
    symbol, strategy, rung = rung_of(row)
    cells = {
        "symbol": symbol,
        "side": row.word("side", "BUY", "SELL"),
        "rung": rung,
        "quantity": row.whole("quantity", 1),
        "entry_time": row.moment("entry_time"),
        "entry_price": row.price("entry_price"),
        "exit_time": row.moment("exit_time"),
        "exit_price": row.price("exit_price"),
        "exit_reason": row.text("exit_reason"),
        "gross": rupees(gross),
        "charges": rupees(charges),
        "net": rupees(net),
        "strategy": strategy,
        "trade_id": row.text("trade_id"),
    }
    return _Booked(cells, gross, charges, net)


def _closing_order(trade: _Booked) -> tuple[int, str]:
    return from_iso(trade.row["exit_time"]), trade.row["trade_id"]


_READERS: dict[str, Callable[[_Tally, Line], None]] = {
    "run": _Tally.run,
    "session": _Tally.session,
    "signal": _Tally.signal,
    "order": _Tally.order,
    "refusal": _Tally.refusal,
    "fill": _Tally.fill,
    "trade": _Tally.trade,
    "day": _Tally.day,
}


def render(report: Mapping[str, Any]) -> str:
    """The report as plain text: heading, table of trades, totals. Takes what ``day_report`` returns.

    Also fit for the report of a demo or a backtest: keys beyond INTERFACE's are optional.
    """
    parts = [_heading(report), "", *trade_table(report["trades"]), "", *_totals(report)]
    return "\n".join(parts) + "\n"


def _heading(report: Mapping[str, Any]) -> str:
    words = [f"{key} {report[key]}" for key in ("mode", "feed", "broker") if report.get(key)]
    kinds = {(run["mode"], run["feed"], run["broker"]) for run in report.get("runs", ())}
    mixed = "; earlier runs of this day differ" if len(kinds) > 1 else ""
    told = f" ({', '.join(words)}{mixed})" if words else ""
    return f"Day {report['day']}{told}"


_HEADS = ("symbol", "side", "rung", "qty", "in", "at", "out", "at", "why", "gross", "charges", "net")
_LEFT = (0, 1, 8)


def trade_table(trades: list[dict[str, Any]]) -> list[str]:
    """A line a trade under a line of names; with the day where they are of several."""
    if not trades:
        return ["No trades."]
    since = 11 if len({trade[key][:10] for trade in trades for key in ("entry_time", "exit_time")}) < 2 else 0
    rows = [_HEADS, *(_trade_cells(trade, since) for trade in trades)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    return ["  ".join(_fit(cell, widths[i], i) for i, cell in enumerate(row)).rstrip() for row in rows]


def _fit(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column in _LEFT else cell.rjust(width)


def _trade_cells(trade: Mapping[str, Any], since: int) -> tuple[str, ...]:
    """``since``: where in a moment's text to begin, with the day or after it."""
    return (
        trade["symbol"],
        trade["side"],
        f"P{trade['rung']}",
        group_indian(trade["quantity"]),
        trade["entry_time"][since:19].replace("T", " "),
        _money(trade["entry_price"]),
        trade["exit_time"][since:19].replace("T", " "),
        _money(trade["exit_price"]),
        trade["exit_reason"],
        _money(trade["gross"], sign=True),
        _money(trade["charges"]),
        _money(trade["net"], sign=True),
    )


def _totals(report: Mapping[str, Any]) -> list[str]:
    lines = [
        f"Gross {_money(report['gross'], sign=True)}, charges {_money(report['charges'])}, "
        f"net {_money(report['net'], sign=True)}",
        f"Trades {len(report['trades'])}, signals {report['signals']}, orders {report['orders']}, "
        f"ticks {group_indian(report['ticks'])}",
    ]
    for title, key in (("Refused", "refusals"), ("Ticks dropped", "dropped")):
        if report.get(key):
            lines.append(f"{title}: " + ", ".join(f"{name} {count}" for name, count in report[key].items()))
    checked = [f"S{report['self_check'][1:]}"] if report.get("self_check") else []
    return lines + execution_lines(report) + _open_lines(report["open_positions"]) + checked


def _open_lines(positions: list[dict[str, Any]]) -> list[str]:
    if not positions:
        return ["Nothing left open."]
    return [f"STILL OPEN: {len(positions)}", *("  " + _open_cells(position) for position in positions)]


def _open_cells(position: Mapping[str, Any]) -> str:
    rung = f" P{position['rung']}" if position.get("rung") else ""
    average = position.get("average")
    price = f" at {_money(average)}" if isinstance(average, (int, float)) and abs(average) <= MOST else ""
    symbol, side, quantity = (position.get(key, "?") for key in ("symbol", "side", "quantity"))
    return f"{symbol}{rung} {side} {quantity}{price}"


def _money(amount: float, *, sign: bool = False) -> str:
    return rupees_text(to_paise(amount), sign=sign)
