"""One picture of the terminal: values in, lines of text out. Needs rich, imported when first drawn.

Nothing is ever read as rich's markup: symbols and answers are ``Text``, whatever brackets they hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

from otrade_bot.control import words
from otrade_bot.control.reply import Reply
from otrade_bot.control.views import label
from otrade_bot.core.money import rupees_text
from otrade_bot.trading.snapshot import Position, RowView, StatusView

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

__all__ = ["SMALLEST", "Picture", "draw", "styled"]

#: Columns and lines below which the picture is cut rather than squeezed.
SMALLEST = (40, 10)

_WIDE = 120
_STYLES = {"b": "bold", "i": "italic", "code": "cyan", "pre": ""}
_PROMPT = "> "


@dataclass(frozen=True, slots=True)
class Picture:
    """All that is drawn. ``scroll`` is the answer's first line shown."""

    state: StatusView
    rows: Sequence[RowView]
    positions: Sequence[Position]
    events: Sequence[Reply]  #: newest last
    answer: Reply
    asked: str
    scroll: int
    line: str
    cursor: int
    speed: str = ""


def styled(reply: Reply) -> Text:
    """A Reply with its styles, as rich's Text."""
    from rich.text import Text

    out = Text()
    for run in reply.runs:
        out.append(run.text, " ".join(_STYLES[tag] for tag in run.tags).strip() or None)
    return out


def draw(picture: Picture, width: int, height: int, *, colour: bool = False) -> str:
    """Exactly ``height`` lines of at most ``width`` cells, joined by line feeds."""
    from rich.console import Console

    width, height = max(width, SMALLEST[0]), max(height, SMALLEST[1])
    out = StringIO()
    console = Console(
        file=out,
        width=width,
        height=height,
        force_terminal=colour,
        color_system="standard" if colour else None,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    body = height - 3
    wide = width >= _WIDE
    console.print(_header(picture, width), no_wrap=True, overflow="crop")
    console.print(_wide(picture, width, body) if wide else _narrow(picture, body))
    console.print(_input(picture, width), end="", no_wrap=True, overflow="crop")
    drawn = out.getvalue().split("\n")
    return "\n".join([*drawn[: height - 1], *[""] * (height - len(drawn)), drawn[-1]])


def _tone(amount: float) -> str:
    return "green" if amount > 0 else "red" if amount < 0 else ""


def _header(picture: Picture, width: int) -> Text:
    """Two lines: what run this is, and how it stands."""
    from rich.text import Text

    state = picture.state
    top = label(state) or f"LIVE · {state.broker}"
    speed = f" · speed {picture.speed}" if picture.speed else ""
    when = f" {words.day_text(state.now_ns)} {words.clock_text(state.now_ns)} IST · {state.phase}{speed}"
    first = Text(f" {top} ", "bold reverse").append(when, "not bold not reverse")
    entries = (
        "PAUSED"
        if state.paused
        else f"blocked: {'; '.join(state.blocks)}"
        if state.blocks
        else f"entries {state.window or 'allowed'}"
    )
    second = Text(" Net ").append(rupees_text(state.net, sign=True), f"bold {_tone(state.net)}".strip())
    second.append(
        f" (charges {rupees_text(state.charges)}) · rungs {state.open_rungs}/{state.max_rungs}"
        f" · trades {state.trades} · {entries}"
    )
    first.truncate(width, overflow="ellipsis")
    second.truncate(width, overflow="ellipsis")
    return first.append("\n").append(second)


def _input(picture: Picture, width: int) -> Text:
    """The line being typed, moved left where the cursor would leave the screen."""
    from rich.text import Text

    room = width - len(_PROMPT) - 1
    start = max(picture.cursor - room + 1, 0)
    shown = picture.line[start : start + room]
    at = picture.cursor - start
    out = Text(_PROMPT, "bold").append(shown[:at], "not bold")
    out.append(shown[at : at + 1] or " ", "not bold reverse").append(shown[at + 1 :], "not bold")
    if not picture.line:
        hint = "/help, /status, /positions ... Ctrl-C ends"
        out.append(" " + hint[: max(room - 2, 0)], "not bold dim")
    return out


def _narrow(picture: Picture, height: int) -> Group:
    """Everything below each other; an answer takes most of the room while it is shown."""
    from rich.console import Group

    asked = _answer_height(picture, height)
    left = height - asked
    prices = _share(len(picture.rows), left, 0.34)
    held = _share(len(picture.positions), left - prices, 0.55)
    events = left - prices - held
    parts: list[RenderableType] = []
    for size, part in ((prices, _prices), (held, _positions)):
        if size:
            parts.append(part(picture, size))
    if events:
        parts.append(_events(picture, events))
    if asked:
        parts.append(_answer(picture, asked))
    return Group(*parts)


def _answer_height(picture: Picture, height: int) -> int:
    if not picture.answer:
        return 0
    needed = picture.answer.to_plain().count("\n") + 3
    return min(needed, max(height - 9, 5), height)


def _share(rows: int, room: int, most: float) -> int:
    """Lines for a framed table with a heading: what it needs, at most a share of the room; 0 if too few."""
    size = min(max(rows, 1) + 3, max(int(room * most), 4))
    return size if room - size >= 3 else 0


def _wide(picture: Picture, width: int, height: int) -> Table:
    """Tables on the left; events and the answer on the right."""
    from rich.console import Group
    from rich.table import Table

    grid = Table.grid(padding=0)
    left = int(width * 0.55)
    grid.add_column(width=left, no_wrap=True)
    grid.add_column(width=width - left, no_wrap=True)
    prices = _share(len(picture.rows), height, 0.45)
    asked = min(_answer_height(picture, height) if picture.answer else 0, int(height * 0.75))
    right: list[RenderableType] = [_events(picture, height - asked)]
    if asked:
        right.append(_answer(picture, asked))
    grid.add_row(Group(_prices(picture, prices), _positions(picture, height - prices)), Group(*right))
    return grid


def _panel(content: RenderableType, title: str, height: int) -> Panel:
    from rich.box import ROUNDED
    from rich.panel import Panel
    from rich.text import Text

    return Panel(
        content, title=Text(title, "bold"), title_align="left", height=height, padding=(0, 1), box=ROUNDED
    )


def _table(*columns: tuple[str, str, int]) -> Table:
    """(heading, 'left' or 'right', ratio); ratio 0 takes what the content needs."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0), expand=True, header_style="dim", show_edge=False)
    for name, side, ratio in columns:
        table.add_column(
            name,
            justify="right" if side == "right" else "left",
            ratio=ratio or None,
            no_wrap=True,
            overflow="ellipsis",
        )
    return table


def _fitting(number: int, height: int) -> tuple[int, str]:
    """Rows that fit under a heading in a frame, and a note for the title where some do not."""
    room = max(height - 3, 0)
    return (number, "") if number <= room else (room, f" {room} of {number}")


def _prices(picture: Picture, height: int) -> Panel:
    from rich.text import Text

    shown, note = _fitting(len(picture.rows), height)
    table = _table(
        ("symbol", "left", 3), ("LTP ₹", "right", 2), ("change", "right", 2), ("strategy", "left", 3),
        ("warm-up", "left", 2),
    )  # fmt: skip
    for one in picture.rows[:shown]:
        table.add_row(
            Text(words.short(words.symbol_text(one.symbol), 40)),
            words.price(one.ltp) if one.ticks else "-",
            Text(words.percent(one.change, sign=True) if one.ticks else "-", _tone(one.change)),
            Text(one.strategy or "watched"),
            _warm(one),
        )
    return _panel(table, f"Prices{note}", height)


def _warm(one: RowView) -> str:
    if not one.strategy:
        return ""
    return "warm" if one.bars >= one.warm else f"{one.bars}/{one.warm}"


def _positions(picture: Picture, height: int) -> RenderableType:
    from rich.text import Text

    held = sorted(picture.positions, key=lambda one: (one.symbol, one.strategy, one.rung))
    if not held:
        return _panel(Text("No open position.", "dim"), "Positions", height)
    shown, note = _fitting(len(held), height)
    table = _table(
        ("symbol", "left", 3), ("rung", "left", 0), ("qty", "right", 0), ("average", "right", 2),
        ("LTP", "right", 2), ("stop", "right", 2), ("target", "right", 2), ("P&L ₹", "right", 2),
    )  # fmt: skip
    for one in held[:shown]:
        bare = "" if one.stop_resting or one.external else "!"
        table.add_row(
            Text(words.short(words.symbol_text(one.symbol), 40)),
            f"P{one.rung}" + ("*" if one.exiting else ""),
            str(int(one.side) * one.quantity),
            words.price(round(one.average)),
            words.price(one.ltp),
            Text((words.price(one.stop) if one.stop else "-") + bare, "red" if bare else ""),
            words.price(one.target) if one.target else "-",
            Text(words.whole_rupees(one.unrealised), _tone(one.unrealised)),
        )
    marks = " · ! stop not resting" if any(not (one.stop_resting or one.external) for one in held) else ""
    marks += " · * exiting" if any(one.exiting for one in held) else ""
    return _panel(table, f"Positions{note}{marks}", height)


def _events(picture: Picture, height: int) -> Panel:
    from rich.console import Group

    room = max(height - 2, 0)
    shown = [line for one in picture.events[-room:] for line in styled(one).split("\n")] if room else []
    newest = shown[-room:]
    for one in newest:
        one.no_wrap, one.overflow = True, "ellipsis"
    return _panel(Group(*newest), "Events", height)


def _answer(picture: Picture, height: int) -> Panel:
    from rich.console import Group

    room = max(height - 2, 0)
    everything = styled(picture.answer).split("\n", allow_blank=True)
    start = min(picture.scroll, max(len(everything) - room, 0))
    shown = list(everything[start : start + room])
    for one in shown:
        one.no_wrap, one.overflow = True, "ellipsis"
    more = (
        f" · lines {start + 1}-{start + len(shown)} of {len(everything)}, PgUp PgDn"
        if len(everything) > room
        else ""
    )
    return _panel(Group(*shown), f"{picture.asked or 'Answer'}{more} · Esc closes", height)
