"""Secrets come from the environment, and never show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from otrade_bot.config.secrets import Secrets, load_secrets
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.masking import forget_secrets, holds_secret

ROOT = Path(__file__).parents[2]
TOKEN = "123456:telegram-token-of-a-test"


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Secrets.model_fields:
        monkeypatch.delenv(f"OTRADE_{name.upper()}", raising=False)


def test_nothing_set_means_no_secrets_the_brokers_own_addresses_and_no_live_orders() -> None:
    secrets = load_secrets()
    assert secrets.telegram_token is None
    assert secrets.kite_root == "https://api.kite.trade"
    assert not secrets.live_allowed


def test_a_process_variable_goes_before_the_dotenv_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("OTRADE_LIVE=yes\nOTRADE_KITE_ROOT=http://127.0.0.1:1\n")
    monkeypatch.setenv("OTRADE_KITE_ROOT", "http://127.0.0.1:2")
    secrets = load_secrets()
    assert secrets.live_allowed
    assert secrets.kite_root == "http://127.0.0.1:2"


@pytest.mark.parametrize("word", ["", "no", "YES", "true", "1", "yes!"])
def test_only_the_word_yes_allows_live_orders(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTRADE_LIVE", word)
    assert not load_secrets().live_allowed


def test_secrets_never_show_and_are_known_to_the_masking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTRADE_TELEGRAM_TOKEN", TOKEN)
    try:
        secrets = load_secrets()
        assert TOKEN not in repr(secrets) + str(secrets.model_dump())
        assert secrets.telegram_token is not None
        assert secrets.telegram_token.get_secret_value() == TOKEN
        assert holds_secret(f"url/bot{TOKEN}/getMe")
    finally:
        forget_secrets()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTRADE_KITE_ROOT", "ftp://secret"),
        ("OTRADE_UPSTOX_WS_ROOT", "https://secret"),
        ("OTRADE_KITE_ROOT", "secret"),
    ],
)
def test_a_wrong_address_names_the_variable_and_not_its_value(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigException) as caught:
        load_secrets()
    assert caught.value.key == name
    assert "secret" not in str(caught.value)


def test_the_example_names_every_variable_and_loads_as_it_is(tmp_path: Path) -> None:
    text = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"^(OTRADE_[A-Z_]+)=", text, re.M))
    paths = {"OTRADE_ENV", "OTRADE_CONFIG_DIR", "OTRADE_STATE_DIR"}
    assert named == {f"OTRADE_{name.upper()}" for name in Secrets.model_fields} | paths
    (tmp_path / ".env").write_text(text)
    assert load_secrets() == Secrets(_env_file=None)  # type: ignore[call-arg]
