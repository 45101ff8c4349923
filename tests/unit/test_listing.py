"""A broker's list of the day: what it says of an instrument, when it is fetched, when it is not believed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from price_room import BEFORE, DAY, INFY, RELIANCE, Room, room

from otrade_bot.brokers.listing import USABLE, Listing, Listings
from otrade_bot.brokers.upstox import assets
from otrade_bot.brokers.upstox.assets import UpstoxAssets, read_rows
from otrade_bot.core.clock import at_ist
from otrade_bot.core.errors import BrokerException, ConfigException
from otrade_bot.core.model import Instrument, InstrumentKind
from tests.venues.faults import Closed
from tests.venues.upstox import Says

FUTURE, OPTION = "NFO:RELIANCE26NOVFUT", "NFO:NIFTY26N2426000CE"
BROKERS = pytest.mark.parametrize("broker", ["kite", "upstox"])


def listings(made: Room, folder: Path, **options: Any) -> Listings:
    async def at_once(seconds: float) -> None:
        return

    source = UpstoxAssets(made.upstox_venue.root, sleep=at_once)
    return Listings(folder, made.clock, assets=source, **options)


def kept_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def fetched(made: Room, broker: str) -> int:
    if broker == "kite":
        return made.kite_venue.hits("instruments")
    return len(made.upstox_venue.called("listing"))


def refuse(made: Room, broker: str, times: int = 9) -> None:
    if broker == "kite":
        made.kite_venue.fail("instruments", *[Closed() for _ in range(times)])
    else:
        made.upstox_venue.fail("listing", Says(404, b"no such file"), times)


def unlist(made: Room, broker: str, *symbols: str) -> None:
    if broker == "kite":
        made.kite_venue.unlisted = set(symbols)
    else:
        made.upstox_venue.unlisted = {made.key(symbol) for symbol in symbols}


# --- what it says ---------------------------------------------------------------------------------------------------


async def test_kite_says_token_and_tick_and_the_rest_is_known_here(tmp_path: Path) -> None:
    async with room() as made:
        found = await listings(made, tmp_path).today(made.kite, DAY, [RELIANCE, "NSE:IDLECO", "NSE:NIFTY 50"])
    assert found.resolve(RELIANCE) == Instrument(
        RELIANCE, 738561, tick=5, closing_auction=True, name="RELIANCE INDUSTRIES"
    )
    assert found.resolve("NSE:IDLECO").tick == 1
    assert not found.resolve("NSE:IDLECO").closing_auction
    assert found.resolve("NSE:NIFTY 50").kind is InstrumentKind.INDEX
    assert (found.day, found.said, set(found.keys.values())) == (DAY, "", {""})


async def test_upstox_says_key_and_freeze_quantity_and_who_trades_in_the_closing_auction(tmp_path: Path) -> None:
    async with room() as made:
        shares = made.upstox_venue.exchange.shares
        shares[made.key(RELIANCE)].cas_eligible, shares[made.key(INFY)].tick = True, 10
        found = await listings(made, tmp_path).today(made.upstox, DAY, [RELIANCE, INFY])
        keys = {RELIANCE: made.key(RELIANCE), INFY: made.key(INFY)}
    assert {symbol: found.keys[symbol] for symbol in keys} == keys
    assert (found.resolve(RELIANCE).freeze, found.resolve(RELIANCE).closing_auction) == (100_000, True)
    assert (found.resolve(INFY).tick, found.resolve(INFY).closing_auction) == (10, False)


@BROKERS
async def test_corrections_of_the_settings_go_before_the_broker(tmp_path: Path, broker: str) -> None:
    overrides = {RELIANCE: {"tick_size": 0.5, "closing_auction": False, "freeze": 77}}
    async with room() as made:
        found = await listings(made, tmp_path, overrides=overrides).today(made.broker(broker), DAY, [RELIANCE])
    known = found.resolve(RELIANCE)
    assert (known.tick, known.closing_auction, known.freeze) == (50, False, 77)
    assert found.resolve(INFY).tick == 5


async def test_an_instrument_that_is_not_listed_is_refused_with_the_names_that_come_near(tmp_path: Path) -> None:
    async with room() as made:
        found = await listings(made, tmp_path).today(made.kite, DAY, ["NSE:RELAINCE"])
    with pytest.raises(ConfigException, match=r"NSE:RELAINCE.*did you mean NSE:RELIANCE\?"):
        found.resolve("NSE:RELAINCE")
    with pytest.raises(ConfigException, match="did you mean NSE:INFY"):
        found.resolve("BSE:INFY")


async def test_an_index_is_known_by_any_of_its_names_and_keeps_the_one_it_was_asked_by(tmp_path: Path) -> None:
    async with room() as made:
        found = await listings(made, tmp_path).today(made.kite, DAY, ["NSE:NIFTY50"])
    assert found.resolve("NSE:NIFTY50") == replace(found.resolve("NSE:NIFTY 50"), symbol="NSE:NIFTY50")
    assert found.instruments["NSE:NIFTY50"].token == 256265, "a stream subscribes by the name in the settings"


async def test_of_derivatives_those_of_the_underlyings_that_are_asked_for_are_kept(tmp_path: Path) -> None:
    async with room() as made:
        lists = listings(made, tmp_path)
        shares = await lists.today(made.kite, DAY, [RELIANCE])
        assert not [symbol for symbol in shares.instruments if symbol.startswith("NFO:")]
        one = await lists.today(made.kite, DAY, [RELIANCE, FUTURE])
        assert FUTURE in one.instruments
        assert OPTION not in one.instruments
        both = await lists.today(made.kite, DAY, [OPTION, FUTURE])
        assert both.resolve(OPTION) == Instrument(OPTION, 12345858, InstrumentKind.OPTION, 5, 65, 1800, name="NIFTY")
        assert fetched(made, "kite") == 1 + 2 + 2  # NSE, then NSE and NFO twice


# --- when it is fetched ---------------------------------------------------------------------------------------------


@BROKERS
async def test_it_is_fetched_once_a_day_and_outlives_the_process(tmp_path: Path, broker: str) -> None:
    async with room() as made:
        first = await listings(made, tmp_path / "state/instruments").today(made.broker(broker), DAY, [RELIANCE])
        again = await listings(made, tmp_path / "state/instruments").today(made.broker(broker), DAY, [RELIANCE])
        assert again == first
        assert fetched(made, broker) == 1
    (file,) = kept_in(tmp_path / "state/instruments")
    assert file.name == f"{broker}-2026-11-20.json.gz"
    assert file.stat().st_mode & 0o777 == 0o600


@BROKERS
async def test_a_list_from_before_the_brokers_make_it_is_fetched_again(tmp_path: Path, broker: str) -> None:
    async with room(7, 40) as made:
        lists = listings(made, tmp_path)
        await lists.today(made.broker(broker), DAY, [RELIANCE])
        made.at(8, 30)
        await lists.today(made.broker(broker), DAY, [RELIANCE])
        assert fetched(made, broker) == 1
        made.at(8, 50)
        await lists.today(made.broker(broker), DAY, [RELIANCE])
        await lists.today(made.broker(broker), DAY, [RELIANCE])
        assert fetched(made, broker) == 2


@BROKERS
async def test_without_an_answer_the_newest_kept_one_serves_and_that_is_said(tmp_path: Path, broker: str) -> None:
    async with room(9, 0, BEFORE) as made:
        lists = listings(made, tmp_path)
        await lists.today(made.broker(broker), BEFORE, [RELIANCE])
        made.at(9, 0)
        refuse(made, broker)
        found = await lists.today(made.broker(broker), DAY, [RELIANCE])
    assert found.day == BEFORE
    assert found.resolve(RELIANCE).symbol == RELIANCE
    assert "that of 19 Nov is used" in found.said
    assert broker in found.said


@BROKERS
async def test_with_neither_an_answer_nor_a_kept_one_there_is_no_list(tmp_path: Path, broker: str) -> None:
    async with room() as made:
        refuse(made, broker)
        with pytest.raises(BrokerException):
            await listings(made, tmp_path).today(made.broker(broker), DAY, [RELIANCE])
    assert kept_in(tmp_path) == []


async def test_a_kept_list_that_lacks_what_is_wanted_does_not_stand_in_for_an_answer(tmp_path: Path) -> None:
    async with room() as made:
        lists = listings(made, tmp_path)
        await lists.today(made.kite, DAY, [RELIANCE])
        refuse(made, "kite")
        with pytest.raises(BrokerException):
            await lists.today(made.kite, DAY, [RELIANCE, FUTURE])


async def test_a_misspelled_symbol_costs_nobody_the_kept_list(tmp_path: Path) -> None:
    async with room(9, 0, BEFORE) as made:
        lists = listings(made, tmp_path)
        await lists.today(made.kite, BEFORE, [RELIANCE, "NSE:RELAINCE"])
        made.at(9, 0)
        refuse(made, "kite")
        found = await lists.today(made.kite, DAY, [RELIANCE, "NSE:RELAINCE"])
    assert (found.day, found.resolve(RELIANCE).token) == (BEFORE, 738561)


async def test_a_torn_file_is_no_list(tmp_path: Path) -> None:
    async with room() as made:
        lists = listings(made, tmp_path)
        first = await lists.today(made.kite, DAY, [RELIANCE])
        (file,) = kept_in(tmp_path)
        for torn in (b"", file.read_bytes()[:200], gzip.compress(b"{}"), gzip.compress(b"[1]")):
            file.write_bytes(torn)
            assert await lists.today(made.kite, DAY, [RELIANCE]) == first
        assert fetched(made, "kite") == 5


async def test_a_folder_that_cannot_be_written_costs_the_kept_list_alone_and_is_said(tmp_path: Path) -> None:
    (tmp_path / "instruments").write_text("a file where a folder belongs")
    async with room() as made:
        found = await listings(made, tmp_path / "instruments").today(made.kite, DAY, [RELIANCE])
    assert found.resolve(RELIANCE).token == 738561
    assert "is not kept" in found.said


async def test_lists_that_serve_nobody_any_more_are_deleted(tmp_path: Path) -> None:
    days = [DAY - timedelta(days=USABLE + 1), BEFORE, DAY]
    async with room(9, 0, days[0]) as made:
        for day in days:
            made.at(9, 0, day=day)
            await listings(made, tmp_path).today(made.kite, day, [RELIANCE])
    assert [path.name for path in kept_in(tmp_path)] == ["kite-2026-11-19.json.gz", "kite-2026-11-20.json.gz"]


# --- when it is not believed ----------------------------------------------------------------------------------------


async def test_a_short_list_is_not_taken(tmp_path: Path) -> None:
    async with room(9, 0, BEFORE) as made:
        lists = listings(made, tmp_path)
        await lists.today(made.kite, BEFORE, [RELIANCE])
        made.at(9, 0)
        unlist(made, "kite", INFY, "NSE:IDLECO", "NSE:NIFTY 50")
        found = await lists.today(made.kite, DAY, [RELIANCE])
        assert found.day == BEFORE
        assert "1 rows of NSE, 4 on 19 Nov; that of 19 Nov is used" in found.said
        unlist(made, "kite")
        assert (await lists.today(made.kite, DAY, [RELIANCE])).day == DAY


@BROKERS
async def test_a_list_without_a_symbol_that_was_there_is_not_taken_for_some_days(tmp_path: Path, broker: str) -> None:
    async with room(9, 0, BEFORE) as made:
        lists = listings(made, tmp_path)
        await lists.today(made.broker(broker), BEFORE, [RELIANCE, INFY])
        unlist(made, broker, INFY)
        made.at(9, 0)
        found = await lists.today(made.broker(broker), DAY, [RELIANCE, INFY])
        assert found.day == BEFORE
        assert f"{INFY} is missing in it" in found.said
        later = BEFORE + timedelta(days=USABLE + 1)
        made.at(9, 0, day=later)
        found = await lists.today(made.broker(broker), later, [RELIANCE, INFY])
        assert (found.day, found.said) == (later, "")
        assert found.resolve(RELIANCE)
        with pytest.raises(ConfigException, match=INFY):
            found.resolve(INFY)


async def test_a_symbol_that_nobody_trades_may_go(tmp_path: Path) -> None:
    async with room(9, 0, BEFORE) as made:
        lists = listings(made, tmp_path)
        await lists.today(made.kite, BEFORE, [RELIANCE])
        unlist(made, "kite", INFY)
        made.at(9, 0)
        assert (await lists.today(made.kite, DAY, [RELIANCE])).day == DAY


# --- Upstox's files -------------------------------------------------------------------------------------------------


def row(segment: str, name: str, kind: str, **fields: Any) -> dict[str, Any]:
    """As Upstox writes them."""
    exchange = segment.partition("_")[0]
    plain = {
        "segment": segment, "name": name, "exchange": exchange, "instrument_type": kind, "trading_symbol": name,
        "instrument_key": f"{segment}|{name}", "exchange_token": "2885", "tick_size": 10.0, "lot_size": 1,
        "freeze_quantity": 100000.0,
    }  # fmt: skip
    return plain | fields


def contract(name: str, kind: str, expiry: date, strike: float = 0.0, **fields: Any) -> dict[str, Any]:
    text = f"{name} {strike:g} {kind} {expiry:%d %b %y}".upper()
    return row(
        "NSE_FO", text, kind, underlying_symbol=name, strike_price=strike, lot_size=65, tick_size=5.0,
        expiry=(at_ist(expiry, 23, 59, 59)) // 1_000_000, **fields,
    )  # fmt: skip


async def read(rows: object, tmp_path: Path, symbols: list[str], broker: str = "upstox") -> Listing:
    async with room() as made:
        body = gzip.compress(json.dumps(rows).encode())
        made.upstox_venue.fail("listing", Says(200, body, "application/gzip"))
        return await listings(made, tmp_path).today(made.upstox, DAY, symbols)


async def test_contracts_bear_the_names_that_everybody_else_gives_them(tmp_path: Path) -> None:
    rows = [
        contract("NIFTY", "FUT", date(2026, 11, 24)), contract("NIFTY", "CE", date(2026, 11, 24), 26000.0),
        contract("NIFTY", "PE", date(2026, 11, 17), 25950.0), contract("NIFTY", "CE", date(2026, 12, 1), 26000.0),
        contract("NIFTY", "CE", date(2026, 12, 29), 126000.0), contract("RELIANCE", "CE", date(2026, 11, 24), 1402.5),
    ]  # fmt: skip
    wanted = ["NFO:NIFTY26NOVFUT", "NFO:RELIANCE26NOV1402.5CE"]
    found = await read(rows, tmp_path, wanted)
    assert set(found.instruments) == {
        "NFO:NIFTY26NOVFUT", "NFO:NIFTY26NOV26000CE", "NFO:NIFTY26N1725950PE", "NFO:NIFTY26D0126000CE",
        "NFO:NIFTY26DEC126000CE", "NFO:RELIANCE26NOV1402.5CE",
    }  # fmt: skip
    future = found.resolve("NFO:NIFTY26NOVFUT")
    assert (future.kind, future.lot, future.freeze, future.tick) == (InstrumentKind.FUTURE, 65, 100_000, 5)


async def test_rows_of_every_shape_are_read_as_they_are_meant(tmp_path: Path) -> None:
    index = row("NSE_INDEX", "Nifty Bank", "INDEX", trading_symbol="BANKNIFTY")
    for missing in ("tick_size", "lot_size", "freeze_quantity"):
        del index[missing]
    rows = [
        row("NSE_EQ", "CHOLAFIN", "D1", instrument_key="NSE_EQ|debenture"), index,
        row("NSE_EQ", "CHOLAFIN", "EQ", instrument_key="NSE_EQ|share", cas_eligible=True),
        row("NSE_EQ", "GTLINFRA", "BE", tick_size=1.0), row("NCD_FO", "USDINR", "FUT", tick_size=0.25),
        row("GLOBAL_INDEX", "SGX NIFTY", "", exchange_token=""), row("NSE_EQ", "INFY", "EQ", exchange_token=""),
    ]  # fmt: skip
    found = await read(rows, tmp_path, [INFY])
    assert set(found.instruments) == {
        "NSE:CHOLAFIN-D1", "NSE:CHOLAFIN", "NSE:NIFTY BANK", "NSE:GTLINFRA-BE", "NSE:INFY",
    }  # fmt: skip
    assert found.keys["NSE:CHOLAFIN"] == "NSE_EQ|share"
    assert found.instruments["NSE:NIFTY BANK"].kind is InstrumentKind.INDEX
    assert found.instruments["NSE:GTLINFRA-BE"].tick == 1
    assert found.instruments["NSE:CHOLAFIN"].closing_auction
    assert not found.instruments["NSE:INFY"].closing_auction, "the file tells of the auction, and not of this share"


@pytest.mark.parametrize(
    "body",
    [
        b"<html>", b"{}", b"[1, 2]", b'[{"segment": "NSE_EQ"}', b"[]", gzip.compress(b"[{}]", mtime=0)[:-9],
        b"\x1f\x8bnot",
        gzip.compress(json.dumps([row("NSE_EQ", f"S{n}", "EQ", tick_size=0.05) for n in range(5)]).encode(), mtime=0),
        gzip.compress(json.dumps([row("NSE_EQ", "A", "EQ", tick_size="much")]).encode(), mtime=0),
    ],
)  # fmt: skip
async def test_what_is_no_list_of_instruments_is_none(tmp_path: Path, body: bytes) -> None:
    async with room() as made:
        made.upstox_venue.fail("listing", Says(200, body, "application/gzip"))
        with pytest.raises(BrokerException, match="instruments"):
            await listings(made, tmp_path).today(made.upstox, DAY, [])
    assert kept_in(tmp_path) == []


async def test_a_server_that_is_busy_is_asked_again(tmp_path: Path) -> None:
    async with room() as made:
        made.upstox_venue.fail("listing", Says(503, b"busy"))
        made.upstox_venue.fail("listing", Closed())
        found = await listings(made, tmp_path).today(made.upstox, DAY, [RELIANCE])
    assert found.day == DAY


objects = st.lists(st.dictionaries(st.text(max_size=5), st.text() | st.integers() | st.booleans(), max_size=4))


@given(objects, st.integers(1, 40), st.booleans())
def test_rows_come_out_as_they_went_in_however_the_bytes_are_cut(
    rows: list[Mapping[str, Any]], step: int, packed: bool
) -> None:
    text = json.dumps(rows, ensure_ascii=False, indent=step % 3 or None).encode("utf-8", "surrogatepass")
    if b"\xed" in text:  # a lone half of a character, which is no UTF-8
        return
    before, assets.STEP = assets.STEP, step
    try:
        assert list(read_rows(gzip.compress(text) if packed else text)) == rows
    finally:
        assets.STEP = before
