"""How an order meets a price. The paper exchange and the compiled replay call these same functions.

All prices are paise. ``side`` is +1 buy, -1 sell.
"""

from __future__ import annotations

AUTO = -1.0


def triggered(side: int, trigger: int, ltp: int) -> bool:
    """A stop goes off when the LTP reaches its trigger; a gap through it counts."""
    return ltp >= trigger if side > 0 else ltp <= trigger


def slipped(side: int, ltp: int, slip_ppm: int, tick: int) -> int:
    """The price a taker gets: LTP worsened by ``slip_ppm`` parts per million, to the next tick."""
    if slip_ppm <= 0:
        return ltp
    slip = (ltp * slip_ppm + 999_999) // 1_000_000
    if side > 0:
        return -((-(ltp + slip)) // tick) * tick
    return max(tick, (ltp - slip) // tick * tick)


def fill_price(side: int, limit: int, taker: int, ltp: int, slip_ppm: int, tick: int) -> int:
    """Price of a fill at this LTP, 0 if the limit does not allow one.

    A taker pays the slipped LTP, never worse than its limit. An order that rested when the price came
    to it is filled at its own limit, not better.
    """
    if side > 0:
        if ltp > limit:
            return 0
        return min(limit, slipped(side, ltp, slip_ppm, tick)) if taker else limit
    if ltp < limit:
        return 0
    return max(limit, slipped(side, ltp, slip_ppm, tick)) if taker else limit


def takeable(traded: int, participation_ppm: int) -> int:
    """What of the volume traded since the last price our orders may take; all of it at 0 or a million ppm."""
    if traded <= 0:
        return 0
    if participation_ppm <= 0 or participation_ppm >= 1_000_000:
        return traded
    return traded * participation_ppm // 1_000_000


def protection_ppm(ltp: int, option: int) -> int:
    """Zerodha's automatic market-protection band in parts per million of the LTP.

    Equity and futures: below ₹100 2 %, to ₹500 1 %, above 0.5 %. Options: below ₹10 5 %, to ₹100 3 %,
    to ₹500 2 %, above 1 %.
    """
    if option:
        if ltp < 1_000:
            return 50_000
        if ltp < 10_000:
            return 30_000
        return 20_000 if ltp <= 50_000 else 10_000
    if ltp < 10_000:
        return 20_000
    return 10_000 if ltp <= 50_000 else 5_000


def protected(side: int, ltp: int, ppm: int, tick: int) -> int:
    """The limit that a market order becomes: ``ppm`` beyond the LTP, on the tick grid, inside the band."""
    room = ltp * ppm // 1_000_000
    if side > 0:
        return (ltp + room) // tick * tick
    return max(tick, -((-(ltp - room)) // tick) * tick)
