"""The longer notices: the service began or ended, and the day's summary. Lines that fit a phone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from otrade_bot.control.news.carried import execution_lines, strategy_lines
from otrade_bot.control.news.pieces import (
    Data,
    amount,
    average,
    commas,
    join,
    mapping,
    number,
    objects,
    paise,
    rung,
    word,
)
from otrade_bot.control.reply import Part, Reply, bold, code, text
from otrade_bot.control.words import counted, day_text, dropped_text, percent, short, symbol_text
from otrade_bot.core.clock import at_ist
from otrade_bot.core.lang import t
from otrade_bot.core.money import group_indian

__all__ = ["day_head", "day_lines", "positions_lines", "run_lines"]

#: Longest list of instruments or positions that is spelled out.
_NAMES, _ROWS = 8, 30


def run_lines(data: Data) -> Iterator[Part]:
    """After 'Started' or 'Stopped': where the orders go, what trades, what is open and where its stops rest."""
    if word(data, "state") == "started":
        mode = join(word(data, "mode").upper(), t("rehearsal") if data.get("rehearsal") is True else "")
        broker, feed = word(data, "broker"), word(data, "feed")
        yield commas(
            mode, t("broker {name}", name=broker) if broker else "", t("prices {name}", name=feed) if feed else ""
        )
        for name, symbols in mapping(data, "strategies").items():
            yield f"{name}: {_names(symbols)}"
        if why := word(data, "in_process"):
            yield t("Kernel compiled in process, which costs memory: {why}. otrade-bot doctor has the cure", why=why)
    held = objects(data, "positions")
    if word(data, "unread"):
        yield bold(t("What is open is NOT KNOWN"))
        return
    yield from _open(held, t("1 position open") if len(held) == 1 else t("{n} positions open", n=len(held)))


def _open(held: list[Data], head: str) -> Iterator[Part]:
    if not held:
        yield t("Nothing is open")
        return
    yield bold(head)
    yield from positions_lines(held)


def positions_lines(held: list[Data]) -> Iterator[Part]:
    """A line each."""
    for one in held[:_ROWS]:
        size = join(rung(one), word(one, "side"), amount(one), average(one))
        yield text(code(symbol_text(word(one, "symbol")) or "?"), f" {size}" if size else "", _stop(one))
    if len(held) > _ROWS:
        yield t("and {n} more: /positions", n=len(held) - _ROWS)


def _stop(one: Data) -> Reply:
    """Where the stop rests; nothing of a list that does not say."""
    if one.get("external") is True:
        return text(", ", t("not ours: no stop from here"))
    if "stop_resting" not in one:
        return text("")
    at = paise(one, "stop_paise") if number(one, "stop_paise") else ""
    if one["stop_resting"] is True:
        return text(", ", t("stop rests at {price}", price=at) if at else t("stop rests"))
    return text(", ", bold(t("stop {price} is NOT resting", price=at) if at else t("NO STOP")))


def _names(symbols: object) -> str:
    if not isinstance(symbols, (list, tuple)):
        return "?"
    shown = ", ".join(short(symbol_text(str(symbol)), 40) for symbol in symbols[:_NAMES])
    more = len(symbols) - _NAMES
    return t("{names} and {n} more", names=shown, n=more) if more > 0 else shown or t("nothing")


def day_head(data: Data) -> str:
    """'Day ended Tue 1 Jun 2021'."""
    try:
        day = date.fromisoformat(word(data, "day"))
        return t("Day ended {day}", day=day_text(at_ist(day, 12)))
    except (ValueError, OverflowError, OSError):
        return t("Day ended")


def day_lines(data: Data) -> Iterator[Part]:
    """The numbers of the report, the result first."""
    net = paise(data, "net_paise", sign=True)
    if net:
        gross, charges = paise(data, "gross_paise", sign=True), paise(data, "charges_paise")
        sums = commas(
            t("gross {amount}", amount=gross) if gross else "", t("charges {amount}", amount=charges) if charges else ""
        )
        yield text(bold(t("Net {amount}", amount=net)), f" ({sums})" if sums else "")
    yield commas(_trades(data), _winners(data))
    yield from _extremes(data)
    yield from strategy_lines(data)
    yield commas(_counted(data, "signals", "signal"), _counted(data, "orders", "order"), _refused(data))
    yield from execution_lines(data)
    yield _dropped(data)
    yield from _left(data)
    yield word(data, "self_check")
    following = word(data, "next_session")
    known = following.lower().startswith("next") or not following
    yield following if known else t("Next session: {day}", day=following)


def _trades(data: Data) -> str:
    trades = data.get("trades")
    booked = len(trades) if isinstance(trades, (list, tuple)) else number(data, "trades")
    return "" if booked is None else counted(booked, "trade") if booked else t("No trades")


def _winners(data: Data) -> str:
    won, lost = number(data, "wins"), number(data, "losses")
    if won is None or lost is None or won < 0 or lost < 0 or not won + lost:
        return ""
    rate = percent(100 * won / (won + lost))
    return t("{won} won, {lost} lost ({rate} won)", won=won, lost=lost, rate=rate)


def _extremes(data: Data) -> Iterator[Part]:
    best, worst = (_named(mapping(data, key)) for key in ("best", "worst"))
    if best and best != worst:
        yield text(t("Best"), " ", best)
    if worst and best != worst:
        yield text(t("Worst"), " ", worst)


def _named(trade: Data) -> Reply:
    name, net = symbol_text(word(trade, "symbol")), paise(trade, "net_paise", sign=True)
    return text(code(name), f" {net}") if name and net else Reply()


def _counted(data: Data, key: str, one: str) -> str:
    value = number(data, key)
    return "" if value is None else counted(value, one)


def _counts(data: Data, key: str) -> dict[str, int]:
    """Those above 0."""
    found = mapping(data, key).items()
    return {name: value for name, value in found if isinstance(name, str) and type(value) is int and value > 0}


def _refused(data: Data) -> str:
    codes = _counts(data, "refusals")
    if not codes:
        return ""
    most = sorted(codes.items(), key=lambda one: (-one[1], one[0]))
    reasons = ", ".join(f"{group_indian(number)} {why.replace('_', ' ')}" for why, number in most)
    return t("{n} refused ({reasons})", n=group_indian(sum(codes.values())), reasons=reasons)


def _dropped(data: Data) -> str:
    found = _counts(data, "dropped")
    return t("Prices: {dropped}", dropped=dropped_text(found)) if found else ""


def _left(data: Data) -> Iterator[Part]:
    if not isinstance(data.get("open_positions"), (list, tuple)):
        return
    held = objects(data, "open_positions")
    yield from _open(held, t("{n} STILL OPEN", n=len(held)))
