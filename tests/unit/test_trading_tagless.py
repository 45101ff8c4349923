"""A restart knows whose the exits without a tag were: legs of GTTs, and what was closed outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.bench import SHARE, Bench, config, run

from otrade_bot.core.clock import SECOND, iso
from otrade_bot.core.events import EventKind
from otrade_bot.core.model import ExitReason, Product
from otrade_bot.trading.tagless import tagless_exits

SETTINGS = config("ema_crossover", (SHARE.symbol,), "tick", product=Product.CNC)


def lines_of(bench: Bench) -> list[dict[str, Any]]:
    return [
        {"ts": iso(e.ts_ns), "ns": e.ts_ns, "kind": e.kind.value, "symbol": e.symbol, **e.data}
        for e in bench.diary.events
    ]


def born_again(bench: Bench, path: Path, seen: list[Any]) -> Bench:
    bench.broker.close()
    again = Bench.paper(path, SETTINGS)
    again.clock.advance_to(bench.now + SECOND)
    again.broker.catch_up(())
    lines = lines_of(bench)
    run(again.engine.recover(
        history=seen, exits=tagless_exits(lines, "A1"),
        known_trades={line["trade_id"] for line in lines if line["kind"] == "trade"},
    ))  # fmt: skip
    return again


def watched(path: Path) -> tuple[Bench, list[Any]]:
    bench, seen = Bench.paper(path, SETTINGS), []
    bench.engine.add_price_listener(lambda symbol, ts, price, volume: seen.append((ts, 0, price, volume)))
    return bench, seen


def test_rungs_that_their_gtts_have_closed_stay_closed(tmp_path: Path) -> None:
    path = tmp_path / "paper.jsonl"
    bench, seen = watched(path)
    for base in (10_000, 9_700):
        bench.signal(base)
        stop = bench.life().level
        assert stop
        bench.price(stop - 20)
        bench.pulse()
    assert [trade.reason for trade in bench.engine.trades()] == [ExitReason.STOP] * 2
    legs = tagless_exits(lines_of(bench), "A1")
    assert [(leg.parts.cycle, leg.quantity) for leg in legs] == [
        (number, trade.quantity) for number, trade in enumerate(bench.engine.trades(), 1)
    ]
    again = born_again(bench, path, seen)
    assert again.alerts == []
    assert again.engine.blocks == set()
    assert again.engine.positions() == []
    kept = [(t.quantity, t.entry_value, t.exit_value, t.reason) for t in bench.engine.trades()]
    assert [(t.quantity, t.entry_value, t.exit_value, t.reason) for t in again.engine.trades()] == kept
    assert again.events(EventKind.TRADE) == []
    again.broker.close()


def test_a_rung_that_was_closed_outside_stays_closed_beside_a_newer_one(tmp_path: Path) -> None:
    path = tmp_path / "paper.jsonl"
    bench, seen = watched(path)
    bench.signal(10_000)
    life = bench.life()
    held = life.held
    gtt = life.gtt
    assert gtt is not None
    run(bench.broker.cancel_gtt(gtt.gtt_id))
    bench.manager.taken_outside(life, held, 9_990)
    (out,) = tagless_exits(lines_of(bench), "A1")
    assert (out.order_id, out.quantity, out.value) == ("", held, held * 9_990)
    assert len({order.tag for order in bench.manager.orders}) == len(bench.manager.orders)
    bench.broker.close()
    assert seen
