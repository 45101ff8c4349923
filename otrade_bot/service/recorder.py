"""Records the day's tape: listens at the deck, keeps what it hears in memory, and has a thread pack and write it.

Nothing here may hold up or stop trading. An input costs an append; each minute a copy of the state is set aside, of
which the thread makes the fingerprints. What cannot be written, or cannot keep up, ends the recording, which is told
once.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from queue import SimpleQueue
from threading import Event as Flag
from threading import Thread
from typing import Any

import numpy as np
import numpy.typing as npt

from otrade_bot.core.masking import mask_text
from otrade_bot.kernel import state as abi
from otrade_bot.research.tape import Header, Mark, file_name, pack_begin, pack_change, pack_mark, tapes
from otrade_bot.research.tape_blocks import (
    BEGIN,
    CHANGE,
    FAILED,
    INPUTS,
    MARK,
    TICK_INPUTS,
    Inputs,
    fingerprints,
    pack,
    pack_inputs,
)
from otrade_bot.trading.deck import Deck

__all__ = ["Recorder", "forget_day", "forget_old"]

Array = npt.NDArray[Any]

_TICK = abi.TAPED.itemsize
#: Prices are handed to the thread in pieces of at most so many; what was not handed on is lost with the process.
_PIECE = TICK_INPUTS // 4
#: So much of the state is fingerprinted a minute (bytes): all of 600 rows; of more, in turn.
_LOOK = 2_000_000
#: A disk that is so far behind (bytes in memory) is given up.
_BACKLOG = 64_000_000
#: Bytes that are left on the disk: without a journal there are no entries, and a tape must not take its room.
ROOM = 200_000_000
_FIELDS = tuple(abi.EVENT.names or ())
Piece = tuple[bytes, list[tuple[int, int, int, Mapping[str, int]]], list[tuple[int, bytes]]]


@dataclass(frozen=True, slots=True)
class _Look:
    """What a mark is made of, as it was."""

    ts: int
    inputs: int
    first: int
    state: Array
    account: bytes
    params: Array
    last: bool


class Recorder:
    """A ``TapeHook`` for one segment of ``header``'s day, from ``deck.tape = recorder`` to ``end``.

    ``failed_by`` is called once, in the thread of the inputs, with why nothing is recorded any more."""

    def __init__(self, folder: Path, header: Header, keep_days: int, failed_by: Callable[[str], None]) -> None:
        self.header, self.fault = header, ""
        self._failed_by = failed_by
        self._writer = _Writer(folder, header, keep_days)
        self._deck: Deck | None = None
        self._ticks = bytearray()
        self._events: list[tuple[int, int, int, Mapping[str, int]]] = []
        self._meant: list[tuple[int, bytes]] = []
        self._before = 0  #: inputs of pieces that have been handed on
        self._first = 0  #: row at which the next look at a part of the state begins
        self._ts = header.began
        self._changed = False

    @property
    def inputs(self) -> int:
        """How many it has heard."""
        return self._before + self._here

    @property
    def written(self) -> int:
        """Bytes on the disk."""
        return self._writer.written

    @property
    def path(self) -> Path | None:
        """The segment's file, once it is there."""
        return self._writer.path

    @property
    def _here(self) -> int:
        return len(self._ticks) // _TICK + len(self._events)

    # --- what the deck tells --------------------------------------------------------------------------

    def begin(self, deck: Deck) -> None:
        """Raises nothing, as all of these."""
        self._deck = deck
        self._params = deck.params.copy()
        self._writer.put(BEGIN, pack_begin(deck.state, deck.account, deck.params))

    def ticks(self, records: Array) -> None:
        if self._changed:
            self._note_change()
        while len(records) > _PIECE:
            self._ticks += records[:_PIECE].tobytes()
            self._hand_on()
            records = records[_PIECE:]
        self._ticks += records.tobytes()
        if len(self._ticks) >= _PIECE * _TICK:
            self._hand_on()

    def event(self, kind: int, row: int, fields: Mapping[str, int]) -> None:
        if self._changed:
            self._note_change()
        self._events.append((self._here, kind, row, fields))

    def timer(self, ts: int, scan: int, code: int) -> None:
        """A mark before it: how the minute that has passed has left everything."""
        self._look(ts)
        self._events.append((self._here, abi.TIMER, -1, {"ts": ts, "qty": scan, "code": code}))

    def changed(self, deck: Deck) -> None:
        """Noted when the next input comes: it may be one of a swarm."""
        self._changed = True

    def intents(self, out: Array, n: int) -> None:
        if n:
            self._meant.append((self._here - 1, out[:n].tobytes()))

    def failed(self, out: Array, n: int) -> None:
        """The strategy raised at the newest input; it had intended ``n`` before."""
        end = np.zeros(1, abi.INTENT)
        end["kind"] = FAILED
        self._meant.append((self._here - 1, out[:n].tobytes() + end.tobytes()))

    # --- handing it on ---------------------------------------------------------------------------------

    def flush(self, *, mark: bool = False) -> Flag:
        """Everything up to now is written when the flag is set, or never will be. ``mark``: with how all of it stands
        now."""
        if mark:
            self._look(self._ts, whole=True)
        else:
            self._hand_on()
        return self._writer.reached()

    def end(self) -> Flag:
        """The last mark, and the file is closed; as ``flush``. Takes itself off the deck."""
        deck, self._deck = self._deck, None
        if deck is not None:
            if deck.tape is self:
                deck.tape = None
            if not self.fault:
                self._deck = deck
                self._look(self._ts, last=True)
                self._deck = None
        return self._writer.close()

    def _look(self, ts: int, *, whole: bool = False, last: bool = False) -> None:
        """A mark, of a part of the rows where there are many and not the ``whole`` is wanted."""
        deck = self._deck
        if deck is None:
            return
        self._ts = ts
        if self._changed or deck.params.tobytes() != self._params.tobytes():
            self._note_change()
        else:
            self._hand_on()
        if whole or last:
            first, n = 0, len(deck.state)
        else:
            n = min(len(deck.state), max(1, _LOOK // deck.state.dtype.itemsize))
            first = self._first if self._first < len(deck.state) else 0
            self._first = first + n
        part = deck.state[first : first + n].copy()
        self._writer.look(_Look(ts, self._before, first, part, deck.account.tobytes(), self._params, last))
        self._judge()

    def _note_change(self) -> None:
        """The account as Python has left it, and the rows whose numbers it has written."""
        self._changed = False
        deck = self._deck
        if deck is None:
            return
        self._hand_on()
        width = deck.params.dtype.itemsize
        now, then = (one.view(np.uint8).reshape(len(one), width) for one in (deck.params, self._params))
        rows = np.flatnonzero((now != then).any(axis=1))
        self._writer.put(CHANGE, pack_change(deck.account, rows.tolist(), deck.params))
        if len(rows):
            self._params = deck.params.copy()

    def _hand_on(self) -> None:
        if n := self._here:
            self._writer.inputs((bytes(self._ticks), self._events, self._meant))
            self._before += n
            self._ticks, self._events, self._meant = bytearray(), [], []
        self._judge()

    def _judge(self) -> None:
        """Give up where the thread has."""
        if self._writer.fault and not self.fault:
            self.fault = self._writer.fault
            if self._deck is not None and self._deck.tape is self:
                self._deck.tape = None
            self._deck = None
            self._failed_by(self.fault)


class _Writer:
    """The thread: packs, writes in order, and never raises. ``fault`` says why it has stopped."""

    def __init__(self, folder: Path, header: Header, keep_days: int) -> None:
        self.fault, self.written = "", 0
        self.path: Path | None = None
        self._folder, self._header, self._keep_days = folder, header, keep_days
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._given = self._taken = 0  #: bytes put in, and done; each written by one thread alone
        self._digest = 0
        self._fd = -1
        self._over = Flag()
        self._thread = Thread(target=self._run, name="tape", daemon=True)
        self._thread.start()

    # --- given by the thread of the inputs ------------------------------------------------------------

    def put(self, kind: int, raw: bytes) -> None:
        self._give(len(raw), lambda: self._write(pack(kind, raw)))

    def inputs(self, piece: Piece) -> None:
        ticks, events, meant = piece
        size = len(ticks) + 400 * len(events) + sum(len(raw) for _, raw in meant)
        self._give(size, lambda: self._inputs(piece))

    def look(self, look: _Look) -> None:
        self._give(look.state.nbytes, lambda: self._mark(look))

    def reached(self) -> Flag:
        flag = Flag()
        if self._over.is_set():
            flag.set()
        self._queue.put(flag.set)
        if self._over.is_set():  # it may have ended in between
            flag.set()
        return flag

    def close(self) -> Flag:
        self._queue.put(None)
        return self._over

    def _give(self, size: int, work: Callable[[], None]) -> None:
        if self.fault:
            return
        if self._given - self._taken > _BACKLOG:
            self.fault = "the disk does not keep up"
            self._queue.put(None)
            return

        def job() -> None:
            try:
                if not self.fault:
                    work()
            finally:
                self._taken += size

        self._given += size
        self._queue.put(job)

    # --- the thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._open()
            while (job := self._queue.get()) is not None:
                job()
            if not self.fault:
                os.fsync(self._fd)
        except Exception as error:
            self.fault = self.fault or mask_text(_why(error))
        finally:
            self._leave()

    def _leave(self) -> None:
        """Nobody waits for ever: what still lies in the queue is told, not done."""
        self._over.set()
        if self._fd >= 0:
            with suppress(OSError):
                os.close(self._fd)
        while not self._queue.empty():
            job = self._queue.get()
            if job is not None:
                with suppress(Exception):
                    job()

    def _open(self) -> None:
        """The next number of the day, and what is too old goes."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        forget_old(self._folder, self._header.day, self._keep_days)
        before = [number for _, number, _ in tapes(self._folder, self._header.day)]
        number = max(before, default=0) + 1
        self.path = self._folder / file_name(self._header.day, number)
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        os.fchmod(self._fd, 0o600)
        self._write(self._header.numbered(number).line())

    def _write(self, data: bytes) -> None:
        disk = os.fstatvfs(self._fd)
        if disk.f_bavail * disk.f_frsize < ROOM:
            raise OSError(errno.ENOSPC, f"less than {ROOM // 1_000_000:,} MB are left on the disk, for the journal")
        left = memoryview(data)
        while left:
            left = left[os.write(self._fd, left) :]
        self.written += len(data)

    def _inputs(self, piece: Piece) -> None:
        inputs = _arrays(piece)
        self._digest = inputs.digest(self._digest)
        self._write(pack(INPUTS, pack_inputs(inputs, self._header.rows)))

    def _mark(self, look: _Look) -> None:
        params = zlib.crc32(look.params.tobytes())
        prints = fingerprints(look.state)
        mark = Mark(look.ts, look.inputs, self._digest, params, look.first, prints, look.account, look.last)
        self._write(pack(MARK, pack_mark(mark)))


def _arrays(piece: Piece) -> Inputs:
    ticks, happened, meant = piece
    events = np.zeros(len(happened), abi.EVENT)
    for i, (_, kind, row, fields) in enumerate(happened):
        events[i] = (kind, row, *(fields.get(name, 0) for name in _FIELDS[2:]))
    intents = np.frombuffer(b"".join(raw for _, raw in meant), abi.INTENT)
    of = [at for at, raw in meant for _ in range(len(raw) // abi.INTENT.itemsize)]
    places = np.array([at for at, *_ in happened], np.int64)
    return Inputs(np.frombuffer(ticks, abi.TAPED), events, places, intents, np.array(of, np.int64))


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or 'the tape'}: {error.strerror or error}"
    return f"{type(error).__name__}: {error}"


def forget_old(folder: Path, day: date, keep_days: int) -> None:
    """Delete tapes of more than ``keep_days`` days before ``day``; nothing that has not their name."""
    for of, _, path in tapes(folder):
        if of < day - timedelta(days=keep_days):
            path.unlink(missing_ok=True)


def forget_day(folder: Path, day: date) -> None:
    """A rehearsal of that day begins anew. Raises OSError."""
    for _, _, path in tapes(folder, day):
        path.unlink(missing_ok=True)
