"""A whole live account on a table: engine, middleware, the real SDK, streams over sockets, a venue that does as told.

Market time is a clock that stands until ``pass_time`` or ``price`` moves it; the sockets are real. ``settle`` is the
barrier between the two: on return nothing is on its way any more, neither a write nor a frame nor a comparison.

    async with live_room("kite", tmp_path) as room:
        room.venue.fail("place", Reset(after=True))
        await room.buy()                     # the strategy wants the first share; its order's answer is lost
        await room.pass_time(120)
        await room.price(room.symbol, 97_000)
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any

from otrade_bot.brokers.middleware import UnifiedBrokerMiddleware
from otrade_bot.brokers.stream import Stream, StreamState
from otrade_bot.config.models import Config, Notifications
from otrade_bot.control.news.notices import describe
from otrade_bot.control.news.pushes import loudness
from otrade_bot.core.clock import SECOND, ManualClock, at_ist
from otrade_bot.core.errors import BrokerException
from otrade_bot.core.events import Event, EventKind
from otrade_bot.core.model import Block, Instrument, Leg, Product
from otrade_bot.service.accounts import LiveAccount
from otrade_bot.service.desk import Desk
from otrade_bot.service.journal import DayJournal, read_day
from otrade_bot.service.live_feed import LiveFeed
from otrade_bot.trading import setup
from otrade_bot.trading.engine import LiveTradingEngine
from otrade_bot.trading.recover import HistoryTick
from otrade_bot.trading.rungs import RungLife
from tests.acceptance.live_barrier import Barrier, Flights, Sleeper, Wire
from tests.acceptance.live_venues import VENUES, Guard, Hang, Seen, working
from tests.harness.bench import config as bench_config
from tests.harness.bench import kernel
from tests.venues.faults import Fault
from tests.venues.shares import Listed, listed

__all__ = ["DAY", "LiveRoom", "live_room"]

#: A regular Wednesday.
DAY = date(2026, 9, 16)
TOLD = 5  #: market seconds between two prices of a share that nobody trades: the stream is never silent by itself
WARM = 10  #: market seconds between two requests that keep the connection warm


class LiveRoom(Barrier):
    """One account at one broker. Of ``shares`` the strategy trades the first ones, ``traded`` of them. What is at
    the exchange is in ``venue``, what people were told in ``phone``, every event in ``events``. With one of ``writers``
    orders arrive in the order in which they were sent."""

    def __init__(
        self,
        broker: str,
        folder: Path,
        *,
        shares: int = 5,
        traded: int = 1,
        writers: int = 8,
        settings: Callable[[tuple[str, ...]], Config] | None = None,
        product: Product = Product.MIS,
        start: tuple[int, int] = (9, 30),
    ) -> None:
        clock = ManualClock(at_ist(DAY, *start))
        self.shares: tuple[Listed, ...] = listed(shares, shares // 2)
        super().__init__(clock, VENUES[broker](self.shares, clock))
        self.folder, self.product, self._writers = folder, product, writers
        self.symbols = tuple(one.symbol for one in self.shares[:traded])
        self.symbol = self.symbols[0]
        self.base = next(one.base for one in self.shares if one.symbol == self.symbol)
        #: A share that nobody trades, whose price is told again and again while ``lively``.
        self.bystander = next((one for one in self.shares if one.symbol not in self.symbols), None)
        self.lively = True
        self.config = (settings or self._settings)(self.symbols)
        self.instruments = {
            one.symbol: Instrument(one.symbol, one.token, tick=one.tick, closing_auction=one.auctioned, name=one.name)
            for one in self.shares
        }
        self.keys = {one.symbol: one.upstox_key if broker == "upstox" else "" for one in self.shares}
        self.phone: list[str] = []
        self.events: list[Event] = []
        self.states: list[tuple[str, StreamState, str]] = []
        self.past: list[HistoryTick] = []  #: what was traded today, and the minutes, for recoveries
        self.starts = 0
        self._asked = self._told = self._warmed = clock.now_ns()

    def _settings(self, symbols: tuple[str, ...]) -> Config:
        capital = self.base * 30 // 100 + self.base // 200
        risk = {"cooldown_seconds": 3_600, "total_capital": 100_000_000}  # one trade a row is enough
        return bench_config(symbols=symbols, product=self.product, capital=capital, risk=risk)

    # --- the process ---
    async def open(self) -> None:
        """The exchange, then the first process."""
        self.venue.open()
        self.venue.sockets.opened.append(self._linked)
        if self.bystander is not None:
            self.venue.trade(self.bystander.symbol, self.bystander.base)
        await self.start()

    async def start(self) -> None:
        """A process comes: it recovers from the venue's books and the journal of the day."""
        self.starts += 1
        self.client = self._client()
        self._wires = [Wire(stream, path, naps) for (stream, path), naps in self._with_naps()]
        self.journal = DayJournal(self.folder, self.clock)
        strategies = setup.load_strategies(self.config, None)
        rows = setup.build_rows(self.config, strategies, self.instruments.__getitem__, self.instruments)
        self.engine = LiveTradingEngine(
            config=self.config, kernel=kernel(), rows=rows, strategies=strategies, broker=self.client,
            clock=self.clock, calendar=self.config.calendar, journal=self.journal, feed=self.client.name,
        )  # fmt: skip
        self.engine.add_observer(self._observe)
        self.feed = LiveFeed(self.client, clock=self.clock, calendar=self.config.calendar)
        self._wire_up()
        desk = Desk(DAY, self.engine, LiveAccount(self.client))
        self.engine.start_day(DAY)
        now, before = self.now, read_day(self.folder, DAY)
        self._minutes = [ts for ts in self.engine.timers if ts > now]
        past = sorted([*self.past, *((ts, -1, 0, 1) for ts in self.engine.timers if ts <= now)])
        await self.finish(desk.recover(past, before, now))
        self.feed.bind(self.engine)
        self._streams = asyncio.create_task(self.client.streams.run())
        await self.settle()

    def _client(self) -> UnifiedBrokerMiddleware:
        client = self.venue.client(self.clock, self._naps.sleep, self._writers)
        assert client.inner.pace is not None
        client.inner.pace._sleep = self._wait_out
        self._flights = Flights(client)
        client.learn(self)
        client.subscribe(self.instruments)
        return client

    def _with_naps(self) -> Iterable[tuple[tuple[Stream, str], Sleeper]]:
        for stream, path in self.venue.wires(self.client):
            naps = Sleeper(self.clock)
            stream._sleep = naps.sleep
            yield (stream, path), naps

    def _wire_up(self) -> None:
        """As the service does it."""
        self.feed.on_state = self._state
        self.client.on_token_fault = self.engine.token_lost
        self.client.on_token_back = self.engine.token_back
        self.client.on_books_due = lambda: self.spawn(self.compare())

    def _state(self, broker: str, stream: str, state: StreamState, why: str) -> None:
        self.states.append((stream, state, why))

    def _observe(self, event: Event) -> None:
        self.events.append(event)
        if loudness(event, Notifications()) != "off" and (said := describe(event)) is not None:
            self.phone.append(said.to_plain())

    async def kill(self) -> None:
        """The process is gone: no goodbye, no answer that is still to come, nothing more written."""
        assert self._streams is not None
        self._leave()
        for pool in self.venue.pools(self.client):
            pool.shutdown(wait=False, cancel_futures=True)
        looks = [self.engine.asking] if self.engine.asking is not None else []
        tasks = [self._streams, *self._tasks, *self.client._tasks, *looks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._streams = None
        self._cut()
        self.journal.close()
        await self.client.aclose()
        self._wires = []

    def _leave(self) -> None:
        self.feed.release()
        self.engine.retire()
        self.client.report = lambda order: None
        self.client.on_books_due = lambda: None
        self.client.on_token_fault = lambda why: None

    def _cut(self) -> None:
        """Requests that are still on their way find nobody to answer to."""
        server: Any = getattr(self.venue.api, "_server", None) or self.venue.api._loopback
        server.down()
        server.up()

    async def restart(self) -> None:
        """Kill it, and start again at once."""
        await self.kill()
        await self.start()

    async def close(self) -> None:
        if self._streams is not None:
            await self.kill()
        await self.venue.close()

    # --- faults ---
    def fail(self, what: str, *faults: Fault) -> None:
        """See Venue. A write that hangs is at rest for ``settle``: release it, kill the process, or ``give_up``."""
        self._hangs += [fault for fault in faults if isinstance(fault, Hang)]
        self.venue.fail(what, *faults)

    async def give_up(self) -> None:
        """Until the client no longer waits for the answers that hang (two seconds of the machine's clock)."""
        waiting = self.client._tasks.copy()
        if waiting:
            await asyncio.wait(waiting, timeout=20)
        await self.settle()

    async def log_in(self) -> None:
        """The human has logged in: the day's new token reaches the account, and the profile says that it is one."""
        self.client.set_access_token(self.venue.api.token)
        assert await self.finish(self.client.session_fault()) == ""
        self.engine.token_back()
        await self.settle()

    async def flatten(self, by: str = "owner") -> str:
        """What /flatten answers, when it does."""
        asked = asyncio.create_task(self.engine.flatten(by))
        while not asked.done():
            await self.pass_time(1)
            await asyncio.sleep(0.001)
        return await asked

    # --- time and prices ---
    @property
    def now(self) -> int:
        return self.clock.now_ns()

    async def price(self, paise: int, symbol: str = "", *, seconds: float = 1, available: int | None = None) -> None:
        """``seconds`` later a share (the first traded one unless named) trades at this price, and all is settled.

        The exchange matches first, then the stream tells the price. ``available``: against each order.
        """
        await self.pass_time(seconds)
        await self.trade(paise, symbol, available=available)
        self.venue.tick(symbol or self.symbol)
        await self.settle()

    async def prices(self, *paise: int, symbol: str = "") -> None:
        for one in paise:
            await self.price(one, symbol)

    async def trade(self, paise: int, symbol: str = "", *, available: int | None = None) -> None:
        """The exchange matches; no price is told."""
        symbol = symbol or self.symbol
        self.venue.trade(symbol, paise, available)
        self.past.append((self.now, self.engine.by_symbol[symbol], paise, 0))
        await self.settle()

    async def market(self, prices: Mapping[str, int]) -> None:
        """All these shares trade now, at these prices: the exchange matches each, then one frame tells of all."""
        for symbol, paise in prices.items():
            self.venue.trade(symbol, paise)
            self.past.append((self.now, self.engine.by_symbol[symbol], paise, 0))
        await self.settle()
        self.venue.tick(*prices)
        await self.settle()

    async def buy(self, base: int = 0, symbol: str = "", *, up: bool = True) -> None:
        """A fall and a turn that ends at ``base``: the strategy buys there (``up`` False: sells)."""
        symbol = symbol or self.symbol
        base = base or next(one.base for one in self.shares if one.symbol == symbol)
        tick = self.instruments[symbol].tick
        unit, sign = base // 10_000 // tick * tick or tick, 1 if up else -1
        await self.prices(*(base - sign * step * unit for step in (5, 10, 20, 30, 40)), base, symbol=symbol)

    async def pass_time(self, seconds: float, step: float = 1) -> None:
        """As the service lives it: heartbeats, pulses, minutes with their comparison, settled after each step."""
        until = self.now + round(seconds * SECOND)
        while self.now < until:
            self.clock.advance_to(min(until, self.now + round(step * SECOND)))
            await self._second()

    async def at(self, hour: int, minute: int = 0, second: int = 0, step: float = 1) -> None:
        """Until that time of the day."""
        await self.pass_time((at_ist(DAY, hour, minute, second) - self.now) / SECOND, step)

    async def _second(self) -> None:
        self.wake()
        self.venue.heartbeat()
        if self.lively and self.bystander is not None and self.now - self._told >= TOLD * SECOND:
            self._told = self.now
            self.venue.tick(self.bystander.symbol)
        await self.settle()
        due = [ts for ts in self._minutes if ts <= self.now]
        del self._minutes[: len(due)]
        for ts in due:
            self.engine.on_time(ts)
        self.engine.pulse(self.now)
        self._look()
        if due or (self.engine.in_doubt and self.now - self._asked >= 5 * SECOND):
            self._asked = self.now
            self.spawn(self.compare())
        if self.now - self._warmed >= WARM * SECOND:
            self._warmed = self.now
            self.spawn(self._stay_warm())
        await self.settle()

    def _look(self) -> None:
        """Prices that cannot be relied on stop entries."""
        self.feed.look()
        if self.feed.fault():
            self.engine.block(Block.STALE)
        else:
            self.engine.release(Block.STALE)

    async def _stay_warm(self) -> None:
        with suppress(BrokerException):  # an order would meet the same
            await self.client.keep_warm()

    async def compare(self) -> None:
        """One look at the broker's books; one that cannot be read is told."""
        engine = self.engine
        try:
            await engine.reconcile()
        except BrokerException as error:
            engine.alert(f"the broker's books cannot be read: {error}")

    async def _wait_out(self, seconds: float) -> None:
        """Reads that keep the broker's pace take market time."""
        self.clock.advance_to(self.now + round(seconds * SECOND))
        await asyncio.sleep(0)

    # --- what came of it ---
    def life(self, rung: int = 0, symbol: str = "") -> RungLife | None:
        """The rung as the engine has it."""
        return self.engine.manager.lives.get((self.engine.by_symbol[symbol or self.symbol], rung))

    def orders(self, symbol: str = "") -> list[Seen]:
        """At the exchange."""
        return [one for one in self.venue.orders() if one.symbol == (symbol or self.symbol)]

    def position(self, symbol: str = "") -> int:
        """At the exchange."""
        return self.venue.net(symbol or self.symbol, self.product)

    def held(self, symbol: str = "") -> int:
        """Signed, as the engine has it."""
        symbol = symbol or self.symbol
        return sum(int(p.side) * p.quantity for p in self.engine.positions() if p.symbol == symbol and not p.external)

    def external(self, symbol: str = "") -> int:
        """Signed, what the engine knows to be there and not ours."""
        return self.engine.external.get((symbol or self.symbol, self.product.value), 0)

    def stops(self, symbol: str = "") -> list[Seen | Guard]:
        """What protects it at the broker: stop orders that wait, GTTs."""
        symbol = symbol or self.symbol
        orders = [one for one in self.orders(symbol) if one.works and one.kind in ("SL", "SL-M")]
        return [*orders, *(one for one in self.venue.guards() if one.symbol == symbol)]

    def told(self, *words: str) -> bool:
        """One message of the phone has all of these."""
        return any(all(word in said for word in words) for said in self.phone)

    def codes(self) -> list[str]:
        """Of the refusals."""
        return [str(event.data["code"]) for event in self.events if event.kind is EventKind.REFUSAL]

    def _working(self, symbol: str, side: int, leg: Leg) -> int:
        """What our working orders of this side and kind may still take; GTTs are exits."""
        read = self.engine.manager.tags.read
        orders = [one for one in self.orders(symbol) if (parts := read(one.tag)) is not None and parts.leg is leg]
        gtts = (one for one in self.venue.guards() if leg is Leg.EXIT and (one.symbol, one.side) == (symbol, side))
        return working(orders, symbol, side) + sum(one.quantity for one in gtts)

    def faults(self) -> list[str]:
        """What may never be, whatever has happened: an order twice, exits for more than is held, our books not the
        exchange's. Call it when everything has been said and compared."""
        found = []
        orders = self.venue.orders()
        tags = [one.tag for one in orders if one.tag]
        found += [f"tag {tag} was placed twice" for tag in sorted({tag for tag in tags if tags.count(tag) > 1})]
        for symbol in self.symbols:
            net, ours = self.position(symbol), self.held(symbol) + self.external(symbol)
            if net != ours:
                found.append(f"{symbol}: {net} at the exchange, {ours} with us")
            for side in (-1, 1):
                leaving, coming = self._working(symbol, side, Leg.EXIT), self._working(symbol, -side, Leg.ENTRY)
                if leaving > max(0, -side * net) + coming:
                    found.append(f"{symbol}: exits for {leaving} wait over a position of {net}")
        return found


@asynccontextmanager
async def live_room(broker: str, folder: Path, **options: Any) -> AsyncIterator[LiveRoom]:
    """Open, and closed in the end; the venue's own complaints are raised."""
    random.seed(broker)  # of pauses between attempts
    room = LiveRoom(broker, folder, **options)
    await room.open()
    try:
        yield room
    finally:
        await room.close()
