"""Second thoughts: a dangerous command is asked back, and the answer holds for what was shown alone."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum

__all__ = ["Confirmations", "Verdict"]


#: Open questions from which on those are forgotten that nobody can answer any more.
_MOST = 200


class Verdict(Enum):
    """What became of a yes."""

    CONFIRMED = "confirmed"
    NOTHING_ASKED = "nothing was asked"
    UNSEEN = "the question has not reached the chat yet"
    EXPIRED = "the question has expired"
    CHANGED = "what was shown is no longer so"


@dataclass(slots=True)
class _Question:
    nonce: str
    shown: Hashable
    asked: float
    seen: bool


class Confirmations:
    """Open questions by (session, action). One question a pair: asking again replaces the older one.

    ``session`` says who asked and where, so nobody confirms for another. ``wall`` gives seconds that
    always advance, whatever the market's clock does. A question is gone with its first answer. Where
    questions travel (``travels``), a yes without a nonce counts only once ``seen`` was told: one that was
    sent before the question came cannot have meant it.
    """

    def __init__(
        self, wall: Callable[[], float] = time.monotonic, seconds: float = 30.0, *, travels: bool = False
    ) -> None:
        self.seconds = seconds
        self._travels = travels
        self._wall = wall
        self._open: dict[tuple[str, str], _Question] = {}

    def ask(self, session: str, action: str, shown: Hashable) -> str:
        """Remember the question; the nonce tells its buttons from those of an older one."""
        nonce = secrets.token_hex(4)
        if len(self._open) >= _MOST:
            self._open = {key: one for key, one in self._open.items() if self._wall() - one.asked <= self.seconds}
        self._open[session, action] = _Question(nonce, shown, self._wall(), not self._travels)
        return nonce

    def seen(self, nonce: str) -> None:
        """The question with this nonce is in the chat."""
        for question in self._open.values():
            if question.nonce == nonce:
                question.seen = True

    def answer(self, session: str, action: str, covers: Callable[[Hashable], bool], nonce: str = "") -> Verdict:
        """Judge a yes. ``covers`` says whether what was shown still covers what there is now; ``nonce``, where
        given, must be the question's own.

        A wrong nonce is an old button: it leaves the newer question open.
        """
        question = self._open.get((session, action))
        if question is None or (nonce and nonce != question.nonce):
            return Verdict.NOTHING_ASKED
        if not (nonce or question.seen):
            return Verdict.UNSEEN
        del self._open[session, action]
        if self._wall() - question.asked > self.seconds:
            return Verdict.EXPIRED
        return Verdict.CONFIRMED if covers(question.shown) else Verdict.CHANGED

    def drop(self, session: str, action: str) -> bool:
        """Take a no. False where nothing was asked."""
        return self._open.pop((session, action), None) is not None
