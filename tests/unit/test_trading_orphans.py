"""What a killed process left at the broker: doubled, missing and orphaned stops, and orders nobody heard of."""

from __future__ import annotations

from dataclasses import replace

from harness.bench import OPEN, SHARE, Bench, config, run
from harness.venue import FakeVenue

from otrade_bot.core.clock import SECOND
from otrade_bot.core.model import Block, OrderStatus, OrderType, Side
from otrade_bot.trading.recover import HistoryTick

LONG = config(params={"short": False})


def turn() -> list[HistoryTick]:
    """A fall and a turn, after which the first share is bought at 100 rupees."""
    return [(OPEN + k * SECOND, 0, price, 0) for k, price in enumerate((9_995, 9_990, 9_980, 9_970, 9_960, 10_000), 1)]


def lived() -> tuple[Bench, FakeVenue]:
    """One rung that was bought and stopped out, then a second cycle that is held with its stop."""
    bench = Bench(lambda b: FakeVenue(b.clock), LONG)
    venue: FakeVenue = bench.broker
    bench.feed(turn())
    for price in (9_800, 10_000):
        venue.fill(venue.accept(), price=10_000, say=False)
        venue.deliver_all()
        stop = venue.accept()
        venue.deliver_all()
        if price == 9_800:
            venue.fill(stop, price=9_800)
            bench.pulse(60)
            bench.signal()
    venue.calls.clear()
    return bench, venue


def reborn(venue: FakeVenue, now: int) -> Bench:
    bench = Bench(lambda b: venue, LONG)
    venue.clock = bench.clock
    bench.clock.advance_to(now + 2 * SECOND)
    run(bench.engine.recover(history=turn()))
    return bench


def test_a_stop_of_a_cycle_that_has_ended_is_cancelled_though_a_newer_cycle_is_held() -> None:
    bench, venue = lived()
    first = next(order for order in venue.orders.values() if order.side is Side.SELL)
    venue.orders["V900"] = replace(
        first, order_id="V900", tag=first.tag[:-1] + "9", filled=0, value=0, status=OrderStatus.TRIGGER_PENDING
    )
    again = reborn(venue, bench.now)
    assert [(call.what, call.order_id) for call in venue.calls] == [("cancel", "V900")]
    venue.refuse(why="busy")
    again.pulse(1.1)
    venue.accept(venue.last("cancel"))
    venue.deliver_all()
    (left,) = venue.working()
    assert (left.order_id, left.quantity) == ("V004", 30)
    assert again.life().protected
    assert not again.engine.blocks


def test_an_entry_that_is_still_working_from_an_ended_cycle_is_cancelled() -> None:
    bench, venue = lived()
    first = next(order for order in venue.orders.values() if order.side is Side.BUY)
    venue.orders["V900"] = replace(
        first, order_id="V900", tag=first.tag[:-1] + "9", filled=0, value=0, status=OrderStatus.OPEN
    )
    reborn(venue, bench.now)
    assert ("cancel", "V900") in [(call.what, call.order_id) for call in venue.calls]


def test_what_an_older_cycle_still_holds_is_said_and_its_stop_is_left_alone() -> None:
    bench, venue = lived()
    first = next(order for order in venue.orders.values() if order.side is Side.SELL)
    venue.orders[first.order_id] = replace(first, filled=0, value=0, status=OrderStatus.TRIGGER_PENDING)
    venue.fills = [fill for fill in venue.fills if fill.order_id != first.order_id]
    again = reborn(venue, bench.now)
    assert not venue.calls
    assert Block.ERROR in again.engine.blocks
    assert any("earlier cycle" in text for text in again.alerts)
    for _ in range(2):  # seen again, it is no lag
        again.pulse(60)
        run(again.engine.reconcile())
    assert again.engine.external == {(SHARE.symbol, "MIS"): 30}
    assert not venue.calls


def test_a_doubled_stop_goes_a_missing_one_comes() -> None:
    bench, venue = lived()
    stop = venue.working()[0]
    venue.orders["V900"] = replace(stop, order_id="V900", tag=stop.tag[:-1] + "9", placed_ns=stop.placed_ns + 1)
    reborn(venue, bench.now)
    assert [(call.what, call.order_id) for call in venue.calls] == [("cancel", "V900")]
    venue.accept()
    venue.deliver_all()
    venue.calls.clear()
    venue.change(stop.order_id, say=False, status=OrderStatus.CANCELLED)
    reborn(venue, bench.now)
    (call,) = venue.calls
    assert (call.request.order_type, call.request.quantity) == (OrderType.SL_M, 30)
