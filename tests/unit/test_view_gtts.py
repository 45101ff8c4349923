"""What the engine shows of its GTTs: each that rests at the broker, or may."""

from __future__ import annotations

import pytest
from harness.bench import SHARE, Bench, config
from harness.venue import FakeVenue

from otrade_bot.core.model import Product


@pytest.fixture
def bench() -> Bench:
    made = Bench(lambda b: FakeVenue(b.clock), config(product=Product.CNC))
    made.signal()
    made.broker.fill(made.broker.accept(), say=False)
    assert made.engine.status().gtts == ()
    made.broker.deliver_all()
    return made


def test_it_is_shown_from_its_sending_to_the_end_of_its_taking_back(bench: Bench) -> None:
    assert bench.engine.status().gtts == (SHARE.symbol,)
    bench.broker.accept()
    assert bench.engine.status().gtts == (SHARE.symbol,)
    bench.engine.exit_row(0)
    assert bench.engine.status().gtts == (SHARE.symbol,)
    bench.broker.accept()
    assert bench.engine.status().gtts == ()


def test_one_that_nobody_knows_of_is_shown_too(bench: Bench) -> None:
    bench.broker.doubt(bench.broker.last("place_gtt"))
    assert bench.engine.status().gtts == (SHARE.symbol,)


def test_one_that_has_gone_off_rests_no_more(bench: Bench) -> None:
    bench.broker.trigger_gtt(bench.broker.accept())
    assert bench.engine.status().gtts == ()
