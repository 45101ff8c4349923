"""Whatever prices, people and clocks do: nothing is entered without a yes to that very question, and nothing leaks."""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

from harness.bench import OTHER, SHARE, Bench, config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otrade_bot.config.models import Approval
from otrade_bot.core.errors import CommandException
from otrade_bot.core.events import EventKind
from otrade_bot.core.model import Block, Leg

SYMBOLS = (SHARE.symbol, OTHER.symbol)
PLAIN = config("momentum_ladder", SYMBOLS, params={"scan": False}, risk={"reject_cooldown_seconds": 1})
STEPS = st.one_of(
    st.tuples(st.just("price"), st.integers(0, 1), st.integers(-60, 80)),
    st.tuples(st.just("climb"), st.integers(0, 1), st.integers(3, 12)),
    st.tuples(st.sampled_from(["approve", "skip", "again"]), st.integers(0, 5), st.just(0)),
    st.tuples(st.just("wall"), st.integers(0, 25), st.just(0)),
    st.tuples(st.sampled_from(["pause", "resume", "stale", "fresh", "leave"]), st.integers(0, 1), st.just(0)),
)


class Desk:
    def __init__(self, folder: Path, unanswered: str) -> None:
        wish = Approval.model_validate({"ask": True, "unanswered": unanswered})
        trading = PLAIN.trading.model_copy(update={"approval": wish})
        self.bench = Bench.paper(folder / "paper.jsonl", replace(PLAIN, trading=trading), instruments=(SHARE, OTHER))
        self.engine, self.now = self.bench.engine, 0.0
        self.engine.approvals.wall = lambda: self.now
        self.prices = [10_000, 10_000]
        self.yes: Counter[str] = Counter()  #: by question: how often a person was told that it is sent

    def step(self, what: str, first: int, second: int) -> None:
        engine = self.engine
        if what == "price":
            self.price(first, second)
        elif what == "climb":
            for _ in range(second):
                self.price(first, 10)
        elif what in ("approve", "skip", "again"):
            self.answer(what, first)
        elif what == "wall":
            self.now += first
            self.bench.pulse()
        elif what in ("pause", "resume"):
            getattr(engine, what)("owner")
        elif what in ("stale", "fresh"):
            (engine.block if what == "stale" else engine.release)(Block.STALE)
        else:
            engine.exit_row(first)

    def price(self, row: int, change: int) -> None:
        self.prices[row] = max(9_000, self.prices[row] + change)
        self.bench.price(self.prices[row], row=row)

    def answer(self, what: str, place: int) -> None:
        """``again``: to a question that may be over, as of an old button."""
        asked = [one for one in self.engine.signals() if one.ref and (what == "again" or one.state == "waiting")]
        if not asked:
            return
        ref = asked[place % len(asked)].ref
        with contextlib.suppress(CommandException):
            if what == "skip":
                self.engine.skip(ref, "owner")
            elif " is sent." in self.engine.approve(ref, "owner"):
                self.yes[ref] += 1

    def check(self, unanswered: str) -> None:
        engine = self.engine
        said = [str(event.data["ref"]) for event in self.bench.events(EventKind.APPROVAL) if event.data["by"]]
        assert self.yes == Counter(said)
        assert max(self.yes.values(), default=0) <= 1
        silent = [event for event in self.bench.events(EventKind.APPROVAL) if not event.data["by"]]
        assert not silent or unanswered == "enter"
        entries = [order for order in engine.orders() if order.leg is Leg.ENTRY]
        assert len(entries) == len(said) + len(silent)
        assert engine.account[0]["used"] == engine.state["reserve"].sum()
        assert engine.account[0]["rungs"] == (engine.state["side"] != 0).sum()
        pending = (engine.state["side"] != 0) & (engine.state["filled"] == 0)
        assert pending.sum() == len(engine.approvals.waiting)  # paper fills at once: only questions are pending
        if engine.blocks:
            assert not engine.approvals.waiting


@given(unanswered=st.sampled_from(["skip", "enter"]), steps=st.lists(STEPS, max_size=60))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_is_entered_without_its_own_yes_and_nothing_is_left_bound(
    unanswered: str, steps: list[tuple[str, int, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder), unanswered)
        for row in (0, 1):
            desk.step("climb", row, 8)  # a first question each
        for step in steps:
            desk.step(*step)
            desk.check(unanswered)
        desk.bench.at(15, 12)
        assert not desk.engine.approvals.waiting
        assert desk.engine.positions() == []
        assert desk.engine.account[0]["used"] == desk.engine.account[0]["rungs"] == 0
