"""A day's tape: every input that the kernel was given, and what it was when the recording began.

``state/tape/YYYY-MM-DD.NNN.tape``, one file a segment: a start, a restart and a day that is opened again begin the
next. A line of JSON says what was traded with which kernel, blocks follow (``research.tape_blocks``): BEGIN has the
arrays, INPUTS the prices, events and intents, CHANGE what Python has written, MARK fingerprints to compare with.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from otrade_bot.brokers.feeds import TickFile
from otrade_bot.core.errors import DataException
from otrade_bot.kernel import state as abi
from otrade_bot.research.tape_blocks import BEGIN, CHANGE, INPUTS, MARK, Block, Inputs, blocks, unpack_inputs

__all__ = [
    "Begin", "Change", "Header", "Mark", "Segment", "describe", "file_name", "pack_begin", "pack_change", "pack_mark",
    "parse", "read_segment", "tape_folder", "tapes", "ticks_of",
]  # fmt: skip

Array = npt.NDArray[Any]

VERSION = 1
_NAME = re.compile(r"^(\d{4}-\d{2}-\d{2})\.(\d{1,4})\.tape$")
_MOST_LINE, _MOST_ROWS, _MOST_WIDTH = 1 << 22, 1 << 16, 1 << 16
_MARK = struct.Struct("<qQIIIII")  #: moment, inputs before, their digest, that of params, first row, rows, last
_CHANGE = struct.Struct("<I")


def tape_folder(state_dir: Path) -> Path:
    """Of a state folder."""
    return state_dir / "tape"


def file_name(day: date, number: int) -> str:
    """Filled up with zeros, so that names stand in the order of their segments."""
    return f"{day.isoformat()}.{number:03}.tape"


def tapes(folder: Path, day: date | None = None) -> list[tuple[date, int, Path]]:
    """The files of ours in the folder (of one day), in the order in which they were recorded."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _NAME.match(path.name)
        if match is None or path.is_symlink():
            continue
        try:
            of = date.fromisoformat(match[1])
        except ValueError:
            continue
        if day in (None, of):
            found.append((of, int(match[2]), path))
    return sorted(found)


# --- the parts ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a segment. ``sids``: the kernel's strategies in their order; ``strategies``: of each row, ''
    where it is only watched; ``row``, ``params``: the dtypes as lists of (name, format[, length])."""

    day: date
    segment: int
    kernel: str
    symbols: tuple[str, ...]
    strategies: tuple[str, ...]
    sids: tuple[str, ...]
    instance: str
    began: int
    row: list[list[Any]]
    params: list[list[Any]]

    def line(self) -> bytes:
        """As it is written."""
        return orjson.dumps({
            "otrade_tape": VERSION, "day": self.day.isoformat(), "segment": self.segment, "kernel": self.kernel,
            "symbols": self.symbols, "strategies": self.strategies, "sids": self.sids, "instance": self.instance,
            "began": self.began, "row": self.row, "params": self.params, "event": list(abi.EVENT.names or ()),
            "intent": list(abi.INTENT.names or ()), "account": list(abi.ACCOUNT.names or ()),
        }) + b"\n"  # fmt: skip

    @property
    def rows(self) -> int:
        return len(self.symbols)

    def numbered(self, segment: int) -> Header:
        return replace(self, segment=segment)


def describe(dtype: np.dtype[Any]) -> list[list[Any]]:
    """A dtype for the header."""
    return [
        [name, dtype[name].base.str, *(list(dtype[name].shape) if dtype[name].shape else [])]
        for name in dtype.names or ()
    ]


@dataclass(frozen=True, slots=True)
class Begin:
    """The arrays, as bytes."""

    state: bytes
    account: bytes
    params: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """What Python has written: the account as it is now, and these rows' params."""

    account: bytes
    rows: Array
    params: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """How it stood before the input that follows. ``rows`` are those from ``first`` on whose fingerprints these are."""

    ts: int
    inputs: int
    digest: int
    params: int
    first: int
    rows: Array
    account: bytes
    last: bool  #: the segment was ended in good order


@dataclass(slots=True)
class Segment:
    """``parts`` reads on as it is asked; ``dropped`` is known after that: the bytes of a flush that was cut off."""

    path: Path
    header: Header
    data: bytes = field(repr=False)
    start: int
    dropped: int = 0

    def parts(self) -> Iterator[Begin | Inputs | Change | Mark]:
        """In their order. Raises DataException."""
        at, first = self.start, True
        for block in blocks(self.data, self.start, self.path.name):
            if first != (block.kind == BEGIN):
                raise DataException(f"{self.path.name}: byte {block.at}: a tape has one beginning, at its beginning")
            at, first = block.end, False
            yield self._part(block)
        self.dropped = len(self.data) - at

    def _part(self, block: Block) -> Begin | Inputs | Change | Mark:
        where, header = f"{self.path.name}: byte {block.at}", self.header
        if block.kind == INPUTS:
            return unpack_inputs(block.payload, header.rows, where)
        if block.kind == BEGIN:
            return _begin(block.payload, header, where)
        if block.kind == CHANGE:
            return _change(block.payload, header, where)
        if block.kind == MARK:
            return _mark(block.payload, header, where)
        raise DataException(f"{where}: a block of a kind that this version does not know ({block.kind})")


# --- writing the parts ----------------------------------------------------------------------------------


def pack_begin(state: Array, account: Array, params: Array) -> bytes:
    return b"".join((state.tobytes(), account.tobytes(), params.tobytes()))


def pack_change(account: Array, rows: Sequence[int], params: Array) -> bytes:
    """``params``: of all rows."""
    chosen = np.asarray(rows, "<u4")
    return b"".join((_CHANGE.pack(len(chosen)), chosen.tobytes(), account.tobytes(), params[chosen].tobytes()))


def pack_mark(mark: Mark) -> bytes:
    head = _MARK.pack(
        mark.ts, mark.inputs, mark.digest, mark.params, mark.first, len(mark.rows), int(mark.last)
    )
    return head + mark.account + mark.rows.astype("<u4").tobytes()


# --- reading them ---------------------------------------------------------------------------------------


def read_segment(path: Path) -> Segment:
    """Raises DataException: what is wrong with it, and where."""
    try:
        with path.open("rb") as file:
            data = file.read()
    except OSError as error:
        raise DataException(f"{path}: cannot be read: {error.strerror}") from error
    return parse(path, data)


def parse(path: Path, data: bytes) -> Segment:
    """As ``read_segment``, of what was read."""
    end = data.find(b"\n", 0, _MOST_LINE)
    if not data.startswith(b'{"otrade_tape":') or end < 0:
        raise DataException(f"{path.name}: no tape of otrade-bot, or cut off in its first line")
    try:
        return Segment(path, _header(orjson.loads(data[:end])), data, end + 1)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise DataException(f"{path.name}: its first line is none of a tape: {error!r}") from error


def _header(said: Mapping[str, Any]) -> Header:
    if said["otrade_tape"] != VERSION:
        raise ValueError(f"version {said['otrade_tape']!r}; this program reads {VERSION}")
    for name, dtype in (("event", abi.EVENT), ("intent", abi.INTENT), ("account", abi.ACCOUNT)):
        if said[name] != list(dtype.names or ()):
            raise ValueError(f"{name}: fields of another version")
    symbols, strategies = _words(said["symbols"]), _words(said["strategies"])
    if not 0 < len(symbols) <= _MOST_ROWS or len(strategies) != len(symbols):
        raise ValueError(f"{len(symbols)} symbols, {len(strategies)} strategies")
    kernel, instance, sids = *_words([said["kernel"], said["instance"]]), _words(said["sids"])
    header = Header(
        date.fromisoformat(said["day"]), int(said["segment"]), kernel, symbols, strategies, sids, instance,
        int(said["began"]), said["row"], said["params"],
    )  # fmt: skip
    _width(header.row), _width(header.params)
    return header


def _words(said: Any) -> tuple[str, ...]:
    if not isinstance(said, list) or not all(isinstance(one, str) and len(one) <= 200 for one in said):
        raise ValueError("names are wanted")
    return tuple(said)


def _width(fields: Any) -> int:
    """Bytes of a record of these fields; all of them are eight bytes wide, or arrays of such."""
    total = 0
    for name, kind, *length in fields:
        if not isinstance(name, str) or kind not in ("<i8", "<f8") or len(length) > 1:
            raise ValueError(f"field {name!r}: {kind!r} {length}")
        if length and not (isinstance(length[0], int) and 0 < length[0] <= _MOST_WIDTH):
            raise ValueError(f"field {name!r}: length {length}")
        total += 8 * (length[0] if length else 1)
    if not 0 < total <= _MOST_WIDTH:
        raise ValueError(f"records of {total} bytes")
    return total


def _begin(raw: bytes, header: Header, where: str) -> Begin:
    state = header.rows * _width(header.row)
    account = abi.ACCOUNT.itemsize
    if len(raw) != state + account + header.rows * _width(header.params):
        raise DataException(f"{where}: arrays of another size than the first line says")
    return Begin(raw[:state], raw[state : state + account], raw[state + account :])


def _change(raw: bytes, header: Header, where: str) -> Change:
    n = _CHANGE.unpack_from(raw)[0] if len(raw) >= _CHANGE.size else 0
    width, at = _width(header.params), _CHANGE.size + 4 * n
    if len(raw) != at + abi.ACCOUNT.itemsize + n * width:
        raise DataException(f"{where}: a change whose count does not fit its size")
    rows = np.frombuffer(raw, "<u4", n, _CHANGE.size)
    if n and int(rows.max()) >= header.rows:
        raise DataException(f"{where}: a change of row {int(rows.max())}; there are {header.rows}")
    return Change(raw[at : at + abi.ACCOUNT.itemsize], rows, raw[at + abi.ACCOUNT.itemsize :])


def _mark(raw: bytes, header: Header, where: str) -> Mark:
    if len(raw) < _MARK.size:
        raise DataException(f"{where}: a mark of {len(raw)} bytes")
    ts, inputs, digest, params, first, n, last = _MARK.unpack_from(raw)
    at = _MARK.size + abi.ACCOUNT.itemsize
    if first + n > header.rows or len(raw) != at + 4 * n:
        raise DataException(f"{where}: a mark whose rows do not fit its size")
    return Mark(ts, inputs, digest, params, first, np.frombuffer(raw, "<u4", n, at), raw[_MARK.size : at], bool(last))


# --- prices ---------------------------------------------------------------------------------------------


def ticks_of(path: Path) -> list[TickFile]:
    """The prices of one segment by symbol, as they were offered, also those that were refused; symbols without any are
    left out. Raises DataException."""
    segment = read_segment(path)
    found = [part.ticks for part in segment.parts() if isinstance(part, Inputs) and len(part.ticks)]
    if not found:
        return []
    ticks = np.concatenate(found)
    order = np.argsort(ticks["row"], kind="stable")
    ticks = ticks[order]
    rows, first = np.unique(ticks["row"], return_index=True)
    symbols, pieces = segment.header.symbols, np.split(ticks, first[1:])
    return [
        TickFile(symbols[int(row)], str(path), *_columns(piece), lines=len(piece))
        for row, piece in zip(rows, pieces, strict=True)
    ]


def _columns(ticks: Array) -> tuple[Array, Array, Array]:
    ts, price, volume = (np.ascontiguousarray(ticks[name]) for name in ("ts", "price", "volume"))
    return ts, price, volume
