"""A frame of Upstox's, a ``FeedResponse`` in protobuf's wire format, read as its official class reads it.

The whole of it is read once before anything is used: an instrument's feed may come in parts, and one told twice counts
as told last. What is not wanted is stepped over; what is not protobuf drops the frame. Nothing allocates.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from otrade_bot.kernel.frames import tell
from otrade_bot.kernel.state import S_DONE, S_TAPE_FULL

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  #: wire types; groups are out of use, and refused
BAD = -1
MILLISECOND = 1_000_000
#: Beyond these a number is no time (ms), volume or price (rupees) of this world, and not told.
LATEST, MOST, DEAREST = 9_000_000_000_000, 1 << 53, 1e12
ONE = np.uint64(1)

# Numbers of fields, and of the kinds of a feed, in Upstox's .proto (version 3).
FEEDS, KEY, VALUE = 2, 1, 2
F_LTPC, F_FULL, F_FIRST = 1, 2, 3  #: of Feed: one of them
F_MARKET, F_INDEX = 1, 2  #: of FullFeed: one of them
LTPC, VTT, FIRST_VTT = 1, 6, 4  #: of MarketFullFeed, IndexFullFeed and FirstLevelWithGreeks
LTP, LTT, LTQ, CP = 1, 2, 3, 4  #: of LTPC


def read_upstox(state: Any, acct: Any, params: Any, quotes: Any, keys: Any, names: Any, feed: Any, frame: Any,
                part: Any, ev: Any, out: Any, tape: Any) -> int:  # fmt: skip
    """Like ``frames.read_kite``. ``keys``, ``names``: the rows by instrument key; ``part``: scratch."""
    f, w = feed[0], part[0]
    f.taped = 0
    f.stop = S_DONE
    if f.at == 0 and not begun(quotes, keys, names, f, w, frame):
        return 0
    at = f.at - 1
    while at < len(frame):
        if f.record != 0 and f.taped >= len(tape):
            f.stop = S_TAPE_FULL
            return 0
        start = at
        at = field(frame, at, len(frame), w)
        f.at = at + 1
        if w.number != FEEDS or w.wire != BYTES:
            continue
        f.left -= 1
        row = entry(keys, names, frame, w)
        if row < 0 or quotes[np.uint64(row)].mode != start + 1:
            continue  # not ours, or told again further on
        q = quotes[np.uint64(row)]
        price = to_paise(w.ltp)
        if price > 0:
            q.last_qty = w.ltq
            q.close = to_paise(w.cp)
        volume = w.vtt if 0 <= w.vtt <= MOST else 0
        stamp = w.ltt * MILLISECOND if 0 < w.ltt <= LATEST else 0
        n = tell(state, acct, params, q, f, row, price, volume, stamp, ev, out, tape)
        if f.stop != S_DONE:
            return n
    return 0


def begun(quotes: Any, keys: Any, names: Any, f: Any, w: Any, b: Any) -> bool:
    """A new frame can be read from end to end; False where there is nothing to do. Each row's QUOTE knows then which
    of the frame's entries is its last one."""
    f.left = 0
    f.frames += 1
    end, at, count = len(b), 0, 0
    while at < end:
        at = field(b, at, end, w)
        if at >= 0 and w.number == FEEDS and w.wire == BYTES:
            count += 1
            if entry(keys, names, b, w) == BAD - 1:
                at = BAD
        if at < 0:
            f.torn += 1
            return False
    f.packets += count
    f.left = count
    f.at = 1
    at = 0
    while at < end:
        start = at
        at = field(b, at, end, w)
        if w.number == FEEDS and w.wire == BYTES:
            row = whose(keys, names, b, w)
            if row < 0:
                f.unknown += 1
            else:
                quotes[np.uint64(row)].mode = start + 1
    return True


def entry(keys: Any, names: Any, b: Any, w: Any) -> Any:
    """An instrument's key and feed, between ``w.start`` and ``w.end``: its row, -1 for a stranger, -2 for what cannot
    be read. What it tells is in ``w``."""
    at, end = w.start, w.end
    name, size = 0, 0
    clear(w)
    while at < end:
        at = field(b, at, end, w)
        if at < 0:
            return BAD - 1
        if w.wire == BYTES and w.number == KEY:
            name, size = w.start, w.end - w.start
        elif w.wire == BYTES and w.number == VALUE and not feed_of(b, w.start, w.end, w):
            return BAD - 1
    return row_of(keys, names, b, name, size)


def whose(keys: Any, names: Any, b: Any, w: Any) -> Any:
    """The row of an entry that can be read; -1 for a stranger's."""
    at, end = w.start, w.end
    name, size = 0, 0
    while at < end:
        at = field(b, at, end, w)
        if w.wire == BYTES and w.number == KEY:
            name, size = w.start, w.end - w.start
    return row_of(keys, names, b, name, size)


def clear(w: Any) -> None:
    """Nothing is told of an instrument yet."""
    w.kind = 0
    w.full = 0
    forget(w)


def forget(w: Any) -> None:
    """Another kind of feed: what was told by the one before does not count."""
    w.ltp = 0
    w.ltt = 0
    w.ltq = 0
    w.cp = 0
    w.vtt = 0


def feed_of(b: Any, at: int, end: int, w: Any) -> bool:
    """A Feed; False where it cannot be read."""
    while at < end:
        at = field(b, at, end, w)
        if at < 0:
            return False
        kind, fine = w.number, True
        if w.wire == BYTES and (kind == F_LTPC or kind == F_FULL or kind == F_FIRST):
            if w.kind != kind:
                w.kind = kind
                w.full = 0
                forget(w)
            if kind == F_LTPC:
                fine = ltpc(b, w.start, w.end, w)
            elif kind == F_FULL:
                fine = full_feed(b, w.start, w.end, w)
            else:
                fine = body(b, w.start, w.end, w, FIRST_VTT)
        if not fine:
            return False
    return True


def full_feed(b: Any, at: int, end: int, w: Any) -> bool:
    """A FullFeed; False where it cannot be read."""
    while at < end:
        at = field(b, at, end, w)
        if at < 0:
            return False
        kind = w.number
        if w.wire == BYTES and (kind == F_MARKET or kind == F_INDEX):
            if w.full != kind:
                w.full = kind
                forget(w)
            if not body(b, w.start, w.end, w, VTT if kind == F_MARKET else 0):
                return False
    return True


def body(b: Any, at: int, end: int, w: Any, vtt: int) -> bool:
    """What holds an LTPC and maybe the day's volume, as field ``vtt``; False where it cannot be read."""
    while at < end:
        at = field(b, at, end, w)
        if at < 0:
            return False
        if w.number == LTPC and w.wire == BYTES:
            if not ltpc(b, w.start, w.end, w):
                return False
        elif w.number == vtt and w.wire == VARINT:
            w.vtt = w.value
    return True


def ltpc(b: Any, at: int, end: int, w: Any) -> bool:
    """The last trade; False where it cannot be read."""
    while at < end:
        at = field(b, at, end, w)
        if at < 0:
            return False
        if w.wire == FIXED64:
            if w.number == LTP:
                w.ltp = w.value
            elif w.number == CP:
                w.cp = w.value
        elif w.wire == VARINT:
            if w.number == LTT:
                w.ltt = w.value
            elif w.number == LTQ:
                w.ltq = w.value
    return True


# --- the wire format ------------------------------------------------------------------------------


def field(b: Any, at: int, end: int, w: Any) -> Any:
    """One field: its number and wire type, its value or where its bytes are, in ``w``. What comes after it; -1 where it
    does not end before ``end``."""
    at = varint(b, at, end, w)
    tag = w.value
    if at < 0 or tag < 8 or tag >= 1 << 32:
        return BAD
    w.number = tag >> 3
    w.wire = tag & 7
    if w.wire == VARINT:
        return varint(b, at, end, w)
    if w.wire == BYTES:
        at = varint(b, at, end, w)
        if at < 0 or w.value < 0 or w.value > end - at:
            return BAD
        w.start = at
        w.end = at + w.value
        return w.end
    size = 8 if w.wire == FIXED64 else 4
    if (w.wire != FIXED64 and w.wire != FIXED32) or size > end - at:
        return BAD
    if w.wire == FIXED64:
        w.value = joined(low_first(b, at), low_first(b, at + 4))
    return at + size


def varint(b: Any, at: int, end: int, w: Any) -> Any:
    """Into ``w.value``, as a signed number of 64 bits; what comes after it, -1 where it does not end."""
    if at < end:
        short = np.int64(b[np.uint64(at)])
        if short < 0x80:  # as most are
            w.value = short
            return at + 1
    low, high = np.int64(0), np.int64(0)
    for i in range(10):
        if at >= end:
            return BAD
        byte = np.int64(b[np.uint64(at)])
        at += 1
        if i < 7:
            low |= (byte & 0x7F) << 7 * i
        else:
            high |= (byte & 0x7F) << 7 * (i - 7)
        if byte < 0x80:
            if i == 9 and byte > 1:
                return BAD
            w.value = low + (high - ((high & 0x4000) << 1)) * (1 << 49)
            return at
    return BAD


def low_first(b: Any, at: int) -> Any:
    """Four bytes."""
    o = np.uint64(at)
    low = np.int64(b[o]) | np.int64(b[o + ONE]) << 8
    return low | np.int64(b[o + np.uint64(2)]) << 16 | np.int64(b[o + np.uint64(3)]) << 24


def joined(low: int, high: int) -> Any:
    """Two halves as a signed number of 64 bits."""
    return low + (high - ((high & 0x80000000) << 1)) * (1 << 32)


def to_paise(bits: int) -> Any:
    """A double of rupees, half up by its shortest decimal text, as ``core.money`` does; 0 for what is no price."""
    x = np.int64(bits).view(np.float64)
    if not 0.0 < x < DEAREST:
        return 0
    n = np.int64(x * 100.0 + 0.5)
    if (10 * n - 5) / 1000.0 > x:
        return n - 1
    if (10 * n + 5) / 1000.0 <= x:
        return n + 1
    return n


# --- keys -----------------------------------------------------------------------------------------


def spread(b: Any, at: int, size: int) -> Any:
    """A hash of these bytes (FNV-1a)."""
    h = np.int64(0x811C9DC5)
    for i in range(size):
        h = (h ^ np.int64(b[np.uint64(at + i)])) * 0x01000193 & 0xFFFFFFFF
    return h


def row_of(keys: Any, names: Any, b: Any, at: int, size: int) -> Any:
    """The row of the instrument with this key; -1 where nobody asked for it."""
    if size == 0:
        return BAD
    mask = len(keys) - 1
    h = spread(b, at, size)
    i = h & mask
    while keys[np.uint64(i)].length != 0:
        k = keys[np.uint64(i)]
        if k.hashed == h and k.length == size and same(names, k.start, b, at, size):
            return k.row
        i = i + 1 & mask
    return BAD


def same(names: Any, start: int, b: Any, at: int, size: int) -> bool:
    """Byte by byte."""
    for i in range(size):
        if names[np.uint64(start + i)] != b[np.uint64(at + i)]:
            return False
    return True
