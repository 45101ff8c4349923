"""The order manager against a venue that answers late, not at all, or with a no."""

from __future__ import annotations

from dataclasses import replace

import pytest
from harness.bench import SHARE, Bench, config, run
from harness.venue import Call, FakeVenue

from otrade_bot.core.clock import SECOND
from otrade_bot.core.events import EventKind, Severity
from otrade_bot.core.model import (
    BrokerPosition,
    ExitReason,
    Instrument,
    InstrumentKind,
    OrderStatus,
    OrderType,
    Product,
    Side,
)

OPTION = Instrument("NFO:ALPHA26SEP100CE", 9, InstrumentKind.OPTION)


@pytest.fixture
def bench() -> Bench:
    return Bench(lambda b: FakeVenue(b.clock))


def entered(bench: Bench) -> str:
    """An accepted entry of 30 shares at 100 rupees that has not filled."""
    bench.signal()
    order_id: str = bench.broker.accept()
    bench.broker.deliver_all()
    return order_id


def protected(bench: Bench) -> str:
    """A rung of 30 with its stop resting at 98; the stop's id."""
    bench.broker.fill(entered(bench))
    stop: str = bench.broker.accept()
    bench.broker.deliver_all()
    assert bench.life().protected
    return stop


def leave(bench: Bench) -> None:
    bench.engine.exit_row(0)


def test_the_first_fill_arms_the_stop_at_once(bench: Bench) -> None:
    bench.broker.fill(entered(bench), 10)
    request = bench.broker.last("place").request
    assert (request.side, request.quantity) == (Side.SELL, 10)
    assert (request.order_type, request.trigger) == (OrderType.SL_M, 9_800)


def test_an_options_stop_is_a_limit_inside_the_protection_band() -> None:
    settings = config(symbols=[OPTION.symbol], product=Product.NRML)
    settings = config(symbols=[OPTION.symbol], product=Product.MIS)
    bench = Bench(lambda b: FakeVenue(b.clock), settings, [OPTION])
    bench.broker.fill(entered(bench))
    request = bench.broker.last("place").request
    assert request.order_type is OrderType.SL
    assert request.trigger == 9_800
    assert request.price == 9_800 - 9_800 * 3 // 100 // 5 * 5


def test_an_options_stop_is_moved_with_its_limit() -> None:
    settings = config(symbols=[OPTION.symbol], product=Product.MIS)
    bench = Bench(lambda b: FakeVenue(b.clock), settings, [OPTION])
    bench.broker.fill(entered(bench))
    bench.broker.accept()
    bench.broker.deliver_all()
    life = bench.life()
    bench.price(10_300)
    bench.manager.set_stop(life.row, life.rung, life.cycle, 10_200, life.target)
    changes = bench.broker.last("modify").request
    assert (changes["trigger"], changes["price"]) == (10_200, 10_200 - 10_200 * 2 // 100 // 5 * 5)


def test_an_entry_without_an_answer_is_cancelled_as_soon_as_it_has_an_id(bench: Bench) -> None:
    bench.signal()
    leave(bench)
    assert [call.what for call in bench.broker.calls] == ["place"]
    bench.broker.accept()
    assert [call.what for call in bench.broker.calls] == ["place", "cancel"]


def test_an_entry_in_doubt_is_cancelled_once_a_report_finds_it(bench: Bench) -> None:
    bench.signal()
    call = bench.broker.last()
    bench.broker.act(call)
    bench.broker.doubt(call)
    leave(bench)
    bench.broker.deliver_all()
    assert bench.broker.last().what == "cancel"


def test_a_refused_cancel_is_not_repeated_before_a_second_has_passed(bench: Bench) -> None:
    order_id = entered(bench)
    leave(bench)
    bench.broker.refuse(why="busy")
    assert [call.what for call in bench.broker.calls] == ["place", "cancel"]
    bench.pulse(1.1)
    assert [call.what for call in bench.broker.calls] == ["place", "cancel", "cancel"]
    assert bench.broker.last().order_id == order_id


def test_a_refused_cancel_of_a_stop_that_covers_nothing_is_tried_again_later(bench: Bench) -> None:
    stop = protected(bench)
    bench.broker.fill(stop, 20, price=9_800, say=False)
    # A second order at the broker under the same rung, so that one is left over when the rung is empty.
    life = bench.life()
    leave(bench)
    bench.broker.refuse(why="it has triggered")
    bench.broker.deliver_all()
    bench.broker.fill(stop, price=9_800)
    assert life.closed


def test_growth_of_the_stop_waits_a_second(bench: Bench) -> None:
    entry = entered(bench)
    bench.broker.fill(entry, 10)
    stop = bench.broker.accept()
    bench.broker.deliver_all()
    bench.broker.fill(entry, 5)
    bench.broker.fill(entry, 5)
    assert bench.broker.last().what == "place"
    bench.pulse(1.1)
    assert bench.broker.last().what == "modify"
    assert (bench.broker.last().order_id, bench.broker.last().request["quantity"]) == (stop, 20)


def test_growth_during_an_unanswered_growth_follows_its_answer(bench: Bench) -> None:
    entry = entered(bench)
    bench.broker.fill(entry, 10)
    bench.broker.accept()
    bench.broker.deliver_all()
    bench.broker.fill(entry, 10)
    bench.pulse(1.1)
    bench.broker.fill(entry, 10)
    bench.pulse(1.1)
    assert [c.what for c in bench.broker.calls].count("modify") == 1
    bench.broker.accept()
    bench.broker.deliver_all()
    assert bench.broker.last().request["quantity"] == 30


def test_at_twenty_modifications_the_stop_is_cancelled_awaited_and_placed_anew(bench: Bench) -> None:
    stop = protected(bench)
    for k in range(20):
        bench.manager.set_stop(0, 0, 1, 9_805 + 5 * k, 0)
        bench.broker.accept()
        bench.broker.deliver_all()
    bench.manager.set_stop(0, 0, 1, 9_950, 0)
    assert (bench.broker.last().what, bench.broker.last().order_id) == ("cancel", stop)
    bench.broker.act(bench.broker.last())
    bench.broker.answer(bench.broker.last())
    assert bench.broker.last().what == "cancel"  # not final yet: no second order
    bench.broker.deliver_all()
    assert bench.broker.last("place").request.trigger == 9_950
    assert bench.broker.last("place").request.quantity == 30


def test_an_exit_that_is_chased_for_minutes_never_meets_the_brokers_limit_of_modifications(bench: Bench) -> None:
    protected(bench)
    leave(bench)
    price = 10_000
    for _ in range(60):
        for call in bench.broker.open_calls():
            bench.broker.accept(call)
        bench.broker.deliver_all()
        price = price * 99 // 100 // 5 * 5
        bench.price(price, seconds=4)
    assert max(order.modifications for order in bench.broker.orders.values()) <= 21
    assert len(bench.broker.working()) <= 1
    assert len(bench.broker.orders) >= 3  # entry, stop, and what took its place


def test_an_exit_is_repriced_after_three_seconds_and_said(bench: Bench) -> None:
    protected(bench)
    leave(bench)
    bench.broker.accept()
    bench.broker.deliver_all()
    modifies = [c for c in bench.broker.calls if c.what == "modify"]
    bench.price(9_800, seconds=2)
    assert [c for c in bench.broker.calls if c.what == "modify"] == modifies
    assert not bench.alerts
    bench.price(9_800, seconds=1.5)
    assert bench.broker.last() is not modifies[-1]
    assert bench.broker.last().request["price"] < 9_800
    assert "unfilled for 3 s" in bench.alerts[-1]


def test_a_stop_that_triggered_and_does_not_fill_is_repriced(bench: Bench) -> None:
    stop = protected(bench)
    bench.broker.change(stop, status=OrderStatus.OPEN, order_type=OrderType.LIMIT, price=9_705)
    bench.price(9_600, seconds=2)
    assert bench.broker.last().what == "place"
    bench.price(9_600, seconds=2)
    assert (bench.broker.last().what, bench.broker.last().order_id) == ("modify", stop)
    assert bench.broker.last().request["price"] < 9_600


def test_a_refused_stop_means_leaving_at_market(bench: Bench) -> None:
    bench.broker.fill(entered(bench))
    bench.broker.refuse(why="trigger too close")
    request = bench.broker.last("place").request
    assert (request.side, request.order_type, request.quantity) == (Side.SELL, OrderType.LIMIT, 30)
    assert bench.life().wanted is ExitReason.STOP
    assert any("stop refused" in text for text in bench.alerts)


def test_a_stop_accepted_and_then_rejected_means_leaving_at_market_not_a_loop(bench: Bench) -> None:
    bench.broker.fill(entered(bench))
    stop = bench.broker.accept()
    bench.broker.deliver_all()
    bench.broker.change(stop, status=OrderStatus.REJECTED, reason="margin")
    request = bench.broker.last("place").request
    assert (request.side, request.order_type) == (Side.SELL, OrderType.LIMIT)
    assert any("margin" in text for text in bench.alerts)


def test_exits_that_are_rejected_at_once_are_tried_once_a_second(bench: Bench) -> None:
    protected(bench)
    leave(bench)
    bench.broker.accept()
    bench.broker.deliver_all()
    bench.broker.change("V002", status=OrderStatus.REJECTED, reason="out of the band")

    def rejecting(call: Call) -> bool:
        bench.broker.act(call)
        bench.broker.change(bench.broker.outbox[-1].order_id, status=OrderStatus.REJECTED, reason="band")
        bench.broker.answer(call)
        return False

    before = len(bench.broker.calls)
    bench.broker.script = rejecting
    for _ in range(5):
        bench.pulse(1.01)
    assert len(bench.broker.calls) - before <= 6
    assert len([t for t in bench.alerts if "band" in t]) <= 3


def test_a_stop_that_the_exchange_cancels_is_replaced_at_once(bench: Bench) -> None:
    stop = protected(bench)
    bench.pulse(5)
    bench.broker.change(stop, status=OrderStatus.CANCELLED, reason="by the exchange")
    request = bench.broker.last().request
    assert (request.order_type, request.quantity, request.trigger) == (OrderType.SL_M, 30, 9_800)
    assert len(bench.broker.working()) == 0


def test_an_exchange_that_cancels_every_stop_at_once_is_not_hammered(bench: Bench) -> None:
    protected(bench)

    def cancelling(call: Call) -> bool:
        bench.broker.act(call)
        bench.broker.change(bench.broker.outbox[-1].order_id, status=OrderStatus.CANCELLED, reason="no stops now")
        bench.broker.answer(call)
        return False

    bench.broker.script = cancelling
    before = len(bench.broker.calls)
    bench.broker.change("V002", status=OrderStatus.CANCELLED)
    for _ in range(5):
        bench.pulse(1.01)
    assert 2 <= len(bench.broker.calls) - before <= 8
    assert any("no stops now" in text for text in bench.alerts)


def test_a_stop_level_after_an_exit_was_asked_for_changes_no_order(bench: Bench) -> None:
    protected(bench)
    leave(bench)
    bench.broker.accept()
    bench.broker.deliver_all()
    before = len(bench.broker.calls)
    bench.manager.set_stop(0, 0, 1, 9_900, 0)
    bench.pulse(1)
    assert len(bench.broker.calls) == before
    assert bench.broker.working()[0].order_type is OrderType.LIMIT


def test_exits_turn_the_resting_stop_into_a_limit_and_place_nothing(bench: Bench) -> None:
    stop = protected(bench)
    leave(bench)
    call = bench.broker.last()
    assert (call.what, call.order_id, call.request["order_type"]) == ("modify", stop, OrderType.LIMIT)
    bench.broker.accept()
    bench.broker.deliver_all()
    bench.broker.fill(stop, price=9_995)
    trade = bench.engine.trades()[0]
    assert (trade.quantity, trade.exit_value, trade.reason) == (30, 30 * 9_995, ExitReason.FLATTEN)


def test_rungs_above_the_freeze_quantity_are_protected_as_they_fill() -> None:
    frozen = Instrument(SHARE.symbol, 1, freeze=10)
    bench = Bench(lambda b: FakeVenue(b.clock), instruments=[frozen])
    bench.signal()
    entries = [bench.broker.accept(call) for call in bench.broker.open_calls()]
    bench.broker.deliver_all()
    for entry in entries:
        bench.broker.fill(entry)
        for call in bench.broker.open_calls():
            bench.broker.accept(call)
        bench.broker.deliver_all()
        bench.pulse(1.1)
    assert len({call.request.tag for call in bench.broker.calls if call.what == "place"}) == 6
    assert [order.quantity for order in bench.broker.working()] == [10, 10, 10]
    assert bench.life().protected


def test_an_unanswered_place_is_never_sent_again(bench: Bench) -> None:
    bench.signal()
    for _ in range(200):
        bench.pulse(1)
    assert len(bench.broker.calls) == 1


# --- nobody knows -------------------------------------------------------------------------------


def test_an_entry_in_doubt_freezes_entries_of_its_symbol_and_thaws_when_it_is_found(bench: Bench) -> None:
    bench.signal()
    bench.broker.act(bench.broker.last())
    bench.broker.doubt(bench.broker.last())
    assert bench.manager.frozen == {SHARE.symbol}
    assert any("nobody knows" in text for text in bench.alerts)
    run(bench.engine.reconcile())
    assert bench.manager.frozen == set()
    assert bench.life().entries[0].order_id == "V001"


def test_absence_counts_only_after_two_minutes_and_two_reads_thirty_seconds_apart(bench: Bench) -> None:
    bench.signal()
    bench.broker.doubt(lost=True)
    order = bench.life().entries[0]
    bench.pulse(121)
    run(bench.engine.reconcile())  # 121 s, but the first read
    assert order.unknown
    bench.pulse(29)
    run(bench.engine.reconcile())
    assert order.unknown
    bench.pulse(1.5)
    run(bench.engine.reconcile())
    assert not order.unknown
    assert order.status is OrderStatus.REJECTED
    assert bench.manager.frozen == set()
    assert bench.rung("side") == 0


def test_two_early_reads_do_not_make_it_absent(bench: Bench) -> None:
    bench.signal()
    bench.broker.doubt(lost=True)
    for _ in range(3):
        bench.pulse(35)
        run(bench.engine.reconcile())
    assert bench.life().entries[0].unknown
    bench.pulse(20)
    run(bench.engine.reconcile())
    assert not bench.life().entries[0].unknown


def test_a_stop_in_doubt_holds_its_quantity_and_no_second_one_is_placed(bench: Bench) -> None:
    bench.broker.fill(entered(bench))
    bench.broker.doubt(lost=True)
    for _ in range(30):
        bench.pulse(2)
    leave(bench)
    assert [call.what for call in bench.broker.calls] == ["place", "place"]
    assert bench.life().covered == 30


def test_a_stop_that_never_arrived_is_placed_anew_under_another_tag(bench: Bench) -> None:
    bench.broker.fill(entered(bench))
    bench.broker.doubt(lost=True)
    for _ in range(5):
        bench.pulse(31)
        run(bench.engine.reconcile())
    requests = [call.request for call in bench.broker.calls if call.what == "place" and call.request.side is Side.SELL]
    assert [r.order_type for r in requests] == [OrderType.SL_M, OrderType.SL_M]
    assert requests[0].tag != requests[1].tag
    assert bench.life().wanted is None


def test_a_growth_in_doubt_goes_on_covering_what_it_asked_for(bench: Bench) -> None:
    entry = entered(bench)
    bench.broker.fill(entry, 10)
    bench.broker.accept()
    bench.broker.deliver_all()
    bench.broker.fill(entry, 20)
    bench.pulse(1.1)
    bench.broker.doubt()
    assert bench.life().covered == 30
    run(bench.engine.reconcile())
    assert bench.broker.last().what == "modify"
    assert bench.life().covered <= bench.life().held


def test_an_order_with_an_id_that_a_read_misses_is_not_taken_for_never_placed(bench: Bench) -> None:
    stop = protected(bench)
    leave(bench)
    bench.broker.doubt(lost=True)
    kept = bench.broker.orders.pop(stop)
    for _ in range(6):
        bench.pulse(31)
        run(bench.engine.reconcile())
    assert [call.what for call in bench.broker.calls].count("place") == 2
    bench.broker.orders[stop] = kept
    run(bench.engine.reconcile())
    assert bench.broker.last().what == "modify"


# --- late and odd reports ---------------------------------------------------------------------------


def test_fills_before_the_answer_are_believed(bench: Bench) -> None:
    bench.signal()
    call = bench.broker.last()
    bench.broker.act(call)
    bench.broker.fill("V001")
    assert bench.life().held == 30
    bench.broker.answer(call)
    assert bench.life().held == 30
    assert len(bench.manager.orders) == 2


def test_a_cancel_that_loses_to_the_fill_leaves_a_protected_rung(bench: Bench) -> None:
    order_id = entered(bench)
    leave(bench)
    bench.broker.act(bench.broker.last(), loses=True)
    bench.broker.answer(bench.broker.last())
    bench.broker.deliver_all()
    assert bench.life().held == 30
    assert bench.broker.last().request.order_type is OrderType.LIMIT
    assert bench.broker.orders[order_id].status is OrderStatus.COMPLETE


def test_a_fill_after_the_final_cancel_is_protected_and_booked(bench: Bench) -> None:
    """The exchange says cancelled, then that the fill was first."""
    order_id = entered(bench)
    bench.pulse(31)
    bench.broker.act(bench.broker.last("cancel"))
    bench.broker.answer(bench.broker.last("cancel"))
    bench.broker.deliver_all()
    assert bench.life().closed
    bench.broker.change(order_id, status=OrderStatus.COMPLETE, filled=30, value=300_000)
    assert bench.life().held == 30
    assert bench.broker.last().request.order_type is OrderType.SL_M
    stop = bench.broker.accept()
    bench.broker.deliver_all()
    bench.broker.fill(stop, price=9_800)
    assert [t.quantity for t in bench.engine.trades()] == [30]
    assert bench.rung("side") == 0


def test_a_fill_after_a_partly_filled_rung_was_closed_is_a_trade_of_its_own(bench: Bench) -> None:
    order_id = entered(bench)
    bench.broker.fill(order_id, 10)
    stop = bench.broker.accept()
    bench.broker.deliver_all()
    bench.broker.fill(stop, price=9_800)
    bench.broker.act(bench.broker.last("cancel"))
    bench.broker.answer(bench.broker.last("cancel"))
    bench.broker.deliver_all()
    assert [t.quantity for t in bench.engine.trades()] == [10]
    bench.broker.change(order_id, status=OrderStatus.COMPLETE, filled=30, value=300_000)
    assert bench.life().held == 20
    again = bench.broker.accept()
    bench.broker.deliver_all()
    bench.broker.fill(again, price=9_700)
    trades = bench.engine.trades()
    assert [t.quantity for t in trades] == [10, 20]
    assert sum(t.entry_value for t in trades) == 300_000
    assert sum(t.exit_value for t in trades) == 10 * 9_800 + 20 * 9_700
    assert len({t.trade_id for t in trades}) == 2
    assert abs(sum(t.charges for t in trades) - int(bench.engine.account[0]["charges"])) <= 2


def test_a_report_about_an_ended_order_that_tells_no_new_fill_alarms_nobody(bench: Bench) -> None:
    stop = protected(bench)
    bench.broker.fill(stop, price=9_800)
    assert bench.life().closed
    alerts = list(bench.alerts)
    bench.broker.change(stop, price=9_795)
    assert bench.alerts == alerts
    assert not bench.engine.blocks


def test_more_filled_than_ordered_is_said_aloud_and_pauses_entries(bench: Bench) -> None:
    order_id = entered(bench)
    bench.broker.change(order_id, status=OrderStatus.COMPLETE, filled=40, value=400_000)
    assert bench.life().held == 40
    assert any("40 filled, 30 ordered" in text for text in bench.alerts)
    assert bench.engine.status().blocks


def test_entries_that_do_not_fill_in_thirty_seconds_are_cancelled(bench: Bench) -> None:
    entered(bench)
    bench.pulse(29)
    assert bench.broker.last().what == "place"
    bench.pulse(2)
    assert bench.broker.last().what == "cancel"


def test_a_new_cycle_waits_until_the_last_one_is_settled(bench: Bench) -> None:
    """The kernel is done with the rung when it is empty; its last cancel may still be on the way."""
    stop = protected(bench)
    life = bench.life()
    life.exits.append(replace(life.exits[0], tag="late", order_id="", writing="cancel"))
    bench.broker.fill(stop, price=9_800)
    assert bench.rung("side") == 0
    bench.signal()
    assert bench.codes()[0] == "unsettled"
    assert bench.life() is life


def test_the_broker_that_squares_off_by_itself_closes_our_rung(bench: Bench) -> None:
    stop = protected(bench)
    bench.pulse(5)
    bench.broker.change(stop, say=False, status=OrderStatus.CANCELLED, reason="auto square-off")
    bench.broker.outbox.clear()
    bench.broker.external.append(BrokerPosition(SHARE.symbol, Product.MIS, -30, 0))
    run(bench.engine.reconcile())  # finds the stop gone, so a new one leaves
    bench.broker.accept()
    run(bench.engine.reconcile())  # seen once it may be a lag
    assert bench.life().held == 30
    bench.pulse(60)
    run(bench.engine.reconcile())
    assert bench.life().held == 0
    assert bench.broker.last().what == "cancel"
    bench.broker.accept()
    bench.broker.deliver_all()
    assert bench.engine.external.get((SHARE.symbol, "MIS"), 0) == 0
    assert [t.quantity for t in bench.engine.trades()] == [30]
    assert any("outside" in text for text in bench.alerts)



def test_growth_is_sent_again_after_a_refusal_and_said(bench: Bench) -> None:
    entry = entered(bench)
    bench.broker.fill(entry, 10)
    bench.broker.accept()
    bench.broker.deliver_all()
    bench.broker.fill(entry, 20)
    bench.pulse(1.1)
    bench.broker.refuse(why="rate limit")
    assert any("rate limit" in text for text in bench.alerts)
    bench.pulse(1.1)
    bench.pulse(1.1)
    assert bench.broker.last().request["quantity"] == 30
    assert bench.now > SECOND


def test_an_answer_that_times_out_after_the_report_has_come_is_no_doubt(bench: Bench) -> None:
    bench.broker.fill(entered(bench))
    place = bench.broker.last()
    bench.broker.act(place)
    bench.pulse(1.1)
    bench.broker.change("V002", status=OrderStatus.CANCELLED, reason="by the exchange")
    bench.broker.doubt(place)
    assert bench.life().covered == bench.life().held == 30
    assert not bench.manager.frozen


@pytest.mark.parametrize("first", ["answer", "report"])
def test_how_long_an_entry_took_to_leave_and_to_be_taken_is_kept_whichever_comes_first(
    bench: Bench, first: str
) -> None:
    bench.signal()
    call = bench.broker.last("place")
    begun = bench.clock.now_ns()
    bench.clock.advance_to(begun + 3_000_000)  # it waits for its turn at the broker
    bench.broker.on_leaving(call.request)
    call.natural = bench.broker.act(call)
    bench.clock.advance_to(begun + 45_000_000)
    if first == "report":
        bench.broker.deliver_all()
    bench.broker.answer(call)
    bench.broker.deliver_all()
    told = [event for event in bench.events(EventKind.ORDER) if "accepted_us" in event.data]
    assert {(event.data["sent_us"], event.data["accepted_us"]) for event in told} == {(3_000, 42_000)}
    before = [event for event in bench.events(EventKind.ORDER) if event not in told]
    assert all(event.data["status"] == "pending" or first == "report" for event in before)
    silent = [event for event in told if event.severity is Severity.DEBUG]
    assert len(silent) == (first == "report")  # the phone is told of an order once


def test_a_stop_is_no_signal_and_has_no_such_time(bench: Bench) -> None:
    protected(bench)
    stops = [event for event in bench.events(EventKind.ORDER) if event.data["leg"] == "exit"]
    assert stops
    assert not any("sent_us" in event.data for event in stops)
