"""What the broker reports is all that changes what the kernel holds: each report once, in any order."""

from __future__ import annotations

from itertools import permutations

import pytest
from kernel_desk import DAY, MINUTE, OPEN, SECOND, Desk, of

from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Kernel


def entry(qty: int) -> tuple[int, int, int, int]:
    return (abi.FILL, abi.ENTRY, qty, qty * 10_010)


def leaving(qty: int) -> tuple[int, int, int, int]:
    return (abi.FILL, abi.EXIT_LEG, qty, qty * 10_050)


MONEY = ("side", "cycle", "want", "filled", "entry_value", "exited", "exit_value", "charged", "realised", "reserve",
         "cool_until", "unrealised")  # fmt: skip
SUMS = ("rungs", "used", "trades", "realised", "unrealised", "charges")


def told(twin: Kernel, reports: tuple[tuple[int, int, int, int], ...]) -> list[object]:
    desk = Desk(twin)
    desk.limits(cooldown=MINUTE)
    desk.tick(OPEN, 10_000)
    desk.adopt(qty=10)
    for kind, leg, qty, value in reports:
        desk.send(kind, ts=OPEN + SECOND, rung=0, cycle=1, leg=leg, qty=qty, value=value)
    return [desk.get(n) if n in ("cool_until", "unrealised") else desk.get(n, 0, 0) for n in MONEY] + [
        desk.sum(n) for n in SUMS
    ]


DONE_AT_6 = (abi.DONE, abi.ENTRY, 6, 0)
STORIES = {
    "partial fills": (entry(3), entry(7), entry(10)),
    "a whole round trip": (entry(4), entry(10), leaving(5), leaving(10)),
    "the rest is cancelled": (entry(4), entry(6), DONE_AT_6),
    "a cancelled rest, then out": (entry(6), DONE_AT_6, leaving(2), leaving(6)),
}


@pytest.mark.parametrize("story", STORIES)
def test_reports_reach_the_same_state_in_any_order_and_any_number(story: str, twin: Kernel) -> None:
    reports = STORIES[story]
    expected = told(twin, reports)
    for order in permutations(reports):
        assert told(twin, order) == expected, order
        assert told(twin, tuple(r for report in order for r in (report, report))) == expected, order
        assert told(twin, order + order[::-1]) == expected, order


def test_a_round_trip_books_exact_paise(twin: Kernel, kernel: Kernel) -> None:
    for k in (twin, kernel):
        desk = Desk(k)
        desk.hold(price=10_010)
        charges = k.charge_one(desk.params, 0, 1, 100_100)
        assert desk.sum("used") == 100_100
        desk.fill(4, 40_000, abi.EXIT_LEG)
        assert desk.sum("realised") == 40_000 - 40_040
        desk.fill(10, 101_000, abi.EXIT_LEG)
        assert desk.sum("realised") == 900
        assert desk.sum("charges") == charges + k.charge_one(desk.params, 0, -1, 101_000)
        assert (desk.sum("rungs"), desk.sum("used"), desk.get("side", 0, 0)) == (0, 0, 0)


def test_a_short_round_trip_earns_what_the_price_fell(twin: Kernel) -> None:
    desk = Desk(twin)
    desk.hold(side=-1)
    assert desk.get("stop", 0, 0) == 10_050
    assert desk.get("target", 0, 0) == 9_900
    desk.tick(OPEN, 9_950)
    assert desk.sum("unrealised") == 500
    desk.fill(10, 99_000, abi.EXIT_LEG)
    assert (desk.sum("realised"), desk.sum("unrealised")) == (1_000, 0)


def test_a_loss_is_not_counted_twice_between_its_exit_and_the_next_price(twin: Kernel) -> None:
    """Another row's price must not halt the day over a loss that is realised and still shown as open."""
    desk = Desk(twin, rows=2)
    desk.limits(loss_limit=10_000)
    for row in (0, 1):
        desk.tick(OPEN, 10_000, row=row)
        desk.hold(row=row)
    desk.tick(OPEN + SECOND, 9_300, row=0)
    assert desk.sum("unrealised") == -7_000
    desk.fill(10, 93_000, abi.EXIT_LEG)
    assert (desk.sum("realised"), desk.sum("unrealised")) == (-7_000, 0)
    assert not of(desk.tick(OPEN + 2 * SECOND, 10_000, row=1), abi.HALTED)


def test_what_a_fill_costs_against_the_last_price_shows_at_once(twin: Kernel) -> None:
    desk = Desk(twin)
    desk.tick(OPEN, 10_000)
    desk.hold(price=10_020)
    assert desk.sum("unrealised") == -200


def test_a_position_without_a_price_is_neither_valued_nor_left_but_still_squared_off(twin: Kernel) -> None:
    """After a start a row may hold something before its first price comes."""
    for side in (1, -1):
        desk = Desk(twin)
        desk.limits(loss_limit=1_000)
        desk.put(trail=1)
        desk.hold(side=side)
        assert not desk.timer(OPEN + MINUTE)
        assert desk.sum("unrealised") == 0
        assert desk.get("extreme", 0, 0) == 10_000
        square_off = int(desk.params[0]["square_off"])
        assert [i.code for i in of(desk.timer(square_off), abi.EXIT)] == [abi.R_SQUARE_OFF]


def test_an_entry_that_ends_unfilled_is_no_trade_also_over_night(twin: Kernel) -> None:
    desk = Desk(twin, intraday=False)
    desk.adopt()
    assert desk.sum("trades") == 1
    desk.send(abi.PHASE, ts=OPEN, code=abi.PHASE_DAY, value=DAY.toordinal() + 1)
    assert desk.sum("trades") == 1, "it may still fill today"
    desk.end()
    assert (desk.sum("trades"), desk.sum("rungs"), desk.sum("used")) == (0, 0, 0)


def test_reports_of_other_cycles_change_nothing_and_fills_among_them_are_told(twin: Kernel) -> None:
    desk = Desk(twin)
    desk.hold(cycle=5)
    before = desk.bytes()
    for cycle in (4, 6):
        for leg in (abi.ENTRY, abi.EXIT_LEG):
            stray = desk.fill(10, 99_000, leg, cycle)
            assert [(i.kind, i.cycle, i.qty, i.code) for i in stray] == [(abi.STRAY, cycle, 10, leg)]
            assert not desk.end(abi.REJECT, leg, cycle)
            assert not desk.end(abi.DONE, leg, cycle)
    assert desk.bytes() == before


def test_a_fill_after_the_end_of_its_rung_is_stray(twin: Kernel) -> None:
    desk = Desk(twin)
    desk.hold()
    desk.fill(10, 101_000, abi.EXIT_LEG)
    assert [i.kind for i in desk.fill(10, 101_000, abi.EXIT_LEG)] == [abi.STRAY]


def test_adopting_a_rung_that_is_taken_changes_nothing(twin: Kernel) -> None:
    desk = Desk(twin)
    desk.adopt(cycle=3)
    before = desk.bytes()
    desk.adopt(cycle=9)
    assert desk.bytes() == before


def test_a_refused_entry_frees_its_rung_and_waits(twin: Kernel) -> None:
    desk = Desk(twin)
    desk.limits(reject_cooldown=5 * MINUTE, cooldown=MINUTE)
    desk.adopt()
    desk.end(abi.REJECT)
    assert desk.get("cool_until") == OPEN + 5 * MINUTE
    assert (desk.sum("rungs"), desk.sum("used"), desk.sum("trades")) == (0, 0, 0)


def test_a_cancelled_entry_frees_its_rung_without_waiting(twin: Kernel) -> None:
    desk = Desk(twin)
    desk.limits(reject_cooldown=5 * MINUTE, cooldown=MINUTE)
    desk.adopt()
    desk.end(abi.DONE)
    assert desk.get("cool_until") <= OPEN
    assert desk.sum("rungs") == 0


def test_the_first_fill_arms_the_stop_and_each_further_one_says_the_new_quantity(twin: Kernel) -> None:
    desk = Desk(twin)
    desk.adopt()
    first, second = desk.fill(3, 30_000), desk.fill(10, 100_000)
    assert [(i.kind, i.qty, i.stop, i.target) for i in first] == [(abi.STOP, 3, 9_950, 10_100)]
    assert [(i.kind, i.qty, i.stop, i.target) for i in second] == [(abi.STOP, 10, 9_950, 10_100)]


def test_a_cheaper_further_fill_does_not_loosen_the_stop(twin: Kernel) -> None:
    for side, dearer, cheaper, stop in ((1, 10_000, 9_900, 9_950), (-1, 10_000, 10_100, 10_050)):
        desk = Desk(twin)
        desk.adopt(side=side)
        desk.fill(5, 5 * dearer)
        desk.fill(10, 5 * dearer + 5 * cheaper)
        assert desk.get("stop", 0, 0) == stop


def test_an_exit_is_intended_once_and_again_a_second_after_it_failed(twin: Kernel) -> None:
    desk = Desk(twin)
    desk.hold()
    assert [i.code for i in of(desk.tick(OPEN, 10_100), abi.EXIT)] == [abi.R_TARGET]
    assert not of(desk.tick(OPEN + 1, 10_100), abi.EXIT)
    desk.end(abi.REJECT, abi.EXIT_LEG, ts=OPEN + 2)
    assert not of(desk.tick(OPEN + 1 + SECOND, 10_100), abi.EXIT)
    assert len(of(desk.tick(OPEN + 2 + SECOND, 10_100), abi.EXIT)) == 1


def test_the_kernel_does_not_exit_on_a_stop_that_rests_at_the_exchange(twin: Kernel) -> None:
    desk = Desk(twin)
    desk.hold()
    assert desk.get("stop", 0, 0) == 9_950
    assert not of(desk.tick(OPEN, 9_000), abi.EXIT)


def test_a_demanded_exit_takes_one_rung_or_all(twin: Kernel) -> None:
    desk = Desk(twin, "momentum_ladder")
    for rung in (0, 1, 2):
        desk.hold(cycle=rung + 1, rung=rung)
    one = desk.send(abi.PHASE, ts=OPEN, code=abi.PHASE_EXIT, value=abi.R_FLATTEN, rung=1)
    assert [(i.kind, i.rung, i.code, i.qty) for i in one] == [(abi.EXIT, 1, abi.R_FLATTEN, 10)]
    rest = desk.send(abi.PHASE, ts=OPEN, code=abi.PHASE_EXIT, value=abi.R_FLATTEN, rung=-1)
    assert [i.rung for i in rest] == [0, 2]


def test_square_off_leaves_everything_also_an_entry_that_has_not_filled(twin: Kernel) -> None:
    desk = Desk(twin)
    desk.adopt()
    at = int(desk.params[0]["square_off"])
    assert not of(desk.timer(at - 1), abi.EXIT)
    assert [(i.code, i.qty) for i in of(desk.timer(at), abi.EXIT)] == [(abi.R_SQUARE_OFF, 0)]


def test_a_delivery_position_is_not_squared_off(twin: Kernel) -> None:
    desk = Desk(twin, intraday=False)
    desk.hold()
    assert not of(desk.timer(OPEN + 374 * MINUTE), abi.EXIT)


def test_the_loss_limit_halts_once_and_flattens_where_that_is_wanted(twin: Kernel) -> None:
    for flatten in (0, 1):
        desk = Desk(twin)
        desk.limits(loss_limit=5_000, loss_flatten=flatten)
        desk.hold()
        charges = desk.sum("charges")
        assert charges > 0
        nearly = 10_000 - (5_000 - charges) // 10
        assert not desk.tick(OPEN, nearly)
        halted = desk.tick(OPEN, nearly - 1)
        assert [i.kind for i in halted] == [abi.HALTED, abi.EXIT][: 1 + flatten]
        assert not of(desk.tick(OPEN, nearly - 2), abi.HALTED)
        desk.send(abi.PHASE, ts=OPEN, code=abi.PHASE_DAY, value=DAY.toordinal() + 1)
        assert desk.sum("halted") == 0


def test_a_bar_from_outside_values_what_is_held_too(twin: Kernel) -> None:
    desk = Desk(twin)
    desk.tick(OPEN, 10_000)
    desk.hold()
    desk.bar(OPEN + MINUTE, 10_000, 10_050, 9_990, 10_040)
    assert desk.sum("unrealised") == 400
