"""Log files for those who run the service: four streams of JSON lines under ``<state>/logs``.

``system.log``, ``trade.log``, ``performance.log`` and ``error.log``; whatever is logged at ERROR or above
to any stream goes to ``error.log`` too. Files are rotated, mode 0600, timestamps IST (wall time). The last
thing done to every line, ours or a library's, is masking (``core.masking``, also for what it cannot do).
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import orjson

from otrade_bot.core.clock import iso
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.imports import without
from otrade_bot.core.masking import holds_secret, mask, mask_text, register_secret

# structlog imports its Twisted support wherever Twisted is installed, and rich for a console that nobody here has:
# 10 MB and a reactor.
with without("structlog.twisted", "rich", "better_exceptions"):
    import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

__all__ = ["STREAMS", "configure", "get_logger", "mask", "mask_text", "register_secret", "shutdown", "tail", "timed"]

STREAMS = ("system", "trade", "error", "performance")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

#: Libraries whose chatter (httpx: every URL, with the bot's token in it) is not wanted below WARNING.
LIBRARIES = (
    *("httpx", "httpcore", "apscheduler", "urllib3", "requests", "kiteconnect"),
    *("upstox_client", "websocket", "websockets", "twisted", "autobahn", "numba", "asyncio"),
)

#: It writes a page of HTML and a traceback for every short outage, which our own log tells in a line.
LOUD = ("telegram",)

_PREFIX = "otrade"
_WITHHELD = '{"event":"line withheld: a secret was left in it"}'
_installed: list[tuple[logging.Logger, logging.Handler]] = []

# Before configure() nothing is written anywhere, least of all unmasked to standard error.
_top = logging.getLogger(_PREFIX)
_top.addHandler(logging.NullHandler())
_top.propagate = False


def configure(
    state_dir: str | os.PathLike[str],
    *,
    level: str = "INFO",
    console: bool = False,
    max_bytes: int = 10_000_000,
    backups: int = 5,
) -> None:
    """Open the four files; a second call replaces the first one's.

    ``level``: the lowest that is written, one of LEVELS. ``console``: also to standard error, for humans.
    A file is rotated before it would exceed ``max_bytes``; ``backups`` old ones are kept.
    Raises ConfigException for an unknown level or a folder that cannot be written.
    """
    if level.upper() not in LEVELS:
        raise ConfigException("unknown log level", key="level", value=level, allowed=", ".join(LEVELS))
    shutdown()
    folder = Path(state_dir) / "logs"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = {name: _File(folder / f"{name}.log", max_bytes, backups) for name in STREAMS}
    except OSError as error:
        raise ConfigException(f"{folder}: logs cannot be written: {error.strerror}") from error
    files["error"].setLevel(logging.ERROR)
    _install(files, level.upper(), _Console() if console else None)


def shutdown() -> None:
    """Close the files and give the standard library's loggers back. Logging afterwards is dropped."""
    while _installed:
        logger, handler = _installed.pop()
        logger.removeHandler(handler)
        with suppress(OSError, ValueError):  # a full disk: what is still buffered is lost
            handler.close()


def get_logger(stream: str = "system") -> structlog.stdlib.BoundLogger:
    """A logger of one of STREAMS: ``log.info("event in a few words", key=value, …)``.

    May be taken before ``configure``; what is logged before is dropped. Raises ConfigException for
    another name.
    """
    if stream not in STREAMS:
        raise ConfigException("unknown log stream", key="stream", value=stream, allowed=", ".join(STREAMS))
    wrapped = structlog.wrap_logger(
        logging.getLogger(f"{_PREFIX}.{stream}"),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        context_class=dict,
    )
    return cast(structlog.stdlib.BoundLogger, wrapped)


@contextmanager
def timed(name: str, **fields: object) -> Iterator[None]:
    """Write how long the block took to the performance stream: event ``name``, ``ms``, ``ok``, fields.

    An exception is noted by its type (``error``) and passes through.
    """
    start = time.perf_counter_ns()
    outcome: dict[str, object] = {"ok": True}
    try:
        yield
    except BaseException as error:
        outcome = {"ok": False, "error": type(error).__name__}
        raise
    finally:
        ms = (time.perf_counter_ns() - start) / 1e6
        get_logger("performance").info(name, **{**fields, "ms": round(ms, 3), **outcome})


def tail(path: Path, newest: int) -> list[str]:
    """The last lines of a log, none where there is no such file."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=newest)]
    except FileNotFoundError:
        return []


def _install(files: dict[str, _File], level: str, console: _Console | None) -> None:
    root = logging.getLogger()
    for stream in STREAMS:
        logger = logging.getLogger(f"{_PREFIX}.{stream}")
        logger.setLevel(level)
        logger.propagate = False
        for handler in dict.fromkeys((files[stream], files["error"])):
            _attach(logger, handler)
    for handler in (files["system"], files["error"]):
        _attach(root, handler)
    root.setLevel(logging.WARNING)
    for library in LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)
    for library in LOUD:
        logging.getLogger(library).setLevel(logging.CRITICAL)
    if console is not None:
        for logger in [root, *(logging.getLogger(f"{_PREFIX}.{stream}") for stream in STREAMS)]:
            _attach(logger, console)


def _attach(logger: logging.Logger, handler: logging.Handler) -> None:
    logger.addHandler(handler)
    _installed.append((logger, handler))


class _Quiet(logging.Handler):
    """A log that cannot be written stops nothing, and says so without printing the record it lost."""

    label = ""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002, RUF100
        error = sys.exc_info()[1]
        if sys.stderr is not None:
            sys.stderr.write(f"{self.label}: a log line was lost: {mask_text(str(error))}\n")


class _File(_Quiet, RotatingFileHandler):
    def __init__(self, path: Path, max_bytes: int, backups: int) -> None:
        self.label = path.name
        RotatingFileHandler.__init__(
            self, path, maxBytes=max_bytes, backupCount=backups, encoding="utf-8", errors="backslashreplace"
        )
        self.setFormatter(_formatter(_render_json))

    def _open(self) -> Any:
        return open(self.baseFilename, self.mode, encoding=self.encoding, errors=self.errors, opener=_private)


class _Console(_Quiet, logging.StreamHandler[IO[str]]):
    label = "console"

    def __init__(self) -> None:
        logging.StreamHandler.__init__(self, sys.stderr)
        self.setFormatter(_formatter(_render_human))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _formatter(render: Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.processors.format_exc_info,
            structlog.processors.StackInfoRenderer(),
            _stamp,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _mask_all,
            render,
        ],
    )


def _stamp(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Time (IST), level and stream in front; for a library's record also whose it is."""
    record: logging.LogRecord = event["_record"]
    prefix, _dot, stream = record.name.partition(".")
    head: EventDict = {
        "ts": iso(round(record.created * 1e6) * 1000),
        "level": record.levelname.lower(),
        "stream": stream if prefix == _PREFIX else "system",
    }
    if prefix != _PREFIX:
        head["logger"] = record.name
    head["event"] = event.pop("event", None)
    return {**head, **{key + "_" * (key in head): value for key, value in event.items()}}


def _mask_all(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return cast("EventDict", mask(event))


def _render_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    line = orjson.dumps(event).decode()
    # A secret that is itself a piece of JSON can come together only now: then the line is not written.
    return _WITHHELD if holds_secret(line) else line


def _render_human(_: WrappedLogger, __: str, event: EventDict) -> str:
    rest = dict(event)
    trace = rest.pop("exception", None)
    when, level, stream, what = (str(rest.pop(key)) for key in ("ts", "level", "stream", "event"))
    pairs = "".join(f" {key}={value}" for key, value in rest.items())
    line = _printable(f"{when[11:19]} {level.upper():8} {stream}: {what}{pairs}")
    text = mask_text(f"{line}\n{trace}" if trace else line)
    return "line withheld: a secret was left in it" if holds_secret(text) else text


def _printable(text: str) -> str:
    """One line, without control characters that could forge another one or move the cursor."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
