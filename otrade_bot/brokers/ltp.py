"""The last price of every instrument that a stream tells of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from otrade_bot.brokers.streams import LivePrice
from otrade_bot.core.money import Paise
from otrade_bot.kernel.quotes import Quote

__all__ = ["LTPStore", "LastPrice"]


@dataclass(frozen=True, slots=True)
class LastPrice:
    """What was heard last. 0 where the stream did not say."""

    ltp: Paise
    volume: int  #: of the day
    exchange_ts_ns: int  #: UTC
    heard_ns: int  #: when it came, UTC


class LTPStore:
    """By symbol. A price without a volume, or without a time, keeps those of the one before.

    Each symbol's is a row of the kernel's quotes while an engine is bound: frames that compiled code takes are in it.
    """

    def __init__(self) -> None:
        self._quotes: dict[str, Quote] = {}
        self._volumes: dict[str, int] = {}  #: as they were told, before what a quote has

    def quote(self, symbol: str) -> Quote:
        """What is known of it, made at first use."""
        found = self._quotes.get(symbol)
        if found is None:
            found = self._quotes[symbol] = Quote()
        return found

    def seat(self, symbol: str, quote: Quote) -> None:
        """From now on it is kept there; what was heard before goes with it."""
        before = self.quote(symbol)
        if quote is not before:
            quote.ltp, quote.ts, quote.exchange_ts, quote.heard = (
                before.ltp, before.ts, before.exchange_ts, before.heard
            )  # fmt: skip
            self._quotes[symbol] = quote

    def leave(self) -> None:
        """Each is kept by itself again."""
        self.count_anew()
        self._quotes = {symbol: quote.copy() for symbol, quote in self._quotes.items()}

    def count_anew(self) -> None:
        """Volumes that are told from now on are another broker's, or another engine's."""
        for symbol, quote in self._quotes.items():
            if quote.told:
                self._volumes[symbol] = quote.told
            quote.told = quote.more = quote.has_more = 0

    def forget_moments(self) -> None:
        """The clock may have been set back."""
        for quote in self._quotes.values():
            quote.ts = 0

    def take(self, prices: Iterable[LivePrice], now_ns: int) -> None:
        """Heard at ``now_ns``; what is no price is let pass."""
        for told in prices:
            if told.ltp <= 0:
                continue
            quote = self.quote(told.symbol)
            quote.ltp, quote.heard = told.ltp, now_ns
            if told.volume:
                self._volumes[told.symbol] = told.volume
            if told.exchange_ts_ns:
                quote.exchange_ts = told.exchange_ts_ns

    def get(self, symbol: str) -> LastPrice | None:
        """None where nothing was heard yet."""
        quote = self._quotes.get(symbol)
        if quote is None or not quote.ltp:
            return None
        return LastPrice(quote.ltp, quote.told or self._volumes.get(symbol, 0), quote.exchange_ts, quote.heard)

    def price(self, symbol: str) -> Paise:
        """Paise; 0 where nothing was heard yet."""
        quote = self._quotes.get(symbol)
        return quote.ltp if quote else 0

    def age_ns(self, symbol: str, now_ns: int) -> int | None:
        """Since it was heard; None where it never was."""
        last = self.get(symbol)
        return None if last is None else max(0, now_ns - last.heard_ns)

    def clear(self) -> None:
        """Forget all: another day, or another broker's."""
        self._quotes.clear()
        self._volumes.clear()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[str]:
        return (symbol for symbol, quote in self._quotes.items() if quote.ltp)
