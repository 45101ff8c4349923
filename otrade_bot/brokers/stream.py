"""A broker's WebSocket that stays up: whatever ends it, it comes back, and says so in plain words.

The brokers' own streamers fall silent without a word, end for good after a short outage, or reconnect for
ever over one frame they cannot read. Here silence is watched, back-off is capped and never gives up, and a
frame that cannot be read costs that frame alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode

from otrade_bot.brokers.outcomes import said
from otrade_bot.core.errors import TokenException

__all__ = ["Address", "Hooks", "Stream", "StreamSettings", "StreamState"]

REFUSALS = (401, 403)
BIGGEST = 8 * 1024 * 1024  #: bytes of a frame; a bigger one costs the connection

#: The library writes request lines, tokens and all, at DEBUG: it gets a logger that never speaks.
_MUTE = logging.getLogger("otrade.stream.wire")
_MUTE.disabled = True


class StreamState(StrEnum):
    """After a failure a stream stays what that made it until it is live again."""

    CONNECTING = "connecting"
    LIVE = "live"
    SILENT = "silent"  # connected, but nothing came
    REFUSED = "refused"  # HTTP 401 or 403, or no token at all
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class Address:
    """Where to, and as whom."""

    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Times in seconds."""

    connect: float = 5.0  #: for TCP, TLS and the handshake together
    silence: float = 10.0  #: without a frame; 0 where a broker sends nothing while there is nothing to say
    ping: float | None = 20.0  #: between our own pings, and the longest wait for their answer
    first_pause: float = 0.5  #: doubles, with jitter
    longest_pause: float = 30.0
    settled: float = 20.0  #: a connection that lasted for this long starts the pauses over
    closing: float = 1.0
    tls: ssl.SSLContext | None = None  #: None: the machine's authorities, host name checked


Frames = Sequence[str | bytes]
KeyFrames = Callable[[Sequence[Any]], Frames]


def _ignore(*_: object) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a broker makes of a stream. ``subscribe`` and ``unsubscribe`` turn keys into frames to send.

    ``on_binary`` and ``on_text`` may raise: that costs the frame they were given, which is counted and goes to
    ``on_dropped``, text as text where it is any.
    """

    subscribe: KeyFrames
    unsubscribe: KeyFrames
    on_binary: Callable[[bytes], None] = _ignore
    on_text: Callable[[str], None] = _ignore
    on_state: Callable[[StreamState, str], None] = _ignore
    on_dropped: Callable[[str | bytes], None] = _ignore


class _Connection(ClientConnection):
    """Keeps the kind of each message, so that text which is no UTF-8 does not end the connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.texts: deque[bool] = deque()

    def process_event(self, event: Any) -> None:
        if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY):
            self.texts.append(event.opcode is Opcode.TEXT)
        super().process_event(event)


class _SilenceError(Exception):
    """Nothing came for too long."""


class Stream:
    """One WebSocket. ``run`` keeps it up until it is cancelled; ``address`` is asked before each attempt and
    raises TokenException where there is no token to go with.

    LIVE is told at the first frame, or at the handshake where silence is not watched. What happened in
    between was not heard: whoever listens for orders reads the book again at LIVE.
    """

    def __init__(
        self,
        address: Callable[[], Address],
        hooks: Hooks,
        settings: StreamSettings | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address, self._hooks = address, hooks
        self._settings = settings or StreamSettings()
        self._sleep, self._clock = sleep, clock
        self._wanted: dict[Hashable, None] = {}
        self._changed = asyncio.Event()
        self._renewed = asyncio.Event()
        self._heard = 0.0
        self.state = StreamState.CONNECTING
        self.why = ""  #: of the state, masked
        self.connections = 0  #: handshakes that succeeded
        self.frames = 0
        self.dropped = 0  #: frames that cost themselves
        self.fault = ""  #: of the last of them, masked

    @property
    def keys(self) -> tuple[Hashable, ...]:
        """What is wanted, in the order in which it was asked for."""
        return tuple(self._wanted)

    def subscribe(self, keys: Iterable[Hashable]) -> None:
        """From now on, and again after every reconnection."""
        self._wanted |= dict.fromkeys(keys)
        self._changed.set()

    def unsubscribe(self, keys: Iterable[Hashable]) -> None:
        """No longer; keys that nobody asked for are let pass."""
        for key in keys:
            self._wanted.pop(key, None)
        self._changed.set()

    def renew(self) -> None:
        """The address has changed: end this connection or pause and go there at once."""
        self._renewed.set()

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            if self._renewed.is_set():
                self._renewed.clear()
                failures = 0
                self.state, self.why = StreamState.CONNECTING, ""  # untold: what comes of it is told, even if the same
            began = self._clock()
            state, why = await self._session()
            if self._renewed.is_set():  # what became of the old address no longer matters
                continue
            lasted = self._clock() - began
            if self.state is StreamState.LIVE and lasted >= self._settings.settled:
                failures = 0
            self._tell(state, why)
            await self._rest(self._pause(failures))
            failures += 1

    async def _rest(self, seconds: float) -> None:
        """Or less, where there is another address to go to."""
        waits = [asyncio.ensure_future(self._sleep(seconds)), asyncio.create_task(self._renewed.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def _pause(self, failures: int) -> float:
        longest = self._settings.longest_pause
        pause = min(longest, self._settings.first_pause * 2.0 ** min(failures, 30))
        return min(longest, pause * random.uniform(0.5, 1.5))  # noqa: S311

    async def _session(self) -> tuple[StreamState, str]:
        """One connection from beginning to end: what became of it, and why."""
        try:
            connection = await self._connected()
        except InvalidStatus as error:
            status = error.response.status_code
            state = StreamState.REFUSED if status in REFUSALS else StreamState.OFFLINE
            return state, f"HTTP {status}"
        except TokenException as error:
            return StreamState.REFUSED, said(str(error))
        except Exception as error:
            return StreamState.OFFLINE, _words(error)
        try:
            await self._serve(connection)
        except _SilenceError as error:
            return StreamState.SILENT, str(error)
        except Exception as error:
            return StreamState.OFFLINE, _words(error)
        finally:
            await self._end(connection)
        return StreamState.OFFLINE, "the connection ended"

    async def _connected(self) -> _Connection:
        address, given = self._address(), self._settings
        tls: dict[str, Any] = {} if given.tls is None else {"ssl": given.tls}
        connection = await connect(
            address.url,
            additional_headers=list(address.headers),
            open_timeout=given.connect,
            ping_interval=given.ping,
            ping_timeout=given.ping,
            close_timeout=given.closing,
            max_size=BIGGEST,
            compression=None,
            proxy=None,
            logger=_MUTE,
            create_connection=_Connection,
            **tls,
        )
        assert isinstance(connection, _Connection)
        return connection

    async def _end(self, connection: _Connection) -> None:
        if self._quiet() >= self._settings.silence > 0:
            connection.transport.abort()  # it would not answer a farewell either
        with contextlib.suppress(Exception):
            await connection.close()

    async def _serve(self, connection: _Connection) -> None:
        """Read until the connection ends. Raises what ended it."""
        self.connections += 1
        self._heard = self._clock()
        if not self._settings.silence:
            self._tell(StreamState.LIVE, "")
        work: list[asyncio.Task[Any]] = [
            asyncio.create_task(part(connection)) for part in (self._read, self._keep_subscribed)
        ]
        work.append(asyncio.create_task(self._renewed.wait()))
        if self._settings.silence:
            work.append(asyncio.create_task(self._watch()))
        try:
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for task in (task for task in work if task in done):
                task.result()
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    async def _read(self, connection: _Connection) -> None:
        while True:
            data = await connection.recv(decode=False)
            self._heard = self._clock()
            self.frames += 1
            self._tell(StreamState.LIVE, "")
            self._take(data, connection.texts.popleft())

    def _take(self, data: bytes, text: bool) -> None:
        try:
            if text:
                self._hooks.on_text(data.decode())
            else:
                self._hooks.on_binary(data)
        except Exception as error:
            self.dropped += 1
            self.fault = _words(error)
            self._let_drop(data, text)

    def _let_drop(self, data: bytes, text: bool) -> None:
        try:
            self._hooks.on_dropped(data.decode(errors="replace") if text else data)
        except Exception as error:
            self.fault = _words(error)

    async def _keep_subscribed(self, connection: _Connection) -> None:
        """Bring what this connection has been asked for in line with what is wanted, each key once."""
        asked: dict[Hashable, None] = {}
        while True:
            self._changed.clear()
            new = [key for key in self._wanted if key not in asked]
            old = [key for key in asked if key not in self._wanted]
            asked = dict(self._wanted)
            frames = [*(self._hooks.unsubscribe(old) if old else ()), *(self._hooks.subscribe(new) if new else ())]
            for frame in frames:
                await connection.send(frame)
            await self._changed.wait()

    async def _watch(self) -> None:
        limit = self._settings.silence
        while (quiet := self._quiet()) < limit:
            await self._sleep(limit - quiet)
        raise _SilenceError(f"no frame for {limit:g} s")

    def _quiet(self) -> float:
        return self._clock() - self._heard

    def _tell(self, state: StreamState, why: str) -> None:
        if state is self.state:
            self.why = why
            return
        self.state, self.why = state, why
        try:
            self._hooks.on_state(state, why)
        except Exception as error:
            self.fault = _words(error)


def _words(error: BaseException) -> str:
    return said(f"{type(error).__name__}: {error}")
