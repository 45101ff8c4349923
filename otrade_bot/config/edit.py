"""One plain value changed inside a settings file, every other byte left as a person wrote it."""

from __future__ import annotations

import json
import re

from otrade_bot.config import files
from otrade_bot.core.errors import ConfigException

__all__ = ["replaced"]

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def replaced(document: files.Document, key: str, value: str) -> bytes:
    """The document's bytes with ``key`` of its outermost object holding ``value``; a missing key comes first.

    Raises ConfigException where the result would say anything else.
    """
    text = document.raw.decode("utf-8")
    found = _span(text, key)
    word = json.dumps(value, ensure_ascii=False)
    made = (_with_first(text, key, word) if found is None else text[: found[0]] + word + text[found[1] :]).encode()
    if files.parse(made, document.path) != {**document.values, key: value}:
        raise ConfigException("cannot be changed without touching the rest", file=document.path, key=key)
    return made


def _span(text: str, key: str) -> tuple[int, int] | None:
    """Where the value of ``key`` begins and ends; the text is one valid object."""
    at = _after_space(text, text.index("{") + 1)
    while text[at] == '"':
        name, at = _DECODER.raw_decode(text, at)
        start = _after_space(text, _after_space(text, at) + 1)
        _, end = _DECODER.raw_decode(text, start)
        if name == key:
            return start, end
        at = _after_space(text, end)
        if text[at] != ",":
            break
        at = _after_space(text, at + 1)
    return None


def _with_first(text: str, key: str, word: str) -> str:
    brace = text.index("{") + 1
    first = _after_space(text, brace)
    if text[first] == "}":
        return f"{text[:brace]}{json.dumps(key)}: {word}{text[first:]}"
    gap = text[brace:first]
    return f"{text[:brace]}{gap}{json.dumps(key)}: {word},{gap or ' '}{text[first:]}"


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
