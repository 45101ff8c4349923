"""Upstox's WebSockets: prices as the official protobuf class writes them, order updates as JSON text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from . import upstox_shapes as shapes
from .sockets import Frame, Link, Sockets
from .tell import Teller
from .upstox_exchange import Exchange, Order, Share

PRICES, ORDERS = "/v3/feed/market-data-feed", "/v2/feed/portfolio-stream-feed"
INITIAL, LIVE, MARKET_INFO = 0, 1, 2
_MODES = {"ltpc": 0, "full": 1, "option_greeks": 2, "full_d30": 3}


def feed(shares: Iterable[tuple[Share, str]], now_ms: int, volume: Callable[[str], int], kind: int = LIVE) -> bytes:
    """One message: what each share last cost, in the mode asked for."""
    from upstox_client.feeder.proto.MarketDataFeedV3_pb2 import FeedResponse

    response = FeedResponse(type=kind, currentTs=now_ms)
    for share, mode in shares:
        one = response.feeds[share.key]
        one.requestMode = _MODES[mode]
        if mode == "ltpc":
            _trade(one.ltpc, share, now_ms)
        elif mode == "option_greeks":
            _trade(one.firstLevelWithGreeks.ltpc, share, now_ms)
            one.firstLevelWithGreeks.vtt = volume(share.key)
        else:
            _trade(one.fullFeed.marketFF.ltpc, share, now_ms)
            one.fullFeed.marketFF.vtt = volume(share.key)
            one.fullFeed.marketFF.casEligible = share.cas_eligible
    return bytes(response.SerializeToString())


def _trade(ltpc: Any, share: Share, now_ms: int) -> None:
    ltpc.ltp, ltpc.ltt, ltpc.ltq, ltpc.cp = share.price / 100, now_ms, 10, share.price / 100


def market_info(now_ms: int) -> bytes:
    """Open for trading."""
    from upstox_client.feeder.proto.MarketDataFeedV3_pb2 import FeedResponse

    response = FeedResponse(type=MARKET_INFO, currentTs=now_ms)
    response.marketInfo.segmentStatus["NSE_EQ"] = 2
    return bytes(response.SerializeToString())


class UpstoxStream:
    """Both streams on one address. ``updates`` is given every order that has changed."""

    def __init__(self, exchange: Exchange, token: Callable[[], str], volume: Callable[[str], int]) -> None:
        self._exchange, self._token, self._volume = exchange, token, volume
        self.sockets = Sockets(self._admit, self._greet, self._hear)
        self.updates = Teller(self._order)
        self.faults: list[str] = []  #: what a client asked for that Upstox has no words for
        #: A frame's map has another order in each process that reads it: so a frame for each share, in order.
        self.one_by_one = False

    def links(self, path: str) -> list[Link]:
        """The live ones of one stream."""
        return [link for link in self.sockets.live if link.path == path]

    def tell(self, order: Order) -> None:
        """For the exchange: an order has changed."""
        self.updates(shapes.update(order))

    def ticks(self, keys: Iterable[str]) -> None:
        """The last prices of these shares, in one frame to each link that wants any of them."""
        wanted = list(keys)
        for link in self.links(PRICES):
            self._send(link, [key for key in wanted if key in link.wanted], LIVE)

    def _order(self, row: dict[str, Any]) -> None:
        for link in self.links(ORDERS):
            if "order" in link.query.get("update_types", "order").split(","):
                link.send(json.dumps(row))

    def _admit(self, link: Link) -> HTTPStatus | None:
        if link.path not in (PRICES, ORDERS):
            return HTTPStatus.NOT_FOUND
        right = link.headers.get("Authorization") == f"Bearer {self._token()}"
        return None if right else HTTPStatus.UNAUTHORIZED

    def _greet(self, link: Link) -> None:
        if link.path == PRICES:
            link.send(market_info(self._now()))

    def _now(self) -> int:
        return int(self._exchange.now.timestamp() * 1000)

    def _hear(self, link: Link, frame: Frame) -> None:
        asked = json.loads(frame) if isinstance(frame, bytes) and link.path == PRICES else None
        match asked:
            case {"guid": _, "method": "sub" | "change_mode", "data": {"mode": mode, "instrumentKeys": [*keys]}} if (
                mode in _MODES
            ):
                link.wanted |= dict.fromkeys(keys, mode)
                self._send(link, keys, INITIAL)
            case {"guid": _, "method": "unsub", "data": {"instrumentKeys": [*keys]}}:
                for key in keys:
                    link.wanted.pop(key, None)
            case _:
                self.faults.append(str(frame))

    def _send(self, link: Link, keys: Iterable[str], kind: int) -> None:
        known = (self._exchange.shares[key] for key in keys if key in self._exchange.shares)
        shares = [(share, link.wanted[share.key]) for share in known if share.price]
        for some in [[one] for one in shares] if self.one_by_one else [shares] if shares else []:
            link.send(feed(some, self._now(), self._volume, kind))
