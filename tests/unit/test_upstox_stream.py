"""Upstox's streams over a real WebSocket, with frames made by the official protobuf class."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from upstox_client.feeder.proto.MarketDataFeedV3_pb2 import FeedResponse

from otrade_bot.brokers.stream import StreamState
from otrade_bot.brokers.upstox.stream import AT_MOST, KeyTick, UpstoxOrders, UpstoxPrices, ticks_of
from otrade_bot.core.errors import BrokerException
from otrade_bot.core.model import BrokerOrder
from tests.unit.stream_room import Nap, peer, running, until
from tests.unit.upstox_room import upstox
from tests.venues.upstox import INFY, RELIANCE

TOKEN = "upstoxAccessToken1"
LTT = 1_763_697_901_234
KINDS = ("ltpc", "marketFF", "indexFF", "firstLevelWithGreeks")


def put(response: Any, key: str, kind: str, **trade: Any) -> None:
    """One instrument's feed, in the shape that ``kind`` asks for."""
    feed, volume = response.feeds[key], trade.pop("volume", 0)
    holder = feed.fullFeed if kind in ("marketFF", "indexFF") else feed
    body = getattr(holder, kind)
    body.SetInParent()
    last = body if kind == "ltpc" else body.ltpc
    for name, value in trade.items():
        setattr(last, name, value)
    if kind in ("marketFF", "firstLevelWithGreeks"):
        body.vtt = volume


def feed(kind: str = "marketFF", key: str = RELIANCE, **trade: Any) -> bytes:
    response = FeedResponse(type=1, currentTs=LTT + 5)
    put(response, key, kind, **trade)
    return bytes(response.SerializeToString())


# --- the decoder ---
@given(st.dictionaries(st.text(min_size=1, max_size=20),
                       st.tuples(st.sampled_from(KINDS), st.integers(1, 10**9), st.integers(0, 2**50),
                                 st.integers(0, 2**43)), max_size=8))  # fmt: skip
def test_every_shape_of_a_feed_reads_as_it_was_written(given_feeds: dict[str, tuple[str, int, int, int]]) -> None:
    response, wanted = FeedResponse(type=1), {}
    for key, (kind, paise, volume, ltt) in given_feeds.items():
        put(response, key, kind, ltp=paise / 100, volume=volume, ltt=ltt)
        told = volume if kind in ("marketFF", "firstLevelWithGreeks") else 0
        wanted[key] = KeyTick(key, paise, told, ltt * 1_000_000)
    assert {tick.key: tick for tick in ticks_of(response.SerializeToString())} == wanted


@given(st.binary(max_size=300), st.integers(0, 100))
def test_hostile_bytes_end_in_ticks_or_one_error(noise: bytes, cut: int) -> None:
    for frame in (noise, feed(ltp=2155.05, ltt=LTT)[:cut] + noise):
        try:
            found = ticks_of(frame)
        except (DecodeError, ValueError, ArithmeticError):
            continue
        assert all(type(tick.ltp_paise) is int and tick.ltp_paise for tick in found)


def test_an_instrument_without_a_price_is_left_out() -> None:
    assert [ticks_of(feed(kind)) for kind in KINDS] == [[]] * 4
    empty = FeedResponse()
    empty.feeds[RELIANCE].requestMode = 1
    empty.feeds[INFY].fullFeed.SetInParent()
    assert ticks_of(empty.SerializeToString()) == []


def test_the_state_of_the_market_holds_no_ticks() -> None:
    response = FeedResponse(type=2)
    response.marketInfo.segmentStatus["NSE_EQ"] = 2
    assert ticks_of(response.SerializeToString()) == []


# --- prices ---
async def test_prices_are_asked_for_in_binary_and_poison_costs_itself_alone() -> None:
    ticks: list[KeyTick] = []
    async with peer() as server:
        stream = UpstoxPrices(TOKEN, on_ticks=ticks.extend, root=server.root)
        stream.subscribe([RELIANCE, INFY])
        async with running(stream.run()):
            await until(lambda: server.came and server.came[0])
            stream.unsubscribe([INFY])
            await until(lambda: len(server.came[0]) == 2)
            await server.send(b"\xff\xff\xff")
            await server.send(feed(ltp=math.nan))
            await server.send(feed(ltp=math.inf))
            await server.send(feed(ltp=2155.05, ltt=LTT, volume=2**40))
            await until(lambda: ticks)
        asked = [json.loads(frame) for frame in server.came[0]]
        assert all(type(frame) is bytes for frame in server.came[0])
        assert len({one.pop("guid") for one in asked}) == 2
        assert asked == [
            {"method": "sub", "data": {"mode": "full", "instrumentKeys": [RELIANCE, INFY]}},
            {"method": "unsub", "data": {"instrumentKeys": [INFY]}},
        ]
        assert (server.requests[0].path, server.requests[0].headers["Authorization"]) == (
            "/v3/feed/market-data-feed", f"Bearer {TOKEN}",
        )  # fmt: skip
    assert ticks == [KeyTick(RELIANCE, 215505, 2**40, LTT * 1_000_000)]
    assert (stream.wire.dropped, stream.wire.connections) == (3, 1)


async def test_more_instruments_than_the_mode_takes_are_refused_and_change_nothing() -> None:
    stream = UpstoxPrices(TOKEN, on_ticks=lambda ticks: None)
    stream.subscribe(map(str, range(AT_MOST["full"])))
    with pytest.raises(BrokerException, match="2001 instruments in mode full; allowed: 2000"):
        stream.subscribe(["one more"])
    assert len(stream.wire.keys) == 2000


# --- orders ---
async def test_order_updates_reach_the_broker_and_what_is_no_order_does_not() -> None:
    orders: list[BrokerOrder] = []
    row = {
        "update_type": "order", "instrument_key": RELIANCE, "exchange": "NSE", "order_id": "240108010918222",
        "status": "complete", "product": "I", "order_type": "MARKET", "transaction_type": "BUY", "quantity": 10,
        "filled_quantity": 10, "average_price": 1000.5, "price": 0, "trigger_price": 0, "tag": "OT1",
        "order_timestamp": "2026-11-20 10:00:01", "exchange_timestamp": "2026-11-20 10:00:01",
    }  # fmt: skip
    async with peer() as server, upstox() as (_, broker):
        broker.report = orders.append
        stream = UpstoxOrders(TOKEN, on_order_update=broker.on_order_update, root=server.root)
        async with running(stream.run()):
            await until(lambda: server.links)
            await server.send(json.dumps({"update_type": "position", "quantity": 10}))
            await server.send(json.dumps({"update_type": "order"}))
            await server.send("<html>")
            await server.send(json.dumps(row))
            await until(lambda: orders)
        assert server.requests[0].path == "/v2/feed/portfolio-stream-feed?update_types=order"
        assert server.came == [[]]
    assert [(order.order_id, order.symbol, order.filled, order.value) for order in orders] == [
        ("240108010918222", "NSE:RELIANCE", 10, 1_000_500)
    ]
    assert (stream.wire.dropped, stream.wire.connections) == (2, 1)


async def test_a_new_token_goes_with_the_next_connection_and_without_one_nothing_is_sent() -> None:
    states: list[StreamState] = []
    async with peer() as server:
        stream = UpstoxOrders(
            "", on_order_update=lambda row: None, root=server.root, sleep=Nap().sleep,
            on_state=lambda state, why: states.append(state),
        )  # fmt: skip
        async with running(stream.run()):
            await until(lambda: states == [StreamState.REFUSED])
            assert server.requests == []
            stream.set_access_token("tomorrowsToken")
            await until(lambda: states == [StreamState.REFUSED, StreamState.LIVE])
        assert server.requests[0].headers["Authorization"] == "Bearer tomorrowsToken"


async def test_a_redirect_to_another_host_is_followed_without_the_token() -> None:
    async with peer() as other, peer() as server:
        server.moved = other.root + "/feed?code=abc"
        stream = UpstoxOrders(TOKEN, on_order_update=lambda row: None, root=server.root)
        async with running(stream.run()):
            await until(lambda: other.links)
        assert other.requests[0].path == "/feed?code=abc"
        assert "Authorization" not in other.requests[0].headers
