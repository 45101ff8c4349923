"""/mode as the service answers it: the settings are those that its next start reads, and all in charge are told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from control_fakes import NOON, FakeEngine
from mode_room import Proven, Room, environment

from otrade_bot.config.models import TelegramConfig
from otrade_bot.control.auth import Role
from otrade_bot.control.phone.gate import Caller
from otrade_bot.service.mouths import Answers

OWNER = Caller(7, 7, "owner", Role.ADMIN)


class Engine(FakeEngine):
    """Keeps what it was told to tell."""

    def __init__(self) -> None:
        super().__init__()
        self.alerts: list[str] = []
        self.emitted: list[Any] = []

    def alert(self, text: str) -> None:
        self.alerts.append(text)

    def emit(self, event: Any) -> None:
        self.emitted.append(event)


def answers(rehearsal: object = None) -> tuple[Answers, Engine]:
    engine = Engine()
    async def ready(seconds: float) -> bool:
        return True

    service: Any = SimpleNamespace(
        ready=ready, engine=engine, reason="", desk=object(), config=SimpleNamespace(telegram=TelegramConfig()),
        clock=SimpleNamespace(now_ns=lambda: NOON),
        health=SimpleNamespace(checks=tuple, delivery=str), logins=None, settings=None, pictures=None, audits=None,
        control=SimpleNamespace(part=lambda key: {}, path=Path("control.json")),
        setting=SimpleNamespace(rehearsal=rehearsal, state_dir=Path("state"), source=None, brokers=None),
    )  # fmt: skip
    people: Any = SimpleNamespace(stepup=Proven())
    return Answers(service, travels=False, people=people), engine


async def test_the_files_of_the_environment_are_changed_and_an_alert_goes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(monkeypatch)
    monkeypatch.chdir(tmp_path)
    room = Room(tmp_path / "settings", "prod")
    room.overlay.write_text('{"mode": "paper"}')
    monkeypatch.setenv("OTRADE_CONFIG_DIR", str(room.folder))
    monkeypatch.setenv("OTRADE_ENV", "prod")
    said, engine = answers()
    await said.by_phone(OWNER, "/mode live")
    assert "The next start is LIVE" in (await said.by_phone(OWNER, "/mode live yes")).to_plain()
    assert room.overlay.read_text() == '{"mode": "live"}'
    assert room.untouched
    assert engine.alerts == ["owner has set the mode of the next start to LIVE"]
    assert len(engine.emitted) == 2


async def test_a_word_that_was_put_into_the_env_file_meanwhile_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OTRADE_LIVE")
    room = Room(tmp_path / "settings")
    monkeypatch.setenv("OTRADE_CONFIG_DIR", str(room.folder))
    monkeypatch.setenv("OTRADE_ENV", "dev")
    said, _ = answers()
    assert "OTRADE_LIVE is not yes" in (await said.by_phone(OWNER, "/mode live")).to_plain()
    (tmp_path / ".env").write_text("OTRADE_LIVE=yes\n")
    assert "from the next start on?" in (await said.by_phone(OWNER, "/mode live")).to_plain()


async def test_a_rehearsals_phone_changes_no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch)
    room = Room(tmp_path / "settings")
    monkeypatch.setenv("OTRADE_CONFIG_DIR", str(room.folder))
    monkeypatch.setenv("OTRADE_ENV", "dev")
    said, _ = answers(rehearsal=object())
    for line in ("/mode live", "/mode live yes"):
        assert "this is a rehearsal" in (await said.by_phone(OWNER, line)).to_plain()
    assert room.untouched
