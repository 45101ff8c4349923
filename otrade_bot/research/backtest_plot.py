"""Pictures of a backtest: equity, drawdown, and entries and exits on the price. Nights and week-ends take no room.

Long runs stay readable: prices are drawn as the band between lowest and highest of a few hundred stretches, and where
trades are many their lines give way to small marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from otrade_bot.core.clock import MINUTE, to_ist
from otrade_bot.core.money import group_indian
from otrade_bot.research.backtest import Day, Outcome
from otrade_bot.research.backtest_report import equity_by_day, equity_by_trade
from otrade_bot.research.chart_style import BODY, HEAD, SMALL, Theme, fitted, panel, rupee_axis, theme
from otrade_bot.research.data import Prices
from otrade_bot.trading.snapshot import Trade

__all__ = ["busiest", "equity_picture", "months_picture", "picture", "png", "price_picture"]

Floats = npt.NDArray[np.float64]
_WIDTH, _DPI = 12.8, 120
_STRETCHES = 900  #: of a price; more points than twice as many are drawn as a band
_NEWEST = 60  #: trades in the close-up of the newest sessions
_LINES = 120  #: so many trades are shown by a line each, with their marks in full size
#: What a bar stands for: its name, how it is labelled, what its days have in common.
_PERIODS = (("day", "%d %b", "%Y-%m-%d"), ("week", "%d %b %y", "%G-%V"), ("month", "%b %Y", "%Y-%m"),
            ("year", "%Y", "%Y"))  # fmt: skip
Report = dict[str, Any]


class Sessions:
    """Where a moment lies on the axis: each session is as wide as any other."""

    def __init__(self, days: Sequence[Day]) -> None:
        self.days = days
        self.starts = np.array([day.start for day in days], np.int64)
        self.ends = np.array([day.end for day in days], np.int64)

    def __len__(self) -> int:
        return len(self.starts)

    def place(self, moments: Sequence[int] | npt.NDArray[np.int64]) -> Floats:
        ns = np.asarray(moments, np.int64)
        day = np.clip(np.searchsorted(self.starts, ns, side="right") - 1, 0, len(self) - 1)
        inside = (ns - self.starts[day]) / (self.ends[day] - self.starts[day])
        return np.asarray(day + np.clip(inside, 0.0, 1.0), np.float64)

    def label(self, axes: Axes, *, shown: bool = True) -> None:
        """Dates, or the hours of a single day, never so many that they touch."""
        axes.set_xlim(-0.01 * len(self), len(self) * 1.01)
        if not shown:
            axes.set_xticks([])
        elif len(self) == 1:
            hours = np.arange(self.starts[0] // (60 * MINUTE) + 1, self.ends[0] // (60 * MINUTE) + 1) * 60 * MINUTE
            hours = hours + 30 * MINUTE  # full hours of India lie at half ones of UTC
            hours = hours[(hours > self.starts[0]) & (hours < self.ends[0])]
            axes.set_xticks(self.place(hours).tolist(), [f"{to_ist(int(ns)):%H:%M}" for ns in hours])
        else:
            spots, form = self._dates()
            axes.set_xticks(spots, [to_ist(int(self.starts[at])).strftime(form) for at in spots])

    def _dates(self) -> tuple[list[int], str]:
        """Which days are named, and how: each, every few, or the first of months and years."""
        days = [to_ist(int(ns)) for ns in self.starts]
        if len(days) <= 12:
            return list(range(len(days))), "%d %b"
        if len(days) <= 70:
            step = -(-len(days) // 10)
            return list(range(0, len(days), step)), "%d %b"
        firsts = [at for at, day in enumerate(days) if at == 0 or day.month != days[at - 1].month]
        firsts = [at for at in firsts if at == 0 or at - firsts[0] > 8]
        step = -(-len(firsts) // 12)
        return firsts[::step], "%b %Y" if len({day.year for day in days}) > 1 else "%b"


def picture(found: Outcome, report: Report, *, dark: bool = False) -> Figure:
    """All of it: what ``--plot`` writes."""
    look, sessions, symbol = theme(dark), Sessions(found.days), busiest(found)
    newest = _newest(found, symbol)
    high = 10.8 if newest is None else 14.6
    figure = _canvas(look, high)

    def box(bottom: float, height: float) -> tuple[float, float, float, float]:
        """From inches below the top of the picture."""
        return 0.03, 1 - bottom / high, 0.88, height / high

    _head(figure, look, _title(report), _result(report))
    _equity(figure, look, box(3.83, 2.48), found, sessions)
    _falls(figure, look, box(5.70, 1.13), found, sessions)
    _priced(figure, look, box(10.26, 3.62), found, sessions, symbol)
    if newest is not None:
        _priced(figure, look, box(14.06, 2.5), found, newest, symbol)
    return figure


def _newest(found: Outcome, symbol: str) -> Sessions | None:
    """The last sessions with few enough trades to tell each; None where the whole is readable."""
    ends = [trade.exit_ns for trade in found.trades if trade.symbol == symbol]
    if len(ends) <= _LINES or len(found.days) <= 10:
        return None
    last = found.days[-10:]
    while len(last) > 1 and sum(last[0].start <= ns <= last[-1].end for ns in ends) > _NEWEST:
        last = last[1:]
    return Sessions(last)


def equity_picture(found: Outcome, *, dark: bool = False) -> Figure:
    """Equity above, drawdown below."""
    look, sessions = theme(dark), Sessions(found.days)
    figure = _canvas(look, 5.4)
    _equity(figure, look, (0.03, 0.42, 0.88, 0.49), found, sessions)
    _falls(figure, look, (0.03, 0.05, 0.88, 0.22), found, sessions)
    return figure


def price_picture(found: Outcome, symbol: str, *, dark: bool = False) -> Figure:
    """Entries and exits of one symbol on its price."""
    look = theme(dark)
    figure = _canvas(look, 4.6)
    _priced(figure, look, (0.03, 0.085, 0.88, 0.73), found, Sessions(found.days), symbol)
    return figure


def months_picture(found: Outcome, *, dark: bool = False) -> Figure:
    """A bar for the net of each day, week or month, whichever gives a readable number."""
    look = theme(dark)
    figure = _canvas(look, 3.6)
    what, names, paise = _periods(found)
    _say(figure, look, 0.03, 0.92, f"Net by {what}", look.ink, BODY)
    axes = panel(figure, look, (0.03, 0.12, 0.88, 0.72))
    nets = [net / 100 for net in paise]
    axes.bar(range(len(nets)), nets, width=0.72, color=[look.up if net >= 0 else look.down for net in nets], zorder=3)
    axes.axhline(0, color=look.faint, linewidth=1.0, zorder=4)
    _room(axes, [0.0, *nets])
    rupee_axis(axes, 5, sign=True)
    axes.set_xlim(-0.7, max(len(nets), 6) - 0.3)
    step = -(-len(nets) // 12)
    axes.set_xticks(range(0, len(nets), step), names[::step])
    return figure


def _periods(found: Outcome) -> tuple[str, list[str], list[int]]:
    """What a period is, their names, and the net of each: the shortest of which there are at most 60."""
    for what, form, key in _PERIODS:
        names, nets = dict[str, str](), dict[str, int]()
        for day in found.days:
            one = day.day.strftime(key)
            nets[one] = nets.get(one, 0) + day.net
            names.setdefault(one, day.day.strftime(form))
        if len(nets) <= 60 or what == "year":
            return what, [*names.values()], [*nets.values()]
    raise AssertionError


def busiest(found: Outcome) -> str:
    """The symbol with most trades; the first where there are none."""
    counts: dict[str, int] = {}
    for trade in found.trades:
        counts[trade.symbol] = counts.get(trade.symbol, 0) + 1
    return max(counts, key=lambda symbol: counts[symbol]) if counts else found.market.symbols[0]


def png(figure: Figure) -> bytes:
    """As a file's bytes."""
    out = BytesIO()
    figure.savefig(out, format="png", facecolor=figure.get_facecolor(), metadata={"Software": None})
    return out.getvalue()


# --- panels ---


def _equity(figure: Figure, look: Theme, box: tuple[float, float, float, float], found: Outcome,
            sessions: Sessions) -> None:  # fmt: skip
    axes = panel(figure, look, box)
    top = box[1] + box[3] + 0.22 / figure.get_figheight()
    points = _curve(found)
    xs, net = sessions.place([at for at, _ in points]), np.array([equity for _, equity in points]) / 100
    gross = _gross(found)
    axes.plot(sessions.place([at for at, _ in gross]), [equity / 100 for _, equity in gross], color=look.faint,
              linewidth=1.1, linestyle=(0, (4, 3)), drawstyle="steps-post", zorder=3)  # fmt: skip
    start = found.capital / 100
    axes.axhline(start, color=look.faint, linewidth=1.0, zorder=2)
    for part, colour in ((np.maximum(net, start), look.up), (np.minimum(net, start), look.down)):
        axes.fill_between(xs, part, start, step="post", color=colour, alpha=0.14, linewidth=0)
    axes.plot(xs, net, color=look.ink, linewidth=1.8, drawstyle="steps-post", zorder=4)
    _room(axes, [start, *net.tolist(), *(equity / 100 for _, equity in gross)])
    rupee_axis(axes, 6)
    sessions.label(axes)
    _say(figure, look, box[0], top, "Equity", look.ink, BODY)
    _say(figure, look, box[0] + 0.075, top, "– – before charges", look.faint, SMALL)


def _falls(figure: Figure, look: Theme, box: tuple[float, float, float, float], found: Outcome,
           sessions: Sessions) -> None:  # fmt: skip
    axes = panel(figure, look, box)
    points = _curve(found)
    equity = np.array([value for _, value in points], np.float64)
    highest = np.maximum.accumulate(equity)
    fall = (equity - highest) / highest * 100
    xs = sessions.place([at for at, _ in points])
    axes.fill_between(xs, fall, 0, step="post", color=look.down, alpha=0.30, linewidth=0)
    axes.plot(xs, fall, color=look.down, linewidth=1.1, drawstyle="steps-post")
    low = min(float(fall.min()), -1e-3)
    axes.set_ylim(low * 1.08, -low * 0.04)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(value, 4) + 0:g} %".replace("-", "−")))
    sessions.label(axes, shown=False)
    top = box[1] + box[3] + 0.18 / figure.get_figheight()
    _say(figure, look, box[0], top, "Drawdown", look.ink, BODY)


def _priced(figure: Figure, look: Theme, box: tuple[float, float, float, float], found: Outcome, sessions: Sessions,
            symbol: str) -> None:  # fmt: skip
    axes = panel(figure, look, box)
    prices = next(one for one in found.market.prices if one.symbol == symbol)
    since, until = sessions.starts[0], sessions.ends[-1]
    trades = [t for t in found.trades if t.symbol == symbol and t.exit_ns >= since and t.entry_ns <= until]
    _line(axes, look, prices, sessions, faint=len(trades) > _LINES)
    _marks(axes, look, trades, sessions)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(_price))
    sessions.label(axes)
    high = figure.get_figheight()
    top, below = box[1] + box[3] + 0.52 / high, box[1] + box[3] + 0.22 / high
    which = "" if len(found.market.symbols) == 1 else f", most of {len(found.market.symbols)} symbols"
    if len(sessions) < len(found.days):
        which = f" in the last {len(sessions)} sessions"
    said = f"{symbol.removeprefix('NSE:')}: {group_indian(len(trades))} trades{which}"
    _say(figure, look, box[0], top, said, look.ink, BODY)
    keys = (("▲ bought", look.target, 0.0), ("▼ sold short", look.lines[1], 0.095),
            ("● left with a gain", look.up, 0.215), ("● with a loss", look.down, 0.37))  # fmt: skip
    for words, colour, x in keys:
        _say(figure, look, box[0] + x, below, words, colour, SMALL)


def _line(axes: Axes, look: Theme, prices: Prices, sessions: Sessions, *, faint: bool) -> None:
    """The price in session hours; ``faint`` behind many marks."""
    keep = np.concatenate([np.arange(len(prices))[prices.on(day.day)] for day in sessions.days])
    at = prices.ts[keep] + np.maximum(prices.span[keep] - 1, 0)
    keep, at = _in_session(keep, at, sessions)
    if not len(keep):
        return
    xs, day = sessions.place(at), np.searchsorted(sessions.starts, at, side="right")
    # Where minutes are missing the line is broken, not drawn across.
    gap = np.append((np.diff(at) > max(5 * MINUTE, 3 * prices.length)) & (np.diff(day) == 0), False)
    spots = np.linspace(0, len(sessions), _STRETCHES + 1)[:-1] if len(keep) > 2 * _STRETCHES else xs
    edges = np.unique(np.append(np.searchsorted(xs, spots), np.flatnonzero(gap) + 1))
    edges = edges[edges < len(xs)]
    last = np.append(edges[1:], len(xs)) - 1
    columns = [
        np.minimum.reduceat(prices.low[keep], edges), np.maximum.reduceat(prices.high[keep], edges),
        prices.close[keep][last],
    ]  # fmt: skip
    breaks = np.flatnonzero(gap[last]) + 1
    low, high, close = (np.insert(column / 100, breaks, np.nan) for column in columns)
    places = np.insert(xs[last], breaks, xs[last][breaks - 1])
    if len(keep) > len(edges):
        axes.fill_between(places, low, high, color=look.lines[3], alpha=0.35, linewidth=0, zorder=2)
    axes.plot(places, close, color=look.lines[3] if faint else look.ink, linewidth=1.0, zorder=3)


def _in_session(keep: npt.NDArray[np.int64], at: npt.NDArray[np.int64], sessions: Sessions) -> tuple[
    npt.NDArray[np.int64], npt.NDArray[np.int64]
]:  # fmt: skip
    """Prices within the hours, in order of time."""
    day = np.clip(np.searchsorted(sessions.starts, at, side="right") - 1, 0, len(sessions) - 1)
    inside = (at >= sessions.starts[day]) & (at < sessions.ends[day])
    keep, at = keep[inside], at[inside]
    order = np.argsort(at, kind="stable")
    return keep[order], at[order]


def _marks(axes: Axes, look: Theme, trades: Sequence[Trade], sessions: Sessions) -> None:
    """Where trades began and ended; a line between where they are few."""
    if not trades:
        return
    few = len(trades) <= _LINES
    size = 46 if few else 18 if len(trades) <= 1500 else 9
    fade = 0.95 if few else 0.8 if len(trades) <= 1500 else 0.5
    begins, ends = (sessions.place([getattr(t, name) for t in trades]) for name in ("entry_ns", "exit_ns"))
    paid = np.array([t.entry_value / t.quantity / 100 for t in trades])
    left = np.array([t.exit_value / t.quantity / 100 for t in trades])
    won = np.array([t.net > 0 for t in trades])
    bought = np.array([int(t.side) > 0 for t in trades])
    if few:
        for at in range(len(trades)):
            axes.plot([begins[at], ends[at]], [paid[at], left[at]], color=look.up if won[at] else look.down,
                      linewidth=1.6, alpha=0.8, zorder=5)  # fmt: skip
    edge: dict[str, Any] = {"edgecolors": look.back, "linewidths": 0.7 if few else 0.0, "alpha": fade}
    for which, mark, colour in ((bought, "^", look.target), (~bought, "v", look.lines[1])):
        axes.scatter(begins[which], paid[which], s=size * 1.3, marker=mark, color=colour, zorder=7, **edge)
    for which, colour in ((won, look.up), (~won, look.down)):
        axes.scatter(ends[which], left[which], s=size * 0.75, marker="o", color=colour, zorder=6, **edge)


# --- helpers ---


def _curve(found: Outcome) -> list[tuple[int, int]]:
    """The curve that the drawdown is of, to the end of the last day."""
    if not found.config.trading.product.intraday:
        return equity_by_day(found)
    points = equity_by_trade(found)
    return [*points, (found.days[-1].end, points[-1][1])]


def _gross(found: Outcome) -> list[tuple[int, int]]:
    """The same before charges."""
    total, points = found.capital, [(found.days[0].start, found.capital)]
    if found.config.trading.product.intraday:
        for trade in found.trades:
            total += trade.gross
            points.append((trade.exit_ns, total))
    else:
        for day in found.days:
            total += day.realised + day.marked
            points.append((day.end, total))
    return [*points, (found.days[-1].end, total)]


def _room(axes: Axes, ys: Sequence[float]) -> None:
    """A little air above and below."""
    low, high = min(ys), max(ys)
    room = max(high - low, 1.0) * 0.08
    axes.set_ylim(low - room, high + room)


def _price(value: float, _: int | None = None) -> str:
    return group_indian(round(value)) if value >= 1000 else f"{value:.2f}".removesuffix(".00")


def _canvas(look: Theme, height: float) -> Figure:
    return Figure(figsize=(_WIDTH, height), dpi=_DPI, facecolor=look.back)


def _say(figure: Figure, look: Theme, x: float, y: float, words: str, colour: str, size: float) -> None:
    figure.text(x, y, fitted(words, 110), color=colour, fontsize=size, va="center")


def _head(figure: Figure, look: Theme, title: str, note: str) -> None:
    high = figure.get_figheight()
    figure.text(0.03, 1 - 0.42 / high, fitted(title, 74), color=look.ink, fontsize=HEAD, weight="bold", va="center")
    figure.text(0.03, 1 - 0.82 / high, fitted(note, 130), color=look.faint, fontsize=SMALL, va="center")


def _title(report: Report) -> str:
    names = [symbol.removeprefix("NSE:") for symbol in report["symbols"]]
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{report['strategy']} {report['timeframe']} on {shown}"


def _result(report: Report) -> str:
    span = report["day"] if report["sessions"] == 1 else f"{report['day']} to {report['last_day']}"
    net, fall = report["net"], report["max_drawdown"]
    sign = "+" if net > 0 else "−" if net < 0 else ""
    sharpe = "" if report["sharpe"] is None else f" · Sharpe {report['sharpe']:.2f}".replace("-", "−")
    charges, trades = group_indian(round(report["charges"])), group_indian(len(report["trades"]))
    return (
        f"{span} · net {sign}₹{group_indian(round(abs(net)))} after ₹{charges} charges · {trades} trades{sharpe} · "
        f"drawdown {fall['percent']:.2f} %"
    )
