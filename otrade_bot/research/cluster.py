"""The same sweep on a Dask cluster: its workers compute sets, this process decides what they mean.

A worker's part is a few sets; it answers with the integers that a thread here would have come to, and answers are taken
in the order of the sets. So the result is the local one, bit for bit, whatever the number of workers, whoever was lost
on the way. That holds only where a worker runs the same sources on the same versions: each says what it runs, and one
that runs anything else is an error, not a slightly different number.
"""

from __future__ import annotations

import logging
import pickle
import platform
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from functools import cache
from hashlib import blake2b
from threading import Lock, local
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from otrade_bot import __version__
from otrade_bot.core.errors import ConfigException, KernelException, TradingException
from otrade_bot.kernel import compile as build
from otrade_bot.kernel.compile import Kernel, StrategySource
from otrade_bot.research.optimize_job import Job, Outcome, Sweeper
from otrade_bot.research.optimize_run import Stop, chunks

__all__ = ["Cluster", "fingerprint"]

Array = npt.NDArray[Any]
#: How often a part is given out anew, after Dask itself has tried it on three workers.
RETRIES = 5
CONNECT = 15.0  #: seconds
_LISTEN = 0.2  #: seconds between two looks at whether to stop


@cache
def fingerprint() -> Mapping[str, str]:
    """What decides the bits of a result on this machine: our own kernel, and everything that compiles it."""
    import llvmlite
    import numba

    digest = blake2b(digest_size=8)
    for name in ("state", *build.SOURCES):
        digest.update((build.HERE / f"{name}.py").read_bytes() + b"\0")
    return {
        "otrade-bot": __version__, "kernel": digest.hexdigest(), "python": platform.python_version(),
        "numpy": np.__version__, "numba": numba.__version__, "llvmlite": llvmlite.__version__,
    }  # fmt: skip


def difference(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    """'numba 0.66.0 instead of 0.68.1', '' where nothing differs."""
    return ", ".join(
        f"{name} {theirs.get(name, 'unknown')} instead of {ours[name]}"
        for name in ours if theirs.get(name) != ours[name]
    )  # fmt: skip


class Cluster:
    """Workers of the Dask cluster at ``address`` (tcp://HOST:PORT of its scheduler). Close it when done.

    Raises ConfigException where there is none, and KernelException where a worker runs something else.
    """

    def __init__(self, address: str) -> None:
        try:
            import distributed
        except ImportError:
            raise ConfigException(
                "needs Dask", key="--cluster", value=address, allowed="pip install 'otrade-bot[cluster]'"
            ) from None
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what it tells is told here, in one line
        self._address = address
        connect: Any = distributed.Client
        try:
            self._client = connect(address, timeout=CONNECT, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise ConfigException(
                f"no scheduler answers: {error or type(error).__name__}", key="--cluster", value=address,
                allowed="tcp://HOST:PORT of a running Dask scheduler",
            ) from None  # fmt: skip
        try:
            self.workers = self._meet()
        except BaseException:
            self._client.close()
            raise
        self._sent: dict[int, tuple[Job, str, Any]] = {}

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._sent.clear()
        self._client.close()

    def _meet(self) -> int:
        """The number of threads that compute, once every worker has said what it runs."""
        try:
            self._client.wait_for_workers(1, timeout=CONNECT)
        except TimeoutError:
            raise ConfigException("the cluster has no worker", key="--cluster", value=self._address,
                                  allowed="a cluster with at least one worker") from None  # fmt: skip
        try:
            answers = self._client.run(_reported)
        except ModuleNotFoundError as error:
            raise KernelException(
                f"workers of {self._address} lack {error.name}: install this version of otrade-bot there"
            ) from None
        for worker, theirs in sorted(answers.items()):
            _same(worker, theirs, fingerprint())
        threads: dict[str, int] = self._client.nthreads()
        return max(1, sum(threads.values()))

    def sweep(self, job: Job, records: Array, stop: Stop) -> Iterator[tuple[int, Outcome]]:
        """See ``Runner``. Raises TradingException where the cluster is gone."""
        parts = chunks(len(records), self.workers)
        futures = [self._submit(job, records[part]) for part in parts]
        try:
            for at, part in enumerate(parts):
                answer = self._answer(job, records[part], futures[at], stop)
                if answer is None:
                    return
                yield part.start, _unpacked(answer)
        finally:
            unfinished = [future for future in futures if not future.done()]
            if unfinished and self._client.status == "running":
                self._client.cancel(unfinished, force=True)

    def _submit(self, job: Job, records: Array) -> Any:
        _, name, sent = self._scattered(job)
        return self._client.submit(_compute, sent, name, dict(fingerprint()), records.tobytes(), pure=False)

    def _scattered(self, job: Job) -> tuple[Job, str, Any]:
        """The job on every worker, sent once."""
        known = self._sent.get(id(job))
        if known is None or known[2].status in ("cancelled", "lost", "error"):
            self._sent.clear()  # one job at a time: the one before has been answered
            sent = self._client.scatter(job, broadcast=True, hash=False)
            known = self._sent[id(job)] = (job, uuid4().hex, sent)
        return known

    def _answer(self, job: Job, records: Array, future: Any, stop: Stop) -> bytes | None:
        """A part's answer; given out anew where it was lost with its workers. None once told to stop."""
        from concurrent.futures import CancelledError

        from distributed import KilledWorker
        from distributed.comm.core import CommClosedError

        for left in range(RETRIES, -1, -1):
            try:
                return self._waited(future, stop)
            except (KilledWorker, CancelledError, CommClosedError) as error:
                if not left or self._client.status != "running":
                    raise TradingException(f"the cluster at {self._address} is lost: {type(error).__name__}") from None
            future = self._submit(job, records)
        return None

    def _waited(self, future: Any, stop: Stop) -> bytes | None:
        while not stop():
            try:
                answer: bytes = future.result(timeout=_LISTEN)
            except TimeoutError:
                if self._client.status != "running":
                    raise TradingException(f"the cluster at {self._address} does not answer any more") from None
            else:
                return answer
        return None


def _same(who: str, theirs: Mapping[str, str], ours: Mapping[str, str]) -> None:
    if told := difference(theirs, ours):
        raise KernelException(f"worker {who} would come to other numbers, it runs {told}: install the same there")


def _unpacked(answer: bytes) -> Outcome:
    return Outcome(*pickle.loads(zlib.decompress(answer)))  # noqa: S301 - of our own workers


# --- on a worker ------------------------------------------------------------------------------------

_lock = Lock()
_kernels: dict[tuple[tuple[str, str], ...], Kernel] = {}
_jobs: dict[str, Job] = {}
_own = local()


def _reported() -> dict[str, str]:
    return dict(fingerprint())


def _compute(job: Job, name: str, expected: Mapping[str, str], records: bytes) -> bytes:
    """A part of a sweep, on whichever worker it was given to. Raises KernelException where that one is not fit."""
    _same(platform.node(), fingerprint(), expected)
    with _lock:
        kernel, mine = _kernel(job.strategies), _arrived(name, job)
    known: tuple[str, Sweeper] | None = getattr(_own, "sweeper", None)
    if known is None or known[0] != name:
        known = _own.sweeper = name, Sweeper(mine, kernel)
    outcome = known[1].run(np.frombuffer(bytearray(records), kernel.params))
    return zlib.compress(pickle.dumps((outcome.days, outcome.scores, outcome.faults)), 1)


def _kernel(strategies: tuple[StrategySource, ...]) -> Kernel:
    """Built from the sources that came with the job, so that a strategy needs no file here."""
    key = tuple((one.name, one.source) for one in strategies)
    if key not in _kernels:
        _kernels[key] = build.load(strategies, in_process=True)
    return _kernels[key]


def _arrived(name: str, job: Job) -> Job:
    """The job with arrays of this process: those that come over the wire may not be written to."""
    if name not in _jobs:
        _jobs.clear()
        own: dict[str, Any] = {
            f.name: value.copy() for f in fields(job) if isinstance(value := getattr(job, f.name), np.ndarray)
        }
        _jobs[name] = replace(job, **own)
    return _jobs[name]
