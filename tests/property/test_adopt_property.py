"""Percentages that change at any moment: an open position keeps its own, and a restart changes nothing of that."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.bench import Bench, config, run
from hypothesis import event, given, settings
from hypothesis import strategies as st

from otrade_bot.config.models import Config
from otrade_bot.trading.adopt import adopt, numbers_then, tables_of

BASE = config(params={"short": False, "trail": True, "target_percent": 3.0})

prices = st.tuples(st.just("price"), st.integers(-70, 80))
changes = st.tuples(st.just("change"), st.sampled_from([0.5, 1.0, 2.0, 4.0]))
stories = st.lists(st.one_of(prices, prices, prices, changes), min_size=5, max_size=60)
#: It buys at the end of that.
TURN = [("price", step) for step in (-5, -5, -10, -10, -10, 40)]


def percent(stop: float) -> Config:
    given = BASE.trading.strategies[0]
    one = given.model_copy(update={"params": {**given.params, "stop_percent": stop, "target_percent": 2 * stop}})
    return replace(BASE, trading=BASE.trading.model_copy(update={"strategies": (one,)}))


class Day:
    """A bench that remembers what a recovery is given."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench.paper(folder / "paper.jsonl", BASE)
        self.told: list[tuple[int, int, int, int]] = []
        self.bench.engine.add_price_listener(lambda symbol, ts, price, volume: self.told.append((ts, 0, price, volume)))
        self.lines: list[dict[str, Any]] = []
        self.at, self.now = 10_000, BASE
        self._line()

    def _line(self) -> None:
        self.lines.append({"kind": "setting", "ns": self.bench.now, "rungs": tables_of(self.bench.engine)})

    def tell(self, what: str, value: Any) -> None:
        if what == "price":
            self.at = max(5_000, (self.at + value) // 5 * 5)
            self.bench.price(self.at)
        else:
            self.now = percent(value)
            adopt(self.bench.engine, self.now)
            self._line()

    def again(self, folder: Path) -> Bench:
        """Another process, after this one."""
        self.bench.broker.close()
        other = Bench.paper(folder / "paper.jsonl", self.now)
        other.clock.advance_to(self.bench.now)
        run(other.engine.recover(history=self.told, numbers=numbers_then(self.lines)))
        return other


def levels(bench: Bench) -> list[tuple[int, int, int, int]]:
    return [(one.entry_ns, one.quantity, one.stop, one.target) for one in bench.engine.positions()]


def waits(bench: Bench) -> dict[int, list[tuple[float, ...]]]:
    return {row: [tuple(one) for one in table] for row, table in bench.engine.numbers.waiting.items()}


@settings(max_examples=40, deadline=None)
@given(story=stories)
def test_a_change_moves_no_level_of_an_open_position_and_a_restart_finds_them_all(story: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        day = Day(Path(folder))
        for what, value in [*TURN, *story]:
            before = levels(day.bench)
            day.tell(what, value)
            if what == "change":
                assert levels(day.bench) == before
        engine = day.bench.engine
        waiting, held, numbers = waits(day.bench), levels(day.bench), engine.params[0]["stop_pct"][0]
        event(f"{'holds' if held else 'flat'}, {'waits' if waiting else 'settled'}")
        again = day.again(Path(folder))
        assert levels(again) == held
        if held:
            assert again.engine.params[0]["stop_pct"][0] == numbers
            assert waits(again) == waiting
        again.broker.close()
