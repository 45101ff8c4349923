"""One call of the client in a thread of the pool: what became of a write, what came of a read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from otrade_bot.brokers.kite.client import Lane
from otrade_bot.brokers.kite.outcomes import Seen, raised, returned
from otrade_bot.brokers.outcomes import said
from otrade_bot.core.errors import BrokerException, TokenException
from otrade_bot.core.model import Outcome

__all__ = ["Failed", "failed", "judged", "tried"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failed:
    """A read that failed; ``passing`` where it may go better a moment later, ``busy`` where Kite said "too many"."""

    error: BrokerException
    passing: bool
    busy: bool = False


def judged(call: Callable[[Any], object], lane: Lane) -> Outcome:
    """In a thread of the pool: what became of a write."""
    from kiteconnect.exceptions import KiteException

    try:
        value = lane.call(call)
    except Exception as error:
        return raised(error, lane.seen(), native=isinstance(error, KiteException))
    return returned(value, lane.seen())


def tried(what: str, call: Callable[[Any], T], lane: Lane) -> T | Failed:
    """In a thread of the pool: what came of a read."""
    try:
        value = lane.call(call)
    except Exception as error:
        return failed(what, error, lane.seen())
    if lane.status() >= 300:
        return failed(what, ValueError("data under an error status"), lane.seen())
    return value


def failed(what: str, error: BaseException, seen: Seen | None) -> Failed:
    from requests.exceptions import ChunkedEncodingError

    status = f"HTTP {seen.status}, " if seen else ""
    text = said(f"kite {what}: {status}{type(error).__name__}: {error}")
    if seen is not None and _token(seen, str(error)):
        return Failed(TokenException(text), passing=False)
    torn = isinstance(error, ChunkedEncodingError)
    lost = seen is None or torn or seen.status == 429 or seen.status >= 500
    return Failed(BrokerException(text), passing=lost, busy=seen is not None and seen.status == 429)


def _token(seen: Seen, text: str) -> bool:
    """Kite names the token's type, or was seen to call it a wrong input."""
    named = "api_key" in text or "access_token" in text
    return seen.error_type == "TokenException" or (seen.error_type == "InputException" and named)
