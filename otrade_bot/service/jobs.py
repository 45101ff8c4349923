"""What the jobs of a day do and say. The boundaries of the market are the engine's own to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

from otrade_bot.control.views_checks import Check, health_checks
from otrade_bot.control.words import count, day_text
from otrade_bot.core.clock import MINUTE, Clock, at_ist, iso, ist_date, to_ist
from otrade_bot.core.errors import BrokerException, ConfigException
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.model import Block
from otrade_bot.core.money import to_paise
from otrade_bot.core.session import Calendar, Segment, day_session
from otrade_bot.research.report import day_report
from otrade_bot.service.brokerside import BrokerSide
from otrade_bot.service.desk import Desk
from otrade_bot.service.journal import read_day
from otrade_bot.service.logs import get_logger
from otrade_bot.service.plan import Job
from otrade_bot.service.tapes import Tapes
from otrade_bot.trading.countdown import countdown, leaving
from otrade_bot.trading.engine import LiveTradingEngine
from otrade_bot.trading.unprotected import bare_lines

__all__ = ["DayJobs", "day_said"]

#: Jobs of the service; every other name is a boundary of the market.
OWN = ("token_check", "card", "card_again", "countdown", "report", "next_session", "evening", "self_check")
#: A card that is not green comes again after so long, also where nothing has changed.
NAG = 10 * MINUTE
#: Minutes before the square-off at which what is still held is told again.
COUNTDOWN = (5, 1)


class DayJobs:
    """Runs a job for the desk that is open. ``desk`` names it; ``checks`` are the service's own."""

    def __init__(
        self,
        desk: Callable[[], Desk],
        clock: Clock,
        calendar: Calendar,
        state_dir: Path,
        checks: Callable[[], Sequence[Check]],
        brokers: BrokerSide | None = None,
        tapes: Tapes | None = None,
        files: Mapping[str, Path] | None = None,
    ) -> None:
        """``files``: the strategies', by name."""
        self._desk, self._clock, self._calendar = desk, clock, calendar
        self._state_dir, self._checks, self._brokers = state_dir, checks, brokers
        self._tapes, self._files = tapes, files or {}
        self._checked: list[Check] = []
        self._card_told: tuple[int, bool, frozenset[str]] | None = None  #: when (ns), ready, the points by name

    async def run(self, job: Job, *, late: bool = False) -> None:
        """Do it; ``late`` is worth a word. One that is too late to be right is left out, and says so."""
        now, engine = self._clock.now_ns(), self._desk().engine
        when, name = f"{to_ist(job.at):%H:%M}", job.name.replace("_", " ")
        if job.stale(now):
            if job.quiet:
                return
            engine.alert(f"{name} of {when} was not done: the machine or the program stood still, and it is over")
            return
        if late:
            engine.alert(f"{name} of {when} comes late, at {to_ist(now):%H:%M:%S}")
        if job.name == "countdown":
            self._countdown(job.at)
        elif job.name in OWN:
            await getattr(self, f"_{job.name}")()
        else:
            engine.pulse(now)

    async def _token_check(self) -> None:
        """Would the broker take an order? Until it would, there are no entries. No answer says nothing of the token."""
        engine = self._desk().engine
        name = engine.broker.name
        await self._feeds_check()
        try:
            fault = await engine.broker.session_fault()
        except BrokerException as error:
            if not engine.unread:
                engine.alert(f"{name} cannot be asked whether it takes orders: {error}. otrade-bot doctor asks again")
            return
        if fault:
            engine.block(Block.TOKEN)
            self._wants_login(name, f"no session at {name}: {fault}. Send /login")
        elif name != "paper" or not engine.unread:  # on paper it is the prices' token that is missing
            engine.release(Block.TOKEN)

    async def _feeds_check(self) -> None:
        """Brokers whose prices alone are wanted."""
        side = self._brokers
        for name, connection in side.connections.items() if side is not None else ():
            if side is None or name == side.trading:
                continue
            with suppress(BrokerException):  # the stream says it where no price comes
                if fault := await connection.session_fault():
                    self._wants_login(name, f"no prices from {name}: {fault}. Send /login")

    def _wants_login(self, name: str, text: str) -> None:
        """With a button, which may be pressed all day."""
        self._desk().engine.alert(text, data={"login": [name]})

    async def _card(self) -> None:
        self._tell_card(self._bad())

    async def _card_again(self) -> None:
        """Each minute until the open: said again where something has changed, and every ten minutes until it is
        green."""
        if self._card_told is None or ist_date(self._card_told[0]) != self._desk().day:
            self._card_told = self._card_of_before()
        if (told := self._card_told) is None:
            return  # the first one was never due, or its time is to come
        at, ready, points = told
        bad = self._bad()
        if _names(bad) != points or (not ready and self._clock.now_ns() - at >= NAG):
            self._tell_card(bad)

    def _bad(self) -> list[Check]:
        """What is not well, of the engine's own and of the service."""
        engine = self._desk().engine
        checks = health_checks(engine.status(), engine.positions(), engine.orders(), engine.rows())
        self._checked = [*checks, *self._checks()]
        return [check for check in self._checked if not check.well]

    def _tell_card(self, found: Sequence[Check]) -> None:
        engine, now = self._desk().engine, self._clock.now_ns()
        bad = [f"!! {check.name}: {check.said}" for check in found]
        many = count(len(self._checked), "check")
        verdict = f"NOT READY, {count(len(bad), 'point')}" if bad else f"ready, {many} passed"
        text = "\n".join((verdict, _hours(engine), _held(engine), *bad))
        severity = Severity.WARNING if bad else Severity.INFO
        login = self._brokers.wanting(engine.blocks) if self._brokers is not None else []
        self._card_told = now, not bad, _names(found)
        self._say("card", text, severity, {"ready": not bad, "points": bad, "login": login})

    def _card_of_before(self) -> tuple[int, bool, frozenset[str]] | None:
        """The last one of a process before this one."""
        cards = [line for line in read_day(self._state_dir, self._desk().day) if line.get("boundary") == "card"]
        if not cards or not isinstance(cards[-1].get("points"), list):
            return None
        points = (str(one).removeprefix("!! ").partition(":")[0] for one in cards[-1]["points"])
        return int(cards[-1]["ns"]), cards[-1].get("ready") is True, frozenset(points)

    def _countdown(self, at: int) -> None:
        """What is still held a few minutes before it is squared off."""
        engine = self._desk().engine
        for minutes in COUNTDOWN:
            due = at + minutes * MINUTE
            if minutes < engine.config.market.warning_minutes and (held := leaving(engine, due, due + MINUTE - 1)):
                self._say("countdown", "", Severity.INFO, {
                    "positions": len(held), "minutes": minutes, **countdown(engine, held),
                })  # fmt: skip

    async def _evening(self) -> None:
        """Which tokens end over night, and until when a login is wanted."""
        assert self._brokers is not None
        ends = self._brokers.endings()
        if not ends:
            return
        opens = self._opens()
        said = [f"{one['broker']} until {one['until'] or 'nothing is known'}" for one in ends]
        text = f"tokens: {'; '.join(said)}. A login is wanted before {opens or 'the next session'}"
        self._say("evening", text, Severity.INFO, {"tokens": ends, "opens": opens})

    def _opens(self) -> str:
        """When the next session begins, '' where the calendar does not reach so far."""
        with suppress(ConfigException):
            following = self._calendar.next_trading_day(self._desk().day)
            session = day_session(following, Segment.EQUITY, True, self._calendar)
            return iso(session.open) if session is not None else ""
        return ""

    async def _report(self) -> None:
        """The exchange's close, a last look at the books (a difference is believed when seen twice), the day."""
        desk = self._desk()
        desk.end()
        for _ in range(2):
            await desk.engine.reconcile(over=True)
        lines = read_day(self._state_dir, desk.day)
        data = day_said(desk.engine, day_report(lines, desk.day))
        data["next_session"] = self.next_session_text()
        severity = Severity.RISK if data["open_positions"] and _intraday(desk.engine) else Severity.INFO
        desk.engine.emit(Event(EventKind.DAY, self._clock.now_ns(), severity=severity, data=data))

    async def _self_check(self) -> None:
        """The day's tape once more through the kernel. A difference rings; that all is the same is one quiet line."""
        desk = self._desk()
        found = await self._tapes.check(desk.day, self._files) if self._tapes is not None else {}
        if not found:
            return
        words = str(found.get("words") or f"self-check: {found.get('error')}")
        get_logger().info("self-check", result=words)
        said = {key: found[key] for key in ("inputs", "ticks", "intents", "marks", "segments") if key in found}
        self._say("self_check", words, Severity.DEBUG, {"well": found.get("well") is True, **said})
        if found.get("difference") or found.get("error"):
            desk.engine.alert(words)

    async def _next_session(self) -> None:
        """Look ahead: is the calendar known that far, and what stays open over night?"""
        text = "\n".join((self.next_session_text(), _held(self._desk().engine)))
        self._say("next", text, Severity.INFO, {})

    def next_session_text(self) -> str:
        """'Next session: Mon 05 Oct 2026, closed before it: Mahatma Gandhi Jayanti', of the day that is open."""
        day = self._desk().day
        try:
            following = self._calendar.next_trading_day(day)
        except ConfigException as error:
            return f"Next session: not known ({error})"
        between = (date.fromordinal(n) for n in range(day.toordinal() + 1, following.toordinal()))
        closed = [self._calendar.holiday_name(one) for one in between if one.weekday() < 5]
        why = f", closed before it: {', '.join(closed)}" if closed else ""
        return f"Next session: {day_text(at_ist(following, 12))}{why}"

    def _say(self, boundary: str, text: str, severity: Severity, data: dict[str, Any]) -> None:
        event = Event(
            EventKind.SESSION, self._clock.now_ns(), text=text, severity=severity, data={"boundary": boundary, **data}
        )
        self._desk().engine.emit(event)


def _names(found: Sequence[Check]) -> frozenset[str]:
    """What is wrong, without the numbers that change each minute."""
    return frozenset(check.name for check in found)


def _hours(engine: LiveTradingEngine) -> str:
    """'Opens 09:15 · entries to 14:40 · square-off 14:55 · closes 15:35', of the day as a whole."""
    sessions, params = engine.sessions.values(), engine.params
    traded = [row.index for row in engine.table if row.strategy]
    entries = max((int(params[i]["entry_until"]) for i in traded), default=0)
    leaves = sorted({int(params[i]["square_off"]) for i in traded if params[i]["square_off"]})
    parts = [f"Opens {to_ist(min(s.open for s in sessions)):%H:%M}"]
    if entries:
        parts.append(f"entries to {to_ist(entries):%H:%M}")
    if leaves:
        parts.append("square-off " + " and ".join(f"{to_ist(ns):%H:%M}" for ns in leaves))
    parts.append(f"closes {to_ist(max(s.close for s in sessions)):%H:%M}")
    return " · ".join(parts)


def _held(engine: LiveTradingEngine) -> str:
    if engine.unread:
        return f"Positions are NOT KNOWN: {engine.unread}"
    held = engine.positions()
    if not held:
        return "No open positions"
    names = ", ".join(f"{p.symbol} {int(p.side) * p.quantity:+d}" for p in held)
    bare = [f"UNPROTECTED now, {line}" for line in bare_lines(held)]
    return "\n".join((f"{count(len(held), 'open position')}: {names}", *bare))


def _intraday(engine: LiveTradingEngine) -> bool:
    return any(row.product.intraday for row in engine.table if row.strategy)


def day_said(engine: LiveTradingEngine, found: dict[str, Any]) -> dict[str, Any]:
    """The DAY event's data: the numbers of the day's report, and what only the engine knows."""
    status = engine.status()
    trades = found["trades"]
    return {
        "day": found["day"], "trades": len(trades),
        "gross_paise": to_paise(found["gross"]), "charges_paise": to_paise(found["charges"]),
        "net_paise": to_paise(found["net"]),
        "wins": sum(trade["net"] > 0 for trade in trades), "losses": sum(trade["net"] < 0 for trade in trades),
        **_extremes(trades),
        "signals": found["signals"], "orders": found["orders"], "refusals": found["refusals"],
        **_carried_out(found),
        "ticks": status.ticks, "dropped": status.dropped, "open_positions": found["open_positions"],
        **({"self_check": found["self_check"]} if found.get("self_check") else {}),
    }  # fmt: skip


def _carried_out(found: dict[str, Any]) -> dict[str, Any]:
    """Slippage, latency, why not, and all by strategy; money in paise."""
    slip = found["slippage"]
    return {
        "slippage_paise": to_paise(slip["rupees"]), "slippage_shares": slip["shares"],
        "slippage_entries": slip["entries"], "latency": found["latency"],
        "refusal_reasons": found["refusal_reasons"], "rejected": found["rejected"],
        "by_strategy": [
            {
                "strategy": name, "trades": one["trades"], "wins": one["wins"], "losses": one["losses"],
                **{f"{key}_paise": to_paise(one[key]) for key in ("gross", "charges", "net")},
                "signals": one["signals"], "refusals": one["refusals"],
                "slippage_paise": to_paise(one["slippage"]["rupees"]), "slippage_shares": one["slippage"]["shares"],
            }
            for name, one in found["by_strategy"].items()
        ],
    }  # fmt: skip


def _extremes(trades: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Best and worst trade, where there is one to compare."""
    if not trades:
        return {}
    ordered = sorted(trades, key=lambda trade: trade["net"])
    named = {"worst": ordered[0], "best": ordered[-1]}
    return {key: {"symbol": t["symbol"], "net_paise": to_paise(t["net"])} for key, t in named.items()}


