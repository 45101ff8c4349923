"""Pictures at the terminal: a file, and a line that says where."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from otrade_bot.control.reply import Reply, code, lines, text
from otrade_bot.core.lang import t

__all__ = ["saved", "with_pictures"]

Answer = Callable[[str], Awaitable[Reply]]
#: So many are kept; older ones go.
MOST = 100


def with_pictures(answer: Answer, folder: Path) -> Answer:
    """The same answers, each picture saved in ``folder``."""

    async def told(line: str) -> Reply:
        return saved(await answer(line), folder)

    return told


def saved(said: Reply, folder: Path) -> Reply:
    """The words, and where the picture is now; where it cannot be written, why."""
    if said.picture is None:
        return said
    words = Reply(said.runs, said.actions)
    name = re.sub(r"[^\w.-]+", "-", said.picture.name).lstrip(".")
    path = folder / f"{time.strftime('%H%M%S')}-{name}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(said.picture.png)
        _thin_out(folder)
    except OSError as error:
        return lines(words, t("The picture cannot be saved: {why}", why=error.strerror or error))
    return lines(words, text(t("Picture: "), code(str(path))))


def _thin_out(folder: Path) -> None:
    """Only what was made here is removed: a terminal is used for months."""
    ours = sorted(folder.glob("*.png"), key=lambda path: path.stat().st_mtime)
    for path in ours[:-MOST]:
        os.unlink(path)
