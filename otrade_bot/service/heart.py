"""``heartbeat.json`` as others read it: what the service last said of itself. Light: a small process reads it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from otrade_bot.core.clock import from_iso
from otrade_bot.core.errors import DataException
from otrade_bot.core.money import to_paise

__all__ = ["FILE", "Heart", "host", "lives", "read_heart"]

FILE = "heartbeat.json"


@dataclass(frozen=True, slots=True)
class Heart:
    """One heartbeat. ``at``: when it was written, by the wall clock of ``host`` (ns UTC). ``held``: what was open, as
    in a ``run`` event. ``running`` False: the last one of a service that ended in good order."""

    at: int
    running: bool
    pid: int
    host: str
    rehearsal: bool
    phase: str
    mode: str
    broker: str
    held: tuple[Mapping[str, Any], ...]
    unread: str

    @property
    def beat(self) -> tuple[int, int, bool]:
        """Another one than the one before has another of these."""
        return self.at, self.pid, self.running


def read_heart(path: Path) -> Heart | None:
    """None where there is no such file. Raises DataException."""
    try:
        found = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataException(error.strerror or type(error).__name__) from None
    except ValueError:
        raise DataException("it is no JSON") from None
    if not isinstance(found, dict):
        raise DataException("it is no object")
    try:
        return _heart(found)
    except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise DataException(f"it is not as a service writes it ({type(error).__name__}: {error})") from None


def _heart(found: Mapping[str, Any]) -> Heart:
    pid = found["pid"]
    if isinstance(pid, bool) or not isinstance(pid, int) or not isinstance(found["running"], bool):
        raise ValueError("pid or running")
    return Heart(
        from_iso(found["at"]), found["running"], pid, _word(found, "host"), found.get("rehearsal") is True,
        _word(found, "phase"), _word(found, "mode"), _word(found, "broker"),
        tuple(_held(one) for one in found.get("positions") or ()), _word(found, "unread"),
    )  # fmt: skip


def _held(one: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**{key: value for key, value in one.items() if key != "stop"}, "stop_paise": to_paise(one.get("stop") or 0)}


def _word(found: Mapping[str, Any], key: str) -> str:
    value = found.get(key)
    return value if isinstance(value, str) else ""


def host() -> str:
    """The name of this machine, or container: a process number means something there alone."""
    return socket.gethostname()


def lives(heart: Heart) -> bool | None:
    """Whether its process is still there; None where that cannot be seen from here."""
    if not heart.host or heart.host != host() or heart.pid <= 0 or not os.path.isdir("/proc/self"):
        return None
    try:
        words = Path(f"/proc/{heart.pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False
    except OSError:
        return None
    return b"otrade" in words
