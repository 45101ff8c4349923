"""What holds of a frame of prices that is read and stepped in one call, whatever its bytes."""

from __future__ import annotations

import random
import struct
from datetime import datetime
from decimal import Decimal
from typing import Any

from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from kernel_desk import MINUTE, OPEN, SECOND, Desk
from kernel_feed import ByHand, Feed, framed
from kernel_story import Setting, desk_for, settings_of_a_story

from otrade_bot.brokers.kite.ticks import ticks_of
from otrade_bot.core.money import to_paise
from otrade_bot.kernel.compile import Kernel

LENGTHS = (8, 28, 32, 44, 184)
SEGMENTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12)
PLAIN = Setting("ema_crossover", MINUTE, True, False, 0, 5, 100, 1_500_000)
DESKS: dict[str, Desk] = {}
modest = settings(max_examples=60, deadline=None)


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    """Of a known length and a segment that Kite has, more often than not."""
    length = draw(st.sampled_from(LENGTHS))
    token = draw(st.integers(1, 2**24 - 1)) << 8 | draw(st.sampled_from(SEGMENTS) | st.integers(0, 255))
    rest = draw(st.binary(min_size=length - 8, max_size=length - 8))
    return struct.pack(">II", token, draw(st.integers(0, 2**32 - 1))) + rest


def sdk(frame: bytes) -> list[dict[str, Any]]:
    """What Kite's own client reads."""
    from kiteconnect import KiteTicker

    rows: list[dict[str, Any]] = KiteTicker.__new__(KiteTicker)._parse_binary(frame)
    return rows


def paise(rupees: float) -> int:
    return to_paise(Decimal(str(rupees)))


def ns(told: datetime | None) -> int:
    """The client tells times of the local clock."""
    return int(told.timestamp()) * SECOND if told else 0


def said(row: dict[str, Any]) -> dict[str, int]:
    """The client's words as a QUOTE: what this packet tells."""
    found = {"token": row["instrument_token"]}
    if row["last_price"] and paise(row["last_price"]):
        found["ltp"] = paise(row["last_price"])
        if stamp := ns(row.get("exchange_timestamp")):
            found["exchange_ts"] = stamp
    found |= {name: paise(row["ohlc"][name]) for name in ("open", "high", "low", "close") if "ohlc" in row}
    names = {
        "last_traded_quantity": "last_qty", "total_buy_quantity": "buy_qty", "total_sell_quantity": "sell_qty",
        "oi": "oi", "oi_day_high": "oi_high", "oi_day_low": "oi_low",
    }  # fmt: skip
    found |= {ours: row[name] for name, ours in names.items() if name in row}
    if "average_traded_price" in row:
        found["average"] = paise(row["average_traded_price"])
    if "depth" in row:
        bid, ask = row["depth"]["buy"][0], row["depth"]["sell"][0]
        found |= {
            "last_trade_ts": ns(row["last_trade_time"]), "bid": paise(bid["price"]), "bid_qty": bid["quantity"],
            "ask": paise(ask["price"]), "ask_qty": ask["quantity"],
        }  # fmt: skip
    return found


def feed_of(kernel: Kernel, tokens: list[int]) -> Feed:
    """Of instruments that are only looked at: from row 1 on; the one row that is traded has no token."""
    if kernel.key not in DESKS:
        DESKS[kernel.key] = desk_for(kernel, PLAIN, 1)
    return Feed(DESKS[kernel.key], [0, *tokens])


# --- values ---------------------------------------------------------------------------------------


@modest
@given(bodies=st.lists(packets() | st.binary(min_size=4, max_size=64).filter(lambda b: len(b) not in LENGTHS),
                       max_size=12), more=st.binary(max_size=5))  # fmt: skip
def test_what_kites_client_understands_is_kept_to_the_same_values(
    bodies: list[bytes], more: bytes, kernel: Kernel, twin: Kernel
) -> None:
    frame = framed(*bodies) + more
    rows = [row for row in sdk(frame) if row["instrument_token"]]
    tokens = list(dict.fromkeys(row["instrument_token"] for row in rows))
    feeds = [feed_of(k, tokens) for k in (kernel, twin)]
    wanted: dict[int, dict[str, int]] = {}
    for row in rows:
        wanted.setdefault(row["instrument_token"], {}).update(said(row))
    for feed in feeds:
        feed.quotes["depth"] = range(1, len(tokens) + 2)
        feed.kite(frame, OPEN)
        for i, token in enumerate(tokens, start=1):
            quote = feed.quote(i)
            assert quote | wanted[token] == quote
            _levels_agree(feed, i, [row for row in rows if row["instrument_token"] == token and "depth" in row])
        assert (feed["frames"], feed["torn"], feed["packets"]) == (1, 0, len(bodies))
        assert feed["packets"] - feed["unknown"] - feed["misshapen"] == len(rows)
    assert feeds[0].quotes.tobytes() == feeds[1].quotes.tobytes()
    assert feeds[0].depth.tobytes() == feeds[1].depth.tobytes()


def _levels_agree(feed: Feed, row: int, told: list[dict[str, Any]]) -> None:
    if not told:
        return
    levels = told[-1]["depth"]["buy"] + told[-1]["depth"]["sell"]
    kept = feed.depth[row]
    assert kept["price"].tolist() == [paise(level["price"]) for level in levels]
    assert kept["qty"].tolist() == [level["quantity"] for level in levels]
    assert kept["orders"].tolist() == [level["orders"] for level in levels]


# --- hostile bytes ----------------------------------------------------------------------------------


def bytes_of(feed: Feed) -> bytes:
    return feed.desk.bytes() + feed.quotes.tobytes() + feed.depth.tobytes()


@modest
@given(bodies=st.lists(packets(), min_size=1, max_size=5), data=st.data())
def test_of_a_frame_cut_anywhere_nothing_is_used_and_it_is_counted_once(
    bodies: list[bytes], data: st.DataObject, kernel: Kernel, twin: Kernel
) -> None:
    frame = framed(*bodies)
    short = frame[: data.draw(st.integers(2, len(frame) - 1))]
    for k in (kernel, twin):
        feed = feed_of(k, [int.from_bytes(body[:4], "big") for body in bodies])
        before = bytes_of(feed)
        assert feed.kite(short, OPEN) == []
        assert bytes_of(feed) == before
        assert (feed["frames"], feed["torn"], feed["packets"], feed["told"]) == (1, 1, 0, 0)


@modest
@given(frame=st.binary(max_size=400))
@example(frame=b"")
@example(frame=b"\xff\xff")
@example(frame=b"\xff\xff" + b"\x00\x00" * 65535)
@example(frame=b"\x00\x01\xff\xff" + bytes(184))
def test_any_bytes_are_read_as_price_by_price_or_counted_as_torn(frame: bytes, kernel: Kernel) -> None:
    _same_as_ticks_of(frame, kernel)


@modest
@given(bodies=st.lists(packets(), min_size=1, max_size=6), data=st.data())
def test_changed_bytes_are_read_as_price_by_price_or_counted_as_torn(
    bodies: list[bytes], data: st.DataObject, kernel: Kernel
) -> None:
    frame = bytearray(framed(*bodies))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    _same_as_ticks_of(bytes(frame), kernel)


def _same_as_ticks_of(frame: bytes, kernel: Kernel) -> None:
    try:
        ticks = ticks_of(frame)
    except ValueError:
        feed = feed_of(kernel, [1])
        assert feed.kite(frame, OPEN) == []
        assert (feed["torn"], feed["packets"]) == (1, 0)
        return
    tokens = list(dict.fromkeys(tick.token for tick in ticks if tick.token))
    feed = feed_of(kernel, tokens)
    feed.kite(frame, OPEN)
    assert feed["torn"] == 0
    last = {tick.token: tick.ltp_paise for tick in ticks if tick.ltp_paise}
    assert all(feed.quote(i)["ltp"] == last.get(token, 0) for i, token in enumerate(tokens, start=1))
    assert feed["told"] == sum(1 for tick in ticks if tick.token and tick.ltp_paise)


# --- the same as price by price -----------------------------------------------------------------------

TOKENS = [408065, 738561, 256265 << 8 | 9]


def _prices(rng: random.Random, frames: int) -> list[tuple[bytes, int]]:
    """Frames of a few instruments whose prices cross back and forth, with what brokers add to that: repeats, pauses,
    old stamps, volumes that are not told or fall, other people's instruments."""
    found, now = list[tuple[bytes, int]](), OPEN - 2 * SECOND
    price, volume = dict.fromkeys(TOKENS, 10_000), dict.fromkeys(TOKENS, 0)
    for _ in range(frames):
        now += rng.choice((1, 1_000_000, SECOND // 3, SECOND, 20 * SECOND, MINUTE))
        bodies = []
        for _ in range(rng.randint(0, 5)):
            token = rng.choice([*TOKENS, *TOKENS, 999 << 8 | 1])
            if token in price:
                price[token] = max(0, price[token] + rng.choice((0, 0, 5, -5, 60, -60, 300, -300)))
                volume[token] = max(0, volume[token] + rng.choice((0, 0, 1, 50, 50, -50)))
            stamp = now // SECOND - rng.choice((0, 0, 0, 1, 7, 3000))
            bodies.append(_body(rng, token, price.get(token, 7), volume.get(token, 7), stamp))
        found.append((framed(*bodies), now))
    return found


def _body(rng: random.Random, token: int, price: int, volume: int, stamp: int) -> bytes:
    length = rng.choice((8, 44, 44, 184, 184, 184, 32, 28, 50))
    words = [token, price, 1, price, volume, 5, 6, price, price, price, price, stamp, 1, 2, 3, stamp]
    if length in (28, 32):
        words[7] = stamp
    return (struct.pack(">16I", *words) + bytes(120))[:length]


@settings(max_examples=25, deadline=None)
@given(setting=settings_of_a_story, seed=st.integers(0, 2**32 - 1), attend=st.sets(st.integers(0, 2)),
       record=st.booleans())  # fmt: skip
def test_a_frame_in_one_call_is_what_its_prices_are_one_by_one(
    setting: Setting, seed: int, attend: set[int], record: bool, kernel: Kernel, twin: Kernel
) -> None:
    rng = random.Random(seed)
    frames = _prices(rng, 30)
    by_hand = ByHand(_desk(kernel, setting), TOKENS)
    feeds = [Feed(_desk(k, setting), TOKENS) for k in (kernel, twin)]
    by_hand.attend = attend
    for feed in feeds:
        feed.quotes["attend"][list(attend)] = 1
        feed.feed[0]["record"] = int(record)
    for frame, now in frames:
        wanted = by_hand.kite(frame, now)
        assert [feed.kite(frame, now) for feed in feeds] == [wanted, wanted]
    for feed in feeds:
        assert feed.desk.bytes() == by_hand.desk.bytes()
        assert feed.taped == (by_hand.offered if record else [])
        for row in range(len(TOKENS)):
            quote = feed.quote(row)
            assert (quote["last"], quote["volume"]) == (by_hand.price[row], by_hand.volume[row])
            assert (quote["ts"], quote["told"]) == (by_hand.last.get(row, 0), by_hand.told.get(row, 0))
            assert quote["more"] == by_hand.base.get(row, 0)
        assert feed.quotes["ticks"].sum() == by_hand.used
        assert attend or feed["used"] == by_hand.used
    assert feeds[0].quotes.tobytes() == feeds[1].quotes.tobytes()
    assert feeds[0].feed.tobytes() == feeds[1].feed.tobytes()
    event(f"enters: {by_hand.desk.sum('trades') > 0}")


def _desk(kernel: Kernel, setting: Setting) -> Desk:
    desk = desk_for(kernel, setting, len(TOKENS))
    desk.limits(spike_ppm=20_000, spike_confirm=3)
    desk.put(2, tradable=0, sid=0)
    return desk


@settings(max_examples=15, deadline=None)
@given(setting=settings_of_a_story, seed=st.integers(0, 2**32 - 1), attend=st.sets(st.integers(0, 2)))
def test_prices_decoded_elsewhere_are_what_they_are_one_by_one(
    setting: Setting, seed: int, attend: set[int], kernel: Kernel, twin: Kernel
) -> None:
    by_hand = ByHand(_desk(kernel, setting), TOKENS)
    feeds = [Feed(_desk(k, setting), TOKENS) for k in (kernel, twin)]
    by_hand.attend = attend
    for feed in feeds:
        feed.quotes["attend"][list(attend)] = 1
    for frame, now in _prices(random.Random(seed), 30):
        ticks = [t for t in ticks_of(frame) if t.token in by_hand.rows]
        heard = [(by_hand.rows[t.token], t.ltp_paise, t.volume, t.exchange_ts_ns) for t in ticks]
        wanted = by_hand.heard(heard, now)
        assert [feed.heard(heard, now) for feed in feeds] == [wanted, wanted]
    assert {feed.desk.bytes() for feed in feeds} == {by_hand.desk.bytes()}
    assert feeds[0].quotes.tobytes() == feeds[1].quotes.tobytes()
    assert {int(feed.quotes["ticks"].sum()) for feed in feeds} == {by_hand.used}
    assert feeds[0]["told"] >= by_hand.used
