"""Days that are over, out of their journals: ``python -m otrade_bot.research.past``, a question in, an answer out.

A day's journal may be 25 MB, and a service that trades has no business to read so much: it asks a child. What was
read of a day is kept beside the journals (``past/DAY.json``) and counts as long as its journal is as it was then.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

import orjson

from otrade_bot.core.errors import TradingException
from otrade_bot.core.jsonlines import LineLog
from otrade_bot.core.money import to_paise
from otrade_bot.research.drawings import Score
from otrade_bot.research.performance import Booked, by_name, score

__all__ = ["Ask", "Past", "Period", "Span", "answer_of", "gathered", "question_of"]

Period = Literal["day", "week", "month"]
#: Of the shape of what is kept of a day.
VERSION = 1
#: After so many seconds of reading, what was read is the answer; the next question finds it kept.
PATIENCE = 5.0
#: Kinds of lines that say nothing of money, and are most of a journal.
_IDLE = {"evaluation", "order", "stop", "refusal"}


@dataclass(frozen=True, slots=True)
class Ask:
    """The newest ``count`` periods up to ``until`` (ISO day) on which was traded in ``mode``."""

    period: Period
    count: int
    mode: str
    until: str


@dataclass(frozen=True, slots=True)
class Span:
    """A day, week or month on which was traded: first and last such day (ISO), and the sums of its round trips."""

    first: str
    last: str
    days: int
    trades: int
    won: int
    gross: int
    charges: int
    net: int


@dataclass(frozen=True, slots=True)
class Past:
    """``spans`` oldest first; rows with the best first; ``total`` over all of it. ``others``: days in another mode,
    left out; ``unread``: days for which there was no time; ``broken``: what cannot be read, and why."""

    spans: tuple[Span, ...]
    total: Score
    strategies: tuple[Score, ...] = ()
    symbols: tuple[Score, ...] = ()
    others: int = 0
    unread: int = 0
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Day:
    day: date
    mode: str
    opened: bool
    booked: list[Booked]


def gathered(state: Path, asked: Ask, *, seconds: float = PATIENCE, now: Callable[[], float] = time.monotonic) -> Past:
    """The answer from the journals in ``state``."""
    until, deadline = date.fromisoformat(asked.until), now() + seconds
    spans: dict[date, list[_Day]] = {}
    others, unread = 0, 0
    broken: list[str] = []
    days = [day for day in _days(state) if day <= until]
    for at, day in enumerate(days):
        if len(spans) >= asked.count and _begin(day, asked.period) not in spans:
            break
        if now() > deadline:
            unread = len(days) - at
            break
        try:
            found = _day(state, day)
        except (TradingException, OSError, ValueError) as error:
            broken.append(f"{day}: {error}")
            continue
        if not found.booked and not found.opened:
            continue
        if found.mode != asked.mode:
            others += 1
            continue
        spans.setdefault(_begin(day, asked.period), []).append(found)
    return _summed(spans, others, unread, tuple(broken))


def _summed(spans: Mapping[date, list[_Day]], others: int, unread: int, broken: tuple[str, ...]) -> Past:
    every = [one for days in spans.values() for day in days for one in day.booked]
    return Past(
        tuple(_span(spans[key]) for key in sorted(spans)), score("all", every),
        by_name(every, lambda one: one.strategy or "-"), by_name(every, lambda one: one.symbol), others, unread, broken,
    )  # fmt: skip


def _span(days: list[_Day]) -> Span:
    booked = [one for day in days for one in day.booked]
    dates = sorted(day.day for day in days)
    return Span(
        dates[0].isoformat(), dates[-1].isoformat(), len(days), len(booked), sum(one.net > 0 for one in booked),
        sum(one.gross for one in booked), sum(one.charges for one in booked), sum(one.net for one in booked),
    )  # fmt: skip


def _begin(day: date, period: Period) -> date:
    """The first day of its period."""
    if period == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period == "month" else day


def _days(state: Path) -> list[date]:
    """Days with a journal, newest first."""
    found = []
    for path in (state / "journal").glob("*.jsonl"):
        with suppress(ValueError):
            found.append(date.fromisoformat(path.stem))
    return sorted(found, reverse=True)


# --- one day ------------------------------------------------------------------------------------------


def _day(state: Path, day: date) -> _Day:
    """What is kept of it, or what its journal says. Raises JournalException, DataException, OSError."""
    journal, kept = state / "journal" / f"{day}.jsonl", state / "past" / f"{day}.json"
    stat = journal.stat()
    stamp = [VERSION, stat.st_size, stat.st_mtime_ns]
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = orjson.loads(kept.read_bytes())
        if found["stamp"] == stamp:
            return _Day(day, found["mode"], found["opened"], [Booked(*row) for row in found["booked"]])
    read = _read(LineLog.read(journal), day)
    _keep(kept, {"stamp": stamp, "mode": read.mode, "opened": read.opened, "booked": [list(b) for b in read.booked]})
    return read


def _read(lines: Iterator[dict[str, Any]], day: date) -> _Day:
    from otrade_bot.research.report import day_report

    opened = False

    def told() -> Iterator[dict[str, Any]]:
        nonlocal opened
        for line in lines:
            opened = opened or (line.get("kind") == "session" and line.get("boundary") == "open")
            if line.get("kind") not in _IDLE:
                yield line

    report = day_report(told(), day)
    return _Day(day, report["mode"], opened, [_booked(trade) for trade in report["trades"]])


def _booked(trade: Mapping[str, Any]) -> Booked:
    gross, charges, net = (to_paise(trade[key]) for key in ("gross", "charges", "net"))
    return Booked(trade["symbol"], trade["strategy"], trade["exit_time"], gross, charges, net)


def _keep(path: Path, found: Mapping[str, Any]) -> None:
    """For the next question; where it cannot be written, that one reads the journal again."""
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_bytes(orjson.dumps(found))
        os.replace(fresh, path)


# --- question and answer between two processes ----------------------------------------------------------


def question_of(state: Path, asked: Ask) -> bytes:
    return orjson.dumps({"state": str(state), "asked": asked})


def answer_of(raw: bytes) -> Past:
    """Raises ValueError for what is no answer."""
    try:
        found = orjson.loads(raw)
        return Past(
            tuple(Span(**one) for one in found["spans"]), Score(**found["total"]), _scores(found["strategies"]),
            _scores(found["symbols"]), found["others"], found["unread"], tuple(found["broken"]),
        )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise ValueError(f"no answer: {type(error).__name__}: {error}") from error


def _scores(rows: Iterable[Mapping[str, Any]]) -> tuple[Score, ...]:
    return tuple(Score(**row) for row in rows)


def main() -> None:
    """One question from standard input."""
    found = orjson.loads(sys.stdin.buffer.read())
    past = gathered(Path(found["state"]), Ask(**found["asked"]))
    sys.stdout.buffer.write(orjson.dumps(asdict(past)))


if __name__ == "__main__":
    from otrade_bot.research.limits import confine

    confine()
    main()
