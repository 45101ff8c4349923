"""A whole rehearsed day of the real service: what the phone was told is what happened, once each, in order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from otrade_bot.brokers.paper.book import Book
from otrade_bot.control.news.entry import LANES
from otrade_bot.core.jsonlines import LineLog
from otrade_bot.core.model import OrderStatus
from otrade_bot.core.money import rupees_text, to_paise
from tests.acceptance.phone import Push, lane_of, pushes
from tests.acceptance.service_room import OPERATOR, OWNER, ROOT, VIEWER, ServiceRoom
from tests.venues.telegram import BotApi

DAY = date(2026, 9, 16)
TICKS = ROOT.parent / "shared" / "data" / "ticks_2021-06-01"
PEOPLE = (OWNER, OPERATOR, VIEWER)
Line = dict[str, Any]

#: Stops, trailing stops, targets and a square-off on one day, long and short.
BUSY = {
    "strategies": [
        {"name": "ema_crossover", "instruments": ["NSE:SBIN"], "timeframe": "1m"},
        {
            "name": "momentum_ladder", "instruments": ["NSE:INFY", "NSE:HDFCBANK"], "timeframe": "3m",
            "params": {"stop_percent": 0.5, "target_percent": 1.0, "stop2_percent": 0.7, "add3_percent": 0.3,
                       "stop3_percent": 4.0},
        },
    ]
}  # fmt: skip


async def test_a_day_is_told_to_everybody_as_it_happened_once_in_order_and_ends_with_the_report(tmp_path: Path) -> None:
    async with BotApi(PEOPLE) as api:
        room = ServiceRoom(
            tmp_path, api, rehearse="2026-09-16T08:10:00", speed=6000, settings={"trading.json": BUSY}
        )
        await room.start()
        assert await room.ended() == 0, room.said()
        told = _told(room, api, DAY, "PAPER · simulated prices · rehearsal of 16 Sep 2026")
        report = await room.report(DAY)

    assert _of_the_market(told) == [
        ("08:10:00", "Started"), ("08:45:00", "Before the open"), ("09:15:00", "Market open"),
        ("14:40:00", "No more entries today"), ("14:45:00", "Square-off"), ("14:50:00", "Square-off"),
        ("14:54:00", "Square-off"), ("14:55:00", "Square-off"),
        ("15:15:00", "Continuous trading ended"), ("15:36:00", "Day ended"), ("16:05:00", "Next session"),
        ("16:05:00", "Stopped"),
    ]  # fmt: skip
    _is_the_report(told, report)
    _is_the_book(told, room)
    reasons = Counter(trade["exit_reason"] for trade in report["trades"])
    assert set(reasons) == {"stop", "target", "square_off"}, reasons
    assert all(push.time == "14:55:00" for push in told if push.head == "Closed" and "square off" in push.rest)
    assert Counter(push.head for push in told)["Stop level moved"] > 3


@pytest.mark.skipif(not (TICKS / "RELIANCE.csv").exists(), reason="the recorded ticks are not beside the project")
async def test_a_recorded_day_is_told_as_recorded_at_the_hours_of_its_year(tmp_path: Path) -> None:
    files = [str(TICKS / name) for name in ("RELIANCE.csv", "NIFTY50.csv")]
    settings = {
        "brokers.json": {"replay": {"files": files}},
        "trading.json": {"strategies": [{"name": "ema_crossover", "instruments": ["NSE:RELIANCE"], "timeframe": "1m"}]},
    }
    async with BotApi(PEOPLE) as api:
        room = ServiceRoom(tmp_path, api, rehearse="2021-06-01T09:14:50", speed=6000, settings=settings)
        await room.start()
        assert await room.ended() == 0, room.said()
        told = _told(room, api, date(2021, 6, 1), "PAPER · recorded prices · rehearsal of 01 Jun 2021")
        report = await room.report(date(2021, 6, 1))

    assert _of_the_market(told) == [
        ("09:14:50", "Alert"), ("09:14:50", "Started"), ("09:14:50", "Before the open"), ("09:15:00", "Market open"),
        ("15:00:00", "No more entries today"), ("15:00:00", "Square-off"), ("15:05:00", "Square-off"),
        ("15:09:00", "Square-off"), ("15:10:00", "Square-off"),
        ("15:30:00", "Market closed"), ("15:31:00", "Day ended"), ("16:00:00", "Next session"), ("16:00:00", "Stopped"),
    ]  # fmt: skip
    assert told[0].rest.startswith("charges: no rates are known for 2021-06-01")
    assert report["trades"], "the recorded day has trades"
    _is_the_report(told, report)
    _is_the_book(told, room)


def _told(room: ServiceRoom, api: BotApi, day: date, label: str) -> list[Push]:
    """What the owner was told: the journal's events, each once, each lane in their order; the others were told the
    same. Put into the journal's order here."""
    expected = list(_expected(room.journal(day)))
    for person in PEOPLE:
        told = pushes(api.to(person), label)
        assert len(told) == len(expected)
        for lane in LANES:
            assert [push.key for push in told if lane_of(push.head) == lane] == [
                key for key in expected if lane_of(key[1]) == lane
            ]
    waiting = {lane: [push for push in pushes(api.to(OWNER), label) if lane_of(push.head) == lane] for lane in LANES}
    assert [push.time for push in waiting["first"]] == sorted(push.time for push in waiting["first"])
    assert not [sent.text for sent in api.sent if re.search(r"\(repeat:|min late", sent.text)]
    return [waiting[lane_of(head)].pop(0) for _, head, _ in expected]


def _of_the_market(told: Sequence[Push]) -> list[tuple[str, str]]:
    return [(push.time, push.head) for push in told if not push.symbol]


SESSION = {
    "card": "Before the open", "open": "Market open", "entries_stop": "No more entries today",
    "square_off_warning": "Square-off", "countdown": "Square-off", "square_off": "Square-off", "next": "Next session",
}  # fmt: skip
PLAIN = {"alert": "Alert", "signal": "Signal", "refusal": "Refused", "trade": "Closed", "day": "Day ended"}
STOP = {"armed": "Stop level set", "moved": "Stop level moved", "resized": "Stop resized", "missing": "STOP MISSING"}


def _expected(journal: Sequence[Line]) -> Iterator[tuple[str, str, str]]:
    """(time, headline, symbol) of all that the journal holds and a phone is told."""
    accepted: dict[str, str] = {}
    for line in journal:
        head = _head(line, accepted)
        if head:
            yield line["ts"][11:19], head, line.get("symbol", "").removeprefix("NSE:")


def _head(line: Line, accepted: dict[str, str]) -> str:
    kind = line["kind"]
    match kind:
        case "run":
            return str(line["state"]).capitalize()
        case "session" if line["boundary"] == "close":
            return "Continuous trading ended" if line["ts"] >= "2026-08-03" else "Market closed"
        case "session" if line["boundary"] == "self_check":
            assert line["well"], line["text"]
            return ""
        case "session":
            return SESSION[line["boundary"]]
        case "fill":
            return "Filled" if line["quantity"] == line["ordered"] else "Partly filled"
        case "stop":
            return STOP[line["state"]]
        case "order":
            return _order_head(line, accepted)
        case "evaluation":
            return ""
        case "refusal" if line["severity"] == "DEBUG":
            return ""  # the same no was told a while ago
        case _:
            return PLAIN[kind]


def _order_head(line: Line, accepted: dict[str, str]) -> str:
    """Accepted once; a stop that goes off, or an order that is changed, is another thing."""
    status, tag = line["status"], line["tag"]
    if status in ("cancelled", "rejected"):
        return {"cancelled": "Order cancelled", "rejected": "Order REFUSED"}[status]
    if status not in ("open", "trigger_pending") or line["filled"]:
        return ""
    before, accepted[tag] = accepted.get(tag, ""), status
    if not before:
        return "Order accepted"
    if status == "trigger_pending":
        return ""  # a stop was moved: that has its own notice
    return "Stop triggered" if before == "trigger_pending" and line["trigger_paise"] else "Order changed"


def _is_the_report(told: Sequence[Push], report: Line) -> None:
    """The trades that were told are the report's, and the last word of the day holds its numbers."""
    closed = [push for push in told if push.head == "Closed"]
    assert [_closed(push) for push in closed] == [_trade(trade) for trade in report["trades"]]
    assert sum(push.head == "Signal" for push in told) == report["signals"]
    assert sum(push.head == "Order accepted" for push in told) == report["orders"]
    [ended] = [push for push in told if push.head == "Day ended"]
    gross, charges, net = (to_paise(report[key]) for key in ("gross", "charges", "net"))
    won = sum(trade["net"] > 0 for trade in report["trades"])
    said = ended.rest
    assert f"Net {rupees_text(net, sign=True)} (gross {rupees_text(gross, sign=True)}, " \
           f"charges {rupees_text(charges)})" in said  # fmt: skip
    assert re.search(rf"\b{len(report['trades'])} trades?\b", said)
    assert re.search(rf"\b{won} won, ", said)
    assert f"{report['signals']} signal" in said
    assert f"{report['orders']} order" in said
    assert "Nothing is open" in said
    assert not report["open_positions"]
    assert net == sum(to_paise(trade["net"]) for trade in report["trades"])


def _closed(push: Push) -> tuple[Any, ...]:
    found = re.fullmatch(
        r"P(\d) net (\S+) \(\S+ %\), (.+), (BUY|SELL) (\d+) × ₹(\S+) → ₹(\S+), charges (\S+)", push.rest
    )
    assert found, push
    rung, net, reason, side, quantity, entry, leave, charges = found.groups()
    return (push.time, push.symbol, int(rung), side, int(quantity), _paise(entry), _paise(leave),
            reason.replace(" ", "_"), _paise(charges), _paise(net))  # fmt: skip


def _trade(trade: Line) -> tuple[Any, ...]:
    prices = (to_paise(trade["entry_price"]), to_paise(trade["exit_price"]))
    return (trade["exit_time"][11:19], trade["symbol"].removeprefix("NSE:"), trade["rung"], trade["side"],
            trade["quantity"], *prices, trade["exit_reason"], to_paise(trade["charges"]),
            to_paise(trade["net"]))  # fmt: skip


def _paise(said: str) -> int:
    """'-₹1,234.50' -> -123450."""
    return to_paise(float(re.sub(r"[₹,+]", "", said)))


def _is_the_book(told: Sequence[Push], room: ServiceRoom) -> None:
    """Nothing was told that the exchange does not know, nothing kept back; it is flat and nothing works there."""
    book = Book.read(room.state / "paper.jsonl")
    fills = sum(line["k"] == "fill" for line in LineLog.read(room.state / "paper.jsonl"))
    assert sum(push.head in ("Filled", "Partly filled") for push in told) == fills
    placed = [order for order in book.orders.values() if order.status is not OrderStatus.REJECTED]
    assert sum(push.head == "Order accepted" for push in told) == len(placed)
    assert not book.working
    assert not any(lot.quantity for lot in book.positions.values())
    net = sum(_paise(push.rest.split("net ")[1].split(" ")[0]) for push in told if push.head == "Closed")
    assert book.realised - book.charges == net
