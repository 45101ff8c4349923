"""A rung, or a part of it, closed by command: the stop gives way first, the rest keeps it, nothing is sold twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from harness.bench import SHARE, Bench, config, run
from harness.gtt_venues import Single
from harness.venue import FakeVenue

from otrade_bot.core.clock import SECOND, iso
from otrade_bot.core.errors import CommandException
from otrade_bot.core.events import EventKind
from otrade_bot.core.model import ExitReason, GttStatus, Holding, OrderStatus, OrderType, Product, Refused, Side
from otrade_bot.kernel import state as abi
from otrade_bot.trading.carry import carry_in, remembered
from otrade_bot.trading.decided import decided
from otrade_bot.trading.orders import Tags
from otrade_bot.trading.recover import HistoryTick
from otrade_bot.trading.unanswered import sent_tags, unanswered

LONG = config(params={"short": False})
DELIVERY = config(product=Product.CNC, params={"short": False})
NAME = SHARE.symbol


def lines_of(bench: Bench) -> list[dict[str, Any]]:
    """The journal as a start reads it."""
    return [
        {"ts": iso(e.ts_ns), "ns": e.ts_ns, "kind": e.kind.value, "symbol": e.symbol, **e.data}
        for e in bench.diary.events
    ]


def bought(settings: Any = LONG, venue: Callable[[Any], FakeVenue] = FakeVenue) -> Bench:
    """30 at 100 rupees with a stop at 98 that rests; the last price is 100. ``seen``: its prices."""
    bench = Bench(lambda b: venue(b.clock), settings)
    bench.seen = seen = []  # type: ignore[attr-defined]
    bench.engine.add_price_listener(lambda symbol, ts, price, volume: seen.append((ts, 0, price, volume)))
    bench.signal()
    bench.broker.fill(bench.broker.accept(), say=False)
    bench.broker.deliver_all()
    bench.broker.accept()
    bench.broker.deliver_all()
    return bench


@pytest.fixture
def bench() -> Bench:
    return bought()


@pytest.fixture
def delivery() -> Bench:
    return bought(DELIVERY)


def step(bench: Bench) -> None:
    """The oldest write arrives and is answered, and what came of it is told."""
    bench.broker.accept()
    bench.broker.deliver_all()


def settle(bench: Bench) -> None:
    while bench.broker.open_calls():
        step(bench)


def alive(bench: Bench) -> int:
    """What could be sold at the venue."""
    gtts = sum(gtt.quantity for gtt in bench.broker.gtts.values() if gtt.status.value == "active")
    return gtts + sum(o.quantity - o.filled for o in bench.broker.working() if o.side is Side.SELL)


def part_of(bench: Bench) -> Any:
    """The part's order at the venue."""
    return next(o for o in bench.broker.working() if o.order_type is OrderType.LIMIT)


def trades(bench: Bench) -> list[tuple[int, ExitReason]]:
    return [(trade.quantity, trade.reason) for trade in bench.engine.trades()]


# --- the whole -------------------------------------------------------------------------------------------------


def test_the_whole_goes_by_the_order_that_was_its_stop(bench: Bench) -> None:
    wish = bench.engine.close_wish(NAME)
    assert "all 30 at the market, last price ₹100.00, result about ₹0.00" in wish.text
    assert "30 on their way out" in bench.engine.close(NAME, 0, "all", "owner")
    settle(bench)
    (order,) = bench.broker.working()
    assert (order.order_type, order.quantity) == (OrderType.LIMIT, 30)
    bench.broker.fill(order.order_id, price=9_990)
    assert trades(bench) == [(30, ExitReason.COMMAND)]
    assert bench.events(EventKind.TRADE)[0].data["exit_reason"] == "command"
    assert bench.rung("side") == 0


def test_what_is_being_bought_is_cancelled(tmp_path: Path) -> None:
    bench = Bench(lambda b: FakeVenue(b.clock), LONG)
    bench.signal()
    bench.broker.accept()
    assert "its entry is cancelled" in bench.engine.close_wish(NAME).text
    assert "its entry is being cancelled" in bench.engine.close(NAME, 1, "all", "owner")
    assert bench.broker.last().what == "cancel"
    settle(bench)
    assert bench.life().closed


def test_what_is_being_left_already_is_not_closed_again(bench: Bench) -> None:
    bench.engine.close(NAME, 0, "all", "owner")
    for amount in ("all", "half", 5):
        with pytest.raises(CommandException, match=r"being closed already \(command\)"):
            bench.engine.close_wish(NAME, 0, amount)  # type: ignore[arg-type]
    assert len(bench.events(EventKind.CLOSE)) == 1


def test_it_is_in_the_journal_before_anything_is_sent(bench: Bench) -> None:
    seen: list[int] = []
    bench.broker.on_send = lambda call: seen.append(len(bench.events(EventKind.CLOSE)))
    bench.engine.close(NAME, 0, "half", "owner")
    assert seen == [1]
    line = bench.events(EventKind.CLOSE)[0]
    assert (line.text, line.data["part"], line.data["whole"]) == ("NSE:ALPHA P1: 15 of 30 closed by owner", 15, False)


# --- a part ------------------------------------------------------------------------------------------------------


def test_first_the_stop_gives_way_then_the_part_is_sold_and_the_rest_keeps_it(bench: Bench) -> None:
    wish = bench.engine.close_wish(NAME, 1, "half")
    assert "15 of 30 at the market" in wish.text
    assert "The other 15 keep their stop at ₹98.00." in wish.text
    said = bench.engine.close(NAME, 1, "half", "owner")
    assert "15 of 30 on their way out" in said
    (call,) = bench.broker.open_calls()
    assert (call.what, call.request["quantity"]) == ("modify", 15)
    assert alive(bench) == 30
    step(bench)
    (call,) = bench.broker.open_calls()
    assert (call.what, call.request.quantity, call.request.order_type) == ("place", 15, OrderType.LIMIT)
    assert Tags("A1").read(call.request.tag).part  # type: ignore[union-attr]
    assert alive(bench) == 15
    step(bench)
    assert alive(bench) == 30
    assert [(p.quantity, p.parting) for p in bench.engine.positions()] == [(30, 15)]
    bench.broker.fill(part_of(bench).order_id, price=10_010)
    assert trades(bench) == [(15, ExitReason.COMMAND)]
    assert [(p.quantity, p.stop_resting) for p in bench.engine.positions()] == [(15, True)]
    assert [(o.quantity, o.trigger) for o in bench.broker.working()] == [(15, 9_800)]
    assert bench.broker.open_calls() == []
    assert (bench.rung("filled"), bench.rung("exited")) == (30, 15)


def test_the_trades_of_a_rung_that_went_in_two_add_up_to_the_orders(bench: Bench) -> None:
    bench.engine.close(NAME, 1, 10, "owner")
    settle(bench)
    bench.broker.fill(part_of(bench).order_id, 4, 10_010)
    bench.broker.fill(part_of(bench).order_id, price=10_020)
    stop = bench.broker.working()[0].order_id
    bench.broker.change(stop, status=OrderStatus.OPEN, order_type=OrderType.LIMIT, price=9_700)
    bench.broker.fill(stop, price=9_795)
    part, rest = bench.engine.trades()
    assert trades(bench) == [(10, ExitReason.COMMAND), (20, ExitReason.STOP)]
    assert (part.entry_value, part.exit_value) == (100_000, 4 * 10_010 + 6 * 10_020)
    assert (rest.entry_value, rest.exit_value) == (200_000, 20 * 9_795)
    account = bench.engine.account[0]
    assert part.gross + rest.gross == account["realised"]
    assert part.charges + rest.charges == account["charges"]
    assert len({part.trade_id, rest.trade_id}) == 2
    assert [line.data.get("part") for line in bench.events(EventKind.TRADE)] == [True, None]


@pytest.mark.parametrize("amount", [0, 31, -3, "half of it"])
def test_a_part_is_fewer_than_what_is_held(bench: Bench, amount: Any) -> None:
    with pytest.raises((CommandException, ValueError)):
        bench.engine.close_wish(NAME, 1, amount)


def test_a_part_that_is_all_of_it_is_the_whole(bench: Bench) -> None:
    bench.engine.close(NAME, 1, 30, "owner")
    assert bench.life().wanted is ExitReason.COMMAND


def test_a_part_waits_for_nothing_else_of_the_rung(bench: Bench) -> None:
    bench.engine.close(NAME, 1, 10, "owner")
    with pytest.raises(CommandException, match="a part of it is on its way out already"):
        bench.engine.close(NAME, 1, 10, "owner")
    settle(bench)
    with pytest.raises(CommandException, match="a part of it is on its way out already"):
        bench.engine.close(NAME, 1, 10, "owner")
    bench.broker.fill(part_of(bench).order_id)
    bench.engine.close(NAME, 1, 10, "owner")
    settle(bench)
    bench.broker.fill(part_of(bench).order_id)
    assert trades(bench) == [(10, ExitReason.COMMAND)] * 2
    assert [(o.quantity, o.trigger) for o in bench.broker.working()] == [(10, 9_800)]


def test_no_part_of_what_is_still_bought_in_doubt_or_not_traded_now() -> None:
    bench = Bench(lambda b: FakeVenue(b.clock), LONG)
    bench.signal()
    bench.broker.fill(bench.broker.accept(), 10)
    with pytest.raises(CommandException, match="still being bought"):
        bench.engine.close_wish(NAME, 1, "half")
    bench = bought()
    bench.engine.set_level(NAME, 1, "stop", 9_900, "owner")
    bench.broker.doubt()
    with pytest.raises(CommandException, match="in doubt"):
        bench.engine.close_wish(NAME, 1, "half")
    bench = bought()
    bench.at(15, 31)
    bench.life().wanted = None
    with pytest.raises(CommandException, match="no part can be closed now"):
        bench.engine.close_wish(NAME, 1, "half")


def test_a_lot_cannot_be_halved() -> None:
    future = replace(SHARE, lot=30)
    bench = Bench(lambda b: FakeVenue(b.clock), LONG, instruments=(future,))
    bench.signal()
    bench.broker.fill(bench.broker.accept(), say=False)
    bench.broker.deliver_all()
    settle(bench)
    with pytest.raises(CommandException, match="30 cannot be halved"):
        bench.engine.close_wish(NAME, 1, "half")
    with pytest.raises(CommandException, match="no multiple of the lot size 30"):
        bench.engine.close_wish(NAME, 1, 10)


# --- what may come in between ----------------------------------------------------------------------------------


def test_a_stop_that_cannot_be_reduced_keeps_all_and_nothing_is_sold(bench: Bench) -> None:
    bench.engine.close(NAME, 1, "half", "owner")
    bench.broker.refuse(why="not now")
    bench.pulse(40)
    assert bench.broker.open_calls() == []
    assert alive(bench) == 30
    given_up = bench.events(EventKind.CLOSE)[-1]
    assert "given up (its stop could not be reduced: not now)" in given_up.text
    assert given_up.data["part"] == 0


def test_nobody_knows_whether_the_stop_gave_way_so_nothing_is_sold_until_it_is_known(bench: Bench) -> None:
    bench.engine.close(NAME, 1, "half", "owner")
    call = bench.broker.open_calls()[0]
    bench.broker.doubt()
    bench.pulse(5)
    assert bench.broker.open_calls() == []
    bench.broker.act(call)
    bench.broker.deliver_all()
    (placed,) = bench.broker.open_calls()
    assert (placed.what, placed.request.quantity) == ("place", 15)
    assert alive(bench) == 15


@pytest.mark.parametrize("how", ["refuse", "reject", "cancel"])
def test_a_part_that_is_not_taken_is_given_up_and_the_stop_grows_back(bench: Bench, how: str) -> None:
    bench.engine.close(NAME, 1, "half", "owner")
    step(bench)
    if how == "refuse":
        bench.broker.refuse(why="margin")
    else:
        step(bench)
        status = OrderStatus.REJECTED if how == "reject" else OrderStatus.CANCELLED
        bench.broker.change(part_of(bench).order_id, status=status, reason="margin")
    (call,) = bench.broker.open_calls()
    assert (call.what, call.request["quantity"]) == ("modify", 30)
    settle(bench)
    assert [(o.quantity, o.trigger) for o in bench.broker.working()] == [(30, 9_800)]
    assert trades(bench) == []
    assert "given up (margin)" in bench.events(EventKind.CLOSE)[-1].text
    assert bench.life().part == 0


def test_what_was_sold_of_a_part_that_ended_is_booked_and_the_rest_protected(bench: Bench) -> None:
    bench.engine.close(NAME, 1, "half", "owner")
    settle(bench)
    order = part_of(bench).order_id
    bench.broker.fill(order, 5, 10_010)
    bench.broker.change(order, status=OrderStatus.CANCELLED)
    settle(bench)
    assert trades(bench) == [(5, ExitReason.COMMAND)]
    assert [(o.quantity, o.trigger) for o in bench.broker.working()] == [(25, 9_800)]


def test_a_part_in_doubt_keeps_its_shares_from_the_stop_and_is_never_sold_again(bench: Bench) -> None:
    bench.engine.close(NAME, 1, "half", "owner")
    step(bench)
    call = bench.broker.open_calls()[0]
    bench.broker.doubt()
    for _ in range(3):
        bench.pulse(20)
    assert bench.broker.open_calls() == []
    bench.broker.act(call)
    bench.broker.fill(part_of(bench).order_id, say=False)
    bench.broker.deliver_all()
    assert trades(bench) == [(15, ExitReason.COMMAND)]
    assert alive(bench) == bench.life().held == 15


def test_a_part_that_never_arrived_is_given_up_not_sent_again(bench: Bench) -> None:
    bench.engine.close(NAME, 1, "half", "owner")
    step(bench)
    bench.broker.doubt(lost=True)
    for _ in range(6):
        bench.pulse(31)
        run(bench.engine.reconcile())
    settle(bench)
    assert sum(call.what == "place" for call in bench.broker.calls) == 3
    assert [(o.quantity, o.trigger) for o in bench.broker.working()] == [(30, 9_800)]


@pytest.mark.parametrize("arrived", [False, True])
def test_a_stop_that_goes_off_before_it_gave_way_sells_all_and_the_part_nothing(bench: Bench, arrived: bool) -> None:
    stop = bench.broker.working()[0].order_id
    bench.engine.close(NAME, 1, "half", "owner")
    if arrived:
        bench.broker.fill(stop, 20, 9_795, say=False)  # more than would be left
    bench.broker.change(stop, say=False, status=OrderStatus.OPEN, order_type=OrderType.LIMIT, price=9_700)
    call = bench.broker.open_calls()[0]
    bench.broker.act(call) if arrived else None
    bench.broker.refuse(call, "it has triggered") if not arrived else bench.broker.answer(call)
    bench.broker.deliver_all()
    settle(bench)
    assert alive(bench) == 30 - 20 * arrived
    bench.broker.fill(stop, price=9_790)
    assert bench.life().closed
    assert trades(bench) == [(30, ExitReason.STOP)]
    assert bench.broker.open_calls() == []


def test_a_stop_that_goes_off_after_it_gave_way_sells_the_rest_beside_the_part(bench: Bench) -> None:
    bench.engine.close(NAME, 1, "half", "owner")
    step(bench)
    stop = bench.broker.working()[0].order_id
    bench.broker.change(stop, status=OrderStatus.OPEN, order_type=OrderType.LIMIT, price=9_700)
    step(bench)
    bench.broker.fill(stop, price=9_795)
    bench.price(9_790)
    settle(bench)
    assert alive(bench) == 15
    bench.broker.fill(part_of(bench).order_id, price=9_780)
    assert bench.life().closed
    assert sorted(trades(bench)) == [(15, ExitReason.COMMAND), (15, ExitReason.STOP)]


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_flatten_in_the_middle_takes_all_of_it_once(bench: Bench, steps: int) -> None:
    bench.engine.close(NAME, 1, "half", "owner")
    for _ in range(steps):
        step(bench)
    bench.engine.exit_row(0)
    for _ in range(4):
        settle(bench)
        assert alive(bench) <= 30
        bench.pulse(1.1)
    assert alive(bench) == 30
    for order in bench.broker.working():
        bench.broker.fill(order.order_id, price=9_990)
    settle(bench)
    assert bench.life().closed
    assert sum(quantity for quantity, _ in trades(bench)) == 30


def test_a_square_off_while_the_part_does_not_fill_follows_the_price_with_both(bench: Bench) -> None:
    bench.engine.close(NAME, 1, "half", "owner")
    settle(bench)
    bench.at(15, 10)
    settle(bench)
    bench.price(9_900, seconds=4)
    settle(bench)
    assert [(o.order_type, o.quantity) for o in bench.broker.working()] == [(OrderType.LIMIT, 15)] * 2
    for order in bench.broker.working():
        bench.broker.fill(order.order_id, price=9_900)
    assert trades(bench) == [(15, ExitReason.COMMAND), (15, ExitReason.SQUARE_OFF)]


def test_a_part_that_the_market_runs_away_from_is_priced_anew(bench: Bench) -> None:
    bench.engine.close(NAME, 1, "half", "owner")
    settle(bench)
    bench.price(9_850, seconds=4)
    (call,) = bench.broker.open_calls()
    assert (call.what, call.order_id) == ("modify", part_of(bench).order_id)
    settle(bench)
    assert {o.quantity for o in bench.broker.working()} == {15}


def test_what_somebody_sells_by_hand_meanwhile_is_not_sold_by_the_stop_too(bench: Bench) -> None:
    bench.engine.close(NAME, 1, "half", "owner")
    settle(bench)
    bench.manager.taken_outside(bench.life(), 10, 10_000)
    settle(bench)
    assert alive(bench) == bench.life().held == 20
    bench.broker.fill(part_of(bench).order_id)
    settle(bench)
    assert [(o.quantity, o.trigger) for o in bench.broker.working()] == [(5, 9_800)]


# --- delivery ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("venue", [FakeVenue, Single])
def test_a_gtt_gives_way_first_and_keeps_the_rest(venue: Any) -> None:
    bench = bought(DELIVERY, venue)
    bench.engine.close(NAME, 1, "half", "owner")
    (call,) = bench.broker.open_calls()
    assert (call.what, call.request.quantity) == ("modify_gtt", 15)
    step(bench)
    assert alive(bench) == 15
    step(bench)
    assert alive(bench) == 30
    bench.pulse(2)
    assert bench.broker.open_calls() == []
    bench.broker.fill(part_of(bench).order_id, price=10_010)
    assert trades(bench) == [(15, ExitReason.COMMAND)]
    assert bench.broker.gtts["G1"].quantity == 15
    assert bench.life().protected
    run(bench.engine.reconcile())
    assert bench.broker.open_calls() == []


def test_a_gtt_that_cannot_be_reduced_stands_and_nothing_is_sold(delivery: Bench) -> None:
    delivery.engine.close(NAME, 1, "half", "owner")
    delivery.broker.refuse(why="not now")
    run(delivery.engine.reconcile())
    delivery.pulse(20)
    assert alive(delivery) == 30
    assert sum(call.what == "place" for call in delivery.broker.calls) == 1
    assert "given up" in delivery.events(EventKind.CLOSE)[-1].text


def test_a_gtt_grows_back_where_the_part_is_not_taken(delivery: Bench) -> None:
    delivery.engine.close(NAME, 1, "half", "owner")
    step(delivery)
    delivery.broker.refuse(why="authorise with CDSL TPIN")
    settle(delivery)
    assert delivery.broker.gtts["G1"].quantity == 30
    assert alive(delivery) == 30


def test_a_gtt_that_goes_off_beside_the_part_sells_the_rest_alone(delivery: Bench) -> None:
    delivery.engine.close(NAME, 1, "half", "owner")
    settle(delivery)
    leg = delivery.broker.trigger_gtt("G1")
    delivery.broker.deliver_all()
    run(delivery.engine.reconcile())
    assert alive(delivery) == 30
    delivery.broker.fill(leg, price=9_790)
    delivery.broker.fill(part_of(delivery).order_id, price=9_780)
    assert delivery.life().closed
    assert sorted(trades(delivery)) == [(15, ExitReason.COMMAND), (15, ExitReason.STOP)]


def test_a_gtt_that_goes_off_with_all_before_it_gave_way_is_the_exit(delivery: Bench) -> None:
    delivery.engine.close(NAME, 1, "half", "owner")
    leg = delivery.broker.trigger_gtt("G1")
    delivery.broker.deliver_all()
    call = next(one for one in delivery.broker.open_calls() if one.what == "modify_gtt")
    delivery.broker.act(call)
    delivery.broker.answer(call)
    run(delivery.engine.reconcile())
    settle(delivery)
    assert alive(delivery) == 30
    delivery.broker.fill(leg, price=9_790)
    assert delivery.life().closed
    assert trades(delivery) == [(30, ExitReason.STOP)]


def test_a_flatten_beside_a_part_takes_the_gtt_back_and_sells_the_rest(delivery: Bench) -> None:
    delivery.engine.close(NAME, 1, "half", "owner")
    settle(delivery)
    delivery.engine.exit_row(0)
    (call,) = delivery.broker.open_calls()
    assert call.what == "cancel_gtt"
    step(delivery)
    (call,) = delivery.broker.open_calls()
    assert (call.what, call.request.quantity) == ("place", 15)
    settle(delivery)
    assert alive(delivery) == 30
    for order in delivery.broker.working():
        delivery.broker.fill(order.order_id)
    assert delivery.life().closed


@pytest.mark.parametrize("settings", [LONG, DELIVERY], ids=["intraday", "delivery"])
def test_a_part_that_would_be_all_that_somebody_has_left_is_taken_back_and_the_stop_stays(settings: Any) -> None:
    """Whoever sells in the broker's app because the part does not fill is not sold out by it."""
    bench = bought(settings)
    bench.engine.close(NAME, 1, "half", "owner")
    settle(bench)
    bench.manager.taken_outside(bench.life(), 15, 10_000)
    for _ in range(5):
        settle(bench)
        bench.pulse(3)
    assert (bench.life().held, bench.life().parting) == (15, 0)
    assert alive(bench) == 15
    assert bench.life().protected
    assert [o.status for o in bench.broker.orders.values() if o.tag[7:8] == "P"] == [OrderStatus.CANCELLED]
    assert "is taken back (less is held than was)" in bench.events(EventKind.CLOSE)[-1].text


# --- killed at each step -------------------------------------------------------------------------------------------


def reborn(bench: Bench, settings: Any = LONG) -> Bench:
    """A new process on the same venue; no answer that was still to come is heard."""
    venue, lines = bench.broker, lines_of(bench)
    history: list[HistoryTick] = bench.seen  # type: ignore[attr-defined]
    again = Bench(lambda b: venue, settings)
    again.seen = history  # type: ignore[attr-defined]
    again.engine.add_price_listener(lambda symbol, ts, price, volume: history.append((ts, 0, price, volume)))
    venue.clock, venue.calls, venue.report = again.clock, [], again.engine.on_report
    venue.outbox.clear()
    again.clock.advance_to(bench.now + SECOND)
    again.diary.events = list(bench.diary.events)
    known = {line["trade_id"]: line["exit_reason"] for line in lines if line["kind"] == "trade"}
    run(again.engine.recover(
        history=history, decided=decided(lines), known_trades=known, pending=unanswered(lines, again.now),
        sent=sent_tags(lines),
    ))  # fmt: skip
    return again


@pytest.mark.parametrize("settings", [LONG, DELIVERY], ids=["intraday", "delivery"])
@pytest.mark.parametrize("landed", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_killed_at_each_step_a_part_goes_out_once_and_the_rest_keeps_its_stop(
    steps: int, landed: bool, settings: Any
) -> None:
    """``landed``: the write that was on its way reached the broker."""
    bench = bought(settings)
    bench.engine.close(NAME, 1, "half", "owner")
    for _ in range(steps):
        step(bench)
    if landed and bench.broker.open_calls():
        bench.broker.act(bench.broker.open_calls()[0])
    again = reborn(bench, settings)
    for _ in range(12):
        settle(again)
        assert alive(again) <= 30
        again.pulse(31)
        run(again.engine.reconcile())
        for order in again.broker.working():
            if order.order_type is OrderType.LIMIT:
                again.broker.fill(order.order_id, price=10_000)
    sold = sum(o.filled for o in again.broker.orders.values() if o.side is Side.SELL)
    lost = steps == 1 and not landed  # nobody ever saw that order: it is given up
    assert sold == (0 if lost else 15)
    assert again.life().held == alive(again) == 30 - sold
    assert again.life().protected
    assert trades(again) == ([] if lost else [(15, ExitReason.COMMAND)])


def test_killed_after_the_fill_and_before_it_was_heard_it_is_booked_once() -> None:
    bench = bought()
    bench.engine.close(NAME, 1, "half", "owner")
    settle(bench)
    bench.broker.fill(part_of(bench).order_id, price=10_010, say=False)
    again = reborn(bench)
    settle(again)
    assert trades(again) == [(15, ExitReason.COMMAND)]
    third = reborn(again)
    settle(third)
    assert trades(third) == [(15, ExitReason.COMMAND)]
    assert len(third.events(EventKind.TRADE)) == 1
    assert alive(third) == third.life().held == 15


def test_killed_while_the_part_was_refused_it_is_given_up_and_told(bench: Bench) -> None:
    bench.engine.close(NAME, 1, "half", "owner")
    settle(bench)
    bench.broker.change(part_of(bench).order_id, say=False, status=OrderStatus.REJECTED, reason="margin")
    again = reborn(bench)
    settle(again)
    assert [(o.quantity, o.trigger) for o in again.broker.working()] == [(30, 9_800)]
    assert "given up (its order ended while nobody was here)" in again.events(EventKind.CLOSE)[-1].text


def test_a_part_that_ended_in_the_second_of_its_command_is_given_up_too(bench: Bench) -> None:
    """Brokers tell whole seconds: the order seems to be older than the decision."""
    bench.clock.advance_to(bench.now + 700_000_000)
    bench.engine.close(NAME, 1, "half", "owner")
    settle(bench)
    part = part_of(bench)
    second = part.placed_ns // SECOND * SECOND
    bench.broker.change(part.order_id, say=False, status=OrderStatus.REJECTED, reason="margin", placed_ns=second)
    again = reborn(bench)
    settle(again)
    assert len([order for order in again.broker.orders.values() if order.tag[7:8] == "P"]) == 1
    assert [(o.quantity, o.trigger) for o in again.broker.working()] == [(30, 9_800)]


@pytest.mark.parametrize("settings", [LONG, DELIVERY], ids=["intraday", "delivery"])
@pytest.mark.parametrize("landed", [False, True])
def test_killed_while_all_of_it_was_closed_it_is_closed(landed: bool, settings: Any) -> None:
    bench = bought(settings)
    bench.engine.close(NAME, 0, "all", "owner")
    if landed:
        bench.broker.act(bench.broker.open_calls()[0])
    again = reborn(bench, settings)
    settle(again)
    again.pulse(1.5)
    settle(again)
    (order,) = again.broker.working()
    assert (order.order_type, order.quantity) == (OrderType.LIMIT, 30)
    again.broker.fill(order.order_id, price=9_990)
    assert trades(again) == [(30, ExitReason.COMMAND)]


def test_a_part_of_before_a_kill_is_none_of_the_next_cycle(bench: Bench) -> None:
    bench.engine.close(NAME, 1, "half", "owner")
    bench.broker.refuse(why="not now")
    stop = bench.broker.working()[0].order_id
    bench.broker.fill(stop, price=9_795)
    bench.signal(9_800)
    bench.broker.fill(bench.broker.accept(), price=9_800, say=False)
    bench.broker.deliver_all()
    settle(bench)
    again = reborn(bench)
    assert (again.life().part, again.life().wanted) == (0, None)
    assert again.broker.calls == []


# --- over night ----------------------------------------------------------------------------------------------------


def next_morning(bench: Bench) -> Bench:
    """A process that starts on the day after, with the GTTs that stand and the shares in the demat account."""
    kept, venue = remembered(lines_of(bench), "venue"), bench.broker
    again = Bench(lambda b: venue, DELIVERY, start=False, day=bench.day + timedelta(days=1))
    venue.clock, venue.orders, venue.external, venue.calls = again.clock, {}, [], []
    venue.report, venue.held = again.engine.on_report, [Holding(NAME, 30, 10_000)]
    again.engine.prepare(again.day)
    run(carry_in(again.engine, kept or []))
    again.engine.start_day(again.day)
    run(again.engine.recover(decided=decided(lines_of(again))))
    return again


def test_what_was_closed_in_the_evening_goes_at_the_next_open_although_the_program_began_anew(delivery: Bench) -> None:
    run(carry_in(delivery.engine, []))
    delivery.at(15, 31)
    delivery.engine.close(NAME, 0, "all", "owner")
    settle(delivery)
    assert delivery.broker.gtts["G1"].status is GttStatus.ACTIVE
    again = next_morning(next_morning(delivery))
    assert again.broker.gtts["G1"].status is GttStatus.ACTIVE, "it protects until the exit can go"
    again.price(9_990)
    settle(again)
    (order,) = again.broker.working()
    assert (order.order_type, order.quantity, order.side) == (OrderType.LIMIT, 30, Side.SELL)
    again.broker.fill(order.order_id, price=9_990)
    assert trades(again) == [(30, ExitReason.COMMAND)]
    assert remembered(lines_of(again), "venue") == []


def test_that_an_exit_waits_for_the_open_is_said_once(delivery: Bench) -> None:
    delivery.at(16, 30)
    delivery.engine.close(NAME, 0, "all", "owner")
    for _ in range(300):
        delivery.pulse()
    assert len([text for text in delivery.alerts if "exit waits" in text]) == 1


@pytest.mark.parametrize("reason", [abi.R_FLATTEN, abi.R_DAILY_LOSS])
def test_a_trade_is_told_after_a_restart_with_the_reason_it_was_told_with(bench: Bench, reason: int) -> None:
    """The broker's books do not tell a flatten from a signal."""
    bench.engine.exit_row(0, 0, reason)
    step(bench)
    bench.broker.fill(bench.broker.working()[0].order_id, price=9_990)
    told = trades(bench)
    assert len(told) == 1
    assert trades(reborn(bench)) == told


# --- on paper ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [LONG, DELIVERY], ids=["intraday", "delivery"])
def test_on_paper_half_is_sold_at_once_and_the_rest_is_stopped_out(settings: Any, tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "p", settings)
    bench.signal()
    assert "15 of 30 closed" in bench.engine.close(NAME, 0, "half", "owner")
    assert [(p.quantity, p.stop_resting) for p in bench.engine.positions()] == [(15, True)]
    bench.prices(9_790, 9_780)
    assert trades(bench) == [(15, ExitReason.COMMAND), (15, ExitReason.STOP)]
    account = bench.engine.account[0]
    assert sum(trade.gross for trade in bench.engine.trades()) == account["realised"]
    apart = sum(trade.charges for trade in bench.engine.trades()) - account["charges"]
    assert apart == 0, "each order is billed by itself; the depository takes its share once"
    bench.broker.close()


def sums(bench: Bench) -> tuple[int, int]:
    """Charges of the trades, and of the day."""
    return sum(trade.charges for trade in bench.engine.trades()), bench.engine.status().charges


@pytest.mark.parametrize("product", [Product.MIS, Product.CNC], ids=["intraday", "delivery"])
def test_the_days_charges_are_those_of_its_trades_where_each_part_is_billed_for_itself(
    product: Product, tmp_path: Path
) -> None:
    """Brokerage ends at so many rupees an order: what left in three is more than what would have left in one."""
    risk = {"total_capital": 10_000_000, "max_order_value": 0, "max_order_quantity": 0}
    settings = config(product=product, capital=600_000, params={"short": False}, risk=risk)
    bench = Bench.paper(tmp_path / "p", settings, paper={"cash": 10**9})
    bench.signal()
    for _ in range(2):
        assert "closed" in bench.engine.close(NAME, 0, "half", "owner")
    status, held = bench.engine.status(), bench.engine.positions()[0].quantity
    bought = int(bench.engine.kernel.charge_one(bench.engine.params, 0, 1, 10_000 * held))
    assert 0 < status.charges - sums(bench)[0] <= bought, "what the rest was bought for"
    bench.prices(9_790, 9_780)
    assert sums(bench)[0] == sums(bench)[1]
    assert len(bench.engine.trades()) == 3
    bench.broker.close()
    again = Bench.paper(tmp_path / "p", settings, paper={"cash": 10**9})
    run(again.engine.recover(decided=decided(lines_of(bench))))
    assert sums(again) == sums(bench)
    again.broker.close()


def test_a_refusal_names_what_the_broker_said(bench: Bench) -> None:
    bench.broker.script = lambda call: Refused("RMS: blocked") if call.what == "place" else True
    bench.engine.close(NAME, 1, "half", "owner")
    bench.broker.deliver_all()
    assert "given up (RMS: blocked)" in bench.events(EventKind.CLOSE)[-1].text
    bench.pulse(2)
    assert [(o.quantity, o.trigger) for o in bench.broker.orders.values() if not o.status.final] == [(30, 9_800)]
