"""Notices of the day's rhythm, with what a person may do about them: a login, the square-off, tokens that end."""

from __future__ import annotations

from collections.abc import Iterator

from otrade_bot.control.news.pieces import Data, amount, join, number, objects, paise, rung, word
from otrade_bot.control.reply import Action, Part, bold, code, text
from otrade_bot.control.words import day_text, symbol_text
from otrade_bot.core.clock import from_iso
from otrade_bot.core.lang import t
from otrade_bot.core.money import rupees_text

__all__ = ["login_buttons", "squared_buttons", "squared_head", "squared_lines", "token_lines"]

_ROWS, _BUTTONS = 30, 4


def login_buttons(data: Data) -> tuple[Action, ...]:
    """For each broker that wants one; pressed at any time, as it only begins a login."""
    names = data.get("login")
    found = [name for name in names if isinstance(name, str) and name] if isinstance(names, (list, tuple)) else []
    return tuple(
        Action(t("Log in to {broker}", broker=name.capitalize()), f"/login {name}", lasting=True)
        for name in found[:_BUTTONS]
    )


def squared_head(data: Data) -> str:
    """'Square-off at 14:55, in 10 min'. The minutes are those between the two moments of the event."""
    at, left = word(data, "square_off")[11:16], number(data, "minutes") or _minutes(data)
    if left <= 0:
        return t("Square-off at {time}", time=at)
    return t("Square-off at {time}, in {minutes} min", time=at, minutes=left)


def _minutes(data: Data) -> int:
    try:
        return (from_iso(word(data, "square_off")) - from_iso(word(data, "at"))) // 60_000_000_000
    except ValueError:
        return 0


def squared_lines(data: Data) -> Iterator[Part]:
    """Each position with its result so far, and all together."""
    held = objects(data, "held")
    for one in held[:_ROWS]:
        now = paise(one, "pnl_paise", sign=True)
        size = join(rung(one), word(one, "side"), amount(one))
        yield text(code(symbol_text(word(one, "symbol")) or "?"), f" {size}", f", {now}" if now else "")
    if len(held) > _ROWS:
        yield t("and {n} more: /positions", n=len(held) - _ROWS)
    known = [value for one in held if (value := number(one, "pnl_paise")) is not None]
    if known and len(known) == len(held):
        total = rupees_text(sum(known), sign=True)
        yield bold(t("Together {amount} before charges", amount=total))
    times = {word(one, "at")[11:16] for one in held}
    yield t("Each is closed by itself at its time.") if len(times) > 1 else t("They are closed by themselves then.")


def squared_buttons(data: Data) -> tuple[Action, ...]:
    """Out now, which asks back and leaves the other buttons, and later where there is room; until the square-off."""
    seconds = 60.0 * (number(data, "minutes") or _minutes(data) or 1)
    symbols = list(dict.fromkeys(word(one, "symbol") for one in objects(data, "held")))
    if data.get("only") is True or len(symbols) >= _BUTTONS:
        exits = [Action(t("Exit now"), "/flatten", seconds=seconds, again=True)]
    else:
        exits = [
            Action(t("Exit {symbol} now", symbol=symbol_text(one)), f"/close {one}", seconds=seconds, again=True)
            for one in symbols
        ]
    later = number(data, "later") or 0
    put_off = [Action(t("{minutes} min later", minutes=later), f"/later {later}", seconds=seconds)] if later > 0 else []
    return (*exits, *put_off)


def token_lines(data: Data) -> Iterator[Part]:
    """Which token ends when, and by when somebody has to log in."""
    for one in objects(data, "tokens"):
        broker, user, until = word(one, "broker").capitalize(), word(one, "user"), _moment(word(one, "until"))
        if not until:
            yield t("{broker}: no token that holds.", broker=broker)
        elif user:
            yield t("{broker}: the token of {user} ends {until}.", broker=broker, user=user, until=until)
        else:
            yield t("{broker}: the token ends {until}.", broker=broker, until=until)
    opens = _moment(word(data, "opens"))
    if opens:
        yield t("Log in before the next session opens, {opens}; an hour before it you are asked.", opens=opens)
    else:
        yield t("Log in before the next session opens.")


def _moment(iso: str) -> str:
    """'Tue 22 Sep 2026 06:00'."""
    try:
        return f"{day_text(from_iso(iso))} {iso[11:16]}"
    except ValueError:
        return ""
