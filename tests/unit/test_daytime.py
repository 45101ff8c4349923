"""What the phone shows of the day's rhythm, and the buttons under it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.control.news.notices import describe
from otrade_bot.control.reply import Reply
from otrade_bot.core.clock import at_ist
from otrade_bot.core.events import Event, EventKind, Severity
from tests.unit.test_watch import TODAY

WARNED = at_ist(TODAY, 14, 45)
ROW = {"symbol": "NSE:RELIANCE", "rung": 1, "side": "BUY", "quantity": 3, "pnl_paise": 1_250,
       "at": "2026-09-16T14:55:00+05:30"}  # fmt: skip


def warning(*held: dict[str, Any], **more: Any) -> Event:
    data = {
        "boundary": "square_off_warning", "at": "2026-09-16T14:45:00+05:30", "positions": len(held),
        "held": list(held), "square_off": "2026-09-16T14:55:00+05:30", "later": 5, "only": True, **more,
    }  # fmt: skip
    return Event(EventKind.SESSION, WARNED, text="square-off in 10 minutes: NSE:RELIANCE", data=data)


def said(event: Event) -> Reply:
    found = describe(event, "LIVE")
    assert found is not None
    return found


def buttons(reply: Reply) -> list[tuple[str, str]]:
    return [(one.label, one.line) for one in reply.actions]


def test_the_warning_before_the_square_off_names_what_is_held_and_what_it_would_bring() -> None:
    other = {**ROW, "symbol": "NSE:SBIN", "rung": 2, "side": "SELL", "pnl_paise": -300}
    found = said(warning(ROW, other))
    assert found.to_plain() == (
        "14:45:00 Square-off at 14:55, in 10 min\nRELIANCE P1 BUY 3, +₹12.50\nSBIN P2 SELL 3, -₹3.00\n"
        "Together +₹9.50 before charges\nThey are closed by themselves then.\nLIVE"
    )
    assert buttons(found) == [("Exit now", "/flatten"), ("5 min later", "/later 5")]
    assert [one.again for one in found.actions] == [True, False], "a question that is answered with no takes none away"
    assert {one.seconds for one in found.actions} == {600.0}


def test_where_something_else_is_held_as_well_each_is_left_by_itself() -> None:
    """A flatten would sell what is to be kept."""
    assert buttons(said(warning(ROW, only=False, later=0))) == [("Exit RELIANCE now", "/close NSE:RELIANCE")]


def test_the_countdown_says_the_minutes_that_are_left_and_its_buttons_end_with_them() -> None:
    found = said(warning(ROW, boundary="countdown", minutes=1, later=2))
    assert "Square-off at 14:55, in 1 min" in found.to_plain()
    assert [(one.line, one.seconds) for one in found.actions] == [("/flatten", 60.0), ("/later 2", 60.0)]


def test_different_times_are_said() -> None:
    later = {**ROW, "symbol": "NFO:NIFTY", "at": "2026-09-16T15:20:00+05:30"}
    assert "Each is closed by itself at its time." in said(warning(ROW, later)).to_plain()


def test_a_result_that_is_not_known_is_not_added_up() -> None:
    text = said(warning(ROW, {**ROW, "symbol": "NSE:TCS", "pnl_paise": None})).to_plain()
    assert "TCS P1 BUY 3\n" in text
    assert "Together" not in text


def test_nothing_held_is_said_as_before() -> None:
    event = Event(EventKind.SESSION, WARNED, data={"boundary": "square_off_warning", "positions": 0})
    assert said(event).to_plain().startswith("14:45:00 Square-off nothing is open")
    assert said(event).actions == ()


def test_a_square_off_that_is_not_due_for_what_is_held_closes_nothing_in_words() -> None:
    """It was put off, or is of another kind of session."""
    data = {"boundary": "square_off", "positions": 2, "due": 0}
    later = said(Event(EventKind.SESSION, WARNED, data=data))
    assert "nothing is due now; 2 open, each has its time" in later.to_plain()
    due = said(Event(EventKind.SESSION, WARNED, data={**data, "due": 1}))
    assert "closing intraday positions, 2 open positions" in due.to_plain()


@pytest.mark.parametrize("kind", [EventKind.ALERT, EventKind.SESSION])
def test_a_login_that_is_wanted_has_a_button_that_lasts(kind: EventKind) -> None:
    data = {"login": ["kite", "upstox"], "boundary": "card"}
    found = said(Event(kind, WARNED, text="no session at kite", severity=Severity.RISK, data=data))
    assert buttons(found) == [("Log in to Kite", "/login kite"), ("Log in to Upstox", "/login upstox")]
    assert all(one.lasting for one in found.actions)


def test_the_evening_says_which_token_ends_when_and_by_when_somebody_must_log_in() -> None:
    tokens = [
        {"broker": "kite", "user": "AB1234", "until": "2026-09-17T06:00:00+05:30"},
        {"broker": "upstox", "user": "", "until": "2026-09-17T03:30:00+05:30"}, {"broker": "kite", "until": ""},
    ]  # fmt: skip
    data = {"boundary": "evening", "tokens": tokens, "opens": "2026-09-17T09:15:00+05:30"}
    text = said(Event(EventKind.SESSION, at_ist(TODAY, 20), text="tokens: …", data=data)).to_plain()
    assert text.splitlines() == [
        "20:00:00 Tokens", "Kite: the token of AB1234 ends Thu 17 Sep 2026 06:00.",
        "Upstox: the token ends Thu 17 Sep 2026 03:30.", "Kite: no token that holds.",
        "Log in before the next session opens, Thu 17 Sep 2026 09:15; an hour before it you are asked.", "LIVE",
    ]  # fmt: skip


def day(**more: Any) -> str:
    data = {"day": "2026-09-16", "trades": 3, "net_paise": 500, "signals": 5, "refusals": {"cooldown": 4}, **more}
    return said(Event(EventKind.DAY, at_ist(TODAY, 15, 36), data=data)).to_plain()


def test_the_day_says_how_its_signals_were_carried_out() -> None:
    ladder = {"strategy": "momentum_ladder", "trades": 2, "wins": 1, "net_paise": 900}
    ema = {"strategy": "ema_crossover", "trades": 0, "wins": 0, "net_paise": 0}
    text = day(
        slippage_paise=360, slippage_shares=30, by_strategy=[ladder, ema],
        latency={"orders": 3, "signal_to_sent_ms": {"median": 1.23, "worst": 8},
                 "sent_to_accepted_ms": {"median": 42.0, "worst": 1200.5}},
        refusal_reasons={"cooldown": "the pause is not over", "window": ""}, rejected={"margin": 2},
    )  # fmt: skip
    for line in (
        "momentum_ladder +₹9.00, 2 trades, 1 won", "ema_crossover no trades",
        "Slippage: ₹3.60 lost, 12.0 paise a share worse than the signal",
        "Orders left 1.2 ms after the signal and were taken 42.0 ms later (worst 8.0 and 1,200.5)",
        "• refused 4×: the pause is not over", "• rejected by the broker 2×: margin",
    ):  # fmt: skip
        assert line in text.splitlines()


def test_better_than_the_signal_is_a_gain_and_none_is_none() -> None:
    assert "Slippage: ₹3.60 gained, 12.0 paise a share better than the signal" in day(
        slippage_paise=-360, slippage_shares=30
    )
    assert "Slippage: none, every entry at its signal's price" in day(slippage_paise=0, slippage_shares=30)
    assert "Slippage" not in day(slippage_paise=0, slippage_shares=0)


def test_an_account_that_answers_at_once_has_no_latency() -> None:
    none = {"median": 0.0, "worst": 0.0}
    assert "Orders left" not in day(latency={"orders": 3, "signal_to_sent_ms": none, "sent_to_accepted_ms": none})


JUNK = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
                    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=9), one, max_size=3),
                    max_leaves=6)  # fmt: skip


@given(st.sampled_from(["held", "square_off", "later", "only", "minutes", "at", "tokens", "opens", "login", "latency",
                        "by_strategy", "refusal_reasons", "rejected", "slippage_paise", "slippage_shares"]), JUNK,
       st.sampled_from(["countdown", "square_off_warning", "evening", "card"]))  # fmt: skip
def test_data_of_another_shape_never_cost_a_notice(key: str, junk: Any, boundary: str) -> None:
    assert said(warning(ROW, **{"boundary": boundary, "tokens": [{}], key: junk}))
    assert day(**{"slippage_paise": 5, "slippage_shares": 5, "refusal_reasons": {"cooldown": "x"}, key: junk})
