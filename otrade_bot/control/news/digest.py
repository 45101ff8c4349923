"""Hundreds of news as one message: how often each, between when, of which symbols most.

The headlines are those of the messages themselves; what they say in words of their own is shown by its most frequent
forms. Risk, fills and closed trades are never in here: they have lanes of their own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from otrade_bot.control.news.entry import Entry, html_units
from otrade_bot.control.reply import Reply, bold, lines, text
from otrade_bot.control.words import clock_text, day_text, short, symbol_text
from otrade_bot.core.clock import ist_date
from otrade_bot.core.lang import t
from otrade_bot.core.money import group_indian

__all__ = ["digest"]

#: Sorts of messages and symbols of each that are spelled out.
_SORTS, _SYMBOLS = 24, 3
#: Longest name of a sort.
_NAME = 100
#: What differs from one message of a sort to the next.
_RUNG, _NUMBERS = re.compile(r"\bP\d\b:?"), re.compile(r"[₹+-]?\d[\d,.:]*")
#: The kinds whose headline says little: their words name the sort.
_WORDY = frozenset({"alert", "recovery", "refusal"})


@dataclass(slots=True)
class _Sort:
    """Messages that say the same of several symbols and moments."""

    head: str
    words: str
    times: int = 0
    symbols: Counter[str] = field(default_factory=Counter)
    first: int = 0
    last: int = 0

    def add(self, entry: Entry) -> None:
        ns = entry.what.ns or entry.put_ns
        self.first = min(self.first, ns) if self.times else ns
        self.last = max(self.last, ns)
        self.times += 1
        if entry.what.symbol:
            self.symbols[symbol_text(entry.what.symbol)] += 1


def digest(entries: Sequence[Entry], room: int) -> Reply:
    """At most ``room`` UTF-16 units of HTML; the most frequent sorts come first."""
    sorts = sorted(_sorted_out(entries), key=lambda one: -one.times)
    moments = [entry.what.ns or entry.put_ns for entry in entries]
    head = text(
        bold(t("{count} messages in one", count=group_indian(len(entries)))), f", {_span(min(moments), max(moments))}"
    )
    foot = t("Risk, fills and closed trades are told on their own. All of these are in the day's journal.")
    room -= html_units(lines(head, foot)) + 80
    rows: list[Reply] = []
    for sort in sorts[:_SORTS]:
        row = _row(sort)
        room -= html_units(row) + 1
        if room < 0:
            break
        rows.append(row)
    return lines(head, *rows, _others(sorts[len(rows) :]), foot)


def _others(sorts: Sequence[_Sort]) -> str:
    if not sorts:
        return ""
    total = group_indian(sum(sort.times for sort in sorts))
    return t("and {count} of {sorts} other sorts", count=total, sorts=len(sorts))


def _sorted_out(entries: Iterable[Entry]) -> Iterable[_Sort]:
    found: dict[tuple[str, str], _Sort] = {}
    for entry in entries:
        name = _name(entry)
        found.setdefault(name, _Sort(*name)).add(entry)
    return found.values()


def _name(entry: Entry) -> tuple[str, str]:
    """Headline and words of the first line, without time, symbol and numbers."""
    head, words = "", ""
    for run in entry.reply.runs:
        line, end, _ = run.text.partition("\n")
        if run.tags == ("b",) and not head:
            head = line
        elif head and not run.tags:
            words += line
        if end and head:
            break
    if not head:
        words = entry.reply.to_plain().partition("\n")[0]
    wordy = not head or entry.what.kind in _WORDY
    if name := symbol_text(entry.what.symbol):
        words = words.replace(name, "")
    bare = " ".join(_NUMBERS.sub("…", _RUNG.sub("", words)).split()).lstrip(" :") if wordy else ""
    return short(head, 60), short(bare, _NAME)


def _row(sort: _Sort) -> Reply:
    """'Refused ×180 12:00:03 to 12:04:51, cooldown: TCS 40, SBIN 31 and 20 more'."""
    most = sort.symbols.most_common(_SYMBOLS)
    named = ", ".join(f"{short(symbol, 24)} {group_indian(times)}" for symbol, times in most)
    left = len(sort.symbols) - len(most)
    named += t(" and {count} more", count=left) if left > 0 else ""
    return text(
        "• ", bold(sort.head or sort.words), f" ×{group_indian(sort.times)}",
        f" {sort.words}" if sort.head and sort.words else "",
        f", {_span(sort.first, sort.last)}", f": {named}" if named else "",
    )  # fmt: skip


def _span(first: int, last: int) -> str:
    """'12:00:03 to 12:04:51', with the days where there are two."""
    if ist_date(first) != ist_date(last):
        return t("{first} to {last}", first=f"{day_text(first)} {clock_text(first)}",
                 last=f"{day_text(last)} {clock_text(last)}")  # fmt: skip
    if clock_text(first) == clock_text(last):
        return clock_text(first)
    return t("{first} to {last}", first=clock_text(first), last=clock_text(last))
