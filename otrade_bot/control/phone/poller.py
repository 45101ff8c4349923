"""Asks Telegram for updates, for ever. Whatever goes wrong is one visible state, tried again, never the end.

An update is confirmed (by the offset of the next question) only after it was taken: what a kill interrupts comes
again. Nothing that is logged or shown here holds the token, which stands in every URL.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from telegram import Bot, Update, error

from otrade_bot.control.phone.errors import judge
from otrade_bot.control.phone.state import PhoneState
from otrade_bot.core.lang import phrase
from otrade_bot.core.masking import mask_text

__all__ = ["FAULTS", "Fault", "Line", "Patience", "PhoneState", "Poller", "fault_of"]

#: Only these are asked for: edited messages, channel posts and reactions are nobody's command.
KINDS = ("message", "callback_query")


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds. ``first`` doubles up to ``cap`` while the network fails; up to half of what was added is left out, so
    that many bots do not come back in one moment."""

    refused: float = 30.0
    conflict: float = 15.0
    first: float = 0.5
    cap: float = 30.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What an error means for polling."""

    word: str
    cure: str


_WAIT = phrase("Nothing to do: it is tried again by itself.")
_CHECK = phrase(
    "Compare OTRADE_TELEGRAM_TOKEN with @BotFather's (/token), look at OTRADE_TELEGRAM_BASE_URL, then start again."
)
_OTHER = phrase(
    "Another program asks for this bot's updates: stop it. Where you run no other, the token has leaked: "
    "get a new one from @BotFather (/revoke)."
)

#: Total over ``telegram.error``: the nearest class of an error's ancestry holds. The library's BadRequest is a
#: NetworkError.
FAULTS: dict[type[BaseException], Fault] = {
    error.InvalidToken: Fault("refused", _CHECK),
    error.Forbidden: Fault("refused", _CHECK),
    error.EndPointNotFound: Fault("refused", _CHECK),
    error.Conflict: Fault("conflict", _OTHER),
    error.RetryAfter: Fault("throttled", _WAIT),
    error.TimedOut: Fault("offline", _WAIT),
    error.NetworkError: Fault("offline", _WAIT),
    error.BadRequest: Fault("offline", _WAIT),
    error.ChatMigrated: Fault("offline", _WAIT),
    error.PassportDecryptionError: Fault("offline", _WAIT),
    error.TelegramError: Fault("offline", _WAIT),
    Exception: Fault("offline", _WAIT),
}


def fault_of(problem: Exception) -> Fault:
    """The row of FAULTS for an error of any class."""
    return next(FAULTS[kind] for kind in type(problem).__mro__ if kind in FAULTS)


class Line(Bot):
    """The library's bot, and a way around an update that the library cannot read."""

    __slots__ = ()

    async def readable(self, **question: Any) -> list[tuple[int, Update | None]]:
        """Ids and updates, None for one that cannot be read; ``get_updates`` would raise for all of them."""
        read_s = question.pop("read_timeout")
        raw: list[dict[str, Any]] = await self._post("getUpdates", question, read_timeout=read_s)
        out: list[tuple[int, Update | None]] = []
        for one in raw:
            update: Update | None = None
            with suppress(Exception):
                update = Update.de_json(one, self)
            out.append((int(one["update_id"]), update))
        return out


class Poller:
    """``take`` gets each update in order and returns when its effect has begun, ``settle`` after some of them when they
    may be confirmed. ``changed`` hears of each new state and each error.

    ``greet`` runs before the first question and must succeed; ``wall`` gives seconds since the epoch.
    A long poll lasts ``poll_s`` and is given up ``margin_s`` later.
    """

    def __init__(
        self,
        bot: Line,
        take: Callable[[Update], Awaitable[None]],
        *,
        settle: Callable[[], Awaitable[None]],
        greet: Callable[[], Awaitable[None]],
        changed: Callable[[PhoneState], None] = lambda state: None,
        log: Callable[[str], None] = lambda line: None,
        patience: Patience | None = None,
        poll_s: int = 25,
        margin_s: float = 10.0,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._bot, self._take, self._settle, self._greet = bot, take, settle, greet
        self._changed, self._log = changed, log
        self._patience, self._poll_s, self._margin_s = patience or Patience(), poll_s, margin_s
        self._wall, self._sleep, self._jitter = wall, sleep, jitter
        self._offset: int | None = None
        self._failures = 0
        self._unreadable = False
        self._heard: float | None = None  #: when the last updates had been handed over
        self.deaf_s = float("inf")  #: how long nobody listened before those that are handed over now
        self.state = PhoneState(since=wall())

    async def run(self) -> None:
        """Until cancelled."""
        greeted = False
        while True:
            try:
                if not greeted:
                    await self._greet()
                    greeted = True
                asked = self._wall()
                updates = await self._ask()
            except Exception as problem:
                wait = self._failed(problem)
                await self._free(problem)
                await self._sleep(wait)
                continue
            self._enter("polling", "", "")
            self.deaf_s = float("inf") if self._heard is None else asked - self._heard
            await self._hand_over(updates)
            self._heard = self._wall()

    async def confirm(self, seconds: float) -> None:
        """At an orderly end: tell Telegram what was taken, so that the next start does not hear it again; least of all
        a command that ended the service."""
        if self._offset is not None and self.state.word == "polling":
            with suppress(Exception):
                async with asyncio.timeout(seconds):
                    await self._bot.get_updates(offset=self._offset, limit=1, timeout=0, allowed_updates=KINDS)

    async def _ask(self) -> list[tuple[int, Update | None]]:
        began = time.monotonic()
        question: dict[str, Any] = {"offset": self._offset, "limit": 100, "allowed_updates": list(KINDS)}
        if self._unreadable:
            found = await self._bot.readable(timeout=0, read_timeout=self._margin_s, **question)
            self._unreadable = False
            return found
        try:
            updates = await self._bot.get_updates(timeout=self._patient(), read_timeout=self._margin_s, **question)
        except error.TelegramError:
            raise
        except Exception:
            self._unreadable = True
            raise
        # A server or proxy that answers at once instead of waiting must not cost the trading loop its core.
        if not updates and time.monotonic() - began < 0.05:
            await asyncio.sleep(0.05)
        return [(one.update_id, one) for one in updates]

    def _patient(self) -> int:
        """Seconds to ask for: while it is not known whether Telegram is there, the answer may not take its time. Short
        questions between another poller's long ones would only seem to work."""
        return self._poll_s if self.state.word in ("polling", "conflict") else 0

    async def _hand_over(self, updates: list[tuple[int, Update | None]]) -> None:
        unread = [number for number, update in updates if update is None]
        if unread:
            self._log(f"phone: {len(unread)} updates cannot be read and are passed over, the first is {unread[0]}")
        for number, update in updates:
            try:
                if update is not None:
                    await self._take(update)
            except Exception as problem:
                self._log(mask_text(f"phone: an update could not be handled: {type(problem).__name__}: {problem}"))
            self._offset = number + 1
        if updates:
            await self._settle()

    async def _free(self, problem: Exception) -> None:
        """A webhook that is set keeps us from asking at all: take it away, and keep what waits."""
        if isinstance(problem, error.Conflict) and "webhook" in str(problem).lower():
            with suppress(Exception):
                await self._bot.delete_webhook(drop_pending_updates=False)

    def _failed(self, problem: Exception) -> float:
        """Note the state; how long to wait."""
        fault = fault_of(problem)
        self._enter(fault.word, mask_text(f"{type(problem).__name__}: {problem}"), fault.cure)
        if isinstance(problem, error.RetryAfter):
            return judge(problem).seconds
        if fault.word in ("refused", "conflict"):
            return self._patience.refused if fault.word == "refused" else self._patience.conflict
        first = self._patience.first
        most = min(first * 2.0 ** min(self._failures, 30), self._patience.cap)
        self._failures += 1
        return first + (most - first) * (1 - self._jitter() / 2)

    def _enter(self, word: str, what: str, cure: str) -> None:
        """Each state is logged when it begins, and not again while it lasts."""
        now, before = self._wall(), self.state
        last_ok = now if word == "polling" else before.last_ok
        if word == "polling":
            self._failures = 0
        fresh = word != before.word
        times = (1 if fresh else before.times + 1) if what else 0
        self.state = PhoneState(word, now if fresh else before.since, last_ok, what, cure, times)
        if fresh:
            self._log(f"phone: {word}" + (f": {what}. {cure}" if what else ""))
        if fresh or what:
            with suppress(Exception):
                self._changed(self.state)
