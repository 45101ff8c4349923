"""A frame of prices, from its bytes to what the strategies intend: decoded and stepped in one call.

Where Python has something to do the call returns, and is made again with the same frame to go on: so all happens in
the order in which it would price by price. Nothing is read beyond a frame's end, and of a torn one nothing is used.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from otrade_bot.kernel.limits import accept
from otrade_bot.kernel.state import LIVE, S_ATTEND, S_DONE, S_INTENTS, S_TAPE_FULL, T_OK, TICK
from otrade_bot.kernel.step import on_tick

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HEARTBEAT = 1  #: bytes
SPREAD = 0x4F1BBCDD  #: times a token: no more than 63 bits
#: Packets by their length: last price; an index, without and with the exchange's time; quote; full.
LTP, INDEX, INDEX_FULL, QUOTE, FULL = 8, 28, 32, 44, 184
LEVEL = 12  #: bytes of one level of the order book
CDS, BCD, NCO = 3, 6, 12  #: segments, in a token's last byte, whose prices are not told in paise
HUNDRED = 100

# Offsets are unsigned: a signed one may be negative, which costs a test for each byte. So small that sums of them do
# not wrap: then who has read a packet's last byte needs no further test.
ONE, TWO, THREE = np.uint64(1), np.uint64(2), np.uint64(3)
SMALL = np.uint64((1 << 48) - 1)


def read_kite(state: Any, acct: Any, params: Any, quotes: Any, depth: Any, slots: Any, feed: Any, frame: Any,
              ev: Any, out: Any, tape: Any) -> int:  # fmt: skip
    """From ``feed.at`` on; ``feed.stop`` says why it returned. The number of intents in ``out``."""
    f = feed[0]
    f.taped = 0
    f.stop = S_DONE
    if f.at == 0 and not begun(f, frame):
        return 0
    at, left = f.at, f.left
    while left > 0:
        if f.record != 0 and f.taped >= len(tape):
            f.stop = S_TAPE_FULL
            return 0
        length = short(frame, np.uint64(at))
        o = np.uint64(at + 2) & SMALL
        at += 2 + length
        left -= 1
        f.at = at
        f.left = left
        if not known_length(length):
            f.misshapen += 1
            continue
        token = word(frame, o)
        row = row_of(slots, token)
        if row < 0:
            f.unknown += 1
            continue
        q = quotes[np.uint64(row)]
        q.token = token
        q.mode = length
        volume, stamp, unit = 0, 0, unit_of(token)
        if length == FULL:
            touch(frame, o + np.uint64(FULL - 1))
            volume = day_so_far(q, frame, o)
            stamp = full(q, frame, o)
            if q.depth != 0:
                levels(depth[q.depth - 1], frame, o, unit)
        elif length == QUOTE:
            touch(frame, o + np.uint64(QUOTE - 1))
            volume = day_so_far(q, frame, o)
        elif length != LTP:
            stamp = index(q, frame, o, length)
        if unit != HUNDRED:
            to_paise(q, length, unit)
        price = paise(word(frame, o + np.uint64(4)), unit)
        n = tell(state, acct, params, q, f, row, price, volume, stamp, ev, out, tape)
        if f.stop != S_DONE:
            return n
    return 0


def hear(state: Any, acct: Any, params: Any, quotes: Any, feed: Any, heard: Any, ev: Any, out: Any,
         tape: Any) -> int:  # fmt: skip
    """The same over prices that were decoded elsewhere; ``feed.at`` counts them."""
    f = feed[0]
    f.taped = 0
    f.stop = S_DONE
    if f.at == 0:
        f.frames += 1
        f.packets += len(heard)
    while f.at < len(heard):
        if f.record != 0 and f.taped >= len(tape):
            f.stop = S_TAPE_FULL
            return 0
        h = heard[f.at]
        f.at += 1
        f.left = len(heard) - f.at
        q = quotes[np.uint64(h.row)]
        n = tell(state, acct, params, q, f, h.row, h.price, h.volume, h.exchange_ts, ev, out, tape)
        if f.stop != S_DONE:
            return n
    return 0


# --- one price ------------------------------------------------------------------------------------


def tell(state: Any, acct: Any, params: Any, q: Any, f: Any, row: int, price: int, volume: int, stamp: int, ev: Any,
         out: Any, tape: Any) -> int:  # fmt: skip
    """A price of one row, at its own moment: kept, and if it is fit to act on, stepped. The number of intents."""
    if price <= 0:
        return 0
    ts = moment(q, f, price, stamp)
    f.told += 1
    if row >= len(state):
        return 0
    s, p = state[np.uint64(row)], params[np.uint64(row)]
    before = q.told
    if volume != 0:
        q.told = volume
    if no_trade(s, p, q, ts, price, volume, before):
        return 0
    volume = days_volume(p, q, f.now, volume)
    f.row = row
    if wanted(q, f, ts):
        f.ts = ts
        f.price = price
        f.volume = volume
        f.stop = S_ATTEND
        return 0
    if f.record != 0:
        put_tape(tape, f, row, ts, price, volume)
    if accept(s, acct[0], p, ts, price, volume) != T_OK:
        return 0
    used(q, f, ts, price, volume)
    n = on_tick(s, acct[0], p, event_of(ev, row, ts, price, volume), out, 0)
    if n > 0:
        f.ts = ts
        f.price = price
        f.volume = volume
        f.stop = S_INTENTS
    return n


def wanted(q: Any, f: Any, ts: int) -> bool:
    """Python is to see this price first."""
    return bool(q.attend != 0 or (q.until != 0 and ts >= q.until) or (f.until != 0 and ts >= f.until))


def moment(q: Any, f: Any, price: int, stamp: int) -> Any:
    """When the price was: as the exchange says where that is long ago, else now; later than the one before."""
    now = f.now
    q.ltp = price
    q.heard = now
    ts = now
    if stamp != 0:
        q.exchange_ts = stamp
        if now - stamp > f.snapshot:
            ts = stamp
    ts = max(ts, q.ts + 1)
    q.ts = ts
    return ts


def no_trade(s: Any, p: Any, q: Any, ts: int, price: int, volume: int, before: int) -> bool:
    """Yesterday's price, before anything is traded; or a change of the order book at the last price, where that would
    begin a bar: an exchange's candle begins with a trade."""
    if p.tradable == 0:
        return False  # an index has no volume
    if volume == 0:
        return bool(before == 0 and q.volume == 0)
    if price != q.last or (before != 0 and before != volume) or p.tf == 0:
        return False
    return bool(s.bar_ticks == 0 or ts >= s.bar_end)


def days_volume(p: Any, q: Any, now: int, told: int) -> Any:
    """The day's, going on from what was acted on: candles and the other broker count a little differently."""
    if told == 0:
        return q.volume
    if q.has_more == 0:
        early = now < p.day_open + MINUTE  # then all of it is the first bar's
        q.more = 0 if early and q.volume == 0 else q.volume - told
        q.has_more = 1
    return max(0, told + q.more)


def used(q: Any, f: Any, ts: int, price: int, volume: int) -> None:
    """The price is acted on."""
    f.used += 1
    q.before = q.volume
    q.before_ts = q.last_ts
    q.minute_close = price
    q.minute_high = max(q.minute_high, price)
    if q.minute_low == 0 or price < q.minute_low:
        q.minute_low = price
    q.minute_volume = max(q.minute_volume, volume)
    q.last = price
    q.last_ts = ts
    q.volume = volume
    q.ticks += 1
    if q.first == 0:
        q.first = price


def event_of(ev: Any, row: int, ts: int, price: int, volume: int) -> Any:
    """The tick as an event."""
    e = ev[0]
    e.kind = TICK
    e.row = row
    e.ts = ts
    e.price = price
    e.qty = volume
    e.code = LIVE
    return e


def put_tape(tape: Any, f: Any, row: int, ts: int, price: int, volume: int) -> None:
    """Write down what is offered."""
    t = tape[f.taped]
    t.row = row
    t.ts = ts
    t.price = price
    t.volume = volume
    f.taped += 1


# --- Kite's bytes ---------------------------------------------------------------------------------


def begun(f: Any, frame: Any) -> bool:
    """A new frame is whole, from end to end; False where there is nothing to do."""
    f.left = 0
    if len(frame) <= HEARTBEAT:
        return False
    f.frames += 1
    count = short(frame, np.uint64(0))
    at = 2
    for _ in range(count):
        if at + 2 > len(frame):
            f.torn += 1
            return False
        at += 2 + short(frame, np.uint64(at))
        if at > len(frame):
            f.torn += 1
            return False
    f.packets += count
    f.left = count
    f.at = 2
    return True


def known_length(length: int) -> bool:
    """Kite documents packets of this length."""
    return length == FULL or length == QUOTE or length == LTP or length == INDEX_FULL or length == INDEX


def row_of(slots: Any, token: int) -> Any:
    """The token's row; -1 where nobody asked for it."""
    mask = len(slots) - 1
    i = place(token, mask)
    while True:
        slot = slots[np.uint64(i)]
        if slot.key == token and token != 0:
            return slot.row
        if slot.key == 0:
            return -1
        i = i + 1 & mask


def place(token: int, mask: int) -> int:
    """Where a token's slot is, or the first that is tried."""
    return token * SPREAD >> 20 & mask


def touch(b: Any, o: Any) -> Any:
    """The last byte of a packet: after it none of the others can be out of bounds, and none is tested."""
    return b[o]


def day_so_far(q: Any, b: Any, o: Any) -> Any:
    """What a quote tells besides the price, into the row; the day's volume."""
    q.last_qty = word(b, o + np.uint64(8))
    q.average = word(b, o + np.uint64(12))
    q.buy_qty = word(b, o + np.uint64(20))
    q.sell_qty = word(b, o + np.uint64(24))
    q.open = word(b, o + np.uint64(28))
    q.high = word(b, o + np.uint64(32))
    q.low = word(b, o + np.uint64(36))
    q.close = word(b, o + np.uint64(40))
    return word(b, o + np.uint64(16))


def index(q: Any, b: Any, o: Any, length: int) -> Any:
    """What a packet of an index tells besides the price; the exchange's time, 0 where it does not tell."""
    q.high = word(b, o + np.uint64(8))
    q.low = word(b, o + np.uint64(12))
    q.open = word(b, o + np.uint64(16))
    q.close = word(b, o + np.uint64(20))
    return word(b, o + np.uint64(28)) * SECOND if length == INDEX_FULL else 0


def full(q: Any, b: Any, o: Any) -> Any:
    """What only a full packet tells, with the best of each side; the exchange's time."""
    q.last_trade_ts = word(b, o + np.uint64(44)) * SECOND
    q.oi = word(b, o + np.uint64(48))
    q.oi_high = word(b, o + np.uint64(52))
    q.oi_low = word(b, o + np.uint64(56))
    q.bid_qty = word(b, o + np.uint64(64))
    q.bid = word(b, o + np.uint64(68))
    q.ask_qty = word(b, o + np.uint64(124))
    q.ask = word(b, o + np.uint64(128))
    return word(b, o + np.uint64(60)) * SECOND


def levels(d: Any, b: Any, o: Any, unit: int) -> None:
    """All ten levels of the order book."""
    at = o + np.uint64(64)
    for i in range(10):
        d.qty[i] = word(b, at)
        d.price[i] = paise(word(b, at + np.uint64(4)), unit)
        d.orders[i] = short(b, at + np.uint64(8))
        at += np.uint64(LEVEL)


def to_paise(q: Any, length: int, unit: int) -> None:
    """The prices of the packet that has just been kept as it came."""
    if length != LTP:
        q.open = paise(q.open, unit)
        q.high = paise(q.high, unit)
        q.low = paise(q.low, unit)
        q.close = paise(q.close, unit)
    if length >= QUOTE:
        q.average = paise(q.average, unit)
    if length == FULL:
        q.bid = paise(q.bid, unit)
        q.ask = paise(q.ask, unit)


def unit_of(token: int) -> int:
    """What a rupee is in prices of this token's segment."""
    segment = token & 0xFF
    if segment == CDS:
        return 10_000_000
    return 10_000 if segment == BCD or segment == NCO else HUNDRED


def paise(price: int, unit: int) -> int:
    """Half up, exact."""
    return price if unit == HUNDRED else (price * HUNDRED + unit // 2) // unit


def word(b: Any, o: Any) -> Any:
    """Four bytes, the high one first."""
    high = np.int64(b[o]) << 24 | np.int64(b[o + ONE]) << 16
    return high | np.int64(b[o + TWO]) << 8 | np.int64(b[o + THREE])


def short(b: Any, o: Any) -> Any:
    """Two bytes, the high one first."""
    return np.int64(b[o]) << 8 | np.int64(b[o + ONE])
