"""How many commands one person may give: a stolen phone or a stuck script must not keep the bot from others."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["ALWAYS", "Pace"]

#: What lowers risk, and its end, never waits for anything.
ALWAYS = frozenset({"pause", "resume", "flatten"})


@dataclass(slots=True)
class _Purse:
    left: float
    at: float
    told: bool = False


class Pace:
    """A minute's commands at once, then one after the other. ``per_minute`` is asked each time, ``steady`` gives
    seconds that always advance."""

    def __init__(self, per_minute: Callable[[], int], steady: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._steady = per_minute, steady
        self._purses: dict[int, _Purse] = {}

    def passes(self, user_id: int, name: str) -> bool:
        """Whether this command of this person may be done now; ``name`` is the command's."""
        if name in ALWAYS:
            return True
        most, now = self._per_minute(), self._steady()
        purse = self._purses.setdefault(user_id, _Purse(most, now))
        purse.left = min(most, purse.left + (now - purse.at) * most / 60.0)
        purse.at = now
        if purse.left < 1.0:
            return False
        purse.left, purse.told = purse.left - 1.0, False
        return True

    def untold(self, user_id: int) -> bool:
        """True once for each time that somebody ran out: an answer to every one of a flood would be a flood."""
        purse = self._purses.get(user_id)
        if purse is None or purse.told:
            return False
        purse.told = True
        return True
