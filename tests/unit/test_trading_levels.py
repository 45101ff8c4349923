"""Stops and targets put by hand: they stay, they are asked back where they cost, and a restart knows them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from harness.bench import DAY, SHARE, Bench, config, run
from harness.venue import FakeVenue

from otrade_bot.core.clock import SECOND, iso
from otrade_bot.core.errors import CommandException
from otrade_bot.core.events import EventKind
from otrade_bot.core.model import ExitReason, Holding, OrderStatus, Product
from otrade_bot.trading.carry import carry_in, remembered
from otrade_bot.trading.decided import decided
from otrade_bot.trading.recover import HistoryTick

LONG = config(params={"short": False})
RUNNER = config("momentum_ladder", timeframe="1m")
NAME = SHARE.symbol


def lines_of(bench: Bench) -> list[dict[str, Any]]:
    """The journal as a start reads it."""
    return [
        {"ts": iso(e.ts_ns), "ns": e.ts_ns, "kind": e.kind.value, "symbol": e.symbol, **e.data}
        for e in bench.diary.events
    ]


@pytest.fixture
def bench() -> Bench:
    """30 at 100 rupees with a stop at 98 that rests; the last price is 100."""
    bench = Bench(lambda b: FakeVenue(b.clock), LONG)
    bench.signal()
    bench.broker.fill(bench.broker.accept(), say=False)
    bench.broker.deliver_all()
    bench.broker.accept()
    bench.broker.deliver_all()
    return bench


def settle(bench: Bench) -> None:
    """Every write arrives and is answered, and what came of it is told."""
    while bench.broker.open_calls():
        bench.broker.accept()
        bench.broker.deliver_all()


def refused(bench: Bench, which: str, value: Any, *words: str) -> None:
    before = len(bench.diary.events), len(bench.broker.calls)
    for ask in (bench.engine.level_wish, lambda *a: bench.engine.set_level(*a, "owner")):
        with pytest.raises(CommandException) as said:
            ask(NAME, 0, which, value)
        assert all(word in str(said.value) for word in words), said.value
    assert (len(bench.diary.events), len(bench.broker.calls)) == before


def test_a_tighter_stop_is_sent_at_once_and_stays_there(bench: Bench) -> None:
    assert not bench.engine.level_wish(NAME, 0, "stop", 9_900).asks
    said = bench.engine.set_level(NAME, 0, "stop", 9_900, "owner")
    assert "stop ₹98.00 → ₹99.00." in said
    assert "the old one rests there" in said
    assert f"/sl {NAME} P1 auto" in said
    assert bench.broker.last("modify").request["trigger"] == 9_900
    settle(bench)
    bench.prices(10_300, 9_950)
    assert [order.trigger for order in bench.broker.working()] == [9_900]
    assert "It rests at the broker." in bench.engine.set_level(NAME, 0, "stop", 9_900, "owner")


def test_a_looser_stop_is_asked_with_what_it_may_cost_and_a_yes_moves_it(bench: Bench) -> None:
    wish = bench.engine.level_wish(NAME, 0, "stop", 9_500)
    assert wish.asks
    assert "30 held would end at -₹150.00 instead of -₹60.00" in wish.text
    assert len(bench.broker.calls) == 2
    bench.engine.set_level(NAME, 0, "stop", 9_500, "owner")
    settle(bench)
    assert [(o.trigger, o.quantity) for o in bench.broker.working()] == [(9_500, 30)]
    assert bench.engine.level_wish(NAME, 0, "stop", 9_400).shown != wish.shown


def test_the_stop_is_rounded_to_the_tick_size_and_that_is_said(bench: Bench) -> None:
    assert "Rounded to the tick size of ₹0.05." in bench.engine.set_level(NAME, 0, "stop", 9_903, "owner")
    assert bench.life().level == 9_905


def test_a_stop_beyond_the_price_is_refused_as_it_would_be_an_exit(bench: Bench) -> None:
    for level in (10_000, 10_100):
        refused(bench, "stop", level, "would go off at once", f"/close {NAME} P1")


def test_a_target_that_has_been_reached_is_refused(bench: Bench) -> None:
    for level in (10_000, 9_900):
        refused(bench, "target", level, "has reached", f"/close {NAME} P1")


def test_nothing_is_moved_of_what_is_not_open_is_being_left_or_has_no_price(bench: Bench) -> None:
    refused(bench, "stop", "off", "never left without a stop")
    refused(bench, "stop", 0, "above zero")
    with pytest.raises(CommandException, match="P2 of NSE:ALPHA is not open: P1"):
        bench.engine.level_wish(NAME, 2, "stop", 9_900)
    with pytest.raises(CommandException, match="Nothing of NSE:BRAVO is open"):
        bench.engine.level_wish("NSE:BRAVO", 0, "stop", 9_900)
    bench.rows[0].ltp = 0
    refused(bench, "stop", 9_900, "No price of NSE:ALPHA is known")
    bench.rows[0].ltp = 10_000
    bench.engine.exit_row(0)
    refused(bench, "stop", 9_900, "is being closed already (flatten)")


def test_what_is_still_being_bought_has_no_level_to_move() -> None:
    bench = Bench(lambda b: FakeVenue(b.clock), LONG)
    bench.signal()
    bench.broker.accept()
    refused(bench, "stop", 9_900, "still being bought")


def test_nothing_is_decided_while_another_engine_reads_the_books(bench: Bench) -> None:
    """It may have read the journal already, and would not know."""
    bench.engine.leave()
    refused(bench, "stop", 9_900, "books are being read")
    with pytest.raises(CommandException, match="books are being read"):
        bench.engine.close(NAME, 0, "all", "owner")


def test_a_stop_whose_order_is_in_doubt_is_not_called_watched(bench: Bench) -> None:
    bench.engine.set_level(NAME, 0, "stop", 9_850, "owner")
    bench.broker.doubt()
    assert "in doubt: it is moved there once that has ended" in bench.engine.set_level(NAME, 0, "stop", 9_900, "owner")


def test_auto_gives_the_stop_back_and_is_asked_where_that_is_looser(bench: Bench) -> None:
    bench.engine.set_level(NAME, 0, "stop", 9_900, "owner")
    settle(bench)
    assert bench.engine.level_wish(NAME, 0, "stop", "auto").asks
    said = bench.engine.set_level(NAME, 0, "stop", "auto", "owner")
    assert "the strategy's own again" in said
    settle(bench)
    assert bench.broker.working()[0].trigger == 9_800
    assert bench.rung("hand_stop") == 0


def test_a_runner_gets_its_stop_back_from_the_best_price_it_has_seen(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "p", LONG)
    bench.engine.params[0]["trail"][0] = 1
    bench.signal()
    bench.engine.set_level(NAME, 1, "stop", 9_700, "owner")
    bench.prices(10_100, 10_200)
    assert [o.trigger for o in bench.engine.orders() if o.status is OrderStatus.TRIGGER_PENDING] == [9_700]
    assert not bench.engine.level_wish(NAME, 1, "stop", "auto").asks
    bench.engine.set_level(NAME, 1, "stop", "auto", "owner")
    assert bench.life().level == 9_995  # 2 % below 102.00, down to the tick
    bench.price(10_300)
    assert bench.life().level == 10_090
    bench.broker.close()


def test_a_target_by_hand_is_where_it_leaves_and_off_is_asked_first(bench: Bench) -> None:
    assert bench.engine.level_wish(NAME, 0, "target", "off").asks
    assert not bench.engine.level_wish(NAME, 0, "target", 10_200).asks
    bench.engine.set_level(NAME, 0, "target", "off", "owner")
    bench.price(10_450)
    assert bench.life().wanted is None
    bench.engine.set_level(NAME, 0, "target", 10_500, "owner")
    bench.price(10_500)
    assert bench.life().wanted is ExitReason.TARGET


def test_what_is_decided_is_in_the_journal_before_anything_is_sent(bench: Bench) -> None:
    seen: list[int] = []
    bench.broker.on_send = lambda call: seen.append(len(bench.events(EventKind.LEVEL)))
    bench.engine.set_level(NAME, 0, "stop", 9_900, "owner")
    assert seen == [1]
    line = bench.events(EventKind.LEVEL)[0]
    assert (line.data["by"], line.data["level_paise"], line.data["hand"]) == ("owner", 9_900, True)
    assert line.text == "NSE:ALPHA P1: stop ₹98.00 → ₹99.00, set by owner"
    assert [e.data["level_paise"] for e in bench.events(EventKind.STOP) if e.severity > 10] == [9_800], "told once"


def test_a_journal_that_cannot_be_written_stops_no_stop_and_is_said(bench: Bench) -> None:
    bench.diary.broken = True
    said = bench.engine.set_level(NAME, 0, "stop", 9_900, "owner")
    assert "A restart may not know of it" in said
    assert bench.broker.last("modify").request["trigger"] == 9_900


# --- a restart ----------------------------------------------------------------------------------------------------


def reborn(bench: Bench, history: list[HistoryTick], settings: Any = LONG) -> Bench:
    """A new process on the same venue: what was on its way is lost."""
    venue = bench.broker
    lines = lines_of(bench)
    again = Bench(lambda b: venue, settings)
    venue.clock, venue.calls, venue.report = again.clock, [], again.engine.on_report
    again.clock.advance_to(bench.now + SECOND)
    run(again.engine.recover(history=history, decided=decided(lines)))
    return again


def watched(settings: Any = LONG, venue: Any = FakeVenue) -> tuple[Bench, list[HistoryTick]]:
    bench, seen = Bench(lambda b: venue(b.clock), settings), []
    bench.engine.add_price_listener(lambda symbol, ts, price, volume: seen.append((ts, 0, price, volume)))
    bench.signal()
    bench.broker.fill(bench.broker.accept(), say=False)
    bench.broker.deliver_all()
    bench.broker.accept()
    bench.broker.deliver_all()
    return bench, seen


@pytest.mark.parametrize("level", [9_500, 9_900])
@pytest.mark.parametrize("arrived", [True, False])
def test_a_stop_by_hand_survives_a_kill_before_and_after_it_reached_the_broker(level: int, arrived: bool) -> None:
    bench, seen = watched()
    bench.engine.set_level(NAME, 0, "stop", level, "owner")
    if arrived:
        settle(bench)
    again = reborn(bench, seen)
    assert [call.what for call in again.broker.calls] == ([] if arrived else ["modify"])
    settle(again)
    assert [(o.trigger, o.quantity) for o in again.broker.working()] == [(level, 30)]
    assert (again.life().level, again.life().hand, again.rung("hand_stop")) == (level, True, 1)
    again.prices(10_300, 9_950)
    assert again.life().level == level


def test_a_stop_given_back_before_a_kill_is_the_strategys_own_although_the_other_one_rests() -> None:
    bench, seen = watched()
    bench.engine.set_level(NAME, 0, "stop", 9_900, "owner")
    settle(bench)
    bench.price(10_010)
    bench.engine.set_level(NAME, 0, "stop", "auto", "owner")
    again = reborn(bench, seen)
    settle(again)
    assert [o.trigger for o in again.broker.working()] == [9_800]
    assert not again.life().hand


def test_targets_by_hand_survive_a_kill() -> None:
    for value, left in ((10_200, True), ("off", False)):
        bench, seen = watched()
        bench.engine.set_level(NAME, 0, "target", value, "owner")
        again = reborn(bench, seen)
        again.price(10_200)
        again.price(10_450)
        assert (again.life().wanted is not None) == left


def test_a_level_of_an_earlier_cycle_is_none_of_the_next_one() -> None:
    bench, seen = watched()
    bench.engine.set_level(NAME, 0, "stop", 9_900, "owner")
    settle(bench)
    bench.broker.fill(bench.broker.working()[0].order_id, price=9_900)
    bench.signal(9_800)
    bench.broker.fill(bench.broker.accept(), price=9_800, say=False)
    bench.broker.deliver_all()
    settle(bench)
    assert bench.life().level == 9_605
    again = reborn(bench, seen)
    assert (again.life().level, again.life().hand) == (9_605, False)


# --- delivery ------------------------------------------------------------------------------------------------------


def test_a_gtt_is_moved_at_once_for_a_human_and_a_target_becomes_its_second_leg() -> None:
    bench, _ = watched(config(product=Product.CNC, params={"short": False}))
    bench.broker.gtt_pace_seconds = 600.0
    bench.engine.set_level(NAME, 0, "stop", 9_805, "owner")
    settle(bench)
    assert [leg.trigger for leg in bench.broker.gtts["G1"].legs] == [9_805, 10_400]
    bench.engine.set_level(NAME, 0, "target", 10_200, "owner")
    settle(bench)
    assert [leg.trigger for leg in bench.broker.gtts["G1"].legs] == [9_805, 10_200]
    bench.engine.set_level(NAME, 0, "target", "off", "owner")
    settle(bench)
    assert [leg.trigger for leg in bench.broker.gtts["G1"].legs] == [9_805]
    bench.engine.set_level(NAME, 0, "target", 10_300, "owner")
    settle(bench)
    assert "It rests at the broker." in bench.engine.set_level(NAME, 0, "target", 10_300, "owner")


def test_levels_by_hand_are_carried_over_night() -> None:
    settings = config(product=Product.CNC, params={"short": False})
    bench, _ = watched(settings)
    run(carry_in(bench.engine, []))
    bench.engine.set_level(NAME, 0, "stop", 9_500, "owner")
    bench.engine.set_level(NAME, 0, "target", "off", "owner")
    settle(bench)
    kept = remembered(lines_of(bench), "venue")
    assert kept is not None
    assert [(one.level, one.hand_stop, one.hand_target, one.target) for one in kept] == [(9_500, True, True, 0)]
    venue = bench.broker
    again = Bench(lambda b: venue, settings, start=False, day=DAY + timedelta(days=1))
    venue.clock, venue.orders, venue.external = again.clock, {}, []
    venue.held = [Holding(NAME, 30, 10_000)]
    again.engine.prepare(again.day)
    run(carry_in(again.engine, kept))
    again.engine.start_day(again.day)
    run(again.engine.recover())
    life = again.life()
    assert (life.level, life.target, life.hand) == (9_500, 0, True)
    assert (again.rung("hand_stop"), again.rung("hand_target")) == (1, 1)
    assert life.gtt is not None
    assert (life.gtt.gtt_id, life.gtt.level) == ("G1", 9_500)
    next_day = remembered(lines_of(again), "venue")
    assert next_day is not None
    assert [(one.level, one.hand_stop) for one in next_day] == [(9_500, True)]
