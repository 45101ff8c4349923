"""What an error of python-telegram-bot says of the message that was on its way: did it arrive, and what now.

Only ``__cause__`` tells a request that never left from one whose answer was lost: the library makes
NetworkError of both. BadRequest is a NetworkError too, RetryAfter and Forbidden are none.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

# Asked for by the library: without it every 429 is a deprecation warning.
os.environ.setdefault("PTB_TIMEDELTA", "1")

import httpx
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
)

from otrade_bot.core.masking import mask_text

__all__ = ["Verdict", "judge"]

Word = Literal["wait", "unsent", "lost", "blocked", "refused", "unshowable", "moved", "broken"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """``word``: wait (429), unsent (never left), lost (may have been shown), blocked (this chat does not
    take messages), refused (the token), unshowable (this text), moved (another chat id), broken (no error
    of Telegram's: may have been shown)."""

    word: Word
    error: str  #: for humans, without secrets
    seconds: float = 0.0  #: of a 429
    chat_id: int = 0  #: where a group went


#: httpx's errors of a request of which not one byte has left.
_BEFORE = (
    httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)  # fmt: skip

#: 400s that are about the chat, not about the text: whoever deletes a chat or never opened it.
_CLOSED = (
    "chat not found", "user not found", "peer_id_invalid", "not enough rights", "have no rights",
    "need administrator rights", "chat_write_forbidden", "user is deactivated", "chat is deactivated", "bot was kicked",
    "group chat was deactivated", "topic_closed",
)  # fmt: skip


def judge(error: Exception) -> Verdict:
    """What became of the message. What is not known to be unsent is ``lost``."""
    said = mask_text(f"{type(error).__name__}: {error}")[:200]
    match error:
        case RetryAfter():
            return Verdict("wait", said, seconds=_seconds(error.retry_after))
        case Forbidden():
            return Verdict("blocked", said)
        case InvalidToken():
            return Verdict("refused", said)
        case ChatMigrated():
            return Verdict("moved", said, chat_id=error.new_chat_id)
        case BadRequest():
            return Verdict("blocked" if _about_chat(error) else "unshowable", said)
        case Conflict():
            return Verdict("unsent", said)
        case NetworkError():
            return Verdict("unsent" if _never_left(error) else "lost", said)
        case TelegramError() | OSError():
            return Verdict("lost", said)
    return Verdict("broken", said)


def _seconds(after: int | timedelta) -> float:
    return after.total_seconds() if isinstance(after, timedelta) else float(after)


def _about_chat(error: BadRequest) -> bool:
    said = error.message.lower()
    return any(words in said for words in _CLOSED)


def _never_left(error: NetworkError) -> bool:
    cause = error.__cause__
    if cause is None:  # an HTTP status: 5xx may come after the message was taken, 429 never
        return error.message.lower().startswith("too many requests")
    return isinstance(cause, _BEFORE) or (isinstance(cause, RuntimeError) and "not initialized" in str(cause))
