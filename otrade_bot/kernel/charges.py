"""What an order costs besides its price: one function, integer paise, for kernel, paper and reports.

Rates are integer parts per billion, so that 0.0030699 % is 30 699. Each component is rounded half up
to a paisa by itself, as a contract note lists them. Sources of the rates: ``config/charges.json``.
"""

from __future__ import annotations

from typing import Any

BILLION = 1_000_000_000


def part(value: int, ppb: int) -> int:
    """``value`` paise × ``ppb`` / 1e9, half up. Exact while ``value * ppb`` < 9.2e18: at 0.15 %, ₹6,000 crore."""
    return (value * ppb + 500_000_000) // 1_000_000_000


def charge(p: Any, side: int, value: int) -> int:
    """All charges of one order, in paise.

    ``p`` holds the ``ch_*`` rates of the row's segment and day, ``side`` is +1 buy or -1 sell, ``value``
    the traded value of the whole order so far: brokerage is capped an order, so it is not additive.
    """
    if value <= 0:
        return 0
    brokerage = part(value, p.ch_rate)
    if p.ch_cap > 0 and brokerage > p.ch_cap:
        brokerage = p.ch_cap
    brokerage += p.ch_flat
    exchange = part(value, p.ch_exchange) + part(value, p.ch_ipft)
    sebi = part(value, p.ch_sebi)
    if side > 0:
        tax = part(value, p.ch_stt_buy) + part(value, p.ch_stamp_buy)
    else:
        tax = part(value, p.ch_stt_sell) + p.ch_dp_sell
    return int(brokerage + exchange + sebi + tax + part(brokerage + exchange + sebi, p.ch_gst))
