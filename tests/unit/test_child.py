"""Children of the service: no secret reaches them, they end in time, one at a time, and their failure is words."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from drawn import chart

from otrade_bot.control.reply import Picture
from otrade_bot.core.errors import CommandException
from otrade_bot.service.child import Children, environment
from otrade_bot.service.pictures import Pictures

ROOT = Path(__file__).parents[2]


def children(program: str, noted: list[str] | None = None, **options: float) -> Children:
    """Whatever module is asked, this program answers."""
    notes = [] if noted is None else noted
    return Children(program=(sys.executable, "-c", program), note=notes.append, **options)  # type: ignore[arg-type]


async def test_a_real_child_draws_a_picture(tmp_path: Path) -> None:
    drawn = await Pictures(tmp_path).draw(chart(75, name="M&M"), "M-M.png")
    assert isinstance(drawn, Picture), drawn
    assert drawn.name == "M-M.png"
    assert drawn.png.startswith(b"\x89PNG\r\n\x1a\n")


async def test_no_secret_reaches_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTRADE_TELEGRAM_TOKEN", "OTRADE_SECRET_KEY", "OTRADE_KITE_API_SECRET", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "a-secret-that-nobody-may-see")
    said = await children("import json, os; print(json.dumps(dict(os.environ)))").ask("any", b"")
    known = json.loads(said)
    assert "a-secret" not in said.decode()
    assert set(environment()) <= set(known)
    assert not [name for name in known if name.startswith("OTRADE") or "KEY" in name or "TOKEN" in name]


class Births:
    """Every child that is started from now on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.children: list[asyncio.subprocess.Process] = []
        self.born = asyncio.Event()
        start = asyncio.create_subprocess_exec

        async def noted(*given: Any, **named: Any) -> asyncio.subprocess.Process:
            child = await start(*given, **named)
            self.children.append(child)
            self.born.set()
            return child

        monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)


SLEEPS = "import time; time.sleep(60)"


async def test_a_late_child_is_killed_and_its_caller_told(monkeypatch: pytest.MonkeyPatch) -> None:
    births, noted = Births(monkeypatch), list[str]()
    with pytest.raises(CommandException, match=r"longer than 0\.2 s"):
        await children(SLEEPS, noted, life=0.2).ask("some.module", b"")
    assert [child.returncode for child in births.children] == [-9]
    assert noted == ["some.module was killed after 0.2 s"]


async def test_a_child_that_nobody_waits_for_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    births = Births(monkeypatch)
    asked = asyncio.create_task(children(SLEEPS).ask("any", b""))
    await asyncio.wait_for(births.born.wait(), 20)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert [child.returncode for child in births.children] == [-9]


async def test_there_is_one_at_a_time_and_who_waits_too_long_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, births = tmp_path / "gate", Births(monkeypatch)
    held = children(f"import os\nwhile not os.path.exists({str(gate)!r}): pass\nprint(1)", patience=0.2)
    first = asyncio.create_task(held.ask("any", b""))
    await asyncio.wait_for(births.born.wait(), 20)
    with pytest.raises(CommandException, match="others are being drawn"):
        await held.ask("any", b"")
    assert len(births.children) == 1
    gate.touch()
    assert await first == b"1\n"
    assert await held.ask("any", b"") == b"1\n", "the next one gets its turn"


@pytest.mark.parametrize(
    ("program", "noted"),
    [
        ("raise SystemExit(3)", "any ended with 3, 0 bytes: no word"),
        ("raise ValueError('token 123456:' + 'A' * 35)", "any ended with 1, 0 bytes: ValueError: token ***"),
        ("import os; os.kill(os.getpid(), 9)", "any ended with -9, 0 bytes: no word"),
        ("pass", "any ended with 0, 0 bytes: no word"),
        ("print('x' * 5_000_000)", "any ended with 0, 5000001 bytes: no word"),
    ],
)
async def test_a_child_that_fails_is_words_and_a_masked_line_of_the_log(program: str, noted: str) -> None:
    notes: list[str] = []
    with pytest.raises(CommandException, match="the error log has details"):
        await children(program, notes).ask("any", b"question" * 100_000)
    assert notes == [noted]


async def test_a_machine_without_room_is_words_too() -> None:
    nowhere = Children(program=("/nowhere/python",), note=lambda line: None)
    with pytest.raises(CommandException, match="no room"):
        await nowhere.ask("any", b"")


async def test_what_is_no_picture_is_words(tmp_path: Path) -> None:
    assert await Pictures(tmp_path, children("print('hello')")).draw(chart(3), "x.png") == (
        "it failed, the error log has details"
    )


@pytest.mark.parametrize(
    ("work", "says"),
    [
        ("while True: pass", (-signal.SIGKILL, -signal.SIGXCPU)),
        ("bytearray(400 * 1024 * 1024); raise SystemExit(7)", (1,)),
    ],
    ids=["time", "memory"],
)
def test_a_child_limits_itself(work: str, says: tuple[int, ...]) -> None:
    given = f"from otrade_bot.research.limits import confine; confine(1, 300 * 1024 * 1024)\n{work}"
    done = subprocess.run([sys.executable, "-c", given], capture_output=True, cwd=ROOT, env=environment(), check=False)
    assert done.returncode in says, done.stderr
    assert done.returncode < 0 or b"MemoryError" in done.stderr


def test_the_service_never_imports_what_draws() -> None:
    given = (
        "import sys, otrade_bot.service.run_command, otrade_bot.control.phone.phone, otrade_bot.service.pictures\n"
        "print([name for name in ('matplotlib', 'PIL', 'contourpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", given], capture_output=True, cwd=ROOT, check=True, text=True)
    assert done.stdout.strip() == "[]"
