"""Entries that wait for a person: approve, skip, or so many seconds of the wall clock.

What waits is pending in the kernel (its capital is bound), and nothing of it is at the broker. It is judged again by
every limit and by the gate when it is approved; whatever stops entries meanwhile takes the question back. Exits never
wait.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from otrade_bot.core.errors import CommandException
from otrade_bot.core.events import Event, EventKind
from otrade_bot.core.lang import t
from otrade_bot.core.model import Side
from otrade_bot.core.money import rupees_text
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.limits import entry_limit

if TYPE_CHECKING:
    from otrade_bot.trading.engine import LiveTradingEngine
    from otrade_bot.trading.engine import _Intent as Intent

__all__ = ["Approvals", "Question"]

#: Questions that are over are remembered, so that a late answer is told how they ended.
_KEPT = 500
#: Limits that may allow it again in the next moment: they count when it is answered.
_PASSING = ("stale", "capital")
_ROW = ("ts", "bars", "cool_until")
_ACCOUNT = ("blocked", "max_rungs", "total_capital", "max_trades", "halted", "stale", "rungs", "used", "trades")
_PARAMS = ("tradable", "enabled", "short", "intraday", "entry_from", "entry_until", "warm")


@dataclass(frozen=True, slots=True)
class Question:
    """An entry that waits. ``ref`` names it, for this process alone; ``until`` is wall, seconds; ``enters``: people
    have been told that silence is a yes."""

    ref: str
    intent: Intent
    until: float
    enters: bool = False


@dataclass(slots=True)
class Approvals:
    """``wall`` gives seconds that always advance, whatever the market's clock does."""

    engine: LiveTradingEngine
    wall: Callable[[], float] = time.monotonic
    waiting: dict[str, Question] = field(default_factory=dict)
    over: dict[str, str] = field(default_factory=dict)  #: how questions ended, by name
    skipped: dict[int, tuple[int, str]] = field(default_factory=dict)  #: by row: the side of a signal, and who said no

    # --- what the kernel wants ---------------------------------------------------------------------------------

    def take(self, i: Intent) -> bool:
        """True where the entry waits now, or a person has said no to this signal already."""
        if not self.engine.config.trading.approval.ask:
            return False
        if said := self._said_no(i):
            self.engine.refuse(i, "skipped", said, by=self.skipped[i.row][1], again=True)
            self.engine.tell_rejected(i)
            return True
        if self.engine.manager.objection(i) is not None:
            return False  # it would be refused whatever is answered
        wish = self.engine.config.trading.approval
        question = Question(self._name(), i, self.wall() + wish.seconds, wish.unanswered == "enter")
        self.waiting[question.ref] = question
        self.engine.say_signal(i, ref=question.ref, seconds=wish.seconds, unanswered=wish.unanswered)
        return True

    def _name(self) -> str:
        """By chance, so that a button of an earlier process or day can never fit."""
        while (ref := secrets.token_hex(3)) in self.waiting or ref in self.over:
            pass
        return ref

    def _said_no(self, i: Intent) -> str:
        """Who skipped this signal, which has not gone away since. A later rung is asked for once a position anyhow."""
        side, by = self.skipped.get(i.row, (0, ""))
        return f"skipped by {by}, and the signal has not gone away since" if side == i.side and not i.rung else ""

    def gone(self, row: int) -> None:
        """A row's strategy has been asked again: once it says no, its next yes is a new signal."""
        side = self._side(row)
        if side and not int(self.engine.state[row]["verdict"]) & (1 if side > 0 else 2):
            del self.skipped[row]

    def remember(self, events: Iterable[Event]) -> None:
        """Signals that were skipped before this process and have not gone away since, by the day's journal."""
        for event in events:
            row, data = self.engine.by_symbol.get(event.symbol, -1), event.data
            if event.kind is EventKind.REFUSAL and data.get("code") == "skipped" and data.get("rung") == 1 and row >= 0:
                self.skipped[row] = (-1 if data.get("side") == "SELL" else 1), str(data.get("by", ""))
                continue
            anew = event.kind is EventKind.SIGNAL and data.get("rung") == 1
            went = event.kind is EventKind.EVALUATION and not data.get("sell" if self._side(row) < 0 else "buy")
            if anew or went:
                self.skipped.pop(row, None)

    def _side(self, row: int) -> int:
        """Of the signal that was skipped; 0 where none was."""
        return self.skipped.get(row, (0, ""))[0]

    def leave(self, i: Intent, why: str) -> bool:
        """The kernel wants the rung closed while it waits: the question ends, and there is nothing to exit. False where
        none waits for it."""
        question = next((q for q in self.waiting.values() if _rung(q.intent) == _rung(i)), None)
        if question is None:
            return False
        self._end(question, "withdrawn", f"not asked any more: {why}")
        return True

    # --- what people say -------------------------------------------------------------------------------------------

    def approve(self, ref: str, by: str) -> str:
        """Enter it, judged again as of now; what was sent, or why nothing was. Raises CommandException."""
        question = self._of(ref)
        why = self._enter(question, by)
        what = self._what(question.intent)
        said = t("{what} is not sent: {why}.", what=what, why=why) if why else t("{what} is sent.", what=what)
        return f"{said} {self._prices(question.intent)}"

    def skip(self, ref: str, by: str) -> str:
        """Leave it. Raises CommandException."""
        question = self._of(ref)
        i = question.intent
        if not i.rung:
            self.skipped[i.row] = i.side, by
        self._end(question, "skipped", f"skipped by {by}", by)
        return t("{what} is skipped: nothing was sent.", what=self._what(i))

    def _of(self, ref: str) -> Question:
        self.look()
        question = self.waiting.get(ref)
        if question is None or self.engine.retired:
            ended = self.over.get(ref) or t("it is of before the desk was opened again, or was never asked")
            raise CommandException(t("Nothing was done: this question is over ({why}).", why=ended))
        return question

    def seconds(self, ref: str) -> float:
        """How long an answer still counts; 0 where none does."""
        question = self.waiting.get(ref)
        return max(0.0, question.until - self.wall()) if question else 0.0

    # --- what happens meanwhile ------------------------------------------------------------------------------------

    def look(self) -> None:
        """Take back what may not be entered any more, and end what nobody has answered. Call it about once a
        second."""
        for question in list(self.waiting.values()):
            if question.ref not in self.waiting:
                continue  # ended by what the one before it has set off
            fault = self._fault(question.intent)
            if fault is not None and fault[0] not in _PASSING:
                self._end(question, *fault)
            elif self.wall() >= question.until:
                self._unanswered(question)

    def _unanswered(self, question: Question) -> None:
        if question.enters and self.engine.config.trading.approval.unanswered == "enter":
            self._enter(question, "")
        else:
            self._end(question, "unanswered", "nobody answered in time")

    def stop(self, why: str) -> None:
        """Entries are stopped: no answer enters anything that was asked before."""
        for question in list(self.waiting.values()):
            self._end(question, "blocked", f"not asked any more: {why}")

    # --- the end of a question -------------------------------------------------------------------------------------

    def _enter(self, question: Question, by: str) -> str:
        """Why it was not sent; '' where it was."""
        engine, i = self.engine, question.intent
        if fault := self._fault(i):
            self._end(question, *fault)
            return fault[1]
        now = i._replace(ts=engine.clock.now_ns())
        self._forget(question, f"approved by {by}" if by else "entered, as nobody answered")
        engine.emit(Event(EventKind.APPROVAL, now.ts, engine.table[i.row].instrument.symbol, data={
            "ref": question.ref, "by": by, "rung": i.rung + 1, "side": Side(i.side).name, "quantity": i.qty,
            "signal_paise": i.price, "price_paise": engine.table[i.row].ltp,
        }))  # fmt: skip
        refused = engine.send_entry(now)
        return refused.reason if refused is not None else ""

    def _end(self, question: Question, code: str, why: str, by: str = "") -> None:
        """No entry: the kernel's rung is free again, and it is said why."""
        self._forget(question, why)
        self.engine.refuse(question.intent._replace(ts=self.engine.clock.now_ns()), code, why, by=by, ref=question.ref)
        self.engine.tell_rejected(question.intent)

    def _forget(self, question: Question, how: str) -> None:
        del self.waiting[question.ref]
        self.over[question.ref] = how
        while len(self.over) > _KEPT:
            del self.over[next(iter(self.over))]

    # --- judging it again --------------------------------------------------------------------------------------------

    def _fault(self, i: Intent) -> tuple[str, str] | None:
        """(code, words) of what forbids it by now, its own share of the limits left out. The gate is asked by the
        sending."""
        engine, row = self.engine, self.engine.table[i.row]
        s, a, p = engine.state[i.row], engine.account[0], engine.params[i.row]
        if int(s["side"][i.rung]) != i.side or int(s["cycle"][i.rung]) != i.cycle:
            return "withdrawn", "its rung is not waiting any more"
        for below in range(i.rung):
            if not _held(s, below) or s["exit_pending"][below]:
                return "ladder", f"P{below + 1} is not held any more"
        account = _plain(a, _ACCOUNT)
        account.rungs, account.trades = account.rungs - 1, account.trades - 1
        account.used -= int(s["reserve"][i.rung])
        price, now = row.ltp or i.price, engine.clock.now_ns()
        code = entry_limit(_plain(s, _ROW), account, _plain(p, _PARAMS), now, i.rung, i.side, i.qty, price)
        return None if code == abi.OK else engine.limit_words(code, price)

    def _what(self, i: Intent) -> str:
        symbol = self.engine.table[i.row].instrument.symbol
        return f"{symbol} P{i.rung + 1}: {Side(i.side).name} {i.qty}"

    def _prices(self, i: Intent) -> str:
        """How far the price has gone while the question waited."""
        now = self.engine.table[i.row].ltp
        if not i.price or now == i.price:
            return t("The price is still {now}.", now=rupees_text(now))
        return t("The price was {then} at the signal and is {now} now ({gone} %).", then=rupees_text(i.price),
                 now=rupees_text(now), gone=f"{(now / i.price - 1) * 100:+.2f}")  # fmt: skip


def _rung(i: Intent) -> tuple[int, int, int]:
    return i.row, i.rung, i.cycle


def _held(s: Any, rung: int) -> int:
    return int(s["filled"][rung] - s["exited"][rung])


def _plain(record: Any, names: Iterable[str]) -> SimpleNamespace:
    """Fields of a record as Python numbers with attributes."""
    return SimpleNamespace(**{name: int(record[name]) for name in names})
