"""What stands beside our figures did the same work."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from otrade_bot.research import bench, bench_frames, bench_peers


def by_hand(prices: bench_peers.Prices) -> bench_peers.Trades:
    """Bought at an upward cross, sold at the next downward one, by TA-Lib's averages."""
    fast, slow = bench_peers.averages(prices)
    trades, bought = [], 0
    for i in range(bench_peers.SKIP, len(prices)):
        if not bought and fast[i - 1] <= slow[i - 1] and fast[i] > slow[i]:
            bought = int(prices[i])
        elif bought and fast[i - 1] >= slow[i - 1] and fast[i] < slow[i]:
            trades.append((bought, int(prices[i])))
            bought = 0
    return trades


def test_our_replay_of_the_compared_work_trades_where_the_averages_cross() -> None:
    prices, times = bench_peers.walk(60_000)
    _, mine = bench_peers.ours(prices, times)
    assert len(mine) > 50
    bench_peers.compared("TA-Lib", mine, by_hand(prices))


@pytest.mark.parametrize("change", [lambda t: t[:-2], lambda t: [(t[0][0] + 5, t[0][1]), *t[1:]], lambda t: t[:5]])
def test_a_peer_that_did_other_work_is_not_compared(change) -> None:  # type: ignore[no-untyped-def]
    trades = [(100 + i, 200 + i) for i in range(30)]
    with pytest.raises(ValueError, match="did other work"):
        bench_peers.compared("peer", trades, change(trades))


def test_one_trade_that_is_open_in_one_of_them_is_no_other_work() -> None:
    trades = [(100 + i, 200 + i) for i in range(30)]
    bench_peers.compared("peer", trades, trades[:-1])


def test_frames_are_timed_only_where_kites_client_reads_the_same() -> None:
    market = bench_frames.Market(10, depth=False)
    parse = bench_frames.client()
    bench_frames.agree(market, parse)

    def wrong(frame: bytes) -> object:
        place = 2 + 2 + 4  # the first packet's last price
        price = struct.unpack_from(">I", frame, place)[0]
        return parse(frame[:place] + struct.pack(">I", price + 5) + frame[place + 4 :])

    with pytest.raises(ValueError, match="packet 0"):
        bench_frames.agree(market, wrong)


def test_every_frame_that_is_timed_is_acted_on() -> None:
    market = bench_frames.Market(20, depth=True)
    for _ in range(30):
        market.decide(market.frame())
    assert int(market.run.state["drops"][:, 1:].sum()) == 0
    assert int(market.run.state["drops"][:, 0].sum()) == 600
    assert np.all(market.depth["price"][:, 0] == market.quotes["bid"])


def test_peers_stand_below_the_row_they_are_compared_with() -> None:
    row = bench.with_peers(bench.Row("replay", "ticks/s", 100.0, 90.0, 110.0), {"slow": 1.0, "fast": 200.0})
    told = bench.render([row])
    assert "we are 100 times better" in told
    assert "it is 2 times better" in told
    assert row.as_json()["peers"] == {"slow": 1.0, "fast": 200.0}
