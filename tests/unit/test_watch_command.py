"""The watchdog as it is run: two heartbeats, its own folder, the settings, and a whole process of few megabytes."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from venues.telegram import BotApi

from otrade_bot.config import ConfigManager
from otrade_bot.core.clock import SECOND, at_ist, iso, ist_date
from otrade_bot.core.errors import ConfigException
from otrade_bot.service import watch_command, watch_extra, watch_settings
from otrade_bot.service.folder import guest_folder
from otrade_bot.service.watch import LOOK_S
from otrade_bot.service.watch_command import Watchman
from otrade_bot.service.watch_settings import Chat, Settings
from tests.unit.test_watch import HELD, HOURS, TODAY

TOKEN = "123456:AbC-0_xyzAbC-0_xyzAbC-0_xyzAbC-0_xyz"
POSITION = {**{key: value for key, value in HELD.items() if key != "stop_paise"}, "stop": 2086.5}


@pytest.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi(chats=(7,), token=TOKEN) as made:
        yield made


class Room:
    """A watchman over a folder; time passes by hand."""

    def __init__(self, folder: Path, api: BotApi) -> None:
        self.state, self.now, self.steady = folder, at_ist(TODAY, 11), 100.0
        self.settings = Settings(folder, (Chat(7),), HOURS, {}, api.token, api.base_url)
        (folder / "watch").mkdir(exist_ok=True)

    async def begin(self) -> None:
        """Another watchdog; nothing of the one before was ended in good order."""
        if hasattr(self, "man"):
            self.man.mail.close()  # as a kill does
        self.man = Watchman(
            self.settings, self.state / "watch", lambda: self.now, lambda: self.steady, lambda now: self.settings
        )
        await asyncio.to_thread(self.man.begin)

    def beat(self, guest: str = "", **more: Any) -> None:
        path = self.state / guest / "heartbeat.json"
        path.parent.mkdir(exist_ok=True)
        found = {"at": iso(self.now), "pid": 5, "running": True, "host": "elsewhere", "phase": "open",
                 "positions": [POSITION], **more}  # fmt: skip
        path.write_text(json.dumps(found))

    async def pass_(self, seconds: float, beat: Callable[[], None] = lambda: None) -> None:
        for _ in range(round(seconds / LOOK_S)):
            self.now, self.steady = self.now + round(LOOK_S * SECOND), self.steady + LOOK_S
            beat()
            await asyncio.to_thread(self.man.look)


@pytest.fixture
async def room(tmp_path: Path, api: BotApi) -> AsyncIterator[Room]:
    made = Room(tmp_path, api)
    await made.begin()
    yield made
    made.man.mail.close()


def heads(api: BotApi) -> list[str]:
    return [sent.versions[0].text.splitlines()[0][9:] for sent in api.to(7)]


async def test_a_silence_and_its_end_reach_the_phone(room: Room, api: BotApi) -> None:
    await room.pass_(30, room.beat)
    await room.pass_(60)
    assert heads(api) == ["WATCHDOG: no sign of life"]
    await room.pass_(30, room.beat)
    assert heads(api)[1:] == ["WATCHDOG: the service is back"]


async def test_a_watchdog_that_is_killed_says_nothing_twice_and_forgets_nothing(room: Room, api: BotApi) -> None:
    await room.pass_(30, room.beat)
    api.down()
    await room.pass_(110)  # the alarm waits
    await room.begin()
    api.up()
    await room.pass_(60)
    assert heads(api) == ["WATCHDOG: no sign of life"]
    assert "delivered" in api.to(7)[0].versions[0].text
    await room.begin()
    await room.pass_(60)
    await room.pass_(30, room.beat)
    assert heads(api) == ["WATCHDOG: no sign of life", "WATCHDOG: the service is back"]


async def test_a_rehearsal_beside_the_service_is_watched_as_well(room: Room, api: BotApi) -> None:
    def both() -> None:
        room.beat()
        room.beat("rehearsal", rehearsal=True, mode="paper")

    await room.pass_(30, both)
    await room.pass_(60, room.beat)
    assert heads(api) == ["WATCHDOG: no sign of life"]
    assert api.to(7)[0].versions[0].text.endswith("PAPER · rehearsal")


async def test_a_memory_that_is_broken_is_an_empty_one(room: Room, api: BotApi) -> None:
    for content in ("{", "[]", '{"told": 5, "mail": 6}', '{"told": {"service": 5}, "mail": [5]}'):
        (room.state / "watch/state.json").write_text(content)
        await room.begin()
    await room.pass_(30, room.beat)
    await room.pass_(60)
    assert len(heads(api)) == 1


async def test_settings_that_cannot_be_read_leave_it_as_it_was(
    room: Room, api: BotApi, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(now: int) -> Settings:
        raise ConfigException("is no JSON", file="telegram.json")

    room.man.read_settings = broken
    room.man.settings = replace(room.man.settings, files=(room.state / "telegram.json",))
    (room.state / "telegram.json").write_text("{")
    with caplog.at_level(logging.INFO, "otrade_watch"):
        await room.pass_(40, room.beat)
    assert "the settings are left as they were: telegram.json: is no JSON" in caplog.text
    await room.pass_(60)
    assert len(heads(api)) == 1


async def test_people_who_come_and_holidays_that_are_added_count_without_a_restart(room: Room, api: BotApi) -> None:
    api.open_chat(8)
    room.man.settings = replace(room.man.settings, files=(room.state / "telegram.json",))
    room.settings = replace(room.man.settings, chats=(Chat(8),))
    (room.state / "telegram.json").write_text("{}")
    await room.pass_(40, room.beat)
    await room.pass_(60)
    assert (len(api.to(7)), len(api.to(8))) == (0, 1)
    room.settings = replace(room.settings, hours={})
    (room.state / "telegram.json").write_text("{ }")
    await room.pass_(60, room.beat)
    await room.pass_(120)
    assert len(api.to(8)) == 2  # it is back, and the day is a holiday


def test_its_folder_does_not_make_a_new_state_folder_an_old_one(tmp_path: Path) -> None:
    """The first demo or rehearsal of a machine works where it would without a watchdog."""
    (tmp_path / "watch").mkdir()
    assert guest_folder(tmp_path, "rehearsal") == tmp_path


# --- the settings, by a child ---------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, api: BotApi, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which today and tomorrow are sessions from midnight to midnight."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("OTRADE_")]:
        monkeypatch.delenv(name)
    ConfigManager(tmp_path / "config", "dev").load(create=True)
    path, today = tmp_path / "config/market.json", ist_date(time.time_ns())
    market = json.loads(path.read_text())
    for day in (today, today + timedelta(days=1)):
        market["special_days"][day.isoformat()] = {"name": "test", "open": "00:00", "close": "23:59"}
    path.write_text(json.dumps(market))
    users = [{"user_id": 7, "chat_id": 7, "role": "admin", "name": "owner"},
             {"user_id": 8, "chat_id": 8, "name": "gone", "blocked": True},
             {"user_id": 9, "chat_id": -9, "name": "group", "topic": 4, "language": "hi"}]  # fmt: skip
    (tmp_path / "config/telegram.json").write_text(json.dumps({"users": users}))
    monkeypatch.setenv("OTRADE_TELEGRAM_TOKEN", api.token)
    monkeypatch.setenv("OTRADE_TELEGRAM_BASE_URL", api.base_url)
    return tmp_path


async def test_it_knows_whom_to_tell_and_when_the_market_is_open(home: Path, api: BotApi) -> None:
    now = time.time_ns()
    found = await asyncio.to_thread(watch_settings.load, now)
    assert found.chats == (Chat(7), Chat(-9, 4, "hi"))
    assert (found.token, found.base_url, found.state_dir) == (api.token, api.base_url, Path("state"))
    today = ist_date(now)
    assert found.hours[today] == (at_ist(today, 0), at_ist(today, 23, 59))
    assert api.token not in repr(found)
    assert found.hours.keys() | found.closed.keys() >= {today + timedelta(days=n) for n in range(7)}
    before = found.stamp()
    (home / "config/telegram.json").write_text("{}")
    assert found.stamp() != before


async def test_wrong_settings_are_named_like_by_every_command(home: Path) -> None:
    (home / "config/telegram.json").write_text('{"users": 5}')
    with pytest.raises(ConfigException, match=r"telegram\.json: users"):
        await asyncio.to_thread(watch_settings.load, time.time_ns())


# --- other channels, by a child -----------------------------------------------------------------------------


def test_a_channel_that_fails_is_tried_again_and_then_said() -> None:
    answers, slept = ["not taken by x", RuntimeError("no way"), ""], list[float]()

    def send(title: str, body: str) -> str:
        assert (title, body) == (watch_extra.TITLE, "gone")
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return str(found)

    assert watch_extra.deliver(send, "gone", sleep=slept.append) == ""
    assert slept == [10.0, 30.0]
    assert watch_extra.deliver(lambda title, body: "no", "gone", sleep=slept.append) == "no"
    assert slept[2:] == [10.0, 30.0, 60.0]


class _Channel(BaseHTTPRequestHandler):
    """What apprise's json:// posts to."""

    told: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.told.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


async def test_where_apprise_is_configured_an_alarm_goes_there_as_well(
    room: Room, home: Path, api: BotApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("apprise")
    with HTTPServer(("127.0.0.1", 0), _Channel) as server:
        listening = asyncio.create_task(asyncio.to_thread(server.handle_request))
        monkeypatch.setenv("OTRADE_APPRISE_URLS", f"json://127.0.0.1:{server.server_port}/secret-path")
        settings = await asyncio.to_thread(watch_settings.load, time.time_ns())
        assert settings.extra
        room.man.settings = replace(room.man.settings, extra=True)
        await room.pass_(30, room.beat)
        await room.pass_(60)
        await listening
        assert "WATCHDOG: no sign of life" in json.loads(_Channel.told[0])["message"]
        (child,) = room.man._extras
        assert await asyncio.to_thread(child.wait) == 0
    assert len(heads(api)) == 1


async def test_it_speaks_the_language_that_was_chosen_on_the_phone(home: Path) -> None:
    (home / "state").mkdir()
    (home / "state/control.json").write_text('{"people": {"7": {"language": "hi"}, "9": {}}}')
    found = await asyncio.to_thread(watch_settings.load, time.time_ns())
    assert [one.language for one in found.chats] == ["hi", "hi"]
    for broken in ("{", "[]", '{"people": 5}', '{"people": {"7": 5}}'):
        (home / "state/control.json").write_text(broken)
        found = await asyncio.to_thread(watch_settings.load, time.time_ns())
        assert [one.language for one in found.chats] == ["en", "hi"]


# --- the process -----------------------------------------------------------------------------------------


@contextmanager
def watchdog(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command, with less patience: the process is what is tried here, the times are tried above."""
    quick = (
        "from otrade_bot.service import watch, watch_command; "
        "watch_command.LOOK_S = 0.05; watch.SILENT_S = 0.4; watch.FIRST_S = 0.2; "
        "from otrade_bot.cli import main; raise SystemExit(main(['watch']))"
    )
    with (home / "errors").open("wb") as errors:
        process = subprocess.Popen([sys.executable, "-c", quick], cwd=home, stderr=errors)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def sleeper() -> subprocess.Popen[bytes]:
    """A process that is named like the service."""
    return subprocess.Popen([sys.executable, "-c", "input()", "otrade-bot"], stdin=subprocess.PIPE)


def second(home: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "otrade_bot", "watch"], cwd=home, capture_output=True, check=False)


async def test_a_process_tells_of_a_killed_service_in_less_than_40_mb(home: Path, api: BotApi) -> None:
    service = await asyncio.to_thread(sleeper)
    beating = asyncio.create_task(_beats(home, service.pid))
    try:
        with watchdog(home) as process:
            log = home / "state/watch/watch.log"
            await api.until(lambda: log.exists() and "is running" in log.read_text())
            beating.cancel()
            service.kill()
            service.communicate()
            sent = (await api.until(lambda: api.to(7)))[0].versions[0].text
            assert "no sign of life" in sent
            assert f"Its process {service.pid} is gone." in sent
            assert "RELIANCE P1 BUY 3, stop rests at ₹2,086.50" in sent
            assert resident_mb(process.pid) <= 40
            other = await asyncio.to_thread(second, home)
            assert other.returncode == 2
            assert b"another otrade-bot watch is watching this folder" in other.stderr
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait) == 0
            for text in ((home / "errors").read_text(), log.read_text()):
                assert "a session from 00:00 to 23:59; tells 2 chats" in text
                assert "nobody watches the service now" in text
                assert api.token not in text
    finally:
        beating.cancel()
        service.kill()
        service.communicate()


async def _beats(home: Path, pid: int) -> None:
    room = home / "state"
    room.mkdir(exist_ok=True)
    while True:
        heart = {"at": iso(time.time_ns()), "pid": pid, "running": True, "host": os.uname().nodename, "phase": "open",
                 "positions": [POSITION]}  # fmt: skip
        (room / "beside").write_text(json.dumps(heart))
        os.replace(room / "beside", room / "heartbeat.json")
        await asyncio.sleep(0.05)


async def test_without_anybody_to_tell_it_does_not_pretend(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTRADE_TELEGRAM_TOKEN")
    done = await asyncio.to_thread(second, home)
    assert done.returncode == 2
    assert done.stderr.decode() == (
        "otrade-bot: environment: OTRADE_TELEGRAM_TOKEN: is not set: the watchdog could tell nobody\n"
    )
    assert not (home / "state").exists()


def test_its_log_lines_bear_the_indian_time_and_no_secret() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "https://api.telegram.org/bot%s/x", (TOKEN,), None)
    record.created = at_ist(TODAY, 11) / 1e9
    assert watch_command._Lines().format(record) == "2026-09-16 11:00:00 INFO https://api.telegram.org/bot***/x"
