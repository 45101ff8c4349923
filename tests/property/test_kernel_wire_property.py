"""What holds of a frame of Upstox's that is read in one call: it is what the official class makes of it."""

from __future__ import annotations

import random
import struct
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from kernel_desk import MINUTE, OPEN, SECOND, Desk
from kernel_feed import ByHand, Feed, key_of
from kernel_story import Setting, desk_for, settings_of_a_story

from otrade_bot.brokers.upstox.stream import KeyTick, ticks_of
from otrade_bot.core.money import to_paise
from otrade_bot.kernel import wire
from otrade_bot.kernel.compile import Kernel

PLAIN = Setting("ema_crossover", MINUTE, True, False, 0, 5, 100, 1_500_000)
TOKENS = [11, 22, 33]
KEYS = [key_of(token) for token in TOKENS]
DESKS: dict[str, Desk] = {}
modest = settings(max_examples=100, deadline=None)

whole = st.integers(0, 10**9)
prices = st.floats(0, 1e11) | whole.map(lambda n: n / 100) | whole.map(lambda n: n / 1000)
counts = st.integers(0, 2**53)


# --- a writer of the wire format, that may say all that is allowed to be said ---------------------------


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def double(field: int, value: float) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<d", value)


def inside(field: int, body: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(body)) + body


#: What neither side knows: numbers that nobody has given to a field, of every wire type that is in use.
strangers = st.one_of(
    st.builds(number, st.integers(50, 60), st.integers(0, 2**64 - 1)),
    st.builds(double, st.integers(50, 60), prices),
    st.builds(inside, st.integers(50, 60), st.binary(max_size=9)),
    st.builds(lambda field: varint(field << 3 | 5) + struct.pack("<f", 1.5), st.integers(50, 60)),
)
trades = st.lists(
    st.one_of(
        st.builds(double, st.sampled_from([1, 4]), prices),
        st.builds(number, st.just(2), st.integers(0, 9_000_000_000_000)),
        st.builds(number, st.just(3), counts),
        strangers,
    ),
    max_size=6,
).map(b"".join)
ohlc = st.builds(lambda x, n: inside(4, inside(1, inside(1, b"1d") + double(2, x) + number(6, n))), prices, counts)


def bodies(vtt: int) -> st.SearchStrategy[bytes]:
    trade = st.builds(inside, st.just(1), trades)
    volume = st.builds(number, st.just(vtt), counts)
    parts = [trade, trade, volume, strangers] if vtt == 4 else [trade, trade, volume, ohlc, strangers]
    return st.lists(st.one_of(*parts), max_size=5).map(b"".join)


fulls = st.lists(
    st.builds(inside, st.just(1), bodies(6)) | st.builds(inside, st.just(2), st.builds(inside, st.just(1), trades))
    | strangers, max_size=3,
).map(b"".join)  # fmt: skip
feeds = st.lists(
    st.one_of(
        st.builds(inside, st.just(1), trades), st.builds(inside, st.just(2), fulls),
        st.builds(inside, st.just(2), fulls), st.builds(inside, st.just(3), bodies(4)),
        st.builds(number, st.just(4), st.integers(0, 3)), strangers,
    ),
    max_size=3,
).map(b"".join)  # fmt: skip
names = st.sampled_from([*KEYS, KEYS[0] + "1", KEYS[0][:-1], "", "NSE_INDEX|Nifty 50"]).map(lambda key: key.encode())
entries = st.lists(
    st.builds(inside, st.just(1), names) | st.builds(inside, st.just(2), feeds) | strangers, max_size=4
).map(b"".join)
usual = st.builds(lambda key, feed: inside(1, key) + inside(2, feed), names, feeds)
frames = st.lists(
    st.builds(inside, st.just(2), usual) | st.builds(inside, st.just(2), usual) | st.builds(inside, st.just(2), entries)
    | st.builds(number, st.sampled_from([1, 3]), counts) | strangers, max_size=6,
).map(b"".join)  # fmt: skip


def feed_of(kernel: Kernel) -> Feed:
    """Of instruments that are only looked at: from row 1 on."""
    if kernel.key not in DESKS:
        DESKS[kernel.key] = desk_for(kernel, PLAIN, 1)
    return Feed(DESKS[kernel.key], [0, *TOKENS])


def told(ticks: list[KeyTick]) -> dict[str, tuple[int, int]]:
    return {tick.key: (tick.ltp_paise, tick.exchange_ts_ns) for tick in ticks if tick.key in KEYS and tick.ltp_paise}


# --- what is read -------------------------------------------------------------------------------------


@modest
@given(frame=frames)
def test_a_frame_is_read_as_the_official_class_reads_it(frame: bytes, kernel: Kernel, twin: Kernel) -> None:
    wanted = told(ticks_of(frame))
    both = [feed_of(kernel), feed_of(twin)]
    for feed in both:
        assert feed.upstox(frame, OPEN) == []
        quotes = [feed.quote(row) for row in (1, 2, 3)]
        assert {k: (q["ltp"], q["exchange_ts"]) for k, q in zip(KEYS, quotes, strict=True) if q["ltp"]} == wanted
        assert (feed["torn"], feed["left"], feed["told"]) == (0, 0, len(wanted))
    assert both[0].quotes.tobytes() == both[1].quotes.tobytes()
    assert both[0].feed.tobytes() == both[1].feed.tobytes()


@settings(max_examples=400, deadline=None)
@given(x=prices | st.floats(0, 1e6) | whole.map(lambda n: (10 * n + 5) / 1000), step=st.integers(-1, 1))
@example(x=1.005, step=0)
@example(x=0.125, step=0)
@example(x=999_999_999_999.99, step=0)
def test_a_double_becomes_paise_by_its_shortest_text(x: float, step: int) -> None:
    bits = max(0, struct.unpack("<q", struct.pack("<d", x))[0] + step)
    (near,) = struct.unpack("<d", struct.pack("<q", bits))
    assert wire.to_paise(bits) == to_paise(near)


@modest
@given(frame=frames, data=st.data())
def test_changed_bytes_are_read_alike_or_drop_the_frame(frame: bytes, data: st.DataObject, kernel: Kernel) -> None:
    changed = bytearray(frame or b"\x00")
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    _alike_or_dropped(bytes(changed[: data.draw(st.integers(0, len(changed)))]), kernel)


@modest
@given(frame=st.binary(max_size=200))
@example(frame=b"\xff" * 11)
@example(frame=b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
@example(frame=b"\x12\x80\x80\x80\x80\x10")
@example(frame=b"\x0b\x0c")
@example(frame=b"\x02\x00")
def test_any_bytes_are_read_alike_or_drop_the_frame(frame: bytes, kernel: Kernel) -> None:
    _alike_or_dropped(frame, kernel)


def _alike_or_dropped(frame: bytes, kernel: Kernel) -> None:
    feed = feed_of(kernel)
    before = feed.desk.bytes() + feed.quotes.tobytes()
    assert feed.upstox(frame, OPEN) == []
    if feed["torn"]:
        assert (feed["torn"], feed["packets"]) == (1, 0)
        assert feed.desk.bytes() + feed.quotes.tobytes() == before
        return
    try:
        ticks = ticks_of(frame)
    except Exception:  # what holds no price may be broken there, and is stepped over here
        return
    found = {key: feed.quote(row)["ltp"] for row, key in enumerate(KEYS, start=1) if feed.quote(row)["ltp"]}
    assert found == {t.key: t.ltp_paise for t in ticks if t.key in KEYS and 0 < t.ltp_paise < 10**14}


# --- the same as price by price -----------------------------------------------------------------------


def _frames(rng: random.Random, count: int) -> list[tuple[bytes, int, list[tuple[int, int, int, int]]]]:
    found, now = list[tuple[bytes, int, list[tuple[int, int, int, int]]]](), OPEN
    price, volume = [10_000] * 3, [0] * 3
    for _ in range(count):
        now += rng.choice((1_000_000, SECOND // 3, SECOND, 20 * SECOND, MINUTE))
        frame, heard = number(1, 1), []
        for row in rng.sample(range(3), rng.randint(0, 3)):
            price[row] += rng.choice((0, 5, -5, 60, -60, 300, -300))
            volume[row] += rng.choice((0, 1, 50))
            stamp = now // 1_000_000 - rng.choice((0, 5, 9000))
            trade = inside(1, double(1, price[row] / 100) + number(2, stamp) + number(3, 1))
            body = inside(2, inside(1, trade + number(6, volume[row])))
            frame += inside(2, inside(1, KEYS[row].encode()) + inside(2, body))
            heard.append((row, price[row], volume[row], stamp * 1_000_000))
        found.append((frame, now, heard))
    return found


@settings(max_examples=12, deadline=None)
@given(setting=settings_of_a_story, seed=st.integers(0, 2**32 - 1), attend=st.sets(st.integers(0, 2)))
def test_a_frame_in_one_call_is_what_its_prices_are_one_by_one(
    setting: Setting, seed: int, attend: set[int], kernel: Kernel
) -> None:
    by_hand, feed = ByHand(_desk(kernel, setting), TOKENS), Feed(_desk(kernel, setting), TOKENS, tape=1)
    by_hand.attend = attend
    feed.quotes["attend"][list(attend)] = 1
    feed.feed[0]["record"] = 1
    for frame, now, heard in _frames(random.Random(seed), 60):
        assert feed.upstox(frame, now) == by_hand.heard(heard, now)
    assert feed.desk.bytes() == by_hand.desk.bytes()
    assert feed.taped == by_hand.offered


def _desk(kernel: Kernel, setting: Setting) -> Any:
    desk = desk_for(kernel, setting, 3)
    desk.limits(spike_ppm=20_000, spike_confirm=3)
    return desk
