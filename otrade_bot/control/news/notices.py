"""Texts that are pushed, not asked for: an event becomes a line or a short block, or nothing.

The words come from ``event.text`` where the engine wrote one, else from the data. Data that are missing
or of another type are left out: a notice must never fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from otrade_bot.control.asking import answers
from otrade_bot.control.news.daytime import (
    login_buttons,
    squared_buttons,
    squared_head,
    squared_lines,
    token_lines,
)
from otrade_bot.control.news.pieces import (
    Data,
    amount,
    by,
    commas,
    join,
    number,
    objects,
    paise,
    prefixed,
    real,
    rung,
    rupees,
    share,
    word,
)
from otrade_bot.control.news.summaries import day_head, day_lines, run_lines
from otrade_bot.control.reply import Action, Part, Reply, bold, code, italic, lines, text
from otrade_bot.control.words import PAUSED, clock_text, named, symbol_text, without_exchange
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.lang import phrase, t
from otrade_bot.core.model import Block
from otrade_bot.core.money import group_indian, rupees_text

__all__ = ["describe"]


@dataclass(frozen=True, slots=True)
class _Said:
    """``detail`` gives way to the engine's own words, unless ``own`` says that these say less; ``more`` are lines below
    that never do."""

    head: str  #: in English where it stands in a table: the engine's words may begin with it
    detail: str = ""
    more: Iterable[Part] = ()
    actions: tuple[Action, ...] = ()
    own: bool = True
    who: str = ""  #: part of the headline


def describe(event: Event, label: str = "") -> Reply | None:
    """What to tell a human about an event, None where it is not worth a message.

    ``label`` ("PAPER · simulated prices") is put under it, for mouths that send each notice on its own.
    The time of the event stands first: a notice that was delayed says when it happened. The symbol is code,
    which a tap on a phone copies.
    """
    if event.severity <= Severity.DEBUG:
        return None
    said = _SAYERS[event.kind](event.data) if event.kind in _SAYERS else None
    if said is None:
        if not event.text or event.kind in _SILENT:
            return None
        said = _Said(_head(event))
    name = symbol_text(event.symbol)
    detail = (_own_words(event, said.head) if said.own else "") or said.detail
    apart = event.kind in _LONG
    main = text(
        f"{clock_text(event.ts_ns)} ",
        bold(join(t(said.head), said.who)),
        *((" ", code(name)) if name else ()),
        f" {detail}" if detail and not apart else "",
    )
    whole = lines(main, detail if apart else "", *said.more, italic(label) if label else "")
    actions = (*said.actions, *login_buttons(event.data))
    return Reply(whole.runs, actions) if actions else whole


#: Their own words stand on lines of their own.
_LONG = frozenset({EventKind.RUN, EventKind.DAY, EventKind.FLATTEN})
_SILENT = frozenset({EventKind.EVALUATION, EventKind.COMMAND, EventKind.ORDER, EventKind.RUN})


def _head(event: Event) -> str:
    usual, grave = _HEADS.get(event.kind) or (event.kind.value.capitalize(), event.kind.value.upper())
    return grave if event.severity >= Severity.RISK else usual


#: Of events that speak for themselves: the headline, and that of a risk.
_HEADS: Mapping[EventKind, tuple[str, str]] = {
    EventKind.ALERT: (phrase("Alert"), phrase("ALERT")),
    EventKind.RECOVERY: (phrase("Recovered"), phrase("RECOVERED")),
    EventKind.CARRY: (phrase("Kept"), phrase("KEPT")),
    EventKind.LEVEL: (phrase("Level"), phrase("LEVEL")),
    EventKind.CLOSE: (phrase("Close"), phrase("CLOSE")),
    EventKind.SETTING: (phrase("Setting"), phrase("SETTING")),
}


def _own_words(event: Event, head: str) -> str:
    """The event's text without what stands before it already, the symbol or the headline, and without the
    exchange that nearly everything is of."""
    said = event.text.strip()
    for before in (event.symbol, head):
        if before and said.lower().startswith(before.lower()) and said[len(before) : len(before) + 1] in " :":
            said = said[len(before) :].lstrip(" :")
    return without_exchange(said)


def _signal(data: Data) -> _Said:
    price = number(data, "price_paise")
    size = join(rung(data), word(data, "side"), amount(data), prefixed("@", paise(data, "price_paise")))
    stop, target = (_level(data, f"{name}_paise", price) for name in ("stop", "target"))
    levels = (t("stop {price}", price=stop) if stop else "", t("target {price}", price=target) if target else "")
    by_strategy = f"({strategy})" if (strategy := word(data, "strategy")) else ""
    said = join(commas(size, *levels), by_strategy)
    if not (ref := word(data, "ref")):
        return _Said(phrase("Signal"), said)
    return _Said(t("Enter?"), said, _question(data, ref), answers(ref, float(number(data, "seconds") or 0)))


def _question(data: Data, ref: str) -> list[Part]:
    """What it costs, how to answer and until when."""
    price, size = number(data, "price_paise"), number(data, "quantity")
    worth = t("Worth {amount} at that price.", amount=rupees_text(price * size)) if price and size else ""
    skipped = word(data, "unanswered") == "skip"
    seconds = amount(data, "seconds")
    until = (
        t("An answer counts for {seconds} s; without one it is not entered.", seconds=seconds)
        if skipped
        else t("An answer counts for {seconds} s; without one IT IS ENTERED.", seconds=seconds)
    )
    return [worth, until, text(code(f"/approve {ref}"), " · ", code(f"/skip {ref}"))]


def _approval(data: Data) -> _Said:
    """By then the price may have gone on."""
    moved = share(_moved(data), number(data, "signal_paise"))
    at = t("price {price}", price=rupees_text(now)) if (now := number(data, "price_paise")) else ""
    head = t("Approved by {who}", who=who) if (who := word(data, "by")) else t("Entered unanswered")
    return _Said(head, commas(join(rung(data), word(data, "side"), amount(data)), join(at, moved)))


def _moved(data: Data) -> int | None:
    then, now = number(data, "signal_paise"), number(data, "price_paise")
    return now - then if then and now else None


def _level(data: Data, key: str, price: int | None) -> str:
    """'₹2,086.50 (-2.50 %)' from the price; empty for 0, which is none."""
    level = number(data, key)
    return join(rupees_text(level), share(None if price is None else level - price, price)) if level else ""


def _refusal(data: Data) -> _Said:
    reason = word(data, "reason") or word(data, "code")
    head = phrase("Not entered") if word(data, "ref") else phrase("Refused")
    return _Said(head, join(rung(data), named(reason)))


_WORKING = ("open", "trigger_pending")


def _accepted(data: Data) -> str | None:
    """The headline of a working order: what it was before decides whether that is new."""
    before, status = word(data, "before"), word(data, "status")
    if before not in _WORKING:
        return phrase("Order accepted")
    if status == "trigger_pending":
        return None
    triggered = before == "trigger_pending" and number(data, "trigger_paise")
    return phrase("Stop triggered") if triggered else phrase("Order changed")


def _order(data: Data) -> _Said | None:
    """Accepted once, then changed, triggered, refused or cancelled. Pending says nothing yet; of a complete order
    the fills speak, of a moved stop its own notice."""
    status = word(data, "status")
    head = _accepted(data) if status in _WORKING else {
        "rejected": phrase("Order REFUSED"),
        "cancelled": phrase("Order cancelled"),
    }.get(status)  # fmt: skip
    if head is None:
        return None
    filled = number(data, "filled")
    if filled and status in _WORKING:
        return None  # not news: the fill has its own notice
    price = prefixed("@", paise(data, "price_paise")) if number(data, "price_paise") else ""
    trigger = t("trigger {price}", price=paise(data, "trigger_paise")) if number(data, "trigger_paise") else ""
    side_and_type = (word(data, "side"), amount(data), word(data, "type"))
    what = join(rung(data), _leg(data), *side_and_type, price, trigger)
    part = t("{quantity} filled", quantity=amount(data, "filled")) if filled else ""
    return _Said(head, commas(what, part, word(data, "reason")))


def _leg(data: Data) -> str:
    return named(word(data, "leg"))


def _fill(data: Data) -> _Said:
    quantity, ordered = number(data, "quantity"), number(data, "ordered")
    value = number(data, "value_paise")
    if (booked := number(data, "booked")) and quantity is not None and value is not None:
        quantity, value = quantity - booked, value - (number(data, "booked_paise") or 0)
        ordered = None if ordered is None else ordered - booked
    partial = quantity is not None and ordered is not None and quantity < ordered
    size = "" if quantity is None else group_indian(quantity)
    if partial:
        size = t("{quantity} of {ordered}", quantity=size, ordered=group_indian(ordered or 0))
    price = f"@ {rupees_text(round(value / quantity))}" if quantity and value is not None and quantity > 0 else ""
    head = phrase("Partly filled") if partial else phrase("Filled")
    return _Said(head, join(rung(data), _leg(data), word(data, "side"), size, price))


_STOPS = {
    "armed": phrase("Stop level set"),
    "moved": phrase("Stop level moved"),
    "resized": phrase("Stop resized"),
    "missing": phrase("STOP MISSING"),
}


def _stop(data: Data) -> _Said:
    head = _STOPS.get(word(data, "state"), phrase("Stop"))
    level, size = paise(data, "level_paise"), amount(data)
    at = t("at {price}", price=level) if level else ""
    return _Said(head, join(rung(data), at, t("for {quantity}", quantity=size) if size else ""))


def _trade(data: Data) -> _Said:
    """The result first, also as a part of what was put in."""
    paid, net, held = real(data, "entry_price"), number(data, "net_paise"), number(data, "quantity")
    gain = share(net, 100 * paid * held if paid and held else None)
    made = t("net {amount}", amount=paise(data, "net_paise", sign=True)) if net is not None else ""
    result = join(rung(data), made, gain if net is not None else "")
    way = " → ".join(piece for piece in (rupees(data, "entry_price"), rupees(data, "exit_price")) if piece)
    size = join(word(data, "side"), amount(data), prefixed("×", way))
    paid_out = paise(data, "charges_paise")
    charges = t("charges {amount}", amount=paid_out) if paid_out else ""
    reason = word(data, "exit_reason")
    why = t("outside of this program") if reason == "outside" else named(reason).replace("_", " ")
    return _Said(phrase("Closed"), commas(result, why, size, charges))


def _block(data: Data) -> _Said:
    """A block that is lifted may leave others: that entries flow again is not said here."""
    who = by(data)
    reason = word(data, "reason")
    reason = PAUSED if who and reason == Block.PAUSED.value else reason
    if data.get("on") is False:  # who lifts it is not who set it
        return _Said(phrase("Block lifted"), f"{who}: {named(reason)}" if who else named(reason))
    return _Said(phrase("Entries BLOCKED"), join(named(reason), who))


_BOUNDARIES = {
    "card": (phrase("Before the open"), ""),
    "prepared": (phrase("New day prepared"), ""),
    "open": (phrase("Market open"), ""),
    "entries_stop": (phrase("No more entries today"), phrase("exits go on")),
    "square_off_warning": (phrase("Square-off"), phrase("is near: intraday positions will be closed")),
    "square_off": (phrase("Square-off"), phrase("closing intraday positions")),
    "close": (phrase("Market closed"), ""),
    "next": (phrase("Next session"), ""),
}


def _session(data: Data) -> _Said:
    boundary = word(data, "boundary")
    if boundary in ("square_off_warning", "countdown") and objects(data, "held"):
        return _Said(squared_head(data), "", tuple(squared_lines(data)), squared_buttons(data), own=False)
    if boundary == "evening":
        return _Said(t("Tokens"), "", tuple(token_lines(data)), own=False)
    head, detail = _BOUNDARIES.get(boundary, (phrase("Session"), boundary.replace("_", " ")))
    detail = t(detail) if detail else ""
    if boundary == "close" and (until := word(data, "auction_until")):
        head, detail = phrase("Continuous trading ended"), t("closing auction to {time}", time=until[11:16])
    held = number(data, "positions")
    if boundary == "square_off" and held and number(data, "due") == 0:
        return _Said(head, t("nothing is due now; {n} open, each has its time", n=held), own=False)
    if word(data, "unread"):
        detail = t("what is open is NOT KNOWN")
    elif held == 0 and boundary in ("square_off_warning", "square_off"):
        detail = t("nothing is open")
    return _Said(head, commas(detail, _open_now(held) if held else ""), _bare(data))


def _open_now(held: int) -> str:
    return t("1 open position") if held == 1 else t("{n} open positions", n=group_indian(held))


def _bare(data: Data) -> list[str]:
    """What falls with its price until the next open, whatever rests at the broker."""
    found = data.get("unprotected")
    if not isinstance(found, list) or not found:
        return []
    return [t("UNPROTECTED until the next open:"), *(f"• {without_exchange(str(line))}" for line in found)]


_FLATTENS = {
    "queued": phrase("Flatten queued"),
    "remembered": phrase("Flatten remembered"),
    "started": phrase("Flatten started"),
    "flat": phrase("Flatten done"),
    "not_flat": phrase("NOT FLAT"),
    "unconfirmed": phrase("Flatten NOT CONFIRMED"),
}


def _flatten(data: Data) -> _Said:
    state = word(data, "state")
    head = _FLATTENS.get(state, phrase("Flatten"))
    return _Said(head, "" if state in _FLATTENS else state.replace("_", " "), who=by(data))


def _run(data: Data) -> _Said | None:
    """Of a run that says where it begins and where it ends, and of books that were not known."""
    state = word(data, "state")
    if state == "reopened" and data.get("known_again") is True:
        return _Said(phrase("Orders and positions are known"), "", tuple(run_lines(data)))
    if state not in ("started", "stopped"):
        return None
    number_of = word(data, "version") if state == "started" else ""
    version = t("version {version}", version=number_of) if number_of else ""
    resumed = t("the day goes on after a stop") if state == "started" and data.get("resumed") is True else ""
    head = phrase("Started") if state == "started" else phrase("Stopped")
    return _Said(head, "", (commas(version, resumed), *run_lines(data)))


def _day(data: Data) -> _Said:
    return _Said(day_head(data), "", tuple(day_lines(data)))


_SAYERS: Mapping[EventKind, Callable[[Data], _Said | None]] = {
    EventKind.RUN: _run,
    EventKind.SIGNAL: _signal,
    EventKind.APPROVAL: _approval,
    EventKind.REFUSAL: _refusal,
    EventKind.ORDER: _order,
    EventKind.FILL: _fill,
    EventKind.STOP: _stop,
    EventKind.TRADE: _trade,
    EventKind.BLOCK: _block,
    EventKind.SESSION: _session,
    EventKind.FLATTEN: _flatten,
    EventKind.DAY: _day,
}
