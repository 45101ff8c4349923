"""Every row of the table of outcomes, over the wire, through Upstox's own client: nothing sent twice."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.brokers.upstox.outcomes import answered, raised
from otrade_bot.brokers.upstox.wire import UpstoxSettings, Wire
from otrade_bot.core.model import Accepted, GttLeg, GttRequest, OrderType, Outcome, Product, Refused, Side, Unknown
from tests.unit.upstox_room import KEYS, SHARE, UpstoxBroker, until, upstox, wanted
from tests.venues.faults import Fault
from tests.venues.upstox import (
    BadGateway,
    Closed,
    Edit,
    Hang,
    Reset,
    Says,
    Torn,
    UpstoxApi,
    error,
    html,
    too_many,
)

GTT = GttRequest(SHARE, Side.SELL, 10, Product.CNC, (GttLeg(97_500, 97_000),), 100_000)

WRITES = {
    "place": lambda b, _: b.place(wanted(OrderType.LIMIT, price=99_000)),
    "modify": lambda b, order: b.modify(order, order_type=OrderType.LIMIT, price=98_000),
    "cancel": lambda b, order: b.cancel(order),
    "gtt_place": lambda b, _: b.place_gtt(GTT),
    "gtt_modify": lambda b, gtt: b.modify_gtt(gtt, GTT),
    "gtt_cancel": lambda b, gtt: b.cancel_gtt(gtt),
}


def told(status: int, body: Any, **fields: Any) -> Says:
    return Says(status, body if isinstance(body, bytes) else json.dumps(body).encode(), **fields)


def wrong(**fields: Any) -> dict[str, Any]:
    return {"status": "error", "errors": [fields]}


def with_data(**fields: Any) -> Edit:
    """It was done; ``data`` says this."""
    return Edit(lambda body: body.update(data=fields))


NO = {
    "bad input": lambda: error(400, "UDAPI100036", "Invalid input"),
    "the old spelling of the code alone": lambda: told(400, wrong(errorCode="UDAPI1026", message="no")),
    "token expired": lambda: error(401, "UDAPI100050"),
    "address not registered": lambda: error(403, "UDAPI1154"),
    "not found": lambda: error(404, "UDAPI100060"),
    "unprocessable": lambda: error(422, "UDAPI100038"),
    "eDIS needed": lambda: error(428, "UDAPI1160"),
    "too many, as JSON": lambda: too_many(),
    "too many, as JSON, with Retry-After": lambda: too_many(30),
}
BEFORE = {
    "400 as a page": lambda: html(400, after=False),
    "400 without a body": lambda: told(400, b""),
    "400 without errors": lambda: told(400, {"status": "error", "errors": []}),
    "400 with errors null": lambda: told(400, {"status": "error", "errors": None}),
    "400 without a code": lambda: told(400, wrong(message="no")),
    "400 with a strange code": lambda: told(400, wrong(error_code="E-17", message="no")),
    "400 with a code of theirs and a strange one": lambda: told(
        400, {"status": "error", "errors": [{"error_code": "UDAPI100036"}, {"error_code": "E-17"}]}
    ),
    "400 that says success": lambda: told(400, {"status": "success", "errors": [{"error_code": "UDAPI100036"}]}),
    "400 that is a list": lambda: told(400, []),
    "400 that is a server's error": lambda: error(400, "UDAPI100500"),
    "408": lambda: error(408, "UDAPI100036"),
    "409": lambda: error(409, "UDAPI100036"),
    "418, not in the table": lambda: error(418, "UDAPI100036"),
    "too many, as a page": lambda: too_many(page=True),
    "too many, as a page, with Retry-After": lambda: too_many(30, page=True),
    "redirected": lambda: told(307, b"", headers=(("Location", "/v3/order/place"),)),
    "500": lambda: error(500, "UDAPI100500"),
    "502 as a page": lambda: BadGateway(),
    "503 with Retry-After": lambda: told(503, b"", headers=(("Retry-After", "30"),)),
    "504 as JSON of another form": lambda: told(504, {"message": "Endpoint request timed out"}),
    "reset": lambda: Reset(),
    "closed without an answer": lambda: Closed(),
    "silence": lambda: Hang(),
}
AFTER = {
    "200 as a page": lambda: html(200),
    "200 without a body": lambda: told(200, b"", after=True),
    "204": lambda: told(204, b"", after=True),
    "200 with half a JSON": lambda: told(200, b'{"status": "succ', after=True),
    "200 with bytes that are no text": lambda: told(200, b"\xff\xfe\x00", after=True),
    "200 with a list": lambda: told(200, [], after=True),
    "200 with null": lambda: told(200, None, after=True),
    "200 that says error": lambda: Edit(lambda body: body.update(status="error")),
    "200 that says partial_success": lambda: Edit(lambda body: body.update(status="partial_success")),
    "200 with a status that nobody knows": lambda: Edit(lambda body: body.update(status="queued")),
    "200 without a status": lambda: Edit(lambda body: body.pop("status")),
    "200 without data": lambda: Edit(lambda body: body.pop("data")),
    "200 with data null": lambda: Edit(lambda body: body.update(data=None)),
    "200 with data in a list": lambda: Edit(lambda body: body.update(data=[{"order_id": "1"}])),
    "200 without an id": lambda: with_data(),
    "200 with an empty list of ids": lambda: with_data(order_ids=[], gtt_order_ids=[]),
    "200 with ids that are no list": lambda: with_data(order_ids="1", gtt_order_ids="1"),
    "200 with an id null": lambda: with_data(order_id=None, order_ids=[None], gtt_order_ids=[None]),
    "200 with an empty id": lambda: with_data(order_id="", order_ids=[""]),
    "200 with an id true": lambda: with_data(order_id=True),
    "200 with two ids": lambda: with_data(order_ids=["1", "2"]),
    "500 after all": lambda: error(500, "UDAPI100500", after=True),
    "502 after all": lambda: BadGateway(after=True),
    "reset after all": lambda: Reset(after=True),
    "closed after all": lambda: Closed(after=True),
    "silence after all": lambda: Hang(after=True),
}
SHORT = 0.3
#: Of what is the same for every verb, the rows that urllib3 or the client treat by verb are tried on each.
EACH = {name: {**NO, **BEFORE, **AFTER}[name] for name in (
    "bad input", "too many, as JSON, with Retry-After", "too many, as a page, with Retry-After", "redirected",
    "502 as a page", "503 with Retry-After", "reset", "silence", "reset after all", "silence after all",
    "200 as a page", "200 with a status that nobody knows", "200 without an id",
)}  # fmt: skip


async def prepared(api: UpstoxApi, broker: UpstoxBroker, name: str) -> str:
    """What a modification or a cancellation is about."""
    if name in ("modify", "cancel"):
        outcome = await broker.place(wanted(OrderType.LIMIT, price=99_000))
    elif name in ("gtt_modify", "gtt_cancel"):
        outcome = await broker.place_gtt(GTT)
    else:
        return ""
    assert isinstance(outcome, Accepted)
    api.calls.clear()
    return outcome.order_id


async def struck(name: str, fault: Fault) -> tuple[Outcome, UpstoxApi]:
    async with upstox(read_s=SHORT if isinstance(fault, Hang) else 5.0) as (api, broker):
        about = await prepared(api, broker, name)
        api.fail(name, fault)
        outcome = await WRITES[name](broker, about)
        assert [call.name for call in api.calls] == [name]
        return outcome, api


@pytest.mark.parametrize("row", NO)
async def test_a_definite_no_is_refused(row: str) -> None:
    outcome, api = await struck("place", NO[row]())
    assert isinstance(outcome, Refused), outcome
    assert outcome.code.startswith("UDAPI")
    assert outcome.reason
    assert api.exchange.orders == {}


@pytest.mark.parametrize("row", BEFORE)
async def test_what_may_not_have_arrived_is_unknown(row: str) -> None:
    outcome, api = await struck("place", BEFORE[row]())
    assert isinstance(outcome, Unknown), outcome
    assert outcome.cause
    assert api.exchange.orders == {}


@pytest.mark.parametrize("row", AFTER)
async def test_an_order_that_is_there_is_never_called_refused(row: str) -> None:
    outcome, api = await struck("place", AFTER[row]())
    assert isinstance(outcome, Unknown), outcome
    assert outcome.cause
    assert len(api.exchange.orders) == 1


@pytest.mark.parametrize("name", [name for name in WRITES if name != "place"])
@pytest.mark.parametrize("row", EACH)
async def test_no_write_of_any_verb_is_sent_again(name: str, row: str) -> None:
    outcome, _ = await struck(name, EACH[row]())
    assert type(outcome) is (Refused if row in NO else Unknown)


@pytest.mark.parametrize("name", WRITES)
async def test_what_upstox_takes_is_accepted_under_its_id(name: str) -> None:
    async with upstox() as (api, broker):
        about = await prepared(api, broker, name)
        outcome = await WRITES[name](broker, about)
        assert outcome == Accepted(about or next(iter([*api.exchange.orders, *api.exchange.gtts])))
        assert [call.name for call in api.calls] == [name]


async def test_where_nobody_listens_a_write_is_unknown() -> None:
    async with upstox() as (api, broker):
        api.down()
        assert isinstance(await broker.place(wanted()), Unknown)
        api.up()
        assert api.called("place") == []


async def test_an_answer_that_breaks_off_is_unknown() -> None:
    outcome, api = await struck("place", Torn())
    assert isinstance(outcome, Unknown), outcome
    assert len(api.exchange.orders) == 1


async def test_the_client_by_itself_sends_a_lost_cancel_four_times() -> None:
    """Why its retries are off; the day this fails they may be looked at again."""
    import upstox_client

    async with upstox() as (api, broker):
        order = await prepared(api, broker, "cancel")
        api.fail("cancel", Reset(), times=4)
        configuration = upstox_client.Configuration()
        configuration.host = configuration.order_host = api.root
        client = upstox_client.ApiClient(configuration)
        try:
            with pytest.raises(Exception, match="Connection"):
                await asyncio.to_thread(upstox_client.OrderApiV3(client).cancel_order, order)
        finally:
            client.pool.close()
            client.pool.join()
            client.rest_client.pool_manager.clear()
        assert len(api.called("cancel")) == 4


# --- the table itself -------------------------------------------------------------------------------


def sdk_errors() -> list[Exception]:
    """What the client and what is under it raise, and what a change of theirs may make them raise."""
    import urllib3.exceptions as lost
    from upstox_client.rest import ApiException

    pool: Any = None
    return [
        ApiException(status=0, reason="SSLError"), ApiException(), ApiException(status=None),
        lost.MaxRetryError(pool, "/v3/order/place", lost.NewConnectionError(pool, "refused")),
        lost.ConnectTimeoutError(pool, "slow"), lost.ReadTimeoutError(pool, "/", "slow"), lost.SSLError("bad"),
        lost.ProtocolError("Connection aborted."), lost.IncompleteRead(1, 2), lost.DecodeError("gzip"),
        lost.LocationParseError("x"), lost.ResponseError("too many 500"), lost.HTTPError(), ConnectionResetError(),
        TimeoutError(), OSError(24, "Too many open files"), ValueError("Invalid value for `order_type` (ICEBERG)"),
        TypeError("string indices must be integers"), AttributeError("x"), KeyError("data"), IndexError(), Exception(),
        RuntimeError("cannot schedule new futures after shutdown"), AssertionError(), MemoryError(), RecursionError(),
        json.JSONDecodeError("x", "", 0), UnicodeDecodeError("utf-8", b"", 0, 1, "x"),
    ]  # fmt: skip


@pytest.mark.parametrize("fault", sdk_errors(), ids=lambda e: f"{type(e).__name__} {e}"[:50])
def test_whatever_is_raised_is_unknown(fault: Exception) -> None:
    outcome = raised(fault)
    assert isinstance(outcome, Unknown)
    assert outcome.cause
    assert "\n" not in outcome.cause


words = st.none() | st.booleans() | st.integers() | st.sampled_from(["success", "error", "UDAPI1000", "", "x"])
names = st.sampled_from(["status", "data", "errors", "order_id", "order_ids", "error_code", "errorCode", "message"])
bodies = st.recursive(words, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5))


@given(st.integers(0, 599), bodies.map(lambda body: json.dumps(body).encode()) | st.binary(max_size=40))
def test_the_table_is_total_and_only_a_success_is_accepted_and_only_a_4xx_refused(status: int, body: bytes) -> None:
    outcome = answered(status, body)
    if isinstance(outcome, Accepted):
        assert 200 <= status < 300
        assert json.loads(body)["status"] == "success"
        assert outcome.order_id
    elif isinstance(outcome, Refused):
        assert 400 <= status < 500
        assert outcome.code.startswith("UDAPI")
    else:
        assert outcome.cause


def test_a_secret_in_an_answer_is_not_repeated() -> None:
    body = json.dumps(wrong(error_code="UDAPI100050", message="Bearer eyJhbGciOiJIUzI1NiJ9.abcdefgh.xyz")).encode()
    outcome = answered(401, body)
    assert isinstance(outcome, Refused)
    assert "eyJ" not in outcome.reason


async def test_a_write_after_the_end_is_unknown_and_nothing_is_raised() -> None:
    async with UpstoxApi() as api:
        wire = Wire(UpstoxSettings(host=api.root, order_host=api.root), api.token)
        await wire.close()
        outcome = await wire.write(wire.orders.place_order, {"quantity": 10})
        assert isinstance(outcome, Unknown)
        assert api.calls == []


async def test_a_write_that_stands_behind_others_when_the_end_comes_is_never_sent() -> None:
    async with UpstoxApi() as api:
        hang = Hang(after=True)
        api.fail("place", hang)
        broker = UpstoxBroker(KEYS, UpstoxSettings(host=api.root, order_host=api.root, threads=1), api.token)
        first = asyncio.create_task(broker.place(wanted(tag="T1")))
        await until(lambda: hang.holding > 0)
        second = asyncio.create_task(broker.place(wanted(tag="T2")))
        await asyncio.sleep(0)
        closing = asyncio.create_task(broker.aclose())
        assert await second == Unknown("RuntimeError: the broker was closed before it was sent")
        hang.release()
        await closing
        assert isinstance(await first, Accepted)
        assert len(api.called("place")) == 1
