"""The engine on paper: blocks, observers, limits, boundaries, and what must not bring it down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness.bench import AUCTIONED, DAY, OTHER, SHARE, Bench, config

from otrade_bot.core.clock import SECOND, at_ist
from otrade_bot.core.errors import JournalException
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.model import Block, ExitReason, OrderStatus


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench.paper(tmp_path / "paper.jsonl")


def boundaries(bench: Bench) -> list[tuple[str, int]]:
    return [(str(e.data["boundary"]), e.ts_ns) for e in bench.events(EventKind.SESSION)]


def two(tmp_path: Path, **more: Any) -> Bench:
    settings = config(symbols=(SHARE.symbol, OTHER.symbol), **more)
    return Bench.paper(tmp_path / "paper.jsonl", settings, instruments=(SHARE, OTHER))


# --- blocks -------------------------------------------------------------------------------------------


def test_the_same_no_of_a_limit_is_told_once_in_half_an_hour_and_stands_in_the_journal_each_time(bench: Bench) -> None:
    bench.engine.pause("owner")
    bench.signal()
    bench.pulse(61)
    bench.signal()
    bench.pulse(30 * 60)
    bench.signal()
    assert bench.codes() == ["blocked"] * 3
    told = [event.severity > Severity.DEBUG for event in bench.events(EventKind.REFUSAL)]
    assert told == [True, False, True]
    assert bench.engine.counters.refusals == 3


def test_another_no_of_a_limit_is_told_at_once(bench: Bench) -> None:
    bench.engine.pause("owner")
    bench.signal()
    bench.engine.resume("owner")
    bench.at(15, 16)
    bench.signal()
    assert bench.codes() == ["blocked", "window"]
    assert [event.severity for event in bench.events(EventKind.REFUSAL)] == [Severity.INFO, Severity.INFO]


def test_pause_stops_entries_says_why_and_resume_allows_them_again(bench: Bench) -> None:
    assert bench.engine.pause("owner")
    assert not bench.engine.pause("owner")
    bench.signal()
    assert bench.codes() == ["blocked"]
    assert "paused by command" in bench.engine.refusals(SHARE.symbol)[0][1]
    assert bench.engine.status().paused
    assert bench.engine.resume("owner")
    assert not bench.engine.resume("owner")
    bench.signal()
    assert [p.quantity for p in bench.engine.positions()] == [30]


def test_resume_clears_a_critical_error_and_leaves_other_blocks(bench: Bench) -> None:
    bench.engine.critical("something broke")
    bench.engine.block(Block.STALE)
    assert any("something broke; entries paused" in text for text in bench.alerts)
    bench.signal()
    assert bench.codes() == ["blocked"]
    assert bench.engine.resume("owner")
    assert bench.engine.blocks == {Block.STALE}
    bench.engine.release(Block.STALE)
    bench.signal()
    assert bench.engine.positions()


def test_pause_leaves_stop_target_and_square_off_at_work(bench: Bench) -> None:
    bench.signal()
    bench.engine.pause("owner")
    bench.price(10_395, seconds=60)
    bench.price(10_400)
    assert [t.reason for t in bench.engine.trades()] == [ExitReason.TARGET]


# --- observers ------------------------------------------------------------------------------------------


def test_a_failing_observer_is_removed_and_said_and_the_others_miss_nothing(bench: Bench) -> None:
    seen: list[Event] = []

    def bad(event: Event) -> None:
        raise RuntimeError("no paper")

    bench.engine.add_observer(bad)
    bench.engine.add_observer(seen.append)
    bench.engine.pause("owner")
    assert [e.kind for e in seen if e.kind is EventKind.BLOCK] == [EventKind.BLOCK]
    assert any("bad failed and was removed: RuntimeError: no paper" in text for text in bench.alerts)
    bench.engine.resume("owner")
    assert len(bench.alerts) == 1


def test_two_failing_observers_are_both_removed(bench: Bench) -> None:
    def bad(event: Event) -> None:
        raise RuntimeError("one")

    def worse(event: Event) -> None:
        raise RuntimeError("two")

    bench.engine.add_observer(bad)
    bench.engine.add_observer(worse)
    bench.engine.pause("owner")
    assert len(bench.alerts) == 2


def test_a_journal_that_cannot_be_written_blocks_entries_and_says_so_but_exits_go_on(bench: Bench) -> None:
    seen: list[Event] = []
    bench.engine.add_observer(seen.append)
    bench.signal()
    bench.diary.broken = True
    bench.price(10_005)
    bench.at(15, 10)
    assert Block.ERROR in bench.engine.blocks
    assert [e.text for e in seen if "journal cannot be written" in e.text]
    assert [t.reason for t in bench.engine.trades()] == [ExitReason.SQUARE_OFF]
    bench.diary.broken = False
    bench.engine.resume("owner")
    assert not bench.engine.blocks


def test_a_market_listener_that_fails_blocks_entries_and_says_so(bench: Bench) -> None:
    def full(*_: Any) -> None:
        raise JournalException("paper.jsonl: no space left")

    bench.signal()
    bench.engine.add_price_listener(full)
    bench.prices(10_005, 10_010)
    assert Block.ERROR in bench.engine.blocks
    assert len([t for t in bench.alerts if "no space left" in t]) == 1
    bench.at(15, 10)
    assert bench.engine.trades()


# --- a strategy that raises -------------------------------------------------------------------------------


class Failing:
    """Kernel entries that raise for one row, as compiled code does for an index out of bounds."""

    def __init__(self, bench: Bench, row: int, error: Exception) -> None:
        self.kernel, self.row, self.error = bench.engine.kernel, row, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.kernel, name)

    def tick_one(self, state: Any, account: Any, params: Any, row: int, *rest: Any) -> int:
        n = self.kernel.tick_one(state, account, params, row, *rest)
        if row == self.row and params[row]["sid"]:
            raise self.error
        return n

    def run(self, state: Any, account: Any, params: Any, events: Any, out: Any) -> int:
        n = self.kernel.run(state, account, params, events, out)
        if events[0]["kind"] == 8 and events[0]["row"] == self.row and params[self.row]["sid"]:
            raise self.error
        return n

    def timer_all(self, state: Any, account: Any, params: Any, *rest: Any) -> int:
        n = self.kernel.timer_all(state, account, params, *rest)
        if params[self.row]["sid"]:
            raise self.error
        return n


@pytest.mark.parametrize("error", [IndexError("index is out of bounds"), ValueError("no root"), ZeroDivisionError()])
@pytest.mark.parametrize("when", ["price", "minute"])
def test_a_strategy_that_raises_is_switched_off_and_said_and_exits_still_work(
    tmp_path: Path, error: Exception, when: str
) -> None:
    bench = two(tmp_path)
    bench.signal()
    assert bench.engine.positions()
    bench.engine.deck.kernel = Failing(bench, 0, error)  # type: ignore[assignment]
    if when == "price":
        bench.price(10_010)
    else:
        bench.at(9, 17)
    assert Block.ERROR in bench.engine.blocks
    assert len([t for t in bench.alerts if "ema_crossover" in t and type(error).__name__ in t]) == 1
    bench.price(10_015)
    bench.engine.resume("owner")
    bench.signal(row=1)
    assert {p.symbol for p in bench.engine.positions()} == {SHARE.symbol, OTHER.symbol}
    bench.price(10_400)
    assert [(t.symbol, t.reason) for t in bench.engine.trades()] == [(SHARE.symbol, ExitReason.TARGET)]
    bench.signal()
    assert len(bench.engine.positions()) == 1
    bench.at(15, 10)
    assert len(bench.engine.trades()) == 2


def test_an_exit_that_was_intended_before_the_strategy_raised_is_carried_out(tmp_path: Path) -> None:
    bench = two(tmp_path)
    bench.signal()
    bench.engine.deck.kernel = Failing(bench, 0, IndexError("x"))  # type: ignore[assignment]
    bench.price(10_400)
    assert [t.reason for t in bench.engine.trades()] == [ExitReason.TARGET]


# --- boundaries -------------------------------------------------------------------------------------------


def test_a_boundary_is_said_with_the_first_price_at_or_after_it(bench: Bench) -> None:
    bench.engine.on_price(0, at_ist(DAY, 9, 15), 10_000, 0)
    assert boundaries(bench) == [("open", at_ist(DAY, 9, 15))]
    bench.clock.advance_to(at_ist(DAY, 15, 0, 1))
    bench.engine.on_price(0, bench.now, 10_000, 1)
    assert boundaries(bench)[1:] == [
        ("entries_stop", at_ist(DAY, 15, 0)),
        ("square_off_warning", at_ist(DAY, 15, 0)),
    ]


def test_a_boundary_is_said_by_the_clock_where_no_price_comes(bench: Bench) -> None:
    bench.pulse(0)
    assert [name for name, _ in boundaries(bench)] == ["open"]
    bench.at(15, 30)
    names = [name for name, _ in boundaries(bench)]
    assert names == ["open", "entries_stop", "square_off_warning", "square_off", "close"]


def test_each_boundary_is_said_once_however_many_instruments_there_are(tmp_path: Path) -> None:
    bench = two(tmp_path)
    for minute in (16, 17):
        bench.at(9, minute)
        bench.price(10_000, row=minute % 2)
    assert [name for name, _ in boundaries(bench)] == ["open"]


def test_an_auctioned_share_has_its_own_times(tmp_path: Path) -> None:
    settings = config(symbols=(SHARE.symbol, AUCTIONED.symbol))
    bench = Bench.paper(tmp_path / "p", settings, instruments=(SHARE, AUCTIONED))
    bench.at(15, 30)
    said = [ts for name, ts in boundaries(bench) if name == "square_off"]
    assert said == [at_ist(DAY, 14, 55), at_ist(DAY, 15, 10)]


def test_the_square_off_warning_names_what_is_open_ten_minutes_before(bench: Bench) -> None:
    bench.signal()
    bench.at(15, 0)
    warning = next(e for e in bench.events(EventKind.SESSION) if e.data["boundary"] == "square_off_warning")
    assert warning.ts_ns == at_ist(DAY, 15, 0)
    assert warning.text == f"square-off in 10 minutes: {SHARE.symbol}"
    assert bench.engine.positions()
    bench.at(15, 10)
    assert [t.reason for t in bench.engine.trades()] == [ExitReason.SQUARE_OFF]


# --- limits -----------------------------------------------------------------------------------------------


def test_the_daily_loss_limit_stops_entries_and_leaves_stops(tmp_path: Path) -> None:
    bench = two(tmp_path, risk={"daily_loss_limit": 20})
    bench.signal()
    bench.prices(9_990, 9_980, 9_920)
    assert any("daily loss limit reached" in text and "stops stay" in text for text in bench.alerts)
    assert bench.engine.positions()
    bench.signal(row=1)
    assert bench.codes() == ["daily_loss"]
    assert bench.engine.status().halted


def test_the_daily_loss_limit_closes_everything_where_that_is_asked_for(tmp_path: Path) -> None:
    bench = two(tmp_path, risk={"daily_loss_limit": 20, "daily_loss_flatten": True})
    bench.signal()
    bench.signal(row=1)
    bench.prices(9_990, 9_920)
    bench.price(10_000, row=1)
    assert not bench.engine.positions()
    assert {t.reason for t in bench.engine.trades()} == {ExitReason.DAILY_LOSS}


def test_the_most_positions_and_the_most_trades_are_kept(tmp_path: Path) -> None:
    bench = two(tmp_path, max_positions=1)
    bench.signal()
    bench.signal(row=1)
    assert bench.codes() == ["max_positions"]
    other = Bench.paper(tmp_path / "other", config(risk={"max_trades_per_day": 1}))
    other.signal()
    other.price(10_400)
    other.signal()
    assert other.codes() == ["max_trades"]


def test_an_entry_that_the_gate_refuses_frees_its_rung_and_capital(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "p", config(risk={"max_order_quantity": 10}))
    bench.signal()
    assert bench.codes() == ["quantity"]
    assert bench.engine.account[0]["rungs"] == 0
    assert bench.engine.account[0]["used"] == 0
    assert not bench.manager.lives


def test_an_exit_without_a_known_price_waits_for_one(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "p")
    bench.signal()
    bench.rows[0].ltp = 0
    bench.engine.exit_row(0)
    assert bench.life().exits[-1].order_type.value == "SL-M"
    assert any("no price" in text for text in bench.alerts)
    bench.price(9_990)
    bench.price(9_990)
    assert bench.life().exits[-1].status is OrderStatus.COMPLETE


def test_a_price_that_is_not_fit_to_act_on_reaches_nobody(bench: Bench) -> None:
    bench.price(10_000)
    heard: list[int] = []
    bench.engine.add_price_listener(lambda symbol, ts, price, volume: heard.append(price))
    assert not bench.engine.on_price(0, bench.now - SECOND, 9_000, 0)
    assert not bench.price(-5)
    assert not heard
    assert bench.engine.status().dropped == {"out_of_order": 1, "bad_price": 1}


def test_the_status_says_when_the_clock_lets_nothing_be_entered(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "paper.jsonl")
    found = {}
    for hour, minute in ((9, 15), (14, 59), (15, 0), (16, 0)):
        bench.at(hour, minute)
        found[hour, minute] = bench.engine.status().window
    assert found == {(9, 15): "", (14, 59): "", (15, 0): "are over for the day", (16, 0): "are over for the day"}
    bench.engine.start_day(DAY.replace(day=17))
    assert bench.engine.status().window == "wait for 09:15"
