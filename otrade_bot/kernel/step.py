"""The kernel: one function from (row, account, params, event) to intents. No I/O, no clock, no strings.

It only *intends*. FILL, REJECT, DONE and ADOPT are the only ways by which positions and pending
quantities change; they are cumulative, so a report that comes twice or late changes nothing. An
exit at the level that rests at the exchange is never intended: the exchange does that. Only where a
trailing level has risen (step and interval keep it from being sent at once) and the price falls back
to it before it was sent, the exit is intended here.
"""

from __future__ import annotations

from typing import Any

from otrade_bot.kernel.bars import add_tick, bar_due, close_bar, remember
from otrade_bot.kernel.calculations import (
    gain_percent,
    ladder_average,
    open_profit,
    position_size,
    profit,
    stop_level,
    target_level,
    trailing_stop,
)
from otrade_bot.kernel.charges import charge
from otrade_bot.kernel.hooks import should_buy, should_sell, update
from otrade_bot.kernel.limits import entry_limit, loss_reached
from otrade_bot.kernel.state import (
    ADOPT,
    BAR,
    DONE,
    ENTER,
    ENTRY,
    EVALUATED,
    EXIT,
    FILL,
    HALTED,
    L_UNAFFORDABLE,
    LIMITED,
    LIVE,
    OK,
    PHASE,
    PHASE_BLOCK,
    PHASE_DAY,
    PHASE_ENABLE,
    PHASE_EXIT,
    PHASE_STOP,
    PHASE_TARGET,
    R_DAILY_LOSS,
    R_SIGNAL,
    R_SQUARE_OFF,
    R_STOP,
    R_TARGET,
    REJECT,
    RUNGS,
    STOP,
    STRAY,
    TICK,
    TIMER,
)

EXIT_RETRY = 1_000_000_000
LIMITED_AGAIN = 60_000_000_000


def step(s: Any, a: Any, p: Any, e: Any, out: Any, n: int) -> int:
    """Apply one event to one row. Intents are written to ``out`` from ``n`` on; returns the new count.

    At most 8 intents a call. The event's ticks are taken as accepted: see ``limits.accept``.
    """
    kind = e.kind
    if kind == TICK:
        return on_tick(s, a, p, e, out, n)
    if kind == TIMER:
        return on_timer(s, a, p, e.row, e.ts, e.qty, e.code, out, n)
    if kind == FILL:
        if e.leg == ENTRY:
            return on_entry_fill(s, a, p, e, out, n)
        return on_exit_fill(s, a, p, e, out, n)
    if kind == REJECT or kind == DONE:
        return on_end(s, a, p, e, n)
    if kind == BAR:
        return on_bar(s, a, p, e, out, n)
    if kind == ADOPT:
        adopt(s, a, p, e)
        return n
    if kind == PHASE:
        return on_phase(s, a, p, e, out, n)
    return n


def put(out: Any, n: int, kind: int, row: int, r: int, cycle: int, side: int, qty: int, price: int,
        stop: int, target: int, code: int, ts: int) -> int:  # fmt: skip
    """Write one intent."""
    o = out[n]
    o.kind = kind
    o.row = row
    o.rung = r
    o.cycle = cycle
    o.side = side
    o.qty = qty
    o.price = price
    o.stop = stop
    o.target = target
    o.code = code
    o.ts = ts
    return n + 1


# --- prices ---------------------------------------------------------------------------------------


def on_tick(s: Any, a: Any, p: Any, e: Any, out: Any, n: int) -> int:
    """A price, as an event."""
    return on_price(s, a, p, e.row, e.ts, e.price, e.qty, e.code == LIVE, out, n)


def on_price(s: Any, a: Any, p: Any, row: int, ts: int, price: int, volume: int, live: bool, out: Any,
             n: int) -> int:  # fmt: skip
    """A price: mark what is held, then see whether a bar has closed, then whether to enter."""
    traded = see(s, ts, price, volume)
    n = mark(s, a, p, row, ts, live, out, n)
    return decide(s, a, p, row, ts, traded, live, out, n)


def see(s: Any, ts: int, price: int, volume: int) -> int:
    """Take a price down; returns what was traded since the last one."""
    traded = volume - s.volume if volume > s.volume else 0
    s.ts = ts
    s.price = price
    s.volume = volume
    s.ltp = price / 100.0
    return int(traded)


def decide(s: Any, a: Any, p: Any, row: int, ts: int, traded: int, live: bool, out: Any, n: int) -> int:
    """What the price just seen closes and what the strategy makes of it; then it belongs to the bar being built."""
    if p.sid == 0:
        return n
    ltp = s.ltp
    if p.tf == 0:
        remember(s, ltp, ltp, ltp, ltp, float(traded))
    elif bar_due(s, p, ts):
        close_bar(s)
    else:
        add_tick(s, p, ts, ltp, traded)
        return n
    update(s, p)
    n = evaluate(s, a, p, row, ts, live, p.tf != 0, out, n)
    if p.tf != 0:
        add_tick(s, p, ts, ltp, traded)
    return n


def on_bar(s: Any, a: Any, p: Any, e: Any, out: Any, n: int) -> int:
    """A closed bar from outside: history for warm-up, or a feed that has bars only."""
    s.ts = max(s.ts, e.ts)
    s.price = e.price
    s.ltp = e.price / 100.0
    revalue(s, a)
    remember(s, e.value / 100.0, e.high / 100.0, e.low / 100.0, s.ltp, float(e.qty))
    if p.sid == 0:
        return n
    update(s, p)
    return evaluate(s, a, p, e.row, e.ts, e.code == LIVE, True, out, n)


def on_timer(s: Any, a: Any, p: Any, row: int, ts: int, scan: int, code: int, out: Any, n: int) -> int:
    """Time has passed: bars close and square-off comes also where no tick does."""
    n = mark(s, a, p, row, ts, code == LIVE, out, n)
    return time_tells(s, a, p, row, ts, scan, code == LIVE, out, n)


def time_tells(s: Any, a: Any, p: Any, row: int, ts: int, scan: int, live: bool, out: Any, n: int) -> int:
    """A bar that ends by now, or a scan between two bars."""
    if p.sid == 0:
        return n
    if bar_due(s, p, ts):
        close_bar(s)
        update(s, p)
    elif scan == 0 or s.day_bars == 0:
        return n  # yesterday's last bar says nothing about today's price
    elif p.scan == 0:
        if live and p.tf == 0 and s.bars >= p.warm and p.day_open <= ts < p.day_close:
            return put(out, n, EVALUATED, row, 0, 0, 0, 0, s.price, 0, 0, s.verdict, ts)
        return n
    return evaluate(s, a, p, row, ts, live, True, out, n)


def evaluate(s: Any, a: Any, p: Any, row: int, ts: int, live: bool, told: bool, out: Any, n: int) -> int:
    """Ask the strategy. ``told``: put the verdict on record even where it is no."""
    if s.bars < p.warm:
        return n
    buy = should_buy(s, p)
    sell = should_sell(s, p)
    verdict = (1 if buy else 0) + (2 if sell else 0)
    news = verdict != s.verdict and verdict != 0
    s.verdict = verdict
    if not live:
        return n
    if told or news:
        n = put(out, n, EVALUATED, row, 0, 0, 0, 0, s.price, 0, 0, s.verdict, ts)
    if p.exit_on_signal != 0:
        n = exit_on_signal(s, buy, sell, row, ts, out, n)
    if not flat(s):
        return n
    if buy:
        return enter(s, a, p, row, ts, 0, 1, out, n)
    if sell and p.short != 0 and p.intraday != 0:
        return enter(s, a, p, row, ts, 0, -1, out, n)
    return n


def exit_on_signal(s: Any, buy: bool, sell: bool, row: int, ts: int, out: Any, n: int) -> int:
    """Leave what the opposite signal contradicts."""
    for r in range(RUNGS):
        if (s.side[r] > 0 and sell) or (s.side[r] < 0 and buy):
            n = leave(s, row, ts, r, R_SIGNAL, out, n)
    return n


# --- what is held ---------------------------------------------------------------------------------


def flat(s: Any) -> bool:
    """Nothing open and nothing pending in this row."""
    taken = 0
    for r in range(RUNGS):
        taken |= s.side[r]
    return bool(taken == 0)


def held(s: Any, r: int) -> int:
    """Open quantity of a rung."""
    return s.filled[r] - s.exited[r]


def cost_left(s: Any, r: int) -> int:
    """Paise that the open part of a rung was bought (or sold short) for."""
    if s.filled[r] == 0:
        return 0
    if s.exited[r] == 0:
        return s.entry_value[r]
    return s.entry_value[r] - s.entry_value[r] * s.exited[r] // s.filled[r]


def mark(s: Any, a: Any, p: Any, row: int, ts: int, live: bool, out: Any, n: int) -> int:
    """Value the row at the last price; trail, exit and add where that price or the time says so."""
    revalue(s, a)
    if live:
        n = guard(a, row, ts, out, n)
    if flat(s):
        return n
    for r in range(RUNGS):
        if s.side[r] != 0:
            n = tend(s, a, p, row, ts, r, live, out, n)
    if live:
        n = add_rung(s, a, p, row, ts, out, n)
    return n


def guard(a: Any, row: int, ts: int, out: Any, n: int) -> int:
    """The day ends for entries when its loss limit is reached."""
    if a.halted == 0 and loss_reached(a):
        a.halted = 1
        return put(out, n, HALTED, row, 0, 0, 0, 0, 0, 0, 0, 0, ts)
    return n


def revalue(s: Any, a: Any) -> None:
    """What is held, at the last price: after each price, and after each fill, so that a result is never
    counted twice, as open and as realised. Nothing while no price is known."""
    worth = 0
    if s.price > 0 and not flat(s):
        for r in range(RUNGS):
            if s.side[r] != 0 and held(s, r) > 0:
                worth += open_profit(s.side[r], held(s, r), cost_left(s, r), s.price)
    appraise(s, a, worth)


def appraise(s: Any, a: Any, worth: int) -> None:
    """What the row holds is worth this much more than it cost."""
    if worth != s.unrealised:
        a.unrealised += worth - s.unrealised
        s.unrealised = worth


def tend(s: Any, a: Any, p: Any, row: int, ts: int, r: int, live: bool, out: Any, n: int) -> int:
    """One rung: its exit conditions, else its trailing stop."""
    if live:
        if p.square_off > 0 and ts >= p.square_off:
            return leave(s, row, ts, r, R_SQUARE_OFF, out, n)
        if a.halted != 0 and a.loss_flatten != 0:
            return leave(s, row, ts, r, R_DAILY_LOSS, out, n)
    if held(s, r) == 0 or s.price == 0:
        return n
    if live and target_hit(s, r):
        return leave(s, row, ts, r, R_TARGET, out, n)
    if p.trail[r] != 0:
        return trail(s, a, p, row, ts, r, live, out, n)
    return n


def target_hit(s: Any, r: int) -> bool:
    """The last price has reached the rung's target."""
    if s.target[r] == 0:
        return False
    return bool(s.price >= s.target[r] if s.side[r] > 0 else s.price <= s.target[r])


def trail(s: Any, a: Any, p: Any, row: int, ts: int, r: int, live: bool, out: Any, n: int) -> int:
    """Move a runner's stop with the best price since entry; tell the exchange in steps, not at each tick.
    One set by hand stays where it was put."""
    side = s.side[r]
    s.extreme[r] = max(s.extreme[r], s.price) if side > 0 else min(s.extreme[r], s.price)
    if s.hand_stop[r] != 0:
        return n
    s.stop[r] = trailing_stop(s.extreme[r], p.stop_pct[r], side, p.tick, s.stop[r])
    if s.stop[r] == s.sent_stop[r] or s.exit_pending[r] != 0:
        return n
    if (side > 0 and s.price <= s.stop[r]) or (side < 0 and s.price >= s.stop[r]):
        return leave(s, row, ts, r, R_STOP, out, n) if live else n
    moved = abs(s.stop[r] - s.sent_stop[r])
    if moved * 1_000_000 < a.trail_step_ppm * s.sent_stop[r] or ts - s.sent_ts[r] < a.trail_interval:
        return n
    if not live:  # a past that is played again: it was sent then
        s.sent_stop[r] = s.stop[r]
        s.sent_ts[r] = ts
        return n
    return send_stop(s, row, ts, r, out, n)


def send_stop(s: Any, row: int, ts: int, r: int, out: Any, n: int) -> int:
    """Say where the exchange's stop should rest."""
    s.sent_stop[r] = s.stop[r]
    s.sent_ts[r] = ts
    return put(out, n, STOP, row, r, s.cycle[r], s.side[r], held(s, r), s.price, s.stop[r], s.target[r], 0, ts)


def leave(s: Any, row: int, ts: int, r: int, reason: int, out: Any, n: int) -> int:
    """Intend an exit, once; a refused one is tried again a second later."""
    if s.exit_pending[r] != 0 or ts < s.exit_retry[r]:
        return n
    s.exit_pending[r] = reason
    return put(out, n, EXIT, row, r, s.cycle[r], s.side[r], held(s, r), s.price, 0, 0, reason, ts)


# --- entries --------------------------------------------------------------------------------------


def add_rung(s: Any, a: Any, p: Any, row: int, ts: int, out: Any, n: int) -> int:
    """P2 when P1 has gained enough, P3 when the average of P1 and P2 has; each once a ladder."""
    r = next_rung(s, p, s.price)
    return enter(s, a, p, row, ts, r, s.side[0], out, n) if r > 0 else n


def next_rung(s: Any, p: Any, price: int) -> int:
    """The rung that this price adds, 0 where it adds none; a better price adds it too."""
    r = rung_to_add(s, p)
    if r == 0:
        return 0
    return r if gain_percent(average_before(s, r), price, s.side[0]) >= p.add_pct[r] else 0


def rung_to_add(s: Any, p: Any) -> int:
    """The rung that waits for a gain; 0 where none does."""
    if p.rungs < 2 or s.side[0] == 0 or held(s, 0) == 0 or s.exit_pending[0] != 0:
        return 0
    if s.cycle[1] < s.cycle[0]:
        return 1
    if p.rungs < 3 or s.cycle[2] > s.cycle[0] or held(s, 1) == 0 or s.exit_pending[1] != 0:
        return 0
    return 2


def average_before(s: Any, r: int) -> float:
    """The average entry price of the rungs before it."""
    if r == 1:
        return ladder_average(s.filled[0], s.entry_value[0], 0, 0)
    return ladder_average(s.filled[0], s.entry_value[0], s.filled[1], s.entry_value[1])


def enter(s: Any, a: Any, p: Any, row: int, ts: int, r: int, side: int, out: Any, n: int) -> int:
    """Intend an entry if every limit allows it, and bind its capital at once."""
    qty = position_size(p.capital, s.price, p.lot)
    code = entry_limit(s, a, p, ts, r, side, qty, s.price)
    if code != OK:
        if code == s.limited[r] and ts - s.limited_ts[r] < LIMITED_AGAIN:
            return n
        s.limited[r] = code
        s.limited_ts[r] = ts
        price = p.capital if code == L_UNAFFORDABLE else s.price
        return put(out, n, LIMITED, row, r, 0, side, qty, price, 0, 0, code, ts)
    s.next_cycle += 1
    open_rung(s, a, r, side, s.next_cycle, qty, s.price)
    stop = stop_level(s.price, p.stop_pct[r], side, p.tick)
    target = target_level(s.price, p.target_pct[r], side, p.tick)
    return put(out, n, ENTER, row, r, s.cycle[r], side, qty, s.price, stop, target, 0, ts)


def open_rung(s: Any, a: Any, r: int, side: int, cycle: int, qty: int, price: int) -> None:
    """The rung is pending from here on, and counts in every limit."""
    s.side[r] = side
    s.cycle[r] = cycle
    s.want[r] = qty
    s.ref[r] = price
    s.filled[r] = 0
    s.entry_value[r] = 0
    s.exited[r] = 0
    s.exit_value[r] = 0
    s.exit_pending[r] = 0
    s.exit_retry[r] = 0
    s.extreme[r] = 0
    s.stop[r] = 0
    s.sent_stop[r] = 0
    s.sent_ts[r] = 0
    s.target[r] = 0
    s.hand_stop[r] = 0
    s.hand_target[r] = 0
    s.charged[r] = 0
    s.realised[r] = 0
    s.entry_ts[r] = 0
    s.limited[r] = 0
    s.reserve[r] = qty * price
    a.rungs += 1
    a.trades += 1
    a.used += s.reserve[r]


def free_rung(s: Any, a: Any, p: Any, r: int, ts: int, cooldown: int) -> None:
    """The rung is over. Its cycle number stays, so that late reports can be told apart."""
    a.rungs -= 1
    a.used -= s.reserve[r]
    s.reserve[r] = 0
    s.side[r] = 0
    s.exit_pending[r] = 0
    s.cool_until = max(s.cool_until, ts + cooldown)


def adopt(s: Any, a: Any, p: Any, e: Any) -> None:
    """Recovery hands over an order of ours that the broker knows; its FILLs follow."""
    r = e.rung
    if s.side[r] != 0:
        return
    s.next_cycle = max(s.next_cycle, e.cycle)
    open_rung(s, a, r, e.code, e.cycle, e.qty, e.price)


# --- reports --------------------------------------------------------------------------------------


def stray(s: Any, e: Any) -> bool:
    """The report is about a cycle that this rung no longer, or not yet, is in."""
    return s.side[e.rung] == 0 or s.cycle[e.rung] != e.cycle


def on_entry_fill(s: Any, a: Any, p: Any, e: Any, out: Any, n: int) -> int:
    """The entry has filled further: arm or raise the stop for what is held."""
    r = e.rung
    if stray(s, e):
        return put(out, n, STRAY, e.row, r, e.cycle, 0, e.qty, 0, 0, 0, e.leg, e.ts)
    if e.qty <= s.filled[r]:
        return n
    first = s.filled[r] == 0
    book_charge(s, a, r, charge(p, s.side[r], e.value) - charge(p, s.side[r], s.entry_value[r]))
    s.filled[r] = e.qty
    s.entry_value[r] = e.value
    s.want[r] = max(s.want[r], e.qty)
    rebind(s, a, r)
    rebook(s, a, r)
    end_if_complete(s, a, p, r, e.ts, a.cooldown)
    revalue(s, a)
    if s.side[r] == 0:
        return n
    average = (e.value + e.qty // 2) // e.qty
    if first:
        s.entry_ts[r] = e.ts
        s.extreme[r] = average
    return arm(s, p, e.row, e.ts, r, average, out, n)


def arm(s: Any, p: Any, row: int, ts: int, r: int, average: int, out: Any, n: int) -> int:
    """Stop and target from the average entry price; the stop never loosens. What is set by hand stays."""
    side = s.side[r]
    if s.hand_stop[r] == 0:
        level = stop_level(average, p.stop_pct[r], side, p.tick)
        if s.stop[r] == 0 or (side > 0 and level > s.stop[r]) or (side < 0 and level < s.stop[r]):
            s.stop[r] = level
    if s.hand_target[r] == 0:
        s.target[r] = target_level(average, p.target_pct[r], side, p.tick)
    return send_stop(s, row, ts, r, out, n)


def rebind(s: Any, a: Any, r: int) -> None:
    """Capital bound: what is paid, and the reference price for what is still to come."""
    now = s.entry_value[r] + (s.want[r] - s.filled[r]) * s.ref[r]
    a.used += now - s.reserve[r]
    s.reserve[r] = now


def book_charge(s: Any, a: Any, r: int, paise: int) -> None:
    """Charges, to the rung and to the day."""
    s.charged[r] += paise
    a.charges += paise


def on_exit_fill(s: Any, a: Any, p: Any, e: Any, out: Any, n: int) -> int:
    """The reducing order has filled further; the rung ends when nothing is held or to come."""
    r = e.rung
    if stray(s, e):
        return put(out, n, STRAY, e.row, r, e.cycle, 0, e.qty, 0, 0, 0, e.leg, e.ts)
    if e.qty <= s.exited[r]:
        return n
    book_charge(s, a, r, charge(p, -s.side[r], e.value) - charge(p, -s.side[r], s.exit_value[r]))
    s.exited[r] = e.qty
    s.exit_value[r] = e.value
    rebook(s, a, r)
    end_if_complete(s, a, p, r, e.ts, a.cooldown)
    revalue(s, a)
    return n


def end_if_complete(s: Any, a: Any, p: Any, r: int, ts: int, cooldown: int) -> None:
    """The rung is over once all that was to come has come and has gone, in whatever order it was told."""
    if s.filled[r] >= s.want[r] and s.exited[r] >= s.want[r]:
        free_rung(s, a, p, r, ts, cooldown)


def rebook(s: Any, a: Any, r: int) -> None:
    """Realised result of the rung so far; exact when the rung is closed."""
    if s.exited[r] > 0 and s.filled[r] == 0:
        return  # an exit told before its entry: its cost is not known yet
    cost = s.entry_value[r] - cost_left(s, r)
    now = profit(s.side[r], cost, s.exit_value[r])
    a.realised += now - s.realised[r]
    s.realised[r] = now


def on_end(s: Any, a: Any, p: Any, e: Any, n: int) -> int:
    """REJECT or DONE: nothing more will come of this order."""
    r = e.rung
    if stray(s, e):
        return n
    if e.leg != ENTRY:
        s.exit_pending[r] = 0
        s.exit_retry[r] = e.ts + EXIT_RETRY
        return n
    s.want[r] = max(s.filled[r], e.qty)
    rebind(s, a, r)
    if s.want[r] == 0:
        a.trades -= 1
        free_rung(s, a, p, r, e.ts, a.reject_cooldown if e.kind == REJECT else 0)
    else:
        end_if_complete(s, a, p, r, e.ts, a.cooldown)
    return n


# --- phases ---------------------------------------------------------------------------------------


def on_phase(s: Any, a: Any, p: Any, e: Any, out: Any, n: int) -> int:
    """A new day, a block of entries, a demanded exit or level, a strategy switched on or off."""
    if e.code == PHASE_DAY:
        new_day(s, a, p, e.value)
    elif e.code == PHASE_BLOCK:
        a.blocked = e.value
    elif e.code == PHASE_ENABLE:
        p.enabled = e.value
    elif e.code == PHASE_EXIT:
        for r in range(RUNGS):
            if s.side[r] != 0 and (e.rung < 0 or e.rung == r):
                n = leave(s, e.row, e.ts, r, e.value, out, n)
    elif e.code == PHASE_STOP or e.code == PHASE_TARGET:
        n = set_level(s, e, out, n)
    return n


def set_level(s: Any, e: Any, out: Any, n: int) -> int:
    """A human puts the stop or the target of a rung, or gives it back; nothing of a rung that is being left."""
    r = e.rung
    if stray(s, e) or held(s, r) <= 0 or s.exit_pending[r] != 0:
        return n
    if e.code == PHASE_STOP:
        s.stop[r] = e.value
        s.hand_stop[r] = e.qty
    else:
        s.target[r] = e.value
        s.hand_target[r] = e.qty
    return send_stop(s, e.row, e.ts, r, out, n)


def new_day(s: Any, a: Any, p: Any, day: int) -> None:
    """Day counters start at zero; indicators and positions carry on."""
    if a.day != day:
        a.day = day
        a.trades = 0
        a.realised = 0
        a.charges = 0
        a.halted = 0
    if s.day == day:
        return
    s.day = day
    for r in range(RUNGS):
        if s.side[r] != 0 and s.filled[r] == 0:
            a.trades += 1  # an entry still pending counts today; if it ends unfilled it is taken off again
    if s.bar_ticks > 0 and p.tf > 0:
        close_bar(s)
        if p.sid != 0:
            update(s, p)
    s.volume = 0
    s.day_bars = 0
    s.day_pv = 0.0
    s.day_v = 0.0
    s.cool_until = 0
    s.spike_count = 0
    s.back_count = 0
