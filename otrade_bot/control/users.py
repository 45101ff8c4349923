"""/users: who commands this bot, and who shall. What gives power, or takes it from an admin, wants a one-time code."""

from __future__ import annotations

import unicodedata
from typing import Literal
from urllib.parse import quote

from pydantic import field_validator

from otrade_bot.control.auth import Role
from otrade_bot.control.commands import Arguments, Command, Context
from otrade_bot.control.people import PeopleDesk, Person
from otrade_bot.control.reply import Action, Reply, bold, code, filled, lines, text
from otrade_bot.control.words import many
from otrade_bot.core.errors import CommandException, ConfigException
from otrade_bot.core.lang import t

__all__ = ["USERS", "Users", "named"]

LONGEST_NAME = 32
TAKES = "[invite ROLE NAME|role NAME ROLE|block NAME|unblock NAME|remove NAME|cancel NAME]"


class Users(Arguments):
    """What to do, and with whom."""

    do: Literal["invite", "role", "block", "unblock", "remove", "cancel", ""] = ""
    whom: str = ""

    @field_validator("do", mode="before")
    @classmethod
    def _any_case(cls, word: object) -> object:
        return word.lower() if isinstance(word, str) else word


async def users(context: Context, arguments: Arguments) -> Reply:
    """Nothing in here waits: what was judged still holds when the file is written."""
    assert isinstance(arguments, Users)
    desk = context.people
    if desk is None:
        raise CommandException(t("People cannot be changed here."))
    try:
        return _done(context, desk, arguments)
    except ConfigException as error:
        raise CommandException(t("Nothing was changed: {why}", why=error)) from error


def _done(context: Context, desk: PeopleDesk, given: Users) -> Reply:
    match given.do:
        case "":
            return _listed(desk)
        case "invite":
            return _invite(context, desk, given.whom)
        case "cancel":
            return _cancel(desk, named(given.whom))
        case "role":
            name, _, word = given.whom.rpartition(" ")
            return _role(context, desk, _person(desk, name), _role_of(word))
        case "remove":
            return _remove(context, desk, _person(desk, given.whom))
        case _:
            return _block(context, desk, _person(desk, given.whom), given.do == "block")


def _listed(desk: PeopleDesk) -> Reply:
    invited = desk.invited()
    return lines(
        bold(t("People")),
        *(_line(person) for person in desk.people()),
        bold(t("Invited")) if invited else "",
        *(
            t("{name} · {role} · the link counts for {hours} h", name=one.name, role=one.role.word,
              hours=f"{one.hours:.0f}")
            for one in invited
        ),
        text(code("/users invite viewer NAME"), " · ", code("/users block NAME")),
    )  # fmt: skip


def _line(person: Person) -> Reply:
    marks = [person.role.word]
    marks += [t("BLOCKED")] if person.blocked else []
    marks += [t("authenticator")] if person.enrolled else []
    marks += [many(len(groups), t("in 1 group"), t("in {n} groups"))] if (groups := _groups(person)) else []
    return text(bold(person.name), " · ", " · ".join(marks), " · ", code(str(person.user_id)))


def _groups(person: Person) -> list[int]:
    return [chat for chat in person.chats if chat < 0]


def _invite(context: Context, desk: PeopleDesk, words: str) -> Reply:
    word, _, rest = words.partition(" ")
    role, name = _role_of(word), named(rest)
    if context.session.rpartition(":")[2].startswith("-"):
        raise CommandException(t("Not in a group: everybody here could open the link. Write to the bot alone."))
    _demand_free(desk, name)
    what = t("Invite {name} as {role}", name=name, role=role.word)
    line = f"/users invite {role.word} {name}"
    if asked := context.prove(line, what):
        return asked
    made = desk.invite(role, name, context.user_id)
    if context.stepup is not None:  # one code, one link
        context.stepup.spend(context.session, line)
    said = lines(
        bold(t("{name} is invited as {role}.", name=name, role=role.word)),
        t("Send this link to {name}. Whoever opens it first is let in, once, within {hours} h:", name=name,
          hours=f"{made.hours:.0f}"),
        made.link,
        filled(t("You are told who came. {cancel} withdraws it."), cancel=code(f"/users cancel {name}")),
    )  # fmt: skip
    share = Action(t("Send the link"), "/users", url=f"https://t.me/share/url?url={quote(made.link, safe='')}")
    return Reply(said.runs, (share,) if context.session.startswith("telegram:") else ())


def _cancel(desk: PeopleDesk, name: str) -> Reply:
    if not desk.cancel(name):
        raise CommandException(t("No invitation of {name} is open.", name=name))
    return text(t("The invitation of {name} is withdrawn: its link opens nothing.", name=name))


def _role(context: Context, desk: PeopleDesk, person: Person, role: Role) -> Reply:
    if person.role is role:
        return text(t("{name} is {role} already.", name=person.name, role=role.word))
    what = t("Make {name} {role}", name=person.name, role=role.word)
    if asked := _proven(context, person, f"role {person.user_id} {role.word}", what, more=role > person.role):
        return asked
    desk.set_role(person.user_id, role, context.user_id)
    return bold(t("{name} is {role} from now on.", name=person.name, role=role.word))


def _block(context: Context, desk: PeopleDesk, person: Person, blocked: bool) -> Reply:
    word = "block" if blocked else "unblock"
    what = t("Block {name}", name=person.name) if blocked else t("Let {name} in again", name=person.name)
    if asked := _proven(context, person, f"{word} {person.user_id}", what, more=not blocked):
        return asked
    desk.set_blocked(person.user_id, blocked, context.user_id)
    if not blocked:
        return bold(t("{name} is heard again.", name=person.name))
    return lines(
        bold(t("{name} is blocked: not heard, not told, old buttons dead.", name=person.name)),
        filled(t("{unblock} lets this person in again."), unblock=code(f"/users unblock {person.user_id}")),
    )


def _remove(context: Context, desk: PeopleDesk, person: Person) -> Reply:
    what = t("Remove {name}", name=person.name)
    if asked := _proven(context, person, f"remove {person.user_id}", what, more=False):
        return asked
    desk.remove(person.user_id, context.user_id)
    return bold(t("{name} is no user any more.", name=person.name))


def _proven(context: Context, person: Person, line: str, what: str, *, more: bool) -> Reply | None:
    """Power is given, or taken from one who could stop us, with a code alone."""
    if more or person.role is Role.ADMIN:
        return context.prove(f"/users {line}", what)
    return None


def _person(desk: PeopleDesk, words: str) -> Person:
    """By name in any case, or by id. Raises CommandException."""
    wanted = words.strip()
    if not wanted:
        raise CommandException(t("Whom? A name, or the number after it: /users lists them."))
    everybody = desk.people()
    by_id = [one for one in everybody if str(one.user_id) == wanted]
    found = by_id or [one for one in everybody if one.name.casefold() == wanted.casefold()]
    if not found:
        raise CommandException(t("There is no user {name}: /users lists them.", name=wanted[:LONGEST_NAME]))
    if len(found) > 1:
        numbers = ", ".join(str(one.user_id) for one in found)
        raise CommandException(t("Which {name}? Say the number: {numbers}.", name=wanted, numbers=numbers))
    return found[0]


def _demand_free(desk: PeopleDesk, name: str) -> None:
    taken = [one.name for one in desk.people()] + [one.name for one in desk.invited()]
    if name.casefold() in {one.casefold() for one in taken}:
        raise CommandException(t("There is a {name} already: take another name.", name=name))


def _role_of(word: str) -> Role:
    try:
        return Role.of(word)
    except ValueError:
        raise CommandException(t("Which role? viewer, operator or admin.")) from None


def named(words: str) -> str:
    """A name as it stands in records and messages: nothing invisible, nothing that is taken for an id or for a word of
    ours. Raises CommandException."""
    name = unicodedata.normalize("NFC", " ".join(words.split()))
    plain = all(one == " " or unicodedata.category(one)[0] in "LMN" or one in "._-'" for one in name)
    if not name or len(name) > LONGEST_NAME or not plain or not unicodedata.category(name[0]).startswith("L"):
        raise CommandException(t("A name has 1 to {most} letters, digits, spaces, and begins with a letter.",
                                 most=LONGEST_NAME))  # fmt: skip
    if name.casefold() in ("terminal", "stranger", "supervisor"):
        raise CommandException(t("{name} is a word of the bot's own: take another name.", name=name))
    return name


USERS = Command("users", Role.ADMIN, "who commands the bot: invite, change, block", users, Users, TAKES)
