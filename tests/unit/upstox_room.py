"""Upstox's broker against the loopback Upstox, for the tests of both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from otrade_bot.brokers.upstox import UpstoxBroker, UpstoxSettings
from otrade_bot.core.model import Instrument, OrderRequest, OrderType, Product, Side
from tests.venues.upstox import INFY, RELIANCE, UpstoxApi

SHARE = Instrument("NSE:RELIANCE", 738561)
KEYS = {"NSE:RELIANCE": RELIANCE, "NSE:INFY": INFY}


@asynccontextmanager
async def upstox(read_s: float = 5.0, **fields: Any) -> AsyncIterator[tuple[UpstoxApi, UpstoxBroker]]:
    """An open market with the share at ₹1,000.00."""
    async with UpstoxApi() as api:
        settings = UpstoxSettings(**{"host": api.root, "order_host": api.root, "read_s": read_s, **fields})
        broker = UpstoxBroker(KEYS, settings, api.token)
        api.exchange.price(RELIANCE, 100_000)
        try:
            yield api, broker
        finally:
            await broker.aclose()


def wanted(
    order_type: OrderType = OrderType.MARKET, side: Side = Side.BUY, tag: str = "tag1", **fields: Any
) -> OrderRequest:
    """Ten shares for the day, unless told otherwise."""
    quantity, product = fields.pop("quantity", 10), fields.pop("product", Product.MIS)
    return OrderRequest(tag, SHARE, side, quantity, product, order_type, **fields)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for it, ten seconds at most."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)
