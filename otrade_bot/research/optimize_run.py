"""Runs a sweep's sets on this machine: threads, since compiled code lets go of Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from threading import local
from typing import Any, Protocol

import numpy.typing as npt

from otrade_bot.kernel.compile import Kernel
from otrade_bot.research.optimize_job import Job, Outcome, Sweeper

__all__ = ["Local", "Runner", "Stop", "chunks", "cores"]

Array = npt.NDArray[Any]
Stop = Callable[[], bool]
#: Sets that one worker takes at a time: the progress is told, and a stop is heard, between two of them.
CHUNK = 64


class Runner(Protocol):
    """Whatever computes sets. Answers come in the order of the sets, whoever computed them and when."""

    workers: int

    def sweep(self, job: Job, records: Array, stop: Stop) -> Iterator[tuple[int, Outcome]]:
        """Each part's first set and what it came to. Ends early once ``stop`` says so."""
        ...


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def chunks(sets: int, workers: int) -> list[slice]:
    """Parts that keep all workers busy to the end. How they are cut changes no result."""
    size = max(1, min(CHUNK, -(-sets // (4 * workers))))
    return [slice(first, min(first + size, sets)) for first in range(0, sets, size)]


class Local:
    """``workers`` threads of this process. Close it when done."""

    def __init__(self, kernel: Kernel, workers: int) -> None:
        self.workers = max(1, workers)
        self._kernel = kernel
        self._own = local()
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="sweep")

    def __enter__(self) -> Local:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def sweep(self, job: Job, records: Array, stop: Stop) -> Iterator[tuple[int, Outcome]]:
        parts = chunks(len(records), self.workers)
        futures = [self._pool.submit(self._part, job, records, part, stop) for part in parts]
        try:
            for part, future in zip(parts, futures, strict=True):
                outcome = future.result()
                if outcome is None:
                    return
                yield part.start, outcome
        finally:
            for future in futures:
                future.cancel()
            wait(futures)

    def _part(self, job: Job, records: Array, part: slice, stop: Stop) -> Outcome | None:
        if stop():
            return None
        known: Sweeper | None = getattr(self._own, "sweeper", None)
        if known is None or known.job is not job:
            known = self._own.sweeper = Sweeper(job, self._kernel)
        return known.run(records[part])
