"""Every limit that shapes trades, so that a backtest obeys what a live day obeys."""

from __future__ import annotations

from typing import Any

from otrade_bot.kernel.state import (
    L_BLOCKED,
    L_CAPITAL,
    L_COLD,
    L_COOLDOWN,
    L_DISABLED,
    L_LOSS,
    L_NO_SHORT,
    L_POSITIONS,
    L_STALE,
    L_TRADES,
    L_UNAFFORDABLE,
    L_UNTRADABLE,
    L_WINDOW,
    OK,
    T_AFTER_CLOSE,
    T_BAD_PRICE,
    T_BEFORE_OPEN,
    T_OK,
    T_OUT_OF_ORDER,
    T_REPEATED,
    T_SPIKE,
    T_VOLUME_BACK,
)

MILLION = 1_000_000
VOLUME_CONFIRM = 20


def accept(s: Any, a: Any, p: Any, ts: int, price: int, volume: int) -> int:
    """Is this tick fit to act on? T_OK or why not; a refused tick only counts in ``s.drops``.

    A price further than ``spike_ppm`` from the last one waits until ``spike_confirm`` ticks in a row
    agree with it: a bad print never does, a real jump does at once.
    """
    code = tick_fault(s, a, p, ts, price, volume)
    if code == T_OK:
        s.drops[T_OK] += 1
    else:
        s.drops[code] += 1
    return code


def tick_fault(s: Any, a: Any, p: Any, ts: int, price: int, volume: int) -> int:
    """T_OK, or the first reason against the tick."""
    if price <= 0 or volume < 0:
        return T_BAD_PRICE
    if ts < p.day_open:
        return T_BEFORE_OPEN
    if ts >= p.day_close:
        return T_AFTER_CLOSE
    if ts < s.ts:
        return T_OUT_OF_ORDER
    if repeated(s, ts, price, volume):
        return T_REPEATED
    if volume < s.volume and volume_misread(s):
        return T_VOLUME_BACK
    if s.price > 0 and far(s.price, price, a.spike_ppm) and unconfirmed(s, a, price):
        return T_SPIKE
    s.spike_count = 0
    s.back_count = 0
    return T_OK


def volume_misread(s: Any) -> bool:
    """The day's volume cannot fall. After 20 such ticks in a row it was the earlier, higher one that lied."""
    s.back_count += 1
    return bool(s.back_count < VOLUME_CONFIRM)


def repeated(s: Any, ts: int, price: int, volume: int) -> bool:
    """The same second, price and volume as the last accepted tick: a line sent twice."""
    return price == s.price and volume == s.volume and ts // 1_000_000_000 == s.ts // 1_000_000_000


def far(base: int, price: int, ppm: int) -> bool:
    """Further than ``ppm`` parts per million from ``base``; 0 switches the filter off."""
    return ppm > 0 and abs(price - base) * MILLION > ppm * base


def unconfirmed(s: Any, a: Any, price: int) -> bool:
    """Count ticks that agree with a suspected new level; true until there are enough of them."""
    if s.spike_count > 0 and not far(s.spike_price, price, a.spike_ppm):
        s.spike_count += 1
    else:
        s.spike_count = 1
    s.spike_price = price
    return bool(s.spike_count < a.spike_confirm)


def entry_limit(s: Any, a: Any, p: Any, ts: int, rung: int, side: int, qty: int, price: int) -> int:
    """OK, or the first limit that forbids this entry."""
    if a.blocked != 0:
        return L_BLOCKED
    if p.tradable == 0:
        return L_UNTRADABLE
    if p.enabled == 0:
        return L_DISABLED
    if side < 0 and (p.short == 0 or p.intraday == 0):
        return L_NO_SHORT
    if ts < p.entry_from or ts >= p.entry_until:
        return L_WINDOW
    if s.bars < p.warm:
        return L_COLD
    if a.halted != 0:
        return L_LOSS
    if a.rungs >= a.max_rungs:
        return L_POSITIONS
    if a.max_trades > 0 and a.trades >= a.max_trades:
        return L_TRADES
    if rung == 0 and ts < s.cool_until:
        return L_COOLDOWN
    if a.stale > 0 and ts - s.ts > a.stale:
        return L_STALE
    if qty <= 0:
        return L_UNAFFORDABLE
    if a.used + qty * price > a.total_capital:
        return L_CAPITAL
    return OK


def loss_reached(a: Any) -> bool:
    """The day's result after charges is at or below the loss limit."""
    return loss_at(a, a.unrealised)


def loss_at(a: Any, unrealised: int) -> bool:
    """It would be, with this for what is open."""
    return bool(a.loss_limit > 0 and a.realised + unrealised - a.charges <= -a.loss_limit)
