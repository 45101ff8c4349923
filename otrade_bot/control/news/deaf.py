"""A bot that hears nothing any more says so elsewhere: on the phone, where commands are lost, nobody would know.

Telegram refuses the token (401, 404), another program takes the commands (409), or nothing came back for a minute
while the market is open.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from otrade_bot.control.words import ago
from otrade_bot.core.clock import SECOND
from otrade_bot.core.lang import t
from otrade_bot.core.masking import mask_text

__all__ = ["Deaf"]

#: How often is looked, and how long Telegram may be silent in market hours; a long poll lasts half of that, s.
_LOOK_S, _SILENT_S = 5.0, 60.0


class Hearing(Protocol):
    """What is asked of the phone's state. Times are wall seconds."""

    @property
    def word(self) -> str: ...
    @property
    def since(self) -> float: ...
    @property
    def last_ok(self) -> float: ...
    @property
    def error(self) -> str: ...
    @property
    def cure(self) -> str: ...
    @property
    def times(self) -> int: ...


class Deaf:
    """``market``: whether it is open; ``say`` goes where Telegram is not needed. Said once, and again when it hears."""

    def __init__(
        self,
        state: Callable[[], Hearing],
        market: Callable[[], bool],
        say: Callable[[str], None],
        *,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._state, self._market, self._say, self._wall, self._sleep = state, market, say, wall, sleep
        self._began = wall()
        self._told = ""

    async def run(self) -> None:
        """For ever."""
        while True:
            self.look()
            await self._sleep(_LOOK_S)

    def look(self) -> None:
        state = self._state()
        why = self._why(state)
        if why and not self._told:
            self._told = why
            self._say(mask_text(f"{t('The bot does not hear commands from Telegram')}\n{why}\n{_consequence()}"))
        elif self._told and state.word == "polling" and not why:
            self._told = ""
            self._say(t("The bot hears commands from Telegram again."))

    def _why(self, state: Hearing) -> str:
        """'' for nothing that matters."""
        if state.word == "refused":
            return t("Telegram refuses the token: {error}. {cure}", error=state.error, cure=t(state.cure))
        # After a kill Telegram may hold the poll of before for a moment: the first conflict of all proves nothing.
        if state.word == "conflict" and (state.last_ok or state.times > 1):
            return t("Another program takes its messages: {error}. {cure}", error=state.error, cure=t(state.cure))
        silent = self._wall() - max(state.last_ok, self._began)
        if silent <= _SILENT_S or not self._market():
            return ""
        return t("Telegram has not answered for {span}. {error}", span=ago(round(silent * SECOND)), error=state.error)


def _consequence() -> str:
    return t("Trading goes on, stops stay. Commands do not arrive, /flatten and /pause among them.")
