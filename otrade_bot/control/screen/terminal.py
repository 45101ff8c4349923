"""The terminal as a mouth of the command table: a live picture, plain lines through pipes, or events alone.

Nothing here may hold up trading: keys are read when they arrive, a terminal that does not take output loses
pictures and not time, and an error while drawing costs the picture only.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import select
import signal
import sys
import termios
import time
import tty
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from otrade_bot.control.news.notices import describe
from otrade_bot.control.reply import Reply, text
from otrade_bot.control.screen.frame import Picture, draw
from otrade_bot.control.screen.keys import Keys, LineEditor
from otrade_bot.control.screen.pictures import with_pictures
from otrade_bot.core.events import Event
from otrade_bot.core.lang import speaking
from otrade_bot.trading.snapshot import TradingView

__all__ = ["PlainPrinter", "PlainTerminal", "TerminalUI", "terminal"]

Answer = Callable[[str], Awaitable[Reply]]

#: Shortest time between two pictures, seconds.
_REFRESH = 0.1
#: A picture without news, so that clock and prices move.
_IDLE = 0.5

_ENTER = b"\x1b[?1049h\x1b[?25l\x1b[2J"
_LEAVE = b"\x1b[0m\x1b[?25h\x1b[?1049l"


class PlainPrinter:
    """An observer that prints a line for each event worth one. A closed pipe silences it, no more."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._silent = False

    def on_event(self, event: Event) -> None:
        with speaking("en"):  # whoever caused it
            said = describe(event)
        if said:
            self.say(said)

    def say(self, reply: Reply) -> None:
        if self._silent:
            return
        try:
            self._out.write(reply.to_plain() + "\n")
            self._out.flush()
        except (OSError, ValueError):
            self._silent = True


class PlainTerminal(PlainPrinter):
    """Commands from a pipe, a file or a dumb terminal, a line each; answers and events as plain text."""

    def __init__(self, answer: Answer, stdin: TextIO | None = None, out: TextIO | None = None) -> None:
        super().__init__(out)
        self._answer = answer
        self._stdin = stdin or sys.stdin
        self._tasks: set[asyncio.Task[None]] = set()
        self._done = asyncio.Event()
        self._rest = b""
        self._why = "stopped"

    async def run(self) -> str:
        """Answers until the input ends ("eof") or ``stop`` ("stopped"); lines read are all answered."""
        fd = self._stdin.fileno()
        loop = asyncio.get_running_loop()
        try:
            loop.add_reader(fd, self._readable, fd)
        except PermissionError:  # a regular file is always ready, so the selector does not take it
            while not self._done.is_set():
                self._readable(fd)
        try:
            await self._done.wait()
            await asyncio.gather(*self._tasks)
        finally:
            loop.remove_reader(fd)
            for task in self._tasks:
                task.cancel()
        return self._why

    def stop(self) -> None:
        self._done.set()

    def _readable(self, fd: int) -> None:
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if not data:
            whole, self._rest = [*whole, self._rest], b""
            self._why = "eof"
            asyncio.get_running_loop().remove_reader(fd)
            self._done.set()
        for line in whole:
            if line.strip():
                self._ask(line.decode("utf-8", "replace").strip())

    def _ask(self, line: str) -> None:
        """A task each: a slow answer does not hold up /pause, quick ones keep their order."""
        task = asyncio.get_running_loop().create_task(self._reply(line))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply(self, line: str) -> None:
        self.say(await self._answer(line))


class TerminalUI:
    """A live picture with an input line, for a terminal on both sides. An observer by ``on_event``.

    ``speed`` is shown in the heading ("60x"). ``run`` returns "quit" (Ctrl-C, Ctrl-D), "eof" (the
    terminal is gone) or "stopped"; the terminal is as before however it ends, short of SIGKILL.
    """

    def __init__(
        self,
        view: TradingView,
        answer: Answer,
        *,
        speed: str = "",
        stdin: TextIO | None = None,
        out: TextIO | None = None,
    ) -> None:
        self._view, self._answer, self._speed = view, answer, speed
        self._stdin, self._stdout = stdin or sys.stdin, out or sys.stdout
        self._events: deque[Reply] = deque(maxlen=200)
        self._keys, self._editor = Keys(), LineEditor()
        self._said, self._asked, self._scroll = Reply(), "", 0
        self._asking = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._done, self._news = asyncio.Event(), asyncio.Event()
        self._why = "stopped"

    def on_event(self, event: Event) -> None:
        said = describe(event)
        if said:
            self._events.append(said)
            self._news.set()

    def stop(self, why: str = "stopped") -> None:
        """End ``run``; safe to call again."""
        self._why = self._why if self._done.is_set() else why
        self._done.set()
        self._news.set()

    def render(self, width: int, height: int, *, colour: bool = False) -> str:
        """One picture as text, ``height`` lines."""
        view = self._view
        picture = Picture(
            view.status(),
            view.rows(),
            view.positions(),
            list(self._events),
            self._said,
            self._asked,
            self._scroll,
            self._editor.text,
            self._editor.cursor,
            self._speed,
        )
        return draw(picture, width, height, colour=colour)

    def press(self, data: bytes) -> None:
        """What the keyboard sent. Needs a running loop for a finished line."""
        for key in self._keys.feed(data):
            self._key(key)
        self._news.set()

    def _key(self, key: str) -> None:
        if key == "quit" or (key == "eof" and not self._editor.text):
            self.stop("quit")
        elif key == "escape":
            self._show("", Reply())
        elif key in ("page_up", "page_down"):
            most = max(self._said.to_plain().count("\n"), 0)
            self._scroll = min(max(self._scroll + (10 if key == "page_down" else -10), 0), most)
        elif (line := self._editor.press(key)) is not None and line:
            task = asyncio.get_running_loop().create_task(self._reply(line))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _reply(self, line: str) -> None:
        """A late answer to an older line does not cover a newer one: it is told among the events."""
        self._asking += 1
        mine = self._asking
        self._show(line, text("..."))
        said = await self._answer(line)
        if mine == self._asking:
            self._show(line, said)
        else:
            self._events.append(text(f"{line}: {' '.join(said.to_plain().split())}"))
        self._news.set()

    def _show(self, asked: str, said: Reply) -> None:
        self._asked, self._said, self._scroll = asked, said, 0

    async def run(self) -> str:
        """Draw and listen until the end. See the class for what is returned."""
        fd = self._stdin.fileno()
        loop = asyncio.get_running_loop()
        with _Screen(fd, self._stdout.fileno()) as screen, _OnInterrupt(lambda: self.stop("quit")):
            loop.add_reader(fd, self._readable, fd)
            try:
                while not self._done.is_set():
                    self._paint(screen)
                    self._news.clear()
                    await asyncio.sleep(_REFRESH)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._news.wait(), _IDLE - _REFRESH)
            finally:
                loop.remove_reader(fd)
                for task in self._tasks:
                    task.cancel()
        return self._why

    def _readable(self, fd: int) -> None:
        try:
            data = os.read(fd, 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.press(data)
        else:
            asyncio.get_running_loop().remove_reader(fd)
            self.stop("eof")

    def _paint(self, screen: _Screen) -> None:
        width, height = screen.size()
        try:
            frame = self.render(width, height, colour=True)
        except Exception as error:  # the picture is lost, the keyboard and trading are not
            why = f"The picture cannot be drawn ({type(error).__name__}). Commands still work."
            frame = f"{why}\n> {self._editor.text}"
        lines = frame.split("\n")[-height:]
        screen.show("\n".join([*lines, *[""] * (height - len(lines))]))


class _Screen:
    """The terminal in picture mode: alternate screen, keys unbuffered. Output never waits."""

    def __init__(self, fd_in: int, fd_out: int) -> None:
        self._in, self._plain_out = fd_in, fd_out
        self._out = -1
        self._saved: list[Any] = []
        self._pending = b""
        self._last = ""

    def __enter__(self) -> _Screen:
        # Its own open file: O_NONBLOCK set on the shared one would reach the shell and our own stderr.
        self._out = os.open(os.ttyname(self._plain_out), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        self._saved = termios.tcgetattr(self._in)
        atexit.register(self._restore)
        tty.setcbreak(self._in)
        mode = termios.tcgetattr(self._in)
        mode[0] &= ~termios.IXON  # Ctrl-S would stop the output for good
        mode[6][termios.VSUSP] = b"\x00"  # Ctrl-Z would leave trading stopped behind a dead picture
        termios.tcsetattr(self._in, termios.TCSADRAIN, mode)
        self._pending = _ENTER
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _restore(self) -> None:
        if self._out < 0:
            return
        atexit.unregister(self._restore)
        self._wait_no_more()
        self._say_goodbye(b"\x18" + _LEAVE)  # CAN ends a sequence that was cut
        with suppress(OSError, termios.error):
            termios.tcsetattr(self._in, termios.TCSADRAIN, self._saved)
        os.close(self._out)
        self._out = -1

    def size(self) -> tuple[int, int]:
        """Columns and lines; 80x24 where the terminal does not say."""
        with suppress(OSError):
            columns, rows = os.get_terminal_size(self._out)
            if columns and rows:
                return columns, rows
        return 80, 24

    def show(self, frame: str) -> None:
        """Write a changed picture, unless the one before is still on its way."""
        self._flush()
        if self._pending or frame == self._last:
            return
        self._last = frame
        # Erase before writing: after a full line the cursor rests on its last cell and would erase that.
        lines = "\r\n".join(f"\x1b[K{line}" for line in frame.split("\n"))
        self._pending = f"\x1b[?7l\x1b[H{lines}\x1b[?7h".encode("utf-8", "replace")
        self._flush()

    def _flush(self) -> None:
        """Write what the terminal takes now; the rest follows when it takes more."""
        try:
            while self._pending:
                self._pending = self._pending[os.write(self._out, self._pending) :]
        except BlockingIOError:
            asyncio.get_running_loop().add_writer(self._out, self._flush)
            return
        except OSError:
            self._pending = b""
        self._wait_no_more()

    def _wait_no_more(self) -> None:
        with suppress(RuntimeError):  # at exit there is no loop any more
            asyncio.get_running_loop().remove_writer(self._out)

    def _say_goodbye(self, last: bytes) -> None:
        """A busy terminal gets a second to take the last words; a dead one does not hold us up longer."""
        until = time.monotonic() + 1
        while last and (left := until - time.monotonic()) > 0:
            try:
                last = last[os.write(self._out, last) :]
            except BlockingIOError:
                select.select([], [self._out], [], left)
            except OSError:
                return


class _OnInterrupt:
    """Ctrl-C calls ``action`` while inside; the handler of before comes back. Main thread only."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        self._before: Any = None

    def __enter__(self) -> None:
        with suppress(ValueError, RuntimeError):
            before = signal.getsignal(signal.SIGINT)
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._action)
            self._before = before

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
            signal.signal(signal.SIGINT, self._before)


def terminal(
    view: TradingView,
    answer: Answer,
    *,
    speed: str = "",
    stdin: TextIO | None = None,
    out: TextIO | None = None,
    pictures: Path | None = None,
) -> TerminalUI | PlainTerminal:
    """The picture where both sides are terminals, else plain lines. PNGs of answers are saved in ``pictures``."""
    answer = with_pictures(answer, pictures) if pictures is not None else answer
    stdin, out = stdin or sys.stdin, out or sys.stdout
    if stdin.isatty() and out.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return TerminalUI(view, answer, speed=speed, stdin=stdin, out=out)
    return PlainTerminal(answer, stdin, out)
