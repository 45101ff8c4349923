"""What can go wrong between a bot and Telegram. ``after=True``: it was done, and only the answer is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from .loopback import Answer, Drop

Accept = Callable[[], Awaitable[Answer | Drop]]

BAD_GATEWAY = """<html>\r
<head><title>502 Bad Gateway</title></head>\r
<body>\r
<center><h1>502 Bad Gateway</h1></center>\r
<hr><center>nginx/1.18.0</center>\r
</body>\r
</html>\r
"""
CONFLICT = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"


def refusal(code: int, description: str, **parameters: int) -> Answer:
    """Telegram's form of a no."""
    body: dict[str, object] = {"ok": False, "error_code": code, "description": description}
    if parameters:
        body["parameters"] = parameters
    return Answer(code, json.dumps(body).encode())


class Fault:
    """One thing that goes wrong."""

    async def strike(self, accept: Accept) -> Answer | Drop:
        """What the client gets. ``accept`` does what was asked for."""
        raise NotImplementedError


@dataclass
class TooMany(Fault):
    """429: flood control. Seconds."""

    retry_after: int

    async def strike(self, accept: Accept) -> Answer:
        return refusal(429, f"Too Many Requests: retry after {self.retry_after}", retry_after=self.retry_after)


@dataclass
class BadGateway(Fault):
    """502 with a page for people."""

    after: bool = False

    async def strike(self, accept: Accept) -> Answer:
        if self.after:
            await accept()
        return Answer(502, BAD_GATEWAY.encode(), "text/html")


@dataclass
class Reset(Fault):
    """TCP reset instead of an answer."""

    after: bool = False

    async def strike(self, accept: Accept) -> Drop:
        if self.after:
            await accept()
        return Drop(reset=True)


@dataclass
class Closed(Fault):
    """The connection ends in good order, without an answer."""

    after: bool = False

    async def strike(self, accept: Accept) -> Drop:
        if self.after:
            await accept()
        return Drop(reset=False)


class Fine(Fault):
    """Nothing goes wrong: for the requests before the one that is meant."""

    async def strike(self, accept: Accept) -> Answer | Drop:
        return await accept()


@dataclass
class First(Fault):
    """Something happens just before it is done: a price, say, that fills the order which is to be cancelled."""

    act: Callable[[], object]

    async def strike(self, accept: Accept) -> Answer | Drop:
        self.act()
        return await accept()


@dataclass(eq=False)
class Hang(Fault):
    """Silence until ``release()``; then everything goes on, for clients that are still there."""

    after: bool = False
    holding: int = 0  #: requests held right now
    _released: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    on_change: Callable[[], None] = field(default=lambda: None, repr=False)

    def release(self) -> None:
        self._released.set()

    async def strike(self, accept: Accept) -> Answer | Drop:
        answer = await accept() if self.after else None
        self.holding += 1
        self.on_change()
        try:
            await self._released.wait()
        finally:
            self.holding -= 1
            self.on_change()
        return answer or await accept()


@dataclass
class Refused(Fault):
    """Any answer of the form ``{"ok": false}``."""

    code: int
    description: str

    async def strike(self, accept: Accept) -> Answer:
        return refusal(self.code, self.description)


def Unauthorized() -> Refused:  # noqa: N802
    """401: the token was revoked."""
    return Refused(401, "Unauthorized")


def NotFound() -> Refused:  # noqa: N802
    """404: Telegram does not know this token, or this method."""
    return Refused(404, "Not Found")


def Conflict() -> Refused:  # noqa: N802
    """409: somebody else polls with this token."""
    return Refused(409, CONFLICT)


def Forbidden(text: str = "bot was blocked by the user") -> Refused:  # noqa: N802
    """403: this chat does not want us."""
    return Refused(403, f"Forbidden: {text}")


def BadRequest(text: str) -> Refused:  # noqa: N802
    """400: Telegram does not take this."""
    return Refused(400, f"Bad Request: {text}")
