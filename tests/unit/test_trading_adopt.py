"""Settings that change while it trades: what is new enters by them, what is open keeps what it has."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest
from harness.bench import DAY, OTHER, SHARE, Bench, config, run

from otrade_bot.config.models import Config, RiskConfig
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.model import Product
from otrade_bot.strategies.base import Rung
from otrade_bot.trading.adopt import adopt, entry_labels, numbers_then, tables_of
from otrade_bot.trading.carry import Carried, carry_in, remembered
from otrade_bot.trading.decided import decided

LONG = config(params={"short": False})


def with_params(settings: Config, **params: Any) -> Config:
    given = settings.trading.strategies[0]
    return with_strategy(settings, params={**given.params, **params})


def with_strategy(settings: Config, **changes: Any) -> Config:
    given = settings.trading.strategies[0].model_copy(update=changes)
    return replace(settings, trading=settings.trading.model_copy(update={"strategies": (given,)}))


def with_risk(settings: Config, **changes: Any) -> Config:
    return replace(settings, risk=RiskConfig(**{**settings.risk.model_dump(), **changes}))


def bought(path: Path, settings: Config | None = None) -> Bench:
    bench = Bench.paper(path / "paper.jsonl", settings or LONG)
    bench.signal()
    bench.price(10_000)
    assert [one.quantity for one in bench.engine.positions()] == [30]
    return bench


def closed(bench: Bench) -> None:
    bench.engine.exit_row(0)
    bench.price(10_000)
    bench.price(10_000)
    assert bench.engine.positions() == []


def test_a_stopped_strategy_enters_nothing_and_says_so_without_a_message_for_each(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "paper.jsonl", LONG)
    adopt(bench.engine, with_strategy(bench.config, enabled=False))
    bench.signal()
    assert bench.engine.positions() == []
    assert bench.codes() == ["disabled"]
    assert bench.events(EventKind.REFUSAL)[0].severity is Severity.DEBUG
    adopt(bench.engine, bench.config)
    bench.signal()
    bench.price(10_000)
    assert bench.engine.positions()


def test_a_strategy_that_starts_stopped_is_stopped(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "paper.jsonl", with_strategy(LONG, enabled=False))
    bench.signal()
    assert bench.codes() == ["disabled"]


def test_what_a_stopped_strategy_holds_keeps_its_stop_and_is_squared_off(tmp_path: Path) -> None:
    bench = bought(tmp_path)
    stop = bench.engine.positions()[0].stop
    adopt(bench.engine, with_strategy(bench.config, enabled=False))
    bench.price(9_990)
    assert bench.engine.positions()[0].stop == stop
    assert bench.engine.positions()[0].stop_resting
    bench.at(15, 10)
    bench.price(9_990)
    bench.price(9_990)
    assert [trade.reason for trade in bench.engine.trades()] == ["square_off"]


def test_a_strategys_own_capital_buys_its_rungs(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "paper.jsonl", with_strategy(LONG, capital_per_position=1_000))
    bench.signal()
    bench.price(10_000)
    assert [one.quantity for one in bench.engine.positions()] == [10]


def test_new_capital_sizes_the_next_entry_and_not_the_open_one(tmp_path: Path) -> None:
    bench = bought(tmp_path)
    adopt(bench.engine, with_strategy(bench.config, capital_per_position=1_000))
    assert [one.quantity for one in bench.engine.positions()] == [30]
    closed(bench)
    bench.signal()
    bench.price(10_000)
    assert [one.quantity for one in bench.engine.positions()] == [10]


@pytest.mark.parametrize("percent", [0.5, 5.0])
def test_an_open_position_keeps_its_stop_and_target_when_the_percentages_change(
    tmp_path: Path, percent: float
) -> None:
    bench = bought(tmp_path)
    before = bench.engine.positions()[0]
    adopt(bench.engine, with_params(bench.config, stop_percent=percent, target_percent=9.0))
    bench.price(10_020)
    now = bench.engine.positions()[0]
    assert (now.stop, now.target) == (before.stop, before.target) == (9_800, 10_400)
    closed(bench)
    bench.signal()
    bench.price(10_000)
    fresh = bench.engine.positions()[0]
    assert (fresh.stop, fresh.target) == (round(10_000 * (1 - percent / 100)), 10_900)


def test_a_trailing_stop_follows_at_the_distance_it_began_with(tmp_path: Path) -> None:
    bench = bought(tmp_path, with_params(LONG, trail=True, target_percent=50.0))
    adopt(bench.engine, with_params(bench.config, trail=True, stop_percent=0.5, target_percent=50.0))
    bench.prices(10_100, 10_200, 10_200)
    assert bench.engine.positions()[0].stop == 9_995  # 2 % under the best, not half a one


def recovered(bench: Bench, path: Path, settings: Config, lines: list[dict[str, Any]]) -> Bench:
    """Another process with these settings, after the one of ``bench`` and with its journal."""
    prices = [(s, 0, p, 0) for s, p in bench.told]  # type: ignore[attr-defined]
    bench.broker.close()
    again = Bench.paper(path / "paper.jsonl", settings)
    again.clock.advance_to(bench.now)
    run(again.engine.recover(history=prices, numbers=numbers_then(lines)))
    return again


def lines_of(bench: Bench, when: int, settings: Config | None = None) -> dict[str, Any]:
    engine = bench.engine
    kept, engine.config = engine.config, settings or engine.config
    try:
        return {"kind": "run", "ns": when, "rungs": tables_of(engine)}
    finally:
        engine.config = kept


@pytest.mark.parametrize("told", [True, False])
def test_a_start_with_other_percentages_leaves_the_open_position_its_stop(tmp_path: Path, told: bool) -> None:
    """``told``: the change was journaled; else somebody edited the file while nobody ran."""
    bench = Bench.paper(tmp_path / "paper.jsonl", LONG)
    told_prices: list[tuple[int, int]] = []
    bench.engine.add_price_listener(lambda symbol, ts, price, volume: told_prices.append((ts, price)))
    bench.told = told_prices  # type: ignore[attr-defined]
    lines = [lines_of(bench, bench.now)]
    bench.signal()
    bench.price(10_000)
    other = with_params(bench.config, stop_percent=0.5, target_percent=9.0)
    if told:
        adopt(bench.engine, other)
        lines.append(lines_of(bench, bench.now, other))
        bench.price(10_010)
    again = recovered(bench, tmp_path, other, lines)
    held = again.engine.positions()[0]
    assert (held.stop, held.target) == (9_800, 10_400)
    closed(again)
    again.signal()
    again.price(10_000)
    fresh = again.engine.positions()[0]
    assert (fresh.stop, fresh.target) == (9_950, 10_900)


def test_a_trade_of_before_the_change_is_told_with_its_own_reason_after_a_restart(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "paper.jsonl", LONG)
    told_prices: list[tuple[int, int]] = []
    bench.engine.add_price_listener(lambda symbol, ts, price, volume: told_prices.append((ts, price)))
    bench.told = told_prices  # type: ignore[attr-defined]
    lines = [lines_of(bench, bench.now)]
    bench.signal()
    bench.prices(10_000, 10_400, 10_400, 10_400)
    assert [trade.reason for trade in bench.engine.trades()] == ["target"]
    other = with_params(bench.config, target_percent=20.0)
    again = recovered(bench, tmp_path, other, lines)
    assert [trade.reason for trade in again.engine.trades()] == ["target"]


def test_limits_hold_at_once_for_the_next_order(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "paper.jsonl", LONG)
    adopt(bench.engine, with_risk(bench.config, max_order_value=1_000))
    bench.signal()
    assert bench.codes() == ["value"]
    adopt(bench.engine, with_risk(bench.config, total_capital=1_000))
    bench.price(9_950, seconds=70)
    bench.signal()
    assert bench.codes() == ["value", "capital"]


def test_a_lower_loss_limit_ends_the_day_and_a_higher_one_lets_it_go_on(tmp_path: Path) -> None:
    bench = bought(tmp_path)
    bench.price(9_900)
    adopt(bench.engine, with_risk(bench.config, daily_loss_limit=10))
    bench.price(9_900)
    assert bench.engine.status().halted
    assert any("daily loss limit reached" in text for text in bench.alerts)
    adopt(bench.engine, with_risk(bench.config, daily_loss_limit=20))
    assert bench.engine.status().halted  # 30 rupees and the charges are lost
    adopt(bench.engine, with_risk(bench.config, daily_loss_limit=500))
    assert not bench.engine.status().halted


@pytest.mark.parametrize("change", [{"cooldown_seconds": 5}, {"daily_loss_limit": 15}])
def test_a_day_that_its_limit_has_ended_stays_over_though_prices_came_back(
    change: dict[str, Any], tmp_path: Path
) -> None:
    """For whatever is changed but a higher limit, and for the next process too."""
    bench = bought(tmp_path, with_risk(LONG, daily_loss_limit=20))
    bench.prices(9_900, 10_080)
    status = bench.engine.status()
    assert status.halted
    assert status.realised + status.unrealised - status.charges > -1_500
    adopt(bench.engine, with_risk(bench.config, **change))
    assert bench.engine.status().halted
    bench.broker.close()
    again = Bench.paper(tmp_path / "paper.jsonl", bench.config)
    again.clock.advance_to(bench.now)
    run(again.engine.recover(decided=decided({"kind": e.kind, **e.data} for e in bench.diary.events)))
    again.price(10_080)
    assert again.engine.status().halted
    assert not any("loss limit" in text for text in again.alerts), "it was told when it came"
    adopt(again.engine, with_risk(bench.config, daily_loss_limit=500))
    assert not again.engine.status().halted
    again.broker.close()


def test_a_row_that_is_there_for_its_exits_alone_is_not_switched_on(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "paper.jsonl", LONG)
    bench.engine.exits_only(0)
    adopt(bench.engine, with_risk(bench.config, max_trades_per_day=9))
    assert int(bench.engine.params[0]["enabled"]) == 0
    assert int(bench.engine.params[0]["sid"]) == 0


def test_indicators_are_left_alone_where_an_opening_comes(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "paper.jsonl", LONG)
    adopt(bench.engine, with_params(bench.config, slow=9), rules=False)
    assert int(bench.engine.params[0]["slow"]) == 3
    adopt(bench.engine, with_params(bench.config, slow=9))
    assert int(bench.engine.params[0]["slow"]) == 9


def test_a_strategy_that_stands_twice_in_the_settings_has_two_names(tmp_path: Path) -> None:
    one = config().trading.strategies[0]
    two = one.model_copy(update={"instruments": (OTHER.symbol,), "capital_per_position": 500})
    settings = replace(config(), trading=config().trading.model_copy(update={"strategies": (one, two)}))
    assert entry_labels(settings) == ["ema_crossover", "ema_crossover:2"]
    bench = Bench.paper(tmp_path / "paper.jsonl", settings, instruments=(SHARE, OTHER))
    bench.signal(row=1)
    bench.price(10_000, row=1)
    assert [(p.symbol, p.quantity) for p in bench.engine.positions()] == [(OTHER.symbol, 5)]


@pytest.mark.parametrize("odd", [None, 5, {"a": None}, {"a": [[1.0]]}, {"a": []}, {"a": [[1, 2, True, "x"]]}])
def test_numbers_of_another_version_in_the_journal_are_left_out(odd: Any) -> None:
    good = {"kind": "run", "ns": 7, "rungs": {"a": [[1, 2.0, False, 0]]}}
    assert numbers_then([{"kind": "run", "ns": 5, "rungs": odd}, good, {**good, "ns": 9}]) == [
        (7, {"a": (Rung(1.0, 2.0, False, 0.0),)})
    ]


def test_a_setting_is_a_kind_of_its_own() -> None:
    assert EventKind("setting") is EventKind.SETTING


DELIVERY = config(params={"short": False, "trail": True}, product=Product.CNC)


def morning(path: Path, day: date, settings: Config, kept: list[Carried]) -> Bench:
    """A process that starts on ``day`` with these settings, and writes down what holds."""
    bench = Bench.paper(path, settings, start=False, day=day)
    bench.engine.prepare(day)
    bench.broker.start_day(day)
    run(carry_in(bench.engine, kept))
    bench.engine.start_day(day)
    run(bench.engine.recover())
    bench.engine.emit(Event(EventKind.RUN, bench.now, data={"rungs": tables_of(bench.engine)}))
    return bench


def diary(bench: Bench) -> list[dict[str, Any]]:
    """As it is read back from the disk."""
    lines = [
        {"kind": str(e.kind), "ns": e.ts_ns, "symbol": e.symbol, "text": e.text, **e.data} for e in bench.diary.events
    ]
    found: list[dict[str, Any]] = orjson.loads(orjson.dumps(lines))
    return found


def test_a_position_of_earlier_days_goes_on_with_the_numbers_it_was_opened_with(tmp_path: Path) -> None:
    path, day = tmp_path / "paper.jsonl", DAY
    bench = morning(path, day, DELIVERY, [])
    bench.signal()
    bench.price(10_000)
    before = bench.engine.positions()[0]
    other = with_params(DELIVERY, stop_percent=0.5, target_percent=9.0)
    adopt(bench.engine, other)
    bench.engine.emit(Event(EventKind.SETTING, bench.now, data={"rungs": tables_of(bench.engine)}))
    for _ in range(3):
        lines = diary(bench)
        bench.broker.close()
        day = other.calendar.next_trading_day(day)
        bench = morning(path, day, other, remembered(lines) or [])
        bench.price(10_010)
        now = bench.engine.positions()[0]
        assert (now.entry_ns, now.stop, now.target) == (before.entry_ns, before.stop, before.target)
    bench.engine.exit_row(0)
    bench.prices(10_000, 10_000)
    assert bench.engine.positions() == []
    bench.price(9_950, seconds=70)
    bench.signal()
    bench.price(10_000)
    fresh = bench.engine.positions()[0]
    assert fresh.target == pytest.approx(fresh.average * 1.09, abs=5)


def test_a_position_whose_numbers_no_journal_knows_has_those_of_today(tmp_path: Path) -> None:
    path = tmp_path / "paper.jsonl"
    bench = morning(path, DAY, DELIVERY, [])
    bench.signal()
    bench.price(10_000)
    lines = [line for line in diary(bench) if line["kind"] != "run"]
    bench.broker.close()
    again = morning(path, DELIVERY.calendar.next_trading_day(DAY), with_params(DELIVERY, target_percent=9.0),
                    remembered(lines) or [])  # fmt: skip
    assert again.engine.positions()[0].target == 10_900
