"""A rung that is kept over night is the same rung in the morning: the broker knows how many, the journal whose."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from harness.bench import DAY, SHARE, Bench, config, run
from harness.venue import FakeVenue

from otrade_bot.core.clock import SECOND
from otrade_bot.core.events import Event, EventKind
from otrade_bot.core.jsonlines import LineLog
from otrade_bot.core.model import GttStatus, OrderRequest, OrderType, Product, Side
from otrade_bot.service.accounts import Books
from otrade_bot.service.desk import Desk, decided_after, kept_before
from otrade_bot.service.journal import day_path
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


# --- decided while nobody traded ---------------------------------------------------------------------------------


RUNG: dict[str, Any] = {"symbol": "NSE:A", "strategy": "s", "rung": 1, "cycle": 1}
FRIDAY, SATURDAY, MONDAY = date(2026, 9, 18), date(2026, 9, 19), date(2026, 9, 21)


def by_hand(what: str, level: int, hand: bool = True) -> dict[str, Any]:
    return {"kind": "level", **RUNG, "what": what, "level_paise": level, "hand": hand}


def opening(level: int = 90, **more: Any) -> dict[str, Any]:
    """As each start on a day writes it."""
    held = {**RUNG, "side": "BUY", "quantity": 10, "value": 1000, "level": level, "entry_ns": 5, **more}
    return {"kind": "carry", "ns": 1, "rungs": [held]}


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0), (1, 0, 0)])
def test_what_was_put_by_hand_outlives_further_starts_on_its_day(order: tuple[int, ...]) -> None:
    """Each of them opens the day with what earlier days had told."""
    days = [opening()], [by_hand("stop", 80), by_hand("target", 0)], [opening()]
    kept = remembered([one for place in order for one in days[place]])
    assert kept is not None
    assert [(one.level, one.hand_stop, one.hand_target, one.target) for one in kept] == [(80, True, True, 0)]


def test_a_stop_given_back_on_the_day_is_given_back_for_its_later_starts() -> None:
    kept = remembered([opening(80, hand_stop=True), by_hand("stop", 91, hand=False), opening(80, hand_stop=True)])
    assert [(one.level, one.hand_stop) for one in kept or []] == [(91, False)]


def write(state: Path, day: date, *lines: dict[str, Any]) -> None:
    path = day_path(state, day)
    path.parent.mkdir(exist_ok=True)
    with LineLog(path) as log:
        log.append_many(lines, durable=False)


def test_what_was_decided_at_the_week_end_is_known_there_and_on_monday(tmp_path: Path) -> None:
    write(tmp_path, FRIDAY, opening())
    said = [by_hand("target", 0), {"kind": "close", **RUNG, "whole": True, "part": 0}]
    write(tmp_path, SATURDAY, {"kind": "run", "broker": "paper"}, *said)
    assert [one["kind"] for one in decided_after(tmp_path, FRIDAY, SATURDAY, "paper")] == ["level", "close"]
    assert decided_after(tmp_path, FRIDAY, SATURDAY, "kite") == []
    (rung,), _ = kept_before(tmp_path, MONDAY, CNC, Books(), "paper")
    assert (rung.hand_target, rung.target, rung.closing) == (True, 0, True)


def test_a_part_of_friday_is_not_closed_again_by_a_start_at_the_week_end(tmp_path: Path) -> None:
    """The broker has forgotten the day's orders; what the day has left is kept, and what it had decided is done."""
    path = tmp_path / "paper.jsonl"
    bench = morning(path, DAY, [])
    bench.signal()
    bench.engine.close(SHARE.symbol, 0, "half", "owner")
    lines = journal(bench.diary.events)
    left = bench.life().held
    bench.broker.close()
    again = Bench.paper(path, CNC, start=False, day=DAY)
    again.clock.advance_to(bench.now + 3 * 24 * 3600 * SECOND)
    again.broker.get_orderbook = again.broker.get_trades = nothing
    again.broker.start_day(DAY)
    desk = Desk(DAY, again.engine, Cleared())  # type: ignore[arg-type]
    run(desk.start([], remembered(lines), over=True))
    run(desk.recover([], lines, again.now, over=True))
    assert again.events(EventKind.CARRY) == [], "the day's own lines tell what it has left"
    assert (again.life().held, again.life().parting, again.life().gtt_alive) == (left, 0, True)
    assert again.events(EventKind.CLOSE) == []
    assert again.alerts == []


async def nothing() -> list[Any]:
    return []


class Cleared:
    """An account whose broker clears a day's orders over night."""

    shows_late = True

    def start_day(self, day: date) -> None:
        pass

    def catch_up(self, past: Any) -> None:
        pass
