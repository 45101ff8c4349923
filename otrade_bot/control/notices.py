"""Texts that are pushed, not asked for: an event becomes a line or a short block, or nothing.

The words come from ``event.text`` where the engine wrote one, else from the data. Data that are missing
or of another type are left out: a notice must never fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from otrade_bot.control.reply import Reply, bold, italic, lines, text
from otrade_bot.control.words import clock_text, dropped_text, symbol_text
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.money import rupees_text, to_paise

__all__ = ["describe"]

_Said = tuple[str, str]  # headline, detail


def describe(event: Event, label: str = "") -> Reply | None:
    """What to tell a human about an event, None where it is not worth a message.

    ``label`` ("PAPER · simulated prices") is put under it, for mouths that send each notice on its own.
    The time of the event stands first: a notice that was delayed says when it happened.
    """
    if event.severity <= Severity.DEBUG:
        return None
    said = _SAYERS[event.kind](event.data) if event.kind in _SAYERS else None
    if said is None:
        if not event.text or event.kind in _SILENT:
            return None
        said = (event.kind.value.capitalize(), "")
    head, detail = said
    name = f" {symbol_text(event.symbol)}" if event.symbol else ""
    detail = event.text or detail
    main = text(f"{clock_text(event.ts_ns)} ", bold(head + name), f" {detail}" if detail else "")
    return lines(main, italic(label) if label else "")


_SILENT = frozenset({EventKind.EVALUATION, EventKind.COMMAND, EventKind.ORDER, EventKind.RUN})


def _word(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _number(data: Mapping[str, Any], key: str) -> int | None:
    value = data.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _paise(data: Mapping[str, Any], key: str, *, sign: bool = False) -> str:
    value = _number(data, key)
    return "" if value is None else rupees_text(value, sign=sign)


def _rupees(data: Mapping[str, Any], key: str) -> str:
    """Of a ``*_price`` key, which holds rupees."""
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e12:
        return ""
    return rupees_text(to_paise(value))


def _rung(data: Mapping[str, Any]) -> str:
    rung = _number(data, "rung")
    return f"P{rung}" if rung else ""


def _join(*pieces: str) -> str:
    return " ".join(piece for piece in pieces if piece)


def _with(name: str, value: str) -> str:
    return f"{name} {value}" if value else ""


def _commas(*pieces: str) -> str:
    return ", ".join(piece for piece in pieces if piece)


def _amount(data: Mapping[str, Any]) -> str:
    number = _number(data, "quantity")
    return "" if number is None else str(number)


def _signal(data: Mapping[str, Any]) -> _Said | None:
    size = _join(_rung(data), _word(data, "side"), _amount(data), _with("@", _paise(data, "price_paise")))
    stop, target = (_paise(data, key) if _number(data, key) else "" for key in ("stop_paise", "target_paise"))
    by = f"({strategy})" if (strategy := _word(data, "strategy")) else ""
    return "Signal", _join(_commas(size, _with("stop", stop), _with("target", target)), by)


def _refusal(data: Mapping[str, Any]) -> _Said | None:
    return "Refused", _join(_rung(data), _word(data, "reason") or _word(data, "code"))


def _order(data: Mapping[str, Any]) -> _Said | None:
    """Accepted, refused, cancelled. Pending says nothing yet; of a complete order the fills speak."""
    status = _word(data, "status")
    head = {
        "open": "Order accepted",
        "trigger_pending": "Order accepted",
        "rejected": "Order REFUSED",
        "cancelled": "Order cancelled",
    }.get(status)
    if head is None:
        return None
    filled = _number(data, "filled")
    if filled and status in ("open", "trigger_pending"):
        return None  # not news: the fill has its own notice
    price = _with("@", _paise(data, "price_paise")) if _number(data, "price_paise") else ""
    trigger = _with("trigger", _paise(data, "trigger_paise")) if _number(data, "trigger_paise") else ""
    what = _join(
        _rung(data),
        _word(data, "leg"),
        _word(data, "side"),
        _amount(data),
        _word(data, "type"),
        price,
        trigger,
    )
    done = f"{filled} filled" if filled else ""
    return head, _commas(what, done, _word(data, "reason"))


def _fill(data: Mapping[str, Any]) -> _Said | None:
    quantity, ordered = _number(data, "quantity"), _number(data, "ordered")
    value = _number(data, "value_paise")
    partial = quantity is not None and ordered is not None and quantity < ordered
    size = f"{quantity} of {ordered}" if partial else _amount(data)
    average = (
        f"@ {rupees_text(round(value / quantity))}" if quantity and value is not None and quantity > 0 else ""
    )
    head = "Partly filled" if partial else "Filled"
    return head, _join(_rung(data), _word(data, "leg"), _word(data, "side"), size, average)


_STOPS = {
    "armed": "Stop armed",
    "moved": "Stop moved",
    "resized": "Stop resized",
    "missing": "STOP MISSING",
}


def _stop(data: Mapping[str, Any]) -> _Said | None:
    head = _STOPS.get(_word(data, "state"), "Stop")
    return head, _join(_rung(data), _with("at", _paise(data, "level_paise")), _with("for", _amount(data)))


def _trade(data: Mapping[str, Any]) -> _Said | None:
    reason = _word(data, "exit_reason").replace("_", " ")
    way = " → ".join(piece for piece in (_rupees(data, "entry_price"), _rupees(data, "exit_price")) if piece)
    net = _with("net", _paise(data, "net_paise", sign=True))
    size = _join(_rung(data), _word(data, "side"), _amount(data), _with("×", way))
    return "Closed", _commas(size, reason, net, _with("charges", _paise(data, "charges_paise")))


def _block(data: Mapping[str, Any]) -> _Said | None:
    return ("Entries released" if data.get("on") is False else "Entries BLOCKED"), _word(data, "reason")


_BOUNDARIES = {
    "open": ("Market open", ""),
    "entries_stop": ("No more entries today", "exits go on"),
    "square_off_warning": ("Square-off is near", "intraday positions will be closed"),
    "square_off": ("Square-off", "closing intraday positions"),
    "close": ("Market closed", ""),
}


def _session(data: Mapping[str, Any]) -> _Said | None:
    boundary = _word(data, "boundary")
    return _BOUNDARIES.get(boundary, ("Session", boundary.replace("_", " ")))


def _flatten(data: Mapping[str, Any]) -> _Said | None:
    return "Flatten", _word(data, "state").replace("_", " ")


def _day(data: Mapping[str, Any]) -> _Said | None:
    trades = data.get("trades")
    number = len(trades) if isinstance(trades, (list, tuple)) else _number(data, "trades")
    booked = "" if number is None else f"{number} trade{'' if number == 1 else 's'}"
    money = (
        _with(name, _paise(data, f"{name}_paise", sign=name != "charges"))
        for name in ("gross", "charges", "net")
    )
    held = data.get("open_positions")
    still = f"{len(held)} STILL OPEN" if isinstance(held, (list, tuple)) and held else ""
    return "Day ended", _commas(booked, *money, still, _dropped(data.get("dropped")))


def _dropped(value: object) -> str:
    if not isinstance(value, Mapping):
        return ""
    counts = {key: number for key, number in value.items() if isinstance(key, str) and type(number) is int}
    return dropped_text(counts) if any(counts.values()) else ""


_SAYERS: Mapping[EventKind, Callable[[Mapping[str, Any]], _Said | None]] = {
    EventKind.SIGNAL: _signal,
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
