"""Nobody knows how a write ended: the books tell, a late row is believed, and a silence is asked about."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from harness.bench import SHARE, Bench, run
from harness.venue import FakeVenue

from otrade_bot.core.clock import SECOND
from otrade_bot.core.errors import BrokerException
from otrade_bot.core.model import Block, BrokerOrder, OrderStatus, OrderType, Side


class Venue(FakeVenue):
    """Keeps what an order went through; rows can stay out of the book for a while."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.past: dict[str, list[BrokerOrder]] = {}
        self.hidden: set[str] = set()
        self.no_history = False
        self.reads = 0

    def change(self, order_id: str, *, say: bool = True, **fields: Any) -> None:
        super().change(order_id, say=False, **fields)
        self.past.setdefault(order_id, []).append(self.orders[order_id])
        if say:
            self.deliver(len(self.outbox) - 1)

    async def get_orderbook(self) -> Sequence[BrokerOrder]:
        self.reads += 1
        return [order for order in self.orders.values() if order.order_id not in self.hidden]

    async def order_history(self, order_id: str) -> Sequence[BrokerOrder]:
        if self.no_history or order_id not in self.past:
            raise BrokerException("no history")
        return list(self.past[order_id])


@pytest.fixture
def bench() -> Bench:
    return Bench(lambda b: Venue(b.clock))


def entered(bench: Bench) -> str:
    bench.signal()
    order_id: str = bench.broker.accept()
    bench.broker.deliver_all()
    return order_id


def protected(bench: Bench) -> str:
    bench.broker.fill(entered(bench))
    stop: str = bench.broker.accept()
    bench.broker.deliver_all()
    assert bench.life().protected
    return stop


def moved_into_doubt(bench: Bench, *, arrived: bool) -> str:
    """The stop's move to 99 has no answer."""
    stop = protected(bench)
    bench.manager.set_stop(0, 0, 1, 9_900, 0)
    call = bench.broker.last()
    if arrived:
        bench.broker.act(call)
    bench.broker.outbox.clear()
    bench.broker.doubt(call, lost=not arrived)
    assert bench.life().exits[0].doubt == "modify"
    return stop


# --- modifications and cancels --------------------------------------------------------------------------


def test_a_change_in_doubt_that_the_history_shows_is_taken_as_made(bench: Bench) -> None:
    moved_into_doubt(bench, arrived=True)
    run(bench.engine.reconcile())
    stop = bench.life().exits[0]
    assert (stop.unknown, stop.trigger) == ("", 9_900)
    assert [call.what for call in bench.broker.calls].count("modify") == 1
    assert not bench.manager.frozen


def test_a_change_in_doubt_that_the_history_lacks_is_sent_again_but_not_at_once(bench: Bench) -> None:
    stop = moved_into_doubt(bench, arrived=False)
    run(bench.engine.reconcile())
    assert bench.life().exits[0].unknown  # it may be on its way still
    bench.pulse(4)
    run(bench.engine.reconcile())
    call = bench.broker.last()
    assert (call.what, call.order_id, call.request["trigger"]) == ("modify", stop, 9_900)
    assert [c.what for c in bench.broker.calls].count("modify") == 2
    assert any("did not take effect" in text for text in bench.alerts)


def test_a_change_that_the_broker_is_still_at_work_on_stays_in_doubt(bench: Bench) -> None:
    stop = moved_into_doubt(bench, arrived=False)
    row = bench.broker.orders[stop]
    bench.broker.past[stop].append(replace(row, status=OrderStatus.OPEN, status_word="MODIFY VALIDATION PENDING"))
    for _ in range(5):
        bench.pulse(5)
        run(bench.engine.reconcile())
    assert bench.life().exits[0].unknown
    bench.broker.past[stop].append(replace(row, trigger=9_900, status_word="TRIGGER PENDING"))
    run(bench.engine.reconcile())
    assert not bench.life().exits[0].unknown
    assert [c.what for c in bench.broker.calls].count("modify") == 1


def test_an_old_report_ends_no_doubt_about_a_change(bench: Bench) -> None:
    stop = moved_into_doubt(bench, arrived=False)
    for told in list(bench.broker.told):
        if told.order_id == stop:
            bench.broker.report(told)
    assert bench.life().exits[0].unknown
    bench.broker.change(stop, trigger=9_900)
    assert not bench.life().exits[0].unknown


def test_a_history_that_cannot_be_read_leaves_it_to_the_book_after_half_a_minute(bench: Bench) -> None:
    moved_into_doubt(bench, arrived=False)
    bench.broker.no_history = True
    bench.pulse(20)
    run(bench.engine.reconcile())
    assert bench.life().exits[0].unknown
    bench.pulse(11)
    run(bench.engine.reconcile())
    assert not bench.life().exits[0].unknown


def test_a_cancel_in_doubt_that_was_made_ends_with_its_final_row(bench: Bench) -> None:
    order_id = entered(bench)
    bench.pulse(31)
    call = bench.broker.last("cancel")
    bench.broker.act(call)
    bench.broker.outbox.clear()
    bench.broker.doubt(call)
    run(bench.engine.reconcile())
    assert bench.life().entries[0].status is OrderStatus.CANCELLED
    assert bench.broker.orders[order_id].status is OrderStatus.CANCELLED
    assert bench.life().closed
    assert not bench.manager.frozen


def test_a_cancel_in_doubt_that_was_not_made_is_asked_for_again(bench: Bench) -> None:
    entered(bench)
    bench.pulse(31)
    bench.broker.doubt(bench.broker.last("cancel"), lost=True)
    bench.pulse(4)
    run(bench.engine.reconcile())
    bench.pulse(1)
    assert [call.what for call in bench.broker.calls] == ["place", "cancel", "cancel"]


def test_an_exit_in_doubt_is_said_at_once_with_what_a_human_may_do(bench: Bench) -> None:
    moved_into_doubt(bench, arrived=False)
    (said,) = [text for text in bench.alerts if "nobody knows" in text]
    assert f"/force {SHARE.symbol}" in said
    assert "nothing is sold twice" in said


def test_a_stop_in_doubt_is_named_by_every_minutes_comparison(bench: Bench) -> None:
    bench.broker.fill(entered(bench))
    bench.broker.doubt(lost=True)
    assert "risk of selling twice" in bench.alerts[-1]
    for _ in range(2):
        run(bench.engine.reconcile())
        bench.pulse(60.5)
    named = [text for text in bench.alerts if "in doubt since" in text]
    assert len(named) == 2
    assert "P1" in named[0]
    assert "30 held may be unprotected" in named[0]


# --- placements ---------------------------------------------------------------------------------------------


async def test_a_read_that_was_under_way_when_the_doubt_began_does_not_count(bench: Bench) -> None:
    bench.signal()
    began = bench.now
    bench.pulse(1)
    bench.broker.doubt(lost=True)
    from otrade_bot.trading.doubt import settle_book

    settle_book(bench.manager, [], began)
    assert bench.life().entries[0].absent_reads == 0
    settle_book(bench.manager, [], bench.now)
    assert bench.life().entries[0].absent_reads == 1


def absent(bench: Bench) -> None:
    """Two minutes and the reads after which an order counts as never placed."""
    for _ in range(5):
        bench.pulse(31)
        run(bench.engine.reconcile())


def test_an_entry_that_shows_up_after_it_was_taken_for_never_placed_is_taken_back(bench: Bench) -> None:
    bench.signal()
    call = bench.broker.last()
    bench.broker.doubt(call)
    absent(bench)
    assert bench.life().entries[0].status is OrderStatus.REJECTED
    bench.broker.act(call)
    bench.broker.deliver_all()
    assert (bench.broker.last().what, bench.broker.last().order_id) == ("cancel", "V001")
    assert Block.ERROR in bench.engine.blocks
    bench.broker.accept()
    bench.broker.deliver_all()
    assert not bench.broker.working()


def test_an_entry_that_fills_after_it_was_taken_for_never_placed_is_protected(bench: Bench) -> None:
    bench.signal()
    call = bench.broker.last()
    bench.broker.doubt(call)
    absent(bench)
    bench.broker.act(call)
    bench.broker.outbox.clear()
    bench.broker.fill("V001")
    assert bench.life().held == 30
    request = bench.broker.last("place").request
    assert (request.side, request.quantity, request.order_type) == (Side.SELL, 30, OrderType.SL_M)
    assert Block.ERROR in bench.engine.blocks


def test_an_order_taken_for_never_placed_that_the_book_shows_as_ended_alarms_nobody(bench: Bench) -> None:
    bench.signal()
    call = bench.broker.last()
    bench.broker.doubt(call)
    absent(bench)
    bench.broker.act(call)
    bench.broker.outbox.clear()
    bench.broker.change("V001", status=OrderStatus.CANCELLED)
    assert bench.life().entries[0].status is OrderStatus.CANCELLED
    assert not bench.engine.blocks
    assert len(bench.broker.calls) == 1


def test_of_a_late_stop_and_the_one_in_its_stead_one_is_cancelled(bench: Bench) -> None:
    bench.broker.fill(entered(bench))
    call = bench.broker.last()
    bench.broker.doubt(call)
    absent(bench)
    bench.broker.accept()  # the one in its stead
    bench.broker.deliver_all()
    bench.broker.act(call)
    bench.broker.deliver_all()
    cancel = bench.broker.last()
    assert cancel.what == "cancel"
    bench.broker.accept()
    bench.broker.deliver_all()
    (left,) = bench.broker.working()
    assert left.quantity == 30
    assert bench.life().covered == bench.life().held == 30
    bench.pulse(5)
    assert bench.broker.last() is cancel


def test_a_refused_order_that_works_all_the_same_is_believed(bench: Bench) -> None:
    bench.signal()
    call = bench.broker.last()
    call.lost = False
    from otrade_bot.core.model import Refused

    bench.broker.answer(call, Refused("too many requests", "NetworkException"))
    bench.broker.act(call)
    bench.broker.deliver_all()
    assert bench.broker.last().what == "cancel"


# --- silence --------------------------------------------------------------------------------------------------


async def looked(bench: Bench) -> None:
    assert bench.engine.asking is not None
    await asyncio.wait_for(asyncio.shield(bench.engine.asking), 5)


async def test_a_placement_in_doubt_is_looked_for_within_seconds(bench: Bench) -> None:
    bench.signal()
    call = bench.broker.last()
    bench.broker.act(call)
    bench.broker.outbox.clear()
    bench.broker.doubt(call)
    assert bench.engine.asking is None
    bench.pulse(1.1)
    await looked(bench)
    assert bench.life().entries[0].order_id == "V001"
    assert not bench.manager.frozen


async def test_a_stop_of_whose_acceptance_no_report_comes_is_seen_within_seconds(bench: Bench) -> None:
    bench.broker.fill(entered(bench))
    bench.broker.accept()
    bench.broker.outbox.clear()  # Kite tells nothing of a mere placement
    assert not bench.life().protected
    bench.pulse(1.1)
    await looked(bench)
    assert bench.life().protected
    bench.engine.exit_row(0)
    assert bench.broker.last().what == "modify"


async def test_a_fill_whose_report_was_lost_is_protected_within_seconds(bench: Bench) -> None:
    bench.signal()
    bench.broker.fill(bench.broker.accept(), say=False)
    bench.broker.outbox.clear()
    bench.pulse(1.1)
    await looked(bench)
    assert bench.life().held == 30
    assert bench.broker.last().request.order_type is OrderType.SL_M


async def test_a_refused_change_of_an_order_that_has_ended_unheard_is_looked_into(bench: Bench) -> None:
    stop = protected(bench)
    bench.broker.fill(stop, price=9_800, say=False)
    bench.broker.outbox.clear()
    bench.manager.set_stop(0, 0, 1, 9_900, 0)
    bench.broker.refuse(why="it is complete")
    bench.pulse(1.1)
    await looked(bench)
    assert bench.life().closed
    assert [trade.quantity for trade in bench.engine.trades()] == [30]


async def test_a_cancel_whose_end_nobody_reports_is_looked_into(bench: Bench) -> None:
    entered(bench)
    bench.pulse(31)
    bench.broker.accept(bench.broker.last("cancel"))
    bench.broker.outbox.clear()
    bench.pulse(1.1)
    await looked(bench)
    assert bench.life().closed


async def test_looks_come_ever_more_slowly_and_never_two_at_once(bench: Bench) -> None:
    bench.signal()
    bench.broker.doubt(lost=True)
    times: list[float] = []
    start, reads = bench.now, 0
    for _ in range(60):
        bench.pulse(1)
        if bench.engine.asking is not None:
            await looked(bench)
        if bench.broker.reads > reads:
            reads = bench.broker.reads
            times.append((bench.now - start) / SECOND)
    assert times == [1, 2, 4, 8, 16, 31, 46]


async def test_a_quiet_engine_asks_nothing(bench: Bench) -> None:
    protected(bench)
    for _ in range(20):
        bench.pulse(1)
    assert bench.engine.asking is None
    assert bench.broker.reads == 0


def test_a_stop_that_shows_up_after_its_rung_has_ended_is_cancelled_until_that_is_taken(bench: Bench) -> None:
    bench.broker.fill(entered(bench))
    call = bench.broker.last()
    bench.broker.doubt(call)
    absent(bench)
    bench.broker.accept()
    bench.broker.deliver_all()
    bench.broker.fill("V002", price=9_800)
    assert bench.life().closed
    bench.broker.act(call)
    bench.broker.deliver_all()
    bench.broker.refuse(why="busy")
    bench.pulse(1.1)
    bench.broker.accept(bench.broker.last("cancel"))
    bench.broker.deliver_all()
    assert not bench.broker.working()
    assert len([c for c in bench.broker.calls if c.what == "cancel"]) == 2


# --- somebody else with our mark ------------------------------------------------------------------------------


@pytest.mark.parametrize("told_by", ["stream", "book"])
def test_an_order_with_our_mark_that_we_did_not_send_stops_entries_and_is_said_once(bench: Bench, told_by: str) -> None:
    order_id = entered(bench)
    tag = bench.broker.orders[order_id].tag
    other = replace(bench.broker.orders[order_id], order_id="V900", tag=tag[:-1] + "Z", filled=30, value=300_000)
    bench.broker.orders["V900"] = other
    for _ in range(2):
        if told_by == "stream":
            bench.broker.report(other)
        run(bench.engine.reconcile())
    assert bench.engine.blocks == {Block.ERROR}
    assert len([text for text in bench.alerts if "second one" in text]) == 1
    assert [call.what for call in bench.broker.calls] == ["place"]


@pytest.mark.parametrize("tag", ["", "hand1", "0B7AAA1E00010001"])
def test_an_order_with_another_mark_stops_nothing(bench: Bench, tag: str) -> None:
    order_id = entered(bench)
    bench.broker.orders["V900"] = replace(bench.broker.orders[order_id], order_id="V900", tag=tag)
    run(bench.engine.reconcile())
    assert not bench.engine.blocks


def test_orders_of_a_strategy_that_left_the_settings_are_no_second_service(bench: Bench) -> None:
    order_id = entered(bench)
    tag = bench.broker.orders[order_id].tag
    gone = replace(bench.broker.orders[order_id], order_id="V900", tag=tag[:3] + "ZZZ" + tag[6:])
    bench.broker.orders = {"V900": gone}
    again = Bench(lambda b: bench.broker)
    run(again.engine.recover())
    run(again.engine.reconcile())
    assert not again.engine.blocks
    assert any("nothing configured trades it" in text for text in again.alerts)


def test_a_report_before_recovery_is_no_second_service_and_its_order_is_ours_afterwards(bench: Bench) -> None:
    order_id = entered(bench)
    again = Bench(lambda b: bench.broker)
    again.clock.advance_to(bench.now + 2 * SECOND)
    again.engine.blocks.add(Block.RECOVERY)
    bench.broker.change(order_id, price=5)
    assert not again.alerts
    run(again.engine.recover())
    assert not again.engine.blocks
    assert again.life().entries[0].order_id == order_id
