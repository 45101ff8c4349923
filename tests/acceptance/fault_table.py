"""The table of faults: one row a fault, run at each broker, judged by the exchange's own book and by the phone.

    @row("the answer to an entry is lost", sent=2, orders=2, position=30, stop=98_000, told=("nobody knows",))
    async def entry_answer_lost(room: LiveRoom) -> None:
        room.fail("place", Reset(after=True))
        await room.buy()
        await room.pass_time(60)

Whatever a row expects, no order may have been placed twice, exits may not wait for more than is held, and our books
must be the exchange's. Rows live in ``fault_rows_*.py``; each runs at both brokers unless ``brokers`` says otherwise.

The first share costs ₹1,000.00; ``room.buy()`` buys 30 of it at that price (stop 980.00, target 1,040.00) within six
seconds. ``room.fail(what, fault, ...)``: the next requests of a kind meet these faults, one each (``Fine()`` passes
one on). What differs between brokers has one word in ``room.venue``; ``room.venue.api`` is the broker's own venue.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.acceptance.live_room import LiveRoom, live_room

__all__ = ["ROWS", "Expected", "Row", "cases", "header", "judge", "load", "page", "row"]

BROKERS = ("kite", "upstox")
Play = Callable[[LiveRoom], Awaitable[None]]
WIDTHS = (62, 7, 5, 7, 9, 8)


@dataclass(frozen=True)
class Expected:
    """``sent``: requests to place an order; ``orders``: at the broker, whatever became of them; ``position``: signed,
    at the exchange; ``stop``: trigger in paise of what protects all of ours at the broker, None: nothing does or need;
    ``told``: words that the phone must have; ``once``: in one message only; ``untold``: in none. None: not judged;
    without a position the stop neither.
    """

    sent: int | None = None
    orders: int | None = None
    position: int | None = 0
    stop: int | None = None
    told: tuple[str, ...] = ()
    once: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One fault. ``options``: of the LiveRoom; ``differs``: what a broker's line expects otherwise."""

    name: str
    play: Play
    expected: Expected
    brokers: tuple[str, ...] = BROKERS
    options: Mapping[str, Any] = field(default_factory=dict)
    differs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def at(self, broker: str) -> Expected:
        return replace(self.expected, **self.differs.get(broker, {}))


ROWS: dict[str, Row] = {}


def row(
    name: str, *, brokers: tuple[str, ...] = BROKERS, options: Mapping[str, Any] | None = None,
    kite: Mapping[str, Any] | None = None, upstox: Mapping[str, Any] | None = None, **expected: Any,
) -> Callable[[Play], Play]:  # fmt: skip
    """Enter a function in the table; ``kite`` and ``upstox``: what is expected otherwise there."""

    def enter(play: Play) -> Play:
        assert name not in ROWS, f"two rows are called {name!r}"
        differs = {"kite": kite or {}, "upstox": upstox or {}}
        ROWS[name] = Row(name, play, Expected(**expected), brokers, options or {}, differs)
        return play

    return enter


def cases() -> list[tuple[str, str]]:
    """(broker, name) of every line of the table."""
    return [(broker, one.name) for one in ROWS.values() for broker in one.brokers]


async def judge(broker: str, name: str, folder: Path) -> str:
    """Play a row; its line of the table. AssertionError with the line, the phone and the exchange's book."""
    one = ROWS[name]
    async with live_room(broker, folder, **one.options) as room:
        await one.play(room)
        await room.settle()
        expected = one.at(broker)
        line = _line(room, one, broker)
        faults = [*room.faults(), *_differences(room, expected)]
        assert not faults, "\n".join([line, *faults, *_story(room)])
        return line


def load() -> None:
    """Every file of rows."""
    for path in sorted(Path(__file__).parent.glob("fault_rows_*.py")):
        import_module(f"tests.acceptance.{path.stem}")


def page() -> str:
    """docs/faults.md: what each row expects, as the rows say it."""
    lines = [
        "# Named faults",
        "",
        f"{len(ROWS)} faults, {len(cases())} runs: each at both brokers where it applies, through their own clients "
        "and real sockets, on a clock of the test's own.",
        "*Sent*: requests to place an order. *At the broker*: orders in its book in the end. *Position* and *stop*: at "
        "the exchange. A dot: not judged by itself.",
        "Always judged: no order placed twice, never more on its way out than is held, our books equal to the "
        "exchange's.",
        "",
        "`pytest tests/acceptance -k faults -s` runs and prints the table; this page is written by "
        "`python -m tests.acceptance.fault_table`.",
        "",
        "| fault | brokers | sent | at the broker | position | stop | the phone is told |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(_page_line(one, brokers) for one in ROWS.values() for brokers in _alike(one))]) + "\n"


def _alike(one: Row) -> list[tuple[str, ...]]:
    """Its brokers, together where they expect the same."""
    same = len({repr(one.at(broker)) for broker in one.brokers}) == 1
    return [one.brokers] if same else [(broker,) for broker in one.brokers]


def _page_line(one: Row, brokers: tuple[str, ...]) -> str:
    expected = one.at(brokers[0])
    position = "·" if expected.position is None else f"{expected.position:+d}" if expected.position else "0"
    stop = "·" if expected.position is None else f"₹{expected.stop / 100:,.2f}" if expected.stop else "none"
    counts = ("·" if value is None else str(value) for value in (expected.sent, expected.orders))
    told = "; ".join((*expected.told, *expected.once)) or "·"
    cells = (one.name, ", ".join(brokers), *counts, position, stop, told)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def header() -> str:
    """Above the lines."""
    return _columns("fault", "broker", "sent", "orders", "position", "stop", "the phone was told")


def _differences(room: LiveRoom, expected: Expected) -> list[str]:
    found = []
    for what, wanted, is_so in (
        ("sent", expected.sent, room.venue.hits("place")),
        ("orders at the broker", expected.orders, len(room.orders())),
        ("position", expected.position, room.position()),
    ):
        if wanted is not None and wanted != is_so:
            found.append(f"{what}: {is_so}, expected {wanted}")
    found += _unprotected(room, expected)
    found += [f"the phone was not told: {words!r}" for words in expected.told if not room.told(words)]
    for words in expected.once:
        times = sum(words in said for said in room.phone)
        found += [f"the phone was told {times} times: {words!r}"] if times != 1 else []
    found += [f"the phone was told: {words!r}" for words in expected.untold if room.told(words)]
    return found


def _unprotected(room: LiveRoom, expected: Expected) -> list[str]:
    stops = room.stops()
    if expected.position is None:
        return []
    if expected.stop is None:
        return [f"protection is left: {stops}"] if stops else []
    covered = sum(one.quantity - getattr(one, "filled", 0) for one in stops)
    levels = {_level(one) for one in stops}
    if levels != {expected.stop} or covered != abs(room.held()):
        return [f"protected: {covered} at {sorted(levels)}, expected {abs(room.held())} at {expected.stop}"]
    return []


def _level(stop: Any) -> int:
    return int(stop.triggers[0]) if hasattr(stop, "triggers") else int(stop.trigger)


def _line(room: LiveRoom, one: Row, broker: str) -> str:
    levels = ",".join(f"{_level(stop) / 100:.2f}" for stop in room.stops()) or "-"
    words = (*one.at(broker).told, *one.at(broker).once)
    said = next((said for said in room.phone if words and words[0] in said), "").split("\n")[0]
    return _columns(
        one.name, broker, room.venue.hits("place"), len(room.orders()), f"{room.position():+d}", levels, said
    )


def _columns(*cells: Any) -> str:
    fixed = (f"{cell!s:<{width}}" for cell, width in zip(cells, WIDTHS, strict=False))
    return " ".join([*fixed, str(cells[-1])])


def _story(room: LiveRoom) -> list[str]:
    return ["--- phone", *room.phone, "--- at the exchange", *(str(one) for one in room.venue.orders()),
            *(str(one) for one in room.venue.guards())]  # fmt: skip


if __name__ == "__main__":
    from tests.acceptance import fault_table  # rows enter themselves there, not into the module that is run

    fault_table.load()
    (Path(__file__).parents[2] / "docs" / "faults.md").write_text(fault_table.page(), encoding="utf-8")
