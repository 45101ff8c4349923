"""The card: how it stands, on one screen, in words that change only when something has changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from otrade_bot.control import words
from otrade_bot.control.auth import Role
from otrade_bot.control.reply import Action, Reply, bold, italic, lines, pre, text
from otrade_bot.control.views import blocks, feed_old, window
from otrade_bot.core.clock import MINUTE, SECOND, to_ist
from otrade_bot.core.lang import t
from otrade_bot.core.money import rupees_text
from otrade_bot.trading.snapshot import Position, StatusView

__all__ = ["card", "ended"]

#: Symbols that are named; the others are counted.
MOST = 8
#: Nobody needs to know to the minute that a closed market is watched.
CLOSED = 15 * MINUTE
_SHUT = frozenset({"closed", "holiday"})


def card(state: StatusView, held: Sequence[Position], role: Role, now_ns: int, delivery: str = "") -> Reply:
    """``delivery``: how late messages are; empty where none waits. The buttons last: they are pinned."""
    said = lines(
        text(bold(words.phase_text(state.phase).capitalize()), " · ", _entries(state)),
        blocks(state),
        bold(t("Positions are NOT KNOWN: {why}", why=state.unread)) if state.unread else "",
        bold(state.flatten),
        text(t("Net"), " ", bold(_rupees(state.net)), " · ", _charges(state)),
        _held(state, held),
        pre(_table(held)) if held and not state.unread else "",
        _risk(state),
        _feed(state),
        bold(delivery),
        italic(_alive(state, now_ns)),
    )
    return Reply(said.runs, tuple(_buttons(state, role)))


def ended(why: str, now_ns: int) -> Reply:
    """What stays on a card whose service has stopped in good order."""
    return lines(
        bold(t("Stopped at {time}", time=words.clock_text(now_ns))),
        why,
        t("Nothing is watched from here until the next start. Stops that rest at the broker hold."),
    )


def _buttons(state: StatusView, role: Role) -> list[Action]:
    refresh = Action(t("Refresh"), "/card", edit=True, lasting=True)
    if role < Role.OPERATOR:
        return [refresh]
    pause = Action(t("Resume"), "/resume", lasting=True) if state.paused else Action(t("Pause"), "/pause", lasting=True)
    return [pause, refresh, Action(t("Flatten"), "/flatten", lasting=True)]


def _entries(state: StatusView) -> str:
    if state.paused:
        return t("entries PAUSED")
    if state.blocks or state.halted:
        return t("entries blocked")
    return t("entries {when}", when=window(state)) if state.window else t("entries allowed")


def _charges(state: StatusView) -> str:
    return t("charges {charges}", charges=_rupees(state.charges, sign=False))


def _held(state: StatusView, held: Sequence[Position]) -> str:
    if state.unread:
        return ""
    if not held:
        return t("Nothing is held.")
    bare = sum(1 for one in held if not one.external and (one.unprotected or not one.stop_resting))
    said = t("Held: {n} of at most {most} rungs", n=len(held), most=state.max_rungs)
    return f"{said} · {t('{n} WITHOUT a resting stop', n=bare)}" if bare else said


def _table(held: Sequence[Position]) -> str:
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for one in held:
        sums[one.symbol][0] += int(one.side) * one.quantity
        sums[one.symbol][1] += one.unrealised
    ranked = sorted(sums.items(), key=lambda one: (-abs(one[1][1]), one[0]))
    rows = [
        (words.short(words.symbol_text(symbol), 16), str(quantity), words.whole_rupees(gain))
        for symbol, (quantity, gain) in ranked[:MOST]
    ]
    more = len(ranked) - MOST
    return words.rows_text(rows, "<>>") + (f"\n{t('and {n} more', n=more)}" if more > 0 else "")


def _risk(state: StatusView) -> str:
    share = words.percent(100 * state.capital_used / state.total_capital) if state.total_capital else "?"
    used = t("Capital used {share}", share=share)
    if state.loss_limit <= 0:
        return used
    if state.halted:
        return f"{used} · {t('loss limit REACHED')}"
    lost = min(max(-state.net, 0), state.loss_limit)
    return f"{used} · {t('loss limit used {share}', share=words.percent(100 * lost / state.loss_limit))}"


def _feed(state: StatusView) -> Reply | str:
    if state.phase in _SHUT:
        return ""  # the newest price is hours old, and that is as it should be
    if not state.ticks:
        return t("No prices yet")
    if not feed_old(state):
        return t("Prices are coming")
    minutes = state.feed_age_ns // MINUTE
    old = t("{n} min", n=minutes) if minutes else t("{n} s", n=state.feed_age_ns // (15 * SECOND) * 15)
    return bold(t("NO PRICES for {age}", age=old))


def _alive(state: StatusView, now_ns: int) -> str:
    """Coarse: a card that changed with every second would be edited with every second."""
    step = CLOSED if state.phase in _SHUT else MINUTE
    start = now_ns // step * step
    time = f"{to_ist(start):%H:%M}"
    return t("Alive at {time}", time=f"{time}-{to_ist(start + step):%H:%M}" if state.phase in _SHUT else time)


def _rupees(paise: int, *, sign: bool = True) -> str:
    """To the nearest rupee."""
    whole = (abs(paise) + 50) // 100 * 100
    return rupees_text(whole if paise >= 0 else -whole, sign=sign).removesuffix(".00")
