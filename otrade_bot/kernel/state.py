"""The ABI: the structured dtypes that the compiled kernel and Python share, and their codes.

One ROW of state an instrument, one ROW of params beside it, one ACCOUNT for what spans them. Prices and
money are int64 paise, times int64 ns UTC, indicator values float64 rupees. Fields are 8 bytes wide, so
that there is no padding and interpreted arithmetic cannot overflow where compiled arithmetic would not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

RUNGS = 3  #: rungs a row: P1, P2, P3
RING = 64  #: closed bars remembered a row; the longest look-back of a strategy

# Events. WARM in ``code`` of TICK, BAR and TIMER means: update, intend nothing.
TICK, BAR, FILL, REJECT, DONE, ADOPT, PHASE, TIMER = 1, 2, 3, 4, 5, 6, 7, 8
LIVE, WARM = 0, 1
ENTRY, EXIT_LEG = 0, 1

# PHASE codes.
PHASE_DAY, PHASE_BLOCK, PHASE_EXIT, PHASE_ENABLE, PHASE_STOP, PHASE_TARGET = 1, 2, 3, 4, 5, 6

# Intents.
ENTER, EXIT, STOP, EVALUATED, LIMITED, HALTED, STRAY = 1, 2, 3, 4, 5, 6, 7

# Exit reasons.
R_STOP, R_TARGET, R_SIGNAL, R_SQUARE_OFF, R_DAILY_LOSS, R_FLATTEN, R_COMMAND = 1, 2, 3, 4, 5, 6, 7

# What ``limits.entry_limit`` answers.
(
    OK,
    L_BLOCKED,
    L_UNTRADABLE,
    L_DISABLED,
    L_WINDOW,
    L_COLD,
    L_LOSS,
    L_POSITIONS,
    L_TRADES,
    L_COOLDOWN,
    L_UNAFFORDABLE,
    L_CAPITAL,
    L_NO_SHORT,
    L_STALE,
) = range(14)

# What ``limits.accept`` answers of a tick.
T_OK, T_REPEATED, T_OUT_OF_ORDER, T_VOLUME_BACK, T_SPIKE, T_BEFORE_OPEN, T_AFTER_CLOSE, T_BAD_PRICE = range(8)
TICK_REASONS = (
    "used",
    "repeated",
    "out_of_order",
    "volume_back",
    "spike",
    "before_open",
    "after_close",
    "bad_price",
)

_I, _F = np.int64, np.float64
Fields = list[tuple[Any, ...]]

EVENT = np.dtype(
    [
        (name, _I)
        for name in (
            "kind row ts price qty value high low rung leg cycle code".split()
        )
    ]
)
"""TICK: price, qty = the day's cumulative volume. BAR: value = open, high, low, price = close, qty =
volume. FILL: leg, rung, cycle, qty and value cumulative for that leg of that cycle. REJECT, DONE: leg,
rung, cycle, and qty = the leg's final quantity where the FILLs may still be under way (else 0). ADOPT:
rung, cycle, code = side, qty = ordered quantity, price = reference price.
PHASE: code, and value = day number, block mask, exit reason or 0/1. PHASE_STOP, PHASE_TARGET: rung, cycle, value =
level (target 0 = none), qty = 1 set by hand, 0 the strategy's own again. TIMER: qty = 1 for a full scan."""

INTENT = np.dtype(
    [(name, _I) for name in "kind row rung cycle side qty price stop target code ts".split()]
)
"""ENTER: side, qty, price (LTP), stop and target as they would be from that price. EXIT: code = reason.
STOP: stop = the level at which the exchange's stop should rest. EVALUATED: code = 1 buy + 2 sell.
LIMITED: code = the limit. HALTED: the day's loss limit was reached. STRAY: a fill for a rung that the
kernel does not know; code = leg."""

ACCOUNT = np.dtype(
    [
        (name, _I)
        for name in (
            "blocked max_rungs total_capital max_trades loss_limit loss_flatten cooldown reject_cooldown "
            "spike_ppm spike_confirm trail_step_ppm trail_interval stale "
            "day rungs used trades realised unrealised charges halted"
        ).split()
    ]
)
"""First line: inputs (a bit mask of blocks; counts; paise; ns; parts per million). Last line: the
kernel's own sums: rungs open or pending, paise bound in them, entries today, P&L and charges in paise."""

_PARAMS: Fields = [
    *((name, _I) for name in "sid enabled tradable option intraday short exit_on_signal scan warm lot tick tf".split()),
    *((name, _I) for name in "day_open day_close entry_from entry_until square_off capital rungs".split()),
    ("stop_pct", _F, (RUNGS,)),
    ("target_pct", _F, (RUNGS,)),
    ("trail", _I, (RUNGS,)),
    ("add_pct", _F, (RUNGS,)),
    *(
        (f"ch_{name}", _I)
        for name in "rate cap flat stt_buy stt_sell exchange ipft sebi stamp_buy gst dp_sell".split()
    ),
]

_ROW: Fields = [
    *((name, _I) for name in "ts price volume spike_price spike_count back_count day".split()),
    ("drops", _I, (len(TICK_REASONS),)),
    ("ltp", _F),
    # the bar being built, and the last closed one
    *((name, _I) for name in "bar_end bar_ticks bar_from bars day_bars".split()),
    *((name, _F) for name in "bar_open bar_high bar_low bar_close bar_volume".split()),
    *((name, _F) for name in "open high low close volume_bar day_pv day_v".split()),
    *((name, _F, (RING,)) for name in "opens highs lows closes volumes".split()),
    # rungs
    *(
        (name, _I, (RUNGS,))
        for name in (
            "side cycle want ref filled entry_value exited exit_value exit_pending exit_retry "
            "extreme stop sent_stop sent_ts target hand_stop hand_target reserve charged realised entry_ts "
            "limited limited_ts"
        ).split()
    ),
    *((name, _I) for name in "next_cycle unrealised cool_until verdict".split()),
]

# What a replay keeps of a row: its exchange's entry orders and reducing orders, one of each a rung; and the window,
# prices and time, in which the row does nothing but wait, with what it holds (net quantity) and for how much.
WORK = np.dtype(
    [
        *((name, _I) for name in "avail bar leg lean low high until net cost".split()),
        *(
            (name, _I, (RUNGS,))
            for name in (
                "side entry_left entry_limit entry_at entry_ts "
                "exit_kind exit_trigger exit_limit exit_at exit_ts exit_reason stopped"
            ).split()
        ),
    ]
)

TRADE = np.dtype(
    [
        (name, _I)
        for name in (
            "row rung cycle side qty entry_ts entry_value exit_ts exit_value reason gross charges".split()
        )
    ]
)

#: A replay's exchange: ns from sending to working, slippage in parts per million, and the part of the traded volume
#: that our orders may take, in parts per million too (0 is taken as all of it). Then what the gate before a broker
#: allows one order: quantity, and value in paise (0 = no limit).
VENUE = np.dtype([(name, _I) for name in "latency slip_ppm participation_ppm max_qty max_value".split()])

#: What a replay counts; ``refused`` by the gate, for the quantity (1) or the value (2) of an order; ``limited`` by the
#: code of the limit.
TALLY = np.dtype(
    [
        *((name, _I) for name in "ticks signals orders trades fills overflow".split()),
        ("refused", _I, (3,)),
        ("limited", _I, (L_STALE + 1,)),
    ]
)

# What one compiled call over a frame of a stream works on: ``frames``. A row of QUOTE beside each row of state; further
# ones belong to instruments that are only looked at.
QUOTE = np.dtype(
    [
        (name, _I)
        for name in (
            "ltp ts exchange_ts heard last last_ts volume before before_ts told more has_more first ticks attend until "
            "minute_high minute_low minute_close minute_volume depth token last_qty "
            "average buy_qty sell_qty open high low close last_trade_ts oi oi_high oi_low bid bid_qty ask ask_qty mode"
        ).split()
    ]
)
"""Paise, ns UTC. ltp, exchange_ts, heard (by our clock): as the stream told last, fit to act on or not; ts: the moment
given to the newest price, never twice the same. last, last_ts, volume: the price, its moment and the day's volume that
were acted on last, before and before_ts: volume and moment of the one before that; first, ticks: the day's first such
price and how many. told: the day's volume as the broker counts
it (0 = not yet); more, where has_more: what it is more here. attend: not 0 = Python sees this row's prices before the
kernel does; until: those at or after this moment too (0 = no such moment). minute_...: of the prices that Python has
not seen since it put these to 0. depth: where its ten levels go in DEPTH, plus one; 0 = nobody asks. close: the day
before's. mode: bytes of the last packet; with Upstox, its place in its frame. From ``last_qty`` on: 0 until a packet
has told, kept where one does not."""

_LEVELS = 10
#: Five bids, then five asks, best first; where somebody asks for them.
DEPTH = np.dtype([(name, _I, (_LEVELS,)) for name in "price qty orders".split()])

#: The rows by a broker's token: open addressing over a power of two, at most half full. key 0 = free.
SLOT = np.dtype([(name, _I) for name in "key row".split()])

#: The same by a broker's instrument key: its hash, where its bytes are among all keys', how many (0 = free), the row.
KEY = np.dtype([(name, _I) for name in "hashed start length row".split()])

#: Scratch of the protobuf decoder: the field read last; what an instrument's feed has told (doubles as their bits).
PART = np.dtype([(name, _I) for name in "number wire value start end kind full ltp ltt ltq cp vtt".split()])

FEED = np.dtype(
    [
        (name, _I)
        for name in (
            "now snapshot record until at left stop row ts price volume taped frames packets unknown misshapen torn "
            "told used"
        ).split()
    ]
)
"""now: ns UTC; snapshot: a stamp older than this many ns is the price's moment; record: not 0 = write TAPED. until:
as in QUOTE, of every row. at: 0 = a new frame, else where to go on; left: packets to come. stop: why the call returned
(S_*); row, ts, price, volume: the tick it is about. taped: how many TAPED it wrote. Since the start: frames (no
heartbeats), packets, of them unknown (no such token) and misshapen (of no documented length); torn frames, of which
nothing is used; prices told; of them used, to which Python adds those that it has attended to."""

# Why a call over a frame has returned: all is done; the row's step intends something; Python is to take the row's
# price, which was not yet looked at; no room in TAPED.
S_DONE, S_INTENTS, S_ATTEND, S_TAPE_FULL = 0, 1, 2, 3

#: Prices decoded elsewhere, in their order. 0 where the feed does not say.
HEARD = np.dtype([(name, _I) for name in "row price volume exchange_ts".split()])

#: A price as it was offered, fit to act on or not; ``volume`` is the day's.
TAPED = np.dtype([(name, _I) for name in "row ts price volume".split()])

#: How far a tape has been replayed: the next input's place, its tick and event, and how many intents there are.
WALK = np.dtype([(name, _I) for name in "place tick event n".split()])

#: Of a sweep: what a day added to a set (``net``: booked and marked, after charges; paise) and its trades that ended
#: then (won and lost after charges), and the set as a whole.
DAYSUM = np.dtype([(name, _I) for name in "net trades wins gross charges won lost".split()])
SCORE = np.dtype([(name, _I) for name in "ticks signals orders fills overflow open unrealised".split()])

_KNOWN: dict[np.dtype[Any], np.dtype[Any]] = {}
BASE_ROW = np.dtype(_ROW)
BASE_PARAMS = np.dtype(_PARAMS)


def row_dtype(extra: Mapping[str, Any]) -> np.dtype[Any]:
    """ROW with the strategies' STATE fields behind the kernel's own. Raises ValueError on a clash."""
    return _extended(_ROW, extra)


def params_dtype(extra: Mapping[str, Any]) -> np.dtype[Any]:
    """PARAMS with the strategies' own numbers behind the kernel's. Raises ValueError on a clash."""
    return _extended(_PARAMS, extra)


def _extended(base: Fields, extra: Mapping[str, Any]) -> np.dtype[Any]:
    taken = {field[0] for field in base}
    clash = sorted(taken & set(extra))
    if clash:
        raise ValueError(f"names of the kernel itself: {', '.join(clash)}")
    dtype = np.dtype([*base, *((name, *_spec(spec)) for name, spec in extra.items())])
    # One object for equal dtypes: a call with an equal one that is another object is ten times as slow.
    return _KNOWN.setdefault(dtype, dtype)


def _spec(spec: Any) -> tuple[Any, ...]:
    return spec if isinstance(spec, tuple) else (spec,)


def event_array(rows: Sequence[tuple[int, ...]]) -> npt.NDArray[Any]:
    """EVENT records from full tuples, in the dtype's order."""
    return np.array(list(rows), dtype=EVENT)
