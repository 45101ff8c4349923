"""A whole engine on a table: real kernel, real settings, a clock that stands still, a diary in memory."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from otrade_bot.brokers.base import BrokerInterface
from otrade_bot.brokers.paper import PaperBroker, PaperSettings
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
from otrade_bot.core.clock import SECOND, ManualClock, at_ist
from otrade_bot.core.errors import JournalException
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.model import Instrument, Product
from otrade_bot.kernel.compile import Kernel
from otrade_bot.strategies.loader import TradingStrategy, build_kernel, load_strategy
from otrade_bot.trading import setup
from otrade_bot.trading.engine import LiveTradingEngine
from otrade_bot.trading.recover import HistoryTick
from otrade_bot.trading.rungs import RungLife

#: A regular Wednesday.
DAY = date(2026, 9, 16)
OPEN = at_ist(DAY, 9, 15)
SHARE = Instrument("NSE:ALPHA", 1)
OTHER = Instrument("NSE:BRAVO", 2)
AUCTIONED = Instrument("NSE:CHARLIE", 3, closing_auction=True)
#: Reacts to the first tick against a fall, and keeps stop and target out of the way of small moves.
QUICK = {"fast": 2, "slow": 3, "stop_percent": 2.0, "target_percent": 4.0}
LADDER = {"ema_fast": 2, "ema_mid": 3, "ema_slow": 4, "ema_trend": 5, "lookback": 2}
RISK = {"cooldown_seconds": 0, "stale_price_seconds": 600, "duplicate_window_seconds": 0, "trail_interval_seconds": 1}


@cache
def kernel() -> Kernel:
    """Both shipped strategies, in the order that every test uses."""
    return build_kernel([load_strategy("ema_crossover"), load_strategy("momentum_ladder")])


@cache
def shipped(names: tuple[str, ...]) -> dict[str, TradingStrategy]:
    """Checked once: a property makes thousands of benches."""
    return {name: load_strategy(name) for name in names}


_kernel = kernel


class Diary:
    """A journal in memory. ``broken`` makes it refuse."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.broken = False

    def append(self, event: Event, *, durable: bool = False) -> None:
        if self.broken:
            raise JournalException("diary: no space left")
        self.events.append(event)


def run(call: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never has to wait."""
    try:
        call.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("the call waits")


def config(
    strategy: str = "ema_crossover", symbols: Iterable[str] = (SHARE.symbol,), timeframe: str = "tick",
    params: dict[str, Any] | None = None, product: Product = Product.MIS, capital: int = 3_000,
    risk: dict[str, Any] | None = None, max_positions: int = 90, market: MarketConfig | None = None,
) -> Config:  # fmt: skip
    """Settings for one strategy, as a user's files would give them."""
    chosen = QUICK if strategy == "ema_crossover" else LADDER
    given = StrategyConfig.model_validate(
        {
            "name": strategy, "instruments": tuple(symbols), "timeframe": timeframe,
            "params": {**chosen, **(params or {})},
        }
    )
    trading = TradingConfig(
        strategies=(given,), product=product, capital_per_position=capital, max_positions=max_positions
    )
    return Config(
        trading, RiskConfig(**{**RISK, **(risk or {})}), BrokerConfig(), market or MarketConfig(), ChargesConfig(),
        TelegramConfig(),
    )  # fmt: skip


class Bench:
    """One engine. ``make`` is given the bench (its clock is there already) and makes the broker."""

    def __init__(
        self, make: Callable[[Bench], BrokerInterface], settings: Config | None = None,
        instruments: Iterable[Instrument] = (SHARE,), start: bool = True, day: date = DAY,
        kernel: Kernel | None = None, strategies: dict[str, TradingStrategy] | None = None,
    ) -> None:  # fmt: skip
        self.config = settings or config()
        self.instruments = {i.symbol: i for i in instruments}
        self.day = day
        self.clock = ManualClock(at_ist(day, 9, 15))
        self.diary = Diary()
        strategies = strategies or dict(shipped(tuple(given.name for given in self.config.trading.strategies)))
        self.rows = setup.build_rows(self.config, strategies, self.instruments.__getitem__, self.instruments)
        self.broker: Any = make(self)
        self.engine = LiveTradingEngine(
            config=self.config, kernel=kernel or _kernel(), rows=self.rows, strategies=strategies, broker=self.broker,
            clock=self.clock, calendar=self.config.calendar, journal=self.diary,
        )  # fmt: skip
        self.manager = self.engine.manager
        if isinstance(self.broker, PaperBroker):
            self.broker.follow(self.engine.quote_of)
            self.engine.add_price_listener(self.broker.on_price, self.broker.resume, self.broker.restless)
        if start:
            if isinstance(self.broker, PaperBroker):
                self.broker.start_day(day)
            self.engine.start_day(day)

    @classmethod
    def paper(cls, path: Path, settings: Config | None = None, *, paper: dict[str, Any] | None = None,
              **more: Any) -> Bench:  # fmt: skip
        """On the paper broker with its book at ``path``."""
        return cls(lambda bench: bench._paper(path, paper or {}), settings, **more)

    def _paper(self, path: Path, settings: dict[str, Any]) -> PaperBroker:
        return PaperBroker(
            path, self.clock, self.instruments.__getitem__,
            lambda instrument, kind, ns: self.engine.market_fault(instrument, kind, ns),
            PaperSettings(**settings),
            lambda symbol, product, side, value: self.engine.kernel.charge_one(
                self.engine.params, self.engine.by_symbol[symbol], int(side), value
            ),
        )  # fmt: skip

    # --- time and prices ---
    @property
    def now(self) -> int:
        return self.clock.now_ns()

    def price(self, price: int, seconds: float = 1, row: int = 0, volume: int = 0) -> bool:
        """The next price of a row, ``seconds`` later."""
        self.clock.advance_to(self.now + int(seconds * SECOND))
        return self.engine.on_price(row, self.now, price, volume)

    def prices(self, *prices: int, row: int = 0) -> None:
        for price in prices:
            self.price(price, row=row)

    def at(self, hour: int, minute: int = 0, second: int = 0) -> None:
        """A minute's timer at that time."""
        self.clock.advance_to(at_ist(self.day, hour, minute, second))
        self.engine.on_time(self.now)

    def pulse(self, seconds: float = 1) -> None:
        self.clock.advance_to(self.now + int(seconds * SECOND))
        self.engine.pulse(self.now)

    def feed(self, steps: Iterable[HistoryTick]) -> None:
        """Prices and minutes (row -1) of a stream."""
        for ts, row, price, volume in steps:
            self.clock.advance_to(ts)
            if row >= 0:
                self.engine.on_price(row, ts, price, volume)
            else:
                self.engine.on_time(ts)

    def signal(self, base: int = 10_000, row: int = 0, up: bool = True) -> None:
        """A fall and a turn, which ends at ``base``: ``QUICK`` wants to buy there (``up`` False: to sell)."""
        sign = 1 if up else -1
        self.prices(*(base - sign * step for step in (5, 10, 20, 30, 40)), base, row=row)

    # --- what came of it ---
    def life(self, rung: int = 0, row: int = 0) -> RungLife:
        return self.manager.lives[row, rung]

    def events(self, kind: EventKind) -> list[Event]:
        return [event for event in self.diary.events if event.kind is kind]

    @property
    def alerts(self) -> list[str]:
        return [event.text for event in self.events(EventKind.ALERT) if event.severity is Severity.RISK]

    def codes(self) -> list[str]:
        """Of the refusals."""
        return [str(event.data["code"]) for event in self.events(EventKind.REFUSAL)]

    def rung(self, name: str, rung: int = 0, row: int = 0) -> int:
        """A rung's number in the kernel."""
        return int(self.engine.state[row][name][rung])
