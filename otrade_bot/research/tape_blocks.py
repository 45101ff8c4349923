"""What a tape is made of: blocks that say how long they are and bear a checksum, and the columns in them.

Numbers only; nothing in a tape is ever executed. A block that the end of the file cuts off is the last flush of a
process that was killed: it is known as that and dropped. Everything else that is wrong is a DataException.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from otrade_bot.core.errors import DataException
from otrade_bot.kernel import state as abi

__all__ = [
    "BEGIN", "CHANGE", "FAILED", "INPUTS", "MARK", "TICK_INPUTS", "Block", "Inputs", "blocks", "fingerprints", "pack",
    "pack_inputs", "row_type", "unpack_inputs",
]  # fmt: skip

Array = npt.NDArray[Any]

BEGIN, INPUTS, MARK, CHANGE = 1, 2, 3, 4
#: Stands among the intents of an input at which a strategy raised.
FAILED = 100
#: The most ticks, events and intents of one block; writers close it before.
TICK_INPUTS = 1 << 16
_MOST_OTHERS = 1 << 20
#: The most bytes of one block, unpacked: 3,000 rows of state are 10 MB.
MOST_RAW = 1 << 28
#: zlib cannot pack better than this, so what a block says of itself bounds what it may ask for.
_DENSEST = 1040

#: length of what follows, kind, its length unpacked, checksum of kind, that length and what follows.
_HEAD = struct.Struct("<IIII")
_INPUTS = struct.Struct("<IIIIq")  #: ticks, events, intents, escapes; the first tick's moment
_ESCAPE = -(1 << 31)
_EVENT, _INTENT = len(abi.EVENT.names or ()), len(abi.INTENT.names or ())


@dataclass(frozen=True, slots=True)
class Block:
    kind: int
    payload: bytes
    at: int  #: byte of the file at which it begins
    end: int  #: and at which the next one does


@dataclass(frozen=True, slots=True)
class Inputs:
    """Some inputs in their order. ``events`` are EVENT records, ``at`` their places among all of these inputs; every
    other place is the next of ``ticks`` (TAPED). ``intents`` are INTENT records, ``of`` the place of the input that
    each came from."""

    ticks: Array
    events: Array
    at: Array
    intents: Array
    of: Array

    def __len__(self) -> int:
        return len(self.ticks) + len(self.events)

    def digest(self, before: int) -> int:
        """The running checksum of all inputs of a segment."""
        for array in (self.ticks, self.at.astype(np.uint32), self.events):
            before = zlib.crc32(np.ascontiguousarray(array).tobytes(), before)
        return before


def pack(kind: int, raw: bytes) -> bytes:
    """One block, ready to be written."""
    payload = zlib.compress(raw, 1)
    return _HEAD.pack(len(payload), kind, len(raw), _sum(kind, len(raw), payload)) + payload


def _sum(kind: int, raw: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(struct.pack("<II", kind, raw)))


def blocks(data: bytes, start: int, name: str) -> Iterator[Block]:
    """The whole blocks from byte ``start`` on; what is cut off at the end is not among them. ``name`` is the file's.

    Raises DataException for what is damaged."""
    at = start
    while at + _HEAD.size <= len(data):
        length, kind, raw, said = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + length
        if not (length or kind or raw or said) or end > len(data):
            return  # cut off; zeros are what a machine that lost its power leaves
        payload = data[at + _HEAD.size : end]
        if _sum(kind, raw, payload) != said:
            raise DataException(f"{name}: damaged at byte {at}: the checksum is another one")
        yield Block(kind, _unpacked(payload, raw, f"{name}: byte {at}"), at, end)
        at = end


def _unpacked(payload: bytes, raw: int, where: str) -> bytes:
    """Never more than was said, nor more than so few bytes can hold."""
    if raw > min(MOST_RAW, len(payload) * _DENSEST):
        raise DataException(f"{where}: says that it holds {raw} bytes, which cannot be")
    unpacker = zlib.decompressobj()
    try:
        found = unpacker.decompress(payload, raw) if raw else b""
        rest = unpacker.decompress(unpacker.unconsumed_tail, 1) if raw else b""
    except zlib.error as error:
        raise DataException(f"{where}: cannot be unpacked: {error}") from error
    if len(found) != raw or rest:
        raise DataException(f"{where}: holds another number of bytes than it says ({raw})")
    return found


# --- inputs ---------------------------------------------------------------------------------------------


def row_type(rows: int) -> np.dtype[Any]:
    """How a tick names its row."""
    return np.dtype("<u2" if rows <= 1 << 16 else "<u4")


def pack_inputs(inputs: Inputs, rows: int) -> bytes:
    """Exact, whatever the numbers are: a difference that does not fit into four bytes is written in full behind."""
    ticks = inputs.ticks
    moments = np.ascontiguousarray(ticks["ts"]).astype(np.int64)
    row, order = _by_row(ticks["row"], rows)
    columns = [np.diff(moments, prepend=moments[:1]), *(_since(row, order, ticks[n]) for n in ("price", "volume"))]
    wide = [(column <= _ESCAPE) | (column >= -_ESCAPE) for column in columns]
    escapes = np.concatenate([column[far] for column, far in zip(columns, wide, strict=True)])
    first = int(moments[0]) if len(moments) else 0
    parts = [
        _INPUTS.pack(len(ticks), len(inputs.events), len(inputs.intents), len(escapes), first),
        _shuffled(np.ascontiguousarray(ticks["row"]).astype(row_type(rows))),
        *(_shuffled(np.where(far, _ESCAPE, c).astype("<i4")) for c, far in zip(columns, wide, strict=True)),
        escapes.astype("<i8").tobytes(),
        _shuffled(inputs.at.astype("<u4")), _columns(inputs.events),
        _shuffled(inputs.of.astype("<u4")), _columns(inputs.intents),
    ]  # fmt: skip
    return b"".join(parts)


def unpack_inputs(raw: bytes, rows: int, where: str) -> Inputs:
    """Raises DataException for what no recorder writes; rows and rungs are such as the kernel has."""
    if len(raw) < _INPUTS.size:
        raise DataException(f"{where}: a block of inputs of {len(raw)} bytes")
    n, events, intents, escapes, first = _INPUTS.unpack_from(raw)
    width = row_type(rows).itemsize
    size = _INPUTS.size + n * (width + 12) + escapes * 8 + events * (4 + 8 * _EVENT) + intents * (4 + 8 * _INTENT)
    if n > TICK_INPUTS or max(events, intents) > _MOST_OTHERS or escapes > 3 * n or size != len(raw):
        raise DataException(f"{where}: a block of inputs whose counts do not fit its size")
    take = _Taker(raw, _INPUTS.size)
    row = take.whole(row_type(rows), n)
    columns = [take.whole(np.dtype("<i4"), n) for _ in range(3)]
    _unescape(columns, take.plain(escapes), where)
    ticks = np.zeros(n, abi.TAPED)
    if n:
        if int(row.max()) >= rows:
            raise DataException(f"{where}: a price of row {int(row.max())}; there are {rows}")
        ticks["row"], ticks["ts"] = row, np.cumsum(columns[0]) + first
        ordered, order = _by_row(row, rows)
        ticks["price"], ticks["volume"] = (_summed(ordered, order, column) for column in columns[1:])
    at, happened = take.whole(np.dtype("<u4"), events), take.records(abi.EVENT, events)
    of, meant = take.whole(np.dtype("<u4"), intents), take.records(abi.INTENT, intents)
    _check(at, happened, of, n, rows, where)
    return Inputs(ticks, happened, at, meant, of)


def _check(at: Array, events: Array, of: Array, ticks: int, rows: int, where: str) -> None:
    """What the compiled kernel is given must lie within its arrays."""
    total = ticks + len(at)
    if len(at) and (int(at[-1]) >= total or (np.diff(at) <= 0).any()):
        raise DataException(f"{where}: events out of their order")
    if len(of) and (int(of[-1]) >= total or (np.diff(of) < 0).any()):
        raise DataException(f"{where}: intents out of their order")
    timer = events["kind"] == abi.TIMER
    rung_low = np.where((events["kind"] == abi.PHASE) & (events["code"] == abi.PHASE_EXIT), -1, 0)
    well = (
        (events["kind"] >= abi.TICK) & (events["kind"] <= abi.TIMER)
        & (events["row"] >= np.where(timer, -1, 0)) & (events["row"] < rows)
        & (events["rung"] >= rung_low) & (events["rung"] < abi.RUNGS)
    )  # fmt: skip
    if not well.all():
        raise DataException(f"{where}: an event that the kernel does not know")


def _unescape(columns: list[Array], escapes: Array, where: str) -> None:
    """Put what was written in full into its place, column after column."""
    used = 0
    for column in columns:
        far = np.flatnonzero(column == _ESCAPE)
        if used + len(far) > len(escapes):
            raise DataException(f"{where}: numbers are missing")
        column[far] = escapes[used : used + len(far)]
        used += len(far)
    if used != len(escapes):
        raise DataException(f"{where}: numbers too many")


def _by_row(row: Array, rows: int) -> tuple[Array, Array]:
    """The rows in their order, and the order that makes it so; each row's prices stay in theirs."""
    narrow = np.ascontiguousarray(row).astype(row_type(rows))
    order = np.argsort(narrow, kind="stable")  # of two bytes it is a count, and fast
    return narrow[order], order


def _since(row: Array, order: Array, value: Array) -> Array:
    """Each value less the one before it of the same row; a row's first in full."""
    value = np.ascontiguousarray(value).astype(np.int64)[order]
    change = value.copy()
    change[1:] -= np.where(row[1:] == row[:-1], value[:-1], 0)
    found = np.empty_like(change)
    found[order] = change
    return found


def _summed(row: Array, order: Array, change: Array) -> Array:
    """The reverse of ``_since``; sums wrap as differences did."""
    change = change[order]
    sums = np.cumsum(change)
    first = np.flatnonzero(np.concatenate(([True], row[1:] != row[:-1])))
    sums -= np.repeat(sums[first] - change[first], np.diff(np.append(first, len(row))))
    found = np.empty_like(sums)
    found[order] = sums
    return found


def _shuffled(column: Array) -> bytes:
    """All first bytes, then all second ones ...: what is alike lies together, and packs better."""
    return np.ascontiguousarray(column).view(np.uint8).reshape(-1, column.itemsize).T.tobytes()


def _columns(records: Array) -> bytes:
    """Records of int64 fields, field by field."""
    names = records.dtype.names or ()
    return b"".join(_shuffled(np.ascontiguousarray(records[name]).astype("<i8")) for name in names)


class _Taker:
    """Reads columns one after the other; whoever uses it has checked that there are enough bytes."""

    def __init__(self, raw: bytes, at: int) -> None:
        self._raw, self._at = raw, at

    def _bytes(self, dtype: np.dtype[Any], n: int) -> Array:
        size = dtype.itemsize * n
        self._at += size
        return np.frombuffer(self._raw, np.uint8, size, self._at - size)

    def whole(self, dtype: np.dtype[Any], n: int) -> Array:
        """A shuffled column as int64."""
        columns = self._bytes(dtype, n).reshape(dtype.itemsize, n)
        return np.ascontiguousarray(columns.T).view(dtype).reshape(n).astype(np.int64)

    def plain(self, n: int) -> Array:
        return self._bytes(np.dtype("<i8"), n).view("<i8")

    def records(self, dtype: np.dtype[Any], n: int) -> Array:
        found = np.zeros(n, dtype)
        for name in dtype.names or ():
            found[name] = self.whole(np.dtype("<i8"), n)
        return found


# --- fingerprints -----------------------------------------------------------------------------------------


def fingerprints(records: Array) -> Array:
    """Four bytes for each record of an array: equal for equal bytes; another word in one makes another number in all
    but one of four thousand million cases."""
    width = records.dtype.itemsize
    raw = np.ascontiguousarray(records).view(np.uint8).reshape(len(records), width)
    if width % 8:
        raw = np.pad(raw, ((0, 0), (0, 8 - width % 8)))
    words = np.ascontiguousarray(raw).view(np.uint64)
    mixed = _mix(words @ _weights(words.shape[1])) >> np.uint64(32)
    return mixed.astype(np.uint32)


def _weights(n: int) -> Array:
    """Odd, so that no word is lost, and without order, so that no two changes make up for each other."""
    found: Array = _mix(np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1)
    return found


def _mix(x: Array) -> Array:
    """The end of splitmix64; wraps."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: Array = x ^ (x >> np.uint64(31))
    return found
