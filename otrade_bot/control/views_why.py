"""Why a symbol was bought or not: what its strategy saw, as it was recorded then. Nothing is worked out again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from otrade_bot.control import words
from otrade_bot.control.reply import Action, Reply, bold, code, lines, pre, text
from otrade_bot.control.views import blocks
from otrade_bot.control.views_signals import outcome
from otrade_bot.core.lang import t
from otrade_bot.core.money import rupees_text
from otrade_bot.trading.snapshot import Evaluation, Position, RowView, SignalView, StatusView

__all__ = ["why"]


def why(
    symbol: str,
    followed: Sequence[RowView],
    looks: Sequence[Evaluation],
    asked: Sequence[SignalView],
    refusals: Sequence[tuple[int, str]],
    held: Sequence[Position],
    state: StatusView,
    at: str = "",
) -> Reply:
    """The newest look, or the last one up to ``at`` ("11:15"); older ones by a button."""
    seen, older = _chosen(looks, at)
    head = bold(t("Why {symbol}", symbol=words.symbol_text(symbol)))
    if at:
        said = lines(head, _look(seen, asked, refusals, t("Look")) if seen else _nothing_so_early(looks, at))
    else:
        said = lines(
            head,
            *(_row(one) for one in followed),
            _holding(held),
            _look(seen, asked, refusals, t("Last look")) if seen else t("Not evaluated yet today."),
            _signalled(asked),
            _refused(refusals),
            lines(bold(t("Entries are blocked now")), reasons) if (reasons := blocks(state)) else "",
        )
    return Reply(said.runs, tuple(_turning(symbol, older, at)))


def _chosen(looks: Sequence[Evaluation], at: str) -> tuple[Evaluation | None, str]:
    """The look to show, and the time of day of the one before it; '' where there is none."""
    limit = _until(at) if at else "99"
    times = [words.clock_text(one.ts_ns) for one in looks]
    place = max((i for i, time in enumerate(times) if time <= limit), default=-1)
    if place < 0:
        return None, ""
    return looks[place], next((time for time in reversed(times[:place]) if time < times[place]), "")


def _until(at: str) -> str:
    """'9:15' -> '09:15:59': up to the end of that minute."""
    hour, *rest = at.split(":")
    return ":".join((hour.zfill(2), *rest, *(["59"] if len(rest) == 1 else [])))


def _turning(symbol: str, older: str, at: str) -> list[Action]:
    short = words.symbol_text(symbol)
    back = [Action(t("Older"), f"/why {short} {older}", edit=True)] if older else []
    return [*back, Action(t("Newest"), f"/why {short}", edit=True)] if at else back


def _nothing_so_early(looks: Sequence[Evaluation], at: str) -> str:
    if not looks:
        return t("Not evaluated yet today.")
    first = words.clock_text(looks[0].ts_ns)
    return t("No look of {at} or before is kept; the oldest one is of {first}.", at=at, first=first)


def _row(one: RowView) -> Reply:
    if not one.ticks:
        seen = t("no price yet")
    else:
        seen = t("{price} ({change}) at {time}", price=rupees_text(one.ltp),
                 change=words.percent(one.change, sign=True), time=words.clock_text(one.ts_ns))  # fmt: skip
    if not one.strategy:
        return lines(seen, t("Only watched: no strategy trades it."))
    warm = (
        t("warm, {n} bars", n=one.bars)
        if one.bars >= one.warm
        else t("not warm: {n} of {needed} bars, so no entry", n=one.bars, needed=one.warm)
    )
    return lines(seen, text(t("Strategy"), " ", code(one.strategy), f": {warm}"))


def _holding(held: Sequence[Position]) -> str:
    if not held:
        return t("Not held.")
    each = ", ".join(f"P{one.rung} {one.quantity} @ {rupees_text(round(one.average))}" for one in held)
    return t("Held: {what}", what=each)


def _look(seen: Evaluation, asked: Sequence[SignalView], refusals: Sequence[tuple[int, str]], head: str) -> Reply:
    """One recorded look: the verdict, each condition, its numbers, and what came of it."""
    verdict = t("buy") if seen.buy else t("sell") if seen.sell else t("no signal")
    missing = sum(not met for _, met in seen.conditions)
    told = missing and not seen.sell
    lacking = t(", {n} of {all} conditions not met", n=missing, all=len(seen.conditions)) if told else ""
    return lines(
        text(f"{head}: ", bold(verdict), " ", t("at {time}", time=words.clock_text(seen.ts_ns)), lacking),
        t("What it takes to buy:") if seen.sell and not seen.buy and seen.conditions else "",
        *(f"{'✓' if met else '✗'} {condition}" for condition, met in seen.conditions),
        "" if seen.conditions else t("Its strategy has no conditions in words (docs: CONDITIONS); its numbers:"),
        _numbers(seen),
        *_came_of_it(seen, asked, refusals),
    )


def _numbers(seen: Evaluation) -> Reply | str:
    known = [("ltp", seen.ltp / 100)] if seen.ltp else []
    known += [("close", seen.close)] if seen.close else []
    values = [(name, _number(value)) for name, value in (*known, *seen.values)]
    values += [("bars", f"{seen.bars}")] if seen.bars else []
    return pre(words.rows_text(values, "<>")) if values else ""


def _number(value: float) -> str:
    return f"{value:,.2f}" if math.isfinite(value) else t("not known")


def _came_of_it(
    seen: Evaluation, asked: Sequence[SignalView], refusals: Sequence[tuple[int, str]]
) -> list[str]:
    """Of the very moment of the look: the signal, or the limit that kept it from being one."""
    if not (seen.buy or seen.sell):
        return []
    found = [f"→ P{one.rung} {one.side.name}: {outcome(one)}" for one in asked if one.ts_ns == seen.ts_ns]
    return found or [f"→ {t('not entered: {reason}', reason=why)}" for ts, why in refusals if ts == seen.ts_ns]


def _signalled(asked: Sequence[SignalView], most: int = 3) -> Reply | str:
    if not asked:
        return ""
    shown = [f"{words.clock_text(one.ts_ns)} P{one.rung} {one.side.name}: {outcome(one)}" for one in asked[-most:]]
    return lines(bold(t("Signals")), *reversed(shown))


def _refused(refusals: Sequence[tuple[int, str]], most: int = 5) -> Reply | str:
    if not refusals:
        return t("No signal of it was refused.")
    newest = [list(same)[-1] for _, same in groupby(refusals, key=lambda one: one[1])]  # the same each minute: once
    shown = [f"{words.clock_text(ts)} {reason}" for ts, reason in reversed(newest[-most:])]
    return lines(bold(t("Refused")), *shown)
