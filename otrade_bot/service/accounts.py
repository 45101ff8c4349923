"""Whose books a day is traded on: the paper account in the state folder, or a live one at a broker.

What differs between the two stands here and nowhere else: where the books are read, who lives through an
absence, when a day begins, and who ends it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from otrade_bot.brokers.base import BrokerInterface
from otrade_bot.brokers.paper import PaperBroker, PaperSettings
from otrade_bot.brokers.paper.book import Book
from otrade_bot.config.models import BrokerConfig
from otrade_bot.core.clock import MINUTE, Clock, midnight_ns
from otrade_bot.core.model import BrokerOrder, Instrument, Product
from otrade_bot.core.money import Paise, to_paise

if TYPE_CHECKING:
    from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["Account", "Books", "LiveAccount", "PaperAccount", "charge_of", "paper_settings"]

#: Brokers clear yesterday's orders, and flush tokens, some time before this (IST).
LIVE_ROLLS = (7 * 60 + 30) * MINUTE
Net = Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Books:
    """What an account holds before a day is opened with it.

    ``orders``: of that day, as far as it has come; ``net``: signed quantity by (symbol, product), holdings among
    them as CNC; ``first_day``: on which the account began, None where that is not known.
    """

    orders: Sequence[BrokerOrder] = ()
    net: Net = field(default_factory=dict)
    first_day: date | None = None

    @property
    def overnight(self) -> bool:
        """It holds something that no close squares off."""
        return any(quantity and product != Product.MIS for (_, product), quantity in self.net.items())


class Account(Protocol):
    """One account. ``broker`` is there from ``open`` on."""

    name: str
    #: ns after midnight IST at which its day begins
    rolls: int
    #: an order may be there, and not in the book yet
    shows_late: bool

    @property
    def broker(self) -> BrokerInterface: ...

    def user(self) -> str:
        """Its id at the broker; '' where there is none, or nobody knows it."""
        ...

    async def books(self, day: date) -> Books:
        """Read them. Raises BrokerException, JournalException."""
        ...

    def open(self, instrument: Callable[[str], Instrument]) -> BrokerInterface:
        """For the day that begins; the engine that will trade is bound next. Raises JournalException."""
        ...

    def bind(self, engine: LiveTradingEngine) -> None:
        """This engine trades on it from now on."""
        ...

    def start_day(self, day: date) -> None: ...

    def catch_up(self, prices: Iterable[tuple[str, int, Paise, int]]) -> None:
        """What the exchange did while nobody was looking, where it cannot know by itself."""
        ...

    def end_day(self) -> None:
        """The close, where the exchange does not come to it by itself."""
        ...

    def suspicion(self, before: Iterable[Mapping[str, Any]]) -> str:
        """What does not fit the journal of the day so far; '' where nothing."""
        ...

    def close(self) -> None: ...


class PaperAccount:
    """The book in ``state_dir``; its exchange is ours, so it lives through absences and closes when told."""

    name = "paper"
    rolls = 0
    shows_late = False

    def __init__(self, state_dir: Path, clock: Clock, brokers: BrokerConfig) -> None:
        self._path, self._clock, self._settings = state_dir / "paper.jsonl", clock, paper_settings(brokers)
        self._engine: LiveTradingEngine | None = None
        self._broker: PaperBroker | None = None

    @property
    def broker(self) -> PaperBroker:
        assert self._broker is not None, "the paper account has not been opened"
        return self._broker

    def user(self) -> str:
        return ""

    async def books(self, day: date) -> Books:
        book = Book.read(self._path)
        net: dict[tuple[str, str], int] = defaultdict(int)
        for (symbol, product), lot in book.positions.items():
            net[symbol, str(product)] += lot.quantity
        for symbol, lot in book.holdings.items():
            net[symbol, str(Product.CNC)] += lot.quantity
        orders = [order.row() for order in book.orders.values()] if book.day == day else []
        return Books(orders, net, book.first_day)

    def open(self, instrument: Callable[[str], Instrument]) -> PaperBroker:
        self._broker = PaperBroker(
            self._path, self._clock, instrument,
            lambda known, kind, ns: self._bound.market_fault(known, kind, ns), self._settings,
            lambda symbol, product, side, value: charge_of(self._bound, symbol, side, value),
        )  # fmt: skip
        return self._broker

    @property
    def _bound(self) -> LiveTradingEngine:
        assert self._engine is not None, "no engine trades on the paper account yet"
        return self._engine

    def bind(self, engine: LiveTradingEngine) -> None:
        self._engine = engine
        self.broker.follow(engine.quote_of)
        engine.add_price_listener(self.broker.on_price, self.broker.resume, self.broker.restless)

    def start_day(self, day: date) -> None:
        self.broker.start_day(day)

    def catch_up(self, prices: Iterable[tuple[str, int, Paise, int]]) -> None:
        self.broker.catch_up(prices)

    def end_day(self) -> None:
        """What intraday is still open is squared off, day orders end."""
        self.broker.end_day()

    def suspicion(self, before: Iterable[Mapping[str, Any]]) -> str:
        if not self.broker.book.orders and any(line.get("kind") == "fill" for line in before):
            return "the paper account is empty, though today's journal tells of fills: paper.jsonl was lost"
        return ""

    def close(self) -> None:
        if self._broker is not None:
            self._broker.close()


class LiveAccount:
    """At a broker, who is the source of truth: nothing is lived through or closed here."""

    rolls = LIVE_ROLLS
    shows_late = True

    def __init__(self, broker: BrokerInterface, user: Callable[[], str] = lambda: "") -> None:
        self.name = broker.name
        self._broker, self.user = broker, user

    @property
    def broker(self) -> BrokerInterface:
        return self._broker

    async def books(self, day: date) -> Books:
        start = midnight_ns(day)
        orders = [order for order in await self._broker.get_orderbook() if order.placed_ns >= start]
        return Books(orders, await self._broker.get_net())

    def open(self, instrument: Callable[[str], Instrument]) -> BrokerInterface:
        return self._broker

    def bind(self, engine: LiveTradingEngine) -> None:
        """Reports go to it already: the engine asks its broker for them."""

    def start_day(self, day: date) -> None:
        """The broker's own."""

    def catch_up(self, prices: Iterable[tuple[str, int, Paise, int]]) -> None:
        """Happened at the exchange."""

    def end_day(self) -> None:
        """The exchange's own."""

    def suspicion(self, before: Iterable[Mapping[str, Any]]) -> str:
        return ""

    def close(self) -> None:
        """The connection outlives a day."""


def paper_settings(brokers: BrokerConfig) -> PaperSettings:
    """The paper broker's numbers in its own units."""
    paper = brokers.paper
    return PaperSettings(
        cash=to_paise(paper.cash),
        latency_ns=paper.latency_ms * 1_000_000,
        slip_ppm=round(paper.slippage_bps * 100),
        participation=paper.participation,
        circuit_percent=paper.circuit_percent,
    )


def charge_of(engine: LiveTradingEngine, symbol: str, side: int, value: Paise) -> Paise:
    """An order's charges by the one function that books them everywhere.

    What was taken out of the settings while it was held has no rates any more: those of the first row stand in."""
    return engine.kernel.charge_one(engine.params, engine.by_symbol.get(symbol, 0), int(side), value)
