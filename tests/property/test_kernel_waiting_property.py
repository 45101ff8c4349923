"""A replay looks away while a row only waits, and takes a quiet bar at once: the same results as without that."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from hypothesis import event, given, settings
from hypothesis import strategies as st
from kernel_desk import CLOSE, MINUTE, OPEN, SECOND, Array, Desk, np
from kernel_story import QUICK

from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Kernel
from otrade_bot.strategies.loader import build_kernel, load_strategy


class Case(NamedTuple):
    """What a day is like."""

    seed: int
    strategy: str
    rows: int
    tf: int
    length: int  # of a bar; 0: ticks
    late: bool  # up to the square-off and the close
    amplitude: int
    intraday: bool
    params: dict[str, Any]
    limits: dict[str, int]
    latency: int
    slip_ppm: int
    participation_ppm: int


_trailing = {"stop_percent": 0.3, "trail": True}
_ladder = {"stop_percent": 0.3, "target_percent": 0.4, "stop2_percent": 0.3, "stop3_percent": 0.5,
           "add2_percent": 0.05, "add3_percent": 0.1}  # fmt: skip
_params = {
    "ema_crossover": [{}, {"exit_on_signal": True}, _trailing, {"stop_percent": 0.2, "target_percent": 0.3}],
    "momentum_ladder": [{}, _ladder, {**_ladder, "exit_on_signal": True}],
}
_limits = st.fixed_dictionaries(
    {
        "loss_limit": st.sampled_from([0, 0, 3_000]), "loss_flatten": st.integers(0, 1),
        "spike_ppm": st.sampled_from([0, 2_000, 20_000]), "spike_confirm": st.just(3),
        "cooldown": st.sampled_from([0, 120 * SECOND]), "trail_step_ppm": st.sampled_from([0, 1_000]),
        "trail_interval": st.sampled_from([0, 90 * SECOND]), "max_rungs": st.sampled_from([1, 90]),
    }
)  # fmt: skip


@st.composite
def cases(draw: st.DrawFn) -> Case:
    strategy = draw(st.sampled_from(sorted(QUICK)))
    return Case(
        draw(st.integers(0, 2**32 - 1)), strategy, draw(st.integers(1, 3)),
        draw(st.sampled_from([0, MINUTE, MINUTE, 3 * MINUTE, 5 * MINUTE])),
        draw(st.sampled_from([0, MINUTE, MINUTE, MINUTE, 5 * MINUTE, 2 * SECOND])), draw(st.booleans()),
        draw(st.sampled_from([1, 4, 30])), draw(st.booleans()), draw(st.sampled_from(_params[strategy])),
        draw(_limits), draw(st.sampled_from([0, 0, 300_000_000])), draw(st.sampled_from([0, 200])),
        draw(st.sampled_from([0, 300_000])),
    )  # fmt: skip


class Run:
    """The arrays of one replay."""

    def __init__(self, kernel: Kernel, case: Case) -> None:
        self.kernel = kernel
        params = QUICK[case.strategy] | case.params
        self.desk = Desk(kernel, case.strategy, case.rows, case.tf, case.intraday, **params)
        self.desk.limits(**case.limits)
        self.work, self.venue = kernel.new(abi.WORK, case.rows), kernel.new(abi.VENUE, 1)
        self.venue["latency"], self.venue["slip_ppm"] = case.latency, case.slip_ppm
        self.venue["participation_ppm"] = case.participation_ppm
        self.trades, self.tally = kernel.new(abi.TRADE, 2_000), kernel.new(abi.TALLY, 1)
        self.event, self.out = kernel.new_event(2), kernel.new_intents(case.rows)

    def go(self, feed: Array, timers: Array) -> None:
        d = self.desk
        self.kernel.replay_day(
            d.state, d.account, d.params, self.work, feed, timers, self.venue, self.event, self.out, self.trades,
            self.tally,
        )  # fmt: skip

    def results(self) -> dict[str, bytes]:
        """All that a replay is asked for; what it has reckoned for itself is its own."""
        d = self.desk
        own = ("low", "high", "until", "net", "cost", "bar", "leg", "lean")
        orders = {name: self.work[name].tobytes() for name in abi.WORK.names or () if name not in own}
        found = {"account": d.account, "trades": self.trades, "tally": self.tally}
        # where no spike is suspected, its price says nothing
        d.state["spike_price"][d.state["spike_count"] == 0] = 0
        rows = {name: d.state[name].tobytes() for name in d.state.dtype.names or ()}
        return rows | orders | {name: array.tobytes() for name, array in found.items()}


def feed_of(kernel: Kernel, case: Case) -> Array:
    """Random prices of every row, in time: gaps, jumps, bars without a range or a volume, now and then a bad one."""
    rng = np.random.default_rng(case.seed)
    step = case.length or 7 * SECOND
    start = CLOSE - 60 * MINUTE if case.late else OPEN
    times = range(start, min(CLOSE + 2 * MINUTE, start + 50 * step), step)
    feed = kernel.new_event(len(times) * case.rows)
    price, volume = rng.integers(4_000, 40_000, case.rows) // 5 * 5, [0] * case.rows
    n = 0
    for ts in times:
        for row in range(case.rows):
            if rng.random() < 0.05:
                continue
            o, h, low, c = bar(rng, int(price[row]), case.amplitude)
            qty = int(rng.choice([0, 3, 5_000]))
            e = feed[n]
            e["kind"], e["row"], e["ts"], e["cycle"] = abi.BAR if case.length else abi.TICK, row, ts, case.length
            e["value"], e["high"], e["low"], e["price"] = o, h, low, c
            e["leg"], e["qty"] = volume[row], qty if case.length else volume[row] + qty
            volume[row] += qty
            price[row] = max(c, 100)
            n += 1
    return feed[:n]


def bar(rng: np.random.Generator, price: int, amplitude: int) -> tuple[int, int, int, int]:
    """Open, high, low and close; the high of one in a hundred is wrong."""

    def move() -> int:
        return 5 * int(rng.integers(-amplitude, amplitude + 1))

    o = max(100, price + (move() if rng.random() < 0.2 else 0))
    if rng.random() < 0.02:
        o = o * int(rng.choice([90, 101, 120])) // 500 * 5
    c = o if rng.random() < 0.15 else max(100, o + move())
    if rng.random() < 0.01:
        return o, 0, o, c
    flat = rng.random() < 0.1
    return o, max(o, c) + (0 if flat else abs(move())), max(5, min(o, c) - (0 if flat else abs(move()))), c


def timers_of(kernel: Kernel, feed: Array) -> Array:
    first = int(feed["ts"].min()) // MINUTE * MINUTE if len(feed) else OPEN
    last = int(feed["ts"].max()) + 6 * MINUTE if len(feed) else OPEN
    times = list(range(first + MINUTE, last, MINUTE))
    timers = kernel.new_event(len(times))
    timers["kind"], timers["ts"], timers["qty"] = abi.TIMER, times, 1
    return timers


@cache
def unshortened() -> Kernel:
    """Plain Python that never looks away: every price of every bar is walked, and everything asked at each."""
    twin = build_kernel([load_strategy(name) for name in sorted(QUICK)], interpreted=True)
    names = twin.replay_day.__globals__["replay"].__globals__
    names["quiet_bar"] = names["within"] = lambda *_: False
    names["reckon"] = lambda *_: None
    return twin


@settings(max_examples=50, deadline=None)
@given(case=cases())
def test_looking_away_changes_nothing(case: Case, kernel: Kernel) -> None:
    feed = feed_of(kernel, case)
    timers = timers_of(kernel, feed)
    whole, plain = Run(kernel, case), Run(unshortened(), case)
    whole.go(feed, timers)
    plain.go(*(array.view((np.record, array.dtype)) for array in (feed, timers)))
    expected, found = plain.results(), whole.results()
    assert [name for name in expected if found[name] != expected[name]] == []
    kind = "bars" if case.length else "ticks"
    event(f"{case.strategy} on {kind}: {'trades' if whole.tally[0]['trades'] else 'none'}")
