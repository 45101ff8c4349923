"""A KiteBroker on a Kite of its own, for the tests of both."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from otrade_bot.brokers.kite import KiteBroker, KiteSettings
from otrade_bot.core.model import GttLeg, GttRequest, Instrument, OrderRequest, OrderType, Product, Side
from tests.venues.kite import Kite

SAMPLES = Path(__file__).resolve().parents[3] / "shared/venues/kite"
SHARE = Instrument("NSE:RELIANCE", 738561)


@asynccontextmanager
async def room(**settings: Any) -> AsyncIterator[tuple[Kite, KiteBroker]]:
    """Both, with the share at ₹1,000.00; reads that fail are asked again at once."""
    kite = Kite()
    kite.open()
    kite.price(100_000)
    values = {"backoff": 0.001, "retries": 2, **settings}
    broker = KiteBroker(KiteSettings(Kite.API_KEY, Kite.TOKEN, kite.root, **values))
    kite.exchange.on_update = broker.on_order_update
    try:
        yield kite, broker
    finally:
        await broker.aclose()
        await kite.close()


def order(kind: OrderType = OrderType.MARKET, side: Side = Side.BUY, **fields: Any) -> OrderRequest:
    values = {"tag": "OT1", "quantity": 10, "product": Product.MIS, **fields}
    return OrderRequest(instrument=SHARE, side=side, order_type=kind, **values)


def gtt(*triggers: int, side: Side = Side.SELL) -> GttRequest:
    legs = tuple(GttLeg(trigger, trigger - 500) for trigger in triggers)
    return GttRequest(SHARE, side, 10, Product.CNC, legs, 100_000)


def sample(name: str) -> Any:
    """An official sample answer; the test is skipped where there are none."""
    path = SAMPLES / name
    if not path.exists():
        pytest.skip("the official sample answers are not here")
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else text
