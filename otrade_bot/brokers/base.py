"""The one interface that every broker has, live or paper."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from otrade_bot.brokers.quotes import Candles, MarketQuote
from otrade_bot.core.errors import BrokerException
from otrade_bot.core.model import (
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    Funds,
    Gtt,
    GttRequest,
    Holding,
    Instrument,
    OrderRequest,
    OrderType,
    Outcome,
    Product,
)
from otrade_bot.core.money import Paise

__all__ = ["BrokerInterface", "Done", "ReportSink", "Write"]

ReportSink = Callable[[BrokerOrder], None]
Done = Callable[[Outcome], None]
Write = Coroutine[Any, Any, Outcome]


class BrokerInterface(ABC):
    """Writes end as ``Accepted | Refused | Unknown`` and never raise; reads raise BrokerException.

    A write is never re-sent by a broker object. Order updates go to ``report``, which may be called
    before the write that caused them has returned.
    """

    name: str
    #: The broker can turn a resting stop into a limit order by modification.
    converts_stops = True
    #: A GTT over what is held may have two legs, stop and target. Else the first leg alone is placed.
    two_leg_gtt = True
    #: Modifications that the broker allows an order.
    modification_limit = 25
    #: A GTT's trigger must be at least this far from the last price, percent; 0 = no such rule.
    gtt_distance_percent = 0.0
    #: A trailing GTT is moved no more often than this, besides what a wrong quantity needs; 0 = as often as wanted.
    gtt_pace_seconds = 0.0

    def __init__(self) -> None:
        self.report: ReportSink = lambda order: None
        self.on_leaving: Callable[[OrderRequest], None] = lambda request: None  #: a place request leaves now

    def dispatch(self, write: Write, done: Done) -> None:
        """Carry a write out and say how it ended. Here: as a task of the running loop."""
        import asyncio

        task = asyncio.get_running_loop().create_task(write)
        self._tasks.add(task)
        task.add_done_callback(lambda t: self._finish(t, done))

    def _finish(self, task: Any, done: Done) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            done(task.result())

    @property
    def _tasks(self) -> set[Any]:
        return self.__dict__.setdefault("_running", set())  # type: ignore[no-any-return]

    async def session_fault(self) -> str:
        """Why the broker would take no order of ours now (no token, an expired one); '' where it would.

        Raises BrokerException where it cannot be asked. A broker without a login has nothing to say.
        """
        return ""

    def set_access_token(self, token: str) -> None:  # noqa: B027 - nothing to do without a login
        """The day's token; what is sent from now on bears it. Without a login: nothing to do."""

    async def keep_warm(self) -> None:  # noqa: B027
        """A harmless request on the connection that the next order takes. Raises BrokerException."""

    async def aclose(self) -> None:  # noqa: B027
        """Wait for what is under way, then close the connections. Writes after that are Unknown."""

    # --- writes ---
    @abstractmethod
    async def place(self, request: OrderRequest) -> Outcome: ...

    @abstractmethod
    async def modify(
        self,
        order_id: str,
        *,
        quantity: int | None = None,
        order_type: OrderType | None = None,
        price: Paise | None = None,
        trigger: Paise | None = None,
    ) -> Outcome:
        """Change a working order. ``quantity`` is the new total, what has filled included."""

    @abstractmethod
    async def cancel(self, order_id: str) -> Outcome: ...

    @abstractmethod
    async def place_gtt(self, request: GttRequest) -> Outcome: ...

    @abstractmethod
    async def modify_gtt(self, gtt_id: str, request: GttRequest) -> Outcome: ...

    @abstractmethod
    async def cancel_gtt(self, gtt_id: str) -> Outcome: ...

    # --- reads ---
    @abstractmethod
    async def get_orderbook(self) -> Sequence[BrokerOrder]:
        """Today's orders, oldest first."""

    @abstractmethod
    async def get_trades(self) -> Sequence[BrokerFill]:
        """Today's fills, oldest first."""

    @abstractmethod
    async def get_positions(self) -> Sequence[BrokerPosition]: ...

    @abstractmethod
    async def get_holdings(self) -> Sequence[Holding]: ...

    async def get_net(self) -> dict[tuple[str, str], int]:
        """Signed quantity by (symbol, product), positions and holdings together; holdings count as CNC."""
        net: dict[tuple[str, str], int] = defaultdict(int)
        for position in await self.get_positions():
            net[position.symbol, str(position.product)] += position.quantity
        for holding in await self.get_holdings():
            net[holding.symbol, str(Product.CNC)] += holding.quantity
        return net

    @abstractmethod
    async def get_funds(self) -> Funds: ...

    @abstractmethod
    async def get_gtts(self) -> Sequence[Gtt]: ...

    async def order_history(self, order_id: str) -> Sequence[BrokerOrder]:
        """Every state an order of today was in, oldest first; here the newest alone. Raises BrokerException, also
        for an order that the broker does not know."""
        found = [order for order in await self.get_orderbook() if order.order_id == order_id]
        if not found:
            raise BrokerException(f"{self.name}: no order {order_id} today")
        return found

    # --- the market, where the broker tells of it ---
    async def quotes(self, symbols: Iterable[str]) -> Mapping[str, MarketQuote]:
        """By symbol; one that the broker does not know is missing. Raises BrokerException."""
        raise BrokerException(f"{self.name} has no quotes")

    async def candles(self, instrument: Instrument, interval: str, from_ns: int, to_ns: int) -> Candles:
        """Those that begin within [from, to] (ns UTC), oldest first; ``interval``: 1m, 3m, 5m, 10m, 15m, 30m, 60m,
        day. Raises BrokerException."""
        raise BrokerException(f"{self.name} has no candles")

    async def instruments(self, *exchanges: str) -> Sequence[Instrument]:
        """The day's list, of all exchanges where none is named. Raises BrokerException."""
        raise BrokerException(f"{self.name} has no list of instruments")
