"""Long answers on a phone: one page at a time, turned by buttons that edit the message.

The page is a word at the end of the line ("/orders 60 page 2"), so the same command runs again and shows what is so
by then. Only what reads is paged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape

from otrade_bot.control.reply import Action, Reply, Run, italic, lines, text
from otrade_bot.core.lang import t

__all__ = ["PAGE", "numbered", "paged"]

#: Longest page, UTF-16 units of its HTML without tags: some three screens of a phone.
PAGE = 3000


def numbered(pieces: Sequence[str]) -> tuple[list[str], int | None]:
    """The words without the page at their end, and its number; None where there is none."""
    if len(pieces) >= 2 and pieces[-2].casefold() == "page" and pieces[-1].isdecimal() and len(pieces[-1]) <= 4:
        return list(pieces[:-2]), int(pieces[-1])
    return list(pieces), None


def paged(said: Reply, line: str, number: int | None, *, from_end: bool = False, size: int = PAGE) -> Reply:
    """One page of ``said`` with buttons to its neighbours; all of it where that is one page, or comes with a picture.

    ``line`` is the command without the page. A number that is none counts as the nearest; without one it is the first,
    or the last where the newest stands at the end (``from_end``). The heading, its first line, stands on every page.
    """
    if said.picture is not None or not said:
        return said
    pages = _pages(said, size)
    if len(pages) == 1:
        return said
    at = min(max(number or (len(pages) if from_end else 1), 1), len(pages))
    shown = pages[at - 1] if at == 1 else lines(_heading(said), pages[at - 1])
    foot = italic(t("Page {page} of {pages}", page=at, pages=len(pages)))
    turns = [
        Action(label, f"{line} page {there}", edit=True)
        for there, label in (
            (at - 1, t("‹ Page {page}", page=at - 1)),
            (at + 1, t("Page {page} ›", page=at + 1)),
        )
        if 1 <= there <= len(pages)
    ]
    return replace(said, runs=lines(shown, foot).runs, actions=(*turns, *said.actions))


def _pages(said: Reply, size: int) -> list[Reply]:
    """Cut before lines that are not indented: those belong to the one above."""
    pages: list[Reply] = []
    page: tuple[Run, ...] = ()
    length = 0
    for block in _blocks(said.runs, size // 4):
        units = _units(block)
        if page and length + units > size:
            pages.append(_trimmed(page))
            page, length = (), 0
        page, length = (*page, *block), length + units
    pages.append(_trimmed(page))
    return [part for one in pages for part in (one.split(size) if _units(one.runs) > size else [one])]


def _blocks(runs: tuple[Run, ...], most: int = 0) -> list[list[Run]]:
    """Lines with the indented ones below them; single lines where together they are longer than ``most``."""
    rows = _rows(runs)
    blocks: list[list[list[Run]]] = []
    for row in rows:
        if not blocks or not row[0].text.startswith(" "):
            blocks.append([])
        blocks[-1].append(row)
    found: list[list[Run]] = []
    for block in blocks:
        whole = [run for row in block for run in row]
        found += block if most and _units(whole) > most else [whole]
    return found


def _rows(runs: tuple[Run, ...]) -> list[list[Run]]:
    rows: list[list[Run]] = []
    fresh = True
    for run in runs:
        for piece in run.text.splitlines(keepends=True):
            if fresh:
                rows.append([])
            rows[-1].append(Run(piece, run.tags))
            fresh = piece.endswith("\n")
    return rows


def _units(runs: Sequence[Run]) -> int:
    """UTF-16 units of the HTML, without its tags: neighbours share theirs."""
    return sum(len(escape(run.text, quote=False).encode("utf-16-le")) // 2 for run in runs)


def _trimmed(runs: tuple[Run, ...]) -> Reply:
    """Without the line break at its end."""
    if runs and runs[-1].text.endswith("\n"):
        runs = (*runs[:-1], Run(runs[-1].text[:-1], runs[-1].tags))
    return text(Reply(runs))


def _heading(said: Reply) -> Reply:
    return _trimmed(tuple(_rows(said.runs)[0]))
