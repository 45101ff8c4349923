"""Positions of ours whose instrument has left the settings: they keep a row, for exits only.

Without one nobody would square them off, /flatten would skip them, and their stop would stand alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from otrade_bot.brokers.paper.book import Book
from otrade_bot.config.models import Config
from otrade_bot.core.model import Instrument, Product
from otrade_bot.strategies.loader import TradingStrategy, parse_params
from otrade_bot.trading.carry import Carried
from otrade_bot.trading.orders import Tags, strategy_code
from otrade_bot.trading.setup import timeframe_ns
from otrade_bot.trading.table import Row

__all__ = ["SHIPPED", "LeftOver", "exit_rows", "left_over"]

SHIPPED = ("ema_crossover", "momentum_ladder")


@dataclass(frozen=True, slots=True)
class LeftOver:
    """What was bought before the settings changed."""

    symbol: str
    strategy: str
    product: Product


def left_over(path: Path, day: date, config: Config, kept: Iterable[Carried]) -> list[LeftOver]:
    """Of ``day`` in the account at ``path``, and of what is ``kept`` from earlier days. A strategy that is
    neither configured nor shipped is not known any more: its positions stay external. Raises JournalException.
    """
    known = dict.fromkeys((*(s.name for s in config.trading.strategies), *SHIPPED))
    traded = {symbol for s in config.trading.strategies for symbol in s.instruments}
    codes, tags = {strategy_code(name): name for name in known}, Tags(config.brokers.instance)
    book, found = Book.read(path), {}
    for order in book.orders.values() if book.day == day else ():
        parts = tags.read(order.tag)
        unfinished = book.net(order.symbol, order.product) or not order.status.final
        if parts is not None and unfinished and order.symbol not in traded and parts.code in codes:
            found[order.symbol] = LeftOver(order.symbol, codes[parts.code], order.product)
    for rung in kept:
        if rung.symbol not in traded and rung.strategy in known:
            found.setdefault(rung.symbol, LeftOver(rung.symbol, rung.strategy, _overnight(rung.symbol)))
    return list(found.values())


def _overnight(symbol: str) -> Product:
    return Product.CNC if symbol.partition(":")[0] in ("NSE", "BSE") else Product.NRML


def exit_rows(
    left: Sequence[LeftOver],
    config: Config,
    strategies: Mapping[str, TradingStrategy],
    instrument: Callable[[str], Instrument],
    first: int,
) -> list[Row]:
    """Their rows, numbered from ``first``, with the numbers that the strategy has in the settings, else its own."""
    given = {s.name: s for s in config.trading.strategies}
    rows = []
    for number, one in enumerate(left):
        settings = given.get(one.strategy)
        params = parse_params(strategies[one.strategy], dict(settings.params) if settings else {})
        timeframe = timeframe_ns(settings.timeframe if settings else "1m")
        rows.append(Row(first + number, instrument(one.symbol), one.strategy, params, timeframe, one.product))
    return rows
