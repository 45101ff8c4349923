"""/keyboard: keys of one's own choice, kept, and only what one may do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from control_fakes import FakeEngine, context

from otrade_bot.config.models import TelegramConfig
from otrade_bot.control.auth import Role
from otrade_bot.control.commands import Context, answer
from otrade_bot.control.news.wishes import Wishes
from otrade_bot.service.control_state import ControlState
from otrade_bot.service.preferences import Preferences

THIRTEEN = "start help status positions orders trades pnl why pause resume flatten force claim"


def mine(folder: Path, role: Role = Role.ADMIN, session: str = "telegram:7:7") -> Context:
    wishes = Preferences(ControlState.load(folder / "control.json"), TelegramConfig)
    return replace(context(FakeEngine(), role, session=session), user_id=7, wishes=wishes)


def kept(folder: Path) -> Wishes:
    return Preferences(ControlState.load(folder / "control.json"), TelegramConfig).wishes(7)


async def test_chosen_keys_are_put_up_and_kept(tmp_path: Path) -> None:
    said = await answer(mine(tmp_path), "/keyboard status /PNL pause pnl")
    assert said.keys == ("/status", "/pnl", "/pause")
    assert kept(tmp_path).keyboard == ("status", "pnl", "pause")
    assert (await answer(mine(tmp_path), "/keyboard")).keys == said.keys


async def test_off_takes_them_away(tmp_path: Path) -> None:
    await answer(mine(tmp_path), "/keyboard status")
    said = await answer(mine(tmp_path), "/keyboard off")
    assert said.keys == ()
    assert kept(tmp_path).keyboard == ()
    assert (await answer(mine(tmp_path), "/keyboard")).keys is None


@pytest.mark.parametrize(
    ("role", "session", "line", "words"),
    [
        (Role.VIEWER, "telegram:7:7", "/keyboard status pause", "There is no command /pause for you"),
        (Role.ADMIN, "telegram:7:7", "/keyboard nonsense", "There is no command /nonsense"),
        (Role.ADMIN, "telegram:7:-100", "/keyboard status", "private chat"),
        (Role.ADMIN, "terminal", "/keyboard status", "private chat"),
        (Role.ADMIN, "telegram:7:7", f"/keyboard {THIRTEEN}", "At most 12"),
    ],
    ids=["of a higher role", "unknown", "group", "terminal", "too many"],
)  # fmt: skip
async def test_what_cannot_be_a_key_changes_nothing(
    tmp_path: Path, role: Role, session: str, line: str, words: str
) -> None:
    said = await answer(mine(tmp_path, role, session), line)
    assert words in said.to_plain()
    assert said.keys is None
    assert kept(tmp_path).keyboard is None
