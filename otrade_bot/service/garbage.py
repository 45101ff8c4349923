"""The garbage collector and the allocator, set for a service: it makes much while it starts, and little after.

A price makes no garbage, so there is little to look for while prices come; but the collector would walk through every
module and model each time it looks. So it rests while the process starts and a day is opened, what is there by then is
put out of its sight, and once a minute, between two prices, it looks through what came since: a millisecond or two.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

from otrade_bot.core.clock import SECOND

__all__ = ["forget", "held", "keep", "settle", "tend"]

#: New objects before a look at the newest of them; looks at those before one at the older ones. The oldest are
#: looked at by ``tend`` alone.
THRESHOLDS = (5_000, 20, 1_000_000)
#: ``tend`` looks when so many seconds of a minute have passed: at the turn of a minute there is other work.
AT = 30
#: glibc's mallopt: threads share so many heaps; what is larger is given back at once, also after larger ones were.
_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1
_LIMITS = ((_ARENA_MAX, 2), (_MMAP_THRESHOLD, 256 * 1024), (_TRIM_THRESHOLD, 512 * 1024))

_held = False


@contextmanager
def held() -> Iterator[None]:
    """No collection until ``settle``; afterwards everything is as it was before. The process is a service's own."""
    global _held
    before = gc.get_threshold()
    _held = True
    gc.disable()
    _limit_heaps()
    try:
        yield
    finally:
        _held = False
        gc.unfreeze()
        gc.set_threshold(*before)
        gc.enable()


def keep() -> None:
    """What is there stays as long as the process: modules, models, settings. Nothing without ``held``."""
    if _held:
        gc.freeze()


def forget() -> None:
    """A day's desk goes: what was out of sight is looked at again by the next ``settle``."""
    if _held:
        gc.unfreeze()
        gc.disable()


def settle() -> None:
    """A day is open: what is there now stays. Nothing without ``held``."""
    if not _held:
        return
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    gc.enable()
    _give_back()


async def tend() -> None:
    """Once a minute, for ever. Nothing without ``held``."""
    while True:
        await asyncio.sleep(60 - (time.time_ns() / SECOND - AT) % 60)
        if _held:
            gc.collect()


def _limit_heaps() -> None:
    """Where the C library is glibc."""
    if mallopt := getattr(_libc(), "mallopt", None):
        for what, most in _LIMITS:
            mallopt(what, most)


def _give_back() -> None:
    """Pages that are free go back to the system."""
    if trim := getattr(_libc(), "malloc_trim", None):
        trim(0)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
