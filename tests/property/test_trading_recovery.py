"""A day that is cut and resumed is the day that was not: kernel, rungs, trades and tags."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from harness.bench import DAY, OPEN, OTHER, SHARE, Bench, config, run
from harness.venue import FakeVenue
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otrade_bot.core.clock import SECOND
from otrade_bot.core.model import BrokerPosition, Holding, OrderStatus, OrderType, Product, Side
from otrade_bot.trading.recover import HistoryTick

INSTRUMENTS = (SHARE, OTHER)
#: What the kernel keeps only to be quiet about, or to say news once.
NOT_KEPT = {"limited", "limited_ts", "verdict"}


@cache
def stream(seed: int = 5, minutes: int = 40) -> tuple[HistoryTick, ...]:
    """Two shares that swing enough for stops, targets and ladders, with the minute timers among them."""
    luck = random.Random(seed)
    price, volume = [10_000, 20_000], [0, 0]
    steps: list[HistoryTick] = []
    for second in range(0, minutes * 60, 5):
        ts = OPEN + second * SECOND
        if second and second % 60 == 0:
            steps.append((ts, -1, 0, 1))
        for row in (0, 1):
            drift = 0.0015 if (second // 400 + row) % 2 == 0 else -0.0015
            price[row] = round(price[row] * (1 + drift + luck.gauss(0, 0.0012)) / 5) * 5
            volume[row] += luck.choice([0, 1, 3, 10])
            steps.append((ts + luck.randrange(SECOND), row, price[row], volume[row]))
    return tuple(sorted(steps, key=lambda s: s[0]))


def settings_of(strategy: str) -> Any:
    params = {"stop_percent": 0.5, "target_percent": 1.0} if strategy == "ema_crossover" else {
        "stop_percent": 0.6, "target_percent": 1.2, "stop2_percent": 0.5, "stop3_percent": 0.7, "add3_percent": 0.4,
    }  # fmt: skip
    timeframe = "tick" if strategy == "ema_crossover" else "1m"
    return config(strategy, [i.symbol for i in INSTRUMENTS], timeframe, params)


def bench_at(path: Path, strategy: str) -> Bench:
    return Bench.paper(path, settings_of(strategy), instruments=INSTRUMENTS)


def facts(bench: Bench) -> dict[str, Any]:
    """All that a restart must find again."""
    state = bench.engine.state
    rows = {name: state[name].tolist() for name in state.dtype.names if name not in NOT_KEPT}
    account = {name: bench.engine.account[name].tolist() for name in bench.engine.account.dtype.names}
    lives = {
        slot: (life.cycle, life.side, life.ordered, life.held, life.entry_value, life.exit_value, life.level,
               life.target)
        for slot, life in sorted(bench.manager.lives.items()) if not life.closed
    }  # fmt: skip
    trades = [replace(t) for t in bench.engine.trades()]
    return {"rows": rows, "account": account, "lives": lives, "trades": trades, "tags": bench.manager.tags.sequence}


def compare(kept: dict[str, Any], found: dict[str, Any]) -> None:
    for part in ("tags", "lives", "account"):
        assert found[part] == kept[part], part
    assert sorted(found["trades"], key=lambda t: t.trade_id) == sorted(kept["trades"], key=lambda t: t.trade_id)
    for name, values in kept["rows"].items():
        assert found["rows"][name] == values, name


def cut(folder: Path, strategy: str, at: int) -> tuple[Bench, Bench]:
    """(the engine that goes on, a new one on a copy of the book at step ``at``)."""
    steps = stream()
    lived = bench_at(folder / "a.jsonl", strategy)
    lived.feed(steps[:at])
    (folder / "b.jsonl").write_bytes((folder / "a.jsonl").read_bytes())
    born = bench_at(folder / "b.jsonl", strategy)
    born.clock.advance_to(lived.now)
    run(born.engine.recover(history=steps[:at]))
    return lived, born


@pytest.mark.parametrize("strategy", ["ema_crossover", "momentum_ladder"])
def test_the_stream_holds_what_is_to_be_lost(tmp_path: Path, strategy: str) -> None:
    bench = bench_at(tmp_path / "p", strategy)
    bench.feed(stream())
    trades = bench.engine.trades()
    assert len(trades) > 5
    assert {t.reason.value for t in trades} >= {"stop"}
    assert strategy == "ema_crossover" or {t.rung for t in trades} == {1, 2, 3}


@pytest.mark.parametrize("strategy", ["ema_crossover", "momentum_ladder"])
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(at=st.integers(1, len(stream()) - 1))
def test_a_new_engine_on_the_same_book_is_the_old_one(
    tmp_path_factory: pytest.TempPathFactory, strategy: str, at: int
) -> None:
    lived, born = cut(tmp_path_factory.mktemp("cut"), strategy, at)
    compare(facts(lived), facts(born))
    for slot, life in lived.manager.lives.items():
        # Growth of a stop that was put off for a second is done at once by the new one: never less is covered.
        again = born.manager.lives[slot]
        assert life.covered <= again.covered <= again.held or life.covered == again.covered
        assert again.protected or not life.protected
    more = stream()[at : at + 300]
    lived.feed(more)
    born.feed(more)
    compare(facts(lived), facts(born))


# --- what is found at the broker ------------------------------------------------------------------------


def turn() -> list[HistoryTick]:
    """A fall and a turn, after which the first share is bought at 100 rupees."""
    return [(OPEN + k * SECOND, 0, price, 0) for k, price in enumerate((9_995, 9_990, 9_980, 9_970, 9_960, 10_000), 1)]


def left_behind() -> tuple[FakeVenue, list[HistoryTick]]:
    """A venue where one rung of 30 is held with its stop; and the prices of that morning."""
    bench = Bench(lambda b: FakeVenue(b.clock))
    history = turn()
    bench.feed(history)
    bench.broker.fill(bench.broker.accept(), say=False)
    bench.broker.deliver_all()
    bench.broker.accept()
    bench.broker.deliver_all()
    venue: FakeVenue = bench.broker
    venue.calls.clear()
    return venue, history


def reborn(venue: FakeVenue, history: list[HistoryTick], **more: Any) -> Bench:
    bench = Bench(lambda b: venue, **more)
    venue.clock = bench.clock
    bench.clock.advance_to(history[-1][0] + 2 * SECOND)
    run(bench.engine.recover(history=history))
    return bench


def test_a_rung_with_its_stop_is_taken_over_and_nothing_is_sent() -> None:
    venue, history = left_behind()
    bench = reborn(venue, history)
    assert [(p.quantity, p.stop_resting) for p in bench.engine.positions()] == [(30, True)]
    assert not venue.calls
    assert bench.life().exits[0].order_type is OrderType.SL_M


def test_a_missing_stop_is_placed() -> None:
    venue, history = left_behind()
    venue.change("V002", say=False, status=OrderStatus.CANCELLED)
    reborn(venue, history)
    request = venue.last("place").request
    assert (request.side, request.quantity, request.trigger) == (Side.SELL, 30, 9_800)
    assert len(venue.calls) == 1


def test_of_two_stops_the_later_one_is_cancelled() -> None:
    venue, history = left_behind()
    tag = venue.orders["V002"].tag
    first = venue.orders["V002"]
    venue.orders["V003"] = replace(first, order_id="V003", tag=tag[:-1] + "9", placed_ns=first.placed_ns + 1)
    bench = reborn(venue, history)
    assert [(c.what, c.order_id) for c in venue.calls] == [("cancel", "V003")]
    venue.accept()
    venue.deliver_all()
    assert bench.life().covered == 30


def test_what_is_not_ours_is_shown_and_never_touched() -> None:
    venue, history = left_behind()
    venue.external.append(BrokerPosition(OTHER.symbol, Product.MIS, 50, 0))
    venue.held.append(Holding(SHARE.symbol, 5, 9_000))
    bench = reborn(venue, history, instruments=INSTRUMENTS)
    external = {(p.symbol, p.quantity) for p in bench.engine.positions() if p.external}
    assert external == {(OTHER.symbol, 50), (SHARE.symbol, 5)}
    bench.pulse(60)
    run(bench.engine.reconcile())
    assert not venue.calls


def test_a_rung_that_was_closed_outside_meanwhile_is_booked_and_its_stop_taken_back() -> None:
    venue, history = left_behind()
    venue.external.append(BrokerPosition(SHARE.symbol, Product.MIS, -30, 0))
    history.append((history[-1][0] + 61 * SECOND, 0, 10_000, 0))  # long enough for the positions to show the fill
    bench = reborn(venue, history)
    assert [(c.what, c.order_id) for c in venue.calls] == [("cancel", "V002")]
    venue.accept()
    venue.deliver_all()
    assert [t.quantity for t in bench.engine.trades()] == [30]
    assert not bench.engine.external.get((SHARE.symbol, "MIS"))


def test_a_delivery_rung_finds_its_gtt_again(tmp_path: Path) -> None:
    settings_ = config(product=Product.CNC)
    steps = turn()
    lived = Bench.paper(tmp_path / "a", settings_)
    lived.feed(steps)
    (tmp_path / "b").write_bytes((tmp_path / "a").read_bytes())
    born = Bench.paper(tmp_path / "b", settings_)
    born.clock.advance_to(lived.now)
    run(born.engine.recover(history=steps))
    gtt = born.life().gtt
    assert gtt is not None
    assert (gtt.gtt_id, gtt.quantity, gtt.level) == ("G000001", 30, 9_800)
    assert len(run(born.broker.get_gtts())) == 1
    assert born.life().protected


def test_a_delivery_rung_whose_gtt_goes_off_after_the_restart_is_closed(tmp_path: Path) -> None:
    test_a_delivery_rung_finds_its_gtt_again(tmp_path)
    settings_ = config(product=Product.CNC)
    (tmp_path / "c").write_bytes((tmp_path / "a").read_bytes())
    steps = turn()
    born = Bench.paper(tmp_path / "c", settings_)
    born.clock.advance_to(OPEN + 10 * SECOND)
    run(born.engine.recover(history=steps))
    born.prices(9_900, 9_790, 9_785)
    assert [t.quantity for t in born.engine.trades()] == [30]
    assert born.day == DAY
