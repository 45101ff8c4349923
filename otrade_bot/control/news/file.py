"""What the outbox keeps on disk: each message before it is sent, each attempt, and that Telegram took it.

JSON lines. ``add`` (a number) with ``chats``, ``at`` (wall ns), ``silent``, ``runs``, ``lane``, ``what`` (kind, symbol
and market time of the event), ``actions``, ``language`` and ``of`` (the event's name; ``newest`` keeps the last of
these); then, for one chat, ``try`` before an attempt, ``back`` after one that surely did not arrive, ``done`` after
Telegram's ok, each with the numbers it is about. A ``try`` that is followed by none of them is in doubt: the message
may have been shown.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import orjson

from otrade_bot.control.news.entry import Entry, Item, add_line, entry_of
from otrade_bot.core.clock import SECOND
from otrade_bot.core.errors import JournalException
from otrade_bot.core.jsonlines import LineLog

__all__ = ["Entry", "Item", "OutboxFile", "Waiting"]

#: Lines nobody needs any more that are borne before the file is written anew, and as many a waiting one.
_DEAD, _DEAD_EACH = 1000, 4
#: How often a disk that failed is tried again with the whole file.
_RETRY = 10 * SECOND

Waiting = Mapping[int, Collection[Item]]  #: by chat, oldest first


class OutboxFile:
    """Opens, locks, repairs and reads the file; what waits is in ``load()``.

    A disk that fails later is told once through ``log_error``, costs nobody a message and is tried again.
    Raises JournalException where the file cannot be opened or another process has it. A corrupt one, or what is no
    file at all, is set aside as ``NAME.corrupt`` and what can be read of it goes on.
    """

    def __init__(self, path: Path, log_error: Callable[[str], None]) -> None:
        self._path, self._log_error = path, log_error
        self._failed = False
        self._tried_ns = 0
        self._found: list[dict[str, Any]]
        self._log: LineLog | None
        self._log, self._found = self._open()
        self._lines = len(self._found)
        self.newest = ""  #: the last event that was added, taken or not

    def load(self) -> tuple[dict[int, deque[Item]], int]:
        """What waits, by chat, and the highest number in use. Once; forgets the lines."""
        found, self._found = self._found, []
        items: dict[int, dict[int, Item]] = {}
        strange = highest = 0
        for line in found:
            self.newest = str(line.get("of") or line.get("newest") or self.newest)
            try:
                highest = max(highest, _replay(line, items))
            except (KeyError, TypeError, ValueError):
                strange += 1
        if strange:
            self._log_error(f"{self._path}: {strange} lines are none of the outbox's and were left out")
        return {chat: deque(rows.values()) for chat, rows in items.items() if rows}, highest

    def add(self, entries: Sequence[Entry]) -> None:
        self.newest = next((entry.of for entry in reversed(entries) if entry.of), self.newest)
        self._append([add_line(entry, entry.chats, ()) for entry in entries])

    def note(self, word: Literal["try", "back", "done"], chat: int, items: Sequence[Item]) -> None:
        """What became of messages in one chat."""
        self._append([{word: [item.entry.number for item in items], "chat": chat}])

    def tidy(self, live: int, waiting: Callable[[], Waiting], now_ns: int) -> None:
        """Write the file anew where it has grown beyond ``live`` messages, or where the disk failed a while ago."""
        if self._log is None:
            return
        if self._failed:
            if abs(now_ns - self._tried_ns) >= _RETRY:
                self._tried_ns = now_ns
                self.rewrite(waiting())
        elif self._lines - live >= _DEAD + _DEAD_EACH * live:
            self.rewrite(waiting())

    def rewrite(self, waiting: Waiting) -> None:
        """What waits and nothing else, in a new file that takes the old one's place in one step."""
        if self._log is None:
            return
        lines = _whole(waiting) + ([{"newest": self.newest}] if self.newest else [])
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            log = _written(fresh, lines, self._path)
        except (JournalException, OSError) as error:
            self._fail(error)
            return
        self._log.close()
        self._log, self._lines = log, len(lines)
        if self._failed:
            self._failed = False
            self._log_error(f"{self._path}: written again, nothing is missing")

    def close(self) -> None:
        log, self._log = self._log, None
        if log is not None:
            log.close()

    def _append(self, lines: Sequence[Mapping[str, Any]]) -> None:
        try:
            if self._log is None:
                raise JournalException(f"{self._path}: already closed")
            self._log.append_many(lines, durable=False)
            self._lines += len(lines)
        except JournalException as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self._failed:
            self._failed = True
            self._log_error(f"outbox: {error}; messages are kept in memory alone until this works again")

    def _open(self) -> tuple[LineLog, list[dict[str, Any]]]:
        try:
            log = LineLog(self._path)
            found = list(LineLog.read(self._path))
        except JournalException as error:
            foreign = os.path.lexists(self._path) and not self._path.is_file()
            if not foreign and not _corrupt(self._path):
                raise
            aside = self._path.with_name(self._path.name + ".corrupt")
            self._log_error(f"{error}; set aside as {aside.name}, what can be read of it is sent")
            found = [] if foreign else _salvaged(self._path)
            try:
                os.replace(self._path, aside)
            except OSError as stays:
                raise JournalException(f"{error}; it cannot be set aside: {stays.strerror}") from stays
            log = LineLog(self._path)
        return log, found


def _whole(waiting: Waiting) -> list[dict[str, Any]]:
    """The lines that say what waits, in the order it was put."""
    entries: dict[int, Entry] = {}
    chats: dict[int, list[int]] = {}
    lost: dict[int, list[int]] = {}
    tries: list[dict[str, Any]] = []
    for chat, items in waiting.items():
        for item in items:
            number = item.entry.number
            entries[number] = item.entry
            chats.setdefault(number, []).append(chat)
            if item.lost:
                lost.setdefault(number, []).append(chat)
        if trying := [item.entry.number for item in items if item.trying]:
            tries.append({"try": trying, "chat": chat})
    return [add_line(entries[n], chats[n], lost.get(n, ())) for n in sorted(entries)] + tries


def _written(fresh: Path, lines: Sequence[Mapping[str, Any]], path: Path) -> LineLog:
    fresh.unlink(missing_ok=True)  # of a compaction that was killed; whoever writes holds the lock of ``path``
    log = LineLog(fresh)
    try:
        log.append_many(lines, durable=True)
        log.rename(path)
    except BaseException:
        log.close()
        fresh.unlink(missing_ok=True)
        raise
    return log


def _replay(line: Mapping[str, Any], items: dict[int, dict[int, Item]]) -> int:
    """Apply one line; the highest number in it. KeyError, TypeError or ValueError for what is no such line."""
    if "add" in line:
        entry = entry_of(line)
        lost = line.get("lost", ())
        for chat in entry.chats:
            items.setdefault(chat, {})[entry.number] = Item(entry, lost=chat in lost)
        return entry.number
    if "newest" in line:
        return 0
    word = next(word for word in ("try", "back", "done", "") if word in line or not word)
    rows = items.get(line["chat"], {})
    for number in line[word]:
        if word == "done":
            rows.pop(number, None)
        elif item := rows.get(number):
            item.lost = item.lost or (word == "try" and item.trying)
            item.trying = word == "try"
    return 0


def _corrupt(path: Path) -> bool:
    """Whether it is the lines that cannot be read, not the file."""
    try:
        path.read_bytes()
        for _ in LineLog.read(path):
            pass
    except OSError:
        return False
    except JournalException:
        return True
    return False


def _salvaged(path: Path) -> list[dict[str, Any]]:
    """Every line that is one."""
    found = []
    for raw in path.read_bytes().split(b"\n"):
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found
