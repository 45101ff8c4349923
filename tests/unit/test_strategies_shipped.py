"""The shipped strategies do what their descriptions say, on series made by hand."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from kernel_desk import MINUTE, OPEN, SECOND, Desk, Intent, of

from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Kernel

BAR = 15 * MINUTE
WARM_BARS = 230


def ema(closes: list[float], n: int) -> list[float]:
    """Exponential averages, seeded with the mean of the first n."""
    out: list[float] = []
    for i, x in enumerate(closes):
        out.append(sum(closes[: i + 1]) / (i + 1) if i < n else out[-1] + 2 / (n + 1) * (x - out[-1]))
    return out


# --- momentum_ladder: the signal --------------------------------------------------------------------

Bar = tuple[int, int, int, int]


def rising(count: int = WARM_BARS) -> list[Bar]:
    """Five paise up a bar; highs are 3 above the close, so each bar closes above all highs before it."""
    return [(c - 5, c + 3, c - 6, c) for c in (10_000 + 5 * i for i in range(count))]


def ladder_desk(kernel: Kernel, bars: list[Bar]) -> Desk:
    """A ladder on 15-minute bars, warmed up by ``bars`` of earlier days."""
    desk = Desk(kernel, "momentum_ladder", tf=BAR)
    for i, bar in enumerate(bars):
        desk.bar(OPEN - (len(bars) - i) * MINUTE, *bar, code=abi.WARM)
    return desk


def verdicts(intents: list[Intent]) -> list[int]:
    return [i.code for i in of(intents, abi.EVALUATED)]


LAST = rising()[-1][3]
HIGH = LAST + 3


@pytest.mark.parametrize(
    ("bar", "buys"),
    [
        ((LAST, HIGH + 1, LAST, HIGH + 1), True),
        ((LAST, HIGH + 50, LAST, HIGH), False),
        ((LAST, HIGH + 50, LAST, HIGH + 1), True),
    ],
)
def test_the_close_must_pass_the_highest_high_of_the_bars_before_it(bar: Bar, buys: bool, twin: Kernel) -> None:
    intents = ladder_desk(twin, rising()).bar(OPEN + BAR, *bar)
    assert verdicts(intents) == [int(buys)]
    assert len(of(intents, abi.ENTER)) == int(buys)


@pytest.mark.parametrize(("age", "buys"), [(1, False), (20, False), (21, True)])
def test_the_highest_high_is_that_of_twenty_bars(age: int, buys: bool, twin: Kernel) -> None:
    bars = rising()
    o, _, low, c = bars[-age]
    bars[-age] = (o, c + 500, low, c)
    intents = ladder_desk(twin, bars).bar(OPEN + BAR, LAST, LAST + 8, LAST, LAST + 5)
    assert verdicts(intents) == [int(buys)]


def test_the_signal_is_the_conjunction_of_its_conditions_on_any_series(kernel: Kernel) -> None:
    rng = random.Random(7)
    bars: list[Bar] = []
    close = 10_000
    for i in range(700):
        close += rng.randint(-60, 66) + (25 if 300 < i < 420 else -35 if 450 < i < 560 else 15 if i > 560 else 0)
        bars.append((close - 5, close + rng.randint(0, 20), close - rng.randint(5, 20), close))
    closes = [bar[3] / 100 for bar in bars]
    fast, mid, slow, trend = (ema(closes, n) for n in (9, 21, 50, 200))
    desk = Desk(kernel, "momentum_ladder", tf=BAR)
    desk.limits(max_rungs=0)
    seen = set()
    for i, bar in enumerate(bars):
        told = verdicts(desk.bar(OPEN + i * MINUTE, *bar))
        if i < 199:
            assert told == []
            continue
        ordered = fast[i] > mid[i] > slow[i]
        above = closes[i] > trend[i]
        broken = bar[3] > max(b[1] for b in bars[i - 20 : i])
        assert told == [int(ordered and above and broken)], i
        seen.add((ordered, above, broken))
    assert {(True, True, True), (False, True, True), (True, False, True), (True, True, False)} <= seen


def test_there_is_no_entry_before_the_trend_average_is_warm(twin: Kernel) -> None:
    bars = rising(199)
    assert verdicts(ladder_desk(twin, bars[:198]).bar(OPEN + BAR, *bars[198])) == []
    assert verdicts(ladder_desk(twin, bars).bar(OPEN + BAR, *rising(200)[199])) == [1]


def test_the_signal_is_looked_at_when_ticks_or_time_close_the_bar(twin: Kernel) -> None:
    for by_time in (False, True):
        desk = ladder_desk(twin, rising())
        assert not desk.tick(OPEN, HIGH + 40)
        closing = desk.timer(OPEN + BAR) if by_time else desk.tick(OPEN + BAR, HIGH + 45)
        assert [(i.kind, i.price) for i in closing] == [
            (abi.EVALUATED, HIGH + (40 if by_time else 45)),
            (abi.ENTER, HIGH + (40 if by_time else 45)),
        ]


def test_the_scan_enters_within_the_minute_after_what_forbade_it_has_gone(twin: Kernel) -> None:
    desk = ladder_desk(twin, rising())
    desk.send(abi.PHASE, code=abi.PHASE_BLOCK, value=1)
    assert [i.code for i in of(desk.bar(OPEN + BAR, LAST, LAST + 8, LAST, LAST + 8), abi.LIMITED)] == [abi.L_BLOCKED]
    desk.send(abi.PHASE, code=abi.PHASE_BLOCK, value=0)
    assert not desk.timer(OPEN + BAR + 30 * SECOND, scan=0)
    assert [i.rung for i in of(desk.timer(OPEN + BAR + MINUTE), abi.ENTER)] == [0]


def test_a_ladder_never_sells_short(twin: Kernel) -> None:
    falling = [(2 * 10_000 - o, 2 * 10_000 - low, 2 * 10_000 - h, 2 * 10_000 - c) for o, h, low, c in rising()]
    assert verdicts(ladder_desk(twin, falling).bar(OPEN + BAR, 8_000, 8_000, 8_000, 8_000)) == [0]


# --- momentum_ladder: the rungs ---------------------------------------------------------------------


def first_rung(kernel: Kernel, price: int = 10_000) -> Desk:
    """P1 bought at ``price``, everything warm."""
    desk = Desk(kernel, "momentum_ladder", tf=BAR)
    desk.put(warm=0)
    desk.hold(qty=30, price=price)
    return desk


def buy(desk: Desk, rung: int, price: int, ts: int) -> list[Intent]:
    """A tick that must intend this rung, and its whole fill at that price."""
    (enter,) = of(desk.tick(ts, price), abi.ENTER)
    assert (enter.rung, enter.side, enter.price) == (rung, 1, price)
    return desk.fill(enter.qty, enter.qty * price, abi.ENTRY, enter.cycle, rung, ts=ts)


def test_the_first_rung_has_a_stop_and_a_target(twin: Kernel) -> None:
    intents = ladder_desk(twin, rising()).bar(OPEN + BAR, LAST, 12_000, LAST, 12_000)
    (enter,) = of(intents, abi.ENTER)
    assert (enter.rung, enter.qty, enter.stop, enter.target) == (0, 25, 11_700, 12_600)
    desk = first_rung(twin)
    assert (desk.get("stop", 0, 0), desk.get("target", 0, 0)) == (9_750, 10_500)
    assert not of(desk.tick(OPEN, 10_499), abi.EXIT)
    assert [(i.rung, i.code) for i in of(desk.tick(OPEN, 10_500), abi.EXIT)] == [(0, abi.R_TARGET)]


def test_the_stop_of_the_first_rung_does_not_trail(twin: Kernel) -> None:
    desk = first_rung(twin)
    desk.put(rungs=1)
    for price in (10_100, 10_300, 10_499):
        assert not of(desk.tick(OPEN, price), abi.STOP)
    assert desk.get("stop", 0, 0) == 9_750


def test_the_second_rung_joins_when_the_first_is_up_a_quarter_percent(twin: Kernel) -> None:
    desk = first_rung(twin)
    assert not desk.tick(OPEN, 10_024)
    armed = buy(desk, 1, 10_025, OPEN)
    assert [(i.kind, i.rung, i.stop, i.target) for i in armed] == [(abi.STOP, 1, 9_775, 0)]


def test_the_third_rung_joins_when_the_average_of_both_is_up_one_percent(twin: Kernel) -> None:
    desk = first_rung(twin)
    buy(desk, 1, 10_025, OPEN)
    value = desk.get("entry_value", 0, 0) + desk.get("entry_value", 0, 1)
    quantity = desk.get("filled", 0, 0) + desk.get("filled", 0, 1)
    assert quantity == 59
    enough = -(-value * 101 // (quantity * 100))
    assert not of(desk.tick(OPEN + 1, enough - 1), abi.ENTER)
    armed = buy(desk, 2, enough, OPEN + 2)
    assert [(i.rung, i.stop, i.target) for i in armed] == [(2, round(enough * 0.95 / 5) * 5, 0)]


def ladder(kernel: Kernel) -> Desk:
    """All three rungs held: at 100.00, 100.25 and 102.00."""
    desk = first_rung(kernel)
    buy(desk, 1, 10_025, OPEN)
    buy(desk, 2, 10_200, OPEN + 1)
    return desk


def test_runners_follow_the_highest_price_since_their_entry_and_never_down(twin: Kernel) -> None:
    desk = ladder(twin)
    for i, (price, stop2, stop3) in enumerate(
        [(10_400, 10_140, 9_880), (10_300, 10_140, 9_880), (10_430, 10_165, 9_905), (10_200, 10_165, 9_905)], 2
    ):
        desk.tick(OPEN + i, price)
        assert (desk.get("stop", 0, 1), desk.get("stop", 0, 2)) == (stop2, stop3)
        assert desk.get("stop", 0, 0) == 9_750
    assert desk.get("target", 0, 1) == desk.get("target", 0, 2) == 0


def test_the_exchange_is_told_of_a_trailing_stop_in_steps_and_not_too_often(twin: Kernel) -> None:
    desk = ladder(twin)
    desk.limits(trail_step_ppm=2_000, trail_interval=5 * SECOND)
    told = []
    for i in range(100):
        told += of(desk.tick(OPEN + 10 * SECOND + i * SECOND, 10_400 + 5 * (i // 2)), abi.STOP)
    for rung in (1, 2):
        mine = [i for i in told if i.rung == rung]
        assert len(mine) > 3
        for before, after in pairwise(mine):
            assert after.ts - before.ts >= 5 * SECOND
            assert (after.stop - before.stop) * 1_000_000 >= 2_000 * before.stop


def test_a_runner_through_a_stop_that_was_not_yet_told_leaves_at_once(twin: Kernel) -> None:
    """Between two steps the exchange's stop is behind the true level: the kernel covers the gap."""
    desk = ladder(twin)
    desk.limits(trail_step_ppm=1_000_000, trail_interval=0)
    desk.tick(OPEN + 2, 10_400)
    assert not of(desk.tick(OPEN + 3, 10_145), abi.EXIT)
    assert [(i.rung, i.code) for i in of(desk.tick(OPEN + 4, 10_140), abi.EXIT)] == [(1, abi.R_STOP)]


def test_each_rung_comes_once_a_ladder(twin: Kernel) -> None:
    desk = ladder(twin)
    for rung in (1, 2):
        filled = desk.get("filled", 0, rung)
        desk.fill(filled, filled * 10_100, abi.EXIT_LEG, desk.get("cycle", 0, rung), rung)
        assert desk.get("side", 0, rung) == 0
    for i in range(50):
        assert not of(desk.tick(OPEN + MINUTE * i, 10_200 + 5 * i), abi.ENTER)


def test_a_refused_second_rung_is_not_tried_again_and_brings_no_third(twin: Kernel) -> None:
    desk = first_rung(twin)
    (enter,) = of(desk.tick(OPEN, 10_025), abi.ENTER)
    desk.end(abi.REJECT, cycle=enter.cycle, rung=1)
    assert not of(desk.tick(OPEN + MINUTE, 10_400), abi.ENTER)


def test_no_rung_joins_a_first_one_that_is_leaving_or_gone(twin: Kernel) -> None:
    desk = first_rung(twin)
    desk.tick(OPEN, 10_500)
    assert desk.get("exit_pending", 0, 0) == abi.R_TARGET
    assert not of(desk.tick(OPEN + 1, 10_500), abi.ENTER)
    desk.fill(30, 30 * 10_500, abi.EXIT_LEG)
    assert not of(desk.tick(OPEN + 2, 10_500), abi.ENTER)


def test_the_next_ladder_starts_when_the_last_runner_has_gone_and_has_all_rungs_again(twin: Kernel) -> None:
    desk = ladder_desk(twin, rising())
    for r, price in ((0, 12_000), (1, 12_030), (2, 12_150)):
        (enter,) = of(desk.bar(OPEN, price, price, price, price) if r == 0 else desk.tick(OPEN, price), abi.ENTER)
        desk.fill(enter.qty, enter.qty * price, abi.ENTRY, enter.cycle, r)
    for r in (0, 1, 2):
        assert not of(desk.timer(OPEN + MINUTE), abi.ENTER)
        filled = desk.get("filled", 0, r)
        desk.fill(filled, filled * 12_000, abi.EXIT_LEG, desk.get("cycle", 0, r), r)
    (again,) = of(desk.timer(OPEN + 2 * MINUTE), abi.ENTER)
    assert (again.rung, again.cycle) == (0, 4)
    desk.fill(again.qty, again.qty * again.price, abi.ENTRY, 4)
    assert [i.rung for i in of(desk.tick(OPEN + 3 * MINUTE, again.price + 100), abi.ENTER)] == [1]


# --- ema_crossover ----------------------------------------------------------------------------------

DOWN = [10_000 - 10 * i for i in range(30)]


def crossing(kernel: Kernel, tf: int = 0, **params: Any) -> Desk:
    """Falling prices: the fast average lies below the slow one."""
    desk = Desk(kernel, tf=tf, **params)
    for i, price in enumerate(DOWN):
        desk.bar(OPEN - (len(DOWN) - i) * MINUTE, price, price, price, price, code=abi.WARM)
    return desk


@pytest.mark.parametrize("tf", [0, MINUTE, 5 * MINUTE])
def test_verdicts_are_the_crosses_of_the_two_averages_on_any_series(tf: int, kernel: Kernel) -> None:
    rng = random.Random(3)
    prices = [10_000]
    for i in range(600):
        prices.append(prices[-1] + 5 * rng.randint(-4, 4) + (5 if i % 80 < 40 else -5))
    closes = [price / 100 for price in prices]
    fast, slow = ema(closes, 9), ema(closes, 21)
    desk = Desk(kernel, tf=tf)
    desk.limits(max_rungs=0)
    crosses = 0
    for i, price in enumerate(prices):
        if tf == 0:
            told = desk.tick(OPEN + i, price)
        else:
            told = desk.bar(OPEN + i, price, price, price, price)
        code = 0
        if i >= 21:
            code += fast[i - 1] <= slow[i - 1] and fast[i] > slow[i]
            code += 2 * (fast[i - 1] >= slow[i - 1] and fast[i] < slow[i])
            crosses += code > 0
        assert [c for c in verdicts(told) if c] == ([code] if code else []), i
    assert crosses > 10


def test_an_upward_cross_buys_with_a_bracket_and_a_downward_one_sells_short(twin: Kernel) -> None:
    desk = crossing(twin)
    intents = desk.tick(OPEN, 12_000)
    (enter,) = of(intents, abi.ENTER)
    assert (enter.side, enter.qty, enter.stop, enter.target) == (1, 25, 11_940, 12_120)
    desk.fill(25, 25 * 12_000, cycle=1)
    assert [(i.code, i.side) for i in of(desk.tick(OPEN + 1, 12_120), abi.EXIT)] == [(abi.R_TARGET, 1)]
    desk.fill(25, 25 * 12_120, abi.EXIT_LEG, cycle=1)
    for i in range(10):
        intents = desk.tick(OPEN + 2 + i, 8_000)
        if intents:
            break
    (enter,) = of(intents, abi.ENTER)
    assert (enter.side, enter.qty, enter.stop, enter.target, enter.cycle) == (-1, 37, 8_040, 7_920, 2)
    desk.fill(37, 37 * 8_000, cycle=2)
    assert [(i.code, i.side) for i in of(desk.tick(OPEN + MINUTE, 7_920), abi.EXIT)] == [(abi.R_TARGET, -1)]


@pytest.mark.parametrize("on_signal", [False, True])
def test_the_opposite_cross_leaves_only_where_the_settings_say_so(on_signal: bool, twin: Kernel) -> None:
    desk = crossing(twin, exit_on_signal=on_signal)
    (enter,) = of(desk.tick(OPEN, 12_000), abi.ENTER)
    desk.fill(enter.qty, enter.qty * 12_000)
    exits = []
    for i in range(40):
        exits += of(desk.tick(OPEN + 1 + i, 11_950 - 50 * i), abi.EXIT)
    assert [i.code for i in exits] == ([abi.R_SIGNAL] if on_signal else [])


def test_a_signal_lasts_for_its_bar_only(twin: Kernel) -> None:
    """No entry an hour after the cross, when what forbade it has gone: this strategy does not scan."""
    desk = crossing(twin, tf=MINUTE)
    desk.send(abi.PHASE, code=abi.PHASE_BLOCK, value=1)
    desk.tick(OPEN, 12_000)
    assert of(desk.tick(OPEN + MINUTE, 12_005), abi.LIMITED)
    desk.send(abi.PHASE, code=abi.PHASE_BLOCK, value=0)
    assert not of(desk.timer(OPEN + MINUTE + SECOND), abi.ENTER)
    assert not of(desk.tick(OPEN + 2 * MINUTE, 12_010), abi.ENTER)


def test_a_position_is_not_added_to(twin: Kernel) -> None:
    desk = crossing(twin)
    (enter,) = of(desk.tick(OPEN, 12_000), abi.ENTER)
    assert desk.get("side", 0, 0) == 1
    desk.fill(enter.qty, enter.qty * 12_000)
    for i in range(60):
        assert not of(desk.tick(OPEN + 1 + i, 12_000 + (60 if i // 10 % 2 else -40)), abi.ENTER)
