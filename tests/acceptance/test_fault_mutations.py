"""The table of faults bites: with the handling of a fault taken out, the row of that fault fails.

Each mutation removes one piece of the product for the time of one row; the row, which passes in ``test_faults``, must
then name something doubled, lost, unprotected or untold.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otrade_bot.core.model import BrokerOrder, Refused
from otrade_bot.trading import compare, doubt, guards, manager, recover
from otrade_bot.trading.engine import LiveTradingEngine
from otrade_bot.trading.manager import OrderManager
from otrade_bot.trading.orders import Order
from otrade_bot.trading.recover import Recovery
from otrade_bot.trading.refusals import Storm, Trouble
from tests.acceptance import fault_table

fault_table.load()


def nothing(*_: Any, **__: Any) -> None:
    """What is left of a handling that was taken out."""


def absent_at_once(manager: OrderManager, order: Order, began: int) -> None:
    """What one read of the book does not show counts as never placed."""
    doubt.clear(manager, order)
    manager._refused(order, "place", Refused("never reached the broker", "absent"))
    manager._again(order)


def legs_of_nobody(manager: OrderManager, told: BrokerOrder) -> bool:
    """An order without a tag is never ours."""
    return False


taken = Order.take_change


def taken_at_once(order: Order, *, unseen: bool = False) -> None:
    """An accepted reduction counts before the exchange has reported it."""
    taken(order)


#: (what is taken out, where it stands, its name there, what stands in its place, the row that must fail, broker)
MUTATIONS = [
    ("the two minutes before an absence counts", doubt, "_absent", absent_at_once,
     "entry: done, answer and updates lost, the book 90 s late", "kite"),
    ("rows of the book as reports", compare, "_hear", nothing, "entry: every update is lost", "upstox"),
    ("the storm of refusals", Storm, "refused", lambda self, now: False, "entries: five refused in a row", "kite"),
    ("leaving where no stop can rest", OrderManager, "_protection_refused", nothing, "stop: a definite no", "kite"),
    ("the block of a lost token", LiveTradingEngine, "token_lost", nothing,
     "entry: the token is worth nothing any more", "upstox"),
    ("the doubt about what a killed process had sent", Recovery, "_doubt", nothing,
     "start: the order book shows the entry a minute late", "kite"),
    ("knowing the leg of a GTT", guards, "gtt_leg", legs_of_nobody, "GTT: triggered, every update of it lost", "kite"),
    ("finding GTTs again after a start", recover, "adopt_guards", nothing, "GTT: killed before it was placed", "kite"),
    ("following the price with an exit", OrderManager, "_reprice", nothing,
     "start: through the stop while nobody was there and its order cancelled", "kite"),
    ("believing the broker that a position is gone", compare, "_taken", lambda engine, key, external, book: external,
     "by hand: our position is sold at the broker", "kite"),
    ("telling a no for the address from a no for the order", manager, "trouble_of",
     lambda refused: next(iter(Trouble)), "address: the stop of a filled entry is refused, then taken", "kite"),
    ("waiting until the exchange has told of a reduction", Order, "take_change", taken_at_once,
     "close half: killed when the stop had given way", "upstox"),
    ("taking a close up again after a start", recover, "resume_closing", nothing,
     "close half: killed before the stop gave way", "kite"),
    ("holding a stop by hand after a start", recover, "hold_levels", nothing,
     "stop by hand: looser, killed before the broker has it", "upstox"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("where", "name", "instead", "row", "broker"), [one[1:] for one in MUTATIONS], ids=[one[0] for one in MUTATIONS]
)
async def test_without_its_handling_the_row_fails(
    where: Any, name: str, instead: Any, row: str, broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, name, instead)
    if name == "gtt_leg":  # the order manager has a name of its own for it
        monkeypatch.setattr(manager, name, instead)
    with pytest.raises(AssertionError) as failed:
        await fault_table.judge(broker, row, tmp_path)
    assert str(failed.value), "the row says what is wrong"


def test_ten_handlings_and_more_are_taken_out_and_each_row_is_of_the_table() -> None:
    assert len({(where, name) for _, where, name, *_ in MUTATIONS}) >= 10
    assert {row for *_, row, _ in MUTATIONS} <= set(fault_table.ROWS)
