"""What people chose for themselves: kept over a restart, and nothing that is broken there stops anything."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.config.models import Notifications, TelegramConfig, User
from otrade_bot.control.news.wishes import KINDS, NONE, Wishes
from otrade_bot.core.clock import MINUTE, at_ist
from otrade_bot.service.control_state import ControlState
from otrade_bot.service.preferences import Preferences

DAY = date(2021, 6, 1)
OWNER = User(user_id=7, chat_id=7, role="admin", name="owner", language="hi")


def preferences(folder: Path, told: list[str] | None = None) -> Preferences:
    log = (told if told is not None else []).append
    control = ControlState.load(folder / "control.json")
    return Preferences(control, lambda: TelegramConfig(users=(OWNER,)), log_error=log)


def test_what_was_chosen_is_known_to_the_next_process(tmp_path: Path) -> None:
    first = preferences(tmp_path)
    snooze = at_ist(DAY, 12)
    assert first.wish(7, kinds={"fill": "silent"}, quiet=(22 * 60, 7 * 60 + 5)) == ""
    first.wish(7, snooze_ns=snooze, language="en")
    first.wish(8, keyboard=("status", "pnl"))
    again = preferences(tmp_path)
    assert again.wishes(7) == Wishes("en", {"fill": "silent"}, (22 * 60, 7 * 60 + 5), snooze)
    assert again.wishes(8).keyboard == ("status", "pnl")
    assert (tmp_path / "control.json").read_text().count("22:00-07:05") == 1
    again.forget(7)
    assert preferences(tmp_path).wishes(7) == NONE


def test_the_language_is_that_of_the_settings_until_another_is_chosen(tmp_path: Path) -> None:
    kept = preferences(tmp_path)
    assert (kept.language(7), kept.language(8)) == ("hi", "en")
    kept.wish(7, language="en")
    assert kept.language(7) == "en"


def test_a_decision_of_the_engine_and_a_wish_leave_each_other_alone(tmp_path: Path) -> None:
    control = ControlState.load(tmp_path / "control.json")
    Preferences(control, TelegramConfig).wish(7, language="hi")
    with pytest.raises(AssertionError):
        control.keep_part("paused", {})
    found = orjson.loads((tmp_path / "control.json").read_bytes())
    assert found["people"] == {"7": {"language": "hi"}}
    assert found["paused"] is False


BROKEN = [
    {"7": {"language": "fr"}}, {"7": {"kinds": {"fill": "loud"}}}, {"7": {"kinds": {"risk": "off"}}},
    {"7": {"kinds": 3}}, {"7": {"quiet": "25:00-07:00"}}, {"7": {"quiet": 5}}, {"7": {"snooze": "soon"}},
    {"7": {"keyboard": "status"}}, {"7": {"volume": 11}}, {"7": []}, {"owner": {}},
]  # fmt: skip


@pytest.mark.parametrize("people", BROKEN, ids=str)
def test_what_cannot_be_read_counts_as_not_chosen_and_is_said_once(people: object, tmp_path: Path) -> None:
    document = {"paused": True, "people": people}
    (tmp_path / "control.json").write_bytes(orjson.dumps(document))
    told: list[str] = []
    control = ControlState.load(tmp_path / "control.json")
    assert Preferences(control, TelegramConfig, log_error=told.append).wishes(7) == NONE
    assert len(told) == 1
    assert control.paused
    assert control.fault == ""


@pytest.mark.parametrize("people", [None, [], 5, "x"])
def test_people_that_are_no_object_stop_nothing(people: object, tmp_path: Path) -> None:
    (tmp_path / "control.json").write_bytes(orjson.dumps({"paused": False, "people": people}))
    kept = preferences(tmp_path)
    assert kept.wishes(7) == NONE
    assert kept.wish(7, language="hi") == ""


@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 1439))
def test_quiet_hours_reach_over_midnight(begin: int, end: int, now: int) -> None:
    wall = at_ist(DAY, 0) + now * MINUTE
    span = (end - begin) % 1440
    assert Wishes(quiet=(begin, end)).resting(wall) == ((now - begin) % 1440 < span)


def test_a_snooze_ends_at_its_moment() -> None:
    noon = at_ist(DAY, 12)
    assert Wishes(snooze_ns=noon).resting(noon - 1)
    assert not Wishes(snooze_ns=noon).resting(noon)


def test_quiet_takes_the_sound_and_nothing_else() -> None:
    noon, settings = at_ist(DAY, 12), Notifications(fill="on", signal="off", order="silent")
    resting = Wishes(snooze_ns=noon + 1, kinds={"trade": "off"})
    heard = {kind: resting.loudness(kind, settings, noon) for kind in ("fill", "signal", "order", "trade", "setting")}
    assert heard == {"fill": "silent", "signal": "off", "order": "silent", "trade": "off", "setting": "silent"}
    assert resting.loudness("fill", settings, noon + 1) == "on"
    assert Wishes(kinds={"signal": "on"}).loudness("signal", settings, noon) == "on"


def test_every_kind_of_the_settings_may_be_muted_and_no_other() -> None:
    assert set(KINDS) == set(Notifications.model_fields) - {"extra"}
