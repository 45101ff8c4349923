"""One-time words that people write to the bot: the six digits of an authenticator, and the code of an invitation.

Whoever reads a line that people wrote asks here first: such a line must not be kept anywhere.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["DIGITS", "INVITED", "holds_digits", "invitation", "six_digits", "unlinked", "veiled"]

#: What stands in records in the place of such lines.
DIGITS = "(a code, not kept)"
INVITED = "/start (an invitation, not kept)"

_SIX = re.compile(r"\d{3}[\s\-]?\d{3}")  # in any script's digits
_COMMAND = re.compile(r"[/\s]*code(?:@\w*)?(?:\s+|$)", re.IGNORECASE)
#: Six digits that are no code as they were written, but of which somebody else could make one.
_NEARLY = re.compile(r"\W*(?:code\W*)?\d{3}\W?\d{3}\W*", re.IGNORECASE)
_START = re.compile(r"[/\s]*start(?:@\w*)?\s+(\S.*)", re.IGNORECASE | re.DOTALL)
#: The payload of a deep link, as Telegram takes it; ours are longer than anything that is guessed.
_PAYLOAD = re.compile(r"[A-Za-z0-9_\-]{16,64}")
#: The same in a link, or written otherwise than Telegram's button writes it; and alone.
_LINK = re.compile(r"start(?:app|group)?(?:%3d|\W{1,3})[A-Za-z0-9_\-]{16,64}", re.IGNORECASE)
_BARE = re.compile(r"[A-Za-z0-9_\-]{24}")
_OURS = re.compile(r"https://t\.me/\w+\?start=[A-Za-z0-9_\-]{16,64}")


def six_digits(line: str) -> str:
    """The six digits that a line consists of, with or without /code before them, as ASCII; '' for any other line."""
    rest = _COMMAND.sub("", line, count=1).strip() if _COMMAND.match(line) else line.strip()
    if not _SIX.fullmatch(rest):
        return ""
    return "".join(str(unicodedata.digit(one)) for one in rest if one.isdigit())


def holds_digits(line: str) -> bool:
    """Whether it is a code, or was meant to be one: of a mistyped one most is right."""
    return bool(_COMMAND.match(line) or _NEARLY.fullmatch(line))


def invitation(line: str) -> str:
    """The code in '/start CODE'; '' where there is none that could be one."""
    found = _START.fullmatch(line.strip())
    return found[1] if found and _PAYLOAD.fullmatch(found[1]) else ""


def unlinked(text: str, instead: str) -> str:
    """A text of ours, fit for the disk: without the links that let somebody in."""
    return _OURS.sub(lambda _: instead, text)


def veiled(line: str) -> str:
    """The line, fit for records."""
    if holds_digits(line):
        return DIGITS
    bare = line.strip()
    return INVITED if _START.fullmatch(bare) or _LINK.search(bare) or _BARE.fullmatch(bare) else line
