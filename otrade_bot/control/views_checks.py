"""Answers to "is it well?", and the two sides of a flatten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from otrade_bot.control import words
from otrade_bot.control.reply import Action, Reply, bold, code, filled, lines, pre, text
from otrade_bot.control.views import blocks, feed_old
from otrade_bot.core.clock import SECOND
from otrade_bot.core.lang import t
from otrade_bot.core.session import Phase
from otrade_bot.trading.snapshot import OrderView, Position, RowView, StatusView
from otrade_bot.trading.unprotected import bare_lines

__all__ = ["Check", "flatten_preview", "flatten_result", "health", "health_checks", "within"]

#: A symbol is told as quiet when it is this much older than the newest price of all.
QUIET = 300 * SECOND


@dataclass(frozen=True, slots=True)
class Check:
    """One line of /health. ``said`` is what was found, and the cure where it is not well."""

    name: str
    well: bool
    said: str


def health(checks: Sequence[Check]) -> Reply:
    bad = sum(not check.well for check in checks)
    verdict = t("{n} of {all} need a look", n=bad, all=len(checks)) if bad else t("all well")
    return lines(
        text(bold(t("Health")), f" {verdict}"),
        *(
            text("OK " if check.well else bold("!! "), bold(check.name), f": {check.said}")
            for check in checks
        ),
    )


def health_checks(
    state: StatusView, held: Sequence[Position], orders: Sequence[OrderView], rows: Sequence[RowView]
) -> list[Check]:
    """What the engine's own values tell of its health."""
    unknown = [one for one in orders if one.unknown]
    cold = [one for one in rows if one.strategy and one.bars < one.warm]
    reasons = blocks(state).to_plain().replace("• ", "").replace("\n", "; ")
    return [
        _feed_check(state),
        _quiet_check(rows),
        Check(t("Entries"), not reasons, reasons or t("allowed")),
        *_books_checks(state, held, unknown),
        Check(
            t("Warm-up"),
            not cold,
            _named(t("{n} waiting for bars: {names}"), [f"{_short(one)} {one.bars}/{one.warm}" for one in cold]),
        ),
        Check(t("Prices"), True, words.dropped_text(state.dropped)),
    ]


def _books_checks(state: StatusView, held: Sequence[Position], unknown: Sequence[OrderView]) -> list[Check]:
    """Nothing is fine of what nobody has read."""
    if state.unread:
        said = t("not known: the broker's books cannot be read")
        return [Check(name, False, said) for name in (t("Stops"), t("Orders"))]
    bare = [one for one in held if not (one.stop_resting or one.external)]
    doubts = _named(t("{n} outcome unknown: {names}"), [f"{_short(one)} {one.tag}" for one in unknown])
    return [Check(t("Stops"), not bare, _stops(held, bare)), Check(t("Orders"), not unknown, doubts)]


def _stops(held: Sequence[Position], bare: Sequence[Position]) -> str:
    """Outside market hours a GTT that rests protects nothing."""
    if bare:
        return _named(t("{n} not resting at the broker: {names}"), [f"{_short(one)} P{one.rung}" for one in bare])
    return words.without_exchange("; ".join(bare_lines(held))) or t("fine")


def _short(one: Position | OrderView | RowView) -> str:
    return words.symbol_text(one.symbol)


def _named(template: str, names: list[str], most: int = 12) -> str:
    """``template`` has places for how many they are, and which."""
    if not names:
        return t("fine")
    shown = ", ".join(names[:most])
    if len(names) > most:
        shown = t("{names} and {n} more", names=shown, n=len(names) - most)
    return template.format_map({"n": len(names), "names": shown})


def _feed_check(state: StatusView) -> Check:
    if not state.ticks and state.phase != Phase.OPEN:
        return Check(t("Feed"), True, t("no price from {feed} yet, and the market is not open", feed=state.feed))
    if not state.ticks:
        return Check(t("Feed"), False, t("no price from {feed} yet", feed=state.feed))
    last = t("{feed}, last price {age} ago", feed=state.feed, age=words.ago(state.feed_age_ns))
    return Check(t("Feed"), not feed_old(state), f"{last}, {words.counted(state.ticks, 'price')}")


def _quiet_check(rows: Sequence[RowView]) -> Check:
    newest = max((one.ts_ns for one in rows), default=0)
    quiet = [one for one in rows if newest - one.ts_ns > QUIET]
    names = [_short(one) if one.ticks else t("{symbol} (never)", symbol=_short(one)) for one in quiet]
    silent = _named(t("{n} silent for 5 min: {names}"), names)
    return Check(t("Instruments"), not quiet, silent if quiet else t("{n} followed", n=len(rows)))


def flatten_preview(
    held: Sequence[Position], orders: Sequence[OrderView], seconds: float, nonce: str, changed: bool = False
) -> Reply:
    """What a flatten would close, by symbol, and how to say yes."""
    ours = sum(not one.external for one in held)
    others = len(held) - ours
    nothing = (
        t("Flatten? No open position of ours is known here.")
        if others
        else t("Flatten? No open position is known here.")
    )
    alone = words.many(
        others, t("1 more is not ours and is left alone."), t("{n} more are not ours and are left alone.")
    )
    question = lines(
        bold(t("The positions have changed. Look again.")) if changed else "",
        bold(words.many(ours, t("Close 1 position?"), t("Close {n} positions?")) if ours else nothing),
        pre("\n".join(_holdings(held))) if held else "",
        alone if others else "",
        _working(held, orders),
        "" if held else t("The broker's book is read all the same."),
        within(f"{seconds:.0f}", "/flatten"),
    )
    yes = Action(t("Close everything"), f"/flatten yes {nonce}")
    return Reply(question.runs, (yes, Action(t("Leave it"), f"/flatten no {nonce}")))


def within(seconds: str, line: str) -> Reply:
    """How a question is answered by hand. ``line`` is the command without the answer."""
    line = words.without_exchange(line)
    return filled(
        t("Within {seconds} s: {yes} to do it, {no} to leave it."),
        seconds=seconds, yes=code(f"{line} yes"), no=code(f"{line} no"),
    )  # fmt: skip


def _working(held: Sequence[Position], orders: Sequence[OrderView]) -> str:
    """Of stops that rest as GTTs the order book knows nothing."""
    working, resting = sum(not one.status.final for one in orders), sum(one.stop_resting for one in held)
    if working:
        return words.many(
            working,
            t("1 working order will be cancelled or turned into exits."),
            t("{n} working orders will be cancelled or turned into exits."),
        )
    if resting:
        one = t("1 resting stop will give way to an exit.")
        return words.many(resting, one, t("{n} resting stops will give way to an exit."))
    return t("No order is working.")


def _holdings(held: Sequence[Position]) -> list[str]:
    """A line a symbol: its rungs and quantities; P&L in whole rupees."""
    ranked = sorted(held, key=lambda one: (one.symbol, one.strategy, one.rung))
    out = []
    for symbol, group in groupby(ranked, key=lambda one: one.symbol):
        rungs = list(group)
        sizes = " ".join(
            f"P{one.rung}:{'-' if one.side < 0 else ''}{one.quantity}{' ' + t('external') if one.external else ''}"
            for one in rungs
        )
        out.append(
            words.row(words.symbol_text(symbol), words.whole_rupees(sum(one.unrealised for one in rungs)))
        )
        out.append(f"  {sizes}")
    return out


def flatten_result(said: str, left: Sequence[Position]) -> Reply:
    """The engine's own words, and every position that it still shows."""
    still = words.many(len(left), t("Still held: 1 position"), t("Still held: {n} positions"))
    return lines(
        bold(t("Flatten")),
        words.without_exchange(said),
        lines(bold(still), pre("\n".join(_holdings(left)))) if left else "",
    )
