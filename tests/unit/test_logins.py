"""The daily login through the official clients: the whole way, every way it fails, and no secret in any of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from login_room import EIGHT, KITE_USER, UPSTOX_USER, LoginRoom, login_room, secrets_of

from otrade_bot.brokers import vault
from otrade_bot.brokers.logins import BROKERS, login_for
from otrade_bot.brokers.tokens import Token, next_expiry, vetted
from otrade_bot.core.errors import BrokerException, ConfigException, TokenException
from otrade_bot.core.masking import forget_secrets
from tests.venues import kite_faults
from tests.venues import upstox as upstox_venue
from tests.venues.kite import Kite
from tests.venues.upstox import Edit, UpstoxApi

SECRETS = (Kite.SECRET, UpstoxApi.SECRET, "upstox-token-for-tests", "loopbacktoken", "loopbackrequest", "torn-token")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(vault, "COST", 2**4)
    yield
    forget_secrets()


def user_of(broker: str) -> str:
    return KITE_USER if broker == "kite" else UPSTOX_USER


def hits(room: LoginRoom, broker: str, name: str) -> int:
    return room.kite.hits(name) if broker == "kite" else len(room.upstox.called(name))


async def test_kites_address_asks_for_the_state_back_and_names_the_app(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        url = login_for("kite", room.secrets, room.clock).url("st&te=1")
        assert url.startswith(f"{room.kite.root}/connect/login?")
        asked = dict(parse_qsl(urlsplit(url).query))
        assert asked["api_key"] == Kite.API_KEY
        assert asked["v"] == "3"
        assert parse_qs(asked["redirect_params"]) == {"state": ["st&te=1"]}
        back = parse_qs(urlsplit(room.kite.log_in(url)).query)
        assert back["state"] == ["st&te=1"]


async def test_without_an_address_of_our_own_kites_page_is_the_real_one(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        secrets = room.secrets.model_copy(update={"kite_login_root": "https://kite.zerodha.com"})
        url = login_for("kite", secrets, room.clock).url("s")
        assert url == "https://kite.zerodha.com/connect/login?api_key=loopbackkey&v=3&redirect_params=state%3Ds"


async def test_upstoxs_address_carries_app_redirect_and_state(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        url = urlsplit(login_for("upstox", room.secrets, room.clock).url("st&te=1"))
        assert url.path == "/v2/login/authorization/dialog"
        assert parse_qs(url.query) == {
            "response_type": ["code"], "client_id": [UpstoxApi.API_KEY], "redirect_uri": [UpstoxApi.REDIRECT],
            "state": ["st&te=1"],
        }  # fmt: skip


@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.parametrize("alone", [False, True])
async def test_an_address_or_its_code_becomes_a_token_whose_account_the_profile_names(
    tmp_path: Path, broker: str, alone: bool
) -> None:
    async with login_room(tmp_path) as room:
        login = login_for(broker, room.secrets, room.clock)
        back = room.browse(broker, login.url("state"))
        if alone:
            query = dict(parse_qsl(urlsplit(back).query))
            back = query.get("request_token") or query["code"]
        token = await login.exchange(back)
        value = room.kite.token if broker == "kite" else room.upstox.token
        assert token == Token(value, user_of(broker), EIGHT, next_expiry(broker, EIGHT))
        assert hits(room, broker, "profile") == 1
        with pytest.raises(TokenException):  # the code is good once
            await login.exchange(back)


@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.parametrize(
    "text",
    [
        "", "hello there, how are you",
        "https://127.0.0.1/?status=success",
        "https://127.0.0.1/?request_token=a1b2c3&request_token=d4e5f6",
        "https://127.0.0.1/?request_token=a1b2c3&code=d4e5f6",
        "https://127.0.0.1/?request_token=a1b2c3&status=cancelled",
        "https://127.0.0.1/?code=&error=access_denied",
    ],
)  # fmt: skip
async def test_what_is_no_redirected_address_reaches_no_broker(tmp_path: Path, broker: str, text: str) -> None:
    async with login_room(tmp_path) as room:
        with pytest.raises(TokenException):
            await login_for(broker, room.secrets, room.clock).exchange(text)
        assert room.kite.calls == []
        assert room.upstox.calls == []


async def test_one_brokers_address_is_not_given_to_the_other(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        kite, upstox = (login_for(name, room.secrets, room.clock) for name in BROKERS)
        for login, address in ((kite, room.upstox.log_in(upstox.url("s"))), (upstox, room.kite.log_in(kite.url("s")))):
            with pytest.raises(TokenException, match="is no address to which"):
                await login.exchange(address)


TORN = '{"status":"success","data":{"access_token":"torn-token-000111'
KITE_FAULTS: list[tuple[str, Any, type[BrokerException]]] = [
    ("session", kite_faults.refuses("TokenException", "Token is invalid or has expired."), TokenException),
    ("session", kite_faults.refuses("InputException", "Invalid `checksum`."), TokenException),
    ("session", kite_faults.refuses("GeneralException", "Something", 500), BrokerException),
    ("session", kite_faults.refuses("NetworkException", "Gateway timed out"), BrokerException),
    ("session", kite_faults.too_many(), BrokerException),
    ("session", kite_faults.html(502), BrokerException),
    ("session", kite_faults.Says(200, TORN), BrokerException),
    ("session", kite_faults.Says(200, TORN, "text/html"), BrokerException),
    ("session", kite_faults.Says(200, TORN, ""), BrokerException),
    ("session", kite_faults.Says(200, {"status": "success", "data": {"login_time": ""}}), BrokerException),
    ("session", kite_faults.Says(200, ["torn-token-000111"]), BrokerException),
    ("session", kite_faults.Reset(after=True), BrokerException),
    ("session", kite_faults.Closed(), BrokerException),
    ("session", kite_faults.Broken(), BrokerException),
    ("profile", kite_faults.refuses("TokenException", "Incorrect `api_key` or `access_token`."), TokenException),
    ("profile", kite_faults.Says(200, {"status": "success", "data": {"user_id": "ZZ9999"}}), BrokerException),
    ("profile", kite_faults.Says(200, {"status": "success", "data": {}}), BrokerException),
    ("profile", kite_faults.Reset(), BrokerException),
]
UPSTOX_FAULTS: list[tuple[str, Any, type[BrokerException]]] = [
    ("token", upstox_venue.error(401, "UDAPI100057", "Invalid Auth code"), TokenException),
    ("token", upstox_venue.error(400, "UDAPI100016", "Invalid Credentials"), TokenException),
    ("token", upstox_venue.error(500, "UDAPI100500", "Something went wrong"), BrokerException),
    ("token", upstox_venue.too_many(), BrokerException),
    ("token", upstox_venue.html(200), BrokerException),
    ("token", upstox_venue.html(502), BrokerException),
    ("token", upstox_venue.Says(200, TORN.encode()), BrokerException),
    ("token", upstox_venue.Says(200, b'["torn-token-000111"]'), BrokerException),
    ("token", Edit(lambda body: body.pop("access_token")), BrokerException),
    ("token", upstox_venue.Reset(after=True), BrokerException),
    ("token", upstox_venue.Torn(), BrokerException),
    ("profile", upstox_venue.error(401, "UDAPI100050", "Invalid token"), TokenException),
    ("profile", Edit(lambda body: body["data"].update(user_id="ZZ9999")), BrokerException),
    ("profile", Edit(lambda body: body["data"].update(user_id=None)), BrokerException),
    ("profile", Edit(lambda body: body["data"].update(is_active=False)), TokenException),
    ("profile", upstox_venue.Reset(), BrokerException),
]


@pytest.mark.parametrize(
    ("broker", "name", "fault", "kind"),
    [("kite", *case) for case in KITE_FAULTS] + [("upstox", *case) for case in UPSTOX_FAULTS],
)
async def test_whatever_goes_wrong_is_one_error_without_a_secret_and_the_code_is_sent_once(
    tmp_path: Path, broker: str, name: str, fault: Any, kind: type[BrokerException]
) -> None:
    async with login_room(tmp_path) as room:
        login = login_for(broker, room.secrets, room.clock)
        back = room.browse(broker, login.url("state"))
        (room.kite if broker == "kite" else room.upstox).fail(name, fault)
        with pytest.raises(BrokerException) as caught:
            await login.exchange(back)
        assert type(caught.value) is kind
        assert not any(secret in str(caught.value) for secret in SECRETS)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        assert hits(room, broker, "session" if broker == "kite" else "token") == 1


async def test_a_kite_answer_without_a_login_time_is_no_lost_login(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        login = login_for("kite", room.secrets, room.clock)
        back = room.kite.log_in(login.url("state"))
        told = {**room.kite.profile, "access_token": room.kite.token}
        room.kite.fail("session", kite_faults.Says(200, {"status": "success", "data": told}))
        assert (await login.exchange(back)).user == KITE_USER


async def test_a_broker_that_is_down_is_said_to_be(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        room.kite.down()
        room.upstox.down()
        for name in BROKERS:
            with pytest.raises(BrokerException, match="could not be asked for the login"):
                await login_for(name, room.secrets, room.clock).exchange("a1b2c3d4")


@pytest.mark.parametrize("broker", BROKERS)
async def test_a_token_from_elsewhere_is_asked_whose_it_is(tmp_path: Path, broker: str) -> None:
    async with login_room(tmp_path) as room:
        login = login_for(broker, room.secrets, room.clock)
        value = room.kite.token if broker == "kite" else room.upstox.token
        assert (await login.vet(value)).user == user_of(broker)
        with pytest.raises(TokenException):
            await login.vet("yesterdays-token")


async def test_the_environments_token_must_be_of_the_account_that_is_known(tmp_path: Path) -> None:
    async with login_room(tmp_path) as room:
        login = login_for("kite", room.secrets, room.clock)
        given = Token(room.kite.token, "", EIGHT, EIGHT + 1)
        assert (await vetted(given, login, room.store)).user == KITE_USER
        room.store.save("kite", Token("another-token", "ZZ9999", EIGHT, EIGHT + 1))
        with pytest.raises(TokenException, match="of the account AB1234, the last login was ZZ9999"):
            await vetted(given, login, room.store)


@pytest.mark.parametrize(
    ("broker", "variable"),
    [
        ("kite", "kite_api_key"), ("kite", "kite_api_secret"), ("upstox", "upstox_api_key"),
        ("upstox", "upstox_api_secret"), ("upstox", "upstox_redirect_uri"),
    ],
)  # fmt: skip
async def test_what_is_missing_is_named(tmp_path: Path, broker: str, variable: str) -> None:
    async with login_room(tmp_path) as room:
        secrets = secrets_of(room.kite, room.upstox, **{variable: None})
        with pytest.raises(ConfigException, match=f"OTRADE_{variable.upper()}: is not set"):
            login_for(broker, secrets)


def test_a_broker_without_a_login_has_none() -> None:
    from otrade_bot.config.secrets import Secrets

    with pytest.raises(ConfigException, match="allowed: kite, upstox"):
        login_for("paper", Secrets(_env_file=None))
