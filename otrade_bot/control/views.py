"""Answers that show state: pure functions from the engine's values to a Reply. Money comes in as paise."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby

from otrade_bot.control import words
from otrade_bot.control.reply import Reply, bold, code, lines, pre, text
from otrade_bot.core.clock import SECOND
from otrade_bot.core.lang import t
from otrade_bot.core.masking import mask_text
from otrade_bot.core.model import OrderStatus, OrderType
from otrade_bot.core.money import rupees_text
from otrade_bot.trading.snapshot import OrderView, Position, StatusView, Trade

__all__ = [
    "asking", "blocks", "config", "feed_old", "label", "logs", "orders", "pnl", "positions", "status", "trades",
    "version",
]  # fmt: skip

#: A feed older than this in an open market deserves a look; the engine has its own limit for entries.
OLD_FEED = 15 * SECOND

_PRICES = {"simulated": "simulated prices", "replay": "recorded prices"}


def label(state: StatusView) -> str:
    """'PAPER · simulated prices'; empty where orders and prices are both real, and all is known."""
    prices = _PRICES.get(state.feed)
    note = f" · {state.note}" if state.note else ""
    if state.unread:
        note += " · POSITIONS ARE NOT KNOWN"
    if state.mode == "live":
        return f"LIVE · {prices}{note}" if prices else f"LIVE{note}" if note else ""
    return f"{state.mode.upper() or 'MODE UNKNOWN'} · {prices or f'{state.feed} prices'}{note}"


def status(state: StatusView, now_ns: int, delivery: str = "") -> Reply:
    """``delivery``: how late messages are; empty where none waits."""
    return lines(
        text(bold("Status"), f" {words.moment_text(now_ns)}"),
        text("Mode ", bold(state.mode), f" · broker {state.broker} · feed {state.feed}"),
        text("Phase ", bold(words.phase_text(state.phase)), " · entries ", bold(_entries(state))),
        blocks(state),
        bold(f"The broker's books are not known: {state.unread}") if state.unread else "",
        bold(state.flatten),
        pre(_money(state)),
        _use(state),
        f"{words.count(state.trades, 'trade')} · {words.count(state.signals, 'signal')} · "
        f"{words.count(state.orders, 'order')}",
        asking(state),
        _loss(state),
        _feed(state),
        bold(delivery),
    )


def asking(state: StatusView) -> Reply | str:
    """Whether a person is asked before each entry, and what waits; empty where nobody is and nothing does."""
    waits = bold(t("Waiting for an answer: {n} (/signals)", n=state.waiting)) if state.waiting else ""
    if not state.ask_seconds:
        return waits
    asks = (
        t("Each entry is asked about first; without an answer in {seconds} s IT IS ENTERED.", seconds=state.ask_seconds)
        if state.unanswered == "enter"
        else t("Each entry is asked about first; without an answer in {seconds} s it is not entered.",
               seconds=state.ask_seconds)
    )  # fmt: skip
    return lines(asks, waits)


def _entries(state: StatusView) -> str:
    if state.paused:
        return "PAUSED"
    return "blocked" if state.blocks or state.halted else state.window or "allowed"


def blocks(state: StatusView) -> Reply:
    """Every reason why entries are blocked, a line each; empty where none is."""
    reasons = list(state.blocks)
    if state.halted and not any("loss" in reason.lower() for reason in reasons):
        reasons.append("the day's loss limit was reached")
    if state.paused and not any("pause" in reason.lower() for reason in reasons):
        reasons.insert(0, "paused by command")
    return lines(*(f"• {reason}" for reason in reasons))


def _money(state: StatusView) -> str:
    return "\n".join(
        words.row(name, amount, 28)
        for name, amount in (
            ("Realised", rupees_text(state.realised, sign=True)),
            ("Unrealised", rupees_text(state.unrealised, sign=True)),
            ("Charges", rupees_text(-state.charges)),
            ("Net", rupees_text(state.net, sign=True)),
        )
    )


def _use(state: StatusView) -> str:
    share = (
        f" ({words.percent(100 * state.capital_used / state.total_capital)})" if state.total_capital else ""
    )
    external = f" and {state.external} not ours" if state.external else ""
    return (
        f"Positions {state.held}{external} · rungs taken {state.open_rungs} of {state.max_rungs} · "
        f"capital {rupees_text(state.capital_used)} "
        f"of {rupees_text(state.total_capital)}{share}"
    )


def _loss(state: StatusView) -> str:
    if state.loss_limit <= 0:
        return "Loss limit: none set"
    left = "reached" if state.halted else f"{rupees_text(max(state.loss_limit + state.net, 0))} left"
    return f"Loss limit {rupees_text(state.loss_limit)} · {left}"


def feed_old(state: StatusView) -> bool:
    """In an open market a price should have come by now."""
    return state.phase == "open" and state.feed_age_ns > OLD_FEED


def _feed(state: StatusView) -> Reply | str:
    if not state.ticks:
        return f"Feed: no prices yet, {words.dropped_text(state.dropped)}"
    ticks = words.count(state.ticks, "price")
    age = f"Feed age {words.ago(state.feed_age_ns)}"
    return text(bold(f"{age}: OLD") if feed_old(state) else age, f" · {ticks}, {words.dropped_text(state.dropped)}")


def positions(held: Sequence[Position], unread: str = "") -> Reply:
    """Grouped by symbol, a line a rung; what needs care stands under its rung. ``unread``: why nobody knows."""
    if unread:
        return lines(bold("Positions"), f"Not known: {unread}", "Stops that rest at the broker are there all the same.")
    if not held:
        return lines(bold("Positions"), "None open.")
    total = sum(one.unrealised for one in held)
    ranked = sorted(held, key=lambda one: (one.symbol, one.strategy, one.rung))
    groups = groupby(ranked, key=lambda one: one.symbol)
    table = [_group(symbol, list(rungs)) for symbol, rungs in groups]
    return lines(
        text(bold("Positions"), f" {len(held)} · {words.count(len(table), 'symbol')}"),
        text("Unrealised ", bold(rupees_text(total, sign=True)), " before charges"),
        pre("rung, quantity, average, stop, P&L ₹\n" + "\n".join(table)),
    )


def _group(symbol: str, rungs: list[Position]) -> str:
    head = words.row(words.symbol_text(symbol), words.price(rungs[0].ltp))
    out = [head]
    for one in rungs:
        stop = words.price(one.stop) if one.stop else "no stop"
        side = "" if one.side > 0 else "-"
        average = words.price(round(one.average))
        cells = f"P{one.rung} {side + str(one.quantity):>4} {average:>10} {stop:>10}"
        out.append(f"{cells} {words.whole_rupees(one.unrealised):>8}")
        out.extend(f"   {note}" for note in _notes(one))
    return "\n".join(out)


def _notes(one: Position) -> list[str]:
    notes = [f"target {words.price(one.target)}"] if one.target else []
    by_hand = [name for name, put in ((t("stop"), one.hand_stop), (t("target"), one.hand_target)) if put]
    if by_hand:
        notes.append(t("by hand: {what}", what=", ".join(by_hand)))
    if one.parting:
        notes.append(t("{n} on their way out", n=one.parting))
    if one.exiting:
        notes.append(f"exiting: {one.exiting.value.replace('_', ' ')}")
    if one.external:
        notes.append("found at the broker, not ours")
    elif one.unprotected or not one.stop_resting:
        notes.append(f"! {one.unprotected or 'stop not resting at the broker'}")
    if one.watched:
        notes.append(one.watched)
    return notes


def orders(seen: Sequence[OrderView], newest: int) -> Reply:
    """The ``newest`` orders, newest first. Working orders and unknown ones are counted over all."""
    if not seen:
        return lines(bold("Orders"), "None today.")
    shown = sorted(seen, key=lambda one: one.placed_ns, reverse=True)[:newest]
    working = sum(not one.status.final for one in seen)
    unknown = sum(bool(one.unknown) for one in seen)
    return lines(
        text(bold("Orders"), f" {len(shown)} of {len(seen)} · {working} working"),
        bold(f"{words.count(unknown, 'order')} with unknown outcome") if unknown else "",
        pre("\n".join(_order(one) for one in shown)),
    )


def _order(one: OrderView) -> str:
    head = f"{words.clock_text(one.placed_ns)} {one.side.name} {words.symbol_text(one.symbol)}"
    out = [
        words.row(head, f"P{one.rung} {one.leg.value}"),
        f"  {one.filled}/{one.quantity} {one.order_type.value} {_terms(one)}".rstrip(),
        f"  {one.status.value.replace('_', ' ')}",
    ]
    if one.unknown:
        out.append(f"  ! UNKNOWN: {words.short(one.unknown, 200)}")
    if one.reason and (one.status is not OrderStatus.COMPLETE):
        out.append(f"  {words.short(one.reason, 200)}")
    return "\n".join(out)


def _terms(one: OrderView) -> str:
    limit = words.price(one.price) if one.price else ""
    trigger = f"trigger {words.price(one.trigger)}" if one.trigger else ""
    return limit if one.order_type is OrderType.LIMIT else f"{trigger} {limit}".strip()


def trades(booked: Sequence[Trade], newest: int) -> Reply:
    """The ``newest`` round trips, newest first; the sums are over all of them."""
    if not booked:
        return lines(bold("Trades"), "None booked today.")
    shown = sorted(booked, key=lambda one: one.exit_ns, reverse=True)[:newest]
    net = sum(one.net for one in booked)
    won = sum(one.net > 0 for one in booked)
    return lines(
        text(bold("Trades"), f" {len(shown)} of {len(booked)} · {won} won"),
        text("Net ", bold(rupees_text(net, sign=True)), " after charges"),
        pre("\n".join(_trade(one) for one in shown)),
    )


def _trade(one: Trade) -> str:
    entry, leave = (words.price(round(value / one.quantity)) for value in (one.entry_value, one.exit_value))
    span = f"{words.clock_text(one.entry_ns)[:5]}-{words.clock_text(one.exit_ns)[:5]}"
    size = f"{'-' if one.side < 0 else ''}{one.quantity}"
    return "\n".join(
        (
            words.row(f"{words.symbol_text(one.symbol)} P{one.rung}", words.price(one.net)),
            f"  {size} × {entry} → {leave}",
            f"  {span} {one.reason.value.replace('_', ' ')}, charges {words.price(one.charges)}",
        )
    )


def pnl(state: StatusView, held: Sequence[Position], booked: Sequence[Trade]) -> Reply:
    """The day's sums, then each symbol: booked net and unrealised, in whole rupees."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for trade in booked:
        sums[trade.symbol][0] += trade.net
    for position in held:
        sums[position.symbol][1] += position.unrealised
    won = sum(one.net > 0 for one in booked)
    parts: list[Reply | str] = [
        bold("P&L of the day"),
        pre(_money(state)),
        f"{words.count(len(booked), 'trade')} booked, {won} won · {words.count(len(held), 'position')} open",
        _loss(state),
    ]
    if sums:
        parts.append(pre(_by_symbol(sums)))
    return lines(*parts)


def _by_symbol(sums: Mapping[str, list[int]]) -> str:
    ranked = sorted(sums.items(), key=lambda one: (-sum(one[1]), one[0]))
    table = [("symbol", "booked", "open")]
    table += [
        (words.short(words.symbol_text(symbol), 18), words.whole_rupees(booked), words.whole_rupees(open_))
        for symbol, (booked, open_) in ranked
    ]
    return words.rows_text(table, "<>>")


def config(shown: str) -> Reply:
    """The merged settings; secrets are masked here too, whoever produced the text."""
    return lines(bold("Configuration"), pre(mask_text(shown.strip()) or "(empty)"))


def logs(tail: Sequence[str]) -> Reply:
    """Newest last."""
    if not tail:
        return lines(bold("Log"), "Nothing logged yet.")
    return lines(
        text(bold("Log"), f" last {words.count(len(tail), 'line')}"), pre("\n".join(map(_log_line, tail)))
    )


#: Of a log line, what a person does not miss, or has elsewhere in it.
_LEFT_OUT = frozenset({"ts", "level", "stream", "event", "symbol", "text", "market_ns", "session", "severity"})


def _log_line(line: str) -> str:
    """'20:07:21 command user partner line /config outcome allowed' of a JSON line; another one as it is."""
    line = mask_text(line)  # while a secret still stands beside its name
    try:
        found = json.loads(line)
    except ValueError:
        return line
    if not isinstance(found, dict) or "event" not in found:
        return line
    level = str(found.get("level", "info"))
    first = (str(found.get("ts", ""))[11:19], level.upper() if level != "info" else "", str(found["event"]))
    said = (words.symbol_text(str(found.get("symbol") or "")), str(found.get("text") or ""))
    rest = (f"{key} {value}" for key, value in found.items() if key not in _LEFT_OUT and value not in ("", None))
    return mask_text(" ".join(piece for piece in (*first, *said, *rest) if piece))


def version(name: str) -> Reply:
    return lines(text(bold("OTrade Bot"), " ", code(name)))
