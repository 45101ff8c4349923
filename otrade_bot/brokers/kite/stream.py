"""Kite's stream: prices of what is subscribed to, and every order update of the account.

Updates that were sent while the stream was down are lost: read the order book again when it is live.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlencode

from otrade_bot.brokers.kite.client import Token
from otrade_bot.brokers.kite.ticks import HEARTBEAT, Tick, ticks_of
from otrade_bot.brokers.outcomes import said
from otrade_bot.brokers.stream import Address, Hooks, Stream, StreamSettings, StreamState
from otrade_bot.core.errors import BrokerException, TokenException
from otrade_bot.core.masking import register_secret

__all__ = ["AT_MOST", "KiteStream", "Mode", "Tick", "ticks_of"]

ROOT = "wss://ws.kite.trade"
AT_MOST = 3000  #: instruments of a connection
Mode = Literal["ltp", "quote", "full"]
_HEADERS = (("X-Kite-Version", "3"),)


def _nothing(*_: object) -> None:
    return None


class KiteStream:
    """One connection of one account. ``run`` ends by cancellation only.

    ``on_ticks`` gets the ticks of each frame, ``on_order_update`` each order as KiteBroker's takes it, ``on_dropped``
    each frame that could not be read. ``on_frame`` is asked first, and may take a frame of prices as it is: true.
    """

    def __init__(
        self,
        api_key: str,
        access_token: str,
        *,
        on_ticks: Callable[[list[Tick]], None] = _nothing,
        on_order_update: Callable[[Mapping[str, Any]], None] = _nothing,
        on_state: Callable[[StreamState, str], None] = _nothing,
        on_dropped: Callable[[str | bytes], None] = _nothing,
        on_frame: Callable[[bytes], bool] = lambda frame: False,
        mode: Mode = "full",
        root: str = ROOT,
        settings: StreamSettings | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        register_secret(api_key)
        self._key, self._token, self._root, self._mode = api_key, Token(access_token), root, mode
        self._on_ticks, self._on_order_update, self._on_frame = on_ticks, on_order_update, on_frame
        hooks = Hooks(self._ask, self._give_up, self._binary, self._text, on_state, on_dropped)
        self.wire = Stream(self._address, hooks, settings, sleep=sleep, clock=clock)
        self.told = ""  #: the last error or message of Kite's own, masked

    def set_access_token(self, token: str) -> None:
        """The day's token: another one is connected with at once."""
        if token != self._token.value or self.wire.state is StreamState.REFUSED:
            self._token.set(token)
            self.wire.renew()

    def subscribe(self, tokens: Iterable[int]) -> None:
        """Instrument tokens. Raises BrokerException where they would be more than a connection takes."""
        wanted = list(tokens)
        count = len({*self.wire.keys, *wanted})
        if count > AT_MOST:
            raise BrokerException(f"kite stream: {count} instruments on one connection; allowed: {AT_MOST}")
        self.wire.subscribe(wanted)

    def unsubscribe(self, tokens: Iterable[int]) -> None:
        """No longer."""
        self.wire.unsubscribe(tokens)

    async def run(self) -> None:
        """Until cancelled."""
        await self.wire.run()

    def _address(self) -> Address:
        if not self._token.value:
            raise TokenException("no access token: log in")
        query = urlencode({"api_key": self._key, "access_token": self._token.value})
        return Address(f"{self._root}?{query}", _HEADERS)

    def _ask(self, tokens: Sequence[int]) -> list[str]:
        return [_frame("subscribe", list(tokens)), _frame("mode", [self._mode, list(tokens)])]

    def _give_up(self, tokens: Sequence[int]) -> list[str]:
        return [_frame("unsubscribe", list(tokens))]

    def _binary(self, frame: bytes) -> None:
        if len(frame) <= HEARTBEAT or self._on_frame(frame):
            return
        ticks = ticks_of(frame)
        if ticks:
            self._on_ticks(ticks)

    def _text(self, text: str) -> None:
        said_of = json.loads(text)
        kind, data = said_of.get("type"), said_of.get("data")
        if kind == "order" and data:
            self._on_order_update(data)
        elif kind in ("error", "message"):
            self.told = said(f"{kind}: {data}")


def _frame(action: str, value: object) -> str:
    return json.dumps({"a": action, "v": value}, separators=(",", ":"))
