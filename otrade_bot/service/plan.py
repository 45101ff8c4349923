"""What the service does at which moment of a trading day: one list, whoever keeps the time.

Times hang on the day's own session, so that a special session is prepared and reported like any other.
On a regular day: 08:15 token check, 08:45 card, 09:15 open, then the boundaries that the engine names
(entries stop, square-off warning, square-off, close), a minute after the last close the report, and
half an hour after it the look at the next session. Where a broker wants a login each day, 20:00 says so. Seconds
after the last close the day's tape is replayed, so that the report can tell.

Between the card and the open, and from the first square-off warning to the last close, a quiet job looks each
minute whether there is something to say; it is not missed where it did not run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from otrade_bot.core.clock import MINUTE, at_ist
from otrade_bot.core.session import DaySession

__all__ = ["Job", "day_jobs"]

#: Before the first open, and after the last close.
TOKEN_CHECK, CARD = 60 * MINUTE, 30 * MINUTE
SELF_CHECK, REPORT, NEXT = 10_000_000_000, MINUTE, 30 * MINUTE
#: When it is told which tokens end over night.
EVENING = (20, 0)
QUIET = frozenset({"card_again", "countdown", "self_check"})
#: From here on a job says that it is late.
LATE = 30_000_000_000


@dataclass(frozen=True, slots=True, order=True)
class Job:
    """Due at ``at`` (ns UTC). A late one still runs, once, before ``until``; after it, it is skipped."""

    at: int
    name: str
    until: int

    @property
    def quiet(self) -> bool:
        """One of many, or of no use to a person: nobody is told that it was late or left out, nor that it comes
        next."""
        return self.name in QUIET

    def late(self, now: int) -> bool:
        """Late enough to be worth a word."""
        return not self.quiet and now - self.at > LATE

    def stale(self, now: int) -> bool:
        """No longer right to run."""
        return now >= self.until


def day_jobs(
    sessions: Iterable[DaySession], boundaries: Iterable[tuple[int, str]], *, logins: bool = False,
    tape: bool = False,
) -> list[Job]:  # fmt: skip
    """The jobs of a day in order. ``boundaries``: (ns UTC, name) as the engine knows them. ``logins``: a broker wants
    one each morning. ``tape``: the day is recorded."""
    known, marks = list(sessions), list(boundaries)
    first, last = min(s.open for s in known), max(s.close for s in known)
    midnight = max(s.phases[-1][1] for s in known)
    own = [
        Job(first - TOKEN_CHECK, "token_check", last),
        Job(first - CARD, "card", first),
        Job(last + REPORT, "report", midnight),
        Job(last + NEXT, "next_session", midnight),
        *_each_minute("card_again", first - CARD + MINUTE, first),
    ]
    if warnings := [at for at, name in marks if name == "square_off_warning"]:
        own += _each_minute("countdown", min(warnings) + MINUTE, max(s.continuous_end for s in known))
    if tape:
        own.append(Job(last + SELF_CHECK, "self_check", midnight))
    if logins:
        own.append(Job(max(at_ist(known[0].day, *EVENING), last + NEXT + MINUTE), "evening", midnight))
    # The engine itself knows what of a late boundary is still right, so it hears of each.
    market = [Job(at, name, midnight) for at, name in marks]
    return sorted([*own, *market])


def _each_minute(name: str, start: int, end: int) -> list[Job]:
    return [Job(at, name, at + MINUTE) for at in range(start, end, MINUTE)]
