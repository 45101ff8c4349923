"""The ``watch`` command: a small process of its own that speaks up when the service falls silent.

It shares nothing with the service but the state folder: no import of its parts, no connection, no lock. It reads
``heartbeat.json``, and has a folder ``watch`` there for what it has told, what it has still to tell, and its log.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path

import orjson

from otrade_bot.control.words import clock_text, count, day_text
from otrade_bot.core.clock import IST, at_ist, ist_date, to_ist
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.masking import mask_text
from otrade_bot.service.folder import WATCH
from otrade_bot.service.heart import FILE, Heart, read_heart
from otrade_bot.service.statefile import write_state
from otrade_bot.service.watch import LOOK_S, SILENT_S, Finding, Told, Watch
from otrade_bot.service.watch_mail import Letter, Mail
from otrade_bot.service.watch_settings import Settings, load
from otrade_bot.service.watch_words import said

__all__ = ["FOLDER", "Watchman", "run_watch"]

#: In the state folder.
FOLDER, STATE, LOG, LOCK = WATCH, "state.json", "watch.log", "lock"
#: The settings are looked at again so often, s; read again where they have changed, or on a new day.
SETTINGS_S = 30.0
_log = logging.getLogger("otrade_watch")


def run_watch(args: argparse.Namespace) -> int:
    """Until a signal: 0. Raises ConfigException."""
    settings = load(time.time_ns())
    if not settings.token and not settings.extra:
        raise ConfigException("is not set: the watchdog could tell nobody", file="environment",
                              key="OTRADE_TELEGRAM_TOKEN")  # fmt: skip
    os.umask(0o077)
    with _alone(settings.state_dir / FOLDER) as folder:
        _open_log(folder)
        over = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: over.set())
        watchman = Watchman(settings, folder)
        watchman.begin()
        try:
            while not over.wait(LOOK_S):
                watchman.look()
        finally:
            watchman.end()
    return 0


@dataclass(slots=True)
class Watchman:
    """Looks, tells, remembers. ``now`` is wall ns, ``steady`` seconds that only advance."""

    settings: Settings
    folder: Path
    now: Callable[[], int] = time.time_ns
    steady: Callable[[], float] = time.monotonic
    read_settings: Callable[[int], Settings] = load
    watches: dict[str, Watch] = field(default_factory=dict)
    mail: Mail = field(init=False)
    _day: date | None = None
    _stamp: tuple[object, ...] = ()
    _settings_at: float = 0.0
    _alive: dict[str, bool] = field(default_factory=dict)
    _extras: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _fault: str = ""

    def __post_init__(self) -> None:
        kept = _kept(self.folder / STATE)
        told = kept.get("told") if isinstance(kept.get("told"), dict) else {}
        for name in ("service", "rehearsal"):
            known = Told.read(told.get(name) if isinstance(told, dict) else None)
            self.watches[name] = Watch(self.settings.hours, known, guest=name != "service")
        waiting = kept.get("mail")
        letters = [Letter.read(one) for one in waiting] if isinstance(waiting, list) else []
        self.mail = Mail(self.settings, _log.warning, [one for one in letters if one is not None], self.steady)

    def begin(self) -> None:
        """Say what is watched."""
        self._stamp, self._settings_at = self.settings.stamp(), self.steady()
        _log.info("watches %s: an alarm after %.0f s of silence in market hours; process %d",
                  self.path("service").absolute(), SILENT_S, os.getpid())  # fmt: skip
        self._say_settings()
        self.look()

    def look(self) -> None:
        """One look at everything; called every few seconds. Never raises."""
        self._again()
        now, changed = self.now(), False
        for name, watch in self.watches.items():
            found = watch.look(partial(read_heart, self.path(name)), now, self.steady())
            self._note(name, watch)
            if found is not None:
                changed = True
                self._tell(found)
        if changed:
            self._keep()  # before it is sent: a kill in between tells it after the next start
        if self.mail.send(now):
            _log.info("told; %s to send", count(len(self.mail.waiting), "message"))
            self._keep()
        self._extras = [child for child in self._extras if child.poll() is None]

    def end(self) -> None:
        self._keep()
        self.mail.close()
        _log.info("ends: nobody watches the service now")

    def path(self, name: str) -> Path:
        """The heartbeat of the service, or of a rehearsal beside it."""
        return self.settings.state_dir / FILE if name == "service" else self.settings.state_dir / name / FILE

    def _tell(self, found: Finding) -> None:
        words = partial(said, found)
        _log.warning("%s", words().to_plain().replace("\n", " | "))
        self.mail.put(words, self.settings.chats, found.at)
        if self.settings.extra:
            self._tell_extra(words().to_plain())

    def _tell_extra(self, text: str) -> None:
        """Other channels, by a child: their library is heavier than the watchdog."""
        try:
            child = subprocess.Popen(
                [sys.executable, "-m", "otrade_bot.service.watch_extra"], stdin=subprocess.PIPE
            )
            assert child.stdin is not None
            with child.stdin as pipe:
                pipe.write(json.dumps({"text": text}).encode())
            self._extras.append(child)
        except OSError as error:
            _log.error("the other channels could not be told: %s", error)

    def _note(self, name: str, watch: Watch) -> None:
        """A line in the log where something is another way than before."""
        if watch.fault != self._fault and name == "service":
            self._fault = watch.fault
            _log.warning("%s: %s", FILE, watch.fault or "can be read again")
        before, alive = self._alive.get(name, False), watch.alive
        if alive is not before and (heart := watch.heart) is not None:
            self._alive[name] = alive
            _log.info("the %s (process %d) %s", name, heart.pid, _state(heart) if alive or not heart.running else
                      f"was last heard at {clock_text(heart.at)}")  # fmt: skip

    def _again(self) -> None:
        """The settings anew where they have changed; wrong ones change nothing."""
        today = ist_date(self.now())
        if today == self._day and self.steady() - self._settings_at < SETTINGS_S:
            return
        self._settings_at, stamp = self.steady(), self.settings.stamp()
        if today == self._day and stamp == self._stamp:
            return
        if self._day is not None:
            try:
                self.settings = self.mail.settings = self.read_settings(self.now())
            except ConfigException as error:
                _log.error("the settings are left as they were: %s", mask_text(str(error)))
            else:
                self._say_settings()
        self._day, self._stamp = today, stamp
        for watch in self.watches.values():
            watch.hours = self.settings.hours

    def _say_settings(self) -> None:
        today = ist_date(self.now())
        hours = self.settings.hours.get(today)
        what = f"a session from {clock_text(hours[0])[:5]} to {clock_text(hours[1])[:5]}" if hours else \
            f"no session ({self.settings.closed.get(today, 'not known')})"  # fmt: skip
        chats = len({chat.chat_id for chat in self.settings.chats})
        whom = f"tells {count(chats, 'chat')}" if chats else "telegram.json names nobody to tell"
        others = ", and the channels of OTRADE_APPRISE_URLS" if self.settings.extra else ""
        _log.info("%s: %s; %s%s", day_text(at_ist(today, 12)), what, whom, others)

    def _keep(self) -> None:
        told = {name: watch.told.as_json() for name, watch in self.watches.items() if watch.told is not None}
        try:
            write_state(self.folder / STATE, {"told": told, "mail": self.mail.as_json()}, durable=True)
        except OSError as error:
            _log.error("%s cannot be written: %s", self.folder / STATE, error.strerror)


def _state(heart: Heart) -> str:
    return "is running" if heart.running else "has ended in good order"


def _kept(path: Path) -> dict[str, object]:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def _alone(folder: Path) -> Iterator[Path]:
    """One watchdog a state folder. Raises ConfigException for the second."""
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = (folder / LOCK).open("w")
    except OSError as error:
        raise ConfigException(
            f"cannot be written: {error.strerror}", key="OTRADE_STATE_DIR", value=str(folder.parent)
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigException(
                "another otrade-bot watch is watching this folder", key="OTRADE_STATE_DIR", value=str(folder.parent)
            ) from None
        yield folder


class _Lines(logging.Formatter):
    """'2026-09-16 09:15:00 INFO words', IST, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        when = to_ist(int(record.created * 1e9)).astimezone(IST)
        return mask_text(f"{when:%Y-%m-%d %H:%M:%S} {record.levelname} {record.getMessage()}")


def _open_log(folder: Path) -> None:
    """Standard error, for the supervisor, and a small file. Libraries log nothing: httpx names the bot's token."""
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    try:
        handlers.append(RotatingFileHandler(folder / LOG, maxBytes=1_000_000, backupCount=1, encoding="utf-8"))
    except OSError as error:
        print(f"otrade-bot: {folder / LOG} cannot be written: {error.strerror}", file=sys.stderr)
    for handler in handlers:
        handler.setFormatter(_Lines())
        _log.addHandler(handler)
    _log.setLevel(logging.INFO)
    _log.propagate = False
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
