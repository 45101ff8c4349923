"""What a made-up symbol costs: a level of its own that stays from day to day, and the price of an option.

Levels of well-known names are roughly those of 2026; others get one by chance from their name. From day to
day a level wanders by about one percent and never further than some fifteen from where it belongs.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from otrade_bot.brokers.instruments import classify
from otrade_bot.core.model import InstrumentKind

__all__ = ["Strike", "chance", "opening", "option_price", "story_of", "strike_of", "underlying"]

Floats = NDArray[np.float64]

#: Shares, in rupees. Neighbours here live through different stories.
_SHARES = {
    "RELIANCE": 1_420, "INFY": 1_510, "HDFCBANK": 985, "SBIN": 870, "TCS": 3_150, "ICICIBANK": 1_380,
    "BHARTIARTL": 1_960, "ITC": 405, "LT": 3_820, "AXISBANK": 1_190, "KOTAKBANK": 2_120, "WIPRO": 246,
    "HINDUNILVR": 2_480, "BAJFINANCE": 985, "MARUTI": 15_600, "TATAMOTORS": 412, "TATASTEEL": 172, "ONGC": 252,
    "NTPC": 341, "POWERGRID": 287, "COALINDIA": 388, "SUNPHARMA": 1_690, "CIPLA": 1_540, "DRREDDY": 1_260,
    "HCLTECH": 1_530, "TECHM": 1_480, "TITAN": 3_620, "ASIANPAINT": 2_540, "ULTRACEMCO": 12_350,
    "ADANIENT": 2_430, "ADANIPORTS": 1_450, "JSWSTEEL": 1_130, "HINDALCO": 790, "VEDL": 505, "GRASIM": 2_830,
    "NESTLEIND": 1_265, "BAJAJFINSV": 2_050, "BAJAJ-AUTO": 8_900, "M&M": 3_610, "EICHERMOT": 7_050,
    "HEROMOTOCO": 5_480, "BPCL": 352, "IOC": 163, "GAIL": 178, "BANKBARODA": 286, "PNB": 121, "CANBK": 138,
    "IDEA": 9, "YESBANK": 22, "SUZLON": 55, "ETERNAL": 318, "IRFC": 122, "NIFTYBEES": 284,
}  # fmt: skip
_INDICES = {
    "NIFTY 50": 25_600, "NIFTY BANK": 57_800, "NIFTY FINANCIAL SERVICES": 27_300, "NIFTY MIDCAP SELECT": 13_400,
    "NIFTY NEXT 50": 68_900, "SENSEX": 83_700, "BANKEX": 64_500, "INDIA VIX": 13,
}  # fmt: skip
#: A derivative's root to the index behind it.
_ROOTS = {
    "NIFTY": "NIFTY 50", "BANKNIFTY": "NIFTY BANK", "FINNIFTY": "NIFTY FINANCIAL SERVICES",
    "MIDCPNIFTY": "NIFTY MIDCAP SELECT", "NIFTYNXT50": "NIFTY NEXT 50",
}  # fmt: skip
#: Which of the five stories (see ``regimes``) a well-known share lives through.
_STORIES = {name: (0, 3, 1, 4, 2)[i % 5] for i, name in enumerate(_SHARES)}
#: Days over which a level wanders, and how far.
_WAVES = ((89, 0.06), (23, 0.04), (7, 0.02), (1, 0.005))

_STRIKE = re.compile(
    r".*?(?P<year>\d{2})(?:(?P<month>JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)"
    r"|(?P<m>[1-9OND])(?P<d>0[1-9]|[12]\d|3[01]))(?P<strike>\d+(?:\.\d+)?)(?P<right>CE|PE)"
)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_TUESDAYS_FROM = date(2025, 9, 1)  # contracts expire on Tuesdays since then, on Thursdays before


@dataclass(frozen=True, slots=True)
class Strike:
    """An option as its name tells it."""

    paise: float
    right: int  #: +1 call, -1 put
    last_day: date


def chance(*key: object) -> float:
    """From 0 to 1, always the same for the same key."""
    text = "\0".join(map(str, key)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) / 2**64


def underlying(symbol: str) -> tuple[InstrumentKind, str]:
    """What moves the symbol: an index or a share, by name. NSE's and BSE's copy of a share are one."""
    kind, root = classify(symbol)
    if kind is InstrumentKind.INDEX:
        return kind, root
    derivative = kind in (InstrumentKind.FUTURE, InstrumentKind.OPTION)
    name = _ROOTS.get(root, root)
    return (InstrumentKind.INDEX if derivative and name in _INDICES else InstrumentKind.EQUITY), name


def story_of(name: str) -> int:
    """Number of the story that a share or index lives through, every day anew."""
    found = _STORIES.get(name)
    return int(5 * chance("story", name)) if found is None else found


def opening(kind: InstrumentKind, name: str, seed: int, day: date) -> float:
    """The level in paise at which an index or share opens."""
    return _home(kind, name) * math.exp(sum(_wave(name, seed, day.toordinal(), p, size) for p, size in _WAVES))


def _home(kind: InstrumentKind, name: str) -> float:
    if kind is InstrumentKind.INDEX:
        return 100.0 * _INDICES.get(name, round(8_000 + 22_000 * chance("home", name)))
    known = _SHARES.get(name)
    return 100.0 * known if known else 8_000 * (350_000 / 8_000) ** chance("home", name)


def _wave(name: str, seed: int, ordinal: int, period: int, size: float) -> float:
    """Smooth between values by chance, one every ``period`` days."""
    spot, into = divmod(ordinal, period)
    a, b = (2 * chance("wave", seed, name, period, at) - 1 for at in (spot, spot + 1))
    share = into / period
    return size * (a + (b - a) * share * share * (3 - 2 * share))


def strike_of(symbol: str) -> Strike | None:
    """None where the name is not that of an option."""
    found = _STRIKE.fullmatch(re.sub(r"[\s_]", "", symbol.upper()))
    if found is None:
        return None
    try:
        last = _last_day(found)
    except ValueError:  # the 31st of a shorter month
        return None
    return Strike(100 * float(found["strike"]), 1 if found["right"] == "CE" else -1, last)


def _last_day(found: re.Match[str]) -> date:
    year = 2000 + int(found["year"])
    if found["m"]:
        month = "123456789OND".index(found["m"]) + 1
        return date(year, month, int(found["d"]))
    month = _MONTHS.index(found["month"]) + 1
    end = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
    weekday = 1 if end >= _TUESDAYS_FROM else 3
    return end - timedelta(days=(end.weekday() - weekday) % 7)


def option_price(strike: Strike, spot: Floats, kind: InstrumentKind, day: date, gone: Floats) -> Floats:
    """Black's price in paise, ``gone`` being the share of ``day`` that is over; after the last day what it is
    worth at once. Volatility is that of a quiet year: 14 % of an index, 28 % of a share."""
    years = np.maximum((strike.last_day - day).days + 1 - gone, 0.02) / 365
    spread = (0.14 if kind is InstrumentKind.INDEX else 0.28) * np.sqrt(years)
    d = np.log(spot / strike.paise) / spread + spread / 2
    worth = strike.right * (spot * _normal(strike.right * d) - strike.paise * _normal(strike.right * (d - spread)))
    floor: Floats = np.maximum(worth, 5.0)
    return floor


def _normal(x: Floats) -> Floats:
    """The normal distribution, to 1e-7 (Abramowitz and Stegun 26.2.17)."""
    t = 1 / (1 + 0.2316419 * np.abs(x))
    tail = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    upper = np.exp(-x * x / 2) / math.sqrt(2 * math.pi) * tail
    result: Floats = np.where(x >= 0, 1 - upper, upper)
    return result
