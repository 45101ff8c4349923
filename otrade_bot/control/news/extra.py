"""Other channels beside Telegram: what is grave enough also goes where OTRADE_APPRISE_URLS point, by apprise.

A courtesy: nothing here is kept on disk, and a channel that fails costs neither trading nor the phone anything. That it
failed is said once, on the phone and in the log. Apprise is loaded by whoever has such addresses, in a thread.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

from otrade_bot.control.news.notices import describe
from otrade_bot.control.reply import Told, bold, lines, text
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.lang import speaking, t
from otrade_bot.core.masking import SHORTEST, mask_text, register_secret

__all__ = ["Channels", "Extra", "addresses", "channels"]

_log = logging.getLogger("otrade.system")

#: Words that wait for the channels at most, and that go into one message; the oldest give way.
_MOST, _TOGETHER = 200, 20
#: Longest message, characters: what most services take.
_LONGEST = 2000
#: The pause before what failed is tried once more, s, and the longest time for one attempt.
_AGAIN_S, _PATIENCE_S = 15.0, 30.0
_LEVELS = {"risk": Severity.RISK, "warning": Severity.WARNING, "info": Severity.INFO}
_NEVER = frozenset({EventKind.EVALUATION, EventKind.COMMAND})

#: Sends title and body to every channel; what did not take it, '' where all did. Blocks.
Channels = Callable[[str, str], str]


class _Tell(Protocol):
    def __call__(self, said: Told, /) -> None: ...


class Extra:
    """``on_event`` and ``say`` take words at once; ``run`` carries them. ``level``, asked each time: "risk", "warning",
    "info" or "off". ``label`` is the mode; ``tell`` says on the phone that the channels fail, and that they work again.
    ``make`` opens the channels, in a thread: it may raise, and is tried again with the next words."""

    def __init__(
        self,
        make: Callable[[], Channels],
        level: Callable[[], str],
        label: Callable[[], str],
        tell: _Tell,
        *,
        log_error: Callable[[str], None] = _log.error,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._make, self._level, self._label, self._tell = make, level, label, tell
        self._log_error, self._sleep = log_error, sleep
        self._channels: Channels | None = None
        self._waiting: deque[str] = deque(maxlen=_MOST)
        self._news, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self.fault = ""  #: why the last words did not arrive; '' where they did

    def on_event(self, event: Event) -> None:
        """An observer: never raises, never waits."""
        try:
            least = _LEVELS.get(self._level())
            if least is None or event.kind in _NEVER or _gravity(event) < least:
                return
            with speaking("en"):
                said = describe(event, self._label())
        except Exception as error:
            self._log_error(f"an event could not be told to the extra channels: {type(error).__name__}: {error}")
            return
        if said:
            self.say(said.to_plain())

    def say(self, words: str) -> None:
        """Outside of any event; nothing where the channels are switched off."""
        if self._level() in _LEVELS:
            self._waiting.append(mask_text(words))
            self._idle.clear()
            self._news.set()

    async def run(self) -> None:
        """For ever; only cancellation ends it."""
        while True:
            if not self._waiting:
                self._idle.set()
                self._news.clear()
                await self._news.wait()
            body = self._next()
            fault = await self._sent(body)
            if fault:
                self._failed(fault)
                await self._sleep(_AGAIN_S)
                fault = await self._sent(body)
            if not fault:
                self._worked()

    async def flush(self, seconds: float) -> None:
        """At the end: let what waits go, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()

    def _next(self) -> str:
        """What waits, as far as it fits into one message."""
        parts, room = [self._waiting.popleft()[:_LONGEST]], _LONGEST
        room -= len(parts[0])
        while self._waiting and len(parts) < _TOGETHER and len(self._waiting[0]) + 2 <= room:
            room -= len(self._waiting[0]) + 2
            parts.append(self._waiting.popleft())
        return "\n\n".join(parts)

    async def _sent(self, body: str) -> str:
        """What went wrong; '' for nothing."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return mask_text(await _aside(lambda: self._send(body)))
        except TimeoutError:
            return t("no answer within {seconds} s", seconds=round(_PATIENCE_S))
        except Exception as error:
            return mask_text(f"{type(error).__name__}: {error}")

    def _send(self, body: str) -> str:
        if self._channels is None:
            self._channels = self._make()
        return self._channels("OTrade Bot", body)

    def _failed(self, fault: str) -> None:
        """Said once, until they work again."""
        told, self.fault = bool(self.fault), fault
        if told:
            return
        self._log_error(f"extra channels: {fault}")
        with suppress(Exception):
            self._tell(
                lambda: lines(
                    bold(t("The extra channels do not take messages")),
                    text(fault),
                    t("Telegram goes on. What they miss meanwhile is tried once more and not kept."),
                )
            )

    def _worked(self) -> None:
        if self.fault:
            self.fault = ""
            with suppress(Exception):
                self._tell(lambda: text(t("The extra channels take messages again.")))


def _gravity(event: Event) -> Severity:
    """A missing stop is a risk, whatever its event says."""
    missing = event.kind is EventKind.STOP and event.data.get("state") == "missing"
    return Severity.RISK if missing else event.severity


async def _aside(work: Callable[[], str]) -> str:
    """In a thread that nobody waits for at the end of the process, however long a channel hangs."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str] = loop.create_future()

    def settle(result: str, error: Exception | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    def run() -> None:
        result, problem = "", None
        try:
            result = work()
        except Exception as error:
            problem = error
        with suppress(RuntimeError):  # the loop is closed: the service has ended
            loop.call_soon_threadsafe(settle, result, problem)

    threading.Thread(target=run, name="extra channels", daemon=True).start()
    return await done


_BETWEEN = re.compile(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)")
_PIECES = re.compile(r"[/:@?&=#,\s]+")
#: What names a machine, and is no secret.
_PUBLIC = re.compile(r"localhost|[\d.]+|[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}", re.IGNORECASE)


def addresses(urls: str) -> list[str]:
    """Each address of the variable, blotted out of every log and message from now on, with its parts: another spelling
    of it may stand in an error."""
    found = [one.strip() for one in _BETWEEN.split(urls) if one.strip()]
    for one in found:
        register_secret(one)
        for piece in _PIECES.split(one.partition("://")[2]):
            if len(piece) >= SHORTEST + 2 and not _PUBLIC.fullmatch(piece):
                register_secret(piece)
    return found


def channels(urls: Sequence[str]) -> Channels:
    """Those addresses by apprise. Raises RuntimeError where it is not installed, ValueError for what it does not know;
    without the address."""
    try:
        import apprise
    except ImportError:
        raise RuntimeError("OTRADE_APPRISE_URLS needs apprise: pip install 'otrade-bot[extra]'") from None
    # What they log names addresses, or parts of them; the verdict comes back as a result.
    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    every = apprise.Apprise()
    for number, url in enumerate(urls, 1):
        if not every.add(url):
            raise ValueError(f"address {number} of OTRADE_APPRISE_URLS is none that apprise knows")

    def send(title: str, body: str) -> str:
        result = every.notify(body=body, title=title, body_format=apprise.NotifyFormat.TEXT, timeout=_PATIENCE_S - 5)
        if result:
            return ""
        failed = [str(one.name) for one in result if not one]
        return f"not taken by {', '.join(failed)}" if failed else "not taken"

    return send
