"""What the phone is told unasked: an observer of events that fills the outbox.

Runs inside the trading path and never raises: the engine removes an observer that does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from otrade_bot.config.models import Loudness, Notifications, TelegramConfig, User
from otrade_bot.control.notices import describe
from otrade_bot.control.reply import Reply, text
from otrade_bot.core.events import Event, EventKind, Severity

__all__ = ["Pushes", "loudness"]

_log = logging.getLogger("otrade.system")

#: For the journal alone. Whoever gave a command has its answer.
_NEVER = frozenset({EventKind.EVALUATION, EventKind.COMMAND})
#: Nobody may miss whether it trades at all.
_ALWAYS = frozenset({EventKind.BLOCK, EventKind.FLATTEN, EventKind.RUN})
#: Kinds without a wish of their own.
_LIKE = {EventKind.CARRY: EventKind.SESSION}


class _Outbox(Protocol):
    def put(self, reply: Reply, chats: Sequence[int], *, silent: bool = False) -> None: ...


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
        loud = loudness(event, self._notifications)
        if loud == "off":
            return
        try:
            said = describe(event, self._label())
        except Exception as error:
            self._log_error(f"a {event.kind} event could not be put into words: {type(error).__name__}: {error}")
            said = text(f"{event.kind.value} {event.symbol}: {event.text}" if event.text else "")
        if not said:
            return
        own = [] if event.severity >= Severity.RISK else self._chats_of(event.data.get("by"))
        others = [user.chat_id for user in self._users if user.chat_id not in own]
        self._put(said, others, silent=loud == "silent")
        self._put(said, own, silent=True)

    def _put(self, said: Reply, chats: Sequence[int], *, silent: bool) -> None:
        if chats:
            self._outbox.put(said, tuple(dict.fromkeys(chats)), silent=silent)

    def _chats_of(self, who: object) -> list[int]:
        """The private chats of the person an event names; a group hears it like everybody."""
        if not isinstance(who, str) or not who:
            return []
        return [user.chat_id for user in self._users if user.name == who and user.chat_id == user.user_id]


def loudness(event: Event, wishes: Notifications) -> Loudness:
    """Risk always comes with sound, and so does what says whether it trades; the rest as people wish."""
    if event.severity <= Severity.DEBUG or event.kind in _NEVER:
        return "off"
    missing_stop = event.kind is EventKind.STOP and event.data.get("state") == "missing"
    if event.severity >= Severity.RISK or event.kind in _ALWAYS or missing_stop:
        return "on"
    wish: Loudness = getattr(wishes, _LIKE.get(event.kind, event.kind).value)
    return wish
