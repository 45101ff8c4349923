"""The square-off of a day put off by a human, never into the time when the broker squares off by itself.

The new time is in the journal before it holds, and a restart on that day knows it. No entry is allowed any longer by
it: those stop when they would have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from otrade_bot.config.models import minutes as minute_of
from otrade_bot.core.clock import MINUTE, midnight_ns, to_ist
from otrade_bot.core.errors import CommandException
from otrade_bot.core.events import Event, EventKind
from otrade_bot.core.lang import t

if TYPE_CHECKING:
    from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["extend_square_off", "hold_square_off", "latest"]

#: When brokers begin to square off by themselves, by kind of session (IST); asked for from their published times.
_OWN: Mapping[str, Mapping[str, str]] = {"upstox": {"auction": "15:05", "equity": "15:15", "fno": "15:25"}}
_OTHERS: Mapping[str, str] = {"auction": "15:05", "equity": "15:20", "fno": "15:25"}
#: Minutes before that which are kept free.
FREE = 5
MOST = 60


def latest(engine: LiveTradingEngine, row: int) -> int:
    """The latest square-off of a row on the prepared day (ns UTC); 0 where none can be put off."""
    session = engine.sessions.get(row)
    if session is None or session.special or not engine.params[row]["square_off"]:
        return 0
    given = getattr(engine.config.market.square_off, session.kind.value).extend_until
    own = minute_of(_OWN.get(engine.broker.name, _OTHERS)[session.kind.value]) - FREE
    until = own if given is None else minute_of(given)
    return min(midnight_ns(session.day) + until * MINUTE, session.continuous_end - MINUTE)


def extend_square_off(engine: LiveTradingEngine, symbols: Sequence[str], minutes: int, by: str) -> str:
    """``minutes`` later for these symbols, as far as is allowed; says when. Raises CommandException where nothing can
    be put off."""
    if not 1 <= minutes <= MOST:
        raise CommandException(t("The square-off can be put off by 1 to {most} minutes.", most=MOST))
    now, moved = engine.clock.now_ns(), {}
    for symbol in symbols:
        row = engine.by_symbol.get(symbol, -1)
        planned = int(engine.params[row]["square_off"]) if row >= 0 else 0
        if planned and now < planned:
            moved[symbol] = max(planned, min(planned + minutes * MINUTE, latest(engine, row)))
    due = {symbol: int(engine.params[engine.by_symbol[symbol]]["square_off"]) for symbol in moved}
    later = {symbol: until for symbol, until in moved.items() if until > due[symbol]}
    if not later:
        why = t("the broker squares off by itself soon after") if moved else t("it has come, or there is none")
        raise CommandException(t("The square-off cannot be put off: {why}.", why=why))
    for until in sorted(set(later.values())):
        together = sorted(symbol for symbol in later if later[symbol] == until)
        text = f"square-off of {', '.join(together)} put off to {to_ist(until):%H:%M} by {by}"
        engine.emit(Event(EventKind.LEVEL, now, text=text, data={
            "what": "square_off", "symbols": together, "until_ns": until, "by": by,
        }))  # fmt: skip
    hold_square_off(engine, later)
    return "\n".join(_line(later, until) for until in sorted(set(later.values())))


def _line(later: Mapping[str, int], until: int) -> str:
    names = ", ".join(sorted(symbol for symbol in later if later[symbol] == until))
    return t("Square-off of {names} at {time}.", names=names, time=f"{to_ist(until):%H:%M}")


def hold_square_off(engine: LiveTradingEngine, later: Mapping[str, int]) -> None:
    """From now on, and with the boundaries of the day that are still to come. Never earlier than it is."""
    for symbol, until in later.items():
        row = engine.by_symbol.get(symbol, -1)
        allowed = min(until, latest(engine, row))
        if row >= 0 and 0 < engine.params[row]["square_off"] < allowed:
            engine.params[row]["square_off"] = allowed
            engine.deck.changed()
    engine.plan_boundaries()
