"""A control.json that is only a dictionary, for what keeps a part of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Shelf:
    """``kept``: what is in it."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def part(self, key: str) -> Mapping[str, Any]:
        return dict(self.kept.get(key, {}))

    def keep_part(self, key: str, document: Mapping[str, Any]) -> str:
        self.kept[key] = dict(document)
        return ""
