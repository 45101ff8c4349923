"""Pictures for the phone: what they show is gathered here, children draw them and read past days.

It only tells: whatever fails here costs the picture, is said in words, and never touches trading.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from otrade_bot.control.pictures import SymbolDay
from otrade_bot.control.reply import Picture
from otrade_bot.core.clock import MINUTE
from otrade_bot.core.errors import CommandException
from otrade_bot.core.events import Event
from otrade_bot.core.lang import t
from otrade_bot.research.drawings import Drawing, encoded
from otrade_bot.research.past import Ask, Past, answer_of, question_of
from otrade_bot.service.child import Children
from otrade_bot.service.daymarks import DayMarks
from otrade_bot.service.daytape import DayTape
from otrade_bot.service.logs import get_logger
from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["CHARTS", "PAST", "Pictures"]

CHARTS, PAST = "otrade_bot.research.charts", "otrade_bot.research.past"
_PNG = b"\x89PNG\r\n\x1a\n"


class Pictures:
    """A ``PictureDesk``. ``begin`` with each engine, before its first word."""

    def __init__(self, state_dir: Path, children: Children | None = None) -> None:
        self._state_dir, self._children = state_dir, children or Children()
        self._tape: DayTape | None = None
        self._marks = DayMarks()

    def begin(self, engine: LiveTradingEngine, before: Iterable[Mapping[str, Any]]) -> None:
        """A day is opened (again); ``before``: the lines of its journal so far."""
        self._tape, self._marks = DayTape(engine), DayMarks(before)

    def on_event(self, event: Event) -> None:
        """An observer of every day's engine."""
        self._marks.on_event(event)

    def symbol_day(self, symbol: str, minutes: int) -> SymbolDay:
        tape, marks = self._tape, self._marks
        if tape is None:
            return SymbolDay(symbol, minutes, ())
        candles = tape.candles(symbol, minutes)
        begins = candles[0][0] - minutes * MINUTE if candles else 0
        entered = tuple(mark for mark in marks.marks(symbol) if mark.ns >= begins)  # others are of earlier days
        return SymbolDay(symbol, minutes, candles, tape.averages(symbol), marks.levels(symbol), entered)

    def curve(self) -> Sequence[tuple[int, int]]:
        return self._tape.curve() if self._tape is not None else ()

    async def past(self, asked: Ask) -> Past:
        try:
            return answer_of(await self._children.ask(PAST, question_of(self._state_dir, asked)))
        except CommandException as error:
            raise CommandException(t("Past days cannot be told: {why}.", why=error)) from None
        except ValueError as error:
            get_logger("error").error("past days cannot be told", error=repr(error))
            raise CommandException(t("Past days cannot be told: the error log has details.")) from None

    async def draw(self, drawing: Drawing, name: str) -> Picture | str:
        try:
            png = await self._children.ask(CHARTS, encoded(drawing))
        except CommandException as error:
            return str(error)
        return Picture(name, png) if png.startswith(_PNG) else t("it failed, the error log has details")
