"""Walk-forward: parameters are picked on some days and judged on the days after them, again and again.

The last windows' tests end with the last day and follow each other without a gap, so that together they are a stretch
of days that no parameter was picked on. A rolling training moves along and keeps its length; an anchored one begins
with the first day and grows.
"""

from __future__ import annotations

from dataclasses import dataclass

from otrade_bot.core.errors import ConfigException

__all__ = ["Window", "windows_of"]

#: How many times as long as a test a training is where nobody says.
_RATIO = 4
#: Days of a test below which nothing can be said.
_LEAST = 2


@dataclass(frozen=True, slots=True)
class Window:
    """Days by their number: training is ``start`` to ``split``, the test from there to ``stop``."""

    start: int
    split: int
    stop: int

    @property
    def train(self) -> slice:
        return slice(self.start, self.split)

    @property
    def test(self) -> slice:
        return slice(self.split, self.stop)


def windows_of(
    days: int, count: int, train: int | None = None, test: int | None = None, *, anchored: bool = False
) -> tuple[Window, ...]:
    """``count`` windows over this many days. Without lengths: as long as there is room for, training four times the
    test. Raises ConfigException where they do not fit."""
    if count < 1:
        return ()
    if test is None:
        test = max(_LEAST, (days - train) // count if train is not None else days // (count + _RATIO))
    if train is None:
        train = days - count * test if anchored else min(_RATIO * test, days - count * test)
    needed = train + count * test
    if test < _LEAST or train < _LEAST or needed > days:
        asked = f"{count} windows of {train} days to train and {test} to test"
        raise ConfigException(
            f"{asked} need {max(needed, (count + 1) * _LEAST)} trading days", key="--walk-forward",
            value=f"{days} days", allowed="fewer or shorter windows",
        )  # fmt: skip
    splits = [days - (count - k) * test for k in range(count)]
    return tuple(Window(0 if anchored else split - train, split, split + test) for split in splits)
