"""When garbage is looked for: not while a service starts, little after, and as before when it is over."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from otrade_bot.service import garbage


class Thing:
    """In a cycle with itself: only the collector takes it away."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    before = gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()
    yield
    assert (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()) == before


def gone(look: weakref.ref[Thing]) -> bool:
    return look() is None


def test_the_collector_rests_while_a_service_starts_and_works_when_its_day_is_open() -> None:
    with garbage.held():
        assert not gc.isenabled()
        garbage.keep()
        assert gc.get_freeze_count() > 1000
        garbage.settle()
        assert gc.isenabled()
        assert gc.get_threshold() == garbage.THRESHOLDS


def test_what_a_day_leaves_is_looked_for_when_the_next_one_is_opened() -> None:
    with garbage.held():
        desk = Thing()
        look = weakref.ref(desk)
        garbage.settle()
        del desk
        gc.collect()
        assert not gone(look), "it is out of sight while its day lasts"
        garbage.forget()
        assert not gc.isenabled()
        garbage.settle()
        assert gone(look)


def test_what_comes_after_the_opening_is_looked_for_at_once() -> None:
    with garbage.held():
        garbage.settle()
        look = weakref.ref(Thing())
        gc.collect()
        assert gone(look)


def test_after_an_error_everything_is_as_before() -> None:
    def broken() -> None:
        with garbage.held():
            garbage.settle()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()


def test_a_process_that_is_no_service_is_left_alone() -> None:
    before = gc.get_freeze_count(), gc.get_threshold()
    garbage.keep()
    garbage.forget()
    garbage.settle()
    assert (gc.get_freeze_count(), gc.get_threshold()) == before
    assert gc.isenabled()
