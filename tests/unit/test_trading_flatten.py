"""/flatten: by phase, once, and never "flat" before the broker's own book says so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from harness.bench import AUCTIONED, DAY, SHARE, Bench, config
from harness.venue import FakeVenue

from otrade_bot.core.clock import SECOND, at_ist
from otrade_bot.core.errors import BrokerException
from otrade_bot.core.events import EventKind
from otrade_bot.core.model import (
    BrokerPosition,
    ExitReason,
    Funds,
    GttStatus,
    Holding,
    OrderRequest,
    OrderType,
    Product,
    Refused,
    Side,
)
from otrade_bot.trading.risk import Quote


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench.paper(tmp_path / "paper.jsonl")


@pytest.fixture
def slow() -> Bench:
    return Bench(lambda b: FakeVenue(b.clock))


def states(bench: Bench) -> list[str]:
    return [str(e.data["state"]) for e in bench.events(EventKind.FLATTEN)]


async def turns(n: int = 5) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


def hold(bench: Bench) -> str:
    """A protected rung of 30 at the slow venue; its stop's id."""
    bench.signal()
    bench.broker.fill(bench.broker.accept(), say=False)
    bench.broker.deliver_all()
    stop: str = bench.broker.accept()
    bench.broker.deliver_all()
    return stop


async def test_open_it_exits_now_and_says_flat_with_the_result(bench: Bench) -> None:
    bench.signal()
    text = await bench.engine.flatten("owner")
    assert "Flat: the broker's book shows no position of ours." in text
    assert f"{SHARE.symbol} P1: 30 of 30 closed" in text
    assert "paused until /resume" in text
    assert [t.reason for t in bench.engine.trades()] == [ExitReason.FLATTEN]
    assert states(bench) == ["started", "flat"]
    assert bench.engine.status().paused


async def test_nothing_open_is_still_asked_of_the_broker(bench: Bench) -> None:
    assert (await bench.engine.flatten("owner")).startswith("Nothing to close. Flat: the broker's book")


async def test_it_works_while_paused(bench: Bench) -> None:
    bench.signal()
    bench.engine.pause("owner")
    assert "Flat" in await bench.engine.flatten("owner")


async def test_the_answer_waits_for_the_fill_and_a_second_request_joins_the_first(slow: Bench) -> None:
    stop = hold(slow)
    first = asyncio.create_task(slow.engine.flatten("owner"))
    second = asyncio.create_task(slow.engine.flatten("other"))
    await turns()
    assert [c.what for c in slow.broker.calls].count("modify") == 1
    slow.broker.accept()
    slow.broker.deliver_all()
    await turns()
    assert not first.done()
    slow.broker.fill(stop, 10, 9_990)
    await turns()
    assert not first.done()
    slow.broker.fill(stop, 0, 9_990)
    assert await first == await second
    assert "Flat: " in first.result()
    assert states(slow) == ["started", "flat"]


@pytest.mark.parametrize("turn", [0, 1, 2])
async def test_a_service_that_ends_while_news_comes_need_not_wait_for_the_flatten(slow: Bench, turn: int) -> None:
    hold(slow)
    asked = asyncio.create_task(slow.engine.flatten("owner"))
    await turns()
    slow.engine.flattener.progress()
    await turns(turn)
    running = [t for t in asyncio.all_tasks() if t not in (asked, asyncio.current_task())]
    for task in running:
        task.cancel()
    await turns(10)
    assert asked.done()


async def test_who_asked_is_answered_also_when_another_engine_takes_over(slow: Bench) -> None:
    hold(slow)
    asked = asyncio.create_task(slow.engine.flatten("owner"))
    await turns()
    slow.engine.flattener.leave()
    assert "NOT CONFIRMED: interrupted before the broker's book said flat" in await asked
    assert states(slow) == ["started"]


async def test_whoever_stops_waiting_for_a_flatten_does_not_stop_it(slow: Bench) -> None:
    stop = hold(slow)
    asked = asyncio.create_task(slow.engine.flatten("owner"))
    await turns()
    asked.cancel()
    await turns()
    assert asked.cancelled()
    slow.broker.accept()
    slow.broker.deliver_all()
    slow.broker.fill(stop)
    await turns(10)
    assert states(slow) == ["started", "flat"]


async def test_an_entry_that_has_not_filled_is_cancelled_and_said(slow: Bench) -> None:
    slow.signal()
    slow.broker.accept()
    slow.broker.deliver_all()
    asked = asyncio.create_task(slow.engine.flatten("owner"))
    await turns()
    slow.broker.accept()
    slow.broker.deliver_all()
    assert "entry cancelled, nothing was bought" in await asked


async def test_an_entry_of_which_nobody_knows_may_still_fill_and_is_not_flat(
    slow: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otrade_bot.trading.flatten.PATIENCE_MARKET", 5 * SECOND)
    slow.signal()
    slow.broker.doubt(lost=True)
    asked = asyncio.create_task(slow.engine.flatten("owner"))
    await turns()
    slow.clock.advance_to(slow.now + 6 * SECOND)
    slow.engine.pulse(slow.now)
    text = await asked
    assert f"NOT FLAT: {SHARE.symbol} P1 (an entry's outcome is unknown" in text
    assert states(slow) == ["started", "not_flat"]


async def test_a_stop_that_could_not_be_turned_into_the_exit_is_called_a_stop(slow: Bench) -> None:
    hold(slow)
    asked = asyncio.create_task(slow.engine.flatten("owner"))
    await turns()
    slow.broker.answer(slow.broker.last("modify"), Refused("no"))
    slow.clock.advance_to(slow.now + 121 * SECOND)
    slow.engine.pulse(slow.now)
    assert "its stop rests at ₹98.00 and is no exit yet" in await asked


async def test_what_does_not_fill_is_not_flat_and_named_with_its_reason(slow: Bench) -> None:
    hold(slow)
    asked = asyncio.create_task(slow.engine.flatten("owner"))
    await turns()
    slow.broker.accept()
    slow.broker.deliver_all()
    slow.clock.advance_to(slow.now + 121 * SECOND)
    slow.engine.pulse(slow.now)
    text = await asked
    assert f"NOT FLAT: {SHARE.symbol} +30 (an exit rests at ₹99.00 and has not filled)" in text
    assert states(slow) == ["started", "not_flat"]


async def test_an_exit_in_doubt_is_the_reason(slow: Bench) -> None:
    hold(slow)
    asked = asyncio.create_task(slow.engine.flatten("owner"))
    await turns()
    slow.broker.doubt(lost=True)
    slow.clock.advance_to(slow.now + 121 * SECOND)
    slow.engine.pulse(slow.now)
    assert "outcome is unknown" in await asked


async def test_positions_that_are_behind_the_last_fill_are_asked_again_before_the_verdict(
    slow: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otrade_bot.trading.flatten.LAGS", (0.0, 0.0))
    stop, now = hold(slow), slow.broker.get_positions
    looks: list[int] = []

    async def late() -> Sequence[BrokerPosition]:
        looks.append(len(looks))
        return await now() if len(looks) > 2 else [BrokerPosition(SHARE.symbol, Product.MIS, 30, 0)]

    monkeypatch.setattr(slow.broker, "get_positions", late)
    asked = asyncio.create_task(slow.engine.flatten("owner"))
    await turns()
    slow.broker.accept()
    slow.broker.deliver_all()
    slow.broker.fill(stop)
    assert "Flat: the broker's book" in await asked
    assert states(slow) == ["started", "flat"]


async def test_it_never_says_flat_while_the_broker_shows_a_position(
    slow: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otrade_bot.trading.flatten.LAGS", (0.0, 0.0))
    stop = hold(slow)
    slow.broker.external.append(BrokerPosition(SHARE.symbol, Product.MIS, 5, 0))
    asked = asyncio.create_task(slow.engine.flatten("owner"))
    await turns()
    slow.broker.accept()
    slow.broker.deliver_all()
    slow.broker.fill(stop)
    text = await asked
    assert f"NOT FLAT: {SHARE.symbol} +5" in text
    assert "Flat: the broker" not in text


async def test_external_quantities_are_left_alone_and_do_not_count(slow: Bench) -> None:
    slow.broker.external.append(BrokerPosition(SHARE.symbol, Product.MIS, 5, 0))
    slow.broker.held.append(Holding(SHARE.symbol, 7, 9_000))
    await slow.engine.reconcile()
    slow.pulse(60)
    await slow.engine.reconcile()  # seen again: no lag
    stop = hold(slow)
    asked = asyncio.create_task(slow.engine.flatten("owner"))
    await turns()
    slow.broker.accept()
    slow.broker.deliver_all()
    slow.broker.fill(stop)
    assert "Flat: " in await asked
    assert sum(o.quantity for o in slow.broker.orders.values() if o.side < 0) == 30


async def test_a_book_that_cannot_be_read_is_not_flat(slow: Bench) -> None:
    async def broken() -> list[BrokerPosition]:
        raise BrokerException("timeout")

    slow.broker.get_positions = broken
    assert (await slow.engine.flatten("owner")).startswith("NOT CONFIRMED")


# --- by phase -------------------------------------------------------------------------------------------


def overnight(tmp_path: Path) -> Bench:
    """Before the open of a day, with a rung that was bought yesterday still in our hands."""
    bench = Bench.paper(tmp_path / "p.jsonl", config(product=Product.CNC))
    bench.signal()
    assert bench.engine.positions()
    tomorrow = DAY.replace(day=17)
    bench.at(15, 40)
    bench.broker.start_day(tomorrow)
    bench.clock.advance_to(at_ist(tomorrow, 9, 3))
    bench.engine.start_day(tomorrow)
    bench.day = tomorrow
    return bench


async def test_before_the_open_it_is_queued_and_done_and_said_at_the_open(tmp_path: Path) -> None:
    bench = overnight(tmp_path)
    text = await bench.engine.flatten("owner")
    assert "takes no orders yet (pre-open)" in text
    assert "at 09:15." in text
    bench.clock.advance_to(at_ist(bench.day, 9, 15))
    bench.price(10_050, seconds=0)
    bench.price(10_050)
    await turns(20)
    assert not [p for p in bench.engine.positions() if not p.external]
    assert states(bench) == ["queued", "started", "flat"]


async def test_without_a_price_the_resting_stop_stays_until_an_exit_can_be_sent(tmp_path: Path) -> None:
    bench = overnight(tmp_path)
    bench.engine.table[0].ltp = 0  # a process that has just come
    await bench.engine.flatten("owner")
    bench.clock.advance_to(at_ist(bench.day, 9, 15))
    bench.pulse(0)
    await turns(20)
    assert [gtt.status for gtt in await bench.broker.get_gtts()] == [GttStatus.ACTIVE]
    assert not bench.alerts, "the first price is a moment away"
    for _ in range(4):
        bench.pulse(1)
    assert [gtt.status for gtt in await bench.broker.get_gtts()] == [GttStatus.ACTIVE]
    assert "exit waits: no price has been seen yet" in bench.alerts[-1]
    bench.price(10_050)
    bench.price(10_050)
    await turns(20)
    assert states(bench) == ["queued", "started", "flat"]


async def test_closed_it_is_remembered_and_asked_again_at_the_next_open(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "p.jsonl", config(product=Product.CNC))
    bench.signal()
    bench.at(16, 30)
    text = await bench.engine.flatten("owner")
    assert "closed" in text
    assert "asked again" in text
    assert bench.engine.positions()
    tomorrow = DAY.replace(day=17)
    bench.broker.start_day(tomorrow)
    bench.clock.advance_to(at_ist(tomorrow, 9, 15))
    bench.engine.start_day(tomorrow)
    bench.price(10_050)
    assert any("send /flatten again" in text for text in bench.alerts)
    assert bench.engine.positions()


@pytest.mark.parametrize(("hour", "minute", "words", "queued"), [
    (15, 16, "takes no orders yet (closing auction, reference price)", True),
    (15, 31, "The market is closed (closing auction, matching)", False),
])  # fmt: skip
async def test_in_the_closing_auction_it_waits_for_order_entry_only_where_one_is_to_come(
    tmp_path: Path, hour: int, minute: int, words: str, queued: bool
) -> None:
    settings = config(symbols=(AUCTIONED.symbol,), product=Product.CNC)
    bench = Bench.paper(tmp_path / "p", settings, instruments=(AUCTIONED, SHARE))
    bench.signal()
    bench.at(hour, minute)
    assert words in await bench.engine.flatten("owner")
    assert bench.engine.flattener.queued is queued
    if queued:
        bench.clock.advance_to(at_ist(DAY, 15, 20))
        bench.engine.pulse(bench.now)
        bench.pulse(1)
        await turns(20)
        assert not bench.engine.positions()
        assert states(bench)[-1] == "flat"


@pytest.mark.parametrize("minute", [20, 26])
async def test_in_the_auctions_order_entry_it_exits_by_a_limit(tmp_path: Path, minute: int) -> None:
    settings = config(symbols=(AUCTIONED.symbol,), product=Product.CNC)
    bench = Bench.paper(tmp_path / "p", settings, instruments=(AUCTIONED,))
    bench.signal()
    bench.at(15, minute)
    assert "Flat" in await bench.engine.flatten("owner")


async def test_an_entry_that_the_funds_do_not_cover_is_refused_by_the_gate(slow: Bench) -> None:
    slow.broker.funds = Funds(100, 0)
    await slow.engine.reconcile()
    assert slow.engine.available == 100
    approved = slow.engine.manager.gate.entry(
        OrderRequest("", SHARE, Side.BUY, 1, Product.MIS, OrderType.MARKET),
        Quote(10_000, slow.now),
        slow.now,
        0,
        lambda: "TAG",
    )
    assert isinstance(approved, Refused)
    assert approved.code == "unaffordable"


# --- /resume in between ---------------------------------------------------------------------------------


async def test_a_queued_flatten_pauses_again_when_it_is_done_though_somebody_resumed(tmp_path: Path) -> None:
    bench = overnight(tmp_path)
    await bench.engine.flatten("owner")
    bench.engine.resume("partner")
    assert "as soon as orders are taken" in bench.engine.status().flatten
    bench.clock.advance_to(at_ist(bench.day, 9, 15))
    bench.price(10_050, seconds=0)
    bench.price(10_050)
    await turns(20)
    assert states(bench) == ["queued", "started", "flat"]
    assert bench.engine.status().paused
    assert "Entries are paused until /resume." in bench.events(EventKind.FLATTEN)[-1].text
    assert bench.engine.status().flatten == ""


async def test_a_verdict_says_no_pause_that_was_lifted_meanwhile(slow: Bench) -> None:
    stop = hold(slow)
    asked = asyncio.create_task(slow.engine.flatten("owner"))
    await turns()
    assert "under way" in slow.engine.status().flatten
    slow.engine.resume("partner")
    slow.broker.accept()
    slow.broker.deliver_all()
    slow.broker.fill(stop, 0, 9_990)
    said = await asked
    assert "Flat: " in said
    assert "paused" not in said
    assert "lifted meanwhile" in said


async def test_who_joins_a_flatten_pauses_too(slow: Bench) -> None:
    stop = hold(slow)
    asked = asyncio.create_task(slow.engine.flatten("owner"))
    await turns()
    slow.engine.resume("partner")
    joined = asyncio.create_task(slow.engine.flatten("partner"))
    await turns()
    assert slow.engine.status().paused
    slow.broker.accept()
    slow.broker.deliver_all()
    slow.broker.fill(stop, 0, 9_990)
    assert await asked == await joined
    assert "Entries are paused until /resume." in asked.result()
