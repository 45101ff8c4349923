"""Reads, checks, swaps and writes the settings. All or nothing: a bad file changes nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import orjson
from pydantic import ValidationError

from otrade_bot.config import edit, files
from otrade_bot.config.explain import dotted, explain, holds
from otrade_bot.config.files import Document
from otrade_bot.config.models import FILES, Config
from otrade_bot.config.paths import checked_environment, config_dir, environment
from otrade_bot.config.rules import as_exception, first_fault
from otrade_bot.core.errors import ConfigException

__all__ = ["Check", "ConfigManager", "default_document", "differences"]

#: Called with settings that are about to hold; its ConfigException keeps the old ones.
Check = Callable[[Config], None]


class _Source(NamedTuple):
    """The two documents of one settings file; None where there is none."""

    base: Document | None
    overlay: Document | None


_Sources = dict[str, _Source]


class ConfigManager:
    """The settings of one folder and environment.

    ``config/*.json`` is the base, ``config/<env>/*.json`` goes on top of it. Nothing is cached between
    reads but the settings that hold, so ``reload`` sees the files as they are. Safe to call from several
    threads; ``current`` takes no lock. A ``Check`` given to ``load`` holds for ``reload`` and ``update`` too.
    """

    _instance: ClassVar[ConfigManager | None] = None
    _instance_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, config_dir: str | os.PathLike[str], env: str = "dev") -> None:
        """Touches no file. Raises ConfigException for an unknown environment."""
        self.config_dir = Path(config_dir)
        self.env = checked_environment(env)
        self._paths = {
            name: (str(self.config_dir / name), str(self.config_dir / self.env / name)) for name in FILES
        }
        self._lock = threading.RLock()
        self._check: Check | None = None
        self._current: Config | None = None

    @classmethod
    def get_instance(
        cls, config_dir: str | os.PathLike[str] | None = None, env: str | None = None
    ) -> ConfigManager:
        """The process's one manager; made at the first call, by default from ``OTRADE_CONFIG_DIR`` and
        ``OTRADE_ENV``. Raises ConfigException where a later call asks for another folder or environment."""
        with cls._instance_lock:
            if cls._instance is None:
                cls._instance = cls(config_dir or _default_dir(), env or environment())
            found = cls._instance
        if config_dir is not None and Path(config_dir) != found.config_dir:
            raise ConfigException(f"settings are already read from {found.config_dir}", value=str(config_dir))
        if env is not None and env != found.env:
            raise ConfigException(f"settings are already those of {found.env}", key="OTRADE_ENV", value=env)
        return found

    @classmethod
    def forget_instance(cls) -> None:
        """The next ``get_instance`` makes a new manager; for tests."""
        with cls._instance_lock:
            cls._instance = None

    @property
    def current(self) -> Config:
        """The settings that hold; read at the first use, without writing. Raises ConfigException."""
        found = self._current
        return found if found is not None else self.load(create=False)

    def load(self, check: Check | None = None, *, create: bool = True) -> Config:
        """Read and check all files, then let them hold. With ``create`` missing files are written with
        their defaults; without, the defaults hold unwritten. Raises ConfigException, and changes nothing."""
        with self._lock:
            hook = check or self._check
            sources = self._read()
            config = self._accept(sources, hook)
            if create:
                self._write_missing(sources)
            self._check, self._current = hook, config
            return config

    def reload(self) -> Config:
        """As ``load``, without writing. Raises ConfigException, and the old settings go on holding."""
        return self.load(create=False)

    def update(self, file: str, changes: Mapping[str, Any]) -> Config:
        """Merge ``changes`` (nested, plain JSON values) into a base file: checked as a whole, written at
        once, then in force. Raises ConfigException, and neither file nor settings change; also where the
        overlay holds the key, since the change would have no effect."""
        name = file if file.endswith(".json") else f"{file}.json"
        if name not in FILES:
            raise ConfigException("no such settings file", file=file, allowed=", ".join(FILES))
        with self._lock:
            sources = self._read()
            base = self._changed(name, sources[name], changes)
            sources[name] = sources[name]._replace(base=base)
            config = self._accept(sources, self._check)
            files.write(base.path, base.raw)
            self._current = config
            return config

    def put(self, file: str, key: str, value: Any, *, dry: bool = False) -> str:
        """Set one outermost key to any JSON value in the file where it is read, the overlay where that holds it, and
        leave the rest of that file as it was, byte for byte, also what inside of the value stays the same; the path of
        the file. Checked as a whole before; ``dry`` writes nothing. Raises ConfigException, and nothing has changed."""
        if file not in FILES:
            raise ConfigException("no such settings file", file=file, allowed=", ".join(FILES))
        with self._lock:
            sources = self._read()
            base, over = sources[file]
            there = over if over is not None and key in over.values else base
            if there is None:
                raw = default_document(file)
                there = Document(self._paths[file][0], raw, files.parse(raw, file))
            made = edit.replaced(there, key, value)
            new = there._replace(raw=made, values=files.parse(made, there.path))
            sources[file] = sources[file]._replace(**{"overlay" if there is over else "base": new})
            self._demand_effect(file, sources[file], key, new.values[key])
            config = self._accept(sources, self._check)
            if not dry:
                files.write(there.path, made)
                self._current = config
            return there.path

    def written(self, file: str, key: str) -> Any:
        """The value of an outermost key as it stands in the file that ``put`` would write; None where it stands in
        none. Raises ConfigException."""
        base, over = files.read(self._paths[file][0]), files.read(self._paths[file][1])
        there = over if over is not None and key in over.values else base
        return there.values.get(key) if there is not None else None

    def schema(self) -> dict[str, dict[str, Any]]:
        """JSON Schema by file name."""
        dialect = "https://json-schema.org/draft/2020-12/schema"
        return {name: {"$schema": dialect, **model.model_json_schema()} for name, model in FILES.items()}

    def show(self) -> dict[str, dict[str, Any]]:
        """The settings that hold, merged, as plain JSON values by file name. Raises ConfigException."""
        return as_documents(self.current)

    # --- steps ----------------------------------------------------------------------------------------

    def _read(self) -> _Sources:
        self._check_names()
        return {
            name: _Source(files.read(base), files.read(over)) for name, (base, over) in self._paths.items()
        }

    def _check_names(self) -> None:
        """A misspelt overlay would be ignored in silence."""
        folder = self.config_dir / self.env
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ConfigException(f"cannot be read: {error.strerror}", file=str(folder)) from error
        for name in sorted(names):
            if name.endswith(".json") and name not in FILES and not name.startswith("."):
                raise ConfigException(
                    "no such settings file", file=str(folder / name), allowed=", ".join(FILES)
                )

    def _accept(self, sources: _Sources, check: Check | None) -> Config:
        """Settings made of the documents, past every check."""
        parts = {name.removesuffix(".json"): self._part(name, source) for name, source in sources.items()}
        config = Config(**parts)
        fault = first_fault(config)
        if fault is not None:
            over = sources[fault.file].overlay
            inside = over is not None and holds(over.values, fault.loc)
            raise as_exception(fault, self._paths[fault.file][1 if inside else 0])
        if check is not None:
            check(config)
        return config

    def _part(self, name: str, source: _Source) -> Any:
        base, over = self._paths[name]
        raw = _merged(name, source, over)
        try:
            return FILES[name].model_validate_json(raw)
        except ValidationError as error:
            values = source.overlay.values if source.overlay is not None else None
            raise explain(error, FILES[name], base, over, values) from error

    def _demand_effect(self, name: str, source: _Source, key: str, value: Any) -> None:
        """Objects of the overlay are laid over the base's: what is to go may stand in the other file."""
        base, over = source
        if base is not None and over is not None and not edit.same(files.merge(base.values, over.values)[key], value):
            raise ConfigException(f"is partly in {over.path}: change it by hand", file=base.path, key=key)

    def _changed(self, name: str, source: _Source, changes: Mapping[str, Any]) -> Document:
        """The base document after the changes, not yet checked."""
        path, over = self._paths[name]
        for loc, value in _leaves(changes):
            if source.overlay is not None and holds(source.overlay.values, loc):
                text = f"holds this key and goes before {path}: change it there"
                raise ConfigException(text, file=over, key=dotted(loc), value=value)
        before = source.base.values if source.base is not None else files.parse(default_document(name), path)
        try:
            raw = files.pretty(files.merge(before, changes))
        except TypeError as error:
            raise ConfigException(f"cannot be written as JSON: {error}", file=path) from error
        return Document(path, raw, files.parse(raw, path))

    def _write_missing(self, sources: _Sources) -> None:
        for name, source in sources.items():
            if source.base is None:
                files.write(self._paths[name][0], default_document(name))


def _default_dir() -> Path:
    return config_dir()


def _merged(name: str, source: _Source, over: str) -> bytes:
    """The bytes to validate: the file's own where there is no overlay."""
    base, overlay = source
    if overlay is None:
        return base.raw if base is not None else default_document(name)
    values = base.values if base is not None else files.parse(default_document(name), name)
    try:
        return orjson.dumps(files.merge(values, overlay.values))
    except TypeError as error:
        raise ConfigException(f"is not JSON for settings: {error}", file=over) from error


@cache
def default_document(name: str) -> bytes:
    """A settings file as it is written where it is missing."""
    return files.pretty(_plain(FILES[name]()))


def _plain(model: Any) -> dict[str, Any]:
    values: dict[str, Any] = model.model_dump(mode="json", by_alias=True)
    return values


def as_documents(config: Config) -> dict[str, dict[str, Any]]:
    """Settings as plain JSON values by file name."""
    return {name: _plain(getattr(config, name.removesuffix(".json"))) for name in FILES}


def differences(old: Config, new: Config) -> list[tuple[str, str, Any, Any]]:
    """(file, dotted key, old value, new value) of everything that differs; None where there is no value."""
    before, after = as_documents(old), as_documents(new)
    return [(name, *change) for name in FILES for change in _differing(before[name], after[name], ())]


def _differing(old: Any, new: Any, loc: tuple[str, ...]) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from _differing(old.get(key), new.get(key), (*loc, key))
    elif old != new:
        yield dotted(loc), old, new


def _leaves(values: Mapping[str, Any], loc: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*loc, key))
        else:
            yield (*loc, key), value
