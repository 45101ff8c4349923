"""From a broker's name to its account: what must be set, where requests go, and when orders may leave at all."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import Any

import pytest

from otrade_bot.brokers.budget import KITE, UPSTOX
from otrade_bot.brokers.factory import BrokerFactory
from otrade_bot.brokers.kite import KiteBroker
from otrade_bot.brokers.middleware import UnifiedBrokerMiddleware
from otrade_bot.brokers.upstox import UpstoxBroker
from otrade_bot.config.models import BrokerConfig
from otrade_bot.config.secrets import Secrets
from otrade_bot.core.clock import SystemClock
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.model import Accepted, Refused
from tests.acceptance.live_venues import Hang
from tests.unit.account_room import account, wanted
from tests.unit.stream_room import until
from tests.venues.faults import First

BROKERS = pytest.mark.parametrize("name", ["kite", "upstox"])


def made(name: str, told: dict[str, Any], **options: Any) -> UnifiedBrokerMiddleware:
    return BrokerFactory.create_broker(name, Secrets(_env_file=None, **told), clock=SystemClock(), **options)


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for broker in ("KITE", "UPSTOX"):
        for what in ("API_KEY", "ACCESS_TOKEN"):
            monkeypatch.delenv(f"OTRADE_{broker}_{what}", raising=False)


@BROKERS
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(ConfigException, match=f"environment: OTRADE_{name.upper()}_API_KEY: is not set"):
        made(name, {})


@pytest.mark.parametrize("name", ["paper", "zerodha", ""])
def test_a_broker_without_an_account_is_refused_with_those_that_have_one(name: str) -> None:
    with pytest.raises(ConfigException, match="allowed: kite, upstox"):
        made(name, {})


@pytest.mark.parametrize(("name", "kind", "limits"), [("kite", KiteBroker, KITE), ("upstox", UpstoxBroker, UPSTOX)])
async def test_what_trading_must_know_of_a_broker_is_the_brokers_own(name: str, kind: Any, limits: object) -> None:
    broker = made(name, {f"{name}_api_key": "k"})
    assert isinstance(broker.inner, kind)
    told = ("name", "converts_stops", "two_leg_gtt", "modification_limit", "gtt_distance_percent")
    assert [getattr(broker, what) for what in told] == [getattr(broker.inner, what) for what in told]
    assert broker.budget.limits is limits
    await broker.aclose()


@BROKERS
@pytest.mark.parametrize("live", ["", "no", "Yes", "true"])
async def test_no_order_leaves_unless_the_environment_says_so_exactly(name: str, live: str) -> None:
    async with account(name, live=live) as room:
        assert await room.account.place(wanted()) == Refused("not sent: OTRADE_LIVE is not yes", "read_only")
        assert await room.account.get_orderbook() == []
        assert room.venue.hits("place") == 0


@BROKERS
async def test_the_token_that_is_given_goes_before_that_of_the_environment(name: str) -> None:
    async with account(name) as room:
        told = {key.removeprefix("OTRADE_").lower(): value for key, value in room.venue.api.environment().items()}
        theirs = told | {f"{name}_access_token": "of-another-day"}
        broker = made(name, theirs, access_token=room.venue.api.token)
        assert await broker.session_fault() == ""
        await broker.aclose()
        broker = made(name, theirs)
        assert await broker.session_fault() != ""
        await broker.aclose()


@BROKERS
async def test_where_no_token_counts_that_of_the_environment_is_not_taken_by_the_back_door(name: str) -> None:
    """One that was laid down, as it is another account's or dead by its date, may still be good at the broker."""
    async with account(name) as room:
        told = {key.removeprefix("OTRADE_").lower(): value for key, value in room.venue.api.environment().items()}
        before = len(room.venue.api.calls)
        broker = made(name, told, access_token="")
        assert "no access token" in await broker.session_fault()
        assert len(room.venue.api.calls) == before
        await broker.aclose()


@pytest.mark.parametrize(("name", "field"), [("kite", "algo_id"), ("upstox", "algo_name")])
async def test_a_registered_algorithm_is_named_with_each_order_and_none_otherwise(name: str, field: str) -> None:
    for config in (BrokerConfig(**{field: "ALGO-7"}), None):
        async with account(name, config=config) as room:
            assert isinstance(await room.account.place(wanted()), Accepted)
            call = room.venue.api.calls[-1]
            sent = call.form.get("algo_id") if name == "kite" else call.headers.get("x-algo-name")
            assert sent == ("ALGO-7" if config else None)


@BROKERS
async def test_a_flood_of_exits_reaches_the_broker_at_ten_a_second_at_most_and_each_once(name: str) -> None:
    """By the machine's own clock, seen from the broker's end."""
    async with account(name) as room:
        came: list[float] = []
        room.venue.fail("place", *[First(lambda: came.append(time.monotonic())) for _ in range(22)])
        outcomes = await asyncio.gather(*(room.account.place(wanted(f"X{k}", reduces=True)) for k in range(22)))
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        assert len({order.tag for order in room.venue.orders()}) == len(came) == 22
        assert all(last - first >= 1.0 for first, last in zip(came, came[10:], strict=False))
        assert all(a <= b for a, b in pairwise(came))


@BROKERS
async def test_what_waits_for_its_turn_leaves_no_more_once_nothing_may_leave(name: str) -> None:
    async with account(name) as room:
        exits = [asyncio.create_task(room.account.place(wanted(f"X{k}", reduces=True))) for k in range(22)]
        await until(lambda: room.venue.hits("place") >= 10)
        room.account.read_only = "the account is being changed"
        outcomes = await asyncio.gather(*exits)
        left = sum(isinstance(outcome, Accepted) for outcome in outcomes)
        assert left == room.venue.hits("place") < 22
        assert outcomes.count(Refused("not sent: the account is being changed", "read_only")) == 22 - left


@BROKERS
async def test_writes_that_hang_hold_no_exit_up(name: str) -> None:
    async with account(name, manual=True, settings={"silence": 5.0} if name == "kite" else {"read_s": 5.0}) as room:
        held = [Hang() for _ in range(20)]
        room.venue.fail("place", *held)
        hanging = []
        for k in range(20):
            hanging.append(asyncio.create_task(room.account.place(wanted(f"H{k}", reduces=True))))
            await until(lambda k=k: held[k].holding)
            room.watch.turn(0.25)
        assert isinstance(await room.account.place(wanted("X", reduces=True)), Accepted)
        for one in held:
            one.release()
        assert all(isinstance(outcome, Accepted) for outcome in await asyncio.gather(*hanging))
