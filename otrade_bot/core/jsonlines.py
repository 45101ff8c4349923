"""An append-only file of JSON objects, one a line, that survives ``kill -9`` and a full disk.

Shared by the journal and by the paper broker's book. The whole contract:

* one ``append`` is one ``write`` of whole lines, so a kill leaves at most one torn line, the last;
* the next ``LineLog(path)`` cuts that torn line away (``repaired`` holds it) and touches nothing else;
* a broken line *before* the last one is corruption, never repaired: JournalException with file and line;
* a write that fails or comes out short is undone before the error is raised, so half a line is never
  followed by another one; where even that fails, the log refuses every further write;
* one writer at a time: the file is locked while open. A second writer, in this process or another one,
  gets a JournalException, and so does a forked child that uses its parent's object.

Readers need no lock: ``LineLog.read`` skips a torn last line and changes nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

import orjson

from otrade_bot.core.errors import JournalException

__all__ = ["LineLog", "sync_folder"]


class LineLog:
    """``LineLog(path)`` opens the file for appending: creates it (mode 0600, missing folders 0700, folder
    entry fsynced), locks it, checks every line and repairs a torn last one.

    Raises JournalException where the file cannot be opened, is no regular file, is locked by another
    writer or is corrupt. Safe to call from several threads. Use as a context manager, or ``close()``.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._broken = ""
        self._repaired: bytes | None = None
        self._fd = _open(self._path)
        try:
            _claim(self._fd, self._path)
            self._repaired = _repair(self._fd, self._path)
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> Path:
        return self._path

    @property
    def repaired(self) -> bytes | None:
        """The torn last line that opening cut away, None where the file was whole."""
        return self._repaired

    @staticmethod
    def read(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
        """The objects of a file in order. A torn last line is skipped, a missing file holds nothing.

        The file is not changed and not locked, so a file that is being written can be read.
        Raises JournalException, while iterating, for a broken line that is not the last, or an
        unreadable file.
        """
        path = Path(path)
        try:
            with path.open("rb") as handle:
                for line in _scan(handle, path):
                    if line.value is not None:
                        yield line.value
        except FileNotFoundError:
            return
        except OSError as error:
            raise JournalException(f"{path}: cannot be read: {_why(error)}") from error

    def append(self, obj: Mapping[str, Any], *, durable: bool) -> None:
        """Write one object as one line. With ``durable`` it is on the disk when this returns.

        ``obj`` holds JSON values (NaN and infinities become null; numpy scalars are taken).
        Raises JournalException: nothing of the line is in the file then, except where the flush to
        disk failed; after that no further write is taken, since nobody knows what the disk holds.
        """
        self.append_many((obj,), durable=durable)

    def append_many(self, objs: Iterable[Mapping[str, Any]], *, durable: bool) -> None:
        """Write several objects in one ``write``: all of them or, after an error, none of them.

        A kill in the middle may leave the first few of them.
        """
        self.write(b"".join([self.encode(obj) for obj in objs]), durable=durable)

    def write(self, block: bytes, *, durable: bool) -> None:
        """The same for lines that ``encode`` has made."""
        self._check_owner()
        with self._lock:
            self._check_usable()
            if block:
                self._write(block)
            if durable:
                self._flush()

    def last(self) -> bytes:
        """The last line with its newline, b"" where there is none. Raises JournalException."""
        self._check_owner()
        with self._lock:
            self._check_usable()
            try:
                return _last_line(self._fd)
            except OSError as error:
                raise JournalException(f"{self._path}: cannot be read: {_why(error)}") from error

    def sync(self) -> None:
        """Put everything appended so far on the disk. Raises JournalException."""
        self._check_owner()
        with self._lock:
            self._check_usable()
            self._flush()

    def rename(self, path: str | os.PathLike[str]) -> None:
        """Take the place of ``path``, in one step for whoever opens it; this log stays open and locked.

        Raises JournalException: both files are what they were.
        """
        self._check_owner()
        target = Path(path)
        with self._lock:
            self._check_usable()
            try:
                os.replace(self._path, target)
            except OSError as error:
                raise JournalException(f"{target}: cannot be replaced: {_why(error)}") from error
            self._path = target
        with suppress(OSError):  # a power cut may bring the old file back, whole
            sync_folder(target.parent)

    def close(self) -> None:
        """Release file and lock. Does not fsync. A second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            self.close()

    def encode(self, obj: Mapping[str, Any]) -> bytes:
        """The line of an object, with its newline. Raises JournalException for what JSON cannot hold."""
        try:
            return orjson.dumps(dict(obj), default=_plain, option=_OPTIONS)
        except (TypeError, ValueError) as error:  # orjson's own error is a TypeError
            raise JournalException(f"{self._path}: a line cannot be written as JSON: {error}") from error

    def _check_owner(self) -> None:
        """Before the lock: a fork may have copied it in the locked state."""
        if os.getpid() != self._pid:
            raise JournalException(f"{self._path}: opened by process {self._pid}, not by this one")

    def _check_usable(self) -> None:
        if self._fd < 0:
            raise JournalException(f"{self._path}: already closed")
        if self._broken:
            raise JournalException(f"{self._path}: not written any more: {self._broken}")

    def _write(self, block: bytes) -> None:
        """One write; the size of the file is asked anew each time, it is the only true offset."""
        try:
            state = os.fstat(self._fd)
        except OSError as error:
            raise JournalException(f"{self._path}: cannot be written: {_why(error)}") from error
        if state.st_nlink == 0:
            raise JournalException(f"{self._path}: the file was deleted while in use")
        try:
            written = os.write(self._fd, block)
            if written != len(block):
                raise OSError(errno.ENOSPC, f"only {written} of {len(block)} bytes were taken")
        except OSError as error:
            self._undo(state.st_size, len(block))
            raise JournalException(f"{self._path}: cannot be written: {_why(error)}") from error
        except BaseException:  # a signal handler raised: the write may still have happened in part
            self._undo(state.st_size, len(block))
            raise

    def _undo(self, start: int, length: int) -> None:
        """Cut back to ``start`` unless the block is there as a whole or not at all."""
        try:
            if os.fstat(self._fd).st_size not in (start, start + length):
                os.ftruncate(self._fd, start)
        except OSError as error:
            self._broken = f"half a line could not be removed: {_why(error)}"

    def _flush(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            # The kernel may drop the dirty pages and report success next time, so trust nothing more.
            self._broken = f"the disk did not take a flush: {_why(error)}"
            raise JournalException(f"{self._path}: {self._broken}") from error


_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY


def _last_line(fd: int) -> bytes:
    """Of a file whose lines are whole; read from its end."""
    size, found = os.fstat(fd).st_size, b""
    while len(found) < size:
        step = min(max(4096, len(found)), size - len(found))
        found = os.pread(fd, step, size - len(found) - step) + found
        if b"\n" in found[:-1]:
            return found[found.rindex(b"\n", 0, -1) + 1 :]
    return found


def _plain(value: object) -> object:
    """For orjson: read-only mappings as dicts; everything else stays an error."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _why(error: OSError) -> str:
    return error.strerror or str(error)


def _open(path: Path) -> int:
    """A read-write, append-only descriptor; a new file's folder entry is on the disk at return."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return os.open(path, flags)
        try:
            sync_folder(path.parent)
        except OSError:
            os.close(fd)
            raise
    except OSError as error:
        raise JournalException(f"{path}: cannot be opened for writing: {_why(error)}") from error
    return fd


def sync_folder(folder: Path) -> None:
    """Put a folder's entries on the disk: a new or renamed file is there after a crash. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _claim(fd: int, path: Path) -> None:
    """Refuse what is no regular file, and a second writer: its torn line might be ours in the making."""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise JournalException(f"{path}: is not a regular file")
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise JournalException(f"{path}: another writer has it open") from None
    except OSError as error:
        raise JournalException(f"{path}: cannot be locked: {_why(error)}") from error


def _repair(fd: int, path: Path) -> bytes | None:
    """Check every line; cut a torn last one away and return it."""
    try:
        with open(fd, "rb", closefd=False) as handle:
            torn = next((line for line in _scan(handle, path) if line.value is None), None)
        if torn is None:
            return None
        os.ftruncate(fd, torn.offset)
        os.fsync(fd)
    except OSError as error:
        raise JournalException(f"{path}: cannot be checked or repaired: {_why(error)}") from error
    return torn.raw


class _Line(NamedTuple):
    offset: int  #: of the first byte
    raw: bytes
    value: dict[str, Any] | None  #: None: torn, and then the last line


def _scan(handle: IO[bytes], path: Path) -> Iterator[_Line]:
    """Every line of a file. A line is good when it ends in a newline and is a JSON object.

    Raises JournalException for a bad line with another one behind it.
    """
    offset = 0
    torn: _Line | None = None
    for number, raw in enumerate(handle, start=1):
        if torn is not None:
            raise JournalException(
                f"{path}:{number - 1}: corrupt line in the middle of the file: {_head(torn.raw)}"
            )
        line = _Line(offset, raw, _parse(raw))
        offset += len(raw)
        if line.value is None:
            torn = line
        else:
            yield line
    if torn is not None:
        yield torn


def _parse(raw: bytes) -> dict[str, Any] | None:
    if not raw.endswith(b"\n"):
        return None
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _head(raw: bytes) -> str:
    return repr(raw[:40]) + ("…" if len(raw) > 40 else "")
