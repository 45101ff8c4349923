"""The broker's net against ours: what we cannot explain is the broker's word, and a human is told.

Positions at a broker lag behind its reports, and an order may fill while the books are read. So a symbol is not
judged while a write of it is open or in doubt, nor where anything happened to it during the reading, and a
difference is believed only when it is seen again a while later. One that others' orders in the book account for to
the share is believed at once: a stop that waits for what somebody has sold already would sell it twice. The first
comparison, after a recovery, reads the book once more instead, and waits like any other where something has filled a
moment ago that may explain it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from otrade_bot.core.clock import SECOND, to_ist
from otrade_bot.core.errors import BrokerException, TokenException
from otrade_bot.core.model import BrokerOrder, Product
from otrade_bot.core.money import Paise
from otrade_bot.trading.doubt import force_hint, in_doubt, settle_book, settle_history, unsettled
from otrade_bot.trading.guards import settle_gtts, wants_gtts
from otrade_bot.trading.orders import Order
from otrade_bot.trading.rungs import RungLife

if TYPE_CHECKING:
    from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["compare", "read_book"]

#: (symbol, product)
Key = tuple[str, str]
#: A difference that is still there after this is none of the broker's lag.
SEEN_AGAIN = 10 * SECOND
#: Positions have caught up with a fill by then.
LAG = 60 * SECOND


async def compare(engine: LiveTradingEngine, *, first: bool = False, over: bool = False) -> list[str]:
    """The differences in words. ``over``: no lag is expected any more. Raises BrokerException."""
    manager = engine.manager
    book = await read_book(engine)
    if wants_gtts(manager):
        gtts = await engine.broker.get_gtts()
        engine.post(lambda: settle_gtts(manager, gtts, engine.clock.now_ns()))
    before = Counter(manager.stirred)
    net = await engine.broker.get_net()
    engine.post(lambda: _remind(engine))
    found = _differing(engine, net)
    if found:
        book = await read_book(engine)  # what filled between book and net is no difference
    if engine.retired:
        return []
    seen, engine.suspects = engine.suspects, {}
    said = []
    for key, external in found.items():
        explained = _explained(engine, key, external, book)
        if manager.stirred[key[0]] != before[key[0]] or (_open(engine, key[0], book) and not explained):
            continue
        now = engine.clock.now_ns()
        since = seen[key][1] if key in seen and seen[key][0] == external else now
        again = key in seen and seen[key][0] == external and (over or now - since >= SEEN_AGAIN)
        if not (explained or again or (first and not _may_lag(engine, key, external, book))):
            engine.suspects[key] = external, since
            engine.compare_at(since + SEEN_AGAIN)
            continue
        said += _believe(engine, key, external, book, first)
    return said


def _remind(engine: LiveTradingEngine) -> None:
    """A doubt about a reducing order is said as long as it lasts: its rung may stand without protection."""
    for order in in_doubt(engine.manager):
        life = engine.manager.lives[order.row, order.rung]
        since = to_ist(order.unknown_ns)
        engine.manager._say_refused(
            life, f"its {order.order_type} order {order.tag} has been in doubt since {since:%H:%M:%S} "
            f"({order.unknown}): {min(order.left or life.held, life.held)} held may be unprotected; {force_hint(order)}"
        )  # fmt: skip


async def read_book(engine: LiveTradingEngine) -> Sequence[BrokerOrder]:
    """Each row is taken as a report; doubts are compared with it, and with the history of their orders. Raises
    BrokerException."""
    manager, began = engine.manager, engine.clock.now_ns()
    book = engine.todays(await engine.broker.get_orderbook())
    engine.post(lambda: settle_book(manager, book, began))
    for told in book:
        engine.post(lambda told=told: _hear(engine, told))  # type: ignore[misc]
    for order in unsettled(manager):
        await _read_history(engine, order)
    return book


async def _read_history(engine: LiveTradingEngine, order: Order) -> None:
    """One that cannot be read leaves the doubt to the next time."""
    began = engine.clock.now_ns()
    try:
        states = await engine.broker.order_history(order.order_id)
    except TokenException:
        raise
    except BrokerException:
        return
    engine.post(lambda: settle_history(engine.manager, order, states, began))


def _hear(engine: LiveTradingEngine, told: BrokerOrder) -> None:
    """A row of the book as a report; others' orders are no news every minute."""
    if engine.manager.orders.find(told) is not None or not told.tag:
        engine.manager.on_report(told)
    else:
        engine.not_sent(told)


def _open(engine: LiveTradingEngine, symbol: str, book: Sequence[BrokerOrder]) -> bool:
    """A write of the symbol is under way or in doubt, or an order of it that works is not in the book yet: the books
    are legitimately apart."""
    manager, shown = engine.manager, {told.order_id for told in book}
    if any(life.gtt and (life.gtt.writing or life.gtt.unknown) for life in manager.lives.values()
           if manager.symbol(life) == symbol):  # fmt: skip
        return True
    late = (o for o in manager.orders if o.live and o.order_id not in shown)
    if any(order.instrument.symbol == symbol for order in late):
        return True
    return any(o.instrument.symbol == symbol and (o.writing or o.unknown) for o in manager.orders)


def _differing(engine: LiveTradingEngine, net: dict[Key, int]) -> dict[Key, int]:
    """What the broker holds besides ours, where that is not what it was."""
    ours: dict[Key, int] = defaultdict(int)
    for life in engine.manager.lives.values():
        ours[engine.manager.symbol(life), str(life.product)] += int(life.side) * life.held
    found = {key: net.get(key, 0) - ours.get(key, 0) for key in sorted({*net, *ours, *engine.external})}
    return {key: external for key, external in found.items() if external != engine.external.get(key, 0)}


def _explained(engine: LiveTradingEngine, key: Key, external: int, book: Sequence[BrokerOrder]) -> bool:
    """Orders of others account for all that is not ours. Intraday alone: what a day begins with is nothing."""
    if key[1] != Product.MIS:
        return False
    manager = engine.manager
    mine = [order for order in manager.orders if (order.instrument.symbol, str(order.request.product)) == key]
    outside = sum(int(order.side) * order.filled for order in mine if order.outside)
    lives = (life for life in manager.lives.values() if (manager.symbol(life), str(life.product)) == key)
    claimed = sum(int(life.side) * o.filled for life in lives for o in life.entries if not o.tag)
    return bool(_theirs(engine, key, book) - outside - claimed == external)


def _theirs(engine: LiveTradingEngine, key: Key, book: Sequence[BrokerOrder]) -> int:
    """What orders of others have filled of it today, signed: by the book, and as heard of those that it lacks yet."""
    known = {told.order_id: told for told in sorted((*engine.heard.values(), *book), key=lambda told: told.filled)}
    others = (told for told in known.values() if (told.symbol, str(told.product)) == key)
    return sum(int(told.side) * told.filled for told in others if engine.manager.orders.find(told) is None)


def _may_lag(engine: LiveTradingEngine, key: Key, external: int, book: Sequence[BrokerOrder]) -> bool:
    """Something of ours has filled a moment ago, and no order of anybody else's accounts for the difference."""
    manager, since = engine.manager, engine.clock.now_ns() - LAG
    same = [o for o in manager.orders if (o.instrument.symbol, str(o.request.product)) == key]
    if not any(o.filled and o.updated_ns >= since for o in same):
        return False
    return _theirs(engine, key, book) != external


def _believe(
    engine: LiveTradingEngine, key: Key, external: int, book: Sequence[BrokerOrder], first: bool
) -> list[str]:
    before = engine.external.get(key, 0)
    lives = engine.manager.lives.values()
    ours = sum(
        int(life.side) * life.held
        for life in lives
        if (engine.manager.symbol(life), str(life.product)) == key
    )
    lost = ours and (external - before) * ours < 0
    left = _taken(engine, key, external, book) if lost else external
    return [_differs(engine, key, left, first)] if left != before else []


def _taken(engine: LiveTradingEngine, key: Key, external: int, book: Sequence[BrokerOrder]) -> int:
    """Less of ours than we hold: the broker's own square-off, or a human. Returns what stays external."""
    manager = engine.manager
    missing = abs(external - engine.external.get(key, 0))
    row = engine.table[engine.by_symbol[key[0]]]
    lives = [life for life in manager.lives.values() if manager.symbol(life) == key[0] and life.held > 0]
    for life in sorted(lives, key=lambda life: -life.rung):
        quantity = min(missing, life.held)
        if quantity and str(life.product) == key[1]:
            price = _foreign_price(book, key[0], life) or row.ltp
            engine.post(lambda life=life, q=quantity, p=price: manager.taken_outside(life, q, p))  # type: ignore[misc]
            missing -= quantity
            external += int(life.side) * quantity
    return external


def _differs(engine: LiveTradingEngine, key: Key, external: int, first: bool) -> str:
    before = engine.external.get(key, 0)
    engine.external[key] = external
    text = f"{key[0]} {key[1]}: {external:+d} at the broker that is not ours (was {before:+d})"
    if not first:
        engine.alert(f"{text}; adopted as external, not touched", key[0])
    return text


def _foreign_price(book: Sequence[BrokerOrder], symbol: str, life: RungLife) -> Paise:
    """Average price of the last order without a tag that closed such a position; 0 if there is none."""
    for order in reversed(book):
        same = order.symbol == symbol and order.product is life.product and order.side is life.side.opposite
        if same and order.filled and not order.tag:
            return order.value // order.filled
    return 0
