"""What people on the phone chose for themselves, kept in ``control.json`` under ``people``, by Telegram user id.

``{"7": {"language": "hi", "kinds": {"fill": "silent"}, "quiet": "22:00-07:00", "snooze": ISO-8601, "keyboard": []}}``.
What cannot be read counts as not chosen, and is said once: it is no money.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, get_args

from otrade_bot.config.models import Loudness, Notifications, TelegramConfig
from otrade_bot.control.news.wishes import KINDS, NONE, Wishes
from otrade_bot.core.clock import from_iso, iso
from otrade_bot.core.lang import LANGUAGES, Language, speaking
from otrade_bot.service.control_state import ControlState

__all__ = ["KEY", "Preferences"]

KEY = "people"
#: Keys on a phone's keyboard.
MOST_KEYS = 12
_log = logging.getLogger("otrade.system")
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class Preferences:
    """``telegram`` is asked each time: people come and go."""

    def __init__(
        self,
        control: ControlState,
        telegram: Callable[[], TelegramConfig],
        *,
        log_error: Callable[[str], None] = _log.error,
    ) -> None:
        self._control, self._telegram = control, telegram
        self._wishes, strange = _read(control.part(KEY))
        if strange:
            log_error(f"{control.path.name}: {KEY}: {', '.join(strange)} cannot be read and count as not chosen")

    def wishes(self, person: int) -> Wishes:
        return self._wishes.get(person, NONE)

    def language(self, person: int) -> Language:
        if (chosen := self.wishes(person).language) is not None:
            return chosen
        return next((user.language for user in self._telegram().users if user.user_id == person), "en")

    def speaking(self, person: int) -> AbstractContextManager[None]:
        """Within, ``t`` says it in this person's language."""
        return speaking(self.language(person))

    def settings(self) -> Notifications:
        return self._telegram().notifications

    def wish(self, person: int, **changes: Any) -> str:
        self._wishes[person] = replace(self.wishes(person), **changes)
        document = {str(one): found for one, wishes in self._wishes.items() if (found := _document(wishes))}
        return self._control.keep_part(KEY, document)

    def forget(self, person: int) -> str:
        """Of somebody who was removed."""
        return self.wish(person, **{name: getattr(NONE, name) for name in Wishes.__slots__})


def _document(wishes: Wishes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if wishes.language:
        found["language"] = wishes.language
    if wishes.kinds:
        found["kinds"] = dict(wishes.kinds)
    if wishes.quiet:
        begin, end = wishes.quiet
        found["quiet"] = f"{begin // 60:02d}:{begin % 60:02d}-{end // 60:02d}:{end % 60:02d}"
    if wishes.snooze_ns:
        found["snooze"] = iso(wishes.snooze_ns)
    if wishes.keyboard is not None:
        found["keyboard"] = list(wishes.keyboard)
    return found


def _read(part: Mapping[str, Any]) -> tuple[dict[int, Wishes], list[str]]:
    """The wishes, and where something stands that is none."""
    wishes: dict[int, Wishes] = {}
    strange: list[str] = []
    for person, found in part.items():
        if not person.isdecimal() or not isinstance(found, dict):
            strange.append(person[:20])
            continue
        fields: dict[str, Any] = {}
        for name, value in found.items():
            try:
                fields |= _FIELDS[name](value)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
                strange.append(f"{name[:20]} of {person[:20]}")
        wishes[int(person)] = Wishes(**fields)
    return wishes, strange


def _language(value: Any) -> dict[str, Any]:
    if value not in LANGUAGES:
        raise ValueError("no such language")
    return {"language": value}


def _kinds(value: Any) -> dict[str, Any]:
    if any(kind not in KINDS or loud not in get_args(Loudness) for kind, loud in value.items()):
        raise ValueError("no such kind")
    return {"kinds": dict(value)}


def _quiet(value: Any) -> dict[str, Any]:
    hours = _HOURS.fullmatch(value)
    if hours is None:
        raise ValueError("no hours")
    first, second, third, fourth = map(int, hours.groups())
    return {"quiet": (first * 60 + second, third * 60 + fourth)}


def _snooze(value: Any) -> dict[str, Any]:
    return {"snooze_ns": from_iso(value)}


def _keyboard(value: Any) -> dict[str, Any]:
    if not isinstance(value, list) or len(value) > MOST_KEYS or not all(isinstance(key, str) for key in value):
        raise ValueError("no keys")
    return {"keyboard": tuple(value)}


_FIELDS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "language": _language, "kinds": _kinds, "quiet": _quiet, "snooze": _snooze, "keyboard": _keyboard,
}  # fmt: skip
