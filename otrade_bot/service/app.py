"""The service put together: one event loop, one task group, everything connected here and nowhere else.

Trading runs whether or not anybody can be told about it. What only tells (phone, terminal, heartbeat) is
started again when it fails; what trades ends the process when it fails, so that a supervisor starts it
afresh and recovery finds the truth at the broker. Nothing in between: never half alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import orjson

from otrade_bot import __version__
from otrade_bot.config.models import Config
from otrade_bot.control.reply import bold, lines
from otrade_bot.core.clock import Clock, ManualClock, SystemClock, ist_date, midnight_ns, to_ist
from otrade_bot.core.errors import ConfigException, TokenException
from otrade_bot.core.events import Event, EventKind, Observer
from otrade_bot.core.lang import t
from otrade_bot.core.masking import mask_text
from otrade_bot.core.model import Block
from otrade_bot.core.session import Calendar
from otrade_bot.kernel.compile import IN_PROCESS, Kernel
from otrade_bot.service import garbage
from otrade_bot.service.accounts import Account, PaperAccount
from otrade_bot.service.audit import Audits
from otrade_bot.service.brokerside import ANSWERS, BrokerSide
from otrade_bot.service.clockwatch import ClockWatch
from otrade_bot.service.clockwork import Clockwork, books_away, compare, feed, metronome
from otrade_bot.service.control_state import ControlState
from otrade_bot.service.day import NOTHING, inputs, prices
from otrade_bot.service.desk import Desk, Strategies, with_shipped
from otrade_bot.service.health import Health, Sources
from otrade_bot.service.jobs import OWN, DayJobs
from otrade_bot.service.journal import DayJournal, events_of
from otrade_bot.service.login_desk import ServiceLogins
from otrade_bot.service.logins import callback_for, desk_for
from otrade_bot.service.logs import get_logger, timed
from otrade_bot.service.mouths import Mouths
from otrade_bot.service.observe import log_observer
from otrade_bot.service.opening import Opener
from otrade_bot.service.pictures import Pictures
from otrade_bot.service.plan import Job, day_jobs
from otrade_bot.service.prices import PriceSource
from otrade_bot.service.rehearsal import Played, Rehearsal, drive
from otrade_bot.service.settings import Settings
from otrade_bot.service.statefile import write_state
from otrade_bot.service.tapes import Tapes, strategy_files
from otrade_bot.trading.adopt import tables_of
from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["Service", "Setting", "first_cause", "trading_day"]

#: A machine or program that stood still for longer is treated like a restart.
STOOD_STILL = 5.0
#: Why the process before this one could not open its day; it has told so.
UNOPENED = "unopened.json"
#: How long a stop waits for writes on their way to the broker, and then for the phone.
WRITES, FAREWELL = 10.0, 5.0
#: And for a last look at the broker's book.
LAST_LOOK = 5.0


@dataclass(frozen=True, slots=True)
class Setting:
    """What a service is made of. ``start``: market time at which a rehearsal (re)starts."""

    config: Config
    strategies: Strategies
    kernel: Kernel
    source: PriceSource
    state_dir: Path
    rehearsal: Rehearsal | None = None
    start: int = 0
    resumed: bool = False
    account: Account | None = None  #: None: the paper account in ``state_dir``
    brokers: BrokerSide | None = None  #: where orders or prices are a broker's


class Service:
    """``run`` once. ``stop`` may be called from a signal handler."""

    def __init__(self, setting: Setting, mouths: Callable[[Service], Mouths]) -> None:
        self.setting, self.config = setting, setting.config
        self.calendar: Calendar = setting.config.calendar
        self.clock: Clock = ManualClock(setting.start) if setting.rehearsal else SystemClock()
        self.journal = DayJournal(setting.state_dir, self.clock)
        self.control = ControlState.load(setting.state_dir / "control.json")
        self.clockwork = Clockwork(self.run_job)
        self.watch = ClockWatch()
        self.played = Played()
        self.desk: Desk | None = None
        self.account = setting.account or PaperAccount(setting.state_dir, self.clock, self.config.brokers)
        note = f"rehearsal of {to_ist(setting.rehearsal.start):%d %b %Y}" if setting.rehearsal else ""
        self.opener = Opener(
            self.config, setting.strategies, setting.kernel, setting.source, self.account, setting.state_dir,
            self.clock, self.journal, self.control, setting.rehearsal is not None, note,
        )  # fmt: skip
        self.brokers = setting.brokers
        if self.brokers is not None:
            self.brokers.again = self.want_again
        self.fault = ""  #: why the broker's books are not known
        self._again = ""  #: why the day is to be opened again
        self.last_job: tuple[str, int, float, bool] | None = None  #: name, due, late s, well
        self.reason = ""  #: why the service stops
        self._done: set[tuple[date, str]] = set()  #: jobs of a day that have run
        self._planned: list[Job] = []
        self._caught_up = 0  #: the prices up to this moment came with the recovery
        self._ran: set[Job] = set()
        self._restored: list[str] = []
        self._opened = asyncio.Event()  #: not set while the desk is opened again
        self._stopping = asyncio.Event()
        self._over = False  #: the rehearsed day has been played to its end
        self._began = 0  #: market time at which this process came
        self.settings = Settings(self)
        self._group: asyncio.TaskGroup | None = None
        self._feed: asyncio.Task[None] | None = None
        self._lines: list[asyncio.Future[None]] = []  #: the brokers' connections
        self.pictures = Pictures(setting.state_dir)
        self.audits = Audits(setting.state_dir, lambda: self.today.day)
        self.mouths = mouths(self)
        self.logins = self._logins()
        self.tapes = Tapes(setting.state_dir, self.clock)
        self.health = Health(self._sources())
        self.jobs = DayJobs(
            lambda: self.today, self.clock, self.calendar, setting.state_dir, self.health.checks, self.brokers,
            self.tapes, strategy_files(with_shipped(setting.strategies)),
        )  # fmt: skip

    def _sources(self) -> Sources:
        return Sources(
            state_dir=self.setting.state_dir, clock=self.clock, engine=lambda: self.desk.engine if self.desk else None,
            outbox=self.mouths.queue, phone=self.mouths.line, last_job=lambda: self.last_job,
            next_job=self._next_job,
            scheduled=self.setting.rehearsal is None, control=self.control, clocks=self.watch,
            tell=lambda text: self.engine.alert(text),
            more=lambda: [*(self.brokers.feed.checks() if self.brokers else []), *self.tapes.checks()],
        )  # fmt: skip

    @property
    def today(self) -> Desk:
        """The desk that is open."""
        assert self.desk is not None, "the service has not opened a day yet"
        return self.desk

    @property
    def engine(self) -> LiveTradingEngine:
        return self.today.engine

    async def ready(self, seconds: float) -> bool:
        """A desk is open that acts on what it is told; waits so long for it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._opened.wait()
        return self._opened.is_set()

    def stop(self, reason: str) -> None:
        """End in good order: the first reason counts."""
        self.reason = self.reason or reason
        self._stopping.set()

    # --- the whole run ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until ``stop``, or the end of a rehearsal. Raises what a trading task raised."""
        garbage.keep()
        self._began = self.clock.now_ns()
        self.watch.busy()
        if self.brokers is not None:
            await self.brokers.check_accounts()
        self._lines = self._connect()
        try:
            jobs = await self.open()
        except Exception as error:
            for line in self._lines:
                line.cancel()
            await asyncio.gather(*self._lines, return_exceptions=True)
            await self._never_opened(error)
            raise
        self._settle()
        self._opened.set()
        (self.setting.state_dir / UNOPENED).unlink(missing_ok=True)
        self._say_run("started")
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                helpers = [
                    group.create_task(self._survive(name, make), name=name) for name, make in self._tellers()
                ]
                market = [group.create_task(task, name="market") for task in self._market(jobs)]
                self._start_feed()
                await self._stopping.wait()
                await self._farewell([*market, *([self._feed] if self._feed else [])])
                for task in helpers:
                    task.cancel()
            if self._over and self.setting.rehearsal is not None:  # killed earlier than here, it goes on
                self.setting.rehearsal.end(self.setting.state_dir, time.time_ns())
        except BaseException as error:
            self._say_crash(error)
            raise
        finally:
            self.clockwork.stop()
            await self.tapes.leave()
            self.close()

    def close(self) -> None:
        """Release the files."""
        self.tapes.close()
        if self.desk is not None:
            self.desk.close()
        self.journal.close()
        self.mouths.close()

    def _logins(self) -> ServiceLogins | None:
        """None where no broker is connected."""
        if self.brokers is None:
            return None
        return desk_for(
            self.config.brokers, self.brokers.secrets, self.brokers.store, clock=self.clock,
            on_token=self.brokers.take, tell=self.mouths.tell, brokers=tuple(self.brokers.connections),
        )  # fmt: skip

    def _tellers(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        """What only tells: it may fail, trading goes on."""
        found = [*self.mouths.tasks(), *self.health.tasks(), ("garbage", garbage.tend)]
        if self.logins is not None and self.brokers is not None:
            callback = callback_for(self.logins, self.config.brokers, self.brokers.secrets)
            found += [("login callback", callback.run)] if callback else []
        return found

    def _market(self, jobs: Sequence[Job]) -> list[Any]:
        """What trades: it may not fail."""
        if self.setting.rehearsal is not None:
            return [self._rehearse(self.setting.rehearsal, jobs)]
        self.clockwork.start()
        beat = metronome(lambda: self.engine, self.clock, self._opened.wait, lambda: self._caught_up)
        return [beat, self._watch_clock(), *(_until_end(line) for line in self._lines)]

    def _connect(self) -> list[asyncio.Future[None]]:
        """Streams come up before the day is opened: what is traded while its candles are fetched is heard."""
        return [asyncio.ensure_future(make()) for _, make in self.brokers.tasks()] if self.brokers else []

    async def _rehearse(self, rehearsal: Rehearsal, jobs: Sequence[Job]) -> None:
        assert isinstance(self.clock, ManualClock)
        with timed("rehearsal", speed=rehearsal.speed):
            while not await drive(
                self.engine, self.clock, inputs(self._stream, self.engine.timers), jobs, self.run_job,
                after=self.clock.now_ns(), speed=rehearsal.speed, played=self.played, stop=lambda: bool(self._again),
            ):  # fmt: skip
                await self._reopen(self._again)
                jobs = self._planned
        self._over = True
        self.stop("the rehearsed day is over")

    async def _watch_clock(self) -> None:
        """Once a second: has the clock been set, did we sleep, is it another day?"""
        while True:
            step = self.watch.observe()
            if step is not None:
                self.engine.alert(step.text)
                self.clockwork.wake()
            if step is not None and abs(step.seconds) >= STOOD_STILL:
                await self._reopen(step.text)
            elif self._day(self.clock.now_ns()) != self.today.day:
                await self._reopen("a new trading day")
            elif self._again:
                await self._reopen(self._again)
            if self.brokers is not None:
                self.brokers.look()
            await asyncio.sleep(1.0)

    def _settle(self) -> None:
        """A day is open: what only its opening needed goes, what stays is out of the collector's sight."""
        if self.brokers is not None:
            self.brokers.source.spare(lived=not isinstance(self.account, PaperAccount))
        garbage.settle()

    def want_again(self, why: str) -> None:
        """There is what only an opening can put right; done within the second."""
        self._again = self._again or why

    def take(self, config: Config) -> None:
        """The settings of the next desk; what of them the open one has, whoever calls sees to."""
        self.config, self.opener = config, replace(self.opener, config=config)

    async def _survive(self, name: str, make: Callable[[], Awaitable[None]]) -> None:
        """Run it again whenever it fails, later and later; the failure is told."""
        delay = 1.0
        while True:
            try:
                await make()
                return
            except Exception as error:
                get_logger("error").exception(f"{name} failed and is started again", delay_s=delay)
                what = f"{type(error).__name__}: {mask_text(str(error))}"
                self.engine.alert(f"{name} failed and is started again: {what}")
            await asyncio.sleep(delay)
            delay = min(delay * 2, 60.0)

    # --- a day -----------------------------------------------------------------------------------------

    async def open(self) -> list[Job]:
        """Open the desk of the day it is; returns what is still to be done on it, late jobs first.

        On a day without a session the last one stays open to be looked at.
        """
        day = self._day(self.clock.now_ns())
        if self.brokers is not None:
            self.brokers.begin()
        with timed("open", day=day.isoformat()):
            opened = await self.opener.open(day, self._begin)
        now = self._caught_up = opened.now
        self._stream, self._restored, self.fault = opened.stream, opened.restored, opened.fault
        if self.brokers is not None:
            self._stream = NOTHING  # a broker's prices come by themselves
        if self.brokers is not None:
            self.brokers.attach(opened.desk.engine)
        self.tapes.begin(opened.desk.engine, self.config)
        if self.fault:
            self._say_unread()
        before = opened.before
        self._done |= {(day, "report") for line in before if line.get("kind") == "day"}
        told = {"next": "next_session", "evening": "evening", "self_check": "self_check"}
        self._done |= {(day, told[one]) for line in before if (one := str(line.get("boundary"))) in told}
        return self._plan(opened.desk, now, began=bool(before))

    def _say_unread(self) -> None:
        cure = ": send /login" if Block.TOKEN in self.engine.blocks else ", asked again every few seconds"
        self.engine.alert(f"{self.account.name} tells nothing of orders and positions ({self.fault}){cure}; until "
                          "then there are no entries. Stops that rest at the broker hold",
                          data={"login": self.brokers.wanting(self.engine.blocks) if self.brokers else []})  # fmt: skip

    async def _still_unread(self) -> bool:
        """The broker answers, but not all that a desk is opened with: the same reason is not told again."""
        found = await self.opener.fault(self._day(self.clock.now_ns())) if self.fault else None
        if found is None:
            return False
        if str(found) != self.fault:
            self.fault = self.engine.unread = str(found)
            if isinstance(found, TokenException):
                self.engine.restore({Block.TOKEN})
            self._say_unread()
        return True

    def _begin(self, desk: Desk, before: Sequence[dict[str, Any]]) -> list[Observer]:
        self.desk = desk  # from its first word on, messages ask it for their label
        self.mouths.catch_up(events_of(reversed(before)))
        self.pictures.begin(desk.engine, before)
        return self._observers()

    def _day(self, now: int) -> date:
        return trading_day(self.calendar, now - self.account.rolls)

    def _observers(self) -> list[Observer]:
        return [log_observer, self.pictures.on_event, *self.mouths.observers()]

    def _plan(self, desk: Desk, now: int, *, began: bool) -> list[Job]:
        """Arrange the rest of the day. Of what was due before we came, only our own jobs that are still
        right are caught up: the market's boundaries were lived through in the recovery."""
        if ist_date(now) != desk.day:
            jobs: list[Job] = []
        else:
            every = day_jobs(
                desk.engine.sessions.values(), desk.engine.boundaries, logins=self.brokers is not None,
                tape=self.config.trading.tape.enabled,
            )  # fmt: skip
            jobs = [job for job in every if job.at > now]
            jobs += [
                job for job in every
                if job.at <= now < job.until and job.name in OWN and (not job.quiet or job.name == "self_check")
                and (began or job.name in ("token_check", "card")) and (desk.day, job.name) not in self._done
            ]  # fmt: skip
        self._planned = sorted(jobs)
        if self.setting.rehearsal is None:
            self.clockwork.plan(self._planned)
        return self._planned

    def _start_feed(self) -> None:
        """From where the recovery ended; in a rehearsal the driver feeds, and a broker's prices come by themselves."""
        if self.setting.rehearsal is None and self._group is not None and self.brokers is None:
            steps = prices(self._stream, self._caught_up)
            self._feed = self._group.create_task(feed(self.engine, self.clock, steps), name="feed")

    async def _reopen(self, why: str) -> None:
        """The same path as a start: what happened meanwhile is at the broker and in the prices."""
        get_logger().info("the desk is opened again", why=why)
        self._again = ""
        self.watch.busy()
        if why.endswith(ANSWERS) and await self._still_unread():
            return
        if self.brokers is not None:  # a broker's candles take minutes, in which exits must go on
            self.engine.leave()
            await self.opener.ahead(self._day(self.clock.now_ns()), self.engine.by_symbol)
        self._opened.clear()
        if self._feed is not None:
            self._feed.cancel()
            self._feed = None
        if self.brokers is not None:
            self.brokers.detach()
        await self._written()  # an answer that came after it would be nobody's
        self.engine.flattener.leave()
        self.engine.keeper = None
        self.tapes.end()
        self.today.close()
        planned, before = self._planned, self.clock.now_ns()
        lost = bool(self.fault) or books_away(self.engine)
        garbage.forget()
        await self.open()
        self._settle()
        self._start_feed()
        self._opened.set()
        self.health.beat()  # its age is judged by a clock that may just have been set
        self._say_run("reopened", why, known_again=lost and not self.fault)
        self.settings.opened()
        self._say_missed(planned, before)

    def _say_missed(self, planned: Sequence[Job], now: int) -> None:
        """What was due while nobody was here. Positions were caught up by the recovery; words were not."""
        due = (job for job in planned if job.at <= now and not job.quiet)
        missed = [job for job in due if job not in self._planned and job not in self._ran]
        if missed:
            names = ", ".join(f"{job.name.replace('_', ' ')} {to_ist(job.at):%H:%M}" for job in missed)
            self.engine.alert(f"not done at its time: {names}; the state of the market and of the orders is caught up")

    def _next_job(self) -> tuple[str, datetime] | None:
        """What the scheduler has; after the last job of a day the desk of the next session is opened. A rehearsal
        has a plan without a scheduler."""
        if self.setting.rehearsal is not None:
            now = self.clock.now_ns()
            coming = (job for job in self._planned if job.at > now and not job.quiet)
            return next(((job.name, to_ist(job.at)) for job in coming), None)
        planned = self.clockwork.next_job()
        if planned is not None or self.desk is None:
            return planned
        with contextlib.suppress(ConfigException):  # the calendar does not reach so far
            return "new_day", to_ist(midnight_ns(self.calendar.next_trading_day(self.desk.day)))
        return None

    async def run_job(self, job: Job) -> None:
        """One job; what it raises is told and does not stop the day."""
        now, well = self.clock.now_ns(), True
        self._ran.add(job)
        try:
            await self.jobs.run(job, late=job.at >= self._began and job.late(now))
            self._done.add((self.today.day, job.name))
        except Exception as error:
            well = False
            get_logger("error").exception(f"job {job.name} failed")
            self.engine.critical(f"{job.name.replace('_', ' ')} failed: {type(error).__name__}: {error}")
        if not (job.quiet and well):
            self.last_job = (job.name, job.at, max(0.0, (now - job.at) / 1e9), well)

    # --- beginning and end -----------------------------------------------------------------------------

    def _say_run(self, state: str, why: str = "", **more: Any) -> None:
        engine, trading = self.engine, self.config.trading
        restored = "; ".join(self._restored) if state != "stopped" else ""
        closed = not self.calendar.is_trading_day(ist_date(self.clock.now_ns())) and state != "stopped"
        following = f"No session today. {self.jobs.next_session_text()}" if closed else ""
        words = "; ".join(filter(None, (why, restored, following)))
        kernel = self.setting.kernel
        if state == "started" and kernel.executor == IN_PROCESS and kernel.why:
            more["in_process"] = kernel.why
        self.engine.emit(Event(EventKind.RUN, self.clock.now_ns(), text=words, data={
            "state": state, "mode": trading.mode, "broker": engine.broker.name, "feed": engine.feed,
            "version": __version__, "resumed": self.setting.resumed, "rehearsal": self.setting.rehearsal is not None,
            "strategies": {s.name: list(s.instruments) for s in trading.strategies}, "unread": engine.unread,
            "rungs": tables_of(engine),
            "positions": [
                {
                    "symbol": p.symbol, "rung": p.rung, "side": p.side.name, "quantity": p.quantity,
                    "stop_paise": p.stop, "stop_resting": p.stop_resting, "external": p.external,
                }
                for p in engine.positions()
            ],
            **more,
        }))  # fmt: skip

    async def _farewell(self, market: Sequence[asyncio.Task[None]]) -> None:
        """Entries stop, writes on their way finish, stops stay at the broker, the phone gets the list. No price moves
        what it lists."""
        engine = self.engine
        engine.restore({Block.STOPPING})  # no news: the farewell itself says it
        if unfinished := await self._written():
            engine.alert(f"stopping with {len(unfinished)} orders whose outcome is not known: {', '.join(unfinished)}")
        for task in market:
            task.cancel()
        if self.brokers is not None and not engine.unread:
            with contextlib.suppress(TimeoutError):  # what was accepted a moment ago rests, or does not: the book says
                async with asyncio.timeout(LAST_LOOK):
                    await compare(engine)
        self._say_run("stopped", self.reason)
        self.health.beat(running=False)
        if self.brokers is not None:
            await self.brokers.close()
        await self.mouths.farewell(FAREWELL)

    async def _written(self) -> list[str]:
        """Until no write is on its way to the broker, for a while; those that still are."""
        manager, deadline = self.engine.manager, time.monotonic() + WRITES
        while manager.unanswered and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return manager.unanswered

    async def _never_opened(self, error: Exception) -> None:
        """Nobody else would say it: the next process fails like this one. So it is said at once, and not again by
        each process of a supervisor that tries for ever."""
        path = self.setting.state_dir / UNOPENED
        said = {"error": mask_text(f"{type(error).__name__}: {error}")}
        with contextlib.suppress(OSError, ValueError):
            if orjson.loads(path.read_bytes()) == said:
                self.close()
                return
        with contextlib.suppress(OSError):
            write_state(path, said, durable=False)
        get_logger("error").critical("the service cannot start", exc_info=error)
        self.mouths.tell(
            lambda: lines(
                bold(t("The service cannot start")),
                said["error"],
                t("Nothing is traded and nobody watches until that is mended. Stops stay at the broker."),
                t("A supervisor tries again for ever; the same reason is said once."),
            )
        )
        carriers = [asyncio.ensure_future(make()) for name, make in self.mouths.tasks() if name == "outbox"]
        await self.mouths.farewell(FAREWELL)
        for task in carriers:
            task.cancel()
        await asyncio.gather(*carriers, return_exceptions=True)
        self.close()

    def _say_crash(self, error: BaseException) -> None:
        """Whoever is told when the next process delivers it."""
        if isinstance(error, (KeyboardInterrupt, asyncio.CancelledError)):
            return
        cause = first_cause(error)
        get_logger("error").critical("the service crashed", exc_info=cause)
        self.mouths.tell(
            lambda: lines(
                bold(t("The service crashed")),
                f"{type(cause).__name__}: {mask_text(str(cause))}",
                t("Stops stay at the broker. If a supervisor runs it, it starts again and recovers by itself."),
            )
        )



async def _until_end(line: asyncio.Future[None]) -> None:
    await line


def first_cause(error: BaseException) -> BaseException:
    """What began it, out of the groups that task groups make."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def trading_day(calendar: Calendar, now: int) -> date:
    """Today where there is a session today, else the last trading day before."""
    today = ist_date(now)
    return today if calendar.is_trading_day(today) else calendar.previous_trading_day(today)


