"""A day opened at noon knows its morning by the broker's candles: its bars are those that prices would have made."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness.bench import DAY, OPEN, SHARE, Bench, config, run
from hypothesis import given, settings
from hypothesis import strategies as st

from otrade_bot.brokers.feeds import TickFile
from otrade_bot.brokers.feeds.minutes import MARGIN, Believed, Heard, bar_file, tick_file
from otrade_bot.brokers.quotes import Candle
from otrade_bot.core.clock import MINUTE, SECOND, at_ist
from otrade_bot.kernel.candles import CandleAgg
from otrade_bot.service.day import inputs, stream_of
from otrade_bot.service.warm import warm_up
from otrade_bot.strategies.loader import load_strategy

Tick = tuple[int, int, int]  # ns, paise, the day's volume
DAY_END = at_ist(DAY, 15, 30)
BARS = (
    "bars day_bars open high low close volume_bar day_pv day_v opens highs lows closes volumes "
    "bar_open bar_high bar_low bar_close bar_volume bar_from bar_end price ltp verdict"
).split()  # fmt: skip


def walk(seed: int, until: int, start: int = OPEN, price: int = 100_000) -> list[Tick]:
    """Prices at any moment, in busy minutes and in idle ones; now and then the market jumps."""
    dice = np.random.default_rng(seed)
    found: list[Tick] = []
    ts, volume = start, 0
    while True:
        ts += int(dice.exponential(4.0 if dice.random() < 0.97 else 150.0) * SECOND) + 1
        if ts >= until:
            return found
        if dice.random() < 0.002:
            price = int(price * dice.choice([0.93, 1.07])) // 5 * 5
            found += [(ts + k * 10_000_000, price, volume + 5) for k in range(3)]  # told as often as is believed
            ts, volume = ts + 20_000_000, volume + 5
            continue
        price += int(dice.integers(-8, 9)) * 5
        volume += int(dice.integers(0, 400))
        found.append((ts, price, volume))


def as_file(ticks: Sequence[Tick]) -> TickFile:
    ts, price, volume = (np.array(column, np.int64) for column in zip(*ticks, strict=True))
    return TickFile(SHARE.symbol, "told", ts, price, volume, len(ts))


def candles_of(ticks: Sequence[Tick]) -> list[Candle]:
    """As a broker makes them: a minute without a trade has none."""
    found: dict[int, list[int]] = {}
    before = 0
    for ts, price, volume in ticks:
        bar = found.setdefault(ts // MINUTE * MINUTE, [price, price, price, price, 0])
        bar[1], bar[2], bar[3], bar[4] = max(bar[1], price), min(bar[2], price), price, bar[4] + volume - before
        before = volume
    return [Candle(ts, *bar) for ts, bar in found.items()]


def past() -> list[Candle]:
    """Two days that end near where today begins."""
    found: list[Candle] = []
    for day in (14, 15):
        begin = at_ist(DAY.replace(day=day), 9, 15)
        found += candles_of(walk(day, begin + 375 * MINUTE, begin))
    shift = 100_000 - found[-1].close
    return [Candle(c.ts_ns, c.open + shift, c.high + shift, c.low + shift, c.close + shift, c.volume) for c in found]


def opened(path: Path, strategy: str, timeframe: str) -> Bench:
    """An engine that has seen earlier days, and trades nothing: the bars are the matter."""
    risk = {"spike_percent": 5.0, "spike_confirmations": 3}
    bench = Bench.paper(path, config(strategy, timeframe=timeframe, risk=risk), start=False)
    warm_up(bench.engine, [bar_file(SHARE.symbol, "broker", past(), MINUTE)], DAY)
    bench.broker.start_day(DAY)
    bench.engine.start_day(DAY)
    bench.engine.pause("the test")
    return bench


def lived(path: Path, strategy: str, timeframe: str, file: TickFile, until: int) -> Bench:
    """It was there all the time."""
    bench = opened(path, strategy, timeframe)
    stream, _, _ = stream_of([file], DAY, bench.engine)
    bench.feed(takewhile(lambda step: step[0] <= until, inputs(stream, bench.engine.timers)))
    return bench


def restarted(path: Path, strategy: str, timeframe: str, file: TickFile, until: int) -> Bench:
    """It came at ``until``, and recovers."""
    bench = opened(path, strategy, timeframe)
    bench.clock.advance_to(until)
    stream, _, _ = stream_of([file], DAY, bench.engine)
    run(bench.engine.recover(history=takewhile(lambda step: step[0] <= until, inputs(stream, bench.engine.timers))))
    return bench


def state(bench: Bench, strategy: str) -> dict[str, Any]:
    """What bars have made of the row."""
    row = bench.engine.state[0]
    names = [*BARS, *load_strategy(strategy).source.state]
    return {name: np.asarray(row[name]).tolist() for name in names}


@pytest.mark.parametrize("timeframe", ["1m", "5m", "15m"])
@pytest.mark.parametrize("strategy", ["ema_crossover", "momentum_ladder"])
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("came", [at_ist(DAY, 11, 7, 23), at_ist(DAY, 14, 30)])
def test_candles_give_the_state_that_prices_would_have_given(
    tmp_path: Path, strategy: str, timeframe: str, seed: int, came: int
) -> None:
    ticks = walk(seed, DAY_END)
    before = [tick for tick in ticks if tick[0] <= came - SECOND]
    there = lived(tmp_path / "a", strategy, timeframe, as_file(before), came)
    file = tick_file(SHARE.symbol, "kite", candles_of(before), came, (), Believed(50_000, 3))
    back = restarted(tmp_path / "b", strategy, timeframe, file, came)
    assert state(back, strategy) == state(there, strategy)
    assert back.engine.counters.ticks > 100
    later = as_file([tick for tick in ticks if tick[0] > came])
    for bench in (there, back):
        stream, _, _ = stream_of([later], DAY, bench.engine)
        bench.feed(step for step in inputs(stream, bench.engine.timers) if step[0] > came)
    assert state(back, strategy) == state(there, strategy)


# --- one symbol's prices ---

prices = st.integers(1, 40_000).map(lambda n: n * 5)
bodies = st.tuples(prices, prices, prices, prices, st.integers(0, 10**6))


def made(minute: int, body: tuple[int, int, int, int, int]) -> Candle:
    return Candle(OPEN + minute * MINUTE, body[0], max(body[:4]), min(body[:4]), body[3], body[4])


days = st.dictionaries(st.integers(0, 370), bodies, max_size=12).map(
    lambda found: [made(minute, found[minute]) for minute in sorted(found)]
)


def bars(file: TickFile) -> list[Candle]:
    """One-minute bars of what is in the file."""
    aggregate, before = CandleAgg(MINUTE, OPEN), 0
    found = []
    for ts, price, volume in zip(file.ts.tolist(), file.price.tolist(), file.volume.tolist(), strict=True):
        found += aggregate.tick(ts, price, volume - before)
        before = volume
    return [Candle(end - MINUTE, *rest) for end, *rest in found + aggregate.flush()]


@settings(max_examples=200)
@given(days, st.sampled_from([Believed(), Believed(50_000, 3), Believed(1, 100)]))
def test_bars_of_the_prices_are_the_candles(candles: list[Candle], believed: Believed) -> None:
    file = tick_file("NSE:ALPHA", "kite", candles, DAY_END, (), believed)
    assert bars(file) == candles
    assert len(file) == file.lines >= 4 * len(candles)
    assert (np.diff(file.ts) > 0).all()
    assert (np.diff(file.volume) >= 0).all()


@given(days, st.integers(0, 375 * 60))
def test_a_minute_under_way_tells_nothing_of_the_future(candles: list[Candle], second: int) -> None:
    now = OPEN + second * SECOND
    known = [one for one in candles if one.ts_ns < now]
    file = tick_file("NSE:ALPHA", "kite", known, now, (), Believed(50_000, 3))
    assert (file.ts < now).all()
    assert bars(file) == known


@given(days, st.integers(1, 370 * 60), st.lists(st.tuples(st.integers(1, 30), prices, st.integers(0, 50)), min_size=1))
def test_what_the_stream_told_follows_the_candles_and_counts_no_volume_twice(
    candles: list[Candle], second: int, told: list[tuple[int, int, int]]
) -> None:
    """The stream begins in some minute; its own count of the day's volume may be any."""
    tape, ts, volume = list[Heard](), OPEN + second * SECOND, 7_777
    for step, price, more in told:
        ts, volume = ts + step * SECOND, volume + more
        tape.append(Heard(ts, price, volume))
    first = tape[0].ts // MINUTE
    file = tick_file("NSE:ALPHA", "kite", candles, DAY_END, tape, traded=False)
    assert (np.diff(file.ts) > 0).all()
    assert (np.diff(file.volume) >= 0).all()
    found, minutes = {one.ts_ns // MINUTE: one for one in bars(file)}, {one.ts // MINUTE for one in tape}
    for candle in candles:
        if candle.ts_ns // MINUTE not in minutes:
            assert found[candle.ts_ns // MINUTE] == candle
    for minute in minutes - {first}:
        heard = [one.price for one in tape if one.ts // MINUTE == minute]
        bar = found[minute]
        assert (bar.open, bar.high, bar.low, bar.close) == (heard[0], max(heard), min(heard), heard[-1])
    assert found[first].close == [one.price for one in tape if one.ts // MINUTE == first][-1]
    if begun := [one for one in candles if one.ts_ns // MINUTE == first]:
        assert found[first].open == begun[0].open


def test_a_price_without_a_volume_leaves_it_where_it_was() -> None:
    candle = Candle(OPEN, 100, 110, 90, 105, 400)
    tape = [Heard(OPEN + 70 * SECOND, 106, 0), Heard(OPEN + 71 * SECOND, 107, 900), Heard(OPEN + 72 * SECOND, 107, 910)]
    file = tick_file("NSE:ALPHA", "kite", [candle], OPEN + 65 * SECOND, tape)
    assert file.volume.tolist()[-4:] == [400, 400, 400, 410]


def test_a_change_of_the_order_book_begins_no_minute() -> None:
    candle = Candle(OPEN, 100, 110, 90, 105, 400)
    told = [(60, 105, 0), (62, 105, 0), (63, 106, 10), (119, 106, 10), (121, 106, 10), (122, 106, 11)]
    tape = [Heard(OPEN + second * SECOND, price, 9_400 + volume) for second, price, volume in told]
    file = tick_file("NSE:ALPHA", "kite", [candle], OPEN + 60 * SECOND, tape)
    late = [((ts - OPEN) // SECOND, price) for ts, price in zip(file.ts.tolist(), file.price.tolist(), strict=True)][4:]
    assert late == [(63, 106), (119, 106), (122, 106)]
    assert file.volume.tolist()[-1] == 401
    index = tick_file("NSE:NIFTY 50", "kite", [], OPEN, [Heard(OPEN + SECOND, 100, 0)], traded=False)
    assert index.price.tolist() == [100]
    assert len(tick_file("NSE:ALPHA", "kite", [], OPEN, [Heard(OPEN + SECOND, 100, 0)])) == 0, "yesterday's price"


def test_the_likelier_way_is_gone_and_the_close_stays_in_its_minute() -> None:
    up = tick_file("NSE:ALPHA", "kite", [Candle(OPEN, 100, 110, 90, 105, 4)], DAY_END)
    down = tick_file("NSE:ALPHA", "kite", [Candle(OPEN, 105, 110, 90, 100, 4)], DAY_END)
    assert up.price.tolist() == [100, 90, 110, 105]
    assert down.price.tolist() == [105, 110, 90, 100]
    assert up.volume.tolist() == [1, 2, 3, 4]
    assert (int(up.ts[0]), int(up.ts[-1])) == (OPEN, OPEN + MINUTE - MARGIN)


def test_of_nothing_nothing_is_made() -> None:
    assert len(tick_file("NSE:ALPHA", "kite", [], DAY_END)) == 0
    assert len(bar_file("NSE:ALPHA", "kite", [], MINUTE)) == 0


def test_bars_end_where_their_candles_end() -> None:
    file = bar_file("NSE:ALPHA", "kite", [Candle(OPEN, 100, 110, 90, 105, 4)], 15 * MINUTE)
    assert (file.ts_end.tolist(), file.length, file.day) == ([OPEN + 15 * MINUTE], 15 * MINUTE, DAY)
    assert [int(getattr(file, n)[0]) for n in ("open", "high", "low", "close", "volume")] == [100, 110, 90, 105, 4]
