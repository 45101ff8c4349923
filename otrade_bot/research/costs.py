"""What the charges of trades consist of, part by part, adding up to what was booked, to the paisa."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from otrade_bot.kernel.charges import part

__all__ = ["PARTS", "charge_parts"]

PARTS = ("brokerage", "stt", "exchange", "sebi", "stamp", "gst", "dp")


def charge_parts(rates: Mapping[str, int], side: int, value: int) -> Counter[str]:
    """The parts of ``kernel.charges.charge`` for one order, paise: the same rounding in the same places. ``exchange``
    has the investor protection fund's contribution in it, ``dp`` is the depository's charge of a delivery sale."""
    if value <= 0:
        return Counter()
    brokerage = part(value, rates["ch_rate"])
    if rates["ch_cap"] > 0:
        brokerage = min(brokerage, rates["ch_cap"])
    brokerage += rates["ch_flat"]
    exchange = part(value, rates["ch_exchange"]) + part(value, rates["ch_ipft"])
    sebi = part(value, rates["ch_sebi"])
    buys = side > 0
    return Counter(
        brokerage=brokerage,
        stt=part(value, rates["ch_stt_buy" if buys else "ch_stt_sell"]),
        exchange=exchange,
        sebi=sebi,
        stamp=part(value, rates["ch_stamp_buy"]) if buys else 0,
        gst=part(brokerage + exchange + sebi, rates["ch_gst"]),
        dp=0 if buys else rates["ch_dp_sell"],
    )
