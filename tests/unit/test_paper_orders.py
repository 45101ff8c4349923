"""Every order type, both sides, against prices: what fills, when, and at which price."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paper_room import FUTURE, OPEN, OPTION, OTHER, SHARE, Room

from otrade_bot.core.clock import SECOND
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.model import Accepted, BrokerOrder, OrderStatus, OrderType, Product, Refused, Side
from otrade_bot.kernel.fills import protected, slipped

LIMIT, MARKET, SL, SL_M = OrderType.LIMIT, OrderType.MARKET, OrderType.SL, OrderType.SL_M
BUY, SELL = Side.BUY, Side.SELL
S = OrderStatus


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path / "paper.jsonl")
    room.tick(100_000)
    yield room
    room.broker.close()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Any]:
    made: list[Room] = []

    def build(**settings: Any) -> Room:
        made.append(Room(tmp_path / f"{len(made)}.jsonl", **settings))
        return made[-1]

    yield build
    for room in made:
        room.broker.close()


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_market_order_fills_at_the_last_price_before_place_returns(room: Room, side: Side) -> None:
    words: list[str] = []
    room.broker.report = lambda row: words.append(f"{row.status_word} {row.order_type} {row.filled}")
    order_id = room.placed(MARKET, side)
    assert words == ["OPEN MARKET 0", "OPEN LIMIT 0", "COMPLETE LIMIT 10"]
    assert room.prices() == [(10, 100_000)]
    assert room.row(order_id).price == protected(side, 100_000, 5_000, 5)
    assert room.net() == side * 10


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_market_order_pays_slippage_but_never_beyond_its_protection(make: Any, side: Side) -> None:
    room = make(slip_ppm=300)
    room.tick(100_000)
    room.placed(MARKET, side)
    wide = make(slip_ppm=90_000)
    wide.tick(100_000)
    wide.placed(MARKET, side, protection=2.0)
    assert room.prices() == [(10, slipped(side, 100_000, 300, 5))]
    assert wide.prices() == [(10, 100_000 + side * 2_000)]


@pytest.mark.parametrize(("side", "away", "back"), [(BUY, 100_600, 100_450), (SELL, 99_400, 99_550)])
def test_a_protected_remainder_rests_until_the_price_comes_back(
    room: Room, side: Side, away: int, back: int
) -> None:
    room.tick(100_000, volume=1_000)
    room.tick(100_000, volume=1_006)
    order_id = room.placed(MARKET, side)
    assert room.row(order_id).filled == 6
    room.tick(away, volume=5_000)
    assert room.row(order_id).filled == 6
    room.tick(back, volume=6_000)
    assert room.prices() == [(6, 100_000), (4, back)]


@pytest.mark.parametrize(("side", "price", "through"), [(BUY, 99_500, 99_000), (SELL, 100_500, 101_000)])
def test_a_resting_limit_fills_at_its_own_price_and_not_better(
    room: Room, side: Side, price: int, through: int
) -> None:
    order_id = room.placed(LIMIT, side, price=price)
    assert room.row(order_id).status is S.OPEN
    room.tick(through)
    assert room.prices() == [(10, price)]


@pytest.mark.parametrize(("side", "price"), [(BUY, 100_500), (SELL, 99_500)])
def test_a_marketable_limit_takes_the_slipped_price(make: Any, side: Side, price: int) -> None:
    room = make(slip_ppm=100)
    room.tick(100_000)
    room.placed(LIMIT, side, price=price)
    assert room.prices() == [(10, slipped(side, 100_000, 100, 5))]


@pytest.mark.parametrize(("side", "trigger", "gap"), [(SELL, 99_000, 97_000), (BUY, 101_000, 103_000)])
def test_a_stop_market_fills_at_the_gap_price(room: Room, side: Side, trigger: int, gap: int) -> None:
    order_id = room.placed(SL_M, side, trigger=trigger)
    assert room.row(order_id).status_word == "TRIGGER PENDING"
    room.tick(trigger + side * -5)
    assert room.row(order_id).status is S.TRIGGER_PENDING
    room.tick(gap)
    assert room.prices() == [(10, gap)]
    assert [r.status for r in room.seen] == [S.TRIGGER_PENDING, S.OPEN, S.COMPLETE]


@pytest.mark.parametrize(
    ("side", "trigger", "price", "gap", "back"),
    [(SELL, 99_000, 98_500, 98_000, 98_600), (BUY, 101_000, 101_500, 102_000, 101_400)],
)
def test_a_stop_limit_gapped_through_rests_and_fills_at_its_limit(
    room: Room, side: Side, trigger: int, price: int, gap: int, back: int
) -> None:
    order_id = room.placed(SL, side, trigger=trigger, price=price)
    room.tick(gap)
    row = room.row(order_id)
    assert (row.status, row.order_type, row.filled, row.trigger) == (S.OPEN, LIMIT, 0, trigger)
    room.tick(back)
    assert room.prices() == [(10, price)]


@pytest.mark.parametrize(("side", "trigger", "price"), [(SELL, 99_000, 98_500), (BUY, 101_000, 101_500)])
def test_a_stop_limit_reached_fills_at_the_price_that_reached_it(
    room: Room, side: Side, trigger: int, price: int
) -> None:
    room.placed(SL, side, trigger=trigger, price=price)
    room.tick(trigger)
    assert room.prices() == [(10, trigger)]


def test_with_latency_an_order_meets_the_first_price_after_it(make: Any) -> None:
    room = make(latency_ns=3 * SECOND)
    room.tick(100_000)
    order_id = room.placed()
    room.tick(100_100, seconds=2)
    assert room.row(order_id).filled == 0
    room.tick(100_200, seconds=1)
    assert room.prices() == [(10, 100_200)]


def test_with_latency_a_modified_order_is_not_matched_before_it(make: Any) -> None:
    room = make(latency_ns=3 * SECOND)
    room.tick(100_000)
    order_id = room.placed(LIMIT, price=99_000)
    room.tick(100_000, seconds=5)
    assert isinstance(room.modify(order_id, price=101_000), Accepted)
    room.tick(100_000, seconds=2)
    assert room.row(order_id).filled == 0
    room.tick(100_050, seconds=1)
    assert room.prices() == [(10, 100_050)]


def test_orders_share_the_traded_volume_in_placing_order(make: Any) -> None:
    room = make(participation=0.5)
    room.tick(100_000, volume=10)
    first = room.placed(LIMIT, price=99_000, quantity=8)
    second = room.placed(LIMIT, price=99_000, quantity=8)
    room.tick(98_900, volume=32)  # 22 traded, 11 for us
    assert (room.row(first).filled, room.row(second).filled) == (8, 3)
    room.tick(98_900, volume=32)
    assert room.row(second).filled == 3
    room.tick(98_900, volume=132)
    assert room.row(second).filled == 8


def test_volume_left_over_serves_orders_placed_before_the_next_price(room: Room) -> None:
    room.tick(100_000, volume=1_000)
    room.tick(100_000, volume=1_015)
    assert room.row(room.placed()).filled == 10
    assert room.row(room.placed()).filled == 5
    assert room.row(room.placed()).filled == 0


def test_a_decrease_of_the_days_volume_offers_nothing(room: Room) -> None:
    room.tick(100_000, volume=1_000)
    room.tick(100_000, volume=900)
    assert room.row(room.placed()).filled == 0


def test_derivatives_fill_in_whole_lots(room: Room) -> None:
    room.tick(2_400_000, volume=1_000, of=FUTURE)
    room.tick(2_400_000, volume=1_150, of=FUTURE)  # 150: two lots and a bit
    order_id = room.placed(instrument=FUTURE, quantity=195, product=Product.NRML)
    assert room.row(order_id).filled == 130


def test_another_symbols_price_moves_nothing(room: Room) -> None:
    order_id = room.placed(SL_M, SELL, trigger=99_000)
    room.tick(1_000, of=OTHER)
    assert room.row(order_id).status is S.TRIGGER_PENDING


def test_an_options_market_order_has_the_wide_band(room: Room) -> None:
    room.tick(8_000, of=OPTION)
    order_id = room.placed(instrument=OPTION, quantity=65)
    assert room.row(order_id).price == 8_240


@pytest.mark.parametrize(("kind", "price"), [(SL, 98_900), (SL_M, 0)])
def test_a_resting_stop_turned_into_a_limit_exits_at_once(room: Room, kind: OrderType, price: int) -> None:
    room.placed()
    stop = room.placed(kind, SELL, trigger=99_000, price=price)
    assert isinstance(room.modify(stop, order_type=LIMIT, price=99_500), Accepted)
    row = room.row(stop)
    assert (row.status, row.modifications, row.trigger) == (S.COMPLETE, 1, 0)
    assert (room.net(), room.prices()[-1]) == (0, (10, 100_000))


def test_a_resting_stop_turned_into_market_exits_at_once(room: Room) -> None:
    room.placed()
    stop = room.placed(SL_M, SELL, trigger=99_000)
    assert isinstance(room.modify(stop, order_type=MARKET), Accepted)
    assert room.net() == 0


def test_a_limit_turned_into_a_stop_waits_for_its_trigger(room: Room) -> None:
    order_id = room.placed(LIMIT, SELL, price=101_000)
    assert isinstance(room.modify(order_id, order_type=SL_M, trigger=99_000), Accepted)
    assert room.row(order_id).status is S.TRIGGER_PENDING
    room.tick(101_500)
    assert room.row(order_id).filled == 0


def test_a_triggered_stop_keeps_its_trigger_but_takes_a_new_price(room: Room) -> None:
    stop = room.placed(SL, SELL, trigger=99_000, price=98_900)
    room.tick(98_000)
    for change in ({"trigger": 98_500}, {"order_type": SL, "trigger": 97_000}, {"order_type": SL_M}):
        outcome = room.modify(stop, **change)
        assert isinstance(outcome, Refused)
        assert "already triggered" in outcome.reason
    assert isinstance(room.modify(stop, price=97_500), Accepted)
    assert room.row(stop).status is S.COMPLETE


def test_a_new_total_may_stop_at_what_has_filled_but_not_below(room: Room) -> None:
    room.tick(100_000, volume=1_000)
    room.tick(100_000, volume=1_004)
    order_id = room.placed()
    assert isinstance(room.modify(order_id, quantity=3), Refused)
    assert isinstance(room.modify(order_id, quantity=4), Accepted)
    assert room.row(order_id).status is S.COMPLETE
    assert isinstance(room.modify(order_id, quantity=8), Refused)


def test_the_twenty_sixth_modification_is_refused(room: Room) -> None:
    order_id = room.placed(LIMIT, price=99_000)
    for k in range(25):
        assert isinstance(room.modify(order_id, price=98_000 + 5 * k), Accepted)
    outcome = room.modify(order_id, price=99_000)
    assert isinstance(outcome, Refused)
    assert outcome.reason.startswith("Maximum allowed order modifications exceeded")
    assert isinstance(room.cancel(order_id), Accepted)


def test_cancel_leaves_the_partial_fill_and_ends_the_order(room: Room) -> None:
    room.tick(100_000, volume=1_000)
    room.tick(100_000, volume=1_004)
    order_id = room.placed()
    assert isinstance(room.cancel(order_id), Accepted)
    row = room.row(order_id)
    assert (row.status, row.filled, row.status_word) == (S.CANCELLED, 4, "CANCELLED")
    room.tick(99_000, volume=90_000)
    assert room.net() == 4
    assert isinstance(room.cancel(order_id), Refused)
    assert isinstance(room.cancel("P999999"), Refused)


def test_a_report_may_place_the_stop_and_cancel_the_rest_from_within(room: Room) -> None:
    stops: list[str] = []

    def arm(row: BrokerOrder) -> None:
        if row.side is BUY and row.filled and not stops:
            stops.append(room.placed(SL_M, SELL, quantity=row.filled, trigger=99_000))
            room.cancel(row.order_id)

    room.tick(100_000, volume=1_000)
    room.tick(100_000, volume=1_004)
    room.broker.report = arm
    entry = room.placed()
    assert room.row(entry).status is S.CANCELLED
    room.tick(98_900, volume=2_000)
    assert room.row(stops[0]).status is S.COMPLETE
    assert room.net() == 0


def test_an_order_cancelled_by_anothers_report_does_not_fill_on_that_tick(room: Room) -> None:
    first = room.placed(LIMIT, price=99_000)
    second = room.placed(LIMIT, price=99_000)
    room.broker.report = lambda row: (
        room.cancel(second) and None if row.order_id == first and row.filled else None
    )
    room.tick(98_000)
    assert (room.row(first).filled, room.row(second).filled) == (10, 0)


def test_ids_are_sequence_numbers_and_times_are_the_clocks(room: Room) -> None:
    assert [room.placed(), room.placed()] == ["P000001", "P000002"]
    trades = room.run(room.broker.get_trades())
    assert [t.trade_id for t in trades] == ["T000001", "T000002"]
    assert {t.ts_ns for t in trades} == {OPEN + SECOND}
    assert room.row("P000001").placed_ns == OPEN + SECOND


def test_dispatch_answers_before_it_returns(room: Room) -> None:
    from otrade_bot.core.model import OrderRequest

    answers: list[object] = []
    write = room.broker.place(OrderRequest("t", SHARE, BUY, 1, Product.MIS, MARKET))
    room.broker.dispatch(write, answers.append)
    assert answers == [Accepted("P000001")]


def test_dispatch_refuses_a_write_that_waits(room: Room) -> None:
    import asyncio

    async def waits() -> Accepted:
        await asyncio.sleep(0)
        return Accepted("never")

    with pytest.raises(RuntimeError, match="must not suspend"):
        room.broker.dispatch(waits(), lambda outcome: None)


@pytest.mark.parametrize(
    "wrong",
    [{"cash": -1}, {"latency_ns": -1}, {"slip_ppm": -1}, {"participation": 0.0}, {"participation": 1.1},
     {"circuit_percent": 100.0}, {"mis_leverage": 0}],
)  # fmt: skip
def test_settings_out_of_range_are_named(make: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigException, match=next(iter(wrong))):
        make(**wrong)
