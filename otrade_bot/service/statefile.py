"""Small JSON files of the state folder, replaced as a whole: a reader sees the old one or the new one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from otrade_bot.core.jsonlines import sync_folder

__all__ = ["write_state"]

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW


def write_state(path: Path, document: Mapping[str, Any], *, durable: bool) -> None:
    """Replace ``path`` by ``document``, mode 0600. With ``durable`` it is on the disk at return.

    One writer a file. Raises OSError, and TypeError for what is no JSON. After an error the old file is
    there, but where only the flush of the folder failed.
    """
    raw = orjson.dumps(dict(document), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    beside = path.with_name(f"{path.name}.tmp")
    try:
        _write(beside, raw, durable)
        os.replace(beside, path)
    except BaseException:
        _remove(beside)
        raise
    if durable:
        sync_folder(path.parent)


def _write(path: Path, raw: bytes, durable: bool) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, _FLAGS, 0o600)
    with open(fd, "wb") as file:
        os.fchmod(fd, 0o600)
        file.write(raw)
        file.flush()
        if durable:
            os.fsync(fd)


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        return  # the error that led here is the one to tell
