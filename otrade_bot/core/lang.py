"""What people read, in their own language: one catalogue, English template -> Hindi template.

``t`` is given the English words as they stand in the code; who reads them is told by ``speaking`` around the call.
Journals, logs and what other programs read are English always, so nothing outside of ``speaking`` is translated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.resources import files
from typing import Literal

__all__ = ["LANGUAGES", "Language", "catalogue", "language", "phrase", "speaking", "t"]

Language = Literal["en", "hi"]
#: By its code the name of each language, in itself.
LANGUAGES: Mapping[Language, str] = {"en": "English", "hi": "हिन्दी"}

_spoken: ContextVar[Language] = ContextVar("spoken", default="en")


def t(english: str, /, **values: object) -> str:
    """The words in the language that is spoken, with ``{name}`` filled in; English where the catalogue lacks them.

    Values are put in as they are: a brace in a symbol or an error does no harm. Raises KeyError for a value that is
    missing."""
    spoken = _spoken.get()
    template = english if spoken == "en" else catalogue(spoken).get(english, english)
    return template.format_map(values) if values else template


def phrase(english: str, /) -> str:
    """As it is: marks a template that is given to ``t`` elsewhere, so that no catalogue lacks it."""
    return english


def language() -> Language:
    """The one that is spoken here."""
    return _spoken.get()


@contextmanager
def speaking(spoken: Language) -> Iterator[None]:
    """Within, ``t`` says it in that language."""
    token = _spoken.set(spoken)
    try:
        yield
    finally:
        _spoken.reset(token)


@cache
def catalogue(spoken: Language) -> Mapping[str, str]:
    """English -> that language, read when it is first spoken; empty for English."""
    if spoken == "en":
        return {}
    found: dict[str, str] = json.loads(files("otrade_bot.core").joinpath(f"{spoken}.json").read_text("utf-8"))
    return found
