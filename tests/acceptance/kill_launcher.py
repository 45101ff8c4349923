"""Runs the demo in forked children that can kill themselves at a chosen boundary. For tests alone.

Reads one job a line (JSON) from standard input and answers with one line each:
``{"state": DIR, "ticks": [FILE], "strategy": NAME, "timeframe": TF, "params": {}, "resume": BOOL, "dump": FILE,
"at": [BOUNDARY, N] or null}`` -> ``{"signal": 9 or 0, "code": EXIT CODE}``.

A child that lives to the end of the day pickles what it saw to ``dump``.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import sys
import traceback
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from otrade_bot.brokers.paper import PaperBroker
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
from otrade_bot.core.jsonlines import LineLog
from otrade_bot.service import demo as demo_module
from otrade_bot.service.demo import Demo, DemoOptions
from otrade_bot.strategies.loader import build_kernel, load_strategy
from otrade_bot.trading.engine import LiveTradingEngine
from otrade_bot.trading.manager import OrderManager
from otrade_bot.trading.recover import Recovery

#: What a rung is, as the kernel knows it.
RUNG_FIELDS = (
    "side", "cycle", "filled", "entry_value", "exited", "exit_value", "extreme", "stop", "target", "entry_ts",
)  # fmt: skip
NOT_THE_MARKETS = {
    "want", "ref", "exit_pending", "exit_retry", "sent_stop", "sent_ts", "reserve", "charged", "realised", "limited",
    "limited_ts", "next_cycle", "unrealised", "cool_until", *RUNG_FIELDS,
}  # fmt: skip


class Boundaries:
    """Counts how often each boundary is passed; dies at the chosen one."""

    def __init__(self, at: list[Any] | None) -> None:
        self.at = (at[0], int(at[1])) if at else None
        self.counts: dict[str, int] = defaultdict(int)
        self.held: dict[str, list[int]] = defaultdict(list)  #: the numbers at which a position was open
        self.demo: Demo | None = None

    def due(self, name: str) -> bool:
        """Count; True where it is time to die."""
        self.counts[name] += 1
        book = self.demo.broker.book if self.demo else None
        if book is not None and any(lot.quantity for lot in book.positions.values()):
            self.held[name].append(self.counts[name])
        return self.at == (name, self.counts[name])

    def passed(self, name: str) -> None:
        if self.due(name):
            die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def put_in_place(b: Boundaries) -> None:
    """Wrap the places at which the world outside changes."""
    for name in ("place", "modify", "cancel"):
        setattr(PaperBroker, name, around_async(b, name, getattr(PaperBroker, name)))
    OrderManager.set_stop = before(b, "stop.before", OrderManager.set_stop)  # type: ignore[method-assign]
    OrderManager.on_report = before(b, "report.before", OrderManager.on_report)  # type: ignore[method-assign]
    LineLog._write = writing(b, LineLog._write)  # type: ignore[method-assign]
    flush = LineLog._flush

    def flushing(self: LineLog) -> None:
        b.passed(f"{kind(self)}.sync.before")
        flush(self)
        b.passed(f"{kind(self)}.sync.after")

    LineLog._flush = flushing  # type: ignore[method-assign]


def kind(log: LineLog) -> str:
    return "book" if log.path.name == "paper.jsonl" else "journal"


def around_async(b: Boundaries, name: str, call: Any) -> Any:
    async def wrapped(self: Any, *given: Any, **named: Any) -> Any:
        b.passed(f"{name}.before")
        outcome = await call(self, *given, **named)
        b.passed(f"{name}.after")
        return outcome

    return wrapped


def before(b: Boundaries, name: str, call: Any) -> Any:
    def wrapped(self: Any, *given: Any) -> Any:
        b.passed(name)
        return call(self, *given)

    return wrapped


def writing(b: Boundaries, call: Any) -> Any:
    def wrapped(self: LineLog, block: bytes) -> None:
        b.passed(f"{kind(self)}.write.before")
        if b.due(f"{kind(self)}.write.torn"):
            os.write(self._fd, block[: len(block) // 2])
            die()
        call(self, block)
        b.passed(f"{kind(self)}.write.after")

    return wrapped


class Witness:
    """Looks at the engine after each input and right after the recovery."""

    def __init__(self, demo: Demo) -> None:
        self.demo = demo
        self.rungs: dict[int, Any] = {}
        self.recovered: dict[str, Any] | None = None

    def watch(self) -> None:
        engine = self.demo.engine
        for name in ("on_price", "on_time"):
            setattr(engine, name, self._after(getattr(engine, name)))

    def _after(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any) -> Any:
            result = call(*given)
            self.rungs[self.demo.clock.now_ns()] = self.rung_state()
            return result

        return wrapped

    def rung_state(self) -> dict[str, Any]:
        return {name: self.demo.engine.state[name].copy() for name in RUNG_FIELDS}

    def book(self) -> dict[str, Any]:
        book = self.demo.broker.book
        return {
            "now": self.demo.clock.now_ns(),
            "orders": [order.row() for order in book.orders.values()],
            "net": {symbol: lot.quantity for (symbol, _), lot in book.positions.items()},
            "money": (book.opening, book.cash, book.realised, book.charges),
            "rungs": self.rung_state(),
        }

    def market(self) -> dict[str, bytes]:
        """Indicators, bars and rings: everything in the rows that prices alone decide."""
        state = self.demo.engine.state
        return {name: state[name].tobytes() for name in state.dtype.names or () if name not in NOT_THE_MARKETS}


def run(job: dict[str, Any]) -> None:
    """One day, or what is left of it."""
    b = Boundaries(job["at"])
    options = DemoOptions(
        Path(job["state"]), tuple(Path(p) for p in job["ticks"]), strategy=job["strategy"], timeframe=job["timeframe"],
        speed=0.0, resume=job["resume"],
    )  # fmt: skip
    demo = Demo.prepare(settings(job), options)
    b.demo = demo
    put_in_place(b)
    witness = Witness(demo)
    witness.watch()
    recover = Recovery.run

    async def recovering(self: Recovery, *given: Any, **named: Any) -> None:
        await recover(self, *given, **named)
        witness.recovered = witness.book()

    Recovery.run = recovering  # type: ignore[method-assign]
    asyncio.run(demo.run())
    seen = {
        "counts": dict(b.counts), "held": dict(b.held), "recovered": witness.recovered, "end": witness.book(),
        "market": witness.market(), "report": demo.report(), "rungs": witness.rungs,
        "alerts": [line for line in demo._lines() if line["kind"] == "alert"],
    }  # fmt: skip
    demo.close()
    Path(job["dump"]).write_bytes(pickle.dumps(seen))


def settings(job: dict[str, Any]) -> Config:
    trading = TradingConfig(
        capital_per_position=job["capital"],
        strategies=(StrategyConfig(name=job["strategy"], instruments=("NSE:X",), params=job["params"]),),
    )
    risk = RiskConfig(cooldown_seconds=5, daily_loss_limit=0)
    return Config(trading, risk, BrokerConfig(), MarketConfig(), ChargesConfig(), TelegramConfig())


def serve() -> None:
    """Load what is heavy once; then a child a job."""
    kernel = build_kernel([load_strategy(name) for name in ("ema_crossover", "momentum_ladder")])
    demo_module.kernel_for = lambda *given, **named: kernel  # type: ignore[assignment]
    _ = LiveTradingEngine
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                run(job)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        answer = {"signal": killed, "code": os.waitstatus_to_exitcode(status)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
