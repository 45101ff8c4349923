"""Answers to "is it well?", and the two sides of a flatten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from otrade_bot.control import words
from otrade_bot.control.reply import Action, Reply, bold, code, lines, pre, text
from otrade_bot.control.views import blocks, feed_old
from otrade_bot.core.clock import SECOND
from otrade_bot.core.session import Phase
from otrade_bot.trading.snapshot import OrderView, Position, RowView, StatusView
from otrade_bot.trading.unprotected import bare_lines

__all__ = ["Check", "flatten_preview", "flatten_result", "health", "health_checks"]

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
    verdict = "all well" if not bad else f"{bad} of {len(checks)} need a look"
    return lines(
        text(bold("Health"), f" {verdict}"),
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
        Check("Entries", not reasons, reasons or "allowed"),
        *_books_checks(state, held, unknown),
        Check(
            "Warm-up",
            not cold,
            _named("waiting for bars", [f"{_short(one)} {one.bars}/{one.warm}" for one in cold]),
        ),
        Check("Prices", True, words.dropped_text(state.dropped)),
    ]


def _books_checks(state: StatusView, held: Sequence[Position], unknown: Sequence[OrderView]) -> list[Check]:
    """Nothing is fine of what nobody has read."""
    if state.unread:
        return [Check(name, False, "not known: the broker's books cannot be read") for name in ("Stops", "Orders")]
    bare = [one for one in held if not (one.stop_resting or one.external)]
    doubts = _named("outcome unknown", [f"{_short(one)} {one.tag}" for one in unknown])
    return [Check("Stops", not bare, _stops(held, bare)), Check("Orders", not unknown, doubts)]


def _stops(held: Sequence[Position], bare: Sequence[Position]) -> str:
    """Outside market hours a GTT that rests protects nothing."""
    if bare:
        return _named("not resting at the broker", [f"{_short(one)} P{one.rung}" for one in bare])
    return words.without_exchange("; ".join(bare_lines(held))) or "fine"


def _short(one: Position | OrderView | RowView) -> str:
    return words.symbol_text(one.symbol)


def _named(what: str, names: list[str], most: int = 12) -> str:
    if not names:
        return "fine"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} {what}: {', '.join(names[:most])}{more}"


def _feed_check(state: StatusView) -> Check:
    if not state.ticks and state.phase != Phase.OPEN:
        return Check("Feed", True, f"no price from {state.feed} yet, and the market is not open")
    if not state.ticks:
        return Check("Feed", False, f"no price from {state.feed} yet")
    old = feed_old(state)
    said = f"{state.feed}, last price {words.ago(state.feed_age_ns)} ago, {words.count(state.ticks, 'price')}"
    return Check("Feed", not old, said)


def _quiet_check(rows: Sequence[RowView]) -> Check:
    newest = max((one.ts_ns for one in rows), default=0)
    quiet = [one for one in rows if newest - one.ts_ns > QUIET]
    names = [_short(one) + ("" if one.ticks else " (never)") for one in quiet]
    return Check(
        "Instruments", not quiet, _named("silent for 5 min", names) if quiet else f"{len(rows)} followed"
    )


def flatten_preview(
    held: Sequence[Position], orders: Sequence[OrderView], seconds: float, nonce: str, changed: bool = False
) -> Reply:
    """What a flatten would close, by symbol, and how to say yes."""
    ours = sum(not one.external for one in held)
    others = len(held) - ours
    nothing = f"Flatten? No open position{' of ours' if others else ''} is known here."
    question = lines(
        bold("The positions have changed. Look again.") if changed else "",
        bold(f"Close {words.count(ours, 'position')}?" if ours else nothing),
        pre("\n".join(_holdings(held))) if held else "",
        f"{others} more {'is' if others == 1 else 'are'} not ours and {'is' if others == 1 else 'are'} left alone."
        if others
        else "",
        _working(held, orders),
        "" if held else "The broker's book is read all the same.",
        text(
            "Within ",
            f"{seconds:.0f} s: ",
            code("/flatten yes"),
            " to do it, ",
            code("/flatten no"),
            " to leave it.",
        ),
    )
    yes, no = Action("Close everything", f"/flatten yes {nonce}"), Action("Leave it", f"/flatten no {nonce}")
    return Reply(question.runs, (yes, no))


def _working(held: Sequence[Position], orders: Sequence[OrderView]) -> str:
    """Of stops that rest as GTTs the order book knows nothing."""
    working, resting = sum(not one.status.final for one in orders), sum(one.stop_resting for one in held)
    if working:
        return f"{words.count(working, 'working order')} will be cancelled or turned into exits."
    return f"{words.count(resting, 'resting stop')} will give way to an exit." if resting else "No order is working."


def _holdings(held: Sequence[Position]) -> list[str]:
    """A line a symbol: its rungs and quantities; P&L in whole rupees."""
    ranked = sorted(held, key=lambda one: (one.symbol, one.strategy, one.rung))
    out = []
    for symbol, group in groupby(ranked, key=lambda one: one.symbol):
        rungs = list(group)
        sizes = " ".join(
            f"P{one.rung}:{'-' if one.side < 0 else ''}{one.quantity}{' external' if one.external else ''}"
            for one in rungs
        )
        out.append(
            words.row(words.symbol_text(symbol), words.whole_rupees(sum(one.unrealised for one in rungs)))
        )
        out.append(f"  {sizes}")
    return out


def flatten_result(said: str, left: Sequence[Position]) -> Reply:
    """The engine's own words, and every position that it still shows."""
    return lines(
        bold("Flatten"),
        words.without_exchange(said),
        lines(bold(f"Still held: {words.count(len(left), 'position')}"), pre("\n".join(_holdings(left))))
        if left
        else "",
    )
