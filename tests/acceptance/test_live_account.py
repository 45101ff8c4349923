"""The real ``otrade-bot run``: what was kept of one account's positions is not believed of another's.

The person logs in to another account at the same broker, and says yes. It holds shares of its own.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from otrade_bot.brokers.tokens import FILE, Token, TokenStore
from otrade_bot.core.clock import ManualClock, at_ist, to_ist
from otrade_bot.core.events import Event, EventKind
from otrade_bot.service.journal import DayJournal
from otrade_bot.trading.carry import Carried
from tests.acceptance.service_room import OWNER
from tests.acceptance.test_live_login import KEY, Live, live
from tests.venues.kite import Kite

SHARE, OURS, THEIRS = "NSE:RELIANCE", 3, 50


def kept(folder: Path) -> None:
    """The diaries of the days before: three shares are a rung of ours."""
    day = to_ist(time.time_ns()).date()
    rung = Carried(SHARE, "ema_crossover", 1, 1, "BUY", OURS, 300_000, 90_000, 1)
    for back in range(1, 5):
        at = at_ist(day - timedelta(days=back), 10)
        journal = DayJournal(folder, ManualClock(at))
        journal.append(Event(EventKind.RUN, at, data={"state": "started", "broker": "kite"}))
        journal.append(Event(EventKind.CARRY, at, data={"rungs": [asdict(rung)]}))
        journal.close()


def held(at: Live) -> list[dict[str, Any]]:
    """By the newest heartbeat."""
    try:
        heart = json.loads((at.room.state / "heartbeat.json").read_bytes())
    except (OSError, ValueError):
        return []
    return [one for one in heart["positions"] if not heart["unread"]]


def ours(at: Live) -> int:
    return sum(one["quantity"] for one in held(at) if not one["external"])


async def test_what_one_account_was_left_with_is_not_taken_out_of_another_one(tmp_path: Path) -> None:
    kept(tmp_path / "state")
    store = TokenStore(tmp_path / "state" / FILE, KEY)
    now = time.time_ns()
    store.save("kite", Token(Kite.TOKEN, "AB1234", now, now + 10**15))
    async with live(tmp_path, "kite", product="CNC", holdings={SHARE: (OURS, 100_000)}) as at:
        assert isinstance(at.venue, Kite)
        await at.room.until(lambda: ours(at) == OURS, 60, "the rung of the days before")
        await at.room.until(lambda: len(at.venue.gtts.all) == 1, 60, "its stop")
        at.venue.profile["user_id"] = "ZZ9999"
        at.venue.exchange.holdings[SHARE] = (THEIRS, 100_000)
        at.venue.gtts.all.clear()
        at.venue.expire()
        await at.answer(at.venue.log_in(await at.page()), "Trade with the account ZZ9999")
        before = len(at.venue.calls)
        await at.answer("/login yes", "Logged in to Kite as ZZ9999")
        await at.room.until(lambda: sum(one["quantity"] for one in held(at)) == THEIRS, 60, "what the other one holds")
        assert ours(at) == 0
        await at.room.until(lambda: any("the account at kite is ZZ9999, before it was AB1234" in sent.text
                                        for sent in at.api.to(OWNER)))  # fmt: skip
        # Nor by the next process.
        assert await at.room.stop() == 0
        (at.room.state / "heartbeat.json").unlink()
        await at.room.start(**at.environment)
        await at.room.until(lambda: bool(held(at)), 60)
        assert ours(at) == 0
        assert await at.room.stop() == 0
        assert {call.name for call in at.venue.calls[before:]} & {"place", "modify", "place_gtt", "modify_gtt"} == set()
        assert len(list((at.room.state / "journal.kite-AB1234").glob("*.jsonl"))) >= 4
