"""A chat as a phone shows it: messages with their entities, pictures and buttons, as one PNG.

Uses the fonts that come with matplotlib. They have no shaping for Indian scripts, so Hindi is not for these pictures.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any

os.environ.setdefault("MPL_IGNORE_SYSTEM_FONTS", "1")
import matplotlib
from PIL import Image, ImageDraw, ImageFont

__all__ = ["Bubble", "chat"]

WIDTH, MARGIN, PAD, GAP = 760, 18, 22, 12
SIZE, FIXED, SMALL = 29, 26, 22
LEADING = 1.32
_FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
_FILES = {
    "": "DejaVuSans.ttf", "bold": "DejaVuSans-Bold.ttf", "italic": "DejaVuSans-Oblique.ttf",
    "bold italic": "DejaVuSans-BoldOblique.ttf", "code": "DejaVuSansMono.ttf", "pre": "DejaVuSansMono.ttf",
}  # fmt: skip


@dataclass(frozen=True)
class Theme:
    ground: str
    bar: str
    ours: str  #: what a person writes
    theirs: str
    ink: str
    faint: str
    code: str
    block: str
    button: str


LIGHT = Theme("#d5dfd0", "#517da2", "#e2fcc9", "#ffffff", "#101418", "#8a979f", "#1d6fa5", "#eef2f5", "#8fa58a")
DARK = Theme("#0e1621", "#17212b", "#2b5278", "#182533", "#f2f5f8", "#7f91a4", "#7cc0f2", "#0f1923", "#243447")


@dataclass(frozen=True)
class Bubble:
    """One message. ``entities`` as the Bot API has them: offsets and lengths in UTF-16 units."""

    text: str
    entities: Sequence[dict[str, Any]] = ()
    mine: bool = False
    rows: Sequence[Sequence[str]] = ()
    picture: bytes | None = field(default=None, repr=False)
    toast: bool = False


Piece = tuple[str, str]  #: characters, style
Line = tuple[list[Piece], bool]  #: pieces, and whether they are of a block of fixed width


def chat(bubbles: Sequence[Bubble], title: str, *, dark: bool = False) -> bytes:
    """The whole chat below each other."""
    look = DARK if dark else LIGHT
    made = [_bubble(one, look) for one in bubbles]
    height = 84 + GAP + sum(one.height + GAP for one in made) + GAP
    whole = Image.new("RGB", (WIDTH, height), look.ground)
    _bar(ImageDraw.Draw(whole), look, title)
    y = 84 + GAP
    for bubble, one in zip(bubbles, made, strict=True):
        x = WIDTH - MARGIN - one.width if bubble.mine else (WIDTH - one.width) // 2 if bubble.toast else MARGIN
        whole.paste(one, (x, y), one)
        y += one.height + GAP
    out = BytesIO()
    whole.quantize(128, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def _bar(draw: ImageDraw.ImageDraw, look: Theme, title: str) -> None:
    draw.rectangle((0, 0, WIDTH, 84), fill=look.bar)
    draw.ellipse((20, 14, 76, 70), fill="#f2b33d")
    draw.text((48, 42), "OT", font=_font("bold", 24), fill="#3a2a05", anchor="mm")
    draw.text((94, 28), "OTrade Bot", font=_font("bold", 26), fill="#ffffff", anchor="lm")
    draw.text((94, 60), title, font=_font("", 20), fill="#dfe9f1", anchor="lm")


def _bubble(one: Bubble, look: Theme) -> Image.Image:
    most = WIDTH - 2 * MARGIN - 2 * PAD
    lines = list(_wrapped(one, most))
    picture = _scaled(one.picture, most + 2 * PAD) if one.picture else None
    inner = max([_length(pieces) for pieces, _ in lines], default=0)
    inner = most if picture or one.rows else min(most, max(inner, 60))
    width = int(inner) + 2 * PAD
    tops = [0.0]
    for _, block in lines:
        tops.append(tops[-1] + (FIXED if block else SIZE) * LEADING)
    above = picture.height if picture else 0
    body = above + (int(tops[-1]) + 2 * PAD - 8 if lines else 0)
    whole = Image.new("RGBA", (width, body + len(one.rows) * 70), (0, 0, 0, 0))
    draw = ImageDraw.Draw(whole)
    draw.rounded_rectangle((0, 0, width - 1, body - 1), 22, fill=look.ours if one.mine else look.theirs)
    if picture:
        whole.paste(picture, (0, 0), _rounded(picture.size))
    _blocks(draw, look, lines, tops, above, width)
    for (pieces, block), top in zip(lines, tops, strict=False):
        _line(draw, look, pieces, PAD, above + PAD - 6 + top, FIXED if block else SIZE)
    for at, labels in enumerate(one.rows):
        _buttons(draw, look, labels, width, body + at * 70 + 8)
    return whole


def _scaled(png: bytes, width: int) -> Image.Image:
    image = Image.open(BytesIO(png)).convert("RGB")
    return image.resize((width, image.height * width // image.width), Image.Resampling.LANCZOS)


def _rounded(size: tuple[int, int]) -> Image.Image:
    mask = Image.new("L", size, 0)
    draw = ImageDraw.Draw(mask)
    draw.rounded_rectangle((0, 0, size[0] - 1, size[1] + 30), 22, fill=255)
    return mask


def _blocks(
    draw: ImageDraw.ImageDraw, look: Theme, lines: Sequence[Line], tops: Sequence[float], above: int, width: int
) -> None:
    """A ground behind each block of fixed width."""
    at = 0
    for block, group in groupby(lines, key=lambda line: line[1]):
        count = len(list(group))
        if block:
            box = (10, above + PAD - 8 + tops[at], width - 10, above + PAD - 4 + tops[at + count])
            draw.rounded_rectangle(box, 8, fill=look.block)
        at += count


def _line(draw: ImageDraw.ImageDraw, look: Theme, pieces: Sequence[Piece], x: float, y: float, size: int) -> None:
    for said, style in pieces:
        font = _font(style, FIXED if style in ("code", "pre") else size)
        draw.text((x, y + size), said, font=font, fill=look.code if style == "code" else look.ink, anchor="ls")
        x += font.getlength(said)


def _buttons(draw: ImageDraw.ImageDraw, look: Theme, labels: Sequence[str], width: int, y: int) -> None:
    each = (width - 8 * (len(labels) - 1)) / len(labels)
    for at, label in enumerate(labels):
        x = at * (each + 8)
        draw.rounded_rectangle((x, y, x + each, y + 58), 14, fill=look.button)
        size = SIZE - 4
        while size > 14 and _font("", size).getlength(label) > each - 16:
            size -= 1
        draw.text((x + each / 2, y + 29), label, font=_font("", size), fill="#ffffff", anchor="mm")


@cache
def _font(style: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_FONTS / _FILES[style]), size)


def _length(pieces: Sequence[Piece]) -> float:
    return sum(_font(style, FIXED if style in ("code", "pre") else SIZE).getlength(said) for said, style in pieces)


def _wrapped(one: Bubble, most: float) -> Iterator[Line]:
    """Lines that fit: broken at spaces, a word that is too long anywhere."""
    styles = _styles(one.text, one.entities)
    at = 0
    for paragraph in one.text.split("\n"):
        own = styles[at : at + len(paragraph)]
        at += len(paragraph) + 1
        block = bool(own) and all(style == "pre" for style in own)
        yield from ((line, block) for line in _broken(paragraph, own, most))


def _broken(paragraph: str, styles: Sequence[str], most: float) -> Iterator[list[Piece]]:
    begin, end, space = 0, 0, -1
    while end < len(paragraph):
        if paragraph[end] == " ":
            space = end
        if _length(_pieces(paragraph[begin : end + 1], styles[begin : end + 1])) > most and end > begin:
            cut = space if space > begin else end
            yield _pieces(paragraph[begin:cut], styles[begin:cut])
            begin = cut + 1 if cut == space else cut
            space, end = -1, begin
            continue
        end += 1
    yield _pieces(paragraph[begin:], styles[begin:])


def _pieces(said: str, styles: Sequence[str]) -> list[Piece]:
    groups = groupby(zip(said, styles, strict=True), lambda one: one[1])
    return [("".join(character for character, _ in group), style) for style, group in groups]


def _styles(text: str, entities: Sequence[dict[str, Any]]) -> list[str]:
    """The style of each character."""
    units = [0]
    for character in text:
        units.append(units[-1] + (2 if character > "\uffff" else 1))
    found: list[set[str]] = [set() for _ in text]
    for entity in entities:
        begin, end = entity["offset"], entity["offset"] + entity["length"]
        for at in range(len(text)):
            if begin <= units[at] < end:
                found[at].add(entity["type"])
    return [_style(types) for types in found]


def _style(types: set[str]) -> str:
    for fixed in ("pre", "code"):
        if fixed in types:
            return fixed
    return " ".join(style for style in ("bold", "italic") if style in types)
