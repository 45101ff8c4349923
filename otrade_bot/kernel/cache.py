"""The folder of compiled code. What lies in it is executed: it must be ours, and nobody else may write to it."""

from __future__ import annotations

import atexit
import os
import re
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
#: s; a key that nobody has started with for so long is of other sources than today's.
FORGOTTEN = 45 * 86_400.0
#: Where nothing can be kept: whatever is tried in it fails.
NOWHERE = Path(os.devnull) / "otrade-bot"
_OTHERS_WRITE = 0o022
_KEY = re.compile(r"[0-9a-f]{24}")


@dataclass(frozen=True)
class Place:
    """Where compiled code is kept. ``why``: why not in the folder that was asked for; "" where it is."""

    path: Path
    why: str = ""


def place(key: str = "") -> Place:
    """``$OTRADE_CACHE_DIR``, else the user's cache folder, else a private temporary one. A folder that has ``key``
    already is used also where nothing can be written to it."""
    wanted = NOWHERE
    try:
        wanted = _wanted()
        return Place(_ours(wanted))
    except (OSError, RuntimeError) as error:
        why = _words(error)
    if key and _kept(wanted, key):
        return Place(wanted.resolve(), f"{why}; what was compiled before is used")
    user = os.getuid() if hasattr(os, "getuid") else 0
    with suppress(OSError):
        private = Path(tempfile.gettempdir()) / f"otrade-bot-{user}"
        if not private.is_symlink():  # somebody else may have put it there
            private = _ours(private)
            return Place(private, f"{why}; {private} is used")
    with suppress(OSError):
        passing = _passing()
        return Place(passing, f"{why}; {passing} is used until the end of this process")
    return Place(NOWHERE, f"{why}; nothing is kept, each start compiles")


def _wanted() -> Path:
    """RuntimeError for a user without a home."""
    chosen = os.environ.get("OTRADE_CACHE_DIR")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return base / "otrade-bot" / "kernel"


def cache_root() -> Path:
    """The folder of ``place``."""
    return place().path


def subfolder(root: Path, name: str) -> Path:
    """A private folder in ``root``, which is ours; one that others may write to is thrown away. ``NOWHERE`` where
    nothing can be written nor read."""
    folder = root / name
    with suppress(OSError):
        if doubt(folder.resolve()):
            shutil.rmtree(folder, ignore_errors=True)
    try:
        made = _ours(folder)
        os.utime(made)
    except OSError:
        return folder if _kept(root, name) else NOWHERE / name
    return made


def _kept(root: Path, key: str) -> bool:
    """What trades was compiled before and is there; nobody else could have put it there."""
    with suppress(OSError):
        real = root.resolve()
        return not doubt(real) and not doubt((real / key).resolve()) and find(real / key, "live") is not None
    return False


def forget_unused(root: Path, key: str) -> None:
    """Delete what was compiled of sources with which nobody has started for long, and nobody builds now. A process that
    runs what is deleted has it in memory."""
    with suppress(OSError):
        for name in os.listdir(root):
            folder = root / name
            if name != key and _KEY.fullmatch(name) and not folder.is_symlink():
                _forget(folder)


def _forget(folder: Path) -> None:
    with suppress(OSError):
        if time.time() - folder.stat().st_mtime > FORGOTTEN:
            with turn(folder, patience=0) as alone:
                if alone:
                    shutil.rmtree(folder, ignore_errors=True)


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


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


@cache
def _passing() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="otrade-bot-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def writable(folder: Path) -> bool:
    """A file can be made there."""
    with suppress(OSError), tempfile.TemporaryFile(dir=folder):
        return True
    return False


def write_once(path: Path, text: str) -> None:
    """Atomic, so that two processes that build the same kernel do not see half a file."""
    if path.exists():
        return
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


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
