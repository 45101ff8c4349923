"""Bars of the days before a day, as they were fetched for it: a restart need not ask a broker for them again.

One file a day in ``state/candles``, a line an instrument, so that nobody has all of it in his hands at once. It is an
aid alone: a torn one is none, a disk that is full costs the aid.
"""

from __future__ import annotations

import contextlib
import gzip
import os
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from otrade_bot.brokers.feeds import BarFile

__all__ = ["FOLDER", "PastBars"]

FOLDER = "candles"  #: in the state folder
_COLUMNS = ("ts_end", "open", "high", "low", "close", "volume")
_AS_LINES = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
#: Files of so many days are kept.
KEPT = 2


class PastBars:
    """``folder`` is made where it is missing. Bars are kept by symbol, with the word that they were asked for by."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, day: date, wanted: Mapping[str, str]) -> dict[str, BarFile]:
        """What is kept for ``day`` of ``wanted``: symbol → the word that its bars must have been asked for by."""
        with contextlib.suppress(Exception), gzip.open(self._path(day), "rb") as lines:
            rows = (orjson.loads(line) for line in lines)
            return {
                row["symbol"]: _bars(row["symbol"], row) for row in rows if wanted.get(row["symbol"]) == row["asked"]
            }
        return {}

    def keep(self, day: date, bars: Mapping[str, tuple[str, BarFile]]) -> bool:
        """Replace the day's file; earlier days' go. Whether it is on the disk; raises nothing."""
        path = self._path(day)
        beside = path.with_name(f"{path.name}.tmp")
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            opened = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(opened, "wb") as file, gzip.GzipFile("", "wb", 1, file, mtime=0) as packed:
                for symbol, (asked, one) in bars.items():
                    packed.write(orjson.dumps(_row(symbol, asked, one), option=_AS_LINES))
            os.replace(beside, path)
            for other in sorted(self._files())[:-KEPT]:
                other.unlink(missing_ok=True)
            return True
        return False

    def _path(self, day: date) -> Path:
        return self._folder / f"{day}.json.gz"

    def _files(self) -> Iterator[Path]:
        return self._folder.glob("????-??-??.json.gz")


def _row(symbol: str, asked: str, file: BarFile) -> dict[str, Any]:
    columns = {name: getattr(file, name) for name in _COLUMNS}
    return {"symbol": symbol, "asked": asked, "source": file.source, "length": file.length, **columns}


def _bars(symbol: str, row: Mapping[str, Any]) -> BarFile:
    """Raises whatever is wrong with the row."""
    ends, *rest = (np.array(row[name], np.int64) for name in _COLUMNS)
    if any(column.shape != ends.shape or column.ndim != 1 for column in rest):
        raise ValueError("columns of different lengths")
    o, h, low, c, volume = rest
    return BarFile(symbol, str(row["source"]), ends, o, h, low, c, volume, len(ends), int(row["length"]))
