"""/mute and /language: what one person is told, how loudly, and in which words. Risk is nobody's choice."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import Field

from otrade_bot.config.models import Loudness, Notifications
from otrade_bot.control.auth import Role
from otrade_bot.control.commands import Arguments, Command, Context
from otrade_bot.control.news.wishes import KINDS, People, Wishes
from otrade_bot.control.reply import Action, Part, Reply, bold, code, lines, text
from otrade_bot.control.words import ago, clock_text, day_text
from otrade_bot.core.clock import MINUTE, ist_date
from otrade_bot.core.errors import CommandException
from otrade_bot.core.lang import LANGUAGES, language, speaking, t

__all__ = ["MUTES", "LanguageChoice", "Mute", "hours_text"]

#: Shortest and longest snooze, minutes.
_SNOOZE = (1, 24 * 60)
_SPAN = re.compile(r"(\d{1,4}) ?(m|min|h)?")
_HOURS = re.compile(r"([01]?\d|2[0-3]):([0-5]\d) ?[-–] ?([01]?\d|2[0-3]):([0-5]\d)")
_LOUD: Mapping[str, Loudness] = {"on": "on", "loud": "on", "silent": "silent", "off": "off"}


class Mute(Arguments):
    """A kind of message and how loud it is to be; or ``quiet`` with hours, ``snooze`` with a span, ``reset``."""

    what: str = Field("", max_length=20)
    how: str = Field("", max_length=30)


class LanguageChoice(Arguments):
    """The language by its code."""

    code: str = Field("", max_length=20)


async def _mute(context: Context, arguments: Arguments) -> Reply:
    assert isinstance(arguments, Mute)
    people, what, how = _people(context), arguments.what.lower(), arguments.how.lower()
    if not what:
        return _shown(context, people)
    if what in _ACTS:
        changes = _ACTS[what](how)
    elif what in KINDS:
        changes = {"kinds": _kinds(people.wishes(context.user_id), what, how)}
    else:
        raise CommandException(_usage(what))
    unsaved = people.wish(context.user_id, **changes)
    return lines(_shown(context, people), unsaved)


def _people(context: Context) -> People:
    if context.wishes is None or not context.user_id:
        raise CommandException(t("This is for the phone: at the terminal everything is shown."))
    return context.wishes


def _usage(what: str) -> str:
    if what in ("risk", "block", "flatten", "run", "setting"):
        return t("Risk, blocks of entries, a flatten, start and stop always come, with sound.")
    kinds = ", ".join(KINDS)
    return t("{what} cannot be muted. It may be one of {kinds}; or quiet, snooze, reset.", what=what, kinds=kinds)


def _kinds(now: Wishes, kind: str, how: str) -> Mapping[str, Loudness]:
    """With this one changed; without a word it loses its sound."""
    loud = _LOUD.get(how or "silent")
    if loud is None:
        raise CommandException(t("{how} is not known; it may be loud, silent or off.", how=how))
    return {**now.kinds, kind: loud}


def _quiet(how: str) -> Mapping[str, Any]:
    if how == "off":
        return {"quiet": None}
    hours = _HOURS.fullmatch(how)
    if hours is None:
        raise CommandException(t("Quiet hours are written like 22:00-07:00, or off."))
    begin, begin_minute, end, end_minute = map(int, hours.groups())
    if (begin, begin_minute) == (end, end_minute):
        raise CommandException(t("Quiet hours have to end at another time than they begin."))
    return {"quiet": (begin * 60 + begin_minute, end * 60 + end_minute)}


def _snooze(how: str) -> Mapping[str, Any]:
    if how == "off":
        return {"snooze_ns": 0}
    span = _SPAN.fullmatch(how or "30m")
    minutes = int(span[1]) * (60 if span[2] == "h" else 1) if span else 0
    if not _SNOOZE[0] <= minutes <= _SNOOZE[1]:
        raise CommandException(t("A snooze is written like 30m or 2h, at most 24h, or off."))
    return {"snooze_ns": time.time_ns() + minutes * MINUTE}


def _reset(_: str) -> Mapping[str, Any]:
    return {"kinds": {}, "quiet": None, "snooze_ns": 0}


_ACTS: Mapping[str, Callable[[str], Mapping[str, Any]]] = {"quiet": _quiet, "snooze": _snooze, "reset": _reset}


def _shown(context: Context, people: People) -> Reply:
    """How it stands now, and what can be done about it."""
    wishes, now = people.wishes(context.user_id), time.time_ns()
    shown = lines(
        bold(t("What you are told")),
        *_by_loudness(people.settings(), wishes),
        t("Risk, blocks of entries, a flatten, start and stop always come, with sound."),
        t("Quiet hours: {hours}, without sound.", hours=hours_text(wishes)) if wishes.quiet else "",
        _snoozing(wishes, now),
        t("A group is as loud as one of its people wants it.") if ":-" in context.session else "",
        text(code("/mute fill silent"), " · ", code("/mute quiet 22:00-07:00"), " · ", code("/mute snooze 30m")),
    )
    if wishes.snooze_ns > now:
        buttons = [Action(t("End the snooze"), "/mute snooze off", edit=True)]
    else:
        buttons = [Action(t("Snooze 30 min"), "/mute snooze 30m", edit=True)]
    if wishes.kinds or wishes.quiet:
        buttons.append(Action(t("Back to the settings"), "/mute reset", edit=True))
    return Reply(shown.runs, tuple(buttons))


def _by_loudness(settings: Notifications, wishes: Wishes) -> list[Part]:
    """A line each for loud, silent and off."""
    heard: dict[Loudness, list[str]] = {"on": [], "silent": [], "off": []}
    for kind in KINDS:
        loud: Loudness = wishes.kinds.get(kind, getattr(settings, kind))
        heard[loud].append(kind)
    names = {"on": t("With sound:"), "silent": t("Without sound:"), "off": t("Not at all:")}
    return [text(names[loud], " ", ", ".join(kinds)) for loud, kinds in heard.items() if kinds]


def _snoozing(wishes: Wishes, now_ns: int) -> str:
    if wishes.snooze_ns <= now_ns:
        return ""
    until = clock_text(wishes.snooze_ns)[:5]
    if ist_date(wishes.snooze_ns) != ist_date(now_ns):
        until = f"{day_text(wishes.snooze_ns)} {until}"
    left = ago(wishes.snooze_ns - now_ns)
    return t("Snoozed until {until}, for {left} more: nothing but risk makes a sound.", until=until, left=left)


def hours_text(wishes: Wishes) -> str:
    """'22:00-07:00'; empty where there are none."""
    if wishes.quiet is None:
        return ""
    begin, end = wishes.quiet
    return f"{begin // 60:02d}:{begin % 60:02d}-{end // 60:02d}:{end % 60:02d}"


async def _language(context: Context, arguments: Arguments) -> Reply:
    assert isinstance(arguments, LanguageChoice)
    people = _people(context)
    wanted = next((one for one, name in LANGUAGES.items() if arguments.code.lower() in (one, name.lower())), None)
    if arguments.code and wanted is None:
        said = t("{code} is not spoken here; it may be {allowed}.", code=arguments.code, allowed=", ".join(LANGUAGES))
        raise CommandException(said)
    if wanted is None:
        return _spoken()
    unsaved = people.wish(context.user_id, language=wanted)
    with speaking(wanted):
        return lines(t("From now on you are told in {language}.", language=LANGUAGES[wanted]), unsaved)


def _spoken() -> Reply:
    others = [one for one in LANGUAGES if one != language()]
    said = t("You are told in {language}.", language=LANGUAGES[language()])
    buttons = (Action(LANGUAGES[one], f"/language {one}") for one in others)
    return Reply(text(said, " ", *(code(f"/language {one}") for one in others)).runs, tuple(buttons))


MUTES = (
    Command(
        "mute", Role.VIEWER, "what you are told, and how loudly", _mute, Mute,
        "[KIND loud|silent|off] [quiet 22:00-07:00] [snooze 30m] [reset]",
    ),
    Command("language", Role.VIEWER, "the language you are told in", _language, LanguageChoice, "[en|hi]"),
)  # fmt: skip
