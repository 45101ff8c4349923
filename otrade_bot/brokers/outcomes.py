"""What every broker says of a write in the same words. A broker's own table of outcomes stands beside its wire."""

from __future__ import annotations

import re

from otrade_bot.core.masking import mask_text
from otrade_bot.core.model import Accepted, Outcome, Unknown

__all__ = ["doubtful", "said", "taken"]

_LONGEST = 300
#: What requests, urllib3 and kiteconnect wrap the reason in, and what is left of it.
_WRAPPED = (
    (re.compile(r"(Unknown Content-Type \([^)]*\)) with response: .*"), r"\1"),
    (re.compile(r"HTTPS?ConnectionPool\(host='[^']*', port=\w+\): "), ""),
    (re.compile(r"Max retries exceeded with url: \S+ \(Caused by \w+\((['\"])(.*)\1\)\)"), r"\2"),
    (re.compile(r"Max retries exceeded with url: \S+ "), ""),
    (re.compile(r"HTTPS?Connection\(host='[^']*', port=\w+\): |<urllib3\.[^>]*>: "), ""),
    (re.compile(r"\('Connection aborted\.', \w+\((?:\d+, )?(['\"])([^'\"]*)\1\)\)"), r"Connection aborted: \2"),
)


def said(text: str) -> str:
    """One line, without secrets, not longer than a phone reads."""
    line = " ".join(text.split())
    for wrapping, left in _WRAPPED:
        line = wrapping.sub(left, line)
    line = mask_text(line)
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def taken(order_id: object) -> Outcome:
    """Of an answer that names the order or GTT: Accepted with it, Unknown where that is no name."""
    if isinstance(order_id, int) and not isinstance(order_id, bool) and order_id > 0:
        return Accepted(str(order_id))
    if isinstance(order_id, str) and order_id.strip():
        return Accepted(order_id.strip())
    return Unknown(said(f"answered without an order id: {order_id!r}"))


def doubtful(error: BaseException, status: int = 0) -> Unknown:
    """Of an error that does not prove that nothing was done; ``status`` of HTTP, 0 for no answer."""
    answer = f"HTTP {status}, " if status else ""
    return Unknown(said(f"{answer}{type(error).__name__}: {error}"))
