"""Is the service well? ``/health`` and ``/status`` ask here; ``heartbeat.json`` tells it to those outside.

The heartbeat is the last known truth for a watchdog: what was held, with which stops, and when. It is
written every few seconds and flushed by the system at leisure, for it is worth nothing once it is old.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from otrade_bot import __version__
from otrade_bot.control.views_checks import Check
from otrade_bot.control.words import ago, clock_text, many
from otrade_bot.core.clock import IST, SECOND, Clock, iso
from otrade_bot.core.lang import t
from otrade_bot.core.masking import mask_text
from otrade_bot.core.money import rupees
from otrade_bot.service.clockwatch import ClockWatch
from otrade_bot.service.control_state import ControlState
from otrade_bot.service.heart import FILE, host
from otrade_bot.service.loopwatch import LoopWatch
from otrade_bot.service.statefile import write_state
from otrade_bot.trading.snapshot import Position, TradingView

__all__ = ["FILE", "Health", "Line", "LoopWatch", "Queue", "Sources", "memory_mb"]

EVERY_S = 5.0
#: What deserves a look: the loop's lag, a heartbeat's age, memory, free disk, a message's age, a job overdue.
LAG_MS, SILENT_S, MEMORY_MB, DISK_MB, WAITING_S, LATE_S = 1_000, 20.0, 500, 200, 60.0, 60.0
#: A message that has waited for less is on its way, which nobody needs to be told.
SOON_S = 5.0
STEP_RECENT = 3600 * SECOND

LastJob = tuple[str, int, float, bool]  #: name, due (ns), seconds late, whether it went well
NextJob = tuple[str, datetime]


class Queue(Protocol):
    """What is asked of the outbox."""

    @property
    def waiting(self) -> int: ...
    def lag_s(self) -> float: ...


class Line(Protocol):
    """What is asked of the phone's state; ``since`` is wall seconds."""

    @property
    def word(self) -> str: ...
    @property
    def since(self) -> float: ...
    @property
    def error(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the news come from. None, or what returns None: there is no such thing in this run."""

    state_dir: Path
    clock: Clock
    engine: Callable[[], TradingView | None]
    outbox: Callable[[], Queue | None] = lambda: None
    phone: Callable[[], Line | None] = lambda: None
    last_job: Callable[[], LastJob | None] = lambda: None
    next_job: Callable[[], NextJob | None] = lambda: None
    scheduled: bool = True  #: jobs come from a scheduler, so there must be a next one
    control: ControlState | None = None
    clocks: ClockWatch | None = None
    tell: Callable[[str], None] = lambda text: None  #: good news of its own
    more: Callable[[], Sequence[Check]] = lambda: ()  #: checks of others
    wall_ns: Callable[[], int] = time.time_ns


class Health:
    """``tasks`` to be kept running; ``checks`` and ``delivery`` for the commands."""

    def __init__(self, sources: Sources, lag: LoopWatch | None = None) -> None:
        self.sources = sources
        self.lag = lag or LoopWatch()
        self.path = sources.state_dir / FILE
        self.fault = ""  #: why the newest heartbeat is not on the disk
        self.beat_ns = 0  #: wall time of the newest that is

    def tasks(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        return [("loop watch", self.lag.run), ("heartbeat", self.run)]

    async def run(self) -> None:
        """For ever. A heartbeat that cannot be written shows in ``checks`` and ends nothing."""
        while True:
            self.beat()
            self._retry()
            await asyncio.sleep(EVERY_S)

    def beat(self, *, running: bool = True) -> bool:
        """Write ``heartbeat.json``; ``running`` False is the last one, of a service that ends in good order.
        Never raises."""
        try:
            write_state(self.path, self._heart(running), durable=False)
        except Exception as error:
            self.fault = mask_text(f"{type(error).__name__}: {error}")
            return False
        self.fault, self.beat_ns = "", self.sources.wall_ns()
        return True

    def delivery(self) -> str:
        """For /status: how many messages wait, and why; '' where none does."""
        outbox, phone = self.sources.outbox(), self.sources.phone()
        if outbox is None or not outbox.waiting:
            return ""
        if phone is not None and phone.word == "polling" and outbox.lag_s() < SOON_S:
            return ""
        said = many(
            outbox.waiting, t("1 message waits for {span}"), t("{n} messages wait, the oldest for {span}"),
            span=ago(_ns(outbox.lag_s())),
        )  # fmt: skip
        if phone is None or phone.word == "polling":
            return said
        since = clock_text(_ns(phone.since))
        return t("{messages}; Telegram is {state} since {time}", messages=said, state=phone.word, time=since)

    def checks(self) -> list[Check]:
        """What the engine's own checks do not see."""
        sources = self.sources
        checks = [self._loop(), self._memory(), self._outbox(), self._telegram(), self._scheduler(),
                  self._heartbeat(), self._disk(), self._clock()]  # fmt: skip
        return [*checks, *([sources.control.check()] if sources.control else []), *sources.more()]

    # --- the heartbeat -----------------------------------------------------------------------------

    def _heart(self, running: bool) -> dict[str, Any]:
        sources = self.sources
        last, following = sources.last_job(), sources.next_job()
        return {
            "running": running,
            "pid": os.getpid(),
            "host": host(),
            "rehearsal": not sources.scheduled,
            "version": __version__,
            "at": iso(sources.wall_ns()),
            "market": iso(sources.clock.now_ns()),
            **self._trading(),
            "loop_lag_ms": {"max": self.lag.max_ms, "p99": self.lag.p99_ms},
            "rss_mb": memory_mb(),
            "outbox": self._queue(),
            "telegram": self._line(),
            "last_job": None if last is None else
                {"name": last[0], "at": iso(last[1]), "late_s": round(last[2], 1), "ok": last[3]},
            "next_job": None if following is None else
                {"name": following[0], "at": following[1].astimezone(IST).isoformat()},
            "unsaved": sources.control.unsaved if sources.control else "",
        }  # fmt: skip

    def _trading(self) -> dict[str, Any]:
        """Of the engine; an empty account where there is none yet."""
        view = self.sources.engine()
        if view is None:
            return {"mode": "", "feed": "", "phase": "", "paused": False, "blocks": [], "feed_age_s": None,
                    "positions": []}  # fmt: skip
        state = view.status()
        return {
            "mode": state.mode,
            "broker": state.broker,
            "feed": state.feed,
            "phase": state.phase,
            "paused": state.paused,
            "blocks": list(state.blocks),
            "feed_age_s": round(state.feed_age_ns / SECOND, 1) if state.ticks else None,
            "positions": [_position(one) for one in view.positions()],
            "unknown": [order.tag for order in view.orders() if order.unknown],
            "unread": state.unread,
        }

    def _queue(self) -> dict[str, Any] | None:
        outbox = self.sources.outbox()
        return None if outbox is None else {"waiting": outbox.waiting, "oldest_s": round(outbox.lag_s(), 1)}

    def _line(self) -> dict[str, Any] | None:
        phone = self.sources.phone()
        if phone is None:
            return None
        return {"state": phone.word, "since": iso(_ns(phone.since)), "error": mask_text(phone.error)}

    def _retry(self) -> None:
        news = self.sources.control.retry() if self.sources.control else ""
        if news:
            self.sources.tell(news)

    # --- the checks -----------------------------------------------------------------------------------

    def _loop(self) -> Check:
        worst = self.lag.max_ms
        said = t("late by {worst} ms at most, {usual} ms in 99 of 100 cases", worst=f"{worst:.0f}",
                 usual=f"{self.lag.p99_ms:.0f}")  # fmt: skip
        return Check(t("Event loop"), worst < LAG_MS, said)

    def _memory(self) -> Check:
        used = memory_mb()
        if used < MEMORY_MB:
            return Check(t("Memory"), True, f"{used:.0f} MB")
        return Check(t("Memory"), False, t("{used} MB; restart the service after the close", used=f"{used:.0f}"))

    def _outbox(self) -> Check:
        outbox = self.sources.outbox()
        if outbox is None:
            return Check(t("Messages"), True, t("none are sent: answers at the terminal"))
        return Check(t("Messages"), outbox.lag_s() < WAITING_S, self.delivery() or t("all delivered"))

    def _telegram(self) -> Check:
        phone = self.sources.phone()
        if phone is None:
            return Check("Telegram", True, t("not set up"))
        why = f": {mask_text(phone.error)}" if phone.error else ""
        said = phone.word
        if phone.since:
            said = t("{state} since {time}", state=phone.word, time=clock_text(_ns(phone.since)))
        return Check("Telegram", phone.word in ("polling", "starting"), f"{said}{why}")

    def _scheduler(self) -> Check:
        last, following, now = self.sources.last_job(), self.sources.next_job(), self.sources.clock.now_ns()
        overdue = following is not None and now / SECOND - following[1].timestamp() > LATE_S
        done = "" if last is None else f"{_said(last)}; "
        if following is None:
            coming = t("nothing is planned") if self.sources.scheduled else t("no more today")
        else:
            at = f"{following[1].astimezone(IST):%a %d %b %H:%M:%S}"
            coming = t("next: {job} {time}", job=following[0].replace("_", " "), time=at)
        well = not overdue and (last is None or last[3]) and (following is not None or not self.sources.scheduled)
        return Check(t("Scheduler"), well, f"{done}{t('{job} OVERDUE', job=coming) if overdue else coming}")

    def _heartbeat(self) -> Check:
        if self.fault:
            return Check(t("Heartbeat"), False, t("cannot be written: {why}", why=self.fault))
        if not self.beat_ns:
            return Check(t("Heartbeat"), False, t("none written yet"))
        age = self.sources.wall_ns() - self.beat_ns
        return Check(t("Heartbeat"), abs(age) < SILENT_S * SECOND, t("{age} old", age=ago(age)))

    def _disk(self) -> Check:
        try:
            free = shutil.disk_usage(self.sources.state_dir).free / 1e6
        except OSError as error:
            return Check(t("Disk"), False, f"{self.sources.state_dir}: {error.strerror}")
        if free >= DISK_MB:
            return Check(t("Disk"), True, t("{size} GB free", size=f"{free / 1000:,.1f}"))
        said = t("{size} MB free; without a journal there are no entries: make room", size=f"{free:,.0f}")
        return Check(t("Disk"), False, said)

    def _clock(self) -> Check:
        clocks, now = self.sources.clocks, self.sources.wall_ns()
        wall = clock_text(now)
        if clocks is None or clocks.last is None:
            return Check(t("Clock"), True, t("{wall} IST on the wall, no jump seen", wall=wall))
        recent = abs(now - clocks.last_ns) < STEP_RECENT
        said = t("{wall} IST on the wall; {jump}, seen at {time}", wall=wall, jump=clocks.last.text,
                 time=clock_text(clocks.last_ns))  # fmt: skip
        return Check(t("Clock"), not recent, said)


def memory_mb() -> float:
    """Resident memory of this process, MB of a million bytes; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def _position(one: Position) -> Mapping[str, Any]:
    """``stop`` in rupees, 0 = none; ``external``: at the broker, not ours."""
    return {
        "symbol": one.symbol, "rung": one.rung, "side": one.side.name, "quantity": one.quantity,
        "stop": rupees(one.stop), "stop_resting": one.stop_resting, "external": one.external,
    }  # fmt: skip


def _said(job: LastJob) -> str:
    name, due, late, well = job
    told = {"job": name.replace("_", " "), "time": clock_text(due), "late": ago(_ns(late))}
    if late >= 1:
        template = t("{job} of {time} ran {late} late") if well else t("{job} of {time} ran {late} late and FAILED")
    else:
        template = t("{job} of {time} ran in time") if well else t("{job} of {time} ran in time and FAILED")
    return template.format_map(told)


def _ns(seconds: float) -> int:
    return round(seconds * SECOND)
