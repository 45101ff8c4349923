"""Invitations: a one-time code in a link that makes whoever opens it first a user.

``control.json`` keeps the hash of each code, never the code. That one is burnt, and by whom, is on the disk before
anybody is let in: a kill in between costs nothing, and opens to nobody else.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

from otrade_bot.config.models import User
from otrade_bot.control.stepup import Memory
from otrade_bot.core.errors import CommandException
from otrade_bot.core.lang import t

__all__ = ["KEY", "LASTS_S", "Invitation", "Invitations"]

KEY = "invitations"
LASTS_S = 24 * 3600.0
#: Open ones at a time.
MOST = 20
_ROLES = get_args(User.model_fields["role"].annotation)


@dataclass(frozen=True, slots=True)
class Invitation:
    """``by``: user id of who invited, 0 at the machine. ``until``: seconds since the epoch. ``taken``: the user id that
    has burnt it; 0 = open."""

    role: str
    name: str
    by: int
    until: float
    taken: int = 0


class Invitations:
    """Nothing in here waits. ``wall`` gives seconds since the epoch."""

    def __init__(self, memory: Memory, wall: Callable[[], float] = time.time) -> None:
        self._memory, self._wall = memory, wall

    def open(self) -> list[Invitation]:
        """Those that nobody has taken yet, the oldest first."""
        return [one for one in self._kept().values() if not one.taken]

    def taken(self) -> dict[str, Invitation]:
        """Those whose bearer has not been let in yet, by hash."""
        return {key: one for key, one in self._kept().items() if one.taken}

    def make(self, role: str, name: str, by: int) -> str:
        """A new code. Raises CommandException where it cannot be kept."""
        kept, word = self._kept(), secrets.token_urlsafe(18)
        if len(kept) >= MOST:
            raise CommandException(t("{n} invitations are open already: withdraw one.", n=MOST))
        kept[_hash(word)] = Invitation(role, name, by, self._wall() + LASTS_S)
        if lost := self._keep(kept):
            kept.pop(_hash(word))
            self._keep(kept)
            raise CommandException(t("Nobody was invited: {why}", why=lost))
        return word

    def burn(self, word: str, user_id: int) -> str:
        """For this person and nobody else from now on, on the disk at return; its hash, '' where there is none for him.
        Raises CommandException where the disk does not take it."""
        kept, given = self._kept(), _hash(word)
        found = [key for key in kept if hmac.compare_digest(key, given)]
        if not found or kept[found[0]].taken not in (0, user_id):
            return ""
        kept[found[0]] = replace(kept[found[0]], taken=user_id)
        if lost := self._keep(kept):
            raise CommandException(lost)
        return found[0]

    def end(self, key: str) -> None:
        """Its bearer is in."""
        kept = self._kept()
        if kept.pop(key, None) is not None:
            self._keep(kept)

    def drop(self, wanted: Callable[[Invitation], bool]) -> int:
        """Withdraw those; how many."""
        kept = self._kept()
        left = {key: one for key, one in kept.items() if not wanted(one)}
        if len(left) < len(kept) and (lost := self._keep(left)):
            raise CommandException(lost)
        return len(kept) - len(left)

    def _kept(self) -> dict[str, Invitation]:
        """What has expired is left out, and so is what is no invitation."""
        now = self._wall()
        made = {key: _invitation(value) for key, value in self._memory.part(KEY).items()}
        return {key: one for key, one in made.items() if one is not None and now < one.until <= now + LASTS_S}

    def _keep(self, kept: dict[str, Invitation]) -> str:
        return self._memory.keep_part(KEY, {key: asdict(one) for key, one in kept.items()})


def _hash(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()


def _invitation(value: object) -> Invitation | None:
    if not isinstance(value, dict):
        return None
    role, name, by, until, taken = (value.get(key) for key in ("role", "name", "by", "until", "taken"))
    kinds: Any = ((role, str), (name, str), (by, int), (until, int | float), (taken, int))
    if role not in _ROLES or any(not isinstance(one, kind) or isinstance(one, bool) for one, kind in kinds):
        return None
    return Invitation(*(one for one, _ in kinds))
