"""Six digits before what a stolen phone must not do: an authenticator's one-time code (TOTP, RFC 6238).

A command asks ``Context.prove`` before it acts. Who has not just proven himself is asked for a code; the right one runs
the same line again, and for a minute that very line counts as proven in that very chat. A code counts once; what was
used and what was wrong is on the disk before anything comes of it. Guesses are counted for each person, wherever they
come from: five wrong ones lock codes for a quarter of an hour.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from otrade_bot.control.reply import Reply, Told, bold, code, lines, text
from otrade_bot.core.errors import CommandException, ConfigException
from otrade_bot.core.lang import t

__all__ = ["KEY", "Entered", "Memory", "Seed", "Seeds", "StepUp", "matching_step"]

#: In control.json: by user id {"of": mark, "step": newest code used, "wrong": since the last right one, "until": s}.
KEY = "locks"
STEP_S = 30
#: Steps to both sides of now: phones' clocks are not exact.
DRIFT = 1
MOST_WRONG, LOCK_S = 5, 900.0
#: How long a code is awaited, and how long a proven line stays so: its question wants to be answered, too.
AWAITED_S, PROVEN_S = 120.0, 60.0
#: How long no other command takes the place of the one that awaits a code. Who has stolen a session could otherwise put
#: his own there, while the owner types the digits.
HELD_S = 45.0


@dataclass(frozen=True, slots=True)
class Seed:
    """What one person's authenticator was given. ``mark`` tells it from an earlier one; codes up to step ``since`` were
    used when it was set up."""

    secret: str = field(repr=False)
    mark: str
    since: int = 0


class Seeds(Protocol):
    """Where the secrets are. Both raise ConfigException where they cannot be read."""

    def enrolled(self, user_id: int) -> bool: ...

    def seed(self, user_id: int) -> Seed | None:
        """May take a tenth of a second."""
        ...


class Memory(Protocol):
    """What survives a restart; as ``ControlState`` has it."""

    def part(self, key: str) -> Mapping[str, Any]: ...

    def keep_part(self, key: str, value: Mapping[str, Any]) -> str: ...


@dataclass(frozen=True, slots=True)
class Entered:
    """What became of a code. ``line``: the command that is proven now, to be run again."""

    outcome: str  #: proven, wrong, used, locked, unasked, unknown
    said: Reply
    line: str = ""


@dataclass(frozen=True, slots=True)
class _Awaited:
    user_id: int
    line: str
    at: float


@dataclass(frozen=True, slots=True)
class _Record:
    """One person's entry in the memory."""

    of: str
    step: int = 0
    wrong: int = 0
    until: float = 0.0


class StepUp:
    """``tell`` puts a message before the admins. ``wall`` gives seconds since the epoch, ``steady`` such that always
    advance. Nothing between a look at the memory and its change waits."""

    def __init__(
        self,
        seeds: Seeds,
        memory: Memory,
        *,
        tell: Callable[[Told], None] = lambda said: None,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seeds, self._memory, self._tell, self._wall, self._steady = seeds, memory, tell, wall, steady
        self._awaited: dict[str, _Awaited] = {}
        self._proven: dict[tuple[str, str], float] = {}

    def demand(self, session: str, user_id: int, user: str, line: str, what: str) -> Reply | None:
        """None where this line was proven in this session a moment ago; else what to answer."""
        now = self._steady()
        self._proven = {key: at for key, at in self._proven.items() if now - at <= PROVEN_S}
        if (session, line) in self._proven:
            return None
        if not self._enrolled(user_id):
            return _unknown(what, user)
        left = self._locked(self._record(user_id, None))
        if left:
            return _locked(left)
        before = self._awaited.get(session)
        if before is not None and before.line != line and now - before.at <= HELD_S:
            return _held(before.line, HELD_S - (now - before.at))
        self._awaited[session] = _Awaited(user_id, line, now)
        return lines(
            text(bold(what), " · ", code(line)),
            t("Send the six digits of your authenticator within {seconds} s.", seconds=f"{AWAITED_S:.0f}"),
            text(t("In a group:"), " ", code("/code 123456")) if _in_group(session) else "",
        )

    def awaits(self, session: str) -> bool:
        """Whether six digits alone are a code here."""
        found = self._awaited.get(session)
        return found is not None and self._steady() - found.at <= AWAITED_S

    async def enter(self, session: str, user_id: int, user: str, digits: str) -> Entered:
        """Judge a code. Raises CommandException where nothing can be judged, which counts as not proven."""
        if not self.awaits(session):
            return Entered("unasked", text(t("No code is asked for here: nothing was done.")))
        try:
            seed = await asyncio.to_thread(self._seeds.seed, user_id)
        except ConfigException as error:
            raise CommandException(str(error)) from error
        return self._judge(session, user_id, user, seed, digits)

    def spend(self, session: str, line: str) -> None:
        """What was proven is done, and must not be done twice with one code."""
        self._proven.pop((session, line), None)

    def forget(self, user_id: int) -> None:
        """He is no user any more, or another kind of one: nothing is proven, nothing awaited."""
        gone = {session for session, one in self._awaited.items() if one.user_id == user_id}
        gone |= {session for session, _ in self._proven if _user_of(session) == user_id}
        self._awaited = {session: one for session, one in self._awaited.items() if session not in gone}
        self._proven = {key: at for key, at in self._proven.items() if key[0] not in gone}

    # From here on nothing waits.

    def _judge(self, session: str, user_id: int, user: str, seed: Seed | None, digits: str) -> Entered:
        awaited = self._awaited.get(session)
        if awaited is None or awaited.user_id != user_id:
            return Entered("unasked", text(t("No code is asked for here: nothing was done.")))
        if seed is None:
            return Entered("unknown", _unknown(t("A code"), user))
        record = self._record(user_id, seed.mark)
        left = self._locked(record)
        if left:
            return Entered("locked", _locked(left))
        step = matching_step(seed.secret, digits, self._wall())
        if step is None or step <= max(record.step, seed.since):
            return self._wrong(user_id, user, record, used=step is not None)
        if lost := self._keep(user_id, _Record(seed.mark, step)):
            raise CommandException(t("Nothing was done: {why}", why=lost))
        del self._awaited[session]
        self._proven[session, awaited.line] = self._steady()
        return Entered("proven", text(t("The code is right.")), awaited.line)

    def _wrong(self, user_id: int, user: str, record: _Record, *, used: bool) -> Entered:
        wrong = record.wrong + 1
        if wrong < MOST_WRONG:
            self._keep(user_id, _Record(record.of, record.step, wrong))
            why = t("This code was used already: wait for the next one.") if used else t("This code is wrong.")
            left = t("{tries} more tries, then codes are locked.", tries=MOST_WRONG - wrong)
            return Entered("used" if used else "wrong", lines(bold(why), t("Nothing was done."), left))
        self._keep(user_id, _Record(record.of, record.step, 0, self._wall() + LOCK_S))
        self.forget(user_id)
        self._tell(
            lambda: lines(
                bold(t("{wrong} wrong codes of {user}", wrong=MOST_WRONG, user=user)),
                t("Codes of this person are locked for {minutes} min.", minutes=f"{LOCK_S / 60:.0f}"),
                text(t("Is the phone in other hands?"), " ", code(f"/users block {user_id}")),
            )
        )
        return Entered("locked", _locked(LOCK_S))

    def _record(self, user_id: int, mark: str | None) -> _Record:
        """A new secret begins anew; what is no record counts as none. ``mark`` None: of whatever secret."""
        found = self._memory.part(KEY).get(str(user_id))
        if not isinstance(found, dict):
            return _Record(mark or "")
        of, step, wrong, until = (found.get(key) for key in ("of", "step", "wrong", "until"))
        whole = isinstance(of, str) and isinstance(step, int) and isinstance(wrong, int)
        if not (whole and isinstance(until, int | float)) or mark not in (None, of):
            return _Record(mark or "")
        assert isinstance(of, str)
        assert isinstance(step, int)
        assert isinstance(wrong, int)
        return _Record(of, step, wrong, until)

    def _keep(self, user_id: int, record: _Record) -> str:
        kept = dict(self._memory.part(KEY))
        kept[str(user_id)] = {"of": record.of, "step": record.step, "wrong": record.wrong, "until": record.until}
        return self._memory.keep_part(KEY, kept)

    def _locked(self, record: _Record) -> float:
        """Seconds left; 0 where it is not locked. A clock that was set back locks nobody for longer."""
        left = record.until - self._wall()
        return left if 0 < left <= LOCK_S else 0.0

    def _enrolled(self, user_id: int) -> bool:
        try:
            return self._seeds.enrolled(user_id)
        except ConfigException as error:
            raise CommandException(str(error)) from error


def matching_step(secret: str, digits: str, now: float) -> int | None:
    """The newest step near ``now`` (seconds since the epoch) whose code this is; all are looked at, whatever comes."""
    import pyotp

    totp, here, found = pyotp.TOTP(secret), int(now // STEP_S), None
    for step in range(here - DRIFT, here + DRIFT + 1):
        if hmac.compare_digest(totp.generate_otp(step), digits):
            found = step
    return found


def _in_group(session: str) -> bool:
    return session.rpartition(":")[2].startswith("-")


def _user_of(session: str) -> int:
    pieces = session.split(":")
    return int(pieces[1]) if len(pieces) == 3 and pieces[1].isdigit() else 0


def _unknown(what: str, user: str) -> Reply:
    return lines(
        bold(t("Nothing was done.")),
        t("{what}: this needs a code of your authenticator, and none is set up for you.", what=what),
        text(t("At the bot's machine:"), " ", code(f"otrade-bot telegram totp {user}")),
    )


def _held(line: str, seconds: float) -> Reply:
    return lines(
        bold(t("Nothing was done.")),
        text(t("The next code counts for another command:"), " ", code(line)),
        t("Is it not yours, send no code. Else send its code, or wait {seconds} s.", seconds=f"{seconds:.0f}"),
    )


def _locked(seconds: float) -> Reply:
    minutes = max(1, round(seconds / 60 + 0.49))
    return lines(
        bold(t("Codes are locked for {minutes} min: too many were wrong.", minutes=minutes)), t("Nothing was done.")
    )
