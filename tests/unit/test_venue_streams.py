"""The loopback venues' streams, files and login pages, heard and read by the real clients."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from datetime import date
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from otrade_bot.brokers.kite import KiteBroker, KiteSettings
from otrade_bot.brokers.kite.stream import KiteStream, Tick
from otrade_bot.brokers.stream import StreamSettings, StreamState
from otrade_bot.brokers.upstox import UpstoxBroker, UpstoxSettings
from otrade_bot.brokers.upstox.stream import KeyTick, UpstoxOrders, UpstoxPrices
from otrade_bot.core.clock import MINUTE, SECOND, ManualClock, at_ist
from otrade_bot.core.model import Accepted, Instrument, OrderRequest, OrderStatus, OrderType, Product, Side
from tests.unit.stream_room import Nap, running, until
from tests.venues.kite import Kite
from tests.venues.shares import kite_shares, listed, upstox_shares
from tests.venues.upstox import UpstoxApi

DAY = date(2026, 9, 16)
SHARES = listed(3, 1)
ONE, TWO, _ = SHARES
SHARE = Instrument(ONE.symbol, ONE.token)
QUIET = StreamSettings(silence=0)


def market(tag: str = "T1") -> OrderRequest:
    return OrderRequest(tag, SHARE, Side.BUY, 10, Product.MIS, OrderType.MARKET)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(at_ist(DAY, 10))


@pytest.fixture
async def kite(clock: ManualClock) -> AsyncIterator[Kite]:
    venue = Kite(kite_shares(SHARES), clock)
    venue.open()
    yield venue
    await venue.close()


@pytest.fixture
async def upstox(clock: ManualClock) -> AsyncIterator[UpstoxApi]:
    async with UpstoxApi(shares=upstox_shares(SHARES), clock=clock) as api:
        yield api


# --- prices ---
async def test_kite_tells_the_price_at_once_and_each_new_one_at_market_time(kite: Kite, clock: ManualClock) -> None:
    ticks: list[Tick] = []
    kite.price(100_000)
    stream = KiteStream(kite.API_KEY, kite.token, root=kite.ws_root, settings=QUIET, on_ticks=ticks.extend)
    stream.subscribe([ONE.token, TWO.token])
    async with running(stream.run()):
        await until(lambda: len(ticks) == 2)
        assert ticks == [Tick(ONE.token, 100_000, 10), Tick(ONE.token, 100_000, 10, clock.now_ns())]
        clock.advance_to(clock.now_ns() + SECOND)
        kite.stream.heartbeat()
        kite.price(100_050)
        kite.price(50_005, TWO.symbol)
        await until(lambda: len(ticks) == 4)
    now = clock.now_ns()
    assert ticks[2:] == [Tick(ONE.token, 100_050, 20, now), Tick(TWO.token, 50_005, 10, now)]
    assert stream.wire.frames == kite.stream.sockets.links[0].sent
    assert (stream.wire.dropped, kite.stream.faults) == (0, [])


@pytest.mark.parametrize("mode", ["full", "ltpc", "option_greeks"])
async def test_upstox_tells_the_price_at_once_and_each_new_one_at_market_time(
    upstox: UpstoxApi, clock: ManualClock, mode: Any
) -> None:
    ticks: list[KeyTick] = []
    upstox.price(100_000)
    stream = UpstoxPrices(upstox.token, root=upstox.ws_root, on_ticks=ticks.extend, mode=mode)
    stream.subscribe([ONE.upstox_key, TWO.upstox_key])
    async with running(stream.run()):
        await until(lambda: ticks)
        clock.advance_to(clock.now_ns() + SECOND)
        upstox.price(100_050)
        await until(lambda: len(ticks) == 2)
    volume = 0 if mode == "ltpc" else 20
    assert ticks[1] == KeyTick(ONE.upstox_key, 100_050, volume, clock.now_ns())
    assert (stream.wire.dropped, upstox.stream.faults) == (0, [])


# --- order updates ---
async def test_kites_order_updates_come_by_the_stream_and_can_be_lost_repeated_and_turned_round(kite: Kite) -> None:
    told: list[tuple[str, OrderStatus]] = []
    broker = KiteBroker(KiteSettings(kite.API_KEY, kite.token, kite.root))
    broker.report = lambda order: told.append((order.tag, order.status))
    stream = KiteStream(
        kite.API_KEY, kite.token, root=kite.ws_root, settings=QUIET, on_order_update=broker.on_order_update
    )
    kite.price(100_000)
    async with running(stream.run()):
        await until(lambda: kite.stream.sockets.live)
        heartbeats = 1
        await _told(broker.place, kite.stream.updates, told, lambda: kite.stream.sockets.live[0].sent - heartbeats)
        assert stream.wire.frames == kite.stream.sockets.live[0].sent
    await broker.aclose()


async def test_upstoxs_order_updates_come_by_the_stream_and_can_be_lost_repeated_and_turned_round(
    upstox: UpstoxApi,
) -> None:
    told: list[tuple[str, OrderStatus]] = []
    settings = UpstoxSettings(host=upstox.root, order_host=upstox.root)
    broker = UpstoxBroker({ONE.symbol: ONE.upstox_key}, settings, upstox.token)
    broker.report = lambda order: told.append((order.tag, order.status))
    stream = UpstoxOrders(upstox.token, root=upstox.ws_root, on_order_update=broker.on_order_update)
    upstox.price(100_000)
    async with running(stream.run()):
        await until(lambda: upstox.stream.sockets.live)
        await _told(broker.place, upstox.stream.updates, told, lambda: upstox.stream.sockets.live[0].sent)
        assert stream.wire.frames == upstox.stream.sockets.live[0].sent
    await broker.aclose()


async def _told(place: Any, updates: Any, told: list[tuple[str, OrderStatus]], sent: Callable[[], int]) -> None:
    async def order(tag: str) -> None:
        assert isinstance(await place(market(tag)), Accepted)

    await order("fine")
    await until(lambda: told)
    assert told[-1] == ("fine", OrderStatus.COMPLETE)
    updates.lose()
    await order("lost")
    updates.well()
    updates.repeat(2)
    await order("twice")
    await until(lambda: len([one for one in told if one == ("twice", OrderStatus.COMPLETE)]) == 2)
    updates.well()
    updates.hold()
    await order("first")
    await order("second")
    assert {tag for tag, _ in told} == {"fine", "twice"}
    updates.release(newest_first=True)
    await until(lambda: told[-1][0] == "first")
    assert [tag for tag, _ in told].index("second") < [tag for tag, _ in told].index("first")
    assert sent() == len(told)


# --- beside another process ---
CLIENT = """
import asyncio, logging
from otrade_bot.brokers.factory import BrokerFactory
from otrade_bot.config.secrets import load_secrets
from otrade_bot.core.clock import SystemClock
from otrade_bot.core.model import Instrument

class Listing:
    instruments = {"%(symbol)s": Instrument("%(symbol)s", %(token)d)}
    keys = {"%(symbol)s": "%(key)s"}

async def main():
    account = BrokerFactory.create_broker("%(broker)s", load_secrets(None), clock=SystemClock())
    heard = asyncio.Event()
    account.on_prices = lambda prices: (print(prices[0].symbol, prices[0].ltp), heard.set())
    account.learn(Listing)
    account.subscribe(Listing.instruments)
    work = asyncio.create_task(account.run())
    await asyncio.wait_for(heard.wait(), 20)
    print(len(await account.get_orderbook()), await account.session_fault() == "")
    work.cancel()
    await account.aclose()

asyncio.run(main())
"""


@pytest.mark.parametrize("name", ["kite", "upstox"])
async def test_a_process_of_its_own_finds_the_venue_by_its_environment(
    name: str, kite: Kite, upstox: UpstoxApi
) -> None:
    venue: Any = {"kite": kite, "upstox": upstox}[name]
    venue.price(100_000)
    code = CLIENT % {"broker": name, "symbol": ONE.symbol, "token": ONE.token, "key": ONE.upstox_key}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, env={**os.environ, **venue.environment()}
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    said = out.decode().splitlines()
    assert (set(said[:-1]), said[-1]) == ({f"{ONE.symbol} 100000"}, "0 True")


# --- handshakes and cuts ---
async def test_a_token_that_has_expired_is_refused_at_the_handshake_and_the_next_one_is_let_in(
    kite: Kite, upstox: UpstoxApi
) -> None:
    for venue, make in ((kite, _kite_stream), (upstox, _upstox_stream)):
        states: list[tuple[StreamState, str]] = []
        stream = make(venue, lambda state, why, states=states: states.append((state, why)))
        async with running(stream.run()):
            await until(lambda venue=venue: venue.stream.sockets.live)
            venue.expire()
            await until(lambda states=states: states[-1][0] is StreamState.REFUSED)
            assert states[-1][1] == ("HTTP 403" if venue is kite else "HTTP 401")
            stream.set_access_token(venue.token)
            await until(lambda states=states: states[-1][0] is StreamState.LIVE)


async def test_a_stream_can_be_silent_cut_and_away_and_comes_back(kite: Kite) -> None:
    ticks: list[Tick] = []
    states: list[StreamState] = []
    stream = _kite_stream(kite, lambda state, why: states.append(state), ticks)
    stream.subscribe([ONE.token])
    sockets = kite.stream.sockets
    async with running(stream.run()):
        await until(lambda: sockets.live and sockets.live[0].wanted == {ONE.token: "full"})
        sockets.silence()
        kite.price(100_000)
        sockets.silence(False)
        kite.price(100_050)
        await until(lambda: ticks)
        assert [tick.ltp_paise for tick in ticks] == [100_050]
        sockets.down()
        await until(lambda: states[-1] is StreamState.OFFLINE)
        sockets.up()
        await until(lambda: states[-1] is StreamState.LIVE)
        await until(lambda: len(ticks) >= 3)  # what it last cost, again
        assert {tick.ltp_paise for tick in ticks} == {100_050}


def _kite_stream(venue: Any, on_state: Any, ticks: list[Tick] | None = None) -> Any:
    return KiteStream(
        venue.API_KEY, venue.token, root=venue.ws_root, settings=QUIET, sleep=Nap().sleep, on_state=on_state,
        on_ticks=[].extend if ticks is None else ticks.extend,
    )  # fmt: skip


def _upstox_stream(venue: Any, on_state: Any) -> Any:
    return UpstoxOrders(
        venue.token, root=venue.ws_root, on_order_update=lambda row: None, sleep=Nap().sleep, on_state=on_state
    )


# --- the exchange's clock ---
async def test_orders_bear_market_time_and_may_be_missing_in_the_book_for_so_long(
    kite: Kite, upstox: UpstoxApi, clock: ManualClock
) -> None:
    keys = {ONE.symbol: ONE.upstox_key}
    brokers = [
        (kite, KiteBroker(KiteSettings(kite.API_KEY, kite.token, kite.root))),
        (upstox, UpstoxBroker(keys, UpstoxSettings(host=upstox.root, order_host=upstox.root), upstox.token)),
    ]
    for venue, _ in brokers:
        venue.price(100_000)
        venue.exchange.late_s = 30
    for _, broker in brokers:
        assert isinstance(await broker.place(market()), Accepted)
        assert await broker.get_orderbook() == []
    placed = clock.now_ns()
    clock.advance_to(placed + 30 * SECOND)
    for _, broker in brokers:
        (order,) = await broker.get_orderbook()
        assert (order.placed_ns, order.status) == (placed, OrderStatus.COMPLETE)
        await broker.aclose()


async def test_answers_bear_the_exchanges_date_as_wrong_as_wanted(
    kite: Kite, upstox: UpstoxApi, clock: ManualClock
) -> None:
    for venue in (kite, upstox):
        venue.skew_s = -90
        async with httpx.AsyncClient() as client:
            answer = await client.get(venue.root)
        assert parsedate_to_datetime(answer.headers["Date"]).timestamp() == clock.now_ns() // SECOND - 90


async def test_candles_are_what_was_traded_today_and_the_same_history_at_both(
    kite: Kite, upstox: UpstoxApi, clock: ManualClock
) -> None:
    found = []
    for price in (100_000, 100_200, 99_900, 100_100):
        for venue in (kite, upstox):
            venue.price(price)
        clock.advance_to(clock.now_ns() + MINUTE // 2)
    kite_broker = KiteBroker(KiteSettings(kite.API_KEY, kite.token, kite.root))
    settings = UpstoxSettings(host=upstox.root, order_host=upstox.root)
    upstox_broker = UpstoxBroker({ONE.symbol: ONE.upstox_key}, settings, upstox.token)
    for venue in (kite, upstox):
        venue.tape.base = {ONE.symbol: 100_000}
    for broker in (kite_broker, upstox_broker):
        today = await broker.candles(SHARE, "1m", at_ist(DAY, 0), clock.now_ns())
        assert [(c.open, c.high, c.low, c.close, c.volume) for c in today] == [
            (100_000, 100_200, 100_000, 100_200, 20), (99_900, 100_100, 99_900, 100_100, 20),
        ]  # fmt: skip
        found.append(await broker.candles(SHARE, "1m", at_ist(date(2026, 9, 11), 0), at_ist(date(2026, 9, 15), 23)))
        await broker.aclose()
    assert len(found[0]) == 2 * 375  # the 14th was a holiday
    assert found[0] == found[1]


# --- files and logins ---
async def test_kites_instruments_tell_which_shares_close_by_auction_and_can_be_short(kite: Kite) -> None:
    broker = KiteBroker(KiteSettings(kite.API_KEY, kite.token, kite.root))
    found = {one.symbol: one for one in await broker.instruments()}
    assert [found[one.symbol].closing_auction for one in SHARES] == [True, False, False]
    assert [(found[one.symbol].token, found[one.symbol].tick) for one in SHARES] == [
        (one.token, one.tick) for one in SHARES
    ]
    kite.unlisted.add(TWO.symbol)
    assert TWO.symbol not in {one.symbol for one in await broker.instruments()}
    await broker.aclose()


async def test_upstoxs_instruments_are_a_gzipped_file_and_can_be_short(upstox: UpstoxApi) -> None:
    upstox.unlisted.add(TWO.upstox_key)
    async with httpx.AsyncClient() as client:
        answer = await client.get(upstox.root + "/market-quote/instruments/exchange/NSE.json.gz")
    rows = json.loads(gzip.decompress(answer.content))
    assert [(row["trading_symbol"], row["cas_eligible"], row["tick_size"]) for row in rows] == [
        (one.name, one.auctioned, one.tick) for one in SHARES if one is not TWO
    ]


async def test_kites_login_page_gives_a_request_token_that_is_good_once(kite: Kite) -> None:
    from kiteconnect import KiteConnect
    from kiteconnect.exceptions import TokenException

    kite.expire()
    async with httpx.AsyncClient() as client:
        address = f"{kite.root}/connect/login?v=3&api_key={kite.API_KEY}&redirect_params=state%3Dabc"
        sent_to = httpx.URL((await client.get(address)).headers["Location"])
    assert (sent_to.params["state"], sent_to.params["status"]) == ("abc", "success")
    sdk = KiteConnect(kite.API_KEY, root=kite.root)
    session = await _in_thread(lambda: sdk.generate_session(sent_to.params["request_token"], kite.SECRET))
    assert session["access_token"] == kite.token != kite.TOKEN
    with pytest.raises(TokenException):
        await _in_thread(lambda: sdk.generate_session(sent_to.params["request_token"], kite.SECRET))


async def test_upstoxs_login_page_gives_a_code_that_is_good_once(upstox: UpstoxApi) -> None:
    dialog = {
        "response_type": "code", "client_id": upstox.API_KEY, "redirect_uri": upstox.REDIRECT, "state": "a/b",
    }  # fmt: skip
    async with httpx.AsyncClient(base_url=upstox.root) as client:
        sent_to = httpx.URL((await client.get("/v2/login/authorization/dialog", params=dialog)).headers["Location"])
        assert sent_to.params["state"] == "a/b"
        form = {
            "code": sent_to.params["code"], "client_id": upstox.API_KEY, "client_secret": upstox.SECRET,
            "redirect_uri": upstox.REDIRECT, "grant_type": "authorization_code",
        }  # fmt: skip
        first = await client.post("/v2/login/authorization/token", data=form)
        again = await client.post("/v2/login/authorization/token", data=form)
    assert (first.json()["access_token"], again.status_code) == (upstox.token, 401)


async def _in_thread(work: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(work)
