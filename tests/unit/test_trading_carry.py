"""A rung that is kept over night is the same rung in the morning: the broker knows how many, the journal whose."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from harness.bench import DAY, SHARE, Bench, config, run
from harness.venue import FakeVenue

from otrade_bot.core.events import Event
from otrade_bot.core.model import GttStatus, OrderRequest, OrderType, Product, Side
from otrade_bot.trading.carry import Carried, carry_in, remembered

NEXT = DAY + timedelta(days=1)
CNC = config(product=Product.CNC)


def journal(events: list[Event]) -> list[dict[str, Any]]:
    return [{"kind": str(e.kind), "ns": e.ts_ns, "symbol": e.symbol, "text": e.text, **e.data} for e in events]


def morning(path: Path, day: date, kept: list[Carried]) -> Bench:
    """A process that starts on ``day`` and finds the account of earlier days."""
    bench = Bench.paper(path, CNC, start=False, day=day)
    bench.engine.prepare(day)
    bench.broker.start_day(day)
    run(carry_in(bench.engine, kept))
    bench.engine.start_day(day)
    run(bench.engine.recover())
    return bench


def evening(path: Path) -> tuple[list[dict[str, Any]], Bench]:
    """A day on which one rung was bought and kept; its journal."""
    bench = morning(path, DAY, [])
    bench.signal()
    assert bench.life().held > 0
    return journal(bench.diary.events), bench


@pytest.fixture
def bought(tmp_path: Path) -> tuple[Path, list[dict[str, Any]], Any]:
    path = tmp_path / "paper.jsonl"
    lines, bench = evening(path)
    position = bench.engine.positions()[0]
    bench.broker.close()
    return path, lines, position


def active(bench: Bench) -> list[str]:
    return [g.gtt_id for g in run(bench.broker.get_gtts()) if g.status is GttStatus.ACTIVE]


def test_it_is_ours_again_with_its_cost_its_stop_and_its_gtt(bought: tuple[Path, list[dict[str, Any]], Any]) -> None:
    path, lines, before = bought
    bench = morning(path, NEXT, remembered(lines) or [])
    (now,) = bench.engine.positions()
    assert (now.symbol, now.strategy, now.rung, now.side, now.quantity, now.value) == (
        before.symbol, before.strategy, before.rung, before.side, before.quantity, before.value,
    )  # fmt: skip
    assert now.entry_ns == before.entry_ns
    assert (now.stop, now.target, now.stop_resting, now.external) == (before.stop, before.target, True, False)
    assert len(active(bench)) == 1
    assert not bench.alerts


def test_the_new_day_starts_its_own_counters(bought: tuple[Path, list[dict[str, Any]], Any]) -> None:
    path, lines, _ = bought
    bench = morning(path, NEXT, remembered(lines) or [])
    account = bench.engine.account[0]
    assert (account["trades"], account["charges"], account["realised"], account["rungs"]) == (0, 0, 0, 1)
    assert account["used"] == bench.engine.positions()[0].value


def test_without_the_journal_it_is_external_and_not_touched(bought: tuple[Path, list[dict[str, Any]], Any]) -> None:
    path, _, before = bought
    bench = morning(path, NEXT, [])
    (now,) = bench.engine.positions()
    assert now.external
    assert now.quantity == before.quantity


def test_its_stop_ends_it_on_the_later_day_and_the_whole_round_trip_is_booked(
    bought: tuple[Path, list[dict[str, Any]], Any],
) -> None:
    path, lines, before = bought
    bench = morning(path, NEXT, remembered(lines) or [])
    bench.prices(before.stop - 5, before.stop - 10, before.stop - 15)
    assert bench.engine.positions() == []
    (trade,) = bench.engine.trades()
    assert trade.entry_value == before.value
    assert trade.entry_ns == before.entry_ns
    assert trade.quantity == before.quantity
    held = [*run(bench.broker.get_holdings()), *run(bench.broker.get_positions())]
    assert sum(one.quantity for one in held) == 0


def test_a_restart_on_the_later_day_finds_what_was_sold_on_it(
    bought: tuple[Path, list[dict[str, Any]], Any],
) -> None:
    path, lines, before = bought
    kept = remembered(lines) or []
    bench = morning(path, NEXT, kept)
    bench.price(before.ltp)
    bench.engine.exit_row(0)
    bench.prices(before.ltp, before.ltp)
    assert bench.engine.positions() == []
    assert bench.life().held == 0
    bench.broker.close()
    again = morning(path, NEXT, kept)
    assert again.engine.positions() == []
    assert [t.net for t in again.engine.trades()] == [t.net for t in bench.engine.trades()]
    assert not again.alerts


def test_days_later_it_is_still_ours(bought: tuple[Path, list[dict[str, Any]], Any]) -> None:
    path, lines, before = bought
    day = DAY
    for _ in range(4):  # a weekend among them
        day = CNC.calendar.next_trading_day(day)
        bench = morning(path, day, remembered(lines) or [])
        lines = journal(bench.diary.events)
        (now,) = bench.engine.positions()
        assert (now.quantity, now.value, now.stop_resting) == (before.quantity, before.value, True)
        bench.broker.close()


def test_what_the_broker_no_longer_has_is_not_ours_and_is_said(
    bought: tuple[Path, list[dict[str, Any]], Any],
) -> None:
    path, lines, before = bought
    kept = [Carried(**{**vars_of(rung), "quantity": rung.quantity + 5}) for rung in remembered(lines) or []]
    bench = morning(path, NEXT, kept)
    assert [p.quantity for p in bench.engine.positions()] == [before.quantity]
    assert any(f"the broker has {before.quantity}" in text for text in bench.alerts)


def vars_of(rung: Carried) -> dict[str, Any]:
    return {name: getattr(rung, name) for name in rung.__dataclass_fields__}


def test_a_rung_whose_strategy_is_gone_stays_external_and_is_said(
    bought: tuple[Path, list[dict[str, Any]], Any],
) -> None:
    path, lines, _ = bought
    kept = [Carried(**{**vars_of(rung), "strategy": "another"}) for rung in remembered(lines) or []]
    bench = morning(path, NEXT, kept)
    assert [p.external for p in bench.engine.positions()] == [True]
    assert any("nothing configured trades it" in text for text in bench.alerts)


def test_what_a_human_bought_besides_stays_external(bought: tuple[Path, list[dict[str, Any]], Any]) -> None:
    path, lines, before = bought
    bench = Bench.paper(path, CNC, start=False, day=DAY)
    bench.engine.prepare(DAY)
    bench.at(10)
    bench.broker.on_price(SHARE.symbol, bench.now, before.ltp, 0)
    run(bench.broker.place(OrderRequest("", SHARE, Side.BUY, 3, Product.CNC, OrderType.MARKET, 0, 0)))
    bench.broker.close()
    later = morning(path, NEXT, remembered(lines) or [])
    assert sorted((p.external, p.quantity) for p in later.engine.positions()) == [(False, before.quantity), (True, 3)]


def line(kind: str, **data: Any) -> dict[str, Any]:
    return {"kind": kind, "symbol": "NSE:A", "strategy": "s", "rung": 1, "cycle": 1, "ns": 5, **data}


def fill(leg: str, quantity: int, value: int = 0, **more: Any) -> dict[str, Any]:
    return line("fill", leg=leg, side="BUY", quantity=quantity, value_paise=value, **more)


OPENED: dict[str, Any] = {"kind": "carry", "rungs": []}


def test_a_journal_without_an_opening_remembers_nothing() -> None:
    assert remembered([]) is None
    assert remembered([{"kind": "run"}, fill("entry", 10, 1000)]) is None


def test_fills_are_cumulative_and_may_come_twice_or_late() -> None:
    lines = [OPENED, fill("entry", 10, 1000), fill("entry", 4, 400), fill("exit", 3), fill("exit", 2)]
    assert remembered(lines) == [Carried("NSE:A", "s", 1, 1, "BUY", 7, 700, 0, 5)]


def test_what_was_left_altogether_is_not_kept() -> None:
    assert remembered([OPENED, fill("entry", 10, 1000), fill("exit", 10)]) == []


def test_the_newest_level_of_the_newest_cycle_counts() -> None:
    lines = [
        OPENED, fill("entry", 10, 1000), line("stop", level_paise=90), fill("exit", 10),
        fill("entry", 5, 600, cycle=2), line("stop", level_paise=95), line("stop", level_paise=97),
    ]  # fmt: skip
    assert remembered(lines) == [Carried("NSE:A", "s", 1, 2, "BUY", 5, 600, 97, 5)]


@pytest.mark.parametrize("rest", [0, 15])
def test_a_restart_while_the_gtts_own_order_works_takes_it_for_what_it_is(
    bought: tuple[Path, list[dict[str, Any]], Any], rest: int
) -> None:
    path, lines, before = bought
    kept = remembered(lines) or []
    bench = morning(path, NEXT, kept)
    bench.price(before.ltp, volume=1000)
    bench.price(before.stop - 5, volume=1000 + before.quantity - rest)
    assert sum(p.quantity for p in bench.engine.positions()) == rest
    bench.broker.close()
    again = morning(path, NEXT, kept)
    assert sum(p.quantity for p in again.engine.positions()) == rest
    assert again.engine.trades() == bench.engine.trades()
    assert not again.alerts, "it is ours, and nobody closed anything outside this program"
    assert active(again) == []
    assert len(run(again.broker.get_orderbook())) == 1, "its order works: no second one beside it"


def test_yesterdays_orders_that_a_broker_still_shows_in_the_morning_are_not_todays() -> None:
    lived = Bench(lambda b: FakeVenue(b.clock), CNC)
    lived.signal()
    lived.broker.fill(lived.broker.accept())
    lived.broker.deliver_all()
    lived.broker.accept()
    kept = remembered([{"kind": "carry", "rungs": []}, *journal(lived.diary.events)]) or []
    assert [one.quantity for one in kept] == [30]
    venue = lived.broker
    bench = Bench(lambda b: venue, CNC, start=False, day=NEXT)
    venue.clock = bench.clock
    bench.engine.prepare(NEXT)
    run(carry_in(bench.engine, kept))
    bench.engine.start_day(NEXT)
    run(bench.engine.recover())
    run(bench.engine.reconcile())
    assert bench.alerts == []
    assert [position.quantity for position in bench.engine.positions()] == [30]
    assert (bench.engine.account[0]["trades"], bench.engine.counters.signals) == (0, 0)
    assert bench.engine.manager.tags.sequence > 0, "their tags are not used again while they are shown"
