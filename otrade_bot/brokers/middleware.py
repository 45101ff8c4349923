"""One live account as trading sees it: the broker's SDK behind its budgets, its streams beside it, one token for all.

No write is ever sent twice here: it leaves once, or it is Refused with the code "budget" and has not left.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import TypeVar

from otrade_bot.brokers.base import BrokerInterface
from otrade_bot.brokers.budget import Budget
from otrade_bot.brokers.kite import KiteBroker
from otrade_bot.brokers.line import Line
from otrade_bot.brokers.pace import Pace, Steady
from otrade_bot.brokers.quotes import Candles, MarketQuote
from otrade_bot.brokers.stream import StreamState
from otrade_bot.brokers.streams import BrokerStreams, Ears, Listed, LivePrice
from otrade_bot.brokers.upstox import UpstoxBroker
from otrade_bot.core.clock import Clock, ist_date
from otrade_bot.core.errors import BrokerException, TokenException
from otrade_bot.core.model import (
    Accepted,
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
    Refused,
)
from otrade_bot.core.money import Paise

__all__ = ["UNSENT", "LivePrice", "UnifiedBrokerMiddleware"]

T = TypeVar("T")
#: Code of a refusal of ours: nothing was sent.
UNSENT = "budget"
READ_ONLY = "read_only"
BOOKS_S = 1.0  #: between two requests to read the books again
WARM_S = 10.0  #: between two harmless requests: connections go stale after 20 s and more
#: Codes with which a broker refuses a write for its token.
TOKEN_CODES = frozenset({"TokenException", "UDAPI100050"})
#: ... and for "too many": Kite's 429, Upstox's.
TOO_MANY = frozenset({"NetworkException", "UDAPI10005"})


def _nothing(*_: object) -> None:
    return None


class UnifiedBrokerMiddleware(BrokerInterface):
    """Writes keep to the budget: what reduces a position waits for its turn, an entry that finds no room is Refused.
    Reads wait for theirs and are asked again later where the broker said "too many".

    What a listener (``report``, ``on_...``) raises ends ``run`` with it: a row that was heard and not acted on
    would be a lie. ``read_only``: why no write may leave at all; '' where they may. Requests are counted by the
    machine's steady clock, or by ``clock`` where ``sleep`` goes by that.
    """

    def __init__(
        self,
        broker: KiteBroker | UpstoxBroker,
        streams: BrokerStreams,
        budget: Budget,
        *,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        read_only: str = "",
        warm_s: float = WARM_S,
    ) -> None:
        super().__init__()
        self.inner, self.streams, self.budget = broker, streams, budget
        self.name = broker.name
        self.converts_stops, self.two_leg_gtt = broker.converts_stops, broker.two_leg_gtt
        self.modification_limit = broker.modification_limit
        self.gtt_distance_percent, self.gtt_pace_seconds = broker.gtt_distance_percent, broker.gtt_pace_seconds
        self.on_prices: Callable[[list[LivePrice]], None] = _nothing
        self.on_frame: Callable[[bytes], bool] = lambda frame: False  #: of prices, as it comes: true where it is taken
        self.on_state: Callable[[str, StreamState, str], None] = _nothing
        self.on_books_due: Callable[[], None] = _nothing
        self.on_token_fault: Callable[[str], None] = _nothing
        self.on_token_back: Callable[[], None] = _nothing  #: a token that had a fault is taken again
        self.read_only = read_only
        rates = Steady() if sleep is asyncio.sleep else clock
        self._clock, self._rates, self._sleep, self._warm_s = clock, rates, sleep, warm_s
        self._line = Line(budget, rates, sleep)
        self._tokens = 0  #: how many there have been: an answer to an old one says nothing of today's
        self._faults: set[str] = set()  #: where today's token was refused: reads, writes, prices, orders
        self._refusals = 0  #: of any token so far
        self._doubted = False  #: today's token was once refused to a write, and then proved by a read
        self._error: Exception | None = None  #: that a listener raised
        self._erred = asyncio.Event()
        self._books_again: asyncio.TimerHandle | None = None
        self._books_once_more = False
        broker.report = lambda order: self._say(self.report, order)
        broker.pace = Pace.of(broker.name, rates, sleep)
        streams.ears = Ears(
            prices=lambda prices: self._say(self.on_prices, prices),
            frame=self._offer,
            order=broker.on_order_update,
            state=self._stream_state,
            books_due=self._books_due,
        )

    # --- the account ---
    def learn(self, listing: Listed) -> None:
        """The day's instruments. What is subscribed to stays so, under today's tokens."""
        if isinstance(self.inner, UpstoxBroker):
            self.inner.learn(listing.keys)
        self.streams.learn(listing)

    def subscribe(self, symbols: Iterable[str]) -> None:
        """Prices wanted, each once. Raises ConfigException for what is not listed, BrokerException for too many."""
        self.streams.subscribe(symbols)

    def spare(self) -> None:
        """The day is open: what nobody wants prices of is forgotten until the next ``learn``."""
        self.streams.spare()

    def set_access_token(self, token: str) -> None:
        """The day's token, for requests and streams at once. Faults of the one before are forgotten."""
        self._tokens += 1
        self._faults.clear()
        self._doubted = False
        self.inner.set_access_token(token)
        self.streams.set_access_token(token)

    @property
    def wants_login(self) -> bool:
        """Today's token was refused somewhere."""
        return bool(self._faults)

    async def session_fault(self) -> str:
        """Why the broker would take no order of ours now; '' where it would. Raises BrokerException."""
        since = self._now()
        fault = await self.inner.session_fault()
        if fault:
            self._fault("reads", fault, since)
        else:
            self._proved(since)
        return fault

    async def run(self) -> None:
        """For ever: the streams, and a harmless request now and then so that an order finds a live connection.

        Raises what a listener raised.
        """
        work = [asyncio.create_task(part) for part in (self.streams.run(), self._stay_warm(), self._erred.wait())]
        try:
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if self._error is not None:
                raise self._error
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            if self._books_again is not None:
                self._books_again.cancel()
                self._books_again = None

    async def _stay_warm(self) -> None:
        for turn in count():
            if not self._faults or turn % 6 == 0:  # a token that is refused is tried less often
                with contextlib.suppress(BrokerException):  # an order would meet the same, and say so
                    await self.keep_warm()
            await self._sleep(self._warm_s)

    def _say(self, listener: Callable[..., None], *what: object) -> None:
        """A stream drops what raises, so what a listener raises is kept for ``run``."""
        try:
            listener(*what)
        except Exception as error:
            self._error = self._error or error
            self._erred.set()

    def _offer(self, frame: bytes) -> bool:
        """As ``_say``; what a listener has raised over is taken."""
        try:
            return self.on_frame(frame)
        except Exception as error:
            self._error = self._error or error
            self._erred.set()
            return True

    def _books_due(self) -> None:
        """At once, and then once a second at most: a stream full of rows that cannot be read asks once for all."""
        if self._books_again is not None:
            self._books_once_more = True
            return
        self._books_again = asyncio.get_running_loop().call_later(BOOKS_S, self._books_rested)
        self._say(self.on_books_due)

    def _books_rested(self) -> None:
        self._books_again = None
        if self._books_once_more:
            self._books_once_more = False
            self._books_due()

    async def keep_warm(self) -> None:
        """A harmless request on the connection that the next order takes. Raises BrokerException.

        An answer proves nothing of the token: Upstox does not look at it there."""
        await self._heard(self.inner.keep_warm(), proves=False)

    async def aclose(self) -> None:
        """Wait for what is under way, then close the connections. Writes after that are Unknown."""
        await self.inner.aclose()

    # --- the token ---
    def _stream_state(self, what: str, state: StreamState, why: str) -> None:
        if state is StreamState.REFUSED:
            self._fault(what, why, self._now())
        elif state is StreamState.LIVE:
            self._fine(what)
        self._say(self.on_state, what, state, why)

    def _now(self) -> tuple[int, int]:
        """What a request remembers of the moment at which it left: which token, and how often one had been refused."""
        return self._tokens, self._refusals

    def _fault(self, where: str, why: str, since: tuple[int, int]) -> None:
        if since[0] != self._tokens:  # an answer to the token of before
            return
        first = not self._faults
        self._refusals += 1
        self._faults.add(where)
        if first:
            self._say(self.on_token_fault, why)

    def _proved(self, since: tuple[int, int]) -> None:
        """The broker has answered as to a good token. An answer to what had left before the last refusal says nothing;
        a token that is refused to writes again, though reads are answered, is no good for them."""
        if since != self._now():
            return
        self._fine("reads")
        if "writes" in self._faults and not self._doubted:
            self._doubted = True
            self._fine("writes")

    def _fine(self, where: str) -> None:
        if where not in self._faults:
            return
        self._faults.discard(where)
        if not self._faults:
            self._say(self.on_token_back)

    # --- writes ---
    async def place(self, request: OrderRequest) -> Outcome:
        """An entry that finds no room is Refused unsent; what reduces waits for its turn, before all else."""

        def send() -> Awaitable[Outcome]:
            self.on_leaving(request)
            return self.inner.place(request)

        return await self._write(send, reduces=request.reduces, counts=True)

    async def modify(
        self,
        order_id: str,
        *,
        quantity: int | None = None,
        order_type: OrderType | None = None,
        price: Paise | None = None,
        trigger: Paise | None = None,
    ) -> Outcome:
        """Waits for its turn; a stop that is only moved lets exits pass."""
        moves = quantity is None and order_type is None
        return await self._write(
            lambda: self.inner.modify(order_id, quantity=quantity, order_type=order_type, price=price, trigger=trigger),
            urgent=not moves,
        )

    async def cancel(self, order_id: str) -> Outcome:
        """Waits for its turn."""
        return await self._write(lambda: self.inner.cancel(order_id))

    async def place_gtt(self, request: GttRequest) -> Outcome:
        """Waits for its turn: a GTT protects what is held."""
        return await self._write(lambda: self.inner.place_gtt(request))

    async def modify_gtt(self, gtt_id: str, request: GttRequest) -> Outcome:
        """Waits for its turn; lets exits pass."""
        return await self._write(lambda: self.inner.modify_gtt(gtt_id, request), urgent=False)

    async def cancel_gtt(self, gtt_id: str) -> Outcome:
        """Waits for its turn."""
        return await self._write(lambda: self.inner.cancel_gtt(gtt_id))

    async def _write(
        self, send: Callable[[], Awaitable[Outcome]], *, reduces: bool = True, counts: bool = False, urgent: bool = True
    ) -> Outcome:
        if self.read_only:
            return Refused(f"not sent: {self.read_only}", READ_ONLY)
        taken = await self._line.turn(reduces=reduces, counts=counts, urgent=urgent)
        if isinstance(taken, str):
            return Refused(taken, UNSENT)
        since = self._now()
        try:
            if self.read_only:  # since it began to wait
                return Refused(f"not sent: {self.read_only}", READ_ONLY)
            outcome = await send()
        finally:
            self._line.ended(taken)
        self._learn_from(outcome, since)
        return outcome

    def _learn_from(self, outcome: Outcome, since: tuple[int, int]) -> None:
        if isinstance(outcome, Accepted) and since == self._now():
            self._fine("writes")
        if not isinstance(outcome, Refused):
            return
        if outcome.code in TOKEN_CODES or (outcome.code == "InputException" and "access_token" in outcome.reason):
            self._fault("writes", outcome.reason, since)
        elif outcome.code in TOO_MANY:
            self.budget.turned_away(self._rates.now_ns())

    # --- reads ---
    async def _heard(self, read: Awaitable[T], *, proves: bool = True) -> T:
        """What it brings; what it says of the token is heeded. ``proves``: the broker answers nobody else."""
        since = self._now()
        try:
            found = await read
        except TokenException as error:
            self._fault("reads", str(error), since)
            raise
        if proves:
            self._proved(since)
        return found

    async def get_orderbook(self) -> Sequence[BrokerOrder]:
        """Today's orders, oldest first."""
        book = await self._heard(self.inner.get_orderbook())
        today = ist_date(self._clock.now_ns())  # a book may show yesterday's until it is cleared in the morning
        self.budget.resume(sum(ist_date(order.placed_ns) == today for order in book), self._rates.now_ns())
        return book

    async def get_trades(self) -> Sequence[BrokerFill]:
        """Today's fills, oldest first."""
        return await self._heard(self.inner.get_trades())

    async def get_positions(self) -> Sequence[BrokerPosition]:
        """Those that are not flat."""
        return await self._heard(self.inner.get_positions())

    async def get_holdings(self) -> Sequence[Holding]:
        """Shares of earlier days; what is sold of them today is a position."""
        return await self._heard(self.inner.get_holdings())

    async def get_funds(self) -> Funds:
        """Of the equity segment."""
        return await self._heard(self.inner.get_funds())

    async def get_gtts(self) -> Sequence[Gtt]:
        """Active ones and what the broker still tells of the others."""
        return await self._heard(self.inner.get_gtts())

    async def order_history(self, order_id: str) -> Sequence[BrokerOrder]:
        """Every state the order was in, oldest first. Raises BrokerException, also for an unknown order."""
        return await self._heard(self.inner.order_history(order_id))

    async def quotes(self, symbols: Iterable[str]) -> Mapping[str, MarketQuote]:
        """By symbol; one that the broker does not know is missing. Raises BrokerException."""
        return await self._heard(self.inner.quotes(symbols))

    async def candles(self, instrument: Instrument, interval: str, from_ns: int, to_ns: int) -> Candles:
        """Those that begin within [from, to] (ns UTC), oldest first. Raises ValueError, BrokerException."""
        return await self._heard(self.inner.candles(instrument, interval, from_ns, to_ns), proves=False)

    async def instruments(self, *exchanges: str) -> Sequence[Instrument]:
        """The day's list, of all exchanges where none is named. Raises BrokerException."""
        return await self._heard(self.inner.instruments(*exchanges), proves=False)
