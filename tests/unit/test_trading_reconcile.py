"""Comparing with the broker's books at any time: never twice at once, never by what has passed meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from harness.bench import OTHER, SHARE, Bench, run
from harness.venue import FakeVenue

from otrade_bot.core.errors import BrokerException, TokenException
from otrade_bot.core.events import EventKind
from otrade_bot.core.model import Block, BrokerOrder, BrokerPosition, Product

MIS = (SHARE.symbol, "MIS")


class SlowVenue(FakeVenue):
    """Its reads stop where ``gate`` says so. ``fault`` is raised by the next read of the book."""

    gate: Callable[[str], Awaitable[None]] | None = None
    fault: Exception | None = None
    reads = 0
    at_once = 0

    async def get_orderbook(self) -> Sequence[BrokerOrder]:
        self.reads += 1
        self.at_once += 1
        assert self.at_once == 1, "two readers at once"
        try:
            if self.fault is not None:
                raise self.fault
            found = list(await super().get_orderbook())
            if self.gate is not None:
                await self.gate("book")
            return found
        finally:
            self.at_once -= 1

    async def get_net(self) -> dict[tuple[str, str], int]:
        found = await super().get_net()
        if self.gate is not None:
            await self.gate("net")
        return found


@pytest.fixture
def bench() -> Bench:
    return Bench(lambda b: SlowVenue(b.clock), instruments=(SHARE, OTHER))


def bought(bench: Bench) -> str:
    """30 held at 100 rupees, the stop resting; its id."""
    bench.signal()
    bench.broker.fill(bench.broker.accept(), say=False)
    bench.broker.deliver_all()
    stop: str = bench.broker.accept()
    bench.broker.deliver_all()
    assert bench.life().protected
    return stop


class Gate:
    """Holds the reads of one kind until opened."""

    def __init__(self, kind: str) -> None:
        self.kind, self.reached, self.opened = kind, asyncio.Event(), asyncio.Event()

    async def __call__(self, kind: str) -> None:
        if kind == self.kind:
            self.reached.set()
            await self.opened.wait()


async def test_many_who_ask_at_once_share_one_comparison_and_none_reads_beside_another(bench: Bench) -> None:
    gate = bench.broker.gate = Gate("book")
    first = asyncio.create_task(bench.engine.reconcile())
    await gate.reached.wait()
    others = [asyncio.create_task(bench.engine.reconcile()) for _ in range(5)]
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(first, *others)
    assert bench.broker.reads == 2  # the one under way may have read before they asked: one more, for all


async def test_who_asks_while_a_comparison_fails_gets_one_of_his_own(bench: Bench) -> None:
    bench.broker.fault = BrokerException("down")
    with pytest.raises(BrokerException, match="down"):
        await bench.engine.reconcile()
    bench.broker.fault = None
    assert await bench.engine.reconcile() == []
    assert bench.broker.reads == 2


def test_nothing_is_compared_before_what_is_ours_is_known(bench: Bench) -> None:
    bench.broker.external.append(BrokerPosition(SHARE.symbol, Product.MIS, 30, 0))
    bench.engine.blocks.add(Block.RECOVERY)
    assert run(bench.engine.reconcile()) == []
    bench.engine.blocks.clear()
    bench.engine.unread = "no token"
    assert run(bench.engine.reconcile()) == []
    assert not bench.engine.external
    assert bench.broker.reads == 0


def test_an_engine_that_is_about_to_be_left_goes_on_comparing(bench: Bench) -> None:
    bench.engine.leave()
    assert Block.RECOVERY in bench.engine.blocks
    bench.broker.external.append(BrokerPosition(SHARE.symbol, Product.MIS, 30, 0))
    run(bench.engine.reconcile())
    assert bench.broker.reads > 0


def test_one_that_knew_nothing_knows_nothing_when_it_is_left(bench: Bench) -> None:
    bench.engine.unread = "no token"
    bench.engine.leave()
    assert run(bench.engine.reconcile()) == []
    assert bench.broker.reads == 0


async def test_a_comparison_that_is_asked_for_during_recovery_waits_for_it(bench: Bench) -> None:
    gate = bench.broker.gate = Gate("book")
    recovery = asyncio.create_task(bench.engine.recover())
    await gate.reached.wait()
    asked = asyncio.create_task(bench.engine.reconcile())
    await asyncio.sleep(0)
    gate.opened.set()
    await recovery
    await asked
    assert Block.RECOVERY not in bench.engine.blocks


async def test_an_order_that_fills_while_the_books_are_read_is_no_difference(bench: Bench) -> None:
    bench.signal()
    entry = bench.broker.accept()
    bench.broker.deliver_all()
    gate = bench.broker.gate = Gate("book")
    asked = asyncio.create_task(bench.engine.reconcile())
    await gate.reached.wait()
    bench.broker.fill(entry, say=False)  # in the net that is read next, told to us after that
    bench.broker.gate = last = Gate("net")
    gate.opened.set()
    await last.reached.wait()
    bench.broker.deliver_all()
    bench.broker.accept()
    bench.broker.deliver_all()
    last.opened.set()
    assert await asked == []
    assert bench.engine.external.get(MIS, 0) == 0
    assert not [text for text in bench.alerts if "not ours" in text]


async def test_a_stop_that_fills_between_book_and_net_ends_the_rung_once(bench: Bench) -> None:
    stop = bought(bench)
    gate = bench.broker.gate = Gate("net")
    for _ in range(2):
        asked = asyncio.create_task(bench.engine.reconcile())
        await gate.reached.wait()
        gate.opened.set()
        await asked
    gate = bench.broker.gate = Gate("net")
    asked = asyncio.create_task(bench.engine.reconcile())
    await gate.reached.wait()
    bench.broker.fill(stop, price=9_800)
    gate.opened.set()
    await asked
    assert [t.quantity for t in bench.engine.trades()] == [30]
    assert bench.engine.external.get(MIS, 0) == 0


def test_more_at_the_broker_than_ours_is_believed_when_seen_twice_and_said_once(bench: Bench) -> None:
    bench.broker.external.append(BrokerPosition(OTHER.symbol, Product.MIS, 50, 0))
    assert run(bench.engine.reconcile()) == []
    assert not bench.engine.external
    bench.pulse(60)
    assert len(run(bench.engine.reconcile())) == 1
    bench.pulse(60)
    assert run(bench.engine.reconcile()) == []
    assert bench.engine.external == {(OTHER.symbol, "MIS"): 50}
    assert len([text for text in bench.alerts if "not ours" in text]) == 1


def test_two_comparisons_in_one_breath_do_not_make_a_lag_a_difference(bench: Bench) -> None:
    bought(bench)
    bench.broker.external.append(BrokerPosition(SHARE.symbol, Product.MIS, -30, 0))
    for _ in range(4):
        run(bench.engine.reconcile())
    assert bench.life().held == 30
    bench.pulse(10)
    run(bench.engine.reconcile())
    assert bench.life().held == 0


def test_an_order_in_doubt_holds_up_the_comparison_of_its_own_symbol_alone(bench: Bench) -> None:
    bench.signal()
    bench.broker.doubt(lost=True)
    bench.broker.external.append(BrokerPosition(OTHER.symbol, Product.MIS, 50, 0))
    bench.broker.external.append(BrokerPosition(SHARE.symbol, Product.MIS, 7, 0))
    run(bench.engine.reconcile())
    bench.pulse(60)
    run(bench.engine.reconcile())
    assert bench.engine.external == {(OTHER.symbol, "MIS"): 50}


# --- the token --------------------------------------------------------------------------------------


def blocks(bench: Bench) -> list[tuple[bool, str]]:
    return [(event.data["on"], event.data["reason"]) for event in bench.events(EventKind.BLOCK)]


def test_a_lost_token_stops_entries_and_is_said_once_a_loss(bench: Bench) -> None:
    for _ in range(3):
        bench.engine.token_lost("expired at 06:00")
    assert blocks(bench) == [(True, Block.TOKEN.value)]
    assert len([text for text in bench.alerts if "expired at 06:00" in text and "/login" in text]) == 1
    bench.signal()
    assert "blocked" in bench.codes()
    assert not bench.broker.calls
    assert bench.engine.token_back()
    assert not bench.engine.token_back()
    assert not bench.engine.blocks
    bench.engine.token_lost("again")
    assert len([text for text in bench.alerts if "/login" in text]) == 2


def test_books_that_the_token_does_not_open_are_a_lost_token(bench: Bench) -> None:
    bench.broker.fault = TokenException("Incorrect `api_key` or `access_token`.")
    with pytest.raises(TokenException):
        run(bench.engine.reconcile())
    assert Block.TOKEN in bench.engine.blocks


async def test_an_engine_that_was_relieved_while_it_read_believes_and_says_nothing(bench: Bench) -> None:
    bought(bench)
    bench.broker.external.append(BrokerPosition(SHARE.symbol, Product.MIS, -30, 0))
    await bench.engine.reconcile()
    bench.pulse(60)
    gate = bench.broker.gate = Gate("net")
    asked = asyncio.create_task(bench.engine.reconcile())
    await gate.reached.wait()
    before, alerts = len(bench.broker.calls), list(bench.alerts)
    bench.engine.retire()
    gate.opened.set()
    assert await asked == []
    assert (len(bench.broker.calls), bench.alerts) == (before, alerts)
