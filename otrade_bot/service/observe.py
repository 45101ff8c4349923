"""Events into the logs: what happened to orders in the trade stream, what went wrong in the error stream."""

from __future__ import annotations

from otrade_bot.control.commands import Heard
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.service.logs import get_logger

__all__ = ["command_event", "log_observer"]

_TRADE = {EventKind.SIGNAL, EventKind.REFUSAL, EventKind.ORDER, EventKind.FILL, EventKind.STOP, EventKind.TRADE}


def log_observer(event: Event) -> None:
    """One log line an event; evaluations are in the journal alone."""
    if event.kind is EventKind.EVALUATION:
        return
    log = get_logger("trade" if event.kind in _TRADE else "system")
    write = log.warning if event.severity >= Severity.RISK else log.info
    write(str(event.kind), symbol=event.symbol, text=event.text, market_ns=event.ts_ns, **event.data)


def command_event(heard: Heard, ts_ns: int) -> Event:
    """What a human said, allowed or not, as a line of the journal."""
    data = {"user": heard.user, "session": heard.session, "line": heard.line, "outcome": heard.outcome}
    data |= {"mark": heard.mark} if heard.mark else {}
    return Event(EventKind.COMMAND, ts_ns, severity=Severity.INFO, data=data)
