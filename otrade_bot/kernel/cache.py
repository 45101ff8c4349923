"""The folder of compiled code. What lies in it is executed: it must be ours, and nobody else may write to it."""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path

#: s; who waits longer for another process' build goes on without.
PATIENCE = 300.0
_OTHERS_WRITE = 0o022


@dataclass(frozen=True)
class Place:
    """Where compiled code is kept. ``why``: why not in the folder that was asked for; "" where it is."""

    path: Path
    why: str = ""


def place() -> Place:
    """``$OTRADE_CACHE_DIR``, else the user's cache folder, else a private temporary one."""
    chosen = os.environ.get("OTRADE_CACHE_DIR")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    wanted = base / "otrade-bot" / "kernel"
    try:
        return Place(_ours(wanted))
    except OSError as error:
        why = _words(error)
    user = os.getuid() if hasattr(os, "getuid") else 0
    with suppress(OSError):
        private = _ours(Path(tempfile.gettempdir()) / f"otrade-bot-{user}")
        return Place(private, f"{why}; {private} is used")
    passing = _passing()
    return Place(passing, f"{why}; {passing} is used until the end of this process")


def cache_root() -> Path:
    """The folder of ``place``."""
    return place().path


def subfolder(root: Path, name: str) -> Path:
    """A private folder in ``root``, which is ours; one that others may write to is thrown away."""
    folder = root / name
    with suppress(OSError):
        return _ours(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return _ours(folder)


def doubt(path: Path) -> str:
    """Who else could put code into that folder, in words; "" where nobody can."""
    if not hasattr(os, "geteuid"):
        return ""
    us, superuser = os.geteuid(), Path("/").stat().st_uid
    at = path.stat()
    if at.st_uid != us:
        return f"{path} belongs to another user"
    if at.st_mode & _OTHERS_WRITE:
        return f"{path} can be written by others"
    for above in path.parents:
        at = above.stat()
        if at.st_uid not in (us, 0, superuser):
            return f"{above} belongs to another user"
        if at.st_mode & stat.S_IWOTH and not at.st_mode & stat.S_ISVTX:
            return f"{above} can be written by others"
    return ""


def _ours(path: Path) -> Path:
    """That folder, made where it is missing. OSError where it cannot be written, or not by us alone."""
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
    real = path.resolve()
    if found := doubt(real):
        raise PermissionError(found)
    with tempfile.TemporaryFile(dir=real):
        return real


def _words(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


@cache
def _passing() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="otrade-bot-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def write_once(path: Path, text: str) -> None:
    """Atomic, so that two processes that build the same kernel do not see half a file."""
    if path.exists():
        return
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    os.replace(temporary, path)


# --- modules --------------------------------------------------------------------------------------


def keep(built: Path, folder: Path, part: str) -> Path:
    """Put a new module into the folder, in one step, under a name that says what its bytes must be."""
    with built.open("rb") as file:
        os.fsync(file.fileno())
    built.chmod(0o600)
    path = folder / f"{part}.{_digest(built)}.so"
    os.replace(built, path)
    return path


def find(folder: Path, part: str) -> Path | None:
    """The module of that name, whole and as it was built; what is not is thrown away."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return None
    for name in names:
        if name.startswith(f"{part}.") and name.endswith(".so"):
            path = folder / name
            with suppress(OSError):
                if _sound(path):
                    return path
                path.unlink()
    return None


def _sound(path: Path) -> bool:
    at = path.lstat()
    ours = not hasattr(os, "geteuid") or (at.st_uid == os.geteuid() and not at.st_mode & _OTHERS_WRITE)
    return stat.S_ISREG(at.st_mode) and ours and path.name.split(".")[1] == _digest(path)


def _digest(path: Path) -> str:
    return blake2b(path.read_bytes(), digest_size=16).hexdigest()


@contextmanager
def turn(folder: Path, patience: float = PATIENCE) -> Iterator[bool]:
    """Alone in that folder among processes. False where locks do not work there, or another one takes too long."""
    try:
        import fcntl

        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except (ImportError, OSError):
        yield False
        return
    try:
        yield _locked(fcntl, lock, time.monotonic() + patience)
    finally:
        os.close(lock)


def _locked(fcntl: object, lock: int, until: float) -> bool:
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # type: ignore[attr-defined]
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        except OSError:
            return False
        else:
            return True
