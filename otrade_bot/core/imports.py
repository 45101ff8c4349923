"""Libraries without what they bring along and nobody here uses.

A library that can do without an optional part says so with ``except ImportError``. ``without`` makes such a part look
absent while the library is imported, and only then: who asks for it later gets it. What was loaded before stays.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, cast

__all__ = ["kite_sdk", "sparse", "telegram_library", "without"]


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Inside, importing one of these modules fails as if it was not installed, unless it is loaded already."""
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = cast(Any, None)
    try:
        yield
    finally:
        for name in hidden:
            if sys.modules.get(name) is None:
                sys.modules.pop(name, None)


@contextmanager
def sparse(*packages: str) -> Iterator[None]:
    """Inside, modules of these packages are found, but the packages themselves, which would load all of them, are
    empty. Later they are themselves, unless they are loaded already."""
    made: dict[str, ModuleType] = {}
    for name in packages:
        spec = importlib.util.find_spec(name) if name not in sys.modules else None
        if spec is not None and spec.submodule_search_locations is not None:
            made[name] = sys.modules[name] = ModuleType(name)
            made[name].__path__ = spec.submodule_search_locations
            made[name].__spec__ = spec
    try:
        yield
    finally:
        for name, module in made.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
            parent, _, last = name.rpartition(".")
            if parent in sys.modules and vars(sys.modules[parent]).get(last) is module:
                delattr(sys.modules[parent], last)


def kite_sdk() -> ModuleType:
    """``kiteconnect`` without its streamer, which brings Twisted: 16 MB and a reactor. Whoever asks it for
    ``KiteTicker`` gets the real one then. And ``requests`` without guessing what letters an answer is written in where
    it does not say: 3 MB, and Kite writes UTF-8. Raises ImportError where it is not installed."""
    name = "kiteconnect.ticker"
    if "kiteconnect" in sys.modules or name in sys.modules:
        return importlib.import_module("kiteconnect")
    stand_in = sys.modules[name] = ModuleType(name)
    stand_in.KiteTicker = None  # type: ignore[attr-defined]
    try:
        with without("chardet", "charset_normalizer"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # requests misses it
            sdk = importlib.import_module("kiteconnect")
    finally:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
    vars(sdk).pop("KiteTicker", None)
    sdk.__getattr__ = _streamer  # type: ignore[method-assign]
    return sdk


def _streamer(name: str) -> Any:
    """``kiteconnect``'s own name that was left out."""
    if name not in ("KiteTicker", "ticker"):
        raise AttributeError(f"module 'kiteconnect' has no attribute {name!r}")
    module = importlib.import_module("kiteconnect.ticker")
    return module if name == "ticker" else module.KiteTicker


def telegram_library() -> None:
    """python-telegram-bot without what opens passports, and httpx without its command line: 14 MB."""
    with without("httpx._main", "cryptography"):
        importlib.import_module("telegram.request")
