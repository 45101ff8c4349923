"""What happened, said once. Observers (journal, terminal, phone) get every event in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from itertools import count
from typing import Any

__all__ = ["Event", "EventKind", "Observer", "Severity", "because", "cause", "new_mark"]


class Severity(IntEnum):
    """How loud an event is for the human. RISK can not be muted."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    RISK = 40


class EventKind(StrEnum):
    """One word a line in the journal. ``data`` keys of each are listed in ``docs/journal.md``."""

    RUN = "run"  #: a process began or resumed: mode, broker, feed, versions, instruments
    SESSION = "session"  #: a boundary: open, entries_stop, square_off_warning, square_off, close
    SIGNAL = "signal"  #: the kernel wants to enter: rung, side, quantity, price, stop, target
    APPROVAL = "approval"  #: a signal that waited for a person is entered: who said so, and the price by then
    EVALUATION = "evaluation"  #: a strategy was asked: its state values and the verdict
    REFUSAL = "refusal"  #: a limit or the gate said no: code, reason
    ORDER = "order"  #: an order changed: tag, order_id, status, filled, ...
    FILL = "fill"  #: a rung's filled quantity grew
    STOP = "stop"  #: a protective stop was armed, moved, resized, or is missing
    TRADE = "trade"  #: a rung was closed: the booked round trip with charges
    COMMAND = "command"  #: a human said something, allowed or not
    BLOCK = "block"  #: entries blocked or released, and why
    ALERT = "alert"  #: anything a human must know
    RECOVERY = "recovery"  #: what a comparison with the broker found
    FLATTEN = "flatten"  #: progress and result of a flatten
    DAY = "day"  #: end of day: the totals
    CARRY = "carry"  #: a day was opened with these rungs of earlier days
    LEVEL = "level"  #: a human set a stop or target, gave it back, or moved the square-off
    CLOSE = "close"  #: a human closed a rung or a part of it, or what is left of that part is given up
    SETTING = "setting"  #: a human changed settings of the run: which, from what to what, and what holds from when on


@dataclass(frozen=True, slots=True)
class Event:
    """``ts_ns`` is market time. ``data`` holds JSON values only: money as integer paise in keys
    that end in ``_paise``, times as ISO-8601 +05:30 text."""

    kind: EventKind
    ts_ns: int
    symbol: str = ""
    text: str = ""  #: one line for a human; empty where the data speak for themselves
    severity: Severity = Severity.INFO
    data: Mapping[str, Any] = field(default_factory=dict)


Observer = Callable[[Event], None]

_cause: ContextVar[str] = ContextVar("cause", default="")
_marks = count()


def new_mark() -> str:
    """A name for a command that nothing else has: the moment and a number of this process."""
    return f"{time.time_ns():x}-{next(_marks):x}"


@contextmanager
def because(mark: str) -> Iterator[None]:
    """What happens within, also in tasks that begin within, bears the mark in the journal."""
    token = _cause.set(mark)
    try:
        yield
    finally:
        _cause.reset(token)


def cause() -> str:
    """The mark of the command for whose sake this happens; '' where a human has not asked for it."""
    return _cause.get()
