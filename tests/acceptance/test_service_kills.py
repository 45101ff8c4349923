"""``kill -9`` at any moment of a rehearsed day, start-up and end included; a supervisor starts the service again."""

from __future__ import annotations

import asyncio
import random
import re
import signal
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from otrade_bot.brokers.paper.book import Book
from otrade_bot.brokers.paper.records import PaperOrder
from otrade_bot.config.models import BrokerConfig, Notifications, RiskConfig
from otrade_bot.control.news.notices import describe
from otrade_bot.control.news.pushes import loudness
from otrade_bot.core.clock import SECOND, at_ist, from_iso, to_ist
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.jsonlines import LineLog
from otrade_bot.kernel.compile import Kernel
from tests.acceptance.service_room import OWNER, ServiceRoom
from tests.acceptance.supervised import Life, Supervisor, Walk, When, tag_of
from tests.venues.telegram import BotApi, Hang

DAY = date(2026, 9, 16)
SEED = 5
COOLDOWN = RiskConfig().cooldown_seconds * SECOND
INSTANCE = BrokerConfig().instance
TRADING = {
    "capital_per_position": 30_000,
    "strategies": [
        {"name": "ema_crossover", "instruments": ["NSE:DEMOCHARLIE"], "timeframe": "tick",
         "params": {"fast": 3, "slow": 8, "stop_percent": 0.2, "target_percent": 0.2}},
        {"name": "momentum_ladder", "instruments": ["NSE:DEMOALPHA"], "timeframe": "1m",
         "params": {"ema_fast": 2, "ema_mid": 3, "ema_slow": 5, "ema_trend": 8, "lookback": 5, "stop_percent": 0.3,
                    "target_percent": 1.0, "add2_percent": 0.05, "stop2_percent": 0.2, "add3_percent": 0.1,
                    "stop3_percent": 0.25}},
    ],
}  # fmt: skip
SETTINGS = {
    "trading.json": TRADING,
    "telegram.json": {"users": [{"user_id": OWNER, "chat_id": OWNER, "role": "admin", "name": "owner"}]},
}
#: The market goes on during an absence of two seconds for two minutes.
GOES_ON = 60.0
#: Begin, first kill, and when the pause comes.
ABSENT_DAY = (12, 50), (13, 2), (13, 40)
ANSWERS = {"/pause": "Entries are paused.", "/status": "Status", "/resume": "The pause is over."}
Trade = dict[str, Any]


@dataclass
class Told:
    """What is left of a day, however often it was interrupted."""

    room: ServiceRoom
    report: dict[str, Any]
    lines: list[dict[str, Any]]  #: of the journal
    killed_at: list[int] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    @property
    def starts(self) -> list[int]:
        """Market time at which each process had recovered."""
        return [line["ns"] for line in self.lines if line["kind"] == "run" and line["state"] == "started"]

    @property
    def trades(self) -> list[Trade]:
        found: list[Trade] = self.report["trades"]
        return found

    @property
    def money(self) -> tuple[int, ...]:
        found: tuple[int, ...] = self.book.state()["money"]
        return found

    @property
    def book(self) -> Book:
        return Book.read(self.room.state / "paper.jsonl")


async def tell(room: ServiceRoom, supervisor: Supervisor | None = None, sent: Sequence[str] = ()) -> Told:
    killed = supervisor.killed_at if supervisor else []
    return Told(room, await room.report(DAY), room.journal(DAY), killed, [], list(sent))


def clock(hour: int, minute: int) -> int:
    return at_ist(DAY, hour, minute)


def start_of(hour: int, minute: int, second: int = 0) -> str:
    return f"{DAY.isoformat()}T{hour:02}:{minute:02}:{second:02}"


# --- the scenes, all at once --------------------------------------------------------------------------


async def uninterrupted(folder: Path, begin: str) -> Told:
    room = ServiceRoom(folder, None, rehearse=begin, speed=5000, settings=SETTINGS)
    await room.start()
    code = await room.ended()
    told = await tell(room)
    told.codes.append(code)
    return told


async def waited_for(folder: Path, whole: Told) -> Told:
    """20 kills; the market waits for the service."""
    room = ServiceRoom(folder, None, rehearse=start_of(9, 14, 50), speed=2500, settings=SETTINGS)
    supervisor = Supervisor(room, DAY)
    code = await supervisor.run(moments(whole))
    told = await tell(room, supervisor)
    told.codes.append(code)
    return told


def moments(whole: Told) -> list[When]:
    """Seven while something happens in the book, five at any time, five during start-ups, three at the end."""
    rng = random.Random(SEED)
    busy = [line["ts"] for line in LineLog.read(whole.room.state / "paper.jsonl") if "ts" in line][2:]
    times = [rng.choice(busy) for _ in range(7)] + [rng.randrange(clock(9, 15), clock(15, 30)) for _ in range(5)]
    found: list[When] = [reached(ts) for ts in sorted(times)]
    for kill in (aged(rng.uniform(0.1, 2.0)), aged(rng.uniform(0.8, 1.6)), recovering, recovering):
        found.insert(rng.randrange(len(found)), kill)
    return [aged(rng.uniform(0.1, 1.0)), *found, reached(clock(15, 30)), reached(clock(15, 31)), recovering]


def reached(ts: int) -> When:
    return lambda life: life.market >= ts


def recovering(life: Life) -> bool:
    """It has just been rebuilt from the book, or (nothing was to be rebuilt) has just said that it runs."""
    return "recovery" in life.kinds or life.up


def catching_up(life: Life) -> bool:
    """The exchange's own deeds of the absence are being written, or there were none."""
    return life.caught_up or life.up


def aged(seconds: float) -> When:
    """So long after its start, wherever it is then: most of a start is imports and recovery."""
    return lambda life: life.age >= seconds


async def gone_on(folder: Path, whole: Told) -> Told:
    """The market does not wait, and Telegram listens; at last a pause and its end, each killed when answered."""
    begin, end = (start_of(*ABSENT_DAY[0]), clock(*ABSENT_DAY[2]))
    async with BotApi(chats=[OWNER]) as api:
        room = ServiceRoom(folder, api, rehearse=begin, speed=GOES_ON, more=("--keep-time",), settings=SETTINGS)
        supervisor = Supervisor(room, DAY)
        first, ambush = (Ambush(whole, clock(*ABSENT_DAY[1]), end, entries=entries) for entries in (False, True))
        kills: list[When] = [first, catching_up, ambush, aged(0.9), ambush, catching_up, ambush, ambush]
        command = Commands(api)
        kills += [reached(end), *(command.answered(text) for text in ("/pause", "/status", "/resume", "/status"))]
        code = await supervisor.run(kills, end=lambda life: life.up and api.polling)
        told = await tell(room, supervisor, [sent.text for sent in api.sent])
    told.codes.append(code)
    return told


@dataclass
class Ambush:
    """Kills shortly before a stop is touched or (``entries``) an entry is due, as the uninterrupted day knows them."""

    whole: Told
    first: int
    last: int
    entries: bool = True
    used: set[int] = field(default_factory=set)

    def __call__(self, life: Life) -> bool:
        if not life.up or life.market < self.first:
            return False
        ahead = range(life.market + 2 * SECOND, life.market + 45 * SECOND)
        found = [ts for ts in self._targets() if ts in ahead and ts not in self.used]
        self.used.update(found)
        return bool(found) or life.market >= self.last

    def _targets(self) -> Iterator[int]:
        for trade in self.whole.trades:
            if trade["exit_reason"] == "stop":
                yield from_iso(trade["exit_time"])
            if self.entries:
                yield from_iso(trade["entry_time"])


@dataclass
class Commands:
    """A command to each process, which dies as soon as the phone shows the answer."""

    api: BotApi

    def answered(self, text: str) -> When:
        seen: list[int] = []

        def check(life: Life) -> bool:
            if not life.up:
                return False
            if not seen:
                seen.append(len(self.api.sent))
                self.api.say(OWNER, text)
            return any(ANSWERS[text] in sent.text for sent in self.api.sent[seen[0] :])

        return check


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory, kernel: Kernel) -> dict[str, Told]:
    """All scenes at once. ``kernel``: compiled by now, so that no start has to."""
    folder = tmp_path_factory.mktemp("kills")

    async def both(name: str, begin: str, killed: Any) -> dict[str, Told]:
        whole = await uninterrupted(folder / f"{name}-whole", begin)
        return {f"{name} whole": whole, name: await killed(folder / name, whole)}

    async def all_of_them() -> dict[str, Told]:
        done = await asyncio.gather(
            both("waits", start_of(9, 14, 50), waited_for), both("goes on", start_of(*ABSENT_DAY[0]), gone_on)
        )
        return {name: told for part in done for name, told in part.items()}

    return asyncio.run(all_of_them())


# --- what must hold -----------------------------------------------------------------------------------


@pytest.fixture(params=["waits", "goes on"])
def killed(request: pytest.FixtureRequest, days: dict[str, Told]) -> Told:
    return days[request.param]


def test_the_uninterrupted_day_has_much_to_lose(days: dict[str, Told]) -> None:
    whole = days["waits whole"]
    assert whole.codes == [0]
    assert len(whole.trades) >= 40
    assert {trade["exit_reason"] for trade in whole.trades} >= {"stop", "target", "square_off"}
    assert {trade["rung"] for trade in whole.trades} == {1, 2, 3}


def test_it_was_killed_often_and_ends_well(days: dict[str, Told]) -> None:
    assert len(days["waits"].killed_at) == 20
    assert len(days["goes on"].killed_at) == 13
    assert days["waits"].codes == days["goes on"].codes == [0]
    assert days["waits"].report["open_positions"] == []
    summaries = [line for line in days["waits"].lines if line["kind"] == "day"]
    assert [(line["trades"], line["open_positions"]) for line in summaries] == [(len(days["waits"].trades), [])]


def test_no_order_twice_none_too_many_and_all_protected_at_every_start(killed: Told) -> None:
    walk = Walk(killed.room.state, INSTANCE)
    walk.run(killed.starts)
    assert walk.checked >= 3, "no start found an open position"


def test_the_same_account_when_the_market_waits(days: dict[str, Told]) -> None:
    """But for a signal whose price had been seen and whose order had not left when the kill came, or had just
    reached the paper exchange, which died with us before the order met a price: it meets the next one."""
    whole, told = days["waits whole"], days["waits"]
    book = told.book
    for trade in explained(whole, told, [(ts, ts) for ts in told.killed_at]):
        rung, moment = (trade["symbol"], trade["rung"]), micros(trade["entry_time"])
        left = {o.order_id for o in book.orders.values() if o.placed_ns // 1000 == moment and rung_of(o) == rung}
        filled = [fill for fill in book.fills if fill.order_id in left and fill.ts_ns // 1000 <= moment]
        assert not filled, f"{trade} is missing, but its order was filled"
    other = [sum(round(t["net"] * 100) for t in day.trades if identity(t) not in shared(whole, told))
             for day in (whole, told)]  # fmt: skip
    assert told.money[1] - other[1] == whole.money[1] - other[0]
    assert {key: lot for key, (lot, _) in told.book.state()["positions"].items() if lot} == {}
    assert len(shared(whole, told)) >= len(whole.trades) // 2


def test_differences_begin_in_an_absence_when_the_market_goes_on(days: dict[str, Told]) -> None:
    whole, told = days["goes on whole"], days["goes on"]
    assert shared(whole, told), "not one trade is as it would have been"
    explained(whole, told, absences(told), until=clock(*ABSENT_DAY[2]))


def test_stops_touched_in_an_absence_are_found_filled(days: dict[str, Told]) -> None:
    told = days["goes on"]
    book = told.book
    stops = {order.order_id for order in book.orders.values() if order.triggered}
    away = absences(told)
    touched = {f.order_id: f.ts_ns // 1000 for f in book.fills
               if f.order_id in stops and any(a < f.ts_ns < b for a, b in away)}  # fmt: skip
    assert touched, "no stop was touched while the service was away"
    reasons = {(*rung_of(o), micros(t["exit_time"])): t["exit_reason"] for o in map(book.orders.get, touched) if o
               for t in told.trades if (t["symbol"], t["rung"]) == rung_of(o)}  # fmt: skip
    for order_id, moment in touched.items():
        order = book.orders[order_id]
        assert not order.status.final or reasons[(*rung_of(order), moment)] == "stop"


def test_trades_of_the_report_are_the_account(killed: Told) -> None:
    """Nothing booked twice, nothing forgotten; to the paisa where nothing is open."""
    trades = killed.trades
    assert len({trade["trade_id"] for trade in trades}) == len(trades)
    if not killed.report["open_positions"]:
        opening, cash, *_ = killed.money
        assert round(sum(trade["net"] for trade in trades) * 100) == cash - opening


def test_every_event_worth_a_message_reaches_the_phone(days: dict[str, Told]) -> None:
    told = days["goes on"]
    heard = "\n".join(told.sent)
    wanted = Counter(filter(None, (words(line) for line in told.lines)))
    missing = {said: (many, found) for said, many in wanted.items() if (found := _times(heard, said)) < many}
    assert sum(wanted.values()) > 100
    assert not missing, f"worth a message, but not (or not as often) on the phone: {missing}"


def _times(heard: str, said: str) -> int:
    """Word for word; or folded into an equal one before it, where both had to wait for the phone."""
    moment, text = said.split(" ", 1)
    folds = re.finditer(rf"(\S+) {re.escape(text)} \(×\d+, the last at (\S+)\)", heard)
    return heard.count(said) + sum(1 for fold in folds if fold[1] < moment <= fold[2])


async def test_killed_while_it_takes_its_leave_a_day_is_not_begun_anew(tmp_path: Path) -> None:
    """Telegram does not answer, so that the last words are still on their way when the kill comes."""
    async with BotApi(chats=[OWNER]) as api:
        room = ServiceRoom(tmp_path, api, rehearse=start_of(15, 59), speed=600, settings=SETTINGS)
        api.fail("sendMessage", Hang(), times=None)
        await room.start()
        await room.until(lambda: any(line["state"] == "stopped" for line in room.journal(DAY, "run")))
        await room.stop(signal.SIGKILL)
        api.heal()
        kept = room.journal(DAY)
        await room.start()
        assert await room.ended() == 0
        assert "goes on at" in room.said()
        assert room.journal(DAY)[: len(kept)] == kept


def test_a_pause_that_was_answered_holds_after_the_kill(days: dict[str, Told]) -> None:
    told = days["goes on"]
    states = [(line["ns"], line["kind"], line.get("on"), line.get("text", "")) for line in told.lines
              if line["kind"] == "block" or (line["kind"] == "run" and line["state"] == "started")]  # fmt: skip
    paused = next(i for i, (_, kind, on, _) in enumerate(states) if kind == "block" and on)
    lifted = next(i for i, (_, kind, on, _) in enumerate(states) if kind == "block" and on is False)
    between = [text for _, kind, _, text in states[paused:lifted] if kind == "run"]
    assert len(between) == 2
    assert all("stay paused" in text for text in between)
    assert not any("stay paused" in text for _, kind, _, text in states[lifted:] if kind == "run")
    from_, to = states[paused][0], states[lifted][0]
    entered = [f for f in told.lines if f["kind"] == "signal" and from_ < f["ns"] < to]
    assert not entered, "signals were taken during the pause"


def micros(text: str) -> int:
    """Reports tell times to the microsecond."""
    return from_iso(text) // 1000


def rung_of(order: PaperOrder) -> tuple[str, int]:
    """Symbol and rung, counted from 1 as in reports."""
    return order.symbol, tag_of(order, INSTANCE).rung + 1


# --- explaining ---------------------------------------------------------------------------------------


def absences(told: Told) -> list[tuple[int, int]]:
    """(last that was written before the kill, when the next process had recovered), market time."""
    found = []
    for last in told.killed_at:
        back = next((start for start in told.starts if start > last), None)
        if back is not None:
            found.append((last, back))
    return found


def identity(trade: Trade) -> tuple[Any, ...]:
    keys = ("symbol", "rung", "side", "entry_time", "exit_time", "quantity", "entry_price", "exit_price",
            "exit_reason", "gross", "charges", "net")  # fmt: skip
    return tuple(trade[key] for key in keys)


def shared(whole: Told, told: Told) -> set[tuple[Any, ...]]:
    return {identity(trade) for trade in whole.trades} & {identity(trade) for trade in told.trades}


def explained(whole: Told, told: Told, away: Sequence[tuple[int, int]], until: int = 1 << 62) -> list[Trade]:
    """Trades of the whole day that an absence took away; every other difference follows from one of them.

    While both runs are flat in a symbol and past its cooldown, they are in the same state; so a trade in one
    of them alone begins in an absence, or before an earlier such trade (and its cooldown) has ended.
    """
    roots: list[Trade] = []
    same = shared(whole, told)
    differing: dict[str, list[tuple[int, Trade, Told]]] = defaultdict(list)
    for run, other in ((whole, told), (told, whole)):
        for trade in run.trades:
            if identity(trade) not in same:
                differing[trade["symbol"]].append((parting(trade, other.trades), trade, run))
    for symbol, found in differing.items():
        busy = 0
        for parted, trade, run in sorted(found, key=lambda item: item[0]):
            if parted > until:
                break
            inside = [(a, b) for a, b in away if a // 1000 <= parted // 1000 <= b // 1000] or moved(trade, whole, away)
            spans = [f"{to_ist(a):%H:%M:%S}-{to_ist(b):%H:%M:%S}" for a, b in away]
            assert inside or parted <= busy, (
                f"{symbol}: {trade} of the {'whole' if run is whole else 'killed'} day parts at {to_ist(parted)}, in "
                f"none of {spans}, nor after another difference"
            )
            if inside and parted > busy and run is whole:
                roots.append(trade)
            busy = max(busy, from_iso(trade["exit_time"]) + COOLDOWN)
    return roots


def parting(trade: Trade, others: Sequence[Trade]) -> int:
    """When it began to differ: at its entry, or where that is the same, when the first of both ended."""
    for other in others:
        if all(trade[key] == other[key] for key in ("symbol", "rung", "side", "entry_time")):
            return min(from_iso(trade["exit_time"]), from_iso(other["exit_time"]))
    return from_iso(trade["entry_time"])


def moved(trade: Trade, whole: Told, away: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Absences in which the whole day moved the stop of this trade."""
    entry, end = from_iso(trade["entry_time"]), from_iso(trade["exit_time"])
    stops = [
        line["ns"] for line in whole.lines
        if line["kind"] == "stop" and line["symbol"] == trade["symbol"] and line["rung"] == trade["rung"]
        and entry < line["ns"] < end
    ]  # fmt: skip
    return [span for span in away if any(span[0] <= ns <= span[1] for ns in stops)]


def words(line: Mapping[str, Any]) -> str:
    """The first line of the message that the event is, '' where it is none."""
    symbol, text, severity = line.get("symbol", ""), line.get("text", ""), Severity[line["severity"]]
    event = Event(EventKind(line["kind"]), line["ns"], symbol, text, severity, line)
    said = describe(event) if loudness(event, Notifications()) != "off" else None
    return said.to_plain().split("\n")[0].strip() if said else ""
