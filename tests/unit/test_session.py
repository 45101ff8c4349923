"""Hours of the exchange by date and kind of instrument, and what follows for entries and exits."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from pathlib import Path

import pytest

from otrade_bot.core.clock import MINUTE, at_ist
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.model import InstrumentKind, OrderType
from otrade_bot.core.session import (
    Calendar,
    DaySession,
    Phase,
    Segment,
    SessionKind,
    SpecialSession,
    SquareOffRule,
    day_session,
    intraday_times,
    order_fault,
    phase_at,
    segment_of,
)

DATA = Path(__file__).parents[2].parent / "shared" / "data"
CALENDAR = Calendar.build(
    {date(2026, 1, 15): "Elections"},
    {date(2026, 2, 1): SpecialSession("Budget", full=True), date(2026, 11, 8): SpecialSession("Muhurat")},
)
AUCTION = SquareOffRule(14 * 60 + 40, 14 * 60 + 55)
EQUITY = SquareOffRule(15 * 60, 15 * 60 + 10)


def phase(
    day: date, hour: int, minute: int, segment: Segment = Segment.EQUITY, auction: bool = False
) -> Phase:
    return phase_at(at_ist(day, hour, minute), segment, auction, CALENDAR)


def session(
    day: date, segment: Segment = Segment.EQUITY, auction: bool = False, calendar: Calendar = CALENDAR
) -> DaySession:
    found = day_session(day, segment, auction, calendar)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("day", "wall", "expected"),
    [
        (date(2026, 9, 4), (8, 59), Phase.CLOSED),
        (date(2026, 9, 4), (9, 7), Phase.PRE_OPEN_ENTRY),
        (date(2026, 9, 4), (9, 8), Phase.PRE_OPEN_MATCH),
        (date(2026, 9, 7), (9, 4), Phase.PRE_OPEN_ENTRY),
        (date(2026, 9, 7), (9, 5), Phase.PRE_OPEN_LIMIT),
        (date(2026, 9, 7), (9, 10), Phase.PRE_OPEN_MATCH),
        (date(2026, 9, 7), (9, 12), Phase.PRE_OPEN_BUFFER),
        (date(2026, 9, 7), (9, 15), Phase.OPEN),
        (date(2026, 9, 7), (15, 29), Phase.OPEN),
        (date(2026, 9, 7), (15, 30), Phase.CLOSED),
        (date(2026, 9, 7), (15, 45), Phase.CLOSED),
        (date(2026, 7, 31), (15, 45), Phase.POST_CLOSE),
        (date(2026, 9, 7), (15, 50), Phase.POST_CLOSE),
        (date(2026, 9, 7), (16, 0), Phase.CLOSED),
    ],
)
def test_ordinary_shares_keep_the_hours_of_their_day(
    day: date, wall: tuple[int, int], expected: Phase
) -> None:
    assert phase(day, *wall) is expected


@pytest.mark.parametrize(
    ("wall", "expected"),
    [
        ((15, 14), Phase.OPEN),
        ((15, 15), Phase.CAS_REFERENCE),
        ((15, 20), Phase.CAS_ENTRY),
        ((15, 25), Phase.CAS_LIMIT),
        ((15, 30), Phase.CAS_MATCH),
        ((15, 35), Phase.CLOSED),
        ((15, 50), Phase.POST_CLOSE),
    ],
)
def test_auction_shares_stop_continuous_trading_at_1515(wall: tuple[int, int], expected: Phase) -> None:
    assert phase(date(2026, 8, 3), *wall, auction=True) is expected


def test_there_was_no_closing_auction_before_3_august_2026() -> None:
    assert phase(date(2026, 7, 31), 15, 29, auction=True) is Phase.OPEN
    assert session(date(2021, 6, 1), auction=True).kind is SessionKind.EQUITY


@pytest.mark.parametrize(("day", "open_at_1535"), [(date(2026, 7, 31), False), (date(2026, 8, 3), True)])
def test_derivatives_trade_to_1540_since_3_august_2026(day: date, open_at_1535: bool) -> None:
    assert (phase(day, 15, 35, Segment.FNO) is Phase.OPEN) is open_at_1535
    assert phase(day, 15, 40, Segment.FNO) is Phase.CLOSED


@pytest.mark.parametrize(
    "day",
    [date(2026, 1, 15), date(2026, 11, 24), date(2026, 12, 25), date(2026, 11, 21), date(2026, 11, 8)],
)
def test_holidays_weekends_and_sessions_without_hours_are_no_trading_days(day: date) -> None:
    assert CALENDAR.holiday_name(day)
    assert not CALENDAR.is_trading_day(day)
    assert day_session(day, Segment.EQUITY, False, CALENDAR) is None
    assert phase(day, 11, 0) is Phase.HOLIDAY


def test_the_exchanges_own_list_of_2026_is_met_exactly() -> None:
    listed = "0115 0126 0303 0326 0331 0403 0414 0501 0528 0626 0914 1002 1020 1110 1124 1225"
    expected = [date(2026, int(day[:2]), int(day[2:])) for day in listed.split()]
    year = [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]
    assert [day for day in year if day.weekday() < 5 and not CALENDAR.is_trading_day(day)] == expected


def test_a_full_special_session_on_a_sunday_has_the_regular_hours() -> None:
    budget = session(date(2026, 2, 1))
    assert (budget.open, budget.continuous_end) == (at_ist(budget.day, 9, 15), at_ist(budget.day, 15, 30))
    assert not budget.special


def test_hours_from_config_open_an_announced_session() -> None:
    calendar = Calendar.build({}, {date(2026, 11, 8): SpecialSession("Muhurat", open=18 * 60, close=19 * 60)})
    day = date(2026, 11, 8)
    assert phase_at(at_ist(day, 18, 30), Segment.FNO, False, calendar) is Phase.OPEN
    assert phase_at(at_ist(day, 11, 0), Segment.FNO, False, calendar) is Phase.CLOSED
    assert phase_at(at_ist(day, 19, 0), Segment.EQUITY, True, calendar) is Phase.CLOSED


def test_null_in_config_makes_a_library_holiday_a_trading_day() -> None:
    assert Calendar.build({date(2026, 11, 24): None}).is_trading_day(date(2026, 11, 24))
    assert not Calendar.build({date(2026, 11, 21): None}).is_trading_day(date(2026, 11, 21))  # a Saturday


def test_next_and_previous_trading_days_step_over_holidays_and_weekends() -> None:
    assert CALENDAR.next_trading_day(date(2026, 11, 20)) == date(2026, 11, 23)
    assert CALENDAR.next_trading_day(date(2026, 11, 23)) == date(2026, 11, 25)
    assert CALENDAR.previous_trading_day(date(2026, 11, 25)) == date(2026, 11, 23)
    assert CALENDAR.next_trading_day(date(2026, 1, 30)) == date(2026, 2, 1)


def test_a_calendar_closed_for_months_is_an_error_not_an_endless_search() -> None:
    closed: dict[date, str | None] = {date(2026, 3, 1) + timedelta(days=n): "closed" for n in range(90)}
    with pytest.raises(ConfigException, match="no trading day"):
        Calendar.build(closed).next_trading_day(date(2026, 3, 1))


@pytest.mark.parametrize("year", range(2010, 2031))
def test_every_year_has_a_plausible_number_of_trading_days(year: int) -> None:
    days = [date(year, 1, 1) + timedelta(days=n) for n in range(365)]
    assert 235 <= sum(CALENDAR.is_trading_day(day) for day in days) <= 256


@pytest.mark.parametrize("name", ["NIFTY_2016Q2_1min.csv", "WIPRO_2015-06_1min.csv"])
def test_every_recorded_day_is_a_trading_day_and_no_other_weekday_is(name: str) -> None:
    path = DATA / "ohlc_1min" / name
    if not path.exists():
        pytest.skip("no recorded data here")
    with path.open() as handle:
        texts = {row["date"] for row in csv.DictReader(handle)}
    recorded = sorted(date(int(text[:4]), int(text[4:6]), int(text[6:])) for text in texts)
    span = [recorded[0] + timedelta(days=n) for n in range((recorded[-1] - recorded[0]).days + 1)]
    assert [day for day in span if CALENDAR.is_trading_day(day)] == recorded


def test_the_recorded_day_of_ticks_is_a_trading_day() -> None:
    assert CALENDAR.is_trading_day(date(2021, 6, 1))


def test_rules_are_wall_times_on_regular_days() -> None:
    times = intraday_times(session(date(2026, 11, 23), auction=True), AUCTION)
    day = date(2026, 11, 23)
    assert times == (at_ist(day, 9, 15), at_ist(day, 14, 40), at_ist(day, 14, 55))
    old = date(2021, 6, 1)
    fno = intraday_times(session(old, Segment.FNO), SquareOffRule(15 * 60, 15 * 60 + 20))
    assert fno[1:] == (at_ist(old, 15, 0), at_ist(old, 15, 20))


def test_a_short_session_keeps_the_rules_distance_from_its_end() -> None:
    day = date(2026, 11, 8)
    calendar = Calendar.build({}, {day: SpecialSession("Muhurat", open=18 * 60, close=19 * 60)})
    times = intraday_times(session(day, calendar=calendar), EQUITY)
    assert times == (at_ist(day, 18, 0), at_ist(day, 18, 30), at_ist(day, 18, 40))


def test_products_kept_overnight_have_no_square_off_and_enter_to_the_end_of_the_window() -> None:
    day = date(2026, 11, 23)
    assert intraday_times(session(day, auction=True), None) == (at_ist(day, 9, 15), at_ist(day, 15, 15), 0)
    assert intraday_times(session(day, Segment.FNO), None) == (at_ist(day, 9, 15), at_ist(day, 15, 30), 0)


def test_boundaries_of_an_auction_day_are_in_order() -> None:
    day = date(2026, 11, 23)
    found = session(day, auction=True)
    walls = [(9, 0), (9, 15), (15, 15), (15, 35)]
    assert [found.pre_open, found.open, found.continuous_end, found.close] == [at_ist(day, *w) for w in walls]
    assert found.phase(found.phases[-1][1]) is Phase.CLOSED
    assert found.phase(found.phases[0][0] - 1) is Phase.CLOSED


@pytest.mark.parametrize(
    ("now", "allowed"),
    [
        (Phase.OPEN, set(OrderType)),
        (Phase.CAS_ENTRY, {OrderType.LIMIT, OrderType.MARKET}),
        (Phase.CAS_LIMIT, {OrderType.LIMIT}),
        (Phase.CAS_REFERENCE, set()),
        (Phase.PRE_OPEN_ENTRY, set()),
        (Phase.POST_CLOSE, set()),
        (Phase.HOLIDAY, set()),
    ],
)
def test_each_phase_takes_only_its_order_types(now: Phase, allowed: set[OrderType]) -> None:
    assert {kind for kind in OrderType if not order_fault(now, kind)} == allowed


def test_derivatives_are_their_own_segment_and_indices_keep_cash_hours() -> None:
    fno = {kind for kind in InstrumentKind if segment_of(kind) is Segment.FNO}
    assert fno == {InstrumentKind.FUTURE, InstrumentKind.OPTION}


@pytest.mark.parametrize("hours", [(600, None), (None, 600), (600, 604), (600, 500), (-5, 600), (1400, 1500)])
def test_impossible_hours_of_a_special_session_are_refused(hours: tuple[int | None, int | None]) -> None:
    with pytest.raises(ConfigException):
        SpecialSession("odd", open=hours[0], close=hours[1])


def test_a_full_session_with_hours_and_a_rule_out_of_order_are_refused() -> None:
    with pytest.raises(ConfigException):
        SpecialSession("odd", full=True, open=600, close=700)
    with pytest.raises(ConfigException):
        SquareOffRule(900, 900)


def test_a_rule_later_than_the_close_still_leaves_before_it() -> None:
    found = session(date(2026, 11, 23), auction=True)
    times = intraday_times(found, SquareOffRule(15 * 60 + 20, 15 * 60 + 25))
    assert found.continuous_end - MINUTE < times.entries_stop < times.square_off < found.continuous_end
