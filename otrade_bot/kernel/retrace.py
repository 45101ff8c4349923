"""Recorded inputs once more: the live day's own steps, each in its place, in one compiled loop."""

from __future__ import annotations

from typing import Any

from otrade_bot.kernel.limits import accept
from otrade_bot.kernel.state import LIVE, T_OK, TICK, TIMER
from otrade_bot.kernel.step import on_tick, on_timer, step


def retrace(state: Any, acct: Any, params: Any, ticks: Any, events: Any, at: Any, walk: Any, ev: Any, out: Any,
            of: Any) -> int:  # fmt: skip
    """Go on from ``walk`` through inputs of which those at the places ``at`` are ``events`` and all others, in their
    order, ``ticks`` (TAPED), offered as they were. A TIMER of row -1 is for all rows and is only done where the call
    begins with it, so that whoever calls can put everything back when a strategy fails in it.

    Stops at the end, before such a TIMER, and where ``out`` has no room for what the next input may intend; ``of``
    gets the place of each intent's input. ``walk`` is beyond an input before its step. Returns ``walk.n``.
    """
    w = walk[0]
    a = acct[0]
    rows = len(state)
    begin = w.place
    total = len(ticks) + len(events)
    while w.place < total:
        n = w.n
        happened = w.event < len(events) and at[w.event] == w.place
        every = happened and events[w.event].kind == TIMER and events[w.event].row < 0
        if every and w.place != begin:
            return int(n)
        if n + (12 * rows if every else 8) > len(out):
            return int(n)
        w.place += 1
        if every:
            e = events[w.event]
            w.event += 1
            for row in range(rows):
                n = on_timer(state[row], a, params[row], row, e.ts, e.qty, e.code, out, n)
        elif happened:
            e = events[w.event]
            w.event += 1
            n = step(state[e.row], a, params[e.row], e, out, n)
        else:
            t = ticks[w.tick]
            w.tick += 1
            if accept(state[t.row], a, params[t.row], t.ts, t.price, t.volume) == T_OK:
                c = ev[0]
                c.kind = TICK
                c.row = t.row
                c.ts = t.ts
                c.price = t.price
                c.qty = t.volume
                c.code = LIVE
                n = on_tick(state[t.row], a, params[t.row], c, out, n)
        for i in range(w.n, n):
            of[i] = w.place - 1
        w.n = n
    return int(w.n)
