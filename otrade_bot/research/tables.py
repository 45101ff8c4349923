"""A file of prices to columns: which column is what, and one file's lines by symbol.

CSV by ourselves; Parquet by polars (extra ``research``); tapes by ``research.tape``. CSV and Parquet end as the same
columns, so what is read of a file does not depend on its format. Bad lines are counted by reason and left out, as the
live feed does (``brokers/feeds/files``); a file that is no price file at all is a DataException that names it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from otrade_bot.brokers.feeds import cells, symbol_of
from otrade_bot.brokers.feeds.ticks import Ints
from otrade_bot.core.errors import DataException
from otrade_bot.research.stamps import DAILY, instants
from otrade_bot.research.tape import ticks_of

__all__ = ["Columns", "Part", "read_parts"]

_OHLC = ("open", "high", "low", "close")
#: What columns are called, squeezed to letters and digits; the first that a file has counts.
_NAMES = {
    "stamp": "timestamp datetime dateandtime datetimeist ts exchangetimestamp exchangetime lasttradetime ltt epoch "
             "unixtime unix time date",
    "date": "date tradedate day dtyyyymmdd yyyymmdd",
    "time": "time tradetime hhmm hhmmss",
    "open": "open o openprice",
    "high": "high h highprice",
    "low": "low l lowprice",
    "close": "close c closeprice",
    "ltp": "ltp lasttradedprice lastprice last price tradeprice",
    "volume": "volume vol v volumetraded tradedvolume totaltradedquantity totalvolume cumulativevolume dayvolume",
    "traded": "ltq lasttradedquantity lastquantity lastqty tradedquantity quantity qty",
    "symbol": "symbol ticker tradingsymbol instrument scrip stock stockname",
}  # fmt: skip
_SYMBOL = re.compile(r"(?:[A-Z]{2,6}:)?[A-Z0-9][A-Z0-9&_. -]{0,39}")
_MAGIC = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz",
          b"\x28\xb5\x2f\xfd": "zstd", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}  # fmt: skip
PARQUET = b"PAR1"
_ALLOWED = "a CSV or Parquet file of ticks (timestamp,ltp,volume) or bars (date,time,open,high,low,close[,volume])"


@dataclass(slots=True)
class Columns:
    """One file's cells as text, a list a column, all of the same length; ``lines`` counts the torn ones too."""

    path: Path
    names: tuple[str, ...]
    cells: list[Sequence[str]]
    lines: int
    dropped: dict[str, int] = field(default_factory=dict)

    def find(self, role: str) -> int:
        """The column of a role; -1 where the file has none."""
        squeezed = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in self.names]
        return next((squeezed.index(word) for word in _NAMES[role].split() if word in squeezed), -1)

    def drop(self, reason: str, count: int) -> None:
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one file says of one symbol, in file order. ``ts`` is ns UTC as written (which end of a bar it names is not
    known here), prices are paise. A tick is four times the same price; its ``volume`` is the day's so far, or, where
    ``per_tick``, what was traded since the last."""

    symbol: str
    source: str
    bars: bool
    ts: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    per_tick: bool = False

    def __len__(self) -> int:
        return len(self.ts)


def read_parts(path: Path) -> tuple[list[Part], Columns]:
    """The symbols of a file, in the order in which it names them. Raises DataException."""
    if path.suffix == ".tape":
        return _tape(path)
    table = _parquet(path) if _head(path).startswith(PARQUET) else _csv(path)
    bars = all(table.find(name) >= 0 for name in _OHLC)
    price = -1 if bars and "ltp" not in (name.lower() for name in table.names) else table.find("ltp")
    if price < 0 and not bars:
        raise DataException(_no_prices(table))
    bars = price < 0
    good, ts, whole, prices, volume = _numbers(table, bars, price)
    named = table.find("symbol")
    groups = _by_symbol(table, table.cells[named], good) if named >= 0 else [(symbol_of(path), good)]
    o, h, low, c = prices
    per_tick = not bars and table.find("volume") < 0 and table.find("traded") >= 0
    parts = [
        Part(symbol, str(path), bars, ts[keep] if bars else _spread(ts[keep], whole[keep]),
             o[keep], h[keep], low[keep], c[keep], volume[keep], per_tick)
        for symbol, keep in groups if keep.any()
    ]  # fmt: skip
    if not parts:
        raise DataException(f"{path}: no usable line ({_why(table)})")
    return parts, table


Numbers = tuple[NDArray[np.bool_], Ints, NDArray[np.bool_], list[Ints], Ints]


def _tape(path: Path) -> tuple[list[Part], Columns]:
    """What the service has recorded of a day: the prices as they were offered."""
    _head(path)
    files = ticks_of(path)
    parts = [
        Part(one.symbol, str(path), False, one.ts, one.price, one.price, one.price, one.price, one.volume)
        for one in files
    ]  # fmt: skip
    return parts, Columns(path, (), [], sum(one.lines for one in files))


def _numbers(table: Columns, bars: bool, price: int) -> Numbers:
    """Which lines are fit to use (``dropped`` counts the rest); then of all of them the time, whether it is a whole
    second, open, high, low and close, and volume."""
    if not table.cells[0]:
        raise DataException(f"{table.path}: no usable line ({_why(table) or 'only a header'})")
    stamp, whole = instants([table.cells[at] for at in _stamp_columns(table)])
    if (stamp == DAILY).all():
        raise DataException(f"{table.path}: a date without a time of day; allowed: ticks, or bars of 1 to 60 minutes")
    spots = [table.find(name) for name in _OHLC] if bars else [price]
    known: dict[str, int] = {}
    prices = [_column(table.cells[at], cells.price, known) for at in spots]
    volume = _volume(table)
    good = _judge(table, [("bad_timestamp", stamp >= 0), ("bad_price", np.all([p > 0 for p in prices], axis=0)),
                          ("bad_volume", volume >= 0)])  # fmt: skip
    if not bars:
        return good, stamp, whole, prices * 4, volume
    o, h, low, c = prices
    body = (h >= np.maximum(o, c)) & (low <= np.minimum(o, c))
    table.drop("bad_ohlc", int((good & ~body).sum()))
    return good & body, stamp, whole, prices, volume


def _volume(table: Columns) -> Ints:
    """0 where the file has none, or an empty column of it."""
    at = table.find("volume") if table.find("volume") >= 0 else table.find("traded")
    found = _column(table.cells[at], cells.volume, {}) if at >= 0 else np.zeros(len(table.cells[0]), np.int64)
    return np.zeros_like(found) if (found < 0).all() else found


def _judge(table: Columns, tests: Sequence[tuple[str, NDArray[np.bool_]]]) -> NDArray[np.bool_]:
    """Lines that pass all; each of the others is counted for the first that it fails."""
    good = np.ones(len(tests[0][1]), np.bool_)
    for reason, passed in tests:
        table.drop(reason, int((good & ~passed).sum()))
        good = good & passed
    return good


def _spread(ts: Ints, whole: NDArray[np.bool_]) -> Ints:
    """Of several ticks with the same whole second the k-th (from 0) gets k µs, so that times are unique; a stamp that
    went back keeps its own older second."""
    order = np.argsort(ts, kind="stable")
    sorted_ts = ts[order]
    at = np.arange(len(ts))
    first = np.concatenate(([True], sorted_ts[1:] != sorted_ts[:-1]))
    seen = np.empty(len(ts), np.int64)
    seen[order] = at - np.maximum.accumulate(np.where(first, at, 0))
    return ts + np.where(whole, 1000 * np.minimum(seen, 999_999), 0)


def _by_symbol(table: Columns, names: Sequence[str], good: NDArray[np.bool_]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Each symbol's lines, symbols in the order of their first line."""
    known: dict[str, int] = {}
    codes = np.empty(len(names), np.int64)
    for at, name in enumerate(names):
        code = known.get(name)
        if code is None:
            known[name] = code = len(known)
        codes[at] = code
    merged: dict[str, NDArray[np.bool_]] = {}
    for name, code in known.items():
        symbol = re.sub(r"\.NSE?$", "", name.strip().strip("\"'").upper())  # RELIANCE.NS, RELIANCE.NSE
        mine = codes == code
        if not _SYMBOL.fullmatch(symbol):
            table.drop("bad_symbol", int((mine & good).sum()))
            continue
        symbol = symbol if ":" in symbol else f"NSE:{symbol}"
        merged[symbol] = merged.get(symbol, np.zeros(len(names), np.bool_)) | mine
    return [(symbol, mine & good) for symbol, mine in merged.items()]


def _column(texts: Sequence[str], read: Callable[[str], int | None], known: dict[str, int]) -> Ints:
    """Each text once through ``read``, as prices lie on a grid and repeat. -1 where there is no number."""
    for text in set(texts).difference(known):
        known[text] = -1 if (value := read(text)) is None else value
    return np.array([known[text] for text in texts], np.int64)


def _stamp_columns(table: Columns) -> list[int]:
    """The column of the time, or those of the date and of the time."""
    squeezed = {re.sub(r"[^a-z0-9]", "", name.lower()) for name in table.names}
    alone = squeezed & (set(_NAMES["stamp"].split()) - {"time", "date"})
    date_at, time_at = table.find("date"), table.find("time")
    if not alone and date_at >= 0 and time_at >= 0:
        return [date_at, time_at]
    at = table.find("stamp")
    if at < 0:
        raise DataException(
            f"{table.path}: no time column; expected timestamp, or datetime, or date,time; "
            f"columns found: {_shown(table.names)}"
        )
    return [at]


def _why(table: Columns) -> str:
    return ", ".join(f"{n} {reason}" for reason, n in sorted(table.dropped.items()))


def _no_prices(table: Columns) -> str:
    if not any(table.find(role) >= 0 for role in _NAMES):
        return f"{table.path}: no header line; expected {_ALLOWED}; the first line is: {_shown(table.names)}"
    missing = [name for name in _OHLC if table.find(name) < 0]
    if len(missing) < len(_OHLC):
        return f"{table.path}: column {', '.join(missing)} is missing; columns found: {_shown(table.names)}"
    return f"{table.path}: neither ltp nor open,high,low,close; columns found: {_shown(table.names)}"


def _shown(columns: Sequence[str]) -> str:
    text = ", ".join(column or "''" for column in columns)
    return text if len(text) <= 120 else text[:117] + "..."


# --- CSV ---


def _head(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise DataException(f"{path}: this is no regular file; expected {_ALLOWED}")
        with path.open("rb") as file:
            return file.read(4096)
    except FileNotFoundError:
        raise DataException(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataException(f"{path}: cannot be read: {reason}") from None


def _csv(path: Path) -> Columns:
    head = _head(path)
    kind = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "")
    if kind or b"\0" in head:
        raise DataException(f"{path}: this is a {kind or 'binary'} file; expected {_ALLOWED}")
    text = path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    lines = [line for line in re.split(r"\r\n|\r|\n", text) if line and not line.isspace()]
    if not lines:
        raise DataException(f"{path}: the file is empty")
    mark = next((mark for mark in ",;\t|" if mark in lines[0]), ",")
    names = tuple(cell.strip().strip("<>\"' ") for cell in lines[0].split(mark))
    if "�" in lines[0]:
        raise DataException(f"{path}: the first line is not text; expected a header line")
    table = Columns(path, names, [], len(lines) - 1)
    del lines[0]
    if lines and not any(odd in text for odd in '"\0�') and all(line.count(mark) == len(names) - 1 for line in lines):
        flat = mark.join(lines).split(mark)  # half of the time that a list a line takes
        table.cells = [flat[at :: len(names)] for at in range(len(names))]
        return table
    rows = list(_split(table, lines, mark))
    table.cells = list(zip(*rows, strict=True)) if rows else [() for _ in names]
    return table


def _split(table: Columns, lines: Sequence[str], mark: str) -> Iterator[Sequence[str]]:
    """The cells of each whole line; torn ones are counted."""
    width = len(table.names)
    torn = odd = 0
    for line in lines:
        if "�" in line or "\0" in line:
            odd += 1
            continue
        cells = line.split(mark) if '"' not in line else _unquoted(line, mark)
        if len(cells) == width:
            yield cells
        elif len(cells) > width and not any(cells[width:]):
            yield cells[:width]  # commas at the end of the line
        else:
            torn += 1
    table.drop("bad_columns", torn)
    table.drop("not_text", odd)


def _unquoted(line: str, mark: str) -> list[str]:
    try:
        return next(csv.reader(StringIO(line), delimiter=mark, strict=True))
    except (csv.Error, StopIteration):
        return []


# --- Parquet ---


def _parquet(path: Path) -> Columns:
    """Parquet's cells as a CSV would have them. Raises DataException."""
    try:
        import polars as pl
    except ImportError:
        raise DataException(f"{path}: Parquet needs polars; pip install 'otrade-bot[research]', or give CSV") from None
    try:
        frame = pl.read_parquet(path)
    except Exception as error:
        said = " ".join(str(error).split())[:120]
        raise DataException(f"{path}: this Parquet file cannot be read: {said}") from None
    cells = [_texts(pl, frame.get_column(name)) for name in frame.columns]
    return Columns(path, tuple(frame.columns), cells, frame.height)


def _texts(pl: Any, column: Any) -> Sequence[str]:
    """A column as text; moments as ISO, those without a zone as Indian time."""
    kind = column.dtype
    if isinstance(kind, pl.Datetime):
        if kind.time_zone is not None:
            column = column.dt.convert_time_zone("Asia/Kolkata").dt.replace_time_zone(None)
        column = column.dt.strftime("%Y-%m-%d %H:%M:%S%.f")
    elif isinstance(kind, pl.Date | pl.Time):
        column = column.dt.to_string("%Y-%m-%d" if isinstance(kind, pl.Date) else "%H:%M:%S")
    elif not isinstance(kind, pl.String):
        return ["" if value is None else str(value) for value in column.to_list()]
    return [value or "" for value in column.to_list()]
