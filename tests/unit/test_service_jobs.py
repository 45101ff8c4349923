"""The check of the broker's session before the open: a no is a no, an answer that does not come is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.bench import Bench, run
from harness.venue import FakeVenue

from otrade_bot.control.views_checks import health_checks
from otrade_bot.core.errors import BrokerException
from otrade_bot.core.events import EventKind
from otrade_bot.core.model import Block
from otrade_bot.service.clockwork import books_away, compare
from otrade_bot.service.jobs import DayJobs


class Asked(FakeVenue):
    """``answer``: what the broker says of its session, or what asking it raises."""

    answer: str | BrokerException = ""

    async def session_fault(self) -> str:
        if isinstance(self.answer, BrokerException):
            raise self.answer
        return self.answer


def checked(bench: Bench) -> list[str]:
    """The alerts of one check."""
    before = len(bench.events(EventKind.ALERT))
    desk: Any = type("Opened", (), {"engine": bench.engine})
    jobs = DayJobs(lambda: desk, bench.clock, bench.config.calendar, Path(), list)
    run(jobs._token_check())
    return [event.text for event in bench.events(EventKind.ALERT)[before:]]


def at_venue(answer: str | BrokerException = "", unread: str = "") -> Bench:
    bench = Bench(lambda made: Asked(made.clock))
    bench.broker.answer, bench.engine.unread = answer, unread
    return bench


def test_a_broker_that_takes_no_order_stops_entries_and_wants_a_login() -> None:
    bench = at_venue("the token is dead")
    assert checked(bench) == ["no session at venue: the token is dead. Send /login"]
    assert Block.TOKEN in bench.engine.blocks


def test_a_broker_that_does_not_answer_says_nothing_of_the_token() -> None:
    """A login would not help; and who waits for one asks the books no more."""
    bench = at_venue(BrokerException("no way there"))
    (told,) = checked(bench)
    assert told == "venue cannot be asked whether it takes orders: no way there. otrade-bot doctor asks again"
    assert Block.TOKEN not in bench.engine.blocks


def test_where_its_books_are_not_known_either_nothing_is_said_twice() -> None:
    bench = at_venue(BrokerException("no way there"), unread="no way there")
    assert checked(bench) == []
    assert Block.TOKEN not in bench.engine.blocks


def test_on_paper_a_prices_token_that_is_missing_is_not_called_found(tmp_path: Path) -> None:
    bench = Bench.paper(tmp_path / "paper.jsonl")
    bench.engine.unread = "kite instruments: no token"
    bench.engine.restore({Block.TOKEN})
    assert checked(bench) == []
    assert Block.TOKEN in bench.engine.blocks
    assert bench.events(EventKind.BLOCK) == []


def test_what_is_not_known_is_not_called_fine() -> None:
    engine = at_venue(unread="no way there").engine
    checks = health_checks(engine.status(), engine.positions(), engine.orders(), engine.rows())
    for name in ("Stops", "Orders"):
        found = next(one for one in checks if one.name == name)
        assert not found.well
        assert found.said == "not known: the broker's books cannot be read"


class Away(FakeVenue):
    """Its book of orders cannot be read while ``fault`` is one."""

    fault = ""

    async def get_orderbook(self) -> Any:
        if self.fault:
            raise BrokerException(self.fault)
        return await super().get_orderbook()


def test_books_that_cannot_be_read_are_told_once_and_so_is_their_return() -> None:
    """Not every minute of an outage: who reads the same line sixty times reads none."""
    bench = Bench(lambda made: Away(made.clock))
    told: list[list[str]] = []
    for fault in ("", "no way there", "still none", "", "", "no way again"):
        before = len(bench.events(EventKind.ALERT))
        bench.broker.fault = fault
        run(compare(bench.engine))
        told.append([event.text for event in bench.events(EventKind.ALERT)[before:]])
        assert books_away(bench.engine) is bool(fault)
        note = "BROKER NOT READ SINCE 09:15" if fault else ""
        assert bench.engine.status().note == note  # what is shown meanwhile is of before
    lost = "the broker's books cannot be read ({}): asked again every minute, told when they can"
    assert told == [
        [], [lost.format("no way there")], [], ["the broker's books can be read again"], [],
        [lost.format("no way again")],
    ]  # fmt: skip
