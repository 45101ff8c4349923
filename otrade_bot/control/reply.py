"""What a command answers, before any transport has touched it.

A Reply is a sequence of runs: plain characters with the styles they carry. Markup exists only in what
``to_html`` and ``split`` return, and escaping happens in one function, ``_escaped``: nobody who builds
a Reply can write a tag, so no symbol, broker text or error text can break a message.

The HTML is the subset that Telegram takes. Its rules are kept here: ``code`` and ``pre`` hold no other
styles and stand in none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from string import Formatter

__all__ = [
    "LIMIT", "Action", "Part", "Picture", "Reply", "Run", "Told", "bold", "code", "filled", "italic", "lines",
    "pre", "text", "worded",
]  # fmt: skip

#: Telegram's longest message. Lengths here are UTF-16 units of the HTML, never less than what it counts.
LIMIT = 4096

#: The shortest limit ``split`` accepts: two open tags, two closing ones and one entity fit in.
SHORTEST = 32

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

# Control characters can drive a terminal, direction marks can reorder a line, lone surrogates have no
# encoding. None has a place in an answer; tab becomes a space because its width is unknown.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Run:
    """Characters of one style. ``tags``, outermost first: none, b, i, b and i, code, or pre."""

    text: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """Something a person may do next: a button where the transport has buttons. ``line`` is a command. A button with a
    ``url`` opens that instead; it is in no record and no repr.

    ``edit``: the answer takes the place of the message with the button (the next page, a refresh); for reading only.
    ``lasting``: it may be pressed at any time and again, by everybody who is heard there, since what it does is
    harmless or asks back first.
    ``seconds``: how long it counts; 0: as usual, which is 30 s for what acts and a quarter of an hour for the rest.
    ``again``: within that time it may be pressed more than once and takes no button beside it away, since it asks back.
    """

    label: str
    line: str
    url: str = field(default="", repr=False)
    edit: bool = False
    lasting: bool = False
    seconds: float = 0.0
    again: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG. ``name`` is a file name without a folder; what the picture shows in words is the reply's text."""

    name: str
    png: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. Build it with ``text``, ``bold``, ``italic``, ``code``, ``pre`` and ``+``."""

    runs: tuple[Run, ...] = ()
    actions: tuple[Action, ...] = field(default=())
    picture: Picture | None = None  #: shown with the text under it
    keys: tuple[str, ...] | None = None  #: what the phone's keyboard shows from now on; () takes it away

    def __add__(self, other: Part) -> Reply:
        tail = other if isinstance(other, Reply) else text(other)
        keys = tail.keys if self.keys is None else self.keys
        runs = _merged((*self.runs, *tail.runs))
        return Reply(runs, (*self.actions, *tail.actions), self.picture or tail.picture, keys)

    def __bool__(self) -> bool:
        return bool(self.runs)

    def to_plain(self) -> str:
        """The characters alone."""
        return "".join(run.text for run in self.runs)

    def to_html(self) -> str:
        """Telegram's HTML, balanced and escaped."""
        return _html(self.runs)

    def split(self, limit: int = LIMIT) -> list[Reply]:
        """Parts whose HTML is at most ``limit`` UTF-16 units, together exactly this reply.

        Prefers to break after a line, then after a space. The actions stay with the last part, picture and keys are in
        none.
        An empty reply has no parts; a part may be all white space. Raises ValueError for a limit below SHORTEST.
        """
        if limit < SHORTEST:
            raise ValueError(f"a limit of {limit} is too short for a message; at least {SHORTEST}")
        parts, rest = [], self.runs
        while rest:
            head, rest = _cut(rest, limit)
            parts.append(Reply(head))
        if parts and self.actions:
            parts[-1] = Reply(parts[-1].runs, self.actions)
        return parts


Part = str | Reply
#: What several people are told, each in his language: words, or what makes them.
Told = Reply | Callable[[], Reply]


def worded(said: Told) -> Reply:
    """In the language that is spoken."""
    return said if isinstance(said, Reply) else said()


def text(*parts: Part) -> Reply:
    """Parts one after the other; a str is plain text."""
    runs: list[Run] = []
    actions: list[Action] = []
    picture, keys = None, None
    for part in parts:
        if isinstance(part, str):
            runs.append(Run(_clean(part)))
        else:
            runs.extend(part.runs)
            actions.extend(part.actions)
            picture = picture or part.picture
            keys = part.keys if keys is None else keys
    return Reply(_merged(runs), tuple(actions), picture, keys)


def filled(template: str, /, **values: Part) -> Reply:
    """A sentence that is styled in part: ``t("Say {yes} to do it.")`` with ``yes=code("/flatten yes")``, wherever the
    language has put it. Raises KeyError for a value that is missing."""
    return text(
        *(
            piece
            for plain, name, _, _ in Formatter().parse(template)
            for piece in ((plain,) if name is None else (plain, values[name]))
        )
    )


def bold(*parts: Part) -> Reply:
    return _styled("b", parts)


def italic(*parts: Part) -> Reply:
    return _styled("i", parts)


def code(*parts: Part) -> Reply:
    return _styled("code", parts)


def pre(*parts: Part) -> Reply:
    """A block in a fixed-width font, its line breaks kept."""
    return _styled("pre", parts)


def lines(*parts: Part) -> Reply:
    """Parts as lines, without a line break at the end. Empty parts are left out."""
    kept = [part for part in parts if part]
    return text(*(piece for part in kept[:-1] for piece in (part, "\n")), *kept[-1:])


def _styled(tag: str, parts: tuple[Part, ...]) -> Reply:
    inner = text(*parts)
    runs = _merged(Run(run.text, _nested(tag, run.tags)) for run in inner.runs)
    return Reply(runs, inner.actions, inner.picture, inner.keys)


def _nested(tag: str, inside: tuple[str, ...]) -> tuple[str, ...]:
    """The styles of a run that gets one more: fixed width wins over the rest, block over inline."""
    both = {tag, *inside}
    for alone in ("pre", "code"):
        if alone in both:
            return (alone,)
    return tuple(sorted(both))


def _clean(raw: str) -> str:
    return _UNPRINTABLE.sub("\ufffd", raw.replace("\r\n", "\n").replace("\t", " "))


def _merged(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Neighbours of one style become one run, empty runs vanish."""
    filled = [run for run in runs if run.text]
    return tuple(
        Run("".join(run.text for run in group), tags)
        for tags, group in groupby(filled, key=lambda run: run.tags)
    )


def _escaped(character: str) -> str:
    return _ENTITIES.get(character, character)


def _units(character: str) -> int:
    return len(_escaped(character)) if character < "\U00010000" else 2


def _change(before: tuple[str, ...], after: tuple[str, ...]) -> str:
    """The tags that close and open between two runs."""
    same = 0
    while same < min(len(before), len(after)) and before[same] == after[same]:
        same += 1
    closing = "".join(f"</{tag}>" for tag in reversed(before[same:]))
    return closing + "".join(f"<{tag}>" for tag in after[same:])


def _html(runs: tuple[Run, ...]) -> str:
    out: list[str] = []
    open_tags: tuple[str, ...] = ()
    for run in runs:
        out.append(_change(open_tags, run.tags))
        out.append("".join(map(_escaped, run.text)))
        open_tags = run.tags
    return "".join(out) + _change(open_tags, ())


def _ends(runs: tuple[Run, ...]) -> Iterator[tuple[int, int, str]]:
    """After each character: how many characters, the length of the HTML so far closed, the character."""
    length, count = 0, 0
    open_tags: tuple[str, ...] = ()
    for run in runs:
        length += len(_change(open_tags, run.tags))
        open_tags = run.tags
        closing = len(_change(open_tags, ()))
        for character in run.text:
            length, count = length + _units(character), count + 1
            yield count, length + closing, character


def _cut(runs: tuple[Run, ...], limit: int) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """The longest head that fits, shortened to a good place to break, and the rest."""
    fits = line = space = 0
    for count, length, character in _ends(runs):
        if length > limit:
            break
        fits = count
        if character == "\n":
            line = count
        elif character == " ":
            space = count
    else:
        return runs, ()
    # A break in the first half would leave a stub: rather break a line than send many short messages.
    at = next((place for place in (line, space) if place > fits // 2), fits)
    return _divided(runs, at)


def _divided(runs: tuple[Run, ...], at: int) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    head: list[Run] = []
    for index, run in enumerate(runs):
        if at < len(run.text):
            if at:
                head.append(Run(run.text[:at], run.tags))
            return tuple(head), (Run(run.text[at:], run.tags), *runs[index + 1 :])
        head.append(run)
        at -= len(run.text)
    return tuple(head), ()
