"""The work of ``bench_peers`` by nautilus_trader: an engine, a venue, a share, and a strategy as its users write it."""

from __future__ import annotations

import time
from typing import Any

__all__ = ["nautilus_run"]


def nautilus_run(prices: Any, times: Any, fast: int, slow: int, skip: int) -> tuple[float, list[tuple[int, int]]]:
    """Seconds of the run alone, and each closed trade's two prices in paise."""
    from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
    from nautilus_trader.config import LoggingConfig, RiskEngineConfig
    from nautilus_trader.model.currencies import INR
    from nautilus_trader.model.enums import AccountType, OmsType
    from nautilus_trader.model.identifiers import Venue
    from nautilus_trader.model.objects import Money

    settings = BacktestEngineConfig(
        logging=LoggingConfig(bypass_logging=True), risk_engine=RiskEngineConfig(bypass=True)
    )
    engine = BacktestEngine(config=settings)
    try:
        engine.add_venue(
            Venue("NSE"), OmsType.NETTING, AccountType.MARGIN, [Money(10_000_000, INR)], base_currency=INR,
            trade_execution=True,
        )  # fmt: skip
        share = _share()
        engine.add_instrument(share)
        engine.add_data(_ticks(share.id, prices, times))
        engine.add_strategy(_strategy(share.id, fast, slow, skip))
        began = time.perf_counter()
        engine.run()
        took = time.perf_counter() - began
        filled = [round(float(order.avg_px) * 100) for order in engine.cache.orders() if order.is_closed]
    finally:
        engine.dispose()
    return took, list(zip(filled[::2], filled[1::2], strict=False))


def _share() -> Any:
    from nautilus_trader.model.currencies import INR
    from nautilus_trader.model.identifiers import InstrumentId, Symbol
    from nautilus_trader.model.instruments import Equity
    from nautilus_trader.model.objects import Price, Quantity

    return Equity(
        instrument_id=InstrumentId.from_str("BENCH.NSE"), raw_symbol=Symbol("BENCH"), currency=INR, price_precision=2,
        price_increment=Price.from_str("0.05"), lot_size=Quantity.from_int(1), ts_event=0, ts_init=0,
    )  # fmt: skip


def _ticks(share: Any, prices: Any, times: Any) -> list[Any]:
    from nautilus_trader.model.data import TradeTick
    from nautilus_trader.model.enums import AggressorSide
    from nautilus_trader.model.identifiers import TradeId
    from nautilus_trader.model.objects import Price, Quantity

    size, nobody = Quantity.from_int(10_000), AggressorSide.NO_AGGRESSOR
    return [
        TradeTick(share, Price(price / 100, 2), size, nobody, TradeId(str(i)), ts, ts)
        for i, (price, ts) in enumerate(zip(prices.tolist(), times.tolist(), strict=True))
    ]


def _strategy(share: Any, fast: int, slow: int, skip: int) -> Any:
    from nautilus_trader.indicators import ExponentialMovingAverage
    from nautilus_trader.model.enums import OrderSide
    from nautilus_trader.trading.strategy import Strategy

    class Cross(Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.fast, self.slow = ExponentialMovingAverage(fast), ExponentialMovingAverage(slow)
            self.seen, self.held = 0, False

        def on_start(self) -> None:
            self.one = self.cache.instrument(share).make_qty(1)
            self.subscribe_trade_ticks(share)

        def on_trade_tick(self, tick: Any) -> None:
            before = self.fast.value, self.slow.value
            price = tick.price.as_double()
            self.fast.update_raw(price)
            self.slow.update_raw(price)
            self.seen += 1
            if self.seen <= skip:
                return
            now = self.fast.value, self.slow.value
            if before[0] <= before[1] and now[0] > now[1] and not self.held:
                self._send(OrderSide.BUY)
            elif before[0] >= before[1] and now[0] < now[1] and self.held:
                self._send(OrderSide.SELL)

        def _send(self, side: Any) -> None:
            self.held = not self.held
            self.submit_order(self.order_factory.market(share, side, self.one))

    return Cross()
