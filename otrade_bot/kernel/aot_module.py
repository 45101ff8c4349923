"""Extension modules of the kernel: found in the cache, or built by a child process, and loaded.

The process that trades imports no compiler: numba and LLVM are 64 MB, what they compile in process another 56.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.machinery import ExtensionFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from otrade_bot.kernel.cache import find, keep, turn
from otrade_bot.kernel.compile import HERE, Complaint, Progress, StrategySource, Unavailable, described

#: What runs a module: this Python, without what a user's own folder adds.
PROGRAM = (sys.executable, "-s", "-P", "-m")

#: s; a build that takes longer is killed. It takes four seconds on an idle machine.
LIFE = 300.0
#: Of our environment, what compilers need: no token, no key, no password.
_PASSED = ("PATH", "LD_LIBRARY_PATH", "TZ", "CC", "NUMBA_BOUNDSCHECK")


def module(
    strategies: Sequence[StrategySource],
    key: str,
    folder: Path,
    part: str,
    entries: Sequence[str],
    progress: Progress | None = None,
) -> tuple[Any, bool]:
    """The module with these entries, and whether it was there already.

    Raises Unavailable (why it cannot be had here), Complaint or KeyError (what the compiler says of the sources), and
    RuntimeError where the kernel's own files are no longer those that the key was made of."""
    name = f"_otrade_{key}_{part}"
    if (path := find(folder, part)) is not None:
        return _loaded(name, path), True
    with suppress(OSError):  # it may be gone, when nobody has started with it for long
        folder.mkdir(mode=0o700, exist_ok=True)
    if lack := missing(folder):
        raise Unavailable(lack[0])
    with turn(folder) as alone:
        if (path := find(folder, part)) is not None:  # built while we waited
            return _loaded(name, path), True
        if alone:
            _clear(folder)
        try:
            path = _built(strategies, key, folder, part, entries, name, progress)
        except OSError as error:  # a full disk, no room for a process
            raise Unavailable(f"nothing can be built in {folder}: {error.strerror or error}") from error
    return _loaded(name, path), False


def missing(folder: Path) -> tuple[str, str] | None:
    """What this machine lacks to build a module in that folder, and the cure; None where nothing."""
    import sysconfig

    if find_spec("setuptools") is None:
        return "setuptools is not installed", "pip install setuptools"
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"no C compiler ({compiler})", f"install {compiler}: apt install gcc python3-dev, or your system's like"
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.exists():
        return f"no headers of Python ({header})", "install them: apt install python3-dev, or your system's like"
    try:
        flags = os.statvfs(folder).f_flag
    except OSError as error:
        return f"no folder for what is compiled: {error.strerror}", "set OTRADE_CACHE_DIR to one that can be written"
    if flags & getattr(os, "ST_NOEXEC", 0):
        cure = "set OTRADE_CACHE_DIR to a folder on another disk"
        return f"{folder} is on a disk that nothing may be run from", cure
    return None


def _loaded(name: str, path: Path) -> Any:
    loader = ExtensionFileLoader(name, str(path))
    spec = spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    try:
        made = module_from_spec(spec)
        loader.exec_module(made)
    except ImportError as error:
        raise Unavailable(f"what was compiled cannot be loaded: {error}") from error
    return made


def _clear(folder: Path) -> None:
    """What killed builds have left. Only while nobody else builds."""
    for path in folder.glob("build-*"):
        shutil.rmtree(path, ignore_errors=True)


def _built(
    strategies: Sequence[StrategySource],
    key: str,
    folder: Path,
    part: str,
    entries: Sequence[str],
    name: str,
    progress: Progress | None,
) -> Path:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="build-", dir=folder, ignore_cleanup_errors=True) as work:
        request = {
            "module": name, "key": key, "folder": work, "entries": list(entries),
            "strategies": [
                {"name": one.name, "path": str(one.path), "source": one.source,
                 "state": described(one.state), "params": described(one.params)} for one in strategies
            ],
        }  # fmt: skip
        answer = _ask(request, work, progress)
        if "complaint" in answer:
            raise Complaint(answer["complaint"])
        if "missing" in answer:
            raise KeyError(answer["missing"])
        if answer.get("changed"):
            raise RuntimeError("the kernel's files were changed while this process runs: start it again")
        path = keep(Path(work) / answer["built"], folder, part)
    if progress is not None:
        progress("done", 1.0)
    return path


def _ask(request: Mapping[str, Any], work: str, progress: Progress | None) -> dict[str, Any]:
    """The child's last word. Raises Unavailable where it has none."""
    import json
    import subprocess
    import tempfile
    from threading import Timer

    answer: dict[str, Any] = {}
    with tempfile.TemporaryFile(dir=work) as errors:
        child = subprocess.Popen(  # noqa: S603 - this Python, a module of ours
            [*PROGRAM, "otrade_bot.kernel.aot"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            env=_environment(work), cwd=work, start_new_session=True,
        )  # fmt: skip
        late = Timer(LIFE, _kill, (child,))
        late.daemon = True
        late.start()
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            with suppress(BrokenPipeError):  # it is dead already, and its end says more
                child.stdin.write(json.dumps(request).encode() + b"\n")
                child.stdin.flush()
            for line in child.stdout:
                answer = json.loads(line)
                if "at" in answer and progress is not None:
                    progress(answer["at"], answer["of"])
        except BaseException:
            _kill(child)
            raise
        finally:
            code = _end(child)
            late.cancel()
        if code or "at" in answer or not answer:
            errors.seek(0)
            raise Unavailable(f"the compiling process ended with {code}: {_last(errors.read())}")
    return answer


def _kill(child: Any) -> None:
    """It and the C compiler that it may be waiting for."""
    import signal

    if child.returncode is None:  # its number is still its own
        with suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)


def _end(child: Any) -> int:
    """Close its pipes (without a parent it ends itself, and compilers with it) and wait for it."""
    child.stdout.close()
    code: int = child.wait()
    with suppress(BrokenPipeError):
        child.stdin.close()
    return code


def _environment(work: str) -> dict[str, str]:
    """What the child knows: no token, no key, no password."""
    ours = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return {**ours, "LANG": "C.UTF-8", "PYTHONPATH": str(HERE.parents[1]), "TMPDIR": work}


def _last(said: bytes) -> str:
    """The last line of what it complained of."""
    lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else "no word"
