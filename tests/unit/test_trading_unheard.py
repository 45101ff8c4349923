"""After a recovery the journal ends as the broker's book does, also for what nobody heard."""

from __future__ import annotations

from typing import Any

from harness.bench import Bench, run
from harness.venue import FakeVenue

from otrade_bot.core.clock import SECOND, iso
from otrade_bot.core.events import EventKind
from otrade_bot.trading.recover import HistoryTick
from otrade_bot.trading.unheard import Written, written


class Left:
    """A process that holds a share under its stop, and is gone."""

    def __init__(self) -> None:
        self.seen: list[HistoryTick] = []
        self.bench = Bench(lambda bench: FakeVenue(bench.clock))
        self.bench.engine.add_price_listener(lambda symbol, ts, price, volume: self.seen.append((ts, 0, price, volume)))
        self.bench.signal()
        self.venue = self.bench.broker
        (call,) = self.venue.open_calls()
        self.entry = self.venue.accept(call)
        self.venue.fill(self.entry)
        (call,) = self.venue.open_calls()
        self.stop = self.venue.accept(call)
        self.venue.deliver_all()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return lines_of(self.bench)

    def again(self, known: Written | None) -> Bench:
        again = Bench(lambda bench: self.venue)
        again.clock.advance_to(self.bench.now + SECOND)
        self.venue.clock = again.clock
        run(again.engine.recover(history=self.seen, known=known))
        return again


def lines_of(bench: Bench) -> list[dict[str, Any]]:
    return [
        {"ts": iso(e.ts_ns), "ns": e.ts_ns, "kind": e.kind.value, "symbol": e.symbol, **e.data}
        for e in bench.diary.events
    ]


def test_a_stop_that_filled_while_nobody_listened_is_said_with_its_order() -> None:
    left = Left()
    left.venue.fill(left.stop, say=False)
    again = left.again(written(left.lines))
    (order,) = [line for line in lines_of(again) if line["kind"] == "order"]
    assert (order["leg"], order["status"], order["filled"]) == ("exit", "complete", order["quantity"])
    (fill,) = again.events(EventKind.FILL)
    assert (fill.data["leg"], fill.data["quantity"]) == ("exit", order["filled"])
    assert len(again.events(EventKind.TRADE)) == 1


def test_what_the_journal_has_is_not_said_again() -> None:
    left = Left()
    again = left.again(written(left.lines))
    assert [again.events(kind) for kind in (EventKind.ORDER, EventKind.FILL)] == [[], []]


def test_a_fill_whose_line_the_killed_process_had_not_written_is_said() -> None:
    left = Left()
    again = left.again(written(line for line in left.lines if line["kind"] != "fill"))
    (fill,) = again.events(EventKind.FILL)
    assert fill.data["leg"] == "entry"
    assert again.events(EventKind.ORDER) == []


def test_a_rung_of_which_the_journal_knows_nothing_stays_unsaid() -> None:
    left = Left()
    left.venue.fill(left.stop, say=False)
    for known in (None, Written()):
        again = left.again(known)
        assert [again.events(kind) for kind in (EventKind.ORDER, EventKind.FILL)] == [[], []]
