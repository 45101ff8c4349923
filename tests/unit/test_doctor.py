"""The readiness card: real clients against brokers, Telegram and an address service on 127.0.0.1."""

from __future__ import annotations

import asyncio
import fcntl
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from otrade_bot.brokers.tokens import Token, TokenStore
from otrade_bot.cli import main
from otrade_bot.config import ConfigManager
from otrade_bot.config.secrets import Secrets, load_secrets
from otrade_bot.core.clock import MINUTE, ManualClock, at_ist, iso
from otrade_bot.core.model import Instrument, Leg, OrderRequest, OrderType, Product, Refused, Side
from otrade_bot.service import doctor
from otrade_bot.service.doctor import Finding, Patient, as_card, examine, local_checks, render
from otrade_bot.service.doctor_broker import Surgery
from otrade_bot.service.doctor_net import net_checks
from otrade_bot.trading.orders import Tags
from tests.venues.faults import Reset
from tests.venues.kite import Kite
from tests.venues.loopback import Answer, Loopback, Request
from tests.venues.telegram import BotApi
from tests.venues.upstox import RELIANCE, UpstoxApi

DAY = date(2026, 9, 16)
HELD = "NSE:RELIANCE"
READS = {"profile", "margins", "orders", "instruments", "", "nothing", "funds", "book", "listing"}
ADMIN = {"user_id": 7, "chat_id": 7, "role": "admin", "name": "owner"}


class Room:
    """One broker, Telegram, somebody who tells addresses, and settings for them."""

    def __init__(self, broker: str, venue: Any, api: BotApi, echo: Loopback, folder: Path, patch: pytest.MonkeyPatch,
                 clock: ManualClock) -> None:  # fmt: skip
        self.broker, self.venue, self.api, self.folder, self.patch = broker, venue, api, folder, patch
        self.clock = clock
        self.address = "203.0.113.7"
        self.settings: dict[str, dict[str, Any]] = {
            "trading": {"mode": "live", "strategies": [{"name": "ema_crossover", "instruments": [HELD]}]},
            "brokers": {"primary": broker, "feed": broker, "static_ip": self.address,
                        "ip_echo": f"http://127.0.0.1:{echo.port}/"},
            "telegram": {"users": [ADMIN]},
        }  # fmt: skip
        for name in Secrets.model_fields:
            patch.delenv(f"OTRADE_{name.upper()}", raising=False)
        given = {
            **venue.environment(), "OTRADE_LIVE": "yes", "OTRADE_TELEGRAM_TOKEN": api.token,
            "OTRADE_TELEGRAM_BASE_URL": api.base_url, "OTRADE_SECRET_KEY": "a long enough passphrase",
        }  # fmt: skip
        for name, value in given.items():
            patch.setenv(name, value)
        self.state = folder / "state"
        (folder / "config").mkdir()
        self.state.mkdir()

    def patient(self) -> Patient:
        for name, values in self.settings.items():
            (self.folder / "config" / f"{name}.json").write_text(json.dumps(values))
        config = ConfigManager(self.folder / "config").load(create=False)
        return Patient(config, load_secrets(None), self.state, self.clock)

    async def card(self) -> dict[str, Finding]:
        """By name. Whatever was found, nothing but reads has left."""
        patient = self.patient()
        checks, close = net_checks(patient)
        try:
            found = await examine([*local_checks(patient), *checks])
        finally:
            await close()
        assert {call.name for call in self.venue.calls} <= READS
        assert all(one.well or one.cure for one in found), "every red check has its cure"
        return {one.name: one for one in found}

    async def reds(self) -> dict[str, str]:
        return {one.name: f"{one.said} → {one.cure}" for one in (await self.card()).values() if not one.well}


def opened(broker: str, clock: ManualClock) -> Any:
    """With the share at ₹1,000.00."""
    if broker == "kite":
        kite = Kite(clock=clock)
        kite.open(beat_s=0.02)
        kite.price(100_000)
        return kite
    upstox = UpstoxApi(clock=clock)
    upstox.up()
    upstox.exchange.price(RELIANCE, 100_000)
    return upstox


@asynccontextmanager
async def room(broker: str, folder: Path, patch: pytest.MonkeyPatch, *, hour: int = 11) -> AsyncIterator[Room]:
    clock = ManualClock(at_ist(DAY, hour))
    made: list[Room] = []

    async def tell(_: Request) -> Answer:
        return Answer(200, made[0].address.encode(), "text/plain")

    echo = Loopback(tell, pytest.fail)
    echo.up()
    venue = opened(broker, clock)
    try:
        async with BotApi([7]) as api:
            made.append(Room(broker, venue, api, echo, folder, patch, clock))
            yield made[0]
    finally:
        await (venue.close() if broker == "kite" else venue.__aexit__(None, None, None))
        await echo.close()


BROKERS = pytest.mark.parametrize("broker", ["kite", "upstox"])


@BROKERS
async def test_a_live_morning_is_green_all_over(broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with room(broker, tmp_path, monkeypatch) as at:
        found = await at.card()
        assert {name: one.said for name, one in found.items() if not one.well} == {}
        assert "REAL ORDERS" in found["OTRADE_LIVE"].said
        assert "203.0.113.7, as registered" in found["egress address"].said
        assert f"{broker}: a price after" in found["feed"].said
        assert "1 found" in found["instruments"].said
        assert "₹" in found["funds"].said
        assert "within 1 s" in found["clock"].said
        assert [path.name for path in at.state.iterdir()] == ["instruments"]
        assert set(found) == {
            "secrets", "OTRADE_LIVE", "session", "disk", "kernel", "token", "clock", "instruments", "feed", "funds",
            "egress address", "Telegram", "authenticators", "other channels", "other instance", "delivery",
        }  # fmt: skip


@BROKERS
async def test_the_doctor_can_order_nothing(broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with room(broker, tmp_path, monkeypatch) as at:
        surgery = Surgery(at.patient(), broker)
        surgery.find_token()
        opened = await surgery.broker()
        asked = OrderRequest("T1", Instrument(HELD, 738561), Side.BUY, 1, Product.MIS, OrderType.MARKET, reduces=True)
        assert isinstance(await opened.place(asked), Refused)
        assert isinstance(await opened.cancel("1"), Refused)
        await surgery.close()
        assert at.venue.calls == []


@BROKERS
async def test_who_is_not_the_services_user_leaves_nothing_in_its_folder(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of root's would lock the service out of its own tokens."""
    async with room(broker, tmp_path, monkeypatch) as at:
        monkeypatch.setattr("os.geteuid", lambda: at.state.stat().st_uid + 1)
        assert await at.reds() == {}
        assert list(at.state.iterdir()) == []
        at.state.rmdir()
        assert await at.reds() == {}
        assert not at.state.exists()


def no_leave(at: Room) -> None:
    at.patch.setenv("OTRADE_LIVE", "Yes")


def no_key(at: Room) -> None:
    at.patch.delenv(f"OTRADE_{at.broker.upper()}_API_KEY")


def no_token(at: Room) -> None:
    at.patch.delenv(f"OTRADE_{at.broker.upper()}_ACCESS_TOKEN")


def old_token(at: Room) -> None:
    at.patch.setenv(f"OTRADE_{at.broker.upper()}_ACCESS_TOKEN", "yesterdays-token-of-the-account")


def behind(at: Room) -> None:
    at.venue.skew_s = 6.7


def ahead(at: Room) -> None:
    at.venue.skew_s = -6.7


def unlisted(at: Room) -> None:
    at.settings["trading"]["strategies"][0]["instruments"] = ["NSE:RELAINCE"]


def poor(at: Room) -> None:
    at.venue.exchange.cash = 500_00


def refused(at: Room) -> None:
    at.venue.stream.sockets.refusing = HTTPStatus.FORBIDDEN


def elsewhere(at: Room) -> None:
    at.address = "198.51.100.9"


def babble(at: Room) -> None:
    at.address = "<html>please log in</html>"


def unheard(at: Room) -> None:
    at.patch.setenv("OTRADE_TELEGRAM_TOKEN", "1234567:" + "x" * 35)


def nobody(at: Room) -> None:
    at.settings["telegram"]["users"] = []


def muhurat(at: Room) -> None:
    at.settings["market"] = {"special_days": {DAY.isoformat(): {"name": "Muhurat trading"}}}


def full_disk(at: Room) -> None:
    at.patch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 5_000_000})())


def torn_settings(at: Room) -> None:
    at.settings["brokers"]["static_ip"] = "2001:db8::1"


FAULTS: dict[Callable[[Room], None], dict[str, str]] = {
    no_leave: {"OTRADE_LIVE": "set OTRADE_LIVE=yes"},
    behind: {"clock": "s behind"},
    ahead: {"clock": "s ahead of"},
    poor: {"funds": "one position needs ₹600.00"},
    elsewhere: {"egress address": "orders leave from 198.51.100.9, registered is 203.0.113.7"},
    torn_settings: {"egress address": "orders leave from 203.0.113.7, registered is 2001:db8::1"},
    babble: {"egress address": "tells no address"},
    unheard: {"Telegram": "Telegram does not know the token"},
    nobody: {"Telegram": "telegram.json names nobody"},
    full_disk: {"disk": "make room"},
    muhurat: {"session": "give open and close of 2026-09-16"},
    refused: {"feed": "refused: HTTP 403"},
    unlisted: {"instruments": "NSE:RELIANCE", "feed": "NSE:RELAINCE"},
    no_token: {
        "token": "otrade-bot login", "instruments": "no token", "feed": "no token", "funds": "no token",
        "other instance": "no token",
    },
    old_token: {
        "token": "otrade-bot login", "instruments": "login", "feed": "login", "funds": "login",
        "other instance": "login",
    },
}  # fmt: skip


#: Whoever the broker is.
ANYWHERE = {no_leave, elsewhere, torn_settings, babble, unheard, nobody, full_disk, muhurat}
CASES = [(fault, "kite") for fault in FAULTS] + [(fault, "upstox") for fault in FAULTS if fault not in ANYWHERE]


@pytest.mark.parametrize(("fault", "broker"), CASES, ids=[f"{fault.__name__}-{broker}" for fault, broker in CASES])
async def test_each_fault_is_red_with_its_cure_and_costs_no_other_line(
    fault: Callable[[Room], None], broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with room(broker, tmp_path, monkeypatch) as at:
        fault(at)
        found = await at.reds()
        expected = dict(FAULTS[fault])
        if broker == "upstox" and fault is old_token:  # its list is for everybody; the streams say no
            expected.pop("instruments")
        assert set(found) == set(expected)
        for name, words in expected.items():
            assert words in found[name]


@BROKERS
async def test_missing_variables_are_named(broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with room(broker, tmp_path, monkeypatch) as at:
        no_key(at)
        no_token(at)
        assert f"OTRADE_{broker.upper()}_API_KEY" in (await at.reds())["secrets"]


@BROKERS
async def test_an_open_market_without_a_price_is_no_feed_a_closed_one_needs_a_frame_alone(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otrade_bot.service.doctor_broker.FRAME", 0.3)
    async with room(broker, tmp_path, monkeypatch, hour=8) as at:
        at.venue.stream.sockets.opened.append(lambda link: None)
        assert "the market is closed" in (await at.card())["feed"].said
    (tmp_path / "open").mkdir()
    async with room(broker, tmp_path / "open", monkeypatch) as at:
        at.venue.stream.sockets.opened.append(lambda link: setattr(link, "silent", True))
        assert "no price, though the market is open" in (await at.reds())["feed"]


async def test_a_stored_token_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with room("kite", tmp_path, monkeypatch) as at:
        no_token(at)
        store = TokenStore(at.state / "tokens.json", "a long enough passphrase")
        now = at.clock.now_ns()
        store.save("kite", Token(Kite.TOKEN, "AB1234", now - 60 * MINUTE, now + 60 * MINUTE))
        assert "to Wed 12:00" in (await at.card())["token"].said
        monkeypatch.setenv("OTRADE_SECRET_KEY", "another passphrase altogether")
        assert "token" in await at.reds()


@BROKERS
async def test_a_broker_that_hangs_up_costs_its_own_lines(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with room(broker, tmp_path, monkeypatch) as at:
        for _ in range(9):
            at.venue.fail("margins" if broker == "kite" else "funds", Reset())
        monkeypatch.setattr(doctor, "PATIENCE", 60.0)
        assert set(await at.reds()) == {"funds"}


async def test_a_check_that_hangs_is_red_and_holds_up_nobody() -> None:
    async def hang() -> str:
        await asyncio.Event().wait()
        return "never"

    async def fine() -> str:
        return "here"

    hung, here = await examine([("a", hang, 0.01), ("b", fine, 5)])
    assert (hung.well, here.well) == (False, True)
    assert "no answer within 0.01 s" in hung.said
    assert hung.cure


async def test_secrets_stand_in_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with room("kite", tmp_path, monkeypatch) as at:
        old_token(at)
        at.api.down() if hasattr(at.api, "down") else None
        text = json.dumps(as_card((await at.card()).values())) + render((await at.card()).values())
        for secret in ("yesterdays-token", Kite.SECRET, at.api.token, "passphrase"):
            assert secret not in text


# --- who else runs ----------------------------------------------------------------------------------


@BROKERS
async def test_orders_with_our_tags_that_nobody_here_sent_are_another_instance(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with room(broker, tmp_path, monkeypatch) as at:
        tags = Tags("A1")
        tag = tags.make("ema_crossover", 0, Leg.ENTRY, 1)
        surgery = Surgery(at.patient(), broker)
        surgery.find_token()
        opened = await surgery.broker()
        opened.read_only = ""  # the other program's
        opened.learn(await surgery.listing())
        asked = OrderRequest(tag, Instrument(HELD, 738561), Side.BUY, 1, Product.MIS, OrderType.MARKET, reduces=True)
        await opened.place(asked)
        await surgery.close()
        at.venue.calls.clear()
        found = (await at.reds())["other instance"]
        assert "1 orders of today bear our tags (0A1" in found
        assert "stop it" in found
        (at.state / "journal").mkdir()
        line = {"kind": "order", "at": iso(at.clock.now_ns()), "tag": tag}
        (at.state / "journal" / f"{DAY}.jsonl").write_text(json.dumps(line) + "\n")
        assert await at.reds() == {}


def heartbeat(state: Path, **fields: Any) -> None:
    import time

    (state / "heartbeat.json").write_text(
        json.dumps({"running": True, "pid": 4711, "at": iso(time.time_ns()), "feed_age_s": 0.4, **fields})
    )


async def test_a_running_service_keeps_its_stream_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with room("upstox", tmp_path, monkeypatch) as at:
        heartbeat(at.state)
        with (at.state / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = await at.card()
            assert "the service of this folder runs (pid 4711)" in found["other instance"].said
            assert "last price 0.4 s ago" in found["feed"].said
            assert at.venue.stream.sockets.links == []
            heartbeat(at.state, feed_age_s=90)
            assert "last price is 90 s old" in (await at.reds())["feed"]
            heartbeat(at.state, telegram={"state": "conflict"})
            assert "another program takes this bot's messages" in (await at.reds())["other instance"]
            heartbeat(at.state, at="2026-09-16T09:00:00+05:30")
            assert "end it (pid 4711)" in (await at.reds())["other instance"]
        assert "ended without a farewell" in (await at.card())["other instance"].said


# --- the command ------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in Secrets.model_fields:
        monkeypatch.delenv(f"OTRADE_{name.upper()}", raising=False)
    monkeypatch.setenv("OTRADE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("OTRADE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_paper_is_ready_without_any_account_and_writes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["ready"] is True
    assert all(set(one) == {"name", "well", "said", "cure"} and one["well"] for one in card["checks"])
    needless = {one["name"] for one in card["checks"] if one["said"].startswith("not needed")}
    assert {"token", "clock", "feed", "funds", "egress address", "OTRADE_LIVE"} <= needless
    assert list(home.iterdir()) == []


def test_the_card_is_for_eyes_too(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.startswith("READY\nok  configuration")


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("risk.json", "{", "is not JSON"),
        ("trading.json", '{"mode": "live"}', "mode is live"),
        ("trading.json", '{"strategies": [{"name": "nosuch", "instruments": ["NSE:SBIN"]}]}', "nosuch"),
    ],
)
def test_wrong_settings_are_the_only_line_and_red(
    home: Path, file: str, text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "config").mkdir()
    (home / "config" / file).write_text(text)
    assert main(["doctor", "--json"]) == 1
    card = json.loads(capsys.readouterr().out)
    assert card["ready"] is False
    assert [(one["name"], one["well"]) for one in card["checks"]] == [("configuration", False)]
    assert words in card["checks"][0]["said"]
    assert main(["doctor"]) == 1
    assert "NOT READY · 1 of 1 red" in capsys.readouterr().out


def test_live_without_anything_is_red_and_names_what_is_missing(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "config").mkdir()
    (home / "config" / "trading.json").write_text('{"mode": "live"}')
    (home / "config" / "brokers.json").write_text('{"primary": "kite", "feed": "kite"}')
    Path(".env").write_text("OTRADE_KITE_ROOT=http://127.0.0.1:9\nOTRADE_KITE_WS_ROOT=ws://127.0.0.1:9\n")
    assert main(["doctor", "--json"]) == 1
    checks = {one["name"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert not checks["secrets"]["well"]
    assert "OTRADE_KITE_API_KEY, OTRADE_KITE_API_SECRET, OTRADE_SECRET_KEY" in checks["secrets"]["said"]
    assert not checks["OTRADE_LIVE"]["well"]
    assert checks["disk"]["well"]


async def test_a_folder_that_is_not_ours_to_write_is_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ConfigManager(tmp_path).load(create=False)
    patient = Patient(config, load_secrets(None), tmp_path / "state", ManualClock(at_ist(DAY, 8)))
    monkeypatch.setattr("os.access", lambda *_: False)
    found = {one.name: one for one in await examine(local_checks(replace(patient)))}
    assert "cannot be written" in found["disk"].said


async def test_a_kernel_without_a_c_compiler_is_well_and_says_what_it_costs_and_how_to_mend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTRADE_CACHE_DIR", str(tmp_path / "cache"))
    patient = Patient(ConfigManager(tmp_path).load(create=False), load_secrets(None), tmp_path, ManualClock(0))

    async def kernel() -> Finding:
        return next(one for one in await examine(local_checks(patient)) if one.name == "kernel")

    with monkeypatch.context() as patch:
        patch.setenv("CC", "no-such-compiler")
        found = await kernel()
        assert found.well
        assert found.said == "compiled in process, about 120 MB more memory: no C compiler (no-such-compiler)"
        assert found.cure.startswith("install no-such-compiler: apt install gcc python3-dev")
    found = await kernel()
    folder = tmp_path / "cache" / "otrade-bot" / "kernel"
    assert (found.said, found.cure) == (f"ahead of time, at the next start, into {folder}", "")
    folder.chmod(0o777)
    found = await kernel()
    assert found.well
    assert f"{folder} can be written by others" in found.said
    assert "alone may write to" in found.cure


# --- not only live at one broker ----------------------------------------------------------------------


@BROKERS
async def test_paper_on_a_brokers_prices_asks_for_prices_alone(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with room(broker, tmp_path, monkeypatch) as at:
        at.settings["trading"]["mode"] = "paper"
        monkeypatch.setenv("OTRADE_LIVE", "")
        at.venue.exchange.cash = 0
        at.address = "198.51.100.9"
        found = await at.card()
        assert all(one.well for one in found.values())
        assert {name for name, one in found.items() if one.said.startswith("not needed")} == {
            "OTRADE_LIVE", "funds", "egress address", "delivery",
        }  # fmt: skip
        assert "a price after" in found["feed"].said


async def test_the_broker_in_reserve_has_lines_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with room("kite", tmp_path, monkeypatch) as at:
        at.settings["brokers"]["backup"] = "upstox"
        upstox = opened("upstox", at.clock)
        try:
            for name, value in upstox.environment().items():
                monkeypatch.setenv(name, value)
            found = await at.card()
            assert {name: one.said for name, one in found.items() if not one.well} == {}
            assert "upstox: a price after" in found["feed upstox"].said
            monkeypatch.setenv("OTRADE_UPSTOX_ACCESS_TOKEN", "yesterdays-token-of-the-account")
            assert set(await at.reds()) == {"token upstox", "feed upstox"}
        finally:
            await upstox.__aexit__(None, None, None)


async def test_delivery_is_reminded_of_what_lets_a_stop_sell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with room("kite", tmp_path, monkeypatch) as at:
        at.settings["trading"]["product"] = "CNC"
        found = (await at.card())["delivery"]
        assert found.well
        assert "DDPI" in found.said


async def test_without_a_registered_address_nobody_is_asked_and_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with room("kite", tmp_path, monkeypatch) as at:
        at.settings["brokers"] |= {"static_ip": None, "ip_echo": "http://127.0.0.1:9/"}
        assert "names no static_ip" in (await at.card())["egress address"].said
        at.settings["brokers"] |= {"static_ip": "203.0.113.7", "ip_echo": None}
        assert "ip_echo is null" in (await at.card())["egress address"].said
        at.settings["brokers"]["ip_echo"] = "http://127.0.0.1:9/"
        assert "egress address" in await at.reds()
