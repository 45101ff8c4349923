"""What is known of an instrument without asking a broker: kind, tick size, lot, closing auction.

A broker's own instrument list, where one is connected, and ``market.json`` go before what stands here.
Known to fall short: lots and freeze quantities are those of 2026 for every day, lots of stock
derivatives are not known (1), and an option's expiry is recognised but not kept.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from functools import cache
from importlib import resources
from typing import Any

from otrade_bot.core.errors import ConfigException
from otrade_bot.core.model import Instrument, InstrumentKind
from otrade_bot.core.money import Paise, to_paise

__all__ = ["InstrumentStore", "checked", "classify", "completed", "tick_size"]

#: From this day the tick size follows the price; before it was 5 paise for all.
BANDS_FROM = date(2025, 4, 15)
# Cash and stock futures: (price in paise up to which, tick). Below ₹250 it is 1 paisa, at ₹250 already 5.
_STOCK_BANDS = ((24_999, 1), (100_000, 5), (500_000, 10), (1_000_000, 50), (2_000_000, 100))
_INDEX_FUTURE_BANDS = ((1_500_000, 5), (3_000_000, 10))
_MONTHS = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
_FUTURE = re.compile(rf"(?P<root>[A-Z0-9&-]+?)(?:\d{{2}}(?:{_MONTHS})FUT|-(?:I|II|III))")
_OPTION = re.compile(
    rf"(?P<root>[A-Z0-9&-]+?)\d{{2}}(?:{_MONTHS}|[1-9OND](?:0[1-9]|[12]\d|3[01]))\d+(?:\.\d+)?(?:CE|PE)"
)
_SYMBOL = re.compile(r"[A-Z]{2,6}:\S(?:.*\S)?")
_OVERRIDES = ("kind", "tick_size", "lot", "freeze", "closing_auction", "name")


@cache
def _known() -> Mapping[str, Any]:
    text = resources.files("otrade_bot.brokers").joinpath("instruments.json").read_text(encoding="utf-8")
    data: Mapping[str, Any] = json.loads(text)
    return data


@cache
def _indices() -> Mapping[str, str]:
    """Every spelling of an index, squeezed, to its official name."""
    return {_squeeze(word): name for name, words in _known()["indices"].items() for word in (name, *words)}


@cache
def _derivative_stocks() -> frozenset[str]:
    return frozenset(_squeeze(name) for name in _known()["derivative_stocks"])


def _squeeze(text: str) -> str:
    """Files spell names with spaces, underscores and hyphens as they please."""
    return re.sub(r"[\s_-]", "", text.upper())


def _normal(symbol: str) -> str:
    """``exchange:name`` in capitals; without an exchange it is NSE's. Raises ConfigException."""
    text = symbol.strip().upper()
    text = text if ":" in text else f"NSE:{text}"
    if _SYMBOL.fullmatch(text) is None:
        raise ConfigException(
            "not an instrument", key="instruments", value=symbol, allowed="EXCHANGE:SYMBOL, e.g. NSE:RELIANCE"
        )
    return text


def classify(symbol: str) -> tuple[InstrumentKind, str]:
    """Kind and underlying: the official name of an index, a derivative's root, a stock's own symbol.

    ``NSE:NIFTY_BANK`` → (INDEX, "NIFTY BANK"); ``NSE:NIFTY21JUNFUT`` → (FUTURE, "NIFTY");
    ``NSE:NIFTYBEES`` → (EQUITY, "NIFTYBEES"): a fund of an index is traded like a share.
    """
    name = _normal(symbol).partition(":")[2]
    index = _indices().get(_squeeze(name))
    if index is not None:
        return InstrumentKind.INDEX, index
    plain = re.sub(r"[\s_]", "", name)
    for kind, pattern in ((InstrumentKind.FUTURE, _FUTURE), (InstrumentKind.OPTION, _OPTION)):
        found = pattern.fullmatch(plain)
        if found is not None:
            return kind, found["root"]
    return InstrumentKind.EQUITY, name.removesuffix("-EQ")


def tick_size(kind: InstrumentKind, price_paise: Paise, day: date, *, index_future: bool = False) -> Paise:
    """The exchange's tick size in paise for a price on a day; 5 where no price is known (``<= 0``).

    NSE, from 15 Apr 2025: by the last month's close for shares and stock futures, by the index for its
    futures, 0.05 for options. An index is not traded; its values are published to 0.05 and finer.
    """
    if day < BANDS_FROM or price_paise <= 0 or kind in (InstrumentKind.INDEX, InstrumentKind.OPTION):
        return 5
    if index_future:
        return _in_bands(_INDEX_FUTURE_BANDS, price_paise, beyond=20)
    return _in_bands(_STOCK_BANDS, price_paise, beyond=500)


def _in_bands(bands: tuple[tuple[int, int], ...], price: Paise, beyond: int) -> int:
    spot = bisect_left([limit for limit, _ in bands], price)
    return bands[spot][1] if spot < len(bands) else beyond


class InstrumentStore:
    """Instruments by symbol. Tokens are 1, 2, 3 … in the order in which symbols are first asked for."""

    def __init__(self, day: date, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """``overrides``: symbol → fields, the ``instruments`` of ``market.json``. Raises ConfigException."""
        self._day = day
        self._overrides = _checked(overrides or {})
        self._tokens: dict[str, int] = {}
        self._built: dict[str, Instrument] = {}

    def get(self, symbol: str) -> Instrument:
        """As last built; a symbol that never was is built without a price. Raises ConfigException."""
        found = self._built.get(_normal(symbol))
        return found if found is not None else self.build(symbol)

    def build(
        self,
        symbol: str,
        day: date | None = None,
        reference_price_paise: Paise = 0,
        overrides: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Instrument:
        """Make, or make anew under the same token, the instrument as it is on ``day`` (default: the store's).

        ``reference_price_paise`` (last close or first price) decides the tick size. ``overrides`` are put
        on top of the store's own. Raises ConfigException.
        """
        symbol = _normal(symbol)
        token = self._tokens.setdefault(symbol, len(self._tokens) + 1)
        plain = _plain(symbol, token, day or self._day, reference_price_paise)
        fields = {**self._overrides.get(symbol, {}), **_checked(overrides or {}).get(symbol, {})}
        self._built[symbol] = replace(plain, **fields)
        return self._built[symbol]

    def __iter__(self) -> Iterator[Instrument]:
        """In the order of their tokens."""
        return iter([self._built[symbol] for symbol in self._tokens])

    def __len__(self) -> int:
        return len(self._tokens)

    def by_token(self, token: int) -> Instrument:
        """Raises KeyError for a token that was never given."""
        for symbol, known in self._tokens.items():
            if known == token:
                return self._built[symbol]
        raise KeyError(token)


def _plain(symbol: str, token: int, day: date, price: Paise) -> Instrument:
    """The instrument without overrides."""
    kind, root = classify(symbol)
    derivative = kind in (InstrumentKind.FUTURE, InstrumentKind.OPTION)
    of_index = derivative and root in _known()["index_roots"]
    sizes = _known()["index_derivatives"].get(root, {}) if derivative else {}
    return Instrument(
        symbol=symbol,
        token=token,
        kind=kind,
        tick=tick_size(kind, price, day, index_future=of_index and kind is InstrumentKind.FUTURE),
        lot=sizes.get("lot", 1),
        freeze=sizes.get("freeze", 0),
        closing_auction=kind is InstrumentKind.EQUITY and _auctioned(symbol, root),
        name=root if kind is InstrumentKind.INDEX else "",
    )


def completed(listed: Instrument, *, auction_told: bool) -> Instrument:
    """A broker's instrument with what its list leaves out: a freeze quantity, and, unless ``auction_told``, whether it
    trades in the closing auction."""
    auction = listed.closing_auction
    if listed.kind is InstrumentKind.EQUITY and not auction_told and not auction:
        auction = _auctioned(listed.symbol, listed.tradingsymbol.removesuffix("-EQ"))
    freeze = listed.freeze
    if not freeze and listed.kind in (InstrumentKind.FUTURE, InstrumentKind.OPTION):
        freeze = _known()["index_derivatives"].get(classify(listed.symbol)[1], {}).get("freeze", 0)
    same = (auction, freeze) == (listed.closing_auction, listed.freeze)
    return listed if same else replace(listed, closing_auction=auction, freeze=freeze)


def checked(overrides: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Fields of ``Instrument`` by symbol, of the ``instruments`` of ``market.json``. Raises ConfigException."""
    return _checked(overrides)


def _auctioned(symbol: str, name: str) -> bool:
    """Shares that have derivatives close by auction at NSE; BSE's copies of them are not known here."""
    return symbol.startswith("NSE:") and _squeeze(name) in _derivative_stocks()


def _checked(overrides: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Fields of ``Instrument`` by symbol. Raises ConfigException that names the key."""
    if not isinstance(overrides, Mapping):
        raise _wrong("instruments", overrides, "an object: symbol → fields")
    return {_normal(symbol): dict(_fields(symbol, given)) for symbol, given in overrides.items()}


def _fields(symbol: str, given: object) -> Iterable[tuple[str, Any]]:
    where = f"instruments.{symbol}"
    if not isinstance(given, Mapping):
        raise _wrong(where, given, "an object with " + ", ".join(_OVERRIDES))
    for key, value in given.items():
        yield _field(f"{where}.{key}", key, value)


def _field(where: str, key: str, value: object) -> tuple[str, Any]:
    """One override, checked: its name in ``Instrument`` and its value there."""
    if key == "kind":
        kinds = {kind.value: kind for kind in InstrumentKind}
        if not isinstance(value, str) or value not in kinds:
            raise _wrong(where, value, ", ".join(kinds))
        return key, kinds[value]
    if key == "tick_size":
        return "tick", _tick_override(where, value)
    if key in ("lot", "freeze"):
        least = 1 if key == "lot" else 0
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 10**9:
            raise _wrong(where, value, f"a whole number, at least {least}")
        return key, value
    if key in ("closing_auction", "name"):
        wanted = bool if key == "closing_auction" else str
        if not isinstance(value, wanted):
            raise _wrong(where, value, "true or false" if wanted is bool else "text")
        return key, value
    raise _wrong(where, value, "the keys " + ", ".join(_OVERRIDES))


def _tick_override(where: str, value: object) -> Paise:
    """Rupees to paise; a whole number of paise, at least one."""
    if not isinstance(value, bool) and isinstance(value, int | float) and 0 < value <= 1000:
        paise = to_paise(value)
        if paise > 0 and abs(paise - value * 100) < 1e-6:
            return paise
    raise _wrong(where, value, "rupees, a multiple of 0.01 up to 1000, e.g. 0.05")


def _wrong(key: str, value: object, allowed: str) -> ConfigException:
    return ConfigException("wrong value", file="market.json", key=key, value=value, allowed=allowed)
