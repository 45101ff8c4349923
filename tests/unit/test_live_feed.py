"""Prices from the brokers' streams to the engine: at their own moments, none lost, from the broker that has any."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from harness.bench import Bench, config
from price_room import DAY, INFY, RELIANCE, Room, room
from stream_room import running, until

from otrade_bot.brokers.feeds.minutes import Heard
from otrade_bot.brokers.kite.stream import ticks_of
from otrade_bot.brokers.listing import Listings
from otrade_bot.brokers.ltp import LTPStore
from otrade_bot.brokers.middleware import UnifiedBrokerMiddleware
from otrade_bot.brokers.stream import StreamState
from otrade_bot.brokers.streams import LivePrice
from otrade_bot.brokers.upstox.assets import UpstoxAssets
from otrade_bot.brokers.upstox.stream import ticks_of as upstox_ticks_of
from otrade_bot.core.clock import MINUTE, SECOND, at_ist
from otrade_bot.core.model import Instrument, InstrumentKind
from otrade_bot.service import live_feed
from otrade_bot.service.day import inputs, stream_of
from otrade_bot.service.live_prices import LiveFeed, LiveSource
from tests.venues.kite_stream import framed, full
from tests.venues.upstox_stream import PRICES

SETTINGS = config("momentum_ladder", (RELIANCE, INFY), "1m", risk={"spike_percent": 5.0, "spike_confirmations": 3})
SHARES = (Instrument(RELIANCE, 738561), Instrument(INFY, 408065))
TOKEN = 738561


class Way:
    """How prices get to the engine: in frames that compiled code takes, or one by one, which must be the same."""

    frames = True


@pytest.fixture(autouse=True, params=["in frames", "one by one"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Way, "frames", request.param == "in frames")


class Desk:
    """A feed over both brokers' real connections, and an engine that it may be bound to."""

    def __init__(self, made: Room, folder: Path, backup: bool) -> None:
        self.made, self.told = made, list[str]()
        second = made.upstox if backup else None
        self.feed = LiveFeed(made.kite, second, clock=made.clock, calendar=SETTINGS.calendar, alert=self.told.append)
        assets = UpstoxAssets(made.upstox_venue.root)
        lists = Listings(folder / "instruments", made.clock, assets=assets)
        self.source = LiveSource(self.feed, lists, SETTINGS, made.clock)
        self.bench = Bench.paper(folder / "paper.jsonl", SETTINGS, instruments=SHARES, day=DAY)
        self.bench.clock = made.clock
        self.bench.engine.clock = made.clock
        self.bench.engine.pause("the test")
        self.seen: list[tuple[str, int, int, int]] = []
        self.bench.engine.add_price_listener(lambda *told: self.seen.append(told))
        self.heard = 0
        self.last: dict[tuple[str, str], tuple[int, int]] = {}
        self._count()

    def _count(self) -> None:
        """How many frames of prices have come, whoever they are from."""
        for broker in self.feed.brokers:
            listener = broker.on_prices

            def count(prices: list[LivePrice], listener: Any = listener, name: str = broker.name) -> None:
                listener(prices)
                self.heard += 1
                self.last |= {(name, told.symbol): (told.ltp, told.volume) for told in prices}

            broker.on_prices = count
            self._count_frames(broker)

    def _count_frames(self, broker: UnifiedBrokerMiddleware) -> None:
        listener, wanted = broker.on_frame, broker.streams.wanted

        def count(frame: bytes) -> bool:
            if not Way.frames or not listener(frame):
                return False
            if broker.name == "kite":
                told: Any = [(one.token, one.ltp_paise, one.volume) for one in ticks_of(frame)]
            else:
                told = [(one.key, one.ltp_paise, one.volume) for one in upstox_ticks_of(frame)]
            found = {(broker.name, name): (paise, volume) for key, paise, volume in told
                     for name in wanted.symbols.get(key, ())}  # fmt: skip
            self.last |= found
            self.heard += bool(found)
            return True

        broker.on_frame = count

    def bind(self) -> None:
        self.feed.bind(self.bench.engine)

    def take(self) -> dict[str, list[Heard]]:
        """A moment later."""
        self.made.clock.advance_to(self.made.clock.now_ns() + SECOND // 1000)
        return self.feed.take(DAY)

    @property
    def prices(self) -> list[int]:
        return [price for _, _, price, _ in self.seen]

    async def trade(self, symbol: str, paise: int, quantity: int = 10, *, brokers: int = 2) -> None:
        """Traded, told by the streams, and heard by so many brokers' accounts."""
        self.made.trade(symbol, paise, quantity)
        volumes = {"kite": self.made.kite_venue.tape, "upstox": self.made.upstox_venue.tape}
        wanted = {(name, symbol): (paise, tape.volume(symbol)) for name, tape in volumes.items() if tape is not None}
        await until(lambda: sum(self.last.get(key) == told for key, told in wanted.items()) >= brokers)


@asynccontextmanager
async def desk(tmp_path: Path, *, backup: bool = True, hour: int = 10) -> AsyncIterator[Desk]:
    """In the middle of a day, nothing traded yet; both brokers' streams are live."""
    async with room(hour) as made, AsyncExitStack() as stack:
        one = Desk(made, tmp_path, backup)
        await one.source.learn(DAY, [RELIANCE, INFY])
        for broker in one.feed.brokers:
            await stack.enter_async_context(running(broker.run()))
        await subscribed(one)
        yield one


async def subscribed(one: Desk) -> None:
    kite, upstox = one.made.kite_venue.stream.sockets, one.made.upstox_venue.stream
    await until(lambda: any(len(link.wanted) == 2 and "full" in link.wanted.values() for link in kite.live))
    if len(one.feed.brokers) > 1:
        await until(lambda: any(len(link.wanted) == 2 for link in upstox.links(PRICES)))
    await until(lambda: all(age.state is StreamState.LIVE for age in one.feed.ages()))


def kite_sends(one: Desk, paise: int, volume: int, stamp_ns: int) -> None:
    frame = framed(full(TOKEN, paise, volume, stamp_ns // SECOND))
    one.made.kite_venue.stream.sockets.send(frame)


async def heard(one: Desk, send: Callable[[], None]) -> None:
    before = one.heard
    send()
    await until(lambda: one.heard > before)


# --- moments and volumes --------------------------------------------------------------------------------------------


async def test_a_price_comes_at_the_moment_at_which_it_is_heard(tmp_path: Path) -> None:
    async with desk(tmp_path, backup=False) as one:
        one.bind()
        now = one.made.at(10, 0, 1)
        await one.trade(RELIANCE, 100_000, 25, brokers=1)
        assert one.seen == [(RELIANCE, now, 100_000, 0)], "what was traded before is no volume of this bar"
        assert (one.feed.ltp.price(RELIANCE), one.feed.ltp.age_ns(RELIANCE, now + SECOND)) == (100_000, SECOND)


async def test_a_snapshot_of_an_old_price_counts_at_its_own_moment(tmp_path: Path) -> None:
    async with desk(tmp_path, backup=False) as one:
        one.bind()
        now = one.made.at(10, 0, 30)
        await heard(one, lambda: kite_sends(one, 100_000, 10, now - 25 * SECOND))
        await heard(one, lambda: kite_sends(one, 100_005, 20, now - 4 * SECOND))
        await heard(one, lambda: kite_sends(one, 100_010, 30, now + 90 * SECOND))  # an exchange whose clock is ahead
        assert [ts - now for _, ts, _, _ in one.seen] == [-25 * SECOND, 0, 1]


async def test_prices_of_one_moment_keep_their_order(tmp_path: Path) -> None:
    async with desk(tmp_path, backup=False) as one:
        one.bind()
        now = one.made.at(10, 0, 1)
        packets = [full(TOKEN, 100_000 + 5 * k, 10 + k, now // SECOND) for k in range(4)]
        await heard(one, lambda: one.made.kite_venue.stream.sockets.send(framed(*packets)))
        await heard(one, lambda: kite_sends(one, 100_100, 90, now - 60 * SECOND))
        assert one.prices == [100_000, 100_005, 100_010, 100_015, 100_100]
        stamps = [ts for _, ts, _, _ in one.seen]
        assert stamps == sorted(set(stamps))


async def test_yesterdays_last_price_is_no_price_of_today(tmp_path: Path) -> None:
    async with desk(tmp_path, backup=False, hour=9) as one:
        one.bind()
        one.made.at(9, 15, 1)
        await heard(one, lambda: kite_sends(one, 100_000, 10, at_ist(DAY.replace(day=19), 15, 29)))
        assert one.seen == []


async def test_a_stream_that_tells_no_volume_leaves_it_where_it_was(tmp_path: Path) -> None:
    async with desk(tmp_path, backup=False) as one:
        one.bind()
        one.made.at(10, 0, 1)
        await one.trade(RELIANCE, 100_000, 25, brokers=1)
        now = one.made.at(10, 0, 3)
        await heard(one, lambda: kite_sends(one, 100_005, 0, now))
        await one.trade(RELIANCE, 100_010, 5, brokers=1)
        assert [volume for *_, volume in one.seen] == [0, 0, 5]


async def test_a_change_of_the_order_book_begins_no_bar(tmp_path: Path) -> None:
    """The exchange's candle of a minute begins with its first trade, and one without a trade does not exist."""
    async with desk(tmp_path, backup=False) as one:
        one.bind()
        row = one.bench.engine.state[0]
        one.made.at(10, 0, 1)
        await one.trade(RELIANCE, 100_000, brokers=1)
        one.made.at(10, 0, 3)
        await heard(one, lambda: one.made.kite_venue.stream.ticks([RELIANCE]))
        assert len(one.seen) == 2, "within a bar it shows that the price still holds"
        for minute in (1, 2):
            one.made.at(10, minute)
            one.bench.engine.on_time(one.made.clock.now_ns())
            await heard(one, lambda: one.made.kite_venue.stream.ticks([RELIANCE]))
        assert (len(one.seen), int(row["day_bars"]), int(row["bar_ticks"])) == (2, 1, 0)
        one.made.at(10, 2, 30)
        await one.trade(RELIANCE, 100_000, brokers=1)
        assert (len(one.seen), int(row["bar_ticks"])) == (3, 1), "a trade at the same price is one"


async def test_yesterdays_close_is_no_price_before_the_first_trade(tmp_path: Path) -> None:
    async with desk(tmp_path, backup=False, hour=9) as one:
        one.bind()
        now = one.made.at(9, 15, 1)
        await heard(one, lambda: kite_sends(one, 99_000, 0, now))
        assert one.seen == []
        await heard(one, lambda: kite_sends(one, 99_500, 400, now))
        assert one.prices == [99_500]


async def test_an_index_has_prices_without_trades(tmp_path: Path) -> None:
    async with room(10) as made:
        symbol = "NSE:NIFTY 50"
        feed = LiveFeed(made.kite, clock=made.clock, calendar=SETTINGS.calendar)
        index = Instrument(symbol, 256265, InstrumentKind.INDEX)
        bench = Bench.paper(tmp_path / "paper.jsonl", SETTINGS, instruments=(*SHARES, index), day=DAY)
        bench.engine.clock = made.clock
        feed.bind(bench.engine)
        for second in (1, 2, 3):
            made.at(10, 0, second)
            made.kite.on_prices([LivePrice(symbol, 2_600_000 + second)])
        row = bench.engine.table[bench.engine.by_symbol[symbol]]
        assert (row.ltp, row.ticks) == (2_600_003, 3)


async def test_volume_goes_on_from_what_the_candles_have(tmp_path: Path) -> None:
    """Candles and stream count a little differently; the bar under way must neither leap nor lose its prices."""
    async with desk(tmp_path, backup=False) as one:
        one.bench.engine.table[0].volume = 5_000
        one.bench.engine.state[0]["volume"] = 5_000
        one.bind()
        now = one.made.at(10, 0, 1)
        await heard(one, lambda: kite_sends(one, 100_000, 4_100, now))
        await heard(one, lambda: kite_sends(one, 100_005, 4_130, now))
        assert [volume for *_, volume in one.seen] == [5_000, 5_030]


async def test_what_was_traded_before_anybody_looked_is_no_bars_volume(tmp_path: Path) -> None:
    """At the open it is: the first price of the day has the auction's volume with it."""
    async with desk(tmp_path, backup=False, hour=9) as one:
        one.bind()
        one.made.at(9, 15, 1)
        await one.trade(RELIANCE, 100_000, 4_000, brokers=1)
        now = one.made.at(10, 0)
        packet = full(408065, 50_000, 9_000, now // SECOND), full(408065, 50_005, 9_010, now // SECOND)
        await heard(one, lambda: one.made.kite_venue.stream.sockets.send(framed(*packet)))
        assert [volume for *_, volume in one.seen] == [4_000, 0, 10]


async def test_what_the_engine_raises_ends_the_connection_it_came_over(tmp_path: Path) -> None:
    """A stream would call it a frame that cannot be read, and trading would go on half alive."""

    def broken(ts: int) -> None:
        raise ZeroDivisionError("the kernel")

    async with room(10) as made:
        one = Desk(made, tmp_path, backup=False)
        await one.source.learn(DAY, [RELIANCE])
        one.bind()
        one.bench.engine._notice = broken  # type: ignore[method-assign]
        made.trade(RELIANCE, 100_000)
        with pytest.raises(ZeroDivisionError):
            await made.kite.run()


# --- while no engine is there ---------------------------------------------------------------------------------------


async def test_prices_wait_for_an_engine_and_come_first(tmp_path: Path) -> None:
    async with desk(tmp_path, backup=False) as one:
        for second in (1, 2, 3):
            one.made.at(10, 0, second)
            await one.trade(RELIANCE, 100_000 + second * 5, brokers=1)
        assert one.seen == []
        one.bind()
        assert [ts - at_ist(DAY, 10) for _, ts, _, _ in one.seen] == [SECOND, 2 * SECOND, 3 * SECOND]
        one.feed.release()
        one.made.at(10, 0, 5)
        await one.trade(INFY, 50_000, brokers=1)
        assert len(one.seen) == 3
        one.bind()
        assert one.prices[3:] == [50_000]


async def test_what_is_taken_waits_no_longer(tmp_path: Path) -> None:
    async with desk(tmp_path, backup=False) as one:
        one.made.at(10, 0, 1)
        await one.trade(RELIANCE, 100_000, brokers=1)
        assert one.feed.take(DAY) == {}, "what comes in the moment of the opening is the desk's"
        taken = one.take()
        assert [told.price for told in taken[RELIANCE]] == [100_000]
        one.made.at(10, 0, 2)
        await one.trade(RELIANCE, 100_005, brokers=1)
        one.bind()
        assert one.prices == [100_005]


async def test_after_a_gap_nothing_from_before_it_passes_for_the_whole(tmp_path: Path) -> None:
    """Half a minute of prices would pass for a whole one; the candles have all of it."""
    async with desk(tmp_path, backup=False) as one:
        one.made.at(10, 0, 1)
        await one.trade(RELIANCE, 100_000, brokers=1)
        assert one.feed.whole_ns == at_ist(DAY, 10)
        one.made.kite_venue.stream.sockets.hang_up()
        await until(lambda: one.feed.ages()[0].state is StreamState.OFFLINE)
        assert (one.feed.whole_ns, one.feed.take(DAY)) == (0, {})
        now = one.made.at(10, 0, 20)
        await subscribed(one)
        assert one.feed.whole_ns == now
        one.made.at(10, 0, 25)
        await one.trade(RELIANCE, 100_010, brokers=1)
        assert [told.price for told in one.take()[RELIANCE]][-1] == 100_010
        assert all(told.ts >= now for told in one.take()[RELIANCE])


async def test_a_clock_that_is_set_back_holds_no_price_in_the_future(tmp_path: Path) -> None:
    async with desk(tmp_path, backup=False) as one:
        one.bind()
        one.made.at(10, 30)
        await one.trade(RELIANCE, 100_000, brokers=1)
        now = one.made.clock._now = at_ist(DAY, 9, 59)
        one.feed.record()
        await one.trade(RELIANCE, 100_005, brokers=1)
        assert one.prices == [100_000], "the desk that is relieved has seen a later one"
        one.feed.release()
        later = Bench.paper(tmp_path / "later.jsonl", SETTINGS, instruments=SHARES, day=DAY)
        later.engine.clock = one.made.clock
        seen: list[int] = []
        later.engine.add_price_listener(lambda symbol, ts, price, volume: seen.append(ts))
        one.feed.bind(later.engine)
        assert seen == [now]


async def test_a_desk_that_is_to_be_relieved_trades_on_while_prices_are_kept_for_the_next(tmp_path: Path) -> None:
    async with desk(tmp_path, backup=False) as one:
        one.bind()
        one.made.at(10, 0, 1)
        await one.trade(RELIANCE, 100_000, brokers=1)
        one.feed.record()
        for second in (2, 3):
            one.made.at(10, 0, second)
            await one.trade(RELIANCE, 100_000 + second * 5, brokers=1)
        assert one.prices == [100_000, 100_010, 100_015]
        assert [told.price for told in one.take()[RELIANCE]] == [100_010, 100_015]
        one.feed.release()
        one.made.at(10, 0, 4)
        await one.trade(RELIANCE, 100_020, brokers=1)
        assert [told.price for told in one.take()[RELIANCE]] == [100_010, 100_015, 100_020], "nothing is lost"
        one.made.at(10, 0, 5)
        await one.trade(RELIANCE, 100_025, brokers=1)
        one.bind()
        assert one.prices == [100_000, 100_010, 100_015, 100_025]


async def test_a_day_that_was_prepared_ahead_is_opened_without_asking_again(tmp_path: Path) -> None:
    async with desk(tmp_path, backup=False) as one:
        one.bind()
        one.made.at(10, 0, 30)
        await one.trade(RELIANCE, 100_000, 7, brokers=1)
        await one.source.prepare(DAY, [RELIANCE, INFY])
        asked = one.made.kite_venue.hits("historical")
        one.made.at(10, 1, 30)
        await one.trade(RELIANCE, 100_050, 5, brokers=1)
        one.feed.release()
        one.made.at(10, 1, 31)
        await one.source.prepare(DAY, [RELIANCE, INFY])
        assert one.made.kite_venue.hits("historical") == asked
        file = one.source.ticks(DAY, [RELIANCE])[0]
        assert (int(file.price[0]), int(file.price[-1]), int(file.volume[-1])) == (100_000, 100_050, 7)
        one.bind()
        one.made.kite_venue.stream.sockets.hang_up()
        await until(lambda: one.feed.ages()[0].state is StreamState.OFFLINE)
        await subscribed(one)
        one.feed.release()
        await one.source.prepare(DAY, [RELIANCE, INFY])
        assert one.made.kite_venue.hits("historical") == asked + 2, "after a gap the candles are asked for"


async def test_what_nobody_fetches_is_not_kept_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_feed, "HELD", 3)
    async with desk(tmp_path, backup=False) as one:
        for second in range(1, 6):
            one.made.at(10, 0, second)
            await one.trade(RELIANCE, 100_000 + second * 5, brokers=1)
        assert one.feed.whole_ns == at_ist(DAY, 10, 0, 4), "candles are asked for of what was dropped"
        assert [told.price for told in one.take()[RELIANCE]] == [100_020, 100_025]


async def test_what_is_to_be_told_while_no_desk_is_open_is_told_to_the_next(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        one.feed._alert = None
        one.made.at(10, 0, 1)
        await one.trade(RELIANCE, 100_000)
        one.made.kite_venue.stream.sockets.down()
        await until(lambda: one.feed.ages()[0].state is StreamState.OFFLINE)
        await one.trade(RELIANCE, 100_005, brokers=1)
        assert one.bench.alerts == []
        one.bind()
        (told,) = one.bench.alerts
        assert told.startswith("prices come from upstox now")


async def test_a_day_opened_while_prices_come_has_bars_as_the_exchange_has_them(tmp_path: Path) -> None:
    """Candles end where they were fetched, held prices follow, then live ones: nothing twice, nothing missing."""
    async with desk(tmp_path, backup=False) as one:
        made, engine = one.made, one.bench.engine
        price = 100_000
        for step in range(0, 120, 6):  # before the candles are asked for, and after
            made.clock.advance_to(at_ist(DAY, 10) + step * SECOND)
            price += (step % 7 - 3) * 5
            await one.trade(RELIANCE, price, 3, brokers=1)
            if step == 60:
                await one.source.prepare(DAY, [RELIANCE, INFY])
                files = one.source.ticks(DAY, [RELIANCE, INFY])
                came = made.clock.now_ns()
        stream, _, _ = stream_of(files, DAY, engine)
        past = [one for one in inputs(stream, engine.timers) if one[0] <= came]
        await engine.recover(history=past)
        one.bind()
        for minute in range(10 * 60 + 3, 10 * 60 + 8):
            made.clock.advance_to(at_ist(DAY, 0) + minute * MINUTE + 10 * SECOND)
            price += 35
            await one.trade(RELIANCE, price, 4, brokers=1)
        tape = made.kite_venue.tape
        assert tape is not None
        wanted = tape.candles(RELIANCE, 1, at_ist(DAY, 9, 15), made.clock.now_ns())[:-1]  # the last is not closed
        row, count = engine.state[0], len(wanted)
        assert int(row["day_bars"]) == count > 5
        for name, column in (("opens", 1), ("highs", 2), ("lows", 3), ("closes", 4)):
            told = [round(float(row[name][(int(row["bars"]) - count + k) % 64]) * 100) for k in range(count)]
            assert told == [candle[column] for candle in wanted], name


# --- two brokers ----------------------------------------------------------------------------------------------------


async def test_the_backup_says_nothing_while_the_primary_tells(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        one.bind()
        for second in range(1, 6):
            one.made.at(10, 0, second)
            await one.trade(RELIANCE, 100_000 + second * 5)
        assert len(one.seen) == 5
        assert (one.feed.active, one.told) == ("kite", [])


async def test_the_backup_takes_over_at_once_when_the_primary_is_lost_and_gives_way_when_it_is_steady(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as one:
        one.bind()
        one.made.at(10, 0, 1)
        await one.trade(RELIANCE, 100_000)
        one.made.kite_venue.stream.sockets.down()
        await until(lambda: one.feed.ages()[0].state is StreamState.OFFLINE)
        one.made.at(10, 0, 3)
        await one.trade(RELIANCE, 100_005, brokers=1)
        assert one.prices == [100_000, 100_005]
        (told,) = one.told
        assert told.startswith("prices come from upstox now: kite's stream is offline (")
        assert [(age.broker, age.active) for age in one.feed.ages()] == [("kite", False), ("upstox", True)]

        one.made.kite_venue.stream.sockets.up()
        await subscribed(one)
        for second in (10, 20, 30):
            one.made.at(10, 0, second)
            await one.trade(RELIANCE, 100_000 + second)
        assert one.feed.active == "upstox", "not steady for half a minute yet"
        one.made.at(10, 0, 59)
        await one.trade(RELIANCE, 100_100)
        assert (one.feed.active, one.told[1:]) == ("kite", ["prices come from kite again"])
        one.made.at(10, 1, 1)
        await one.trade(RELIANCE, 100_105)
        assert one.prices[-1] == 100_105
        assert len(one.prices) == len(set(one.prices)), "no price from both"


async def test_a_primary_that_falls_silent_is_replaced_by_a_backup_that_is_not(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        one.bind()
        one.made.at(10, 0, 1)
        await one.trade(RELIANCE, 100_000)
        one.made.kite_venue.stream.sockets.silence()
        for second in (6, 11):
            one.made.at(10, 0, second)
            await one.trade(RELIANCE, 100_000 + second, brokers=1)
        assert one.prices == [100_000]
        one.made.at(10, 0, 16)
        await one.trade(RELIANCE, 100_016, brokers=1)
        assert one.prices == [100_000, 100_016]
        assert one.told == ["prices come from upstox now: kite has told no price for 15 s"]


async def test_where_nothing_is_traded_nobody_is_at_fault(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        one.bind()
        one.made.at(10, 0, 1)
        await one.trade(RELIANCE, 100_000)
        one.made.at(10, 5)
        one.feed.look()
        assert (one.feed.active, one.told) == ("kite", [])
        assert one.feed.fault() == "kite has told no price for 299 s"
        await one.trade(RELIANCE, 100_005)
        assert len(one.prices) == 2
        assert one.feed.fault() == ""


async def test_outside_of_market_hours_nobody_is_woken(tmp_path: Path) -> None:
    async with desk(tmp_path, hour=8) as one:
        one.bind()
        one.made.kite_venue.stream.sockets.down()
        await until(lambda: one.feed.ages()[0].state is StreamState.OFFLINE)
        one.made.at(9, 5)
        await one.trade(RELIANCE, 100_000, brokers=1)
        assert (one.feed.active, one.told, one.feed.fault()) == ("kite", [], "")
        one.made.at(9, 15, 1)
        await one.trade(RELIANCE, 100_005, brokers=1)
        assert one.feed.active == "upstox"
        assert one.prices == [100_005]


async def test_a_token_that_has_gone_is_the_streams_end_and_the_backup_serves(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        one.bind()
        one.made.kite_venue.stream.sockets.refusing = HTTPStatus.FORBIDDEN
        one.made.kite_venue.stream.sockets.hang_up()
        await until(lambda: one.feed.ages()[0].state is StreamState.REFUSED)
        one.made.at(10, 0, 1)
        await one.trade(RELIANCE, 100_000, brokers=1)
        assert one.prices == [100_000]
        assert "kite's stream is refused (HTTP 403)" in one.told[-1]


async def test_volume_goes_on_from_broker_to_broker(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        one.bind()
        one.made.at(10, 0, 1)
        await one.trade(RELIANCE, 100_000, 1_000)
        one.made.upstox_venue.tape._volume[RELIANCE] = 700  # it counts otherwise
        one.made.kite_venue.stream.sockets.down()
        await until(lambda: one.feed.ages()[0].state is StreamState.OFFLINE)
        for second, quantity in ((2, 10), (3, 15)):
            one.made.at(10, 0, second)
            await one.trade(RELIANCE, 100_000 + second * 5, quantity, brokers=1)
        assert [volume for *_, volume in one.seen] == [0, 0, 15]


# --- for those who ask ----------------------------------------------------------------------------------------------


async def test_the_age_of_each_brokers_prices_is_told(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        assert one.feed.said() == "kite is live, no price yet; upstox is live, no price yet"
        one.bind()
        one.made.at(10, 0, 1)
        await one.trade(RELIANCE, 100_000)
        one.made.at(10, 0, 4)
        assert [(age.broker, age.age_s, age.prices) for age in one.feed.ages()] == [
            ("kite", 3.0, 1), ("upstox", 3.0, 1),
        ]  # fmt: skip
        assert [(check.name, check.well, check.said) for check in one.feed.checks()] == [
            ("Prices kite", True, "in use; last price 3 s ago"),
            ("Prices upstox", True, "standing by; last price 3 s ago"),
        ]
        one.made.at(10, 0, 30)
        assert [check.well for check in one.feed.checks()] == [False, False]
        assert one.feed.said() == "kite is live, last price 29 s ago; upstox is live, last price 29 s ago"


async def test_states_of_the_streams_are_passed_on(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        told: list[tuple[str, str, StreamState]] = []
        one.feed.on_state = lambda broker, stream, state, why: told.append((broker, stream, state))
        one.made.upstox_venue.stream.sockets.down()
        await until(lambda: len(told) >= 2)
        assert {(broker, stream) for broker, stream, _ in told} == {("upstox", "prices"), ("upstox", "orders")}


def test_last_prices_keep_what_a_shorter_packet_does_not_tell() -> None:
    store = LTPStore()
    store.take([LivePrice(RELIANCE, 100, 7, 50), LivePrice(INFY, 0, 9, 50)], 60)
    store.take([LivePrice(RELIANCE, 105)], 70)
    last = store.get(RELIANCE)
    assert last is not None
    assert (last.ltp, last.volume, last.exchange_ts_ns, last.heard_ns) == (105, 7, 50, 70)
    assert (store.get(INFY), store.price(INFY), store.age_ns(INFY, 80), list(store)) == (None, 0, None, [RELIANCE])
    store.clear()
    assert (len(store), list(store)) == (0, [])
