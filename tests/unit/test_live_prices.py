"""A live day's prices from the brokers' own candles and lists: what is asked for, in how many requests, when not."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness.bench import config
from price_room import BEFORE, DAY, INFY, RELIANCE, Room, room

from otrade_bot.brokers.feeds import BarFile
from otrade_bot.brokers.listing import Listings
from otrade_bot.brokers.upstox import UpstoxBroker
from otrade_bot.brokers.upstox.assets import UpstoxAssets
from otrade_bot.brokers.upstox.stream import AT_MOST
from otrade_bot.config.models import Config
from otrade_bot.core.clock import MINUTE, SECOND, at_ist, ist_date
from otrade_bot.core.errors import BrokerException, DataException, TokenException
from otrade_bot.core.model import Instrument, OrderRequest, OrderType, Product, Side
from otrade_bot.service.live_prices import LiveFeed, LiveSource
from otrade_bot.service.past_bars import PastBars
from otrade_bot.service.prices import PriceSource
from otrade_bot.service.reader import IN_ROW
from tests.venues.faults import Closed, Hang
from tests.venues.kite_exchange import Share
from tests.venues.kite_market import csv
from tests.venues.upstox import Says, error

BROKERS = pytest.mark.parametrize("broker", ["kite", "upstox"])
OPEN = at_ist(DAY, 9, 15)
NO = {"status": "error", "message": "invalid token", "error_type": "InputException", "data": None}


def settings(timeframe: str = "15m", symbols: tuple[str, ...] = (RELIANCE, INFY)) -> Config:
    return config("momentum_ladder", symbols, timeframe, risk={"spike_percent": 5.0})


def source(
    made: Room, folder: Path, primary: str, backup: str = "", given: Config | None = None, **options: Any
) -> LiveSource:
    async def at_once(seconds: float) -> None:
        return

    given = given or settings()
    feed = LiveFeed(
        made.broker(primary), made.broker(backup) if backup else None, clock=made.clock, calendar=given.calendar
    )
    assets = UpstoxAssets(made.upstox_venue.root, sleep=at_once)
    return LiveSource(feed, Listings(folder, made.clock, assets=assets), given, made.clock, **options)


def kept_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def asked(made: Room, broker: str) -> int:
    """Requests for candles."""
    return made.kite_venue.hits("historical") if broker == "kite" else len(made.upstox_venue.called("candles"))


def minutes(made: Room, symbol: str, *, until: int) -> list[list[int]]:
    """Today's candles as the exchange has them: start, open, high, low, close, volume."""
    tape = made.kite_venue.tape
    assert tape is not None
    return [list(one) for one in tape.candles(symbol, 1, OPEN, until)]


def bars_of(files: list[Any], symbol: str) -> list[list[int]]:
    """One-minute bars made of the day's prices."""
    (file,) = [one for one in files if one.symbol == symbol]
    found: dict[int, list[int]] = {}
    before = 0
    for ts, price, volume in zip(file.ts.tolist(), file.price.tolist(), file.volume.tolist(), strict=True):
        bar = found.setdefault(ts // MINUTE * MINUTE, [price, price, price, price, 0])
        bar[1], bar[2], bar[3], bar[4] = max(bar[1], price), min(bar[2], price), price, bar[4] + volume - before
        before = volume
    return [[ts, *bar] for ts, bar in found.items()]


def morning(made: Room, *symbols: str, until: tuple[int, int] = (10, 30)) -> None:
    """A trade every 25 s from 9:15 on."""
    moment, last, price = OPEN, at_ist(DAY, *until), 100_000
    while moment < last:
        made.clock.advance_to(moment)
        for symbol in symbols:
            made.trade(symbol, price, 10 + moment // SECOND % 7, tell=False)
        price += (moment // SECOND % 11 - 5) * 5
        moment += 25 * SECOND
    made.clock.advance_to(last)


# --- today ----------------------------------------------------------------------------------------------------------


@BROKERS
async def test_the_day_so_far_is_the_brokers_candles(tmp_path: Path, broker: str) -> None:
    async with room() as made:
        morning(made, RELIANCE, INFY)
        live = source(made, tmp_path, broker)
        await live.prepare(DAY, [RELIANCE, INFY])
        files = live.ticks(DAY, [RELIANCE, INFY])
        for symbol in (RELIANCE, INFY):
            assert bars_of(files, symbol) == minutes(made, symbol, until=made.clock.now_ns())
        assert live.said == []
        assert (live.name, [one.source for one in files]) == (broker, [broker, broker])
        assert live.first_price(RELIANCE) == 100_000


@BROKERS
async def test_the_minute_under_way_ends_now(tmp_path: Path, broker: str) -> None:
    async with room() as made:
        morning(made, RELIANCE, until=(9, 40))
        made.at(9, 40, 5)
        made.trade(RELIANCE, 123_450, tell=False)
        now = made.at(9, 40, 20)
        live = source(made, tmp_path, broker)
        await live.prepare(DAY, [RELIANCE])
        (file,) = live.ticks(DAY, [RELIANCE])
    assert int(file.ts[-1]) < now
    assert int(file.price[-1]) == 123_450


@BROKERS
async def test_before_the_open_nothing_of_today_is_asked_for(tmp_path: Path, broker: str) -> None:
    async with room(8, 50) as made:
        live = source(made, tmp_path, broker)
        await live.prepare(DAY, [RELIANCE, INFY])
        assert made.clock.now_ns() < OPEN
        assert asked(made, broker) == {"kite": 2, "upstox": 6}[broker], "histories, at Upstox a month a request"
        assert [len(one) for one in live.ticks(DAY, [RELIANCE, INFY])] == [0, 0]


@BROKERS
async def test_a_day_that_is_opened_again_asks_for_the_new_minutes_alone(tmp_path: Path, broker: str) -> None:
    async with room() as made:
        morning(made, RELIANCE, until=(9, 50))
        live = source(made, tmp_path, broker)
        await live.prepare(DAY, [RELIANCE])
        before = asked(made, broker)
        made.at(9, 50, 10)
        for minute in range(50, 58):
            made.at(9, minute, 30)
            made.trade(RELIANCE, 90_000 + minute * 5, tell=False)
        now = made.at(9, 58)
        await live.prepare(DAY, [RELIANCE])
        per_read = {"kite": 1, "upstox": 2}  # Upstox's history ends yesterday
        assert asked(made, broker) - before == per_read[broker]
        assert bars_of(live.ticks(DAY, [RELIANCE]), RELIANCE) == minutes(made, RELIANCE, until=now)
        if broker == "kite":
            assert made.kite_venue.calls[-1].request.query["from"] == "2026-11-20 09:46:00"


@BROKERS
async def test_what_lies_outside_of_continuous_trading_makes_no_bars(tmp_path: Path, broker: str) -> None:
    """RELIANCE closes by auction: its day ends at 15:15, and what the auction trades is no price of a strategy's."""
    async with room() as made:
        for wall in ((9, 8), (9, 15), (15, 14), (15, 15), (15, 31)):
            made.at(*wall)
            made.trade(RELIANCE, 100_000, tell=False)
        made.at(15, 40)
        live = source(made, tmp_path, broker)
        await live.prepare(DAY, [RELIANCE])
        found = [start for start, *_ in bars_of(live.ticks(DAY, [RELIANCE]), RELIANCE)]
    assert found == [at_ist(DAY, 9, 15), at_ist(DAY, 15, 14)]


# --- earlier days ---------------------------------------------------------------------------------------------------


@BROKERS
@pytest.mark.parametrize(("timeframe", "days"), [("1m", 5), ("3m", 10), ("15m", 40), ("60m", 40)])
async def test_history_is_bars_of_the_timeframe_in_few_requests(
    tmp_path: Path, broker: str, timeframe: str, days: int
) -> None:
    """At Kite nobody says that INFY does not close by auction; at Upstox its list does."""
    length, traded = int(timeframe[:-1]), {"kite": 360, "upstox": 375}[broker]
    given = settings(timeframe, (INFY,))
    past = [DAY]
    while len(past) <= days:
        past.append(given.calendar.previous_trading_day(past[-1]))
    async with room(8, 50) as made:
        made.upstox_venue.exchange.shares[made.key(RELIANCE)].cas_eligible = True
        live = source(made, tmp_path, broker, given=given)
        await live.prepare(DAY, [INFY])
        (file,) = live.history(DAY, [INFY])
        assert asked(made, broker) <= {"kite": 1, "upstox": 3}[broker]
    assert isinstance(file, BarFile)
    assert sorted({ist_date(end - 1) for end in file.ts_end.tolist()}) == sorted(past[1:])
    assert (file.length, len(file)) == (length * MINUTE, days * -(-traded // length))
    assert (np.diff(file.ts_end) > 0).all()
    assert live.first_price(INFY) == int(file.close[-1])


async def test_history_is_asked_for_once_a_day(tmp_path: Path) -> None:
    async with room(8, 50) as made:
        live = source(made, tmp_path, "kite")
        await live.prepare(DAY, [RELIANCE])
        await live.prepare(DAY, [RELIANCE, INFY])
        assert asked(made, "kite") == 2
        assert [one.symbol for one in live.history(DAY, [INFY, RELIANCE])] == [INFY, RELIANCE]
        after = DAY + timedelta(days=3)
        made.at(8, 50, day=after)
        await live.prepare(after, [RELIANCE])
        assert asked(made, "kite") == 3


@BROKERS
async def test_a_restart_asks_for_today_alone(tmp_path: Path, broker: str) -> None:
    past = PastBars(tmp_path / "candles")
    async with room() as made:
        morning(made, RELIANCE, INFY, until=(9, 40))
        first = source(made, tmp_path, broker, past=past)
        await first.prepare(DAY, [RELIANCE, INFY])
        before = asked(made, broker)
        again = source(made, tmp_path, broker, past=PastBars(tmp_path / "candles"))
        await again.prepare(DAY, [RELIANCE, INFY])
        assert asked(made, broker) - before == {"kite": 2, "upstox": 4}[broker]
        for one, other in zip(
            first.history(DAY, [RELIANCE, INFY]), again.history(DAY, [RELIANCE, INFY]), strict=True
        ):
            assert isinstance(one, BarFile)
            assert isinstance(other, BarFile)
            assert (one.symbol, one.source, one.length) == (other.symbol, other.source, other.length)
            for name in ("ts_end", "open", "high", "low", "close", "volume"):
                assert np.array_equal(getattr(one, name), getattr(other, name))
    (file,) = kept_in(tmp_path / "candles")
    assert (file.name, file.stat().st_mode & 0o777) == ("2026-11-20.json.gz", 0o600)


@BROKERS
async def test_history_on_the_disk_leaves_memory_and_is_there_when_the_day_is_opened_again(
    tmp_path: Path, broker: str
) -> None:
    async with room(8, 50) as made:
        live = source(made, tmp_path, broker, past=PastBars(tmp_path / "candles"))
        await live.prepare(DAY, [RELIANCE, INFY])
        before, last = live.history(DAY, [RELIANCE, INFY]), live.first_price(RELIANCE)
        live.spare()
        assert live.history(DAY, [RELIANCE, INFY]) == []
        assert live.first_price(RELIANCE) == last > 0
        requests = asked(made, broker)
        await live.prepare(DAY, [RELIANCE, INFY])
        assert asked(made, broker) == requests
        after = live.history(DAY, [RELIANCE, INFY])
        assert [one.symbol for one in after] == [one.symbol for one in before] == [RELIANCE, INFY]


@pytest.mark.parametrize("disk", ["none", "taken"])
async def test_history_that_is_not_on_the_disk_stays_in_memory(tmp_path: Path, disk: str) -> None:
    (tmp_path / "taken").write_text("a file where a folder belongs")
    async with room(8, 50) as made:
        live = source(made, tmp_path, "kite", past=PastBars(tmp_path / "taken") if disk == "taken" else None)
        await live.prepare(DAY, [RELIANCE])
        live.spare()
        assert len(live.history(DAY, [RELIANCE])) == 1


async def test_bars_that_are_kept_serve_their_own_day_and_timeframe(tmp_path: Path) -> None:
    past = PastBars(tmp_path / "candles")
    async with room(8, 50) as made:
        await source(made, tmp_path, "kite", past=past).prepare(DAY, [RELIANCE, INFY])
        other = source(made, tmp_path, "kite", past=past, given=settings("60m"))
        await other.prepare(DAY, [RELIANCE, INFY])
        assert asked(made, "kite") == 4
        assert {one.length for one in other.history(DAY, [RELIANCE]) if isinstance(one, BarFile)} == {60 * MINUTE}
        for days in (3, 5, 6):  # the 24th is a holiday
            after = DAY + timedelta(days=days)
            made.at(8, 50, day=after)
            await source(made, tmp_path, "kite", past=past, given=settings("60m")).prepare(after, [RELIANCE])
        assert asked(made, "kite") == 4 + 3
    assert [file.name for file in kept_in(tmp_path / "candles")] == ["2026-11-25.json.gz", "2026-11-26.json.gz"]


async def test_bars_that_cannot_be_kept_or_read_cost_requests_and_no_more(tmp_path: Path) -> None:
    past = PastBars(tmp_path / "candles")
    async with room(8, 50) as made:
        await source(made, tmp_path, "kite", past=past).prepare(DAY, [RELIANCE])
        (file,) = kept_in(tmp_path / "candles")
        shapeless = gzip.compress(b'{"symbol": "NSE:RELIANCE", "asked": "1m"}\n')
        for torn in (b"", file.read_bytes()[:99], gzip.compress(b"{}"), shapeless):
            file.write_bytes(torn)
            before = asked(made, "kite")
            live = source(made, tmp_path, "kite", past=past)
            await live.prepare(DAY, [RELIANCE])
            assert (asked(made, "kite") - before, len(live.history(DAY, [RELIANCE]))) == (1, 1)
        (tmp_path / "taken").write_text("a file where a folder belongs")
        live = source(made, tmp_path, "kite", past=PastBars(tmp_path / "taken"))
        await live.prepare(DAY, [RELIANCE])
        assert (live.said, len(live.history(DAY, [RELIANCE]))) == ([], 1)


async def test_a_day_that_was_never_fetched_is_told_from_one_without_prices(tmp_path: Path) -> None:
    async with room() as made:
        live = source(made, tmp_path, "kite")
        with pytest.raises(DataException, match="kite: the prices of 2026-11-19 were not fetched"):
            live.ticks(BEFORE, [RELIANCE])
        await live.prepare(BEFORE, [RELIANCE])
        assert len(live.ticks(BEFORE, [RELIANCE])[0]) >= 4 * 360
        before = asked(made, "kite")
        await live.prepare(BEFORE, [RELIANCE])
        assert asked(made, "kite") == before, "a day that is over"
        for day in (DAY, BEFORE, DAY - timedelta(days=2)):
            await live.prepare(day, [RELIANCE])
            assert len(live.ticks(day, [RELIANCE])) == 1


async def test_what_is_only_held_gets_its_prices_and_no_history(tmp_path: Path) -> None:
    async with room() as made:
        morning(made, INFY, until=(9, 30))
        live = source(made, tmp_path, "kite", given=settings(symbols=(RELIANCE,)))
        await live.prepare(DAY, [RELIANCE, INFY])
        assert [len(one) > 0 for one in live.ticks(DAY, [RELIANCE, INFY])] == [False, True]
        assert [one.symbol for one in live.history(DAY, [RELIANCE, INFY])] == [RELIANCE]


@BROKERS
async def test_requests_keep_to_the_brokers_rate(tmp_path: Path, broker: str) -> None:
    symbols = (RELIANCE, INFY)
    async with room(9, 0, paced=True) as made:
        morning(made, *symbols, until=(9, 30))
        live, began = source(made, tmp_path, broker), made.clock.now_ns()
        await live.prepare(DAY, symbols)
        took = made.clock.now_ns() - began
        assert asked(made, broker) == {"kite": 4, "upstox": 10}[broker]
        assert (took >= SECOND) == (broker == "kite"), "three a second there"


# --- what goes wrong ------------------------------------------------------------------------------------------------


def refuse(made: Room, broker: str, times: int = 99) -> None:
    if broker == "kite":
        made.kite_venue.fail("historical", *[Closed() for _ in range(times)])
    else:
        made.upstox_venue.fail("candles", error(500, "UDAPI100500"), times)


@BROKERS
async def test_without_candles_the_day_opens_all_the_same_and_it_is_said(tmp_path: Path, broker: str) -> None:
    async with room() as made:
        morning(made, RELIANCE, until=(9, 30))
        refuse(made, broker)
        live = source(made, tmp_path, broker)
        await live.prepare(DAY, [RELIANCE, INFY])
        assert [len(one) for one in live.ticks(DAY, [RELIANCE, INFY])] == [0, 0]
        assert live.history(DAY, [RELIANCE, INFY]) == []
        today, past = live.said
        assert "today's prices so far are not known of NSE:RELIANCE, NSE:INFY" in today
        assert "no entries before their indicators are warm" in past
        made.kite_venue._faults.clear()
        made.upstox_venue._faults.clear()
        await live.prepare(DAY, [RELIANCE, INFY])
        assert live.said == []
        assert len(live.ticks(DAY, [RELIANCE])[0]) > 0
        assert len(live.history(DAY, [RELIANCE, INFY])) == 2


async def test_one_instrument_that_cannot_be_read_costs_itself_alone(tmp_path: Path) -> None:
    async with room(8, 50) as made:
        made.kite_venue.fail("historical", Says(400, json.dumps(NO).encode()))
        live = source(made, tmp_path, "kite")
        await live.prepare(DAY, [RELIANCE, INFY])
        assert len(live.history(DAY, [RELIANCE, INFY])) == 1
        assert len(live.said) == 1


@BROKERS
async def test_a_broker_that_does_not_answer_is_not_asked_for_everything(tmp_path: Path, broker: str) -> None:
    symbols = tuple(f"NSE:S{n:03}" for n in range(60))
    async with room(8, 50) as made:
        rows = [_listed(symbol) for symbol in symbols]
        made.upstox_venue.fail("listing", Says(200, json.dumps(rows).encode()), 9)
        made.kite_venue.fail("instruments", *[_csv(symbols) for _ in range(9)])
        refuse(made, broker, 999)
        live = source(made, tmp_path, broker, given=settings(symbols=symbols))
        await live.prepare(DAY, symbols)
        assert asked(made, broker) <= 2 * (IN_ROW + 4)
        assert f"of {', '.join(symbols[:6])} and 54 more" in live.said[0]


async def test_a_token_that_is_none_ends_the_asking_at_once_and_is_named(tmp_path: Path) -> None:
    async with room(8, 50) as made:
        live = source(made, tmp_path, "kite")
        await live.learn(DAY, [RELIANCE, INFY])
        made.kite_venue.token = "another"
        await live.prepare(DAY, [RELIANCE, INFY])
        assert "access_token" in live.said[0]
        assert asked(made, "kite") <= 4
        assert len(live.history(DAY, [RELIANCE])) == 0


async def test_without_any_list_of_instruments_nothing_can_be_known(tmp_path: Path) -> None:
    async with room(8, 50) as made:
        made.kite_venue.token = "another"
        live = source(made, tmp_path, "kite")
        with pytest.raises(TokenException):
            await live.prepare(DAY, [RELIANCE])
        assert live.instruments(DAY) is None
        assert [len(one) for one in live.ticks(DAY, [RELIANCE])] == [0]
        assert live.history(DAY, [RELIANCE]) == []
        assert live.first_price(RELIANCE) == 0


@BROKERS
async def test_an_instrument_that_is_not_listed_is_said_and_keeps_nobody_else_from_trading(
    tmp_path: Path, broker: str
) -> None:
    async with room(8, 50) as made:
        live = source(made, tmp_path, broker, given=settings(symbols=("NSE:RELAINCE", INFY)))
        await live.prepare(DAY, ["NSE:RELAINCE", INFY])
        (told,) = live.said
        assert f"is not in {broker}'s list of instruments of 2026-11-20" in told
        assert "did you mean NSE:RELIANCE?" in told
        assert [one.symbol for one in live.history(DAY, ["NSE:RELAINCE", INFY])] == [INFY]
        assert [len(one) for one in live.ticks(DAY, ["NSE:RELAINCE", INFY])] == [0, 0]
        instrument = live.instruments(DAY)
        assert instrument is not None
        assert (instrument("NSE:RELAINCE", 100_000).tick, instrument(INFY, 100_000).tick) == (5, 5)


async def test_a_broker_that_hangs_keeps_nobody_waiting_for_ever(tmp_path: Path) -> None:
    async with room(8, 50, silence=0.3) as made:
        made.kite_venue.fail("historical", *[Hang() for _ in range(9)])
        live = source(made, tmp_path, "kite", patience_s=0.05)
        await live.prepare(DAY, [RELIANCE, INFY])
        assert "has not answered all of it in 0.05 s" in live.said[0]


# --- the backup -----------------------------------------------------------------------------------------------------


async def test_what_the_primary_does_not_tell_is_read_from_the_backup(tmp_path: Path) -> None:
    async with room() as made:
        morning(made, RELIANCE, INFY, until=(9, 30))
        refuse(made, "kite")
        live = source(made, tmp_path, "kite", "upstox")
        await live.prepare(DAY, [RELIANCE, INFY])
        assert live.said == []
        for symbol in (RELIANCE, INFY):
            found = bars_of(live.ticks(DAY, [symbol]), symbol)
            assert found == minutes(made, symbol, until=made.clock.now_ns())
        assert {one.source for one in live.history(DAY, [RELIANCE, INFY])} == {"upstox"}


async def test_a_backup_without_a_list_is_said_and_no_more(tmp_path: Path) -> None:
    async with room(8, 50) as made:
        made.upstox_venue.fail("listing", Says(404, b"gone"), 9)
        live = source(made, tmp_path, "kite", "upstox")
        await live.prepare(DAY, [RELIANCE])
        assert len(live.history(DAY, [RELIANCE])) == 1
        assert live.said == ["no backup prices from upstox: Upstox: NSE instruments: HTTP 404"]


async def test_more_than_the_backup_takes_is_said_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(AT_MOST, "full", 1)  # type: ignore[arg-type]
    async with room(8, 50) as made:
        live = source(made, tmp_path, "kite", "upstox")
        await live.prepare(DAY, [RELIANCE, INFY])
        (told,) = live.said
        assert told.startswith("no backup prices from upstox: upstox stream: 2 instruments")
        assert len(live.history(DAY, [RELIANCE, INFY])) == 2


async def test_a_symbol_that_the_backup_does_not_list_is_said(tmp_path: Path) -> None:
    async with room(8, 50) as made:
        live = source(made, tmp_path, "kite", "upstox", given=settings(symbols=(RELIANCE, "NSE:IDLECO")))
        await live.prepare(DAY, [RELIANCE, "NSE:IDLECO"])
        assert live.said == ["no backup prices from upstox of NSE:IDLECO"]
        assert len(live.history(DAY, [RELIANCE, "NSE:IDLECO"])) == 2


async def test_an_account_that_only_trades_knows_the_days_instruments(tmp_path: Path) -> None:
    """Upstox takes orders by instrument key."""
    async with room(8, 50) as made:
        live = source(made, tmp_path, "kite", traders=[made.upstox])
        request = OrderRequest("T1", Instrument(INFY, 0), Side.BUY, 1, Product.MIS, OrderType.LIMIT, 50_000)
        assert isinstance(made.upstox.inner, UpstoxBroker)
        assert "not in Upstox's list" in str(await made.upstox.inner.place(request))
        await live.prepare(DAY, [RELIANCE, INFY])
        assert "not in Upstox's list" not in str(await made.upstox.inner.place(request))
        made.upstox_venue.fail("listing", Says(404, b""), 9)
        with pytest.raises(BrokerException):
            await source(made, tmp_path / "other", "kite", traders=[made.upstox]).prepare(DAY, [INFY])


# --- the list of a day that was opened early ------------------------------------------------------------------------


@BROKERS
async def test_instruments_learned_too_early_are_learned_again_when_the_lists_are_made(
    tmp_path: Path, broker: str
) -> None:
    async with room(7, 40) as made:
        live = source(made, tmp_path, broker)
        assert not live.outdated
        await live.prepare(DAY, [RELIANCE, INFY])
        assert not live.outdated
        made.at(8, 36)
        assert live.outdated
        assert not await live.refresh(), "the same ones"
        assert not live.outdated


async def test_an_instrument_that_has_changed_over_night_opens_the_day_again(tmp_path: Path) -> None:
    async with room(7, 40) as made:
        live = source(made, tmp_path, "upstox")
        await live.prepare(DAY, [RELIANCE, INFY])
        made.upstox_venue.exchange.shares[made.key(INFY)].tick = 50
        made.at(8, 36)
        assert await live.refresh()
        assert live.instruments(DAY)(INFY, 0).tick == 50  # type: ignore[misc]


async def test_lists_that_cannot_be_had_in_the_morning_leave_those_of_before(tmp_path: Path) -> None:
    async with room(7, 40) as made:
        live = source(made, tmp_path, "kite")
        await live.prepare(DAY, [RELIANCE])
        made.at(8, 36)
        made.kite_venue.fail("instruments", *[Closed() for _ in range(9)])
        assert not await live.refresh()
        assert not live.outdated, "asked once"
        assert live.instruments(DAY)(RELIANCE, 0).token == 738561  # type: ignore[misc]


async def test_a_day_that_is_opened_late_has_todays_list(tmp_path: Path) -> None:
    async with room(7, 40) as made:
        live = source(made, tmp_path, "kite")
        await live.prepare(DAY, [RELIANCE])
        made.at(9, 30)
        assert not live.outdated, "the market is open"


# --- what the rest of the service asks ------------------------------------------------------------------------------


async def test_it_is_a_source_of_prices_like_the_others(tmp_path: Path) -> None:
    async with room(8, 50) as made:
        live: PriceSource = source(made, tmp_path, "upstox")
        assert (live.name, live.identity, list(live.days())) == ("upstox", "upstox", [])
        await live.prepare(DAY, [RELIANCE])
        instrument = live.instruments(DAY)
        assert instrument is not None
        assert instrument(RELIANCE, 0).freeze == 100_000
        made.upstox_venue.fail("listing", Says(404, b""), 9)
        with pytest.raises(BrokerException):
            await source(made, tmp_path / "other", "upstox").prepare(DAY, [RELIANCE])


def _listed(symbol: str) -> dict[str, Any]:
    name = symbol.partition(":")[2]
    return {
        "segment": "NSE_EQ", "name": name, "exchange": "NSE", "instrument_type": "EQ", "trading_symbol": name,
        "instrument_key": f"NSE_EQ|{name}", "exchange_token": "1", "tick_size": 5.0, "lot_size": 1,
    }  # fmt: skip


def _csv(symbols: tuple[str, ...]) -> Says:
    text = csv([Share("NSE", symbol.partition(":")[2], 1000 + n) for n, symbol in enumerate(symbols)])
    return Says(200, text.encode(), "text/csv")
