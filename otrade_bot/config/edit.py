"""One value changed inside a settings file, every other byte left as a person wrote it.

Objects and lists are changed from within: what is the same in the old value and the new one keeps its bytes too. What
is new is written as its neighbours are: on one line, or indented.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any, NamedTuple

from otrade_bot.config import files
from otrade_bot.core.errors import ConfigException

__all__ = ["replaced", "same"]

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def replaced(document: files.Document, key: str, value: Any) -> bytes:
    """The document's bytes with ``key`` of its outermost object holding ``value``, plain JSON; a missing key comes
    first.

    Raises ConfigException for what is not JSON, and where the result would say anything else.
    """
    text = document.raw.decode("utf-8")
    try:
        plain = json.loads(json.dumps(value, allow_nan=False))
        made = _outermost(text, document.values, key, plain).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigException(f"cannot be written as JSON: {error}", file=document.path, key=key) from None
    if not same(files.parse(made, document.path), {**document.values, key: plain}):
        raise ConfigException("cannot be changed without touching the rest", file=document.path, key=key)
    return made


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1, and 1 is not 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


class _Item(NamedTuple):
    """An element of a list, or a member of an object, which has a name; from its first character to its last one."""

    name: str | None
    start: int
    value: int
    end: int


class _Inside(NamedTuple):
    """A list or an object in a text, its brackets included."""

    text: str
    start: int
    items: list[_Item]
    end: int

    @property
    def head(self) -> str:
        """The space after the opening bracket."""
        return self.text[self.start + 1 : self.items[0].start] if self.items else ""

    @property
    def between(self) -> str:
        if len(self.items) > 1:
            return self.text[self.items[0].end : self.items[1].start]
        return f",{self.head or ' '}"

    def after(self, item: _Item) -> str:
        return self.text[item.end : self.items[self.items.index(item) + 1].start]

    def follow(self, item: _Item, other: _Item) -> bool:
        return self.items.index(other) == self.items.index(item) + 1

    def spread(self) -> str | None:
        """The line break and indentation of each new item; None where all stand on one line."""
        spread = "\n" in self.head or (not self.items and "\n" in self.text[self.start : self.end])
        return self.head if spread else None


def _outermost(text: str, values: dict[str, Any], key: str, value: Any) -> str:
    inside = _inside(text, _after_space(text, 0))
    unit = _unit(inside)
    found = next((item for item in inside.items if item.name == key), None)
    if found is not None:
        return text[: found.value] + _patched(text, found.value, values[key], value, unit, inside) + text[found.end :]
    member = f"{json.dumps(key)}: {_rendered(value, inside, unit)}"
    brace = inside.start + 1
    if not inside.items:
        return f"{text[:brace]}{member}{text[inside.end - 1 :]}"
    return f"{text[:brace]}{inside.head}{member},{inside.head or ' '}{text[inside.items[0].start :]}"


def _patched(text: str, at: int, old: Any, new: Any, unit: str, around: _Inside) -> str:
    """The characters of ``new`` where those of ``old`` begin at ``at``."""
    end = _DECODER.raw_decode(text, at)[1]
    if same(old, new):
        return text[at:end]
    if new and old and isinstance(old, dict) and isinstance(new, dict):
        return _object(_inside(text, at), old, new, unit)
    if new and old and isinstance(old, list) and isinstance(new, list):
        return _list(_inside(text, at), old, new, unit)
    return _rendered(new, around, unit)


def _object(inside: _Inside, old: dict[str, Any], new: dict[str, Any], unit: str) -> str:
    kept: list[tuple[_Item | None, str]] = []
    for item in inside.items:
        if item.name in new:
            value = _patched(inside.text, item.value, old[item.name], new[item.name], unit, inside)
            kept.append((item, inside.text[item.start : item.value] + value))
    for name in (name for name in new if name not in old):
        member = f"{json.dumps(name, ensure_ascii=False)}: {_rendered(new[name], inside, unit)}"
        kept.append((None, member))
    return _joined(inside, kept)


def _list(inside: _Inside, old: list[Any], new: list[Any], unit: str) -> str:
    """What stands in the same order at both ends is kept; in the middle as many as can be are changed from within."""
    shorter = min(len(old), len(new))
    head = next((at for at in range(shorter) if not same(old[at], new[at])), shorter)
    left = shorter - head
    tail = next((at for at in range(left) if not same(old[-1 - at], new[-1 - at])), left)
    kept: list[tuple[_Item | None, str]] = []
    for at, value in enumerate(new):
        before = at if at < len(new) - tail else at - len(new) + len(old)
        if before < len(old) - (tail if at < len(new) - tail else 0):
            item = inside.items[before]
            kept.append((item, _patched(inside.text, item.value, old[before], value, unit, inside)))
        else:
            kept.append((None, _rendered(value, inside, unit)))
    return _joined(inside, kept)


def _joined(inside: _Inside, kept: list[tuple[_Item | None, str]]) -> str:
    """Items with the space that was between them."""
    text, opened, closed = inside.text, inside.text[inside.start], inside.text[inside.end - 1]
    tail = text[inside.items[-1].end : inside.end - 1]
    if not kept:
        return opened + closed
    out = [opened, inside.head, kept[0][1]]
    for (before, _), (item, piece) in pairwise(kept):
        out += [inside.after(before) if before and item and inside.follow(before, item) else inside.between, piece]
    return "".join([*out, tail, closed])


def _rendered(value: Any, around: _Inside, unit: str) -> str:
    """As its neighbours are: a container on one line where they all are."""
    gap = around.spread()
    siblings = [item for item in around.items if around.text[item.value] in "[{" and item.end - item.value > 2]
    flat = siblings and not any("\n" in around.text[item.value : item.end] for item in siblings)
    if gap is None or (flat and around.text[around.start] == "["):
        return json.dumps(value, ensure_ascii=False)
    step = gap[gap.find("\r\n") if "\r\n" in gap else gap.rfind("\n") :]
    return json.dumps(value, ensure_ascii=False, indent=unit).replace("\n", step)


def _unit(inside: _Inside) -> str:
    """One step of indentation."""
    return inside.head[inside.head.rfind("\n") + 1 :] if "\n" in inside.head else "  "


def _inside(text: str, at: int) -> _Inside:
    """The container that begins there; the text is valid."""
    named, items, start = text[at] == "{", [], at
    at = _after_space(text, at + 1)
    while text[at] not in "]}":
        first, name = at, None
        if named:
            name, at = _DECODER.raw_decode(text, at)
            at = _after_space(text, _after_space(text, at) + 1)
        _, end = _DECODER.raw_decode(text, at)
        items.append(_Item(name, first, at, end))
        at = _after_space(text, end)
        if text[at] == ",":
            at = _after_space(text, at + 1)
    return _Inside(text, start, items, at + 1)


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
