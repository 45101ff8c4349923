"""Past days come from their journals, are read once, and never mix paper with live."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.core.clock import ManualClock, at_ist, iso
from otrade_bot.core.errors import CommandException
from otrade_bot.core.events import Event, EventKind
from otrade_bot.research import past
from otrade_bot.research.past import Ask, answer_of, gathered, question_of
from otrade_bot.research.performance import Booked, drawdown, score
from otrade_bot.service.journal import DayJournal, day_path
from otrade_bot.service.pictures import Pictures

WEDNESDAY = date(2026, 9, 16)
SYMBOLS = ("NSE:SBIN", "NSE:M&M")


def write(state: Path, day: date, nets: tuple[int, ...], *, mode: str = "paper", opened: bool = True) -> None:
    """A day's journal; each net in paise is a round trip with charges of 100."""
    start = at_ist(day, 9, 15)
    with DayJournal(state, ManualClock(start)) as journal:
        journal.append(Event(EventKind.RUN, start, data={"state": "started", "mode": mode, "broker": "x", "feed": "y"}))
        if opened:
            journal.append(Event(EventKind.SESSION, start, data={"boundary": "open"}))
        for at, net in enumerate(nets):
            ns = start + (at + 1) * 10**9
            journal.append(Event(EventKind.TRADE, ns, SYMBOLS[at % 2], data={
                "trade_id": f"{day}-{at}", "strategy": ("a", "b")[at % 2], "side": "BUY", "rung": 1, "quantity": 1,
                "entry_time": iso(start), "entry_price": 100.0, "exit_time": iso(ns), "exit_price": 101.0,
                "exit_reason": "stop", "gross_paise": net + 100, "charges_paise": 100, "net_paise": net,
            }))  # fmt: skip


def ask(period: past.Period = "day", number: int = 10, mode: str = "paper", until: date = WEDNESDAY) -> Ask:
    return Ask(period, number, mode, until.isoformat())


def days_before(number: int) -> Iterator[date]:
    """Weekdays up to WEDNESDAY, newest first."""
    return (day for day in (WEDNESDAY - timedelta(days=n) for n in range(number)) if day.weekday() < 5)


def test_each_day_is_a_row_oldest_first_and_sums_are_exact(tmp_path: Path) -> None:
    write(tmp_path, date(2026, 9, 15), (500, -300))
    write(tmp_path, WEDNESDAY, (-1_005,))
    found = gathered(tmp_path, ask())
    assert [(one.first, one.trades, one.won, one.gross, one.charges, one.net) for one in found.spans] == [
        ("2026-09-15", 2, 1, 400, 200, 200), ("2026-09-16", 1, 0, -905, 100, -1_005),
    ]  # fmt: skip
    assert (found.total.net, found.total.drawdown, found.total.factor) == (-805, 1_305, 0.38)
    assert [(one.name, one.net) for one in found.symbols] == [("NSE:M&M", -300), ("NSE:SBIN", -505)]


def test_weeks_begin_on_monday_and_months_on_the_first(tmp_path: Path) -> None:
    for day in (date(2026, 8, 31), date(2026, 9, 1), date(2026, 9, 4), date(2026, 9, 7), WEDNESDAY):
        write(tmp_path, day, (100,))
    weeks = gathered(tmp_path, ask("week")).spans
    assert [(one.first, one.last, one.days) for one in weeks] == [
        ("2026-08-31", "2026-09-04", 3), ("2026-09-07", "2026-09-07", 1), ("2026-09-16", "2026-09-16", 1),
    ]  # fmt: skip
    assert [(one.first, one.days) for one in gathered(tmp_path, ask("month")).spans] == [
        ("2026-08-31", 1), ("2026-09-01", 4),
    ]  # fmt: skip
    assert [one.days for one in gathered(tmp_path, ask("month", 1)).spans] == [4], "a whole month, and no day of before"


def test_paper_and_live_are_never_added_up(tmp_path: Path) -> None:
    write(tmp_path, date(2026, 9, 14), (7_000,), mode="live")
    write(tmp_path, WEDNESDAY, (100,))
    paper, live = gathered(tmp_path, ask()), gathered(tmp_path, ask(mode="live"))
    assert (paper.total.net, paper.others) == (100, 1)
    assert (live.total.net, live.others) == (7_000, 1)


def test_a_day_without_trading_is_no_row_and_one_without_trades_is(tmp_path: Path) -> None:
    write(tmp_path, date(2026, 9, 13), (), opened=False)  # a Sunday on which it was started
    write(tmp_path, WEDNESDAY, ())
    assert [(one.first, one.trades) for one in gathered(tmp_path, ask()).spans] == [("2026-09-16", 0)]


def test_days_to_come_and_strange_files_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, WEDNESDAY, (100,))
    write(tmp_path, WEDNESDAY + timedelta(days=1), (900,))
    (tmp_path / "journal" / "2026-09-16-kite.jsonl").write_text("{}\n")
    assert gathered(tmp_path, ask()).total.net == 100


def test_a_journal_is_read_once_and_again_when_it_has_grown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, WEDNESDAY, (100,))
    first = gathered(tmp_path, ask())
    assert first.total.net == 100

    def unread(*_: object) -> None:
        raise AssertionError("it is kept")

    with monkeypatch.context() as patched:
        patched.setattr(past, "_read", unread)
        assert gathered(tmp_path, ask()) == first
    write(tmp_path, WEDNESDAY, (100, 50))
    assert gathered(tmp_path, ask()).total.net == 150


@pytest.mark.parametrize("kept", [b"", b"{}", b"[]", b'{"stamp":[1,2,3]}', b"\xff"])
def test_what_is_kept_and_cannot_be_read_is_made_anew(kept: bytes, tmp_path: Path) -> None:
    write(tmp_path, WEDNESDAY, (100,))
    gathered(tmp_path, ask())
    (tmp_path / "past" / "2026-09-16.json").write_bytes(kept)
    assert gathered(tmp_path, ask()).total.net == 100


def test_a_torn_last_line_is_a_day_that_goes_on_and_a_broken_one_is_named(tmp_path: Path) -> None:
    write(tmp_path, date(2026, 9, 15), (100,))
    write(tmp_path, WEDNESDAY, (200,))
    with day_path(tmp_path, WEDNESDAY).open("ab") as file:
        file.write(b'{"kind":"tra')
    path = day_path(tmp_path, date(2026, 9, 15))
    path.write_bytes(b"broken\n" + path.read_bytes())
    found = gathered(tmp_path, ask())
    assert found.total.net == 200
    (said,) = found.broken
    assert said.startswith("2026-09-15: ")


def test_what_there_was_no_time_for_is_counted_and_comes_with_the_next_question(tmp_path: Path) -> None:
    for day in days_before(14):
        write(tmp_path, day, (100,))
    clock = count()
    first = gathered(tmp_path, ask(), seconds=4, now=lambda: float(next(clock)))
    assert (len(first.spans), first.unread) == (4, 6)
    assert first.spans[-1].last == "2026-09-16", "the newest days come first"
    assert gathered(tmp_path, ask()).unread == 0


def test_where_nothing_can_be_kept_the_answer_is_the_same(tmp_path: Path) -> None:
    write(tmp_path, WEDNESDAY, (100,))
    (tmp_path / "past").write_text("a file in the way")
    assert gathered(tmp_path, ask()).total.net == 100


async def test_the_child_answers_as_the_function_does(tmp_path: Path) -> None:
    for day in days_before(5):
        write(tmp_path, day, (100, -50, 2_000))
    said = await Pictures(tmp_path).past(ask())
    assert said == gathered(tmp_path, ask())
    assert said.total.trades == 9
    assert os.listdir(tmp_path / "past")


async def test_a_child_that_fails_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(CommandException, match=r"^Past days cannot be told: it failed, the error log has details\.$"):
        await Pictures(tmp_path).past(Ask("day", 1, "paper", "no day"))


def test_a_question_names_the_folder_and_an_answer_that_is_none_is_refused(tmp_path: Path) -> None:
    assert str(tmp_path).encode() in question_of(tmp_path, ask())
    with pytest.raises(ValueError, match="no answer"):
        answer_of(b"{}")


@given(st.lists(st.integers(-10_000, 10_000)))
def test_a_drawdown_is_the_deepest_fall_from_any_moment_to_a_later_one(nets: list[int]) -> None:
    sums = [0]
    for net in nets:
        sums.append(sums[-1] + net)
    assert drawdown(nets) == max(sums[i] - sums[j] for i in range(len(sums)) for j in range(i, len(sums)))


@given(st.lists(st.integers(-10_000, 10_000)))
def test_a_score_adds_up(nets: list[int]) -> None:
    booked = [Booked("S", "x", f"{at:05}", net + 7, 7, net) for at, net in enumerate(nets)]
    one = score("all", booked)
    assert (one.trades, one.net, one.charges) == (len(nets), sum(nets), 7 * len(nets))
    assert one.won == len([net for net in nets if net > 0])
    gains, losses = sum(net for net in nets if net > 0), -sum(net for net in nets if net < 0)
    assert one.factor == (round(gains / losses, 2) if losses else -1.0 if gains else 0.0)
