"""What commands need of whoever has pictures drawn, and of the days that are over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from otrade_bot.control.reply import Picture
from otrade_bot.research.drawings import Average, Candle, Drawing, Level, Mark
from otrade_bot.research.past import Ask, Past

__all__ = ["PictureDesk", "SymbolDay"]


@dataclass(frozen=True, slots=True)
class SymbolDay:
    """What is known of one symbol's day; candles end at ``until`` (ns) at the latest."""

    symbol: str
    minutes: int
    candles: tuple[Candle, ...]
    averages: tuple[Average, ...] = ()
    levels: tuple[Level, ...] = ()
    marks: tuple[Mark, ...] = ()


class PictureDesk(Protocol):
    """Implemented by ``service.pictures``. Nothing of it ever touches trading."""

    def symbol_day(self, symbol: str, minutes: int) -> SymbolDay:
        """Today's candles of ``minutes`` with what was traded on them."""
        ...

    def curve(self) -> Sequence[tuple[int, int]]:
        """The day's net after charges so far: (ns, paise), about one a minute."""
        ...

    async def past(self, asked: Ask) -> Past:
        """Days that are over, and today so far, from the journals. Raises CommandException."""
        ...

    async def draw(self, drawing: Drawing, name: str) -> Picture | str:
        """The picture, or in words why there is none. Never raises."""
        ...
