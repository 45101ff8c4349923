"""Kite's WebSocket: ticks in Kite's binary frames by mode, order updates as text, heartbeats of one byte."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus

from .kite_exchange import Exchange, Row, Share
from .sockets import Frame, Link, Sockets
from .tell import Teller

HEARTBEAT = b"\x00"
_DEPTH = struct.Struct(">IIHxx")


def framed(*bodies: bytes) -> bytes:
    """Packets as one frame."""
    return struct.pack(">H", len(bodies)) + b"".join(struct.pack(">H", len(body)) + body for body in bodies)


def ltp(token: int, price: int) -> bytes:
    """8 bytes."""
    return struct.pack(">II", token, price)


def quote(token: int, price: int, volume: int) -> bytes:
    """44 bytes: every trade was at this price."""
    return struct.pack(">11I", token, price, 10, price, volume, 0, 0, price, price, price, price)


def full(token: int, price: int, volume: int, seconds: int) -> bytes:
    """184 bytes: one level of depth each side. ``seconds``: of the exchange, UNIX."""
    depth = b"".join(_DEPTH.pack(10, price, 1) if level in (0, 5) else _DEPTH.pack(0, 0, 0) for level in range(10))
    return quote(token, price, volume) + struct.pack(">5I", seconds, 0, 0, 0, seconds) + depth


def index_full(token: int, price: int, seconds: int) -> bytes:
    """32 bytes; high, low, open, close in this order."""
    return struct.pack(">8I", token, price, price, price, price, price, 0, seconds)


class KiteStream:
    """``updates`` is given every change of an order. ``volume``: a share's of today, by key."""

    def __init__(
        self, exchange: Exchange, admit: Callable[[Mapping[str, str]], bool], volume: Callable[[str], int]
    ) -> None:
        self._exchange, self._right, self._volume = exchange, admit, volume
        self._tokens = {share.token: share for share in exchange.shares.values()}
        self.sockets = Sockets(self._admit, lambda link: link.send(HEARTBEAT), self._hear)
        self.updates = Teller(self._order)
        self.faults: list[str] = []  #: what a client asked for that Kite has no words for

    def ticks(self, keys: Iterable[str]) -> None:
        """The last prices of these shares, in one frame to each link that wants any of them."""
        shares = [self._exchange.shares[key] for key in keys]
        for link in self.sockets.live:
            self._send(link, [share for share in shares if share.token in link.wanted])

    def heartbeat(self) -> None:
        self.sockets.send(HEARTBEAT)

    def _order(self, row: Row) -> None:
        self.sockets.send(json.dumps({"type": "order", "id": "", "data": row}))

    def _admit(self, link: Link) -> HTTPStatus | None:
        return None if self._right(link.query) and link.headers.get("X-Kite-Version") == "3" else HTTPStatus.FORBIDDEN

    def _hear(self, link: Link, frame: Frame) -> None:
        asked = json.loads(frame)
        match asked:
            case {"a": "subscribe", "v": [*tokens]}:
                link.wanted |= {token: link.wanted.get(token, "quote") for token in tokens}
                self._send(link, self._known(tokens))
            case {"a": "mode", "v": [("ltp" | "quote" | "full") as mode, [*tokens]]}:
                link.wanted |= {token: mode for token in tokens if token in link.wanted}
                self._send(link, self._known(tokens))
            case {"a": "unsubscribe", "v": [*tokens]}:
                for token in tokens:
                    link.wanted.pop(token, None)
            case _:
                self.faults.append(str(frame))

    def _known(self, tokens: Iterable[int]) -> list[Share]:
        return [self._tokens[token] for token in tokens if token in self._tokens]

    def _send(self, link: Link, shares: Iterable[Share]) -> None:
        bodies = [self._packet(share, link.wanted[share.token]) for share in shares
                  if share.key in self._exchange.prices]  # fmt: skip
        if bodies:
            link.send(framed(*bodies))

    def _packet(self, share: Share, mode: str) -> bytes:
        price, volume, seconds = self._exchange.prices[share.key], self._volume(share.key), self._exchange.seconds()
        if mode == "ltp":
            return ltp(share.token, price)
        if share.segment == "INDICES":
            return index_full(share.token, price, seconds)[: 32 if mode == "full" else 28]
        return full(share.token, price, volume, seconds) if mode == "full" else quote(share.token, price, volume)
