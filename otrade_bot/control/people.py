"""Who is heard, as /users sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from otrade_bot.control.auth import Role

__all__ = ["Invited", "PeopleDesk", "Person"]


@dataclass(frozen=True, slots=True)
class Person:
    """One human, in all the chats where he is heard."""

    user_id: int
    name: str
    role: Role  #: the highest one, where they differ
    chats: tuple[int, ...]
    blocked: bool
    enrolled: bool  #: has an authenticator


@dataclass(frozen=True, slots=True)
class Invited:
    """An open invitation. ``link`` is there for whoever has just made it alone."""

    name: str
    role: Role
    hours: float  #: left
    link: str = field(default="", repr=False)


class PeopleDesk(Protocol):
    """Who is heard. Changes are in telegram.json and in force at return; else CommandException or ConfigException, and
    nothing has changed. ``by``: user id of who wants it, 0 at the machine."""

    def people(self) -> Sequence[Person]: ...

    def invited(self) -> Sequence[Invited]: ...

    def invite(self, role: Role, name: str, by: int) -> Invited: ...

    def cancel(self, name: str) -> int: ...

    def set_role(self, user_id: int, role: Role, by: int) -> None: ...

    def set_blocked(self, user_id: int, blocked: bool, by: int) -> None: ...

    def remove(self, user_id: int, by: int) -> None: ...
