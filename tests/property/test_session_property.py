"""Whatever the day and the rule: phases tile the day, and exits come after entries and inside the session."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.core.clock import DAY, midnight_ns
from otrade_bot.core.session import (
    Calendar,
    Phase,
    Segment,
    SpecialSession,
    SquareOffRule,
    day_session,
    intraday_times,
    phase_at,
)

days = st.dates(date(2010, 1, 1), date(2030, 12, 31))
hours = st.tuples(st.integers(0, 1434), st.integers(5, 1439)).filter(lambda pair: pair[1] - pair[0] >= 5)
rules = st.tuples(st.integers(556, 1438), st.integers(557, 1439)).filter(lambda pair: pair[0] < pair[1])


@st.composite
def calendars(draw: st.DrawFn) -> tuple[date, Calendar]:
    day = draw(days)
    given_hours = draw(st.none() | hours)
    if given_hours is None:
        return day, Calendar.build()
    return day, Calendar.build({}, {day: SpecialSession("x", open=given_hours[0], close=given_hours[1])})


@given(calendars(), st.sampled_from(Segment), st.booleans(), st.integers(0, DAY - 1))
def test_phases_tile_the_day_and_every_moment_has_the_phase_of_its_tile(
    chosen: tuple[date, Calendar], segment: Segment, auction: bool, offset: int
) -> None:
    day, calendar = chosen
    session = day_session(day, segment, auction, calendar)
    midnight = midnight_ns(day)
    moment = phase_at(midnight + offset, segment, auction, calendar)
    if session is None:
        assert moment is Phase.HOLIDAY
        return
    edges = [midnight]
    for start, end, _ in session.phases:
        assert start == edges[-1] < end
        edges.append(end)
    assert edges[-1] == midnight + DAY
    assert [p for start, end, p in session.phases if start <= midnight + offset < end] == [moment]
    assert session.pre_open <= session.open < session.continuous_end <= session.close


@given(calendars(), st.sampled_from(Segment), st.booleans(), st.none() | rules)
def test_entries_stop_before_the_square_off_and_both_lie_inside_the_session(
    chosen: tuple[date, Calendar], segment: Segment, auction: bool, rule: tuple[int, int] | None
) -> None:
    day, calendar = chosen
    session = day_session(day, segment, auction, calendar)
    if session is None:
        return
    times = intraday_times(session, SquareOffRule(*rule) if rule else None)
    assert session.open <= times.entries_from < times.entries_stop <= session.continuous_end
    if rule:
        assert times.entries_stop < times.square_off < session.continuous_end
        assert session.phase(times.square_off) is Phase.OPEN
    else:
        assert times.square_off == 0
