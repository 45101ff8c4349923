"""From a command's arrival to its first answer, while the engine takes 5,000 prices a second.

Phone, gate, command table and engine are the real ones, with python-telegram-bot and its connections. The Bot API is a
process of its own on 127.0.0.1 that notes when it hands a command over and when the first byte of the answer comes; so
what is left out is the network, TLS and Telegram.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from otrade_bot.config.models import User
from otrade_bot.control import commands
from otrade_bot.control.commands import Context
from otrade_bot.control.confirm import Confirmations
from otrade_bot.control.handlers import COMMANDS
from otrade_bot.control.phone.gate import Caller, Gate
from otrade_bot.control.phone.phone import Phone
from otrade_bot.control.reply import Reply
from otrade_bot.core.clock import ManualClock, at_ist
from otrade_bot.core.errors import BrokerException
from otrade_bot.research.bench import DAY, JournalOf, Row, paper_engine
from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["RATE", "command_to_answer", "samples"]

#: Prices a second; commands that are measured, after a few that open connections.
RATE, ROUNDS, EACH, FIRST = 5_000, 5, 100, 10
PATIENCE = 120.0
SAID = ("/status", "/positions", "/pnl", "/health")

#: Says its port; hands over one command after the other, each 20 ms after the answer to the one before; at the end
#: tells the ns of each.
BOT_API = r"""
import json, re, socket, sys, threading, time
said, count = sys.argv[1].split(","), int(sys.argv[2])
listener, given, took, ready = socket.create_server(("127.0.0.1", 0)), [], [], threading.Semaphore(1)
ME = {"id": 1, "is_bot": True, "first_name": "b", "username": "b_bot"}
CHAT = {"id": 7, "type": "private", "first_name": "o"}
MESSAGE = {"message_id": 1, "date": 1, "chat": CHAT, "text": "x"}
def update():
    n = len(given) + 1
    one = {**MESSAGE, "message_id": n, "date": int(time.time()), "text": said[n % len(said)],
           "from": {"id": 7, "is_bot": False, "first_name": "o"}}
    return [{"update_id": n, "message": one}]
def answer(method, stamp):
    if method == "getMe":
        return ME
    if method == "sendMessage":
        if len(took) < len(given):
            took.append(stamp - given[-1])
            threading.Timer(0.02, ready.release).start()
        return MESSAGE
    if method == "getUpdates":
        if len(given) >= count:
            time.sleep(0.2)
            return []
        ready.acquire()
        return update()
    return True
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
        data = b""
        method = re.search(rb"/(\w+) HTTP", head)[1].decode()
        out = json.dumps({"ok": True, "result": answer(method, stamp)}).encode()
        lead = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(out)
        if method == "getUpdates" and b"update_id" in out:
            given.append(time.monotonic_ns())
        link.sendall(lead + out)
        if len(took) == count and not done.is_set():
            done.set()
def accept():
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
done = threading.Event()
threading.Thread(target=accept, daemon=True).start()
print(listener.getsockname()[1], flush=True)
print("done" if done.wait(float(sys.argv[3])) else "late", flush=True)
print(" ".join(map(str, took)), flush=True)
"""


def command_to_answer(journal: JournalOf) -> list[Row]:
    """The middle and the slow end of each round, over the rounds."""
    took, fed = samples(journal, FIRST + ROUNDS * EACH)
    found = [1e-6 * one for one in took[FIRST:]]
    rounds = [sorted(found[at : at + EACH]) for at in range(0, len(found), EACH)]
    note = f"{ROUNDS} rounds of {EACH} commands, {fed:,.0f} prices/s taken meanwhile, 127.0.0.1"
    half, most = [one[EACH // 2] for one in rounds], [one[EACH * 99 // 100 - 1] for one in rounds]
    return [Row.of("command_to_answer_p50", "ms", half, note), Row.of("command_to_answer_p99", "ms", most, note)]


def samples(journal: JournalOf, count: int) -> tuple[list[int], float]:
    """ns of each command, and the prices a second that were taken meanwhile. Raises BrokerException where one was not
    answered."""
    with tempfile.TemporaryDirectory() as folder, _bot_api(count) as (port, child):
        took, fed = asyncio.run(_talk(Path(folder), journal, port, child))
    if len(took) < count:
        raise BrokerException(f"{count - len(took)} of {count} commands were not answered")
    return took, fed


@contextlib.contextmanager
def _bot_api(count: int) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    arguments = [",".join(SAID), str(count), str(PATIENCE)]
    with subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", BOT_API, *arguments], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        try:
            yield int(child.stdout.readline()), child
        finally:
            child.kill()


async def _talk(
    folder: Path, journal: JournalOf, port: int, child: subprocess.Popen[str]
) -> tuple[list[int], float]:
    """ns of each command, and the prices a second that were taken meanwhile."""
    engine, clock, broker = paper_engine(folder, journal)
    clock.advance_to(at_ist(DAY, 9, 20))
    confirmations = Confirmations()

    async def answer(caller: Caller, line: str) -> Reply:
        context = Context(
            view=engine, user=caller.name, role=caller.role, session=caller.session, table=COMMANDS,
            confirmations=confirmations, now_ns=clock.now_ns,
        )  # fmt: skip
        return await commands.answer(context, line)

    gate = Gate([User(user_id=7, chat_id=7, role="admin", name="owner")], tell=lambda reply, chats: None)
    base = f"http://127.0.0.1:{port}/bot"
    phone = Phone("1:benchmark", gate, answer, _Nobody(), base_url=base, base_file_url=base)
    tasks = [asyncio.create_task(phone.run())]
    pace = asyncio.create_task(_prices(engine, clock))
    began = time.monotonic()
    try:
        assert child.stdout is not None
        await asyncio.to_thread(child.stdout.readline)
        spent = time.monotonic() - began
        found = [int(took) for took in (await asyncio.to_thread(child.stdout.readline)).split()]
    finally:
        for task in (*tasks, pace):
            task.cancel()
        await asyncio.gather(*tasks, pace, return_exceptions=True)
        broker.close()
    return found, engine.counters.ticks / spent


class _Nobody:
    """Nothing is pushed here."""

    def put(self, reply: Reply, chats: object, *, silent: bool = False, **_: object) -> None: ...

    def wake(self, chat_id: int | None = None) -> None: ...


async def _prices(engine: LiveTradingEngine, clock: ManualClock) -> None:
    """``RATE`` a second, a few each millisecond; what an engine falls behind is made up at once."""
    began, given, volume = time.monotonic(), 0, 1_000_000
    while True:
        due = int((time.monotonic() - began) * RATE)
        while given < due:
            given, volume = given + 1, volume + 1
            clock.advance_to(clock.now_ns() + 200_000)
            engine.on_price(0, clock.now_ns(), 100_000 + given % 7 * 5, volume)
        await asyncio.sleep(0.001)
