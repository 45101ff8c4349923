"""The same work by what users would pick instead: same prices, same averages, same trades, then the times.

A peer that is not installed (extra ``bench``) has no figure. One whose trades differ from ours raises: a time of other
work means nothing. The work: buy one share when the fast average crosses above the slow one, sell it when it crosses
below, on every price. Ours besides keeps a stop at the exchange, every limit and the charges; the peers are spared
them.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from otrade_bot.config.models import Config
from otrade_bot.kernel import state as abi
from otrade_bot.research import bench
from otrade_bot.research.bench_nautilus import nautilus_run
from otrade_bot.strategies.loader import parse_params

__all__ = ["PEERS", "averages", "compared", "equal_work", "installed"]

FAST, SLOW = 100, 300
#: Prices that only warm the averages up: nautilus_trader begins its averages with the first price, we with a mean.
SKIP = 6_000
Prices = npt.NDArray[np.int64]
#: Of each closed trade: the price at which it began and ended, in paise, in their order.
Trades = list[tuple[int, int]]
#: (prices in paise, their times) -> seconds and trades. Only the run counts, not the making of what it runs on.
Peer = Callable[[Prices, Prices], tuple[float, Trades]]


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


@cache
def walk(count: int) -> tuple[Prices, Prices]:
    """The prices of ``bench.ticks`` and their times."""
    events = bench.ticks(count)
    return np.ascontiguousarray(events["price"]), np.ascontiguousarray(events["ts"])


# --- the same work ----------------------------------------------------------------------------------


def ours(prices: Prices, times: Prices) -> tuple[float, Trades]:
    """The compiled replay with all that a live day obeys."""
    kernel, shipped = bench.kernel_of()
    replay = bench.replay_of("ema_crossover", kernel, shipped)
    replay.config = _one_share(replay.config)
    replay.rows[0].params = parse_params(shipped["ema_crossover"], {
        "fast": FAST, "slow": SLOW, "stop_percent": 20.0, "target_percent": 100.0, "short": False,
        "exit_on_signal": True,
    })  # fmt: skip
    run = replay.start()
    events = bench.ticks(len(prices))
    events["price"], events["ts"] = prices, times
    run.day(bench.DAY, events[:0])
    warm = events[:SKIP].copy()
    warm["code"] = abi.WARM
    kernel.run(run.state, run.account, run.params, warm, run.out)
    took = bench.seconds(lambda: run.day(bench.DAY, events[SKIP:]))
    done = run.trades[: int(run.tally[0]["trades"])]
    return took, [(int(t["entry_value"]), int(t["exit_value"])) for t in done]


def _one_share(config: Config) -> Config:
    return replace(config, trading=config.trading.model_copy(update={"capital_per_position": 1500}))


def averages(prices: Prices) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Both, over all prices, by TA-Lib: begun by a mean, as ours are."""
    import talib

    rupees = prices / 100.0
    return talib.EMA(rupees, FAST), talib.EMA(rupees, SLOW)


def _crosses(prices: Prices) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    fast, slow = averages(prices)
    above = fast > slow
    up, down = np.zeros(len(prices), bool), np.zeros(len(prices), bool)
    up[1:] = above[1:] & (fast[:-1] <= slow[:-1])
    down[1:] = (fast[1:] < slow[1:]) & (fast[:-1] >= slow[:-1])
    up[:SKIP] = down[:SKIP] = False
    return up, down


def with_vectorbt(prices: Prices, times: Prices) -> tuple[float, Trades]:
    """Averages, crosses and portfolio as arrays; nothing of it could run live."""
    import vectorbt

    def run() -> Any:
        up, down = _crosses(prices)
        made = vectorbt.Portfolio.from_signals(prices / 100.0, up, down, size=1, init_cash=1e9, freq="1s")
        return made.trades.records

    run()  # it compiles at its first call
    began = time.perf_counter()
    found = run()
    took = time.perf_counter() - began
    closed = found[found["status"] == 1]
    return took, [
        (round(a * 100), round(b * 100)) for a, b in zip(closed["entry_price"], closed["exit_price"], strict=True)
    ]


def with_backtesting(prices: Prices, times: Prices) -> tuple[float, Trades]:
    """Each price a bar of its own."""
    import pandas
    from backtesting import Backtest, Strategy

    class Cross(Strategy):  # type: ignore[misc]
        def init(self) -> None:
            self.fast, self.slow = (self.I(lambda one=one: one) for one in averages(prices))

        def next(self) -> None:
            i = len(self.data) - 1
            if i < SKIP:
                return
            fast, slow = self.fast, self.slow
            if fast[-2] <= slow[-2] and fast[-1] > slow[-1] and not self.position:
                self.buy(size=1)
            elif fast[-2] >= slow[-2] and fast[-1] < slow[-1] and self.position:
                self.position.close()

    rupees = prices / 100.0
    frame = pandas.DataFrame(
        {"Open": rupees, "High": rupees, "Low": rupees, "Close": rupees, "Volume": 1.0}, index=pandas.to_datetime(times)
    )
    test = Backtest(frame, Cross, cash=1e9, trade_on_close=True, finalize_trades=False)
    began = time.perf_counter()
    found = test.run()["_trades"]
    took = time.perf_counter() - began
    return took, [
        (round(a * 100), round(b * 100)) for a, b in zip(found["EntryPrice"], found["ExitPrice"], strict=True)
    ]


def with_nautilus(prices: Prices, times: Prices) -> tuple[float, Trades]:
    """Its compiled engine and averages, a strategy in Python as its users write it."""
    return nautilus_run(prices, times, FAST, SLOW, SKIP)


#: By its name on the package index: how many prices it is given, and how.
PEERS: Mapping[str, tuple[str, int, Peer]] = {
    "nautilus_trader": ("nautilus_trader", 100_000, with_nautilus),
    "backtesting": ("backtesting", 50_000, with_backtesting),
    "vectorbt": ("vectorbt", 1_000_000, with_vectorbt),
}


def compared(name: str, mine: Trades, theirs: Trades) -> None:
    """Raises ValueError where they did other work. The last trade may be open in one of them."""
    n = min(len(mine), len(theirs))
    if n < 10 or abs(len(mine) - len(theirs)) > 1 or mine[:n] != theirs[:n]:
        at = next((i for i in range(n) if mine[i] != theirs[i]), n)
        raise ValueError(f"{name} did other work: {len(theirs)} trades against {len(mine)}, other from trade {at} on")


def equal_work(runs: int = 5) -> bench.Row:
    """Prices a second, ours and theirs, after the trades were compared."""
    import warnings

    peers: dict[str, float] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        for name, (module, count, peer) in PEERS.items():
            if not installed(module):
                continue
            prices, times = walk(count)
            compared(name, ours(prices, times)[1], peer(prices, times)[1])
            peers[name] = statistics.median((count - SKIP) / peer(prices, times)[0] for _ in range(min(runs, 3)))
    prices, times = walk(bench.TICKS)
    samples, trades = [], 0
    for _ in range(runs):
        took, found = ours(prices, times)
        samples.append((len(prices) - SKIP) / took)
        trades = len(found)
    note = f"{1000 * trades / len(prices):.2f} trades per 1,000 ticks"
    row = bench.Row.of("replay_equal_work", "ticks/s", samples, note)
    return bench.with_peers(row, peers)
