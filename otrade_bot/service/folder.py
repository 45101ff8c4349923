"""Who uses the state folder: one process at a time, and a demo or a rehearsal never on a real account.

A demo or a rehearsal works in the state folder itself where that is new or its own (its mark lies in it),
else in a subfolder of its name. The service proper moves what such a guest has left out of its way.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

from otrade_bot.core.errors import ConfigException

__all__ = ["GUESTS", "guest_folder", "mark_of", "only_one", "own_folder"]

GUESTS = ("demo", "rehearsal")
#: The watchdog's own in every state folder, also a new one.
WATCH = "watch"
#: An account, its diary, and what was decided about it. Messages that wait stay where they are delivered.
ACCOUNT = ("paper.jsonl", "journal", "control.json", "control.json.broken", "heartbeat.json", "tape")


def mark_of(guest: str) -> str:
    """File name that marks a folder as a guest's own."""
    return f"{guest}.json"


def guest_folder(state: Path, guest: str) -> Path:
    """The folder for a ``guest``, made and marked. Raises ConfigException where it cannot be."""
    try:
        mine = not state.exists() or (state / mark_of(guest)).exists() or not _used(state)
        chosen = state if mine else state / guest
        chosen.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (chosen / mark_of(guest)).exists():
            (chosen / mark_of(guest)).write_text(f'{{"{guest}": true}}\n')
    except OSError as error:
        raise _cannot(state, error) from error
    return chosen


def _used(state: Path) -> bool:
    """Something lies in it besides a watchdog's own folder."""
    return any(one.name != WATCH for one in state.iterdir())


def own_folder(state: Path) -> Path:
    """The state folder for the service itself; a guest's account in it moves to a subfolder.

    Call it under ``only_one``. Raises ConfigException where the folder cannot be used.
    """
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        for guest in GUESTS:
            if (state / mark_of(guest)).exists():
                _move_out(state, guest)
    except OSError as error:
        raise _cannot(state, error) from error
    return state


def _move_out(state: Path, guest: str) -> None:
    """The mark goes last: a move that is cut off half-way is taken up again."""
    room = state / guest
    number = 1
    while (room / mark_of(guest)).exists():
        number += 1
        room = state / f"{guest}-{number}"
    room.mkdir(mode=0o700, exist_ok=True)
    for name in (*ACCOUNT, mark_of(guest)):
        if (state / name).exists():
            shutil.move(state / name, room / name)


@contextlib.contextmanager
def only_one(state: Path) -> Iterator[None]:
    """One process a state folder. Raises ConfigException for the second."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (state / "lock").open("w")
    except OSError as error:
        raise _cannot(state, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigException(
                "another otrade-bot is using this folder", key="OTRADE_STATE_DIR", value=str(state)
            ) from error
        yield


def _cannot(state: Path, error: OSError) -> ConfigException:
    return ConfigException(f"cannot be written: {error.strerror}", key="OTRADE_STATE_DIR", value=str(state))
