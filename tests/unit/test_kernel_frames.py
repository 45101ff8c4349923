"""A frame of Kite's in one call: what is kept, what is counted, and where it stops for Python."""

from __future__ import annotations

import base64
import json
import struct
from datetime import datetime
from pathlib import Path

import pytest
from kernel_desk import MINUTE, OPEN, SECOND, Desk
from kernel_feed import Feed, framed

from otrade_bot.core.money import to_paise
from otrade_bot.kernel import compile as build
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Kernel, StrategySource
from otrade_bot.kernel.tokens import slots_for

SAMPLES = Path(__file__).parents[3] / "shared" / "venues" / "kite"
INFY, RELIANCE = 408065, 738561


def ltp(token: int, price: int) -> bytes:
    return struct.pack(">II", token, price)


def quote(token: int, price: int, volume: int) -> bytes:
    return struct.pack(">11I", token, price, 10, price, volume, 0, 0, price, price, price, price)


@pytest.fixture
def feed(kernel: Kernel) -> Feed:
    return Feed(Desk(kernel, "", rows=2), [INFY, RELIANCE])


def test_the_official_sample_of_a_full_packet_is_kept_as_its_json_says(feed: Feed) -> None:
    path = SAMPLES / "ticker_full.packet"
    if not path.exists():
        pytest.skip("the official sample packets are not here")
    said = json.loads((SAMPLES / "ticker_full.json").read_text(encoding="utf-8"))
    feed.quotes["depth"][0] = 2
    feed.kite(framed(base64.b64decode(path.read_text(encoding="utf-8"))), OPEN)
    kept, levels = feed.quote(), said["depth"]["buy"] + said["depth"]["sell"]
    assert kept["ltp"] == to_paise(said["last_price"])
    assert kept["exchange_ts"] == int(datetime.fromisoformat(said["timestamp"]).timestamp()) * SECOND
    assert (kept["bid"], kept["ask"]) == (to_paise(levels[0]["price"]), to_paise(levels[5]["price"]))
    assert [kept[name] for name in ("open", "high", "low", "close")] == [
        to_paise(said["ohlc"][name]) for name in ("open", "high", "low", "close")
    ]
    assert feed.depth[1]["price"].tolist() == [to_paise(level["price"]) for level in levels]
    assert feed.depth[1]["qty"].tolist() == [level["quantity"] for level in levels]
    assert not feed.depth[0]["price"].any()


def test_depth_is_kept_only_where_it_is_asked_for(feed: Feed) -> None:
    level = struct.pack(">IIHxx", 5, 100, 1) * 10
    body = quote(INFY, 100, 1) + bytes(20) + level
    feed.kite(framed(body), OPEN)
    assert not feed.depth["price"].any()
    assert (feed.quote()["bid"], feed.quote()["ask_qty"]) == (100, 5)


def test_heartbeats_count_as_nothing(feed: Feed) -> None:
    before = feed.feed.tobytes()
    for frame in (b"", b"\x00"):
        assert feed.kite(frame, 0) == []
    assert feed.feed.tobytes() == before


def test_strangers_and_lengths_that_are_not_documented_are_counted_and_let_pass(feed: Feed) -> None:
    feed.kite(framed(ltp(1, 100), bytes(9), b"", ltp(0, 100), quote(INFY, 500, 3)), OPEN)
    names = ("frames", "packets", "unknown", "misshapen", "torn", "told", "used")
    assert [feed[name] for name in names] == [1, 5, 2, 2, 0, 1, 1]
    assert feed.desk.get("price") == 500


def test_a_torn_frame_costs_one_count_and_changes_nothing_else(feed: Feed) -> None:
    before = feed.desk.bytes() + feed.quotes.tobytes()
    feed.kite(framed(quote(INFY, 500, 3), quote(RELIANCE, 500, 3))[:-1], OPEN)
    assert feed.desk.bytes() + feed.quotes.tobytes() == before
    assert (feed["torn"], feed["packets"]) == (1, 0)


def test_a_packet_without_a_price_is_no_price(feed: Feed) -> None:
    feed.kite(framed(quote(INFY, 100, 3)), OPEN)
    feed.kite(framed(quote(INFY, 0, 4)), OPEN + SECOND)
    assert (feed.quote()["ltp"], feed.quote()["heard"], feed["told"]) == (100, OPEN, 1)


def test_prices_come_at_moments_that_grow_and_old_stamps_say_when_they_were(feed: Feed) -> None:
    feed.feed[0]["record"] = 1
    old = OPEN + 10 * SECOND
    index = struct.pack(">8I", INFY, 100, 1, 1, 1, 1, 0, old // SECOND)
    feed.kite(framed(index, index[:4] + ltp(0, 105)[4:] + index[8:], quote(RELIANCE, 7, 1)), OPEN + MINUTE)
    assert [(row, ts) for row, ts, _, _ in feed.taped] == [(1, OPEN + MINUTE)]  # an index has no volume
    feed.desk.put(0, tradable=0)
    feed.kite(framed(index), OPEN + MINUTE)
    assert feed.taped[-1] == (0, old + 2, 100, 0)


def test_what_is_offered_is_written_down_however_little_room_there_is(kernel: Kernel) -> None:
    feed = Feed(Desk(kernel, "", rows=2), [INFY, RELIANCE], tape=1)
    feed.feed[0]["record"] = 1
    feed.kite(framed(*(quote(INFY, 100 + k, k + 1) for k in range(5))), OPEN)
    assert [price for _, _, price, _ in feed.taped] == [100, 101, 102, 103, 104]
    assert feed["used"] == 5


def test_where_python_attends_the_kernel_has_not_looked_at_the_price(feed: Feed) -> None:
    f = feed.feed[0]
    feed.quotes["attend"][0] = 1
    f["now"], frame = OPEN, framed(quote(INFY, 500, 3), quote(RELIANCE, 600, 4))
    d = feed.desk
    given = (d.state, d.account, d.params, feed.quotes, feed.depth, feed.slots, feed.feed, frame, d.event, d.out)
    before = d.state.tobytes()
    assert feed.kernel.kite_frame(*given, feed.tape) == 0
    assert [feed[name] for name in ("stop", "row", "ts", "price", "volume", "left")] == [
        abi.S_ATTEND, 0, OPEN, 500, 3, 1,
    ]  # fmt: skip
    assert d.state.tobytes() == before
    assert feed.kernel.kite_frame(*given, feed.tape) == 0
    assert (feed["stop"], d.get("price", 0), d.get("price", 1)) == (abi.S_DONE, 0, 600)


def test_instruments_that_are_only_looked_at_have_quotes_and_no_row(kernel: Kernel) -> None:
    feed = Feed(Desk(kernel, "", rows=1), [INFY, RELIANCE])
    feed.kite(framed(quote(RELIANCE, 700, 4), quote(INFY, 500, 3)), OPEN)
    assert (feed.quote(1)["ltp"], feed["used"], feed.desk.get("price")) == (700, 1, 500)


RAISES = """
from __future__ import annotations
from typing import Any
STATE = {}
def update(s: Any, p: Any) -> None:
    if s.close > 5.0:
        raise ValueError("too dear")
def should_buy(s: Any, p: Any) -> bool:
    return False
def should_sell(s: Any, p: Any) -> bool:
    return False
"""


def test_a_strategy_that_raises_costs_its_row_alone(tmp_path: Path) -> None:
    source = StrategySource("mine", tmp_path / "mine.py", RAISES)
    feed = Feed(Desk(build.load([source], interpreted=True), "", rows=3), [INFY, RELIANCE, 7 << 8 | 1])
    feed.desk.params["sid"] = 1
    feed.feed[0]["now"], d = OPEN, feed.desk
    frame = framed(quote(INFY, 400, 1), quote(RELIANCE, 900, 1), quote(7 << 8 | 1, 300, 1))
    given = (d.state, d.account, d.params, feed.quotes, feed.depth, feed.slots, feed.feed, frame, d.event, d.out)
    with pytest.raises(ValueError, match="too dear"):
        feed.kernel.kite_frame(*given, feed.tape)
    assert (feed["row"], feed["left"]) == (1, 1)
    feed.kernel.kite_frame(*given, feed.tape)
    assert (feed["stop"], feed["left"], d.get("price", 0), d.get("price", 2)) == (abi.S_DONE, 0, 400, 300)


def test_every_token_is_found_and_no_other(kernel: Kernel) -> None:
    tokens = [(1000 + 7 * k) << 8 | 1 for k in range(3000)]
    slots = slots_for(kernel, tokens)
    assert len(slots) >= 2 * len(tokens)
    assert sorted(slots["key"][slots["key"] > 0].tolist()) == tokens
    feed = Feed(Desk(kernel, "", rows=1), [0, *tokens])
    feed.kite(framed(*(ltp(token, 100 + k) for k, token in enumerate(tokens)), ltp(tokens[0] + 1, 1)), OPEN)
    assert feed.quotes["ltp"][1:].tolist() == list(range(100, 3100))
    assert feed["unknown"] == 1
