"""What a chat must hold by the day's journal, and whether it does: everything, each lane in order, nothing twice
unmarked. A digest stands for as many news as it says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from otrade_bot.config.models import Notifications
from otrade_bot.control.news.notices import describe
from otrade_bot.control.news.pushes import lane_of, loudness
from otrade_bot.service.journal import events_of
from tests.venues.telegram import Sent

REPEAT = "(repeat: Telegram's answer was lost)"
#: The label under each notice, what the outbox says of its own way, and the words of the picture after the report.
_ASIDE = re.compile(r"PAPER · .*|delivered \d+( to \d+)? min late|The day at a glance|Journal so far: .*")
#: How the outbox says that the same came again.
_AGAIN = re.compile(r" \(×([\d,]+), the last at \d\d:\d\d:\d\d\)$")
_DIGEST = re.compile(r"([\d,]+) messages in one, ")

Body = tuple[str, ...]  #: the lines of one notice as people read them


@dataclass(frozen=True)
class Due:
    """A notice that every chat must get."""

    lane: str
    body: Body


def due(journal: Iterable[dict[str, Any]]) -> list[Due]:
    """By the rule of ``control.news.pushes``."""
    heard = [event for event in events_of(journal) if loudness(event, Notifications()) != "off"]
    return [Due(lane_of(event, said), body_of(said.to_plain())) for event in heard if (said := describe(event))]


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
    digests: int = 0  #: messages that stand for many
    beyond: int = 0  #: how many more the last of them says than are due
    others: list[str] = field(default_factory=list)


class _Track:
    """One lane of a chat, as far as it was read."""

    def __init__(self, bodies: list[Body]) -> None:
        self.bodies, self.reached = bodies, 0
        self.heads = {body[0] for body in bodies}


def follow(messages: Sequence[Sent], notices: Sequence[Due]) -> Followed:
    """Read a chat along its notices, lane by lane: a message is of one lane alone. AssertionError where one is passed
    over, or comes again without a mark."""
    found = Followed()
    tracks = {
        lane: _Track([one.body for one in notices if one.lane == lane])
        for lane in dict.fromkeys(one.lane for one in notices)
    }
    every = {head for track in tracks.values() for head in track.heads}
    for message in messages:
        lines = body_of(message.text)
        found.marked += REPEAT in message.text
        bare = {_AGAIN.sub("", line) for line in lines}
        digest = _DIGEST.match(lines[0]) if lines else None
        track = tracks.get("news") if digest else max(
            tracks.values(), key=lambda track: len(bare & track.heads), default=None
        )  # fmt: skip
        if track is None or not (digest or bare & track.heads):
            found.others += lines
            continue
        if digest:
            found.digests += 1
            start, others = track.reached, []
            many = int(digest[1].replace(",", ""))
            reached = start if REPEAT in message.text else start + many
            found.again += many if REPEAT in message.text else 0
            found.beyond, reached = max(0, reached - len(track.bodies)), min(reached, len(track.bodies))
        else:
            start = track.reached
            if REPEAT in message.text:
                start = _start_of_repeat(lines, track.bodies, track.reached, every)
            reached, others = _read(lines, track.bodies, start)
            stray = [line for line in others if _AGAIN.sub("", line) in every]
            missing = track.bodies[reached] if reached < len(track.bodies) else ()
            assert not stray, (
                f"{missing} is missing, or this comes again without a mark: {stray[0]!r} in {message.text!r}"
            )
            found.again += min(track.reached, reached) - start
        track.reached = max(track.reached, reached)
        found.others += others
    found.reached = sum(track.reached for track in tracks.values())
    return found


def _read(lines: Body, bodies: Sequence[Body], at: int) -> tuple[int, list[str]]:
    """How far these lines lead from notice ``at``, and what is none. One that came several times counts as often; those
    between are passed over for it."""
    others, here, ahead = [], 0, set[int]()
    while here < len(lines):
        while at in ahead:
            at += 1
        body = bodies[at] if at < len(bodies) else ()
        size = len(body)
        last = _AGAIN.search(lines[here + size - 1]) if body and here + size <= len(lines) else None
        shown = lines[here : here + size]
        if last is not None:
            shown = (*shown[:-1], _AGAIN.sub("", shown[-1]))
        if body and shown == body:
            ahead |= set(_alike(bodies, at, int(last[1].replace(",", "")) - 1)) if last else set()
            here, at = here + size, at + 1
        else:
            others.append(lines[here])
            here += 1
    while at in ahead:
        at += 1
    assert not [one for one in ahead if one > at], "what was said to have come again is not all there"
    return at, others


def _alike(bodies: Sequence[Body], at: int, times: int) -> list[int]:
    """Where the next ``times`` of the same words, of another moment, stand."""
    same = [
        place for place in range(at + 1, len(bodies))
        if bodies[place][0][8:] == bodies[at][0][8:] and bodies[place][1:] == bodies[at][1:]
    ]  # fmt: skip
    assert len(same) >= times, f"{bodies[at]} did not come so often"
    return same[:times]


def _start_of_repeat(lines: Body, bodies: Sequence[Body], reached: int, heads: set[str]) -> int:
    """The notice at which a repeated message begins: the newest one from which all of it reads in order."""
    for start in range(reached, -1, -1):
        at, others = _read(lines, bodies, start)
        if at > start and not heads.intersection(others):
            return start
    return reached
