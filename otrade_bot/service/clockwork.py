"""The live clock: APScheduler fires the day's jobs, a metronome gives the engine its seconds and minutes.

Every order asks the pure function of the session again, so nothing here decides what may be traded; it
only sees to it that what is due is looked at, also where no price comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from otrade_bot.core.clock import IST, SECOND, Clock, to_ist
from otrade_bot.core.errors import BrokerException
from otrade_bot.service.plan import Job
from otrade_bot.trading.engine import LiveTradingEngine
from otrade_bot.trading.recover import HistoryTick

if TYPE_CHECKING:
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

__all__ = ["Clockwork", "books_away", "compare", "feed", "metronome"]

#: A sleeping feed looks at the clock at least this often: the clock may be set meanwhile.
GLANCE = 1.0
#: How often a broker is asked for a write whose end nobody knows.
DOUBT = 5 * SECOND
#: A late feed gives the event loop a turn after this many prices.
BREATH = 50


class Clockwork:
    """Jobs at their times. Late ones (a machine that slept) run once when it wakes."""

    def __init__(self, run_job: Callable[[Job], Awaitable[None]]) -> None:
        self._run_job = run_job
        self._made: AsyncIOScheduler | None = None

    @property
    def _scheduler(self) -> AsyncIOScheduler:
        """Loaded where something is planned: 50 ms that a demo, a report or a rehearsal need not pay."""
        if self._made is None:
            from apscheduler.schedulers.asyncio import AsyncIOScheduler

            self._made = AsyncIOScheduler(
                timezone=IST, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
            )
        return self._made

    def start(self) -> None:
        """Needs a running event loop."""
        self._scheduler.start()

    def plan(self, jobs: Sequence[Job]) -> None:
        """These, and no others, from now on."""
        self._scheduler.remove_all_jobs()
        for job in jobs:
            self._scheduler.add_job(
                self._run_job, "date", run_date=to_ist(job.at), args=(job,), id=f"{job.name}@{job.at}", name=job.name
            )

    def wake(self) -> None:
        """Look at the clock again: it was set, or the machine slept."""
        self._scheduler.wakeup()

    def next_job(self) -> tuple[str, datetime] | None:
        """Name and time of what comes next."""
        jobs = [job for job in self._scheduler.get_jobs() if not job.args[0].quiet]
        return (jobs[0].name, jobs[0].next_run_time) if jobs else None

    def stop(self) -> None:
        if self._made is not None and self._made.running:
            self._made.shutdown(wait=False)


async def metronome(
    engine: Callable[[], LiveTradingEngine],
    clock: Clock,
    ready: Callable[[], Awaitable[object]],
    caught_up: Callable[[], int],
) -> None:
    """For ever: each second a pulse, each of the day's minutes a timer and a comparison with the broker, which holds
    up no pulse. While nobody knows what became of a write the broker is asked every few seconds.

    ``engine`` names today's, ``caught_up`` the moment to which its recovery has lived through the minutes;
    ``ready`` is awaited each second before it.
    """
    minutes: list[int] = []
    served: LiveTradingEngine | None = None
    looking: asyncio.Task[None] | None = None
    asked = 0
    try:
        while True:
            await ready()
            today, now = engine(), clock.now_ns()
            if today is not served:
                served, minutes = today, [ts for ts in today.timers if ts > caught_up()]
            due = [ts for ts in minutes if ts <= now]
            del minutes[: len(due)]
            for ts in due:
                today.on_time(ts)
            today.pulse(now)
            if (due or (today.in_doubt and now - asked >= DOUBT)) and (looking is None or looking.done()):
                looking, asked = asyncio.create_task(compare(today)), now
            await asyncio.sleep(1.0 - clock.now_ns() % SECOND / SECOND)
    finally:
        if looking is not None:
            looking.cancel()


#: Told that their books could not be read, and not yet that they can; with the note that each had before.
_AWAY: WeakKeyDictionary[LiveTradingEngine, str] = WeakKeyDictionary()


def books_away(engine: LiveTradingEngine) -> bool:
    """The last comparison had no answer."""
    return engine in _AWAY


async def compare(engine: LiveTradingEngine) -> None:
    """One look at the broker's books; one that cannot be read is told once, asked again next minute, and told when it
    can be read again."""
    try:
        await engine.reconcile()
    except BrokerException as error:
        if engine not in _AWAY:
            _AWAY[engine] = engine.note
            since = f"BROKER NOT READ SINCE {to_ist(engine.clock.now_ns()):%H:%M}"
            engine.note = " · ".join(filter(None, (engine.note, since)))  # what is shown meanwhile is of before
            engine.alert(f"the broker's books cannot be read ({error}): asked again every minute, told when they can")
        return
    if engine in _AWAY:
        engine.note = _AWAY.pop(engine)
        engine.alert("the broker's books can be read again")


async def feed(engine: LiveTradingEngine, clock: Clock, steps: Iterable[HistoryTick]) -> None:
    """Push made-up or recorded prices at their own moments; ends with the last one."""
    late = 0
    for ts, row, price, volume in steps:
        while (wait := (ts - clock.now_ns()) / SECOND) > 0.001:
            await asyncio.sleep(min(wait, GLANCE))
            late = 0
        late += 1
        if late % BREATH == 0:
            await asyncio.sleep(0)
        engine.on_price(row, ts, price, volume)
