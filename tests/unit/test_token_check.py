"""A token of the environment is used only for the account that is known; the next one is held against it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from harness.bench import Bench, config
from login_room import EIGHT, KITE_USER, UPSTOX_USER, LoginRoom, login_room, secrets_of

from otrade_bot.brokers import vault
from otrade_bot.brokers.tokens import FILE, Token, TokenStore, next_expiry
from otrade_bot.config.models import BrokerConfig
from otrade_bot.config.secrets import Secrets
from otrade_bot.core.clock import MINUTE, SECOND
from otrade_bot.core.masking import forget_secrets
from otrade_bot.core.model import Refused
from otrade_bot.service.broker_setup import broker_parts
from otrade_bot.service.brokerside import BrokerSide
from otrade_bot.service.tokencheck import Checked, check_account
from tests.venues.kite_faults import html

BROKERS = ("kite", "upstox")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(vault, "COST", 2**4)
    yield
    forget_secrets()


def value_of(room: LoginRoom, broker: str) -> str:
    return room.kite.token if broker == "kite" else room.upstox.token


def side_of(room: LoginRoom, secrets: Secrets, broker: str, mode: str = "paper") -> BrokerSide:
    """As a service has it."""
    settings = replace(config(), brokers=BrokerConfig(primary=broker, feed=broker))  # type: ignore[arg-type]
    settings = replace(settings, trading=settings.trading.model_copy(update={"mode": mode}))
    return broker_parts(settings, secrets, room.folder, room.clock).side


def unnamed(room: LoginRoom, broker: str) -> None:
    """The broker's next profile is a page for people; all else is answered."""
    if broker == "kite":
        room.kite.fail("profile", html(503))
    else:
        room.upstox.fail("profile", html(503))


async def check(room: LoginRoom, broker: str, given: str | None, store: TokenStore | None = None) -> Checked:
    """With nothing but the token and Kite's key in the environment."""
    more = {f"{broker}_access_token": given, "kite_api_secret": None, "upstox_api_secret": None, "upstox_api_key": None}
    secrets = secrets_of(room.kite, room.upstox, **more, upstox_redirect_uri=None)
    return await check_account(broker, secrets, store or room.store, room.clock)


@pytest.mark.parametrize("broker", BROKERS)
async def test_the_first_one_is_kept_with_the_account_that_the_profile_names(tmp_path: Path, broker: str) -> None:
    async with login_room(tmp_path) as room:
        value = value_of(room, broker)
        assert await check(room, broker, value) == Checked(value)
        kept = room.store.load(broker)
        assert kept is not None
        assert (kept.value, kept.user) == (value, KITE_USER if broker == "kite" else UPSTOX_USER)
        calls = len(room.kite.calls) + len(room.upstox.calls)
        assert await check(room, broker, value) == Checked(value)
        assert len(room.kite.calls) + len(room.upstox.calls) == calls == 1


@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.parametrize("holds", [True, False])
async def test_another_accounts_is_laid_down_for_the_one_of_the_login(
    tmp_path: Path, broker: str, holds: bool
) -> None:
    async with login_room(tmp_path) as room:
        expires = next_expiry(broker, EIGHT) if holds else EIGHT - 1
        room.store.save(broker, Token("the-token-of-the-login", "ZZ9999", EIGHT - MINUTE, expires))
        found = await check(room, broker, value_of(room, broker))
        assert found.value == ("the-token-of-the-login" if holds else "")
        assert f"OTRADE_{broker.upper()}_ACCESS_TOKEN is of the account" in found.fault
        assert value_of(room, broker) not in found.fault
        kept = room.store.load(broker)
        assert kept is not None
        assert kept.user == "ZZ9999"


async def test_a_dead_one_is_laid_down_and_told(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        found = await check(room, "kite", "a-dead-token-of-yesterday")
        assert found.value == ""
        assert found.fault.startswith("Kite refuses the profile (HTTP 403)")


async def test_without_a_key_it_is_used_and_nothing_kept(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        bare = TokenStore(tmp_path / FILE, "")
        assert await check(room, "kite", room.kite.token, bare) == Checked(room.kite.token)
        assert not (tmp_path / FILE).exists()


async def test_a_broker_that_cannot_be_asked_stands_in_nobodys_way(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        room.kite.down()
        assert await check(room, "kite", "some-token-or-other") == Checked("some-token-or-other")
        assert room.store.load("kite") is None


@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.parametrize("holds", [True, False])
async def test_where_an_account_is_known_a_token_that_cannot_be_asked_about_waits(
    tmp_path: Path, broker: str, holds: bool
) -> None:
    """A broker may fail to name the account, and take orders for it all the same."""
    async with login_room(tmp_path) as room:
        expires = next_expiry(broker, EIGHT) if holds else EIGHT - 1
        room.store.save(broker, Token("the-token-of-the-login", "ZZ9999", EIGHT - MINUTE, expires))
        unnamed(room, broker)
        found = await check(room, broker, value_of(room, broker))
        assert found.value == ("the-token-of-the-login" if holds else "")
        assert not found.asked
        assert f"OTRADE_{broker.upper()}_ACCESS_TOKEN" in found.fault
        assert value_of(room, broker) not in found.fault


@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.parametrize("known", [True, False])
async def test_what_waits_is_asked_again_and_used_once_it_is_the_known_accounts(
    tmp_path: Path, broker: str, known: bool
) -> None:
    async with login_room(tmp_path) as room:
        user = KITE_USER if broker == "kite" else UPSTOX_USER
        room.store.save(broker, Token("yesterdays-token", user if known else "ZZ9999", 1, 2))
        unnamed(room, broker)
        venue = room.kite if broker == "kite" else room.upstox
        secrets = secrets_of(
            room.kite, room.upstox, secret_key="a key for tests", **{f"{broker}_access_token": value_of(room, broker)},
        )  # fmt: skip
        side = side_of(room, secrets, broker)
        await side.check_accounts()
        assert side.tokens == {broker: ""}
        for later in (1, 1, 15):  # seconds
            room.clock.advance_to(room.clock.now_ns() + later * SECOND)
            side.look()
            await asyncio.gather(*side._tasks)
        assert side.tokens == {broker: value_of(room, broker) if known else ""}
        bearing = [call for call in venue.calls if value_of(room, broker) in str(call)]
        assert {call.name for call in bearing} == {"profile"}
        asked = len(venue.calls)
        room.clock.advance_to(room.clock.now_ns() + MINUTE)
        side.look()
        assert side._tasks == set()
        assert len(venue.calls) == asked
        await side.close()


async def test_a_login_ends_the_waiting(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        room.store.save("kite", Token("yesterdays-token", KITE_USER, 1, 2))
        unnamed(room, "kite")
        secrets = secrets_of(room.kite, room.upstox, secret_key="a key for tests", kite_access_token=room.kite.token)
        side = side_of(room, secrets, "kite")
        await side.check_accounts()
        room.clock.advance_to(room.clock.now_ns() + MINUTE)
        side.look()  # on its way when the login comes
        side.take("kite", Token("the-token-of-a-login", KITE_USER, EIGHT, next_expiry("kite", EIGHT)))
        await asyncio.gather(*side._tasks)
        assert side.tokens == {"kite": "the-token-of-a-login"}
        await side.close()


@pytest.mark.parametrize("user", [KITE_USER, "ZZ9999"])
async def test_a_desk_of_another_account_orders_nothing_with_the_new_ones_token(tmp_path: Path, user: str) -> None:
    async with login_room(tmp_path) as room:
        room.store.save("kite", Token("the-token-of-before", KITE_USER, EIGHT, next_expiry("kite", EIGHT)))
        secrets = secrets_of(room.kite, room.upstox, secret_key="a key for tests", live="yes")
        side = side_of(room, secrets, "kite", mode="live")
        wanted: list[str] = []
        side.again = wanted.append
        await side.check_accounts()
        bench = Bench.paper(tmp_path / "paper.jsonl")
        side.attach(bench.engine)
        side.take("kite", Token(room.kite.token, user, EIGHT, next_expiry("kite", EIGHT)))
        if user == KITE_USER:
            assert not bench.engine.retired
            assert side.connections["kite"].read_only == ""
        else:
            assert wanted == ["another account at kite"]
            assert bench.engine.retired
            assert await side.connections["kite"].cancel("1") == Refused(
                "not sent: the account is being changed", "read_only"
            )
            side.begin()  # the new desk, which may have to protect what it finds
            assert side.connections["kite"].read_only == ""
        assert room.kite.hits("cancel") == 0
        await asyncio.gather(*side._tasks)
        await side.close()


async def test_a_login_is_asked_about_no_more_and_none_is_none(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        assert await check(room, "kite", None) == Checked("")
        room.store.save("kite", Token("the-token-of-the-login", "ZZ9999", EIGHT, next_expiry("kite", EIGHT)))
        assert await check(room, "kite", None) == Checked("the-token-of-the-login")
        assert room.kite.calls == []
