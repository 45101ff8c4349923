"""Money over time: the day's curve, bars of days, weeks and months, the performance card, the day's card."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from otrade_bot.research.chart_style import (
    BODY,
    SMALL,
    Theme,
    canvas,
    compact,
    fitted,
    headed,
    panel,
    rupee_axis,
    theme,
    time_axis,
    whole,
)
from otrade_bot.research.drawings import DayCard, MoneyBar, MoneyBars, MoneyCurve, Score, ScoreCard

__all__ = ["day_card", "money_bars", "money_curve", "score_card"]

Points = Sequence[tuple[int, int]]


def money_curve(asked: MoneyCurve) -> Figure:
    look = theme(asked.dark)
    figure = canvas(look, 6.4)
    headed(figure, look, asked.head, asked.note)
    axes = panel(figure, look, (0.035, 0.09, 0.80, 0.695))
    _curve(axes, look, asked.points, asked.booked)
    for x, said, colour in ((0.035, "● closed with a gain", look.up), (0.43, "● with a loss", look.down)):
        if asked.booked:
            figure.text(x, 0.822, said, color=colour, fontsize=SMALL, va="center")
    return figure


def _curve(axes: Axes, look: Theme, points: Points, booked: Points = ()) -> None:
    """Green above zero, red below; a dot where a round trip was booked."""
    if not points:
        _nothing(axes, look, "Nothing yet")
        return
    moments = [ns for ns, _ in points]
    xs, ys = list(range(len(points))), [net / 100 for _, net in points]
    _area(axes, look, xs, ys)
    for ns, net in booked:
        at = min(max(sum(moment <= ns for moment in moments) - 1, 0), len(xs) - 1)
        axes.plot([at], [ys[at]], "o", markersize=6, color=look.up if net > 0 else look.down,
                  markeredgecolor=look.back, zorder=6)  # fmt: skip
    axes.set_xlim(-0.5, max(len(xs) - 0.5, 1))
    time_axis(axes, xs, moments)


def _area(axes: Axes, look: Theme, xs: Sequence[int], ys: Sequence[float]) -> None:
    axes.axhline(0, color=look.faint, linewidth=1.2, zorder=2)
    axes.fill_between(xs, ys, 0, where=[y >= 0 for y in ys], color=look.up, alpha=0.18, interpolate=True, linewidth=0)
    axes.fill_between(xs, ys, 0, where=[y <= 0 for y in ys], color=look.down, alpha=0.18, interpolate=True, linewidth=0)
    axes.plot(xs, ys, color=look.ink, linewidth=2.2, zorder=4, solid_joinstyle="round")
    if len(xs) == 1:
        axes.plot(xs, ys, "o", color=look.ink, markersize=6, zorder=4)
    low, high = min(0.0, *ys), max(0.0, *ys)
    room = max(high - low, 1.0) * 0.08
    axes.set_ylim(low - room, high + room)
    rupee_axis(axes, sign=True)


def _nothing(axes: Axes, look: Theme, words: str) -> None:
    axes.text(0.5, 0.5, words, color=look.faint, fontsize=18, ha="center", transform=axes.transAxes)
    axes.set_xticks([])
    axes.set_yticks([])


def money_bars(asked: MoneyBars) -> Figure:
    look = theme(asked.dark)
    figure = canvas(look)
    headed(figure, look, asked.head, asked.note)
    bars = panel(figure, look, (0.035, 0.40, 0.80, 0.43))
    sums = panel(figure, look, (0.035, 0.075, 0.80, 0.24))
    _bars(bars, look, asked.bars)
    figure.text(0.035, 0.335, "Running sum", color=look.faint, fontsize=SMALL, va="center")
    total, ys = 0, []
    for one in asked.bars:
        total += one.net
        ys.append(total / 100)
    if ys:
        _area(sums, look, range(len(ys)), ys)
        sums.set_xlim(-0.6, max(len(ys), 4) - 0.4)
    else:
        _nothing(sums, look, "")
    sums.set_xticks([])
    return figure


def _bars(axes: Axes, look: Theme, bars: Sequence[MoneyBar]) -> None:
    if not bars:
        _nothing(axes, look, "No day yet")
        return
    nets = [one.net / 100 for one in bars]
    axes.axhline(0, color=look.faint, linewidth=1.2, zorder=2)
    axes.bar(range(len(bars)), nets, width=0.7, color=[look.up if net >= 0 else look.down for net in nets], zorder=3)
    low, high = min(0.0, *nets), max(0.0, *nets)
    room = max(high - low, 1.0) * 0.13
    axes.set_ylim(low - room, high + room)
    axes.set_xlim(-0.6, max(len(bars), 4) - 0.4)
    rupee_axis(axes, sign=True)
    if len(bars) <= 6:
        for at, one in enumerate(bars):
            said, above = compact(one.net / 100, 1000, sign=True), 9 if one.net >= 0 else -9
            axes.annotate(said, (at, one.net / 100), (0, above), textcoords="offset points", ha="center", va="center",
                          fontsize=SMALL, color=look.ink, zorder=5)  # fmt: skip
    step = max(1, -(-len(bars) // 6))
    shown = range((len(bars) - 1) % step, len(bars), step)
    axes.set_xticks(list(shown), [bars[at].label for at in shown])


def score_card(asked: ScoreCard) -> Figure:
    """The running net, then strategies and symbols as tables."""
    look = theme(asked.dark)
    strategies, symbols = _most(asked.strategies, 4), _most(asked.symbols, 12)
    rows = len(strategies) + len(symbols)
    height = 1.2 + 2.2 + 0.34 * (rows + 3) + 0.75
    figure = canvas(look, height)
    headed(figure, look, asked.head, asked.note)
    axes = panel(figure, look, (0.035, 1 - 3.35 / height, 0.80, 2.15 / height))
    _running(axes, look, asked.curve)
    y = height - 4.05
    y = _table(figure, look, "strategy", strategies, y, height)
    _table(figure, look, "symbol", symbols, y - 0.25, height)
    return figure


def _most(rows: Sequence[Score], most: int) -> list[Score]:
    """The best and the worst; what lies between is in the words."""
    return list(rows) if len(rows) <= most else [*rows[: most - most // 3], *rows[-(most // 3):]]


def _running(axes: Axes, look: Theme, curve: Sequence[tuple[str, int]]) -> None:
    if not curve:
        _nothing(axes, look, "No day yet")
        return
    ys = [0.0, *(net / 100 for _, net in curve)]
    _area(axes, look, range(len(ys)), ys)
    step = max(1, -(-len(curve) // 5))
    shown = range((len(curve) - 1) % step, len(curve), step)
    axes.set_xticks([at + 1 for at in shown], [curve[at][0] for at in shown])
    axes.set_xlim(-0.1, len(ys) - 0.7)


#: Where the columns of a table end (the first begins), in parts of the width.
_COLUMNS = (0.035, 0.445, 0.565, 0.705, 0.965)


def _table(figure: Figure, look: Theme, name: str, rows: Sequence[Score], y: float, height: float) -> float:
    """Below each other from ``y`` inches on; where the next thing may begin."""
    _row(figure, (name, "trades", "won", "factor", "net"), y / height, look.faint, look.faint)
    for one in rows:
        y -= 0.34
        won = f"{100 * one.won / one.trades:.0f} %" if one.trades else "-"
        factor = "∞" if one.factor < 0 else f"{min(one.factor, 99.99):.2f}"
        tone = look.up if one.net > 0 else look.down if one.net < 0 else look.ink
        label = one.name.removeprefix("NSE:")
        _row(figure, (label, str(one.trades), won, factor, whole(one.net)), y / height, look.ink, tone)
    return y - 0.34


def _row(figure: Figure, cells: Sequence[str], y: float, colour: str, last: str) -> None:
    for at, (cell, x) in enumerate(zip(cells, _COLUMNS, strict=True)):
        figure.text(
            x, y, fitted(cell, 17 if at == 0 else 14), fontsize=SMALL if at else BODY - 1, va="center",
            ha="right" if at else "left", color=last if at == len(cells) - 1 else colour,
        )  # fmt: skip


def day_card(asked: DayCard) -> Figure:
    """The day at a glance: its net in large figures, cells, curve, and the symbols that made it."""
    look = theme(asked.dark)
    symbols = [*asked.symbols[:4], *asked.symbols[-4:]] if len(asked.symbols) > 8 else list(asked.symbols)
    lines = -(-len(asked.cells) // 2)
    height = 2.15 + 0.62 * lines + 2.2 + 0.34 * max(len(symbols), 1) + 0.5
    figure = canvas(look, height)
    headed(figure, look, asked.head, asked.note)
    tone = look.up if asked.net > 0 else look.down if asked.net < 0 else look.ink
    figure.text(0.035, 1 - 1.42 / height, whole(asked.net), fontsize=38, weight="bold", color=tone, va="center")
    for at, (label, value, mood) in enumerate(asked.cells):
        x, y = (0.035, 0.52)[at % 2], height - 2.2 - 0.62 * (at // 2)
        colour = look.up if mood > 0 else look.down if mood < 0 else look.ink
        figure.text(x, y / height, label, fontsize=SMALL, color=look.faint, va="center")
        figure.text(x, (y - 0.27) / height, shorten(value, 26, placeholder="…"), fontsize=BODY, color=colour,
                    va="center")  # fmt: skip
    top = height - 2.05 - 0.62 * lines
    axes = panel(figure, look, (0.035, (top - 1.9) / height, 0.80, 1.7 / height))
    _curve(axes, look, asked.points)
    _sums(figure, look, symbols, top - 2.5, height)
    return figure


def _sums(figure: Figure, look: Theme, symbols: Sequence[MoneyBar], y: float, height: float) -> None:
    """A line each: name, a bar as long as its net, the net."""
    most = max((abs(one.net) for one in symbols), default=0) or 1
    for one in symbols:
        tone = look.up if one.net > 0 else look.down if one.net < 0 else look.ink
        figure.text(0.035, y / height, fitted(one.label.removeprefix("NSE:"), 15), fontsize=BODY - 1, color=look.ink,
                    va="center")  # fmt: skip
        figure.text(0.965, y / height, whole(one.net), fontsize=BODY - 1, color=tone, va="center", ha="right")
        length = 0.27 * abs(one.net) / most
        axes = figure.add_axes((0.43, (y - 0.07) / height, max(length, 0.002), 0.14 / height), facecolor=tone)
        axes.set_xticks([])
        axes.set_yticks([])
        for side in axes.spines.values():
            side.set_visible(False)
        y -= 0.34
