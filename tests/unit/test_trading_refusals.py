"""What a broker's no means: for the login, the address, the traffic, one order, or all entries."""

from __future__ import annotations

from typing import Any

import pytest
from harness.bench import Bench, config
from harness.venue import Call, FakeVenue

from otrade_bot.core.clock import SECOND
from otrade_bot.core.model import Block, ExitReason, Instrument, OrderStatus, OrderType, Refused, Side
from otrade_bot.trading.refusals import Pauses, Storm, Trouble, trouble_of

IP = "Order placement from an unregistered IP address (203.0.113.7) is not allowed."
MANY = "Maximum allowed order modifications exceeded."


@pytest.fixture
def bench() -> Bench:
    return Bench(lambda b: FakeVenue(b.clock))


def bought(bench: Bench, base: int = 10_000) -> None:
    """30 shares; the stop's place is on its way."""
    bench.signal(base)
    bench.broker.fill(bench.broker.accept(), say=False)
    bench.broker.deliver_all()


def protected(bench: Bench) -> str:
    bought(bench)
    stop: str = bench.broker.accept()
    bench.broker.deliver_all()
    assert bench.life().protected
    return stop


def refuse(bench: Bench, why: str, code: str = "") -> Call:
    call: Call = bench.broker.open_calls()[0]
    call.lost = True
    bench.broker.answer(call, Refused(why, code))
    return call


@pytest.mark.parametrize(
    ("reason", "code", "kind"),
    [
        ("Incorrect `api_key` or `access_token`.", "TokenException", Trouble.TOKEN),
        ("Incorrect `api_key` or `access_token`.", "InputException", Trouble.TOKEN),
        ("Invalid token used to access API", "UDAPI100050", Trouble.TOKEN),
        ("Too many requests", "NetworkException", Trouble.TRAFFIC),
        ("Too Many Request Sent", "UDAPI10005", Trouble.TRAFFIC),
        ("the day's orders are used up", "budget", Trouble.TRAFFIC),
        (IP, "PermissionException", Trouble.ADDRESS),
        ("Request from static IP mismatch", "UDAPI1154", Trouble.ADDRESS),
        ("Your IP is not whitelisted for orders", "InputException", Trouble.ADDRESS),
        ("IP 203.0.113.7 is not allowed to place orders for this app.", "PermissionException", Trouble.ADDRESS),
        ("The IP (2001:db8::7) isn't on the list", "PermissionException", Trouble.ADDRESS),
        ("No IPs configured for this app. Add allowed IPs.", "PermissionException", Trouble.ADDRESS),
        (MANY, "OrderException", Trouble.MODIFICATIONS),
        ("Modification limit reached for this order", "UDAPI100041", Trouble.MODIFICATIONS),
        ("Trigger price for stoploss sell orders should be lower than the last traded price.", "OrderException",
         Trouble.NONE),
        ("Insufficient funds. Required margin is 9.00 but available margin is 1.00.", "MarginException", Trouble.NONE),
        ("no price has been seen yet", "no_price", Trouble.NONE),
        ("RMS: SHIP-EQ is blocked. Tips and scripts cannot be modified.", "OrderException", Trouble.NONE),
    ],
)  # fmt: skip
def test_a_refusal_is_known_by_its_code_or_its_words(reason: str, code: str, kind: Trouble) -> None:
    assert trouble_of(Refused(reason, code)) is kind


def test_waits_grow_to_fifteen_seconds_and_begin_anew_after_a_minute_of_peace() -> None:
    pauses = Pauses()
    assert [pauses.next("a", 0) // SECOND for _ in range(7)] == [1, 2, 4, 8, 15, 15, 15]
    assert pauses.next("b", 0) == SECOND
    assert pauses.next("a", 61 * SECOND) == SECOND
    pauses.forget("a")
    assert pauses.next("a", 62 * SECOND) == SECOND


def test_a_storm_is_five_refusals_in_a_row_within_a_minute() -> None:
    storm = Storm(5, 60 * SECOND)
    assert not any(storm.refused(20 * k * SECOND) for k in range(30))
    assert [storm.refused(700 * SECOND + k) for k in range(5)] == [False] * 4 + [True]
    for k in range(4):
        assert not storm.refused(800 * SECOND + k)
    storm.calm()
    assert not storm.refused(800 * SECOND + 5)
    assert not any(Storm(0).refused(k) for k in range(50))


# --- the login and the address ----------------------------------------------------------------------


def test_a_stop_refused_for_want_of_a_token_is_placed_once_there_is_one(bench: Bench) -> None:
    bought(bench)
    refuse(bench, "Incorrect `api_key` or `access_token`.", "TokenException")
    assert bench.life().wanted is None  # the position is not given up for a login
    assert Block.TOKEN in bench.engine.blocks
    before = len(bench.broker.calls)
    bench.engine.token_back()
    request = bench.broker.last("place").request
    assert len(bench.broker.calls) == before + 1
    assert (request.order_type, request.trigger, request.quantity) == (OrderType.SL_M, 9_800, 30)


def test_an_entry_refused_for_want_of_a_token_stops_entries_and_frees_its_rung(bench: Bench) -> None:
    bench.signal()
    refuse(bench, "Invalid token used to access API", "UDAPI100050")
    assert bench.engine.blocks == {Block.TOKEN}
    assert bench.rung("side") == 0
    assert bench.life().closed or bench.life().held == 0


def test_an_address_that_is_not_registered_stops_entries_at_once_and_says_the_cure(bench: Bench) -> None:
    bench.signal()
    refuse(bench, IP, "PermissionException")
    assert bench.engine.blocks == {Block.ERROR}
    (said,) = [text for text in bench.alerts if "static" in text]
    assert "203.0.113.7" in said
    assert "register" in said


def test_the_same_address_fault_after_a_resume_stops_entries_again(bench: Bench) -> None:
    for _ in range(2):
        bench.signal()
        refuse(bench, IP)
        assert bench.engine.blocks == {Block.ERROR}
        assert bench.engine.resume("owner")
        bench.pulse(120)


def test_exits_from_an_address_that_is_not_registered_go_on_ever_more_slowly(bench: Bench) -> None:
    protected(bench)
    bench.engine.exit_row(0)
    sent: list[int] = []

    def refusing(call: Call) -> Refused:
        sent.append(bench.now)
        call.lost = True
        return Refused(IP, "PermissionException")

    refuse(bench, IP)
    bench.broker.script = refusing
    start = bench.now
    for _ in range(100):
        bench.pulse(1)
    assert [(ns - start) // SECOND for ns in sent] == [1, 3, 7, 15, 30, 45, 60, 75, 90]
    assert len([text for text in bench.alerts if "static" in text]) == 1
    bench.broker.script = lambda call: True
    bench.pulse(15)
    bench.broker.deliver_all()
    assert bench.broker.working()[0].order_type is OrderType.LIMIT


def test_a_refused_stop_from_there_is_tried_again_as_a_stop(bench: Bench) -> None:
    bought(bench)
    refuse(bench, IP)
    assert bench.life().wanted is None
    bench.pulse(1.1)
    assert bench.broker.last("place").request.order_type is OrderType.SL_M


def test_too_many_requests_give_no_stop_up(bench: Bench) -> None:
    bought(bench)
    refuse(bench, "Too many requests", "NetworkException")
    assert bench.life().wanted is None
    assert not bench.engine.blocks
    bench.pulse(1.1)
    bench.broker.accept()
    bench.broker.deliver_all()
    assert bench.life().protected


# --- one order's modifications ------------------------------------------------------------------------


def test_a_stop_that_may_not_be_changed_any_more_is_cancelled_awaited_and_placed_anew(bench: Bench) -> None:
    stop = protected(bench)
    bench.manager.set_stop(0, 0, 1, 9_900, 0)
    refuse(bench, MANY, "OrderException")
    call = bench.broker.last()
    assert (call.what, call.order_id) == ("cancel", stop)
    bench.broker.accept()
    assert bench.broker.last() is call  # final first
    bench.broker.deliver_all()
    request = bench.broker.last("place").request
    assert (request.order_type, request.trigger, request.quantity) == (OrderType.SL_M, 9_900, 30)
    bench.broker.accept()
    bench.broker.deliver_all()
    assert len(bench.broker.working()) == 1
    assert bench.life().protected


def test_an_exit_that_may_not_be_changed_any_more_leaves_all_the_same(bench: Bench) -> None:
    protected(bench)
    bench.engine.exit_row(0)
    refuse(bench, MANY)
    bench.broker.accept()
    bench.broker.deliver_all()
    request = bench.broker.last("place").request
    assert (request.order_type, request.side, request.quantity) == (OrderType.LIMIT, Side.SELL, 30)


def test_a_broker_that_allows_fewer_modifications_is_asked_for_a_fresh_order_sooner(bench: Bench) -> None:
    bench.broker.modification_limit = 8
    stop = protected(bench)
    for k in range(3):
        bench.manager.set_stop(0, 0, 1, 9_805 + 5 * k, 0)
        bench.broker.accept()
        bench.broker.deliver_all()
    bench.manager.set_stop(0, 0, 1, 9_950, 0)
    assert (bench.broker.last().what, bench.broker.last().order_id) == ("cancel", stop)


# --- entries in a row -----------------------------------------------------------------------------------


def crowd(count: int = 6, **risk: Any) -> Bench:
    shares = [Instrument(f"NSE:S{k}", 100 + k) for k in range(count)]
    settings = config(symbols=[share.symbol for share in shares], risk=risk)
    return Bench(lambda b: FakeVenue(b.clock), settings, shares)


def enter(bench: Bench, row: int) -> Call:
    bench.signal(row=row)
    call: Call = bench.broker.open_calls()[0]
    return call


def reject(bench: Bench, row: int, *, at_once: bool) -> None:
    """Refused in the answer, or accepted and then rejected by the risk desk."""
    call = enter(bench, row)
    if at_once:
        bench.broker.refuse(call, "RMS: margin")
    else:
        order_id = bench.broker.accept(call)
        bench.broker.change(order_id, status=OrderStatus.REJECTED, reason="RMS: margin")


def test_five_refused_entries_in_a_row_stop_entries_and_say_why() -> None:
    bench = crowd()
    for row in range(5):
        assert not bench.engine.blocks
        reject(bench, row, at_once=row % 2 == 0)
    assert bench.engine.blocks == {Block.ERROR}
    (said,) = [text for text in bench.alerts if "in a row" in text]
    assert "RMS: margin" in said
    bench.signal(row=5)
    assert not bench.broker.open_calls()


def test_a_filled_entry_between_them_makes_no_storm() -> None:
    bench = crowd()
    for row in range(4):
        reject(bench, row, at_once=True)
    bench.broker.fill(bench.broker.accept(enter(bench, 4)))
    bench.broker.refuse()  # its stop
    reject(bench, 5, at_once=True)
    assert not bench.engine.blocks


def test_the_settings_say_how_many_make_a_storm() -> None:
    bench = crowd(reject_storm=2)
    reject(bench, 0, at_once=True)
    reject(bench, 1, at_once=True)
    assert bench.engine.blocks == {Block.ERROR}


def test_a_no_of_our_own_gate_is_no_storm() -> None:
    bench = crowd(max_order_quantity=1)
    for row in range(6):
        bench.signal(row=row)
    assert "quantity" in bench.codes()
    assert not bench.engine.blocks


# --- what budgets need to know ---------------------------------------------------------------------------


def test_every_exit_says_that_it_can_only_make_a_position_smaller(bench: Bench) -> None:
    bought(bench)
    entry, stop = (call.request for call in bench.broker.calls if call.what == "place")
    assert not entry.reduces
    assert stop.reduces
    refuse(bench, "trigger too close")
    assert bench.broker.last("place").request.reduces
    assert bench.life().wanted is ExitReason.STOP
