"""The last price of every instrument that a stream tells of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from otrade_bot.brokers.streams import LivePrice
from otrade_bot.core.money import Paise

__all__ = ["LTPStore", "LastPrice"]


@dataclass(frozen=True, slots=True)
class LastPrice:
    """What was heard last. 0 where the stream did not say."""

    ltp: Paise
    volume: int  #: of the day
    exchange_ts_ns: int  #: UTC
    heard_ns: int  #: when it came, UTC


class LTPStore:
    """By symbol. A price without a volume, or without a time, keeps those of the one before."""

    def __init__(self) -> None:
        self._last: dict[str, LastPrice] = {}

    def take(self, prices: Iterable[LivePrice], now_ns: int) -> None:
        """Heard at ``now_ns``; what is no price is let pass."""
        for told in prices:
            if told.ltp <= 0:
                continue
            before = self._last.get(told.symbol)
            volume = told.volume or (before.volume if before else 0)
            stamp = told.exchange_ts_ns or (before.exchange_ts_ns if before else 0)
            self._last[told.symbol] = LastPrice(told.ltp, volume, stamp, now_ns)

    def get(self, symbol: str) -> LastPrice | None:
        """None where nothing was heard yet."""
        return self._last.get(symbol)

    def price(self, symbol: str) -> Paise:
        """Paise; 0 where nothing was heard yet."""
        last = self._last.get(symbol)
        return last.ltp if last else 0

    def age_ns(self, symbol: str, now_ns: int) -> int | None:
        """Since it was heard; None where it never was."""
        last = self._last.get(symbol)
        return None if last is None else max(0, now_ns - last.heard_ns)

    def clear(self) -> None:
        """Forget all: another day, or another broker's."""
        self._last.clear()

    def __len__(self) -> int:
        return len(self._last)

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)
