"""Orders, their state table and their tags; the gate."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import product

import pytest
from harness.bench import OPEN, SHARE

from otrade_bot.core.clock import SECOND
from otrade_bot.core.errors import ConfigException, RiskException
from otrade_bot.core.model import (
    Instrument,
    InstrumentKind,
    Leg,
    OrderRequest,
    OrderStatus,
    OrderType,
    Product,
    Refused,
    Side,
)
from otrade_bot.trading.orders import TAG_LIMIT, TRANSITIONS, OrderBook, Tags
from otrade_bot.trading.risk import Approved, Quote, RiskLimits, RiskManager, slices

LOTTED = Instrument("NFO:NIFTY26SEPFUT", 3, InstrumentKind.FUTURE, lot=65, freeze=1_800)
INDEX = Instrument("NSE:NIFTY 50", 4, InstrumentKind.INDEX)


def test_the_table_is_total_over_every_pair() -> None:
    assert set(TRANSITIONS) == set(product(OrderStatus, OrderStatus))


def test_a_final_state_is_never_left_for_a_working_one() -> None:
    assert all(TRANSITIONS[have, told].final for have, told in TRANSITIONS if have.final)


def test_a_working_order_takes_every_word_but_pending() -> None:
    for have, told in TRANSITIONS:
        if not have.final:
            assert TRANSITIONS[have, told] is (have if told is OrderStatus.PENDING else told)


def test_a_fill_wins_over_every_other_end() -> None:
    assert all(TRANSITIONS[have, OrderStatus.COMPLETE] is OrderStatus.COMPLETE for have in OrderStatus)


def test_tags_are_short_alphanumeric_read_back_and_never_repeat() -> None:
    tags = Tags("A1")
    made = [tags.make("momentum_ladder", rung, leg, 40) for rung in range(3) for leg in Leg for _ in range(50)]
    assert len(set(made)) == len(made)
    assert all(len(tag) <= TAG_LIMIT and tag.isalnum() and tag.isascii() for tag in made)
    parts = tags.read(made[-1])
    assert parts is not None
    assert (parts.rung, parts.leg, parts.cycle, parts.sequence) == (2, Leg.EXIT, 40, 300)


def test_tags_of_others_are_not_ours() -> None:
    tag = Tags("A1").make("ema_crossover", 0, Leg.ENTRY, 1)
    assert Tags("B2").read(tag) is None
    for foreign in ("", "x" * 16, tag[:-1], tag + "0", tag[:6] + "9" + tag[7:], tag[:7] + "Z" + tag[8:]):
        assert Tags("A1").read(foreign) is None


def test_the_sequence_resumes_behind_the_highest_of_the_day() -> None:
    old = Tags("A1")
    known = [old.make("ema_crossover", 0, Leg.ENTRY, 1) for _ in range(7)]
    new = Tags("A1")
    new.resume(["", "manual", *known])
    assert new.make("ema_crossover", 0, Leg.ENTRY, 1) not in known
    assert new.sequence == 8


@pytest.mark.parametrize("instance", ["", "ABCD", "a-b", "é"])
def test_an_instance_that_no_tag_can_carry_is_named(instance: str) -> None:
    with pytest.raises(ConfigException, match="instance"):
        Tags(instance)


def test_a_tag_is_registered_once() -> None:
    from otrade_bot.trading.orders import Order

    request = OrderRequest("T", SHARE, Side.BUY, 1, Product.MIS, OrderType.MARKET)
    order = Order("T", 0, Leg.ENTRY, 0, 1, request, 1, OrderType.MARKET, 0, 0, 0)
    book = OrderBook()
    book.add(order)
    with pytest.raises(KeyError, match="T"):
        book.add(order)


# --- the gate -----------------------------------------------------------------------------------------


class Gate:
    """A gate with every limit on, in an open market at 100 rupees."""

    def __init__(self) -> None:
        self.closed = ""
        self.funds: int | None = None
        limits = RiskLimits(1_000, 10_000_000, 5.0, 10 * SECOND, SECOND)
        self.risk = RiskManager(limits, lambda *_: self.closed, lambda: self.funds)
        self.made = 0

    def tag(self) -> str:
        self.made += 1
        return f"tag{self.made}"

    def entry(self, now: int = OPEN, ltp: int = 10_000, age: int = 0, **fields: object) -> list[Approved] | Refused:
        base = OrderRequest("", SHARE, Side.BUY, 10, Product.MIS, OrderType.LIMIT, 10_000)
        request = replace(base, **fields)  # type: ignore[arg-type]
        return self.risk.entry(request, Quote(ltp, now - age), now, 0, self.tag)

    def refusal(self, **more: object) -> tuple[str, str]:
        said = self.entry(**more)  # type: ignore[arg-type]
        assert isinstance(said, Refused), said
        assert self.made == 0
        return said.code, said.reason


@pytest.mark.parametrize(
    ("code", "words", "wrong"),
    [
        ("untradable", "NSE:NIFTY 50 is an index", {"instrument": INDEX}),
        ("lot", "100 is not a multiple of the lot size 65", {"instrument": LOTTED, "quantity": 100}),
        ("lot", "0 is not a multiple", {"quantity": 0}),
        ("lot", "-5 is not a multiple", {"quantity": -5}),
        ("tick", "price ₹100.02 is not on the tick size ₹0.05", {"price": 10_002}),
        ("tick", "trigger ₹99.99 is not on the tick size", {"trigger": 9_999, "order_type": OrderType.SL}),
        ("quantity", "quantity 1001 is above the limit of 1000", {"quantity": 1_001}),
        ("value", "order value ₹1,01,000.00 is above the limit", {"quantity": 1_000, "price": 10_100}),
        ("no_price", "no price has been seen yet", {"ltp": 0, "price": 0, "order_type": OrderType.MARKET}),
        ("stale", "the last price is 11 s old, limit 10 s", {"age": 11 * SECOND}),
        ("band", "price is 5.1 % from the LTP, limit 5 %", {"price": 10_510}),
        ("band", "price is 5.1 % from the LTP, limit 5 %", {"price": 9_490}),
    ],
)
def test_each_refusal_says_in_words_what_is_wrong(code: str, words: str, wrong: dict[str, object]) -> None:
    got, said = Gate().refusal(**wrong)
    assert got == code
    assert words in said


def test_a_closed_market_refuses_entries_and_exits_in_the_markets_words() -> None:
    gate = Gate()
    gate.closed = "the market is not open (closed)"
    assert gate.refusal() == ("market", gate.closed)
    exit_ = OrderRequest("x", SHARE, Side.SELL, 10, Product.MIS, OrderType.LIMIT, 9_900)
    assert gate.risk.exit(exit_, 10, OPEN) == Refused(gate.closed, "market")


def test_too_little_money_counts_the_leverage_of_the_product() -> None:
    gate = Gate()
    gate.funds = 20_000  # 10 × ₹100 at five times
    assert not isinstance(gate.entry(), Refused)
    delivery = Gate()
    delivery.funds = 20_000
    assert delivery.refusal(product=Product.CNC) == ("unaffordable", "₹1,000.00 needed, ₹200.00 available")


def test_the_same_entry_within_the_window_is_refused_and_another_side_is_not() -> None:
    gate = Gate()
    assert isinstance(gate.entry(), list)
    again = gate.entry(now=OPEN + SECOND - 1)
    assert isinstance(again, Refused)
    assert again.code == "duplicate"
    assert isinstance(gate.entry(now=OPEN + SECOND - 1, side=Side.SELL), list)
    assert isinstance(gate.entry(now=OPEN + 2 * SECOND), list)


def test_an_entry_above_the_freeze_quantity_is_sliced_in_lots_each_with_its_own_tag() -> None:
    gate = Gate()
    gate.risk.limits = RiskLimits()
    approved = gate.entry(instrument=LOTTED, quantity=65 * 60)
    assert isinstance(approved, list)
    requests = [a.request for a in approved]
    assert [r.quantity for r in requests] == [1_755, 1_755, 390]
    assert all(r.quantity % 65 == 0 and r.quantity <= 1_800 for r in requests)
    assert len({r.tag for r in requests}) == 3


@pytest.mark.parametrize(
    ("quantity", "lot", "freeze"), [(10, 1, 0), (10, 1, 10), (11, 1, 10), (65, 65, 50), (650, 65, 130)]
)
def test_slices_add_up_and_none_exceeds_what_one_order_may_have(quantity: int, lot: int, freeze: int) -> None:
    parts = slices(quantity, Instrument("NSE:X", 1, lot=lot, freeze=freeze))
    assert sum(parts) == quantity
    assert all(part % lot == 0 and (not freeze or part <= max(freeze, lot)) for part in parts)


def test_exits_pass_everything_but_quantity_and_market() -> None:
    """Too big, too dear, off the band, stale, twice: a position is left all the same."""
    gate = Gate()
    gate.funds = 0
    big = OrderRequest("x", SHARE, Side.SELL, 50_000, Product.MIS, OrderType.LIMIT, 1)
    for _ in range(2):
        assert isinstance(gate.risk.exit(big, 50_000, OPEN), Approved)
    for quantity, held in ((50_001, 50_000), (0, 10), (-1, 10)):
        refused = gate.risk.exit(replace(big, quantity=quantity), held, OPEN)
        assert isinstance(refused, Refused)
        assert refused.code == "exceeds_position"


def test_nothing_but_the_gate_can_approve() -> None:
    request = OrderRequest("x", SHARE, Side.BUY, 1, Product.MIS, OrderType.MARKET)
    with pytest.raises(RiskException, match="gate"):
        Approved(request)
    with pytest.raises(RiskException, match="gate"):
        Approved(request, object())


def test_an_approval_cannot_be_turned_into_another_one() -> None:
    made = Gate().entry()
    assert isinstance(made, list)
    other = OrderRequest("x", SHARE, Side.BUY, 1_000_000, Product.MIS, OrderType.MARKET)
    with pytest.raises((RiskException, ValueError)):
        replace(made[0], request=other)
    with pytest.raises(AttributeError):
        made[0].request = other  # type: ignore[misc]
    assert copy.copy(made[0]).request == made[0].request
