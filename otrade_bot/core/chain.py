"""A hash chain through the lines of a file: each line ends in a hash over itself and the hash of the line before it.

Whoever changes, removes or puts in a line breaks the chain there. Whoever rewrites everything behind it does not; so
the newest hash is told to people outside (in the day's report, in ``/audit``) and can be compared with theirs.
"""

from __future__ import annotations

import hashlib
import re

__all__ = ["NOTHING", "hash_of", "sealed", "unsealed"]

#: The hash before the first line of all.
NOTHING = "0" * 32

_SEAL = re.compile(rb',"chain":"([0-9a-f]{32})"\}\n?\Z')


def hash_of(before: str, body: bytes) -> str:
    """128 bits of SHA-256 over the hash before and the line without its own, as 32 hex digits."""
    return hashlib.sha256(before.encode("ascii") + body).hexdigest()[:32]


def sealed(line: bytes, before: str) -> tuple[bytes, str]:
    """``line`` is one JSON object that is not empty, with its newline. Returns it with its hash, and the hash."""
    body = line.removesuffix(b"\n")
    found = hash_of(before, body)
    return body[:-1] + b',"chain":"' + found.encode("ascii") + b'"}\n', found


def unsealed(line: bytes) -> tuple[bytes, str]:
    """The line as it was before it was sealed, without its newline, and its hash; '' where it bears none."""
    seal = _SEAL.search(line)
    if seal is None:
        return line.removesuffix(b"\n"), ""
    return line[: seal.start()] + b"}", seal[1].decode("ascii")
