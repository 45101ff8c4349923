"""/mute and /language: each person for himself, kept over a restart, and never about risk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import time_machine
from test_control_pushes import Box

from otrade_bot.config.models import TelegramConfig, User
from otrade_bot.control.auth import Role
from otrade_bot.control.commands import Context, Table, answer
from otrade_bot.control.confirm import Confirmations
from otrade_bot.control.mute import MUTES
from otrade_bot.control.news.pushes import Pushes
from otrade_bot.control.news.wishes import KINDS
from otrade_bot.control.reply import Reply
from otrade_bot.core.clock import MINUTE
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.service.control_state import ControlState
from otrade_bot.service.preferences import Preferences

OWNER = User(user_id=7, chat_id=7, role="admin", name="owner")
NOON = 1_622_529_000 * 10**9  #: Tue 1 Jun 2021 12:00:00 IST


class NoView:
    def status(self) -> Any:
        raise RuntimeError("nobody looks")


class Person:
    """Somebody at the phone, with the preferences of a state folder."""

    def __init__(self, folder: Path, user_id: int = 7) -> None:
        self.kept = Preferences(ControlState.load(folder / "control.json"), lambda: TelegramConfig(users=(OWNER,)))
        view: Any = NoView()
        self.context = Context(
            view, "owner", Role.VIEWER, f"telegram:{user_id}:{user_id}", Table(MUTES), Confirmations(travels=True),
            user_id=user_id, wishes=self.kept,
        )  # fmt: skip

    async def says(self, line: str) -> Reply:
        with self.kept.speaking(self.context.user_id):
            return await answer(self.context, line)


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path)


async def said(person: Person, line: str) -> str:
    top, _, rest = (await person.says(line)).to_plain().partition("\n")
    assert top.startswith("MODE UNKNOWN")
    return rest


async def test_a_kind_is_muted_for_one_person_and_for_the_next_process_too(person: Person, tmp_path: Path) -> None:
    assert "With sound: fill, trade, recovery, day, alert" in await said(person, "/mute")
    shown = await said(person, "/mute fill off")
    assert "With sound: trade," in shown
    assert "Not at all: fill" in shown
    await said(person, "/mute trade")
    await said(person, "/mute Signal LOUD")
    assert Person(tmp_path).kept.wishes(7).kinds == {"fill": "off", "trade": "silent", "signal": "on"}
    assert Person(tmp_path).kept.wishes(8).kinds == {}
    await said(person, "/mute reset")
    assert Person(tmp_path).kept.wishes(7).kinds == {}


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_the_settings_can_be_muted(kind: str, person: Person) -> None:
    assert f"Not at all: {kind}" in await said(person, f"/mute {kind} off")


@pytest.mark.parametrize(("line", "answer"), [
    ("/mute risk off", "always come, with sound"), ("/mute flatten", "always come, with sound"),
    ("/mute music", "music cannot be muted"), ("/mute fill maybe", "loud, silent or off"),
    ("/mute quiet 22-7", "22:00-07:00"), ("/mute quiet 25:00-07:00", "22:00-07:00"),
    ("/mute quiet 07:00-07:00", "another time"), ("/mute snooze 0m", "30m or 2h"), ("/mute snooze 25h", "30m or 2h"),
    ("/mute snooze soon", "30m or 2h"), ("/mute snooze -5m", "30m or 2h"), ("/language fr", "en, hi"),
    ("/mute extra off", "extra cannot be muted"),
])  # fmt: skip
async def test_what_is_not_understood_changes_nothing_and_says_what_is(line: str, answer: str, person: Person) -> None:
    assert answer in await said(person, line)
    assert not (person.kept._control.path).exists()


@time_machine.travel(NOON / 1e9, tick=False)
async def test_a_snooze_takes_the_sound_for_its_time_and_survives_a_restart(person: Person, tmp_path: Path) -> None:
    reply = await person.says("/mute snooze 90m")
    assert "Snoozed until 13:30, for 1 h 30 min more" in reply.to_plain()
    assert [action.line for action in reply.actions] == ["/mute snooze off"]
    again = Person(tmp_path).kept.wishes(7)
    assert again.resting(NOON + 90 * MINUTE - 1)
    assert not again.resting(NOON + 90 * MINUTE)
    assert "Snoozed" not in await said(person, "/mute snooze off")
    assert "Wed 2 Jun 2021 12:00" in await said(person, "/mute snooze 24h")
    assert "12:30" in await said(person, "/mute snooze")


async def test_in_a_group_it_is_said_that_one_person_does_not_mute_it(person: Person) -> None:
    assert "as loud as one" not in await said(person, "/mute")
    person.context = replace(person.context, session="telegram:7:-9")
    assert "as loud as one of its people" in await said(person, "/mute")


async def test_quiet_hours_are_shown_as_they_were_written(person: Person) -> None:
    assert "Quiet hours: 22:00-07:05, without sound." in await said(person, "/mute quiet 22:00 - 7:05")
    assert person.kept.wishes(7).quiet == (22 * 60, 7 * 60 + 5)
    assert "Quiet hours" not in await said(person, "/mute quiet off")


async def test_the_language_is_a_persons_own_and_its_answer_is_in_it(
    person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hindi = {"From now on you are told in {language}.": "अब से {language} में।", "What you are told": "आपको क्या"}
    monkeypatch.setattr("otrade_bot.core.lang.catalogue", lambda spoken: hindi)
    asked = await person.says("/language")
    assert [action.line for action in asked.actions] == ["/language hi"]
    assert await said(person, "/language hi") == "अब से हिन्दी में।"
    assert "आपको क्या" in await said(person, "/mute")
    assert Person(tmp_path).kept.language(7) == "hi"
    assert "told in English" in await said(person, "/language English")


async def test_at_the_terminal_there_is_nothing_to_mute(person: Person) -> None:
    view: Any = NoView()
    there = Context(view, "terminal", Role.ADMIN, "terminal", Table(MUTES), Confirmations(travels=False))
    assert "for the phone" in (await answer(there, "/mute fill off")).to_plain()


async def test_a_disk_that_does_not_keep_it_is_told(person: Person, tmp_path: Path) -> None:
    (tmp_path / "control.json.tmp").mkdir()
    assert "may not survive a restart" in await said(person, "/mute fill off")
    assert person.kept.wishes(7).kinds == {"fill": "off"}


def test_what_one_muted_is_pushed_to_the_others(person: Person) -> None:
    wife = User(user_id=8, chat_id=8, name="asha")
    group = (OWNER.model_copy(update={"chat_id": -9}), wife.model_copy(update={"chat_id": -9}))
    person.kept.wish(7, kinds={"fill": "off"})
    box = Box()
    pushes = Pushes(box, (OWNER, wife, *group), TelegramConfig().notifications, str, people=person.kept)
    pushes.on_event(Event(EventKind.FILL, NOON, "NSE:TCS", "words"))
    assert [(chat, silent) for chat, silent, _ in box.put_in] == [(8, False), (-9, False)]
    pushes.on_event(Event(EventKind.FILL, NOON, "NSE:TCS", "words", Severity.RISK))
    assert {chat for chat, _, _ in box.put_in[2:]} == {7, 8, -9}
