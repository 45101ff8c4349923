"""What the watchdog says. A message of its own, so everything stands in it that a person needs who is not at a desk."""

from __future__ import annotations

from collections.abc import Iterator

from otrade_bot.control.news.summaries import positions_lines
from otrade_bot.control.reply import Part, Reply, bold, italic, lines, text
from otrade_bot.control.words import ago, clock_text, day_text
from otrade_bot.core.clock import SECOND, from_iso, ist_date
from otrade_bot.core.lang import t
from otrade_bot.service.heart import Heart, host
from otrade_bot.service.watch import Finding, Kind

__all__ = ["said"]


def said(found: Finding) -> Reply:
    """The message, in the language that is spoken."""
    parts = {Kind.SILENT: _silent, Kind.ABSENT: _absent, Kind.STOPPED: _stopped, Kind.BACK: _back}[found.kind](found)
    head, *rest = parts
    return lines(text(f"{clock_text(found.at)} ", head), *rest, italic(_label(found.heart)))


def _silent(found: Finding) -> Iterator[Part]:
    heart = found.heart
    assert heart is not None
    yield bold(t("WATCHDOG: still no sign of life") if found.again else t("WATCHDOG: no sign of life"))
    yield t("The service was last heard at {when}, {span} ago.", when=_when(heart.at, found.at), span=_span(found))
    if found.process is True:
        yield t("Its process {pid} is there: it hangs, or cannot write its heartbeat (a full disk).", pid=heart.pid)
    elif found.process is False:
        yield t("Its process {pid} is gone.", pid=heart.pid)
    else:
        yield t("It ran on another machine or in another container: its process cannot be seen from here.")
    yield from _held(heart, found.at)
    yield t("Stops that rest at the exchange hold. Nothing is trailed or closed at its time until it runs again.")
    if found.process is True:
        yield t("Ask it /status. If it does not answer, end that process: a supervisor then starts a new one.")
    else:
        yield t("A supervisor starts it again; if I do not say soon that it is back, look at the machine.")
    if heart.held or heart.unread:
        yield t("To get out meanwhile use the broker's own app.")


def _absent(found: Finding) -> Iterator[Part]:
    heart, opens = found.heart, clock_text(found.opens)[:5]
    if found.at < found.opens:
        yield bold(t("WATCHDOG: the service is not running, the market opens at {when}", when=opens))
    else:
        yield bold(t("WATCHDOG: the service is not running, the market is open"))
    if heart is None:
        why = found.fault or t("there is no heartbeat")
        yield t("It has given no sign since I watch: {why}.", why=why)
        yield t("What is open is NOT KNOWN.")
    elif heart.running:
        yield t("It was last heard on {when} and did not end in good order.", when=_when(heart.at, found.at))
    else:
        yield t("It was stopped in good order on {when}.", when=_when(heart.at, found.at))
    if heart is not None:
        yield from _held(heart, found.at)
    yield t("Nothing is traded and nothing watched until it is started.")


def _stopped(found: Finding) -> Iterator[Part]:
    heart = found.heart
    assert heart is not None
    yield bold(t("WATCHDOG: stopped with open positions, and the market is open"))
    yield t("The service ended in good order at {when} and has not been started again.", when=_when(heart.at, found.at))
    yield from _held(heart, found.at)
    yield t("Stops that rest at the exchange hold. Nothing is trailed or closed at its time until it runs again.")


def _back(found: Finding) -> Iterator[Part]:
    heart, before = found.heart, found.before
    assert heart is not None
    assert before is not None
    if not heart.running:
        yield bold(t("WATCHDOG: the service was there again and has ended in good order"))
    elif before.kind is Kind.SILENT:
        yield bold(t("WATCHDOG: the service is back"))
    else:
        yield bold(t("WATCHDOG: the service is running"))
    if before.kind is Kind.SILENT:
        since = from_iso(before.about)
        when, span = _when(since, found.at), ago((found.at - since) // SECOND * SECOND)
        yield t("Nothing was heard from {when} on, for {span}.", when=when, span=span)
    yield from _held(heart, found.at)


def _held(heart: Heart, now: int) -> Iterator[Part]:
    """The last known truth, and when it was one."""
    if heart.unread:
        yield bold(t("What is open was NOT KNOWN to it: {why}", why=heart.unread))
        return
    when = _when(heart.at, now)
    if not heart.held:
        yield t("Nothing was open at {when}.", when=when)
        return
    yield bold(t("Open at {when}: {n}", when=when, n=len(heart.held)))
    yield from positions_lines(list(heart.held))


def _when(at: int, now: int) -> str:
    """The day as well, where it is another one."""
    return clock_text(at) if ist_date(at) == ist_date(now) else f"{day_text(at)} {clock_text(at)}"


def _span(found: Finding) -> str:
    """By the clock where it is one and the same, else by what was watched."""
    heart, watched = found.heart, int(found.silent_s) * SECOND
    same = heart is not None and heart.host == host()
    return ago(max(watched, (found.at - heart.at) // SECOND * SECOND) if same and heart is not None else watched)


def _label(heart: Heart | None) -> str:
    if heart is None:
        return ""
    mode = heart.mode.upper()
    return " · ".join(filter(None, (mode, heart.broker, t("rehearsal") if heart.rehearsal else "")))
