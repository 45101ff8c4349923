"""Pictures of everything that the phone shows: ``python tools/tour.py [FOLDER]`` (docs/tour by default).

The real service, a rehearsed day, and a Bot API on this machine that stands for Telegram: no account, no network. The
days before are rehearsed first, so that there is a past to look back on. Takes about three minutes.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from bubbles import Bubble, chat  # noqa: E402

from tests.acceptance.phone import Hand  # noqa: E402
from tests.acceptance.service_room import OPERATOR, OWNER, USERS, VIEWER, ServiceRoom  # noqa: E402
from tests.venues.telegram import BotApi, Sent  # noqa: E402

DAY = "2026-09-16"
BEFORE = ("2026-08-18", "2026-08-26", "2026-09-01", "2026-09-03", "2026-09-08", "2026-09-09", "2026-09-10",
          "2026-09-11", "2026-09-15")  # fmt: skip
#: Until the questions are asked, while they are, and to the day's end.
SPEEDS = (300, 20, 600)
SETTINGS = {
    "trading.json": {
        "capital_per_position": 15_000,
        "strategies": [
            {"name": "ema_crossover", "instruments": ["NSE:SBIN", "NSE:M&M"], "timeframe": "5m"},
            {
                "name": "momentum_ladder", "instruments": ["NSE:INFY", "NSE:HDFCBANK", "NSE:BAJAJ-AUTO"],
                "timeframe": "3m",
                "params": {"stop_percent": 0.5, "target_percent": 1.0, "stop2_percent": 0.7, "add3_percent": 0.3,
                           "stop3_percent": 4.0},
            },
        ],
    },
    "telegram.json": {"users": USERS, "commands_per_minute": 1_000},
}  # fmt: skip
#: Picture by picture: its name, what it is, who says what. "{held}" is a symbol with an open position.
SCENES: tuple[tuple[str, str, int, tuple[str, ...]], ...] = (
    ("start", "a first word", OWNER, ("/start",)),
    ("help", "what an admin may say", OWNER, ("/help",)),
    ("help-viewer", "what a viewer may say", VIEWER, ("/help",)),
    ("status", "how it stands", OWNER, ("/status",)),
    ("card", "the pinned card", OWNER, ("/card",)),
    ("card-viewer", "the pinned card of a viewer", VIEWER, ("/card",)),
    ("positions", "what is open", OWNER, ("/positions",)),
    ("orders", "orders of the day", OWNER, ("/orders 5",)),
    ("trades", "round trips", OWNER, ("/trades 8",)),
    ("pnl", "the day in money", OWNER, ("/pnl",)),
    ("pnl-dark", "the day in money", OWNER, ("/pnl dark",)),
    ("chart", "a symbol's day", OWNER, ("/chart {held}",)),
    ("chart-dark", "a symbol's day, each minute", OWNER, ("/chart {held} 1m dark",)),
    ("chart-15m", "a symbol's day", VIEWER, ("/chart BAJAJ-AUTO 15m",)),
    ("why", "why it was bought or not", OWNER, ("/why M&M",)),
    ("signals", "today's signals", OWNER, ("/signals",)),
    ("daily", "the last days", OWNER, ("/daily",)),
    ("weekly", "the last weeks", OWNER, ("/weekly dark",)),
    ("monthly", "the last months", OWNER, ("/monthly",)),
    ("performance", "what earns and what costs", OWNER, ("/performance",)),
    ("performance-dark", "what earns and what costs", OWNER, ("/performance dark",)),
    ("risk", "limits and their use", OWNER, ("/risk",)),
    ("set", "limits and sizes", OWNER, ("/set", "/set daily_loss_limit", "/set daily_loss_limit 5000")),
    ("strategies", "what trades", OWNER, ("/strategies", "/strategies momentum_ladder")),
    ("reload", "the settings read again", OWNER, ("/reload",)),
    ("health", "is all well", OWNER, ("/health",)),
    ("config", "settings", OWNER, ("/config",)),
    ("logs", "the log", OWNER, ("/logs 8",)),
    ("audit", "who did what", OWNER, ("/audit",)),
    ("users", "who is heard", OWNER, ("/users",)),
    ("mute", "what is told, and how loudly", OWNER, ("/mute", "/mute order off")),
    ("keyboard", "keys of one's own", OWNER, ("/keyboard status pnl pause", "/keyboard off")),
    ("mode", "paper or live", OWNER, ("/mode",)),
    ("missing", "what is missing is asked", OWNER, ("/chart",)),
    ("stop", "a stop by hand", OPERATOR, ("/sl {held} auto", "/sl {held} P1 auto")),
    ("target", "a target by hand", OPERATOR, ("/target {held} P1 off",)),
    ("later", "a later square-off", OPERATOR, ("/later 5",)),
    ("close", "a question before an exit", OPERATOR, ("/close {held}",)),
    ("denied", "a viewer cannot trade", VIEWER, ("/flatten",)),
    ("mistyped", "what was meant", OWNER, ("/positon", "/why RELAINCE")),
    ("pause", "no new entries", OPERATOR, ("/pause", "/resume")),
    ("flatten", "everything out", OWNER, ("/flatten",)),
)
#: What comes unasked: a picture's name, what it is, words of the messages.
UNASKED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("morning", "before the open", ("Started", "Before the open", "Ready", "Market open")),
    ("entry", "a signal becomes a position", ("Signal ", "Order accepted", "Filled", "Stop level set")),
    ("exit", "a position is closed", ("Stop triggered", "Closed ")),
    ("square-off", "before the square-off", ("Square-off",)),
    ("evening", "the day's report", ("Day ended", "The day at a glance", "Next session")),
)


async def tour(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as room:
        await _past(Path(room))
        async with BotApi([OWNER, OPERATOR, VIEWER]) as api:
            await _part(Path(room), api, SPEEDS[0], lambda service: service.until(lambda: _lively(api), 240, "a trade"))
            await _part(Path(room), api, SPEEDS[1], lambda _: _asked(api, folder))
            await _part(Path(room), api, SPEEDS[2], lambda _: _evening(api))
            _unasked(api, folder)
    _index(folder)


def _index(folder: Path) -> None:
    """A page with all of them, in the order of the tour."""
    titles = [(name, title) for name, title, *_ in (*UNASKED[:1], *SCENES, *UNASKED[1:])]
    pictures = [
        f'<figure><img src="{name}.png" width="360" alt="{title}"><figcaption>{title}</figcaption></figure>\n'
        for name, title in titles if (folder / f"{name}.png").exists()
    ]  # fmt: skip
    head = "# What the phone shows\n\nA rehearsed day, made by `python tools/tour.py`.\n\n"
    (folder / "README.md").write_text(head + "\n".join(pictures))


async def _part(room: Path, api: BotApi, speed: float, work: Callable[[ServiceRoom], Awaitable[object]]) -> None:
    """The same rehearsed day goes on at another speed."""
    service = ServiceRoom(room, api, rehearse=f"{DAY}T08:10:00", speed=speed, settings=SETTINGS)
    await service.start()
    try:
        await api.until(lambda: api.polling, 60)
        await work(service)
    finally:
        await service.stop()


async def _evening(api: BotApi) -> None:
    await api.until(lambda: _heard(api, "Day ended"), 240)
    with suppress(TimeoutError):
        await api.until(lambda: _heard(api, "The day at a glance"), 15)


async def _past(room: Path) -> None:
    """The days before, as fast as they go."""
    for day in BEFORE:
        service = ServiceRoom(room, None, rehearse=f"{day}T09:14:50", speed=50_000, settings=SETTINGS)
        await service.start()
        await service.ended()
        print(f"rehearsed {day}")


def _heard(api: BotApi, words: str) -> bool:
    return any(words in sent.text for sent in api.to(OWNER))


async def _asked(api: BotApi, folder: Path) -> None:
    for name, title, who, lines in SCENES:
        bubbles: list[Bubble] = []
        for line in lines:
            said = line.replace("{held}", await _held(api)) if "{held}" in line else line
            bubbles += [Bubble(said, _command(said), mine=True), *await _answer(api, who, said)]
        _write(folder, name, title, bubbles, dark=name.endswith("-dark"))


def _lively(api: BotApi) -> bool:
    """Something was booked, and a second rung is held; by two o'clock it must do as it is."""
    told = [sent.text for sent in api.to(OWNER) if sent.text[2:3] == ":"]
    filled = [text for text in told if "Filled" in text and " P2 entry" in text]
    return any(text[:5] >= "14:00" for text in told) or bool(
        filled and any("Closed " in text for text in told) and told[-1][:5] >= "11:00"
    )


async def _held(api: BotApi) -> str:
    """A symbol with an open position, else one that is followed."""
    sent = await Hand(api, OWNER).ask("/positions", "Positions")
    heads = [line.split()[0] for line in sent.text.splitlines() if line[:1].isupper() and line[-3:-2] == "."]
    return next(iter(heads), "INFY")


async def _answer(api: BotApi, who: int, line: str) -> list[Bubble]:
    """All parts of it: those that are answers, and stay as they are for a moment."""
    hand = Hand(api, who)
    before = hand.newest
    api.say(who, line)

    def parts() -> list[Sent]:
        return [sent for sent in hand.after(before) if _is_answer(sent)]

    try:
        await api.until(lambda: bool(parts()), 20)
        await asyncio.sleep(0.7)
    except TimeoutError:
        print(f"no answer to {line}")
    return [_bubble(sent) for sent in parts()]


def _is_answer(sent: Sent) -> bool:
    """Answers begin with the mode, pushes end with it."""
    return sent.versions[0].text.startswith("PAPER") and "at a glance" not in sent.text


def _unasked(api: BotApi, folder: Path) -> None:
    told = [sent for sent in api.to(OWNER) if not _is_answer(sent)]
    for name, title, words in UNASKED:
        found = [_first(told, word) for word in words]
        chosen = {sent.message_id: sent for sent in found if sent is not None}
        if chosen:
            _write(folder, name, title, [_bubble(sent) for _, sent in sorted(chosen.items())])
        else:
            print(f"nothing for {name}")


def _first(told: Sequence[Sent], words: str) -> Sent | None:
    """One with buttons shows more."""
    fits = [sent for sent in told if words in sent.text]
    return next((sent for sent in fits if sent.versions[0].rows), fits[0] if fits else None)


def _bubble(sent: Sent) -> Bubble:
    rows = [[button.label for button in row] for row in sent.versions[0].rows]
    return Bubble(sent.text, sent.entities, rows=rows, picture=sent.photo.content if sent.photo else None)


def _command(line: str) -> Sequence[dict[str, object]]:
    return [{"type": "bot_command", "offset": 0, "length": len(line.split()[0])}]


def _write(folder: Path, name: str, title: str, bubbles: Sequence[Bubble], *, dark: bool = False) -> None:
    png = chat(bubbles, title, dark=dark)
    (folder / f"{name}.png").write_bytes(png)
    print(f"{name}.png {len(png) // 1024} KB{' TOO LARGE' if len(png) > 150_000 else ''}")


if __name__ == "__main__":
    chosen = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "tour"
    chosen.mkdir(parents=True, exist_ok=True)
    asyncio.run(tour(chosen))
