"""A Kite frame from its bytes to decisions, beside Kite's own client, which only parses it.

Every instrument is in full mode and has a strategy on minutes; each frame tells new prices. What the client reads and
what the kernel keeps of a frame is compared before anything is timed.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from otrade_bot.brokers.instruments import InstrumentStore
from otrade_bot.config import StrategyConfig
from otrade_bot.config.models import Config
from otrade_bot.core.clock import SECOND, at_ist
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.tokens import slots_for
from otrade_bot.research import bench
from otrade_bot.research.replay import Replay
from otrade_bot.trading import setup

__all__ = ["Market", "agree", "client", "frames", "per_tick"]

SIZES = (1, 10, 100, 500, 3000)
NSE = 1  #: the segment in a token's last byte
_BODY = struct.Struct(">H16I")  #: the length, then 64 bytes; ten levels follow
_LEVEL = struct.Struct(">IIHxx")
_FIELDS = abi.FEED.names or ()
BEGINS = at_ist(bench.DAY, 10, 0)


class Market:
    """``count`` instruments and the frames that tell of them, made as they are asked for."""

    def __init__(self, count: int, *, depth: bool) -> None:
        kernel, shipped = bench.kernel_of()
        config = _config(count)
        rows = setup.build_rows(config, shipped, InstrumentStore(bench.DAY).get)
        run = Replay(config, kernel, rows, shipped, config.calendar).start()
        run.day(bench.DAY, kernel.new_event(0))
        self.kernel, self.run, self.count = kernel, run, count
        self.tokens = [(1000 + i) << 8 | NSE for i in range(count)]
        self.quotes, self.feed = kernel.new(abi.QUOTE, count), kernel.new(abi.FEED, 1)
        self.depth, self.tape = kernel.new(abi.DEPTH, count if depth else 1), kernel.new(abi.TAPED, 1)
        self.slots = slots_for(kernel, self.tokens)
        self.quotes["depth"] = range(1, count + 1) if depth else 0
        self.feed["snapshot"] = 5 * SECOND
        words: Any = self.feed.view(np.int64)
        self._words = memoryview(words)  # a tenth of what a field of a record costs
        self._now, self._at, self._stop = (_FIELDS.index(name) for name in ("now", "at", "stop"))
        self._words[self._now] = BEGINS
        self._arrays = run.state, run.account, run.params, self.quotes, self.depth, self.slots, self.feed
        self._rng = np.random.Generator(np.random.PCG64(5))
        self._prices = np.full(count, 100_000)
        self._frames = 0

    def frame(self) -> bytes:
        """The next one: every price has moved, every volume has grown."""
        self._frames += 1
        self._prices += 5 * self._rng.integers(-2, 3, self.count)
        stamp = (BEGINS // SECOND) + self._frames // 100
        bodies = [
            _body(token, price, self._frames * 10, stamp)
            for token, price in zip(self.tokens, self._prices.tolist(), strict=True)
        ]
        return struct.pack(">H", self.count) + b"".join(bodies)

    def decide(self, frame: bytes) -> None:
        """All of a frame. It returns early for each instrument that intends something, and is called again."""
        words, stop, call = self._words, self._stop, self.kernel.kite_frame
        words[self._at] = 0
        words[self._now] += 10_000_000
        call(*self._arrays, frame, self.run.event, self.run.out, self.tape)
        while words[stop] != abi.S_DONE:
            call(*self._arrays, frame, self.run.event, self.run.out, self.tape)


def _body(token: int, price: int, volume: int, stamp: int) -> bytes:
    words = (token, price, 10, price, volume, 500, 600, price, price + 50, price - 50, price, stamp, 0, 0, 0, stamp)
    levels = (
        _LEVEL.pack(100 + i, price + (5 * (i - 4) if i >= 5 else -5 * (i + 1)), 3) for i in range(10)
    )
    return _BODY.pack(184, *words) + b"".join(levels)


def _config(count: int) -> Config:
    """Half of them follow each strategy; limits as they are shipped, but for the number of positions."""
    base = bench.config_of("ema_crossover", "1m")
    names = [f"NSE:X{i:04d}" for i in range(count)]
    half = (count + 1) // 2
    plans = (("ema_crossover", names[:half], "1m"), ("momentum_ladder", names[half:], "15m"))
    strategies = tuple(
        StrategyConfig.model_validate({"name": name, "instruments": tuple(some), "timeframe": timeframe})
        for name, some, timeframe in plans
        if some
    )
    return replace(base, trading=base.trading.model_copy(update={"strategies": strategies}))


def frames() -> list[bench.Row]:
    """Microseconds a frame."""
    rows = [_row(f"frame_{size}", size) for size in SIZES]
    return [*rows, _row("frame_500_depth", 500, depth=True)]


def per_tick(size: int) -> bench.Row:
    """ns a packet, of frames of ``size``."""
    market = Market(size, depth=False)
    samples = [1e3 * _timed(market.decide, _fresh(market, size)) / size for _ in range(9)]
    return bench.Row.of(f"frame_{size}_tick", "ns", samples, "a packet")


def _row(name: str, size: int, *, depth: bool = False) -> bench.Row:
    market, parse = Market(size, depth=depth), client()
    agree(market, parse)
    ours = [_timed(market.decide, _fresh(market, size)) for _ in range(9)]
    theirs = [_timed(parse, _fresh(market, size, few=True)) for _ in range(5)]
    what = "all ten levels kept" if depth else "quote fields and best bid and ask kept"
    each = 1e3 * sorted(ours)[len(ours) // 2] / size
    row = bench.Row.of(name, "µs", ours, f"{size} full packets to decisions, {what}; {each:.3g} ns a tick")
    return bench.with_peers(row, {"kiteconnect (parse alone)": sorted(theirs)[len(theirs) // 2]})


def _fresh(market: Market, size: int, *, few: bool = False) -> list[bytes]:
    """Some milliseconds' worth; not more than the processor's cache holds, as what has just come is there."""
    count = max(3, min(400, (400 if few else 2_000) // size))
    return [market.frame() for _ in range(count)]


def _timed(job: Callable[[bytes], object], found: Sequence[bytes]) -> float:
    """Microseconds a frame."""
    for frame in found:
        sum(frame[::64])  # it has just come from the network: its bytes are near
    began = time.perf_counter()
    for frame in found:
        job(frame)
    return 1e6 * (time.perf_counter() - began) / len(found)


def client() -> Callable[[bytes], Any]:
    from kiteconnect import KiteTicker

    parse: Callable[[bytes], Any] = KiteTicker.__new__(KiteTicker)._parse_binary
    return parse


def agree(market: Market, parse: Callable[[bytes], Any]) -> None:
    """Raises ValueError where the two read one frame differently."""
    frame = market.frame()
    market.decide(frame)
    for i, told in enumerate(parse(frame)):
        kept = market.quotes[i]
        mine = [int(kept[name]) for name in ("token", "ltp", "told", "open", "high", "low", "bid", "ask")]
        best = told["depth"]["buy"][0]["price"], told["depth"]["sell"][0]["price"]
        prices = [told["last_price"], *(told["ohlc"][name] for name in ("open", "high", "low")), *best]
        paise = [round(100 * price) for price in prices]
        if mine != [told["instrument_token"], paise[0], told["volume_traded"], *paise[1:]]:
            raise ValueError(f"packet {i}: kiteconnect reads {told}, the kernel keeps {mine}")
