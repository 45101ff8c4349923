"""After a part has gone out, what is told of the rest counts the rest alone: nobody is to think that more was sold."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.bench import SHARE, Bench, config

from otrade_bot.control.news.notices import describe
from otrade_bot.core.events import EventKind
from otrade_bot.core.money import rupees_text


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """30 bought at 100, half of it sold at 101, the rest at 102."""
    bench = Bench.paper(tmp_path / "paper.jsonl", config(params={"short": False}))
    bench.signal()
    bench.price(10_100)
    bench.engine.close(SHARE.symbol, 0, "half", "owner")
    for _ in range(3):
        bench.price(10_100)
    assert [one.quantity for one in bench.engine.positions()] == [15]
    bench.engine.exit_row(0)
    for _ in range(3):
        bench.price(10_200)
    assert bench.engine.positions() == []
    return bench


def exits(bench: Bench) -> list[str]:
    told = [describe(one) for one in bench.events(EventKind.FILL) if one.data["leg"] == "exit"]
    return [said.to_plain().partition(" ")[2] for said in told if said]


def test_a_fill_of_the_rest_is_of_the_rest(bench: Bench) -> None:
    part, rest = exits(bench)[0], exits(bench)[-1]
    assert part.startswith("Partly filled ALPHA P1 exit SELL 15 of 30 @ ₹101.")
    sold = bench.events(EventKind.TRADE)[-1].data
    assert rest == f"Filled ALPHA P1 exit SELL 15 @ {rupees_text(round(sold['exit_price'] * 100))}"


def test_a_flatten_says_what_it_closed(bench: Bench) -> None:
    life = bench.life()
    trade = bench.events(EventKind.TRADE)[-1].data
    said = bench.engine.flattener._result(life)
    assert said == f"{SHARE.symbol} P1: 15 of 15 closed, {rupees_text(trade['gross_paise'], sign=True)} before charges"
