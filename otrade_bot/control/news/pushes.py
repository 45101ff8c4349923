"""What the phone is told unasked: an observer of events that fills the outbox, in each chat's language and as loud as
its people wish.

Runs inside the trading path and never raises: the engine removes an observer that does.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from otrade_bot.config.models import Loudness, Notifications, TelegramConfig, User
from otrade_bot.control.news.entry import LaneName, What
from otrade_bot.control.news.notices import describe
from otrade_bot.control.news.outbox import Parcel
from otrade_bot.control.news.wishes import NONE, People
from otrade_bot.control.reply import Reply, text
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.lang import Language, speaking
from otrade_bot.core.masking import mask_text

__all__ = ["Pushes", "lane_of", "loudness"]

_log = logging.getLogger("otrade.system")

#: For the journal alone. Whoever gave a command has its answer.
_NEVER = frozenset({EventKind.EVALUATION, EventKind.COMMAND})
#: Nobody may miss whether it trades at all.
_ALWAYS = frozenset({EventKind.BLOCK, EventKind.FLATTEN, EventKind.RUN, EventKind.SETTING})
#: What comes often, and may be read together where much of it waits.
_NEWS = frozenset(
    {EventKind.SIGNAL, EventKind.ORDER, EventKind.STOP, EventKind.REFUSAL, EventKind.ALERT, EventKind.RECOVERY}
)
_RANK: Mapping[Loudness, int] = {"off": 0, "silent": 1, "on": 2}


class _Outbox(Protocol):
    def put_all(self, parcels: Sequence[Parcel], *, of: str = "") -> None: ...

    @property
    def newest(self) -> str: ...


class Pushes:
    """``label``: what stands under each message ("PAPER · simulated prices"), asked each time. ``people``: what each
    person chose; without it telegram.json alone holds."""

    def __init__(
        self,
        outbox: _Outbox,
        users: Sequence[User],
        notifications: Notifications,
        label: Callable[[], str],
        *,
        people: People | None = None,
        log_error: Callable[[str], None] = _log.error,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._outbox, self._label, self._log_error = outbox, label, log_error
        self._users, self._notifications = tuple(users), notifications
        self._people, self._wall_ns = people, wall_ns

    def reload(self, telegram: TelegramConfig) -> None:
        """Other people, or another wish for sound, from now on."""
        self._users, self._notifications = telegram.users, telegram.notifications

    def on_event(self, event: Event) -> None:
        """A message to every chat, once each, in its language; without sound where its people say so, or to the chats
        of the person who caused it."""
        parcels = list(self._parcels(event))
        if parcels:
            english = next((one.reply for one in parcels if one.language == "en"), None)
            self._outbox.put_all(parcels, of=self._name(event, english))

    def beside(self, event: Event, said: Reply) -> None:
        """A picture after an event's words: to whoever is told of it, without sound."""
        chats = [chat for chat, users in self._chats().items() if self._loudness(event, chat, users) != "off"]
        if chats:
            self._outbox.put_all([Parcel(said, chats, True, lane_of(event, said))])

    def catch_up(self, diary: Iterable[Event]) -> None:
        """At a start: ``diary`` is the day's, newest first. An event is written there before it is put here, so a kill
        in between leaves one untold: the newest."""
        before = self._outbox.newest
        if not before:
            return
        for event in diary:
            if self._name(event) == before:
                return
            if any(self._parcels(event)):
                self.on_event(event)
                return

    def _parcels(self, event: Event) -> Iterator[Parcel]:
        """One for each language and loudness, with sound first."""
        chats: dict[tuple[bool, Language], list[int]] = {}
        for chat, users in self._chats().items():
            loud = self._loudness(event, chat, users)
            if loud != "off":
                chats.setdefault((loud == "silent", self._language(users[0])), []).append(chat)
        what = What(event.kind.value, event.symbol, event.ts_ns)
        for silent, language in sorted(chats):
            said = self._said(event, language)
            if said:
                yield Parcel(said, chats[silent, language], silent, lane_of(event, said), what, language)

    def _chats(self) -> dict[int, list[User]]:
        """Who is heard in each; a group's first one decides its language."""
        chats: dict[int, list[User]] = {}
        for user in self._users:
            if not user.blocked:
                chats.setdefault(user.chat_id, []).append(user)
        return chats

    def _loudness(self, event: Event, chat: int, users: Sequence[User]) -> Loudness:
        """In a group as loud as one of its people wants it. Who did it is not rung up for it in private."""
        loud = _forced(event) or self._loudest(event.kind, users)
        if loud == "on" and _closes(event) and self._loudest(EventKind.TRADE, users) == "on":
            return "silent"  # the round trip, with its result, rings a moment later
        by = event.data.get("by")
        own = event.severity < Severity.RISK and bool(by) and any(
            user.name == by and user.user_id == chat for user in users
        )  # fmt: skip
        return "silent" if own and loud == "on" else loud

    def _loudest(self, kind: EventKind, users: Sequence[User]) -> Loudness:
        return max((self._wish(kind, user) for user in users), key=_RANK.__getitem__)

    def _wish(self, kind: EventKind, user: User) -> Loudness:
        wishes = self._people.wishes(user.user_id) if self._people else NONE
        return wishes.loudness(kind.value, self._notifications, self._wall_ns())

    def _language(self, user: User) -> Language:
        return self._people.language(user.user_id) if self._people else user.language

    def _said(self, event: Event, language: Language) -> Reply | None:
        """In words; None for what nobody is told."""
        with speaking(language):
            try:
                return describe(event, self._label())
            except Exception as error:
                self._log_error(f"a {event.kind} event could not be put into words: {type(error).__name__}: {error}")
                return text(f"{event.kind.value} {event.symbol}: {event.text}" if event.text else "")

    def _name(self, event: Event, english: Reply | None = None) -> str:
        """The same for an event and for what the diary gives back of it; '' for what nobody is told."""
        said = english or (None if _forced(event) == "off" else self._said(event, "en"))
        if not said:
            return ""
        first_line = mask_text(said.to_plain().partition("\n")[0])
        return f"{event.ts_ns}-{zlib.crc32(first_line.encode()):08x}"


def lane_of(event: Event, said: Reply) -> LaneName:
    """``first``: risk, whether it trades, fills and closed trades, what waits for an answer, what comes once a day."""
    grave = _forced(event) == "on" or bool(said.actions)
    return "news" if event.kind in _NEWS and not grave else "first"


def _forced(event: Event) -> Loudness | None:
    """What nobody can choose: risk always comes with sound, and so does what says whether it trades, and a question
    whose answer is waited for. None: as people wish."""
    if event.severity <= Severity.DEBUG or event.kind in _NEVER:
        return "off"
    missing_stop = event.kind is EventKind.STOP and event.data.get("state") == "missing"
    asks = event.kind is EventKind.SIGNAL and bool(event.data.get("ref"))  # an answer counts for seconds
    return "on" if event.severity >= Severity.RISK or event.kind in _ALWAYS or missing_stop or asks else None


def _closes(event: Event) -> bool:
    """The last fill of an exit: what it brought is told with the round trip."""
    data = event.data
    return event.kind is EventKind.FILL and data.get("leg") == "exit" and data.get("quantity") == data.get("ordered")


def loudness(event: Event, wishes: Notifications) -> Loudness:
    """By the settings alone."""
    return _forced(event) or NONE.loudness(event.kind.value, wishes, 0)
