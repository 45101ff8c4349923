"""The middle of everything: prices, reports and time go in, one at a time; orders and events come out.

Synchronous and single-threaded. Inputs that arrive while one is being handled (a fill inside the place
call, say) wait in a queue, so each is seen by a consistent state, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, NamedTuple

import numpy.typing as npt

from otrade_bot.brokers.base import BrokerInterface
from otrade_bot.config.models import Config
from otrade_bot.core.clock import MINUTE, SECOND, Clock, iso, midnight_ns
from otrade_bot.core.errors import BrokerException, CommandException, JournalException, TokenException
from otrade_bot.core.events import Event, EventKind, Observer, Severity
from otrade_bot.core.lang import t
from otrade_bot.core.model import Block, BrokerOrder, ExitReason, Instrument, OrderType, Refused, Side
from otrade_bot.core.money import Paise, rupees, rupees_text
from otrade_bot.core.ports import Journal
from otrade_bot.core.session import Calendar, DaySession, Phase, order_fault
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Kernel
from otrade_bot.kernel.quotes import FeedHead, Quote
from otrade_bot.strategies.loader import TradingStrategy
from otrade_bot.trading import closing, hands, later, levels, setup
from otrade_bot.trading.adopt import RungNumbers
from otrade_bot.trading.approvals import Approvals
from otrade_bot.trading.booking import bill_parts, part_trade, rung_trade
from otrade_bot.trading.compare import compare, read_book
from otrade_bot.trading.countdown import countdown, leaving
from otrade_bot.trading.deck import Deck
from otrade_bot.trading.doubt import overdue
from otrade_bot.trading.flatten import Flattener
from otrade_bot.trading.manager import OrderManager
from otrade_bot.trading.orders import Order, Tags
from otrade_bot.trading.recover import CODES, Recovery
from otrade_bot.trading.refusals import LONGEST, Storm, Trouble
from otrade_bot.trading.risk import RiskManager
from otrade_bot.trading.rungs import RungLife
from otrade_bot.trading.signals import KINDS, SignalBook
from otrade_bot.trading.snapshot import (
    Amount,
    Evaluation,
    LevelValue,
    OrderView,
    Position,
    RowView,
    SignalView,
    StatusView,
    Trade,
    Wish,
)
from otrade_bot.trading.table import Row
from otrade_bot.trading.unprotected import bare_lines
from otrade_bot.trading.views import View

__all__ = ["Keeper", "LiveTradingEngine", "PriceListener"]

REASONS = {code: reason for reason, code in CODES.items()}
LIMIT_WORDS = {
    abi.L_BLOCKED: ("blocked", "entries are blocked"),
    abi.L_UNTRADABLE: ("untradable", "this instrument can only be watched"),
    abi.L_DISABLED: ("disabled", "the strategy is switched off"),
    abi.L_WINDOW: ("window", "outside the entry window of the day"),
    abi.L_COLD: ("cold", "the indicators are not warm yet"),
    abi.L_LOSS: ("daily_loss", "the day's loss limit has been reached"),
    abi.L_POSITIONS: ("max_positions", "the most positions are open already"),
    abi.L_TRADES: ("max_trades", "the day's number of entries is used up"),
    abi.L_COOLDOWN: ("cooldown", "the pause after an exit or a no is not over"),
    abi.L_UNAFFORDABLE: ("unaffordable", "one lot costs more than the capital of a position"),
    abi.L_CAPITAL: ("capital", "the total capital is bound"),
    abi.L_NO_SHORT: ("no_short", "short positions are not allowed here"),
    abi.L_STALE: ("stale", "the last price is too old to act on"),
}
#: After a fill of somebody else's the net is compared at once, and again as positions may lag.
FOREIGN = (0, 2 * SECOND, 5 * SECOND, 15 * SECOND)
PriceListener = Callable[[str, int, Paise, int], None]
#: The symbols of which each price must be heard as it comes.
Restless = Callable[[], Iterable[str]]
#: Puts on the disk what a human decided, before anyone is told; returns why it could not, '' if it is there.
Keeper = Callable[[Event], str]
#: A limit says the same no at each look of a strategy: it is told again after so long, the journal has each.
_TOLD_AGAIN = 30 * MINUTE
_KEPT = frozenset({EventKind.BLOCK, EventKind.FLATTEN})
_DURABLE = frozenset({
    EventKind.TRADE, EventKind.COMMAND, EventKind.DAY, EventKind.CARRY, EventKind.SETTING, EventKind.LEVEL,
    EventKind.CLOSE,
})  # fmt: skip


@dataclass(slots=True)
class Counters:
    """What happened today."""

    head: FeedHead  #: counts prices, for compiled code takes most of them
    signals: int = 0
    refusals: int = 0
    dropped: dict[str, int] = field(default_factory=dict)  #: lines that never became ticks

    @property
    def ticks(self) -> int:
        return self.head.used


class LiveTradingEngine:
    """See the module. ``on_event`` may be overridden; observers are called in the order of their adding."""

    def __init__(
        self,
        *,
        config: Config,
        kernel: Kernel,
        rows: list[Row],
        strategies: Mapping[str, TradingStrategy],
        broker: BrokerInterface,
        clock: Clock,
        calendar: Calendar,
        journal: Journal,
        feed: str = "simulated",
    ) -> None:
        self.config, self.table, self.strategies = config, rows, dict(strategies)
        self.broker, self.clock, self.calendar, self.journal, self.feed = broker, clock, calendar, journal, feed
        self.deck = Deck(kernel, len(rows))
        for row in rows:
            self.deck.seat(row.quote, row.index)
        self.by_symbol = {row.instrument.symbol: row.index for row in rows}
        setup.account_limits(self.account, config)
        self.sessions: dict[int, DaySession] = {}
        self.day: date | None = None
        self.counters = Counters(self.deck.head)
        self.trade_log: list[Trade] = []
        self.book = SignalBook()  #: looks, signals and what became of them
        self.external: dict[tuple[str, str], int] = {}
        self.journal_fault = ""  #: why the journal is incomplete
        self.address_fault = ""  #: why the broker takes no orders from this machine
        self.unread = ""  #: why the broker's books are not known; '' = they have been read
        self.retired = False
        self.leaving = False  #: the next engine is being prepared: no entries, everything else goes on
        self.ended_at: Paise = 0  #: the day's result when its loss limit ended it; 0 = it has not
        self.available: Paise | None = None  #: what the broker's funds were at the last comparison
        self.suspects: dict[tuple[str, str], tuple[int, int]] = {}  #: differences seen, and since when (ns)
        self.known_tags: set[str] = set()  #: like ours, but not sent by us; said already
        self.known_trades: set[str] = set()  #: that the journal has already
        self.known_reasons: Mapping[str, str] = {}  #: with which it has told them
        self.blocks: set[Block] = set()
        self._boundaries: deque[tuple[int, str]] = deque()
        self.note = ""  #: what besides mode and feed every message says of this run
        self.keeper: Keeper | None = None  #: is given blocks and flattens first of all
        self._observers: list[Observer] = [self.book.take]
        self._listeners: list[PriceListener] = []
        self._restless: list[Restless] = []  #: of each listener
        self._stirred = True  #: which rows' prices come to Python has to be found out anew
        self.past_listeners: list[PriceListener] = []
        self._inbox: deque[Callable[[], None]] = deque()
        self._busy = False
        self._exits_only: set[int] = set()  #: whose strategy has raised, or has left the settings
        self._failures: set[str] = set()
        self._told: dict[str, list[str]] = {}  #: by strategy: which of its numbers an evaluation tells
        self._refused: dict[tuple[int, int, str], int] = {}  #: row, rung, why: when that was told
        self._books = asyncio.Lock()  #: one reader of the broker's books at a time
        self._begun = self._compared = 0  #: comparisons begun, and the newest that ended well
        self._differences: list[str] = []
        self.asking: asyncio.Task[None] | None = None  #: a look at the broker's orders between two comparisons
        self._asked = self._ask_ns = 0
        self.heard: dict[str, BrokerOrder] = {}  #: orders of others that have filled, newest report by id
        self._compare_at: list[int] = []  #: when the net is to be compared besides each minute (ns), in order
        risk = config.risk
        self.manager = OrderManager(
            broker, RiskManager(setup.gate_limits(config), self.market_fault, lambda: self.available),
            Tags(config.brokers.instance), clock, rows,
            self._tell, self.emit, self.post, self._finished, self.critical,
            storm=Storm(risk.reject_storm, risk.reject_storm_seconds * SECOND), troubled=self._troubled,
            parted=self.book_part,
        )  # fmt: skip
        self.view = View(self)
        self.numbers = RungNumbers(self)
        self.flattener = Flattener(self)
        self.approvals = Approvals(self)
        broker.report, broker.on_leaving = self.on_report, self.manager.leaving

    @property
    def kernel(self) -> Kernel:
        return self.deck.kernel

    @property
    def state(self) -> npt.NDArray[Any]:
        """The kernel's rows. Who writes to them, or to what follows, says so by ``deck.changed``."""
        return self.deck.state

    @property
    def account(self) -> npt.NDArray[Any]:
        return self.deck.account

    @property
    def params(self) -> npt.NDArray[Any]:
        return self.deck.params

    # --- observers -----------------------------------------------------------------------------------

    def add_observer(self, observer: Observer) -> None:
        """Every event from now on, in order. An observer that raises is reported and does not stop trading."""
        self._observers.append(observer)

    def add_price_listener(
        self, listener: PriceListener, past: PriceListener | None = None, restless: Restless | None = None
    ) -> None:
        """Called with (symbol, ts, price in paise, day's volume) for each accepted price, before the kernel.

        ``past`` is called with those that a recovery plays again. With ``restless`` only the prices of the symbols
        that it names are sure to be heard, and those at or after a quote's ``until``: what has passed unheard is in
        ``quote_of``."""
        self._listeners.append(listener)
        self._restless.append(restless or (lambda: self.by_symbol))
        self._stirred = True
        if past is not None:
            self.past_listeners.append(past)

    def on_event(self, event: Event) -> None:
        """Give an event to every observer."""
        for observer in tuple(self._observers):  # one that fails is taken out meanwhile
            try:
                observer(event)
            except Exception as error:
                self._observer_failed(observer, error)

    def _observer_failed(self, observer: Observer, error: Exception) -> None:
        if observer not in self._observers:
            return
        self._observers.remove(observer)
        name = getattr(observer, "__qualname__", type(observer).__name__)
        self.alert(f"observer {name} failed and was removed: {type(error).__name__}: {error}")

    def emit(self, event: Event) -> None:
        """Into the journal first, then to the observers. No journal, no entries."""
        lost = self._keep(event) if event.kind in _KEPT else ""
        try:
            self.journal.append(event, durable=event.kind in _DURABLE)
        except JournalException as error:
            self.journal_fault = self.journal_fault or str(error)
            text = f"the journal cannot be written: {error}; entries stopped until /resume"
            if self._set_block(Block.ERROR, True, error=text):
                self.on_event(Event(EventKind.ALERT, self.clock.now_ns(), text=text, severity=Severity.RISK))
        self.on_event(event)
        if lost:
            self.alert(lost)

    def _keep(self, event: Event) -> str:
        """A keeper that fails stops nothing, and is said."""
        try:
            return self.keeper(event) if self.keeper else ""
        except Exception as error:
            return f"what was decided is not kept for a restart: {type(error).__name__}: {error}"

    def alert(self, text: str, symbol: str = "", data: Mapping[str, Any] | None = None) -> None:
        """Something a human must know. ``data``: what can be done about it."""
        self.emit(Event(EventKind.ALERT, self.clock.now_ns(), symbol, text, Severity.RISK, data or {}))

    def critical(self, text: str) -> None:
        """An error after which nothing new is bought until a human has looked."""
        self._set_block(Block.ERROR, True, error=text)
        self.alert(f"{text}; entries paused")

    # --- the day ---------------------------------------------------------------------------------------

    def start_day(self, day: date) -> None:
        """Hours, charges and counters of a day. Positions and indicators carry on."""
        self.prepare(day)
        self.counters, self.ended_at, self.deck.head.used = Counters(self.deck.head), 0, 0
        self.state["drops"] = 0
        self.deck.changed()
        for row in self.table:
            row.quote.start_day()
            opened = self.sessions[row.index].open
            self._kernel(abi.PHASE, row.index, ts=opened, code=abi.PHASE_DAY, value=day.toordinal())
        self._boundaries = deque(self.boundaries)
        _, before_first = self.config.charges.row_for(day)
        if before_first:
            self.emit(Event(
                EventKind.ALERT, self.clock.now_ns(),
                text=f"charges: no rates are known for {day}; the first known ones are used", severity=Severity.INFO,
            ))  # fmt: skip

    def prepare(self, day: date) -> None:
        """The inputs of a day: hours, strategies' numbers, charges. Raises ValueError on a day without a
        session."""
        self.day = day
        for row in self.table:
            session = setup.row_session(row, day, self.calendar)
            if session is None:
                raise ValueError(f"{day} is not a trading day")
            self.sessions[row.index] = session
            strategy = self.strategies.get(row.strategy)
            setup.row_params(self.params, row, self.kernel, self.config, strategy, session, day)
        self.deck.changed()
        self.numbers.restore()
        self.switch_off_again()

    def switch_off_again(self) -> None:
        """After the rows' numbers have been written anew."""
        for index in self._exits_only:
            self._switch_off(index)

    @property
    def boundaries(self) -> list[tuple[int, str]]:
        """(ns UTC, name) of what the market does on the prepared day, in order."""
        found: set[tuple[int, str]] = set()
        warning = self.config.market.warning_minutes * MINUTE
        for row in self.table:
            session, p = self.sessions[row.index], self.params[row.index]
            found |= {(session.open, "open"), (session.continuous_end, "close")}
            found |= {(start, "auction") for start, _, phase in session.phases if phase is Phase.CAS_ENTRY}
            if row.strategy and p["square_off"]:
                found |= {(int(p["entry_until"]), "entries_stop"), (int(p["square_off"]), "square_off")}
                if warning:
                    found.add((int(p["square_off"]) - warning, "square_off_warning"))
        return sorted(found)

    def plan_boundaries(self) -> None:
        """After the day's times have changed: what was not said yet, as it is now."""
        now = self.clock.now_ns()
        first = self._boundaries[0][0] if self._boundaries else now + 1
        self._boundaries = deque(one for one in self.boundaries if one[0] >= first or one[0] > now)

    @property
    def timers(self) -> list[int]:
        """The minutes at which ``on_time`` must be called today."""
        return setup.day_timers(self.sessions.values())

    def market_fault(self, instrument: Instrument, order_type: OrderType, ns: int) -> str:
        """'' where the exchange takes such an order now, else why not."""
        session = self.sessions.get(self.by_symbol.get(instrument.symbol, -1))
        if session is None:
            return "there is no session today"
        return order_fault(session.phase(ns), order_type)

    # --- inputs ------------------------------------------------------------------------------------------

    def quote_of(self, symbol: str) -> Quote | None:
        """What was told of it last; None where it is not in the table."""
        row = self.by_symbol.get(symbol)
        return None if row is None else self.table[row].quote

    def on_frame(self, frame: bytes, now: int, *, upstox: bool = False) -> bool:
        """A frame of Kite's, or of Upstox's, heard at ``now``, handled as if each of its prices came by ``on_price``;
        those with which nothing can happen never leave the kernel. False where it is torn, or comes while an input is
        being handled, whose place in its own frame must not be lost: nothing of it was used."""
        if self._busy:
            return False
        read, torn = self.deck.upstox_frame if upstox else self.deck.kite_frame, self.deck.head.torn
        self._stream(lambda: read(frame), now)
        return self.deck.head.torn == torn

    def _stream(self, call: Callable[[], int], now: int) -> None:
        if self.retired:
            return
        deck, head = self.deck, self.deck.head
        deck.begin(now)
        self._busy = True
        try:
            while not self.retired:
                self._settle_attention()
                at = head.at_byte
                try:
                    n = call()
                except Exception as error:
                    if head.at_byte == at:
                        raise  # not a strategy's: no row was stepped
                    self._strategy_failed(head.row, error)
                    self._stepped(head.row)
                    continue
                if head.stop == abi.S_DONE:
                    return
                if head.stop == abi.S_INTENTS:
                    self._carry_out(n)
                    self._stepped(head.row)
                elif self.deck.accept(head.row, head.ts, head.price, head.volume):
                    self._one_price(head.row, head.ts, head.price, head.volume)
        finally:
            self._busy = False

    def _stepped(self, row: int) -> None:
        self._drain()
        self.approvals.gone(row)

    def _settle_attention(self) -> None:
        """Which prices Python has to see before the kernel does: see ``kernel.state.QUOTE``."""
        boundary = self._boundaries[0][0] if self._boundaries else 0
        self.deck.head.until = 1 if self._unsettled else boundary
        if not self._stirred:
            return
        self._stirred = False
        self.deck.quotes["attend"][: len(self.table)] = 0
        rows = {life.row for life in self.manager.lives.values() if not life.closed}
        rows |= self.numbers.waiting.keys() | self.approvals.skipped.keys()
        for restless in self._restless:
            rows |= {self.by_symbol[symbol] for symbol in restless() if symbol in self.by_symbol}
        self.deck.quotes["attend"][list(rows)] = 1

    @property
    def _unsettled(self) -> bool:
        """Something waits for whatever price comes next."""
        return bool(self.manager.leftovers) or self.flattener.listening

    def on_price(self, row: int, ts: int, price: Paise, volume: int) -> bool:
        """A price of one instrument; ``volume`` is the day's so far. False if it was not fit to act on."""
        if self.retired or not self.deck.accept(row, ts, price, volume):
            return False
        self._busy = True
        try:
            self._one_price(row, ts, price, volume)
        finally:
            self._busy = False
        return True

    def _one_price(self, row: int, ts: int, price: Paise, volume: int) -> None:
        """An accepted one."""
        self._notice(ts)
        self._mark(row, ts, price, volume)
        symbol = self.table[row].instrument.symbol
        for listener in self._listeners:
            try:
                listener(symbol, ts, price, volume)
            except Exception as error:
                self._listener_failed(listener, error)
        self._drain()
        self.manager.chase(ts, row)
        self._drain()
        try:
            n = self.deck.tick(row, ts, price, volume)
        except Exception as error:
            self._strategy_failed(row, error)
        else:
            self._carry_out(n)
        self._stepped(row)

    def _mark(self, row: int, ts: int, price: Paise, volume: int) -> None:
        self.table[row].quote.mark(ts, price, volume)
        self.deck.head.used += 1
        if self.numbers.waiting:
            self.numbers.settle(row)

    def on_time(self, ts: int) -> None:
        """A minute has passed, also where no price came."""
        self.post(lambda: self._minute(ts))

    def _minute(self, ts: int) -> None:
        self._notice(ts)
        self.approvals.look()
        self.manager.chase(ts)
        self._drain_inner()
        self.numbers.settle_all()
        kept = self.state.copy(), self.account.copy()
        try:
            n = self.deck.timer(ts, 1, abi.LIVE)
        except Exception:
            self.state[:], self.account[:] = kept
            self.deck.changed()
            self._minute_by_rows(ts)
        else:
            self._carry_out(n)
        for row in list(self.approvals.skipped):
            self.approvals.gone(row)

    def _minute_by_rows(self, ts: int) -> None:
        """The same minute row by row, to find the one whose strategy fails; the others lose nothing."""
        self.deck.dropped()
        found: list[npt.NDArray[Any]] = []
        for row in range(len(self.table)):
            try:
                found.append(self.deck.taken(self.deck.event(abi.TIMER, row, ts=ts, qty=1)))
            except Exception as error:
                found.append(self._taken_before(row, error))
        for intents in found:
            self._do(intents)

    def _notice(self, ts: int) -> None:
        """Say the boundaries of the day that have come."""
        while self._boundaries and self._boundaries[0][0] <= ts:
            self._boundary(*self._boundaries.popleft())

    def pulse(self, ts: int) -> None:
        """Between prices: exits are re-priced and refused ones tried again. Call it about once a second."""
        self.post(lambda: self._pulse(ts))

    def _pulse(self, ts: int) -> None:
        self._notice(ts)
        self.approvals.look()
        self.manager.chase(ts)
        self._listen(ts)

    def _listen(self, now: int) -> None:
        """What should have been heard by now is asked for before the minute's comparison comes, ever more slowly."""
        if self._compare_at and now >= self._compare_at[0] and (self.asking is None or self.asking.done()):
            self._compare_at = [due for due in self._compare_at if due > now]
            with contextlib.suppress(RuntimeError):  # a day without a loop compares each minute
                self.asking = asyncio.get_running_loop().create_task(self._reconcile_now())
                return
        if not overdue(self.manager, now):
            self._asked = 0
            return
        if now < self._ask_ns or (self.asking is not None and not self.asking.done()):
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # a day without a loop hears everything at once
        self._asked += 1
        self._ask_ns = now + min(LONGEST, SECOND << min(self._asked - 1, 10))
        self.asking = loop.create_task(self.look())

    def compare_at(self, ts: int) -> None:
        """Between two minutes, with the pulse that comes then."""
        if ts > self.clock.now_ns():
            self._compare_at = sorted({*self._compare_at, ts})

    async def _reconcile_now(self) -> None:
        """What cannot be read is tried again, and said by the minute's comparison."""
        try:
            await self.reconcile()
        except BrokerException:
            pass
        except Exception as error:
            self.critical(f"a comparison with the broker failed: {type(error).__name__}: {error}")

    async def look(self) -> None:
        """One read of the broker's orders, taken as reports. What fails is tried again."""
        try:
            async with self._books:
                if not self.blind:
                    await read_book(self)
        except TokenException as error:
            self.token_lost(str(error))
        except BrokerException:
            pass  # said by the minute's comparison, if it goes on
        except Exception as error:
            self.critical(f"a look at the broker's orders failed: {type(error).__name__}: {error}")

    def on_report(self, told: BrokerOrder) -> None:
        """An order update from the broker."""
        self.post(lambda: self._reported(told))

    def _reported(self, told: BrokerOrder) -> None:
        if self.manager.on_report(told) or (Block.RECOVERY in self.blocks and not self.leaving):
            return  # what is ours is not known yet: recovery reads the books after this
        self.not_sent(told)
        if not told.tag and told.filled:
            self.alert(f"{told.symbol}: an order that is not ours filled ({told.side.name} {told.filled})", told.symbol)
            now = self.clock.now_ns()
            self.heard[told.order_id] = told
            self.manager.foreign_exit(told)
            self._compare_at = [now + after for after in FOREIGN]  # it may be what our stop waits to sell

    def not_sent(self, told: BrokerOrder) -> None:
        """An order with a tag like ours that this program has not sent: a second one trades on the account."""
        if told.tag in self.known_tags or self.manager.tags.read(told.tag) is None:
            return
        self.known_tags.add(told.tag)
        self.critical(
            f"{told.symbol}: order {told.order_id} ({told.side.name} {told.quantity}, {told.status_word}) bears our "
            f"mark {self.manager.tags.instance} and was not sent by this program: does a second one run on this "
            "account? Its orders are not touched"
        )

    @property
    def blind(self) -> bool:
        """What is ours is not known, or no business of this engine any more: no book is compared with it."""
        return self.retired or bool(self.unread) or (Block.RECOVERY in self.blocks and not self.leaving)

    def leave(self) -> None:
        """Another engine is about to take over; until it does, exits and doubts are ours."""
        self.leaving = not self.blind
        self.restore({Block.RECOVERY})

    def todays(self, book: Iterable[BrokerOrder]) -> list[BrokerOrder]:
        """The orders of the prepared day: a broker may go on showing yesterday's in the morning."""
        begins = midnight_ns(self.day) if self.day else 0
        return [order for order in book if not order.placed_ns or order.placed_ns >= begins]

    def retire(self) -> None:
        """Another engine takes over: nothing that still comes in (an answer, a report, a price) is acted on."""
        self.approvals.stop("the day is opened again, or the program ends")
        self.retired = True
        self._inbox.clear()
        for task in self.manager.guards.tasks:
            task.cancel()

    def post(self, call: Callable[[], None]) -> None:
        """Handle an input now, or behind the one that is being handled."""
        if self.retired:
            return
        self._stirred = True
        self._inbox.append(call)
        if self._busy:
            return
        self._busy = True
        try:
            self._drain()
        finally:
            self._busy = False

    def _drain(self) -> None:
        while self._inbox:
            self._inbox.popleft()()
        self.flattener.progress()

    def _drain_inner(self) -> None:
        while self._inbox:
            self._inbox.popleft()()

    def _boundary(self, ts: int, name: str) -> None:
        if name in ("open", "auction"):
            self.flattener.at_open()
        if name == "auction":
            return
        open_now = [p for p in self.positions() if not p.external]
        data: dict[str, Any] = {"boundary": name, "at": iso(ts), "positions": len(open_now)}
        if self.unread:
            data["unread"] = self.unread
        auctions = [one.close for one in self.sessions.values() if one.continuous_end == ts < one.close]
        if name == "close" and auctions:
            data["auction_until"] = iso(max(auctions))
        ended = (one for one in open_now if self.sessions[self.by_symbol[one.symbol]].continuous_end <= ts)
        bare = bare_lines(ended) if name == "close" else []
        severity = Severity.WARNING if bare else Severity.INFO
        if name == "square_off":
            data["due"] = len(leaving(self, 1, ts))  # another kind of session, or put off: not now
        text = ""
        if name == "square_off_warning" and open_now:
            minutes = self.config.market.warning_minutes
            near = leaving(self, ts, ts + minutes * MINUTE)
            text = f"square-off in {minutes} minutes: {', '.join(sorted({p.symbol for p in near or open_now}))}"
            data |= countdown(self, near) if near else {}
        data |= {"unprotected": bare} if bare else {}
        self.emit(Event(EventKind.SESSION, ts, text=text, severity=severity, data=data))

    # --- the kernel --------------------------------------------------------------------------------------

    def _kernel(self, kind: int, row: int, **fields: int) -> None:
        """Step one event and do what it intends."""
        try:
            n = self.deck.event(kind, row, **fields)
        except Exception as error:
            self._strategy_failed(row, error)
        else:
            self._carry_out(n)

    def past(self, kind: int, row: int, **fields: int) -> None:
        """Step one event that lies behind us: what it intends was done, or missed, long ago."""
        self.deck.event(kind, row, **fields)
        self.deck.dropped()

    def _tell(self, kind: int, life: RungLife, leg: int, quantity: int, value: Paise, ts: int) -> None:
        fields = {"ts": ts, "qty": quantity, "value": value, "rung": life.rung, "leg": leg, "cycle": life.cycle}
        if kind == abi.ADOPT:  # ``value``: what the quantity cost, of which the kernel wants the price
            fields.update(code=int(life.side), price=value // quantity)
        self._kernel(kind, life.row, **fields)

    def _carry_out(self, n: int) -> None:
        """The intents, in their order. Copied first: carrying one out may step the kernel again."""
        if n:
            self._do(self.deck.taken(n))

    def _do(self, intents: npt.NDArray[Any]) -> None:
        found = [_Intent._make(intent) for intent in intents.tolist()]
        self._stirred = self._stirred or any(intent.kind != abi.EVALUATED for intent in found)
        for intent in found:
            self._INTENTS[intent.kind](self, intent)

    def _strategy_failed(self, row: int, error: Exception) -> None:
        """A strategy raised at run time: it is switched off for this row, what had been intended before it
        is done, and stops, square-off and flatten of the row go on."""
        self._do(self._taken_before(row, error))

    def _taken_before(self, row: int, error: Exception) -> npt.NDArray[Any]:
        """What the failing call intended before it failed; says the failure."""
        intents = self.deck.taken(self.deck.left())
        self.exits_only(row)
        r = self.table[row]
        self.critical(
            f"{r.instrument.symbol}: strategy {r.strategy} failed ({type(error).__name__}: {error}) and is "
            "switched off for this instrument; its stops and exits go on"
        )
        return intents

    def exits_only(self, row: int) -> None:
        """No strategy and no entries for this row, today and on later days; its stops and exits go on."""
        self._exits_only.add(row)
        self._switch_off(row)

    def _switch_off(self, row: int) -> None:
        self.params[row]["sid"] = self.params[row]["enabled"] = 0
        self.deck.changed()

    def _listener_failed(self, listener: PriceListener, error: Exception) -> None:
        """A market that cannot take prices must not be traded on; exits are tried all the same."""
        text = f"{getattr(listener, '__qualname__', type(listener).__name__)} failed: {error}"
        if text not in self._failures:
            self._failures.add(text)
            self.critical(text)

    def _enter(self, i: _Intent) -> None:
        if not self.approvals.take(i):
            self.say_signal(i)
            self.send_entry(i)

    def say_signal(self, i: _Intent, **asked: Any) -> None:
        """``asked``: that a person is asked about it, ``ref`` and ``seconds``."""
        row = self.table[i.row]
        self.counters.signals += 1
        self.emit(Event(EventKind.SIGNAL, i.ts, row.instrument.symbol, data={
            "strategy": row.strategy, "rung": i.rung + 1, "side": Side(i.side).name, "quantity": i.qty,
            "price_paise": i.price, "stop_paise": i.stop, "target_paise": i.target, **asked,
        }))  # fmt: skip

    def send_entry(self, i: _Intent) -> Refused | None:
        """Through the gate to the broker, now; a no is said and goes back to the kernel."""
        refused = self.manager.enter(i)
        if refused is not None:
            self.refuse(i, refused.code, refused.reason)
        return refused

    def tell_rejected(self, i: _Intent) -> None:
        """No order was made of it: the kernel's rung is free again."""
        self._kernel(abi.REJECT, i.row, ts=self.clock.now_ns(), rung=i.rung, leg=abi.ENTRY, cycle=i.cycle)

    def _exit(self, i: _Intent) -> None:
        reason = REASONS[i.code]
        if not self.approvals.leave(i, str(reason).replace("_", " ")):
            self.manager.exit(i.row, i.rung, i.cycle, reason)

    def _stop(self, i: _Intent) -> None:
        self.manager.set_stop(i.row, i.rung, i.cycle, i.stop, i.target)

    def _evaluated(self, i: _Intent) -> None:
        row = self.table[i.row]
        strategy, record = self.strategies[row.strategy], self.state[i.row]
        values = {name: float(record[name]) for name in self._scalars(row.strategy)}
        met = {} if strategy.conditions is None else {"conditions": strategy.conditions.judge(record, row.params)}
        self.emit(Event(EventKind.EVALUATION, i.ts, row.instrument.symbol, severity=Severity.DEBUG, data={
            "strategy": row.strategy, "buy": bool(i.code & 1), "sell": bool(i.code & 2), "ltp_paise": i.price,
            "close": float(record["close"]), "bars": int(record["bars"]), "values": values, **met,
        }))  # fmt: skip

    def _scalars(self, strategy: str) -> list[str]:
        """What a strategy keeps that is one number."""
        if (found := self._told.get(strategy)) is None:
            fields, kept = self.state.dtype, self.strategies[strategy].source.state
            found = self._told[strategy] = [name for name in kept if fields[name].ndim == 0]
        return found

    def _limited(self, i: _Intent) -> None:
        code, words = self.limit_words(i.code, i.price)
        self.refuse(i, code, words, told=self._told_lately(i, words))

    def _told_lately(self, i: _Intent, words: str) -> bool:
        what = (i.row, i.rung, words)
        before = self._refused.get(what, i.ts - _TOLD_AGAIN)
        if i.ts - before < _TOLD_AGAIN:
            return True
        self._refused[what] = i.ts
        return False

    def limit_words(self, limit: int, price: Paise) -> tuple[str, str]:
        """(code, words) of a limit; ``price``: the capital of a position where that is too little."""
        code, words = LIMIT_WORDS[limit]
        if limit == abi.L_BLOCKED:
            words = f"{words}: {', '.join(sorted(b.value for b in self.blocks))}"
        if limit == abi.L_UNAFFORDABLE:
            words = f"{words} ({rupees_text(price)})"
        return code, words

    def refuse(
        self, i: _Intent, code: str, reason: str, *, by: str = "", ref: str = "", again: bool = False,
        told: bool = False,
    ) -> None:  # fmt: skip
        """No entry of what was wanted. ``by``: who said no; ``ref``: to which question; ``again``: to a signal that has
        not gone away since; ``told``: the same was told a while ago."""
        row = self.table[i.row]
        self.counters.refusals += not again
        known = again or told or code == "disabled"  # whoever stopped a strategy is not told what it would do
        self.emit(Event(
            EventKind.REFUSAL, i.ts, row.instrument.symbol, severity=Severity.DEBUG if known else Severity.INFO, data={
                "code": code, "reason": reason, "strategy": row.strategy, "rung": i.rung + 1,
                "side": Side(i.side or 1).name, **({"by": by} if by else {}), **({"ref": ref} if ref else {}),
                **({"again": True} if again else {}),
            },
        ))  # fmt: skip

    def _halted(self, i: _Intent) -> None:
        a = self.account[0]
        net = self.ended_at = int(a["realised"] + a["unrealised"] - a["charges"])
        what = "everything is being closed" if a["loss_flatten"] else "no more entries today; stops stay"
        self.alert(f"daily loss limit reached: {rupees_text(net)} after charges; {what}", data={"ended_paise": net})

    def _stray(self, i: _Intent) -> None:
        self.critical(f"{self.table[i.row].instrument.symbol}: a fill came for a rung that had ended")

    _INTENTS: Mapping[int, Callable[[LiveTradingEngine, _Intent], None]] = {
        abi.ENTER: _enter,
        abi.EXIT: _exit,
        abi.STOP: _stop,
        abi.EVALUATED: _evaluated,
        abi.LIMITED: _limited,
        abi.HALTED: _halted,
        abi.STRAY: _stray,
    }

    # --- what ended ------------------------------------------------------------------------------------

    def _finished(self, life: RungLife) -> None:
        """A rung's last order is final: book the trade."""
        if life.entered and life.exited > life.before.exited + life.booked.exited:
            self.book_trade(life)

    def book_trade(self, life: RungLife) -> None:
        """A rung has ended."""
        self._booked(rung_trade(self, life))
        bill_parts(self, life)

    def book_part(self, life: RungLife, order: Order) -> None:
        """A part of a rung has gone out by command."""
        self._booked(part_trade(self, life, order), part=True)
        bill_parts(self, life)

    def _booked(self, trade: Trade, *, part: bool = False) -> None:
        if (told := self.known_reasons.get(trade.trade_id)) in set(ExitReason):
            trade = replace(trade, reason=ExitReason(told))  # the books alone do not tell why
        self.trade_log.append(trade)
        if trade.trade_id not in self.known_trades:
            self.emit(trade_event(trade, part=part))

    # --- commands ----------------------------------------------------------------------------------------

    def block(self, why: Block) -> bool:
        """Stop entries for a reason. False if they were already stopped for it."""
        return self._set_block(why, True)

    def release(self, why: Block) -> bool:
        """Take one reason back; entries flow when none is left."""
        return self._set_block(why, False)

    def _set_block(self, why: Block, on: bool, by: str = "", error: str = "") -> bool:
        if (why in self.blocks) is on:
            return False
        (self.blocks.add if on else self.blocks.discard)(why)
        self._apply_blocks()
        data = {"on": on, "reason": why.value, "by": by} | ({"error": error} if error else {})
        self.emit(Event(EventKind.BLOCK, self.clock.now_ns(), data=data))
        return True

    def token_lost(self, why: str) -> None:
        """The broker wants a new login: entries stop, said once a loss. Exits go on being tried."""
        if self._set_block(Block.TOKEN, True, error=why):
            self.alert(
                f"{self.broker.name} wants a new login ({why}): entries stopped until /login. Stops that rest at the "
                "exchange hold; no order can be sent, changed or cancelled meanwhile",
                data={"login": [self.broker.name]},
            )

    def token_back(self) -> bool:
        """A token that works is there again: what was refused for want of it is sent at once. False if none was
        missed."""
        back = self._set_block(Block.TOKEN, False)
        self.post(self.manager.try_now)
        return back

    def _troubled(self, kind: Trouble, why: str) -> None:
        """A write was refused for something that is wrong with all writes."""
        if kind is Trouble.TOKEN:
            self.token_lost(why)
        elif kind is Trouble.ADDRESS and (self.address_fault != why or Block.ERROR not in self.blocks):
            self.address_fault = why
            self.critical(
                f"{self.broker.name} takes no orders from this internet address ({why}): register this machine's "
                "static address with the broker, or route through the registered one; exits go on being tried"
            )

    def restore(self, blocks: Iterable[Block]) -> None:
        """Blocks of an earlier process hold again. No news: whoever restores them says so."""
        self.blocks.update(blocks)
        self._apply_blocks()

    def _apply_blocks(self) -> None:
        mask = sum(1 << i for i, why in enumerate(Block) if why in self.blocks)
        self.post(lambda: self._kernel(abi.PHASE, 0, code=abi.PHASE_BLOCK, value=mask))
        if mask:
            why = ", ".join(sorted(b.value for b in self.blocks))
            self.post(lambda: self.approvals.stop(why))

    def pause(self, by: str) -> bool:
        """Stop entries. Exits and stops are not touched."""
        return self._set_block(Block.PAUSED, True, by)

    def resume(self, by: str) -> bool:
        """Allow entries again; also after a critical error, which a human has seen by then."""
        after_error = self._set_block(Block.ERROR, False, by)
        return self._set_block(Block.PAUSED, False, by) or after_error

    def exit_row(self, row: int, rung: int = -1, reason: int = abi.R_FLATTEN) -> None:
        """Demand the exit of a row's rungs (-1: all)."""
        now = self.clock.now_ns()
        self.post(
            lambda: self._kernel(abi.PHASE, row, ts=now, code=abi.PHASE_EXIT, value=reason, rung=rung)
        )

    async def flatten(self, by: str) -> str:
        """Close everything of ours; see ``trading.flatten``."""
        return await self.flattener.run(by)

    def force_wish(self, symbol: str) -> Wish:
        return hands.force_wish(self, symbol)

    def force(self, symbol: str, by: str) -> str:
        """An exit beside one in doubt; see ``trading.hands``."""
        return hands.force(self, symbol, by)

    def close_wish(self, symbol: str, rung: int = 0, amount: Amount = "all") -> Wish:
        return closing.close_wish(self, symbol, rung, amount)

    def close(self, symbol: str, rung: int, amount: Amount, by: str) -> str:
        """A rung, or a part of it, goes out by command; see ``trading.closing``."""
        return closing.close(self, symbol, rung, amount, by)

    def level_wish(self, symbol: str, rung: int, which: levels.Which, value: LevelValue) -> Wish:
        return levels.level_wish(self, symbol, rung, which, value)

    def set_level(self, symbol: str, rung: int, which: levels.Which, value: LevelValue, by: str) -> str:
        """A stop or target put by hand; see ``trading.levels``."""
        return levels.set_level(self, symbol, rung, which, value, by)

    def extend_square_off(self, symbols: Sequence[str], minutes: int, by: str) -> str:
        """Later today, within the broker's own square-off; see ``trading.later``."""
        return later.extend_square_off(self, symbols, minutes, by)

    def claim_wish(self, symbol: str) -> Wish:
        return hands.claim_wish(self, symbol)

    async def claim(self, symbol: str, by: str) -> str:
        """A position that is not ours becomes a rung with a stop; see ``trading.hands``."""
        async with self._books:
            return await hands.claim(self, symbol, by)

    async def recover(self, **given: Any) -> None:
        """Rebuild from the broker's books; see ``trading.recover``."""
        async with self._books:
            await Recovery(self).run(**given)
        self.flattener.after_recovery()

    async def reconcile(self, *, over: bool = False) -> list[str]:
        """Compare with the broker's books; the differences, in words. May be called at any time and by several at
        once: who asks while one is under way gets the next one, and all who wait share it. Nothing is compared
        before what is ours is known. ``over``: the market is, so a difference seen twice is no lag of the broker's.

        Raises BrokerException."""
        asked = self._begun
        async with self._books:
            if self._compared > asked:
                return self._differences
            if self.blind:
                return []
            self._begun += 1
            try:
                self.available = (await self.broker.get_funds()).available
                found = await compare(self, over=over)
            except TokenException as error:
                self.token_lost(str(error))
                raise
            self._compared, self._differences = self._begun, found
            return found

    @property
    def in_doubt(self) -> bool:
        """Nobody knows how some write of ours ended."""
        lives = self.manager.lives.values()
        return any(o.unknown for o in self.manager.orders) or any(life.gtt and life.gtt.unknown for life in lives)

    # --- views -------------------------------------------------------------------------------------------

    def status(self) -> StatusView:
        return self.view.status()

    def marks(self) -> tuple[str, str, str, str]:
        """Of the status what stands in every message: mode, feed, note, why the books are not known."""
        return self.config.trading.mode, self.feed, self.note, self.unread

    def positions(self) -> list[Position]:
        return self.view.positions()

    def trades(self) -> list[Trade]:
        return list(self.trade_log)

    def orders(self) -> list[OrderView]:
        return self.view.orders()

    def rows(self) -> list[RowView]:
        return self.view.rows()

    def evaluations(self, symbol: str) -> list[Evaluation]:
        return list(self.book.looks.get(symbol, ()))

    def refusals(self, symbol: str) -> list[tuple[int, str]]:
        return list(self.book.refusals.get(symbol, ()))

    def signals(self) -> list[SignalView]:
        return self.book.views(self.approvals.seconds)

    def approve(self, ref: str, by: str) -> str:
        return self._answered(lambda: self.approvals.approve(ref, by))

    def skip(self, ref: str, by: str) -> str:
        return self._answered(lambda: self.approvals.skip(ref, by))

    def _answered(self, call: Callable[[], str]) -> str:
        """A person's answer, in its place among the inputs. Raises CommandException."""
        said: list[str] = []
        faults: list[CommandException] = []

        def answer() -> None:
            try:
                said.append(call())
            except CommandException as fault:
                faults.append(fault)

        if self.retired:
            raise CommandException(t("Nothing was done: this question is over, the day has been opened again."))
        if self._busy:
            raise CommandException(t("Nothing was done: a price is being handled at this very moment. Ask once more."))
        self.post(answer)
        if faults:
            raise faults[0]
        return said[0]

    def remember(self, events: Iterable[Event]) -> None:
        """What the day's journal has of looks and signals, before anything new is said of them."""
        kept = [event for event in events if event.kind in KINDS]
        self.book.take_all(kept)
        self.approvals.remember(kept)


class _Intent(NamedTuple):
    """An INTENT record as plain integers, in the dtype's order."""

    kind: int
    row: int
    rung: int
    cycle: int
    side: int
    qty: int
    price: Paise
    stop: Paise
    target: Paise
    code: int
    ts: int


def trade_event(trade: Trade, *, part: bool = False) -> Event:
    """A closed rung as a journal line. ``part``: the rest of it is still open."""
    quantity = trade.quantity
    return Event(EventKind.TRADE, trade.exit_ns, trade.symbol, data={
        "trade_id": trade.trade_id, "strategy": trade.strategy, "side": trade.side.name, "rung": trade.rung,
        "quantity": quantity, "entry_time": iso(trade.entry_ns), "entry_price": average(trade.entry_value, quantity),
        "exit_time": iso(trade.exit_ns), "exit_price": average(trade.exit_value, quantity),
        "exit_reason": str(trade.reason), "gross_paise": trade.gross, "charges_paise": trade.charges,
        "net_paise": trade.net, **({"part": True} if part else {}),
    })  # fmt: skip


def average(value: Paise, quantity: int) -> float:
    """Average price in rupees, to a hundredth of a paisa."""
    return round(rupees(value) / quantity, 4) if quantity else 0.0
