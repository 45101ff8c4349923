"""The published Bot API as data, and whether a request or an answer is of its form.

The description is not part of the project; where it is absent nothing is checked.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

API = Path(__file__).resolve().parents[3] / "shared/venues/telegram/api.json"
PRIMITIVES: dict[str, type | tuple[type, ...]] = {
    "Integer": int,
    "Float": (int, float),
    "String": str,
    "Boolean": bool,
    "True": bool,
}
# Fields that later versions added.
NEWER = {
    "AcceptedGiftTypes": {"gifts_from_channels"},
    "InlineKeyboardButton": {"style", "icon_custom_emoji_id"},
    "KeyboardButton": {"style", "icon_custom_emoji_id"},
}


class Schema:
    """Each check returns what is wrong, one line a fault."""

    def __init__(self, api: dict[str, Any]) -> None:
        self._methods: dict[str, Any] = api["methods"]
        self._types: dict[str, Any] = api["types"]

    def knows(self, method: str) -> bool:
        return method in self._methods

    def request(self, method: str, params: dict[str, str]) -> list[str]:
        """Names, types and completeness of a request's parameters, as they came over the wire."""
        fields = {field["name"]: field for field in self._methods[method].get("fields", [])}
        wrong = [f"{method}: unknown parameter {name!r}" for name in params if name not in fields]
        wrong += [f"{method}: {n!r} is required" for n, f in fields.items() if f["required"] and n not in params]
        for name in params.keys() & fields.keys():
            wrong += self._parameter(params[name], fields[name]["types"], f"{method}: {name}")
        return wrong

    def result(self, method: str, value: Any) -> list[str]:
        """The ``result`` of an ok answer."""
        return self._any(value, self._methods[method]["returns"], f"{method}'s answer")

    def value(self, value: Any, kind: str, where: str) -> list[str]:
        """One object of a named type."""
        return self._any(value, [kind], where)

    def _parameter(self, raw: str, kinds: list[str], where: str) -> list[str]:
        if "String" in kinds:
            return []
        try:
            value = json.loads(raw)
        except ValueError:
            return [f"{where} = {raw!r} is no {' or '.join(kinds)}"]
        return self._any(value, kinds, where)

    def _any(self, value: Any, kinds: list[str], where: str) -> list[str]:
        """No fault if one of the types fits; else the faults of the nearest."""
        return min((self._one(value, kind, where) for kind in kinds), key=len)

    def _one(self, value: Any, kind: str, where: str) -> list[str]:
        if kind.startswith("Array of "):
            if not isinstance(value, list):
                return [f"{where} = {value!r} is no {kind}"]
            return [w for i, each in enumerate(value) for w in self._one(each, kind[9:], f"{where}[{i}]")]
        if kind in PRIMITIVES:
            fits = isinstance(value, PRIMITIVES[kind]) and (kind in ("Boolean", "True") or not isinstance(value, bool))
            return [] if fits else [f"{where} = {value!r} is no {kind}"]
        if "subtypes" in self._types[kind]:
            return self._any(value, self._types[kind]["subtypes"], where)
        return self._object(value, kind, where)

    def _object(self, value: Any, kind: str, where: str) -> list[str]:
        if not isinstance(value, dict):
            return [f"{where} = {value!r} is no {kind}"]
        fields = {field["name"]: field for field in self._types[kind].get("fields", [])}
        known = fields.keys() | NEWER.get(kind, set())
        wrong = [f"{where}: {kind} has no field {name!r}" for name in value if name not in known]
        wrong += [f"{where}: {kind} needs {n!r}" for n, f in fields.items() if f["required"] and n not in value]
        for name in value.keys() & fields.keys():
            wrong += self._any(value[name], fields[name]["types"], f"{where}.{name}")
        return wrong


@cache
def published(path: Path = API) -> Schema | None:
    """The published description; None where it is absent."""
    return Schema(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
