"""A frame that compiled code takes leads to what its prices lead to one by one: that is the specification."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from harness.bench import DAY, Bench, config, kernel
from hypothesis import given, settings
from hypothesis import strategies as st
from upstox_client.feeder.proto.MarketDataFeedV3_pb2 import FeedResponse

from otrade_bot.brokers.factory import BrokerFactory
from otrade_bot.brokers.middleware import UnifiedBrokerMiddleware
from otrade_bot.config.models import Config, StrategyConfig
from otrade_bot.config.secrets import Secrets
from otrade_bot.core.clock import MINUTE, SECOND, ManualClock, at_ist
from otrade_bot.core.model import Instrument, InstrumentKind
from otrade_bot.kernel import compile as kernel_compile
from otrade_bot.kernel.compile import Kernel
from otrade_bot.service.daytape import DayTape
from otrade_bot.service.live_feed import LiveFeed
from otrade_bot.strategies.loader import TradingStrategy, load_strategy
from tests.harness.recorder import Recorder, again
from tests.venues.kite_stream import framed, full, index_full, ltp, quote

SHARES = tuple(Instrument(f"NSE:{name}", 256 * number + 1) for number, name in enumerate(("A", "B", "C"), start=1))
WATCHED = Instrument("NSE:W", 256 * 9 + 1)
INDEX = Instrument("NSE:NIFTY 50", 256 * 8 + 9, InstrumentKind.INDEX)
ALL = (*SHARES, WATCHED, INDEX)
STRANGER = 256 * 77 + 1  #: a token that nobody asked for
#: A strategy that cannot stand one price.
MOODY = '''"""For a test."""

from otrade_bot.strategies.base import Rung, StrategyParams

STATE = {}


class PARAMS(StrategyParams):
    stop_percent: float = 2.0
    target_percent: float = 4.0

    def warmup(self) -> int:
        return 1

    def rung_table(self) -> tuple[Rung, ...]:
        return (Rung(self.stop_percent, self.target_percent, False, 0.0),)


def update(s, p):
    if s.ltp == 100.2 and s.closes[1000] > 0.0:
        return


def should_buy(s, p):
    return s.ltp > 100.0


def should_sell(s, p):
    return s.ltp < 99.0
'''


@dataclass(frozen=True)
class Listing:
    instruments: dict[str, Instrument]

    @property
    def keys(self) -> dict[str, str]:
        return {symbol: f"NSE|{one.token}" for symbol, one in self.instruments.items()}


@cache
def account(name: str) -> UnifiedBrokerMiddleware:
    """A real one, of whose connection only the frames are needed."""
    given = {"kite_api_key": "key", "kite_root": "http://127.0.0.1:9", "upstox_root": "http://127.0.0.1:9"}
    secrets = Secrets(_env_file=None, **given)  # type: ignore[arg-type]
    return BrokerFactory.create_broker(name, secrets, access_token="token", clock=ManualClock(0))


class World:
    """A day's engine on paper behind a feed, by one way or the other."""

    def __init__(self, folder: Path, way: str, given: Config, *, of: Kernel | None = None,
                 strategies: dict[str, TradingStrategy] | None = None, tape: bool = True,
                 broker: str = "kite") -> None:  # fmt: skip
        self.bench = Bench.paper(
            folder / way, given, instruments=ALL, kernel=of or kernel(), strategies=strategies, start=False
        )
        self.line = account(broker)
        self.streams: Any = self.line.streams
        self.streams.learn(Listing({one.symbol: one for one in ALL}))
        self.streams.subscribe([one.symbol for one in ALL])
        self.feed = LiveFeed(self.line, clock=self.bench.clock, calendar=given.calendar)
        if way == "one by one":
            self.line.on_frame = lambda frame: False
        self.line._error = None
        self.bench.broker.start_day(DAY)
        self.bench.engine.start_day(DAY)
        self.tape = DayTape(self.bench.engine) if tape else None
        self.feed.bind(self.bench.engine)
        self.recorder = Recorder()
        self.bench.engine.deck.tape = self.recorder
        self.wire = (self.streams._stream if broker == "kite" else self.streams._prices).wire
        self.wire.dropped = 0
        self.python = 0  #: prices that came to Python
        inner = self.bench.engine._one_price

        def count(*told: int) -> None:
            self.python += 1
            inner(*told)

        self.bench.engine._one_price = count  # type: ignore[method-assign]

    def hears(self, frame: bytes) -> None:
        self.wire._take(frame, text=False)

    def do(self, what: Callable[..., object], *given: object) -> None:
        what(*given)

    def play(self, steps: list[Callable[[World], None]]) -> None:
        for step in steps:
            step(self)

    @property
    def told(self) -> dict[str, Any]:
        """All that came of it."""
        engine, book = self.bench.engine, self.bench.broker.book
        line = self.feed._lines[0]
        return {
            "events": self.bench.diary.events, "state": engine.state.tobytes(), "account": engine.account.tobytes(),
            "params": engine.params.tobytes(), "orders": engine.orders(), "trades": engine.trades(),
            "rows": engine.rows(), "status": engine.status(), "book": book.state(),
            "desks": {symbol: book.desk(symbol).mark() for symbol in engine.by_symbol},
            "candles": {symbol: self.tape.candles(symbol, 1) for symbol in engine.by_symbol} if self.tape else {},
            "curve": self.tape.curve() if self.tape else [],
            "last": {symbol: self.feed.ltp.get(symbol) for symbol in self.feed.ltp},
            "line": (line.heard_ns, line.prices), "dropped": self.wire.dropped, "raised": repr(self.line._error),
            "quotes": {
                row.index: (q.ts, q.told, q.more, q.has_more, q.before, q.before_ts)
                for row in engine.table for q in [row.quote]
            },
        }  # fmt: skip


def both(settings_: Config, steps: list[Callable[[World], None]], **more: Any) -> tuple[World, World]:
    with ExitStack() as stack:
        worlds = []
        for way in ("in frames", "one by one"):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            world = World(folder, way, settings_, **more)
            stack.callback(world.bench.broker.close)
            names = (f"{number:06x}" for number in itertools.count())
            with patch("otrade_bot.trading.approvals.secrets.token_hex", partial(next, names)):
                world.play(steps)
            worlds.append(world)
        quick, slow = worlds
        one, other = quick.told, slow.told
        for name, found in one.items():
            assert found == other[name], name
        recorded_whole(quick)
        return quick, slow


def recorded_whole(world: World) -> None:
    """What was recorded of it leads to the same state and to the same intents."""
    told, deck = world.recorder, world.bench.engine.deck
    then, said = again(told.told, deck.kernel, deck.rows)
    for one, other in zip((then.state, then.account), (deck.state, deck.account), strict=True):
        assert one.tobytes() == other.tobytes()
    assert said.intents_told == told.intents_told


# --- what may come ------------------------------------------------------------------------------------------------


PRICES = st.one_of(st.integers(9_700, 10_300), st.sampled_from([0, 1, 9_999, 10_000, 10_001, 20_000, 12_000]))
STAMPS = st.sampled_from([0, 0, -1, -4, -6, -25, 90])  #: seconds from now


def traded(now: int) -> int:
    """The day's volume at that moment: it grows."""
    return max(1, (now - at_ist(DAY, 9, 15)) // SECOND * 20)


@st.composite
def packet(draw: st.DrawFn) -> Callable[[int], bytes]:
    """A body as it is at a moment."""
    token = draw(st.sampled_from([*(one.token for one in ALL), STRANGER]))
    price, more, stamp = draw(PRICES), draw(st.integers(-30, 60)), draw(STAMPS)
    mute = draw(st.sampled_from([False, False, False, False, True]))
    kind = draw(st.sampled_from(["full", "full", "full", "quote", "ltp", "index", "odd"]))

    def body(now: int) -> bytes:
        seconds = now // SECOND + stamp if stamp else 0
        volume = 0 if mute else max(0, traded(now) + more)
        return {
            "full": lambda: full(token, price, volume, seconds), "quote": lambda: quote(token, price, volume),
            "ltp": lambda: ltp(token, price), "index": lambda: index_full(token, price, seconds),
            "odd": lambda: b"\x00" * 17,
        }[kind]()  # fmt: skip

    return body


@st.composite
def frame_step(draw: st.DrawFn) -> Callable[[World], None]:
    bodies = draw(st.lists(packet(), min_size=1, max_size=12))
    wait = draw(st.sampled_from([0, 1, SECOND // 3, SECOND, 2 * SECOND, 20 * SECOND, 61 * SECOND]))
    torn = draw(st.sampled_from([0, 0, 0, 0, 0, 1, 7]))

    def step(world: World) -> None:
        world.bench.clock.advance_to(world.bench.now + wait)
        frame = framed(*(body(world.bench.now) for body in bodies))
        world.hears(frame[: len(frame) - torn])

    return step


def _market(seed: int) -> Callable[[World], None]:
    """Some frames of a market as it is mostly: small moves, growing volumes, several prices of one row in a frame."""

    def step(world: World) -> None:
        chance, now = Random(seed), world.bench.now
        drift, at = chance.choice([-8, 0, 8]), 10_000 + chance.randrange(-60, 60)
        for _ in range(chance.randrange(4, 14)):
            world.bench.clock.advance_to(now := now + chance.choice([1, SECOND // 2, SECOND, 3 * SECOND, 15 * SECOND]))
            at += drift
            bodies = [
                full(chance.choice(ALL).token, at + chance.randrange(-15, 16), traded(now) + chance.randrange(9), 0)
                for _ in range(chance.randrange(1, 12))
            ]
            world.hears(framed(*bodies))

    return step


def _answer(world: World, how: str) -> None:
    """Of a person, to the oldest question."""
    for ref in list(world.bench.engine.approvals.waiting)[:1]:
        (world.bench.engine.approve if how == "yes" else world.bench.engine.skip)(ref, "owner")


def _flat(world: World) -> None:
    for row in range(3):
        world.bench.engine.exit_row(row)


def _buy_by_hand(world: World) -> None:
    """The market falls and turns, frame by frame."""
    for price in (9_990, 9_980, 9_970, 9_960, 10_000):
        world.bench.clock.advance_to(world.bench.now + SECOND)
        now = world.bench.now
        world.hears(framed(*(full(one.token, price, traded(now), 0) for one in SHARES)))


OTHERS: list[Callable[[World], None]] = [
    lambda world: world.bench.engine.on_time(world.bench.now),
    lambda world: world.bench.pulse(1),
    lambda world: world.hears(b"\x00"),
    lambda world: world.hears(b""),
    lambda world: world.do(world.bench.engine.pause, "a"),
    lambda world: world.do(world.bench.engine.resume, "a"),
    lambda world: world.bench.engine.exits_only(1),
    lambda world: world.bench.clock.advance_to(at_ist(DAY, 15, 5)),
    _flat, _buy_by_hand, _buy_by_hand, partial(_answer, how="yes"), partial(_answer, how="no"),
]  # fmt: skip
MARKETS = st.integers(0, 1 << 30).map(_market)
STEPS = st.lists(st.one_of(frame_step(), MARKETS, MARKETS, st.sampled_from(OTHERS)), min_size=2, max_size=12)
SYMBOLS = tuple(one.symbol for one in SHARES)


@given(
    STEPS, st.sampled_from(["tick", "1m"]), st.sampled_from(["ema_crossover", "momentum_ladder"]),
    st.sampled_from([0, 300]), st.booleans(), st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_any_frames_lead_to_what_their_prices_lead_to_one_by_one(
    steps: list[Callable[[World], None]], timeframe: str, strategy: str, loss: int, tape: bool, ask: bool
) -> None:
    risk = {"spike_percent": 5.0, "spike_confirmations": 3, "daily_loss_limit": loss}
    if strategy == "momentum_ladder":
        timeframe = "1m"
    given_ = config(strategy, SYMBOLS, timeframe, risk=risk)
    wish = given_.trading.approval.model_copy(update={"ask": ask})
    both(replace(given_, trading=given_.trading.model_copy(update={"approval": wish})), steps, tape=tape)


@cache
def moody() -> tuple[Kernel, dict[str, TradingStrategy]]:
    folder = Path(tempfile.mkdtemp())
    (folder / "moody.py").write_text(MOODY)
    found = load_strategy("moody", folder)
    return kernel_compile.load([found.source], interpreted=True), {"moody": found}


@given(STEPS)
@settings(max_examples=15, deadline=None)
def test_a_strategy_that_raises_amid_a_frame_costs_its_row_alone(steps: list[Callable[[World], None]]) -> None:
    """Interpreted, where an index out of bounds raises as it does in compiled code."""
    of, strategies = moody()
    plain = config(symbols=SYMBOLS)
    chosen = StrategyConfig.model_validate({"name": "moody", "instruments": SYMBOLS, "timeframe": "tick"})
    given_ = replace(plain, trading=plain.trading.model_copy(update={"strategies": (chosen,)}))

    def fatal(world: World) -> None:
        world.bench.clock.advance_to(world.bench.now + SECOND)
        prices, volume = zip(SHARES, (10_010, 10_020, 10_030), strict=True), traded(world.bench.now)
        world.hears(framed(*(full(one.token, price, volume, 0) for one, price in prices)))

    quick, _ = both(given_, [fatal, *steps, fatal], of=of, strategies=strategies, tape=False)
    assert [int(sid) for sid in quick.bench.engine.params["sid"][:3]][1] == 0
    assert any("moody failed" in text for text in quick.bench.alerts)


def _upstox(seed: int) -> Callable[[World], None]:
    """Prices of Upstox's, an instrument a frame: of several the official class does not keep the order."""

    def step(world: World) -> None:
        chance, now, drift = Random(seed), world.bench.now, Random(seed).choice([-8, 0, 8])
        for turn in range(chance.randrange(5, 40)):
            world.bench.clock.advance_to(now := now + chance.choice([1, SECOND // 2, 2 * SECOND, 9 * SECOND]))
            told, one = FeedResponse(), chance.choice(ALL)
            body = told.feeds[f"NSE|{one.token}"].fullFeed
            known = body.indexFF if one is INDEX else body.marketFF
            known.ltpc.ltp = (10_000 + drift * turn + chance.randrange(-15, 16)) / 100
            known.ltpc.ltt = chance.choice([0, now // 1_000_000, now // 1_000_000 - 25_000])
            if one is not INDEX:
                known.vtt = max(0, traded(now) + chance.randrange(-5, 30))
            frame = told.SerializeToString()
            world.hears(frame[: len(frame) - chance.choice([0] * 9 + [3])])

    return step


@given(st.lists(st.one_of(st.integers(0, 1 << 30).map(_upstox), st.sampled_from(OTHERS[:2])), min_size=1, max_size=5))
@settings(max_examples=20, deadline=None)
def test_frames_of_upstox_lead_to_what_their_prices_lead_to_one_by_one(steps: list[Callable[[World], None]]) -> None:
    quick, slow = both(config(symbols=SYMBOLS, timeframe="tick"), steps, broker="upstox")
    assert quick.python <= slow.python


# --- what stays in compiled code --------------------------------------------------------------------------------


def quiet(world: World, frames: int = 50) -> int:
    """Prices of all rows that nobody trades on; how many of them came to Python."""
    before = world.python
    for turn in range(frames):
        world.bench.clock.advance_to(world.bench.now + SECOND)
        world.hears(framed(*(full(one.token, 10_000 + turn % 3, traded(world.bench.now), 0) for one in ALL)))
    return world.python - before


@pytest.fixture
def watching(tmp_path: Path) -> World:
    made = World(tmp_path, "in frames", config(symbols=SYMBOLS, timeframe="1m"))
    made.bench.clock.advance_to(at_ist(DAY, 9, 30))
    quiet(made, 1)
    return made


def test_prices_of_quiet_rows_never_come_to_python(watching: World) -> None:
    before = watching.bench.engine.counters.ticks
    assert quiet(watching) == 0
    assert watching.bench.engine.counters.ticks - before == 50 * len(ALL)
    assert watching.feed.ages()[0].prices == 51 * len(ALL)
    assert all(row.ticks == 51 for row in watching.bench.engine.table)


def test_what_python_has_written_is_recorded_before_the_frame_that_follows(watching: World) -> None:
    quiet(watching, 2)
    watching.bench.engine.exits_only(1)
    assert quiet(watching, 2) == 0
    recorded_whole(watching)


def test_the_first_price_of_a_row_in_a_minute_comes_to_python_for_the_charts(watching: World) -> None:
    watching.bench.clock.advance_to(watching.bench.now + MINUTE)
    assert quiet(watching, 1) == len(ALL)
    assert quiet(watching, 10) == 0


def test_prices_of_what_is_held_come_to_python_and_no_others(tmp_path: Path) -> None:
    world = World(tmp_path, "in frames", config(symbols=(SYMBOLS[0],), timeframe="tick"))
    world.bench.clock.advance_to(at_ist(DAY, 9, 30))
    quiet(world, 1)
    for price in (9_990, 9_980, 9_970, 9_960, 10_000):
        world.bench.clock.advance_to(world.bench.now + SECOND)
        world.hears(framed(full(SHARES[0].token, price, traded(world.bench.now), 0)))
    assert world.bench.engine.positions()
    assert quiet(world, 10) == 10
    with patch.object(world.bench.engine, "_restless", [tuple]):  # a broker that is no paper one asks for nothing
        world.bench.engine.post(lambda: None)
        assert quiet(world, 5) == 5
    world.bench.engine.pause("the test")
    world.bench.engine.exit_row(0)
    quiet(world, 1)
    assert not world.bench.engine.positions()
    assert quiet(world, 10) == 0


def test_a_token_that_stands_for_two_symbols_brings_prices_one_by_one(watching: World) -> None:
    alias = Instrument("NSE:A-EQ", SHARES[0].token)
    watching.streams.learn(Listing({one.symbol: one for one in (*ALL, alias)}))
    watching.streams.subscribe([alias.symbol])
    assert quiet(watching, 3) == 3 * len(ALL)
    assert watching.feed.ltp.price(alias.symbol) == watching.feed.ltp.price(SYMBOLS[0]) > 0


def test_what_is_heard_and_not_traded_is_known_too(watching: World) -> None:
    other = Instrument("NSE:OTHER", 256 * 55 + 1)
    watching.streams.learn(Listing({one.symbol: one for one in (*ALL, other)}))
    watching.streams.subscribe([other.symbol])
    watching.hears(framed(full(other.token, 12_345, 7, 0)))
    assert watching.feed.ltp.price(other.symbol) == 12_345
    last = watching.feed.ltp.get(other.symbol)
    assert last is not None
    assert last.heard_ns == watching.bench.now
    watching.feed.release()
    assert watching.feed.ltp.price(other.symbol) == 12_345


def test_a_frame_that_comes_while_another_one_is_handled_takes_nothing_from_it(tmp_path: Path) -> None:
    found = []
    for way in ("in frames", "one by one"):
        world = World(tmp_path, way, config("ema_crossover", SYMBOLS, "tick"), tape=False)
        heard: list[tuple[str, int]] = []

        def listener(symbol: str, ts: int, price: int, volume: int, to: World = world, heard: Any = heard) -> None:
            heard.append((symbol, price))
            if len(heard) == 2:
                to.hears(framed(*(full(one.token, 10_030, traded(to.bench.now) + 90, 0) for one in SHARES)))

        world.bench.engine.add_price_listener(listener)
        volume = traded(world.bench.now)
        world.hears(framed(*(full(SHARES[i % 3].token, 10_000 + i, volume + 100 + i, 0) for i in range(6))))
        found.append((heard, world.bench.engine.state.tobytes(), repr(world.line._error)))
        world.bench.broker.close()
    assert found[0] == found[1]
    assert len(found[0][0]) > 6, "what was left of the first one came all the same"
