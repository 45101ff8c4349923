"""Short-lived children that do for the service what must cost it neither memory nor time: pictures, past days.

A child is a module of ours in a process of its own: a question on its standard input, the answer on its output. It
knows no secret, limits itself (``research.limits``), and is killed when it is late. There is one at a time.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import otrade_bot
from otrade_bot.core.errors import CommandException
from otrade_bot.core.lang import t
from otrade_bot.core.masking import mask_text
from otrade_bot.kernel.compile import cache_root
from otrade_bot.service.logs import get_logger

__all__ = ["Children", "environment"]

#: A child is killed after so many seconds; who waits so long for the one before gives up.
LIFE, PATIENCE = 10.0, 10.0
#: A picture has 100 kB; what is longer is none.
MOST_BYTES = 4_000_000
#: Of the service's environment: what a Python needs to start, and nothing else.
_PASSED = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "TZ")


def environment(ours: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a child knows: no token, no key, no password."""
    return {
        **{name: ours[name] for name in _PASSED if name in ours},
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(Path(otrade_bot.__file__).parents[1]),
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": str(cache_root().parent / "matplotlib"),
        "MPL_IGNORE_SYSTEM_FONTS": "1",  # its own are enough, and looking for others takes seconds
        "OPENBLAS_NUM_THREADS": "1",
    }


class Children:
    """``ask`` one after the other. ``program`` is what runs a module; ``note`` is told why one has failed."""

    def __init__(
        self,
        *,
        life: float = LIFE,
        patience: float = PATIENCE,
        program: tuple[str, ...] = (sys.executable, "-s", "-P", "-m"),
        note: Callable[[str], None] = lambda line: get_logger("error").error(line),
    ) -> None:
        self._life, self._patience, self._program, self._note = life, patience, program, note
        self._turn = asyncio.Semaphore(1)

    async def ask(self, module: str, given: bytes) -> bytes:
        """What the child answers. Raises CommandException: why there is no answer, in words for a person."""
        try:
            async with asyncio.timeout(self._patience):
                await self._turn.acquire()
        except TimeoutError:
            raise CommandException(t("others are being drawn, ask again in a moment")) from None
        try:
            return await self._live(module, given)
        finally:
            self._turn.release()

    async def _live(self, module: str, given: bytes) -> bytes:
        coming = asyncio.ensure_future(asyncio.create_subprocess_exec(
            *self._program, module, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, env=environment(), cwd="/", start_new_session=True,
        ))  # fmt: skip
        try:
            child = await asyncio.shield(coming)
        except OSError as error:
            self._note(f"{module} cannot be started: {error}")
            raise CommandException(t("the machine has no room for it now")) from None
        except asyncio.CancelledError:  # it comes all the same, and nobody else would end it
            with suppress(OSError):
                await _ended(await coming)
            raise
        try:
            async with asyncio.timeout(self._life):
                out, said = await child.communicate(given)
        except TimeoutError:
            self._note(f"{module} was killed after {self._life:g} s")
            raise CommandException(t("it took longer than {seconds} s", seconds=f"{self._life:g}")) from None
        finally:
            await _ended(child)  # late, or nobody waits for it any more
        if child.returncode or not out or len(out) > MOST_BYTES:
            self._note(f"{module} ended with {child.returncode}, {len(out)} bytes: {_last(said)}")
            raise CommandException(t("it failed, the error log has details"))
        return out


async def _ended(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


def _last(said: bytes) -> str:
    """The last line of what it complained of."""
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return mask_text(lines[-1])[:300] if lines else "no word"
