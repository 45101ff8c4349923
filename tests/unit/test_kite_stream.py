"""Kite's stream: its frames byte for byte against Kite's own client, and its words over a real WebSocket."""

from __future__ import annotations

import base64
import json
import struct
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otrade_bot.brokers.kite import KiteBroker, KiteSettings
from otrade_bot.brokers.kite.stream import AT_MOST, KiteStream
from otrade_bot.brokers.kite.ticks import Tick, ticks_of
from otrade_bot.brokers.stream import StreamSettings, StreamState
from otrade_bot.core.clock import SECOND
from otrade_bot.core.errors import BrokerException
from otrade_bot.core.model import BrokerOrder
from otrade_bot.core.money import to_paise
from tests.unit.stream_room import Nap, Peer, peer, running, until

SAMPLES = Path(__file__).resolve().parents[3] / "shared/venues/kite"
KEY, TOKEN = "kiteApiKey1", "kiteAccessToken1"
LENGTHS = (8, 28, 32, 44, 184)
SEGMENTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12)
RELIANCE = 738561


def framed(*bodies: bytes) -> bytes:
    return struct.pack(">H", len(bodies)) + b"".join(struct.pack(">H", len(body)) + body for body in bodies)


def ltp(token: int, price: int) -> bytes:
    return struct.pack(">II", token, price)


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    """Of a known length, and of a segment that Kite has, more often than not."""
    length = draw(st.sampled_from(LENGTHS))
    token = draw(st.integers(0, 2**24 - 1)) << 8 | draw(st.sampled_from(SEGMENTS) | st.integers(0, 255))
    price = draw(st.integers(0, 2**32 - 1))
    rest = draw(st.binary(min_size=length - 8, max_size=length - 8))
    return struct.pack(">II", token, price) + rest


def sdk(frame: bytes) -> list[Tick]:
    """What Kite's own client reads, in our words. It tells times of the local clock."""
    from kiteconnect import KiteTicker

    return [_ours(row) for row in KiteTicker.__new__(KiteTicker)._parse_binary(frame)]


def _ours(row: dict[str, Any]) -> Tick:
    stamp: datetime | None = row.get("exchange_timestamp")
    seconds = int(stamp.timestamp()) if stamp else 0
    return Tick(
        row["instrument_token"], to_paise(Decimal(str(row["last_price"]))), row.get("volume_traded", 0),
        seconds * SECOND,
    )  # fmt: skip


# --- the decoder ---
@given(st.lists(packets() | st.binary(min_size=4, max_size=64).filter(lambda b: len(b) not in LENGTHS), max_size=12),
       st.binary(max_size=5))  # fmt: skip
def test_what_kites_client_understands_decodes_to_the_same(bodies: list[bytes], more: bytes) -> None:
    frame = framed(*bodies) + more
    assert ticks_of(frame) == sdk(frame)


@given(st.lists(packets(), min_size=1, max_size=5), st.data())
def test_a_frame_cut_anywhere_is_refused_whole(bodies: list[bytes], data: st.DataObject) -> None:
    frame = framed(*bodies)
    with pytest.raises(ValueError, match="kite frame"):
        ticks_of(frame[: data.draw(st.integers(2, len(frame) - 1))])


@given(st.binary(max_size=400))
@example(b"")
@example(b"\xff\xff")
@example(b"\xff\xff" + b"\x00\x00" * 65535)
@example(b"\x00\x01\xff\xff" + bytes(184))
def test_hostile_bytes_end_in_ticks_or_one_value_error(frame: bytes) -> None:
    try:
        found = ticks_of(frame)
    except ValueError:
        return
    assert len(found) <= len(frame) // 10
    assert all(struct.pack(">I", tick.token) in frame for tick in found)


@pytest.mark.parametrize(
    ("segment", "wire", "paise"),
    [
        (1, 157370, 157370),
        (9, 2**32 - 1, 2**32 - 1),
        (3, 832_549_999, 8325),  # currency: seven places
        (3, 832_550_000, 8326),
        (3, 832_450_000, 8325),
        (6, 834_950, 8350),  # half a paisa goes up
        (12, 834_949, 8349),
    ],
)
def test_prices_become_paise_by_the_segment_exactly_half_up(segment: int, wire: int, paise: int) -> None:
    token = 77 << 8 | segment
    assert ticks_of(framed(ltp(token, wire))) == [Tick(token, paise)]


def test_heartbeats_hold_no_ticks() -> None:
    assert ticks_of(b"\x00") == []
    assert ticks_of(framed()) == []


def test_the_official_sample_of_a_full_packet_reads_as_its_json_says() -> None:
    path = SAMPLES / "ticker_full.packet"
    if not path.exists():
        pytest.skip("the official sample packets are not here")
    said = json.loads((SAMPLES / "ticker_full.json").read_text(encoding="utf-8"))
    told = int(datetime.fromisoformat(said["timestamp"]).timestamp()) * SECOND
    (tick,) = ticks_of(framed(base64.b64decode(path.read_text(encoding="utf-8"))))
    assert tick == Tick(said["instrument_token"], to_paise(said["last_price"]), said["volume"], told)


# --- the wire ---
class Desk:
    """A KiteStream at a server of ours, and what came out of it."""

    def __init__(self, server: Peer, token: str = TOKEN) -> None:
        self.ticks: list[Tick] = []
        self.orders: list[BrokerOrder] = []
        self.states: list[StreamState] = []
        self.broker = KiteBroker(KiteSettings(KEY, TOKEN, "http://127.0.0.1:1"))
        self.broker.report = self.orders.append
        self.stream = KiteStream(
            KEY, token, root=server.root, settings=StreamSettings(silence=0), sleep=Nap().sleep,
            on_ticks=self.ticks.extend, on_order_update=self.broker.on_order_update,
            on_state=lambda state, why: self.states.append(state),
        )  # fmt: skip


def update(**fields: Any) -> str:
    row = {
        "order_id": "151220000000000", "exchange_order_id": "1", "status": "COMPLETE", "status_message": None,
        "order_timestamp": "2026-11-20 10:00:01", "exchange": "NSE", "tradingsymbol": "RELIANCE",
        "instrument_token": RELIANCE, "transaction_type": "BUY", "order_type": "MARKET", "product": "MIS",
        "validity": "DAY", "variety": "regular", "quantity": 10, "filled_quantity": 10, "pending_quantity": 0,
        "cancelled_quantity": 0, "disclosed_quantity": 0, "price": 0, "trigger_price": 0, "average_price": 1000.5,
        "tag": "OT1", **fields,
    }  # fmt: skip
    return json.dumps({"type": "order", "data": row})


async def test_the_handshake_bears_key_token_and_version() -> None:
    async with peer() as server:
        desk = Desk(server)
        async with running(desk.stream.run()):
            await until(lambda: server.links)
        assert server.requests[0].path == f"/?api_key={KEY}&access_token={TOKEN}"
        assert server.requests[0].headers["X-Kite-Version"] == "3"


async def test_instruments_are_asked_for_with_their_mode_and_let_go() -> None:
    async with peer() as server:
        desk = Desk(server)
        desk.stream.subscribe([RELIANCE, 408065])
        async with running(desk.stream.run()):
            await until(lambda: server.came and len(server.came[0]) == 2)
            desk.stream.unsubscribe([408065])
            await until(lambda: len(server.came[0]) == 3)
        assert server.came[0] == [
            '{"a":"subscribe","v":[738561,408065]}',
            '{"a":"mode","v":["full",[738561,408065]]}',
            '{"a":"unsubscribe","v":[408065]}',
        ]


async def test_more_instruments_than_a_connection_takes_are_refused_and_change_nothing() -> None:
    async with peer() as server:
        stream = Desk(server).stream
        stream.subscribe(range(AT_MOST))
        stream.subscribe([0, 1])
        with pytest.raises(BrokerException, match="3001 instruments on one connection; allowed: 3000"):
            stream.subscribe([AT_MOST])
        assert stream.wire.keys == tuple(range(AT_MOST))


async def test_ticks_and_order_updates_arrive_and_poison_costs_itself_alone() -> None:
    async with peer() as server:
        desk = Desk(server)
        async with running(desk.stream.run()):
            await until(lambda: server.links)
            await server.send(b"\x00")
            await server.send(b"\x00\x01\x00\xb8" + bytes(100))  # torn
            await server.send(update(order_id=None, quantity="ten"))
            await server.send("[1]")
            await server.send('{"type": "message", "data": "maintenance at 17:00"}')
            await server.send(update())
            await server.send(framed(ltp(RELIANCE, 100_050), bytes(5)))
            await until(lambda: desk.ticks)
        assert desk.ticks == [Tick(RELIANCE, 100_050)]
        assert [(order.order_id, order.filled, order.value) for order in desk.orders] == [
            ("151220000000000", 10, 1_000_500)
        ]
        assert desk.stream.told == "message: maintenance at 17:00"
        assert (desk.stream.wire.dropped, desk.stream.wire.connections) == (3, 1)


async def test_a_new_token_goes_with_the_next_connection_and_without_one_nothing_is_sent() -> None:
    async with peer() as server:
        desk = Desk(server, token="")
        async with running(desk.stream.run()):
            await until(lambda: desk.states == [StreamState.REFUSED])
            assert desk.stream.wire.why == "no access token: log in"
            assert server.requests == []
            desk.stream.set_access_token("tomorrowsToken")
            await until(lambda: desk.states == [StreamState.REFUSED, StreamState.LIVE])
        assert server.requests[0].path.endswith("access_token=tomorrowsToken")
