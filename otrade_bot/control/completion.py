"""What a command lacks, asked by buttons where there are few answers: nobody types a symbol on a train."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, get_args, get_origin

from pydantic import ValidationError

from otrade_bot.control.auth import Role
from otrade_bot.control.reply import Action, Reply, bold, code, lines, text
from otrade_bot.control.words import symbol_text
from otrade_bot.core.lang import t

if TYPE_CHECKING:
    from otrade_bot.control.commands import Command, Context

__all__ = ["asked"]

#: Buttons of one question.
MOST = 24


def asked(context: Context, command: Command, pieces: Sequence[str], error: ValueError) -> Reply | None:
    """Buttons for the next word of a command that ends too early; None where there are none to offer."""
    if context.session == "terminal" or not isinstance(error, ValidationError):
        return None
    first = error.errors(include_url=False)[0]
    fields = list(command.arguments.model_fields)
    if first["type"] != "missing" or first["loc"] != (fields[len(pieces)],):
        return None
    words = list(dict.fromkeys(_words(context, command, fields[len(pieces)])))
    if not words:
        nothing = fields[len(pieces)] == "symbol" and command.role > Role.VIEWER and command.choices is None
        if not nothing or context.view.status().unread:
            return None
        return lines(text(t("Nothing is open.")), code(f"/{command.name} {command.takes}".rstrip()))
    said = " ".join((f"/{command.name}", *pieces))
    reads = command.role <= Role.VIEWER
    actions = tuple(Action(symbol_text(word), f"{said} {word}", edit=reads) for word in words[:MOST])
    more = t("{n} more are not shown: type the name.", n=len(words) - MOST) if len(words) > MOST else ""
    usage = code(f"/{command.name} {command.takes}".rstrip())
    return Reply(lines(text(bold(t("Which one?")), " ", usage), more).runs, actions)


def _words(context: Context, command: Command, field: str) -> Iterable[str]:
    if command.choices is not None:
        return command.choices(context)
    annotation = command.arguments.model_fields[field].annotation
    if get_origin(annotation) is Literal:
        return [word for word in get_args(annotation) if word]
    return _symbols(context, command) if field == "symbol" else ()


def _symbols(context: Context, command: Command) -> list[str]:
    """What is held; where nothing is changed, then what is followed."""
    held = sorted({one.symbol for one in context.view.positions()})
    if command.role > Role.VIEWER:
        return held
    return [*held, *sorted({one.symbol for one in context.view.rows()} - set(held))]
