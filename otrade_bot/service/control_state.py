"""``control.json``: what a human decided and a restart must not forget. Pause, error, flatten.

It is on the disk before the human is told that it was done. A file that cannot be read counts as paused,
never as nothing decided; it is kept beside as ``control.json.broken``. Keys that are not ours stay as
they are. Times are market time, ISO-8601 +05:30.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Self

import orjson

from otrade_bot.control.views_checks import Check
from otrade_bot.control.words import moment_text, short
from otrade_bot.core.clock import from_iso, iso, ist_date
from otrade_bot.core.events import Event, EventKind
from otrade_bot.core.lang import t
from otrade_bot.core.masking import mask_text
from otrade_bot.core.model import Block
from otrade_bot.service.statefile import write_state
from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["FILE", "ControlState"]

FILE = "control.json"
#: No file of ours comes near it.
LARGEST = 1 << 20
_FRESH: Mapping[str, Any] = {
    "paused": False, "paused_by": "", "paused_at": "",
    "error": "",  #: why entries are blocked until /resume
    #: ``queued``: to be done as soon as orders are taken, until its verdict; ``ask_again``: at the next open
    "flatten": {"queued": False, "ask_again": False, "by": "", "at": ""},
}  # fmt: skip


class ControlState:
    """Read once a process, ``restore``d into each engine; from then on the engine keeps its decisions here.

    Never raises for a file, whatever it holds: a broken one is put aside, and a paused one written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fault = ""  #: why the file could not be read
        self.unsaved = ""  #: why the newest decision is not on the disk
        self._told = False
        self._now: dict[str, Any]
        self._disk: dict[str, Any] | None  #: None: nobody knows
        broken = path.with_name(f"{path.name}.broken")
        try:
            self._now = _read(path, broken)
            self._disk = deepcopy(self._now)
        except _UnreadableError as error:
            self._mistrust(broken, str(error))

    @classmethod
    def load(cls, path: Path) -> Self:
        """What was decided, or paused where nobody can say."""
        return cls(path)

    def _mistrust(self, broken: Path, fault: str) -> None:
        self._now = deepcopy(dict(_FRESH)) | {"paused": True, "paused_by": f"a {self.path.name} that cannot be read"}
        stays = _put_aside(self.path, broken)
        if stays:  # it is overwritten by the next decision only, and counts as paused until then
            self._disk = deepcopy(self._now)
            self.fault = f"{fault}; it could not be put aside ({stays})"
        else:
            self._disk = None
            self.fault = f"{fault}; it is kept as {broken.name}"
            self._save("the pause")

    @property
    def paused(self) -> bool:
        return bool(self._now["paused"])

    @property
    def error(self) -> str:
        """The critical error after which entries stay blocked until /resume; '' = none."""
        return str(self._now["error"])

    @property
    def flatten(self) -> Mapping[str, Any]:
        """``queued``, ``ask_again``, ``by``, ``at``."""
        return dict(self._now["flatten"])

    def restore(self, engine: LiveTradingEngine) -> list[str]:
        """Before recovery, after the engine's observers were added: blocks and flatten hold again, and every
        further decision is kept. Returns in words what was restored; nothing where there is nothing."""
        engine.keeper = self.keep
        self._not_today(engine)
        engine.restore({Block.PAUSED} if self.paused else ())
        engine.restore({Block.ERROR} if self.error else ())
        flatten = self.flatten
        engine.flattener.queued, engine.flattener.ask_again = flatten["queued"], flatten["ask_again"]
        if self.fault and not self._told:
            self._told = True
            engine.alert(f"{self.path.name}: {self.fault}. Entries are paused until /resume. If a flatten was waiting, "
                         "it is lost: send /flatten again")  # fmt: skip
        lost = self._save("what was decided")
        if lost:
            engine.alert(lost)
        return self._words()

    def keep(self, event: Event) -> str:
        """The engine's keeper: a decision goes to the disk at once. Returns why it could not, '' if it did or
        nothing was decided."""
        change = _CHANGES.get(_what(event))
        if change is None:
            return ""
        name, apply = change
        apply(self._now, event)
        return self._save(name)

    def part(self, key: str) -> Mapping[str, Any]:
        """What another part of the house keeps here under a key of its own; empty where that is no object. It checks
        the values itself."""
        found = self._now.get(key)
        return deepcopy(found) if isinstance(found, dict) else {}

    def keep_part(self, key: str, value: Mapping[str, Any]) -> str:
        """Put it there, on the disk at once. Returns why it may not survive a restart, '' if it does. Nothing secret
        may be among it."""
        assert key not in _FRESH, f"{key} is the engine's"
        self._now[key] = deepcopy(dict(value))
        return self._save(key)

    def retry(self) -> str:
        """Where the disk has failed: try again. Returns the news where it went well, else ''."""
        if not self.unsaved or self._save("what was decided"):
            return ""
        return f"{self.path.name} is written again: what was decided survives a restart"

    def check(self) -> Check:
        """For /health."""
        if self.unsaved:
            return Check(t("Decisions"), False, self.unsaved)
        said = t("pause and flatten survive a restart ({file})", file=self.path.name)
        return Check(t("Decisions"), True, said)

    def _save(self, what: str) -> str:
        """Synchronous, and only what has changed. Returns what to tell where the disk did not take it."""
        if self._now == self._disk:
            self.unsaved = ""
            return ""
        try:
            write_state(self.path, self._now, durable=True)
        except (OSError, TypeError, ValueError) as error:
            self._disk = None
            self.unsaved = f"{self.path.name} cannot be written ({_why(error)}): {what} holds now, but may not " \
                           "survive a restart"  # fmt: skip
            return self.unsaved
        self._disk, self.unsaved = deepcopy(self._now), ""
        return ""

    def _not_today(self, engine: LiveTradingEngine) -> None:
        """A night changes what a person wants: a flatten of another day is asked about, not done."""
        flatten = self._now["flatten"]
        if flatten["queued"] and _day(flatten["at"]) != ist_date(engine.clock.now_ns()):
            flatten.update(queued=False, ask_again=True)

    def _words(self) -> list[str]:
        flatten = self._now["flatten"]
        asked = f"the flatten{_by(flatten['by'], flatten['at'])}"
        found = (
            (self.paused, f"entries stay paused{_by(self._now['paused_by'], self._now['paused_at'])}; "
                          "/resume allows them"),
            (bool(self.error), f"entries stay blocked until /resume after: {short(self.error, 300)}"),
            (flatten["queued"], f"{asked} had not ended: it goes on as soon as orders are taken"),
            (flatten["ask_again"], f"{asked} is asked about again when the market is open"),
        )  # fmt: skip
        return [text for holds, text in found if holds]


# --- what events change -----------------------------------------------------------------------------

_Change = tuple[str, Callable[[dict[str, Any], Event], None]]


def _what(event: Event) -> tuple[EventKind, object, object]:
    """A decision's key in ``_CHANGES``."""
    if event.kind is EventKind.BLOCK:
        return event.kind, event.data.get("reason"), event.data.get("on")
    return event.kind, event.data.get("state"), None


def _pause(now: dict[str, Any], event: Event) -> None:
    now.update(paused=True, paused_by=_text(event.data.get("by")), paused_at=iso(event.ts_ns))


def _resume(now: dict[str, Any], event: Event) -> None:
    now.update(paused=False, paused_by="", paused_at="")


def _fail(now: dict[str, Any], event: Event) -> None:
    now["error"] = _text(event.data.get("error")) or Block.ERROR.value


def _forgive(now: dict[str, Any], event: Event) -> None:
    now["error"] = ""


def _queue(now: dict[str, Any], event: Event) -> None:
    """A flatten that has begun counts as queued until its verdict: a process that dies in it has not done it."""
    flatten = now["flatten"]
    if not (event.data["state"] == "started" and flatten["queued"]):
        by = _text(event.data.get("by"))
        flatten.update(queued=True, ask_again=False, by=by, at=iso(event.ts_ns))


def _remember(now: dict[str, Any], event: Event) -> None:
    now["flatten"].update(queued=False, ask_again=True, by=_text(event.data.get("by")), at=iso(event.ts_ns))


def _ended(now: dict[str, Any], event: Event) -> None:
    now["flatten"].update(_FRESH["flatten"])


_CHANGES: Mapping[tuple[EventKind, object, object], _Change] = {
    (EventKind.BLOCK, Block.PAUSED.value, True): ("the pause", _pause),
    (EventKind.BLOCK, Block.PAUSED.value, False): ("the end of the pause", _resume),
    (EventKind.BLOCK, Block.ERROR.value, True): ("the block after an error", _fail),
    (EventKind.BLOCK, Block.ERROR.value, False): ("the end of the block after an error", _forgive),
    (EventKind.FLATTEN, "queued", None): ("the queued flatten", _queue),
    (EventKind.FLATTEN, "started", None): ("the flatten", _queue),
    (EventKind.FLATTEN, "remembered", None): ("the wish to flatten", _remember),
    **{
        (EventKind.FLATTEN, state, None): ("the end of the flatten", _ended)
        for state in ("asked", "flat", "not_flat", "unconfirmed")
    },
}


def _text(value: object) -> str:
    """Fit for the file: without secrets, and without what has no encoding."""
    return mask_text(str(value or ""))


def _by(who: str, at: str) -> str:
    """' by owner since Wed 16 Sep 2026 10:01:00 IST', as far as it is known."""
    said = f" by {short(who, 60)}" if who else ""
    try:
        return f"{said} since {moment_text(from_iso(at))}"
    except (ValueError, OverflowError):
        return said


def _day(at: str) -> object:
    try:
        return ist_date(from_iso(at))
    except (ValueError, OverflowError):
        return None


# --- the file -------------------------------------------------------------------------------------------


class _UnreadableError(Exception):
    """Why a file does not say what was decided."""


def _read(path: Path, broken: Path) -> dict[str, Any]:
    """The document with all our keys; a fresh one where nothing was ever decided. Raises _UnreadableError."""
    try:
        raw = _bytes(path)
    except FileNotFoundError:
        if os.path.lexists(path):
            raise _UnreadableError("it is a link to nothing") from None
        if os.path.lexists(broken):
            raise _UnreadableError(f"it is missing, but {broken.name} is there") from None
        return deepcopy(dict(_FRESH))
    except OSError as error:
        raise _UnreadableError(_why(error)) from error
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise _UnreadableError("it is not JSON") from None
    return _checked(found)


def _bytes(path: Path) -> bytes:
    """Not blocking: a pipe in its place must not hold up the start."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise _UnreadableError("it is no regular file")
        with open(fd, "rb", closefd=False) as file:
            raw = file.read(LARGEST + 1)
    finally:
        os.close(fd)
    if len(raw) > LARGEST:
        raise _UnreadableError("it is too large to be ours")
    return raw


def _checked(found: object) -> dict[str, Any]:
    if not isinstance(found, dict) or "paused" not in found:
        raise _UnreadableError("it does not say whether entries are paused")
    flatten = found.get("flatten", {})
    if not isinstance(flatten, dict):
        raise _UnreadableError("flatten is not an object")
    whole = {**_FRESH, **found, "flatten": {**_FRESH["flatten"], **flatten}}
    for where, fresh in ((whole, _FRESH), (whole["flatten"], _FRESH["flatten"])):
        for key, value in fresh.items():
            if type(where[key]) is not type(value):
                raise _UnreadableError(f"{key} has the wrong type")
    return whole


def _put_aside(path: Path, broken: Path) -> str:
    """Returns why it could not be. A crash right after it leaves no file but the broken one, which the next
    start takes as paused too."""
    try:
        if os.path.lexists(path):
            os.replace(path, broken)
    except OSError as error:
        return _why(error)
    return ""


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
