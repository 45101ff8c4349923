"""Upstox's client on its leash: where it sends, as whom, how long it waits, what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import threading
import time
from collections.abc import Iterator

import pytest
import upstox_client

from otrade_bot.brokers.upstox import UpstoxBroker, UpstoxSettings
from otrade_bot.brokers.upstox.wire import Wire
from otrade_bot.core.errors import BrokerException, ConfigException
from otrade_bot.core.model import Accepted, OrderType, Side, Unknown
from tests.unit.upstox_room import KEYS, until, upstox, wanted
from tests.venues.faults import Accept
from tests.venues.loopback import Answer
from tests.venues.upstox import RELIANCE, Hang, UpstoxApi

LIMIT, MARKET, SL, SL_M = OrderType.LIMIT, OrderType.MARKET, OrderType.SL, OrderType.SL_M


@pytest.fixture
def poisoned() -> Iterator[None]:
    """Somebody has made a configuration before us: it comes back in every later one."""
    before = upstox_client.Configuration._default
    first = upstox_client.Configuration(sandbox=True)
    first.sandbox, first.host, first.order_host = True, "http://127.0.0.1:1", "http://127.0.0.1:1"
    first.access_token, first.verify_ssl, first.proxy = "somebody-elses", False, "http://127.0.0.1:1"
    upstox_client.Configuration.set_default(first)
    yield
    upstox_client.Configuration._default = before


async def test_an_earlier_configuration_changes_nothing(poisoned: None) -> None:
    assert upstox_client.Configuration().sandbox is True
    async with upstox() as (api, broker):
        assert isinstance(await broker.place(wanted()), Accepted)
        assert await broker.session_fault() == ""
        assert api.called("place")[0].headers["authorization"] == f"Bearer {api.token}"


async def test_ours_changes_nothing_for_others() -> None:
    async with upstox():
        assert upstox_client.Configuration().access_token in ("", None)


def test_a_client_that_does_not_keep_its_settings_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stubborn(upstox_client.ApiClient):  # type: ignore[misc]
        def __init__(self, configuration: upstox_client.Configuration) -> None:
            super().__init__(configuration)
            self.configuration.order_host = "https://api-hft.upstox.com"

    monkeypatch.setattr(upstox_client, "ApiClient", Stubborn)
    with pytest.raises(ConfigException, match="does not hold what it was given"):
        Wire(UpstoxSettings("http://127.0.0.1:1", "http://127.0.0.1:1"), "token-of-tests")


async def test_orders_go_to_the_order_host_and_all_else_to_the_other() -> None:
    async with UpstoxApi() as api, UpstoxApi() as orders:
        broker = UpstoxBroker(KEYS, UpstoxSettings(api.root, orders.root), api.token)
        orders.exchange.price(RELIANCE, 100_000)
        outcome = await broker.place(wanted(LIMIT, price=99_000))
        assert isinstance(outcome, Accepted)
        await broker.modify(outcome.order_id, order_type=LIMIT, price=98_000)
        await broker.cancel(outcome.order_id)
        await broker.get_orderbook()
        await broker.get_gtts()
        await broker.cancel_gtt("GTT-1")
        await broker.aclose()
        assert [call.name for call in orders.calls] == ["place", "modify", "cancel"]
        assert [call.name for call in api.calls] == ["book", "gtts", "gtt_cancel"]


async def test_a_fraction_of_a_second_is_a_timeout_and_no_write_waits_four_of_them() -> None:
    async with upstox(read_s=0.2) as (api, broker):
        api.fail("cancel", Hang())
        begun = time.monotonic()
        assert isinstance(await broker.cancel("1"), Unknown)
        assert time.monotonic() - begun < 5  # without the leash: never


async def test_reads_that_hang_keep_no_write_waiting() -> None:
    async with upstox(read_s=2.0, threads=2, retries=0) as (api, broker):
        hang = Hang()
        api.fail("book", hang, times=6)
        reads = [asyncio.create_task(broker.get_orderbook()) for _ in range(6)]
        await until(lambda: hang.holding == 2)
        assert isinstance(await broker.place(wanted()), Accepted)
        assert not any(read.done() for read in reads)
        hang.release()
        await asyncio.gather(*reads)


async def test_a_write_that_has_not_begun_at_the_deadline_is_never_sent() -> None:
    async with upstox(read_s=5.0, deadline_s=0.3, threads=1) as (api, broker):
        hang = Hang()
        api.fail("place", hang)
        first, second = await asyncio.gather(broker.place(wanted(tag="a")), broker.place(wanted(tag="b")))
        assert isinstance(first, Unknown)
        assert isinstance(second, Unknown)
        assert "0.3 s" in second.cause
        hang.release()
        await until(lambda: bool(api.exchange.orders))
        await broker.cancel("1")  # behind it in the one thread there is
        assert [order.tag for order in api.exchange.orders.values()] == ["a"]


async def test_what_is_asked_wakes_no_thread_that_outlives_the_broker() -> None:
    before = set(threading.enumerate())
    async with upstox() as (_, broker):
        await asyncio.gather(*(broker.get_positions() for _ in range(20)))
        assert isinstance(await broker.place(wanted()), Accepted)
    left = [t for t in threading.enumerate() if t not in before and not t.name.startswith("asyncio")]
    assert left == []


async def test_the_client_writes_to_no_stream_of_its_own_and_says_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    handler = upstox_client.Configuration().logger_stream_handler
    loggers = [logging.getLogger(name) for name in ("urllib3", "upstox_client")]
    for logger in loggers:
        logger.addHandler(handler)  # as the first configuration of a process does
    async with upstox() as (api, broker):
        caplog.set_level(logging.DEBUG)
        assert isinstance(await broker.place(wanted()), Accepted)
        assert not any(handler in logger.handlers for logger in loggers)
        assert api.token not in caplog.text


async def test_an_order_takes_the_connection_that_was_kept_warm() -> None:
    async with UpstoxApi() as api, UpstoxApi() as orders:
        broker = UpstoxBroker(KEYS, UpstoxSettings(api.root, orders.root, retries=0), api.token)
        orders.exchange.price(RELIANCE, 100_000)
        await broker.keep_warm()
        assert isinstance(await broker.place(wanted()), Accepted)
        hosts = broker._wire._client.rest_client.pool_manager
        assert hosts.connection_from_url(orders.root).num_connections == 1
        assert [call.name for call in orders.calls] == ["nothing", "place"]
        assert "authorization" not in orders.calls[0].headers
        orders.down()
        with pytest.raises(BrokerException, match="keeping warm"):
            await broker.keep_warm()
        await broker.aclose()


async def test_a_new_token_is_borne_by_the_next_request() -> None:
    async with upstox() as (api, broker):
        api.token = "the-token-of-tomorrow"
        assert "UDAPI100050" in await broker.session_fault()
        broker.set_access_token("the-token-of-tomorrow")
        assert await broker.session_fault() == ""


async def test_without_a_token_nothing_is_asked() -> None:
    async with upstox() as (api, broker):
        broker.set_access_token("")
        assert "log in" in await broker.session_fault()
        assert api.calls == []


async def test_an_account_that_is_not_active_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.venues import upstox_shapes

    monkeypatch.setitem(upstox_shapes.PROFILE, "is_active", False)
    async with upstox() as (_, broker):
        assert "not active" in await broker.session_fault()


async def test_a_session_that_cannot_be_asked_raises() -> None:
    async with upstox(retries=0) as (api, broker):
        api.down()
        with pytest.raises(BrokerException):
            await broker.session_fault()


# --- what a write says ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        (MARKET, {}, {"price": 0.0, "trigger_price": 0.0, "market_protection": -1.0}),
        (MARKET, {"protection": 2.5}, {"market_protection": 2.5}),
        (LIMIT, {"price": 99_005}, {"price": 990.05, "trigger_price": 0.0}),
        (SL, {"price": 101_500, "trigger": 101_000}, {"price": 1015.0, "trigger_price": 1010.0}),
        (SL_M, {"trigger": 101_000, "price": 1}, {"price": 0.0, "trigger_price": 1010.0, "market_protection": -1.0}),
    ],
)
async def test_an_order_says_what_its_type_needs_and_no_more(
    kind: OrderType, fields: dict[str, int], said: dict[str, float]
) -> None:
    async with upstox() as (api, broker):
        assert isinstance(await broker.place(wanted(kind, tag="OT1", **fields)), Accepted)
        sent = api.called("place")[0].fields
        assert {name: sent[name] for name in said} == said
        assert ("market_protection" in sent) == (kind in (MARKET, SL_M))
        assert (sent["tag"], sent["product"], sent["validity"], sent["slice"]) == ("OT1", "I", "DAY", False)
        assert sent["instrument_token"] == RELIANCE


async def test_the_algos_name_is_on_every_write_where_there_is_one() -> None:
    async with upstox(algo_name="otrade") as (api, broker):
        outcome = await broker.place(wanted(LIMIT, price=99_000))
        assert isinstance(outcome, Accepted)
        await broker.modify(outcome.order_id, order_type=LIMIT, price=98_000)
        await broker.cancel(outcome.order_id)
        await broker.cancel_gtt("GTT-1")
        assert [call.headers.get("x-algo-name") for call in api.calls] == ["otrade"] * 4
    async with upstox() as (api, broker):
        await broker.place(wanted())
        assert "x-algo-name" not in api.calls[0].headers


async def test_a_change_that_says_all_costs_no_reading() -> None:
    async with upstox() as (api, broker):
        outcome = await broker.place(wanted(SL_M, Side.SELL, trigger=99_000))
        assert isinstance(outcome, Accepted)
        api.calls.clear()
        await broker.modify(outcome.order_id, order_type=SL_M, trigger=98_000)
        await broker.modify(outcome.order_id, order_type=LIMIT, price=100_500)
        assert [call.name for call in api.calls] == ["modify", "modify"]
        assert api.calls[0].fields["market_protection"] == -1.0
        assert "market_protection" not in api.calls[1].fields


async def test_a_change_keeps_what_it_does_not_name() -> None:
    async with upstox() as (api, broker):
        outcome = await broker.place(wanted(SL, Side.SELL, trigger=99_000, price=98_500))
        assert isinstance(outcome, Accepted)
        assert await broker.modify(outcome.order_id, trigger=98_800) == outcome
        order = api.exchange.orders[outcome.order_id]
        assert (order.order_type, order.price, order.trigger, order.quantity) == ("SL", 98_500, 98_800, 10)


async def test_a_change_whose_reading_fails_is_not_sent_and_unknown() -> None:
    async with upstox(read_s=0.2) as (api, broker):
        outcome = await broker.place(wanted(LIMIT, price=99_000))
        assert isinstance(outcome, Accepted)
        api.fail("details", Hang())
        assert isinstance(await broker.modify(outcome.order_id, price=98_000), Unknown)
        assert api.called("modify") == []


async def test_an_answer_that_nobody_waits_for_any_more_is_told_by_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Its words may repeat the token, and asyncio logs what nobody has asked for."""

    class Refusing(Hang):
        async def strike(self, accept: Accept) -> Answer:
            await super().strike(accept)
            return Answer(403, json.dumps({"errors": [{"message": f"denied {api.token}"}]}).encode())

    async with upstox() as (api, broker):
        hang = Refusing()
        api.fail("book", hang)
        api.fail("place", hang)
        asked = [asyncio.create_task(broker.get_orderbook()), asyncio.create_task(broker.place(wanted()))]
        await until(lambda: hang.holding == 2)
        while asked:
            asked[-1].cancel()
            await asyncio.wait({asked.pop()})
        hang.release()
        await until(lambda: hang.holding == 0)
    for _ in range(3):
        await asyncio.sleep(0)
        gc.collect()
    assert not [one.getMessage() for one in caplog.records if one.name == "asyncio"]


async def test_what_was_given_up_before_it_began_is_never_sent() -> None:
    async with upstox(threads=1) as (api, broker):
        hang = Hang()
        api.fail("place", hang)
        first, second = (asyncio.create_task(broker.place(wanted(tag=tag))) for tag in "ab")
        await until(lambda: hang.holding == 1)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        hang.release()
        await first
        await broker.cancel("1")  # behind it in the one thread there is
        assert [order.tag for order in api.exchange.orders.values()] == ["a"]
