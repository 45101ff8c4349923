"""What Python calls: thin functions over whole arrays. ``compile.arguments`` has their types, by the arguments' names.

Arrays are C-contiguous 1-D of the dtypes in ``state``; ``ev`` and ``out`` are scratch owned by the caller.
"""

from __future__ import annotations

from typing import Any

from otrade_bot.kernel.charges import charge
from otrade_bot.kernel.frames import hear, read_kite
from otrade_bot.kernel.limits import accept
from otrade_bot.kernel.replay import replay
from otrade_bot.kernel.retrace import retrace
from otrade_bot.kernel.state import LIVE, TICK
from otrade_bot.kernel.step import on_timer, step
from otrade_bot.kernel.sweep import sweep
from otrade_bot.kernel.wire import read_upstox


def accept_one(state: Any, acct: Any, params: Any, row: int, ts: int, price: int, volume: int) -> int:
    """T_OK if the tick may be acted on, else why not; refused ones are counted in the row."""
    return accept(state[row], acct[0], params[row], ts, price, volume)


def tick_one(state: Any, acct: Any, params: Any, row: int, ts: int, price: int, volume: int, ev: Any,
             out: Any) -> int:  # fmt: skip
    """Step an accepted tick; returns the number of intents in ``out``."""
    e = ev[0]
    e.kind = TICK
    e.row = row
    e.ts = ts
    e.price = price
    e.qty = volume
    e.code = LIVE
    return step(state[row], acct[0], params[row], e, out, 0)


def timer_all(state: Any, acct: Any, params: Any, ts: int, scan: int, code: int, out: Any) -> int:
    """One timer through every row; returns the number of intents in ``out``."""
    n = 0
    for row in range(len(state)):
        n = on_timer(state[row], acct[0], params[row], row, ts, scan, code, out, n)
    return n


def run(state: Any, acct: Any, params: Any, events: Any, out: Any) -> int:
    """Step many events in one call (TICKs are taken as accepted); returns the number of intents in ``out``.

    Stops early where ``out`` might overflow: give it 8 records an event.
    """
    n = 0
    for i in range(len(events)):
        if n + 8 > len(out):
            return n
        e = events[i]
        n = step(state[e.row], acct[0], params[e.row], e, out, n)
    return n


def charge_one(params: Any, row: int, side: int, value: int) -> int:
    """Charges of an order of that row, in paise."""
    return charge(params[row], side, value)


def replay_day(state: Any, acct: Any, params: Any, work: Any, ticks: Any, timers: Any, venue: Any,
               ev: Any, out: Any, trades: Any, tally: Any) -> int:  # fmt: skip
    """See ``replay.replay``."""
    return replay(state, acct, params, work, ticks, timers, venue, ev, out, trades, tally)


def sweep_sets(sets: Any, plan: Any, account: Any, params: Any, state: Any, acct: Any, work: Any, past: Any, ticks: Any,
               ticks_at: Any, timers: Any, timer_at: Any, dates: Any, venue: Any, ev: Any, out: Any, trades: Any,
               tally: Any, days: Any, scores: Any) -> int:  # fmt: skip
    """See ``sweep.sweep``."""
    return sweep(sets, plan, account, params, state, acct, work, past, ticks, ticks_at, timers, timer_at, dates, venue,
                 ev, out, trades, tally, days, scores)  # fmt: skip


def replay_tape(state: Any, acct: Any, params: Any, offered: Any, events: Any, event_at: Any, walk: Any, ev: Any,
                out: Any, out_at: Any) -> int:  # fmt: skip
    """See ``retrace.retrace``."""
    return retrace(state, acct, params, offered, events, event_at, walk, ev, out, out_at)


def kite_frame(state: Any, acct: Any, params: Any, quotes: Any, depth: Any, slots: Any, feed: Any, frame: bytes,
               ev: Any, out: Any, tape: Any) -> int:  # fmt: skip
    """See ``frames.read_kite``."""
    return read_kite(state, acct, params, quotes, depth, slots, feed, frame, ev, out, tape)


def heard_batch(state: Any, acct: Any, params: Any, quotes: Any, feed: Any, heard: Any, ev: Any, out: Any,
                tape: Any) -> int:  # fmt: skip
    """See ``frames.hear``."""
    return hear(state, acct, params, quotes, feed, heard, ev, out, tape)


def upstox_frame(state: Any, acct: Any, params: Any, quotes: Any, keys: Any, names: bytes, feed: Any, frame: bytes,
                 part: Any, ev: Any, out: Any, tape: Any) -> int:  # fmt: skip
    """See ``wire.read_upstox``."""
    return read_upstox(state, acct, params, quotes, keys, names, feed, frame, part, ev, out, tape)
