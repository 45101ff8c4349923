"""Reading and writing one JSON document: every fault a ConfigException, every write all or nothing."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from otrade_bot.core.errors import ConfigException
from otrade_bot.core.jsonlines import sync_folder

__all__ = ["Document", "merge", "parse", "pretty", "read", "write"]

LARGEST = 16 * 1024 * 1024  #: bytes; no settings file is that long, a log given by mistake may be


class Document(NamedTuple):
    """A file as bytes (without a byte order mark) and as values."""

    path: str
    raw: bytes
    values: dict[str, Any]


def read(path: str) -> Document | None:
    """The document in a file, None where there is no file. Raises ConfigException."""
    try:
        if stat.S_ISFIFO(os.stat(path).st_mode):
            raise ConfigException("is not a regular file", file=path)  # opening a pipe would wait for ever
        with open(path, "rb", buffering=0) as handle:
            raw = handle.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigException(f"cannot be read: {error.strerror or error}", file=path) from error
    if len(raw) > LARGEST:
        raise ConfigException("is too long for a settings file", file=path, allowed=f"{LARGEST} bytes")
    raw = raw.removeprefix(codecs.BOM_UTF8)
    return Document(path, raw, parse(raw, path))


class _LenientError(ValueError):
    """JSON that is well formed for a lenient reader, and wrong for us."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _LenientError(f"the key {twice!r} stands twice in one object")
    return values


def _constant(word: str) -> Any:
    raise _LenientError(f"{word} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant)


def parse(raw: bytes, path: str) -> dict[str, Any]:
    """The object in ``raw``. Raises ConfigException with line and column of a slip."""
    try:
        values = _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigException(f"is not UTF-8 text (line {line})", file=path) from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise ConfigException(f"is not JSON: {where}: {error.msg}", file=path) from error
    except (ValueError, RecursionError) as error:
        why = "is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise ConfigException(f"is not JSON for settings: {why}", file=path) from error
    if not isinstance(values, dict):
        raise ConfigException("does not hold an object", file=path, allowed='{"key": value, …}')
    return values


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` on top of ``base``: objects merge, lists and plain values replace. Changes neither."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if both and isinstance(old, Mapping) else value
    return merged


def pretty(values: Any) -> bytes:
    """As settings are written: two spaces, one line at the end. Raises TypeError for what is not JSON."""
    return orjson.dumps(values, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def write(path: str, raw: bytes) -> None:
    """Replace a file at once: after a crash it holds the old or the new bytes, whole.

    A symbolic link stays one; the mode of an existing file stays. Raises ConfigException.
    """
    target = Path(os.path.realpath(path))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, raw)
    except OSError as error:
        raise ConfigException(f"cannot be written: {error.strerror or error}", file=path) from error


def _replace(target: Path, raw: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fchmod(file.fileno(), _mode(target))
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    sync_folder(target.parent)


def _mode(target: Path) -> int:
    """That of the file to be replaced; a new one may be read by all: it holds no secrets."""
    try:
        return target.stat().st_mode & 0o777
    except FileNotFoundError:
        return 0o644
