"""Is everything ready for a day of trading? Each check green, or red with its cure. Looks only: nothing is ordered.

All checks run side by side, each with a limit of its own, so that one that hangs costs its own line. A check that
has nothing to look at (a broker, on paper) says that it is not needed.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from otrade_bot.brokers.instruments import InstrumentStore
from otrade_bot.config import config_dir
from otrade_bot.config.models import Config
from otrade_bot.config.secrets import Secrets
from otrade_bot.control.words import ago
from otrade_bot.core.clock import SECOND, Clock, from_iso, ist_date, to_ist
from otrade_bot.core.errors import BrokerException, TradingException
from otrade_bot.core.masking import mask_text
from otrade_bot.core.session import DaySession, Segment, day_session
from otrade_bot.kernel.compile import AHEAD, COSTS_MB, outlook
from otrade_bot.service.desk import with_shipped
from otrade_bot.service.health import DISK_MB, SILENT_S
from otrade_bot.service.health import FILE as HEARTBEAT
from otrade_bot.service.mode import missing_variables
from otrade_bot.trading.setup import load_strategies, user_strategies

__all__ = [
    "NOT_NEEDED",
    "PATIENCE",
    "Check",
    "Doubt",
    "Finding",
    "Patient",
    "as_card",
    "brokers_of",
    "examine",
    "local_checks",
    "local_runner",
    "paper_instruments",
    "render",
    "runner",
    "session_now",
]

#: s; a check that takes longer is red.
PATIENCE = 6.0
NOT_NEEDED = "not needed"
NETWORK = "look at the network and the broker's status page; try again in a minute"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the card."""

    name: str
    well: bool
    said: str
    cure: str = ""


class Doubt(Exception):  # noqa: N818 - a word of the card, not an error of the tree
    """What a check found wrong, and the cure."""

    def __init__(self, said: str, cure: str) -> None:
        super().__init__(said)
        self.cure = cure


class Advice(Doubt):
    """It is well, and could be better."""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is looked at."""

    config: Config
    secrets: Secrets
    state_dir: Path
    clock: Clock

    @property
    def live(self) -> bool:
        return self.config.trading.mode == "live"

    @property
    def symbols(self) -> list[str]:
        return [symbol for strategy in self.config.trading.strategies for symbol in strategy.instruments]

    @property
    def today(self) -> date:
        return ist_date(self.clock.now_ns())


Check = Callable[[], Awaitable[str]]


async def examine(checks: Iterable[tuple[str, Check, float]]) -> list[Finding]:
    """(name, check, seconds) side by side; findings in that order. Never raises for what a check raises."""
    return list(await asyncio.gather(*(_one(name, check, seconds) for name, check, seconds in checks)))


async def _one(name: str, check: Check, seconds: float) -> Finding:
    try:
        async with asyncio.timeout(seconds):
            return Finding(name, True, mask_text(await check()))
    except Advice as advice:
        return Finding(name, True, mask_text(str(advice)), mask_text(advice.cure))
    except Doubt as doubt:
        return Finding(name, False, mask_text(str(doubt)), mask_text(doubt.cure))
    except TimeoutError:
        return Finding(name, False, f"no answer within {seconds:g} s", "look at the network; try again in a minute")
    except BrokerException as error:
        return Finding(name, False, mask_text(str(error)), NETWORK)
    except TradingException as error:
        return Finding(name, False, mask_text(str(error)), "mend what it names")
    except Exception as error:
        return Finding(name, False, mask_text(f"{type(error).__name__}: {error}"), NETWORK)


def as_card(findings: Iterable[Finding]) -> dict[str, Any]:
    """The object of ``--json``."""
    found = list(findings)
    return {"ready": all(one.well for one in found), "checks": [asdict(one) for one in found]}


def render(findings: Iterable[Finding]) -> str:
    """The card for a terminal."""
    found = list(findings)
    bad = sum(not one.well for one in found)
    lines = ["READY" if not bad else f"NOT READY · {bad} of {len(found)} red"]
    for one in found:
        lines.append(f"{'ok ' if one.well else 'RED'} {one.name:<15} {one.said}")
        lines += [f"    {'':<15} → {one.cure}"] if one.cure else []
    return "\n".join(lines)


def brokers_of(config: Config) -> list[str]:
    """The brokers that this run would talk to, whoever takes the orders first."""
    given = config.brokers
    named = [given.primary if config.trading.mode == "live" else "paper", given.feed]
    if any(name in ("kite", "upstox") for name in named) and given.backup:
        named.append(given.backup)
    return [name for name in dict.fromkeys(named) if name in ("kite", "upstox")]


# --- what needs no network --------------------------------------------------------------------------


def local_checks(patient: Patient) -> list[tuple[str, Check, float]]:
    """Those that look at this machine alone."""
    return [
        ("secrets", lambda: _secrets(patient), PATIENCE),
        ("OTRADE_LIVE", lambda: _switch(patient), PATIENCE),
        ("session", lambda: _session(patient), PATIENCE),
        ("disk", lambda: _disk(patient), PATIENCE),
        ("kernel", lambda: _kernel(patient), PATIENCE),
    ]


async def _secrets(patient: Patient) -> str:
    names = brokers_of(patient.config)
    missing = [one for name in names for one in missing_variables(name, patient.secrets)]
    if missing:
        raise Doubt(f"missing: {', '.join(missing)}", "put them into .env; .env.example says what each is")
    if not names:
        return f"those of a broker are {NOT_NEEDED} on paper"
    return f"{' and '.join(names)}: all there"


async def _switch(patient: Patient) -> str:
    allowed = patient.secrets.live_allowed
    if patient.live and not allowed:
        raise Doubt("mode is live, but OTRADE_LIVE is not yes", "set OTRADE_LIVE=yes in .env, or go back to mode paper")
    if patient.live:
        return "yes: REAL ORDERS"
    return f"{NOT_NEEDED}: mode is paper, no real order leaves" + (", though it is yes" if allowed else "")


async def _session(patient: Patient) -> str:
    calendar, today = patient.config.calendar, patient.today
    session = day_session(today, Segment.EQUITY, True, calendar)
    if session is not None:
        kind = "special session" if session.special else "regular"
        return f"today, {kind}: {to_ist(session.open):%H:%M} to {to_ist(session.continuous_end):%H:%M}"
    why = calendar.holiday_name(today)
    if "hours not known" in why:
        raise Doubt(f"today: {why}", f"give open and close of {today} in special_days of market.json")
    return f"none today ({why}); the next is {calendar.next_trading_day(today):%a %d %b}"


def session_now(patient: Patient) -> DaySession | None:
    """The session whose continuous trading is on at this moment."""
    session = day_session(patient.today, Segment.EQUITY, True, patient.config.calendar)
    now = patient.clock.now_ns()
    return session if session is not None and session.open <= now < session.continuous_end else None


async def _disk(patient: Patient) -> str:
    there = next(folder for folder in (patient.state_dir, *patient.state_dir.resolve().parents) if folder.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        cure = "give the folder to the user who runs otrade-bot, or set OTRADE_STATE_DIR"
        raise Doubt(f"{there} cannot be written", cure)
    free = shutil.disk_usage(there).free / 1e6
    if free < DISK_MB:
        cure = f"make room, at least {DISK_MB} MB: without a journal nothing is entered"
        raise Doubt(f"{free:,.0f} MB free in {there}", cure)
    return f"{free / 1000:,.1f} GB free"


async def _kernel(patient: Patient) -> str:
    """Which one a start would take; nothing is compiled here."""
    strategies = with_shipped(load_strategies(patient.config, user_strategies(patient.config, config_dir())))
    found = outlook(one.source for one in strategies.values())
    if found.executor != AHEAD:
        said = f"compiled in process, about {COSTS_MB} MB more memory: {found.why}"
        raise Advice(said, f"{found.cure}; then start again")
    said = f"ahead of time, {'in' if found.ready else 'at the next start, into'} {found.folder}"
    if found.why:
        raise Advice(f"{said}: {found.why}", found.cure)
    return said


async def paper_instruments(patient: Patient) -> str:
    """Simulated and recorded prices know any name that is one."""
    store = InstrumentStore(patient.today, patient.config.market.instrument_overrides())
    for symbol in patient.symbols:
        store.get(symbol)
    return f"{len(patient.symbols)} named; a broker's list is {NOT_NEEDED}"


# --- who else runs ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Runner:
    """The service of this state folder. ``age_s``: of its heartbeat, None where there is none."""

    locked: bool
    heart: dict[str, Any]
    age_s: float | None

    @property
    def alive(self) -> bool:
        return self.locked and self.age_s is not None and self.age_s < SILENT_S


def runner(state_dir: Path) -> Runner:
    """Whether a service uses the folder now, and what it last said of itself."""
    try:
        heart = json.loads((state_dir / HEARTBEAT).read_bytes())
        age = time.time() - from_iso(heart["at"]) / SECOND
    except (OSError, ValueError, KeyError, TypeError):
        heart, age = {}, None
    return Runner(_locked(state_dir / "lock"), heart if isinstance(heart, dict) else {}, age)


def _locked(path: Path) -> bool:
    try:
        with path.open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # no such file: nobody has ever run here
    return False


def local_runner(state_dir: Path) -> str:
    """What is known of another process on this machine. Raises Doubt."""
    found = runner(state_dir)
    pid = found.heart.get("pid", "?")
    if found.locked and not found.alive:
        age = "has no heartbeat" if found.age_s is None else f"was last alive {ago(round(found.age_s * SECOND))} ago"
        raise Doubt(f"a process uses {state_dir} but {age}", f"it hangs, or is a demo: end it (pid {pid})")
    if found.locked:
        conflict = (found.heart.get("telegram") or {}).get("state") == "conflict"
        if conflict:
            cure = "stop the other one, or /revoke the token at @BotFather"
            raise Doubt("another program takes this bot's messages", cure)
        return f"the service of this folder runs (pid {pid}); no other one seen"
    if found.heart.get("running") and found.age_s is not None:
        return f"none; the last run ended without a farewell {ago(round(found.age_s * SECOND))} ago"
    return "none"
