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

#: What looks from inside: see there.
INSIDE = Path(__file__).with_name("soak_inside.py").read_text(encoding="utf-8")


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
        with live_run(shares=shares, rate=rate, state=state, before=INSIDE) as run:
            print(f"first price decided after {run.first_s:.2f} s", file=sys.stderr)
            memory = _watched(run, minutes, every)
            sent = run.quiet()
            found = _counted(state, sent)
        found |= json.loads((state / "soak-times.json").read_bytes())  # written at its end
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
            break
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
