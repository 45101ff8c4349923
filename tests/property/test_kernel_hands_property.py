"""Rows that share one account, near its limits, with hands in between: a replay that looks away misses none of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import event, given, settings
from hypothesis import strategies as st
from kernel_desk import DAY, MINUTE, OPEN, SECOND, Array, Desk, np
from kernel_story import QUICK

from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Kernel

#: What a replay has reckoned for itself.
OWN = ("low", "high", "until", "net", "cost")
RULES: tuple[dict[str, Any], ...] = (
    {"stop_percent": 0.3, "target_percent": 0.4}, {"stop_percent": 0.2, "trail": True},
    {"stop_percent": 0.4, "target_percent": 0.3, "exit_on_signal": True, "short": False},
)  # fmt: skip
LADDER = {"stop_percent": 0.3, "target_percent": 0.6, "stop2_percent": 0.2, "stop3_percent": 0.3,
          "add2_percent": 0.05, "add3_percent": 0.1}  # fmt: skip


class Room(NamedTuple):
    """A day of several rows; everything else comes from the seed."""

    seed: int
    rows: int
    amplitude: int
    limits: dict[str, int]
    venue: dict[str, int]


rooms = st.builds(
    Room, st.integers(0, 2**32 - 1), st.integers(1, 4), st.sampled_from([1, 3, 8]),
    st.fixed_dictionaries({
        "loss_limit": st.sampled_from([0, 300, 2_000]), "loss_flatten": st.integers(0, 1),
        "max_rungs": st.sampled_from([1, 2, 4, 90]), "max_trades": st.sampled_from([0, 0, 5, 40]),
        "total_capital": st.sampled_from([320_000, 700_000, 1 << 60]), "cooldown": st.sampled_from([0, 40 * SECOND]),
        "spike_ppm": st.sampled_from([0, 3_000]), "spike_confirm": st.just(3), "stale": st.sampled_from([0, MINUTE]),
        "trail_step_ppm": st.sampled_from([0, 500]), "trail_interval": st.sampled_from([0, 30 * SECOND]),
    }),
    st.fixed_dictionaries({
        "latency": st.sampled_from([0, 300_000_000]), "slip_ppm": st.sampled_from([0, 200]),
        "participation_ppm": st.sampled_from([0, 300_000]), "max_qty": st.sampled_from([0, 0, 40]),
    }),
)  # fmt: skip


class Floor:
    """The arrays of one replay; ``hand`` is a human, a broker or a new setting between two prices."""

    def __init__(self, kernel: Kernel, room: Room) -> None:
        rng = np.random.default_rng(room.seed)
        self.kernel, self.day, self.desk = kernel, DAY.toordinal(), Desk(kernel, "", room.rows)
        for row in range(room.rows):
            name = str(rng.choice(sorted(QUICK)))
            given = LADDER if name == "momentum_ladder" else RULES[rng.integers(len(RULES))]
            tf = int(rng.choice([0, MINUTE, 3 * MINUTE]))
            self.desk.equip(row, name, tf, bool(rng.random() < 0.7), **QUICK[name] | given)
            if rng.random() < 0.5:
                self.desk.put(row, square_off=OPEN + int(rng.integers(3, 40)) * MINUTE)
        self.desk.limits(**room.limits)
        self.work, self.venue = kernel.new(abi.WORK, room.rows), kernel.new(abi.VENUE, 1)
        for name, value in room.venue.items():
            self.venue[name] = value
        self.trades, self.tally = kernel.new(abi.TRADE, 2_000), kernel.new(abi.TALLY, 1)
        self.event, self.out = kernel.new_event(2), kernel.new_intents(room.rows)

    def go(self, feed: Array, timers: Array) -> None:
        d = self.desk
        self.kernel.replay_day(
            d.state, d.account, d.params, self.work, feed, timers, self.venue, self.event, self.out, self.trades,
            self.tally,
        )  # fmt: skip

    def results(self) -> dict[str, bytes]:
        """All that a replay is asked for."""
        d = self.desk
        found = {"account": d.account, "trades": self.trades, "tally": self.tally}
        named = {n: d.state[n] for n in d.state.dtype.names or ()} | {n: self.work[n] for n in abi.WORK.names or ()}
        return {n: array.tobytes() for n, array in (named | found).items() if n not in OWN}

    def hand(self, rng: np.random.Generator, ts: int) -> str:
        """One of what may happen between two prices. The same numbers do the same thing to the same room."""
        row, rung = int(rng.integers(len(self.work))), int(rng.integers(abi.RUNGS))
        taken = np.argwhere(self.desk.state["side"] != 0).tolist()
        if taken and rng.random() < 0.8:
            row, rung = taken[rng.integers(len(taken))]
        ways: list[Callable[[np.random.Generator, int, int, int], None]] = [
            self._level, self._level, self._switch, self._leave, self._outside, self._brink, self._brink, self._rule,
            self._rule, self._limit, self._tomorrow,
        ]  # fmt: skip
        way = ways[rng.integers(len(ways))]
        way(rng, ts, row, rung)
        return way.__name__

    def _level(self, rng: np.random.Generator, ts: int, row: int, rung: int) -> None:
        """A stop or target by hand, or given back; the exchange's stop rests there then."""
        code = int(rng.choice([abi.PHASE_STOP, abi.PHASE_TARGET]))
        value = max(5, self.desk.get("price", row) // 5 * 5 + 5 * int(rng.integers(-12, 13)))
        told = self.desk.send(
            abi.PHASE, row, ts=ts, code=code, rung=rung, cycle=self.desk.get("cycle", row, rung), value=value,
            qty=int(rng.integers(2)),
        )  # fmt: skip
        for intent in told:
            if self.work[row]["exit_kind"][rung] == 1:
                self.work[row]["exit_trigger"][rung] = intent.stop

    def _switch(self, rng: np.random.Generator, ts: int, row: int, rung: int) -> None:
        code = int(rng.choice([abi.PHASE_BLOCK, abi.PHASE_ENABLE]))
        self.desk.send(abi.PHASE, row, ts=ts, code=code, value=int(rng.integers(2)))

    def _leave(self, rng: np.random.Generator, ts: int, row: int, rung: int) -> None:
        """A demanded exit that the broker then refuses, now or never."""
        self.desk.send(abi.PHASE, row, ts=ts, code=abi.PHASE_EXIT, rung=rung, value=abi.R_COMMAND)
        if rng.random() < 0.7:
            self.desk.end(abi.REJECT, abi.EXIT_LEG, self.desk.get("cycle", row, rung), rung, row, ts)

    def _outside(self, rng: np.random.Generator, ts: int, row: int, rung: int) -> None:
        """Some of what is held is sold elsewhere, or all but the end of it."""
        held = self.desk.get("filled", row, rung) - self.desk.get("exited", row, rung)
        if held > 1 and self.desk.get("side", row, rung) != 0:
            more, price = int(rng.integers(1, held)), self.desk.get("price", row)
            qty, value = self.desk.get("exited", row, rung), self.desk.get("exit_value", row, rung)
            cycle = self.desk.get("cycle", row, rung)
            self.desk.fill(qty + more, value + more * price, abi.EXIT_LEG, cycle, rung, row, ts)

    def _brink(self, rng: np.random.Generator, ts: int, row: int, rung: int) -> None:
        """The day's loss limit is a little away from where the day stands: reached, exactly, or not yet."""
        total = self.desk.sum("realised") + self.desk.sum("unrealised") - self.desk.sum("charges")
        near = int(rng.choice([-1, 0, 1, 20, 150, 1_000]))
        self.desk.limits(loss_limit=max(1, near - total), loss_flatten=int(rng.integers(2)), halted=0)

    def _rule(self, rng: np.random.Generator, ts: int, row: int, rung: int) -> None:
        """A setting of one row."""
        p = self.desk.params[row]
        which = rng.integers(6)
        if which == 0:
            p["stop_pct"][rung] = rng.choice([0.1, 0.25, 0.5])
        elif which == 1:
            p["target_pct"][rung] = rng.choice([0.0, 0.1, 0.3])
        elif which == 2:
            p["add_pct"][rung] = rng.choice([0.01, 0.04, 0.2])
        elif which == 3:
            p["trail"][rung] = rng.integers(2)
        elif which == 4:
            p["square_off"] = rng.choice([0, ts + int(rng.integers(1, 90)) * SECOND])
        else:
            p["exit_on_signal"] = rng.integers(2)

    def _limit(self, rng: np.random.Generator, ts: int, row: int, rung: int) -> None:
        """A setting of the account."""
        rungs, used = self.desk.sum("rungs"), self.desk.sum("used")
        which = rng.integers(4)
        if which == 0:
            self.desk.limits(max_rungs=rungs + int(rng.integers(0, 3)))
        elif which == 1:
            self.desk.limits(total_capital=used + int(rng.choice([0, 290_000, 600_000])))
        elif which == 2:
            self.desk.limits(trail_step_ppm=int(rng.choice([0, 500, 5_000])))
        else:
            self.desk.limits(trail_interval=int(rng.choice([0, 10, 60])) * SECOND)

    def _tomorrow(self, rng: np.random.Generator, ts: int, row: int, rung: int) -> None:
        if rng.random() < 0.3:
            self.day += 1
            for i in range(len(self.work)):
                self.desk.send(abi.PHASE, i, ts=ts, code=abi.PHASE_DAY, value=self.day)


def feed_of(kernel: Kernel, room: Room, n: int = 120) -> tuple[Array, Array]:
    """Prices of the rows in any order and at any distance, and timers among them, some at the moment of a price."""
    rng = np.random.default_rng(room.seed + 1)
    gaps = rng.choice([0, SECOND // 3, 2 * SECOND, 9 * SECOND, 40 * SECOND], n, p=[0.1, 0.2, 0.3, 0.3, 0.1])
    feed, timers = kernel.new_event(n), kernel.new_event(n // 3)
    feed["kind"], feed["ts"], feed["row"] = abi.TICK, OPEN + np.cumsum(gaps), rng.integers(0, room.rows, n)
    price, volume = rng.integers(4_000, 40_000, room.rows) // 5 * 5, [0] * room.rows
    for e in feed:
        row = int(e["row"])
        price[row] = max(100, price[row] + 5 * int(rng.integers(-room.amplitude, room.amplitude + 1)))
        volume[row] += int(rng.choice([0, 3, 5_000]))
        e["price"], e["qty"] = int(price[row]) * (100 if rng.random() > 0.01 else 103) // 100, volume[row]
    moments = rng.choice(feed["ts"], len(timers)) + rng.choice([0, 1, SECOND, 20 * SECOND], len(timers))
    timers["kind"], timers["ts"], timers["qty"] = abi.TIMER, np.sort(moments), rng.integers(0, 2, len(timers))
    return feed, timers


def price_by_price(floor: Floor, feed: Array, timers: Array) -> None:
    """A call for each price and each timer, so that nothing is known of the one before it but what the rows say."""
    k = 0
    for i in range(len(feed)):
        while k < len(timers) and timers[k]["ts"] <= feed[i]["ts"]:
            floor.go(feed[:0], timers[k : k + 1])
            k += 1
        floor.go(feed[i : i + 1], timers[:0])
    for j in range(k, len(timers)):
        floor.go(feed[:0], timers[j : j + 1])


@settings(max_examples=30, deadline=None)
@given(room=rooms)
def test_no_limit_of_the_account_and_no_hand_is_overlooked(room: Room, kernel: Kernel) -> None:
    feed, timers = feed_of(kernel, room)
    whole, single = Floor(kernel, room), Floor(kernel, room)
    rng = np.random.default_rng(room.seed + 2)
    at = k = 0
    while at < len(feed):
        end = min(len(feed), at + int(rng.integers(1, 30)))
        due = int(np.searchsorted(timers["ts"], feed[end - 1]["ts"], side="right"))
        whole.go(feed[at:end], timers[k:due])
        price_by_price(single, feed[at:end], timers[k:due])
        expected, found = single.results(), whole.results()
        assert [name for name in expected if found[name] != expected[name]] == []
        seed, ts = int(rng.integers(1 << 32)), int(feed[end - 1]["ts"])
        event(whole.hand(np.random.default_rng(seed), ts))
        single.hand(np.random.default_rng(seed), ts)
        at, k = end, due
    event(f"{'trades' if whole.tally[0]['trades'] else 'no trades'}, {'halted' if whole.desk.sum('halted') else 'on'}")


def test_a_day_that_these_rooms_are_made_of_trades_and_halts(kernel: Kernel) -> None:
    """Else the property above would hold of nothing."""
    trades = halted = 0
    for seed in range(12):
        room = Room(seed, 3, 3, {"loss_limit": 2_000, "loss_flatten": 1, "max_rungs": 90}, {})
        floor = Floor(kernel, room)
        floor.go(*feed_of(kernel, room, 400))
        trades += int(floor.tally[0]["trades"])
        halted += floor.desk.sum("halted")
    assert trades > 20
    assert halted > 0
