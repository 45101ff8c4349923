"""What brokers do to a GTT: one leg alone, a least distance, gone off but not sold, ended, refused, silent. A rung
is never sold twice, and never unprotected without a word."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from harness.bench import AUCTIONED, DAY, SHARE, Bench, config, run
from harness.gtt_venues import Apart, Forgetful, Single, end, foreign_sale
from harness.venue import FakeVenue

from otrade_bot.core.model import (
    Accepted,
    ExitReason,
    GttLeg,
    GttRequest,
    GttStatus,
    Instrument,
    InstrumentKind,
    Leg,
    OrderRequest,
    OrderStatus,
    OrderType,
    Product,
    Refused,
    Side,
    Unknown,
)
from otrade_bot.trading.carry import carry_in, remembered
from otrade_bot.trading.guards import adopt_guards
from otrade_bot.trading.orders import Order
from otrade_bot.trading.rungs import RungLife

DELIVERY = config(product=Product.CNC)
NEXT = DAY + timedelta(days=1)


@pytest.fixture
def bench() -> Bench:
    return Bench(lambda b: FakeVenue(b.clock), DELIVERY)


@pytest.fixture
def single() -> Bench:
    return Bench(lambda b: Single(b.clock), DELIVERY)


@pytest.fixture
def apart() -> Bench:
    return Bench(Apart, DELIVERY)


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


def sells(bench: Bench) -> list[str]:
    """Orders on sale at the venue, by type."""
    return [str(o.order_type) for o in bench.broker.working() if o.side is Side.SELL]


def calls(bench: Bench, what: str) -> int:
    return sum(call.what == what for call in bench.broker.calls)


def said(bench: Bench, text: str) -> bool:
    return any(text in alert for alert in bench.alerts)


def test_a_gtt_on_its_way_is_waited_for_like_an_order_before_the_desk_is_left(bench: Bench) -> None:
    bought(bench)
    assert bench.engine.manager.unanswered == [f"GTT of {SHARE.symbol}"]
    bench.broker.accept()
    assert bench.engine.manager.unanswered == []


# --- one leg alone --------------------------------------------------------------------------------------


def test_where_a_gtt_has_one_leg_the_stop_is_sent_alone_and_the_target_is_kept_in_mind(single: Bench) -> None:
    guarded(single)
    assert [leg.trigger for leg in single.broker.last("place_gtt").request.legs] == [9_800]
    run(single.engine.reconcile())
    assert single.life().gtt is not None
    assert (single.life().gtt.target, single.life().target) == (0, 10_400)
    assert calls(single, "modify_gtt") == 0


def test_at_a_watched_target_the_gtt_is_taken_back_then_sold_at_market_and_a_return_changes_nothing(
    single: Bench,
) -> None:
    guarded(single)
    single.price(10_400)
    assert single.broker.last().what == "cancel_gtt"
    assert sells(single) == []
    single.price(10_100)
    single.broker.accept()
    assert single.broker.last("place").request.order_type is OrderType.LIMIT
    single.broker.fill(single.broker.accept(), price=10_390)
    single.broker.deliver_all()
    assert [(t.reason, t.quantity) for t in single.engine.trades()] == [(ExitReason.TARGET, 30)]
    assert calls(single, "place_gtt") == 1


def test_a_watched_target_whose_gtt_went_off_meanwhile_leaves_the_selling_to_its_order(single: Bench) -> None:
    gtt_id = guarded(single)
    single.price(10_400)
    single.price(9_700)
    order_id = single.broker.trigger_gtt(gtt_id)
    single.broker.act(single.broker.last("cancel_gtt"))
    single.broker.answer(single.broker.last("cancel_gtt"))
    for _ in range(4):
        single.pulse(1.1)
    assert [o.order_id for o in single.broker.working()] == [order_id]


def test_the_leg_that_a_broker_prices_in_its_own_way_is_found_by_the_list(single: Bench) -> None:
    gtt_id = guarded(single)
    gtt = single.broker.gtts[gtt_id]
    single.broker.gtts[gtt_id] = replace(gtt, legs=(replace(gtt.legs[0], price=9_600),))
    order_id = single.broker.trigger_gtt(gtt_id)
    single.pulse(1.1)
    assert single.life().gtt is not None
    assert single.life().gtt.order_id == order_id
    single.broker.fill(order_id, price=9_790)
    assert [t.reason for t in single.engine.trades()] == [ExitReason.STOP]
    assert not said(single, "not ours")


def test_the_target_leg_of_an_oco_is_booked_as_a_target(bench: Bench) -> None:
    order_id = bench.broker.trigger_gtt(guarded(bench), leg=1)
    bench.broker.fill(order_id, price=10_395)
    assert [t.reason for t in bench.engine.trades()] == [ExitReason.TARGET]
    assert calls(bench, "cancel_gtt") == 0


def test_at_the_target_of_an_oco_its_own_leg_is_given_a_moment(bench: Bench) -> None:
    gtt_id = guarded(bench)
    bench.price(10_400)
    assert calls(bench, "cancel_gtt") == 0
    bench.broker.fill(bench.broker.trigger_gtt(gtt_id, leg=1), price=10_395)
    assert [t.reason for t in bench.engine.trades()] == [ExitReason.TARGET]


def test_an_oco_that_does_not_go_off_at_its_target_is_taken_back_and_sold(bench: Bench) -> None:
    guarded(bench)
    bench.price(10_400)
    bench.pulse(3.1)
    assert bench.broker.last().what == "cancel_gtt"
    bench.broker.accept()
    bench.pulse(1.1)
    assert bench.broker.last().what == "place"


# --- while no exit can be sent --------------------------------------------------------------------------


@pytest.mark.parametrize(("hour", "minute"), [(15, 16), (15, 36), (18, 0)])
def test_the_gtt_stays_while_the_market_would_not_take_the_exit(hour: int, minute: int) -> None:
    settings = config(product=Product.CNC, symbols=(AUCTIONED.symbol,))
    bench = Bench(lambda b: FakeVenue(b.clock), settings, instruments=(AUCTIONED,))
    guarded(bench)
    bench.at(hour, minute)
    bench.engine.exit_row(0)
    bench.pulse(5)
    assert calls(bench, "cancel_gtt") == 0
    assert said(bench, "exit waits")
    assert bench.life().protected


def test_before_the_first_price_no_gtt_is_placed_because_its_side_would_be_a_guess(bench: Bench) -> None:
    gtt_id = guarded(bench)
    bench.rows[0].ltp = 0
    end(bench.broker, gtt_id, GttStatus.CANCELLED)
    bench.pulse(60)
    run(bench.engine.reconcile())
    assert calls(bench, "place_gtt") == 1
    assert said(bench, "has ended (cancelled)")
    bench.price(10_000)
    assert bench.broker.last("place_gtt").request.last_price == 10_000


# --- a least distance ----------------------------------------------------------------------------------------


def near_stop(bench: Bench) -> None:
    """Bought at 100.00 with the stop at 98.00, which the price has nearly reached when the first fill is told."""
    bench.signal()
    entry = bench.broker.accept()
    bench.broker.deliver_all()
    bench.price(9_810)
    bench.broker.fill(entry)


def test_a_stop_nearer_than_allowed_rests_at_the_nearest_place_and_that_is_said(apart: Bench) -> None:
    near_stop(apart)
    apart.broker.accept()
    request = apart.broker.last("place_gtt").request
    assert 9_810 * 0.99 < request.legs[0].trigger <= 9_810 * (1 - 0.0025)
    assert apart.life().protected
    assert said(apart, "the stop at ₹98.00 is watched here")


def test_the_true_stop_is_left_by_at_market_while_the_gtt_rests_beyond_it(apart: Bench) -> None:
    near_stop(apart)
    apart.broker.accept()
    apart.price(9_800)
    assert apart.broker.last().what == "cancel_gtt"
    apart.broker.accept()
    assert apart.broker.last("place").request.quantity == 30
    assert said(apart, "leaving at market")


def test_once_the_price_is_far_enough_the_gtt_moves_to_the_true_stop(apart: Bench) -> None:
    near_stop(apart)
    apart.broker.accept()
    apart.price(9_900)
    apart.broker.accept()
    assert apart.life().gtt is not None
    assert apart.life().gtt.level == apart.life().level == 9_800
    apart.price(9_810)
    assert calls(apart, "modify_gtt") == 1


def test_a_broker_that_sees_another_last_price_is_asked_once_more_from_further_away(apart: Bench) -> None:
    apart.broker.off = -15
    near_stop(apart)
    apart.broker.act(apart.broker.last())
    apart.broker.answer(apart.broker.last())
    assert calls(apart, "place_gtt") == 2
    apart.broker.accept()
    assert apart.life().protected
    assert calls(apart, "place") == 1


def test_a_target_nearer_than_allowed_rests_further_and_the_true_one_is_watched(apart: Bench) -> None:
    apart.signal()
    entry = apart.broker.accept()
    apart.broker.deliver_all()
    apart.price(10_395)
    apart.broker.fill(entry)
    apart.broker.accept()
    request = apart.broker.last("place_gtt").request
    assert request.legs[1].trigger >= 10_395 * 1.0025
    apart.price(10_400)
    apart.pulse(3.1)
    assert apart.broker.last().what == "cancel_gtt"


# --- refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reason",
    ["Authorise the sale using CDSL TPIN", "DDPI is not active for this account", "EDIS verification is required"],
)
def test_without_authorisation_the_cure_is_said_nothing_is_sold_and_the_stop_is_watched(
    bench: Bench, reason: str
) -> None:
    bought(bench)
    bench.broker.refuse(why=reason)
    assert calls(bench, "place") == 1
    assert said(bench, "DDPI")
    assert said(bench, "those bought today can")
    assert not bench.life().protected
    bench.pulse(59)
    assert calls(bench, "place_gtt") == 1
    bench.pulse(2)
    assert calls(bench, "place_gtt") == 2
    bench.broker.refuse(why=reason)
    bench.price(9_790)
    assert bench.broker.last().request.order_type is OrderType.LIMIT


@pytest.mark.parametrize(
    "refused",
    [
        Refused("Incorrect `api_key` or `access_token`.", "TokenException"),
        Refused("Too many requests", "NetworkException"),
        Refused("Your IP is not registered", "PermissionException"),
    ],
)
def test_a_refusal_that_says_nothing_of_the_gtt_sells_nothing_and_is_tried_again(
    bench: Bench, refused: Refused
) -> None:
    bought(bench)
    for seconds in (1.1, 2.1, 4.1):
        call = bench.broker.last()
        call.lost = True
        bench.broker.answer(call, refused)
        count = calls(bench, "place_gtt")
        bench.pulse(seconds - 0.5)
        assert calls(bench, "place_gtt") == count
        bench.pulse(0.5)
        assert calls(bench, "place_gtt") == count + 1
    assert calls(bench, "place") == 1
    assert said(bench, "unprotected at the broker")


def test_an_exit_that_is_refused_for_want_of_authorisation_says_the_cure(bench: Bench) -> None:
    bought(bench)
    bench.broker.refuse(why="TPIN needed")
    bench.price(9_790)
    bench.broker.refuse(why="TPIN needed")
    assert said(bench, "exit refused: TPIN needed; trying again; authorise the sale")


def test_a_gtt_that_cannot_be_changed_is_placed_anew(bench: Bench) -> None:
    bench.signal()
    entry = bench.broker.accept()
    bench.broker.deliver_all()
    bench.broker.fill(entry, 10)
    bench.broker.accept()
    bench.broker.fill(entry, 20)
    for _ in range(5):
        bench.broker.refuse(why="cannot be modified")
        bench.pulse(16)
    bench.broker.accept()
    assert bench.broker.last("place_gtt").request.quantity == 30
    assert said(bench, "GTT stop not moved")


# --- nobody knows --------------------------------------------------------------------------------------------


def test_a_doubtful_cancel_is_settled_in_a_second_and_the_exit_follows(bench: Bench) -> None:
    guarded(bench)
    bench.engine.exit_row(0)
    bench.broker.act(bench.broker.last())
    bench.broker.doubt(bench.broker.last())
    assert not bench.life().protected or bench.broker.last().what == "place"
    bench.pulse(1.1)
    assert bench.broker.last().what == "place"
    assert bench.broker.last().request.quantity == 30


def test_a_doubtful_cancel_that_never_arrived_is_asked_again(bench: Bench) -> None:
    guarded(bench)
    bench.engine.exit_row(0)
    bench.broker.doubt(lost=True)
    bench.pulse(1.1)
    assert calls(bench, "cancel_gtt") == 2
    assert sells(bench) == []


def test_a_gtt_that_the_list_forgets_once_it_is_taken_back_does_not_hold_up_the_exit() -> None:
    bench = Bench(lambda b: Forgetful(b.clock), DELIVERY)
    guarded(bench)
    bench.engine.exit_row(0)
    bench.broker.act(bench.broker.last())
    bench.broker.doubt(bench.broker.last())
    for _ in range(6):
        bench.pulse(1.1)
    assert bench.broker.last().what == "place"


def test_a_cancel_that_is_accepted_though_the_leg_has_gone_off_sells_nothing_twice(bench: Bench) -> None:
    gtt_id = guarded(bench)
    bench.engine.exit_row(0)
    bench.price(9_790)
    bench.broker.report = lambda told: None
    order_id = bench.broker.trigger_gtt(gtt_id)
    bench.broker.report = bench.engine.on_report
    call = bench.broker.last("cancel_gtt")
    call.natural = Accepted(gtt_id)
    bench.broker.answer(call)
    for _ in range(4):
        bench.pulse(1.1)
    assert calls(bench, "place") == 1
    assert [o.order_id for o in bench.broker.working()] == [order_id]
    bench.broker.fill(order_id)
    assert [t.quantity for t in bench.engine.trades()] == [30]


def test_a_doubtful_place_that_turns_up_after_it_was_given_up_is_taken_back(bench: Bench) -> None:
    bought(bench)
    lost = bench.broker.last()
    bench.broker.answer(lost, Unknown("timeout"))
    for _ in range(5):
        bench.pulse(31)
    assert calls(bench, "place_gtt") == 2
    anew = bench.broker.accept(bench.broker.last())
    bench.broker.act(lost)
    bench.broker.gtts["G2"] = replace(bench.broker.gtts["G2"], created_ns=bench.now)
    run(bench.engine.reconcile())
    assert bench.broker.last().what == "cancel_gtt"
    assert bench.broker.last().order_id not in (anew, "")
    bench.broker.accept()
    active = [g.gtt_id for g in bench.broker.gtts.values() if g.status is GttStatus.ACTIVE]
    assert active == [anew]


def test_a_doubtful_place_is_not_taken_for_an_earlier_one_that_has_ended(bench: Bench) -> None:
    end(bench.broker, guarded(bench), GttStatus.CANCELLED)
    run(bench.engine.reconcile())
    anew = bench.broker.last()
    bench.broker.answer(anew, Unknown("timeout"))
    bench.pulse(2)
    assert calls(bench, "place_gtt") == 2
    bench.broker.act(anew)
    bench.pulse(4)
    assert bench.life().gtt is not None
    assert (bench.life().gtt.gtt_id, bench.life().protected) == ("G2", True)


# --- whose order is it ----------------------------------------------------------------------------------------


def two_alike() -> Bench:
    """Two rungs of 30 shares each, kept over night, whose GTTs differ by one tick."""
    bench = Bench(lambda b: FakeVenue(b.clock), config("momentum_ladder", timeframe="15m", product=Product.CNC))
    for rung, level in ((0, 9_750), (1, 9_755)):
        life = RungLife(0, rung, 1, Side.BUY, "momentum_ladder", Product.CNC, 30, level=level, told_entry=30)
        request = OrderRequest("", SHARE, Side.BUY, 30, Product.CNC, OrderType.MARKET)
        order = Order("", 0, Leg.ENTRY, rung, 1, request, 30, OrderType.MARKET, 0, 0, 0)
        order.status, order.filled, order.value = OrderStatus.COMPLETE, 30, 300_000
        life.entries.append(order)
        life.told_end = True
        bench.manager.lives[0, rung] = life
    bench.price(10_000)
    return bench


@pytest.mark.parametrize("answered", [True, False])
def test_whose_leg_it_is_where_two_rungs_are_alike_is_asked_not_guessed(answered: bool) -> None:
    bench = two_alike()
    first, second = bench.broker.open_calls()
    bench.broker.accept(first)
    bench.broker.act(second)
    if answered:
        bench.broker.answer(second)
    order_id = bench.broker.trigger_gtt("G2")
    bench.broker.fill(order_id, 10, 9_750)
    assert [len(bench.life(rung).exits) for rung in (0, 1)] == [0, int(answered)]  # the list says, if we know the id
    if not answered:
        bench.broker.answer(second)
        for _ in range(4):
            bench.pulse(17)
    run(bench.engine.reconcile())
    bench.pulse(17)
    assert [bench.life(rung).held for rung in (0, 1)] == [30, 20]
    assert not said(bench, "not ours")


@pytest.mark.parametrize(("kind", "price"), [(OrderType.MARKET, 0), (OrderType.LIMIT, 10_100)])
def test_a_humans_sale_of_as_many_shares_is_not_the_leg(bench: Bench, kind: OrderType, price: int) -> None:
    guarded(bench)
    foreign_sale(bench.broker, 30, kind=kind, price=price)
    bench.pulse(1.1)
    assert bench.life().exits == []
    assert bench.life().gtt is not None
    assert bench.life().gtt.order_id == ""


def test_what_was_taken_for_the_leg_is_put_right_when_the_gtt_still_stands(bench: Bench) -> None:
    gtt_id = guarded(bench)
    price = bench.broker.gtts[gtt_id].legs[0].price
    bench.broker.fill(foreign_sale(bench.broker, 30, price=price), price=price)
    assert [t.quantity for t in bench.engine.trades()] == [30]
    for _ in range(2):
        bench.pulse(60)
        run(bench.engine.reconcile())
    assert bench.broker.last().what == "cancel_gtt"
    bench.broker.accept()
    assert bench.broker.gtts[gtt_id].status is GttStatus.DELETED
    assert said(bench, "stands still")


def test_a_gtt_beside_an_exit_that_works_is_taken_back(bench: Bench) -> None:
    """A human forced it, or a restart has found both."""
    guarded(bench)
    life = bench.life()
    life.gtt, gtt = None, life.gtt
    bench.engine.exit_row(0)
    bench.broker.accept()
    life.gtt = gtt
    bench.pulse(1.1)
    assert bench.broker.last().what == "cancel_gtt"
    bench.broker.accept()
    assert [o.side for o in bench.broker.working()] == [Side.SELL]


# --- the other side -----------------------------------------------------------------------------------------------


def sold_short() -> Bench:
    """30 of a future sold at 100.00 and taken over by hand: stop above at 102.00, target below at 96.00. The price is
    near the stop."""
    future = Instrument(SHARE.symbol, 1, InstrumentKind.FUTURE)
    bench = Bench(Apart, config(product=Product.NRML), instruments=(future,))
    bench.price(10_190)
    life = RungLife(0, 0, 1, Side.SELL, "ema_crossover", Product.NRML, 30, level=10_200, target=9_600)
    request = OrderRequest("OT1", future, Side.SELL, 30, Product.NRML, OrderType.MARKET)
    entry = Order("OT1", 0, Leg.ENTRY, 0, 1, request, 30, OrderType.MARKET, 0, 0, bench.now)
    entry.status, entry.filled, entry.value = OrderStatus.COMPLETE, 30, 300_000
    life.entries.append(entry)
    life.told_entry, life.told_end = 30, True
    bench.manager.lives[0, 0] = life
    bench.pulse(1)
    bench.broker.accept()
    return bench


def test_a_short_rung_is_guarded_above_and_left_at_its_true_stop() -> None:
    bench = sold_short()
    request = bench.broker.last("place_gtt").request
    assert (request.side, request.product, request.legs[1].trigger) == (Side.BUY, Product.NRML, 9_600)
    assert request.legs[0].trigger >= 10_190 * 1.0025
    assert request.legs[0].price > request.legs[0].trigger
    bench.price(10_200)
    assert bench.broker.last().what == "cancel_gtt"
    bench.broker.accept()
    assert bench.broker.last("place").request.side is Side.BUY


def test_a_short_rungs_gtt_moves_to_the_true_stop_and_its_target_leg_is_a_target() -> None:
    bench = sold_short()
    bench.price(10_050)
    bench.broker.accept()
    assert bench.life().gtt is not None
    assert bench.life().gtt.level == bench.life().level == 10_200
    bench.broker.trigger_gtt("G1", leg=1)
    assert bench.life().reason is ExitReason.TARGET


# --- gone off, not sold -----------------------------------------------------------------------------------------


def test_a_leg_that_is_rejected_is_said_at_once_and_the_rung_is_left(bench: Bench) -> None:
    gtt_id = guarded(bench)
    bench.price(9_790)
    order_id = bench.broker.trigger_gtt(gtt_id)
    bench.broker.change(order_id, status=OrderStatus.REJECTED, reason="circuit limit")
    assert said(bench, "circuit limit")
    bench.pulse(1.1)
    assert bench.broker.last().what == "place"
    assert bench.life().wanted is ExitReason.STOP


def test_a_leg_that_is_rejected_after_the_price_came_back_is_guarded_anew(bench: Bench) -> None:
    order_id = bench.broker.trigger_gtt(guarded(bench))
    bench.broker.change(order_id, status=OrderStatus.REJECTED, reason="circuit limit")
    bench.pulse(1.1)
    assert bench.broker.last().what == "place_gtt"
    bench.broker.accept()
    assert bench.life().protected


def test_a_gtt_that_went_off_unheard_is_followed_to_its_order(bench: Bench) -> None:
    gtt_id = guarded(bench)
    bench.broker.report = lambda told: None
    order_id = bench.broker.trigger_gtt(gtt_id)
    bench.broker.fill(order_id, price=9_790)
    bench.broker.report = bench.engine.on_report
    bench.pulse(60)
    run(bench.engine.reconcile())
    bench.pulse(2)
    assert [(t.quantity, t.reason) for t in bench.engine.trades()] == [(30, ExitReason.STOP)]
    assert bench.engine.external == {} or not any(bench.engine.external.values())


def test_a_gtt_that_went_off_on_an_earlier_day_is_replaced(bench: Bench) -> None:
    gtt_id = guarded(bench)
    gtt = bench.broker.gtts[gtt_id]
    gone = replace(gtt.legs[0], order_id="YESTERDAY")
    bench.broker.gtts[gtt_id] = replace(gtt, status=GttStatus.TRIGGERED, legs=(gone, gtt.legs[1]))
    for _ in range(5):
        bench.pulse(31)
        run(bench.engine.reconcile())
    assert calls(bench, "place_gtt") == 2
    assert said(bench, "is looked for")
    assert said(bench, "not in today's book")


def test_a_gtt_that_stays_silent_though_its_price_has_come_is_taken_back_and_the_rung_is_left(bench: Bench) -> None:
    guarded(bench)
    bench.price(9_790)
    assert calls(bench, "cancel_gtt") == 0
    bench.price(9_785, seconds=6)
    assert said(bench, "has not gone off")
    bench.broker.accept()
    bench.pulse(1.1)
    assert bench.broker.last().what == "place"


# --- ended by the broker ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [GttStatus.CANCELLED, GttStatus.EXPIRED, GttStatus.REJECTED, GttStatus.DELETED])
def test_a_gtt_that_the_broker_has_ended_is_placed_anew_and_said(bench: Bench, status: GttStatus) -> None:
    end(bench.broker, guarded(bench), status, "corporate action")
    bench.pulse(60)
    run(bench.engine.reconcile())
    assert calls(bench, "place_gtt") == 2
    assert said(bench, f"has ended ({status.value} corporate action)")


def test_a_gtt_that_is_gone_from_the_list_is_placed_anew_when_it_is_missed_twice(bench: Bench) -> None:
    del bench.broker.gtts[guarded(bench)]
    for expected in (1, 2):
        bench.pulse(60)
        run(bench.engine.reconcile())
        assert calls(bench, "place_gtt") == expected
    assert said(bench, "no longer in the broker's list")


def overnight(tmp_path: Path, *, cancelled: bool = True) -> Bench:
    """The next morning's process; the broker has ``cancelled`` the GTT over night."""
    path = tmp_path / "paper.jsonl"
    lived = Bench.paper(path, DELIVERY, start=False)
    for bench, day in ((lived, DAY), (None, NEXT)):
        kept = []
        if bench is None:
            lines = [{"kind": str(e.kind), "ns": e.ts_ns, "symbol": e.symbol, **e.data} for e in lived.diary.events]
            kept = remembered(lines) or []
            (gtt,) = run(lived.broker.get_gtts())
            if cancelled:
                run(lived.broker.cancel_gtt(gtt.gtt_id))
            lived.broker.close()
            bench = Bench.paper(path, DELIVERY, start=False, day=NEXT)
        bench.engine.prepare(day)
        bench.broker.start_day(day)
        run(carry_in(bench.engine, kept))
        bench.engine.start_day(day)
        run(bench.engine.recover())
        if day == DAY:
            bench.signal()
    return bench


def test_a_kept_rung_whose_gtt_is_gone_in_the_morning_is_guarded_at_the_first_price_and_that_is_said(
    tmp_path: Path,
) -> None:
    bench = overnight(tmp_path)
    (position,) = bench.engine.positions()
    assert (position.stop_resting, position.unprotected) == (False, "its GTT waits for the first price")
    bench.price(10_000)
    assert bench.life().protected
    assert said(bench, "no GTT stop stands at the broker")


def test_a_kept_rung_that_opens_beyond_its_stop_is_left(tmp_path: Path) -> None:
    bench = overnight(tmp_path)
    bench.prices(9_500, 9_500)
    assert [t.reason for t in bench.engine.trades()] == [ExitReason.STOP]


def test_what_looks_like_a_split_sells_nothing_until_a_human_says_so(tmp_path: Path) -> None:
    bench = overnight(tmp_path)
    for _ in range(4):  # a jump is believed when it stays
        bench.price(5_000)
    assert bench.life().held == 30
    assert [o for o in bench.engine.orders() if o.leg is Leg.EXIT] == []
    assert said(bench, "NOT sold and NOT protected")
    assert bench.engine.positions()[0].unprotected == "far beyond its stop: a split or bonus?"
    bench.engine.exit_row(0)
    bench.prices(5_000, 5_000)
    assert [t.quantity for t in bench.engine.trades()] == [30]


def test_a_kept_gtt_that_a_split_has_cancelled_unheard_sells_nothing_either(tmp_path: Path) -> None:
    """It was there when the morning's list was read."""
    bench = overnight(tmp_path, cancelled=False)
    assert bench.life().protected
    (gtt,) = [g for g in run(bench.broker.get_gtts()) if g.status is GttStatus.ACTIVE]
    run(bench.broker.cancel_gtt(gtt.gtt_id))
    for _ in range(10):
        bench.price(5_000)
    assert bench.life().held == 30
    assert said(bench, "NOT sold and NOT protected")


def test_a_gtt_that_is_refused_at_night_sells_nothing_in_the_morning(bench: Bench) -> None:
    end(bench.broker, guarded(bench), GttStatus.CANCELLED)
    bench.at(16, 0)
    run(bench.engine.reconcile())
    bench.broker.refuse(why="Market is closed")
    assert bench.life().wanted is None
    assert said(bench, "unprotected, and the market is not open")
    count = len(bench.alerts)
    bench.pulse(600)
    assert len(bench.alerts) == count
    bench.pulse(301)
    assert bench.broker.last() in bench.broker.open_calls()
    assert bench.broker.last().what == "place_gtt"


def test_a_cancel_in_doubt_of_a_gtt_whose_order_is_heard_is_no_doubt(bench: Bench) -> None:
    gtt_id = guarded(bench)
    bench.engine.exit_row(0)
    bench.broker.trigger_gtt(gtt_id)
    bench.broker.doubt(bench.broker.last("cancel_gtt"), lost=True)
    assert bench.life().gtt is not None
    assert bench.life().gtt.unknown == ""


# --- trailing ---------------------------------------------------------------------------------------------------


def test_a_trailing_stop_moves_its_gtt_in_steps_and_is_watched_between_them(bench: Bench) -> None:
    bench.broker.gtt_pace_seconds = 30.0
    guarded(bench)
    life = bench.life()
    for level in (9_850, 9_860, 9_870):
        bench.pulse(2)
        bench.manager.set_stop(0, 0, life.cycle, level, 10_400)
    assert calls(bench, "modify_gtt") == 0
    bench.pulse(30)
    bench.broker.accept()
    assert life.gtt is not None
    assert life.gtt.level == 9_870
    bench.manager.set_stop(0, 0, life.cycle, 9_900, 10_400)
    bench.price(9_895)
    assert bench.broker.last().what == "cancel_gtt"


# --- after a start ----------------------------------------------------------------------------------------------


def test_each_rung_finds_its_own_gtt_by_its_level() -> None:
    settings = config("momentum_ladder", product=Product.CNC)
    bench = Bench(lambda b: FakeVenue(b.clock), settings)
    levels = {0: 9_700, 1: 9_500, 2: 9_900}
    for rung in levels:
        life = RungLife(0, rung, 1, Side.BUY, "momentum_ladder", Product.CNC, 30)
        order = Order("", 0, "entry", rung, 1, None, 30, OrderType.MARKET, 0, 0, 0)  # type: ignore[arg-type]
        order.status, order.filled, order.value = OrderStatus.COMPLETE, 30, 300_000
        life.entries.append(order)
        bench.manager.lives[0, rung] = life
    for level in (9_900, 9_500, 9_700, 9_100):
        request = GttRequest(SHARE, Side.SELL, 30, Product.CNC, (GttLeg(level, level - 50),), 10_000)
        bench.broker.dispatch(bench.broker.place_gtt(request), lambda outcome: None)
        bench.broker.accept()
    adopt_guards(bench.manager, list(bench.broker.gtts.values()), [], lambda life: levels[life.rung])
    assert {rung: bench.life(rung).gtt.level for rung in levels} == levels  # type: ignore[union-attr]
    assert said(bench, "guards no rung of ours")


def test_after_a_start_a_placement_in_doubt_is_not_taken_for_an_older_gtt_that_has_ended(bench: Bench) -> None:
    """It would be placed once more, and stand beside the one that has arrived."""
    gtt_id = guarded(bench)
    end(bench.broker, gtt_id, GttStatus.CANCELLED)
    venue = bench.broker
    again = Bench(lambda b: venue, DELIVERY)
    venue.clock, venue.calls = again.clock, []
    again.clock.advance_to(bench.now + 1_000_000_000)
    run(again.engine.recover(history=[(bench.now, 0, 10_000, 0)]))
    placed = venue.last("place_gtt")
    venue.doubt(placed)
    venue.act(placed)
    again.pulse(2)
    run(again.engine.reconcile())
    assert calls(again, "place_gtt") == 1
    assert again.life().gtt is not None
    assert again.life().gtt.gtt_id == "G2"
