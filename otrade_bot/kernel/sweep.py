"""Many parameter sets over the same days, in one compiled call: each of them a replay of its own.

A set is a PARAMS record with a strategy's numbers. What belongs to a row and a day (hours, charges, lot, capital) is
laid over it from the ``plan``. Sets go through a day in blocks, so that the day's prices are still in the cache when
the next set comes to it; no set sees another one, and its result does not depend on the company it was in.
"""

from __future__ import annotations

from typing import Any

from otrade_bot.kernel.replay import replay
from otrade_bot.kernel.step import new_day


def sweep(sets: Any, plan: Any, account: Any, params: Any, state: Any, acct: Any, work: Any, feed: Any, feed_at: Any,
          timers: Any, timer_at: Any, dates: Any, venue: Any, ev: Any, out: Any, trades: Any, tally: Any, days: Any,
          scores: Any) -> int:  # fmt: skip
    """Replay every set from a fresh state; returns how many there were.

    ``plan`` holds PARAMS of every row for each day, ``account`` the limits. Day ``d`` is ``feed[feed_at[d]:feed_at[d +
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
        for d in range(n_days):
            for b in range(many):
                lo = b * rows
                hi = lo + rows
                for i in range(rows):
                    params[lo + i] = sets[first + b]
                    of_the_day(params[lo + i], plan[d * rows + i])
                    new_day(state[lo + i], acct[b], params[lo + i], dates[d])
                tally[b].trades = 0
                replay(state[lo:hi], acct[b : b + 1], params[lo:hi], work[lo:hi], feed[feed_at[d] : feed_at[d + 1]],
                       timers[timer_at[d] : timer_at[d + 1]], venue, ev, out, trades, tally[b : b + 1])  # fmt: skip
                add_up(days[(first + b) * n_days + d], trades, tally[b].trades)
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


def add_up(day: Any, trades: Any, n: int) -> None:
    """The trades that ended on a day."""
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
    score.overflow = tally.overflow
    score.open = a.rungs
    score.unrealised = a.unrealised
