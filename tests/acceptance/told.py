"""What a chat must hold by the day's journal, and whether it does: everything, in order, nothing twice unmarked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from otrade_bot.config.models import Notifications
from otrade_bot.control.news.notices import describe
from otrade_bot.control.news.pushes import loudness
from otrade_bot.service.journal import events_of
from tests.venues.telegram import Sent

REPEAT = "(repeat: Telegram's answer was lost)"
#: The label under each notice, and what the outbox says of its own way.
_ASIDE = re.compile(r"PAPER · .*|delivered \d+( to \d+)? min late")

Body = tuple[str, ...]  #: the lines of one notice as people read them


def due(journal: Iterable[dict[str, Any]]) -> list[Body]:
    """The notices that every chat must get, by the rule of ``control.pushes``."""
    heard = [event for event in events_of(journal) if loudness(event, Notifications()) != "off"]
    return [body_of(said.to_plain()) for event in heard if (said := describe(event))]


def body_of(words: str) -> Body:
    """Without label, marks and empty lines."""
    lines = (line.strip() for line in words.split("\n"))
    return tuple(line for line in lines if line and line != REPEAT and not _ASIDE.fullmatch(line))


@dataclass
class Followed:
    """How a chat was read. ``others``: lines that are no notice of the day."""

    reached: int = 0  #: notices found, of those that are due
    marked: int = 0  #: messages that say they are a repeat
    again: int = 0  #: notices that stand there more than once
    others: list[str] = field(default_factory=list)


def follow(messages: Sequence[Sent], bodies: Sequence[Body]) -> Followed:
    """Read a chat along its notices. AssertionError where one is passed over, or comes again without a mark."""
    found, heads = Followed(), {body[0] for body in bodies}
    for message in messages:
        lines = body_of(message.text)
        start = found.reached
        if REPEAT in message.text:
            found.marked += 1
            start = _start_of_repeat(lines, bodies, found.reached, heads)
        reached, others = _read(lines, bodies, start)
        stray = [line for line in others if line in heads]
        missing = bodies[reached] if reached < len(bodies) else ()
        assert not stray, f"{missing} is missing, or this comes again without a mark: {stray[0]!r} in {message.text!r}"
        found.again += min(found.reached, reached) - start
        found.reached = max(found.reached, reached)
        found.others += others
    return found


def _read(lines: Body, bodies: Sequence[Body], at: int) -> tuple[int, list[str]]:
    """How far these lines lead from notice ``at``, and what is none."""
    others, here = [], 0
    while here < len(lines):
        body = bodies[at] if at < len(bodies) else ()
        if body and lines[here : here + len(body)] == body:
            here, at = here + len(body), at + 1
        else:
            others.append(lines[here])
            here += 1
    return at, others


def _start_of_repeat(lines: Body, bodies: Sequence[Body], reached: int, heads: set[str]) -> int:
    """The notice at which a repeated message begins: the newest one from which all of it reads in order."""
    for start in range(reached, -1, -1):
        at, others = _read(lines, bodies, start)
        if at > start and not heads.intersection(others):
            return start
    return reached
