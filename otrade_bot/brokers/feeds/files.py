"""Recorded ticks and bars from CSV files.

A file that is no price file at all is a DataException that names it. A bad line is never an error: it is
counted by reason and left out, because one broken line must not cost a day. Order, repeats and times
outside the session are not judged here; the kernel does that for live and recorded ticks alike.

Reasons: ``not_text`` (bytes that are not UTF-8, or a NUL), ``bad_columns`` (too few cells, broken quoting),
``bad_timestamp``, ``bad_price``, ``bad_volume``, and for bars ``bad_ohlc`` (high or low inside the body).
Blank lines are not data lines and are not counted.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from otrade_bot.brokers.feeds import cells
from otrade_bot.brokers.feeds.ticks import BarFile, Ints, TickFile
from otrade_bot.core.clock import MINUTE, iso
from otrade_bot.core.errors import DataException

__all__ = ["read_any", "read_bars", "read_ticks", "symbol_of", "write_ticks"]

_TICK_COLUMNS = ("timestamp", "ltp", "volume")
_OHLC = ("open", "high", "low", "close")
_MAGIC = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PAR1": "Parquet",
          b"\x28\xb5\x2f\xfd": "zstd", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}  # fmt: skip
_HEAD = 4096
# What people append to a symbol in a file's name: a date or period, "12_April", or the bar's length.
_TAIL = re.compile(
    r"_?(?:(?:19|20)\d{2}-\d{2}.*"
    r"|(?<=_)(?:19|20)\d{2}.*"
    r"|(?<=_)\d{1,2}_?(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)[A-Z]{0,6}(?:_?\d{2,4})?"
    r"|(?<=_)\d+_?(?:M|MIN|MINUTES?|H|HOURS?|S|SEC)"
    r"|(?<=_)(?:TICKS?|BARS?|OHLCV?))_?$",
    re.IGNORECASE,
)

Row = tuple[int, ...]
Parse = Callable[[Sequence[str]], Row | str]


@dataclass(frozen=True, slots=True)
class _Table:
    path: Path
    columns: tuple[str, ...]
    lines: list[bytes]

    def index(self, name: str) -> int:
        return self.columns.index(name)


def symbol_of(path: str | Path) -> str:
    """``NSE:`` and the file's stem in capitals, less what follows the symbol: a date or period
    (``WIPRO_2015-06_1min``, ``NIFTY_AUTO2021-06-01_``, ``TCS_12_April``) or a length (``WIPRO_1min``).

    Other underscores belong to the name (``NIFTY_BANK``). Raises DataException where nothing is left.
    """
    name = Path(path).stem.strip()
    while True:
        shorter = _TAIL.sub("", name)
        if shorter == name or not shorter:
            break
        name = shorter
    if not re.search(r"[A-Za-z0-9]", name):
        raise DataException(f"{path}: the file's name holds no symbol; expected e.g. RELIANCE.csv")
    return f"NSE:{name.upper()}"


def read_ticks(path: str | Path) -> TickFile:
    """Ticks from ``timestamp,ltp,volume`` in any column order; further columns are ignored.

    A timestamp without an offset is IST. Of several lines with the same whole second the k-th (from 0)
    gets k µs added, so that times are unique; a stamp that went back keeps its own older second.
    Raises DataException.
    """
    return _ticks(_load(Path(path)))


def read_bars(path: str | Path, *, label: str = "end") -> BarFile:
    """Bars from ``date,time,open,high,low,close[,volume]``, or with ``timestamp`` or ``datetime`` (or a
    ``date`` that holds both) in place of the first two. ``label`` says which end of the bar the time
    names: ``"end"`` or ``"start"``. Raises DataException; ValueError for another label.
    """
    if label not in ("end", "start"):
        raise ValueError(f"label must be 'end' or 'start', not {label!r}")
    return _bars(_load(Path(path)), label)


def read_any(path: str | Path, *, label: str = "end") -> TickFile | BarFile:
    """Ticks where the header has ``ltp``, bars where it has the four prices. Raises DataException."""
    table = _load(Path(path))
    if "ltp" in table.columns:
        return _ticks(table)
    if set(_OHLC) <= set(table.columns):
        return _bars(table, label)
    raise DataException(
        f"{path}: neither ticks ({','.join(_TICK_COLUMNS)}) nor bars (date,time,{','.join(_OHLC)}); "
        f"columns found: {_shown(table.columns)}"
    )


def write_ticks(ticks: TickFile, path: str | Path) -> None:
    """Write what ``read_ticks`` reads back unchanged. Raises OSError."""
    stamps = (iso(t - t % 1000) for t in ticks.ts.tolist())
    rows = zip(stamps, ticks.price.tolist(), ticks.volume.tolist(), strict=True)
    lines = (f"{stamp},{p // 100}.{p % 100:02d},{v}\n" for stamp, p, v in rows)
    Path(path).write_text("timestamp,ltp,volume\n" + "".join(lines), encoding="utf-8")


def _load(path: Path) -> _Table:
    data = _bytes(path)
    if data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
    lines = [line for line in data.splitlines() if line.strip()]
    if not lines:
        raise DataException(f"{path}: the file is empty")
    header = _split(lines[0])
    if header is None:
        raise DataException(f"{path}: the first line is not text; expected a header line")
    columns = tuple(cell.strip().strip('"').lower() for cell in header)
    return _Table(path, columns, lines[1:])


def _bytes(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            kind = "a directory" if path.is_dir() else "not a regular file"
            raise DataException(f"{path}: this is {kind}; expected a CSV file")
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataException(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataException(f"{path}: cannot be read: {reason}") from None
    kind = next((name for magic, name in _MAGIC.items() if data.startswith(magic)), "")
    if not kind and b"\0" in data[:_HEAD]:
        kind = "binary"
    if kind:
        raise DataException(f"{path}: this is a {kind} file; expected plain CSV text in UTF-8")
    return data


def _split(line: bytes) -> list[str] | None:
    """The cells of one line; None where it is not text, [] where its quoting is broken."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error:
        return []


def _shown(columns: Sequence[str]) -> str:
    text = ", ".join(column or "''" for column in columns)
    return text if len(text) <= 120 else text[:117] + "..."


def _require(table: _Table, wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in table.columns]
    if len(missing) == len(wanted):
        raise DataException(
            f"{table.path}: no header line; expected the columns {','.join(wanted)}, "
            f"the first line is: {_shown(table.columns)}"
        )
    if missing:
        raise DataException(
            f"{table.path}: column {', '.join(missing)} is missing; columns found: {_shown(table.columns)}"
        )


def _parse(table: _Table, width: int, parse: Parse) -> tuple[list[Row], dict[str, int]]:
    """Rows of the usable lines, and the others counted by reason. ``width``: fewest cells of a line."""
    rows: list[Row] = []
    dropped: Counter[str] = Counter()
    for line in table.lines:
        row = _split(line)
        if row is None:
            dropped["not_text"] += 1
        elif len(row) < width:
            dropped["bad_columns"] += 1
        else:
            parsed = parse(row)
            if isinstance(parsed, str):
                dropped[parsed] += 1
            else:
                rows.append(parsed)
    if not rows:
        why = ", ".join(f"{n} {reason}" for reason, n in sorted(dropped.items())) or "only a header"
        raise DataException(f"{table.path}: no usable line ({why})")
    return rows, dict(sorted(dropped.items()))


def _ticks(table: _Table) -> TickFile:
    _require(table, _TICK_COLUMNS)
    t, p, v = (table.index(name) for name in _TICK_COLUMNS)
    shared: dict[int, int] = {}

    def parse(row: Sequence[str]) -> Row | str:
        at = cells.moment(row[t])
        if at is None:
            return "bad_timestamp"
        if (price := cells.price(row[p])) is None:
            return "bad_price"
        if (volume := cells.volume(row[v])) is None:
            return "bad_volume"
        ns, whole = at
        if whole:
            seen = shared.get(ns, 0)
            shared[ns] = seen + 1
            # Not into the next second, however many share this one.
            ns += 1000 * min(seen, 999_999)
        return ns, price, volume

    rows, dropped = _parse(table, max(t, p, v) + 1, parse)
    ts, price, volume = _columns(rows)
    return TickFile(symbol_of(table.path), str(table.path), ts, price, volume, len(table.lines), dropped)


def _bars(table: _Table, label: str) -> BarFile:
    stamp = _stamp_columns(table)
    _require(table, _OHLC)
    prices = [table.index(name) for name in _OHLC]
    traded = table.index("volume") if "volume" in table.columns else -1

    def parse(row: Sequence[str]) -> Row | str:
        at = cells.moment(" ".join(row[i].strip() for i in stamp))
        if at is None:
            return "bad_timestamp"
        ohlc = [cells.price(row[i]) for i in prices]
        if None in ohlc:
            return "bad_price"
        volume = 0 if traded < 0 else cells.volume(row[traded])
        if volume is None:
            return "bad_volume"
        o, h, low, c = (x for x in ohlc if x is not None)
        return (at[0], o, h, low, c, volume) if h >= max(o, c) and low <= min(o, c) else "bad_ohlc"

    rows, dropped = _parse(table, max(*stamp, *prices, traded) + 1, parse)
    ts, o, h, low, c, v = _columns(rows)
    length = _bar_length(ts)
    ts_end = ts + length if label == "start" else ts
    symbol, source = symbol_of(table.path), str(table.path)
    return BarFile(symbol, source, ts_end, o, h, low, c, v, len(table.lines), length, dropped)


def _stamp_columns(table: _Table) -> tuple[int, ...]:
    """The columns that make up a bar's time."""
    if "date" in table.columns and "time" in table.columns:
        return table.index("date"), table.index("time")
    for name in ("timestamp", "datetime", "date"):
        if name in table.columns:
            return (table.index(name),)
    raise DataException(
        f"{table.path}: no time column; expected date,time or timestamp or datetime; "
        f"columns found: {_shown(table.columns)}"
    )


def _columns(rows: list[Row]) -> list[Ints]:
    """Rows to one contiguous int64 array a column."""
    return [np.ascontiguousarray(column) for column in np.array(rows, dtype=np.int64).T]


def _bar_length(ts: Ints) -> int:
    """The median distance between neighbours, ns; a minute where there is but one bar."""
    steps = np.diff(ts)
    steps = steps[steps > 0]
    return int(np.median(steps)) if len(steps) else MINUTE
