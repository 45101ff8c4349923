"""Prices and order updates of one account, whatever broker they come from: symbols and paise outside, tokens and
instrument keys inside.

A row that cannot be read costs itself alone, and asks for the books: it may have been about a fill.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from otrade_bot.brokers.kite.stream import KiteStream, Tick
from otrade_bot.brokers.stream import StreamSettings, StreamState
from otrade_bot.brokers.upstox.stream import KeyTick, UpstoxOrders, UpstoxPrices
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.model import Instrument
from otrade_bot.core.money import Paise

__all__ = ["BrokerStreams", "Ears", "KiteStreams", "Listed", "LivePrice", "UpstoxStreams", "Wanted"]

K = TypeVar("K", bound=Hashable)
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LivePrice:
    """The last trade of one instrument. 0 where the stream does not say."""

    symbol: str
    ltp: Paise
    volume: int = 0  #: of the day
    exchange_ts_ns: int = 0  #: UTC


class Listed(Protocol):
    """What streams need of the day's list of instruments."""

    @property
    def instruments(self) -> Mapping[str, Instrument]: ...
    @property
    def keys(self) -> Mapping[str, str]: ...


def _nothing(*_: object) -> None:
    return None


@dataclass(slots=True)
class Ears:
    """Who hears of a stream. ``order`` raises for a row that it cannot read; nothing else here raises.

    ``frame`` is offered each frame of prices as it comes, and says whether it has taken it: else it becomes ``prices``.
    """

    prices: Callable[[list[LivePrice]], None] = _nothing
    frame: Callable[[bytes], bool] = lambda frame: False
    order: Callable[[Row], None] = _nothing
    state: Callable[[str, StreamState, str], None] = _nothing  #: "prices" or "orders", state, why
    books_due: Callable[[], None] = _nothing


class BrokerStreams(Protocol):
    """Both streams of one account. ``ears`` is set by whoever listens, before ``run``."""

    ears: Ears

    @property
    def prices(self) -> StreamState: ...
    @property
    def wanted(self) -> Wanted:
        """Which symbols the broker's tokens or keys stand for."""

    @property
    def orders(self) -> StreamState: ...
    def learn(self, listing: Listed) -> None:
        """The day's instruments: what is subscribed to stays so, under today's tokens or keys."""

    def subscribe(self, symbols: Iterable[str]) -> None:
        """Prices wanted, each once. Raises ConfigException for an instrument that is not listed, BrokerException
        beyond what a connection takes."""

    def spare(self) -> None:
        """What nobody wants of the list is forgotten until the next ``learn``: it is thousands of names."""

    def set_access_token(self, token: str) -> None:
        """The day's token: the streams connect again with it at once."""

    def renew_prices(self) -> None:
        """The connection over which prices come ends, and is made anew at once."""

    async def run(self) -> None:
        """Until cancelled."""


class Wanted(Protocol):
    """``turn`` is another one after each change."""

    @property
    def turn(self) -> int: ...
    @property
    def symbols(self) -> Mapping[Any, tuple[str, ...]]: ...


class _Wanted(Generic[K]):
    """Which symbols a broker's token or key stands for: an index, or a share with ``-EQ``, may go by two names."""

    def __init__(self, broker: str) -> None:
        self._broker = broker
        self._known: Mapping[str, K] = {}
        self._symbols: dict[K, tuple[str, ...]] = {}
        self.turn = 0

    @property
    def symbols(self) -> Mapping[K, tuple[str, ...]]:
        return self._symbols

    def find(self, symbols: Iterable[str]) -> dict[str, K]:
        """Raises ConfigException for one that is not listed today."""
        found = {}
        for symbol in symbols:
            if not self._known.get(symbol):
                raise ConfigException(f"{symbol} is not in {self._broker}'s list of instruments of today")
            found[symbol] = self._known[symbol]
        return found

    def add(self, found: Mapping[str, K]) -> None:
        self.turn += 1
        for symbol, key in found.items():
            others = [name for name in self.names(key) if name != symbol]
            self._symbols[key] = (*others, symbol)

    def learn(self, known: Mapping[str, K]) -> tuple[list[K], list[K]]:
        """Keys that are given up and keys that are wanted from now on."""
        before, wanted = self._symbols, [symbol for names in self._symbols.values() for symbol in names]
        self._known, self._symbols = known, {}
        self.add({symbol: known[symbol] for symbol in wanted if known.get(symbol)})
        return [key for key in before if key not in self._symbols], list(self._symbols)

    def spare(self) -> None:
        self._known = {symbol: key for key, names in self._symbols.items() for symbol in names}

    def names(self, key: K) -> tuple[str, ...]:
        return self._symbols.get(key, ())


class KiteStreams:
    """Prices and orders over Kite's one connection."""

    def __init__(
        self, api_key: str, token: str, *, root: str, settings: StreamSettings | None = None, **options: Any
    ) -> None:
        self.ears = Ears()
        self._wanted = _Wanted[int]("kite")
        self._stream = KiteStream(
            api_key, token, root=root, settings=settings, on_ticks=self._ticks, on_order_update=self._order,
            on_state=self._state, on_dropped=self._dropped, on_frame=lambda frame: self.ears.frame(frame), **options,
        )  # fmt: skip

    @property
    def wanted(self) -> Wanted:
        return self._wanted

    @property
    def prices(self) -> StreamState:
        return self._stream.wire.state

    @property
    def orders(self) -> StreamState:
        return self._stream.wire.state

    def learn(self, listing: Listed) -> None:
        """Today's tokens; those of another day are given up."""
        gone, wanted = self._wanted.learn({symbol: one.token for symbol, one in listing.instruments.items()})
        self._stream.unsubscribe(gone)
        self._stream.subscribe(wanted)

    def subscribe(self, symbols: Iterable[str]) -> None:
        """See BrokerStreams."""
        found = self._wanted.find(symbols)
        self._stream.subscribe(found.values())
        self._wanted.add(found)

    def spare(self) -> None:
        """See BrokerStreams."""
        self._wanted.spare()

    def set_access_token(self, token: str) -> None:
        """See BrokerStreams."""
        self._stream.set_access_token(token)

    def renew_prices(self) -> None:
        """See BrokerStreams."""
        self._stream.wire.renew()

    async def run(self) -> None:
        """Until cancelled."""
        await self._stream.run()

    def _ticks(self, ticks: list[Tick]) -> None:
        names = self._wanted.names
        found = [
            LivePrice(symbol, tick.ltp_paise, tick.volume, tick.exchange_ts_ns)
            for tick in ticks
            if tick.ltp_paise
            for symbol in names(tick.token)
        ]
        if found:
            self.ears.prices(found)

    def _order(self, row: Row) -> None:
        self.ears.order(row)

    def _dropped(self, frame: str | bytes) -> None:
        if isinstance(frame, str):  # the other frames are prices
            self.ears.books_due()

    def _state(self, state: StreamState, why: str) -> None:
        for what in ("prices", "orders"):
            self.ears.state(what, state, why)
        if state is StreamState.LIVE:
            self.ears.books_due()


class UpstoxStreams:
    """Prices over one connection of Upstox's, orders over another."""

    def __init__(self, token: str, *, root: str, settings: StreamSettings | None = None, **options: Any) -> None:
        self.ears = Ears()
        self._wanted = _Wanted[str]("upstox")
        if settings is not None:
            options["settings"] = settings
        self._prices = UpstoxPrices(
            token, root=root, on_ticks=self._ticks, on_state=partial(self._state, "prices"),
            on_frame=lambda frame: self.ears.frame(frame), **options,
        )  # fmt: skip
        self._orders = UpstoxOrders(
            token, root=root, on_order_update=self._order, on_state=partial(self._state, "orders"),
            on_dropped=self._dropped, **options,
        )  # fmt: skip

    @property
    def wanted(self) -> Wanted:
        return self._wanted

    @property
    def prices(self) -> StreamState:
        return self._prices.wire.state

    @property
    def orders(self) -> StreamState:
        return self._orders.wire.state

    def learn(self, listing: Listed) -> None:
        """Today's keys; those of another day are given up."""
        gone, wanted = self._wanted.learn(dict(listing.keys))
        self._prices.unsubscribe(gone)
        self._prices.subscribe(wanted)

    def subscribe(self, symbols: Iterable[str]) -> None:
        """See BrokerStreams."""
        found = self._wanted.find(symbols)
        self._prices.subscribe(found.values())
        self._wanted.add(found)

    def spare(self) -> None:
        """See BrokerStreams."""
        self._wanted.spare()

    def set_access_token(self, token: str) -> None:
        """See BrokerStreams."""
        self._prices.set_access_token(token)
        self._orders.set_access_token(token)

    def renew_prices(self) -> None:
        """See BrokerStreams."""
        self._prices.wire.renew()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._prices.run())
            both.create_task(self._orders.run())

    def _ticks(self, ticks: list[KeyTick]) -> None:
        names = self._wanted.names
        found = [
            LivePrice(symbol, tick.ltp_paise, tick.volume, tick.exchange_ts_ns)
            for tick in ticks
            for symbol in names(tick.key)
        ]
        if found:
            self.ears.prices(found)

    def _order(self, row: Row) -> None:
        self.ears.order(row)

    def _dropped(self, frame: str | bytes) -> None:
        self.ears.books_due()

    def _state(self, what: str, state: StreamState, why: str) -> None:
        self.ears.state(what, state, why)
        if what == "orders" and state is StreamState.LIVE:
            self.ears.books_due()
