"""Delivery rungs: a GTT guards them from the first fill on, and two selling orders are never alive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from harness.bench import DAY, SHARE, Bench, config, run
from harness.venue import FakeVenue

from otrade_bot.core.clock import at_ist
from otrade_bot.core.model import ExitReason, GttStatus, OrderStatus, OrderType, Product, Side

DELIVERY = config(product=Product.CNC)


@pytest.fixture
def bench() -> Bench:
    return Bench(lambda b: FakeVenue(b.clock), DELIVERY)


def bought(bench: Bench) -> None:
    """30 shares at 100 rupees; the GTT's place is on its way."""
    bench.signal()
    bench.broker.fill(bench.broker.accept(), say=False)
    bench.broker.deliver_all()


def guarded(bench: Bench) -> str:
    bought(bench)
    gtt_id: str = bench.broker.accept()
    assert bench.life().protected
    return gtt_id


def test_the_first_fill_places_an_oco_with_stop_and_target(bench: Bench) -> None:
    bought(bench)
    request = bench.broker.last("place_gtt").request
    assert (request.side, request.quantity, request.last_price) == (Side.SELL, 30, 10_000)
    assert [leg.trigger for leg in request.legs] == [9_800, 10_400]
    assert all(leg.price < leg.trigger for leg in request.legs)


def test_a_leg_that_goes_off_is_the_exit_and_its_order_is_ours_without_a_tag(bench: Bench) -> None:
    gtt_id = guarded(bench)
    order_id = bench.broker.trigger_gtt(gtt_id)
    bench.broker.fill(order_id, 10, 9_790)
    assert bench.life().held == 20
    bench.broker.fill(order_id, 0, 9_780)
    trade = bench.engine.trades()[0]
    assert (trade.quantity, trade.exit_value, trade.reason) == (30, 10 * 9_790 + 20 * 9_780, ExitReason.STOP)
    assert [c.what for c in bench.broker.calls] == ["place", "place_gtt"]
    assert not bench.alerts


def test_a_leg_that_does_not_fill_is_repriced(bench: Bench) -> None:
    order_id = bench.broker.trigger_gtt(guarded(bench))
    bench.price(9_500, seconds=4)
    assert (bench.broker.last().what, bench.broker.last().order_id) == ("modify", order_id)


def test_an_exit_takes_the_gtt_back_first_and_sells_only_then(bench: Bench) -> None:
    guarded(bench)
    bench.engine.exit_row(0)
    assert [c.what for c in bench.broker.calls[-1:]] == ["cancel_gtt"]
    bench.pulse(1)
    assert bench.broker.last().what == "cancel_gtt"
    bench.broker.accept()
    request = bench.broker.last("place").request
    assert (request.side, request.quantity, request.order_type) == (Side.SELL, 30, OrderType.LIMIT)


def test_an_exit_that_finds_the_gtt_gone_off_leaves_the_selling_to_its_leg(bench: Bench) -> None:
    gtt_id = guarded(bench)
    bench.engine.exit_row(0)
    order_id = bench.broker.trigger_gtt(gtt_id)
    bench.broker.act(bench.broker.last("cancel_gtt"))
    bench.broker.answer(bench.broker.last("cancel_gtt"))
    for _ in range(3):
        bench.pulse(1.1)
    assert [o.order_id for o in bench.broker.working()] == [order_id]
    bench.broker.fill(order_id)
    assert [t.quantity for t in bench.engine.trades()] == [30]


def test_a_growing_rung_grows_its_gtt(bench: Bench) -> None:
    bench.signal()
    entry = bench.broker.accept()
    bench.broker.deliver_all()
    bench.broker.fill(entry, 10)
    bench.broker.accept()
    bench.broker.fill(entry, 20)
    assert bench.broker.last("modify_gtt").request.quantity == 30


def test_a_refused_gtt_means_leaving_at_market(bench: Bench) -> None:
    bought(bench)
    bench.broker.refuse(why="limit of GTTs")
    assert bench.broker.last("place").request.side is Side.SELL
    assert any("GTT stop refused (limit of GTTs)" in text for text in bench.alerts)


def test_a_price_beyond_the_stop_means_leaving_not_a_gtt_that_waits_for_better(bench: Bench) -> None:
    bench.signal()
    entry = bench.broker.accept()
    bench.broker.deliver_all()
    bench.price(9_700)
    bench.broker.fill(entry)
    assert not [c for c in bench.broker.calls if c.what == "place_gtt"]
    assert bench.broker.last("place").request.order_type is OrderType.LIMIT


def test_a_gtt_in_doubt_is_found_by_what_it_is(bench: Bench) -> None:
    bought(bench)
    bench.broker.act(bench.broker.last())
    bench.broker.doubt(bench.broker.last())
    assert any("nobody knows" in text for text in bench.alerts)
    bench.pulse(60)
    run(bench.engine.reconcile())
    assert bench.life().gtt is not None
    assert bench.life().gtt.gtt_id == "G1"
    assert [c.what for c in bench.broker.calls].count("place_gtt") == 1
    assert bench.life().protected


def test_a_gtt_that_never_arrived_is_placed_anew_after_two_minutes(bench: Bench) -> None:
    bought(bench)
    bench.broker.doubt(lost=True)
    for expected in (1, 1, 1, 2, 2):
        bench.pulse(31)
        run(bench.engine.reconcile())
        assert [c.what for c in bench.broker.calls].count("place_gtt") == expected


def test_a_gtt_whose_leg_was_refused_is_noticed_and_the_rung_is_guarded_anew(bench: Bench) -> None:
    gtt_id = guarded(bench)
    gtt = bench.broker.gtts[gtt_id]
    bench.broker.gtts[gtt_id] = replace(gtt, status=GttStatus.TRIGGERED)
    bench.pulse(60)
    run(bench.engine.reconcile())
    assert bench.broker.last().what == "place_gtt"
    assert any("GTT" in text for text in bench.alerts)


def test_a_leg_that_the_day_ends_is_followed_by_a_new_gtt(bench: Bench) -> None:
    order_id = bench.broker.trigger_gtt(guarded(bench))
    bench.broker.fill(order_id, 10, 9_790)
    bench.pulse(5)
    bench.broker.change(order_id, status=OrderStatus.CANCELLED, reason="day order")
    assert bench.broker.last().what == "place_gtt"
    assert bench.broker.last().request.quantity == 20


def test_a_manual_sale_is_not_taken_for_our_leg(bench: Bench) -> None:
    guarded(bench)
    told = replace(bench.broker.orders["V001"], order_id="M1", tag="", side=Side.SELL, product=Product.MIS, filled=0)
    bench.engine.on_report(told)
    assert bench.life().gtt is not None
    assert bench.life().gtt.order_id == ""


def test_on_paper_the_stop_leg_sells_and_the_trade_is_booked(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "p", DELIVERY)
    bench.signal()
    bench.prices(9_900, 9_790, 9_790)
    assert [(t.quantity, t.reason) for t in bench.engine.trades()] == [(30, ExitReason.STOP)]
    assert run(bench.broker.get_positions()) == []


def test_on_paper_a_delivery_rung_lives_over_night_guarded(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "p", DELIVERY)
    bench.signal()
    bench.at(15, 31)
    bench.broker.end_day()
    tomorrow = DAY.replace(day=17)
    bench.broker.start_day(tomorrow)
    bench.clock.advance_to(at_ist(tomorrow, 9, 15))
    bench.engine.start_day(tomorrow)
    run(bench.engine.reconcile())
    assert not [p for p in bench.engine.positions() if p.external]
    bench.prices(10_000, 10_400, 10_400)
    assert [t.quantity for t in bench.engine.trades()] == [30]
    assert run(bench.broker.get_holdings()) == [] or run(bench.broker.get_positions())
    assert SHARE.symbol not in {p.symbol for p in bench.engine.positions()}
