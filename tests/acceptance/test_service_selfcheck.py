"""The real service records its day, is killed in the middle of it, and after the close replays both halves."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from datetime import date
from pathlib import Path
from typing import Any

from otrade_bot.core.clock import at_ist
from otrade_bot.research.tape import read_segment, ticks_of
from otrade_bot.research.tape_blocks import Inputs
from tests.acceptance.service_room import ServiceRoom
from tests.acceptance.test_service_kills import SETTINGS
from tests.unit.tape_room import with_price, written_again

DAY = date(2026, 9, 16)


async def selfcheck(room: ServiceRoom, *more: str) -> tuple[int, str]:
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "otrade_bot", "report", "--tape", *more, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT, cwd=room.folder, env=room.environment(),
    )  # fmt: skip
    text, _ = await done.communicate()
    assert done.returncode is not None
    return done.returncode, text.decode()


async def test_both_halves_of_a_day_that_was_killed_come_out_the_same_and_one_paisa_does_not(tmp_path: Path) -> None:
    room = ServiceRoom(tmp_path, None, rehearse="2026-09-16T12:50:00", speed=3000, settings=SETTINGS)
    await room.start()
    await room.until(lambda: any(line["ns"] > at_ist(DAY, 13, 30) for line in room.journal(DAY, "trade")))
    await room.stop(signal.SIGKILL)
    await room.start()
    assert await room.ended() == 0, room.said()

    (said,) = [line for line in room.journal(DAY, "session") if line["boundary"] == "self_check"]
    assert said["well"], said["text"]
    assert said["segments"] == 2
    assert said["text"] == (await room.report(DAY))["self_check"]
    assert not [line for line in room.journal(DAY, "alert") if "tape" in line["text"] or "self-check" in line["text"]]

    code, text = await selfcheck(room, "--json")
    found: dict[str, Any] = json.loads(text)
    assert (code, found["well"], found["compared"]) == (0, True, 2)
    assert found["inputs"] >= said["inputs"]

    second = room.state / "tape" / "2026-09-16.002.tape"
    assert {file.symbol for file in ticks_of(second)} == {"NSE:DEMOCHARLIE", "NSE:DEMOALPHA"}
    written_again(second, with_price(_first_that_decides(second), 1), honest=True)
    code, text = await selfcheck(room)
    assert code == 1
    assert "self-check: DIFFERENT at " in text
    assert "recorded look NSE:DEMOCHARLIE at ₹" in text


def _first_that_decides(path: Path) -> int:
    """Number of the first price of the strategy that looks at each of them, behind which a look is recorded."""
    before = 0
    for part in read_segment(path).parts():
        if isinstance(part, Inputs):
            for intent, of in zip(part.intents, part.of, strict=True):
                if intent["kind"] == 4 and int(of) not in part.at:
                    number = int(of) - int((part.at < of).sum())
                    if read_segment(path).header.symbols[int(part.ticks["row"][number])] == "NSE:DEMOCHARLIE":
                        return before + number
            before += len(part.ticks)
    raise AssertionError("nothing was looked at")
