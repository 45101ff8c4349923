"""Settings changed while people edit the same files by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from otrade_bot.config import ConfigManager
from otrade_bot.core.errors import ConfigException

PEOPLE = b"""{
    "users": [
        {"user_id": 7, "chat_id": 7,   "role": "admin", "name": "owner"},
        {"user_id": 8, "chat_id": -100, "role":"viewer"}
    ],
    "stale_seconds":90
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "telegram.json").write_bytes(PEOPLE)
    return tmp_path


def users(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "telegram.json").read_bytes())["users"]
    return found


def test_a_role_that_changes_is_the_only_change(folder: Path) -> None:
    now = users(folder)
    now[1]["role"] = "operator"
    ConfigManager(folder).put("telegram.json", "users", now)
    assert (folder / "telegram.json").read_bytes() == PEOPLE.replace(b'"role":"viewer"', b'"role":"operator"')


def test_a_user_who_comes_stands_on_a_line_like_the_others(folder: Path) -> None:
    ConfigManager(folder).put("telegram.json", "users", [*users(folder), {"user_id": 9, "chat_id": 9}])
    expected = PEOPLE.replace(b'viewer"}\n', b'viewer"},\n        {"user_id": 9, "chat_id": 9}\n')
    assert (folder / "telegram.json").read_bytes() == expected


def test_a_user_who_goes_takes_his_line_along(folder: Path) -> None:
    ConfigManager(folder).put("telegram.json", "users", users(folder)[1:])
    line = b'        {"user_id": 7, "chat_id": 7,   "role": "admin", "name": "owner"},\n'
    assert (folder / "telegram.json").read_bytes() == PEOPLE.replace(line, b"")


def test_the_first_user_of_a_file_as_it_is_shipped_is_written_in_its_style(tmp_path: Path) -> None:
    manager = ConfigManager(tmp_path)
    manager.load()
    manager.put("telegram.json", "users", [{"user_id": 9, "chat_id": 9}])
    begin = '{\n  "users": [\n    {\n      "user_id": 9,\n      "chat_id": 9\n    }\n  ],\n  "notifications"'
    assert (tmp_path / "telegram.json").read_text().startswith(begin)


def test_numbers_and_objects_too(folder: Path) -> None:
    manager = ConfigManager(folder)
    manager.put("telegram.json", "stale_seconds", 120)
    manager.put("telegram.json", "notifications", {"fill": "silent"})
    assert manager.current.telegram.stale_seconds == 120
    assert manager.current.telegram.notifications.fill == "silent"


@pytest.mark.parametrize("value", [[{"user_id": 7}], float("nan"), {1, 2}, "x", [{"user_id": 7, "chat_id": 7}] * 2])
def test_what_no_settings_may_hold_changes_nothing(folder: Path, value: Any) -> None:
    with pytest.raises(ConfigException):
        ConfigManager(folder).put("telegram.json", "users", value)
    assert (folder / "telegram.json").read_bytes() == PEOPLE


def test_true_is_not_taken_for_one(folder: Path) -> None:
    (folder / "telegram.json").write_bytes(b'{"card": true, "commands_per_minute": 1}')
    with pytest.raises(ConfigException):
        ConfigManager(folder).put("telegram.json", "commands_per_minute", True)


def test_an_unknown_file_is_named(folder: Path) -> None:
    with pytest.raises(ConfigException, match="no such settings file"):
        ConfigManager(folder).put("people.json", "users", [])


def test_an_object_that_stands_in_two_files_is_not_half_removed(folder: Path) -> None:
    (folder / "telegram.json").write_text('{"notifications": {"fill": "off", "trade": "off"}}')
    (folder / "dev").mkdir()
    over = folder / "dev" / "telegram.json"
    over.write_text('{"notifications": {"fill": "silent"}}')
    with pytest.raises(ConfigException, match="by hand"):
        ConfigManager(folder, "dev").put("telegram.json", "notifications", {"fill": "on"})
    assert over.read_text() == '{"notifications": {"fill": "silent"}}'
