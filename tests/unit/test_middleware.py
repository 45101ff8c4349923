"""The live account as trading sees it, over both brokers' own libraries: nothing sent twice, exits before entries,
one token for all, streams that ask for the books."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import pytest

from otrade_bot.brokers import pace
from otrade_bot.brokers.middleware import UnifiedBrokerMiddleware
from otrade_bot.brokers.stream import StreamState
from otrade_bot.core.errors import BrokerException, ConfigException, JournalException, TokenException
from otrade_bot.core.model import Accepted, OrderType, Outcome, Product, Refused, Side, Unknown
from tests.acceptance.live_venues import Closed, Hang, Reset, Venue
from tests.unit.account_room import (
    FIRST,
    ITEMS,
    LISTING,
    OTHER_TOKEN,
    SECOND_SHARE,
    Account,
    account,
    guard,
    wanted,
)
from tests.unit.stream_room import running, until

BROKERS = pytest.mark.parametrize("name", ["kite", "upstox"])
Write = Callable[[UnifiedBrokerMiddleware, str, str], Awaitable[Outcome]]
WRITES: dict[str, Write] = {
    "place": lambda a, order, gtt: a.place(wanted("T2", reduces=True)),
    "modify": lambda a, order, gtt: a.modify(order, order_type=OrderType.LIMIT, price=94_000),
    "cancel": lambda a, order, gtt: a.cancel(order),
    "place_gtt": lambda a, order, gtt: a.place_gtt(guard()),
    "modify_gtt": lambda a, order, gtt: a.modify_gtt(gtt, guard(96_000)),
    "cancel_gtt": lambda a, order, gtt: a.cancel_gtt(gtt),
}
FAULTS: dict[str, Callable[[Venue], Any]] = {
    "429": lambda v: v.too_many(), "502": lambda v: v.page(502), "502 and done": lambda v: v.page(502, after=True),
    "429 as a page": lambda v: v.page(429), "reset": lambda v: Reset(), "reset and done": lambda v: Reset(after=True),
    "closed": lambda v: Closed(), "torn": lambda v: v.torn(), "timeout": lambda v: Hang(),
    "timeout and done": lambda v: Hang(after=True), "no token": lambda v: v.token_no(), "no": lambda v: v.no(),
}  # fmt: skip
NOS = ("429", "no token", "no")
MARKET: dict[str, Any] = {"order_type": OrderType.MARKET, "price": 0}


async def placed(room: Account, *args: Any, **fields: Any) -> str:
    outcome = await room.account.place(wanted(*args, **fields))
    assert isinstance(outcome, Accepted), outcome
    return outcome.order_id


# --- nothing twice ---
@BROKERS
@pytest.mark.parametrize("fault", FAULTS)
async def test_no_write_is_ever_sent_twice_whatever_becomes_of_it(name: str, fault: str) -> None:
    patience = 0.3 if "timeout" in fault else 5.0
    async with account(name, settings={"silence" if name == "kite" else "read_s": patience}) as room:
        order = await placed(room)
        gtt = await room.account.place_gtt(guard())
        assert isinstance(gtt, Accepted)
        for what, write in WRITES.items():
            before = room.venue.hits(what)
            room.account.budget.turned_away(0)  # a 429 of the write before holds this one up
            room.venue.fail(what, FAULTS[fault](room.venue))
            outcome = await write(room.account, order, gtt.order_id)
            assert isinstance(outcome, Refused if fault in NOS else Unknown), (what, outcome)
            assert room.venue.hits(what) == before + 1, what


@BROKERS
async def test_a_token_that_is_refused_once_and_then_taken_is_not_a_second_order(name: str) -> None:
    async with account(name) as room:
        room.venue.fail("place", room.venue.token_no())
        assert isinstance(await room.account.place(wanted()), Refused)
        room.account.set_access_token(room.venue.api.token)
        await room.account.get_orderbook()
        assert room.venue.hits("place") == 1
        assert room.venue.orders() == []


# --- the budget ---
@BROKERS
async def test_entries_wait_where_exits_still_go_and_exits_wait_where_nothing_does(name: str) -> None:
    async with account(name, manual=True) as room:
        for k in range(6):
            await placed(room, f"E{k}")
        entry = asyncio.create_task(room.account.place(wanted("E6")))
        await until(lambda: room.watch.asleep == 1)
        for k in range(4):
            await placed(room, f"X{k}", reduces=True)
        late = asyncio.create_task(room.account.place(wanted("X4", reduces=True)))
        await until(lambda: room.watch.asleep == 2)
        assert room.venue.hits("place") == 10
        room.watch.turn(1.0)
        assert isinstance(await late, Accepted)
        while not entry.done():
            await until(lambda: room.watch.asleep or entry.done())
            room.watch.turn(0.1)
        assert isinstance(await entry, Accepted)
        assert [order.tag for order in room.venue.orders()][-2:] == ["X4", "E6"]
        assert room.venue.hits("place") == 12


@BROKERS
async def test_a_place_request_is_told_when_it_leaves_not_while_it_waits(name: str) -> None:
    async with account(name, manual=True) as room:
        left: list[str] = []
        room.account.on_leaving = lambda request: left.append(request.tag)
        for k in range(6):
            await placed(room, f"E{k}")
        assert left == [f"E{k}" for k in range(6)]
        entry = asyncio.create_task(room.account.place(wanted("E6")))
        await until(lambda: room.watch.asleep == 1)
        assert left[-1] == "E5"
        while not entry.done():
            await until(lambda: room.watch.asleep or entry.done())
            room.watch.turn(0.1)
        assert isinstance(await entry, Accepted)
        assert left[-1] == "E6"


@BROKERS
async def test_an_entry_that_finds_no_room_for_three_seconds_is_refused_unsent(name: str) -> None:
    async with account(name, manual=True) as room:
        for k in range(10):
            await placed(room, f"X{k}", reduces=True)
        late = [asyncio.create_task(room.account.place(wanted(f"Y{k}", reduces=True))) for k in range(2)]
        await until(lambda: room.watch.asleep == 1)
        entry = asyncio.create_task(room.account.place(wanted("E")))
        await until(lambda: room.watch.asleep == 2)
        room.watch.advance_to(room.watch.now_ns() + 4_000_000_000)  # all is free again, but exits have not woken yet
        for _, waking in room.watch._asleep[1:]:
            waking.set_result(None)
        assert await entry == Refused("not sent: exits wait for their turn at the broker", "budget")
        room.watch.turn(0)
        assert all(isinstance(outcome, Accepted) for outcome in await asyncio.gather(*late))
        assert isinstance(await room.account.place(wanted("E")), Accepted)


async def test_stops_that_are_only_moved_let_exits_pass_that_came_later() -> None:
    async with account("kite", manual=True) as room:
        stops = {"order_type": OrderType.SL, "trigger": 97_000, "price": 96_000}
        first, second, third = [await placed(room, f"S{k}", reduces=True, **stops) for k in range(3)]
        for k in range(5):
            room.watch.turn(0.05)
            last = await placed(room, f"X{k}", reduces=True)
        writes = [
            room.account.modify(first, trigger=97_500, price=96_500),
            room.account.modify(second, trigger=97_500, price=96_500),
            room.account.modify(third, order_type=OrderType.LIMIT, price=99_000),
            room.account.place(wanted("X9", reduces=True)),
            room.account.cancel(last),
        ]
        moved, moved_too, *exits = [asyncio.create_task(write) for write in writes]
        first_exits = [exits.pop(0), exits.pop(0)]  # 8 of 10 are used: moved stops wait, two exits go
        assert all(isinstance(outcome, Accepted) for outcome in await asyncio.gather(*first_exits))
        await until(lambda: room.watch.asleep >= 2)  # the first of each kind has had to wait
        room.watch.turn(0.75)  # three leave the second at once: 7, and the last exit
        assert isinstance(await exits[0], Accepted)
        assert not moved.done()
        assert room.venue.hits("modify") == 1
        for waiting, behind in ((moved, moved_too), (moved_too, None)):
            room.watch.turn(0.05)
            assert isinstance(await waiting, Accepted)
            assert behind is None or not behind.done()


@BROKERS
async def test_after_too_many_entries_and_exits_wait_for_a_second_exits_first(name: str) -> None:
    async with account(name, manual=True) as room:
        room.venue.fail("place", room.venue.too_many())
        assert isinstance(await room.account.place(wanted("E0")), Refused)
        entry = asyncio.create_task(room.account.place(wanted("E1")))
        await until(lambda: room.watch.asleep == 1)
        late = asyncio.create_task(room.account.place(wanted("X", reduces=True)))
        await until(lambda: room.watch.asleep == 2)
        assert room.venue.hits("place") == 1
        room.watch.turn(1.0)
        assert isinstance(await late, Accepted)
        while not entry.done():
            await until(lambda: room.watch.asleep or entry.done())
            room.watch.turn(0.1)
        assert isinstance(await entry, Accepted)
        assert [order.tag for order in room.venue.orders()] == ["X", "E1"]


@BROKERS
async def test_the_orders_of_the_book_count_to_the_day_and_yesterdays_do_not(name: str) -> None:
    async with account(name) as room:
        for k in range(3):
            await placed(room, f"E{k}")
        room.account.budget.placed_today = 0  # a new process
        await room.account.get_orderbook()
        assert room.account.budget.placed_today == 3
        room.account.budget.placed_today = 0
        room.watch.turn(86_400)
        await room.account.get_orderbook()
        assert room.account.budget.placed_today == 0


async def test_entries_stop_where_the_exits_that_may_still_come_need_the_rest_of_the_day() -> None:
    async with account("kite") as room:
        room.account.budget.resume(4300)
        room.account.budget.open_exits = 198
        refused = await room.account.place(wanted())
        assert refused == Refused("not sent: 4300 orders today, what is left of 5000 is kept for exits", "budget")
        assert isinstance(await room.account.place(wanted("X", reduces=True)), Accepted)
        room.account.budget.open_exits = 0
        assert isinstance(await room.account.place(wanted("E")), Accepted)


@BROKERS
async def test_an_account_for_prices_only_sends_no_write(name: str) -> None:
    async with account(name, mode="prices") as room:
        for write in WRITES.values():
            outcome = await write(room.account, "1", "2")
            assert outcome == Refused(f"not sent: in mode prices nothing is ordered at {name}", "read_only")
        assert not any(room.venue.hits(what) for what in WRITES)


# --- reads ---
@BROKERS
async def test_a_read_that_the_broker_is_too_busy_for_is_asked_again_ever_later_and_not_for_ever(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def no_pause(attempt: int, first_s: float) -> None:
        pauses.append(attempt)

    monkeypatch.setattr(f"otrade_bot.brokers.{name}.{'broker' if name == 'kite' else 'wire'}.rest", no_pause)
    async with account(name) as room:
        room.venue.fail("book", *[room.venue.too_many()] * 5)
        assert await room.account.get_orderbook() == []
        assert room.venue.hits("book") == 6
        assert pauses == [0, 1, 2, 3, 4]
        room.venue.fail("book", *[room.venue.too_many()] * 6)
        with pytest.raises(BrokerException, match="429"):
            await room.account.get_orderbook()
        assert room.venue.hits("book") == 12


async def test_pauses_double_with_jitter_up_to_eight_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(pace.asyncio, "sleep", sleep)
    for attempt in (0, 1, 2, 3, 40):
        for _ in range(50):
            await pace.rest(attempt, 0.5)
    for k, middle in enumerate((0.5, 1.0, 2.0, 4.0, 8.0)):
        some = slept[50 * k : 50 * k + 50]
        assert min(some) >= middle / 2
        assert max(some) <= middle * 1.5
        assert len(set(some)) > 40, "jitter"


async def test_kite_is_asked_for_quotes_once_a_second_and_for_candles_three_times() -> None:
    async with account("kite", manual=True) as room:
        await room.account.quotes([FIRST])
        second = asyncio.create_task(room.account.quotes([FIRST]))
        await until(lambda: room.watch.asleep == 1)
        ask = [asyncio.create_task(room.account.candles(ITEMS[FIRST], "day", 0, 1)) for _ in range(4)]
        await until(lambda: room.watch.asleep == 2)
        await asyncio.gather(*ask[:3])
        assert (room.venue.hits("quote"), room.venue.hits("candles")) == (1, 3)
        room.watch.turn(1.0)
        await asyncio.gather(second, ask[3])
        assert (room.venue.hits("quote"), room.venue.hits("candles")) == (2, 4)


# --- the token ---
@BROKERS
async def test_a_token_that_is_refused_is_told_once_and_again_only_of_the_next(name: str) -> None:
    async with account(name) as room:
        room.account.set_access_token(OTHER_TOKEN)
        for _ in range(2):
            with pytest.raises(TokenException):
                await room.account.get_orderbook()
        assert isinstance(await room.account.place(wanted()), Refused)
        assert await room.account.session_fault()
        assert len(room.faults) == 1
        room.account.set_access_token(f"{OTHER_TOKEN}-2")
        assert isinstance(await room.account.place(wanted()), Refused)
        assert len(room.faults) == 2
        room.account.set_access_token(room.venue.api.token)
        assert await room.account.session_fault() == ""
        assert (len(room.faults), room.backs) == (2, 0)


@BROKERS
async def test_a_late_answer_to_yesterdays_token_says_nothing_of_todays(name: str) -> None:
    async with account(name) as room:
        held = Hang()
        room.venue.fail("funds", held)
        room.account.set_access_token(OTHER_TOKEN)
        asked = asyncio.create_task(room.account.get_funds())
        await until(lambda: held.holding)
        room.account.set_access_token(room.venue.api.token)
        held.release()
        with pytest.raises(TokenException):
            await asked
        assert room.faults == []


@BROKERS
async def test_a_token_that_works_again_is_told(name: str) -> None:
    async with account(name) as room:
        room.venue.fail("place", room.venue.token_no())
        await room.account.place(wanted())
        assert (len(room.faults), room.backs) == (1, 0)
        await room.account.get_funds()
        await room.account.get_funds()
        assert (len(room.faults), room.backs) == (1, 1)


@BROKERS
async def test_a_token_that_writes_are_refused_again_while_reads_are_answered_stays_refused(name: str) -> None:
    async with account(name) as room:
        for _ in range(3):
            room.account.budget.turned_away(0)
            room.venue.fail("place", room.venue.token_no())
            await room.account.place(wanted("X", reduces=True))
            await room.account.get_funds()
        assert (len(room.faults), room.backs) == (2, 1)
        assert isinstance(await room.account.place(wanted("Y", reduces=True)), Accepted)
        assert room.backs == 2, "a write that is taken ends the doubt"


@BROKERS
async def test_an_answer_to_what_left_before_the_refusal_and_public_data_prove_no_token(name: str) -> None:
    async with account(name) as room:
        held = Hang(after=True)
        room.venue.fail("funds", held)
        asked = asyncio.create_task(room.account.get_funds())
        await until(lambda: held.holding)
        token, room.venue.api.token = room.venue.api.token, OTHER_TOKEN
        with pytest.raises(TokenException):
            await room.account.get_orderbook()
        held.release()
        await asked
        room.venue.api.token = token
        await room.account.candles(ITEMS[FIRST], "day", 0, 1)
        assert (len(room.faults), room.backs) == (1, 0)
        await room.account.get_orderbook()
        assert (len(room.faults), room.backs) == (1, 1)


async def test_at_upstox_a_warm_connection_says_nothing_of_the_token() -> None:
    async with account("upstox") as room:
        room.venue.fail("place", room.venue.token_no())
        await room.account.place(wanted())
        await room.account.keep_warm()
        assert (len(room.faults), room.backs) == (1, 0)


@BROKERS
@pytest.mark.parametrize("status", [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN])
async def test_a_handshake_that_refuses_the_token_is_told_once_and_the_streams_go_on_trying(
    name: str, status: HTTPStatus
) -> None:
    async with account(name, manual=True) as room:
        room.venue.sockets.refusing = status
        async with running(room.account.run()):
            links = len(room.account_wires)
            await until(lambda: room.venue.sockets.refused == links)
            await until(lambda: room.faults)
            for _ in range(3):
                before = room.venue.sockets.refused
                await until(lambda: room.watch.asleep > links)  # keeping warm sleeps too
                room.watch.turn(60)
                await until(lambda before=before: room.venue.sockets.refused >= before + links)
            assert room.faults == [f"HTTP {int(status)}"]
            room.venue.sockets.refusing = None
            await until(lambda: room.watch.asleep > links)
            room.watch.turn(60)
            await room.connected()
            assert (len(room.faults), room.backs) == (1, 1)


@BROKERS
async def test_without_a_token_nothing_is_sent_to_the_streams_and_a_login_connects_them_at_once(name: str) -> None:
    async with account(name, manual=True) as room:
        token = room.venue.api.token
        room.account.set_access_token("")
        async with running(room.account.run()):
            await until(lambda: room.faults)
            assert "no access token: log in" in room.faults[0]
            await until(lambda: room.watch.asleep > len(room.account_wires))
            assert room.venue.sockets.links == []
            room.account.set_access_token(token)  # nobody has moved the clock
            await room.connected()
            assert isinstance(await room.account.place(wanted()), Accepted)
        assert len(room.faults) == 1


@BROKERS
async def test_a_new_token_takes_the_streams_there_at_once_and_the_books_are_due_again(name: str) -> None:
    async with account(name) as room, room.live():
        await until(lambda: room.books_due == 1)
        before = list(room.venue.sockets.links)
        room.venue.api.expire(cut=False)
        room.account.set_access_token(room.venue.api.token)
        await until(lambda: len(room.venue.sockets.links) == 2 * len(before))
        await room.connected()
        await until(lambda: room.books_due == 2)
        assert room.faults == []


# --- streams ---
@BROKERS
async def test_prices_come_by_symbol_in_paise_under_every_name_of_the_instrument(name: str) -> None:
    async with account(name) as room:
        alias = "NSE:ANOTHER NAME"
        told = type(LISTING)(
            instruments={**LISTING.instruments, alias: LISTING.instruments[FIRST]},
            keys={**LISTING.keys, alias: LISTING.keys[FIRST]},
        )
        room.account.learn(told)
        room.account.subscribe([FIRST, alias, FIRST])
        async with room.live():
            await until(lambda: len(room.prices) >= 2)
            room.venue.trade(FIRST, 100_055)
            room.venue.trade(SECOND_SHARE, 50_000)
            room.venue.tick(FIRST, SECOND_SHARE)
            await until(lambda: [price.ltp for price in room.prices[-2:]] == [100_055] * 2)
            assert {price.symbol for price in room.prices[-2:]} == {FIRST, alias}
            assert {price.symbol for price in room.prices} == {FIRST, alias}, "nobody wants the other share"
            assert all(price.exchange_ts_ns == room.watch.now_ns() for price in room.prices[-2:])


@BROKERS
async def test_tomorrows_list_moves_what_is_subscribed_to_its_tokens(name: str) -> None:
    async with account(name) as room:
        room.account.subscribe([FIRST])
        async with room.live():
            first, second = LISTING.instruments[FIRST], LISTING.instruments[SECOND_SHARE]
            swapped = type(LISTING)(
                instruments={FIRST: second, SECOND_SHARE: first},
                keys={FIRST: LISTING.keys[SECOND_SHARE], SECOND_SHARE: LISTING.keys[FIRST]},
            )
            room.account.learn(swapped)
            (wire, *_) = room.account_wires
            await until(lambda: any(room.venue.wants(link, wire[0]) for link in room.venue.sockets.live))
            room.prices.clear()
            room.venue.trade(SECOND_SHARE, 50_000)
            room.venue.tick(FIRST, SECOND_SHARE)
            await until(lambda: room.prices)
            assert [(price.symbol, price.ltp) for price in room.prices] == [(FIRST, 50_000)]


@BROKERS
async def test_what_is_not_listed_or_too_much_is_refused_with_nothing_subscribed(name: str) -> None:
    async with account(name) as room:
        with pytest.raises(ConfigException, match="NSE:NOBODY is not in"):
            room.account.subscribe([FIRST, "NSE:NOBODY"])
        most = 3000 if name == "kite" else 2000
        many = {f"NSE:S{k}": k for k in range(1, most + 2)}
        room.account.learn(
            type(LISTING)(
                instruments={s: type(ITEMS[FIRST])(s, k) for s, k in many.items()},
                keys={s: str(k) for s, k in many.items()},
            )
        )
        with pytest.raises(BrokerException, match=f"allowed: {most}"):
            room.account.subscribe(many)
        assert all(wire.keys == () for wire, _ in room.account_wires)


@BROKERS
async def test_an_order_update_is_reported_and_an_unreadable_one_costs_itself_and_asks_for_the_books(name: str) -> None:
    async with account(name) as room, room.live():
        await until(lambda: room.books_due == 1)
        await placed(room, "E1", **MARKET)
        await until(lambda: [report.tag for report in room.reports][-1:] == ["E1"])
        room.reports.clear()
        for broken in ('{"type": "order", "data": {"order_id": ""}, "update_type": "order"}', "no json", "{"):
            room.venue.sockets.send(broken)
        await until(lambda: room.books_due == 2)
        await placed(room, "E2", **MARKET)
        await until(lambda: [report.tag for report in room.reports][-1:] == ["E2"])
        assert room.states.count(("orders", StreamState.LIVE, "")) == 1, "the connection has stood"
        assert room.books_due == 2, "three such rows within a second asked once"


@BROKERS
async def test_the_books_are_due_each_time_the_order_stream_is_live(name: str) -> None:
    async with account(name, manual=True) as room, room.live():
        await until(lambda: room.books_due == 1)
        links = len(room.account_wires)
        room.venue.sockets.hang_up()
        await until(lambda: room.watch.asleep > links)
        assert ("orders", StreamState.OFFLINE) in [told[:2] for told in room.states]
        room.watch.turn(60)
        await room.connected()
        await until(lambda: room.books_due == 2)


@BROKERS
async def test_what_a_listener_raises_ends_the_run_with_it(name: str) -> None:
    async with account(name) as room:

        def full(order: object) -> None:
            raise JournalException("the disk is full")

        room.account.report = full
        run = asyncio.create_task(room.account.run())
        await room.connected()
        await placed(room, **MARKET)
        with pytest.raises(JournalException, match="the disk is full"):
            await run


# --- what is owned ---
@BROKERS
async def test_what_is_owned_is_counted_once_bought_today_on_its_way_delivered_and_sold(name: str) -> None:
    async with account(name) as room:
        market = {**MARKET, "product": Product.CNC}
        await placed(room, "B", **market)
        assert (await room.account.get_net())[FIRST, "CNC"] == 10, "a position"
        room.venue.api.exchange.overnight()
        assert (await room.account.get_net())[FIRST, "CNC"] == 10, "T1: on its way into the holdings"
        assert await room.account.get_positions() == []
        room.venue.api.exchange.overnight()
        assert (await room.account.get_net())[FIRST, "CNC"] == 10, "delivered"
        await placed(room, "S", side=Side.SELL, reduces=True, **{**market, "quantity": 4})
        assert (await room.account.get_net())[FIRST, "CNC"] == 6, "sold out of the holdings"
        assert room.venue.net(FIRST, Product.CNC) == 6
        room.venue.api.exchange.overnight()
        assert (await room.account.get_net())[FIRST, "CNC"] == 6
