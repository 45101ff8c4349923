"""Who is let in from the phone: one function that every update passes before anything else happens.

Deny by default. A person is known by user id and chat id together: the right person in a wrong chat is a stranger.
Strangers hear nothing at all; the admins are told once in ten minutes of each, and a crowd of them costs neither memory
nor disk: what exceeds the limits is only counted. Who was blocked is a stranger of whom nobody is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from otrade_bot.config.models import User
from otrade_bot.control.auth import Role
from otrade_bot.control.commands import Heard
from otrade_bot.control.reply import Reply, bold, code, filled, italic, lines, text
from otrade_bot.control.words import many, short
from otrade_bot.core.lang import Language, speaking, t
from otrade_bot.core.masking import mask_text

__all__ = ["Caller", "Gate", "Knock", "headed"]

#: Strangers remembered at a time; each costs a few hundred bytes.
MOST_STRANGERS = 64

#: Alerts about strangers in one burst's time, whoever they are.
MOST_ALERTS = 5


@dataclass(frozen=True, slots=True)
class Caller:
    """Someone who was let in, in the chat where he is heard."""

    user_id: int
    chat_id: int
    name: str
    role: Role

    @property
    def session(self) -> str:
        """Names person and place: a confirmation holds for both together."""
        return f"telegram:{self.user_id}:{self.chat_id}"


@dataclass(frozen=True, slots=True)
class Knock:
    """Somebody at the door. ``user_id`` is None where Telegram names no person: channels, anonymous admins."""

    user_id: int | None
    chat_id: int | None
    name: str = ""
    line: str = ""
    what: str = "message"  #: or "button"
    aside: bool = False  #: talk in a group that is not meant for the bot
    topic: int | None = None  #: of a group that has topics; None: General, or no topics
    code: str = field(default="", repr=False)  #: of an invitation, from his own hand in a private chat


@dataclass(slots=True)
class _Stranger:
    since: float
    untold: int = 0


class Gate:
    """Lets in the users of telegram.json and nobody else.

    ``tell`` puts a message into the chats of the admins (the outbox's ``put``), ``log`` takes one masked line,
    ``audit`` the record, ``met`` who it was; all are called once a burst, and their failure changes no verdict.
    ``welcome`` judges an invitation, and has made its bearer a user (``reload``) where it says True. ``wall`` gives
    seconds that always advance, ``label`` the mode that stands on top of every message, ``spoken`` a chat's language.
    """

    def __init__(
        self,
        users: Iterable[User],
        *,
        tell: Callable[[Reply, Sequence[int]], None],
        log: Callable[[str], None] = lambda line: None,
        audit: Callable[[Heard], None] = lambda heard: None,
        met: Callable[[Knock], None] = lambda knock: None,
        welcome: Callable[[Knock], bool] = lambda knock: False,
        label: Callable[[], str] = str,
        spoken: Callable[[int], Language] = lambda chat: "en",
        wall: Callable[[], float] = time.monotonic,
        burst_s: float = 600.0,
    ) -> None:
        self.reload(users)
        self._welcome = welcome
        self._tell, self._log, self._audit, self._label = tell, log, audit, label
        self._met, self._wall, self._burst_s, self._spoken = met, wall, burst_s, spoken
        self._strangers: dict[tuple[int | None, int | None], _Stranger] = {}
        self._alerts: list[float] = []
        self._uncounted = 0

    def reload(self, users: Iterable[User]) -> None:
        """These and nobody else from now on."""
        known = tuple(users)
        heard = [user for user in known if not user.blocked]
        self._callers = {(user.user_id, user.chat_id): _caller(user) for user in heard}
        self._topics = {(user.user_id, user.chat_id): user.topic for user in heard}
        self._chats = {chat for _, chat in self._callers}
        self._blocked = {user.user_id for user in known if user.blocked}

    def allows(self, user_id: int | None, chat_id: int | None) -> Caller | None:
        """The caller of exactly this person in exactly this chat, else None."""
        if user_id is None or chat_id is None:
            return None
        return self._callers.get((user_id, chat_id))

    def passes(self, knock: Knock) -> Caller | None:
        """The one door. None: a stranger, who has been counted and is to be left without an answer; or somebody known
        who is not heard there, which is no news."""
        caller = self.allows(knock.user_id, knock.chat_id)
        if caller is not None:
            return caller if self._in_topic(caller, knock) else None
        if knock.user_id in self._blocked:
            return None
        if knock.code and knock.user_id == knock.chat_id and self._invited(knock):
            return self.allows(knock.user_id, knock.chat_id)
        if not (knock.aside and knock.chat_id in self._chats):
            self._refuse(knock)
        return None

    def current(self, caller: Caller) -> Caller | None:
        """Who he is by now: his command may have waited."""
        return self.allows(caller.user_id, caller.chat_id)

    def topic_of(self, chat_id: int) -> int | None:
        """The topic for what a group is told unasked: where all who are heard there are heard in one. None: General."""
        topics = {topic for (_, chat), topic in self._topics.items() if chat == chat_id}
        return _thread(topics.pop()) if len(topics) == 1 else None

    def _in_topic(self, caller: Caller, knock: Knock) -> bool:
        topic = self._topics[caller.user_id, caller.chat_id]
        return topic is None or _thread(topic) == _thread(knock.topic)

    def _invited(self, knock: Knock) -> bool:
        """What fails lets nobody in."""
        with suppress(Exception):
            return self._welcome(knock)
        return False

    @property
    def callers(self) -> tuple[Caller, ...]:
        """Everybody who is let in, once for each chat."""
        return tuple(self._callers.values())

    @property
    def admin_chats(self) -> tuple[int, ...]:
        """Each chat with an admin once; groups only where no admin has a chat of his own."""
        chats = dict.fromkeys(one.chat_id for one in self._callers.values() if one.role is Role.ADMIN)
        return tuple(chat for chat in chats if chat > 0) or tuple(chats)

    def tell_admins(self, said: Callable[[], Reply]) -> None:
        """Headed with the mode, in the language of each of their chats."""
        chats: dict[Language, list[int]] = {}
        for chat in self.admin_chats:
            chats.setdefault(self._spoken(chat), []).append(chat)
        for spoken, ones in chats.items():
            with speaking(spoken):
                self._tell(headed(self._label, said()), tuple(ones))

    def _refuse(self, knock: Knock) -> None:
        """Count; told is the first knock of a burst, with the number of those that were not told before."""
        now, key = self._wall(), (knock.user_id, knock.chat_id)
        known = self._strangers.get(key)
        if known is not None and now - known.since < self._burst_s:
            known.untold += 1
            return
        self._alerts = [at for at in self._alerts if now - at < self._burst_s]
        if len(self._alerts) >= MOST_ALERTS:
            self._uncounted += 1
            return
        self._alerts.append(now)
        untold = known.untold if known is not None else 0
        self._strangers.pop(key, None)
        self._make_room()
        self._strangers[key] = _Stranger(now)
        others, self._uncounted = self._uncounted, 0
        self._report(knock, untold, others, last=len(self._alerts) == MOST_ALERTS)

    def _make_room(self) -> None:
        """The longest known is forgotten first."""
        while len(self._strangers) >= MOST_STRANGERS:
            del self._strangers[next(iter(self._strangers))]

    def _report(self, knock: Knock, untold: int, others: int, *, last: bool) -> None:
        known = any(user == knock.user_id for user, _ in self._callers)

        def alert() -> Reply:
            return _alert(knock, untold, others, self._burst_s / 60, known=known, last=last)

        with speaking("en"):
            said = alert()
        plain = mask_text(" · ".join(" ".join(row.split()) for row in said.to_plain().splitlines()))
        heard = Heard(
            f"stranger {knock.user_id or 'without an id'}",
            None,
            f"telegram:{knock.user_id or ''}:{knock.chat_id or ''}",
            mask_text(short(knock.line, 200)),
            "",
            "stranger",
        )
        # What fails here must let nobody in and stop no poller.
        with suppress(Exception):
            self._log(plain)
        with suppress(Exception):
            self._audit(heard)
        with suppress(Exception):
            self._met(knock)
        with suppress(Exception):
            self.tell_admins(alert)


def _thread(topic: int | None) -> int | None:
    """Messages of the General topic, number 1, carry no number."""
    return None if topic == 1 else topic


def _caller(user: User) -> Caller:
    return Caller(user.user_id, user.chat_id, user.name or f"user {user.user_id}", Role.of(user.role))


def headed(label: Callable[[], str], said: Reply) -> Reply:
    """With the mode label on top, as every message has it; a label that fails is told as unknown."""
    try:
        top = label()
    except Exception:
        top = "MODE UNKNOWN"
    return lines(text(italic(top)), said) if top else said


def _alert(knock: Knock, untold: int, others: int, minutes: float, *, known: bool, last: bool) -> Reply:
    """Names and words of strangers are shortened, masked and escaped; ids are tap-to-copy."""
    who = mask_text(short(knock.name, 60)) or t("without a name")
    head = t("A stranger pressed a button") if knock.what == "button" else t("A stranger wrote to the bot")
    more = many(untold, t("1 more knock since the alert before."), t("{n} more knocks since the alert before."))
    unsaid = many(
        others, t("1 knock of others went untold meanwhile."), t("{n} knocks of others went untold meanwhile.")
    )
    return lines(
        bold(head),
        filled(t("{who} · user {user} · chat {chat}"), who=who, user=_id(knock.user_id), chat=_id(knock.chat_id)),
        filled(t("Said: {line}"), line=code(mask_text(short(knock.line, 80)))) if knock.line.strip() else "",
        t("This person may command from another chat, not from this one.") if known else "",
        t("Nothing was done and nothing was answered."),
        more if untold else "",
        unsaid if others else "",
        t("More strangers are only counted for the next {minutes} min.", minutes=f"{minutes:.0f}") if last else "",
    )


def _id(number: int | None) -> Reply:
    return code(str(number)) if number is not None else text(t("unknown"))
