"""A validation error in words: which file, which key, what value, what is allowed.

What is allowed is read from the model's JSON Schema, so that it can never differ from what is checked. A secret that
was put into a settings file by mistake is not repeated.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from otrade_bot.core.errors import ConfigException
from otrade_bot.core.masking import mask, mask_text

__all__ = ["allowed_at", "dotted", "explain", "holds"]

Loc = Sequence[str | int]
_LONGEST = 120


def explain(
    error: ValidationError, model: type[BaseModel], base: str, overlay: str, over: Any
) -> ConfigException:
    """The first fault of ``error``. ``base`` and ``overlay`` are the files, ``over`` the overlay's values
    (None where there is none): the file named is the one that holds the value."""
    faults = error.errors(include_url=False, include_context=False)
    first = faults[0]
    loc = tuple(part for part in first["loc"] if part != "[key]")
    is_key = "[key]" in first["loc"]
    value, text = first.get("input"), first["msg"].removeprefix("Input ").removeprefix("Value error, ")
    if first["type"] in ("missing", "extra_forbidden"):
        text = "is missing" if first["type"] == "missing" else "is not a known key"
        value = None if first["type"] == "missing" else value
    elif first["type"] == "string_pattern_mismatch" and not is_key:
        text = "is not of the right form"
    elif value is None:
        text += " (got null)"
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return ConfigException(
        text + more,
        file=overlay if over is not None and holds(over, loc) else base,
        key=mask_text(dotted(loc)),
        value=_short(_harmless(value, loc)),
        allowed=_allowed_key(first["type"]) if is_key else allowed_at(model, loc),
    )


def _allowed_key(fault: str) -> str:
    """For a wrong name of an entry: its pattern is in the message already."""
    return "" if fault == "string_pattern_mismatch" else "a date like 2026-11-24"


def dotted(loc: Loc) -> str:
    """('strategies', 0, 'name') -> 'strategies.0.name'; a key with odd characters is escaped."""
    words = (str(part) for part in loc)
    return ".".join(word if word.isprintable() else ascii(word)[1:-1] for word in words)


def holds(values: Any, loc: Loc) -> bool:
    """Whether an overlay's own values reach to ``loc``: then they, not the base, are what is read there."""
    for part in loc:
        if not isinstance(values, Mapping):
            return True
        if part not in values:
            return False
        values = values[part]
    return bool(loc)


def _harmless(value: Any, loc: Loc) -> Any:
    """The value itself, unless it is a secret by its name or its looks."""
    masked = mask(value, name=str(loc[-1]) if loc else "")
    return value if masked in (None, value) else masked  # None: not a number


def _short(value: Any) -> Any:
    """Long values are cut: an error is one line."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else value[:_LONGEST] + "…"
    text = repr(value)
    return value if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def allowed_at(model: type[BaseModel], loc: Loc) -> str:
    """What may stand at ``loc``, in words; for an unknown key the known ones beside it."""
    schema = model.model_json_schema()
    nodes: list[Mapping[str, Any]] = [schema]
    for index, part in enumerate(loc):
        found = [child for node in nodes for child in _children(node, part, schema)]
        if not found:
            return _names(nodes, loc[index], schema)
        nodes = found
    return " or ".join(dict.fromkeys(filter(None, (_words(node) for node in _variants(nodes, schema)))))


def _variants(nodes: Sequence[Mapping[str, Any]], schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """References resolved, alternatives spread out."""
    for node in nodes:
        if "$ref" in node:
            name = node["$ref"].rpartition("/")[2]
            yield from _variants([schema["$defs"][name]], schema)
        elif "anyOf" in node:
            yield from _variants(node["anyOf"], schema)
        else:
            yield node


def _children(
    node: Mapping[str, Any], part: str | int, schema: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    for plain in _variants([node], schema):
        if isinstance(part, int):
            children = [plain.get("items")]
        else:
            free = [plain.get("additionalProperties"), *plain.get("patternProperties", {}).values()]
            children = [plain.get("properties", {}).get(part) or next(filter(None, free), None)]
        yield from (child for child in children if isinstance(child, Mapping))


def _names(nodes: Sequence[Mapping[str, Any]], given: str | int, schema: Mapping[str, Any]) -> str:
    known = [name for node in _variants(nodes, schema) for name in node.get("properties", {})]
    near = difflib.get_close_matches(str(given), known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return hint + ", ".join(known)


def _words(node: Mapping[str, Any]) -> str:
    if "enum" in node or "const" in node:
        return ", ".join(str(value) for value in node.get("enum", [node.get("const")]))
    if "pattern" in node:
        return str(node.get("description") or f"text like {node['pattern']}")
    if node.get("format") in ("date", "date-time"):
        return "a date like 2026-11-24"
    kinds = {
        "integer": "a whole number",
        "number": "a number",
        "string": "text",
        "boolean": "true or false",
        "array": "a list",
        "object": "an object",
        "null": "null",
    }
    kind = kinds.get(str(node.get("type", "")), "")
    bounds = " and ".join(word.format(node[key]) for key, word in _BOUNDS.items() if key in node)
    known = ", ".join(node.get("properties", {}))
    return " ".join(part for part in (kind, bounds, f"with {known}" if known else "") if part)


_BOUNDS = {
    "minimum": ">= {}",
    "exclusiveMinimum": "> {}",
    "maximum": "<= {}",
    "exclusiveMaximum": "< {}",
    "minLength": "at least {} long",
    "maxLength": "at most {} long",
    "minItems": "of at least {}",
    "maxItems": "of at most {}",
    "minProperties": "of at least {}",
    "maxProperties": "of at most {}",
}
