"""The real clock, at its boundaries: the scheduler itself fires, in short windows under libfaketime.

Each scene is the real process, started some seconds before a boundary of a made-up Wednesday and stopped as
soon as what is due has come. All run at once, but those that go on with the same account.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from otrade_bot.core.clock import MINUTE, SECOND, at_ist, from_iso
from otrade_bot.kernel.compile import Kernel
from tests.acceptance.service_room import ServiceRoom

LIBRARY = next(
    (path for folder in ("/usr/lib", "/usr/local/lib") for path in Path(folder).glob("**/faketime/libfaketime.so.1")),
    None,
)
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="libfaketime is missing: apt-get install faketime")

DAY, HOLIDAY = date(2026, 9, 16), date(2026, 10, 2)
#: Its close belongs to the closing auction: square-off 14:55, last close 15:35. Quick to signal, far from its stop.
SETTINGS = {
    "telegram.json": {"users": []},
    "trading.json": {
        "capital_per_position": 30_000,
        "strategies": [
            {"name": "ema_crossover", "instruments": ["NSE:RELIANCE"], "timeframe": "tick",
             "params": {"fast": 2, "slow": 3, "stop_percent": 5, "target_percent": 10}},
        ],
    },
}  # fmt: skip
#: Seconds before a boundary. A start takes two, on a busy machine several; where these are not enough, more.
AHEAD, AGAIN = 12, 30
Line = dict[str, Any]


class TooSlow(Exception):  # noqa: N818  # no error of the service
    """The machine is so busy that the boundary came before the process was up."""


@dataclass
class Clocked:
    """A room whose process lives at another time."""

    room: ServiceRoom
    day: date
    ahead: int = AHEAD
    before: int = 0  #: lines of the journal that earlier processes wrote
    codes: list[int] = field(default_factory=list)

    async def at(self, hour: int, minute: int) -> Line:
        """Start so long before that minute of the day; what the process says when it is up."""
        self.before = len(self.room.journal(self.day))
        boundary = at_ist(self.day, hour, minute)
        await self.room.start(**faked(stamp(boundary - self.ahead * SECOND)))
        eve = self.day - timedelta(1)
        await self.until(lambda: self.find("run", state="started") or self.room.journal(eve, "run"))
        started = (self.find("run", state="started") or self.room.journal(eve, "run"))[0]
        if started["ns"] >= boundary:
            raise TooSlow
        return started

    async def until(self, condition: Callable[[], object], seconds: float = 40) -> None:
        await self.room.until(lambda: bool(condition()), seconds, "")

    async def line(self, kind: str, seconds: float = 40, **wanted: Any) -> Line:
        """The first new line of the journal of that kind with these values."""
        await self.until(lambda: self.find(kind, **wanted), seconds)
        return self.find(kind, **wanted)[0]

    def find(self, kind: str, **wanted: Any) -> list[Line]:
        new = self.room.journal(self.day)[self.before :]
        return [line for line in new if line["kind"] == kind and wanted.items() <= line.items()]

    @property
    def heart(self) -> dict[str, Any]:
        """The heartbeat."""
        path = self.room.state / "heartbeat.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    async def stop(self) -> None:
        self.codes.append(await self.room.stop())


def stamp(moment: int) -> str:
    """As libfaketime reads it, for a process whose time zone is UTC."""
    seconds = (moment - at_ist(date(1970, 1, 1), 5, 30)) // SECOND
    return f"@{date(1970, 1, 1) + timedelta(seconds // 86400)} {timedelta(seconds=seconds % 86400)}"


def faked(when: str) -> dict[str, str]:
    """asyncio sleeps on the monotonic clock, so that one stays real."""
    return {
        "LD_PRELOAD": str(LIBRARY), "FAKETIME": when, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
        "TZ": "UTC",
    }  # fmt: skip


def clock(hour: int, minute: int, day: date = DAY) -> int:
    return at_ist(day, hour, minute)


# --- the scenes ---------------------------------------------------------------------------------------


async def one_day(scene: Clocked) -> dict[str, Any]:
    """Open, a first position, its square-off, the report: three processes on one account."""
    found: dict[str, Any] = {}
    await scene.at(9, 15)
    found["open"] = await scene.line("session", boundary="open")
    found["armed"] = await scene.line("stop", state="armed")
    found["signal"] = scene.find("signal")[0]
    await scene.stop()

    found["recovered"] = await scene.at(14, 55)
    found["square_off"] = await scene.line("session", boundary="square_off")
    found["trade"] = await scene.line("trade", exit_reason="square_off")
    await scene.stop()

    found["again"] = await scene.at(15, 36)
    found["day"] = await scene.line("day")
    await scene.until(lambda: (scene.heart.get("last_job") or {}).get("name") == "report")
    found["heart"] = scene.heart
    await scene.stop()
    return found


async def card(scene: Clocked) -> dict[str, Any]:
    started = await scene.at(8, 45)
    said = await scene.line("session", boundary="card")
    await scene.until(lambda: (scene.heart.get("last_job") or {}).get("name") == "card")
    heart = scene.heart
    await scene.stop()
    return {"started": started, "card": said, "heart": heart}


async def holiday(scene: Clocked) -> dict[str, Any]:
    """Over the minute at which another day would open."""
    started = await scene.at(9, 15)
    after = at_ist(HOLIDAY, 9, 15) + 2 * SECOND
    await scene.until(lambda: from_iso(scene.heart.get("market", "1970-01-01T00:00:00+00:00")) > after)
    heart = scene.heart
    await scene.stop()
    return {"started": started, "heart": heart, "lines": scene.room.journal(HOLIDAY), "said": scene.room.said()}


async def midnight(scene: Clocked) -> dict[str, Any]:
    """From Tuesday into Wednesday."""
    before = await scene.at(0, 0)
    reopened = await scene.line("run", state="reopened")
    await scene.until(lambda: from_iso(scene.heart["market"]) > reopened["ns"])
    heart = scene.heart
    await scene.stop()
    return {"before": before, "reopened": reopened, "heart": heart}


async def step(scene: Clocked) -> dict[str, Any]:
    """The clock is set forward by 12 minutes: over the card, over the open; at last over the square-off."""
    file = scene.room.folder / "clock"
    put(file, clock(8, 36))
    own = {key: value for key, value in faked("").items() if key != "FAKETIME"}
    await scene.room.start(**own, FAKETIME_TIMESTAMP_FILE=str(file), FAKETIME_NO_CACHE="1")
    await scene.line("run", state="started")
    put(file, clock(8, 48))
    await scene.line("session", boundary="card")
    await scene.line("run", state="reopened")
    for moment in (clock(9, 8), clock(9, 20)):
        before = len(scene.find("run", state="reopened"))
        put(file, moment)
        await scene.until(partial(more_than, scene, before))
    armed = await scene.line("stop", state="armed")
    put(file, clock(14, 56))
    trade = await scene.line("trade")
    await scene.stop()
    return {"armed": armed, "trade": trade, "alerts": scene.find("alert"),
            "cards": scene.find("session", boundary="card")}  # fmt: skip


def more_than(scene: Clocked, before: int) -> bool:
    return len(scene.find("run", state="reopened")) > before


def put(file: Path, moment: int) -> None:
    """Set the clock, in one step for whoever reads it."""
    fresh = file.with_suffix(".new")
    fresh.write_text(stamp(moment))
    fresh.replace(file)


Act = Callable[[Clocked], Coroutine[Any, Any, dict[str, Any]]]
SCENES: dict[str, tuple[Act, date]] = {
    "one_day": (one_day, DAY), "card": (card, DAY), "holiday": (holiday, HOLIDAY), "midnight": (midnight, DAY),
    "step": (step, DAY),
}  # fmt: skip


async def played(act: Act, scene: Clocked) -> dict[str, Any]:
    """What it found. Leaves no process behind."""
    try:
        return {**await act(scene), "codes": scene.codes}
    except Exception as error:
        error.add_note(scene.room.said()[-3000:])
        raise
    finally:
        if scene.room.process is not None and scene.room.process.returncode is None:
            scene.room.process.kill()
            await scene.room.ended()


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory, kernel: Kernel) -> dict[str, Any]:
    """What each scene found, or the error that ended it. ``kernel``: compiled by now, so that no start has to."""
    folder = tmp_path_factory.mktemp("faketime")

    async def play(name: str) -> dict[str, Any] | BaseException:
        act, day = SCENES[name]
        try:
            try:
                return await played(act, Clocked(ServiceRoom(folder / name, None, settings=SETTINGS), day))
            except TooSlow:
                room = ServiceRoom(folder / f"{name}-again", None, settings=SETTINGS)
                return await played(act, Clocked(room, day, AGAIN))
        except Exception as error:
            return error

    async def all_at_once() -> dict[str, Any]:
        return dict(zip(SCENES, await asyncio.gather(*map(play, SCENES)), strict=True))

    return asyncio.run(all_at_once())


@pytest.fixture
def found(request: pytest.FixtureRequest, scenes: dict[str, Any]) -> dict[str, Any]:
    """The scene that the test's name ends with."""
    scene = scenes[request.param]
    if isinstance(scene, BaseException):
        raise scene
    assert set(scene["codes"]) == {0}
    got: dict[str, Any] = scene
    return got


def of(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("found", [name], indirect=True)


# --- what must have come ------------------------------------------------------------------------------


@of("card")
def test_the_card_comes_at_a_quarter_to_nine(found: dict[str, Any]) -> None:
    assert found["started"]["ns"] < clock(8, 45) <= found["card"]["ns"]
    job = found["heart"]["last_job"]
    assert job["ok"]
    assert from_iso(job["at"]) == clock(8, 45)
    assert found["heart"]["next_job"] == {"name": "open", "at": "2026-09-16T09:15:00+05:30"}


@of("one_day")
def test_the_market_opens_and_the_first_signal_is_traded(found: dict[str, Any]) -> None:
    assert found["open"]["ns"] == clock(9, 15)
    assert clock(9, 15) <= found["signal"]["ns"] < clock(9, 16)
    assert found["armed"]["quantity"] > 0


@of("one_day")
def test_a_position_of_the_morning_is_squared_off_at_its_time(found: dict[str, Any]) -> None:
    held = found["recovered"]["positions"]
    assert [(p["symbol"], p["stop_resting"]) for p in held] == [("NSE:RELIANCE", True)]
    assert found["recovered"]["ns"] < clock(14, 55) == found["square_off"]["ns"]
    assert from_iso(found["trade"]["exit_time"]) >= clock(14, 55)
    assert found["trade"]["quantity"] == held[0]["quantity"]


@of("one_day")
def test_the_report_comes_a_minute_after_the_last_close(found: dict[str, Any]) -> None:
    assert found["again"]["ns"] < clock(15, 36) <= found["day"]["ns"]
    assert found["again"]["positions"] == []
    assert (found["day"]["trades"], found["day"]["open_positions"]) == (1, [])
    assert found["day"]["net_paise"] == found["trade"]["net_paise"]
    assert found["heart"]["last_job"]["ok"]
    assert found["heart"]["next_job"]["name"] == "next_session"


@of("holiday")
def test_on_a_holiday_nothing_fires_and_the_next_session_is_said(found: dict[str, Any]) -> None:
    assert {line["kind"] for line in found["lines"]} == {"run"}
    assert found["heart"]["running"]
    assert found["heart"]["phase"] == "closed"
    assert found["heart"]["next_job"] == {"name": "new_day", "at": "2026-10-05T00:00:00+05:30"}
    assert "No session today. Next session: Mon 5 Oct 2026, closed before it: " in found["said"]


@of("midnight")
def test_after_midnight_the_desk_opens_the_new_day(found: dict[str, Any]) -> None:
    assert found["before"]["ns"] < clock(0, 0) <= found["reopened"]["ns"]
    assert found["reopened"]["text"] == "a new trading day"
    assert found["heart"]["next_job"] == {"name": "token_check", "at": "2026-09-16T08:15:00+05:30"}


def _points(card: dict[str, Any]) -> set[str]:
    return {point.partition(":")[0] for point in card["points"]}


@of("step")
def test_a_clock_that_is_set_is_noticed_and_what_was_due_is_caught_up(found: dict[str, Any]) -> None:
    alerts = [line["text"] for line in found["alerts"]]
    assert any("the machine's clock was set forward by 7" in text for text in alerts)
    cards = found["cards"]
    assert clock(8, 48) <= cards[0]["ns"] < clock(9, 0)
    for before, after in pairwise(cards):  # it nags, and not without a reason
        assert after["ns"] < clock(9, 15)
        assert _points(before) != _points(after) or after["ns"] - before["ns"] >= 10 * MINUTE
    assert any("card of 08:45 comes late" in text for text in alerts)


@of("step")
def test_a_step_over_the_open_is_said_and_trading_begins(found: dict[str, Any]) -> None:
    """Late, or not at its time: whether the scheduler wakes before the step is seen is nobody's promise."""
    said = [line["text"] for line in found["alerts"]]
    assert any("not done at its time: open 09:15" in text or "open of 09:15 comes late" in text for text in said)
    assert clock(9, 20) <= found["armed"]["ns"] < clock(9, 25)


@of("step")
def test_a_step_over_the_square_off_makes_up_for_it(found: dict[str, Any]) -> None:
    trade = found["trade"]
    assert trade["exit_reason"] == "square_off"
    assert clock(14, 56) <= from_iso(trade["exit_time"]) < clock(14, 58)
