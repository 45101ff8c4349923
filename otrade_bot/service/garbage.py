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

__all__ = ["forget", "held", "keep", "settle", "settled", "tend"]

#: New objects before a look at the newest of them; looks at those before one at the older ones. The oldest are
#: looked at by ``tend`` alone.
THRESHOLDS = (5_000, 20, 1_000_000)
#: ``tend`` looks when so many seconds of a minute have passed: at the turn of a minute there is other work.
AT = 30
#: glibc's mallopt: threads share so many heaps; a piece this large is a mapping of its own, gone when it is given back.
_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1
_LIMITS = ((_ARENA_MAX, 2), (_TRIM_THRESHOLD, 512 * 1024))
#: While a day is opened every answer and column of a history is one: in the heap they would leave holes between what
#: stays. Later none of what comes once a price is: asyncio reads into 256 kB.
_OPENING, _TRADING = 32 * 1024, 320 * 1024

_held = False


@contextmanager
def held() -> Iterator[None]:
    """No collection until ``settle``; afterwards everything is as it was before. The process is a service's own."""
    global _held
    before = gc.get_threshold()
    _held = True
    gc.disable()
    _set((_MMAP_THRESHOLD, _TRADING), *_LIMITS)
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
        _set((_MMAP_THRESHOLD, _OPENING))


def forget() -> None:
    """A day's desk goes: what was out of sight is looked at again by the next ``settle``."""
    if _held:
        gc.unfreeze()
        gc.disable()
        _set((_MMAP_THRESHOLD, _OPENING))


def settle() -> None:
    """A day is open: what is there now stays. Nothing without ``held``."""
    if not _held:
        return
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    gc.enable()
    _set((_MMAP_THRESHOLD, _TRADING))
    _give_back()


def settled() -> None:
    """What was loaded after the day was opened stays, too; what loading it took is given back. Nothing without
    ``held``."""
    if _held:
        gc.freeze()
        _give_back()


async def tend() -> None:
    """Once a minute, for ever. Nothing without ``held``."""
    while True:
        await asyncio.sleep(60 - (time.time_ns() / SECOND - AT) % 60)
        if _held:
            gc.collect()


def _set(*limits: tuple[int, int]) -> None:
    """Where the C library is glibc."""
    if mallopt := getattr(_libc(), "mallopt", None):
        for what, most in limits:
            mallopt(what, most)


def _give_back() -> None:
    """Pages that are free go back to the system."""
    if trim := getattr(_libc(), "malloc_trim", None):
        trim(0)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
