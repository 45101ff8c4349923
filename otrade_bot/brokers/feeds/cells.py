"""One cell of a price file to one integer. None, never an exception, where a cell holds nothing usable."""

from __future__ import annotations

import re
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache

from otrade_bot.core.clock import SECOND, midnight_ns

__all__ = ["moment", "price", "volume"]

_STAMP = re.compile(
    r"(\d{4}-?\d{2}-?\d{2})[ T](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*(Z|[+-]\d{2}(?::?\d{2})?)?",
    re.ASCII,
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,2})?", re.ASCII | re.IGNORECASE)
_LONGEST = 40  # characters: no price or volume needs more
_PRICE_LIMIT = 10**12  # paise: ₹1,000 crore a unit is nobody's price
_VOLUME_LIMIT = 10**15
_IST_SECONDS = 19_800
_PAISE = Decimal(100)
# Electronic trading began in India in 1994; the upper end keeps ns inside int64.
_YEARS = range(1990, 2200)


@lru_cache(maxsize=256)
def _midnight(text: str) -> int | None:
    """00:00 IST of ``YYYY-MM-DD`` or ``YYYYMMDD``, ns UTC."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return midnight_ns(day) if day.year in _YEARS else None


@lru_cache(maxsize=64)
def _offset(text: str | None) -> int | None:
    """Seconds east of UTC; nothing written means India."""
    if text is None:
        return _IST_SECONDS
    if text == "Z":
        return 0
    hours, minutes = int(text[1:3]), int(text[-2:]) if len(text) > 3 else 0
    if hours > 14 or minutes > 59:
        return None
    return (hours * 3600 + minutes * 60) * (-1 if text[0] == "-" else 1)


def moment(text: str) -> tuple[int, bool] | None:
    """``YYYY-MM-DD HH:MM[:SS[.f]]`` (space or T, with or without offset; without: IST) to ns UTC.

    The flag says whether it is a whole second without a fraction, which many ticks may share.
    """
    found = _STAMP.fullmatch(text.strip())
    if found is None:
        return None
    day, hour, minute, second, fraction, zone = found.groups()
    midnight, offset = _midnight(day), _offset(zone)
    h, m, s = int(hour), int(minute), int(second or 0)
    if midnight is None or offset is None or h > 23 or m > 59 or s > 59:
        return None
    ns = midnight + (h * 3600 + m * 60 + s + _IST_SECONDS - offset) * SECOND
    return ns + int((fraction or "0").ljust(9, "0")), fraction is None


def _decimal(text: str) -> Decimal | None:
    """A finite number in plain ASCII; ``NaN``, ``inf``, ``1_000`` and ``1,000`` are none."""
    if len(text) > _LONGEST or _NUMBER.fullmatch(text) is None:
        return None
    try:
        return Decimal(text)
    except InvalidOperation:  # pragma: no cover - the pattern admits only numbers
        return None


def price(text: str) -> int | None:
    """Rupees to paise, half up, exactly. None for text, NaN, infinity, zero, negative or absurd."""
    text = text.strip()
    whole, _, part = text.partition(".")
    if len(part) <= 2 and len(whole) <= 10 and whole.isdecimal() and text.isascii():
        if part and not part.isdecimal():
            return None
        paise = int(whole) * 100 + (int(part.ljust(2, "0")) if part else 0)
    else:
        number = _decimal(text)
        if number is None:
            return None
        paise = int((number * _PAISE).to_integral_value(ROUND_HALF_UP))
    return paise if 0 < paise <= _PRICE_LIMIT else None


def volume(text: str) -> int | None:
    """A whole number of shares, also written ``1200.0``. None for text, negative or fractional."""
    text = text.strip()
    if text.isdecimal() and text.isascii() and len(text) <= 15:
        return int(text)
    number = _decimal(text)
    if number is None or number < 0 or number > _VOLUME_LIMIT or number != number.to_integral_value():
        return None
    return int(number)
