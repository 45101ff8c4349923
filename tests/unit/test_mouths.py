"""Whoever sets the bot up is told word for word how to be let in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from otrade_bot.config import ConfigManager
from otrade_bot.control.gate import Gate, Knock
from otrade_bot.service.mouths import introduction


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
