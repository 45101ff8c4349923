"""Today's engine as one view that outlives the day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

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
    TradingView,
    Wish,
)

__all__ = ["CurrentView"]


class CurrentView:
    """A ``TradingView`` that asks whichever engine is open."""

    def __init__(self, view: Callable[[], TradingView]) -> None:
        self._view = view

    def status(self) -> StatusView:
        return self._view().status()

    def positions(self) -> list[Position]:
        return self._view().positions()

    def trades(self) -> list[Trade]:
        return self._view().trades()

    def orders(self) -> list[OrderView]:
        return self._view().orders()

    def rows(self) -> list[RowView]:
        return self._view().rows()

    def evaluations(self, symbol: str) -> list[Evaluation]:
        return self._view().evaluations(symbol)

    def refusals(self, symbol: str) -> list[tuple[int, str]]:
        return self._view().refusals(symbol)

    def signals(self) -> list[SignalView]:
        return self._view().signals()

    def approve(self, ref: str, by: str) -> str:
        return self._view().approve(ref, by)

    def skip(self, ref: str, by: str) -> str:
        return self._view().skip(ref, by)

    def pause(self, by: str) -> bool:
        return self._view().pause(by)

    def resume(self, by: str) -> bool:
        return self._view().resume(by)

    def force_wish(self, symbol: str) -> Wish:
        return self._view().force_wish(symbol)

    def force(self, symbol: str, by: str) -> str:
        return self._view().force(symbol, by)

    def close_wish(self, symbol: str, rung: int = 0, amount: Amount = "all") -> Wish:
        return self._view().close_wish(symbol, rung, amount)

    def close(self, symbol: str, rung: int, amount: Amount, by: str) -> str:
        return self._view().close(symbol, rung, amount, by)

    def level_wish(self, symbol: str, rung: int, which: Literal["stop", "target"], value: LevelValue) -> Wish:
        return self._view().level_wish(symbol, rung, which, value)

    def set_level(self, symbol: str, rung: int, which: Literal["stop", "target"], value: LevelValue, by: str) -> str:
        return self._view().set_level(symbol, rung, which, value, by)

    def extend_square_off(self, symbols: Sequence[str], minutes: int, by: str) -> str:
        return self._view().extend_square_off(symbols, minutes, by)

    def claim_wish(self, symbol: str) -> Wish:
        return self._view().claim_wish(symbol)

    async def claim(self, symbol: str, by: str) -> str:
        return await self._view().claim(symbol, by)

    async def flatten(self, by: str) -> str:
        return await self._view().flatten(by)
