"""Which of the waiting messages of a lane go together, and the one message that they become.

A batch is what waits at the head of a lane, nothing left out: a pack of whole notices, or, of news alone, a digest.
What it becomes depends on its messages alone, so that one whose answer was lost is repeated as it was.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile

from otrade_bot.control.news.digest import digest
from otrade_bot.control.news.entry import Entry, Item, LaneName, html_units
from otrade_bot.control.reply import LIMIT, Reply, Run, italic, lines, text
from otrade_bot.control.words import ago, clock_text, day_text
from otrade_bot.core.clock import MINUTE, SECOND, ist_date
from otrade_bot.core.lang import phrase, speaking, t

__all__ = ["REPEAT", "ROOM", "Echoes", "is_digest", "picked", "rendered"]

#: Longest message before what a lane may add to it (late, repeat).
ROOM = LIMIT - 160

REPEAT = phrase("(repeat: Telegram's answer was lost)")

#: Delivered later than this says so.
_LATE = 60 * SECOND
#: Most in one pack; Telegram shows the styles of the first 100 pieces of a message only.
_PACK = 30
#: News are put together into a digest when more of them wait: as packs they would be too much to read.
_FLOOD = 100
#: Kinds of events that may say the same again and again, and how soon after each other that is one.
_REPEATED, _NEAR = frozenset({"alert", "recovery", "refusal"}), MINUTE
#: How long what was told a moment ago may wait to be told again: not so long that it would be late.
_HOLD = 50 * SECOND
#: Room for the words that say how often a message came.
_TIMES = 40


def picked(items: Collection[Item], lane: LaneName, now_ns: int, *, lagging: bool, whole: bool) -> list[Item]:
    """What goes next: one, or of a lane that lags several; what is in doubt again as it was. ``whole``: no digest."""
    waiting = iter(items)
    head = next(waiting)
    if head.doubtful:  # never more than one batch of a lane
        again = list(takewhile(lambda item: item.doubtful, waiting))
        return _pack(head, again) if whole else [head, *again]
    if not lagging or head.entry.alone(now_ns):
        return [head]
    if lane == "news" and not whole:
        flood = [head, *_plain(waiting, now_ns)]
        if len(_Folds(item.entry for item in flood).rows) > _FLOOD:
            return flood
        waiting = iter(flood[1:])
    return _pack(head, _plain(waiting, now_ns))


def _plain(items: Iterable[Item], now_ns: int) -> Iterator[Item]:
    """Those before the first that has to stand alone, or is in doubt."""
    return takewhile(lambda item: not (item.doubtful or item.entry.alone(now_ns)), items)


def _pack(head: Item, others: Iterable[Item]) -> list[Item]:
    batch, folds, room = [head], _Folds(), ROOM - head.entry.units - _TIMES
    folds.add(head.entry)
    for item in others:
        if not folds.joins(item.entry):
            room -= item.entry.units + 2 + (_TIMES if item.entry.what.kind in _REPEATED else 0)
            if room < 0 or len(folds.rows) == _PACK:
                break
        folds.add(item.entry)
        batch.append(item)
    return batch


_CLOCK = re.compile(r"\d\d:\d\d:\d\d ")


def _key(entry: Entry) -> object:
    """Equal for messages that say the same of another moment."""
    runs = entry.reply.runs
    clock = _CLOCK.match(runs[0].text) if runs else None
    return (runs[0].text[clock.end() :], runs[0].tags, runs[1:]) if clock else runs


@dataclass(slots=True)
class _Row:
    """One notice of a pack, and how often it came."""

    entry: Entry
    last: Entry
    times: int = 1

    def said(self, body: Reply) -> Reply:
        if self.times == 1:
            return body
        until = clock_text(self.last.what.ns)
        return text(body, " ", italic(t("(×{times}, the last at {until})", times=self.times, until=until)))


class _Folds:
    """Messages one after the other; what says the same again within a minute has no row of its own. No two fills,
    orders or answers are the same."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.rows: list[_Row] = []
        self._newest: dict[object, _Row] = {}
        for entry in entries:
            self.add(entry)

    def joins(self, entry: Entry) -> _Row | None:
        """The row in which it would stand."""
        if entry.what.kind not in _REPEATED:
            return None
        row = self._newest.get(_key(entry))
        return row if row is not None and abs(entry.what.ns - row.last.what.ns) <= _NEAR else None

    def add(self, entry: Entry) -> None:
        if row := self.joins(entry):
            row.times, row.last = row.times + 1, entry
            return
        self.rows.append(_Row(entry, entry))
        if entry.what.kind in _REPEATED:
            self._newest[_key(entry)] = self.rows[-1]


class Echoes:
    """What a chat was told a moment ago: news that say nothing else may wait, to be told as one."""

    def __init__(self) -> None:
        self._told: dict[object, tuple[int, int]] = {}  #: when, by the wall, and of which market time

    def note(self, entries: Iterable[Entry], now_ns: int) -> None:
        """These are told now (wall)."""
        self._told = {key: at for key, at in self._told.items() if 0 <= now_ns - at[0] < _HOLD}
        self._told |= {_key(entry): (now_ns, entry.what.ns) for entry in entries if entry.what.kind in _REPEATED}

    def hold_s(self, items: Iterable[Item], now_ns: int) -> float:
        """How long all of these may wait, s; 0 where one of them is new, or in doubt."""
        until = 0
        for item in items:
            what = item.entry.what
            told, of = (what.kind in _REPEATED and self._told.get(_key(item.entry))) or (0, 0)
            if item.doubtful or not 0 <= now_ns - told < _HOLD or abs(what.ns - of) > _NEAR:
                return 0.0
            until = until or told + _HOLD
        return max(0, until - now_ns) / SECOND


def rendered(entries: Sequence[Entry], now_ns: int, *, repeat: bool) -> Reply:
    """One message of several, in the language of the first: a last line that neighbours share (the label) once, then
    how late they are. Buttons and picture only of one that stands alone."""
    with speaking(entries[0].language):
        rows = _Folds(entries).rows
        said = _digested(entries) if _flood(rows) else _packed(rows)
        late = _late_text(entries, now_ns)
        again = t(REPEAT) if repeat else ""
        whole = lines(said, italic(late) if late else "", italic(again) if again else "")
    if len(entries) > 1:
        return whole
    return Reply(whole.runs, entries[0].actions(now_ns), entries[0].reply.picture)


def is_digest(entries: Sequence[Entry]) -> bool:
    """Whether that is what they become."""
    return _flood(_Folds(entries).rows)


def _flood(rows: Sequence[_Row]) -> bool:
    return len(rows) > _PACK and all(row.entry.lane == "news" for row in rows)


def _packed(rows: Sequence[_Row]) -> Reply:
    groups = [
        lines(_paragraphs([one.said(_divided(one.entry.reply)[0]) for one in group]), tail)
        for tail, group in groupby(rows, key=lambda one: _divided(one.entry.reply)[1])
    ]
    return _paragraphs(groups)


def _digested(entries: Sequence[Entry]) -> Reply:
    tails = Counter(tail for entry in entries if (tail := _divided(entry.reply)[1]))
    label = lines(*list(tails)[:3])
    return lines(digest(entries, ROOM - html_units(label) - 1), label)


def _late_text(entries: Sequence[Entry], now_ns: int) -> str:
    """'delivered 12 min late'; of several '3 to 12 min late'; of another day which. Empty where none is late."""
    ages = [now_ns - entry.put_ns for entry in entries]
    if max(ages) <= _LATE:
        return ""
    first, last = (max(0, age) // MINUTE for age in (min(ages), max(ages)))
    oldest = now_ns - max(ages)
    day = day_text(oldest) if ist_date(oldest) != ist_date(now_ns) else ""
    if last >= 120:
        said = t("delivered {span} late", span=ago(max(ages)))
    elif first == last:
        said = t("delivered {minutes} min late", minutes=last)
    else:
        said = t("delivered {first} to {last} min late", first=first, last=last)
    return t("{late}, of {day}", late=said, day=day) if day else said


def _paragraphs(parts: Sequence[Reply]) -> Reply:
    if len(parts) == 1:
        return parts[0]
    return text(*(piece for part in parts[:-1] for piece in (part, "\n\n")), parts[-1])


def _divided(reply: Reply) -> tuple[Reply, Reply]:
    """The message without its last line and that line, where the whole line is italic."""
    runs = reply.runs
    if len(runs) < 2 or runs[-1].tags != ("i",) or "\n" in runs[-1].text or not runs[-2].text.endswith("\n"):
        return Reply(runs), Reply()
    before = Run(runs[-2].text[:-1], runs[-2].tags)
    return Reply((*runs[:-2], *([before] if before.text else []))), Reply(runs[-1:])
