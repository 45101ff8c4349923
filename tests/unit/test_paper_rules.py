"""What the paper broker refuses, what its risk check rejects, and what an order needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from paper_room import FUTURE, INDEX, OPTION, OTHER, SHARE, Room

from otrade_bot.core.model import (
    Accepted,
    Funds,
    Instrument,
    OrderRequest,
    OrderStatus,
    OrderType,
    Product,
    Refused,
    Side,
)

LIMIT, MARKET, SL, SL_M = OrderType.LIMIT, OrderType.MARKET, OrderType.SL, OrderType.SL_M
BUY, SELL = Side.BUY, Side.SELL
CNC, NRML = Product.CNC, Product.NRML


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path / "paper.jsonl", cash=10_000_000)
    room.tick(100_000)
    yield room
    room.broker.close()


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"instrument": Instrument("NSE:NOPE", 9)}, "not a known instrument"),
    "index": ({"instrument": INDEX}, "index"),
    "zero": ({"quantity": 0}, "above 0"),
    "negative": ({"quantity": -5}, "above 0"),
    "lot": ({"instrument": FUTURE, "quantity": 64, "product": NRML}, "lot size 65"),
    "freeze": ({"instrument": FUTURE, "quantity": 1820, "product": NRML}, "freeze quantity 1800"),
    "cnc future": ({"instrument": FUTURE, "quantity": 65, "product": CNC}, "CNC"),
    "nrml share": ({"product": NRML}, "NRML"),
    "no price": ({"order_type": LIMIT}, "Price is missing"),
    "grid": ({"order_type": LIMIT, "price": 99_003}, "tick size"),
    "no trigger": ({"order_type": SL_M}, "Trigger price is missing"),
    "trigger grid": ({"order_type": SL_M, "trigger": 101_001}, "tick size"),
    "no limit": ({"order_type": SL, "trigger": 101_000}, "Price is missing"),
    "buy stop below": ({"order_type": SL_M, "trigger": 99_000}, "above the last price"),
    "buy stop at": ({"order_type": SL_M, "trigger": 100_000}, "above the last price"),
    "sell stop above": ({"order_type": SL_M, "side": SELL, "trigger": 101_000}, "below the last price"),
    "sell stop at": ({"order_type": SL_M, "side": SELL, "trigger": 100_000}, "below the last price"),
    "buy limit low": ({"order_type": SL, "trigger": 101_000, "price": 100_900}, "at its trigger or above"),
    "sell limit high": (
        {"order_type": SL, "side": SELL, "trigger": 99_000, "price": 99_100}, "at its trigger or below",
    ),
    "upper circuit": ({"order_type": LIMIT, "price": 120_005}, "circuit"),
    "lower circuit": ({"order_type": LIMIT, "price": 79_995}, "circuit"),
    "protection": ({"protection": 0.0}, "without market protection"),
    "stop protection": ({"order_type": SL_M, "trigger": 101_000, "protection": 0.0}, "market protection"),
    "cnc short": ({"side": SELL, "product": CNC}, "Insufficient holdings"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_order_is_refused_in_words_and_leaves_no_trace(room: Room, case: str) -> None:
    fields, words = REFUSED[case]
    before = room.broker.book.state()
    outcome = room.place(**fields)
    assert isinstance(outcome, Refused)
    assert words in outcome.reason
    assert outcome.code
    assert room.broker.book.state() == before
    assert room.seen == []


@pytest.mark.parametrize("price", [80_000, 120_000])
def test_the_circuit_limits_themselves_are_allowed(room: Room, price: int) -> None:
    assert isinstance(room.place(LIMIT, price=price, quantity=1), Accepted)


def test_the_circuit_is_measured_from_the_previous_close(room: Room) -> None:
    from datetime import timedelta

    from paper_room import DAY

    room.tick(110_000)
    room.broker.end_day()
    room.broker.start_day(DAY + timedelta(days=1))
    assert isinstance(room.place(LIMIT, SELL, price=132_000, quantity=1), Accepted)
    assert isinstance(room.place(LIMIT, SELL, price=132_005, quantity=1), Refused)


def test_a_closed_market_refuses_new_and_changed_orders_but_cancels(room: Room) -> None:
    order_id = room.placed(LIMIT, price=99_000)
    room.closed = "market is closed"
    assert room.place() == Refused("market is closed", "OrderException")
    assert isinstance(room.modify(order_id, price=99_500), Refused)
    assert isinstance(room.cancel(order_id), Accepted)


def test_a_modification_is_judged_like_a_new_order(room: Room) -> None:
    stop = room.placed(SL, SELL, trigger=99_000, price=98_900)
    before = room.row(stop)
    for change in (
        {"quantity": 0}, {"price": 98_901}, {"price": 99_500}, {"trigger": 100_000}, {"trigger": 79_000},
        {"order_type": LIMIT, "price": 125_000}, {"quantity": 1_000_000},
    ):  # fmt: skip
        assert isinstance(room.modify(stop, **change), Refused), change
    assert room.row(stop) == before


def test_a_modification_of_an_unknown_order_is_refused(room: Room) -> None:
    outcome = room.modify("P000077", price=1)
    assert isinstance(outcome, Refused)
    assert "does not exist" in outcome.reason


def test_too_little_money_is_accepted_and_then_rejected_in_the_book(room: Room) -> None:
    order_id = room.placed(product=CNC, quantity=101)
    row = room.row(order_id)
    assert row.status is OrderStatus.REJECTED
    assert "Insufficient funds" in row.reason
    assert "₹1,01,000.00" in row.reason
    assert [r.status_word for r in room.seen] == ["REJECTED"]
    assert room.net(product=CNC) == 0


def test_one_tag_twice_is_two_orders(room: Room) -> None:
    assert room.placed(tag="x") != room.placed(tag="x")


@pytest.mark.parametrize(
    ("instrument", "product", "quantity", "used"),
    [(SHARE, CNC, 10, 1_000_000), (SHARE, Product.MIS, 10, 200_000), (FUTURE, NRML, 65, 1_300_000),
     (FUTURE, Product.MIS, 65, 1_300_000), (OPTION, NRML, 65, 6_500_000), (OPTION, Product.MIS, 65, 6_500_000)],
)  # fmt: skip
def test_margin_by_product(
    room: Room, instrument: Instrument, product: Product, quantity: int, used: int
) -> None:
    room.tick(100_000, of=instrument)
    room.placed(instrument=instrument, product=product, quantity=quantity)
    assert room.run(room.broker.get_funds()) == Funds(10_000_000 - used, used)


def test_a_working_order_holds_its_margin_until_it_ends(room: Room) -> None:
    order_id = room.placed(LIMIT, price=90_000, product=CNC)
    assert room.run(room.broker.get_funds()) == Funds(9_100_000, 900_000)
    room.cancel(order_id)
    assert room.run(room.broker.get_funds()) == Funds(10_000_000, 0)


@pytest.mark.parametrize("side", [BUY, SELL])
def test_an_order_that_reduces_needs_no_margin(room: Room, side: Side) -> None:
    room.placed(MARKET, side, quantity=490)  # of 500 that five-fold leverage bears
    stop = room.placed(SL_M, side.opposite, quantity=490, trigger=100_000 - 1_000 * side)
    assert room.row(stop).status is OrderStatus.TRIGGER_PENDING
    second = room.placed(LIMIT, side.opposite, quantity=490, price=100_000 + 1_000 * side)
    assert room.row(second).status is OrderStatus.REJECTED  # both together would open the other way


def test_delivery_can_be_sold_up_to_what_is_owned_and_not_on_sale(room: Room) -> None:
    room.placed(product=CNC, quantity=10)
    room.placed(LIMIT, SELL, product=CNC, quantity=6, price=105_000)
    assert isinstance(room.place(LIMIT, SELL, product=CNC, quantity=5, price=105_000), Refused)
    order_id = room.placed(LIMIT, SELL, product=CNC, quantity=4, price=105_000)
    assert isinstance(room.modify(order_id, quantity=5), Refused)
    assert isinstance(room.modify(order_id, quantity=3), Accepted)


def test_charges_are_those_of_the_whole_order_however_it_fills(tmp_path: Path) -> None:
    asked: list[tuple[str, Product, Side, int]] = []

    def charge(symbol: str, product: Product, side: Side, value: int) -> int:
        asked.append((symbol, product, side, value))
        return min(value // 100, 5_000)  # capped an order

    room = Room(tmp_path / "p.jsonl", charge=charge, cash=10_000_000)
    room.tick(100_000, volume=1)
    room.tick(100_000, volume=4)
    room.placed()
    room.tick(100_000, volume=100)
    assert [value for *_, value in asked] == [300_000, 1_000_000]
    assert asked[0][:3] == (SHARE.symbol, Product.MIS, BUY)
    assert room.broker.book.charges == 5_000
    assert room.broker.book.cash == 10_000_000 - 1_000_000 - 5_000
    room.broker.close()


def test_position_average_is_of_the_open_side(room: Room) -> None:
    room.placed(quantity=10)
    room.tick(100_300)
    room.placed(quantity=10)
    room.placed(MARKET, SELL, quantity=5)
    (position,) = room.run(room.broker.get_positions())
    assert (position.quantity, position.average, position.ltp) == (15, 100_150, 100_300)
    room.placed(MARKET, SELL, quantity=20)
    (position,) = room.run(room.broker.get_positions())
    assert (position.quantity, position.average) == (-5, 100_300)


def test_a_full_disk_is_unknown_and_changes_nothing(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from otrade_bot.core.model import Unknown

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    before = room.broker.book.state()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        assert isinstance(room.place(), Unknown)
    assert room.broker.book.state() == before
    assert room.seen == []
    room.placed()
    room.restart()
    assert room.net() == 10


def test_the_request_uses_the_brokers_own_word_on_the_instrument(room: Room) -> None:
    mine = replace(OTHER, symbol=FUTURE.symbol, lot=1)
    request = OrderRequest("t", mine, BUY, 64, NRML, MARKET)
    assert isinstance(room.run(room.broker.place(request)), Refused)
