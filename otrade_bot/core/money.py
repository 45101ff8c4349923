"""Money as integer paise, and how rupees are written in India."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

__all__ = ["Paise", "group_indian", "rupees", "rupees_text", "to_paise"]

Paise = int

_HUNDRED = Decimal(100)


def to_paise(rupees: float | int | str | Decimal) -> Paise:
    """Rupees to paise, half up. A float is read by its shortest decimal text, so 2155.05 is 215505."""
    amount = rupees if isinstance(rupees, Decimal) else Decimal(str(rupees))
    return int((amount * _HUNDRED).to_integral_value(ROUND_HALF_UP))


def rupees(paise: Paise) -> float:
    """Paise to the nearest float of rupees, for JSON and the kernel; never for adding up."""
    return paise / 100


def group_indian(whole: int) -> str:
    """12345678 -> '1,23,45,678'."""
    digits = str(abs(whole))
    head, tail = digits[:-3], digits[-3:]
    while head:
        tail = head[-2:] + "," + tail
        head = head[:-2]
    return ("-" if whole < 0 else "") + tail


def rupees_text(paise: Paise, *, sign: bool = False) -> str:
    """-123456 -> '-₹1,234.56'; with ``sign`` gains carry a plus."""
    mark = "-" if paise < 0 else "+" if sign and paise > 0 else ""
    whole, part = divmod(abs(paise), 100)
    return f"{mark}₹{group_indian(whole)}.{part:02d}"
