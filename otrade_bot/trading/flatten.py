"""Closing everything, and saying "flat" only when the broker's own book says so.

By phase: before the open it is queued for 9:15; in continuous trading it happens now; in the closing
auction's reference period it waits for order entry; when closed it is remembered, and asked again at the
next open, because a night changes what a person wants.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from otrade_bot.core.clock import SECOND, to_ist
from otrade_bot.core.errors import BrokerException
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.model import Block, OrderType
from otrade_bot.core.money import rupees_text
from otrade_bot.core.session import Phase
from otrade_bot.kernel import state as abi
from otrade_bot.trading.compare import LAG
from otrade_bot.trading.rungs import RungLife

if TYPE_CHECKING:
    from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["Flattener"]

#: How long the human waits for an answer; exits go on being worked after it.
PATIENCE_WALL = 20.0
PATIENCE_MARKET = 120 * SECOND
#: Before anything is sold the broker's net is read, for so long at most.
LOOK_WALL = 2.0
#: Seconds between two looks at positions that a fill of a moment ago has not reached yet.
LAGS = (0.5, 1.0, 2.0)


class Flattener:
    """One flatten at a time; a second request joins the first."""

    def __init__(self, engine: LiveTradingEngine) -> None:
        self.engine = engine
        self.queued = False  #: do it as soon as orders are taken
        self.ask_again = False  #: it was asked for while the market was closed
        self._task: asyncio.Task[str] | None = None
        self._news: asyncio.Event | None = None

    @property
    def listening(self) -> bool:
        """It wants to see each thing that is handled."""
        return self._news is not None

    def progress(self) -> None:
        """The engine has handled something: see whether we are done."""
        if self._news is not None:
            self._news.set()

    async def run(self, by: str) -> str:
        """Returns when the broker says flat, or with what is not and why."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(by))
        else:
            self.engine.pause(by)  # who joins wants what it begins with, though somebody resumed meanwhile
        work, caller = self._task, asyncio.current_task()
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            if not work.cancelled() or (caller is not None and caller.cancelling()):
                raise
            return "NOT CONFIRMED: interrupted before the broker's book said flat. /positions tells what is left. " \
                   f"{self._pause_text()}"  # fmt: skip

    @property
    def waits(self) -> str:
        """What is still to come of a flatten that was said yes to; '' = nothing."""
        if self.queued:
            return "A flatten is queued: entries are paused and everything is closed as soon as orders are taken."
        if self._task is not None and not self._task.done():
            return "A flatten is under way."
        return ""

    def leave(self) -> None:
        """Another engine takes over: what was demanded stays with the broker, the verdict is the other's."""
        if self._task is not None:
            self._task.cancel()

    def at_open(self) -> None:
        """Called at the open: what was queued happens, what was asked for yesterday is asked again.

        Not before our positions are known again: ``after_recovery`` comes back to it."""
        if Block.RECOVERY in self.engine.blocks:
            return
        if self.queued:
            self.queued = False
            self.engine.pause("")  # somebody may have resumed since
            self._later()
        if self.ask_again:
            self.ask_again = False
            self.engine.alert("flatten was asked for while the market was closed: send /flatten again to do it now")
            self._say("asked", "", "", Severity.DEBUG)

    def after_recovery(self) -> None:
        """The open may have passed while nobody was here: what an earlier process left undone is due at once."""
        if (self.queued or self.ask_again) and self._orders_taken(self.lives()):
            self.at_open()

    def _orders_taken(self, lives: list[RungLife]) -> bool:
        """The exchange takes an exit of one of them now; without any, an order of any instrument."""
        engine, now = self.engine, self.engine.clock.now_ns()
        rows = [engine.table[life.row] for life in lives] or engine.table
        return any(not engine.market_fault(row.instrument, OrderType.LIMIT, now) for row in rows)

    def _later(self) -> None:
        """What was queued: the demand now, the verdict when the broker has it."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.demand()
            return  # a day without a loop has nobody to tell
        lives = self.lives()
        self._announce(lives, "")
        self.demand()
        self._task = loop.create_task(self._end(lives))

    def demand(self) -> None:
        """Ask for the exit of everything of ours, now."""
        for row in {life.row for life in self.lives()}:
            self.engine.exit_row(row)

    def lives(self) -> list[RungLife]:
        """Rungs of ours that are open or pending."""
        return [life for life in self.engine.manager.lives.values() if not life.closed]

    # --- the steps ---------------------------------------------------------------------------------

    async def _run(self, by: str) -> str:
        engine = self.engine
        engine.pause(by)
        self.queued = self.ask_again = False  # the newer request stands for an older one
        lives = self.lives()
        if not lives:
            return await self._verdict([], "Nothing to close.")
        waiting = self._wait_for_market(lives)
        if waiting:
            self._say("queued" if self.queued else "remembered", waiting, by)
            return waiting
        self._announce(lives, by)
        await self._look_first()
        self.demand()
        return await self._end(lives)

    async def _look_first(self) -> None:
        """What somebody else has closed meanwhile is not sold again. A broker that does not answer holds nothing up."""
        with contextlib.suppress(BrokerException, TimeoutError):
            async with asyncio.timeout(LOOK_WALL):
                await self.engine.reconcile()

    def _announce(self, lives: list[RungLife], by: str) -> None:
        """Said, and so on the disk, before anything is sent."""
        many = "1 position" if len(lives) == 1 else f"{len(lives)} positions"
        self._say("started", f"closing {many}" + ("" if by else ", as was asked before"), by)

    async def _end(self, lives: list[RungLife]) -> str:
        await self._until_closed(lives)
        return await self._verdict(lives, "")

    def _wait_for_market(self, lives: list[RungLife]) -> str:
        """'' where exits can be sent now, else the answer that says when they will be."""
        engine, now = self.engine, self.engine.clock.now_ns()
        if self._orders_taken(lives):
            return ""
        sessions = [engine.sessions[life.row] for life in lives]
        waits = next((s for s in sessions if s.phase(now).pre_open or s.phase(now) is Phase.CAS_REFERENCE), None)
        if waits is not None:
            self.queued = True
            begins = next(start for start, _, p in waits.phases if start > now and p in (Phase.OPEN, Phase.CAS_ENTRY))
            return f"The market takes no orders yet ({waits.phase(now).words}). Entries are paused; everything is " \
                   f"closed once it does, at {to_ist(begins):%H:%M}."  # fmt: skip
        self.ask_again = True
        phase = sessions[0].phase(now)
        why = "" if phase is Phase.CLOSED else f" ({phase.words})"
        return f"The market is closed{why}. Entries are paused; at the next open you will be asked again."

    async def _until_closed(self, lives: list[RungLife]) -> None:
        loop = asyncio.get_running_loop()
        deadline, market = loop.time() + PATIENCE_WALL, self.engine.clock.now_ns() + PATIENCE_MARKET
        self._news = asyncio.Event()
        try:
            while any(not life.closed for life in lives):
                if loop.time() >= deadline or self.engine.clock.now_ns() > market:
                    return
                self._news.clear()
                try:
                    # Not wait_for: in Python 3.11 it swallows a cancellation that meets the news.
                    async with asyncio.timeout_at(deadline):
                        await self._news.wait()
                except TimeoutError:
                    return
        finally:
            self._news = None

    async def _verdict(self, lives: list[RungLife], nothing: str) -> str:
        """What the broker's own book says."""
        try:
            left = [*await self._settled_residue(), *self._pending()]
        except BrokerException as error:
            text = (f"NOT CONFIRMED: the broker's book cannot be read ({error}). Send /flatten again when it can. "
                    f"{self._pause_text()}")  # fmt: skip
            self._say("unconfirmed", text, "")
            return text
        flat = f"{nothing} Flat: the broker's book shows no position of ours.".strip()
        verdict = "NOT FLAT: " + "; ".join(left) if left else flat
        results = [self._result(life) for life in lives]
        text = "\n".join((verdict, *results, *self._left_alone(), self._pause_text()))
        self._say("not_flat" if left else "flat", text, "")
        return text

    def _left_alone(self) -> list[str]:
        """What the broker holds besides: flat is not all that a person may see there."""
        external = sorted(self.engine.external.items())
        others = [f"{symbol} {quantity:+d}" for (symbol, _), quantity in external if quantity]
        return [f"Left alone, not ours or no longer in the settings: {', '.join(others)}"] if others else []

    def _pause_text(self) -> str:
        """A resume may have come while exits were worked."""
        paused = Block.PAUSED in self.engine.blocks
        return "Entries are paused until /resume." if paused else "The pause was lifted meanwhile: entries may follow."

    def _result(self, life: RungLife) -> str:
        name = f"{self.engine.manager.symbol(life)} P{life.rung + 1}"
        if life.entered == 0:
            return f"{name}: entry cancelled, nothing was bought" if life.closed else f"{name}: entry not final yet"
        parts = life.booked  # that were told as trades of their own
        closed, held = life.exited - parts.exited, life.entered - parts.entered
        done = f"{closed} of {held} closed"
        if not closed or not held:
            return f"{name}: {done}"
        paid, got = life.entry_value - parts.entry_value, life.exit_value - parts.exit_value
        gain = int(life.side) * (got - paid * closed // held)
        return f"{name}: {done}, {rupees_text(gain, sign=True)} before charges"

    async def _settled_residue(self) -> list[str]:
        """What is still there once positions have had time to follow the last fills."""
        left = await self._residue()
        for pause in LAGS:
            if not left or self.lives() or not self._filled_just_now():
                break
            await asyncio.sleep(pause)
            left = await self._residue()
        return left

    def _filled_just_now(self) -> bool:
        since = self.engine.clock.now_ns() - LAG
        return any(order.filled and order.updated_ns >= since for order in self.engine.manager.orders)

    async def _residue(self) -> list[str]:
        """Every net quantity at the broker that is not recorded as external, with the reason it is there."""
        engine = self.engine
        net = await engine.broker.get_net()
        found = []
        for key, quantity in sorted(net.items()):
            ours = quantity - engine.external.get(key, 0)
            if ours:
                found.append(f"{key[0]} {ours:+d} ({self._why(key[0])})")
        return found

    def _pending(self) -> list[str]:
        """What holds nothing now, and may still: no position at the broker is not flat then."""
        found = []
        for life in self.lives():
            name = f"{self.engine.manager.symbol(life)} P{life.rung + 1}"
            if life.held == 0 and any(order.unknown for order in life.entries):
                found.append(f"{name} (an entry's outcome is unknown: it may still fill; the broker is being asked)")
            elif life.held == 0 and (life.entering or life.gtt_alive or any(order.live for order in life.exits)):
                found.append(f"{name} (an order of it is not final yet)")
        return found

    def _why(self, symbol: str) -> str:
        engine = self.engine
        for life in self.lives():
            if engine.manager.symbol(life) != symbol:
                continue
            if any(order.unknown for order in life.exits):
                return f"an exit's outcome is unknown: the broker is being asked; /force {symbol} leaves all the same"
            fault = engine.market_fault(engine.table[life.row].instrument, OrderType.LIMIT, engine.clock.now_ns())
            if fault:
                return fault
            working = [order for order in life.exits if order.live]
            if working and working[0].order_type in (OrderType.SL_M, OrderType.SL):
                return f"its stop rests at {rupees_text(working[0].trigger)} and is no exit yet"
            if working:
                return f"an exit rests at {rupees_text(working[0].price)} and has not filled"
            if life.gtt_alive:
                return "nothing is sold before the broker has confirmed that its GTT is taken back"
        return "no exit order is working"

    def _say(self, state: str, text: str, by: str, severity: Severity = Severity.WARNING) -> None:
        if state in ("not_flat", "unconfirmed"):
            severity = Severity.RISK
        data = {"state": state, "by": by, "reason": abi.R_FLATTEN}
        self.engine.emit(Event(EventKind.FLATTEN, self.engine.clock.now_ns(), text=text, severity=severity, data=data))
