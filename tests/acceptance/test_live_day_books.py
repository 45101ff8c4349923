"""A whole day at each broker, once in peace and once killed ten times: our journal and the exchange's book are one.

200 shares, both strategies, partial fills, trailing stops, targets, the square-off; then a smaller day of delivery
under GTTs. Of the day with the kills every difference to the one in peace must have its cause in a kill.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from otrade_bot.core.clock import from_iso
from otrade_bot.core.model import Leg, Product
from otrade_bot.kernel.compile import Kernel
from otrade_bot.service.journal import read_day
from tests.acceptance.live_day import DayRoom, Kill
from tests.acceptance.live_room import DAY

BROKERS = ("kite", "upstox")
KILLS = (
    Kill(9, 47, "place", done=True), Kill(10, 8, "stop"), Kill(10, 41, "modify"), Kill(11, 12, "book"),
    Kill(11, 44, "place"), Kill(12, 17, "stop", done=True), Kill(12, 55, "modify", done=True), Kill(13, 28, "prices"),
    Kill(14, 55, "modify"), Kill(15, 10, "modify", done=True),
)  # fmt: skip
GTT_KILLS = (Kill(10, 0, "place_gtt", done=True), Kill(11, 30, "modify_gtt"), Kill(13, 0, "place_gtt"))
STATUS = {"COMPLETE": "complete", "CANCELLED": "cancelled", "REJECTED": "rejected"}

#: (symbol, rung, cycle, leg)
Slot = tuple[str, int, int, str]
Told = dict[str, Any]


@dataclass
class Lived:
    """A day that is over: the room as it was left, the journal."""

    room: DayRoom
    lines: list[Told]

    def of(self, kind: str) -> list[Told]:
        return [line for line in self.lines if line["kind"] == kind]

    @cached_property
    def trades(self) -> dict[str, Told]:
        return {line["trade_id"]: line for line in self.of("trade")}

    @cached_property
    def newest(self) -> dict[str, Told]:
        """By tag: the last line of each order."""
        return {line["tag"]: line for line in self.of("order")}

    @cached_property
    def filled(self) -> dict[Slot, tuple[int, int]]:
        """What our journal says of each leg: quantity and value."""
        return {
            (line["symbol"], line["rung"], line["cycle"], line["leg"]): (line["quantity"], line["value_paise"])
            for line in self.of("fill")
        }

    @cached_property
    def at_exchange(self) -> dict[Slot, list[Any]]:
        """The exchange's own orders that have filled, of each leg."""
        found = defaultdict(list)
        for order in self.room.venue.api.exchange.orders.values():
            parts = self.room.parts(order.tag)
            assert parts is not None, f"nobody's order: {order}"
            if order.filled:
                found[self.room.symbol_of(order), parts.rung + 1, parts.cycle, str(parts.leg)].append(order)
        return found

    def value(self, orders: list[Any]) -> int:
        """What these cost, paise, as far as the broker's order book tells it: a mean of four decimals at Kite, which is
        a paisa off where hundreds of a share filled at several prices."""
        return sum(order.value if self.room.venue.name == "upstox" else _of_mean(order) for order in orders)

    def gross(self) -> Counter[str]:
        """By share, what was sold for less what was bought for."""
        found = Counter[str]()
        for (symbol, *_), orders in self.at_exchange.items():
            found[symbol] -= orders[0].side * self.value(orders)
        return found


def _of_mean(order: Any) -> int:
    mean = Decimal(str(round(order.value / order.filled / 100, 4)))
    return int((mean * 100 * order.filled).to_integral_value(ROUND_HALF_UP))


async def live(broker: str, folder: Path, **options: Any) -> Lived:
    room = DayRoom(broker, folder, compare_every=5, **options)
    await room.open()
    try:
        await room.play()
    finally:
        await room.close()
    return Lived(room, read_day(folder, DAY))


@pytest.fixture(scope="module", params=BROKERS)
def days(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, kernel: Kernel) -> dict[str, Lived]:
    """In peace, and killed."""
    folder = tmp_path_factory.mktemp(request.param)
    found = {
        "peace": asyncio.run(live(request.param, folder / "peace")),
        "killed": asyncio.run(live(request.param, folder / "killed", kills=KILLS)),
    }
    for name, day in found.items():
        print(f"\n{request.param}, {name}: {_figures(day)}")
    return found


@pytest.fixture(params=["peace", "killed"])
def day(request: pytest.FixtureRequest, days: dict[str, Lived]) -> Lived:
    return days[request.param]


def _figures(day: Lived) -> str:
    room = day.room
    writes = sum(room.venue.hits(what) for what in ("place", "modify", "cancel"))
    return (
        f"{room.told_prices} prices, {len(room.venue.orders())} orders by {writes} writes, {len(day.trades)} trades, "
        f"{room.partials} entries met too few shares, {room.starts} starts"
    )


# --- what the day was ------------------------------------------------------------------------------------------


def test_everything_that_can_happen_on_a_day_has_happened(days: dict[str, Lived]) -> None:
    day = days["peace"]
    trades = list(day.trades.values())
    assert len(trades) > 200
    assert {trade["strategy"] for trade in trades} == {"ema_crossover", "momentum_ladder"}
    assert {trade["rung"] for trade in trades} == {1, 2, 3}
    assert {trade["side"] for trade in trades} == {"BUY", "SELL"}
    reasons = Counter(trade["exit_reason"] for trade in trades)
    assert min(reasons[reason] for reason in ("stop", "target", "square_off")) > 10
    assert sum(line["state"] == "moved" for line in day.of("stop")) > 50
    entries = [order for order in day.room.venue.orders() if day.newest[order.tag]["leg"] == Leg.ENTRY]
    assert sum(0 < order.filled < order.quantity for order in entries) > 5
    assert day.room.told_prices > 70_000


def test_the_process_died_ten_times_as_it_was_to(days: dict[str, Lived]) -> None:
    room = days["killed"].room
    assert [death.kill for death in room.deaths] == list(KILLS)
    assert room.starts == 11
    assert len(days["killed"].of("recovery")) == 10


# --- at the exchange -------------------------------------------------------------------------------------------


def test_it_ends_flat(day: Lived) -> None:
    room = day.room
    assert {symbol: net for symbol in room.symbols if (net := room.position(symbol))} == {}
    assert [order for order in room.venue.orders() if order.works] == []
    assert room.engine.positions() == []
    assert room.faults() == []


def test_never_more_was_on_its_way_out_than_was_held(day: Lived) -> None:
    assert day.room.over == []


def test_nothing_was_held_unprotected_but_for_what_was_announced(day: Lived) -> None:
    room = day.room
    assert room.bare == []
    for death in room.deaths:
        assert death.bare <= death.doubted
        for symbol in death.doubted:
            said = [line for line in day.of("alert") if symbol in line["text"] and line["ns"] >= death.at]
            assert any("nobody knows" in line["text"] for line in said), (death, symbol)


# --- the journal -----------------------------------------------------------------------------------------------


def test_every_order_of_the_exchange_is_in_the_journal_as_it_ended(day: Lived) -> None:
    orders = day.room.venue.orders()
    assert [tag for tag, often in Counter(order.tag for order in orders).items() if often > 1] == []
    ours = {tag: (line["quantity"], line["filled"], line["status"]) for tag, line in day.newest.items()}
    theirs = {order.tag: (order.quantity, order.filled, STATUS[order.status]) for order in orders}
    assert {tag: (told, ours.get(tag)) for tag, told in theirs.items() if ours.get(tag) != told} == {}


def test_what_the_journal_has_and_the_exchange_has_not_never_left(day: Lived) -> None:
    there = {order.tag for order in day.room.venue.orders()}
    for tag, line in day.newest.items():
        if tag not in there:
            assert (line["status"], line["filled"]) == ("rejected", 0), line
            assert line["reason"].startswith(("not sent", "never reached the broker")), line


def test_every_fill_of_the_exchange_is_in_the_journal_with_its_quantity_and_value(day: Lived) -> None:
    theirs = {
        slot: (sum(order.filled for order in orders), day.value(orders)) for slot, orders in day.at_exchange.items()
    }
    assert {slot: (told, day.filled.get(slot)) for slot, told in theirs.items() if day.filled.get(slot) != told} == {}
    assert day.filled.keys() == theirs.keys()


def test_the_trades_add_up_to_what_the_exchange_paid_share_by_share(day: Lived) -> None:
    assert len(day.of("trade")) == len(day.trades)
    ours = Counter[str]()
    for line in day.trades.values():
        ours[line["symbol"]] += line["gross_paise"]
    theirs = day.gross()
    assert {symbol: (ours[symbol], theirs[symbol]) for symbol in theirs if ours[symbol] != theirs[symbol]} == {}
    assert {line["symbol"] for line in day.trades.values()} <= set(theirs)


# --- what the kills have changed -------------------------------------------------------------------------------


def test_every_difference_to_the_day_in_peace_has_its_cause(days: dict[str, Lived]) -> None:
    peace, killed = days["peace"], days["killed"]
    different = set(_differing(peace, killed))
    causes = {symbol: _cause(symbol, since, peace, killed) for symbol, since in _differing(peace, killed)}
    assert {symbol: cause for symbol, cause in causes.items() if not cause} == {}
    assert len(different) < 30
    print(f"\n{killed.room.venue.name}: " + "; ".join(f"{symbol} {cause}" for symbol, cause in sorted(causes.items())))


def _differing(one: Lived, other: Lived) -> Iterator[tuple[str, int]]:
    """Shares whose trades are not the same, each with the end (ns UTC) of the first that is not."""
    of_one, of_other = _by_share(one), _by_share(other)
    for symbol in sorted({*of_one, *of_other}):
        odd = of_one[symbol] ^ of_other[symbol]
        if odd:
            yield symbol, min(from_iso(trade[0]) for trade in odd)


def _by_share(day: Lived) -> defaultdict[str, set[tuple[Any, ...]]]:
    """What was traded; seconds may differ, and how often an entry was tried before."""
    keys = ("rung", "side", "quantity", "entry_price", "exit_price", "exit_reason", "gross_paise")
    found = defaultdict(set)
    for trade in day.trades.values():
        found[trade["symbol"]].add((trade["exit_time"][:16] + ":59+05:30", *(trade[key] for key in keys)))
    return found


def _cause(symbol: str, until: int, peace: Lived, killed: Lived) -> str:
    """'' where there is none."""
    for death in reversed(killed.room.deaths):
        if symbol in death.hit and death.at <= until:
            return f"hit by {death.kill.what} at {death.kill.hour}:{death.kill.minute:02}"
    crowded = [{line["symbol"] for line in day.of("order") if line["reason"].startswith("not sent")}
               for day in (peace, killed)]  # fmt: skip
    return "an entry that found no room at the broker, on one of the days" if symbol in crowded[0] ^ crowded[1] else ""


# --- delivery --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broker", BROKERS)
async def test_delivery_is_kept_over_night_under_its_gtts(broker: str, tmp_path: Path, kernel: Kernel) -> None:
    day = await live(broker, tmp_path, shares=20, product=Product.CNC, kills=GTT_KILLS)
    room = day.room
    print(f"\n{broker}, delivery: {_figures(day)}, {len(room.venue.guards())} GTTs kept")
    assert [death.kill for death in room.deaths] == list(GTT_KILLS)
    assert (room.over, room.bare, room.naked()) == ([], [], [])
    kept = {symbol: net for symbol in room.symbols if (net := room.position(symbol))}
    assert len(kept) >= 3
    assert min(kept.values()) > 0
    for symbol, net in kept.items():
        guards = [guard for guard in room.venue.guards() if guard.symbol == symbol]
        assert sum(guard.quantity for guard in guards) == net == room.held(symbol)
        assert {guard.side for guard in guards} == {-1}
    legs = {len(guard.triggers) for guard in room.venue.guards()}
    assert legs <= ({1, 2} if broker == "kite" else {1})
    assert len(day.trades) > 3
    assert room.faults() == []
