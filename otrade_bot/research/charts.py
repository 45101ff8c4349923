"""Draws: ``python -m otrade_bot.research.charts`` takes a drawing as JSON and gives a PNG. A child of the service's,
which lives for half a second: what the drawing takes, the machine has back.

Only this child imports matplotlib.
"""

from __future__ import annotations

import sys
from io import BytesIO
from typing import TYPE_CHECKING

from otrade_bot.research.drawings import DayCard, DayChart, Drawing, MoneyBars, MoneyCurve, ScoreCard, decoded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figure_of", "png_of"]

#: More do not show on a phone, and make the file four times as large.
COLOURS = 128


def figure_of(drawing: Drawing) -> Figure:
    """The picture, not yet pixels."""
    from otrade_bot.research import chart_day, chart_money

    match drawing:
        case DayChart():
            return chart_day.day_chart(drawing)
        case MoneyCurve():
            return chart_money.money_curve(drawing)
        case MoneyBars():
            return chart_money.money_bars(drawing)
        case ScoreCard():
            return chart_money.score_card(drawing)
        case DayCard():
            return chart_money.day_card(drawing)


def png_of(drawing: Drawing) -> bytes:
    """As a small PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure_of(drawing))
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
    whole = Image.frombuffer("RGBA", canvas.get_width_height(), pixels).convert("RGB")
    out = BytesIO()
    whole.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def main() -> None:
    """One drawing from standard input."""
    sys.stdout.buffer.write(png_of(decoded(sys.stdin.buffer.read())))


if __name__ == "__main__":
    from otrade_bot.research.limits import confine

    confine()
    main()
