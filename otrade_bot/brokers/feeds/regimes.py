"""The made-up stocks of a synthetic day: where each goes, and what happens to it on the way.

See ``synthetic`` for the day as a table. Levels are percent away from the day's opening price.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["STOCKS", "Path", "Stock"]

Path = tuple[tuple[str, float], ...]  #: (wall time in India ``HH:MM``, level in percent), straight between


@dataclass(frozen=True, slots=True)
class Stock:
    name: str
    price: int  #: around which it opens, paise
    shares: int  #: traded on the whole day, roughly
    path: Path  #: empty: made by chance, see ``synthetic.chop``
    halt: tuple[str, str] | None = None  #: not a single tick between the two
    jump: tuple[str, float] | None = None  #: a real move of so many percent within 20 s, kept
    bad_print: tuple[str, float] | None = None  #: one tick so many percent away


_ALPHA: Path = (
    ("09:15", 0.0), ("09:30", 0.5), ("09:50", -0.2), ("10:30", 0.25), ("11:30", -0.1), ("12:42", 0.1),
    ("12:55", 2.0), ("13:05", 1.7), ("13:25", 5.3), ("13:32", 4.9), ("13:48", 8.6), ("14:08", 8.0),
    ("14:28", 7.4), ("14:52", 2.6), ("15:08", 3.0), ("15:30", 2.4),
)  # fmt: skip
_BRAVO: Path = (
    ("09:15", 0.0), ("09:30", -0.4), ("10:15", 0.3), ("11:30", -0.3), ("12:38", -0.1), ("12:50", 1.0),
    ("13:00", 0.9), ("13:18", 2.5), ("13:25", 2.3), ("13:40", -3.2), ("13:58", -2.8), ("14:06", -2.9),
    ("14:24", 1.9), ("14:30", 1.8), ("14:42", -3.6), ("15:05", -3.2), ("15:30", -3.4),
)  # fmt: skip
_DELTA: Path = (
    ("09:15", 0.0), ("09:25", 0.6), ("09:45", 0.5), ("09:55", 1.3), ("10:25", 1.2), ("10:35", 2.0),
    ("11:10", 1.9), ("11:20", 2.7), ("11:55", 2.6), ("12:05", 3.2), ("12:40", 3.1), ("12:50", 4.0),
    ("13:15", 3.9), ("13:25", 4.9), ("13:50", 4.8), ("14:00", 6.0), ("14:12", 5.8), ("14:35", -0.2),
    ("15:30", -0.8),
)  # fmt: skip
_ECHO: Path = (
    ("09:15", 0.0), ("09:40", 0.8), ("10:40", 1.0), ("11:20", 0.6), ("12:30", 0.4), ("13:24", 1.0),
    ("13:36", -1.6), ("13:52", 0.2), ("14:02", -3.0), ("14:18", -1.2), ("14:28", -4.6), ("14:44", -2.8),
    ("14:56", -6.4), ("15:12", -4.8), ("15:22", -7.8), ("15:30", -7.6),
)  # fmt: skip

STOCKS: tuple[Stock, ...] = (
    Stock("DEMOALPHA", 62_000, 1_400_000, _ALPHA),
    Stock("DEMOBRAVO", 31_000, 2_200_000, _BRAVO),
    Stock("DEMOCHARLIE", 19_000, 3_000_000, (), bad_print=("11:21", 9.0)),
    Stock("DEMODELTA", 118_000, 700_000, _DELTA, halt=("11:40", "11:55")),
    Stock("DEMOECHO", 84_500, 1_100_000, _ECHO, jump=("11:05", 2.0)),
)
