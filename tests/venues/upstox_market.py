"""Upstox's files and candles: the instruments of an exchange as JSON, gzipped; what was traded, newest first."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from datetime import date
from typing import Any

from otrade_bot.core.clock import at_ist, iso, ist_date

from .tape import Tape
from .upstox_exchange import Refusal, Share

_UNITS = {"minutes": 1, "hours": 60, "days": 1440}


def listing(shares: Iterable[Share]) -> bytes:
    """The file of one exchange. Ticks in paise, as Upstox writes them there."""
    return gzip.compress(json.dumps([_listed(share) for share in shares]).encode(), mtime=0)


def _listed(share: Share) -> dict[str, Any]:
    return {
        "segment": f"{share.exchange}_EQ", "name": share.trading_symbol, "exchange": share.exchange,
        "isin": share.key.partition("|")[2], "instrument_type": "EQ", "instrument_key": share.key, "lot_size": 1,
        "freeze_quantity": 100000.0, "exchange_token": str(share.token >> 8),
        "tick_size": float(share.tick), "trading_symbol": share.trading_symbol, "short_name": share.trading_symbol,
        "qty_multiplier": 1.0, "security_type": "NORMAL", "cas_eligible": share.cas_eligible,
    }  # fmt: skip


def taped(tape: Tape, share: Share, words: list[str]) -> list[list[Any]]:
    """``unit/interval/to/from`` of past days, or ``intraday/key/unit/interval`` of today; newest first."""
    today = ist_date(tape.clock.now_ns())
    if words[0] == "intraday":
        unit, every, first, last = words[2], words[3], at_ist(today, 0), at_ist(today, 23, 59)
    else:
        unit, every = words[1], words[2]
        last = min(at_ist(date.fromisoformat(words[3]), 23, 59), at_ist(today, 0) - 1)
        first = at_ist(date.fromisoformat(words[4]), 0) if len(words) > 4 else last
    if unit not in _UNITS or not every.isdigit():
        raise Refusal("Invalid unit or interval")
    found = tape.candles(share.symbol, _UNITS[unit] * int(every), first, last, share.tick)
    return [[iso(at), *(paise / 100 for paise in prices), volume, 0] for at, *prices, volume in reversed(found)]
