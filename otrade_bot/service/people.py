"""Who is heard, while it runs: telegram.json, the gate, the pushes and the outbox say the same at any moment.

Every change is judged against the file as it is now (somebody may have edited it), written with every other byte kept,
and then in force everywhere, all without waiting for anything in between: two who come by one link are one after the
other, and only the first one is let in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from otrade_bot.config import ConfigManager, config_dir, environment
from otrade_bot.config.models import User
from otrade_bot.control.auth import Role
from otrade_bot.control.commands import Heard
from otrade_bot.control.people import Invited, Person
from otrade_bot.control.phone.gate import Knock
from otrade_bot.control.reply import Action, Reply, Told, bold, code, lines, text
from otrade_bot.control.stepup import Memory, Seeds, StepUp
from otrade_bot.control.words import short
from otrade_bot.core.errors import CommandException, ConfigException
from otrade_bot.core.lang import speaking, t
from otrade_bot.core.masking import mask_text
from otrade_bot.core.onetime import INVITED
from otrade_bot.service.invitations import Invitation, Invitations

__all__ = ["FILE", "KEY", "People", "active"]

FILE, KEY = "telegram.json", "users"

#: Told of everybody who is known from now on, blocked ones too.
Follower = Callable[[tuple[User, ...]], None]


def active(users: Sequence[User]) -> tuple[User, ...]:
    """Those who are heard and told."""
    return tuple(user for user in users if not user.blocked)


class People:
    """``wall`` gives seconds since the epoch. To be set by whoever talks: ``tell`` puts a message before the admins,
    ``audit`` keeps a record, ``username`` is the bot's name at Telegram ('' until Telegram has said it)."""

    def __init__(
        self,
        users: Sequence[User],
        seeds: Seeds,
        memory: Memory,
        *,
        log: Callable[[str], None] = lambda line: None,
        manager: Callable[[], ConfigManager] = lambda: ConfigManager(config_dir(), environment()),
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.users = tuple(users)
        self.username: Callable[[], str] = str
        self.tell: Callable[[Told], None] = lambda said: None
        self.audit: Callable[[Heard], None] = lambda heard: None
        self.dismissed: Callable[[int], None] = lambda user_id: None  #: told of who is no admin any more
        self._seeds, self._log = seeds, log
        self._manager, self._wall = manager, wall
        self._invitations = Invitations(memory, wall)
        self._followers: list[Follower] = []
        self.stepup = StepUp(seeds, memory, tell=lambda said: self.tell(said), wall=wall)

    def follow(self, follower: Follower) -> None:
        """Called now, and again at each change."""
        self._followers.append(follower)
        follower(self.users)

    def take(self, users: Sequence[User]) -> None:
        """These are known from now on: as telegram.json says. Who has another role than before, or none, proves himself
        anew, and what he was invited to give is nobody's any more."""
        before, self.users = self.users, tuple(users)
        for user_id in {user.user_id for user in before}:
            if _power(before, user_id) > (left := _power(self.users, user_id)):
                self.stepup.forget(user_id)
                if left < Role.ADMIN:
                    self._withdraw(user_id)
                    self.dismissed(user_id)
        for follower in self._followers:
            follower(self.users)

    # What /users asks.

    def people(self) -> list[Person]:
        return [self._person(user_id) for user_id in dict.fromkeys(user.user_id for user in self.users)]

    def invited(self) -> list[Invited]:
        now = self._wall()
        return [Invited(one.name, Role.of(one.role), (one.until - now) / 3600) for one in self._invitations.open()]

    def invite(self, role: Role, name: str, by: int) -> Invited:
        username = self.username()
        if not username:
            raise CommandException(t("Telegram has not told the bot's own name yet: try again in a moment."))
        self._file()  # a file that nobody could be written into is said now
        word = self._invitations.make(role.word, name, by)
        names = {"who": self._called(by), "name": name, "role": role.word}
        self._news(by, lambda: t("{who} has invited {name} as {role}", **names))
        return replace(self.invited()[-1], link=f"https://t.me/{username}?start={word}")

    def cancel(self, name: str) -> int:
        return self._invitations.drop(lambda one: not one.taken and one.name.casefold() == name.casefold())

    def set_role(self, user_id: int, role: Role, by: int) -> None:
        if role < Role.ADMIN:
            self._demand_other(user_id, by, t("You cannot lower your own role: another admin can."))
        names = {"who": self._called(by), "name": self._called(user_id), "role": role.word}
        self._change(user_id, lambda row: {**row, "role": role.word})
        self._news(by, lambda: t("{who} has made {name} {role}", **names))

    def set_blocked(self, user_id: int, blocked: bool, by: int) -> None:
        self._demand_other(user_id, by, t("You cannot block yourself: another admin can."))
        names = {"who": self._called(by), "name": self._called(user_id)}

        def said() -> str:
            return t("{who} has blocked {name}", **names) if blocked else t("{who} lets {name} in again", **names)

        self._change(user_id, lambda row: {**row, "blocked": blocked})
        self._news(by, said)

    def remove(self, user_id: int, by: int) -> None:
        self._demand_other(user_id, by, t("You cannot remove yourself: another admin can."))
        names = {"who": self._called(by), "name": self._called(user_id)}
        self._change(user_id, lambda row: None)
        self._news(by, lambda: t("{who} has removed {name}", **names))

    def _news(self, by: int, said: Callable[[], str]) -> None:
        """Where there is another admin, he hears of it: whoever did it may have been somebody with a stolen phone."""
        with speaking("en"):
            self._log(f"people: {said()}")
        if any(user.role == "admin" and user.user_id != by for user in active(self.users)):
            self.tell(lambda: bold(said()))

    def _called(self, user_id: int) -> str:
        named = (user.name for user in self.users if user.user_id == user_id and user.name)
        return next(named, f"user {user_id}") if user_id else "terminal"

    # Who comes by a link.

    def welcome(self, knock: Knock) -> bool:
        """Whether the bearer of this code is a user from now on. Burnt first, then written, then in force."""
        user_id = knock.user_id
        if user_id is None or any(user.user_id == user_id and user.blocked for user in self.users):
            return False
        try:
            key = self._invitations.burn(knock.code, user_id)
            return bool(key) and self._let_in(key, self._invitations.taken()[key], knock.name)
        except (CommandException, ConfigException) as error:
            self._failed(error)
            return False

    def finish(self) -> None:
        """At a start: who had burnt an invitation when a kill came is let in now. What somebody has made who is no
        admin any more, as telegram.json was edited meanwhile, opens nothing."""
        for maker in {one.by for one in self._invitations.open()}:
            if not _may_invite(self.users, maker):
                self._withdraw(maker)
        for key, one in self._invitations.taken().items():
            try:
                self._let_in(key, one, one.name)
            except (CommandException, ConfigException) as error:
                self._failed(error)

    def _let_in(self, key: str, one: Invitation, called: str) -> bool:
        rows, known = self._file()
        if any(user.user_id == one.taken and user.blocked for user in known):
            return False
        if not _may_invite(known, one.by):
            self._invitations.end(key)
            return False
        if not any((user.user_id, user.chat_id) == (one.taken, one.taken) for user in known):
            row = {"user_id": one.taken, "chat_id": one.taken, "role": one.role, "name": one.name}
            self._write([*rows, row])
        else:
            self.take(known)
        self._invitations.end(key)
        self._say_joined(one, called)
        return True

    def _say_joined(self, one: Invitation, called: str) -> None:
        heard = Heard(one.name, Role.of(one.role), f"telegram:{one.taken}:{one.taken}", INVITED, "start", "joined")
        self._log(f"people: {one.name}, user {one.taken}, came by an invitation and is {one.role}")
        with suppress(Exception):  # no desk is open yet: the log has it
            self.audit(heard)
        who = mask_text(short(called, 60))

        def joined() -> Reply:
            said = lines(
                bold(t("{name} has come by your link and is {role}", name=one.name, role=one.role)),
                text(t("At Telegram: {who}", who=who), " · ", code(str(one.taken))),
                text(t("Somebody else?"), " ", code(f"/users block {one.taken}")),
            )
            return Reply(said.runs, (Action(t("Block {name}", name=one.name), f"/users block {one.taken}"),))

        self.tell(joined)

    def _failed(self, error: Exception) -> None:
        self._log(f"people: an invitation could not be redeemed: {error}")
        self.tell(
            lambda: lines(bold(t("An invitation could not be redeemed")), str(error),
                          t("Its bearer can open the link again once that is mended."))
        )  # fmt: skip

    # The file.

    def _file(self) -> tuple[list[dict[str, Any]], tuple[User, ...]]:
        """Users as they stand in the file, and as they are read; one beside the other. Raises ConfigException."""
        manager = self._manager()
        known = manager.load(create=False).telegram.users
        rows = manager.written(FILE, KEY)
        return (list(rows) if isinstance(rows, list) else []), known

    def _change(self, user_id: int, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        rows, known = self._file()
        if all(user.user_id != user_id for user in known):
            raise CommandException(t("That user is not in {file} any more.", file=FILE))
        made = [change(row) if user.user_id == user_id else row for row, user in zip(rows, known, strict=True)]
        left = [row for row in made if row is not None]
        if not any(row.get("role") == "admin" and not row.get("blocked") for row in left):
            raise CommandException(t("That would leave no admin. Nothing was changed."))
        self._write(left)

    def _write(self, rows: list[dict[str, Any]]) -> None:
        manager = self._manager()
        manager.put(FILE, KEY, rows)
        self.take(manager.current.telegram.users)

    def _withdraw(self, user_id: int) -> None:
        try:
            self._invitations.drop(lambda one: one.by == user_id and not one.taken)
        except CommandException as error:
            self._log(f"people: invitations may come back after a restart: {error}")

    def _person(self, user_id: int) -> Person:
        own = [user for user in self.users if user.user_id == user_id]
        try:
            enrolled = self._seeds.enrolled(user_id)
        except ConfigException:
            enrolled = False
        role = max(Role.of(user.role) for user in own)
        return Person(user_id, self._called(user_id), role, tuple(user.chat_id for user in own),
                      all(user.blocked for user in own), enrolled)  # fmt: skip

    def _demand_other(self, user_id: int, by: int, why: str) -> None:
        if by == user_id:
            raise CommandException(why)


def _may_invite(users: Sequence[User], maker: int) -> bool:
    """``maker`` 0: it was made at the machine."""
    return maker == 0 or _power(users, maker) == Role.ADMIN


def _power(users: Sequence[User], user_id: int) -> int:
    """His highest role where he is heard; 0 where he is not."""
    return max((Role.of(user.role) for user in active(users) if user.user_id == user_id), default=0)
