"""A venue that does anything, and a human who closes parts, moves stops and targets, while the process is killed: never
more on sale than is held, nothing sold twice, and what is left keeps its stop."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from harness.bench import SHARE, Bench, config, run
from harness.gtt_venues import Single
from harness.venue import Call, FakeVenue
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from property.test_delivery_properties import Guarded
from property.test_trading_properties import Rung
from property.test_trading_recovery import bench_at, facts, stream

from otrade_bot.core.clock import SECOND, iso
from otrade_bot.core.errors import CommandException
from otrade_bot.core.events import EventKind
from otrade_bot.core.model import ExitReason, Side, Unknown
from otrade_bot.trading.decided import decided
from otrade_bot.trading.recover import HistoryTick
from otrade_bot.trading.rungs import RungLife
from otrade_bot.trading.tagless import tagless_exits
from otrade_bot.trading.unanswered import sent_tags, unanswered

INTRADAY = config(params={"target_percent": 50.0, "short": False})


class _Human:
    """What the human does, for both machines."""

    bench: Bench
    price: int
    venue: FakeVenue

    def _remember(self) -> None:
        """The prices of the day, as a start gets them."""
        self.seen: list[HistoryTick] = []
        self._watch()

    def _watch(self) -> None:
        self.bench.engine.add_price_listener(lambda symbol, ts, price, volume: self.seen.append((ts, 0, price, volume)))

    def _again(self) -> Bench:
        return Bench(lambda bench: self.venue, self.bench.config)

    def _killable(self) -> bool:
        return True

    @precondition(lambda self: self._killable())
    @rule(landed=st.booleans())
    def kill(self, landed: bool) -> None:
        """The process is gone, and another one comes a second later. What was on its way has arrived, or never does."""
        for call in self.venue.open_calls():
            call.answered = True
            if call.natural is None and not call.lost:
                call.lost = not landed
                if landed:
                    self.venue.act(call)
        self.venue.outbox.clear()
        self.venue.told.clear()
        lines, old = lines_of(self.bench), self.bench
        old.engine.retire()
        self.bench = self._again()
        self.venue.clock, self.venue.report = self.bench.clock, self.bench.engine.on_report
        self.bench.diary.events = list(old.diary.events)
        self.bench.clock.advance_to(old.now + SECOND)
        run(self.bench.engine.recover(
            history=list(self.seen), decided=decided(lines), pending=unanswered(lines, self.bench.now),
            sent=sent_tags(lines), exits=tagless_exits(lines, "A1"),
            known_trades={str(line["trade_id"]) for line in lines if line["kind"] == "trade"},
        ))  # fmt: skip
        self._watch()
        for slot, life in old.manager.lives.items():
            self._kept(life, self.bench.manager.lives.get(slot), len(old.diary.events))

    def _kept(self, life: RungLife, born: RungLife | None, said: int) -> None:
        """What was decided is, after the start, what it was before the kill."""
        if life.closed or life.held <= 0 or born is None or born.closed or born.cycle != life.cycle:
            return
        if life.wanted is ExitReason.COMMAND:
            assert born.wanted is ExitReason.COMMAND
        if life.hand:
            assert (born.hand, born.level) == (True, life.level)
        if born.part != life.part and life.wanted is None:
            news = self.bench.diary.events[said:]
            assert any("given up" in event.text for event in news if event.kind is EventKind.CLOSE)

    @initialize()
    def buy(self) -> None:
        """30 are held, and guarded, most of the time: that is what there is to decide about."""
        if not self.bench.manager.lives:
            self.bench.signal(self.price)
            self.venue.fill(self.venue.accept(), say=False)
        self.all_is_well()

    @rule()
    def all_is_well(self) -> None:
        """Every write arrives and is answered, and what came of it is told."""
        for _ in range(8):
            for call in self.venue.open_calls():
                if call.natural is None and not call.lost:
                    self.venue.act(call)
                self.venue.answer(call, None if call.natural else Unknown("timeout"))
            for call in self.venue.unacted():
                self.venue.act(call)
            self.venue.deliver_all()

    @precondition(lambda self: all(life.closed for life in self.bench.manager.lives.values()))
    @rule()
    def buy_again(self) -> None:
        self.bench.signal(self.price)
        entries = [call for call in self.venue.open_calls() if call.what == "place" and call.natural is None]
        for call in entries:
            if call.request.side is Side.BUY:
                self.venue.fill(self.venue.accept(call), price=self.price, say=False)
        self.all_is_well()

    @rule(amount=st.sampled_from(["half", 1, 7, 29]))
    def close_a_part(self, amount: Any) -> None:
        with suppress(CommandException):
            self.bench.engine.close(SHARE.symbol, 1, amount, "owner")

    @rule()
    def close_half(self) -> None:
        self.close_a_part("half")

    @rule(luck=st.integers(0, 4))
    def close_all(self, luck: int) -> None:
        if luck:
            return
        with suppress(CommandException):
            self.bench.engine.close(SHARE.symbol, 0, "all", "owner")

    @rule(which=st.sampled_from(["stop", "stop", "target"]), away=st.sampled_from([-400, -150, -20, 30, 300, "auto"]))
    def put_a_level(self, which: Any, away: Any) -> None:
        value = away if away == "auto" else self.price + away
        with suppress(CommandException):
            self.bench.engine.set_level(SHARE.symbol, 1, which, value, "owner")
            life = self.bench.life()
            assert life.level if which == "stop" else True

    @invariant()
    def a_stop_by_hand_is_where_it_was_put(self) -> None:
        for life in self.bench.manager.lives.values():
            if life.hand and not life.closed:
                last = next(
                    event.data for event in reversed(self.bench.events(EventKind.LEVEL)) if event.data["what"] == "stop"
                )
                assert life.level == last["level_paise"]
                assert self.bench.rung("stop") == life.level

    @invariant()
    def a_part_and_the_stop_never_sell_the_same_share(self) -> None:
        for life in self.bench.manager.lives.values():
            if not life.closed and life.held > 0:
                assert life.kept + sum(o.left for o in life.exits if o.part) <= max(life.held, life.covered)


def lines_of(bench: Bench) -> list[dict[str, Any]]:
    """The journal as a start reads it."""
    return [
        {"ts": iso(e.ts_ns), "ns": e.ts_ns, "kind": e.kind.value, "symbol": e.symbol, **e.data}
        for e in bench.diary.events
    ]


class ByHand(_Human, Rung):
    """Intraday: a stop order, and a part beside it."""

    def __init__(self) -> None:
        super().__init__()
        self._remember()

    @rule(luck=st.integers(0, 4))
    def leave(self, luck: int) -> None:
        if not luck:
            self.bench.engine.exit_row(0)

    def _alike(self) -> tuple[int, int]:
        working = [o for o in self.venue.working() if o.side is Side.SELL]
        flying = [c for c in self.venue.unacted() if c.what == "place" and c.request.side is Side.SELL]
        tags = [*(o.tag for o in working), *(c.request.tag for c in flying)]
        parts = sum(tag[7] == "P" for tag in tags)
        return len(tags) - parts, parts

    @invariant()
    def never_two_reducing_orders(self) -> None:
        """One for what stays, one for a part."""
        stays, parts = self._alike()
        assert stays <= 1
        assert parts <= 1

    @invariant()
    def what_is_held_is_protected_or_about_to_be(self) -> None:
        """What a part is not for has an order, or waits for one and has been told."""
        for life in self.bench.manager.lives.values():
            if life.held > 0:
                assert not life.closed
                if life.kept > 0 and not any(o.live and not o.part for o in life.exits):
                    assert life.retry_ns > self.bench.now
                    assert self.bench.alerts


TestByHand = ByHand.TestCase
TestByHand.settings = settings(
    max_examples=60, stateful_step_count=35, deadline=None, suppress_health_check=list(HealthCheck)
)


class ByHandGuarded(_Human, Guarded):
    """Delivery: a GTT, and a part beside it; the target is its second leg, or watched."""

    def __init__(self) -> None:
        super().__init__()
        self._remember()

    def _parts(self) -> list[Any]:
        working = [o for o in self.venue.working() if o.side is Side.SELL and o.tag[7:8] == "P"]
        flying = [c for c in self.venue.unacted() if c.what == "place" and c.request.tag[7] == "P"]
        return [*working, *flying]

    def _leaves(self, call: Call) -> None:
        """A part may leave beside what guards the rest; nothing else beside anything."""
        if call.what == "place" and call.request.tag[7] == "P":
            assert not self._parts()
            return
        super()._leaves(call)

    def _reducing(self) -> list[Any]:
        """Besides a part."""
        return [one for one in super()._reducing() if one not in self._parts()]

    def _killable(self) -> bool:
        """A GTT that is in doubt at a kill is the business of other tests."""
        lives = (life for life in self.bench.manager.lives.values() if not life.closed)
        return all(life.held > 0 and life.gtt and life.gtt.ready for life in lives)

    @rule(luck=st.integers(0, 4))
    def leave(self, luck: int) -> None:
        if not luck:
            self.bench.engine.exit_row(0)


class ByHandAlone(ByHandGuarded):
    """A broker whose GTT has one leg."""

    make = staticmethod(lambda bench: Single(bench.clock))
    pace = 30.0


TestByHandGuarded = ByHandGuarded.TestCase
TestByHandAlone = ByHandAlone.TestCase
TestByHandGuarded.settings = TestByHandAlone.settings = settings(
    max_examples=25, stateful_step_count=35, deadline=None, suppress_health_check=list(HealthCheck)
)


# --- a day on paper that is cut and resumed -------------------------------------------------------------------------


def decide(bench: Bench, luck: random.Random) -> None:
    """What the human does now and then, to whatever is open."""
    for life in list(bench.manager.lives.values()):
        if life.closed or luck.random() < 0.8:
            continue
        ltp, side = bench.rows[life.row].ltp, int(life.side)
        which, value = luck.choice((("stop", -1), ("stop", 0), ("target", 1), ("target", 0)))
        symbol, rung = bench.manager.symbol(life), life.rung + 1
        with suppress(CommandException):
            if luck.random() < 0.4:
                bench.engine.close(symbol, rung, luck.choice(("half", "half", "all")), "owner")
            else:
                level: Any = ltp + side * value * luck.randint(5, 80) if value else luck.choice(("auto", "off"))
                bench.engine.set_level(symbol, rung, which, level, "owner")


def lived_through(bench: Bench, steps: Sequence[HistoryTick], luck: random.Random) -> None:
    for step in steps:
        bench.feed([step])
        if luck.random() < 0.2:
            decide(bench, luck)


def known_of(bench: Bench) -> dict[str, Any]:
    """What a restart must find again; of a rung that is being left its stop does not matter any more."""
    found = facts(bench)
    staying = {slot: life for slot, life in bench.manager.lives.items() if not life.closed and life.wanted is None}
    return {
        "tags": found["tags"], "account": found["account"],
        "trades": sorted(found["trades"], key=lambda trade: str(trade.trade_id)),
        "lives": [
            (slot, found["lives"][slot], life.hand, life.part, bench.rung("hand_target", slot[1], slot[0]))
            for slot, life in sorted(staying.items())
        ],
        "leaving": sorted(slot for slot in found["lives"] if slot not in staying),
    }  # fmt: skip


@pytest.mark.parametrize("strategy", ["ema_crossover", "momentum_ladder"])
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(at=st.integers(50, len(stream()) - 1), seed=st.integers(0, 10_000))
def test_a_day_of_decisions_that_is_cut_and_resumed_is_the_day_that_was_not(
    tmp_path_factory: pytest.TempPathFactory, strategy: str, at: int, seed: int
) -> None:
    folder, steps = tmp_path_factory.mktemp("cut"), stream()
    lived = bench_at(folder / "a", strategy)
    lived_through(lived, steps[:at], random.Random(seed))
    (folder / "b").write_bytes((folder / "a").read_bytes())
    born = bench_at(folder / "b", strategy)
    born.clock.advance_to(lived.now)
    lines = lines_of(lived)
    known = {str(line["trade_id"]) for line in lines if line["kind"] == "trade"}
    run(born.engine.recover(
        history=steps[:at], decided=decided(lines), known_trades=known, exits=tagless_exits(lines, "A1")
    ))  # fmt: skip
    assert known_of(born) == known_of(lived)
    assert born.events(EventKind.TRADE) == []
    for bench in (lived, born):
        lived_through(bench, steps[at : at + 100], random.Random(seed + 1))
    assert known_of(born) == known_of(lived)
