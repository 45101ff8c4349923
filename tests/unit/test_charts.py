"""What a phone shows of money and prices: readable, nothing over something else, nothing outside of the picture."""

from __future__ import annotations

import re
from io import BytesIO
from itertools import combinations
from typing import Any

import pytest
from drawn import DAY, OPEN, candles, chart, every

from otrade_bot.core.clock import MINUTE, at_ist
from otrade_bot.research.chart_style import clock, compact, theme, whole
from otrade_bot.research.charts import figure_of, png_of
from otrade_bot.research.drawings import DayChart, Drawing, Level, Mark, decoded, encoded

pytest.importorskip("matplotlib")
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

#: Where things stand does not depend on the shade.
DRAWINGS = every(dark=False)
EACH = pytest.mark.parametrize("drawing", list(DRAWINGS.values()), ids=list(DRAWINGS))


def drawn(drawing: Drawing) -> tuple[Figure, Any]:
    figure = figure_of(drawing)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return figure, canvas.get_renderer()


def texts(figure: Figure) -> list[Text]:
    """All that is to be read, less the names of entries and exits, which stand in the candles."""
    found = [one for one in figure.findobj(Text) if one.get_text().strip() and one.get_visible()]
    return [one for one in found if not (isinstance(one, Annotation) and one.get_text().startswith("P"))]


@EACH
def test_a_drawing_survives_the_way_to_the_child(drawing: Drawing) -> None:
    assert decoded(encoded(drawing)) == drawing


@pytest.mark.parametrize("raw", [b"{}", b"[]", b'{"kind":"DayChart","values":{}}', b'{"kind":"Bomb","values":{}}'])
def test_what_is_no_drawing_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="no drawing"):
        decoded(raw)


@EACH
def test_all_can_be_read_on_a_phone_nothing_is_cut_or_covered(drawing: Drawing) -> None:
    figure, renderer = drawn(drawing)
    boxes = [(one.get_text(), one.get_window_extent(renderer)) for one in texts(figure)]
    width, height = figure.canvas.get_width_height()
    smallest = min(one.get_fontsize() for one in texts(figure)) * figure.dpi / 72
    assert smallest / width > 0.025, "less than a fortieth of the width"
    for said, box in boxes:
        inside = box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height
        assert inside, f"{said!r} is cut: {box} of {width}x{height}"
    for (first, a), (second, b) in combinations(boxes, 2):
        common = Bbox.intersection(a, b)
        assert common is None or min(common.width, common.height) <= 1.5, f"{first!r} and {second!r}"


@pytest.mark.parametrize("dark", [False, True])
def test_every_colour_stands_out_from_its_ground(dark: bool) -> None:
    look = theme(dark)
    colours = (look.ink, look.faint, look.up, look.down, look.stop, look.target, *look.lines)
    contrasts = {colour: _contrast(colour, look.back) for colour in colours}
    assert min(contrasts.values()) >= 3, contrasts
    assert _contrast(look.ink, look.back) >= 7


def _contrast(one: str, other: str) -> float:
    """As WCAG defines it."""
    bright, dim = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def _luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("name", ["no candle", "a day of 1 min", "90 scores", "a day", "60 bars", "a day's curve"])
@pytest.mark.parametrize("dark", [False, True])
def test_a_picture_is_a_small_png_of_the_width_of_a_phone(name: str, dark: bool) -> None:
    from PIL import Image

    raw = png_of(every(dark)[name])
    assert len(raw) < 150_000
    with Image.open(BytesIO(raw)) as image:
        assert (image.format, image.width) == ("PNG", 1024)
        assert 600 < image.height < 2 * image.width
        red, green, blue = image.convert("RGB").getpixel((2, 2))  # type: ignore[misc]
    assert (red + green + blue < 150) is dark


def test_hours_without_prices_take_no_room() -> None:
    rows = candles(24)
    later = tuple((end + 180 * MINUTE, *rest) for end, *rest in rows[12:])
    figure, _ = drawn(DayChart("X", "", 5, (*rows[:12], *later)))  # type: ignore[arg-type]
    volumes = figure.axes[1]
    assert [round(one.get_x() + one.get_width() / 2) for one in volumes.patches] == list(range(24))
    said = [label.get_text() for label in volumes.get_xticklabels()]
    assert said[0] == "09:30"
    assert "13:30" in said, "the time goes on after the gap"
    assert "11:00" not in said


def test_a_stop_is_drawn_as_steps_that_end_where_the_rung_was_left() -> None:
    rows = candles(20)
    moves = ((rows[2][0], 214_000), (rows[9][0], 214_500), (rows[12][0], 214_800))
    figure, _ = drawn(DayChart("X", "", 5, rows, levels=(Level(2, "stop", moves, rows[15][0]),)))
    (line,) = [one for one in figure.axes[0].lines if one.get_drawstyle() == "steps-post"]
    assert list(line.get_ydata()) == [2140.0, 2145.0, 2148.0, 2148.0]
    assert list(line.get_xdata()) == [2.5, 9.5, 12.5, 15.5]
    assert not [one for one in texts(figure) if one.get_text().startswith("stop")], "it holds no more"


def test_a_stop_that_holds_says_whose_it_is_and_one_far_away_stands_at_the_edge() -> None:
    rows = candles(20)
    low = min(one[3] for one in rows)
    near, far = Level(1, "stop", ((rows[3][0], low - 50),)), Level(3, "stop", ((rows[3][0], low // 2),))
    figure, _ = drawn(DayChart("X", "", 5, rows, levels=(near, far)))
    said = {one.get_text() for one in texts(figure)}
    assert {"stop P1", "↓ stop P3"} <= said


def test_entries_and_exits_bear_their_rung() -> None:
    figure, _ = drawn(chart(75))
    said = [one.get_text() for one in figure.findobj(Annotation) if one.get_text().startswith("P")]
    assert sorted(said) == ["P1", "P1 target", "P2", "P3"]


def test_names_of_rungs_give_way_to_each_other() -> None:
    rows = candles(40)
    at, price = rows[20][0] - MINUTE, rows[20][4]
    marks = [Mark(at, price + rung * 40, rung, 1, True, 5) for rung in (1, 2, 3)]
    marks += [Mark(rows[22][0], price + rung * 30, rung, 1, False, 5, "square off") for rung in (1, 2, 3)]
    marks += [Mark(rows[39][0], rows[39][4], 1, 1, False, 5, "target")]
    figure, renderer = drawn(DayChart("X", "", 5, rows, marks=tuple(marks)))
    found = [one for one in figure.findobj(Annotation) if one.get_text().startswith("P")]
    boxes = [(one.get_text(), one.get_window_extent(renderer)) for one in found]
    assert len(boxes) == 7
    for (first, a), (second, b) in combinations(boxes, 2):
        assert Bbox.intersection(a, b) is None, f"{first!r} and {second!r}"


def test_times_are_of_india_and_rupees_grouped_as_there() -> None:
    assert clock(OPEN) == "09:15"
    assert clock(at_ist(DAY, 15, 29, 59)) == "15:29"
    assert [compact(value, 1000) for value in (215505.4, 999_999, 1_250_000, 25_000_000, -2155)] == [
        "2,15,505", "9,99,999", "12.5 L", "2.5 Cr", "−2,155",
    ]  # fmt: skip
    assert compact(312.5, 3) == "312.50"
    assert compact(150_000, 1e6, sign=True) == "+1.5 L"
    assert [whole(paise) for paise in (123_456_78, -50, -49, 0)] == ["+₹1,23,457", "−₹1", "₹0", "₹0"]


def test_a_price_axis_shows_rupees_of_the_day() -> None:
    figure, _ = drawn(chart(375, 1))
    said = [label.get_text() for label in figure.axes[0].get_yticklabels() if label.get_text()]
    assert len(said) >= 3
    assert all(re.fullmatch(r"2,[012]\d\d", text) for text in said), said
