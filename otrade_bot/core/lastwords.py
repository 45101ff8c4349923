"""What the interpreter and libraries print by themselves is masked like everything else.

A log without a handler, an exception that nobody caught, in a thread or in a destructor: Python writes all of these
to standard error as they are, with the words of whoever answered, and a broker may repeat a token in its refusal.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from types import TracebackType
from typing import Any

from otrade_bot.core.masking import mask_text

__all__ = ["mask_last_words"]


def mask_last_words() -> None:
    """For a whole process, once, at its beginning."""
    handler = logging.StreamHandler(_Masked())
    handler.setLevel(logging.WARNING)
    logging.lastResort = handler
    sys.excepthook = _uncaught
    threading.excepthook = _in_thread
    sys.unraisablehook = _unraisable


class _Masked:
    """Standard error of the moment, masked."""

    def write(self, text: str) -> None:
        if sys.stderr is not None:
            sys.stderr.write(mask_text(text))

    def flush(self) -> None:
        if sys.stderr is not None:
            sys.stderr.flush()


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _say("", kind, error, trace)


def _in_thread(given: threading.ExceptHookArgs) -> None:
    if given.exc_type is not SystemExit:
        name = given.thread.name if given.thread else "?"
        _say(f"Exception in thread {name}:\n", given.exc_type, given.exc_value, given.exc_traceback)


def _unraisable(given: Any) -> None:
    what = given.err_msg or "Exception ignored in"
    _say(f"{what}: {type(given.object).__name__}\n", given.exc_type, given.exc_value, given.exc_traceback)


def _say(head: str, kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    _Masked().write(head + "".join(traceback.format_exception(kind, error, trace)))
