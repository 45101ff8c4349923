"""Whose turn it is: emergencies at once and in the order in which they came, others one at a time for each person."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable

from otrade_bot.control.commands import parse
from otrade_bot.control.phone.gate import Caller
from otrade_bot.control.reply import Reply, text
from otrade_bot.control.words import short
from otrade_bot.core.lang import t
from otrade_bot.core.redirects import concealed

__all__ = ["QUICK", "Answer", "Turns"]

Answer = Callable[[Caller, str], Awaitable[Reply]]

#: These wait for nothing: they run up to their first await in the order in which they came.
QUICK = frozenset({"pause", "resume", "flatten", "status"})

#: Other commands of one person that may wait their turn.
MOST_WAITING = 20


class Turns:
    """``own`` puts the mode on top of an answer from here, ``sorry`` makes one of an error and records it."""

    def __init__(
        self, answer: Answer, own: Callable[[Reply], Reply], sorry: Callable[[str, Exception], Reply]
    ) -> None:
        self._answer, self._own, self._sorry = answer, own, sorry
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiting: Counter[int] = Counter()

    async def answered(self, caller: Caller, line: str) -> Reply:
        """Never raises an Exception."""
        user = caller.user_id
        try:
            if parse(line)[0] in QUICK:
                return await self._answer(caller, line)
            if self._waiting[user] >= MOST_WAITING:
                what = short(concealed(line), 40)
                return self._own(text(t("{line} was not done: too many of your commands wait.", line=what)))
            self._waiting[user] += 1
            try:
                async with self._turns[user]:
                    return await self._answer(caller, line)
            finally:
                self._waiting[user] -= 1
        except Exception as problem:
            return self._sorry(f"command {short(concealed(line), 80)!r} of {caller.name}", problem)
