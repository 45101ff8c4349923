"""What is recorded of looks and signals: taken from events alone, the same live and from the journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness.bench import SHARE, Bench, config

from otrade_bot.core.events import Event, EventKind
from otrade_bot.core.model import Block
from otrade_bot.service.journal import DayJournal, events_of, read_day
from otrade_bot.trading.signals import LOOKS, SignalBook


def walk(bench: Bench, steps: int = 400, seconds: float = 1) -> None:
    """Up and down and up, in steps that are nobody's pattern."""
    price = 10_000
    for n in range(steps):
        price += (n * 7919 % 61) - 30 + (15 if n % 100 < 60 else -20)
        bench.price(price, seconds)


@pytest.mark.parametrize("strategy", ["ema_crossover", "momentum_ladder"])
def test_all_conditions_together_are_what_the_kernel_decided_at_every_look(strategy: str, tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "paper.jsonl", config(strategy, timeframe="1m"))
    walk(bench, 900, seconds=20)
    looks = bench.events(EventKind.EVALUATION)
    bought = [look for look in looks if look.data["buy"]]
    assert bought
    assert any(not look.data["buy"] for look in looks)
    for look in looks:
        assert all(look.data["conditions"].values()) is look.data["buy"]
    kept = bench.engine.evaluations(SHARE.symbol)
    assert len(kept) == min(LOOKS, len(looks))
    assert dict(kept[-1].conditions) == looks[-1].data["conditions"]
    assert (kept[-1].ltp, kept[-1].bars) == (looks[-1].data["ltp_paise"], looks[-1].data["bars"])


def test_what_is_shown_is_what_was_recorded_not_what_is_so_now(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "paper.jsonl")
    bench.signal()
    before = bench.engine.evaluations(SHARE.symbol)
    bench.engine.state["fast"] = 1.0
    bench.engine.state["close"] = 1.0
    assert bench.engine.evaluations(SHARE.symbol) == before


def test_a_days_journal_gives_back_looks_refusals_and_signals(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "paper.jsonl")
    journal = DayJournal(tmp_path, bench.clock)
    bench.engine.add_observer(journal.append)
    walk(bench, 120)
    bench.engine.block(Block.STALE)
    bench.engine.exit_row(0)
    walk(bench, 60)
    journal.close()
    again = SignalBook()
    again.take_all(events_of(read_day(tmp_path, bench.day)))
    engine = bench.engine
    assert again.views(lambda ref: 0.0) == engine.signals() != []
    assert {one.state for one in engine.signals()} <= {"bought", "closed", "refused"}
    assert [*again.looks[SHARE.symbol]] == engine.evaluations(SHARE.symbol) != []
    assert [*again.refusals[SHARE.symbol]] == engine.refusals(SHARE.symbol) != []


SIGNAL = {
    "strategy": "s", "rung": 1, "side": "BUY", "quantity": 30, "price_paise": 10_000, "stop_paise": 1,
    "target_paise": 0,
}  # fmt: skip


def event(kind: EventKind, ts: int = 1, **data: Any) -> Event:
    return Event(kind, ts, SHARE.symbol, data=data)


def book(*events: Event) -> SignalBook:
    made = SignalBook()
    for one in events:
        made.take(one)
    return made


def state(made: SignalBook) -> list[tuple[str, str]]:
    return [(one.state, one.reason) for one in made.views(lambda ref: 0.0)]


def test_a_part_that_the_broker_refuses_says_nothing_of_what_has_filled() -> None:
    made = book(
        event(EventKind.SIGNAL, **SIGNAL),
        event(EventKind.ORDER, leg="entry", rung=1, status="open"),
        event(EventKind.FILL, leg="entry", rung=1, quantity=20, value_paise=200_000),
        event(EventKind.ORDER, leg="entry", rung=1, status="rejected", reason="freeze"),
    )
    assert state(made) == [("bought", "")]
    assert made.views(lambda ref: 0.0)[0].filled == 20


def test_a_refusal_of_a_later_signal_is_not_that_of_the_one_that_was_bought() -> None:
    made = book(
        event(EventKind.SIGNAL, **SIGNAL),
        event(EventKind.FILL, leg="entry", rung=1, quantity=30, value_paise=300_000),
        event(EventKind.REFUSAL, rung=1, reason="the most positions are open already"),
        event(EventKind.REFUSAL, rung=2, reason="the total capital is bound"),
    )
    assert state(made) == [("bought", "")]
    assert len(made.refusals[SHARE.symbol]) == 2


def test_a_late_or_repeated_fill_never_makes_less_of_it() -> None:
    fill = event(EventKind.FILL, leg="entry", rung=1, quantity=30, value_paise=300_000)
    made = book(event(EventKind.SIGNAL, **SIGNAL), fill,
                event(EventKind.FILL, leg="entry", rung=1, quantity=10, value_paise=100_000), fill)  # fmt: skip
    assert made.views(lambda ref: 0.0)[0].filled == 30


def test_lines_of_a_journal_that_are_none_of_ours_are_passed_over() -> None:
    made = SignalBook()
    made.take_all([
        event(EventKind.SIGNAL, rung="one"), event(EventKind.SIGNAL), event(EventKind.EVALUATION, values=7),
        event(EventKind.FILL, leg="entry", rung=1), event(EventKind.TRADE, rung=1),
        event(EventKind.EVALUATION, strategy="s", buy=True, sell=False, values={"a": None}),
    ])  # fmt: skip
    assert made.signals == {}
    assert len(made.looks[SHARE.symbol]) == 1
