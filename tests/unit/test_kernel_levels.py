"""A level set by hand stays where it was put: neither a fill nor the price moves it, until it is given back."""

from __future__ import annotations

import pytest
from kernel_desk import MINUTE, OPEN, SECOND, Desk, Intent, of

from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Kernel


def by_hand(desk: Desk, code: int, level: int, *, own: bool = False, cycle: int = 1, rung: int = 0) -> list[Intent]:
    return desk.send(
        abi.PHASE, ts=OPEN + SECOND, code=code, value=level, qty=0 if own else 1, rung=rung, cycle=cycle
    )  # fmt: skip


def held(twin: Kernel, side: int = 1, **params: int) -> Desk:
    desk = Desk(twin)
    desk.put(**params)
    desk.tick(OPEN, 10_000)
    desk.hold(side=side)
    return desk


@pytest.mark.parametrize("side", [1, -1])
def test_a_stop_by_hand_is_told_at_once_looser_or_tighter(side: int, twin: Kernel) -> None:
    desk = held(twin, side)
    for level in (10_000 - side * 90, 10_000 - side * 20):
        assert [(i.stop, i.qty) for i in of(by_hand(desk, abi.PHASE_STOP, level), abi.STOP)] == [(level, 10)]
        assert desk.get("stop", 0, 0) == desk.get("sent_stop", 0, 0) == level


@pytest.mark.parametrize("side", [1, -1])
def test_a_runner_does_not_move_it_and_takes_it_up_again_from_the_best_price(side: int, twin: Kernel) -> None:
    desk = held(twin, side, trail=1)
    by_hand(desk, abi.PHASE_STOP, 10_000 - side * 90)
    assert not of(desk.tick(OPEN + MINUTE, 10_000 + side * 80), abi.STOP)
    assert desk.get("stop", 0, 0) == 10_000 - side * 90
    assert desk.get("extreme", 0, 0) == 10_000 + side * 80
    own = 10_000 + side * 30
    assert [i.stop for i in of(by_hand(desk, abi.PHASE_STOP, own, own=True), abi.STOP)] == [own]
    moved = of(desk.tick(OPEN + 2 * MINUTE, 10_000 + side * 90), abi.STOP)
    assert [side * (i.stop - own) > 0 for i in moved] == [True]


def test_further_fills_of_the_entry_leave_levels_by_hand_and_protect_what_came(twin: Kernel) -> None:
    desk = Desk(twin)
    desk.tick(OPEN, 10_000)
    desk.adopt(qty=10)
    desk.fill(4, 4 * 10_000)
    by_hand(desk, abi.PHASE_STOP, 9_905)
    by_hand(desk, abi.PHASE_TARGET, 0)
    more = of(desk.fill(10, 10 * 10_020), abi.STOP)
    assert [(i.stop, i.target, i.qty) for i in more] == [(9_905, 0, 10)]


def test_a_target_by_hand_is_where_it_leaves_and_off_is_never(twin: Kernel) -> None:
    desk = held(twin)
    by_hand(desk, abi.PHASE_TARGET, 0)
    assert not desk.tick(OPEN + MINUTE, 10_400)
    by_hand(desk, abi.PHASE_TARGET, 10_500)
    out = of(desk.tick(OPEN + 2 * MINUTE, 10_500), abi.EXIT)
    assert [i.code for i in out] == [abi.R_TARGET]


def test_nothing_is_set_for_another_cycle_before_a_fill_or_on_the_way_out(twin: Kernel) -> None:
    desk = Desk(twin)
    desk.tick(OPEN, 10_000)
    desk.adopt(qty=10)
    assert not by_hand(desk, abi.PHASE_STOP, 9_905)
    desk.fill(10, 10 * 10_000)
    before = desk.bytes()
    assert not by_hand(desk, abi.PHASE_STOP, 9_905, cycle=2)
    assert not by_hand(desk, abi.PHASE_TARGET, 10_905, rung=1)
    assert desk.state.tobytes() in before
    desk.send(abi.PHASE, ts=OPEN, code=abi.PHASE_EXIT, value=abi.R_COMMAND, rung=0)
    stop = desk.get("stop", 0, 0)
    assert not by_hand(desk, abi.PHASE_STOP, 9_905)
    assert desk.get("stop", 0, 0) == stop


def test_a_new_cycle_begins_with_the_strategys_own_levels(twin: Kernel) -> None:
    desk = held(twin)
    by_hand(desk, abi.PHASE_STOP, 9_905)
    by_hand(desk, abi.PHASE_TARGET, 10_905)
    desk.fill(10, 99_000, abi.EXIT_LEG)
    desk.hold(cycle=2)
    assert (desk.get("hand_stop", 0, 0), desk.get("hand_target", 0, 0)) == (0, 0)
    assert desk.get("stop", 0, 0) != 9_905
