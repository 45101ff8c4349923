"""Kite and Telegram on 127.0.0.1, as a process of its own: what a service needs to trade all day, and not more.

    python -m otrade_bot.research.bench_venue SHARES RATE LISTED AHEAD

Says where it is as one line of JSON, then streams ``RATE`` prices a second over ``SHARES`` shares, in full packets
with depth and in frames of what is due every tenth of a second, until its input ends or says ``quiet``: then it says
how many prices it has sent, and stays. Its list of instruments has
``LISTED`` rows, as many as the real one if so asked; its clock is
``AHEAD`` seconds ahead. Orders are taken and never filled.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import sys
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from otrade_bot.core.clock import IST

__all__ = ["symbols", "token_of"]

FRAMES = 10  #: a second
ME = {"id": 1, "is_bot": True, "first_name": "b", "username": "b_bot"}
CHAT = {"id": 7, "type": "private", "first_name": "o"}
_KINDS = ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels")
GIFTS = dict.fromkeys(_KINDS, False)
PROFILE = {"user_id": "AB1234", "user_name": "A B", "broker": "ZERODHA", "exchanges": ["NSE", "NFO"]}
CASH = {"cash": 1e7, "live_balance": 1e7, "collateral": 0}
FUNDS = {"enabled": True, "net": 1e7, "available": CASH, "utilised": {"debits": 0}}
COLUMNS = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
#: A full packet with its length before it.
LEVEL = np.dtype([("qty", ">u4"), ("price", ">u4"), ("rest", ">u2", (2,))])
PACKET = np.dtype([("length", ">u2"), ("head", ">u4", (16,)), ("levels", LEVEL, (10,))])
STEPS = 5 * np.arange(-5, 5)


def symbols(count: int) -> list[str]:
    """The shares that are streamed."""
    return [f"NSE:BENCH{number}" for number in range(count)]


def token_of(number: int) -> int:
    """Of the share of this number."""
    return (2_000 + number) * 256 + 1


class Venue:
    """One account, one bot."""

    def __init__(self, shares: int, rate: int, listed: int, ahead: int) -> None:
        self.shares, self.rate, self.listed, self.ahead = shares, rate, listed, ahead
        self.orders = self.messages = self.sent = 0
        self.quiet = False
        self._dice = np.random.Generator(np.random.PCG64(7))
        self._prices = 100_000 + 1_000 * (np.arange(shares) % 400)
        self._volumes = np.full(shares, 1_000)

    # --- REST ---

    def answer(self, verb: str, path: str, query: dict[str, str]) -> Any:
        """What Kite's ``data`` is for it; text for the list of instruments."""
        parts = path.strip("/").split("/")
        if parts[0] == "instruments":
            return self._candles(int(parts[2]), parts[3], query) if len(parts) > 2 else self._list(parts[-1])
        if parts[0] == "orders" and verb != "GET":
            self.orders += 1
            return {"order_id": str(self.orders)}
        known: dict[str, Any] = {
            "profile": PROFILE, "margins": {"equity": FUNDS, "commodity": FUNDS}, "equity": FUNDS, "quote": {},
            "positions": {"net": [], "day": []},
        }  # fmt: skip
        return known.get(parts[-1], [])

    def _list(self, exchange: str) -> str:
        lines = [COLUMNS + "instrument_type,segment,exchange"]
        if exchange == "NSE":
            lines += [_row(token_of(n), f"BENCH{n}", "EQ", "NSE", "NSE", "") for n in range(self.shares)]
            lines += [_row((9_000 + n) * 256 + 1, f"OTHER{n}", "EQ", "NSE", "NSE", "") for n in range(self.listed // 5)]
        if exchange == "NFO":
            names = (f"OTHER{n % 200}26DEC{n}CE" for n in range(self.listed * 4 // 5))
            lines += [_row((60_000 + n) * 256 + 2, name, "CE", "NFO-OPT", "NFO", "2026-12-29")
                      for n, name in enumerate(names)]  # fmt: skip
        return "\n".join(lines) + "\n"

    def _candles(self, token: int, interval: str, query: dict[str, str]) -> dict[str, Any]:
        """Those of the regular hours of weekdays, and of today every one that has begun."""
        step = timedelta(days=1) if interval == "day" else timedelta(minutes=int(interval.removesuffix("minute") or 1))
        first, last = (datetime.fromisoformat(query[name]) for name in ("from", "to"))
        last = min(last, datetime.fromtimestamp(self._now(), IST).replace(tzinfo=None))
        found, at, today = [], first.replace(hour=0, minute=0, second=0), last.date()
        while at <= last:
            price = 1_000 + (token + at.toordinal() * 7 + at.hour * 60 + at.minute) % 500 / 20
            usual = at.weekday() < 5 and (9, 15) <= (at.hour, at.minute) < (15, 30)
            if at >= first and (usual or at.date() == today or interval == "day"):
                found.append([at.isoformat() + "+0530", price, price + 1.05, price - 1, price + 0.05, 1_000])
            at += step
        return {"candles": found}

    def _now(self) -> int:
        return int(time.time()) + self.ahead

    async def bot(self, method: str) -> Any:
        """What Telegram's ``result`` is for it."""
        if method == "getUpdates":
            await asyncio.sleep(5)
            return []
        if method == "getMe":
            return ME
        if method == "getChat":
            return {**CHAT, "accent_color_id": 0, "max_reaction_count": 1, "accepted_gift_types": GIFTS}
        self.messages += 1
        message = {"message_id": self.messages, "date": self._now(), "chat": CHAT, "text": "x"}
        return message if method.startswith(("send", "edit")) else True

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept alive."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            async for verb, target in _requests(reader):
                where = urlsplit(target)
                if where.path.startswith("/bot"):
                    body = json.dumps({"ok": True, "result": await self.bot(where.path.rpartition("/")[2])})
                else:
                    data = self.answer(verb, where.path, dict(parse_qsl(where.query)))
                    body = data if isinstance(data, str) else json.dumps({"status": "success", "data": data})
                kind = "application/json" if body.startswith("{") else "text/csv"
                head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write((head + body).encode())
                await writer.drain()
        writer.close()

    # --- the stream ---

    async def stream(self, link: ServerConnection) -> None:
        """Nothing before it is asked for; then everything, whatever was asked for."""
        with contextlib.suppress(ConnectionClosed):
            await link.recv()
            due, began, sent = 0.0, time.monotonic(), 0
            while not self.quiet:
                due += self.rate / FRAMES
                while int(due) > 0:
                    count = min(int(due), self.shares)
                    await link.send(self._frame(count))
                    self.sent += count
                    due -= count
                sent += 1
                await asyncio.sleep(max(0.0, began + sent / FRAMES - time.monotonic()))
            await link.wait_closed()

    def _frame(self, count: int) -> bytes:
        """Of so many shares, drawn anew; their prices have moved, their volumes grown."""
        chosen = self._dice.choice(self.shares, count, replace=False)
        self._prices[chosen] = np.maximum(50_000, self._prices[chosen] + 5 * self._dice.integers(-4, 5, count))
        self._volumes[chosen] = (self._volumes[chosen] + 25) % 2**31
        prices, now = self._prices[chosen], self._now()
        found = np.zeros(count, PACKET)
        found["length"] = 184
        columns = (
            (2_000 + chosen) * 256 + 1, prices, 25, prices, self._volumes[chosen], 9_000, 8_000, prices, prices, prices,
            prices, now, 0, 0, 0, now,
        )  # fmt: skip
        for place, column in enumerate(columns):
            found["head"][:, place] = column
        found["levels"]["qty"], found["levels"]["rest"][..., 0] = 100, 3
        found["levels"]["price"] = prices[:, None] + STEPS
        return struct.pack(">H", count) + found.tobytes()


def _row(token: int, name: str, kind: str, segment: str, exchange: str, expiry: str) -> str:
    return f"{token},{token >> 8},{name},{name},0.0,{expiry},0.0,0.05,1,{kind},{segment},{exchange}"


async def _requests(reader: asyncio.StreamReader) -> AsyncIterator[tuple[str, str]]:
    while line := await reader.readline():
        length = 0
        while (header := await reader.readline()).strip():
            name, _, value = header.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        await reader.readexactly(length)
        verb, target, _ = line.decode().split(" ", 2)
        yield verb, target


async def _main(shares: int, rate: int, listed: int, ahead: int) -> None:
    venue = Venue(shares, rate, listed, ahead)
    rest = await asyncio.start_server(venue.http, "127.0.0.1", 0)
    stream = await serve(venue.stream, "127.0.0.1", 0, compression=None, ping_interval=None)
    ports = [next(iter(server.sockets)).getsockname()[1] for server in (rest, stream)]
    print(json.dumps({"rest": f"http://127.0.0.1:{ports[0]}", "stream": f"ws://127.0.0.1:{ports[1]}"}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        venue.quiet = line.strip() == "quiet"
        print(json.dumps({"sent": venue.sent}), flush=True)
    rest.close()
    stream.close()


if __name__ == "__main__":
    asyncio.run(_main(*(int(word) for word in sys.argv[1:5])))
