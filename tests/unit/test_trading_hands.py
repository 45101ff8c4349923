"""What a human decides: an exit beside one in doubt, and a foreign position taken as ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from harness.bench import OPEN, OTHER, SHARE, Bench, config, run
from harness.venue import FakeVenue

from otrade_bot.core.clock import SECOND
from otrade_bot.core.errors import CommandException
from otrade_bot.core.events import EventKind
from otrade_bot.core.model import (
    Block,
    BrokerPosition,
    ExitReason,
    Holding,
    Instrument,
    OrderStatus,
    OrderType,
    Product,
    Side,
)
from otrade_bot.trading.hands import claimed

LONG = config(params={"short": False})


@pytest.fixture
def bench() -> Bench:
    return Bench(lambda b: FakeVenue(b.clock), LONG)


def bought(bench: Bench) -> None:
    """30 at 100 rupees; the stop's place is on its way."""
    bench.signal()
    bench.broker.fill(bench.broker.accept(), say=False)
    bench.broker.deliver_all()


def stop_in_doubt(bench: Bench) -> Any:
    """Nobody knows whether the stop was placed; the call."""
    bought(bench)
    call = bench.broker.last()
    bench.broker.doubt(call)
    return call


def sells(bench: Bench) -> list[Any]:
    return [call.request for call in bench.broker.calls if call.what == "place" and call.request.side is Side.SELL]


# --- an exit beside one in doubt ----------------------------------------------------------------------


def test_the_question_spells_out_what_may_be_sold_twice(bench: Bench) -> None:
    stop_in_doubt(bench)
    wish = bench.engine.force_wish(SHARE.symbol)
    assert "30 held" in wish.text
    assert "RISK" in wish.text
    assert "30 too many" in wish.text
    assert len(bench.broker.calls) == 2


def test_a_forced_exit_goes_out_once_beside_the_one_in_doubt(bench: Bench) -> None:
    stop_in_doubt(bench)
    said = bench.engine.force(SHARE.symbol, "owner")
    first, second = sells(bench)
    assert (second.order_type, second.quantity, second.reduces) == (OrderType.LIMIT, 30, True)
    assert first.tag != second.tag
    assert "30" in said
    assert bench.life().wanted is ExitReason.FLATTEN
    again = bench.engine.force(SHARE.symbol, "owner")  # a second yes
    assert len(sells(bench)) == 2
    assert "working already" in again
    line, _ = [event for event in bench.events(EventKind.ALERT) if "forced" in event.data]
    assert line.data["by"] == "owner"


def test_a_forced_exit_that_fills_ends_the_rung_once_the_doubt_is_settled(bench: Bench) -> None:
    stop_in_doubt(bench).lost = True
    bench.engine.force(SHARE.symbol, "owner")
    exit_id = bench.broker.accept()
    bench.broker.deliver_all()
    bench.broker.fill(exit_id, price=9_990)
    assert bench.life().held == 0
    for _ in range(5):
        bench.pulse(31)
        run(bench.engine.reconcile())
    assert bench.life().closed
    assert len(sells(bench)) == 2
    assert [(t.quantity, t.exit_value) for t in bench.engine.trades()] == [(30, 30 * 9_990)]


def test_the_one_in_doubt_is_cancelled_when_it_turns_up_beside_a_forced_exit(bench: Bench) -> None:
    call = stop_in_doubt(bench)
    bench.engine.force(SHARE.symbol, "owner")
    exit_id = bench.broker.accept()
    bench.broker.deliver_all()
    bench.broker.act(call)
    bench.broker.deliver_all()
    cancel = bench.broker.last()
    assert (cancel.what, cancel.order_id) == ("cancel", bench.life().exits[0].order_id)
    bench.broker.accept()
    bench.broker.deliver_all()
    assert [order.order_id for order in bench.broker.working()] == [exit_id]
    assert bench.broker.working()[0].quantity == 30


def test_what_is_sold_twice_is_said_and_stops_entries(bench: Bench) -> None:
    call = stop_in_doubt(bench)
    bench.engine.force(SHARE.symbol, "owner")
    exit_id = bench.broker.accept()
    bench.broker.deliver_all()
    bench.broker.fill(exit_id, price=9_990)
    bench.broker.act(call)
    bench.broker.outbox.clear()
    bench.broker.fill(bench.broker.working()[0].order_id, price=9_800)
    assert Block.ERROR in bench.engine.blocks
    assert any("60 sold, 30 held" in text for text in bench.alerts)


def test_a_change_in_doubt_is_sent_to_the_same_order_again_and_nothing_is_placed(bench: Bench) -> None:
    bought(bench)
    stop = bench.broker.accept()
    bench.broker.deliver_all()
    bench.engine.exit_row(0)
    bench.broker.doubt(lost=True)
    assert "nothing can be sold twice" in bench.engine.force_wish(SHARE.symbol).text
    bench.engine.force(SHARE.symbol, "owner")
    call = bench.broker.last()
    assert (call.what, call.order_id, call.request["order_type"]) == ("modify", stop, OrderType.LIMIT)
    assert len(sells(bench)) == 1


def test_nothing_is_forced_where_nothing_is_in_doubt(bench: Bench) -> None:
    bought(bench)
    bench.broker.accept()
    bench.broker.deliver_all()
    for ask in (bench.engine.force_wish, lambda symbol: bench.engine.force(symbol, "owner")):
        with pytest.raises(CommandException, match="in doubt"):
            ask(SHARE.symbol)
    assert len(sells(bench)) == 1


def test_a_forced_exit_keeps_to_the_freeze_quantity() -> None:
    frozen = Instrument(SHARE.symbol, 1, freeze=20)
    bench = Bench(lambda b: FakeVenue(b.clock), LONG, [frozen])
    bench.signal()
    for call in bench.broker.open_calls():
        bench.broker.fill(bench.broker.accept(call), say=False)
    bench.broker.deliver_all()
    while bench.broker.open_calls():
        bench.broker.doubt(lost=True)
    bench.pulse(2)
    while bench.broker.open_calls():
        bench.broker.doubt(lost=True)
    before = len(sells(bench))
    bench.engine.force(SHARE.symbol, "owner")
    forced = [request.quantity for request in sells(bench)[before:]]
    assert sum(forced) <= bench.life().held
    assert max(forced) <= 20


def test_a_forced_exit_that_the_market_does_not_take_says_so(bench: Bench) -> None:
    stop_in_doubt(bench)
    bench.at(15, 31)
    with pytest.raises(CommandException, match="No exit could be sent"):
        bench.engine.force(SHARE.symbol, "owner")


# --- a position that is not ours --------------------------------------------------------------------------


def foreign(bench: Bench, quantity: int = 40, cost: int = 9_950, product: Product = Product.MIS) -> None:
    bench.price(10_000)
    bench.broker.external.append(BrokerPosition(SHARE.symbol, product, quantity, cost))
    run(bench.engine.reconcile(over=True))
    run(bench.engine.reconcile(over=True))
    assert bench.engine.external == {(SHARE.symbol, str(product)): quantity}


def test_a_claimed_position_gets_its_stop_and_is_ours(bench: Bench) -> None:
    foreign(bench)
    assert "+40" in bench.engine.claim_wish(SHARE.symbol).text
    assert not bench.broker.calls
    said = run(bench.engine.claim(SHARE.symbol, "owner"))
    assert "₹97.50" in said
    request = bench.broker.last("place").request
    assert (request.side, request.quantity, request.order_type) == (Side.SELL, 40, OrderType.SL_M)
    assert request.trigger == 9_750  # 2 % below 99.50
    (position,) = bench.engine.positions()
    assert (position.quantity, position.external, position.value) == (40, False, 40 * 9_950)
    bench.pulse(60)
    assert run(bench.engine.reconcile()) == []
    assert not bench.engine.external.get((SHARE.symbol, "MIS"))


def test_a_claimed_position_is_left_like_any_other(bench: Bench) -> None:
    foreign(bench)
    run(bench.engine.claim(SHARE.symbol, "owner"))
    stop = bench.broker.accept()
    bench.broker.deliver_all()
    bench.engine.exit_row(0)
    bench.broker.accept()
    bench.broker.deliver_all()
    bench.broker.fill(stop, price=10_000)
    (trade,) = bench.engine.trades()
    assert (trade.quantity, trade.gross) == (40, 40 * 50)
    assert bench.rung("side") == 0


def test_where_the_stop_by_its_cost_has_been_passed_it_is_counted_from_the_last_price(bench: Bench) -> None:
    foreign(bench, cost=12_000)
    said = run(bench.engine.claim(SHARE.symbol, "owner"))
    assert "last price" in said
    assert bench.broker.last("place").request.trigger == 9_800


def test_a_short_position_is_claimed_with_a_stop_above(bench: Bench) -> None:
    foreign(bench, quantity=-40, cost=10_050)
    run(bench.engine.claim(SHARE.symbol, "owner"))
    request = bench.broker.last("place").request
    assert (request.side, request.quantity, request.trigger) == (Side.BUY, 40, 10_250)


def test_delivered_shares_are_claimed_at_what_they_cost() -> None:
    bench = Bench(lambda b: FakeVenue(b.clock), config(product=Product.CNC))
    bench.price(10_000)
    bench.broker.held.append(Holding(SHARE.symbol, 12, 9_900))
    run(bench.engine.reconcile(over=True))
    run(bench.engine.reconcile(over=True))
    run(bench.engine.claim(SHARE.symbol, "owner"))
    request = bench.broker.last("place_gtt").request
    assert (request.quantity, request.side) == (12, Side.SELL)
    assert request.legs[0].trigger == 9_700


@pytest.mark.parametrize(
    ("symbol", "quantity", "product", "why"),
    [
        (OTHER.symbol, 40, Product.MIS, "No strategy trades"),
        ("NSE:NOWHERE", 40, Product.MIS, "No strategy trades"),
        (SHARE.symbol, 40, Product.CNC, "held as CNC, and traded as MIS"),
        (SHARE.symbol, 0, Product.MIS, "the broker shows none"),
    ],
)
def test_what_cannot_be_claimed_is_said_and_left_alone(
    symbol: str, quantity: int, product: Product, why: str
) -> None:
    bench = Bench(lambda b: FakeVenue(b.clock), LONG, instruments=(SHARE, OTHER))
    bench.price(10_000)
    if quantity:
        bench.broker.external.append(BrokerPosition(symbol, product, quantity, 9_900))
    for _ in range(2):
        run(bench.engine.reconcile(over=True))
    for ask in (bench.engine.claim_wish, lambda name: run(bench.engine.claim(name, "owner"))):
        with pytest.raises(CommandException, match=why):
            ask(symbol)
    assert not bench.broker.calls


def test_a_position_that_has_changed_meanwhile_is_not_claimed(bench: Bench) -> None:
    foreign(bench)
    bench.broker.external[0] = replace(bench.broker.external[0], quantity=10)
    with pytest.raises(CommandException, match="changed"):
        run(bench.engine.claim(SHARE.symbol, "owner"))
    assert not bench.broker.calls


def test_where_every_rung_is_taken_nothing_is_claimed(bench: Bench) -> None:
    bought(bench)
    bench.broker.accept()
    bench.broker.deliver_all()
    foreign(bench)
    with pytest.raises(CommandException, match="Every rung"):
        bench.engine.claim_wish(SHARE.symbol)


def test_a_claim_outlives_a_restart(bench: Bench) -> None:
    foreign(bench)
    run(bench.engine.claim(SHARE.symbol, "owner"))
    bench.broker.accept()
    bench.broker.deliver_all()
    lines = [{"kind": event.kind, **event.data} for event in bench.diary.events]
    claims = claimed(lines)
    assert [(one.symbol, one.quantity, one.value) for one in claims] == [(SHARE.symbol, 40, 40 * 9_950)]
    bench.broker.calls.clear()
    again = Bench(lambda b: bench.broker, LONG)
    bench.broker.clock = again.clock
    again.clock.advance_to(bench.now + 5 * SECOND)
    history = [(OPEN + SECOND, 0, 10_400, 0), (bench.now, 0, 10_000, 0), (again.now, 0, 10_010, 0)]
    run(again.engine.recover(history=history, claims=claims))
    assert not bench.broker.calls
    assert [(p.quantity, p.external, p.stop_resting) for p in again.engine.positions()] == [(40, False, True)]
    assert again.life().level == 9_750
    assert again.rung("filled") == 40
    assert not again.engine.external.get((SHARE.symbol, "MIS"))
    bench.broker.fill(bench.broker.working()[0].order_id, price=9_750)
    assert [trade.quantity for trade in again.engine.trades()] == [40]
    assert OrderStatus.COMPLETE.final


def test_an_exit_is_forced_beside_a_gtt_in_doubt() -> None:
    bench = Bench(lambda b: FakeVenue(b.clock), config(product=Product.CNC))
    bought(bench)
    call = bench.broker.last("place_gtt")
    bench.broker.doubt(call)
    wish = bench.engine.force_wish(SHARE.symbol)
    assert "GTT" in wish.text
    assert "30 too many" in wish.text
    bench.engine.force(SHARE.symbol, "owner")
    (request,) = sells(bench)
    assert (request.order_type, request.quantity, request.product) == (OrderType.LIMIT, 30, Product.CNC)
    bench.broker.accept(bench.broker.last("place"))
    bench.broker.deliver_all()
    bench.broker.act(call)
    bench.pulse(31)
    run(bench.engine.reconcile())
    assert bench.broker.last().what == "cancel_gtt"


def test_delivered_shares_of_earlier_days_and_of_today_are_claimed_together() -> None:
    bench = Bench(lambda b: FakeVenue(b.clock), config(product=Product.CNC))
    bench.price(10_000)
    bench.broker.held.append(Holding(SHARE.symbol, 12, 9_900))
    bench.broker.external.append(BrokerPosition(SHARE.symbol, Product.CNC, 8, 9_950))
    for _ in range(2):
        run(bench.engine.reconcile(over=True))
    run(bench.engine.claim(SHARE.symbol, "owner"))
    (position,) = bench.engine.positions()
    assert position.quantity == 20
    assert position.value == 12 * 9_900 + 8 * 9_950
