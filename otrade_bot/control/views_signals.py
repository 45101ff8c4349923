"""The day's signals as people read them: what was asked for, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from otrade_bot.control import words
from otrade_bot.control.asking import answers
from otrade_bot.control.reply import Action, Reply, bold, code, lines, text
from otrade_bot.control.views import asking
from otrade_bot.core.lang import t
from otrade_bot.core.money import rupees_text
from otrade_bot.trading.snapshot import SignalView, StatusView

__all__ = ["outcome", "questions", "signals"]

#: Buttons for so many questions at once; the rest says its names.
MOST = 5


def signals(found: Sequence[SignalView], newest: int, state: StatusView) -> Reply:
    """The newest first; what waits for an answer has buttons."""
    asks = asking(replace(state, waiting=0))
    if not found:
        return lines(bold(t("Signals")), t("No strategy has asked for an entry yet today."), asks)
    shown = list(reversed(found))[:newest]
    waiting = [one for one in found if one.state == "waiting"]
    more = len(found) - len(shown)
    said = lines(
        text(bold(t("Signals today: {n}", n=len(found))), " · ", _counts(found)),
        *(lines(_head(one), f"   {outcome(one)}") for one in shown),
        t("{n} more: /signals {all}", n=more, all=min(200, len(found))) if more else "",
        asks,
    )
    return Reply(said.runs, _buttons(waiting))


def questions(waiting: Sequence[SignalView]) -> Reply:
    """What waits for an answer, and how to give it."""
    if not waiting:
        return text(t("No signal waits for an answer."))
    said = lines(
        bold(t("Waiting for an answer")),
        *(lines(_head(one), f"   {outcome(one)}", _typed(one.ref)) for one in waiting),
    )
    return Reply(said.runs, _buttons(waiting))


def _typed(ref: str) -> Reply:
    return text("   ", code(f"/approve {ref}"), " · ", code(f"/skip {ref}"))


def _buttons(waiting: Sequence[SignalView]) -> tuple[Action, ...]:
    pairs = [answers(one.ref, max(1.0, one.seconds), _name(one)) for one in waiting[:MOST]]
    return tuple(action for pair in pairs for action in pair)


def _name(one: SignalView) -> str:
    return f"{words.symbol_text(one.symbol)} P{one.rung}"


def _head(one: SignalView) -> Reply:
    size = f" P{one.rung} {one.side.name} {one.quantity} @ {rupees_text(one.price)}"
    return text(f"{words.clock_text(one.ts_ns)} ", code(words.symbol_text(one.symbol)), size)


def _counts(found: Sequence[SignalView]) -> str:
    """Bought and closed are one: a position came of both."""
    many = Counter("bought" if one.state == "closed" else one.state for one in found)
    said = [
        t("{n} waiting", n=many["waiting"]) if many["waiting"] else "",
        t("{n} entered", n=many["bought"]) if many["bought"] else "",
        t("{n} refused or skipped", n=many["refused"]) if many["refused"] else "",
    ]
    return ", ".join(filter(None, said)) or t("none entered")


def outcome(one: SignalView) -> str:
    """What became of it, in words."""
    return _OUTCOMES.get(one.state, _plain)(one)


def _plain(one: SignalView) -> str:
    return one.reason or one.state


def _waiting(one: SignalView) -> str:
    return t("waits for an answer, {seconds} s left", seconds=f"{one.seconds:.0f}")


def _bought(one: SignalView) -> str:
    price = rupees_text(round(one.value / one.filled)) if one.filled else "-"
    return t("{done} of {n} filled @ {price}", done=one.filled, n=one.quantity, price=price)


def _closed(one: SignalView) -> str:
    return t("closed, net {net} ({reason})", net=rupees_text(one.net, sign=True), reason=one.reason.replace("_", " "))


_OUTCOMES: Mapping[str, Callable[[SignalView], str]] = {
    "new": lambda one: t("on its way"),
    "waiting": _waiting,
    "lost": lambda one: t("never answered: the program was started or opened anew while it waited; not entered"),
    "approved": lambda one: t("approved by {who}, on its way", who=one.by) if one.by else t("entered unanswered"),
    "refused": lambda one: t("not entered: {reason}", reason=one.reason),
    "sent": lambda one: t("sent to the broker, not filled yet"),
    "rejected": lambda one: t("refused by the broker: {reason}", reason=one.reason),
    "cancelled": lambda one: t("cancelled unfilled"),
    "bought": _bought,
    "closed": _closed,
}
