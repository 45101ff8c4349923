"""An entry that waits for a person: what an answer does, what takes the question back, and that exits never wait."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness.bench import OTHER, SHARE, Bench, config
from harness.venue import FakeVenue

from otrade_bot.config.models import Approval, Config
from otrade_bot.core.clock import SECOND
from otrade_bot.core.errors import CommandException
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.model import Block, ExitReason
from otrade_bot.kernel import state as abi
from otrade_bot.trading.adopt import adopt
from otrade_bot.trading.snapshot import SignalView


class Wall:
    """Seconds of the wall clock, which stand still until told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def asking(settings: Config | None = None, **wish: Any) -> Config:
    settings = settings or config(params={"short": False})
    approval = Approval(ask=True, **wish)
    return replace(settings, trading=settings.trading.model_copy(update={"approval": approval}))


def paper(path: Path, settings: Config | None = None, **more: Any) -> Bench:
    bench = Bench.paper(path / "paper.jsonl", settings or asking(), **more)
    bench.engine.approvals.wall = Wall()
    return bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return paper(tmp_path)


def passes(bench: Bench, seconds: float) -> None:
    """On the wall; the market's clock is told of it by a pulse."""
    bench.engine.approvals.wall.now += seconds  # type: ignore[attr-defined]
    bench.pulse()


def waiting(bench: Bench) -> list[SignalView]:
    return [one for one in bench.engine.signals() if one.state == "waiting"]


def ref(bench: Bench) -> str:
    one, = waiting(bench)
    return one.ref


def free(bench: Bench, row: int = 0) -> bool:
    """The kernel has forgotten the entry, with the capital that it bound."""
    return not bench.rung("side", row=row) and not bench.rung("reserve", row=row)


def ladder(path: Path) -> Bench:
    """Momentum on every tick: P2 joins at +0.25 %, P3 at +1 %."""
    return paper(path, asking(config("momentum_ladder", params={"scan": False})))


def climb(bench: Bench, start: int = 10_000) -> None:
    """A breakout."""
    bench.prices(*(start + 10 * step for step in range(8)))


# --- the question ------------------------------------------------------------------------------------------------


def test_nothing_is_sent_before_the_yes_and_the_capital_is_bound_meanwhile(bench: Bench) -> None:
    bench.signal()
    signal, = bench.events(EventKind.SIGNAL)
    assert signal.data["ref"] == ref(bench)
    assert (signal.data["seconds"], signal.data["unanswered"]) == (20, "skip")
    assert bench.engine.orders() == []
    assert bench.engine.status().capital_used == 30 * 10_000
    said = bench.engine.approve(ref(bench), "owner")
    assert said == "NSE:ALPHA P1: BUY 30 is sent. The price is still ₹100.00."
    assert [p.quantity for p in bench.engine.positions()] == [30]
    yes, = bench.events(EventKind.APPROVAL)
    assert (yes.data["by"], yes.data["ref"], yes.data["price_paise"]) == ("owner", signal.data["ref"], 10_000)


def test_without_the_wish_nobody_is_asked(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "paper.jsonl")
    bench.signal()
    assert bench.engine.positions()
    assert "ref" not in bench.events(EventKind.SIGNAL)[0].data
    assert bench.engine.signals()[0].state == "bought"


def test_what_the_gate_would_refuse_anyhow_is_not_asked(tmp_path: Path) -> None:
    bench = paper(tmp_path, asking(config(params={"short": False}, risk={"max_order_value": 1_000})))
    bench.signal()
    assert waiting(bench) == []
    assert bench.codes() == ["value"]
    assert free(bench)


def test_the_price_that_ran_away_is_said_at_the_yes_and_the_entry_goes_out_at_it(bench: Bench) -> None:
    bench.signal()
    bench.prices(10_010, 10_150)
    said = bench.engine.approve(ref(bench), "owner")
    assert "was ₹100.00 at the signal and is ₹101.50 now (+1.50 %)" in said
    assert bench.life().entry_value >= 30 * 10_150
    assert bench.rung("stop") == 9_945  # 2 % below what was paid, not below the signal's price


# --- no ----------------------------------------------------------------------------------------------------------


def test_a_skip_frees_the_rung_says_who_and_sends_nothing(bench: Bench) -> None:
    bench.signal()
    said = bench.engine.skip(ref(bench), "owner")
    assert said == "NSE:ALPHA P1: BUY 30 is skipped: nothing was sent."
    refusal, = bench.events(EventKind.REFUSAL)
    assert (refusal.data["code"], refusal.data["reason"]) == ("skipped", "skipped by owner")
    assert (refusal.data["by"], refusal.data["ref"]) == ("owner", bench.events(EventKind.SIGNAL)[0].data["ref"])
    assert free(bench)
    assert bench.engine.status().capital_used == 0
    assert bench.engine.orders() == []
    assert [(one.state, one.reason) for one in bench.engine.signals()] == [("refused", "skipped by owner")]


def test_an_unanswered_question_ends_after_its_seconds_of_the_wall_not_of_the_market(bench: Bench) -> None:
    bench.signal()
    bench.pulse(seconds=60)  # a rehearsal at full speed: a minute of the market, a moment of the wall
    passes(bench, 19.5)
    assert round(waiting(bench)[0].seconds, 1) == 0.5
    passes(bench, 0.5)
    assert bench.codes() == ["unanswered"]
    assert free(bench)


def test_an_answer_after_the_time_enters_nothing_though_no_pulse_came_between(bench: Bench) -> None:
    bench.signal()
    name = ref(bench)
    bench.engine.approvals.wall.now += 20  # type: ignore[attr-defined]
    with pytest.raises(CommandException, match="nobody answered in time"):
        bench.engine.approve(name, "owner")
    assert bench.engine.orders() == []


def test_unanswered_may_mean_enter(tmp_path: Path) -> None:
    bench = paper(tmp_path, asking(seconds=5, unanswered="enter"))
    bench.signal()
    passes(bench, 5)
    assert bench.engine.positions()
    assert bench.events(EventKind.APPROVAL)[0].data["by"] == ""
    assert bench.events(EventKind.SIGNAL)[0].data["unanswered"] == "enter"


@pytest.mark.parametrize(("asked", "now"), [("skip", "enter"), ("enter", "skip")])
def test_silence_enters_only_where_the_question_said_so_and_the_settings_still_do(
    asked: str, now: str, tmp_path: Path
) -> None:
    bench = paper(tmp_path, asking(seconds=5, unanswered=asked))
    bench.signal()
    adopt(bench.engine, asking(seconds=5, unanswered=now))
    passes(bench, 5)
    assert bench.engine.orders() == []
    assert bench.codes() == ["unanswered"]


def test_unanswered_enter_is_judged_again_too(tmp_path: Path) -> None:
    bench = paper(tmp_path, asking(seconds=5, unanswered="enter"))
    bench.signal()
    bench.engine.pause("owner")
    passes(bench, 5)
    assert bench.engine.orders() == []


def test_a_skipped_signal_is_not_asked_again_before_it_has_gone_away(tmp_path: Path) -> None:
    bench = paper(tmp_path, asking(config("momentum_ladder", timeframe="1m", risk={"reject_cooldown_seconds": 1})))
    price = 10_000

    def minutes(number: int, step: int) -> None:
        nonlocal price
        for _ in range(number):
            price += step
            bench.price(price, seconds=1)
            bench.clock.advance_to(bench.now // (60 * SECOND) * (60 * SECOND) + 60 * SECOND)
            bench.engine.on_time(bench.now)

    minutes(8, 10)
    bench.engine.skip(ref(bench), "owner")
    minutes(3, 10)
    assert waiting(bench) == []
    assert len(bench.events(EventKind.SIGNAL)) == 1
    again = [e for e in bench.events(EventKind.REFUSAL) if e.data.get("again")]
    assert again
    assert {(e.data["code"], e.severity) for e in again} == {("skipped", Severity.DEBUG)}
    minutes(6, -20)  # the strategy has said no meanwhile
    minutes(12, 15)
    assert len(waiting(bench)) == 1


def test_on_ticks_the_next_cross_after_a_skip_is_a_new_signal(tmp_path: Path) -> None:
    bench = paper(tmp_path, asking(config(params={"short": False}, risk={"reject_cooldown_seconds": 1})))
    bench.signal()
    bench.engine.skip(ref(bench), "owner")
    bench.signal()
    assert len(bench.events(EventKind.SIGNAL)) == 2
    assert waiting(bench)


def test_a_skip_is_remembered_by_the_next_process_while_the_signal_stays(tmp_path: Path) -> None:
    level = config("momentum_ladder", params={"scan": False}, risk={"reject_cooldown_seconds": 1})
    bench = paper(tmp_path, asking(level))
    climb(bench)
    bench.engine.skip(ref(bench), "owner")
    again = paper(tmp_path / "again", asking(level))
    for step in range(8):  # the prices of the day so far, as a recovery plays them
        again.clock.advance_to(again.now + SECOND)
        price = 10_000 + 10 * step
        again.engine.past(abi.TICK, 0, ts=again.now, price=price, code=abi.WARM)
    again.engine.remember(bench.diary.events)
    climb(again, 10_080)
    assert waiting(again) == []
    assert "skipped by owner, and the signal has not gone away since" in again.engine.refusals(SHARE.symbol)[-1][1]


def test_a_skip_of_a_signal_that_went_away_is_forgotten_by_the_next_process_too(tmp_path: Path) -> None:
    level = config("momentum_ladder", timeframe="1m")
    bench = paper(tmp_path, asking(level))
    for price in (*range(10_000, 10_100, 10), *range(10_090, 10_000, -10)):
        bench.price(price, seconds=59)
        bench.clock.advance_to(bench.now // (60 * SECOND) * (60 * SECOND) + 60 * SECOND)
        bench.engine.on_time(bench.now)
        for one in waiting(bench):
            bench.engine.skip(one.ref, "owner")
    assert "skipped" in bench.codes()
    again = paper(tmp_path / "again", asking(level))
    again.engine.remember(bench.diary.events)
    assert again.engine.approvals.skipped == bench.engine.approvals.skipped == {}


# --- one answer a question ---------------------------------------------------------------------------------------


def test_two_people_at_once_buy_once_and_the_second_hears_who_was_first(bench: Bench) -> None:
    bench.signal()
    name = ref(bench)
    bench.engine.approve(name, "owner")
    with pytest.raises(CommandException, match=r"over \(approved by owner\)"):
        bench.engine.approve(name, "clerk")
    with pytest.raises(CommandException, match="approved by owner"):
        bench.engine.skip(name, "clerk")
    assert len(bench.engine.orders()) == 2  # the entry and its stop
    assert bench.life().held == 30


def test_a_no_stands_against_a_later_yes(bench: Bench) -> None:
    bench.signal()
    name = ref(bench)
    bench.engine.skip(name, "clerk")
    with pytest.raises(CommandException, match="skipped by clerk"):
        bench.engine.approve(name, "owner")
    assert bench.engine.orders() == []


def test_two_signals_at_once_are_two_questions_and_each_is_answered_for_itself(tmp_path: Path) -> None:
    settings = asking(config(symbols=(SHARE.symbol, OTHER.symbol), params={"short": False}))
    bench = paper(tmp_path, settings, instruments=(SHARE, OTHER))
    bench.signal()
    bench.signal(row=1)
    first, second = waiting(bench)
    assert bench.engine.status().capital_used == 60 * 10_000
    bench.engine.approve(second.ref, "owner")
    assert [p.symbol for p in bench.engine.positions()] == [OTHER.symbol]
    bench.engine.skip(first.ref, "owner")
    assert [one.state for one in bench.engine.signals()] == ["refused", "bought"]


def test_the_share_of_the_limits_that_it_has_bound_itself_does_not_refuse_it(tmp_path: Path) -> None:
    settings = config(params={"short": False}, max_positions=1, risk={"max_trades_per_day": 1, "total_capital": 3_000})
    bench = paper(tmp_path, asking(settings))
    bench.signal()
    bench.engine.approve(ref(bench), "owner")
    assert bench.engine.positions()


def test_capital_that_would_not_do_at_the_price_of_now_refuses_it(tmp_path: Path) -> None:
    bench = paper(tmp_path, asking(config(params={"short": False}, risk={"total_capital": 3_000})))
    bench.signal()
    name = ref(bench)
    bench.price(10_050)
    assert waiting(bench)  # it may come down again before the answer
    said = bench.engine.approve(name, "owner")
    assert "BUY 30 is not sent: the total capital is bound." in said
    assert bench.codes() == ["capital"]
    assert bench.engine.orders() == []
    assert free(bench)


# --- what happens meanwhile --------------------------------------------------------------------------------------


@pytest.mark.parametrize("why", list(Block))
def test_whatever_stops_entries_takes_the_question_back_for_good(bench: Bench, why: Block) -> None:
    bench.signal()
    name = ref(bench)
    bench.engine.block(why)
    assert waiting(bench) == []
    assert bench.codes() == ["blocked"]
    bench.engine.release(why)
    with pytest.raises(CommandException, match="not asked any more"):
        bench.engine.approve(name, "owner")
    assert bench.engine.orders() == []
    assert free(bench)


async def test_a_flatten_leaves_nothing_that_a_late_yes_could_enter(bench: Bench) -> None:
    bench.signal()
    name = ref(bench)
    assert "Flat" in await bench.engine.flatten("owner")
    bench.engine.resume("owner")
    with pytest.raises(CommandException, match="over"):
        bench.engine.approve(name, "clerk")
    assert bench.engine.orders() == []


def test_a_retired_engine_enters_nothing_and_has_taken_the_question_back(bench: Bench) -> None:
    bench.signal()
    name = ref(bench)
    bench.engine.retire()
    with pytest.raises(CommandException, match="opened again"):
        bench.engine.approve(name, "owner")
    assert bench.engine.orders() == []
    assert bench.events(EventKind.REFUSAL)[-1].data["code"] == "blocked"


def test_the_question_of_a_desk_before_is_unknown_to_the_next_one(tmp_path: Path) -> None:
    before = paper(tmp_path / "before")
    before.signal()
    name = ref(before)
    after = paper(tmp_path / "after")
    after.engine.remember(before.diary.events)
    assert [one.state for one in after.engine.signals()] == ["lost"]
    after.signal()
    with pytest.raises(CommandException, match="before the desk was opened again"):
        after.engine.approve(name, "owner")
    assert after.engine.orders() == []
    assert [one.state for one in after.engine.signals()] == ["lost", "waiting"]


def test_the_end_of_the_entry_window_ends_the_question(bench: Bench) -> None:
    bench.signal()
    name = ref(bench)
    bench.clock.advance_to(int(bench.engine.params[0]["entry_until"]) - SECOND)
    bench.price(10_000)
    with pytest.raises(CommandException, match="outside the entry window"):
        bench.engine.approve(name, "owner")
    assert bench.codes() == ["window"]


def test_square_off_of_a_rung_that_only_waits_exits_nothing(bench: Bench) -> None:
    bench.signal()
    bench.clock.advance_to(int(bench.engine.params[0]["square_off"]))
    bench.engine.on_time(bench.now)
    assert waiting(bench) == []
    assert free(bench)
    assert bench.engine.orders() == []
    assert not bench.rung("exit_pending")


def test_the_opposite_signal_ends_the_question(tmp_path: Path) -> None:
    bench = paper(tmp_path, asking(config(params={"short": False, "exit_on_signal": True})))
    bench.signal()
    bench.prices(9_990, 9_950, 9_900)
    refusal, = bench.events(EventKind.REFUSAL)
    assert refusal.data["reason"] == "not asked any more: signal"
    assert bench.engine.orders() == []


def test_a_price_that_has_become_old_enters_nothing(bench: Bench) -> None:
    bench.signal()
    name = ref(bench)
    bench.pulse(601)
    assert waiting(bench)  # the next price may be a moment away
    assert "is not sent: the last price is too old to act on." in bench.engine.approve(name, "owner")
    assert bench.codes() == ["stale"]
    assert bench.engine.orders() == []


def test_a_new_price_in_time_makes_the_question_good_again(bench: Bench) -> None:
    bench.signal()
    bench.pulse(601)
    bench.price(10_020)
    assert "is sent" in bench.engine.approve(ref(bench), "owner")


def test_a_strategy_that_is_switched_off_meanwhile_ends_the_question(bench: Bench) -> None:
    bench.signal()
    bench.engine.exits_only(0)
    bench.pulse()
    assert bench.codes() == ["disabled"]


def test_an_order_in_doubt_meanwhile_refuses_the_yes_in_words(tmp_path: Path) -> None:
    bench = Bench(lambda b: FakeVenue(b.clock), asking())
    bench.signal()
    bench.manager.frozen.add(SHARE.symbol)
    said = bench.engine.approve(ref(bench), "owner")
    assert "BUY 30 is not sent: an earlier order of this symbol is not accounted for yet." in said
    assert bench.broker.calls == []
    assert free(bench)
    assert bench.codes() == ["unknown_order"]


def test_the_brokers_no_after_the_yes_frees_the_rung(tmp_path: Path) -> None:
    from otrade_bot.core.model import Refused

    bench = Bench(lambda b: FakeVenue(b.clock), asking())
    bench.signal()
    assert "is sent" in bench.engine.approve(ref(bench), "owner")
    assert bench.engine.signals()[0].state == "sent"
    bench.broker.answer(bench.broker.last(), Refused("margin short", "x"))
    assert free(bench)
    assert [(one.state, one.reason) for one in bench.engine.signals()] == [("rejected", "margin short")]


# --- adds --------------------------------------------------------------------------------------------------------


def test_each_rung_of_a_ladder_is_asked_for_and_a_skipped_one_is_not_asked_again_in_it(tmp_path: Path) -> None:
    bench = ladder(tmp_path)
    climb(bench)
    bench.engine.approve(ref(bench), "owner")
    bench.price(10_110)
    second, = waiting(bench)
    assert second.rung == 2
    bench.price(10_400)
    assert [one.rung for one in waiting(bench)] == [2]  # P3 needs a P2
    bench.engine.skip(second.ref, "owner")
    bench.prices(*range(10_410, 10_480, 10))
    assert waiting(bench) == []
    assert [p.rung for p in bench.engine.positions()] == [1]


def test_an_add_is_not_entered_once_what_it_adds_to_is_gone(tmp_path: Path) -> None:
    bench = ladder(tmp_path)
    climb(bench)
    bench.engine.approve(ref(bench), "owner")
    bench.price(10_110)
    name = ref(bench)
    stop = bench.rung("stop")
    bench.price(stop - 5)  # P1 is stopped out
    assert [t.reason for t in bench.engine.trades()] == [ExitReason.STOP]
    with pytest.raises(CommandException, match="P1 is not held any more"):
        bench.engine.approve(name, "owner")
    assert bench.engine.positions() == []
    assert "ladder" in bench.codes()


def test_the_third_rung_waits_and_enters_like_the_others(tmp_path: Path) -> None:
    bench = ladder(tmp_path)
    climb(bench)
    for price in (10_110, 10_300, 10_310):
        bench.engine.approve(ref(bench), "owner")
        bench.price(price)
    assert [p.rung for p in bench.engine.positions()] == [1, 2, 3]


# --- exits, and what is said -------------------------------------------------------------------------------------


def test_exits_never_wait(bench: Bench) -> None:
    bench.signal()
    bench.engine.approve(ref(bench), "owner")
    bench.price(10_400)
    assert [t.reason for t in bench.engine.trades()] == [ExitReason.TARGET]
    assert waiting(bench) == []


def test_an_observer_that_answers_at_once_is_told_to_ask_again_and_nothing_is_lost(bench: Bench) -> None:
    said: list[str] = []

    def eager(event: Event) -> None:
        if event.kind is EventKind.SIGNAL:
            with pytest.raises(CommandException) as caught:
                bench.engine.approve(str(event.data["ref"]), "robot")
            said.append(str(caught.value))

    bench.engine.add_observer(eager)
    bench.signal()
    assert said == ["Nothing was done: a price is being handled at this very moment. Ask once more."]
    assert len(waiting(bench)) == 1
    assert bench.engine.orders() == []


def test_the_days_signals_come_back_from_its_journal(bench: Bench, tmp_path: Path) -> None:
    bench.signal()
    bench.engine.approve(ref(bench), "owner")
    bench.price(10_400)
    bench.signal()
    bench.engine.skip(ref(bench), "clerk")
    live = bench.engine.signals()
    assert [(one.state, one.by) for one in live] == [("closed", "owner"), ("refused", "")]
    again = paper(tmp_path / "again")
    again.engine.remember(bench.diary.events)
    assert again.engine.signals() == live
    assert again.engine.evaluations(SHARE.symbol) == bench.engine.evaluations(SHARE.symbol)
    assert again.engine.refusals(SHARE.symbol) == bench.engine.refusals(SHARE.symbol)
