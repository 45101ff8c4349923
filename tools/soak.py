"""A market too big for the service, for as long as you like: does it lose anything, does it grow, how late is it?

    python tools/soak.py --shares 3000 --rate 10000 --minutes 60

The real ``run`` in mode live, over real sockets on 127.0.0.1: Kite's frames in, a bot beside it. At the end the prices
stop and every one that was sent must have been counted where it belongs; exit 1 where one was not. The figures are
printed, and are no judgement: they depend on the machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from otrade_bot.brokers.feeds import BarFile
from otrade_bot.core.clock import IST, MINUTE, at_ist
from otrade_bot.research.bench_live import Memory, Run, live_run, morning
from otrade_bot.research.bench_venue import symbols
from otrade_bot.service.past_bars import FOLDER, PastBars

BARS = {"1m": (375, MINUTE), "15m": (250, 15 * MINUTE)}
SETTLED = 20.0  #: s after the first decision from which memory counts
PATIENCE = 60.0  #: s for what is under way to be counted

#: Looks from inside: how long each frame took to be decided, how late the loop is, what was counted; told as a file.
BESIDE = r"""
import array, asyncio, atexit, json, os, time
_frames, _lags, _feeds = array.array("d"), array.array("d"), []
def _told():
    feed = _feeds[-1] if _feeds else None
    engine = feed._engine if feed else None
    found = {"frames": list(_frames), "lags": list(_lags)}
    if engine is not None:
        head = engine.deck.head
        names = "frames packets unknown misshapen torn told used".split()
        found["head"] = {name: int(getattr(head, name)) for name in names}
        found["drops"] = [int(n) for n in engine.state["drops"].sum(axis=0)]
        found["heard"] = sum(line.prices for line in feed._lines)
        found["positions"], found["signals"] = len(engine.positions()), engine.counters.signals
    path = os.environ["OTRADE_STATE_DIR"] + "/soak.json"
    with open(path + ".new", "w") as file:
        json.dump(found, file)
    os.replace(path + ".new", path)
def _trades():
    """A price has been acted on: starting is over."""
    engine = _feeds[-1]._engine if _feeds else None
    return engine is not None and engine.counters.ticks > 0
def _look():
    from otrade_bot.service.app import Service
    from otrade_bot.service.live_feed import LiveFeed
    from otrade_bot.brokers.middleware import UnifiedBrokerMiddleware
    frame, run, made = LiveFeed._frame, Service.run, LiveFeed.__init__
    def init(self, *args, **kwargs):
        made(self, *args, **kwargs)
        _feeds.append(self)
    def timed(self, line, data):
        began = time.perf_counter()
        try:
            return frame(self, line, data)
        finally:
            if _trades():
                _frames.append(1e6 * (time.perf_counter() - began))
    async def lag():
        last = time.monotonic()
        while True:
            due = time.monotonic() + 0.02
            await asyncio.sleep(0.02)
            now = time.monotonic()
            if _trades():
                _lags.append(1e3 * max(0.0, now - due))
            if now - last > 2:
                last = now
                _told()
    async def both(self):
        task = asyncio.ensure_future(lag())
        try:
            await run(self)
        finally:
            task.cancel()
    LiveFeed.__init__, LiveFeed._frame, Service.run = init, timed, both
_look()
"""


@dataclass(frozen=True)
class Soak:
    """µs a frame, ms of the loop, MB, MB an hour."""

    shares: int
    rate: int
    minutes: float
    sent: int
    heard: int
    acted_on: int
    refused: dict[str, int]
    frames: int
    prices_a_frame: float
    frame_p50: float
    frame_p99: float
    frame_worst: float
    loop_p99: float
    loop_worst: float
    memory_first: float
    memory_last: float
    memory_peak: float
    memory_slope: float
    signals: int

    @property
    def lost(self) -> int:
        """Prices of which nobody knows what became."""
        return self.sent - self.acted_on - sum(self.refused.values())


def soak(shares: int, rate: int, minutes: float, *, every: float = 5.0) -> Soak:
    """Raises BrokerException where the service does not come up."""
    with tempfile.TemporaryDirectory() as name:
        state = Path(name) / "state"
        _past(state, shares)
        with live_run(shares=shares, rate=rate, state=state, before=BESIDE) as run:
            print(f"first price decided after {run.first_s:.2f} s", file=sys.stderr)
            memory = _watched(run, minutes, every)
            sent = run.quiet()
            found = _counted(state, sent)
    return _summary(shares, rate, minutes, sent, found, memory)


def _watched(run: Run, minutes: float, every: float) -> list[Memory]:
    memory: list[Memory] = []
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        time.sleep(min(every, max(0.1, end - time.monotonic())))
        memory.append(run.memory())
        print(f"{memory[-1].seconds:7.1f} s  resident {memory[-1].resident:6.1f} MB", file=sys.stderr, flush=True)
    return memory


def _counted(state: Path, sent: int) -> dict[str, Any]:
    """What the service has counted once it has had all of them, or the last that it said."""
    end, found = time.monotonic() + PATIENCE, {}
    while time.monotonic() < end:
        time.sleep(0.5)
        try:
            found = json.loads((state / "soak.json").read_bytes())
        except (OSError, ValueError):
            continue
        if found.get("heard", 0) >= sent:
            time.sleep(2.5)  # said every two seconds: one more, when all is quiet
            return dict(json.loads((state / "soak.json").read_bytes()))
    return dict(found)


def _summary(
    shares: int, rate: int, minutes: float, sent: int, found: dict[str, Any], memory: list[Memory]
) -> Soak:
    from otrade_bot.kernel.state import TICK_REASONS

    frames, lags = np.array(found["frames"]), np.array(found["lags"])
    steady = [one for one in memory if one.seconds - memory[0].seconds >= SETTLED] or memory
    seconds, resident = ([getattr(one, name) for one in steady] for name in ("seconds", "resident"))
    slope = 3600 * float(np.polyfit(seconds, resident, 1)[0]) if len(steady) > 2 else float("nan")
    drops = dict(zip(TICK_REASONS, found["drops"], strict=True))
    head = found["head"]
    refused = {name: count for name, count in drops.items() if name != "used" and count}
    refused |= {name: head[name] for name in ("unknown", "misshapen", "torn") if head[name]}
    return Soak(
        shares, rate, minutes, sent, found["heard"], drops["used"], refused, len(frames),
        found["heard"] / max(1, len(frames)), *np.percentile(frames, (50, 99, 100)).tolist(),
        *np.percentile(lags, (99, 100)).tolist(), steady[0].resident, steady[-1].resident,
        max(one.peak for one in memory), slope, found["signals"],
    )  # fmt: skip


def _past(state: Path, shares: int) -> None:
    """The days before, as an earlier process would have fetched them: at a broker's pace it takes half an hour."""
    day = morning(datetime.now(IST)).date()
    before, rng, made = day - timedelta(days=1), np.random.Generator(np.random.PCG64(3)), {}
    for number, symbol in enumerate(symbols(shares)):
        asked = ("1m", "15m")[number % 2]
        count, length = BARS[asked]
        ends = at_ist(before, 15, 30) - length * np.arange(count - 1, -1, -1, dtype=np.int64)
        close = 100_000 + 1_000 * (number % 400) + 5 * np.cumsum(rng.integers(-4, 5, count))
        columns = (close, close + 20, close - 20, close, np.full(count, 1_000))
        made[symbol] = (asked, BarFile(symbol, "kite", ends, *columns, count, length))
    PastBars(state / FOLDER).keep(day, made)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shares", type=int, default=3000)
    parser.add_argument("--rate", type=int, default=10_000, help="prices a second")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = soak(args.shares, args.rate, args.minutes)
    said = {**asdict(found), "lost": found.lost}
    print(json.dumps(said) if args.json else "\n".join(f"{name:>16}  {_text(value)}" for name, value in said.items()))
    return 0 if found.lost == 0 and found.sent == found.heard else 1


def _text(value: object) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    raise SystemExit(main())
