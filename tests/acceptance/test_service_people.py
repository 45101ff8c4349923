"""Who may say what to the real service: every command by every role and by strangers, and every kind of press."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from otrade_bot.brokers.paper.book import Book
from otrade_bot.control.auth import Role
from otrade_bot.control.handlers import COMMANDS
from otrade_bot.core.model import OrderType
from otrade_bot.core.money import rupees_text
from tests.acceptance.phone import Hand, buttons, lane_of, pushes
from tests.acceptance.service_room import OPERATOR, OWNER, STRANGER, USERS, VIEWER, ServiceRoom
from tests.venues.telegram import BotApi, Sent

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY = date(2026, 9, 16)
LABEL = "PAPER · simulated prices · rehearsal of 16 Sep 2026"
GROUP, FORUM, ELSEWHERE, INTRUDER, FORMER = -100500, -100600, -100777, 667, 668
TOPIC = 5  #: of the forum, the only one in which anybody is heard
MEMBERS = [
    {"user_id": OWNER, "chat_id": GROUP, "role": "admin", "name": "owner"},
    {"user_id": OPERATOR, "chat_id": GROUP, "role": "operator", "name": "partner"},
    {"user_id": VIEWER, "chat_id": GROUP, "role": "viewer", "name": "friend"},
    {"user_id": OPERATOR, "chat_id": FORUM, "role": "operator", "name": "partner", "topic": TOPIC},
    {"user_id": VIEWER, "chat_id": FORUM, "role": "viewer", "name": "friend", "topic": TOPIC},
    *({"user_id": FORMER, "chat_id": chat, "role": "admin", "name": "former", "blocked": True}
      for chat in (FORMER, GROUP)),
]  # fmt: skip
NAMES = {Role.ADMIN: "owner", Role.OPERATOR: "partner", Role.VIEWER: "friend"}
ARGUMENTS = dict.fromkeys(("why", "chart", "close", "sl", "target", "force", "claim"), " SBIN")
#: Said beside an answer, before or after it.
DELETE = "Delete your message yourself"
LINES = {command.name: f"/{command.name}{ARGUMENTS.get(command.name, '')}" for command in COMMANDS}


def eager(stop: float, target: float) -> dict[str, Any]:
    """Enters within seconds of the open; how soon it leaves is left to ``stop`` and ``target``, percent."""
    return {
        "strategies": [
            {
                "name": "ema_crossover", "instruments": ["NSE:SBIN", "NSE:RELIANCE", "NSE:INFY"], "timeframe": "tick",
                "params": {"fast": 2, "slow": 3, "stop_percent": stop, "target_percent": target},
            }
        ]
    }  # fmt: skip


class Scene(NamedTuple):
    """A service that holds three positions, and a question of the partner's that has been open since ``asked``."""

    api: BotApi
    room: ServiceRoom
    question: Sent
    asked: float


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with BotApi((OWNER, OPERATOR, VIEWER, GROUP, FORUM, FORMER)) as api:
        people = {"users": USERS + MEMBERS, "commands_per_minute": 1000}
        room = ServiceRoom(
            tmp_path_factory.mktemp("people"), api, rehearse="2026-09-16T09:14:50", speed=20,
            settings={"trading.json": eager(5, 20), "telegram.json": people},
        )  # fmt: skip
        await room.start()
        await api.until(lambda: sum(sent.text.count("Stop level set") for sent in api.to(OWNER)) == 3, 60)
        question = await Hand(api, OPERATOR, GROUP).ask("/flatten", "Close 3 positions?")
        yield Scene(api, room, question, time.monotonic())
        assert await room.stop() == 0


async def test_every_command_by_every_role_and_place_is_what_the_table_says(scene: Scene) -> None:
    api = scene.api
    private = {role: (role, Hand(api, user)) for role, user in zip(Role, (VIEWER, OPERATOR, OWNER), strict=True)}
    group = {role: (role, Hand(api, user, GROUP)) for role, user in zip(Role, (VIEWER, OPERATOR, OWNER), strict=True)}
    columns = {
        **{role.word: private[role] for role in Role},
        **{f"{role.word}, group": group[role] for role in Role},
        "viewer, topic": (Role.VIEWER, Hand(api, VIEWER, FORUM, TOPIC)),
        "operator, topic": (Role.OPERATOR, Hand(api, OPERATOR, FORUM, TOPIC)),
    }
    expected = {
        (name, column): "answered" if COMMANDS.get(name).role <= role else f"needs {COMMANDS.get(name).role.word}"  # type: ignore[union-attr]
        for name in LINES for column, (role, _) in columns.items()
    }  # fmt: skip
    observed = {}

    async def says_all(column: str) -> None:
        role, hand = columns[column]
        for name, line in LINES.items():
            before = hand.newest
            said = await hand.ask(line, _is_answer)
            observed[name, column] = _cell(said.text, role)
            if name == "help":
                assert [row.split()[0][1:] for row in said.text.splitlines() if row.startswith("/")] == [
                    command.name for command in COMMANDS if command.role <= role
                ]
            if name == "code" and hand.chat_id < 0:  # no admin of that group: it cannot remove what may be a code
                await hand.hears(DELETE, before)

    # One person in each chat at a time, so that an answer is to what was asked last there.
    for together in (
        ("viewer", "operator, topic", "admin, group"), ("viewer, topic", "operator, group", "admin"),
        ("viewer, group", "operator"),
    ):  # fmt: skip
        await asyncio.gather(*map(says_all, together))
    _print(observed, list(columns))
    assert observed == expected
    assert not [sent.text for sent in api.sent if LABEL not in sent.text], "also each part of a long answer says it"
    heard = [(one["user"], one["line"], one["outcome"]) for one in scene.room.journal(DAY, "command")]
    for (name, column), cell in expected.items():
        role = columns[column][0]
        assert (NAMES[role], LINES[name], "allowed" if cell == "answered" else "denied") in heard
    calls = [call for call in api.calls if call.method.startswith("send") and call.chat_id == FORUM]
    assert {call.params.get("message_thread_id") for call in calls} == {str(TOPIC)}, "also what is told unasked"


async def test_strangers_hear_nothing_whatever_they_say_and_the_owner_hears_of_each_once(scene: Scene) -> None:
    api = scene.api
    before, owner = Hand(api, OWNER).newest, Hand(api, OWNER)
    channel = {"sender_chat": {"id": GROUP, "type": "supergroup", "title": "Desk"}}
    doors: dict[str, dict[str, Any]] = {
        "unknown person": {"user_id": STRANGER},
        "known, unknown chat": {"user_id": OPERATOR, "chat_id": ELSEWHERE},
        "unknown, known group": {"user_id": INTRUDER, "chat_id": GROUP},
        "as the group itself": {"user_id": OWNER, "chat_id": GROUP, "extra": channel},
        "wrong topic": {
            "user_id": OPERATOR, "chat_id": FORUM, "extra": {"message_thread_id": 6, "is_topic_message": True},
        },
        "no topic": {"user_id": OPERATOR, "chat_id": FORUM},
        "blocked": {"user_id": FORMER},
        "blocked, group": {"user_id": FORMER, "chat_id": GROUP},
        "owner, edited": {"user_id": OWNER, "kind": "edited_message"},
        "channel post": {"user_id": OWNER, "chat_id": ELSEWHERE, "kind": "channel_post"},
    }
    updates = {door: [api.say(text=line, **how) for line in LINES.values()] for door, how in doors.items()}
    await owner.ask("/version", "OTrade Bot 0")  # behind all of them
    alerts: list[str] = await api.until(lambda: _alerts(api, before, 4), 30)
    assert "entries allowed" in (await owner.ask("/status", "Status")).text
    observed = {
        (name, door): "silence" if any(ids) else "never sent" for door, ids in updates.items() for name in LINES
    }  # fmt: skip
    _print(observed, list(doors))
    answers = [
        sent for chat in (GROUP, FORUM) for sent in Hand(api, chat).after(before) if sent.text.startswith(LABEL)
    ]  # fmt: skip
    assert not answers, "somebody was answered"
    assert not [chat for chat in (STRANGER, ELSEWHERE, FORMER) if api.to(chat)]
    assert sorted(alerts) == [
        f"Asha · user {STRANGER} · chat {STRANGER}", f"Asha · user {INTRUDER} · chat {GROUP}",
        f"Asha · user {OPERATOR} · chat {ELSEWHERE}", f"Desk · user unknown · chat {GROUP}",
    ]  # fmt: skip
    assert not {door for door, ids in updates.items() if any(ids)} & {"owner, edited", "channel post"}
    outcomes = {one["user"]: one["outcome"] for one in scene.room.journal(DAY, "command")}
    assert {user for user, outcome in outcomes.items() if outcome == "stranger"} == {
        f"stranger {STRANGER}", f"stranger {OPERATOR}", f"stranger {INTRUDER}", "stranger without an id",
    }  # fmt: skip


class Row(NamedTuple):
    """A kind of button: what its owner asks for, the button, and what becomes of his press."""

    line: str
    label: str
    becomes: str
    lasting: bool = False


#: Every kind: a question's, its no; a page, a symbol, an older look, candles, a person's wish (all edit the message); a
#: symbol that is acted on; a strategy's; those of the card, which last.
BUTTONS = {
    "answer to a question": Row("/flatten", "Leave it", "Nothing was closed."),
    "page": Row("/config", "Page 2 ›", "Page 2 of "),
    "symbol, to read": Row("/why", "SBIN", "Why SBIN"),
    "symbol, to act": Row("/close", "SBIN", "Close SBIN?"),
    "candles": Row("/chart SBIN", "1m", "1 min candles"),
    "a wish": Row("/mute", "Snooze 30 min", "End the snooze"),
    "a strategy": Row("/strategies", "Stop ema_crossover", "Stop ema_crossover?"),
    "card, to read": Row("/card", "Refresh", "Held: ", lasting=True),
    "card, to act": Row("/card", "Pause", "Entries are paused.", lasting=True),
}


async def test_every_kind_of_button_by_everybody_is_what_it_may_be(scene: Scene) -> None:
    """All of them in the group, asked for by the owner."""
    api, room = scene.api, scene.room
    owner, partner, friend, intruder, former = (
        Hand(api, user, GROUP) for user in (OWNER, OPERATOR, VIEWER, INTRUDER, FORMER)
    )
    at_home = await Hand(api, OWNER).ask("/card", "Held: ")

    async def verdict(hand: Hand, sent: Sent, what: str, name: str) -> str:
        """What the toast says; without one whether it was done."""
        before = _allowed(room, name)
        said = _verdict(await hand.press(sent, what, forged=what not in {b.label for b in buttons(sent)}))
        return "done" if said == "silence" and _allowed(room, name) > before else said

    observed: dict[tuple[str, str], str] = {}
    for kind, row in BUTTONS.items():
        await owner.ask("/resume", _is_answer)
        sent = await owner.ask(row.line, lambda said, label=row.label: said.button(label))
        before, word = len(sent.versions), _word(sent, row.label)
        for who, hand, at, what, name in (
            ("somebody else", intruder, sent, row.label, ""), ("blocked", former, sent, row.label, "former"),
            ("viewer", friend, sent, row.label, "friend"), ("another chat", Hand(api, OWNER), at_home, word, "owner"),
            ("made up", owner, sent, "a" * 21, "owner"), ("operator", partner, sent, row.label, "partner"),
        ):  # fmt: skip
            observed[kind, who] = await verdict(hand, at, what, name)
        assert row.lasting or len(sent.versions) == before, "who may not press takes nothing from the owner"
        told = await owner.press(sent, row.label)
        await api.until(lambda: row.becomes in told or _shown(api, sent, row.becomes))  # noqa: B023
        observed[kind, "owner"] = "done"
        observed[kind, "once more"] = await verdict(owner, sent, word, "owner")
    columns = ["somebody else", "blocked", "viewer", "another chat", "made up", "operator", "owner", "once more"]
    _show([("", *columns), *((kind, *(observed[kind, one] for one in columns)) for kind in BUTTONS)])
    for kind, row in BUTTONS.items():
        foreign = "done" if row.lasting else "another person's"
        viewer = "needs operator" if row.label == "Pause" else foreign
        again = "done" if row.lasting else "answered already"
        assert [observed[kind, one] for one in columns] == [
            "silence", "silence", viewer, "too old", "too old", foreign, "done", again,
        ], kind  # fmt: skip
    assert not [sent for chat in (INTRUDER, FORMER) for sent in api.to(chat)]
    assert _held(room) == 3
    assert not room.journal(DAY, "flatten")
    await owner.ask("/mute snooze off", _is_answer)
    await owner.ask("/resume", _is_answer)


def _word(sent: Sent, label: str) -> str:
    button = sent.button(label)
    assert button is not None
    assert button.data is not None
    return button.data


def _shown(api: BotApi, since: Sent, words: str) -> bool:
    """In the group, in a message or on its buttons, from this one on."""
    said = [one for one in api.to(GROUP) if one.message_id >= since.message_id]
    return any(words in one.text or any(words in button.label for button in one.buttons) for one in said)


def _allowed(room: ServiceRoom, name: str) -> int:
    """How many lines of this person's were done."""
    return sum(one["user"] == name and one["outcome"] == "allowed" for one in room.journal(DAY, "command"))


def _verdict(toast: str) -> str:
    known = {
        "another person's": "another person's", "too old": "too old", "Answered already": "answered already",
        "needs the role operator": "needs operator", "needs the role admin": "needs admin",
    }  # fmt: skip
    said = next((verdict for words, verdict in known.items() if words in toast), "")
    return said or ("done" if toast.startswith(LABEL) else toast or "silence")


async def test_a_second_instance_on_the_same_folder_is_refused_in_one_line(scene: Scene) -> None:
    room = scene.room
    second = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "otrade_bot", "run", *room.arguments, stdin=asyncio.subprocess.DEVNULL, cwd=room.folder,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=room.environment(),
    )  # fmt: skip
    out, error = (text.decode() for text in await second.communicate())
    assert second.returncode == 2
    assert out == ""
    assert len(error.splitlines()) == 1, error
    assert "another otrade-bot is using this folder" in error
    assert str(room.state) in error
    assert "entries" in (await Hand(scene.api, OWNER).ask("/status", "Status")).text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
async def test_a_pause_outlives_the_process_and_is_said_until_resume(number: signal.Signals, tmp_path: Path) -> None:
    settings = {"trading.json": eager(0.1, 0.1), "risk.json": {"cooldown_seconds": 0}}
    async with BotApi((OWNER, OPERATOR, VIEWER)) as api:
        room = ServiceRoom(tmp_path, api, rehearse="2026-09-16T09:14:50", speed=30, settings=settings)
        owner = Hand(api, OWNER)
        await room.start()
        await owner.hears("Signal")
        await owner.ask("/pause", "Entries are paused.")
        paused_at = len(room.journal(DAY))
        assert await room.stop(number) == (0 if number is signal.SIGTERM else -number)
        if number is signal.SIGTERM:
            _says_where_stops_rest(await owner.hears("Stopped"), room)
        stopped = owner.newest

        await room.start()
        started = await owner.hears("Started", stopped)
        assert "entries stay paused by owner" in started.text
        assert "entries PAUSED" in (await owner.ask("/status", "Status")).text
        reached = len(room.journal(DAY))
        await room.until(lambda: sum(line["kind"] == "evaluation" for line in room.journal(DAY)[reached:]) > 100)
        quiet = room.journal(DAY)[paused_at:]
        assert not [line for line in quiet if line["kind"] == "fill" and line["leg"] == "entry"]
        assert [line for line in quiet if line["kind"] == "evaluation"]

        said = await owner.ask("/resume", "The pause is over.")
        assert "Entries are allowed." in said.text
        resumed_at = len(room.journal(DAY))
        await owner.hears("Signal", said.message_id)
        await room.until(lambda: any(
            line["kind"] == "fill" and line["leg"] == "entry" for line in room.journal(DAY)[resumed_at:]
        ))  # fmt: skip
        assert await room.stop() == 0
        _says_where_stops_rest(await owner.hears("Stopped", said.message_id), room)
        told = [push.head for push in pushes(api.to(OWNER), LABEL) if lane_of(push.head) == "first"]
        assert told[-1] == "Stopped", "the last word of its lane"


async def test_only_the_right_press_closes_anything_and_only_once(scene: Scene) -> None:
    api, room = scene.api, scene.room
    owner, partner, intruder = (Hand(api, user, GROUP) for user in (OWNER, OPERATOR, INTRUDER))
    seen: list[tuple[str, str]] = []

    async def press(who: str, hand: Hand, sent: Sent, what: str, *, forged: bool = False) -> str:
        told = await hand.press(sent, what, forged=forged)
        seen.append((who, told.removeprefix(LABEL).strip() or "silence"))
        return told

    assert [button.label for button in buttons(scene.question)] == ["Close everything", "Leave it"]
    first = await owner.ask("/flatten", "Close 3 positions?")
    assert await press("a stranger", intruder, first, "Close everything") == ""
    assert "another person's" in await press("another operator", partner, first, "Close everything")
    assert "too old" in await press("forged nonce", owner, first, "/flatten yes 00000000", forged=True)
    second = await owner.ask("/flatten", "Close 3 positions?")
    assert "no question of yours" in await press("replaced question", owner, first, "Close everything")
    assert "Nothing was closed" in await press("leave it", owner, second, "Leave it")
    await api.until(lambda: time.monotonic() - scene.asked > 30.5, 40)
    assert "Too late" in await press("after 30 s", partner, scene.question, "Close everything")
    assert not room.journal(DAY, "flatten")
    assert _held(room) == 3

    third = await owner.ask("/flatten", "Close 3 positions?")
    toast = await press("the owner in time", owner, third, "Close everything")
    assert "Flat: the broker's book shows no position of ours." in toast or "Working on it" in toast
    assert "Answered already" in await press("a second press", owner, third, "Close everything")
    await owner.hears("Flat: the broker's book shows no position of ours.", third.message_id)
    await api.until(lambda: not third.buttons)
    _show([(who, said[:90]) for who, said in seen])
    assert [one["state"] for one in room.journal(DAY, "flatten")] == ["started", "flat"]
    assert _held(room) == 0


def _alerts(api: BotApi, after: int, wanted: int) -> list[str]:
    """Of whom the owner was told; empty until there are as many as wanted, or more."""
    found = [sent for sent in Hand(api, OWNER).after(after) if "A stranger" in sent.text]
    who = [row for sent in found for row in sent.text.splitlines() if " · user " in row]
    return who if len(who) >= wanted else []


def _is_answer(sent: Sent) -> bool:
    """An answer's beginning: a further part of the answer before goes on with its table."""
    said = [one["type"] for one in sent.entities if one["offset"] == len(LABEL) + 1]
    return sent.text.startswith(LABEL) and "pre" not in said and DELETE not in sent.text


def _cell(said: str, role: Role) -> str:
    assert "Sorry" not in said, said
    assert "not available" not in said, said
    for needed in Role:
        if said.endswith(f"needs the role {needed.word}; you are {role.word}."):
            return f"needs {needed.word}"
    return "answered"


def _print(observed: dict[tuple[str, str], str], columns: list[str]) -> None:
    _show([("", *columns), *((f"/{name}", *(observed[name, one] for one in columns)) for name in LINES)])


def _show(table: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) + 2 for column in zip(*table, strict=True)]
    print()
    for row in table:
        print("".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _held(room: ServiceRoom) -> int:
    """Positions in the exchange's own book."""
    return sum(lot.quantity != 0 for lot in Book.read(room.state / "paper.jsonl").positions.values())


def _says_where_stops_rest(stopped: Sent, room: ServiceRoom) -> None:
    """The last words list what the book holds, each with the stop that rests there."""
    book = Book.read(room.state / "paper.jsonl")
    said = stopped.text[stopped.text.index("Stopped") :].splitlines()
    held = {symbol: lot.quantity for (symbol, _), lot in book.positions.items() if lot.quantity}
    rows = [row for row in said if "stop rests at" in row]
    resting = {order.symbol: order for order in book.working.values()}
    assert set(resting) == set(held)
    assert len(rows) == len(held)
    assert (f"{len(held)} position{'s' if len(held) > 1 else ''} open" if held else "Nothing is open") in said
    for symbol, quantity in held.items():
        [row] = [row for row in rows if row.startswith(symbol.removeprefix("NSE:") + " ")]
        assert resting[symbol].order_type in (OrderType.SL, OrderType.SL_M)
        assert resting[symbol].left == abs(quantity)
        assert f"{'BUY' if quantity > 0 else 'SELL'} {abs(quantity)}" in row
        assert row.endswith(f"stop rests at {rupees_text(resting[symbol].trigger)}")
