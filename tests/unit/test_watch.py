"""The watchdog concludes from the heartbeat alone: no silence untold, no alarm without one, none twice."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.core.clock import DAY, MINUTE, SECOND, at_ist, iso
from otrade_bot.core.errors import DataException
from otrade_bot.core.lang import speaking
from otrade_bot.service import heart as hearts
from otrade_bot.service.heart import Heart, host, lives, read_heart
from otrade_bot.service.watch import AHEAD, LOOK_S, PATIENT_S, REPEAT, SILENT_S, Finding, Kind, Told, Watch
from otrade_bot.service.watch_words import said

TODAY = date(2026, 9, 16)
OPEN, CLOSE = at_ist(TODAY, 9, 15), at_ist(TODAY, 15, 35)
HOURS = {TODAY: (OPEN, CLOSE)}
HELD = {
    "symbol": "NSE:RELIANCE", "rung": 1, "side": "BUY", "quantity": 3, "stop_paise": 208_650, "stop_resting": True,
    "external": False,
}  # fmt: skip


def heart(at: int, *, running: bool = True, held: int = 1, **more: Any) -> Heart:
    given = {"pid": 812, "host": host(), "rehearsal": False, "phase": "open", "mode": "live", "broker": "kite",
             "unread": "", **more}  # fmt: skip
    return Heart(at, running, held=(HELD,) * held, **given)


@dataclass
class Room:
    """A watch, its two clocks, and what the file says."""

    watch: Watch
    now: int = at_ist(TODAY, 11)
    steady: float = 1000.0
    seen: Heart | str | None = None
    found: list[Finding] = field(default_factory=list)

    def pass_(self, seconds: float, *, beating: bool = False, **more: Any) -> list[Finding]:
        """So long, looking every few seconds; ``beating``: the service writes meanwhile."""
        before, end = len(self.found), self.now + round(seconds * SECOND)
        while self.now < end:
            self.now += round(LOOK_S * SECOND)
            self.steady += LOOK_S
            if beating:
                self.seen = heart(self.now - 2 * SECOND, **more)
            self.look()
        return self.found[before:]

    def look(self) -> None:
        if (one := self.watch.look(self.read, self.now, self.steady)) is not None:
            self.found.append(one)

    def read(self) -> Heart | None:
        if isinstance(self.seen, str):
            raise DataException(self.seen)
        return self.seen


@pytest.fixture
def room() -> Room:
    return Room(Watch(HOURS, process=lambda heart: False))


def words(found: Finding) -> str:
    return said(found).to_plain()


# --- silence -----------------------------------------------------------------------------------------


def test_an_alarm_comes_within_a_minute_of_silence_with_what_was_held(room: Room) -> None:
    assert room.pass_(60, beating=True) == []
    last = room.seen
    assert isinstance(last, Heart)
    (alarm,) = room.pass_(120)
    assert alarm.kind is Kind.SILENT
    assert (alarm.at - last.at) / SECOND <= 55
    assert words(alarm).splitlines() == [
        f"{iso(alarm.at)[11:19]} WATCHDOG: no sign of life",
        f"The service was last heard at {iso(last.at)[11:19]}, 42.0 s ago.",
        "Its process 812 is gone.",
        f"Open at {iso(last.at)[11:19]}: 1",
        "RELIANCE P1 BUY 3, stop rests at ₹2,086.50",
        "Stops that rest at the exchange hold. Nothing is trailed or closed at its time until it runs again.",
        "A supervisor starts it again; if I do not say soon that it is back, look at the machine.",
        "To get out meanwhile use the broker's own app.",
        "LIVE · kite",
    ]


def test_its_return_is_told_with_how_long_it_was_away_and_only_then(room: Room) -> None:
    room.pass_(60, beating=True)
    (alarm,) = room.pass_(90)
    room.seen = None  # the file is away for a moment
    assert room.pass_(20) == []
    (back,) = room.pass_(60, beating=True, pid=900, held=0)
    assert back.kind is Kind.BACK
    text = words(back)
    assert "WATCHDOG: the service is back" in text
    assert "for 1 min 5" in text
    assert "Nothing was open" in text
    assert alarm.heart is not None
    assert iso(alarm.heart.at)[11:19] in text
    assert room.pass_(600, beating=True) == []


def test_a_silence_is_told_again_every_quarter_of_an_hour_while_something_is_held(room: Room) -> None:
    room.pass_(60, beating=True)
    alarms = room.pass_(40 * 60)
    assert [one.kind for one in alarms] == [Kind.SILENT] * 3
    assert [one.again for one in alarms] == [False, True, True]
    assert alarms[1].at - alarms[0].at == REPEAT
    assert "WATCHDOG: still no sign of life" in words(alarms[1])


def test_with_nothing_held_it_is_told_once(room: Room) -> None:
    room.pass_(60, beating=True, held=0)
    (alarm,) = room.pass_(2 * 3600)
    assert "Nothing was open at" in words(alarm)


def test_books_that_were_not_known_are_not_called_empty(room: Room) -> None:
    room.pass_(60, beating=True, held=0, unread="kite: no token")
    alarms = room.pass_(20 * 60)
    assert len(alarms) == 2
    assert "What is open was NOT KNOWN to it: kite: no token" in words(alarms[0])
    assert "Nothing was open" not in words(alarms[0])


@pytest.mark.parametrize(("process", "word"), [
    (True, "Its process 812 is there: it hangs, or cannot write its heartbeat (a full disk)."),
    (False, "Its process 812 is gone."),
    (None, "It ran on another machine or in another container: its process cannot be seen from here."),
])  # fmt: skip
def test_a_loop_that_hangs_is_told_from_a_process_that_is_gone(room: Room, process: bool | None, word: str) -> None:
    room.watch.process = lambda heart: process
    room.pass_(60, beating=True)
    (alarm,) = room.pass_(60)
    assert word in words(alarm)


def test_outside_of_market_hours_silence_is_none(room: Room) -> None:
    room.now = at_ist(TODAY, 15, 30)
    assert room.pass_(10 * 60, beating=True) == []
    assert room.pass_(3600) == []


def test_a_holiday_and_a_weekend_are_no_market_hours(room: Room) -> None:
    room.now = at_ist(date(2026, 9, 19), 11)
    assert room.pass_(60, beating=True) == []
    assert room.pass_(3600) == []


# --- orderly ends, and none ------------------------------------------------------------------------------


def test_an_orderly_stop_is_no_alarm(room: Room) -> None:
    room.pass_(60, beating=True, held=0)
    room.seen = heart(room.now, running=False, held=0)
    assert room.pass_(3600) == []


def test_an_orderly_stop_with_positions_in_market_hours_is_told_after_a_while(room: Room) -> None:
    """Not at once: who stops it to start another version needs a minute."""
    room.pass_(60, beating=True)
    room.seen = heart(room.now, running=False)
    assert room.pass_(PATIENT_S - LOOK_S) == []
    (told,) = room.pass_(60)
    assert told.kind is Kind.STOPPED
    assert "stopped with open positions, and the market is open" in words(told)
    assert "RELIANCE P1 BUY 3" in words(told)
    (back,) = room.pass_(60, beating=True)
    assert "WATCHDOG: the service is running" in words(back)


def test_a_restart_of_less_than_that_is_nothing(room: Room) -> None:
    room.pass_(60, beating=True)
    room.seen = heart(room.now, running=False)
    room.pass_(60)
    assert room.pass_(600, beating=True, pid=900) == []
    assert room.found == []


def test_what_was_never_started_is_told_before_the_open_and_at_it(room: Room) -> None:
    room.now = OPEN - 3600 * SECOND
    room.seen = heart(at_ist(date(2026, 9, 15), 16), running=False, held=0)
    early, at_open = room.pass_(2 * 3600)
    assert early.kind is at_open.kind is Kind.ABSENT
    assert early.at == OPEN - AHEAD
    assert OPEN <= at_open.at < OPEN + MINUTE
    assert "the service is not running, the market opens at 09:15" in words(early)
    assert "It was stopped in good order on Tue 15 Sep 2026 16:00:00." in words(early)
    assert "the service is not running, the market is open" in words(at_open)
    (back,) = room.pass_(60, beating=True, held=0)
    assert "WATCHDOG: the service is running" in words(back)


def test_a_folder_without_a_heartbeat_is_told_too(room: Room) -> None:
    room.now = OPEN - AHEAD
    (early, _) = room.pass_(3600)
    text = words(early)
    assert "there is no heartbeat" in text
    assert "What is open is NOT KNOWN." in text


def test_a_service_that_is_started_with_the_watchdog_has_its_time_to_come_up(room: Room) -> None:
    """Its first heartbeat comes when the day is open."""
    assert room.pass_(PATIENT_S - 2 * LOOK_S) == []
    assert room.pass_(300, beating=True, held=0) == []


def test_a_crash_of_yesterday_night_is_told_in_the_morning(room: Room) -> None:
    """In the night nobody needs to be woken."""
    room.now = at_ist(date(2026, 9, 15), 20)
    room.pass_(60, beating=True)
    assert room.pass_(60 * 60) == []
    room.now = OPEN - AHEAD - MINUTE
    (told,) = room.pass_(5 * 60)
    assert told.kind is Kind.ABSENT
    assert "did not end in good order" in words(told)
    assert "RELIANCE P1 BUY 3" in words(told)


def test_who_stopped_it_this_morning_with_nothing_held_is_not_nagged(room: Room) -> None:
    room.now = OPEN - 3600 * SECOND
    room.seen = heart(room.now, running=False, held=0)
    assert room.pass_(3 * 3600) == []


# --- clocks -------------------------------------------------------------------------------------------


@given(st.integers(-2 * DAY, 2 * DAY))
def test_a_clock_that_goes_wrong_is_no_silence_while_it_beats(skew: int) -> None:
    """Of another machine, or set while the service runs."""
    room = Room(Watch(HOURS, process=lambda heart: None))
    room.seen = heart(room.now + skew)
    room.look()
    for n in range(1, 40):
        room.now, room.steady = room.now + 5 * SECOND, room.steady + 5
        room.seen = heart(room.now + skew - n)
        room.look()
    assert room.found == []


def test_a_heartbeat_from_the_future_that_stands_still_is_a_silence(room: Room) -> None:
    room.seen = heart(room.now + 600 * SECOND)
    (alarm,) = room.pass_(60)
    assert alarm.kind is Kind.SILENT


def test_what_another_machines_clock_says_is_not_taken_for_a_span(room: Room) -> None:
    """Its clock is ten minutes behind: the silence is as long as it was watched."""
    for _ in range(5):
        room.pass_(5)
        room.seen = heart(room.now - 600 * SECOND, host="elsewhere")
    (alarm,) = room.pass_(60)
    assert "40.0 s ago." in words(alarm)


def test_a_machine_that_slept_makes_no_alarm(room: Room) -> None:
    room.pass_(60, beating=True)
    room.now, room.steady = room.now + 1800 * SECOND, room.steady + 1800
    room.look()
    assert room.found == []
    assert room.pass_(60, beating=True) == []


# --- half a file, none any more ----------------------------------------------------------------------------


def test_half_a_file_is_no_news_and_no_new_beat(room: Room) -> None:
    room.pass_(60, beating=True)
    room.seen = "it is no JSON"
    (alarm,) = room.pass_(60)
    assert alarm.kind is Kind.SILENT
    assert "RELIANCE P1 BUY 3" in words(alarm)


def test_a_file_that_was_deleted_is_silence(room: Room) -> None:
    room.pass_(60, beating=True)
    room.seen = None
    (alarm,) = room.pass_(60)
    assert alarm.kind is Kind.SILENT


@pytest.mark.parametrize("content", [
    b"", b"{", b"[]", b'{"at": "2026-09-16T11:00:00+05:30"}', b'{"at": 5, "pid": 1, "running": true}',
    b'{"at": "soon", "pid": 1, "running": true}', b'{"at": "2026-09-16T11:00:00", "pid": true, "running": true}',
    b'{"at": "2026-09-16T11:00:00", "pid": 1, "running": "no"}',
    b'{"at": "2026-09-16T11:00:00", "pid": 1, "running": true, "positions": [5]}',
    b'{"at": "2026-09-16T11:00:00", "pid": 1, "running": true, "positions": [{"stop": "low"}]}',
])  # fmt: skip
def test_what_is_no_heartbeat_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "heartbeat.json"
    path.write_bytes(content)
    with pytest.raises(DataException):
        read_heart(path)


def test_a_heartbeat_of_an_older_version_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat.json"
    assert read_heart(path) is None
    position: Mapping[str, Any] = {**{k: v for k, v in HELD.items() if k != "stop_paise"}, "stop": 2086.5}
    path.write_text(json.dumps({"at": iso(OPEN), "pid": 1, "running": True, "positions": [position]}))
    found = read_heart(path)
    assert found is not None
    assert (found.at, found.host, found.held) == (OPEN, "", (HELD,))


# --- a watchdog that was killed itself --------------------------------------------------------------------


def test_one_that_comes_in_the_middle_of_a_silence_says_it_once(room: Room) -> None:
    room.seen = heart(room.now - 600 * SECOND)
    (alarm,) = room.pass_(60)
    assert alarm.silent_s > 600
    again = Room(Watch(HOURS, room.watch.told, process=lambda heart: False), room.now, 5.0, room.seen)
    assert again.pass_(10 * 60) == []
    assert len(again.pass_(5 * 60)) == 1  # the same quarter of an hour


def test_one_that_missed_the_return_tells_it(room: Room) -> None:
    room.pass_(60, beating=True)
    room.pass_(60)
    again = Room(Watch(HOURS, room.watch.told, process=lambda heart: False), room.now + 60 * SECOND, 5.0)
    (back,) = again.pass_(30, beating=True)
    assert back.kind is Kind.BACK


@pytest.mark.parametrize("found", [None, 5, {}, {"kind": "loud", "about": "", "at": 1}, {"kind": "silent"}])
def test_what_it_remembers_wrongly_it_forgets(found: object) -> None:
    assert Told.read(found) is None
    told = Told(Kind.SILENT, "x", 5)
    assert Told.read(told.as_json()) == told


# --- rehearsals ----------------------------------------------------------------------------------------


def test_a_rehearsal_is_watched_by_its_own_market(room: Room) -> None:
    room.watch.guest, room.now = True, at_ist(date(2026, 9, 19), 22)
    room.pass_(60, beating=True, rehearsal=True, mode="paper", broker="paper")
    (alarm,) = room.pass_(60)
    assert words(alarm).endswith("PAPER · paper · rehearsal")


@pytest.mark.parametrize("phase", ["", "closed", "holiday", "post_close"])
def test_a_rehearsed_evening_is_no_market_either(room: Room, phase: str) -> None:
    room.watch.guest = True
    room.pass_(60, beating=True, rehearsal=True, phase=phase)
    assert room.pass_(600) == []


def test_a_rehearsal_of_yesterday_is_of_no_interest(room: Room) -> None:
    room.watch.guest = True
    room.seen = heart(room.now - DAY, rehearsal=True)
    assert room.pass_(3600) == []


def test_nobody_expects_a_rehearsal(room: Room) -> None:
    room.watch.guest, room.now = True, OPEN - MINUTE
    assert room.pass_(3600) == []


def test_a_rehearsal_of_yesterday_in_the_services_own_folder_is_no_service(room: Room) -> None:
    room.now, room.seen = OPEN - AHEAD, heart(OPEN - DAY, rehearsal=True, running=False, held=0)
    assert [one.kind for one in room.pass_(3600)] == [Kind.ABSENT] * 2


# --- its process ------------------------------------------------------------------------------------------


def test_a_process_is_looked_for_where_it_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lives(heart(OPEN, host="elsewhere")) is None
    assert lives(heart(OPEN, pid=2**22 + 5)) is False
    assert lives(heart(OPEN, pid=1)) is not True  # there, but another program
    monkeypatch.setattr(hearts, "Path", lambda path: tmp_path / "cmdline")
    (tmp_path / "cmdline").write_bytes(b"python\0/bin/otrade-bot\0run\0")
    assert lives(heart(OPEN, pid=os.getpid())) is True


def test_every_message_has_its_words_in_every_language(room: Room) -> None:
    """A template that lacks a value would end the watchdog in the one moment it is there for."""
    for kind in Kind:
        for known in (heart(OPEN), heart(OPEN, running=False, held=0, unread="why"), None):
            before = Told(Kind.SILENT, iso(OPEN), OPEN) if kind is Kind.BACK else None
            if known is None and kind is not Kind.ABSENT:
                continue
            with speaking("hi"):
                found = Finding(kind, OPEN, known, 41.0, None, OPEN, CLOSE, before)
                assert said(found).to_html()


def test_silence_and_looks_leave_time_to_send_within_the_minute() -> None:
    assert SILENT_S + 2 * LOOK_S + 5 < 60


# --- whatever happens ----------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(st.sampled_from(["beats", "silent", "stopped", "restarted", "broken", "killed watchdog"]),
              st.integers(1, 30)), min_size=1, max_size=12,
)  # fmt: skip


@given(STEPS, st.integers(0, 3))
def test_no_silence_is_untold_and_none_is_told_twice_within_a_quarter_of_an_hour(
    steps: list[tuple[str, int]], held: int
) -> None:
    room = Room(Watch(HOURS, process=lambda heart: None))
    room.pass_(30, beating=True, held=held)
    last_beat, running, pid = room.now, True, 812
    for what, looks in steps:
        if what in ("beats", "restarted"):
            pid += what == "restarted"
            room.pass_(looks * LOOK_S, beating=True, held=held, pid=pid)
            last_beat, running = room.now, True
        elif what == "stopped" and running and room.watch.alive:
            room.seen = heart(room.now, running=False, held=held, pid=pid)
            running = False
            room.pass_(looks * LOOK_S)
        elif what == "killed watchdog":
            room.watch = Watch(HOURS, room.watch.told, process=lambda heart: None)
            room.pass_(looks * LOOK_S)
        else:
            room.seen = "half a file" if what == "broken" else room.seen
            room.pass_(looks * LOOK_S)
        told = [one for one in room.found if one.kind is Kind.SILENT]
        if running and room.now - last_beat >= 55 * SECOND and what == "silent" and looks >= 10:
            assert told
            assert told[-1].at > last_beat
    for kind in (Kind.SILENT, Kind.STOPPED):
        every = [one for one in room.found if one.kind is kind and one.heart is not None]
        for before, after in pairwise(every):
            same = before.heart is not None and after.heart is not None and before.heart.beat == after.heart.beat
            assert not same or after.at - before.at >= REPEAT
    ends = [one.kind for one in room.found]
    assert not any(one is Kind.BACK and before is Kind.BACK for before, one in pairwise(ends))
    assert ends[:1] != [Kind.BACK]
