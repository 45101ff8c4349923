"""The day of one symbol: candles without gaps, averages, stops as steps, entries and exits with their rung."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from otrade_bot.core.clock import MINUTE
from otrade_bot.core.money import group_indian
from otrade_bot.research.chart_style import SMALL, Theme, canvas, headed, panel, rupee_axis, theme, time_axis
from otrade_bot.research.drawings import Average, Candle, DayChart, Level, Mark

__all__ = ["day_chart"]

_BODY = 0.68  #: of a candle's place


def day_chart(asked: DayChart) -> Figure:
    """The whole picture."""
    look = theme(asked.dark)
    figure = canvas(look)
    headed(figure, look, asked.head, asked.note)
    prices = panel(figure, look, (0.035, 0.215, 0.765, 0.61))
    volumes = panel(figure, look, (0.035, 0.075, 0.765, 0.115))
    if not asked.candles:
        prices.text(0.5, 0.5, "No prices yet", color=look.faint, fontsize=18, ha="center", transform=prices.transAxes)
        for axes in (prices, volumes):
            axes.set_xticks([])
            axes.set_yticks([])
        return figure
    place = _Places(asked.candles, asked.minutes)
    _candles(prices, look, asked.candles)
    _averages(prices, look, asked.averages, place)
    _frame(prices, asked, place)
    tags = [_level(prices, look, level, place) for level in asked.levels]
    _marks(prices, look, asked.marks, place)
    last = asked.candles[-1][4]
    tags.append((last, _price(last), look.ink, True))
    _tags(prices, look, [tag for tag in tags if tag is not None])
    _volumes(volumes, look, asked.candles)
    prices.set_xticks([])
    volumes.set_xlim(prices.get_xlim())
    time_axis(volumes, range(len(asked.candles)), [one[0] - asked.minutes * MINUTE for one in asked.candles])
    if asked.averages:
        _legend(figure, look, asked.averages)
    return figure


class _Places:
    """Where a moment lies when candles stand side by side: closed hours and minutes without prices take no room."""

    def __init__(self, candles: Sequence[Candle], minutes: int) -> None:
        self._ends, self._length = [one[0] for one in candles], minutes * MINUTE

    def __len__(self) -> int:
        return len(self._ends)

    def __call__(self, ns: int) -> float:
        """Within the candle that holds ``ns``; what lies between two candles is at their border."""
        at = min(bisect_right(self._ends, ns), len(self._ends) - 1)
        share = (ns - (self._ends[at] - self._length)) / self._length
        return at - 0.5 + min(max(share, 0.0), 1.0)


def _candles(axes: Axes, look: Theme, candles: Sequence[Candle]) -> None:
    """Rising ones hollow, falling ones full: colours alone are not for everybody."""
    width = max(0.7, min(1.6, 110 / len(candles)))
    for rising in (True, False):
        chosen = [(at, one) for at, one in enumerate(candles) if (one[4] >= one[1]) is rising]
        colour = look.up if rising else look.down
        wicks = []
        for at, (_, o, h, low, c, _) in chosen:
            wicks += [((at, low / 100), (at, min(o, c) / 100)), ((at, max(o, c) / 100), (at, h / 100))]
        axes.add_collection(LineCollection(wicks, colors=colour, linewidths=width, zorder=3), autolim=False)
        least = (max(one[2] for one in candles) - min(one[3] for one in candles)) / 40_000 or 0.01
        bodies = [
            Rectangle((at - _BODY / 2, min(o, c) / 100 - (least if o == c else 0) / 2), _BODY,
                      abs(c - o) / 100 or least)
            for at, (_, o, _, _, c, _) in chosen
        ]  # fmt: skip
        hollow = rising and len(candles) <= 120
        fill = look.back if hollow else colour
        patches = PatchCollection(bodies, facecolors=fill, edgecolors=colour, linewidths=width, zorder=3)
        axes.add_collection(patches, autolim=False)


def _averages(axes: Axes, look: Theme, averages: Sequence[Average], place: _Places) -> None:
    for at, one in enumerate(averages):
        points = [(place(ns), value) for ns, value in one.points]
        if not points:
            continue
        points.append((len(place) - 0.5, points[-1][1]))
        colour = look.lines[at % len(look.lines)]
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=2.0, alpha=0.9, zorder=4)


def _frame(axes: Axes, asked: DayChart, place: _Places) -> None:
    """Candles and what was traded fill the picture; stops near them too, far ones (and averages) do not squeeze it."""
    low = min(one[3] for one in asked.candles) / 100
    high = max(one[2] for one in asked.candles) / 100
    for mark in asked.marks:
        low, high = min(low, mark.price / 100), max(high, mark.price / 100)
    span = max(high - low, high * 0.002, 0.1)
    near = [value / 100 for level in asked.levels for _, value in level.steps]
    near += [value for one in asked.averages for _, value in one.points]
    for value in near:
        if low - 0.5 * span <= value <= high + 0.5 * span:
            low, high = min(low, value), max(high, value)
    span = max(high - low, high * 0.002, 0.1)
    axes.set_ylim(low - 0.07 * span, high + 0.07 * span)
    axes.set_xlim(-1.0, max(len(place), 8) - 0.3)
    rupee_axis(axes, 9)


Tag = tuple[int, str, str, bool]  # price in paise, words, colour, full
#: More do not fit beside each other; a symbol has three rungs.
_MOST_TAGS = 14


def _level(axes: Axes, look: Theme, level: Level, place: _Places) -> Tag | None:
    """Steps; and the tag of one that still holds."""
    if not level.steps:
        return None
    colour = look.stop if level.kind == "stop" else look.target
    xs = [place(ns) for ns, _ in level.steps] + [place(level.until) if level.until else len(place) - 0.5]
    ys = [value / 100 for _, value in level.steps]
    style = "-" if level.kind == "stop" else (0, (4, 2))
    axes.step(xs, [*ys, ys[-1]], where="post", color=colour, linewidth=2.0, linestyle=style, zorder=5)
    if level.until:
        return None
    paise = level.steps[-1][1]
    return paise, f"{level.kind} P{level.rung}", colour, False


def _marks(axes: Axes, look: Theme, marks: Sequence[Mark], place: _Places) -> None:
    """Triangles with the rung beside them; exits say why where there is room for it. A name gives way to those before
    it, up or down."""
    low, high = axes.get_ylim()
    wordy, taken = len(marks) <= 12, _Taken(axes)
    for one in marks:
        taken.add(*taken.point(place(one.ns), one.price / 100), 15, 15)
    for one in sorted(marks, key=lambda mark: (mark.ns, mark.rung)):
        buys = (one.side > 0) is one.entry
        x, y = place(one.ns), one.price / 100
        colour = look.up if buys else look.down
        axes.plot([x], [y], marker="^" if buys else "v", markersize=11, color=colour, markeredgecolor=look.back,
                  markeredgewidth=1.3, zorder=7)  # fmt: skip
        said = f"P{one.rung}" if one.entry or not wordy or not one.note else f"P{one.rung} {one.note}"
        aside, shift = taken.room(x, y, said, above=not buys)
        axes.annotate(
            said, (x, y), (aside, shift), textcoords="offset points", ha="center", va="center", fontsize=SMALL,
            weight="bold", color=colour, zorder=8, annotation_clip=False,
            bbox={"boxstyle": "round,pad=0.12", "fc": look.back, "ec": "none", "alpha": 0.8},
        )  # fmt: skip
    axes.set_ylim(low, high)


class _Taken:
    """Where something stands already, in points from the lower left of the axes."""

    def __init__(self, axes: Axes) -> None:
        box = axes.get_position()
        figure = axes.get_figure(root=True)
        assert figure is not None
        inches = figure.get_size_inches()
        self.width, self.height = box.width * inches[0] * 72, box.height * inches[1] * 72
        self._x, self._y = axes.get_xlim(), axes.get_ylim()
        self._boxes: list[tuple[float, float, float, float]] = []

    def point(self, x: float, y: float) -> tuple[float, float]:
        """The middle of a place on the axes."""
        (left, right), (low, high) = self._x, self._y
        return (x - left) / (right - left) * self.width, (y - low) / (high - low) * self.height

    def add(self, x: float, y: float, width: float, height: float) -> None:
        self._boxes.append((x - width / 2, y - height / 2, x + width / 2, y + height / 2))

    def room(self, x: float, y: float, said: str, *, above: bool) -> tuple[float, float]:
        """How far a name stands from its place, aside and up: the nearest free one, inside of the axes."""
        width, height = (0.72 * len(said) + 0.5) * SMALL, 1.3 * SMALL
        px, py = self.point(x, y)
        middle = min(max(px, width / 2), self.width - width / 2)
        side = 1 if above else -1
        steps = [sign * (17 + 6 * step) for step in range(20) for sign in (side, -side)]
        inside = [step for step in steps if height / 2 <= py + step <= self.height - height / 2] or steps[:1]
        chosen = next((step for step in inside if self._free(middle, py + step, width, height)), inside[0])
        self.add(middle, py + chosen, width, height)
        return middle - px, chosen

    def _free(self, x: float, y: float, width: float, height: float) -> bool:
        left, low, right, high = x - width / 2, y - height / 2, x + width / 2, y + height / 2
        return not any(left < r and right > e and low < h and high > w for e, w, r, h in self._boxes)


def _tags(axes: Axes, look: Theme, tags: Sequence[Tag]) -> None:
    """At the right edge over the axis: the last price, stops and targets, pushed apart. What lies beyond the picture
    stands at its edge, with an arrow."""
    low, high = axes.get_ylim()
    shown: dict[tuple[float, str, str], list[Tag]] = {}
    for tag in tags:
        value = tag[0] / 100
        arrow = "" if low <= value <= high else "↓ " if value < low else "↑ "
        shown.setdefault((min(max(value, low), high), arrow, tag[2]), []).append(tag)
    gap, last = (high - low) * 0.052, tags[-1][0] / 100
    nearest = sorted(shown.items(), key=lambda one: (not one[1][-1][3], abs(one[0][0] - last)))[:_MOST_TAGS]
    ranked = sorted(nearest)
    places = _apart([value for (value, _, _), _ in ranked], gap, low + gap / 2, high - gap / 2)
    for ((_, arrow, colour), group), y in zip(ranked, places, strict=True):
        full = group[0][3]
        axes.annotate(
            arrow + (group[0][1] if full else _merged([tag[1] for tag in group])), (1.0, y), (4, 0),
            xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
            fontsize=SMALL, color=look.back if full else colour, weight="bold" if full else "normal", zorder=9,
            bbox={"boxstyle": "round,pad=0.2", "fc": look.ink if full else look.back, "ec": colour, "lw": 1.2},
            annotation_clip=False,
        )  # fmt: skip
    free = [tick for tick in axes.get_yticks() if all(abs(tick - y) > gap * 0.9 for y in places)]
    axes.set_yticks([tick for tick in free if low <= tick <= high])


def _merged(said: Sequence[str]) -> str:
    """'stop P2' and 'stop P3' at one price: 'stop P2+3'; all three: 'stop P1-3'."""
    kind, rungs = said[0].split()[0], sorted({one.rpartition("P")[2] for one in said})
    return f"{kind} P{rungs[0]}-{rungs[-1]}" if len(rungs) > 2 else f"{kind} P{'+'.join(rungs)}"


def _apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Ascending places at least ``gap`` apart, as near to what is wanted as one pass each way brings them."""
    places: list[float] = []
    for value in wanted:
        places.append(max(value, places[-1] + gap) if places else max(value, low))
    for at in range(len(places) - 1, -1, -1):
        most = high if at == len(places) - 1 else places[at + 1] - gap
        places[at] = min(places[at], most)
    return places


def _volumes(axes: Axes, look: Theme, candles: Sequence[Candle]) -> None:
    colours = [look.up if one[4] >= one[1] else look.down for one in candles]
    axes.bar(range(len(candles)), [one[5] for one in candles], width=_BODY, color=colours, alpha=0.55)
    most = max(one[5] for one in candles)
    axes.set_ylim(0, max(most, 1) * 1.15)
    axes.set_yticks([most] if most else [], [_count(most)] if most else [])
    axes.grid(visible=False)


def _count(number: int) -> str:
    """'8,450', '1.2 L', '3.4 Cr' shares."""
    for size, unit in ((10_000_000, "Cr"), (100_000, "L")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return group_indian(number)


def _legend(figure: Figure, look: Theme, averages: Sequence[Average]) -> None:
    """One line between heading and prices."""
    x = 0.035
    for at, one in enumerate(averages[:5]):
        said = one.name.replace("_", " ")
        figure.text(x, 0.845, "━ " + said, color=look.lines[at % len(look.lines)], fontsize=SMALL, va="center")
        x += 0.052 + 0.0185 * len(said) + 0.02


def _price(paise: int) -> str:
    whole, part = divmod(paise, 100)
    return f"{group_indian(whole)}.{part:02d}"
