"""What the engine shows of itself: plain frozen values, safe to keep and to print."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from otrade_bot.core.model import ExitReason, Leg, OrderStatus, OrderType, Side
from otrade_bot.core.money import Paise

__all__ = [
    "Amount", "Evaluation", "LevelValue", "OrderView", "Position", "RowView", "SignalView", "StatusView", "Trade",
    "TradingView", "Wish",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Position:
    """One open rung. Prices in paise; ``average`` is exact as ``value / quantity``."""

    symbol: str
    strategy: str
    rung: int  #: 1, 2 or 3
    side: Side
    quantity: int
    value: Paise  #: what the open quantity was bought (sold short) for
    ltp: Paise
    stop: Paise  #: where the protective stop should rest, 0 = none yet
    stop_resting: bool  #: the broker has confirmed a reducing order for the whole quantity
    target: Paise  #: 0 = none
    entry_ns: int
    exiting: ExitReason | None = None
    external: bool = False  #: found at the broker, not ours
    unprotected: str = ""  #: why nothing at the broker would take it out at its stop now; '' where something would
    watched: str = ""  #: what of its levels rests nowhere and is watched here
    hand_stop: bool = False  #: a human has put the stop there
    hand_target: bool = False  #: and the target, or taken it away
    parting: int = 0  #: of the quantity, what is on its way out as a part

    @property
    def average(self) -> float:
        """Average entry price in paise."""
        return self.value / self.quantity if self.quantity else 0.0

    @property
    def unrealised(self) -> Paise:
        return int(self.side) * (self.quantity * self.ltp - self.value)


@dataclass(frozen=True, slots=True)
class Trade:
    """A closed rung: the booked round trip."""

    trade_id: str
    symbol: str
    strategy: str
    side: Side
    rung: int
    quantity: int
    entry_ns: int
    entry_value: Paise
    exit_ns: int
    exit_value: Paise
    reason: ExitReason
    gross: Paise
    charges: Paise

    @property
    def net(self) -> Paise:
        return self.gross - self.charges


@dataclass(frozen=True, slots=True)
class OrderView:
    tag: str
    order_id: str
    symbol: str
    strategy: str
    rung: int
    leg: Leg
    side: Side
    quantity: int
    filled: int
    order_type: OrderType
    price: Paise
    trigger: Paise
    status: OrderStatus
    placed_ns: int
    unknown: str  #: why nobody knows how the last write ended; empty = known
    reason: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One recorded look of a strategy at a symbol. ``values`` are its STATE numbers at that moment, ``conditions`` what
    it must see to buy, in words, and whether it saw it."""

    ts_ns: int
    symbol: str
    strategy: str
    buy: bool
    sell: bool
    values: tuple[tuple[str, float], ...]
    conditions: tuple[tuple[str, bool], ...] = ()
    ltp: Paise = 0
    close: float = 0.0  #: of the last closed bar, rupees
    bars: int = 0


@dataclass(frozen=True, slots=True)
class SignalView:
    """One entry that a strategy asked for today, and what became of it."""

    ts_ns: int
    symbol: str
    strategy: str
    rung: int  #: 1, 2 or 3
    side: Side
    quantity: int
    price: Paise  #: at the signal
    stop: Paise
    target: Paise  #: 0 = none
    #: new, waiting (for a person), lost (while it waited), approved, refused, sent, rejected, cancelled, bought, closed
    state: str = "new"
    reason: str = ""  #: of a refusal, rejection or exit
    ref: str = ""  #: by which it is approved or skipped; '' where nobody was asked
    seconds: float = 0.0  #: how long an answer still counts
    by: str = ""  #: who approved it
    filled: int = 0
    value: Paise = 0  #: what the filled quantity cost
    net: Paise = 0  #: of the closed trade, after charges


@dataclass(frozen=True, slots=True)
class RowView:
    """One instrument as it stands."""

    symbol: str
    strategy: str  #: empty = only watched
    ltp: Paise
    change: float  #: percent since the day's first price
    ts_ns: int
    volume: int
    bars: int
    warm: int  #: closed bars needed before the first entry
    ticks: int


@dataclass(frozen=True, slots=True)
class StatusView:
    """The state of the whole engine. P&L in paise, ``net`` = realised + unrealised - charges."""

    mode: str
    broker: str
    feed: str
    now_ns: int
    phase: str
    paused: bool
    blocks: tuple[str, ...]  #: every reason why entries are blocked now, in words
    realised: Paise
    unrealised: Paise
    charges: Paise
    open_rungs: int
    max_rungs: int
    capital_used: Paise
    total_capital: Paise
    trades: int
    signals: int
    orders: int
    ticks: int
    dropped: dict[str, int] = field(default_factory=dict)
    feed_age_ns: int = 0
    loss_limit: Paise = 0
    halted: bool = False
    note: str = ""  #: e.g. that this is a rehearsal
    held: int = 0  #: rungs with a quantity; ``open_rungs`` counts those that are being bought too
    external: int = 0  #: positions at the broker that are not ours
    window: str = ""  #: where the clock lets no instrument enter now: "wait for 09:15", "are over for the day"
    flatten: str = ""  #: a flatten that is queued or under way, in words
    unread: str = ""  #: why the broker's books are not known, so that no position can be told; '' = they are
    gtts: tuple[str, ...] = ()  #: symbols of GTTs of ours that rest at the broker, or may
    ask_seconds: int = 0  #: how long an entry waits for a person; 0: nobody is asked
    unanswered: str = ""  #: what becomes of it then: skip or enter
    waiting: int = 0  #: entries that wait now
    entries: int = 0  #: that the day's limit has counted

    @property
    def net(self) -> Paise:
        return self.realised + self.unrealised - self.charges


#: How much of a rung: a quantity, half of it, all of it.
Amount = int | Literal["half", "all"]
#: Where a level goes: paise, the strategy's own again, or (a target) nowhere.
LevelValue = Paise | Literal["auto", "off"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a command about one symbol would do, for the question that is asked before it."""

    symbol: str
    text: str
    shown: Hashable  #: what a yes agrees to
    asks: bool = True  #: False: it can be done without a question


class TradingView(Protocol):
    """What commands may see and do. ``LiveTradingEngine`` is one."""

    def status(self) -> StatusView: ...
    def positions(self) -> list[Position]: ...
    def trades(self) -> list[Trade]: ...
    def orders(self) -> list[OrderView]: ...
    def rows(self) -> list[RowView]: ...
    def evaluations(self, symbol: str) -> list[Evaluation]:
        """Newest last; empty for a symbol that was never evaluated."""
        ...

    def refusals(self, symbol: str) -> list[tuple[int, str]]:
        """(ts_ns, reason) of recent refused signals of a symbol, newest last."""
        ...

    def signals(self) -> list[SignalView]:
        """Of the day, newest last."""
        ...

    def approve(self, ref: str, by: str) -> str:
        """Enter what waits under that name, judged again now; says what was sent or why not. Raises CommandException
        where nothing of that name waits any more."""
        ...

    def skip(self, ref: str, by: str) -> str:
        """Do not enter it. Raises CommandException as above."""
        ...

    def pause(self, by: str) -> bool:
        """Stop entries. False if they were paused already."""
        ...

    def resume(self, by: str) -> bool:
        """Allow entries again. False if they were not paused. Other blocks stay as they are."""
        ...

    def force_wish(self, symbol: str) -> Wish:
        """An exit beside one in doubt. Raises CommandException where nothing is in doubt."""
        ...

    def force(self, symbol: str, by: str) -> str:
        """Send it; says what was sent. Raises CommandException."""
        ...

    def claim_wish(self, symbol: str) -> Wish:
        """A position that is not ours taken as a rung. Raises CommandException where that cannot be."""
        ...

    async def claim(self, symbol: str, by: str) -> str:
        """Take it; says where its stop is. Raises CommandException, BrokerException."""
        ...

    def close_wish(self, symbol: str, rung: int = 0, amount: Amount = "all") -> Wish:
        """A rung (0: all of the symbol's), or a part, closed. Raises CommandException where that cannot be."""
        ...

    def close(self, symbol: str, rung: int, amount: Amount, by: str) -> str:
        """Begin it; says what is on its way out. Raises CommandException."""
        ...

    def level_wish(self, symbol: str, rung: int, which: Literal["stop", "target"], value: LevelValue) -> Wish:
        """A stop or target put by hand (rung 0: the only one open). Raises CommandException where that cannot be."""
        ...

    def set_level(self, symbol: str, rung: int, which: Literal["stop", "target"], value: LevelValue, by: str) -> str:
        """Put it; says where it is now. Raises CommandException."""
        ...

    def extend_square_off(self, symbols: Sequence[str], minutes: int, by: str) -> str:
        """Leave later today, as far as the broker allows; says when. Raises CommandException."""
        ...

    async def flatten(self, by: str) -> str:
        """Close everything; returns only when the broker's book says flat, or says what is not and why."""
        ...
