"""Offline instrument metadata: what is an index, a share, a derivative; tick sizes by day and price."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from otrade_bot.brokers.instruments import InstrumentStore, classify, tick_size
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.model import InstrumentKind

OLD, NEW = date(2021, 6, 1), date(2026, 11, 23)
EQUITY, FUTURE = InstrumentKind.EQUITY, InstrumentKind.FUTURE
OPTION, INDEX = InstrumentKind.OPTION, InstrumentKind.INDEX


@pytest.mark.parametrize(
    "name",
    ["NIFTY 50", "NIFTY50", "NIFTY", "NIFTY_50", "nifty", "BANKNIFTY", "NIFTYBANK", "NIFTY BANK",
     "Nifty_Bank",
     "FINNIFTY", "MIDCPNIFTY", "NIFTYNXT50", "SENSEX", "BANKEX", "INDIAVIX", "INDIA VIX", "NIFTY_AUTO",
     "NIFTY_FINSERV", "NIFTY_FMCG", "NIFTY_IT", "NIFTY_MEDIA", "NIFTY_METAL", "NIFTY_PHARMA",
     "NIFTY_PSU_BANK",
     "NIFTY_PVT_BANK", "NIFTY_REALTY"],
)  # fmt: skip
def test_an_index_is_known_in_every_spelling_and_cannot_be_traded(name: str) -> None:
    instrument = InstrumentStore(NEW).get(f"NSE:{name}")
    assert instrument.kind is INDEX
    assert not instrument.tradable
    assert not instrument.closing_auction
    assert (instrument.lot, instrument.freeze) == (1, 0)


@pytest.mark.parametrize(
    ("symbol", "kind", "root"),
    [
        ("NSE:NIFTYBEES", EQUITY, "NIFTYBEES"),
        ("NSE:BANKBEES", EQUITY, "BANKBEES"),
        ("NSE:RELIANCE", EQUITY, "RELIANCE"),  # ends in CE
        ("NSE:BAJAJ-AUTO", EQUITY, "BAJAJ-AUTO"),
        ("NSE:SBIN-EQ", EQUITY, "SBIN"),
        ("NSE:SOMETHINGNEW", EQUITY, "SOMETHINGNEW"),
        ("NFO:NIFTY21JUNFUT", FUTURE, "NIFTY"),
        ("NSE:RELIANCE26NOVFUT", FUTURE, "RELIANCE"),
        ("NSE:M&M26NOVFUT", FUTURE, "M&M"),
        ("NSE:BANKNIFTY-I", FUTURE, "BANKNIFTY"),
        ("NFO:NIFTY26NOV24500CE", OPTION, "NIFTY"),
        ("NFO:NIFTY2160315600PE", OPTION, "NIFTY"),
        ("NFO:NIFTY26N2424500CE", OPTION, "NIFTY"),
        ("NFO:WIPRO26NOV252.5PE", OPTION, "WIPRO"),
        ("NSE:NIFTY_PSU_BANK", INDEX, "NIFTY PSU BANK"),
    ],
)
def test_the_symbol_tells_the_kind(symbol: str, kind: InstrumentKind, root: str) -> None:
    assert classify(symbol) == (kind, root)


@pytest.mark.parametrize("price", [1, 24_999, 25_000, 215_505, 9_999_900])
def test_the_tick_was_five_paise_for_every_price_before_april_2025(price: int) -> None:
    assert {tick_size(kind, price, date(2025, 4, 14)) for kind in InstrumentKind} == {5}


@pytest.mark.parametrize(
    ("rupees", "tick"),
    [(249.99, 1), (250, 5), (1000, 5), (1000.05, 10), (5000, 10), (5000.1, 50), (10_000, 50), (10_000.5, 100),
     (20_000, 100), (20_001, 500), (145_000, 500)],
)  # fmt: skip
def test_the_tick_follows_the_price_from_april_2025(rupees: float, tick: int) -> None:
    for kind in (EQUITY, FUTURE):
        assert tick_size(kind, round(rupees * 100), date(2025, 4, 15)) == tick


@pytest.mark.parametrize(("points", "tick"), [(15_000, 5), (15_000.05, 10), (30_000, 10), (52_000, 20)])
def test_index_futures_have_bands_of_their_own(points: float, tick: int) -> None:
    built = InstrumentStore(NEW).build("NFO:BANKNIFTY26NOVFUT", NEW, round(points * 100))
    assert built.tick == tick
    assert tick_size(OPTION, round(points * 100), NEW) == 5


def test_an_unknown_price_gets_the_common_tick() -> None:
    assert tick_size(EQUITY, 0, NEW) == 5


@pytest.mark.parametrize(
    ("root", "lot", "freeze"),
    [("NIFTY", 65, 1800), ("BANKNIFTY", 30, 600), ("FINNIFTY", 60, 1800), ("MIDCPNIFTY", 120, 2800),
     ("NIFTYNXT50", 25, 600)],
)  # fmt: skip
def test_index_derivatives_have_their_lot_and_freeze_quantity(root: str, lot: int, freeze: int) -> None:
    store = InstrumentStore(NEW)
    for suffix in ("26NOVFUT", "26NOV24500CE"):
        built = store.get(f"NFO:{root}{suffix}")
        assert (built.lot, built.freeze, built.closing_auction) == (lot, freeze, False)


@pytest.mark.parametrize(
    ("symbol", "auction"),
    [("NSE:RELIANCE", True), ("NSE:WIPRO", True), ("NSE:BAJAJ_AUTO", True), ("NSE:SBIN-EQ", True),
     ("NSE:M&M", True),
     ("NSE:DEMOALPHA", False), ("NSE:NIFTYBEES", False), ("NSE:RELIANCE26NOVFUT", False)],
)  # fmt: skip
def test_shares_with_derivatives_close_by_auction(symbol: str, auction: bool) -> None:
    assert InstrumentStore(NEW).get(symbol).closing_auction is auction


def test_tokens_count_up_in_order_of_first_use_and_stay() -> None:
    store = InstrumentStore(OLD)
    assert [store.get(s).token for s in ("NSE:B", "A", "NSE:B", "nse:a", "NSE:C")] == [1, 2, 1, 2, 3]
    assert store.build("NSE:A", NEW, 20_000).token == 2
    assert store.get("NSE:A").tick == 1
    assert store.by_token(2) is store.get("NSE:A")
    assert [i.symbol for i in store] == ["NSE:B", "NSE:A", "NSE:C"]
    assert len(store) == 3
    with pytest.raises(KeyError):
        store.by_token(4)


def test_overrides_go_before_what_is_known() -> None:
    given = {
        "RELIANCE": {
            "tick_size": 0.1,
            "lot": 500,
            "freeze": 20_000,
            "closing_auction": False,
            "name": "Reliance",
        },
        "NSE:NIFTY50": {"kind": "equity"},
    }
    store = InstrumentStore(NEW, given)
    share = store.get("NSE:RELIANCE")
    assert (share.tick, share.lot, share.freeze, share.closing_auction, share.name) == (
        10,
        500,
        20_000,
        False,
        "Reliance",
    )
    assert store.get("NSE:NIFTY50").kind is EQUITY
    assert store.build("NSE:RELIANCE", overrides={"NSE:RELIANCE": {"lot": 2}}).lot == 2


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"NSE:X": {"lot": 0}}, "lot"),
        ({"NSE:X": {"lot": 1.5}}, "lot"),
        ({"NSE:X": {"lot": True}}, "lot"),
        ({"NSE:X": {"freeze": -1}}, "freeze"),
        ({"NSE:X": {"tick_size": 0}}, "tick_size"),
        ({"NSE:X": {"tick_size": 0.005}}, "tick_size"),
        ({"NSE:X": {"tick_size": float("nan")}}, "tick_size"),
        ({"NSE:X": {"tick_size": "0.05"}}, "tick_size"),
        ({"NSE:X": {"kind": "bond"}}, "kind"),
        ({"NSE:X": {"kind": []}}, "kind"),
        ({"NSE:X": {"closing_auction": 1}}, "closing_auction"),
        ({"NSE:X": {"name": 7}}, "name"),
        ({"NSE:X": {"tick": 5}}, "tick"),
        ({"NSE:X": 5}, "NSE:X"),
        ({"NSE:": {}}, "instruments"),
        ([], "instruments"),
    ],
)
def test_a_wrong_override_names_its_file_and_key(given: Any, key: str) -> None:
    if given == []:
        given = ["NSE:X"]
    with pytest.raises(ConfigException) as wrong:
        InstrumentStore(NEW, given)
    assert wrong.value.key.endswith(key)
    assert wrong.value.allowed


@pytest.mark.parametrize("symbol", ["", "  ", "NSE:", ":X", "N1:X", "NSE: X"])
def test_what_is_no_symbol_is_refused(symbol: str) -> None:
    with pytest.raises(ConfigException, match="not an instrument"):
        InstrumentStore(NEW).get(symbol)
