"""Upstox's two streams: prices (protobuf, parsed with the official class) and order updates (JSON).

Nothing is documented of heartbeats, so silence is not watched unless the settings say so: our own pings find
a dead connection. Updates that were sent while a stream was down are lost: read the book again when it is live.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from otrade_bot.brokers.stream import Address, Hooks, Stream, StreamSettings, StreamState
from otrade_bot.core.errors import BrokerException, TokenException
from otrade_bot.core.masking import register_secret
from otrade_bot.core.money import Paise, to_paise

__all__ = ["AT_MOST", "KeyTick", "UpstoxOrders", "UpstoxPrices", "ticks_of"]

ROOT = "wss://api.upstox.com"
PRICES = "/v3/feed/market-data-feed"
ORDERS = "/v2/feed/portfolio-stream-feed?update_types=order"
Mode = Literal["ltpc", "full", "option_greeks"]
#: Instruments of a connection that asks in one mode.
AT_MOST: Mapping[Mode, int] = {"ltpc": 5000, "full": 2000, "option_greeks": 3000}
_MILLISECOND = 1_000_000
_UNWATCHED = StreamSettings(silence=0)


@dataclass(frozen=True, slots=True)
class KeyTick:
    """The last trade of one instrument. 0 where the feed does not say."""

    key: str  #: Upstox's instrument key
    ltp_paise: Paise
    volume: int = 0  #: of the day
    exchange_ts_ns: int = 0  #: of the trade, UTC


def ticks_of(frame: bytes) -> list[KeyTick]:
    """All of a frame that have a price. Raises for one that cannot be read."""
    from upstox_client.feeder.proto.MarketDataFeedV3_pb2 import FeedResponse  # only where there is an account

    found = (_tick(key, feed) for key, feed in FeedResponse.FromString(frame).feeds.items())
    return [tick for tick in found if tick is not None]


def _tick(key: str, feed: Any) -> KeyTick | None:
    kind = feed.WhichOneof("FeedUnion")
    if kind == "fullFeed":
        feed = feed.fullFeed
        kind = feed.WhichOneof("FullFeedUnion")
    if kind is None:
        return None
    body = getattr(feed, kind)
    trade = body if kind == "ltpc" else body.ltpc
    if not trade.ltp:
        return None
    volume = body.vtt if kind in ("marketFF", "firstLevelWithGreeks") else 0
    return KeyTick(key, to_paise(trade.ltp), volume, trade.ltt * _MILLISECOND)


class _Bearer:
    """Where a stream is, and the day's token to go there with."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, ""
        self.set(token)

    def set(self, token: str) -> bool:
        """Whether it is another one."""
        before, self._token = self._token, token
        register_secret(token)
        return token != before

    def address(self) -> Address:
        if not self._token:
            raise TokenException("no access token: log in to Upstox")
        return Address(self._url, (("Authorization", f"Bearer {self._token}"),))


def _nothing(*_: object) -> None:
    return None


def _no_frames(keys: Sequence[Any]) -> list[bytes]:
    return []


class UpstoxPrices:
    """Prices of the instruments subscribed to, by key. ``run`` ends by cancellation only.

    ``on_frame`` is asked first, and may take a frame as it is: true.
    """

    def __init__(
        self,
        token: str,
        *,
        on_ticks: Callable[[list[KeyTick]], None],
        on_state: Callable[[StreamState, str], None] = _nothing,
        on_frame: Callable[[bytes], bool] = lambda frame: False,
        mode: Mode = "full",
        root: str = ROOT,
        settings: StreamSettings = _UNWATCHED,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bearer, self._mode = _Bearer(root + PRICES, token), mode
        self._on_ticks, self._on_frame = on_ticks, on_frame
        hooks = Hooks(self._ask, self._give_up, on_binary=self._binary, on_state=on_state)
        self.wire = Stream(self._bearer.address, hooks, settings, sleep=sleep, clock=clock)

    def set_access_token(self, token: str) -> None:
        """The day's token: another one is connected with at once."""
        if self._bearer.set(token) or self.wire.state is StreamState.REFUSED:
            self.wire.renew()

    def subscribe(self, keys: Iterable[str]) -> None:
        """Raises BrokerException where they would be more than a connection takes in this mode."""
        wanted, most = list(keys), AT_MOST[self._mode]
        count = len({*self.wire.keys, *wanted})
        if count > most:
            raise BrokerException(f"upstox stream: {count} instruments in mode {self._mode}; allowed: {most}")
        self.wire.subscribe(wanted)

    def unsubscribe(self, keys: Iterable[str]) -> None:
        """No longer."""
        self.wire.unsubscribe(keys)

    async def run(self) -> None:
        """Until cancelled."""
        await self.wire.run()

    def _ask(self, keys: Sequence[str]) -> list[bytes]:
        return [_request("sub", {"mode": self._mode, "instrumentKeys": list(keys)})]

    def _give_up(self, keys: Sequence[str]) -> list[bytes]:
        return [_request("unsub", {"instrumentKeys": list(keys)})]

    def _binary(self, frame: bytes) -> None:
        if self._on_frame(frame):
            return
        ticks = ticks_of(frame)
        if ticks:
            self._on_ticks(ticks)


class UpstoxOrders:
    """Every order update of the account, as UpstoxBroker takes it. ``run`` ends by cancellation only."""

    def __init__(
        self,
        token: str,
        *,
        on_order_update: Callable[[Mapping[str, Any]], None],
        on_state: Callable[[StreamState, str], None] = _nothing,
        on_dropped: Callable[[str | bytes], None] = _nothing,
        root: str = ROOT,
        settings: StreamSettings = _UNWATCHED,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bearer, self._on_order_update = _Bearer(root + ORDERS, token), on_order_update
        hooks = Hooks(_no_frames, _no_frames, on_text=self._text, on_state=on_state, on_dropped=on_dropped)
        self.wire = Stream(self._bearer.address, hooks, settings, sleep=sleep, clock=clock)

    def set_access_token(self, token: str) -> None:
        """The day's token: another one is connected with at once."""
        if self._bearer.set(token) or self.wire.state is StreamState.REFUSED:
            self.wire.renew()

    async def run(self) -> None:
        """Until cancelled."""
        await self.wire.run()

    def _text(self, text: str) -> None:
        row = json.loads(text)
        if row.get("update_type", "order") == "order":
            self._on_order_update(row)


def _request(method: str, data: Mapping[str, Any]) -> bytes:
    """Upstox takes its requests as binary frames only."""
    return json.dumps({"guid": str(uuid.uuid4()), "method": method, "data": data}).encode()
