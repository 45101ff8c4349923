"""A kill between the journal line of an order and the broker's answer: the order is neither lost nor sent again."""

from __future__ import annotations

from typing import Any

from harness.bench import SHARE, Bench, run
from harness.venue import FakeVenue

from otrade_bot.core.clock import SECOND, iso
from otrade_bot.core.events import EventKind
from otrade_bot.core.model import OrderStatus, Product
from otrade_bot.trading.recover import HistoryTick
from otrade_bot.trading.unanswered import doubted, unanswered


class Killed:
    """An entry was registered and sent; the process died before it heard more."""

    def __init__(self, settings: Any = None) -> None:
        self.seen: list[HistoryTick] = []
        self.bench = Bench(lambda bench: FakeVenue(bench.clock), settings)
        self.bench.engine.add_price_listener(lambda symbol, ts, price, volume: self.seen.append((ts, 0, price, volume)))
        self.bench.signal()
        (self.call,) = self.bench.broker.open_calls()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [
            {"ts": iso(e.ts_ns), "ns": e.ts_ns, "kind": e.kind.value, "symbol": e.symbol, **e.data}
            for e in self.bench.diary.events
        ]

    def born_again(self, orders: int = 1) -> Bench:
        venue = self.bench.broker
        again = Bench(lambda bench: venue)
        again.clock.advance_to(self.bench.now + SECOND)
        venue.clock = again.clock
        pending = unanswered(self.lines, again.now)
        assert len(pending) == orders
        run(again.engine.recover(history=self.seen, pending=pending))
        return again

    @staticmethod
    def look(bench: Bench, seconds: int) -> None:
        bench.clock.advance_to(bench.now + seconds * SECOND)
        run(bench.engine.reconcile())


def test_an_order_that_shows_up_late_is_ours_and_is_protected() -> None:
    killed = Killed()
    again = killed.born_again()
    (life,) = again.manager.lives.values()
    assert life.held == 0
    assert not life.closed
    (order,) = life.entries
    assert order.unknown
    assert again.manager.frozen == {order.instrument.symbol}
    assert [text for text in again.alerts if "nobody knows whether it left" in text]
    venue = again.broker
    order_id = venue.act(killed.call).order_id
    venue.fill(order_id, say=False)
    killed.look(again, 20)
    assert life.held == order.request.quantity
    assert not again.manager.frozen
    stops = [order for order in venue.orders.values() if order.order_id != order_id]
    calls = [call for call in venue.open_calls() if call is not killed.call]
    assert [call.what for call in calls] == ["place"], "the stop, and nothing else"
    assert calls[0].request.quantity == life.held
    assert not stops


def test_nothing_is_bought_again_while_it_may_still_come() -> None:
    killed = Killed()
    again = killed.born_again()
    before = len(again.broker.calls)
    again.signal()
    again.signal()
    assert len(again.broker.calls) == before


def test_one_that_never_arrives_is_absent_after_two_minutes_and_two_reads_and_buying_goes_on() -> None:
    killed = Killed()
    killed.call.lost = True
    again = killed.born_again()
    (life,) = again.manager.lives.values()
    killed.look(again, 60)
    assert life.entries[0].unknown
    killed.look(again, 31)
    killed.look(again, 31)
    assert life.entries[0].status is OrderStatus.REJECTED
    assert not again.manager.frozen
    assert life.closed


def test_what_was_refused_is_long_past_or_in_the_book_is_not_doubted() -> None:
    killed = Killed()
    assert unanswered(killed.lines, killed.bench.now + 700 * SECOND) == []
    killed.bench.broker.refuse(killed.call)
    assert killed.bench.events(EventKind.ORDER)
    assert unanswered(killed.lines, killed.bench.now) == []
    shown = Killed()
    shown.bench.broker.accept(shown.call)
    products = {SHARE.symbol: Product.MIS}
    assert doubted(unanswered(shown.lines, shown.bench.now), run(shown.bench.broker.get_orderbook()), products) == []


def test_a_fill_of_which_the_book_knows_nothing_yet_is_ours_once_it_does() -> None:
    killed = Killed()
    venue = killed.bench.broker
    venue.fill(venue.accept(killed.call))
    venue.open_calls()[0].lost = True  # its stop
    row = venue.orders.pop("V001")
    again = killed.born_again(orders=2)
    assert again.engine.external == {}
    venue.orders["V001"] = row
    killed.look(again, 5)
    assert again.life().held == row.quantity
    assert not [text for text in again.alerts if "second one" in text]


def test_one_that_was_accepted_and_is_not_in_the_book_yet_is_not_forgotten() -> None:
    killed = Killed()
    venue = killed.bench.broker
    order_id = venue.accept(killed.call)
    row = venue.orders.pop(order_id)
    again = killed.born_again()
    (order,) = again.life().entries
    assert (order.order_id, bool(order.unknown)) == (order_id, True)
    for _ in range(6):
        killed.look(again, 31)
    assert order.unknown, "it has an id: it exists, whatever the book says"
    venue.orders[order_id] = row
    killed.look(again, 1)
    assert not order.unknown
    venue.fill(order_id)
    assert venue.last("place").request.quantity == row.quantity


def test_one_that_the_book_shows_is_no_doubt_though_nobody_heard_of_it() -> None:
    killed = Killed()
    killed.bench.broker.act(killed.call)
    again = killed.born_again()
    assert not again.manager.frozen
    assert again.life().entries[0].order_id == "V001"
