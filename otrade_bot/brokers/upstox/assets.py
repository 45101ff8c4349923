"""Upstox's instruments files: gzipped JSON on a server of their own, no token needed.

Read as they are by the object, so that a hundred thousand rows neither stand in memory at once nor keep the
event loop waiting. Derivatives get the names that everybody else gives them (NIFTY26NOVFUT, NIFTY26N2426000CE).
Tick sizes are in paise; ``cas_eligible`` is there where it is true; indices have neither lot nor tick.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import random
import zlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from otrade_bot.brokers.instruments import classify
from otrade_bot.brokers.outcomes import said
from otrade_bot.core.clock import ist_date
from otrade_bot.core.errors import BrokerException
from otrade_bot.core.model import Instrument, InstrumentKind

__all__ = ["ROOT", "Found", "UpstoxAssets", "file_of", "read_rows"]

ROOT = "https://assets.upstox.com"
FOLDER = "/market-quote/instruments/exchange"
BIGGEST = 64 * 1024 * 1024  #: bytes of a file as it is sent
STEP = 1 << 15  #: of them unpacked at a time
TRIES, PAUSE_S, SILENCE_S, LONGEST_S = 3, 1.0, 10.0, 60.0
SEGMENTS = {
    "NSE_EQ": "NSE", "NSE_INDEX": "NSE", "NSE_FO": "NFO", "NCD_FO": "CDS", "NSE_COM": "NCO",
    "BSE_EQ": "BSE", "BSE_INDEX": "BSE", "BSE_FO": "BFO", "BCD_FO": "BCD", "MCX_FO": "MCX",
}  # fmt: skip
_FILES = {"NSE": "NSE", "NFO": "NSE", "CDS": "NSE", "NCO": "NSE", "BSE": "BSE", "BFO": "BSE", "BCD": "BSE"}
_DERIVED = {"FUT": InstrumentKind.FUTURE, "CE": InstrumentKind.OPTION, "PE": InstrumentKind.OPTION}
#: Series of NSE that bear no suffix in a symbol.
_PLAIN = frozenset({"EQ", "INDEX"})
_MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
_WEEKLY = "123456789OND"
_MILLISECOND = 1_000_000


@dataclass(slots=True)
class Found:
    """Of one or more files: instruments, their keys by symbol, and how many rows an exchange has."""

    instruments: dict[str, Instrument] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    auction_told: bool = False  #: some row says who trades in the closing auction


def file_of(exchange: str) -> str:
    """The file that an exchange's instruments stand in: NFO → NSE."""
    return _FILES.get(exchange, exchange)


class UpstoxAssets:
    """Where the files are. Nothing is kept here."""

    def __init__(self, root: str = ROOT, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._root, self._sleep = root.rstrip("/"), sleep

    async def read(self, exchanges: Iterable[str], wanted: Callable[[str, str], bool]) -> Found:
        """The instruments of these exchanges for which ``wanted(exchange, underlying or symbol)``. Raises
        BrokerException: no answer, not whole, not such a file."""
        found, chosen = Found(), frozenset(exchanges)
        for name in sorted({file_of(exchange) for exchange in chosen}):
            packed = await self._fetch(name)
            try:
                await asyncio.to_thread(_collect, packed, chosen, wanted, found)
            except (ValueError, TypeError, zlib.error) as error:
                raise BrokerException(said(f"Upstox: {name} instruments: {type(error).__name__}: {error}")) from None
        return found

    async def _fetch(self, name: str) -> bytes:
        for attempt in range(1, TRIES + 1):
            try:
                async with asyncio.timeout(LONGEST_S):
                    return await self._once(name)
            except BrokerException:
                raise
            except Exception as error:
                if attempt == TRIES:
                    what = said(f"Upstox: {name} instruments: {type(error).__name__}: {error}")
                    raise BrokerException(what) from None
            await self._sleep(PAUSE_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311
        raise AssertionError("unreachable")

    async def _once(self, name: str) -> bytes:
        import httpx  # only where Upstox is in use

        body = bytearray()
        async with (
            httpx.AsyncClient(timeout=SILENCE_S, trust_env=False) as client,
            client.stream("GET", f"{self._root}{FOLDER}/{name}.json.gz") as answer,
        ):
            if answer.status_code >= 500 or answer.status_code == 429:
                raise OSError(f"HTTP {answer.status_code}")
            if answer.status_code != 200:
                raise BrokerException(f"Upstox: {name} instruments: HTTP {answer.status_code}")
            async for piece in answer.aiter_raw():
                body += piece
                if len(body) > BIGGEST:
                    raise BrokerException(f"Upstox: {name} instruments: more than {BIGGEST >> 20} MB")
        return bytes(body)


def read_rows(packed: bytes) -> Iterator[dict[str, Any]]:
    """The objects of one JSON list, gzipped or plain, one at a time. Raises ValueError, zlib.error."""
    decoder, text, at, opened = json.JSONDecoder(), "", 0, False
    for piece in _unpacked(packed):
        text, at = text[at:] + piece, 0
        if not opened:
            text = text.lstrip("\ufeff \t\r\n")
            if not text:
                continue
            if not text.startswith("["):
                raise ValueError("not a list")
            at, opened = 1, True
        while (start := _next(text, at)) >= 0:
            try:
                row, end = decoder.raw_decode(text, start)
            except ValueError:
                break  # the rest of it is in the next piece
            if not isinstance(row, dict):
                raise ValueError("a list of objects belongs here")
            yield row
            at = end
    if text[at:].strip(", \t\r\n") != "]":
        raise ValueError("the list breaks off")


def _next(text: str, at: int) -> int:
    """Where the next value begins; -1 where it is not there yet, or the list ends."""
    while at < len(text) and text[at] in ", \t\r\n":
        at += 1
    return at if at < len(text) and text[at] != "]" else -1


def _unpacked(packed: bytes) -> Iterator[str]:
    """UTF-8 text in pieces. Raises ValueError for a gzip that breaks off, and for other bytes."""
    text = codecs.getincrementaldecoder("utf-8")()
    if packed[:2] != b"\x1f\x8b":
        yield text.decode(packed, True)
        return
    unzip = zlib.decompressobj(31)
    for start in range(0, len(packed), STEP):
        yield text.decode(unzip.decompress(packed[start : start + STEP]))
    if not unzip.eof:
        raise ValueError("the file breaks off")
    yield text.decode(unzip.flush(), True)


def _collect(packed: bytes, exchanges: frozenset[str], wanted: Callable[[str, str], bool], found: Found) -> None:
    fractions = 0
    options: list[tuple[dict[str, Any], str]] = []
    last_of_month: dict[tuple[str, str, int, int], date] = {}
    for row in read_rows(packed):
        exchange = SEGMENTS.get(str(row.get("segment")), "")
        if exchange not in exchanges:
            continue
        found.counts[exchange] += 1
        fractions += exchange in ("NSE", "BSE") and float(row.get("tick_size") or 1) % 1 != 0
        root = str(row.get("underlying_symbol") or row.get("trading_symbol") or "")
        if not wanted(exchange, root):
            continue
        if row.get("instrument_type") in ("CE", "PE"):
            expiry = _expiry(row)
            month = (exchange, root, expiry.year, expiry.month)
            last_of_month[month] = max(expiry, last_of_month.get(month, expiry))
            options.append((row, exchange))
        else:
            _enter(found, row, exchange, _symbol(row, exchange))
    if fractions * 2 > sum(found.counts[exchange] for exchange in ("NSE", "BSE")):
        raise ValueError("tick sizes are no paise any more")
    for row, exchange in options:
        expiry = _expiry(row)
        month = (exchange, str(row.get("underlying_symbol")), expiry.year, expiry.month)
        _enter(found, row, exchange, _option(row, expiry, weekly=expiry != last_of_month[month]))


def _enter(found: Found, row: Mapping[str, Any], exchange: str, name: str) -> None:
    """The first of two rows of one name counts, but a share before its own debentures."""
    symbol, key = f"{exchange}:{name}", str(row.get("instrument_key") or "")
    if not name or not key or (symbol in found.instruments and row.get("instrument_type") != "EQ"):
        return
    instrument = _instrument(row, symbol)
    if instrument is not None:
        found.auction_told |= instrument.closing_auction
        found.instruments[symbol], found.keys[symbol] = instrument, key


def _instrument(row: Mapping[str, Any], symbol: str) -> Instrument | None:
    """None for what ticks in fractions of a paisa (currencies)."""
    tick, token = float(row.get("tick_size") or 5), str(row.get("exchange_token") or "")
    if tick % 1:
        return None
    index = str(row.get("segment")).endswith("_INDEX")
    kind = InstrumentKind.INDEX if index else _DERIVED.get(str(row.get("instrument_type")), InstrumentKind.EQUITY)
    return Instrument(
        symbol, int(token) if token.isdigit() else 0, kind, max(1, int(tick)), max(1, int(row.get("lot_size") or 1)),
        max(0, int(row.get("freeze_quantity") or 0)), row.get("cas_eligible") is True, str(row.get("name") or ""),
    )  # fmt: skip


def _symbol(row: Mapping[str, Any], exchange: str) -> str:
    """The name that stands in settings: an index by its official one, a share of another series with that."""
    kind, name = str(row.get("instrument_type") or ""), str(row.get("trading_symbol") or "").upper()
    if str(row.get("segment")).endswith("_INDEX"):
        official = str(row.get("name") or name).upper()
        found, root = classify(f"NSE:{official}")
        return root if found is InstrumentKind.INDEX else official
    if kind == "FUT":
        expiry = _expiry(row)
        return f"{row.get('underlying_symbol')}{expiry:%y}{_MONTHS[expiry.month - 1]}FUT".upper()
    if exchange != "NSE" or kind in _PLAIN or name.endswith(f"-{kind}"):
        return name
    return f"{name}-{kind}"


def _option(row: Mapping[str, Any], expiry: date, *, weekly: bool) -> str:
    """The last expiry of a month goes by the month, others by the day."""
    when = f"{_WEEKLY[expiry.month - 1]}{expiry.day:02d}" if weekly else _MONTHS[expiry.month - 1]
    strike = f"{float(row.get('strike_price') or 0):.2f}".rstrip("0").rstrip(".")
    return f"{row.get('underlying_symbol')}{expiry:%y}{when}{strike}{row.get('instrument_type')}".upper()


def _expiry(row: Mapping[str, Any]) -> date:
    """Milliseconds since the epoch, or a date as text."""
    told = row.get("expiry")
    if isinstance(told, str):
        return date.fromisoformat(told[:10])
    return ist_date(int(told or 0) * _MILLISECOND)
