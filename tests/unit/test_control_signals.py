"""/signals, /approve, /skip and /why as people read and answer them; the question as it is pushed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from control_fakes import NOON, FakeEngine, context

from otrade_bot.control.auth import Role
from otrade_bot.control.commands import answer
from otrade_bot.control.news.notices import describe
from otrade_bot.control.reply import Action, Reply
from otrade_bot.core.clock import MINUTE, SECOND
from otrade_bot.core.events import Event, EventKind
from otrade_bot.core.model import Side
from otrade_bot.trading.snapshot import Evaluation, SignalView

ASKED = SignalView(
    NOON, "NSE:RELIANCE", "momentum_ladder", 1, Side.BUY, 12, 215_000, 209_625, 225_750, "waiting", ref="ab12cd",
    seconds=14.4,
)  # fmt: skip


def ask(engine: FakeEngine, line: str, role: Role = Role.OPERATOR) -> Reply:
    return asyncio.run(answer(context(engine, role), line))


def engine_with(*asked: SignalView) -> FakeEngine:
    engine = FakeEngine()
    engine.asked = list(asked)
    return engine


# --- the list ------------------------------------------------------------------------------------------------------


def test_the_list_says_what_became_of_each_newest_first() -> None:
    done = replace(ASKED, state="closed", ref="", net=-1_200, reason="square_off", filled=12, value=12 * 215_100)
    rest = [
        replace(ASKED, state="bought", filled=12, value=12 * 215_100, ref=""),
        replace(ASKED, state="refused", reason="skipped by owner", ts_ns=NOON + SECOND),
        replace(ASKED, state="rejected", reason="margin short", ts_ns=NOON + 2 * SECOND),
        replace(ASKED, state="lost", ts_ns=NOON + 3 * SECOND),
    ]
    said = ask(engine_with(done, *rest), "/signals").to_plain()
    assert "Signals today: 5 · 2 entered, 1 refused or skipped" in said
    places = [said.index(words) for words in (
        "12:00:03 RELIANCE P1 BUY 12 @ ₹2,150.00\n   never answered", "refused by the broker: margin short",
        "not entered: skipped by owner", "12 of 12 filled @ ₹2,151.00", "closed, net -₹12.00 (square off)",
    )]  # fmt: skip
    assert places == sorted(places)


def test_what_waits_has_its_own_two_buttons_for_as_long_as_an_answer_counts() -> None:
    other = replace(ASKED, symbol="NSE:M&M", rung=2, ref="0f0f0f", seconds=3.0)
    said = ask(engine_with(ASKED, other), "/signals")
    assert "waits for an answer, 14 s left" in said.to_plain()
    assert said.actions == (
        Action("Approve RELIANCE P1", "/approve ab12cd", seconds=14.4),
        Action("Skip RELIANCE P1", "/skip ab12cd", seconds=14.4),
        Action("Approve M&M P2", "/approve 0f0f0f", seconds=3.0),
        Action("Skip M&M P2", "/skip 0f0f0f", seconds=3.0),
    )


def test_as_many_are_listed_as_are_asked_for_and_the_rest_is_counted() -> None:
    engine = engine_with(*(replace(ASKED, ts_ns=NOON + n * SECOND, state="sent", ref="") for n in range(15)))
    assert "12:00:00" not in ask(engine, "/signals").to_plain()
    assert "5 more: /signals 15" in ask(engine, "/signals").to_plain()
    assert "more:" not in ask(engine, "/signals 15").to_plain()
    assert "No strategy has asked" in ask(engine_with(), "/signals").to_plain()


@pytest.mark.parametrize(("unanswered", "words"), [("skip", "it is not entered"), ("enter", "IT IS ENTERED")])
def test_that_entries_are_asked_about_stands_in_the_list_and_in_the_status(unanswered: str, words: str) -> None:
    engine = engine_with(ASKED)
    assert "asked about" not in ask(engine, "/signals").to_plain()
    engine.state = replace(engine.state, ask_seconds=20, unanswered=unanswered, waiting=1)
    assert f"Each entry is asked about first; without an answer in 20 s {words}." in ask(engine, "/signals").to_plain()
    said = ask(engine, "/status").to_plain()
    assert words in said
    assert "Waiting for an answer: 1 (/signals)" in said


# --- answering -------------------------------------------------------------------------------------------------------


def test_an_answer_names_its_question() -> None:
    engine = engine_with(ASKED)
    assert "BUY 12 is sent" in ask(engine, "/approve ab12cd").to_plain()
    assert engine.calls == ["approve ab12cd by owner <o>"]
    assert "this question is over" in ask(engine, "/approve ab12cd").to_plain()
    assert "this question is over" in ask(engine, "/skip ab12cd").to_plain()


@pytest.mark.parametrize("line", ["/approve ab12cd", "/approve", "/approve RELIANCE", "/skip ab12cd", "/skip RELIANCE"])
def test_a_viewer_answers_nothing(line: str) -> None:
    engine = engine_with(ASKED)
    assert "needs the role operator" in ask(engine, line, Role.VIEWER).to_plain()
    assert engine.calls == []


def test_a_symbol_alone_enters_nothing_but_shows_what_is_asked_of_it() -> None:
    engine = engine_with(ASKED, replace(ASKED, symbol="NSE:M&M", ref="0f0f0f"))
    said = ask(engine, "/approve reliance")
    assert engine.calls == []
    assert [one.line for one in said.actions] == ["/approve ab12cd", "/skip ab12cd"]
    assert "/approve ab12cd · /skip ab12cd" in said.to_plain()
    assert [one.line for one in ask(engine, "/approve").actions] == [
        "/approve ab12cd", "/skip ab12cd", "/approve 0f0f0f", "/skip 0f0f0f",
    ]  # fmt: skip


def test_a_symbol_alone_skips_all_that_waits_of_it() -> None:
    engine = engine_with(ASKED, replace(ASKED, rung=2, ref="0f0f0f"))
    ask(engine, "/skip RELIANCE")
    assert engine.calls == ["skip ab12cd by owner <o>", "skip 0f0f0f by owner <o>"]
    assert "No signal of RELIANCE waits" in ask(engine, "/skip RELIANCE").to_plain()
    assert "No signal waits for an answer." in ask(engine, "/skip").to_plain()
    assert "is not followed" in ask(engine, "/skip NOSUCH").to_plain()


def test_a_name_of_before_a_restart_is_answered_by_the_engine_not_taken_for_a_symbol() -> None:
    engine = engine_with(ASKED)
    assert "this question is over" in ask(engine, "/approve 123abc").to_plain()
    assert engine.calls == ["approve 123abc by owner <o>"]


# --- the question -------------------------------------------------------------------------------------------------


def signal(**more: object) -> Event:
    return Event(EventKind.SIGNAL, NOON, "NSE:RELIANCE", data={
        "strategy": "momentum_ladder", "rung": 1, "side": "BUY", "quantity": 12, "price_paise": 215_000,
        "stop_paise": 209_625, "target_paise": 0, **more,
    })  # fmt: skip


def test_the_question_says_price_cost_and_what_becomes_of_it_without_an_answer() -> None:
    said = describe(signal(ref="ab12cd", seconds=20, unanswered="skip"), "PAPER")
    assert said is not None
    assert said.to_plain() == (
        "12:00:00 Enter? RELIANCE P1 BUY 12 @ ₹2,150.00, stop ₹2,096.25 (-2.50 %) (momentum_ladder)\n"
        "Worth ₹25,800.00 at that price.\n"
        "An answer counts for 20 s; without one it is not entered.\n"
        "/approve ab12cd · /skip ab12cd\n"
        "PAPER"
    )
    assert said.actions == (
        Action("Approve", "/approve ab12cd", seconds=20), Action("Skip", "/skip ab12cd", seconds=20),
    )  # fmt: skip
    other = describe(signal(ref="ab12cd", seconds=20, unanswered="enter"))
    assert other is not None
    assert "without one IT IS ENTERED" in other.to_plain()


def test_a_signal_that_asks_nobody_has_no_buttons() -> None:
    said = describe(signal())
    assert said is not None
    assert said.actions == ()
    assert "Signal RELIANCE" in said.to_plain()


def test_the_yes_tells_the_others_who_and_at_which_price() -> None:
    event = Event(EventKind.APPROVAL, NOON, "NSE:RELIANCE", data={
        "ref": "ab12cd", "by": "owner", "rung": 1, "side": "BUY", "quantity": 12, "signal_paise": 215_000,
        "price_paise": 217_150,
    })  # fmt: skip
    said = describe(event)
    assert said is not None
    assert said.to_plain() == "12:00:00 Approved by owner RELIANCE P1 BUY 12, price ₹2,171.50 (+1.00 %)"
    nobody = describe(replace(event, data={**event.data, "by": ""}))
    assert nobody is not None
    assert "Entered unanswered" in nobody.to_plain()


def test_the_end_of_a_question_is_no_refusal_by_a_limit() -> None:
    ended = Event(EventKind.REFUSAL, NOON, "NSE:RELIANCE", data={
        "code": "unanswered", "reason": "nobody answered in time", "rung": 1, "ref": "ab12cd",
    })  # fmt: skip
    said = describe(ended)
    assert said is not None
    assert said.to_plain() == "12:00:00 Not entered RELIANCE P1 nobody answered in time"


# --- why ----------------------------------------------------------------------------------------------------------


def look(minutes: int, *, buy: bool = False, **conditions: bool) -> Evaluation:
    return Evaluation(
        NOON - minutes * MINUTE, "NSE:RELIANCE", "momentum_ladder", buy, False, (("ema9", 2155.25), ("ema21", 2150.5)),
        tuple((name.replace("_", " "), met) for name, met in conditions.items()), 215_505, 2154.0, 210,
    )  # fmt: skip


def looked() -> FakeEngine:
    engine = FakeEngine()
    engine.refused = []
    engine.looks = [
        look(3, rising=True, above_its_high=False), look(2, rising=False, above_its_high=False),
        look(1, buy=True, rising=True, above_its_high=True),
    ]  # fmt: skip
    return engine


def test_why_shows_the_newest_look_each_condition_and_its_numbers() -> None:
    engine = looked()
    engine.looks[-1] = look(1, rising=True, above_its_high=False)
    said = ask(engine, "/why RELIANCE", Role.VIEWER).to_plain()
    assert "Last look: no signal at 11:59:00, 1 of 2 conditions not met\n✓ rising\n✗ above its high\n" in said
    for number in ("ltp   2,155.05", "close 2,154.00", "ema9  2,155.25", "bars       210"):
        assert number in said
    assert "No signal of it was refused." in said


def test_why_says_what_came_of_the_look() -> None:
    engine = looked()
    engine.refused = [(NOON - MINUTE, "the most positions are open already")]
    assert "→ not entered: the most positions are open already" in ask(engine, "/why RELIANCE").to_plain()
    engine.asked = [replace(ASKED, ts_ns=NOON - MINUTE, state="refused", reason="skipped by owner", ref="")]
    said = ask(engine, "/why RELIANCE").to_plain()
    assert "→ P1 BUY: not entered: skipped by owner" in said
    assert "Signals\n11:59:00 P1 BUY: not entered: skipped by owner" in said


def test_what_is_refused_for_the_same_reason_each_minute_stands_there_once() -> None:
    engine = looked()
    engine.refused = [(NOON - n * MINUTE, "skipped by owner, and so on") for n in (9, 8, 7, 1)]
    said = ask(engine, "/why RELIANCE").to_plain()
    assert said.count("skipped by owner") == 2  # of the look at 11:59, and among the refused
    assert "Refused\n11:59:00 skipped by owner" in said


def test_older_looks_are_turned_to_in_place_and_back() -> None:
    engine = looked()
    first = ask(engine, "/why RELIANCE")
    assert first.actions == (Action("Older", "/why RELIANCE 11:58:00", edit=True),)
    second = ask(engine, first.actions[0].line)
    assert "Look: no signal at 11:58:00, 2 of 2 conditions not met" in second.to_plain()
    assert [one.line for one in second.actions] == ["/why RELIANCE 11:57:00", "/why RELIANCE"]
    third = ask(engine, second.actions[0].line)
    assert "at 11:57:00" in third.to_plain()
    assert third.actions == (Action("Newest", "/why RELIANCE", edit=True),)


def test_a_page_stays_the_same_while_new_looks_come() -> None:
    engine = looked()
    line = ask(engine, "/why RELIANCE").actions[0].line
    engine.looks.append(look(0, rising=True))
    assert "at 11:58:00" in ask(engine, line).to_plain()


@pytest.mark.parametrize(("typed", "shown"), [
    ("11:58", "at 11:58:00"), ("11:58:30", "at 11:58:00"), ("13:00", "at 11:59:00"), ("9:15", "oldest one is of 11:57"),
])  # fmt: skip
def test_a_time_may_be_typed(typed: str, shown: str) -> None:
    assert shown in ask(looked(), f"/why RELIANCE {typed}").to_plain()


@pytest.mark.parametrize("typed", ["yesterday", "11", "11:5", "11:58:00:00"])
def test_what_is_no_time_is_answered_with_how_to_write_it(typed: str) -> None:
    assert "Usage: /why SYMBOL [HH:MM]" in ask(looked(), f"/why RELIANCE {typed}").to_plain()


def test_of_a_sell_signal_the_conditions_are_told_as_those_of_buying() -> None:
    engine = looked()
    engine.looks[-1] = replace(look(1, rising=False, above_its_high=False), sell=True)
    said = ask(engine, "/why RELIANCE").to_plain()
    assert "Last look: sell at 11:59:00\nWhat it takes to buy:\n✗ rising\n" in said


def test_a_strategy_without_conditions_shows_its_numbers_and_says_so() -> None:
    engine = looked()
    engine.looks = [look(1)]
    said = ask(engine, "/why RELIANCE").to_plain()
    assert "has no conditions in words" in said
    assert "2,155.25" in said
