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
from tests.acceptance.phone import Hand, buttons, pushes
from tests.acceptance.service_room import OPERATOR, OWNER, STRANGER, USERS, VIEWER, ServiceRoom
from tests.venues.telegram import BotApi, Sent

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY = date(2026, 9, 16)
LABEL = "PAPER · simulated prices · rehearsal of 16 Sep 2026"
GROUP, ELSEWHERE, INTRUDER = -100500, -100777, 667
MEMBERS = [
    {"user_id": OWNER, "chat_id": GROUP, "role": "admin", "name": "owner"},
    {"user_id": OPERATOR, "chat_id": GROUP, "role": "operator", "name": "partner"},
]
NAMES = {Role.ADMIN: "owner", Role.OPERATOR: "partner", Role.VIEWER: "friend"}
ARGUMENTS = {"why": " SBIN", "force": " SBIN", "claim": " SBIN"}
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
    async with BotApi((OWNER, OPERATOR, VIEWER, GROUP)) as api:
        room = ServiceRoom(
            tmp_path_factory.mktemp("people"), api, rehearse="2026-09-16T09:14:50", speed=20,
            settings={"trading.json": eager(5, 20), "telegram.json": {"users": USERS + MEMBERS}},
        )  # fmt: skip
        await room.start()
        await api.until(lambda: sum(sent.text.count("Stop level set") for sent in api.to(OWNER)) == 3, 60)
        question = await Hand(api, OPERATOR, GROUP).ask("/flatten", "Close 3 positions?")
        yield Scene(api, room, question, time.monotonic())
        assert await room.stop() == 0


async def test_every_command_by_every_role_is_what_the_table_says(scene: Scene) -> None:
    api = scene.api
    hands = {
        Role.VIEWER: Hand(api, VIEWER), Role.OPERATOR: Hand(api, OPERATOR), Role.ADMIN: Hand(api, OWNER),
    }  # fmt: skip
    expected = {
        (name, role.word): "answered" if COMMANDS.get(name).role <= role else f"needs {COMMANDS.get(name).role.word}"  # type: ignore[union-attr]
        for name in LINES for role in Role
    }  # fmt: skip
    observed = {}
    for role, hand in hands.items():
        for name, line in LINES.items():
            said = await hand.ask(line, _is_answer)
            observed[name, role.word] = _cell(said.text, role)
            if name == "help":
                assert [row.split()[0][1:] for row in said.text.splitlines() if row.startswith("/")] == [
                    command.name for command in COMMANDS if command.role <= role
                ]
    _print(observed, [role.word for role in Role])
    assert observed == expected
    assert not [sent.text for sent in api.sent if LABEL not in sent.text], "also each part of a long answer says it"
    heard = [(one["user"], one["line"], one["outcome"]) for one in scene.room.journal(DAY, "command")]
    for (name, word), cell in expected.items():
        role = Role.of(word)
        assert (NAMES[role], LINES[name], "allowed" if cell == "answered" else "denied") in heard


async def test_strangers_hear_nothing_whatever_they_say_and_the_owner_hears_of_each_once(scene: Scene) -> None:
    api = scene.api
    before, owner = Hand(api, OWNER).newest, Hand(api, OWNER)
    channel = {"sender_chat": {"id": GROUP, "type": "supergroup", "title": "Desk"}}
    doors: dict[str, dict[str, Any]] = {
        "unknown person": {"user_id": STRANGER},
        "known, unknown chat": {"user_id": OPERATOR, "chat_id": ELSEWHERE},
        "unknown, known group": {"user_id": INTRUDER, "chat_id": GROUP},
        "as the group itself": {"user_id": OWNER, "chat_id": GROUP, "extra": channel},
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
    answers = [sent for sent in Hand(api, GROUP).after(before) if sent.text.startswith(LABEL)]
    assert not answers, "somebody was answered"
    assert not api.to(STRANGER)
    assert not api.to(ELSEWHERE)
    assert sorted(alerts) == [
        f"Asha · user {STRANGER} · chat {STRANGER}", f"Asha · user {INTRUDER} · chat {GROUP}",
        f"Asha · user {OPERATOR} · chat {ELSEWHERE}", f"Desk · user unknown · chat {GROUP}",
    ]  # fmt: skip
    assert not {door for door, ids in updates.items() if any(ids)} & {"owner, edited", "channel post"}
    outcomes = {one["user"]: one["outcome"] for one in scene.room.journal(DAY, "command")}
    assert {user for user, outcome in outcomes.items() if outcome == "stranger"} == {
        f"stranger {STRANGER}", f"stranger {OPERATOR}", f"stranger {INTRUDER}", "stranger without an id",
    }  # fmt: skip


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
        assert pushes(api.to(OWNER), LABEL)[-1].head == "Stopped"


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
    return sent.text.startswith(LABEL) and "pre" not in said


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
