"""/keyboard: the keys under the chat are commands of one's own choice."""

from __future__ import annotations

from dataclasses import replace

from otrade_bot.control.auth import Role
from otrade_bot.control.commands import Arguments, Command, Context
from otrade_bot.control.reply import Reply, bold, code, lines, text
from otrade_bot.control.words import short
from otrade_bot.core.errors import CommandException
from otrade_bot.core.lang import t

__all__ = ["KEYBOARD", "MOST", "Keys"]

#: Keys on a phone's keyboard.
MOST = 12


class Keys(Arguments):
    """Names of commands, or ``off``."""

    words: str = ""


async def _keyboard(context: Context, arguments: Arguments) -> Reply:
    assert isinstance(arguments, Keys)
    if context.wishes is None or not _private(context):
        raise CommandException(t("Keys belong to a private chat with the bot: send this there."))
    words = list(dict.fromkeys(word.lstrip("/").casefold() for word in arguments.words.split()))
    if not words:
        return _shown(context)
    chosen = () if words == ["off"] else tuple(_known(context, word) for word in words)
    if len(chosen) > MOST:
        raise CommandException(t("At most {n} keys.", n=MOST))
    unsaved = context.wishes.wish(context.user_id, keyboard=chosen)
    head = t("These are your keys now.") if chosen else t("The keys are gone.")
    return replace(lines(bold(head), unsaved), keys=tuple(f"/{name}" for name in chosen))


def _shown(context: Context) -> Reply:
    """What there is, put up again: another phone of the same person may lack it."""
    assert context.wishes is not None
    keys = context.wishes.wishes(context.user_id).keyboard or ()
    usage = text(t("Choose:"), " ", code("/keyboard status pnl pause"), " · ", code("/keyboard off"))
    if not keys:
        return lines(bold(t("You have chosen no keys.")), usage)
    return replace(lines(bold(t("Your keys")), " ".join(f"/{name}" for name in keys), usage),
                   keys=tuple(f"/{name}" for name in keys))  # fmt: skip


def _known(context: Context, word: str) -> str:
    """The name of a command that this person may use and that needs nothing more. Raises CommandException."""
    command = context.table.get(word)
    if command is None or context.role < command.role:
        raise CommandException(t("There is no command /{name} for you.", name=short(word, 40)))
    return command.name


def _private(context: Context) -> bool:
    return context.session == f"telegram:{context.user_id}:{context.user_id}"


KEYBOARD = (
    Command("keyboard", Role.VIEWER, "keys under the chat, as you choose", _keyboard, Keys, "[COMMAND ... | off]"),
)
