"""Audits of a day's journal, read by a child: a day may have 25 MB."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from otrade_bot.core.errors import CommandException, DataException
from otrade_bot.core.lang import t
from otrade_bot.service.child import Children
from otrade_bot.service.journal import day_path, days

__all__ = ["Audits", "earlier_of"]


class Audits:
    """``today`` is the day that is open."""

    def __init__(self, state_dir: Path, today: Callable[[], date], children: Children | None = None) -> None:
        self._state_dir, self._today, self._children = state_dir, today, children or Children()

    async def audit(self, day: date | None, newest: int) -> Mapping[str, Any]:
        """Raises CommandException."""
        day = day or self._today()
        path = day_path(self._state_dir, day)
        if not path.is_file():
            raise CommandException(t("There is no journal of {day}.", day=day.isoformat()))
        earlier = earlier_of(self._state_dir, day)
        asked = {"path": str(path.absolute()), "earlier": str(earlier.absolute()) if earlier else "", "newest": newest}
        try:
            found: Mapping[str, Any] = orjson.loads(
                await self._children.ask("otrade_bot.research.audit", orjson.dumps(asked))
            )
        except (DataException, ValueError) as error:
            raise CommandException(t("The journal cannot be read: {why}", why=error)) from error
        return found


def earlier_of(state_dir: Path, day: date) -> Path | None:
    """The newest journal before that day's."""
    found = [one for one in days(state_dir) if one < day]
    return day_path(state_dir, found[-1]) if found else None
