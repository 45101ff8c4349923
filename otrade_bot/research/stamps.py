"""The times of a price file, a whole column at once.

Wider than what the live feed's files may say, because files for research come from everywhere: ISO with or without
an offset, ``DD-MM-YYYY`` and ``DD/MM/YYYY`` (day first, as in India), ``05-Apr-2016``, seconds, ms, µs or ns since
1970, and a date and a time in columns of their own. Without an offset a time is Indian. What cannot be read is -1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from otrade_bot.brokers.feeds.ticks import Ints
from otrade_bot.core.clock import SECOND, midnight_ns

__all__ = ["DAILY", "day_numbers", "instants"]

DAILY = -2  #: in place of a time: a date without a time of day
BAD = -1
_IST = 19_800 * SECOND
_DAY = 86_400 * SECOND
_YEARS = range(1990, 2200)
_MONTHS = {name: at for at, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1)}
_ISO = re.compile(r"(\d{4})([-/.]?)(\d{2})\2(\d{2})", re.ASCII)
_NIGHT = re.compile(r"[ T]00:00(:00(\.0+)?)?(\+05:?30)?$")  # a date column that was written as a moment
_INDIAN = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})", re.ASCII)
_NAMED = re.compile(r"(\d{1,2})[-/ ]([A-Za-z]{3})[a-z]*[-/ ,]+(\d{4})", re.ASCII)
_CLOCK = re.compile(
    r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*([AaPp][Mm])?\s*(Z|[+-]\d{2}(?::?\d{2})?|IST)?", re.ASCII
)
_DIGITS = re.compile(r"(\d{1,2}?)(\d{2})(\d{2})?", re.ASCII)  # 915, 0915, 091500
_EPOCH = re.compile(r"(\d{9,10})(\.\d{1,9})?|(\d{13})(?:\.0+)?|(\d{16})(?:\.0+)?|(\d{19})", re.ASCII)

_T = TypeVar("_T")
Parsed = tuple[int, bool]  # ns, and whether it is a whole second that lines may share


def instants(columns: Sequence[Sequence[str]]) -> tuple[Ints, NDArray[np.bool_]]:
    """ns UTC of each line of one column, or of a date's and a time's; True beside it where it is a whole second."""
    if len(columns) == 2:
        return _joined(columns[0], columns[1])
    texts = columns[0]
    cut = _separator(texts)
    if cut:
        return _joined([text[:cut] for text in texts], [text[cut + 1 :] for text in texts])
    return _arrays([*map(_memo(_whole), texts)])


def day_numbers(ts: Ints) -> Ints:
    """The day in India of each moment, as days since 1970."""
    return (ts + _IST) // _DAY


def _separator(texts: Sequence[str]) -> int:
    """Where every line parts its date from its time; 0 where there is no such place."""
    first = texts[0]
    for mark in " T":
        at = first.find(mark)
        if at >= 8 and all(len(text) > at and text[at] == mark for text in texts):
            return at
    return 0


def _joined(days: Sequence[str], clocks: Sequence[str]) -> tuple[Ints, NDArray[np.bool_]]:
    midnight = np.array([*map(_memo(_midnight), days)], np.int64)
    since, whole = _arrays([*map(_memo(_clock), clocks)])
    # A clock with an offset of its own may lie before the Indian midnight, but never by a day.
    return np.where((midnight < 0) | (since <= -_DAY), BAD, midnight + since), whole


def _arrays(parsed: Sequence[Parsed]) -> tuple[Ints, NDArray[np.bool_]]:
    return np.array([ns for ns, _ in parsed], np.int64), np.array([whole for _, whole in parsed], np.bool_)


def _memo(read: Callable[[str], _T]) -> Callable[[str], _T]:
    """A file repeats its days, its minutes and its seconds: each text is read once."""
    known: dict[str, _T] = {}

    def look(text: str) -> _T:
        found = known.get(text)
        if found is None:
            known[text] = found = read(text)
        return found

    return look


def _whole(text: str) -> Parsed:
    """A date and a time in one text, or a number of seconds since 1970."""
    text = text.strip()
    epoch = _EPOCH.fullmatch(text)
    if epoch is not None:
        return _epoch(*epoch.groups())
    for at in (text.find("T"), text.find(" "), text.rfind(" ")):
        if at < 8:
            continue
        midnight, (since, whole) = _midnight(text[:at]), _clock(text[at + 1 :])
        if midnight >= 0 and since > -_DAY:
            return midnight + since, whole
    return (DAILY if _midnight(text) >= 0 else BAD), False


def _epoch(seconds: str | None, fraction: str | None, ms: str | None, us: str | None, ns: str | None) -> Parsed:
    if seconds is not None:
        found = int(seconds) * SECOND + int((fraction or ".0")[1:].ljust(9, "0"))
    else:
        found = int(ms) * 1_000_000 if ms else int(us) * 1000 if us else int(ns or 0)
    year = 1970 + found / (365.2425 * _DAY)
    return (found, not found % SECOND) if _YEARS.start <= year < _YEARS.stop else (BAD, False)


def _midnight(text: str) -> int:
    """00:00 in India of a date, ns UTC; BAD for none."""
    text = _NIGHT.sub("", text.strip())
    if found := _ISO.fullmatch(text):
        year, month, day = int(found[1]), int(found[3]), int(found[4])
    elif found := _INDIAN.fullmatch(text):
        year, month, day = int(found[4]), int(found[3]), int(found[1])
    elif found := _NAMED.fullmatch(text):
        year, month, day = int(found[3]), _MONTHS.get(found[2].lower(), 0), int(found[1])
    else:
        return BAD
    try:
        return midnight_ns(date(year, month, day)) if year in _YEARS else BAD
    except ValueError:
        return BAD


_NO_CLOCK: Parsed = (-_DAY, False)


def _clock(text: str) -> Parsed:
    """ns from the Indian midnight of its date."""
    text = text.strip()
    if found := _CLOCK.fullmatch(text):
        hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
        fraction, half, zone = found[4], (found[5] or "").lower(), found[6]
    elif len(text) in (3, 4, 5, 6) and (found := _DIGITS.fullmatch(text)):
        hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
        fraction, half, zone = None, "", None
    else:
        return _NO_CLOCK
    if half:
        if not 1 <= hour <= 12:
            return _NO_CLOCK
        hour = hour % 12 + (12 if half == "pm" else 0)
    offset = _offset(zone)
    if hour > 23 or minute > 59 or second > 59 or offset is None:
        return _NO_CLOCK
    since = (hour * 3600 + minute * 60 + second) * SECOND + _IST - offset
    return since + int((fraction or "0").ljust(9, "0")), fraction is None


def _offset(text: str | None) -> int | None:
    """ns east of UTC; nothing written means India."""
    if text is None or text == "IST":
        return _IST
    if text == "Z":
        return 0
    hours, minutes = int(text[1:3]), int(text[-2:]) if len(text) > 3 else 0
    if hours > 14 or minutes > 59:
        return None
    return (hours * 3600 + minutes * 60) * SECOND * (-1 if text[0] == "-" else 1)
