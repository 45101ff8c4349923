"""A day in one compiled loop: the same ``step``, with an exchange that fills in compiled code.

It does what the order manager, the protection and the paper exchange do together, in the same order:
a tick first meets the orders that rest, then what has waited too long is chased, then the kernel sees
it. Every helper takes the context first: ``s`` row, ``a`` account, ``p`` params, ``w`` work, ``x`` the
exchange's settings, ``ev`` one scratch event, ``out`` scratch intents, ``book`` trades and tally.
"""

from __future__ import annotations

from typing import Any

from otrade_bot.kernel.bars import bar_start, begin_bar, moment, walk
from otrade_bot.kernel.calculations import trailing_stop
from otrade_bot.kernel.charges import charge
from otrade_bot.kernel.fills import fill_price, protected, protection_ppm, takeable, triggered
from otrade_bot.kernel.limits import accept, far, loss_at, loss_reached, repeated
from otrade_bot.kernel.state import (
    BAR,
    DONE,
    ENTER,
    ENTRY,
    EXIT,
    EXIT_LEG,
    FILL,
    LIMITED,
    R_STOP,
    REJECT,
    RUNGS,
    STOP,
    T_OK,
)
from otrade_bot.kernel.step import (
    appraise,
    average_before,
    cost_left,
    decide,
    flat,
    held,
    mark,
    next_rung,
    on_end,
    on_entry_fill,
    on_exit_fill,
    rung_to_add,
    see,
    time_tells,
)

NONE, RESTING, WORKING = 0, 1, 2
REPRICE = 3_000_000_000
PATIENCE = 30_000_000_000
UNBOUNDED = 1 << 60
NEVER = (1 << 63) - 1
LONG = 4_000_000_000


def replay(state: Any, acct: Any, params: Any, work: Any, feed: Any, timers: Any, venue: Any,
           ev: Any, out: Any, trades: Any, tally: Any) -> int:  # fmt: skip
    """Run one day's ``feed`` (EVENT records in time order) through every row.

    A TICK is a price. A BAR (``ts`` its start, ``cycle`` its length in ns, ``leg`` the day's volume before
    it) is walked as four prices, the worst for the position first. ``timers`` (EVENT, kind TIMER, for all
    rows) fire before the first price at or after them, of whatever row. Trades go to ``trades``; when it is
    full ``tally.overflow`` counts the rest. Returns the number of trades so far.
    """
    for i in range(len(work)):
        work[i].until = 0  # the day, or its PARAMS, may be new
        work[i].bar = 0  # a strategy that raised has left one
    k = 0
    soon = next_time(timers, k)
    walking = 0  # rows that are within a bar
    for i in range(len(feed)):
        f = feed[i]
        r = f.row
        while soon <= f.ts:
            if walking > 0:
                walking -= walk_all(state, acct, params, work, feed, soon, venue, ev, out, trades, tally)
            pass_time(state, acct, params, work, timers[k], venue, ev, out, trades, tally)
            k += 1
            soon = next_time(timers, k)
        s = state[r]
        p = params[r]
        w = work[r]
        if f.kind != BAR:
            price_comes(s, acct[0], p, w, venue[0], r, f.ts, f.price, f.qty, ev, out, trades, tally[0])
            if w.until == 0:  # of bars the next one asks: a runner leaves its window with nearly each of their prices
                reckon(s, acct[0], p, w)
            continue
        if w.bar > 0:
            walking -= walk_bar(s, acct[0], p, w, venue[0], feed[w.bar - 1], NEVER, ev, out, trades, tally[0])
        w.lean = lean(s)
        if not quiet_bar(s, acct[0], p, w, venue[0], f, w.lean, soon, tally[0]):
            w.bar = i + 1
            w.leg = 0
            walking += 1 - walk_bar(s, acct[0], p, w, venue[0], f, soon, ev, out, trades, tally[0])
    while k < len(timers):
        walk_all(state, acct, params, work, feed, timers[k].ts, venue, ev, out, trades, tally)
        time_passes(state, acct, params, work, timers[k], venue, ev, out, trades, tally)
        k += 1
    walk_all(state, acct, params, work, feed, NEVER, venue, ev, out, trades, tally)
    return int(tally[0].trades)


def next_time(timers: Any, k: int) -> int:
    """When the k-th timer fires."""
    return timers[k].ts if k < len(timers) else NEVER


def lean(s: Any) -> int:
    """The side of a row's position, +1 where it has none."""
    for r in range(RUNGS):
        if s.side[r] != 0:
            return int(s.side[r])
    return 1


def quiet_bar(s: Any, a: Any, p: Any, w: Any, x: Any, f: Any, side: int, soon: int, tally: Any) -> bool:
    """A whole bar at once, where none of its four prices can do more than be seen: the same row, account and
    tally as after ``walk_bar``. False with nothing done where one of them might. ``soon``: the next timer."""
    end = f.ts + moment(f.cycle, 3)
    low = min(min(f.value, f.price), min(f.high, f.low))
    high = max(max(f.value, f.price), max(f.high, f.low))
    if w.until == 0:
        reckon(s, a, p, w)
    if soon <= end or high > w.high or not within(a, w, low, end):
        return False
    if not plain(s, a, p, f, side, end, low) or not fits(s, p, f.ts, end):
        return False
    worst = w.net * (low if w.net > 0 else high) - w.cost
    if a.halted == 0 and loss_at(a, a.unrealised - s.unrealised + worst):
        return False
    see_bar(s, a, p, w, x, f, end, low, high)
    tally.ticks += 4
    return True


def plain(s: Any, a: Any, p: Any, f: Any, side: int, end: int, low: int) -> bool:
    """Every price of the bar will be accepted; it is long enough for each to have a second of its own."""
    first = f.leg + f.qty // 4
    if low <= 0 or f.leg < 0 or f.qty < 0 or f.cycle < LONG or first < s.volume:
        return False
    if f.ts < p.day_open or f.ts < s.ts or end >= p.day_close or repeated(s, f.ts, f.value, first):
        return False
    if a.spike_ppm <= 0:
        return True
    second = walk(side, f.value, f.high, f.low, f.price, 1)
    third = walk(side, f.value, f.high, f.low, f.price, 2)
    if (s.price > 0 and far(s.price, f.value, a.spike_ppm)) or far(f.value, second, a.spike_ppm):
        return False
    return not (far(second, third, a.spike_ppm) or far(third, f.price, a.spike_ppm))


def fits(s: Any, p: Any, start: int, end: int) -> bool:
    """The bar lies within the one that the row is building or will begin with it."""
    if p.sid == 0:
        return True
    if p.tf <= 0:
        return False
    return bool(end < (s.bar_end if s.bar_ticks > 0 else bar_start(s, p, start) + p.tf))


def see_bar(s: Any, a: Any, p: Any, w: Any, x: Any, f: Any, end: int, low: int, high: int) -> None:
    """What four accepted prices in a row leave behind, in the order of their volumes."""
    before = s.volume
    if p.sid != 0:
        if s.bar_ticks == 0:
            begin_bar(s, p, f.ts, f.value / 100.0)
        s.bar_high = max(s.bar_high, high / 100.0)
        s.bar_low = min(s.bar_low, low / 100.0)
        s.bar_close = f.price / 100.0
        s.bar_ticks += 4
    for j in range(4):
        volume = f.leg + f.qty * (j + 1) // 4
        traded = volume - before
        before = volume
        if p.sid != 0:
            s.bar_volume += traded
        if j == 3:
            w.avail = UNBOUNDED if volume == 0 else takeable(traded, x.participation_ppm)
    s.drops[T_OK] += 4
    s.spike_count = 0
    s.back_count = 0
    s.ts = end
    s.price = f.price
    s.volume = before
    s.ltp = f.price / 100.0
    appraise(s, a, w.net * f.price - w.cost)


def walk_all(state: Any, acct: Any, params: Any, work: Any, feed: Any, until: int, venue: Any, ev: Any, out: Any,
             trades: Any, tally: Any) -> int:  # fmt: skip
    """Every row that is within a bar goes on to ``until``; returns how many came to its end."""
    ended = 0
    for i in range(len(work)):
        w = work[i]
        if w.bar > 0:
            ended += walk_bar(
                state[i], acct[0], params[i], w, venue[0], feed[w.bar - 1], until, ev, out, trades, tally[0]
            )
    return ended


def walk_bar(s: Any, a: Any, p: Any, w: Any, x: Any, f: Any, until: int, ev: Any, out: Any, trades: Any,
             tally: Any) -> int:  # fmt: skip
    """Those of a bar's four prices that come before ``until``; 1 where the bar is over with them, else 0."""
    while w.leg < 4:
        j = w.leg
        ts = f.ts + moment(f.cycle, j)
        if j > 0:
            enter_between(s, a, p, w, x, f, min(ts, until), ev, out, trades, tally)
        if ts >= until:
            return 0
        price = walk(w.lean, f.value, f.high, f.low, f.price, j)
        volume = f.leg + f.qty * (j + 1) // 4
        if j > 0:
            pass_targets(s, a, p, w, x, f, ts, price, volume, ev, out, trades, tally)
        bar_price(s, a, p, w, x, f.row, ts, price, volume, ev, out, trades, tally)
        w.leg += 1
    w.bar = 0
    return 1


def enter_between(s: Any, a: Any, p: Any, w: Any, x: Any, f: Any, until: int, ev: Any, out: Any, trades: Any,
                  tally: Any) -> None:  # fmt: skip
    """An entry that arrives between two of a bar's prices meets the one before: the next is the bar's low or high."""
    for r in range(RUNGS):
        at = w.entry_at[r]
        if w.entry_left[r] > 0 and s.ts < at < until:
            meet_entry(s, a, p, w, x, f.row, at, s.price, r, ev, out, 0, trades, tally)


def pass_targets(s: Any, a: Any, p: Any, w: Any, x: Any, f: Any, ts: int, price: int, volume: int, ev: Any, out: Any,
                 trades: Any, tally: Any) -> None:  # fmt: skip
    """Within a bar the price goes through a target on its way, and does not jump beyond it."""
    for _ in range(RUNGS):
        level = price
        for r in range(RUNGS):
            target = s.target[r]
            if s.side[r] == 0 or held(s, r) <= 0 or s.exit_pending[r] != 0 or target == 0:
                continue
            if (s.side[r] > 0 and s.price < target < level) or (s.side[r] < 0 and s.price > target > level):
                level = target
        if level == price:
            return
        ticks = tally.ticks
        bar_price(s, a, p, w, x, f.row, ts, level, volume, ev, out, trades, tally)
        tally.ticks = ticks  # a bar counts as four


def bar_price(s: Any, a: Any, p: Any, w: Any, x: Any, row: int, ts: int, price: int, volume: int, ev: Any, out: Any,
              trades: Any, tally: Any) -> None:  # fmt: skip
    """A price of a bar: it stands for many ticks and is not taken for a bad print."""
    s.spike_price = price
    s.spike_count = a.spike_confirm
    price_comes(s, a, p, w, x, row, ts, price, volume, ev, out, trades, tally)


def time_passes(state: Any, acct: Any, params: Any, work: Any, timer: Any, venue: Any, ev: Any,
                out: Any, trades: Any, tally: Any) -> None:  # fmt: skip
    """As ``pass_time``, as a call of its own: for where it comes seldom."""
    pass_time(state, acct, params, work, timer, venue, ev, out, trades, tally)


def pass_time(state: Any, acct: Any, params: Any, work: Any, timer: Any, venue: Any, ev: Any,
              out: Any, trades: Any, tally: Any) -> None:  # fmt: skip
    """Every row's timer, and then what all of them intend."""
    a = acct[0]
    n = 0
    for i in range(len(state)):
        if work[i].until == 0 and working(work[i]):
            chase(state[i], a, params[i], work[i], venue[0], i, timer.ts, ev, out, trades, tally[0])
    for i in range(len(state)):
        n = look(state[i], a, params[i], work[i], i, timer.ts, within(a, work[i], state[i].price, timer.ts), out, n)
        n = time_tells(state[i], a, params[i], i, timer.ts, timer.qty, True, out, n)
    for i in range(n):
        o = out[i]
        q = o.row
        carry_out(state[q], a, params[q], work[q], venue[0], o, ev, out, n, trades, tally[0])


def price_comes(s: Any, a: Any, p: Any, w: Any, x: Any, row: int, ts: int, price: int, volume: int, ev: Any,
                out: Any, trades: Any, tally: Any) -> None:  # fmt: skip
    """One tick of one row, all the way to its fills."""
    if accept(s, a, p, ts, price, volume) != T_OK:
        return
    tally.ticks += 1
    w.avail = UNBOUNDED if volume == 0 else takeable(volume - s.volume, x.participation_ppm)
    calm = within(a, w, price, ts)
    if not calm and stirred(s, w, price):
        meet_orders(s, a, p, w, x, row, ts, price, ev, out, trades, tally)
    traded = see(s, ts, price, volume)
    n = look(s, a, p, w, row, ts, calm, out, 0)
    n = decide(s, a, p, row, ts, traded, True, out, n)
    for i in range(n):
        carry_out(s, a, p, w, x, out[i], ev, out, n, trades, tally)


def look(s: Any, a: Any, p: Any, w: Any, row: int, ts: int, calm: bool, out: Any, n: int) -> int:
    """``step.mark``; where the row only waits, what it holds is valued and nothing else asked."""
    if calm:
        appraise(s, a, w.net * s.price - w.cost)
        if a.halted != 0 or not loss_reached(a):
            return n
    w.until = 0
    return mark(s, a, p, row, ts, True, out, n)


def within(a: Any, w: Any, price: int, ts: int) -> bool:
    """The row does nothing but wait at this price and time. Most ticks are answered by this."""
    if price < w.low or price > w.high or ts >= w.until:
        return False
    return bool(a.halted == 0 or a.loss_flatten == 0 or w.net == 0)


def reckon(s: Any, a: Any, p: Any, w: Any) -> None:
    """Find the row's window; ``until`` 0 where it has none. It holds until an order, a fill or an exit."""
    w.low = 1
    w.high = NEVER
    w.until = NEVER if p.square_off <= 0 or flat(s) else p.square_off
    w.net = 0
    w.cost = 0
    for r in range(RUNGS):
        if not waits(s, a, p, w, r):
            w.until = 0
            return
    if not waits_to_add(s, p, w):
        w.until = 0


def waits(s: Any, a: Any, p: Any, w: Any, r: int) -> bool:
    """Narrow the window to where this rung waits for its stop or its target. False where it has more to do."""
    if w.entry_left[r] != 0 or w.exit_kind[r] == WORKING:
        return False
    side = s.side[r]
    if side == 0:
        return bool(w.exit_kind[r] == NONE)
    if held(s, r) <= 0 or s.exit_pending[r] != 0:
        return False
    if w.exit_kind[r] == RESTING:
        short_of(w, -side, w.exit_trigger[r])
    if s.target[r] != 0:
        short_of(w, side, s.target[r])
    w.net += side * held(s, r)
    w.cost += side * cost_left(s, r)
    return p.trail[r] == 0 or waits_to_trail(s, a, p, w, r)


def waits_to_trail(s: Any, a: Any, p: Any, w: Any, r: int) -> bool:
    """The same for a runner: until a better price, and until what its stop has moved may be told."""
    side = s.side[r]
    short_of(w, side, s.extreme[r] + side)
    if s.hand_stop[r] != 0:
        return True
    stop = trailing_stop(s.extreme[r], p.stop_pct[r], side, p.tick, s.stop[r])
    if stop == s.stop[r] and stop != s.sent_stop[r]:
        short_of(w, -side, stop)
        if abs(stop - s.sent_stop[r]) * 1_000_000 >= a.trail_step_ppm * s.sent_stop[r]:
            w.until = min(w.until, s.sent_ts[r] + a.trail_interval)
    return bool(stop == s.stop[r])


def waits_to_add(s: Any, p: Any, w: Any) -> bool:
    """The same for the rung that waits for a gain: to two paise before the price that may be enough."""
    r = rung_to_add(s, p)
    if r == 0:
        return True
    side = s.side[0]
    edge = int(average_before(s, r) * (1.0 + side * p.add_pct[r] / 100.0)) - 2 * side
    short_of(w, side, edge)
    return next_rung(s, p, edge) == 0


def short_of(w: Any, side: int, level: int) -> None:
    """Narrow the window to prices below the level (side +1) or above it (-1)."""
    if side > 0:
        w.high = min(w.high, level - 1)
    else:
        w.low = max(w.low, level + 1)


def stirred(s: Any, w: Any, price: int) -> bool:
    """An order of the row is working, or rests where the price has come to it."""
    for r in range(RUNGS):
        kind = w.exit_kind[r]
        if w.entry_left[r] != 0 or kind == WORKING:
            return True
        if kind == RESTING and triggered(-s.side[r], w.exit_trigger[r], price):
            return True
    return False


def meet_orders(s: Any, a: Any, p: Any, w: Any, x: Any, row: int, ts: int, price: int, ev: Any, out: Any,
                trades: Any, tally: Any) -> None:  # fmt: skip
    """The row's orders meet a price; what has waited too long is chased."""
    for r in range(RUNGS):
        meet_entry(s, a, p, w, x, row, ts, price, r, ev, out, 0, trades, tally)
        meet_exit(s, a, p, w, x, row, ts, price, r, ev, out, 0, trades, tally)
    if working(w):
        chase_at(s, a, p, w, x, row, ts, price, ev, out, trades, tally)


def carry_out(s: Any, a: Any, p: Any, w: Any, x: Any, o: Any, ev: Any, out: Any, n: int, trades: Any,
              tally: Any) -> None:  # fmt: skip
    """Do what one intent asks for."""
    if o.kind == ENTER or o.kind == STOP or o.kind == EXIT:
        w.until = 0
    if o.kind == ENTER:
        tally.signals += 1
        send_entry(s, a, p, w, x, o, ev, out, n, trades, tally)
    elif o.kind == STOP:
        rest_stop(s, a, p, w, x, o.row, o.ts, o.rung, o.stop, ev, out, n, trades, tally)
    elif o.kind == EXIT:
        convert(s, a, p, w, x, o.row, o.ts, o.rung, o.code, ev, out, n, trades, tally)
    elif o.kind == LIMITED:
        tally.limited[o.code] += 1


def send_entry(s: Any, a: Any, p: Any, w: Any, x: Any, o: Any, ev: Any, out: Any, n: int, trades: Any,
               tally: Any) -> None:  # fmt: skip
    """A market order with protection; at zero latency it meets the price that caused it."""
    r = o.rung
    no = too_large(x, o.qty, s.price)
    if no != 0:
        tally.refused[no] += 1
        report(s, ev[0], REJECT, o.row, o.ts, r, ENTRY, 0, 0)
        on_end(s, a, p, ev[0], n)
        return
    w.side[r] = o.side
    w.entry_left[r] = o.qty
    w.entry_limit[r] = 0
    w.entry_ts[r] = o.ts
    w.entry_at[r] = o.ts + x.latency
    w.exit_kind[r] = NONE
    w.stopped[r] = 0
    tally.orders += 1
    meet_entry(s, a, p, w, x, o.row, o.ts, s.price, r, ev, out, n, trades, tally)


def too_large(x: Any, qty: int, ltp: int) -> int:
    """0, or why the gate before the broker refuses an entry of this size: 1 its quantity, 2 its value."""
    if x.max_qty > 0 and qty > x.max_qty:
        return 1
    if x.max_value > 0 and qty * ltp > x.max_value:
        return 2
    return 0


def meet_entry(s: Any, a: Any, p: Any, w: Any, x: Any, row: int, ts: int, ltp: int, r: int, ev: Any,
               out: Any, n: int, trades: Any, tally: Any) -> None:  # fmt: skip
    """Fill a working entry as far as price and traded volume allow."""
    if w.entry_left[r] == 0 or ts < w.entry_at[r]:
        return
    side = s.side[r]
    if w.entry_limit[r] == 0:
        w.entry_limit[r] = protected(side, ltp, protection_ppm(ltp, p.option), p.tick)
    price = fill_price(side, w.entry_limit[r], 1, ltp, x.slip_ppm, p.tick)
    qty = min(w.entry_left[r], w.avail // p.lot * p.lot)
    if price == 0 or qty <= 0:
        return
    w.avail -= qty
    w.entry_left[r] -= qty
    report(s, ev[0], FILL, row, ts, r, ENTRY, s.filled[r] + qty, s.entry_value[r] + qty * price)
    tally.fills += 1
    m = on_entry_fill(s, a, p, ev[0], out, n)
    if m > n and out[n].kind == STOP:
        rest_stop(s, a, p, w, x, row, ts, r, out[n].stop, ev, out, n, trades, tally)


def rest_stop(s: Any, a: Any, p: Any, w: Any, x: Any, row: int, ts: int, r: int, level: int, ev: Any,
              out: Any, n: int, trades: Any, tally: Any) -> None:  # fmt: skip
    """Place the rung's stop, or move it. One beyond the price already is an exit at once."""
    if w.exit_kind[r] == WORKING:
        return
    if w.exit_kind[r] == NONE:
        tally.orders += 1
    w.exit_kind[r] = RESTING
    w.exit_trigger[r] = level
    w.exit_at[r] = ts + x.latency
    w.exit_reason[r] = R_STOP
    if triggered(-s.side[r], level, s.price):
        convert(s, a, p, w, x, row, ts, r, R_STOP, ev, out, n, trades, tally)


def convert(s: Any, a: Any, p: Any, w: Any, x: Any, row: int, ts: int, r: int, reason: int, ev: Any,
            out: Any, n: int, trades: Any, tally: Any) -> None:  # fmt: skip
    """Turn the rung's stop into a marketable limit; what is still to be bought is cancelled first."""
    cancel_entry(s, a, p, w, row, ts, r, ev, out, n, trades, tally)
    if s.side[r] == 0 or held(s, r) == 0 or w.exit_kind[r] == WORKING:
        return
    if w.exit_kind[r] == NONE:
        tally.orders += 1
    w.exit_reason[r] = reason
    price_exit(s, p, w, x, ts, s.price, r)
    meet_exit(s, a, p, w, x, row, ts, s.price, r, ev, out, n, trades, tally)


def price_exit(s: Any, p: Any, w: Any, x: Any, ts: int, ltp: int, r: int) -> None:
    """The reducing order becomes a limit inside the protection band of this price."""
    w.exit_kind[r] = WORKING
    w.exit_limit[r] = protected(-s.side[r], ltp, protection_ppm(ltp, p.option), p.tick)
    w.exit_at[r] = ts + x.latency
    w.exit_ts[r] = ts


def cancel_entry(s: Any, a: Any, p: Any, w: Any, row: int, ts: int, r: int, ev: Any, out: Any, n: int,
                 trades: Any, tally: Any) -> None:  # fmt: skip
    """Take back what of an entry has not filled."""
    if w.entry_left[r] == 0:
        return
    w.entry_left[r] = 0
    report(s, ev[0], DONE, row, ts, r, ENTRY, 0, 0)
    on_end(s, a, p, ev[0], n)
    close_trade(s, p, w, row, ts, r, trades, tally)


def meet_exit(s: Any, a: Any, p: Any, w: Any, x: Any, row: int, ts: int, ltp: int, r: int, ev: Any,
              out: Any, n: int, trades: Any, tally: Any) -> None:  # fmt: skip
    """Trigger a resting stop, fill a working exit."""
    if w.exit_kind[r] == NONE or ts < w.exit_at[r]:
        return
    side = s.side[r]
    if w.exit_kind[r] == RESTING:
        if not triggered(-side, w.exit_trigger[r], ltp):
            return
        price_exit(s, p, w, x, ts, ltp, r)
        w.exit_at[r] = ts
        w.stopped[r] = 1
    price = fill_price(-side, w.exit_limit[r], 1, ltp, x.slip_ppm, p.tick)
    qty = min(held(s, r), w.avail)
    if price != 0 and qty > 0:
        w.avail -= qty
        report(s, ev[0], FILL, row, ts, r, EXIT_LEG, s.exited[r] + qty, s.exit_value[r] + qty * price)
        tally.fills += 1
        on_exit_fill(s, a, p, ev[0], out, n)
        close_trade(s, p, w, row, ts, r, trades, tally)
    if w.stopped[r] != 0:
        w.stopped[r] = 0
        cancel_entry(s, a, p, w, row, ts, r, ev, out, n, trades, tally)


def report(s: Any, e: Any, kind: int, row: int, ts: int, r: int, leg: int, qty: int, value: int) -> None:
    """What the order manager would tell the kernel."""
    e.kind = kind
    e.row = row
    e.ts = ts
    e.rung = r
    e.leg = leg
    e.cycle = s.cycle[r]
    e.qty = qty
    e.value = value


def working(w: Any) -> bool:
    """The row has an order that time can change: an unfilled entry, or an exit that is a limit already."""
    for r in range(RUNGS):
        if w.entry_left[r] > 0 or w.exit_kind[r] == WORKING:
            return True
    return False


def chase(s: Any, a: Any, p: Any, w: Any, x: Any, row: int, ts: int, ev: Any, out: Any, trades: Any,
          tally: Any) -> None:  # fmt: skip
    """At a timer: as after a tick, at the last price."""
    chase_at(s, a, p, w, x, row, ts, s.price, ev, out, trades, tally)


def chase_at(s: Any, a: Any, p: Any, w: Any, x: Any, row: int, ts: int, ltp: int, ev: Any, out: Any,
             trades: Any, tally: Any) -> None:  # fmt: skip
    """An exit that the price has run away from is re-priced; an entry that does not fill is cancelled."""
    for r in range(RUNGS):
        if w.entry_left[r] > 0 and ts - w.entry_ts[r] >= PATIENCE:
            cancel_entry(s, a, p, w, row, ts, r, ev, out, 0, trades, tally)
        if w.exit_kind[r] != WORKING or ts - w.exit_ts[r] < REPRICE:
            continue
        if fill_price(-s.side[r], w.exit_limit[r], 1, ltp, x.slip_ppm, p.tick) == 0:
            price_exit(s, p, w, x, ts, ltp, r)
            meet_exit(s, a, p, w, x, row, ts, ltp, r, ev, out, 0, trades, tally)


def close_trade(s: Any, p: Any, w: Any, row: int, ts: int, r: int, trades: Any, tally: Any) -> None:
    """Book the round trip of a rung that has just ended."""
    if s.side[r] != 0:
        return
    done = w.exit_kind[r] != NONE
    w.exit_kind[r] = NONE
    w.entry_left[r] = 0
    if not done or s.filled[r] == 0:
        return
    if tally.trades >= len(trades):
        tally.overflow += 1
        return
    t = trades[tally.trades]
    tally.trades += 1
    t.row = row
    t.rung = r
    t.cycle = s.cycle[r]
    t.side = w.side[r]
    t.qty = s.filled[r]
    t.entry_ts = s.entry_ts[r]
    t.entry_value = s.entry_value[r]
    t.exit_ts = ts
    t.exit_value = s.exit_value[r]
    t.reason = w.exit_reason[r]
    t.gross = s.realised[r]
    t.charges = charge(p, w.side[r], s.entry_value[r]) + charge(p, -w.side[r], s.exit_value[r])
