"""What the exchange did while the process was dead is in the book before recovery reads it."""

from __future__ import annotations

from pathlib import Path

from harness.bench import SHARE, Bench, run

from otrade_bot.core.clock import SECOND
from otrade_bot.core.model import ExitReason
from otrade_bot.trading.recover import HistoryTick


def test_a_stop_that_was_touched_while_the_process_was_dead_has_ended_the_position(tmp_path: Path) -> None:
    seen: list[HistoryTick] = []
    bench = Bench.paper(tmp_path / "paper.jsonl")
    bench.engine.add_price_listener(lambda symbol, ts, price, volume: seen.append((ts, 0, price, volume)))
    bench.signal()
    (life,) = bench.manager.lives.values()
    assert life.held > 0
    stop = life.level
    bench.broker.close()
    now = bench.now
    missed = [(now + k * SECOND, 0, price, 0) for k, price in enumerate((10_000, stop - 20, stop + 100, 10_400), 1)]

    again = Bench.paper(tmp_path / "paper.jsonl")
    again.clock.advance_to(now + 3600 * SECOND)
    history = [*seen, *missed]
    (fill,) = again.broker.catch_up((SHARE.symbol, ts, price, volume) for ts, _, price, volume in history)
    assert fill.ts_ns == missed[1][0]
    run(again.engine.recover(history=history))
    assert again.engine.positions() == []
    (trade,) = again.engine.trades()
    assert (trade.reason, trade.exit_ns, trade.quantity) == (ExitReason.STOP, missed[1][0], life.entered)
    assert again.engine.blocks == set()
    assert not [event for event in again.diary.events if "not ours" in event.text]
    again.broker.close()
