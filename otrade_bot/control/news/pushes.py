"""What the phone is told unasked: an observer of events that fills the outbox.

Runs inside the trading path and never raises: the engine removes an observer that does.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from otrade_bot.config.models import Loudness, Notifications, TelegramConfig, User
from otrade_bot.control.news.notices import describe
from otrade_bot.control.reply import Reply, text
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.masking import mask_text

__all__ = ["Pushes", "loudness"]

_log = logging.getLogger("otrade.system")

#: For the journal alone. Whoever gave a command has its answer.
_NEVER = frozenset({EventKind.EVALUATION, EventKind.COMMAND})
#: Nobody may miss whether it trades at all.
_ALWAYS = frozenset({EventKind.BLOCK, EventKind.FLATTEN, EventKind.RUN, EventKind.SETTING})
#: Kinds without a wish of their own.
_LIKE = {EventKind.CARRY: EventKind.SESSION}


class _Outbox(Protocol):
    def put(self, reply: Reply, chats: Sequence[int], *, silent: bool = False, of: str = "") -> None: ...

    @property
    def newest(self) -> str: ...


class Pushes:
    """``label``: what stands under each message ("PAPER · simulated prices"), asked each time."""

    def __init__(
        self,
        outbox: _Outbox,
        users: Sequence[User],
        notifications: Notifications,
        label: Callable[[], str],
        *,
        log_error: Callable[[str], None] = _log.error,
    ) -> None:
        self._outbox, self._label, self._log_error = outbox, label, log_error
        self._users, self._notifications = tuple(users), notifications

    def reload(self, telegram: TelegramConfig) -> None:
        """Other people, or another wish for sound, from now on."""
        self._users, self._notifications = telegram.users, telegram.notifications

    def on_event(self, event: Event) -> None:
        """A message to every chat, once each; without sound where the settings say so, or to the chats of the
        person who caused it."""
        said = self._said(event)
        if not said:
            return
        loud, name = loudness(event, self._notifications), _name(event, said)
        own = [] if event.severity >= Severity.RISK else self._chats_of(event.data.get("by"))
        others = [user.chat_id for user in self._users if user.chat_id not in own]
        self._put(said, others, silent=loud == "silent", of="" if own else name)
        self._put(said, own, silent=True, of=name)

    def catch_up(self, diary: Iterable[Event]) -> None:
        """At a start: ``diary`` is the day's, newest first. An event is written there before it is put here, so a kill
        in between leaves one untold: the newest."""
        before = self._outbox.newest
        told = next(((event, said) for event in diary if (said := self._said(event))), None)
        if before and told and _name(*told) != before:
            self.on_event(told[0])

    def _said(self, event: Event) -> Reply | None:
        """What every chat is to read; None for what nobody is."""
        if loudness(event, self._notifications) == "off":
            return None
        try:
            return describe(event, self._label())
        except Exception as error:
            self._log_error(f"a {event.kind} event could not be put into words: {type(error).__name__}: {error}")
            return text(f"{event.kind.value} {event.symbol}: {event.text}" if event.text else "")

    def _put(self, said: Reply, chats: Sequence[int], *, silent: bool, of: str) -> None:
        if chats:
            self._outbox.put(said, tuple(dict.fromkeys(chats)), silent=silent, of=of)

    def _chats_of(self, who: object) -> list[int]:
        """The private chats of the person an event names; a group hears it like everybody."""
        if not isinstance(who, str) or not who:
            return []
        return [user.chat_id for user in self._users if user.name == who and user.chat_id == user.user_id]


def _name(event: Event, said: Reply) -> str:
    """The same for an event and for what the diary gives back of it."""
    first_line = mask_text(said.to_plain().partition("\n")[0])
    return f"{event.ts_ns}-{zlib.crc32(first_line.encode()):08x}"


def loudness(event: Event, wishes: Notifications) -> Loudness:
    """Risk always comes with sound, and so does what says whether it trades; the rest as people wish."""
    if event.severity <= Severity.DEBUG or event.kind in _NEVER:
        return "off"
    missing_stop = event.kind is EventKind.STOP and event.data.get("state") == "missing"
    if event.severity >= Severity.RISK or event.kind in _ALWAYS or missing_stop:
        return "on"
    wish: Loudness = getattr(wishes, _LIKE.get(event.kind, event.kind).value)
    return wish
