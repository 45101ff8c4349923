"""One message in the outbox, and the line of the file that holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from otrade_bot.control.reply import Action, Reply, Run
from otrade_bot.core.clock import SECOND
from otrade_bot.core.lang import LANGUAGES, Language

__all__ = ["LANES", "NOTHING", "Entry", "Item", "LaneName", "What", "add_line", "entry_of", "html_units"]

LaneName = Literal["first", "news"]
#: In the order in which they are served. ``first``: risk, whether it trades, fills, closed trades, answers, and what
#: comes once a day; ``news``: the rest, which may be put together where much of it waits.
LANES: tuple[LaneName, ...] = get_args(LaneName)

#: Buttons are left out of what is sent later than this after it was put, s: those that act, those that show.
_ACTS, _SHOWS = 30.0, 900.0


@dataclass(frozen=True, slots=True)
class What:
    """The event that a message tells: its kind, symbol and market time. Without a kind it tells none."""

    kind: str = ""
    symbol: str = ""
    ns: int = 0


NOTHING = What()


@dataclass(frozen=True, slots=True)
class Entry:
    """A message as it was put, to one chat or several. A picture, and buttons that open an address, live in memory
    alone: the text does not depend on them."""

    number: int
    chats: tuple[int, ...]
    reply: Reply
    silent: bool
    put_ns: int  #: wall time
    units: int  #: length of its HTML in UTF-16 units, at most
    about: bool = False  #: says that another message could not be shown; of this one nothing more is said
    of: str = ""  #: the event it tells, where it is one
    lane: LaneName = "first"
    what: What = NOTHING
    language: Language = "en"

    def actions(self, now_ns: int) -> tuple[Action, ...]:
        """The buttons that still make sense."""
        age = abs(now_ns - self.put_ns) / SECOND
        return tuple(
            one for one in self.reply.actions
            if one.lasting or age <= (one.seconds or (_SHOWS if one.edit else _ACTS))
        )  # fmt: skip

    def alone(self, now_ns: int) -> bool:
        """It has to be a message of its own."""
        return bool(self.reply.picture or self.actions(now_ns))


@dataclass(slots=True)
class Item:
    """An entry on its way to one chat."""

    entry: Entry
    trying: bool = False  #: an attempt began and its end is not known
    lost: bool = False  #: the answer to an earlier attempt was lost

    @property
    def doubtful(self) -> bool:
        return self.trying or self.lost


def html_units(reply: Reply) -> int:
    """Length of the HTML in UTF-16 units; a little more where runs share a style."""
    return sum(
        len(run.text.encode("utf-16-le")) // 2
        + 4 * run.text.count("&")
        + 3 * (run.text.count("<") + run.text.count(">"))
        + sum(2 * len(tag) + 5 for tag in run.tags)
        for run in reply.runs
    )


def add_line(entry: Entry, chats: Sequence[int], lost: Sequence[int]) -> dict[str, Any]:
    """For these of its chats; in ``lost`` its answer was lost."""
    line: dict[str, Any] = {
        "add": entry.number, "chats": list(chats), "at": entry.put_ns, "silent": entry.silent,
        "runs": [[run.text, list(run.tags)] for run in entry.reply.runs],
    }  # fmt: skip
    actions = [
        [one.label, one.line, one.edit, one.lasting, one.seconds] for one in entry.reply.actions if not one.url
    ]
    more = {
        "lost": list(lost), "about": entry.about, "of": entry.of, "actions": actions,
        "lane": entry.lane if entry.lane != "first" else "",
        "what": [entry.what.kind, entry.what.symbol, entry.what.ns] if entry.what.kind else [],
        "language": entry.language if entry.language != "en" else "",
    }  # fmt: skip
    return line | {key: value for key, value in more.items() if value}


_STYLES = frozenset({"b", "i", "code", "pre"})


def entry_of(line: Mapping[str, Any]) -> Entry:
    """Back from its line, also from one of an earlier version. KeyError, TypeError or ValueError for what is none."""
    runs = tuple(Run(str(words), tuple(tags)) for words, tags in line["runs"])
    if any(tag not in _STYLES for run in runs for tag in run.tags):
        raise ValueError("unknown style")
    lane, language = line.get("lane", "first"), line.get("language", "en")
    reply = Reply(runs, _actions(line.get("actions", ())))
    kind, symbol, ns = line.get("what", ("", "", 0))
    return Entry(
        int(line["add"]), tuple(map(int, line["chats"])), reply, bool(line["silent"]), int(line["at"]),
        html_units(reply), bool(line.get("about", False)), str(line.get("of", "")),
        lane if lane in LANES else "first", What(str(kind), str(symbol), int(ns)),
        language if language in LANGUAGES else "en",
    )  # fmt: skip


def _actions(found: Any) -> tuple[Action, ...]:
    return tuple(
        Action(str(label), str(line), edit=bool(edit), lasting=bool(lasting), seconds=float(seconds))
        for label, line, edit, lasting, seconds in found
    )
