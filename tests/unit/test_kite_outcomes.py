"""How a write to Kite ends, row by row of the table in ``brokers/kite/outcomes.py``, over the real client and wire.

Each row: what goes wrong, whether the exchange has acted nevertheless, and what we then say of it. Whatever
happens, the write is sent exactly once and nothing is raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from otrade_bot.brokers.kite import KiteBroker
from otrade_bot.brokers.kite.client import Lanes
from otrade_bot.core.errors import BrokerException
from otrade_bot.core.model import Accepted, OrderType, Outcome, Refused, Unknown
from tests.unit.kite_room import gtt, order, room
from tests.venues.kite import Kite
from tests.venues.kite_faults import (
    BadGateway,
    Broken,
    Closed,
    Fault,
    Hang,
    Reset,
    Says,
    error_body,
    html,
    refuses,
    too_many,
)

Write = Callable[[KiteBroker, str, str], Awaitable[Outcome]]
WRITES: dict[str, Write] = {
    "place": lambda broker, order_id, gtt_id: broker.place(order(OrderType.LIMIT, price=98_000, tag="new")),
    "modify": lambda broker, order_id, gtt_id: broker.modify(order_id, price=97_000),
    "cancel": lambda broker, order_id, gtt_id: broker.cancel(order_id),
    "place_gtt": lambda broker, order_id, gtt_id: broker.place_gtt(gtt(97_000)),
    "modify_gtt": lambda broker, order_id, gtt_id: broker.modify_gtt(gtt_id, gtt(96_000)),
    "cancel_gtt": lambda broker, order_id, gtt_id: broker.cancel_gtt(gtt_id),
}
SAYS_NO = (
    "TokenException", "UserException", "PermissionException", "OrderException", "InputException", "MarginException",
    "HoldingException", "GeneralException",
)  # fmt: skip
GOOD = {"order_id": "261120000000001", "trigger_id": 112127}


def says(status: int, body: Any, **more: Any) -> Callable[[], Fault]:
    return lambda: Says(status, body, **more)


def untyped(status: int) -> Callable[[], Fault]:
    return says(status, {"status": "error", "message": "No.", "data": None})


def no(error_type: str, status: int) -> Callable[[], Fault]:
    return lambda: refuses(error_type, "No.", status)


REFUSED: dict[str, tuple[Callable[[], Fault], str]] = {
    **{f"{name}, 400": (no(name, 400), name) for name in SAYS_NO},
    "token, 403": (no("TokenException", 403), "TokenException"),
    "permission, 403": (no("PermissionException", 403), "PermissionException"),
    "not authorised (TPIN), 428": (no("HoldingException", 428), "HoldingException"),
    "no such order, 404": (no("GeneralException", 404), "GeneralException"),
    "wrong method, 405": (no("InputException", 405), "InputException"),
    "too many requests as JSON": (too_many, "NetworkException"),
}
UNKNOWN: dict[str, Callable[[], Fault]] = {
    "order error, 500": no("OrderException", 500),
    "input error, 502": no("InputException", 502),
    "general error, 500": no("GeneralException", 500),
    "token error, 503": no("TokenException", 503),
    "network error, 503": no("NetworkException", 503),
    "network error, 400": no("NetworkException", 400),
    "data error, 502": no("DataException", 502),
    "data error, 400": no("DataException", 400),
    "gateway timeout, 504": no("NetworkException", 504),
    "request timeout, 408": no("InputException", 408),
    "conflict, 409": no("OrderException", 409),
    "an error under 200": no("InputException", 200),
    "a type nobody knows, 400": no("WeatherException", 400),
    "the client's own base class as a type": no("KiteException", 400),
    "a type that is no class": no("__name__", 400),
    "a type that is no text": says(400, {**error_body("", "No."), "error_type": 7}),
    "no type, 400": untyped(400),
    "no type, 403": untyped(403),
    "no type, 500": untyped(500),
    "no message": says(400, {"status": "error", "error_type": "InputException"}),
    "too many requests as a page": lambda: html(429),
    "bad gateway as a page": BadGateway,
    "bad gateway as a page, acted": lambda: BadGateway(after=True),
    "bad gateway as JSON": says(502, {"status": "error", "message": "Bad gateway"}),
    "a page under 400": lambda: html(400),
    "a page under 200, acted": lambda: html(200, after=True),
    "no content type, acted": says(200, {"status": "success", "data": GOOD}, content_type="", after=True),
    "no content type, 403": says(403, error_body("TokenException", "No."), content_type=""),
    "torn JSON": says(200, '{"status": "success", "data": {"ord'),
    "nothing": says(200, ""),
    "a list": says(200, []),
    "null": says(200, "null"),
    "a text": says(200, '"success"'),
    "no data": says(200, {"status": "success"}),
    "null data": says(200, {"status": "success", "data": None}),
    "an empty object, acted": says(200, {"status": "success", "data": {}}, after=True),
    "null ids": says(200, {"status": "success", "data": {"order_id": None, "trigger_id": None}}),
    "empty ids": says(200, {"status": "success", "data": {"order_id": "", "trigger_id": 0}}),
    "ids that are none": says(200, {"status": "success", "data": {"order_id": [1], "trigger_id": True}}),
    "a list of slices": says(200, {"status": "success", "data": [{"order_id": "1"}]}),
    "an id under 500": says(500, {"status": "success", "data": GOOD}, after=True),
    "an id under 404": says(404, {"status": "success", "data": GOOD}),
    "a table": says(200, "order_id\n1", content_type="text/csv"),
    "moved, to be asked again": says(307, "", headers=(("Location", "/elsewhere"),)),
    "moved to the same place": says(308, "", headers=(("Location", "/orders/regular"),)),
    "found elsewhere": says(302, "", headers=(("Location", "/orders"),)),
    "reset": Reset,
    "reset, acted": lambda: Reset(after=True),
    "closed": Closed,
    "closed, acted": lambda: Closed(after=True),
    "broken off": lambda: Broken(after=False),
    "broken off, acted": Broken,
}


async def prepared(broker: KiteBroker) -> tuple[str, str]:
    """A resting order and a GTT, for the writes that change one."""
    resting = await broker.place(order(OrderType.LIMIT, price=99_000, tag="old"))
    trigger = await broker.place_gtt(gtt(97_500))
    assert isinstance(resting, Accepted)
    assert isinstance(trigger, Accepted)
    return resting.order_id, trigger.order_id


def state(kite: Kite) -> Any:
    """All that a write could change at the exchange."""
    orders = [(o.order_id, o.status, o.price, o.quantity) for o in kite.exchange.orders.values()]
    return orders, [(g.number, g.status, g.condition["trigger_values"]) for g in kite.gtts.all.values()]


async def struck(name: str, fault: Fault, **settings: Any) -> tuple[Outcome, bool]:
    """The outcome of a write that meets a fault, and whether the exchange has acted; sent once."""
    async with room(**settings) as (kite, broker):
        ids = await prepared(broker)
        before, hits, requests = state(kite), kite.hits(name), len(kite.calls)
        kite.fail(name, fault)
        outcome = await WRITES[name](broker, *ids)
        if isinstance(fault, Hang):
            fault.release()
        assert kite.hits(name) == hits + 1
        assert len(kite.calls) == requests + 1
        return outcome, state(kite) != before


@pytest.mark.parametrize("name", WRITES)
async def test_a_write_that_is_taken_is_accepted_with_its_id(name: str) -> None:
    async with room() as (kite, broker):
        ids = await prepared(broker)
        before = state(kite)
        outcome = await WRITES[name](broker, *ids)
        assert isinstance(outcome, Accepted)
        assert int(outcome.order_id) in {*map(int, kite.exchange.orders), *kite.gtts.all}
        assert state(kite) != before


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("row", REFUSED)
async def test_only_a_definite_no_is_refused(name: str, row: str) -> None:
    fault, code = REFUSED[row]
    outcome, acted = await struck(name, fault())
    assert isinstance(outcome, Refused), outcome
    assert (outcome.code, acted) == (code, False)
    assert outcome.reason


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("row", UNKNOWN)
async def test_everything_else_is_unknown_sent_once_and_never_raised(name: str, row: str) -> None:
    outcome, acted = await struck(name, UNKNOWN[row]())
    assert isinstance(outcome, Unknown), outcome
    assert outcome.cause
    assert acted == row.endswith(", acted") or row == "an id under 500"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", ["place", "cancel"])
async def test_silence_ends_unknown_whether_or_not_the_exchange_has_acted(name: str, after: bool) -> None:
    outcome, acted = await struck(name, Hang(after=after), silence=0.5, deadline=5.0)
    assert isinstance(outcome, Unknown)
    assert "Read timed out" in outcome.cause
    assert acted is after


async def test_an_answer_slower_than_the_deadline_is_not_waited_for() -> None:
    outcome, acted = await struck("place", Hang(after=True), silence=30.0, deadline=0.5)
    assert outcome == Unknown("no answer within 0.5 s")
    assert acted


async def test_a_write_that_waited_in_vain_for_a_free_thread_is_not_sent_later() -> None:
    async with room(writers=1, silence=30.0, deadline=0.2) as (kite, broker):
        hang = Hang()
        kite.fail("place", hang)
        assert isinstance(await broker.place(order(tag="first")), Unknown)
        assert isinstance(await broker.place(order(tag="second")), Unknown)
        hang.release()
        await broker.place(order(tag="third"))  # comes after whatever waited
        assert "second" not in [call.form["tag"] for call in kite.calls]


@pytest.mark.parametrize("name", WRITES)
async def test_where_nobody_listens_a_write_is_unknown(name: str) -> None:
    async with room() as (kite, broker):
        ids = await prepared(broker)
        before = state(kite)
        kite.down()
        outcome = await WRITES[name](broker, *ids)
        assert isinstance(outcome, Unknown)
        assert "Connection refused" in outcome.cause
        assert state(kite) == before


async def test_a_write_to_a_closed_broker_is_unknown() -> None:
    async with room() as (kite, broker):
        await broker.aclose()
        assert isinstance(await broker.place(order()), Unknown)
        assert kite.calls == []


async def test_what_still_waits_for_a_thread_when_the_broker_closes_is_unknown_and_not_sent() -> None:
    async with room(writers=1, readers=1) as (kite, broker):
        hang, slow = Hang(), Hang()
        kite.fail("place", hang)
        kite.fail("orders", slow)
        first, second = (asyncio.create_task(broker.place(order(tag=tag))) for tag in ("first", "second"))
        reads = [asyncio.create_task(broker.get_orderbook()) for _ in range(2)]
        arrived = asyncio.Event()
        hang.on_change = slow.on_change = lambda: arrived.set() if hang.holding and slow.holding else None
        await asyncio.wait_for(arrived.wait(), 10)
        closing = asyncio.create_task(broker.aclose())
        assert isinstance(await second, Unknown)
        hang.release()
        slow.release()
        await closing
        assert isinstance(await first, Accepted)
        assert await reads[0] is not None
        with pytest.raises(BrokerException, match="closed"):
            await reads[1]
        assert [call.form["tag"] for call in kite.calls if call.form] == ["first"]


async def test_a_client_that_cannot_be_made_makes_a_write_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    async with room() as (kite, broker):
        monkeypatch.setattr(Lanes, "_take", lambda self: 1 / 0)
        assert await broker.place(order()) == Unknown("ZeroDivisionError: division by zero")
        with pytest.raises(BrokerException, match="ZeroDivisionError"):
            await broker.get_trades()
        assert kite.calls == []


async def test_no_outcome_shows_the_token() -> None:
    async with room() as (kite, broker):
        kite.fail("place", refuses("InputException", f"{Kite.TOKEN} is strange"), Says(502, f"{Kite.TOKEN}"))
        for _ in range(2):
            outcome = await broker.place(order())
            assert isinstance(outcome, (Refused, Unknown))
            assert Kite.TOKEN not in repr(outcome)


@pytest.mark.parametrize("bad", [{"tag": "has-a-dash"}, {"tag": "x" * 21}, {"tag": "पाँच"}])
async def test_what_kite_has_no_words_for_is_refused_unsent(bad: dict[str, Any]) -> None:
    async with room() as (kite, broker):
        outcome = await broker.place(order(**bad))
        assert isinstance(outcome, Refused)
        assert outcome.code == "not_sent"
        outcome = await broker.place_gtt(gtt())
        assert isinstance(outcome, Refused)
        assert kite.calls == []


async def test_neither_a_proxy_nor_a_netrc_of_the_machine_comes_between(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with room() as (_, broker):
        assert isinstance(await broker.place(order()), Accepted)


async def test_orders_share_one_connection_that_stays_open() -> None:
    async with room() as (kite, broker):
        for number in range(5):
            assert isinstance(await broker.place(order(tag=f"t{number}")), Accepted)
        await broker.keep_warm()
        assert kite.connections == 1
        assert kite.calls[-1].name == "profile"


async def test_an_idle_connection_that_was_cut_costs_no_order() -> None:
    async with room() as (kite, broker):
        await broker.keep_warm()
        kite.down()
        kite.open()
        assert isinstance(await broker.place(order()), Accepted)
        assert kite.hits("place") == 1


async def test_a_connection_idle_for_too_long_carries_no_write() -> None:
    async with room(fresh=0.0) as (kite, broker):
        for _ in range(3):
            assert isinstance(await broker.place(order()), Accepted)
        assert kite.connections == 3
