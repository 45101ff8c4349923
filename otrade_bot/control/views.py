"""Answers that show state: pure functions from the engine's values to a Reply. Money comes in as paise."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby

from otrade_bot.control import words
from otrade_bot.control.reply import Reply, bold, code, filled, lines, pre, text
from otrade_bot.core.clock import SECOND
from otrade_bot.core.lang import t
from otrade_bot.core.masking import mask_text
from otrade_bot.core.model import Block, OrderStatus, OrderType
from otrade_bot.core.money import rupees_text
from otrade_bot.trading.snapshot import OrderView, Position, StatusView, Trade

__all__ = [
    "asking",
    "banner",
    "blocks",
    "config",
    "feed_old",
    "label",
    "logs",
    "orders",
    "pnl",
    "positions",
    "status",
    "trades",
    "version",
    "window",
]  # fmt: skip

#: Of the program, in every language.
NAME = "OTrade Bot"
#: A feed older than this in an open market deserves a look; the engine has its own limit for entries.
OLD_FEED = 15 * SECOND

#: So many symbols of /positions may be answered; it asks which.
_NAMED = 8

_PRICES = {"simulated": "simulated prices", "replay": "recorded prices"}


def label(state: StatusView) -> str:
    """'PAPER · simulated prices'; empty where orders and prices are both real, and all is known."""
    return banner(state.mode, state.feed, state.note, state.unread)


def banner(mode: str, feed: str, note: str, unread: str) -> str:
    """``label`` of what stands in every message, where the rest of the status is not wanted."""
    prices = _PRICES.get(feed)
    said = f" · {note}" if note else ""
    if unread:
        said += " · POSITIONS ARE NOT KNOWN"
    if mode == "live":
        return f"LIVE · {prices}{said}" if prices else f"LIVE{said}" if said else ""
    return f"{mode.upper() or 'MODE UNKNOWN'} · {prices or f'{feed} prices'}{said}"


def status(state: StatusView, now_ns: int, delivery: str = "") -> Reply:
    """``delivery``: how late messages are; empty where none waits."""
    return lines(
        text(bold(t("Status")), f" {words.moment_text(now_ns)}"),
        filled(t("Mode {mode} · broker {broker} · feed {feed}"), mode=bold(state.mode), broker=state.broker,
               feed=state.feed),
        filled(t("Phase {phase} · entries {entries}"), phase=bold(words.phase_text(state.phase)),
               entries=bold(_entries(state))),
        blocks(state),
        bold(t("The broker's books are not known: {why}", why=state.unread)) if state.unread else "",
        bold(state.flatten),
        pre(_money(state)),
        _use(state),
        " · ".join(
            (words.counted(state.trades, "trade"), words.counted(state.signals, "signal"),
             words.counted(state.orders, "order"))
        ),
        asking(state),
        _loss(state),
        _feed(state),
        bold(delivery),
    )  # fmt: skip


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
        return t("PAUSED")
    return t("blocked") if state.blocks or state.halted else window(state) or t("allowed")


def window(state: StatusView) -> str:
    """Where the clock lets no instrument enter now; else empty."""
    if (wait := re.fullmatch(r"wait for (\d\d:\d\d)", state.window)) is not None:
        return t("wait for {time}", time=wait[1])
    return t("are over for the day") if state.window == "are over for the day" else state.window


def blocks(state: StatusView) -> Reply:
    """Every reason why entries are blocked, a line each; empty where none is."""
    reasons = list(state.blocks)
    if state.halted and not any("loss" in reason.lower() for reason in reasons):
        reasons.append(words.LOSS_REACHED)
    if state.paused and not any("pause" in reason.lower() for reason in reasons):
        reasons.insert(0, Block.PAUSED.value)
    return lines(*(f"• {words.named(reason)}" for reason in reasons))


def _money(state: StatusView) -> str:
    return "\n".join(
        words.row(name, amount, 28)
        for name, amount in (
            (t("Realised"), rupees_text(state.realised, sign=True)),
            (t("Unrealised"), rupees_text(state.unrealised, sign=True)),
            (t("Charges"), rupees_text(-state.charges)),
            (t("Net"), rupees_text(state.net, sign=True)),
        )
    )


def _use(state: StatusView) -> str:
    share = (
        f" ({words.percent(100 * state.capital_used / state.total_capital)})" if state.total_capital else ""
    )
    held = (
        t("Positions {ours} and {others} not ours", ours=state.held, others=state.external)
        if state.external
        else t("Positions {ours}", ours=state.held)
    )
    rungs = t("rungs taken {n} of {most}", n=state.open_rungs, most=state.max_rungs)
    used, total = rupees_text(state.capital_used), rupees_text(state.total_capital)
    return f"{held} · {rungs} · {t('capital {used} of {total}', used=used, total=total)}{share}"


def _loss(state: StatusView) -> str:
    if state.loss_limit <= 0:
        return t("Loss limit: none set")
    limit, left = rupees_text(state.loss_limit), rupees_text(max(state.loss_limit + state.net, 0))
    if state.halted:
        return t("Loss limit {limit} · reached", limit=limit)
    return t("Loss limit {limit} · {left} left", limit=limit, left=left)


def feed_old(state: StatusView) -> bool:
    """In an open market a price should have come by now."""
    return state.phase == "open" and state.feed_age_ns > OLD_FEED


def _feed(state: StatusView) -> Reply | str:
    if not state.ticks:
        return t("Feed: no prices yet, {dropped}", dropped=words.dropped_text(state.dropped))
    ticks, age = words.counted(state.ticks, "price"), words.ago(state.feed_age_ns)
    said = bold(t("Feed age {age}: OLD", age=age)) if feed_old(state) else t("Feed age {age}", age=age)
    return text(said, f" · {ticks}, {words.dropped_text(state.dropped)}")


def positions(held: Sequence[Position], unread: str = "") -> Reply:
    """Grouped by symbol, a line a rung; what needs care stands under its rung. ``unread``: why nobody knows."""
    if unread:
        rest = t("Stops that rest at the broker are there all the same.")
        return lines(bold(t("Positions")), t("Not known: {why}", why=unread), rest)
    if not held:
        return lines(bold(t("Positions")), t("None open."))
    total = sum(one.unrealised for one in held)
    ranked = sorted(held, key=lambda one: (one.symbol, one.strategy, one.rung))
    groups = groupby(ranked, key=lambda one: one.symbol)
    table = [_group(symbol, list(rungs)) for symbol, rungs in groups]
    return lines(
        text(bold(t("Positions")), f" {len(held)} · {words.counted(len(table), 'symbol')}"),
        _named(list(dict.fromkeys(one.symbol for one in ranked))),
        filled(t("Unrealised {amount} before charges"), amount=bold(rupees_text(total, sign=True))),
        pre("\n".join((t("rung, quantity, average, stop, P&L ₹"), *table))),
    )


def _named(symbols: Sequence[str]) -> Reply | str:
    """As code, which an answer to the message ("sl 245", "exit") is about; nothing of a long list."""
    if len(symbols) > _NAMED:
        return ""
    parts = [part for symbol in symbols for part in (" · ", code(words.symbol_text(symbol)))]
    return text(*parts[1:])


def _group(symbol: str, rungs: list[Position]) -> str:
    head = words.row(words.symbol_text(symbol), words.price(rungs[0].ltp))
    out = [head]
    for one in rungs:
        stop = words.price(one.stop) if one.stop else t("no stop")
        side = "" if one.side > 0 else "-"
        average = words.price(round(one.average))
        cells = f"P{one.rung} {side + str(one.quantity):>4} {average:>10} {' ' * (10 - words.width(stop))}{stop}"
        out.append(f"{cells} {words.whole_rupees(one.unrealised):>8}")
        out.extend(f"   {note}" for note in _notes(one))
    return "\n".join(out)


def _notes(one: Position) -> list[str]:
    notes = [t("target {price}", price=words.price(one.target))] if one.target else []
    by_hand = [name for name, put in ((t("stop"), one.hand_stop), (t("target"), one.hand_target)) if put]
    if by_hand:
        notes.append(t("by hand: {what}", what=", ".join(by_hand)))
    if one.parting:
        notes.append(t("{n} on their way out", n=one.parting))
    if one.exiting:
        notes.append(t("exiting: {why}", why=words.named(one.exiting.value)))
    if one.external:
        notes.append(t("found at the broker, not ours"))
    elif one.unprotected or not one.stop_resting:
        notes.append(f"! {one.unprotected or t('stop not resting at the broker')}")
    if one.watched:
        notes.append(one.watched)
    return notes


def orders(seen: Sequence[OrderView], newest: int) -> Reply:
    """The ``newest`` orders, newest first. Working orders and unknown ones are counted over all."""
    if not seen:
        return lines(bold(t("Orders")), t("None today."))
    shown = sorted(seen, key=lambda one: one.placed_ns, reverse=True)[:newest]
    working = sum(not one.status.final for one in seen)
    unknown = sum(bool(one.unknown) for one in seen)
    return lines(
        text(bold(t("Orders")), " ",
             t("{n} of {all} · {working} working", n=len(shown), all=len(seen), working=working)),
        bold(words.many(unknown, t("1 order with unknown outcome"), t("{n} orders with unknown outcome")))
        if unknown
        else "",
        pre("\n".join(_order(one) for one in shown)),
    )  # fmt: skip


def _order(one: OrderView) -> str:
    head = f"{words.clock_text(one.placed_ns)} {one.side.name} {words.symbol_text(one.symbol)}"
    out = [
        words.row(head, f"P{one.rung} {words.named(one.leg)}"),
        f"  {one.filled}/{one.quantity} {one.order_type.value} {_terms(one)}".rstrip(),
        f"  {words.named(one.status)}",
    ]
    if one.unknown:
        out.append(f"  ! {t('UNKNOWN: {why}', why=words.short(one.unknown, 200))}")
    if one.reason and (one.status is not OrderStatus.COMPLETE):
        out.append(f"  {words.short(one.reason, 200)}")
    return "\n".join(out)


def _terms(one: OrderView) -> str:
    limit = words.price(one.price) if one.price else ""
    trigger = t("trigger {price}", price=words.price(one.trigger)) if one.trigger else ""
    return limit if one.order_type is OrderType.LIMIT else f"{trigger} {limit}".strip()


def trades(booked: Sequence[Trade], newest: int) -> Reply:
    """The ``newest`` round trips, newest first; the sums are over all of them."""
    if not booked:
        return lines(bold(t("Trades")), t("None booked today."))
    shown = sorted(booked, key=lambda one: one.exit_ns, reverse=True)[:newest]
    net = sum(one.net for one in booked)
    won = sum(one.net > 0 for one in booked)
    return lines(
        text(bold(t("Trades")), " ", t("{n} of {all} · {won} won", n=len(shown), all=len(booked), won=won)),
        filled(t("Net {amount} after charges"), amount=bold(rupees_text(net, sign=True))),
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
            f"  {span} {words.named(one.reason)}, {t('charges {amount}', amount=words.price(one.charges))}",
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
        bold(t("P&L of the day")),
        pre(_money(state)),
        " · ".join(
            (words.many(len(booked), t("1 trade booked, {won} won"), t("{n} trades booked, {won} won"), won=won),
             words.many(len(held), t("1 position open"), t("{n} positions open")))
        ),
        _loss(state),
    ]
    if sums:
        parts.append(pre(_by_symbol(sums)))
    return lines(*parts)


def _by_symbol(sums: Mapping[str, list[int]]) -> str:
    ranked = sorted(sums.items(), key=lambda one: (-sum(one[1]), one[0]))
    table = [(t("symbol"), t("booked"), t("open"))]
    table += [
        (words.short(words.symbol_text(symbol), 18), words.whole_rupees(booked), words.whole_rupees(open_))
        for symbol, (booked, open_) in ranked
    ]
    return words.rows_text(table, "<>>")


def config(shown: str) -> Reply:
    """The merged settings; secrets are masked here too, whoever produced the text."""
    return lines(bold(t("Configuration")), pre(mask_text(shown.strip()) or t("(empty)")))


def logs(tail: Sequence[str]) -> Reply:
    """Newest last."""
    if not tail:
        return lines(bold(t("Log")), t("Nothing logged yet."))
    last = words.many(len(tail), t("last 1 line"), t("last {n} lines"))
    return lines(text(bold(t("Log")), f" {last}"), pre("\n".join(map(_log_line, tail))))


#: Longest log line on a phone; the file has all of it.
_LOG_WIDTH = 500
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
    # On one line: what somebody wrote must not look like a line of ours, nor make the page long.
    return words.short(mask_text(" ".join(piece for piece in (*first, *said, *rest) if piece)), _LOG_WIDTH)


def version(name: str) -> Reply:
    return lines(text(bold(NAME), " ", code(name)))
