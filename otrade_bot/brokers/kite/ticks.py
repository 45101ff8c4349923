"""Kite's binary frames as ticks: big-endian, bounds checked, prices to integer paise.

A frame is ``u16 count, {u16 length, body} * count``; the length of a body says what it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from otrade_bot.core.clock import SECOND
from otrade_bot.core.money import Paise

__all__ = ["HEARTBEAT", "Tick", "ticks_of"]

HEARTBEAT = 1  #: bytes
_SHORT = struct.Struct(">H")
_PRICE = struct.Struct(">II")  #: token, last price
_WORD = struct.Struct(">I")
#: Where the volume of the day and the exchange's time stand, by length; 0 where a body has none.
_PLACES = {8: (0, 0), 28: (0, 0), 32: (0, 28), 44: (16, 0), 184: (16, 60)}
#: What a rupee is on the wire, by the segment in a token's last byte: CDS, BCD, NCO. Others: paise.
_DIVISORS = {3: 10_000_000, 6: 10_000, 12: 10_000}


@dataclass(frozen=True, slots=True)
class Tick:
    """The last trade of one instrument. 0 where the packet does not say."""

    token: int
    ltp_paise: Paise
    volume: int = 0  #: of the day
    exchange_ts_ns: int = 0  #: UTC


def ticks_of(frame: bytes) -> list[Tick]:
    """All of a frame; none of a heartbeat. A packet of a length that Kite does not document is left out.

    Raises ValueError for a frame that is shorter than it says.
    """
    if len(frame) <= HEARTBEAT:
        return []
    return [_tick(frame, start, _PLACES[length]) for start, length in _bodies(frame) if length in _PLACES]


def _bodies(frame: bytes) -> Iterator[tuple[int, int]]:
    """Where each body starts and how long it is: never beyond the end of the frame."""
    count, at = _short(frame, 0), 2
    for _ in range(count):
        length, at = _short(frame, at), at + 2
        if at + length > len(frame):
            raise ValueError(f"kite frame: a packet of {length} bytes, {len(frame) - at} of them there")
        yield at, length
        at += length


def _short(frame: bytes, at: int) -> int:
    if at + 2 > len(frame):
        raise ValueError(f"kite frame: torn after {len(frame)} bytes")
    return int(_SHORT.unpack_from(frame, at)[0])


def _tick(frame: bytes, start: int, places: tuple[int, int]) -> Tick:
    token, price = _PRICE.unpack_from(frame, start)
    volume, stamp = (_WORD.unpack_from(frame, start + place)[0] if place else 0 for place in places)
    return Tick(token, _paise(price, token), volume, stamp * SECOND)


def _paise(price: int, token: int) -> Paise:
    """Half up, exact."""
    divisor = _DIVISORS.get(token & 0xFF, 100)
    return (price * 100 + divisor // 2) // divisor
