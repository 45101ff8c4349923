"""The jobs of a day hang on its own session."""

from __future__ import annotations

from datetime import date

import pytest

from otrade_bot.core.clock import MINUTE, SECOND, at_ist, midnight_ns, to_ist
from otrade_bot.core.session import Calendar, DaySession, Segment, SpecialSession, day_session
from otrade_bot.service.plan import Job, day_jobs

MUHURAT = date(2026, 11, 8)
CALENDAR = Calendar.build(special_open={MUHURAT: SpecialSession("Muhurat", open=18 * 60, close=19 * 60)})


def sessions(day: date) -> list[DaySession]:
    found = (day_session(day, Segment.EQUITY, True, CALENDAR), day_session(day, Segment.FNO, False, CALENDAR))
    return [one for one in found if one is not None]


def times(day: date) -> dict[str, str]:
    return {job.name: f"{to_ist(job.at):%H:%M}" for job in day_jobs(sessions(day), []) if not job.quiet}


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2026, 9, 16), {"token_check": "08:15", "card": "08:45", "report": "15:41", "next_session": "16:10"}),
        (date(2021, 6, 1), {"token_check": "08:15", "card": "08:45", "report": "15:31", "next_session": "16:00"}),
        (MUHURAT, {"token_check": "17:00", "card": "17:30", "report": "19:01", "next_session": "19:30"}),
    ],
)
def test_checks_come_before_the_open_and_the_report_after_the_last_close(day: date, expected: dict[str, str]) -> None:
    assert times(day) == expected


def test_the_markets_boundaries_stand_in_order_among_them() -> None:
    day = date(2026, 9, 16)
    marks = [(at_ist(day, 14, 55), "square_off"), (at_ist(day, 9, 15), "open")]
    names = [job.name for job in day_jobs(sessions(day), marks) if not job.quiet]
    assert names == ["token_check", "card", "open", "square_off", "report", "next_session"]


def test_a_late_card_is_right_until_the_open_and_a_late_report_until_midnight() -> None:
    day = date(2026, 9, 16)
    jobs = {job.name: job for job in day_jobs(sessions(day), [])}
    assert not jobs["card"].stale(at_ist(day, 9, 14, 59))
    assert jobs["card"].stale(at_ist(day, 9, 15))
    assert not jobs["report"].stale(midnight_ns(date(2026, 9, 17)) - 1)
    assert jobs["report"].stale(midnight_ns(date(2026, 9, 17)))


def test_a_job_says_that_it_is_late_only_when_that_is_worth_a_word() -> None:
    job = Job(at_ist(date(2026, 9, 16), 8, 45), "card", at_ist(date(2026, 9, 16), 9, 15))
    assert not job.late(job.at + 30 * SECOND)
    assert job.late(job.at + MINUTE)


def test_each_minute_between_the_card_and_the_open_there_is_a_look_and_from_the_warning_to_the_close() -> None:
    day = date(2026, 9, 16)
    marks = [(at_ist(day, 14, 45), "square_off_warning"), (at_ist(day, 15, 10), "square_off_warning")]
    quiet = [job for job in day_jobs(sessions(day), marks) if job.quiet]
    looks = [f"{to_ist(job.at):%H:%M}" for job in quiet if job.name == "card_again"]
    assert (looks[0], looks[-1], len(looks)) == ("08:46", "09:14", 29)
    downs = [f"{to_ist(job.at):%H:%M}" for job in quiet if job.name == "countdown"]
    assert (downs[0], downs[-1], len(downs)) == ("14:46", "15:39", 54)
    assert all(job.until == job.at + MINUTE for job in quiet)
    assert not any(job.late(job.at + 10 * MINUTE) for job in quiet)


def test_without_a_warning_nothing_is_counted_down() -> None:
    jobs = day_jobs(sessions(date(2026, 9, 16)), [(at_ist(date(2026, 9, 16), 14, 55), "square_off")])
    assert "countdown" not in {job.name for job in jobs}


@pytest.mark.parametrize(("day", "expected"), [(date(2026, 9, 16), "20:00"), (MUHURAT, "20:00")])
def test_where_a_broker_wants_a_login_the_evening_says_so_after_the_day(day: date, expected: str) -> None:
    found = {job.name: f"{to_ist(job.at):%H:%M}" for job in day_jobs(sessions(day), [], logins=True)}
    assert found["evening"] == expected
    assert "evening" not in times(day)


def test_an_evening_session_is_over_before_tokens_are_spoken_of() -> None:
    late = Calendar.build(special_open={MUHURAT: SpecialSession("Muhurat", open=19 * 60, close=21 * 60)})
    session = day_session(MUHURAT, Segment.EQUITY, True, late)
    assert session is not None
    jobs = {job.name: f"{to_ist(job.at):%H:%M}" for job in day_jobs([session], [], logins=True)}
    assert (jobs["next_session"], jobs["evening"]) == ("21:30", "21:31")
