"""Which ticks are fit to act on, and which entries are allowed: every reason, at its exact edge."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kernel_desk import CLOSE, DAY, INFINITE, MINUTE, OPEN, SECOND, Desk, Intent, of

from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Kernel

START = OPEN + 10 * SECOND


# --- ticks ----------------------------------------------------------------------------------------


@pytest.fixture(params=["interpreted", "compiled"])
def desk(request: pytest.FixtureRequest, twin: Kernel, kernel: Kernel) -> Desk:
    made = Desk(kernel if request.param == "compiled" else twin)
    made.limits(spike_ppm=50_000, spike_confirm=3)
    assert come(made, START, 10_000, 100) == abi.T_OK
    return made


def come(desk: Desk, ts: int, price: int, volume: int) -> int:
    """As the engine does it: ask, then step if it may."""
    code = desk.kernel.accept_one(desk.state, desk.account, desk.params, 0, ts, price, volume)
    if code == abi.T_OK:
        desk.tick(ts, price, volume)
    return code


@pytest.mark.parametrize(
    ("ts", "price", "volume", "reason"),
    [
        (START + SECOND, 0, 100, abi.T_BAD_PRICE),
        (START + SECOND, -5, 100, abi.T_BAD_PRICE),
        (START + SECOND, 10_000, -1, abi.T_BAD_PRICE),
        (OPEN - 1, 10_000, 100, abi.T_BEFORE_OPEN),
        (CLOSE - 1, 10_000, 100, abi.T_OK),
        (CLOSE, 10_000, 100, abi.T_AFTER_CLOSE),
        (START - 1, 10_005, 100, abi.T_OUT_OF_ORDER),
        (START + SECOND - 1, 10_000, 100, abi.T_REPEATED),
        (START + SECOND, 10_000, 100, abi.T_OK),
        (START, 10_005, 100, abi.T_OK),
        (START, 10_000, 101, abi.T_OK),
        (START, 10_005, 99, abi.T_VOLUME_BACK),
        (START, 10_500, 100, abi.T_OK),
        (START, 10_501, 100, abi.T_SPIKE),
        (START, 9_500, 100, abi.T_OK),
        (START, 9_499, 100, abi.T_SPIKE),
    ],
)
def test_a_tick_is_taken_or_counted_under_its_reason(
    desk: Desk, ts: int, price: int, volume: int, reason: int
) -> None:
    before = desk.state[0]["drops"].tolist()
    assert come(desk, ts, price, volume) == reason
    before[reason] += 1
    assert desk.state[0]["drops"].tolist() == before
    assert desk.get("price") == (price if reason == abi.T_OK else 10_000)


def test_the_open_itself_is_in(twin: Kernel) -> None:
    assert come(Desk(twin), OPEN, 10_000, 0) == abi.T_OK


def test_a_jump_counts_once_enough_ticks_agree_and_a_bad_print_never_does(desk: Desk) -> None:
    codes = [come(desk, START + i * SECOND, price, 100) for i, price in enumerate((10_000, 20_000, 10_005, 20_000), 1)]
    assert codes == [abi.T_OK, abi.T_SPIKE, abi.T_OK, abi.T_SPIKE]
    codes = [come(desk, START + i * SECOND, price, 100) for i, price in enumerate((20_050, 20_100, 20_100), 5)]
    assert codes == [abi.T_SPIKE, abi.T_OK, abi.T_OK]


def test_spikes_that_disagree_with_each_other_never_confirm(desk: Desk) -> None:
    for i in range(1, 20):
        assert come(desk, START + i * SECOND, 20_000 if i % 2 else 5_000, 100) == abi.T_SPIKE


def test_the_spike_filter_can_be_switched_off(desk: Desk) -> None:
    desk.limits(spike_ppm=0)
    assert come(desk, START, 1_000_000, 100) == abi.T_OK


def test_a_fallen_volume_is_believed_at_the_twentieth_tick_in_a_row(desk: Desk) -> None:
    codes = [come(desk, START + i * SECOND, 10_000, 50 + i) for i in range(1, 21)]
    assert codes == [abi.T_VOLUME_BACK] * 19 + [abi.T_OK]
    assert desk.get("volume") == 70
    assert come(desk, START + 30 * SECOND, 10_000, 71) == abi.T_OK


def test_a_good_tick_starts_the_count_of_fallen_volumes_again(desk: Desk) -> None:
    for i in range(1, 20):
        come(desk, START + i * SECOND, 10_000, 50)
    assert come(desk, START + 20 * SECOND, 10_000, 100) == abi.T_OK
    assert come(desk, START + 21 * SECOND, 10_000, 50) == abi.T_VOLUME_BACK


# --- entries --------------------------------------------------------------------------------------


def signal(desk: Desk, price: int = 10_000, ts: int = START, warm: int = 22) -> list[Intent]:
    """A downward or upward cross of ema_crossover on ticks: flat prices, then a jump at ``ts``."""
    for i in range(warm):
        desk.tick(ts - (warm - i) * 1_000, price, code=abi.WARM)
    return desk.tick(ts, price + 10)


def fall(desk: Desk) -> list[Intent]:
    for i in range(22):
        desk.tick(START - (22 - i) * 1_000, 10_000, code=abi.WARM)
    return desk.tick(START, 9_990)


def test_without_a_limit_in_the_way_the_entry_is_intended_with_its_levels(twin: Kernel, kernel: Kernel) -> None:
    for k in (twin, kernel):
        intents = signal(Desk(k))
        assert [i.kind for i in intents] == [abi.EVALUATED, abi.ENTER]
        assert intents[1] == Intent(abi.ENTER, 0, 0, 1, 1, 29, 10_010, 9_960, 10_110, 0, START)


Setting = Callable[[Desk], None]


@pytest.mark.parametrize(
    ("limit", "prepare"),
    [
        (abi.L_BLOCKED, lambda d: d.send(abi.PHASE, code=abi.PHASE_BLOCK, value=4)),
        (abi.L_UNTRADABLE, lambda d: d.put(tradable=0)),
        (abi.L_DISABLED, lambda d: d.send(abi.PHASE, code=abi.PHASE_ENABLE, value=0)),
        (abi.L_WINDOW, lambda d: d.put(entry_from=START + 1)),
        (abi.L_WINDOW, lambda d: d.put(entry_until=START)),
        (abi.L_LOSS, lambda d: d.limits(halted=1)),
        (abi.L_POSITIONS, lambda d: d.limits(max_rungs=0)),
        (abi.L_TRADES, lambda d: d.limits(max_trades=1, trades=1)),
        (abi.L_COOLDOWN, lambda d: d.state["cool_until"].fill(START + 1)),
        (abi.L_UNAFFORDABLE, lambda d: d.put(capital=10_009)),
        (abi.L_CAPITAL, lambda d: d.limits(total_capital=29 * 10_010 - 1)),
    ],
)
def test_each_limit_forbids_the_entry_and_says_so_once_a_minute(limit: int, prepare: Setting, twin: Kernel) -> None:
    desk = Desk(twin)
    prepare(desk)
    intents = signal(desk)
    assert [(i.kind, i.code) for i in of(intents, abi.LIMITED)] == [(abi.LIMITED, limit)]
    assert not of(intents, abi.ENTER)
    assert (desk.sum("rungs"), desk.sum("used")) == (0, 0)


@pytest.mark.parametrize(
    "prepare",
    [
        lambda d: d.put(entry_from=START),
        lambda d: d.put(entry_until=START + 1),
        lambda d: d.limits(max_rungs=1),
        lambda d: d.limits(max_trades=1),
        lambda d: d.limits(max_trades=0, trades=1_000),
        lambda d: d.state["cool_until"].fill(START),
        lambda d: d.put(capital=10_010),
        lambda d: d.limits(total_capital=29 * 10_010),
        lambda d: (d.send(abi.PHASE, code=abi.PHASE_BLOCK, value=4), d.send(abi.PHASE, code=abi.PHASE_BLOCK, value=0)),
    ],
)
def test_at_its_edge_a_limit_allows(prepare: Setting, twin: Kernel) -> None:
    desk = Desk(twin)
    prepare(desk)
    assert len(of(signal(desk), abi.ENTER)) == 1


def test_a_cold_strategy_is_not_asked(twin: Kernel) -> None:
    assert not signal(Desk(twin), warm=20)
    assert of(signal(Desk(twin), warm=21), abi.ENTER)


def test_a_cold_ladder_adds_no_rung(twin: Kernel) -> None:
    """After a start a rung may be held before the indicators are warm."""
    desk = Desk(twin, "momentum_ladder", tf=MINUTE)
    desk.hold()
    assert [i.code for i in of(desk.tick(START, 10_025), abi.LIMITED)] == [abi.L_COLD]


def test_a_short_needs_an_intraday_product_and_a_strategy_that_sells_short(twin: Kernel) -> None:
    assert [i.side for i in of(fall(Desk(twin)), abi.ENTER)] == [-1]
    assert not of(fall(Desk(twin, intraday=False)), abi.ENTER)
    assert not of(fall(Desk(twin, short=False)), abi.ENTER)


def test_a_ladder_adds_to_a_short_only_where_shorts_are_allowed(twin: Kernel) -> None:
    desk = Desk(twin, "momentum_ladder", tf=MINUTE)
    desk.put(warm=0)
    desk.hold(side=-1)
    assert [i.code for i in of(desk.tick(START, 9_900), abi.LIMITED)] == [abi.L_NO_SHORT]


def test_a_limit_is_told_again_after_a_minute_and_at_once_when_it_changes(twin: Kernel) -> None:
    desk = Desk(twin, "momentum_ladder", tf=MINUTE)
    desk.hold()
    assert of(desk.tick(START, 10_025), abi.LIMITED)
    assert not of(desk.tick(START + MINUTE - 1, 10_025), abi.LIMITED)
    assert of(desk.tick(START + MINUTE, 10_025), abi.LIMITED)
    desk.send(abi.PHASE, code=abi.PHASE_BLOCK, value=1)
    assert [i.code for i in of(desk.tick(START + MINUTE + 1, 10_025), abi.LIMITED)] == [abi.L_BLOCKED]


def test_whole_lots_only(twin: Kernel) -> None:
    desk = Desk(twin)
    desk.put(lot=25)
    assert [i.qty for i in of(signal(desk), abi.ENTER)] == [25]


def test_warm_prices_intend_nothing(twin: Kernel) -> None:
    desk = Desk(twin)
    desk.limits(loss_limit=1)
    desk.hold()
    for i in range(30):
        assert not desk.tick(START + i, 10_000 - 10 * i, code=abi.WARM)
    assert not desk.timer(CLOSE, code=abi.WARM)
    assert desk.sum("halted") == 0


def test_a_watched_row_never_trades(twin: Kernel) -> None:
    desk = Desk(twin)
    desk.equip(0, "")
    desk.put(sid=0)
    assert not signal(desk)
    assert desk.get("bars") == 0


def test_a_block_does_not_stand_between_a_position_and_its_exit(twin: Kernel) -> None:
    desk = Desk(twin)
    desk.hold()
    desk.send(abi.PHASE, code=abi.PHASE_BLOCK, value=INFINITE)
    desk.send(abi.PHASE, code=abi.PHASE_ENABLE, value=0)
    desk.limits(halted=1, max_rungs=0, total_capital=0)
    assert [i.code for i in of(desk.tick(START, 10_100), abi.EXIT)] == [abi.R_TARGET]


def test_a_new_day_frees_the_counters_and_keeps_the_positions(twin: Kernel) -> None:
    desk = Desk(twin, intraday=False, rows=2)
    desk.hold()
    desk.limits(halted=1, trades=9, realised=-5, charges=7)
    for row in (0, 1):
        desk.send(abi.PHASE, row, ts=OPEN, code=abi.PHASE_DAY, value=DAY.toordinal() + 1)
    assert [desk.sum(n) for n in ("halted", "trades", "realised", "charges", "rungs")] == [0, 0, 0, 0, 1]
    assert desk.sum("used") == 100_000
    desk.limits(trades=3)
    desk.send(abi.PHASE, 1, ts=OPEN, code=abi.PHASE_DAY, value=DAY.toordinal() + 1)
    assert desk.sum("trades") == 3, "the same day does not begin twice"
