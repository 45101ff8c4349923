"""A whole day of one live account: many shares walk, each once a minute, and the exchange's book is watched throughout.

Walks are seeded and know nothing of what is traded, so two days differ by what happened to the process alone. Shares
trade in six groups, ten seconds apart: the exchange matches, one frame tells the group's prices.
"""

from __future__ import annotations

import asyncio
import random
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otrade_bot.config.models import (
    BrokerConfig,
    ChargesConfig,
    Config,
    MarketConfig,
    RiskConfig,
    StrategyConfig,
    TelegramConfig,
    TradingConfig,
)
from otrade_bot.core.clock import MINUTE, SECOND, at_ist, to_ist
from otrade_bot.core.model import Leg, Product
from otrade_bot.trading.orders import TagParts, Tags
from tests.acceptance.live_room import DAY, LiveRoom
from tests.acceptance.live_venues import FINAL, Hang
from tests.venues.shares import Listed

__all__ = ["DayRoom", "Death", "Kill"]

MINUTES = 375
GROUPS = 5
APART = 60 // GROUPS * SECOND
EMA = {"fast": 5, "slow": 20, "stop_percent": 0.4, "target_percent": 0.8}
LADDER = {
    "ema_fast": 2, "ema_mid": 3, "ema_slow": 5, "ema_trend": 9, "lookback": 12, "stop_percent": 0.6,
    "target_percent": 1.0, "add2_percent": 0.3, "stop2_percent": 0.6, "add3_percent": 0.5, "stop3_percent": 0.8,
    "scan": False,
}  # fmt: skip
RISK = {
    "total_capital": 100_000_000, "max_trades_per_day": 0, "daily_loss_limit": 0, "cooldown_seconds": 25_000,
    "stale_price_seconds": 300, "trail_step_percent": 0.5,
}  # fmt: skip


def settings(product: Product = Product.MIS, **risk: Any) -> Callable[[tuple[str, ...]], Config]:
    """One share in four crosses averages by the minute, the others climb a ladder of bars of three."""

    def made(symbols: tuple[str, ...]) -> Config:
        rest = tuple(symbol for place, symbol in enumerate(symbols) if place % 4)
        given = (
            StrategyConfig(name="ema_crossover", instruments=symbols[::4], timeframe="1m", params=dict(EMA)),
            StrategyConfig(name="momentum_ladder", instruments=rest, timeframe="3m", params=dict(LADDER)),
        )
        trading = TradingConfig(strategies=given, product=product, capital_per_position=20_000, max_positions=1_000)
        return Config(
            trading, RiskConfig(**{**RISK, **risk}), BrokerConfig(), MarketConfig(), ChargesConfig(), TelegramConfig()
        )

    return made


def prices_of(share: Listed, seed: int) -> list[int]:
    """By the minute: still at first, then a walk whose drift turns now and then. One share in five never moves."""
    dice = random.Random(f"{seed} {share.symbol}")
    unit = max(share.tick, share.base // 2_000 // share.tick * share.tick)
    wakes = dice.randrange(3, 330) if dice.randrange(5) else MINUTES
    price, drift, found = share.base, 0, []
    for minute in range(MINUTES):
        if minute % 20 == 0:
            drift = dice.choice((-1, 0, 1))
        if minute >= wakes:
            price += (dice.randint(-2, 2) + drift) * unit
        found.append(price)
    return found


@dataclass(frozen=True)
class Kill:
    """The process dies at the first such write from that moment on, before or after it is done.

    ``what``: place, modify, cancel, place_gtt, ...; "stop": the place that follows an entry's fill; "prices": a frame
    that is sent and not read; "book": while the books are compared."""

    hour: int
    minute: int
    what: str
    done: bool = False

    @property
    def ns(self) -> int:
        return at_ist(DAY, self.hour, self.minute)


@dataclass
class Death:
    """``hit``: shares with a write of which the dead process had no answer, or prices that it has not heard; ``bare``:
    held with too little on its way out when the next one had recovered; ``doubted``: with an order that may be there.
    """

    kill: Kill
    at: int
    hit: frozenset[str]
    bare: frozenset[str] = frozenset()
    doubted: frozenset[str] = frozenset()


class DayRoom(LiveRoom):
    """See the module. ``over``: moments at which more was on its way out than was held; ``bare``: after a frame was
    settled, something held had less on its way out."""

    def __init__(
        self, broker: str, folder: Path, *, shares: int = 200, product: Product = Product.MIS, seed: int = 11,
        kills: tuple[Kill, ...] = (), compare_every: int = 1, **risk: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            broker, folder, shares=shares, traded=shares, writers=1, product=product, start=(9, 14),
            settings=settings(product, **risk),
        )  # fmt: skip
        self.walks = {one.symbol: prices_of(one, seed) for one in self.shares}
        self.seed, self.compare_every = seed, compare_every
        self.kills, self.deaths = list(kills), list[Death]()
        self.told_prices = self.partials = 0
        self.over: list[str] = []
        self.bare: list[str] = []
        self.tags = Tags(self.config.brokers.instance)
        self._shelves: dict[str, dict[str, Any]] = defaultdict(dict)
        self._read: dict[str, TagParts | None] = {}
        self._armed: Hang | None = None
        self._await_fill: Kill | None = None
        self._ends = {one.symbol: at_ist(DAY, 15, 15 if one.auctioned else 30) for one in self.shares}

    async def open(self) -> None:
        exchange = self.venue.api.exchange
        tell, exchange.refuse = exchange.on_update, self._thin
        exchange.on_update = lambda told: (self._seen(told), tell(told))
        await super().open()

    # --- the day ---
    async def play(self) -> None:
        """To 15:41."""
        for minute in range(MINUTES):
            for group in range(GROUPS):
                await self._frame(at_ist(DAY, 9, 15) + minute * MINUTE + group * APART, minute, group)
            self.look_around()
        for minute in range(30, 42):
            await self._step(at_ist(DAY, 15, minute), self.venue.heartbeat)
            self.look_around()

    async def _frame(self, at: int, minute: int, group: int) -> None:
        shares = [one for one in self.shares[group::GROUPS] if at < self._ends[one.symbol]]
        prices = {one.symbol: self.walks[one.symbol][minute] for one in shares}
        await self._step(at, lambda: self._tell(prices), prices, minute)
        self.told_prices += len(prices)

    async def _step(
        self, at: int, tell: Callable[[], None], prices: Mapping[str, int] | None = None, minute: int = 0
    ) -> None:
        """The clock goes on; a minute that has passed comes before the prices of its end."""
        self.clock.advance_to(max(self.now, at))
        await self._minute_over()
        for symbol, paise in (prices or {}).items():
            self.venue.trade(symbol, paise, self._available(symbol, minute))
            self.past.append((self.now, self.engine.by_symbol[symbol], paise, self.venue.tape.volume(symbol)))
        await self.settle()
        tell()
        if self._due("prices"):
            await self._die(self.kills.pop(0), prices or {})
        await self._live_on()

    def _tell(self, prices: Mapping[str, int]) -> None:
        if prices:
            self.venue.tick(*prices)
        else:
            self.venue.heartbeat()

    async def _live_on(self) -> None:
        """What was told is heard; what waits for its turn at the broker goes, second by second."""
        await self._at_rest()
        self._turn()
        await self._at_rest()
        while len(self.client._line):
            self.clock.advance_to(self.now + SECOND)
            self.venue.heartbeat()
            await self._at_rest()
            self._turn()
            await self._at_rest()

    def _turn(self) -> None:
        """Who sleeps by the clock wakes only now: by then the streams have heard that the broker is there."""
        self.wake()
        self.engine.pulse(self.now)
        self._look()

    async def _minute_over(self) -> None:
        due = [ts for ts in self._minutes if ts <= self.now]
        del self._minutes[: len(due)]
        for ts in due:
            self.engine.on_time(ts)
        if due:
            await self._at_rest()  # what a comparison finds is not a matter of who was faster
        if due and self._due("book") and self._armed is None:
            await self._die_reading(self.kills.pop(0))
        elif (due and due[-1] // MINUTE % self.compare_every == 0) or self.engine.in_doubt:
            self.spawn(self.compare())
            await self._at_rest()

    async def _at_rest(self) -> None:
        """Settled; or dead, and started again."""
        self._arm()
        await self.settle()
        if self._armed is not None and self._armed.holding:
            self._armed = None
            await self._die(self.kills.pop(0))

    # --- what the exchange does ---
    def _chance(self, *what: object) -> int:
        """0 to 99, the same for the same thing."""
        return zlib.crc32(repr((self.seed, *what)).encode()) % 100

    def _available(self, symbol: str, minute: int) -> int | None:
        """Now and then few shares trade at a price."""
        return 3 if self._chance("few", symbol, minute) < 8 else None

    def _thin(self, order: Any) -> str:
        """Some entries meet a part of what they want; nothing is refused."""
        self._shelves[self.symbol_of(order)][order.order_id] = order
        parts, symbol = self.parts(order.tag), self.symbol_of(order)
        entry = parts is not None and parts.leg is Leg.ENTRY
        if parts is not None and entry and self._chance("thin", symbol, parts.rung, parts.cycle) < 10:
            self.partials += 1
            self.venue.thin(max(1, order.quantity // 3))
        return ""

    def symbol_of(self, order: Any) -> str:
        """Of an order of the exchange's own."""
        return str(order.share.key if self.venue.name == "kite" else order.share.symbol)

    def parts(self, tag: str) -> TagParts | None:
        """What a tag of ours says."""
        if tag not in self._read:
            self._read[tag] = self.tags.read(tag)
        return self._read[tag]

    # --- the exchange's book, watched ---
    def _seen(self, told: Any) -> None:
        """An order has changed."""
        order = self.venue.api.exchange.orders[told["order_id"]] if isinstance(told, dict) else told
        symbol = self.symbol_of(order)
        self._shelves[symbol][order.order_id] = order
        net, leaving = self._sums(symbol)
        if leaving > abs(net):
            self.over.append(f"{symbol}: {leaving} on its way out of {net}")
        parts = self.parts(order.tag)
        if self._await_fill is not None and parts is not None and parts.leg is Leg.ENTRY and order.filled:
            self._armed, self._await_fill = Hang(after=self._await_fill.done), None
            self.fail("place", self._armed)

    def _sums(self, symbol: str) -> tuple[int, int]:
        """Net of the day, and what works on its way out."""
        net = leaving = 0
        for order in self._shelves[symbol].values():
            net += order.side * order.filled
            parts = self.parts(order.tag)
            if order.status.upper() not in FINAL and (parts is None or parts.leg is Leg.EXIT):
                leaving += order.left
        return net, leaving

    def naked(self) -> list[str]:
        """Held at the exchange with less on its way out or under GTTs."""
        found = []
        guarded = Counter[str]()
        for guard in self.venue.guards():
            guarded[guard.symbol] += guard.quantity
        for symbol in self._shelves:
            net, leaving = self._sums(symbol)
            if leaving + guarded[symbol] > abs(net):
                self.over.append(f"{symbol}: {leaving} on its way out of {net}, {guarded[symbol]} under GTTs")
            if leaving + guarded[symbol] < abs(net):
                found.append(symbol)
        return found

    def look_around(self) -> None:
        """Once a minute: all that is held is protected."""
        if bare := set(self.naked()) - self.doubted():
            self.bare += [f"{to_ist(self.now):%H:%M:%S} {symbol}" for symbol in sorted(bare)]

    def doubted(self) -> set[str]:
        """Shares with an order of which nobody knows how it ended."""
        return {o.instrument.symbol for o in self.engine.manager.orders if o.unknown}

    # --- death ---
    def _due(self, what: str) -> bool:
        return bool(self.kills) and self.kills[0].what == what and self.now >= self.kills[0].ns

    def _arm(self) -> None:
        """The next such write hangs, and the process is killed while it does."""
        if self._armed is not None or self._await_fill is not None or not self.kills or self.now < self.kills[0].ns:
            return
        kill = self.kills[0]
        if kill.what == "stop":
            self._await_fill = kill
        elif kill.what not in ("prices", "book"):
            self._armed = Hang(after=kill.done)
            self.fail(kill.what, self._armed)

    def unsettled(self) -> list[str]:
        """Who is about to die waits for nothing but what is on the streams."""
        busy = super().unsettled()
        return [one for one in busy if one.startswith("stream")] if self._armed and self._armed.holding else busy

    async def _die_reading(self, kill: Kill) -> None:
        held, hang = asyncio.Event(), Hang()
        hang.on_change = held.set
        self.fail("book", hang)
        self.spawn(self.compare())
        await held.wait()
        await self._die(kill)

    async def _die(self, kill: Kill, unheard: Iterable[str] = ()) -> None:
        manager = self.engine.manager
        hit = {order.instrument.symbol for order in manager.orders if order.writing or order.unknown}
        hit |= {manager.symbol(life) for life in manager.lives.values() if life.gtt and life.gtt.writing}
        death = Death(kill, self.now, frozenset(hit | set(unheard)))
        self.deaths.append(death)
        await self.kill()
        self._tasks.clear()
        await self.start()
        await self._live_on()
        death.bare, death.doubted = frozenset(self.naked()), frozenset(self.doubted())

