"""Two lanes a chat: what is grave first, floods as one message, nothing of either lost, Telegram's limits kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outbox_room import Bench, Hours, error_of, opened, until

from otrade_bot.config.models import Notifications, TelegramConfig, User
from otrade_bot.control.news.batch import REPEAT
from otrade_bot.control.news.entry import What
from otrade_bot.control.news.outbox import Outbox, Parcel
from otrade_bot.control.news.pace import Pace
from otrade_bot.control.news.pushes import Pushes
from otrade_bot.control.reply import LIMIT, Action, Picture, Reply, bold, italic, lines, text
from otrade_bot.core.clock import SECOND, at_ist
from otrade_bot.core.events import Event, EventKind, Severity

NOON = at_ist(date(2021, 6, 1), 12)
LABEL = "PAPER · simulated prices"
OWNER = User(user_id=7, chat_id=7, role="admin", name="owner")
GROUP = User(user_id=8, chat_id=-9, name="asha")
STOCKS = "RELIANCE TCS SBIN INFY M&M ITC LT".split()


class Timed(Bench):
    """Remembers when each message was sent."""

    def __init__(self, hours: Hours) -> None:
        super().__init__()
        self.hours, self.times = hours, list[tuple[int, int]]()

    async def send(self, chat_id: int, reply: Reply, *, silent: bool) -> None:
        self.times.append((chat_id, self.hours.ns))
        await super().send(chat_id, reply, silent=silent)

    def most_in(self, chat_id: int, seconds: int) -> int:
        """The most messages in any span so long."""
        times = [ns for chat, ns in self.times if chat == chat_id]
        return max(sum(start <= ns < start + seconds * SECOND for ns in times) for start in times)


class Room:
    def __init__(self, folder: Path, **options: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.path, self.hours, self.told = folder / "outbox.jsonl", Hours(), list[str]()
        self.options = options
        self.outbox = self.open()
        self.pushes = Pushes(self.outbox, (OWNER, GROUP), Notifications(), lambda: LABEL)

    def open(self) -> Outbox:
        return opened(self.path, self.hours, self.told, **self.options)

    @asynccontextmanager
    async def sending(self, way: Bench) -> AsyncIterator[Outbox]:
        task = asyncio.create_task(self.outbox.run(way))
        try:
            yield self.outbox
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def all_sent(self) -> None:
        """Time passes as far as somebody sleeps, until nothing waits."""
        for _ in range(100_000):
            if not self.outbox.waiting:
                return
            for _ in range(10):
                await asyncio.sleep(0)
            if self.hours.naps:
                self.hours.advance(min(self.hours.naps))
        raise AssertionError("it was never sent")


PACED = {"pace": Pace.of_chat, "news": Pace.of_news, "overall": Pace.overall}


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


@pytest.fixture
def paced(tmp_path: Path) -> Room:
    return Room(tmp_path, **PACED)


def news(number: int, kind: EventKind = EventKind.ALERT, words: str = "no price for 60 s") -> Event:
    said = "" if kind is EventKind.ORDER else words
    data = {"status": "open", "side": "BUY", "quantity": number}
    return Event(kind, NOON + number * SECOND, f"NSE:{STOCKS[number % 7]}", said, Severity.WARNING, data)


def risk(words: str = "the stop is gone") -> Event:
    return Event(EventKind.ALERT, NOON, "NSE:TCS", words, Severity.RISK)


def fill(number: int) -> Event:
    data = {"rung": 1, "leg": "entry", "side": "BUY", "quantity": number, "ordered": number, "value_paise": 100}
    return Event(EventKind.FILL, NOON, "NSE:SBIN", data=data)


def heads(shown: Sequence[str]) -> list[str]:
    return [one.split("\n")[0] for message in shown for one in message.split("\n\n")]


async def test_a_risk_behind_two_thousand_news_and_fills_come_first_in_their_order(paced: Room) -> None:
    way = Timed(paced.hours)
    for number in range(2000):
        paced.pushes.on_event(news(number, EventKind.ALERT if number % 3 else EventKind.ORDER, f"word {number % 5}"))
    for number in range(1, 4):
        paced.pushes.on_event(fill(number))
    paced.pushes.on_event(risk())
    async with paced.sending(way):
        await paced.all_sent()
    for chat in (7, -9):
        shown = way.shown(chat)
        assert heads(shown)[:4] == [
            "12:00:00 Filled SBIN P1 entry BUY 1 @ ₹1.00", "12:00:00 Filled SBIN P1 entry BUY 2 @ ₹0.50",
            "12:00:00 Filled SBIN P1 entry BUY 3 @ ₹0.33", "12:00:00 ALERT TCS the stop is gone",
        ]  # fmt: skip
        assert len(shown) == 2, "what is grave in full, and one digest"
        assert way.silent(chat)[-1] is False
        assert all(len(one.encode("utf-16-le")) // 2 <= LIMIT for one in shown)
        head, *rows, _, label = shown[-1].split("\n")
        assert head == "2,000 messages in one, 12:00:00 to 12:33:19"
        assert rows == [
            "• Alert ×1,333 word …, 12:00:01 to 12:33:19: TCS 191, SBIN 191, M&M 191 and 4 more",
            "• Order accepted ×667, 12:00:00 to 12:33:18: RELIANCE 96, INFY 96, LT 95 and 4 more",
        ]
        assert label == LABEL


async def test_news_that_come_all_the_time_keep_telegrams_limits_and_delay_no_risk(paced: Room) -> None:
    way = Timed(paced.hours)
    told: list[int] = []
    async with paced.sending(way) as outbox:
        for second in range(300):
            for number in range(7):
                paced.pushes.on_event(news(second * 7 + number, words=f"word {second} {number}"))
            if second % 50 == 49:
                paced.pushes.on_event(risk(f"grave {second}"))
            for _ in range(30):
                await asyncio.sleep(0)
            paced.hours.advance(1)
            told.append(sum("grave" in shown for shown in way.shown(7)))
        await paced.all_sent()
        assert outbox.waiting == 0
    assert [told[at] for at in range(51, 300, 50)] == [1, 2, 3, 4, 5], "within a second or two"
    assert way.most_in(-9, 60) <= 20
    assert way.most_in(7, 60) <= 70
    assert way.most_in(7, 1) <= 11
    counted = sum(_counted(shown) for shown in way.shown(7))
    assert counted == 300 * 7 + 6, "told one by one, or counted in a digest"


def _counted(shown: str) -> int:
    head = shown.split(" ")[0].replace(",", "")
    return int(head) if "messages in one" in shown else len(shown.split("\n\n"))


async def test_what_one_entry_brings_without_sound_is_one_message_and_what_has_sound_waits_for_none(
    paced: Room,
) -> None:
    way, begun = Timed(paced.hours), paced.hours.ns
    async with paced.sending(way):
        for number in range(4):
            paced.pushes.on_event(news(number, EventKind.ORDER))
            for _ in range(30):
                await asyncio.sleep(0)
            paced.hours.advance(0.4)
        assert way.shown(7) == []
        paced.pushes.on_event(risk())
        await until(lambda: way.shown(7))
        assert "the stop is gone" in way.shown(7)[0]
        await paced.all_sent()
        assert [len(heads([shown])) for shown in way.shown(7)] == [1, 4]
        assert paced.hours.ns - begun <= 2.1 * SECOND
        paced.pushes.on_event(news(9))  # a warning, with sound
        await until(lambda: len(way.shown(7)) == 3)


async def test_the_end_of_the_service_holds_no_news_back(tmp_path: Path) -> None:
    paced = Room(tmp_path, pace=Pace.of_chat, news=Pace.of_news)
    way = Timed(paced.hours)
    async with paced.sending(way) as outbox:
        for number in range(60):
            paced.pushes.on_event(news(number, words=f"word {number} " + "x" * 300))
            await until(lambda: not outbox.waiting or paced.hours.naps)
        assert outbox.waiting
        assert await outbox.flush(10) == 0
    assert heads(way.shown(7))[-1].startswith("12:00:59 Alert INFY word 59")


SPACES = st.lists(st.floats(0, 30), min_size=1, max_size=200)


@given(st.sampled_from([7, -9]), SPACES)
def test_a_chats_pace_is_within_telegrams_limits_whenever_messages_come(chat: int, spaces: list[float]) -> None:
    pace, now, times = Pace.of_chat(chat), NOON, list[int]()
    for space in spaces:
        now += round(space * SECOND)
        now += round(pace.wait_s(now) * SECOND)
        assert pace.wait_s(now) == 0
        pace.take(now)
        times.append(now)
    in_a_minute = [sum(start <= at < start + 60 * SECOND for at in times) for start in times]
    assert max(in_a_minute) <= (20 if chat < 0 else 70)
    assert all(later >= earlier for earlier, later in pairwise(times))


def test_a_clock_that_is_set_stops_nobody() -> None:
    pace = Pace(2, 1.0)
    for _ in range(2):
        pace.take(NOON)
    assert pace.wait_s(NOON) == 1.0
    assert pace.wait_s(NOON - 3600 * SECOND) == 1.0
    assert pace.wait_s(NOON - 3599 * SECOND) == 0.0
    pace.drain(NOON)
    assert pace.wait_s(NOON) == 1.0
    assert pace.wait_s(NOON, beyond=1) == 0.0


async def test_a_digest_whose_answer_was_lost_is_repeated_as_it_was_before_newer_news_and_after_a_risk(
    room: Room,
) -> None:
    way = Bench()
    for number in range(150):
        room.pushes.on_event(news(number, words=f"word {number}"))
    way.fail("lost", chat_id=7)
    async with room.sending(way):
        await until(lambda: room.hours.naps)
        room.pushes.on_event(news(0, words="newer"))
        room.pushes.on_event(risk())
        await room.hours.pass_by(30)
        await until(lambda: not room.outbox.waiting)
    first, grave, again, newer = way.shown(7)
    assert first.startswith("150 messages in one, 12:00:00 to 12:02:29\n")
    assert "ALERT TCS" in grave
    assert again == f"{first}\n{REPEAT}"
    assert newer.startswith("12:00:00 Alert RELIANCE newer")


async def test_killed_with_a_digest_under_way_the_next_process_repeats_all_of_it(room: Room) -> None:
    way, seen = Bench(), list[bytes]()

    class Dying(Bench):
        async def send(self, chat_id: int, reply: Reply, *, silent: bool) -> None:
            if chat_id == 7:
                await way.send(chat_id, reply, silent=silent)
                seen.append(room.path.read_bytes())
            await asyncio.Event().wait()

    for number in range(150):
        room.pushes.on_event(news(number, words=f"word {number}"))
    async with room.sending(Dying()):
        await until(lambda: seen)
    room.outbox.close()
    room.path.write_bytes(seen[0] + b'{"done":[1')
    room.outbox = room.open()
    async with room.sending(way):
        await until(lambda: not room.outbox.waiting)
    first, again = way.shown(7)
    assert again == f"{first}\n{REPEAT}"
    assert len(way.shown(-9)) == 1


async def test_a_digest_that_telegram_does_not_take_comes_as_packs_and_loses_nothing(room: Room) -> None:
    way = Bench()

    class Picky(Bench):
        async def send(self, chat_id: int, reply: Reply, *, silent: bool) -> None:
            if "messages in one" in reply.to_plain():
                raise error_of("unshowable")
            await way.send(chat_id, reply, silent=silent)

    for number in range(150):
        room.pushes.on_event(news(number, words=f"word {number}"))
    async with room.sending(Picky()):
        await until(lambda: not room.outbox.waiting)
    assert [head.rpartition(" ")[2] for head in heads(way.shown(7))] == [str(number) for number in range(150)]
    assert len(way.shown(7)) < 10


async def test_what_says_the_same_within_a_minute_is_one_line_and_no_fill_ever_is(room: Room) -> None:
    way = Bench()
    for second in (0, 1, 2, 3, 200):
        room.pushes.on_event(replace(news(0), ts_ns=NOON + second * SECOND))
    for _ in range(4):
        room.pushes.on_event(fill(3))
    for second in range(40):
        room.pushes.on_event(replace(risk(), ts_ns=NOON + second * SECOND))
    async with room.sending(way):
        await until(lambda: not room.outbox.waiting)
    first, others = way.shown(7)
    assert heads([first]) == [
        *["12:00:00 Filled SBIN P1 entry BUY 3 @ ₹0.33"] * 4,
        "12:00:00 ALERT TCS the stop is gone (×40, the last at 12:00:39)",
    ]
    assert heads([others]) == [
        "12:00:00 Alert RELIANCE no price for 60 s (×4, the last at 12:00:03)",
        "12:03:20 Alert RELIANCE no price for 60 s",
    ]


async def test_what_says_the_same_all_the_time_is_told_once_a_minute_and_holds_up_nothing_new(room: Room) -> None:
    way = Timed(room.hours)
    room.pushes.reload(TelegramConfig(users=(OWNER,)))
    async with room.sending(way):
        for second in range(0, 150, 5):
            room.pushes.on_event(replace(news(0), ts_ns=NOON + second * SECOND))
            if second == 20:
                room.pushes.on_event(news(1))
            if second == 40:
                room.pushes.on_event(risk())
            for _ in range(30):
                await asyncio.sleep(0)
            room.hours.advance(5)
        assert heads(way.shown(7)) == [
            "12:00:00 Alert RELIANCE no price for 60 s",
            "12:00:05 Alert RELIANCE no price for 60 s (×4, the last at 12:00:20)",
            "12:00:01 Alert TCS no price for 60 s",
            "12:00:00 ALERT TCS the stop is gone",
            "12:00:25 Alert RELIANCE no price for 60 s (×10, the last at 12:01:10)",
            "12:01:15 Alert RELIANCE no price for 60 s (×10, the last at 12:02:00)",
        ]  # fmt: skip
        assert not any("delivered" in shown for shown in way.shown(7))
        assert room.outbox.waiting == 5
        assert await room.outbox.flush(10) == 0


async def test_a_thousand_risks_are_all_there_one_by_one(room: Room) -> None:
    way = Bench()
    for number in range(1000):
        room.pushes.on_event(risk(f"stop {number} is gone"))
    async with room.sending(way):
        await until(lambda: not room.outbox.waiting)
    assert heads(way.shown(7)) == [f"12:00:00 ALERT TCS stop {number} is gone" for number in range(1000)]


# Buttons, pictures, languages and days.


def question(*, seconds: float = 0.0) -> Reply:
    return Reply(text("Approve?").runs, (
        Action("Yes", "/approve 1", seconds=seconds), Action("Login", "/login", lasting=True),
        Action("Broker", "", url="https://broker.example/secret"),
    ))  # fmt: skip


async def buttons(room: Room, way: Bench) -> list[list[str]]:
    async with room.sending(way):
        await until(lambda: not room.outbox.waiting)
    return [[one.label for one in reply.actions] for _, reply, _ in way.sent]


async def test_fresh_buttons_are_sent_and_stand_alone(room: Room) -> None:
    for number in range(5):
        room.outbox.put(text(f"m{number}"), [7])
    room.outbox.put(question(), [7])
    room.outbox.put(text("last"), [7])
    way = Bench()
    assert await buttons(room, way) == [[], ["Yes", "Login", "Broker"], []]
    assert way.shown(7)[1] == "Approve?"


async def test_buttons_survive_a_restart_and_only_lasting_ones_grow_old(room: Room) -> None:
    room.outbox.put(question(), [7])
    room.outbox.put(question(seconds=300), [8])
    assert b"broker.example" not in room.path.read_bytes()
    room.outbox.close()
    room.outbox = room.open()
    room.hours.advance(31)
    assert await buttons(room, Bench()) == [["Login"], ["Yes", "Login"]]
    room.outbox.put(question(), [7])
    assert await buttons(room, Bench()) == [["Yes", "Login", "Broker"]]


async def test_a_picture_goes_with_its_text_and_only_the_text_survives(room: Room) -> None:
    shown = Reply(text("the day").runs, picture=Picture("day.png", b"png"))
    room.outbox.put(shown, [7])
    way = Bench()
    async with room.sending(way):
        await until(lambda: not room.outbox.waiting)
        room.outbox.put(shown, [8])
        assert [reply.picture for _, reply, _ in way.sent] == [shown.picture]
    room.outbox.close()
    room.outbox = room.open()
    async with room.sending(way):
        await until(lambda: not room.outbox.waiting)
    assert way.shown(8)[0].startswith("the day")


HINDI = {"{count} messages in one": "{count} संदेश", "delivered {minutes} min late": "{minutes} मिनट देर से"}


async def test_each_chat_is_told_in_its_language_a_group_in_its_first_users(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otrade_bot.core.lang.catalogue", lambda spoken: HINDI)
    hindi = OWNER.model_copy(update={"language": "hi"})
    group = (hindi.model_copy(update={"chat_id": -9}), GROUP)
    room.pushes = Pushes(room.outbox, (*group, OWNER, hindi.model_copy(update={"chat_id": 70})), Notifications(), str)
    for number in range(150):
        room.pushes.on_event(news(number, words=f"word {number}"))
    room.hours.advance(90)
    room.outbox.close()
    room.outbox = room.open()
    way = Bench()
    async with room.sending(way):
        await until(lambda: not room.outbox.waiting)
    for chat in (-9, 70):
        assert way.shown(chat)[0].startswith("150 संदेश, 12:00:00")
        assert way.shown(chat)[0].endswith("1 मिनट देर से")
    assert way.shown(7)[0].startswith("150 messages in one")


async def test_what_comes_on_another_day_says_of_which(room: Room) -> None:
    room.outbox.put(text("of the evening"), [7])
    room.hours.advance(16 * 3600 + 120)
    way = Bench()
    async with room.sending(way):
        await until(lambda: not room.outbox.waiting)
    assert way.shown(7) == ["of the evening\ndelivered 16 h 2 min late, of Tue 1 Jun 2021"]


# The file.


def test_a_file_of_the_version_before_is_read_and_keeps_its_order(room: Room) -> None:
    at = room.hours.ns
    room.outbox.close()
    old = [
        {"add": 1, "chats": [7, 8], "at": at, "silent": True, "runs": [["12:00 ", []], ["Filled", ["b"]]], "of": "a"},
        {"add": 2, "chats": [7], "at": at, "silent": False, "runs": [["two", []]], "about": True, "lost": [7]},
        {"try": [1], "chat": 7}, {"done": [1], "chat": 8}, {"newest": "b"},
    ]  # fmt: skip
    room.path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in old))
    room.outbox = room.open()
    assert room.outbox.newest == "b"
    [lane] = [lane for lane in room.outbox._lanes.values() if len(lane)]
    assert [(item.entry.number, item.entry.lane, item.doubtful) for item in lane.items] == [
        (1, "first", True), (2, "first", True),
    ]  # fmt: skip
    assert room.told == []


def test_all_that_an_entry_is_comes_back_from_the_file(room: Room) -> None:
    said = Reply(lines(text("a ", bold("b")), italic(LABEL)).runs, question(seconds=20).actions[:2])
    room.outbox.put_all(
        [Parcel(said, (7,), True, "news", What("signal", "NSE:TCS", NOON), "hi"), Parcel(text("x"), (7, 8))], of="name"
    )
    before = [item.entry for lane in room.outbox._lanes.values() for item in lane.items]
    room.outbox.close()
    room.outbox = room.open()
    assert [item.entry for lane in room.outbox._lanes.values() for item in lane.items] == before
    assert room.outbox.newest == "name"
    assert {entry.of for entry in before if entry.reply != said} == {"name"}


@pytest.mark.parametrize("strange", [
    {"lane": "express"}, {"language": "fr"}, {"actions": []}, {"what": ["x", "y", 3]},
])  # fmt: skip
def test_what_a_later_version_may_write_does_not_stop_this_one(strange: dict[str, Any], room: Room) -> None:
    room.outbox.close()
    line = {"add": 1, "chats": [7], "at": 1, "silent": True, "runs": [["x", []]]} | strange
    room.path.write_bytes(orjson.dumps(line) + b"\n")
    room.outbox = room.open()
    assert room.outbox.waiting == 1


@pytest.mark.parametrize("broken", [{"actions": [["x"]]}, {"actions": 5}, {"what": 1}, {"what": ["x"]}])
def test_a_line_that_is_none_is_left_out_and_told(broken: dict[str, Any], room: Room) -> None:
    room.outbox.close()
    line = {"add": 1, "chats": [7], "at": 1, "silent": True, "runs": [["x", []]]} | broken
    room.path.write_bytes(orjson.dumps(line) + b"\n")
    room.outbox = room.open()
    assert room.outbox.waiting == 0
    assert "1 lines" in room.told[0]


def test_one_event_is_one_write_whatever_it_means_to_whom(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = list[Any]()
    monkeypatch.setattr(room.outbox._file, "add", writes.append)
    users = (OWNER, GROUP.model_copy(update={"language": "hi"}), GROUP.model_copy(update={"chat_id": 8}))
    Pushes(room.outbox, users, Notifications(), str).on_event(replace(risk(), data={"by": "owner"}))
    [entries] = writes
    assert len(entries) == 2
    assert [bool(entry.of) for entry in entries] == [False, True]


async def test_killed_after_any_byte_of_the_file_nothing_is_lost_and_what_may_have_been_shown_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One life with losses, a digest and two languages; then a next process from each prefix of what it wrote."""
    monkeypatch.setattr("otrade_bot.core.lang.catalogue", lambda spoken: {})  # counted by words
    first = Room(tmp_path / "first")
    hindi = GROUP.model_copy(update={"chat_id": 8, "language": "hi"})
    first.pushes = Pushes(first.outbox, (OWNER, hindi), Notifications(), lambda: LABEL)
    way = Bench()
    for fault in ("lost", "unsent", "gateway", "too_many", "lost"):
        way.fail(fault)
    async with first.sending(way):
        for number in range(3):
            first.pushes.on_event(fill(number + 1))
            first.pushes.on_event(risk(f"grave {number}"))
        for number in range(110):
            first.pushes.on_event(news(number, words=f"word {number}"))
        await first.all_sent()
    written = first.path.read_bytes().splitlines(keepends=True)
    assert len(written) > 240, "nothing was written anew"
    places = [*range(12), *range(12, 232, 37), *range(226, len(written) + 1)]
    for place in places:
        torn = written[place][: len(written[place]) // 2] if place < len(written) else b""
        await _goes_on(tmp_path / f"{place}", written[:place], torn)


def _left(folder: Path, raw: bytes) -> Room:
    folder.mkdir()
    (folder / "outbox.jsonl").write_bytes(raw)
    return Room(folder)


async def _goes_on(folder: Path, written: list[bytes], torn: bytes) -> None:
    """The next process tells exactly what the file holds, in the order of the lanes."""
    waiting: dict[int, dict[int, str]] = {7: {}, 8: {}}
    doubtful: set[tuple[int, int]] = set()
    for line in map(orjson.loads, written):
        if "add" in line:
            for chat in line["chats"]:
                waiting[chat][line["add"]] = line.get("lane", "first")
        for number in line.get("done", ()):
            del waiting[line["chat"]][number]
        doubtful |= {(line["chat"], number) for number in line.get("try", ())}
        doubtful -= {(line["chat"], number) for number in line.get("back", ())}
    room, way = _left(folder, b"".join(written) + torn), Bench()
    try:
        for chat, lane in room.outbox._lanes.items():
            numbers = [item.entry.number for item in lane.items]
            lanes = ("first", "news")
            assert numbers == [n for lane in lanes for n, of in waiting[chat].items() if of == lane]
        async with room.sending(way):
            await room.all_sent()
    finally:
        room.outbox.close()
    assert room.outbox.waiting == 0
    for chat, numbers_of in waiting.items():
        marked = any(REPEAT in shown for shown in way.shown(chat))
        assert marked == any((chat, number) in doubtful for number in numbers_of)
        told = sum(_counted(shown) for shown in way.shown(chat))
        assert told == len(numbers_of)
