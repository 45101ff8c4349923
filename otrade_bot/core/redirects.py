"""The address to which a broker sends a browser back after a login: it holds a one-time code, and our state.

Whoever reads a line that people wrote asks here first: such a line must not be kept anywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from otrade_bot.core.onetime import holds_digits, veiled

__all__ = ["PASTED", "Redirected", "came_home", "concealed", "holds_code", "redirected", "secret"]

#: What stands in records in the place of such a line.
PASTED = "(a login address, not kept)"

#: The name under which each broker sends its code.
CODES = {"request_token": "kite", "code": "upstox"}
_ADDRESS = re.compile(r"(?:request|access)_token[\"']?\s*(?:=|:|%3d)|(?:^|[?&#\s])code=", re.IGNORECASE)
_WEB_TOKEN = re.compile(r"\beyJ[\w\-]{8,}\.[\w\-]{4,}")
#: A code or a token alone, or behind /login: one long word that is no command, with a digit in it.
_ALONE = re.compile(
    r"(?:[/\s]*login(?:@\w*)?\s+(?:\w+\s+)?)?(?=[^\s]*\d)[A-Za-z0-9_\-]{24,}(?:\.[A-Za-z0-9_\-]+)*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Redirected:
    """``broker`` is '' for a code alone. ``refused``: the broker sent no code."""

    broker: str
    code: str = field(repr=False)
    state: str = field(repr=False)
    refused: bool = False


def holds_code(line: str) -> bool:
    """Whether a code or a token may stand in this line."""
    found = _ADDRESS.search(line) or _WEB_TOKEN.search(line) or _ALONE.fullmatch(line.strip())
    return found is not None


def secret(line: str) -> bool:
    """Whether it must not stay in a chat: a login's code, or an authenticator's."""
    return holds_code(line) or holds_digits(line)


def came_home(line: str) -> bool:
    """Whether it is a whole redirected address, with a code and a state: no other talk is."""
    found = redirected(line)
    return found is not None and bool(found.code and found.state)


def concealed(line: str) -> str:
    """The line, fit for records: also without a one-time code."""
    return PASTED if holds_code(line) else veiled(line)


def redirected(text: str) -> Redirected | None:
    """What a redirected address says, wherever it stands in a text; a single word is a code alone. None for what is
    neither, and where a name comes twice: nobody knows then which one counts."""
    words = text.strip().strip("<>\"'").split()
    address = next((word.strip("<>\"'") for word in words if _ADDRESS.search(word)), "")
    if not address:
        alone = len(words) == 1 and re.fullmatch(r"[\w\-.~]{4,4000}", words[0])
        return Redirected("", words[0], "") if alone else None
    pairs = _pairs(address)
    names = [name for name, _ in pairs if name in (*CODES, "state", "status")]
    if len(names) != len(set(names)):
        return None
    found = dict(pairs)
    broker = next((CODES[name] for name in CODES if name in found), "")
    if not broker or len(set(CODES) & set(found)) > 1:
        return None
    code = found["request_token" if broker == "kite" else "code"].strip()
    refused = found.get("status", "success") != "success" or "error" in found or not code
    return Redirected(broker, code, found.get("state", "").strip(), refused)


def _pairs(address: str) -> list[tuple[str, str]]:
    try:
        parts = urlsplit(address)
        return parse_qsl(parts.query or parts.fragment or parts.path, keep_blank_values=True, max_num_fields=32)
    except ValueError:
        return []
