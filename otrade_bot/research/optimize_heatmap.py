"""Two parameters against what a search looks at: a plateau can be traded, a lone peak is luck."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from math import log
from statistics import fmean
from typing import Literal

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from otrade_bot.core.errors import ConfigException
from otrade_bot.research.optimize import Found
from otrade_bot.research.optimize_figures import OBJECTIVES
from otrade_bot.research.search import Dimension, Value

__all__ = ["Others", "axes_of", "cells", "heatmap"]

Others = Literal["best", "mean"]
_BINS = 16  # of an axis without steps


def axes_of(names: Sequence[str], wanted: Sequence[str]) -> tuple[int, int]:
    """The places of two dimensions; the first two where nobody says. Raises ConfigException."""
    chosen = list(wanted) or names[:2]
    if len(set(chosen)) != 2 or any(name not in names for name in chosen):
        raise ConfigException("two parameters that are searched are needed", key="--heatmap-axes",
                              value=",".join(wanted) or None, allowed=", ".join(names))  # fmt: skip
    return names.index(chosen[0]), names.index(chosen[1])


def cells(found: Found, across: int, up: int, others: Others) -> tuple[list[str], list[str], npt.NDArray[np.float64]]:
    """Labels of both axes and the grid, rows upward; NaN where no set with a score lies."""
    xs, x_of = _axis(found.space.dimensions[across], [t.values[across] for t in found.trials])
    ys, y_of = _axis(found.space.dimensions[up], [t.values[up] for t in found.trials])
    held: dict[tuple[int, int], list[float]] = {}
    for trial in found.trials:
        if trial.score is not None:
            held.setdefault((y_of(trial.values[up]), x_of(trial.values[across])), []).append(trial.score)
    grid = np.full((len(ys), len(xs)), np.nan)
    for spot, scores in held.items():
        grid[spot] = max(scores) if others == "best" else fmean(scores)
    return xs, ys, grid


def _axis(d: Dimension, seen: Sequence[Value]) -> tuple[list[str], Callable[[Value], int]]:
    """The places of an axis: its values, or where there are too many, stretches of equal length (or ratio)."""
    values = sorted(set(seen))
    if len(values) <= 2 * _BINS or isinstance(values[0], bool):
        places = {value: i for i, value in enumerate(values)}
        shown = ["yes" if v is True else "no" if v is False else f"{v:g}" for v in values]
        return shown, lambda value: places[value]
    low, high = float(values[0]), float(values[-1])

    def spot(value: Value) -> int:
        share = log(value / low) / log(high / low) if d.log else (value - low) / (high - low)
        return min(_BINS - 1, int(share * _BINS))

    edges = [low * (high / low) ** (i / _BINS) if d.log else low + (high - low) * i / _BINS for i in range(_BINS)]
    return [f"{edge:.3g}" for edge in edges], spot


def heatmap(found: Found, across: int, up: int, others: Others) -> bytes:
    """A PNG."""
    xs, ys, grid = cells(found, across, up, others)
    x, y = found.space.dimensions[across].name, found.space.dimensions[up].name
    figure = Figure(figsize=(max(6.0, 1.8 + 0.42 * len(xs)), max(4.5, 1.8 + 0.36 * len(ys))), dpi=130)
    FigureCanvasAgg(figure)
    plot = figure.add_subplot()
    image = plot.imshow(np.ma.masked_invalid(grid), origin="lower", aspect="auto", cmap="viridis")
    plot.set_xticks(range(len(xs)), xs, rotation=90 if len(xs) > 10 else 0)
    plot.set_yticks(range(len(ys)), ys)
    plot.set_xlabel(x)
    plot.set_ylabel(y)
    figure.colorbar(image, label=OBJECTIVES[found.request.objective])
    plot.set_title(_title(found, others), fontsize=10)
    figure.tight_layout()
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def _title(found: Found, others: Others) -> str:
    rest = len(found.space.dimensions) - 2
    how = {"best": "at their best", "mean": "averaged"}[others]
    told = f", {rest} other parameters {how}" if rest > 1 else f", the other parameter {how}" if rest else ""
    partly = "" if found.complete else ", INCOMPLETE"
    return f"{found.space.strategy.name}, {found.job.days[0]} to {found.job.days[-1]}{told}{partly}"
