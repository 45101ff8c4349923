"""The one door to the kernel: what is recorded at it is what went in, in its order."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from otrade_bot import service, trading
from otrade_bot.kernel import state as abi
from otrade_bot.trading.deck import Deck
from tests.harness.bench import DAY, OPEN, OTHER, SHARE, Bench, config, kernel
from tests.harness.recorder import Recorder, again, copies

PRICES = (9_995, 9_990, 9_980, 9_970, 9_960, 10_000, 10_010, 10_200, 10_400, 10_390)


def test_what_was_recorded_leads_to_the_same_state_and_the_same_intents(tmp_path: Path) -> None:
    settings = config(symbols=(SHARE.symbol, OTHER.symbol), timeframe="tick")
    bench = Bench.paper(tmp_path / "p.jsonl", settings, instruments=(SHARE, OTHER))
    heard = Recorder()
    bench.engine.deck.tape = heard
    for turn in range(3):
        for price in PRICES:
            bench.price(price + turn)
            bench.price(price * 2, row=1)
        bench.engine.on_price(0, bench.now - 1, 9_000, 0)
        bench.at(9, 20 + turn)
    bench.engine.pause("owner")
    bench.engine.resume("owner")
    bench.engine.exits_only(1)
    bench.prices(*PRICES)
    bench.engine.start_day(DAY + timedelta(days=1))
    bench.engine.on_time(bench.now)
    assert bench.engine.trades()
    deck, listening = again(heard.told, kernel(), 2)
    for then, now in zip(copies(bench.engine.deck), copies(deck), strict=True):
        assert then.tobytes() == now.tobytes()
    assert listening.intents_told == heard.intents_told
    assert {one[0] for one in heard.intents_told} >= {abi.ENTER, abi.EXIT, abi.STOP}
    assert {one[0] for one in heard.told} == {"begin", "tick", "event", "timer", "changed"}


def test_a_refused_price_is_recorded_once_and_counts_in_its_row(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "p.jsonl")
    bench.price(10_000)
    heard = Recorder()
    bench.engine.deck.tape = heard
    assert not bench.engine.on_price(0, bench.now - 1, 9_000, 5)
    assert [one for one in heard.told if one[0] == "tick"] == [("tick", 0, bench.now - 1, 9_000, 5)]
    assert bench.engine.status().dropped == {"out_of_order": 1}


def test_what_a_paper_fill_did_between_a_price_and_its_step_is_recorded_between_them(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "p.jsonl")
    bench.signal()
    heard = Recorder()
    bench.engine.deck.tape = heard
    bench.price(9_700)  # the stop goes off at the exchange, before the kernel sees the price
    kinds = [(one[0], one[1]) for one in heard.told[1:]]
    assert kinds.index(("event", abi.FILL)) < kinds.index(("tick", 0))


def test_a_failing_strategy_is_told_once_for_each_call_that_failed(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "p.jsonl")
    heard = Recorder()
    bench.engine.deck.tape = heard
    deck = bench.engine.deck

    def fails(*given: Any) -> int:
        raise ZeroDivisionError

    deck.kernel = replace(deck.kernel, tick_one=fails, run=fails, timer_all=fails)
    for call in (lambda: deck.tick(0, OPEN, 1, 1), lambda: deck.event(abi.FILL, 0), lambda: deck.timer(OPEN, 1, 0)):
        with pytest.raises(ZeroDivisionError):
            call()
    assert [one[0] for one in heard.told[1:]] == ["tick", "failed", "event", "failed", "timer", "failed"]


def test_arrays_that_the_kernel_was_not_built_for_are_refused() -> None:
    deck = Deck(kernel(), 2)
    good = deck.state
    alike = good.astype(np.dtype(good.dtype.descr))
    for bad in (alike, good[:1], np.zeros(4, good.dtype)[::2], np.zeros((2, 1), good.dtype)):
        deck.state = bad
        with pytest.raises(ValueError, match="deck: state is"):
            deck.check()
    readonly = good.copy()
    readonly.flags.writeable = False
    deck.state = readonly
    with pytest.raises(ValueError, match="deck: state is"):
        deck.check()
    deck.state = good
    deck.check()


def test_a_field_that_no_event_has_is_an_error_and_not_a_zero() -> None:
    with pytest.raises(ValueError):
        Deck(kernel(), 1).event(abi.FILL, 0, ts=OPEN, quantity=1)


def test_nothing_else_of_trading_and_service_calls_the_kernel() -> None:
    """``desk`` asks copies which prices the engine will take."""
    calls = re.compile(r"kernel\.(accept_one|tick_one|timer_all|run|kite_frame|upstox_frame|heard_batch|replay_day)\(")
    folders = [Path(inspect.getfile(one)).parent for one in (trading, service)]
    found = {file.name for folder in folders for file in folder.glob("*.py") if calls.search(file.read_text())}
    assert found == {"deck.py", "desk.py", "setup.py"}, "setup shows strategies a made-up market"
