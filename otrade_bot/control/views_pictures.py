"""What pictures say in words: the caption under them, and the whole answer where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from otrade_bot.control import words
from otrade_bot.control.pictures import SymbolDay
from otrade_bot.control.reply import Reply, bold, code, lines, pre, text
from otrade_bot.core.lang import t
from otrade_bot.core.money import group_indian, rupees_text
from otrade_bot.research.drawings import Score
from otrade_bot.research.past import Past, Period, Span
from otrade_bot.trading.snapshot import Position, Trade

__all__ = ["chart", "factor_text", "performance", "span_text", "spans", "won_text"]

#: Rows of a table by symbol: so many of the best, so many of the worst.
BEST, WORST = 8, 4


def chart(day: SymbolDay, held: Sequence[Position], booked: Sequence[Trade]) -> Reply:
    """Prices of the day so far, what is open in it and what was booked."""
    name = words.symbol_text(day.symbol)
    if not day.candles:
        return lines(text(code(name), f" · {t('No prices yet today.')}"), *map(_held, held))
    first, last = day.candles[0], day.candles[-1]
    net = sum(one.net for one in booked)
    return lines(
        text(code(name), f" · {t('{minutes} min candles', minutes=day.minutes)} · {words.day_text(last[0] - 1)}"),
        text(
            bold(words.price(last[4])), f" {words.percent((last[4] / first[1] - 1) * 100, sign=True)} · ",
            t("high {high} · low {low}", high=words.price(max(one[2] for one in day.candles)),
              low=words.price(min(one[3] for one in day.candles))),
        ),
        *map(_held, held),
        t("Booked today: {trades}, net {net}", trades=_trades(len(booked)), net=rupees_text(net, sign=True))
        if booked else "",
        " · ".join(f"{one.name} {one.points[-1][1]:,.2f}" for one in day.averages if one.points),
    )  # fmt: skip


def _held(one: Position) -> str:
    size = f"P{one.rung} {int(one.side) * one.quantity} × {words.price(round(one.average))}"
    stop = t("stop {price}", price=words.price(one.stop)) if one.stop else t("no stop")
    target = t("target {price}", price=words.price(one.target)) if one.target else ""
    return " · ".join(filter(None, (size, stop, target, rupees_text(one.unrealised, sign=True))))


def _heads(period: Period) -> tuple[str, str]:
    """What the answer is called, and its first column."""
    if period == "day":
        return t("Daily"), t("day")
    return (t("Weekly"), t("week of")) if period == "week" else (t("Monthly"), t("month"))


def span_text(span: Span, period: Period) -> str:
    """'13 Jul', or 'Jul 26' for a month."""
    first = date.fromisoformat(span.first)
    return f"{first:%b %y}" if period == "month" else f"{first.day} {first:%b}"


def spans(past: Past, period: Period, mode: str) -> Reply:
    """A row each, the newest first; sums are after charges."""
    head, column = _heads(period)
    if not past.spans:
        return lines(text(bold(head), f" · {mode.upper()}"), t("No day with trading yet."), _gaps(past, mode))
    table = [(column, t("trades"), t("won"), t("net ₹"))]
    table += [
        (span_text(one, period), str(one.trades), won_text(one.won, one.trades), words.whole_rupees(one.net))
        for one in reversed(past.spans)
    ]
    return lines(
        text(bold(head), f" · {mode.upper()}"),
        _total(past),
        pre(words.rows_text(table, "<>>>")),
        _gaps(past, mode),
    )


def performance(past: Past, mode: str) -> Reply:
    """By strategy, then by symbol."""
    head = text(bold(t("Performance")), f" · {mode.upper()}")
    if not past.total.trades:
        return lines(head, t("No round trips yet."), _gaps(past, mode))
    one, one_day = past.total, len(past.spans) == 1
    return lines(
        text(head, " · ", t("1 trading day") if one_day else t("{n} trading days", n=len(past.spans))),
        _total(past),
        t("{won} won · profit factor {factor} · drawdown {drawdown}", won=won_text(one.won, one.trades),
          factor=factor_text(one.factor), drawdown=rupees_text(one.drawdown)),
        pre(_scores(t("strategy"), past.strategies)),
        pre(_scores(t("symbol"), past.symbols)),
        _gaps(past, mode),
    )  # fmt: skip


def _total(past: Past) -> Reply:
    one = past.total
    return text(
        bold(rupees_text(one.net, sign=True)),
        " ",
        t("after charges of {charges}", charges=rupees_text(one.charges)),
        f" · {_trades(one.trades)}",
    )


def _trades(number: int) -> str:
    return t("1 trade") if number == 1 else t("{n} trades", n=group_indian(number))


def _scores(head: str, rows: Sequence[Score]) -> str:
    table = [(head, t("n"), t("won"), t("factor"), t("net ₹"))]
    left_out = len(rows) - BEST - WORST
    shown = rows if left_out <= 1 else [*rows[:BEST], *rows[-WORST:]]
    for one in shown:
        name = words.short(words.symbol_text(one.name), 15)
        won = won_text(one.won, one.trades)
        table.append((name, str(one.trades), won, factor_text(one.factor), words.whole_rupees(one.net)))
    said = words.rows_text(table, "<>>>>")
    return said if left_out <= 1 else f"{said}\n{t('… and {n} between the best and the worst', n=left_out)}"


def won_text(won: int, trades: int) -> str:
    """'58%'; '-' of nothing."""
    return f"{100 * won / trades:.0f}%" if trades else "-"


def factor_text(factor: float) -> str:
    """'1.32'; '∞' where nothing was lost."""
    return "∞" if factor < 0 else f"{min(factor, 99.99):.2f}"


def _gaps(past: Past, mode: str) -> str:
    """What is not in the numbers, and why."""
    said = []
    if past.others:
        said.append(
            t("{n} paper days are left out.", n=past.others) if mode == "live"
            else t("{n} live days are left out.", n=past.others)
        )  # fmt: skip
    if past.unread:
        said.append(t("{n} older days are not read yet: ask again.", n=past.unread))
    if past.broken:
        said.append(t("Cannot be read: {days}", days=", ".join(one.partition(":")[0] for one in past.broken[:5])))
    return " ".join(said)
