"""Where order writes wait for their turn: in order, exits first, nobody forgotten, nobody in the way."""

from __future__ import annotations

import asyncio

from otrade_bot.brokers.budget import KITE, Budget, Limits, Window
from otrade_bot.brokers.line import Line
from otrade_bot.core.clock import SECOND, at_ist
from tests.unit.account_room import DAY, Watch
from tests.unit.stream_room import until

ONE_A_SECOND = Limits((Window(SECOND, 1, 0, "second"),), 4)


class Desk:
    """A line where one write a second goes, and who has gone."""

    def __init__(self, limits: Limits = ONE_A_SECOND) -> None:
        self.watch = Watch(at_ist(DAY, 10))
        self.budget = Budget(limits)
        self.line = Line(self.budget, self.watch, self.watch.sleep)
        self.gone: list[str] = []

    def ask(self, who: str, *, urgent: bool = True, reduces: bool = True, counts: bool = False) -> asyncio.Task[str]:
        return asyncio.create_task(self._ask(who, urgent=urgent, reduces=reduces, counts=counts))

    async def _ask(self, who: str, *, urgent: bool, reduces: bool, counts: bool) -> str:
        taken = await self.line.turn(reduces=reduces, counts=counts, urgent=urgent)
        if isinstance(taken, str):
            return taken
        self.gone.append(who)
        self.line.ended(taken)
        return ""

    async def second(self, expected: int) -> None:
        """One passes, and so many have gone."""
        await until(lambda: self.watch.asleep)
        self.watch.turn(1)
        await until(lambda: len(self.gone) == expected)


async def test_exits_go_in_the_order_of_asking_before_stops_that_are_only_moved() -> None:
    desk = Desk()
    asked = [desk.ask("first"), desk.ask("move 1", urgent=False), desk.ask("move 2", urgent=False)]
    await until(lambda: len(desk.line) == 2)
    asked += [desk.ask("exit 1"), desk.ask("exit 2")]
    await until(lambda: len(desk.line) == 4)
    for count in (2, 3, 4, 5):
        await desk.second(count)
    assert desk.gone == ["first", "exit 1", "exit 2", "move 1", "move 2"]
    assert await asyncio.gather(*asked) == [""] * 5


async def test_who_gives_up_waiting_takes_nothing_and_holds_nobody_up() -> None:
    desk = Desk()
    asked = [desk.ask(who) for who in ("first", "gives up", "third", "gives up too", "last")]
    await until(lambda: len(desk.line) == 4)
    for at in (1, 3):
        asked[at].cancel()
    await asyncio.gather(asked[1], asked[3], return_exceptions=True)
    for count in (2, 3):
        await desk.second(count)
    assert desk.gone == ["first", "third", "last"]
    assert len(desk.line) == 0


async def test_a_day_that_is_used_up_while_an_exit_waits_is_said_and_a_cancellation_behind_it_goes() -> None:
    desk = Desk()
    desk.budget.resume(3, desk.watch.now_ns())
    first, second, third = desk.ask("exit", counts=True), desk.ask("too late", counts=True), desk.ask("cancel")
    assert await first == ""
    assert await second == "not sent: all 4 orders of the day are used"
    await desk.second(2)
    assert await third == ""
    assert desk.gone == ["exit", "cancel"]


async def test_an_entry_waits_three_seconds_at_most_behind_all_others() -> None:
    desk = Desk(KITE)
    asked = [desk.ask(f"E{k}", reduces=False, counts=True) for k in range(30)]
    await until(lambda: desk.watch.asleep == 1)
    assert desk.gone == [f"E{k}" for k in range(6)]
    desk.watch.turn(0.1)
    await until(lambda: desk.watch.asleep == 1)
    exits = [desk.ask(f"X{k}") for k in range(6)]
    await until(lambda: len(desk.line) == 2)
    while not all(task.done() for task in asked):
        desk.watch.turn(0.1)
        await until(lambda: desk.watch.asleep or all(task.done() for task in asked))
    answers = [task.result() for task in asked]
    assert await asyncio.gather(*exits) == [""] * 6
    gone = [who for who in desk.gone if who.startswith("E")]
    assert gone == [f"E{k}" for k in range(len(gone))]
    assert 18 <= len(gone) <= 24
    assert set(answers[len(gone) :]) == {"not sent: 6 order writes within a second, the rest of 10 is kept for exits"}
    assert desk.gone.index("X5") < desk.gone.index("E6"), "exits come first"


async def test_an_entry_does_not_wait_for_room_that_a_day_has_no_more() -> None:
    desk = Desk(KITE)
    desk.budget.resume(4990, desk.watch.now_ns())
    assert "is kept for exits" in await desk.ask("E", reduces=False, counts=True)
    assert desk.watch.asleep == 0


async def test_an_entry_gives_up_also_where_the_clock_stands() -> None:
    desk = Desk(KITE)
    rests: list[float] = []

    async def no_rest(seconds: float) -> None:
        rests.append(seconds)

    desk.line = Line(desk.budget, desk.watch, no_rest)
    asked = [desk.ask(f"E{k}", reduces=False, counts=True) for k in range(7)]
    assert [answer == "" for answer in await asyncio.gather(*asked)] == [True] * 6 + [False]
    assert len(rests) == 30
