"""Keeps secrets out of everything that is written down: logs, journal, messages.

Two nets. The first knows *values*: whatever was given to ``register_secret`` is blotted out of any text,
also percent-encoded (either case of the digits) and as ``repr`` or JSON would escape it. The second knows
*shapes*: values under secret-like names, Authorization headers, query strings, bot tokens, JWTs.

Beyond its reach: a secret that was encoded otherwise (base64, hex, hashes, UTF-16), cut up, or reversed.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterable, Mapping, Set
from enum import Enum
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

__all__ = [
    "MASK",
    "SHORTEST",
    "forget_secrets",
    "holds_secret",
    "is_secret_name",
    "mask",
    "mask_text",
    "register_secret",
]

MASK = "***"

#: Shorter values are not registered: blotting them out would eat ordinary text and prices.
SHORTEST = 6

_DEEPEST = 12
_known: set[str] = set()
_known_pattern: re.Pattern[str] | None = None
_generation = 0

#: Looked for anywhere in a name, whatever its case and separators.
_STRONG = re.compile(
    r"token|secret|passw|passphrase|authorization|credential|checksum|totp|apikey|privatekey|cookie"
)
#: Only as a whole word of a name: "pin" is secret, "pinned" and "spin" are not.
_WEAK = frozenset({"key", "keys", "pin", "pins", "otp", "pwd", "auth", "jwt"})
#: Numbers of instruments, public, and worth reading.
_PUBLIC = frozenset({"instrumenttoken", "instrumentkey", "exchangetoken", "publickey"})
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")

_NAME = (
    r"(?<![\w\-])(?!(?:instrument_token|instrument_key|exchange_token)\b)"
    r"[\w\-]{0,60}?(?:token|secret|password|passwd|passphrase|checksum|api[_\-]?key|secret[_\-]?key|"
    r"totp|(?<![A-Za-z])(?:pin|otp|pwd))"
)
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        # The whole value of an Authorization header, whatever its scheme.
        (r"(authorization\\?[\"']?\s*[:=,]\s*b?\\?[\"']?)(?:[A-Za-z]+\s+)?[^\s\"',;}\)\]]+", rf"\1{MASK}"),
        (r"\b(token\s+)[\w\-]{4,}:[\w\-]{4,}", rf"\1{MASK}"),
        (r"\b(bearer(?:\s+|%20|\+))[^\s\"',;}\)\]]+", rf"\1{MASK}"),
        (r"([?&](?:code|client_id|state)=)[^\s\"'&]+", rf"\1{MASK}"),  # OAuth redirects
        (r"(?<![\w\-])((?:code|state)=)[^\s\"'&]{1,600}(?=&)", rf"\1{MASK}"),  # a form's first: a login
        (r"\d{6,20}(?::|%3a)[A-Za-z0-9_\-]{30,}", MASK),
        (r"eyJ[\w\-]{8,600}\.[\w\-]{4,}(?:\.[\w\-]*)?", MASK),
        (r"(://[^\s/:@]*:)[^\s/@]+(?=@)", rf"\1{MASK}"),
        # name=value of query strings, forms and reprs; a quoted value is taken up to its quote.
        (rf"({_NAME}\s*=\s*b?)(?:\"[^\"]*\"|'[^']*'|[^\s\"'&,;}}\)\]]+)", rf"\1{MASK}"),
        # 'name': 'value' of dicts and JSON, also JSON inside a string.
        (
            rf"({_NAME}\\?[\"']\s*:\s*b?)(?:\\\"[^\"\\]*\\\"|\"[^\"]*\"|'[^']*'|[^\s\"'&,;}}\)\]]+)",
            rf"\1{MASK}",
        ),
        # name: value of prose, only where the value has a digit: "token: expired" stays readable.
        (rf"({_NAME}\s*:\s*)(?=[^\s,;]{{0,200}}\d)[^\s\"'&,;}}\)\]]+", rf"\1{MASK}"),
        # ('name', 'value') of header lists.
        (rf"(['\"]{_NAME}['\"],\s*b?)(?:\"[^\"]*\"|'[^']*')", rf"\1{MASK}"),
    )
)


#: No shape matches a text that has none of these; asking is ten times cheaper than trying them all.
_HINT = re.compile(
    r"token|secret|passw|passphrase|checksum|api|totp|pin|otp|pwd|authorization|bearer|eyj|://|code=|client_id=|state=|"
    r"\d{6}(?::|%3a)",
    re.IGNORECASE,
)
#: What is said again and again, such as names of strategies and of keys, is looked at once. Longer texts are not kept.
_SHORT = 48


def _may_match(text: str) -> bool:
    return _HINT.search(text) is not None


def register_secret(value: str | bytes | None) -> bool:
    """From now on blot this value out of every text. False where it is too short to (see SHORTEST)."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value or ""
    if len(text.strip()) < SHORTEST:
        return False
    _known.update(_spellings(text))
    _compile()
    return True


def forget_secrets() -> None:
    """Drop every registered value; for tests and for a changed account."""
    _known.clear()
    _compile()


def holds_secret(text: str) -> bool:
    """Whether a registered value stands in the text."""
    return _known_pattern is not None and _known_pattern.search(text) is not None


@lru_cache(maxsize=2048)
def is_secret_name(name: str) -> bool:
    """Whether a value under this name is a secret: access_token, apiKey, X-Authorization, TOTP, pin, key …"""
    squashed = re.sub(r"[^a-z]", "", name.lower())
    if squashed in _PUBLIC:
        return False
    return bool(_STRONG.search(squashed)) or any(word.lower() in _WEAK for word in _WORDS.findall(name))


def mask_text(text: str) -> str:
    """``text`` without secrets. Lone surrogates, which no file can take, are escaped."""
    return _remembered(text, _generation) if len(text) <= _SHORT else _masked(text)


def _masked(text: str) -> str:
    text = _encodable(str.__str__(text))
    if _known_pattern is not None:
        text = _known_pattern.sub(MASK, text)
    if _may_match(text):
        for pattern, replacement in _SHAPES:
            text = pattern.sub(replacement, text)
    # A shape that was cut out may have joined two halves; MASK in between makes that a mere precaution.
    return _known_pattern.sub(MASK, text) if _known_pattern is not None else text


@lru_cache(maxsize=4096)
def _remembered(text: str, generation: int) -> str:
    """``generation`` of the registered values: what a thread found out with the ones before is not believed."""
    return _masked(text)


def mask(value: object, *, name: str = "") -> Any:
    """Plain JSON values without secrets, from anything: mappings, sequences, sets, dataclasses, pydantic
    models, exceptions, bytes, any object by its ``repr``. ``name`` is the key the value stands under.

    Never raises and never loops: what is nested too deep is replaced by the mask.
    """
    return _mask(value, name, 0)


def _mask(value: object, name: str, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if (name and is_secret_name(name)) or depth > _DEEPEST:
        return MASK
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        return mask_text(_as_text(value))
    if isinstance(value, (int, float)):
        return _number(value)
    return _mask_structure(value, depth + 1)


def _mask_structure(value: object, depth: int) -> Any:
    try:
        pairs = _pairs(value)
        if pairs is not None:
            return {mask_text(_as_text(key)): _mask(item, _as_text(key), depth) for key, item in pairs}
        if isinstance(value, (list, tuple, Set)):
            return _mask_items(list(value), depth)
        return mask_text(_as_text(value))
    except Exception:  # an object whose attributes or items raise must not stop the writer
        return f"<unprintable {type(value).__name__}>"


def _mask_items(items: list[object], depth: int) -> list[Any]:
    """A pair whose first item is a secret-like name, as in lists of headers, hides its second one."""
    if len(items) == 2 and isinstance(items[0], (str, bytes)) and is_secret_name(_as_text(items[0])):
        return [_mask(items[0], "", depth), MASK]
    return [_mask(item, "", depth) for item in items]


def _pairs(value: object) -> Iterable[tuple[object, object]] | None:
    """Name and value of everything that has names; None for the rest."""
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return [(field.name, getattr(value, field.name, None)) for field in dataclasses.fields(value)]
    names = getattr(type(value), "_fields", None) or getattr(type(value), "model_fields", None)
    if isinstance(names, (tuple, Mapping)):
        return [(name, getattr(value, name, None)) for name in names]
    return None


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "backslashreplace")
    try:
        if isinstance(value, BaseException):
            return f"{type(value).__name__}: {value}"
        return str(value) if type(value).__str__ is not object.__str__ else repr(value)
    except Exception:
        return f"<unprintable {type(value).__name__}>"


def _number(value: int | float) -> int | float | str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    text = repr(float(value) if isinstance(value, float) else int(value))
    if _known_pattern is not None and _known_pattern.search(text):
        return MASK
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return text
    return value


def _encodable(text: str) -> str:
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _spellings(text: str) -> set[str]:
    """The value as it may stand in a text."""
    text = _encodable(text)
    raw = text.encode()
    encoded = {quote(text), quote(text, safe=""), quote_plus(text)}
    lowered = {re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), item) for item in encoded}
    escaped = {
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(text)[1:-1],
        repr(raw)[2:-1],
        raw.decode("latin-1"),
    }
    return {text, text.strip()} | encoded | lowered | escaped


def _compile() -> None:
    global _generation, _known_pattern
    longest_first = sorted(_known, key=len, reverse=True)
    _known_pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
    _generation += 1
    _remembered.cache_clear()
