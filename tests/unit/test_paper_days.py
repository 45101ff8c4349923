"""GTTs, day rolls, square-off, and restarts of the paper broker, also after a real ``kill -9``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from paper_room import DAY, FUTURE, KNOWN, OTHER, SHARE, Room

from otrade_bot.brokers.paper.book import Book
from otrade_bot.core.clock import SECOND
from otrade_bot.core.errors import JournalException
from otrade_bot.core.model import (
    Accepted,
    GttLeg,
    GttRequest,
    GttStatus,
    OrderStatus,
    OrderType,
    Product,
    Refused,
    Side,
)

LIMIT, MARKET, SL, SL_M = OrderType.LIMIT, OrderType.MARKET, OrderType.SL, OrderType.SL_M
BUY, SELL = Side.BUY, Side.SELL
CNC, MIS, NRML = Product.CNC, Product.MIS, Product.NRML
NEXT = DAY + timedelta(days=1)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path / "paper.jsonl")
    room.tick(100_000)
    yield room
    room.broker.close()


# --- GTT ---
@pytest.mark.parametrize(("gap", "leg", "price"), [(95_000, 0, 94_000), (106_000, 1, 105_000)])
def test_an_oco_leg_places_its_limit_on_a_gap_and_voids_the_other(
    room: Room, gap: int, leg: int, price: int
) -> None:
    room.placed(product=CNC)
    assert room.gtt((97_500, 94_000), (105_000, 105_000)) == Accepted("G000001")
    room.tick(98_000)
    (gtt,) = room.run(room.broker.get_gtts())
    assert gtt.status is GttStatus.ACTIVE
    room.tick(gap)
    (gtt,) = room.run(room.broker.get_gtts())
    assert gtt.status is GttStatus.TRIGGERED
    assert [bool(x.order_id) for x in gtt.legs] == [leg == 0, leg == 1]
    row = room.row(gtt.legs[leg].order_id)
    assert (row.order_type, row.price, row.status) == (LIMIT, price, OrderStatus.COMPLETE)
    assert room.net(product=CNC) == 0
    room.tick(95_000 if leg else 106_000)
    assert len(room.run(room.broker.get_orderbook())) == 2


@pytest.mark.parametrize(("trigger", "near"), [(98_000, 98_005), (102_000, 101_995)])
def test_a_single_gtt_triggers_when_the_price_reaches_it_from_either_side(
    room: Room, trigger: int, near: int
) -> None:
    room.gtt((trigger, trigger), side=BUY)
    room.tick(near)
    assert room.run(room.broker.get_orderbook()) == []
    room.tick(trigger)
    assert room.net(product=CNC) == 10


def test_a_leg_that_is_refused_says_why_and_one_without_money_is_rejected(room: Room) -> None:
    room.gtt((98_000, 98_000))
    room.gtt((98_000, 98_000), side=BUY, quantity=1_000_000)
    room.tick(97_000)
    short, dear = room.run(room.broker.get_gtts())
    assert "Insufficient holdings" in short.legs[0].reason
    assert short.legs[0].order_id == ""
    assert short.status is dear.status is GttStatus.TRIGGERED
    assert "Insufficient funds" in dear.legs[0].reason
    assert room.row(dear.legs[0].order_id).status is OrderStatus.REJECTED


@pytest.mark.parametrize(
    ("legs", "more"),
    [
        ((), {}), (((98_000, 0),), {}), (((98_001, 98_000),), {}), (((100_000, 100_000),), {}),
        (((98_000, 98_000), (99_000, 99_000)), {}), (((98_000, 98_000),), {"product": MIS}),
        (((98_000, 98_000),), {"quantity": 0}), (((98_000, 98_000),), {"last": 0}),
        (((98_000, 98_000), (105_000, 105_000)), {"side": BUY}), (((98_000, 98_000),), {"product": NRML}),
    ],
)  # fmt: skip
def test_a_wrong_gtt_is_refused(room: Room, legs: tuple[tuple[int, int], ...], more: dict[str, int]) -> None:
    assert isinstance(room.gtt(*legs, **more), Refused)  # type: ignore[arg-type]
    assert room.run(room.broker.get_gtts()) == []


def test_a_gtt_is_modified_and_cancelled_while_active_only(room: Room) -> None:
    room.placed(product=CNC)
    room.gtt((98_000, 98_000))
    room.gtt((98_000, 98_000))
    change = GttRequest(SHARE, SELL, 5, CNC, (GttLeg(96_000, 95_000),), 100_000)
    assert room.run(room.broker.modify_gtt("G000001", change)) == Accepted("G000001")
    other = GttRequest(OTHER, SELL, 5, CNC, (GttLeg(96_000, 95_000),), 100_000)
    assert isinstance(room.run(room.broker.modify_gtt("G000001", other)), Refused)
    assert room.run(room.broker.cancel_gtt("G000002")) == Accepted("G000002")
    assert isinstance(room.run(room.broker.cancel_gtt("G000002")), Refused)
    assert isinstance(room.run(room.broker.cancel_gtt("G000009")), Refused)
    room.tick(97_000)
    assert room.net(product=CNC) == 10
    room.tick(95_500)
    assert room.net(product=CNC) == 5
    assert isinstance(room.run(room.broker.modify_gtt("G000001", change)), Refused)


def test_a_gtt_outlives_days_and_restarts(room: Room) -> None:
    room.placed(product=CNC)
    room.gtt((98_000, 97_000))
    room.broker.end_day()
    room.restart()
    room.broker.start_day(NEXT)
    room.restart()
    room.tick(97_500)
    assert room.net(product=CNC) == -10  # today's sale of yesterday's holding
    assert [h.quantity for h in room.run(room.broker.get_holdings())] == [10]
    room.broker.start_day(NEXT + timedelta(days=1))
    assert room.run(room.broker.get_holdings()) == []


def test_an_ended_gtt_is_listed_for_a_week(room: Room) -> None:
    room.gtt((98_000, 98_000))
    room.run(room.broker.cancel_gtt("G000001"))
    for days in (7, 8):
        room.clock.advance_to(room.clock.now_ns() + 7 * 86_400 * SECOND if days == 7 else 0)
        room.clock.advance_to(room.clock.now_ns() + SECOND * (days - 7))
        room.broker.start_day(DAY + timedelta(days=days))
        assert len(room.run(room.broker.get_gtts())) == 8 - days


def test_with_latency_a_gtt_is_watched_only_after_it(tmp_path: Path) -> None:
    room = Room(tmp_path / "slow.jsonl", latency_ns=3 * SECOND)
    room.tick(100_000)
    room.gtt((98_000, 98_000), side=BUY)
    room.tick(97_000, seconds=2)
    assert room.run(room.broker.get_gtts())[0].status is GttStatus.ACTIVE
    room.tick(97_000, seconds=1)
    assert room.run(room.broker.get_gtts())[0].status is GttStatus.TRIGGERED
    assert room.prices() == []
    room.tick(97_500, seconds=3)
    assert room.prices() == [(10, 97_500)]
    room.broker.close()


def test_a_gtt_deleted_by_a_report_does_not_trigger_on_that_tick(room: Room) -> None:
    room.placed(product=CNC, quantity=20)
    room.gtt((104_000, 104_000))
    room.gtt((104_000, 104_000))
    room.broker.report = lambda row: room.run(room.broker.cancel_gtt("G000002")) and None
    room.tick(106_000)
    first, second = room.run(room.broker.get_gtts())
    assert (first.status, second.status) == (GttStatus.TRIGGERED, GttStatus.DELETED)
    assert room.net(product=CNC) == 10


def test_delivery_bought_and_sold_within_the_day_leaves_no_holding(room: Room) -> None:
    room.placed(product=CNC)
    room.tick(101_000)
    room.placed(MARKET, SELL, product=CNC)
    room.broker.start_day(NEXT)
    assert room.run(room.broker.get_holdings()) == []
    assert room.broker.book.realised == 10 * 1_000


# --- days ---
def test_the_close_cancels_day_orders_and_squares_off_intraday_positions(room: Room) -> None:
    room.tick(2_400_000, of=FUTURE)
    room.placed(MARKET, SELL)
    room.placed(product=CNC)
    room.placed(instrument=FUTURE, product=NRML, quantity=65)
    stop = room.placed(SL_M, BUY, trigger=101_000)
    target = room.placed(LIMIT, SELL, product=CNC, price=110_000)
    room.tick(100_400)
    room.broker.end_day()
    assert room.row(stop).status is room.row(target).status is OrderStatus.CANCELLED
    last = room.run(room.broker.get_orderbook())[-1]
    assert (last.tag, last.side, last.status, last.value) == ("", BUY, OrderStatus.COMPLETE, 10 * 100_400)
    assert (room.net(), room.net(product=CNC), room.net(FUTURE, NRML)) == (0, 10, 65)
    lines = room.broker.book.lines
    room.broker.end_day()
    assert room.broker.book.lines == lines


def test_square_off_takes_only_the_symbols_and_the_product_named(room: Room) -> None:
    room.tick(50_000, of=OTHER)
    room.placed()
    room.placed(product=CNC)
    room.placed(instrument=OTHER)
    stop = room.placed(SL_M, SELL, instrument=OTHER, trigger=49_000)
    room.broker.auto_square_off([SHARE.symbol])
    assert (room.net(), room.net(product=CNC), room.net(OTHER)) == (0, 10, 10)
    assert room.row(stop).status is OrderStatus.TRIGGER_PENDING


def test_a_new_day_forgets_orders_delivers_shares_and_carries_derivatives(room: Room) -> None:
    room.tick(2_400_000, of=FUTURE)
    room.placed(product=CNC)
    room.placed(instrument=FUTURE, product=NRML, quantity=65)
    cash = room.broker.book.cash
    room.broker.start_day(DAY)  # the same day again: nothing
    assert len(room.run(room.broker.get_orderbook())) == 2
    room.broker.start_day(NEXT)
    assert room.run(room.broker.get_orderbook()) == []
    assert room.run(room.broker.get_trades()) == []
    assert [(h.quantity, h.average) for h in room.run(room.broker.get_holdings())] == [(10, 100_000)]
    assert (room.net(product=CNC), room.net(FUTURE, NRML)) == (0, 65)
    assert room.broker.book.cash == cash
    assert room.placed() == "P000003"


def test_a_day_that_was_never_ended_is_ended_by_the_next(room: Room) -> None:
    room.placed()
    room.placed(SL_M, SELL, trigger=99_000)
    room.restart()
    room.broker.start_day(NEXT)
    assert room.net() == 0
    room.tick(90_000)
    assert room.net() == 0


def test_yesterdays_price_fills_nothing_today(room: Room) -> None:
    room.broker.start_day(NEXT)
    order_id = room.placed()
    assert room.row(order_id).filled == 0
    room.tick(100_700, volume=500)
    assert room.prices() == [(10, 100_700)]


def test_holdings_sold_realise_against_their_average(room: Room) -> None:
    room.placed(product=CNC)
    room.broker.start_day(NEXT)
    room.tick(103_000)
    room.placed(MARKET, SELL, product=CNC, quantity=4)
    room.broker.start_day(NEXT + timedelta(days=1))
    assert room.broker.book.realised == 4 * 3_000
    assert [(h.quantity, h.average) for h in room.run(room.broker.get_holdings())] == [(6, 100_000)]


# --- restarts ---
def test_a_restart_finds_account_ids_and_resting_stops(room: Room) -> None:
    room.placed()
    stop = room.placed(SL_M, SELL, trigger=99_000)
    before = room.broker.book.state()
    room.restart()
    assert room.broker.book.state() == before
    room.tick(96_000)
    assert room.prices()[-1] == (10, 96_000)
    assert room.row(stop).status is OrderStatus.COMPLETE
    assert room.placed() == "P000003"


def test_a_restart_knows_the_volume_of_before(room: Room) -> None:
    room.tick(100_000, volume=1_000)
    order_id = room.placed(LIMIT, price=99_000)
    room.restart()
    room.tick(98_000, volume=1_004)
    assert room.row(order_id).filled == 4


def away(room: Room, *prices: int, of: str = SHARE.symbol) -> list[tuple[str, int, int, int]]:
    """Prices of the next seconds, which came while the process was dead; it is started an hour later."""
    now = room.clock.now_ns()
    room.clock.advance_to(now + 3600 * SECOND)
    room.restart()
    return [(of, now + (k + 1) * SECOND, price, 0) for k, price in enumerate(prices)]


def test_a_stop_that_was_touched_while_nobody_looked_is_filled_at_its_own_time_and_not_told(room: Room) -> None:
    room.placed()
    stop = room.placed(SL, SELL, trigger=99_000, price=98_000)
    room.seen.clear()
    prices = away(room, 99_500, 98_900, 99_800)
    (fill,) = room.broker.catch_up(prices)
    assert (fill.order_id, fill.quantity, fill.price, fill.ts_ns) == (stop, 10, 98_900, prices[1][1])
    assert room.row(stop).updated_ns == prices[1][1]
    assert (room.net(), room.seen) == (0, [])
    assert room.broker.catch_up(prices) == []
    room.tick(99_900)
    room.placed()
    assert room.prices()[-1] == (10, 99_900)
    assert room.seen


def test_a_price_from_before_an_order_does_not_meet_it_when_it_is_seen_again(room: Room) -> None:
    first = room.clock.now_ns()
    room.tick(98_000)
    room.tick(100_000)
    stop = room.placed(SL, BUY, trigger=102_000, price=103_000)
    room.tick(101_000)
    assert room.modify(stop, trigger=101_500) == Accepted(stop)
    seen = [(SHARE.symbol, first + k * SECOND, price, 0) for k, price in enumerate((100_000, 98_000, 101_900, 101_000))]
    away(room)
    assert room.broker.catch_up(seen) == []
    assert room.row(stop).status is OrderStatus.TRIGGER_PENDING


def test_a_gtt_of_yesterday_goes_off_while_today_has_not_been_looked_at_yet(room: Room) -> None:
    room.placed(product=CNC)
    room.gtt((98_000, 97_000))
    room.clock.advance_to(room.clock.now_ns() + 26 * 3600 * SECOND)  # the book is rolled late in the morning
    room.broker.start_day(NEXT)
    nine_thirty = room.clock.now_ns() - 90 * 60 * SECOND
    (fill,) = room.broker.catch_up([(SHARE.symbol, nine_thirty, 97_500, 0)])
    assert (fill.price, fill.ts_ns, room.row(fill.order_id).placed_ns) == (97_500, nine_thirty, nine_thirty)


def test_prices_of_another_day_are_not_taken_for_today_s(tmp_path: Path) -> None:
    room = Room(tmp_path / "paper.jsonl", start=False)
    now = room.clock.now_ns()
    with pytest.raises(ValueError, match="start_day comes first"):
        room.broker.catch_up([(SHARE.symbol, now, 100_000, 0)])
    room.broker.start_day(DAY)
    with pytest.raises(ValueError, match="a price of 2026-11-21, the book is in 2026-11-20"):
        room.broker.catch_up([(SHARE.symbol, now + 24 * 3600 * SECOND, 100_000, 0)])
    room.broker.close()


def test_an_existing_account_keeps_its_own_cash(tmp_path: Path) -> None:
    path = tmp_path / "paper.jsonl"
    Room(path, cash=5_000).broker.close()
    room = Room(path, cash=9_000)
    assert room.run(room.broker.get_funds()).available == 5_000
    room.broker.close()


@pytest.mark.parametrize("line", [b'{"k":"nonsense"}\n', b'{"k":"fill","id":"P9"}\n', b'{"a":1}\n'])
def test_a_line_that_is_not_of_a_book_is_named(room: Room, line: bytes) -> None:
    room.broker.close()
    number = len(room.path.read_bytes().splitlines()) + 1
    room.path.write_bytes(room.path.read_bytes() + line)
    with pytest.raises(JournalException, match=rf"paper\.jsonl:{number}: not a line of a paper book"):
        room.open()
    room.path.write_bytes(room.path.read_bytes()[: -len(line)])
    room.open()  # the lock was released


def test_a_book_of_another_version_is_not_guessed_at(tmp_path: Path) -> None:
    path = tmp_path / "paper.jsonl"
    path.write_text('{"k":"open","version":99,"cash":1}\n')
    with pytest.raises(JournalException, match="version 99"):
        Room(path)


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from paper_room import Room, OrderType, Side
room = Room(Path(sys.argv[1]))
def say(row):
    print(row.order_id, row.status.value, row.filled, row.value, flush=True)
room.broker.report = say
k = 0
while True:
    k += 1
    room.tick(100_000 + 50 * (k % 40), volume=7 * k)
    if k % 3 == 0:
        room.place(quantity=5, side=Side.BUY if k % 2 else Side.SELL)
    if k % 7 == 0:
        room.place(OrderType.SL_M, Side.SELL, quantity=3, trigger=99_000)
"""


@pytest.mark.parametrize("reports", [1, 8, 41])
def test_after_kill_9_everything_that_was_reported_is_in_the_book(tmp_path: Path, reports: int) -> None:
    path = tmp_path / "paper.jsonl"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), str(Path(__file__).parent)], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    told = [child.stdout.readline() for _ in range(reports)]
    os.kill(child.pid, signal.SIGKILL)
    told += child.stdout.read().splitlines(keepends=True)
    child.wait()
    child.stdout.close()
    last = {}
    for line in told:
        if line.endswith(b"\n"):
            order_id, status, filled, value = line.decode().split()
            last[order_id] = (status, int(filled), int(value))
    room = Room(path, start=False)
    rows = {o.order_id: o for o in room.run(room.broker.get_orderbook())}
    for order_id, (status, filled, value) in last.items():
        row = rows[order_id]
        assert row.filled >= filled
        assert row.value >= value
        assert row.status.final or row.status == status or status == "trigger_pending"
    assert Book.read(path).state() == room.broker.book.state()
    # It goes on: a resting stop is alive and gaps, numbers continue. At most one order went unreported.
    resting = [key for key, order in rows.items() if order.status is OrderStatus.TRIGGER_PENDING]
    room.tick(90_000, seconds=86_000)
    assert [room.row(key).status for key in resting] == [OrderStatus.COMPLETE] * len(resting)
    assert all(room.row(key).value == 90_000 * room.row(key).filled for key in resting)
    assert resting or reports < 41
    assert room.placed() == f"P{len(rows) + 1:06d}"
    assert len(rows) - len(last) in (0, 1)
    assert set(KNOWN) >= {o.symbol for o in rows.values()}
    room.broker.close()
