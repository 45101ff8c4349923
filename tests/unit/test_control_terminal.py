"""The terminal: pictures that fit, keys that edit, pipes that answer, and a terminal left as it was."""

# ruff: noqa: E501 - a table of notices reads better unbroken

from __future__ import annotations

import asyncio
import os
import pty
import select
import sys
import termios
import threading
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from control_fakes import NOON, FakeEngine, context

from otrade_bot.control.commands import answer
from otrade_bot.control.news.notices import describe
from otrade_bot.control.reply import Reply, text
from otrade_bot.control.screen.keys import Keys, LineEditor
from otrade_bot.control.screen.terminal import PlainPrinter, PlainTerminal, TerminalUI, terminal
from otrade_bot.core.events import Event, EventKind, Severity

SIGNAL = Event(
    EventKind.SIGNAL,
    NOON,
    "NSE:M&M",
    data={
        "strategy": "ema_crossover", "rung": 1, "side": "BUY", "quantity": 12, "price_paise": 214_000,
        "stop_paise": 208_650, "target_paise": 0,
    },
)  # fmt: skip


def ui(engine: FakeEngine, **streams: object) -> TerminalUI:
    ctx = context(engine)
    return TerminalUI(engine, lambda line: answer(ctx, line), speed="60x", **streams)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (100, 30), (119, 24), (120, 24), (250, 70)])
@pytest.mark.parametrize("rungs", [0, 7, 90])
@pytest.mark.parametrize("asked", [False, True])
async def test_a_picture_fills_the_terminal_exactly(size: tuple[int, int], rungs: int, asked: bool) -> None:
    from rich.cells import cell_len

    shown = ui(FakeEngine(rungs))
    for _ in range(50):
        shown.on_event(SIGNAL)
    if asked:
        shown.press(b"/positions\r")
        await asyncio.sleep(0)
    shown.press(b"/stat")
    lines = shown.render(*size).split("\n")
    assert len(lines) == size[1]
    assert max(map(cell_len, lines)) <= size[0]
    assert "PAPER · simulated prices" in lines[0]
    assert lines[-1].startswith("> /stat")
    assert asked == any("/positions" in line for line in lines[:-1])


def test_a_picture_shows_prices_positions_and_events_unharmed_by_markup() -> None:
    shown = ui(FakeEngine(90))
    shown.on_event(Event(EventKind.ALERT, NOON, "NSE:A*_[B](c)", "[bold]x[/] \x1b[31m", Severity.RISK))
    drawn = shown.render(160, 50)
    for part in ("<b>X</b>", "A*_[B](c)", "[bold]x[/]", "speed 60x", "150/200", "2,155.05", "Net +₹1,069.40"):
        assert part in drawn
    assert "\x1b" not in drawn


async def test_keys_ask_and_the_answer_can_be_scrolled_and_closed() -> None:
    shown = ui(FakeEngine(90))
    shown.press(b"/positionsx\x7f\r")
    await asyncio.sleep(0)
    before = shown.render(80, 24)
    assert "Positions 90 · 30 symbols" in before
    shown.press(b"\x1b[6~")
    assert "Positions 90 · 30 symbols" not in shown.render(80, 24)
    shown.press(b"\x1b[5~")
    assert shown.render(80, 24) == before
    shown.press(b"\x1b")
    assert "Esc closes" not in shown.render(80, 24)


async def test_a_slow_answer_does_not_cover_a_newer_one() -> None:
    gate = asyncio.Event()

    async def slow(line: str) -> Reply:
        if line == "/slow":
            await gate.wait()
        return text(f"answer to {line}")

    shown = TerminalUI(FakeEngine(), slow)
    shown.press(b"/slow\r/fast\r")
    for _ in range(3):
        await asyncio.sleep(0)
    assert "answer to /fast" in shown.render(80, 24)
    gate.set()
    for _ in range(3):
        await asyncio.sleep(0)
    drawn = shown.render(80, 24)
    assert "answer to /fast" in drawn
    assert "/slow: answer to /slow" in drawn


def test_the_editor_edits_and_remembers() -> None:
    keys, editor = Keys(), LineEditor()

    def typed(data: bytes) -> list[str]:
        return [line for key in keys.feed(data) if (line := editor.press(key)) is not None]

    assert typed(b"/pnl\r/stetus\x1b[D\x1b[D\x1b[D\x1b[D\x1b[3~a\r") == ["/pnl", "/status"]
    typed(b"dra\x1b[A")
    assert editor.text == "/status"
    typed(b"\x1b[A")
    assert editor.text == "/pnl"
    typed(b"\x1b[B\x1b[B")
    assert editor.text == "dra"
    assert typed(b"\x15\r") == [""]
    typed(b"/why M&M\x17")
    assert editor.text == "/why "


def test_plain_printer_prints_a_line_an_event_and_survives_a_closed_pipe() -> None:
    out = StringIO()
    printer = PlainPrinter(out)
    printer.on_event(SIGNAL)
    printer.on_event(Event(EventKind.EVALUATION, NOON, "NSE:M&M"))
    assert out.getvalue() == "12:00:00 Signal M&M P1 BUY 12 @ ₹2,140.00, stop ₹2,086.50 (-2.50 %) (ema_crossover)\n"
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        broken = PlainPrinter(gone)
        broken.on_event(SIGNAL)
        broken.on_event(SIGNAL)
        os.dup2(os.open(os.devnull, os.O_WRONLY), gone.fileno())


async def test_plain_mode_answers_a_pipe_end_to_end() -> None:
    read, write = os.pipe()
    out, engine = StringIO(), FakeEngine(3)
    ctx = context(engine)
    with os.fdopen(read) as stdin:
        plain = PlainTerminal(lambda line: answer(ctx, line), stdin, out)
        running = asyncio.create_task(plain.run())
        os.write(write, b"/status\n\n/flat")
        await asyncio.sleep(0)
        plain.on_event(SIGNAL)
        os.write(write, b"ten\n/flatten yes\nversion")
        os.close(write)
        assert await running == "eof"
    said = out.getvalue()
    order = ["Signal M&M", "Status", "Close 3 positions?", "Flat: the broker", "OTrade Bot 0.1.0"]
    places = [said.index(part) for part in order]
    assert places == sorted(places)
    assert engine.calls == ["flatten by owner <o>"]


async def test_plain_mode_reads_a_file_too(tmp_path: Path) -> None:
    script, out = tmp_path / "commands", StringIO()
    script.write_text("/version\n/pause")
    ctx = context(FakeEngine())
    with script.open() as stdin:
        mouth = terminal(ctx.view, lambda line: answer(ctx, line), stdin=stdin, out=out)
        assert isinstance(mouth, PlainTerminal)
        assert await mouth.run() == "eof"
    assert "OTrade Bot 0.1.0" in out.getvalue()
    assert "Entries are paused." in out.getvalue()


async def test_plain_mode_stops_when_told() -> None:
    read, write = os.pipe()
    with os.fdopen(read) as stdin, os.fdopen(write, "w"):
        plain = PlainTerminal(lambda line: asyncio.sleep(0, text(line)), stdin, StringIO())
        running = asyncio.create_task(plain.run())
        await asyncio.sleep(0)
        plain.stop()
        assert await running == "stopped"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
@pytest.mark.parametrize(("ending", "why"), [(b"\x04", "quit"), (None, "stopped")])
async def test_the_terminal_is_left_as_it_was(
    ending: bytes | None, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    master, slave = pty.openpty()
    with os.fdopen(slave, "r") as stdin, os.fdopen(os.dup(slave), "w") as out:
        before = termios.tcgetattr(slave)
        engine = FakeEngine(3)
        ctx = context(engine)
        mouth = terminal(engine, lambda line: answer(ctx, line), stdin=stdin, out=out)
        assert isinstance(mouth, TerminalUI)
        running = asyncio.create_task(mouth.run())
        seen = await _read_until(master, b"\x1b[?1049h")
        os.write(master, b"/version\r")
        seen += await _read_until(master, b"0.1.0")
        if ending is None:
            mouth.stop()
        else:
            os.write(master, ending)
        seen += await _read_until(master, b"\x1b[?1049l")
        assert await running == why
        assert b"\x1b[?25h" in seen
        assert termios.tcgetattr(slave) == before
    os.close(master)


async def _read_until(fd: int, mark: bytes) -> bytes:
    """Everything a pseudo terminal shows up to the mark; the test's own time limit ends a wait in vain."""
    loop, seen = asyncio.get_running_loop(), b""
    while mark not in seen:
        ready = loop.create_future()
        loop.add_reader(fd, lambda ready=ready: ready.done() or ready.set_result(None))  # type: ignore[misc]
        await ready
        loop.remove_reader(fd)
        seen += os.read(fd, 65536)
    return seen


def test_an_engine_that_cannot_be_read_costs_the_picture_only() -> None:
    engine = FakeEngine(3)
    engine.broken = True
    shown = ui(engine)

    class Screen:
        frame = ""

        def size(self) -> tuple[int, int]:
            return 80, 24

        def show(self, frame: str) -> None:
            self.frame = frame

    screen = Screen()
    shown._paint(screen)  # type: ignore[arg-type]
    assert "cannot be drawn (ZeroDivisionError)" in screen.frame


async def test_a_busy_terminal_still_gets_its_screen_back(monkeypatch: pytest.MonkeyPatch) -> None:
    from otrade_bot.control.screen import terminal as module

    master, slave = pty.openpty()
    seen: list[bytes] = []

    def read_on() -> None:
        while b"\x1b[?1049l" not in b"".join(seen):
            seen.append(os.read(master, 65536))

    reader = threading.Thread(target=read_on, daemon=True)
    real = select.select

    def wait(*sets: object) -> object:
        if reader.ident is None:
            reader.start()
        return real(*sets)  # type: ignore[arg-type]

    monkeypatch.setattr(select, "select", wait)
    with module._Screen(slave, slave) as screen:
        for number in range(50):  # nobody reads: the terminal's buffer runs full
            screen.show(f"{number}\n" * 2000)
        assert screen._pending
    reader.join()
    os.close(master)
    os.close(slave)


def test_the_last_column_is_not_erased() -> None:
    from otrade_bot.control.screen import terminal as module

    master, slave = pty.openpty()
    with module._Screen(slave, slave) as screen:
        screen.show("ab|\ncd|")
        screen.show("ab|\nce|")
    seen = b""
    while b"\x1b[?1049l" not in seen:  # the last thing written; the terminal passes it on in pieces
        seen += os.read(master, 65536)
    assert b"\x1b[Kab|\r\r\n\x1b[Kce|\x1b[?7h" in seen  # the tty adds its own \\r
    assert b"|\x1b[K" not in seen
    os.close(master)
    os.close(slave)


def _notice(kind: EventKind, text_: str = "", **data: object) -> str:
    said = describe(Event(kind, NOON, "NSE:M&M", text_, data=data))
    return "" if said is None else said.to_plain().removeprefix("12:00:00 ")


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        ("order", {"status": "pending"}, ""),
        ("order", {"status": "complete"}, ""),
        (
            "order",
            {"status": "open", "leg": "entry", "side": "BUY", "quantity": 5, "type": "LIMIT", "price_paise": 10_000},
            "Order accepted M&M entry BUY 5 LIMIT @ ₹100.00",
        ),
        ("order", {"status": "rejected", "reason": "no <margin>"}, "Order REFUSED M&M no <margin>"),
        ("order", {"status": "cancelled", "quantity": 9, "filled": 3}, "Order cancelled M&M 9, 3 filled"),
        ("fill", {"quantity": 3, "ordered": 9, "value_paise": 30_000}, "Partly filled M&M 3 of 9 @ ₹100.00"),
        ("fill", {"quantity": 9, "ordered": 9, "value_paise": 90_000, "rung": 2}, "Filled M&M P2 9 @ ₹100.00"),
        ("stop", {"state": "missing", "rung": 1, "quantity": 9}, "STOP MISSING M&M P1 for 9"),
        ("stop", {"state": "moved", "rung": 3, "level_paise": 9_750}, "Stop level moved M&M P3 at ₹97.50"),
        (
            "trade",
            {
                "rung": 1, "side": "BUY", "quantity": 9, "entry_price": 100.05, "exit_price": 105.0,
                "exit_reason": "square_off", "net_paise": 4_000, "charges_paise": 455,
            },
            "Closed M&M P1 net +₹40.00 (+4.44 %), square off, BUY 9 × ₹100.05 → ₹105.00, charges ₹4.55",
        ),
        ("block", {"on": True, "reason": "prices are stale"}, "Entries BLOCKED M&M prices are stale"),
        ("block", {"on": False, "reason": "prices are stale"}, "Block lifted M&M prices are stale"),
        ("block", {"on": False, "reason": "paused by command", "by": "Asha"}, "Block lifted M&M by Asha: paused"),
        ("session", {"boundary": "square_off_warning"}, "Square-off M&M is near: intraday positions will be closed"),
        ("signal", {"price_paise": 10_000, "stop_paise": 9_750, "target_paise": 10_500, "quantity": 1200, "side": "BUY"}, "Signal M&M BUY 1,200 @ ₹100.00, stop ₹97.50 (-2.50 %), target ₹105.00 (+5.00 %)"),
        ("trade", {"quantity": 9, "side": "SELL", "entry_price": 100.0, "exit_price": 101.0, "net_paise": -1_350}, "Closed M&M net -₹13.50 (-1.50 %), SELL 9 × ₹100.00 → ₹101.00"),
        ("block", {"on": True, "reason": "paused by command", "by": "owner"}, "Entries BLOCKED M&M paused by owner"),
        ("run", {"strategies": {}}, ""),
        ("refusal", {"rung": 2, "reason": "no capital left"}, "Refused M&M P2 no capital left"),
        ("day", {"trades": 2, "net_paise": -500, "open_positions": [1]}, "Day ended M&M\nNet -₹5.00\n2 trades\n1 STILL OPEN\n?"),
        ("evaluation", {}, ""),
    ],
)  # fmt: skip
def test_notices_read_like_this(kind: str, data: dict[str, object], said: str) -> None:
    assert _notice(EventKind(kind), "", **data) == said


def test_the_engines_own_words_come_first_and_the_label_last() -> None:
    assert _notice(EventKind.STOP, "gone, re-armed", state="missing") == "STOP MISSING M&M gone, re-armed"
    labelled = describe(replace(SIGNAL, text="x"), "PAPER · simulated prices")
    assert labelled is not None
    assert labelled.to_plain().endswith("\nPAPER · simulated prices")
    assert describe(replace(SIGNAL, severity=Severity.DEBUG)) is None
