"""The diary of a day: ``<state>/journal/YYYY-MM-DD.jsonl``, one event a line, append-only.

The keys of every kind of line are listed in ``docs/journal.md``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from otrade_bot.core.chain import NOTHING, sealed, unsealed
from otrade_bot.core.clock import Clock, iso, ist_date
from otrade_bot.core.errors import JournalException
from otrade_bot.core.events import Event, EventKind, Severity, cause
from otrade_bot.core.jsonlines import LineLog
from otrade_bot.core.masking import MASK, is_secret_name, mask_text

__all__ = ["OWN_KEYS", "DayJournal", "day_path", "days", "events_of", "last_hash", "mended", "read_day"]

#: Keys of the line itself; an event's data may not use them.
OWN_KEYS = frozenset({"ts", "ns", "kind", "symbol", "text", "severity", "cause", "follows", "chain"})

#: What binds a line to others, and says nothing of the day.
_BONDS = ("mark", "cause", "follows", "chain")
#: Holds neither text nor what JSON has no word for.
_SAFE = frozenset({int, bool, type(None)})
#: More than the longest line has.
_TAIL = 1 << 20


def day_path(state_dir: str | os.PathLike[str], day: date) -> Path:
    """Where the journal of ``day`` (IST) lies."""
    return Path(state_dir) / "journal" / f"{day.isoformat()}.jsonl"


def days(state_dir: str | os.PathLike[str]) -> list[date]:
    """The days that have a journal, oldest first. Files with other names are ignored."""
    found = []
    for path in (Path(state_dir) / "journal").glob("*.jsonl"):
        try:
            found.append(date.fromisoformat(path.stem))
        except ValueError:
            continue
    return sorted(found)


def read_day(state_dir: str | os.PathLike[str], day: date) -> list[dict[str, Any]]:
    """All lines of a day in the order written, without what binds them to others; none where there is no journal.

    A torn last line is left out and left alone. Raises JournalException for corruption.
    """
    return [
        {key: value for key, value in line.items() if key not in _BONDS}
        for line in LineLog.read(day_path(state_dir, day))
    ]


def mended(state_dir: str | os.PathLike[str], day: date) -> str:
    """A day's file that cannot be read is set aside as ``NAME.corrupt``, and what can be read of it goes on in its
    place: the diary is no account, so nothing waits for it. What to tell; '' where the file is whole.

    Raises JournalException where not even that can be done.
    """
    path = day_path(state_dir, day)
    try:
        read_day(state_dir, day)
        return ""
    except JournalException as error:
        fault = str(error)
    aside, fresh = path.with_name(f"{path.name}.corrupt"), path.with_name(f"{path.name}.new")
    try:
        raw = path.read_bytes() if path.is_file() else b""
        os.replace(path, aside)
        fresh.unlink(missing_ok=True)
        with LineLog(fresh) as log:
            log.append_many(_salvaged(raw), durable=True)
            log.rename(path)
    except OSError as error:
        raise JournalException(f"{fault}; it cannot be set aside: {error.strerror}") from error
    return f"{fault}; set aside as {aside.name}, what can be read of it goes on"


def _salvaged(raw: bytes) -> Iterator[dict[str, Any]]:
    """Every line that is one."""
    for line in raw.split(b"\n"):
        with suppress(orjson.JSONDecodeError):
            if isinstance(found := orjson.loads(line), dict):
                yield found


def events_of(lines: Iterable[Mapping[str, Any]]) -> Iterator[Event]:
    """The events that lines were written from; lines of another program's kinds are passed over."""
    for line in lines:
        with suppress(KeyError, TypeError, ValueError):
            kind, severity = EventKind(line["kind"]), Severity[line["severity"]]
            data = {key: value for key, value in line.items() if key not in OWN_KEYS}
            yield Event(kind, int(line["ns"]), line.get("symbol", ""), line.get("text", ""), severity, data)


class DayJournal:
    """Implements ``core.ports.Journal``. A line goes to the file of the IST day of ``event.ts_ns``.

    Opening the folder fails at once (JournalException) where it cannot be written; a day's file is made
    with its first event. Lines are written immediately; ``durable`` also waits for the disk. A torn line
    left by a killed process is cut away and told in a ``recovery`` line stamped by ``clock``. Each line is chained to
    the one before it (``core.chain``), the first of a day to the last of the day before.
    """

    def __init__(self, state_dir: str | os.PathLike[str], clock: Clock) -> None:
        self._state_dir = Path(state_dir)
        self._clock = clock
        self._day: date | None = None
        self._log: LineLog | None = None
        self.head = ""  #: the hash of the last line; '' where the next one begins a chain
        _make_folder(self._state_dir / "journal")

    @property
    def path(self) -> Path | None:
        """The file in use, None before the first event."""
        return self._log.path if self._log else None

    def append(self, event: Event, *, durable: bool = False) -> None:
        """Write one line. ``durable`` returns only after fsync.

        Raises JournalException where it cannot be written, or where ``event.data`` uses a key of OWN_KEYS.
        """
        self._write(self._log_of(ist_date(event.ts_ns)), _line(event), durable=durable)

    def _write(self, log: LineLog, line: dict[str, Any], *, durable: bool) -> None:
        """Sealed. What could not be written is followed by nothing."""
        before = self.head
        if not before:
            before = line["follows"] = _head_before(self._state_dir, self._day)
        raw, head = sealed(log.encode(line), before)
        log.write(raw, durable=durable)
        self.head = head

    def close(self) -> None:
        """Put everything on the disk and release the file. Raises JournalException where that fails."""
        log, self._log, self._day = self._log, None, None
        if log is not None:
            with log:
                log.sync()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _log_of(self, day: date) -> LineLog:
        if self._log is not None and day == self._day:
            return self._log
        self.close()
        self._log = log = LineLog(day_path(self._state_dir, day))
        self._day = day
        self.head = unsealed(log.last())[1]
        if log.repaired is not None:
            self._write(log, _line(self._repair_event(log.path, log.repaired)), durable=True)
        return log

    def _repair_event(self, path: Path, torn: bytes) -> Event:
        return Event(
            EventKind.RECOVERY,
            self._clock.now_ns(),
            text=f"{path.name}: removed a torn last line of {len(torn)} bytes, left by a killed process",
            severity=Severity.WARNING,
            data={"what": "torn_line", "bytes": len(torn)},
        )


def _head_before(state_dir: Path, day: date | None) -> str:
    """The hash of the last line of the newest earlier day; NOTHING where there is none that can be read."""
    for earlier in reversed(days(state_dir)):
        if day is None or earlier < day:
            with suppress(OSError, JournalException):
                return last_hash(day_path(state_dir, earlier)) or NOTHING
    return NOTHING


def last_hash(path: Path) -> str:
    """The hash of a file's last whole line, '' where it bears none. Raises OSError."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        lines = file.read().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith(b"\n")]
    return unsealed(whole[-1])[1] if whole else ""


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise JournalException(f"{folder}: cannot be created: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise JournalException(f"{folder}: cannot be written")


def _line(event: Event) -> dict[str, Any]:
    """The event as a line: own keys first, optional ones only where they say something."""
    taken = OWN_KEYS.intersection(event.data)
    if taken:
        names = ", ".join(sorted(taken))
        raise JournalException(f"journal: data of a {event.kind} event may not use the keys: {names}")
    line: dict[str, Any] = {"ts": iso(event.ts_ns), "ns": event.ts_ns, "kind": event.kind.value}
    if event.symbol:
        line["symbol"] = event.symbol
    if event.text:
        line["text"] = mask_text(event.text)
    line["severity"] = event.severity.name
    line.update(_clean(event.data))
    if mark := cause():
        line["cause"] = mark
    return line


def _clean(value: Any, name: str = "") -> Any:
    """JSON values without NaN, infinities and secrets. ``name`` is the key the value stands under."""
    if type(value) in _SAFE:
        return value
    if isinstance(value, str):
        return MASK if value and _hides_text(name) else mask_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (dict, Mapping)):  # to ask for a dict first is cheap
        inner = name if _hides_text(name) else ""
        return {
            mask_text(str(key)): item if type(item) in _SAFE else _clean(item, inner or str(key))
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_clean(item, name) for item in value]
    return value


@lru_cache(maxsize=1024)
def _hides_text(name: str) -> bool:
    """Only texts are hidden by name: a count of ``unknown_token`` is no secret. ``key`` alone is none
    either: commands name the setting they change with it."""
    return bool(name) and name.lower() != "key" and is_secret_name(name)
