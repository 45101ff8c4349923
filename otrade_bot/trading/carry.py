"""Positions older than a day: the broker knows the quantity, the journal knows whose rung it is.

Tags and orders of yesterday are gone from the broker's book. Each opening of a day writes into that day's
journal what it was begun with (one ``carry`` line); with the day's own fills and stops that is what the
next day begins with. What the broker no longer holds is not carried: it is the source of truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.model import Leg, OrderRequest, OrderStatus, OrderType, Side
from otrade_bot.core.money import Paise
from otrade_bot.kernel import state as abi
from otrade_bot.trading.adopt import NumbersThen, numbers_then, tables_at
from otrade_bot.trading.orders import Order
from otrade_bot.trading.rungs import RungLife

if TYPE_CHECKING:
    from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["Carried", "carry_in", "remembered"]


@dataclass(frozen=True, slots=True)
class Carried:
    """One open rung as a day left it. ``value``: what its quantity was bought (sold short) for, paise."""

    symbol: str
    strategy: str
    rung: int  #: 1, 2 or 3
    cycle: int
    side: str  #: BUY or SELL
    quantity: int
    value: Paise
    level: Paise  #: of its stop, 0 = not known
    entry_ns: int
    hand_stop: bool = False  #: a human put the stop there
    hand_target: bool = False  #: and the target
    target: Paise = 0  #: by hand; 0 = none
    numbers: Sequence[Sequence[float]] = ()  #: of the rungs of its position, percent; () = not known
    closing: bool = False  #: a human has closed all of it, and no market has taken it yet


_Key = tuple[str, str, int, int]


def remembered(lines: Iterable[Mapping[str, Any]], account: str = "paper") -> list[Carried] | None:
    """What a day's journal says was open at its end; None where the day was never opened on ``account``: what was
    bought on paper is not carried into a demat account that happens to hold the same shares."""
    known: dict[_Key, Carried] = {}
    exited: dict[_Key, int] = {}
    closing: set[_Key] = set()
    early: dict[_Key, list[Mapping[str, Any]]] = {}  #: decided before the day was opened
    opened, lines = False, list(lines)
    for line in lines:
        kind = line.get("kind")
        if kind == EventKind.RUN and line.get("broker", account) != account:
            return None
        if kind == EventKind.CARRY:
            opened = True
            for rung in line["rungs"]:
                found = Carried(**rung)
                key = found.symbol, found.strategy, found.rung, found.cycle
                known[key] = _once_more(found, known.get(key))
                for decision in early.pop(key, ()):
                    _by_hand(known, key, decision)
        elif kind == EventKind.FILL:
            _fill(known, exited, line)
        elif kind == EventKind.STOP:
            _level(known, line)
        elif kind == EventKind.LEVEL and line.get("what") in ("stop", "target"):
            if (key := _key(line)) in known:
                _by_hand(known, key, line)
            else:
                early.setdefault(key, []).append(line)
        elif kind == EventKind.CLOSE and line.get("whole"):
            closing.add(_key(line))
    if not opened:
        return None
    known = {key: replace(rung, closing=rung.closing or key in closing) for key, rung in known.items()}
    left = (_left(rung, exited.get(key, 0)) for key, rung in known.items())
    return _with_numbers([rung for rung in left if rung.quantity > 0], numbers_then(lines))


def _with_numbers(rungs: list[Carried], then: Sequence[NumbersThen]) -> list[Carried]:
    """Those with which each position was opened: what came of earlier days brings its own."""
    first = {(one.symbol, one.strategy): one for one in sorted(rungs, key=lambda rung: rung.entry_ns, reverse=True)}
    numbers = {key: one.numbers or tables_at(then, one.entry_ns).get(one.strategy, ()) for key, one in first.items()}
    plain = {key: tuple(tuple(one) for one in table) for key, table in numbers.items()}
    return [replace(rung, numbers=plain[rung.symbol, rung.strategy]) for rung in rungs]


def _key(line: Mapping[str, Any]) -> _Key:
    return line["symbol"], line["strategy"], line["rung"], line["cycle"]


def _once_more(found: Carried, before: Carried | None) -> Carried:
    """Each start opens the day with what earlier days have told: what this day has told since is newer."""
    if before is None:
        return found
    return replace(
        found, level=before.level or found.level, hand_stop=before.hand_stop, hand_target=before.hand_target,
        target=before.target, closing=found.closing or before.closing,
    )  # fmt: skip


def _fill(known: dict[_Key, Carried], exited: dict[_Key, int], line: Mapping[str, Any]) -> None:
    """Fills are cumulative, so the largest quantity counts."""
    key = _key(line)
    if line["leg"] == Leg.EXIT:
        exited[key] = max(exited.get(key, 0), line["quantity"])
        return
    before = known.get(key)
    if before is None:
        known[key] = Carried(*key, line["side"], line["quantity"], line["value_paise"], 0, line["ns"])
    elif line["quantity"] > before.quantity:
        known[key] = replace(before, quantity=line["quantity"], value=line["value_paise"])


def _level(known: dict[_Key, Carried], line: Mapping[str, Any]) -> None:
    """The newest cycle of the rung is the one that has a stop."""
    same = [key for key in known if key[:3] == (line["symbol"], line["strategy"], line["rung"])]
    if same and line["level_paise"]:
        newest = max(same, key=lambda key: key[3])
        known[newest] = replace(known[newest], level=line["level_paise"])


def _by_hand(known: dict[_Key, Carried], key: _Key, line: Mapping[str, Any]) -> None:
    """What a human put, or gave back, counts until the human says otherwise."""
    level, hand = line["level_paise"], line["hand"]
    if line["what"] == "stop":
        known[key] = replace(known[key], level=level, hand_stop=hand)
    else:
        known[key] = replace(known[key], target=level if hand else 0, hand_target=hand)


def _left(rung: Carried, exited: int) -> Carried:
    rest = max(0, rung.quantity - exited)
    return replace(rung, quantity=rest, value=rung.value * rest // rung.quantity if rest else 0)


async def carry_in(engine: LiveTradingEngine, rungs: Iterable[Carried], *, say: bool = True) -> list[Carried]:
    """Before the day starts: the rungs that the broker confirms are ours again. Writes the day's carry line,
    also an empty one; not (``say``) where they are what this very day has left, which its own lines tell. Returns what
    was taken. Raises BrokerException."""
    net = await _net(engine)
    taken = []
    for rung in sorted(rungs, key=lambda rung: (rung.symbol, rung.rung, rung.cycle)):
        index = engine.by_symbol.get(rung.symbol, -1)
        row = engine.table[index] if index >= 0 else None
        if row is None or row.strategy != rung.strategy or row.product.intraday:
            told = "kept from an earlier day, but nothing configured trades it now"
            engine.alert(f"{rung.symbol} P{rung.rung}: {told}")
            continue
        side, key = Side[rung.side], (rung.symbol, str(row.product))
        there = min(rung.quantity, max(0, int(side) * net.get(key, 0)))
        if there < rung.quantity:
            told = f"of {rung.quantity} kept from an earlier day the broker has {there}"
            engine.alert(f"{rung.symbol} P{rung.rung}: {told}")
        if there:
            net[key] -= int(side) * there
            taken.append(_left(rung, rung.quantity - there))
            engine.numbers.carry(index, rung.numbers)
            _adopt(engine, index, taken[-1])
    if say:
        _say(engine, taken)
    return taken


async def _net(engine: LiveTradingEngine) -> dict[tuple[str, str], int]:
    """The broker's net as the day began: what there is, less what today's orders did."""
    net = await engine.broker.get_net()
    for order in engine.todays(await engine.broker.get_orderbook()):
        key = (order.symbol, str(order.product))
        net[key] = net.get(key, 0) - int(order.side) * order.filled
    return net


def _adopt(engine: LiveTradingEngine, index: int, rung: Carried) -> None:
    """Into the kernel and the manager, as if its entry had just been told; what that intends is the past."""
    row, side, r = engine.table[index], Side[rung.side], rung.rung - 1
    common = {"ts": rung.entry_ns, "rung": r, "cycle": rung.cycle, "qty": rung.quantity}
    engine.past(abi.ADOPT, index, **common, code=int(side), price=rung.value // rung.quantity)
    engine.past(abi.FILL, index, **common, leg=abi.ENTRY, value=rung.value)
    s = engine.state[index]
    if rung.hand_stop:
        s["stop"][r] = s["sent_stop"][r] = rung.level
        s["hand_stop"][r] = 1
    elif rung.level:
        tighter = max if side > 0 else min
        s["stop"][r] = s["sent_stop"][r] = tighter(int(s["stop"][r]), rung.level)
    life = RungLife(index, r, rung.cycle, side, rung.strategy, row.product, rung.quantity)
    request = OrderRequest("", row.instrument, side, rung.quantity, row.product, OrderType.MARKET, 0, 0)
    life.entries.append(Order(
        "", index, Leg.ENTRY, r, rung.cycle, request, rung.quantity, OrderType.MARKET, 0, 0, rung.entry_ns,
        "", OrderStatus.COMPLETE, rung.quantity, rung.value, rung.entry_ns, rung.entry_ns,
    ))  # fmt: skip
    if rung.hand_target:
        s["target"][r], s["hand_target"][r] = rung.target, 1
    engine.deck.changed()
    life.level, life.target, life.hand = int(s["stop"][r]), int(s["target"][r]), rung.hand_stop
    life.closing = rung.closing
    life.told_entry, life.told_end, life.first_fill_ns = rung.quantity, True, rung.entry_ns
    engine.manager.lives[index, r] = life


def _say(engine: LiveTradingEngine, taken: list[Carried]) -> None:
    """Into the journal of the day that begins, whenever that is written; people are told of what is open by the
    start and by the card."""
    opened = min(session.pre_open for session in engine.sessions.values())
    names = ", ".join(f"{rung.symbol} P{rung.rung} {rung.quantity}" for rung in taken)
    engine.emit(Event(
        EventKind.CARRY, opened, text=f"kept from an earlier day: {names}" if taken else "",
        severity=Severity.DEBUG, data={"rungs": [asdict(rung) for rung in taken]},
    ))  # fmt: skip
