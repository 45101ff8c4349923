"""What holds of the kernel for any sequence of events."""

from __future__ import annotations

from typing import Any

from hypothesis import event, given, settings
from kernel_desk import Desk, of
from kernel_story import Fields, Op, Setting, as_array, desk_for, ops, settings_of_a_story, tell

from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Kernel

ROWS, RUNGS = 2, 3
SLOTS = [(row, r) for row in range(ROWS) for r in range(RUNGS)]
modest = settings(max_examples=80, deadline=None)


# --- three executors ------------------------------------------------------------------------------


def one_by_one(desk: Desk, events: list[Fields]) -> bytes:
    """As the service calls it: ``tick_one``, ``timer_all`` over the rows, ``run`` with a single event."""
    k, said, i = desk.kernel, b"", 0
    scratch, ev = as_array(k, events), k.new_event()
    while i < len(events):
        e = events[i]
        if e["kind"] == abi.TIMER:
            n = k.timer_all(desk.state, desk.account, desk.params, e["ts"], e["qty"], abi.LIVE, desk.out)
            i += ROWS
        elif e["kind"] == abi.TICK and e["code"] == abi.LIVE:
            where = (e["row"], e["ts"], e["price"], e["qty"])
            n = k.tick_one(desk.state, desk.account, desk.params, *where, ev, desk.out)
            i += 1
        else:
            n = k.run(desk.state, desk.account, desk.params, scratch[i : i + 1], desk.out)
            i += 1
        said += desk.out[:n].tobytes()
    return said


def in_one_call(desk: Desk, events: list[Fields]) -> bytes:
    out = desk.kernel.new_intents(len(events))
    n = desk.kernel.run(desk.state, desk.account, desk.params, as_array(desk.kernel, events), out)
    return bytes(out[:n].tobytes())


@settings(max_examples=40, deadline=None)
@given(setting=settings_of_a_story, story=ops)
def test_interpreted_one_call_and_loop_give_the_same_bits(
    setting: Setting, story: list[Op], kernel: Kernel, twin: Kernel
) -> None:
    told = desk_for(twin, setting)
    events, intents = [], b""
    for fields, _ in tell(told, story):
        events.append(fields)
    start = desk_for(twin, setting), desk_for(kernel, setting), desk_for(kernel, setting)
    for desk in start:
        for row in range(ROWS):
            desk.put(row, entry_from=0, entry_until=1 << 62, square_off=0)
    interpreted, single, loop = start
    intents = one_by_one(interpreted, events)
    assert interpreted.bytes() == told.bytes()
    assert one_by_one(single, events) == intents
    assert in_one_call(loop, events) == intents
    assert single.bytes() == loop.bytes() == interpreted.bytes()
    event(f"{setting.strategy}: {'enters' if told.sum('trades') else 'idle'}")


# --- entries --------------------------------------------------------------------------------------


@modest
@given(setting=settings_of_a_story, story=ops)
def test_no_entry_where_a_limit_forbids_it(setting: Setting, story: list[Op], kernel: Kernel) -> None:
    desk = desk_for(kernel, setting)
    for row in range(ROWS):
        p = desk.params[row]
        desk.put(row, entry_from=int(p["day_open"]) + 60 * 10**9, entry_until=int(p["day_open"]) + 900 * 10**9)
    for _, intents in tell(desk, story, new_days=False):
        for i in of(intents, abi.ENTER):
            p = desk.params[i.row]
            assert p["entry_from"] <= i.ts < p["entry_until"]
            assert desk.sum("blocked") == 0
            assert desk.sum("halted") == 0
            assert p["enabled"] == 1
            assert p["tradable"] == 1
            assert desk.get("bars", i.row) >= p["warm"]
            assert i.qty > 0
            assert i.qty * i.price <= p["capital"]
            assert i.side == 1 or (p["short"] == 1 and p["intraday"] == 1)


@modest
@given(setting=settings_of_a_story, story=ops)
def test_no_sequence_of_events_passes_a_limit(setting: Setting, story: list[Op], kernel: Kernel) -> None:
    """Bound capital passes the total only by what fills cost more than their reference prices."""
    desk = desk_for(kernel, setting)
    before = numbers(desk)
    excess: dict[tuple[int, int], int] = {}
    halted_on = 0
    for fields, intents in tell(desk, story, adopting=False):
        if fields["kind"] == abi.FILL and fields["leg"] == abi.ENTRY:
            count_excess(desk, before, (fields["row"], fields["rung"]), excess)
        before = numbers(desk)
        if of(intents, abi.HALTED):
            halted_on = desk.sum("day")
        assert not (of(intents, abi.ENTER) and halted_on == desk.sum("day"))
        open_now = [slot for slot in SLOTS if before[slot]["side"]]
        assert len(open_now) <= setting.max_rungs
        assert desk.sum("used") <= setting.total_capital + sum(excess.get(slot, 0) for slot in open_now)
        assert setting.max_trades == 0 or desk.sum("trades") <= setting.max_trades
        excess = {slot: paise for slot, paise in excess.items() if slot in open_now}
        event("full" if len(open_now) == setting.max_rungs else "room")


def count_excess(desk: Desk, before: Any, slot: tuple[int, int], excess: dict[tuple[int, int], int]) -> None:
    """What the last fill cost above the reference price."""
    was, now = before[slot], numbers(desk)[slot]
    if was["cycle"] == now["cycle"]:
        dearer = now["entry_value"] - was["entry_value"] - (now["filled"] - was["filled"]) * now["ref"]
        excess[slot] = excess.get(slot, 0) + max(0, dearer)


FIELDS = ("side cycle want ref filled entry_value exited exit_value reserve charged realised stop").split()


def numbers(desk: Desk) -> dict[tuple[int, int], dict[str, int]]:
    """Every rung's numbers as they are now."""
    return {(row, r): {name: desk.get(name, row, r) for name in FIELDS} for row, r in SLOTS}


# --- sums -----------------------------------------------------------------------------------------


@modest
@given(setting=settings_of_a_story, story=ops)
def test_the_account_is_the_sum_of_its_rows_after_every_event(
    setting: Setting, story: list[Op], kernel: Kernel
) -> None:
    desk = desk_for(kernel, setting)
    before = numbers(desk)
    day, realised, charges = desk.sum("day"), 0, 0
    for fields, _ in tell(desk, story):
        now = numbers(desk)
        if desk.sum("day") != day:
            day, realised, charges = desk.sum("day"), 0, 0
        for slot in SLOTS:
            same = before[slot]["cycle"] == now[slot]["cycle"]
            realised += now[slot]["realised"] - (before[slot]["realised"] if same else 0)
            charges += now[slot]["charged"] - (before[slot]["charged"] if same else 0)
            check_rung(desk, slot, now[slot], before[slot])
        taken = [slot for slot in SLOTS if now[slot]["side"]]
        assert desk.sum("rungs") == len(taken)
        assert desk.sum("used") == sum(now[slot]["reserve"] for slot in SLOTS)
        assert desk.sum("unrealised") == sum(open_result(desk, row, now) for row in range(ROWS))
        assert desk.sum("realised") == realised
        assert desk.sum("charges") == charges
        assert desk.sum("trades") >= sum(now[slot]["filled"] == 0 for slot in taken) or fields["kind"] == abi.PHASE
        before = now


def check_rung(desk: Desk, slot: tuple[int, int], now: dict[str, int], before: dict[str, int]) -> None:
    """A rung's own money from first principles."""
    side = now["side"] or (before["side"] if before["cycle"] == now["cycle"] else 0)
    if side == 0:
        return
    cost = desk.kernel.charge_one
    paid = cost(desk.params, slot[0], side, now["entry_value"]) + cost(desk.params, slot[0], -side, now["exit_value"])
    assert now["charged"] == paid
    if now["side"] == 0:
        assert now["reserve"] == 0
        assert now["realised"] == side * (now["exit_value"] - now["entry_value"])
        assert now["exited"] == now["filled"]
        return
    assert now["reserve"] == now["entry_value"] + (now["want"] - now["filled"]) * now["ref"]


def open_result(desk: Desk, row: int, now: dict[tuple[int, int], dict[str, int]]) -> int:
    """What the row holds, at its last price, less what that part cost."""
    price, total = desk.get("price", row), 0
    for r in range(RUNGS):
        rung = now[row, r]
        held = rung["filled"] - rung["exited"]
        if price and rung["side"] and held > 0:
            cost = rung["entry_value"] - rung["entry_value"] * rung["exited"] // rung["filled"]
            total += rung["side"] * (held * price - cost)
    return total


# --- stops ----------------------------------------------------------------------------------------


@modest
@given(setting=settings_of_a_story, story=ops)
def test_a_stop_never_loosens(setting: Setting, story: list[Op], kernel: Kernel) -> None:
    """Neither the level that is kept nor the one that the exchange is told, within one cycle of a rung; a human
    alone may loosen it, and one set by hand does not move at all."""
    desk = desk_for(kernel, setting)
    for row in range(ROWS):
        desk.params[row]["trail"] = 1
    kept: dict[tuple[int, int, int], int] = {}
    told: dict[tuple[int, int, int], int] = {}
    for fields, intents in tell(desk, story):
        if fields.get("code") == abi.PHASE_STOP and fields["kind"] == abi.PHASE and of(intents, abi.STOP):
            slot = fields["row"], fields["rung"], fields["cycle"]
            kept[slot] = told[slot] = fields["value"]
            assert of(intents, abi.STOP)[0].stop == fields["value"]
        for (row, r), now in numbers(desk).items():
            if now["side"] and desk.get("hand_stop", row, r):
                assert now["stop"] == kept[row, r, now["cycle"]]
            if now["side"]:
                tighter(kept, (row, r, now["cycle"]), now["side"], now["stop"])
        for i in of(intents, abi.STOP):
            tighter(told, (i.row, i.rung, i.cycle), i.side, i.stop)
            assert i.stop % 5 == 0
    event(f"stops moved: {min(len(told), 3)}")


def tighter(levels: dict[tuple[int, int, int], int], key: tuple[int, int, int], side: int, level: int) -> None:
    last = levels.get(key, 0)
    assert last == 0 or side * (level - last) >= 0
    if level:
        levels[key] = level
