"""Whatever goes through a deck comes out of its tape the same; also where a strategy fails."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_desk import DAY, OPEN, SECOND, Desk, Intent, read
from kernel_story import Op, Setting, desk_for, ops, settings_of_a_story, tell

from otrade_bot.kernel import compile as build
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Kernel, StrategySource
from otrade_bot.research.selfcheck import Verdict, check
from otrade_bot.research.tape import Header, describe, read_segment
from otrade_bot.service.recorder import Recorder
from otrade_bot.trading.deck import Deck
from tests.harness.bench import config, kernel
from tests.property.test_frames_property import STEPS, SYMBOLS, World


def deck_of(desk: Desk, folder: Path) -> tuple[Deck, Recorder]:
    """Its arrays behind the one door, with a recorder."""
    deck = Deck(desk.kernel, len(desk.state))
    deck.state[:], deck.account[:], deck.params[:] = desk.state, desk.account, desk.params
    desk.state, desk.account, desk.params = deck.state, deck.account, deck.params
    recorder = Recorder(folder, header_of(desk.kernel, len(desk.state)), 30, lambda why: None)
    deck.tape = recorder
    return deck, recorder


def header_of(used: Kernel, rows: int) -> Header:
    names = tuple(f"NSE:S{row}" for row in range(rows))
    return Header(DAY, 0, used.key, names, ("x",) * rows, tuple(used.sids), "A1", OPEN, describe(used.row),
                  describe(used.params))  # fmt: skip


def verdict_of(recorder: Recorder, used: Kernel) -> Verdict:
    assert recorder.end().wait(20)
    assert recorder.path is not None
    verdict = Verdict(DAY.isoformat())
    check(read_segment(recorder.path), used, verdict)
    return verdict


@settings(max_examples=40, deadline=None)
@given(settings_of_a_story, ops, st.lists(st.integers(0, 200), max_size=6), st.randoms(use_true_random=False))
def test_any_story_through_a_deck_is_replayed_to_the_same_state_and_intents(
    setting: Setting, story: list[Op], writes: list[int], rng: Any
) -> None:
    desk = desk_for(kernel(), setting)
    with tempfile.TemporaryDirectory() as folder:
        deck, recorder = deck_of(desk, Path(folder) / "tape")
        before = 0
        came: list[Intent] = []

        def send(kind: int, row: int = 0, **fields: int) -> list[Intent]:
            nonlocal before
            before += 1
            if before in writes:
                desk.params["capital"][row] += 5_000
                desk.account["cooldown"] += 1
                deck.changed()
            if kind == abi.TICK and fields["code"] == abi.LIVE:
                given = row, fields["ts"], fields["price"], fields["qty"]
                n = deck.tick(*given) if deck.accept(*given) else 0
            elif kind == abi.TIMER and row == 0 and rng.random() < 0.5:
                n = deck.timer(fields["ts"], fields["qty"], abi.LIVE)
            else:
                n = deck.event(kind, row, **fields)
            found = read(deck.out, n)
            deck.taken(n)
            came.extend(found)
            return found

        desk.send = send  # type: ignore[method-assign]
        for _ in tell(desk, story):
            pass
        verdict = verdict_of(recorder, kernel())
    assert verdict.well, verdict.words()
    assert verdict.intents == len(came)


FAILS = """
def update(s, p):
    s.seen = s.ltp


def should_buy(s, p):
    return s.closes[60 + int(s.ltp)] >= 0.0


def should_sell(s, p):
    return False
"""


@pytest.fixture(scope="module")
def failing() -> Kernel:
    """Its strategy raises from four rupees on: it looks beyond the ring."""
    source = StrategySource("fails", Path("fails.py"), FAILS, {"seen": "f8"})
    return build.load([source], interpreted=True)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(100, 800), st.booleans()), min_size=1, max_size=25))
def test_a_strategy_that_raises_does_so_again(failing: Kernel, prices: list[tuple[int, int, bool]]) -> None:
    desk = Desk(failing, "", 2)
    for row in (0, 1):
        desk.put(row, sid=1, rungs=1, capital=10_000)
    with tempfile.TemporaryDirectory() as folder:
        deck, recorder = deck_of(desk, Path(folder) / "tape")
        for number, (row, price, minute) in enumerate(prices):
            ts = OPEN + number * 30 * SECOND
            if deck.accept(row, ts, price, number):
                _tried(deck, row, lambda given=(row, ts, price, number): deck.tick(*given))  # type: ignore[misc]
            if minute:
                _minute(deck, ts + SECOND)
        verdict = verdict_of(recorder, failing)
    assert verdict.well, verdict.words()
    assert desk.params["sid"].tolist() == [int(not any(p >= 400 for r, p, _ in prices if r == row)) for row in (0, 1)]


def _tried(deck: Deck, row: int, call: Any) -> None:
    """As the engine does it: switched off where it fails."""
    try:
        deck.taken(call())
    except IndexError:
        deck.taken(deck.left())
        deck.params[row]["sid"] = deck.params[row]["enabled"] = 0
        deck.changed()


def _minute(deck: Deck, ts: int) -> None:
    kept = deck.state.copy(), deck.account.copy()
    try:
        deck.taken(deck.timer(ts, 1, abi.LIVE))
    except IndexError:
        deck.state[:], deck.account[:] = kept
        deck.changed()
        deck.dropped()
        for row in (0, 1):
            _tried(deck, row, lambda row=row: deck.event(abi.TIMER, row, ts=ts, qty=1))  # type: ignore[misc]




@settings(max_examples=25, deadline=None)
@given(STEPS, st.sampled_from(["tick", "1m"]))
def test_a_live_day_that_came_in_frames_is_replayed_to_the_same(steps: list[Any], timeframe: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), "in frames", config("ema_crossover", SYMBOLS, timeframe))
        try:
            deck = world.bench.engine.deck
            recorder = Recorder(Path(folder) / "tape", header_of(deck.kernel, deck.rows), 30, lambda why: None)
            deck.tape = recorder
            world.play(steps)
            verdict = verdict_of(recorder, deck.kernel)
        finally:
            world.bench.broker.close()
    assert verdict.well, verdict.words()
