"""A paper broker on a clock that stands still, and short words to drive it."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from otrade_bot.brokers.paper import PaperBroker, PaperSettings
from otrade_bot.core.clock import SECOND, ManualClock, at_ist
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.model import (
    Accepted,
    BrokerOrder,
    GttLeg,
    GttRequest,
    Instrument,
    InstrumentKind,
    OrderRequest,
    OrderType,
    Outcome,
    Product,
    Side,
)

DAY = date(2026, 11, 20)
OPEN = at_ist(DAY, 9, 15)
SHARE = Instrument("NSE:RELIANCE", 1)
OTHER = Instrument("NSE:INFY", 2)
FUTURE = Instrument("NFO:NIFTY26NOVFUT", 3, InstrumentKind.FUTURE, lot=65, freeze=1800)
OPTION = Instrument("NFO:NIFTY26NOV24000CE", 4, InstrumentKind.OPTION, lot=65)
INDEX = Instrument("NSE:NIFTY 50", 5, InstrumentKind.INDEX)
KNOWN = {i.symbol: i for i in (SHARE, OTHER, FUTURE, OPTION, INDEX)}


def look_up(symbol: str) -> Instrument:
    if symbol not in KNOWN:
        raise ConfigException("not an instrument", key="instruments", value=symbol)
    return KNOWN[symbol]


class Room:
    """``closed`` is the reason that the market gives; '' while it is open."""

    def __init__(self, path: Path, charge: Any = None, start: bool = True, **settings: Any) -> None:
        self.path, self.charge, self.settings = path, charge, PaperSettings(**settings)
        self.clock = ManualClock(OPEN)
        self.closed = ""
        self.seen: list[BrokerOrder] = []
        self.open()
        if start:
            self.broker.start_day(DAY)

    def open(self) -> None:
        self.broker = PaperBroker(
            self.path, self.clock, look_up, lambda *_: self.closed, self.settings, self.charge
        )
        self.broker.report = self.seen.append

    def restart(self) -> None:
        self.broker.close()
        self.open()

    def run(self, write: Coroutine[Any, Any, Any]) -> Any:
        """Any call of the broker's, which never suspends."""
        try:
            write.send(None)
        except StopIteration as end:
            return end.value
        raise AssertionError("suspended")

    def tick(self, price: int, volume: int = 0, seconds: int = 1, of: Instrument = SHARE) -> None:
        self.clock.advance_to(self.clock.now_ns() + seconds * SECOND)
        self.broker.on_price(of.symbol, self.clock.now_ns(), price, volume)

    def place(self, order_type: OrderType = OrderType.MARKET, side: Side = Side.BUY, **fields: Any) -> Outcome:
        request = OrderRequest("t1", SHARE, side, 10, Product.MIS, order_type)
        return self.run(self.broker.place(replace(request, **fields)))  # type: ignore[no-any-return]

    def placed(self, order_type: OrderType = OrderType.MARKET, side: Side = Side.BUY, **fields: Any) -> str:
        outcome = self.place(order_type, side, **fields)
        assert isinstance(outcome, Accepted), outcome
        return outcome.order_id

    def modify(self, order_id: str, **changes: Any) -> Outcome:
        return self.run(self.broker.modify(order_id, **changes))  # type: ignore[no-any-return]

    def cancel(self, order_id: str) -> Outcome:
        return self.run(self.broker.cancel(order_id))  # type: ignore[no-any-return]

    def row(self, order_id: str) -> BrokerOrder:
        return next(o for o in self.run(self.broker.get_orderbook()) if o.order_id == order_id)

    def prices(self) -> list[tuple[int, int]]:
        """Quantity and price of every fill."""
        return [(f.quantity, f.price) for f in self.run(self.broker.get_trades())]

    def net(self, of: Instrument = SHARE, product: Product = Product.MIS) -> int:
        rows = self.run(self.broker.get_positions())
        return sum(p.quantity for p in rows if (p.symbol, p.product) == (of.symbol, product))

    def gtt(self, *legs: tuple[int, int], side: Side = Side.SELL, last: int = 100_000, **more: Any) -> Outcome:
        made = tuple(GttLeg(trigger, price) for trigger, price in legs)
        request = replace(GttRequest(SHARE, side, 10, Product.CNC, made, last), **more)
        return self.run(self.broker.place_gtt(request))  # type: ignore[no-any-return]
