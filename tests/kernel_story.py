"""Random days at a ``Desk``: ticks, timers, fills of every kind, refusals, adoptions, phases.

A story is a list of small integers. Each turns into concrete events at
the moment it is told, because a fill needs the cycle that the kernel has just opened.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from hypothesis import strategies as st
from kernel_desk import DAY, MINUTE, OPEN, SECOND, Array, Desk, Intent, np

from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Kernel

Op = tuple[int, int, int, int]
Fields = dict[str, int]
DAY_NS = 24 * 60 * MINUTE

#: Small windows, so that a short story sees crosses, breakouts and whole ladders.
QUICK: dict[str, dict[str, Any]] = {
    "ema_crossover": {"fast": 2, "slow": 3},
    "momentum_ladder": {"ema_fast": 2, "ema_mid": 3, "ema_slow": 4, "ema_trend": 5, "lookback": 2},
}


class Setting(NamedTuple):
    """What a story is about."""

    strategy: str
    tf: int
    intraday: bool
    exit_on_signal: bool
    loss_limit: int
    max_rungs: int
    max_trades: int
    total_capital: int


settings_of_a_story = st.builds(
    Setting,
    strategy=st.sampled_from(sorted(QUICK)),
    tf=st.sampled_from([0, MINUTE, 3 * MINUTE]),
    intraday=st.booleans(),
    exit_on_signal=st.booleans(),
    loss_limit=st.sampled_from([0, 5_000]),
    max_rungs=st.integers(1, 5),
    max_trades=st.sampled_from([0, 1, 3, 100]),
    total_capital=st.sampled_from([320_000, 700_000, 1_500_000]),
)

_TICK, _TIMER, _FILL, _OUT, _END, _STALE, _PHASE, _ADOPT = range(8)
#: Kinds of op, as often as they should come.
_MIX = [_TICK] * 14 + [_TIMER] * 3 + [_FILL] * 5 + [_OUT] * 3 + [_END] * 2 + [_STALE] + [_PHASE] * 2 + [_ADOPT]



def _story(seed: int, length: int) -> list[Op]:
    rng = random.Random(seed)
    return [(rng.choice(_MIX), rng.randint(0, 5), rng.randint(-8, 8), rng.randint(0, 7)) for _ in range(length)]


#: Seeds make long stories where lists of Hypothesis' own stay short; the length still shrinks.
ops = st.builds(_story, st.integers(0, 2**32 - 1), st.integers(60, 240))


def desk_for(kernel: Kernel, setting: Setting, rows: int = 2) -> Desk:
    desk = Desk(
        kernel, setting.strategy, rows, setting.tf, setting.intraday,
        **QUICK[setting.strategy], exit_on_signal=setting.exit_on_signal,
    )  # fmt: skip
    desk.limits(
        loss_limit=setting.loss_limit, loss_flatten=1, max_rungs=setting.max_rungs, max_trades=setting.max_trades,
        total_capital=setting.total_capital, cooldown=SECOND, reject_cooldown=MINUTE,
    )  # fmt: skip
    return desk


class Teller:
    """Turns ops into events, one group at a time; ``adopting`` also lets the broker's book speak."""

    def __init__(self, desk: Desk, *, adopting: bool = True, new_days: bool = True) -> None:
        self.desk, self.adopting, self.new_days = desk, adopting, new_days
        self.ts, self.day = OPEN + SECOND, DAY.toordinal()
        self.price, self.volume = [10_000] * len(desk.state), [0] * len(desk.state)
        self._told: list[Callable[[int, int, int], Iterator[Fields]]] = [
            self._tick, self._timer, self._fill, self._out, self._end, self._stale, self._phase, self._adopt,
        ]  # fmt: skip

    def events(self, op: Op) -> Iterator[Fields]:
        kind, a, b, c = op
        yield from self._told[kind](a, b, c)

    def _tick(self, a: int, b: int, c: int) -> Iterator[Fields]:
        row = a % 2
        self.ts += (1, SECOND, 20 * SECOND, MINUTE)[c % 4]
        self.price[row] = max(100, self.price[row] * (1_001 + b * (1 + c // 4)) // 1_000 // 5 * 5)
        self.volume[row] += c
        yield self._event(abi.TICK, row, price=self.price[row], qty=self.volume[row], code=int(a == 5 and c == 7))

    def _timer(self, a: int, b: int, c: int) -> Iterator[Fields]:
        self.ts += (b + 8) * 5 * SECOND + (a == 5) * 60 * MINUTE
        for row in range(len(self.desk.state)):
            yield self._event(abi.TIMER, row, qty=int(c > 0))

    def _fill(self, a: int, b: int, c: int) -> Iterator[Fields]:
        for row, r in self._open(a):
            want, ref = self.desk.get("want", row, r), self.desk.get("ref", row, r)
            filled, value = self.desk.get("filled", row, r), self.desk.get("entry_value", row, r)
            more = max(0, want - filled) if c > 2 else max(0, want - filled) // 2
            if more:
                price = ref * (1_000 + b) // 1_000
                yield self._report(abi.FILL, row, r, abi.ENTRY, filled + more, value + more * price)

    def _out(self, a: int, b: int, c: int) -> Iterator[Fields]:
        for row, r in self._open(a):
            filled, exited = self.desk.get("filled", row, r), self.desk.get("exited", row, r)
            value = self.desk.get("exit_value", row, r)
            more = filled - exited if c > 3 else (filled - exited + 1) // 2
            if more > 0:
                price = max(5, self.price[row] * (1_000 + b) // 1_000)
                yield self._report(abi.FILL, row, r, abi.EXIT_LEG, exited + more, value + more * price)

    def _end(self, a: int, b: int, c: int) -> Iterator[Fields]:
        for row, r in self._open(a):
            leg = abi.EXIT_LEG if b > 3 else abi.ENTRY
            final = self.desk.get("filled", row, r) if c % 2 else 0
            yield self._report(abi.REJECT if c > 3 else abi.DONE, row, r, leg, final, 0)

    def _stale(self, a: int, b: int, c: int) -> Iterator[Fields]:
        """Reports told again, older than what is known, or of another cycle."""
        row, r = a % 2, a // 2
        leg = abi.ENTRY if c % 2 else abi.EXIT_LEG
        qty = self.desk.get("filled" if c % 2 else "exited", row, r)
        value = self.desk.get("entry_value" if c % 2 else "exit_value", row, r)
        if c < 4:
            yield self._report(abi.FILL, row, r, leg, qty // (1 + c // 2), value // (1 + c // 2))
        else:
            yield self._report(abi.FILL, row, r, leg, qty + 1, value + 10_000, self.desk.get("cycle", row, r) + 1)

    def _phase(self, a: int, b: int, c: int) -> Iterator[Fields]:
        if a == 0 and c == 0 and self.new_days:
            self.ts, self.day = self.ts + DAY_NS, self.day + 1
            self.volume = [0] * len(self.volume)
            for row in range(len(self.desk.state)):
                yield self._event(abi.PHASE, row, code=abi.PHASE_DAY, value=self.day)
        elif a == 1:
            yield self._event(abi.PHASE, 0, code=abi.PHASE_BLOCK, value=int(b == 8))
        elif a == 2:
            yield self._event(abi.PHASE, c % 2, code=abi.PHASE_ENABLE, value=int(b < 8))
        elif a == 3 and b < 0:
            yield self._event(abi.PHASE, c % 2, code=abi.PHASE_EXIT, value=abi.R_FLATTEN, rung=c // 2 - 1)
        elif a == 4:
            row = c % 2
            close = self.price[row]
            fields = {"value": close - b, "high": close + 9, "low": close - 9, "price": close, "qty": c}
            yield self._event(abi.BAR, row, **fields)
        elif a == 5:
            yield from self._by_hand(b, c)

    def _by_hand(self, b: int, c: int) -> Iterator[Fields]:
        """A human puts a level, or gives it back."""
        for row, r in self._open(c):
            level = self.price[row] * (1_000 + 2 * b) // 1_000 // 5 * 5
            code, cycle = (abi.PHASE_STOP, abi.PHASE_TARGET)[c % 2], self.desk.get("cycle", row, r) + (b == 8)
            yield self._event(abi.PHASE, row, code=code, value=level, rung=r, cycle=cycle, qty=int(b < 5))

    def _adopt(self, a: int, b: int, c: int) -> Iterator[Fields]:
        if self.adopting:
            row = a % 2
            cycle = self.desk.get("next_cycle", row) + 1
            side = 1 if b > -3 else -1
            fields = {"rung": a // 2, "cycle": cycle, "code": side, "qty": 1 + c, "price": self.price[row]}
            yield self._event(abi.ADOPT, row, **fields)

    def _open(self, a: int) -> Iterator[tuple[int, int]]:
        """An open rung, if there is one: the a-th, counted round."""
        found = [(row, r) for row in range(len(self.desk.state)) for r in range(3) if self.desk.get("side", row, r)]
        if found:
            yield found[a % len(found)]

    def _report(self, kind: int, row: int, r: int, leg: int, qty: int, value: int, cycle: int = 0) -> Fields:
        cycle = cycle or self.desk.get("cycle", row, r)
        return self._event(kind, row, rung=r, leg=leg, qty=qty, value=value, cycle=cycle)

    def _event(self, kind: int, row: int, **fields: int) -> Fields:
        return {"kind": kind, "row": row, "ts": self.ts, **fields}


def tell(desk: Desk, story: list[Op], **how: bool) -> Iterator[tuple[Fields, list[Intent]]]:
    """Play a story; yields each event with what it intended, after it has been stepped."""
    teller = Teller(desk, **how)
    if how.get("new_days", True):
        desk.put(0, entry_from=0, entry_until=1 << 62, square_off=0)
        desk.put(1, entry_from=0, entry_until=1 << 62, square_off=0)
    for op in story:
        for fields in teller.events(op):
            rest = {k: v for k, v in fields.items() if k not in ("kind", "row")}
            yield fields, desk.send(fields["kind"], fields["row"], **rest)


def as_array(kernel: Kernel, events: list[Fields]) -> Array:
    array = kernel.new_event(len(events))
    for i, fields in enumerate(events):
        for name, value in fields.items():
            array[i][name] = value
    return array


__all__ = ["Fields", "Op", "Setting", "as_array", "desk_for", "np", "ops", "settings_of_a_story", "tell"]
