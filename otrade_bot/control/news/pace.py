"""How fast a chat may be written to: Telegram's limits are kept before it has to say so.

It takes about a message a second in a private chat, 20 a minute in a group, 30 a second in all; bursts are borne.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from otrade_bot.core.clock import SECOND

__all__ = ["Pace"]

#: What rounding leaves.
_NOTHING = 1e-6


@dataclass(slots=True)
class Pace:
    """So many at once, then one every ``every_s`` seconds. Wall time in ns; a clock set back costs nothing."""

    burst: int
    every_s: float
    gather_s: float = 0.0  #: what makes no sound waits so long for what belongs to it
    _spent: float = 0.0
    _at: int = 0

    @classmethod
    def of_chat(cls, chat_id: int) -> Self:
        """A group, whose limit answers to commands share, gets 18 in any minute at most."""
        return cls(10, 1.0) if chat_id > 0 else cls(3, 4.0)

    @classmethod
    def of_news(cls) -> Self:
        """Of what nobody has to read at once: what comes faster is read together, as order, stop and level of an
        entry do."""
        return cls(20, 5.0, gather_s=2.0)

    @classmethod
    def overall(cls) -> Self:
        return cls(20, 1 / 25)

    def wait_s(self, now_ns: int, beyond: int = 0) -> float:
        """Seconds until the next one may go; 0 for now. ``beyond``: as many more may go at once."""
        self._refill(now_ns)
        over = self._spent + 1 - self.burst - beyond
        return over * self.every_s if over > _NOTHING else 0.0

    def take(self, now_ns: int) -> None:
        """One goes."""
        self._refill(now_ns)
        self._spent += 1

    def drain(self, now_ns: int) -> None:
        """Telegram says that it was too much."""
        self._refill(now_ns)
        self._spent = max(self._spent, float(self.burst))

    def _refill(self, now_ns: int) -> None:
        passed, self._at = max(0, now_ns - self._at) / SECOND, now_ns
        self._spent = max(0.0, self._spent - passed / self.every_s) if self.every_s else 0.0
