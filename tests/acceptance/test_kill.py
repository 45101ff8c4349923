"""``kill -9`` at every boundary of every kind of write, then ``--resume``: nothing twice, nothing forgotten."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from otrade_bot.brokers.feeds import TickFile, synthetic_day, write_ticks
from otrade_bot.brokers.paper.book import Book
from otrade_bot.core.clock import SECOND, at_ist
from otrade_bot.core.jsonlines import LineLog
from otrade_bot.core.model import BrokerOrder, Leg
from otrade_bot.trading.orders import TagParts, Tags

HERE = Path(__file__).parent
DAY = date(2026, 9, 16)
NAMES = (
    *(f"{write}.{side}" for write in ("place", "modify", "cancel") for side in ("before", "after")),
    "stop.before",
    "report.before",
    *(f"{log}.write.{moment}" for log in ("book", "journal") for moment in ("before", "torn", "after")),
    *(f"{log}.sync.{moment}" for log in ("book", "journal") for moment in ("before", "after")),
)
#: How many kills a boundary gets, in each of the days.
KILLS = 2


@dataclass(frozen=True)
class Scene:
    """A short day of one stock, and a strategy that has much to do in it."""

    strategy: str
    timeframe: str
    stock: str
    capital: int
    params: dict[str, Any]
    hours: tuple[tuple[str, str], ...]


SCENES = {
    "ticks": Scene(
        "ema_crossover", "tick", "NSE:DEMOCHARLIE", 40_000,
        {"fast": 3, "slow": 8, "stop_percent": 0.2, "target_percent": 0.2},
        (("09:15", "09:27"), ("15:05", "15:20")),
    ),
    "ladder": Scene(
        "momentum_ladder", "1m", "NSE:DEMOALPHA", 30_000,
        {"ema_fast": 2, "ema_mid": 3, "ema_slow": 5, "ema_trend": 8, "lookback": 5, "stop_percent": 0.3,
         "target_percent": 1.0, "add2_percent": 0.05, "stop2_percent": 0.2, "add3_percent": 0.1, "stop3_percent": 0.25},
        (("12:55", "13:40"), ("15:05", "15:20")),
    ),
}  # fmt: skip


class Launcher:
    """The process that runs days in children of its own."""

    def __init__(self) -> None:
        root = HERE.parents[1]
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "kill_launcher.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(root)},
        )  # fmt: skip

    def run(self, job: dict[str, Any]) -> dict[str, int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer: dict[str, int] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        self._process.communicate(timeout=30)


@dataclass
class Day:
    """A scene with its uninterrupted run."""

    scene: Scene
    ticks: Path
    launcher: Launcher
    whole: dict[str, Any]
    orders: Counter[Leg]
    book: list[dict[str, Any]] = field(default_factory=list)  #: lines of the uninterrupted run's book

    def job(self, folder: Path, *, resume: bool, at: tuple[str, int] | None) -> dict[str, Any]:
        s = self.scene
        return {
            "state": str(folder / "state"), "ticks": [str(self.ticks)], "strategy": s.strategy,
            "timeframe": s.timeframe, "params": s.params, "capital": s.capital,
            "resume": resume, "dump": str(folder / "dump"), "at": at,
        }  # fmt: skip

    def points(self, name: str) -> list[int]:
        """At which passings to kill: with an open position where there are such, spread over the day."""
        numbers = self.whole["held"].get(name) or list(range(1, self.whole["counts"].get(name, 0) + 1))
        spread = np.linspace(0, len(numbers) - 1, KILLS + 2)[1:-1].round().astype(int) if numbers else []
        return sorted({numbers[i] for i in spread})


    def leaving(self) -> list[int]:
        """Writes of the book (from 1, the opening line not counted) by which exits go off, change into
        limits or fill."""
        exits = {o.order_id for o in self.whole["end"]["orders"] if read(o.tag).leg is Leg.EXIT}
        found = [
            number
            for number, line in enumerate(self.book)
            if line.get("id") in exits
            and (line["k"] in ("trigger", "met", "fill") or line.get("order_type") == "LIMIT")
        ]
        return found[:: max(1, len(found) // 6)]


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    made = Launcher()
    yield made
    made.close()


@pytest.fixture(scope="module", params=list(SCENES))
def day(request: pytest.FixtureRequest, launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Day:
    scene = SCENES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    ticks = folder / f"{scene.stock.removeprefix('NSE:')}.csv"
    write_ticks(parts_of(scene), ticks)
    made = Day(scene, ticks, launcher, {}, Counter())
    assert launcher.run(made.job(folder, resume=False, at=None)) == {"signal": 0, "code": 0}
    made.whole = pickle.loads((folder / "dump").read_bytes())
    made.book = list(LineLog.read(folder / "state" / "paper.jsonl"))
    for (_, _, leg), orders in by_rung(made.whole["end"]["orders"]).items():
        made.orders[leg] = max(made.orders[leg], len(orders))
    return made


def parts_of(scene: Scene) -> TickFile:
    """Some hours of a made-up day."""
    whole = next(f for f in synthetic_day(DAY, 1) if f.symbol == scene.stock)
    use = np.zeros(len(whole), bool)
    for start, end in scene.hours:
        a, z = (at_ist(DAY, int(clock[:2]), int(clock[3:])) for clock in (start, end))
        use |= (whole.ts >= a) & (whole.ts < z)
    columns = (column[use] for column in (whole.ts, whole.price, whole.volume))
    return TickFile(whole.symbol, whole.source, *columns, lines=int(use.sum()))


def by_rung(orders: list[BrokerOrder]) -> dict[tuple[int, int, Leg], list[BrokerOrder]]:
    """Orders by rung, cycle and leg, as their tags say."""
    found: dict[tuple[int, int, Leg], list[BrokerOrder]] = defaultdict(list)
    for order in orders:
        parts = read(order.tag)
        found[parts.rung, parts.cycle, parts.leg].append(order)
    return found


def read(tag: str) -> TagParts:
    parts = Tags("A1").read(tag)
    assert parts is not None, f"an order without a tag of ours: {tag!r}"
    return parts


def test_the_uninterrupted_day_has_much_to_lose(day: Day) -> None:
    report = day.whole["report"]
    assert len(report["trades"]) >= 5
    assert report["open_positions"] == []
    assert day.whole["end"]["net"] == {day.scene.stock: 0}
    assert len({trade["rung"] for trade in report["trades"]}) == (3 if day.scene.strategy == "momentum_ladder" else 1)
    assert sum(len(day.points(name)) for name in NAMES) >= 30
    assert all(day.points(name) for name in NAMES if not name.startswith("cancel"))


@pytest.mark.parametrize("name", NAMES)
def test_killed_and_resumed(name: str, day: Day, tmp_path: Path) -> None:
    for number in day.points(name):
        kill_and_resume(name, number, day, tmp_path)


def test_killed_while_leaving(day: Day, tmp_path: Path) -> None:
    """Between the line by which an exit begins and the line by which its trade is booked: the reason too is
    what it would have been."""
    numbers = day.leaving()
    assert len(numbers) >= 6
    for number in numbers:
        kill_and_resume("book.write.after", number, day, tmp_path)


def kill_and_resume(name: str, number: int, day: Day, tmp_path: Path) -> None:
    """One kill, one resumption, every promise."""
    where = f"{name} {number}"
    folder = tmp_path / str(number)
    folder.mkdir()
    killed = day.launcher.run(day.job(folder, resume=False, at=(name, number)))
    assert killed["signal"] == 9, f"{where}: it was to be killed, but ended with {killed}"
    ended = day.launcher.run(day.job(folder, resume=True, at=None))
    assert ended == {"signal": 0, "code": 0}, where
    seen = pickle.loads((folder / "dump").read_bytes())
    never_oversold(where, folder)
    nothing_twice(where, day, folder, seen)
    protected_at_once(where, seen["recovered"])
    as_it_was(where, day, seen["recovered"])
    trades_as_they_were(where, day, seen["report"])
    flat_and_paid(where, day, folder, seen)
    assert seen["market"] == day.whole["market"], f"{where}: indicators or bars differ"


def nothing_twice(where: str, day: Day, folder: Path, seen: dict[str, Any]) -> None:
    """A tag stands in the book once, and no rung's leg has more orders than it ever has uninterrupted."""
    lines = list(LineLog.read(folder / "state" / "paper.jsonl"))
    tags = Counter(line["order"]["tag"] for line in lines if line["k"] == "order")
    assert max(tags.values()) == 1, f"{where}: {tags.most_common(1)}"
    for (rung, cycle, leg), orders in by_rung(seen["end"]["orders"]).items():
        assert len(orders) <= day.orders[leg], f"{where}: rung {rung} cycle {cycle} {leg}: {orders}"


def protected_at_once(where: str, recovered: dict[str, Any]) -> None:
    """When the recovery is over every held rung has one working reducing order for all of it."""
    rungs = by_rung(recovered["orders"])
    for rung, cycle in {(rung, cycle) for rung, cycle, _ in rungs}:
        entries, exits = rungs.get((rung, cycle, Leg.ENTRY), []), rungs.get((rung, cycle, Leg.EXIT), [])
        held = sum(o.filled for o in entries) - sum(o.filled for o in exits)
        working = [order for order in exits if not order.status.final]
        if held == 0:
            assert not working or any(not o.status.final for o in entries), f"{where}: {working} for nothing"
            continue
        assert len(working) == 1, f"{where}: {held} held, covered by {working}"
        left = working[0].quantity - working[0].filled
        fresh = recovered["now"] - working[0].updated_ns < SECOND  # growth is sent once a second
        assert left == held or (fresh and left < held), f"{where}: {held} held, {left} covered"


def as_it_was(where: str, day: Day, recovered: dict[str, Any]) -> None:
    """Rungs that had the same fills by then have the same levels."""
    before = day.whole["rungs"].get(recovered["now"])
    if before is None:
        return
    now = recovered["rungs"]
    same = (now["side"] != 0) & (before["filled"] > 0)
    for name in ("side", "cycle", "filled", "exited"):
        same &= now[name] == before[name]
    for name, values in now.items():
        assert (values[same] == before[name][same]).all(), f"{where}: {name} {before[name]} -> {values}"


def flat_and_paid(where: str, day: Day, folder: Path, seen: dict[str, Any]) -> None:
    """Nothing is left, and book, journal and report agree to the paisa."""
    end, report = seen["end"], seen["report"]
    assert report["open_positions"] == [], where
    assert set(end["net"].values()) <= {0}, where
    assert all(order.status.final for order in end["orders"]), where
    orders, net, cash = {}, 0, 0
    for line in LineLog.read(folder / "state" / "paper.jsonl"):
        if line["k"] == "order":
            orders[line["order"]["order_id"]] = line["order"]["side"]
        elif line["k"] == "fill":
            side = orders[line["id"]]
            net += side * line["quantity"]
            cash -= side * line["quantity"] * line["price"] + line["charge"]
    opening, final, realised, charges = end["money"]
    assert net == 0, where
    assert final - opening == cash == realised - charges, where
    assert round(report["net"] * 100) == cash, f"{where}: the trades say {report['net']}, the account {cash / 100}"
    assert len({trade["trade_id"] for trade in report["trades"]}) == len(report["trades"]), where


def trades_as_they_were(where: str, day: Day, report: dict[str, Any]) -> None:
    """A round trip that began and ended when it would have has the same reason, whoever booked it."""
    whole = {(t["rung"], t["entry_time"], t["exit_time"]): t for t in day.whole["report"]["trades"]}
    for trade in report["trades"]:
        before = whole.get((trade["rung"], trade["entry_time"], trade["exit_time"]))
        if before is not None:
            # Not its price: how much of the volume was still to be had is the exchange's memory, not ours.
            for key in ("symbol", "side", "quantity", "entry_price", "exit_reason", "strategy"):
                assert trade[key] == before[key], f"{where}: {key} of {trade}"


def never_oversold(where: str, folder: Path) -> None:
    """At no line of the book do a rung's working exits exceed what it holds."""
    book = Book()
    for line in LineLog.read(folder / "state" / "paper.jsonl"):
        book.apply(line)
        rungs = by_rung([order.row() for order in book.orders.values()])
        for (rung, cycle, leg), exits in rungs.items():
            if leg is Leg.EXIT:
                held = sum(o.filled for o in rungs[rung, cycle, Leg.ENTRY]) - sum(o.filled for o in exits)
                working = sum(o.quantity - o.filled for o in exits if not o.status.final)
                assert working <= held, f"{where}: {working} for sale, {held} held: {line}"
