"""How cost grows: a table and a picture, ``docs/growth.png``.

    python tools/growth.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from otrade_bot.research import bench_growth
from otrade_bot.research.bench import Row, machine
from otrade_bot.research.bench_frames import per_tick

PICTURE = Path(__file__).parent.parent / "docs" / "growth.png"


def main() -> int:
    replays = {count: _said(bench_growth.instruments(count)) for count in bench_growth.INSTRUMENTS}
    frames = {count: _said(per_tick(count)) for count in bench_growth.INSTRUMENTS}
    years = {count: _said(bench_growth.years(count)) for count in bench_growth.YEARS}
    print("| instruments | a price in a replay, ns | a packet in a frame, ns |\n|---|---|---|")
    for count, row in replays.items():
        print(f"| {count:,} | {row.median:.3g} | {frames[count].median:.3g} |")
    print("\n| years of minute bars | s | bars |\n|---|---|---|")
    for count, row in years.items():
        print(f"| {count} | {row.median:.3g} | {row.note.split(' ')[0]} |")
    _draw(replays, frames, years)
    print(", ".join(f"{key} {value}" for key, value in machine().items()), file=sys.stderr)
    return 0


def _said(row: Row) -> Row:
    print(f"{row.name} {row.median:.4g} {row.unit}", file=sys.stderr, flush=True)
    return row


def _draw(replays: dict[int, Row], frames: dict[int, Row], years: dict[int, Row]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _lines(left, {"a price in a replay": replays, "a packet of a frame": frames})
    left.set(xscale="log", yscale="log", xlabel="instruments", ylabel="ns", title="A price, by instruments")
    left.legend(frameon=False)
    _lines(right, {"": years})
    right.set(xlabel="years of minute bars, one share", ylabel="s", title="A backtest, by years", ylim=(0, None),
              xlim=(0, None))  # fmt: skip
    figure.savefig(PICTURE, dpi=110)


def _lines(axes: Any, found: dict[str, dict[int, Row]]) -> None:
    for name, rows in found.items():
        low, middle, high = ([getattr(row, part) for row in rows.values()] for part in ("low", "median", "high"))
        axes.plot(list(rows), middle, marker="o", label=name)
        axes.fill_between(list(rows), low, high, alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)


if __name__ == "__main__":
    raise SystemExit(main())
