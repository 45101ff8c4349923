"""Positions of ours that the settings no longer name like that: they keep a row, for exits only.

Without one nobody would square them off, /flatten would skip them, and their stop would stand alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from otrade_bot.config.models import Config
from otrade_bot.core.model import Instrument, Product
from otrade_bot.service.accounts import Books
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


def left_over(books: Books, config: Config, kept: Iterable[Carried]) -> list[LeftOver]:
    """Of the day's orders in the account, and of what is ``kept`` from earlier days: what the settings give to no
    strategy any more, or to another one, or as another product. A strategy that is neither configured nor shipped is
    not known any more: its positions stay external.
    """
    trading = config.trading
    known = dict.fromkeys((*(s.name for s in trading.strategies), *SHIPPED))
    given = {symbol: (s.name, trading.product) for s in trading.strategies for symbol in s.instruments}
    codes = {strategy_code(name): name for name in known}
    found: dict[str, LeftOver] = {}
    for (symbol, product, code), open_now in _open_orders(books, Tags(config.brokers.instance)).items():
        name = codes.get(code)
        if name is not None and open_now and given.get(symbol) != (name, product):
            found[symbol] = LeftOver(symbol, name, product)
    for rung in kept:
        product = _overnight(rung.symbol)
        there = books.net.get((rung.symbol, str(product)), 0)
        if there and rung.strategy in known and given.get(rung.symbol) != (rung.strategy, product):
            found.setdefault(rung.symbol, LeftOver(rung.symbol, rung.strategy, product))
    return list(found.values())


def _open_orders(books: Books, tags: Tags) -> dict[tuple[str, Product, str], bool]:
    """By symbol, product and strategy's code of the day's orders of ours: is something of them still open? What was
    bought and sold again is not, though another strategy may hold the same symbol now."""
    shares: dict[tuple[str, Product, str], int] = defaultdict(int)
    working = set()
    for order in books.orders:
        parts = tags.read(order.tag)
        if parts is not None:
            key = (order.symbol, order.product, parts.code)
            shares[key] += int(order.side) * order.filled
            working |= set() if order.status.final else {key}
    return {
        key: key in working or bool(share and books.net.get((key[0], str(key[1])), 0)) for key, share in shares.items()
    }


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
