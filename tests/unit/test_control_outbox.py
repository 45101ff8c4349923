"""The outbox: nothing is lost, nothing is shown twice without saying so, and one chat waits for no other."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import orjson
import pytest
import telegram
from outbox_room import Bench, Hours, Way, Wire, error_of, opened, until
from telegram.error import BadRequest, ChatMigrated, Conflict, NetworkError, RetryAfter, TelegramError, TimedOut

from otrade_bot.control.news import file as outbox_file
from otrade_bot.control.news.lanes import REPEAT, Sender
from otrade_bot.control.news.outbox import Outbox
from otrade_bot.control.phone.errors import judge
from otrade_bot.control.reply import LIMIT, Reply, bold, italic, lines, text
from otrade_bot.core.errors import JournalException
from otrade_bot.core.masking import forget_secrets, register_secret
from tests.venues.telegram import BotApi, Hang

BOTH = pytest.mark.parametrize("kind", [Bench, Wire])
MARK = f"\n{REPEAT}"


class Room:
    """An outbox that runs, its hours, and what it told the log."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "outbox.jsonl"
        self.hours, self.told = Hours(), []  # type: ignore[var-annotated]
        self.outbox = opened(self.path, self.hours, self.told)

    def reopen(self, **others: object) -> Outbox:
        self.outbox.close()
        self.outbox = opened(self.path, self.hours, self.told, **others)
        return self.outbox

    @asynccontextmanager
    async def sending(self, way: Sender) -> AsyncIterator[Outbox]:
        task = asyncio.create_task(self.outbox.run(way))
        try:
            yield self.outbox
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def rests(self, chat: int, word: str) -> bool:
        """The lane waits, for this reason."""
        return bool(self.hours.naps) and any(lane.chat_id == chat and lane.word == word for lane in self.outbox.lanes())


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


async def empty(outbox: Outbox) -> None:
    await until(lambda: outbox.waiting == 0)


@BOTH
async def test_every_chat_gets_each_message_once_in_order_and_as_loud_as_asked(kind: type[Way], room: Room) -> None:
    async with kind() as way, room.sending(way) as outbox:
        outbox.put(text("one ", bold("<&>")), [7, -9, 7], silent=True)
        outbox.put(text("two"), [7])
        await empty(outbox)
        assert way.shown(7) == ["one <&>", "two"]
        assert way.shown(-9) == ["one <&>"]
        assert way.silent(7) == [True, False]
    assert room.reopen().waiting == 0
    assert room.path.read_bytes() == b""


@BOTH
async def test_what_was_not_sent_is_sent_by_the_next_process(kind: type[Way], room: Room) -> None:
    room.outbox.put(text("left over"), [7])
    outbox = room.reopen()
    assert outbox.waiting == 1
    async with kind() as way, room.sending(way):
        outbox.put(text("new"), [7])
        await empty(outbox)
        assert way.shown(7) == ["left over", "new"]


@BOTH
@pytest.mark.parametrize("fault", ["lost", "gateway"])
async def test_a_lost_answer_repeats_the_message_and_says_so(kind: type[Way], fault: str, room: Room) -> None:
    async with kind() as way, room.sending(way) as outbox:
        way.fail(fault, times=2)
        outbox.put(text("one"), [7])
        outbox.put(text("two"), [7])
        for _ in range(2):
            await until(lambda: room.rests(7, "offline"))
            assert outbox.waiting == 2
            await room.hours.pass_by(30)
        await empty(outbox)
        assert way.shown(7) == ["one", "one" + MARK, "one" + MARK, "two"]


@BOTH
async def test_what_never_left_is_sent_again_as_it_was(kind: type[Way], room: Room) -> None:
    async with kind() as way, room.sending(way) as outbox:
        way.fail("unsent", times=3)
        outbox.put(text("one"), [7])
        for wait in (0.75, 1.5, 3.0):  # 1, 2, 4 s less a quarter, the middle of the jitter
            await until(lambda: room.hours.naps)
            assert room.hours.naps == [wait]
            room.hours.advance(wait)
        await empty(outbox)
        assert way.shown(7) == ["one"]


async def test_the_back_off_is_capped(room: Room) -> None:
    way = Bench()
    async with room.sending(way) as outbox:
        way.fail("unsent", times=9)
        outbox.put(text("one"), [7])
        waits = []
        for _ in range(9):
            await until(lambda: room.hours.naps)
            waits += room.hours.naps
            room.hours.advance(waits[-1])
        await empty(outbox)
    assert waits[5:] == [22.5] * 4
    assert max(waits) <= 30


@BOTH
async def test_too_many_requests_waits_exactly_so_long_and_holds_up_no_other_chat(kind: type[Way], room: Room) -> None:
    async with kind() as way, room.sending(way) as outbox:
        way.fail("too_many", chat_id=7)
        outbox.put(text("one"), [7, 8])
        await until(lambda: room.rests(7, "waiting") and way.shown(8) == ["one"])
        assert room.hours.naps == [7.0]
        outbox.wake()
        room.hours.advance(6.999)
        for _ in range(20):
            await asyncio.sleep(0)
        assert way.shown(7) == []
        room.hours.advance(0.001)
        await empty(outbox)
        assert way.shown(7) == ["one"]


@BOTH
async def test_who_blocked_the_bot_stops_nobody_else_and_is_served_once_back(kind: type[Way], room: Room) -> None:
    async with kind() as way, room.sending(way) as outbox:
        way.fail("blocked", times=2, chat_id=7)
        outbox.put(text("one"), [7, 8])
        await until(lambda: room.rests(7, "blocked") and way.shown(8) == ["one"])
        assert room.hours.naps == [600.0]
        outbox.put(text("two"), [7, 8])
        await until(lambda: way.shown(8) == ["one", "two"])
        assert await outbox.flush(60) == 2  # nothing to wait for
        await room.hours.pass_by(600)
        await until(lambda: room.rests(7, "blocked"))
        outbox.wake(7)
        await empty(outbox)
        assert [line for shown in way.shown(7) for line in shown.split("\n\n")] == ["one", "two\ndelivered 10 min late"]


@BOTH
async def test_a_token_that_is_refused_is_tried_again_slowly(kind: type[Way], room: Room) -> None:
    async with kind() as way, room.sending(way) as outbox:
        way.fail("token")
        outbox.put(text("one"), [7])
        await until(lambda: room.rests(7, "refused"))
        assert room.hours.naps == [60.0]
        assert "InvalidToken" in outbox.lanes()[0].error
        room.hours.advance(60)
        await empty(outbox)
        assert way.shown(7) == ["one"]
        assert outbox.lanes()[0].error == ""


@BOTH
async def test_what_telegram_cannot_show_comes_as_plain_text(kind: type[Way], room: Room) -> None:
    async with kind() as way, room.sending(way) as outbox:
        way.fail("unshowable")
        outbox.put(text("one ", bold("two")), [7])
        await empty(outbox)
        assert way.shown(7) == ["one two"]
    if isinstance(way, Bench):
        assert [reply.to_html() for _, reply in way.tried] == ["one <b>two</b>", "one two"]


@BOTH
async def test_what_cannot_be_shown_at_all_is_given_up_and_the_other_admins_hear_of_it(
    kind: type[Way], room: Room
) -> None:
    room.reopen(admins=lambda: (7, 8))
    async with kind() as way, room.sending(way) as outbox:
        way.fail("unshowable", times=2, chat_id=7)
        outbox.put(text("bad"), [7])
        outbox.put(text("good"), [7])
        await empty(outbox)
        assert way.shown(7) == ["good"]
        (notice,) = way.shown(8)
        assert "chat 7" in notice
        assert "could not be shown" in notice
        assert "parse entities" in notice
    assert any("'bad'" in line for line in room.told)
    assert room.reopen().waiting == 0


async def test_the_only_admin_hears_of_it_himself_and_a_notice_that_fails_too_is_the_end(room: Room) -> None:
    room.reopen(admins=lambda: (7,))
    way = Bench()
    async with room.sending(way) as outbox:
        way.fail("unshowable", times=4)
        outbox.put(text("bad"), [7])
        await empty(outbox)
        outbox.put(text("good"), [7])
        await empty(outbox)
    assert way.shown(7) == ["good"]
    assert len([line for line in room.told if "a message could not be shown" in line]) == 2


async def test_one_bad_message_in_a_pack_costs_no_other(room: Room) -> None:
    way = Bench()

    class Picky(Bench):
        async def send(self, chat_id: int, reply: Reply, *, silent: bool) -> None:
            if "bad" in reply.to_plain():
                raise error_of("unshowable")
            await way.send(chat_id, reply, silent=silent)

    for name in ("a", "b", "bad", "c", "d"):
        room.outbox.put(text(name), [7])
    async with room.sending(Picky()) as outbox:
        await empty(outbox)
    assert [shown for shown in way.shown(7) if "could not" not in shown] == ["a", "b", "c", "d"]


@BOTH
async def test_a_lane_that_lags_packs_whole_notices_in_order_with_the_label_once(kind: type[Way], room: Room) -> None:
    notices = [f"{number}" + " <fill> & more" * 12 for number in range(100)]
    for notice in notices:
        room.outbox.put(lines(notice, italic("PAPER · simulated prices")), [7], silent=True)
    room.outbox.put(lines(bold("risk"), italic("LIVE · kite prices")), [7])
    async with kind() as way, room.sending(way) as outbox:
        await empty(outbox)
        shown = way.shown(7)
        assert len(shown) <= 10
        assert way.silent(7) == [True] * (len(shown) - 1) + [False]
    told = [part for one in shown for part in one.split("\n\n")]
    assert [part.split("\n")[0] for part in told] == [*notices, "risk"]
    assert all(one.count("simulated") == 1 for one in shown)
    assert shown[-1].endswith("PAPER · simulated prices\n\nrisk\nLIVE · kite prices")
    assert not any("delivered" in one for one in shown)


async def test_what_comes_late_says_how_late(room: Room) -> None:
    way = Bench()
    room.outbox.put(text("first"), [7])
    room.hours.advance(9 * 60)
    room.outbox.put(text("second"), [7])
    room.hours.advance(3 * 60)
    async with room.sending(way) as outbox:
        await empty(outbox)
        outbox.put(text("now"), [7])
        await empty(outbox)
        outbox.put(text("soon"), [8])
    assert way.shown(7) == ["first\n\nsecond\ndelivered 3 to 12 min late", "now"]
    room.hours.advance(61)
    async with room.sending(way) as outbox:
        await empty(outbox)
    assert way.shown(8) == ["soon\ndelivered 1 min late"]


async def test_a_pack_whose_answer_was_lost_is_repeated_as_it_was_before_anything_new(room: Room) -> None:
    way = Bench()
    for number in range(5):
        room.outbox.put(text(f"m{number}"), [7])
    way.fail("lost")
    async with room.sending(way) as outbox:
        await until(lambda: room.rests(7, "offline"))
        outbox.put(text("new"), [7])
        await room.hours.pass_by(30)
        await empty(outbox)
    pack = "m0\n\nm1\n\nm2\n\nm3\n\nm4"
    assert way.shown(7) == [pack, pack + MARK, "new"]


async def test_killed_between_sending_and_the_answer_the_message_is_repeated_and_marked(room: Room) -> None:
    way, at_kill = Bench(), room.path.with_name("at_kill")

    class Dying(Bench):
        async def send(self, chat_id: int, reply: Reply, *, silent: bool) -> None:
            await way.send(chat_id, reply, silent=silent)
            shutil.copyfile(room.path, at_kill)
            await asyncio.Event().wait()

    room.outbox.put(text("one"), [7])
    async with room.sending(Dying()) as outbox:
        await until(lambda: way.shown(7))
        outbox.put(text("two"), [7])
    outbox.close()
    with at_kill.open("ab") as handle:
        handle.write(b'{"done":[1],"ch')  # the torn line of a write that was under way
    shutil.copyfile(at_kill, room.path)
    room.reopen()
    async with room.sending(way) as outbox:
        await empty(outbox)
    assert way.shown(7) == ["one", "one" + MARK]


PROCESS = """
import asyncio, sys, telegram
from pathlib import Path
from otrade_bot.control.news.outbox import Outbox
from otrade_bot.control.reply import text

class Phone:
    async def send(self, chat_id, reply, *, silent):
        await bot.send_message(chat_id, reply.to_html(), parse_mode="HTML", read_timeout=60)

async def main():
    outbox = Outbox(Path(sys.argv[1]))
    for words in sys.argv[4:]:
        outbox.put(text(words), [7])
    async with bot:
        task = asyncio.create_task(outbox.run(Phone()))
        sys.exit(await outbox.flush(60))

bot = telegram.Bot(sys.argv[2], base_url=sys.argv[3])
asyncio.run(main())
"""


async def test_a_process_killed_with_a_request_under_way_leaves_everything_to_the_next_one(tmp_path: Path) -> None:
    async with BotApi() as api:
        hang = Hang(after=True)
        api.fail("sendMessage", hang)
        line = [sys.executable, "-c", PROCESS, str(tmp_path / "outbox.jsonl"), api.token, api.base_url]
        killed = await asyncio.create_subprocess_exec(*line, "one", "two")
        await api.until(lambda: hang.holding, timeout=30)
        killed.kill()
        assert await killed.wait() < 0
        hang.release()
        following = await asyncio.create_subprocess_exec(*line, "three")
        assert await following.wait() == 0
        shown = "\n\n".join(sent.text for sent in api.to(7))  # a slow machine may pack the last two
        assert shown.split("\n\n") == ["one", "one" + MARK, "two", "three"]


async def test_a_run_that_is_cancelled_and_begun_again_marks_what_was_under_way(room: Room) -> None:
    way = Bench()

    class Hanging(Bench):
        async def send(self, chat_id: int, reply: Reply, *, silent: bool) -> None:
            self.tried.append((chat_id, reply))
            await asyncio.Event().wait()

    hanging = Hanging()
    room.outbox.put(text("one"), [7])
    async with room.sending(hanging):
        await until(lambda: hanging.tried)
    async with room.sending(way) as outbox:
        await empty(outbox)
    assert way.shown(7) == ["one" + MARK]


async def test_a_corrupt_file_is_set_aside_and_the_rest_of_it_is_sent(room: Room) -> None:
    for name in ("one", "two", "three"):
        room.outbox.put(text(name), [7])
    room.outbox.close()
    first, _, third = room.path.read_bytes().splitlines(keepends=True)
    room.path.write_bytes(first + b"{broken\n" + third)
    room.reopen()
    assert room.path.with_name("outbox.jsonl.corrupt").read_bytes() == first + b"{broken\n" + third
    assert any("set aside" in line for line in room.told)
    way = Bench()
    async with room.sending(way) as outbox:
        await empty(outbox)
    assert way.shown(7) == ["one", "three"]


@pytest.mark.parametrize("what", ["folder", "dangling link", "pipe"])
async def test_what_is_no_file_is_set_aside_and_nothing_waits_for_it(room: Room, what: str) -> None:
    room.outbox.close()
    room.path.unlink()
    if what == "folder":
        room.path.mkdir()
    elif what == "pipe":
        os.mkfifo(room.path)
    else:
        room.path.symlink_to(room.path.with_name("nowhere") / "x")
    room.reopen().put(text("one"), [7])
    assert any("set aside" in line for line in room.told)
    assert room.path.is_file()
    way = Bench()
    async with room.sending(way) as outbox:
        await empty(outbox)
    assert way.shown(7) == ["one"]


def test_lines_that_are_none_of_the_outboxs_are_left_out_and_told(room: Room) -> None:
    room.outbox.put(text("one"), [7])
    room.outbox.close()
    with room.path.open("ab") as handle:
        handle.write(
            b'{"add":"x"}\n{"hello":1}\n{"done":[9],"chat":"y"}\n{"add":8,"chats":[7],"at":1,"silent":0,"runs":[["x",["u"]]]}\n'
        )
    assert room.reopen().waiting == 1
    assert any("3 lines" in line for line in room.told)


def test_a_second_process_is_refused(room: Room) -> None:
    with pytest.raises(JournalException, match="another writer"):
        opened(room.path, room.hours, [])


async def test_a_disk_that_fails_costs_no_message_is_told_once_and_is_tried_again(room: Room) -> None:
    way = Bench()
    room.path.unlink()  # from now on every append fails
    room.outbox.put(text("one"), [7])
    room.outbox.put(text("two"), [7])
    assert [line for line in room.told if "memory" in line] == room.told
    assert len(room.told) == 1
    way.fail("unsent", times=2)
    async with room.sending(way) as outbox:
        await room.hours.pass_by(30)
        await until(lambda: len(way.tried) == 2)
        await until(lambda: room.hours.naps)
        assert sum(b'"add"' in line for line in room.path.read_bytes().splitlines()) == 2
        outbox.close()  # a kill: what was written anew is enough for the next process
    room.outbox = opened(room.path, room.hours, room.told)
    async with room.sending(way) as outbox:
        await empty(outbox)
    assert "".join(way.shown(7)).startswith("one")
    assert "two" in way.shown(7)[-1]


async def test_a_file_that_has_grown_is_written_anew_under_the_same_lock(room: Room) -> None:
    way = Bench()
    sizes = []
    room.path.with_name("outbox.jsonl.new").write_text("left by a kill")
    async with room.sending(way) as outbox:
        way.fail("blocked", chat_id=8)
        outbox.put(text("stays"), [8])
        for _ in range(2000):
            outbox.put(text("goes"), [7])
            await until(lambda: not any(lane.waiting for lane in outbox.lanes() if lane.chat_id == 7))
            sizes.append(room.path.stat().st_size)
    assert max(sizes) < 150 * 1100
    with pytest.raises(JournalException, match="another writer"):
        opened(room.path, room.hours, [])
    outbox = room.reopen()
    assert outbox.waiting == 1
    assert not room.path.with_name("outbox.jsonl.new").exists()


async def test_a_long_message_becomes_several_each_of_a_length_that_telegram_takes(room: Room) -> None:
    words = [f"word{number}" for number in range(1500)]
    way = Wire()
    room.outbox.put(text(" ".join(words), bold(" <end>")), [7])
    room.hours.advance(600)
    async with way:
        way.fail("lost")
        async with room.sending(way) as outbox:
            await room.hours.pass_by(30)
            await empty(outbox)
        shown = way.shown(7)
    assert len(shown) > 3
    assert all(len(one) <= LIMIT for one in shown)
    assert REPEAT in shown[1]
    assert not any(REPEAT in one for one in shown[2:])
    said = " ".join(one.split("\ndelivered")[0] for one in shown[1:]).split()
    assert said == [*words, "<end>"]


async def test_secrets_and_empty_messages_go_nowhere(room: Room) -> None:
    register_secret("hunter2hunter2")
    try:
        way = Bench()
        async with room.sending(way) as outbox:
            outbox.put(text("token hunter2hunter2"), [7])
            outbox.put(Reply(), [7])
            outbox.put(text(" \n"), [7])
            outbox.put(text("nobody"), [])
            assert b"hunter2" not in room.path.read_bytes()
            await empty(outbox)
        assert way.shown(7) == ["token ***"]
    finally:
        forget_secrets()


async def test_flush_waits_until_all_is_sent_but_not_longer_than_told(room: Room) -> None:
    way = Bench()
    async with room.sending(way) as outbox:
        way.fail("unsent")
        outbox.put(text("one"), [7])
        await until(lambda: room.rests(7, "offline"))
        assert await outbox.flush(10) == 0  # it does not wait for the back-off
        assert way.shown(7) == ["one"]
        way.fail("too_many")
        outbox.put(text("two"), [7])
        assert await outbox.flush(0.01) == 1
        assert outbox.lag_s() == 0
        room.hours.advance(3)
        assert outbox.lag_s() == 3


async def test_chats_of_people_who_were_removed_get_nothing_more(room: Room) -> None:
    room.outbox.put(text("one"), [7, 8])
    assert room.outbox.restrict([8]) == 1
    way = Bench()
    room.reopen()
    async with room.sending(way) as outbox:
        await empty(outbox)
    assert way.shown(7) == []
    assert way.shown(8) == ["one"]


async def test_a_group_that_moved_is_followed(room: Room) -> None:
    way = Bench()

    class Moved(Bench):
        async def send(self, chat_id: int, reply: Reply, *, silent: bool) -> None:
            if chat_id == -9:
                raise ChatMigrated(-1009)
            await way.send(chat_id, reply, silent=silent)

    room.outbox.put(text("one"), [-9])
    async with room.sending(Moved()) as outbox:
        await room.hours.pass_by(30)
        await empty(outbox)
    assert way.shown(-1009) == ["one"]


async def test_a_sender_that_breaks_on_one_message_does_not_stop_the_lane(room: Room) -> None:
    way = Bench()

    class Broken(Bench):
        async def send(self, chat_id: int, reply: Reply, *, silent: bool) -> None:
            if "bad" in reply.to_plain():
                raise KeyError("no such thing")
            await way.send(chat_id, reply, silent=silent)

    room.outbox.put(text("bad"), [7])
    room.outbox.put(text("good"), [7])
    async with room.sending(Broken()) as outbox:
        for _ in range(4):
            await room.hours.pass_by(30)
        await until(lambda: "good" in "".join(way.shown(7)))
        await empty(outbox)


async def test_ten_thousand_that_wait_are_kept_once_and_leave_in_order(room: Room) -> None:
    way = Bench()
    for number in range(10_000):
        room.outbox.put(text(f"m{number}"), [7, 8])
    assert room.reopen().waiting == 20_000
    async with room.sending(way) as outbox:
        await empty(outbox)
    assert "\n\n".join(way.shown(8)).split("\n\n") == [f"m{number}" for number in range(10_000)]
    assert len(way.tried) < 2 * 400


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (RetryAfter(12), "wait"),
        (BadRequest("Bad Request: chat not found"), "blocked"),
        (BadRequest("Not enough rights to send text messages to the chat"), "blocked"),
        (BadRequest("Bad Request: message text is empty"), "unshowable"),
        (Conflict("Conflict: x"), "unsent"),
        (NetworkError("Internal Server Error"), "lost"),
        (NetworkError("Too Many Requests: x"), "unsent"),
        (TelegramError("Invalid server response"), "lost"),
        (TimedOut(), "lost"),
        (OSError("broken pipe"), "lost"),
        (KeyError("result"), "broken"),
        *(
            (_caused(TimedOut(), cause("")), "unsent")
            for cause in (httpx.ConnectTimeout, httpx.PoolTimeout)
        ),
        *(
            (_caused(TimedOut(), cause("")), "lost")
            for cause in (httpx.ReadTimeout, httpx.WriteTimeout)
        ),
        *(
            (_caused(NetworkError(""), cause("")), "lost")
            for cause in (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError, httpx.CloseError)
        ),
        *(
            (_caused(NetworkError(""), cause("")), "unsent")
            for cause in (httpx.ConnectError, httpx.ProxyError, httpx.UnsupportedProtocol)
        ),
        (_caused(NetworkError(""), RuntimeError("This HTTPXRequest is not initialized!")), "unsent"),
        (_caused(NetworkError(""), ValueError("?")), "lost"),
    ],
    ids=str,
)  # fmt: skip
def test_an_error_says_whether_the_message_may_have_been_shown(error: Exception, word: str) -> None:
    verdict = judge(error)
    assert verdict.word == word
    assert verdict.seconds == (12.0 if word == "wait" else 0.0)


async def test_the_librarys_own_errors_are_judged_by_what_happened_on_the_wire() -> None:
    async with BotApi() as api:
        hang = Hang(after=True)
        api.fail("sendMessage", hang)
        async with telegram.Bot(api.token, base_url=api.base_url) as bot:
            assert await _word(bot.send_message(7, "x", read_timeout=0.05)) == "lost"
            hang.release()
            api.down()
            assert await _word(bot.send_message(7, "x")) == "unsent"
            api.up()
        assert await _word(bot.send_message(7, "x")) == "unsent"  # shut down


async def _word(call: object) -> str:
    try:
        await call  # type: ignore[misc]
    except Exception as error:
        return judge(error).word
    return "sent"


def test_the_outbox_does_not_load_the_library_until_it_sends() -> None:
    code = (
        "import sys, otrade_bot.control.news.outbox, otrade_bot.control.news.pushes;"
        "sys.exit('telegram' in sys.modules or 'httpx' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_compaction_keeps_what_is_in_doubt(room: Room) -> None:
    entry = outbox_file.Entry(5, (7, 8), text("x"), False, 1, 1)
    items = {
        7: outbox_file.deque([outbox_file.Item(entry, trying=True, lost=True)]),
        8: outbox_file.deque([outbox_file.Item(entry, trying=True)]),
    }
    written = [orjson.loads(orjson.dumps(line)) for line in outbox_file._whole(items)]
    assert written[0]["lost"] == [7]
    assert written[1:] == [{"try": [5], "chat": 7}, {"try": [5], "chat": 8}]
