"""An engine made of plain values, for the tests of what people see and say."""



from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date

from otrade_bot.control.auth import Role
from otrade_bot.control.commands import Context, Heard
from otrade_bot.control.confirm import Confirmations
from otrade_bot.control.handlers import COMMANDS
from otrade_bot.core.clock import MINUTE, at_ist
from otrade_bot.core.errors import BrokerException, CommandException
from otrade_bot.core.model import ExitReason, Leg, OrderStatus, OrderType, Side
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

NOON = at_ist(date(2021, 6, 1), 12)
HOSTILE = (
    "NSE:M&M",
    "NSE:<b>X</b>",
    "NSE:A*_[B](c)",
    "NSE:" + "LONG" * 12,
    "BSE:&amp;",
    "NFO:NIFTY21JUN15500CE",
)


def names(number: int) -> list[str]:
    """Hostile ones first, then ordinary ones."""
    return [*HOSTILE, *(f"NSE:SYM{index:02d}" for index in range(number))][:number]


def position(symbol: str = "NSE:RELIANCE", rung: int = 1, **changes: object) -> Position:
    base = Position(
        symbol, "momentum_ladder", rung, Side.BUY, 12, 12 * 214_000, 215_505, 208_650, True,
        224_700 if rung == 1 else 0, NOON - 60 * MINUTE,
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def order(symbol: str, index: int) -> OrderView:
    status = list(OrderStatus)[index % len(OrderStatus)]
    kind = list(OrderType)[index % len(OrderType)]
    return OrderView(
        f"OB1MLP1{index:05d}", f"2106010{index}", symbol, "momentum_ladder", index % 3 + 1,
        Leg.ENTRY if index % 2 else Leg.EXIT, Side.BUY if index % 2 else Side.SELL, 12, index % 13, kind, 214_000,
        208_650, status, NOON - index * MINUTE, "no answer <timeout>" if index % 7 == 3 else "",
        "margin & more" if status is OrderStatus.REJECTED else "",
    )  # fmt: skip


def trade(symbol: str, index: int) -> Trade:
    return Trade(
        f"T{index}", symbol, "momentum_ladder", Side.BUY, index % 3 + 1, 12, NOON - 2 * index * MINUTE, 12 * 214_000,
        NOON - index * MINUTE, 12 * (214_000 + (-1) ** index * 1500), list(ExitReason)[index % len(ExitReason)],
        (-1) ** index * 18_000, 1_234,
    )  # fmt: skip


class FakeEngine:
    """A TradingView. Change its lists to change the world; ``calls`` tells what was done to it."""

    def __init__(self, rungs: int = 0) -> None:
        symbols = names((rungs + 2) // 3) or ["NSE:RELIANCE"]
        self.held = [position(symbols[at // 3], at % 3 + 1) for at in range(rungs)]
        self.booked = [trade(symbols[at % len(symbols)], at) for at in range(rungs)]
        self.sent = [order(symbols[at % len(symbols)], at) for at in range(rungs)]
        self.followed = [
            RowView(name, "momentum_ladder", 215_505, 0.84, NOON, 1000, 150 + at * 20, 200, 40)
            for at, name in enumerate(symbols)
        ]
        self.looks: list[Evaluation] = [
            Evaluation(
                NOON - MINUTE,
                symbols[0],
                "momentum_ladder",
                True,
                False,
                (("ema9", 2155.25), ("ema21", 2150.5)),
            )
        ]
        self.refused: list[tuple[int, str]] = [(NOON - MINUTE, "capital: ₹0 < ₹3,000 & none left")]
        self.state = StatusView(
            "paper", "paper", "simulated", NOON, "open", False, (), 123_450, -12_000, 4_510, rungs, 90,
            rungs * 300_000, 24_000_000, len(self.booked), 9, len(self.sent), 12_345, {"spike": 3, "repeated": 9},
            400_000_000, 500_000,
        )  # fmt: skip
        self.asked: list[SignalView] = []
        self.calls: list[str] = []
        self.doubts: dict[str, int] = {}  #: symbols that /force and /claim may touch, and how much of them
        self.broken = False

    def status(self) -> StatusView:
        return self.state

    def marks(self) -> tuple[str, str, str, str]:
        return self.state.mode, self.state.feed, self.state.note, self.state.unread

    def positions(self) -> list[Position]:
        if self.broken:
            raise ZeroDivisionError("secret detail")
        return list(self.held)

    def trades(self) -> list[Trade]:
        return list(self.booked)

    def orders(self) -> list[OrderView]:
        return list(self.sent)

    def rows(self) -> list[RowView]:
        return list(self.followed)

    def evaluations(self, symbol: str) -> list[Evaluation]:
        return [look for look in self.looks if look.symbol == symbol]

    def refusals(self, symbol: str) -> list[tuple[int, str]]:
        return self.refused if symbol == self.followed[0].symbol else []

    def signals(self) -> list[SignalView]:
        return list(self.asked)

    def approve(self, ref: str, by: str) -> str:
        self.calls.append(f"approve {ref} by {by}")
        return self._ended(ref, "approved", f"{self.asked[0].symbol} P1: BUY 12 is sent.")

    def skip(self, ref: str, by: str) -> str:
        self.calls.append(f"skip {ref} by {by}")
        return self._ended(ref, "refused", f"{self.asked[0].symbol} P1: skipped, nothing was sent.")

    def _ended(self, ref: str, state: str, said: str) -> str:
        if not any(one.ref == ref and one.state == "waiting" for one in self.asked):
            raise CommandException("Nothing was done: this question is over.")
        self.asked = [replace(one, state=state) if one.ref == ref else one for one in self.asked]
        return said

    def pause(self, by: str) -> bool:
        self.calls.append(f"pause by {by}")
        fresh = not self.state.paused
        self.state = replace(self.state, paused=True)
        return fresh

    def resume(self, by: str) -> bool:
        self.calls.append(f"resume by {by}")
        was = self.state.paused
        self.state = replace(self.state, paused=False)
        return was

    def force_wish(self, symbol: str) -> Wish:
        if symbol not in self.doubts:
            raise CommandException(f"No exit of {symbol} is in doubt.")
        return Wish(symbol, f"{symbol}: RISK of selling {self.doubts[symbol]} twice", self.doubts[symbol])

    def force(self, symbol: str, by: str) -> str:
        self.calls.append(f"force {symbol} by {by}")
        return f"{symbol} P1: an exit was sent"

    def close_wish(self, symbol: str, rung: int = 0, amount: Amount = "all") -> Wish:
        held = [one for one in self.held if one.symbol == symbol and rung in (0, one.rung)]
        if not held:
            raise CommandException(f"Nothing of {symbol} is open.")
        return Wish(symbol, f"{symbol} P{held[0].rung}: {amount} goes", (rung, amount, len(held)))

    def close(self, symbol: str, rung: int, amount: Amount, by: str) -> str:
        self.close_wish(symbol, rung, amount)
        self.calls.append(f"close {symbol} P{rung} {amount} by {by}")
        return f"{symbol} P{rung}: {amount} on their way out"

    def level_wish(self, symbol: str, rung: int, which: str, value: LevelValue) -> Wish:
        one = next(one for one in self.held if one.symbol == symbol and rung in (0, one.rung))
        looser = value == "off" or (which == "stop" and isinstance(value, int) and value < one.stop)
        return Wish(symbol, f"{symbol} P{one.rung}: {which} to {value}", (rung, which, value), asks=looser)

    def set_level(self, symbol: str, rung: int, which: str, value: LevelValue, by: str) -> str:
        self.calls.append(f"{which} {symbol} P{rung} {value} by {by}")
        return f"{symbol} P{rung}: {which} {value}"

    def extend_square_off(self, symbols: Sequence[str], minutes: int, by: str) -> str:
        self.calls.append(f"extend {', '.join(symbols)} {minutes} by {by}")
        return f"Square-off {minutes} minutes later."

    def claim_wish(self, symbol: str) -> Wish:
        return self.force_wish(symbol)

    async def claim(self, symbol: str, by: str) -> str:
        if self.broken:
            raise BrokerException("down")
        self.calls.append(f"claim {symbol} by {by}")
        return f"{symbol} P1: taken over"

    async def flatten(self, by: str) -> str:
        self.calls.append(f"flatten by {by}")
        self.held = []
        return "Flat: the broker's book shows nothing."


class Wall:
    """Seconds that stand still until told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def context(
    engine: FakeEngine,
    role: Role = Role.ADMIN,
    *,
    session: str = "terminal",
    confirmations: Confirmations | None = None,
    log: Callable[[int], Sequence[str]] = lambda newest: ["12:00:00 started", "12:00:01 <tag> & more"],
    errors: list[tuple[str, Exception]] | None = None,
    heard: list[Heard] | None = None,
) -> Context:
    return Context(
        view=engine,
        user="owner <o>",
        role=role,
        session=session,
        table=COMMANDS,
        confirmations=confirmations or Confirmations(Wall()),
        now_ns=lambda: NOON,
        version="0.1.0",
        config_text=lambda: '{"mode": "paper", "access_token": "abcdef123456"}',
        log_tail=log,
        log_error=lambda what, error: errors.append((what, error)) if errors is not None else None,
        audit=lambda one: heard.append(one) if heard is not None else None,
    )
