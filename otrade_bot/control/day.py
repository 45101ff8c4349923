"""/later: the day's square-off a few minutes later, within what the broker leaves room for."""

from __future__ import annotations

from pydantic import Field

from otrade_bot.control.auth import Role
from otrade_bot.control.commands import Arguments, Command, Context
from otrade_bot.control.reply import Reply, text
from otrade_bot.control.symbols import resolved
from otrade_bot.control.words import without_exchange
from otrade_bot.core.errors import CommandException
from otrade_bot.core.lang import t

__all__ = ["DAY", "Later"]


class Later(Arguments):
    """How much later, and of what; of everything that is held where nothing is named."""

    minutes: int = Field(5, ge=1, le=60)
    symbol: str = Field("", max_length=40)


async def _later(context: Context, arguments: Arguments) -> Reply:
    """Done at once: who is warned minutes before has no time for a second question, and the broker's own square-off
    bounds it."""
    assert isinstance(arguments, Later)
    if context.view.status().unread:
        raise CommandException(t("What is open is not known, so nothing can be put off."))
    held = sorted({one.symbol for one in context.view.positions() if not one.external})
    if not held:
        raise CommandException(t("Nothing of ours is open, so there is nothing to put off."))
    symbols = [resolved(arguments.symbol, held)] if arguments.symbol else held
    return text(without_exchange(context.view.extend_square_off(symbols, arguments.minutes, context.user)))


DAY = (
    Command("later", Role.OPERATOR, "the square-off some minutes later", _later, Later, "[MINUTES] [SYMBOL]"),
)  # fmt: skip
