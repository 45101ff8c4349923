"""How every picture looks: two themes, sizes that a phone shows readably, rupees and IST on the axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from otrade_bot.core.clock import MINUTE, ist_date, midnight_ns, to_ist
from otrade_bot.core.money import group_indian

__all__ = ["BODY", "SMALL", "Theme", "canvas", "clock", "compact", "headed", "panel", "rupee_axis", "theme", "whole"]

#: 1024 x 1280 pixels: what Telegram shows without scaling it down.
_INCHES, DPI = (6.4, 8.0), 160
#: Points. The smallest is still 28 of 1024 pixels wide screens.
HEAD, BODY, SMALL = 21, 14.5, 12.5


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours. Up and down are told apart by more than red and green: candles are hollow or full."""

    back: str
    ink: str
    faint: str
    grid: str
    up: str
    down: str
    stop: str
    target: str
    lines: tuple[str, ...]


_LIGHT = Theme(
    "#ffffff", "#17212b", "#5b6b7a", "#e3e8ed", "#0b8a5f", "#d0342c", "#c2410c", "#1d6fd1",
    ("#7c3aed", "#d97706", "#0891b2", "#64748b"),
)  # fmt: skip
_DARK = Theme(
    "#17212b", "#f1f5f9", "#a3b1bf", "#2b3a48", "#34d399", "#f87171", "#fb923c", "#60a5fa",
    ("#c4b5fd", "#fbbf24", "#22d3ee", "#94a3b8"),
)  # fmt: skip


def theme(dark: bool) -> Theme:
    return _DARK if dark else _LIGHT


def canvas(look: Theme, height: float = _INCHES[1]) -> Figure:
    """An empty picture."""
    return Figure(figsize=(_INCHES[0], height), dpi=DPI, facecolor=look.back)


def headed(figure: Figure, look: Theme, head: str, note: str) -> None:
    """Heading and a line under it, at the top left."""
    top = figure.get_figheight()
    figure.text(0.035, 1 - 0.42 / top, fitted(head, 30), color=look.ink, fontsize=HEAD, weight="bold", va="center")
    figure.text(0.035, 1 - 0.80 / top, fitted(note, 58), color=look.faint, fontsize=SMALL, va="center")


def fitted(words: str, most: int) -> str:
    """Cut with an ellipsis; a dollar sign begins no formula."""
    cut = words if len(words) <= most else words[: most - 1] + "…"
    return cut.replace("$", r"\$").replace("-₹", "−₹")


def panel(figure: Figure, look: Theme, box: tuple[float, float, float, float]) -> Axes:
    """Axes at (left, bottom, width, height) in parts of the picture: no frame, grid behind, values on the right."""
    axes = figure.add_axes(box, facecolor=look.back)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.grid(axis="y", color=look.grid, linewidth=1.0)
    axes.set_axisbelow(True)
    axes.tick_params(colors=look.faint, labelsize=SMALL, length=0, pad=5)
    axes.yaxis.tick_right()
    return axes


def rupee_axis(axes: Axes, ticks: int = 6, *, sign: bool = False) -> None:
    """Values of this axis are rupees."""
    axes.yaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 5, 10]))

    def told(value: float, _: int | None = None) -> str:
        low, high = axes.get_ylim()
        foot = value < low + 0.03 * (high - low)  # it would touch the times below
        return "" if foot else compact(value, high - low, sign=sign)

    axes.yaxis.set_major_formatter(FuncFormatter(told))


def compact(rupees: float, span: float, *, sign: bool = False) -> str:
    """'2,155', '1,50,000', '12.5 L' from ten lakh on, with a sign from one lakh; paise where the axis spans a few
    rupees."""
    mark = "−" if rupees < -1e-9 else "+" if sign and rupees > 1e-9 else ""
    size = abs(rupees)
    if size >= 1e7:
        return f"{mark}{size / 1e7:.4g} Cr"
    if size >= (1e5 if sign else 1e6):
        return f"{mark}{size / 1e5:.4g} L"
    if span < 12:
        units, part = divmod(round(size * 100), 100)
        return f"{mark}{group_indian(units)}.{part:02d}"
    return f"{mark}{group_indian(round(size))}"


def whole(paise: int, *, sign: bool = True) -> str:
    """'+₹1,235' to the nearest rupee; with a real minus sign."""
    units = (abs(paise) + 50) // 100
    mark = "" if not units else "−" if paise < 0 else "+" if sign else ""
    return f"{mark}₹{group_indian(units)}"


def clock(ns: int) -> str:
    """HH:MM in IST."""
    return f"{to_ist(ns):%H:%M}"


def time_axis(axes: Axes, places: Sequence[float], moments: Sequence[int], most: int = 6) -> None:
    """Labels of IST times at some of the places, on round times, never so close that they touch."""
    if not places:
        axes.set_xticks([])
        return
    chosen = _round_times(moments, most)
    axes.set_xticks([places[at] for at in chosen], [clock(moments[at]) for at in chosen])


def _round_times(moments: Sequence[int], most: int) -> list[int]:
    """Indices of the first moment in each period of 5, 10, 15, 30 or 60 minutes, whichever gives few enough."""
    minute = [(ns - midnight_ns(ist_date(ns))) // MINUTE for ns in moments]
    for slot in (1, 2, 5, 10, 15, 30, 60, 120):
        found = [at for at, now in enumerate(minute) if at == 0 or now // slot != minute[at - 1] // slot]
        if minute[0] % slot and len(found) > 1:
            found = found[1:]  # the day began in the middle of a period
        if len(found) <= most:
            return found
    return [0, len(moments) - 1]
