"""Telegram fails in every way it can while the real service trades: no alert is lost, no trade waits for it.

An outage is mostly waiting, so the scenes of this file run side by side, each with its own service, phone and
folder; each is a test of its own.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import telegram

from otrade_bot.control.news.outbox import Outbox
from otrade_bot.control.reply import text
from otrade_bot.core.clock import SECOND, at_ist, to_ist
from otrade_bot.kernel.compile import Kernel
from otrade_bot.service.folder import guest_folder
from tests.acceptance.service_room import OPERATOR, OWNER, VIEWER, ServiceRoom
from tests.acceptance.told import Due, Followed, body_of, due, follow
from tests.venues.telegram import BadGateway, BotApi, Call, Hang, NotFound, Reset, Sent, TooMany, Unauthorized

Line = dict[str, Any]
Scenario = Callable[["Stage"], Coroutine[Any, Any, None]]

DAY = date(2026, 9, 16)
START = "2026-09-16T09:14:50"
PEOPLE = (OWNER, OPERATOR, VIEWER)
#: A whole day in 20 s, and one in which half a minute of trouble is half an hour of trade.
WHOLE, SLOW = 300, 60
#: ms. A loop that waited for Telegram would stand still for 10 to 15 s, the patience of one request.
LAG = 5000
CROSSOVER = {
    "name": "ema_crossover", "timeframe": "1m", "instruments": ["NSE:SBIN", "NSE:INFY", "NSE:ITC", "NSE:ICICIBANK"],
    "params": {"fast": 2, "slow": 4, "stop_percent": 0.2, "target_percent": 0.2},
}  # fmt: skip
LADDER = {
    "name": "momentum_ladder", "timeframe": "1m", "instruments": ["NSE:RELIANCE", "NSE:HDFCBANK"],
    "params": {"ema_fast": 2, "ema_mid": 3, "ema_slow": 5, "ema_trend": 8, "lookback": 5, "stop_percent": 0.3},
}  # fmt: skip
LATE_SQUARE_OFF = {"auction": {"entries_stop": "15:10", "exit": "15:12"}}
RISK = {"cooldown_seconds": 0, "duplicate_window_seconds": 0, "daily_loss_limit": 0}
BUSY = {
    "trading.json": {"strategies": [CROSSOVER, LADDER]},
    "risk.json": RISK,
    "market.json": {
        "special_days": {DAY.isoformat(): {"name": "short day", "open": "09:15", "close": "10:30"}},
        "square_off": LATE_SQUARE_OFF,
    },
}  # fmt: skip


class Room(ServiceRoom):
    """A service whose journal and heartbeat are watched. ``first``: what waited for the chats before the day."""

    def __init__(self, folder: Path, phone: BotApi, *, speed: float = 0, **options: Any) -> None:
        rehearsed: dict[str, Any] = {"rehearse": START, "speed": speed, "settings": BUSY} if speed else {}
        super().__init__(folder, phone, **(rehearsed | options))
        self.phone, self.day = phone, DAY
        self.first: list[Due] = []
        self.words: list[str] = []  #: states of the poller in the order in which heartbeats showed them
        self._read = 0
        self._lines: list[Line] = []

    def lines(self, kind: str = "") -> list[Line]:
        """The journal so far; of the file only what is new is read."""
        path = self.state / "journal" / f"{self.day.isoformat()}.jsonl"
        if path.exists():
            with path.open("rb") as file:
                file.seek(self._read)
                fresh = file.read()
            whole = fresh[: fresh.rfind(b"\n") + 1]
            self._read += len(whole)
            self._lines += [json.loads(line) for line in whole.splitlines()]
        return [line for line in self._lines if kind in ("", line["kind"])]

    def heart(self) -> Line:
        """The newest heartbeat."""
        try:
            found: Line = json.loads((self.state / "heartbeat.json").read_bytes())
        except FileNotFoundError:
            return {"telegram": {"state": ""}, "outbox": {"waiting": 0}}
        word = found["telegram"]["state"]
        if self.words[-1:] != [word]:
            self.words.append(word)
        return found

    async def market(self, hour: int, minute: int) -> None:
        """Until it is so late in the journal."""
        moment = at_ist(self.day, hour, minute)
        await self.until(lambda: any(line["ns"] >= moment for line in self.lines()[-1:]))

    async def trades_on(self, more: int = 3) -> None:
        """Until so many more entries were sent to the broker."""
        enough = len(self.entries()) + more
        await self.until(lambda: len(self.entries()) >= enough)

    def entries(self) -> list[Line]:
        """Entry orders that the broker has accepted."""
        return [line for line in self.lines("order") if line["leg"] == "entry" and line["status"] == "open"]

    async def shows(self, word: str) -> None:
        """Until the heartbeat has this state of the poller."""
        await self.until(lambda: self.heart()["telegram"]["state"] == word)

    async def answers(self) -> None:
        """Until the owner's /status of now is answered."""
        before = len(self.phone.to(OWNER))
        self.phone.say(OWNER, "/status")
        await self.until(lambda: any("\nStatus " in sent.text for sent in self.phone.to(OWNER)[before:]))

    async def told(self) -> dict[int, Followed]:
        """Until every chat has all that the journal says now; AssertionError for a repeat without a mark."""
        bodies = self.first + due(self.lines())

        def read() -> dict[int, Followed]:
            return {chat: follow(self.phone.to(chat), bodies) for chat in PEOPLE}

        try:
            await self.phone.until(lambda: all(one.reached == len(bodies) for one in read().values()), 120)
        except TimeoutError as error:
            missing = {chat: len(bodies) - one.reached for chat, one in read().items()}
            raise AssertionError(f"so many are not told: {missing}") from error
        return read()

    async def delivered(self) -> dict[int, Followed]:
        """After the end: all that was to be pushed is in every chat, and nothing is left behind."""
        found = await self.told()
        assert not [chat for chat, read in found.items() if read.beyond]
        outbox = Outbox(self.state / "outbox.jsonl")
        assert outbox.waiting == 0
        outbox.close()
        assert self.heart()["loop_lag_ms"]["max"] < LAG
        return found

    def trading(self) -> list[Line]:
        """The journal without what only says who listened, and without its seals."""
        told = (line for line in self.lines() if line["kind"] not in ("command", "run"))
        return [{key: value for key, value in line.items() if key != "chain"} for line in told]


class Stage:
    """Rooms for one scene, and the same day without trouble to compare with."""

    def __init__(self, folder: Path, quiet: list[Line]) -> None:
        self.folder, self.quiet = folder, quiet

    @asynccontextmanager
    async def room(self, *, speed: float = 0, **options: Any) -> AsyncIterator[Room]:
        async with BotApi(PEOPLE) as phone:
            room = Room(self.folder, phone, speed=speed, **options)
            try:
                yield room
            finally:
                if room.process is not None:
                    with suppress(ProcessLookupError):
                        room.process.kill()
                    await room.process.wait()

    async def whole(self, room: Room) -> dict[int, Followed]:
        """To the end of the day, which must be the day without trouble, moment by moment."""
        assert await room.ended() == 0, room.said()
        assert room.trading() == self.quiet
        return await room.delivered()

    async def part(self, room: Room) -> dict[int, Followed]:
        """Stop here: so far it must be the day without trouble."""
        await room.told()
        assert await room.stop() == 0, room.said()
        seen = room.trading()
        assert len(seen) > 20
        assert seen == self.quiet[: len(seen)]
        return await room.delivered()


SCENES: dict[str, Scenario] = {}


def scene(play: Scenario) -> Callable[[dict[str, BaseException | None]], None]:
    """A test whose scene is played beside the others."""
    SCENES[play.__name__] = play

    def test(outcomes: dict[str, BaseException | None]) -> None:
        if (problem := outcomes[play.__name__]) is not None:
            raise problem

    test.__name__, test.__doc__ = play.__name__, play.__doc__
    return test


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, kernel: Kernel
) -> dict[str, BaseException | None]:
    """Every scene that was asked for is played; what it raised. (``kernel``: compiled once, before all of them.)"""
    names = [item.name for item in request.session.items if item.name in SCENES and item.path == request.path]
    return asyncio.run(_play(names, tmp_path_factory.mktemp("outages")))


async def _play(names: list[str], folder: Path) -> dict[str, BaseException | None]:
    quiet = await _quiet_day(folder / "quiet")
    plays = [SCENES[name](Stage(folder / name, quiet)) for name in names]
    ended = await asyncio.gather(*plays, return_exceptions=True)
    return dict(zip(names, ended, strict=True))


async def _quiet_day(folder: Path) -> list[Line]:
    """The day on which nothing goes wrong: told once, without a mark."""
    async with Stage(folder, []).room(speed=3000) as room:
        await room.start()
        assert await room.ended() == 0, room.said()
        found = await room.delivered()
    assert {len(room.lines(kind)) > 20 for kind in ("signal", "fill", "trade", "stop")} == {True}
    assert [(read.marked, read.others) for read in found.values()] == [(0, [])] * len(PEOPLE)
    return room.trading()


# The whole of Telegram, gone or unwilling.


@scene
async def test_down_at_the_start_the_day_begins_without_it_and_is_told_when_it_comes(stage: Stage) -> None:
    async with stage.room(speed=WHOLE) as room:
        room.phone.down()
        await room.start()
        await room.trades_on()
        await room.shows("offline")
        assert room.phone.calls == []
        room.phone.say(OWNER, "/status")
        room.phone.up()
        await room.until(lambda: any("\nStatus " in sent.text for sent in room.phone.to(OWNER)))
        await room.shows("polling")
        found = await stage.whole(room)
        assert [read.marked for read in found.values()] == [0, 0, 0], "what never left is no repeat"


@scene
async def test_down_for_ten_minutes_in_the_middle(stage: Stage) -> None:
    async with stage.room(speed=WHOLE) as room:
        await room.start()
        await room.market(9, 30)
        room.phone.down()
        before = len(room.entries())
        await room.market(9, 40)
        await room.until(lambda: len(room.entries()) > before)
        shown = {chat: len(room.phone.to(chat)) for chat in PEOPLE}
        room.phone.up()
        await room.answers()
        await stage.whole(room)
        for chat, number in shown.items():
            lanes = _waited(room.phone.to(chat)[number:], due(room.lines()))
            assert set(lanes) == {"first", "news"}
            assert lanes == sorted(lanes), "risk, fills and trades before the news of those ten minutes"


def _waited(messages: list[Sent], notices: list[Due]) -> list[str]:
    """The lanes of what happened while Telegram was down, in the order in which it was told. A digest is news."""
    lanes = {one.body[0]: one.lane for one in notices if "09:31:00" <= one.body[0][:8] < "09:39:00"}
    heads = (line.partition(" (×")[0] for message in messages for line in body_of(message.text))
    return [lane for head in heads if (lane := "news" if " messages in one, " in head else lanes.get(head))]


@scene
async def test_a_token_that_is_refused_for_a_while(stage: Stage) -> None:
    async with stage.room(speed=SLOW) as room:
        await room.start()
        await room.answers()
        room.phone.fail("*", Unauthorized(), None)
        room.phone.say(OWNER, "/health")  # ends the poll under way
        await room.shows("refused")
        await room.trades_on()
        room.phone.heal()
        await room.answers()
        await room.shows("polling")
        found = await stage.part(room)
        assert [read.marked for read in found.values()] == [0, 0, 0], "what was refused is no repeat"


@scene
async def test_a_token_that_telegram_does_not_know_at_the_start(stage: Stage) -> None:
    async with stage.room(speed=SLOW) as room:
        room.phone.fail("*", NotFound(), None)
        await room.start()
        await room.shows("refused")
        await room.trades_on()
        assert room.phone.sent == []
        room.phone.heal()
        await room.answers()
        await room.shows("polling")
        found = await stage.part(room)
        assert [read.marked for read in found.values()] == [0, 0, 0], "what was refused is no repeat"


@scene
async def test_another_instance_takes_the_updates_and_only_the_commands_wait(stage: Stage) -> None:
    async with stage.room(speed=SLOW) as room:
        await room.start()
        await room.answers()
        rival = asyncio.create_task(_rival(room.phone))
        await room.shows("conflict")
        before = len(room.phone.sent)
        await room.trades_on()
        await room.until(lambda: len(room.phone.sent) > before + len(PEOPLE))
        rival.cancel()
        await asyncio.gather(rival, return_exceptions=True)
        await room.answers()
        await room.shows("polling")
        found = await stage.part(room)
        assert [read.marked for read in found.values()] == [0, 0, 0]
        warned = [chat for chat, read in found.items() if "Commands may not reach this bot" in read.others]
        assert warned == [OWNER], "the one who can do something about it"


async def _rival(phone: BotApi) -> None:
    """The zombie of a former start: takes the poll, and takes it again."""
    async with telegram.Bot(phone.token, base_url=phone.base_url) as bot:
        while True:
            with suppress(telegram.error.TelegramError):
                await bot.get_updates(timeout=30, read_timeout=30)


# Single requests.


@scene
async def test_bad_gateways_before_and_after_the_message_was_taken(stage: Stage) -> None:
    async with stage.room(speed=SLOW) as room:
        silent = Hang()
        room.phone.fail("getMe", BadGateway(), 2)
        room.phone.fail("getUpdates", BadGateway())
        room.phone.fail("getUpdates", silent)
        for chat in PEOPLE:
            room.phone.fail("sendMessage", BadGateway(), 2, chat_id=chat)
            room.phone.fail("sendMessage", BadGateway(after=True), 2, chat_id=chat)
        await room.start()
        await room.until(lambda: silent.holding > 0)
        await room.trades_on()
        await room.until(lambda: [call.outcome for call in room.phone.calls].count("502 (no JSON)") == 3 + 4 * 3)
        await room.answers()  # the poll that hung was given up
        await room.trades_on()
        found = await stage.part(room)
        assert all(read.marked >= 3 and read.again >= 2 for read in found.values()), found


@scene
async def test_resets_and_hangs_before_and_after_the_message_was_taken(stage: Stage) -> None:
    async with stage.room(speed=SLOW) as room:
        hangs = {OPERATOR: Hang(), VIEWER: Hang(after=True)}
        room.phone.fail("sendMessage", Reset(), 2, chat_id=OWNER)
        room.phone.fail("sendMessage", Reset(after=True), 2, chat_id=OWNER)
        for chat, hang in hangs.items():
            room.phone.fail("sendMessage", hang, chat_id=chat)
        await room.start()
        await room.until(lambda: all(hang.holding for hang in hangs.values()))
        await room.until(lambda: [call.outcome for call in room.phone.calls].count("reset") == 4)
        await room.trades_on()
        await room.answers()  # one person's chat hangs, another one's does not
        await room.until(lambda: not any(hang.holding for hang in hangs.values()))  # given up by the service itself
        assert [call.chat_id for call in room.phone.calls if call.outcome == "gone" and call.chat_id] != []
        await room.trades_on()
        found = await stage.part(room)
        assert all(read.marked for read in found.values()), found
        assert found[OWNER].again >= 2
        assert found[OPERATOR].again == 0, "was never shown, and says that it may have been"
        assert found[VIEWER].again >= 1


@scene
async def test_flood_control_is_obeyed_to_the_second_and_holds_up_no_other_chat(stage: Stage) -> None:
    async with stage.room(speed=WHOLE) as room:
        await room.start()
        await room.market(9, 20)
        room.phone.fail("sendMessage", TooMany(4), chat_id=VIEWER)
        room.phone.fail("sendMessage", TooMany(2), 2, chat_id=OPERATOR)
        room.phone.fail("getUpdates", TooMany(2))
        await room.answers()  # ends the poll under way
        await room.until(lambda: len(_limited(room.phone)) == 3)
        before = len(room.phone.to(OWNER))
        await room.trades_on()
        await room.until(lambda: len(room.phone.to(OWNER)) > before)
        await room.answers()
        found = await stage.whole(room)
        assert [read.marked for read in found.values()] == [0, 0, 0]
        for limited in _limited(room.phone):
            after = [call for call in room.phone.called("sendMessage") if call.chat_id == limited.chat_id]
            following = after[after.index(limited) + 1]
            assert following.at - limited.at >= float(limited.outcome.rpartition(" ")[2])


def _limited(phone: BotApi) -> list[Call]:
    return [call for call in phone.called("sendMessage") if call.outcome.startswith("429")]


# Many messages, and a death.


@scene
async def test_five_hundred_alerts_that_wait_come_first_and_a_busy_day_behind_them(stage: Stage) -> None:
    async with stage.room(speed=WHOLE) as room:
        outbox = Outbox(guest_folder(room.state, "rehearsal") / "outbox.jsonl")
        words = [f"alert {number} of five hundred" for number in range(1, 501)]
        for said in words:
            outbox.put(text(said), PEOPLE)
        outbox.close()
        room.first = [Due("first", (said,)) for said in words]
        room.phone.fail("sendMessage", TooMany(1), 3, chat_id=VIEWER)
        room.phone.fail("sendMessage", BadGateway(after=True), 2, chat_id=OWNER)
        await room.start()
        await room.trades_on()
        await room.answers()
        found = await stage.whole(room)
        assert [read.marked > 0 for read in found.values()] == [True, False, False]
        assert found[OWNER].again >= 1


@scene
async def test_killed_twice_with_a_full_outbox_the_next_start_tells_everything(stage: Stage) -> None:
    async with stage.room(speed=SLOW) as room:
        await room.start()
        await room.answers()
        room.phone.down()
        await room.until(lambda: room.heart()["outbox"]["waiting"] >= 60)
        assert await room.stop(signal.SIGKILL) == -signal.SIGKILL
        kills = [room.lines()[-1]["ns"]]
        _as_if_killed_before_the_last_put(room)
        hang = Hang(after=True)
        room.phone.fail("sendMessage", hang, chat_id=OWNER)
        room.phone.up()
        await room.start()
        await room.until(lambda: hang.holding > 0)
        await room.trades_on()
        assert await room.stop(signal.SIGKILL) == -signal.SIGKILL
        kills.append(room.lines()[-1]["ns"])
        await room.start()
        await room.answers()
        await room.trades_on()
        await room.told()
        assert await room.stop() == 0
        found = await room.delivered()
        assert found[OWNER].again >= 1, "shown before the kill, and again with a mark"
        assert all("PAPER · " in sent.text for sent in room.phone.sent)
        lost = {line["symbol"] for line in _taken(room.lines(), kills)}
        assert len(lost) <= len(kills)
        seen, quiet = (_story(lines, lost) for lines in (room.lines(), stage.quiet))
        assert len(seen) > 20
        assert seen == quiet[: len(seen)]


def _taken(lines: list[Line], kills: list[int]) -> list[Line]:
    """Signals that a kill took between their line and their order; their symbols go another way from there."""
    acted = [line for line in lines if line["kind"] == "refusal" or line.get("leg") == "entry"]
    return [
        line for line in lines
        if line["kind"] == "signal" and any(0 <= kill - line["ns"] < SECOND for kill in kills)
        and not any(0 <= a["ns"] - line["ns"] < SECOND and a.get("symbol") == line["symbol"] for a in acted)
    ]  # fmt: skip


def _story(lines: list[Line], lost: set[str]) -> list[Line]:
    """What was traded in the other symbols; a lost order's number is taken by the next one, so without tags. Nor with
    seals, which hang on every line before."""
    return [
        {key: value for key, value in line.items() if key not in ("tag", "chain")}
        for line in lines
        if line["kind"] in ("signal", "fill", "trade") and line["symbol"] not in lost
    ]


def _as_if_killed_before_the_last_put(room: Room) -> None:
    """A notice is in the journal a moment before it is in the outbox; a kill may fall in between, and may have."""
    path = room.state / "outbox.jsonl"
    kept = [json.loads(line) for line in path.read_bytes().rpartition(b"\n")[0].splitlines()]
    last = max(at for at, line in enumerate(kept) if "add" in line)
    if body_of("".join(words for words, _ in kept[last]["runs"])) == due(room.lines())[-1].body:
        del kept[last]
        path.write_text("".join(json.dumps(line) + "\n" for line in kept))


# The machine's own clock.

STOCKS = "SBIN INFY TCS RELIANCE HDFCBANK ICICIBANK ITC LT AXISBANK KOTAKBANK WIPRO HCLTECH".split()


@scene
async def test_on_the_live_clock_trading_waits_neither_for_telegram_to_come_nor_while_it_hangs(stage: Stage) -> None:
    now = to_ist(time.time_ns())
    opens, closes = now - timedelta(minutes=1), now + timedelta(minutes=12)
    if not opens.date() == now.date() == closes.date():
        pytest.skip("no session of today fits around this moment: it is near midnight in India")
    hours = {"name": "now", "open": f"{opens:%H:%M}", "close": f"{closes:%H:%M}"}
    crossover = {
        "name": "ema_crossover", "instruments": [f"NSE:{name}" for name in STOCKS], "timeframe": "tick",
        "params": {"fast": 2, "slow": 3, "stop_percent": 0.1, "target_percent": 0.1},
    }  # fmt: skip
    settings = {
        "trading.json": {"capital_per_position": 20_000, "strategies": [crossover]}, "risk.json": RISK,
        "market.json": {"special_days": {now.date().isoformat(): hours}, "square_off": LATE_SQUARE_OFF},
    }  # fmt: skip
    async with stage.room(settings=settings) as room:
        room.day = now.date()
        room.phone.down()
        await room.start()
        await room.trades_on()
        await room.shows("offline")
        assert room.phone.calls == []

        hang = Hang()
        room.phone.fail("sendMessage", hang, None)
        room.phone.up()
        await room.shows("polling")
        await room.until(lambda: hang.holding == len(PEOPLE))
        held = room.phone.called("sendMessage")[0]
        await room.trades_on(2)
        await room.until(lambda: held.outcome == "gone")  # after the patience of a request, 15 s
        await room.trades_on(1)
        assert room.phone.sent == []
        hung_until = time.time_ns()

        room.phone.heal()
        hang.release()
        await room.answers()
        await room.told()
        assert await room.stop() == 0, room.said()
        await room.delivered()
        assert [word for word in room.words if word != "starting"][:2] == ["offline", "polling"]

        during = [s for s in room.lines("signal") if held.at * SECOND < s["ns"] < hung_until]
        assert len(during) >= 2
        # A signal has the time of its price; one from before the start was caught up after it.
        signals = [signal for signal in room.lines("signal") if signal["ns"] > room.lines("run")[0]["ns"]]
        assert [(s, gap) for s in signals if not 0 <= (gap := _gap(s, room.lines())) < 2] == []


def _gap(signal: Line, lines: list[Line]) -> float:
    """Seconds until its order was registered, or the gate said no."""
    behind = lines[lines.index(signal) + 1 :]
    what = next(
        line for line in behind
        if line.get("symbol") == signal["symbol"] and (line["kind"] == "refusal" or line.get("leg") == "entry")
    )  # fmt: skip
    return float(what["ns"] - signal["ns"]) / SECOND
