"""The budget of order writes: what the broker counts at its own end, whatever is asked for and however late it
arrives, and the room that is kept for exits."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.brokers.budget import AN_ENTRY, KITE, UNDER_WAY, UPSTOX, Budget, Limits, Window
from otrade_bot.core.clock import DAY, MINUTE, SECOND, at_ist, ist_date

MS = 1_000_000
START = at_ist(ist_date(1_795_149_000 * SECOND), 10)
SMALL = Limits((Window(SECOND, 3, 1, "second"), Window(5 * SECOND, 7, 2, "five")), 30, 6)
LIMITS = st.sampled_from([SMALL, KITE, UPSTOX])
KINDS = ("entry", "exit", "cancel")


@dataclass(frozen=True)
class Wish:
    """Wanted ``after`` ns; on its way for ``out`` ns, answered ``back`` ns later."""

    after: int
    kind: str
    out: int
    back: int


@st.composite
def bursts(draw: st.DrawFn) -> list[Wish]:
    """Several wishes alike at once, then a pause, and so on: floods that stand at the edges of the windows."""
    found: list[Wish] = []
    for _ in range(draw(st.integers(1, 6))):
        kind, out = draw(st.sampled_from(KINDS)), draw(st.sampled_from([0, 30 * MS, 500 * MS, UNDER_WAY - 1]))
        back = draw(st.sampled_from([0, 30 * MS, SECOND, 9 * SECOND]))
        pause = draw(st.sampled_from([0, 1, 90 * MS, 400 * MS, SECOND - 1, SECOND, 2 * SECOND, 4 * SECOND]))
        each = draw(st.sampled_from([0, 0, MS, 340 * MS]))
        found += [Wish(pause if not n else each, kind, out, back) for n in range(draw(st.integers(1, 14)))]
    return found


WISHES = bursts()


def played(budget: Budget, wishes: list[Wish]) -> tuple[list[int], list[int]]:
    """Arrivals at the broker, and moments at which orders were placed. Exits wait as long as they are told to."""
    now, arrivals, placed = START, list[int](), list[int]()
    answers: list[tuple[int, int]] = []

    def until(moment: int) -> None:
        while answers and answers[0][0] <= moment:
            answered, taken = heapq.heappop(answers)
            budget.ended(taken, answered)

    for wish in wishes:
        now += wish.after
        until(now)
        reduces, counts = wish.kind != "entry", wish.kind != "cancel"
        while isinstance(answer := budget.take(now, reduces=reduces, counts=counts), int) and answer:
            assert reduces or answer <= 0, "an entry is never told to wait"
            now += answer
            until(now)
        if answer == 0:
            arrivals.append(now + wish.out)
            heapq.heappush(answers, (now + wish.out + wish.back, now))
            if counts:
                placed.append(now)
    return sorted(arrivals), placed


@given(LIMITS, WISHES)
def test_no_window_at_the_broker_ever_holds_more_than_is_allowed(limits: Limits, wishes: list[Wish]) -> None:
    arrivals, _ = played(Budget(limits), wishes)
    for window in limits.windows:
        for first, beyond in zip(arrivals, arrivals[window.most :], strict=False):
            assert beyond - first >= window.span


@pytest.mark.parametrize("limits", [KITE, UPSTOX])
def test_a_flood_of_exits_keeps_to_ten_a_second_and_to_the_minute_and_every_one_goes(limits: Limits) -> None:
    wishes = [Wish(0, "cancel", 20 * MS, 10 * MS)] * 1200
    arrivals, _ = played(Budget(limits), wishes)
    assert len(arrivals) == 1200
    for window in limits.windows:
        assert all(b - a >= window.span for a, b in zip(arrivals, arrivals[window.most :], strict=False))
    assert all(b >= a for a, b in pairwise(arrivals))


@given(LIMITS, WISHES)
def test_after_any_flood_of_entries_as_many_exits_as_are_kept_go_at_once(limits: Limits, wishes: list[Wish]) -> None:
    budget, now = Budget(limits), START
    for wish in wishes:
        now += wish.after
        budget.take(now, reduces=False, counts=True)
    for _ in range(min(window.kept for window in limits.windows)):
        assert budget.take(now, reduces=True, counts=True) == 0


@given(LIMITS, WISHES, st.lists(st.integers(0, SECOND), max_size=60))
def test_after_any_flood_of_moved_stops_half_of_what_is_kept_goes_at_once(
    limits: Limits, wishes: list[Wish], pauses: list[int]
) -> None:
    budget = Budget(limits)
    played(budget, [wish for wish in wishes if wish.kind == "entry"])
    now = START + sum(wish.after for wish in wishes)
    for pause in pauses:
        now += pause
        while wait := budget.take(now, reduces=True, counts=False, urgent=False):
            assert isinstance(wait, int), "it waits, and is not refused"
            now += wait
        budget.ended(now, now)
    for _ in range(min(window.kept // 2 for window in limits.windows)):
        assert budget.take(now, reduces=True, counts=True) == 0


@given(LIMITS, WISHES, st.integers(0, 3 * SECOND))
def test_where_an_exit_would_have_to_wait_an_entry_is_refused(limits: Limits, wishes: list[Wish], later: int) -> None:
    budget = Budget(limits)
    played(budget, wishes)
    now = START + sum(wish.after for wish in wishes) + later
    if budget.take(now, reduces=True, counts=False) != 0:
        refusal = budget.take(now, reduces=False, counts=True)
        assert isinstance(refusal, str)
        assert refusal.startswith("not sent: ")


@given(WISHES, st.integers(0, 12))
def test_the_day_never_takes_more_orders_than_the_broker_and_keeps_room_for_the_exits(
    wishes: list[Wish], open_exits: int
) -> None:
    wishes = [wish for wish in wishes if wish.kind != "exit"]
    budget = Budget(SMALL)
    budget.open_exits = open_exits
    played(budget, [*wishes, *[Wish(2 * SECOND, "entry", 0, 0)] * SMALL.a_day])
    assert budget.placed_today == SMALL.a_day - SMALL.kept_a_day - open_exits - AN_ENTRY + 1
    before = budget.placed_today
    now = START + 300 * SECOND
    for _ in range(SMALL.a_day - before):
        now += 2 * SECOND
        assert budget.take(now, reduces=True, counts=True) == 0
    assert budget.placed_today == SMALL.a_day
    assert isinstance(budget.take(now + 2 * SECOND, reduces=True, counts=True), str)
    assert budget.take(now + 2 * SECOND, reduces=True, counts=False) == 0, "a cancellation always goes"


@given(st.integers(1, 10**6), st.integers(0, 400 * SECOND))
def test_a_clock_set_back_makes_no_exit_wait_longer_than_the_longest_window(back: int, used: int) -> None:
    budget = Budget(SMALL)
    played(budget, [Wish(0, "cancel", 0, 0)] * 7)
    now = START + used
    budget.take(now, reduces=True, counts=False)
    now -= back * SECOND
    waited = 0
    while wait := budget.take(now, reduces=True, counts=False):
        assert isinstance(wait, int)
        waited, now = waited + wait, now + wait
    assert waited <= 5 * SECOND + UNDER_WAY


def test_five_thousand_orders_a_day_and_a_new_day_begins_at_nothing() -> None:
    budget, now = Budget(KITE), START
    for _ in range(5000):
        while wait := budget.take(now, reduces=True, counts=True):
            assert isinstance(wait, int)
            now += wait
        budget.ended(now, now)
    assert isinstance(budget.take(now + MINUTE, reduces=True, counts=True), str)
    assert budget.take(now + DAY, reduces=False, counts=True) == 0
    assert budget.placed_today == 1
