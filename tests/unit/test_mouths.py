"""Whoever sets the bot up is told word for word how to be let in."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from harness.bench import config
from pydantic import SecretStr

from otrade_bot.config import ConfigManager
from otrade_bot.config.models import TelegramConfig, User
from otrade_bot.config.secrets import Secrets
from otrade_bot.control.phone.gate import Gate, Knock
from otrade_bot.control.reply import text
from otrade_bot.service.control_state import ControlState
from otrade_bot.service.mouths import introduction, mouths_for


@pytest.mark.parametrize("chat_id", [7_700_000_123, -1_001_234_567_890])
def test_the_line_that_a_stranger_is_offered_makes_an_admin_of_exactly_him(
    chat_id: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTRADE_CONFIG_DIR", str(tmp_path))
    ConfigManager(tmp_path, "dev").load(create=True)
    said, line = introduction(Knock(7_700_000_123, chat_id, name='E"ve', line="/start")).splitlines()
    path = tmp_path / "telegram.json"
    assert f'replace "users": [] in {path} by' in said
    before = path.read_text(encoding="utf-8")
    assert before.count('"users": [],') == 1
    path.write_text(before.replace('"users": [],', line.strip()), encoding="utf-8")
    users = ConfigManager(tmp_path, "dev").load().telegram.users
    gate = Gate(users, tell=lambda reply, chats: None)
    assert (caller := gate.passes(Knock(7_700_000_123, chat_id))) is not None
    assert caller.role.word == "admin"
    assert gate.passes(Knock(7_700_000_124, chat_id)) is None
    assert json.loads(path.read_text(encoding="utf-8"))["notifications"]


@pytest.mark.parametrize("knock", [Knock(None, -5), Knock(5, None)])
def test_who_has_no_id_of_his_own_is_offered_nothing(knock: Knock) -> None:
    assert introduction(knock) == ""


def test_a_word_before_any_desk_is_open_says_that_it_is_paper(tmp_path: Path) -> None:
    user = User(user_id=7, chat_id=7, role="admin", name="owner")
    settings = config(), TelegramConfig(users=(user,))
    service: Any = SimpleNamespace(
        control=ControlState.load(tmp_path / "control.json"), desk=None, clock=None, pictures=None,
        config=replace(settings[0], telegram=settings[1]), settings=SimpleNamespace(), logins=None,
        setting=SimpleNamespace(state_dir=tmp_path, source=SimpleNamespace(name="simulated"), rehearsal=None),
    )  # fmt: skip
    mouths = mouths_for(Secrets(telegram_token=SecretStr("123456:" + "A" * 35)), StringIO())(service)
    mouths.tell(text("The service cannot start"))
    mouths.close()
    assert "PAPER · simulated prices" in (tmp_path / "outbox.jsonl").read_text()
