"""From the end of continuous trading to the next open the card, the views and a notice name what is unprotected."""

from __future__ import annotations

from pathlib import Path

from harness.bench import AUCTIONED, OTHER, SHARE, Bench, config, run
from harness.gtt_venues import Single
from harness.venue import FakeVenue

from otrade_bot.control import views
from otrade_bot.control.news.notices import describe
from otrade_bot.control.views_checks import health_checks
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.model import GttStatus, Product
from otrade_bot.service.jobs import _held

HOURS = "its GTT goes off in market hours only"


def holding(tmp_path: Path) -> Bench:
    """A delivery rung of an auction share and one of another, both with their GTTs."""
    settings = config(product=Product.CNC, symbols=(AUCTIONED.symbol, OTHER.symbol))
    bench = Bench.paper(tmp_path / "p", settings, instruments=(AUCTIONED, OTHER))
    bench.signal(row=0)
    bench.signal(row=1)
    assert [p.stop_resting for p in bench.engine.positions()] == [True, True]
    return bench


def closes(bench: Bench) -> list[Event]:
    return [e for e in bench.events(EventKind.SESSION) if e.data["boundary"] == "close"]


def test_in_continuous_trading_a_resting_gtt_protects(tmp_path: Path) -> None:
    bench = holding(tmp_path)
    assert [(p.unprotected, p.watched) for p in bench.engine.positions()] == [("", ""), ("", "")]


def test_at_1515_the_auction_shares_are_named_and_at_1530_the_others_too(tmp_path: Path) -> None:
    bench = holding(tmp_path)
    bench.at(15, 14)
    assert closes(bench) == []
    bench.at(15, 15)
    (first,) = closes(bench)
    assert first.data["unprotected"] == [f"{HOURS}: NSE:CHARLIE P1"]
    assert first.severity is Severity.WARNING
    told = describe(first)
    assert told is not None
    assert "UNPROTECTED until the next open:" in told.to_plain()
    assert f"{HOURS}: CHARLIE P1" in told.to_plain()
    assert [p.unprotected for p in bench.engine.positions()] == ["", HOURS]
    bench.at(15, 30)
    assert closes(bench)[1].data["unprotected"] == [f"{HOURS}: NSE:BRAVO P1, NSE:CHARLIE P1"]


def test_a_day_without_positions_says_nothing_of_protection(tmp_path: Path) -> None:
    settings = config(product=Product.CNC, symbols=(AUCTIONED.symbol,))
    bench = Bench.paper(tmp_path / "p", settings, instruments=(AUCTIONED,))
    bench.at(15, 15)
    (first,) = closes(bench)
    assert "unprotected" not in first.data
    assert first.severity is Severity.INFO


def test_an_intraday_rung_left_in_the_closing_auction_has_no_stop() -> None:
    bench = Bench(lambda b: FakeVenue(b.clock), config(symbols=(AUCTIONED.symbol,)), instruments=(AUCTIONED,))
    bench.signal()
    bench.broker.fill(bench.broker.accept(), say=False)
    bench.broker.deliver_all()
    bench.broker.accept()
    bench.broker.deliver_all()
    assert bench.engine.positions()[0].unprotected == ""
    bench.clock.advance_to(bench.engine.sessions[0].continuous_end)
    assert bench.engine.positions()[0].unprotected == "no stop order stands outside market hours"


def test_the_card_and_the_evening_name_them_with_the_reason(tmp_path: Path) -> None:
    bench = holding(tmp_path)
    assert "UNPROTECTED" not in _held(bench.engine)
    bench.at(15, 31)
    assert f"UNPROTECTED now, {HOURS}: NSE:BRAVO P1, NSE:CHARLIE P1" in _held(bench.engine)
    seen = bench.engine
    checks = health_checks(seen.status(), seen.positions(), seen.orders(), seen.rows())
    stops = next(check for check in checks if check.name == "Stops")
    assert stops.well
    assert stops.said == f"{HOURS}: BRAVO P1, CHARLIE P1"
    assert f"! {HOURS}" in views.positions(seen.positions()).to_plain()


def test_a_missing_gtt_is_named_at_any_hour() -> None:
    bench = Bench(lambda b: FakeVenue(b.clock), config(product=Product.CNC))
    bench.signal()
    bench.broker.fill(bench.broker.accept(), say=False)
    bench.broker.deliver_all()
    assert bench.engine.positions()[0].unprotected == "its GTT is being placed"
    bench.broker.refuse(why="DDPI is not active")
    (position,) = bench.engine.positions()
    assert (position.unprotected, position.stop_resting) == ("GTT refused: DDPI is not active", False)
    assert "! GTT refused: DDPI is not active" in views.positions([position]).to_plain()
    bench.at(16, 0)
    bench.broker.refuse(why="DDPI is not active")
    assert bench.engine.positions()[0].unprotected == "GTT refused: DDPI is not active"


def test_a_gtt_for_a_part_is_named() -> None:
    bench = Bench(lambda b: FakeVenue(b.clock), config(product=Product.CNC))
    bench.signal()
    entry = bench.broker.accept()
    bench.broker.deliver_all()
    bench.broker.fill(entry, 10)
    bench.broker.accept()
    bench.broker.fill(entry, 20)
    assert bench.engine.positions()[0].unprotected == "GTT for 10 of 30"


def test_a_target_that_rests_nowhere_is_said_to_be_watched() -> None:
    bench = Bench(lambda b: Single(b.clock), config(product=Product.CNC))
    bench.signal()
    bench.broker.fill(bench.broker.accept(), say=False)
    bench.broker.deliver_all()
    bench.broker.accept()
    (position,) = bench.engine.positions()
    assert (position.unprotected, position.watched) == ("", "target watched here")
    assert "target watched here" in views.positions([position]).to_plain()


def test_a_gtt_in_doubt_is_no_protection() -> None:
    bench = Bench(lambda b: FakeVenue(b.clock), config(product=Product.CNC))
    bench.signal()
    bench.broker.fill(bench.broker.accept(), say=False)
    bench.broker.deliver_all()
    bench.broker.doubt(lost=True)
    (position,) = bench.engine.positions()
    assert (position.unprotected, position.stop_resting) == ("nobody knows whether its GTT stands", False)
    assert position.symbol == SHARE.symbol
    assert all(g.status is not GttStatus.ACTIVE for g in run(bench.broker.get_gtts()))
