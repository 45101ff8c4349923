"""/signals, /approve, /skip and /why: what strategies saw and asked for, what became of it, and a person's answer."""

from __future__ import annotations

import re

from pydantic import Field

from otrade_bot.control.auth import Role
from otrade_bot.control.commands import Arguments, Command, Context
from otrade_bot.control.reply import Reply, lines, text
from otrade_bot.control.symbols import resolved
from otrade_bot.control.views_signals import questions, signals
from otrade_bot.control.views_why import why
from otrade_bot.control.words import symbol_text, without_exchange
from otrade_bot.core.errors import CommandException
from otrade_bot.core.lang import t
from otrade_bot.trading.snapshot import SignalView

__all__ = ["SIGNALS", "Count", "Look", "Ref"]

_REF = re.compile(r"[0-9a-f]{6}")


class Count(Arguments):
    """How many, the newest first."""

    n: int = Field(10, ge=1, le=200)


class Ref(Arguments):
    """The name of a question, as its buttons have it; or an instrument."""

    ref: str = Field("", max_length=60)


class Look(Arguments):
    """An instrument, and up to which moment of the day, Indian time; the newest look without one."""

    symbol: str = Field(min_length=1, max_length=60)
    at: str = Field("", max_length=8, pattern=r"^(|\d{1,2}:\d{2}(:\d{2})?)$")


async def _signals(context: Context, arguments: Arguments) -> Reply:
    assert isinstance(arguments, Count)
    return signals(context.view.signals(), arguments.n, context.view.status())


async def _approve(context: Context, arguments: Arguments) -> Reply:
    """A symbol alone names no question: what was asked may be another one by now, so it is shown first."""
    assert isinstance(arguments, Ref)
    found = _meant(context, arguments.ref)
    if isinstance(found, str):
        return text(without_exchange(context.view.approve(found, context.user)))
    return questions(found)


async def _skip(context: Context, arguments: Arguments) -> Reply:
    assert isinstance(arguments, Ref)
    found = _meant(context, arguments.ref)
    if isinstance(found, str):
        return text(without_exchange(context.view.skip(found, context.user)))
    if not arguments.ref:
        return questions(found)
    return lines(*(without_exchange(context.view.skip(one.ref, context.user)) for one in found))


def _meant(context: Context, word: str) -> str | list[SignalView]:
    """The name of a question, or those that wait of an instrument (of all without a word). Raises CommandException."""
    known = context.view.signals()
    ref = word.lower()
    if any(one.ref == ref for one in known if one.ref):
        return ref
    waiting = [one for one in known if one.state == "waiting"]
    if not word:
        return waiting
    symbols = sorted({row.symbol for row in context.view.rows()})
    if _REF.fullmatch(ref) and not any(symbol_text(symbol) == word.upper() for symbol in symbols):
        return ref
    symbol = resolved(word, symbols)
    found = [one for one in waiting if one.symbol == symbol]
    if not found:
        raise CommandException(t("No signal of {symbol} waits for an answer.", symbol=symbol_text(symbol)))
    return found


async def _why(context: Context, arguments: Arguments) -> Reply:
    assert isinstance(arguments, Look)
    view = context.view
    rows, held = view.rows(), view.positions()
    symbol = resolved(arguments.symbol, sorted({one.symbol for one in rows} | {one.symbol for one in held}))
    return why(
        symbol,
        [one for one in rows if one.symbol == symbol],
        view.evaluations(symbol),
        [one for one in view.signals() if one.symbol == symbol],
        view.refusals(symbol),
        [one for one in held if one.symbol == symbol],
        view.status(),
        arguments.at,
    )


SIGNALS = (
    Command("why", Role.VIEWER, "why a symbol was bought or not", _why, Look, "SYMBOL [HH:MM]"),
    Command("signals", Role.VIEWER, "the day's signals and what became of them", _signals, Count, "[n]"),
    Command("approve", Role.OPERATOR, "enter what a strategy asks for", _approve, Ref, "[SIGNAL]"),
    Command("skip", Role.OPERATOR, "do not enter it", _skip, Ref, "[SIGNAL|SYMBOL]"),
)
