"""Every command on the phone with 90 open positions and symbols full of markup: taken by Telegram, and readable."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from control_fakes import HOSTILE, NOON, FakeEngine
from phone_desk import OWNER, TOP, Desk, desk
from test_control_signals import ASKED

from otrade_bot.control.handlers import COMMANDS
from otrade_bot.control.reply import LIMIT
from tests.venues.messages import LONGEST_CAPTION, units
from tests.venues.telegram import Sent

#: Characters of a fixed-width line that a phone shows without a break.
WIDTH = 40
NASTY = "NSE:A*_[B](c)"
ARGUMENTS = dict.fromkeys(("why", "chart", "close", "sl", "target", "force", "claim"), f" {NASTY}") | {
    "orders": " 500", "trades": " 500", "signals": " 500", "logs": " 500",
}  # fmt: skip
#: As written by programs, in lines of any width.
RAW = {"config", "logs"}


def crowded() -> FakeEngine:
    engine = FakeEngine(90)
    engine.asked = [
        replace(ASKED, ref="", symbol=one.symbol, state="rejected", reason="margin <short> & *more_ [x](y)")
        for at, one in enumerate(engine.followed)
    ]
    engine.refused = [(NOON - at, "capital: <none> & *left_ [here]") for at in range(50)]
    engine.state = replace(engine.state, blocks=("prices <are> stale & *old_", "a critical error"))
    engine.doubts = {NASTY: 5}
    return engine


async def said_to(at: Desk, line: str) -> list[Sent]:
    """All messages of the answer."""
    before = len(at.api.to(OWNER))
    at.api.say(OWNER, line)
    await at.api.until(lambda: len(at.api.to(OWNER)) > before and not at.phone._tasks)
    return at.api.to(OWNER)[before:]


def readable(sent: Sent, name: str) -> None:
    assert sent.text.startswith(TOP), "each message says what it is about"
    assert units(sent.text) <= (LONGEST_CAPTION if sent.photo else LIMIT)
    bare = sent.text
    for name in HOSTILE:
        bare = bare.replace(name.partition(":")[2], "")
    assert not re.search(r"&(lt|gt|amp);|</?(b|i|code|pre)>", bare), "markup that shows"
    assert "Sorry" not in sent.text
    if name in RAW:
        return
    said = sent.text.encode("utf-16-le")
    for one in sent.entities:
        if one["type"] == "pre":
            table = said[2 * one["offset"] : 2 * (one["offset"] + one["length"])].decode("utf-16-le")
            assert max(map(len, table.split("\n"))) <= WIDTH, table


async def test_every_command_is_taken_and_readable_with_ninety_positions(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        for name in (command.name for command in COMMANDS):
            at.engine = crowded()
            shown = await said_to(at, f"/{name}{ARGUMENTS.get(name, '')}")
            assert len(shown) <= 3, f"{name}: longer ones come a page at a time"
            for sent in shown:
                readable(sent, name)
        assert at.errors == []
        assert not [call.outcome for call in at.api.called("sendMessage") if call.outcome != "ok"]


async def test_all_names_stand_as_they_are_on_some_page(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.engine = crowded()
        words = ""
        for page in range(1, 9):
            words += "".join(sent.text for sent in await said_to(at, f"/positions page {page}"))
            if f"Page {page} of {page}" in words:
                break
        for name in HOSTILE:
            bare = name.removeprefix("NSE:") if name.startswith("NSE:") else name
            assert bare[:20] in words, name
        assert len(re.findall(r"^P[123] ", words, re.MULTILINE)) == 90
