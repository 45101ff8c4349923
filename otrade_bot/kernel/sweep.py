"""Many parameter sets over the same days, in one compiled call: each of them a replay of its own.

A set is a PARAMS record with a strategy's numbers. What belongs to a row and a day (hours, charges, lot, capital) is
laid over it from the ``plan``. Sets go through a day in blocks, so that the day's prices are still in the cache when
the next set comes to it; no set sees another one, and its result does not depend on the company it was in.
"""

from __future__ import annotations

from typing import Any

from otrade_bot.kernel.charges import charge
from otrade_bot.kernel.replay import NONE, replay, report
from otrade_bot.kernel.state import DONE, ENTRY, EXIT_LEG, FILL, RUNGS
from otrade_bot.kernel.step import new_day, on_bar, on_end, on_exit_fill


def sweep(sets: Any, plan: Any, account: Any, params: Any, state: Any, acct: Any, work: Any, past: Any, feed: Any,
          feed_at: Any, timers: Any, timer_at: Any, dates: Any, venue: Any, ev: Any, out: Any, trades: Any, tally: Any,
          days: Any, scores: Any) -> int:  # fmt: skip
    """Replay every set from a fresh state; returns how many there were.

    ``plan`` holds PARAMS of every row for each day, ``account`` the limits. ``past`` are WARM bars of earlier days, for
    the indicators alone. Day ``d`` is ``feed[feed_at[d]:feed_at[d +
    1]]`` with its ``timers`` and its ordinal in ``dates``. Scratch: ``params``, ``state``, ``work``, ``acct`` and
    ``tally`` of a block of sets; the last record of ``state``, ``work`` and ``tally`` stays blank. Results: ``scores``,
    one a set, and ``days``, one a set and day.
    """
    n_days = len(dates)
    rows = len(plan) // n_days
    block = len(acct)
    for first in range(0, len(sets), block):
        many = min(block, len(sets) - first)
        for b in range(many):
            for i in range(b * rows, b * rows + rows):
                state[i] = state[block * rows]
                work[i] = work[block * rows]
            acct[b] = account[0]
            tally[b] = tally[block]
            for i in range(rows):
                params[b * rows + i] = sets[first + b]
                of_the_day(params[b * rows + i], plan[i])
            for i in range(len(past)):
                at = b * rows + past[i].row
                on_bar(state[at], acct[b], params[at], past[i], out, 0)
        for d in range(n_days):
            for b in range(many):
                lo = b * rows
                hi = lo + rows
                for i in range(rows):
                    params[lo + i] = sets[first + b]
                    of_the_day(params[lo + i], plan[d * rows + i])
                    new_day(state[lo + i], acct[b], params[lo + i], dates[d])
                before = acct[b].unrealised
                tally[b].trades = 0
                replay(state[lo:hi], acct[b : b + 1], params[lo:hi], work[lo:hi], feed[feed_at[d] : feed_at[d + 1]],
                       timers[timer_at[d] : timer_at[d + 1]], venue, ev, out, trades, tally[b : b + 1])  # fmt: skip
                end = 0
                for i in range(rows):
                    end = max(end, params[lo + i].day_close)
                for i in range(rows):
                    left_over(state[lo + i], acct[b], params[lo + i], work[lo + i], i, end, ev, out, trades, tally[b])
                add_up(days[(first + b) * n_days + d], trades, tally[b].trades)
                days[(first + b) * n_days + d].net = acct[b].realised - acct[b].charges + acct[b].unrealised - before
        for b in range(many):
            settle(scores[first + b], acct[b], tally[b])
    return len(sets)


def of_the_day(p: Any, q: Any) -> None:
    """Everything in a set's record that no set decides."""
    p.sid = q.sid
    p.enabled = q.enabled
    p.tradable = q.tradable
    p.option = q.option
    p.intraday = q.intraday
    p.lot = q.lot
    p.tick = q.tick
    p.tf = q.tf
    p.capital = q.capital
    p.day_open = q.day_open
    p.day_close = q.day_close
    p.entry_from = q.entry_from
    p.entry_until = q.entry_until
    p.square_off = q.square_off
    p.ch_rate = q.ch_rate
    p.ch_cap = q.ch_cap
    p.ch_flat = q.ch_flat
    p.ch_stt_buy = q.ch_stt_buy
    p.ch_stt_sell = q.ch_stt_sell
    p.ch_exchange = q.ch_exchange
    p.ch_ipft = q.ch_ipft
    p.ch_sebi = q.ch_sebi
    p.ch_stamp_buy = q.ch_stamp_buy
    p.ch_gst = q.ch_gst
    p.ch_dp_sell = q.ch_dp_sell


def left_over(s: Any, a: Any, p: Any, w: Any, row: int, ts: int, ev: Any, out: Any, trades: Any,
              tally: Any) -> None:  # fmt: skip
    """What an intraday row still holds at the day's end the broker squares off at the last price; reason 0."""
    if p.intraday == 0:
        return
    for r in range(RUNGS):
        if s.side[r] == 0:
            continue
        side = s.side[r]
        filled = s.filled[r]
        entered = s.entry_value[r]
        left = filled - s.exited[r]
        value = s.exit_value[r] + left * s.price
        w.entry_left[r] = 0
        w.exit_kind[r] = NONE
        w.stopped[r] = 0
        report(s, ev[0], DONE, row, ts, r, ENTRY, 0, 0)
        on_end(s, a, p, ev[0], 0)
        if left == 0:
            continue
        report(s, ev[0], FILL, row, ts, r, EXIT_LEG, filled, value)
        on_exit_fill(s, a, p, ev[0], out, 0)
        tally.fills += 1
        if tally.trades >= len(trades):
            tally.overflow += 1
            continue
        t = trades[tally.trades]
        tally.trades += 1
        t.row = row
        t.rung = r
        t.cycle = s.cycle[r]
        t.side = side
        t.qty = filled
        t.entry_ts = s.entry_ts[r]
        t.entry_value = entered
        t.exit_ts = ts
        t.exit_value = value
        t.reason = 0
        t.gross = side * (value - entered)
        t.charges = charge(p, side, entered) + charge(p, -side, value)


def add_up(day: Any, trades: Any, n: int) -> None:
    """The trades that ended on a day; each of them won or lost after its own charges."""
    for i in range(n):
        t = trades[i]
        net = t.gross - t.charges
        day.trades += 1
        day.gross += t.gross
        day.charges += t.charges
        if net > 0:
            day.wins += 1
            day.won += net
        else:
            day.lost -= net


def settle(score: Any, a: Any, tally: Any) -> None:
    """What is known of a set at the end of its last day."""
    score.ticks = tally.ticks
    score.signals = tally.signals
    score.orders = tally.orders
    score.fills = tally.fills
    score.overflow = tally.overflow
    score.open = a.rungs
    score.unrealised = a.unrealised
