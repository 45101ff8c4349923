"""From the price that signals to the first byte of its order at the other end of a socket.

Everything on the way is the real thing: kernel, journal on disk, gate, budgets, Kite's own client with its thread and
its connection. The broker is a process of its own on 127.0.0.1 that notes when bytes come, so what is left out is
the network, TLS, and the broker. Garbage is looked for as the service does it: between two prices, once in so many
orders as no minute brings.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from otrade_bot.brokers.budget import Budget, Limits, Window
from otrade_bot.brokers.factory import BrokerFactory
from otrade_bot.brokers.instruments import InstrumentStore
from otrade_bot.brokers.middleware import UnifiedBrokerMiddleware
from otrade_bot.config import Config, RiskConfig, StrategyConfig, TradingConfig
from otrade_bot.config.models import BrokerConfig, ChargesConfig, MarketConfig, TelegramConfig
from otrade_bot.config.secrets import Secrets
from otrade_bot.core.clock import SECOND, ManualClock, at_ist
from otrade_bot.core.errors import BrokerException
from otrade_bot.research.bench import DAY, JournalOf, Row, kernel_of
from otrade_bot.trading import setup
from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["EACH", "ROUNDS", "samples", "signal_to_socket"]

ROUNDS, EACH, FIRST = 5, 100, 5  #: the first few open connections and are not counted
#: A fall and a turn, in paise: the last price signals.
TURN = (9_995, 9_990, 9_980, 9_970, 9_960, 10_000)
PATIENCE = 10.0  #: s for one order
#: The collector's numbers while the service has a day open (``service.garbage``, which is above us), and its minute.
THRESHOLDS, MINUTE_OF = (5_000, 20, 1_000_000), 50
#: The budget is asked and counts as ever; a day's orders in two seconds are more than it would let go.
WIDE = Limits((Window(SECOND, 10**6, 0, "second"),))

#: Says its port; answers every request as Kite would; at the end of its input tells tag and time (ns) of each order.
BROKER = r"""
import re, socket, sys, threading, time
told, listener = [], socket.create_server(("127.0.0.1", 0))
def serve(link):
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = b""
    while True:
        came = link.recv(65536)
        if not came:
            return
        stamp = time.monotonic_ns() if not data else stamp
        data += came
        head, end, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        if not end or len(body) < (int(length[1]) if length else 0):
            continue
        answer = b'{"status": "success", "data": {"user_id": "AB1234"}}'
        if head.startswith(b"POST /orders/"):
            told.append((re.search(rb"tag=(\w+)", body)[1].decode(), stamp))
            answer = b'{"status": "success", "data": {"order_id": "%d"}}' % len(told)
        lead = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        link.sendall(lead % len(answer) + answer)
        data = b""
def accept():
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
threading.Thread(target=accept, daemon=True).start()
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
for tag, stamp in told:
    print(tag, stamp)
"""


def signal_to_socket(journal: JournalOf) -> list[Row]:
    """The middle and the slow end of each round, over the rounds."""
    found = [1e-6 * took for took in samples(journal, FIRST + ROUNDS * EACH)[FIRST:]]
    rounds = [sorted(found[at : at + EACH]) for at in range(0, len(found), EACH)]
    half, most = [one[EACH // 2] for one in rounds], [one[EACH * 99 // 100 - 1] for one in rounds]
    note = f"{ROUNDS} rounds of {EACH} orders, Kite's client, 127.0.0.1"
    return [Row.of("signal_to_socket_p50", "ms", half, note), Row.of("signal_to_socket_p99", "ms", most, note)]


def samples(journal: JournalOf, count: int) -> list[int]:
    """ns of each order, in their order. Raises BrokerException where one did not leave."""
    with tempfile.TemporaryDirectory() as folder, _broker() as (port, tell), _tidy():
        sent = asyncio.run(_trade(Path(folder), journal, port, count))
        came = tell()
    missing = [tag for tag in sent if tag not in came]
    if missing:
        raise BrokerException(f"{len(missing)} of {count} orders did not leave")
    return [came[tag] - began for tag, began in sent.items()]


@contextlib.contextmanager
def _broker() -> Iterator[tuple[int, Any]]:
    """Its port, and what to call for the orders that came: time (ns) by tag."""
    with subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", BROKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None

        def tell() -> dict[str, int]:
            told, _ = child.communicate(timeout=PATIENCE)
            return {tag: int(stamp) for tag, stamp in (line.split() for line in told.splitlines())}

        try:
            yield int(child.stdout.readline()), tell
        finally:
            child.kill()


@contextlib.contextmanager
def _tidy() -> Iterator[None]:
    """What is there now is out of the collector's sight; afterwards all is as it was."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


async def _trade(folder: Path, journal: JournalOf, port: int, count: int) -> dict[str, int]:
    """When each order's price came, by tag: one instrument an order, a market's second between two."""
    clock = ManualClock(at_ist(DAY, 9, 20))
    broker = _account(port, clock)
    engine = _engine(folder, journal, broker, clock, count)
    await broker.keep_warm()
    sent: dict[str, int] = {}
    try:
        for row in range(count):
            if row % MINUTE_OF == 0:
                gc.collect()
            for price in TURN[:-1]:
                clock.advance_to(clock.now_ns() + SECOND // 1000)
                engine.on_price(row, clock.now_ns(), price, 1_000_000)
            clock.advance_to(clock.now_ns() + SECOND)
            before = len(engine.manager.orders)
            began = time.monotonic_ns()
            engine.on_price(row, clock.now_ns(), TURN[-1], 2_000_000)
            orders = list(engine.manager.orders)
            if len(orders) != before + 1:
                raise BrokerException(f"the price of {engine.table[row].instrument.symbol} made no order")
            sent[orders[-1].tag] = began
            async with asyncio.timeout(PATIENCE):
                while orders[-1].writing:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.001)
    finally:
        await broker.aclose()
    return sent


def _account(port: int, clock: ManualClock) -> UnifiedBrokerMiddleware:
    """A key and a token that mean nothing, for a broker on this machine."""
    secrets = Secrets(
        _env_file=None, kite_api_key=SecretStr("benchmark"), kite_access_token=SecretStr("benchmark-token"),
        kite_root=f"http://127.0.0.1:{port}", kite_ws_root="ws://127.0.0.1:9", live="yes",
    )  # fmt: skip
    return BrokerFactory.create_broker("kite", secrets, clock=clock, budget=Budget(WIDE))


def _engine(
    folder: Path, journal: JournalOf, broker: UnifiedBrokerMiddleware, clock: ManualClock, count: int
) -> LiveTradingEngine:
    symbols = tuple(f"NSE:BENCH{number}" for number in range(count))
    params = {"fast": 2, "slow": 3, "stop_percent": 2.0, "target_percent": 4.0}
    given = {"name": "ema_crossover", "instruments": symbols, "timeframe": "tick", "params": params}
    trading = TradingConfig(mode="live", strategies=(StrategyConfig.model_validate(given),), max_positions=count)
    risk = RiskConfig(total_capital=100_000_000, max_trades_per_day=0, daily_loss_limit=0, spike_percent=0)
    config = Config(
        trading, risk, BrokerConfig(primary="kite", feed="kite"), MarketConfig(), ChargesConfig(), TelegramConfig()
    )
    kernel, shipped = kernel_of()
    store = InstrumentStore(DAY)
    engine = LiveTradingEngine(
        config=config, kernel=kernel, rows=setup.build_rows(config, shipped, store.get), strategies=shipped,
        broker=broker, clock=clock, calendar=config.calendar, journal=journal(folder, clock),
    )  # fmt: skip
    engine.start_day(DAY)
    return engine
