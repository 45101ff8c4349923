"""The square-off is put off by a human: only so far as the broker allows, said, and known after a restart."""

from __future__ import annotations

from typing import Any

import pytest
from harness.bench import AUCTIONED, DAY, SHARE, Bench, config, run
from harness.venue import FakeVenue

from otrade_bot.config.models import MarketConfig
from otrade_bot.config.rules import first_fault
from otrade_bot.core.clock import at_ist, iso
from otrade_bot.core.errors import CommandException
from otrade_bot.core.events import EventKind
from otrade_bot.core.model import ExitReason, Product
from otrade_bot.trading.decided import decided

LONG = config(params={"short": False})
NAME = SHARE.symbol


def bought(settings: Any = LONG, **more: Any) -> Bench:
    bench = Bench(lambda b: FakeVenue(b.clock), settings, **more)
    bench.signal()
    bench.broker.fill(bench.broker.accept(), say=False)
    bench.broker.deliver_all()
    bench.broker.accept()
    bench.broker.deliver_all()
    return bench


def square_off(bench: Bench) -> int:
    return int(bench.engine.params[0]["square_off"])


def said(bench: Bench, boundary: str) -> list[int]:
    return [e.ts_ns for e in bench.events(EventKind.SESSION) if e.data["boundary"] == boundary]


def test_it_leaves_later_and_no_entry_is_allowed_longer() -> None:
    bench = bought()
    entries = int(bench.engine.params[0]["entry_until"])
    bench.at(15, 9)
    assert bench.engine.extend_square_off([NAME], 5, "owner") == f"Square-off of {NAME} at 15:15."
    assert square_off(bench) == at_ist(DAY, 15, 15)
    bench.at(15, 11)
    assert bench.life().wanted is None
    bench.at(15, 15)
    assert bench.life().wanted is ExitReason.SQUARE_OFF
    assert int(bench.engine.params[0]["entry_until"]) == entries
    assert said(bench, "square_off") == [at_ist(DAY, 15, 15)]
    line = bench.events(EventKind.LEVEL)[0]
    assert (line.data["what"], line.data["symbols"], line.data["by"]) == ("square_off", [NAME], "owner")


def test_never_into_the_brokers_own_square_off() -> None:
    bench = bought()
    assert "at 15:15" in bench.engine.extend_square_off([NAME], 60, "owner")
    with pytest.raises(CommandException, match="the broker squares off by itself soon after"):
        bench.engine.extend_square_off([NAME], 5, "owner")
    bench.broker.name = "upstox"
    other = bought()
    other.broker.name = "upstox"
    with pytest.raises(CommandException, match="by itself soon after"):
        other.engine.extend_square_off([NAME], 5, "owner")


def test_the_settings_may_allow_less_or_more() -> None:
    square = {"equity": {"entries_stop": "15:00", "exit": "15:10", "extend_until": "15:12"}}
    bench = bought(config(market=MarketConfig.model_validate({"square_off": square})))
    assert "at 15:12" in bench.engine.extend_square_off([NAME], 5, "owner")


def test_shares_with_a_closing_auction_have_a_time_of_their_own() -> None:
    bench = bought(config(symbols=(AUCTIONED.symbol,)), instruments=(AUCTIONED,))
    assert "at 15:00" in bench.engine.extend_square_off([AUCTIONED.symbol], 30, "owner")


def test_there_is_nothing_to_put_off_once_it_has_come_or_where_it_is_kept_over_night() -> None:
    bench = bought()
    for minutes in (0, 61):
        with pytest.raises(CommandException, match="by 1 to 60 minutes"):
            bench.engine.extend_square_off([NAME], minutes, "owner")
    with pytest.raises(CommandException, match="it has come, or there is none"):
        bench.engine.extend_square_off(["NSE:NOWHERE"], 5, "owner")
    bench.at(15, 10)
    with pytest.raises(CommandException, match="it has come, or there is none"):
        bench.engine.extend_square_off([NAME], 5, "owner")
    delivery = bought(config(product=Product.CNC))
    with pytest.raises(CommandException, match="it has come, or there is none"):
        delivery.engine.extend_square_off([NAME], 5, "owner")


def test_a_restart_knows_it() -> None:
    bench = bought()
    bench.at(15, 8)
    bench.engine.extend_square_off([NAME], 5, "owner")
    lines = [
        {"ts": iso(e.ts_ns), "ns": e.ts_ns, "kind": e.kind.value, "symbol": e.symbol, **e.data}
        for e in bench.diary.events
    ]
    again = Bench(lambda b: bench.broker, LONG)
    bench.broker.clock = again.clock
    again.clock.advance_to(at_ist(DAY, 15, 11))
    run(again.engine.recover(decided=decided(lines)))
    assert square_off(again) == at_ist(DAY, 15, 15)
    again.at(15, 12)
    assert again.life().wanted is None
    again.price(9_990)
    again.at(15, 15)
    assert again.life().wanted is ExitReason.SQUARE_OFF


def test_a_setting_before_the_exit_or_after_the_market_is_refused() -> None:
    for until in ("15:09", "15:30"):
        square = {"equity": {"entries_stop": "15:00", "exit": "15:10", "extend_until": until}}
        fault = first_fault(config(market=MarketConfig.model_validate({"square_off": square})))
        assert fault is not None
        assert fault.loc == ("square_off", "equity", "extend_until")
