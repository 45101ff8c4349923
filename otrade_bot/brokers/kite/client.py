"""The official client, made fit for orders: one connection a thread, explicit timeouts, nothing sent twice.

The client posts once, but ``requests`` follows redirects (a 307 repeats the order) and reads proxies and
``.netrc`` from the environment for each request: both are switched off.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from otrade_bot.brokers.kite.outcomes import Seen, error_type
from otrade_bot.core.imports import kite_sdk
from otrade_bot.core.masking import register_secret

__all__ = ["KiteSettings", "Lane", "Lanes", "Token"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KiteSettings:
    """How to reach Kite. Times in seconds."""

    api_key: str = field(repr=False)
    access_token: str = field(default="", repr=False)
    root: str = "https://api.kite.trade"
    connect: float = 3.0
    silence: float = 7.0  #: the longest wait for the next bytes of an answer
    deadline: float = 15.0  #: of a whole request, its wait for a free thread included
    writers: int = 8  #: writes that may be under way at once
    readers: int = 4
    retries: int = 2  #: further attempts of a read
    backoff: float = 0.5  #: before the first of them; doubles, with jitter
    fresh: float = 20.0  #: a connection idle for longer carries no write: a new one is opened
    algo_id: str = ""  #: the exchange's, of an algorithm that is registered


class Token:
    """The day's access token, shared by all clients of one account."""

    def __init__(self, value: str) -> None:
        self.value = ""
        self.set(value)

    def set(self, value: str) -> None:
        register_secret(value)
        self.value = value


class Lane:
    """One client with one connection, for one thread at a time."""

    def __init__(self, settings: KiteSettings) -> None:
        sdk = kite_sdk()  # only where there is a Kite account
        from otrade_bot.brokers.kite.http import KiteSession

        waits = settings.connect, settings.silence
        self.kite: Any = sdk.KiteConnect(settings.api_key, root=settings.root, timeout=waits)
        self.kite.reqsession = self._http = KiteSession()
        self._http.hooks["response"].append(self._see)
        self._answer: Any = None
        self.used = time.monotonic()

    def _see(self, answer: Any, *_: object, **__: object) -> None:
        self._answer = answer

    def call(self, work: Callable[[Any], T]) -> T:
        """``work`` with the client. Raises whatever it raises; ``seen`` tells of this call only."""
        self._answer = None
        return work(self.kite)

    def seen(self) -> Seen | None:
        """The last call's answer; None where none came, or its body did not come whole."""
        if self._answer is None:
            return None
        try:
            return Seen(self._answer.status_code, error_type(self._answer.json()))
        except Exception:  # no JSON, or torn: then the status is all there is
            return Seen(self._answer.status_code)

    def status(self) -> int:
        """Of the last call's answer, unread: it may be long. 0 where none came."""
        return 0 if self._answer is None else int(self._answer.status_code)

    def forget(self) -> None:
        """What the last call was answered: it may be a list of all instruments."""
        self._answer = None

    def renew(self) -> None:
        """The next call opens a new connection."""
        self._http.close()


class Lanes:
    """A thread pool whose calls take the connection that was used last: the warmest one."""

    def __init__(self, settings: KiteSettings, token: Token, threads: int, name: str) -> None:
        self._settings, self._token = settings, token
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._all = [Lane(settings)]
        self._free = list(self._all)

    def run(self, work: Callable[[Lane], T]) -> asyncio.Future[T]:
        """Raises RuntimeError where closed."""
        return asyncio.get_running_loop().run_in_executor(self._pool, self._with_lane, work)

    def _with_lane(self, work: Callable[[Lane], T]) -> T:
        lane = self._take()
        try:
            return work(lane)
        finally:
            lane.used = time.monotonic()
            lane.forget()
            self._free.append(lane)

    def _take(self) -> Lane:
        try:
            lane = self._free.pop()
        except IndexError:
            lane = Lane(self._settings)
            self._all.append(lane)
        if time.monotonic() - lane.used > self._settings.fresh:
            lane.renew()
        lane.kite.set_access_token(self._token.value)
        return lane

    async def close(self) -> None:
        """Wait for what is under way, close every connection."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
        for lane in self._all:
            lane.renew()
