"""A desk that frames of prices are read into, and one that is told the same prices one by one by other rules' hand."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from kernel_desk import MINUTE, SECOND, Array, Desk, np

from otrade_bot.brokers.kite.ticks import ticks_of
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Kernel
from otrade_bot.kernel.tokens import keys_for, slots_for

Tick = tuple[int, int, int, int]  #: row, moment, price, the day's volume
Happened = tuple[str, Any]
SNAPSHOT = 5 * SECOND


def framed(*bodies: bytes) -> bytes:
    return struct.pack(">H", len(bodies)) + b"".join(struct.pack(">H", len(body)) + body for body in bodies)


def key_of(token: int) -> str:
    """What Upstox calls a token here; 0 is none."""
    return f"NSE_EQ|INE{token}" if token else ""


class Feed:
    """What the calls over frames work on, beside a desk's arrays."""

    def __init__(self, desk: Desk, tokens: Sequence[int], *, tape: int = 4, quotes: int = 0) -> None:
        k = self.kernel = desk.kernel
        self.desk, self.tokens = desk, list(tokens)
        self.quotes, self.depth = k.new(abi.QUOTE, max(quotes, len(tokens))), k.new(abi.DEPTH, len(tokens))
        self.slots, self.feed, self.tape = slots_for(k, tokens), k.new(abi.FEED, 1), k.new(abi.TAPED, tape)
        self.feed[0]["snapshot"] = SNAPSHOT
        self.keys, self.names = keys_for(k, [key_of(token) for token in tokens])
        self.part, self.taped = k.new(abi.PART, 1), list[Tick]()

    def __getitem__(self, name: str) -> int:
        """Of FEED."""
        return int(self.feed[0][name])

    def quote(self, row: int = 0) -> dict[str, int]:
        return dict(zip(abi.QUOTE.names or (), self.quotes[row].tolist(), strict=True))

    def kite(self, frame: bytes, now: int) -> list[Happened]:
        """All that one frame leads to, in its order."""
        return self._all(now, lambda head, tail: self.kernel.kite_frame(*head, self.depth, self.slots, self.feed, frame,
                                                                        *tail))  # fmt: skip

    def upstox(self, frame: bytes, now: int) -> list[Happened]:
        """Of Upstox's."""
        mine = self.keys, self.names, self.feed, frame, self.part
        return self._all(now, lambda head, tail: self.kernel.upstox_frame(*head, *mine, *tail))

    def heard(self, prices: Sequence[Tick], now: int) -> list[Happened]:
        """``prices``: row, price, volume, the exchange's time."""
        heard = self.kernel.new(abi.HEARD, len(prices))
        for record, price in zip(heard, prices, strict=True):
            record["row"], record["price"], record["volume"], record["exchange_ts"] = price
        return self._all(now, lambda head, tail: self.kernel.heard_batch(*head, self.feed, heard, *tail))

    def _all(self, now: int, call: Any) -> list[Happened]:
        desk, f, found = self.desk, self.feed[0], list[Happened]()
        f["now"], f["at"] = now, 0
        head = desk.state, desk.account, desk.params, self.quotes
        while True:
            n = call(head, (desk.event, desk.out, self.tape))
            self.taped += [tuple(one) for one in self.tape[: self["taped"]].tolist()]
            tick = (self["row"], self["ts"], self["price"], self["volume"])
            if self["stop"] == abi.S_DONE:
                assert n == 0
                return found
            if self["stop"] == abi.S_INTENTS:
                found.append((str(tick), desk.out[:n].tobytes()))
            elif self["stop"] == abi.S_ATTEND:
                found += self._attended(tick)

    def _attended(self, tick: Tick) -> list[Happened]:
        found = [("attend", tick)]
        if self["record"]:
            self.taped.append(tick)
        accepted, said = offer(self.desk, tick)
        if accepted:
            row, ts, price, volume = tick
            q = self.quotes[row]
            q["last"], q["last_ts"], q["volume"], q["ticks"] = price, ts, volume, q["ticks"] + 1
            q["first"] = q["first"] or price
        return found + said


def offer(desk: Desk, tick: Tick) -> tuple[bool, list[Happened]]:
    """Whether it was fit to act on, and what was intended: with the entries for one price."""
    k, arrays = desk.kernel, (desk.state, desk.account, desk.params)
    if k.accept_one(*arrays, *tick):
        return False, []
    n = k.tick_one(*arrays, *tick, desk.event, desk.out)
    return True, [(str(tick), desk.out[:n].tobytes())] if n else []


class ByHand:
    """The rules for one price after the other, written down a second time."""

    def __init__(self, desk: Desk, tokens: Sequence[int]) -> None:
        self.desk, self.rows = desk, {token: row for row, token in enumerate(tokens)}
        self.attend = set[int]()
        self.last: dict[int, int] = {}
        self.told: dict[int, int] = {}
        self.base: dict[int, int] = {}
        self.price = dict.fromkeys(range(len(tokens)), 0)  #: acted on last
        self.volume = dict.fromkeys(range(len(tokens)), 0)
        self.offered: list[Tick] = []
        self.used = 0

    def kite(self, frame: bytes, now: int) -> list[Happened]:
        try:
            ticks = ticks_of(frame)
        except ValueError:
            return []
        return self.heard(
            [(self.rows[t.token], t.ltp_paise, t.volume, t.exchange_ts_ns) for t in ticks if t.token in self.rows], now
        )

    def heard(self, prices: Sequence[Tick], now: int) -> list[Happened]:
        found: list[Happened] = []
        for row, price, volume, stamp in prices:
            if price > 0:
                found += self._price(row, price, volume, stamp, now)
        return found

    def _price(self, row: int, price: int, told: int, stamp: int, now: int) -> list[Happened]:
        moment = stamp if stamp and now - stamp > SNAPSHOT else now
        moment = self.last[row] = max(moment, self.last.get(row, 0) + 1)
        before = self.told.get(row)
        if told:
            self.told[row] = told
        if self._no_trade(row, moment, price, told, before):
            return []
        tick = row, moment, price, self._volume(row, told, now)
        self.offered.append(tick)
        accepted, said = offer(self.desk, tick)
        if accepted:
            self.price[row], self.volume[row], self.used = price, tick[3], self.used + 1
        return [("attend", tick), *said] if row in self.attend else said

    def _no_trade(self, row: int, ts: int, price: int, told: int, before: int | None) -> bool:
        p, s = self.desk.params[row], self.desk.state[row]
        if not p["tradable"]:
            return False
        if not told:
            return before is None and not self.volume[row]
        if price != self.price[row] or before not in (None, told) or not p["tf"]:
            return False
        return not s["bar_ticks"] or ts >= int(s["bar_end"])

    def _volume(self, row: int, told: int, now: int) -> int:
        known = self.volume[row]
        if not told:
            return known
        if row not in self.base:
            early = now < int(self.desk.params[row]["day_open"]) + MINUTE
            self.base[row] = 0 if early and not known else known - told
        return max(0, told + self.base[row])


__all__ = ["Array", "ByHand", "Feed", "Happened", "Kernel", "Tick", "framed", "key_of", "np", "offer"]
