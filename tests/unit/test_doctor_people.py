"""The readiness card on authenticators and channels beside Telegram: real files, the real library, nothing sent."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import apprise
import pytest

from otrade_bot.config import ConfigManager
from otrade_bot.config.secrets import Secrets
from otrade_bot.core.clock import SystemClock
from otrade_bot.core.masking import forget_secrets
from otrade_bot.service.authenticators import authenticators_for
from otrade_bot.service.doctor import Finding, Patient, examine
from otrade_bot.service.doctor_people import people_checks

ASHA = '{"user_id": 7, "chat_id": 7, "role": "admin", "name": "Asha"}'
VIEWER = '{"user_id": 8, "chat_id": 8, "role": "viewer", "name": "Ravi"}'
TOKEN = "1234567:" + "x" * 35
KEY = "a long enough passphrase"
URL = "json://127.0.0.1:9/a-name-nobody-guesses"


@pytest.fixture(autouse=True)
def _no_secrets() -> Iterator[None]:
    yield
    forget_secrets()


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """Some of the library's many plugins import what Python gives up."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        apprise.Apprise().add("json://localhost")


def patient(folder: Path, users: str = f"[{ASHA}]", *, extra: str = "risk", **given: str) -> Patient:
    text = f'{{"users": {users}, "notifications": {{"extra": "{extra}"}}}}'
    (folder / "config").mkdir()
    (folder / "config" / "telegram.json").write_text(text)
    config = ConfigManager(folder / "config").load(create=False)
    return Patient(config, Secrets(_env_file=None, **given), folder / "state", SystemClock())


async def card(of: Patient) -> dict[str, Finding]:
    found = {one.name: one for one in await examine(people_checks(of))}
    assert all(one.well or one.cure for one in found.values()), "every red check has its cure"
    return found


async def test_no_admin_with_an_authenticator_is_a_note_with_the_cure_and_not_red(tmp_path: Path) -> None:
    at = patient(tmp_path, f"[{ASHA}, {VIEWER}]", telegram_token=TOKEN, secret_key=KEY)
    authenticators_for(at.secrets, at.state_dir).save(8, "JBSWY3DPEHPK3PXP", 1)  # a viewer's helps no admin
    found = (await card(at))["authenticators"]
    assert found.well
    assert found.said.startswith("no admin has one")
    assert found.said.endswith("; otrade-bot telegram totp gives one")


async def test_without_a_key_that_is_the_first_step(tmp_path: Path) -> None:
    found = (await card(patient(tmp_path, telegram_token=TOKEN)))["authenticators"]
    assert found.well
    assert "; set OTRADE_SECRET_KEY, then otrade-bot telegram totp" in found.said
    assert not (tmp_path / "state").exists()


async def test_an_admin_who_has_one_is_named_and_no_secret_is(tmp_path: Path) -> None:
    at = patient(tmp_path, telegram_token=TOKEN, secret_key=KEY)
    authenticators_for(at.secrets, at.state_dir).save(7, "JBSWY3DPEHPK3PXP", 1)
    assert (await card(at))["authenticators"] == Finding("authenticators", True, "Asha (1 of 1 admin)")


async def test_authenticators_of_another_key_are_red(tmp_path: Path) -> None:
    at = patient(tmp_path, telegram_token=TOKEN, secret_key="the key of today, not of then")
    authenticators_for(Secrets(_env_file=None, secret_key=KEY), at.state_dir).save(7, "JBSWY3DPEHPK3PXP", 1)
    found = (await card(at))["authenticators"]
    assert not found.well
    assert "OTRADE_SECRET_KEY" in found.said


@pytest.mark.parametrize("users", ["[]", f"[{VIEWER}]"])
async def test_without_an_admin_on_a_phone_nothing_is_asked_for(users: str, tmp_path: Path) -> None:
    found = await card(patient(tmp_path, users, telegram_token=TOKEN))
    assert found["authenticators"].said.startswith("not needed")
    assert found["other channels"].said == "none beside Telegram"


async def test_channels_without_the_library_are_red_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    found = (await card(patient(tmp_path, apprise_urls=URL)))["other channels"]
    assert (found.well, found.cure) == (False, "pip install 'otrade-bot[extra]'")
    assert found.said == "OTRADE_APPRISE_URLS needs apprise, which is not installed"


async def test_an_address_that_is_none_is_red_by_its_number(tmp_path: Path) -> None:
    found = (await card(patient(tmp_path, apprise_urls=f"{URL} nonsense://a-hidden-word")))["other channels"]
    assert not found.well
    assert "address 2 of OTRADE_APPRISE_URLS" in found.said
    assert "a-hidden-word" not in repr(found)


async def test_channels_that_are_known_are_counted_and_not_tried(tmp_path: Path) -> None:
    found = (await card(patient(tmp_path, apprise_urls=f"{URL} {URL}2")))["other channels"]
    assert found == Finding("other channels", True, "2, told from risk on; not tried")


async def test_channels_that_are_switched_off_need_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    found = (await card(patient(tmp_path, extra="off", apprise_urls=URL)))["other channels"]
    assert found.well
    assert found.said == "1, switched off by notifications.extra of telegram.json"
