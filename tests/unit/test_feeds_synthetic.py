"""The synthetic day: the same for a seed, and with everything in it that the module promises."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from otrade_bot.brokers.feeds import BarFile, Profile, TickFile, merge, synthetic_day, synthetic_history
from otrade_bot.brokers.instruments import tick_size
from otrade_bot.core.clock import MINUTE, SECOND, at_ist
from otrade_bot.core.model import InstrumentKind

DAY = date(2026, 11, 23)
SEEDS = (0, 1, 7, 42, 2026)


def stocks(seed: int, *, dirt: bool = True) -> dict[str, TickFile]:
    return {f.symbol.removeprefix("NSE:DEMO"): f for f in synthetic_day(DAY, seed, Profile(dirt=dirt))}


def between(file: TickFile, first: tuple[int, int], last: tuple[int, int]) -> np.ndarray:
    inside = (file.ts >= at_ist(DAY, *first)) & (file.ts < at_ist(DAY, *last))
    return file.price[inside].astype(float)


def level(file: TickFile, clock: tuple[int, int]) -> float:
    """Median price of the two minutes around a time, percent from the opening price."""
    now = at_ist(DAY, *clock)
    near = file.price[(file.ts >= now - MINUTE) & (file.ts < now + MINUTE)]
    return (float(np.median(near)) / float(file.price[0]) - 1) * 100


def minute_bars(file: TickFile) -> np.ndarray:
    """(minute, high, close) of each minute that has ticks."""
    minute = (np.maximum.accumulate(file.ts) - at_ist(DAY, 9, 15)) // MINUTE
    return np.array(
        [(m, file.price[minute == m].max(), file.price[minute == m][-1]) for m in np.unique(minute)]
    )


def ema(values: np.ndarray, period: int) -> np.ndarray:
    out = np.empty(len(values))
    out[0] = values[0]
    for i in range(1, len(values)):
        out[i] = out[i - 1] + (values[i] - out[i - 1]) * 2 / (period + 1)
    return out


@pytest.mark.parametrize("seed", [0, 7, -1, 2**70])
def test_a_seed_makes_the_same_day_every_time(seed: int) -> None:
    for one, two in zip(synthetic_day(DAY, seed), synthetic_day(DAY, seed), strict=True):
        for name in ("ts", "price", "volume"):
            assert getattr(one, name).tobytes() == getattr(two, name).tobytes()


def test_another_seed_or_day_makes_another_day() -> None:
    first = synthetic_day(DAY, 1)[0]
    assert not np.array_equal(first.price, synthetic_day(DAY, 2)[0].price)
    later = synthetic_day(date(2026, 11, 24), 1)[0]
    assert np.array_equal(later.ts - first.ts, np.full(len(first), 86_400 * SECOND))


def test_the_day_leaves_numpy_s_global_generator_alone() -> None:
    before = np.random.get_state()[1].copy()
    synthetic_day(DAY, 1)
    np.testing.assert_array_equal(before, np.random.get_state()[1])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_day_has_the_shape_of_an_nse_day(seed: int) -> None:
    files = synthetic_day(DAY, seed)
    assert 60_000 <= sum(len(f) for f in files) <= 80_000
    assert len({f.symbol for f in files}) == 5
    for f in files:
        assert f.symbol.startswith("NSE:DEMO")
        assert at_ist(DAY, 9, 15) <= f.ts.min() < at_ist(DAY, 9, 15, 10)
        assert at_ist(DAY, 15, 29, 50) < f.ts.max() < at_ist(DAY, 15, 30)
        assert f.price.min() >= 15_000
        assert f.price.max() <= 150_000
        assert not (f.price % tick_size(InstrumentKind.EQUITY, int(f.price[0]), DAY)).any()
        assert 0.9 * SECOND < np.median(np.diff(f.ts)) < 2 * SECOND
        assert (len(f), {}) == (f.lines, f.dropped)


@pytest.mark.parametrize("seed", SEEDS)
def test_clean_ticks_are_in_order_with_a_growing_volume(seed: int) -> None:
    for f in stocks(seed, dirt=False).values():
        assert (np.diff(f.ts) > 0).all()
        assert (np.diff(f.volume) > 0).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_every_stock_has_some_dirt(seed: int) -> None:
    for f in stocks(seed).values():
        same = (np.diff(f.ts) == 0) & (np.diff(f.price) == 0) & (np.diff(f.volume) == 0)
        assert int(same.sum()) == 4
        assert int((np.diff(f.ts) < 0).sum()) == 3
        in_order = np.argsort(f.ts, kind="stable")
        assert int((np.diff(f.volume[in_order]) < 0).sum()) == 1


def traded(file: TickFile, clock: tuple[int, int]) -> int:
    """Volume of the twenty minutes from ``clock``."""
    start = at_ist(DAY, *clock)
    return int(np.ptp(file.volume[(file.ts >= start) & (file.ts < start + 20 * MINUTE)]))


def half_minute_moves(file: TickFile, clock: tuple[int, int]) -> np.ndarray:
    """Relative moves over 30 s within the twenty minutes from ``clock``."""
    moments = at_ist(DAY, *clock) + 30 * SECOND * np.arange(1, 41)
    price = file.price[np.searchsorted(file.ts, moments) - 1]
    return np.diff(np.log(price))


@pytest.mark.parametrize("seed", SEEDS)
def test_volume_is_larger_at_both_ends_of_the_day(seed: int) -> None:
    for f in stocks(seed, dirt=False).values():
        assert traded(f, (9, 15)) > 1.5 * traded(f, (12, 10))
        assert traded(f, (15, 9)) > 1.2 * traded(f, (12, 10))


@pytest.mark.parametrize("seed", SEEDS)
def test_prices_move_more_near_the_open(seed: int) -> None:
    clean = stocks(seed, dirt=False)
    at_open, at_noon = (
        np.concatenate([half_minute_moves(clean[name], clock) for name in ("ALPHA", "BRAVO", "ECHO")])
        for clock in ((9, 15), (12, 10))
    )
    assert at_open.std() > 1.3 * at_noon.std()


@pytest.mark.parametrize("seed", SEEDS)
def test_alpha_is_quiet_then_breaks_out_then_gives_back(seed: int) -> None:
    f = stocks(seed)["ALPHA"]
    morning = between(f, (9, 40), (12, 38))
    assert np.ptp(morning) / morning.mean() < 0.02
    later = between(f, (12, 40), (15, 30))
    rise = later.max() / later[0] - 1
    assert 0.06 < rise < 0.12
    assert later[-1] < later.max() * 0.95


@pytest.mark.parametrize("seed", SEEDS)
def test_alpha_meets_the_ladder_s_entry_once_two_hundred_bars_are_there(seed: int) -> None:
    minute, high, close = minute_bars(stocks(seed)["ALPHA"]).T
    fast, mid, slow, base = (ema(close, n) for n in (9, 21, 50, 200))
    signals = [
        minute[i]
        for i in range(200, len(close))
        if fast[i] > mid[i] > slow[i] and close[i] > base[i] and close[i] > high[i - 20 : i].max()
    ]
    assert signals
    entry = float(close[minute == signals[0]][0])
    assert signals[0] < 225  # before 13:00
    after = close[minute > signals[0]]
    assert after.max() > 1.05 * entry  # the target
    peak = int(after.argmax())
    assert after[:peak].min() > 0.975 * entry  # and not the stop before it
    assert after[peak:].min() < 0.95 * after.max()  # the runners trail out


@pytest.mark.parametrize("seed", SEEDS)
def test_bravo_s_two_breakouts_fail(seed: int) -> None:
    f = stocks(seed)["BRAVO"]
    assert level(f, (13, 20)) > 1.5
    assert level(f, (13, 46)) < level(f, (13, 20)) - 4
    assert level(f, (14, 27)) > level(f, (13, 58)) + 3
    assert level(f, (14, 50)) < level(f, (14, 27)) - 4


@pytest.mark.parametrize("seed", SEEDS)
def test_charlie_chops_and_has_one_bad_print(seed: int) -> None:
    f = stocks(seed, dirt=False)["CHARLIE"]
    far = np.flatnonzero(np.abs(f.price / np.median(f.price) - 1) > 0.05)
    assert len(far) == 1
    assert abs(f.price[far[0] + 1] / f.price[far[0] - 1] - 1) < 0.01
    close = np.delete(minute_bars(f), 126, axis=0)[:, 2]
    assert np.ptp(close) / close.mean() < 0.05
    crossings = np.diff(np.sign(ema(close, 9) - ema(close, 21)))[30:]
    assert int((crossings > 0).sum()) >= 8


@pytest.mark.parametrize("seed", SEEDS)
def test_delta_climbs_in_steps_halts_for_a_quarter_of_an_hour_and_falls(seed: int) -> None:
    f = stocks(seed)["DELTA"]
    levels = [
        level(f, clock)
        for clock in ((9, 35), (10, 15), (11, 0), (11, 33), (12, 30), (13, 5), (13, 42), (14, 6))
    ]
    assert (np.diff(levels) > 0.3).all()
    assert level(f, (14, 45)) < levels[-1] - 5
    gaps = np.diff(np.sort(f.ts))
    assert 15 * MINUTE <= gaps.max() < 15 * MINUTE + 20 * SECOND
    assert not len(between(f, (11, 40), (11, 55)))


@pytest.mark.parametrize("seed", SEEDS)
def test_echo_jumps_for_good_and_sells_off_late(seed: int) -> None:
    f = stocks(seed)["ECHO"]
    before, after = between(f, (11, 4), (11, 5)), between(f, (11, 6), (11, 7))
    assert 0.012 < np.median(after) / np.median(before) - 1 < 0.03
    assert level(f, (15, 28)) < level(f, (13, 20)) - 7
    bars = minute_bars(f)
    late = bars[bars[:, 0] > 255]
    up = ema(bars[:, 2], 9) > ema(bars[:, 2], 21)
    crossings = np.flatnonzero(up[1:] & ~up[:-1])
    assert (bars[crossings, 0] > 255).any()  # a bounce after 13:30 that tempts a crossover
    assert late[-1, 2] < late[0, 2]


@pytest.mark.parametrize("seed", SEEDS)
def test_history_ends_where_the_day_begins(seed: int) -> None:
    for bars, ticks in zip(synthetic_history(DAY, seed, days=12), synthetic_day(DAY, seed), strict=True):
        assert isinstance(bars, BarFile)
        assert bars.symbol == ticks.symbol
        assert len(bars) == bars.lines == 12 * 375
        assert (np.diff(bars.ts_end) > 0).all()
        assert bars.ts_end[0] == at_ist(date(2026, 11, 5), 9, 16)
        assert bars.ts_end[-1] == at_ist(date(2026, 11, 20), 15, 30)
        assert abs(bars.close[-1] / ticks.price[0] - 1) < 0.006
        assert (bars.high >= np.maximum(bars.open, bars.close)).all()
        assert (bars.low <= np.minimum(bars.open, bars.close)).all()
        assert bars.low.min() >= 15_000
        assert bars.high.max() <= 150_000


def test_history_is_the_same_for_a_seed_and_needs_a_day() -> None:
    one, two = (synthetic_history(DAY, 5, days=2)[3] for _ in range(2))
    assert one.close.tobytes() == two.close.tobytes()
    with pytest.raises(ValueError, match="at least 1"):
        synthetic_history(DAY, 5, days=0)


def test_merging_the_day_loses_nothing_and_follows_time() -> None:
    files = synthetic_day(DAY, 1)
    ts, index, price, volume = merge(files)
    assert len(ts) == len(index) == len(price) == len(volume) == sum(len(f) for f in files)
    assert int((np.diff(np.maximum.accumulate(ts)) < 0).sum()) == 0
    for number, file in enumerate(files):
        np.testing.assert_array_equal(price[index == number], file.price)


@pytest.mark.parametrize("gap", [10, 30, 100, 500, 30_000])
def test_a_thin_day_has_its_dirt_as_long_as_there_is_room_for_it(gap: float) -> None:
    for f in synthetic_day(DAY, 1, Profile(gap=gap)):
        assert len(f) == f.lines >= 1
        assert bool((np.diff(f.ts) < 0).any()) == (gap <= 100)
