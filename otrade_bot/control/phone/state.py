"""How it stands with Telegram, for who need not load its library to say so."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PhoneState"]


@dataclass(frozen=True, slots=True)
class PhoneState:
    """How it stands with Telegram. Times are wall seconds since the epoch; ``last_ok`` is 0 before the first answer."""

    word: str = "starting"  #: starting, polling, offline, throttled, refused (401, 403, 404), conflict (409)
    since: float = 0.0
    last_ok: float = 0.0
    error: str = ""  #: masked
    cure: str = ""
    times: int = 0  #: errors in a row in this state
