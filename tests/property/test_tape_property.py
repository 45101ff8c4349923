"""Tapes: whatever is written is read again, wherever they are torn; nothing hostile does more than be refused."""

from __future__ import annotations

import zlib
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otrade_bot.core.errors import DataException
from otrade_bot.kernel import state as abi
from otrade_bot.research.tape import Begin, Change, Header, Mark, pack_begin, pack_change, pack_mark, parse
from otrade_bot.research.tape_blocks import (
    BEGIN,
    CHANGE,
    INPUTS,
    MARK,
    Inputs,
    fingerprints,
    pack,
    pack_inputs,
    unpack_inputs,
)

ROWS = 5
DAY = date(2026, 9, 16)
LEAST, MOST = -(2**63), 2**63 - 1
whole = st.integers(LEAST, MOST)
near = st.integers(-300, 300) | st.sampled_from([2**31 - 1, 2**31, -(2**31), -(2**31) - 1]) | whole


def records(dtype: np.dtype[Any], rows: list[tuple[int, ...]]) -> Any:
    return np.array(rows, dtype) if rows else np.zeros(0, dtype)


@st.composite
def some_inputs(draw: st.DrawFn) -> Inputs:
    """Prices that creep or jump, events among them, intents behind any of them."""
    n, m = draw(st.integers(0, 40)), draw(st.integers(0, 10))
    ts, price, volume = draw(whole), draw(whole), draw(whole)
    ticks = np.zeros(n, abi.TAPED)
    for i in range(n):
        ts, price, volume = (_wrap(one + draw(near)) for one in (ts, price, volume))
        ticks[i] = draw(st.integers(0, ROWS - 1)), ts, price, volume
    at = np.array(sorted(draw(st.sets(st.integers(0, n + m - 1), min_size=m, max_size=m)))) if m else np.zeros(0, int)
    events = records(abi.EVENT, [
        (draw(st.integers(abi.BAR, abi.PHASE)), draw(st.integers(0, ROWS - 1)), *(draw(whole) for _ in range(6)),
         draw(st.integers(0, 2)), *(draw(whole) for _ in range(3)))
        for _ in range(m)
    ])  # fmt: skip
    k = draw(st.integers(0, 12)) if n + m else 0
    of = np.array(sorted(draw(st.integers(0, n + m - 1)) for _ in range(k)), np.int64)
    intents = records(abi.INTENT, [tuple(draw(whole) for _ in abi.INTENT.names or ()) for _ in range(k)])
    return Inputs(ticks, events, at.astype(np.int64), intents, of)


def _wrap(x: int) -> int:
    return (x - LEAST) % 2**64 + LEAST


def same(one: Inputs, other: Inputs) -> bool:
    pairs = ((getattr(one, name), getattr(other, name)) for name in Inputs.__slots__)
    return all(len(a) == len(b) and a.tobytes() == b.astype(a.dtype).tobytes() for a, b in pairs)


ROW = np.dtype([("a", "<i8"), ("b", "<f8", (3,))])
PARAMS = np.dtype([("p", "<f8")])


def header() -> Header:
    symbols = tuple(f"NSE:S{i}" for i in range(ROWS))
    return Header(DAY, 1, "key", symbols, ("x",) * ROWS, ("x",), "A1", 7, [["a", "<i8"], ["b", "<f8", 3]],
                  [["p", "<f8"]])  # fmt: skip


def arrays(seed: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    made = (np.frombuffer(rng.bytes(n * d.itemsize), d) for n, d in ((ROWS, ROW), (1, abi.ACCOUNT), (ROWS, PARAMS)))
    state, account, params = made
    return state, account, params


def a_tape(pieces: list[Inputs]) -> tuple[bytes, list[Any], list[int]]:
    """A whole tape, its parts, and where each block ends."""
    state, account, params = arrays(1)
    parts: list[Any] = [Begin(state.tobytes(), account.tobytes(), params.tobytes())]
    data, ends = header().line(), []
    packed = [pack(BEGIN, pack_begin(state, account, params))]
    for number, piece in enumerate(pieces):
        mark = Mark(number, 3, 4, 5, 1, fingerprints(state[1:4]), account.tobytes(), last=number == 1)
        parts += [piece, mark, Change(account.tobytes(), np.array([0, 4]), params[[0, 4]].tobytes())]
        packed += [pack(INPUTS, pack_inputs(piece, ROWS)), pack(MARK, pack_mark(mark)),
                   pack(CHANGE, pack_change(account, [0, 4], params))]  # fmt: skip
    for one in packed:
        data += one
        ends.append(len(data))
    return data, parts, ends


def read(data: bytes) -> tuple[list[Any], int]:
    segment = parse(Path("x.tape"), data)
    return list(segment.parts()), segment.dropped


def alike(one: Any, other: Any) -> bool:
    if isinstance(one, Inputs):
        return isinstance(other, Inputs) and same(one, other)
    assert type(one) is type(other)
    values = [(getattr(one, name), getattr(other, name)) for name in type(one).__slots__]
    return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in values)


@settings(max_examples=150)
@given(some_inputs())
def test_any_inputs_are_read_as_they_were_written(inputs: Inputs) -> None:
    found = unpack_inputs(pack_inputs(inputs, ROWS), ROWS, "here")
    assert same(inputs, found)
    assert inputs.digest(9) == found.digest(9)


@settings(max_examples=25)
@given(st.lists(some_inputs(), max_size=3), st.data())
def test_a_tape_torn_at_any_byte_has_all_that_was_whole(pieces: list[Inputs], data: st.DataObject) -> None:
    raw, parts, ends = a_tape(pieces)
    cut = data.draw(st.integers(len(header().line()), len(raw)))
    found, dropped = read(raw[:cut])
    whole_blocks = sum(end <= cut for end in ends)
    assert len(found) == whole_blocks
    assert all(alike(one, other) for one, other in zip(parts, found, strict=False))
    assert dropped == cut - max([len(header().line()), *(end for end in ends if end <= cut)])


def test_zeros_behind_a_tape_are_a_torn_tail() -> None:
    raw, parts, _ = a_tape([])
    found, dropped = read(raw + bytes(4096))
    assert len(found) == len(parts)
    assert dropped == 4096


@settings(max_examples=150)
@given(st.data())
def test_a_changed_byte_is_refused_or_is_a_shorter_tape(data: st.DataObject) -> None:
    inputs = Inputs(records(abi.TAPED, [(1, 5, 100, 3), (2, 6, 100, 4)]), *(_none()))
    raw, parts, _ = a_tape([inputs])
    place = data.draw(st.integers(0, len(raw) - 1))
    other = bytes([raw[place] ^ data.draw(st.integers(1, 255))])
    try:
        found, dropped = read(raw[:place] + other + raw[place + 1 :])
    except DataException:
        return
    in_line = place < len(header().line())
    assert in_line or (dropped and len(found) < len(parts)), "only a length may be changed so that it looks torn"


def _none() -> tuple[Any, ...]:
    return np.zeros(0, abi.EVENT), np.zeros(0, np.int64), np.zeros(0, abi.INTENT), np.zeros(0, np.int64)


@settings(max_examples=200)
@given(st.sampled_from([BEGIN, INPUTS, MARK, CHANGE, 77]), st.binary(max_size=400))
def test_bytes_that_no_recorder_writes_are_refused_in_words(kind: int, raw: bytes) -> None:
    begin = b"" if kind == BEGIN else pack(BEGIN, pack_begin(*arrays(1)))
    with pytest.raises(DataException, match="byte"):
        read(header().line() + begin + pack(kind, raw))


@pytest.mark.parametrize("said", [1 << 20, 1 << 31, (1 << 32) - 1])
def test_a_block_that_says_it_is_huge_is_not_believed(said: int) -> None:
    payload = zlib.compress(bytes(100))
    checksum = zlib.crc32(payload, zlib.crc32(np.array([INPUTS, said], "<u4").tobytes()))
    block = np.array([len(payload), INPUTS, said, checksum], "<u4").tobytes() + payload
    with pytest.raises(DataException, match="cannot be"):
        read(header().line() + pack(BEGIN, pack_begin(*arrays(1))) + block)


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{}\n", b'{"otrade_tape":1}\n', b'{"otrade_tape":9', b'{"otrade_tape":[]}\n',
        header().line().replace(b'"<i8"', b'"|O"'), header().line().replace(b"2026-09-16", b"2026-99-16"),
        header().line().replace(b'"<f8",3', b'"<f8",300000000'), header().line().replace(b'"<f8",3', b'"<f8","3"'),
        header().line().replace(b'"NSE:S1"', b"1"), header().line().replace(b'"otrade_tape":1', b'"otrade_tape":2'),
        header().line().replace(b'"began":7', b'"began":1e999'),
    ],
)  # fmt: skip
def test_a_first_line_of_something_else_is_refused(line: bytes) -> None:
    with pytest.raises(DataException, match=r"x\.tape"):
        read(line + pack(BEGIN, pack_begin(*arrays(1))))


@given(st.integers(0, 2**32 - 1), st.integers(0, ROWS - 1), st.integers(0, 31), st.integers(1, 255))
def test_another_byte_makes_another_fingerprint_of_its_row_alone(seed: int, row: int, byte: int, flip: int) -> None:
    state = arrays(seed)[0].copy()
    before = fingerprints(state)
    state.view(np.uint8).reshape(ROWS, -1)[row, byte] ^= flip
    assert np.flatnonzero(fingerprints(state) != before).tolist() == [row]


def test_what_the_kernel_could_not_take_is_refused() -> None:
    good = (abi.FILL, 1, 5, 1, 1, 0, 0, 0, 0, 0, 0, 0)
    for place, value in ((0, 99), (0, 0), (1, -1), (1, ROWS), (8, 3), (8, -1)):
        event = list(good)
        event[place] = value
        bad = Inputs(np.zeros(0, abi.TAPED), records(abi.EVENT, [tuple(event)]), np.zeros(1, np.int64), *_none()[2:])
        with pytest.raises(DataException, match="does not know"):
            unpack_inputs(pack_inputs(bad, ROWS), ROWS, "here")
